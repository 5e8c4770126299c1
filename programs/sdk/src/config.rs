//! What a study tells a method: columns, outcome and the method's own settings.
//!
//! The host has read them from the study, checked them against the method's manifest and put everything in order, so that a
//! method finds its settings by position: [`Config::values`] has one number for each entry of the manifest's `config`.

use crate::wire;

wire! {
    /// How a column of data is read. Missing values are NaN in every kind.
    #[derive(Debug, Clone, PartialEq)]
    pub enum Kind {
        /// A measurement.
        Number {
            /// Least plausible value; smaller ones are taken as this one, and counted.
            low: f64,
            /// Largest plausible value, above `low`.
            high: f64,
        },
        /// One of some names; a value is the position of its name, from 0.
        Category {
            /// The names, at least two. The first is what the others are compared with.
            levels: Vec<String>,
        },
        /// A whole number: a count, a score. A method reads it as a number.
        Whole {
            /// Least plausible value.
            low: f64,
            /// Largest plausible value, above `low`.
            high: f64,
        },
        /// A day, as the number of days since 1970-01-01. A method reads it as a number.
        Day {
            /// First plausible day.
            low: f64,
            /// Last plausible day, after `low`.
            high: f64,
        },
        /// Genotypes of a person at the variants of a panel. They stand in blocks of their own ([`crate::data::Data::genotypes`]); the value
        /// in a row is how many of them are missing. Where a model is asked, it is the place of a variant in the panel, from 1.
        Genotypes {
            /// Name of the panel: the hash of its text, in hexadecimal digits.
            panel: String,
            /// How many variants the panel has.
            variants: u32,
        },
    }
}

impl Kind {
    /// Least and largest plausible value of everything that has an order and a distance; none of a category, or of genotypes.
    pub fn range(&self) -> Option<(f64, f64)> {
        match *self {
            Kind::Number { low, high } | Kind::Whole { low, high } | Kind::Day { low, high } => {
                Some((low, high))
            }
            Kind::Category { .. } | Kind::Genotypes { .. } => None,
        }
    }
}

wire! {
    /// What is done where a value is missing.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Missing {
        /// It is an error, which is found before the rows are taken; in a round such a row is left out, since a refusal would tell of it.
        Refuse {},
        /// The row is left out.
        Drop {},
        /// The mean of the present values of all sites takes its place; in a category the most frequent level.
        Mean {},
        /// The median of the present values of all sites; in a category the most frequent level.
        Median {},
    }
}

wire! {
    /// One column that a model is made from.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Feature {
        /// Its name, as it stands in data, model and report.
        pub name: String,
        /// How it is read.
        pub kind: Kind,
        /// Whether a zero means that nothing was measured.
        pub zero_is_missing: bool,
    }
}

wire! {
    /// What is predicted. Its columns follow the features in every block of data.
    #[derive(Debug, Clone, PartialEq)]
    pub enum Outcome {
        /// One column of 0 (no) and 1 (yes).
        YesNo {
            /// Its name.
            name: String,
        },
        /// One column of numbers.
        Number {
            /// Its name.
            name: String,
            /// Least plausible value.
            low: f64,
            /// Largest plausible value, above `low`.
            high: f64,
        },
        /// A column with the time until the event or the end of observation, and one of 0 (not seen) and 1 (seen).
        EventTime {
            /// Name of the column with the time.
            time: String,
            /// Name of the column that says whether the event was seen.
            event: String,
            /// Longest plausible time.
            longest: f64,
        },
    }
}

impl Outcome {
    /// How many columns of data it takes.
    pub fn columns(&self) -> usize {
        match self {
            Outcome::YesNo { .. } | Outcome::Number { .. } => 1,
            Outcome::EventTime { .. } => 2,
        }
    }
}

wire! {
    /// How many rows are too few. What rests on fewer is no number of a group but one of persons.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Least {
        /// Of the part of one site: a block of its numbers (a column, a level, a class, a bin) that rests on fewer rows is sent as
        /// zeros. Binds where everybody sees sums; 0 and 1 bind nothing.
        pub site: u32,
        /// Of all sites together: what rests on fewer rows is not used, and not said with the result; 0 and 1 bind nothing.
        pub sum: u32,
    }
}

wire! {
    /// What a study fixes for a method before the first round.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Config {
        /// Columns of the model, in the order of the data.
        pub features: Vec<Feature>,
        /// What is predicted.
        pub outcome: Outcome,
        /// What is done with missing values of features. Rows without an outcome are always left out.
        pub missing: Missing,
        /// Share of rows that are held out to judge the model, of [0, 0.9].
        pub holdout: f64,
        /// How many rows are too few.
        pub least: Least,
        /// The method's own settings, in the order of its manifest.
        pub values: Vec<f64>,
    }
}

impl Config {
    /// Columns in a block of data: features and outcome.
    pub fn columns(&self) -> usize {
        self.features.len() + self.outcome.columns()
    }

    /// What a site is told of it: all but the method's own settings. Two trainings that differ in these alone ask for the same
    /// sums, and whoever opens one of them must see that.
    pub fn asked(&self) -> Config {
        Config { values: Vec::new(), ..self.clone() }
    }

    /// Whether a number of rows of all sites is too few to be said: not none, and below the minimum.
    pub fn few(&self, rows: u64) -> bool {
        rows > 0 && rows < u64::from(self.least.sum)
    }

    /// A setting by its position in the manifest; NaN when there is none, which no comparison lets through.
    pub fn value(&self, position: usize) -> f64 {
        self.values.get(position).copied().unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire::Wire;

    /// Kinds that came later do not change the bytes of the earlier ones.
    #[test]
    fn kinds_keep_their_bytes() {
        let (low, high) = (0.0, 1.0);
        for (tag, kind) in
            [(0, Kind::Number { low, high }), (2, Kind::Whole { low, high }), (3, Kind::Day { low, high })]
        {
            let bytes = kind.to_bytes();
            assert_eq!((bytes[0], bytes.len(), kind.range()), (tag, 17, Some((low, high))));
            assert_eq!(Kind::from_bytes(&bytes).unwrap(), kind);
        }
        let two = Kind::Category { levels: vec!["a".into(), "b".into()] };
        assert_eq!((two.to_bytes()[0], two.range()), (1, None));
        let genotypes = Kind::Genotypes { panel: "ab".into(), variants: 7 };
        assert_eq!(
            (genotypes.to_bytes(), genotypes.range()),
            (vec![4, 2, 0, 0, 0, b'a', b'b', 7, 0, 0, 0], None)
        );
        assert!(Kind::from_bytes(&[5; 17]).is_err());
    }
}
