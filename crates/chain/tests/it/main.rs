//! The chain from outside: transactions, JSON-RPC, HTTP and WebSocket, restarts, kills, replay.

#![allow(clippy::unwrap_used)]

mod conformance;
mod crash;
mod damage;
mod engine;
mod persistence;
mod property;
mod queue;
mod replay;
mod replica;
mod rpc;
mod scale;
mod server;
mod sockets;
mod support;
