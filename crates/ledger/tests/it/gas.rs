//! What a transaction takes may be more than what was estimated.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use histone_chain::{Chain, Clock, Genesis, Sequencer};
use histone_contracts::Contract::Members as M;
use histone_contracts::{Members, roles};
use histone_ledger::{Connection, Ledger};
use histone_protocol::B256;

use crate::suite::{SETTINGS, key};

const START: u64 = 1_800_000_000;
/// The clock stands still.
const STANDS: u64 = u64::MAX;

/// A clock that goes on by a second when it was looked at so many times.
struct Soon(AtomicU64);

impl Clock for Soon {
    fn now(&self) -> u64 {
        match self.0.load(Ordering::SeqCst) {
            STANDS => START,
            0 => START + 1,
            looks => {
                self.0.store(looks - 1, Ordering::SeqCst);
                START
            }
        }
    }
}

#[tokio::test]
async fn a_second_between_estimate_and_block_is_paid_for() {
    let dir = tempfile::tempdir().unwrap();
    let founder = key(101);
    let sequencer = Sequencer::from_bytes(&founder.to_bytes()).unwrap();
    let genesis = Genesis {
        chain_id: 4_711,
        timestamp: START,
        sequencer: sequencer.address(),
        alloc: vec![],
        gas_limit: Genesis::GAS_LIMIT,
    };
    let clock = Arc::new(Soon(AtomicU64::new(STANDS)));
    let chain = Chain::create(dir.path(), genesis, sequencer, clock.clone()).unwrap();
    let connection = Connection::embedded(chain);
    let ledger = Ledger::deploy(connection.clone(), &founder, &SETTINGS).await.unwrap();
    let account = key(109).address();
    let add = Members::addCall {
        account,
        roles: roles::COMMITTEE,
        profile: B256::repeat_byte(1),
        sealKey: B256::repeat_byte(3),
    };
    ledger.send(&founder, M, add).await.unwrap();
    // Votes are counted by the second: in the same one a count is written over, in the next one it takes a new place.
    clock.0.store(1, Ordering::SeqCst);
    ledger.send(&founder, M, Members::removeCall { account }).await.unwrap();
    assert_eq!(connection.head().await.unwrap().time, START + 1);
}
