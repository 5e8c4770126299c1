//! For tests: a founder with contracts on a chain of its own.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use alloy_sol_types::SolCall;
use histone_chain::{Chain, Genesis, ManualClock, Sequencer};
use histone_contracts::{AccessManager, Contract};
use histone_ledger::{Connection, Ledger, Settings};
use histone_protocol::keys::SigningKey;

pub(super) const SETTINGS: Settings =
    Settings { token: None, voting_delay: 1, voting_period: 10, quorum_percent: 50, timelock_delay: 1 };

/// A founder with contracts on a chain of its own.
pub(super) struct Founder {
    _dir: tempfile::TempDir,
    pub(super) chain: Chain,
    clock: Arc<ManualClock>,
    pub(super) key: SigningKey,
    pub(super) ledger: Ledger,
}

impl Founder {
    pub(super) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::from_bytes(&[1; 32]).unwrap();
        let sequencer = Sequencer::from_bytes(&key.to_bytes()).unwrap();
        let clock = Arc::new(ManualClock::new(1_800_000_000));
        let genesis = Genesis {
            chain_id: 1,
            timestamp: 1_800_000_000,
            sequencer: sequencer.address(),
            alloc: vec![],
            gas_limit: Genesis::GAS_LIMIT,
        };
        let chain = Chain::create(dir.path(), genesis, sequencer, clock.clone()).unwrap();
        let connection = Connection::embedded(chain.clone());
        let ledger = Ledger::deploy(connection, &key, &SETTINGS).await.unwrap();
        Self { _dir: dir, chain, clock, key, ledger }
    }

    pub(super) async fn manages<C: SolCall>(&self, call: C) {
        self.ledger.send(&self.key, Contract::Manager, call).await.unwrap();
    }

    /// Who may call functions of the members.
    pub(super) async fn gives(&self, functions: &[[u8; 4]], role: u64) {
        let selectors = functions.iter().map(|&f| f.into()).collect();
        let target = self.ledger.deployment().members;
        self.manages(AccessManager::setTargetFunctionRoleCall { target, selectors, roleId: role }).await;
    }

    /// Lets the clock go on.
    pub(super) async fn pass(&self, seconds: u64) {
        self.clock.set(self.ledger.time().await.unwrap() + seconds);
        self.ledger.tick(&self.key).await.unwrap();
    }
}
