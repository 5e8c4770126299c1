//! The rows: one struct for each kind of thing on the ledger, ready to be printed or serialized.
//!
//! In JSON every amount is a decimal string in the smallest unit of the token (a number would lose digits in most
//! readers), every hash and account is hexadecimal with `0x`, every time is a number of Unix seconds.

mod rounds;

use std::collections::BTreeMap;
use std::fmt;

use alloy_primitives::{Address, B256, U256};
use histone_protocol::evidence::Platform;
pub use rounds::{Anchor, Named, Partial, Round};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An amount of the token in its smallest unit. Displays, and serializes, as a decimal string.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(pub U256);

impl Amount {
    /// Adds some more.
    pub fn add(&mut self, more: U256) {
        // The token cannot issue more than a word; a sum that does not fit comes from a node that lies.
        self.0 = self.0.saturating_add(more);
    }

    pub(super) fn minus(self, less: Amount) -> Amount {
        Amount(self.0.saturating_sub(less.0))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl std::iter::Sum for Amount {
    fn sum<I: Iterator<Item = Amount>>(amounts: I) -> Amount {
        amounts.fold(Amount::default(), |mut sum, amount| {
            sum.add(amount.0);
            sum
        })
    }
}

/// A small closed set of words. Displays and serializes as the word.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$about])* $variant),+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().find(|one| one.word() == text).copied().ok_or_else(|| {
                    let words: Vec<_> = Self::ALL.iter().map(|one| one.word()).collect();
                    format!("`{text}` is none of {}", words.join(", "))
                })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

words! {
    /// What a member takes part as.
    Role {
        /// Owns data.
        Owner = "owner",
        /// Proposes and trains models.
        Trainer = "trainer",
        /// Runs enclaves.
        Runner = "runner",
        /// Audits programs.
        Auditor = "auditor",
        /// Opens sums with others.
        Committee = "committee",
    }
}

impl Role {
    /// Its bit on the ledger.
    pub fn bit(self) -> u8 {
        1 << (self as u8)
    }

    /// The roles of a sum of bits.
    pub fn of(bits: u8) -> Vec<Role> {
        Self::ALL.iter().filter(|role| bits & role.bit() != 0).copied().collect()
    }
}

words! {
    /// What a program is for.
    Kind {
        /// Checks data of an owner.
        Validation = "validation",
        /// Trains on donated data.
        Training = "training",
        /// Answers queries.
        Query = "query",
        /// None that this program knows.
        Unknown = "unknown",
    }
}

words! {
    /// Where an enclave stands at the time of the last block.
    EnclaveState {
        /// It may be used.
        Live = "live",
        /// Its evidence is too old.
        Expired = "expired",
        /// Its operator, an auditor or the members forbade it.
        Revoked = "revoked",
        /// Its program may not be used: revoked, not audited or not allowed.
        Unusable = "program unusable",
    }
}

words! {
    /// Where a dataset stands.
    DatasetState {
        /// It may be used.
        Registered = "registered",
        /// Its owner took it back.
        Withdrawn = "withdrawn",
        /// Its owner took it back and says that data, salt and key are destroyed.
        Erased = "erased",
    }
}

words! {
    /// Where a model stands.
    ModelState {
        /// Donors can join.
        Recruiting = "recruiting",
        /// Rounds are going on.
        Training = "training",
        /// Training is over, no enclave serves it yet.
        Trained = "trained",
        /// Queries are sold.
        Serving = "serving",
        /// No more queries are sold.
        Retired = "retired",
        /// It was given up.
        Aborted = "aborted",
    }
}

words! {
    /// Where a query stands.
    QueryState {
        /// Paid for, and its enclave still has time.
        Funded = "funded",
        /// Paid for and not answered in time: anybody can have it refunded.
        Overdue = "overdue",
        /// Answered, the price is shared out.
        Settled = "settled",
        /// Not answered, the price went back.
        Refunded = "refunded",
    }
}

words! {
    /// Where a training round stands.
    RoundState {
        /// Updates are anchored.
        Open = "open",
        /// The survivors are fixed, the committee opens their sum.
        Closed = "closed",
        /// The sum is open and a new model made.
        Final = "final",
        /// Too few donors took part.
        Failed = "failed",
        /// The committee did not open it in time.
        Void = "void",
    }
}

/// The block up to which the ledger was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Head {
    /// Its number.
    pub block: u64,
    /// Its hash.
    pub hash: B256,
    /// Its time, Unix seconds: what expired and what is overdue is told relative to it.
    pub time: u64,
}

/// A member, or one that was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its account.
    pub account: Address,
    /// Whether it still is one.
    pub member: bool,
    /// Whether it was one and is none any more. An account that is neither only got votes lent.
    pub former: bool,
    /// As what; empty for one that left.
    pub roles: Vec<Role>,
    /// Hash of the document in which it describes itself.
    pub profile: B256,
    /// X25519 key to which messages for it are sealed.
    pub seal_key: B256,
    /// Whether it has shown something as proof that it holds this key; whether the proof is good, readers check.
    pub key_claimed: bool,
    /// To whom it lent its vote, if not to itself.
    pub vote_lent_to: Option<Address>,
    /// Votes that it casts: its own, unless lent, and those lent to it.
    pub votes: u64,
}

/// An auditor's word for a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Who.
    pub auditor: Address,
    /// Hash of the signed report.
    pub report_hash: B256,
}

/// A program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Program {
    /// What evidence reports for it.
    pub measurement: B256,
    /// What it is for.
    pub kind: Kind,
    /// Who published it.
    pub author: Address,
    /// Hash of its source.
    pub source_hash: B256,
    /// Hash of its module.
    pub wasm_hash: B256,
    /// Who audited it.
    pub audits: Vec<Audit>,
    /// Whether the members allow it.
    pub allowed: bool,
    /// Who forbade it for good.
    pub revoked_by: Option<Address>,
    /// Whether it may be used now: audited, allowed and not revoked.
    pub usable: bool,
}

/// An enclave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Enclave {
    /// Account of the key with which it signs receipts.
    pub signer: Address,
    /// Running number.
    pub number: u32,
    /// Where it stands at the time of the last block.
    pub state: EnclaveState,
    /// Who runs it.
    pub operator: Address,
    /// The program that it runs.
    pub measurement: B256,
    /// What the program is for.
    pub kind: Kind,
    /// Kind of hardware by its code.
    pub platform: u8,
    /// Whether there is no hardware behind it, so that it protects nothing.
    pub simulated: bool,
    /// Hash of its latest evidence.
    pub evidence_hash: B256,
    /// X25519 key to which data for it is sealed.
    pub seal_key: B256,
    /// From then on it is not live, Unix seconds.
    pub expires_at: u64,
    /// Who forbade it for good.
    pub revoked_by: Option<Address>,
}

impl Enclave {
    /// The platform in a word that says SIMULATED where it is.
    pub fn platform_word(&self) -> String {
        Platform::from_code(self.platform).to_string()
    }
}

/// A dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dataset {
    /// `keccak256(abi.encode(owner, first root))`.
    pub id: B256,
    /// Running number.
    pub number: u32,
    /// Where it stands.
    pub state: DatasetState,
    /// Whose it is.
    pub owner: Address,
    /// Number of records.
    pub rows: u32,
    /// Quality level that the validation measured.
    pub quality: u8,
    /// Commitment to its content.
    pub root: B256,
    /// Hash of the validation report.
    pub report_hash: B256,
    /// Hash of the consent policy.
    pub policy_hash: B256,
    /// The validation enclave that signed the latest receipt.
    pub enclave: Address,
    /// How often it was validated: 1, and one more for each update.
    pub version: u32,
    /// When its owner declared it erased, Unix seconds.
    pub erased_at: Option<u64>,
    /// The models to which it was donated.
    pub donated_to: Vec<u64>,
}

/// What a trainer offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Terms {
    /// For each donor at the end of training.
    pub instant_payment: Amount,
    /// Price of a query.
    pub query_price: Amount,
    /// The donors' part of what the fee leaves of the price, in 1/10,000.
    pub donors_bps: u16,
    /// The trainer's part.
    pub trainer_bps: u16,
    /// The runner's part.
    pub runner_bps: u16,
    /// Training does not start with fewer.
    pub min_donors: u16,
    /// No more are accepted.
    pub max_donors: u16,
    /// An unanswered query is refunded after so many seconds.
    pub query_timeout: u32,
    /// A round with fewer updates fails.
    pub min_survivors: u16,
    /// Members of the committee that may collude.
    pub colluders: u8,
    /// The fee, in 1/10,000 of the price; it is taken first.
    pub fee_bps: u16,
}

/// A donor of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Donor {
    /// Number from 1.
    pub donor: u16,
    /// Account that is paid, made for this model; it stands beside the dataset and hides nobody.
    pub payee: Address,
    /// What was donated.
    pub dataset: B256,
    /// Share in the donors' part, relative to the sum of the weights.
    pub weight: u32,
    /// The training enclave which took the data.
    pub enclave: Address,
    /// Version of it: the commitment at the donation.
    pub root: B256,
    /// Hash of the owner's decision that allows it.
    pub decision: B256,
    /// Whether it is in no further round: withdrawn, or excluded.
    pub use_ended: bool,
    /// Whether it is paid nothing: named by the committee, refused by the trainer, or withdrawn before a sum was open.
    pub excluded: bool,
    /// Due by now, paid or not.
    pub earned: Amount,
    /// Paid out.
    pub paid: Amount,
    /// Can be claimed now.
    pub owed: Amount,
}

/// An enclave that was named to answer the queries of a model. The last one answers what is bought now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Serving {
    /// Number from 1.
    pub serving: u16,
    /// The enclave.
    pub enclave: Address,
    /// Its operator.
    pub runner: Address,
}

/// The queries of a model, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct QueryCounts {
    /// Ever bought.
    pub bought: u64,
    /// Answered.
    pub settled: u64,
    /// Paid back.
    pub refunded: u64,
}

/// A model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Model {
    /// Number from 1.
    pub model: u64,
    /// Where it stands.
    pub state: ModelState,
    /// Who proposed it.
    pub trainer: Address,
    /// Hash of the proposal document.
    pub white_paper_hash: B256,
    /// Hash of the training plan.
    pub plan_hash: B256,
    /// Hash of the trained model, once there is one.
    pub model_hash: Option<B256>,
    /// The committee of its training, once that started.
    pub committee: Vec<Address>,
    /// What the trainer offers.
    pub terms: Terms,
    /// Paid in at the proposal.
    pub deposit: Amount,
    /// What of it went back to the trainer's claims, once that is decided.
    pub deposit_returned: Option<Amount>,
    /// Sum of the donors' weights.
    pub total_weight: u64,
    /// The donors.
    pub donors: Vec<Donor>,
    /// Owners whom the trainer refused while it recruited.
    pub refused: Vec<Address>,
    /// The one enclave to which all data is brought, where the terms have no colluders and so no committee.
    pub host: Option<Host>,
    /// Training rounds so far.
    pub rounds: u32,
    /// Enclaves named to answer.
    pub servings: Vec<Serving>,
    /// Its queries.
    pub queries: QueryCounts,
    /// What became of the money of its queries.
    #[serde(skip)]
    pub(super) shared: Shared,
}

/// The one enclave to which all data of a model is brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Host {
    /// Its receipt key.
    pub enclave: Address,
    /// Who runs it.
    pub runner: Address,
    /// Hash of what it says of the model that it made, once it has.
    pub statement_hash: Option<B256>,
}

/// Sums over the queries of a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shared {
    pub(super) bought: Amount,
    pub(super) refunded: Amount,
    pub(super) donors: Amount,
    pub(super) trainer: Amount,
    pub(super) runners: BTreeMap<Address, Amount>,
    pub(super) settled: Amount,
    pub(super) fees_collected: Amount,
}

/// A query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Query {
    /// `keccak256(abi.encode(buyer, code hash))`.
    pub query: B256,
    /// The model.
    pub model: u64,
    /// Where it stands.
    pub state: QueryState,
    /// Who paid.
    pub buyer: Address,
    /// What was paid.
    pub price: Amount,
    /// Up to then it can be settled, after it refunded; Unix seconds.
    pub deadline: u64,
    /// The enclave that may answer.
    pub enclave: Address,
    /// Hash of the access code.
    pub code_hash: B256,
    /// The job in which it was answered.
    pub job: Option<B256>,
    /// Hash of the sealed answer.
    pub output_hash: Option<B256>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn words_and_bits() {
        assert!(Role::of(0).is_empty());
        assert_eq!(Role::of(31), Role::ALL);
        assert_eq!(Role::of(18), [Role::Trainer, Role::Committee]);
        assert_eq!("committee".parse::<Role>().unwrap().bit(), crate::roles::COMMITTEE);
        let refused = "boss".parse::<Role>().unwrap_err();
        assert!(refused.ends_with("none of owner, trainer, runner, auditor, committee"), "{refused}");
    }

    #[test]
    fn amounts_keep_every_digit() {
        let large = Amount(U256::MAX);
        let text = serde_json::to_string(&large).unwrap();
        assert_eq!(text, format!("\"{}\"", U256::MAX));
        assert_eq!(
            [Amount(U256::from(2)), Amount(U256::from(3))].into_iter().sum::<Amount>().to_string(),
            "5"
        );
    }
}
