//! One party as a process: a daemon with the ledger that it follows, on the way to others that it is given.
//!
//! The loop is one thread that blocks. It sleeps until somebody has news (a long poll of the network), a deadline comes, or another
//! process has written into the node's memory, such as a person's answer.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use histone_attestation::AppraisalPolicy;
use histone_attestation::simulated::SimulatedVendor;
use histone_chain::Clock;
use histone_ledger::{Connection, FollowError, Follower, Ledger, Upstream};
use histone_network::{BlobStore, Network, NetworkError, Woken};
use histone_protocol::invitation::Invitation;
use histone_protocol::letter::VerifiedHead;
use histone_protocol::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::daemon::{Daemon, Founding, Mailbox, Node, Stumble, Turn};
use crate::duties::waiting::{Waiting, waiting};
use crate::error::NodeError;
use crate::home::Opened;
use crate::party::Party;
use crate::programs::Bundled;
use crate::store::Store;
use crate::world::World;

/// Where the store has the invitation by which the party joined.
const INVITATION: &str = "invitation";
/// Where the store of a founder has what it decides on.
const FOUNDING: &str = "founding";
/// Where the daemon says how it stands.
const STATUS: &str = "status";
/// The longest time for which a hub is asked to hold a request, as it allows.
const PATIENCE: Duration = Duration::from_secs(55);
/// How often a sleeping daemon looks whether another process has written into its memory.
const LOOK: Duration = Duration::from_millis(500);
/// A network that cannot be reached is asked again after so long, doubled up to a limit.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Whatever a hub says is new: so often everything is looked for.
const LOOK_ANYWAY: u64 = 600;

/// How a daemon stands, for whoever looks from outside of its process.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// When this was written, Unix seconds.
    pub at: u64,
    /// Name of the network.
    pub network: String,
    /// The party's account.
    pub account: Address,
    /// Whether the ledger has it as a member.
    pub member: bool,
    /// The newest block that it has executed.
    pub head: Option<VerifiedHead>,
    /// Why the network cannot be reached, and since when.
    pub unreachable: Option<(String, u64)>,
    /// Duties that fail.
    pub stumbles: Vec<(String, Stumble)>,
    /// Letters that nobody has signed for.
    pub undelivered: usize,
    /// What models wait for.
    pub waiting: Vec<Waiting>,
    /// When there is something to do even if nothing happens, Unix seconds.
    pub next: Option<u64>,
}

/// What a founder decides on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoundingTerms {
    /// The most TEST tokens that somebody who joins is given, in millionths.
    pub most_tokens: u64,
}

/// The ledger's requests, by way of the network.
struct ByNetwork(Arc<dyn Network>);

impl Upstream for ByNetwork {
    fn rpc(&self, request: &[u8]) -> Result<Vec<u8>, String> {
        self.0.rpc(request).map_err(|e| e.to_string())
    }
}

/// Follows the ledger of a network in a directory.
pub fn follow(
    dir: &std::path::Path,
    genesis: B256,
    network: &Arc<dyn Network>,
    clock: &Arc<dyn Clock>,
) -> Result<Follower, FollowError> {
    let upstream = Arc::new(ByNetwork(network.clone()));
    Follower::open(dir, genesis, upstream, clock.clone())
}

/// The SIMULATED vendor that a founder plays.
pub fn vendor(founder: &Party) -> SimulatedVendor {
    SimulatedVendor::generate(&mut founder.root().rng("vendor", &[]))
}

/// Keeps by which invitation a party joins.
pub fn keep_invitation(store: &Store, invitation: &[u8]) -> Result<(), NodeError> {
    Ok(store.put(INVITATION, invitation)?)
}

/// The invitation by which a party has joined.
pub fn invitation(store: &Store) -> Result<Option<Invitation>, NodeError> {
    let Some(kept) = store.get(INVITATION)? else { return Ok(None) };
    let read = Invitation::read(&kept);
    Ok(Some(read.map_err(|e| NodeError::Message(histone_protocol::with_causes(&e)))?))
}

/// Keeps that a party is the founder of its network.
pub fn keep_founding(store: &Store, terms: &FoundingTerms) -> Result<(), NodeError> {
    let bytes = serde_json::to_vec(terms).map_err(|e| NodeError::Message(e.to_string()))?;
    Ok(store.put(FOUNDING, &bytes)?)
}

/// How the daemon of a store stood when it last said so.
pub fn status(store: &Store) -> Result<Option<Status>, NodeError> {
    let kept = store.get(STATUS)?;
    Ok(kept.and_then(|kept| serde_json::from_slice(&kept).ok()))
}

/// A party's daemon in a process of its own.
pub struct Service {
    /// The daemon.
    pub daemon: Daemon,
    follower: Arc<Follower>,
    network: Arc<dyn Network>,
    clock: Arc<dyn Clock>,
    name: String,
    unreachable: Option<(String, u64)>,
}

/// What a sleeping daemon hears: its own network, and whoever has its [`Waker`].
pub struct Bell {
    waker: Waker,
    news: Receiver<News>,
}

impl Bell {
    /// A bell that nobody has rung yet.
    pub fn new() -> Self {
        let (sender, news) = mpsc::channel();
        Self { waker: Waker(sender), news }
    }

    /// Rings it.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }
}

impl Default for Bell {
    fn default() -> Self {
        Self::new()
    }
}

/// What ends a sleep.
enum News {
    /// The network has an answer.
    Network(Result<Woken, NetworkError>),
    /// Somebody in this process wants a turn.
    Wake,
}

/// Wakes a daemon that sleeps; from any thread.
#[derive(Clone)]
pub struct Waker(Sender<News>);

impl Waker {
    /// Has the daemon take a turn soon.
    pub fn wake(&self) {
        // Who has ended sleeps no more.
        let _ = self.0.send(News::Wake);
    }
}

impl Service {
    /// The daemon of an opened home, which has joined a network.
    pub async fn open(
        opened: Opened,
        network: Arc<dyn Network>,
        clock: Arc<dyn Clock>,
        bundled: Bundled,
    ) -> Result<Self, NodeError> {
        let Opened { home, settings, party, store, .. } = opened;
        let invitation = invitation(&store)?.ok_or_else(|| {
            NodeError::Message(format!(
                "`{}` has joined no network yet; ask its founder for an invitation and run `histone node join`",
                party.name
            ))
        })?;
        let follower = follow(&home.ledger(), invitation.genesis, &network, &clock)?;
        follower.catch_up()?;
        let follower = Arc::new(follower);
        let ledger =
            Ledger::find(Connection::following(follower.clone()), invitation.ledger.contract).await?;
        let world = World {
            ledger,
            blobs: BlobStore::open(home.blobs())?.linked(network.clone()),
            appraisal: AppraisalPolicy::of(&invitation.appraisal),
            methods: bundled.methods(),
        };
        let founding = store.get(FOUNDING)?.and_then(|kept| serde_json::from_slice::<FoundingTerms>(&kept).ok());
        let vendor = vendor(&party);
        let node = Node {
            mailbox: Mailbox::of(&party),
            roles: settings.roles,
            store,
            world,
            network: network.clone(),
            answers: settings.answers,
            bundled,
            party,
        };
        node.meet(&invitation.founder)?;
        let daemon = Daemon::new(node);
        let daemon = match founding {
            Some(FoundingTerms { most_tokens }) => daemon.founding(Founding { vendor, most_tokens }),
            None => daemon,
        };
        Ok(Self { daemon, follower, network, clock, name: invitation.name, unreachable: None })
    }

    /// Takes turns until it is told to stop, or until something happens after which it must not go on.
    pub async fn run(&mut self, stop: &AtomicBool, bell: &Bell) -> Result<(), NodeError> {
        let (mut asking, mut pause) = (false, FIRST_PAUSE);
        let (mut blocks, mut letters) = (true, true);
        let (mut looked, mut retry) = (0, None::<u64>);
        while !stop.load(Ordering::Relaxed) {
            let now = self.clock.now();
            if now >= looked + LOOK_ANYWAY || retry.is_some_and(|at| now >= at) {
                (blocks, letters) = (true, true);
            }
            if blocks && letters {
                looked = now;
            }
            if blocks && !self.catch_up(now)? {
                retry = Some(now + pause.as_secs().max(1));
                pause = (pause * 2).min(LONGEST_PAUSE);
            } else if blocks {
                (pause, retry) = (FIRST_PAUSE, None);
            }
            let version = self.daemon.node.store.data_version()?;
            let turn = self.daemon.turn(now, letters).await?;
            self.say(now, &turn)?;
            (blocks, letters) = (false, false);
            if turn.moved() {
                // What was done here may be what somebody waits for here.
                letters = turn.letters > 0;
                continue;
            }
            if !asking && self.unreachable.is_none() {
                asking = true;
                let (network, head) = (self.network.clone(), self.daemon.node.head().await?);
                let answer = bell.waker.0.clone();
                thread::spawn(move || {
                    // The daemon may have ended meanwhile.
                    let _ = answer.send(News::Network(network.wait(head.number, PATIENCE)));
                });
            }
            let until = turn.next.into_iter().chain(retry).min();
            match self.sleep(until, version, &bell.news, stop)? {
                Some(News::Network(woken)) => {
                    asking = false;
                    match woken {
                        Ok(woken) => (blocks, letters) = (woken.blocks, woken.letters),
                        Err(error) => {
                            self.unreachable.get_or_insert((error.to_string(), now));
                            retry = Some(now + pause.as_secs().max(1));
                            pause = (pause * 2).min(LONGEST_PAUSE);
                        }
                    }
                }
                Some(News::Wake) | None => {}
            }
        }
        Ok(())
    }

    /// Fetches blocks; `false` when the ledger cannot be reached now.
    fn catch_up(&mut self, now: u64) -> Result<bool, NodeError> {
        match self.follower.catch_up() {
            Ok(_) => {
                self.unreachable = None;
                Ok(true)
            }
            Err(error) if error.is_temporary() => {
                self.unreachable.get_or_insert((error.to_string(), now));
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for news, a moment, another process, or the end.
    fn sleep(
        &self,
        until: Option<u64>,
        version: i64,
        news: &Receiver<News>,
        stop: &AtomicBool,
    ) -> Result<Option<News>, NodeError> {
        loop {
            match news.recv_timeout(LOOK) {
                Ok(news) => return Ok(Some(news)),
                Err(RecvTimeoutError::Timeout) => {}
                // Its own waker holds the other end.
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
            let due = until.is_some_and(|until| self.clock.now() >= until);
            if due || stop.load(Ordering::Relaxed) || self.daemon.node.store.data_version()? != version {
                return Ok(None);
            }
        }
    }

    /// Says how the daemon stands, when that has changed.
    fn say(&self, now: u64, turn: &Turn) -> Result<(), NodeError> {
        let node = &self.daemon.node;
        let stumbles = self.daemon.stumbles().iter().map(|(name, s)| (name.clone(), s.clone()));
        let status = Status {
            at: now,
            network: self.name.clone(),
            account: node.party.account(),
            member: turn.member,
            head: turn.head,
            unreachable: self.unreachable.clone(),
            stumbles: stumbles.collect(),
            undelivered: node.store.undelivered()?.len(),
            waiting: waiting(&turn.book, now),
            next: turn.next,
        };
        let bytes = |status: &Status| serde_json::to_vec(status).map_err(|e| NodeError::Message(e.to_string()));
        let before = node.store.get(STATUS)?.and_then(|kept| serde_json::from_slice::<Status>(&kept).ok());
        let same = match &before {
            Some(before) => bytes(&Status { at: before.at, ..status.clone() })? == bytes(before)?,
            None => false,
        };
        match same {
            true => Ok(()),
            false => Ok(node.store.put(STATUS, &bytes(&status)?)?),
        }
    }
}
