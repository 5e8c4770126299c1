//! Rounds and trainings from end to end, with honest parties and with every adversary we name.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod adversary;
mod decoders;
mod derived;
mod dispute;
mod training;
mod world;
