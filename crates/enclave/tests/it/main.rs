//! The host against the committed programs and against modules written to break it.

#![allow(clippy::unwrap_used)]

mod admission;
mod agenda;
mod attacks;
mod closed;
mod facts;
mod heart;
mod limits;
mod methods;
mod programs;
mod scan;
mod support;
mod typed;
