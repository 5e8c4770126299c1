//! `eth_subscribe`: what one connection is told without asking.
//!
//! A subscription is the number of the next block to report. Blocks are read from the store when they are reported, and told
//! in pieces, so a slow client costs little memory and misses nothing.

use std::collections::BTreeMap;

use alloy_primitives::U128;
use alloy_rpc_types_eth::Filter;
use serde_json::value::RawValue;

use super::exchange::{Lane, SHORT_TIME};
use super::logs::{check_terms, terms};
use super::{Ask, Json, Params, RpcError, json, shapes};
use crate::work::processor_time;
use crate::{Chain, ChainError};

/// Most subscriptions of one connection.
const MAX_SUBSCRIPTIONS: usize = 100;
/// Most addresses and topics of all of them together.
const MAX_TERMS: usize = 1000;
/// About how many bytes are told at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// The subscriptions of one connection; they end with it.
#[derive(Default)]
pub(crate) struct Subscriptions {
    last: u128,
    open: BTreeMap<u128, Subscription>,
    /// First block that has not been reported.
    next: u64,
    /// Where in it to go on: a subscription, and how many of its events were told.
    within: (u128, usize),
}

/// What a connection is to be told now.
pub(crate) enum Due {
    /// Nothing until there is another block.
    Nothing,
    /// These, and perhaps more.
    Messages(Vec<Vec<u8>>),
    /// Something that takes the lane for what is long.
    Longer,
}

struct Subscription {
    /// First block that it is about: the first one made after it was asked for.
    from: u64,
    topic: Topic,
}

enum Topic {
    Heads,
    Logs(Box<Filter>),
}

impl Subscriptions {
    /// Runs a method: `eth_subscribe` and `eth_unsubscribe` here, every other one on the chain.
    pub(crate) fn dispatch(
        &mut self,
        chain: &Chain,
        method: &str,
        params: Option<&RawValue>,
        ask: &Ask<'_>,
    ) -> Result<Json, RpcError> {
        match method {
            "eth_subscribe" => self.subscribe(chain, &Params::new(params, 2)?),
            "eth_unsubscribe" => {
                let id: U128 = Params::new(params, 1)?.required(0, "subscription")?;
                match self.open.remove(&id.to()) {
                    Some(_) => json(true),
                    None => Err(RpcError::refused(format!("subscription not found: {id:#x}"))),
                }
            }
            _ => chain.dispatch(method, params, ask),
        }
    }

    fn subscribe(&mut self, chain: &Chain, params: &Params<'_>) -> Result<Json, RpcError> {
        let kind: String = params.required(0, "kind")?;
        let topic = match kind.as_str() {
            "newHeads" => Topic::Heads,
            "logs" => Topic::Logs(params.optional(1, "filter")?.unwrap_or_default()),
            _ => {
                return Err(RpcError::invalid_params(
                    "the kinds of subscription are \"newHeads\" and \"logs\"",
                ));
            }
        };
        if self.open.len() >= MAX_SUBSCRIPTIONS {
            return Err(RpcError::limit(format!(
                "a connection has at most {MAX_SUBSCRIPTIONS} subscriptions; end one or open another connection"
            )));
        }
        if let Topic::Logs(filter) = &topic {
            let open = self.open.values().map(|subscription| match &subscription.topic {
                Topic::Logs(filter) => terms(filter),
                Topic::Heads => 0,
            });
            check_terms(filter, MAX_TERMS.saturating_sub(open.sum()))?;
        }
        let from = chain.view()?.head_number()?.saturating_add(1);
        if self.open.is_empty() {
            self.next = from;
            self.within = (0, 0);
        }
        self.last = self.last.saturating_add(1);
        self.open.insert(self.last, Subscription { from, topic });
        json(U128::from(self.last))
    }

    /// The next notifications, each a whole JSON-RPC message: some of those about one block.
    pub(crate) fn due(&mut self, chain: &Chain, lane: Lane) -> Result<Due, ChainError> {
        if self.open.is_empty() {
            return Ok(Due::Nothing);
        }
        let view = chain.view()?;
        if self.next > view.head_number()? {
            return Ok(Due::Nothing);
        }
        let Some(header) = view.header(self.next)? else { return Ok(Due::Nothing) };
        // Whoever asks for heads only does not wait for what somebody else put into a block.
        let wants = |subscription: &Subscription| match &subscription.topic {
            Topic::Heads => false,
            Topic::Logs(filter) => subscription.from <= self.next && filter.matches_bloom(header.logs_bloom),
        };
        let record = if self.open.values().any(wants) {
            if view.stored_bytes(self.next)? > lane.largest_block() {
                return Ok(Due::Longer);
            }
            view.block(self.next)?
        } else {
            None
        };
        let begin = processor_time();
        let mut messages = Vec::new();
        let mut bytes = 0;
        let (first, mut skip) = std::mem::take(&mut self.within);
        for (&id, subscription) in self.open.range(first..) {
            if id != first {
                skip = 0;
            }
            if processor_time().saturating_sub(begin) > SHORT_TIME {
                self.within = (id, skip);
                return Ok(Due::Messages(messages));
            }
            if subscription.from > self.next {
                continue;
            }
            let results = match &subscription.topic {
                Topic::Heads => vec![shapes::head(header.clone())],
                Topic::Logs(filter) if !filter.matches_bloom(header.logs_bloom) => Vec::new(),
                Topic::Logs(filter) => {
                    let logs = record.as_ref().map_or_else(Vec::new, |record| shapes::logs(record, filter));
                    let mut told = Vec::new();
                    for (at, log) in logs.into_iter().enumerate().skip(skip) {
                        if bytes > CHUNK_BYTES {
                            self.within = (id, at);
                            break;
                        }
                        let result = json(log);
                        bytes += result.as_ref().map_or(0, |Json(text)| text.len());
                        told.push(result);
                    }
                    told
                }
            };
            for result in results {
                let Json(result) =
                    result.map_err(|error| ChainError::corrupt(format!("block {}", self.next), error))?;
                let mut message = format!(
                    r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{{"subscription":"{id:#x}","result":"#
                )
                .into_bytes();
                message.extend(result);
                message.extend(b"}}");
                messages.push(message);
            }
            if self.within != (0, 0) {
                return Ok(Due::Messages(messages));
            }
        }
        self.next = self.next.saturating_add(1);
        Ok(Due::Messages(messages))
    }
}
