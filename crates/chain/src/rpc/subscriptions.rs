//! `eth_subscribe`: what one connection is told without asking.
//!
//! A subscription is the number of the next block to report. Blocks are read from the store when they are reported, so
//! a slow client costs no memory and misses nothing.

use std::collections::BTreeMap;

use alloy_primitives::U128;
use alloy_rpc_types_eth::Filter;
use serde_json::{Value, json as literal};

use super::shapes::{self, json};
use super::{Params, RpcError};
use crate::{Chain, ChainError};

/// Most subscriptions of one connection.
const MAX_SUBSCRIPTIONS: usize = 100;

/// The subscriptions of one connection; they end with it.
#[derive(Default)]
pub(crate) struct Subscriptions {
    last: u128,
    open: BTreeMap<u128, Subscription>,
    /// First block that has not been reported.
    next: u64,
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
    pub(crate) fn dispatch(&mut self, chain: &Chain, method: &str, params: Value) -> Result<Value, RpcError> {
        match method {
            "eth_subscribe" => self.subscribe(chain, &Params::new(params, 2)?),
            "eth_unsubscribe" => {
                let id: U128 = Params::new(params, 1)?.required(0, "subscription")?;
                match self.open.remove(&id.to()) {
                    Some(_) => Ok(Value::Bool(true)),
                    None => Err(RpcError::refused(format!("subscription not found: {id:#x}"))),
                }
            }
            _ => chain.request(method, params),
        }
    }

    fn subscribe(&mut self, chain: &Chain, params: &Params) -> Result<Value, RpcError> {
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
        let from = chain.view()?.head_number()?.saturating_add(1);
        if self.open.is_empty() {
            self.next = from;
        }
        self.last = self.last.saturating_add(1);
        self.open.insert(self.last, Subscription { from, topic });
        json(U128::from(self.last))
    }

    /// The notifications for the next block that has not been reported, each a whole JSON-RPC message; `None` when all
    /// have been.
    pub(crate) fn next_block(&mut self, chain: &Chain) -> Result<Option<Vec<String>>, ChainError> {
        if self.open.is_empty() {
            return Ok(None);
        }
        let view = chain.view()?;
        let Some(record) = view.block(self.next)? else { return Ok(None) };
        let mut messages = Vec::new();
        let due = self.open.iter().filter(|(_, subscription)| subscription.from <= self.next);
        for (id, subscription) in due {
            let results = match &subscription.topic {
                Topic::Heads => vec![shapes::head(record.header.clone())],
                Topic::Logs(filter) if !filter.matches_bloom(record.header.logs_bloom) => Vec::new(),
                Topic::Logs(filter) => shapes::logs(&record, filter).into_iter().map(json).collect(),
            };
            for result in results {
                let result =
                    result.map_err(|error| ChainError::corrupt(format!("block {}", self.next), error))?;
                let params = literal!({ "subscription": U128::from(*id), "result": result });
                let message = literal!({ "jsonrpc": "2.0", "method": "eth_subscription", "params": params });
                messages.push(message.to_string());
            }
        }
        self.next = self.next.saturating_add(1);
        Ok(Some(messages))
    }
}
