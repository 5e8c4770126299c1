//! A served chain, and clients of a few lines that can also misbehave.

#![allow(dead_code)] // Two test programs use this file, each of them another part of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use histone_chain::Chain;
use histone_chain::server::{Options, ServerError, listen, serve};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use crate::support::fresh;

/// Nothing here takes longer unless it is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server in a thread of its own; it ends with this value.
pub struct Served {
    pub chain: Chain,
    pub address: SocketAddr,
    pub dir: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), ServerError>>>,
}

pub fn served(options: Options) -> Served {
    let (chain, dir) = fresh();
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let shared = chain.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(serve(shared, listener, options, async {
            let _ = stopped.await;
        }))
    });
    Served { chain, address, dir, stop: Some(stop), thread: Some(thread) }
}

impl Served {
    /// Ends the server as a signal would and waits for it.
    pub fn stop(&mut self) -> Result<(), ServerError> {
        drop(self.stop.take());
        self.thread.take().map_or(Ok(()), |thread| thread.join().unwrap())
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends bytes as they are and reads one answer.
    pub fn raw(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request.as_ref()).unwrap();
        read_answer(&mut stream)
    }

    pub fn post(&self, body: impl AsRef<[u8]>) -> Answer {
        self.raw(post(body))
    }

    /// Calls a method over HTTP; the whole JSON-RPC answer.
    #[track_caller]
    pub fn call(&self, method: &str, params: Value) -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        let answer = self.post(request.to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        assert_eq!((&answer["id"], &answer["jsonrpc"]), (&json!(7), &json!("2.0")));
        answer
    }

    pub fn websocket(&self) -> Socket {
        let url = format!("ws://{}/", self.address);
        Socket(client(url, self.connect()).unwrap().0)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// A request with the headers of a well-behaved client.
pub fn post(body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut request = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend(body);
    request
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// In lower case, one line each.
    pub headers: String,
    pub body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Reads one answer with a `content-length`, or none.
pub fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let headers = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let mut answer =
        Answer { status: headers.split(' ').nth(1).unwrap().parse().unwrap(), headers, body: Vec::new() };
    let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
    answer.body.resize(length, 0);
    stream.read_exact(&mut answer.body).unwrap();
    answer
}

/// A WebSocket client.
pub struct Socket(WebSocket<TcpStream>);

impl Socket {
    pub fn send(&mut self, text: impl Into<String>) {
        self.0.send(Message::text(text.into())).unwrap();
    }

    /// Sends what the server may refuse to read.
    pub fn try_send(&mut self, text: impl Into<String>) {
        let _ = self.0.send(Message::text(text.into()));
    }

    /// The next message that is JSON; `None` when the server closed the connection.
    pub fn next(&mut self) -> Option<Value> {
        loop {
            match self.0.read() {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(_)) => return None,
                Ok(_) => {}
                Err(error) => {
                    let timeout = matches!(&error, tokio_tungstenite::tungstenite::Error::Io(error)
                        if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut));
                    assert!(!timeout, "no message came");
                    return None;
                }
            }
        }
    }

    /// Calls a method; the result, or the error object.
    #[track_caller]
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.send(json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string());
        let mut answer = self.next().unwrap();
        assert_eq!(answer["id"], 1, "{answer}");
        let member = if answer.get("error").is_some() { "error" } else { "result" };
        answer[member].take()
    }

    /// The next message, which must be a notification for `subscription`.
    #[track_caller]
    pub fn notified(&mut self, subscription: &Value) -> Value {
        let mut message = self.next().unwrap();
        assert_eq!(message["method"], "eth_subscription", "{message}");
        assert_eq!(&message["params"]["subscription"], subscription);
        message["params"]["result"].take()
    }
}
