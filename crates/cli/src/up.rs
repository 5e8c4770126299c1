//! `histone up`: all parties of a study as processes on this machine, kept alive.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use histone_chain::{Clock as _, SystemClock};
use histone_node::daemon::study::parties;
use histone_node::daemon::{HAND_OVER, HandOver};
use histone_node::home::{Answers, Home, Protection, Settings};
use histone_node::owner::{Owner, keep_panel};
use histone_node::party::{Entropy, Party};
use histone_node::programs::Bundled;
use histone_node::service::{self, Terms};
use histone_node::store::{Store, WishState};
use histone_node::study::Study;
use histone_protocol::Address;

use crate::chain::serve::stop_signal;
use crate::consortium::on_ledger;
use crate::node::{found_by, join_by};
use crate::progress::{STDOUT, tell};

/// The founder's home among the parties'.
const FOUNDER: &str = "operator";
/// Where it is kept how far the beginning has come.
const READY: &str = "ready.json";
/// How often the parties are looked after.
const LOOK: Duration = Duration::from_millis(200);
/// When a process is started again that was killed on purpose.
const KILLED: Duration = Duration::from_millis(200);
/// How long a process that was told to stop may take.
const FAREWELL: Duration = Duration::from_secs(12);

/// Failures of one run of a soak, unless the user says otherwise.
const KILLS: u32 = 40;
/// Milliseconds between two failures, at the most.
const PAUSE: u64 = 300;
/// A run of a soak that takes longer does not come to its end.
const LONGEST_RUN: Duration = Duration::from_secs(1_800);

/// Which study, and where.
#[derive(Args, Clone)]
pub struct UpArgs {
    /// The study file (docs/study-file.md); the bundled study when there is none.
    study: Option<PathBuf>,
    /// Directory with the hub and a home for each party; what is there goes on.
    #[arg(long, value_name = "DIR", default_value = "histone-up")]
    dir: PathBuf,
    /// Seconds that a round of training and a query take at the most.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    deadline: u32,
    /// End when the study's questions are answered, instead of keeping the parties alive.
    #[arg(long)]
    once: bool,
    /// SIMULATED failure: kill so many processes, one after the other, wherever they are in their work.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    kill: u32,
    /// Repeat: keys follow from this number, and with them the model, and which processes are killed. For demonstrations only.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Run the study again and again, each time from nothing and with `--kill` failures (40 unless given), until so many processes were
    /// killed, and compare how each run ends with a first one that nobody disturbs.
    #[arg(long, value_name = "KILLS", conflicts_with = "once")]
    soak: Option<u32>,
    /// Print the outcome as one JSON document.
    #[arg(long)]
    json: bool,
}

/// Runs a study by its parties' processes.
pub fn run(args: &UpArgs, out: &mut dyn Write) -> Result<bool> {
    let study = match &args.study {
        Some(path) => crate::study::load(path)?,
        None => Study::bundled()?,
    };
    let stop = Arc::new(AtomicBool::new(false));
    on_signal(stop.clone())?;
    if let Some(kills) = args.soak {
        return soak(args, &study, kills, &stop, out);
    }
    let state = args.seed.unwrap_or_default();
    let kills = Kills { left: args.kill, pause: PAUSE, state, next: None };
    let ended = one(args, &study, kills, &stop)?;
    let outcome = &ended.outcome;
    if args.json {
        let line = serde_json::json!({
            "study": study.name,
            "seconds": ended.seconds,
            "answers": outcome.answers,
            "unanswered": outcome.unanswered,
            "ledger": outcome.ledger,
            "killed": ended.killed,
        });
        writeln!(out, "{line}").context(STDOUT)?;
    } else {
        for (number, answer) in &outcome.answers {
            writeln!(out, "query {number}: {answer}").context(STDOUT)?;
        }
        let (answered, not) = (outcome.answers.len(), outcome.unanswered);
        writeln!(out, "after {:.1} s: {answered} answered, {not} not", ended.seconds).context(STDOUT)?;
    }
    Ok(outcome.unanswered == 0)
}

/// A run that has ended.
struct Ended {
    outcome: Outcome,
    seconds: f64,
    killed: u32,
}

/// Runs a study once.
fn one(args: &UpArgs, study: &Study, kills: Kills, stop: &AtomicBool) -> Result<Ended> {
    let (started, to_kill) = (Instant::now(), kills.left);
    // The founder among the parties admits whoever has the invitation.
    histone_network::create_private_dir(&args.dir)?;
    let mut processes = Processes { dir: args.dir.clone(), running: Vec::new(), kills };
    let outcome = with(args, study, &mut processes, stop);
    // Also those that were started before something failed.
    processes.end();
    let seconds = started.elapsed().as_secs_f64();
    Ok(Ended { outcome: outcome?, seconds, killed: to_kill - processes.kills.left })
}

fn with(args: &UpArgs, study: &Study, processes: &mut Processes, stop: &AtomicBool) -> Result<Outcome> {
    let port = port(&args.dir)?;
    let url = format!("http://127.0.0.1:{port}");
    processes.hub(port)?;
    if !args.dir.join(READY).exists() {
        tell(&format!(
            "preparing the parties of `{}`; their machines are SIMULATED",
            crate::tables::plain(&study.name)
        ));
        prepare(args, study, &url)?;
    }
    let names = names(study);
    for name in &names {
        processes.node(name)?;
    }
    tell(&format!(
        "{} parties run, each as a process of its own; homes in {}",
        names.len(),
        args.dir.display()
    ));
    watch(args, study, processes, stop)
}

/// Runs a study until so many processes were killed. Each run has a directory of its own, which is removed when the run ended as the first
/// one did; says whether all did.
fn soak(args: &UpArgs, study: &Study, kills: u32, stop: &AtomicBool, out: &mut dyn Write) -> Result<bool> {
    let seed = args.seed.unwrap_or(1);
    let most = if args.kill == 0 { KILLS } else { args.kill };
    let (mut killed, mut expected, mut pause) = (0, None, PAUSE);
    for run in 0_u64.. {
        let dir = args.dir.join(format!("run-{run}"));
        if dir.exists() {
            bail!("`{}` is there already; remove it, or name another directory with `--dir`", dir.display());
        }
        // Keys are the same in all runs, and with them what comes out; who is killed is not.
        let args = UpArgs { dir: dir.clone(), seed: Some(seed), once: true, ..args.clone() };
        let left = if run == 0 { 0 } else { most.min(kills - killed) };
        let state = seed.wrapping_add(run.wrapping_mul(1_000_003));
        let ended = one(&args, study, Kills { left, pause, state, next: None }, stop)?;
        if run == 0 {
            // So that they fall into all of the run.
            pause = ((ended.seconds * 1_500.0) as u64 / u64::from(most)).max(PAUSE);
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(false);
        }
        killed += ended.killed;
        let outcome = (ended.outcome.answers, ended.outcome.ledger.map(in_any_order));
        let same = *expected.get_or_insert_with(|| outcome.clone()) == outcome;
        let line = serde_json::json!({
            "run": run, "seconds": ended.seconds, "killed": ended.killed, "killed_so_far": killed, "same": same,
        });
        match args.json {
            true => writeln!(out, "{line}"),
            false => writeln!(
                out,
                "run {run}: {:.1} s, {} killed ({killed} of {kills}), {}",
                ended.seconds,
                ended.killed,
                if same { "ended as the first one" } else { "ENDED OTHERWISE" }
            ),
        }
        .context(STDOUT)?;
        if !same {
            let shown = |outcome: &(BTreeMap<u64, serde_json::Value>, Option<service::Summary>)| {
                serde_json::to_string(outcome).context("an outcome")
            };
            let first = expected.as_ref().map(shown).transpose()?.unwrap_or_default();
            tell(&format!("`{}` is kept. The first run ended with {first}", dir.display()));
            tell(&format!("this one with {}", shown(&outcome)?));
            return Ok(false);
        }
        std::fs::remove_dir_all(&dir).with_context(|| format!("cannot remove `{}`", dir.display()))?;
        if killed >= kills {
            return Ok(true);
        }
    }
    Ok(true)
}

/// What the ledger says, whichever donor came first: that depends on which process was faster.
fn in_any_order(mut ledger: service::Summary) -> service::Summary {
    for model in &mut ledger.models {
        model.donors.sort_by(|(_, one), (_, other)| one.cmp(other));
        for ((donor, _), place) in model.donors.iter_mut().zip(1..) {
            *donor = place;
        }
    }
    ledger
}

/// Everybody who has a process.
fn names(study: &Study) -> Vec<String> {
    let mut names = vec![FOUNDER.to_owned()];
    names.extend(parties(study).into_iter().map(|taking| taking.name));
    names
}

fn on_signal(stop: Arc<AtomicBool>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    thread::spawn(move || {
        runtime.block_on(async {
            if let Ok(told) = stop_signal() {
                told.await;
                stop.store(true, Ordering::Relaxed);
            }
        });
    });
    Ok(())
}

/// The port of the hub: a free one, and the same at the next start, since the invitation names it.
fn port(dir: &Path) -> Result<u16> {
    let path = dir.join("port");
    if let Ok(kept) = std::fs::read_to_string(&path) {
        return kept.trim().parse().with_context(|| {
            format!("`{}` holds no port; remove the directory to begin again", path.display())
        });
    }
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port")?;
    let port = free.local_addr().context("there is no free port")?.port();
    histone_network::write_whole(&path, port.to_string().as_bytes())?;
    Ok(port)
}

/// Makes the homes, founds the network, has everybody ask to join, and gives everybody what the study says. Begins again where it was
/// interrupted.
fn prepare(args: &UpArgs, study: &Study, url: &str) -> Result<()> {
    let dir = &args.dir;
    let entropy = args.seed.map_or(Entropy::System, Entropy::Seed);
    let mut accounts = BTreeMap::<String, Address>::new();
    for (name, roles) in std::iter::once((FOUNDER.to_owned(), 0))
        .chain(parties(study).into_iter().map(|taking| (taking.name, taking.roles)))
    {
        let home = dir.join(&name);
        let settings = Settings {
            answers: Answers::Automatic,
            api: ([127, 0, 0, 1], 0).into(),
            ..Settings::new(&name, roles)
        };
        if Home::at(&home).account().is_err() {
            Home::init(&home, &settings, &Protection::Open, entropy)?;
        }
        accounts.insert(name, Home::at(&home).account()?);
    }
    let terms = Terms {
        name: study.name.clone(),
        hub: url.into(),
        most_tokens: u64::MAX,
        invited_for: 86_400,
        evidence_max_age: study.appraisal.max_age_seconds,
    };
    let (invitation, bytes) = found_by(Home::open(&dir.join(FOUNDER), None)?, &terms)?;
    histone_network::write_whole(&dir.join("invitation.json"), &bytes)?;
    let bundled = Bundled::load()?;
    let on_ledger = on_ledger(study, &invitation, &accounts, args.deadline)?;
    let proposals = on_ledger.proposals(&bundled.method(&study.training.method)?)?;
    let now = SystemClock.now();
    for taking in parties(study) {
        let opened = Home::open(&dir.join(&taking.name), None)?;
        join_by(&opened, &bytes, taking.tokens)?;
        for participant in study.participants.iter().filter(|p| p.name == taking.name) {
            let (table, policy) = on_ledger.data(participant)?;
            let root = opened.party.root().clone();
            let party = Party::of_root(&taking.name, root, entropy, &opened.home.private())?;
            if let Some(panel) = &study.table.panel {
                keep_panel(&party, panel)?;
            }
            Owner::prepare(party, table, policy)?.keep()?;
        }
        // Wishes are made once, however often the beginning is interrupted.
        if !opened.store.wishes(false)?.is_empty() {
            continue;
        }
        let wish = |kind: &str, what: &serde_json::Value| opened.store.wish(kind, what, now);
        if taking.name == study.model.trainer {
            wish("publish", &serde_json::json!({ "method": study.training.method }))?;
        }
        // The main model alone: nobody would train the others.
        for (model, proposal) in proposals.iter().take(1).filter(|(m, _)| m.trainer == taking.name) {
            let what = serde_json::to_value(proposal).with_context(|| format!("`{}`", model.name))?;
            wish("propose", &what)?;
        }
        if taking.name == study.end_user.name {
            for question in on_ledger.questions(1) {
                wish("query", &serde_json::to_value(question).context("a question")?)?;
            }
        }
    }
    let ready = serde_json::json!({ "study": study.name, "fingerprint": invitation.fingerprint() });
    histone_network::write_whole(&dir.join(READY), ready.to_string().as_bytes())?;
    Ok(())
}

/// What came of the study's questions.
#[derive(Default)]
struct Outcome {
    answers: BTreeMap<u64, serde_json::Value>,
    unanswered: usize,
    /// What the ledger says of models, donors and queries, by the node of the trainer.
    ledger: Option<service::Summary>,
}

impl Outcome {
    /// Whether the trainer's node has heard that all queries were paid for.
    fn is_settled(&self) -> bool {
        let all = self.ledger.iter().flat_map(|ledger| &ledger.models);
        let (bought, ended) = all
            .map(|model| model.queries)
            .fold((0, 0), |(all, ended), queries| (all + queries.0, ended + queries.1 + queries.2));
        bought == ended && bought >= self.answers.len() as u64
    }
}

/// Looks after the processes, and says how the study goes on.
fn watch(args: &UpArgs, study: &Study, processes: &mut Processes, stop: &AtomicBool) -> Result<Outcome> {
    let trainer = Store::open(&Home::at(&args.dir.join(&study.model.trainer)).store_file())?;
    let user = Store::open(&Home::at(&args.dir.join(&study.end_user.name)).store_file())?;
    let founder = Store::open(&Home::at(&args.dir.join(FOUNDER)).store_file())?;
    let (mut said, mut finished) = (BTreeSet::new(), false);
    let started = Instant::now();
    loop {
        processes.look_after()?;
        let status = service::status(&trainer)?;
        for waiting in status.as_ref().iter().flat_map(|status| &status.waiting) {
            let line = format!("model {} waits for {}", waiting.model, waiting.what);
            if said.insert(line.clone()) {
                tell(&line);
            }
        }
        let ledger = status.and_then(|status| status.ledger);
        let mut outcome = Outcome { ledger, ..Outcome::default() };
        for wish in user.wishes(false)?.into_iter().filter(|wish| wish.kind == "query") {
            match wish.state {
                WishState::Done(answer) => {
                    outcome.answers.insert(wish.number, answer["answer"].clone());
                }
                WishState::Open | WishState::Failed(_) => outcome.unanswered += 1,
            }
        }
        if outcome.unanswered == 0 && !finished {
            finished = true;
            tell("all questions of the study are answered");
            // Everybody is a member by now, and nobody comes later.
            if args.once && founder.wishes(false)?.iter().all(|wish| wish.kind != HAND_OVER) {
                let what = serde_json::to_value(HandOver::default()).context("the hand-over")?;
                founder.wish(HAND_OVER, &what, SystemClock.now())?;
            }
        }
        let handed = founder.wishes(false)?.iter().any(|w| w.kind == HAND_OVER && w.state != WishState::Open);
        // Who is to be killed is killed while it works: what is left of the kills ends with the study.
        let ends = finished && handed && args.once && (args.soak.is_none() || outcome.is_settled());
        if stop.load(Ordering::Relaxed) || ends {
            return Ok(outcome);
        }
        if args.soak.is_some() && started.elapsed() > LONGEST_RUN {
            bail!("the run in `{}` does not come to its end", args.dir.display());
        }
        thread::sleep(LOOK);
    }
}

/// The processes of a study.
struct Processes {
    dir: PathBuf,
    running: Vec<Process>,
    kills: Kills,
}

/// SIMULATED failures that are still to come.
struct Kills {
    left: u32,
    /// Milliseconds from one to the next, at the most; half of that on average.
    pause: u64,
    state: u64,
    next: Option<Instant>,
}

impl Kills {
    /// The next number of a sequence that follows from the seed (SplitMix64).
    fn draw(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below.max(1)
    }
}

struct Process {
    name: String,
    child: Child,
    arguments: Vec<String>,
    /// When it may be started again after it has ended.
    pause: Duration,
    again: Option<Instant>,
}

impl Processes {
    /// Starts the hub and waits until it listens.
    fn hub(&mut self, port: u16) -> Result<()> {
        let dir = self.dir.join("hub").to_string_lossy().into_owned();
        let arguments = ["hub", "serve", "--dir", &dir, "--port", &port.to_string(), "--json"];
        let mut child = self
            .command("hub", &arguments)?
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the hub")?;
        let Some(stdout) = child.stdout.take() else { bail!("the hub says nothing") };
        let mut line = String::new();
        let heard = BufReader::new(stdout).read_line(&mut line).context("cannot hear the hub")?;
        self.running.push(Process::new("hub", child, &arguments));
        if heard == 0 {
            bail!("the hub does not start; see `{}`", self.log("hub").display());
        }
        Ok(())
    }

    /// Starts the daemon of a party.
    fn node(&mut self, name: &str) -> Result<()> {
        let home = self.dir.join(name).to_string_lossy().into_owned();
        let arguments = ["node", "run", "--home", &home];
        let child =
            self.command(name, &arguments)?.spawn().with_context(|| format!("cannot start `{name}`"))?;
        self.running.push(Process::new(name, child, &arguments));
        Ok(())
    }

    fn log(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.log"))
    }

    fn command(&self, name: &str, arguments: &[&str]) -> Result<Command> {
        let path = self.log(name);
        let log = File::options().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("cannot write `{}`", path.display()))?;
        let program = std::env::current_exe().context("cannot tell which program this is")?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Ok(command)
    }

    /// Kills a process where one is to be killed now.
    fn kill(&mut self) {
        if self.kills.left == 0 {
            return;
        }
        let now = Instant::now();
        if self.kills.next.is_some_and(|next| now >= next) {
            let place = self.kills.draw(self.running.len() as u64) as usize;
            if let Some(process) = self.running.get_mut(place).filter(|process| process.again.is_none()) {
                // One that has ended by itself is looked after in the same way.
                let _ = process.child.kill();
                process.pause = KILLED;
                self.kills.left -= 1;
                tell(&format!("SIMULATED failure: `{}` is killed", process.name));
            }
            self.kills.next = None;
        }
        if self.kills.next.is_none() {
            let pause = self.kills.pause;
            let pause = Duration::from_millis(self.kills.draw(pause));
            self.kills.next = Some(now + pause);
        }
    }

    /// Starts again what has ended.
    fn look_after(&mut self) -> Result<()> {
        self.kill();
        for place in 0..self.running.len() {
            let process = &mut self.running[place];
            if process.again.is_none() {
                let Some(status) = process.child.try_wait().context("cannot look after a process")? else {
                    continue;
                };
                tell(&format!(
                    "`{}` has ended ({status}); it is started again in {} s",
                    process.name,
                    process.pause.as_secs_f32()
                ));
                process.again = Some(Instant::now() + process.pause);
                process.pause = (process.pause * 2).min(Duration::from_secs(30));
            }
            if process.again.is_some_and(|at| Instant::now() >= at) {
                let (name, arguments) = (process.name.clone(), process.arguments.clone());
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                let child = self.command(&name, &arguments)?.spawn();
                let process = &mut self.running[place];
                process.child = child.with_context(|| format!("cannot start `{name}` again"))?;
                process.again = None;
            }
        }
        Ok(())
    }

    /// Tells everybody to stop, and waits for them.
    fn end(&mut self) {
        for process in &mut self.running {
            terminate(&mut process.child);
        }
        let patience = Instant::now() + FAREWELL;
        for process in &mut self.running {
            while process.again.is_none() && matches!(process.child.try_wait(), Ok(None)) {
                if Instant::now() > patience {
                    let _ = process.child.kill();
                    let _ = process.child.wait();
                    break;
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

impl Process {
    fn new(name: &str, child: Child, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Self { name: name.into(), child, arguments, pause: Duration::from_millis(500), again: None }
    }
}

/// Asks a process to end; where the system has no way to ask, ends it, which every party survives.
#[cfg(unix)]
fn terminate(child: &mut Child) {
    let number = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = number {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

#[cfg(not(unix))]
fn terminate(child: &mut Child) {
    let _ = child.kill();
}
