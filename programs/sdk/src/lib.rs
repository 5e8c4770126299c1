//! What a Histone program and its host both know.
//!
//! A program is a closed wasm module: one input channel, one output channel, no clock, no files, no network and no
//! randomness but what its input holds. This crate gives the two sides one definition of that input and output, and
//! gives programs the little arithmetic that must come out the same on every machine.
//!
//! In reading order:
//!
//! 1. [`method`]: a whole training as one program, and how its models are applied; [`config`] is what a study tells it, [`data`]
//!    the rows of a site, [`model`] what it ends with. [`tabular`] is what methods over tables share, [`stats`] and [`matrix`]
//!    the arithmetic of their results; [`genotypes`] are the calls of people at many variants, and exact sums over them.
//! 2. [`job`]: what a validation program is asked and what it answers.
//! 3. [`wire`]: the bytes under both; [`refusal`]: how a program says that it gives no answer.
//! 4. [`math`]: `exp`, the logistic function and vector kernels with one fixed order of operations.
//! 5. [`abi`]: the names and signatures that a module may import and export; `guest` (wasm32 only) is the
//!    program's side of it, reached through [`method!`], [`answer!`] and [`entry!`].
//!
//! A whole validation program, which believes everything:
//!
//! ```
//! use histone_program_sdk::job::{ValidateJob, ValidateReport};
//! use histone_program_sdk::refusal::Refusal;
//!
//! pub fn run(input: &[u8]) -> Result<Vec<u8>, Refusal> {
//!     let table = ValidateJob::decode(input)?.table;
//!     let (rows, columns) = (table.rows() as u32, table.levels.len());
//!     let (missing, flags) = (vec![0; columns], vec![0; columns]);
//!     Ok(ValidateReport { rows, duplicates: 0, missing, flags, quality: 3 }.encode())
//! }
//!
//! histone_program_sdk::entry!(validate, run);
//! # fn main() {}
//! ```
//!
//! It deliberately has no dependency: everything that an auditor must read to trust a program lies in this folder and
//! the program's own. There is also no log, no clock and no random generator to import, and no second output.

pub mod abi;
pub mod config;
pub mod data;
pub mod entries;
pub mod genotypes;
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

/// Makes `$run: fn(&[u8]) -> Result<Vec<u8>, Refusal>` the entry of a program of kind `validate`. Methods
/// and what applies their models are made with [`method!`] and [`answer!`].
///
/// On wasm32 it exports the entry under the name of the kind; elsewhere it only checks the type of `$run`, so that
/// the same crate is an ordinary library in tests.
#[macro_export]
macro_rules! entry {
    (validate, $run:path) => {
        $crate::entry!(@export validate, $run);
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
