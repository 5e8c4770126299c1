//! What a person decides.

use rusqlite::{OptionalExtension, Row, params};
use serde_json::Value;

use super::{Store, StoreFault, moment, whole};

/// What a person is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// What it is about; the same question again has the same key.
    pub key: String,
    /// Its kind, as duties name it.
    pub kind: String,
    /// One line.
    pub title: String,
    /// All that the person should know.
    pub text: String,
    /// The same as data.
    pub facts: Value,
    /// Until when an answer counts.
    pub due: Option<u64>,
}

/// What a person has decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether it was approved.
    pub yes: bool,
    /// Why.
    pub because: String,
    /// Who has decided.
    pub by: String,
}

/// A question and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Its number, by which people name it.
    pub number: u64,
    /// What was asked.
    pub question: Question,
    /// When.
    pub asked_at: u64,
    /// The answer and when it was given.
    pub answer: Option<(Answer, u64)>,
    /// Why it is no longer a question.
    pub taken_back: Option<String>,
}

/// Why an answer does not count.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// No such question.
    #[error("there is no question {0}; the inbox lists those that are open")]
    Unknown(u64),
    /// Answered before.
    #[error(
        "question {number} was {} by {} on {}{}; an answer is not changed",
        if .answer.yes { "approved" } else { "declined" },
        .answer.by,
        moment(*.at),
        if .answer.because.is_empty() { String::new() } else { format!(" (\"{}\")", .answer.because) }
    )]
    Twice {
        /// The question.
        number: u64,
        /// How it was answered.
        answer: Answer,
        /// When.
        at: u64,
    },
    /// The time is over.
    #[error("question {number} was to be answered by {}; it is too late, and it counts as not answered", moment(*.due))]
    TooLate {
        /// The question.
        number: u64,
        /// Until when an answer counted.
        due: u64,
    },
    /// It is no longer a question.
    #[error("question {number} is no longer open: {why}")]
    Withdrawn {
        /// The question.
        number: u64,
        /// Why not.
        why: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

const COLUMNS: &str =
    "number, key, kind, title, text, facts, due, asked, yes, because, answered_by, answered, taken_back";

impl Store {
    /// Asks a person, and gives the question's number. What was asked before under the same key stays as it was asked, with its
    /// answer.
    pub fn ask(&self, question: &Question, now: u64) -> Result<u64, StoreFault> {
        self.change(|change| {
            let Question { key, kind, title, text, facts, due } = question;
            // An insertion that comes to nothing would use up a number, and people count by them.
            if let Some(number) = number_of(change, key).optional()? {
                return Ok(number);
            }
            change.execute(
                "INSERT INTO questions (key, kind, title, text, facts, due, asked) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![key, kind, title, text, facts.to_string(), due.map(whole), whole(now)],
            )?;
            number_of(change, key)
        })
    }

    /// Answers a question, once and in time, and gives it.
    pub fn answer(&self, number: u64, answer: &Answer, now: u64) -> Result<Question, AnswerError> {
        self.change_or(|change| {
            let sql = format!("SELECT {COLUMNS} FROM questions WHERE number = ?1");
            let fault = |error| self.fault(error);
            let asked = change.query_row(&sql, [whole(number)], asked).optional().map_err(fault)?;
            let Asked { question, answer: before, taken_back, .. } = asked.ok_or(AnswerError::Unknown(number))?;
            if let Some((answer, at)) = before {
                return Err(AnswerError::Twice { number, answer, at });
            }
            if let Some(why) = taken_back {
                return Err(AnswerError::Withdrawn { number, why });
            }
            if let Some(due) = question.due.filter(|due| now > *due) {
                return Err(AnswerError::TooLate { number, due });
            }
            let Answer { yes, because, by } = answer;
            change
                .execute(
                    "UPDATE questions SET yes = ?2, because = ?3, answered_by = ?4, answered = ?5 WHERE number = ?1",
                    params![whole(number), yes, because, by, whole(now)],
                )
                .map_err(fault)?;
            Ok(question)
        })
    }

    /// How the question with this key was answered; `None` when it was not.
    pub fn answered(&self, key: &str) -> Result<Option<Answer>, StoreFault> {
        self.look(|store| {
            let sql = format!("SELECT {COLUMNS} FROM questions WHERE key = ?1");
            let asked = store.query_row(&sql, [key], asked).optional()?;
            Ok(asked.and_then(|asked| asked.answer).map(|(answer, _)| answer))
        })
    }

    /// Has an open question closed without an answer, such as when the model it was about was given up. One that was answered stays
    /// answered.
    pub fn take_back(&self, key: &str, why: &str, now: u64) -> Result<(), StoreFault> {
        self.change(|change| {
            change.execute(
                "UPDATE questions SET taken_back = ?2, taken_back_at = ?3
                 WHERE key = ?1 AND yes IS NULL AND taken_back IS NULL",
                params![key, why, whole(now)],
            )?;
            Ok(())
        })
    }

    /// The questions in the order in which they were asked: all, or those that were neither answered nor taken back.
    pub fn questions(&self, open_only: bool) -> Result<Vec<Asked>, StoreFault> {
        self.look(|store| {
            let mut rows = store.prepare(&format!(
                "SELECT {COLUMNS} FROM questions WHERE NOT ?1 OR (yes IS NULL AND taken_back IS NULL) ORDER BY number"
            ))?;
            let rows = rows.query_map([open_only], asked)?;
            rows.collect()
        })
    }
}

fn number_of(change: &rusqlite::Transaction<'_>, key: &str) -> rusqlite::Result<u64> {
    let number: i64 =
        change.query_row("SELECT number FROM questions WHERE key = ?1", [key], |row| row.get(0))?;
    Ok(number.cast_unsigned())
}

fn asked(row: &Row<'_>) -> rusqlite::Result<Asked> {
    let time =
        |place: usize| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(place)?.map(i64::cast_unsigned));
    let answer = match (row.get(8)?, time(11)?) {
        (Some(yes), Some(at)) => Some((Answer { yes, because: row.get(9)?, by: row.get(10)? }, at)),
        _ => None,
    };
    Ok(Asked {
        number: row.get::<_, i64>(0)?.cast_unsigned(),
        question: Question {
            key: row.get(1)?,
            kind: row.get(2)?,
            title: row.get(3)?,
            text: row.get(4)?,
            facts: super::wishes::json(row, 5)?,
            due: time(6)?,
        },
        asked_at: row.get::<_, i64>(7)?.cast_unsigned(),
        answer,
        taken_back: row.get(12)?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn question(key: &str, due: Option<u64>) -> Question {
        let facts = json!({"model": 3, "epsilon": 0.1});
        let [kind, title, text] = ["donate", "Donate to model 3?", "It is about…"].map(str::to_string);
        Question { key: key.to_string(), kind, title, text, facts, due }
    }

    fn yes(yes: bool) -> Answer {
        Answer { yes, because: "the board has agreed".to_string(), by: "Dr. A.".to_string() }
    }

    #[test]
    fn a_question_is_asked_once_and_answered_once() {
        let store = Store::in_memory().unwrap();
        let number = store.ask(&question("a", Some(100)), 5).unwrap();
        let changed = Question { title: "otherwise".to_string(), ..question("a", None) };
        assert_eq!(store.ask(&changed, 6).unwrap(), number);
        let other = store.ask(&question("b", None), 7).unwrap();
        assert_eq!((number, other), (1, 2), "people count by them");
        assert_eq!(store.answered("a").unwrap(), None);
        assert_eq!(store.answer(number, &yes(false), 100).unwrap(), question("a", Some(100)));
        assert_eq!(store.answered("a").unwrap(), Some(yes(false)));
        let twice = store.answer(number, &yes(true), 200).unwrap_err();
        assert_eq!(
            twice.to_string(),
            "question 1 was declined by Dr. A. on 1970-01-01 00:01 UTC (\"the board has agreed\"); an answer is not changed"
        );
        store.take_back("a", "the model was given up", 300).unwrap();
        assert_eq!(store.answered("a").unwrap(), Some(yes(false)));
        let open = store.questions(true).unwrap();
        assert_eq!((open.len(), open[0].number, &open[0].question), (1, other, &question("b", None)));
        let all = store.questions(false).unwrap();
        assert_eq!((all.len(), all[0].asked_at, all[0].answer.clone()), (2, 5, Some((yes(false), 100))));
    }

    #[test]
    fn an_answer_that_does_not_count_changes_nothing() {
        let store = Store::in_memory().unwrap();
        let number = store.ask(&question("a", Some(100)), 5).unwrap();
        assert!(matches!(store.answer(number, &yes(true), 101), Err(AnswerError::TooLate { due: 100, .. })));
        for unknown in [0, number + 1, u64::MAX] {
            assert!(
                matches!(store.answer(unknown, &yes(true), 1), Err(AnswerError::Unknown(n)) if n == unknown)
            );
        }
        store.take_back("a", "the model was given up", 7).unwrap();
        store.take_back("a", "again", 8).unwrap();
        store.take_back("never asked", "again", 8).unwrap();
        let withdrawn = store.answer(number, &yes(true), 9).unwrap_err();
        assert_eq!(withdrawn.to_string(), "question 1 is no longer open: the model was given up");
        assert_eq!(store.ask(&question("a", None), 10).unwrap(), number);
        assert_eq!(store.questions(true).unwrap(), []);
        assert_eq!(store.answered("a").unwrap(), None);
    }
}
