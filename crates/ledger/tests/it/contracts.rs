//! Every function and every refusal of every contract, through the client: see [`crate::suite::Suite::covers`].

mod governed;
pub(crate) mod market;
mod queries;
mod registers;
mod rounds;
mod vote;
