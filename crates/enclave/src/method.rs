//! Methods on the engine: the two halves of a training as calls of one measured module.
//!
//! Every call starts in fresh memory. What the public half gives is a function of bytes that anybody has who sees the opened
//! sums, so that a stranger recomputes it; what the private half gives passes the gate that the question's segments describe.
//! When the private half gives nothing that passes, why is not said ([`MethodError::Withheld`]): the reason, and the place of a
//! number that is out of its bound, can be chosen by the rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use histone_federation::BoxError;
use histone_federation::header::check_ask;
use histone_federation::plan::check_agenda;
use histone_program_sdk::config::Config;
use histone_program_sdk::data::Block;
use histone_program_sdk::entries::advance_input;
use histone_program_sdk::method::{Ask, Cell, Done, Fact, Next, Opened, Progress, Stage};
use histone_program_sdk::model::Model;
use histone_program_sdk::wire::{Wire, WireError, decode_vector, encode_vector};

use crate::engine::{Budget, ForOwner, LoadedProgram, RunError};
use crate::manifest::{Field, Manifest};

/// Bytes of a block of private input, about. A block is there twice while it is read, as bytes and as numbers, in memory that
/// begins fresh with each call: the more of it is touched for the first time, the more a call waits for the kernel.
const BLOCK_BYTES: usize = 512 << 10;

/// Rows in a block of so many columns: few columns make no longer blocks, so that small tables have several, too.
fn block_rows(columns: usize) -> usize {
    (BLOCK_BYTES / (8 * (columns + 1))).clamp(64, 4096)
}

/// Facts that a method may give of one training, and their bytes: a reader's screen and memory have ends.
const MAX_FACTS: usize = 1_000;
const MAX_FACT_BYTES: usize = 4 << 20;

/// Why a method gives no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MethodError {
    /// The program is no method.
    #[error("`{0}` is no method: it has other entries")]
    NotAMethod(String),
    /// A call of it ended without a result.
    #[error("the method `{method}`, {entry}: {error}")]
    Run {
        /// Its name.
        method: String,
        /// What was called.
        entry: &'static str,
        /// Why.
        error: RunError,
    },
    /// What it gave is not what the entry must give.
    #[error("the method `{method}`, {entry}: its output is none ({error})")]
    Layout {
        /// Its name.
        method: String,
        /// What was called.
        entry: &'static str,
        /// Why.
        error: WireError,
    },
    /// A call beside private data gave nothing that may leave. Always the same: there is nothing in it that the program chose.
    #[error("the method `{method}`, {entry}: it gave no answer; why is said only to whoever has the rows")]
    Withheld {
        /// Its name.
        method: String,
        /// What was called.
        entry: &'static str,
    },
    /// It broke a rule.
    #[error("the method `{method}`, {entry}: {what}")]
    Rule {
        /// Its name.
        method: String,
        /// What was called.
        entry: &'static str,
        /// Which.
        what: String,
    },
}

/// A method that can be called.
#[derive(Debug, Clone)]
pub struct HostedMethod {
    program: LoadedProgram,
    manifest: Manifest,
}

impl HostedMethod {
    /// Takes a loaded program, which must be a method.
    pub fn new(program: LoadedProgram) -> Result<Self, MethodError> {
        match program.program().manifest() {
            Some(manifest) => Ok(Self { manifest: manifest.clone(), program }),
            None => Err(MethodError::NotAMethod(format!("{:?}", program.program().kind()))),
        }
    }

    /// The same method, whose calls also use up a budget.
    #[must_use]
    pub fn within(self, budget: Budget) -> Self {
        Self { program: self.program.within(budget), ..self }
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The program under it.
    pub fn program(&self) -> &LoadedProgram {
        &self.program
    }

    /// A call with the reason of a refusal; what is private must not give it to others.
    fn call(
        &self,
        entry: &'static str,
        public: &[u8],
        private: &[Arc<[u8]>],
    ) -> Result<Vec<u8>, MethodError> {
        let method = || self.manifest.name.clone();
        match self.program.call_for_owner(entry, public, private) {
            Ok(output) => Ok(output.bytes),
            Err(ForOwner(error)) => Err(MethodError::Run { method: method(), entry, error }),
        }
    }

    fn rule<T>(&self, entry: &'static str, what: impl Into<String>) -> Result<T, MethodError> {
        Err(MethodError::Rule { method: self.manifest.name.clone(), entry, what: what.into() })
    }

    /// The stages of a training with this configuration, in their order. Numbers and rounds are such that a training can have them.
    pub fn agenda(&self, config: &Config) -> Result<Vec<Stage>, MethodError> {
        let entry = "agenda";
        let bytes = self.call(entry, &config.to_bytes(), &[])?;
        let agenda = Vec::<Stage>::from_bytes(&bytes).map_err(|error| MethodError::Layout {
            method: self.manifest.name.clone(),
            entry,
            error,
        })?;
        if let Err(what) = check_agenda(&agenda) {
            return self.rule(entry, what);
        }
        let (rounds, most) =
            (agenda.iter().map(|s| u64::from(s.rounds)).sum::<u64>(), self.manifest.limits.rounds);
        if rounds > most.into() {
            return self.rule(
                entry,
                format!("its stages have {rounds} rounds; its manifest says {most} at the most"),
            );
        }
        Ok(agenda)
    }

    /// The state before the first round.
    pub fn begin(&self, config: &Config) -> Result<Vec<u8>, MethodError> {
        self.call("begin", &config.to_bytes(), &[])
    }

    /// What a state asks, or the end. `sites` is the size of the cohort, for which a sum must fit; the model of the end must be of
    /// `config`, which the training began with.
    pub fn next(&self, config: &Config, state: &[u8], sites: usize) -> Result<Next, MethodError> {
        let entry = "next";
        let bytes = self.call(entry, state, &[])?;
        let next = Next::from_bytes(&bytes).map_err(|error| MethodError::Layout {
            method: self.manifest.name.clone(),
            entry,
            error,
        })?;
        match &next {
            Next::Ask { ask } => self.check_ask(ask, sites)?,
            Next::Done { done } => self.check_done(config, done)?,
        }
        Ok(next)
    }

    fn check_ask(&self, ask: &Ask, sites: usize) -> Result<(), MethodError> {
        match check_ask(ask, sites.max(1)) {
            Ok(_) => Ok(()),
            Err(error) => self.rule("next", error.to_string()),
        }
    }

    fn check_done(&self, config: &Config, done: &Done) -> Result<(), MethodError> {
        let (entry, m) = ("next", &done.model);
        if m.method != self.manifest.name || m.version != self.manifest.version {
            return self.rule(entry, format!("its model is of `{} {}`", m.method, m.version));
        }
        // Compared as bytes, so that NaN is equal to itself.
        if m.config.to_bytes() != config.to_bytes() {
            return self.rule(entry, "its model is of other columns or settings than the study");
        }
        match check_facts(&done.facts) {
            Ok(()) => Ok(()),
            Err(what) => self.rule(entry, what),
        }
    }

    /// The state after a round. The sum must have the length that was asked for, and be one that so many donors can have.
    pub fn advance(&self, state: &[u8], ask: &Ask, opened: &Opened) -> Result<Vec<u8>, MethodError> {
        let entry = "advance";
        if opened.sums.len() != ask.len() || opened.sums.iter().any(|v| !v.is_finite()) {
            return self.rule(entry, format!("the sum is not {} finite numbers", ask.len()));
        }
        if let Err(what) = ask.admit(&opened.sums, opened.donors.len()) {
            return self.rule(entry, format!("the sums cannot be true: {what}"));
        }
        self.call(entry, &advance_input(state, opened), &[])
    }

    /// A site's numbers for a question, past the gate and rounded to the digits that count.
    pub fn site(&self, ask: &Ask, blocks: &[Arc<[u8]>]) -> Result<Vec<f64>, MethodError> {
        self.site_for_owner(ask, blocks).map_err(|_| self.withheld("site"))
    }

    /// The same with the reason of a refusal, for whoever has the rows.
    pub fn site_for_owner(&self, ask: &Ask, blocks: &[Arc<[u8]>]) -> Result<Vec<f64>, ForOwner<MethodError>> {
        self.numbers(ask, blocks).map_err(ForOwner)
    }

    fn withheld(&self, entry: &'static str) -> MethodError {
        MethodError::Withheld { method: self.manifest.name.clone(), entry }
    }

    fn numbers(&self, ask: &Ask, blocks: &[Arc<[u8]>]) -> Result<Vec<f64>, MethodError> {
        let entry = "site";
        let bytes = self.call(entry, &ask.question, blocks)?;
        let mut values = decode_vector(&bytes).map_err(|error| MethodError::Layout {
            method: self.manifest.name.clone(),
            entry,
            error,
        })?;
        match ask.admit(&values, 1) {
            Ok(()) => {
                ask.round(&mut values);
                Ok(values)
            }
            Err(what) => self.rule(entry, what),
        }
    }

    /// What a site says of itself with the finished model: one value for each field of the manifest.
    pub fn report(&self, model: &Model, blocks: &[Arc<[u8]>]) -> Result<Vec<Option<f64>>, MethodError> {
        self.report_for_owner(model, blocks).map_err(|_| self.withheld("report"))
    }

    /// The same with the reason of a refusal, for whoever has the rows.
    pub fn report_for_owner(
        &self,
        model: &Model,
        blocks: &[Arc<[u8]>],
    ) -> Result<Vec<Option<f64>>, ForOwner<MethodError>> {
        let bytes = self.call("report", &model.to_bytes(), blocks).map_err(ForOwner)?;
        fields(&self.manifest.name, "report", &self.manifest.report, &bytes).map_err(ForOwner)
    }
}

impl histone_federation::training::Method for HostedMethod {
    fn measurement(&self) -> [u8; 32] {
        self.program.program().measurement()
    }

    fn most_rounds(&self) -> u32 {
        self.manifest.limits.rounds
    }

    fn agenda(&self, config: &Config) -> Result<Vec<Stage>, BoxError> {
        self.manifest.takes(config)?;
        Ok(HostedMethod::agenda(self, config)?)
    }

    fn begin(&self, config: &Config) -> Result<Vec<u8>, BoxError> {
        self.manifest.takes(config)?;
        Ok(HostedMethod::begin(self, config)?)
    }

    fn next(&self, config: &Config, state: &[u8]) -> Result<Next, BoxError> {
        // For how many sites a sum must fit is the header's to say, which checks it.
        Ok(HostedMethod::next(self, config, state, 1)?)
    }

    fn advance(&self, state: &[u8], ask: &Ask, opened: &Opened) -> Result<Vec<u8>, BoxError> {
        Ok(HostedMethod::advance(self, state, ask, opened)?)
    }
}

/// A training by a method that runs here.
pub type Training = histone_federation::training::Training<HostedMethod>;

/// What a sum led to.
pub type Step = histone_federation::training::Step<HostedMethod>;

/// Whether facts can be shown and kept.
fn check_facts(facts: &[Fact]) -> Result<(), String> {
    let bytes: usize = facts.iter().map(|f| f.to_bytes().len()).sum();
    if facts.len() > MAX_FACTS || bytes > MAX_FACT_BYTES {
        return Err(format!("its facts are more than {MAX_FACTS}, or longer than {MAX_FACT_BYTES} bytes"));
    }
    let text = |t: &str| t.len() <= 1_000 && !t.chars().any(char::is_control);
    let mut names = BTreeSet::new();
    for fact in facts {
        if !text(&fact.name) || !text(&fact.says) || fact.columns.iter().any(|c| !text(c)) {
            return Err("a fact has no name that can be shown".into());
        }
        if !names.insert(&fact.name) {
            return Err(format!("it gives the fact `{}` twice", fact.name));
        }
        if fact.rows.iter().any(|row| row.len() != fact.columns.len()) {
            return Err(format!("a row of the fact `{}` has another number of columns", fact.name));
        }
        if fact.rows.iter().flatten().any(|c| matches!(c, Cell::Text { text: t } if !text(t))) {
            return Err(format!("a cell of the fact `{}` cannot be shown", fact.name));
        }
    }
    Ok(())
}

/// Fields that leave in clear: one number each, in its range, rounded.
fn fields(
    method: &str,
    entry: &'static str,
    fields: &[Field],
    bytes: &[u8],
) -> Result<Vec<Option<f64>>, MethodError> {
    let method = || method.to_owned();
    let values =
        decode_vector(bytes).map_err(|error| MethodError::Layout { method: method(), entry, error })?;
    let rule = |what: String| Err(MethodError::Rule { method: method(), entry, what });
    if values.len() != fields.len() {
        return rule(format!("it gave {} fields, its manifest names {}", values.len(), fields.len()));
    }
    let mut admitted = Vec::with_capacity(fields.len());
    for (field, value) in fields.iter().zip(values) {
        match field.admit(value) {
            Ok(value) => admitted.push(value),
            Err(_) => return rule(format!("its field `{}` is not within its range", field.name)),
        }
    }
    Ok(admitted)
}

/// Applies the models of a method: its `answer` module.
#[derive(Debug, Clone)]
pub struct HostedAnswer {
    program: LoadedProgram,
    manifest: Manifest,
}

impl HostedAnswer {
    /// Takes the module that the manifest of a method names.
    pub fn new(program: LoadedProgram, manifest: Manifest) -> Result<Self, MethodError> {
        if program.program().entries() == ["answer"] {
            Ok(Self { program, manifest })
        } else {
            Err(MethodError::NotAMethod(manifest.answer.program))
        }
    }

    /// What the method says of itself, and of what is answered.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The answer to a row: a value for each field of the manifest.
    pub fn answer(&self, model: &Model, row: &[f64]) -> Result<Vec<Option<f64>>, MethodError> {
        self.answer_for_owner(model, row).map_err(|_| MethodError::Withheld {
            method: self.manifest.answer.program.clone(),
            entry: "answer",
        })
    }

    /// The same with the reason of a refusal, for whoever has the row.
    pub fn answer_for_owner(
        &self,
        model: &Model,
        row: &[f64],
    ) -> Result<Vec<Option<f64>>, ForOwner<MethodError>> {
        let (entry, name) = ("answer", &self.manifest.answer.program);
        let row: Arc<[u8]> = encode_vector(row).into();
        let output = self.program.call_for_owner(entry, &model.to_bytes(), &[row]);
        let output = output
            .map_err(|ForOwner(error)| ForOwner(MethodError::Run { method: name.clone(), entry, error }))?;
        fields(name, entry, &self.manifest.answer.fields, &output.bytes).map_err(ForOwner)
    }
}

/// A training over sites that are all here, without ledger, enclave or mask. Whoever runs it has all rows, and is told why.
#[derive(Debug)]
pub struct LocalTraining<'a> {
    method: &'a HostedMethod,
    config: Config,
    agenda: Vec<Stage>,
    progress: Progress,
    state: Vec<u8>,
    rounds: u32,
}

/// A round of it.
#[derive(Debug, Clone, PartialEq)]
pub enum LocalStep {
    /// A round was made.
    Round {
        /// Its number, from 1.
        round: u32,
        /// Its stage.
        stage: String,
        /// Numbers of a site.
        numbers: usize,
    },
    /// The end.
    Done(Box<Done>),
}

impl<'a> LocalTraining<'a> {
    /// Begins.
    pub fn new(method: &'a HostedMethod, config: &Config) -> Result<Self, MethodError> {
        let (config, state, agenda) = (config.clone(), method.begin(config)?, method.agenda(config)?);
        Ok(Self { method, config, agenda, progress: Progress::default(), state, rounds: 0 })
    }

    /// Makes a round over the sites' blocks, or ends.
    pub fn step(&mut self, sites: &[Vec<Arc<[u8]>>]) -> Result<LocalStep, MethodError> {
        let ask = match self.method.next(&self.config, &self.state, sites.len())? {
            Next::Done { done } => return Ok(LocalStep::Done(Box::new(done))),
            Next::Ask { ask } => ask,
        };
        // With its agenda it keeps to the rounds of its manifest.
        if let Err(what) = self.progress.go(&self.agenda, &ask) {
            return self.method.rule("next", what);
        }
        let mut sums = vec![0.0; ask.len()];
        for blocks in sites {
            let numbers = self.method.site_for_owner(&ask, blocks).map_err(|ForOwner(error)| error)?;
            sums.iter_mut().zip(numbers).for_each(|(sum, v)| *sum += v);
        }
        let donors = (1..=sites.len() as u16).collect();
        self.state = self.method.advance(&self.state, &ask, &Opened { donors, sums })?;
        self.rounds += 1;
        Ok(LocalStep::Round { round: self.rounds, stage: ask.stage.clone(), numbers: ask.len() })
    }
}

/// The bytes of rows in blocks, as the private half reads them: `columns` values a row, and a draw each.
pub fn blocks(columns: usize, draws: &[f64], values: &[f64]) -> Vec<Arc<[u8]>> {
    let columns = columns.max(1);
    let rows = block_rows(columns);
    draws
        .chunks(rows)
        .zip(values.chunks(rows * columns))
        .map(|(draws, values)| Block { columns, draws: draws.into(), values: values.into() }.encode().into())
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use histone_program_sdk::method::{Cell, Fact};

    use super::{MAX_FACT_BYTES, MAX_FACTS, check_facts};

    #[test]
    fn facts_that_cannot_be_shown() {
        let good = || Fact::single("auc", "Area under the curve", 0.5);
        assert_eq!(check_facts(&[good(), Fact { name: "brier".into(), ..good() }]), Ok(()));
        let cell = |text: String| Fact { rows: vec![vec![Cell::Text { text }]], ..good() };
        let many = (0..=MAX_FACTS).map(|i| Fact { name: i.to_string(), ..good() }).collect();
        let row = vec![Cell::Number { value: 0.0 }];
        let bad: [(Vec<Fact>, &str); 7] = [
            (vec![good(), good()], "`auc` twice"),
            (many, "more than 1000"),
            (vec![Fact { rows: vec![row; MAX_FACT_BYTES / 8], ..good() }], "longer than"),
            (vec![Fact { rows: vec![vec![]], ..good() }], "another number of columns"),
            (vec![Fact { says: "a\nb".into(), ..good() }], "no name that can be shown"),
            (vec![cell("a\u{1b}[2J".into())], "a cell of the fact `auc`"),
            (vec![cell("a".repeat(1_001))], "a cell of the fact `auc`"),
        ];
        for (facts, why) in bad {
            let told = check_facts(&facts).err().unwrap_or_default();
            assert!(told.contains(why), "{told}");
        }
    }
}
