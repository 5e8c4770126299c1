//! A runner: operates the enclaves that validate data and answer queries.

use std::collections::BTreeMap;
use std::fmt;

use histone_contracts::book::{Book, QueryState, Role};
use histone_enclave::instance::SealedDataset;
use histone_enclave::query::{Given, QueryEnclave};
use histone_enclave::validation::ValidationEnclave;
use histone_program_sdk::wire::Wire;
use histone_protocol::dataset::SealedKey;
use histone_protocol::disclosure::Release;
use histone_protocol::{Address, B256, Bytes};

use super::mail::{Body, Read};
use super::owner::program;
use super::{Done, Node, Part, host};
use crate::committee::shown_blob;
use crate::duties;
use crate::error::NodeError;
use crate::plan;
use crate::recompute;
use crate::runner::Runner;
use crate::store::Question;
use crate::study::Tokens;

/// Keys of one model that are kept: a wrong one is passed over.
const MOST_KEYS: usize = 16;
/// Owners who are asked for the key of a sealed model; the first who answers is enough.
const ASKED: usize = 3;

#[derive(Default)]
pub(super) struct RunnerPart {
    validation: Option<ValidationEnclave>,
    queries: BTreeMap<u64, QueryEnclave>,
}

#[derive(Debug, Clone)]
pub(super) enum Duty {
    /// Start an enclave that validates.
    StartValidation(B256),
    /// Validate a dataset that was sent.
    Validate(Box<Sent>),
    /// Answer for a model, as its trainer asks.
    Serve { letter: B256, trainer: Address, model: u64 },
    /// Keep the key of a sealed model.
    Key { letter: B256, from: Address, model: u64, enclave: Address, sealed: Bytes },
    /// Have the query enclave answer, and settle.
    Answer { letter: B256, model: u64, query: B256, sealed: Bytes },
}

#[derive(Debug, Clone)]
pub(super) struct Sent {
    letter: B256,
    owner: Address,
    enclave: Address,
    dataset: B256,
    root: B256,
    replaces: B256,
    ciphertext: B256,
    key: Bytes,
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Duty::StartValidation(measurement) => write!(f, "start a validation enclave of {measurement}"),
            Duty::Validate(sent) => {
                write!(f, "validate dataset {} of {} (letter {})", sent.dataset, sent.owner, sent.letter)
            }
            Duty::Serve { model, .. } => write!(f, "answer for model {model}"),
            Duty::Key { model, letter, .. } => write!(f, "keep the key of model {model} (letter {letter})"),
            Duty::Answer { query, letter, .. } => write!(f, "answer query {query} (letter {letter})"),
        }
    }
}

impl Part for RunnerPart {
    type Duty = Duty;
    const LOOK: &'static str = "see what is asked of the runner";

    async fn duties(&mut self, book: &Book, node: &Node, _: u64) -> Result<Vec<Duty>, NodeError> {
        let mut duties = Vec::new();
        if let Some(measurement) = duties::runner::validation(book, node.party.account(), is_kept(node))
            && node.bundled.has(measurement)
        {
            duties.push(Duty::StartValidation(measurement));
        }
        let asked = |Read { id: letter, from, body }: Read| match body {
            Body::Validate { enclave, dataset, root, replaces, ciphertext, key } => {
                let owner = from;
                let sent = Sent { letter, owner, enclave, dataset, root, replaces, ciphertext, key };
                Some(Duty::Validate(Box::new(sent)))
            }
            Body::Serve { model } => Some(Duty::Serve { letter, trainer: from, model }),
            Body::ModelKey { model, enclave, sealed } => {
                Some(Duty::Key { letter, from, model, enclave, sealed })
            }
            Body::Question { model, query, sealed, .. } => {
                Some(Duty::Answer { letter, model, query, sealed })
            }
            _ => None,
        };
        let mut asked: Vec<Duty> = node.letters(book)?.into_iter().filter_map(asked).collect();
        // A key that has come is what a model waits for.
        asked.sort_by_key(|duty| !matches!(duty, Duty::Key { .. }));
        duties.extend(asked);
        Ok(duties)
    }

    async fn perform(&mut self, duty: Duty, node: &Node, now: u64) -> Result<Done, NodeError> {
        match duty {
            Duty::StartValidation(_) => {
                self.validation(node).await?;
            }
            Duty::Validate(sent) => return self.validate(*sent, node, now).await,
            Duty::Serve { letter, trainer, model } => {
                return self.serve(letter, trainer, model, node, now).await;
            }
            Duty::Key { letter, from, model, enclave, sealed } => {
                let book = node.world.ledger.current_book().await?;
                // They alone have it, and each sends it once.
                if duties::runner::holders(&book, model).contains(&from) {
                    keep_key(model, enclave, sealed, node)?;
                }
                node.store.read(letter, now)?;
            }
            Duty::Answer { letter, model, query, sealed } => {
                return self.answer(letter, model, query, &sealed, node, now).await;
            }
        }
        Ok(Done::Yes)
    }
}

/// Whether an enclave was started by this node.
fn is_kept(node: &Node) -> impl Fn(Address) -> bool {
    |enclave| matches!(node.party.evidence_of(enclave), Ok(Some(_)))
}

/// Where keys of a model are kept that were sealed to a query enclave.
fn model_key(model: u64, enclave: Address) -> String {
    format!("model-key/{model}/{enclave:x}")
}

/// The keys of a model that were sealed to a query enclave.
fn keys(model: u64, enclave: Address, node: &Node) -> Result<Vec<Bytes>, NodeError> {
    let kept = node.store.get(&model_key(model, enclave))?.unwrap_or_default();
    Ok(serde_json::from_slice(&kept).unwrap_or_default())
}

/// Keeps a key of a model that was sealed to a query enclave. Whether it is the right one shows when it is installed; the first one
/// that is stays.
pub(super) fn keep_key(model: u64, enclave: Address, sealed: Bytes, node: &Node) -> Result<(), NodeError> {
    let mut keys = keys(model, enclave, node)?;
    if !keys.contains(&sealed) && keys.len() < MOST_KEYS {
        keys.push(sealed);
        let bytes = serde_json::to_vec(&keys).map_err(|e| NodeError::Message(e.to_string()))?;
        node.store.put(&model_key(model, enclave), &bytes)?;
    }
    Ok(())
}

impl RunnerPart {
    pub(super) fn query_enclave(&self, model: u64) -> Option<&QueryEnclave> {
        self.queries.get(&model)
    }

    /// Ends an enclave that has newer evidence; it comes back as after a restart, when it is needed.
    pub(super) fn stop(&mut self, enclave: Address) {
        self.validation.take_if(|own| own.instance().keys().receipt == enclave);
        self.queries.retain(|_, own| own.instance().keys().receipt != enclave);
    }

    pub(super) fn runner(node: &Node) -> Result<Runner, NodeError> {
        let device = node.device()?.ok_or_else(|| {
            NodeError::Message("the network's vendor has not certified the device of this node yet".into())
        })?;
        Ok(Runner::new(node.party.clone(), device))
    }

    /// The validation enclave, started or resumed.
    async fn validation(&mut self, node: &Node) -> Result<&ValidationEnclave, NodeError> {
        let book = node.world.ledger.current_book().await?;
        let own = node.party.account();
        let live = self.validation.as_ref().map(|enclave| enclave.instance().keys().receipt);
        let is_live = |signer| {
            let state = book.enclaves.get(&signer).map(|e| e.state);
            state == Some(histone_contracts::book::EnclaveState::Live)
        };
        if live.is_none_or(|signer| !is_live(signer)) {
            let registered = book.enclaves.iter().rfind(|e| {
                e.operator == own && e.kind == histone_contracts::book::Kind::Validation && is_live(e.signer)
            });
            let measurement = registered
                .map(|e| e.measurement)
                .or_else(|| duties::runner::validation(&book, own, is_kept(node)))
                .ok_or_else(|| NodeError::Message("no validation program is allowed yet".into()))?;
            let program = program(node, measurement)?;
            self.validation = Some(Self::runner(node)?.validation_enclave(program, &node.world).await?);
        }
        self.validation.as_ref().ok_or_else(|| NodeError::Message("there is no validation enclave".into()))
    }

    async fn validate(&mut self, sent: Sent, node: &Node, now: u64) -> Result<Done, NodeError> {
        let Sent { letter, owner, enclave, dataset, root, replaces, ciphertext, key } = sent;
        let book = node.world.ledger.current_book().await?;
        if !book.members.get(&owner).is_some_and(|m| m.member && m.roles.contains(&Role::Owner)) {
            node.store.read(letter, now)?;
            return Ok(Done::Yes);
        }
        let validating = self.validation(node).await?;
        let own = validating.instance().keys().receipt;
        let mut purpose = format!("validated/{owner:x}/{dataset:x}/{root:x}/{enclave:x}");
        if !replaces.is_zero() {
            // As a version of another one it has another receipt.
            purpose = format!("{purpose}/{replaces:x}");
        }
        let answer = if own == enclave {
            let ciphertext = node.world.blobs.get(ciphertext)?;
            let key = SealedKey::from_bytes(key.to_vec());
            let sealed = SealedDataset { id: dataset, owner, root, replaces, ciphertext, key };
            match validating.validate(&sealed, &node.world.ledger, &node.world.evidence()).await {
                Ok(validated) => {
                    node.world.blobs.put(&validated.notice)?;
                    Body::Validated {
                        dataset,
                        enclave,
                        root: validated.root,
                        report: node.world.blobs.put(&validated.report)?,
                        rows: validated.receipt.rows,
                        quality: validated.receipt.quality,
                        replaces: validated.receipt.replaces,
                        signature: validated.signature,
                    }
                }
                Err(error) => {
                    let why = histone_protocol::with_causes(&error);
                    Body::NotValidated { dataset, why }
                }
            }
        } else {
            Body::NotValidated {
                dataset,
                why: format!("this runner runs the enclave {own} and not {enclave}"),
            }
        };
        let validated = matches!(answer, Body::Validated { .. });
        node.write(owner, &purpose, &answer, now).await?;
        node.store.read(letter, now)?;
        if validated {
            // Nobody here needs the encrypted table any more.
            node.world.blobs.forget(ciphertext)?;
        }
        Ok(Done::Yes)
    }

    async fn serve(
        &mut self,
        letter: B256,
        trainer: Address,
        model: u64,
        node: &Node,
        now: u64,
    ) -> Result<Done, NodeError> {
        let book = node.world.ledger.current_book().await?;
        let Some(m) = book.models.get(&model).filter(|m| m.trainer == trainer) else {
            // Of somebody else's model, or of none: whoever writes knows no more of the ledger than this node.
            node.store.read(letter, now)?;
            return Ok(Done::Yes);
        };
        let Some(hash) = m.model_hash else { return Ok(Done::NotYet) };
        let question = Question {
            key: format!("serve/{model}"),
            kind: "serve".into(),
            title: format!("answer the queries of model {model}?"),
            text: format!(
                "{trainer} asks this node to answer the queries of model {model}. Each pays {} % of {} tokens.",
                f64::from(m.terms.runner_bps) / 100.0,
                Tokens::from_micro(m.terms.query_price.0.saturating_to())
            ),
            facts: serde_json::json!({ "model": model, "trainer": trainer }),
            due: None,
        };
        match node.ask(&question, now)? {
            None => return Ok(Done::NotYet),
            Some(answer) if !answer.yes => {}
            Some(_) => {
                let Some(enclave) = self.query(model, hash, &book, node, now).await? else {
                    return Ok(Done::NotYet);
                };
                let purpose = format!("serving/{model}/{enclave:x}");
                node.write(trainer, &purpose, &Body::Serving { model, enclave }, now).await?;
            }
        }
        node.store.read(letter, now)?;
        Ok(Done::Yes)
    }

    /// The query enclave of a model with its model in it; nothing as long as nobody has handed over the key.
    async fn query(
        &mut self,
        model: u64,
        hash: B256,
        book: &Book,
        node: &Node,
        now: u64,
    ) -> Result<Option<Address>, NodeError> {
        if let Some(there) = self.queries.get(&model) {
            return Ok(Some(there.instance().keys().receipt));
        }
        let world = &node.world;
        let plan = plan::of_model(model, world).await?;
        let (mut runner, answering) = (Self::runner(node)?, program(node, plan.programs.query)?);
        let instance = runner.query_enclave(answering.clone(), model, hash, world).await?;
        let signer = instance.keys().receipt;
        if runner.has_model(signer)? {
            let again = runner.resume_query(answering, model, hash, signer, world).await?;
            self.queries.insert(model, again);
            return Ok(Some(signer));
        }
        let enclave = match (plan.disclosure.is_sealed(), plan.disclosure.model) {
            (false, _) => {
                let computed = recompute::model(model, world).await?.model.to_bytes();
                runner.install_model(instance, model, Given::Public(&computed), world).await?
            }
            (true, release) => {
                let document = recompute::signed_document(model, world).await?;
                let document = shown_blob(document, world, || "what its enclaves have released".into())?;
                let document = histone_enclave::release::Released::from_bytes(&document)
                    .map_err(|e| NodeError::Message(format!("the release cannot be read: {e}")))?;
                let blob = shown_blob(document.model, world, || "the model that was released".into())?;
                if release == Release::Public {
                    runner.install_model(instance, model, Given::Public(&blob), world).await?
                } else {
                    let own = node.party.account();
                    let holders = if duties::runner::hosts(book, model, own) {
                        host::ask_for(model, signer, own, node)?;
                        Vec::new()
                    } else {
                        duties::runner::holders(book, model)
                    };
                    for owner in holders.into_iter().take(ASKED) {
                        let purpose = format!("want/{model}/{signer:x}/{owner:x}");
                        let body = Body::WantModel { model, enclave: signer };
                        node.write(owner, &purpose, &body, now).await?;
                    }
                    let mut opened = None;
                    for key in &keys(model, signer, node)? {
                        let instance = runner.query_enclave(answering.clone(), model, hash, world).await?;
                        let given = Given::Sealed { blob: &blob, key };
                        match runner.install_model(instance, model, given, world).await {
                            Ok(enclave) => {
                                opened = Some(enclave);
                                break;
                            }
                            // It may be the wrong key of a liar.
                            Err(NodeError::Enclave(_)) => {}
                            Err(error) => return Err(error),
                        }
                    }
                    let Some(enclave) = opened else { return Ok(None) };
                    enclave
                }
            }
        };
        self.queries.insert(model, enclave);
        Ok(Some(signer))
    }

    async fn answer(
        &mut self,
        letter: B256,
        model: u64,
        query: B256,
        sealed: &Bytes,
        node: &Node,
        now: u64,
    ) -> Result<Done, NodeError> {
        let book = node.world.ledger.current_book().await?;
        let bought = book.queries.get(&query).filter(|q| q.model == model);
        let is_own = |enclave: &Address| {
            book.enclaves.get(enclave).is_some_and(|e| e.operator == node.party.account())
        };
        let open =
            bought.is_some_and(|q| q.state == QueryState::Funded && now <= q.deadline && is_own(&q.enclave));
        let Some(hash) = book.models.get(&model).and_then(|m| m.model_hash).filter(|_| open) else {
            // Settled, refunded, or never paid for.
            node.store.read(letter, now)?;
            return Ok(Done::Yes);
        };
        let Some(_) = self.query(model, hash, &book, node, now).await? else { return Ok(Done::NotYet) };
        let enclave = self.queries.get(&model);
        let enclave =
            enclave.ok_or_else(|| NodeError::Message(format!("no enclave answers for model {model}")))?;
        let answer = match enclave.answer(sealed, &node.world.ledger).await {
            Ok(answer) => answer,
            Err(error) => {
                // Whoever has paid asks with a letter of its own.
                let why = histone_protocol::with_causes(&error);
                node.say(now, "query", &format!("a question for query {query} is not answered: {why}"))?;
                node.store.read(letter, now)?;
                return Ok(Done::Yes);
            }
        };
        Self::runner(node)?.settle(&answer, &node.world).await?;
        node.store.read(letter, now)?;
        Ok(Done::Yes)
    }
}
