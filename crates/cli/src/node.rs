//! `histone node` and `histone network`: one party as a process of its own.

use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use histone_chain::{Clock, SystemClock};
use histone_network::Network;
use histone_network::client::{HubNet, HubOptions};
use histone_node::api::{self, ApiOptions};
use histone_node::daemon::{HAND_OVER, HandOver, Mailbox};
use histone_node::home::{Answers, Cost, Home, Opened, Passphrase, Protection, ROLES, Settings};
use histone_node::party::{Entropy, Party};
use histone_node::programs::Bundled;
use histone_node::service::{self, Bell, Service, keep_invitation};
use histone_protocol::Address;
use histone_protocol::invitation::Invitation;

use crate::chain::serve::{keep_few_heaps, stop_signal};
use crate::keeping;
use crate::ledger::text::utc;
use crate::person::wishes::{self, Wishing};
use crate::progress::{STDOUT, tell};
use crate::sure::sure;

/// Where the passphrase of a node may lie.
const PASSPHRASE: &str = "HISTONE_PASSPHRASE";
/// How long a daemon that was told to stop may take for what it is doing. After that it is cut off, which it survives.
const FAREWELL: Duration = Duration::from_secs(10);

/// Which home, and how its keys are opened.
#[derive(Args, Clone)]
pub struct HomeArgs {
    /// Home of the node: the directory with everything that it keeps [default: ~/.histone].
    #[arg(long, value_name = "DIR", env = "HISTONE_HOME", hide_env_values = true, hide_default_value = true, default_value_os_t = default_home())]
    pub home: PathBuf,
    /// File with the passphrase of the keystore. Without it `HISTONE_PASSPHRASE` is taken.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

pub fn default_home() -> PathBuf {
    let user = std::env::var_os("HOME").or_else(|| std::env::var_os("USERPROFILE"));
    user.map_or_else(|| PathBuf::from(".histone"), |user| PathBuf::from(user).join(".histone"))
}

impl HomeArgs {
    pub fn passphrase(&self) -> Result<Option<Passphrase>> {
        match &self.passphrase_file {
            Some(path) => Ok(Some(Passphrase::read(path)?)),
            None => Ok(std::env::var(PASSPHRASE).ok().map(Passphrase::new)),
        }
    }

    /// Opens the home.
    pub fn open(&self) -> Result<Opened> {
        let passphrase = self.passphrase()?;
        if passphrase.is_none() && Home::at(&self.home).needs_passphrase()? {
            bail!(
                "the keys of `{}` are under a passphrase: name a file with it by --passphrase-file, or set {PASSPHRASE}",
                self.home.display()
            );
        }
        Ok(Home::open(&self.home, passphrase.as_ref())?)
    }
}

#[derive(Subcommand)]
pub enum Command {
    /// Make the home of a party: its keys, its memory, its settings.
    Init(InitArgs),
    /// Join a network by the invitation of its founder.
    Join(JoinArgs),
    /// Forget a network that this home has joined and never reached.
    Leave(LeaveArgs),
    /// Run the party's daemon until it is told to stop.
    Run(RunArgs),
    /// Look for what keeps the node from working, and say what to do.
    Doctor(crate::doctor::DoctorArgs),
    /// Copy everything that the node keeps into a new directory, also while it runs.
    Backup(keeping::BackupArgs),
    /// Make a home from a backup.
    Restore(keeping::RestoreArgs),
    /// Print a systemd unit that runs the node.
    Unit(keeping::UnitArgs),
}

/// Who is to be made.
#[derive(Args)]
pub struct InitArgs {
    #[command(flatten)]
    home: HomeArgs,
    /// The party's name: a-z, 0-9 and -.
    #[arg(long)]
    name: String,
    /// What it takes part as: owner, trainer, runner, auditor, committee; several with commas, none for an end user or a founder.
    #[arg(long, value_delimiter = ',')]
    roles: Vec<String>,
    /// Keep the keys open in a file, for a node that starts with nobody there. Whoever reads the file is the party.
    #[arg(long)]
    unattended: bool,
    /// Approve whatever the party's own rules allow, instead of asking a person.
    #[arg(long)]
    automatic: bool,
    /// A file with certificate authorities to trust beside those of the system.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Proxy on the way out, such as http://proxy.example:3128.
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// By which invitation.
#[derive(Args)]
pub struct JoinArgs {
    #[command(flatten)]
    home: HomeArgs,
    /// The invitation that the founder has sent.
    invitation: PathBuf,
    /// TEST tokens to ask for.
    #[arg(long, default_value_t = 0)]
    tokens: u64,
    /// The fingerprint that the founder has read out: another one is refused. Without it, it is shown for you to compare, and a terminal
    /// asks whether you have.
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<String>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Whose network is forgotten.
#[derive(Args)]
pub struct LeaveArgs {
    #[command(flatten)]
    home: HomeArgs,
}

/// How to run.
#[derive(Args)]
pub struct RunArgs {
    #[command(flatten)]
    home: HomeArgs,
    /// Write each line of the log as one JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
pub enum NetworkCommand {
    /// Found a network: deploy its contracts by way of a hub, and write the invitation.
    Found(FoundArgs),
    /// Have the founder's node hand over to the members, for good: from then on they decide by vote who is a member and which program is allowed.
    HandOver(HandOverArgs),
}

/// How to hand over.
#[derive(Args)]
pub struct HandOverArgs {
    /// An account that may stop new work at once, and nothing else; without one that takes a vote.
    #[arg(long, value_name = "ACCOUNT")]
    pauser: Option<Address>,
    /// Also if programs are not allowed yet or requests wait: each takes a vote then.
    #[arg(long)]
    anyway: bool,
    /// It cannot be taken back, and you know what it means.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    wishing: Wishing,
}

/// Which network.
#[derive(Args)]
pub struct FoundArgs {
    #[command(flatten)]
    home: HomeArgs,
    /// Address of the hub.
    #[arg(long, value_name = "URL")]
    hub: String,
    /// What the network is called, and for how long it invites (docs/consortium.md).
    network: PathBuf,
    /// Where to write the invitation.
    #[arg(long, value_name = "FILE", default_value = "invitation.json")]
    out: PathBuf,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Runs a command about one node.
pub fn run(command: &Command, out: &mut dyn Write) -> Result<bool> {
    match command {
        Command::Init(args) => init(args, out),
        Command::Join(args) => join(args, out),
        Command::Leave(args) => leave(args, out),
        Command::Run(args) => daemon(args),
        Command::Doctor(args) => crate::doctor::run(args, out),
        Command::Backup(args) => keeping::backup(args, out),
        Command::Restore(args) => keeping::restore(args, out),
        Command::Unit(args) => keeping::unit(args, out),
    }
}

/// Runs a command about a network.
pub fn network(command: &NetworkCommand, out: &mut dyn Write) -> Result<bool> {
    match command {
        NetworkCommand::Found(args) => found(args, out),
        NetworkCommand::HandOver(args) => hand_over(args, out),
    }
}

fn hand_over(args: &HandOverArgs, out: &mut dyn Write) -> Result<bool> {
    let pauser = match args.pauser {
        Some(pauser) => format!("{pauser} may stop new work at once, and nothing else."),
        None => "Nobody can stop new work at once: that takes a vote, too (or name somebody with --pauser)."
            .into(),
    };
    let lines = [
        "The founder gives up every power over the contracts, for good.",
        "From then on the members decide by vote: who is a member, which programs are allowed, fees and upgrades. A vote takes days, and more than half of the members have to take part (`histone ledger show` says how many, and how long).",
        pauser.as_str(),
        "Members vote by the inbox of their nodes, or by `histone governance vote --home HOME`. No node votes by itself, also not one that answers automatically.",
        "The founder still certifies SIMULATED devices of members, and makes TEST tokens.",
    ];
    sure(&lines, args.yes)?;
    let asked = HandOver { pauser: args.pauser, anyway: args.anyway };
    let what = serde_json::to_value(asked).context("a wish cannot be written")?;
    wishes::make(&args.wishing, HAND_OVER, &what, "to hand over to the members", out)
}

fn role_bits(names: &[String]) -> Result<u8> {
    let mut bits = 0;
    for name in names {
        let known = ROLES.iter().find(|(role, _)| role == name);
        let Some((_, bit)) = known else {
            let all: Vec<&str> = ROLES.iter().map(|(role, _)| *role).collect();
            bail!("there is no role `{}`; roles are {}", name.escape_debug(), all.join(", "));
        };
        bits |= bit;
    }
    Ok(bits)
}

fn init(args: &InitArgs, out: &mut dyn Write) -> Result<bool> {
    let passphrase = args.home.passphrase()?;
    let protection = match (passphrase, args.unattended) {
        (Some(_), true) => bail!("--unattended keeps the keys open: leave out the passphrase, or the flag"),
        (Some(passphrase), false) => Protection::Passphrase { passphrase, cost: Cost::default() },
        (None, true) => Protection::Open,
        (None, false) => bail!(
            "the keys want a passphrase: name a file with it by --passphrase-file or set {PASSPHRASE}; or say --unattended for a node that starts with nobody there"
        ),
    };
    let settings = Settings {
        ca_file: args.ca.clone(),
        proxy: args.proxy.clone(),
        answers: if args.automatic { Answers::Automatic } else { Answers::Ask },
        // Any free port: there may be several nodes on a machine, and `api.json` tells which one it is.
        api: ([127, 0, 0, 1], 0).into(),
        ..Settings::new(&args.name, role_bits(&args.roles)?)
    };
    let created = Home::init(&args.home.home, &settings, &protection, Entropy::System)?;
    if args.json {
        let line =
            serde_json::json!({ "home": args.home.home, "name": args.name, "account": created.account });
        writeln!(out, "{line}").context(STDOUT)?;
    } else {
        writeln!(out, "made the home of `{}` in {}", args.name, args.home.home.display()).context(STDOUT)?;
        writeln!(out, "its account is {}", created.account).context(STDOUT)?;
    }
    if let Some(warning) = created.warning {
        tell(warning);
    }
    Ok(true)
}

/// The way to a hub for a party.
pub fn hub_net(url: &str, settings: &Settings, home: &Path, party: &Party) -> Result<HubNet> {
    let options = HubOptions {
        ca: settings.ca_file.as_ref().map(|file| home.join(file)),
        proxy: settings.proxy.clone(),
        ..HubOptions::new(url, Mailbox::of(party).key)
    };
    Ok(HubNet::new(options)?)
}

fn hub(url: &str, settings: &Settings, home: &Path, party: &Party) -> Result<Arc<dyn Network>> {
    Ok(Arc::new(hub_net(url, settings, home, party)?))
}

/// Keeps an invitation in a home and asks to be admitted. Gives its fingerprint.
pub fn join_by(opened: &Opened, bytes: &[u8], tokens: u64) -> Result<Invitation> {
    let invitation = Invitation::open(bytes, SystemClock.now())?;
    if let Some(before) = service::invitation(&opened.store)?
        && before.ledger != invitation.ledger
    {
        bail!(
            "this home has joined the network `{}` already; make another home for another network",
            before.name
        );
    }
    keep_invitation(&opened.store, bytes)?;
    let settings = Settings { hub: Some(invitation.hub.clone()), ..opened.settings.clone() };
    opened.home.set(&settings)?;
    service::ask_to_join(
        &opened.party,
        &opened.settings,
        &opened.store,
        &invitation,
        tokens,
        SystemClock.now(),
    )?;
    Ok(invitation)
}

fn join(args: &JoinArgs, out: &mut dyn Write) -> Result<bool> {
    let opened = args.home.open()?;
    let bytes = std::fs::read(&args.invitation)
        .with_context(|| format!("cannot read `{}`", args.invitation.display()))?;
    let invitation = Invitation::open(&bytes, SystemClock.now())?;
    let fingerprint = invitation.fingerprint();
    if let Some(told) = &args.fingerprint
        && *told != fingerprint
    {
        bail!(
            "the fingerprint of this invitation is {fingerprint}, not {told}: it is another network's, or was changed on its way"
        );
    }
    if args.fingerprint.is_none() && !args.json {
        compare(&invitation)?;
    }
    join_by(&opened, &bytes, args.tokens.saturating_mul(1_000_000))?;
    if args.json {
        let line = serde_json::json!({ "network": invitation.name, "fingerprint": fingerprint, "hub": invitation.hub });
        writeln!(out, "{line}").context(STDOUT)?;
    } else {
        writeln!(
            out,
            "joining the network `{}` by the hub {}",
            crate::tables::plain(&invitation.name),
            crate::tables::plain(&invitation.hub)
        )
        .context(STDOUT)?;
        if args.fingerprint.is_none() {
            writeln!(out, "fingerprint {fingerprint}: call the founder and compare it before you go on")
                .context(STDOUT)?;
        }
        writeln!(
            out,
            "the request goes out when the daemon runs: histone node run --home {}",
            args.home.home.display()
        )
        .context(STDOUT)?;
    }
    Ok(true)
}

/// Has a person compare the fingerprint of an invitation, where one can be asked.
fn compare(invitation: &Invitation) -> Result<()> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(());
    }
    tell(&format!(
        "invitation to the network `{}`, fingerprint {}",
        crate::tables::plain(&invitation.name),
        invitation.fingerprint()
    ));
    tell(
        "Call the founder and compare it: with another one you would join a network of somebody else. Is it the same? Type yes to go on.",
    );
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).context("cannot read your answer")?;
    match answer.trim() {
        "yes" => Ok(()),
        _ => bail!("nothing was done: the fingerprint was not confirmed"),
    }
}

/// Has a home forget a network in which nothing came of it.
fn leave(args: &LeaveArgs, out: &mut dyn Write) -> Result<bool> {
    let opened = args.home.open()?;
    let _lock = opened.home.lock()?;
    let Some(invitation) = service::invitation(&opened.store)? else {
        bail!("`{}` has joined no network", opened.settings.name);
    };
    let name = crate::tables::plain(&invitation.name);
    service::leave(&opened)
        .with_context(|| format!("`{}` cannot leave the network `{name}`", opened.settings.name))?;
    opened.home.set(&Settings { hub: None, ..opened.settings.clone() })?;
    writeln!(out, "left the network `{name}`: this home can join another one").context(STDOUT)?;
    Ok(true)
}

fn found(args: &FoundArgs, out: &mut dyn Write) -> Result<bool> {
    let opened = args.home.open()?;
    let text = std::fs::read_to_string(&args.network)
        .with_context(|| format!("cannot read `{}`", args.network.display()))?;
    let terms =
        service::Terms::read(&text, &args.hub).with_context(|| format!("`{}`", args.network.display()))?;
    let (invitation, bytes) = found_by(opened, &terms)?;
    histone_network::write_whole(&args.out, &bytes)?;
    if args.json {
        let line = serde_json::json!({ "network": invitation.name, "fingerprint": invitation.fingerprint(), "invitation": args.out });
        writeln!(out, "{line}").context(STDOUT)?;
    } else {
        writeln!(out, "founded the network `{}`", crate::tables::plain(&invitation.name)).context(STDOUT)?;
        writeln!(out, "invitation: {}", args.out.display()).context(STDOUT)?;
        writeln!(out, "fingerprint: {} (read it out to whoever joins)", invitation.fingerprint())
            .context(STDOUT)?;
    }
    Ok(true)
}

/// Founds a network from a home.
pub fn found_by(opened: Opened, terms: &service::Terms) -> Result<(Invitation, Vec<u8>)> {
    let _lock = opened.home.lock()?;
    let network = hub(&terms.hub, &opened.settings, opened.home.dir(), &opened.party)?;
    let settings = Settings { hub: Some(terms.hub.clone()), ..opened.settings.clone() };
    opened.home.set(&settings)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let runtime = runtime()?;
    let bytes = runtime.block_on(service::found(&opened, &network, &clock, terms))?;
    Ok((Invitation::read(&bytes)?, bytes))
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")
}

fn daemon(args: &RunArgs) -> Result<bool> {
    keep_few_heaps();
    Home::at(&args.home.home).refuse_open_files()?;
    let opened = args.home.open()?;
    let _lock = opened.home.lock()?;
    let (settings, home) = (opened.settings.clone(), opened.home.dir().to_owned());
    let Some(url) = settings.hub.clone() else {
        bail!(
            "`{}` has joined no network yet; ask its founder for an invitation and run `histone node join`",
            settings.name
        );
    };
    let network = hub(&url, &settings, &home, &opened.party)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let bell = Bell::new();
    let api = api::serve(ApiOptions {
        listen: settings.api,
        store: opened.store.clone(),
        waker: bell.waker(),
        home: home.clone(),
        clock: clock.clone(),
        entropy: Entropy::System,
    })?;
    let stop = Arc::new(AtomicBool::new(false));
    let log = Log { json: args.json, name: settings.name.clone() };
    let (ended, end) = std::sync::mpsc::channel();
    let working = {
        let stop = stop.clone();
        thread::Builder::new().name("daemon".into()).spawn(move || {
            let worked = work(opened, network, clock, &stop, &log, &bell);
            // Whoever waits for it may have gone.
            let _ = ended.send(());
            worked
        })
    };
    let working = working.context("cannot start the daemon's thread")?;
    let waiting = runtime()?;
    waiting.block_on(async {
        let told = stop_signal()?;
        let finished = tokio::task::spawn_blocking(move || end.recv());
        tokio::select! {
            () = told => {}
            _ = finished => {}
        }
        anyhow::Ok(())
    })?;
    // Dropped, it would wait for the daemon, which nobody has told yet.
    waiting.shutdown_background();
    stop.store(true, Ordering::Relaxed);
    let mut waited = Duration::ZERO;
    while !working.is_finished() && waited < FAREWELL {
        thread::sleep(Duration::from_millis(50));
        waited += Duration::from_millis(50);
    }
    drop(api);
    if !working.is_finished() {
        tell("the daemon is cut off in what it was doing; it goes on with it at the next start");
        return Ok(true);
    }
    match working.join() {
        Ok(worked) => worked.map(|()| true),
        Err(_) => bail!("the daemon failed; its memory is as it was before what it was doing"),
    }
}

/// How a daemon's log is written.
struct Log {
    json: bool,
    name: String,
}

impl Log {
    fn line(&self, time: u64, about: &str, text: &str) {
        if self.json {
            let line = serde_json::json!({ "time": time, "node": self.name, "about": about, "text": text });
            tell(&line.to_string());
        } else {
            let shown = crate::tables::plain(&format!("{about}: {text}"));
            tell(&format!("{} {} {shown}", utc(time), self.name));
        }
    }
}

fn work(
    opened: Opened,
    network: Arc<dyn Network>,
    clock: Arc<dyn Clock>,
    stop: &AtomicBool,
    log: &Log,
    bell: &Bell,
) -> Result<()> {
    let bundled = Bundled::load()?;
    let store = opened.store.clone();
    runtime()?.block_on(async {
        let mut pause = Duration::from_secs(1);
        let mut again = Some(opened);
        // The hub may not be there yet: that is no reason to end.
        let mut service = loop {
            let Some(opened) = again.take() else { bail!("the home is not open") };
            let dir = opened.home.dir().to_owned();
            let (settings, party, store) =
                (opened.settings.clone(), opened.party.clone(), opened.store.clone());
            match Service::open(opened, network.clone(), clock.clone(), bundled.clone()).await {
                Ok(service) => break service,
                Err(error) if error.is_temporary() && !stop.load(Ordering::Relaxed) => {
                    log.line(
                        clock.now(),
                        "ledger",
                        &format!("{error}; asked again in {} s", pause.as_secs()),
                    );
                    thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_secs(60));
                    let home = Home::at(&dir);
                    again = Some(Opened { home, settings, party, store, protected: false, restored: None });
                }
                Err(error) => return Err(error.into()),
            }
        };
        log.line(clock.now(), "daemon", "runs");
        let mut told = store.last_note()?;
        let mut tell_all = |done: &[String], now: u64| {
            for note in store.notes(told, 1_000).unwrap_or_default() {
                told = note.number;
                log.line(note.time, &note.about, &note.text);
            }
            done.iter().for_each(|duty| log.line(now, "done", duty));
        };
        service.run(stop, bell, &mut tell_all).await?;
        Ok(())
    })
}
