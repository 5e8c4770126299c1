//! Tests of the crate from outside: tables, genotypes, filesets.
#![allow(clippy::unwrap_used)]

mod association;
mod data;
mod encoding;
mod genotypes;
mod panel;
mod plink;
mod read;
mod score;
mod select;
mod stats;
mod vcf;
