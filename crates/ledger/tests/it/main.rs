//! The contracts through the client, on the embedded chain.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use histone_chain::{Chain, Genesis, ManualClock, Sequencer};
use histone_ledger::contracts::{Members, Programs, TestToken, roles};
use histone_ledger::{Connection, Contract, Ledger, LedgerError};
use histone_protocol::keys::SigningKey;
use histone_protocol::{B256, U256};

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32]).unwrap()
}

async fn ledger(dir: &std::path::Path) -> Ledger {
    let sequencer = Sequencer::from_bytes(&[9; 32]).unwrap();
    let genesis = Genesis {
        chain_id: 4711,
        timestamp: 1_700_000_000,
        sequencer: sequencer.address(),
        alloc: vec![],
        gas_limit: Genesis::GAS_LIMIT,
    };
    let chain = Chain::create(dir, genesis, sequencer, Arc::new(ManualClock::new(1_700_000_001))).unwrap();
    Ledger::deploy(Connection::embedded(chain), &key(1)).await.unwrap()
}

fn refusal<T: std::fmt::Debug>(result: Result<T, LedgerError>) -> String {
    match result.unwrap_err() {
        LedgerError::Refused { explanation, .. } => explanation,
        other => panic!("not a refusal: {other}"),
    }
}

#[tokio::test]
async fn programs_need_members_and_auditors() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(dir.path()).await;
    let (admin, author, auditor) = (key(1), key(2), key(3));
    let register = || Programs::registerCall {
        measurement: B256::repeat_byte(1),
        sourceHash: B256::repeat_byte(2),
        wasmHash: B256::repeat_byte(3),
        kind: 2,
    };
    let refused = refusal(ledger.send(&author, Contract::Programs, register()).await);
    assert!(refused.starts_with("NotMember"), "{refused}");
    let add = |who: &SigningKey, role| Members::addCall {
        account: who.address(),
        roles: role,
        profile: B256::repeat_byte(4),
        sealKey: B256::repeat_byte(5),
    };
    let stranger = refusal(ledger.send(&author, Contract::Members, add(&author, roles::RUNNER)).await);
    assert!(stranger.starts_with("AccessManagedUnauthorized"), "{stranger}");
    ledger.send(&admin, Contract::Members, add(&author, roles::TRAINER)).await.unwrap();
    ledger.send(&admin, Contract::Members, add(&auditor, roles::AUDITOR)).await.unwrap();
    ledger.send(&author, Contract::Programs, register()).await.unwrap();
    let usable = || Programs::requireUsableCall { measurement: B256::repeat_byte(1), kind: 2 };
    let refused = refusal(ledger.read(Contract::Programs, usable()).await);
    assert!(refused.starts_with("NotAudited"), "{refused}");
    let audit = Programs::auditCall { measurement: B256::repeat_byte(1), reportHash: B256::repeat_byte(6) };
    ledger.send(&auditor, Contract::Programs, audit).await.unwrap();
    ledger.read(Contract::Programs, usable()).await.unwrap();
    let events = ledger.events::<Programs::ProgramAudited>(Contract::Programs).await.unwrap();
    assert_eq!((events.len(), events[0].auditor), (1, auditor.address()));
    assert_eq!(ledger.usage()["members.add"].count, 2);
}

#[tokio::test]
async fn the_test_token_is_minted_by_its_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(dir.path()).await;
    let mint = |amount| TestToken::mintCall { to: key(2).address(), amount: U256::from(amount) };
    ledger.send(&key(1), Contract::Token, mint(5u64)).await.unwrap();
    let refused = refusal(ledger.send(&key(2), Contract::Token, mint(5)).await);
    assert!(refused.starts_with("OwnableUnauthorizedAccount"), "{refused}");
    let balance = TestToken::balanceOfCall { account: key(2).address() };
    assert_eq!(ledger.read(Contract::Token, balance).await.unwrap(), U256::from(5));
}
