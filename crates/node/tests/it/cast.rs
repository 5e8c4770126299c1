//! A small real world for attacks: a chain, contracts, audited programs, three owners with tables of 24 rows, a
//! committee of seven of whom one may collude, one trainer, one runner, one user.

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use histone_access::Permit;
use histone_attestation::AppraisalPolicy;
use histone_attestation::simulated::{SimulatedDevice, SimulatedVendor};
use histone_chain::{Chain, ManualClock, Sequencer};
use histone_contracts::{Contract, Enclaves, Market, Members, Programs, Rounds, TestToken, roles};
use histone_enclave::cohort::RightCommittee;
use histone_enclave::engine::LoadedProgram;
use histone_enclave::instance::{Instance, SealedDataset};
use histone_enclave::method::{Step, Training};
use histone_enclave::training::{
    Consent, Donation, DonationTerms, RoundTranscript, TrainingEnclave, init_data,
};
use histone_enclave::validation::ValidationEnclave;
use histone_federation::header::{RoundFields, RoundHeader};
use histone_federation::plan::Plan;
use histone_federation::training::Finished;
use histone_genome::table::{Column, Table};
use histone_ledger::{Connection, Ledger, Settings};
use histone_network::BlobStore;
use histone_node::auditor::audit;
use histone_node::committee::CommitteeMember;
use histone_node::committee::Lock;
use histone_node::owner::{Decided, Machine, Owner};
use histone_node::party::{Entropy, Party};
use histone_node::programs::{Loaded, METHODS, Methods, PublishedProgram};
use histone_node::runner::{Host, Runner};
use histone_node::trainer::{Leading, Offer, Trainer};
use histone_node::user::User;
use histone_node::world::{EVIDENCE_MAX_AGE, World};
use histone_program_sdk::config::{Config, Feature, Kind, Least, Missing, Outcome};
use histone_program_sdk::method::Stage;
use histone_protocol::consent::{AppraisalTerms, ConsentPolicy, Split, WhitePaper};
use histone_protocol::dataset::{KeyBundle, release_aad};
use histone_protocol::disclosure::{Disclosure, Place, Release, Sums};
use histone_protocol::evidence::{EnclaveKeys, Platform};
use histone_protocol::hash::blob_hash;
use histone_protocol::keys::SigningKey;
use histone_protocol::plan::{
    ColumnKind, MissingCells, PlanDocument, PlanFeature, PlanOutcome, PlanPrograms, PlanStage,
};
use histone_protocol::receipt::{self, DonationReceipt, EnclaveRegistration, UpdateReceipt};
use histone_protocol::record::LedgerId;
use histone_protocol::seal::SealPublicKey;
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
    /// What white papers believe.
    pub terms: AppraisalTerms,
    pub trainer: Trainer,
    pub runner: Runner,
    pub user: User,
    pub auditor: Party,
    /// Programs that are allowed beside the bundled ones.
    pub others: Vec<(PublishedProgram, B256)>,
}

/// A model in training, as its trainer sees it.
pub struct Model {
    pub id: u64,
    pub training: Training,
    pub leading: Leading,
    /// The next round.
    pub round: u32,
}

/// Compiled once for all tests.
fn loaded() -> Loaded {
    static LOADED: OnceLock<Loaded> = OnceLock::new();
    LOADED.get_or_init(|| Loaded::bundled("logistic").unwrap()).clone()
}

/// Of a plan whose sums everybody sees.
pub const LEAST: Least = Least { site: 5, sum: 5 };

/// Four rounds: describe, one Newton step, spread, judge.
pub fn plan(min_survivors: u16) -> Plan {
    let kind = Kind::Number { low: 0.0, high: 23.0 };
    let feature = |name: &str| Feature { name: name.into(), kind: kind.clone(), zero_is_missing: false };
    let method = loaded().method;
    let defaults = method.manifest().config.iter().map(|s| s.number(s.default).unwrap());
    let config = Config {
        features: vec![feature("a"), feature("b")],
        outcome: Outcome::YesNo { name: "y".into() },
        missing: Missing::Mean {},
        holdout: 0.0,
        least: LEAST,
        values: defaults.collect(),
    };
    let measurement = method.program().program().measurement();
    let plan = Plan {
        method: measurement,
        agenda: method.agenda(&config).unwrap(),
        config,
        sums: Sums::PublicExact,
        model: Release::Public,
        min_survivors,
    };
    with(with(with(plan, "ridge", 1.0), "rounds", 1.0), "bins", 10.0)
}

/// A decision to donate at the price of these tests.
pub fn at_price(permit: Permit, decision: B256, model_id: u64) -> Decided {
    Decided { permit, decision, model_id, instant_payment: PRICE }
}

/// Who sees what of a training by this plan.
pub fn disclosure(plan: &Plan) -> Disclosure {
    Disclosure { sums: plan.sums, model: plan.model, ..Disclosure::public_exact() }
}

/// Another method, for those who would have it in place of the bundled one, and what applies its models.
pub const LINEAR: PublishedProgram = METHODS[1][0];
pub const LINEAR_ANSWER: PublishedProgram = METHODS[1][1];

/// Has a program published by a trainer, audited and allowed.
async fn allow(
    (trainer, auditor, operator): (&Trainer, &Party, &Party),
    program: &PublishedProgram,
    loaded: &LoadedProgram,
    world: &World,
) {
    let measurement = B256::from(loaded.program().measurement());
    let submission = trainer.publish(program, measurement, world).await.unwrap();
    audit(auditor, &submission, world).await.unwrap();
    let allow = Programs::allowCall { measurement };
    world.ledger.send(&operator.key, Contract::Programs, allow).await.unwrap();
}

/// The state before the first round.
pub fn start(plan: Plan) -> Training {
    Training::start(loaded().method, plan).unwrap()
}

/// A plan with another setting of its method.
pub fn with(mut plan: Plan, setting: &str, value: f64) -> Plan {
    let method = loaded().method;
    let place = method.manifest().config.iter().position(|s| s.name == setting).unwrap();
    plan.config.values[place] = value;
    plan.agenda = method.agenda(&plan.config).unwrap();
    plan
}

/// General research use, by anybody.
pub fn policy() -> ConsentPolicy {
    ConsentPolicy {
        ledger: LedgerId::default(),
        owner: Address::ZERO,
        country: "DE".into(),
        terms: vec!["DUO:0000042".into()],
        allow_purposes: vec![],
        deny_purposes: vec![],
        allow_accounts: vec![],
        deny_accounts: vec![],
        versions: 1,
        allow_public_exact: true,
        allow_auditors: vec![],
        allow_one_enclave: false,
        allow_closed: vec![],
    }
}

/// 24 rows, both classes present; sites have no row in common.
pub fn table(site: u32) -> Table {
    let value = |i: u32| f64::from((i * (6 + site) + site * 5) % 23);
    let row = |i: u32| [value(2 * i), value(2 * i + 1), f64::from(u8::from(i.is_multiple_of(3)))];
    let columns = vec![Column::number("a"), Column::number("b"), Column::no_yes("y")];
    Table::new(columns, (0..24).flat_map(row).collect()).unwrap()
}

fn sequencer(operator: &Party) -> Sequencer {
    Sequencer::from_bytes(&operator.key.to_bytes()).unwrap()
}

impl Cast {
    /// Everybody is a member, every program is audited, every dataset is registered. Casts differ by chain only: all
    /// have the same keys and addresses, as an attacker with a chain of his own would arrange it. On a node all casts are on
    /// its one chain, with the same keys and other addresses.
    pub async fn new(chain_id: u64) -> Self {
        Self::of(chain_id, 3).await
    }

    /// With this many owners.
    pub async fn of(chain_id: u64, owners: u32) -> Self {
        Self::allowing(chain_id, owners, 1).await
    }

    /// With this many owners, each of whom lets so many versions of its dataset be answered for.
    pub async fn allowing(chain_id: u64, owners: u32, versions: u32) -> Self {
        Self::holding(chain_id, owners, ConsentPolicy { versions, ..policy() }, &table).await
    }

    /// With this many owners, who let their data be brought to one enclave, for as many models as a test likes.
    pub async fn hosting(chain_id: u64, owners: u32) -> Self {
        let policy = ConsentPolicy { allow_one_enclave: true, versions: 100, ..policy() };
        Self::under(chain_id, owners, policy).await
    }

    /// With this many owners, all with one policy.
    pub async fn under(chain_id: u64, owners: u32, policy: ConsentPolicy) -> Self {
        Self::holding(chain_id, owners, policy, &table).await
    }

    /// With this many owners of this policy and of these tables, by site from 1.
    pub async fn holding(
        chain_id: u64,
        owners: u32,
        policy: ConsentPolicy,
        table: &dyn Fn(u32) -> Table,
    ) -> Self {
        let size = owners;
        let dir = tempfile::tempdir().unwrap();
        let private = dir.path().join("private");
        let party = |name: &str| Party::create(name, &private, Entropy::Seed(7)).unwrap();
        let operator = party("operator");
        let backend = Backend::new(&dir.path().join("ledger"), chain_id, &operator.key);
        backend.fund([operator.account()]).await;
        let ledger =
            Ledger::deploy(backend.connection.clone(), &operator.key, &Settings::default()).await.unwrap();
        let vendor = SimulatedVendor::generate(&mut operator.root().rng("vendor", &[]));
        let terms = AppraisalTerms {
            platforms: vec![Platform::SIMULATED],
            max_age_seconds: EVIDENCE_MAX_AGE,
            simulated_vendors: vec![vendor.address()],
        };
        let appraisal = AppraisalPolicy::of(&terms);
        let methods = Methods::of([loaded().method]);
        let blobs = BlobStore::open(dir.path().join("blobs")).unwrap();
        let world = World { ledger, blobs, appraisal, methods };
        let mut rng = operator.root().rng("devices", &[]);
        let mut device = || vendor.make_device(&mut rng).unwrap();
        let devices = (0..size).map(|_| device()).collect();
        let mut runner = Runner::new(party("runner"), device());
        let owner = |i: u32| Owner::prepare(party(&format!("owner {i}")), table(i), policy.clone()).unwrap();
        let mut owners: Vec<Owner> = (1..=size).map(owner).collect();
        let committee: Vec<_> =
            (1..=7).map(|i| CommitteeMember::new(party(&format!("member {i}")))).collect();
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
        for member in &committee {
            member.prove_key(&world).await.unwrap();
        }
        let loaded = loaded();
        for (program, loaded) in loaded.all() {
            allow((&trainer, &auditor, &operator), program, loaded, &world).await;
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
            terms,
            trainer,
            runner,
            user,
            auditor,
            others: Vec::new(),
        }
    }

    /// Has another program published, audited and allowed. Gives its measurement.
    pub async fn allow(&mut self, program: &PublishedProgram, loaded: &LoadedProgram) -> B256 {
        allow((&self.trainer, &self.auditor, &self.operator), program, loaded, &self.world).await;
        let measurement = B256::from(loaded.program().measurement());
        self.others.push((*program, measurement));
        measurement
    }

    pub fn paper(&self) -> WhitePaper {
        let programs = [&self.loaded.validation, self.loaded.method.program(), &self.loaded.query];
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
            appraisal: self.terms.clone(),
            disclosure: histone_protocol::disclosure::Disclosure::public_exact(),
            plan: self.document(&plan(2)).hash(),
        }
    }

    /// The plan's document.
    pub fn document(&self, plan: &Plan) -> PlanDocument {
        let measurement = |program: &LoadedProgram| B256::from(program.program().measurement());
        let manifest = self.loaded.method.manifest();
        let names = manifest.config.iter().map(|s| s.name.clone());
        let feature = |f: &Feature| PlanFeature {
            name: f.name.clone(),
            kind: match &f.kind {
                Kind::Number { low, high } => ColumnKind::Range([*low, *high]),
                Kind::Category { levels } => ColumnKind::Levels(levels.clone()),
                Kind::Whole { low, high } => ColumnKind::Whole([*low as i64, *high as i64]),
                Kind::Day { low, high } => ColumnKind::Day([*low as i64, *high as i64]),
                Kind::Genotypes { .. } => panic!("nobody has genotypes"),
            },
            zero_is_missing: f.zero_is_missing,
        };
        let stage = |s: &Stage| PlanStage { stage: s.name.clone(), numbers: s.numbers, rounds: s.rounds };
        PlanDocument {
            format: histone_protocol::plan::FORMAT.into(),
            method: format!("{} {}", manifest.name, manifest.version),
            features: plan.config.features.iter().map(feature).collect(),
            outcome: match &plan.config.outcome {
                Outcome::Number { name, low, high } => PlanOutcome::Number(name.clone(), [*low, *high]),
                Outcome::YesNo { name } => PlanOutcome::YesNo(name.clone()),
                Outcome::EventTime { .. } => panic!("nobody has times"),
            },
            missing: match plan.config.missing {
                Missing::Refuse {} => MissingCells::Refuse,
                Missing::Drop {} => MissingCells::Drop,
                Missing::Mean {} => MissingCells::Mean,
                Missing::Median {} => MissingCells::Median,
            },
            holdout: plan.config.holdout,
            settings: names.zip(plan.config.values.iter().copied()).collect(),
            agenda: plan.agenda.iter().map(stage).collect(),
            least: plan.config.least.sum,
            min_survivors: plan.min_survivors,
            committee_members: 4,
            colluders: 1,
            round_seconds: DEADLINE,
            opening_seconds: DEADLINE,
            disclosure: disclosure(plan),
            manifest: histone_enclave::described::manifest_hash(self.loaded.method.program().program()),
            programs: PlanPrograms {
                validation: measurement(&self.loaded.validation),
                training: measurement(self.loaded.method.program()),
                query: measurement(&self.loaded.query),
            },
        }
    }

    /// The plan's document where all data is brought to one enclave.
    pub fn hosted_document(&self, plan: &Plan) -> PlanDocument {
        let document = self.document(plan);
        let disclosure = Disclosure { place: Place::OneEnclave, ..document.disclosure.clone() };
        let none = PlanDocument { committee_members: 0, colluders: 0, ..document };
        PlanDocument { round_seconds: 0, opening_seconds: 0, disclosure, ..none }
    }

    /// Proposes a model with this plan, whose data is all brought to one enclave; that is not named yet. Gives its paper and number.
    pub async fn propose_hosted(&self, plan: &Plan) -> (B256, u64) {
        let document = self.hosted_document(plan);
        let disclosure = document.disclosure.clone();
        let paper = WhitePaper { plan: document.hash(), disclosure, ..self.paper() };
        self.propose_as(&paper, &document, |_| {}).await
    }

    /// Starts the one enclave of a model, which its trainer names.
    pub async fn host(&mut self, model: u64) -> Host {
        let (program, world) = (self.loaded.method.program().clone(), self.world.clone());
        let host = self.runner.start_host(program, model, &world).await.unwrap();
        self.trainer.name_host(model, host.enclave.instance().keys().receipt, &world).await.unwrap();
        host
    }

    /// The decision of one owner, who brings its data to the one enclave.
    pub async fn bring_to(
        &mut self,
        owner: usize,
        (paper, model): (B256, u64),
        host: &mut Host,
    ) -> Result<u16, histone_node::error::NodeError> {
        let answer = self.owners[owner].consider(paper, model, &self.world).await?;
        let decided = at_price(answer.permit.unwrap(), answer.blob, model);
        self.owners[owner].bring(decided, &mut host.enclave, &self.world).await
    }

    /// A proposed model to whose one enclave all owners have brought their data; its training has not started.
    pub async fn recruit_hosted(&mut self, plan: &Plan) -> (u64, Host) {
        let (paper, id) = self.propose_hosted(plan).await;
        let mut host = self.host(id).await;
        for owner in 0..self.owners.len() {
            self.bring_to(owner, (paper, id), &mut host).await.unwrap();
        }
        (id, host)
    }

    /// Proposes a model with this plan. Gives its paper and number.
    pub async fn propose(&self, plan: &Plan) -> (B256, u64) {
        let document = self.document(plan);
        let disclosure = disclosure(plan);
        let paper = WhitePaper { plan: document.hash(), disclosure, ..self.paper() };
        self.propose_as(&paper, &document, |_| {}).await
    }

    /// Proposes a model with this paper and this plan on the ledger, under terms that `change` changes.
    pub async fn propose_as(
        &self,
        paper: &WhitePaper,
        document: &PlanDocument,
        change: impl FnOnce(&mut Offer),
    ) -> (B256, u64) {
        let mut offer = Offer {
            plan: self.world.blobs.put(&document.to_bytes()).unwrap(),
            min_survivors: document.min_survivors,
            colluders: document.colluders,
            min_donors: document.min_survivors,
            max_donors: self.owners.len() as u16,
            query_timeout: DEADLINE as u32,
        };
        change(&mut offer);
        self.trainer.propose(paper, offer, &self.world).await.unwrap()
    }

    /// The decision and donation of one owner.
    pub async fn donate(
        &mut self,
        owner: usize,
        paper: B256,
        model: u64,
    ) -> Result<u16, histone_node::error::NodeError> {
        let answer = self.owners[owner].consider(paper, model, &self.world).await?;
        let machine = Machine { program: self.loaded.method.program().clone(), device: &self.devices[owner] };
        self.owners[owner]
            .donate(at_price(answer.permit.unwrap(), answer.blob, model), machine, &self.world)
            .await
    }

    /// A proposed model to which all owners have donated, in training.
    pub async fn recruit(&mut self, plan: Plan) -> Model {
        let (paper, id) = self.propose(&plan).await;
        for owner in 0..self.owners.len() {
            self.donate(owner, paper, id).await.unwrap();
        }
        self.begin(id, plan).await
    }

    /// Begins the training of a model with whoever donated; the committee looks at everybody.
    pub async fn begin(&mut self, id: u64, plan: Plan) -> Model {
        self.trainer.start(id, &self.world).await.unwrap();
        self.led(id, plan).await
    }

    /// The same by a trainer that looks at no donor.
    pub async fn begin_blindly(&mut self, id: u64, plan: Plan) -> Model {
        self.start_blindly(id).await;
        self.led(id, plan).await
    }

    /// Starts a training with whoever has donated.
    pub async fn start_blindly(&self, id: u64) {
        let model_id = U256::from(id);
        let right = RightCommittee::at(model_id, (u64::MAX, 0), &self.world.ledger).await.unwrap();
        let (seats, seal_keys) = right.everybody().into_iter().unzip();
        let call = Market::startTrainingCall { modelId: model_id, seats, sealKeys: seal_keys };
        self.world.ledger.send(&self.trainer.party.key, Contract::Market, call).await.unwrap();
    }

    async fn led(&mut self, id: u64, plan: Plan) -> Model {
        let leading =
            self.trainer.lead(id, plan.min_survivors, DEADLINE, DEADLINE, &self.world).await.unwrap();
        for member in &mut self.committee {
            member.review(id, &self.world).await.unwrap();
        }
        let training = Training::start(self.loaded.method.clone(), plan).unwrap();
        Model { id, training, leading, round: 1 }
    }

    /// The honest header of a model's next round, changed by `change`.
    pub async fn header(&self, model: &mut Model, change: impl FnOnce(&mut RoundFields)) -> RoundHeader {
        let honest =
            self.trainer.header(&model.training.asked(), &mut model.leading, &self.world).await.unwrap();
        let mut fields = honest.fields().clone();
        change(&mut fields);
        RoundHeader::new(fields).unwrap()
    }

    /// Names a header for the next round on the ledger, whatever it says.
    pub async fn announce(&self, model: u64, header: B256) {
        let deadline = self.world.ledger.time().await.unwrap() + DEADLINE;
        let open_by = deadline + DEADLINE;
        let call =
            Rounds::openCall { modelId: U256::from(model), headerHash: header, deadline, openBy: open_by };
        self.world.ledger.send(&self.trainer.party.key, Contract::Rounds, call).await.unwrap();
    }

    /// Publishes and announces the honest header of a model's next round.
    pub async fn open_round(&self, model: &mut Model) -> RoundHeader {
        self.trainer.open_round(&model.training.asked(), &mut model.leading, &self.world).await.unwrap().0
    }

    /// Every member locks and publishes. Strikes whoever has to leave the sum first.
    pub async fn open_sum(&mut self, header: &RoundHeader) -> Vec<B256> {
        loop {
            let mut striking = false;
            for member in &mut self.committee {
                striking |= !matches!(member.lock(header, &self.world).await.unwrap(), Lock::Posted(_));
            }
            if !striking {
                break;
            }
            for owner in &mut self.owners {
                owner.answer_accusations(header, &self.world).await.unwrap();
            }
        }
        let mut partials = Vec::new();
        for member in &mut self.committee {
            partials.push(member.publish(header, &self.world).await.unwrap());
        }
        partials
    }

    /// One honest round up to the sum: gives the transcript and the step, which nobody has observed yet.
    pub async fn round(&mut self, model: &mut Model) -> (RoundTranscript, Step) {
        let header = self.open_round(model).await;
        for owner in &mut self.owners {
            owner.contribute(&header, &self.world).await.unwrap();
        }
        let closed = self.trainer.close_round(model.id, header.fields().round, &self.world).await.unwrap();
        assert_eq!(closed, (3, true));
        let partials = self.open_sum(&header).await;
        self.trainer.finish_round(&model.training, &header, &partials, &self.world).await.unwrap()
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
                    let hash = B256::from(finished.hash());
                    self.trainer.finish(model.id, hash, &self.world).await.unwrap();
                    return finished;
                }
                Step::NoModel => panic!("the sums are public"),
            }
        }
    }

    /// Puts the programs with their sources into public storage, as a run does.
    pub fn publish(&self) {
        let bundled = self.loaded.all().into_iter().map(|(program, _)| program);
        for program in bundled.chain(self.others.iter().map(|(program, _)| program)) {
            self.world.blobs.put(program.wasm).unwrap();
            self.world.blobs.put(program.source).unwrap();
        }
    }

    /// Lets so many seconds pass and makes a block then.
    pub async fn wait(&self, seconds: u64) {
        self.backend.pass(seconds, &self.operator.key).await;
    }

    /// Lets time pass up to a second of the ledger's clock.
    pub async fn wait_until(&self, time: u64) {
        self.wait(time.saturating_sub(self.world.ledger.time().await.unwrap())).await;
    }

    /// What a dishonest owner would do with its own key: seal it to any enclave, bound to what it likes.
    pub fn bundle(&self, owner: usize) -> KeyBundle {
        let owner = &self.owners[owner];
        let bytes = owner.party.recall(&format!("{}.key", owner.dataset_file())).unwrap().unwrap();
        KeyBundle::from_bytes(&bytes.try_into().unwrap())
    }

    /// An owner's dataset, its key sealed to an enclave without any check.
    pub fn sealed(&mut self, owner: usize, instance: &Instance) -> SealedDataset {
        let aad =
            release_aad(self.owners[owner].dataset(), instance.measurement(), blob_hash(instance.evidence()));
        let bundle = self.bundle(owner);
        let party = &self.owners[owner].party;
        let key = bundle.seal_to(instance.keys().seal, aad, party.root()).unwrap();
        let owner = &self.owners[owner];
        let ciphertext = party.recall(&format!("{}.sealed", owner.dataset_file())).unwrap().unwrap();
        SealedDataset {
            id: owner.dataset(),
            owner: owner.account(),
            root: owner.root(),
            replaces: B256::ZERO,
            ciphertext,
            key,
        }
    }

    /// A training enclave that was started from a known seed: the same seed gives the same keys.
    pub async fn start_training(&self, owner: usize, model: u64, plan: &Plan, seed: u8) -> Instance {
        let ledger = &self.world.ledger;
        Instance::start(
            self.loaded.method.program().clone(),
            &self.devices[owner],
            self.owners[owner].account(),
            init_data(ledger.deployment(), model, self.document(plan).hash()),
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
        let terms = DonationTerms { payee, consent: self.consent(owner, model).await };
        let policy = self.world.cohort_policy(model).await.unwrap();
        let plan = self.document(plan);
        TrainingEnclave::admit(instance, &plan, model, &sealed, terms, policy, &self.world.ledger)
            .await
            .unwrap()
    }

    /// What allows the donation of an owner's dataset to a model.
    pub async fn consent(&mut self, owner: usize, model: u64) -> Consent {
        let world = self.world.clone();
        let call = Market::modelCall { modelId: U256::from(model) };
        let paper = world.ledger.read(Contract::Market, call).await.unwrap().whitePaperHash;
        let owner = &mut self.owners[owner];
        let answer = owner.consider(paper, model, &world).await.unwrap();
        histone_node::owner::consent(owner.dataset(), model, answer.blob, &world).await.unwrap()
    }

    /// Brings a donation receipt to the market for a model, signed as it is.
    pub async fn bring(
        &self,
        owner: usize,
        model: u64,
        donation: &Donation,
        enclave: Address,
    ) -> Result<u16, histone_contracts::LedgerError> {
        let call = Market::donateCall {
            modelId: U256::from(model),
            datasetId: donation.receipt.datasetId,
            payee: donation.receipt.payee,
            decision: donation.receipt.decision,
            enclave,
            signature: donation.signature.as_slice().to_vec().into(),
        };
        let key = &self.owners[owner].party.key;
        let receipt = self.world.ledger.send(key, Contract::Market, call).await?;
        Ok(receipt.event::<Market::Donated>()?.donorIndex)
    }

    /// Gives accounts what they need to send transactions.
    pub async fn fund(&self, accounts: impl IntoIterator<Item = Address>) {
        self.backend.fund(accounts).await;
    }

    /// A broken enclave, as SIMULATED hardware always is one: its owner has its keys, and its evidence is believed. It
    /// donates the owner's dataset. Gives its key and its donor number.
    pub async fn donate_broken(&self, owner: usize, model: u64, plan: &Plan, seed: u8) -> (SigningKey, u16) {
        let (key, evidence) = self.broken_evidence(owner, model, plan, seed).await;
        let donor = self.donate_with_key(owner, model, &key, 0, evidence).await.unwrap();
        (key, donor)
    }

    /// A key outside of any enclave with published evidence for it, as a broken machine makes.
    pub async fn broken_evidence(
        &self,
        owner: usize,
        model: u64,
        plan: &Plan,
        seed: u8,
    ) -> (SigningKey, B256) {
        let key = SigningKey::from_bytes(&[seed; 32]).unwrap();
        let evidence = self.device_evidence(owner, &key, model, plan).await;
        (key, self.world.blobs.put(&evidence).unwrap())
    }

    /// Registers newer evidence for a broken enclave.
    pub async fn refresh_broken(&self, owner: usize, model: u64, plan: &Plan, key: &SigningKey) {
        let evidence = self.device_evidence(owner, key, model, plan).await;
        let evidence = self.world.blobs.put(&evidence).unwrap();
        let (ledger, d) = (&self.world.ledger, self.world.ledger.deployment());
        let expires = ledger.time().await.unwrap() + EVIDENCE_MAX_AGE;
        let party = &self.owners[owner].party;
        let r = EnclaveRegistration {
            operator: party.account(),
            sealKey: B256::repeat_byte(3),
            measurement: B256::from(self.loaded.method.program().program().measurement()),
            platform: 0,
            evidenceHash: evidence,
            expiresAt: expires,
        };
        let signature = receipt::sign(&r, &receipt::domain(d.chain_id, d.enclaves), key);
        let call = Enclaves::refreshCall {
            signer: key.address(),
            evidenceHash: evidence,
            expiresAt: expires,
            signature: signature.as_slice().to_vec().into(),
        };
        ledger.send(&party.key, Contract::Enclaves, call).await.unwrap();
    }

    /// A donation of an owner's dataset, signed with any key.
    pub fn donation_by(&self, owner: usize, model: u64, key: &SigningKey) -> Donation {
        self.donation_naming(owner, model, key, B256::repeat_byte(1))
    }

    /// The same, under what it calls a decision.
    fn donation_naming(&self, owner: usize, model: u64, key: &SigningKey, decision: B256) -> Donation {
        let receipt = DonationReceipt {
            modelId: U256::from(model),
            datasetId: self.owners[owner].dataset(),
            root: self.owners[owner].root(),
            payee: self.owners[owner].account(),
            decision,
        };
        let d = self.world.ledger.deployment();
        let signature = receipt::sign(&receipt, &receipt::domain(d.chain_id, d.market), key);
        Donation { receipt, signature }
    }

    /// Evidence of an owner's device for any key, which nobody has published.
    pub async fn device_evidence(&self, owner: usize, key: &SigningKey, model: u64, plan: &Plan) -> Vec<u8> {
        let keys = EnclaveKeys { receipt: key.address(), seal: SealPublicKey(B256::repeat_byte(3)) };
        let ledger = &self.world.ledger;
        let init_data = init_data(ledger.deployment(), model, self.document(plan).hash());
        let measurement = B256::from(self.loaded.method.program().program().measurement());
        let operator = self.owners[owner].account();
        let now = ledger.time().await.unwrap();
        self.devices[owner].evidence(keys, operator, measurement, init_data, now).unwrap().to_bytes()
    }

    /// Registers a plain key as if it were an enclave, with this platform and evidence, and donates with it.
    pub async fn donate_with_key(
        &self,
        owner: usize,
        model: u64,
        key: &SigningKey,
        platform: u8,
        evidence: B256,
    ) -> Result<u16, histone_contracts::LedgerError> {
        self.donate_naming((owner, model), key, platform, evidence, B256::repeat_byte(1)).await
    }

    /// The same, under what it calls a decision.
    pub async fn donate_naming(
        &self,
        (owner, model): (usize, u64),
        key: &SigningKey,
        platform: u8,
        evidence: B256,
        decision: B256,
    ) -> Result<u16, histone_contracts::LedgerError> {
        let (ledger, d) = (&self.world.ledger, self.world.ledger.deployment());
        let measurement = B256::from(self.loaded.method.program().program().measurement());
        let expires = ledger.time().await.unwrap() + EVIDENCE_MAX_AGE;
        let party = &self.owners[owner].party;
        let r = EnclaveRegistration {
            operator: party.account(),
            sealKey: B256::repeat_byte(3),
            measurement,
            platform,
            evidenceHash: evidence,
            expiresAt: expires,
        };
        let signature = receipt::sign(&r, &receipt::domain(d.chain_id, d.enclaves), key);
        let call = Enclaves::registerCall {
            e: Enclaves::Enclave {
                signer: key.address(),
                sealKey: r.sealKey,
                measurement,
                platform,
                evidenceHash: evidence,
                expiresAt: expires,
            },
            signature: signature.as_slice().to_vec().into(),
        };
        ledger.send(&party.key, Contract::Enclaves, call).await?;
        self.bring(owner, model, &self.donation_naming(owner, model, key, decision), key.address()).await
    }

    /// Anchors any hash as the update of a donor, signed with its enclave's key.
    pub async fn anchor_as(
        &self,
        key: &SigningKey,
        header: &RoundHeader,
        donor: u16,
        blob: B256,
    ) -> Result<(), histone_contracts::LedgerError> {
        let (f, d) = (header.fields(), self.world.ledger.deployment());
        let receipt = UpdateReceipt {
            modelId: U256::from_be_bytes(f.model_id),
            round: f.round,
            headerHash: B256::from(header.hash()),
            blobHash: blob,
            donorIndex: donor,
        };
        let signature = receipt::sign(&receipt, &receipt::domain(d.chain_id, d.rounds), key);
        let call = Rounds::anchorCall {
            modelId: receipt.modelId,
            round: receipt.round,
            blobHash: blob,
            donorIndex: donor,
            enclave: key.address(),
            signature: signature.as_slice().to_vec().into(),
        };
        self.world.ledger.send(&self.trainer.party.key, Contract::Rounds, call).await.map(|_| ())
    }

    /// One round in which these owners answer, up to the sum; strikes whoever has to leave it.
    pub async fn round_of(&mut self, model: &mut Model, answering: &[usize]) -> (RoundTranscript, Step) {
        let header = self.open_round(model).await;
        for &owner in answering {
            self.owners[owner].contribute(&header, &self.world).await.unwrap();
        }
        // The ledger waits for donors who are in no cohort, too.
        if answering.len() < self.owners.len() {
            self.wait(DEADLINE + 1).await;
        }
        let closed = self.trainer.close_round(model.id, header.fields().round, &self.world).await.unwrap();
        assert!(closed.1, "{} survivors", closed.0);
        let partials = self.open_sum(&header).await;
        self.trainer.finish_round(&model.training, &header, &partials, &self.world).await.unwrap()
    }

    /// Goes on from a finished round to the end of the training with these owners.
    pub async fn train_on(
        &mut self,
        model: &mut Model,
        answering: &[usize],
        mut last: (RoundTranscript, Step),
    ) -> Finished {
        loop {
            for &owner in answering {
                self.owners[owner].observe(&last.0, &self.world).await.unwrap();
            }
            match last.1 {
                Step::Next(next) => model.training = next,
                Step::Finished(finished) => {
                    let hash = B256::from(finished.hash());
                    self.trainer.finish(model.id, hash, &self.world).await.unwrap();
                    return finished;
                }
                Step::NoModel => panic!("the sums are public"),
            }
            last = self.round_of(model, answering).await;
        }
    }

    /// What a donor of a model is owed now, in millionths.
    pub async fn owed(&self, model: u64, donor: u16) -> u64 {
        let call = Market::owedDonorCall { modelId: U256::from(model), donorIndex: donor };
        self.world.ledger.read(Contract::Market, call).await.unwrap().to()
    }

    /// A party as it finds itself after a restart.
    pub fn party_again(&self, name: &str) -> Party {
        Party::open(name, &self.dir.path().join("private"), Entropy::Seed(7)).unwrap()
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
