//! Hubs and their clients, over loopback.

mod between;
mod hub;
mod limits;
mod support;
mod ways;
