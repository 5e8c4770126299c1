//! `histone verify --hub URL`, `--invitation FILE` and `--home DIR`: a lasting network, checked from outside, or as a member has it.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256};
use anyhow::{Context, Result, bail};
use clap::{ArgGroup, Args};
use histone_chain::{Chain, ChainError, SystemClock};
use histone_compliance::verify::{Outside, Progress, VerifyError, verify_network};
use histone_ledger::{FollowError, Upstream};
use histone_network::client::{HubNet, HubOptions, NodeClient, PATIENCE};
use histone_network::{BlobStore, Network, NetworkError, Woken};
use histone_node::home::Home;
use histone_node::programs::{METHODS, VALIDATE};
use histone_node::service;
use histone_node::store::Store;
use histone_protocol::invitation::Invitation;
use histone_protocol::keys::SigningKey;
use histone_protocol::letter::VerifiedHead;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{ModelPlace, auditor_key, checked};
use crate::progress::tell;

/// How often what did not work at the moment is tried again, and the longest pause before that.
const TRIES: u32 = 4;
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often a line says how far it is, where no bar can.
const EVERY: Duration = Duration::from_secs(10);

/// Which network, and what is known of it.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("outside").multiple(true).args(["hub", "invitation", "home"]))]
#[command(group = ArgGroup::new("named").multiple(true).args(["hub", "model"]))]
pub struct NetworkPlace {
    /// Check a network from outside: the hub that has its public blobs, and passes on its blocks unless --rpc does.
    #[arg(long, value_name = "URL", conflicts_with_all = ["dir", "blobs", "first_block"])]
    hub: Option<String>,
    /// The invitation of its founder: it names hub, contracts and block 0. Whoever has it need not be invited.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dir", "blobs", "first_block", "directory", "genesis"])]
    invitation: Option<PathBuf>,
    /// The home of a member: its network, by its own copies of blocks and blobs where it has them, and with the block that its node
    /// has executed last. Needs no key.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["dir", "blobs", "first_block", "directory", "genesis", "invitation"])]
    home: Option<PathBuf>,
    /// Hash of its block 0, as its founder has published it.
    #[arg(long, value_name = "HASH", requires = "hub")]
    genesis: Option<B256>,
    /// A block that you have seen elsewhere, such as the head in a member's `histone status`: what is shown here must have it.
    #[arg(long, value_name = "NUMBER:HASH", requires = "outside", value_parser = parse_head)]
    head: Option<VerifiedHead>,
    /// A module or a source listing that does not come with this program, as its author gives it out. May be given several times.
    #[arg(long, value_name = "FILE", requires = "outside")]
    module: Vec<PathBuf>,
    /// Keep blocks and blobs in this directory: the next time only what is new is fetched, and another history is refused.
    #[arg(long, value_name = "DIR", requires = "outside")]
    copy: Option<PathBuf>,
    /// A file with certificate authorities to trust beside those of the system.
    #[arg(long, value_name = "FILE", requires = "outside")]
    ca: Option<PathBuf>,
    /// Proxy on the way out, such as http://proxy.example:3128.
    #[arg(long, value_name = "URL", requires = "outside")]
    proxy: Option<String>,
}

impl NetworkPlace {
    /// Whether a network is to be checked.
    pub fn is_given(&self) -> bool {
        self.hub.is_some() || self.invitation.is_some() || self.home.is_some()
    }
}

fn parse_head(text: &str) -> Result<VerifiedHead, String> {
    let form = "a block is NUMBER:HASH, such as 41:0x and 64 hexadecimal digits";
    let (number, hash) = text.split_once(':').ok_or(form)?;
    Ok(VerifiedHead { number: number.parse().map_err(|_| form)?, hash: hash.parse().map_err(|_| form)? })
}

/// What a network is known by, and how it is reached.
struct Known {
    hub: String,
    ca: Option<PathBuf>,
    proxy: Option<String>,
    genesis: Option<B256>,
    directory: Option<Address>,
    head: Option<VerifiedHead>,
    home: Option<Home>,
}

impl Known {
    fn of(place: &NetworkPlace, ledger: &ModelPlace) -> Result<Self> {
        let known = Self {
            hub: place.hub.clone().unwrap_or_default(),
            ca: place.ca.clone(),
            proxy: place.proxy.clone(),
            genesis: place.genesis,
            directory: ledger.directory,
            head: place.head,
            home: None,
        };
        if let Some(path) = &place.invitation {
            let shown = path.display();
            let bytes = fs::read(path).with_context(|| format!("cannot read the invitation `{shown}`"))?;
            let read = Invitation::read(&bytes).with_context(|| format!("`{shown}` is of no use"))?;
            return Ok(known.invited(place, &read));
        }
        let Some(dir) = &place.home else { return Ok(known) };
        let home = Home::at(dir);
        home.account()?;
        let (settings, store) = (home.settings()?, Store::open(&home.store_file())?);
        let invitation = service::invitation(&store)?;
        let invitation =
            invitation.with_context(|| format!("`{}` has joined no network yet", dir.display()))?;
        let seen = service::status(&store)?.and_then(|status| status.head);
        let known = known.invited(place, &invitation);
        Ok(Self {
            hub: place.hub.clone().or(settings.hub).unwrap_or(known.hub),
            ca: known.ca.or(settings.ca_file.map(|path| home.resolve(&path))),
            proxy: known.proxy.or(settings.proxy),
            head: known.head.or(seen),
            home: Some(home),
            ..known
        })
    }

    fn invited(self, place: &NetworkPlace, invitation: &Invitation) -> Self {
        Self {
            hub: place.hub.clone().unwrap_or_else(|| invitation.hub.clone()),
            genesis: Some(invitation.genesis),
            directory: Some(invitation.ledger.contract),
            ..self
        }
    }
}

/// Checks a network from outside; prints one line a check.
pub fn network(
    model: Option<u64>,
    rpc: Option<&str>,
    auditor: Option<&Path>,
    (place, ledger): (&NetworkPlace, &ModelPlace),
    json: bool,
    out: &mut dyn Write,
) -> Result<bool> {
    let auditor = auditor_key(auditor)?;
    let known = Known::of(place, ledger)?;
    let mut modules = Vec::new();
    for path in &place.module {
        modules.push(fs::read(path).with_context(|| format!("cannot read the module `{}`", path.display()))?);
    }
    let bundled = std::iter::once(VALIDATE).chain(METHODS.into_iter().flatten());
    let mut at_hand: Vec<&[u8]> = bundled.flat_map(|p| [p.wasm, p.source]).collect();
    at_hand.extend(modules.iter().map(Vec::as_slice));
    // Any key opens a mailbox, and nobody writes to this one.
    let mut key = [0; 32];
    getrandom::fill(&mut key).context("the operating system gives no random numbers")?;
    let key = SigningKey::from_bytes(&key).context("cannot make a key")?;
    let mut options = HubOptions::new(known.hub.clone(), key);
    (options.ca, options.proxy) = (known.ca.clone(), known.proxy.clone());
    // Nothing that is secret goes there, and nothing that comes is believed.
    options.insecure_http = true;
    let hub = HubNet::new(options)?;
    // While a node runs it alone has its copy of the ledger.
    let clock = Arc::new(SystemClock);
    let own = known.home.as_ref().map(|home| Chain::open_read_only(&home.ledger(), clock.clone()));
    let own = match own {
        Some(Err(ChainError::Locked(_) | ChainError::Missing(_))) | None => false,
        Some(opened) => opened.map(|_| true).context("the copy of the ledger in the home cannot be read")?,
    };
    // What a member has needs no hub; which blobs it does not have shows later.
    if !own {
        hub.health().with_context(|| format!("`{}` cannot be used as a hub", known.hub))?;
    }
    let kept = known.home.as_ref().map(|home| BlobStore::at(home.blobs()));
    let storage = Arc::new(Patient { hub, kept, tired: AtomicBool::new(false) });
    let home = known.home.filter(|_| own);
    let is_own = rpc.is_none() && home.is_some();
    let (source, ledger_at): (Arc<dyn Upstream>, String) = match (rpc, home) {
        (Some(url), _) => {
            let node = NodeClient::new(url, known.ca, known.proxy, PATIENCE)?;
            let shown = node.shown().to_owned();
            (Arc::new(Node(node)), shown)
        }
        (None, Some(home)) => {
            let own = Own { dir: home.ledger(), taken: AtomicBool::new(false), hub: storage.clone() };
            (Arc::new(own), "the copy in the home".into())
        }
        (None, None) => (storage.clone(), known.hub.clone()),
    };
    // A copy is not compared with itself: that would say nothing of what others are shown.
    let head = if is_own { place.head } else { known.head };
    let scratch = Scratch::new(place.copy.as_deref())?;
    let outside = Outside {
        ledger: source,
        ledger_at: ledger_at.clone(),
        storage,
        storage_at: known.hub,
        dir: &scratch.dir,
        passing: scratch.passing,
        clock,
        genesis: known.genesis,
        directory: known.directory,
        head,
        modules: at_hand,
        auditor: auditor.as_ref(),
    };
    let mut bar = Bar::new();
    let shown = bar.bar.clone();
    let done = checked(&scratch.dir, json, out, &shown, async |show| {
        verify_network(&outside, model, show, &mut |step| bar.heard(step)).await
    });
    done.map_err(|error| match error.downcast_ref::<VerifyError>() {
        Some(VerifyError::Follow(FollowError::Nonsense(_))) => error.context(format!(
            "{ledger_at} does not serve the blocks of a Histone ledger; is the address right, and does a proxy or a login page answer in its place?"
        )),
        Some(VerifyError::Follow(FollowError::Genesis { .. })) => error.context(match place.copy {
            Some(_) => "this is another network than the one that is meant, or --copy holds another one",
            None => "this is another network than the one that is meant",
        }),
        Some(VerifyError::Follow(FollowError::Copy(_))) if place.copy.is_some() => {
            error.context("what --copy names cannot be used; name a new directory")
        }
        _ => error,
    })
}

/// Where blocks and blobs are copied to.
struct Scratch {
    dir: PathBuf,
    /// Whether it goes with the program.
    passing: bool,
}

impl Scratch {
    fn new(kept: Option<&Path>) -> Result<Self> {
        let (dir, passing) = match kept {
            Some(dir) => {
                let names = if dir.is_dir() { histone_network::file_names(dir, "")? } else { Vec::new() };
                if let Some(other) = names.iter().find(|name| !["blobs", "ledger"].contains(&name.as_str())) {
                    bail!(
                        "`{}` holds something else than copies of a network (`{other}`); name a new directory with --copy",
                        dir.display()
                    );
                }
                histone_network::create_dir(dir)?;
                (dir.to_owned(), false)
            }
            None => {
                let mut name = [0; 8];
                getrandom::fill(&mut name).context("the operating system gives no random numbers")?;
                let name = format!("histone-verify-{:016x}", u64::from_le_bytes(name));
                let dir = std::env::temp_dir().join(name);
                histone_network::create_private_dir(&dir)?;
                (dir, true)
            }
        };
        Ok(Self { dir, passing })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.passing {
            // Copies of what is public; when they cannot be removed the system does it some day.
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// A hub that may be busy, or away for a moment.
#[derive(Debug)]
struct Patient {
    hub: HubNet,
    /// What a member has itself.
    kept: Option<BlobStore>,
    /// Whether it stayed away once: then it is not waited for any more.
    tired: AtomicBool,
}

impl Patient {
    fn ask<T>(&self, ask: impl Fn() -> Result<T, NetworkError>) -> Result<T, NetworkError> {
        patiently(&self.tired, sleep, ask)
    }
}

/// Asks again, after pauses, what fails at the moment. Who stayed away once is asked once from then on; who says that it is busy is
/// waited for.
fn patiently<T>(
    tired: &AtomicBool,
    pause: impl Fn(Duration),
    ask: impl Fn() -> Result<T, NetworkError>,
) -> Result<T, NetworkError> {
    let mut next = Duration::from_secs(1);
    for _ in 1..TRIES {
        let after = match ask() {
            Err(NetworkError::Busy { after, .. }) => after,
            Err(NetworkError::Unreachable { .. }) if !tired.load(Ordering::Relaxed) => None,
            other => return other,
        };
        pause(after.unwrap_or(next).min(LONGEST_PAUSE));
        next *= 2;
    }
    let last = ask();
    if matches!(last, Err(NetworkError::Unreachable { .. })) {
        tired.store(true, Ordering::Relaxed);
    }
    last
}

impl Upstream for Patient {
    fn rpc(&self, request: &[u8]) -> Result<Vec<u8>, String> {
        self.ask(|| self.hub.rpc(request)).map_err(|e| e.to_string())
    }
}

impl Network for Patient {
    fn fetch(&self, hash: B256) -> Result<Option<Vec<u8>>, NetworkError> {
        match self.kept.as_ref().and_then(|kept| kept.get(hash).ok()) {
            Some(bytes) => Ok(Some(bytes)),
            None => self.ask(|| self.hub.fetch(hash)),
        }
    }

    fn post(&self, mailbox: Address, letter: &[u8]) -> Result<(), NetworkError> {
        self.hub.post(mailbox, letter)
    }

    fn collect(&self) -> Result<Vec<Vec<u8>>, NetworkError> {
        self.hub.collect()
    }

    fn discard(&self, letters: &[B256]) -> Result<(), NetworkError> {
        self.hub.discard(letters)
    }

    fn offer(&self, blob: &[u8]) -> Result<(), NetworkError> {
        self.hub.offer(blob)
    }

    fn rpc(&self, request: &[u8]) -> Result<Vec<u8>, NetworkError> {
        self.hub.rpc(request)
    }

    fn wait(&self, head: u64, patience: Duration) -> Result<Woken, NetworkError> {
        self.hub.wait(head, patience)
    }
}

/// A member's own copy of the ledger, which is executed once more like anybody's. It is opened for each answer: the node must be able
/// to start meanwhile, and then the hub is asked.
struct Own {
    dir: PathBuf,
    taken: AtomicBool,
    hub: Arc<Patient>,
}

impl Upstream for Own {
    fn rpc(&self, request: &[u8]) -> Result<Vec<u8>, String> {
        if !self.taken.load(Ordering::Relaxed) {
            match Chain::open_read_only(&self.dir, Arc::new(SystemClock)) {
                Ok(chain) => return Ok(chain.handle(request)),
                Err(ChainError::Locked(_)) => self.taken.store(true, Ordering::Relaxed),
                Err(error) => return Err(error.to_string()),
            }
        }
        Upstream::rpc(&*self.hub, request)
    }
}

/// A node by its address.
struct Node(NodeClient);

impl Upstream for Node {
    fn rpc(&self, request: &[u8]) -> Result<Vec<u8>, String> {
        self.0.call(request).map_err(|e| e.to_string())
    }
}

/// How far it is: a bar on a terminal, a line now and then elsewhere.
struct Bar {
    bar: ProgressBar,
    plain: bool,
    blobs: bool,
    said: Instant,
}

impl Bar {
    fn new() -> Self {
        let plain = !io::stderr().is_terminal();
        let bar = ProgressBar::hidden();
        if !plain {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        let bar = Self { bar, plain, blobs: false, said: Instant::now() };
        bar.style("[{bar:30}] block {pos} of {len} executed {elapsed}");
        bar
    }

    fn style(&self, template: &str) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("=> "));
        }
    }

    fn heard(&mut self, step: Progress) {
        let (at, of, line) = match step {
            Progress::Block { number, of } => (number, of, format!("block {number} of {of} executed")),
            Progress::Blob { model, number, of, bytes } => {
                if !self.blobs {
                    self.blobs = true;
                    self.style("[{bar:30}] blob {pos} of {len} {msg} {elapsed}");
                }
                let what = format!("of model {model}, {:.1} MB", bytes as f64 / 1e6);
                self.bar.set_message(what.clone());
                (number as u64, of as u64, format!("blob {number} of {of} {what}"))
            }
        };
        self.bar.set_length(of);
        self.bar.set_position(at);
        if self.plain && self.said.elapsed() >= EVERY {
            self.said = Instant::now();
            tell(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::cell::{Cell, RefCell};

    use super::*;

    #[test]
    fn who_is_away_is_waited_for_once() {
        let (pauses, asked) = (RefCell::new(Vec::new()), Cell::new(0));
        let tired = AtomicBool::new(false);
        let ask = |answers: fn(u32) -> Result<u32, NetworkError>| {
            asked.set(0);
            pauses.borrow_mut().clear();
            let answer = patiently(
                &tired,
                |pause| pauses.borrow_mut().push(pause.as_secs()),
                || {
                    asked.set(asked.get() + 1);
                    answers(asked.get())
                },
            );
            (answer.ok(), asked.get(), pauses.borrow().clone())
        };
        fn away(_: u32) -> Result<u32, NetworkError> {
            Err(NetworkError::Unreachable { what: "http://hub.example".into(), why: "no".into() })
        }
        fn refused(_: u32) -> Result<u32, NetworkError> {
            Err(NetworkError::Refused { what: "http://hub.example".into(), why: "no".into() })
        }
        fn busy(n: u32) -> Result<u32, NetworkError> {
            let after = Some(Duration::from_secs(90));
            let busy = NetworkError::Busy { what: "http://hub.example".into(), why: "many".into(), after };
            if n == 3 { Ok(n) } else { Err(busy) }
        }
        assert_eq!(ask(|n| if n == 2 { Ok(n) } else { away(n) }), (Some(2), 2, vec![1]));
        assert_eq!(ask(refused), (None, 1, vec![]));
        assert_eq!(ask(away), (None, 4, vec![1, 2, 4]));
        assert_eq!(ask(away), (None, 1, vec![]), "it stayed away before");
        assert_eq!(ask(busy), (Some(3), 3, vec![30, 30]));
    }

    #[test]
    fn heads() {
        let hash = B256::repeat_byte(7);
        assert_eq!(parse_head(&format!("41:{hash}")), Ok(VerifiedHead { number: 41, hash }));
        for bad in ["", "41", "41:", ":0x00", "x:0x00", "41:0x00", "-1:0x00"] {
            assert!(parse_head(bad).unwrap_err().contains("NUMBER:HASH"), "{bad}");
        }
    }
}
