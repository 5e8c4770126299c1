//! Ethereum JSON-RPC 2.0 without a transport: requests as bytes in, answers as bytes out.
//!
//! This file knows the methods' surroundings: errors, parameters and limits. `rpc/exchange.rs` knows JSON-RPC itself and
//! takes a batch apart; `rpc/eth.rs` knows the methods, `rpc/logs.rs` how events are looked for, `rpc/shapes.rs` how blocks
//! and receipts look in JSON, `rpc/filters.rs` the polling filters, `rpc/subscriptions.rs` what a connection is told without
//! asking.

mod eth;
mod exchange;
mod filters;
mod logs;
mod shapes;
#[cfg(feature = "server")]
mod subscriptions;

use std::io;
use std::net::IpAddr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

#[cfg(feature = "server")]
pub(crate) use self::exchange::refusal;
#[cfg(feature = "server")]
pub(crate) use self::exchange::{Exchange, Lane, Step};
pub(crate) use self::filters::Filters;
#[cfg(feature = "server")]
pub(crate) use self::subscriptions::{Due, Subscriptions};
use crate::store::View;
use crate::work::{Allowed, Meter, Stop};
use crate::{BlockRecord, Chain, ChainError};

/// Most bytes of one request, a batch included: 4 MiB.
pub const MAX_REQUEST_BYTES: usize = 4 * 1024 * 1024;
/// Most bytes of one request in a batch, or of one that comes alone. The largest transaction fits into it.
pub const MAX_ELEMENT_BYTES: usize = 640 * 1024;
/// Most requests in one batch.
pub const MAX_BATCH: usize = 1000;
/// Most events in one answer.
pub const MAX_LOGS: usize = 10_000;
/// Most bytes of one answer, that to a batch included: 12 MiB. Whatever a block holds fits into it.
pub const MAX_ANSWER_BYTES: usize = 12 * 1024 * 1024;
/// Most bytes of a message in an error; a client can send megabytes that are then quoted.
const MAX_MESSAGE_BYTES: usize = 1024;
/// A block that is longer than this in the store is read by one at a time.
#[cfg(feature = "server")]
const LARGE_BLOCK_BYTES: usize = 128 * 1024;
/// A block that is longer than this in the store is not read between two other things.
#[cfg(feature = "server")]
const SMALL_BLOCK_BYTES: usize = 16 * 1024;

/// A JSON-RPC error object.
#[derive(Clone, Debug, PartialEq, Serialize, thiserror::Error)]
#[error("{message} (JSON-RPC error {code})")]
pub struct RpcError {
    /// Standard codes -32700 to -32600; -32000 for a refusal by the chain; -32005 for a limit; 3 for a revert.
    pub code: i64,
    /// What is wrong, in words.
    pub message: String,
    /// The revert data as a hex string when `code` is 3; a range of blocks or a time when it is -32005 and one helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// Why the work was stopped, when it was: where there is more time it may be done again.
    #[serde(skip)]
    stop: Option<Stop>,
}

impl RpcError {
    fn new(code: i64, message: impl Into<String>) -> RpcError {
        let mut message = message.into();
        if message.len() > MAX_MESSAGE_BYTES {
            message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
            message.push('…');
        }
        RpcError { code, message, data: None, stop: None }
    }

    fn parse(message: impl Into<String>) -> RpcError {
        RpcError::new(-32700, message)
    }

    pub(crate) fn invalid_request(message: impl Into<String>) -> RpcError {
        RpcError::new(-32600, message)
    }

    fn invalid_params(message: impl Into<String>) -> RpcError {
        RpcError::new(-32602, message)
    }

    fn refused(message: impl Into<String>) -> RpcError {
        RpcError::new(-32000, message)
    }

    fn limit(message: impl Into<String>) -> RpcError {
        RpcError::new(-32005, message)
    }

    /// Too much at the moment.
    pub(crate) fn busy(message: &str, seconds: u64) -> RpcError {
        let data = Some(serde_json::json!({ "retryAfter": seconds }));
        RpcError { data, ..RpcError::limit(format!("{message}; try again in {seconds} s")) }
    }

    fn internal(error: impl ToString) -> RpcError {
        RpcError::new(-32603, error.to_string())
    }
}

impl From<ChainError> for RpcError {
    fn from(error: ChainError) -> RpcError {
        match error {
            // One transaction was sent: its position says nothing to the client.
            ChainError::TransactionRefused { reason, .. } => RpcError::refused(reason),
            ChainError::TransactionMalformed { reason, .. } => {
                RpcError::refused(format!("the transaction is not acceptable: {reason}"))
            }
            ChainError::ReadOnly | ChainError::AheadOfClock { .. } => RpcError::refused(error.to_string()),
            ChainError::TooMuch { what, seconds } => RpcError::busy(&what, seconds),
            ChainError::Stopped(stop) => {
                RpcError { stop: Some(stop), ..RpcError::limit(format!("stopped: {stop}")) }
            }
            // With its causes: "cannot write" without "no space left on device" helps nobody.
            other => {
                let mut text = other.to_string();
                let mut source = std::error::Error::source(&other);
                while let Some(cause) = source {
                    text = format!("{text}: {cause}");
                    source = cause.source();
                }
                RpcError::internal(text)
            }
        }
    }
}

/// What is known of a request besides its method and parameters.
pub(crate) struct Ask<'a> {
    pub(crate) meter: &'a Meter,
    /// What an execution that is put off until others can wait for it may use.
    pub(crate) transaction: Allowed,
    /// Longest block, as it lies in the store, that may be read now.
    pub(crate) largest_block: usize,
    /// From where it came; `None` inside the process.
    pub(crate) client: Option<IpAddr>,
}

impl<'a> Ask<'a> {
    /// Fails when block `number` is too long to be read now.
    fn may_read(&self, view: &View, number: u64) -> Result<(), RpcError> {
        if self.largest_block < usize::MAX && view.stored_bytes(number)? > self.largest_block {
            return Err(ChainError::Stopped(Stop::Time).into());
        }
        Ok(())
    }

    /// Whether what is stopped here may be done again where there is more time.
    fn may_have_more_elsewhere(&self) -> bool {
        self.largest_block < usize::MAX
    }

    /// Block `number`, if it exists.
    fn block(&self, view: &View, number: u64) -> Result<Option<BlockRecord>, RpcError> {
        self.may_read(view, number)?;
        Ok(view.block(number)?)
    }

    /// From inside the process, without limits.
    fn trusted(meter: &'a Meter) -> Ask<'a> {
        Ask { meter, transaction: Allowed::default(), largest_block: usize::MAX, client: None }
    }
}

/// The text of a JSON value.
#[derive(Debug)]
pub(crate) struct Json(Vec<u8>);

/// Collects what is written, up to a limit.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len().saturating_add(bytes.len()) > MAX_ANSWER_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn json(value: impl Serialize) -> Result<Json, RpcError> {
    let mut text = Bounded(Vec::new());
    serde_json::to_writer(&mut text, &value).map_err(|error| {
        if error.is_io() {
            RpcError::limit(format!("the answer has more than {MAX_ANSWER_BYTES} bytes; ask for less"))
        } else {
            RpcError::internal(error)
        }
    })?;
    Ok(Json(text.0))
}

/// Positional parameters of one request, as text.
struct Params<'a>(Vec<&'a RawValue>);

impl<'a> Params<'a> {
    /// Accepts a list or nothing; trailing `null`s count as absent.
    fn new(params: Option<&'a RawValue>, most: usize) -> Result<Params<'a>, RpcError> {
        let mut list: Vec<&RawValue> = match params.map(RawValue::get) {
            None | Some("null") => Vec::new(),
            Some(text) => serde_json::from_str(text)
                .map_err(|_| RpcError::invalid_params("the parameters must be a list"))?,
        };
        while list.last().is_some_and(|value| value.get() == "null") {
            list.pop();
        }
        if list.len() > most {
            return Err(RpcError::invalid_params(format!(
                "the method takes at most {most} parameters, not {}",
                list.len()
            )));
        }
        Ok(Params(list))
    }

    fn required<T: DeserializeOwned>(&self, index: usize, name: &str) -> Result<T, RpcError> {
        self.optional(index, name)?.ok_or_else(|| {
            RpcError::invalid_params(format!("parameter {} ({name}) is missing", index.saturating_add(1)))
        })
    }

    fn optional<T: DeserializeOwned>(&self, index: usize, name: &str) -> Result<Option<T>, RpcError> {
        match self.0.get(index).map(|value| value.get()) {
            None | Some("null") => Ok(None),
            Some(value) => serde_json::from_str(value).map(Some).map_err(|error| {
                RpcError::invalid_params(format!(
                    "parameter {} ({name}) is not valid: {error}",
                    index.saturating_add(1)
                ))
            }),
        }
    }
}

impl Chain {
    /// Answers one JSON-RPC 2.0 request or batch. The answer is empty when nothing is to be answered, that is for
    /// notifications. It never fails: what is wrong is said in the answer. Nothing but the size of the answer is limited:
    /// whoever passes on requests of strangers uses the feature `server`.
    #[must_use]
    pub fn handle(&self, request: &[u8]) -> Vec<u8> {
        exchange::handle(request, &mut |method, params, ask| self.dispatch(method, params, ask))
    }

    /// Runs one JSON-RPC method with positional `params` (a list, or null for none).
    ///
    /// # Errors
    /// The error object that a client would see.
    pub fn request(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        let params = serde_json::value::to_raw_value(&params).map_err(RpcError::internal)?;
        let meter = Meter::unlimited();
        let answer = self.dispatch(method, Some(&params), &Ask::trusted(&meter))?;
        serde_json::from_slice(&answer.0).map_err(RpcError::internal)
    }
}
