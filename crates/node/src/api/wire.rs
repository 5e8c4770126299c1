//! What the local API takes and gives, as JSON.
//!
//! Times are seconds since 1970 (UTC). Accounts and hashes are hexadecimal digits with `0x` before them. Texts may come from others:
//! whoever shows them takes care of control characters.

use histone_protocol::{Address, B256};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::guard::Access;
use crate::service;
use crate::store::{self, Asked};

/// How a node stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The node's time.
    pub now: u64,
    /// Whether a daemon holds the home: it lives, and takes what it is asked for.
    pub running: bool,
    /// Questions that wait for an answer.
    pub questions: u64,
    /// Wishes that are neither done nor failed.
    pub wishes: u64,
    /// Letters that nobody has signed for.
    pub letters: u64,
    /// Proposals to the members of which something may still become.
    pub proposals: u64,
    /// What the daemon last said of itself; null before its first turn. It says something when something has changed.
    pub said: Option<Said>,
}

/// What a daemon says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Said {
    /// When it said so.
    pub at: u64,
    /// The network's name.
    pub network: String,
    /// The party's account.
    #[schema(value_type = String)]
    pub account: Address,
    /// Whether the ledger has it as a member.
    pub member: bool,
    /// The founder of the network; null when that is not known.
    pub founder: Option<Founder>,
    /// The newest block that it has executed.
    pub head: Option<Head>,
    /// Why the network cannot be reached; null when it can.
    pub unreachable: Option<Unreachable>,
    /// Duties that fail and are tried again.
    pub failing: Vec<Failing>,
    /// What models wait for.
    pub waiting: Vec<Waiting>,
    /// When the daemon has something to do even if nothing happens.
    pub next: Option<u64>,
}

/// Who has founded a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Founder {
    /// What it calls itself.
    pub name: String,
    /// Its account.
    #[schema(value_type = String)]
    pub account: Address,
}

/// A block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Head {
    /// Its number.
    pub number: u64,
    /// Its hash.
    #[schema(value_type = String)]
    pub hash: B256,
}

/// A network that cannot be reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Unreachable {
    /// Why.
    pub why: String,
    /// Since when.
    pub since: u64,
}

/// A duty that fails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Failing {
    /// Its name.
    pub duty: String,
    /// What happened the last time.
    pub why: String,
    /// How often it has failed.
    pub times: u32,
    /// Since when.
    pub since: u64,
    /// When it is tried again.
    pub again: u64,
}

/// What a model waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Waiting {
    /// The model.
    pub model: u64,
    /// What has to happen.
    pub what: String,
    /// Accounts of the members who have to do it.
    #[schema(value_type = Vec<String>)]
    pub whom: Vec<Address>,
    /// Until when; null where there is no limit.
    pub until: Option<u64>,
}

/// The inbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Inbox {
    /// Questions in the order in which they were asked.
    pub questions: Vec<Question>,
}

/// What the members decide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Proposals {
    /// Proposals, oldest first: the newest 500.
    pub proposals: Vec<crate::proposals::Proposal>,
}

/// What a person is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Question {
    /// By which it is answered.
    pub number: u64,
    /// What it is about, such as `train/3`.
    pub key: String,
    /// Its kind.
    pub kind: String,
    /// One line.
    pub title: String,
    /// All that the person should know.
    pub text: String,
    /// The same as data.
    pub facts: Value,
    /// When it was asked.
    pub asked_at: u64,
    /// Until when an answer counts; null where there is no limit.
    pub due: Option<u64>,
    /// Where it stands.
    pub state: QuestionState,
    /// The answer.
    pub answer: Option<Answer>,
    /// Why it is no longer a question.
    pub withdrawn: Option<String>,
}

/// Where a question stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum QuestionState {
    /// It waits for an answer.
    Open,
    /// It was not answered in time.
    Late,
    /// Approved.
    Approved,
    /// Declined.
    Declined,
    /// It is no longer a question.
    Withdrawn,
}

/// An answer that was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Answer {
    /// Whether it was approved.
    pub yes: bool,
    /// Why.
    pub because: String,
    /// Who has decided.
    pub by: String,
    /// When.
    pub at: u64,
}

/// An answer to a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Whether it is approved.
    pub yes: bool,
    /// Why; must not be empty when it is declined. At most 2,000 characters. Others may get to read it.
    #[serde(default)]
    pub because: String,
}

/// The wishes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Wishes {
    /// In the order in which they were made.
    pub wishes: Vec<Wish>,
}

/// What the operator has asked the node to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Wish {
    /// Its number.
    pub number: u64,
    /// Its kind.
    pub kind: String,
    /// What is to be done; null for a token for looking.
    pub what: Value,
    /// When it was asked for.
    pub made_at: u64,
    /// What became of it.
    pub state: WishState,
    /// How far it is; empty at first.
    pub progress: String,
    /// The outcome of a wish that is done; null otherwise, and for a token for looking.
    pub outcome: Value,
    /// Why it cannot be done.
    pub why: Option<String>,
}

/// What became of a wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WishState {
    /// Not done yet.
    Open,
    /// Done.
    Done,
    /// It cannot be done.
    Failed,
}

/// Something that the node is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWish {
    /// `add-data`, `propose`, `publish`, `abort`, `train`, `query` or `claim`.
    pub kind: String,
    /// What is to be done, as the kind has it.
    #[serde(default)]
    pub what: Value,
}

/// A wish was kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Made {
    /// Its number.
    pub number: u64,
}

/// Lines of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Log {
    /// The oldest first.
    pub notes: Vec<Note>,
    /// Number of the newest line that there is; 0 when there is none.
    pub last: u64,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Note {
    /// Counts the lines; some may be missing.
    pub number: u64,
    /// When.
    pub time: u64,
    /// How much it matters.
    pub level: Level,
    /// What it is about, such as a duty's name.
    pub about: String,
    /// What happened.
    pub text: String,
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What was done.
    Info,
    /// What somebody should look at.
    Warning,
    /// What did not work.
    Error,
}

/// Letters for which no receipt has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Letters {
    /// The oldest first.
    pub letters: Vec<Letter>,
}

/// A letter for which no receipt has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Letter {
    /// The receiver's account.
    #[schema(value_type = String)]
    pub to: Address,
    /// What it is for.
    pub purpose: String,
    /// When it was prepared.
    pub since: u64,
    /// How often it was posted.
    pub tries: u32,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Refused {
    /// What is wrong.
    pub error: String,
    /// What to do.
    pub todo: String,
}

impl From<service::Status> for Said {
    fn from(status: service::Status) -> Self {
        let failing = status.stumbles.into_iter().map(|(duty, s)| Failing {
            duty,
            why: s.why,
            times: s.times,
            since: s.since,
            again: s.again,
        });
        let waiting = status.waiting.into_iter().map(|w| Waiting {
            model: w.model,
            what: w.what,
            whom: w.whom,
            until: w.until,
        });
        Self {
            at: status.at,
            network: status.network,
            account: status.account,
            member: status.member,
            founder: status.founder.map(|(name, account)| Founder { name, account }),
            head: status.head.map(|head| Head { number: head.number, hash: head.hash }),
            unreachable: status.unreachable.map(|(why, since)| Unreachable { why, since }),
            failing: failing.collect(),
            waiting: waiting.collect(),
            next: status.next,
        }
    }
}

impl Question {
    pub(super) fn of(asked: Asked, now: u64) -> Self {
        let Asked { number, question, asked_at, answer, taken_back } = asked;
        let state = match (&answer, &taken_back) {
            (Some((answer, _)), _) if answer.yes => QuestionState::Approved,
            (Some(_), _) => QuestionState::Declined,
            (None, Some(_)) => QuestionState::Withdrawn,
            (None, None) if question.due.is_some_and(|due| now > due) => QuestionState::Late,
            (None, None) => QuestionState::Open,
        };
        let answer =
            answer.map(|(answer, at)| Answer { yes: answer.yes, because: answer.because, by: answer.by, at });
        Self {
            number,
            key: question.key,
            kind: question.kind,
            title: question.title,
            text: question.text,
            facts: question.facts,
            asked_at,
            due: question.due,
            state,
            answer,
            withdrawn: taken_back,
        }
    }
}

impl Wish {
    /// What a token allows to see of it: whoever only looks does not get to know what people ask models, and what these answer.
    pub(super) fn of(wish: store::Wish, access: Access) -> Self {
        let wish = Self::whole(wish);
        match access {
            Access::Operator => wish,
            Access::Reader => Self { what: Value::Null, outcome: Value::Null, ..wish },
        }
    }

    fn whole(wish: store::Wish) -> Self {
        let (state, outcome, why) = match wish.state {
            store::WishState::Open => (WishState::Open, Value::Null, None),
            store::WishState::Done(outcome) => (WishState::Done, outcome, None),
            store::WishState::Failed(why) => (WishState::Failed, Value::Null, Some(why)),
        };
        Self {
            number: wish.number,
            kind: wish.kind,
            what: wish.what,
            made_at: wish.made_at,
            state,
            progress: wish.progress,
            outcome,
            why,
        }
    }
}

impl From<store::Note> for Note {
    fn from(note: store::Note) -> Self {
        let level = match note.level {
            store::Level::Info => Level::Info,
            store::Level::Warning => Level::Warning,
            store::Level::Error => Level::Error,
        };
        Self { number: note.number, time: note.time, level, about: note.about, text: note.text }
    }
}

impl From<store::Waiting> for Letter {
    fn from(letter: store::Waiting) -> Self {
        Self { to: letter.to, purpose: letter.purpose, since: letter.since, tries: letter.tries }
    }
}
