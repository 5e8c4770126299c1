//! Why a party, or a whole run, did not do what was asked.

use histone_attestation::AppraisalError;
use histone_compliance::folder::FolderError;
use histone_contracts::LedgerError;
use histone_enclave::instance::EnclaveError;
use histone_network::StoreError;
use histone_protocol::agreement::{AgreementError, Dropped};
use histone_protocol::{Address, B256};

use crate::party::PartyError;

/// Why a run stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The folder holds something already.
    #[error("{0}")]
    Occupied(String),
    /// Something else, said in full.
    #[error("{0}")]
    Message(String),
    /// Too few updates in a round.
    #[error(
        "training stopped: round {round} got updates from {survivors} of {donors} participants and needs {needed}; {deposit} tokens of the deposit went back to `{trainer}`{donors_are_paid}"
    )]
    TooFewSurvivors {
        /// The round.
        round: u32,
        /// Updates that came.
        survivors: u16,
        /// Participants.
        donors: u16,
        /// Updates needed.
        needed: u16,
        /// What was returned.
        deposit: String,
        /// To whom.
        trainer: String,
        /// Where the rest went, in words; nothing when no sum was open.
        donors_are_paid: &'static str,
    },
    /// A sealed training without a model.
    #[error(
        "the training came to its end without a model. Sums were sealed, so that nobody outside of the enclaves learns why: columns may tell the classes apart without an error, or say the same. Run the study with `sums = \"public-exact\"` on public data of the same shape, or with a `ridge` above 0; the donors of its sums are paid"
    )]
    NoModel,
    /// An audit found something.
    #[error("the audit of program `{program}` failed: {what}")]
    Audit {
        /// The program.
        program: String,
        /// What was found.
        what: String,
    },
    /// A round cannot be made or recomputed.
    #[error("a round of training failed: {0}")]
    Round(String),
    /// Too few enclaves say the same of a sealed round.
    #[error("round {round} of model {model} is not carried{}", dropped.iter().map(|d| format!("; {d}")).collect::<String>())]
    NotCarried {
        /// The model.
        model: u64,
        /// The round.
        round: u32,
        /// Statements that did not count.
        dropped: Vec<Dropped>,
        /// Who said what.
        #[source]
        error: AgreementError,
    },
    /// Something that the ledger names is not shown.
    #[error("{what} is not in public storage, or not what the ledger names; whoever has it must show it")]
    Withheld {
        /// What it is.
        what: String,
        /// What was found.
        #[source]
        error: StoreError,
    },
    /// The node's own memory cannot be used.
    #[error(transparent)]
    Own(#[from] crate::store::StoreFault),
    /// Somebody says that it has verified another block than this node under the same number.
    #[error(
        "{from} says that the block {number} of the ledger is {theirs}, this node has verified it as {ours}. Its letters are not read. This node shows it the own block, and stops when {from} shows one that the ledger's sequencer has signed; if it does not, {from} lies or is mistaken: ask by telephone"
    )]
    OtherBlock {
        /// The block.
        number: u64,
        /// Its hash here.
        ours: B256,
        /// Its hash there.
        theirs: B256,
        /// Who says so.
        from: Address,
    },
    /// The sequencer has signed two histories.
    #[error(
        "the ledger's sequencer has signed two histories: they part at block {number}, which is {one} in one of them and {other} in the other{}. The node has stopped and keeps both signatures; ask the other members by telephone which history they have",
        by.map(|by| format!(" ({by} has shown it)")).unwrap_or_default()
    )]
    TwoHistories {
        /// The first block that differs.
        number: u64,
        /// Its hash in one of them.
        one: B256,
        /// And in the other.
        other: B256,
        /// Who has shown it; nobody where the sequencer itself has.
        by: Option<Address>,
    },
    /// The ledger cannot be followed.
    #[error(transparent)]
    Follow(#[from] histone_ledger::FollowError),
    /// The ledger refused or failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The money is not there.
    #[error(transparent)]
    NotFunded(#[from] histone_ledger::NotFunded),
    /// Evidence was refused.
    #[error("attestation is refused")]
    Appraisal(#[from] AppraisalError),
    /// A key was not released.
    #[error("the key is not released")]
    Release(#[from] crate::release::ReleaseError),
    /// Consent cannot be decided on.
    #[error(transparent)]
    Access(#[from] histone_access::AccessError),
    /// An enclave refused or failed.
    #[error(transparent)]
    Enclave(#[from] EnclaveError),
    /// A program cannot be used.
    #[error(transparent)]
    Program(#[from] crate::programs::ProgramError),
    /// A signed statement is not valid.
    #[error(transparent)]
    Record(#[from] histone_protocol::record::RecordError),
    /// A message could not be sealed.
    #[error(transparent)]
    Seal(#[from] histone_protocol::seal::SealError),
    /// A blob cannot be stored or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A party's directory cannot be used.
    #[error(transparent)]
    Party(#[from] PartyError),
    /// The folder cannot be written.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The chain cannot be made or read.
    #[error("the ledger's files cannot be used")]
    Chain(#[from] histone_chain::ChainError),
}

impl NodeError {
    /// Whether the same may work later, without anybody doing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Follow(error) => error.is_temporary(),
            Self::Store(StoreError::Link { .. }) => true,
            _ => false,
        }
    }

    /// What was looked for in public storage, when it is not there.
    pub(crate) fn withheld(what: impl FnOnce() -> String) -> impl FnOnce(StoreError) -> Self {
        |error| Self::Withheld { what: what(), error }
    }

    /// A failure of the round's arithmetic or protocol, with its causes.
    pub(crate) fn round(error: impl std::error::Error + 'static) -> Self {
        Self::Round(histone_protocol::with_causes(&error))
    }
}
