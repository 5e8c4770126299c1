//! The auditor: measures programs again and says so in public.

use histone_contracts::{Contract, Programs};
use histone_enclave::program::Program;
use histone_protocol::hash::{sha256, tagged_hash};
use histone_protocol::program::{AuditReport, ProgramKind};
use histone_protocol::record::Signed;
use histone_protocol::seal::{SealError, SealPublicKey};
use histone_protocol::secret::Root;
use histone_protocol::{Address, B256};
use zeroize::Zeroizing;

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

/// HPKE `info` of module and source of a closed program on their way to an auditor.
const CLOSED_INFO: &str = "histone/closed-program/v1";

/// What they are bound to.
fn closed_aad(measurement: B256, auditor: Address) -> B256 {
    tagged_hash(CLOSED_INFO, &[measurement.as_slice(), auditor.as_slice()])
}

/// Seals module and source of a closed program to one auditor's key.
pub fn seal_closed(
    Files { wasm, source }: Files<'_>,
    measurement: B256,
    (auditor, key): (Address, SealPublicKey),
    secret: &Root,
) -> Result<Vec<u8>, SealError> {
    // A length of 64 bits holds every slice.
    let plain = Zeroizing::new([&(wasm.len() as u64).to_le_bytes(), wasm, source].concat());
    key.seal(CLOSED_INFO, closed_aad(measurement, auditor).as_slice(), &plain, secret)
}

/// Module and source of a closed program, as its auditor has opened them. `Debug` shows nothing of them.
pub struct ClosedFiles {
    plain: Zeroizing<Vec<u8>>,
    /// Where the source begins; the module begins behind its length.
    source: usize,
}

impl ClosedFiles {
    /// Opens what [`seal_closed`] made for this auditor; nothing where it was made for another one, or another program.
    pub fn open(auditor: &Party, measurement: B256, sealed: &[u8]) -> Option<Self> {
        let aad = closed_aad(measurement, auditor.account());
        let plain = Zeroizing::new(auditor.seal.open(CLOSED_INFO, aad.as_slice(), sealed).ok()?);
        let length = u64::from_le_bytes(*plain.first_chunk()?);
        let source = usize::try_from(length).ok()?.checked_add(8).filter(|source| *source <= plain.len())?;
        Some(Self { plain, source })
    }

    /// The two.
    pub fn files(&self) -> Files<'_> {
        Files { wasm: &self.plain[8..self.source], source: &self.plain[self.source..] }
    }
}

impl std::fmt::Debug for ClosedFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClosedFiles({} bytes)", self.plain.len())
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::party::Entropy;

    /// What was sealed to one auditor about one program is nothing to anybody else, and nothing when it was cut or changed.
    #[test]
    fn closed_files_open_for_their_auditor_only() {
        let dir = tempfile::tempdir().unwrap();
        let party = |name: &str| Party::create(name, dir.path(), Entropy::Seed(1)).unwrap();
        let (auditor, other, author) = (party("auditor"), party("other"), party("author"));
        let program = B256::repeat_byte(1);
        let files = Files { wasm: b"module", source: b"source" };
        let seal = |to: &Party| {
            seal_closed(files, program, (to.account(), to.seal.public()), author.root()).unwrap()
        };
        let sealed = seal(&auditor);
        let opened = ClosedFiles::open(&auditor, program, &sealed).unwrap();
        assert_eq!((opened.files().wasm, opened.files().source), (&b"module"[..], &b"source"[..]));
        assert_eq!(format!("{opened:?}"), "ClosedFiles(20 bytes)");
        assert!(ClosedFiles::open(&other, program, &sealed).is_none());
        assert!(ClosedFiles::open(&auditor, B256::repeat_byte(2), &sealed).is_none());
        assert!(ClosedFiles::open(&auditor, program, &seal(&other)).is_none());
        for length in 0..sealed.len() {
            assert!(ClosedFiles::open(&auditor, program, &sealed[..length]).is_none());
        }
        // A length that is none.
        for plain in [&[9; 7][..], &[9; 20], &[255; 8], &[0; 8]] {
            let aad = closed_aad(program, auditor.account());
            let key = auditor.seal.public();
            let sealed = key.seal(CLOSED_INFO, aad.as_slice(), plain, author.root()).unwrap();
            assert_eq!(ClosedFiles::open(&auditor, program, &sealed).is_some(), plain == [0; 8]);
        }
    }
}
