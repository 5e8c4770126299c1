//! Tests of the node library. Those with a ledger run on the embedded chain, or on a node: see [`backend`].
#![allow(clippy::unwrap_used)]

mod adversary;
mod api;
mod attacks;
#[path = "../../../ledger/tests/it/backend.rs"]
mod backend;
mod cast;
mod closed;
mod daemons;
mod examples;
mod forged;
mod fresh_eyes;
mod home;
mod hosted;
mod network;
mod release;
mod run;
mod sealed;
mod store;
mod strangers;
mod study;
mod support;
mod two_models;
