//! An owner whose data goes to the one enclave of a model, which somebody else runs.
//!
//! It looks at the enclave that the ledger names, seals the key of its data to it, and sends that to whoever runs it. The donation is
//! its own act: it registers what the enclave has signed.

use std::fmt;

use histone_access::Permit;
use histone_contracts::book::{Book, Model, ModelState};
use histone_contracts::roles;
use histone_enclave::instance::EnclaveError;
use histone_protocol::keys::SignatureBytes;
use histone_protocol::receipt::{self, DonationReceipt};
use histone_protocol::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};

use super::super::mail::{Body, Read};
use super::super::{Done, Node, evidence};
use super::{OwnerPart, answered, released_model, shared};
use crate::duties;
use crate::error::NodeError;
use crate::owner::{Decided, Given};
use crate::store::Level;

#[derive(Debug, Clone)]
pub(in super::super) enum Duty {
    /// Register the donation of data that the one enclave has.
    Donate { letter: B256, dataset: B256, model: u64, signature: SignatureBytes },
    /// Read that it does not take the data.
    NotBrought { letter: B256, dataset: B256, model: u64, why: String },
    /// Note that nothing came of data that was brought.
    NothingCame { dataset: B256, model: u64 },
    /// Take the model that is for the participants.
    Receive { letter: B256, model: u64, sealed: Bytes },
    /// Read what is of no use.
    Skip { letter: B256 },
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Duty::Donate { model, letter, .. } => {
                write!(f, "register the donation to model {model} (letter {letter})")
            }
            Duty::NotBrought { model, letter, .. } => {
                write!(f, "read why the data is not taken for model {model} (letter {letter})")
            }
            Duty::NothingCame { model, dataset } => {
                write!(f, "note that nothing came of {dataset} for model {model}")
            }
            Duty::Receive { model, letter, .. } => write!(f, "receive model {model} (letter {letter})"),
            Duty::Skip { letter } => write!(f, "read the letter {letter}"),
        }
    }
}

/// Data on its way to the one enclave of a model, as it was sealed first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bringing {
    enclave: Address,
    runner: Address,
    root: B256,
    ciphertext: B256,
    key: Bytes,
    payee: Address,
    decision: B256,
}

fn bringing(model: u64, dataset: B256) -> String {
    format!("bringing/{model}/{dataset:x}")
}

/// The mark of data that was taken, or of which it was noted that it was not.
fn ended(model: u64, dataset: B256) -> String {
    format!("brought/{model}/{dataset:x}")
}

fn kept(model: u64, dataset: B256, node: &Node) -> Result<Option<Bringing>, NodeError> {
    let kept = node.store.get(&bringing(model, dataset))?;
    Ok(kept.and_then(|kept| serde_json::from_slice(&kept).ok()))
}

/// Whether a key of a model for participants is for this party as an owner, and not as the model's trainer.
pub(in super::super) fn is_shared(model: u64, book: &Book, node: &Node) -> bool {
    let leads = book.models.get(&model).is_some_and(|m| m.trainer == node.party.account());
    let has = |role: u8| node.roles & role != 0;
    has(roles::OWNER) && !(has(roles::TRAINER) && leads)
}

/// What a letter by whoever runs the one enclave of a model asks for.
pub(super) fn of_letter(read: Read, book: &Book, node: &Node) -> Option<Duty> {
    let Read { id: letter, from, body } = read;
    let hosts = |model| duties::runner::hosts(book, model, from);
    Some(match body {
        Body::Brought { model, dataset, signature } if hosts(model) => {
            Duty::Donate { letter, dataset, model, signature }
        }
        Body::NotBrought { model, dataset, why } if hosts(model) => {
            Duty::NotBrought { letter, dataset, model, why }
        }
        Body::Shared { model, sealed } if is_shared(model, book, node) && hosts(model) => {
            Duty::Receive { letter, model, sealed }
        }
        Body::Shared { model, .. } if !is_shared(model, book, node) => return None,
        Body::Brought { .. } | Body::NotBrought { .. } | Body::Shared { .. } => Duty::Skip { letter },
        _ => return None,
    })
}

/// Models to whose enclaves a dataset was brought and which go on without it.
pub(super) fn nothing_came(book: &Book, dataset: B256, node: &Node) -> Result<Vec<Duty>, NodeError> {
    let mut duties = Vec::new();
    let without = |m: &&Model| {
        m.host.is_some() && m.state != ModelState::Recruiting && m.donors.iter().all(|d| d.dataset != dataset)
    };
    for model in book.models.iter().filter(without).map(|m| m.model) {
        if kept(model, dataset, node)?.is_some() && !node.marked(&ended(model, dataset))? {
            duties.push(Duty::NothingCame { dataset, model });
        }
    }
    Ok(duties)
}

/// Whether the owner's own rules are against it, or the enclave is not believed: what is said again when it is asked again.
fn is_refusal(error: &NodeError) -> bool {
    matches!(
        error,
        NodeError::Message(_)
            | NodeError::Appraisal(_)
            | NodeError::Enclave(EnclaveError::OtherVersion { .. })
    )
}

impl OwnerPart {
    /// Sends the data to the one enclave of a model, once it shows its evidence.
    pub(super) async fn bring(
        &mut self,
        (dataset, model): (B256, u64),
        permit: Permit,
        (decision, instant_payment): (B256, u64),
        node: &Node,
        now: u64,
    ) -> Result<Done, NodeError> {
        let bring = match kept(model, dataset, node)? {
            Some(kept) => kept,
            None => {
                let book = node.world.ledger.current_book().await?;
                let host = book.models.get(&model).and_then(|m| m.host.as_ref());
                let Some(host) = host else { return Ok(Done::NotYet) };
                let evidence = book.enclaves.get(&host.enclave).map(|e| e.evidence_hash);
                let shown = evidence.map(|hash| evidence::ask(hash, node)).transpose()?.flatten();
                if shown.is_none() {
                    node.soon.ask();
                    return Ok(Done::NotYet);
                }
                let decided = Decided { permit, decision, model_id: model, instant_payment };
                let given = self.owner(dataset)?.give(decided, Some(host.enclave), &node.world).await;
                let Given { enclave, sealed, terms } = match given {
                    Err(error) if is_refusal(&error) => {
                        let why = histone_protocol::with_causes(&error);
                        let text = format!("dataset {dataset} is not brought to model {model}: {why}");
                        node.store.note(now, Level::Warning, "model", &text)?;
                        // Why is nobody's business but the owner's.
                        let reasons = vec!["its owner's node does not bring the data to this enclave".into()];
                        let trainer = book.models.get(&model).map(|m| m.trainer).unwrap_or_default();
                        let body = Body::Declined { model, reasons };
                        node.write(trainer, &answered(model, dataset), &body, now).await?;
                        node.mark(&answered(model, dataset))?;
                        return Ok(Done::Yes);
                    }
                    given => given?,
                };
                let bring = Bringing {
                    enclave,
                    runner: host.runner,
                    root: sealed.root,
                    ciphertext: node.world.blobs.put(&sealed.ciphertext)?,
                    key: sealed.key.as_bytes().to_vec().into(),
                    payee: terms.payee,
                    decision,
                };
                // Another decision would be another donation than the one whose receipt comes back.
                let bytes = serde_json::to_vec(&bring).map_err(|e| NodeError::Message(e.to_string()))?;
                node.store.put(&bringing(model, dataset), &bytes)?;
                bring
            }
        };
        let Bringing { enclave, runner, root, ciphertext, key, payee, decision } = bring;
        let body = Body::Bring { model, enclave, dataset, root, ciphertext, key, payee, decision };
        node.write(runner, &bringing(model, dataset), &body, now).await?;
        node.mark(&answered(model, dataset))?;
        Ok(Done::Yes)
    }

    pub(super) async fn hosted(&mut self, duty: Duty, node: &Node, now: u64) -> Result<Done, NodeError> {
        match duty {
            Duty::Skip { letter } => node.store.read(letter, now)?,
            Duty::Donate { letter, dataset, model, signature } => {
                self.donate_brought((dataset, model), signature, node, now).await?;
                node.store.read(letter, now)?;
            }
            Duty::NotBrought { letter, dataset, model, why } => {
                self.not_brought((dataset, model), why, node, now).await?;
                node.store.read(letter, now)?;
            }
            Duty::NothingCame { dataset, model } => {
                self.owner(dataset)?.nothing_came()?;
                node.mark(&ended(model, dataset))?;
            }
            Duty::Receive { letter, model, sealed } => {
                receive(model, &sealed, node, now).await?;
                node.store.read(letter, now)?;
            }
        }
        Ok(Done::Yes)
    }

    /// Registers the donation, if the enclave has signed what was sent to it and the model still recruits.
    async fn donate_brought(
        &mut self,
        (dataset, model): (B256, u64),
        signature: SignatureBytes,
        node: &Node,
        now: u64,
    ) -> Result<(), NodeError> {
        let Some(bring) = kept(model, dataset, node)? else { return Ok(()) };
        let deployment = node.world.ledger.deployment();
        let receipt = DonationReceipt {
            modelId: U256::from(model),
            datasetId: dataset,
            root: bring.root,
            payee: bring.payee,
            decision: bring.decision,
        };
        let domain = receipt::domain(deployment.chain_id, deployment.market);
        if signature.recover(receipt::digest(&receipt, &domain)).ok() != Some(bring.enclave) {
            let text = format!(
                "the receipt for the data of model {model} is not signed by its enclave {}; it is not taken",
                bring.enclave
            );
            return Ok(node.store.note(now, Level::Warning, "model", &text)?);
        }
        let book = node.world.ledger.current_book().await?;
        let open = |m: &&Model| {
            m.state == ModelState::Recruiting
                && m.donors.iter().all(|d| d.dataset != dataset)
                && m.donors.len() < usize::from(m.terms.max_donors)
        };
        if book.models.get(&model).filter(open).is_some() {
            let taken = (bring.payee, bring.decision, signature);
            let owner = self.owner(dataset)?;
            owner.register_brought(model, bring.enclave, taken, &node.world).await?;
        }
        node.world.blobs.forget(bring.ciphertext)?;
        // It fits, whatever comes of it.
        node.mark(&ended(model, dataset))
    }

    async fn not_brought(
        &mut self,
        (dataset, model): (B256, u64),
        why: String,
        node: &Node,
        now: u64,
    ) -> Result<(), NodeError> {
        if kept(model, dataset, node)?.is_none() || node.marked(&ended(model, dataset))? {
            // Nothing was sent, or it is known what came of it.
            return Ok(());
        }
        let book = node.world.ledger.current_book().await?;
        let text = format!("the one enclave of model {model} does not take dataset {dataset}: {why}");
        node.store.note(now, Level::Warning, "model", &text)?;
        if let Some(m) = book.models.get(&model) {
            let body =
                Body::Declined { model, reasons: vec!["its one enclave does not take the data".into()] };
            node.write(m.trainer, &answered(model, dataset), &body, now).await?;
        }
        self.owner(dataset)?.nothing_came()?;
        node.mark(&ended(model, dataset))
    }
}

/// Takes a model that is for its participants, with the key that its one enclave has sealed to this party.
async fn receive(model: u64, sealed: &[u8], node: &Node, now: u64) -> Result<(), NodeError> {
    if node.marked(&shared(model))? {
        return Ok(());
    }
    let sold = crate::trainer::sold(model, &node.world).await?;
    let blob = released_model(model, node).await?;
    match crate::model::receive(&node.party, model, sold, sealed, &blob) {
        Ok(_) => node.mark(&shared(model)),
        // Not sealed by the enclave: whoever runs it lies.
        Err(error @ NodeError::Message(_)) => node.say(now, "model", &error.to_string()),
        Err(error) => Err(error),
    }
}
