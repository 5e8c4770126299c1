//! Meta-analysis: one estimate for each variant out of the tables of several scans.
//!
//! 1. [`Study::read`] takes a table as `histone genome gwas`, `histone genome associations` or plink2's `--glm` writes it.
//! 2. [`Meta::add`] finds its variants by place and alleles, turns effects of swapped alleles, and adds them up.
//! 3. [`Meta::finish`] gives, for each variant, the estimate, its p-value, and how far the studies disagree.
//!
//! Two methods, both of which METAL has (Willer, Li and Abecasis, Bioinformatics 26 (2010), 2190-2191): estimates weighted by
//! their inverse variance, for studies that measure the trait alike, and z-scores weighted by the square root of the people
//! (Stouffer). Heterogeneity is Cochran's Q (Biometrics 10 (1954), 101-129) and I-squared (Higgins and Thompson, Statistics
//! in Medicine 21 (2002), 1539-1558).
//!
//! ```
//! use histone_genome::meta::{Meta, Method, Strands, Study};
//! use histone_genome::text::TextLimits;
//!
//! let head = "#CHROM\tPOS\tID\tREF\tALT\tALT_FREQ\tOBS_CT\tMODEL\tBETA\tSE\tSTAT\tP\n";
//! let north = format!("{head}22\t7\trs1\tA\tC\t0.2\t300\tlinear\t0.5\t0.1\t5\t5.7e-7\n");
//! let south = format!("{head}22\t7\trs1\tC\tA\t0.8\t100\tlinear\t-0.2\t0.2\t-1\t0.32\n");
//! let mut meta = Meta::new(Method::InverseVariance, Strands::Same);
//! for (name, table) in [("north.tsv", north), ("south.tsv", south)] {
//!     meta.add(&Study::read(name, table.as_bytes(), &TextLimits::default())?, None);
//! }
//! let variant = &meta.finish()[0];
//! assert_eq!((variant.directions.as_str(), variant.studies(), variant.people), ("++", 2, 400));
//! assert!((variant.effect - 0.44).abs() < 1e-12);
//! # Ok::<(), histone_genome::meta::MetaError>(())
//! ```
//!
//! Deliberately not here: random effects, and studies that share people, whose estimates are not independent.

mod combine;
mod study;

use crate::text::TextError;

pub use combine::{Combined, Matched, Meta, Method, Strands};
pub use study::{Row, Study};

/// Why a table is none of a scan. Tables of scans hold no person's data, and cells may be named.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetaError {
    /// The file is no text, or too large.
    #[error(transparent)]
    Text(#[from] TextError),
    /// No line at all.
    #[error("{file}: the table is empty")]
    Empty {
        /// Name of the file.
        file: String,
    },
    /// A column that is needed.
    #[error(
        "{file}, line 1: there is no column {names}; tables of `histone genome gwas`, `histone genome associations` and plink2's `--glm` have it"
    )]
    NoColumn {
        /// Name of the file.
        file: String,
        /// What it may be called.
        names: &'static str,
    },
    /// A row with another number of cells than the header.
    #[error("{file}, line {line}: the row has {found} cells and the header {expected}")]
    RowLength {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Cells of the header.
        expected: usize,
        /// Cells of the row.
        found: usize,
    },
    /// A cell that is not what its column holds.
    #[error("{file}, line {line}: {column} is no {expected}")]
    Cell {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// What the column is called.
        column: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}
