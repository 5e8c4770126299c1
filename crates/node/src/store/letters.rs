//! Letters that go out, and letters that came in.

use std::fmt;

use histone_protocol::letter::letter_id;
use histone_protocol::{Address, B256};
use rusqlite::{OptionalExtension, Row, params};

use super::{Store, StoreFault, whole};

/// Seconds to the second try; each further one waits twice as long.
const FIRST_PAUSE: u64 = 60;
/// The longest pause between two tries, in seconds.
const LONGEST_PAUSE: u64 = 3_600;

/// A sealed letter and where it is to be left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The receiver's mailbox.
    pub mailbox: Address,
    /// The sealed letter.
    pub bytes: Vec<u8>,
}

/// A letter that is to be posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its [name](letter_id).
    pub id: B256,
    /// The receiver's account.
    pub to: Address,
    /// Where it is to be left.
    pub mailbox: Address,
    /// What it is for.
    pub purpose: String,
    /// The sealed letter.
    pub bytes: Vec<u8>,
    /// How often it was posted.
    pub tries: u32,
}

/// A letter for which no receipt has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The receiver's account.
    pub to: Address,
    /// What it is for.
    pub purpose: String,
    /// When it was prepared.
    pub since: u64,
    /// How often it was posted.
    pub tries: u32,
}

/// A letter that came in, opened. `Debug` does not show what it says.
#[derive(Clone, PartialEq, Eq)]
pub struct Incoming {
    /// Its [name](letter_id).
    pub id: B256,
    /// Its author's account.
    pub from: Address,
    /// Its author's count. Receipts, which have 0, are not taken into the store.
    pub number: u64,
    /// What it says.
    pub content: String,
    /// The newest block that its author has verified.
    pub head_number: u64,
    /// Its hash.
    pub head_hash: B256,
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incoming(letter {} of {}, {} bytes)", self.number, self.from, self.content.len())
    }
}

impl Store {
    /// Prepares a letter and keeps it until it was delivered; gives true when it is new. For a receiver and purpose that were here
    /// before, delivered or not, nothing is prepared.
    ///
    /// `prepare` gets the letter's number: letters to one receiver are counted from 1. It runs inside of the change and must not ask
    /// the store. After a [restore](Store::mark_restored) the numbers go on from far above: those that were given after the backup
    /// was made are not given twice.
    pub fn send<E: From<StoreFault>>(
        &self,
        to: Address,
        purpose: &str,
        now: u64,
        prepare: impl FnOnce(u64) -> Result<Prepared, E>,
    ) -> Result<bool, E> {
        self.change_or(|change| {
            let fault = |error| self.fault(error);
            let known = change
                .query_row(
                    "SELECT 1 FROM outgoing WHERE receiver = ?1 AND purpose = ?2",
                    params![to.0.0, purpose],
                    |_| Ok(()),
                )
                .optional()
                .map_err(fault)?;
            if known.is_some() {
                return Ok(false);
            }
            let last = change
                .query_row("SELECT max(number) FROM outgoing WHERE receiver = ?1", [to.0.0], |row| {
                    row.get::<_, Option<i64>>(0)
                })
                .map_err(fault)?;
            let floor = super::notes::letters_from(change).map_err(fault)?;
            let number = last.unwrap_or(0).max(floor) + 1;
            let Prepared { mailbox, bytes } = prepare(number.cast_unsigned())?;
            let id = letter_id(&bytes);
            let added = change
                .execute(
                    "INSERT INTO outgoing (id, receiver, number, mailbox, purpose, bytes, made, next)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7) ON CONFLICT (id) DO NOTHING",
                    params![id.0, to.0.0, number, mailbox.0.0, purpose, bytes, whole(now)],
                )
                .map_err(fault)?;
            match added {
                0 => Err(StoreFault::SameLetter { to, purpose: purpose.to_string() }.into()),
                _ => Ok(true),
            }
        })
    }

    /// The letters that are to be posted now: first those that were posted least often, and of these the oldest. Who signs for nothing
    /// keeps no other letter.
    pub fn due_letters(&self, now: u64, most: usize) -> Result<Vec<Outgoing>, StoreFault> {
        self.look(|store| {
            // No pause is longer than the longest: what waits for longer was posted by a clock that was ahead.
            let mut rows = store.prepare(
                "SELECT id, receiver, mailbox, purpose, bytes, tries FROM outgoing
                 WHERE delivered IS NULL AND (next <= ?1 OR next > ?2) ORDER BY tries, place LIMIT ?3",
            )?;
            let rows = rows.query_map(
                params![whole(now), whole(now.saturating_add(LONGEST_PAUSE)), whole(most as u64)],
                |row| {
                    Ok(Outgoing {
                        id: B256::new(row.get(0)?),
                        to: Address::new(row.get(1)?),
                        mailbox: Address::new(row.get(2)?),
                        purpose: row.get(3)?,
                        bytes: row.get(4)?,
                        tries: row.get(5)?,
                    })
                },
            )?;
            rows.collect()
        })
    }

    /// A letter was posted. The next try is after 60 s; the pauses double up to one hour.
    pub fn posted(&self, id: B256, now: u64) -> Result<(), StoreFault> {
        self.change(|change| {
            let tries = change
                .query_row("SELECT tries FROM outgoing WHERE id = ?1 AND delivered IS NULL", [id.0], |row| {
                    row.get::<_, u32>(0)
                })
                .optional()?;
            let Some(tries) = tries else { return Ok(()) };
            // 60 s doubled six times is more than an hour.
            let pause = (FIRST_PAUSE << tries.min(6)).min(LONGEST_PAUSE);
            change.execute(
                "UPDATE outgoing SET tries = ?2, next = ?3 WHERE id = ?1",
                params![id.0, tries.saturating_add(1), whole(now.saturating_add(pause))],
            )?;
            Ok(())
        })
    }

    /// A receipt has come: the letter's bytes go, the row stays. False when no such letter waits.
    pub fn delivered(&self, id: B256, now: u64) -> Result<bool, StoreFault> {
        self.change(|change| {
            let changed = change.execute(
                "UPDATE outgoing SET bytes = NULL, delivered = ?2 WHERE id = ?1 AND delivered IS NULL",
                params![id.0, whole(now)],
            )?;
            Ok(changed > 0)
        })
    }

    /// The same for a receipt by this party: nobody else signs for a letter to it.
    pub fn signed_for(&self, id: B256, by: Address, now: u64) -> Result<bool, StoreFault> {
        self.change(|change| {
            let changed = change.execute(
                "UPDATE outgoing SET bytes = NULL, delivered = ?3 WHERE id = ?1 AND receiver = ?2 AND delivered IS NULL",
                params![id.0, by.as_slice(), whole(now)],
            )?;
            Ok(changed > 0)
        })
    }

    /// Forgets the letters for which no receipt has come, as if they had never been prepared: for whoever knows that none went out.
    pub fn forget_unsent(&self) -> Result<(), StoreFault> {
        self.change(|change| {
            change.execute("DELETE FROM outgoing WHERE delivered IS NULL", [])?;
            Ok(())
        })
    }

    /// The letters for which no receipt has come, the oldest first.
    pub fn undelivered(&self) -> Result<Vec<Waiting>, StoreFault> {
        self.look(|store| {
            let mut rows = store.prepare(
                "SELECT receiver, purpose, made, tries FROM outgoing WHERE delivered IS NULL ORDER BY place",
            )?;
            let rows = rows.query_map([], |row| {
                Ok(Waiting {
                    to: Address::new(row.get(0)?),
                    purpose: row.get(1)?,
                    since: row.get::<_, i64>(2)?.cast_unsigned(),
                    tries: row.get(3)?,
                })
            })?;
            rows.collect()
        })
    }

    /// When the next letter is to be posted; `None` when none waits.
    pub fn next_due(&self) -> Result<Option<u64>, StoreFault> {
        self.look(|store| {
            let next: Option<i64> =
                store.query_row("SELECT min(next) FROM outgoing WHERE delivered IS NULL", [], |row| {
                    row.get(0)
                })?;
            Ok(next.map(i64::cast_unsigned))
        })
    }

    /// Takes a letter in; false when it is known by its author and number.
    pub fn take(&self, letter: &Incoming, now: u64) -> Result<bool, StoreFault> {
        self.change(|change| {
            let added = change.execute(
                "INSERT INTO incoming (id, author, number, content, head_number, head_hash, taken)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (author, number) DO NOTHING",
                params![
                    letter.id.0,
                    letter.from.0.0,
                    letter.number.cast_signed(),
                    letter.content,
                    letter.head_number.cast_signed(),
                    letter.head_hash.0,
                    whole(now)
                ],
            )?;
            Ok(added > 0)
        })
    }

    /// The letters that were not dealt with, the oldest first.
    pub fn unread(&self) -> Result<Vec<Incoming>, StoreFault> {
        self.look(|store| {
            let mut rows = store.prepare(
                "SELECT id, author, number, content, head_number, head_hash FROM incoming
                 WHERE done IS NULL ORDER BY place",
            )?;
            let rows = rows.query_map([], incoming)?;
            rows.collect()
        })
    }

    /// The names of the same letters, in the same order.
    pub fn unread_ids(&self) -> Result<Vec<B256>, StoreFault> {
        self.look(|store| {
            let mut rows = store.prepare("SELECT id FROM incoming WHERE done IS NULL ORDER BY place")?;
            let rows = rows.query_map([], |row| row.get(0).map(B256::new))?;
            rows.collect()
        })
    }

    /// How many letters of each author were not dealt with, and how many bytes they say.
    pub fn unread_by_author(&self) -> Result<Vec<(Address, u64, u64)>, StoreFault> {
        self.look(|store| {
            let mut rows = store.prepare(
                "SELECT author, count(*), sum(length(CAST(content AS BLOB))) FROM incoming
                 WHERE done IS NULL GROUP BY author",
            )?;
            let number = |row: &Row<'_>, place| row.get::<_, i64>(place).map(i64::cast_unsigned);
            let rows =
                rows.query_map([], |row| Ok((Address::new(row.get(0)?), number(row, 1)?, number(row, 2)?)))?;
            rows.collect()
        })
    }

    /// A letter was dealt with: what it says goes, the row stays.
    pub fn read(&self, id: B256, now: u64) -> Result<(), StoreFault> {
        self.change(|change| {
            change.execute(
                "UPDATE incoming SET content = NULL, done = ?2 WHERE id = ?1 AND done IS NULL",
                params![id.0, whole(now)],
            )?;
            Ok(())
        })
    }
}

fn incoming(row: &Row<'_>) -> rusqlite::Result<Incoming> {
    Ok(Incoming {
        id: B256::new(row.get(0)?),
        from: Address::new(row.get(1)?),
        number: row.get::<_, i64>(2)?.cast_unsigned(),
        content: row.get(3)?,
        head_number: row.get::<_, i64>(4)?.cast_unsigned(),
        head_hash: B256::new(row.get(5)?),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn store() -> Store {
        Store::in_memory().unwrap()
    }

    fn send(store: &Store, to: u8, purpose: &str, now: u64) -> Option<u64> {
        let mut given = None;
        let to = Address::repeat_byte(to);
        let new = store
            .send(to, purpose, now, |number| {
                given = Some(number);
                let bytes = format!("{to} {purpose} {number}").into_bytes();
                Ok::<_, StoreFault>(Prepared { mailbox: Address::repeat_byte(9), bytes })
            })
            .unwrap();
        assert_eq!(new, given.is_some());
        given
    }

    #[test]
    fn a_purpose_is_prepared_once_and_letters_are_counted_by_receiver() {
        let store = store();
        assert_eq!(send(&store, 1, "a", 10), Some(1));
        assert_eq!(send(&store, 1, "b", 10), Some(2));
        assert_eq!(send(&store, 2, "a", 10), Some(1), "another receiver is another letter");
        assert_eq!(send(&store, 1, "a", 20), None);
        let id = store.due_letters(10, 9).unwrap()[0].id;
        assert!(store.delivered(id, 30).unwrap());
        assert!(!store.delivered(id, 30).unwrap());
        assert!(!store.delivered(B256::ZERO, 30).unwrap());
        assert_eq!(send(&store, 1, "a", 40), None, "delivered is not forgotten");
        assert_eq!(send(&store, 1, "c", 40), Some(3));
        let waiting: Vec<_> =
            store.undelivered().unwrap().into_iter().map(|w| (w.purpose, w.since)).collect();
        assert_eq!(waiting, [("b".to_string(), 10), ("a".to_string(), 10), ("c".to_string(), 40)]);
        // Nothing is left of the bytes.
        let bytes =
            store.look(|s| s.query_row("SELECT count(bytes) FROM outgoing", [], |r| r.get::<_, u32>(0)));
        assert_eq!(bytes.unwrap(), 3);
    }

    #[test]
    fn what_cannot_be_prepared_leaves_nothing() {
        let store = store();
        let refused = store.send(Address::ZERO, "a", 1, |_| Err(StoreFault::Inside(Default::default())));
        assert!(matches!(refused, Err(StoreFault::Inside(_))));
        let panicked = std::panic::catch_unwind(|| {
            store.send::<StoreFault>(Address::ZERO, "a", 1, |_| panic!("as a test"))
        });
        assert!(panicked.is_err());
        assert!(store.undelivered().unwrap().is_empty());
        let inside = store.send(Address::ZERO, "a", 1, |_| {
            store.next_due()?;
            Ok(Prepared { mailbox: Address::ZERO, bytes: vec![1] })
        });
        assert!(matches!(inside, Err(StoreFault::Inside(_))), "instead of waiting for itself");
        let prepare = |_| Ok::<_, StoreFault>(Prepared { mailbox: Address::ZERO, bytes: vec![1] });
        assert!(store.send(Address::ZERO, "a", 1, prepare).unwrap());
        let same = store.send(Address::ZERO, "b", 1, prepare).unwrap_err();
        assert!(matches!(same, StoreFault::SameLetter { .. }));
    }

    #[test]
    fn pauses_double_up_to_an_hour() {
        let store = store();
        send(&store, 1, "a", 1_000);
        let mut now = 1_000;
        let mut pauses = Vec::new();
        for tries in 0..9 {
            assert_eq!(store.next_due().unwrap(), Some(now));
            assert!(tries == 0 || store.due_letters(now - 1, 9).unwrap().is_empty());
            let due = store.due_letters(now, 9).unwrap();
            assert_eq!((due.len(), due[0].tries), (1, tries));
            store.posted(due[0].id, now).unwrap();
            let next = store.next_due().unwrap().unwrap();
            pauses.push(next - now);
            now = next;
        }
        assert_eq!(pauses, [60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]);
        // Posted by a clock that was two years ahead.
        let id = store.due_letters(now, 9).unwrap()[0].id;
        store.posted(id, now + 63_000_000).unwrap();
        assert_eq!(store.due_letters(now, 9).unwrap().len(), 1);
        store.posted(id, u64::MAX).unwrap();
        assert_eq!(store.due_letters(now, 9).unwrap().len(), 1);
        store.delivered(id, now).unwrap();
        store.posted(id, now).unwrap();
        assert_eq!(store.next_due().unwrap(), None);
        // The oldest first, and no more than asked for.
        for n in 0..5 {
            send(&store, 2, &n.to_string(), now);
        }
        let due: Vec<_> = store.due_letters(now, 3).unwrap().into_iter().map(|l| l.purpose).collect();
        assert_eq!(due, ["0", "1", "2"]);
    }

    #[test]
    fn a_letter_is_known_again() {
        let store = store();
        let letter = |id: u8, from: u8, number: u64| Incoming {
            id: B256::repeat_byte(id),
            from: Address::repeat_byte(from),
            number,
            content: format!("{id}"),
            head_number: u64::MAX,
            head_hash: B256::repeat_byte(7),
        };
        // Numbers from others may be anything.
        assert!(store.take(&letter(1, 1, u64::MAX), 5).unwrap());
        assert!(store.take(&letter(2, 1, 1), 5).unwrap());
        assert!(store.take(&letter(3, 2, 1), 5).unwrap());
        assert!(!store.take(&letter(1, 1, u64::MAX), 5).unwrap());
        assert!(!store.take(&letter(4, 1, 1), 5).unwrap(), "sealed again, it is the same letter");
        assert_eq!(store.unread().unwrap(), [letter(1, 1, u64::MAX), letter(2, 1, 1), letter(3, 2, 1)]);
        store.read(B256::repeat_byte(1), 6).unwrap();
        store.read(B256::repeat_byte(1), 7).unwrap();
        assert_eq!(store.unread().unwrap(), [letter(2, 1, 1), letter(3, 2, 1)]);
        assert!(!store.take(&letter(1, 1, u64::MAX), 8).unwrap());
        assert_eq!(store.unread().unwrap().len(), 2);
        let long = Incoming { content: "ä".repeat(50), ..letter(5, 2, 2) };
        store.take(&long, 8).unwrap();
        let [one, two] = [1, 2].map(Address::repeat_byte);
        assert_eq!(store.unread_by_author().unwrap(), [(one, 1, 1), (two, 2, 101)]);
    }
}
