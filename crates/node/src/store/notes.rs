//! The log for people, small facts by name, and the mark of a restore.

use std::borrow::Cow;

use rusqlite::{Connection, OptionalExtension, params};

use super::{Store, StoreFault, whole};

/// How many notes are kept, the newest.
const NOTES: i64 = 10_000;
/// Bytes of a note's text, and of what it is about: others have a say in them.
const LONGEST_TEXT: usize = 1_000;
const LONGEST_ABOUT: usize = 200;
/// The fact that says when the home was restored from a backup.
const RESTORED: &str = "restored";
/// The fact that says which block was the newest one then.
const RESTORED_AT: &str = "restored-at-block";

/// How much a note matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What was done.
    Info,
    /// What somebody should look at.
    Warning,
    /// What did not work.
    Error,
}

/// A line of the log for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Counts the notes; some may be missing.
    pub number: u64,
    /// When.
    pub time: u64,
    /// How much it matters.
    pub level: Level,
    /// What it is about, such as a duty's name.
    pub about: String,
    /// What happened.
    pub text: String,
}

impl Store {
    /// Writes a note, the beginning of one that is too long. The newest 10,000 are kept.
    pub fn note(&self, now: u64, level: Level, about: &str, text: &str) -> Result<(), StoreFault> {
        let level = match level {
            Level::Info => 1,
            Level::Warning => 2,
            Level::Error => 3,
        };
        self.change(|change| {
            change.execute(
                "INSERT INTO notes (time, level, about, text) VALUES (?1, ?2, ?3, ?4)",
                params![whole(now), level, cut(about, LONGEST_ABOUT), cut(text, LONGEST_TEXT)],
            )?;
            change.execute("DELETE FROM notes WHERE number <= ?1", [change.last_insert_rowid() - NOTES])?;
            Ok(())
        })
    }

    /// Notes with a number above `after`, the oldest first.
    pub fn notes(&self, after: u64, most: usize) -> Result<Vec<Note>, StoreFault> {
        self.look(|store| {
            let mut rows = store.prepare(
                "SELECT number, time, level, about, text FROM notes WHERE number > ?1 ORDER BY number LIMIT ?2",
            )?;
            let rows = rows.query_map(params![whole(after), whole(most as u64)], |row| {
                Ok(Note {
                    number: row.get::<_, i64>(0)?.cast_unsigned(),
                    time: row.get::<_, i64>(1)?.cast_unsigned(),
                    level: match row.get(2)? {
                        1 => Level::Info,
                        2 => Level::Warning,
                        _ => Level::Error,
                    },
                    about: row.get(3)?,
                    text: row.get(4)?,
                })
            })?;
            rows.collect()
        })
    }

    /// The number of the newest note; 0 when there is none.
    pub fn last_note(&self) -> Result<u64, StoreFault> {
        let sql = "SELECT ifnull(max(number), 0) FROM notes";
        self.look(|store| Ok(store.query_row(sql, [], |row| row.get::<_, i64>(0))?.cast_unsigned()))
    }

    /// Keeps a small fact under a name, in the place of what was there.
    pub fn put(&self, key: &str, value: &[u8]) -> Result<(), StoreFault> {
        self.change(|change| {
            let sql =
                "INSERT INTO facts (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2";
            change.execute(sql, params![key, value])?;
            Ok(())
        })
    }

    /// A fact by its name.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreFault> {
        self.look(|store| fact(store, key))
    }

    /// Removes a fact, if it is there.
    pub fn remove(&self, key: &str) -> Result<(), StoreFault> {
        self.change(|change| {
            change.execute("DELETE FROM facts WHERE key = ?1", [key])?;
            Ok(())
        })
    }

    /// Marks the store as restored from a backup at this time. What was done between the backup and the restore is forgotten here
    /// and known to others: rounds that began before are to be refused, and letters get numbers that were not given before.
    pub fn mark_restored(&self, now: u64) -> Result<(), StoreFault> {
        self.remove(RESTORED_AT)?;
        self.put(RESTORED, &now.to_le_bytes())
    }

    /// Keeps the newest block that is known here, once after each restore. Clocks may be wrong, and what the ledger had by then was
    /// before the restore by any clock.
    pub fn mark_block(&self, head: u64) -> Result<(), StoreFault> {
        match self.restored()?.is_some() && self.get(RESTORED_AT)?.is_none() {
            true => self.put(RESTORED_AT, &head.to_le_bytes()),
            false => Ok(()),
        }
    }

    /// The newest block that was known here when the node ran for the first time after it was restored.
    pub fn restored_at(&self) -> Result<Option<u64>, StoreFault> {
        let kept = self.get(RESTORED_AT)?;
        Ok(kept.and_then(|kept| kept.as_slice().try_into().ok()).map(u64::from_le_bytes))
    }

    /// When the home was last restored from a backup; `None` when it never was.
    pub fn restored(&self) -> Result<Option<u64>, StoreFault> {
        self.look(restored)
    }
}

/// The beginning of a text that is longer than so many bytes.
pub(crate) fn cut(text: &str, longest: usize) -> Cow<'_, str> {
    match text.len() <= longest {
        true => text.into(),
        false => format!("{}…", &text[..text.floor_char_boundary(longest)]).into(),
    }
}

fn fact(store: &Connection, key: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    store.query_row("SELECT value FROM facts WHERE key = ?1", [key], |row| row.get(0)).optional()
}

fn restored(store: &Connection) -> rusqlite::Result<Option<u64>> {
    let Some(bytes) = fact(store, RESTORED)? else { return Ok(None) };
    let damaged = |error: Vec<u8>| {
        let error = format!("the time of the restore has {} bytes instead of 8", error.len());
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, error.into())
    };
    Ok(Some(u64::from_le_bytes(bytes.try_into().map_err(damaged)?)))
}

/// Above which number letters are counted: after a restore, the time of it in units of 2⁻²⁰ s. Numbers below may have been given
/// after the backup was made, also when it is not the first restore; a million letters a second are not sent to one receiver.
pub(super) fn letters_from(store: &Connection) -> rusqlite::Result<i64> {
    // Clamped to the year 36,000, so that no clock takes the room for counting away.
    Ok(restored(store)?.map_or(0, |time| whole(time.min(1 << 40) << 20)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::Prepared;
    use histone_protocol::Address;

    #[test]
    fn the_newest_notes_are_kept() {
        let store = Store::in_memory().unwrap();
        assert_eq!((store.last_note().unwrap(), store.notes(0, 9).unwrap()), (0, vec![]));
        for n in 1..=NOTES.cast_unsigned() + 5 {
            store.note(n, Level::Info, "round/1", "posted").unwrap();
        }
        let last = store.last_note().unwrap();
        store.note(7, Level::Error, "round/2", "refused").unwrap();
        let [about, text] = ["round/2", "refused"].map(str::to_string);
        assert_eq!(
            store.notes(last, 9).unwrap(),
            [Note { number: last + 1, time: 7, level: Level::Error, about, text }]
        );
        let all = store.notes(0, usize::MAX).unwrap();
        assert_eq!((all.len() as i64, all[0].time), (NOTES, 7));
        assert_eq!(store.notes(0, 2).unwrap(), all[..2]);
        assert_eq!(store.notes(u64::MAX, 2).unwrap(), []);
    }

    /// Others write letters, and what is said of them is no longer than this.
    #[test]
    fn long_notes_are_cut() {
        let store = Store::in_memory().unwrap();
        for (text, length) in
            [("x".repeat(1_000), 1_000), ("ä".repeat(1_000), 1_003), ("x".repeat(1_001), 1_003)]
        {
            store.note(1, Level::Info, &text, &text).unwrap();
            let note = store.notes(store.last_note().unwrap() - 1, 1).unwrap().remove(0);
            assert_eq!((note.about.len(), note.text.len()), (203, length));
        }
    }

    #[test]
    fn facts_by_name() {
        let store = Store::in_memory().unwrap();
        assert_eq!(store.get("cursor").unwrap(), None);
        store.put("cursor", b"1").unwrap();
        store.put("cursor", b"").unwrap();
        assert_eq!(store.get("cursor").unwrap().as_deref(), Some(&b""[..]));
        store.remove("cursor").unwrap();
        store.remove("cursor").unwrap();
        assert_eq!(store.get("cursor").unwrap(), None);
    }

    #[test]
    fn no_number_is_given_twice_after_a_restore() {
        let store = Store::in_memory().unwrap();
        let mut sent = 0;
        let mut send = || {
            sent += 1;
            let mut given = 0;
            let prepare = |number: u64| {
                given = number;
                Ok::<_, StoreFault>(Prepared { mailbox: Address::ZERO, bytes: number.to_le_bytes().to_vec() })
            };
            store.send(Address::ZERO, &sent.to_string(), 1, prepare).unwrap();
            given
        };
        assert_eq!((send(), send()), (1, 2));
        assert_eq!(store.restored().unwrap(), None);
        // Without a restore no block is kept; after one the first that is seen, until the next.
        store.mark_block(7).unwrap();
        assert_eq!(store.restored_at().unwrap(), None);
        let time = 1_800_000_000;
        store.mark_restored(time).unwrap();
        assert_eq!(store.restored().unwrap(), Some(time));
        for (head, kept) in [(8, 8), (9, 8)] {
            store.mark_block(head).unwrap();
            assert_eq!(store.restored_at().unwrap(), Some(kept));
        }
        let first = send();
        assert_eq!((first, send()), ((time << 20) + 1, first + 1));
        // Restored again from the same backup a second later.
        store.mark_restored(time + 1).unwrap();
        assert_eq!(store.restored_at().unwrap(), None);
        assert!(send() > first + 1_000_000);
        store.mark_restored(u64::MAX).unwrap();
        let far = send();
        assert!(far > first && send() == far + 1);
        store.put(RESTORED, b"short").unwrap();
        assert!(matches!(store.restored(), Err(StoreFault::Damaged { .. })));
    }
}
