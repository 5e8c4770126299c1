//! The chain from outside: transactions, JSON-RPC, restarts, kills, replay.

#![allow(clippy::unwrap_used)]

mod crash;
mod engine;
mod persistence;
mod property;
mod replay;
mod rpc;
mod support;
