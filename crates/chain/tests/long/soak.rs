//! 64 connections do their worst, and somebody else sends transactions.
//!
//! `cargo test --release --package histone-chain -- --ignored --exact --nocapture soak::soak` runs it for five minutes, or as many seconds
//! as `HISTONE_CHAIN_SOAK_SECONDS` says. The server is a process of its own, so that its memory is looked at and not ours.

use std::env;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, Bytes, TxKind};
use histone_chain::server::{Options, listen, serve};
use histone_chain::{Chain, SystemClock};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, client};

use crate::attacks::*;
use crate::sockets::post;
use crate::support::*;

const DIRECTORY: &str = "HISTONE_CHAIN_SOAK_DIRECTORY";
const SECONDS: &str = "HISTONE_CHAIN_SOAK_SECONDS";
const HOSTILE: u64 = 64;
const MEMORY: u64 = 256 * 1024 * 1024;
/// A build for tests takes longer for the same work, as in `hostile.rs`.
const PATIENCE: Duration = Duration::from_secs(if cfg!(debug_assertions) { 15 } else { 2 });

fn on_disk(dir: &Path) -> Chain {
    if dir.join(histone_chain::FILE_NAME).exists() {
        return Chain::open(dir, sequencer(), Arc::new(SystemClock)).unwrap();
    }
    Chain::create(dir, genesis(), sequencer(), Arc::new(SystemClock)).unwrap()
}

/// Not a test: the server, until its input ends.
#[test]
#[ignore = "started by `soak`"]
fn soak_server() {
    let Some(dir) = env::var_os(DIRECTORY) else { return };
    let chain = on_disk(Path::new(&dir));
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    println!("serves {}", listener.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        drop(stop);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Nobody is slowed down by an allowance: here the server itself is to hold.
    let options = Options { free_gas: None, ..Options::default() };
    let stop = async {
        let _ = stopped.await;
    };
    runtime.block_on(serve(chain, listener, options, stop)).unwrap();
}

/// What hostile clients know.
struct Target {
    address: SocketAddr,
    deep: Address,
    noisy: Address,
    loud: Value,
    over: AtomicBool,
    done: AtomicU64,
    /// Never the same account twice.
    accounts: AtomicU64,
}

impl Target {
    fn connect(&self) -> Option<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(5)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        stream.set_write_timeout(Some(Duration::from_secs(5))).ok()?;
        Some(stream)
    }

    /// Sends a request, looks at it for so long, reads so much of the answer, and goes away.
    fn ask(&self, body: impl ToString, wait: Duration, read: usize) -> Option<()> {
        let mut stream = self.connect()?;
        stream.write_all(&post(body.to_string())).ok()?;
        self.read(&mut stream, wait, read)
    }

    fn read(&self, stream: &mut TcpStream, wait: Duration, mut left: usize) -> Option<()> {
        let start = Instant::now();
        let mut buffer = vec![0; 64 * 1024];
        while left > 0 && start.elapsed() < wait && !self.over.load(Ordering::Relaxed) {
            let most = left.min(buffer.len());
            match stream.read(&mut buffer[..most]) {
                Ok(0) => return None,
                Ok(read) => left -= read,
                Err(_) => {}
            }
        }
        Some(())
    }

    fn stranger(&self) -> User {
        let number = self.accounts.fetch_add(1, Ordering::Relaxed);
        user_with(number + 1_000)
    }
}

const LONG: Duration = Duration::from_secs(4);
const ALL: usize = usize::MAX;

/// One misdeed of the kind `kind`.
fn attack(target: &Target, kind: u64) -> Option<()> {
    let call = |code: &[u8]| request("eth_call", json!([{ "data": Bytes::copy_from_slice(code) }, "latest"]));
    match kind % 22 {
        0 => target.ask(endless_call(), LONG, ALL),
        1 => target.ask(call(&ENDLESS_COMMITMENTS), Duration::from_millis(50), 1),
        2 => target.ask(Value::from(vec![endless_call(); 1000]), LONG, ALL),
        3 => target.ask(call(&ENDLESS_POWERS), LONG, ALL),
        4 => {
            let estimate = json!([{ "data": Bytes::from(ENDLESS_COMMITMENTS) }]);
            target.ask(request("eth_estimateGas", estimate), LONG, ALL)
        }
        5 => target.ask(request("eth_call", json!([{ "to": target.deep }, "latest"])), LONG, ALL),
        6 => {
            let deep = request("eth_call", json!([{ "to": target.deep }, "latest"]));
            target.ask(Value::from(vec![deep; 500]), LONG, ALL)
        }
        7 => target.ask(request("eth_getLogs", json!([{ "fromBlock": "0x0" }])), LONG, ALL),
        8 => {
            // Nine megabytes, asked for and hardly read.
            let range = json!([{ "fromBlock": "0x3", "toBlock": "0x3" }]);
            target.ask(request("eth_getLogs", range), LONG, 1000)?;
            thread::sleep(Duration::from_millis(500));
            Some(())
        }
        9 => target.ask(request("eth_getTransactionReceipt", json!([target.loud])), LONG, 100_000),
        10 => target.ask(request("eth_getBlockReceipts", json!(["0x3"])), LONG, 10),
        11 => {
            let receipts = request("eth_getBlockReceipts", json!(["0x3"]));
            target.ask(Value::from(vec![receipts; 100]), LONG, ALL)
        }
        12 => target.ask(format!("[{}0]", "0,".repeat(2_000_000)), LONG, ALL),
        13 => {
            let nested = format!(r#"[{{"x":[{}0]}}]"#, r#"{"a":{}},"#.repeat(60_000));
            let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_call","params":{nested}}}"#);
            target.ask(format!("[{}]", [body.as_str(); 6].join(",")), LONG, ALL)
        }
        14 => {
            // Nearly all of a long body, and then silence.
            let mut stream = target.connect()?;
            let request = post(vec![b' '; 4_000_000]);
            stream.write_all(request.get(..3_990_000)?).ok()?;
            target.read(&mut stream, LONG, ALL)
        }
        15 => {
            let mut socket = client(format!("ws://{}/", target.address), target.connect()?).ok()?.0;
            for _ in 0..100 {
                let subscribe = request("eth_subscribe", json!(["logs"]));
                socket.send(Message::text(subscribe.to_string())).ok()?;
            }
            thread::sleep(LONG);
            Some(())
        }
        16 => {
            let mut socket = client(format!("ws://{}/", target.address), target.connect()?).ok()?.0;
            let deep = request("eth_call", json!([{ "to": target.deep }, "latest"]));
            for _ in 0..200 {
                socket.send(Message::text(deep.to_string())).ok()?;
            }
            Some(())
        }
        17 => {
            for _ in 0..20 {
                let addresses: Vec<Address> = (0..100).map(Address::with_last_byte).collect();
                let filter = request("eth_newFilter", json!([{ "fromBlock": "0x0", "address": addresses }]));
                target.ask(filter, LONG, 100)?;
            }
            let id = target.accounts.load(Ordering::Relaxed) % 1000;
            target.ask(request("eth_getFilterLogs", json!([format!("{id:#x}")])), LONG, ALL)
        }
        18 => {
            let codes: [&[u8]; 3] = [&ENDLESS, &ENDLESS_POWERS, &ENDLESS_COMMITMENTS];
            let code = codes[kind as usize / 22 % 3].to_vec();
            let raw = creation(&target.stranger(), 0, code, 29_999_999);
            target.ask(request("eth_sendRawTransaction", json!([raw])), LONG, ALL)
        }
        19 => {
            let raw = noise(&target.stranger(), 0, target.noisy, 9_000, 100);
            target.ask(request("eth_sendRawTransaction", json!([raw])), LONG, ALL)
        }
        20 => {
            // As many small ones as a batch holds.
            let user = target.stranger();
            let send = |nonce| request("eth_sendRawTransaction", json!([user.send(nonce, user.address, 0)]));
            target.ask(Value::from((0..200).map(send).collect::<Vec<_>>()), LONG, ALL)
        }
        _ => {
            let percentiles: Vec<f64> = (0..100).map(f64::from).collect();
            target.ask(request("eth_feeHistory", json!(["0x400", "latest", percentiles])), LONG, ALL)
        }
    }
}

/// Sends a transfer and waits for its receipt.
fn honest(address: SocketAddr, user: &User, nonce: u64) -> Result<Duration, String> {
    let start = Instant::now();
    let ask = |method: &str, params: Value| -> Result<Value, String> {
        let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).map_err(|error| error.to_string())?;
        let mut head = post(request(method, params).to_string());
        // One answer, and the end.
        let end = head.windows(2).position(|two| two == b"\r\n").unwrap_or_default() + 2;
        head.splice(end..end, *b"connection: close\r\n");
        stream.write_all(&head).map_err(|error| error.to_string())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map_err(|error| error.to_string())?;
        let body = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_default();
        let answer: Value = serde_json::from_slice(answer.get(body..).unwrap_or_default())
            .map_err(|_| String::from_utf8_lossy(&answer).into_owned())?;
        answer.get("result").cloned().ok_or_else(|| answer.to_string())
    };
    let raw =
        user.sign(TxEip1559 { nonce, to: TxKind::Call(user.address), gas_limit: 21_000, ..user.draft() });
    let hash = ask("eth_sendRawTransaction", json!([raw]))?;
    let receipt = ask("eth_getTransactionReceipt", json!([hash]))?;
    if receipt["status"] != "0x1" {
        return Err(receipt.to_string());
    }
    Ok(start.elapsed())
}

#[test]
#[ignore = "five minutes: cargo test --release -p histone-chain -- --ignored --exact --nocapture soak::soak"]
fn soak() {
    let seconds = env::var(SECONDS).map_or(300, |seconds| seconds.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let chain = on_disk(dir.path());
    let (first, deep) = deep(&user(1), 0);
    let (second, noisy) = noisy(&user(1), 1);
    mine(&chain, &first);
    mine(&chain, &second);
    // Blocks as large as they come.
    let mut loud = Value::Null;
    for nonce in 2..12 {
        loud = mine(&chain, &noise(&user(1), nonce, noisy, 9_900, 100))["transactionHash"].take();
    }
    drop(chain);
    let mut server = Command::new(env::current_exe().unwrap())
        .args(["--exact", "soak::soak_server", "--ignored", "--nocapture"])
        .env(DIRECTORY, dir.path())
        // As `histone chain serve` has it.
        .env("MALLOC_ARENA_MAX", "2")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let address = lines
        .find_map(|line| line.unwrap().split_once("serves ").map(|(_, address)| address.parse().unwrap()))
        .unwrap();
    let target = Target {
        address,
        deep,
        noisy,
        loud,
        over: AtomicBool::new(false),
        done: AtomicU64::new(0),
        accounts: AtomicU64::new(0),
    };
    let mut times = Vec::new();
    let mut failures = Vec::new();
    thread::scope(|scope| {
        let target = &target;
        for number in 0..HOSTILE {
            scope.spawn(move || {
                // All kinds at any time, and each connection all of them.
                for round in 0.. {
                    if target.over.load(Ordering::Relaxed) {
                        break;
                    }
                    let _ = attack(target, number + round);
                    target.done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let start = Instant::now();
        let mut nonce = 12;
        while start.elapsed() < Duration::from_secs(seconds) {
            match honest(address, &user(1), nonce) {
                Ok(time) => times.push(time),
                Err(error) => failures.push(format!("after {:?}: {error}", start.elapsed())),
            }
            nonce += 1;
            thread::sleep(Duration::from_millis(100));
            if !failures.is_empty() {
                break;
            }
        }
        target.over.store(true, Ordering::Relaxed);
    });
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024;
    drop(server.stdin.take());
    let ended = server.wait().unwrap();
    times.sort();
    println!(
        "{} misdeeds in {seconds} s; {} transactions, slowest {:?}, median {:?}; peak memory {} MB",
        target.done.load(Ordering::Relaxed),
        times.len(),
        times.last(),
        times.get(times.len() / 2),
        peak / 1024 / 1024,
    );
    assert_eq!(failures, Vec::<String>::new());
    assert!(ended.success());
    assert!(times.last().is_some_and(|slowest| *slowest < PATIENCE), "{:?}", times.last());
    assert!(peak < MEMORY, "{} MB", peak / 1024 / 1024);
}
