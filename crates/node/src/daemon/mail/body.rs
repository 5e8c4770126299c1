//! What a letter says, and who has a use for it.

use histone_chain::{Fork, SignedHeader};
use histone_contracts::roles;
use histone_protocol::agreement::StateStatement;
use histone_protocol::keys::SignatureBytes;
use histone_protocol::letter::Profile;
use histone_protocol::program::ProgramKind;
use histone_protocol::record::Signed;
use histone_protocol::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

/// What a letter says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Body {
    /// The author has these letters and keeps them.
    Receipt {
        /// Their ids.
        letters: Vec<B256>,
    },
    /// A block of the author's history, for whoever seems to have another one.
    Block {
        /// The newest block that both have, as far as the author knows.
        same: u64,
        /// The oldest one that differs, as far as it knows.
        differs: u64,
        /// The block, between them.
        block: SignedHeader,
    },
    /// The proof that the ledger has two histories.
    Histories {
        /// The first blocks that differ.
        fork: Fork,
    },
    /// The author would like to take part. The only letter that a stranger sends.
    Join {
        /// Who it is.
        profile: Signed<Profile>,
        /// TEST tokens that it asks for, in millionths.
        tokens: u64,
    },
    /// The founder has admitted the receiver.
    Welcome {
        /// The certificate of its SIMULATED device, as JSON; nothing for whoever runs no enclave.
        certificate: Option<String>,
    },
    /// The founder has declined to admit the receiver.
    NotAdmitted {
        /// Why.
        because: String,
    },
    /// A program is registered; will an auditor look at it?
    Audit {
        /// Its name.
        name: String,
        /// What it is for.
        program: ProgramKind,
        /// The ledger's key.
        measurement: B256,
        /// Blob of the module.
        wasm: B256,
        /// Blob of the source listing.
        source: B256,
    },
    /// A dataset to be validated by an enclave of the receiver's, to which its key is sealed.
    Validate {
        /// The enclave.
        enclave: Address,
        /// The dataset.
        dataset: B256,
        /// Commitment to its content.
        root: B256,
        /// The dataset of which it is a new version; zero for a first one.
        replaces: B256,
        /// Blob of the encrypted table.
        ciphertext: B256,
        /// Its key, sealed to the enclave.
        key: Bytes,
    },
    /// What the validation enclave says.
    Validated {
        /// The dataset.
        dataset: B256,
        /// The enclave.
        enclave: Address,
        /// Commitment to its content.
        root: B256,
        /// Blob of the signed report.
        report: B256,
        /// Number of records.
        rows: u32,
        /// Quality level.
        quality: u8,
        /// The dataset whose rows these are; zero when it is new.
        replaces: B256,
        /// The enclave's signature on the receipt.
        signature: SignatureBytes,
    },
    /// The validation enclave refuses the dataset.
    NotValidated {
        /// The dataset.
        dataset: B256,
        /// Why.
        why: String,
    },
    /// The owner does not take part in a model.
    Declined {
        /// The model.
        model: u64,
        /// Why.
        reasons: Vec<String>,
    },
    /// What an owner's enclave says a sealed round led to.
    Said {
        /// The model.
        model: u64,
        /// The round.
        round: u32,
        /// What it has signed.
        statement: StateStatement,
    },
    /// What an owner's enclave says of the finished model on its rows.
    Evaluated {
        /// The model.
        model: u64,
        /// Blob of the signed evaluation.
        evaluation: B256,
    },
    /// A runner's query enclave asks for the key of a sealed model.
    WantModel {
        /// The model.
        model: u64,
        /// The enclave.
        enclave: Address,
    },
    /// The key of a sealed model.
    ModelKey {
        /// The model.
        model: u64,
        /// The query enclave that opens it.
        enclave: Address,
        /// The sealed key.
        sealed: Bytes,
    },
    /// Would the runner answer the queries of a model?
    Serve {
        /// The model.
        model: u64,
    },
    /// An enclave of the runner's is ready to answer.
    Serving {
        /// The model.
        model: u64,
        /// The enclave.
        enclave: Address,
    },
    /// A question to a query enclave.
    Question {
        /// The model.
        model: u64,
        /// The enclave that opens it.
        enclave: Address,
        /// What was paid for.
        query: B256,
        /// The question.
        sealed: Bytes,
        /// Who asks: whoever is no member is known by nothing else.
        profile: Signed<Profile>,
    },
    /// The key of a model that is for the participants, sealed to the receiver.
    Shared {
        /// The model.
        model: u64,
        /// The sealed key.
        sealed: Bytes,
    },
    /// Would the runner start the one enclave to which all data of a model is brought?
    Host {
        /// The model.
        model: u64,
    },
    /// An enclave of the runner's is there for the data of a model.
    Hosting {
        /// The model.
        model: u64,
        /// The enclave.
        enclave: Address,
        /// Whether it waits for the module of a closed method.
        waits: bool,
    },
    /// The runner has none.
    NotHosting {
        /// The model.
        model: u64,
        /// Why.
        why: String,
    },
    /// The module of a closed method for the enclave that waits for it. A module may be longer than a letter.
    Module {
        /// The model.
        model: u64,
        /// The enclave.
        enclave: Address,
        /// Blob of the module, sealed to the enclave.
        sealed: B256,
    },
    /// Data for the one enclave of a model, to which its key is sealed.
    Bring {
        /// The model.
        model: u64,
        /// The enclave.
        enclave: Address,
        /// The dataset.
        dataset: B256,
        /// Commitment to its content.
        root: B256,
        /// Blob of the encrypted table.
        ciphertext: B256,
        /// Its key, sealed to the enclave.
        key: Bytes,
        /// The account to be paid.
        payee: Address,
        /// Blob of the decision that allows it.
        decision: B256,
    },
    /// The one enclave has the data: its receipt for the donation.
    Brought {
        /// The model.
        model: u64,
        /// The dataset.
        dataset: B256,
        /// The enclave's signature on the receipt.
        signature: SignatureBytes,
    },
    /// The one enclave does not take the data.
    NotBrought {
        /// The model.
        model: u64,
        /// The dataset.
        dataset: B256,
        /// Why.
        why: String,
    },
    /// What the one enclave says that it has made.
    Made {
        /// The model.
        model: u64,
        /// The signed statement.
        statement: Bytes,
        /// Donors whose data was given and not used.
        unused: Vec<u16>,
        /// The enclave's signature on what the market takes; none when there is no model.
        signature: Option<SignatureBytes>,
    },
    /// What the one enclave says of the finished model at the site of each donor.
    SitesEvaluated {
        /// The model.
        model: u64,
        /// Blobs of the signed evaluations.
        evaluations: Vec<B256>,
    },
    /// A method of closed source is registered; will an auditor look at it, and show it to nobody?
    AuditClosed {
        /// Its name.
        name: String,
        /// The ledger's key.
        measurement: B256,
        /// Blob of module and source, sealed to the auditor.
        sealed: B256,
    },
}

impl Body {
    /// The sum of the roles of those who have a use for it; none where anybody has. A letter that its reader has no use for is not kept.
    pub(super) fn readers(&self) -> Option<u8> {
        Some(match self {
            Body::Receipt { .. }
            | Body::Block { .. }
            | Body::Histories { .. }
            | Body::Join { .. }
            | Body::Welcome { .. }
            | Body::NotAdmitted { .. } => return None,
            Body::Audit { .. } | Body::AuditClosed { .. } => roles::AUDITOR,
            Body::Validate { .. }
            | Body::Serve { .. }
            | Body::ModelKey { .. }
            | Body::Question { .. }
            | Body::Host { .. }
            | Body::Module { .. }
            | Body::Bring { .. } => roles::RUNNER,
            Body::Validated { .. }
            | Body::NotValidated { .. }
            | Body::Brought { .. }
            | Body::NotBrought { .. } => roles::OWNER,
            // Whose enclave has the key: the owners', or the one that had all data.
            Body::WantModel { .. } => roles::OWNER | roles::RUNNER,
            Body::Declined { .. }
            | Body::Said { .. }
            | Body::Evaluated { .. }
            | Body::Serving { .. }
            | Body::Hosting { .. }
            | Body::NotHosting { .. }
            | Body::Made { .. }
            | Body::SitesEvaluated { .. } => roles::TRAINER,
            // By an owner to the trainer, or by the runner of the one enclave to all participants.
            Body::Shared { .. } => roles::OWNER | roles::TRAINER,
        })
    }
}
