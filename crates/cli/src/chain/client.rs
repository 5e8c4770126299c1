//! The few requests that this program sends to a server: JSON-RPC over plain HTTP.
//!
//! No HTTP library: a server on this machine or in a closed network is asked a few questions, one after another.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

/// How long a server may take for each step of an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Most bytes of an answer: as many as our own server sends for a batch, and some.
const MAX_ANSWER: u64 = 80 * 1024 * 1024;

/// A server by its address.
pub struct Client {
    authority: String,
}

impl Client {
    /// `None` when `url` does not begin with `http://`.
    pub fn new(url: &str) -> Option<Client> {
        let authority = url.strip_prefix("http://")?.trim_end_matches('/');
        Some(Client { authority: authority.to_owned() })
    }

    /// The result of one method.
    pub fn ask(&self, method: &str, params: &Value) -> Result<Value> {
        result(self.post(&request(0, method, params))?)
    }

    /// The results of one method for several parameters, in their order: of the first one at least, of fewer than were asked
    /// for when they are too long for one answer.
    pub fn ask_all(&self, method: &str, params: &[Value]) -> Result<Vec<Value>> {
        let batch: Vec<_> =
            params.iter().enumerate().map(|(id, params)| request(id, method, params)).collect();
        let Value::Array(mut answers) = self.post(&Value::Array(batch))? else {
            bail!("the answer to a batch is no list");
        };
        // A server may answer in any order.
        answers.sort_by_key(|answer| answer.get("id").and_then(Value::as_u64));
        if answers.len() != params.len() {
            bail!("the server answered {} of {} requests", answers.len(), params.len());
        }
        let mut results = Vec::new();
        for answer in answers {
            match result(answer) {
                Ok(result) => results.push(result),
                // What came before it is there; that it does not fit alone will be said when it is the first.
                Err(_) if !results.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(results)
    }

    /// HTTP/1.0 asks for a plain body and a closed connection.
    fn post(&self, body: &Value) -> Result<Value> {
        let address = self
            .authority
            .to_socket_addrs()
            .context("the address has the form http://HOST:PORT")?
            .next()
            .context("the host has no address")?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).context("nothing answers there")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let body = body.to_string();
        let head = format!(
            "POST / HTTP/1.0\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.authority,
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).context("the server does not read")?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer).context("the answer ended early")?;
        read_answer(&answer)
    }
}

fn request(id: usize, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn read_answer(answer: &[u8]) -> Result<Value> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").context("the answer is not HTTP")?;
    let (head, body) = answer.split_at(end);
    let body = body.get(4..).unwrap_or_default();
    let head = String::from_utf8_lossy(head);
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status != "200" {
        let said: String = String::from_utf8_lossy(body).trim().chars().take(200).collect();
        bail!("the server refused with status {status}: {said}");
    }
    serde_json::from_slice(body).context("the answer is not JSON")
}

fn result(mut answer: Value) -> Result<Value> {
    if let Some(message) = answer.pointer("/error/message") {
        bail!("the server refused: {message}");
    }
    answer.get_mut("result").map(Value::take).context("the answer has no result")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn answers_of_servers() {
        let good =
            b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x1\"}";
        assert_eq!(result(read_answer(good).unwrap()).unwrap(), json!("0x1"));
        for (bad, why) in [
            ("", "not HTTP"),
            ("SSH-2.0-x\r\n", "not HTTP"),
            ("HTTP/1.1 403 Forbidden\r\n\r\nno\n", "status 403: no"),
            ("HTTP/1.1 200 OK\r\n\r\n<html>", "not JSON"),
            ("HTTP/1.1 200 OK\r\n\r\n{}", "no result"),
            ("HTTP/1.1 200 OK\r\n\r\n{\"error\":{\"message\":\"late\"}}", "late"),
        ] {
            let error = read_answer(bad.as_bytes()).and_then(result).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
