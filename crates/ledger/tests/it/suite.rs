//! Contracts deployed for one test, with everybody who acts on them, and a list of what was tried.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::{SolCall, SolStruct};
use histone_contracts::{Contract, Enclaves, LedgerError, Members, Programs, TestToken, roles};
use histone_ledger::{Ledger, Receipt, Settings};
use histone_protocol::keys::SigningKey;
use histone_protocol::receipt::{self, EnclaveRegistration, ValidationReceipt};
use histone_protocol::seal::SealKey;

use crate::backend::Backend;

/// Kinds of programs.
pub const VALIDATION: u8 = 1;
pub const TRAINING: u8 = 2;
pub const QUERY: u8 = 3;
/// How the suite's contracts are governed, in seconds.
pub const SETTINGS: Settings =
    Settings { token: None, voting_delay: 60, voting_period: 600, quorum_percent: 50, timelock_delay: 120 };
/// Longer than any test takes.
pub const LONG: u64 = 30 * 24 * 3_600;

pub fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32]).unwrap()
}

pub fn hash(n: u8) -> B256 {
    B256::repeat_byte(n)
}

/// The seal key of a member of the committee.
pub fn seal_key(member: &SigningKey) -> SealKey {
    SealKey::from_seed(&member.to_bytes())
}

/// Accounts that act. All but the last three are members once [`Suite::admit`] was called.
pub struct Keys {
    pub founder: SigningKey,
    pub owner: SigningKey,
    pub owner2: SigningKey,
    pub trainer: SigningKey,
    pub runner: SigningKey,
    pub auditor: SigningKey,
    /// The committee. Two of its members are the runner and the auditor as well: a member has any sum of roles.
    pub seats: [SigningKey; 4],
    pub user: SigningKey,
    pub stranger: SigningKey,
    pub pauser: SigningKey,
}

pub struct Suite {
    pub ledger: Ledger,
    pub backend: Backend,
    pub k: Keys,
    seen: Mutex<BTreeSet<String>>,
    /// Set when a contract that is in no deployment is in the place of another.
    pub source: Option<&'static str>,
    _dir: tempfile::TempDir,
}

impl Suite {
    /// Contracts without members.
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let k = Keys {
            founder: key(101),
            owner: key(102),
            owner2: key(103),
            trainer: key(104),
            runner: key(105),
            auditor: key(106),
            seats: [key(107), key(108), key(105), key(106)],
            user: key(109),
            stranger: key(110),
            pauser: key(111),
        };
        let backend = Backend::new(dir.path(), 4_711, &k.founder);
        backend.fund((101..=111).map(|n| key(n).address())).await;
        let ledger = Ledger::deploy(backend.connection.clone(), &k.founder, &SETTINGS).await.unwrap();
        Self { ledger, backend, k, seen: Mutex::default(), source: None, _dir: dir }
    }

    /// Contracts with members of every role.
    pub async fn with_members() -> Self {
        let suite = Self::new().await;
        suite.admit().await;
        // Votes count from the next second on, and a node may make several blocks in one.
        suite.pass(2).await;
        suite
    }

    /// Members, and a program of each kind: published, audited, allowed. Its measurement is `hash(kind)`.
    pub async fn with_programs() -> Self {
        let suite = Self::with_members().await;
        for kind in [VALIDATION, TRAINING, QUERY] {
            suite.program(hash(kind), kind).await;
        }
        suite
    }

    async fn admit(&self) {
        let k = &self.k;
        let members = [
            (&k.owner, roles::OWNER),
            (&k.owner2, roles::OWNER),
            (&k.trainer, roles::TRAINER),
            (&k.runner, roles::RUNNER | roles::COMMITTEE),
            (&k.auditor, roles::AUDITOR | roles::COMMITTEE),
            (&k.seats[0], roles::COMMITTEE),
            (&k.seats[1], roles::COMMITTEE),
        ];
        for (member, roles) in members {
            let call =
                Members::addCall { account: member.address(), roles, profile: hash(1), sealKey: hash(2) };
            self.ledger.send(&k.founder, Contract::Members, call).await.unwrap();
        }
        for seat in &k.seats {
            self.prove(seat).await;
        }
    }

    /// A member proves that it holds its key, which follows from its account.
    pub async fn prove(&self, member: &SigningKey) {
        let seal = seal_key(member);
        let at = self.ledger.deployment().id();
        let proof = seal.prove(member.address(), at);
        assert!(seal.public().verify(&proof, member.address(), at));
        let call = Members::proveSealKeyCall { sealKey: seal.public().0, r: proof.r, s: proof.s };
        self.send(member, Contract::Members, call).await;
    }

    /// The seats in the order in which the ledger wants them, and their keys.
    pub fn committee(&self) -> (Vec<Address>, Vec<B256>) {
        let mut seats: Vec<_> =
            self.k.seats.iter().map(|seat| (seat.address(), seal_key(seat).public().0)).collect();
        seats.sort();
        seats.into_iter().unzip()
    }

    pub async fn program(&self, measurement: B256, kind: u8) {
        let k = &self.k;
        let (sourceHash, wasmHash) = (hash(7), hash(8));
        let register = Programs::registerCall { measurement, sourceHash, wasmHash, kind };
        self.send(&k.trainer, Contract::Programs, register).await;
        let audit = Programs::auditCall { measurement, reportHash: hash(9) };
        self.send(&k.auditor, Contract::Programs, audit).await;
        self.send(&k.founder, Contract::Programs, Programs::allowCall { measurement }).await;
    }

    /// Registers the enclave with this key under an operator.
    pub async fn enclave(&self, operator: &SigningKey, enclave: &SigningKey, measurement: B256) {
        let expires_at = self.now().await + LONG;
        let call = self.registration(operator, enclave, measurement, expires_at);
        self.send(operator, Contract::Enclaves, call).await;
    }

    /// What registers an enclave until then.
    pub fn registration(
        &self,
        operator: &SigningKey,
        enclave: &SigningKey,
        measurement: B256,
        expires_at: u64,
    ) -> Enclaves::registerCall {
        let r = EnclaveRegistration {
            operator: operator.address(),
            sealKey: hash(3),
            measurement,
            platform: 0,
            evidenceHash: hash(4),
            expiresAt: expires_at,
        };
        let signature = self.sign(&r, Contract::Enclaves, enclave);
        let EnclaveRegistration { sealKey, platform, evidenceHash, expiresAt, .. } = r;
        let signer = enclave.address();
        let e = Enclaves::Enclave { signer, sealKey, measurement, platform, evidenceHash, expiresAt };
        Enclaves::registerCall { e, signature }
    }

    /// The receipt of a validation enclave over 100 rows, which continue the dataset `replaces` or none.
    pub fn validated(&self, owner: Address, root: B256, replaces: B256, enclave: &SigningKey) -> Bytes {
        let receipt = ValidationReceipt { owner, root, reportHash: hash(5), rows: 100, quality: 3, replaces };
        self.sign(&receipt, Contract::Datasets, enclave)
    }

    /// Signs typed data for a contract.
    pub fn sign(&self, what: &impl SolStruct, contract: Contract, key: &SigningKey) -> Bytes {
        let d = self.ledger.deployment();
        let domain = receipt::domain(d.chain_id, d.address(contract));
        receipt::sign(what, &domain, key).as_slice().to_vec().into()
    }

    pub async fn mint(&self, to: &SigningKey, amount: u64) {
        let call = TestToken::mintCall { to: to.address(), amount: U256::from(amount) };
        self.send(&self.k.founder, Contract::Token, call).await;
    }

    pub async fn balance(&self, account: Address) -> u64 {
        self.read(Contract::Token, TestToken::balanceOfCall { account }).await.to()
    }

    pub async fn now(&self) -> u64 {
        self.ledger.time().await.unwrap()
    }

    /// Lets so many seconds pass.
    pub async fn pass(&self, seconds: u64) {
        self.backend.pass(seconds, &self.k.founder).await;
    }

    /// A call that must succeed.
    #[track_caller]
    pub fn send<'a, C: SolCall + 'a>(
        &'a self,
        from: &'a SigningKey,
        contract: Contract,
        call: C,
    ) -> impl Future<Output = Receipt> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            match self.ledger.send(from, contract, call).await {
                Ok(receipt) => {
                    self.saw(contract, name::<C>());
                    receipt
                }
                Err(error) => panic!("{caller}: {}", histone_protocol::with_causes(&error)),
            }
        }
    }

    /// A view that must answer.
    #[track_caller]
    pub fn read<C: SolCall>(&self, contract: Contract, call: C) -> impl Future<Output = C::Return> {
        let caller = std::panic::Location::caller();
        async move {
            match self.ledger.read(contract, call).await {
                Ok(answer) => {
                    self.saw(contract, name::<C>());
                    answer
                }
                Err(error) => panic!("{caller}: {}", histone_protocol::with_causes(&error)),
            }
        }
    }

    /// A call that must be refused with this error.
    #[track_caller]
    pub fn refused<'a, C: SolCall + 'a>(
        &'a self,
        from: &'a SigningKey,
        contract: Contract,
        call: C,
        error: &'a str,
    ) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let result = self.ledger.send(from, contract, call).await;
            self.saw_error(caller, contract, result.map(|_| ()), error);
        }
    }

    /// A view that must be refused with this error.
    #[track_caller]
    pub fn refuses<'a, C: SolCall + 'a>(
        &'a self,
        contract: Contract,
        call: C,
        error: &'a str,
    ) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let result = self.ledger.read(contract, call).await;
            self.saw_error(caller, contract, result.map(|_| ()), error);
        }
    }

    /// A call that must be refused with an error of another contract, which the called one asks.
    #[track_caller]
    pub fn refused_by<'a, C: SolCall + 'a>(
        &'a self,
        from: &'a SigningKey,
        contract: Contract,
        call: C,
        (asked, error): (Contract, &'a str),
    ) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let result = self.ledger.send(from, contract, call).await;
            self.saw_error(caller, asked, result.map(|_| ()), error);
        }
    }

    fn saw(&self, contract: Contract, what: &str) {
        self.seen.lock().unwrap().insert(format!("{contract}.{what}"));
    }

    fn saw_error(
        &self,
        caller: &std::panic::Location<'_>,
        contract: Contract,
        result: Result<(), LedgerError>,
        expected: &str,
    ) {
        let explanation = match result {
            Err(LedgerError::Refused { explanation, .. }) => explanation,
            other => panic!("{caller}: expected `{expected}`, found {other:?}"),
        };
        let found = explanation.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap();
        assert_eq!(found, expected, "{caller}: {explanation}");
        self.saw(contract, expected);
    }

    /// Demands that every function of the contract succeeded once and every error of it was met once, all but `left_out`,
    /// which must not have been.
    #[track_caller]
    pub fn covers(&self, contract: Contract, left_out: &[&str]) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../contracts/artifacts")
            .join(format!("{}.json", self.source.unwrap_or_else(|| source(contract))));
        let artifact: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let names: BTreeSet<&str> = artifact["abi"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|item| item["type"] == "function" || item["type"] == "error")
            .map(|item| item["name"].as_str().unwrap())
            .collect();
        let seen = self.seen.lock().unwrap();
        // What the client did by itself, such as the wiring of a deployment, counts too.
        let used = self.ledger.usage();
        let was_seen = |name: &str| {
            let name = format!("{contract}.{name}");
            seen.contains(&name) || used.contains_key(&name)
        };
        let missing: Vec<_> = names.iter().filter(|n| !was_seen(n) && !left_out.contains(n)).collect();
        assert!(missing.is_empty(), "{contract}: not tried: {missing:?}");
        let stale: Vec<_> = left_out.iter().filter(|n| was_seen(n) || !names.contains(**n)).collect();
        assert!(stale.is_empty(), "{contract}: left out without need: {stale:?}");
    }
}

fn name<C: SolCall>() -> &'static str {
    C::SIGNATURE.split('(').next().unwrap()
}

fn source(contract: Contract) -> &'static str {
    match contract {
        Contract::Manager => "AccessManager",
        Contract::Token => "TestToken",
        Contract::Members => "Members",
        Contract::Programs => "Programs",
        Contract::Enclaves => "Enclaves",
        Contract::Datasets => "Datasets",
        Contract::Market => "Market",
        Contract::Rounds => "Rounds",
        Contract::Timelock => "TimelockController",
        Contract::Governor => "HistoneGovernor",
        Contract::Directory => "Directory",
    }
}

/// Asks views whose answers say nothing in this test: that they answer is the test.
#[macro_export]
macro_rules! reads {
    ($suite:expr, $contract:expr; $($call:expr),+ $(,)?) => { $( let _ = $suite.read($contract, $call).await; )+ };
}
