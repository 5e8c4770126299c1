//! The auditor: measures programs again and says so in public.

use histone_contracts::{Contract, Programs};
use histone_enclave::program::Program;
use histone_protocol::B256;
use histone_protocol::hash::sha256;
use histone_protocol::program::{AuditReport, ProgramKind};
use histone_protocol::record::Signed;

use crate::error::NodeError;
use crate::party::Party;
use crate::world::World;

/// A published program as the auditor finds it: on the ledger and in public storage.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub kind: ProgramKind,
    /// The ledger's key.
    pub measurement: B256,
    /// Blob of the module.
    pub wasm: B256,
    /// Blob of the source listing.
    pub source: B256,
}

/// Fetches module and source, checks their hashes against the ledger, admits and measures the module, and registers a
/// signed report. Gives the report's blob. A program that does not measure as registered is not audited.
pub async fn audit(auditor: &Party, program: &Submission, world: &World) -> Result<B256, NodeError> {
    let files = Files { wasm: &world.blobs.get(program.wasm)?, source: &world.blobs.get(program.source)? };
    let about = (program.name.as_str(), program.kind, program.measurement);
    audit_files(auditor, about, files, "re-measured", world).await
}

/// Module and source of a program.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// The module.
    pub wasm: &'a [u8],
    /// The source listing.
    pub source: &'a [u8],
}

/// The same for a program of closed source, whose author has shown module and source to this auditor and to nobody else: its report
/// is all that others have. Only a method may be so: whoever answers from its model has to be read by everybody.
pub async fn audit_closed(
    auditor: &Party,
    about: (&str, ProgramKind, B256),
    files: Files<'_>,
    world: &World,
) -> Result<B256, NodeError> {
    open_unless_method(about.0, about.1)?;
    audit_files(auditor, about, files, "re-measured, module and source were shown to the auditor only", world)
        .await
}

/// Refuses closed source for anything but a method.
pub(crate) fn open_unless_method(name: &str, kind: ProgramKind) -> Result<(), NodeError> {
    match kind {
        ProgramKind::Training => Ok(()),
        ProgramKind::Validation | ProgramKind::Query => Err(NodeError::Audit {
            program: name.into(),
            what: "only a method may be of closed source; publish its module and source".into(),
        }),
    }
}

async fn audit_files(
    auditor: &Party,
    (name, kind, measurement): (&str, ProgramKind, B256),
    Files { wasm, source }: Files<'_>,
    method: &str,
    world: &World,
) -> Result<B256, NodeError> {
    let ledger = &world.ledger;
    let registered = ledger.read(Contract::Programs, Programs::programCall { measurement }).await?;
    let refuse = |what: &str| NodeError::Audit { program: name.to_string(), what: what.to_string() };
    if registered.wasmHash != sha256(wasm) {
        return Err(refuse("the module is not the registered one"));
    }
    if registered.sourceHash != sha256(source) {
        return Err(refuse("the source listing is not the registered one"));
    }
    let measured = Program::published(wasm).map_err(|e| refuse(&e.to_string()))?;
    if B256::from(measured.measurement()) != measurement {
        return Err(refuse("the module measures differently than registered"));
    }
    if measured.kind() != kind || registered.kind != kind.code() {
        return Err(refuse("the module is of another kind than it is called"));
    }
    let report = AuditReport {
        program: name.into(),
        kind,
        source_hash: registered.sourceHash,
        wasm_hash: registered.wasmHash,
        measurement,
        method: method.into(),
        time: ledger.time().await?,
    };
    let blob = world.blobs.put(&Signed::sign(&report, &auditor.key)?.to_bytes())?;
    let call = Programs::auditCall { measurement, reportHash: blob };
    ledger.send(&auditor.key, Contract::Programs, call).await?;
    Ok(blob)
}
