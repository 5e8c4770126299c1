//! Tests of the crate from outside: reading, selecting, encoding.
#![allow(clippy::unwrap_used)]

mod data;
mod encoding;
mod read;
mod select;
mod vcf;
