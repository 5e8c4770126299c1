//! Rounds: every sum is opened again from the public blobs, every state of the training follows from it.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::U256;
use histone_contracts::{Contract, Market, Rounds};
use histone_enclave::training::RoundTranscript;
use histone_federation::committee::{Member, PartialSum, Published};
use histone_federation::header::{RoundHeader, Seat};
use histone_federation::sealed::SealedPartial;
use histone_federation::update::{Survivor, Survivors};
use histone_program_sdk::wire::Wire;
use histone_protocol::blob::Blob;
use histone_protocol::{Address, B256};
use serde_json::{Value, json};

use super::cohort::{self, Basis};
use super::course::{Course, Outcome as End, Rests, Went};
use super::decisions::Donor;
use super::findings::{Findings, count, told};
use super::history::Seen;
use super::hosted;
use super::run::Run;
use super::used::Locked;
use super::{Check, Outcome};
use crate::folder::{ModelRecord, RoundRecord};

/// What the rounds led to.
#[derive(Debug)]
pub(super) struct Trained {
    /// The number of the model.
    pub(super) model_id: u64,
    /// Model and facts: recomputed, or as the enclaves have signed them.
    pub(super) end: End,
    /// Donors in the last sum.
    pub(super) donors: Vec<u16>,
    /// What the result says of the rounds that gave a sum.
    pub(super) rounds: Vec<Value>,
    /// On what each of them rests.
    bases: Vec<RoundBasis>,
    /// What the result says of the one enclave that had all data; null where each owner had its own.
    pub(super) hosted: Value,
}

/// On what it rests that a round led where it did.
#[derive(Debug)]
struct RoundBasis {
    round: u32,
    basis: String,
    left_out: Vec<(u8, u16)>,
    audited: Option<Address>,
}

impl Trained {
    /// A model that one enclave has made, as it says.
    pub(super) fn in_one_enclave(model_id: u64, end: End, donors: Vec<u16>, hosted: Value) -> Self {
        Self { model_id, end, donors, rounds: Vec::new(), bases: Vec::new(), hosted }
    }

    /// On what the rounds rest, for people: stretches of rounds that rest on the same are one.
    fn rests(&self, run: &Run) -> String {
        let words = |b: &RoundBasis| {
            let mut words = match b.audited {
                Some(auditor) => format!("recomputed by the auditor `{}`, {}", run.name(auditor), b.basis),
                None => b.basis.clone(),
            };
            for (seat, donor) in &b.left_out {
                words += &format!(" (seat {seat} has left out the enclave of donor {donor})");
            }
            words
        };
        let mut said = Vec::new();
        for same in self.bases.chunk_by(|a, b| words(a) == words(b)) {
            if let [first, .., last] = same {
                said.push(format!("rounds {} to {} {}", first.round, last.round, words(first)));
            } else if let [one] = same {
                said.push(format!("round {} {}", one.round, words(one)));
            }
        }
        said.join(", ")
    }
}

/// The events of the model's rounds.
struct Log {
    opened: Vec<Seen<Rounds::RoundOpened>>,
    /// Blob hashes by round and donor; the contract takes one each.
    anchored: BTreeMap<(u32, u16), B256>,
    last: Vec<Seen<Rounds::RoundFinal>>,
}

/// What became of all trainings.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// The models that came out of them.
    pub(super) trained: BTreeMap<u64, Trained>,
    /// Models whose training has not ended.
    pub(super) open: BTreeSet<u64>,
}

pub(super) fn check(run: &Run, basis: &Basis<'_>) -> (Check, Ends) {
    let mut findings = Findings::new("rounds");
    let opened = run.events::<Rounds::RoundOpened>(Contract::Rounds);
    for opened in opened.iter().filter(|s| run.covers(s.event.modelId)) {
        let (round, model) = (opened.event.round, opened.event.modelId);
        let listed = u64::try_from(model).ok().and_then(|id| run.model(id));
        findings.expect(listed.is_some_and(ModelRecord::is_trained), || {
            format!("round {round} of model {model} is not in run.json")
        });
    }
    for model in run.record.models.iter().filter(|model| !model.is_trained()) {
        findings.expect(model.model.is_none() && model.evaluations.is_empty(), || {
            format!(
                "run.json has a model or evaluations of model {}, of which no round was opened",
                model.model_id
            )
        });
    }
    // The first model is what the run was made for; of a ledger any model can be looked at.
    if !run.record.models.first().is_some_and(ModelRecord::is_trained) {
        if run.is_whole() || !findings.clean() {
            findings.fail("run.json names no model that was trained");
            return (findings.check(String::new()), Ends::default());
        }
        let detail = "no round of the model was opened: there is nothing to recompute".into();
        return (Check { name: "rounds", outcome: Outcome::NotCheckable, detail }, Ends::default());
    }
    let (mut all, mut open, mut holds) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
    for hosted in run.events::<Market::HostedModel>(Contract::Market) {
        let listed = u64::try_from(hosted.event.modelId).ok().and_then(|id| run.model(id));
        let there = listed.is_some_and(|model| model.hosted == Some(hosted.event.statementHash));
        findings.expect(there || !run.covers(hosted.event.modelId), || {
            format!(
                "what the one enclave of model {} has said, {}, is not in {}",
                hosted.event.modelId,
                hosted.event.statementHash,
                run.place()
            )
        });
    }
    for model in run.record.models.iter().filter(|model| model.is_trained()) {
        if model.hosted.is_some() {
            if let Some(trained) = hosted::check(run, model, basis, &mut findings) {
                holds.push(trained.0);
                all.insert(model.model_id, trained.1);
            }
            continue;
        }
        let trained = match trained(run, model, basis, &mut findings) {
            None => continue,
            Some(Ended::Finished(trained)) => *trained,
            Some(Ended::Open { sums, stage }) => {
                let sums = count(sums, "sum", "sums");
                holds.push(format!(
                    "{sums} of model {} opened again; its training goes on or was given up, the next stage is `{stage}`",
                    model.model_id
                ));
                open.insert(model.model_id);
                continue;
            }
        };
        let (rests, hash) = (trained.rests(run), trained.end.hash);
        holds.push(format!(
            "{rests}; they lead to the model {hash}, evaluated over donors {:?}",
            trained.donors
        ));
        all.insert(model.model_id, trained);
    }
    let unended = !run.is_whole() && all.is_empty() && findings.clean();
    let check = findings.check(holds.join("; "));
    let outcome = if unended { Outcome::NotCheckable } else { check.outcome };
    (Check { outcome, ..check }, Ends { trained: all, open })
}

/// Recomputes the training of one model.
fn trained(run: &Run, model: &ModelRecord, basis: &Basis<'_>, findings: &mut Findings) -> Option<Ended> {
    let model_id = model.model_id;
    let none = BTreeMap::new();
    let donors = basis.donors.get(&model_id).unwrap_or(&none);
    let id = U256::from(model_id);
    let anchored = run.events::<Rounds::UpdateAnchored>(Contract::Rounds).into_iter();
    let log = Log {
        opened: run.events(Contract::Rounds),
        anchored: anchored
            .filter(|s| s.event.modelId == id)
            .map(|s| ((s.event.round, s.event.donorIndex), s.event.blobHash))
            .collect(),
        last: run.events(Contract::Rounds),
    };
    let auditors = basis.papers.get(&model_id).map_or(&[][..], |paper| &paper.disclosure.auditors);
    let Some(plan) = basis.plans.get(&model_id) else {
        findings.fail(format!("not recomputed: there is no plan of model {model_id} that holds"));
        return None;
    };
    // What the members never allowed is not run: whoever made the folder could keep its readers busy with it.
    let began = log.opened.iter().find(|s| s.event.modelId == id).map_or(usize::MAX, |s| s.order);
    let measurement = B256::from(plan.method);
    if !run.history.allowed(run.deployment(), measurement, began) {
        findings.fail(format!("not recomputed: the members had not allowed its method {measurement}"));
        return None;
    }
    let method = findings.take(run.method(measurement), || format!("model {model_id}"))?;
    let course = Course::start(method.clone(), plan.clone(), (run.auditor(), auditors));
    let mut course = findings.take(course, || format!("the plan of model {model_id}"))?;
    let mut listed: BTreeMap<u32, &RoundRecord> = BTreeMap::new();
    for round in &model.rounds {
        findings.expect(listed.insert(round.round, round).is_none(), || {
            format!("round {} is in run.json twice", round.round)
        });
    }
    let (mut sums, mut bases) = (Vec::new(), Vec::new());
    let mut finished = None;
    for opened in log.opened.iter().filter(|s| s.event.modelId == id) {
        let number = opened.event.round;
        let Some(record) = listed.remove(&number) else {
            findings.fail(format!("round {number}, opened in block {}, is not in run.json", opened.block));
            return None;
        };
        // What follows rests on this round, so that one broken round ends the check.
        let step = one(run, &mut course, record, opened, &log, donors, basis);
        let step = findings.take(step, || format!("round {number}"))?;
        let over = finished.is_some();
        findings.expect(!over, || format!("round {number} was opened although the training was finished"));
        let Some(Sum { rests, survivors, summary }) = step else { continue };
        sums.push(summary);
        bases.push(RoundBasis {
            round: number,
            basis: rests.basis,
            left_out: rests.left_out,
            audited: rests.audited,
        });
        match rests.went {
            Went::Next => {}
            Went::NoModel => {
                findings.fail(format!("model {model_id}: its enclaves have signed that there is no model"));
            }
            Went::Finished(end) => finished = Some((*end, survivors)),
        }
    }
    for number in listed.keys() {
        findings.fail(format!("round {number} in run.json was never opened"));
    }
    let sold: Vec<B256> = run
        .events::<Market::TrainingFinished>(Contract::Market)
        .iter()
        .filter(|s| s.event.modelId == id)
        .map(|s| s.event.modelHash)
        .collect();
    // A training that goes on, or was given up, is nobody's lie; what a run was made for has to be there.
    let due = !sold.is_empty() || run.is_whole() && run.record.models.first() == Some(model);
    let Some((end, donors)) = finished else {
        let stage = course.stage();
        if due {
            findings
                .fail(format!("model {model_id} was not trained to its end: the next stage is `{stage}`"));
            return None;
        }
        return Some(Ended::Open { sums: sums.len(), stage });
    };
    blob(run, model, &end, findings);
    let hash = end.hash;
    findings.expect(!due || sold == [hash], || {
        format!("the market has {sold:?} as model {model_id}, the rounds lead to {hash}")
    });
    Some(Ended::Finished(Box::new(Trained {
        model_id,
        end,
        donors,
        rounds: sums,
        bases,
        hosted: Value::Null,
    })))
}

/// Where the training of a model led to.
enum Ended {
    /// To a model.
    Finished(Box<Trained>),
    /// To none so far.
    Open {
        /// Sums that were opened.
        sums: usize,
        /// What is asked next.
        stage: String,
    },
}

/// The finished model is the blob that is named.
pub(super) fn blob(run: &Run, model: &ModelRecord, end: &End, findings: &mut Findings) {
    let model_id = model.model_id;
    if let Some(blob) = end.blob {
        findings.expect(model.model.is_none_or(|named| named == blob), || {
            format!("the blob of model {model_id} is not the one that its enclaves have released")
        });
        findings.expect(model.model.is_some() || !run.is_whole(), || {
            format!("{} has no blob of model {model_id}", run.place())
        });
        return;
    }
    let Some(computed) = &end.model else { return };
    // Whoever has the sums has the model: outside of a folder nobody has to keep it.
    if run.is_whole() || model.model.is_some() {
        let named = model.model.ok_or_else(|| format!("{} has no blob of it", run.place()));
        let read = named.and_then(|blob| run.blob(blob));
        if let Some(bytes) = findings.take(read, || format!("model {model_id}")) {
            findings.expect(bytes == computed.to_bytes(), || {
                format!("the blob of model {model_id} is not the model that the rounds lead to")
            });
        }
    }
}

/// A round that gave a sum.
struct Sum {
    /// What the sum leads to, and on what that rests.
    rests: Rests,
    /// The donors in it.
    survivors: Vec<u16>,
    /// What the result says of the round.
    summary: Value,
}

/// Recomputes one round; gives nothing for a round that failed.
fn one(
    run: &Run,
    course: &mut Course,
    record: &RoundRecord,
    opened: &Seen<Rounds::RoundOpened>,
    log: &Log,
    donors: &BTreeMap<u16, Donor>,
    basis: &Basis<'_>,
) -> Result<Option<Sum>, String> {
    let e = &opened.event;
    let header = run.blob(record.header).map_err(|e| format!("its header: {e}"))?;
    let header = RoundHeader::decode(&header).map_err(|e| told(&e))?;
    check_header(run, course, &header, opened, donors)?;
    cohort::check(run, &header, opened, donors, basis)?;
    let stage = course.stage();
    if run.is_whole() && record.stage != stage {
        return Err(format!("run.json calls its stage `{}`, it is `{stage}`", record.stage));
    }
    let here = |model: U256, round: u32| model == e.modelId && round == e.round;
    let mut updates = Vec::new();
    for (&donor, &hash) in &record.updates {
        // Who may anchor, the contract judged; whose enclave was believed then, the check of the cohort.
        if log.anchored.get(&(e.round, donor)) != Some(&hash) {
            return Err(format!("the update {hash} of donor {donor} is not anchored on the ledger"));
        }
        if donors.get(&donor).is_none_or(|d| basis.enclaves.get(&d.enclave).is_none()) {
            return Err(format!("the enclave of donor {donor} has no evidence that holds"));
        }
        updates.push((donor, hash));
    }
    let locked = Locked::of(run, opened);
    let last = log.last.iter().find(|s| here(s.event.modelId, s.event.round));
    let (Some(locked), Some(last)) = (locked, last) else {
        return match record.partials.is_empty() {
            true => Ok(None),
            false => Err("it has partial sums, but was never finished on the ledger".into()),
        };
    };
    let survivors = &locked.survivors;
    if !survivors.iter().eq(record.updates.keys()) {
        let listed: Vec<u16> = record.updates.keys().copied().collect();
        return Err(format!(
            "run.json has the updates of donors {listed:?}, the ledger closed with {survivors:?}"
        ));
    }
    let opening = locked.opening(e.quorum)?;
    for donor in survivors {
        let dataset = donors.get(donor).and_then(|d| basis.datasets.get(&d.dataset));
        let late = dataset.map(|d| opening.iter().filter(|post| d.ended_well_before(**post)).count());
        // A liar posts whatever is withdrawn; the others of a quorum looked before they posted.
        if late.is_none_or(|late| late > usize::from(header.fields().colluders)) {
            return Err(format!(
                "the dataset of donor {donor} was withdrawn or erased before its sum was opened"
            ));
        }
    }
    let over = updates.iter().map(|(donor, hash)| Survivor { donor: *donor, blob: hash.0 });
    let over = Survivors::new(&header, over.collect()).map_err(|e| told(&e))?;
    let partials = partials(run, &header, record, (&locked, &over))?;
    let mut blobs = Vec::new();
    for (donor, hash) in updates {
        blobs.push((donor, run.named(hash).map_err(|e| format!("the update of donor {donor}: {e}"))?));
    }
    let bytes = |blobs: &mut dyn Iterator<Item = usize>| blobs.sum::<usize>();
    let there = donors.iter().filter(|(_, d)| d.donated.order < opened.order);
    let missing = there.filter(|(donor, _)| !survivors.contains(donor));
    let missing: Vec<String> = missing.map(|(_, d)| run.name(d.owner)).collect();
    let (update_bytes, partial_bytes) =
        (bytes(&mut blobs.iter().map(|(_, blob)| blob.len())), bytes(&mut partials.iter().map(|p| p.len())));
    let numbers = header.dimension();
    let transcript = RoundTranscript { header, survivors: blobs, partials };
    let rests = course.go_on(run, &transcript, &last.event)?;
    let disagree = rests.others.iter().filter_map(|d| donors.get(d)).map(|d| run.name(d.owner));
    let summary = json!({
        "round": e.round,
        "stage": stage,
        "survivors": survivors.len(),
        "missing": missing,
        "basis": rests.basis,
        "disagree": disagree.collect::<Vec<_>>(),
        "numbers": numbers,
        "update_bytes": update_bytes,
        "partial_bytes": partial_bytes,
    });
    Ok(Some(Sum { rests, survivors: locked.survivors, summary }))
}

/// The header is the one on the ledger, for this model, this state and this committee. Who has to be in its cohort is another
/// check.
fn check_header(
    run: &Run,
    course: &Course,
    header: &RoundHeader,
    opened: &Seen<Rounds::RoundOpened>,
    donors: &BTreeMap<u16, Donor>,
) -> Result<(), String> {
    let (e, f, deployment) = (&opened.event, header.fields(), run.deployment());
    let hash = B256::from(header.hash());
    if hash != e.headerHash {
        return Err(format!("its header hashes to {hash}, the ledger has {}", e.headerHash));
    }
    if f.chain_id != deployment.chain_id
        || f.market != deployment.market.into_array()
        || f.model_id != e.modelId.to_be_bytes::<32>()
        || f.round != e.round
    {
        return Err("its header is for another chain, market, model or round".into());
    }
    if f.min_survivors != e.minSurvivors || header.committee().quorum() != e.quorum {
        return Err("its header has another minimum of survivors or another quorum than the ledger".into());
    }
    for d in &f.cohort {
        if donors.get(&d.index).map(|known| known.enclave) != Some(Address::from(d.enclave)) {
            return Err(format!(
                "its header names {} as donor {}, the market does not",
                Address::from(d.enclave),
                d.index
            ));
        }
    }
    course.check_header(header)?;
    let seats: BTreeMap<Address, B256> =
        f.committee.iter().map(|s: &Seat| (Address::from(s.address), B256::from(s.seal_key))).collect();
    let fixed = run.events::<Rounds::CommitteeFixed>(Contract::Rounds);
    let fixed = fixed.into_iter().find(|s| s.event.modelId == e.modelId);
    if fixed.as_ref().is_some_and(|s| s.event.colluders != f.colluders) {
        return Err("its header withstands another number of colluders than the fixed committee".into());
    }
    let members: BTreeMap<Address, B256> =
        fixed.map(|s| s.event.seats.into_iter().zip(s.event.sealKeys).collect()).unwrap_or_default();
    if seats != members {
        let shown =
            |m: &BTreeMap<Address, B256>| m.keys().map(|a| run.name(*a)).collect::<Vec<_>>().join(", ");
        return Err(format!(
            "its committee ({}) or their keys are not the committee that was fixed ({})",
            shown(&seats),
            shown(&members)
        ));
    }
    Ok(())
}

/// The partial sums of the record: each was posted by the member whose seat it names, and they are enough. Outside of a folder
/// nobody has chosen among the posts: those that are no partial sums of this round, which a member can make at will, are left out.
fn partials(
    run: &Run,
    header: &RoundHeader,
    record: &RoundRecord,
    (locked, over): (&Locked, &Survivors),
) -> Result<Vec<Blob>, String> {
    let listed: BTreeSet<B256> = record.partials.iter().copied().collect();
    if listed.len() != record.partials.len() {
        return Err("run.json names a partial sum twice".into());
    }
    let mut partials = Vec::new();
    for hash in &record.partials {
        match partial(run, header, *hash, locked) {
            Ok((blob, sum)) if run.is_whole() || sum.is_over(over) => {
                partials.push(blob);
            }
            Err(reason) if run.is_whole() => return Err(reason),
            _ => {}
        }
    }
    // A member may have posted the hash of nothing, and whoever it is: the others open the same sum. With one more than open
    // it a wrong one would show.
    let needed = usize::from(header.committee().quorum());
    if partials.len() < needed {
        return Err(format!(
            "{} has {} of its partial sums, {needed} are asked",
            run.place(),
            partials.len()
        ));
    }
    Ok(partials)
}

/// A partial sum on the ledger, for everybody or sealed.
trait Posted {
    fn is_over(&self, survivors: &Survivors) -> bool;
    fn member(&self) -> u8;
}

impl<P: Published> Posted for P {
    fn is_over(&self, survivors: &Survivors) -> bool {
        Published::is_over(self, survivors)
    }

    fn member(&self) -> u8 {
        Published::member(self)
    }
}

/// A partial sum that the member whose seat it names has posted. Others can post the same hash.
fn partial(
    run: &Run,
    header: &RoundHeader,
    hash: B256,
    locked: &Locked,
) -> Result<(Blob, Box<dyn Posted>), String> {
    let posted: Vec<Address> = locked.kept().filter(|p| p.hash == hash).map(|p| p.member).collect();
    let first = posted.first().ok_or_else(|| format!("the partial sum {hash} is not on the ledger"))?;
    let blob = run.named(hash)?;
    let what = |e: &(dyn std::error::Error + 'static)| {
        format!("the partial sum of `{}`: {}", run.name(*first), told(e))
    };
    let sum: Box<dyn Posted> = match header.fields().question.is_sealed() {
        true => Box::new(SealedPartial::read(blob.clone(), header).map_err(|e| what(&e))?),
        false => Box::new(PartialSum::decode(&blob, header).map_err(|e| what(&e))?),
    };
    let sits = |member: &&Address| {
        Member::by_address(header, &member.into_array()).is_ok_and(|seat| seat.index() == sum.member())
    };
    if !posted.iter().any(|member| sits(&member)) {
        return Err(format!(
            "`{}` posted a partial sum that says it is of seat {}",
            run.name(*first),
            sum.member()
        ));
    }
    Ok((blob, sum))
}
