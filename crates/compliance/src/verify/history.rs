//! What happened on a chain that was executed again: every event and every contract creation, in order.
//!
//! Read block by block and not through the client, which caps the number of events in one answer and does not say in
//! which block an event lies.

use std::collections::BTreeMap;

use alloy_consensus::Transaction as _;
use alloy_primitives::{Bytes, Log};
use alloy_sol_types::SolEvent;
use histone_chain::{Chain, ChainError};
use histone_ledger::contracts::{Members, roles};
use histone_ledger::{Contract, Deployment};
use histone_protocol::{Address, B256};

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

/// Every event and creation of a chain.
#[derive(Debug, Default)]
pub(super) struct History {
    entries: Vec<Entry>,
    creations: BTreeMap<Address, Creation>,
}

impl History {
    /// Reads all blocks.
    pub(super) fn read(chain: &Chain) -> Result<Self, ChainError> {
        let mut history = Self::default();
        for block in 0..=chain.head()?.header.number {
            let Some(record) = chain.block(block)? else { continue };
            let time = record.header.timestamp;
            for (transaction, receipt) in record.transactions.into_iter().zip(record.receipts) {
                if receipt.success && transaction.inner().kind().is_create() {
                    let address = transaction.signer().create(transaction.inner().nonce());
                    let input = transaction.inner().input().clone();
                    history.creations.insert(address, Creation { block, input });
                }
                history.entries.extend(receipt.logs.into_iter().map(|log| Entry { block, time, log }));
            }
        }
        Ok(history)
    }

    /// The transaction that made the contract at `address`.
    pub(super) fn creation(&self, address: Address) -> Option<&Creation> {
        self.creations.get(&address)
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

    /// Members with the committee role before the event at `order`, with their seal keys.
    pub(super) fn committee(&self, deployment: &Deployment, order: usize) -> BTreeMap<Address, B256> {
        enum Change {
            Set(u8, B256),
            Key(B256),
            Roles(u8),
            Gone,
        }
        let mut changes = Vec::new();
        for s in self.events::<Members::MemberAdded>(deployment, Contract::Members) {
            changes.push((s.order, s.event.account, Change::Set(s.event.roles, s.event.sealKey)));
        }
        for s in self.events::<Members::MemberUpdated>(deployment, Contract::Members) {
            changes.push((s.order, s.event.account, Change::Key(s.event.sealKey)));
        }
        for s in self.events::<Members::RolesChanged>(deployment, Contract::Members) {
            changes.push((s.order, s.event.account, Change::Roles(s.event.roles)));
        }
        for s in self.events::<Members::MemberRemoved>(deployment, Contract::Members) {
            changes.push((s.order, s.event.account, Change::Gone));
        }
        changes.sort_by_key(|(order, ..)| *order);
        let mut members: BTreeMap<Address, (u8, B256)> = BTreeMap::new();
        for (_, account, change) in changes.into_iter().filter(|(o, ..)| *o < order) {
            match change {
                Change::Set(held, key) => {
                    members.insert(account, (held, key));
                }
                Change::Key(key) => {
                    members.entry(account).and_modify(|m| m.1 = key);
                }
                Change::Roles(held) => {
                    members.entry(account).and_modify(|m| m.0 = held);
                }
                Change::Gone => {
                    members.remove(&account);
                }
            }
        }
        let seated = members.into_iter().filter(|(_, (held, _))| held & roles::COMMITTEE != 0);
        seated.map(|(account, (_, key))| (account, key)).collect()
    }
}
