//! Transactions that come at the same time share a block.
//!
//! Most of the time of a small block goes into waiting for the disk. Whoever comes while a block is being written waits
//! for the next one together with all the others who came meanwhile: one of them makes it, for all. Nobody waits for
//! company, so a transaction that comes alone is a block of its own at once.
//!
//! A block takes in members first (who is one, the embedder says), then those who ask for little gas. It takes in no more
//! once it has used up its time, so that those who wait for what is in it do not wait for the rest as well. Whoever has to
//! wait counts for half as much gas in the next block, so that nobody waits for ever.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use alloy_consensus::Transaction as _;
use alloy_primitives::Address;

use crate::execution::{Offered, gather};
use crate::work::{Allowed, Stop};
use crate::{Chain, ChainError, Transaction};

/// Those who wait for a block.
#[derive(Default)]
pub(crate) struct Group {
    state: Mutex<State>,
    /// Told when a block was made.
    made: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    /// Whether somebody makes a block now.
    busy: bool,
}

struct Waiting {
    offered: (Transaction, Allowed),
    place: Place,
}

/// Somebody's place among those who wait.
struct Place {
    answer: Answer,
    member: bool,
    /// Blocks in which there was no room.
    passed: u32,
}

impl Waiting {
    /// Those with the least go first.
    fn turn(&self) -> (bool, u64) {
        (!self.place.member, self.offered.0.envelope().gas_limit() >> self.place.passed.min(63))
    }
}

/// Where somebody who waits finds the outcome.
#[derive(Clone, Default)]
struct Answer(Arc<Mutex<Outcome>>);

#[derive(Default)]
enum Outcome {
    #[default]
    Open,
    Known(Result<(), ChainError>),
    Taken,
}

impl Answer {
    fn give(&self, outcome: Result<(), ChainError>) {
        *self.lock() = Outcome::Known(outcome);
    }

    fn is_open(&self) -> bool {
        matches!(*self.lock(), Outcome::Open)
    }

    fn take(&self) -> Option<Result<(), ChainError>> {
        let mut outcome = self.lock();
        if let Outcome::Open = *outcome {
            return None;
        }
        match mem::replace(&mut *outcome, Outcome::Taken) {
            Outcome::Known(known) => Some(known),
            Outcome::Open | Outcome::Taken => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Outcome> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Group {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A list and a flag, both whole at any time.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to make the next block, for those with these answers. When it ends the others go on.
struct Turn<'a> {
    group: &'a Group,
    answers: Vec<Answer>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Only a panic leaves somebody without an answer, and nobody may wait for ever.
        for answer in self.answers.iter().filter(|answer| answer.is_open()) {
            let reason = "it came to an end in the middle; ask for the receipt, or send it again".into();
            answer.give(Err(ChainError::Engine { index: 0, reason }));
        }
        self.group.lock().busy = false;
        self.group.made.notify_all();
    }
}

impl Chain {
    /// Makes a block of `transaction`, and of those that wait at the same time; or queues them. On return it is on disk, or
    /// in the queue.
    pub(crate) fn mine(
        &self,
        transaction: Transaction,
        allowed: Allowed,
        member: bool,
    ) -> Result<(), ChainError> {
        let group = self.group();
        let answer = Answer::default();
        let mut state = group.lock();
        state.waiting.push(Waiting {
            offered: (transaction, allowed.clone()),
            place: Place { answer: answer.clone(), member, passed: 0 },
        });
        loop {
            if let Some(outcome) = answer.take() {
                return outcome;
            }
            // Gone before its turn came: it takes no turn.
            if allowed.is_forsaken() {
                let before = state.waiting.len();
                state.waiting.retain(|waiting| !Arc::ptr_eq(&waiting.place.answer.0, &answer.0));
                if state.waiting.len() < before {
                    return Err(ChainError::Stopped(Stop::Forsaken));
                }
            }
            if state.busy {
                state = group.made.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.busy = true;
            let waiting = mem::take(&mut state.waiting);
            drop(state);
            let answers = waiting.iter().map(|waiting| waiting.place.answer.clone()).collect();
            let mut turn = Turn { group, answers };
            let later = self.mine_some(in_turn(waiting));
            group.lock().waiting.extend(later);
            // All of them have an answer, or wait again.
            turn.answers.clear();
            drop(turn);
            state = group.lock();
        }
    }

    /// Makes one block, or fills the queue. Answers those who are in it and those who are refused; returns the others.
    fn mine_some(&self, waiting: Vec<Waiting>) -> Vec<Waiting> {
        let writer = self.lock_writer();
        let (places, offered): (Vec<Place>, Vec<(Transaction, Allowed)>) =
            waiting.into_iter().map(|waiting| (waiting.place, waiting.offered)).unzip();
        let mut queue = self.queue();
        let outcomes = match queue.as_mut() {
            Some(queue) => self.enqueue(&writer, queue, &offered),
            None => {
                drop(queue);
                self.make_block(&writer, &offered)
            }
        };
        let mut again = Vec::new();
        let mut again_later = |mut place: Place, offered| {
            place.passed = place.passed.saturating_add(1);
            again.push(Waiting { place, offered });
        };
        match outcomes {
            Ok(outcomes) => {
                for ((place, offered), outcome) in places.into_iter().zip(offered).zip(outcomes) {
                    match outcome {
                        Offered::Taken { gas } => {
                            self.charge(offered.0.sender(), place.member, gas);
                            place.answer.give(Ok(()));
                        }
                        Offered::Refused(error) => {
                            // It is not in a block, but it has had its time.
                            if matches!(error, ChainError::Stopped(_)) {
                                self.charge(
                                    offered.0.sender(),
                                    place.member,
                                    offered.0.envelope().gas_limit(),
                                );
                            }
                            place.answer.give(Err(error));
                        }
                        Offered::Later => again_later(place, offered),
                    }
                }
            }
            // The store failed. One is told so; whether it fails for the others too is for the store to say.
            Err(error) => {
                let mut all = places.into_iter().zip(offered);
                if let Some((place, _)) = all.next() {
                    place.answer.give(Err(error));
                }
                all.for_each(|(place, offered)| again_later(place, offered));
            }
        }
        again
    }

    fn make_block(
        &self,
        writer: &MutexGuard<'_, ()>,
        offered: &[(Transaction, Allowed)],
    ) -> Result<Vec<Offered>, ChainError> {
        let view = self.view()?;
        let parent = &view.head()?.header;
        let timestamp = self.next_timestamp(parent);
        let (executed, outcomes) = gather(self.genesis(), &*view, parent, offered, timestamp)?;
        if let Some(executed) = executed {
            self.commit_locked(writer, &executed)?;
        }
        Ok(outcomes)
    }
}

/// In the order in which they are offered to a block. Transactions of one account stay in the order of their coming, since
/// that is the order of their nonces: nobody is served before the one before it.
fn in_turn(waiting: Vec<Waiting>) -> Vec<Waiting> {
    let mut latest: HashMap<Address, (bool, u64)> = HashMap::new();
    let mut sorted: Vec<((bool, u64), Waiting)> = waiting
        .into_iter()
        .map(|waiting| {
            let own = waiting.turn();
            let turn = latest.entry(waiting.offered.0.sender()).or_insert(own);
            *turn = own.max(*turn);
            (*turn, waiting)
        })
        .collect();
    // Stable.
    sorted.sort_by_key(|(turn, _)| *turn);
    sorted.into_iter().map(|(_, waiting)| waiting).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Barrier;
    use std::thread;

    use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
    use alloy_eips::Encodable2718 as _;
    use alloy_primitives::{Address, B256, TxKind, U256};
    use k256::ecdsa::SigningKey;

    use super::*;
    use crate::{Genesis, ManualClock, MemoryState, Sequencer, propose, replay};

    fn key(number: u8) -> SigningKey {
        SigningKey::from_slice(&[number; 32]).unwrap()
    }

    fn genesis() -> Genesis {
        Genesis {
            chain_id: 7,
            timestamp: 100,
            sequencer: Sequencer::from_bytes(&[200; 32]).unwrap().address(),
            alloc: (1..=8)
                .map(|n| (Address::from_public_key(key(n).verifying_key()), U256::from(1)))
                .collect(),
            gas_limit: 100_000,
        }
    }

    fn transaction(from: u8, nonce: u64, value: u64, gas_limit: u64) -> Transaction {
        let to = TxKind::Call(Address::repeat_byte(9));
        let transaction =
            TxEip1559 { chain_id: 7, nonce, to, value: U256::from(value), gas_limit, ..TxEip1559::default() };
        let signature = key(from).sign_prehash_recoverable(transaction.signature_hash().as_slice()).unwrap();
        let raw = TxEnvelope::from(transaction.into_signed(signature.into())).encoded_2718();
        Transaction::decode(&raw, 7, 0).unwrap()
    }

    #[test]
    fn each_of_a_group_has_its_own_outcome() {
        let genesis = genesis();
        let mut state = MemoryState::default();
        state.apply(&genesis.diff(), B256::ZERO);
        let offered = [
            transaction(1, 0, 1, 21_000),
            transaction(2, 5, 1, 21_000),
            transaction(1, 1, 0, 21_000),
            transaction(3, 0, 2, 21_000),
            transaction(4, 0, 1, 90_000),
            transaction(5, 0, 1, 21_000),
            transaction(6, 0, 0, 200_000),
        ]
        .map(|transaction| (transaction, Allowed::default()));
        let (executed, outcomes) = gather(&genesis, &state, &genesis.header(), &offered, 101).unwrap();
        let shown: Vec<String> = outcomes
            .iter()
            .map(|outcome| match outcome {
                Offered::Taken { .. } => "taken".into(),
                Offered::Later => "later".into(),
                Offered::Refused(error) => {
                    error.to_string().split([':', ',']).nth(1).unwrap().trim().to_owned()
                }
            })
            .collect();
        let expected = [
            "taken",
            "nonce too high",
            "taken",
            "insufficient funds for gas * price + value",
            "later",
            "taken",
            "later",
        ];
        assert_eq!(shown, expected);
        // The block is what anybody makes of those that were taken, without a trace of the others.
        let executed = executed.unwrap();
        let taken = [0, 2, 5].map(|at: usize| offered[at].0.clone()).to_vec();
        let again = propose(&genesis, &state, &genesis.header(), taken, 101).unwrap();
        assert_eq!((executed.hash(), executed.diff()), (again.hash(), again.diff()));

        // What fits into no block at all is refused when it is the first.
        let (none, outcomes) = gather(&genesis, &state, &genesis.header(), &offered[6..], 101).unwrap();
        assert!(none.is_none());
        assert!(matches!(&outcomes[..], [Offered::Refused(ChainError::TransactionRefused { index: 0, .. })]));
    }

    #[test]
    fn those_who_come_together_share_blocks_and_nobody_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let sequencer = Sequencer::from_bytes(&[200; 32]).unwrap();
        let chain = Chain::create(dir.path(), genesis(), sequencer, Arc::new(ManualClock::new(200))).unwrap();
        // While the writer is held nobody can make a block, so all but the first come to wait for the second.
        let start = Barrier::new(9);
        let outcomes: Vec<Result<(), ChainError>> = thread::scope(|scope| {
            let held = chain.lock_writer();
            let threads: Vec<_> = (1..=8)
                .map(|number| {
                    let (chain, start) = (&chain, &start);
                    scope.spawn(move || {
                        // Every fourth is refused.
                        let transaction = transaction(number, u64::from(number % 4 == 0), 1, 21_000);
                        start.wait();
                        chain.mine(transaction, Allowed::default(), false)
                    })
                })
                .collect();
            start.wait();
            while chain.group().lock().waiting.len() < 7 {
                thread::yield_now();
            }
            drop(held);
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for (number, outcome) in (1..=8).zip(&outcomes) {
            assert_eq!(outcome.is_err(), number % 4 == 0, "{number}: {outcome:?}");
        }
        let size = chain.size().unwrap();
        // One alone, then as many as 100,000 gas hold, then the rest.
        assert_eq!((size.transactions, size.blocks <= 4), (6, true), "{size:?}");
        drop(chain);
        assert_eq!(replay(dir.path()).unwrap().transactions, 6);
    }

    fn waiting(offered: Transaction, member: bool, passed: u32) -> Waiting {
        let place = Place { answer: Answer::default(), member, passed };
        Waiting { offered: (offered, Allowed::default()), place }
    }

    #[test]
    fn members_are_first_and_who_asks_for_little_is_before_who_asks_for_much() {
        let order = |list: Vec<Waiting>| -> Vec<(Address, u64)> {
            let sorted = in_turn(list).into_iter();
            sorted.map(|w| (w.offered.0.sender(), w.offered.0.envelope().nonce())).collect()
        };
        let account = |number| Address::from_public_key(key(number).verifying_key());
        let list = vec![
            waiting(transaction(1, 0, 0, 90_000), false, 0),
            waiting(transaction(2, 0, 0, 21_000), false, 0),
            waiting(transaction(3, 0, 0, 80_000), true, 0),
            waiting(transaction(4, 0, 0, 21_000), false, 0),
            // Passed over three times: counts for an eighth.
            waiting(transaction(5, 0, 0, 90_000), false, 3),
            // The second of an account is not before its first.
            waiting(transaction(1, 1, 0, 21_000), false, 0),
        ];
        let expected = [(3, 0), (5, 0), (2, 0), (4, 0), (1, 0), (1, 1)].map(|(n, nonce)| (account(n), nonce));
        assert_eq!(order(list), expected);
    }

    #[test]
    fn whoever_is_gone_takes_no_turn() {
        let dir = tempfile::tempdir().unwrap();
        let sequencer = Sequencer::from_bytes(&[200; 32]).unwrap();
        let chain = Chain::create(dir.path(), genesis(), sequencer, Arc::new(ManualClock::new(200))).unwrap();
        let gone = Allowed { forsaken: Some(Arc::new(true.into())), ..Allowed::default() };
        let outcome = chain.mine(transaction(1, 0, 1, 21_000), gone, false);
        assert!(matches!(outcome, Err(ChainError::Stopped(Stop::Forsaken))), "{outcome:?}");
        assert_eq!(chain.size().unwrap().blocks, 1);
        chain.mine(transaction(1, 0, 1, 21_000), Allowed::default(), false).unwrap();
    }

    #[test]
    fn a_panic_in_the_middle_leaves_nobody_waiting() {
        let group = Group::default();
        group.lock().busy = true;
        let answer = Answer::default();
        drop(Turn { group: &group, answers: vec![answer.clone()] });
        assert!(!group.lock().busy);
        assert!(matches!(answer.take(), Some(Err(ChainError::Engine { .. }))));
        assert!(answer.take().is_none());
    }
}
