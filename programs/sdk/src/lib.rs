//! What a Histone program and its host both know.
//!
//! A program is a closed wasm module: one input channel, one output channel, no clock, no files, no network and no
//! randomness but what its input holds. This crate gives the two sides one definition of that input and output, and
//! gives programs the little arithmetic that must come out the same on every machine.
//!
//! In reading order:
//!
//! 1. [`job`]: what is asked of a program and what it answers.
//! 2. [`wire`]: the bytes under it.
//! 3. [`refusal`]: how a program says that it gives no answer.
//! 4. [`math`]: `exp`, the logistic function and vector kernels with one fixed order of operations.
//! 5. [`abi`]: the names and signatures that a module may import and export; `guest` (wasm32 only) is the
//!    program's side of it, reached through [`entry!`].
//!
//! A whole program:
//!
//! ```
//! use histone_program_sdk::{job::QueryJob, refusal::Refusal, wire::encode_vector};
//!
//! /// The first value of the row.
//! pub fn run(input: &[u8]) -> Result<Vec<u8>, Refusal> {
//!     let job = QueryJob::decode(input)?;
//!     job.row.first().map(|v| encode_vector(&[*v])).ok_or(Refusal::Malformed)
//! }
//!
//! histone_program_sdk::entry!(query, run);
//! # fn main() {}
//! ```
//!
//! It deliberately has no dependency: everything that an auditor must read to trust a program lies in this folder and
//! the program's own. There is also no log, no clock and no random generator to import, and no second output.

pub mod abi;
pub mod config;
pub mod data;
pub mod entries;
pub mod job;
pub mod math;
pub mod matrix;
pub mod method;
pub mod model;
pub mod refusal;
pub mod stats;
pub mod tabular;
pub mod wire;

#[cfg(target_arch = "wasm32")]
pub mod guest;

/// Makes `$run: fn(&[u8]) -> Result<Vec<u8>, Refusal>` the entry of a program of kind `validate`, `train` or `query`.
///
/// On wasm32 it exports the entry under the name of the kind; elsewhere it only checks the type of `$run`, so that
/// the same crate is an ordinary library in tests.
#[macro_export]
macro_rules! entry {
    (validate, $run:path) => {
        $crate::entry!(@export validate, $run);
    };
    (train, $run:path) => {
        $crate::entry!(@export train, $run);
    };
    (query, $run:path) => {
        $crate::entry!(@export query, $run);
    };
    (@export $kind:ident, $run:path) => {
        const _: fn(&[u8]) -> Result<Vec<u8>, $crate::refusal::Refusal> = $run;

        // Safety: the symbol is the only export of this name in a module that holds one program.
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code)]
        #[unsafe(no_mangle)]
        extern "C" fn $kind() {
            $crate::guest::run($run)
        }
    };
}
