//! A node's own memory: what it has prepared to send, what it was told, what a person is asked and has asked for.
//!
//! One SQLite file. Each change is one transaction that is on the disk when the call returns; a crash leaves all of it or nothing.
//! What a party prepares is kept here before anybody sends it, so that a repeat sends the same bytes; letters are known again by
//! their author and number; a question that was answered stays answered.
//!
//! Deliberately absent: keys (they are in the keystore and derive from it) and anything that the ledger or a blob says as well. Not
//! encrypted: what letters say lies here until it was dealt with, readable for who may read the file.
//!
//! Times are seconds since 1970 (UTC) and handed in.

use std::cell::Cell;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(crate) use histone_protocol::moment::moment;
use rusqlite::{Connection, Transaction, TransactionBehavior};

mod copies;
mod decisions;
mod fault;
mod letters;
mod notes;
mod wishes;

pub use self::decisions::{Answer, AnswerError, Asked, Question};
pub use self::fault::StoreFault;
pub use self::letters::{Incoming, Outgoing, Prepared, Waiting};
pub use self::notes::{Level, Note};
pub use self::wishes::{Wish, WishState};

/// Each brings a store from the version before to its own; version 1 is the first.
const MIGRATIONS: [&str; 1] = [include_str!("store/migrations/001.sql")];
/// Marks the file as ours: `HsSt`.
const APPLICATION: i64 = 0x4873_5374;
/// How long another process may write before a call gives up.
const PATIENCE: Duration = Duration::from_secs(10);

thread_local! {
    /// The store whose change runs on this thread, by address; 0 when there is none.
    static CHANGING: Cell<usize> = const { Cell::new(0) };
}

/// A node's own memory. Clones are the same store; it is used from any thread, one change at a time.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Store {
    /// The newest version of a store that this program knows.
    pub const VERSION: u32 = MIGRATIONS.len() as u32;

    /// Opens the store in a file, which is made when it is not there, and brings it to the version of this program. The file is
    /// looked through for damage.
    pub fn open(path: &Path) -> Result<Self, StoreFault> {
        let mut options = OpenOptions::new();
        // SQLite gives the files beside it the rights of this one.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        // Only where there is none: to close a file is to let go of all locks that this process has on it, SQLite's among them.
        if !path.exists() {
            options
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
                .map_err(|e| disk(path, &e))?;
        }
        let connection = Connection::open(path).map_err(|error| StoreFault::of(path, error))?;
        Self::with(connection, path.to_owned())
    }

    /// A store that is gone with its last clone.
    pub fn in_memory() -> Result<Self, StoreFault> {
        let path = PathBuf::from("(a store in memory)");
        let connection = Connection::open_in_memory().map_err(|error| StoreFault::of(&path, error))?;
        Self::with(connection, path)
    }

    fn with(mut connection: Connection, path: PathBuf) -> Result<Self, StoreFault> {
        prepare(&mut connection, &path, &MIGRATIONS)?;
        Ok(Self { inner: Arc::new(Inner { path, connection: Mutex::new(connection) }) })
    }

    /// A number that changes when another process has written here.
    pub fn data_version(&self) -> Result<i64, StoreFault> {
        self.look(|connection| connection.query_row("PRAGMA data_version", [], |row| row.get(0)))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    fn fault(&self, error: rusqlite::Error) -> StoreFault {
        StoreFault::of(&self.inner.path, error)
    }

    /// Runs one change as one transaction, which is on the disk when this returns; an error takes all of it back.
    fn change<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreFault> {
        self.change_or(|transaction| change(transaction).map_err(|error| self.fault(error)))
    }

    /// The same for a change that may fail in ways of its own.
    fn change_or<T, E: From<StoreFault>>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.locked(|connection| {
            // Takes the right to write at once: what is read inside is not out of date when it is acted on.
            let transaction = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(|error| self.fault(error))?;
            let outcome = change(&transaction)?;
            transaction.commit().map_err(|error| self.fault(error))?;
            Ok(outcome)
        })
    }

    fn look<T>(&self, look: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreFault> {
        self.locked(|connection| look(connection).map_err(|error| self.fault(error)))
    }

    fn locked<T, E: From<StoreFault>>(
        &self,
        run: impl FnOnce(&mut Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        /// Given back also when a change panics.
        struct Changing(usize);
        impl Drop for Changing {
            fn drop(&mut self) {
                CHANGING.set(self.0);
            }
        }
        // The lock is not given twice to one thread: without this, a letter whose preparation asks the store would wait for ever.
        let place = Arc::as_ptr(&self.inner).addr();
        if CHANGING.get() == place {
            return Err(StoreFault::Inside(self.inner.path.clone()).into());
        }
        // Whoever panicked in a transaction has left nothing of it.
        let mut connection = self.inner.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let _changing = Changing(CHANGING.replace(place));
        run(&mut connection)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.inner.path.display())
    }
}

/// Sets the connection up, checks the file and brings it to the newest version.
fn prepare(connection: &mut Connection, path: &Path, migrations: &[&str]) -> Result<(), StoreFault> {
    let fault = |error| StoreFault::of(path, error);
    connection.busy_timeout(PATIENCE).map_err(fault)?;
    // Looked at before anything is changed: the file of a newer program, or of another one, stays as it is.
    check_kind(connection, path, migrations.len())?;
    for (pragma, value) in [
        // Readers and the writer do not wait for each other, and a commit is one write at the end of one file.
        ("journal_mode", "WAL"),
        // A commit is on the disk when it returns. Less would lose the last ones at a power failure.
        ("synchronous", "FULL"),
        // Content that was deleted is overwritten in the file.
        ("secure_delete", "ON"),
        ("trusted_schema", "OFF"),
        ("cell_size_check", "ON"),
        // After a letter of 4 MiB the log does not stay that long for ever.
        ("journal_size_limit", "8388608"),
    ] {
        connection.pragma_update_and_check(None, pragma, value, |_| Ok(())).or_else(no_row).map_err(fault)?;
    }
    look_through(connection, path)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fault)?;
    // Asked again under the lock: another process may have been faster.
    let done = check_kind(&transaction, path, migrations.len())?;
    for (version, migration) in (1_i64..).zip(migrations).skip(done) {
        transaction.execute_batch(migration).map_err(fault)?;
        transaction.pragma_update(None, "user_version", version).map_err(fault)?;
        transaction.pragma_update(None, "application_id", APPLICATION).map_err(fault)?;
    }
    transaction.commit().map_err(fault)
}

/// Looks for damage in the whole file.
fn look_through(connection: &Connection, path: &Path) -> Result<(), StoreFault> {
    let found: rusqlite::Result<String> = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    match found.map_err(|error| StoreFault::of(path, error))? {
        found if found == "ok" => Ok(()),
        what => Err(StoreFault::Damaged { path: path.to_owned(), what }),
    }
}

/// What a refusal of the file system means for the file.
fn disk(path: &Path, error: &std::io::Error) -> StoreFault {
    let path = path.to_owned();
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreFault::Full(path),
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => StoreFault::ReadOnly(path),
        _ => StoreFault::Disk { path, why: error.to_string() },
    }
}

/// Some pragmas give their new value back and others nothing.
fn no_row(error: rusqlite::Error) -> rusqlite::Result<()> {
    match error {
        rusqlite::Error::QueryReturnedNoRows => Ok(()),
        error => Err(error),
    }
}

/// How many migrations the store has behind it; refuses a store of more, and what is no store.
fn check_kind(connection: &Connection, path: &Path, known: usize) -> Result<usize, StoreFault> {
    let fault = |error| StoreFault::of(path, error);
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(fault);
    let (version, application) = (number("PRAGMA user_version")?, number("PRAGMA application_id")?);
    if application != APPLICATION
        && (version, application, number("SELECT count(*) FROM sqlite_schema")?) != (0, 0, 0)
    {
        return Err(StoreFault::Foreign(path.to_owned()));
    }
    match usize::try_from(version) {
        Ok(done) if done <= known => Ok(done),
        Ok(_) => Err(StoreFault::Newer { path: path.to_owned(), found: version, known: known as i64 }),
        Err(_) => {
            Err(StoreFault::Damaged { path: path.to_owned(), what: format!("its version is {version}") })
        }
    }
}

/// A time or count as SQLite keeps it. Beyond its range there is only the end of time.
fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
