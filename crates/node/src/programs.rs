//! The programs that come with the product, admitted and compiled.

use std::collections::BTreeMap;
use std::sync::Arc;

use histone_enclave::engine::{Engine, LoadedProgram, RunError};
use histone_enclave::method::{HostedMethod, MethodError};
use histone_enclave::program::{AdmissionError, Program};
use histone_protocol::B256;
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

/// What a study runs on: validation, a method, and what applies its models.
pub const BUNDLED: [PublishedProgram; 3] = [
    PublishedProgram {
        name: "validate",
        kind: ProgramKind::Validation,
        wasm: include_bytes!("../../../programs/artifacts/validate.wasm"),
        source: include_bytes!("../../../programs/artifacts/validate.source"),
    },
    PublishedProgram {
        name: "logistic",
        kind: ProgramKind::Training,
        wasm: include_bytes!("../../../programs/artifacts/logistic.wasm"),
        source: include_bytes!("../../../programs/artifacts/logistic.source"),
    },
    PublishedProgram {
        name: "logistic-answer",
        kind: ProgramKind::Query,
        wasm: include_bytes!("../../../programs/artifacts/logistic-answer.wasm"),
        source: include_bytes!("../../../programs/artifacts/logistic-answer.source"),
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
    /// It is no method.
    #[error(transparent)]
    Method(#[from] MethodError),
}

/// The three programs, compiled once for any number of enclaves in this process.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Looks at datasets.
    pub validation: LoadedProgram,
    /// Trains.
    pub method: HostedMethod,
    /// Answers queries.
    pub query: LoadedProgram,
}

impl Loaded {
    /// Admits and compiles the bundled programs.
    pub fn bundled() -> Result<Self, ProgramError> {
        let engine = Engine::new()?;
        let load = |p: PublishedProgram| -> Result<LoadedProgram, ProgramError> {
            Ok(engine.load(Program::published(p.wasm)?)?)
        };
        let [validation, method, answer] = BUNDLED;
        Ok(Self {
            validation: load(validation)?,
            method: HostedMethod::new(load(method)?)?,
            query: load(answer)?,
        })
    }
}

/// The methods that a node has at hand, by their measurements.
#[derive(Debug, Clone, Default)]
pub struct Methods(Arc<BTreeMap<B256, HostedMethod>>);

impl Methods {
    /// These.
    pub fn of(methods: impl IntoIterator<Item = HostedMethod>) -> Self {
        let measured = methods.into_iter().map(|m| (B256::from(m.program().program().measurement()), m));
        Self(Arc::new(measured.collect()))
    }

    /// One of them.
    pub fn get(&self, measurement: B256) -> Option<&HostedMethod> {
        self.0.get(&measurement)
    }
}
