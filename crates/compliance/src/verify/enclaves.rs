//! Enclaves: the evidence of each binds its keys to a program, a configuration and an operator.

use std::collections::{BTreeMap, BTreeSet};

use histone_attestation::cohort::EnclaveFacts;
use histone_attestation::{AppraisalPolicy, Expected, appraise};
use histone_enclave::{query, training, validation};
use histone_ledger::Contract;
use histone_ledger::contracts::{Enclaves, Market};
use histone_protocol::evidence::{EnclaveKeys, Evidence};
use histone_protocol::program::ProgramKind;
use histone_protocol::seal::SealPublicKey;
use histone_protocol::{Address, B256};

use super::Check;
use super::findings::{Findings, count, told};
use super::history::Moment;
use super::run::{Run, kind_of};

/// What an enclave was started for, as its appraised evidence shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To validate any dataset.
    Validation,
    /// To train this model by the plan.
    Training(u64),
    /// To answer queries to this model.
    Query(u64),
}

/// An enclave whose evidence holds.
#[derive(Debug, Clone)]
pub(super) struct Enclave {
    pub(super) measurement: B256,
    pub(super) purpose: Purpose,
    /// What the ledger has of it, with the evidence that it showed first.
    facts: EnclaveFacts,
    /// From when on evidence of it was on the ledger, which, and the Unix seconds at which that ends.
    shown: Vec<(Moment, B256, u64)>,
    /// When it was revoked.
    revoked: Option<usize>,
}

impl Enclave {
    /// Whether its evidence was there, and young enough, when something happened.
    pub(super) fn lives_at(&self, moment: Moment) -> bool {
        let covers =
            |(from, _, until): &(Moment, B256, u64)| from.order < moment.order && moment.time < *until;
        self.shown.iter().any(covers) && self.revoked.is_none_or(|revoked| moment.order < revoked)
    }

    /// Whether it had shown this evidence before something happened.
    pub(super) fn had_shown(&self, evidence: B256, moment: Moment) -> bool {
        self.shown.iter().any(|(from, shown, _)| from.order < moment.order && *shown == evidence)
    }

    /// What the ledger had of it when something happened, for an appraisal of who works then.
    pub(super) fn facts_at(&self, moment: Moment) -> EnclaveFacts {
        let before = self.shown.iter().filter(|(from, ..)| from.order < moment.order);
        let evidence_hash = before.max_by_key(|(from, ..)| from.order).map(|(_, evidence, _)| *evidence);
        EnclaveFacts {
            live: self.lives_at(moment),
            evidence_hash: evidence_hash.unwrap_or_default(),
            ..self.facts
        }
    }
}

/// Enclaves by the account of their receipt key.
pub(super) type Appraised = BTreeMap<Address, Enclave>;

/// One showing of evidence on the ledger.
struct Claim {
    signer: Address,
    operator: Address,
    measurement: B256,
    seal_key: B256,
    platform: u8,
    evidence: B256,
    expires_at: u64,
    block: u64,
    time: u64,
    order: usize,
}

pub(super) fn check(run: &Run) -> (Check, Appraised) {
    let mut findings = Findings::new("enclaves");
    let mut appraised = Appraised::new();
    let claims = claims(run);
    for claim in &claims {
        let what =
            || format!("enclave {} of `{}`, block {}", claim.signer, run.name(claim.operator), claim.block);
        if let Some(enclave) = findings.take(one(run, claim), what) {
            let known: &mut Enclave = appraised.entry(claim.signer).or_insert(enclave);
            let since = Moment { time: claim.time, order: claim.order };
            known.shown.push((since, claim.evidence, claim.expires_at));
        }
    }
    for s in run.events::<Enclaves::EnclaveRevoked>(Contract::Enclaves) {
        if let Some(enclave) = appraised.get_mut(&s.event.signer) {
            enclave.revoked.get_or_insert(s.order);
        }
    }
    let claimed: BTreeSet<B256> = claims.iter().map(|c| c.evidence).collect();
    let mut listed = BTreeSet::new();
    for blob in run.record.evidence.iter().filter(|blob| !listed.insert(**blob)) {
        findings.fail(format!("the evidence {blob} is in run.json twice"));
    }
    for blob in run.record.evidence.iter().filter(|blob| !claimed.contains(*blob)) {
        findings.fail(format!("the evidence {blob} in run.json is of no enclave on the ledger"));
    }
    let enclaves = count(appraised.len(), "enclave", "enclaves");
    let platform = run.record.platform;
    (
        findings.check(format!(
            "{platform} evidence of {enclaves} appraised, with keys, programs and configurations"
        )),
        appraised,
    )
}

fn claims(run: &Run) -> Vec<Claim> {
    let registered = run.events::<Enclaves::EnclaveRegistered>(Contract::Enclaves);
    let mut claims: Vec<Claim> = registered
        .into_iter()
        .map(|s| Claim {
            signer: s.event.signer,
            operator: s.event.operator,
            measurement: s.event.measurement,
            seal_key: s.event.sealKey,
            platform: s.event.platform,
            evidence: s.event.evidenceHash,
            expires_at: s.event.expiresAt,
            block: s.block,
            time: s.time,
            order: s.order,
        })
        .collect();
    for s in run.events::<Enclaves::EnclaveRefreshed>(Contract::Enclaves) {
        // The contract refreshes registered enclaves only.
        let Some(first) = claims.iter().find(|c| c.signer == s.event.signer) else { continue };
        claims.push(Claim {
            evidence: s.event.evidenceHash,
            expires_at: s.event.expiresAt,
            block: s.block,
            time: s.time,
            order: s.order,
            ..*first
        });
    }
    claims
}

fn one(run: &Run, claim: &Claim) -> Result<Enclave, String> {
    if !run.record.evidence.contains(&claim.evidence) {
        return Err(format!("its evidence {} is not in run.json", claim.evidence));
    }
    let bytes = run.blob(claim.evidence)?;
    let evidence = Evidence::from_bytes(&bytes).ok_or("its evidence is not in its canonical encoding")?;
    let (quote, _) = evidence.quote.open().map_err(|e| told(&e))?;
    let kind = run.program_kind(claim.measurement).and_then(kind_of);
    let kind = kind.ok_or_else(|| format!("its program {} is not on the ledger", claim.measurement))?;
    if !run.history.allowed(run.deployment(), claim.measurement, claim.order) {
        return Err(format!("its program {} was not allowed by the members", claim.measurement));
    }
    let configurations = configurations(run, kind);
    // The quote says what it was started with; it must be one of the configurations that make sense here.
    let (purpose, init_data) =
        configurations.iter().find(|(_, init_data)| *init_data == quote.init_data).copied().ok_or_else(
            || format!("it was started with init-data {}, which no model of this run has", quote.init_data),
        )?;
    let expected = Expected {
        operator: claim.operator,
        keys: EnclaveKeys { receipt: claim.signer, seal: SealPublicKey(claim.seal_key) },
        platform: claim.platform,
        evidence_hash: claim.evidence,
        measurement: claim.measurement,
        init_data,
    };
    let policy = AppraisalPolicy::simulated(vec![run.record.vendor], run.record.evidence_max_age);
    let attested = appraise(&bytes, &expected, &policy, claim.time).map_err(|e| told(&e))?;
    if attested.platform() != run.record.platform {
        return Err(format!("its evidence is of another platform than {}", run.record.platform));
    }
    if claim.platform != attested.platform().code() {
        return Err(format!(
            "the ledger has platform {}, the evidence says {}",
            claim.platform,
            attested.platform()
        ));
    }
    let keys = attested.keys();
    if keys.receipt != claim.signer || keys.seal.0 != claim.seal_key {
        return Err("the ledger has other keys than its evidence".into());
    }
    if claim.expires_at > attested.valid_until() {
        return Err(format!(
            "it is registered until {}, its evidence ends at {}",
            claim.expires_at,
            attested.valid_until()
        ));
    }
    let facts = EnclaveFacts {
        keys,
        operator: claim.operator,
        measurement: claim.measurement,
        platform: claim.platform,
        evidence_hash: claim.evidence,
        live: true,
    };
    Ok(Enclave { measurement: claim.measurement, purpose, facts, shown: Vec::new(), revoked: None })
}

/// What an enclave with a program of this kind may have been started with.
fn configurations(run: &Run, kind: ProgramKind) -> Vec<(Purpose, B256)> {
    let deployment = run.deployment();
    match kind {
        ProgramKind::Validation => {
            vec![(Purpose::Validation, validation::init_data())]
        }
        ProgramKind::Training => {
            let init = |id| (Purpose::Training(id), training::init_data(deployment, id, &run.plan));
            run.record.models.iter().map(|m| init(m.model_id)).collect()
        }
        ProgramKind::Query => {
            let finished = run.events::<Market::TrainingFinished>(Contract::Market);
            let init = |s: super::history::Seen<Market::TrainingFinished>| {
                let id = u64::try_from(s.event.modelId).ok()?;
                Some((Purpose::Query(id), query::init_data(deployment, id, s.event.modelHash)))
            };
            finished.into_iter().filter_map(init).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_holds_from_its_showing_to_its_end() {
        let at = |time, order| Moment { time, order };
        let mut enclave = Enclave {
            measurement: B256::ZERO,
            purpose: Purpose::Validation,
            facts: EnclaveFacts {
                keys: EnclaveKeys { receipt: Address::ZERO, seal: SealPublicKey(B256::ZERO) },
                operator: Address::ZERO,
                measurement: B256::ZERO,
                platform: 0,
                evidence_hash: B256::ZERO,
                live: true,
            },
            shown: vec![(at(10, 5), B256::ZERO, 100), (at(120, 50), B256::repeat_byte(2), 200)],
            revoked: None,
        };
        for (time, order, lives) in [
            (10, 4, false),
            (10, 6, true),
            (99, 30, true),
            (100, 31, false),
            (110, 49, false),
            (120, 51, true),
            (200, 60, false),
        ] {
            assert_eq!(enclave.lives_at(at(time, order)), lives, "{time} {order}");
        }
        let newest = |order| enclave.facts_at(at(130, order)).evidence_hash;
        assert_eq!((newest(49), newest(51)), (B256::ZERO, B256::repeat_byte(2)));
        assert!(!enclave.had_shown(B256::repeat_byte(2), at(130, 49)));
        enclave.revoked = Some(55);
        assert!(enclave.lives_at(at(130, 54)) && !enclave.lives_at(at(130, 56)));
    }
}
