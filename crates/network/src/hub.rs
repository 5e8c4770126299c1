//! A hub: where parties meet that can only go out.
//!
//! It has mailboxes with sealed letters, blobs by their hashes, and passes requests on to the ledger's node. It knows no content
//! and is not believed: it can lose or delay what it holds, and see who asks for how much and when, nothing else. A mailbox is
//! opened by a signature of its key, once an hour; whoever leaves a letter has a mailbox as well, so that quotas hold.
//!
//! Letters that were taken are on the disk. Everything has a limit ([`Limits`]), and what is over it is refused in one sentence.
//!
//! # What is deliberately not there
//!
//! - No accounts and no registration: a mailbox is made by the first letter to it.
//! - No list of mailboxes or blobs, and no way to ask who wrote a letter.
//! - No web pages and no HTTP/2; HTTP/1.1, by itself or behind any proxy.
//! - No clock of a client is looked at.

mod bells;
mod blobs;
mod body;
mod connection;
mod idle;
mod mail;
mod rates;
mod refusal;
mod routes;
mod sessions;
mod tls;

use std::fs::{File, TryLockError};
use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use histone_protocol::seal::OVERHEAD;
use histone_protocol::{Address, B256};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::bells::Bells;
use self::blobs::Blobs;
use self::body::Room;
use self::connection::{Client, Counts};
use self::mail::Mail;
pub use self::mail::MailError;
use self::rates::Rates;
use self::refusal::Refusal;
use self::sessions::Sessions;
use self::tls::Certificates;
pub use self::tls::{Tls, TlsError};
pub use crate::wire::Health;
use crate::{StoreError, create_private_dir, files, io_error};

/// How long open requests may finish after the end was asked for.
const FAREWELL: Duration = Duration::from_secs(5);
/// How often what is too old is looked for.
const SWEEP: Duration = Duration::from_secs(600);
/// How long a blob may be coming without a further piece, in seconds.
const UPLOAD_AGE: u64 = 86_400;
/// Calls on disk that run at the same time; others wait.
const DISK_CALLS: usize = 32;
/// Requests to the ledger that run at the same time, and of those of guests.
const TURNS: (usize, usize) = (16, 4);

/// Tells the time, in seconds since 1970.
pub type Clock = dyn Fn() -> u64 + Send + Sync;
/// Gives 32 bytes that nobody can guess.
pub type Entropy = dyn Fn() -> [u8; 32] + Send + Sync;
/// Answers a JSON-RPC request, or says in one sentence why it cannot.
pub type Rpc = dyn Fn(Vec<u8>) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send>> + Send + Sync;
/// Whether a mailbox is a member's. May block.
pub type Members = dyn Fn(Address) -> bool + Send + Sync;

/// What somebody may do who has a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Asks to become a member, or is one that the hub does not know: small and few.
    Guest,
    /// Takes part.
    Member,
}

/// How a hub serves.
pub struct Options {
    /// Where letters and blobs are; made when it does not exist.
    pub dir: PathBuf,
    /// Tells the time.
    pub clock: Arc<Clock>,
    /// The operating system's randomness.
    pub entropy: Arc<Entropy>,
    /// The way to the ledger.
    pub rpc: Option<Arc<Rpc>>,
    /// Number of the ledger's newest block.
    pub heads: Option<watch::Receiver<u64>>,
    /// Who is a member.
    pub members: Option<Arc<Members>>,
    /// What all others are, which is everybody when `members` is not given.
    pub others: Standing,
    /// Certificates; without them it speaks HTTP, for this machine or behind a proxy that speaks TLS.
    pub tls: Option<Tls>,
    /// Whether a proxy is in front, whose word for the address of a client (`X-Forwarded-For`) is taken.
    pub behind_proxy: bool,
    /// Limits.
    pub limits: Limits,
    /// Hears what its operator should know.
    pub log: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Options {
    /// A hub without a ledger, at which everybody counts as a member.
    pub fn new(dir: impl Into<PathBuf>, clock: Arc<Clock>, entropy: Arc<Entropy>) -> Self {
        Self {
            dir: dir.into(),
            clock,
            entropy,
            rpc: None,
            heads: None,
            members: None,
            others: Standing::Member,
            tls: None,
            behind_proxy: false,
            limits: Limits::default(),
            log: Arc::new(|_| ()),
        }
    }
}

/// Limits of a hub.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Open connections.
    pub connections: usize,
    /// Open connections of one address, unless a proxy is in front.
    pub connections_each: usize,
    /// Requests of one member in a second, on average; twenty times as many at once.
    pub member_calls: f64,
    /// The same of a guest.
    pub guest_calls: f64,
    /// Sessions that one address may open in a minute, on average and at once.
    pub sessions: f64,
    /// Largest letter of a guest, in bytes.
    pub guest_letter: usize,
    /// Letters that one guest may leave in an hour; one address ten times as many, for all guests behind it.
    pub guest_hourly: f64,
    /// Letters of one guest that may wait in one mailbox.
    pub guest_each: u64,
    /// Letters of all guests that may wait in one mailbox.
    pub guest_waiting: u64,
    /// Bytes of letters of one sender that may wait in one mailbox.
    pub pair_bytes: u64,
    /// Bytes of letters of one sender that may wait in all mailboxes.
    pub sender_bytes: u64,
    /// Bytes of letters that may wait in one mailbox.
    pub mailbox_bytes: u64,
    /// How long a letter waits before it is dropped, in seconds.
    pub age: u64,
    /// Bytes of blobs that a member may bring in a day.
    pub member_daily: u64,
    /// The same of a guest.
    pub guest_daily: u64,
    /// Blobs of one member that may be coming at the same time.
    pub uploads: usize,
    /// Bytes on disk, of letters and blobs together.
    pub disk: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Below the 1,024 files that systems allow a process unless told otherwise.
            connections: 800,
            connections_each: 256,
            member_calls: 100.0,
            guest_calls: 10.0,
            sessions: 60.0,
            guest_letter: (64 << 10) + OVERHEAD,
            guest_hourly: 20.0,
            guest_each: 4,
            guest_waiting: 64,
            pair_bytes: 64 << 20,
            sender_bytes: 256 << 20,
            mailbox_bytes: 256 << 20,
            age: 30 * 86_400,
            member_daily: 64 << 30,
            guest_daily: 1 << 20,
            uploads: 8,
            disk: 100 << 30,
        }
    }
}

/// Why a hub cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// Its directory cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its mail cannot be used.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// Its certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Another hub has the directory.
    #[error("another hub serves `{0}`; stop it, or choose another directory")]
    InUse(PathBuf),
    /// The runtime does not take the socket.
    #[error("cannot serve on the socket")]
    Socket(#[source] io::Error),
}

struct AllRates {
    looks: Mutex<Rates<Client>>,
    sessions: Mutex<Rates<Client>>,
    address_letters: Mutex<Rates<Client>>,
    guest_letters: Mutex<Rates<Address>>,
    guest_calls: Mutex<Rates<Address>>,
    member_calls: Mutex<Rates<Address>>,
    guest_bytes: Mutex<Rates<Address>>,
    member_bytes: Mutex<Rates<Address>>,
}

/// What all requests share.
struct Shared {
    options: Options,
    mail: Mail,
    blobs: Blobs,
    sessions: Mutex<Sessions>,
    rates: AllRates,
    bells: Arc<Bells>,
    room: Room,
    disk: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    guest_turns: Arc<Semaphore>,
    certificates: Option<Certificates>,
    ending: watch::Sender<bool>,
    /// Keeps others away from the directory.
    _lock: File,
}

impl Shared {
    fn now(&self) -> u64 {
        (self.options.clock)()
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        // Each change leaves it whole.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rate<K: Eq + std::hash::Hash>(
        rates: &Mutex<Rates<K>>,
        key: K,
        cost: f64,
        now: u64,
    ) -> Result<(), u64> {
        rates.lock().unwrap_or_else(PoisonError::into_inner).take(key, cost, now)
    }

    /// Bytes that letters and blobs may still take.
    fn disk_left(&self) -> u64 {
        self.options.limits.disk.saturating_sub(self.mail.total()).saturating_sub(self.blobs.total())
    }

    /// Runs what blocks, when it is its turn. The work owns its turn: when a client goes away the turn is free when the work has
    /// ended, and not before, so that clients that come and go have no more at work than those that stay.
    async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        // Never closed.
        let turn = self.disk.clone().acquire_owned().await.map_err(|_| Refusal::internal())?;
        let work = tokio::task::spawn_blocking(move || {
            let done = act();
            drop(turn);
            done
        });
        work.await.map_err(|_| Refusal::internal())
    }

    async fn with_mail<T: Send + 'static>(
        self: &Arc<Self>,
        act: impl FnOnce(&Mail) -> Result<T, MailError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let shared = self.clone();
        let done = self.blocking(move || act(&shared.mail)).await?;
        done.map_err(|error| Refusal::of_mail(&error, &*self.options.log))
    }

    async fn standing(self: &Arc<Self>, mailbox: Address) -> Result<Standing, Refusal> {
        let Some(members) = self.options.members.clone() else { return Ok(self.options.others) };
        let member = self.blocking(move || members(mailbox)).await?;
        Ok(if member { Standing::Member } else { self.options.others })
    }

    /// Drops what is too old.
    async fn sweep(self: &Arc<Self>) {
        let now = self.now();
        let letters = now.saturating_sub(self.options.limits.age);
        // A store that fails has been said; it is tried again at the next sweep.
        let _ = self.with_mail(move |mail| mail.prune(letters)).await;
        let shared = self.clone();
        let _ = self.blocking(move || shared.blobs.prune(now.saturating_sub(UPLOAD_AGE))).await;
    }
}

/// A hub whose directory is open.
pub struct Hub {
    shared: Arc<Shared>,
}

impl Hub {
    /// Opens the directory, or makes it.
    pub fn open(options: Options) -> Result<Self, HubError> {
        let dir = &options.dir;
        create_private_dir(dir)?;
        let path = dir.join("hub.lock");
        let lock = files::owner_only().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(io_error("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(HubError::InUse(dir.clone())),
            Err(TryLockError::Error(error)) => return Err(io_error("lock", &path)(error).into()),
        }
        // SQLite gives its other files the same rights.
        let mail = dir.join("mail.sqlite");
        let made = files::owner_only().create(true).truncate(false).write(true).open(&mail);
        made.map_err(io_error("open", &mail))?;
        let mail = Mail::open(&mail, B256::from((options.entropy)()))?;
        let now = (options.clock)();
        let blobs = Blobs::open(&dir.join("blobs"), &dir.join("uploads"), now)?;
        let certificates = options.tls.clone().map(Certificates::load).transpose()?;
        let limits = &options.limits;
        let daily = |bytes: u64| Mutex::new(Rates::new(bytes as f64, bytes as f64 / 86_400.0));
        let calls = |calls: f64| Mutex::new(Rates::new(calls * 20.0, calls));
        let hour = 3600.0;
        let rates = AllRates {
            looks: Mutex::new(Rates::new(100.0, 5.0)),
            sessions: Mutex::new(Rates::new(limits.sessions, limits.sessions / 60.0)),
            address_letters: Mutex::new(Rates::new(
                limits.guest_hourly * 10.0,
                limits.guest_hourly * 10.0 / hour,
            )),
            guest_letters: Mutex::new(Rates::new(limits.guest_hourly, limits.guest_hourly / hour)),
            guest_calls: calls(limits.guest_calls),
            member_calls: calls(limits.member_calls),
            guest_bytes: daily(limits.guest_daily),
            member_bytes: daily(limits.member_daily),
        };
        let shared = Shared {
            sessions: Mutex::new(Sessions::new(mail.identity(), (options.entropy)())),
            mail,
            blobs,
            rates,
            bells: Arc::default(),
            room: Room::new(),
            disk: Arc::new(Semaphore::new(DISK_CALLS)),
            turns: Arc::new(Semaphore::new(TURNS.0)),
            guest_turns: Arc::new(Semaphore::new(TURNS.1)),
            certificates,
            ending: watch::Sender::new(false),
            _lock: lock,
            options,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Drawn when the hub was made, and no key of anything: sessions are signed for it.
    pub fn identity(&self) -> B256 {
        self.shared.mail.identity()
    }

    /// Serves until `stop` is ready, then lets open requests finish for up to five seconds. Needs a tokio runtime with IO and time.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) -> Result<(), HubError> {
        let shared = self.shared;
        listener.set_nonblocking(true).map_err(HubError::Socket)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(HubError::Socket)?;
        let limits = &shared.options.limits;
        let places = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
        let counts = Arc::new(Counts::default());
        let router = routes::router(shared.clone());
        let mut connections = JoinSet::new();
        let sweeping = shared.clone();
        let mut sweep = pin!(async move {
            loop {
                sweeping.sweep().await;
                sleep(SWEEP).await;
            }
        });
        let mut stop = pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                () = &mut sweep => continue,
                accepted = listener.accept() => accepted,
                // Ended connections are forgotten as they end.
                Some(_) = connections.join_next() => continue,
            };
            match accepted {
                Ok((stream, address)) => {
                    let client = Client::of(address.ip());
                    let own = match shared.options.behind_proxy {
                        true => Some(None),
                        false => counts.enter(client, limits.connections_each).map(Some),
                    };
                    match (places.clone().try_acquire_owned(), own) {
                        (Ok(place), Some(own)) => {
                            let (shared, router) = (shared.clone(), router.clone());
                            connections.spawn(connection::connection(
                                shared,
                                router,
                                stream,
                                client,
                                (place, own),
                            ));
                        }
                        _ if shared.certificates.is_none() => connection::turn_away(&stream),
                        _ => {}
                    }
                }
                // The client is gone already, or there are no file handles left: neither gets better by hurry.
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
        drop(listener);
        shared.ending.send_replace(true);
        let farewell = async { while connections.join_next().await.is_some() {} };
        // Whoever does not finish in time is cut off with the set.
        let _ = timeout(FAREWELL, farewell).await;
        connections.shutdown().await;
        Ok(())
    }
}

/// Opens a hub and serves it; see [`Hub`].
pub async fn serve(
    listener: TcpListener,
    options: Options,
    stop: impl Future<Output = ()>,
) -> Result<(), HubError> {
    Hub::open(options)?.serve(listener, stop).await
}
