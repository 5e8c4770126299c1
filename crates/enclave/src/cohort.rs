//! What the ledger says about those who take part in a training: the donors with their enclaves and data, and the
//! committee. Only facts are gathered here; [`histone_attestation::cohort`] judges the donors.

mod committee;

use std::collections::{BTreeMap, BTreeSet};

use histone_attestation::CLOCK_SKEW;
use histone_attestation::cohort::{
    Appraisals, CohortPolicy, DatasetFacts, EnclaveFacts, EvidenceSource, Place, PlaceError, appraise_place,
};
use histone_contracts::{
    Contract, Datasets, Enclaves, LedgerError, LedgerView, Logged, Market, Programs, Rounds,
};
use histone_federation::header::{Donor, RoundHeader};
use histone_protocol::evidence::EnclaveKeys;
use histone_protocol::program::ProgramKind;
use histone_protocol::seal::SealPublicKey;
use histone_protocol::{Address, B256, U256};

pub use self::committee::{RightCommittee, fixed_committee, seats};
use crate::instance::EnclaveError;

/// The place in a header of a place on the ledger.
pub fn donor(place: &Place) -> Donor {
    Donor {
        index: place.donor,
        enclave: place.enclave.keys.receipt.into_array(),
        lineage: place.dataset.lineage.0,
        root: place.dataset.root.0,
        evidence: place.enclave.evidence_hash.0,
    }
}

/// Up to where on the chain things are judged, and at which time.
///
/// A round is judged as of its opening, by everybody alike: an enclave that ends, or comes back, while the round runs
/// changes nothing in it, so that nobody who is in a round makes the others refuse it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Block and position among its logs: what comes before counts.
    pub at: (u64, u64),
    /// Unix seconds: enclaves that show new evidence in later blocks have not.
    renewed: u64,
    /// Unix seconds: what ends in later blocks (a part in the model, a dataset, an enclave, a program) has not.
    ended: u64,
    /// Unix seconds at which what has an end is looked at.
    pub time: u64,
}

/// Seconds between a trainer's look at the ledger and the block of the opening, at the most. What ends or comes back in
/// between may be in the cohort or not, and who shows anything in between need not be: nobody makes a header wrong by the
/// second in which he acts.
pub const MARGIN: u64 = CLOCK_SKEW;

impl Moment {
    /// Everything that the ledger has.
    pub async fn now(ledger: &impl LedgerView) -> Result<Self, LedgerError> {
        Ok(Self::at((u64::MAX, u64::MAX), ledger.time().await?))
    }

    /// When a round of a model was opened, with the hash of its header; `None` when it never was.
    pub async fn of_round(
        model_id: U256,
        round: u32,
        ledger: &impl LedgerView,
    ) -> Result<Option<(Self, B256)>, LedgerError> {
        let about = Some(B256::from(model_id));
        let opened = ledger.logged::<Rounds::RoundOpened>(Contract::Rounds, about).await?;
        let opened = opened.into_iter().find(|o| o.event.round == round);
        Ok(opened.map(|o| (Self::at(o.at, o.time), o.event.headerHash)))
    }

    /// When something was logged.
    pub fn of_log<E>(logged: &Logged<E>) -> Self {
        Self::at(logged.at, logged.time)
    }

    /// The same, as if nothing had ended: for work that was done before, by those whose part may have ended since.
    pub fn before_any_end(self) -> Self {
        Self { ended: 0, ..self }
    }

    fn at(at: (u64, u64), time: u64) -> Self {
        Self { at, renewed: u64::MAX, ended: u64::MAX, time }
    }

    fn is_past(&self) -> bool {
        self.at != (u64::MAX, u64::MAX)
    }

    fn saw<E>(&self, logged: &Logged<E>) -> bool {
        logged.at < self.at
    }

    fn saw_renewed<E>(&self, logged: &Logged<E>) -> bool {
        self.saw(logged) && logged.time <= self.renewed
    }

    fn saw_end<E>(&self, logged: &Logged<E>) -> bool {
        self.saw(logged) && logged.time <= self.ended
    }
}

/// The donors whose part in a model had ended: withdrawn, refused, or excluded by the committee.
pub async fn ended(
    model_id: U256,
    until: Moment,
    ledger: &impl LedgerView,
) -> Result<BTreeSet<u16>, LedgerError> {
    let about = Some(B256::from(model_id));
    let ended = ledger.logged::<Market::DonorUseEnded>(Contract::Market, about).await?;
    let excluded = ledger.logged::<Market::DonorExcluded>(Contract::Market, about).await?;
    let ended = ended.iter().filter(|e| until.saw_end(e)).map(|e| e.event.donorIndex);
    Ok(ended.chain(excluded.iter().filter(|e| until.saw_end(e)).map(|e| e.event.donorIndex)).collect())
}

/// The donors of a model whose part had not ended, ascending, as the ledger knew them then.
pub async fn places(
    model_id: U256,
    until: Moment,
    ledger: &impl LedgerView,
) -> Result<Vec<Place>, LedgerError> {
    let left = ended(model_id, until, ledger).await?;
    let about = Some(B256::from(model_id));
    let mut places = Vec::new();
    for donated in ledger.logged::<Market::Donated>(Contract::Market, about).await? {
        let e = &donated.event;
        if left.contains(&e.donorIndex) || !until.saw(&donated) {
            continue;
        }
        places.push(place(e, until, ledger).await?);
    }
    places.sort_unstable_by_key(|p| p.donor);
    Ok(places)
}

async fn place(
    donated: &Market::Donated,
    until: Moment,
    ledger: &impl LedgerView,
) -> Result<Place, LedgerError> {
    Ok(Place {
        donor: donated.donorIndex,
        enclave: at_work(donated.enclave, until, ledger).await?,
        dataset: dataset(donated.datasetId, donated.root, until, ledger).await?,
    })
}

/// An enclave as it is registered now; `live` when new work may be given to it.
pub async fn enclave(
    signer: Address,
    kind: ProgramKind,
    ledger: &impl LedgerView,
) -> Result<EnclaveFacts, LedgerError> {
    let registered = ledger.read(Contract::Enclaves, Enclaves::enclaveCall { signer }).await?;
    let live = Enclaves::requireLiveCall { signer, kind: kind.code() };
    let live = match ledger.read(Contract::Enclaves, live).await {
        Ok(_) => true,
        // A view that answers is a ledger that works: what it refuses is no failure.
        Err(LedgerError::Refused { .. }) => false,
        Err(error) => return Err(error),
    };
    Ok(facts(signer, &registered, registered.evidenceHash, live))
}

/// The training enclave of a donor as it was then; `live` when what it has begun could go on, by the rule of
/// `Enclaves.requireRunning`: neither revoked nor expired, and the members allowed its program.
async fn at_work(
    signer: Address,
    until: Moment,
    ledger: &impl LedgerView,
) -> Result<EnclaveFacts, LedgerError> {
    let registered = ledger.read(Contract::Enclaves, Enclaves::enclaveCall { signer }).await?;
    let shown = shown(signer, until, ledger).await?;
    let last = shown.into_iter().max_by_key(|s| s.at);
    let about = Some(signer.into_word());
    let revoked = ledger.logged::<Enclaves::EnclaveRevoked>(Contract::Enclaves, about).await?;
    let live = last.as_ref().is_some_and(|s| s.expires_at > until.time)
        && !revoked.iter().any(|r| until.saw_end(r))
        && allowed(registered.measurement, until, ledger).await?;
    Ok(facts(signer, &registered, last.map_or(B256::ZERO, |s| s.evidence), live))
}

/// Whether the members allowed a training program.
async fn allowed(measurement: B256, until: Moment, ledger: &impl LedgerView) -> Result<bool, LedgerError> {
    let (of, about) = (Contract::Programs, Some(measurement));
    let registered = ledger.logged::<Programs::ProgramRegistered>(of, about).await?;
    let training = registered.first().is_some_and(|r| r.event.kind == ProgramKind::Training.code());
    let allowed = ledger.logged::<Programs::ProgramAllowed>(of, about).await?;
    let disallowed = ledger.logged::<Programs::ProgramDisallowed>(of, about).await?;
    let allowed = allowed.iter().filter(|e| until.saw(e)).map(|e| e.at).max();
    let disallowed = disallowed.iter().filter(|e| until.saw_end(e)).map(|e| e.at).max();
    Ok(training && allowed.is_some() && allowed > disallowed)
}

fn facts(signer: Address, registered: &Enclaves::Instance, evidence: B256, live: bool) -> EnclaveFacts {
    EnclaveFacts {
        keys: EnclaveKeys { receipt: signer, seal: SealPublicKey(registered.sealKey) },
        operator: registered.operator,
        measurement: registered.measurement,
        platform: registered.platform,
        evidence_hash: evidence,
        live,
    }
}

async fn dataset(
    id: B256,
    root: B256,
    until: Moment,
    ledger: &impl LedgerView,
) -> Result<DatasetFacts, LedgerError> {
    let withdrawn = ledger.logged::<Datasets::DatasetWithdrawn>(Contract::Datasets, Some(id)).await?;
    let first = ledger.logged::<Datasets::DatasetRegistered>(Contract::Datasets, Some(id)).await?;
    let later = ledger.logged::<Datasets::DatasetUpdated>(Contract::Datasets, Some(id)).await?;
    let first = first.iter().map(|e| (e.event.root, e.event.enclave, e.time, e.at));
    let later = later.iter().map(|e| (e.event.root, e.event.enclave, e.time, e.at));
    // Each root is accepted once.
    let validated = first.chain(later).find(|(of, ..)| *of == root);
    let (validated_by, validated_at) = match validated {
        Some((_, signer, time, at)) => (Some(validator(signer, Moment::at(at, time), ledger).await?), time),
        None => (None, 0),
    };
    let withdrawn = withdrawn.iter().any(|w| until.saw_end(w));
    Ok(DatasetFacts { lineage: id, root, withdrawn, validated_by, validated_at })
}

/// A validation enclave as it was when it validated: the contract let it work then, and what becomes of it later touches
/// nothing that it has done. Its operator could otherwise have the data of all others struck.
async fn validator(
    signer: Address,
    then: Moment,
    ledger: &impl LedgerView,
) -> Result<EnclaveFacts, LedgerError> {
    let registered = ledger.read(Contract::Enclaves, Enclaves::enclaveCall { signer }).await?;
    let shown = shown(signer, then, ledger).await?;
    let evidence = shown.into_iter().max_by_key(|s| s.at).map_or(B256::ZERO, |s| s.evidence);
    Ok(facts(signer, &registered, evidence, true))
}

/// A donor that is not believed, and why: nobody takes it into a round.
#[derive(Debug)]
pub struct Unbelieved {
    /// Its number.
    pub donor: u16,
    /// What it donated.
    pub dataset: B256,
    /// Why.
    pub why: PlaceError,
}

/// The donors of a model, each judged by its own evidence.
#[derive(Debug, Default)]
pub struct Cohort {
    /// Those whose enclaves and data are believed, ascending.
    pub believed: Vec<Place>,
    /// Those that are not.
    pub unbelieved: Vec<Unbelieved>,
}

/// Everything that whoever takes part in a training checks of the others, each by itself: an enclave before it
/// contributes, a member before it opens, the trainer before it begins a round.
#[derive(Debug)]
pub struct Watch {
    model_id: U256,
    policy: CohortPolicy,
    kept: Appraisals,
    /// What the ledger said as of the last moment in the past: that never changes.
    past: Option<(Moment, Vec<Place>)>,
}

impl Watch {
    /// Watches the training of one model under the rule of its white paper.
    pub fn new(model_id: U256, policy: CohortPolicy) -> Self {
        Self { model_id, policy, kept: Appraisals::default(), past: None }
    }

    /// How many pieces of evidence were read and checked so far.
    pub fn appraisals_made(&self) -> u64 {
        self.kept.made()
    }

    /// Judges every donor whose part had not ended, as of a moment.
    pub async fn cohort(
        &mut self,
        until: Moment,
        source: &dyn EvidenceSource,
        ledger: &impl LedgerView,
    ) -> Result<Cohort, LedgerError> {
        let mut cohort = Cohort::default();
        for place in self.places(until, ledger).await? {
            match appraise_place(&place, &self.policy, source, &mut self.kept, until.time) {
                Ok(()) => cohort.believed.push(place),
                Err(why) => {
                    cohort.unbelieved.push(Unbelieved {
                        donor: place.donor,
                        dataset: place.dataset.lineage,
                        why,
                    });
                }
            }
        }
        Ok(cohort)
    }

    /// Donors who left by themselves and were not believed when they donated: one for each owner who is not refused yet.
    /// A place that was left costs its owner gas only, so each is looked at alone, and no more of them than there is to
    /// find.
    pub async fn left_unbelieved(
        &mut self,
        source: &dyn EvidenceSource,
        ledger: &impl LedgerView,
    ) -> Result<Vec<Unbelieved>, LedgerError> {
        let about = Some(B256::from(self.model_id));
        let left = ledger.logged::<Market::DonorUseEnded>(Contract::Market, about).await?;
        let left: BTreeSet<u16> = left.iter().map(|e| e.event.donorIndex).collect();
        if left.is_empty() {
            return Ok(Vec::new());
        }
        let refused = ledger.logged::<Market::DonorRefused>(Contract::Market, about).await?;
        let mut done: BTreeSet<Address> = refused.iter().map(|e| e.event.owner).collect();
        let mut unbelieved = Vec::new();
        for donated in ledger.logged::<Market::Donated>(Contract::Market, about).await? {
            let e = &donated.event;
            if !left.contains(&e.donorIndex) {
                continue;
            }
            let id = e.datasetId;
            let owner = ledger.read(Contract::Datasets, Datasets::datasetCall { id }).await?.owner;
            if done.contains(&owner) {
                continue;
            }
            let then = Moment::at((donated.at.0, donated.at.1 + 1), donated.time);
            let place = place(e, then, ledger).await?;
            if let Err(why) = appraise_place(&place, &self.policy, source, &mut self.kept, then.time) {
                done.insert(owner);
                unbelieved.push(Unbelieved { donor: place.donor, dataset: id, why });
            }
        }
        Ok(unbelieved)
    }

    /// [`places`], asked once for a moment in the past.
    async fn places(&mut self, until: Moment, ledger: &impl LedgerView) -> Result<Vec<Place>, LedgerError> {
        match &self.past {
            Some((moment, places)) if *moment == until => Ok(places.clone()),
            _ => {
                let found = places(self.model_id, until, ledger).await?;
                if until.is_past() {
                    self.past = Some((until, found.clone()));
                }
                Ok(found)
            }
        }
    }

    /// Who may and who must be in the cohort of a round that was opened then. Whoever is believed at the opening, or was at
    /// the beginning of the [`MARGIN`] before it, may. Whoever is believed before and after it and has [shown](Self::known)
    /// nothing that the trainer could not have seen, must.
    async fn bounds(
        &mut self,
        opened: Moment,
        source: &dyn EvidenceSource,
        ledger: &impl LedgerView,
    ) -> Result<(BTreeMap<u16, Place>, BTreeSet<u16>), LedgerError> {
        let early = opened.time.saturating_sub(MARGIN);
        let at = [
            opened,
            Moment { renewed: early, time: early, ..opened },
            Moment { time: opened.time + MARGIN, ..opened },
            Moment { ended: early, time: early, ..opened },
        ];
        let mut looks = Vec::new();
        for moment in at {
            let cohort = self.cohort(moment, source, ledger).await?;
            looks.push(cohort.believed.into_iter().map(|p| (p.donor, p)).collect::<BTreeMap<_, _>>());
        }
        let known = self.known(opened, source, ledger).await?;
        let mut must = BTreeSet::new();
        for (donor, place) in &looks[0] {
            let shown = shown(place.enclave.keys.receipt, opened, ledger).await?;
            let late = shown.iter().any(|s| s.time > early);
            let known = shown.iter().any(|s| s.evidence == place.enclave.evidence_hash && known.holds(s));
            if looks[1..3].iter().all(|l| l.contains_key(donor)) && !late && known {
                must.insert(*donor);
            }
        }
        // Who is believed only later was not there.
        looks.remove(2);
        let mut may = BTreeMap::new();
        for look in looks {
            for (donor, place) in look {
                may.entry(donor).or_insert(place);
            }
        }
        Ok((may, must))
    }

    /// The evidence that is no news in a round that was opened then.
    async fn known(
        &self,
        opened: Moment,
        source: &dyn EvidenceSource,
        ledger: &impl LedgerView,
    ) -> Result<Known, LedgerError> {
        let about = Some(B256::from(self.model_id));
        let started = ledger.logged::<Market::TrainingStarted>(Contract::Market, about).await?;
        let mut named = BTreeSet::new();
        for before in ledger.logged::<Rounds::RoundOpened>(Contract::Rounds, about).await? {
            if opened.saw(&before)
                && let Some(bytes) = source.evidence(before.event.headerHash)
                && let Ok(header) = RoundHeader::decode(&bytes)
            {
                named.extend(header.fields().cohort.iter().map(|d| B256::from(d.evidence)));
            }
        }
        Ok(Known { started: started.first().map(|s| s.at), named })
    }

    /// Who may be in the cohort of a round that was opened then: see [`MARGIN`].
    pub async fn may(
        &mut self,
        opened: Moment,
        source: &dyn EvidenceSource,
        ledger: &impl LedgerView,
    ) -> Result<BTreeSet<u16>, LedgerError> {
        Ok(self.bounds(opened, source, ledger).await?.0.into_keys().collect())
    }

    /// Whether the parties of a header on the ledger are the right ones: its cohort is all donors that were believed when
    /// its round was opened ([`MARGIN`]), with their data; none of these is withdrawn by now and still in the round; its committee is the
    /// one that was fixed, rightly, when the training started.
    pub async fn check_header(
        &mut self,
        header: &RoundHeader,
        source: &dyn EvidenceSource,
        ledger: &impl LedgerView,
    ) -> Result<(), EnclaveError> {
        let f = header.fields();
        let refuse = |what: String| Err(EnclaveError::Header(what));
        let opened = match Moment::of_round(self.model_id, f.round, ledger).await? {
            Some((opened, hash)) if hash.0 == header.hash() => opened,
            _ => return refuse("the ledger has opened no round under it".into()),
        };
        let cohort = self.cohort(opened, source, ledger).await?;
        let exact = cohort.believed.iter().map(|p| p.donor).eq(f.cohort.iter().map(|d| d.index));
        let (may, must) = match exact {
            true => (cohort.believed.iter().map(|p| (p.donor, *p)).collect(), BTreeSet::new()),
            false => self.bounds(opened, source, ledger).await?,
        };
        if let Some(missing) = must.iter().find(|d| header.donor(**d).is_none()) {
            return refuse(format!("its cohort is not the model's donors: it lacks donor {missing}"));
        }
        for named in &f.cohort {
            let Some(place) = may.get(&named.index) else {
                let no = cohort.unbelieved.iter().find(|u| u.donor == named.index);
                return refuse(match no {
                    Some(no) => format!("donor {} of its cohort is not believed: {}", no.donor, no.why),
                    None => format!(
                        "its cohort is not the model's donors: donor {} was not among them when it was opened",
                        named.index
                    ),
                });
            };
            let expected = donor(place);
            let same = Donor { evidence: expected.evidence, ..*named } == expected;
            let shown = shown(place.enclave.keys.receipt, opened, ledger).await?;
            // A header keeps the evidence that was newest when it was made.
            if !same || !shown.iter().any(|s| s.evidence.0 == named.evidence) {
                return refuse(format!(
                    "its cohort is not the model's donors: donor {} has another enclave, dataset, version or evidence on the ledger",
                    place.donor
                ));
            }
        }
        self.check_withdrawals(header, ledger).await?;
        let Some(fixed) = fixed_committee(self.model_id, ledger).await? else {
            return refuse("the ledger has no committee for its model".into());
        };
        if f.colluders != fixed.event.colluders || f.committee != seats(&fixed.event) {
            return refuse("its committee is not the one that was fixed when the training started".into());
        }
        let right = RightCommittee::at(self.model_id, fixed.at, ledger).await?;
        right.check(&f.committee).map_err(EnclaveError::Header)
    }

    /// What is withdrawn since a round was opened leaves it before anybody goes on: the ledger takes it out when asked.
    pub async fn check_withdrawals(
        &self,
        header: &RoundHeader,
        ledger: &impl LedgerView,
    ) -> Result<(), EnclaveError> {
        let left = ended(self.model_id, Moment::now(ledger).await?, ledger).await?;
        for named in header.fields().cohort.iter().filter(|d| !left.contains(&d.index)) {
            let id = B256::from(named.lineage);
            if ledger.read(Contract::Datasets, Datasets::datasetCall { id }).await?.withdrawn {
                return Err(EnclaveError::Header(format!(
                    "the dataset of donor {} is withdrawn: its use has to be ended first, which anybody may do",
                    named.index
                )));
            }
        }
        Ok(())
    }
}

/// What a trainer had in hand before a round: what was there when it looked at everybody to start the training, and what a
/// header has named. Of anything later nobody can tell when it came into public storage.
struct Known {
    started: Option<(u64, u64)>,
    named: BTreeSet<B256>,
}

impl Known {
    fn holds(&self, shown: &Shown) -> bool {
        self.started.is_none_or(|started| shown.at < started) || self.named.contains(&shown.evidence)
    }
}

/// Evidence that an enclave has registered.
struct Shown {
    at: (u64, u64),
    time: u64,
    evidence: B256,
    expires_at: u64,
}

async fn shown(signer: Address, until: Moment, ledger: &impl LedgerView) -> Result<Vec<Shown>, LedgerError> {
    let about = Some(signer.into_word());
    let first = ledger.logged::<Enclaves::EnclaveRegistered>(Contract::Enclaves, about).await?;
    let later = ledger.logged::<Enclaves::EnclaveRefreshed>(Contract::Enclaves, about).await?;
    let first = first.iter().filter(|e| until.saw(e));
    let first = first.map(|e| (e.at, e.time, e.event.evidenceHash, e.event.expiresAt));
    let later = later.iter().filter(|e| until.saw_renewed(e));
    let later = later.map(|e| (e.at, e.time, e.event.evidenceHash, e.event.expiresAt));
    let all = first.chain(later);
    Ok(all.map(|(at, time, evidence, expires_at)| Shown { at, time, evidence, expires_at }).collect())
}
