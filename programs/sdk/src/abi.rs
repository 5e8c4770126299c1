//! The border between a program and its host: every name, none left out.
//!
//! | import of module `histone` | what it does |
//! |---|---|
//! | `input_len() -> i32` | length of the input in bytes |
//! | `input_read(ptr, offset, len)` | copies `len` bytes of the input from `offset` to `ptr` |
//! | `output_emit(ptr, len)` | hands over the result; at most once |
//! | `abort(code)` | ends the run without a result; `code` is a [`crate::refusal::Refusal`] |
//!
//! All parameters are `i32`. A module exports its `memory` and exactly one of [`ENTRIES`], `() -> ()`, whose name is
//! the kind of the program. There is no call for time, randomness, files, network, logging or another program.

/// Version of everything in this module and of the layout of jobs; part of every program's measurement.
pub const VERSION: &str = "histone-abi/1";

/// The only module name a program may import from.
pub const MODULE: &str = "histone";

/// Imports by name: number of `i32` parameters, whether an `i32` comes back.
pub const IMPORTS: [(&str, usize, bool); 4] =
    [("abort", 1, false), ("input_len", 0, true), ("input_read", 3, false), ("output_emit", 2, false)];

/// Entry points; a program has exactly one.
pub const ENTRIES: [&str; 3] = ["validate", "train", "query"];

/// The exported memory.
pub const MEMORY: &str = "memory";

/// Layout marks that the linker exports beside it, constant `i32` globals; allowed and without a meaning here.
pub const LINKER_GLOBALS: [&str; 2] = ["__data_end", "__heap_base"];
