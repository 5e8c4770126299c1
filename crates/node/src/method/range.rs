//! Ranges of plausible values: as files write them, and as tables have them, rounded outward.

use std::fmt;

use histone_genome::table::{Day, Kind};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

/// One end of a range in a file: a number, or a day as a text or as TOML has dates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum End {
    /// A number.
    Number(f64),
    /// A day.
    Day(Day),
}

// By hand, because the message of an untagged enum would not say what is allowed.
impl<'de> Deserialize<'de> for End {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EndVisitor;
        impl<'de> Visitor<'de> for EndVisitor {
            type Value = End;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a day such as \"2021-04-03\"")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<End, E> {
                Ok(End::Number(number as f64))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<End, E> {
                Ok(End::Number(number))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<End, E> {
                text.parse().map(End::Day).map_err(|_| {
                    E::custom(format!(
                        "`{}` is no day; write year-month-day, such as \"2021-04-03\"",
                        text.escape_debug()
                    ))
                })
            }

            // How the parser hands over a date that stands there without quotes.
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<End, A::Error> {
                let date = toml::value::Datetime::deserialize(MapAccessDeserializer::new(map))?;
                self.visit_str(&date.to_string())
            }
        }
        deserializer.deserialize_any(EndVisitor)
    }
}

/// A range that a file states for a column of this kind; an error says what it has to be, for the end of a sentence.
pub fn stated(kind: &Kind, ends: [End; 2]) -> Result<[f64; 2], &'static str> {
    let number = |end| match end {
        End::Number(number) => Some(number),
        End::Day(_) => None,
    };
    let day = |end| match end {
        End::Day(day) => Some(f64::from(day.since_1970())),
        End::Number(_) => None,
    };
    let (ends, wanted) = match kind {
        Kind::Day => (ends.map(day), "two days, the earlier first, such as [\"2010-01-01\", \"2020-12-31\"]"),
        Kind::Whole => {
            (ends.map(|end| number(end).filter(|v| v.fract() == 0.0)), "two whole numbers, the smaller first")
        }
        Kind::Number | Kind::Category(_) | Kind::Genotypes { .. } => {
            (ends.map(number), "two finite numbers, the smaller first")
        }
    };
    match ends {
        [Some(low), Some(high)] if low.is_finite() && high.is_finite() && low < high => Ok([low, high]),
        _ => Err(wanted),
    }
}

/// A range that holds both values and tells little of them: of numbers at most two digits, whole where the kind is; of days whole
/// years.
pub fn proposed(kind: &Kind, low: f64, high: f64) -> [f64; 2] {
    match kind {
        Kind::Number | Kind::Category(_) | Kind::Genotypes { .. } => outward(low, high),
        Kind::Whole => {
            let [low, high] = outward(low, high);
            let (low, high) = (low.floor(), high.ceil());
            if low < high { [low, high] } else { [low, low + 1.0] }
        }
        Kind::Day => {
            let (first, last) = (Day::of(low).unwrap_or(Day::FIRST), Day::of(high).unwrap_or(Day::LAST));
            [first.start_of_year(), last.end_of_year()].map(|day| f64::from(day.since_1970()))
        }
    }
}

/// A range as files write it.
pub fn written(kind: &Kind, [low, high]: [f64; 2]) -> String {
    match (kind, Day::of(low), Day::of(high)) {
        (Kind::Day, Some(first), Some(last)) => format!("[\"{first}\", \"{last}\"]"),
        (Kind::Whole, ..) => format!("[{low}, {high}]"),
        _ => format!("[{low:?}, {high:?}]"),
    }
}

/// A range of at most two digits that holds both numbers, so that it tells little of the smallest and the largest.
fn outward(low: f64, high: f64) -> [f64; 2] {
    let width = if high > low { high - low } else { high.abs().max(1e-300) };
    // One digit less than the width has: at most a tenth of it at each end.
    let step = 10_f64.powi(width.log10().floor() as i32);
    let down = (low / step).floor() * step;
    let up = (high / step).ceil() * step;
    let (down, up) = (if down > low { down - step } else { down }, if up < high { up + step } else { up });
    // As few digits as the numbers have.
    let short = |v: f64| format!("{v:.3e}").parse::<f64>().unwrap_or(v);
    let (down, up) =
        (if short(down) <= low { short(down) } else { down }, if short(up) >= high { short(up) } else { up });
    if down < up { [down, up] } else { [down - step, up + step] }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_short_and_hold_the_data() {
        assert_eq!(outward(18.2, 97.4), [10.0, 100.0]);
        assert_eq!(outward(0.0, 1.0), [0.0, 1.0]);
        assert_eq!(outward(3.0, 3.0), [0.0, 6.0].map(|v: f64| v).map(|v| if v == 0.0 { 2.0 } else { 4.0 }));
        assert_eq!(outward(1.3e-11, 5.6e-11), [1e-11, 6e-11]);
    }

    #[test]
    fn whole_numbers_stay_whole_and_days_become_years() {
        assert_eq!(proposed(&Kind::Whole, 0.0, 37.0), [0.0, 40.0]);
        assert_eq!(proposed(&Kind::Whole, 0.0, 0.0), [-1.0, 1.0]);
        assert_eq!(proposed(&Kind::Whole, 3.0, 3.0), [2.0, 4.0]);
        let [low, high] = ["2012-03-04", "2019-07-01"].map(|text| text.parse::<Day>().unwrap());
        let range = proposed(&Kind::Day, low.since_1970().into(), high.since_1970().into());
        assert_eq!(written(&Kind::Day, range), "[\"2012-01-01\", \"2019-12-31\"]");
        assert_eq!(stated(&Kind::Day, [End::Day(low), End::Day(high)]), Ok([15_403.0, 18_078.0]));
        assert!(stated(&Kind::Day, [End::Day(high), End::Day(low)]).is_err());
        assert!(stated(&Kind::Day, [End::Number(1.0), End::Number(2.0)]).is_err());
        assert!(stated(&Kind::Whole, [End::Number(1.0), End::Number(2.5)]).is_err());
        assert!(stated(&Kind::Number, [End::Number(1.0), End::Day(low)]).is_err());
    }

    #[test]
    fn ends_are_numbers_or_days() {
        #[derive(Debug, Deserialize)]
        struct Ranges {
            r: [End; 2],
        }
        let read = |text: &str| toml::from_str::<Ranges>(text).map(|ranges| ranges.r);
        let day = |text: &str| End::Day(text.parse().unwrap());
        assert_eq!(read("r = [1, 2.5]").unwrap(), [End::Number(1.0), End::Number(2.5)]);
        let days = [day("2010-01-01"), day("2020-02-29")];
        assert_eq!(read("r = [2010-01-01, 2020-02-29]").unwrap(), days);
        assert_eq!(read("r = [\"2010-01-01\", \"2020-02-29\"]").unwrap(), days);
        for (text, part) in [
            ("r = [\"1/1/2010\", \"2020-02-29\"]", "`1/1/2010` is no day"),
            ("r = [2010-01-01T00:00:00Z, 2020-02-29]", "is no day; write year-month-day"),
            ("r = [true, 1]", "expected a number, or a day such as \"2021-04-03\""),
            ("r = [{ a = 1 }, 1]", ""),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_two_numbers(a in -1e9f64..1e9, b in -1e9f64..1e9, scale in -12i32..6) {
            let (a, b) = (a * 10_f64.powi(scale), b * 10_f64.powi(scale));
            let [low, high] = outward(a.min(b), a.max(b));
            prop_assert!(low <= a.min(b) && high >= a.max(b) && low < high);
        }
    }
}
