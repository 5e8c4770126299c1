//! `histone hub`: a meeting point for parties that can only go out.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use histone_chain::server::{self, listen};
use histone_chain::{Chain, Clock as _, FILE_NAME, Genesis, SystemClock, Watcher};
use histone_network::client::NodeClient;
use histone_network::hub::{Hub, Limits, Options, Rpc, Tls};
use tokio::sync::{oneshot, watch};

use crate::chain::key;
use crate::chain::serve::{CHAIN_ID, keep_few_heaps, stop_signal};
use crate::progress::{STDOUT, tell};

/// How long the ledger's node may take for one answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the node of a network is asked for its newest block.
const LOOK: Duration = Duration::from_secs(2);

#[derive(Subcommand)]
pub enum Command {
    /// Serve a hub: mailboxes with sealed letters, public blobs, and the way to a ledger, for parties that can only go out.
    Serve(ServeArgs),
}

/// What to serve and how.
#[derive(Args)]
pub struct ServeArgs {
    /// Directory of the hub; made when it does not exist.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Address to listen on.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 8787)]
    port: u16,
    /// Certificate chain in PEM form. With it the hub speaks TLS by itself; the file is read again when it changes.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Key of the certificate in PEM form.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// A proxy that speaks TLS is in front of the hub: its word for the addresses of clients (X-Forwarded-For) is taken.
    #[arg(long, conflicts_with = "tls_cert")]
    behind_proxy: bool,
    /// Pass requests on to this node of the ledger's network, instead of a chain of the hub's own in DIR/ledger.
    #[arg(long, value_name = "URL", conflicts_with_all = ["chain_id", "key"])]
    rpc: Option<String>,
    /// Chain id of a new chain [default: 31337]; for an existing one, what it must be.
    #[arg(long, value_name = "NUMBER")]
    chain_id: Option<u64>,
    /// The key file of the chain's sequencer, made when missing [default: DIR/ledger.private/sequencer.key].
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Most gigabytes of letters and blobs on the disk.
    #[arg(long, value_name = "GB", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    disk: u64,
    /// Print where and what is served as one JSON document on one line.
    #[arg(long)]
    json: bool,
}

/// Runs a command.
pub fn run(command: &Command, out: &mut dyn Write) -> Result<bool> {
    match command {
        Command::Serve(args) => serve(args, out),
    }
}

/// The ledger behind a hub.
enum Ledger {
    /// A chain of its own, served on a port of this machine: its server limits what strangers may ask.
    Own { chain: Chain, listener: std::net::TcpListener },
    /// A node elsewhere.
    Node(NodeClient),
}

/// Serves a hub until it is told to stop.
fn serve(args: &ServeArgs, out: &mut dyn Write) -> Result<bool> {
    keep_few_heaps();
    getrandom::fill(&mut [0; 32]).context("the operating system gives no random numbers")?;
    if something_else(&args.dir) {
        bail!("`{}` holds something else than a hub; choose a new directory", args.dir.display());
    }
    // The port first: when it is taken, nothing has been made.
    let listener = listen(SocketAddr::new(args.host, args.port))?;
    let address = listener.local_addr().context("cannot tell the port")?;
    let ledger = match &args.rpc {
        Some(url) => Ledger::Node(NodeClient::new(url, None, None, PATIENCE)?),
        None => Ledger::Own { chain: open(args)?, listener: listen(SocketAddr::from(([127, 0, 0, 1], 0)))? },
    };
    let node = match &ledger {
        Ledger::Own { listener, .. } => {
            let port = listener.local_addr().context("cannot tell the port")?.port();
            NodeClient::new(&format!("http://127.0.0.1:{port}"), None, Some("none".into()), PATIENCE)?
        }
        Ledger::Node(node) => node.clone(),
    };
    let (head, heads) = watch::channel(0);
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificates), Some(key)) => Some(Tls { certificates: certificates.clone(), key: key.clone() }),
        _ => None,
    };
    let hub = Hub::open(Options {
        rpc: Some(passed_on(node.clone())),
        heads: Some(heads),
        tls,
        behind_proxy: args.behind_proxy,
        limits: Limits { disk: args.disk << 30, ..Limits::default() },
        log: Arc::new(|line| tell(&format!("hub: {line}"))),
        ..Options::new(&args.dir, Arc::new(|| SystemClock.now()), Arc::new(random))
    })?;
    announce(args, address, &hub, &ledger, out)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let stop = stop_signal()?;
        match ledger {
            Ledger::Own { chain, listener: inner } => {
                let (stop_chain, stops) = oneshot::channel::<()>();
                let (failed, fails) = oneshot::channel::<()>();
                let serving = async {
                    let served = server::serve(chain.clone(), inner, server::Options::default(), async {
                        drop(stops.await)
                    });
                    let served = served.await;
                    drop(failed);
                    served
                };
                let meeting = async {
                    let stop = async {
                        tokio::select! {
                            () = stop => {}
                            _ = fails => {}
                        }
                    };
                    let met = hub.serve(listener, stop).await;
                    drop(stop_chain);
                    met
                };
                head.send_replace(chain.head()?.header.number);
                let watcher: Arc<Watcher> = Arc::new(move |number| {
                    head.send_replace(number);
                });
                chain.watch(&watcher);
                let (met, served) = tokio::join!(meeting, serving);
                served.context("the chain cannot be served")?;
                met.context("the hub failed")
            }
            Ledger::Node(node) => {
                let newest = || {
                    let node = node.clone();
                    async move { tokio::task::spawn_blocking(move || newest(&node)).await.ok()? }
                };
                tokio::select! {
                    met = hub.serve(listener, stop) => met.context("the hub failed"),
                    never = follow(LOOK, head, newest) => match never {},
                }
            }
        }
    })?;
    tell("the hub has stopped");
    Ok(true)
}

/// Tells the numbers of new blocks.
async fn follow<F: Future<Output = Option<u64>>>(
    pause: Duration,
    head: watch::Sender<u64>,
    newest: impl Fn() -> F,
) -> std::convert::Infallible {
    loop {
        // A node that does not answer now is asked again.
        if let Some(number) = newest().await {
            head.send_if_modified(|known| std::mem::replace(known, number) != number);
        }
        tokio::time::sleep(pause).await;
    }
}

fn newest(node: &NodeClient) -> Option<u64> {
    let request = br#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}"#;
    let answer: serde_json::Value = serde_json::from_slice(&node.call(request).ok()?).ok()?;
    u64::from_str_radix(answer["result"].as_str()?.strip_prefix("0x")?, 16).ok()
}

fn passed_on(node: NodeClient) -> Arc<Rpc> {
    Arc::new(move |request| {
        let node = node.clone();
        Box::pin(async move {
            let answer = tokio::task::spawn_blocking(move || node.call(&request)).await;
            match answer {
                Ok(answer) => answer.map_err(|error| error.to_string()),
                Err(_) => Err("the request failed inside the hub".into()),
            }
        })
    })
}

/// From the operating system.
fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    // Unwrap safety: it was asked when the hub started, and a system that gave randomness once goes on.
    #[allow(clippy::expect_used)]
    getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
    bytes
}

/// Opens the hub's own chain, or makes it.
fn open(args: &ServeArgs) -> Result<Chain> {
    let dir = args.dir.join("ledger");
    let key_path = match &args.key {
        Some(path) => path.clone(),
        None => key::default_path(&dir)?,
    };
    let clock = Arc::new(SystemClock);
    if dir.join(FILE_NAME).exists() {
        let sequencer =
            key::read(&key_path).context("the hub has a chain, but not its key; name it with --key")?;
        let chain = Chain::open(&dir, sequencer, clock)?;
        let found = chain.genesis().chain_id;
        if let Some(wanted) = args.chain_id.filter(|&id| id != found) {
            bail!("`{}` holds a chain with id {found}, not {wanted}", dir.display());
        }
        return Ok(chain);
    }
    histone_network::create_private_dir(&args.dir)?;
    let sequencer = if key_path.exists() { key::read(&key_path)? } else { key::create(&key_path)? };
    let genesis = Genesis {
        chain_id: args.chain_id.unwrap_or(CHAIN_ID),
        timestamp: clock.now(),
        sequencer: sequencer.address(),
        alloc: Vec::new(),
        gas_limit: Genesis::GAS_LIMIT,
    };
    Ok(Chain::create(&dir, genesis, sequencer, clock)?)
}

/// Whether a directory holds anything, and it is not a hub's: one that was interrupted in its first moments is.
fn something_else(dir: &Path) -> bool {
    let ours = ["hub.lock", "ledger", "ledger.private"];
    let names =
        dir.read_dir().map(|entries| entries.flatten().map(|entry| entry.file_name()).collect::<Vec<_>>());
    let names = names.unwrap_or_default();
    !names.is_empty() && !names.iter().any(|name| ours.iter().any(|ours| name == ours))
}

fn announce(
    args: &ServeArgs,
    address: SocketAddr,
    hub: &Hub,
    ledger: &Ledger,
    out: &mut dyn Write,
) -> Result<()> {
    let scheme = if args.tls_cert.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{address}");
    if scheme == "http" && !address.ip().is_loopback() && !args.behind_proxy {
        tell(&format!(
            "warning: {url} has no encryption: whoever is in between takes over sessions; give --tls-cert and --tls-key, or listen on this machine only and put a proxy with TLS in front"
        ));
    }
    let identity = hub.identity();
    let text = match (ledger, args.json) {
        (Ledger::Own { chain, .. }, json) => {
            let (genesis, head) = (chain.genesis(), chain.head()?);
            if json {
                serde_json::json!({
                    "hub": url,
                    "identity": identity,
                    "chain_id": genesis.chain_id,
                    "block": head.header.number,
                    "head": head.hash,
                    "sequencer": genesis.sequencer,
                })
                .to_string()
            } else {
                let (id, number) = (genesis.chain_id, head.header.number);
                format!(
                    "hub {url}, identity {identity}, with a ledger of its own (chain id {id}, block {number}); stop it with Ctrl-C"
                )
            }
        }
        (Ledger::Node(node), true) => {
            serde_json::json!({ "hub": url, "identity": identity, "rpc": node.shown() }).to_string()
        }
        (Ledger::Node(node), false) => {
            format!(
                "hub {url}, identity {identity}, with the ledger at {}; stop it with Ctrl-C",
                node.shown()
            )
        }
    };
    // Whoever started the hub waits for this line.
    writeln!(out, "{text}").and_then(|()| out.flush()).context(STDOUT)
}
