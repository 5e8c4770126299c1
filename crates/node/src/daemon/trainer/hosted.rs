//! A trainer of a model whose data is all brought to one enclave: it finds who runs it, looks at it, names it, and ends the training
//! with what it says.

use histone_contracts::book::{Book, Enclave, EnclaveState, Kind, Model, ModelState};
use histone_enclave::training::Hosted;
use histone_protocol::hash::blob_hash;
use histone_protocol::keys::SignatureBytes;
use histone_protocol::receipt::{self, HostedTraining};
use histone_protocol::record::Signed;
use histone_protocol::report::{HostedStatement, SiteEvaluation};
use histone_protocol::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};

use super::super::mail::Body;
use super::super::owner::program;
use super::super::{Done, Node, evidence};
use super::{Heard, may_start, proposal, trainer};
use crate::duties;
use crate::duties::trainer::{Hosting, Known, Next};
use crate::error::NodeError;
use crate::plan;
use crate::store::Level;

/// What a runner has said of its enclave.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Offered {
    enclave: Address,
    waits: bool,
}

/// What the one enclave has said that it has made, once its signatures were checked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Made {
    statement: Bytes,
    model_hash: Option<B256>,
    unused: Vec<u16>,
    signature: Option<SignatureBytes>,
}

fn offered_key(model: u64) -> String {
    format!("hosting/{model}")
}

fn made_key(model: u64) -> String {
    format!("made/{model}")
}

fn offered(model: u64, node: &Node) -> Result<Option<Offered>, NodeError> {
    let kept = node.store.get(&offered_key(model))?;
    Ok(kept.and_then(|kept| serde_json::from_slice(&kept).ok()))
}

fn made(model: u64, node: &Node) -> Result<Option<Made>, NodeError> {
    let kept = node.store.get(&made_key(model))?;
    Ok(kept.and_then(|kept| serde_json::from_slice(&kept).ok()))
}

fn keep(key: &str, what: &impl Serialize, node: &Node) -> Result<(), NodeError> {
    let bytes = serde_json::to_vec(what).map_err(|e| NodeError::Message(e.to_string()))?;
    Ok(node.store.put(key, &bytes)?)
}

/// The purpose of the letter that asks for an enclave.
pub(super) fn asked(model: u64) -> String {
    format!("host/{model}")
}

fn module(model: u64, enclave: Address) -> String {
    format!("module/{model}/{enclave:x}")
}

/// Who is to run the one enclave of a model, when nobody was asked yet.
pub(super) fn to_ask(model: &Model, node: &Node) -> Result<Option<Address>, NodeError> {
    let waits =
        model.state == ModelState::Recruiting && duties::in_one_enclave(model) && model.host.is_none();
    if !waits || node.marked(&asked(model.model))? {
        return Ok(None);
    }
    Ok(proposal(model, node)?.and_then(|p| p.runner))
}

/// What this node knows of such a model beside the ledger, up to the end of its training.
pub(super) fn known(model: &Model, book: &Book, node: &Node, now: u64) -> Result<Known, NodeError> {
    let id = model.model;
    let mut known = Known::default();
    match model.state {
        ModelState::Recruiting if model.host.is_none() => {
            if let Some(Offered { enclave, waits }) = offered(id, node)? {
                let wants_module = waits && !node.marked(&module(id, enclave))?;
                known.hosting = Some(Hosting { enclave, wants_module, ready: !waits });
            }
        }
        ModelState::Recruiting => known.start = may_start(model, book, node, now)?,
        ModelState::Training => {
            known.next = match made(id, node)? {
                Some(made) => Some(next(model, &made)),
                // The enclave makes none any more, unless what it has made is on its way: that comes to nothing then.
                None => (!duties::enough_left(model)).then_some(Next::NoModel),
            };
        }
        _ => {}
    }
    Ok(known)
}

/// What follows from what the one enclave has said: no model where the market would take none.
fn next(model: &Model, made: &Made) -> Next {
    let unused = model.donors.iter().filter(|d| d.excluded || made.unused.contains(&d.donor)).count();
    let enough = model.donors.len() - unused >= usize::from(model.terms.min_survivors);
    match made.model_hash {
        Some(hash) if enough => Next::Model(hash),
        _ => Next::NoModel,
    }
}

/// Seals the module of a closed method to the enclave that waits for it, and sends it. It is a blob: modules may be longer than letters
/// are, and nobody but that enclave opens it.
pub(super) async fn send_module(
    model: u64,
    enclave: Address,
    node: &Node,
    now: u64,
) -> Result<Done, NodeError> {
    let world = &node.world;
    let book = world.ledger.current_book().await?;
    let Some(runner) = book.enclaves.get(&enclave).map(|e| e.operator) else { return Ok(Done::NotYet) };
    let method = plan::of_model(model, world).await?.programs.training;
    let wasm = program(node, method)?;
    let sealed = trainer(node).seal_module(model, enclave, wasm.program().wasm(), world).await?;
    let sealed = world.blobs.put(&sealed)?;
    let purpose = module(model, enclave);
    node.write(runner, &purpose, &Body::Module { model, enclave, sealed }, now).await?;
    node.mark(&purpose)?;
    Ok(Done::Yes)
}

/// Ends the training with what the one enclave has said.
pub(super) async fn finish(model: u64, node: &Node) -> Result<Done, NodeError> {
    let Some(made) = made(model, node)? else { return Ok(Done::NotYet) };
    let Made { statement, model_hash, unused, signature } = made;
    let receipt = |hash| hosted_receipt(model, hash, &statement, unused);
    let finish = model_hash.zip(signature).map(|(hash, signature)| (receipt(hash), signature));
    let said = Hosted { statement: statement.to_vec(), finish };
    trainer(node).finish_hosted(&said, &node.world).await?;
    Ok(Done::Yes)
}

fn hosted_receipt(model: u64, hash: B256, statement: &[u8], unused: Vec<u16>) -> HostedTraining {
    let model_id = U256::from(model);
    HostedTraining { modelId: model_id, modelHash: hash, statementHash: blob_hash(statement), unused }
}

/// Whether a letter is by who runs the one enclave of a model, or would.
pub(super) fn is_about(body: &Body) -> bool {
    matches!(
        body,
        Body::Hosting { .. } | Body::NotHosting { .. } | Body::Made { .. } | Body::SitesEvaluated { .. }
    )
}

/// Keeps what a letter says that is by who runs the one enclave of a model, or would.
pub(super) async fn hear(heard: Heard, node: &Node, now: u64) -> Result<Done, NodeError> {
    let Heard { letter, from, body } = heard;
    let book = node.world.ledger.current_book().await?;
    let about = match &body {
        Body::Hosting { model, .. }
        | Body::NotHosting { model, .. }
        | Body::Made { model, .. }
        | Body::SitesEvaluated { model, .. } => book.models.get(model),
        _ => None,
    };
    if let Some(own) = about.filter(|m| m.trainer == node.party.account())
        && !take(own, from, body, &book, node, now).await?
    {
        return Ok(Done::NotYet);
    }
    node.store.read(letter, now)?;
    Ok(Done::Yes)
}

/// Takes what is said of an own model; false when it cannot be read yet.
async fn take(
    own: &Model,
    from: Address,
    body: Body,
    book: &Book,
    node: &Node,
    now: u64,
) -> Result<bool, NodeError> {
    let is_asked = || Ok::<_, NodeError>(proposal(own, node)?.and_then(|p| p.runner) == Some(from));
    let named = own.host.as_ref().filter(|host| host.runner == from).map(|host| host.enclave);
    match body {
        Body::Hosting { model, enclave, waits } if own.host.is_none() && is_asked()? => {
            let is_its =
                |e: &Enclave| e.kind == Kind::Training && e.operator == from && e.state == EnclaveState::Live;
            // The first one stays; one that has waited is ready once it has its module.
            let first = offered(model, node)?.is_none_or(|before| before.enclave == enclave && before.waits);
            if first && book.enclaves.get(&enclave).is_some_and(is_its) {
                keep(&offered_key(model), &Offered { enclave, waits }, node)?;
            }
        }
        Body::NotHosting { model, why } if own.host.is_none() && is_asked()? => {
            let text = format!("{from} does not run the one enclave for model {model}: {why}");
            node.store.note(now, Level::Warning, "model", &text)?;
        }
        Body::Made { model, statement, unused, signature } => {
            let Some(enclave) = named.filter(|_| made(model, node).is_ok_and(|m| m.is_none())) else {
                return Ok(true);
            };
            match signed(own, enclave, (&statement, &unused, signature), node) {
                Some(model_hash) => {
                    let made = Made { statement, model_hash, unused, signature };
                    keep(&made_key(model), &made, node)?;
                }
                None => {
                    let text = format!(
                        "what {from} says of model {model} is not signed by its one enclave {enclave}, or is about something else; it is not taken"
                    );
                    node.store.note(now, Level::Warning, "model", &text)?;
                }
            }
        }
        Body::SitesEvaluated { model, evaluations } => {
            let Some(enclave) = named else { return Ok(true) };
            for blob in evaluations.into_iter().take(own.donors.len()) {
                let Some(bytes) = evidence::ask(blob, node)? else {
                    node.soon.ask();
                    return Ok(false);
                };
                if let Some(owner) = evaluated(own, enclave, &bytes, book) {
                    node.store.put(&format!("evaluation/{model}/{owner:x}"), blob.as_slice())?;
                }
            }
        }
        _ => {}
    }
    Ok(true)
}

/// Whether the one enclave of a model has signed what is said of it. Gives the name of the model that it has made, if it made one.
fn signed(
    own: &Model,
    enclave: Address,
    (statement, unused, signature): (&[u8], &[u16], Option<SignatureBytes>),
    node: &Node,
) -> Option<Option<B256>> {
    let (says, signer) = Signed::<HostedStatement>::from_bytes(statement).ok()?.open().ok()?;
    let deployment = node.world.ledger.deployment();
    let is_own = signer == enclave
        && (says.ledger, says.model_id, says.plan) == (deployment.id(), own.model, own.plan_hash);
    if !is_own {
        return None;
    }
    match (says.model_hash, signature) {
        (Some(hash), Some(signature)) => {
            let receipt = hosted_receipt(own.model, hash, statement, unused.to_vec());
            let domain = receipt::domain(deployment.chain_id, deployment.market);
            let signer = signature.recover(receipt::digest(&receipt, &domain)).ok()?;
            (signer == enclave).then_some(Some(hash))
        }
        (None, None) => Some(None),
        _ => None,
    }
}

/// At whose site the one enclave has evaluated the model, if it has signed so.
fn evaluated(own: &Model, enclave: Address, said: &[u8], book: &Book) -> Option<Address> {
    let (says, signer) = Signed::<SiteEvaluation>::from_bytes(said).ok()?.open().ok()?;
    if signer != enclave || says.model_id != own.model || Some(says.model_hash) != own.model_hash {
        return None;
    }
    let donor = own.donors.iter().find(|d| d.donor == says.donor)?;
    Some(book.datasets.get(&donor.dataset)?.owner)
}
