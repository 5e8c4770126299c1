//! What the contracts said, in the order in which they said it, read once.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Log};
use alloy_sol_types::SolEvent;

use crate::book::Head;
use crate::{Contract, LedgerError};

/// How many blocks up to which was read are remembered: so far back a fork costs no second reading of everything.
const HEADS: usize = 64;

/// Something that a contract said.
#[derive(Debug, Clone)]
pub struct Event {
    /// Block and position among the logs of the block: events of all contracts are ordered by it.
    pub at: (u64, u64),
    /// Timestamp of the block, Unix seconds. Some nodes do not date events.
    pub time: Option<u64>,
    /// Who said it.
    pub contract: Contract,
    /// What was said.
    pub log: Log,
}

/// An event and its place on the chain.
#[derive(Debug, Clone)]
pub struct Logged<E> {
    /// Block and position among the logs of the block: events of all contracts are ordered by it.
    pub at: (u64, u64),
    /// Timestamp of the block, Unix seconds.
    pub time: u64,
    /// What was said.
    pub event: E,
}

/// All events of the contracts up to one block. Whoever follows a chain adds what is new, and takes back what a fork undid.
#[derive(Debug, Default)]
pub struct Journal {
    events: Vec<Event>,
    /// Places in `events`, by contract, kind of event, and first indexed argument (`None`: whatever it is).
    places: BTreeMap<(Contract, B256, Option<B256>), Vec<usize>>,
    /// Up to where was read, oldest first.
    heads: Vec<Head>,
    /// When blocks were made whose events came undated.
    dates: BTreeMap<u64, u64>,
    rewound: u64,
}

impl Journal {
    /// Up to which block it goes; nothing when nothing was read yet.
    pub fn head(&self) -> Option<&Head> {
        self.heads.last()
    }

    /// All events, oldest first.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// How often it took something back. Whoever holds a place in [`events`](Self::events) begins again when it changes.
    pub fn rewound(&self) -> u64 {
        self.rewound
    }

    /// Takes the events of the blocks after its head, up to and with `head`. Those of other blocks are left out: a block
    /// may have come since the head was asked for.
    pub fn extend(&mut self, events: impl IntoIterator<Item = Event>, head: Head) {
        let after = self.head().map(|head| head.block);
        let new = |event: &Event| Some(event.at.0) > after && event.at.0 <= head.block;
        let mut events: Vec<Event> = events.into_iter().filter(new).collect();
        // Nodes give them in order; one that does not, or gives one twice, changes nothing.
        events.sort_by_key(|event| event.at);
        events.dedup_by_key(|event| event.at);
        for event in events {
            self.index(&event, self.events.len());
            self.events.push(event);
        }
        self.heads.push(head);
        if self.heads.len() > HEADS {
            self.heads.remove(0);
        }
    }

    /// Takes back the newest reading, because the chain has another block there now: the head becomes the one before.
    pub fn step_back(&mut self) {
        self.heads.pop();
        let keep = self.head().map(|head| head.block);
        let left = self.events.partition_point(|event| Some(event.at.0) <= keep);
        self.events.truncate(left);
        for places in self.places.values_mut() {
            let left = places.partition_point(|place| *place < self.events.len());
            places.truncate(left);
        }
        self.dates.retain(|block, _| Some(*block) <= keep);
        self.rewound += 1;
    }

    fn index(&mut self, event: &Event, place: usize) {
        let topics = event.log.topics();
        let Some(kind) = topics.first() else { return };
        self.places.entry((event.contract, *kind, None)).or_default().push(place);
        if let Some(about) = topics.get(1) {
            self.places.entry((event.contract, *kind, Some(*about))).or_default().push(place);
        }
    }

    fn of<E: SolEvent>(&self, contract: Contract, about: Option<B256>) -> impl Iterator<Item = &Event> {
        let places = self.places.get(&(contract, E::SIGNATURE_HASH, about)).map_or(&[][..], Vec::as_slice);
        places.iter().filter_map(|&place| self.events.get(place))
    }

    fn time_of(&self, event: &Event) -> Option<u64> {
        event.time.or_else(|| self.dates.get(&event.at.0).copied())
    }

    /// Blocks with events of type `E` about something of which nobody knows yet when they were made: [`date`](Self::date)
    /// says it.
    pub fn undated<E: SolEvent>(&self, contract: Contract, about: Option<B256>) -> Vec<u64> {
        let undated = self.of::<E>(contract, about).filter(|event| self.time_of(event).is_none());
        let mut blocks: Vec<u64> = undated.map(|event| event.at.0).collect();
        blocks.dedup();
        blocks
    }

    /// Says when a block was made, in Unix seconds.
    pub fn date(&mut self, block: u64, time: u64) {
        self.dates.insert(block, time);
    }

    /// Events of type `E` of a contract, oldest first.
    pub fn said<E: SolEvent>(&self, contract: Contract) -> Result<Vec<E>, LedgerError> {
        self.of::<E>(contract, None).map(|event| decoded(event)).collect()
    }

    /// Events of type `E` of a contract, oldest first, each with its place and time; of those whose first indexed argument
    /// is `about`, where one is given. An event that is [undated](Self::undated) is an error.
    pub fn logged<E: SolEvent>(
        &self,
        contract: Contract,
        about: Option<B256>,
    ) -> Result<Vec<Logged<E>>, LedgerError> {
        let logged = |event: &Event| {
            let time = self.time_of(event).ok_or_else(|| LedgerError::Decode {
                name: format!("{contract}.{}", E::SIGNATURE),
                detail: format!("block {} has no time", event.at.0),
            })?;
            Ok(Logged { at: event.at, time, event: decoded(event)? })
        };
        self.of::<E>(contract, about).map(logged).collect()
    }
}

fn decoded<E: SolEvent>(event: &Event) -> Result<E, LedgerError> {
    let decoded = E::decode_log(&event.log).map_err(|e| LedgerError::Decode {
        name: format!("{}.{}", event.contract, E::SIGNATURE),
        detail: e.to_string(),
    })?;
    Ok(decoded.data)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use alloy_primitives::{Address, U256};

    use super::*;
    use crate::{Book, Deployment, Market};

    fn head(block: u64, fork: u8) -> Head {
        Head { block, hash: B256::repeat_byte(fork), time: 100 + block }
    }

    fn ended(model: u64, donor: u16, at: (u64, u64)) -> Event {
        let said = Market::DonorUseEnded { modelId: U256::from(model), donorIndex: donor };
        let log = Log { address: Address::ZERO, data: said.encode_log_data() };
        Event { at, time: None, contract: Contract::Market, log }
    }

    fn donors(journal: &Journal, model: u64) -> Vec<u16> {
        let about = Some(B256::from(U256::from(model)));
        let mut donors = Vec::new();
        for logged in journal.logged::<Market::DonorUseEnded>(Contract::Market, about).unwrap() {
            donors.push(logged.event.donorIndex);
        }
        donors
    }

    #[test]
    fn what_is_read_again_or_later_changes_nothing() {
        let mut journal = Journal::default();
        // Out of order, one twice, one of a block that came meanwhile.
        let read = [
            ended(1, 2, (5, 1)),
            ended(1, 1, (5, 0)),
            ended(1, 2, (5, 1)),
            ended(2, 9, (3, 0)),
            ended(1, 7, (6, 0)),
        ];
        journal.extend(read, head(5, 0));
        assert_eq!(journal.undated::<Market::DonorUseEnded>(Contract::Market, None), [3, 5]);
        let none = journal.logged::<Market::DonorUseEnded>(Contract::Market, None).unwrap_err();
        assert!(none.to_string().contains("block 3 has no time"), "{none}");
        journal.date(3, 103);
        journal.date(5, 105);
        assert_eq!((donors(&journal, 1), donors(&journal, 2)), (vec![1, 2], vec![9]));
        journal.extend([ended(1, 7, (6, 0)), ended(1, 2, (5, 1))], head(6, 0));
        journal.date(6, 106);
        assert_eq!(donors(&journal, 1), [1, 2, 7]);
        assert_eq!(journal.rewound(), 0);
    }

    #[test]
    fn a_fork_takes_back_what_was_said_on_it() {
        let mut journal = Journal::default();
        journal.extend([ended(1, 1, (1, 0))], head(2, 0));
        journal.extend([ended(1, 2, (3, 0))], head(3, 1));
        journal.extend([ended(1, 3, (4, 0))], head(4, 1));
        journal.step_back();
        journal.step_back();
        assert_eq!((journal.head().unwrap().block, journal.rewound()), (2, 2));
        journal.extend([ended(1, 4, (3, 0))], head(3, 2));
        (1..=3).for_each(|block| journal.date(block, 100 + block));
        assert_eq!(donors(&journal, 1), [1, 4]);
        assert_eq!(journal.events().len(), 2);
        journal.step_back();
        journal.step_back();
        assert!(journal.head().is_none() && journal.events().is_empty());
    }

    #[test]
    fn a_book_that_grows_is_the_book_that_is_read_at_once() {
        let deployment = Deployment::empty(1);
        let proposed = |model: u64, at| {
            let said = Market::ModelProposed { modelId: U256::from(model), ..proposal() };
            let log = Log { address: Address::ZERO, data: said.encode_log_data() };
            Event { at, time: None, contract: Contract::Market, log }
        };
        let mut journal = Journal::default();
        let mut grown = Book::of(&deployment);
        for block in 1..10 {
            journal.extend([proposed(block, (block, 0))], head(block, u8::from(block > 6)));
            grown.take(&journal).unwrap();
            if block == 8 {
                // Blocks 7 and 8 are undone.
                journal.step_back();
                journal.step_back();
                grown.take(&journal).unwrap();
                assert_eq!((grown.models.len(), grown.head.block), (6, 6));
                journal.extend([proposed(70, (7, 0))], head(8, 2));
            }
        }
        grown.take(&journal).unwrap();
        let mut at_once = Book::of(&deployment);
        at_once.take(&journal).unwrap();
        let numbers = |book: &Book| book.models.iter().map(|m| m.model).collect::<Vec<_>>();
        assert_eq!(numbers(&grown), [1, 2, 3, 4, 5, 6, 70, 9]);
        assert_eq!((numbers(&grown), grown.head.block), (numbers(&at_once), at_once.head.block));
    }

    fn proposal() -> Market::ModelProposed {
        Market::ModelProposed {
            modelId: U256::ZERO,
            trainer: Address::repeat_byte(1),
            whitePaperHash: B256::ZERO,
            planHash: B256::ZERO,
            terms: Market::Terms {
                instantPayment: U256::ZERO.to(),
                queryPrice: U256::ZERO.to(),
                donorsBps: 7_000,
                trainerBps: 2_000,
                runnerBps: 1_000,
                minDonors: 2,
                maxDonors: 2,
                queryTimeout: 1,
                minSurvivors: 2,
                colluders: 1,
            },
            deposit: U256::ZERO,
        }
    }
}
