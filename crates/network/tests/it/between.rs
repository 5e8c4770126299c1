//! What lies between a site and a hub: proxies, bad lines, and pages of the network.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

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

/// How a slow line is.
#[derive(Debug, Clone, Copy)]
pub struct Slow {
    /// Bytes a second, in each direction and for all connections together.
    pub rate: u32,
    /// To the other end and back.
    pub round_trip: Duration,
    /// Of so many packets one is lost: it comes a round trip later, and all that come after it on its connection.
    pub loses_one_of: usize,
    /// Of so many requests one is cut in the middle, with its connection.
    pub cuts_one_of: usize,
}

/// What happened on a slow line.
#[derive(Debug, Default)]
pub struct Happened {
    pub bytes: AtomicUsize,
    pub packets: AtomicUsize,
    pub requests: AtomicUsize,
    pub cuts: AtomicUsize,
}

/// A slow and bad line to a server. What it loses and cuts follows from what goes over it.
pub struct SlowLine {
    pub address: SocketAddr,
    pub happened: Arc<Happened>,
}

/// What a packet of a slow line carries, without headers.
const PACKET: usize = 1_400;
/// Packets that are under way in one direction of a connection.
const WINDOW: usize = 128;

impl SlowLine {
    pub fn to(server: SocketAddr, slow: Slow) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let happened = Arc::<Happened>::default();
        let all = happened.clone();
        std::thread::spawn(move || {
            // When each direction has room for the next packet.
            let free = [(); 2].map(|()| Arc::new(Mutex::new(Instant::now())));
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(server).unwrap());
                let answered = Arc::new(AtomicBool::new(true));
                for (place, free) in free.iter().enumerate() {
                    let mut ends = [client.try_clone().unwrap(), server.try_clone().unwrap()];
                    ends.rotate_left(place);
                    let (free, all, answered) = (free.clone(), all.clone(), answered.clone());
                    let is_up = place == 0;
                    std::thread::spawn(move || carry(ends, slow, is_up, &free, &all, &answered));
                }
            }
        });
        Self { address, happened }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Carries one direction of a connection.
fn carry(
    [mut source, mut sink]: [TcpStream; 2],
    slow: Slow,
    is_up: bool,
    free: &Mutex<Instant>,
    all: &Happened,
    answered: &AtomicBool,
) {
    let (send, packets) = std::sync::mpsc::sync_channel::<(Instant, Vec<u8>)>(WINDOW);
    let [source_end, sink_end] = [source.try_clone().unwrap(), sink.try_clone().unwrap()];
    std::thread::spawn(move || {
        for (at, packet) in packets {
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            if sink.write_all(&packet).is_err() {
                break;
            }
        }
        let _ = sink.shutdown(Shutdown::Both);
        let _ = source_end.shutdown(Shutdown::Both);
    });
    // Bytes that still pass, where the connection is to be cut.
    let (mut left, mut late) = (None::<usize>, Instant::now());
    let mut buffer = [0; PACKET];
    while let Ok(n @ 1..) = source.read(&mut buffer) {
        all.bytes.fetch_add(n, Ordering::Relaxed);
        let packets = all.packets.fetch_add(1, Ordering::Relaxed) + 1;
        if is_up && answered.swap(false, Ordering::Relaxed) {
            let requests = all.requests.fetch_add(1, Ordering::Relaxed) + 1;
            if requests.is_multiple_of(slow.cuts_one_of) {
                left = Some(requests / slow.cuts_one_of * 40_000 % 100_000 + 50);
            }
        } else if !is_up {
            answered.store(true, Ordering::Relaxed);
        }
        // Where there is less in the request it is cut after it, before the answer.
        if let Some(bytes) = &mut left {
            if *bytes < n || n < PACKET {
                all.cuts.fetch_add(1, Ordering::Relaxed);
                break;
            }
            *bytes -= n;
        }
        let mut free = free.lock().unwrap();
        let leaves = (*free).max(Instant::now());
        *free = leaves + Duration::from_secs(1) * n as u32 / slow.rate;
        let mut comes = *free + slow.round_trip / 2;
        drop(free);
        if packets.is_multiple_of(slow.loses_one_of) {
            comes += slow.round_trip;
        }
        // In order on one connection.
        late = late.max(comes);
        if send.send((late, buffer[..n].to_vec())).is_err() {
            break;
        }
    }
    if left.is_some() {
        let _ = source.shutdown(Shutdown::Both);
        let _ = sink_end.shutdown(Shutdown::Both);
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
