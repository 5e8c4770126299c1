//! `histone chain serve`.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, U256, hex};
use alloy_sol_types::SolCall as _;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use histone_chain::server::{Options, listen, serve};
use histone_chain::{
    Allowance, Chain, Clock as _, FILE_NAME, FreeGas, Genesis, IsMember, Sequencer, SystemClock,
};
use histone_compliance::folder::Folder;
use histone_contracts::Members;

use super::key;
use crate::progress::{STDOUT, tell};

/// Chain id of a new chain unless the user chooses one; wallets take it for a development chain.
pub const CHAIN_ID: u64 = 31_337;

/// The ten development keys that Ethereum tools print and know. INSECURE: everybody has them.
const INSECURE_KEYS: [[u8; 32]; 10] = [
    hex!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"),
    hex!("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
    hex!("5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"),
    hex!("7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6"),
    hex!("47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a"),
    hex!("8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba"),
    hex!("92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e"),
    hex!("4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356"),
    hex!("dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97"),
    hex!("2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6"),
];

/// What to serve and to whom.
#[derive(Args)]
pub struct ServeArgs {
    /// Directory of the chain; a new chain is made when it does not exist or is empty. The ledger of a run folder is served
    /// read-only.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Address to listen on. There is no login: whoever reaches it can send transactions.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port for HTTP and WebSocket; 0 takes a free one.
    #[arg(long, default_value_t = 8545)]
    port: u16,
    /// Chain id of a new chain [default: 31337]; for an existing one, what it must be.
    #[arg(long, value_name = "NUMBER")]
    chain_id: Option<u64>,
    /// Make a block this often when transactions wait, instead of one for each transaction at once.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    block_time: Option<u64>,
    /// The sequencer's key file, made when missing [default: DIR.private/sequencer.key].
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// INSECURE: give money on a new chain to ten accounts whose keys everybody knows, and print them.
    #[arg(long)]
    dev: bool,
    /// Give an account of a new chain 1000000 coins (10^24 wei), for fees. May be given several times.
    #[arg(long, value_name = "ADDRESS")]
    fund: Vec<Address>,
    /// A host name, besides localhost and IP addresses, by which clients may call. May be given several times.
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// A web origin, besides pages of this machine, that may call, such as https://example.org. May be given several
    /// times.
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
    /// Gas that one account may use for nothing each second, on average; a thousand times as much at once.
    #[arg(long, value_name = "GAS", default_value_t = FreeGas::default().account.per_second)]
    free_gas_account: u64,
    /// The same for all accounts together.
    #[arg(long, value_name = "GAS", default_value_t = FreeGas::default().all.per_second)]
    free_gas_all: u64,
    /// The Members contract of the ledger on this chain: its members are first in every block, and half of the gas that all
    /// accounts may use is kept for them.
    #[arg(long, value_name = "ADDRESS")]
    members: Option<Address>,
    /// Print where and what is served as one JSON document on one line.
    #[arg(long)]
    json: bool,
}

/// Serves a chain until it is told to stop.
pub fn run(args: &ServeArgs, out: &mut dyn Write) -> Result<bool> {
    keep_few_heaps();
    // The port first: when it is taken, nothing has been made.
    let listener = listen(SocketAddr::new(args.host, args.port))?;
    let address = listener.local_addr().context("cannot tell the port")?;
    let key_path = match &args.key {
        Some(path) => path.clone(),
        None => key::default_path(&args.dir)?,
    };
    let (chain, held) = match run_ledger(args)? {
        Some(ledger) => (Chain::open_read_only(&ledger, Arc::new(SystemClock))?, Held::ReadOnly),
        None => (open(args, &key_path)?, Held::WithKey(&key_path)),
    };
    announce(args, &chain, address, held, out)?;
    let options = Options {
        hosts: args.allow_host.clone(),
        origins: args.allow_origin.clone(),
        block_time: args.block_time.map(Duration::from_secs),
        free_gas: Some(free_gas(args, &chain)),
        ..Options::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let stop = stop_signal()?;
        serve(chain.clone(), listener, options, stop).await.context("the server failed")
    })?;
    tell(&format!("stopped at block {}", chain.head()?.header.number));
    Ok(true)
}

/// The allocator of glibc keeps a heap for each of many threads, which doubles the memory of a server under attack. It looks at
/// its environment when a program starts and not later, so the program starts again. Where that fails it goes on as it is.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn keep_few_heaps() {
    use std::os::unix::process::CommandExt as _;
    const HEAPS: &str = "MALLOC_ARENA_MAX";
    if std::env::var_os(HEAPS).is_none()
        && let Ok(program) = std::env::current_exe()
    {
        let _ = std::process::Command::new(program).args(std::env::args_os().skip(1)).env(HEAPS, "2").exec();
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn keep_few_heaps() {}

/// What the server can do with its chain.
enum Held<'a> {
    /// Make blocks, with the key in this file.
    WithKey(&'a Path),
    /// Answer questions.
    ReadOnly,
}

/// How much gas is free for whom.
fn free_gas(args: &ServeArgs, chain: &Chain) -> FreeGas {
    let allowance = |per_second: u64| Allowance { burst: per_second.saturating_mul(1000), per_second };
    let all = allowance(args.free_gas_all);
    let members = args.members.map(|contract| -> Arc<IsMember> {
        let chain = chain.clone();
        Arc::new(move |account| has_roles(&chain, contract, account))
    });
    FreeGas { account: allowance(args.free_gas_account), member: all, all, members, ..FreeGas::default() }
}

/// Whether the Members contract gives `account` any role. Where there is no such contract nobody has one.
fn has_roles(chain: &Chain, contract: Address, account: Address) -> bool {
    let input = hex::encode_prefixed(Members::rolesOfCall { account }.abi_encode());
    let call = serde_json::json!([{ "to": contract, "input": input, "gas": "0x186a0" }]);
    let roles = chain.request("eth_call", call).ok();
    let roles = roles.as_ref().and_then(|roles| roles.as_str()).and_then(|text| text.parse::<U256>().ok());
    roles.is_some_and(|roles| !roles.is_zero())
}

/// The ledger of the run folder that `--dir` names, if it names one. Everything about a run is in its folder and nothing may
/// be added to it.
fn run_ledger(args: &ServeArgs) -> Result<Option<PathBuf>> {
    let ledger = super::ledger_in(&args.dir);
    // Its ledger may be named as well.
    let around = ledger.canonicalize().ok().and_then(|dir| Some(Folder::at(dir.parent()?)));
    let in_a_run = around.is_some_and(|run| run.manifest().exists() || run.unfinished().exists());
    if ledger == args.dir && !in_a_run {
        return Ok(None);
    }
    let shown = args.dir.display();
    let writes = [
        (args.dev, "--dev"),
        (!args.fund.is_empty(), "--fund"),
        (args.block_time.is_some(), "--block-time"),
        (args.key.is_some(), "--key"),
        (args.chain_id.is_some(), "--chain-id"),
    ];
    if let Some((_, option)) = writes.iter().find(|(given, _)| *given) {
        bail!(
            "`{shown}` is a run folder, whose ledger is served read-only; {option} is for a chain of one's own in another directory"
        );
    }
    tell(&format!("`{shown}` is a run folder: its ledger is served read-only, nothing can be sent to it"));
    Ok(Some(ledger))
}

/// Opens the chain, or makes it.
fn open(args: &ServeArgs, key_path: &Path) -> Result<Chain> {
    let clock = Arc::new(SystemClock);
    if args.dir.join(FILE_NAME).exists() {
        if !args.fund.is_empty() {
            bail!("`{}` holds a chain already; --fund is for new chains", args.dir.display());
        }
        let sequencer =
            key::read(key_path).context("the chain exists, but not its key; name it with --key")?;
        let chain = Chain::open(&args.dir, sequencer, clock)?;
        let genesis = chain.genesis();
        if let Some(wanted) = args.chain_id.filter(|&id| id != genesis.chain_id) {
            bail!("`{}` holds a chain with id {}, not {wanted}", args.dir.display(), genesis.chain_id);
        }
        let funded = |address| genesis.alloc.iter().any(|&(known, _)| known == address);
        if args.dev && !development_accounts()?.iter().all(|(address, _)| funded(*address)) {
            bail!("the chain in `{}` was made without --dev; choose another directory", args.dir.display());
        }
        return Ok(chain);
    }
    // Whatever else is there belongs to somebody: a run that has no ledger yet, or none at all.
    let is_empty = |dir: &Path| dir.read_dir().is_ok_and(|mut entries| entries.next().is_none());
    if args.dir.exists() && !is_empty(&args.dir) {
        bail!("`{}` holds no chain, but something else; choose a new directory", args.dir.display());
    }
    let sequencer = if key_path.exists() { key::read(key_path)? } else { key::create(key_path)? };
    let coins = |amount: u64| U256::from(amount) * U256::from(10).pow(U256::from(18));
    let mut alloc: Vec<(Address, U256)> =
        args.fund.iter().map(|&address| (address, coins(1_000_000))).collect();
    if args.dev {
        alloc.extend(development_accounts()?.into_iter().map(|(address, _)| (address, coins(10_000))));
    }
    let genesis = Genesis {
        chain_id: args.chain_id.unwrap_or(CHAIN_ID),
        timestamp: clock.now(),
        sequencer: sequencer.address(),
        alloc,
        gas_limit: Genesis::GAS_LIMIT,
    };
    Ok(Chain::create(&args.dir, genesis, sequencer, clock)?)
}

fn development_accounts() -> Result<Vec<(Address, String)>> {
    INSECURE_KEYS
        .iter()
        .map(|key| Ok((Sequencer::from_bytes(key)?.address(), hex::encode_prefixed(key))))
        .collect()
}

fn announce(
    args: &ServeArgs,
    chain: &Chain,
    address: SocketAddr,
    held: Held<'_>,
    out: &mut dyn Write,
) -> Result<()> {
    let (genesis, head) = (chain.genesis(), chain.head()?);
    let accounts = if args.dev { development_accounts()? } else { Vec::new() };
    if !address.ip().is_loopback() {
        tell(&format!("warning: whoever reaches {address} can send transactions: no encryption, no login"));
    }
    let text = if args.json {
        let accounts: Vec<_> = accounts
            .iter()
            .map(|(address, key)| serde_json::json!({ "address": address, "insecure_key": key }))
            .collect();
        let document = serde_json::json!({
            "http": format!("http://{address}"),
            "websocket": format!("ws://{address}"),
            "chain_id": genesis.chain_id,
            "block": head.header.number,
            "head": head.hash,
            "sequencer": genesis.sequencer,
            "accounts": accounts,
            "read_only": matches!(held, Held::ReadOnly),
        });
        document.to_string()
    } else {
        let mut lines = vec![
            format!("HTTP       http://{address}"),
            format!("WebSocket  ws://{address}"),
            format!("chain id   {}", genesis.chain_id),
            format!("head       {} (block {})", head.hash, head.header.number),
            match held {
                Held::WithKey(path) => format!("sequencer  {}, key in {}", genesis.sequencer, path.display()),
                Held::ReadOnly => format!("sequencer  {}; read-only", genesis.sequencer),
            },
            "One operator's tamper-evident log, not a decentralized chain. Stop it with Ctrl-C.".into(),
        ];
        if !accounts.is_empty() {
            lines.push("\nINSECURE development accounts: everybody has these keys".into());
            lines.extend(accounts.iter().map(|(address, key)| format!("{address}  {key}")));
        }
        lines.join("\n")
    };
    // Whoever started the server waits for this text.
    writeln!(out, "{text}").and_then(|()| out.flush()).context(STDOUT)
}

/// Ready at the first request to stop: Ctrl-C, or SIGTERM from whoever runs services.
#[cfg(unix)]
pub fn stop_signal() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
pub fn stop_signal() -> Result<impl Future<Output = ()>> {
    Ok(async {
        // Without a console there is no Ctrl-C to wait for.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        serve: ServeArgs,
    }

    /// Opens the chain that a command line means; what it says otherwise.
    fn opened(dir: &Path, arguments: &[&str]) -> Result<Chain, String> {
        let dir = dir.join("chain");
        let line = [&["serve", "--dir", dir.to_str().unwrap()], arguments].concat();
        let args = Line::try_parse_from(line).unwrap().serve;
        let key_path = args.key.clone().unwrap_or_else(|| key::default_path(&args.dir).unwrap());
        open(&args, &key_path).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_chain_is_made_once_and_continued_with_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let rich = "0x00000000000000000000000000000000000000aa";
        let made = opened(dir.path(), &["--chain-id", "77", "--fund", rich]).unwrap();
        let genesis = made.genesis().clone();
        assert_eq!(genesis.chain_id, 77);
        assert_eq!(genesis.alloc, [(rich.parse().unwrap(), U256::from(10).pow(U256::from(24)))]);
        drop(made);
        assert_eq!(*opened(dir.path(), &[]).unwrap().genesis(), genesis);
        assert_eq!(*opened(dir.path(), &["--chain-id", "77"]).unwrap().genesis(), genesis);

        let other_key = dir.path().join("other.key");
        key::create(&other_key).unwrap();
        for (arguments, why) in [
            (vec!["--chain-id", "78"], "holds a chain with id 77, not 78"),
            (vec!["--dev"], "was made without --dev"),
            (vec!["--fund", rich], "--fund is for new chains"),
            (vec!["--key", other_key.to_str().unwrap()], "the genesis names the sequencer"),
            (vec!["--key", "/nowhere/at/all"], "name it with --key: cannot read the key `/nowhere/at/all`"),
        ] {
            let refused = opened(dir.path(), &arguments).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
        std::fs::remove_dir_all(dir.path().join("chain.private")).unwrap();
        let refused = opened(dir.path(), &[]).unwrap_err();
        assert!(refused.contains("the chain exists, but not its key"), "{refused}");
        assert!(!dir.path().join("chain.private").exists(), "a key was made for a chain that has one");
    }

    #[test]
    fn a_run_folder_keeps_what_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        let key = Sequencer::from_bytes(&[7; 32]).unwrap();
        let genesis = Genesis {
            chain_id: 9,
            timestamp: 1_700_000_000,
            sequencer: key.address(),
            alloc: Vec::new(),
            gas_limit: Genesis::GAS_LIMIT,
        };
        drop(Chain::create(&run.join("ledger"), genesis, key, Arc::new(SystemClock)).unwrap());
        let served = |arguments: &[&str]| {
            let line = [&["serve", "--dir", run.to_str().unwrap()], arguments].concat();
            run_ledger(&Line::try_parse_from(line).unwrap().serve).map_err(|error| error.to_string())
        };
        assert_eq!(served(&[]).unwrap(), Some(run.join("ledger")));
        // By its ledger's name too, once something says that a run is around it.
        std::fs::write(Folder::at(&run).manifest(), "{}").unwrap();
        let ledger = run.join("ledger");
        let line = Line::try_parse_from(["serve", "--dir", ledger.to_str().unwrap()]).unwrap();
        assert_eq!(run_ledger(&line.serve).unwrap(), Some(ledger));
        for option in ["--dev", "--block-time=3", "--chain-id=9", "--key=x"] {
            assert!(served(&[option]).unwrap_err().contains("is a run folder"), "{option}");
        }
        // One that has no ledger yet, and any other directory with something in it.
        let other = dir.path().join("chain");
        std::fs::create_dir(&other).unwrap();
        assert!(opened(dir.path(), &[]).is_ok(), "an empty directory is as good as none");
        std::fs::remove_dir_all(&other).unwrap();
        std::fs::create_dir(&other).unwrap();
        std::fs::write(other.join("study.toml"), "x").unwrap();
        assert!(opened(dir.path(), &[]).unwrap_err().contains("choose a new directory"));
        assert_eq!(std::fs::read_dir(&other).unwrap().count(), 1);
    }

    #[test]
    fn development_money_is_for_development_chains() {
        let dir = tempfile::tempdir().unwrap();
        let chain = opened(dir.path(), &["--dev"]).unwrap();
        assert_eq!((chain.genesis().alloc.len(), chain.genesis().chain_id), (10, CHAIN_ID));
        drop(chain);
        opened(dir.path(), &["--dev"]).unwrap();
        let plain = tempfile::tempdir().unwrap();
        assert!(opened(plain.path(), &[]).unwrap().genesis().alloc.is_empty());
    }

    #[test]
    fn command_lines_that_mean_nothing_are_refused() {
        for arguments in [
            vec!["serve"],
            vec!["serve", "--dir", "x", "--port", "65536"],
            vec!["serve", "--dir", "x", "--host", "example.org"],
            vec!["serve", "--dir", "x", "--block-time", "0"],
            vec!["serve", "--dir", "x", "--block-time", "1.5"],
            vec!["serve", "--dir", "x", "--fund", "0x12"],
            vec!["serve", "--dir", "x", "--chain-id", "-1"],
        ] {
            assert!(Line::try_parse_from(&arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn development_accounts_are_the_known_ones() {
        let accounts = development_accounts().unwrap();
        assert_eq!(accounts[0].0.to_string(), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
        assert_eq!(accounts[9].0.to_string(), "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720");
    }
}
