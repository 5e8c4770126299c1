//! The border between a program and its host: every name, none left out.
//!
//! | import of module `histone` | what it does |
//! |---|---|
//! | `input_count() -> i32` | number of input channels: channel 0 is public, the others hold what is private |
//! | `input_len(channel) -> i32` | length of a channel's input in bytes |
//! | `input_read(channel, ptr, offset, len)` | copies `len` bytes of it from `offset` to `ptr` |
//! | `output_emit(ptr, len)` | appends to the result |
//! | `explain(ptr, len)` | why there will be no result, in UTF-8; only in [`PUBLIC`] entries |
//! | `abort(code)` | ends the run without a result; `code` is a [`crate::refusal::Refusal`] |
//!
//! All parameters are `i32`. A module exports its `memory` and the entries of one [kind](KINDS), each `() -> ()`. There is no call
//! for time, randomness, files, network, logging or another program.

/// Version of everything in this module and of the layout of inputs; part of every program's measurement.
pub const VERSION: &str = "histone-abi/3";

/// The only module name a program may import from.
pub const MODULE: &str = "histone";

/// Imports by name: number of `i32` parameters, whether an `i32` comes back.
pub const IMPORTS: [(&str, usize, bool); 6] = [
    ("abort", 1, false),
    ("explain", 2, false),
    ("input_count", 0, true),
    ("input_len", 1, true),
    ("input_read", 4, false),
    ("output_emit", 2, false),
];

/// The entries of a method: the public half, then the private one.
pub const METHOD: [&str; 6] = ["agenda", "begin", "next", "advance", "site", "report"];

/// Entries that see nothing private and may say why they give no result.
pub const PUBLIC: [&str; 4] = ["agenda", "begin", "next", "advance"];

/// What a module can be, by the entries that it exports.
pub const KINDS: [(&str, &[&str]); 3] =
    [("validate", &["validate"]), ("method", &METHOD), ("answer", &["answer"])];

/// The custom section with the manifest of a method.
pub const MANIFEST: &str = "histone.manifest";

/// The exported memory.
pub const MEMORY: &str = "memory";

/// Layout marks that the linker exports beside it, constant `i32` globals; allowed and without a meaning here.
pub const LINKER_GLOBALS: [&str; 2] = ["__data_end", "__heap_base"];
