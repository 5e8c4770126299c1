//! The chain over HTTP and WebSocket, for clients in other processes.
//!
//! JSON-RPC requests are posted to `/`; a WebSocket on the same address carries the same requests and
//! `eth_subscribe` besides. There is no encryption and no login: listen on this machine only, or put a proxy in front
//! that has both.
//!
//! ```no_run
//! # async fn example(chain: histone_chain::Chain) -> Result<(), histone_chain::server::ServerError> {
//! use histone_chain::server::{Options, listen, serve};
//!
//! let listener = listen("127.0.0.1:8545".parse().expect("an address"))?;
//! serve(chain, listener, Options::default(), std::future::pending()).await
//! # }
//! ```
//!
//! # What is deliberately not there
//!
//! - No HTTP/2, no compression, no TLS, no file serving: one method on one path.
//! - No accounts on the server: it signs blocks, never transactions.
//! - No work on the event loop: every request runs on a blocking thread, and only so many at once. Looking up one small
//!   entry is not work: it takes less time than handing it over.
//! - No allocator. That of glibc keeps a heap for each of up to eight threads a processor; with `MALLOC_ARENA_MAX=2` in its
//!   environment, as `histone chain serve` sees to, a server under attack takes half the memory.
//! - No work for nobody: when a client goes away, what was done for it stops.

mod http;
mod idle;
mod lanes;
mod origin;
mod socket;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use self::lanes::Lanes;
use self::origin::Allowed;
use crate::chain::Watcher;
use crate::{Chain, ChainError, FreeGas};

/// How long a client may take to send the head of its next request, idle time included.
const HEAD_PATIENCE: Duration = Duration::from_secs(60);
/// How long a client may take to send the body of a request.
const BODY_PATIENCE: Duration = Duration::from_secs(15);
/// How long a client may go without reading anything of an answer.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// How long open connections may finish after the end was asked for.
const FAREWELL: Duration = Duration::from_secs(5);

/// How to serve. `Options::default()` is right for clients on the same machine.
#[derive(Clone, Debug)]
pub struct Options {
    /// Host names besides `localhost` and IP addresses by which clients may call this server; `*` allows all. A web
    /// page that points its own name here (DNS rebinding) is refused by this.
    pub hosts: Vec<String>,
    /// Origins of web pages, such as `https://example.org`, that may use this server besides those from this machine;
    /// `*` allows all.
    pub origins: Vec<String>,
    /// Most open connections, WebSockets included. More get status 503.
    pub connections: NonZeroUsize,
    /// Most short requests that run at the same time; others wait. Of long ones a fourth as many run, at least one.
    pub requests: NonZeroUsize,
    /// How much gas accounts may use for nothing; `None` leaves it as [`Chain::limit_free_gas`] had it.
    pub free_gas: Option<FreeGas>,
    /// Collect transactions and make a block of them this often. `None` makes a block of each transaction at once.
    pub block_time: Option<Duration>,
}

const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

impl Default for Options {
    fn default() -> Options {
        Options {
            hosts: Vec::new(),
            origins: Vec::new(),
            connections: NonZeroUsize::MIN.saturating_add(255),
            // One for each processor; more would only take time from each other, and from the blocks.
            requests: thread::available_parallelism().map_or(TWO, |processors| processors.max(TWO)),
            free_gas: Some(FreeGas::default()),
            block_time: None,
        }
    }
}

/// Why the chain cannot be served, or no longer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address is taken.
    #[error("another program listens on {0}; stop it or choose another port")]
    InUse(SocketAddr),
    /// The operating system forbids the address.
    #[error("listening on {0} is not permitted; choose a port above 1023")]
    NotPermitted(SocketAddr),
    /// The address is not one of this machine, or the network failed.
    #[error("cannot listen on {address}; choose an address of this machine")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The runtime does not take the socket.
    #[error("cannot serve on the socket")]
    Socket(#[source] io::Error),
    /// A block could not be made of the queued transactions.
    #[error("the queued transactions cannot be made into a block; the server stops")]
    Seal(#[source] ChainError),
}

/// Opens a port to serve on; port 0 takes a free one, which `local_addr` of the listener tells.
///
/// # Errors
/// [`ServerError::InUse`], [`ServerError::NotPermitted`] and [`ServerError::Listen`].
pub fn listen(address: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ServerError::InUse(address),
        io::ErrorKind::PermissionDenied => ServerError::NotPermitted(address),
        _ => ServerError::Listen { address, source },
    })
}

/// What all connections share.
struct Shared {
    chain: Chain,
    allowed: Allowed,
    lanes: Lanes,
    /// Number of the newest block.
    heads: watch::Receiver<u64>,
    /// True when the server ends.
    ending: watch::Receiver<bool>,
}

/// Ready when the server ends.
async fn ended(ending: &mut watch::Receiver<bool>) {
    // The sender is gone only when the server is: the same answer.
    let _ = ending.wait_for(|ending| *ending).await;
}

/// Serves `chain` on `listener` until `stop` is ready, then lets open requests finish for up to five seconds. Queued
/// transactions are made into a last block. Needs a tokio runtime with its IO and time drivers on.
///
/// # Errors
/// [`ServerError::Socket`] at the start, [`ServerError::Seal`] when the store fails under queued transactions. A failed
/// connection is not an error.
pub async fn serve(
    chain: Chain,
    listener: TcpListener,
    options: Options,
    stop: impl Future<Output = ()>,
) -> Result<(), ServerError> {
    listener.set_nonblocking(true).map_err(ServerError::Socket)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(ServerError::Socket)?;
    let (head, heads) = watch::channel(0);
    let watcher: Arc<Watcher> = Arc::new(move |number| {
        head.send_replace(number);
    });
    chain.watch(&watcher);
    let (end, ending) = watch::channel(false);
    let shared = Arc::new(Shared {
        chain: chain.clone(),
        allowed: Allowed::new(&options.hosts, &options.origins),
        lanes: Lanes::new(options.requests.get()),
        heads,
        ending,
    });
    if let Some(rules) = options.free_gas {
        chain.limit_free_gas(Some(rules));
    }
    if options.block_time.is_some() {
        chain.queue_transactions();
    }
    let places = Arc::new(Semaphore::new(options.connections.get().min(Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    let mut sealing = pin!(seal_regularly(&chain, options.block_time));
    let outcome = loop {
        let accepted = tokio::select! {
            () = &mut stop => break Ok(()),
            error = &mut sealing => break Err(error),
            accepted = listener.accept() => accepted,
            // Ended connections are forgotten as they end.
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, client)) => match places.clone().try_acquire_owned() {
                Ok(place) => {
                    connections.spawn(http::connection(shared.clone(), stream, client.ip(), place));
                }
                Err(_) => http::turn_away(&stream),
            },
            // The client is gone already, or there are no file handles left: neither gets better by hurry.
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    };
    drop(listener);
    end.send_replace(true);
    let farewell = async { while connections.join_next().await.is_some() {} };
    // Whoever does not finish in time is cut off with the set.
    let _ = timeout(FAREWELL, farewell).await;
    connections.shutdown().await;
    drop(watcher);
    outcome?;
    seal(&chain).await
}

/// Never returns unless a block cannot be made.
async fn seal_regularly(chain: &Chain, block_time: Option<Duration>) -> ServerError {
    let Some(period) = block_time.filter(|period| !period.is_zero()) else {
        return std::future::pending().await;
    };
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = seal(chain).await {
            return error;
        }
    }
}

async fn seal(chain: &Chain) -> Result<(), ServerError> {
    let chain = chain.clone();
    match tokio::task::spawn_blocking(move || chain.seal()).await {
        Ok(sealed) => sealed.map(|_| ()).map_err(ServerError::Seal),
        // The runtime is ending; what was not sealed was not promised to anyone.
        Err(_) => Ok(()),
    }
}
