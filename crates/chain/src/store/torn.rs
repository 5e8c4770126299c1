//! What a power cut leaves of a file, below the level of processes: any part of what was written since the last sync.
//!
//! A [`Disk`] in memory keeps a log of what redb asks of it. A crash image is the state at the last completed sync plus
//! an arbitrary selection of what came after it, in order, some of it torn. From each image the chain is opened, checked
//! against what had been promised by then, executed again, and continued.

#![allow(clippy::unwrap_used)]

use std::io;
use std::sync::{Arc, Mutex};

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use k256::ecdsa::SigningKey;
use proptest::prelude::*;
use redb::StorageBackend;

use super::{Handle, Store, builder};
use crate::replay::replay_store;
use crate::{Chain, Genesis, ManualClock, Sequencer};

const START: u64 = 1_700_000_000;

#[derive(Clone, Debug)]
enum Operation {
    Write { offset: usize, data: Vec<u8> },
    SetLength(usize),
    Sync,
}

/// A file in memory that remembers how it became what it is.
#[derive(Clone, Debug, Default)]
struct Disk {
    state: Arc<Mutex<DiskState>>,
}

#[derive(Debug, Default)]
struct DiskState {
    bytes: Vec<u8>,
    log: Vec<Operation>,
}

impl DiskState {
    fn does(&mut self, operation: Operation) {
        apply(&mut self.bytes, &operation);
        self.log.push(operation);
    }
}

fn apply(bytes: &mut Vec<u8>, operation: &Operation) {
    match operation {
        Operation::Write { offset, data } => {
            let end = offset + data.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*offset..end].copy_from_slice(data);
        }
        Operation::SetLength(length) => bytes.resize(*length, 0),
        Operation::Sync => {}
    }
}

impl Disk {
    fn holding(bytes: Vec<u8>) -> Disk {
        Disk { state: Arc::new(Mutex::new(DiskState { bytes, log: Vec::new() })) }
    }

    fn position(&self) -> usize {
        self.state.lock().unwrap().log.len()
    }

    fn log(&self) -> Vec<Operation> {
        self.state.lock().unwrap().log.clone()
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.state.lock().unwrap().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let state = self.state.lock().unwrap();
        let offset = usize::try_from(offset).unwrap();
        let found = state.bytes.get(offset..offset + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), io::Error> {
        self.state.lock().unwrap().does(Operation::SetLength(usize::try_from(length).unwrap()));
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.state.lock().unwrap().does(Operation::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let offset = usize::try_from(offset).unwrap();
        self.state.lock().unwrap().does(Operation::Write { offset, data: data.to_vec() });
        Ok(())
    }
}

/// Numbers that follow from a seed (SplitMix64), so that a failure can be repeated.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// What may be on `base` after a power cut when `log[..position]` had been asked for: everything up to the last sync, and
/// of the rest whatever chance lets through.
fn image(base: &[u8], log: &[Operation], position: usize, chance: &mut Chance) -> Vec<u8> {
    let log = &log[..position];
    let safe = log.iter().rposition(|op| matches!(op, Operation::Sync)).map_or(0, |at| at + 1);
    let mut bytes = base.to_vec();
    for operation in &log[..safe] {
        apply(&mut bytes, operation);
    }
    let pending = &log[safe..];
    // None, few, half, most or all of them.
    let eighths = [0, 1, 4, 7, 8][chance.below(5)];
    for (i, operation) in pending.iter().enumerate() {
        let last = i + 1 == pending.len();
        match operation {
            Operation::Write { offset, data } if chance.below(if last { 2 } else { 4 }) == 0 => {
                torn(&mut bytes, *offset, data, chance);
            }
            _ if chance.below(8) < eighths => apply(&mut bytes, operation),
            _ => {}
        }
    }
    bytes
}

/// A part of one write: its beginning up to any byte, or any of its sectors.
fn torn(bytes: &mut Vec<u8>, offset: usize, data: &[u8], chance: &mut Chance) {
    if chance.below(2) == 0 {
        let data = data[..chance.below(data.len() + 1)].to_vec();
        return apply(bytes, &Operation::Write { offset, data });
    }
    for (i, sector) in data.chunks(512).enumerate() {
        if chance.below(2) == 0 {
            apply(bytes, &Operation::Write { offset: offset + i * 512, data: sector.to_vec() });
        }
    }
}

fn sequencer() -> Sequencer {
    Sequencer::from_bytes(&[200; 32]).unwrap()
}

fn sender() -> SigningKey {
    SigningKey::from_slice(&[1; 32]).unwrap()
}

fn genesis() -> Genesis {
    Genesis {
        chain_id: 7,
        timestamp: START,
        sequencer: sequencer().address(),
        alloc: vec![(Address::from_public_key(sender().verifying_key()), U256::from(1_000_000))],
        gas_limit: Genesis::GAS_LIMIT,
    }
}

/// A transfer of one wei to an account of its own, with as much data as makes the block take several pages.
fn transfer(nonce: u64, padding: usize) -> Bytes {
    let transaction = TxEip1559 {
        chain_id: 7,
        nonce,
        to: TxKind::Call(Address::from_word(B256::from(U256::from(nonce + 1000)))),
        value: U256::from(1),
        gas_limit: 1_000_000,
        input: vec![0x5a; padding].into(),
        ..TxEip1559::default()
    };
    let signature = sender().sign_prehash_recoverable(transaction.signature_hash().as_slice()).unwrap();
    TxEnvelope::from(transaction.into_signed(signature.into())).encoded_2718().into()
}

fn open(disk: &Disk) -> Chain {
    let database = builder().create_with_backend(disk.clone()).unwrap();
    let store = Store::new("a disk in memory".as_ref(), Handle::Write(database)).checked().unwrap();
    Chain::on(store, sequencer(), Arc::new(ManualClock::new(START + 100))).unwrap()
}

/// A block that was promised: its number, its hash, and where in the log the promise was made.
struct Promise {
    number: u64,
    hash: B256,
    transactions: Vec<B256>,
    position: usize,
}

/// Makes `blocks` blocks on `chain` and notes when each was promised.
fn grow(chain: &Chain, disk: &Disk, blocks: usize, chance: &mut Chance) -> Vec<Promise> {
    (0..blocks)
        .map(|_| {
            let nonce = chain.size().unwrap().transactions;
            let count = chance.below(3) as u64;
            let padding = [0, 40, 9_000][chance.below(3)];
            let raw: Vec<Bytes> = (nonce..nonce + count).map(|nonce| transfer(nonce, padding)).collect();
            let executed = chain.produce(&raw).unwrap();
            Promise {
                number: executed.block().header.number,
                hash: executed.hash(),
                transactions: executed.block().transactions.iter().map(|tx| tx.hash()).collect(),
                position: disk.position(),
            }
        })
        .collect()
}

/// The chain keeps what it promised up to `position`, its history holds, and it goes on.
#[track_caller]
fn check(disk: &Disk, promises: &[Promise], position: usize) {
    let chain = open(disk);
    let kept: Vec<&Promise> = promises.iter().filter(|promise| promise.position <= position).collect();
    let promised = kept.last().map_or(0, |promise| promise.number);
    let head = chain.head().unwrap().header.number;
    assert!(head == promised || head == promised + 1, "block {head} after a promise of {promised}");
    for promise in kept {
        let record = chain.block(promise.number).unwrap().unwrap();
        assert_eq!(record.hash, promise.hash, "block {}", promise.number);
        assert_eq!(record.receipts.len(), promise.transactions.len());
        for (i, hash) in promise.transactions.iter().enumerate() {
            let place = chain.view().unwrap().find_transaction(*hash).unwrap();
            assert_eq!(place, Some((promise.number, i)));
        }
    }
    let nonce = chain.size().unwrap().transactions;
    chain.produce(&[transfer(nonce, 0)]).unwrap();
    // Everything that was kept, and one block more.
    let report = replay_store(chain.store()).unwrap();
    assert_eq!((report.blocks, report.transactions), (head + 2, nonce + 1));
}

/// `images` crash images of one run of `blocks` blocks, and of a quarter of them a second crash while the first is repaired.
fn crash(seed: u64, blocks: usize, images: usize) {
    let mut chance = Chance(seed);
    // Block 0 is written to a file of another name and renamed when it is complete, so the log begins after it.
    let disk = Disk::default();
    let store = Handle::Write(builder().create_with_backend(disk.clone()).unwrap());
    let signature = sequencer().sign(genesis().header().hash_slow()).unwrap();
    Store::new("a disk in memory".as_ref(), store)
        .write_genesis(&genesis(), &signature, genesis().timestamp)
        .unwrap();
    let base = disk.state.lock().unwrap().bytes.clone();

    let disk = Disk::holding(base.clone());
    let chain = open(&disk);
    let promises = grow(&chain, &disk, blocks, &mut chance);
    // Closing writes too, and can be cut as well.
    drop(chain);
    let log = disk.log();
    for _ in 0..images {
        let position = chance.below(log.len() + 1);
        let left = image(&base, &log, position, &mut chance);
        let disk = Disk::holding(left.clone());
        check(&disk, &promises, position);
        if chance.below(4) == 0 {
            // The log of the repair, of the check and of the closing; what the check added may be there or not.
            let repair = disk.log();
            let first_sync =
                repair.iter().position(|op| matches!(op, Operation::Sync)).unwrap_or(repair.len());
            let cut = chance.below(first_sync + 1);
            check(&Disk::holding(image(&left, &repair, cut, &mut chance)), &promises, position);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 25, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_power_cut_breaks_no_promise(seed in any::<u64>(), blocks in 1..8_usize) {
        crash(seed, blocks, 40);
    }
}

/// The same at length: `HISTONE_TORN_RUNS` runs (1000) of 40 images.
#[test]
#[ignore = "takes minutes: cargo test --release -p histone-chain --lib -- --ignored power_cuts_at_length"]
fn power_cuts_at_length() {
    let runs = std::env::var("HISTONE_TORN_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(1000);
    for seed in 0..runs {
        crash(seed, 1 + seed as usize % 40, 40);
    }
}

/// The images are not all whole: otherwise the test would prove nothing.
#[test]
fn images_differ_and_a_broken_promise_is_seen() {
    let log = [
        Operation::Write { offset: 0, data: vec![1; 4096] },
        Operation::Sync,
        Operation::Write { offset: 0, data: vec![2; 4096] },
        Operation::Write { offset: 4096, data: vec![3; 4096] },
    ];
    let images: std::collections::BTreeSet<Vec<u8>> =
        (0..50).map(|seed| image(&[], &log, log.len(), &mut Chance(seed))).collect();
    assert!(images.len() > 20, "{} different images", images.len());
    assert!(
        images.iter().all(|bytes| bytes.len() >= 4096 && bytes[..4096].iter().all(|b| [1, 2].contains(b)))
    );
    // Before the first sync nothing is safe.
    assert!((0..50).any(|seed| image(&[], &log, 1, &mut Chance(seed)).is_empty()));

    // A disk that lies about a sync loses a promised block.
    let disk = Disk::default();
    let store = Handle::Write(builder().create_with_backend(disk.clone()).unwrap());
    let signature = sequencer().sign(genesis().header().hash_slow()).unwrap();
    Store::new("a disk in memory".as_ref(), store)
        .write_genesis(&genesis(), &signature, genesis().timestamp)
        .unwrap();
    let base = disk.state.lock().unwrap().bytes.clone();
    let disk = Disk::holding(base.clone());
    let chain = open(&disk);
    let promises = grow(&chain, &disk, 2, &mut Chance(1));
    let broken = std::panic::catch_unwind(|| check(&Disk::holding(base), &promises, disk.position()));
    assert!(broken.is_err());
}
