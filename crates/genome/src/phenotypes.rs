//! Tables of phenotypes and covariates beside genotypes, in the layout of PLINK.
//!
//! A header line `FID IID ...` or `IID ...`, with or without `#`, then one line for each person, cells kept apart by tabs or
//! blanks. [`PhenotypeFile::read`] reads the table; [`PhenotypeFile::join`] takes columns out of it in the order of the samples
//! of a genotype file. Rows and samples are joined by their ids and never by their order, and what does not match is counted
//! and named by its line: in [`Join`] where the rest can be used, as an error where it would be ambiguous.
//!
//! ```
//! use histone_genome::phenotypes::{Missing, PhenotypeFile, Sample};
//! use histone_genome::text::TextLimits;
//!
//! let file = "#IID\tHEIGHT\tSEX\nb\t1.5\t1\na\tNA\t2\nz\t1\t1\n";
//! let file = PhenotypeFile::read("pheno.tsv", file.as_bytes(), &TextLimits::default())?;
//! let samples = ["a", "b", "c"].map(Sample::named);
//! let (phenotypes, join) = file.join(&samples, &["HEIGHT"], &Missing::default())?;
//! let height = phenotypes.column("HEIGHT").unwrap();
//! assert!(height[0].is_nan() && height[1] == 1.5 && height[2].is_nan());
//! assert_eq!((join.matched, join.unknown_lines, join.without_row), (2, vec![4], vec![2]));
//! # Ok::<(), histone_genome::phenotypes::PhenotypeError>(())
//! ```
//!
//! Ids of persons and contents of cells are in no error and no `Debug`. Source: PLINK 1.9 and 2.0, formats `.pheno`, `.cov` and
//! `.psam` (files without a header line, which PLINK 1.9 also takes, are refused: nothing in them says what is what).

mod error;
mod join;
mod read;

pub use error::{PhenotypeError, PhenotypeProblem};
pub use join::{CaseCoding, Join, Missing, Phenotypes, Sample};
pub use read::PhenotypeFile;
