//! The plan of a training, as the document that the white paper and the ledger name.

use histone_contracts::{Contract, Market, Rounds};
use histone_enclave::described::{Described, manifest_hash};
use histone_enclave::method::HostedMethod;
use histone_enclave::plan::{plan_as_said, plan_of, with_agenda};
use histone_federation::header::RoundHeader;
use histone_federation::plan::Plan;
use histone_protocol::consent::WhitePaper;
use histone_protocol::disclosure::Disclosure;
use histone_protocol::plan::{ColumnKind, FORMAT, MissingCells, PlanDocument, PlanFeature, PlanPrograms};
use histone_protocol::{B256, U256};

use crate::error::NodeError;
use crate::study::{Missing, Study};
use crate::world::World;

/// How long the parties have.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Seconds that a round takes updates.
    pub round_seconds: u64,
    /// Seconds that the committee then has to open it.
    pub opening_seconds: u64,
}

/// The plan of a study's training by a method; `disclosure` is the study's with accounts for names.
pub fn document(
    study: &Study,
    method: &HostedMethod,
    programs: PlanPrograms,
    times: Times,
    disclosure: Disclosure,
) -> Result<PlanDocument, NodeError> {
    let manifest = method.manifest();
    // One enclave needs neither a committee nor rounds.
    let one = disclosure.in_one_enclave();
    let numbers = study.committee.numbers;
    let or_none = |value: u64| if one { 0 } else { value };
    let feature = |(name, kind): (&String, &ColumnKind)| PlanFeature {
        name: name.clone(),
        kind: kind.clone(),
        zero_is_missing: study.table.rules.zero_is_missing.contains(name),
    };
    let document = PlanDocument {
        format: FORMAT.into(),
        method: format!("{} {}", manifest.name, manifest.version),
        features: study.table.features.iter().zip(&study.table.kinds).map(feature).collect(),
        outcome: study.table.outcome.clone(),
        missing: match study.table.missing {
            Missing::Refuse => MissingCells::Refuse,
            Missing::Drop => MissingCells::Drop,
            Missing::Mean => MissingCells::Mean,
            Missing::Median => MissingCells::Median,
        },
        holdout: study.training.holdout,
        settings: manifest.config.iter().map(|s| (s.name.clone(), study.training.setting(s))).collect(),
        // The method gives them, below.
        agenda: Vec::new(),
        least: study.training.least,
        // A study has at most 256 participants.
        min_survivors: study.training.min_survivors as u16,
        committee_members: if one { 0 } else { numbers.members() },
        colluders: if one { 0 } else { numbers.colluders() },
        round_seconds: or_none(times.round_seconds),
        opening_seconds: or_none(times.opening_seconds),
        manifest: manifest_hash(method.program().program()),
        disclosure,
        programs,
    };
    with_agenda(document, method).map_err(|why| NodeError::Message(format!("the plan of the study: {why}")))
}

/// What a plan computes, and the method that does: one that this node has at hand.
pub fn computation(document: &PlanDocument, world: &World) -> Result<(Plan, HostedMethod), NodeError> {
    let refuse = |why: String| NodeError::Message(format!("the plan is refused: {why}"));
    let training = document.programs.training;
    let method = world.methods.get(training).ok_or_else(|| {
        refuse(format!("its method {} ({training}) is not at hand", document.method.escape_debug()))
    })?;
    Ok((plan_of(document, method).map_err(refuse)?, method.clone()))
}

/// What a plan computes, as far as this node can know, and what everybody may know of the method: of one of closed source no more
/// than the plan says and the manifest that it names.
pub fn known(document: &PlanDocument, world: &World) -> Result<(Plan, Described), NodeError> {
    if !document.disclosure.is_closed() {
        let (plan, method) = computation(document, world)?;
        return Ok((plan, (&method).into()));
    }
    let refuse = |why: String| NodeError::Message(format!("the plan is refused: {why}"));
    let described = Described::read(document.programs.training, &world.blobs.get(document.manifest)?);
    let described = described.map_err(|e| refuse(histone_protocol::with_causes(&e)))?;
    Ok((plan_as_said(document, &described).map_err(refuse)?, described))
}

/// Reads a plan from public storage.
pub fn read(blob: B256, world: &World) -> Result<PlanDocument, NodeError> {
    let document = PlanDocument::from_bytes(&world.blobs.get(blob)?);
    document.map_err(|error| {
        NodeError::Message(format!("the plan {blob} is refused: {}", histone_protocol::with_causes(&error)))
    })
}

/// The plan that the ledger names for a model.
pub async fn of_model(model_id: u64, world: &World) -> Result<PlanDocument, NodeError> {
    let call = Market::modelCall { modelId: U256::from(model_id) };
    read(world.ledger.read(Contract::Market, call).await?.planHash, world)
}

/// Whether a round on the ledger gives the committee the time that its model's plan promises. Nobody takes part in one that
/// gives less, since a donor that is accused in it could not answer, nor in one that gives more and holds what is promised.
pub async fn check_times(model_id: U256, round: u32, world: &World) -> Result<(), NodeError> {
    let model = world.ledger.read(Contract::Market, Market::modelCall { modelId: model_id }).await?;
    let promised = read(model.planHash, world)?.opening_seconds;
    let about = Some(B256::from(model_id));
    let opened = world.ledger.logged::<Rounds::RoundOpened>(Contract::Rounds, about).await?;
    let opened = opened.into_iter().map(|o| o.event).find(|o| o.round == round);
    // Whether it was opened at all, and under which header, others look at.
    match opened.map(|o| o.openBy.saturating_sub(o.deadline)) {
        Some(given) if given != promised => Err(NodeError::Message(format!(
            "round {round} gives the committee {given} s, the plan of its model promises {promised} s"
        ))),
        _ => Ok(()),
    }
}

/// Whether a round has its place in the plan of its model, as far as everybody sees it: by the method of the plan, with a question
/// that is shown or sealed as the plan says; a sealed one in the stage and of the size that the agenda has after so many rounds.
/// What is asked in it the enclaves compare.
pub async fn check_stage(header: &RoundHeader, world: &World) -> Result<(), NodeError> {
    let f = header.fields();
    let model_id = U256::from_be_bytes(f.model_id);
    let plan = of_model(model_id.saturating_to(), world).await?;
    let refuse = |what: &str| Err(NodeError::Message(format!("round {} is refused: {what}", f.round)));
    if f.method != plan.programs.training.0 {
        return refuse("its method is not the plan's");
    }
    if f.question.is_sealed() != plan.disclosure.is_sealed() {
        return refuse("the plan seals sums and its header does not, or the other way round");
    }
    if !f.question.is_sealed() {
        return Ok(());
    }
    let about = Some(B256::from(model_id));
    let before = world.ledger.logged::<Rounds::RoundFinal>(Contract::Rounds, about).await?;
    let mut left = before.iter().filter(|r| r.event.round < f.round).count();
    let slot = plan.agenda.iter().find(|stage| match left.checked_sub(stage.rounds as usize) {
        Some(rest) => {
            left = rest;
            false
        }
        None => true,
    });
    match slot {
        Some(stage) if stage.stage == f.question.stage() && stage.numbers as usize == header.dimension() => {
            Ok(())
        }
        Some(stage) => refuse(&format!(
            "the agenda of the plan has the stage `{}` of {} numbers next",
            stage.stage, stage.numbers
        )),
        None => refuse("the agenda of the plan is over"),
    }
}

/// Whether plan, white paper and ledger say the same; if not, what they do not agree on. What the plan computes is checked
/// against its method ([`computation`]).
pub fn agree(
    document: &PlanDocument,
    paper: &WhitePaper,
    on_ledger: &Market::ModelInfo,
) -> Result<(), String> {
    let hash = document.hash();
    if paper.plan != hash || on_ledger.planHash != hash {
        return Err(format!(
            "its white paper names the plan {}, the ledger {}, read was {hash}",
            paper.plan, on_ledger.planHash
        ));
    }
    let terms = &on_ledger.terms;
    if (terms.minSurvivors, terms.colluders) != (document.min_survivors, document.colluders) {
        return Err(format!(
            "its plan says {} survivors and {} colluders, the ledger {} and {}",
            document.min_survivors, document.colluders, terms.minSurvivors, terms.colluders
        ));
    }
    let programs = &document.programs;
    if paper.programs != [programs.validation, programs.training, programs.query] {
        return Err("its plan names other programs than its white paper".into());
    }
    let names = document.features.iter().map(|f| &f.name);
    if !names.eq(&paper.features) {
        return Err("its plan is made from other features than its white paper".into());
    }
    if document.outcome.name() != paper.label {
        return Err("its plan predicts another outcome than its white paper".into());
    }
    if document.disclosure != paper.disclosure {
        return Err("its plan shows sums or model to others than its white paper says".into());
    }
    Ok(())
}
