//! One party as a process: a daemon with the ledger that it follows, on the way to others that it is given.
//!
//! The loop is one thread that blocks. It sleeps until somebody has news (a long poll of the network), a deadline comes, or another
//! process has written into the node's memory, such as a person's answer.

mod leaving;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use histone_attestation::AppraisalPolicy;
use histone_attestation::simulated::SimulatedVendor;
use histone_chain::Clock;
use histone_contracts::Book;
use histone_contracts::book::RoundState;
use histone_ledger::{Connection, FollowError, Follower, Ledger, Upstream};
use histone_network::{BlobStore, Network, NetworkError, Woken};
use histone_protocol::consent::AppraisalTerms;
use histone_protocol::evidence::Platform;
use histone_protocol::invitation::Invitation;
use histone_protocol::letter::{Letter, VerifiedHead};
use histone_protocol::record::Signed;
use histone_protocol::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::daemon::patience::say_until;
use crate::daemon::{
    Body, Daemon, FOUNDER, Founding, Mailbox, Node, Soon, Stumble, Turn, join_purpose, profile,
};
use crate::duties::waiting::{Waiting, waiting};
use crate::error::NodeError;
use crate::home::{Opened, Settings};
use crate::party::Party;
use crate::programs::Bundled;
use crate::store::{Level, Prepared, Store};
use crate::world::World;
pub use leaving::leave;

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
/// What nobody announces is looked for after so long, doubled each time.
const SOON: Duration = Duration::from_millis(100);
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
    /// The founder of the network: what it calls itself, and its account.
    #[serde(default)]
    pub founder: Option<(String, Address)>,
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
    /// What the ledger says of the models.
    pub ledger: Option<Summary>,
}

/// What the ledger says of the models, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Members.
    pub members: usize,
    /// Datasets.
    pub datasets: usize,
    /// Enclaves that were ever registered.
    pub enclaves: usize,
    /// The models.
    pub models: Vec<ModelSummary>,
}

/// What the ledger says of one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSummary {
    /// Its number.
    pub model: u64,
    /// Where it stands, in a word.
    pub state: String,
    /// Its name, once it is trained.
    pub hash: Option<B256>,
    /// Its donors, with what each is paid and still owed, in millionths of a token.
    pub donors: Vec<(u16, String)>,
    /// Rounds, and how many of them are final.
    pub rounds: (u32, usize),
    /// Queries that were bought, settled and refunded.
    pub queries: (u64, u64, u64),
}

/// What the ledger says of the models.
fn summary(book: &Book) -> Summary {
    let of = |m: &histone_contracts::book::Model| ModelSummary {
        model: m.model,
        state: m.state.word().into(),
        hash: m.model_hash,
        donors: m.donors.iter().map(|d| (d.donor, d.earned.to_string())).collect(),
        rounds: (
            m.rounds,
            book.rounds.iter().filter(|r| r.model == m.model && r.state == RoundState::Final).count(),
        ),
        queries: (m.queries.bought, m.queries.settled, m.queries.refunded),
    };
    Summary {
        members: book.members.iter().filter(|m| m.member).count(),
        datasets: book.datasets.len(),
        enclaves: book.enclaves.len(),
        models: book.models.iter().map(of).collect(),
    }
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

/// How the daemon of a store stood when it last said so.
pub fn status(store: &Store) -> Result<Option<Status>, NodeError> {
    let kept = store.get(STATUS)?;
    Ok(kept.and_then(|kept| serde_json::from_slice(&kept).ok()))
}

/// What a founder says of its network.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Its name.
    pub name: String,
    /// The address of its hub, as others reach it.
    pub hub: String,
    /// The most TEST tokens that somebody who joins is given, in millionths.
    pub most_tokens: u64,
    /// Seconds in which somebody may join by the invitation.
    pub invited_for: u64,
    /// Seconds for which evidence of enclaves counts.
    pub evidence_max_age: u64,
}

/// What a network file says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkFile {
    name: String,
    #[serde(default)]
    test_tokens: u64,
    #[serde(default = "month")]
    invitation_days: u64,
    #[serde(default = "week")]
    evidence_hours: u64,
}

fn month() -> u64 {
    30
}

fn week() -> u64 {
    24 * 7
}

impl Terms {
    /// Reads a network file: its `name`, and where the usual does not fit `test_tokens` (the most that each who joins is given),
    /// `invitation_days` and `evidence_hours`.
    pub fn read(text: &str, hub: &str) -> Result<Self, toml::de::Error> {
        let file: NetworkFile = toml::from_str(text)?;
        if !(1..=365).contains(&file.invitation_days) {
            let why =
                format!("`invitation_days` is {}; an invitation is for 1 to 365 days", file.invitation_days);
            return Err(serde::de::Error::custom(why));
        }
        Ok(Self {
            name: file.name,
            hub: hub.into(),
            most_tokens: file.test_tokens.saturating_mul(1_000_000),
            invited_for: file.invitation_days.saturating_mul(86_400),
            evidence_max_age: file.evidence_hours.saturating_mul(3_600),
        })
    }
}

/// Founds a network: deploys the contracts on the ledger of a hub and writes the invitation. A home founds one network; the same again
/// gives a new invitation to it.
pub async fn found(
    opened: &Opened,
    network: &Arc<dyn Network>,
    clock: &Arc<dyn Clock>,
    terms: &Terms,
) -> Result<Vec<u8>, NodeError> {
    let (party, store) = (&opened.party, &opened.store);
    let before = invitation(store)?;
    if before.is_some() && store.get(FOUNDING)?.is_none() {
        return Err(NodeError::Message(format!(
            "`{}` has joined a network of somebody else; found another one from a home of its own",
            party.name
        )));
    }
    let genesis = match &before {
        Some(before) => before.genesis,
        None => genesis(network)?,
    };
    let follower = follow(&opened.home.ledger(), genesis, network, clock)?;
    follower.catch_up()?;
    let connection = Connection::following(Arc::new(follower));
    let ledger = match &before {
        Some(before) => Ledger::find(connection, before.ledger.contract).await?,
        None => Ledger::deploy(connection, &party.key, &histone_ledger::Settings::default()).await?,
    };
    let now = clock.now();
    let id = ledger.deployment().id();
    let profile = profile(party, opened.settings.roles, id)?;
    let written = Invitation {
        ledger: id,
        name: terms.name.clone(),
        genesis,
        hub: terms.hub.clone(),
        founder: profile,
        appraisal: AppraisalTerms {
            platforms: vec![Platform::SIMULATED],
            max_age_seconds: terms.evidence_max_age,
            simulated_vendors: vec![vendor(party).address()],
        },
        issued_at: now,
        expires_at: now.saturating_add(terms.invited_for),
    };
    let bytes = Signed::sign(&written, &party.key)?.to_bytes();
    let founding = FoundingTerms { most_tokens: terms.most_tokens };
    let founding = serde_json::to_vec(&founding).map_err(|e| NodeError::Message(e.to_string()))?;
    store.put(FOUNDING, &founding)?;
    store.put(INVITATION, &bytes)?;
    let verb = if before.is_some() { "a new invitation was written to" } else { "founded" };
    let text = format!("{verb} the network `{}`, on the contracts of {}", terms.name, id.contract);
    store.note(now, Level::Info, "network", &text)?;
    Ok(bytes)
}

/// The hash of block 0 of the chain behind a network, as it is said there.
fn genesis(network: &Arc<dyn Network>) -> Result<B256, NodeError> {
    Ok(histone_ledger::genesis_of(&ByNetwork(network.clone()))?)
}

/// Keeps that a party asks to be admitted: the letter goes out with the first turn.
pub fn ask_to_join(
    party: &Party,
    settings: &Settings,
    store: &Store,
    invitation: &Invitation,
    tokens: u64,
    now: u64,
) -> Result<(), NodeError> {
    let (founder, account) = invitation.founder.open()?;
    let body = Body::Join { profile: profile(party, settings.roles, invitation.ledger)?, tokens };
    let content = serde_json::to_string(&body).map_err(|e| NodeError::Message(e.to_string()))?;
    let purpose = join_purpose(store)?;
    // It has verified nothing yet but which chain it is.
    let head = VerifiedHead { number: 0, hash: invitation.genesis };
    store.send(account, &purpose, now, |number| {
        let letter = Letter { ledger: invitation.ledger, to: account, number, head, content };
        let sealed = letter.seal(&party.key, founder.mailbox, founder.mail_key, party.root());
        let bytes = sealed.map_err(|e| NodeError::Message(histone_protocol::with_causes(&e)))?;
        Ok::<_, NodeError>(Prepared { mailbox: founder.mailbox, bytes })
    })?;
    Ok(())
}

/// A party's daemon in a process of its own.
pub struct Service {
    /// The daemon.
    pub daemon: Daemon,
    follower: Arc<Follower>,
    network: Arc<dyn Network>,
    clock: Arc<dyn Clock>,
    name: String,
    founder: (String, Address),
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
        match follower.catch_up() {
            // The daemon tells the others of it before it stops.
            Ok(_) | Err(FollowError::Fork { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let follower = Arc::new(follower);
        let ledger =
            Ledger::find(Connection::following(follower.clone()), invitation.ledger.contract).await?;
        let world = World {
            ledger,
            blobs: BlobStore::open(home.blobs())?.linked(network.clone()),
            appraisal: AppraisalPolicy::of(&invitation.appraisal),
            methods: bundled.methods(),
        };
        let founding =
            store.get(FOUNDING)?.and_then(|kept| serde_json::from_slice::<FoundingTerms>(&kept).ok());
        let vendor = vendor(&party);
        let node = Node {
            mailbox: Mailbox::of(&party),
            roles: settings.roles,
            store,
            world,
            network: network.clone(),
            answers: settings.answers,
            bundled,
            soon: Soon::default(),
            is_founder: founding.is_some(),
            party,
        };
        node.meet(&invitation.founder)?;
        let (read, founder) = invitation.founder.open()?;
        node.store.put(FOUNDER, founder.as_slice())?;
        let daemon = Daemon::new(node);
        let daemon = match founding {
            Some(FoundingTerms { most_tokens }) => daemon.founding(Founding { vendor, most_tokens }),
            None => daemon,
        };
        let founder = (read.name, founder);
        Ok(Self { daemon, follower, network, clock, name: invitation.name, founder, unreachable: None })
    }

    /// Takes turns until it is told to stop, or until something happens after which it must not go on.
    /// `told` hears which duties each turn has done.
    pub async fn run(
        &mut self,
        stop: &AtomicBool,
        bell: &Bell,
        told: &mut dyn FnMut(&[String], u64),
    ) -> Result<(), NodeError> {
        let (mut asking, mut pause) = (false, FIRST_PAUSE);
        let (mut blocks, mut letters) = (true, true);
        let (mut looked, mut retry) = (0, None::<u64>);
        // How long until it looks again for what nobody announces.
        let mut soon = SOON;
        while !stop.load(Ordering::Relaxed) {
            let now = self.clock.now();
            if now >= looked + LOOK_ANYWAY || retry.is_some_and(|at| now >= at) {
                (blocks, letters) = (true, true);
            }
            if blocks && letters {
                looked = now;
            }
            if blocks && !self.catch_up(now).await? {
                retry = Some(now + pause.as_secs().max(1));
                pause = (pause * 2).min(LONGEST_PAUSE);
            } else if blocks {
                (pause, retry) = (FIRST_PAUSE, None);
            }
            let version = self.daemon.node.store.data_version()?;
            let turn = self.daemon.turn(now, letters).await?;
            self.say(now, &turn)?;
            told(&turn.done, now);
            (blocks, letters) = (false, false);
            if turn.moved() {
                // What was done here may be what somebody waits for here.
                letters = turn.letters > 0;
                soon = SOON;
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
            let pause_of_looking = turn.soon.then_some(soon);
            if turn.soon {
                soon = (soon * 2).min(LONGEST_PAUSE);
            }
            match self.sleep(until, version, pause_of_looking, &bell.news, stop)? {
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
    async fn catch_up(&mut self, now: u64) -> Result<bool, NodeError> {
        match self.follower.catch_up() {
            Ok(_) => {
                self.unreachable = None;
                Ok(true)
            }
            Err(error) if error.is_temporary() => {
                let why = histone_protocol::with_causes(&error);
                // That it is away is seen in the status; what else is wrong somebody has to mend.
                let is_said = self.unreachable.as_ref().is_some_and(|(said, _)| *said == why);
                if !is_said && !matches!(error, FollowError::Unreachable(_)) {
                    self.daemon.node.store.note(now, Level::Warning, "ledger", &why)?;
                }
                let since = self.unreachable.take().map_or(now, |(_, since)| since);
                self.unreachable = Some((why, since));
                Ok(false)
            }
            Err(error) => Err(self.daemon.node.cannot_follow(error, now).await),
        }
    }

    /// Waits for news, a moment, another process, or the end.
    fn sleep(
        &self,
        until: Option<u64>,
        version: i64,
        most: Option<Duration>,
        news: &Receiver<News>,
        stop: &AtomicBool,
    ) -> Result<Option<News>, NodeError> {
        let began = Instant::now();
        loop {
            match news.recv_timeout(most.map_or(LOOK, |most| most.min(LOOK))) {
                Ok(news) => return Ok(Some(news)),
                Err(RecvTimeoutError::Timeout) => {}
                // Its own waker holds the other end.
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
            let due = until.is_some_and(|until| self.clock.now() >= until)
                || most.is_some_and(|most| began.elapsed() >= most);
            if due || stop.load(Ordering::Relaxed) || self.daemon.node.store.data_version()? != version {
                return Ok(None);
            }
        }
    }

    /// Says how the daemon stands, when that has changed.
    fn say(&self, now: u64, turn: &Turn) -> Result<(), NodeError> {
        let node = &self.daemon.node;
        let stumbles = self.daemon.stumbles().iter().map(|(name, s)| (name.clone(), s.clone()));
        let mut waiting = waiting(&turn.book, now);
        say_until(&mut waiting, &turn.book, node)?;
        let status = Status {
            at: now,
            network: self.name.clone(),
            account: node.party.account(),
            member: turn.member,
            founder: Some(self.founder.clone()),
            head: turn.head,
            unreachable: self.unreachable.clone(),
            stumbles: stumbles.collect(),
            undelivered: node.store.undelivered()?.len(),
            waiting,
            next: turn.next,
            ledger: Some(summary(&turn.book)),
        };
        let bytes =
            |status: &Status| serde_json::to_vec(status).map_err(|e| NodeError::Message(e.to_string()));
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
