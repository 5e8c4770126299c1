//! How a training goes on from round to round: by what everybody computes, or by what enclaves say.

use std::collections::BTreeMap;

use histone_compliance::folder::RoundRecord;
use histone_enclave::method::{HostedMethod, Step, Training};
use histone_enclave::release::Released;
use histone_enclave::training::RoundTranscript;
use histone_federation::header::RoundHeader;
use histone_federation::plan::Plan;
use histone_federation::training::{Asked, Names, no_model};
use histone_program_sdk::method::Fact;
use histone_program_sdk::model::Model;
use histone_program_sdk::wire::Wire;
use histone_protocol::B256;
use histone_protocol::agreement::{Carried, Dropped};
use histone_protocol::disclosure::Release;

use super::setup::Cast;
use super::training::main_trainer;
use crate::committee::transcript;
use crate::duties::OwnerDuty;
use crate::error::NodeError;
use crate::owner::Tell;
use crate::study::Study;
use crate::trainer::Agreed;

/// Where a training stands, as far as its trainer sees it.
pub(super) enum Course {
    /// Sums are public: the trainer follows the training itself.
    Open(Box<Training>),
    /// Sums are sealed: it knows the agenda, and the names that enclaves have signed.
    Sealed(Box<Sealed>),
}

/// A sealed training as its trainer sees it.
pub(super) struct Sealed {
    plan: Plan,
    /// Rounds that were carried.
    rounds: u32,
    /// What comes next.
    asked: Asked,
}

/// What a round led to.
pub(super) enum After {
    /// Another round.
    Next(Course),
    /// The end.
    Ended(Box<Ended>),
    /// A sealed training came to its end without a model.
    NoModel,
}

/// The end of a training, as everybody sees it.
pub(super) struct Ended {
    /// The model, where it is public.
    pub(super) model: Option<Model>,
    /// What is said of it.
    pub(super) facts: Vec<Fact>,
    /// What the market sells.
    pub(super) model_hash: B256,
    /// Its blob: as it is, or under its key.
    pub(super) model_blob: B256,
}

/// What a round left.
pub(super) struct Finished {
    /// Everything public about it.
    pub(super) transcript: RoundTranscript,
    /// What it led to.
    pub(super) after: After,
    /// What enclaves said of a sealed one.
    pub(super) carried: Option<Carried>,
    /// Participants whose enclaves follow the training no further, and why.
    pub(super) stopped: Vec<(String, String)>,
    /// Statements of enclaves that did not count.
    pub(super) dropped: Vec<Dropped>,
}

impl Course {
    /// Before the first round. What is asked first follows from the plan, whoever sees the sums.
    pub(super) fn start(method: HostedMethod, plan: Plan) -> Result<Self, NodeError> {
        let sealed = plan.is_sealed();
        let training = Training::start(method, plan.clone()).map_err(NodeError::round)?;
        match sealed {
            true => Ok(Course::Sealed(Box::new(Sealed { asked: training.asked(), plan, rounds: 0 }))),
            false => Ok(Course::Open(Box::new(training))),
        }
    }

    /// What the next header says.
    pub(super) fn asked(&self) -> Asked {
        match self {
            Course::Open(training) => training.asked(),
            Course::Sealed(sealed) => sealed.asked.clone(),
        }
    }

    /// The stage of the next round.
    pub(super) fn stage(&self) -> String {
        match self {
            Course::Open(training) => training.stage().into(),
            Course::Sealed(sealed) => sealed.asked.question.stage().into(),
        }
    }

    /// Goes on from a round whose partial sums are shown. `here` says whose nodes are there.
    pub(super) async fn finish(
        self,
        study: &Study,
        cast: &mut Cast,
        header: &RoundHeader,
        partials: &[B256],
        here: &dyn Fn(&str) -> bool,
    ) -> Result<Finished, NodeError> {
        let world = cast.world.clone();
        let invited = |donation: Option<(_, u16)>| donation.is_some_and(|(_, donor)| header.has_donor(donor));
        match self {
            Course::Open(training) => {
                let trainer = main_trainer(cast, study)?;
                let (transcript, step) = trainer.finish_round(&training, header, partials, &world).await?;
                for member in &mut cast.committee {
                    member.name_liars(&transcript, &world).await?;
                }
                for owner in cast.owners.iter_mut().filter(|o| invited(o.donation()) && here(&o.party.name)) {
                    owner.observe(&transcript, &world).await?;
                }
                let after = match step {
                    Step::Next(next) => After::Next(Course::Open(Box::new(next))),
                    Step::NoModel => After::NoModel,
                    Step::Finished(finished) => After::Ended(Box::new(Ended {
                        model_hash: B256::from(finished.hash()),
                        model_blob: world.blobs.put(&finished.model.to_bytes())?,
                        model: Some(finished.model),
                        facts: finished.facts,
                    })),
                };
                Ok(Finished { transcript, after, carried: None, stopped: Vec::new(), dropped: Vec::new() })
            }
            Course::Sealed(sealed) => {
                let Sealed { plan, rounds, .. } = *sealed;
                let transcript = transcript(header, partials, &world).await?;
                let (book, mut statements) = (world.ledger.current_book().await?, Vec::new());
                let mut stopped = Vec::new();
                for owner in cast.owners.iter_mut().filter(|o| invited(o.donation()) && here(&o.party.name)) {
                    for duty in owner.duties(&book, &world).await? {
                        // Whoever catches up says of earlier rounds what is carried without it.
                        let now = matches!(duty, OwnerDuty::OpenSum { round, .. } if round == header.fields().round);
                        match owner.perform(duty, &world).await {
                            Ok(Some(Tell::State(said))) if now => statements.push(said),
                            Ok(_) => {}
                            // It follows no further; the others go on without it, if they are enough.
                            Err(NodeError::Enclave(why)) => {
                                let why = histone_protocol::with_causes(&why);
                                stopped.push((owner.party.name.clone(), why));
                                break;
                            }
                            Err(error) => return Err(error),
                        }
                    }
                }
                let trainer = main_trainer(cast, study)?;
                let Agreed { carried, dropped, .. } = trainer.agree(header, statements, &world).await?;
                for member in &mut cast.committee {
                    member.name_found_wrong(header, &carried, &world).await?;
                }
                let names = Names { state: carried.state.0, next: carried.next.0 };
                let rounds = rounds + 1;
                let after = match Asked::sealed(&plan, rounds, names) {
                    Some(asked) => After::Next(Course::Sealed(Box::new(Sealed { plan, rounds, asked }))),
                    None if names == no_model() => After::NoModel,
                    None => After::Ended(Box::new(released(&plan, &carried, cast, here)?)),
                };
                Ok(Finished { transcript, after, carried: Some(carried), stopped, dropped })
            }
        }
    }
}

/// The first of the enclaves in the last sum that is there publishes what is released; all of them would publish the same.
fn released(
    plan: &Plan,
    carried: &Carried,
    cast: &mut Cast,
    here: &dyn Fn(&str) -> bool,
) -> Result<Ended, NodeError> {
    let world = cast.world.clone();
    let speaks =
        |donation: Option<(_, u16)>| donation.is_some_and(|(_, donor)| carried.signers.contains(&donor));
    let owner = cast.owners.iter_mut().find(|o| speaks(o.donation()) && here(&o.party.name));
    let owner = owner.ok_or_else(|| NodeError::Message("no enclave is there to release the model".into()))?;
    let (document, blob) = owner.release_model(&world)?;
    if document != carried.next {
        return Err(NodeError::Message(format!(
            "`{}` releases {document}, the enclaves have signed {}",
            owner.party.name, carried.next
        )));
    }
    let read = Released::from_bytes(&world.blobs.get(document)?);
    let read = read.map_err(|e| NodeError::Message(format!("the release cannot be read: {e}")))?;
    let model = match plan.model {
        Release::Public => Some(Model::from_bytes(&world.blobs.get(blob)?).map_err(NodeError::round)?),
        Release::Participants | Release::Sealed => None,
    };
    Ok(Ended { model, facts: read.facts, model_hash: carried.state, model_blob: blob })
}

/// What the run record says of a round.
pub(super) fn record(
    round: u32,
    stage: &str,
    header: B256,
    transcript: &RoundTranscript,
    partials: &[B256],
) -> RoundRecord {
    let updates: BTreeMap<u16, B256> =
        transcript.survivors.iter().map(|(donor, blob)| (*donor, blob.hash())).collect();
    RoundRecord { round, stage: stage.into(), header, updates, partials: partials.to_vec() }
}
