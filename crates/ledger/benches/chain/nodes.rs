//! Nodes in processes of their own: ours and anvil, each on a fresh directory.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::http::Client;

/// Chain id of all nodes, so that the same signed transactions fit all.
const CHAIN_ID: &str = "31337";

/// A kind of node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `histone chain serve`: every block is on disk before its hash is told.
    Histone,
    /// anvil with everything in memory, lost with the process.
    Anvil,
    /// anvil which writes its whole state to a file once a second, the shortest interval that it offers.
    AnvilState,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Histone, Kind::Anvil, Kind::AnvilState];

    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Histone => "histone",
            Kind::Anvil => "anvil",
            Kind::AnvilState => "anvil_state",
        }
    }
}

/// A running node; it ends with this value.
pub struct Node {
    child: Child,
    /// Host and port.
    pub address: String,
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself; nothing of it is needed any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Node {
    /// Starts a node that keeps its files in `dir`, and waits until it answers.
    pub fn start(kind: Kind, histone: &Path, anvil: &Path, dir: &Path) -> Result<Node> {
        if kind == Kind::Histone {
            let mut child = Command::new(histone)
                .args(["chain", "serve", "--json", "--port", "0", "--chain-id", CHAIN_ID, "--dir"])
                .arg(dir.join("chain"))
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .with_context(|| format!("cannot start `{}`", histone.display()))?;
            let out = child.stdout.take().context("it has an output")?;
            let mut line = String::new();
            BufReader::new(out).read_line(&mut line)?;
            let told: Value = serde_json::from_str(&line).context("histone did not start")?;
            let url = told.get("http").and_then(Value::as_str).context("it told no address")?;
            let address = url.trim_start_matches("http://").to_owned();
            return Ok(Node { child, address });
        }
        // Free now; nobody else on this machine is likely to take it in the next moment.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(anvil);
        command.args(["--silent", "--chain-id", CHAIN_ID, "--port", &port.to_string()]);
        // No states of the past, which our chain does not keep either: anvil is faster without.
        command.arg("--prune-history");
        // Free gas, as on our chain, and the rules of Prague.
        command.args(["--gas-price", "0", "--base-fee", "0", "--disable-min-priority-fee"]);
        command.args(["--hardfork", "prague"]);
        if kind == Kind::AnvilState {
            command.arg("--state").arg(dir.join("state.json")).args(["--state-interval", "1"]);
        }
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start `{}`", anvil.display()))?;
        let node = Node { child, address: format!("127.0.0.1:{port}") };
        let start = Instant::now();
        // Any method will do; nothing has this hash.
        let ask =
            || Client::connect(&node.address)?.call("eth_getTransactionReceipt", &format!("0x{:064x}", 0));
        while ask().is_err() {
            if start.elapsed() > Duration::from_secs(20) {
                bail!("anvil does not answer on {}", node.address);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(node)
    }

    /// Most memory that it has used so far, in bytes, where the system tells.
    pub fn peak_memory(&self) -> Option<u64> {
        peak_memory(&self.child.id().to_string())
    }
}

/// Most memory that a process has used so far, in bytes; `self` is this one. Linux only.
pub fn peak_memory(process: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Processor time of this process so far, in seconds. Linux only.
pub fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    // Clock ticks are a hundredth of a second on every Linux.
    Some((ticks(11)? + ticks(12)?) / 100.0)
}
