//! How a test ends a process at any point: after so many of its steps nothing that it does leaves it or is kept.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use histone_chain::Chain;
use histone_network::{Network, NetworkError, Woken};
use histone_protocol::hash::blob_hash;
use histone_protocol::{Address, B256};

/// A point at which a process may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Before a call of the network is done, or before its answer is heard.
    Call,
    /// Before something is changed on the disk. Seen by those tests only that stand before the C library.
    Write,
}

impl Step {
    pub const ALL: [Step; 2] = [Step::Call, Step::Write];
}

/// The disk has no room: what is there can be removed and renamed.
pub const FULL: i32 = 28;
/// Nothing on the disk can be changed.
pub const READ_ONLY: i32 = 30;

/// How long a process lives.
#[derive(Default)]
pub struct Life {
    /// Steps so far of all processes of a party, by kind.
    steps: [AtomicU64; 2],
    /// The step that is not done any more, by kind; 0 for none.
    last: [AtomicU64; 2],
    over: AtomicBool,
    /// What the last request to the ledger contains, of which no answer is heard any more.
    last_words: Mutex<Option<String>>,
    /// Whether blobs are not given and not taken, although everything else works.
    pub no_blobs: AtomicBool,
    /// The error of the system with which its disk takes nothing, where that is simulated: [`FULL`] or [`READ_ONLY`]; 0 for none.
    pub disk: AtomicI32,
    /// Another ledger than everybody's.
    pub ledger: Mutex<Option<Chain>>,
}

impl std::fmt::Debug for Life {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Life({} calls, {} writes)", self.steps(Step::Call), self.steps(Step::Write))
    }
}

impl Life {
    /// Ends when a request that contains this was sent to the ledger and done, before the answer is heard.
    pub fn ends_with_request(&self, text: &str) {
        *self.last_words.lock().unwrap() = Some(text.into());
    }

    fn has_blobs(&self) -> Result<(), NetworkError> {
        match self.no_blobs.load(Ordering::Relaxed) {
            true => Err(NetworkError::Unreachable { what: "the hub".into(), why: "it has no disk".into() }),
            false => Ok(()),
        }
    }

    fn hears_answer(&self, request: &[u8]) -> bool {
        let words = self.last_words.lock().unwrap().clone();
        let last = words.is_some_and(|words| String::from_utf8_lossy(request).contains(&words));
        self.over.fetch_or(last, Ordering::Relaxed);
        !last
    }

    /// Ends at the step of this kind that comes after so many more.
    pub fn ends_after(&self, kind: Step, steps: u64) {
        self.last[kind as usize].store(self.steps(kind) + 1 + steps, Ordering::Relaxed);
    }

    /// Begins anew.
    pub fn begin(&self) {
        self.last.iter().for_each(|last| last.store(0, Ordering::Relaxed));
        self.over.store(false, Ordering::Relaxed);
        *self.last_words.lock().unwrap() = None;
    }

    pub fn steps(&self, kind: Step) -> u64 {
        self.steps[kind as usize].load(Ordering::Relaxed)
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// One step; false when it is not done, and no other one after it.
    pub fn step(&self, kind: Step) -> bool {
        if self.is_over() {
            return false;
        }
        let step = self.steps[kind as usize].fetch_add(1, Ordering::Relaxed) + 1;
        let last = self.last[kind as usize].load(Ordering::Relaxed);
        let over = last != 0 && step >= last;
        self.over.store(over, Ordering::Relaxed);
        !over
    }
}

thread_local! {
    /// Whose process runs on this thread, and where its home is.
    static ON_TURN: RefCell<Option<(PathBuf, Arc<Life>)>> = const { RefCell::new(None) };
}

/// Has a process run on this thread until this is dropped.
pub struct Turn;

impl Turn {
    pub fn of(home: &Path, life: &Arc<Life>) -> Self {
        ON_TURN.set(Some((home.to_owned(), life.clone())));
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        ON_TURN.set(None);
    }
}

/// The process that runs on this thread, if one does.
pub fn on_turn<T>(ask: impl FnOnce(&Path, &Life) -> T) -> Option<T> {
    // A thread that ends writes as well.
    let turn = ON_TURN.try_with(|turn| turn.try_borrow().ok().and_then(|turn| turn.clone()));
    turn.ok().flatten().map(|(home, life)| ask(&home, &life))
}

/// The network of a process that may end at any of its calls: before anything is done, or before it hears of it.
#[derive(Debug)]
pub struct Mortal {
    pub network: Arc<dyn Network>,
    pub life: Arc<Life>,
    /// Keeps what was published.
    pub seen: Seen,
}

/// All blobs that have left a process, by their names.
pub type Seen = Arc<Mutex<BTreeMap<B256, Vec<u8>>>>;

impl Mortal {
    fn call<T>(&self, call: impl FnOnce(&dyn Network) -> Result<T, NetworkError>) -> Result<T, NetworkError> {
        if !self.life.step(Step::Call) {
            return Err(ended());
        }
        let done = call(&*self.network)?;
        if self.life.step(Step::Call) { Ok(done) } else { Err(ended()) }
    }
}

fn ended() -> NetworkError {
    NetworkError::Unreachable { what: "this process".into(), why: "it has ended".into() }
}

impl Network for Mortal {
    fn post(&self, mailbox: Address, letter: &[u8]) -> Result<(), NetworkError> {
        self.call(|network| network.post(mailbox, letter))
    }

    fn collect(&self) -> Result<Vec<Vec<u8>>, NetworkError> {
        self.call(|network| network.collect())
    }

    fn discard(&self, letters: &[B256]) -> Result<(), NetworkError> {
        self.call(|network| network.discard(letters))
    }

    fn offer(&self, blob: &[u8]) -> Result<(), NetworkError> {
        self.call(|network| {
            self.life.has_blobs()?;
            network.offer(blob)?;
            self.seen.lock().unwrap().insert(blob_hash(blob), blob.to_vec());
            Ok(())
        })
    }

    fn fetch(&self, hash: B256) -> Result<Option<Vec<u8>>, NetworkError> {
        self.call(|network| {
            self.life.has_blobs()?;
            network.fetch(hash)
        })
    }

    fn rpc(&self, request: &[u8]) -> Result<Vec<u8>, NetworkError> {
        let shown = self.life.ledger.lock().unwrap().clone();
        let answer = self.call(|network| match &shown {
            Some(other) => Ok(other.handle(request)),
            None => network.rpc(request),
        })?;
        if self.life.hears_answer(request) { Ok(answer) } else { Err(ended()) }
    }

    fn wait(&self, head: u64, patience: Duration) -> Result<Woken, NetworkError> {
        self.call(|network| network.wait(head, patience))
    }
}
