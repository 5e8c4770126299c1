//! How an owner's daemon puts a new version of a registered dataset on the ledger: it lies encrypted in the directory when it is wished
//! for, an enclave validates it, and it is the current one once the ledger says so.

use std::collections::BTreeSet;
use std::fmt;

use histone_contracts::LedgerError;
use histone_contracts::book::{Book, DatasetState};
use histone_protocol::keys::SignatureBytes;
use histone_protocol::receipt::ValidationReceipt;
use histone_protocol::{Address, B256};
use serde::{Deserialize, Serialize};

use super::mail::{Body, Read};
use super::{Done, Node};
use crate::duties;
use crate::error::NodeError;
use crate::owner::{Owner, Version};

/// The kind of a wish to replace a dataset by another version of it; its `what` is an [`Update`].
pub const UPDATE: &str = "update";

/// Which dataset, and which version of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// Its name on the ledger.
    pub dataset: B256,
    /// The version, which lies encrypted in the node's directory.
    pub version: Version,
}

/// Something to do for a version.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Send it to a validation enclave, and to who runs it.
    Ask { wish: u64, update: Update, enclave: Address, runner: Address },
    /// Put it on the ledger with what an enclave has signed.
    Register { letter: B256, dataset: B256, receipt: Box<(Address, ValidationReceipt, SignatureBytes)> },
    /// Read that it was refused.
    Refused { letter: B256, wish: u64, dataset: B256, why: String },
    /// Make it the current one, which the ledger has.
    Adopt { wish: u64, update: Update },
    /// Say why it cannot be.
    Fail { wish: u64, dataset: B256, why: String },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Ask { update, enclave, .. } => {
                write!(f, "have a new version of dataset {} validated by {enclave}", update.dataset)
            }
            Step::Register { letter, dataset, .. } => {
                write!(f, "register a new version of dataset {dataset} (letter {letter})")
            }
            Step::Refused { dataset, .. } => {
                write!(f, "read why a new version of dataset {dataset} is refused")
            }
            Step::Adopt { update, .. } => write!(f, "use the new version of dataset {}", update.dataset),
            Step::Fail { wish, .. } => write!(f, "give up wish {wish}"),
        }
    }
}

/// The versions that are wished for, each dataset's oldest.
pub(super) fn wishes(node: &Node) -> Result<Vec<(u64, Update)>, NodeError> {
    let mut seen = BTreeSet::new();
    let all = node.store.wishes(true)?.into_iter().filter(|wish| wish.kind == UPDATE);
    let read = all.filter_map(|wish| Some((wish.number, serde_json::from_value::<Update>(wish.what).ok()?)));
    Ok(read.filter(|(_, update)| seen.insert(update.dataset)).collect())
}

/// What the wishes ask for now.
pub(super) fn steps(
    wishes: &[(u64, Update)],
    has: impl Fn(B256) -> bool,
    book: &Book,
    node: &Node,
) -> Result<Vec<Step>, NodeError> {
    let mut steps = Vec::new();
    for &(wish, update) in wishes {
        let dataset = update.dataset;
        let fail = |why: String| Step::Fail { wish, dataset, why };
        if !has(dataset) {
            steps.push(fail(format!("this node has no dataset {dataset}; `histone log` names yours")));
            continue;
        }
        // Registered first, and updated then.
        let Some(on_ledger) = book.datasets.get(&dataset) else { continue };
        if on_ledger.state != DatasetState::Registered {
            steps.push(fail(format!("dataset {dataset} is withdrawn, and has no new versions")));
        } else if on_ledger.root == update.version.root {
            steps.push(Step::Adopt { wish, update });
        } else if let Some((enclave, runner)) = duties::owner::validates(book)
            && !node.marked(&asked(dataset, update.version.root, enclave))?
        {
            steps.push(Step::Ask { wish, update, enclave, runner });
        }
    }
    Ok(steps)
}

/// What a letter says of a version; none when it is about something else.
pub(super) fn of_letter(
    read: &Read,
    wishes: &[(u64, Update)],
    book: &Book,
    node: &Node,
) -> Result<Option<Step>, NodeError> {
    let (letter, from) = (read.id, read.from);
    let runs = |enclave: Address| book.enclaves.get(&enclave).is_some_and(|e| e.operator == from);
    match &read.body {
        Body::Validated { dataset, enclave, root, report, rows, quality, replaces, signature } => {
            if !runs(*enclave) || !node.marked(&asked(*dataset, *root, *enclave))? {
                return Ok(None);
            }
            let receipt = ValidationReceipt {
                owner: node.party.account(),
                root: *root,
                reportHash: *report,
                rows: *rows,
                quality: *quality,
                replaces: *replaces,
            };
            let receipt = Box::new((*enclave, receipt, *signature));
            Ok(Some(Step::Register { letter, dataset: *dataset, receipt }))
        }
        Body::NotValidated { dataset, why } => {
            let wished = wishes.iter().find(|(_, update)| update.dataset == *dataset);
            let Some((wish, update)) = wished else { return Ok(None) };
            // Whoever runs the enclave that has it now; one that was asked before has been replaced.
            let Some((enclave, runner)) = duties::owner::validates(book) else { return Ok(None) };
            let asked = node.marked(&asked(*dataset, update.version.root, enclave))?;
            let refused = Step::Refused { letter, wish: *wish, dataset: *dataset, why: why.clone() };
            Ok((asked && runner == from).then_some(refused))
        }
        _ => Ok(None),
    }
}

/// Does it.
pub(super) async fn perform(step: Step, owner: &mut Owner, node: &Node, now: u64) -> Result<Done, NodeError> {
    let world = &node.world;
    match step {
        Step::Ask { wish, update: Update { dataset, version }, enclave, runner } => {
            let Ok(mut new) = owner.with_version(version) else {
                let why = "the new version does not lie in this home, or is damaged; run `histone data update` again";
                return fail(wish, dataset, why, node, now);
            };
            let sealed = new.seal_for_validation(enclave, dataset, world).await?;
            let body = Body::Validate {
                enclave,
                dataset,
                root: sealed.root,
                replaces: sealed.replaces,
                ciphertext: world.blobs.put(&sealed.ciphertext)?,
                key: sealed.key.as_bytes().to_vec().into(),
            };
            let purpose = asked(dataset, version.root, enclave);
            node.write(runner, &purpose, &body, now).await?;
            node.mark(&purpose)?;
            node.store.wish_progress(wish, "sent to an enclave that validates it")?;
        }
        Step::Register { letter, dataset, receipt } => {
            let (enclave, receipt, signature) = *receipt;
            let book = world.ledger.current_book().await?;
            let wanted = wishes(node)?;
            let wanted = wanted.iter().find(|(_, u)| (u.dataset, u.version.root) == (dataset, receipt.root));
            let there = book.datasets.get(&dataset).is_some_and(|d| d.root == receipt.root);
            if let Some((wish, update)) = wanted.filter(|_| !there) {
                let new = owner.with_version(update.version)?;
                match new.register_version(enclave, &receipt, &signature, world).await {
                    // The contract has its reasons, and they do not go away.
                    Err(error @ (NodeError::Message(_) | NodeError::Ledger(LedgerError::Refused { .. }))) => {
                        fail(*wish, dataset, &error.to_string(), node, now)?;
                    }
                    other => other?,
                }
            }
            node.store.read(letter, now)?;
        }
        Step::Refused { letter, wish, dataset, why } => {
            fail(wish, dataset, &format!("the new version is refused: {why}"), node, now)?;
            node.store.read(letter, now)?;
        }
        Step::Adopt { wish, update: Update { dataset, version } } => {
            owner.take_version(version)?;
            let book = world.ledger.current_book().await?;
            let (number, quality) =
                book.datasets.get(&dataset).map(|d| (d.version, d.quality)).unwrap_or_default();
            let said = format!(
                "version {number} of dataset {dataset} is registered, quality {quality}; models that have an earlier one go on with that"
            );
            node.say(now, "data", &said)?;
            let outcome = serde_json::json!({ "dataset": dataset, "version": number, "root": version.root, "said": said });
            node.store.wish_done(wish, &outcome, now)?;
        }
        Step::Fail { wish, dataset, why } => return fail(wish, dataset, &why, node, now),
    }
    Ok(Done::Yes)
}

/// Says why a version cannot be.
pub(super) fn fail(wish: u64, dataset: B256, why: &str, node: &Node, now: u64) -> Result<Done, NodeError> {
    node.say(now, "data", &format!("dataset {dataset} stays as it is: {why}"))?;
    node.store.wish_failed(wish, why, now)?;
    Ok(Done::Yes)
}

impl Step {
    /// The dataset that it is about.
    pub(super) fn dataset(&self) -> B256 {
        match self {
            Step::Ask { update, .. } | Step::Adopt { update, .. } => update.dataset,
            Step::Register { dataset, .. } | Step::Refused { dataset, .. } | Step::Fail { dataset, .. } => {
                *dataset
            }
        }
    }
}

/// Where it is kept that an enclave was asked about a version.
fn asked(dataset: B256, root: B256, enclave: Address) -> String {
    format!("update/{dataset:x}/{root:x}/{enclave:x}")
}
