//! The parties of a round: those donors whose enclaves and data were believed when it was opened by the white paper's rule,
//! all of them and no others; and the committee is the one that was fixed, rightly, when the training started.
//!
//! Judged by the same functions as enclaves, members and trainer use while the training goes on.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::U256;
use histone_attestation::AppraisalPolicy;
use histone_attestation::cohort::{Appraisals, CohortPolicy, DatasetFacts, Place, appraise_place};
use histone_contracts::{Contract, Market, Rounds};
use histone_enclave::cohort::{MARGIN, RightCommittee, fixed_committee};
use histone_enclave::{training, validation};
use histone_federation::header::{self, RoundHeader};
use histone_federation::plan::Plan;
use histone_protocol::B256;
use histone_protocol::consent::WhitePaper;

use super::datasets::Dataset;
use super::decisions::{Donor, Donors};
use super::enclaves::{Appraised, Look};
use super::findings::told;
use super::history::{Moment, Seen};
use super::run::Run;

/// What the rounds rest on.
pub(super) struct Basis<'a> {
    pub(super) donors: &'a Donors,
    pub(super) datasets: &'a BTreeMap<B256, Dataset>,
    pub(super) enclaves: &'a Appraised,
    /// White papers by model.
    pub(super) papers: &'a BTreeMap<u64, WhitePaper>,
    /// Plans of the models that were trained.
    pub(super) plans: &'a BTreeMap<u64, Plan>,
    /// Who may and must sit in their committees.
    pub(super) committees: &'a BTreeMap<u64, Committee>,
}

/// Who may and must sit in the committee of a trained model; a reason when nobody can tell.
pub(super) type Committee = Result<RightCommittee, String>;

/// The right committees of the models that were trained.
pub(super) async fn committees(run: &Run) -> BTreeMap<u64, Committee> {
    let mut committees = BTreeMap::new();
    for model in run.record.models.iter().filter(|model| model.is_trained()) {
        committees.insert(model.model_id, committee(run, U256::from(model.model_id)).await);
    }
    committees
}

async fn committee(run: &Run, id: U256) -> Committee {
    let fixed = fixed_committee(id, &run.ledger).await.map_err(|e| told(&e))?;
    let at = fixed.ok_or("no committee was fixed")?.at;
    RightCommittee::at(id, at, &run.ledger).await.map_err(|e| told(&e))
}

/// Checks cohort and committee of a header that was opened: the cohort is everybody who was believed as of the opening and
/// whose part had not ended then, and nobody else. What changed within the [`MARGIN`] of the opening may count or not, as for
/// enclaves and members.
pub(super) fn check(
    run: &Run,
    header: &RoundHeader,
    opened: &Seen<Rounds::RoundOpened>,
    donors: &BTreeMap<u16, Donor>,
    basis: &Basis<'_>,
) -> Result<(), String> {
    let moment = opened.moment();
    let model = u64::try_from(opened.event.modelId).unwrap_or(0);
    let paper = basis.papers.get(&model).ok_or("its white paper does not hold")?;
    let policy = policy(run, opened.event.modelId, paper);
    // What the folder does not hold as evidence is no evidence.
    let evidence = |hash: B256| run.record.evidence.contains(&hash).then(|| run.blob(hash).ok()).flatten();
    let early = moment.time.saturating_sub(MARGIN);
    let order_then = run.history.order_after(early).min(moment.order);
    let at = |time: u64| Look::at(Moment { time, ..moment });
    let (now, later) = (at(moment.time), at(moment.time + MARGIN));
    let before = Look { renewed: order_then, ..at(early) };
    let earlier = Look { ended: order_then, ..at(early) };
    let (started, named) = known(run, opened);
    let mut kept = Appraisals::default();
    let mut believed = |index: u16, donor: &Donor, look: Look| {
        if ended(run, opened.event.modelId, look.ended).contains(&index) {
            return Err("is there no more: its part had ended".to_string());
        }
        let programs = paper.programs.iter().copied();
        let allowed = programs.filter(|p| {
            [look.moment.order, look.ended].iter().any(|o| run.history.allowed(run.deployment(), *p, *o))
        });
        let place = place(index, donor, look, &allowed.collect(), basis)?;
        appraise_place(&place, &policy, &evidence, &mut kept, look.moment.time)
            .map_err(|e| format!("is not believed: {}", told(&e)))
    };
    for (index, donor) in donors.iter().filter(|(_, d)| d.donated.order < moment.order) {
        match (header.donor(*index), believed(*index, donor, now)) {
            (None, Err(_)) => {}
            (None, Ok(())) => {
                let enclave = basis.enclaves.on_ledger(&donor.enclave);
                let known = enclave.is_some_and(|x| x.was_known(moment, order_then, started, &named));
                if known && believed(*index, donor, before).is_ok() && believed(*index, donor, later).is_ok()
                {
                    return Err(format!("its header does not invite donor {index}, who was believed then"));
                }
            }
            (Some(_), Err(reason))
                if believed(*index, donor, before).is_err() && believed(*index, donor, earlier).is_err() =>
            {
                return Err(format!("donor {index} of its cohort {reason}"));
            }
            (Some(named), _) => same(named, donor, moment, basis)
                .map_err(|reason| format!("donor {index} of its cohort {reason}"))?,
        }
    }
    let f = header.fields();
    if let Some(stranger) = f.cohort.iter().find(|d| !donors.contains_key(&d.index)) {
        return Err(format!("donor {} of its cohort is not on the ledger", stranger.index));
    }
    let right = basis.committees.get(&model).ok_or("its committee is not known")?;
    let right = right.as_ref().map_err(|reason| format!("its committee: {reason}"))?;
    right.check(&f.committee)
}

/// Checks that a donor of a model that one enclave has made was believed when the model was made, whatever has become of its data
/// while it was: the enclave, and whoever validated this version of the data.
pub(super) fn believed_host(
    run: &Run,
    (model, index): (U256, u16),
    donor: &Donor,
    moment: Moment,
    basis: &Basis<'_>,
) -> Result<(), String> {
    let id = u64::try_from(model).unwrap_or(0);
    let paper = basis.papers.get(&id).ok_or("has no white paper that holds")?;
    let policy = policy(run, model, paper);
    let evidence = |hash: B256| run.record.evidence.contains(&hash).then(|| run.blob(hash).ok()).flatten();
    let programs = paper.programs.iter().copied();
    let allowed = programs.filter(|p| run.history.allowed(run.deployment(), *p, moment.order)).collect();
    // Who has left since then left its data in the model.
    let look = Look { ended: donor.donated.order, ..Look::at(moment) };
    let place = place(index, donor, look, &allowed, basis)?;
    appraise_place(&place, &policy, &evidence, &mut Appraisals::default(), moment.time)
        .map_err(|e| format!("is not believed: {}", told(&e)))
}

/// What its trainer had in hand before a round: since when a training goes on, and the evidence that its headers had named.
fn known(run: &Run, opened: &Seen<Rounds::RoundOpened>) -> (usize, BTreeSet<B256>) {
    let model = opened.event.modelId;
    let started = run.events::<Market::TrainingStarted>(Contract::Market).into_iter();
    let started = started.filter(|s| s.event.modelId == model).map(|s| s.order).next();
    let before = run.events::<Rounds::RoundOpened>(Contract::Rounds).into_iter();
    let before = before.filter(|s| s.event.modelId == model && s.order < opened.order);
    let headers = before.filter_map(|s| RoundHeader::decode(&run.blob(s.event.headerHash).ok()?).ok());
    let named = |h: RoundHeader| h.fields().cohort.iter().map(|d| B256::from(d.evidence)).collect::<Vec<_>>();
    (started.unwrap_or(usize::MAX), headers.flat_map(named).collect())
}

/// Donors of a model whose part had ended.
fn ended(run: &Run, model: U256, until: usize) -> BTreeSet<u16> {
    let before = |of: U256, order: usize| of == model && order < until;
    let ended = run.events::<Market::DonorUseEnded>(Contract::Market).into_iter();
    let ended = ended.filter(|s| before(s.event.modelId, s.order)).map(|s| s.event.donorIndex);
    let excluded = run.events::<Market::DonorExcluded>(Contract::Market).into_iter();
    let excluded = excluded.filter(|s| before(s.event.modelId, s.order)).map(|s| s.event.donorIndex);
    ended.chain(excluded).collect()
}

/// The place of a donor as the ledger knew it at a moment.
fn place(
    index: u16,
    donor: &Donor,
    look: Look,
    allowed: &BTreeSet<B256>,
    basis: &Basis<'_>,
) -> Result<Place, String> {
    let dataset = basis.datasets.get(&donor.dataset).ok_or("has a dataset that is not registered")?;
    let enclave = basis.enclaves.on_ledger(&donor.enclave).ok_or("has no registered enclave")?;
    let version = dataset.versions.iter().find(|v| v.root == donor.root && v.since.order < look.moment.order);
    let validated_by =
        version.and_then(|v| Some(basis.enclaves.on_ledger(&v.enclave)?.facts_of_work(v.since)));
    Ok(Place {
        donor: index,
        enclave: enclave.facts_at(allowed, look),
        dataset: DatasetFacts {
            lineage: donor.dataset,
            root: donor.root,
            withdrawn: dataset.ended_before(look.ended),
            validated_by,
            validated_at: version.map_or(0, |v| v.since.time),
        },
    })
}

/// A header names a donor as the ledger knows it, with evidence that its enclave had shown.
fn same(named: &header::Donor, donor: &Donor, moment: Moment, basis: &Basis<'_>) -> Result<(), &'static str> {
    if (B256::from(named.lineage), B256::from(named.root)) != (donor.dataset, donor.root) {
        return Err("has donated another dataset or version");
    }
    let enclave = basis.enclaves.on_ledger(&donor.enclave);
    if !enclave.is_some_and(|x| x.had_shown(B256::from(named.evidence), moment)) {
        return Err("has never shown that evidence");
    }
    Ok(())
}

/// By what the donors of a model are believed.
fn policy(run: &Run, model: U256, paper: &WhitePaper) -> CohortPolicy {
    let id = u64::try_from(model).unwrap_or(0);
    CohortPolicy {
        appraisal: AppraisalPolicy::of(&paper.appraisal),
        programs: paper.programs.clone(),
        training: training::init_data(run.deployment(), id, run.plan_hash(model)),
        validation: validation::init_data(),
    }
}
