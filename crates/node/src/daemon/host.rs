//! A runner that operates the one enclave to which all data of a model is brought.
//!
//! The trainer asks for it by letter, owners bring their data by letter, and what it owes from then on follows from the ledger
//! ([`crate::duties::of_host`]). The enclave keeps what it was given with the runner; what it has told whom is in the memory.

use std::collections::{BTreeMap, btree_map::Entry};
use std::fmt;

use histone_contracts::book::{Book, DatasetState, Enclave, Kind, Model, ModelState};
use histone_contracts::roles;
use histone_enclave::instance::{EnclaveError, SealedDataset};
use histone_enclave::training::DonationTerms;
use histone_protocol::dataset::SealedKey;
use histone_protocol::disclosure::Release;
use histone_protocol::{Address, B256, Bytes};

use super::mail::{Body, Read};
use super::owner::program;
use super::runner::{RunnerPart, keep_key};
use super::{Done, Node, Part, evidence};
use crate::duties::{self, HostDone, HostDuty};
use crate::error::NodeError;
use crate::owner::consent;
use crate::plan;
use crate::runner::{Host, HostTell};
use crate::store::Question;

/// Enclaves that ask for one model and are remembered; each has to be on the ledger.
const MOST_ASKING: usize = 256;

#[derive(Default)]
pub(super) struct HostPart {
    hosts: BTreeMap<u64, Host>,
}

#[derive(Debug, Clone)]
pub(super) enum Duty {
    /// Start an enclave for the data of a model, as its trainer asks.
    Start { letter: B256, trainer: Address, model: u64 },
    /// Give it the module that its trainer has sealed to it.
    Load { letter: B256, trainer: Address, model: u64, enclave: Address, sealed: B256 },
    /// Give it the data that an owner has sealed to it.
    Admit(Box<Brought>),
    /// Remember which query enclave asks for a model.
    Asked { letter: B256, runner: Address, model: u64, query: Address },
    /// What is owed for it.
    Owed { model: u64, duty: HostDuty },
}

/// Data that was brought.
#[derive(Debug, Clone)]
pub(super) struct Brought {
    letter: B256,
    owner: Address,
    model: u64,
    enclave: Address,
    dataset: B256,
    root: B256,
    ciphertext: B256,
    key: Bytes,
    payee: Address,
    decision: B256,
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Duty::Start { model, letter, .. } => {
                write!(f, "start the enclave for all data of model {model} (letter {letter})")
            }
            Duty::Load { model, letter, .. } => {
                write!(f, "give the enclave of model {model} its module (letter {letter})")
            }
            Duty::Admit(b) => {
                write!(f, "take dataset {} in for model {} (letter {})", b.dataset, b.model, b.letter)
            }
            Duty::Asked { model, query, letter, .. } => {
                write!(f, "note that {query} asks for model {model} (letter {letter})")
            }
            Duty::Owed { duty, .. } => match duty {
                HostDuty::Forget { model, donor } => {
                    write!(f, "have the enclave of model {model} forget the data of donor {donor}")
                }
                HostDuty::EndUse { model, donor } => {
                    write!(f, "end the use of donor {donor} in model {model}")
                }
                HostDuty::Train { model } => write!(f, "have the enclave of model {model} train"),
                HostDuty::Destroy { model } => {
                    write!(f, "have the enclave of model {model} destroy all data")
                }
                HostDuty::Release { model } => {
                    write!(f, "publish what the enclave of model {model} releases")
                }
                HostDuty::HandModel { model, query } => {
                    write!(f, "hand model {model} to the enclave {query}")
                }
            },
        }
    }
}

/// Where it is kept which enclave was started for a model.
fn started(model: u64) -> String {
    format!("host/enclave/{model}")
}

fn asked(model: u64) -> String {
    format!("host/asked/{model}")
}

fn handed(model: u64, query: Address) -> String {
    format!("host/handed/{model}/{query:x}")
}

fn forgotten(model: u64, donor: u16) -> String {
    format!("host/forgotten/{model}/{donor}")
}

/// The query enclaves that have asked for a model, with who runs them.
fn asking(model: u64, node: &Node) -> Result<Vec<(Address, Address)>, NodeError> {
    let kept = node.store.get(&asked(model))?.unwrap_or_default();
    Ok(serde_json::from_slice(&kept).unwrap_or_default())
}

/// Keeps that a query enclave of this runner's asks for a model that was made in an enclave of this node's.
pub(super) fn ask_for(model: u64, query: Address, runner: Address, node: &Node) -> Result<(), NodeError> {
    let mut all = asking(model, node)?;
    if all.iter().any(|(known, _)| *known == query) || all.len() >= MOST_ASKING {
        return Ok(());
    }
    all.push((query, runner));
    let bytes = serde_json::to_vec(&all).map_err(|e| NodeError::Message(e.to_string()))?;
    Ok(node.store.put(&asked(model), &bytes)?)
}

/// Whether a letter that asks for a model is for the one enclave of this node's, and not for an owner in it.
pub(super) fn is_asked(model: u64, book: &Book, node: &Node) -> bool {
    let has = |role: u8| node.roles & role != 0;
    // What neither has a use for is read here.
    has(roles::RUNNER) && (duties::runner::hosts(book, model, node.party.account()) || !has(roles::OWNER))
}

/// What was done for a model.
fn done(model: &Model, book: &Book, node: &Node) -> Result<HostDone, NodeError> {
    let id = model.model;
    let mut done = HostDone {
        trained: node.marked(&format!("host/made/{id}"))?,
        destroyed: node.marked(&format!("host/destroyed/{id}"))?,
        released: node.marked(&format!("host/released/{id}"))?,
        ..HostDone::default()
    };
    let withdrawn = |d: &B256| book.datasets.get(d).is_some_and(|d| d.state != DatasetState::Registered);
    for donor in model.donors.iter().filter(|d| withdrawn(&d.dataset)) {
        if node.marked(&forgotten(id, donor.donor))? {
            done.forgotten.insert(donor.donor);
        }
    }
    for (query, _) in asking(id, node)? {
        done.asked.insert(query);
        if node.marked(&handed(id, query))? {
            done.answered.insert(query);
        }
    }
    Ok(done)
}

impl Part for HostPart {
    type Duty = Duty;
    const LOOK: &'static str = "see what is owed for enclaves that have all data";

    async fn duties(&mut self, book: &Book, node: &Node, _: u64) -> Result<Vec<Duty>, NodeError> {
        let read = |Read { id: letter, from, body }: Read| match body {
            Body::Host { model } => Some(Duty::Start { letter, trainer: from, model }),
            Body::Module { model, enclave, sealed } => {
                Some(Duty::Load { letter, trainer: from, model, enclave, sealed })
            }
            Body::Bring { model, enclave, dataset, root, ciphertext, key, payee, decision } => {
                let owner = from;
                Some(Duty::Admit(Box::new(Brought {
                    letter,
                    owner,
                    model,
                    enclave,
                    dataset,
                    root,
                    ciphertext,
                    key,
                    payee,
                    decision,
                })))
            }
            Body::WantModel { model, enclave } if is_asked(model, book, node) => {
                Some(Duty::Asked { letter, runner: from, model, query: enclave })
            }
            _ => None,
        };
        let mut duties: Vec<Duty> = node.letters(book)?.into_iter().filter_map(read).collect();
        let own = node.party.account();
        for model in book.models.iter().filter(|m| m.host.as_ref().is_some_and(|h| h.runner == own)) {
            // An account may run an enclave without this node, such as before the node was there.
            if node.store.get(&started(model.model))?.is_none() {
                continue;
            }
            let owed = duties::of_host(book, model.model, &done(model, book, node)?);
            duties.extend(owed.into_iter().map(|duty| Duty::Owed { model: model.model, duty }));
        }
        Ok(duties)
    }

    async fn perform(&mut self, duty: Duty, node: &Node, now: u64) -> Result<Done, NodeError> {
        match duty {
            Duty::Start { letter, trainer, model } => self.start((letter, trainer, model), node, now).await,
            Duty::Load { letter, trainer, model, enclave, sealed } => {
                self.load((letter, trainer, model), (enclave, sealed), node, now).await
            }
            Duty::Admit(brought) => self.admit(*brought, node, now).await,
            Duty::Asked { letter, runner, model, query } => {
                let book = node.world.ledger.current_book().await?;
                let is_its = |e: &Enclave| e.kind == Kind::Query && e.operator == runner;
                if duties::runner::hosts(&book, model, node.party.account())
                    && book.enclaves.get(&query).is_some_and(is_its)
                {
                    ask_for(model, query, runner, node)?;
                }
                node.store.read(letter, now)?;
                Ok(Done::Yes)
            }
            Duty::Owed { model, duty } => self.owed(model, duty, node, now).await,
        }
    }
}

/// A model that recruits, whose trainer this is and which has no enclave yet.
fn unhosted(book: &Book, model: u64, trainer: Address) -> Option<&Model> {
    let open = |m: &&Model| {
        m.trainer == trainer
            && m.state == ModelState::Recruiting
            && m.host.is_none()
            && duties::in_one_enclave(m)
    };
    book.models.get(&model).filter(open)
}

/// Whether an enclave refuses for good, and not because its operator's machine or the ledger does not work now.
fn is_refusal(error: &EnclaveError) -> bool {
    !matches!(error, EnclaveError::Ledger(_) | EnclaveError::Storage(_) | EnclaveError::Store(_))
}

impl HostPart {
    /// As [`RunnerPart::stop`].
    pub(super) fn stop(&mut self, enclave: Address) {
        self.hosts.retain(|_, own| own.enclave.instance().keys().receipt != enclave);
    }

    async fn start(
        &mut self,
        (letter, trainer, model): (B256, Address, u64),
        node: &Node,
        now: u64,
    ) -> Result<Done, NodeError> {
        let book = node.world.ledger.current_book().await?;
        let Some(m) = unhosted(&book, model, trainer) else {
            // Of somebody else's model, or too late.
            node.store.read(letter, now)?;
            return Ok(Done::Yes);
        };
        let question = Question {
            key: format!("host/{model}"),
            kind: "host".into(),
            title: format!("run the one enclave that has all data of model {model}?"),
            text: format!(
                "{trainer} asks this node to run the enclave to which up to {} owners bring their data for model {model}. It keeps their data, encrypted, in this node's directory until the model is made or given up.",
                m.terms.max_donors
            ),
            facts: serde_json::json!({ "model": model, "trainer": trainer }),
            due: None,
        };
        let Some(answer) = node.ask(&question, now)? else { return Ok(Done::NotYet) };
        let answer = match answer.yes {
            true => self.started(model, node).await?,
            false => Body::NotHosting { model, why: answer.because },
        };
        node.write(trainer, &format!("hosting/{model}"), &answer, now).await?;
        node.store.read(letter, now)?;
        Ok(Done::Yes)
    }

    /// Starts the enclave, or finds it. Gives what its trainer is told.
    async fn started(&mut self, model: u64, node: &Node) -> Result<Body, NodeError> {
        let plan = plan::of_model(model, &node.world).await?;
        if !plan.disclosure.in_one_enclave() {
            return Ok(Body::NotHosting { model, why: "its plan has an enclave of each owner's".into() });
        }
        let runner = RunnerPart::runner(node)?;
        let waits = plan.disclosure.is_closed();
        let enclave = if waits {
            runner.waiting_host_for(model, &node.world).await?.identity().keys().receipt
        } else if node.bundled.has(plan.programs.training) {
            let program = program(node, plan.programs.training)?;
            let host = match runner.host_for(program, model, &node.world).await {
                Err(NodeError::Enclave(error)) if is_refusal(&error) => {
                    return Ok(Body::NotHosting { model, why: histone_protocol::with_causes(&error) });
                }
                host => host?,
            };
            let enclave = host.enclave.instance().keys().receipt;
            self.hosts.insert(model, host);
            enclave
        } else {
            let why =
                format!("its method {} does not come with this runner's version", plan.programs.training);
            return Ok(Body::NotHosting { model, why });
        };
        node.store.put(&started(model), enclave.as_slice())?;
        Ok(Body::Hosting { model, enclave, waits })
    }

    async fn load(
        &mut self,
        (letter, trainer, model): (B256, Address, u64),
        (enclave, sealed): (Address, B256),
        node: &Node,
        now: u64,
    ) -> Result<Done, NodeError> {
        let book = node.world.ledger.current_book().await?;
        let own = node.store.get(&started(model))?;
        let waits = own.is_some_and(|own| own == enclave.as_slice());
        if !waits
            || unhosted(&book, model, trainer).is_none()
            || !plan::of_model(model, &node.world).await?.disclosure.is_closed()
        {
            // By somebody who is not its trainer, too late, or for an enclave that waits for no module.
            node.store.read(letter, now)?;
            return Ok(Done::Yes);
        }
        let Some(module) = evidence::ask(sealed, node)? else {
            node.soon.ask();
            return Ok(Done::NotYet);
        };
        let runner = RunnerPart::runner(node)?;
        let waiting = runner.waiting_host_for(model, &node.world).await?;
        let answer = match runner.load_host(waiting, &module, model, &node.world).await {
            Ok(host) => {
                self.hosts.insert(model, host);
                Body::Hosting { model, enclave, waits: false }
            }
            Err(NodeError::Enclave(error)) if is_refusal(&error) => {
                Body::NotHosting { model, why: histone_protocol::with_causes(&error) }
            }
            Err(error) => return Err(error),
        };
        let loaded = matches!(answer, Body::Hosting { .. });
        node.write(trainer, &format!("loaded/{model}/{enclave:x}"), &answer, now).await?;
        node.store.read(letter, now)?;
        if loaded {
            node.world.blobs.forget(sealed)?;
        }
        Ok(Done::Yes)
    }

    /// The enclave that the ledger names for a model, started again where this process has not started it.
    async fn host(&mut self, model: u64, node: &Node) -> Result<&mut Host, NodeError> {
        let place = match self.hosts.entry(model) {
            Entry::Occupied(there) => return Ok(there.into_mut()),
            Entry::Vacant(place) => place,
        };
        let book = node.world.ledger.current_book().await?;
        let named = book.models.get(&model).and_then(|m| m.host.as_ref()).map(|host| host.enclave);
        let none = || NodeError::Message(format!("no enclave is named for the data of model {model}"));
        let signer = named.ok_or_else(none)?;
        let plan = plan::of_model(model, &node.world).await?;
        let runner = RunnerPart::runner(node)?;
        let host = if plan.disclosure.is_closed() {
            runner.resume_closed_host(model, signer, &node.world).await?
        } else {
            runner.resume_host(program(node, plan.programs.training)?, model, signer, &node.world).await?
        };
        Ok(place.insert(host))
    }

    async fn admit(&mut self, brought: Brought, node: &Node, now: u64) -> Result<Done, NodeError> {
        let Brought { letter, owner, model, enclave, dataset, root, .. } = brought;
        let book = node.world.ledger.current_book().await?;
        let own = node.party.account();
        let m = book.models.get(&model);
        let hosted = m.filter(|m| m.host.as_ref().is_some_and(|h| (h.runner, h.enclave) == (own, enclave)));
        let brings_own = book.datasets.get(&dataset).is_some_and(|d| (d.owner, d.root) == (owner, root));
        let Some(m) = hosted.filter(|_| brings_own) else {
            // For another model or enclave, or data that is not this member's.
            node.store.read(letter, now)?;
            return Ok(Done::Yes);
        };
        let answer = if m.state == ModelState::Recruiting {
            match self.taken(&brought, node).await? {
                Some(answer) => answer,
                None => return Ok(Done::NotYet),
            }
        } else {
            let why = "the model does not recruit any more".into();
            Body::NotBrought { model, dataset, why }
        };
        let taken = matches!(answer, Body::Brought { .. });
        node.write(owner, &format!("brought/{model}/{dataset:x}"), &answer, now).await?;
        node.store.read(letter, now)?;
        if taken {
            node.world.blobs.forget(brought.ciphertext)?;
        }
        Ok(Done::Yes)
    }

    /// What the enclave says to data for a model that recruits; nothing as long as the data is not shown.
    async fn taken(&mut self, brought: &Brought, node: &Node) -> Result<Option<Body>, NodeError> {
        let &Brought { owner, model, dataset, root, ciphertext, payee, decision, .. } = brought;
        let (Some(ciphertext), Some(_)) = (evidence::ask(ciphertext, node)?, evidence::ask(decision, node)?)
        else {
            node.soon.ask();
            return Ok(None);
        };
        let consent = consent(dataset, model, decision, &node.world).await?;
        let key = SealedKey::from_bytes(brought.key.to_vec());
        let sealed = SealedDataset { id: dataset, owner, root, replaces: B256::ZERO, ciphertext, key };
        let host = self.host(model, node).await?;
        let terms = DonationTerms { payee, consent };
        Ok(Some(match host.enclave.admit(&sealed, terms, &node.world.ledger).await {
            Ok(donation) => Body::Brought { model, dataset, signature: donation.signature },
            Err(error) if is_refusal(&error) => {
                Body::NotBrought { model, dataset, why: histone_protocol::with_causes(&error) }
            }
            Err(error) => return Err(error.into()),
        }))
    }

    async fn owed(&mut self, model: u64, duty: HostDuty, node: &Node, now: u64) -> Result<Done, NodeError> {
        let book = node.world.ledger.current_book().await?;
        let gone = || NodeError::Message(format!("the ledger has no model {model}"));
        let m = book.models.get(&model).ok_or_else(gone)?;
        if matches!(duty, HostDuty::Train { .. }) {
            // Who shows no evidence is not believed.
            evidence::fetch(model, &book, node).await?;
        }
        let runner = RunnerPart::runner(node)?;
        let host = self.host(model, node).await?;
        let told = runner.perform(duty, host, &node.world).await?;
        match (duty, told) {
            (_, Some(HostTell::Made(said))) => {
                let (unused, signature) = match said.finish {
                    Some((receipt, signature)) => (receipt.unused, Some(signature)),
                    None => (Vec::new(), None),
                };
                let body = Body::Made { model, statement: said.statement.into(), unused, signature };
                node.write(m.trainer, &format!("made/{model}"), &body, now).await?;
                node.mark(&format!("host/made/{model}"))?;
            }
            (_, Some(HostTell::Released { evaluations, .. })) => {
                if !evaluations.is_empty() {
                    let body = Body::SitesEvaluated { model, evaluations };
                    node.write(m.trainer, &format!("evaluated/{model}"), &body, now).await?;
                }
                let plan = plan::of_model(model, &node.world).await?;
                if plan.disclosure.model == Release::Participants {
                    self.share(m, &book, node, now).await?;
                }
                node.mark(&format!("host/released/{model}"))?;
            }
            (_, Some(HostTell::ModelKey { query, sealed })) => {
                let asking = asking(model, node)?;
                let runner = asking.into_iter().find(|(asks, _)| *asks == query).map(|(_, runner)| runner);
                match runner {
                    Some(runner) if runner == node.party.account() => {
                        keep_key(model, query, sealed.into(), node)?;
                    }
                    Some(runner) => {
                        let body = Body::ModelKey { model, enclave: query, sealed: sealed.into() };
                        node.write(runner, &handed(model, query), &body, now).await?;
                    }
                    None => {}
                }
                node.mark(&handed(model, query))?;
            }
            (HostDuty::Forget { donor, .. }, None) => node.mark(&forgotten(model, donor))?,
            (HostDuty::Destroy { .. }, None) => node.mark(&format!("host/destroyed/{model}"))?,
            _ => {}
        }
        Ok(Done::Yes)
    }

    /// Sends the key of a model for its participants to every owner whose data was used, and to the trainer.
    async fn share(&mut self, m: &Model, book: &Book, node: &Node, now: u64) -> Result<(), NodeError> {
        let model = m.model;
        // Whose data was not used is excluded since the market has the model.
        let used = m.donors.iter().filter(|d| !d.excluded);
        let mut to: Vec<Address> =
            used.filter_map(|d| Some(book.datasets.get(&d.dataset)?.owner)).chain([m.trainer]).collect();
        to.sort_unstable();
        to.dedup();
        let host = self.host(model, node).await?;
        for to in to {
            let sealed = host.enclave.share_model(to, &node.world.ledger).await?.into();
            node.write(to, &format!("shared/{model}/{to:x}"), &Body::Shared { model, sealed }, now).await?;
        }
        Ok(())
    }
}
