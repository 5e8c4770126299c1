//! Tests of the crate from outside: tables, genotypes, files of genomes.
#![allow(clippy::unwrap_used)]

mod association;
mod bgen;
mod crypt4gh;
mod data;
mod encoding;
mod genotypes;
mod key_files;
mod panel;
mod personal;
mod phenotypes;
mod plink;
mod plink2;
mod read;
mod score;
mod scoring;
mod select;
mod stats;
mod vcf;
