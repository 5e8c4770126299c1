//! White papers, decisions and donations.

use histone_compliance::folder::ModelRecord;
use histone_contracts::{Contract, Market};
use histone_enclave::engine::LoadedProgram;
use histone_federation::plan::Plan;
use histone_protocol::B256;
use histone_protocol::consent::{Split, Verdict, WhitePaper};
use histone_protocol::disclosure::Disclosure;
use histone_protocol::plan::{PlanDocument, PlanPrograms};

use super::Observer;
use super::outcome::Declined;
use super::setup::{Cast, appraisal_terms};
use crate::error::NodeError;
use crate::owner::{Decided, Machine};
use crate::plan::{self, Times};
use crate::study::{MIN_ROWS, Model, Study};
use crate::trainer::Offer;

/// What recruiting left.
pub(super) struct Recruited {
    /// The main model first.
    pub(super) records: Vec<ModelRecord>,
    pub(super) declined: Vec<Declined>,
    /// The ledger's number of the main model.
    pub(super) model_id: u64,
    /// What is computed, and the document that says it.
    pub(super) plan: Plan,
    pub(super) document: PlanDocument,
    pub(super) paper: WhitePaper,
}

fn white_paper(
    study: &Study,
    model: &Model,
    disclosure: &Disclosure,
    plan: B256,
    cast: &Cast,
) -> Result<WhitePaper, NodeError> {
    let trainer = cast
        .trainers
        .get(&model.trainer)
        .ok_or_else(|| NodeError::Message(format!("there is no trainer `{}`", model.trainer)))?;
    let programs = [&cast.loaded.validation, cast.loaded.method.program(), &cast.loaded.query];
    Ok(WhitePaper {
        ledger: cast.world.ledger.deployment().id(),
        name: model.name.clone(),
        predicts: model.predicts.clone(),
        trainer: trainer.party.account(),
        trainer_name: model.trainer.clone(),
        purpose: model.purpose.to_string(),
        disease: model.disease.clone(),
        commercial: model.commercial,
        // The run is one machine; the model is used where its first participant is.
        country: study.participants.first().map(|p| p.country.clone()).unwrap_or_default(),
        features: study.table.features.clone(),
        label: study.table.label.clone(),
        min_rows: MIN_ROWS,
        instant_payment: model.instant_payment.micro(),
        query_price: model.query_price.micro(),
        split: Split {
            donors: model.split.donors.get(),
            trainer: model.split.trainer.get(),
            runner: model.split.runner.get(),
        },
        programs: programs.iter().map(|p| B256::from(p.program().measurement())).collect(),
        appraisal: appraisal_terms(study, &cast.vendor),
        disclosure: disclosure.clone(),
        plan,
    })
}

fn programs(cast: &Cast) -> PlanPrograms {
    let measurement = |program: &LoadedProgram| B256::from(program.program().measurement());
    PlanPrograms {
        validation: measurement(&cast.loaded.validation),
        training: measurement(cast.loaded.method.program()),
        query: measurement(&cast.loaded.query),
    }
}

fn times(study: &Study, cast: &Cast) -> Times {
    let round_seconds = cast.stage.place.round_seconds(study.participants.len());
    // The committee gets as long as the donors.
    Times { round_seconds, opening_seconds: round_seconds }
}

/// Proposes every model; each owner's node answers by itself; those who agree to the main model donate to it.
pub(super) async fn recruit(
    study: &Study,
    cast: &mut Cast,
    observer: &mut dyn Observer,
) -> Result<Recruited, NodeError> {
    let disclosure = cast.disclosure(study)?;
    let (method, programs, times) = (&cast.loaded.method, programs(cast), times(study, cast));
    let document = plan::document(study, method, programs, times, disclosure.clone())?;
    let (plan, _) = plan::known(&document, &cast.world)?;
    let plan_blob = cast.world.blobs.put(&document.to_bytes())?;
    if !disclosure.in_one_enclave() {
        observer.note(&format!("committee: {}", study.committee.numbers));
    }
    let platforms: Vec<String> = study.appraisal.platforms.iter().map(ToString::to_string).collect();
    observer.note(&format!("the white papers believe enclaves of the platform {}", platforms.join(", ")));
    study.training.disclosure.sentences().iter().for_each(|line| observer.note(line));
    let offer = Offer {
        plan: plan_blob,
        min_survivors: document.min_survivors,
        colluders: document.colluders,
        min_donors: study.training.min_survivors as u16,
        max_donors: study.participants.len() as u16,
        query_timeout: cast.stage.place.query_seconds(),
    };
    let mut records = Vec::new();
    let mut declined = Vec::new();
    let mut main = None;
    for (index, model) in std::iter::once(&study.model).chain(&study.other_models).enumerate() {
        let paper = white_paper(study, model, &disclosure, plan_blob, cast)?;
        let world = cast.world.clone();
        let trainer = cast
            .trainers
            .get(&model.trainer)
            .ok_or_else(|| NodeError::Message(format!("there is no trainer `{}`", model.trainer)))?;
        let (paper_blob, model_id) = trainer.propose(&paper, offer, &world).await?;
        if index == 0 && disclosure.in_one_enclave() {
            let program = cast.loaded.method.program().clone();
            let (host, enclave) = if disclosure.is_closed() {
                let waiting = cast.runner.start_waiting_host(model_id, &world).await?;
                let enclave = waiting.identity().keys().receipt;
                let module = trainer.seal_module(model_id, enclave, program.program().wasm(), &world).await?;
                (cast.runner.load_host(waiting, &module, model_id, &world).await?, enclave)
            } else {
                let host = cast.runner.start_host(program, model_id, &world).await?;
                let enclave = host.enclave.instance().keys().receipt;
                (host, enclave)
            };
            trainer.name_host(model_id, enclave, &world).await?;
            let runner = &cast.runner.party.name;
            observer
                .note(&format!("all data goes to one enclave, {enclave}, which {runner} runs (SIMULATED)"));
            cast.host = Some(host);
        }
        let mut decisions = Vec::new();
        let mut donors = 0;
        for owner in &mut cast.owners {
            let answer = owner.consider(paper_blob, model_id, &world).await?;
            decisions.push(answer.blob);
            match answer.permit {
                Some(permit) if index == 0 => {
                    let name = owner.party.name.clone();
                    let instant_payment = paper.instant_payment;
                    let decided = Decided { permit, decision: answer.blob, model_id, instant_payment };
                    match &mut cast.host {
                        Some(host) => owner.bring(decided, &mut host.enclave, &world).await?,
                        None => {
                            let device = cast
                                .devices
                                .get(&name)
                                .ok_or_else(|| NodeError::Message(format!("`{name}` has no machine")))?;
                            let machine = Machine { program: cast.loaded.method.program().clone(), device };
                            owner.donate(decided, machine, &world).await?
                        }
                    };
                    donors += 1;
                }
                Some(_) => {
                    observer.note(&format!("{} would take part in `{}`", owner.party.name, model.name))
                }
                None => {
                    let verb = match answer.decision.verdict {
                        Verdict::Review => "leaves to a person",
                        _ => "declines",
                    };
                    observer.note(&format!(
                        "{} {verb} `{}`: {}",
                        owner.party.name,
                        model.name,
                        answer.decision.reasons.join("; ")
                    ));
                    declined.push(Declined {
                        model: model.name.clone(),
                        participant: owner.party.name.clone(),
                        verdict: answer.decision.verdict,
                        reasons: answer.decision.reasons.clone(),
                    });
                }
            }
        }
        records.push(ModelRecord::proposed(model_id, paper_blob, plan_blob, decisions));
        if index == 0 {
            if donors < study.training.min_survivors {
                trainer.abort(model_id, &world).await?;
                world.ledger.send(&trainer.party.key, Contract::Market, Market::claimCall {}).await?;
                let too_few = NodeError::Message(format!(
                    "only {donors} participants agree to `{}`, it needs {}; the deposit went back to `{}`",
                    model.name, study.training.min_survivors, model.trainer
                ));
                if cast.host.is_some() {
                    super::hosted::perform(cast).await?;
                }
                return Err(too_few);
            }
            main = Some((model_id, paper));
        } else {
            // Recruited for and not trained: the deposit returns.
            trainer.abort(model_id, &world).await?;
        }
    }
    let (model_id, paper) = main.ok_or_else(|| NodeError::Message("the study has no model".into()))?;
    Ok(Recruited { records, declined, model_id, plan, document, paper })
}
