//! Trainings whose sums only enclaves see, and everybody who would break them.

mod auditors;
mod catching_up;
mod committee;
mod handing;
mod honest;
mod judging;
mod leaves;
mod majority;
mod restarted;
mod transcripts;
mod withholding;

use std::path::{Path, PathBuf};

use histone_compliance::verify::{Outcome, Report, Source, verify_model};
use histone_contracts::{Contract, Market, Rounds};
use histone_enclave::query::{Given, QueryEnclave};
use histone_enclave::training::RoundTranscript;
use histone_federation::header::RoundHeader;
use histone_federation::plan::Plan;
use histone_federation::precision::released;
use histone_federation::training::{Asked, Names};
use histone_federation::update::{Hpke, seal_update};
use histone_node::committee::{sealed_round, survivors, transcript};
use histone_node::world::World;
use histone_program_sdk::model::Model;
use histone_protocol::agreement::{Carried, StateStatement};
use histone_protocol::disclosure::{Release, Sums};
use histone_protocol::keys::SigningKey;
use histone_protocol::seal::SealKey;
use histone_protocol::secret::Root;
use histone_protocol::{B256, U256};

use crate::cast::{Cast, DEADLINE, Model as Recruited, PRICE, plan};

/// The plan of the other attacks with sealed sums.
pub fn sealed_plan(model: Release) -> Plan {
    let mut plan = Plan { sums: Sums::Sealed, model, ..plan(2) };
    // Nobody sees the part of a site.
    plan.config.least.site = 0;
    plan
}

/// What a sealed training over the same rows releases of the model of a public one: the same numbers with fewer digits. What a site
/// leaves out where everybody sees its part is a setting of the model.
pub fn as_released(model: &Model) -> Model {
    let mut model = released(model.clone());
    model.config.least.site = 0;
    model
}

/// A sealed training, as its trainer sees it.
pub struct Led {
    pub model: Recruited,
    pub plan: Plan,
    /// Rounds that were carried.
    pub rounds: u32,
    /// What comes next; nothing after the end.
    pub asked: Option<Asked>,
    /// Name of the last state, and of what is released at the end.
    pub names: (B256, B256),
}

impl Led {
    pub fn of(model: Recruited, plan: Plan) -> Self {
        let asked = Some(model.training.asked());
        Self { model, plan, rounds: 0, asked, names: (B256::ZERO, B256::ZERO) }
    }

    pub fn id(&self) -> u64 {
        self.model.id
    }

    /// Goes on to what enclaves have signed.
    pub fn go_on(&mut self, carried: &Carried) {
        self.rounds += 1;
        let names = Names { state: carried.state.0, next: carried.next.0 };
        self.asked = Asked::sealed(&self.plan, self.rounds, names);
        self.names = (carried.state, carried.next);
    }
}

impl Cast {
    /// A sealed training of all owners.
    pub async fn recruit_sealed(&mut self, plan: Plan) -> Led {
        Led::of(self.recruit(plan.clone()).await, plan)
    }

    /// Opens the next round.
    pub async fn open_sealed(&self, led: &mut Led) -> RoundHeader {
        let asked = led.asked.as_ref().unwrap();
        self.trainer.open_round(asked, &mut led.model.leading, &self.world).await.unwrap().0
    }

    /// These owners answer, and the trainer closes the round.
    pub async fn answer(&mut self, header: &RoundHeader, answering: &[usize]) {
        for &owner in answering {
            self.owners[owner].contribute(header, &self.world).await.unwrap();
        }
        self.close(header, answering.len()).await;
    }

    /// Closes a round that so many have answered.
    pub async fn close(&self, header: &RoundHeader, answers: usize) {
        let f = header.fields();
        if answers < f.cohort.len() || answers < self.owners.len() {
            self.wait(DEADLINE + 1).await;
        }
        let id = U256::from_be_bytes(f.model_id).saturating_to();
        let closed = self.trainer.close_round(id, f.round, &self.world).await.unwrap();
        assert_eq!(closed, (answers as u16, true));
    }

    /// One round up to the sum, which no enclave has opened yet.
    pub async fn sealed_sum(&mut self, led: &mut Led, answering: &[usize]) -> RoundTranscript {
        let header = self.open_sealed(led).await;
        self.answer(&header, answering).await;
        let partials = self.open_sum(&header).await;
        transcript(&header, &partials, &self.world).await.unwrap()
    }

    /// What the enclaves of these owners say of a round.
    pub async fn said(&mut self, transcript: &RoundTranscript, who: &[usize]) -> Vec<StateStatement> {
        let mut statements = Vec::new();
        for &owner in who {
            statements.extend(self.owners[owner].open_sum(transcript, &self.world).await.unwrap());
        }
        statements
    }

    /// The trainer puts what was said on the ledger and goes on.
    pub async fn carry(
        &self,
        led: &mut Led,
        header: &RoundHeader,
        statements: Vec<StateStatement>,
    ) -> Carried {
        let carried = self.trainer.agree(header, statements, &self.world).await.unwrap().carried;
        led.go_on(&carried);
        carried
    }

    /// One round of these owners, of whom all say the same.
    pub async fn sealed_round(&mut self, led: &mut Led, answering: &[usize]) -> RoundTranscript {
        let transcript = self.sealed_sum(led, answering).await;
        let statements = self.said(&transcript, answering).await;
        let carried = self.carry(led, &transcript.header, statements).await;
        assert_eq!((carried.signers.len(), carried.others.len()), (answering.len(), 0));
        transcript
    }

    /// All rounds that are left, and the market sells what came out. Gives the rounds.
    pub async fn sealed_end(&mut self, led: &mut Led, answering: &[usize]) -> Vec<RoundTranscript> {
        let mut rounds = Vec::new();
        while led.asked.is_some() {
            rounds.push(self.sealed_round(led, answering).await);
        }
        self.trainer.finish(led.id(), led.names.0, &self.world).await.unwrap();
        rounds
    }

    /// A whole sealed training of all owners.
    pub async fn train_sealed(&mut self, plan: Plan) -> (Led, Vec<RoundTranscript>) {
        let mut led = self.recruit_sealed(plan).await;
        let everybody: Vec<usize> = (0..self.owners.len()).collect();
        let rounds = self.sealed_end(&mut led, &everybody).await;
        (led, rounds)
    }

    /// A query enclave that has got the model from the enclave of an owner, and serves it.
    pub async fn serve_sealed(&mut self, led: &Led, owner: usize, blob: B256) -> QueryEnclave {
        let world = self.world.clone();
        let program = self.loaded.query.clone();
        let instance = self.runner.begin_query(program, led.id(), led.names.0, &world).await.unwrap();
        let signer = instance.keys().receipt;
        let key = self.owners[owner].hand_model(signer, &world).await.unwrap();
        let blob = world.blobs.get(blob).unwrap();
        let given = Given::Sealed { blob: &blob, key: &key };
        let serving = self.runner.install_model(instance, led.id(), given, &world).await.unwrap();
        self.trainer.serve(led.id(), signer, &world).await.unwrap();
        serving
    }

    /// The user buys an answer to a row. Gives its bits.
    pub async fn buy_answer(&mut self, model: u64, serving: &QueryEnclave, row: &[f64]) -> Vec<Option<u64>> {
        let world = self.world.clone();
        let trusted = self.user.appraise(model, &world).await.unwrap();
        let code = self.user.buy(model, PRICE, trusted, &world).await.unwrap();
        let question = self.user.ask(&code, row.to_vec(), &world).await.unwrap();
        let answer = serving.answer(&question, &world.ledger).await.unwrap();
        self.runner.settle(&answer, &world).await.unwrap();
        let values = self.user.read(&code, &answer.sealed).unwrap();
        values.into_iter().map(|value| value.map(f64::to_bits)).collect()
    }

    /// A broken enclave, whose owner has its key, sends zeros.
    pub async fn answer_broken(&self, key: &SigningKey, header: &RoundHeader, donor: u16) {
        let zeros = vec![0.0; header.dimension()];
        let root = Root::from_bytes(*key.to_bytes());
        let blob = seal_update(header, donor, &zeros, &Hpke, &root).unwrap();
        let blob = self.world.blobs.put(&blob).unwrap();
        self.anchor_as(key, header, donor, blob).await.unwrap();
    }

    /// What a broken enclave says of a round: any names, under its own signature.
    pub async fn lie(
        &self,
        key: &SigningKey,
        header: &RoundHeader,
        donor: u16,
        names: (B256, B256),
    ) -> StateStatement {
        let f = header.fields();
        let survivors = survivors(U256::from_be_bytes(f.model_id), f.round, &self.world).await.unwrap();
        let of = sealed_round(header, &survivors, &self.world).unwrap();
        StateStatement::sign(&of, donor, names, vec![], key)
    }

    /// What a stranger finds, by the ledger and the public blobs alone, in a copy of both.
    pub async fn looked_at(&self, model: u64, auditor: Option<&SealKey>) -> Report {
        self.looked_at_in(&self.dir.path().join("ledger"), model, auditor).await
    }

    /// The same in another history.
    pub async fn looked_at_in(&self, ledger: &Path, model: u64, auditor: Option<&SealKey>) -> Report {
        self.publish();
        let dir = tempfile::tempdir().unwrap();
        let file = histone_chain::FILE_NAME;
        std::fs::copy(ledger.join(file), dir.path().join(file)).unwrap();
        let source = Source::Chain { dir: dir.path().to_owned(), directory: None };
        verify_model(&source, &self.dir.path().join("blobs"), model, auditor, &mut |_| {}).await.unwrap()
    }

    /// A history of its own, in which the trainer ends the open round with these hashes and sells the state. Where it lies, and
    /// what is there.
    pub async fn ended_with(&self, header: &RoundHeader, document: B256, state: B256) -> (PathBuf, World) {
        let dir = tempfile::tempdir_in(self.dir.path()).unwrap().keep();
        let (world, clock) = self.fork(&dir);
        clock.set(self.world.ledger.time().await.unwrap());
        let f = header.fields();
        let (key, model_id) = (&self.trainer.party.key, U256::from_be_bytes(f.model_id));
        let call = Rounds::finalizeCall {
            modelId: model_id,
            round: f.round,
            aggregateHash: document,
            modelHash: state,
        };
        world.ledger.send(key, Contract::Rounds, call).await.unwrap();
        self.trainer.finish(model_id.to(), state, &world).await.unwrap();
        (dir, world)
    }

    /// What the trainer may claim now, in millionths.
    pub async fn owed_trainer(&self) -> u64 {
        let call = Market::owedCall { account: self.trainer.party.account() };
        self.world.ledger.read(Contract::Market, call).await.unwrap().saturating_to()
    }
}

/// What a check said.
#[track_caller]
pub fn detail(report: &Report, name: &str) -> (Outcome, String) {
    let check = report.checks.iter().find(|c| c.name == name).unwrap();
    (check.outcome, check.detail.clone())
}
