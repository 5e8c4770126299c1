//! Whether a model is the one that its rounds lead to, recomputed from the ledger and public storage by somebody who was in
//! none of them: a trainer could otherwise sell answers of a model that nobody trained.

use std::collections::BTreeSet;

use histone_enclave::cohort::{self, Moment, RightCommittee, Watch, fixed_committee};
use histone_federation::fixed::MAX_FRACTIONAL_BITS;
use histone_federation::header::{RoundFields, RoundHeader};
use histone_federation::plan::{Plan, Step, Training};
use histone_ledger::contracts::{Contract, Market, Rounds};
use histone_protocol::{B256, U256};

use crate::committee::transcript;
use crate::error::NodeError;
use crate::plan;
use crate::world::World;

/// Opens every sum of a model's training again. Gives the hash of the model that they lead to, under the plan that the
/// ledger names, with the donors that were believed when each round was opened and the committee that was rightly fixed;
/// and that is the model which the market sells.
pub(crate) async fn trained_model(model_id: u64, world: &World) -> Result<B256, NodeError> {
    let id = U256::from(model_id);
    let fail = |what: String| NodeError::Message(format!("model {model_id} is not believed: {what}"));
    let ledger = &world.ledger;
    let sold = ledger.read(Contract::Market, Market::modelCall { modelId: id }).await?;
    let document = plan::read(sold.planHash, world)?;
    let mut training =
        Training::start(Plan::of(&document).map_err(NodeError::round)?).map_err(NodeError::round)?;
    let mut watch = Watch::new(id, world.cohort_policy(model_id).await?);
    let fixed = fixed_committee(id, ledger).await?.ok_or_else(|| fail("it was never in training".into()))?;
    let right = RightCommittee::at(id, fixed.at, ledger).await?;
    right.check(&cohort::seats(&fixed.event)).map_err(fail)?;
    let about = Some(B256::from(id));
    let finals = ledger.logged::<Rounds::RoundFinal>(Contract::Rounds, about).await?;
    let posted = ledger.logged::<Rounds::PartialPosted>(Contract::Rounds, about).await?;
    for last in finals.into_iter().map(|f| f.event) {
        let round = last.round;
        let fail = |what: &str| fail(format!("round {round} {what}"));
        let opened = Moment::of_round(id, round, ledger).await?;
        let (opened, header_hash) = opened.ok_or_else(|| fail("was never opened"))?;
        let cohort = watch.cohort(opened, &world.evidence(), ledger).await?;
        let deployment = ledger.deployment();
        // Nobody has to be asked for the header: its rule and the ledger give it.
        let header = RoundHeader::new(RoundFields {
            chain_id: deployment.chain_id,
            market: deployment.market.into_array(),
            model_id: id.to_be_bytes(),
            round,
            spec: training.spec(),
            previous: training.state_hash(),
            cohort: cohort.believed.iter().map(cohort::donor).collect(),
            committee: cohort::seats(&fixed.event),
            colluders: fixed.event.colluders,
            min_survivors: document.min_survivors,
            fractional_bits: MAX_FRACTIONAL_BITS,
        })
        .map_err(NodeError::round)?;
        if header.hash() != header_hash.0 {
            return Err(fail("was opened under another header than the plan and the ledger give"));
        }
        let info = Rounds::roundInfoCall { modelId: id, round };
        let attempt = ledger.read(Contract::Rounds, info).await?.attempt;
        let of = posted.iter().map(|p| &p.event).filter(|p| (p.round, p.attempt) == (round, attempt));
        // Who posted a hash and published nothing is missing here.
        let partials: BTreeSet<B256> =
            of.map(|p| p.partialHash).filter(|hash| world.blobs.get(*hash).is_ok()).collect();
        let partials: Vec<B256> = partials.into_iter().collect();
        let transcript = transcript(&header, &partials, world).await?;
        let (sum, _) = transcript.open().map_err(|e| fail(&format!("does not open: {e}")))?;
        if sum.hash() != last.aggregateHash.0 {
            return Err(fail("has another sum than the ledger"));
        }
        let step = training.advance(&transcript.donors(), sum.values()).map_err(NodeError::round)?;
        let state = match &step {
            Step::Next(next) => next.state_hash(),
            Step::Finished(finished) => finished.model.hash(),
        };
        if state != last.modelHash.0 {
            return Err(fail("leads to another model than the ledger has"));
        }
        match step {
            Step::Next(next) => training = next,
            Step::Finished(_) if state == sold.modelHash.0 => return Ok(sold.modelHash),
            Step::Finished(_) => return Err(fail("ends the training with another model than is sold")),
        }
    }
    Err(fail(format!("its training did not come to its end, the next stage is `{}`", training.stage())))
}
