//! What attackers read, in figures: docs/attacks.md has them and says how each was measured.
//!
//! All attacks run against the committed modules, without ledger, enclave or mask. Each has a small test that always runs, so
//! that it cannot rot, and measurements that run when they are asked for.

mod algebra;
mod crafted;
mod extraction;
mod free;
mod membership;
mod sealed;
mod sweeping;
mod world;
