//! The parties of a study, as daemons over a network in memory.
//!
//! Either they share a chain in this process, public storage and memories without files ([`Gathered::of`]), or each has a home of its
//! own, as a process on a machine of its own would: a memory in a file, a copy of the ledger that it executes itself, blobs that come by
//! the network ([`Gathered::apart`]).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use histone_chain::{Chain, Clock, Genesis, ManualClock, Sequencer};
use histone_contracts::Book;
use histone_ledger::{Connection, FollowError, Follower, Ledger, Settings};
use histone_network::{BlobStore, Faults, MemNet, Network};
use histone_node::daemon::study::{OnLedger, Taking, appraisal, appraisal_policy, parties};
use histone_node::daemon::{Daemon, Founding, Mailbox, Node, Turn};
use histone_node::error::NodeError;
use histone_node::home::Answers;
use histone_node::party::{Entropy, Party};
use histone_node::plan::Times;
use histone_node::programs::Bundled;
use histone_node::service::{follow, vendor};
use histone_node::store::Store;
use histone_node::study::{Study, StudyDisclosure};
use histone_node::world::World;
use histone_protocol::Address;
use histone_protocol::disclosure::{Disclosure, Place, Release, Source, Sums};

use super::life::{Life, Mortal, Seen, Turn as OnTurn};

pub const START: u64 = 1_767_225_600;
/// Nothing that a study does takes longer.
const END: u64 = START + 86_400;

/// One party, whichever process of it lives.
pub struct Seat {
    pub name: String,
    pub roles: u8,
    pub home: PathBuf,
    pub life: Arc<Life>,
    /// By how many seconds its clock is ahead.
    pub ahead: Arc<AtomicI64>,
}

/// The clock of one party.
struct OwnClock(Arc<ManualClock>, Arc<AtomicI64>);

impl Clock for OwnClock {
    fn now(&self) -> u64 {
        self.0.now().saturating_add_signed(self.1.load(Ordering::Relaxed))
    }
}

pub struct Gathered {
    dir: tempfile::TempDir,
    /// Memories that are not in files, by seat; none where each has its own home.
    stores: Vec<Store>,
    pub study: Study,
    pub net: MemNet,
    pub clock: Arc<ManualClock>,
    /// As the sequencer has it.
    pub chain: Chain,
    pub ledger: Ledger,
    vendor: Address,
    pub seats: Vec<Seat>,
    pub daemons: Vec<Daemon>,
    followers: Vec<Option<Arc<Follower>>>,
    /// What was published.
    pub seen: Seen,
    pub now: u64,
    /// Copies of the ledger are brought up to date by themselves in every so manieth turn only; each in another one.
    pub lag: usize,
    turns: usize,
    /// Whether one daemon after the other ends between its turns, and another one opens its directory and its memory.
    pub again: bool,
}

fn bundled() -> Bundled {
    static LOADED: OnceLock<Bundled> = OnceLock::new();
    LOADED.get_or_init(|| Bundled::load().unwrap()).clone()
}

pub fn example(name: &str) -> Study {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name).join("study.toml");
    Study::load(&file, None).unwrap()
}

/// Sums and model that nobody sees.
pub fn sealed() -> StudyDisclosure {
    StudyDisclosure::of(&Disclosure {
        place: Place::EachOwner,
        source: Source::Open,
        sums: Sums::Sealed,
        model: Release::Sealed,
        auditors: Vec::new(),
        answers: 0,
    })
}

/// What a process of a party has in its hands.
struct Opened {
    node: Node,
    follower: Option<Arc<Follower>>,
}

impl Gathered {
    pub async fn start(name: &str, seed: u64) -> Self {
        Self::of(example(name), seed).await
    }

    pub async fn of(study: Study, seed: u64) -> Self {
        Self::gather(study, (seed, seed), false).await
    }

    /// The same with a home for each.
    pub async fn apart(study: Study, seed: u64) -> Self {
        Self::apart_over(study, seed, seed).await
    }

    /// The same over a network whose faults follow from another seed than the keys do.
    pub async fn apart_over(study: Study, seed: u64, faults: u64) -> Self {
        Self::gather(study, (seed, faults), true).await
    }

    async fn gather(study: Study, (seed, faults): (u64, u64), apart: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let entropy = Entropy::Seed(seed);
        let clock = Arc::new(ManualClock::new(START));
        let taking = parties(&study);
        let founder = Taking { name: "operator".into(), roles: 0, tokens: 0 };
        let mut seats = Vec::new();
        for Taking { name, roles, .. } in std::iter::once(&founder).chain(&taking) {
            let home = dir.path().join(name);
            Party::create(name, &home, entropy).unwrap();
            seats.push(Seat {
                name: name.clone(),
                roles: *roles,
                home,
                life: Arc::default(),
                ahead: Arc::default(),
            });
        }
        let founder = Party::open("operator", &seats[0].home, entropy).unwrap();
        let sequencer = Sequencer::from_bytes(&founder.key.to_bytes()).unwrap();
        let genesis = Genesis {
            chain_id: 4_711,
            timestamp: START,
            sequencer: sequencer.address(),
            alloc: Vec::new(),
            gas_limit: Genesis::GAS_LIMIT,
        };
        let chain = Chain::create(&dir.path().join("ledger"), genesis, sequencer, clock.clone()).unwrap();
        let (connection, settings) = (Connection::embedded(chain.clone()), Settings::default());
        let ledger = Ledger::deploy(connection, &founder.key, &settings).await.unwrap();
        let vendor = vendor(&founder).address();
        let of_network = clock.clone();
        let net = MemNet::with(faults, Faults::default(), Arc::new(move || of_network.now()));
        let answering = chain.clone();
        net.serve_rpc(Arc::new(move |request| answering.handle(request)));
        let stores = match apart {
            true => Vec::new(),
            false => seats.iter().map(|_| Store::in_memory().unwrap()).collect(),
        };
        let mut gathered = Self {
            dir,
            stores,
            study,
            net,
            clock,
            chain,
            ledger,
            vendor,
            seats,
            daemons: Vec::new(),
            followers: Vec::new(),
            seen: Seen::default(),
            now: START,
            lag: 1,
            turns: 0,
            again: false,
        };
        for place in 0..gathered.seats.len() {
            let Opened { node, follower } = gathered.open(place).unwrap();
            gathered.daemons.push(gathered.daemon(place, node));
            gathered.followers.push(follower);
        }
        gathered.ask(&taking).await;
        gathered
    }

    /// Everybody is told what it is to do in the study.
    async fn ask(&mut self, taking: &[Taking]) {
        let profile = self.daemons[0].node.profile().unwrap();
        for (daemon, taking) in self.daemons[1..].iter().zip(taking) {
            daemon.join(&profile, taking.tokens, START).await.unwrap();
        }
        let accounts = self.daemons[1..].iter().map(|d| (d.node.party.name.clone(), d.node.party.account()));
        let accounts: BTreeMap<String, Address> = accounts.collect();
        let study = self.study.clone();
        let on_ledger = OnLedger {
            study: &study,
            ledger: self.ledger.deployment().id(),
            accounts: &accounts,
            appraisal: appraisal(&study, self.vendor),
            times: Times { round_seconds: 3_600, opening_seconds: 3_600 },
            query_timeout: 3_600,
        };
        let loaded = bundled().method(&study.training.method).unwrap();
        for participant in &study.participants {
            let (table, policy) = on_ledger.data(participant).unwrap();
            self.daemon_of(&participant.name).add_data(table, policy).unwrap();
        }
        let proposals = on_ledger.proposals(&loaded).unwrap();
        let trainer = self.daemon_of(&study.model.trainer);
        let method = serde_json::json!({ "method": study.training.method });
        trainer.wish("publish", &method, START).unwrap();
        trainer.wish("propose", &proposals[0].1, START).unwrap();
        let user = self.daemon_of(&study.end_user.name);
        for question in on_ledger.questions(1) {
            user.wish("query", &question, START).unwrap();
        }
    }

    /// What a process of a party finds in its home.
    fn open(&self, place: usize) -> Result<Opened, NodeError> {
        let seat = &self.seats[place];
        let party = Party::open(&seat.name, &seat.home, Entropy::Seed(0))?;
        let mailbox = Mailbox::of(&party);
        let network = self.net.link(mailbox.address());
        let network: Arc<dyn Network> =
            Arc::new(Mortal { network, life: seat.life.clone(), seen: self.seen.clone() });
        let (store, ledger, blobs, follower) = match self.stores.get(place) {
            Some(store) => {
                (store.clone(), self.ledger.clone(), BlobStore::open(self.dir.path().join("blobs"))?, None)
            }
            None => {
                let clock: Arc<dyn Clock> = Arc::new(OwnClock(self.clock.clone(), seat.ahead.clone()));
                let genesis = self.chain.genesis().header().hash_slow();
                let follower = Arc::new(follow(&seat.home.join("ledger"), genesis, &network, &clock)?);
                follower.catch_up()?;
                let connection = Connection::following(follower.clone());
                let ledger = Ledger::at(connection, self.ledger.deployment().clone());
                let blobs = BlobStore::open(seat.home.join("blobs"))?.linked(network.clone());
                (Store::open(&seat.home.join("store.sqlite"))?, ledger, blobs, Some(follower))
            }
        };
        let appraisal = appraisal_policy(&self.study, self.vendor);
        let node = Node {
            mailbox,
            roles: seat.roles,
            store,
            world: World { ledger, blobs, appraisal, methods: bundled().methods() },
            network,
            answers: Answers::Automatic,
            bundled: bundled(),
            soon: Default::default(),
            is_founder: false,
            party,
        };
        Ok(Opened { node, follower })
    }

    fn daemon(&self, place: usize, node: Node) -> Daemon {
        let vendor = vendor(&node.party);
        let daemon = Daemon::new(node);
        match place {
            0 => daemon.founding(Founding { vendor, most_tokens: u64::MAX }),
            _ => daemon,
        }
    }

    /// The daemon of this name.
    pub fn daemon_of(&mut self, name: &str) -> &mut Daemon {
        self.daemons.iter_mut().find(|d| d.node.party.name == name).unwrap()
    }

    pub async fn book(&self) -> Book {
        Book::clone(&*self.ledger.current_book().await.unwrap())
    }

    /// Until nothing is left to do.
    pub async fn run(&mut self) {
        self.run_with(async |_, _| {}).await;
    }

    /// The same, with something that happens after each turn of a party.
    pub async fn run_with(&mut self, mut happens: impl AsyncFnMut(&mut Self, usize)) {
        let mut idle = 0;
        for passes in 0..1_000 {
            let (mut moved, mut next) = (false, None::<u64>);
            for place in 0..self.daemons.len() {
                let turn = self.turn(place).await.unwrap();
                moved |= turn.moved();
                next = turn.next.into_iter().chain(next).min();
                happens(self, place).await;
            }
            if self.again {
                self.restart(passes % self.daemons.len()).unwrap();
            }
            let next = next.into_iter().chain(self.net.next_arrival()).min();
            idle = if moved { 0 } else { idle + 1 };
            // What is new may not have come to everybody yet.
            if idle >= self.lag && !self.wait_until(next) {
                return;
            }
        }
        panic!("it does not come to an end: {}", self.told());
    }

    /// Until nothing is left to do for those who are not away. No time passes.
    pub async fn run_without(&mut self, away: usize) {
        let mut moved = true;
        while moved {
            moved = false;
            for place in (0..self.daemons.len()).filter(|place| *place != away) {
                moved |= self.turn(place).await.unwrap().moved();
            }
        }
    }

    /// Another chain that is this one up to now, by the same sequencer, and goes on in its own way.
    pub fn fork(&self) -> Chain {
        let to = self.dir.path().join("fork");
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(self.dir.path().join("ledger")).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
        let founder = &self.daemons[0].node.party.key;
        let sequencer = Sequencer::from_bytes(&founder.to_bytes()).unwrap();
        Chain::open(&to, sequencer, self.clock.clone()).unwrap()
    }

    /// A chain of the same sequencer that has nothing in common with this one.
    pub fn other_chain(&self, dir: &Path) -> Chain {
        let founder = &self.daemons[0].node.party.key;
        let sequencer = Sequencer::from_bytes(&founder.to_bytes()).unwrap();
        let genesis = Genesis { timestamp: START - 1, ..self.chain.genesis().clone() };
        Chain::create(dir, genesis, sequencer, self.clock.clone()).unwrap()
    }

    /// Moves the clock to a moment that somebody waits for; false when there is none.
    pub fn wait_until(&mut self, next: Option<u64>) -> bool {
        let next = next.filter(|next| *next > self.now && *next < END);
        if let Some(next) = next {
            self.now = next;
            self.clock.set(next);
        }
        next.is_some()
    }

    /// Brings a copy of the ledger up to date.
    pub fn follow(&self, place: usize) -> Result<u64, FollowError> {
        self.followers[place].as_ref().map_or(Ok(0), |follower| follower.catch_up())
    }

    /// One turn of a daemon, as its process would have it.
    pub async fn turn(&mut self, place: usize) -> Result<Turn, NodeError> {
        let seat = &self.seats[place];
        let _turn = OnTurn::of(&seat.home, &seat.life);
        self.turns += 1;
        let catches_up = (self.turns + place).is_multiple_of(self.lag);
        if let Some(follower) = self.followers[place].as_ref().filter(|_| catches_up) {
            // What the sequencer does not say now it says later.
            match follower.catch_up() {
                Err(error) if !error.is_temporary() => {
                    return Err(self.daemons[place].node.cannot_follow(error, self.now).await);
                }
                _ => {}
            }
        }
        let ahead = seat.ahead.load(Ordering::Relaxed);
        let mut turn = self.daemons[place].turn(self.now.saturating_add_signed(ahead), true).await?;
        turn.next = turn.next.map(|next| next.saturating_add_signed(-ahead));
        Ok(turn)
    }

    /// Ends a daemon and opens it again, from its directory and its memory.
    pub fn restart(&mut self, place: usize) -> Result<(), NodeError> {
        self.end(place);
        self.seats[place].life.begin();
        self.begin(place)
    }

    /// Ends a daemon: its files are closed.
    pub fn end(&mut self, place: usize) {
        let seat = &self.seats[place];
        let _turn = OnTurn::of(&seat.home, &seat.life);
        drop((self.daemons.remove(place), self.followers.remove(place)));
    }

    pub fn begin(&mut self, place: usize) -> Result<(), NodeError> {
        let seat = &self.seats[place];
        let _turn = OnTurn::of(&seat.home, &seat.life);
        let Opened { node, follower } = self.open(place)?;
        self.daemons.insert(place, self.daemon(place, node));
        self.followers.insert(place, follower);
        Ok(())
    }

    /// Nobody has a duty that fails, a letter that nobody has, a wish or a question that is open.
    pub fn nothing_is_left(&self) {
        for daemon in &self.daemons {
            let (name, store) = (&daemon.node.party.name, &daemon.node.store);
            assert!(daemon.stumbles().is_empty(), "{name}: {}", self.told());
            assert!(store.undelivered().unwrap().is_empty(), "{name}: {}", self.told());
            assert!(store.unread().unwrap().is_empty(), "{name}: {:?}", store.unread().unwrap());
            assert!(store.wishes(true).unwrap().is_empty(), "{name}: {}", self.told());
            assert!(
                store.questions(true).unwrap().is_empty(),
                "{name}: {:?}",
                store.questions(true).unwrap()
            );
        }
    }

    /// What everybody has to say, for who looks at a failure.
    pub fn told(&self) -> String {
        let mut text = String::new();
        for daemon in &self.daemons {
            let name = &daemon.node.party.name;
            for note in daemon.node.store.notes(0, 1_000).unwrap() {
                text += &format!("{name}: {}: {}\n", note.about, note.text);
            }
            for (duty, stumble) in daemon.stumbles() {
                text += &format!("{name} STUMBLES: {duty}: {} ({} times)\n", stumble.why, stumble.times);
            }
            for letter in daemon.node.store.undelivered().unwrap() {
                text += &format!(
                    "{name} has a letter to {} `{}` since {}\n",
                    letter.to, letter.purpose, letter.since
                );
            }
            for wish in daemon.node.store.wishes(false).unwrap() {
                text += &format!(
                    "{name} wish {} {}: {:?} {}\n",
                    wish.number, wish.kind, wish.state, wish.progress
                );
            }
        }
        text
    }
}
