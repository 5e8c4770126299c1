//! Which cells of an outcome mean yes, which mean no, and what becomes of the others.

use std::fmt;
use std::str::FromStr;

use super::error::CellProblem;
use super::{TableError, number};

/// A comparison that a cell of an outcome meets or not, such as `> 0` or `== yes`. The default is `== 1`.
///
/// ```
/// use histone_genome::table::Rule;
///
/// let ill: Rule = "> 0".parse()?;
/// assert!(ill.holds("3.0") && !ill.holds("0") && !ill.holds("unknown"));
/// # Ok::<(), histone_genome::table::TableError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    comparison: Comparison,
    with: With,
}

#[derive(Clone, Debug, PartialEq)]
enum With {
    Number(f64),
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
}

// The two-character signs come first, because a sign is found by its prefix.
const SIGNS: [(&str, Comparison); 6] = [
    (">=", Comparison::GreaterOrEqual),
    ("<=", Comparison::LessOrEqual),
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    (">", Comparison::Greater),
    ("<", Comparison::Less),
];

impl Rule {
    /// The rule that names one cell: its number, or its text if it is none.
    #[must_use]
    pub fn equal_to(cell: &str) -> Self {
        let with = number::parse(cell).map_or_else(|_| With::Text(cell.to_owned()), With::Number);
        Self { comparison: Comparison::Equal, with }
    }

    /// True when a cell meets the rule. A rule with a number is met by numbers only.
    #[must_use]
    pub fn holds(&self, cell: &str) -> bool {
        self.compare(cell).unwrap_or(false)
    }

    /// Whether it names one value, and leaves open what the others are. All other rules divide everything in two.
    #[must_use]
    pub fn names_one(&self) -> bool {
        self.comparison == Comparison::Equal
    }

    /// Whether it compares numbers.
    #[must_use]
    pub fn compares_numbers(&self) -> bool {
        matches!(self.with, With::Number(_))
    }

    /// None when a cell cannot be compared, which is a text beside a number.
    fn compare(&self, cell: &str) -> Option<bool> {
        let number = match &self.with {
            With::Text(text) => return Some((text == cell) == (self.comparison == Comparison::Equal)),
            With::Number(number) => *number,
        };
        let cell = number::parse(cell).ok()?;
        Some(match self.comparison {
            Comparison::Greater => cell > number,
            Comparison::GreaterOrEqual => cell >= number,
            Comparison::Equal => cell == number,
            Comparison::NotEqual => cell != number,
            Comparison::Less => cell < number,
            Comparison::LessOrEqual => cell <= number,
        })
    }
}

impl Default for Rule {
    fn default() -> Self {
        Self { comparison: Comparison::Equal, with: With::Number(1.0) }
    }
}

impl FromStr for Rule {
    type Err = TableError;

    fn from_str(text: &str) -> Result<Self, TableError> {
        let refuse = || TableError::Rule { text: text.to_owned() };
        let (rest, comparison) = SIGNS
            .iter()
            .find_map(|(sign, comparison)| Some((text.trim().strip_prefix(sign)?, *comparison)))
            .ok_or_else(refuse)?;
        let rest = rest.trim();
        let with = match number::parse(rest) {
            Ok(number) => With::Number(number),
            // Texts have no order, and a sign too many is a slip of the pen.
            Err(_)
                if matches!(comparison, Comparison::Equal | Comparison::NotEqual)
                    && !rest.is_empty()
                    && !rest.starts_with(['=', '<', '>', '!']) =>
            {
                With::Text(rest.to_owned())
            }
            Err(_) => return Err(refuse()),
        };
        Ok(Self { comparison, with })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = SIGNS
            .iter()
            .find(|(_, comparison)| *comparison == self.comparison)
            .map_or("==", |(sign, _)| sign);
        match &self.with {
            With::Number(number) => write!(f, "{sign} {number}"),
            With::Text(text) => write!(f, "{sign} {text}"),
        }
    }
}

/// What becomes of rows whose outcome no rule names, or is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Other {
    /// They are errors.
    #[default]
    Refuse,
    /// They are left out, and counted.
    LeaveOut,
}

/// How a yes/no outcome is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct YesNo {
    /// What means yes.
    pub positive: Rule,
    /// What means no. Where it is not said, a rule that divides everything has said it; beside a rule that names one value
    /// everything else means no, as long as that is one value, too.
    pub negative: Option<Rule>,
    /// What becomes of everything else.
    pub other: Other,
}

impl From<Rule> for YesNo {
    fn from(positive: Rule) -> Self {
        Self { positive, ..Self::default() }
    }
}

impl YesNo {
    /// Whether a cell that is not missing means yes; none when no rule names it.
    ///
    /// # Errors
    /// [`CellProblem::LabelBoth`] when both rules name it.
    pub fn of(&self, cell: &str) -> Result<Option<bool>, CellProblem> {
        let yes = self.positive.compare(cell);
        let no = match &self.negative {
            Some(rule) => rule.holds(cell),
            None => yes == Some(false) && !self.positive.names_one(),
        };
        match (yes == Some(true), no) {
            (true, true) => Err(CellProblem::LabelBoth),
            (true, false) => Ok(Some(true)),
            (false, true) => Ok(Some(false)),
            (false, false) => Ok(None),
        }
    }

    /// Why a cell that no rule names cannot be read.
    pub(super) fn unnamed(&self, cell: &str) -> CellProblem {
        let numbers =
            self.positive.compares_numbers() && self.negative.as_ref().is_none_or(Rule::compares_numbers);
        if numbers && number::parse(cell).is_err() {
            CellProblem::LabelText
        } else {
            CellProblem::LabelUnnamed
        }
    }
}

/// Reads the cells of one column by a rule, and remembers the one value that means no where no rule names it.
pub(super) struct Reading<'a> {
    rule: &'a YesNo,
    no: Option<Rule>,
}

impl<'a> Reading<'a> {
    pub(super) fn by(rule: &'a YesNo) -> Self {
        Self { rule, no: None }
    }

    /// 1 for yes, 0 for no, `NaN` for a row that is left out.
    pub(super) fn read(&mut self, cell: &str) -> Result<f64, CellProblem> {
        if let Some(yes) = self.rule.of(cell)? {
            return Ok(f64::from(u8::from(yes)));
        }
        let problem = self.rule.unnamed(cell);
        let assumed = self.rule.negative.is_none() && self.rule.positive.names_one();
        if assumed && problem != CellProblem::LabelText {
            return match &self.no {
                Some(no) if no.holds(cell) => Ok(0.0),
                Some(_) => Err(CellProblem::LabelThird),
                None => {
                    self.no = Some(match self.rule.positive.compares_numbers() {
                        true => Rule::equal_to(cell),
                        false => Rule { comparison: Comparison::Equal, with: With::Text(cell.to_owned()) },
                    });
                    Ok(0.0)
                }
            };
        }
        match self.rule.other {
            Other::Refuse => Err(problem),
            Other::LeaveOut => Ok(f64::NAN),
        }
    }

    /// As [`read`](Self::read), for a missing cell.
    pub(super) fn missing(&self) -> Result<f64, CellProblem> {
        match self.rule.other {
            Other::Refuse => Err(CellProblem::LabelMissing),
            Other::LeaveOut => Ok(f64::NAN),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn rule(text: &str) -> Rule {
        text.parse().unwrap()
    }

    #[test]
    fn compares() {
        for (text, below, equal, above) in [
            ("> 2", false, false, true),
            (">=2", false, true, true),
            ("== 2.0", false, true, false),
            ("!= 2", true, false, true),
            ("<2", true, false, false),
            ("<= 2e0", true, true, false),
        ] {
            let rule = rule(text);
            assert_eq!(["1", "2.00", "3"].map(|cell| rule.holds(cell)), [below, equal, above], "{text}");
            assert_eq!(rule.to_string().parse::<Rule>().unwrap(), rule);
            assert!(!rule.holds("two"));
        }
        let text = rule("==  ill at home ");
        assert_eq!(text.to_string().parse::<Rule>().unwrap(), text);
        assert!(text.holds("ill at home") && !text.holds("Ill at home") && !text.holds("1"));
        assert!(rule("!= well").holds("ill") && !rule("!= well").holds("well"));
    }

    #[test]
    fn refuses() {
        for text in ["", "1", "= 1", "=> 1", "> x", "> inf", ">", "> 1 2", "==", "=== 1", "yes"] {
            assert!(text.parse::<Rule>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_cell_is_named_or_an_error() {
        use CellProblem::*;
        let check = |positive: &str, negative: Option<&str>, cells: &[(&str, Result<f64, CellProblem>)]| {
            let negative = negative.map(rule);
            let rule = YesNo { positive: rule(positive), negative, other: Other::Refuse };
            let mut reading = Reading::by(&rule);
            for (cell, expected) in cells {
                assert_eq!(reading.read(cell), *expected, "{positive} {cell}");
            }
        };
        check("== 1", None, &[("0", Ok(0.0)), ("1", Ok(1.0)), ("0.0", Ok(0.0)), ("9", Err(LabelThird))]);
        check("== 1", None, &[("yes", Err(LabelText))]);
        check("== yes", None, &[("yes", Ok(1.0)), ("no", Ok(0.0)), ("No", Err(LabelThird))]);
        check("== 1", Some("== 0"), &[("0", Ok(0.0)), ("1", Ok(1.0)), ("9", Err(LabelUnnamed))]);
        check(">= 1", None, &[("0", Ok(0.0)), ("9", Ok(1.0)), ("yes", Err(LabelText))]);
        check("!= 0", None, &[("0", Ok(0.0)), ("9", Ok(1.0))]);
        check(">= 1", Some("<= 1"), &[("1", Err(LabelBoth))]);
        let rule = YesNo { positive: rule("== 1"), negative: Some(rule("== 0")), other: Other::LeaveOut };
        let mut reading = Reading::by(&rule);
        assert!(reading.read("9").unwrap().is_nan() && reading.read("unknown").unwrap().is_nan());
        assert!(reading.missing().unwrap().is_nan());
    }
}
