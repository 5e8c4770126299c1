//! A method: the whole algorithm of a training as one module.
//!
//! It has two halves. The **public** half sees the configuration and opened sums, never a row: [`Method::agenda`],
//! [`Method::begin`], [`Method::next`], [`Method::advance`]. Whoever may see the sums runs it, and gets the same bytes. The **private** half runs
//! beside the rows of one site, in fresh memory for each call: [`Method::site`] gives numbers that are only ever opened as a
//! sum over sites, [`Method::report`] what a site says of itself. A trained model is applied by a module of its own
//! ([`Answer`]), which is always open.
//!
//! ```text
//! agenda(config) -> stages: how many numbers, how many rounds at the most
//! begin(config) -> state
//! next(state) -> ask: question, segments        or done: model, facts
//!                  every site: site(question, rows) -> numbers, as the segments promise
//! advance(state, donors, sums) -> state, and again
//! ```

use crate::config::Config;
use crate::data::Data;
use crate::model::Model;
use crate::refusal::Refusal;
use crate::wire;
use crate::wire::Wire;

wire! {
    /// What the numbers of a segment are.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub enum Numbers {
        /// Whole numbers from 0 to `max`.
        Count {
            /// The largest; times the number of sites, at most 2^53.
            max: u64,
        },
        /// Numbers of at most `max_abs` in absolute value, of which `fraction_bits` binary digits behind the point count.
        Real {
            /// The largest absolute value; times the number of sites, below 2^62. What is larger is summed up in a unit of its own,
            /// best a power of two.
            max_abs: f64,
            /// At most 60.
            fraction_bits: u8,
        },
    }
}

wire! {
    /// A part of the numbers that a site gives.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub struct Segment {
        /// How many.
        pub len: u32,
        /// What they are.
        pub numbers: Numbers,
    }
}

wire! {
    /// What the next round asks of every site.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Ask {
        /// Name of the stage, for people: a word.
        pub stage: String,
        /// What [`Method::site`] gets.
        pub question: Vec<u8>,
        /// What it answers.
        pub segments: Vec<Segment>,
    }
}

wire! {
    /// One stage of an agenda: what can be seen of its rounds from outside, whatever the data are.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Stage {
        /// Its name: that of [`Ask::stage`], once in an agenda.
        pub name: String,
        /// How many numbers a site gives in each of its rounds.
        pub numbers: u32,
        /// How many rounds it has at the most. Whoever hides what the data are makes so many, the last of them for show.
        pub rounds: u32,
    }
}

impl Stage {
    /// A stage. What does not fit into its field is the largest that does, which no host takes.
    pub fn new(name: &str, numbers: usize, rounds: usize) -> Self {
        let fit = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { name: name.into(), numbers: fit(numbers), rounds: fit(rounds) }
    }

    /// A stage of one round, which these segments answer.
    pub fn once(name: &str, segments: &[Segment]) -> Self {
        Self::new(name, segments.iter().fold(0, |sum, s| sum.saturating_add(s.len as usize)), 1)
    }
}

/// How far a training has gone through its agenda.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Place of the stage of the last question.
    stage: usize,
    /// Rounds of that stage.
    rounds: u32,
}

impl Progress {
    /// Place in the agenda of the stage of the last question.
    pub fn stage(&self) -> usize {
        self.stage
    }

    /// Rounds of that stage so far, with the last question.
    pub fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Goes on to a question: of the same stage or of a later one, with as many numbers as the agenda says and in no more rounds.
    /// An error says what does not fit.
    pub fn go(&mut self, agenda: &[Stage], ask: &Ask) -> Result<(), String> {
        let name = &ask.stage;
        let Some(at) = agenda.iter().position(|stage| stage.name == *name) else {
            return Err(format!("it asks for the stage `{name}`, which its agenda does not have"));
        };
        if at < self.stage {
            let last = agenda.get(self.stage).map_or("", |stage| &stage.name);
            return Err(format!(
                "it asks for the stage `{name}` after `{last}`; its agenda has them the other way round"
            ));
        }
        let stage = &agenda[at];
        if ask.len() != stage.numbers as usize {
            let (asked, said) = (ask.len(), stage.numbers);
            return Err(format!("it asks for {asked} numbers in the {name} stage, its agenda says {said}"));
        }
        let rounds = if at == self.stage { self.rounds.saturating_add(1) } else { 1 };
        if rounds > stage.rounds {
            let most = stage.rounds;
            return Err(format!(
                "it asks for round {rounds} of the {name} stage, its agenda says {most} at the most"
            ));
        }
        *self = Self { stage: at, rounds };
        Ok(())
    }
}

impl Segment {
    /// A number as it counts: with so many binary digits behind the point. The same on every machine, because scaling by a
    /// power of two is exact. A number within the bound stays within it, whether the bound has these digits or more.
    fn rounded(&self, value: f64) -> f64 {
        let Numbers::Real { fraction_bits, max_abs } = self.numbers else { return value };
        let scale = (1_u64 << fraction_bits.min(60)) as f64;
        let scaled = value * scale;
        // From 2^52 on every double is whole; NaN stays what it is.
        if scaled.abs() >= (1_u64 << 52) as f64 || scaled.is_nan() {
            return value;
        }
        let whole = scaled.round_ties_even();
        let beyond = value.abs() <= max_abs && whole.abs() / scale > max_abs;
        if beyond { scaled.trunc() / scale } else { whole / scale }
    }
}

impl Segment {
    /// Why a number, or a sum of numbers of so many sites, cannot be of this segment.
    fn refuses(&self, v: f64, sites: usize) -> Option<&'static str> {
        let sites = sites.max(1) as f64;
        let most = match self.numbers {
            Numbers::Count { max } => max as f64 * sites,
            // A sum is rounded as often as it has terms.
            Numbers::Real { max_abs, .. } if sites > 1.0 => max_abs * sites * (1.0 + 1e-9),
            Numbers::Real { max_abs, .. } => max_abs,
        };
        let count = matches!(self.numbers, Numbers::Count { .. });
        match v {
            v if v.is_nan() => Some("is none (NaN)"),
            v if count && v.trunc() != v => Some("is no whole number"),
            v if count && v < 0.0 => Some("is a count below 0"),
            v if v > most || v < -most => Some("is beyond its bound"),
            _ => None,
        }
    }
}

impl Ask {
    /// A question that one segment answers.
    pub fn new(stage: &str, question: &impl Wire, segments: Vec<Segment>) -> Self {
        Self { stage: stage.into(), question: question.to_bytes(), segments }
    }

    /// How many numbers a site gives.
    pub fn len(&self) -> usize {
        self.segments.iter().map(|s| s.len as usize).sum()
    }

    /// Rounds a site's numbers to the digits that count.
    pub fn round(&self, numbers: &mut [f64]) {
        let segments = self.segments.iter().flat_map(|s| std::iter::repeat_n(s, s.len as usize));
        numbers.iter_mut().zip(segments).for_each(|(v, segment)| *v = segment.rounded(*v));
    }

    /// Whether numbers answer the question, or sums over so many sites do: as many as the segments say, each within its bound.
    /// An error says which one does not and why, and not what it is.
    pub fn admit(&self, numbers: &[f64], sites: usize) -> Result<(), String> {
        if numbers.len() != self.len() {
            let (got, stage, asked) = (numbers.len(), &self.stage, self.len());
            return Err(format!("it gave {got} numbers where the {stage} stage asks for {asked}"));
        }
        let mut rest = numbers;
        for (i, segment) in self.segments.iter().enumerate() {
            let (here, after) = rest.split_at(segment.len as usize);
            rest = after;
            let wrong = here.iter().enumerate().find_map(|(at, v)| Some((at, segment.refuses(*v, sites)?)));
            if let Some((at, why)) = wrong {
                let stage = &self.stage;
                return Err(format!("number {at} of segment {i} of the {stage} stage {why}"));
            }
        }
        Ok(())
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

wire! {
    /// A value in a table of facts.
    #[derive(Debug, Clone, PartialEq)]
    pub enum Cell {
        /// A number; NaN where there is none.
        Number {
            /// It.
            value: f64,
        },
        /// A word.
        Text {
            /// It.
            text: String,
        },
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Cell::Number { value }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Cell::Text { text: text.into() }
    }
}

wire! {
    /// What a method says of the finished training: tables, of which a single number is the smallest.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Fact {
        /// Name: a word, the same in every training.
        pub name: String,
        /// What it says, for people: a sentence.
        pub says: String,
        /// Names of the columns.
        pub columns: Vec<String>,
        /// Rows, each with a cell for each column.
        pub rows: Vec<Vec<Cell>>,
    }
}

impl Fact {
    /// A table.
    pub fn table(name: &str, says: &str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|&c| c.into()).collect();
        Self { name: name.into(), says: says.into(), columns, rows: Vec::new() }
    }

    /// One number or word.
    pub fn single(name: &str, says: &str, value: impl Into<Cell>) -> Self {
        Self { rows: vec![vec![value.into()]], ..Self::table(name, says, &["value"]) }
    }

    /// Whether it is one number.
    pub fn is_number(&self) -> bool {
        matches!(&self.rows[..], [row] if matches!(&row[..], [Cell::Number { .. }]))
    }

    /// The number that it is; none when it is something else, or no finite number.
    pub fn number(&self) -> Option<f64> {
        match self.rows.first()?.first()? {
            Cell::Number { value } if self.is_number() && value.is_finite() => Some(*value),
            _ => None,
        }
    }

    /// Appends a row.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }
}

wire! {
    /// The end of a training.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Done {
        /// The model.
        pub model: Model,
        /// What there is to say of it.
        pub facts: Vec<Fact>,
    }
}

wire! {
    /// What a state leads to.
    #[derive(Debug, Clone, PartialEq)]
    pub enum Next {
        /// Another round.
        Ask {
            /// What it asks.
            ask: Ask,
        },
        /// No more.
        Done {
            /// The end.
            done: Done,
        },
    }
}

wire! {
    /// What a round gave.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Opened {
        /// The donors in the sum, ascending.
        pub donors: Vec<u16>,
        /// The sum of their numbers.
        pub sums: Vec<f64>,
    }
}

/// The algorithm of a training. See the [module](self).
///
/// The numbers of [`Method::site`] must be functions of the question and the rows only, added up over rows: a sum over sites
/// is all that the public half sees.
pub trait Method {
    /// What the public half remembers between rounds.
    type State: Wire;
    /// What it asks of the private half.
    type Question: Wire;

    /// The stages of a training in their order. It follows from the configuration alone, so that nothing of the data is told by how
    /// many rounds there are and how much is sent. What [`Method::next`] asks must always fit: see [`Progress::go`]. A stage may have
    /// fewer rounds than this says, or none.
    fn agenda(config: &Config) -> Result<Vec<Stage>, Refusal>;

    /// The state before the first round. An error names the setting that does not fit, in a sentence for people.
    fn begin(config: Config) -> Result<Self::State, Refusal>;

    /// What the next round asks; or the end.
    fn next(state: &Self::State) -> Result<Next, Refusal>;

    /// The state after a sum. The host has checked its length and that it is finite; that it can be true is checked here.
    fn advance(state: Self::State, opened: Opened) -> Result<Self::State, Refusal>;

    /// A site's numbers.
    fn site(question: Self::Question, data: &dyn Data) -> Result<Vec<f64>, Refusal>;

    /// What a site says of itself with the finished model: one number for each field of the manifest's `report`, NaN where
    /// there is none.
    fn report(model: &Model, data: &dyn Data) -> Result<Vec<f64>, Refusal>;
}

/// Runs a whole training over these sites, without a ledger, an enclave or a mask: what a site does for a model of its own, and
/// what tests do. Each site's numbers pass the gate of an enclave ([`Ask::admit`]), and each question is one of the agenda; the
/// manifest's limits are not known here. Also gives the number of rounds.
pub fn run_over<M: Method>(config: Config, sites: &[&dyn Data]) -> Result<(Done, u32), Refusal> {
    let mut state = M::begin(config.clone())?;
    let agenda = M::agenda(&config)?;
    let mut progress = Progress::default();
    let mut rounds = 0;
    loop {
        let ask = match M::next(&state)? {
            Next::Done { done } => return Ok((done, rounds)),
            Next::Ask { ask } => ask,
        };
        progress.go(&agenda, &ask).map_err(Refusal::because)?;
        let mut sums = vec![0.0; ask.len()];
        for site in sites {
            let mut numbers = M::site(M::Question::from_bytes(&ask.question)?, *site)?;
            ask.admit(&numbers, 1).map_err(Refusal::because)?;
            ask.round(&mut numbers);
            sums.iter_mut().zip(numbers).for_each(|(sum, v)| *sum += v);
        }
        let donors = (1..=sites.len() as u16).collect();
        state = M::advance(state, Opened { donors, sums })?;
        rounds += 1;
    }
}

/// The same over one site.
pub fn run_alone<M: Method>(config: Config, data: &dyn Data) -> Result<Done, Refusal> {
    Ok(run_over::<M>(config, &[data])?.0)
}

/// How a trained model is applied.
pub trait Answer {
    /// One number for each field of the manifest's `answer`. `row` has a value for each feature, NaN where it is missing.
    fn answer(model: &Model, row: &[f64]) -> Result<Vec<f64>, Refusal>;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Ask, Numbers, Progress, Segment, Stage};

    #[test]
    fn a_question_is_one_of_the_agenda() {
        let agenda = [Stage::new("describe", 3, 1), Stage::new("ranks", 2, 2), Stage::new("judge", 4, 1)];
        let ask = |stage: &str, len| Ask {
            stage: stage.into(),
            question: vec![],
            segments: vec![Segment { len, numbers: Numbers::Count { max: 5 } }],
        };
        // What is asked first, and what of the next question is told.
        let gone = |asked: &[(&str, u32)], stage: &str, len| {
            let mut progress = Progress::default();
            asked.iter().for_each(|(stage, len)| progress.go(&agenda, &ask(stage, *len)).unwrap());
            let before = progress.clone();
            let told = progress.go(&agenda, &ask(stage, len));
            // Whoever is refused has gone nowhere.
            assert!(told.is_ok() || progress == before);
            told.map(|()| (progress.stage(), progress.rounds()))
        };
        assert_eq!(gone(&[], "describe", 3), Ok((0, 1)));
        assert_eq!(gone(&[("describe", 3), ("ranks", 2)], "ranks", 2), Ok((1, 2)));
        // A stage has fewer rounds, or none.
        assert_eq!(gone(&[("describe", 3), ("ranks", 2)], "judge", 4), Ok((2, 1)));
        assert_eq!(gone(&[("describe", 3)], "judge", 4), Ok((2, 1)));
        assert_eq!(gone(&[], "ranks", 2), Ok((1, 1)));
        for (asked, stage, len, why) in [
            (&[][..], "newton", 3, "the stage `newton`, which its agenda does not have"),
            (&[], "describe", 4, "4 numbers in the describe stage, its agenda says 3"),
            (&[("describe", 3)], "describe", 3, "round 2 of the describe stage, its agenda says 1"),
            (&[("ranks", 2), ("ranks", 2)], "ranks", 2, "round 3 of the ranks stage"),
            (&[("ranks", 2)], "describe", 3, "the stage `describe` after `ranks`"),
        ] {
            let told = gone(asked, stage, len).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }

    #[test]
    fn a_number_within_its_bound_stays_within_it() {
        for (max_abs, fraction_bits, value, rounded) in [
            (0.6, 0, 0.6, 0.0),
            (0.6, 0, -0.55, 0.0),
            (0.6, 1, 0.6, 0.5),
            (0.75, 1, 0.75, 0.5),
            (1.0, 0, 0.6, 1.0),
            // Beyond the bound, so that the gate sees it.
            (0.6, 0, 0.7, 1.0),
        ] {
            let segment = Segment { len: 1, numbers: Numbers::Real { max_abs, fraction_bits } };
            assert_eq!(segment.rounded(value), rounded, "{value} of {max_abs} with {fraction_bits} digits");
        }
    }

    #[test]
    fn a_number_that_cannot_be_is_named() {
        let segments = vec![
            Segment { len: 1, numbers: Numbers::Count { max: 5 } },
            Segment { len: 2, numbers: Numbers::Real { max_abs: 1.0, fraction_bits: 60 } },
        ];
        let ask = Ask { stage: "s".into(), question: vec![], segments };
        assert_eq!(ask.admit(&[5.0, -1.0, 1.0], 1), Ok(()));
        assert_eq!(ask.admit(&[10.0, -2.0, 2.0], 2), Ok(()));
        for (numbers, why) in [
            (&[0.0, 0.0][..], "2 numbers where the s stage asks for 3"),
            (&[6.0, 0.0, 0.0], "number 0 of segment 0 of the s stage is beyond its bound"),
            (&[-1.0, 0.0, 0.0], "is a count below 0"),
            (&[0.5, 0.0, 0.0], "is no whole number"),
            (&[0.0, 0.0, f64::NAN], "number 1 of segment 1 of the s stage is none (NaN)"),
            (&[0.0, f64::NEG_INFINITY, 0.0], "is beyond its bound"),
            (&[f64::INFINITY, 0.0, 0.0], "is beyond its bound"),
        ] {
            let told = ask.admit(numbers, 1).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }
}
