//! The program host: what stands between a program that anyone may have written and data that nobody may see.
//!
//! Parties: an author who publishes a program, an auditor who rebuilds it from source, a runner on whose machine this
//! crate runs it, and the owners of the data that goes in. The steps, each a module:
//!
//! 1. [`program`]: the static check. [`program::Program::admit`] reads a wasm module and either names what is wrong
//!    with it or gives a value that says: no imports but the host's calls, the entries of one kind of program, a memory with a maximum, a
//!    closed feature set. Its [measurement](program::Program::measurement) is what is registered and attested.
//! 2. [`engine`]: the run. Fresh memory, fuel, fixed arithmetic: the same input gives the same bytes on every machine.
//! 3. [`method`]: a whole training as calls of one module, by its [`manifest`] and a [`plan`]. [`gate`]: what a validation
//!    program may say. What a program wrote is only bytes until it fits the one shape that was asked for.
//! 4. [`instance`]: a started program with keys of its own and evidence that binds them; on top of it the three
//!    services: [`validation`], [`training`], [`query`]. What they must remember they keep in a [`storage`].
//!
//! ```no_run
//! use histone_enclave::{engine::Engine, gate, program::{Limits, Program}};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (wasm, input): (Vec<u8>, Vec<u8>) = (vec![], vec![]);
//! let program = Program::admit(&wasm, Limits::STANDARD)?;
//! let loaded = Engine::new()?.load(program)?;
//! let output = loaded.run(&input)?;
//! let report = gate::report(&output.bytes, 100, 30)?;
//! # Ok(()) }
//! ```
//!
//! Deliberately not there: no WASI, no clock, no randomness, no log and no file or network call for a program; no
//! state that lives from one run to the next; no way to run a module that was not admitted.

pub mod cohort;
mod consent;
pub mod described;
pub mod engine;
pub mod gate;
pub mod instance;
pub mod manifest;
pub mod method;
pub mod plan;
pub mod program;
pub mod query;
pub mod reading;
pub mod release;
pub mod sketch;
pub mod storage;
pub mod training;
pub mod validation;
