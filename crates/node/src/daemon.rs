//! A party that lives on: a process that may be killed at any instruction and started again a week later.
//!
//! What it knows is the ledger, its own memory ([`crate::store`]), its directory and the blobs. In each [turn](Daemon::turn) it reads
//! what is new, asks each of its roles what it owes to do ([`crate::duties`], pure functions of ledger and memory), does that, and lets
//! its letters go out. Every duty can be repeated: bytes are kept before they are sent, and the ledger takes each act once. What a
//! person has to decide is a question in the memory; what a person asks for is a wish there.
//!
//! The same daemons run in one process over a network in memory and a clock that is moved ([`together`]), and in processes of their
//! own. Deliberately absent: threads, sockets and clocks. Whoever runs a daemon brings them.

mod auditor;
mod committee;
mod evidence;
mod founder;
mod handing_over;
mod histories;
mod host;
mod mail;
pub mod names;
mod owner;
pub(crate) mod patience;
mod renewing;
mod runner;
pub mod study;
mod stumbles;
pub mod together;
mod trainer;
mod updating;
mod user;
pub mod voting;
mod withdrawing;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;

use histone_attestation::simulated::SimulatedDevice;
use histone_contracts::{Book, Contract, Rounds, roles};
use histone_enclave::query::QueryEnclave;
use histone_genome::table::Table;
use histone_network::Network;
use histone_protocol::consent::ConsentPolicy;
use histone_protocol::evidence::DeviceCertificate;
use histone_protocol::letter::{Profile, VerifiedHead};
use histone_protocol::record::Signed;
use histone_protocol::{B256, U256};
use serde::{Deserialize, Serialize};

use crate::duties;
use crate::error::NodeError;
use crate::home::Answers;
use crate::owner::Version;
use crate::party::Party;
use crate::programs::Bundled;
use crate::store::{Answer, Level, Question, Store};
use crate::world::World;
pub use founder::Founding;
pub use handing_over::{HAND_OVER, HandOver};
pub use mail::{Body, Mailbox, profile};
pub(crate) use owner::donating;
pub use owner::{Recorded, data_added, decided, refused};
use stumbles::Stumbles;
pub use trainer::Proposal;
pub use updating::{UPDATE, Update};
pub(crate) use user::code_of;
pub use user::{Asking, asked};
pub use withdrawing::{WITHDRAW, Withdraw, Withdrawn};

/// How a duty that failed is tried again: after so many seconds, doubled each time up to a limit.
const FIRST_PAUSE: u64 = 2;
const LONGEST_PAUSE: u64 = 300;

/// What all roles of a daemon have in common.
pub struct Node {
    /// Name, keys, directory.
    pub party: Party,
    /// The sum of its role bits; 0 for an end user.
    pub roles: u8,
    /// Its mailbox.
    pub mailbox: Mailbox,
    /// What it remembers.
    pub store: Store,
    /// The ledger and public storage.
    pub world: World,
    /// The way to all others.
    pub network: Arc<dyn Network>,
    /// Who answers its questions.
    pub answers: Answers,
    /// The programs that it has at hand.
    pub bundled: Bundled,
    /// Whether something is waited for that comes without a letter or a block.
    pub soon: Soon,
    /// Whether it admits members: nobody else reads requests to join.
    pub is_founder: bool,
}

/// Whether something is waited for that nobody announces, such as a blob: then a daemon looks again by itself.
#[derive(Debug, Default)]
pub struct Soon(std::cell::Cell<bool>, std::cell::Cell<Option<u64>>);

impl Soon {
    fn ask(&self) {
        self.0.set(true);
    }

    /// A moment at which there is something to do even if nothing happens.
    fn at(&self, moment: u64) {
        self.1.set(Some(self.1.get().map_or(moment, |at| at.min(moment))));
    }
}

impl Node {
    /// Writes a line for people.
    fn say(&self, now: u64, about: &str, text: &str) -> Result<(), NodeError> {
        Ok(self.store.note(now, Level::Info, about, text)?)
    }

    /// Asks a person, or finds what it has answered; nothing as long as it has not.
    fn ask(&self, question: &Question, now: u64) -> Result<Option<Answer>, NodeError> {
        if let Some(answer) = self.store.answered(&question.key)? {
            return Ok(Some(answer));
        }
        let number = self.store.ask(question, now)?;
        if self.answers == Answers::Ask {
            return Ok(None);
        }
        let answer = Answer { yes: true, because: "answers are automatic".into(), by: "this node".into() };
        match self.store.answer(number, &answer, now) {
            Ok(_) => Ok(Some(answer)),
            // Taken back, or too late: nobody answers it any more.
            Err(_) => Ok(None),
        }
    }

    /// Keeps the certificate of this party's device, if it is one and by a vendor that the network believes; the first one stays.
    fn take_certificate(&self, certificate: &str) -> Result<(), NodeError> {
        if self.store.get(CERTIFICATE)?.is_some() {
            return Ok(());
        }
        let Ok(read) = Signed::<DeviceCertificate>::from_bytes(certificate.as_bytes()) else { return Ok(()) };
        let by = read.open().ok().map(|(_, vendor)| vendor);
        let believed = by.is_some_and(|vendor| self.world.appraisal.simulated_vendors().contains(&vendor));
        if believed && SimulatedDevice::certified(self.device_key(), read).is_some() {
            self.store.put(CERTIFICATE, certificate.as_bytes())?;
        }
        Ok(())
    }

    /// The SIMULATED device of this party, once the network's vendor has certified it.
    fn device(&self) -> Result<Option<SimulatedDevice>, NodeError> {
        let Some(certificate) = self.store.get(CERTIFICATE)? else { return Ok(None) };
        let certificate = Signed::from_bytes(&certificate)?;
        Ok(SimulatedDevice::certified(self.device_key(), certificate))
    }

    /// Whether a round was opened before this home was restored from a backup: what was done in it since then is not remembered here.
    async fn is_forgotten(&self, model: u64, round: u32) -> Result<bool, NodeError> {
        let Some(restored) = self.store.restored()? else { return Ok(false) };
        let about = Some(B256::from(U256::from(model)));
        let opened = self.world.ledger.logged::<Rounds::RoundOpened>(Contract::Rounds, about).await?;
        let block = self.store.restored_at()?.unwrap_or_default();
        Ok(opened.iter().any(|o| o.event.round == round && (o.time <= restored || o.at.0 <= block)))
    }

    fn marked(&self, mark: &str) -> Result<bool, NodeError> {
        Ok(self.store.get(mark)?.is_some())
    }

    fn mark(&self, mark: &str) -> Result<(), NodeError> {
        Ok(self.store.put(mark, b"done")?)
    }
}

/// Letters that cannot be fetched or posted now, among the duties that fail.
const FETCH: &str = "fetch letters";
const POST: &str = "post letters";
/// What fails while the clock of this machine is ahead of the ledger's.
const CLOCK: &str = "keep the time";
/// A block that was made just now may be so many seconds before what the clock shows.
const MOST_AHEAD: u64 = 120;
/// Where it is kept who has founded the network.
pub(crate) const FOUNDER: &str = "founder";
/// Where it is kept by which letter the founder has declined to admit the party.
const DECLINED: &str = "not-admitted";
/// Where the certificate of the device is kept.
const CERTIFICATE: &str = "device-certificate";

/// What a request to join is for: whoever was declined may ask again, and whoever was not has asked.
pub(crate) fn join_purpose(store: &Store) -> Result<String, NodeError> {
    Ok(match store.get(DECLINED)? {
        None => "join".to_owned(),
        Some(letter) => format!("join/{:x}", B256::try_from(letter.as_slice()).unwrap_or_default()),
    })
}

/// What came of a duty.
enum Done {
    /// It is done.
    Yes,
    /// It is done for this process alone: nobody else sees anything of it, and the next process does it again.
    Here,
    /// It has to be tried again when something has changed.
    NotYet,
}

/// A role of a party: what it owes, and how it does it.
trait Part {
    /// Something that it owes; its name is shown to people and tells duties apart.
    type Duty: Clone + Display;

    /// What fails when it cannot be seen what it owes, for people.
    const LOOK: &'static str;

    /// What it owes now, in the order in which it is to be done.
    async fn duties(&mut self, book: &Book, node: &Node, now: u64) -> Result<Vec<Self::Duty>, NodeError>;

    /// Does it. May be asked again at any time, also after it was done.
    async fn perform(&mut self, duty: Self::Duty, node: &Node, now: u64) -> Result<Done, NodeError>;
}

/// A duty that failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stumble {
    /// What happened, in words.
    pub why: String,
    /// How often.
    pub times: u32,
    /// When it is tried again, Unix seconds.
    pub again: u64,
    /// Since when it fails, Unix seconds.
    pub since: u64,
}

/// What a turn has brought.
#[derive(Debug, Default)]
pub struct Turn {
    /// Duties that were done.
    pub done: Vec<String>,
    /// Letters that were read for the first time.
    pub letters: usize,
    /// When there is something to do even if nothing happens, Unix seconds.
    pub next: Option<u64>,
    /// Whether to look again soon, although nobody will say that anything is new.
    pub soon: bool,
    /// Whether the ledger has the party as a member.
    pub member: bool,
    /// The newest block that the party has verified.
    pub head: Option<VerifiedHead>,
    /// The ledger as it was at the end.
    pub book: Arc<Book>,
}

impl Turn {
    /// Whether anything has moved.
    pub fn moved(&self) -> bool {
        !self.done.is_empty() || self.letters > 0
    }
}

/// A party's daemon.
pub struct Daemon {
    /// What its roles share.
    pub node: Node,
    founder: Option<founder::Founder>,
    renewing: renewing::RenewingPart,
    auditor: Option<auditor::Auditor>,
    runner: Option<runner::RunnerPart>,
    host: Option<host::HostPart>,
    owner: Option<owner::OwnerPart>,
    trainer: Option<trainer::TrainerPart>,
    committee: Option<committee::CommitteePart>,
    user: user::UserPart,
    voting: voting::VotingPart,
    stumbles: Stumbles,
    held: Option<Held>,
}

/// Says of a moment of the ledger whether a daemon does nothing in it.
pub type Held = Arc<dyn Fn(&Book) -> bool + Send + Sync>;

impl Daemon {
    /// The daemon of a party, as its directory and its memory have it.
    pub fn new(node: Node) -> Self {
        let has = |bit: u8| node.roles & bit != 0;
        Self {
            founder: None,
            renewing: renewing::RenewingPart::default(),
            auditor: has(roles::AUDITOR).then(auditor::Auditor::default),
            runner: has(roles::RUNNER).then(runner::RunnerPart::default),
            host: has(roles::RUNNER).then(host::HostPart::default),
            owner: has(roles::OWNER).then(owner::OwnerPart::default),
            trainer: has(roles::TRAINER).then(trainer::TrainerPart::default),
            committee: has(roles::COMMITTEE).then(|| committee::CommitteePart::new(&node)),
            user: user::UserPart::new(&node),
            voting: voting::VotingPart::default(),
            stumbles: Stumbles::default(),
            held: None,
            node,
        }
    }

    /// Has it do nothing as long as `held` says so, which is asked before each duty. For a run that has something happen between two
    /// duties of a party.
    pub fn hold(&mut self, held: Held) {
        self.held = Some(held);
    }

    /// The enclave of this party that answers for a model, where it runs one.
    pub fn query_enclave(&self, model: u64) -> Option<&QueryEnclave> {
        self.runner.as_ref()?.query_enclave(model)
    }

    /// The same for the founder of a network.
    #[must_use]
    pub fn founding(mut self, network: founder::Founding) -> Self {
        self.node.is_founder = true;
        Self { founder: Some(founder::Founder::new(network)), ..self }
    }

    /// Reads what is new, does what is owed and sends what is to be sent, once. The mailbox is looked into where `letters` says that
    /// some may lie there.
    pub async fn turn(&mut self, now: u64, letters: bool) -> Result<Turn, NodeError> {
        let mut turn = Turn::default();
        self.node.soon.0.set(false);
        self.node.has_one_history(now).await?;
        if letters || self.stumbles.by_name().contains_key(FETCH) {
            match self.node.fetch(now).await {
                Ok(letters) => {
                    turn.letters = letters;
                    self.stumbles.done(FETCH);
                }
                // Without letters there is much to do.
                Err(error @ NodeError::Message(_)) => self.stumble(FETCH, &error, now, &mut turn),
                Err(error) => return Err(error),
            }
        }
        let book = self.node.world.ledger.current_book().await?;
        self.node.store.mark_block(book.head.block)?;
        self.greeted(&book, now)?;
        let own = book.members.get(&self.node.party.account());
        let admitted = own.is_some_and(|member| member.member);
        // By a clock that is known to be ahead no deadline passes; it does when the ledger's time says so.
        let is_ahead = self.stumbles.by_name().contains_key(CLOCK);
        let time = Time { now, deadlines: if is_ahead { book.head.time } else { now } };
        let before = book.head;
        macro_rules! parts {
            ($($part:ident),*) => {
                $(if let Some(part) = &mut self.$part {
                    work(part, &self.node, (&mut self.stumbles, &self.held), time, &mut turn).await?;
                })*
            };
        }
        parts!(founder);
        // Before that nobody takes anything from it.
        if admitted {
            work(&mut self.renewing, &self.node, (&mut self.stumbles, &self.held), time, &mut turn).await?;
            for enclave in self.renewing.renewed() {
                if let (Some(runner), Some(host)) = (&mut self.runner, &mut self.host) {
                    runner.stop(enclave);
                    host.stop(enclave);
                }
            }
            parts!(auditor, runner, host, owner, trainer, committee);
        }
        work(&mut self.user, &self.node, (&mut self.stumbles, &self.held), time, &mut turn).await?;
        work(&mut self.voting, &self.node, (&mut self.stumbles, &self.held), time, &mut turn).await?;
        match self.node.post(now) {
            Ok(_) => {
                self.stumbles.done(POST);
            }
            Err(error) => self.stumble(POST, &error, now, &mut turn),
        }
        if let Some(due) = self.node.store.next_due()? {
            // What is due now and has not gone out waits until the network can be reached, or for its turn.
            turn.wake(due.max(now + 1));
        }
        let book = self.node.world.ledger.current_book().await?;
        if book.head.block > before.block {
            self.compare_clocks(&book, now, &mut turn);
        }
        let again = self.stumbles.by_name().values().map(|s| s.again).filter(|again| *again > now);
        again.chain(duties::next_deadline(&book, now)).for_each(|at| turn.wake(at));
        turn.member = book.members.get(&self.node.party.account()).is_some_and(|member| member.member);
        turn.soon = self.node.soon.0.get();
        if let Some(at) = self.node.soon.1.take().filter(|at| *at > now) {
            turn.wake(at);
        }
        turn.head = Some(self.node.head().await?);
        turn.book = book;
        Ok(turn)
    }

    /// Asks the founder of a network to be admitted; `founder` is who says so in the invitation.
    pub async fn join(&self, founder: &Signed<Profile>, tokens: u64, now: u64) -> Result<(), NodeError> {
        self.node.meet(founder)?;
        let (_, account) = founder.open()?;
        self.node.store.put(FOUNDER, account.as_slice())?;
        let body = Body::Join { profile: self.node.profile()?, tokens };
        self.node.write(account, &join_purpose(&self.node.store)?, &body, now).await?;
        Ok(())
    }

    /// Encrypts a table into the party's directory and has it registered under its terms. Gives its name on the ledger.
    pub fn add_data(&mut self, table: Table, policy: ConsentPolicy) -> Result<B256, NodeError> {
        let name = &self.node.party.name;
        let owner = self.owner.as_mut();
        let owner = owner.ok_or_else(|| NodeError::Message(format!("`{name}` is no owner of data")))?;
        owner.add(table, policy, &self.node)
    }

    /// Encrypts another version of a dataset into the party's directory and wishes for it to replace the current one. Gives the wish.
    pub fn update_data(&mut self, dataset: B256, table: &Table, now: u64) -> Result<u64, NodeError> {
        let version = Version::prepare(&self.node.party, table)?;
        self.wish(UPDATE, &Update { dataset, version }, now)
    }

    /// Asks the node to do something: a wish of this kind.
    pub fn wish<T: Serialize>(&self, kind: &str, what: &T, now: u64) -> Result<u64, NodeError> {
        let what = serde_json::to_value(what).map_err(|e| NodeError::Message(e.to_string()))?;
        Ok(self.node.store.wish(kind, &what, now)?)
    }

    /// What does not work at the moment, by duty.
    pub fn stumbles(&self) -> &BTreeMap<String, Stumble> {
        self.stumbles.by_name()
    }

    /// Takes the certificate that the founder has sent.
    fn greeted(&self, book: &Book, now: u64) -> Result<(), NodeError> {
        for letter in self.node.letters(book)? {
            if !matches!(letter.body, Body::Welcome { .. } | Body::NotAdmitted { .. }) {
                continue;
            }
            let founder = self.node.store.get(FOUNDER)?;
            if founder.is_some_and(|founder| founder != letter.from.as_slice()) {
                // Nobody else admits, or does not.
                self.node.store.read(letter.id, now)?;
                continue;
            }
            match letter.body {
                Body::Welcome { certificate } => {
                    if let Some(certificate) = certificate {
                        self.node.take_certificate(&certificate)?;
                    }
                    self.node.say(now, "network", "admitted")?;
                }
                Body::NotAdmitted { because } => {
                    let text = format!("the founder has not admitted this party: {because}");
                    self.node.store.note(now, Level::Warning, "network", &text)?;
                    self.node.store.put(DECLINED, letter.id.as_slice())?;
                }
                _ => continue,
            }
            self.node.store.read(letter.id, now)?;
        }
        Ok(())
    }

    /// Compares the clock with a block that was made while this turn was taken: the ledger's time is the sequencer's.
    fn compare_clocks(&mut self, book: &Book, now: u64, turn: &mut Turn) {
        match now.saturating_sub(book.head.time) {
            ahead if ahead > MOST_AHEAD => {
                let why = format!(
                    "the clock of this machine is {ahead} s ahead of the ledger's: set it, and let the system keep it (NTP). Until then this node may miss rounds"
                );
                self.stumble(CLOCK, &NodeError::Message(why), now, turn);
            }
            _ => drop(self.stumbles.done(CLOCK)),
        }
    }

    fn stumble(&mut self, name: &str, error: &NodeError, now: u64, turn: &mut Turn) {
        turn.wake(self.stumbles.failed("", name, error, now));
    }
}

impl Turn {
    fn wake(&mut self, at: u64) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }
}

/// What time it is, Unix seconds.
#[derive(Clone, Copy)]
struct Time {
    /// By the clock of this machine.
    now: u64,
    /// By which deadlines pass.
    deadlines: u64,
}

/// Does what a role owes, until nothing is left that can be done now.
async fn work<P: Part>(
    part: &mut P,
    node: &Node,
    (stumbles, held): (&mut Stumbles, &Option<Held>),
    Time { now, deadlines }: Time,
    turn: &mut Turn,
) -> Result<(), NodeError> {
    if stumbles.waits(P::LOOK, now) {
        return Ok(());
    }
    // Once a turn each: what a duty needs from others comes with the next turn.
    let mut tried = BTreeSet::new();
    loop {
        let book = node.world.ledger.current_book().await?;
        if held.as_ref().is_some_and(|held| held(&book)) {
            return Ok(());
        }
        let owed = match part.duties(&book, node, deadlines).await {
            Ok(owed) => owed,
            Err(error @ (NodeError::Own(_) | NodeError::TwoHistories { .. })) => return Err(error),
            // Who has what is looked for may be away.
            Err(error) => {
                turn.wake(stumbles.failed(P::LOOK, P::LOOK, &error, now));
                return Ok(());
            }
        };
        stumbles.keep_owed(P::LOOK, &owed.iter().map(ToString::to_string).collect());
        let mut next = None;
        for duty in owed {
            let name = duty.to_string();
            if !stumbles.waits(&name, now) && !tried.contains(&name) {
                next = Some((name, duty));
                break;
            }
        }
        let Some((name, duty)) = next else { return Ok(()) };
        tried.insert(name.clone());
        match part.perform(duty, node, now).await {
            Ok(done @ (Done::Yes | Done::Here)) => {
                // What worked the second time was early, most of the time.
                if let Some(stumble) = stumbles.done(&name).filter(|stumble| stumble.times > 1) {
                    node.say(now, &name, &format!("works again, after {} attempts", stumble.times + 1))?;
                }
                if matches!(done, Done::Yes) {
                    node.say(now, &name, "done")?;
                    turn.done.push(name);
                }
            }
            Ok(Done::NotYet) => {}
            Err(error @ (NodeError::Own(_) | NodeError::TwoHistories { .. })) => return Err(error),
            Err(error) => turn.wake(stumbles.failed(P::LOOK, &name, &error, now)),
        }
    }
}
