//! The program as people meet it: its command lines, a whole run, and what is left when a run is killed, its disk is
//! full or its folder was tampered with.
#![allow(clippy::unwrap_used)]

#[cfg(unix)]
mod consortium;
mod data;
mod demo;
mod disclosure;
#[cfg(unix)]
mod disk;
mod docs;
mod genome;
mod help;
mod hub;
mod identifiers;
mod kill;
mod ledger;
mod methods;
mod newcomer;
mod outside;
mod person;
mod rpc;
mod sealed;
mod serve;
mod server;
mod support;
mod verify;
