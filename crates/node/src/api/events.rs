//! Server-sent events: the log, the inbox and the wishes as they change.
//!
//! Each event has the position behind it as its id. A client that comes back names the last one (`Last-Event-ID`) and gets what has
//! happened since, from the store; a node that was started again knows it as well. A line of the log comes once. An event of the inbox
//! or of the wishes is one question or wish as it stands, the newest counts, and after a return it may come again.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::sleep;

use super::Shared;
use super::guard::Access;
use super::refusal::Refusal;
use super::routes::Api;
use super::wire::{Note, Question, Refused, Wish};
use crate::store::{self, Asked, Store, StoreFault};

/// How often it is looked whether the daemon has written.
const LOOK: Duration = Duration::from_millis(500);
/// How often something is sent when nothing happens.
const ALIVE: Duration = Duration::from_secs(15);
/// Events that are made at once.
const MOST: usize = 500;

/// A place in all that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    /// The last line of the log that was sent.
    note: u64,
    /// All questions below it are closed, and were sent so.
    question: u64,
    /// The same of the wishes.
    wish: u64,
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('-').map(|part| part.parse::<u64>().map_err(drop));
        let mut next = || parts.next().unwrap_or(Err(()));
        let position = Self { note: next()?, question: next()?, wish: next()? };
        if parts.next().is_some() { Err(()) } else { Ok(position) }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.note, self.question, self.wish)
    }
}

/// What was sent of questions or wishes.
#[derive(Debug)]
struct Sent<T> {
    /// Those that were open when they were sent, with what may change of them.
    open: BTreeMap<u64, T>,
    /// All below it were sent.
    next: u64,
}

impl<T: PartialEq + Clone> Sent<T> {
    /// Takes one as it is now, with what may change of it while it is open; true when it is to be sent.
    fn take(&mut self, number: u64, open: Option<T>) -> bool {
        let new = number >= self.next;
        self.next = self.next.max(number.saturating_add(1));
        match open {
            Some(state) => self.open.insert(number, state.clone()).as_ref() != Some(&state),
            None => self.open.remove(&number).is_some() || new,
        }
    }

    /// All below it are closed, and were sent so.
    fn mark(&self) -> u64 {
        self.open.first_key_value().map_or(self.next, |(number, _)| *number)
    }
}

/// One client, and how far it is.
#[derive(Debug)]
struct Reading {
    access: Access,
    note: u64,
    questions: Sent<()>,
    wishes: Sent<String>,
}

impl Reading {
    /// From now on, or from a position on.
    fn begin(store: &Store, access: Access, from: Option<Position>) -> Result<Self, StoreFault> {
        let (questions, wishes) = (store.questions(false)?, store.wishes(false)?);
        let last = store.last_note()?;
        let next_question = questions.last().map_or(1, |asked| asked.number + 1);
        let next_wish = wishes.last().map_or(1, |wish| wish.number + 1);
        let Some(from) = from else {
            let open = questions.iter().filter(|asked| is_open(asked)).map(|asked| (asked.number, ()));
            let questions = Sent { open: open.collect(), next: next_question };
            let open = wishes.into_iter().filter(|wish| wish.state == store::WishState::Open);
            let open = open.map(|wish| (wish.number, wish.progress)).collect();
            return Ok(Self { access, note: last, questions, wishes: Sent { open, next: next_wish } });
        };
        // A store from a backup may be behind the client.
        let questions = Sent { open: BTreeMap::new(), next: from.question.clamp(1, next_question) };
        let wishes = Sent { open: BTreeMap::new(), next: from.wish.clamp(1, next_wish) };
        Ok(Self { access, note: from.note.min(last), questions, wishes })
    }

    fn position(&self) -> Position {
        Position { note: self.note, question: self.questions.mark(), wish: self.wishes.mark() }
    }

    /// What is new; nothing when there is nothing.
    fn read(&mut self, store: &Store, now: u64) -> Result<Vec<Event>, StoreFault> {
        let mut events = Vec::new();
        if self.access == Access::Operator {
            for note in store.notes(self.note, MOST)? {
                self.note = note.number;
                events.push(self.event("log", &Note::from(note)));
            }
        } else {
            self.note = store.last_note()?;
        }
        let mark = self.questions.mark();
        for asked in store.questions(false)?.into_iter().filter(|asked| asked.number >= mark) {
            if self.questions.take(asked.number, is_open(&asked).then_some(())) {
                events.push(self.event("inbox", &Question::of(asked, now)));
            }
            if events.len() >= MOST {
                return Ok(events);
            }
        }
        let mut open: BTreeMap<_, _> = store.wishes(true)?.into_iter().map(|w| (w.number, w)).collect();
        let known: Vec<u64> = self.wishes.open.keys().copied().collect();
        // Numbers are given one after the other, and none is taken away.
        let new = self.wishes.next..;
        for number in known.into_iter().chain(new) {
            let wish = match open.remove(&number) {
                Some(wish) => Some(wish),
                None => store.get_wish(number)?,
            };
            let Some(wish) = wish else { break };
            let progress = (wish.state == store::WishState::Open).then(|| wish.progress.clone());
            if self.wishes.take(number, progress) {
                events.push(self.event("wish", &Wish::of(wish, self.access)));
            }
            if events.len() >= MOST {
                break;
            }
        }
        Ok(events)
    }

    fn event(&self, name: &str, what: &impl Serialize) -> Event {
        // What is served as JSON elsewhere is so here.
        let data = serde_json::to_string(what).unwrap_or_default();
        Event::default().event(name).id(self.position().to_string()).data(data)
    }
}

fn is_open(asked: &Asked) -> bool {
    asked.answer.is_none() && asked.taken_back.is_none()
}

/// What a client is sent.
struct Following {
    api: Arc<Shared>,
    reading: Reading,
    ready: VecDeque<Event>,
    /// As which the store was read last.
    seen: Option<i64>,
    written: watch::Receiver<()>,
    ending: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

impl Following {
    /// The next event; `None` when the node ends or its store fails: the client comes back.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some((Ok(event), self));
            }
            if *self.ending.borrow() {
                return None;
            }
            self = self.look().await?;
            if !self.ready.is_empty() {
                continue;
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                // Their other ends live as long as the API.
                _ = self.written.changed() => self.seen = None,
                _ = self.ending.changed() => {}
            }
        }
    }

    async fn look(mut self) -> Option<Self> {
        let (api, now) = (self.api.clone(), self.api.now());
        api.with_store(move |store| {
            let version = api_version(store)?;
            if version.is_none() || version != self.seen {
                self.ready = self.reading.read(store, now)?.into();
                // When there may be more, the store is read again.
                self.seen = version.filter(|_| self.ready.is_empty());
            }
            Ok::<_, StoreFault>(self)
        })
        .await
        .ok()
    }
}

/// Changes when the daemon has written; `None` where that cannot be told.
fn api_version(store: &Store) -> Result<Option<i64>, StoreFault> {
    // A store in memory has one connection, which does not count what it writes itself.
    if store.path().is_file() { Ok(Some(store.data_version()?)) } else { Ok(None) }
}

/// The log (for the operator), the inbox and the wishes as they change: events `log`, `inbox` and `wish`, with the JSON that the routes
/// of these give. From now on, or from the position in `Last-Event-ID`; the first line is the position, without an event.
#[utoipa::path(
    get, tag = "node",
    path = "/v1/events",
    params(("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that the client has.")),
    responses(
        (status = 200, description = "Server-sent events.", content_type = "text/event-stream", body = String),
        (status = 400, body = Refused, description = "It is not what is wanted here."),
        (status = 503, body = Refused, description = "Too many programs follow the node.")
    )
)]
pub(super) async fn events(
    State(api): Api,
    Extension(access): Extension<Access>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Refusal> {
    let from = match headers.get("last-event-id") {
        None => None,
        Some(id) => Some(id.to_str().map_err(drop).and_then(str::parse).map_err(|()| {
            Refusal::invalid(
                "`Last-Event-ID` is not the id of an event of this node".into(),
                "leave it out to begin with now",
            )
        })?),
    };
    let place = api.streams.clone().try_acquire_owned().map_err(|_| {
        Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "as many programs follow this node as can",
            "end one of them, such as another `histone status --watch`",
        )
    })?;
    let (written, ending) = (api.written.subscribe(), api.ending.clone());
    let reading = api.with_store(move |store| Reading::begin(store, access, from)).await?;
    let position = Event::default().id(reading.position().to_string());
    let ready = VecDeque::from([position]);
    let following = Following { api, reading, ready, seen: None, written, ending, _place: place };
    let events = stream::unfold(following, Following::next);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)))
}
