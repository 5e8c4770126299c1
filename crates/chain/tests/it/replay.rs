//! Replay finds what was changed behind the chain's back.

use std::path::Path;

use histone_chain::{Chain, ChainError, FILE_NAME, MAX_AHEAD, ReplayError, replay};
use redb::{Database, ReadableTable as _, TableDefinition};

use crate::support::*;

const ACCOUNT: TableDefinition<&[u8; 20], &[u8; 72]> = TableDefinition::new("account");
const SLOT: TableDefinition<&[u8; 52], &[u8; 32]> = TableDefinition::new("slot");
const CODE: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("code");
const BLOCK: TableDefinition<u64, &[u8]> = TableDefinition::new("block");
const TRANSACTION: TableDefinition<&[u8; 32], (u64, u32)> = TableDefinition::new("transaction");

/// Genesis, a deployment, a call, a transfer, and a block of two.
fn sample() -> tempfile::TempDir {
    let (chain, dir) = fresh();
    let (alice, bob) = (user(1), user(2));
    let counter = deploy(&chain, &alice, 0);
    mine(&chain, &bob.call(0, counter, []));
    mine(&chain, &alice.send(1, bob.address, 0x1234_5678));
    chain.produce(&[alice.send(2, user(60).address, 5), bob.call(1, counter, [1])]).unwrap();
    dir
}

fn tamper(dir: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = Database::open(dir.join(FILE_NAME)).unwrap();
    let txn = database.begin_write().unwrap();
    change(&txn);
    txn.commit().unwrap();
}

/// Flips one bit of the first place where `needle` occurs in block `number`, `offset` bytes further on.
fn tamper_block(dir: &Path, number: u64, needle: &[u8], offset: usize) {
    tamper(dir, |txn| {
        let mut table = txn.open_table(BLOCK).unwrap();
        let mut bytes = table.get(number).unwrap().unwrap().value().to_vec();
        let place = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
        bytes[place + offset] ^= 1;
        table.insert(number, bytes.as_slice()).unwrap();
    });
}

#[test]
fn honest_chain_passes() {
    let dir = sample();
    let report = replay(dir.path()).unwrap();
    let chain = open(dir.path());
    assert_eq!((report.blocks, report.transactions), (5, 5));
    assert_eq!(report.head, chain.head().unwrap().hash);
    assert_eq!(report.state_digest, chain.state_digest().unwrap());
    assert_eq!(report.genesis, genesis());
    let gas: u64 = (0..5).map(|n| chain.block(n).unwrap().unwrap().header.gas_used).sum();
    assert_eq!(report.gas, gas);
}

/// The clock reading beside a block bounds its time, and that of every block is looked at.
#[test]
fn a_block_ahead_of_the_clock_that_is_recorded_beside_it_is_refused() {
    for number in 0..5 {
        let dir = sample();
        tamper(dir.path(), |txn| {
            let mut table = txn.open_table(BLOCK).unwrap();
            let mut bytes = table.get(number).unwrap().unwrap().value().to_vec();
            // The last entry of a block: four bytes for the times of these tests.
            let timestamp = if number == 0 { START } else { START + 100 };
            let place = bytes.len() - 4;
            assert_eq!(bytes[place..], (START as u32 + 100).to_be_bytes());
            bytes[place..].copy_from_slice(&((timestamp - MAX_AHEAD) as u32 - 1).to_be_bytes());
            table.insert(number, bytes.as_slice()).unwrap();
        });
        match replay(dir.path()).unwrap_err() {
            ReplayError::Execution { block, source: ChainError::AheadOfClock { .. } } => {
                assert_eq!(block, number);
            }
            other => panic!("{number}: {other}"),
        }
    }
}

#[track_caller]
fn expect_block(dir: &Path, number: u64, name: &str) {
    match replay(dir) {
        Err(ReplayError::Block { block, field, .. }) => assert_eq!((block, field), (number, name)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn tampered_transaction_is_named() {
    let dir = sample();
    // The amount of the transfer in block 3, as RLP writes it.
    tamper_block(dir.path(), 3, &[0x84, 0x12, 0x34, 0x56, 0x78], 4);
    match replay(dir.path()) {
        // The signature now belongs to someone else, or to no one.
        Err(ReplayError::Block { block: 3, field: "stored sender", .. })
        | Err(ReplayError::Execution { block: 3, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn tampered_header_breaks_the_signature() {
    let dir = sample();
    let header = open(dir.path()).block(2).unwrap().unwrap().header;
    for field in [header.parent_hash, header.state_root, header.receipts_root, header.transactions_root] {
        let dir = sample();
        tamper_block(dir.path(), 2, field.as_slice(), 7);
        expect_block(dir.path(), 2, "sequencer signature");
    }
}

#[test]
fn tampered_signature_sender_and_receipt_are_named() {
    let original = sample();
    let record = open(original.path()).block(2).unwrap().unwrap();
    let bob = user(2).address;
    let cases: [(&[u8], &str); 3] = [
        (&record.signature.as_bytes(), "sequencer signature"),
        // The sender occurs only beside the raw transaction, which has a signature instead.
        (bob.as_slice(), "stored sender"),
        (record.receipts[0].logs[0].data.data.as_ref(), "stored receipt"),
    ];
    for (needle, field) in cases {
        let dir = sample();
        tamper_block(dir.path(), 2, needle, needle.len() - 1);
        // Block 2 is the first that differs, so the blocks before it were found good.
        match replay(dir.path()) {
            Err(ReplayError::Block { block: 2, field: found, .. }) => assert_eq!(found, field),
            // A bit of the parity byte makes it no signature at all.
            Err(ReplayError::Execution { block: 2, .. }) if field == "sequencer signature" => {}
            other => panic!("{field}: {other:?}"),
        }
    }
}

#[test]
fn tampered_genesis_is_noticed() {
    let dir = sample();
    tamper_block(dir.path(), 0, genesis().header().state_root.as_slice(), 0);
    expect_block(dir.path(), 0, "hash");
}

/// A sequencer that signs a wrong result is caught by re-execution, not by the signature.
#[test]
fn signed_lie_is_noticed() {
    let (liar, dir) = fresh();
    drop(liar);
    // The account table gives the user 8 more than the genesis did; the chain goes on from there.
    tamper(dir.path(), |txn| {
        let mut table = txn.open_table(ACCOUNT).unwrap();
        let address = user(8).address.into_array();
        let mut bytes = *table.get(&address).unwrap().unwrap().value();
        bytes[20] = 1;
        table.insert(&address, &bytes).unwrap();
    });
    let chain = open(dir.path());
    mine(&chain, &user(8).send(0, user(2).address, 1));
    drop(chain);
    expect_block(dir.path(), 1, "state commitment");
}

#[test]
fn tampered_state_is_named() {
    type Change = fn(&redb::WriteTransaction);
    let cases: [(&str, Change); 7] = [
        ("account", |txn| {
            let mut table = txn.open_table(ACCOUNT).unwrap();
            let address = user(5).address.into_array();
            let mut bytes = *table.get(&address).unwrap().unwrap().value();
            bytes[30] ^= 1;
            table.insert(&address, &bytes).unwrap();
        }),
        ("account", |txn| {
            txn.open_table(ACCOUNT).unwrap().remove(&user(5).address.into_array()).unwrap();
        }),
        ("account", |txn| {
            txn.open_table(ACCOUNT).unwrap().insert(&[0xab; 20], &[1; 72]).unwrap();
        }),
        ("slot", |txn| {
            let mut table = txn.open_table(SLOT).unwrap();
            let key = *table.first().unwrap().unwrap().0.value();
            table.insert(&key, &[9; 32]).unwrap();
        }),
        ("slot", |txn| {
            txn.open_table(SLOT).unwrap().insert(&[1; 52], &[9; 32]).unwrap();
        }),
        ("code", |txn| {
            let mut table = txn.open_table(CODE).unwrap();
            let key = *table.first().unwrap().unwrap().0.value();
            table.insert(&key, &[0u8][..]).unwrap();
        }),
        ("transaction", |txn| {
            txn.open_table(TRANSACTION).unwrap().insert(&[1; 32], (1, 7)).unwrap();
        }),
    ];
    for (kind, change) in cases {
        let dir = sample();
        tamper(dir.path(), change);
        match replay(dir.path()) {
            Err(ReplayError::State { key, .. }) => assert!(key.contains(kind), "{kind}: {key}"),
            other => panic!("{kind}: {other:?}"),
        }
    }
}

#[test]
fn missing_block_is_named() {
    let dir = sample();
    tamper(dir.path(), |txn| {
        txn.open_table(BLOCK).unwrap().remove(2).unwrap();
    });
    assert!(matches!(replay(dir.path()), Err(ReplayError::Execution { block: 2, .. })));
}

/// Errors of damaged entries reach the client as errors, not as panics.
#[test]
fn damaged_entries_do_not_panic() {
    for length in [0, 1, 40, 300, 700] {
        let dir = sample();
        tamper(dir.path(), |txn| {
            let mut table = txn.open_table(BLOCK).unwrap();
            let mut bytes = table.get(4).unwrap().unwrap().value().to_vec();
            bytes.truncate(length);
            table.insert(4, bytes.as_slice()).unwrap();
        });
        assert!(replay(dir.path()).is_err());
        if let Ok(chain) = Chain::open_read_only(dir.path(), clock()) {
            assert!(chain.block(4).is_err());
            let _ =
                chain.handle(br#"{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["0x4"]}"#);
        }
    }
}
