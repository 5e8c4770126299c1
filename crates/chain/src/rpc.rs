//! Ethereum JSON-RPC 2.0 without a transport: requests as bytes in, answers as bytes out.
//!
//! This file knows JSON-RPC; `rpc/eth.rs` knows the methods, `rpc/shapes.rs` how blocks and receipts look in JSON,
//! `rpc/filters.rs` the polling filters, `rpc/subscriptions.rs` what a connection is told without asking.

mod eth;
mod filters;
mod shapes;
#[cfg(feature = "server")]
mod subscriptions;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

pub(crate) use self::filters::Filters;
#[cfg(feature = "server")]
pub(crate) use self::subscriptions::Subscriptions;
use crate::{Chain, ChainError};

/// Most bytes of one request, a batch included: 4 MiB.
pub const MAX_REQUEST_BYTES: usize = 4 * 1024 * 1024;
/// Most requests in one batch.
pub const MAX_BATCH: usize = 1000;
/// Most events in one answer.
pub const MAX_LOGS: usize = 10_000;
/// Most bytes of the answers of one batch; requests after that are refused.
const MAX_RESPONSE_BYTES: usize = 64 * 1024 * 1024;

/// A JSON-RPC error object.
#[derive(Clone, Debug, PartialEq, Serialize, thiserror::Error)]
#[error("{message} (JSON-RPC error {code})")]
pub struct RpcError {
    /// Standard codes -32700 to -32600; -32000 for a refusal by the chain; -32005 for a limit; 3 for a revert.
    pub code: i64,
    /// What is wrong, in words.
    pub message: String,
    /// The revert data as a hex string when `code` is 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl RpcError {
    fn new(code: i64, message: impl Into<String>) -> RpcError {
        RpcError { code, message: message.into(), data: None }
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
            ChainError::ReadOnly => RpcError::refused(error.to_string()),
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

/// Positional parameters of one request.
struct Params(Vec<Value>);

impl Params {
    /// Accepts a list or nothing; trailing `null`s count as absent.
    fn new(params: Value, most: usize) -> Result<Params, RpcError> {
        let mut list = match params {
            Value::Null => Vec::new(),
            Value::Array(list) => list,
            _ => return Err(RpcError::invalid_params("the parameters must be a list")),
        };
        while list.last().is_some_and(Value::is_null) {
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
        match self.0.get(index) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => T::deserialize(value).map(Some).map_err(|error| {
                RpcError::invalid_params(format!(
                    "parameter {} ({name}) is not valid: {error}",
                    index.saturating_add(1)
                ))
            }),
        }
    }
}

#[derive(Serialize)]
struct Response<'a> {
    jsonrpc: &'static str,
    id: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<RpcError>,
}

/// Runs a method by its name and parameters.
pub(crate) type Dispatch<'a> = dyn FnMut(&str, Value) -> Result<Value, RpcError> + 'a;

impl Chain {
    /// Answers one JSON-RPC 2.0 request or batch. The answer is empty when nothing is to be answered, that is for
    /// notifications. It never fails: what is wrong is said in the answer.
    #[must_use]
    pub fn handle(&self, request: &[u8]) -> Vec<u8> {
        self.handle_with(request, &mut |method, params| self.dispatch(method, params))
    }

    /// The same with methods of the caller's own, for connections that add some.
    pub(crate) fn handle_with(&self, request: &[u8], dispatch: &mut Dispatch<'_>) -> Vec<u8> {
        if request.len() > MAX_REQUEST_BYTES {
            let message =
                format!("the request has {} bytes, the limit is {MAX_REQUEST_BYTES}", request.len());
            return answer(&Value::Null, Err(RpcError::invalid_request(message)));
        }
        match request.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'[') => handle_batch(request, dispatch),
            _ => match serde_json::from_slice(request) {
                Ok(request) => handle_one(request, dispatch).unwrap_or_default(),
                Err(error) => answer(&Value::Null, Err(RpcError::parse(format!("not valid JSON: {error}")))),
            },
        }
    }

    /// Runs one JSON-RPC method with positional `params` (a list, or null for none).
    ///
    /// # Errors
    /// The error object that a client would see.
    pub fn request(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        self.dispatch(method, params)
    }
}

fn handle_batch(request: &[u8], dispatch: &mut Dispatch<'_>) -> Vec<u8> {
    let refuse = |error| answer(&Value::Null, Err(error));
    // Kept as text until it is their turn: a request of many small values would otherwise grow in memory.
    let batch: Vec<&RawValue> = match serde_json::from_slice(request) {
        Ok(batch) => batch,
        Err(error) => return refuse(RpcError::parse(format!("not valid JSON: {error}"))),
    };
    if batch.is_empty() {
        return refuse(RpcError::invalid_request("the batch is empty"));
    }
    if batch.len() > MAX_BATCH {
        let message = format!("the batch has {} requests, the limit is {MAX_BATCH}", batch.len());
        return refuse(RpcError::invalid_request(message));
    }
    let mut answers = vec![b'['];
    for request in batch {
        let request: Value = match serde_json::from_str(request.get()) {
            Ok(request) => request,
            Err(error) => return refuse(RpcError::parse(format!("not valid JSON: {error}"))),
        };
        let one = if answers.len() < MAX_RESPONSE_BYTES {
            handle_one(request, dispatch)
        } else {
            let id = request.get("id").cloned().unwrap_or_default();
            Some(answer(
                &id,
                Err(RpcError::limit("the answers of the batch are too large; send fewer requests")),
            ))
        };
        let Some(one) = one else { continue };
        if answers.len() > 1 {
            answers.push(b',');
        }
        answers.extend(one);
    }
    if answers.len() == 1 {
        return Vec::new();
    }
    answers.push(b']');
    answers
}

/// `None` for a notification.
fn handle_one(mut request: Value, dispatch: &mut Dispatch<'_>) -> Option<Vec<u8>> {
    let refuse = |id: &Value, message: &str| Some(answer(id, Err(RpcError::invalid_request(message))));
    let Some(request) = request.as_object_mut() else {
        return refuse(&Value::Null, "a request is a JSON object");
    };
    let id = request.remove("id");
    if !matches!(id, None | Some(Value::Null | Value::String(_) | Value::Number(_))) {
        return refuse(&Value::Null, "the id must be a string, a number or null");
    }
    let shown = id.clone().unwrap_or_default();
    if request.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return refuse(&shown, "the member `jsonrpc` must be \"2.0\"");
    }
    let Some(Value::String(method)) = request.remove("method") else {
        return refuse(&shown, "the member `method` must be a string");
    };
    let params = request.remove("params").unwrap_or_default();
    let result = dispatch(&method, params);
    id.map(|id| answer(&id, result))
}

fn answer(id: &Value, result: Result<Value, RpcError>) -> Vec<u8> {
    let (result, error) = match result {
        Ok(result) => (Some(result), None),
        Err(error) => (None, Some(error)),
    };
    let response = Response { jsonrpc: "2.0", id, result, error };
    // Maps with string keys and finite numbers only: serialization has nothing to fail on.
    serde_json::to_vec(&response).unwrap_or_default()
}

/// A whole answer to a request that was not looked at.
#[cfg(feature = "server")]
pub(crate) fn refusal(error: RpcError) -> Vec<u8> {
    answer(&Value::Null, Err(error))
}
