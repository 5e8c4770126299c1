//! Tests of the node library.
#![allow(clippy::unwrap_used)]

mod adversary;
mod cast;
mod examples;
mod forged;
mod release;
mod run;
mod study;
mod support;
