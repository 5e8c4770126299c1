//! The parties of an example, as daemons over a network in memory and a chain in this process.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use histone_chain::{Chain, Clock, Genesis, ManualClock, Sequencer};
use histone_contracts::Book;
use histone_ledger::{Connection, Ledger, Settings};
use histone_network::{BlobStore, Faults, MemNet};
use histone_node::daemon::study::{OnLedger, Taking, appraisal, appraisal_policy, parties};
use histone_node::daemon::{Daemon, Founding, Mailbox, Node};
use histone_node::home::Answers;
use histone_node::party::{Entropy, Party};
use histone_node::plan::Times;
use histone_node::programs::Bundled;
use histone_node::service::vendor;
use histone_node::store::Store;
use histone_node::study::{Study, StudyDisclosure};
use histone_node::world::World;
use histone_protocol::Address;
use histone_protocol::disclosure::{Disclosure, Place, Release, Source, Sums};

const START: u64 = 1_767_225_600;

pub struct Gathered {
    dir: tempfile::TempDir,
    pub study: Study,
    pub net: MemNet,
    clock: Arc<ManualClock>,
    ledger: Ledger,
    pub daemons: Vec<Daemon>,
    pub now: u64,
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

impl Gathered {
    pub async fn start(name: &str, seed: u64) -> Self {
        Self::of(example(name), seed).await
    }

    pub async fn of(study: Study, seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let entropy = Entropy::Seed(seed);
        let clock = Arc::new(ManualClock::new(START));
        let founder = Party::create("operator", &dir.path().join("private"), entropy).unwrap();
        let sequencer = Sequencer::from_bytes(&founder.key.to_bytes()).unwrap();
        let genesis = Genesis {
            chain_id: 4_711,
            timestamp: START,
            sequencer: sequencer.address(),
            alloc: Vec::new(),
            gas_limit: Genesis::GAS_LIMIT,
        };
        let chain = Chain::create(&dir.path().join("ledger"), genesis, sequencer, clock.clone()).unwrap();
        let ledger =
            Ledger::deploy(Connection::embedded(chain), &founder.key, &Settings::default()).await.unwrap();
        let vendor = vendor(&founder);
        let of_network = clock.clone();
        let net = MemNet::with(seed, Faults::default(), Arc::new(move || of_network.now()));
        let mut gathered =
            Self { dir, study, net, clock, ledger, daemons: Vec::new(), now: START, again: false };

        let world = gathered.world(vendor.address());
        let node = gathered.node(founder, 0, world.clone());
        let profile = node.profile().unwrap();
        let accounts: BTreeMap<String, Address>;
        let mut daemons = vec![];
        let taking = parties(&gathered.study);
        for Taking { name, roles, tokens } in &taking {
            let party = Party::create(name, &gathered.dir.path().join("private"), entropy).unwrap();
            let daemon = Daemon::new(gathered.node(party, *roles, world.clone()));
            daemon.join(&profile, *tokens, START).await.unwrap();
            daemons.push(daemon);
        }
        accounts = daemons.iter().map(|d| (d.node.party.name.clone(), d.node.party.account())).collect();
        let study = gathered.study.clone();
        let on_ledger = OnLedger {
            study: &study,
            ledger: gathered.ledger.deployment().id(),
            accounts: &accounts,
            appraisal: appraisal(&study, vendor.address()),
            times: Times { round_seconds: 3_600, opening_seconds: 3_600 },
            query_timeout: 3_600,
        };
        let loaded = bundled().method(&study.training.method).unwrap();
        for participant in &study.participants {
            let (table, policy) = on_ledger.data(participant).unwrap();
            let owner = daemons.iter_mut().find(|d| d.node.party.name == participant.name).unwrap();
            owner.add_data(table, policy).unwrap();
        }
        let proposals = on_ledger.proposals(&loaded).unwrap();
        let trainer = daemons.iter().find(|d| d.node.party.name == study.model.trainer).unwrap();
        let method = serde_json::json!({ "method": study.training.method });
        trainer.wish("publish", &method, START).unwrap();
        trainer.wish("propose", &proposals[0].1, START).unwrap();
        let user = daemons.iter().find(|d| d.node.party.name == study.end_user.name).unwrap();
        for question in on_ledger.questions(1) {
            user.wish("query", &question, START).unwrap();
        }
        let founding = Founding { vendor, most_tokens: u64::MAX };
        gathered.daemons.push(Daemon::new(node).founding(founding));
        gathered.daemons.extend(daemons);
        gathered
    }

    fn world(&self, vendor: Address) -> World {
        World {
            ledger: self.ledger.clone(),
            blobs: BlobStore::open(self.dir.path().join("blobs")).unwrap(),
            appraisal: appraisal_policy(&self.study, vendor),
            methods: bundled().methods(),
        }
    }

    fn node(&self, party: Party, roles: u8, world: World) -> Node {
        let mailbox = Mailbox::of(&party);
        let network = self.net.link(mailbox.address());
        Node {
            mailbox,
            roles,
            store: Store::in_memory().unwrap(),
            world,
            network,
            answers: Answers::Automatic,
            bundled: bundled(),
            soon: Default::default(),
            party,
        }
    }

    pub async fn book(&self) -> Book {
        self.ledger.current_book().await.unwrap()
    }

    /// Until nothing is left to do.
    pub async fn run(&mut self) {
        for passes in 0..400 {
            let (mut moved, mut next) = (false, None::<u64>);
            for place in 0..self.daemons.len() {
                let turn = self.daemons[place].turn(self.now, true).await.unwrap();
                moved |= turn.moved();
                next = turn.next.into_iter().chain(next).min();
            }
            if self.again {
                self.restart(passes % self.daemons.len());
            }
            if moved {
                continue;
            }
            match next.filter(|next| *next > self.now && *next < START + 86_400) {
                Some(next) => {
                    self.now = next;
                    self.clock.set(next);
                }
                None => return,
            }
        }
        panic!("it does not come to an end: {}", self.told());
    }

    /// Ends a daemon and opens it again, from its directory and its memory.
    pub fn restart(&mut self, place: usize) {
        let old = &self.daemons[place].node;
        let private = self.dir.path().join("private");
        let party = Party::open(&old.party.name, &private, Entropy::Seed(0)).unwrap();
        let node = Node {
            mailbox: Mailbox::of(&party),
            roles: old.roles,
            store: old.store.clone(),
            world: old.world.clone(),
            network: old.network.clone(),
            answers: old.answers,
            bundled: bundled(),
            soon: Default::default(),
            party,
        };
        let daemon = Daemon::new(node);
        self.daemons[place] = match place {
            0 => {
                let vendor = vendor(&daemon.node.party);
                daemon.founding(Founding { vendor, most_tokens: u64::MAX })
            }
            _ => daemon,
        };
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
