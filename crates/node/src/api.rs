//! The local API of a node: what its commands, and pages on its machine, ask it.
//!
//! One HTTP server on a thread of its own, beside the daemon. Both share the node's memory ([`crate::store`]) and nothing else: a person's
//! answer and wish are rows there, and the daemon is woken to look at them. The API listens on this machine only; whoever asks has a
//! token from the node's home ([`door`]) and says the node's own name ([`guard`]). What there is stands in [`document()`].
//!
//! What is deliberately not there:
//!
//! - No keys and nothing that needs one: the daemon acts, the API keeps what it is to do.
//! - No web pages, no cookies, no headers for pages of other origins.
//! - No TLS: nothing leaves the machine.

mod document;
mod door;
mod events;
mod guard;
mod metrics;
mod refusal;
mod routes;
pub mod wire;

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use histone_chain::Clock;
use histone_network::StoreError;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::Service as _;

pub use self::document::document;
use self::door::Tokens;
pub use self::door::{Door, NoDoor};
pub use self::guard::Access;
use self::guard::Guard;
use self::refusal::Refusal;
pub use self::routes::{MAX_DECISION, MAX_WISH, Route, routes};
use crate::party::{Entropy, PartyError};
use crate::service::Waker;
use crate::store::{Store, StoreFault};

/// Open connections; more wait.
const CONNECTIONS: usize = 64;
/// Programs that follow events.
const STREAMS: usize = 16;
/// How long a client may take for the head of its next request, idle time included.
const HEAD_PATIENCE: Duration = Duration::from_secs(60);
/// How long open requests may finish after the end was asked for.
const FAREWELL: Duration = Duration::from_secs(2);

/// What is served and where.
pub struct ApiOptions {
    /// Where it listens: an address of this machine; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The node's memory. A store in a file is opened again, so that the API and the daemon do not wait for each other.
    pub store: Store,
    /// Wakes the daemon when a person has written.
    pub waker: Waker,
    /// The home, where programs find the API.
    pub home: PathBuf,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Where tokens come from.
    pub entropy: Entropy,
}

/// Why there is no API.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// Others could reach it.
    #[error(
        "`{0}` is not an address of this machine only; set `api` in `node.toml` to 127.0.0.1 and a port, or to port 0 for any"
    )]
    NotLocal(SocketAddr),
    /// It cannot listen there.
    #[error("cannot listen on {address}; set `api` in `node.toml` to another port, or to port 0 for any")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The system gives no thread.
    #[error("cannot start the local API")]
    Start(#[source] io::Error),
    /// No random numbers.
    #[error(transparent)]
    Party(#[from] PartyError),
    /// The home cannot be written.
    #[error(transparent)]
    Files(#[from] StoreError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// What all requests share.
struct Shared {
    store: Store,
    waker: Waker,
    home: PathBuf,
    clock: Arc<dyn Clock>,
    guard: Guard,
    streams: Arc<Semaphore>,
    /// Says that the API has written.
    written: watch::Sender<()>,
    ending: watch::Receiver<bool>,
}

impl Shared {
    fn now(&self) -> u64 {
        self.clock.now()
    }

    /// Asks the store on a thread that may wait for it.
    async fn with_store<T: Send + 'static, E: Into<Refusal> + Send + 'static>(
        &self,
        act: impl FnOnce(&Store) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Refusal> {
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || act(&store)).await;
        done.map_err(|_| Refusal::lost())?.map_err(Into::into)
    }

    /// A person has written: the daemon looks, and so do those that follow.
    fn wrote(&self) {
        self.waker.wake();
        self.written.send_replace(());
    }
}

/// An API that is served until this is dropped; its files go from the home then.
#[must_use = "the API ends when this is dropped"]
pub struct Api {
    address: SocketAddr,
    home: PathBuf,
    ending: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Api {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        // What cannot be removed is not believed any more when the home is free.
        let _ = door::close(&self.home);
        self.ending.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic of a request ends that request alone, and there is nothing else.
            let _ = thread.join();
        }
    }
}

/// Serves the API of the node that holds a home. When this returns, programs find it there.
pub fn serve(options: ApiOptions) -> Result<Api, ApiError> {
    let ApiOptions { listen, store, waker, home, clock, entropy } = options;
    if !listen.ip().is_loopback() {
        return Err(ApiError::NotLocal(listen));
    }
    let refused = |source| ApiError::Listen { address: listen, source };
    let listener = TcpListener::bind(listen).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let store = if store.path().is_file() { Store::open(store.path())? } else { store };
    let tokens = Tokens::draw(entropy)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .map_err(ApiError::Start)?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener).map_err(refused)?
    };
    door::open(&home, address, &tokens)?;
    let (ending, ended) = watch::channel(false);
    let shared = Arc::new(Shared {
        store,
        waker,
        home: home.clone(),
        clock,
        guard: Guard::new(address, tokens),
        streams: Arc::new(Semaphore::new(STREAMS)),
        written: watch::Sender::new(()),
        ending: ended,
    });
    let serving = thread::Builder::new().name("api".into()).spawn(move || {
        runtime.block_on(accept(&listener, shared));
        // A call of the store that still runs must not hold the node up.
        runtime.shutdown_timeout(FAREWELL);
    });
    let mut api = Api { address, home, ending, thread: None };
    api.thread = Some(serving.map_err(ApiError::Start)?);
    Ok(api)
}

async fn accept(listener: &tokio::net::TcpListener, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let ending = &shared.ending;
    let router = routes::router(shared.clone());
    let mut connections = JoinSet::new();
    loop {
        // The place first: who finds none waits in the system's queue. The semaphore is never closed.
        let place = tokio::select! {
            () = ended(ending.clone()) => break,
            place = places.clone().acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = ended(ending.clone()) => break,
            accepted = listener.accept() => accepted,
        };
        // Ended connections are forgotten when others come.
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let (router, ending) = (router.clone(), ending.clone());
                connections.spawn(async move {
                    connection(stream, router, ending).await;
                    drop(place);
                });
            }
            // The client is gone already, or there are no file handles left: neither gets better by hurry.
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
    let farewell = async { while connections.join_next().await.is_some() {} };
    // Who does not finish in time is cut off with the set.
    let _ = timeout(FAREWELL, farewell).await;
    connections.shutdown().await;
}

/// Ready when the API ends.
async fn ended(mut ending: watch::Receiver<bool>) {
    // The sender is gone only when the API is: the same answer.
    let _ = ending.wait_for(|ending| *ending).await;
}

async fn connection(stream: TcpStream, router: Router, ending: watch::Receiver<bool>) {
    // Answers are small and awaited; errors show at the next write.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut router = router.clone();
        async move {
            match router.call(request).await {
                Ok(response) => Ok::<_, Infallible>(response),
                Err(never) => match never {},
            }
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // A failed connection is the client's affair.
        _ = connection.as_mut() => {}
        () = ended(ending) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
