//! The parties of a collaboration, and the run that connects them.
//!
//! 1. [`study`]: the file that describes a collaboration, checked before anything starts.
//! 2. [`party`]: what every party has: a name, a private directory, a root secret and the keys that derive from it.
//!    [`machine`]: the enclaves on its machine. [`world`]: what all can reach.
//! 3. The parties: [`owner`] (data and consent), [`trainer`] (the model), [`runner`] (validation and query enclaves),
//!    [`auditor`] (programs), [`committee`] (opens sums), [`user`] (asks and pays).
//!    [`recompute`]: what a user does before it believes that a model was trained. [`duties`]: what is owed in a sealed training.
//! 4. [`release`]: the one function through which a data key leaves an owner.
//! 5. [`home`]: the directory in which one party lives. [`store`]: a node's own memory, which survives its process.
//!    [`api`]: what people's commands ask a node that runs. [`proposals`]: what members vote on, as a node shows it.
//! 6. [`daemon`]: how each of them lives on, whatever happens to its process. [`service`]: a daemon with a clock and a network.
//! 7. [`run`]: the daemons of a whole study in one process. Each party acts through its own daemon and reads its own directory; what
//!    passes between them is the ledger, public blobs and letters.
//!
//! Deliberately absent: rules. What may be used is decided in `access`, what is believed in `attestation`, what is paid
//! in the contracts, how sums are made in `federation`.

pub mod answered;
pub mod api;
pub mod auditor;
pub mod committee;
pub mod daemon;
pub mod duties;
pub mod error;
pub mod home;
pub mod machine;
pub mod method;
pub mod model;
pub mod notices;
pub mod owner;
pub mod party;
pub mod plan;
pub mod programs;
pub mod proposals;
pub mod recompute;
pub mod release;
pub mod run;
pub mod runner;
pub mod service;
pub mod store;
pub mod study;
pub mod trainer;
pub mod user;
pub mod world;
