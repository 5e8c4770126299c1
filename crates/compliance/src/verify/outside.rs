//! A check of a lasting network by whoever is no part of it: the blocks from whoever serves them, the blobs from a hub, and neither is
//! believed.
//!
//! Every block is executed here, from block 0 on, into a copy; after that the server of the blocks is asked nothing any more. A blob
//! has the hash that the ledger names or is none. What a server can still do is to keep something back: newer blocks, of which nobody
//! can know, and blobs, whose names are on the ledger. So all of these are asked for, and what is not there fails every check that
//! rests on it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use histone_chain::{Chain, ChainError, Clock};
use histone_ledger::view::directories;
use histone_ledger::{Connection, FollowError, Follower, Ledger, Upstream, genesis_of};
use histone_network::{BlobStore, Network, NetworkError, Woken};
use histone_protocol::hash::blob_hash;
use histone_protocol::letter::VerifiedHead;
use histone_protocol::seal::SealKey;
use histone_protocol::{Address, B256};

use super::findings::{Findings, told};
use super::gather::Step;
use super::history::History;
use super::on_ledger::{self, Open, Public, Read};
use super::record::MOST_GAS;
use super::run::{Counts, Head};
use super::{Check, Outcome, Report, Reporter, VerifyError, open_ends};

/// A network as somebody outside reaches it, and what he knows of it.
pub struct Outside<'a> {
    /// The way to the blocks.
    pub ledger: Arc<dyn Upstream>,
    /// What that is, for people.
    pub ledger_at: String,
    /// The way to the blobs.
    pub storage: Arc<dyn Network>,
    /// What that is, for people.
    pub storage_at: String,
    /// A directory for the copies of both. What was copied before is used, as far as it fits.
    pub dir: &'a Path,
    /// Whether the directory is removed afterwards.
    pub passing: bool,
    /// The clock here: no block is from its future.
    pub clock: Arc<dyn Clock>,
    /// The hash of block 0, as the founder has published it.
    pub genesis: Option<B256>,
    /// The contract that names all others; needed where the chain has more than one.
    pub directory: Option<Address>,
    /// A block that somebody has executed whom the reader believes.
    pub head: Option<VerifiedHead>,
    /// Modules and source listings that are at hand. The ledger knows them by another hash than the one that is their name, so that
    /// they cannot be asked for.
    pub modules: Vec<&'a [u8]>,
    /// The key of an auditor, who recomputes what is sealed.
    pub auditor: Option<&'a SealKey>,
}

/// Checks model `number` of a network, or all. The observer hears each check as soon as it is made, and `heard` what takes long.
///
/// # Errors
/// [`VerifyError`] when the ledger cannot be reached, is of another network or none, or has several directories and none was named.
/// Whatever is wrong with what is given is a failed check.
pub async fn verify_network(
    outside: &Outside<'_>,
    number: Option<u64>,
    observer: &mut dyn FnMut(&Check),
    heard: &mut dyn FnMut(Step),
) -> Result<Report, VerifyError> {
    let mut reporter = Reporter::new(observer);
    let mut open = Open::default();
    let mut newest = false;
    match copy(outside, heard)? {
        Err(check) => reporter.add(check),
        Ok(copied) => {
            let seen = outside.head.map(|head| Seen::of(head, outside, &copied.chain));
            let (check, read) = read(outside, copied).await?;
            reporter.add(check);
            let mut same = true;
            if let Some(seen) = seen {
                (same, newest) = (seen.check.outcome == Outcome::Holds, seen.newest);
                reporter.add(seen.check);
            }
            // What another history says is not what was asked.
            if let Some(read) = read.filter(|_| same) {
                let blobs = outside.dir.join("blobs");
                let store = BlobStore::open(&blobs)?;
                for module in &outside.modules {
                    store.put(module)?;
                }
                let linked = store.linked(Arc::new(Asked::of(outside)));
                let store = if outside.passing { linked.passing() } else { linked };
                let public = Public { dir: &blobs, store, auditor: outside.auditor, heard: Some(heard) };
                open = on_ledger::models(read, public, number, &mut reporter).await;
            }
        }
    }
    open_ends(open.platform, newest).chain(open.words).for_each(|check| reporter.add(check));
    for (name, detail) in KEPT_BY_PARTIES {
        reporter.add(Check { name, outcome: Outcome::NotCheckable, detail: detail.into() });
    }
    if outside.genesis.is_none() {
        let detail = "whether this is the network that was meant: nothing says with which block 0 that begins; give the founder's invitation, or the hash of its block 0";
        reporter.add(Check { name: "genesis", outcome: Outcome::NotCheckable, detail: detail.into() });
    }
    Ok(Report { checks: reporter.checks })
}

/// What nobody outside can check: nobody else has it.
const KEPT_BY_PARTIES: [(&str, &str); 3] = [
    (
        "letters",
        "what parties have only written to each other, sealed: decisions of owners who declined, and what each site reports on the model, which its trainer is told",
    ),
    (
        "questions",
        "what was asked in queries, and what the answers say: only who asked and the enclave have that",
    ),
    (
        "newest",
        "whether there are newer blocks than the last one here: whoever serves them may keep some back; compare with the head of a member's node (`histone status`)",
    ),
];

/// A copy of the chain, executed here.
struct Copied {
    chain: Chain,
    genesis: B256,
}

/// Fetches and executes every block. A block that does not hold is a failed check.
fn copy(outside: &Outside<'_>, heard: &mut dyn FnMut(Step)) -> Result<Result<Copied, Check>, VerifyError> {
    let refused = |error: FollowError| match error {
        FollowError::Refused(source) | FollowError::NotSigned(source) => {
            let mut findings = Findings::new("chain");
            findings.fail(format!(
                "{} gives what does not hold, and the later checks were not made: {}",
                outside.ledger_at,
                told(&source)
            ));
            Ok(Err(findings.check(String::new())))
        }
        other => Err(VerifyError::Follow(other)),
    };
    let genesis = match outside.genesis {
        Some(genesis) => genesis,
        None => genesis_of(&*outside.ledger)?,
    };
    let dir = outside.dir.join("ledger");
    let follower = match Follower::open(&dir, genesis, outside.ledger.clone(), outside.clock.clone()) {
        Ok(follower) => follower,
        Err(error) => return refused(error),
    };
    let gas = follower.chain().genesis().gas_limit;
    if gas > MOST_GAS {
        let mut findings = Findings::new("chain");
        findings.fail(format!("its blocks may use {gas} gas, at most {MOST_GAS} are executed here"));
        return Ok(Err(findings.check(String::new())));
    }
    match follower.catch_up_to_its_head(&mut |number, of| heard(Step::Block { number, of })) {
        Ok(_) => Ok(Ok(Copied { chain: follower.chain().clone(), genesis })),
        Err(error) => refused(error),
    }
}

/// What the copy says.
async fn read(
    outside: &Outside<'_>,
    Copied { chain, genesis }: Copied,
) -> Result<(Check, Option<Read>), VerifyError> {
    let mut findings = Findings::new("chain");
    let looked = History::read(&chain).and_then(|history| Ok((history, chain.head()?)));
    let Some((history, head)) = findings.take(looked.map_err(|e: ChainError| told(&e)), || "the copy".into())
    else {
        return Ok((findings.check(String::new()), None));
    };
    let sequencer = chain.genesis().sequencer;
    let connection = Connection::embedded(chain);
    let directory = match outside.directory {
        Some(directory) => directory,
        None => match directories(&connection).await?.as_slice() {
            [one] => *one,
            found => return Err(VerifyError::Directories(found.len())),
        },
    };
    let ledger = Ledger::find(connection, directory).await?;
    let gas = history.sent.iter().fold(0u64, |sum, sent| sum.saturating_add(sent.gas));
    let (number, transactions) = (head.header.number, history.sent.len() as u64);
    let counts = Counts { blocks: number.saturating_add(1), transactions, gas };
    let holds = format!(
        "every block that {} gives was executed here: {transactions} transactions that succeeded in the blocks 0 ({genesis}) to {number} ({}) of {} (Unix seconds), signed by {sequencer}; the ledger is the one of the directory {directory}",
        outside.ledger_at, head.hash, head.header.timestamp
    );
    let head = Head { hash: head.hash, state_digest: None };
    Ok((findings.check(holds), Some((history, ledger, counts, head))))
}

/// Whether a block that the reader believes is one of this history.
struct Seen {
    check: Check,
    /// Whether it is the last one here.
    newest: bool,
}

impl Seen {
    fn of(expected: VerifiedHead, outside: &Outside<'_>, chain: &Chain) -> Self {
        let mut findings = Findings::new("head");
        let VerifiedHead { number, hash } = expected;
        let read = chain.block(number).and_then(|block| Ok((block, chain.head()?.header.number)));
        let Some((block, last)) = findings.take(read.map_err(|e| told(&e)), || "the copy".into()) else {
            return Self { check: findings.check(String::new()), newest: false };
        };
        match block.map(|block| block.hash) {
            Some(found) if found == hash => {}
            Some(found) => findings.fail(format!(
                "block {number} is {found} here, and {hash} where you have seen it: {} shows another history than others saw. Tell the members; the later checks were not made",
                outside.ledger_at
            )),
            None => findings.fail(format!(
                "{} has blocks up to {last} only, and you have seen block {number}: it keeps some back, or shows another history; the later checks were not made",
                outside.ledger_at
            )),
        }
        let since = match last.saturating_sub(number) {
            0 => "it is the last one here".to_string(),
            more => format!("{more} came after it"),
        };
        let check = findings.check(format!(
            "block {number} is {hash}, as you have seen it elsewhere, and so is all before it; {since}"
        ));
        Self { check, newest: last == number }
    }
}

/// The way to the blobs, asked once for each that is not there.
#[derive(Debug)]
struct Asked {
    network: Arc<dyn Network>,
    at: String,
    missing: Mutex<BTreeMap<B256, String>>,
}

impl Network for Asked {
    fn fetch(&self, hash: B256) -> Result<Option<Vec<u8>>, NetworkError> {
        let refused = |why: String| NetworkError::Refused { what: self.at.clone(), why };
        if let Some(why) = self.missing.lock().unwrap_or_else(PoisonError::into_inner).get(&hash) {
            return Err(refused(why.clone()));
        }
        let why = match self.network.fetch(hash) {
            Ok(Some(bytes)) if blob_hash(&bytes) == hash => return Ok(Some(bytes)),
            Ok(Some(_)) => "it gives other bytes in its place".to_string(),
            Ok(None) => "it does not have it".to_string(),
            Err(error) => error.to_string(),
        };
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).insert(hash, why.clone());
        Err(refused(why))
    }

    fn post(&self, _: Address, _: &[u8]) -> Result<(), NetworkError> {
        Err(self.only_read())
    }

    fn collect(&self) -> Result<Vec<Vec<u8>>, NetworkError> {
        Err(self.only_read())
    }

    fn discard(&self, _: &[B256]) -> Result<(), NetworkError> {
        Err(self.only_read())
    }

    fn offer(&self, _: &[u8]) -> Result<(), NetworkError> {
        Err(self.only_read())
    }

    fn rpc(&self, _: &[u8]) -> Result<Vec<u8>, NetworkError> {
        Err(self.only_read())
    }

    fn wait(&self, _: u64, _: Duration) -> Result<Woken, NetworkError> {
        Err(self.only_read())
    }
}

impl Asked {
    fn of(outside: &Outside<'_>) -> Self {
        let (network, at) = (outside.storage.clone(), outside.storage_at.clone());
        Self { network, at, missing: Mutex::default() }
    }

    fn only_read(&self) -> NetworkError {
        NetworkError::Refused { what: self.at.clone(), why: "whoever verifies only reads".into() }
    }
}
