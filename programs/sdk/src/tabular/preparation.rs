//! The rounds before a method over a table begins.

use crate::config::{Config, Kind, Missing, Outcome};
use crate::data::Data;
use crate::method::{Ask, Numbers, Opened, Segment, Stage};
use crate::refusal::Refusal;
use crate::wire;

use super::describe::{self, Described};
use super::design::Design;
use super::median::{self, Search};
use super::{MAX_COLUMNS, MAX_ROWS, width};

wire! {
    /// What the preparation asks of every site.
    #[derive(Debug, Clone, PartialEq)]
    pub enum Question {
        /// Counts, sums and squares of the training rows.
        Describe {
            /// The study's configuration.
            config: Config,
        },
        /// For each feature, how many present values of training rows are at or below each threshold.
        Ranks {
            /// The study's configuration.
            config: Config,
            /// Ascending for each feature; none for categories.
            thresholds: Vec<Vec<f64>>,
        },
    }
}

wire! {
    /// Where the preparation stands.
    #[derive(Debug, Clone, PartialEq)]
    pub enum Preparation {
        /// Before the first round.
        Start {
            /// The study's configuration.
            config: Config,
        },
        /// Looking for medians.
        Ranks {
            /// The study's configuration.
            config: Config,
            /// What the first round gave.
            described: Described,
            /// Where each search stands.
            searches: Vec<Search>,
        },
        /// At its end.
        Ready {
            /// What the first round gave.
            described: Described,
            /// The design.
            design: Design,
        },
    }
}

/// Checks what every method over a table needs.
fn check(config: &Config) -> Result<(), Refusal> {
    let no = |why: String| Err(Refusal::because(why));
    if config.features.is_empty() {
        return no("there is no feature; name the columns that the model is made from".into());
    }
    let range = |name: &str, low: f64, high: f64| {
        if low.is_finite() && high.is_finite() && low < high {
            Ok(())
        } else {
            no(format!("the range of `{name}` is {low} to {high}; its end must be above its beginning"))
        }
    };
    for (i, x) in config.features.iter().enumerate() {
        if config.features[..i].iter().any(|other| other.name == x.name) {
            return no(format!("the feature `{}` is named twice", x.name));
        }
        if let Some((low, high)) = x.kind.range() {
            range(&x.name, low, high)?;
        }
        match &x.kind {
            Kind::Category { levels } if levels.len() < 2 => {
                return no(format!("the category `{}` has fewer than two levels; leave it out", x.name));
            }
            Kind::Category { .. } if x.zero_is_missing => {
                return no(format!("the category `{}` has names and no zeros", x.name));
            }
            Kind::Genotypes { .. } => {
                return no(format!("`{}` holds genotypes, which no method over tables takes", x.name));
            }
            Kind::Day { .. } if x.zero_is_missing => {
                return no(format!("the feature `{}` holds days, which have no zero", x.name));
            }
            _ => {}
        }
    }
    let columns = width(config) - 1;
    if columns > MAX_COLUMNS {
        return no(format!("{columns} columns are more than {MAX_COLUMNS}; name fewer features"));
    }
    match &config.outcome {
        Outcome::Number { name, low, high } => range(name, *low, *high)?,
        Outcome::EventTime { time, longest, .. } => range(time, 0.0, *longest)?,
        Outcome::YesNo { .. } => {}
    }
    if !(0.0..=0.9).contains(&config.holdout) {
        return no(format!("the held-out share is {}; it must be from 0 to 0.9", config.holdout));
    }
    Ok(())
}

impl Preparation {
    /// The beginning.
    pub fn new(config: Config) -> Result<Self, Refusal> {
        check(&config)?;
        Ok(Preparation::Start { config })
    }

    /// Its part of an agenda: the stages before the first of a method's own.
    pub fn agenda(config: &Config) -> Result<Vec<Stage>, Refusal> {
        check(config)?;
        let mut agenda = vec![Stage::once("describe", &describe::segments(config))];
        let counts = median::numbers(config);
        if counts > 0 {
            agenda.push(Stage::new("ranks", counts, median::ROUNDS as usize));
        }
        Ok(agenda)
    }

    /// What it asks; none when it is ready.
    pub fn ask(&self) -> Option<(&'static str, Question, Vec<Segment>)> {
        match self {
            Preparation::Start { config } => {
                Some(("describe", Question::Describe { config: config.asked() }, describe::segments(config)))
            }
            Preparation::Ranks { config, searches, .. } => {
                let thresholds = median::thresholds(searches, config.features.len());
                let len = median::numbers(config) as u32;
                let segments = vec![Segment { len, numbers: Numbers::Count { max: MAX_ROWS } }];
                Some(("ranks", Question::Ranks { config: config.asked(), thresholds }, segments))
            }
            Preparation::Ready { .. } => None,
        }
    }

    /// The same as an [`Ask`] of a method, whose question holds this one.
    pub fn ask_as<Q: wire::Wire>(&self, question: impl FnOnce(Question) -> Q) -> Option<Ask> {
        self.ask().map(|(stage, asked, segments)| Ask::new(stage, &question(asked), segments))
    }

    /// After a sum.
    pub fn advance(self, opened: &Opened) -> Result<Self, Refusal> {
        let (config, described, searches) = match self {
            Preparation::Start { config } => {
                let described = Described::read(&config, &opened.sums)?;
                if described.rows == 0 {
                    return Err(Refusal::because(
                        "no site has a row to train on: see its outcome and missing values",
                    ));
                }
                if config.few(described.rows) {
                    return Err(Refusal::because(format!(
                        "all sites together have fewer than the plan's minimum of {} rows to train on",
                        config.least.sum
                    )));
                }
                let number = |i: usize| config.features[i].kind.range().is_some();
                let counts: Vec<u64> = described
                    .present
                    .iter()
                    .enumerate()
                    .map(|(i, &n)| if number(i) { n } else { 0 })
                    .collect();
                let searches = match config.missing {
                    Missing::Median {} => median::start(&counts),
                    _ => Vec::new(),
                };
                (config, described, searches)
            }
            Preparation::Ranks { config, described, mut searches } => {
                median::narrow(&mut searches, &config, &opened.sums)?;
                (config, described, searches)
            }
            ready @ Preparation::Ready { .. } => return Ok(ready),
        };
        if searches.iter().any(|s| !s.done()) {
            return Ok(Preparation::Ranks { config, described, searches });
        }
        let mut fill = described.fill(&config);
        for (i, value) in median::found(&searches) {
            fill[i] = value;
        }
        let scales = described.scales(&config, &fill);
        Ok(Preparation::Ready { described, design: Design::new(config, fill, scales) })
    }
}

/// A site's numbers for a question of the preparation.
pub fn site(question: &Question, data: &dyn Data) -> Result<Vec<f64>, Refusal> {
    match question {
        Question::Describe { config } => describe::site(config, data),
        Question::Ranks { config, thresholds } => median::site(config, thresholds, data),
    }
}
