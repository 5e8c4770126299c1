//! What a party gains by lying, tried for real. Each test is named after what the attacker wants.
//!
//! [`owners`]: donors who send what they like, take part without an enclave, or leave. [`committee`]: members who are
//! silent or lie. [`shares`]: accusations. [`users`]: whoever wants a row. [`money`]: a model for nothing. [`stopping`] and
//! [`coming_back`]: the trainings of others. [`all`]: several of them at once.

mod all;
mod coming_back;
mod committee;
mod money;
mod owners;
mod shares;
pub mod stopping;
mod users;
