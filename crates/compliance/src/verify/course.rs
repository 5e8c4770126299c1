//! How a training goes on from one round to the next, as a stranger sees it: by the sum, where it is public; by what more than half
//! of the enclaves in it have signed, where it is sealed; and by the sum again for an auditor who may open it.

use std::collections::{BTreeMap, BTreeSet};

use histone_contracts::{Contract, Members, Rounds};
use histone_enclave::method::{HostedMethod, Step, Training};
use histone_enclave::release::{self, Released};
use histone_enclave::training::RoundTranscript;
use histone_federation::header::RoundHeader;
use histone_federation::plan::Plan;
use histone_federation::sealed::SealedPartial;
use histone_federation::training::{Asked, Names, model_hash, no_model};
use histone_program_sdk::method::Fact;
use histone_program_sdk::model::Model;
use histone_program_sdk::wire::Wire;
use histone_protocol::agreement::{Agreement, RECOMPUTED, SealedRound};
use histone_protocol::disclosure::Release;
use histone_protocol::seal::SealKey;
use histone_protocol::{Address, B256};

use super::Check;
use super::findings::{Findings, told};
use super::run::Run;

/// Who looks, beside everybody.
#[derive(Clone)]
pub struct Auditor {
    /// Its account, to which members seal.
    pub account: Address,
    /// Its key.
    pub key: SealKey,
}

/// Whose key this is, when a white paper names its account as an auditor.
pub(super) fn auditor(run: &Run, key: &SealKey) -> (Check, Option<Auditor>) {
    let mut findings = Findings::new("auditor");
    let named: BTreeSet<Address> = run.papers().flat_map(|paper| paper.disclosure.auditors).collect();
    // A member may have had several keys.
    let added = run.events::<Members::MemberAdded>(Contract::Members).into_iter();
    let updated = run.events::<Members::MemberUpdated>(Contract::Members).into_iter();
    let proven = run.events::<Members::SealKeyProven>(Contract::Members).into_iter();
    let keys = added.map(|s| (s.event.account, s.event.sealKey));
    let keys = keys.chain(updated.map(|s| (s.event.account, s.event.sealKey)));
    let mut keys = keys.chain(proven.map(|s| (s.event.account, s.event.sealKey)));
    let account = keys.find(|(account, held)| *held == key.public().0 && named.contains(account));
    let account = account.map(|(account, _)| account);
    let Some(account) = account else {
        let names: Vec<String> = named.iter().map(|a| run.name(*a)).collect();
        findings.fail(match names.is_empty() {
            true => "no white paper names an auditor: nobody but enclaves opens its sums".into(),
            false => {
                format!("it is not the key of an auditor whom a white paper names ({})", names.join(", "))
            }
        });
        return (findings.check(String::new()), None);
    };
    let holds = format!("the key of `{}`, whom a white paper names as an auditor", run.name(account));
    (findings.check(holds), Some(Auditor { account, key: key.clone() }))
}

/// Where a training stands.
pub(super) enum Course {
    /// Sums are public.
    Open(Box<Training>),
    /// They are sealed.
    Sealed(Box<Sealed>),
}

/// A training whose sums enclaves see.
pub(super) struct Sealed {
    plan: Plan,
    rounds: u32,
    asked: Option<Asked>,
    /// What an auditor computes beside it.
    audit: Option<(Auditor, Training)>,
}

/// What a round led to.
pub(super) enum Went {
    /// Another round.
    Next,
    /// The end.
    Finished(Box<Outcome>),
    /// The end of a sealed training without a model.
    NoModel,
}

/// The end of a training.
#[derive(Debug)]
pub(super) struct Outcome {
    /// What the market has to sell.
    pub(super) hash: B256,
    /// The model, where it is public, or an auditor has computed it.
    pub(super) model: Option<Model>,
    /// Its blob.
    pub(super) blob: Option<B256>,
    /// What is said of it to everybody.
    pub(super) facts: Vec<Fact>,
}

/// A round that went on, and on what that rests.
pub(super) struct Rests {
    pub(super) went: Went,
    /// As `result.json` says it.
    pub(super) basis: String,
    /// Donors whose enclaves say something else.
    pub(super) others: Vec<u16>,
    /// Members, by seat, who have left out the enclave of a donor in the sum.
    pub(super) left_out: Vec<(u8, u16)>,
    /// Who has computed a sealed one again.
    pub(super) audited: Option<Address>,
}

impl Course {
    /// Before the first round.
    pub(super) fn start(
        method: HostedMethod,
        plan: Plan,
        (auditor, auditors): (Option<&Auditor>, &[Address]),
    ) -> Result<Self, String> {
        let sealed = plan.is_sealed();
        let training = Training::start(method, plan.clone()).map_err(|e| told(&e))?;
        if !sealed {
            return Ok(Course::Open(Box::new(training)));
        }
        let asked = Some(training.asked());
        let audit = auditor.filter(|a| auditors.contains(&a.account)).map(|a| (a.clone(), training));
        Ok(Course::Sealed(Box::new(Sealed { plan, rounds: 0, asked, audit })))
    }

    /// The stage of the next round.
    pub(super) fn stage(&self) -> String {
        match self {
            Course::Open(training) => training.stage().into(),
            Course::Sealed(s) => s.asked.as_ref().map(|a| a.question.stage().into()).unwrap_or_default(),
        }
    }

    /// Whether a header follows from it.
    pub(super) fn check_header(&self, header: &RoundHeader) -> Result<(), String> {
        match self {
            Course::Open(training) => training.check_header(header).map_err(|e| told(&e)),
            Course::Sealed(s) if header.fields().min_survivors != s.plan.min_survivors => {
                Err("its minimum of survivors is not the plan's".into())
            }
            Course::Sealed(s) if s.asked.as_ref().is_some_and(|asked| asked.is_in(header)) => Ok(()),
            Course::Sealed(_) => Err("it does not follow from what the enclaves have signed before".into()),
        }
    }

    /// Goes on from a round that the ledger has as final.
    pub(super) fn go_on(
        &mut self,
        run: &Run,
        transcript: &RoundTranscript,
        last: &Rounds::RoundFinal,
    ) -> Result<Rests, String> {
        match self {
            Course::Open(training) => {
                let (aggregate, _) = transcript.open().map_err(|e| told(&*e))?;
                let sum = B256::from(aggregate.hash());
                if sum != last.aggregateHash {
                    return Err(format!("its sum hashes to {sum}, the ledger has {}", last.aggregateHash));
                }
                let step =
                    training.advance(&transcript.donors(), aggregate.values()).map_err(|e| told(&e))?;
                let state = B256::from(step.names().state);
                if state != last.modelHash {
                    return Err(format!("it leads to the state {state}, the ledger has {}", last.modelHash));
                }
                let went = match step {
                    Step::Next(next) => {
                        **training = next;
                        Went::Next
                    }
                    Step::NoModel => Went::NoModel,
                    Step::Finished(finished) => Went::Finished(Box::new(Outcome {
                        hash: state,
                        model: Some(finished.model),
                        blob: None,
                        facts: finished.facts,
                    })),
                };
                Ok(Rests {
                    went,
                    basis: RECOMPUTED.into(),
                    others: Vec::new(),
                    left_out: Vec::new(),
                    audited: None,
                })
            }
            Course::Sealed(sealed) => sealed.go_on(run, transcript, last),
        }
    }
}

impl Sealed {
    fn go_on(
        &mut self,
        run: &Run,
        transcript: &RoundTranscript,
        last: &Rounds::RoundFinal,
    ) -> Result<Rests, String> {
        let header = &transcript.header;
        let survivors = transcript.survivors().map_err(|e| told(&*e))?;
        let agreement =
            run.blob(last.aggregateHash).map_err(|e| format!("what its enclaves have signed: {e}"))?;
        let agreement = Agreement::from_bytes(&agreement).map_err(|e| told(&e))?;
        let deployment = run.deployment();
        let of = SealedRound {
            chain_id: deployment.chain_id,
            rounds: deployment.rounds,
            model_id: last.modelId.saturating_to(),
            round: last.round,
            header: B256::from(header.hash()),
            survivors: B256::from(survivors.hash()),
        };
        let enclave = |donor: u16| Some((donor, Address::from(header.donor(donor)?.enclave)));
        let enclaves: BTreeMap<u16, Address> = survivors.donors().into_iter().filter_map(enclave).collect();
        let carried = agreement.carried(&of, &enclaves).map_err(|e| told(&e))?;
        if carried.state != last.modelHash {
            return Err(format!(
                "its enclaves have signed the state {}, the ledger has {}",
                carried.state, last.modelHash
            ));
        }
        let names = Names { state: carried.state.0, next: carried.next.0 };
        let audited = self.audit(run, transcript, names)?;
        self.rounds += 1;
        self.asked = Asked::sealed(&self.plan, self.rounds, names);
        let went = match self.asked {
            Some(_) => Went::Next,
            None if names == no_model() => Went::NoModel,
            None => {
                let names = (B256::from(names.state), B256::from(names.next));
                Went::Finished(Box::new(outcome(run, &self.plan, names)?))
            }
        };
        let basis = carried.words(enclaves.len());
        Ok(Rests { went, basis, others: carried.others, left_out: left_out(transcript), audited })
    }

    /// Computes the round again for an auditor.
    fn audit(
        &mut self,
        run: &Run,
        transcript: &RoundTranscript,
        names: Names,
    ) -> Result<Option<Address>, String> {
        let Some((auditor, training)) = self.audit.take() else { return Ok(None) };
        let account = auditor.account;
        training.check_header(&transcript.header).map_err(|e| told(&e))?;
        let opened = transcript.open_as(&account.into_array(), &auditor.key);
        let (sum, key, _) = opened.map_err(|e| format!("for the auditor {account}: {}", told(&*e)))?;
        let step = training.advance_sealed(&transcript.donors(), sum.values(), key).map_err(|e| told(&e))?;
        let method = run.method(B256::from(self.plan.method))?;
        let computed = release::names(&step, method.manifest());
        if computed != names {
            return Err(format!(
                "the auditor {account} computes the state {}, its enclaves have signed {}",
                B256::from(computed.state),
                B256::from(names.state)
            ));
        }
        if let Step::Next(next) = step {
            self.audit = Some((auditor, next));
        }
        Ok(Some(account))
    }
}

/// What was released at the end of a training by this plan: a document with this hash, and a model of this name.
pub(super) fn outcome(run: &Run, plan: &Plan, (hash, document): (B256, B256)) -> Result<Outcome, String> {
    let read = run.blob(document).map_err(|e| format!("what was released: {e}"))?;
    let released =
        Released::from_bytes(&read).map_err(|e| format!("what was released cannot be read: {e}"))?;
    let bytes = run.blob(released.model).map_err(|e| format!("the released model: {e}"))?;
    let model = match plan.model {
        // What is under a key shows to nobody here.
        Release::Sealed | Release::Participants => None,
        Release::Public => {
            let model = Model::from_bytes(&bytes).map_err(|e| format!("the released model: {e}"))?;
            if B256::from(model_hash(&model)) != hash {
                return Err(format!("the released model is not {hash}, which was signed"));
            }
            if model.config.to_bytes() != plan.config.to_bytes() {
                return Err("the released model is of another configuration than its plan".into());
            }
            Some(model)
        }
    };
    Ok(Outcome { hash, model, blob: Some(released.model), facts: released.facts })
}

/// Which members have left out the enclave of which donor in the sum: it could not open what they have sealed.
fn left_out(transcript: &RoundTranscript) -> Vec<(u8, u16)> {
    let header = &transcript.header;
    let donors: Vec<_> = transcript.donors().into_iter().filter_map(|d| header.donor(d)).collect();
    let mut left = Vec::new();
    for partial in transcript.partials.iter().filter_map(|p| SealedPartial::decode(p, header).ok()) {
        let readers: Vec<[u8; 20]> = partial.readers().collect();
        let missing = donors.iter().filter(|d| !readers.contains(&d.enclave));
        left.extend(missing.map(|d| (partial.member(), d.index)));
    }
    left
}
