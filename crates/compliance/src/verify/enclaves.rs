//! Enclaves: the evidence of each binds its keys to a program, a configuration and an operator.

use std::collections::{BTreeMap, BTreeSet};

use histone_attestation::cohort::EnclaveFacts;
use histone_attestation::{AppraisalPolicy, CLOCK_SKEW, Expected, appraise, platform};
use histone_contracts::{Contract, Datasets, Enclaves, Market};
use histone_enclave::{query, training, validation};
use histone_protocol::evidence::EnclaveKeys;
use histone_protocol::plan::PlanDocument;
use histone_protocol::program::ProgramKind;
use histone_protocol::seal::SealPublicKey;
use histone_protocol::{Address, B256, U256};

use super::Check;
use super::findings::{Findings, count, told};
use super::history::Moment;
use super::run::{Run, kind_of};
use super::used::Used;

/// A look at the ledger as of a moment, in which new evidence from `renewed` on and ends from `ended` on do not count: by
/// position of events.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) moment: Moment,
    pub(super) renewed: usize,
    pub(super) ended: usize,
}

impl Look {
    /// With everything before the moment.
    pub(super) fn at(moment: Moment) -> Self {
        Self { moment, renewed: moment.order, ended: moment.order }
    }
}

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

/// An enclave on the ledger.
#[derive(Debug, Clone)]
pub(super) struct Enclave {
    pub(super) measurement: B256,
    /// What it was started for; none where no evidence of it holds.
    pub(super) purpose: Option<Purpose>,
    /// What the ledger has of it, with the evidence that it showed first.
    facts: EnclaveFacts,
    /// The evidence that it showed, oldest first.
    shown: Vec<Shown>,
    /// When it was revoked.
    revoked: Option<usize>,
}

/// Evidence that an enclave put on the ledger.
#[derive(Debug, Clone, Copy)]
struct Shown {
    since: Moment,
    evidence: B256,
    /// Unix seconds at which it ends.
    until: u64,
    /// Unix seconds from and until which the evidence is of the right age, whatever the operator says.
    age: (u64, u64),
    /// Whether it was appraised and is what the ledger says.
    holds: bool,
}

impl Enclave {
    /// Whether evidence of it that holds was there, and young enough, when something happened.
    pub(super) fn lives_at(&self, moment: Moment) -> bool {
        let covers = |s: &Shown| {
            let (from, to) = s.age;
            s.holds
                && s.since.order < moment.order
                && moment.time < s.until
                && (from..=to).contains(&moment.time)
        };
        self.shown.iter().any(covers) && !self.revoked_before(moment.order)
    }

    /// Whether it had shown this evidence before something happened.
    pub(super) fn had_shown(&self, evidence: B256, moment: Moment) -> bool {
        self.shown.iter().any(|s| s.since.order < moment.order && s.evidence == evidence)
    }

    /// Whether a trainer could not overlook what it had shown by then: nothing since `margin`, and its newest evidence from
    /// before `started` or among those that headers have `named`.
    pub(super) fn was_known(
        &self,
        moment: Moment,
        margin: usize,
        started: usize,
        named: &BTreeSet<B256>,
    ) -> bool {
        let mut shown = self.shown.iter().filter(|s| s.since.order < moment.order);
        let Some(newest) = self.newest(moment).map(|s| s.evidence) else { return false };
        let early = |s: &Shown| s.evidence == newest && s.since.order < started;
        !shown.clone().any(|s| s.since.order >= margin) && (named.contains(&newest) || shown.any(early))
    }

    fn revoked_before(&self, order: usize) -> bool {
        self.revoked.is_some_and(|revoked| revoked < order)
    }

    /// The newest evidence before something happened, whether it holds or not: the ledger knows no other.
    fn newest(&self, moment: Moment) -> Option<&Shown> {
        self.shown.iter().rfind(|s| s.since.order < moment.order)
    }

    /// What the ledger had of it when something happened, for an appraisal of who works then. `allowed` are the programs that
    /// the members allowed then: what has begun goes on under them.
    pub(super) fn facts_at(&self, allowed: &BTreeSet<B256>, look: Look) -> EnclaveFacts {
        let counts = |(i, s): &(usize, &Shown)| {
            s.since.order < look.moment.order && (*i == 0 || s.since.order < look.renewed)
        };
        let newest = self.shown.iter().enumerate().rfind(counts).map(|(_, s)| s);
        let in_time = newest.is_some_and(|s| look.moment.time < s.until);
        let live = in_time && !self.revoked_before(look.ended) && allowed.contains(&self.measurement);
        let evidence_hash = newest.map(|s| s.evidence).unwrap_or_default();
        EnclaveFacts { live, evidence_hash, ..self.facts }
    }

    /// The same for one whose work was done earlier, at `worked`: the contract let it work then, and what becomes of it later
    /// touches nothing that it has done.
    pub(super) fn facts_of_work(&self, worked: Moment) -> EnclaveFacts {
        let evidence_hash = self.newest(worked).map(|s| s.evidence).unwrap_or_default();
        EnclaveFacts { live: true, evidence_hash, ..self.facts }
    }
}

/// Enclaves by the account of their receipt key.
#[derive(Debug, Default)]
pub(super) struct Appraised(BTreeMap<Address, Enclave>);

impl Appraised {
    /// An enclave of which some evidence holds.
    pub(super) fn get(&self, signer: &Address) -> Option<&Enclave> {
        self.0.get(signer).filter(|enclave| enclave.purpose.is_some())
    }

    /// An enclave as it is on the ledger, believed or not.
    pub(super) fn on_ledger(&self, signer: &Address) -> Option<&Enclave> {
        self.0.get(signer)
    }
}

/// One showing of evidence on the ledger.
#[derive(Clone, Copy)]
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

impl Claim {
    fn facts(&self) -> EnclaveFacts {
        EnclaveFacts {
            keys: EnclaveKeys { receipt: self.signer, seal: SealPublicKey(self.seal_key) },
            operator: self.operator,
            measurement: self.measurement,
            platform: self.platform,
            evidence_hash: self.evidence,
            live: true,
        }
    }
}

/// Appraises all evidence. What is wrong with an enclave that nothing rests on is said, and is no failure: anybody may
/// register a plain key.
pub(super) fn check(run: &Run, used: &Used) -> (Check, Appraised) {
    let mut findings = Findings::new("enclaves");
    let mut appraised = Appraised::default();
    let mut claims = claims(run);
    if let Some(signers) = of_model(run, used) {
        claims.retain(|claim| signers.contains(&claim.signer));
    }
    let relied = relied(run, used, &claims);
    let mut unbelieved = BTreeSet::new();
    for claim in &claims {
        let appraised_one = one(run, claim);
        let age = appraised_one.as_ref().map_or((0, 0), |(_, age)| *age);
        let purpose = appraised_one.map(|(purpose, _)| purpose);
        let since = Moment { time: claim.time, order: claim.order };
        let holds = purpose.is_ok();
        let shown = Shown { since, evidence: claim.evidence, until: claim.expires_at, age, holds };
        let known = appraised.0.entry(claim.signer).or_insert_with(|| Enclave {
            measurement: claim.measurement,
            purpose: None,
            facts: claim.facts(),
            shown: Vec::new(),
            revoked: None,
        });
        known.shown.push(shown);
        match purpose {
            Ok(purpose) => {
                known.purpose.get_or_insert(purpose);
            }
            Err(reason) if relied.contains(&claim.order) => findings.fail(format!(
                "enclave {} of `{}`, block {}: {reason}",
                claim.signer,
                run.name(claim.operator),
                claim.block
            )),
            Err(_) => {
                unbelieved.insert(claim.signer);
            }
        }
    }
    for s in run.events::<Enclaves::EnclaveRevoked>(Contract::Enclaves) {
        if let Some(enclave) = appraised.0.get_mut(&s.event.signer) {
            enclave.revoked.get_or_insert(s.order);
        }
    }
    let mut listed: BTreeMap<B256, usize> = BTreeMap::new();
    for blob in &run.record.evidence {
        // Who borrows evidence is not believed, and yet the ledger has it twice then.
        let showings = claims.iter().filter(|c| c.evidence == *blob).count();
        let times = listed.entry(*blob).or_default();
        *times += 1;
        findings.expect(showings > 0 || !run.is_whole(), || {
            format!("the evidence {blob} in run.json is of no enclave on the ledger")
        });
        findings.expect(showings == 0 || *times <= showings, || {
            format!("the evidence {blob} is in run.json more often than on the ledger")
        });
    }
    let believed = appraised.0.values().filter(|enclave| enclave.purpose.is_some()).count();
    let enclaves = count(believed, "enclave", "enclaves");
    let platform = run.record.platform;
    let mut holds =
        format!("{platform} evidence of {enclaves} appraised, with keys, programs and configurations");
    if !unbelieved.is_empty() {
        let others = count(unbelieved.len(), "enclave", "enclaves");
        holds.push_str(&format!("; {others} showed evidence that is not believed, and nothing rests on it"));
    }
    (findings.check(holds), appraised)
}

/// The enclaves that have to do with the models that are looked at: what else the ledger has is not appraised. All of them,
/// where the record is of everything.
fn of_model(run: &Run, used: &Used) -> Option<BTreeSet<Address>> {
    if run.is_whole() {
        return None;
    }
    let donated = run.events::<Market::Donated>(Contract::Market).into_iter();
    let donated = donated.filter(|s| run.covers(s.event.modelId)).map(|s| s.event.enclave);
    let listed = |id: B256| run.record.datasets.iter().any(|d| d.id == id);
    let first = run.events::<Datasets::DatasetRegistered>(Contract::Datasets).into_iter();
    let first = first.filter(|s| listed(s.event.id)).map(|s| s.event.enclave);
    let later = run.events::<Datasets::DatasetUpdated>(Contract::Datasets).into_iter();
    let later = later.filter(|s| listed(s.event.id)).map(|s| s.event.enclave);
    let serving = used.serving.iter().map(|(signer, _)| *signer);
    Some(donated.chain(first).chain(later).chain(serving).collect())
}

/// The showings on which the run rests, by position: the one that was the newest when something was made with an enclave. What
/// it shows before and afterwards is its operator's own affair.
fn relied(run: &Run, used: &Used, claims: &[Claim]) -> BTreeSet<usize> {
    let newest = |signer: Address, order: usize| {
        claims.iter().filter(|c| c.signer == signer && c.order < order).map(|c| c.order).max()
    };
    // A header names its evidence, which may have been shown once more since then. Whether it held at the opening is asked for
    // the cohort.
    let named = used.enclaves.iter().filter_map(|(signer, evidence, order)| {
        let shown = claims.iter().filter(|c| c.signer == *signer && c.evidence == *evidence);
        shown.map(|c| c.order).filter(|shown| shown < order).min()
    });
    let mut relied: BTreeSet<usize> = named.collect();
    relied.extend(used.hosts.iter().filter_map(|(signer, order)| newest(*signer, *order)));
    relied.extend(used.serving.iter().filter_map(|(signer, order)| newest(*signer, *order)));
    let first = run.events::<Datasets::DatasetRegistered>(Contract::Datasets).into_iter();
    let first = first.map(|s| (s.event.id, s.event.root, s.event.enclave, s.order));
    let later = run.events::<Datasets::DatasetUpdated>(Contract::Datasets).into_iter();
    let later = later.map(|s| (s.event.id, s.event.root, s.event.enclave, s.order));
    let versions = first.chain(later).filter(|(id, root, ..)| used.datasets.contains(&(*id, *root)));
    relied.extend(versions.filter_map(|(_, _, enclave, order)| newest(enclave, order)));
    relied
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
    claims.sort_by_key(|claim| claim.order);
    claims
}

/// What an enclave was started for, by evidence that holds.
fn one(run: &Run, claim: &Claim) -> Result<(Purpose, (u64, u64)), String> {
    if !run.record.evidence.contains(&claim.evidence) {
        return Err(format!("its evidence {} is not in {}", claim.evidence, run.place()));
    }
    let bytes = run.blob(claim.evidence)?;
    let (_, claims) = platform::read(&bytes).map_err(|e| told(&e))?;
    let kind = run.program_kind(claim.measurement).and_then(kind_of);
    let kind = kind.ok_or_else(|| format!("its program {} is not on the ledger", claim.measurement))?;
    if !run.history.allowed(run.deployment(), claim.measurement, claim.order) {
        return Err(format!("its program {} was not allowed by the members", claim.measurement));
    }
    let configurations = configurations(run, kind);
    // The quote says what it was started with; it must be one of the configurations that make sense here.
    let (purpose, init_data) =
        configurations.iter().find(|(_, init_data)| *init_data == claims.init_data).copied().ok_or_else(
            || format!("it was started with init-data {}, which no model of this run has", claims.init_data),
        )?;
    if let Purpose::Query(id) = purpose {
        let plan =
            PlanDocument::from_bytes(&run.blob(run.plan_hash(U256::from(id)))?).map_err(|e| told(&e))?;
        if plan.programs.query != claim.measurement {
            return Err(format!(
                "it answers for model {id} with the program {}, whose plan promises {}",
                claim.measurement, plan.programs.query
            ));
        }
    }
    let expected = Expected {
        operator: claim.operator,
        keys: claim.facts().keys,
        platform: claim.platform,
        evidence_hash: claim.evidence,
        measurement: claim.measurement,
        init_data,
    };
    let terms = run.terms();
    let policy = AppraisalPolicy::of(&terms);
    // As of its own date: evidence may be shown again when it is old. Whether it was young enough is asked where something
    // rests on it, and how long the ledger has it is its operator's word.
    let attested = appraise(&bytes, &expected, &policy, claims.issued_at).map_err(|e| told(&e))?;
    if !terms.platforms.contains(&attested.platform()) {
        return Err(format!(
            "its evidence is of the platform {}, which is not believed here",
            attested.platform()
        ));
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
    Ok((purpose, (claims.issued_at.saturating_sub(CLOCK_SKEW), attested.valid_until())))
}

/// What an enclave with a program of this kind may have been started with.
fn configurations(run: &Run, kind: ProgramKind) -> Vec<(Purpose, B256)> {
    let deployment = run.deployment();
    match kind {
        ProgramKind::Validation => {
            vec![(Purpose::Validation, validation::init_data())]
        }
        ProgramKind::Training => {
            let plan = |id| run.plan_hash(U256::from(id));
            let init = |id| (Purpose::Training(id), training::init_data(deployment, id, plan(id)));
            run.record.models.iter().map(|m| init(m.model_id)).collect()
        }
        ProgramKind::Query => {
            let finished = run.events::<Market::TrainingFinished>(Contract::Market);
            let init = |s: super::history::Seen<Market::TrainingFinished>| {
                let id = u64::try_from(s.event.modelId).ok()?;
                let plan = run.plan_hash(s.event.modelId);
                Some((Purpose::Query(id), query::init_data(deployment, id, s.event.modelHash, plan)))
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
        let shown = |since, byte, until, holds| {
            let evidence = B256::repeat_byte(byte);
            Shown { since, evidence, until, age: (0, u64::MAX), holds }
        };
        let mut enclave = Enclave {
            measurement: B256::ZERO,
            purpose: Some(Purpose::Validation),
            facts: EnclaveFacts {
                keys: EnclaveKeys { receipt: Address::ZERO, seal: SealPublicKey(B256::ZERO) },
                operator: Address::ZERO,
                measurement: B256::ZERO,
                platform: 0,
                evidence_hash: B256::ZERO,
                live: true,
            },
            shown: vec![
                shown(at(10, 5), 0, 100, true),
                shown(at(120, 50), 2, 200, true),
                shown(at(250, 70), 3, 300, false),
            ],
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
            (260, 71, false),
        ] {
            assert_eq!(enclave.lives_at(at(time, order)), lives, "{time} {order}");
        }
        let newest = |order| enclave.facts_of_work(at(130, order)).evidence_hash;
        let of = B256::repeat_byte;
        assert_eq!([49, 51, 71].map(newest), [of(0), of(2), of(3)]);
        assert!(!enclave.had_shown(B256::repeat_byte(2), at(130, 49)));
        // Its trainer could overlook what was shown after the margin's beginning, and what is younger than the training (60)
        // and named by nobody.
        let known = |order, margin, named: &[u8]| {
            let named = named.iter().map(|byte| of(*byte)).collect();
            enclave.was_known(at(260, order), margin, 60, &named)
        };
        assert!(known(65, 55, &[]) && !known(65, 45, &[]) && !known(65, 45, &[2]));
        assert!(!known(80, 75, &[]) && known(80, 75, &[3]) && !known(80, 70, &[3]));
        enclave.revoked = Some(55);
        assert!(enclave.lives_at(at(130, 54)) && !enclave.lives_at(at(130, 56)));
        // What it has done stays done.
        assert!(enclave.facts_of_work(at(130, 54)).live);
    }
}
