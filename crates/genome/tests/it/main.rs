//! Tests of the crate from outside: reading, selecting, encoding.
#![allow(clippy::unwrap_used)]

mod encoding;
mod read;
mod select;
