//! `histone node doctor`: what keeps a node from working, and what to do about it.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use histone_chain::{Clock, SystemClock};
use histone_network::Network;
use histone_network::client::HubNet;
use histone_node::home::Opened;
use histone_node::home::doctor::{Finding, local};
use histone_node::service::{self, Status};
use histone_protocol::hash::blob_hash;

use crate::node::{HomeArgs, hub_net};
use crate::progress::STDOUT;
use crate::tables::plain;

/// A clock that is off by more is said to be wrong.
const OFF: u64 = 60;
/// How much is sent and fetched to see how fast the line is.
const SAMPLE: usize = 256 << 10;

/// Which node.
#[derive(Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    home: HomeArgs,
    /// Do not send and fetch a quarter of a megabyte to measure the line.
    #[arg(long)]
    quick: bool,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Looks at everything that a node needs, one line each. `false` when something is wrong.
pub fn run(args: &DoctorArgs, out: &mut dyn Write) -> Result<bool> {
    let now = SystemClock.now();
    let opened = args.home.open();
    let newest = opened.as_ref().ok().and_then(|o| service::status(&o.store).ok().flatten());
    let block_time = None;
    let mut findings = local(&args.home.home, now, block_time);
    match opened {
        Err(error) => {
            findings.push(bad("keys", &error.to_string(), "open the home with the right passphrase"))
        }
        Ok(opened) => remote(&opened, newest.as_ref(), args.quick, now, &mut findings),
    }
    let ok = findings.iter().all(|f| f.ok);
    if args.json {
        let rows: Vec<_> = findings
            .iter()
            .map(|f| serde_json::json!({ "what": f.what, "ok": f.ok, "says": f.says, "todo": f.todo }))
            .collect();
        writeln!(out, "{}", serde_json::json!({ "ok": ok, "findings": rows })).context(STDOUT)?;
        return Ok(ok);
    }
    for Finding { what, ok, says, todo } in &findings {
        let mark = if *ok { "ok   " } else { "WRONG" };
        writeln!(out, "{mark} {what}: {}", plain(says)).context(STDOUT)?;
        if let Some(todo) = todo {
            writeln!(out, "      {}", plain(todo)).context(STDOUT)?;
        }
    }
    Ok(ok)
}

fn good(what: &'static str, says: &str) -> Finding {
    Finding { what, ok: true, says: says.into(), todo: None }
}

fn bad(what: &'static str, says: &str, todo: &str) -> Finding {
    Finding { what, ok: false, says: says.into(), todo: Some(todo.into()) }
}

/// What is on the way to others, and there.
fn remote(opened: &Opened, status: Option<&Status>, quick: bool, now: u64, findings: &mut Vec<Finding>) {
    let invitation = match service::invitation(&opened.store) {
        Ok(Some(invitation)) => invitation,
        Ok(None) => {
            let todo = "ask a network's founder for an invitation and run `histone node join`";
            return findings.push(bad("network", "this home has joined none", todo));
        }
        Err(error) => {
            return findings.push(bad("network", &error.to_string(), "join again by the invitation"));
        }
    };
    findings
        .push(good("network", &format!("`{}`, fingerprint {}", invitation.name, invitation.fingerprint())));
    findings.push(bad_if_simulated());
    let url = opened.settings.hub.clone().unwrap_or(invitation.hub.clone());
    let net = match hub_net(&url, &opened.settings, opened.home.dir(), &opened.party) {
        Ok(net) => net,
        Err(error) => {
            return findings.push(bad(
                "hub",
                &format!("{error:#}"),
                "mend `hub`, `ca_file` or `proxy` in node.toml",
            ));
        }
    };
    let asked = Instant::now();
    let health = match net.health() {
        Ok(health) => health,
        Err(error) => {
            let todo = "ask whoever runs the hub, and your network's administrators whether outbound HTTPS to it is allowed";
            return findings.push(bad("hub", &error.to_string(), todo));
        }
    };
    let took = asked.elapsed();
    findings
        .push(good("hub", &format!("{url} answers in {} ms (version {})", took.as_millis(), health.version)));
    if let Some(issuer) = net.issuer() {
        findings.push(good("TLS", &format!("the hub's certificate is issued by {issuer}")));
    }
    let off = now.abs_diff(health.time);
    findings.push(match off > OFF {
        true => bad(
            "clock",
            &format!("this machine's clock and the hub's are {off} s apart"),
            "set the clock by a time server; a node whose clock is wrong misses rounds",
        ),
        false => good("clock", &format!("{off} s from the hub's")),
    });
    findings.push(match net.collect() {
        Ok(letters) => good("mailbox", &format!("opens; {} letters wait", letters.len())),
        Err(error) => bad("mailbox", &error.to_string(), "wait for the hub, or ask whoever runs it"),
    });
    findings.push(ledger(&net, &invitation.genesis.to_string()));
    findings.push(match status {
        None => bad("daemon", "it has never run", "run `histone node run`"),
        Some(status) if status.member => good("membership", &format!("{} is a member", status.account)),
        Some(_) if opened.settings.roles == 0 => good("membership", "end users and founders need none"),
        Some(_) => bad(
            "membership",
            "the founder has not admitted this party",
            "ask the founder to look into the inbox",
        ),
    });
    for (duty, stumble) in status.iter().flat_map(|s| &s.stumbles) {
        let says = format!("{duty} fails since {} ({} times): {}", stumble.since, stumble.times, stumble.why);
        findings.push(bad("duty", &says, "it is tried again by itself; what it says is what to mend"));
    }
    if !quick {
        findings.push(line(&net, opened));
    }
}

fn bad_if_simulated() -> Finding {
    good(
        "trusted hardware",
        "SIMULATED: this version has no other; nothing that enclaves say proves anything about machines",
    )
}

/// Whether the ledger behind the hub answers, and is the right one.
fn ledger(net: &HubNet, genesis: &str) -> Finding {
    let request = br#"{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["0x0",false]}"#;
    let answer = net.rpc(request).map_err(|e| e.to_string());
    let hash = answer.and_then(|bytes| {
        let answer: serde_json::Value = serde_json::from_slice(&bytes).map_err(|e| e.to_string())?;
        answer["result"]["hash"].as_str().map(str::to_owned).ok_or_else(|| "it tells no block 0".into())
    });
    match hash {
        Ok(hash) if hash == genesis => good("ledger", "answers, and begins with the block of the invitation"),
        Ok(hash) => bad(
            "ledger",
            &format!("begins with block {hash}, the invitation says {genesis}"),
            "this hub serves another network; ask the founder for its address",
        ),
        Err(error) => bad("ledger", &error, "ask whoever runs the hub"),
    }
}

/// How fast the line is, both ways.
fn line(net: &HubNet, opened: &Opened) -> Finding {
    let mut sample = vec![0; SAMPLE];
    // Not compressible, and the same each time, so that it takes room at the hub once.
    for (chunk, number) in sample.chunks_mut(32).zip(0u64..) {
        let bytes = opened.party.root().derive("line sample", &[&number.to_le_bytes()]);
        chunk.copy_from_slice(&bytes[..chunk.len()]);
    }
    let timed = |what: &mut dyn FnMut() -> bool| {
        let began = Instant::now();
        what().then(|| rate(began.elapsed()))
    };
    let up = timed(&mut || net.offer(&sample).is_ok());
    let down = timed(&mut || net.fetch(blob_hash(&sample)).is_ok_and(|found| found.is_some()));
    match (up, down) {
        (Some(up), Some(down)) => good(
            "line",
            &format!(
                "{up:.1} Mbit/s out (a sample that the hub had already is not sent again), {down:.1} Mbit/s in"
            ),
        ),
        _ => bad(
            "line",
            "a quarter of a megabyte did not go through",
            "look at the hub's answer above, and at limits of the proxy",
        ),
    }
}

fn rate(took: Duration) -> f64 {
    SAMPLE as f64 * 8.0 / 1e6 / took.as_secs_f64().max(1e-6)
}
