//! How programs of this machine find a node's API: three files in its home.
//!
//! | File | What it says |
//! |---|---|
//! | `api.json` | where the API listens |
//! | `api.token` | the token of the operator, who may do everything |
//! | `api.reader.token` | a token for who may only look: no letters, no log, no questions to models and no answers of them |
//!
//! Only the home's owner may read them. They are written anew at each start and removed at the end; what a killed node has left is of
//! no use to anybody, and is not believed while nobody holds the home.

use std::fs::{File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use histone_network::{StoreError, io_error, remove_durable, update_private};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::party::{Entropy, PartyError};

const PLACE: &str = "api.json";
const OPERATOR: &str = "api.token";
const READER: &str = "api.reader.token";
/// What a daemon holds as long as it runs ([`crate::home::Home::lock`]).
const LOCK: &str = "run.lock";
/// Bytes of a token.
const LENGTH: usize = 32;

/// Why a node's API cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoDoor {
    /// There is no directory.
    #[error(
        "`{0}` is not the home of a node; make one with `histone node init --home {0}`, or name another directory"
    )]
    NoHome(PathBuf),
    /// No daemon holds the home.
    #[error("no node runs on `{0}`; start it with `histone node run --home {0}`")]
    NotRunning(PathBuf),
    /// A daemon holds the home, and there is no API.
    #[error("the node on `{0}` is just starting; try again in a moment")]
    Starting(PathBuf),
    /// A file says something else.
    #[error("`{0}` is damaged; stop the node and start it again with `histone node run`")]
    Damaged(PathBuf),
    /// A file cannot be read.
    #[error(transparent)]
    Files(#[from] StoreError),
}

/// Where a node's API is, with the token of its operator.
pub struct Door {
    /// Where it listens.
    pub address: SocketAddr,
    /// The token.
    pub token: Zeroizing<String>,
}

#[derive(Serialize, Deserialize)]
struct Place {
    /// Of the API's routes.
    version: u32,
    address: SocketAddr,
    process: u32,
}

impl Door {
    /// Finds the API of the node that runs on a home.
    pub fn find(home: &Path) -> Result<Self, NoDoor> {
        if !home.is_dir() {
            return Err(NoDoor::NoHome(home.to_owned()));
        }
        // What a killed node has left names a port that may be anybody's by now.
        if !is_held(home)? {
            return Err(NoDoor::NotRunning(home.to_owned()));
        }
        let read = |name: &str| {
            let path = home.join(name);
            match std::fs::read_to_string(&path) {
                Ok(text) => Ok(text),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    Err(NoDoor::Starting(home.to_owned()))
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(NoDoor::Damaged(path)),
                Err(error) => Err(io_error("read", &path)(error).into()),
            }
        };
        let place: Place =
            serde_json::from_str(&read(PLACE)?).map_err(|_| NoDoor::Damaged(home.join(PLACE)))?;
        let token = Zeroizing::new(read(OPERATOR)?.trim().to_owned());
        if !place.address.ip().is_loopback() {
            return Err(NoDoor::Damaged(home.join(PLACE)));
        }
        if token.len() != 2 * LENGTH || !token.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(NoDoor::Damaged(home.join(OPERATOR)));
        }
        Ok(Self { address: place.address, token })
    }
}

/// Whether a daemon holds a home. Whoever asks takes nothing from one that starts.
pub(super) fn is_held(home: &Path) -> Result<bool, StoreError> {
    let path = home.join(LOCK);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(io_error("open", &path)(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(io_error("lock", &path)(error)),
    }
}

/// Two tokens, new for each start.
pub(super) struct Tokens {
    pub(super) operator: Zeroizing<String>,
    pub(super) reader: Zeroizing<String>,
}

impl Tokens {
    pub(super) fn draw(entropy: Entropy) -> Result<Self, PartyError> {
        use rand_core::Rng as _;
        let mut generator = entropy.generator("api")?;
        let mut draw = || {
            let mut bytes = Zeroizing::new([0; LENGTH]);
            generator.fill_bytes(&mut *bytes);
            Zeroizing::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        };
        Ok(Self { operator: draw(), reader: draw() })
    }
}

/// Tells programs of this machine where the API is. The place comes last: who finds it finds the tokens.
pub(super) fn open(home: &Path, address: SocketAddr, tokens: &Tokens) -> Result<(), StoreError> {
    close(home)?;
    for (name, token) in [(OPERATOR, &tokens.operator), (READER, &tokens.reader)] {
        write(home, name, format!("{}\n", token.as_str()).as_bytes())?;
    }
    let place = Place { version: 1, address, process: std::process::id() };
    // A struct of two numbers and an address is always JSON.
    let text = serde_json::to_string(&place).unwrap_or_default();
    write(home, PLACE, format!("{text}\n").as_bytes())
}

/// Nobody finds it any more.
pub(super) fn close(home: &Path) -> Result<(), StoreError> {
    [PLACE, OPERATOR, READER].iter().try_for_each(|name| remove_durable(&home.join(name)))
}

fn write(home: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    update_private(&home.join(name), |_| Ok::<_, StoreError>(Some(bytes)))
}
