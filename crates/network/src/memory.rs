//! A network in one process, with the faults of real ones.
//!
//! Letters and blobs lie in memory that all parties share. What goes wrong follows from a seed: each party draws from a generator
//! of its own, so that what befalls its letters does not depend on when other parties' calls come in between. The clock is handed
//! in: a test moves it, and letters that are delayed arrive when it has passed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use histone_protocol::blob::Blob;
use histone_protocol::letter::{MAX_LETTER, letter_id};
use histone_protocol::{Address, B256};

use crate::{MAX_BLOB, Network, NetworkError, StoreError, Woken};

/// What stands for the address of a hub in errors.
const WHAT: &str = "the network in memory";
/// Most letters that one call gives.
const MOST: usize = 256;

type Clock = dyn Fn() -> u64 + Send + Sync;
type Handler = dyn Fn(&[u8]) -> Vec<u8> + Send + Sync;
type Head = dyn Fn() -> u64 + Send + Sync;

/// How letters fare, and calls. Probabilities are between 0 and 1; the default is a network that does nothing wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Faults {
    /// That a letter is lost although the call succeeds.
    pub loss: f64,
    /// That a letter comes a second time, with a delay of its own: after the first was discarded, if that is earlier.
    pub duplicate: f64,
    /// That a letter overtakes some of those that wait.
    pub reorder: f64,
    /// Letters are delayed by so many seconds at most, each by another number.
    pub delay: u64,
    /// That a call fails before anything is done.
    pub failure: f64,
    /// That a call does what it was asked and its answer is lost, so that it fails for the caller.
    pub lost_answer: f64,
}

/// What one party has asked for and sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Calls, failed ones included.
    pub requests: u64,
    /// Bytes of letters, blobs and JSON-RPC requests that it has sent.
    pub sent: u64,
    /// Bytes of letters, blobs and JSON-RPC answers that it has got.
    pub received: u64,
}

/// A network in memory. Clones are one network.
#[derive(Clone)]
pub struct MemNet {
    shared: Arc<Shared>,
}

struct Shared {
    seed: u64,
    clock: Arc<Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    faults: Faults,
    letters: BTreeMap<Address, Vec<Copied>>,
    blobs: BTreeMap<B256, Blob>,
    cut_off: BTreeSet<Address>,
    down: bool,
    traffic: BTreeMap<Address, Traffic>,
    draws: BTreeMap<Address, Draws>,
    rpc: Option<Arc<Handler>>,
    head: Option<Arc<Head>>,
}

/// One copy of a letter on its way to a mailbox, or in it.
struct Copied {
    id: B256,
    due: u64,
    bytes: Arc<[u8]>,
}

impl MemNet {
    /// A network without faults whose clock stands still at 0.
    pub fn new(seed: u64) -> Self {
        Self::with(seed, Faults::default(), Arc::new(|| 0))
    }

    /// A network with faults, which follow from the seed, and a clock in seconds.
    pub fn with(seed: u64, faults: Faults, clock: Arc<Clock>) -> Self {
        let state = Mutex::new(State { faults, ..State::default() });
        Self { shared: Arc::new(Shared { seed, clock, state }) }
    }

    /// Other faults from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// The way of the party that has this mailbox.
    pub fn link(&self, mailbox: Address) -> Arc<dyn Network> {
        Arc::new(Link { net: self.clone(), mailbox })
    }

    /// What answers JSON-RPC requests.
    pub fn serve_rpc(&self, handler: Arc<Handler>) {
        self.state().rpc = Some(handler);
    }

    /// What tells the number of the newest block. Without it, [`Network::wait`] says that there may be new ones whenever somebody
    /// answers JSON-RPC requests.
    pub fn serve_head(&self, head: Arc<Head>) {
        self.state().head = Some(head);
    }

    /// Cuts these mailboxes off from the network, and no others.
    pub fn cut_off(&self, mailboxes: &[Address]) {
        self.state().cut_off = mailboxes.iter().copied().collect();
    }

    /// Whether nobody reaches the network.
    pub fn set_down(&self, down: bool) {
        self.state().down = down;
    }

    /// Forgets all letters, as a hub that comes back empty.
    pub fn forget_letters(&self) {
        self.state().letters.clear();
    }

    /// Forgets all blobs.
    pub fn forget_blobs(&self) {
        self.state().blobs.clear();
    }

    /// When the next delayed letter arrives, if one is on its way.
    pub fn next_arrival(&self) -> Option<u64> {
        let now = (self.shared.clock)();
        self.state().letters.values().flatten().map(|letter| letter.due).filter(|due| *due > now).min()
    }

    /// How many letters wait, those that are on their way included.
    pub fn waiting(&self) -> usize {
        self.state().letters.values().map(Vec::len).sum()
    }

    /// What a party has asked for and sent.
    pub fn traffic(&self, mailbox: Address) -> Traffic {
        self.state().traffic.get(&mailbox).copied().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is done in one step: whoever panicked has left nothing half done.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemNet({} letters wait)", self.waiting())
    }
}

/// One party's way.
#[derive(Debug)]
struct Link {
    net: MemNet,
    mailbox: Address,
}

impl Link {
    /// One call: fails as the faults have it, and otherwise does `act`, which gives how many bytes come back besides the answer.
    fn call<T>(
        &self,
        sent: usize,
        act: impl FnOnce(&mut State, u64) -> Result<(T, usize), NetworkError>,
    ) -> Result<T, NetworkError> {
        let now = (self.net.shared.clock)();
        let mut state = self.net.state();
        let lost = self.begin(&mut state, sent)?;
        let (value, received) = act(&mut state, now)?;
        self.end(&mut state, received, lost)?;
        Ok(value)
    }

    /// Gives whether the answer will be lost.
    fn begin(&self, state: &mut State, sent: usize) -> Result<bool, NetworkError> {
        state.traffic.entry(self.mailbox).or_default().requests += 1;
        if state.down || state.cut_off.contains(&self.mailbox) {
            return Err(unreachable("it is cut off"));
        }
        let Faults { failure, lost_answer, .. } = state.faults;
        let draws = self.draws(state);
        let (fails, lost) = (draws.happens(failure), draws.happens(lost_answer));
        if fails {
            return Err(unreachable("the call failed before it arrived"));
        }
        state.traffic.entry(self.mailbox).or_default().sent += sent as u64;
        Ok(lost)
    }

    fn end(&self, state: &mut State, received: usize, lost: bool) -> Result<(), NetworkError> {
        if lost {
            return Err(unreachable("the answer was lost"));
        }
        state.traffic.entry(self.mailbox).or_default().received += received as u64;
        Ok(())
    }

    fn draws<'a>(&self, state: &'a mut State) -> &'a mut Draws {
        let seed = self.net.shared.seed;
        state.draws.entry(self.mailbox).or_insert_with(|| Draws::of(seed, self.mailbox))
    }
}

fn unreachable(why: &str) -> NetworkError {
    NetworkError::Unreachable { what: WHAT.into(), why: why.into() }
}

impl Network for Link {
    fn post(&self, mailbox: Address, letter: &[u8]) -> Result<(), NetworkError> {
        if letter.len() > MAX_LETTER {
            let why = format!("a letter of {} bytes is too long; the limit is {MAX_LETTER}", letter.len());
            return Err(NetworkError::Refused { what: WHAT.into(), why });
        }
        self.call(letter.len(), |state, now| {
            let faults = state.faults;
            let draws = self.draws(state);
            if draws.happens(faults.loss) {
                return Ok(((), 0));
            }
            let copies = 1 + usize::from(draws.happens(faults.duplicate));
            let id = letter_id(letter);
            let waits = state.letters.get(&mailbox).is_some_and(|all| all.iter().any(|other| other.id == id));
            for _ in 0..if waits { 0 } else { copies } {
                let draws = self.draws(state);
                let due = now.saturating_add(draws.below(faults.delay.saturating_add(1)));
                let overtakes = draws.happens(faults.reorder);
                let place = draws.next();
                let all = state.letters.entry(mailbox).or_default();
                let place = match overtakes {
                    true => (place % (all.len() as u64 + 1)) as usize,
                    false => all.len(),
                };
                all.insert(place, Copied { id, due, bytes: letter.into() });
            }
            Ok(((), 0))
        })
    }

    fn collect(&self) -> Result<Vec<Vec<u8>>, NetworkError> {
        self.call(0, |state, now| {
            let all = state.letters.entry(self.mailbox).or_default();
            let mut there: Vec<&Copied> = all.iter().filter(|letter| letter.due <= now).collect();
            // The order of arrival; those of one second as they lie.
            there.sort_by_key(|letter| letter.due);
            let letters: Vec<Vec<u8>> = there.iter().take(MOST).map(|letter| letter.bytes.to_vec()).collect();
            let bytes = letters.iter().map(Vec::len).sum();
            Ok((letters, bytes))
        })
    }

    fn discard(&self, letters: &[B256]) -> Result<(), NetworkError> {
        self.call(0, |state, now| {
            let all = state.letters.entry(self.mailbox).or_default();
            // A copy that has not arrived yet comes again.
            all.retain(|letter| letter.due > now || !letters.contains(&letter.id));
            Ok(((), 0))
        })
    }

    fn offer(&self, blob: &[u8]) -> Result<(), NetworkError> {
        if blob.len() as u64 > MAX_BLOB {
            return Err(StoreError::TooLarge(blob.len() as u64).into());
        }
        let blob = Blob::from(blob);
        self.call(blob.len(), |state, _| {
            state.blobs.insert(blob.hash(), blob.clone());
            Ok(((), 0))
        })
    }

    fn fetch(&self, hash: B256) -> Result<Option<Vec<u8>>, NetworkError> {
        self.call(0, |state, _| {
            let blob = state.blobs.get(&hash).map(|blob| blob.to_vec());
            let bytes = blob.as_ref().map_or(0, Vec::len);
            Ok((blob, bytes))
        })
    }

    fn rpc(&self, request: &[u8]) -> Result<Vec<u8>, NetworkError> {
        let (lost, handler) = {
            let mut state = self.net.state();
            (self.begin(&mut state, request.len())?, state.rpc.clone())
        };
        let Some(handler) = handler else {
            let why = "it has no ledger; hand one in with `serve_rpc`".into();
            return Err(NetworkError::Refused { what: WHAT.into(), why });
        };
        // Without the lock: it may take long, and may use the network.
        let answer = handler(request);
        self.end(&mut self.net.state(), answer.len(), lost)?;
        Ok(answer)
    }

    fn wait(&self, head: u64, _: Duration) -> Result<Woken, NetworkError> {
        let (letters, newest, any) = self.call(0, |state, now| {
            let all = state.letters.get(&self.mailbox);
            let letters = all.is_some_and(|all| all.iter().any(|letter| letter.due <= now));
            Ok(((letters, state.head.clone(), state.rpc.is_some()), 0))
        })?;
        let blocks = newest.map_or(any, |newest| newest() > head);
        Ok(Woken { blocks, letters })
    }
}

/// SplitMix64: a generator of a few lines, good enough for faults and the same everywhere.
struct Draws(u64);

impl Draws {
    fn of(seed: u64, mailbox: Address) -> Self {
        let mut draws = Self(seed);
        for part in mailbox.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            draws.0 = draws.next() ^ u64::from_le_bytes(word);
        }
        draws
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn happens(&mut self, probability: f64) -> bool {
        // 53 bits, as many as a number between 0 and 1 has.
        let drawn = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        drawn < probability
    }
}

#[cfg(test)]
mod tests;
