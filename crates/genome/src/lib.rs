//! Formats and validation of the data that owners bring to a study.
//!
//! A data owner has a file; a training program wants numbers that it can trust. This crate is everything between
//! the two: it reads the file strictly, says exactly where something is wrong, and turns the result into a value with
//! **one** canonical encoding, so that a commitment to the encoding is a commitment to the data.
//!
//! Steps, in the order of a study:
//!
//! 1. [`table::RawTable::read`] takes bytes from any [`std::io::Read`] and checks that they are a table at all: UTF-8,
//!    a header of unique names, rows of equal length, quotes closed, sizes within [`table::Limits`].
//! 2. [`table::RawTable::select`] takes the columns that the study asks for and makes a [`table::Table`]: finite
//!    numbers of bounded size, whole numbers, categories and days, `NaN` for missing, the outcome in the last columns.
//! 3. [`table::Table::encode`] and [`table::Table::row_bytes`] give the canonical bytes that are committed to, encrypted
//!    and sent; [`table::Table::decode`] accepts exactly those bytes.
//!
//! ```
//! use histone_genome::table::{Column, Features, Label, Limits, MissingRules, RawTable, Selection, Table};
//!
//! let file = "age,chol,num\n63,233,0\n67,,3\n";
//! let raw = RawTable::read("cleveland.csv", file.as_bytes(), &Limits::default())?;
//! let table = raw.select(&Selection {
//!     label: "num".into(),
//!     outcome: Label::YesNo("> 0".parse::<histone_genome::table::Rule>()?.into()),
//!     features: Features::AllNumeric,
//!     kinds: Default::default(),
//!     ignore: vec![],
//!     missing: MissingRules::default(),
//! })?;
//! assert_eq!(table.columns(), [Column::number("age"), Column::number("chol"), Column::no_yes("num")]);
//! assert_eq!(table.column(2).collect::<Vec<_>>(), [0.0, 1.0]);
//! assert!(table.row(1).is_some_and(|row| row[1].is_nan()));
//! assert_eq!(Table::decode(&table.encode())?, table);
//! # Ok::<(), histone_genome::table::TableError>(())
//! ```
//!
//! Genotypes go another way:
//!
//! 1. [`vcf`] checks and reads VCF files, [`plink`] and [`plink2`] read filesets, [`bgen`] probabilities, strictly, as blocks of
//!    [`genotypes`] in two bits a call; a [`cohort::Cohort`] is any of them, and [`variant`] gives each of its variants one identity. A
//!    [`panel`] brings them into the one order of a study.
//! 2. [`stats`] counts and tests them, [`association`] scans them for a phenotype, [`score`] adds them up. [`ld`] thins out
//!    what is linked, [`pca`] tells ancestry, [`regression`] predicts a trait from the whole genome, so that a scan is not
//!    misled by either, [`training`] makes the weights of scores, and [`evaluation`] says how good they are.
//! 3. [`meta`] adds the tables of several scans up.
//! 4. [`genotypes::BlockWriter`] and [`genotypes::BlockReader`] are the canonical bytes of the calls.
//!
//! Where there are no data, [`simulate`] makes cohorts with linkage and traits, which say everywhere that they are simulated.
//!
//! ```
//! use histone_genome::genotypes::{Genotypes, Limits};
//! use histone_genome::plink::BedReader;
//! use histone_genome::stats::counts;
//!
//! let bed = [0x6c, 0x1b, 0x01, 0xdc, 0x0f];
//! let genotypes = Genotypes::collect(&mut BedReader::new("small.bed", &bed[..], 6, 1)?, &Limits::default())?;
//! let counts = counts::of_block(&genotypes.blocks()[0])[0];
//! assert_eq!((counts.hom_ref, counts.hom_alt, counts.missing), (4, 1, 1));
//! assert_eq!(counts.frequency(), Some(0.2));
//! # Ok::<(), histone_genome::plink::PlinkError>(())
//! ```
//!
//! Other files of genomes: [`crypt4gh`] opens and seals the container in which they are kept, [`personal`] reads what a person
//! downloads from a genotyping company, [`scoring`] the weights of a polygenic score, [`phenotypes`] a table of PLINK's layout
//! in the order of the samples of a genotype file.
//!
//! Deliberately not here: no IO beyond `Read` and `Write`, no clock, no randomness but what is handed in, no statistics on tables (filling missing
//! cells with a median is the training program's business, because the median of a study is not the median of a
//! hospital). **No error carries the content of a cell**: it names file, line and column, and the owner looks there.
//! The crate builds for `wasm32-unknown-unknown`.

pub mod assembly;
pub mod association;
pub mod bgen;
pub mod cohort;
mod cpu;
pub mod crypt4gh;
pub mod evaluation;
pub mod genotypes;
pub mod harmonize;
mod input;
pub mod ld;
pub mod meta;
pub mod panel;
pub mod pca;
pub mod personal;
pub mod phenotypes;
pub mod plink;
pub mod plink2;
pub mod quality;
pub mod regression;
pub mod score;
pub mod scoring;
pub mod simulate;
pub mod sketch;
pub mod stats;
pub mod table;
pub mod text;
pub mod training;
pub mod variant;
pub mod vcf;
mod zstd;
