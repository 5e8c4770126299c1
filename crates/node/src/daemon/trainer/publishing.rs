//! Programs of a method, on their way to the ledger and to auditors.

use histone_contracts::book::{Book, Member, Role};
use histone_protocol::program::ProgramKind;
use histone_protocol::{Address, B256};

use super::super::Node;
use super::super::mail::Body;
use super::trainer;
use crate::auditor::{Files, seal_closed};
use crate::error::NodeError;
use crate::programs::PublishedProgram;

/// Registers the programs of a method, and asks the auditors. Of a training program of closed source module and source go to auditors
/// only, each time sealed to the one who is asked; public storage has its manifest. What answers from its models is always open.
pub(super) async fn publish(
    wish: u64,
    method: &str,
    closed: bool,
    node: &Node,
    now: u64,
) -> Result<(), NodeError> {
    let world = &node.world;
    let loaded = node.bundled.method(method)?;
    let mut measurements = Vec::new();
    for (published, program) in loaded.all() {
        let measurement = B256::from(program.program().measurement());
        let book = world.ledger.current_book().await?;
        let is_new = book.programs.get(&measurement).is_none();
        let auditors = auditors(&book)?;
        if closed && published.kind == ProgramKind::Training {
            if is_new {
                trainer(node).register_closed(published, program.program(), world).await?;
            }
            for auditor in auditors {
                let body = closed_to(auditor, published, measurement, node).await?;
                node.write(auditor, &format!("audit/{measurement:x}/{auditor:x}"), &body, now).await?;
            }
        } else {
            let (wasm, source) = (world.blobs.put(published.wasm)?, world.blobs.put(published.source)?);
            if is_new {
                trainer(node).publish(published, measurement, world).await?;
            }
            let (name, program) = (published.name.into(), published.kind);
            let body = Body::Audit { name, program, measurement, wasm, source };
            for auditor in auditors {
                node.write(auditor, &format!("audit/{measurement:x}/{auditor:x}"), &body, now).await?;
            }
        }
        measurements.push(measurement);
    }
    node.store.wish_done(wish, &serde_json::json!({ "programs": measurements }), now)?;
    Ok(())
}

fn auditors(book: &Book) -> Result<Vec<Address>, NodeError> {
    let audits = |m: &&Member| m.member && m.roles.contains(&Role::Auditor);
    let auditors: Vec<Address> = book.members.iter().filter(audits).map(|m| m.account).collect();
    match auditors.is_empty() {
        true => Err(NodeError::Message("the network has no auditor yet who could look at programs".into())),
        false => Ok(auditors),
    }
}

/// Module and source for one auditor. They are a sealed blob: both may be longer than a letter is.
async fn closed_to(
    auditor: Address,
    published: &PublishedProgram,
    measurement: B256,
    node: &Node,
) -> Result<Body, NodeError> {
    let to = node.peer(auditor).await?.seal_key;
    let files = Files { wasm: published.wasm, source: published.source };
    let sealed = seal_closed(files, measurement, (auditor, to), node.party.root())?;
    let sealed = node.world.blobs.put(&sealed)?;
    Ok(Body::AuditClosed { name: published.name.into(), measurement, sealed })
}
