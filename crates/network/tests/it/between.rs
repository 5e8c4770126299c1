//! What lies between a site and a hub: proxies, bad lines, and pages of the network.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A line to a server that breaks off.
pub struct Line {
    pub address: SocketAddr,
    /// How many connections were made.
    pub made: Arc<AtomicUsize>,
}

impl Line {
    /// Connections to `server`. The first ones break off after so many bytes to the server, and so many from it; later ones do not.
    pub fn breaks(server: SocketAddr, after: Vec<(usize, usize)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let n = count.fetch_add(1, Ordering::SeqCst);
                let (to, from) = after.get(n).copied().unwrap_or((usize::MAX, usize::MAX));
                join(client.unwrap(), TcpStream::connect(server).unwrap(), to, from);
            }
        });
        Self { address, made }
    }

    /// Connections that are cut when the server is silent for so long.
    pub fn silent(server: SocketAddr, patience: std::time::Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                let server = TcpStream::connect(server).unwrap();
                server.set_read_timeout(Some(patience)).unwrap();
                join(client.unwrap(), server, usize::MAX, usize::MAX);
            }
        });
        Self { address, made }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Passes bytes on in both directions until as many went, and then breaks off.
fn join(client: TcpStream, server: TcpStream, to: usize, from: usize) {
    for (mut source, mut sink, mut left) in
        [(client.try_clone().unwrap(), server.try_clone().unwrap(), to), (server, client, from)]
    {
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while left > 0 {
                let most = left.min(buffer.len());
                let Ok(n) = source.read(&mut buffer[..most]) else { break };
                if n == 0 || sink.write_all(&buffer[..n]).is_err() {
                    break;
                }
                left -= n;
            }
            let _ = source.shutdown(Shutdown::Both);
            let _ = sink.shutdown(Shutdown::Both);
        });
    }
}

/// A proxy that knows CONNECT; it wants a login where one is given. Every host is this machine to it.
pub struct Connect {
    pub address: SocketAddr,
    /// The hosts that it was asked for.
    pub asked: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Connect {
    pub fn start(login: Option<&'static str>, allows: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                let head = head(&mut client);
                let host = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
                log.lock().unwrap().push(host.clone());
                let answer = match login {
                    Some(login) if !head.contains(login) => "407 Proxy Authentication Required",
                    _ if !allows || !head.starts_with("CONNECT ") => "403 Forbidden",
                    _ => "200 Connection established",
                };
                write!(client, "HTTP/1.1 {answer}\r\n\r\n").unwrap();
                if answer.starts_with("200") {
                    let port = host.rsplit(':').next().unwrap();
                    let server = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
                    join(client, server, usize::MAX, usize::MAX);
                }
            }
        });
        Self { address, asked }
    }
}

/// Something that answers every request alike.
pub fn always(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            head(&mut client);
            let _ = client.write_all(answer.as_bytes());
            let _ = client.shutdown(Shutdown::Write);
            let _ = client.read_to_end(&mut Vec::new());
        }
    });
    address
}

fn head(client: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|n| n == 1) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}
