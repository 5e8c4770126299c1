//! The programs that come with the product, admitted and compiled.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use histone_enclave::engine::{Engine, LoadedProgram, RunError};
use histone_enclave::manifest::Manifest;
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

macro_rules! published {
    ($name:literal, $kind:ident) => {
        PublishedProgram {
            name: $name,
            kind: ProgramKind::$kind,
            wasm: include_bytes!(concat!("../../../programs/artifacts/", $name, ".wasm")),
            source: include_bytes!(concat!("../../../programs/artifacts/", $name, ".source")),
        }
    };
}

/// Looks at datasets, whatever is trained on them.
pub const VALIDATE: PublishedProgram = published!("validate", Validation);

/// The methods that come with the product, each with what applies its models.
pub const METHODS: [[PublishedProgram; 2]; 3] = [
    [published!("logistic", Training), published!("logistic-answer", Query)],
    [published!("linear", Training), published!("linear-answer", Query)],
    [published!("scan", Training), published!("scan-answer", Query)],
];

/// A bundled method by its name: what trains, and what applies its models.
fn method(name: &str) -> Result<[PublishedProgram; 2], ProgramError> {
    METHODS.into_iter().find(|[method, _]| method.name == name).ok_or_else(|| {
        let names: Vec<&str> = METHODS.iter().map(|[method, _]| method.name).collect();
        ProgramError::Unknown { name: name.into(), known: names.join(", ") }
    })
}

/// What a bundled method says of itself, without compiling it.
pub fn manifest(name: &str) -> Result<Manifest, ProgramError> {
    let program = Program::published(method(name)?[0].wasm)?;
    program.manifest().cloned().ok_or_else(|| MethodError::NotAMethod(name.into()).into())
}

/// The measurement of a bundled method, without compiling it.
pub fn measurement(name: &str) -> Result<B256, ProgramError> {
    Ok(Program::published(method(name)?[0].wasm)?.measurement().into())
}

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
    /// None of this name.
    #[error("there is no method `{}`; this version has {known}", .name.escape_debug())]
    Unknown {
        /// The name.
        name: String,
        /// All names.
        known: String,
    },
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
    /// The three as they are published.
    pub published: [PublishedProgram; 3],
}

impl Loaded {
    /// Admits and compiles what a study by this bundled method runs on.
    pub fn bundled(name: &str) -> Result<Self, ProgramError> {
        let engine = Engine::new()?;
        let load = |p: PublishedProgram| -> Result<LoadedProgram, ProgramError> {
            Ok(engine.load(Program::published(p.wasm)?)?)
        };
        let [method, answer] = method(name)?;
        Ok(Self {
            validation: load(VALIDATE)?,
            method: HostedMethod::new(load(method)?)?,
            query: load(answer)?,
            published: [VALIDATE, method, answer],
        })
    }

    /// The three programs, each as it is published and compiled.
    pub fn all(&self) -> [(&PublishedProgram, &LoadedProgram); 3] {
        let [validation, method, answer] = &self.published;
        [(validation, &self.validation), (method, self.method.program()), (answer, &self.query)]
    }
}

/// All programs that come with the product, for any number of parties in this process. Each is admitted and compiled when it is needed
/// for the first time: most parties run none, or one.
#[derive(Debug, Clone)]
pub struct Bundled {
    shelf: Arc<Shelf>,
    /// One that is not there for whoever holds this.
    without: Option<B256>,
}

#[derive(Debug)]
struct Shelf {
    engine: Engine,
    programs: Vec<Shelved>,
}

/// A program that may be compiled already.
#[derive(Debug)]
struct Shelved {
    published: PublishedProgram,
    measurement: B256,
    loaded: OnceLock<LoadedProgram>,
    method: OnceLock<HostedMethod>,
}

impl Bundled {
    /// Measures them.
    pub fn load() -> Result<Self, ProgramError> {
        let all = std::iter::once(VALIDATE).chain(METHODS.into_iter().flatten());
        let shelved = |published: PublishedProgram| -> Result<Shelved, ProgramError> {
            let measurement = Program::published(published.wasm)?.measurement().into();
            Ok(Shelved { published, measurement, loaded: OnceLock::new(), method: OnceLock::new() })
        };
        let programs = all.map(shelved).collect::<Result<_, _>>()?;
        Ok(Self { shelf: Arc::new(Shelf { engine: Engine::new()?, programs }), without: None })
    }

    /// The same for whoever does not have one of them, such as everybody but the author of a closed method.
    #[must_use]
    pub fn without(&self, measurement: B256) -> Self {
        Self { shelf: self.shelf.clone(), without: Some(measurement) }
    }

    fn find(&self, measurement: B256) -> Option<&Shelved> {
        let is = |p: &&Shelved| p.measurement == measurement && self.without != Some(measurement);
        self.shelf.programs.iter().find(is)
    }

    /// One of them, by its measurement.
    pub fn program(&self, measurement: B256) -> Option<Result<LoadedProgram, ProgramError>> {
        self.find(measurement).map(|program| self.loaded(program))
    }

    fn loaded(&self, program: &Shelved) -> Result<LoadedProgram, ProgramError> {
        if let Some(loaded) = program.loaded.get() {
            return Ok(loaded.clone());
        }
        let loaded = self.shelf.engine.load(Program::published(program.published.wasm)?)?;
        Ok(program.loaded.get_or_init(|| loaded).clone())
    }

    /// Whether one of them has this measurement.
    pub fn has(&self, measurement: B256) -> bool {
        self.find(measurement).is_some()
    }

    /// What a method of this name runs on.
    pub fn method(&self, name: &str) -> Result<Loaded, ProgramError> {
        let [training, answer] = method(name)?;
        let load = |published: PublishedProgram| {
            let unknown = || ProgramError::Unknown { name: name.into(), known: String::new() };
            let found = self.shelf.programs.iter().find(|p| p.published.name == published.name);
            self.loaded(found.ok_or_else(unknown)?)
        };
        Ok(Loaded {
            validation: load(VALIDATE)?,
            method: HostedMethod::new(load(training)?)?,
            query: load(answer)?,
            published: [VALIDATE, training, answer],
        })
    }

    /// All methods.
    pub fn methods(&self) -> Methods {
        Methods { known: Arc::default(), bundled: Some(self.clone()) }
    }

    fn hosted(&self, measurement: B256) -> Option<&HostedMethod> {
        let program = self.find(measurement).filter(|p| p.published.kind == ProgramKind::Training)?;
        if program.method.get().is_none() {
            // The committed modules are methods: a test loads all of them.
            let method = HostedMethod::new(self.loaded(program).ok()?).ok()?;
            let _ = program.method.set(method);
        }
        program.method.get()
    }
}

/// The methods that a node has at hand, by their measurements.
#[derive(Debug, Clone, Default)]
pub struct Methods {
    known: Arc<BTreeMap<B256, HostedMethod>>,
    bundled: Option<Bundled>,
}

impl Methods {
    /// These.
    pub fn of(methods: impl IntoIterator<Item = HostedMethod>) -> Self {
        let measured = methods.into_iter().map(|m| (B256::from(m.program().program().measurement()), m));
        Self { known: Arc::new(measured.collect()), bundled: None }
    }

    /// One of them.
    pub fn get(&self, measurement: B256) -> Option<&HostedMethod> {
        self.known.get(&measurement).or_else(|| self.bundled.as_ref()?.hosted(measurement))
    }
}
