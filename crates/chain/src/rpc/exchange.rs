//! One request or batch on its way to an answer.
//!
//! A server has more to do than it can do at once. So an exchange goes step by step, and each step in a *lane*: what is
//! surely short, what is probably short, what turned out to be long, and transactions, which wait for a block. A step that
//! takes too long for its lane is stopped and done again in the next one; nothing but a transaction changes anything, and
//! that has a lane of its own. In process there is one lane for everything.

#[cfg(feature = "server")]
use std::net::IpAddr;
use std::ops::Range;
#[cfg(feature = "server")]
use std::sync::{Arc, atomic::AtomicBool};
#[cfg(feature = "server")]
use std::time::Duration;

#[cfg(feature = "server")]
use hyper::body::Bytes;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::{Ask, Json, MAX_ANSWER_BYTES, MAX_BATCH, MAX_ELEMENT_BYTES, MAX_REQUEST_BYTES, RpcError};
#[cfg(feature = "server")]
use super::{LARGE_BLOCK_BYTES, SMALL_BLOCK_BYTES};
use crate::work::Meter;
#[cfg(feature = "server")]
use crate::work::{Allowed, SLOWNESS, Stop, processor_time};

/// Runs a method by its name and parameters.
pub(super) type Dispatch<'a> = dyn FnMut(&str, Option<&RawValue>, &Ask<'_>) -> Result<Json, RpcError> + 'a;

/// Answers a request or a batch at once.
pub(super) fn handle(request: &[u8], dispatch: &mut Dispatch<'_>) -> Vec<u8> {
    let elements = match split(request) {
        Ok(elements) => elements,
        Err(error) => return refusal(error),
    };
    let mut answers = Answers::new(&elements);
    let meter = Meter::unlimited();
    for range in elements.ranges {
        let element = match Element::read(request.get(range).unwrap_or_default()) {
            Ok(element) => element,
            Err((id, error)) => {
                answers.push(answer(&id, Err(error)));
                continue;
            }
        };
        let result = dispatch(&element.method, element.params, &Ask::trusted(&meter));
        answers.add(element.id, result);
    }
    answers.finish()
}

/// Where the requests stand in the bytes of a message.
struct Elements {
    ranges: Vec<Range<usize>>,
    is_batch: bool,
}

/// Takes a message apart without looking into its requests.
fn split(message: &[u8]) -> Result<Elements, RpcError> {
    if message.len() > MAX_REQUEST_BYTES {
        let text = format!("the request has {} bytes, the limit is {MAX_REQUEST_BYTES}", message.len());
        return Err(RpcError::invalid_request(text));
    }
    let not_json = |error: serde_json::Error| RpcError::parse(format!("not valid JSON: {error}"));
    let text =
        str::from_utf8(message).map_err(|error| RpcError::parse(format!("not valid JSON: {error}")))?;
    let place = |element: &RawValue| {
        let start = element.get().as_ptr().addr() - text.as_ptr().addr();
        start..start + element.get().len()
    };
    if !text.trim_ascii_start().starts_with('[') {
        let element: &RawValue = serde_json::from_str(text).map_err(not_json)?;
        return Ok(Elements { ranges: vec![place(element)], is_batch: false });
    }
    let List { elements, count } = serde_json::from_str(text).map_err(not_json)?;
    if count == 0 {
        return Err(RpcError::invalid_request("the batch is empty"));
    }
    if count > MAX_BATCH {
        let text = format!("the batch has {count} requests, the limit is {MAX_BATCH}");
        return Err(RpcError::invalid_request(text));
    }
    Ok(Elements { ranges: elements.into_iter().map(place).collect(), is_batch: true })
}

/// The elements of a JSON list, as many as are allowed, and how many there are.
struct List<'a> {
    elements: Vec<&'a RawValue>,
    count: usize,
}

impl<'de> Deserialize<'de> for List<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<List<'de>, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = List<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of requests")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List<'de>, A::Error> {
                let mut elements = Vec::new();
                while elements.len() < MAX_BATCH {
                    let Some(element) = list.next_element()? else { break };
                    elements.push(element);
                }
                let mut count = elements.len();
                // Counted and not kept: a list of millions of zeros is longer in memory than it was.
                while list.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(List { elements, count })
            }
        }
        deserializer.deserialize_seq(Collect)
    }
}

/// One request.
struct Element<'a> {
    /// `None` for a notification.
    id: Option<&'a RawValue>,
    method: String,
    params: Option<&'a RawValue>,
}

impl<'a> Element<'a> {
    /// Fails with the id to answer under, and what is wrong.
    fn read(bytes: &'a [u8]) -> Result<Element<'a>, (String, RpcError)> {
        #[derive(Deserialize)]
        struct Members<'a> {
            #[serde(borrow, default, deserialize_with = "present")]
            id: Option<&'a RawValue>,
            #[serde(borrow)]
            jsonrpc: Option<&'a RawValue>,
            #[serde(borrow)]
            method: Option<&'a RawValue>,
            #[serde(borrow)]
            params: Option<&'a RawValue>,
        }
        /// A member that is there is told from one that is not, also when it is null.
        fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
            <&RawValue>::deserialize(deserializer).map(Some)
        }
        let refuse = |id: &str, message: &str| Err((id.to_owned(), RpcError::invalid_request(message)));
        if bytes.len() > MAX_ELEMENT_BYTES {
            let message = format!("the request has {} bytes, the limit is {MAX_ELEMENT_BYTES}", bytes.len());
            return refuse("null", &message);
        }
        if !bytes.starts_with(b"{") {
            return refuse("null", "a request is a JSON object");
        }
        let members: Members<'a> = serde_json::from_slice(bytes).map_err(|error| {
            let error = match error.classify() {
                Category::Data => RpcError::invalid_request(format!("not a request: {error}")),
                _ => RpcError::parse(format!("not valid JSON: {error}")),
            };
            ("null".to_owned(), error)
        })?;
        let id = members.id.map(RawValue::get);
        if id.is_some_and(|id| {
            id != "null" && !id.starts_with(['"', '-']) && !id.starts_with(char::is_numeric)
        }) {
            return refuse("null", "the id must be a string, a number or null");
        }
        let shown = id.unwrap_or("null");
        if members.jsonrpc.map(RawValue::get) != Some("\"2.0\"") {
            return refuse(shown, "the member `jsonrpc` must be \"2.0\"");
        }
        let method = members.method.and_then(|method| serde_json::from_str(method.get()).ok());
        let Some(method) = method else {
            return refuse(shown, "the member `method` must be a string");
        };
        Ok(Element { id: members.id, method, params: members.params })
    }
}

/// The answers so far.
struct Answers {
    text: Vec<u8>,
    is_batch: bool,
}

impl Answers {
    fn new(elements: &Elements) -> Answers {
        Answers { text: if elements.is_batch { vec![b'['] } else { Vec::new() }, is_batch: elements.is_batch }
    }

    /// Adds what was found out, unless it was about a notification.
    fn add(&mut self, id: Option<&RawValue>, result: Result<Json, RpcError>) {
        let Some(id) = id.map(RawValue::get) else { return };
        // The first one alone is never too large.
        let fits = |Json(value): &Json| {
            self.text.len() <= 1 || self.text.len().saturating_add(value.len()) <= MAX_ANSWER_BYTES
        };
        let too_large = || RpcError::limit("the answers of the batch are too large; send fewer requests");
        let result = result.and_then(|value| if fits(&value) { Ok(value) } else { Err(too_large()) });
        self.push(answer(id, result));
    }

    fn push(&mut self, answer: Vec<u8>) {
        if !self.is_batch {
            self.text = answer;
            return;
        }
        if self.text.len() > 1 {
            self.text.push(b',');
        }
        self.text.extend(answer);
    }

    fn finish(mut self) -> Vec<u8> {
        if !self.is_batch {
            return self.text;
        }
        if self.text.len() == 1 {
            return Vec::new();
        }
        self.text.push(b']');
        self.text
    }
}

/// Where a step runs, and what it may cost there.
#[cfg(feature = "server")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Between two other things: one entry of the store is looked up.
    Now,
    /// Beside a few others.
    Short,
    /// Beside nothing else that is long.
    Long,
    /// A transaction: it waits for its block, and works only when its turn has come.
    Block,
}

#[cfg(feature = "server")]
impl Lane {
    /// Processor time of one request.
    fn time(self) -> Duration {
        match self {
            Lane::Now | Lane::Short => SHORT_TIME,
            Lane::Long | Lane::Block => LONG_TIME,
        }
    }

    /// Bytes that one execution may hold.
    fn memory(self) -> usize {
        match self {
            Lane::Now | Lane::Short => SHORT_MEMORY,
            Lane::Long | Lane::Block => LONG_MEMORY,
        }
    }

    /// Longest block that may be read.
    pub(super) fn largest_block(self) -> usize {
        match self {
            Lane::Now => SMALL_BLOCK_BYTES,
            Lane::Short => LARGE_BLOCK_BYTES,
            Lane::Long | Lane::Block => usize::MAX,
        }
    }
}

/// Processor time of a request in the lane for short ones. Most take less than a tenth of it.
#[cfg(feature = "server")]
pub(super) const SHORT_TIME: Duration = Duration::from_millis(10).saturating_mul(SLOWNESS);
/// Processor time of a request.
#[cfg(feature = "server")]
const LONG_TIME: Duration = Duration::from_secs(2).saturating_mul(SLOWNESS);
/// Processor time of a batch, transactions apart.
#[cfg(feature = "server")]
const BATCH_TIME: Duration = Duration::from_secs(5).saturating_mul(SLOWNESS);
/// Processor time of one transaction: more than twice what as much gas as a block has takes in a loop.
#[cfg(feature = "server")]
const TRANSACTION_TIME: Duration = Duration::from_millis(150).saturating_mul(SLOWNESS);
/// Bytes that an execution may hold in the lane for short ones.
#[cfg(feature = "server")]
const SHORT_MEMORY: usize = 1024 * 1024;
/// Bytes that an execution may hold.
#[cfg(feature = "server")]
const LONG_MEMORY: usize = 16 * 1024 * 1024;

/// A request or a batch of a client, and how far it is answered.
#[cfg(feature = "server")]
pub(crate) struct Exchange {
    message: Bytes,
    client: Option<IpAddr>,
    /// True when the client is gone.
    forsaken: Arc<AtomicBool>,
    /// `None` until the message was taken apart.
    under_way: Option<(Elements, Answers)>,
    next: usize,
    spent: Duration,
}

/// What comes after a step.
#[cfg(feature = "server")]
pub(crate) enum Step {
    /// The whole answer; empty when there is none, or nobody to read it.
    Done(Vec<u8>),
    /// Another step, in this lane.
    Next(Lane),
}

#[cfg(feature = "server")]
impl Exchange {
    pub(crate) fn new(message: Bytes, client: Option<IpAddr>, forsaken: Arc<AtomicBool>) -> Exchange {
        Exchange { message, client, forsaken, under_way: None, next: 0, spent: Duration::ZERO }
    }

    /// Bytes of the answers so far.
    pub(crate) fn answered(&self) -> usize {
        self.under_way.as_ref().map_or(0, |(_, answers)| answers.text.len())
    }

    /// Goes on until it is done or another lane is needed.
    pub(crate) fn step(&mut self, lane: Lane, dispatch: &mut Dispatch<'_>) -> Step {
        let (elements, mut answers) = match self.under_way.take() {
            Some(under_way) => under_way,
            None => match split(&self.message) {
                Ok(elements) => {
                    let answers = Answers::new(&elements);
                    (elements, answers)
                }
                Err(error) => return Step::Done(refusal(error)),
            },
        };
        match self.go_on(lane, &elements, &mut answers, dispatch) {
            Some(Step::Next(lane)) => {
                self.under_way = Some((elements, answers));
                Step::Next(lane)
            }
            Some(done) => done,
            None => Step::Done(answers.finish()),
        }
    }

    /// `None` when every request has its answer.
    fn go_on(
        &mut self,
        lane: Lane,
        elements: &Elements,
        answers: &mut Answers,
        dispatch: &mut Dispatch<'_>,
    ) -> Option<Step> {
        let allowed = |time, memory| Allowed {
            forsaken: Some(self.forsaken.clone()),
            time: Some(time),
            memory: Some(memory),
        };
        let in_lane = allowed(lane.time(), lane.memory());
        let transaction = allowed(TRANSACTION_TIME, LONG_MEMORY);
        let turn = processor_time();
        while let Some(range) = elements.ranges.get(self.next) {
            if in_lane.is_forsaken() {
                return Some(Step::Done(Vec::new()));
            }
            let element = match Element::read(self.message.get(range.clone()).unwrap_or_default()) {
                Ok(element) => element,
                Err((id, error)) => {
                    answers.push(answer(&id, Err(error)));
                    self.next += 1;
                    continue;
                }
            };
            match (lane == Lane::Block, element.method == "eth_sendRawTransaction") {
                (false, true) => return Some(Step::Next(Lane::Block)),
                (true, false) => return Some(Step::Next(Lane::Short)),
                _ => {}
            }
            let meter = Meter::new(in_lane.clone());
            let result = if self.spent > BATCH_TIME {
                Err(RpcError::limit("the batch has used up its processor time; send the rest of it again"))
            } else {
                let ask = Ask {
                    meter: &meter,
                    transaction: transaction.clone(),
                    largest_block: lane.largest_block(),
                    client: self.client,
                };
                dispatch(&element.method, element.params, &ask)
            };
            if lane != Lane::Block {
                // There the thread may have worked for others.
                self.spent = self.spent.saturating_add(meter.spent());
            }
            match (result.as_ref().err().and_then(|error| error.stop), lane) {
                (Some(Stop::Forsaken), _) => return Some(Step::Done(Vec::new())),
                (Some(_), Lane::Now) => return Some(Step::Next(Lane::Short)),
                (Some(_), Lane::Short) => return Some(Step::Next(Lane::Long)),
                _ => {}
            }
            answers.add(element.id, result);
            self.next += 1;
            let more = self.next < elements.ranges.len();
            if more && (lane == Lane::Long || processor_time().saturating_sub(turn) > SHORT_TIME) {
                // Others had no turn in the meantime.
                return Some(Step::Next(Lane::Short));
            }
        }
        None
    }

    /// Ends it: every request that has no answer gets `error`.
    pub(crate) fn give_up(mut self, error: &RpcError) -> Vec<u8> {
        let Some((elements, mut answers)) = self.under_way.take() else { return refusal(error.clone()) };
        for range in elements.ranges.get(self.next..).unwrap_or_default() {
            match Element::read(self.message.get(range.clone()).unwrap_or_default()) {
                Ok(element) => answers.add(element.id, Err(error.clone())),
                Err((id, error)) => answers.push(answer(&id, Err(error))),
            }
        }
        answers.finish()
    }
}

/// A whole answer under an id, which is JSON.
fn answer(id: &str, result: Result<Json, RpcError>) -> Vec<u8> {
    let (member, value) = match result {
        Ok(Json(value)) => ("result", value),
        // Strings and numbers only: serialization has nothing to fail on.
        Err(error) => ("error", serde_json::to_vec(&error).unwrap_or_default()),
    };
    let mut text = format!(r#"{{"jsonrpc":"2.0","id":{id},"{member}":"#).into_bytes();
    text.reserve_exact(value.len() + 1);
    text.extend(value);
    text.push(b'}');
    text
}

/// A whole answer to a request that was not looked at.
pub(crate) fn refusal(error: RpcError) -> Vec<u8> {
    answer("null", Err(error))
}
