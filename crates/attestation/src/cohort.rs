//! Appraises everybody who takes part in a training, by one rule for all who ask.
//!
//! A sum is worth no more than the worst of its parts: one donor without an enclave sends numbers of its own choice and
//! reads the others in what comes out. So each enclave before it contributes, each member before it opens, the trainer
//! before it starts and a stranger afterwards look at *all* places of the cohort, each by itself, with
//! [`appraise_place`].
//! What is looked at comes from the ledger ([`Place`]) and from public storage ([`EvidenceSource`]); evidence that is not
//! there is no evidence.

use std::collections::BTreeMap;

use histone_protocol::evidence::EnclaveKeys;
use histone_protocol::{Address, B256};

use crate::{AppraisalError, AppraisalPolicy, Attested, CLOCK_SKEW, Expected, appraise};

/// Public storage, as far as evidence goes.
pub trait EvidenceSource {
    /// The evidence of this hash; `None` when it cannot be had.
    fn evidence(&self, hash: B256) -> Option<Vec<u8>>;
}

impl<F: Fn(B256) -> Option<Vec<u8>>> EvidenceSource for F {
    fn evidence(&self, hash: B256) -> Option<Vec<u8>> {
        self(hash)
    }
}

/// An enclave as the ledger knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnclaveFacts {
    /// Its registered keys.
    pub keys: EnclaveKeys,
    /// Who runs it.
    pub operator: Address,
    /// The program that it says it runs.
    pub measurement: B256,
    /// Code of its platform.
    pub platform: u8,
    /// Hash of its evidence.
    pub evidence_hash: B256,
    /// Whether the ledger lets it work: registered, neither revoked nor expired, with a program of its kind that the members
    /// allow. An enclave whose work is done was let work then.
    pub live: bool,
}

/// A donated dataset as the ledger knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatasetFacts {
    /// Its id through all versions.
    pub lineage: B256,
    /// The version that was donated.
    pub root: B256,
    /// Whether it is withdrawn or erased.
    pub withdrawn: bool,
    /// The enclave that validated this version; `None` when no receipt for it is on the ledger.
    pub validated_by: Option<EnclaveFacts>,
    /// When, in Unix seconds.
    pub validated_at: u64,
}

/// One place in the cohort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of the donor.
    pub donor: u16,
    /// Its training enclave.
    pub enclave: EnclaveFacts,
    /// Its data.
    pub dataset: DatasetFacts,
}

/// By which rule a cohort is believed: the white paper's, the same for everybody.
#[derive(Debug, Clone)]
pub struct CohortPolicy {
    /// Platforms, vendors, age.
    pub appraisal: AppraisalPolicy,
    /// Measurements that the paper allows.
    pub programs: Vec<B256>,
    /// The configuration with which each training enclave was started.
    pub training: B256,
    /// The configuration with which each validation enclave was started.
    pub validation: B256,
}

/// What is wrong about a place.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The dataset was withdrawn or erased.
    #[error("its dataset is withdrawn")]
    Withdrawn,
    /// Nothing on the ledger says who validated this version.
    #[error("no validation of its dataset in this version is on the ledger")]
    NotValidated,
    /// The ledger does not let the enclave work.
    #[error("its {0} enclave is revoked, expired, or runs a program that is not allowed")]
    NotLive(&'static str),
    /// The white paper does not name the program.
    #[error("its {role} enclave runs measurement {measurement}, which the white paper does not name")]
    Program {
        /// `training` or `validation`.
        role: &'static str,
        /// What runs.
        measurement: B256,
    },
    /// There is no evidence to look at.
    #[error("the evidence {hash} of its {role} enclave is not in public storage")]
    NoEvidence {
        /// `training` or `validation`.
        role: &'static str,
        /// Its hash.
        hash: B256,
    },
    /// The evidence is refused.
    #[error("the evidence of its {role} enclave is refused: {error}")]
    Evidence {
        /// `training` or `validation`.
        role: &'static str,
        /// Why.
        #[source]
        error: AppraisalError,
    },
}

/// Appraisals that were made, kept until their evidence is too old. What can change from one round to the next, such as a
/// withdrawal or a revocation, is looked at each time.
#[derive(Debug, Default)]
pub struct Appraisals {
    kept: BTreeMap<B256, (Expected, Attested)>,
    made: u64,
}

impl Appraisals {
    /// How many pieces of evidence were really read and checked.
    pub fn made(&self) -> u64 {
        self.made
    }

    fn check(
        &mut self,
        role: &'static str,
        enclave: &EnclaveFacts,
        init_data: B256,
        policy: &CohortPolicy,
        source: &dyn EvidenceSource,
        at: u64,
    ) -> Result<(), PlaceError> {
        if !enclave.live {
            return Err(PlaceError::NotLive(role));
        }
        if !policy.programs.contains(&enclave.measurement) {
            return Err(PlaceError::Program { role, measurement: enclave.measurement });
        }
        let expected = Expected {
            operator: enclave.operator,
            keys: enclave.keys,
            platform: enclave.platform,
            evidence_hash: enclave.evidence_hash,
            measurement: enclave.measurement,
            init_data,
        };
        let hash = enclave.evidence_hash;
        if let Some((of, attested)) = self.kept.get(&hash)
            && *of == expected
            && at <= attested.valid_until()
            // As for evidence that is read anew: whoever has kept it judges as whoever has not.
            && at.saturating_add(CLOCK_SKEW) >= attested.valid_until() - policy.appraisal.max_age()
        {
            return Ok(());
        }
        let evidence = source.evidence(hash).ok_or(PlaceError::NoEvidence { role, hash })?;
        self.made += 1;
        let attested = appraise(&evidence, &expected, &policy.appraisal, at)
            .map_err(|error| PlaceError::Evidence { role, error })?;
        self.kept.insert(hash, (expected, attested));
        Ok(())
    }
}

/// Appraises one place of a cohort at the time `now` (Unix seconds). `kept` belongs to one policy: that of one model.
///
/// A validation enclave is appraised as of the moment at which it validated: its work is done and its evidence may be old.
pub fn appraise_place(
    place: &Place,
    policy: &CohortPolicy,
    source: &dyn EvidenceSource,
    kept: &mut Appraisals,
    now: u64,
) -> Result<(), PlaceError> {
    let dataset = &place.dataset;
    if dataset.withdrawn {
        return Err(PlaceError::Withdrawn);
    }
    let validated_by = dataset.validated_by.as_ref().ok_or(PlaceError::NotValidated)?;
    kept.check("training", &place.enclave, policy.training, policy, source, now)?;
    kept.check("validation", validated_by, policy.validation, policy, source, dataset.validated_at)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chacha20::ChaCha20Rng;
    use chacha20::rand_core::SeedableRng;
    use histone_protocol::hash::blob_hash;
    use histone_protocol::keys::SigningKey;
    use histone_protocol::seal::SealKey;

    use super::*;
    use crate::simulated::{SimulatedDevice, SimulatedVendor};

    const NOW: u64 = 1_800_000_000;
    const TRAINING: B256 = B256::repeat_byte(1);
    const VALIDATION: B256 = B256::repeat_byte(2);
    const TRAINING_INIT: B256 = B256::repeat_byte(3);
    const VALIDATION_INIT: B256 = B256::repeat_byte(4);

    struct Storage(BTreeMap<B256, Vec<u8>>);

    impl EvidenceSource for Storage {
        fn evidence(&self, hash: B256) -> Option<Vec<u8>> {
            self.0.get(&hash).cloned()
        }
    }

    struct World {
        rng: ChaCha20Rng,
        device: SimulatedDevice,
        storage: Storage,
        policy: CohortPolicy,
        places: Vec<Place>,
    }

    impl World {
        fn enclave(&mut self, operator: u8, measurement: B256, init_data: B256, at: u64) -> EnclaveFacts {
            let keys = EnclaveKeys {
                receipt: SigningKey::generate(&mut self.rng).address(),
                seal: SealKey::generate(&mut self.rng).public(),
            };
            let operator = Address::repeat_byte(operator);
            let evidence =
                self.device.evidence(keys, operator, measurement, init_data, at).unwrap().to_bytes();
            let evidence_hash = blob_hash(&evidence);
            self.storage.0.insert(evidence_hash, evidence);
            EnclaveFacts { keys, operator, measurement, platform: 0, evidence_hash, live: true }
        }

        fn new() -> World {
            let mut rng = ChaCha20Rng::from_seed([1; 32]);
            let vendor = SimulatedVendor::generate(&mut rng);
            let device = vendor.make_device(&mut rng).unwrap();
            let policy = CohortPolicy {
                appraisal: AppraisalPolicy::simulated(vec![vendor.address()], 1_000),
                programs: vec![TRAINING, VALIDATION],
                training: TRAINING_INIT,
                validation: VALIDATION_INIT,
            };
            let mut world =
                World { rng, device, storage: Storage(BTreeMap::new()), policy, places: Vec::new() };
            // Validated long ago, when the evidence was fresh.
            let validator = world.enclave(9, VALIDATION, VALIDATION_INIT, NOW - 50_000);
            for donor in 1..=3 {
                let enclave = world.enclave(donor as u8, TRAINING, TRAINING_INIT, NOW);
                world.places.push(Place {
                    donor,
                    enclave,
                    dataset: DatasetFacts {
                        lineage: B256::repeat_byte(donor as u8),
                        root: B256::repeat_byte(donor as u8),
                        withdrawn: false,
                        validated_by: Some(validator),
                        validated_at: NOW - 49_500,
                    },
                });
            }
            world
        }

        fn look(&self, places: &[Place], kept: &mut Appraisals, now: u64) -> Result<(), String> {
            places.iter().try_for_each(|place| {
                appraise_place(place, &self.policy, &self.storage, kept, now)
                    .map_err(|why| format!("donor {} is not believed: {why}", place.donor))
            })
        }

        fn refused(&self, places: &[Place], now: u64) -> String {
            self.look(places, &mut Appraisals::default(), now).err().unwrap_or_else(|| "believed".into())
        }
    }

    #[test]
    fn appraisals_are_kept_until_age_or_status_changes() {
        let world = World::new();
        let mut kept = Appraisals::default();
        let mut look = |places: &[Place], now| (world.look(places, &mut kept, now).is_ok(), kept.made());
        // Three training enclaves and the one validator.
        assert_eq!(look(&world.places, NOW), (true, 4));
        assert_eq!(look(&world.places, NOW + 900), (true, 4));
        let mut withdrawn = world.places.clone();
        withdrawn[1].dataset.withdrawn = true;
        assert_eq!(look(&withdrawn, NOW + 900), (false, 4));
        let mut revoked = world.places.clone();
        revoked[2].enclave.live = false;
        assert_eq!(look(&revoked, NOW + 900), (false, 4));
        assert_eq!(look(&world.places, NOW + 1_001), (false, 5));
    }

    #[test]
    fn a_donor_joins_with_a_plain_key_and_borrowed_or_invented_evidence() {
        let world = World::new();
        let with = |change: &dyn Fn(&mut Place)| {
            let mut places = world.places.clone();
            change(&mut places[1]);
            world.refused(&places, NOW)
        };
        let starts = |found: String, expected: &str| assert!(found.starts_with(expected), "{found}");
        let invented = B256::repeat_byte(5);
        starts(
            with(&|p| p.enclave.evidence_hash = invented),
            &format!("donor 2 is not believed: the evidence {invented} of its training enclave is not in"),
        );
        let lent = world.places[0].enclave;
        starts(
            with(&|p| p.enclave.evidence_hash = lent.evidence_hash),
            "donor 2 is not believed: the evidence of its training enclave is refused: the quote does not bind",
        );
        // Its own real enclave's evidence for a second, plain key.
        let plain = Address::repeat_byte(7);
        starts(
            with(&|p| p.enclave.keys.receipt = plain),
            "donor 2 is not believed: the evidence of its training enclave is refused: the evidence is of",
        );
        starts(with(&|p| p.enclave.platform = 1), "donor 2 is not believed: the evidence of its training");
        starts(
            with(&|p| p.enclave.measurement = B256::repeat_byte(8)),
            "donor 2 is not believed: its training enclave runs measurement",
        );
        starts(
            with(&|p| p.enclave.measurement = VALIDATION),
            "donor 2 is not believed: the evidence of its training enclave is refused: the enclave runs",
        );
        starts(with(&|p| p.enclave.live = false), "donor 2 is not believed: its training enclave is revoked");
    }

    #[test]
    fn data_that_nobody_validated_or_that_is_withdrawn() {
        let mut world = World::new();
        let other = world.enclave(9, VALIDATION, TRAINING_INIT, NOW - 50_000);
        let with = |change: &dyn Fn(&mut DatasetFacts)| {
            let mut places = world.places.clone();
            change(&mut places[2].dataset);
            world.refused(&places, NOW)
        };
        let starts = |found: String, expected: &str| assert!(found.starts_with(expected), "{found}");
        starts(with(&|d| d.withdrawn = true), "donor 3 is not believed: its dataset is withdrawn");
        starts(with(&|d| d.validated_by = None), "donor 3 is not believed: no validation");
        starts(
            with(&|d| d.validated_by = Some(other)),
            "donor 3 is not believed: the evidence of its validation enclave is refused: the enclave was started",
        );
        starts(
            with(&|d| d.validated_at = NOW),
            "donor 3 is not believed: the evidence of its validation enclave is refused: the evidence is 50000 s",
        );
        starts(
            with(&|d| d.validated_by.as_mut().unwrap().live = false),
            "donor 3 is not believed: its validation enclave is revoked",
        );
    }
}
