//! Tests of the crate from outside: tables, genotypes, filesets.
#![allow(clippy::unwrap_used)]

mod data;
mod encoding;
mod genotypes;
mod plink;
mod read;
mod select;
mod stats;
