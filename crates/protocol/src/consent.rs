//! What an owner allows, what a trainer asks for, and how the owner's node answered.
//!
//! Terms are codes of the Data Use Ontology (GA4GH DUO). What follows from them is decided in crate `access`.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::disclosure::Disclosure;
use crate::evidence::Platform;
use crate::record::{LedgerId, Record};

/// The terms under which an institution lets its data be used; the ledger holds the hash of these bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentPolicy {
    /// The ledger on which the data is registered; the policy is void on others.
    pub ledger: LedgerId,
    /// The owner's account.
    pub owner: Address,
    /// Country of the data, ISO 3166-1 alpha-2.
    pub country: String,
    /// DUO codes: one permission and any modifiers.
    pub terms: Vec<String>,
    /// Purposes (DUO codes) allowed beyond the permission. They do not speak about modifiers.
    pub allow_purposes: Vec<String>,
    /// Purposes (DUO codes) refused whatever the terms say.
    pub deny_purposes: Vec<String>,
    /// Trainers for which a person has checked some of the modifiers.
    pub allow_accounts: Vec<AllowedAccount>,
    /// Trainers refused whatever they ask for.
    pub deny_accounts: Vec<Address>,
    /// How many versions of this dataset may be answered in exact sums, at least 1. Other rows are another version, and so are the
    /// same rows as another plan reads them (columns, outcome, ranges, held-out share, missing cells). The difference of two such
    /// sums may be a single person.
    pub versions: u32,
    /// Whether exact sums over this dataset may be seen by everybody. They can be steered until they show single rows.
    pub allow_public_exact: bool,
    /// Accounts that may open every sum that this dataset is in, where a white paper names them as auditors.
    pub allow_auditors: Vec<Address>,
    /// Whether this dataset may be brought, encrypted, to one enclave of somebody else that has the data of all owners.
    pub allow_one_enclave: bool,
    /// Measurements of methods of closed source that may run on it there. Nobody can say what such a method writes into its model.
    pub allow_closed: Vec<B256>,
}

/// A trainer for which a person at the owner's has checked what no program can see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedAccount {
    /// The trainer's account. Names are never matched: a requester gives itself its name.
    pub account: Address,
    /// Modifiers of the policy (DUO codes, without what follows them) that this trainer meets, in everything it asks for.
    pub meets: Vec<String>,
}

impl Record for ConsentPolicy {
    const KIND: &'static str = "consent-policy";

    fn ledger(&self) -> Option<LedgerId> {
        Some(self.ledger)
    }
}

/// How a model's income is divided, in basis points that sum to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// All donors together, by weight.
    pub donors: u16,
    /// The trainer.
    pub trainer: u16,
    /// The runner of the query enclave.
    pub runner: u16,
}

/// A proposed model: what it predicts, what it needs, what it pays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhitePaper {
    /// The ledger on which the model is proposed; the paper is void on others.
    pub ledger: LedgerId,
    /// Short name: shown, and never matched.
    pub name: String,
    /// What is predicted, for people.
    pub predicts: String,
    /// The trainer's account, which must sign the record.
    pub trainer: Address,
    /// What the trainer calls itself: shown, and never matched.
    pub trainer_name: String,
    /// DUO code of the purpose.
    pub purpose: String,
    /// Disease (MONDO code), where the purpose is disease specific.
    pub disease: Option<String>,
    /// Whether the use is commercial.
    pub commercial: bool,
    /// Country in which the trained model is run, ISO 3166-1 alpha-2.
    pub country: String,
    /// Feature columns in order.
    pub features: Vec<String>,
    /// Label column.
    pub label: String,
    /// Rows that a site must have.
    pub min_rows: u32,
    /// Paid to each donor once the model is trained, in millionths of a token.
    pub instant_payment: u64,
    /// Price of a query, in millionths of a token.
    pub query_price: u64,
    /// Division of the price.
    pub split: Split,
    /// Measurements of the programs that will see the data: no others are accepted from an enclave.
    pub programs: Vec<B256>,
    /// Which enclaves are believed.
    pub appraisal: AppraisalTerms,
    /// Who may see what of the training; the plan says the same.
    pub disclosure: Disclosure,
    /// Blob of the plan ([`crate::plan::PlanDocument`]), which the ledger names too.
    pub plan: B256,
}

/// Which evidence of enclaves counts in a model, the same for owners, committee, trainer and whoever verifies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppraisalTerms {
    /// Kinds of hardware that are enough. SIMULATED only where it stands here.
    pub platforms: Vec<Platform>,
    /// Oldest evidence that counts, in seconds.
    pub max_age_seconds: u64,
    /// Accounts of the vendor roots of SIMULATED devices; nobody else certifies one.
    pub simulated_vendors: Vec<Address>,
}

impl Record for WhitePaper {
    const KIND: &'static str = "white-paper";

    fn ledger(&self) -> Option<LedgerId> {
        Some(self.ledger)
    }
}

/// Everything a consent decision rests on: with the rules (crate `access`) it can be decided again by anybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionFacts {
    /// The owner's terms at the time.
    pub policy: ConsentPolicy,
    /// What was asked.
    pub paper: WhitePaper,
    /// The ledger's number of the model.
    pub model_id: u64,
    /// The dataset in question.
    pub dataset: B256,
    /// Whether the owner's data has every feature and the label, and enough rows.
    pub data_matches: bool,
    /// Whether the ledger shows the dataset as registered and not withdrawn.
    pub dataset_in_force: bool,
    /// Whether the owner's node believes every enclave that the paper's appraisal terms let in.
    pub enclaves_acceptable: bool,
    /// Whether the ledger has each auditor that the paper names as an auditor, and as no owner, trainer or runner.
    pub auditors_independent: bool,
    /// Unix seconds of the decision.
    pub time: u64,
}

/// Outcome of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The use is allowed.
    Permit,
    /// The use is refused.
    Deny,
    /// A person must decide.
    Review,
}

/// A decision with its facts, signed by the owner: it can be re-run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionRecord {
    /// What was known.
    pub facts: DecisionFacts,
    /// Version of the rules.
    pub rules: String,
    /// What was decided.
    pub verdict: Verdict,
    /// Why, one sentence a rule that applied.
    pub reasons: Vec<String>,
}

impl Record for DecisionRecord {
    const KIND: &'static str = "consent-decision";

    fn ledger(&self) -> Option<LedgerId> {
        Some(self.facts.paper.ledger)
    }
}
