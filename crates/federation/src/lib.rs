//! Federated training in which only sums are ever seen.
//!
//! Several *donors* hold rows that must not leave them. A *coordinator* proposes rounds. A *committee* holds shares of
//! one-time masks. *Anybody* can check the result. No party is trusted alone: the coordinator and all donors but two
//! together with as many committee members as the header's
//! [`colluders`](header::RoundFields::colluders) learn nothing about the two but their sum.
//!
//! A round has five steps, each a function of bytes:
//!
//! 1. [`plan::Training`] says what must be summed next; the coordinator puts a [`header::RoundHeader`] on the ledger.
//! 2. Each donor checks the header ([`plan::Training::check_header`]), its enclave computes the numbers and speaks once: [`update::seal_update`] masks them and seals shares of
//!    the mask to the committee. The hash of the blob is anchored. Whoever drops out is left out of this round
//!    and may answer the next one.
//! 3. At the deadline the anchored blobs are the [`update::Survivors`]. Each member answers once with the sum of its
//!    shares: [`committee::Member::sum_shares`]. It never answers for a second set, in this round or for the same computation.
//! 4. From any `threshold` answers anybody computes the sum: [`open::open`].
//! 5. [`plan::Training::advance`] turns the sum into the next state, or into the model.
//!
//! ```
//! # use histone_federation::{BoxError, committee::*, header::*, open::open, plan::*, update::*};
//! # use histone_program_sdk::job::Missing;
//! # use histone_protocol::secret::Root;
//! # use zeroize::Zeroizing;
//! # struct NoEncryption;
//! # impl Sealer for NoEncryption {
//! #     fn seal(&self, _: &[u8; 32], _: &[u8], _: &[u8], p: &[u8], _: &[u8; 32]) -> Result<Vec<u8>, BoxError> { Ok(p.to_vec()) }
//! # }
//! # impl Unsealer for NoEncryption {
//! #     fn unseal(&self, _: &[u8], _: &[u8], s: &[u8]) -> Result<Zeroizing<Vec<u8>>, BoxError> { Ok(Zeroizing::new(s.to_vec())) }
//! # }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (secret1, secret2) = (Root::from_bytes([1; 32]), Root::from_bytes([2; 32]));
//! # let (sealer, unsealer) = (NoEncryption, NoEncryption);
//! let training = Training::start(Plan {
//!     columns: 1, missing: Missing::Mean, zero_is_missing: vec![], holdout_every: 0,
//!     ridge: 1.0, max_newton_rounds: 20, tolerance: 1e-8, bins: 100, min_survivors: 2,
//! })?;
//! let header = RoundHeader::new(RoundFields {
//!     chain_id: 1, market: [7; 20], model_id: [0; 32], round: 0,
//!     spec: training.spec(), previous: training.state_hash(),
//!     cohort: [1, 2].map(|i| Donor {
//!         index: i.into(), enclave: [i; 20], lineage: [i; 32], root: [i; 32], evidence: [i; 32],
//!     }).to_vec(),
//!     committee: [1, 2, 3, 4].map(|i| Seat { address: [i; 20], seal_key: [i; 32] }).to_vec(),
//!     colluders: 1, min_survivors: 2, fractional_bits: 60,
//! })?;
//!
//! // Rows, positives, present values, their sum and their squares' sum, computed by each donor's enclave.
//! let blob1 = seal_update(&header, 1, &[10.0, 4.0, 10.0, 31.5, 110.25], &sealer, &secret1)?;
//! let blob2 = seal_update(&header, 2, &[6.0, 3.0, 5.0, 8.25, 20.5], &sealer, &secret2)?;
//! let survivors = Survivors::new(&header, vec![
//!     Survivor { donor: 1, blob: blob_hash(&blob1) },
//!     Survivor { donor: 2, blob: blob_hash(&blob2) },
//! ])?;
//!
//! let blobs: [&[u8]; 2] = [&blob1, &blob2];
//! let mut partials = Vec::new();
//! for address in [[1; 20], [2; 20], [4; 20]] {
//!     let mut memory = ForgetfulRounds::default(); // a durable one in earnest
//!     let member = Member::by_address(&header, &address)?;
//!     let prepared = member.sum_shares(&header, &survivors, &blobs, &unsealer)?;
//!     // Its hash is posted; when a quorum has posted theirs:
//!     partials.push(prepared.open(&mut memory)?);
//! }
//! let sum = open(&header, &survivors, &blobs, &partials)?;
//! assert_eq!(sum.values(), [16.0, 7.0, 15.0, 39.75, 130.75]);
//! let next = training.advance(&survivors.donors(), sum.values())?;
//! # assert!(matches!(next, Step::Next(_)));
//! # Ok(())
//! # }
//! ```
//!
//! A member that cannot read its share of an update accuses the donor, and [`dispute`] says who is wrong.
//!
//! **Deliberately not here.** No network, clock, file or random source: all is handed in. No encryption: [`update::Sealer`]
//! is handed in. No signatures: who sent a blob or a partial sum is the transport's and the ledger's matter. No proof
//! that a donor's numbers or shares are honest: that is what the attestation of its enclave is for, and one donor with
//! broken shares can stop a training (it cannot learn from it). No noise: an exact sum over few donors or many rounds still
//! tells something about them, and one over all donors but one about that one (see [`plan`]).
//!
//! The sums of a round cost `members + 1` field elements of 16 bytes a number and donor; made for thousands of numbers.

mod codec;

pub mod field;
pub mod fixed;
pub mod share;

pub mod header;

pub mod update;

pub mod dispute;

pub mod committee;

pub mod open;

pub mod plan;

pub mod pooled;

/// What a handed-in sealer or memory says when it fails.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Any error of this crate, for callers that do not tell them apart.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A number does not fit.
    #[error(transparent)]
    Fixed(#[from] fixed::FixedError),
    /// Shares do not give a secret.
    #[error(transparent)]
    Share(#[from] share::ShareError),
    /// A header is refused.
    #[error(transparent)]
    Header(#[from] header::HeaderError),
    /// An update is refused.
    #[error(transparent)]
    Update(#[from] update::UpdateError),
    /// A survivor set is refused.
    #[error(transparent)]
    Survivors(#[from] update::SurvivorsError),
    /// A committee member does not answer.
    #[error(transparent)]
    Committee(#[from] committee::CommitteeError),
    /// A sum does not open.
    #[error(transparent)]
    Open(#[from] open::OpenError),
    /// A plan or a sum is refused.
    #[error(transparent)]
    Plan(#[from] plan::PlanError),
    /// A pooled table gives no model.
    #[error(transparent)]
    Pooled(#[from] pooled::PooledError),
}
