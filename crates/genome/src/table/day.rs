//! Days of the calendar: one spelling, and a whole number for each.

use std::fmt;
use std::str::FromStr;

use super::error::CellProblem;

/// A day of the Gregorian calendar, which is taken to hold for all years from 1 to 9999.
///
/// Read and shown as `YYYY-MM-DD` (ISO 8601) and in no other spelling: whoever reads `03/04/2021` has to guess.
///
/// ```
/// use histone_genome::table::Day;
///
/// let day: Day = "2024-02-29".parse()?;
/// assert_eq!((day.since_1970(), day.to_string().as_str()), (19_782, "2024-02-29"));
/// assert!("2023-02-29".parse::<Day>().is_err());
/// # Ok::<(), histone_genome::table::CellProblem>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(i32);

/// Days from 0000-03-01, where the count below begins, to 1970-01-01.
const TO_1970: i64 = 719_468;
/// Days of 400 years, after which the calendar repeats itself.
const ERA: i64 = 146_097;

impl Day {
    /// 1 January of the year 1.
    pub const FIRST: Self = Self(-719_162);
    /// 31 December of the year 9999.
    pub const LAST: Self = Self(2_932_896);

    /// The day so many days after 1970-01-01; none outside of the years 1 to 9999.
    #[must_use]
    pub fn at(since_1970: i64) -> Option<Self> {
        let day = Self(i32::try_from(since_1970).ok()?);
        (Self::FIRST..=Self::LAST).contains(&day).then_some(day)
    }

    /// The day of a value of a table: a whole number of days since 1970-01-01.
    #[must_use]
    pub fn of(value: f64) -> Option<Self> {
        // The cast is exact for what passes, and what it would saturate is no day.
        if value.fract() == 0.0 { Self::at(value as i64) } else { None }
    }

    /// Days since 1970-01-01; below zero before it.
    #[must_use]
    pub fn since_1970(self) -> i32 {
        self.0
    }

    /// The first day of the same year.
    #[must_use]
    pub fn start_of_year(self) -> Self {
        Self::from_parts(self.parts().0, 1, 1).unwrap_or(self)
    }

    /// The last day of the same year.
    #[must_use]
    pub fn end_of_year(self) -> Self {
        Self::from_parts(self.parts().0, 12, 31).unwrap_or(self)
    }

    fn from_parts(year: i64, month: i64, day: i64) -> Option<Self> {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match month {
            2 => 28 + i64::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        if !(1..=length).contains(&day) {
            return None;
        }
        // Years that begin in March have their leap day at the end, and their months follow one formula.
        let year = year - i64::from(month < 3);
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let of_era = year.rem_euclid(400);
        let days = year.div_euclid(400) * ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
        Self::at(days - TO_1970)
    }

    fn parts(self) -> (i64, i64, i64) {
        let days = i64::from(self.0) + TO_1970;
        let of_era = days.rem_euclid(ERA);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        (days.div_euclid(ERA) * 400 + year + i64::from(month < 3), month, day)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.parts();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl FromStr for Day {
    type Err = CellProblem;

    fn from_str(text: &str) -> Result<Self, CellProblem> {
        match iso(text.as_bytes()) {
            Some([year, month, day]) => Self::from_parts(year, month, day).ok_or(CellProblem::NoSuchDay),
            None => Err(explain(text)),
        }
    }
}

/// The three numbers of `dddd-dd-dd`.
fn iso(text: &[u8]) -> Option<[i64; 3]> {
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0, |sum, c| c.is_ascii_digit().then(|| sum * 10 + i64::from(c - b'0')))
    };
    match text {
        [a, b, c, d, b'-', e, f, b'-', g, h] => {
            Some([number(&[*a, *b, *c, *d])?, number(&[*e, *f])?, number(&[*g, *h])?])
        }
        _ => None,
    }
}

fn explain(text: &str) -> CellProblem {
    let trimmed = text.trim();
    if text.is_empty() {
        return CellProblem::Empty;
    }
    if trimmed.len() != text.len() && iso(trimmed.as_bytes()).is_some() {
        return CellProblem::Spaces;
    }
    let begins = trimmed.as_bytes().split_at_checked(10);
    if begins.is_some_and(|(day, rest)| {
        iso(day).is_some() && matches!(rest, [b'T' | b't' | b' ', b'0'..=b'9', ..])
    }) {
        return CellProblem::TimeOfDay;
    }
    let numbers: Vec<&str> = trimmed.split(['/', '.', '-', ' ']).collect();
    if numbers.len() == 3 && numbers.iter().all(|n| !n.is_empty() && n.bytes().all(|c| c.is_ascii_digit())) {
        return CellProblem::DaySpelling;
    }
    CellProblem::NoDay
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn known_days() {
        for (text, days) in [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2000-02-29", 11_016),
            ("2000-03-01", 11_017),
            ("1900-03-01", -25_508),
            ("0001-01-01", Day::FIRST.since_1970()),
            ("9999-12-31", Day::LAST.since_1970()),
        ] {
            let day: Day = text.parse().unwrap();
            assert_eq!((day.since_1970(), day.to_string().as_str()), (days, text));
        }
        let day: Day = "2021-07-09".parse().unwrap();
        assert_eq!(day.start_of_year().to_string(), "2021-01-01");
        assert_eq!(day.end_of_year().to_string(), "2021-12-31");
        assert_eq!(Day::of(0.5).or(Day::of(f64::NAN)).or(Day::of(1e300)).or(Day::of(2_932_897.0)), None);
    }

    /// Every day of 800 years follows the one before it, and is shown as it is read.
    #[test]
    fn days_follow_each_other() {
        let first: Day = "1600-01-01".parse().unwrap();
        let mut next = first.since_1970();
        for year in 1600..2400 {
            for month in 1..=12 {
                for day in 1..=31 {
                    let text = format!("{year:04}-{month:02}-{day:02}");
                    let Ok(found) = text.parse::<Day>() else { continue };
                    assert_eq!((found.since_1970(), found.to_string()), (next, text));
                    next += 1;
                }
            }
        }
        assert_eq!(next - first.since_1970(), 2 * ERA as i32);
    }

    #[test]
    fn other_spellings_are_refused_and_told_apart() {
        use CellProblem::*;
        for (text, problem) in [
            ("", Empty),
            ("2023-02-29", NoSuchDay),
            ("1900-02-29", NoSuchDay),
            ("2021-13-01", NoSuchDay),
            ("2021-00-10", NoSuchDay),
            ("2021-04-31", NoSuchDay),
            ("0000-12-31", NoSuchDay),
            (" 2021-04-03", Spaces),
            ("2021-04-03T00:00:00", TimeOfDay),
            ("2021-04-03 10:30", TimeOfDay),
            ("03/04/2021", DaySpelling),
            ("03.04.21", DaySpelling),
            ("03-04-2021", DaySpelling),
            ("2021-4-3", DaySpelling),
            ("2021/04/03", DaySpelling),
            ("20210403", NoDay),
            ("3 April 2021", NoDay),
            ("2021-04", NoDay),
            ("+021-04-03", NoDay),
            ("12021-04-03", DaySpelling),
            ("２021-04-03", NoDay),
        ] {
            assert_eq!(text.parse::<Day>(), Err(problem), "{text}");
        }
    }
}
