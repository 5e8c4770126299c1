//! Tests of the crate from outside: reading, selecting, encoding; files of genomes.
#![allow(clippy::unwrap_used)]

mod crypt4gh;
mod encoding;
mod files;
mod key_files;
mod personal;
mod phenotypes;
mod read;
mod scoring;
mod select;
