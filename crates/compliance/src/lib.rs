//! The public record of a run, and its verification by a stranger.
//!
//! 1. [`folder`]: what a run folder holds, where, and who signed it. The run writes it, everybody may read it.
//! 2. [`verify`]: checks a folder with no key and no network. The chain is executed again from its raw transactions,
//!    every signature, piece of evidence, audit and blob is checked, every sum and model is recomputed, every consent
//!    decision is decided again, the payouts are added up.
//!
//! Deliberately absent: anything private. What a stranger cannot check (the rows behind a commitment, the truth of
//! SIMULATED evidence, the pooled comparison) is listed as not checkable, not passed over.

pub mod folder;
pub mod verify;
