//! Every function and every refusal of every contract, through the client: see [`crate::suite::Suite::covers`].

mod attacks;
pub(crate) mod committee;
mod governed;
mod hosted;
pub(crate) mod market;
mod queries;
mod registers;
mod rounds;
mod vote;
