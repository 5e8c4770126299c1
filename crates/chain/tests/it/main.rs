//! The chain from outside: transactions, JSON-RPC, HTTP and WebSocket, restarts, kills, replay.

#![allow(clippy::unwrap_used)]

mod attacks;
mod conformance;
mod crash;
mod damage;
mod engine;
mod hostile;
mod persistence;
mod property;
mod queue;
mod replay;
mod replica;
mod rpc;
mod server;
mod sockets;
mod support;
