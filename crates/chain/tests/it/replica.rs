//! A copy that executes everything again, and the operator who lies to it.

use alloy_consensus::Header;
use alloy_primitives::Bytes;
use histone_chain::{
    Chain, ChainError, MAX_AHEAD, ManualClock, RawBlock, RawGenesis, ReplayError, Replica, replay,
};
use serde_json::json;
use std::sync::Arc;

use crate::support::*;

fn raw_genesis(chain: &Chain) -> RawGenesis {
    serde_json::from_value(ask(chain, "sequencer_getGenesis", json!([]))).unwrap()
}

fn raw_block(chain: &Chain, number: u64) -> RawBlock {
    serde_json::from_value(ask(chain, "sequencer_getBlock", json!([format!("{number:#x}")]))).unwrap()
}

/// A chain of four blocks: a contract, two calls and a transfer.
fn original() -> (Chain, tempfile::TempDir) {
    let (chain, dir) = fresh();
    let counter = deploy(&chain, &user(1), 0);
    mine(&chain, &user(1).call(1, counter, Bytes::new()));
    mine(&chain, &user(2).call(0, counter, Bytes::new()));
    mine(&chain, &user(3).send(0, user(4).address, 5));
    (chain, dir)
}

fn sign(header: &Header) -> Bytes {
    // The sequencer of these tests is user 200.
    Bytes::copy_from_slice(&user(200).sign_hash(header.hash_slow()).as_bytes())
}

#[test]
fn a_copy_of_an_honest_chain_is_the_chain() {
    let (chain, _dir) = original();
    let dir = tempfile::tempdir().unwrap();
    let replica = Replica::create(dir.path(), &raw_genesis(&chain), clock()).unwrap();
    assert_eq!(replica.genesis(), chain.genesis());
    replica.apply(&raw_block(&chain, 1)).unwrap();
    replica.apply(&raw_block(&chain, 2)).unwrap();
    drop(replica);
    // It goes on after a restart, and refuses a block that is not the next one.
    let replica = Replica::open(dir.path(), clock()).unwrap();
    let error = replica.apply(&raw_block(&chain, 4)).unwrap_err();
    assert!(matches!(error, ReplayError::Block { block: 3, field: "number", .. }), "{error}");
    for number in 3..=4 {
        replica.apply(&raw_block(&chain, number)).unwrap();
    }
    assert_eq!(replica.head().unwrap(), chain.head().unwrap());
    drop(replica);
    let copy = Chain::open_read_only(dir.path(), clock()).unwrap();
    assert_eq!(copy.state_digest().unwrap(), chain.state_digest().unwrap());
    drop(copy);
    assert_eq!(replay(dir.path()).unwrap().head, chain.head().unwrap().hash);
}

#[test]
fn the_first_lie_is_named_and_not_kept() {
    type Lie = fn(&mut Header);
    let lies: [(&str, Lie); 7] = [
        ("parent hash", |header| header.parent_hash.0[0] ^= 1),
        ("transactions root", |header| header.transactions_root.0[0] ^= 1),
        ("gas used", |header| header.gas_used += 1),
        ("receipts root", |header| header.receipts_root.0[0] ^= 1),
        ("state commitment", |header| header.state_root.0[0] ^= 1),
        ("gas limit", |header| header.gas_limit += 1),
        ("hash", |header| header.extra_data = Bytes::from_static(b"x")),
    ];
    let (chain, _dir) = original();
    let dir = tempfile::tempdir().unwrap();
    let replica = Replica::create(dir.path(), &raw_genesis(&chain), clock()).unwrap();
    replica.apply(&raw_block(&chain, 1)).unwrap();
    let honest = raw_block(&chain, 2);
    let before = replica.head().unwrap();
    for (field, lie) in lies {
        let mut header: Header = alloy_rlp::decode_exact(&honest.header).unwrap();
        lie(&mut header);
        // The operator has the key, so the lie is signed.
        let raw = RawBlock {
            header: alloy_rlp::encode(&header).into(),
            signature: sign(&header),
            transactions: honest.transactions.clone(),
        };
        match replica.apply(&raw).unwrap_err() {
            ReplayError::Block { block: 2, field: found, .. } => assert_eq!(found, field),
            other => panic!("{field}: {other}"),
        }
    }
    let others: [(&str, RawBlock); 5] = [
        (
            "its sequencer signature is",
            RawBlock { signature: raw_block(&chain, 3).signature, ..honest.clone() },
        ),
        ("not a signature", RawBlock { signature: Bytes::from_static(&[1, 2]), ..honest.clone() }),
        ("transactions root", RawBlock { transactions: Vec::new(), ..honest.clone() }),
        (
            "cannot be executed",
            RawBlock { transactions: vec![Bytes::from_static(&[0xc0])], ..honest.clone() },
        ),
        ("cannot be executed", RawBlock { header: Bytes::from_static(&[0xc1]), ..honest.clone() }),
    ];
    for (why, raw) in others {
        let error = replica.apply(&raw).unwrap_err().to_string();
        assert!(error.starts_with("block 2 ") && error.contains(why), "{error}");
    }
    assert_eq!(replica.head().unwrap(), before);
    replica.apply(&honest).unwrap();
}

/// What the operator has moved on, its own clock included, an auditor's clock still refuses.
#[test]
fn an_operator_who_moves_its_clock_ahead_finds_no_auditor() {
    let dir = tempfile::tempdir().unwrap();
    let operators = clock();
    let chain = Chain::create(dir.path(), genesis(), sequencer(), operators.clone()).unwrap();
    let transfer = |nonce| mine(&chain, &user(1).send(nonce, user(2).address, 1));
    transfer(0);
    operators.advance(MAX_AHEAD);
    transfer(1);
    operators.advance(1);
    transfer(2);
    // The operator's own file says that its clock was right.
    let copy = tempfile::tempdir().unwrap();
    let replica = Replica::create(copy.path(), &raw_genesis(&chain), clock()).unwrap();
    replica.apply(&raw_block(&chain, 1)).unwrap();
    replica.apply(&raw_block(&chain, 2)).unwrap();
    let before = replica.head().unwrap();
    match replica.apply(&raw_block(&chain, 3)).unwrap_err() {
        ReplayError::Execution {
            block: 3,
            source: ChainError::AheadOfClock { block: 3, timestamp, now },
        } => assert_eq!((timestamp, now), (START + 100 + MAX_AHEAD + 1, START + 100)),
        other => panic!("{other}"),
    }
    assert_eq!(replica.head().unwrap(), before);
    drop((replica, chain));
    assert_eq!(replay(dir.path()).unwrap().blocks, 4);
    assert_eq!(replay(copy.path()).unwrap().blocks, 3);
    // Once its time has come the block is as good as any.
    let later = clock();
    later.advance(1);
    let replica = Replica::open(copy.path(), later).unwrap();
    replica.apply(&raw_block(&Chain::open_read_only(dir.path(), clock()).unwrap(), 3)).unwrap();
    drop(replica);
    assert_eq!(replay(copy.path()).unwrap().blocks, 4);
    let early = Arc::new(ManualClock::new(START - MAX_AHEAD - 1));
    let raw = raw_genesis(&Chain::open_read_only(dir.path(), clock()).unwrap());
    let refused = Replica::create(&copy.path().join("other"), &raw, early).unwrap_err();
    assert!(matches!(refused, ReplayError::Execution { block: 0, .. }), "{refused}");
}

#[test]
fn a_signed_block_that_is_earlier_than_its_parent_is_refused() {
    let (chain, _dir) = original();
    let dir = tempfile::tempdir().unwrap();
    let replica = Replica::create(dir.path(), &raw_genesis(&chain), clock()).unwrap();
    replica.apply(&raw_block(&chain, 1)).unwrap();
    let honest = raw_block(&chain, 2);
    let mut header: Header = alloy_rlp::decode_exact(&honest.header).unwrap();
    header.timestamp -= 1;
    let raw =
        RawBlock { header: alloy_rlp::encode(&header).into(), signature: sign(&header), ..honest.clone() };
    let error = replica.apply(&raw).unwrap_err();
    assert!(matches!(error, ReplayError::Block { block: 2, field: "timestamp", .. }), "{error}");
    replica.apply(&honest).unwrap();
}

#[test]
fn a_genesis_must_be_signed_by_its_sequencer() {
    let (chain, _dir) = original();
    let honest = raw_genesis(&chain);
    let dir = tempfile::tempdir().unwrap();
    let create = |raw: &RawGenesis| Replica::create(dir.path(), raw, clock()).map(|_| ()).unwrap_err();
    let signature = raw_block(&chain, 1).signature;
    let error = create(&RawGenesis { signature, ..honest.clone() });
    assert!(matches!(error, ReplayError::Block { block: 0, field: "sequencer signature", .. }), "{error}");
    let error = create(&RawGenesis { genesis: Bytes::from_static(&[0xc0]), ..honest.clone() });
    assert!(matches!(error, ReplayError::Execution { block: 0, .. }), "{error}");
    drop(Replica::create(dir.path(), &honest, clock()).unwrap());
    assert!(matches!(create(&honest), ReplayError::Store(ChainError::Exists(_))));
}
