//! Tests of the node library.
#![allow(clippy::unwrap_used)]

mod examples;
mod run;
mod study;
