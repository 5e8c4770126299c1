//! Federated training in which only sums are ever seen.
//!
//! Several *donors* hold rows that must not leave them. A *coordinator* proposes rounds. A *committee* holds shares of
//! one-time masks. *Anybody* can check the result. No party is trusted alone: the coordinator and all donors but two
//! together with as many committee members as the header's
//! [`colluders`](header::RoundFields::colluders) learn nothing about the two but their sum.
//!
//! A round has five steps, each a function of bytes:
//!
//! 1. [`training::Training`] says what must be summed next; the coordinator puts a [`header::RoundHeader`] on the ledger.
//! 2. Each donor checks the header ([`training::Training::check_header`]), its enclave computes the numbers and speaks once: [`update::seal_update`] masks them and seals shares of
//!    the mask to the committee. The hash of the blob is anchored. Whoever drops out is left out of this round
//!    and may answer the next one.
//! 3. At the deadline the anchored blobs are the [`update::Survivors`]. Each member answers once with the sum of its
//!    shares: [`committee::Member::sum_shares`]. It never answers for a second set, in this round or for the same computation.
//! 4. From any `threshold` answers anybody computes the sum: [`open::open`].
//! 5. [`training::Training::advance`] turns the sum into the next state, or into the model.
//!
//! ```
//! # use histone_federation::{BoxError, committee::*, header::*, open::open, plan::*, training::*, update::*};
//! # use histone_program_sdk::{config::*, method::{Ask, Done, Next, Numbers, Opened, Segment, Stage}, model::Model};
//! # use histone_protocol::{blob::Blob, disclosure::{Release, Sums}, secret::Root};
//! # use zeroize::Zeroizing;
//! # struct NoEncryption;
//! # impl Sealer for NoEncryption {
//! #     fn seal(&self, _: &[u8; 32], _: &[u8], _: &[u8], p: &[u8], _: &[u8; 32]) -> Result<Vec<u8>, BoxError> { Ok(p.to_vec()) }
//! # }
//! # impl Unsealer for NoEncryption {
//! #     fn unseal(&self, _: &[u8], _: &[u8], s: &[u8]) -> Result<Zeroizing<Vec<u8>>, BoxError> { Ok(Zeroizing::new(s.to_vec())) }
//! # }
//! /// The public half of a method that asks every site for its number of rows and the sum of one column, and is done.
//! #[derive(Clone)]
//! struct Mean;
//! impl Method for Mean {
//!     fn measurement(&self) -> [u8; 32] { [3; 32] }
//!     fn most_rounds(&self) -> u32 { 1 }
//!     fn agenda(&self, _: &Config) -> Result<Vec<Stage>, BoxError> { Ok(vec![Stage::new("sum", 2, 1)]) }
//!     fn begin(&self, _: &Config) -> Result<Vec<u8>, BoxError> { Ok(vec![]) }
//!     fn next(&self, config: &Config, state: &[u8]) -> Result<Next, BoxError> {
//!         if let Ok(mean) = state.try_into() {
//!             let model = Model::new("mean", "1.0.0", config.clone()).with("mean", vec![f64::from_le_bytes(mean)]);
//!             return Ok(Next::Done { done: Done { model, facts: vec![] } });
//!         }
//!         let rows = Segment { len: 1, numbers: Numbers::Count { max: 1_000 } };
//!         let sum = Segment { len: 1, numbers: Numbers::Real { max_abs: 1e6, fraction_bits: 40 } };
//!         Ok(Next::Ask { ask: Ask { stage: "sum".into(), question: vec![], segments: vec![rows, sum] } })
//!     }
//!     fn advance(&self, _: &[u8], _: &Ask, opened: &Opened) -> Result<Vec<u8>, BoxError> {
//!         Ok((opened.sums[1] / opened.sums[0]).to_le_bytes().to_vec())
//!     }
//! }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (secret1, secret2) = (Root::from_bytes([1; 32]), Root::from_bytes([2; 32]));
//! # let (sealer, unsealer) = (NoEncryption, NoEncryption);
//! # let config = Config { features: vec![], outcome: Outcome::YesNo { name: "y".into() }, missing: Missing::Drop {}, holdout: 0.0, least: Least::default(), values: vec![] };
//! let agenda = vec![Stage::new("sum", 2, 1)];
//! let training = Training::start(Mean, Plan { method: [3; 32], config, agenda, sums: Sums::PublicExact, model: Release::Public, min_survivors: 2 })?;
//! let header = RoundHeader::new(RoundFields {
//!     chain_id: 1, market: [7; 20], model_id: [0; 32], round: 0,
//!     method: training.plan().method, question: training.question(), previous: training.state_hash(),
//!     cohort: [1, 2].map(|i| Donor {
//!         index: i.into(), enclave: [i; 20], lineage: [i; 32], root: [i; 32], evidence: [i; 32],
//!     }).to_vec(),
//!     committee: [1, 2, 3, 4].map(|i| Seat { address: [i; 20], seal_key: [i; 32] }).to_vec(),
//!     colluders: 1, min_survivors: 2, fractional_bits: 60,
//! })?;
//! training.check_header(&header)?;
//!
//! // Computed by each donor's enclave.
//! let blob1 = seal_update(&header, 1, &[10.0, 31.5], &sealer, &secret1)?;
//! let blob2 = seal_update(&header, 2, &[6.0, 8.5], &sealer, &secret2)?;
//! let survivors = Survivors::new(&header, vec![
//!     Survivor { donor: 1, blob: blob_hash(&blob1) },
//!     Survivor { donor: 2, blob: blob_hash(&blob2) },
//! ])?;
//!
//! let blobs = [Blob::new(blob1), Blob::new(blob2)];
//! let mut partials = Vec::new();
//! for address in [[1; 20], [2; 20], [4; 20]] {
//!     let mut memory = ForgetfulRounds::default(); // a durable one in earnest
//!     let member = Member::by_address(&header, &address)?;
//!     let prepared = member.sum_shares(&header, &survivors, &blobs, &unsealer)?;
//!     // Its hash is posted; when a quorum has posted theirs:
//!     partials.push(prepared.open(&mut memory)?);
//! }
//! let sum = open(&header, &survivors, &blobs, &partials)?;
//! assert_eq!(sum.values(), [16.0, 40.0]);
//! let Step::Finished(finished) = training.advance(&survivors.donors(), sum.values())? else { panic!() };
//! assert_eq!(finished.model.array("mean"), [2.5]);
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
//! tells something about them, and one over all donors but one about that one (see [`training`]).
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

pub mod sealed;

pub mod plan;

pub mod precision;

pub mod training;

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
    /// A partial sum cannot be sealed, or a sealed one read.
    #[error(transparent)]
    Sealed(#[from] sealed::SealedError),
    /// A sum does not open.
    #[error(transparent)]
    Open(#[from] open::OpenError),
    /// A plan, a header or a sum does not belong to a training.
    #[error(transparent)]
    Training(#[from] training::TrainingError),
}
