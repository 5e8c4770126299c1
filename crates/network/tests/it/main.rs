//! Hubs and their clients, over loopback.

mod between;
mod hub;
mod limits;
mod slow;
mod support;
mod ways;
