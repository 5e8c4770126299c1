//! The contracts through the client, on the embedded chain or on a node (see [`backend`]).
#![allow(clippy::unwrap_used, non_snake_case)] // `sol!` takes the names of the contracts.

mod backend;
mod contracts;
mod epochs;
mod flood;
mod following;
mod gas;
mod governance;
mod node;
mod powers;
mod suite;
mod view;
