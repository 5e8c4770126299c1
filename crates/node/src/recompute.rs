//! The training of a model, recomputed from what is public: what a user's node does before it believes an enclave that serves
//! the model.
//!
//! The contracts take the hashes of sums and states as the trainer gives them. That they are true shows from the blobs alone:
//! every sum is opened again from the updates that donors' enclaves anchored and the partial sums that the right committee
//! posted, and every state follows from the sum before it. Whether the donors' enclaves were believed is not judged again
//! here: a quorum of that committee judged it when it locked the sum, and `verify` does for a whole record.

use histone_contracts::{Contract, Market, Rounds};
use histone_enclave::cohort::{RightCommittee, fixed_committee, seats};
use histone_enclave::method::{Step, Training};
use histone_federation::committee::PartialSum;
use histone_federation::header::{RoundHeader, Seat};
use histone_federation::training::Finished;
use histone_protocol::{Address, B256, U256};

use crate::committee::{set, survivors, transcript};
use crate::error::NodeError;
use crate::plan;
use crate::world::World;

/// Recomputes a model from its plan and its opened rounds; an error says which round is not what the ledger says.
pub async fn model(model_id: u64, world: &World) -> Result<Finished, NodeError> {
    let ledger = &world.ledger;
    let id = U256::from(model_id);
    let about = |what: String| {
        NodeError::Message(format!("model {model_id} does not follow from its public rounds: {what}"))
    };
    let sold = ledger.read(Contract::Market, Market::modelCall { modelId: id }).await?;
    let (plan, method) = plan::computation(&plan::read(sold.planHash, world)?, world)?;
    let fixed = fixed_committee(id, ledger).await?;
    let fixed = fixed.ok_or_else(|| about("its training has not started".into()))?;
    let committee = Committee { seats: seats(&fixed.event), colluders: fixed.event.colluders };
    RightCommittee::at(id, fixed.at, ledger).await?.check(&committee.seats).map_err(about)?;

    let mut training = Training::start(method, plan).map_err(NodeError::round)?;
    let mut finished = None;
    for last in ledger.logged::<Rounds::RoundFinal>(Contract::Rounds, Some(B256::from(id))).await? {
        let round = last.event.round;
        if finished.is_some() {
            return Err(about(format!("round {round} came after its end")));
        }
        let step = step(&training, id, round, &committee, world).await;
        match step.map_err(|e| about(format!("round {round}: {}", histone_protocol::with_causes(&e))))? {
            Step::Next(next) => training = next,
            Step::Finished(done) => finished = Some(done),
        }
    }
    let finished = finished
        .ok_or_else(|| about(format!("it was sold before its end, in the stage `{}`", training.stage())))?;
    let hash = B256::from(finished.hash());
    if hash != sold.modelHash {
        return Err(about(format!("they lead to {hash}, the market sells {}", sold.modelHash)));
    }
    Ok(finished)
}

/// Who opens sums, as the ledger fixed it.
struct Committee {
    seats: Vec<Seat>,
    colluders: u8,
}

/// What the sum of one round leads to.
async fn step(
    training: &Training,
    model_id: U256,
    round: u32,
    committee: &Committee,
    world: &World,
) -> Result<Step, NodeError> {
    let ledger = &world.ledger;
    let refuse = |what: String| Err(NodeError::Message(what));
    let info = ledger.read(Contract::Rounds, Rounds::roundInfoCall { modelId: model_id, round }).await?;
    // A header's hash is the name of its blob.
    let header = RoundHeader::decode(&world.blobs.get(info.headerHash)?).map_err(NodeError::round)?;
    let (f, d) = (header.fields(), ledger.deployment());
    let own = (d.chain_id, d.market.into_array(), model_id.to_be_bytes::<32>(), round);
    if (f.chain_id, f.market, f.model_id, f.round) != own || info.headerHash.0 != header.hash() {
        return refuse("its header is for another chain, market, model or round".into());
    }
    if f.committee != committee.seats || f.colluders != committee.colluders {
        return refuse("its header has another committee than the one that was fixed".into());
    }
    training.check_header(&header).map_err(NodeError::round)?;
    let anchored = survivors(model_id, round, world).await?;
    if anchored.len() != usize::from(info.survivors) {
        return refuse("the updates on the ledger are not those of its survivors".into());
    }
    let partials = partials(&header, world).await?;
    let (got, needed) = (partials.len(), header.committee().quorum());
    if got < usize::from(needed) {
        return refuse(format!(
            "{got} partial sums of its committee are on the ledger and in public storage; it needs {needed}"
        ));
    }
    let transcript = transcript(&header, &partials, world).await?;
    let (sum, _) = transcript.open().map_err(|e| NodeError::Round(histone_protocol::with_causes(&*e)))?;
    if info.aggregateHash.0 != sum.hash() {
        return refuse(format!("its sum is not {}, which the ledger has", info.aggregateHash));
    }
    let step = training.advance(&transcript.donors(), sum.values()).map_err(NodeError::round)?;
    let (step, state) = match step {
        Step::Next(next) => {
            let state = next.state_hash();
            (Step::Next(next), state)
        }
        Step::Finished(finished) => {
            let state = finished.hash();
            (Step::Finished(finished), state)
        }
    };
    if info.modelHash.0 != state {
        return refuse(format!("it does not lead to {}, which the ledger has", info.modelHash));
    }
    Ok(step)
}

/// The partial sums that members posted for the last survivors, each of its own seat. A member that posted the hash of
/// nothing, or of something else, has none.
async fn partials(header: &RoundHeader, world: &World) -> Result<Vec<B256>, NodeError> {
    let f = header.fields();
    let set = set(header, &survivors(U256::from_be_bytes(f.model_id), f.round, world).await?)?;
    let mut partials = Vec::new();
    for (number, seat) in (1u8..).zip(&f.committee) {
        let call = Rounds::partialOfCall {
            modelId: U256::from_be_bytes(f.model_id),
            round: f.round,
            member: Address::from(seat.address),
        };
        let hash = world.ledger.read(Contract::Rounds, call).await?;
        if hash.is_zero() {
            continue;
        }
        let Ok(blob) = world.blobs.read(hash) else { continue };
        if PartialSum::decode(&blob, header).is_ok_and(|p| p.member() == number && p.is_over(&set)) {
            partials.push(hash);
        }
    }
    Ok(partials)
}
