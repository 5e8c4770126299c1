//! Files that a person downloads from a genotyping company: 23andMe, AncestryDNA, FamilyTreeDNA, MyHeritage, LivingDNA and
//! others that write one marker a line.
//!
//! What a file is, is found in its text and not in its name: the company in the comments or in the spelling of the header,
//! the meaning of the columns in the header, the assembly in the comments and in the positions of a few well-known
//! markers. [`PersonalFile::read`] reads all of it; [`PersonalFile::calls`] gives the rows;
//! [`PersonalFile::repeats`] finds rows that repeat or contradict each other; [`PersonalFile::against`] counts alternative
//! alleles where a panel says which alleles a site has, because these files do not say what the reference is.
//!
//! ```
//! use histone_genome::personal::{Company, PersonalFile};
//! use histone_genome::text::TextLimits;
//!
//! let file = "# 23andMe, build 37\n# rsid\tchromosome\tposition\tgenotype\nrs1\t1\t101\tAG\nrs2\tMT\t7\tC\n";
//! let file = PersonalFile::read("genome.txt", file.as_bytes(), &TextLimits::default())?;
//! assert_eq!(file.company(), Company::TwentyThreeAndMe);
//! assert_eq!(file.assembly().map(|a| a.to_string()).as_deref(), Some("GRCh37"));
//! assert_eq!(file.calls().count(), 2);
//! # Ok::<(), histone_genome::personal::PersonalError>(())
//! ```
//!
//! Letters are taken as they stand. Most companies write the forward strand of the assembly, and nothing in a file proves it.
//!
//! Source: the layouts are not specified by anyone; they were taken from files, among them the collection of the Python
//! package `snps`.

mod against;
mod error;
mod genotype;
mod header;
mod read;
mod repeats;

pub use against::{Against, AltCall, PanelSite};
pub use error::{CallProblem, PersonalError};
pub use genotype::{CallAllele, Genotype};
pub use header::Company;
pub use read::{Call, PersonalFile};
pub use repeats::{Contradiction, Repeats};
