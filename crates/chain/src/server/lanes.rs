//! What runs at the same time, and what is held in memory: budgets of the whole server.
//!
//! The work owns its place. When the client goes away the place becomes free when the work has noticed, and not before, so
//! clients that come and go have no more at work than those that stay.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Bytes;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::Shared;
use crate::rpc::{Ask, Due, Exchange, Json, Lane, RpcError, Step, Subscriptions};
use crate::{Chain, ChainError, MAX_ANSWER_BYTES};

/// How long a request waits for its turn.
const LANE_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a request that need no place: any transaction that one contract's code fits into.
pub(super) const SMALL_BODY: usize = 128 * 1024;
/// Bytes of all longer requests.
const ALL_BODIES: usize = 16 * 1024 * 1024;
/// Bytes of an answer that need no place.
const SMALL_ANSWER: usize = 64 * 1024;
/// Bytes of all longer answers that are being read.
const ALL_ANSWERS: usize = 24 * 1024 * 1024;
/// What a permit of bytes stands for.
const UNIT: usize = 1024;

/// Places for work and for bytes.
pub(super) struct Lanes {
    short: Arc<Semaphore>,
    long: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
    answers: Arc<Semaphore>,
}

impl Lanes {
    pub(super) fn new(requests: usize) -> Lanes {
        let places = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Lanes {
            short: places(requests),
            long: places(requests / 4 + usize::from(requests < 4)),
            bodies: places(ALL_BODIES / UNIT),
            answers: places(ALL_ANSWERS / UNIT),
        }
    }

    /// A place for so many bytes of a request; waits for it.
    pub(super) async fn body(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.bodies.clone().acquire_many_owned(units(bytes)).await.ok()
    }

    /// `answer`, with a place that it keeps until it was read; `None` when there is none.
    fn hold(&self, answer: Vec<u8>, reserved: Option<OwnedSemaphorePermit>) -> Option<Bytes> {
        if answer.len() <= SMALL_ANSWER {
            return Some(answer.into());
        }
        let place = match reserved {
            Some(place) => place,
            None => self.reserve(answer.len())?,
        };
        Some(Bytes::from_owner(Held { answer, _place: place }))
    }

    /// A place for an answer of so many bytes; `None` when there is none.
    fn reserve(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.answers.clone().try_acquire_many_owned(units(bytes)).ok()
    }

    /// A place to work. A transaction needs none: it waits for its block, and the block is made by one.
    async fn place(&self, lane: Lane) -> Result<Option<OwnedSemaphorePermit>, RpcError> {
        let lane = match lane {
            Lane::Now | Lane::Block => return Ok(None),
            Lane::Short => &self.short,
            Lane::Long => &self.long,
        };
        match timeout(LANE_PATIENCE, lane.clone().acquire_owned()).await {
            Ok(place) => Ok(place.ok()),
            Err(_) => Err(RpcError::busy("more is asked than can be answered", 5)),
        }
    }
}

fn units(bytes: usize) -> u32 {
    bytes.div_ceil(UNIT).try_into().unwrap_or(u32::MAX)
}

/// An answer and its place, until the last byte was written.
struct Held {
    answer: Vec<u8>,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

/// Lives as long as somebody waits.
#[derive(Default)]
struct Waits(Arc<AtomicBool>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The subscriptions of a connection, which its requests and its notifications use in turn.
pub(super) type Own = Arc<Mutex<Subscriptions>>;

fn dispatch(
    chain: &Chain,
    own: Option<&Own>,
    method: &str,
    params: Option<&RawValue>,
    ask: &Ask<'_>,
) -> Result<Json, RpcError> {
    match own {
        Some(own) => own.lock().unwrap_or_else(PoisonError::into_inner).dispatch(chain, method, params, ask),
        None => chain.dispatch(method, params, ask),
    }
}

impl Shared {
    /// Answers a message. Work on it ends when the returned future is dropped. `None` when it panicked or the server ends.
    pub(super) async fn answer(
        self: &Arc<Self>,
        message: Bytes,
        client: IpAddr,
        own: Option<Own>,
    ) -> Option<Bytes> {
        let waits = Waits::default();
        let mut lane = first_lane(&message);
        let mut exchange = Exchange::new(message.clone(), Some(client), waits.0.clone());
        // A place for a batch that has to wait with a long answer in hand.
        let mut reserved = None;
        let answer = loop {
            if exchange.answered() > SMALL_ANSWER && reserved.is_none() {
                reserved = self.lanes.reserve(MAX_ANSWER_BYTES);
                if reserved.is_none() {
                    break None;
                }
            }
            if lane == Lane::Now {
                let mut run = |method: &str, params: Option<&RawValue>, ask: &Ask<'_>| {
                    dispatch(&self.chain, own.as_ref(), method, params, ask)
                };
                match exchange.step(lane, &mut run) {
                    Step::Done(answer) => break Some(answer),
                    Step::Next(next) => lane = next,
                }
                continue;
            }
            let place = match self.lanes.place(lane).await {
                Ok(place) => place,
                Err(busy) => break Some(exchange.give_up(&busy)),
            };
            let (chain, own) = (self.chain.clone(), own.clone());
            let (back, step) = tokio::task::spawn_blocking(move || {
                let mut run = |method: &str, params: Option<&RawValue>, ask: &Ask<'_>| {
                    dispatch(&chain, own.as_ref(), method, params, ask)
                };
                let step = exchange.step(lane, &mut run);
                drop(place);
                (exchange, step)
            })
            .await
            .ok()?;
            exchange = back;
            match step {
                Step::Done(answer) => break Some(answer),
                Step::Next(next) => lane = next,
            }
        };
        if let Some(held) = answer.and_then(|answer| self.lanes.hold(answer, reserved)) {
            return Some(held);
        }
        let busy = RpcError::busy("too many large answers are being read", 5);
        Some(Exchange::new(message, Some(client), waits.0.clone()).give_up(&busy).into())
    }

    /// The next notifications of a connection.
    pub(super) async fn due(self: &Arc<Self>, own: &Own) -> Result<Due, ChainError> {
        let mut lane = Lane::Short;
        loop {
            // Notifications wait as long as it takes.
            let Ok(place) = self.lanes.place(lane).await else { continue };
            let (chain, own) = (self.chain.clone(), own.clone());
            let due = tokio::task::spawn_blocking(move || {
                let due = own.lock().unwrap_or_else(PoisonError::into_inner).due(&chain, lane);
                drop(place);
                due
            })
            .await;
            match due {
                Ok(Ok(Due::Longer)) if lane == Lane::Short => lane = Lane::Long,
                Ok(due) => return due,
                Err(_) => return Ok(Due::Nothing),
            }
        }
    }
}

/// Where a message begins: a request for one entry of the store, or for what is in memory, is answered at once, since handing
/// it to another thread and waking up again would take longer. Strict: whatever is not plainly one of these is taken for
/// work. So is whatever speaks of pending transactions, which wait for the block that is being made.
fn first_lane(message: &[u8]) -> Lane {
    const LARGEST: usize = 512;
    const PENDING: &[u8] = b"pending";
    const TRANSACTION: &[u8] = b"\"eth_sendRawTransaction\"";
    #[derive(serde::Deserialize)]
    struct Named<'a> {
        /// Borrowed, so a name with escapes is none; and a second member of this name is an error.
        method: &'a str,
    }
    let has = |word: &[u8]| {
        let ends = [message.get(..128).unwrap_or(message), message.rchunks(128).next().unwrap_or_default()];
        ends.iter().any(|end| end.windows(word.len()).any(|window| window == word))
    };
    let is_lookup = message.len() <= LARGEST
        && !message.windows(PENDING.len()).any(|word| word == PENDING)
        // A letter may be written as an escape.
        && !message.contains(&b'\\')
        && serde_json::from_slice(message).is_ok_and(|Named { method }| {
            matches!(
                method,
                "eth_blockNumber"
                    | "eth_chainId"
                    | "eth_gasPrice"
                    | "eth_getBalance"
                    | "eth_getTransactionCount"
                    | "eth_getTransactionReceipt"
                    | "eth_maxPriorityFeePerGas"
                    | "net_version"
            )
        });
    if is_lookup {
        Lane::Now
    } else if message.trim_ascii_start().starts_with(b"{") && has(TRANSACTION) {
        // A guess that saves a step. A wrong one is put right by the step.
        Lane::Block
    } else {
        Lane::Short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_lookups_are_lookups() {
        let check = |body: &str, expected| assert_eq!(first_lane(body.as_bytes()), expected, "{body}");
        let lookup = r#"{"jsonrpc":"2.0","id":1,"method":"eth_getTransactionReceipt","params":["0x12"]}"#;
        check(lookup, Lane::Now);
        check(r#" {"method": "eth_chainId"}"#, Lane::Now);
        check(r#"{"method":"eth_call","id":"eth_chainId"}"#, Lane::Short);
        check(r#"{"method":"eth_getTransactionCount","params":["0x12","latest"]}"#, Lane::Now);
        check(r#"{"method":"eth_getTransactionCount","params":["0x12","pending"]}"#, Lane::Short);
        check(r#"{"method":"eth_getTransactionCount","params":["0x12","p\u0065nding"]}"#, Lane::Short);
        check(r#"{"method":"eth_chainId","method":"eth_call"}"#, Lane::Short);
        check(r#"{"method":"eth_call","method":"eth_chainId"}"#, Lane::Short);
        check(r#"{"method":"eth_chain\u0049d"}"#, Lane::Short);
        check(r#"[{"method":"eth_chainId"}]"#, Lane::Short);
        check(r#"{"method":7}"#, Lane::Short);
        check(r#"{"method":"eth_chainId""#, Lane::Short);
        check("", Lane::Short);
        check(&format!(r#"{{"method":"eth_chainId","id":"{}"}}"#, "x".repeat(600)), Lane::Short);
        check(r#"{"method":"eth_sendRawTransaction","params":["0x12"]}"#, Lane::Block);
        check(
            &format!(r#"{{"params":["{}"],"method":"eth_sendRawTransaction"}}"#, "0".repeat(600)),
            Lane::Block,
        );
        check(r#"[{"method":"eth_sendRawTransaction"}]"#, Lane::Short);
    }

    #[test]
    fn an_answer_keeps_its_place_until_it_was_read() {
        let lanes = Lanes::new(1);
        let large = || vec![0; ALL_ANSWERS / 2];
        let (first, second) = (lanes.hold(large(), None), lanes.hold(large(), None));
        assert!(first.is_some() && second.is_some());
        let part = first.as_ref().map(|answer| answer.slice(7..9));
        assert!(lanes.hold(large(), None).is_none());
        assert!(lanes.hold(vec![0; SMALL_ANSWER], None).is_some());
        drop(first);
        assert!(lanes.hold(large(), None).is_none(), "a part of it is still being written");
        drop(part);
        assert!(lanes.hold(large(), None).is_some());
        drop(second);
    }
}
