//! Scoring files of the PGS Catalog: which alleles count how much in a polygenic score.
//!
//! [`ScoringFile::read`] takes the formats 1.0 and 2.0, as authors gave them or harmonized, and the bare table that other
//! tools make of them. Nothing is computed here: [`ScoringFile::variants`] gives the rows, [`ScoreVariant::problem`] says which
//! of them are not one allele of one place (haplotypes, interactions, HLA alleles, places that are unknown), and
//! [`ScoringFile::place`] gives the place on the assembly of a study.
//!
//! ```
//! use histone_genome::assembly::Assembly;
//! use histone_genome::scoring::{ScoringFile, Weight};
//! use histone_genome::text::TextLimits;
//!
//! let file = "#pgs_id=PGS000001\n#genome_build=GRCh37\n\
//!     rsID\tchr_name\tchr_position\teffect_allele\tother_allele\teffect_weight\nrs1\t22\t101\tA\tG\t-1.5e-2\n";
//! let file = ScoringFile::read("score.txt", file.as_bytes(), &TextLimits::default())?;
//! let variant = &file.variants()[0];
//! assert_eq!(variant.weight, Weight::PerAllele(-0.015));
//! assert_eq!(variant.problem(), None);
//! assert_eq!(file.place(variant, Assembly::Grch37).map(|place| place.position.get()), Some(101));
//! assert_eq!(file.place(variant, Assembly::Grch38), None);
//! # Ok::<(), histone_genome::scoring::ScoringError>(())
//! ```
//!
//! A weight is the 64-bit number nearest to the decimal in the file. Source: PGS Catalog, "PGS Scoring Files", format 2.0 with
//! harmonized columns `hm_*` (read from files and from the catalog's Python tools).

mod error;
mod header;
mod read;
mod variant;

pub use error::{ScoreProblem, ScoringError};
pub use header::ScoreHeader;
pub use read::ScoringFile;
pub use variant::{Effect, NotOneAllele, Place, ScoreVariant, Weight};
