//! What the operator has asked the node to do.

use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Row, params};
use serde_json::Value;

use super::{Store, StoreFault, whole};

/// What the operator has asked the node to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// Its number, by which people name it.
    pub number: u64,
    /// Its kind, as duties name it.
    pub kind: String,
    /// What is to be done.
    pub what: Value,
    /// When it was asked for.
    pub made_at: u64,
    /// What became of it.
    pub state: WishState,
    /// How far it is, for people; empty at first.
    pub progress: String,
}

/// What became of a wish.
#[derive(Debug, Clone, PartialEq)]
pub enum WishState {
    /// Not done yet.
    Open,
    /// Done, with the outcome.
    Done(Value),
    /// It cannot be done, and why.
    Failed(String),
}

const COLUMNS: &str = "number, kind, what, made, state, outcome, progress";

impl Store {
    /// Keeps what the operator asks for, and gives its number. The same again is another wish.
    pub fn wish(&self, kind: &str, what: &Value, now: u64) -> Result<u64, StoreFault> {
        self.change(|change| {
            change.execute(
                "INSERT INTO wishes (kind, what, made) VALUES (?1, ?2, ?3)",
                params![kind, what.to_string(), whole(now)],
            )?;
            Ok(change.last_insert_rowid().cast_unsigned())
        })
    }

    /// The wishes in the order in which they were made: all, or those that are open.
    pub fn wishes(&self, open_only: bool) -> Result<Vec<Wish>, StoreFault> {
        self.look(|store| {
            let sql = format!("SELECT {COLUMNS} FROM wishes WHERE NOT ?1 OR state = 'open' ORDER BY number");
            let mut rows = store.prepare(&sql)?;
            let rows = rows.query_map([open_only], wish)?;
            rows.collect()
        })
    }

    /// One wish; `None` when there is none of this number.
    pub fn get_wish(&self, number: u64) -> Result<Option<Wish>, StoreFault> {
        let sql = format!("SELECT {COLUMNS} FROM wishes WHERE number = ?1");
        self.look(|store| store.query_row(&sql, [whole(number)], wish).optional())
    }

    /// Says how far a wish is. One that was ended stays as it was.
    pub fn wish_progress(&self, number: u64, text: &str) -> Result<(), StoreFault> {
        self.change(|change| {
            change.execute(
                "UPDATE wishes SET progress = ?2 WHERE number = ?1 AND state = 'open'",
                params![whole(number), text],
            )?;
            Ok(())
        })
    }

    /// A wish is done. One that was ended stays as it was.
    pub fn wish_done(&self, number: u64, outcome: &Value, now: u64) -> Result<(), StoreFault> {
        self.end_wish(number, "done", &outcome.to_string(), now)
    }

    /// A wish cannot be done. One that was ended stays as it was.
    pub fn wish_failed(&self, number: u64, why: &str, now: u64) -> Result<(), StoreFault> {
        self.end_wish(number, "failed", why, now)
    }

    fn end_wish(&self, number: u64, state: &str, outcome: &str, now: u64) -> Result<(), StoreFault> {
        self.change(|change| {
            change.execute(
                "UPDATE wishes SET state = ?2, outcome = ?3, ended = ?4 WHERE number = ?1 AND state = 'open'",
                params![whole(number), state, outcome, whole(now)],
            )?;
            Ok(())
        })
    }
}

fn wish(row: &Row<'_>) -> rusqlite::Result<Wish> {
    let state = match row.get::<_, String>(4)?.as_str() {
        "done" => WishState::Done(json(row, 5)?),
        "failed" => WishState::Failed(row.get(5)?),
        // The column allows these three.
        _ => WishState::Open,
    };
    Ok(Wish {
        number: row.get::<_, i64>(0)?.cast_unsigned(),
        kind: row.get(1)?,
        what: json(row, 2)?,
        made_at: row.get::<_, i64>(3)?.cast_unsigned(),
        state,
        progress: row.get(6)?,
    })
}

/// A column that holds JSON.
pub(super) fn json(row: &Row<'_>, column: usize) -> rusqlite::Result<Value> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_wish_is_ended_once() {
        let store = Store::in_memory().unwrap();
        let what = json!({"file": "table.csv", "share": 0.1});
        let [first, second, third] = [1, 2, 3].map(|now| store.wish("add data", &what, now).unwrap());
        store.wish_progress(second, "half").unwrap();
        store.wish_done(first, &json!({"data": 7}), 5).unwrap();
        store.wish_failed(first, "too late", 6).unwrap();
        store.wish_failed(second, "no such file", 6).unwrap();
        store.wish_progress(second, "more").unwrap();
        store.wish_done(99, &json!(null), 6).unwrap();
        let states: Vec<_> = store.wishes(false).unwrap().into_iter().map(|w| (w.number, w.state)).collect();
        let failed = WishState::Failed("no such file".to_string());
        let done = WishState::Done(json!({"data": 7}));
        assert_eq!(states, [(first, done), (second, failed.clone()), (third, WishState::Open)]);
        assert_eq!(store.wishes(true).unwrap().len(), 1);
        let wish = store.get_wish(second).unwrap().unwrap();
        let kind = "add data".to_string();
        let progress = "half".to_string();
        assert_eq!(wish, Wish { number: second, kind, what, made_at: 2, state: failed, progress });
        assert_eq!(store.get_wish(u64::MAX).unwrap(), None);
    }

    #[test]
    fn what_was_altered_is_said() {
        let store = Store::in_memory().unwrap();
        let number = store.wish("a", &json!(1), 1).unwrap();
        store.change(|c| c.execute("UPDATE wishes SET what = '{'", [])).unwrap();
        assert!(matches!(store.get_wish(number), Err(StoreFault::Damaged { .. })));
    }
}
