//! A chain of somebody else that this process executes itself: reads are answered here, transactions go to its sequencer.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use alloy::primitives::B256;
use alloy::rpc::json_rpc::{RequestPacket, ResponsePacket};
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use histone_chain::{
    Chain, ChainError, Clock, FILE_NAME, Fork, ForkPoint, RawBlock, RawGenesis, ReplayError, Replica,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Connection;

/// Blocks of one request. When they are too many for one answer the server says so, and the rest is asked for again.
const BATCH: u64 = 64;

/// The way to whoever makes the blocks. It may lose and delay; what it gives is executed again.
pub trait Upstream: Send + Sync {
    /// Passes a JSON-RPC request, or a batch, on and gives the answer. Blocks the thread.
    fn rpc(&self, request: &[u8]) -> Result<Vec<u8>, String>;
}

/// Why a chain cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// It cannot be reached now.
    #[error("the ledger cannot be reached: {0}")]
    Unreachable(String),
    /// What comes is no answer of a sequencer.
    #[error("what answers for the ledger is no sequencer: {0}")]
    Nonsense(String),
    /// It is another chain.
    #[error("the ledger there begins with block 0 {found}, the invitation says {expected}")]
    Genesis {
        /// There.
        found: B256,
        /// Expected.
        expected: B256,
    },
    /// A block is later than it can be here.
    #[error(
        "block {block} of the ledger was made {seconds} s after the time that the clock of this machine shows; set the clock, and let the system keep it (NTP)"
    )]
    Clock {
        /// Its number.
        block: u64,
        /// By how much.
        seconds: u64,
    },
    /// The sequencer has signed a block that does not hold.
    #[error("the ledger's sequencer has signed a block that does not hold; this node stops")]
    Refused(#[source] ReplayError),
    /// The sequencer has signed another history than the one that was verified here.
    #[error(
        "there is another history of the ledger than the one that was verified here, and its sequencer has signed both: they part at block {}, which is {} here and {} there; this node stops",
        point.number, point.hashes[0], point.hashes[1]
    )]
    Fork {
        /// Both blocks, the own one first.
        proof: Box<Fork>,
        /// Where they part.
        point: ForkPoint,
    },
    /// What comes as a block is not what the sequencer has signed.
    #[error(
        "what comes as a block of the ledger is not the next one that its sequencer has signed; whoever passes it on, such as the hub, spoils or repeats blocks. It is asked for again"
    )]
    NotSigned(#[source] ReplayError),
    /// The own copy cannot be used.
    #[error("the copy of the ledger cannot be used")]
    Copy(#[from] ChainError),
}

impl FollowError {
    /// Whether it may pass by itself.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Nonsense(_) | Self::Clock { .. } | Self::NotSigned(_))
    }
}

/// A copy of a chain that grows with it.
pub struct Follower {
    replica: Replica,
    chain: Chain,
    upstream: Arc<dyn Upstream>,
    clock: Arc<dyn Clock>,
    /// Held while blocks are fetched.
    fetching: Mutex<()>,
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Follower({:?})", self.replica)
    }
}

/// Blocks of a chain that are read to its end, at the most.
const MOST_BLOCKS: u64 = 10_000_000;

impl Follower {
    /// Opens the copy in `dir`, or begins one: of the chain whose block 0 has the hash `genesis`.
    pub fn open(
        dir: &Path,
        genesis: B256,
        upstream: Arc<dyn Upstream>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, FollowError> {
        let expected = |found: B256| match found == genesis {
            true => Ok(()),
            false => Err(FollowError::Genesis { found, expected: genesis }),
        };
        let replica = if dir.join(FILE_NAME).exists() {
            Replica::open(dir, clock.clone())?
        } else {
            let raw: RawGenesis = ask(&*upstream, "sequencer_getGenesis", json!([]))?;
            // Before anything is made on the disk.
            let decoded = histone_chain::Genesis::decode(&raw.genesis)
                .map_err(|e| FollowError::Nonsense(e.to_string()))?;
            expected(decoded.header().hash_slow())?;
            Replica::create(dir, &raw, clock.clone()).map_err(FollowError::Refused)?
        };
        expected(replica.genesis().header().hash_slow())?;
        let chain = replica.chain();
        Ok(Self { replica, chain, upstream, clock, fetching: Mutex::default() })
    }

    /// The copy.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Fetches and executes what is new. Gives how many blocks that were.
    pub fn catch_up(&self) -> Result<u64, FollowError> {
        let _fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        let mut applied = 0;
        loop {
            let new = self.some(&mut |_| ())?;
            applied += new;
            if new < BATCH {
                return Ok(applied);
            }
        }
    }

    /// The same for whoever must not stop early: until the newest block that the sequencer says it has was executed here. Whoever
    /// gives no block and says that there are more is [no sequencer](FollowError::Nonsense). `heard` is told the number of each block
    /// that was executed, and that of the newest one there.
    pub fn catch_up_to_its_head(&self, heard: &mut dyn FnMut(u64, u64)) -> Result<u64, FollowError> {
        let _fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        let mut applied = 0;
        // Asked once: whoever makes blocks faster than they are executed here would keep a reader for ever.
        let said: String = ask(&*self.upstream, "eth_blockNumber", json!([]))?;
        let digits = said.strip_prefix("0x").unwrap_or(&said);
        let there = u64::from_str_radix(digits, 16).map_err(nonsense)?;
        if there > MOST_BLOCKS {
            return Err(nonsense(format!(
                "it says that it has {there} blocks; at most {MOST_BLOCKS} are executed here"
            )));
        }
        loop {
            let new = self.some(&mut |number| heard(number, there.max(number)))?;
            applied += new;
            let head = self.replica.head()?.header.number;
            match head < there {
                // The end of what fits into one answer.
                true if new > 0 => {}
                true => {
                    let next = head + 1;
                    return Err(nonsense(format!(
                        "it says that it has block {there}, and gives no block {next}"
                    )));
                }
                false => return Ok(applied),
            }
        }
    }

    /// Fetches and executes some blocks, and gives how many.
    fn some(&self, heard: &mut dyn FnMut(u64)) -> Result<u64, FollowError> {
        let head = self.replica.head()?.header.number;
        let (first, mut new) = (head + 1, 0);
        for block in self.blocks(first)? {
            self.replica.apply(&block).map_err(|error| self.refused(&block, error))?;
            heard(first + new);
            new += 1;
        }
        Ok(new)
    }

    /// Why a block is not taken. Only what the sequencer has signed can be a lie of the sequencer's; one that is too late for this
    /// clock is not wrong because of that, and what the own disk does not take may be right.
    fn refused(&self, block: &RawBlock, error: ReplayError) -> FollowError {
        let sequencer = self.replica.genesis().sequencer;
        let (number, hash) = match self.replica.head() {
            Ok(head) => (head.header.number.saturating_add(1), head.hash),
            Err(error) => return FollowError::Copy(error),
        };
        let is_signed = block.open(sequencer).is_some_and(|header| header.number == number);
        match error {
            ReplayError::Store(source) => FollowError::Copy(source),
            error
                if block.signed_header().open(sequencer).is_some_and(|header| header.parent_hash != hash) =>
            {
                self.fork().unwrap_or(FollowError::NotSigned(error))
            }
            error if !is_signed => FollowError::NotSigned(error),
            ReplayError::Execution { source: ChainError::AheadOfClock { block, timestamp, now }, .. } => {
                FollowError::Clock { block, seconds: timestamp.saturating_sub(now) }
            }
            ReplayError::Execution {
                source:
                    source @ (ChainError::Store { .. } | ChainError::Io { .. } | ChainError::Corrupt { .. }),
                ..
            } => FollowError::Copy(source),
            error => FollowError::Refused(error),
        }
    }

    /// Where another history that the sequencer shows parts from the own one; nothing when that is not shown. Blocks that follow from
    /// something else prove nothing alone: they may be of another chain, or not the next ones.
    fn fork(&self) -> Option<FollowError> {
        let sequencer = self.replica.genesis().sequencer;
        // The newest block that both have, and the oldest one that differs.
        let (mut same, mut differs) = (0, self.replica.head().ok()?.header.number.saturating_add(1));
        let mut proof = None;
        while same + 1 < differs {
            let middle = same + (differs - same) / 2;
            let ours = RawBlock::from(&self.chain.block(middle).ok()??).signed_header();
            let theirs: RawBlock =
                ask(&*self.upstream, "sequencer_getBlock", json!([format!("{middle:#x}")])).ok()?;
            let theirs = theirs.signed_header();
            if theirs.open(sequencer)?.number != middle {
                return None;
            }
            match theirs.header == ours.header {
                true => same = middle,
                false => {
                    differs = middle;
                    proof = Some(Box::new(Fork { one: ours, other: theirs }));
                }
            }
        }
        let proof = proof?;
        let point = proof.open(sequencer)?;
        Some(FollowError::Fork { proof, point })
    }

    /// The blocks from a number on, as many as there are and fit.
    fn blocks(&self, from: u64) -> Result<Vec<RawBlock>, FollowError> {
        let request = |id: u64| {
            let number = format!("{:#x}", from + id);
            json!({ "jsonrpc": "2.0", "id": id, "method": "sequencer_getBlock", "params": [number] })
        };
        let batch: Vec<Value> = (0..BATCH).map(request).collect();
        let batch = serde_json::to_vec(&batch).map_err(nonsense)?;
        let answer = self.upstream.rpc(&batch).map_err(FollowError::Unreachable)?;
        let mut answers: Vec<Answer> = serde_json::from_slice(&answer).map_err(nonsense)?;
        answers.sort_by_key(|answer| answer.id);
        let mut blocks = Vec::new();
        for (id, answer) in (0u64..).zip(answers) {
            match answer.result {
                // The head, or the end of what fits into one answer.
                None | Some(Value::Null) => break,
                Some(_) if answer.id != id => return Err(nonsense("answers to other questions")),
                Some(block) => blocks.push(serde_json::from_value(block).map_err(nonsense)?),
            }
        }
        Ok(blocks)
    }

    /// Answers a request from the copy, or has it answered by the sequencer where it changes the chain.
    fn answer(&self, request: &[u8]) -> Result<Vec<u8>, FollowError> {
        let asked: Value = serde_json::from_slice(request).map_err(nonsense)?;
        let mut methods = match &asked {
            Value::Array(all) => all.iter().filter_map(|one| one.get("method")).collect(),
            one => one.get("method").into_iter().collect::<Vec<_>>(),
        }
        .into_iter()
        .filter_map(Value::as_str);
        if methods.clone().any(|method| method == "eth_sendRawTransaction") {
            let answer = self.upstream.rpc(request).map_err(FollowError::Unreachable)?;
            self.catch_up()?;
            return Ok(answer);
        }
        let answer = self.chain.handle(request);
        if methods.any(|method| method == "eth_getTransactionReceipt") && is_unknown(&answer) {
            // Of a block that is not here yet.
            self.catch_up()?;
            return Ok(self.chain.handle(request));
        }
        Ok(answer)
    }
}

/// One answer of a batch.
#[derive(serde::Deserialize)]
struct Answer {
    id: u64,
    result: Option<Value>,
}

fn nonsense(error: impl fmt::Display) -> FollowError {
    FollowError::Nonsense(error.to_string())
}

fn is_unknown(answer: &[u8]) -> bool {
    serde_json::from_slice::<Value>(answer).is_ok_and(|answer| answer.get("result") == Some(&Value::Null))
}

fn ask<T: DeserializeOwned>(upstream: &dyn Upstream, method: &str, params: Value) -> Result<T, FollowError> {
    let request = json!({ "jsonrpc": "2.0", "id": 0, "method": method, "params": params });
    let request = serde_json::to_vec(&request).map_err(nonsense)?;
    let answer = upstream.rpc(&request).map_err(FollowError::Unreachable)?;
    let answer: Answer = serde_json::from_slice(&answer).map_err(nonsense)?;
    let result = answer.result.ok_or_else(|| nonsense(format!("it gives no {method}")))?;
    serde_json::from_value(result).map_err(nonsense)
}

/// The hash of block 0, as somebody says it.
pub fn genesis_of(upstream: &dyn Upstream) -> Result<B256, FollowError> {
    let raw: RawGenesis = ask(upstream, "sequencer_getGenesis", json!([]))?;
    let genesis = histone_chain::Genesis::decode(&raw.genesis).map_err(nonsense)?;
    Ok(genesis.header().hash_slow())
}

impl Connection {
    /// A chain that is followed: what is asked is answered by the copy.
    pub fn following(follower: Arc<Follower>) -> Self {
        let clock = Some(follower.clock.clone());
        Self { clock, ..Self::over(Following(follower), true, "followed chain") }
    }
}

#[derive(Clone)]
struct Following(Arc<Follower>);

impl tower::Service<RequestPacket> for Following {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        let follower = self.0.clone();
        Box::pin(async move {
            let request = serde_json::to_vec(&request).map_err(TransportErrorKind::custom)?;
            let answer = follower.answer(&request);
            let answer = answer.map_err(|e| {
                let why = histone_protocol::with_causes(&e);
                TransportErrorKind::custom_str(&why)
            })?;
            serde_json::from_slice(&answer)
                .map_err(|e| TransportError::deser_err(e, String::from_utf8_lossy(&answer)))
        })
    }
}
