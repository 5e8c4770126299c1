//! What one check found: nothing, or problems with the names of what they concern.

use std::fmt::Display;

use super::{Check, Outcome};

/// Problems that a check spells out; the others are counted.
const SPELLED_OUT: usize = 5;

/// Longest text of one problem, in characters. A run folder comes from a stranger, who could fill a screen otherwise.
const LONGEST: usize = 600;

/// Collects the problems of one check.
#[derive(Debug)]
pub(super) struct Findings {
    name: &'static str,
    problems: Vec<String>,
    further: usize,
}

impl Findings {
    /// Nothing found yet.
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, problems: Vec::new(), further: 0 }
    }

    /// Notes a problem.
    pub(super) fn fail(&mut self, problem: impl Into<String>) {
        if self.problems.len() < SPELLED_OUT {
            self.problems.push(problem.into());
        } else {
            self.further += 1;
        }
    }

    /// Notes a problem unless `holds`; gives `holds` back.
    pub(super) fn expect(&mut self, holds: bool, otherwise: impl FnOnce() -> String) -> bool {
        if !holds {
            self.fail(otherwise());
        }
        holds
    }

    /// The value, or a problem made of `what` and the reason.
    pub(super) fn take<T, E: Display>(
        &mut self,
        result: Result<T, E>,
        what: impl FnOnce() -> String,
    ) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(reason) => {
                self.fail(format!("{}: {reason}", what()));
                None
            }
        }
    }

    /// Takes over what another list found.
    pub(super) fn append(&mut self, other: Self) {
        other.problems.into_iter().for_each(|problem| self.fail(problem));
        self.further += other.further;
    }

    /// Whether nothing was found so far.
    pub(super) fn clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// The outcome; `holds` is said when nothing was found.
    pub(super) fn check(self, holds: String) -> Check {
        if self.problems.is_empty() {
            return Check { name: self.name, outcome: Outcome::Holds, detail: printable(&holds) };
        }
        let mut detail = self.problems.iter().map(|p| printable(p)).collect::<Vec<_>>().join("; ");
        if self.further > 0 {
            detail.push_str(&format!("; and {} more", self.further));
        }
        Check { name: self.name, outcome: Outcome::Fails, detail }
    }
}

/// Names in a record are a stranger's: what would steer a terminal or turn the direction of reading is replaced.
fn printable(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown: String =
        text.chars().take(LONGEST).map(|c| if steers(c) { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

pub(super) use histone_protocol::with_causes as told;

/// `1 round`, `2 rounds`.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_counted_shortened_and_cannot_steer_a_terminal() {
        let mut findings = Findings::new("x");
        assert!(findings.clean());
        findings.fail("a\u{1b}[2Jb\u{202e}");
        for i in 0..6 {
            findings.expect(i > 6, || format!("p{i}"));
        }
        findings.fail("y".repeat(10_000));
        let check = findings.check(String::new());
        assert_eq!(check.outcome, Outcome::Fails);
        assert_eq!(check.detail, "a\u{fffd}[2Jb\u{fffd}; p0; p1; p2; p3; and 3 more");
        let mut findings = Findings::new("x");
        findings.fail("y".repeat(10_000));
        assert!(findings.check(String::new()).detail.chars().count() <= LONGEST + 1);
        assert_eq!(Findings::new("x").check("all".into()).outcome, Outcome::Holds);
    }
}
