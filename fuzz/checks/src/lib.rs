//! What must hold of every decoder of bytes from outside: it never panics, and what it accepts encodes to the same bytes
//! where its format promises that.
//!
//! One [`Target`] is one function over bytes, with a few valid encodings as [seeds](Target::seeds). Two tiers run the same
//! functions: `cargo test` over the committed seeds and some thousand [mutations](mutate) of them, and libFuzzer, which
//! `cargo xtask fuzz` starts (docs/fuzzing.md). Tests that make values up from nothing, so that every value is encoded and
//! decoded, lie beside the formats.

#[cfg(feature = "enclave")]
pub mod enclave;
pub mod genomes;
pub mod letters;
pub mod methods;
pub mod mutate;
pub mod records;
pub mod rounds;
pub mod tables;

/// A decoder, or a few that see the same kind of bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which is that of its fuzz target and of its folder of seeds.
    pub name: &'static str,
    /// Decodes; panics where something does not hold. Gives whether anything was accepted.
    pub check: fn(&[u8]) -> bool,
    /// Valid encodings, by the names of their files.
    pub seeds: fn() -> Vec<(String, Vec<u8>)>,
    /// Whether a valid encoding has one length: whatever is cut off it or put behind it is refused. Not so of text that ends
    /// in a line break, nor of a target with so many formats that the beginning of one is another.
    pub exact: bool,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    #[cfg(feature = "enclave")]
    Target { name: "manifest", check: enclave::manifest, seeds: enclave::manifests, exact: false },
    #[cfg(feature = "enclave")]
    Target { name: "sketches", check: enclave::sketches, seeds: enclave::indexes, exact: true },
    Target { name: "ask", check: methods::ask, seeds: methods::asks, exact: true },
    Target { name: "state", check: methods::state, seeds: methods::states, exact: false },
    Target { name: "model", check: methods::model, seeds: methods::models, exact: true },
    Target { name: "data", check: tables::data, seeds: tables::blocks, exact: true },
    Target { name: "table", check: tables::table, seeds: tables::tables, exact: true },
    Target { name: "csv", check: tables::csv, seeds: tables::files, exact: false },
    Target { name: "header", check: rounds::header, seeds: rounds::headers, exact: true },
    Target { name: "update", check: rounds::update, seeds: rounds::updates, exact: true },
    Target { name: "letter", check: letters::letter, seeds: letters::letters, exact: true },
    Target { name: "record", check: records::record, seeds: records::records, exact: true },
    Target { name: "vcf", check: genomes::vcf, seeds: genomes::vcfs, exact: false },
    Target { name: "bcf", check: genomes::bcf, seeds: genomes::bcfs, exact: false },
    Target { name: "bgzf", check: genomes::bgzf, seeds: genomes::compressed, exact: true },
    Target { name: "index", check: genomes::index, seeds: genomes::indexes, exact: false },
    Target { name: "fileset", check: genomes::fileset, seeds: genomes::filesets, exact: true },
    Target { name: "pgen", check: genomes::pgen, seeds: genomes::pgens, exact: true },
    Target { name: "bgen", check: genomes::bgen, seeds: genomes::bgens, exact: true },
    Target { name: "personal", check: genomes::personal, seeds: genomes::personals, exact: false },
    Target { name: "scoring", check: genomes::scoring, seeds: genomes::scores, exact: false },
    Target { name: "phenotypes", check: genomes::phenotypes, seeds: genomes::trait_tables, exact: false },
    Target { name: "crypt4gh", check: genomes::crypt4gh, seeds: genomes::sealed, exact: false },
    Target { name: "genotypes", check: genomes::genotypes, seeds: genomes::encoded, exact: true },
];

/// Whether these encode one value. The layout of numbers has many forms of a NaN and writes one: bytes may differ there.
pub(crate) fn same_but_for_nan(read: &[u8], written: &[u8]) -> bool {
    let nan = f64::NAN.to_bits().to_le_bytes();
    let in_nan = |at: usize| {
        (at.saturating_sub(7)..=at).any(|from| written.get(from..from + 8) == Some(nan.as_slice()))
    };
    read.len() == written.len() && (0..read.len()).all(|at| read[at] == written[at] || in_nan(at))
}
