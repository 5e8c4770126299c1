//! How fast the chain is: over HTTP beside anvil, in process, and replayed. `cargo xtask bench chain` runs it.
//!
//! Every transaction is signed before the clock starts, and the same bytes go to every node through the same client. All
//! results are written to one JSON file; progress goes to the error output.

mod http;
mod market;
mod nodes;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Instant;

use alloy::primitives::Bytes;
use anyhow::{Context as _, Result, bail};
use histone_chain::{Chain, Genesis, Sequencer, SystemClock, replay};
use histone_contracts::Deployment;
use histone_ledger::Connection;
use serde_json::{Value, json};

use crate::http::Client;
use crate::market::Signed;
use crate::nodes::{Kind, Node, peak_memory, processor_seconds};

/// Transactions of each kind that one sender sends one at a time.
const ONE_BY_ONE: usize = 400;
/// Senders at the same time, each on a connection of its own.
const SENDERS: usize = 32;
/// Transactions of each kind that each of them sends.
const EACH: usize = 50;
/// Transactions in process, one to a block.
const IN_PROCESS: usize = 2_000;
/// Transactions in process in blocks of many.
const QUEUED: usize = 4_000;
/// How many the queue gets before a block is made.
const QUEUE: usize = 100;
/// Transactions of the chain that is replayed.
const REPLAYED: usize = 100_000;

struct Options {
    histone: PathBuf,
    anvil: PathBuf,
    out: PathBuf,
    pairs: usize,
    only: Option<String>,
}

fn options() -> Result<Options> {
    let mut arguments = std::env::args().skip(1);
    let mut given = BTreeMap::new();
    while let Some(name) = arguments.next() {
        // cargo adds this one.
        if name != "--bench" {
            given.insert(name, arguments.next().context("every option has a value")?);
        }
    }
    let path = |name: &str| given.get(name).map(PathBuf::from).with_context(|| format!("{name} is missing"));
    Ok(Options {
        histone: path("--histone")?,
        anvil: path("--anvil")?,
        out: path("--out")?,
        pairs: given.get("--pairs").map_or(Ok(5), |pairs| pairs.parse())?,
        only: given.get("--only").cloned(),
    })
}

fn main() -> Result<()> {
    // A process of its own, so that its memory is that of a replay and of nothing else.
    if let [_, command, dir] = &*std::env::args().collect::<Vec<_>>()
        && command == "--replay"
    {
        return replay_here(Path::new(dir));
    }
    if std::env::args().len() <= 2 {
        eprintln!("this benchmark needs other programs: run `cargo xtask bench chain`");
        return Ok(());
    }
    let options = options()?;
    let wanted = |part: &str| options.only.as_deref().is_none_or(|only| only == part);
    let mut results = serde_json::Map::new();
    results.insert("load_before".into(), load());
    results.insert("sync_microseconds".into(), sync_microseconds()?.into());
    if wanted("http") {
        results.insert("http".into(), over_http(&options)?);
    }
    if wanted("process") {
        results.insert("process".into(), in_process(&options)?);
    }
    if wanted("replay") {
        results.insert("replay".into(), replayed(&options)?);
    }
    results.insert("load_after".into(), load());
    let sizes = json!({
        "one_by_one": ONE_BY_ONE, "senders": SENDERS, "each": EACH, "in_process": IN_PROCESS,
        "queued": QUEUED, "queue": QUEUE, "replayed": REPLAYED, "pairs": options.pairs,
    });
    results.insert("sizes".into(), sizes);
    std::fs::write(&options.out, serde_json::to_string_pretty(&Value::Object(results))?)
        .with_context(|| format!("cannot write `{}`", options.out.display()))
}

/// Processes that want a processor, averaged over the last minute.
fn load() -> Value {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|load| load.parse::<f64>().ok()).map_or(Value::Null, Value::from)
}

/// What the disk alone takes for a block: the median of writing 14 pages, as a small block does, and syncing them.
fn sync_microseconds() -> Result<f64> {
    const PAGES: usize = 14;
    let mut file = tempfile::tempfile_in(scratch()?)?;
    let page = [0x5a; 4096 * PAGES];
    let mut times = Vec::new();
    for _ in 0..201 {
        let start = Instant::now();
        file.write_all(&page)?;
        file.sync_data()?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().context("nothing was measured")
}

fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

/// All that is sent to one node.
struct Work {
    alone: Signed,
    together: Vec<Signed>,
}

fn work(deployment: &Deployment) -> Result<Work> {
    let together = thread::scope(|scope| {
        let signers: Vec<_> = (1..=SENDERS)
            .map(|number| scope.spawn(move || market::signed(deployment, number, EACH, EACH / 2)))
            .collect();
        signers
            .into_iter()
            .map(|signer| signer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Result<Vec<_>>>()
    })?;
    Ok(Work { alone: market::signed(deployment, 0, ONE_BY_ONE, ONE_BY_ONE / 2)?, together })
}

/// Every kind of node, `pairs` times in turn, the order reversed each time.
fn over_http(options: &Options) -> Result<Value> {
    let mut rates: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut memory: BTreeMap<&str, u64> = BTreeMap::new();
    let mut again: BTreeMap<&str, u64> = BTreeMap::new();
    let mut signed: Option<(Deployment, Work)> = None;
    for pair in 0..options.pairs {
        let mut kinds = Kind::ALL;
        if pair % 2 == 1 {
            kinds.reverse();
        }
        for kind in kinds {
            let dir = tempfile::tempdir_in(scratch()?)?;
            let node = Node::start(kind, &options.histone, &options.anvil, dir.path())?;
            let connection = Connection::http(&format!("http://{}", node.address))?;
            let deployment = block_on(market::prepare(connection, SENDERS + 1))?;
            // The same on every node, since the same accounts did the same.
            if signed.as_ref().is_none_or(|(known, _)| *known != deployment) {
                signed = Some((deployment.clone(), work(&deployment)?));
            }
            let Some((_, work)) = &signed else { bail!("nothing is signed") };
            let mut shown = String::new();
            let alone = [&work.alone];
            let together: Vec<&Signed> = work.together.iter().collect();
            for (name, senders, queries) in [
                ("transfers_alone", &alone[..], false),
                ("queries_alone", &alone[..], true),
                ("transfers_together", &together[..], false),
                ("queries_together", &together[..], true),
            ] {
                let (rate, repeated) = send(&node.address, senders, queries)?;
                shown += &format!("  {name} {rate:.0}/s");
                rates.entry(format!("{}/{name}", kind.name())).or_default().push(rate);
                *again.entry(kind.name()).or_default() += repeated;
            }
            if let Some(bytes) = node.peak_memory() {
                let most = memory.entry(kind.name()).or_default();
                *most = bytes.max(*most);
            }
            eprintln!("pair {} of {}  {:<11}{shown}", pair + 1, options.pairs, kind.name());
        }
    }
    Ok(json!({ "rates": rates, "peak_memory": memory, "receipts_asked_again": again }))
}

/// Sends all transfers or all queries, every sender at the same time as the others. Gives transactions per second from the
/// first send to the last receipt, and how often a receipt was asked for before it was there.
fn send(address: &str, senders: &[&Signed], queries: bool) -> Result<(f64, u64)> {
    let start = Arc::new(Barrier::new(senders.len() + 1));
    thread::scope(|scope| {
        let threads: Vec<_> = senders
            .iter()
            .map(|signed| {
                let list = if queries { &signed.queries } else { &signed.transfers };
                let start = start.clone();
                scope.spawn(move || -> Result<(usize, u64)> {
                    let client = Client::connect(address);
                    start.wait();
                    let mut client = client?;
                    let mut again = 0;
                    for raw in list {
                        again += u64::from(client.mine(raw)?);
                    }
                    Ok((list.len(), again))
                })
            })
            .collect();
        start.wait();
        let begin = Instant::now();
        let (mut count, mut again) = (0, 0);
        for thread in threads {
            let (sent, repeated) = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            count += sent;
            again += repeated;
        }
        Ok((count as f64 / begin.elapsed().as_secs_f64(), again))
    })
}

/// Where chains are made: beside the build, so on a disk and not in memory.
fn scratch() -> Result<PathBuf> {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

fn new_chain(dir: &Path) -> Result<Chain> {
    let sequencer = Sequencer::from_bytes(&[9; 32])?;
    let genesis = Genesis {
        chain_id: 31_337,
        timestamp: 1_700_000_000,
        sequencer: sequencer.address(),
        alloc: Vec::new(),
        gas_limit: Genesis::GAS_LIMIT,
    };
    Ok(Chain::create(dir, genesis, sequencer, Arc::new(SystemClock))?)
}

/// Transactions per second of the wall and of the processor.
fn timed(count: usize, run: impl FnOnce() -> Result<()>) -> Result<(f64, Option<f64>)> {
    let (processor, wall) = (processor_seconds(), Instant::now());
    run()?;
    let wall = count as f64 / wall.elapsed().as_secs_f64();
    let used = processor.zip(processor_seconds()).map(|(before, after)| after - before);
    Ok((wall, used.map(|seconds| count as f64 / seconds.max(0.01))))
}

/// Marketplace transactions, `buy` and `settle` in turn, through the in-process interface on one thread.
fn in_process(options: &Options) -> Result<Value> {
    let mut rates: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut keep = |name: &'static str, (wall, processor): (f64, Option<f64>)| {
        rates.entry(name).or_default().push(wall);
        (wall, processor)
    };
    let mut processor: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut signed: Option<(Deployment, Vec<String>)> = None;
    for run in 0..options.pairs {
        for queued in [run % 2 == 0, run % 2 != 0] {
            let dir = tempfile::tempdir_in(scratch()?)?;
            let chain = new_chain(dir.path())?;
            let deployment = block_on(market::prepare(Connection::embedded(chain.clone()), 1))?;
            if signed.as_ref().is_none_or(|(known, _)| *known != deployment) {
                let queries = market::signed(&deployment, 0, 0, IN_PROCESS.max(QUEUED) / 2)?.queries;
                signed = Some((deployment, queries));
            }
            let Some((_, queries)) = &signed else { bail!("nothing is signed") };
            let (name, count) = if queued { ("queue", QUEUED) } else { ("one_per_block", IN_PROCESS) };
            if queued {
                chain.queue_transactions();
            }
            let list = queries.get(..count).context("too few are signed")?;
            let rate = timed(count, || {
                let mut hashes = Vec::new();
                for (i, raw) in list.iter().enumerate() {
                    hashes.push(chain.request("eth_sendRawTransaction", json!([raw]))?);
                    if queued && (i + 1) % QUEUE == 0 {
                        chain.seal()?;
                    }
                }
                chain.seal()?;
                for hash in hashes {
                    let receipt = chain.request("eth_getTransactionReceipt", json!([hash]))?;
                    if receipt.get("status").and_then(Value::as_str) != Some("0x1") {
                        bail!("a transaction failed: {receipt}");
                    }
                }
                Ok(())
            })?;
            let (wall, used) = keep(name, rate);
            eprintln!("in process, run {} of {}  {name:<14} {wall:.0}/s", run + 1, options.pairs);
            processor.entry(name).or_default().extend(used);
        }
    }
    Ok(json!({ "rates": rates, "per_processor_second": processor }))
}

/// A chain of many marketplace transactions, executed again in a process of its own; and one with a block for each.
fn replayed(options: &Options) -> Result<Value> {
    let dir = tempfile::tempdir_in(scratch()?)?;
    let mut results = serde_json::Map::new();
    for (name, count, block) in [("blocks_of_100", REPLAYED, 100), ("one_per_block", REPLAYED / 20, 1)] {
        let dir = dir.path().join(name);
        eprintln!("replay: making {count} transactions in blocks of {block}");
        let chain = new_chain(&dir)?;
        let deployment = block_on(market::prepare(Connection::embedded(chain.clone()), 2))?;
        let lists = thread::scope(|scope| {
            let deployment = &deployment;
            let signers: Vec<_> = (0..2)
                .map(|number| scope.spawn(move || market::signed(deployment, number, 0, count / 4)))
                .collect();
            signers
                .into_iter()
                .map(|signer| signer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect::<Result<Vec<_>>>()
        })?;
        let (made, _) = timed(count, || {
            for list in &lists {
                for block in list.queries.chunks(block) {
                    let raw: Vec<Bytes> = block.iter().map(|raw| raw.parse()).collect::<Result<_, _>>()?;
                    chain.produce(&raw)?;
                }
            }
            Ok(())
        })?;
        let file = std::fs::metadata(dir.join(histone_chain::FILE_NAME))?.len();
        drop(chain);
        let mut runs = Vec::new();
        let mut memory = 0;
        for run in 0..options.pairs {
            let output =
                std::process::Command::new(std::env::current_exe()?).arg("--replay").arg(&dir).output()?;
            if !output.status.success() {
                bail!("the replay failed: {}", String::from_utf8_lossy(&output.stderr));
            }
            let told: Value = serde_json::from_slice(&output.stdout)?;
            let number =
                |name: &str| told.get(name).and_then(Value::as_f64).context("the replay told nothing");
            let rate = number("transactions")? / number("seconds")?;
            memory = told.get("peak_memory").and_then(Value::as_u64).unwrap_or_default().max(memory);
            eprintln!("replay: run {} of {}  {name}  {rate:.0}/s", run + 1, options.pairs);
            runs.push(rate);
        }
        let result =
            json!({ "rates": runs, "made": made, "file": file, "peak_memory": memory, "count": count });
        results.insert(name.into(), result);
    }
    Ok(Value::Object(results))
}

fn replay_here(dir: &Path) -> Result<()> {
    let start = Instant::now();
    let report = replay(dir)?;
    let seconds = start.elapsed().as_secs_f64();
    let told = json!({
        "seconds": seconds,
        "transactions": report.transactions,
        "peak_memory": peak_memory("self"),
    });
    println!("{told}");
    Ok(())
}
