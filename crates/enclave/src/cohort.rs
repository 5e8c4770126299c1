//! What the ledger says about those who take part in a training: the donors with their enclaves and data, and the
//! committee. Only facts are gathered here; [`histone_attestation::cohort`] judges the donors.

use std::collections::{BTreeMap, BTreeSet};

use histone_attestation::cohort::{
    Appraisals, CohortPolicy, DatasetFacts, EnclaveFacts, EvidenceSource, Place, PlaceError, appraise_place,
};
use histone_federation::header::{Donor, RoundHeader, Seat};
use histone_ledger::contracts::{Contract, Datasets, Enclaves, Market, Members, Rounds, roles};
use histone_ledger::{Ledger, LedgerError, Logged};
use histone_protocol::evidence::EnclaveKeys;
use histone_protocol::program::ProgramKind;
use histone_protocol::seal::{SealProof, SealPublicKey};
use histone_protocol::{Address, B256, U256};

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

/// The donors whose part in a model has ended: withdrawn, or excluded by the committee.
pub async fn ended(model_id: U256, ledger: &Ledger) -> Result<BTreeSet<u16>, LedgerError> {
    let about = Some(B256::from(model_id));
    let ended = ledger.logged::<Market::DonorUseEnded>(Contract::Market, about).await?;
    let excluded = ledger.logged::<Market::DonorExcluded>(Contract::Market, about).await?;
    let ended = ended.iter().map(|e| e.event.donorIndex);
    Ok(ended.chain(excluded.iter().map(|e| e.event.donorIndex)).collect())
}

/// The donors of a model whose part has not ended, ascending, as the ledger knows them now.
pub async fn places(model_id: U256, ledger: &Ledger) -> Result<Vec<Place>, LedgerError> {
    let left = ended(model_id, ledger).await?;
    let about = Some(B256::from(model_id));
    let mut places = Vec::new();
    for Logged { event, .. } in ledger.logged::<Market::Donated>(Contract::Market, about).await? {
        if left.contains(&event.donorIndex) {
            continue;
        }
        places.push(Place {
            donor: event.donorIndex,
            enclave: enclave(event.enclave, ProgramKind::Training, ledger).await?,
            dataset: dataset(event.datasetId, event.root, ledger).await?,
        });
    }
    places.sort_unstable_by_key(|p| p.donor);
    Ok(places)
}

/// An enclave as it is registered now.
pub async fn enclave(
    signer: Address,
    kind: ProgramKind,
    ledger: &Ledger,
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

async fn dataset(id: B256, root: B256, ledger: &Ledger) -> Result<DatasetFacts, LedgerError> {
    let registered = ledger.read(Contract::Datasets, Datasets::datasetCall { id }).await?;
    let first = ledger.logged::<Datasets::DatasetRegistered>(Contract::Datasets, Some(id)).await?;
    let later = ledger.logged::<Datasets::DatasetUpdated>(Contract::Datasets, Some(id)).await?;
    let first = first.iter().map(|e| (e.event.root, e.event.enclave, e.time, e.at));
    let later = later.iter().map(|e| (e.event.root, e.event.enclave, e.time, e.at));
    // Each root is accepted once.
    let validated = first.chain(later).find(|(of, ..)| *of == root);
    let (validated_by, validated_at) = match validated {
        Some((_, signer, time, at)) => (Some(validator(signer, at, ledger).await?), time),
        None => (None, 0),
    };
    Ok(DatasetFacts { lineage: id, root, withdrawn: registered.withdrawn, validated_by, validated_at })
}

/// A validation enclave as it was when it validated; revoked is revoked, whenever it happened.
async fn validator(signer: Address, at: (u64, u64), ledger: &Ledger) -> Result<EnclaveFacts, LedgerError> {
    let registered = ledger.read(Contract::Enclaves, Enclaves::enclaveCall { signer }).await?;
    let shown = shown(signer, ledger).await?;
    let shown = shown.into_iter().filter(|(shown, _)| *shown < at);
    let evidence = shown.max().map_or(B256::ZERO, |(_, hash)| hash);
    Ok(facts(signer, &registered, evidence, !registered.revoked))
}

/// A donor that is not believed, and why: nobody takes it into a round.
#[derive(Debug)]
pub struct Unbelieved {
    /// Its number.
    pub donor: u16,
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
}

impl Watch {
    /// Watches the training of one model under the rule of its white paper.
    pub fn new(model_id: U256, policy: CohortPolicy) -> Self {
        Self { model_id, policy, kept: Appraisals::default() }
    }

    /// How many pieces of evidence were read and checked so far.
    pub fn appraisals_made(&self) -> u64 {
        self.kept.made()
    }

    /// Judges every donor whose part has not ended, as of now.
    pub async fn cohort(
        &mut self,
        source: &dyn EvidenceSource,
        ledger: &Ledger,
    ) -> Result<Cohort, LedgerError> {
        let now = ledger.time().await?;
        let mut cohort = Cohort::default();
        for place in places(self.model_id, ledger).await? {
            match appraise_place(&place, &self.policy, source, &mut self.kept, now) {
                Ok(()) => cohort.believed.push(place),
                Err(why) => cohort.unbelieved.push(Unbelieved { donor: place.donor, why }),
            }
        }
        Ok(cohort)
    }

    /// Whether the parties of a header are the right ones: its cohort is all donors that are believed now, with their
    /// data, and others only if their part has ended since; its committee is the one that was fixed, rightly, when the
    /// training started.
    pub async fn check_header(
        &mut self,
        header: &RoundHeader,
        source: &dyn EvidenceSource,
        ledger: &Ledger,
    ) -> Result<(), EnclaveError> {
        let f = header.fields();
        let refuse = |what: String| Err(EnclaveError::Header(what));
        let cohort = self.cohort(source, ledger).await?;
        for named in &f.cohort {
            if let Some(no) = cohort.unbelieved.iter().find(|u| u.donor == named.index) {
                return refuse(format!("donor {} of its cohort is not believed: {}", no.donor, no.why));
            }
        }
        for place in &cohort.believed {
            let expected = donor(place);
            let Some(named) = header.donor(place.donor) else {
                return refuse(format!(
                    "its cohort is not the model's donors: it lacks donor {}",
                    place.donor
                ));
            };
            let same = Donor { evidence: expected.evidence, ..*named } == expected;
            if !same || !showed(place.enclave.keys.receipt, B256::from(named.evidence), ledger).await? {
                return refuse(format!(
                    "its cohort is not the model's donors: donor {} has another enclave, dataset, version or evidence on the ledger",
                    place.donor
                ));
            }
        }
        let ended = ended(self.model_id, ledger).await?;
        let known =
            |d: &&Donor| cohort.believed.iter().any(|p| p.donor == d.index) || ended.contains(&d.index);
        if let Some(stranger) = f.cohort.iter().find(|d| !known(d)) {
            return refuse(format!(
                "its cohort is not the model's donors: the ledger has no donor {}",
                stranger.index
            ));
        }
        let Some(fixed) = fixed_committee(self.model_id, ledger).await? else {
            return refuse("the ledger has no committee for its model".into());
        };
        if f.colluders != fixed.event.colluders || f.committee != seats(&fixed.event) {
            return refuse("its committee is not the one that was fixed when the training started".into());
        }
        let right = RightCommittee::at(self.model_id, fixed.at, ledger).await?;
        right.check(&f.committee).map_err(EnclaveError::Header)
    }
}

/// Whether an enclave has ever registered this evidence. A header keeps the one that was newest when it was made.
async fn showed(signer: Address, evidence: B256, ledger: &Ledger) -> Result<bool, LedgerError> {
    Ok(shown(signer, ledger).await?.iter().any(|(_, hash)| *hash == evidence))
}

/// The evidence that an enclave has registered, each with its place on the chain.
async fn shown(signer: Address, ledger: &Ledger) -> Result<Vec<((u64, u64), B256)>, LedgerError> {
    let about = Some(signer.into_word());
    let first = ledger.logged::<Enclaves::EnclaveRegistered>(Contract::Enclaves, about).await?;
    let later = ledger.logged::<Enclaves::EnclaveRefreshed>(Contract::Enclaves, about).await?;
    let first = first.iter().map(|e| (e.at, e.event.evidenceHash));
    Ok(first.chain(later.iter().map(|e| (e.at, e.event.evidenceHash))).collect())
}

/// The committee of a model as it was fixed; `None` before the training starts.
pub async fn fixed_committee(
    model_id: U256,
    ledger: &Ledger,
) -> Result<Option<Logged<Rounds::CommitteeFixed>>, LedgerError> {
    let fixed = ledger.logged::<Rounds::CommitteeFixed>(Contract::Rounds, Some(B256::from(model_id))).await?;
    Ok(fixed.into_iter().next())
}

/// The seats in a header's form.
pub fn seats(fixed: &Rounds::CommitteeFixed) -> Vec<Seat> {
    let pairs = fixed.seats.iter().zip(&fixed.sealKeys);
    pairs.map(|(account, key)| Seat { address: account.into_array(), seal_key: key.0 }).collect()
}

/// Who may and who must sit in the committee of a model. Whoever chose the committee could open single updates, so nobody
/// does: it is all committee members of the ledger whose possession of their key was proven when the model was proposed.
/// One that proves a key only afterwards may be among them, and a proof that does not hold is none.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RightCommittee {
    may: BTreeMap<Address, B256>,
    must: BTreeSet<Address>,
}

/// What happened to one account, for the order of things.
enum Turn {
    Role(Address, bool),
    Key(Address, B256),
}

impl RightCommittee {
    /// As of a place on the chain: when the training of a model started, or now ([`u64::MAX`]).
    pub async fn at(model_id: U256, at: (u64, u64), ledger: &Ledger) -> Result<Self, LedgerError> {
        let proposed = ledger
            .logged::<Market::ModelProposed>(Contract::Market, Some(B256::from(model_id)))
            .await?
            .first()
            .map_or((0, 0), |e| e.at);
        let deployment = ledger.deployment();
        let members = Contract::Members;
        let mut turns = Vec::new();
        for e in ledger.logged::<Members::MemberAdded>(members, None).await? {
            let account = e.event.account;
            turns.push((e.at, Turn::Role(account, e.event.roles & roles::COMMITTEE != 0)));
            turns.push((e.at, Turn::Key(account, e.event.sealKey)));
        }
        for e in ledger.logged::<Members::RolesChanged>(members, None).await? {
            turns.push((e.at, Turn::Role(e.event.account, e.event.roles & roles::COMMITTEE != 0)));
        }
        for e in ledger.logged::<Members::MemberRemoved>(members, None).await? {
            turns.push((e.at, Turn::Role(e.event.account, false)));
        }
        for e in ledger.logged::<Members::MemberUpdated>(members, None).await? {
            turns.push((e.at, Turn::Key(e.event.account, e.event.sealKey)));
        }
        let mut proven = Vec::new();
        for e in ledger.logged::<Members::SealKeyProven>(members, None).await? {
            let Members::SealKeyProven { account, sealKey, r, s } = e.event;
            turns.push((e.at, Turn::Key(account, sealKey)));
            let proof = SealProof { r, s };
            if SealPublicKey(sealKey).verify(&proof, account, deployment.id()) {
                proven.push((e.at, account, sealKey));
            }
        }
        turns.sort_by_key(|(at, _)| *at);
        let (mut seated, mut keys) = (BTreeSet::new(), BTreeMap::new());
        for (_, turn) in turns.into_iter().filter(|(when, _)| *when < at) {
            match turn {
                Turn::Role(account, true) => {
                    seated.insert(account);
                }
                Turn::Role(account, false) => {
                    seated.remove(&account);
                }
                Turn::Key(account, key) => {
                    keys.insert(account, key);
                }
            }
        }
        let mut right = Self::default();
        for account in seated {
            let Some(&key) = keys.get(&account) else { continue };
            let first =
                proven.iter().filter(|(_, a, k)| *a == account && *k == key).map(|(at, ..)| *at).min();
            match first {
                Some(first) if first < at => {
                    right.may.insert(account, key);
                    if first < proposed {
                        right.must.insert(account);
                    }
                }
                _ => {}
            }
        }
        Ok(right)
    }

    /// Everybody who may sit, ascending: whom a trainer names when it starts.
    pub fn everybody(&self) -> Vec<(Address, B256)> {
        self.may.iter().map(|(account, key)| (*account, *key)).collect()
    }

    /// Whether these seats are right.
    pub fn check(&self, seats: &[Seat]) -> Result<(), String> {
        for seat in seats {
            let account = Address::from(seat.address);
            if self.may.get(&account) != Some(&B256::from(seat.seal_key)) {
                return Err(format!(
                    "its committee has {account}, who was no committee member of the ledger with a proven key when the training started"
                ));
            }
        }
        match self.must.iter().find(|account| seats.iter().all(|s| s.address != account.into_array())) {
            Some(account) => Err(format!("its committee lacks {account}, whose key was proven in time")),
            None => Ok(()),
        }
    }
}
