//! The programs that come with the product, admitted and compiled.

use histone_enclave::engine::{Engine, LoadedProgram, RunError};
use histone_enclave::program::{AdmissionError, Limits, Program};
use histone_protocol::program::ProgramKind;

/// A program as it is published: module and canonical source listing.
#[derive(Debug, Clone, Copy)]
pub struct PublishedProgram {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub kind: ProgramKind,
    /// The wasm module.
    pub wasm: &'static [u8],
    /// Every source file that it is built from, in one canonical listing.
    pub source: &'static [u8],
}

/// The bundled programs in the order of their kinds.
pub const BUNDLED: [PublishedProgram; 3] = [
    PublishedProgram {
        name: "validate",
        kind: ProgramKind::Validation,
        wasm: include_bytes!("../../../programs/artifacts/validate.wasm"),
        source: include_bytes!("../../../programs/artifacts/validate.source"),
    },
    PublishedProgram {
        name: "train",
        kind: ProgramKind::Training,
        wasm: include_bytes!("../../../programs/artifacts/train.wasm"),
        source: include_bytes!("../../../programs/artifacts/train.source"),
    },
    PublishedProgram {
        name: "query",
        kind: ProgramKind::Query,
        wasm: include_bytes!("../../../programs/artifacts/query.wasm"),
        source: include_bytes!("../../../programs/artifacts/query.source"),
    },
];

/// Why a program cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The static check refuses it.
    #[error("the program is not admitted")]
    Admission(#[from] AdmissionError),
    /// It does not compile.
    #[error("the program does not load")]
    Load(#[from] RunError),
}

/// The three programs, compiled once for any number of enclaves in this process.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Looks at datasets.
    pub validation: LoadedProgram,
    /// Trains.
    pub training: LoadedProgram,
    /// Answers queries.
    pub query: LoadedProgram,
}

impl Loaded {
    /// Admits and compiles the bundled programs.
    pub fn bundled() -> Result<Self, ProgramError> {
        let engine = Engine::new()?;
        let load = |p: PublishedProgram| -> Result<LoadedProgram, ProgramError> {
            Ok(engine.load(Program::admit(p.wasm, Limits::STANDARD)?)?)
        };
        let [validation, training, query] = BUNDLED;
        Ok(Self { validation: load(validation)?, training: load(training)?, query: load(query)? })
    }
}
