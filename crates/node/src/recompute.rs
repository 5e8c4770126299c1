//! The training of a model, recomputed from what is public: what a user's node does before it believes an enclave that serves
//! the model.
//!
//! The contracts take the hashes of sums and states as the trainer gives them. That they are true shows from the blobs alone:
//! every sum is opened again from the updates that donors' enclaves anchored and the partial sums that the right committee
//! posted, and every state follows from the sum before it. Whether the donors' enclaves were believed is not judged again
//! here: a quorum of that committee judged it when it locked the sum, and `verify` does for a whole record.
//!
//! Where sums are sealed, nobody outside recomputes. Then every round must be carried: more than half of the enclaves in its sum
//! have signed what it led to, and every header follows from what they signed before ([`carried`]). Of a model that was made in one
//! enclave that enclave's statement is compared with the ledger ([`hosted`]).

use std::collections::BTreeSet;

use histone_contracts::{Contract, Market, Rounds};
use histone_enclave::cohort::{Moment, RightCommittee, Watch, fixed_committee, seats};
use histone_enclave::method::{Step, Training};
use histone_enclave::release::Released;
use histone_federation::header::{RoundHeader, Seat};
use histone_federation::plan::Plan;
use histone_federation::training::{Asked, Finished, Names, model_hash, no_model};
use histone_program_sdk::model::Model;
use histone_program_sdk::wire::Wire;
use histone_protocol::agreement::Agreement;
use histone_protocol::disclosure::Release;
use histone_protocol::record::Signed;
use histone_protocol::report::{HostedStatement, UsedData};
use histone_protocol::{B256, U256};

use crate::committee::{enclaves, posted, sealed_round, shown_blob, survivors, transcript};
use crate::error::NodeError;
use crate::owner::host_of;
use crate::plan;
use crate::world::World;

/// Checks that the model which the market sells follows from its rounds: by computing it where sums are public, by what enclaves
/// have signed where they are sealed.
pub async fn check(model_id: u64, world: &World) -> Result<(), NodeError> {
    let sold = Market::modelCall { modelId: U256::from(model_id) };
    let sold = world.ledger.read(Contract::Market, sold).await?;
    let disclosure = plan::read(sold.planHash, world)?.disclosure;
    match (disclosure.in_one_enclave(), disclosure.is_sealed()) {
        (true, _) => hosted(model_id, world).await,
        (false, true) => carried(model_id, world).await,
        (false, false) => model(model_id, world).await.map(|_| ()),
    }
}

/// The committee of a model, as it was fixed and had to be.
async fn committee(model_id: u64, world: &World) -> Result<Committee, NodeError> {
    let (id, ledger) = (U256::from(model_id), &world.ledger);
    let fixed = fixed_committee(id, ledger).await?;
    let fixed = fixed.ok_or_else(|| unfounded(model_id, "its training has not started"))?;
    let committee = Committee { seats: seats(&fixed.event), colluders: fixed.event.colluders };
    let right = RightCommittee::at(id, fixed.at, ledger).await?;
    right.check(&committee.seats).map_err(|what| unfounded(model_id, &what))?;
    Ok(committee)
}

fn unfounded(model_id: u64, what: &str) -> NodeError {
    NodeError::Message(format!("model {model_id} does not follow from its public rounds: {what}"))
}

/// Checks what the one enclave says that has made a model: it was named for that, was believed when it said so, and has signed that
/// it made the model which the market sells from the data that the market knows.
pub async fn hosted(model_id: u64, world: &World) -> Result<(), NodeError> {
    let (id, ledger) = (U256::from(model_id), &world.ledger);
    let refuse = |what: String| {
        Err(NodeError::Message(format!(
            "model {model_id} does not follow from what its one enclave says: {what}"
        )))
    };
    let about = Some(B256::from(id));
    let made = ledger.logged::<Market::HostedModel>(Contract::Market, about).await?;
    let Some(made) = made.last() else { return refuse("it has said nothing".into()) };
    let (statement, signer) =
        Signed::<HostedStatement>::from_bytes(&world.blobs.get(made.event.statementHash)?)?.open()?;
    if host_of(model_id, world).await? != Some(signer) || made.event.enclave != signer {
        return refuse(format!(
            "its statement is signed by {signer}, which is not the enclave that was named"
        ));
    }
    let sold = ledger.read(Contract::Market, Market::modelCall { modelId: id }).await?;
    if statement.ledger != ledger.deployment().id()
        || (statement.model_id, statement.plan) != (model_id, sold.planHash)
    {
        return refuse("its statement is of another ledger, model or plan".into());
    }
    if statement.model_hash != Some(sold.modelHash) {
        return refuse(format!(
            "it has made {:?}, the market sells {}",
            statement.model_hash, sold.modelHash
        ));
    }
    // As of then: what becomes of it later touches nothing that it has done. Whoever has withdrawn while it was made and sold is in
    // it or not, as the enclave said and the market has excluded: an owner could otherwise spoil a model that is made.
    let then = Moment::of_log(made).before_any_end();
    let excluded = ledger.logged::<Market::DonorExcluded>(Contract::Market, about).await?;
    let excluded: BTreeSet<u16> =
        excluded.iter().filter(|e| e.at < made.at).map(|e| e.event.donorIndex).collect();
    let mut watch = Watch::new(id, world.cohort_policy(model_id).await?);
    let cohort = watch.cohort(then, &world.evidence(), ledger).await?;
    if let Some(no) = cohort.unbelieved.iter().find(|no| !excluded.contains(&no.donor)) {
        return refuse(format!("donor {} was not believed: {}", no.donor, no.why));
    }
    let left = cohort.believed.iter().filter(|place| !excluded.contains(&place.donor));
    let left: Vec<UsedData> =
        left.map(|p| UsedData { donor: p.donor, dataset: p.dataset.lineage, root: p.dataset.root }).collect();
    if left.is_empty() {
        return refuse("nobody of its donors was believed then".into());
    }
    if statement.donors != left {
        let numbers = |donors: &[UsedData]| donors.iter().map(|d| d.donor).collect::<Vec<_>>();
        let (used, there) = (numbers(&statement.donors), numbers(&left));
        return refuse(format!("it has used the data of donors {used:?}, the market has {there:?}"));
    }
    let Some(document) = statement.released else { return refuse("it has released nothing".into()) };
    if let Some(kept) = left.iter().find(|used| !statement.destroyed.contains(&used.dataset)) {
        return refuse(format!("it does not say that it has destroyed the data of donor {}", kept.donor));
    }
    let release = plan::read(sold.planHash, world)?.disclosure.model;
    released(release, Names { state: sold.modelHash.0, next: document.0 }, world)
}

/// Checks every round of a sealed training: its header follows from what was signed before, and more than half of the enclaves in
/// its sum have signed what it led to.
pub async fn carried(model_id: u64, world: &World) -> Result<(), NodeError> {
    let (id, ledger) = (U256::from(model_id), &world.ledger);
    let sold = ledger.read(Contract::Market, Market::modelCall { modelId: id }).await?;
    let (plan, method) = plan::computation(&plan::read(sold.planHash, world)?, world)?;
    let committee = committee(model_id, world).await?;
    let mut asked = Some(Training::start(method, plan.clone()).map_err(NodeError::round)?.asked());
    let mut last = no_model();
    let finals = ledger.logged::<Rounds::RoundFinal>(Contract::Rounds, Some(B256::from(id))).await?;
    for (before, ended) in (0u32..).zip(&finals) {
        let round = ended.event.round;
        let about = |e: NodeError| {
            unfounded(model_id, &format!("round {round}: {}", histone_protocol::with_causes(&e)))
        };
        let Some(asks) = asked else {
            return Err(unfounded(model_id, &format!("round {round} came after its end")));
        };
        let names = signed(&asks, id, round, &committee, world).await.map_err(about)?;
        last = names;
        asked = Asked::sealed(&plan, before + 1, names);
    }
    match asked {
        None if last == no_model() => Err(unfounded(model_id, "they lead to no model")),
        None if last.state == sold.modelHash.0 => released(plan.model, last, world)
            .map_err(|e| unfounded(model_id, &histone_protocol::with_causes(&e))),
        None => {
            let last = B256::from(last.state);
            Err(unfounded(model_id, &format!("they lead to {last}, the market sells {}", sold.modelHash)))
        }
        Some(asks) => Err(unfounded(
            model_id,
            &format!("it was sold before its end, in the stage `{}`", asks.question.stage()),
        )),
    }
}

/// What the enclaves of one sealed round have signed.
async fn signed(
    asked: &Asked,
    model_id: U256,
    round: u32,
    committee: &Committee,
    world: &World,
) -> Result<Names, NodeError> {
    let (header, info) = header(model_id, round, committee, world).await?;
    let refuse = |what: String| Err(NodeError::Message(what));
    if !asked.is_in(&header) {
        return refuse("its header does not follow from what the enclaves have signed before".into());
    }
    let anchored = survivors(model_id, round, world).await?;
    if anchored.len() != usize::from(info.survivors) {
        return refuse("the updates on the ledger are not those of its survivors".into());
    }
    let agreement = shown_blob(info.aggregateHash, world, || "what its enclaves have signed".into())?;
    let agreement = Agreement::from_bytes(&agreement).map_err(NodeError::round)?;
    let of = sealed_round(&header, &anchored, world)?;
    let carried = agreement.carried(&of, &enclaves(&header, &anchored)).map_err(NodeError::round)?;
    if carried.state != info.modelHash {
        return refuse(format!(
            "its enclaves have signed {}, the ledger has {}",
            carried.state, info.modelHash
        ));
    }
    // What enclaves have opened an auditor and whoever comes back must be able to open, too.
    let partials = enough(&header, world).await?;
    transcript(&header, &partials, world).await?;
    Ok(Names { state: carried.state.0, next: carried.next.0 })
}

/// The partial sums of a round, when they are enough.
async fn enough(header: &RoundHeader, world: &World) -> Result<Vec<B256>, NodeError> {
    let partials = posted(header, world).await?;
    let (got, needed) = (partials.len(), header.committee().quorum());
    if got < usize::from(needed) {
        return Err(NodeError::Message(format!(
            "{got} partial sums of its committee are on the ledger and in public storage; it needs {needed}"
        )));
    }
    Ok(partials)
}

/// Whether what enclaves have signed at the end of a training is shown: what is said of it and the model, as the plan lets it go.
fn released(release: Release, names: Names, world: &World) -> Result<(), NodeError> {
    let next = B256::from(names.next);
    let document = shown_blob(next, world, || "what its enclaves have released".into())?;
    let document = Released::from_bytes(&document)
        .map_err(|e| NodeError::Message(format!("what its enclaves have released ({next}): {e}")))?;
    let model = shown_blob(document.model, world, || "the model that its enclaves have released".into())?;
    if release == Release::Public {
        let model = Model::from_bytes(&model)
            .map_err(|e| NodeError::Message(format!("the model that its enclaves have released: {e}")))?;
        if model_hash(&model) != names.state {
            return Err(NodeError::Message(format!(
                "the model that its enclaves have released is not {}, which they have signed",
                B256::from(names.state)
            )));
        }
    }
    Ok(())
}

/// The header of a round, as far as it does not depend on what is computed.
async fn header(
    model_id: U256,
    round: u32,
    committee: &Committee,
    world: &World,
) -> Result<(RoundHeader, Rounds::RoundInfo), NodeError> {
    let ledger = &world.ledger;
    let refuse = |what: &str| Err(NodeError::Message(what.into()));
    let info = ledger.read(Contract::Rounds, Rounds::roundInfoCall { modelId: model_id, round }).await?;
    // A header's hash is the name of its blob.
    let header = shown_blob(info.headerHash, world, || "its header".into())?;
    let header = RoundHeader::decode(&header).map_err(NodeError::round)?;
    let (f, d) = (header.fields(), ledger.deployment());
    let own = (d.chain_id, d.market.into_array(), model_id.to_be_bytes::<32>(), round);
    if (f.chain_id, f.market, f.model_id, f.round) != own || info.headerHash.0 != header.hash() {
        return refuse("its header is for another chain, market, model or round");
    }
    if f.committee != committee.seats || f.colluders != committee.colluders {
        return refuse("its header has another committee than the one that was fixed");
    }
    Ok((header, info))
}

/// Recomputes a model from its plan and its opened rounds; an error says which round is not what the ledger says.
pub async fn model(model_id: u64, world: &World) -> Result<Finished, NodeError> {
    let ledger = &world.ledger;
    let id = U256::from(model_id);
    let about = |what: String| unfounded(model_id, &what);
    let sold = ledger.read(Contract::Market, Market::modelCall { modelId: id }).await?;
    let (plan, method) = plan::computation(&plan::read(sold.planHash, world)?, world)?;
    let committee = committee(model_id, world).await?;

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
            Step::NoModel => return Err(about("they lead to no model".into())),
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

/// The document of what was released that the enclaves have signed in the last final round of a sealed training, or the one enclave
/// that had all data in its statement.
pub(crate) async fn signed_document(model_id: u64, world: &World) -> Result<B256, NodeError> {
    let about = Some(B256::from(U256::from(model_id)));
    let made = world.ledger.logged::<Market::HostedModel>(Contract::Market, about).await?;
    if let Some(made) = made.last() {
        let statement = shown_blob(made.event.statementHash, world, || "what its one enclave says".into())?;
        let (statement, _) = Signed::<HostedStatement>::from_bytes(&statement)?.open()?;
        return statement.released.ok_or_else(|| unfounded(model_id, "its one enclave has released nothing"));
    }
    let finals = world.ledger.logged::<Rounds::RoundFinal>(Contract::Rounds, about).await?;
    let last = finals.last().ok_or_else(|| unfounded(model_id, "it has no final round"))?;
    let names = agreed(model_id, last.event.round, world).await?;
    Ok(B256::from(names.next))
}

/// What the enclaves of a final round have signed, as the ledger names it; whether its header follows is not looked at.
async fn agreed(model_id: u64, round: u32, world: &World) -> Result<Names, NodeError> {
    let id = U256::from(model_id);
    let committee = committee(model_id, world).await?;
    let (header, info) = header(id, round, &committee, world).await?;
    let anchored = survivors(id, round, world).await?;
    let agreement = shown_blob(info.aggregateHash, world, || "what its enclaves have signed".into())?;
    let agreement = Agreement::from_bytes(&agreement).map_err(NodeError::round)?;
    let of = sealed_round(&header, &anchored, world)?;
    let carried = agreement.carried(&of, &enclaves(&header, &anchored)).map_err(NodeError::round)?;
    Ok(Names { state: carried.state.0, next: carried.next.0 })
}

/// Where a training stands, as far as its trainer and everybody else see it.
#[derive(Debug, Clone)]
pub enum Course {
    /// Sums are public, and everybody follows it.
    Open(Box<Training>),
    /// Sums are sealed: after so many rounds this is asked.
    Sealed {
        /// The plan.
        plan: Box<Plan>,
        /// Rounds that were carried.
        rounds: u32,
        /// What comes next.
        asked: Box<Asked>,
    },
    /// It has a model of this name; where sums are sealed, with the document that was released.
    Model {
        /// Name of the model.
        hash: B256,
        /// The model, where everybody computes it.
        model: Option<Box<Model>>,
        /// What was released.
        document: Option<B256>,
    },
    /// It came to its end without a model.
    NoModel,
}

impl Course {
    /// Before the first round.
    pub async fn start(model_id: u64, world: &World) -> Result<Self, NodeError> {
        let document = plan::of_model(model_id, world).await?;
        let (plan, method) = plan::computation(&document, world)?;
        let training = Training::start(method, plan.clone()).map_err(NodeError::round)?;
        Ok(match plan.is_sealed() {
            true => Self::Sealed { asked: Box::new(training.asked()), plan: Box::new(plan), rounds: 0 },
            false => Self::Open(Box::new(training)),
        })
    }

    /// What the next header says; nothing at the end.
    pub fn asked(&self) -> Option<Asked> {
        match self {
            Self::Open(training) => Some(training.asked()),
            Self::Sealed { asked, .. } => Some((**asked).clone()),
            Self::Model { .. } | Self::NoModel => None,
        }
    }

    /// After a round that is final on the ledger, from what is public about it.
    pub async fn after(self, model_id: u64, round: u32, world: &World) -> Result<Self, NodeError> {
        let id = U256::from(model_id);
        match self {
            Self::Open(training) => {
                let committee = committee(model_id, world).await?;
                Ok(Self::stepped(step(&training, id, round, &committee, world).await?))
            }
            Self::Sealed { plan, rounds, .. } => {
                let names = agreed(model_id, round, world).await?;
                Ok(Self::agreed(plan, rounds + 1, names))
            }
            ended => Ok(ended),
        }
    }

    /// After a step of a public training.
    pub(crate) fn stepped(step: Step) -> Self {
        match step {
            Step::Next(next) => Self::Open(Box::new(next)),
            Step::NoModel => Self::NoModel,
            Step::Finished(finished) => Self::Model {
                hash: B256::from(finished.hash()),
                model: Some(Box::new(finished.model)),
                document: None,
            },
        }
    }

    fn agreed(plan: Box<Plan>, rounds: u32, names: Names) -> Self {
        match Asked::sealed(&plan, rounds, names) {
            Some(asked) => Self::Sealed { plan, rounds, asked: Box::new(asked) },
            None if names == no_model() => Self::NoModel,
            None => {
                let (hash, document) = (B256::from(names.state), Some(B256::from(names.next)));
                Self::Model { hash, model: None, document }
            }
        }
    }
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
    let refuse = |what: String| Err(NodeError::Message(what));
    let (header, info) = header(model_id, round, committee, world).await?;
    training.check_header(&header).map_err(NodeError::round)?;
    let anchored = survivors(model_id, round, world).await?;
    if anchored.len() != usize::from(info.survivors) {
        return refuse("the updates on the ledger are not those of its survivors".into());
    }
    let partials = enough(&header, world).await?;
    let transcript = transcript(&header, &partials, world).await?;
    let (sum, _) = transcript.open().map_err(|e| NodeError::Round(histone_protocol::with_causes(&*e)))?;
    if info.aggregateHash.0 != sum.hash() {
        return refuse(format!("its sum is not {}, which the ledger has", info.aggregateHash));
    }
    let step = training.advance(&transcript.donors(), sum.values()).map_err(NodeError::round)?;
    let state = step.names().state;
    if info.modelHash.0 != state {
        return refuse(format!("it does not lead to {}, which the ledger has", info.modelHash));
    }
    Ok(step)
}
