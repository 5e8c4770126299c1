//! Letters that wait, in one SQLite file. A letter that was taken is on the disk.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use histone_protocol::letter::letter_id;
use histone_protocol::{Address, B256};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};

use super::{Limits, Standing};
use crate::wire::COLLECTED;

/// Migrations, in order; a store has the number of those that were applied to it.
const MIGRATIONS: [&str; 1] = [include_str!("mail/001.sql")];
/// What a letter counts at least: many small ones do not go beyond the limits by what is stored besides them, and what is looked
/// through for a sum stays short.
const LEAST: u64 = 4096;
/// Most letters that one call gives.
const MOST: u32 = 1024;

/// Why mail cannot be taken or given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MailError {
    /// The store fails.
    #[error("the hub's mail in `{path}` cannot be used; its operator should look at the disk")]
    Store {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// The disk is full.
    #[error("the disk with the hub's mail in `{0}` is full; its operator has to make room")]
    DiskFull(PathBuf),
    /// The store is of a newer program.
    #[error(
        "the hub's mail in `{path}` is of a newer version ({found}; this program knows {known}); use the newer program"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The newest that is known.
        known: u64,
    },
    /// The operator's limit on the disk is reached.
    #[error("the hub's disk space for letters and blobs is used up; its operator has to make room")]
    NoRoom,
    /// A limit on what waits is reached.
    #[error("{0}")]
    Full(String),
}

/// What became of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Posted {
    New,
    Known,
}

pub(super) struct Mail {
    path: PathBuf,
    identity: B256,
    /// How many letters there are; told without waiting for the disk.
    count: AtomicU64,
    open: Mutex<Open>,
}

struct Open {
    connection: Connection,
    /// Bytes of all letters.
    total: u64,
}

impl Mail {
    /// Opens the store, or makes it; a new hub gets the identity `fresh`.
    pub(super) fn open(path: &Path, fresh: B256) -> Result<Self, MailError> {
        let fail = |source| failed(path, source);
        let mut connection = Connection::open(path).map_err(fail)?;
        let version = connection.query_row("PRAGMA user_version", [], |row| count(row, 0)).map_err(fail)?;
        if version > MIGRATIONS.len() as u64 {
            return Err(MailError::Newer {
                path: path.into(),
                found: version,
                known: MIGRATIONS.len() as u64,
            });
        }
        // Room of letters that are gone is given back; to be set before there are tables.
        connection
            .execute_batch("PRAGMA auto_vacuum = FULL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
            .map_err(fail)?;
        for (done, migration) in MIGRATIONS.iter().enumerate().skip(version as usize) {
            let change = connection.transaction().map_err(fail)?;
            change.execute_batch(migration).map_err(fail)?;
            change.pragma_update(None, "user_version", signed(done as u64 + 1)).map_err(fail)?;
            change.commit().map_err(fail)?;
        }
        connection
            .execute("INSERT OR IGNORE INTO hub (one, identity) VALUES (1, ?)", [fresh.as_slice()])
            .map_err(fail)?;
        let identity: [u8; 32] =
            connection.query_row("SELECT identity FROM hub", [], |row| row.get(0)).map_err(fail)?;
        let (total, count) = connection
            .query_row("SELECT COALESCE(SUM(size), 0), COUNT(*) FROM letters", [], |row| {
                Ok((count(row, 0)?, count(row, 1)?))
            })
            .map_err(fail)?;
        Ok(Self {
            path: path.into(),
            identity: identity.into(),
            count: AtomicU64::new(count),
            open: Mutex::new(Open { connection, total }),
        })
    }

    /// Drawn when the hub was made.
    pub(super) fn identity(&self) -> B256 {
        self.identity
    }

    /// Bytes of all letters.
    pub(super) fn total(&self) -> u64 {
        self.lock().total
    }

    /// Puts a letter into a mailbox. `room` is how much more the disk may hold.
    pub(super) fn post(
        &self,
        mailbox: Address,
        (sender, standing): (Address, Standing),
        letter: &[u8],
        now: u64,
        (limits, room): (&Limits, u64),
    ) -> Result<Posted, MailError> {
        let size = (letter.len() as u64).max(LEAST);
        let id = letter_id(letter);
        let mut open = self.lock();
        let (to, from) = (mailbox.as_slice(), sender.as_slice());
        let ask = |sql: &str, arguments: &[&[u8]]| {
            let row = open.connection.prepare(sql).and_then(|mut statement| {
                statement.query_row(rusqlite::params_from_iter(arguments), |row| count(row, 0))
            });
            row.map_err(|source| self.failed(source))
        };
        if ask("SELECT COUNT(*) FROM letters WHERE mailbox = ? AND id = ?", &[to, id.as_slice()])? > 0 {
            return Ok(Posted::Known);
        }
        let full = |what: String| Err(MailError::Full(what));
        if size > room {
            return Err(MailError::NoRoom);
        }
        let both = "SELECT COUNT(*) FROM letters WHERE sender = ? AND mailbox = ?";
        let guests = "SELECT COUNT(*) FROM letters WHERE mailbox = ? AND guest = 1";
        if standing == Standing::Guest {
            if ask(both, &[from, to])? >= limits.guest_each {
                return full(format!(
                    "{} letters of this guest wait in the mailbox already, which is the limit until they are read",
                    limits.guest_each
                ));
            }
            if ask(guests, &[to])? >= limits.guest_waiting {
                return full(format!(
                    "{} letters of guests wait in the mailbox already, which is the limit until they are read; try again later",
                    limits.guest_waiting
                ));
            }
        }
        let sum = "SELECT COALESCE(SUM(size), 0) FROM letters WHERE";
        for (condition, arguments, limit, what) in [
            (
                "sender = ? AND mailbox = ?",
                &[from, to][..],
                limits.pair_bytes,
                "of this sender in the mailbox",
            ),
            ("sender = ?", &[from][..], limits.sender_bytes, "of this sender in all mailboxes"),
            ("mailbox = ?", &[to][..], limits.mailbox_bytes, "in the mailbox"),
        ] {
            let there = ask(&format!("{sum} {condition}"), arguments)?;
            if there.saturating_add(size) > limit {
                return full(format!(
                    "letters of {there} bytes wait {what}; with this one it would be more than {limit}, which is the limit until they are read"
                ));
            }
        }
        let guest = i64::from(standing == Standing::Guest);
        open.connection
            .prepare(
                "INSERT INTO letters (mailbox, id, sender, guest, posted_at, size, bytes) VALUES (?, ?, ?, ?, ?, ?, ?)",
            )
            .and_then(|mut insert| {
                insert.execute(params![to, id.as_slice(), from, guest, signed(now), signed(size), letter])
            })
            .map_err(|source| self.failed(source))?;
        open.total = open.total.saturating_add(size);
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok(Posted::New)
    }

    /// The oldest letters of a mailbox, as many as go into one answer.
    pub(super) fn collect(&self, mailbox: Address) -> Result<Vec<Vec<u8>>, MailError> {
        let open = self.lock();
        let read = || -> rusqlite::Result<Vec<Vec<u8>>> {
            let mut statement = open.connection.prepare(
                "SELECT number, length(bytes) FROM letters WHERE mailbox = ? ORDER BY number LIMIT ?",
            )?;
            let rows = statement.query_map(params![mailbox.as_slice(), MOST], |row| {
                Ok((row.get::<_, i64>(0)?, count(row, 1)?))
            })?;
            let (mut numbers, mut bytes) = (Vec::new(), 0_u64);
            for row in rows {
                let (number, length) = row?;
                bytes = bytes.saturating_add(length + 4);
                if bytes > COLLECTED as u64 && !numbers.is_empty() {
                    break;
                }
                numbers.push(number);
            }
            let mut statement = open.connection.prepare("SELECT bytes FROM letters WHERE number = ?")?;
            numbers.iter().map(|number| statement.query_row([number], |row| row.get(0))).collect()
        };
        read().map_err(|source| self.failed(source))
    }

    /// Forgets letters of a mailbox.
    pub(super) fn discard(&self, mailbox: Address, ids: &[B256]) -> Result<(), MailError> {
        let mut open = self.lock();
        let remove = |connection: &mut Connection| -> rusqlite::Result<(u64, u64)> {
            let change = connection.transaction()?;
            let (mut freed, mut gone) = (0_u64, 0_u64);
            {
                let mut statement =
                    change.prepare("DELETE FROM letters WHERE mailbox = ? AND id = ? RETURNING size")?;
                for id in ids {
                    let size = statement
                        .query_row([mailbox.as_slice(), id.as_slice()], |row| count(row, 0))
                        .optional()?;
                    freed = freed.saturating_add(size.unwrap_or(0));
                    gone = gone.saturating_add(u64::from(size.is_some()));
                }
            }
            change.commit()?;
            Ok((freed, gone))
        };
        let (freed, gone) = remove(&mut open.connection).map_err(|source| self.failed(source))?;
        open.total = open.total.saturating_sub(freed);
        self.count.fetch_sub(gone, Ordering::Relaxed);
        Ok(())
    }

    /// Whether letters wait in a mailbox.
    pub(super) fn waits(&self, mailbox: Address) -> Result<bool, MailError> {
        let open = self.lock();
        let ask = || {
            let mut statement = open.connection.prepare(
                "SELECT EXISTS (SELECT 1 FROM letters INDEXED BY letters_of_mailbox WHERE mailbox = ?)",
            )?;
            statement.query_row([mailbox.as_slice()], |row| row.get(0))
        };
        ask().map_err(|source| self.failed(source))
    }

    /// How many letters wait.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Forgets letters that were posted before this time.
    pub(super) fn prune(&self, before: u64) -> Result<(), MailError> {
        let mut open = self.lock();
        let change = |connection: &mut Connection| -> rusqlite::Result<(u64, u64)> {
            let change = connection.transaction()?;
            let sums = "SELECT COALESCE(SUM(size), 0), COUNT(*) FROM letters WHERE posted_at < ?";
            let gone =
                change.query_row(sums, [signed(before)], |row| Ok((count(row, 0)?, count(row, 1)?)))?;
            change.execute("DELETE FROM letters WHERE posted_at < ?", [signed(before)])?;
            change.commit()?;
            Ok(gone)
        };
        let (freed, gone) = change(&mut open.connection).map_err(|source| self.failed(source))?;
        open.total = open.total.saturating_sub(freed);
        self.count.fetch_sub(gone, Ordering::Relaxed);
        Ok(())
    }

    fn failed(&self, source: rusqlite::Error) -> MailError {
        failed(&self.path, source)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // A transaction that panicked was taken back.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(path: &Path, source: rusqlite::Error) -> MailError {
    match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => MailError::DiskFull(path.into()),
        _ => MailError::Store { path: path.into(), source },
    }
}

/// SQLite's numbers have a sign; times and sizes are far from where that matters.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn count(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TO: Address = Address::repeat_byte(1);
    const FROM: Address = Address::repeat_byte(2);

    fn mail(dir: &tempfile::TempDir) -> Mail {
        Mail::open(&dir.path().join("mail.sqlite"), B256::repeat_byte(9)).unwrap()
    }

    #[test]
    fn letters_stay_until_they_are_discarded() {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits::default();
        let member = (FROM, Standing::Member);
        let first = mail(&dir);
        let post =
            |mail: &Mail, to, letter: &[u8]| mail.post(to, member, letter, 5, (&limits, u64::MAX)).unwrap();
        assert_eq!(post(&first, TO, b"one"), Posted::New);
        assert_eq!(post(&first, TO, b"one"), Posted::Known);
        assert_eq!(post(&first, FROM, b"one"), Posted::New);
        assert_eq!(post(&first, TO, &vec![1; 5000]), Posted::New);
        assert_eq!(first.total(), 2 * LEAST + 5000);
        drop(first);
        let again = Mail::open(&dir.path().join("mail.sqlite"), B256::ZERO).unwrap();
        assert_eq!(again.identity(), B256::repeat_byte(9));
        assert_eq!((again.total(), again.count()), (2 * LEAST + 5000, 3));
        assert_eq!(again.collect(TO).unwrap(), [b"one".to_vec(), vec![1; 5000]]);
        again.discard(FROM, &[letter_id(&[1; 5000])]).unwrap();
        again.discard(TO, &[letter_id(b"one"), B256::ZERO]).unwrap();
        assert_eq!(again.collect(TO).unwrap(), [vec![1; 5000]]);
        assert!(again.waits(TO).unwrap() && !again.waits(Address::ZERO).unwrap());
        again.prune(5).unwrap();
        assert_eq!(again.count(), 2);
        again.prune(6).unwrap();
        assert_eq!((again.count(), again.total()), (0, 0));
    }

    #[test]
    fn one_answer_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mail = mail(&dir);
        for n in 0..4_u8 {
            let letter = vec![n; 3 << 20];
            mail.post(TO, (FROM, Standing::Member), &letter, 1, (&Limits::default(), u64::MAX)).unwrap();
        }
        assert_eq!(mail.collect(TO).unwrap().len(), 2);
        // Room of letters that are gone is given back to the disk.
        let ids: Vec<_> = (0..4).map(|n| letter_id(&vec![n; 3 << 20])).collect();
        mail.discard(TO, &ids).unwrap();
        drop(mail);
        assert!(std::fs::metadata(dir.path().join("mail.sqlite")).unwrap().len() < 1 << 20);
    }

    #[test]
    fn quotas() {
        let dir = tempfile::tempdir().unwrap();
        let mail = mail(&dir);
        let limits = Limits {
            guest_each: 2,
            guest_waiting: 3,
            pair_bytes: 5 * LEAST,
            sender_bytes: 8 * LEAST,
            mailbox_bytes: 9 * LEAST,
            ..Limits::default()
        };
        let who = |n: u8, standing| (Address::repeat_byte(n), standing);
        let mut count = 0_u64;
        let mut post = |to: Address, from| {
            count += 1;
            mail.post(to, from, &count.to_le_bytes(), 1, (&limits, u64::MAX)).map_err(|e| e.to_string())
        };
        let refused = |result: Result<Posted, String>, why: &str| {
            let error = result.unwrap_err();
            assert!(error.contains(why), "{error}");
        };
        let guest = who(7, Standing::Guest);
        post(TO, guest).unwrap();
        post(TO, guest).unwrap();
        refused(post(TO, guest), "2 letters of this guest");
        post(TO, who(8, Standing::Guest)).unwrap();
        refused(post(TO, who(9, Standing::Guest)), "3 letters of guests");
        let member = who(10, Standing::Member);
        for _ in 0..5 {
            post(TO, member).unwrap();
        }
        refused(post(TO, member), "of this sender in the mailbox");
        post(TO, who(11, Standing::Member)).unwrap();
        refused(post(TO, who(11, Standing::Member)), "wait in the mailbox");
        for _ in 0..3 {
            post(FROM, member).unwrap();
        }
        refused(post(Address::ZERO, member), "in all mailboxes");
        let full = mail.post(FROM, guest, b"x", 1, (&limits, LEAST - 1)).unwrap_err();
        assert!(full.to_string().contains("disk space"), "{full}");
        assert_eq!(mail.post(TO, member, &1_u64.to_le_bytes(), 1, (&limits, 0)).unwrap(), Posted::Known);
    }

    #[test]
    fn stores_that_cannot_be_used_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mail.sqlite");
        let newer = Connection::open(&path).unwrap();
        newer.pragma_update(None, "user_version", 7).unwrap();
        drop(newer);
        let error = Mail::open(&path, B256::ZERO).err().unwrap().to_string();
        assert!(error.contains("newer version (7;"), "{error}");
        std::fs::write(&path, [5; 9000]).unwrap();
        let error = Mail::open(&path, B256::ZERO).err().unwrap().to_string();
        assert!(error.contains("mail.sqlite` cannot be used"), "{error}");
    }
}
