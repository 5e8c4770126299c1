//! A node's home: one directory with all that one party keeps on its machine.
//!
//! | In it | What it is |
//! |---|---|
//! | `node.toml` | what people set ([`Settings`]) |
//! | `keystore.json` | the root of the party, under a passphrase or open ([`keystore`]) |
//! | `store.sqlite` | the node's own memory ([`Store`]) |
//! | `private/` | the party's files, encrypted under a key of the root ([`Party::of_root`]) |
//! | `blobs/`, `ledger/` | public copies that can be fetched again |
//! | `run.lock` | held by the daemon while it runs |
//! | `api.json`, `api.token`, `api.reader.token` | where the daemon's API listens, and who may ask it ([`crate::api`]) |
//!
//! A home is there when its keystore is there, which is written last. Only its owner may enter it. With a passphrase no key can be
//! read without it; what letters say and what people were asked lies open in the store, for who may read the file.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use histone_network::{StoreError, create_private_dir, io_error};
use histone_protocol::Address;
use histone_protocol::secret::Root;

use crate::party::{Entropy, Party, PartyError};
use crate::store::{Store, StoreFault};

mod backup;
pub mod doctor;
pub mod keystore;
mod settings;

pub use self::backup::{Backup, BackupError};
pub use self::keystore::{Cost, KeystoreError, Passphrase, Protection};
pub use self::settings::{Answers, ROLES, Settings, SettingsError};

const SETTINGS: &str = "node.toml";
const KEYSTORE: &str = "keystore.json";
const STORE: &str = "store.sqlite";
const PRIVATE: &str = "private";
const BLOBS: &str = "blobs";
const LEDGER: &str = "ledger";
const LOCK: &str = "run.lock";
/// The fact of the store that says whose it is.
const ACCOUNT: &str = "account";
/// The party's series of enclaves, whose seeds must not come twice.
const ENCLAVES: &str = "enclaves";
const CODES: &str = "codes";

/// How often the lock is asked for again, and after how long each time.
const PATIENCE: u32 = 4;
const MOMENT: Duration = Duration::from_millis(25);

/// What `init` says of a root that lies open.
const OPEN: &str = "the keys of this node lie open in `keystore.json`: whoever can read that file, or a backup of it, is this party. Use a passphrase unless the node must start with nobody there";

/// Why a home cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// There is one.
    #[error("`{0}` is the home of a node already; name another directory, or use it as it is")]
    Exists(PathBuf),
    /// There is none.
    #[error("`{0}` is not the home of a node; make one with `histone node init`, or name another directory")]
    Missing(PathBuf),
    /// There is something else.
    #[error("`{dir}` holds other files (`{name}`); name a directory that is new or empty")]
    Occupied {
        /// The directory.
        dir: PathBuf,
        /// One of the files.
        name: String,
    },
    /// There is the rest of one.
    #[error(
        "`{0}` holds files of a party and no `keystore.json`: its keys were lost. Restore the home from a backup, or name another directory"
    )]
    KeysLost(PathBuf),
    /// The memory is gone.
    #[error(
        "`{0}` is not there or empty: without it the node does not know what it has promised. Restore the home from a backup"
    )]
    StoreLost(PathBuf),
    /// Files of two parties.
    #[error(
        "`{file}` belongs to the party {found}, and the keys to {account}: files of two homes were mixed. Restore the home from a backup"
    )]
    Mixed {
        /// The file.
        file: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose home it is.
        account: Address,
    },
    /// Somebody runs on it.
    #[error("a node runs on `{dir}` already{}; stop it first, or use it", .process.map(|p| format!(" (process {p})")).unwrap_or_default())]
    Running {
        /// The home.
        dir: PathBuf,
        /// By the number of its process, when it is known.
        process: Option<u32>,
    },
    /// Others may read the keys.
    #[error(
        "other users of this machine may read `{file}`, and so be this party; run `chmod -R go= '{dir}'`, and think about who has read it by now"
    )]
    OpenFiles {
        /// The keystore.
        file: PathBuf,
        /// The home.
        dir: PathBuf,
    },
    /// A backup.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The keystore.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// The party's files.
    #[error(transparent)]
    Party(#[from] PartyError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// A file cannot be made, read or written.
    #[error(transparent)]
    Files(#[from] StoreError),
}

/// A node's home, by its directory.
#[derive(Debug, Clone)]
pub struct Home {
    dir: PathBuf,
}

/// A home that was made.
#[derive(Debug)]
pub struct Created {
    /// The home.
    pub home: Home,
    /// The party's account.
    pub account: Address,
    /// What the person who has made it must be told, if anything.
    pub warning: Option<&'static str>,
}

/// A home that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The home.
    pub home: Home,
    /// What people set.
    pub settings: Settings,
    /// The party, with its keys.
    pub party: Party,
    /// Its memory.
    pub store: Store,
    /// Whether a passphrase was needed.
    pub protected: bool,
    /// When the home was last restored from a backup. Rounds that began before are to be refused: what this party said of them
    /// after the backup was made is not known here.
    pub restored: Option<u64>,
}

/// Holds a home for one daemon, until it is dropped or its process ends, however it ends.
#[derive(Debug)]
pub struct HomeLock {
    _file: File,
}

impl Home {
    /// Makes a home in a directory that is not one: draws the root of a new party and keeps it. What is in the way is not written
    /// over; an `init` that was interrupted can be repeated.
    pub fn init(
        dir: &Path,
        settings: &Settings,
        protection: &Protection,
        entropy: Entropy,
    ) -> Result<Created, HomeError> {
        let root = Root::generate(&mut entropy.generator(&settings.name)?);
        let home = Self::at(dir);
        // The directory gets other rights: it must not be one that people share.
        home.refuse_others()?;
        create_private_dir(dir)?;
        // Two at a time would mix their files.
        let _lock = home.lock()?;
        if home.file(KEYSTORE).exists() {
            return Err(HomeError::Exists(home.dir));
        }
        if home.holds_files()? {
            return Err(HomeError::KeysLost(home.dir));
        }
        settings.write(&home.file(SETTINGS))?;
        for dir in [BLOBS, LEDGER] {
            create_private_dir(&home.file(dir))?;
        }
        let account = Party::of_root(&settings.name, root.clone(), entropy, &home.private())?.account();
        // What an interrupted `init` has left belongs to no keys.
        for beside in ["", "-wal", "-shm"] {
            histone_network::remove_durable(&home.file(&format!("{STORE}{beside}")))?;
        }
        Store::open(&home.file(STORE))?.put(ACCOUNT, account.to_string().as_bytes())?;
        // The last one: with it, the home is there.
        keystore::write(&home.file(KEYSTORE), account, &root, protection, entropy, false)?;
        let warning = matches!(protection, Protection::Open).then_some(OPEN);
        Ok(Created { home, account, warning })
    }

    /// The home in a directory; whether there is one is not looked at.
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Opens a home. The passphrase is needed when [`Home::needs_passphrase`] says so. Whether a daemon runs on it is not looked at:
    /// that is what [`Home::lock`] is for.
    pub fn open(dir: &Path, passphrase: Option<&Passphrase>) -> Result<Opened, HomeError> {
        let home = Self::at(dir);
        let protected = home.needs_passphrase()?;
        let settings = Settings::read(&home.file(SETTINGS))?;
        let (root, account) = keystore::unlock(&home.file(KEYSTORE), passphrase)?;
        let path = home.file(STORE);
        // An empty file would become a store that knows of nothing.
        if !fs::metadata(&path).is_ok_and(|file| file.len() > 0) {
            return Err(HomeError::StoreLost(path));
        }
        let store = Store::open(&path)?;
        let found = store.get(ACCOUNT)?.unwrap_or_default();
        if found != account.to_string().as_bytes() {
            let found = String::from_utf8_lossy(&found).escape_debug().to_string();
            return Err(HomeError::Mixed { file: path, found, account });
        }
        let party = Party::of_root(&settings.name, root, Entropy::System, &home.private())?;
        if party.account() != account {
            let what = format!("its root leads to the account {}, and it names {account}", party.account());
            return Err(KeystoreError::Damaged { path: home.file(KEYSTORE), what }.into());
        }
        let restored = store.restored()?;
        if let Some(time) = restored {
            // Enclaves that were started after the backup was made have had the next numbers.
            party.skip(ENCLAVES, time.min(1 << 40) << 20)?;
            // And codes that were bought.
            party.skip(CODES, time.min(1 << 40) << 20)?;
        }
        Ok(Opened { home, settings, party, store, protected, restored })
    }

    /// Whether the keys are under a passphrase.
    pub fn needs_passphrase(&self) -> Result<bool, HomeError> {
        Ok(self.shown()?.protected)
    }

    /// Whether a passphrase opens the keys: an error when it does not.
    pub fn try_passphrase(&self, passphrase: &Passphrase) -> Result<(), HomeError> {
        keystore::unlock(&self.file(KEYSTORE), Some(passphrase))?;
        Ok(())
    }

    /// Refuses keys that other users of the machine may read. Systems without such rights are not asked.
    pub fn refuse_open_files(&self) -> Result<(), HomeError> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let keystore = self.file(KEYSTORE);
            let mode = |path: &Path| fs::metadata(path).map(|file| file.mode()).unwrap_or_default();
            // Nobody gets through a directory that is closed.
            if mode(&keystore) & 0o077 != 0 && mode(&self.dir) & 0o077 != 0 {
                return Err(HomeError::OpenFiles { file: keystore, dir: self.dir.clone() });
            }
        }
        Ok(())
    }

    /// The party's account, which needs no passphrase.
    pub fn account(&self) -> Result<Address, HomeError> {
        Ok(self.shown()?.account)
    }

    fn shown(&self) -> Result<keystore::Shown, HomeError> {
        match keystore::show(&self.file(KEYSTORE)) {
            Err(KeystoreError::Missing(_)) if self.dir.is_dir() && self.holds_files()? => {
                Err(HomeError::KeysLost(self.dir.clone()))
            }
            Err(KeystoreError::Missing(_)) => Err(HomeError::Missing(self.dir.clone())),
            shown => Ok(shown?),
        }
    }

    /// What people set.
    pub fn settings(&self) -> Result<Settings, HomeError> {
        Ok(Settings::read(&self.file(SETTINGS))?)
    }

    /// Writes settings, such as when a hub is known. Comments of people in the file do not stay.
    pub fn set(&self, settings: &Settings) -> Result<(), HomeError> {
        Ok(settings.write(&self.file(SETTINGS))?)
    }

    /// Keeps the root in another way from now on: under another passphrase, or one that costs more to try. The old file is written
    /// over; copies of it open with the old passphrase.
    pub fn protect(&self, passphrase: Option<&Passphrase>, protection: &Protection) -> Result<(), HomeError> {
        self.shown()?;
        let path = self.file(KEYSTORE);
        let (root, account) = keystore::unlock(&path, passphrase)?;
        Ok(keystore::write(&path, account, &root, protection, Entropy::System, true)?)
    }

    /// Takes the home for one daemon; a second one is refused. The system gives the lock back when its holder ends, however it ends.
    pub fn lock(&self) -> Result<HomeLock, HomeError> {
        if !self.dir.is_dir() {
            return Err(HomeError::Missing(self.dir.clone()));
        }
        let path = self.file(LOCK);
        let mut options = OpenOptions::new();
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let opened = options.read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(io_error("open", &path))?;
        let mut taken = file.try_lock();
        for _ in 0..PATIENCE {
            if !matches!(taken, Err(TryLockError::WouldBlock)) {
                break;
            }
            // Somebody who only looks whether a node runs has it for a moment.
            std::thread::sleep(MOMENT);
            taken = file.try_lock();
        }
        match taken {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                // Where locks hold off readers as well, the number stays unknown.
                let mut text = String::new();
                let process = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(HomeError::Running { dir: self.dir.clone(), process });
            }
            Err(TryLockError::Error(error)) => return Err(io_error("lock", &path)(error).into()),
        }
        // For the message alone; it need not survive.
        let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(io_error("write", &path))?;
        Ok(HomeLock { _file: file })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the party's files are.
    pub fn private(&self) -> PathBuf {
        self.file(PRIVATE)
    }

    /// Where blobs are kept.
    pub fn blobs(&self) -> PathBuf {
        self.file(BLOBS)
    }

    /// The file of the node's own memory.
    pub fn store_file(&self) -> PathBuf {
        self.file(STORE)
    }

    /// Where the replica of the ledger is kept.
    pub fn ledger(&self) -> PathBuf {
        self.file(LEDGER)
    }

    /// A path of the settings, such as that of certificate authorities: within the home unless it says otherwise.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.dir.join(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Refuses a directory with files that are not a home's.
    fn refuse_others(&self) -> Result<(), HomeError> {
        let names = match self.dir.is_dir() {
            true => histone_network::file_names(&self.dir, "")?,
            false => Vec::new(),
        };
        let own = [SETTINGS, KEYSTORE, PRIVATE, BLOBS, LEDGER, LOCK, "node.partial", "keystore.partial"];
        let ours = |name: &str| own.contains(&name) || name.starts_with(STORE) || name.starts_with("api.");
        let other = names.into_iter().find(|name| !ours(name));
        other.map_or(Ok(()), |name| Err(HomeError::Occupied { dir: self.dir.clone(), name }))
    }

    /// Whether there are files of a party.
    fn holds_files(&self) -> Result<bool, HomeError> {
        let private = self.private();
        Ok(private.is_dir() && !histone_network::file_names(&private, "")?.is_empty())
    }
}

#[cfg(test)]
mod tests;
