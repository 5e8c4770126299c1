//! Every value of every document of a run folder is changed, one at a time. A program of its own: all changes at once take minutes
//! unless they are optimized, and the other tests need no such build.

#![allow(clippy::unwrap_used)]

mod leaves;
#[path = "../it/support.rs"]
mod support;
