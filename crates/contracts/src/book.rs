//! What the ledger says, as rows for people and programs.
//!
//! [`Book::apply`] takes the events of the contracts one after the other and folds them into rows: programs, enclaves,
//! datasets, models, queries, rounds, members. The time that this takes grows with the number of events and with nothing
//! else. [`Book::revenue`] adds the money up from the same events and compares it with what the contracts say themselves
//! ([`Holdings`]).
//!
//! Deliberately absent: names of parties (the ledger has none), and trust: a node that lies about its events lies
//! here. Whoever needs more replays the chain.

mod fold;
mod money;
mod powers;
mod rows;

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256};

use crate::{Contract, Deployment, Journal, LedgerError};
pub use money::{AccountMoney, Holdings, ModelMoney, Revenue};
pub use powers::Powers;
pub use rows::{
    Amount, Anchor, Audit, Dataset, DatasetState, Donor, Enclave, EnclaveState, Head, Kind, Member, Model,
    ModelState, Partial, Program, Query, QueryCounts, QueryState, Role, Round, RoundState, Serving, Terms,
};

/// Rows in the order in which they came to the ledger, found by their key.
#[derive(Debug, Clone)]
pub struct Shelf<K, R> {
    rows: Vec<R>,
    places: BTreeMap<K, usize>,
}

impl<K, R> Default for Shelf<K, R> {
    fn default() -> Self {
        Self { rows: Vec::new(), places: BTreeMap::new() }
    }
}

impl<K: Ord, R> Shelf<K, R> {
    /// The row with this key.
    pub fn get(&self, key: &K) -> Option<&R> {
        self.places.get(key).and_then(|&place| self.rows.get(place))
    }

    /// All rows, oldest first.
    pub fn iter(&self) -> std::slice::Iter<'_, R> {
        self.rows.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn get_mut(&mut self, key: &K) -> Option<&mut R> {
        self.places.get(key).and_then(|&place| self.rows.get_mut(place))
    }

    /// Appends a row, or replaces the one of its key.
    pub fn insert(&mut self, key: K, row: R) {
        match self.places.get(&key) {
            Some(&place) if place < self.rows.len() => self.rows[place] = row,
            _ => self.put(key, row),
        }
    }

    fn put(&mut self, key: K, row: R) {
        self.places.insert(key, self.rows.len());
        self.rows.push(row);
    }
}

/// Everything that was read, as of one block.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// Up to which block.
    pub head: Head,
    /// Members, also those that left.
    pub members: Shelf<Address, Member>,
    /// Programs by measurement.
    pub programs: Shelf<B256, Program>,
    /// Enclaves by signer.
    pub enclaves: Shelf<Address, Enclave>,
    /// Datasets by id.
    pub datasets: Shelf<B256, Dataset>,
    /// Models by number.
    pub models: Shelf<u64, Model>,
    /// Queries by id.
    pub queries: Shelf<B256, Query>,
    /// Rounds by model and number.
    pub rounds: Shelf<(u64, u32), Round>,
    /// What was paid to accounts that claimed, not counting donors.
    paid: BTreeMap<Address, Amount>,
    /// Who holds which role of the access manager.
    managers: BTreeMap<u64, Vec<Address>>,
    /// Earlier contracts of the deployment, by the names that now stand for their successors.
    predecessors: Vec<(String, Address)>,
    powers: Powers,
    /// How much of the journal is in it, and how often that had taken something back.
    taken: usize,
    rewound: u64,
}

impl Book {
    /// The contracts whose events make up the book.
    pub const CONTRACTS: [Contract; 8] = [
        Contract::Members,
        Contract::Programs,
        Contract::Enclaves,
        Contract::Datasets,
        Contract::Market,
        Contract::Rounds,
        Contract::Manager,
        Contract::Directory,
    ];

    /// Nothing is known yet of this deployment.
    pub fn of(deployment: &Deployment) -> Self {
        Self { powers: Powers::of(deployment), ..Self::default() }
    }

    /// Takes what is new in a journal, always the same one; what the journal [took back](Journal::rewound) goes, too. What
    /// needs the events of another contract than the journal has is left out: without `Market` nothing is donated, without
    /// `Programs` nothing is usable. After an error the book is of no use.
    pub fn take(&mut self, journal: &Journal) -> Result<(), LedgerError> {
        if self.rewound != journal.rewound() {
            let powers = self.powers.anew();
            *self = Self { powers, rewound: journal.rewound(), ..Self::default() };
        }
        for event in journal.events().get(self.taken..).unwrap_or_default() {
            self.apply(event)?;
            self.powers.see(&event.log, event.time);
            self.taken += 1;
        }
        self.head = journal.head().copied().unwrap_or_default();
        self.finish();
        Ok(())
    }

    /// Whether nothing of a journal is missing in it.
    pub fn is_up_to(&self, journal: &Journal) -> bool {
        self.rewound == journal.rewound()
            && self.taken == journal.events().len()
            && Some(&self.head) == journal.head()
    }

    /// Accounts that hold a role of the access manager (see [`manager_roles`](crate::manager_roles)).
    pub fn holders(&self, role: u64) -> &[Address] {
        self.managers.get(&role).map_or(&[], Vec::as_slice)
    }

    /// Who may do what without a vote. Needs the events of [`Powers::CONTRACTS`].
    pub fn powers(&self) -> &Powers {
        &self.powers
    }

    /// Earlier contracts of the deployment, with the name under which the directory now has their successors. Work that
    /// was begun there ends there.
    pub fn predecessors(&self) -> &[(String, Address)] {
        &self.predecessors
    }
}
