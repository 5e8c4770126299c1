//! A hub from outside: the blocking client of one mailbox.
//!
//! It only goes out: one HTTPS connection or a few, through a proxy where one is needed. A call takes as long as its patience
//! allows and then fails with a sentence; whether to ask again is for the caller. Sessions are renewed when the hub no longer knows
//! them. Blobs move in pieces and go on where they stopped, within a call and in the next one.

mod faults;
mod http;
mod issuer;
mod tls;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use histone_protocol::hash::blob_hash;
use histone_protocol::keys::SigningKey;
use histone_protocol::letter::MAX_LETTER;
use histone_protocol::{Address, B256};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::{Method, header};

use self::faults::plain;
use self::http::{Answer, Ask, Server, Way};
pub use crate::wire::Health;
use crate::wire::{
    Answered, Challenge, DISCARDED, Have, Knock, LONGEST_WAIT, MARK, Opened, PIECE, Refused, Woke,
    session_digest, unframe,
};
use crate::{MAX_BLOB, Network, NetworkError, StoreError, Woken};

/// How long a request may take unless the user says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Interruptions of one blob without a byte of progress, after which the call fails.
const STUMBLES: u32 = 3;
/// Smallest and largest piece that is asked for; in between by how fast they come.
const PIECES: (u64, u64) = (128 << 10, 8 << 20);
/// A piece that comes faster may be followed by a larger one.
const FAST: Duration = Duration::from_millis(500);
/// A wait that breaks off after so long was cut by something in between that does not like silence.
const SILENCE: Duration = Duration::from_secs(2);
/// Largest answer of the ledger that is read.
const LEDGER_ANSWER: u64 = 64 << 20;

const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";

/// How to reach a hub.
pub struct HubOptions {
    /// Its address, such as `https://hub.example.org`.
    pub url: String,
    /// A file with certificate authorities that are trusted besides the system's.
    pub ca: Option<PathBuf>,
    /// A proxy, `http://HOST:PORT`; `none` for none. Without it `HTTPS_PROXY` and `NO_PROXY` say, but for hubs on this machine.
    pub proxy: Option<String>,
    /// How long one request may take. A large blob is many requests.
    pub patience: Duration,
    /// Opens the mailbox, which is its account.
    pub key: SigningKey,
    /// The identity that the hub must have, if it is known.
    pub identity: Option<B256>,
    /// Allows HTTP without TLS to other machines. INSECURE: whoever is in between takes over the session.
    pub insecure_http: bool,
}

impl HubOptions {
    /// The usual way.
    pub fn new(url: impl Into<String>, key: SigningKey) -> Self {
        let (url, patience) = (url.into(), PATIENCE);
        Self { url, ca: None, proxy: None, patience, key, identity: None, insecure_http: false }
    }
}

/// A hub, as one mailbox sees it.
pub struct HubNet {
    server: Server,
    key: SigningKey,
    mailbox: Address,
    identity: Option<B256>,
    patience: Duration,
    token: Mutex<Option<String>>,
    /// The blob that came in part, so that the next call goes on with it.
    partial: Mutex<Option<(B256, Vec<u8>)>>,
    /// How long a wait may be on this line.
    longest_wait: Mutex<Duration>,
}

impl HubNet {
    /// Looks at the settings; nothing is asked yet.
    pub fn new(options: HubOptions) -> Result<Self, NetworkError> {
        let way = Way {
            url: &options.url,
            ca: options.ca.as_deref(),
            proxy: options.proxy.as_deref(),
            insecure_http: options.insecure_http,
        };
        Ok(Self {
            server: Server::new(&way)?,
            mailbox: options.key.address(),
            key: options.key,
            identity: options.identity,
            patience: options.patience,
            token: Mutex::default(),
            partial: Mutex::default(),
            longest_wait: Mutex::new(Duration::from_secs(LONGEST_WAIT)),
        })
    }

    /// The own mailbox.
    pub fn mailbox(&self) -> Address {
        self.mailbox
    }

    /// What the hub says about itself; needs no session.
    pub fn health(&self) -> Result<Health, NetworkError> {
        let answer = self.of_hub(self.server.ask(&Ask::new(Method::GET, "/v1/health", self.patience))?)?;
        self.read(&self.good(answer)?)
    }

    /// Who has issued the certificate that was shown last; `None` before the first request and without TLS.
    pub fn issuer(&self) -> Option<String> {
        self.server.issuer()
    }

    /// Opens a session; its calls do that by themselves.
    fn open(&self) -> Result<String, NetworkError> {
        let knock = Knock { mailbox: self.mailbox };
        let Challenge { identity, challenge } = self.tell("/v1/session/challenge", &knock)?;
        if let Some(expected) = self.identity.filter(|expected| *expected != identity) {
            return Err(self.server.target.refused(format!(
                "the hub's identity is {identity} and not {expected}, as was agreed; it was made anew, or is another: ask its operator"
            )));
        }
        let signature = self.key.sign(session_digest(identity, self.mailbox, &challenge));
        let answered = Answered { mailbox: self.mailbox, challenge, signature };
        let Opened { token, .. } = self.tell("/v1/session", &answered)?;
        // It goes into a header.
        match token.len() <= 128 && token.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            true => Ok(token),
            false => Err(self.server.target.nonsense("its session has no token")),
        }
    }

    fn tell<T: DeserializeOwned>(&self, path: &str, what: &impl Serialize) -> Result<T, NetworkError> {
        let body = self.written(what)?;
        let ask = Ask::new(Method::POST, path, self.patience).body(JSON, &body);
        let answer = self.of_hub(self.server.ask(&ask)?)?;
        self.read(&self.good(answer)?)
    }

    /// Asks within a session, and once more when the hub no longer knows it.
    fn ask(&self, mut ask: Ask<'_>) -> Result<Answer, NetworkError> {
        let known = lock(&self.token).clone();
        let token = match known {
            Some(token) => token,
            None => self.renew(None)?,
        };
        let answer = self.send(&mut ask, &token)?;
        if answer.status != 401 {
            return Ok(answer);
        }
        let token = self.renew(Some(&token))?;
        self.send(&mut ask, &token)
    }

    fn send(&self, ask: &mut Ask<'_>, token: &str) -> Result<Answer, NetworkError> {
        let ask = Ask {
            method: ask.method.clone(),
            path: ask.path.clone(),
            range: ask.range.clone(),
            token: Some(token),
            ..*ask
        };
        self.of_hub(self.server.ask(&ask)?)
    }

    /// A session other than `old`; of those who ask at the same time one opens it.
    fn renew(&self, old: Option<&str>) -> Result<String, NetworkError> {
        let mut token = lock(&self.token);
        if let Some(token) = token.as_deref().filter(|token| Some(*token) != old) {
            return Ok(token.to_owned());
        }
        *token = None;
        let new = self.open()?;
        *token = Some(new.clone());
        Ok(new)
    }

    /// Tells answers of a hub from those of whatever answers in its place.
    fn of_hub(&self, answer: Answer) -> Result<Answer, NetworkError> {
        if answer.headers.contains_key(MARK) {
            return Ok(answer);
        }
        let target = &self.server.target;
        let place = |answer: &Answer| answer.header(header::LOCATION).map(plain);
        Err(match answer.status {
            300..400 => target.nonsense(match place(&answer) {
                Some(place) => {
                    format!("it sends us to {place}, which looks like a login page of your network")
                }
                None => "it sends us elsewhere, which looks like a login page of your network".into(),
            }),
            511 => target.nonsense("your network wants a login first; open a web page in a browser"),
            407 => target.unreachable("a proxy in between wants a login; put it into the proxy's address"),
            status @ (502..=504) => target.unreachable(format!(
                "a proxy in front of it answers with status {status}; is the hub running?"
            )),
            status => {
                let kind = answer.header(header::CONTENT_TYPE).unwrap_or("no type");
                let begins: Vec<u8> = answer.body.iter().copied().take(60).collect();
                let begins = plain(&String::from_utf8_lossy(&begins));
                target.nonsense(format!("status {status}, {}, beginning with `{begins}`", plain(kind)))
            }
        })
    }

    /// An answer that is no refusal.
    fn good(&self, answer: Answer) -> Result<Answer, NetworkError> {
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        let why = match serde_json::from_slice::<Refused>(&answer.body) {
            Ok(refused) => plain(&refused.error),
            // Said without words, before anything was read.
            Err(_) if answer.status == 503 => "it has too many connections".into(),
            Err(_) => format!("status {}", answer.status),
        };
        let what = self.server.target.shown.clone();
        Err(match answer.status {
            408 | 429 | 500..=599 => {
                let after = answer.header(header::RETRY_AFTER).and_then(|text| text.parse().ok());
                NetworkError::Busy { what, why, after: after.map(Duration::from_secs) }
            }
            _ => NetworkError::Refused { what, why },
        })
    }

    fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, NetworkError> {
        serde_json::from_slice(&answer.body)
            .map_err(|error| self.server.target.nonsense(format!("no JSON as a hub writes it: {error}")))
    }

    fn written(&self, what: &impl Serialize) -> Result<Vec<u8>, NetworkError> {
        serde_json::to_vec(what)
            .map_err(|error| NetworkError::Settings(format!("a request cannot be written: {error}")))
    }

    /// How much of a blob the hub has.
    fn have(&self, hash: B256) -> Result<Have, NetworkError> {
        let ask = Ask::new(Method::GET, format!("/v1/blobs/{hash:x}/upload"), self.patience);
        self.read(&self.good(self.ask(ask)?)?)
    }

    /// Brings one piece; `None` when the hub wants another one first.
    fn bring(&self, hash: B256, blob: &[u8], at: u64, size: u64) -> Result<Option<Have>, NetworkError> {
        let end = at.saturating_add(size).min(blob.len() as u64);
        let piece = blob.get(at as usize..end as usize).unwrap_or_default();
        let path = format!("/v1/blobs/{hash:x}/upload?total={}&at={at}", blob.len());
        let answer = self.ask(Ask::new(Method::PUT, path, self.patience).body(BYTES, piece))?;
        match answer.status {
            409 | 422 => Ok(None),
            _ => Ok(Some(self.read(&self.good(answer)?)?)),
        }
    }

    /// Adds one piece to what is there; gives how much the whole has, or `None` when nobody has the blob.
    fn more(&self, hash: B256, there: &mut Vec<u8>, size: u64) -> Result<Option<u64>, NetworkError> {
        let from = there.len() as u64;
        let mut ask = Ask::new(Method::GET, format!("/v1/blobs/{hash:x}"), self.patience);
        ask.range = Some(format!("bytes={from}-{}", from + size - 1));
        ask.most = MAX_BLOB + 1;
        let answer = self.ask(ask)?;
        let target = &self.server.target;
        let place = answer.header(header::CONTENT_RANGE).map(str::to_owned);
        let total = place.as_deref().and_then(|place| place.rsplit('/').next()?.parse::<u64>().ok());
        match answer.status {
            404 => Ok(None),
            // Nothing is behind the end of an empty blob.
            416 if total == Some(from) => Ok(total),
            // Something in between does not know of parts.
            200 => {
                *there = answer.body;
                Ok(Some(there.len() as u64))
            }
            206 => {
                let begins =
                    place.as_deref().is_some_and(|place| place.starts_with(&format!("bytes {from}-")));
                let Some(total) = total.filter(|_| begins && !answer.body.is_empty()) else {
                    return Err(target.nonsense("another part of the blob than was asked for"));
                };
                if total > MAX_BLOB {
                    return Err(StoreError::TooLarge(total).into());
                }
                there.extend_from_slice(&answer.body);
                Ok(Some(total))
            }
            _ => self.good(answer).and(Err(target.nonsense("no part of the blob"))),
        }
    }
}

impl Network for HubNet {
    fn post(&self, mailbox: Address, letter: &[u8]) -> Result<(), NetworkError> {
        if letter.len() > MAX_LETTER {
            let why = format!("a letter of {} bytes is too long; the limit is {MAX_LETTER}", letter.len());
            return Err(self.server.target.refused(why));
        }
        let ask = Ask::new(Method::POST, format!("/v1/mail/{mailbox:x}"), self.patience).body(BYTES, letter);
        self.good(self.ask(ask)?).map(|_| ())
    }

    fn collect(&self) -> Result<Vec<Vec<u8>>, NetworkError> {
        let mut ask = Ask::new(Method::GET, "/v1/mail", self.patience);
        ask.most = 16 << 20;
        let answer = self.good(self.ask(ask)?)?;
        let letters = unframe(&answer.body).filter(|all| all.iter().all(|letter| letter.len() <= MAX_LETTER));
        letters.ok_or_else(|| self.server.target.nonsense("letters that are cut off or too long"))
    }

    fn discard(&self, letters: &[B256]) -> Result<(), NetworkError> {
        for some in letters.chunks(DISCARDED) {
            let body = self.written(&some)?;
            let ask = Ask::new(Method::POST, "/v1/mail/discard", self.patience).body(JSON, &body);
            self.good(self.ask(ask)?)?;
        }
        Ok(())
    }

    fn offer(&self, blob: &[u8]) -> Result<(), NetworkError> {
        if blob.len() as u64 > MAX_BLOB {
            return Err(StoreError::TooLarge(blob.len() as u64).into());
        }
        let hash = blob_hash(blob);
        let mut size = PIECE as u64;
        let (mut have, mut furthest, mut stumbles, mut again) = (0, 0, 0, false);
        // A small one is there as soon as it is sent; of a large one the hub may have a part, or all.
        let mut asks = blob.len() > PIECE;
        loop {
            let step = match asks {
                true => self.have(hash).map(Some),
                false => self.bring(hash, blob, have, size),
            };
            match step {
                Ok(Some(now)) if now.complete => return Ok(()),
                Ok(Some(now)) => {
                    (have, asks) = (now.have, false);
                    if have > furthest {
                        (furthest, stumbles) = (have, 0);
                        continue;
                    }
                    // What is there may have been spoiled and dropped: from the beginning, once.
                    if have < furthest && !again {
                        (furthest, stumbles, again) = (have, 0, true);
                        continue;
                    }
                }
                Ok(None) => asks = true,
                Err(NetworkError::Unreachable { .. }) if stumbles < STUMBLES => {
                    (asks, size) = (true, (size / 2).max(PIECES.0));
                }
                Err(error) => return Err(error),
            }
            stumbles += 1;
            if stumbles > STUMBLES {
                let why = "the hub takes no further piece of the blob; another upload of it may be going on, or was spoiled";
                return Err(self.server.target.unreachable(why));
            }
        }
    }

    fn fetch(&self, hash: B256) -> Result<Option<Vec<u8>>, NetworkError> {
        let begun = lock(&self.partial).take_if(|(partial, _)| *partial == hash);
        let mut there = begun.map(|(_, bytes)| bytes).unwrap_or_default();
        let (mut size, mut stumbles) = (PIECE as u64, 0);
        loop {
            let started = Instant::now();
            match self.more(hash, &mut there, size) {
                Ok(None) => return Ok(None),
                Ok(Some(total)) if there.len() as u64 >= total => break,
                Ok(Some(_)) => {
                    stumbles = 0;
                    if started.elapsed() < FAST {
                        size = (size * 2).min(PIECES.1);
                    }
                }
                Err(NetworkError::Unreachable { .. }) if stumbles < STUMBLES => {
                    stumbles += 1;
                    size = (size / 2).max(PIECES.0);
                }
                Err(error) => {
                    if !there.is_empty() && error.is_temporary() {
                        *lock(&self.partial) = Some((hash, there));
                    }
                    return Err(error);
                }
            }
        }
        match blob_hash(&there) {
            found if found == hash => Ok(Some(there)),
            found => {
                Err(self.server.target.nonsense(format!("bytes that hash to {found} for the blob {hash}")))
            }
        }
    }

    fn rpc(&self, request: &[u8]) -> Result<Vec<u8>, NetworkError> {
        let mut ask = Ask::new(Method::POST, "/v1/rpc", self.patience).body(JSON, request);
        ask.most = LEDGER_ANSWER;
        Ok(self.good(self.ask(ask)?)?.body)
    }

    fn wait(&self, head: u64, patience: Duration) -> Result<Woken, NetworkError> {
        let longest = *lock(&self.longest_wait);
        let seconds = patience.min(longest).as_secs();
        let path = format!("/v1/wait?head={head}&seconds={seconds}");
        let started = Instant::now();
        let asked = self.ask(Ask::new(Method::GET, path, self.patience + Duration::from_secs(seconds)));
        let took = started.elapsed();
        match asked {
            Err(NetworkError::Unreachable { .. })
                if took >= SILENCE && took < Duration::from_secs(seconds) =>
            {
                // Silence is cut on this line: shorter from now on, and this wait is over.
                *lock(&self.longest_wait) = took * 3 / 4;
                Ok(Woken::default())
            }
            answer => {
                let Woke { blocks, letters } = self.read(&self.good(answer?)?)?;
                Ok(Woken { blocks, letters })
            }
        }
    }
}

impl fmt::Debug for HubNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HubNet({}, mailbox {})", self.server.target.shown, self.mailbox)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is one step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A node of a ledger by its address, for whoever passes requests on to it. Clones share the open connections.
#[derive(Debug, Clone)]
pub struct NodeClient {
    server: Arc<Server>,
    patience: Duration,
}

impl NodeClient {
    /// Looks at the address; nothing is asked yet. `ca` and `proxy` are as in [`HubOptions`].
    pub fn new(
        url: &str,
        ca: Option<PathBuf>,
        proxy: Option<String>,
        patience: Duration,
    ) -> Result<Self, NetworkError> {
        // Ledgers are public, and what is sent there is signed: HTTP is allowed, as for every other client of such a node.
        let way = Way { url, ca: ca.as_deref(), proxy: proxy.as_deref(), insecure_http: true };
        Ok(Self { server: Arc::new(Server::new(&way)?), patience })
    }

    /// Scheme, host and port: the rest of the address may hold a secret.
    pub fn shown(&self) -> &str {
        &self.server.target.shown
    }

    /// Passes one JSON-RPC request, or a batch, on and gives the answer.
    pub fn call(&self, request: &[u8]) -> Result<Vec<u8>, NetworkError> {
        let mut ask = Ask::new(Method::POST, "", self.patience).body(JSON, request);
        ask.most = LEDGER_ANSWER;
        let answer = self.server.ask(&ask)?;
        match answer.status {
            200..300 => Ok(answer.body),
            429 | 500..600 => {
                Err(self.server.target.unreachable(format!("it answers with status {}", answer.status)))
            }
            status => Err(self.server.target.refused(format!("it answers with status {status}"))),
        }
    }
}
