//! Tests of the crate from outside: tables, genotypes, files of genomes.
#![allow(clippy::unwrap_used)]

mod association;
mod bgen;
mod crypt4gh;
mod data;
mod encoding;
mod genotypes;
mod harmonize;
mod key_files;
mod ld;
mod meta;
mod panel;
mod pca;
mod personal;
mod phenotypes;
mod plink;
mod plink2;
mod quality;
mod read;
mod regression;
mod score;
mod scoring;
mod select;
mod simulate;
mod sketch;
mod stats;
mod vcf;
