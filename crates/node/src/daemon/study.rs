//! A study, as what each of its parties is asked to do by itself.
//!
//! A study file names everybody and answers every question in advance. Here it becomes what the daemons of its parties are given: data
//! and consent, proposals, questions to the model. How they go on from there is theirs.

use std::collections::BTreeMap;

use histone_attestation::AppraisalPolicy;
use histone_contracts::roles;
use histone_genome::table::Table;
use histone_protocol::consent::{AllowedAccount, AppraisalTerms, ConsentPolicy, Split, WhitePaper};
use histone_protocol::disclosure::Disclosure;
use histone_protocol::plan::PlanPrograms;
use histone_protocol::record::LedgerId;
use histone_protocol::{Address, B256};

use super::trainer::Proposal;
use super::user::Asking;
use crate::error::NodeError;
use crate::plan::{self, Times};
use crate::programs::Loaded;
use crate::study::{Denied, MIN_ROWS, Model, Participant, Study, TrainerId};

/// Who takes part in a study, and as what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taking {
    /// The name.
    pub name: String,
    /// The sum of the ledger's role bits; 0 for the end user.
    pub roles: u8,
    /// TEST tokens that it needs, in millionths.
    pub tokens: u64,
}

/// Everybody in a study but the operator, each once, in the order in which they take their turns.
pub fn parties(study: &Study) -> Vec<Taking> {
    let mut all: Vec<Taking> = Vec::new();
    let mut add = |name: &str, roles: u8, tokens: u64| match all.iter_mut().find(|t| t.name == name) {
        Some(taking) => {
            taking.roles |= roles;
            taking.tokens = taking.tokens.saturating_add(tokens);
        }
        None => all.push(Taking { name: name.into(), roles, tokens }),
    };
    for auditor in std::iter::once(&study.auditor).chain(&study.auditors) {
        add(auditor, roles::AUDITOR, 0);
    }
    add(&study.runner, roles::RUNNER, 0);
    for member in &study.committee.members {
        add(member, roles::COMMITTEE, 0);
    }
    for participant in &study.participants {
        add(&participant.name, roles::OWNER, 0);
    }
    let participants = study.participants.len() as u64;
    for model in std::iter::once(&study.model).chain(&study.other_models) {
        add(&model.trainer, roles::TRAINER, model.instant_payment.micro().saturating_mul(participants));
    }
    let queries = study.end_user.queries.len() as u64 + 1;
    add(&study.end_user.name, 0, study.model.query_price.micro().saturating_mul(queries));
    all
}

/// A study on a ledger: names have become accounts.
#[derive(Debug, Clone)]
pub struct OnLedger<'a> {
    /// The study.
    pub study: &'a Study,
    /// The ledger.
    pub ledger: LedgerId,
    /// Everybody's account, by name.
    pub accounts: &'a BTreeMap<String, Address>,
    /// What white papers believe.
    pub appraisal: AppraisalTerms,
    /// How long a round takes.
    pub times: Times,
    /// Seconds in which a query must be answered.
    pub query_timeout: u32,
}

/// What the white papers of a study believe: enclaves on SIMULATED devices of this vendor.
pub fn appraisal(study: &Study, vendor: Address) -> AppraisalTerms {
    AppraisalTerms {
        platforms: study.appraisal.platforms.clone(),
        max_age_seconds: study.appraisal.max_age_seconds,
        simulated_vendors: vec![vendor],
    }
}

/// The same as a rule.
pub fn appraisal_policy(study: &Study, vendor: Address) -> AppraisalPolicy {
    AppraisalPolicy::of(&appraisal(study, vendor))
}

impl<'a> OnLedger<'a> {
    fn account(&self, name: &str) -> Result<Address, NodeError> {
        let missing = || NodeError::Message(format!("nobody in the study is called `{name}`"));
        self.accounts.get(name).copied().ok_or_else(missing)
    }

    /// The data of a participant, with the terms under which it may be used.
    pub fn data(&self, participant: &Participant) -> Result<(Table, ConsentPolicy), NodeError> {
        let policy = consent(participant, self.ledger, &|name| self.account(name))?;
        Ok((participant.table.clone(), policy))
    }

    /// What the trainer of each model proposes, the main one first.
    pub fn proposals(&self, loaded: &Loaded) -> Result<Vec<(&'a Model, Proposal)>, NodeError> {
        let models = std::iter::once(&self.study.model).chain(&self.study.other_models);
        models.map(|model| Ok((model, self.proposal(model, loaded)?))).collect()
    }

    /// What the trainer of a model proposes. Needs the accounts of that trainer, of the runner and of the auditors who may open sums.
    pub fn proposal(&self, model: &Model, loaded: &Loaded) -> Result<Proposal, NodeError> {
        let study = self.study;
        let disclosure = study.training.disclosure.with_accounts(|name| self.account(name))?;
        let measurement = |p: &histone_enclave::engine::LoadedProgram| B256::from(p.program().measurement());
        let programs = PlanPrograms {
            validation: measurement(&loaded.validation),
            training: measurement(loaded.method.program()),
            query: measurement(&loaded.query),
        };
        let plan = plan::document(study, &loaded.method, programs, self.times, disclosure.clone())?;
        Ok(Proposal {
            paper: self.paper(model, &disclosure, &programs, plan.hash())?,
            min_donors: study.training.min_survivors as u16,
            // A study has at most 256 participants.
            max_donors: study.participants.len() as u16,
            query_timeout: self.query_timeout,
            runner: Some(self.account(&study.runner)?),
            failed_rounds: super::patience::FAILED_ROUNDS,
            until: None,
            panel: study.table.panel.clone(),
            plan,
        })
    }

    fn paper(
        &self,
        model: &Model,
        disclosure: &Disclosure,
        programs: &PlanPrograms,
        plan: B256,
    ) -> Result<WhitePaper, NodeError> {
        let study = self.study;
        Ok(WhitePaper {
            ledger: self.ledger,
            name: model.name.clone(),
            predicts: model.predicts.clone(),
            trainer: self.account(&model.trainer)?,
            trainer_name: model.trainer.clone(),
            purpose: model.purpose.to_string(),
            disease: model.disease.clone(),
            commercial: model.commercial,
            // The model is used where its first participant is.
            country: study.participants.first().map(|p| p.country.clone()).unwrap_or_default(),
            features: study.table.features.clone(),
            label: study.table.label.clone(),
            min_rows: MIN_ROWS,
            instant_payment: model.instant_payment.micro(),
            query_price: model.query_price.micro(),
            split: Split {
                donors: model.split.donors.get(),
                trainer: model.split.trainer.get(),
                runner: model.split.runner.get(),
            },
            programs: vec![programs.validation, programs.training, programs.query],
            appraisal: self.appraisal.clone(),
            disclosure: disclosure.clone(),
            plan,
        })
    }

    /// What the end user asks of a model.
    pub fn questions(&self, model: u64) -> Vec<Asking> {
        let most = self.study.model.query_price.micro();
        let ask = |row: &Vec<f64>| Asking { model, row: row.clone(), most };
        self.study.end_user.queries.iter().map(ask).collect()
    }
}

/// A participant's policy. A name in it is the study's for one of its trainers or auditors; the policy holds that party's account.
pub fn consent(
    participant: &Participant,
    ledger: LedgerId,
    account_of: &dyn Fn(&str) -> Result<Address, NodeError>,
) -> Result<ConsentPolicy, NodeError> {
    let account = |id: &TrainerId| match id {
        TrainerId::Account(account) => Ok(*account),
        TrainerId::Named(name) => account_of(name),
    };
    let mut policy = ConsentPolicy {
        ledger,
        // The owner's node fills in its own account.
        owner: Address::ZERO,
        country: participant.country.clone(),
        terms: participant.consent.iter().map(ToString::to_string).collect(),
        allow_purposes: participant.allow.iter().map(ToString::to_string).collect(),
        deny_purposes: Vec::new(),
        allow_accounts: Vec::new(),
        deny_accounts: Vec::new(),
        versions: participant.versions,
        allow_public_exact: participant.allow_public_exact,
        allow_auditors: participant
            .allow_auditors
            .iter()
            .map(|name| account_of(name))
            .collect::<Result<_, _>>()?,
        allow_one_enclave: participant.allow_one_enclave,
        allow_closed: participant.allow_closed.clone(),
    };
    for denied in &participant.deny {
        match denied {
            Denied::Purpose(data_use) => policy.deny_purposes.push(data_use.to_string()),
            Denied::Trainer(id) => policy.deny_accounts.push(account(id)?),
        }
    }
    for allowed in &participant.allow_trainers {
        policy.allow_accounts.push(AllowedAccount {
            account: account(&allowed.trainer)?,
            meets: allowed.meets.iter().map(|term| term.id.to_string()).collect(),
        });
    }
    Ok(policy)
}
