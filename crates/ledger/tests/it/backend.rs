//! Where tests put their contracts: on an embedded chain of their own each, or with `HISTONE_TEST_RPC=URL` all on the node
//! of that address, which must be a development node such as anvil: its clock is moved.
//!
//! Tests on one node share its clock, which only goes on. They run one after the other (`--test-threads=1`), each with
//! contracts of its own.

#![allow(dead_code)] // Two test programs use this file, each of them another part of it.

use std::path::Path;
use std::sync::Arc;

use histone_chain::{Chain, Genesis, ManualClock, Sequencer};
use histone_ledger::Connection;
use histone_protocol::keys::SigningKey;
use histone_protocol::{Address, U256};

/// First moment of an embedded chain.
const START: u64 = 1_800_000_000;
/// The first development account of anvil, as everybody knows it.
const DEVELOPER: [u8; 32] = [
    0xac, 0x09, 0x74, 0xbe, 0xc3, 0x9a, 0x17, 0xe3, 0x6b, 0xa4, 0xa6, 0xb4, 0xd2, 0x38, 0xff, 0x94, 0x4b,
    0xac, 0xb4, 0x78, 0xcb, 0xed, 0x5e, 0xfc, 0xae, 0x78, 0x4d, 0x7b, 0xf4, 0xf2, 0xff, 0x80,
];

/// A chain with a clock that tests move.
pub struct Backend {
    pub connection: Connection,
    clock: Option<Arc<ManualClock>>,
}

/// Whether tests use a node of somebody else.
pub fn on_node() -> bool {
    std::env::var_os("HISTONE_TEST_RPC").is_some()
}

/// The first development account of anvil, which has coins there.
pub fn developer() -> SigningKey {
    SigningKey::from_bytes(&DEVELOPER).unwrap()
}

impl Backend {
    /// The node, or an embedded chain in `dir` whose blocks `sequencer` signs.
    pub fn new(dir: &Path, chain_id: u64, sequencer: &SigningKey) -> Self {
        if let Some(url) = std::env::var_os("HISTONE_TEST_RPC") {
            let connection = Connection::http(url.to_str().unwrap()).unwrap();
            return Self { connection, clock: None };
        }
        let sequencer = Sequencer::from_bytes(&sequencer.to_bytes()).unwrap();
        let genesis = Genesis {
            chain_id,
            timestamp: START,
            sequencer: sequencer.address(),
            alloc: vec![],
            gas_limit: Genesis::GAS_LIMIT,
        };
        let clock = Arc::new(ManualClock::new(START));
        std::fs::create_dir_all(dir).unwrap();
        let chain = Chain::create(dir, genesis, sequencer, clock.clone()).unwrap();
        Self { connection: Connection::embedded(chain), clock: Some(clock) }
    }

    /// Lets so many seconds pass and makes a block then; `key` signs it where a transaction is needed for that.
    pub async fn pass(&self, seconds: u64, key: &SigningKey) {
        match &self.clock {
            Some(clock) => {
                clock.set(self.connection.head().await.unwrap().time + seconds);
                self.connection.send_coins(key, key.address(), U256::ZERO).await.unwrap();
            }
            None => self.connection.move_clock(seconds).await.unwrap(),
        }
    }

    /// Gives accounts coins for gas where it costs some.
    pub async fn fund(&self, accounts: impl IntoIterator<Item = Address>) {
        if self.clock.is_some() {
            return;
        }
        let developer = developer();
        let coin = U256::from(1_000_000_000_000_000_000u64);
        for account in accounts {
            if self.connection.coins(account).await.unwrap() < coin {
                self.connection.send_coins(&developer, account, coin * U256::from(5)).await.unwrap();
            }
        }
    }
}
