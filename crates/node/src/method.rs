//! Methods without a ledger: what an author tries, and what an auditor reads.
//!
//! - [`bundled`]: the methods that come with the product, by name.
//! - [`settings`]: the file that says which columns a model is made from.
//! - [`range`] and [`codes`]: plausible values, and which cells of an outcome mean yes; studies read them alike.
//! - [`sites`]: tables in files, as the private half reads them.
//! - [`author`]: a folder for a new method.

pub mod author;
pub mod codes;
pub mod range;
pub mod settings;
pub mod sites;

use histone_enclave::engine::Engine;
use histone_enclave::method::{HostedAnswer, HostedMethod, MethodError};
use histone_enclave::program::{AdmissionError, Program};

use crate::programs::ProgramError;

/// A method that comes with the product: its two modules.
#[derive(Debug, Clone, Copy)]
pub struct BundledMethod {
    /// Its name.
    pub name: &'static str,
    /// What trains.
    pub wasm: &'static [u8],
    /// What applies its models.
    pub answer: &'static [u8],
    /// Every source file that both are built from.
    pub source: &'static [u8],
}

/// All of them.
pub const METHODS: [BundledMethod; 3] = [
    BundledMethod {
        name: "linear",
        wasm: include_bytes!("../../../programs/artifacts/linear.wasm"),
        answer: include_bytes!("../../../programs/artifacts/linear-answer.wasm"),
        source: include_bytes!("../../../programs/artifacts/linear.source"),
    },
    BundledMethod {
        name: "logistic",
        wasm: include_bytes!("../../../programs/artifacts/logistic.wasm"),
        answer: include_bytes!("../../../programs/artifacts/logistic-answer.wasm"),
        source: include_bytes!("../../../programs/artifacts/logistic.source"),
    },
    BundledMethod {
        name: "scan",
        wasm: include_bytes!("../../../programs/artifacts/scan.wasm"),
        answer: include_bytes!("../../../programs/artifacts/scan-answer.wasm"),
        source: include_bytes!("../../../programs/artifacts/scan.source"),
    },
];

/// One of them by its name.
pub fn bundled(name: &str) -> Option<&'static BundledMethod> {
    METHODS.iter().find(|m| m.name == name)
}

/// Why a module is no method that can be called.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is not admitted, or does not load.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// It is no method.
    #[error(transparent)]
    Method(#[from] MethodError),
}

impl From<AdmissionError> for LoadError {
    fn from(error: AdmissionError) -> Self {
        LoadError::Program(error.into())
    }
}

/// Admits and compiles a method.
pub fn load(wasm: &[u8]) -> Result<HostedMethod, LoadError> {
    let program = Program::published(wasm)?;
    let loaded = Engine::new().and_then(|engine| engine.load(program)).map_err(ProgramError::Load)?;
    Ok(HostedMethod::new(loaded)?)
}

/// Admits and compiles the module that applies the models of a method.
pub fn load_answer(wasm: &[u8], method: &HostedMethod) -> Result<HostedAnswer, LoadError> {
    let program = Program::published(wasm)?;
    let loaded = Engine::new().and_then(|engine| engine.load(program)).map_err(ProgramError::Load)?;
    Ok(HostedAnswer::new(loaded, method.manifest().clone())?)
}
