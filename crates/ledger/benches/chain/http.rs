//! The smallest JSON-RPC client over HTTP that keeps its connection: what is measured is the node, not the client.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A receipt that is not there is asked for again at once, then after this pause, then after twice as long, and so on.
const FIRST_PAUSE: Duration = Duration::from_micros(250);
const LONGEST_PAUSE: Duration = Duration::from_millis(8);

/// One connection to a node.
pub struct Client {
    stream: TcpStream,
    address: String,
    buffer: Vec<u8>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl Client {
    /// Connects to `address`, host and port.
    pub fn connect(address: &str) -> Result<Client> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Client { stream, address: address.to_owned(), buffer: Vec::new() })
    }

    /// Calls a method with one string as its parameter. Gives the result as JSON text.
    pub fn call(&mut self, method: &str, parameter: &str) -> Result<String> {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":["{parameter}"]}}"#);
        let request = format!(
            "POST / HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.stream.write_all(request.as_bytes())?;
        let body = self.answer()?;
        let answer: Answer = serde_json::from_slice(body)?;
        if let Some(error) = answer.error {
            bail!("`{method}` failed: {error}");
        }
        Ok(answer.result.map_or("null", RawValue::get).to_owned())
    }

    /// The body of the next answer. Both kinds of node give its length.
    fn answer(&mut self) -> Result<&[u8]> {
        self.buffer.clear();
        let mut chunk = [0; 16 * 1024];
        let mut end = None;
        loop {
            let read = self.stream.read(&mut chunk)?;
            if read == 0 {
                bail!("the node closed the connection");
            }
            self.buffer.extend_from_slice(chunk.get(..read).unwrap_or_default());
            if end.is_none()
                && let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n")
            {
                let head = String::from_utf8_lossy(self.buffer.get(..at).unwrap_or_default()).to_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
                let length: usize = length.context("an answer without its length")?.trim().parse()?;
                end = Some((at + 4, at + 4 + length));
            }
            if let Some((start, end)) = end
                && self.buffer.len() >= end
            {
                return self.buffer.get(start..end).context("an answer is cut off");
            }
        }
    }

    /// Sends a signed transaction and waits until it has a receipt. Gives how often the receipt was not there yet.
    pub fn mine(&mut self, raw: &str) -> Result<u32> {
        let hash = self.call("eth_sendRawTransaction", raw)?;
        let hash = hash.trim_matches('"').to_owned();
        let mut again = 0;
        let mut pause = FIRST_PAUSE;
        loop {
            let receipt = self.call("eth_getTransactionReceipt", &hash)?;
            if receipt == "null" {
                // Asking without a pause would take the processor from the node.
                if again > 0 {
                    thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                again += 1;
                continue;
            }
            if !receipt.contains(r#""status":"0x1""#) {
                bail!("the transaction failed: {receipt}");
            }
            return Ok(again);
        }
    }
}
