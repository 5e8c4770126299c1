//! Admission of programs: a static check that names what is wrong, and the measurement of what passed.
//!
//! What the check establishes, before any code is compiled:
//!
//! - the module is valid with 128-bit vectors but without threads, relaxed vectors, garbage collection, exceptions,
//!   tail calls, 64-bit or several memories, reference types and passive segments;
//! - it imports nothing but the calls of [`histone_program_sdk::abi`], each at most once and with its signature;
//! - it exports its memory and exactly the entries of one [kind](ProgramKind) of program, and beside them at most two constants that
//!   the linker leaves;
//! - its memory has a maximum within the limits, its table is small, and nothing runs before the entry.
//!
//! What it cannot establish: that a program ends (fuel does that) and that its output tells nothing it should not (the
//! output gate and the audit of its source do that).

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use histone_program_sdk::abi;
use histone_protocol::program::ProgramKind;
use sha2::{Digest as _, Sha256};
use wasmparser::{
    BinaryReaderError, ExternalKind, FuncType, GlobalType, MemoryType, Parser, Payload, TypeRef, ValType,
    Validator, WasmFeatures,
};

use crate::manifest::{MOST, Manifest, ManifestError};

/// Largest module in bytes. Ours are below 100 kB; compiling is the one step that fuel does not bound.
pub const MAX_MODULE_BYTES: usize = 4 << 20;

/// Most entries of the function table.
pub const MAX_TABLE_ENTRIES: u64 = 10_000;

const PAGE: u64 = 65_536;

/// Custom sections without an effect on a run; others are refused, so that nothing can travel in them.
const CUSTOM_SECTIONS: [&str; 4] = ["name", "producers", "target_features", abi::MANIFEST];

/// WebAssembly 1 with the small later additions that compilers take for granted, and 128-bit vectors.
const FEATURES: WasmFeatures = WasmFeatures::LIME1.union(WasmFeatures::SIMD);

/// What a run may use. Part of the measurement: the same module with other limits is another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory in bytes.
    pub memory_bytes: u64,
    /// Fuel: about one unit an instruction, one a byte of a bulk copy, one for 8 bytes across the border.
    pub fuel: u64,
    /// Input in bytes.
    pub input_bytes: u64,
    /// Output in bytes.
    pub output_bytes: u64,
}

impl Limits {
    /// Enough for a table of a few million cells: 256 MiB of memory, 64 MiB in, 4 MiB out, and
    /// fuel for some tens of seconds.
    pub const STANDARD: Limits = Limits {
        memory_bytes: 256 << 20,
        fuel: 100_000_000_000,
        input_bytes: 64 << 20,
        output_bytes: 1 << 20,
    };

    /// The most that a method may use; each has limits of its own in its manifest.
    pub const METHOD: Limits = Limits {
        memory_bytes: MOST.memory_bytes,
        fuel: MOST.fuel,
        input_bytes: MOST.input_bytes,
        output_bytes: MOST.output_bytes,
    };

    /// The smaller ones of both.
    fn within(self, other: Limits) -> Limits {
        Limits {
            memory_bytes: self.memory_bytes.min(other.memory_bytes),
            fuel: self.fuel.min(other.fuel),
            input_bytes: self.input_bytes.min(other.input_bytes),
            output_bytes: self.output_bytes.min(other.output_bytes),
        }
    }

    /// The canonical bytes: the four numbers in their order, 8 bytes each, little-endian.
    pub fn encode(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let numbers = [self.memory_bytes, self.fuel, self.input_bytes, self.output_bytes];
        for (place, number) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(numbers) {
            *place = number.to_le_bytes();
        }
        bytes
    }
}

/// Why a module is not admitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdmissionError {
    /// The module is larger than [`MAX_MODULE_BYTES`].
    #[error("the module has {bytes} bytes; at most {MAX_MODULE_BYTES} are accepted")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not valid wasm of the accepted feature set; the cause has the reason and the offset.
    #[error(
        "the module is not valid with the accepted features (vectors yes; threads, references and others no)"
    )]
    Invalid(#[source] InvalidModule),
    /// An import that the host does not offer.
    #[error("the import `{module}.{name}` is not offered; only functions of `histone` are: {}", offered())]
    Import {
        /// Module name of the import.
        module: String,
        /// Name of the import.
        name: String,
    },
    /// An offered import, declared with other parameters or results.
    #[error(
        "the import `histone.{name}` has another signature than the host's; build against the program SDK"
    )]
    ImportSignature {
        /// Name of the import.
        name: String,
    },
    /// The same import twice.
    #[error("the import `histone.{name}` is declared twice; declare it once")]
    ImportTwice {
        /// Name of the import.
        name: String,
    },
    /// An export that is neither memory, an entry, nor a linker constant.
    #[error(
        "the export `{name}` is not expected; a program exports its memory and the entries of one kind: {}",
        kinds()
    )]
    Export {
        /// Name of the export.
        name: String,
    },
    /// An entry with parameters or results.
    #[error("the entry `{name}` must take nothing and return nothing")]
    EntrySignature {
        /// Name of the entry.
        name: String,
    },
    /// The entries are of no kind of program.
    #[error("the module has the entries [{found}]; it must have those of one kind: {}", kinds())]
    Entries {
        /// Those that it has.
        found: String,
    },
    /// No memory, or it is not exported as `memory`.
    #[error("the module must define one memory and export it as `memory`")]
    NoMemory,
    /// A memory without a maximum.
    #[error("the memory has no maximum; link with `--max-memory=<bytes>`")]
    MemoryWithoutMaximum,
    /// The declared maximum is above the limit.
    #[error(
        "the memory may grow to {bytes} bytes, above the limit of {limit}; link with a smaller `--max-memory`"
    )]
    MemoryTooLarge {
        /// Declared maximum.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A start section.
    #[error("the module has a start section; nothing may run before the entry")]
    Start,
    /// More tables or entries than accepted.
    #[error(
        "the module has a table of {entries} entries; at most one table of {MAX_TABLE_ENTRIES} is accepted"
    )]
    Table {
        /// Entries of all tables, or of the one that is too large.
        entries: u64,
    },
    /// The manifest of a method is missing or wrong.
    #[error("the module is no method that can be admitted")]
    Manifest(#[from] ManifestError),
    /// A custom section that is not known to be without effect.
    #[error("the custom section `{name}` is not accepted; strip the module")]
    CustomSection {
        /// Name of the section.
        name: String,
    },
}

/// The parser's reason and where in the module it applies.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidModule(String);

impl From<BinaryReaderError> for AdmissionError {
    fn from(error: BinaryReaderError) -> Self {
        AdmissionError::Invalid(InvalidModule(error.to_string()))
    }
}

fn kinds() -> String {
    abi::KINDS.map(|(name, entries)| format!("{name} ({})", entries.join(", "))).join("; ")
}

fn offered() -> String {
    abi::IMPORTS.map(|(name, _, _)| format!("`{name}`")).join(", ")
}

/// A module that passed the static check. Only [`Program::admit`] makes one.
#[derive(Clone)]
pub struct Program {
    wasm: Vec<u8>,
    kind: ProgramKind,
    entries: &'static [&'static str],
    manifest: Option<Manifest>,
    /// The manifest as it stands in the module.
    manifest_bytes: Vec<u8>,
    limits: Limits,
    wasm_hash: [u8; 32],
    measurement: [u8; 32],
}

impl Program {
    /// Checks a module with the limits under which programs of its kind are published: a method's within those of its manifest.
    pub fn published(wasm: &[u8]) -> Result<Program, AdmissionError> {
        let program = Program::admit(wasm, Limits::METHOD)?;
        match program.kind {
            ProgramKind::Validation => Program::admit(wasm, Limits::STANDARD),
            ProgramKind::Training | ProgramKind::Query => Ok(program),
        }
    }

    /// Checks a module. The errors say what is wrong, where, and what to do about it.
    pub fn admit(wasm: &[u8], limits: Limits) -> Result<Program, AdmissionError> {
        if wasm.len() > MAX_MODULE_BYTES {
            return Err(AdmissionError::TooLarge { bytes: wasm.len() });
        }
        Validator::new_with_features(FEATURES).validate_all(wasm)?;
        let facts = Facts::read(wasm)?;
        let imports = facts.check_imports()?;
        let (kind, entries) = facts.check_exports()?;
        let manifest = facts.check_manifest(entries)?;
        // A method's limits are its own, within the caller's; they are measured, as all limits are.
        let limits = manifest.as_ref().map_or(limits, |m| limits.within(m.limits.into()));
        facts.check_memory(limits)?;
        let wasm_hash: [u8; 32] = Sha256::digest(wasm).into();
        let measurement = measure(&wasm_hash, limits, &imports);
        let manifest_bytes = facts.manifests.first().map(|bytes| bytes.to_vec()).unwrap_or_default();
        let wasm = wasm.to_vec();
        Ok(Program { wasm, kind, entries, manifest, manifest_bytes, limits, wasm_hash, measurement })
    }

    /// What the program is for.
    pub fn kind(&self) -> ProgramKind {
        self.kind
    }

    /// What it exports to be called.
    pub fn entries(&self) -> &'static [&'static str] {
        self.entries
    }

    /// What it says of itself; only methods do.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// The same as it stands in the module; empty where there is none.
    pub fn manifest_bytes(&self) -> &[u8] {
        &self.manifest_bytes
    }

    /// What its runs may use.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// SHA-256 of the module.
    pub fn wasm_hash(&self) -> [u8; 32] {
        self.wasm_hash
    }

    /// What is registered and attested: SHA-256 of a tag, the ABI version, the module's hash, the limits and the
    /// imports with their signatures.
    pub fn measurement(&self) -> [u8; 32] {
        self.measurement
    }

    /// The module.
    pub fn wasm(&self) -> &[u8] {
        &self.wasm
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("kind", &self.kind)
            .field("bytes", &self.wasm.len())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Text parts carry their length, so that no two lists of parts give the same bytes.
fn measure(wasm_hash: &[u8; 32], limits: Limits, imports: &BTreeSet<&'static str>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    let text = |hasher: &mut Sha256, part: &str| {
        hasher.update((part.len() as u32).to_le_bytes());
        hasher.update(part.as_bytes());
    };
    hasher.update(b"histone/program/v1");
    text(&mut hasher, abi::VERSION);
    hasher.update(wasm_hash);
    hasher.update(limits.encode());
    hasher.update((imports.len() as u32).to_le_bytes());
    for (name, parameters, result) in abi::IMPORTS {
        if imports.contains(name) {
            text(&mut hasher, name);
            hasher.update([parameters as u8, u8::from(result)]);
        }
    }
    hasher.finalize().into()
}

/// What the sections of a valid module say.
#[derive(Default)]
struct Facts<'a> {
    types: Vec<FuncType>,
    imports: Vec<(&'a str, &'a str, TypeRef)>,
    /// Type index of each function, imported ones first.
    functions: Vec<u32>,
    memories: Vec<MemoryType>,
    globals: Vec<GlobalType>,
    exports: BTreeMap<&'a str, (ExternalKind, u32)>,
    manifests: Vec<&'a [u8]>,
}

impl<'a> Facts<'a> {
    fn read(wasm: &'a [u8]) -> Result<Self, AdmissionError> {
        let mut facts = Facts::default();
        let mut tables = 0;
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::TypeSection(section) => {
                    for ty in section.into_iter_err_on_gc_types() {
                        facts.types.push(ty?);
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        facts.imports.push((import.module, import.name, import.ty));
                        if let TypeRef::Func(ty) = import.ty {
                            facts.functions.push(ty);
                        }
                    }
                }
                Payload::FunctionSection(section) => {
                    for ty in section {
                        facts.functions.push(ty?);
                    }
                }
                Payload::TableSection(section) => {
                    for table in section {
                        let entries = table?.ty.initial;
                        tables += 1;
                        if tables > 1 || entries > MAX_TABLE_ENTRIES {
                            return Err(AdmissionError::Table { entries });
                        }
                    }
                }
                Payload::MemorySection(section) => {
                    for memory in section {
                        facts.memories.push(memory?);
                    }
                }
                Payload::GlobalSection(section) => {
                    for global in section {
                        facts.globals.push(global?.ty);
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        facts.exports.insert(export.name, (export.kind, export.index));
                    }
                }
                Payload::StartSection { .. } => return Err(AdmissionError::Start),
                Payload::CustomSection(section) if section.name() == abi::MANIFEST => {
                    facts.manifests.push(section.data());
                }
                Payload::CustomSection(section) if !CUSTOM_SECTIONS.contains(&section.name()) => {
                    return Err(AdmissionError::CustomSection { name: section.name().to_owned() });
                }
                // Element, data and code sections have no effect beyond what validation has bounded: without bulk
                // and reference features, segments are active and are checked against memory and table at start.
                _ => {}
            }
        }
        Ok(facts)
    }

    /// The names of the imports, all of which the host offers.
    fn check_imports(&self) -> Result<BTreeSet<&'static str>, AdmissionError> {
        let mut names = BTreeSet::new();
        for &(module, name, ty) in &self.imports {
            let offered = abi::IMPORTS.into_iter().find(|(n, _, _)| module == abi::MODULE && *n == name);
            let (Some((known, parameters, result)), TypeRef::Func(ty)) = (offered, ty) else {
                return Err(AdmissionError::Import { module: module.to_owned(), name: name.to_owned() });
            };
            if !self.has_signature(ty, parameters, result) {
                return Err(AdmissionError::ImportSignature { name: name.to_owned() });
            }
            if !names.insert(known) {
                return Err(AdmissionError::ImportTwice { name: name.to_owned() });
            }
        }
        Ok(names)
    }

    fn has_signature(&self, ty: u32, parameters: usize, result: bool) -> bool {
        self.types.get(ty as usize).is_some_and(|ty| {
            ty.params().len() == parameters
                && ty.results().len() == usize::from(result)
                && ty.params().iter().chain(ty.results()).all(|v| *v == ValType::I32)
        })
    }

    /// The manifest of a method, which every method has and nothing else.
    fn check_manifest(&self, entries: &[&str]) -> Result<Option<Manifest>, ManifestError> {
        match (entries == abi::METHOD, &self.manifests[..]) {
            (true, [manifest]) => Manifest::read(manifest).map(Some),
            (true, []) => Err(ManifestError::Missing),
            (true, _) => Err(ManifestError::Size),
            (false, []) => Ok(None),
            (false, _) => Err(ManifestError::NotAMethod),
        }
    }

    /// The kind that the entries name; nothing is exported that is not expected.
    fn check_exports(&self) -> Result<(ProgramKind, &'static [&'static str]), AdmissionError> {
        let mut found = BTreeSet::new();
        let mut memory = false;
        for (&name, &(kind, index)) in &self.exports {
            let entry = abi::KINDS.iter().flat_map(|(_, entries)| *entries).find(|entry| **entry == name);
            match (kind, entry) {
                (ExternalKind::Func, Some(entry)) => {
                    let ty = self.functions.get(index as usize).copied();
                    if !ty.is_some_and(|ty| self.has_signature(ty, 0, false)) {
                        return Err(AdmissionError::EntrySignature { name: name.to_owned() });
                    }
                    found.insert(*entry);
                }
                (ExternalKind::Memory, None) if name == abi::MEMORY => memory = true,
                (ExternalKind::Global, None)
                    if abi::LINKER_GLOBALS.contains(&name) && self.is_constant_i32(index) => {}
                _ => return Err(AdmissionError::Export { name: name.to_owned() }),
            }
        }
        if !memory {
            return Err(AdmissionError::NoMemory);
        }
        let all =
            |entries: &[&str]| found.len() == entries.len() && entries.iter().all(|e| found.contains(e));
        let Some((name, entries)) = abi::KINDS.into_iter().find(|(_, entries)| all(entries)) else {
            let found = found.into_iter().collect::<Vec<_>>().join(", ");
            return Err(AdmissionError::Entries { found });
        };
        let kind = match name {
            "validate" => ProgramKind::Validation,
            "method" => ProgramKind::Training,
            _ => ProgramKind::Query,
        };
        Ok((kind, entries))
    }

    fn is_constant_i32(&self, global: u32) -> bool {
        // No global can be imported, so the index is one of this list.
        self.globals.get(global as usize).is_some_and(|g| !g.mutable && g.content_type == ValType::I32)
    }

    fn check_memory(&self, limits: Limits) -> Result<(), AdmissionError> {
        let [memory] = self.memories[..] else { return Err(AdmissionError::NoMemory) };
        let pages = memory.maximum.ok_or(AdmissionError::MemoryWithoutMaximum)?;
        let bytes = pages.saturating_mul(PAGE);
        if bytes > limits.memory_bytes {
            return Err(AdmissionError::MemoryTooLarge { bytes, limit: limits.memory_bytes });
        }
        Ok(())
    }
}
