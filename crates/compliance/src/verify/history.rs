//! What happened on a chain: every event and every contract creation, in order.
//!
//! Either the chain was executed again here, or a node of a network tells what is in its blocks. Read block by block and
//! not by asking for events, because nodes cap the number of events in one answer.

use std::collections::{BTreeMap, BTreeSet};

use alloy_consensus::Transaction as _;
use alloy_primitives::{Bytes, Log};
use alloy_sol_types::SolEvent;
use histone_chain::{Chain, ChainError};
use histone_contracts::{Contract, Deployment, Programs, function_name};
use histone_ledger::{Connection, ToldTransaction};
use histone_protocol::{Address, B256};

use super::findings::told;

/// An event and where it lies.
#[derive(Debug, Clone)]
pub(super) struct Seen<E> {
    /// What was said.
    pub event: E,
    /// In which block.
    pub block: u64,
    /// Timestamp of the block, Unix seconds.
    pub time: u64,
    /// Position among all events of the chain.
    pub order: usize,
}

/// When something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// Timestamp of the block, Unix seconds.
    pub time: u64,
    /// Position among all events of the chain.
    pub order: usize,
}

impl<E> Seen<E> {
    /// When it happened.
    pub(super) fn moment(&self) -> Moment {
        Moment { time: self.time, order: self.order }
    }
}

/// A transaction that made a contract.
#[derive(Debug, Clone)]
pub(super) struct Creation {
    /// In which block.
    pub block: u64,
    /// Code and arguments of the constructor.
    pub input: Bytes,
}

#[derive(Debug)]
struct Entry {
    block: u64,
    time: u64,
    log: Log,
}

/// A transaction that succeeded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub from: Address,
    /// What it called or made.
    pub to: Address,
    /// What it called there; none when it made a contract or carried nothing.
    pub function: Option<[u8; 4]>,
    pub gas: u64,
}

impl Sent {
    fn new(from: Address, called: Option<Address>, created: Option<Address>, input: &[u8], gas: u64) -> Self {
        let function = input.first_chunk().copied().filter(|_| created.is_none());
        Self { from, to: created.or(called).unwrap_or_default(), function, gas }
    }

    /// `contract.function`, as the run counted it.
    pub(super) fn name(&self, deployment: &Deployment) -> String {
        let contract = Contract::ALL.into_iter().find(|c| deployment.address(*c) == self.to);
        match (contract, self.function) {
            (Some(contract), None) => format!("{contract}.deploy"),
            (Some(contract), Some(selector)) => {
                format!("{contract}.{}", function_name(contract, selector).unwrap_or("unknown"))
            }
            (None, None) if self.to == self.from => "clock.tick".into(),
            (None, _) => "other".into(),
        }
    }
}

/// Every event and creation of a chain, or of the part of a network's history that a run is in.
#[derive(Debug, Default)]
pub(super) struct History {
    entries: Vec<Entry>,
    creations: BTreeMap<Address, Creation>,
    pub(super) sent: Vec<Sent>,
}

impl History {
    /// Reads all blocks.
    pub(super) fn read(chain: &Chain) -> Result<Self, ChainError> {
        let mut history = Self::default();
        for block in 0..=chain.head()?.header.number {
            let Some(record) = chain.block(block)? else { continue };
            let time = record.header.timestamp;
            for (transaction, receipt) in record.transactions.into_iter().zip(record.receipts) {
                if receipt.success {
                    let (from, inner) = (transaction.signer(), transaction.inner());
                    let created = inner.kind().is_create().then(|| from.create(inner.nonce()));
                    history.sent.push(Sent::new(from, inner.to(), created, inner.input(), receipt.gas_used));
                    if let Some(address) = created {
                        history.creations.insert(address, Creation { block, input: inner.input().clone() });
                    }
                }
                history.entries.extend(receipt.logs.into_iter().map(|log| Entry { block, time, log }));
            }
        }
        Ok(history)
    }

    /// Reads the blocks `first` to `last` as a node tells them; the last one must have the hash `head` and each one must
    /// name the one before it.
    pub(super) async fn told(node: &Connection, first: u64, last: u64, head: B256) -> Result<Self, String> {
        let mut history = Self::default();
        let mut before: Option<B256> = None;
        for block in first..=last {
            let read = node.block(block).await.map_err(|e| told(&e))?;
            let Some(record) = read else {
                return Err(format!("the node has no block {block}; the run ended with block {last}"));
            };
            if before.is_some_and(|hash| hash != record.parent) {
                return Err(format!("block {block} follows {}, not block {}", record.parent, block - 1));
            }
            before = Some(record.hash);
            for transaction in record.transactions {
                if !transaction.success {
                    continue;
                }
                let ToldTransaction { from, to, created, ref input, gas, .. } = transaction;
                history.sent.push(Sent::new(from, to, created, input, gas));
                if let Some(address) = transaction.created {
                    history.creations.insert(address, Creation { block, input: transaction.input });
                }
                let entry = |log| Entry { block, time: record.time, log };
                history.entries.extend(transaction.logs.into_iter().map(entry));
            }
        }
        if before != Some(head) {
            let found = before.map_or_else(|| "none".into(), |hash| hash.to_string());
            return Err(format!(
                "block {last} is {found}, manifest.json says {head}: this is another network, or one whose history was changed"
            ));
        }
        Ok(history)
    }

    /// Whether the members allowed a program when the event at `order` happened.
    pub(super) fn allowed(&self, deployment: &Deployment, measurement: B256, order: usize) -> bool {
        let allowed = self.events::<Programs::ProgramAllowed>(deployment, Contract::Programs);
        let ended = self.events::<Programs::ProgramDisallowed>(deployment, Contract::Programs);
        let last = |orders: &mut dyn Iterator<Item = usize>| orders.filter(|o| *o < order).max();
        let allowed =
            last(&mut allowed.iter().filter(|s| s.event.measurement == measurement).map(|s| s.order));
        let ended = last(&mut ended.iter().filter(|s| s.event.measurement == measurement).map(|s| s.order));
        // `None` is less than any position.
        allowed > ended
    }

    /// The position of the first event in a block after that second.
    pub(super) fn order_after(&self, time: u64) -> usize {
        self.entries.iter().position(|e| e.time > time).unwrap_or(self.entries.len())
    }

    /// Timestamp of the last block with an event.
    pub(super) fn last_time(&self) -> u64 {
        self.entries.last().map_or(0, |e| e.time)
    }

    /// The transaction that made the contract at `address`.
    pub(super) fn creation(&self, address: Address) -> Option<&Creation> {
        self.creations.get(&address)
    }

    /// All events, of whatever contract, with the timestamps of their blocks in Unix seconds; oldest first.
    pub(super) fn logs(&self) -> impl Iterator<Item = (&Log, u64)> {
        self.entries.iter().map(|e| (&e.log, e.time))
    }

    /// Every 32 bytes that a contract said: whatever hash the ledger names is among them.
    pub(super) fn words(&self) -> BTreeSet<B256> {
        let of = |e: &Entry| {
            let data = e.log.data.data.chunks_exact(32).map(B256::from_slice);
            e.log.topics().iter().copied().chain(data).collect::<Vec<_>>()
        };
        self.entries.iter().flat_map(of).collect()
    }

    /// All events of type `E` of a contract, oldest first.
    pub(super) fn events<E: SolEvent>(&self, deployment: &Deployment, contract: Contract) -> Vec<Seen<E>> {
        let address = deployment.address(contract);
        let of_type =
            |e: &&Entry| e.log.address == address && e.log.topics().first() == Some(&E::SIGNATURE_HASH);
        // The contract's code was compared with ours before, so that its events decode.
        let decoded = |(order, e): (usize, &Entry)| {
            let event = E::decode_log(&e.log).ok()?.data;
            Some(Seen { event, block: e.block, time: e.time, order })
        };
        self.entries.iter().enumerate().filter(|(_, e)| of_type(e)).filter_map(decoded).collect()
    }
}
