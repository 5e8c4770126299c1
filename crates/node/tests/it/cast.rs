//! A small real world for attacks: a chain, contracts, audited programs, three owners with tables of 24 rows, a
//! committee of three, one trainer, one runner, one user.

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use histone_attestation::AppraisalPolicy;
use histone_attestation::simulated::{SimulatedDevice, SimulatedVendor};
use histone_chain::{Chain, ManualClock, Sequencer};
use histone_enclave::instance::{Instance, SealedDataset};
use histone_enclave::training::{Donation, RoundTranscript, TrainingEnclave, init_data};
use histone_enclave::validation::ValidationEnclave;
use histone_federation::header::{RoundFields, RoundHeader};
use histone_federation::plan::{Finished, Plan, Step, Training};
use histone_genome::table::Table;
use histone_ledger::contracts::{Contract, Market, Members, Programs, Rounds, TestToken, roles};
use histone_ledger::{Connection, Ledger, Settings};
use histone_network::BlobStore;
use histone_node::auditor::audit;
use histone_node::committee::CommitteeMember;
use histone_node::owner::{Machine, Owner};
use histone_node::party::{Entropy, Party};
use histone_node::programs::{BUNDLED, Loaded};
use histone_node::runner::Runner;
use histone_node::trainer::{Cohort, Offer, Trainer};
use histone_node::user::User;
use histone_node::world::{EVIDENCE_MAX_AGE, World};
use histone_program_sdk::job::Missing;
use histone_protocol::commitment::SaltKey;
use histone_protocol::consent::{ConsentPolicy, Split, WhitePaper};
use histone_protocol::dataset::{DataKey, KeyBundle, release_aad};
use histone_protocol::hash::blob_hash;
use histone_protocol::record::LedgerId;
use histone_protocol::{Address, B256, U256};

use crate::backend::Backend;

/// Seconds that a round stays open and in which a query must be answered.
pub const DEADLINE: u64 = 600;
/// Price of a query and instant payment, in millionths of a token.
pub const PRICE: u64 = 1_000_000;

/// Everybody, on a chain of their own.
pub struct Cast {
    pub dir: tempfile::TempDir,
    pub world: World,
    backend: Backend,
    pub loaded: Loaded,
    pub operator: Party,
    pub owners: Vec<Owner>,
    pub devices: Vec<SimulatedDevice>,
    pub validation: ValidationEnclave,
    pub committee: Vec<CommitteeMember>,
    pub trainer: Trainer,
    pub runner: Runner,
    pub user: User,
}

/// A model in training, as its trainer sees it.
pub struct Model {
    pub id: u64,
    pub training: Training,
    pub cohort: Cohort,
    /// The next round.
    pub round: u32,
}

/// Compiled once for all tests.
fn loaded() -> Loaded {
    static LOADED: OnceLock<Loaded> = OnceLock::new();
    LOADED.get_or_init(|| Loaded::bundled().unwrap()).clone()
}

/// Three rounds: describe, one Newton step, evaluate.
pub fn plan(min_survivors: u16) -> Plan {
    Plan {
        columns: 2,
        missing: Missing::Mean,
        zero_is_missing: vec![],
        holdout_every: 0,
        ridge: 1.0,
        max_newton_rounds: 1,
        tolerance: 1e-6,
        bins: 10,
        min_survivors,
    }
}

/// 24 rows that differ from site to site, both classes present.
pub fn table(site: u32) -> Table {
    let values = (0..48).map(|i| f64::from((i * 7 + site * 5) % 23)).collect();
    Table::new(vec!["a".into(), "b".into()], values, (0..24).map(|i| i % 3 == 0).collect()).unwrap()
}

fn sequencer(operator: &Party) -> Sequencer {
    Sequencer::from_bytes(&operator.key.to_bytes()).unwrap()
}

impl Cast {
    /// Everybody is a member, every program is audited, every dataset is registered. Casts differ by chain only: all
    /// have the same keys and addresses, as an attacker with a chain of his own would arrange it. On a node all casts are on
    /// its one chain, with the same keys and other addresses.
    pub async fn new(chain_id: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let private = dir.path().join("private");
        let party = |name: &str| Party::create(name, &private, Entropy::Seed(7)).unwrap();
        let mut operator = party("operator");
        let backend = Backend::new(&dir.path().join("ledger"), chain_id, &operator.key);
        backend.fund([operator.account()]).await;
        let ledger =
            Ledger::deploy(backend.connection.clone(), &operator.key, &Settings::default()).await.unwrap();
        let vendor = SimulatedVendor::generate(&mut operator.rng);
        let appraisal = AppraisalPolicy::simulated(vec![vendor.address()], EVIDENCE_MAX_AGE);
        let world = World { ledger, blobs: BlobStore::open(dir.path().join("blobs")).unwrap(), appraisal };
        let mut device = || vendor.make_device(&mut operator.rng).unwrap();
        let devices = (0..3).map(|_| device()).collect();
        let mut runner = Runner::new(party("runner"), device());
        let policy = ConsentPolicy {
            ledger: LedgerId::default(),
            owner: Address::ZERO,
            country: "DE".into(),
            terms: vec!["DUO:0000042".into()],
            allow: vec![],
            deny: vec![],
        };
        let owner =
            |i: u32| Owner::prepare(party(&format!("owner {i}")), table(i), "y", policy.clone()).unwrap();
        let mut owners: Vec<Owner> = (1..=3).map(owner).collect();
        let committee: Vec<_> =
            (1..=3).map(|i| CommitteeMember { party: party(&format!("member {i}")) }).collect();
        let (trainer, auditor) = (Trainer { party: party("trainer") }, party("auditor"));
        let user = User { party: party("user") };
        let mut members = vec![
            (&trainer.party, roles::TRAINER),
            (&auditor, roles::AUDITOR),
            (&runner.party, roles::RUNNER),
        ];
        members.extend(owners.iter().map(|o| (&o.party, roles::OWNER)));
        members.extend(committee.iter().map(|c| (&c.party, roles::COMMITTEE)));
        backend.fund(members.iter().map(|(party, _)| party.account()).chain([user.party.account()])).await;
        for (party, roles) in members {
            let (account, seal_key) = (party.account(), party.seal.public().0);
            let call = Members::addCall { account, roles, profile: B256::repeat_byte(1), sealKey: seal_key };
            world.ledger.send(&operator.key, Contract::Members, call).await.unwrap();
        }
        for to in [trainer.party.account(), user.party.account()] {
            let call = TestToken::mintCall { to, amount: U256::from(100 * PRICE) };
            world.ledger.send(&operator.key, Contract::Token, call).await.unwrap();
        }
        let loaded = loaded();
        for (program, loaded) in BUNDLED.iter().zip([&loaded.validation, &loaded.training, &loaded.query]) {
            let measurement = B256::from(loaded.program().measurement());
            let submission = trainer.publish(program, measurement, &world).await.unwrap();
            audit(&auditor, &submission, &world).await.unwrap();
            let allow = Programs::allowCall { measurement };
            world.ledger.send(&operator.key, Contract::Programs, allow).await.unwrap();
        }
        let validation = runner.start_validation(loaded.validation.clone(), &world).await.unwrap();
        for owner in &mut owners {
            owner.register(&validation, &world).await.unwrap();
        }
        Self {
            dir,
            world,
            backend,
            loaded,
            operator,
            owners,
            devices,
            validation,
            committee,
            trainer,
            runner,
            user,
        }
    }

    pub fn paper(&self) -> WhitePaper {
        let programs = [&self.loaded.validation, &self.loaded.training, &self.loaded.query];
        WhitePaper {
            ledger: self.world.ledger.deployment().id(),
            name: "risk".into(),
            predicts: "risk".into(),
            trainer: self.trainer.party.account(),
            trainer_name: "trainer".into(),
            purpose: "DUO:0000037".into(),
            disease: None,
            commercial: false,
            country: "DE".into(),
            features: vec!["a".into(), "b".into()],
            label: "y".into(),
            min_rows: 20,
            instant_payment: PRICE,
            query_price: PRICE,
            split: Split { donors: 7_000, trainer: 2_000, runner: 1_000 },
            programs: programs.iter().map(|p| B256::from(p.program().measurement())).collect(),
        }
    }

    /// Proposes a model. Gives its paper and number.
    pub async fn propose(&self) -> (B256, u64) {
        let offer = Offer { min_donors: 1, max_donors: 3, query_timeout: DEADLINE as u32 };
        self.trainer.propose(&self.paper(), offer, &self.world).await.unwrap()
    }

    /// The decision and donation of one owner.
    pub async fn donate(
        &mut self,
        owner: usize,
        paper: B256,
        model: u64,
        plan: &Plan,
    ) -> Result<u16, histone_node::error::NodeError> {
        let permit = self.owners[owner].consider(paper, model, &self.world).await?.permit.unwrap();
        let machine = Machine { program: self.loaded.training.clone(), device: &self.devices[owner] };
        self.owners[owner].donate(permit, model, plan, PRICE, machine, &self.world).await
    }

    /// A proposed model to which all owners have donated, in training.
    pub async fn recruit(&mut self, plan: Plan) -> Model {
        let (paper, id) = self.propose().await;
        for owner in 0..3 {
            self.donate(owner, paper, id, &plan).await.unwrap();
        }
        self.begin(id, plan).await
    }

    /// Begins the training of a model with whoever donated.
    pub async fn begin(&self, id: u64, plan: Plan) -> Model {
        self.trainer.start(id, &self.world).await.unwrap();
        let donated = self.world.ledger.events::<Market::Donated>(Contract::Market).await.unwrap();
        let donated = donated.iter().filter(|e| e.modelId == U256::from(id));
        let cohort = Cohort {
            model_id: id,
            donors: donated.map(|e| (e.donorIndex, e.enclave)).collect(),
            committee: self.committee.iter().map(|c| (c.party.account(), c.party.seal.public().0)).collect(),
            threshold: 2,
            min_survivors: plan.min_survivors,
            round_seconds: DEADLINE,
        };
        let training = Training::start(plan).unwrap();
        Model { id, training, cohort, round: 1 }
    }

    /// The honest header of a model's next round, changed by `change`.
    pub fn header(&self, model: &Model, change: impl FnOnce(&mut RoundFields)) -> RoundHeader {
        use histone_federation::header::{Donor, Seat};
        let deployment = self.world.ledger.deployment();
        let donor = |(&index, enclave): (&u16, &Address)| Donor { index, enclave: enclave.into_array() };
        let seat = |(address, key): &(Address, B256)| Seat { address: address.into_array(), seal_key: key.0 };
        let mut fields = RoundFields {
            chain_id: deployment.chain_id,
            market: deployment.market.into_array(),
            model_id: U256::from(model.id).to_be_bytes(),
            round: model.round,
            spec: model.training.spec(),
            previous: model.training.state_hash(),
            cohort: model.cohort.donors.iter().map(donor).collect(),
            committee: model.cohort.committee.iter().map(seat).collect(),
            threshold: model.cohort.threshold,
            min_survivors: model.cohort.min_survivors,
            fractional_bits: 60,
        };
        change(&mut fields);
        RoundHeader::new(fields).unwrap()
    }

    /// Names a header for the next round on the ledger, whatever it says.
    pub async fn announce(&self, model: u64, header: B256, min_survivors: u16, quorum: u8) {
        let deadline = self.world.ledger.time().await.unwrap() + DEADLINE;
        let call = Rounds::openCall {
            modelId: U256::from(model),
            headerHash: header,
            deadline,
            minSurvivors: min_survivors,
            quorum,
        };
        self.world.ledger.send(&self.trainer.party.key, Contract::Rounds, call).await.unwrap();
    }

    /// One honest round up to the sum: gives the transcript and the step, which nobody has observed yet.
    pub async fn round(&mut self, model: &Model) -> (RoundTranscript, Step) {
        let world = &self.world;
        let (header, _) =
            self.trainer.open_round(&model.training, model.round, &model.cohort, world).await.unwrap();
        for owner in &mut self.owners {
            owner.contribute(&header, world).await.unwrap();
        }
        assert_eq!(self.trainer.close_round(model.id, model.round, world).await.unwrap(), (3, true));
        let mut partials = Vec::new();
        for member in &mut self.committee {
            partials.push(member.open(&header, world).await.unwrap());
        }
        self.trainer.finish_round(&model.training, &header, &partials, world).await.unwrap()
    }

    /// Trains a model to its end and lets the market know.
    pub async fn train(&mut self, model: &mut Model) -> Finished {
        loop {
            let (transcript, step) = self.round(model).await;
            for owner in &mut self.owners {
                owner.observe(&transcript, &self.world).await.unwrap();
            }
            model.round += 1;
            match step {
                Step::Next(next) => model.training = next,
                Step::Finished(finished) => {
                    let hash = B256::from(finished.model.hash());
                    self.trainer.finish(model.id, hash, &self.world).await.unwrap();
                    return finished;
                }
            }
        }
    }

    /// Lets so many seconds pass and makes a block then.
    pub async fn wait(&self, seconds: u64) {
        self.backend.pass(seconds, &self.operator.key).await;
    }

    /// What a dishonest owner would do with its own key: seal it to any enclave, bound to what it likes.
    pub fn bundle(&self, owner: usize) -> KeyBundle {
        let bytes = self.owners[owner].party.recall("dataset.key").unwrap().unwrap();
        let half = |at: usize| <[u8; 32]>::try_from(&bytes[at..at + 32]).unwrap();
        KeyBundle { data: DataKey::from_bytes(half(0)), salt: SaltKey::from_bytes(half(32)) }
    }

    /// An owner's dataset, its key sealed to an enclave without any check.
    pub fn sealed(&mut self, owner: usize, instance: &Instance) -> SealedDataset {
        let aad =
            release_aad(self.owners[owner].dataset(), instance.measurement(), blob_hash(instance.evidence()));
        let bundle = self.bundle(owner);
        let party = &mut self.owners[owner].party;
        let key = bundle.seal_to(instance.keys().seal, aad, &mut party.rng).unwrap();
        let ciphertext = party.recall("dataset.sealed").unwrap().unwrap();
        let owner = &self.owners[owner];
        SealedDataset { id: owner.dataset(), owner: owner.account(), ciphertext, key }
    }

    /// A training enclave that was started from a known seed: the same seed gives the same keys.
    pub async fn start_training(&self, owner: usize, model: u64, plan: &Plan, seed: u8) -> Instance {
        let ledger = &self.world.ledger;
        Instance::start(
            self.loaded.training.clone(),
            &self.devices[owner],
            self.owners[owner].account(),
            init_data(ledger.deployment(), model, plan),
            ledger.time().await.unwrap(),
            [seed; 32].into(),
        )
        .unwrap()
    }

    /// Registers an enclave under its owner.
    pub async fn register(&self, owner: usize, instance: &Instance) {
        self.world.register_enclave(instance, &self.owners[owner].party.key).await.unwrap();
    }

    /// A training enclave in the hands of the test, with the receipt for its donation.
    pub async fn admit(
        &mut self,
        owner: usize,
        model: u64,
        plan: &Plan,
        seed: u8,
    ) -> (TrainingEnclave, Donation) {
        let instance = self.start_training(owner, model, plan, seed).await;
        let sealed = self.sealed(owner, &instance);
        let payee = self.owners[owner].account();
        TrainingEnclave::admit(instance, plan.clone(), model, &sealed, payee, &self.world.ledger)
            .await
            .unwrap()
    }

    /// Brings a donation receipt to the market for a model, signed as it is.
    pub async fn bring(
        &self,
        owner: usize,
        model: u64,
        donation: &Donation,
        enclave: Address,
    ) -> Result<u16, histone_ledger::LedgerError> {
        let call = Market::donateCall {
            modelId: U256::from(model),
            datasetId: donation.receipt.datasetId,
            payee: donation.receipt.payee,
            weight: donation.receipt.weight,
            enclave,
            signature: donation.signature.as_slice().to_vec().into(),
        };
        let key = &self.owners[owner].party.key;
        let receipt = self.world.ledger.send(key, Contract::Market, call).await?;
        Ok(receipt.event::<Market::Donated>()?.donorIndex)
    }

    /// Another history of the same embedded chain from here on, as a coordinator who runs his own node may show it.
    pub fn fork(&self, to: &Path) -> (World, Arc<ManualClock>) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(self.dir.path().join("ledger")).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
        let clock = Arc::new(ManualClock::new(0));
        let chain = Chain::open(to, sequencer(&self.operator), clock.clone()).unwrap();
        let ledger = Ledger::at(Connection::embedded(chain), self.world.ledger.deployment().clone());
        (World { ledger, ..self.world.clone() }, clock)
    }
}

/// Demands an error whose text or cause holds `part`.
#[track_caller]
pub fn refused<T, E: std::error::Error + 'static>(result: Result<T, E>, part: &str) {
    let Err(error) = result else { panic!("not refused; expected `{part}`") };
    let text = histone_protocol::with_causes(&error);
    assert!(text.contains(part), "expected `{part}`, found `{text}`");
}
