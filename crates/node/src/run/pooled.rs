//! The comparison that only the runner of a study can make: the same training over the rows of all donors in one place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use histone_contracts::book::{Book, Donor};
use histone_enclave::method::{HostedAnswer, HostedMethod, LocalStep, LocalTraining};
use histone_enclave::reading::rows_of;
use histone_program_sdk::config::Config;
use histone_program_sdk::model::Model;
use histone_protocol::report::NamedValue;

use super::cast::Cast;
use super::collect::Collected;
use super::membership::{Measuring, Parts, without};
use super::outcome::Membership;
use super::story::Recruited;
use crate::error::NodeError;
use crate::study::Study;

/// How the federated model compares with the one of all rows in one place.
pub(super) struct Comparison {
    /// What there is to say of the pooled model in a number.
    pub(super) facts: Vec<NamedValue>,
    /// By participant, what it reports of the pooled model.
    pub(super) sites: BTreeMap<String, Vec<Option<f64>>>,
    /// Largest difference of a number, relative to the larger of 1 and the number; none of a sealed model, which nobody can look at.
    pub(super) largest_difference: Option<f64>,
    /// How well membership shows in the released model; none of a sealed one, or where no rows of a yes/no outcome were held out.
    pub(super) membership: Option<Membership>,
}

/// Rows of each participant, in blocks.
type Rows = BTreeMap<String, Vec<Arc<[u8]>>>;

/// The pooled model, with what each participant reports of it.
struct Pooled {
    facts: Vec<NamedValue>,
    sites: BTreeMap<String, Vec<Option<f64>>>,
    model: Model,
}

/// The training over all rows at work. It needs nothing of the ledger and nothing there needs it, so that it has a thread to
/// itself while the parties train theirs.
pub(super) struct Pooling {
    at_work: JoinHandle<Result<Pooled, NodeError>>,
    /// By participant, the rows that membership is looked for in.
    parts: Vec<(String, Parts)>,
    measuring: Option<Measuring>,
}

impl Pooling {
    /// Begins with the rows of everybody who has donated.
    pub(super) fn start(
        study: &Study,
        cast: &Cast,
        book: &Book,
        recruited: &Recruited,
    ) -> Result<Self, NodeError> {
        let (method, config) = (cast.loaded.method.clone(), recruited.plan.config.clone());
        let (mut rows, mut parts) = (Rows::new(), Vec::new());
        for participant in &study.participants {
            let account = cast.daemon(&participant.name)?.node.party.account();
            let donor = |d: &Donor| book.datasets.get(&d.dataset).is_some_and(|set| set.owner == account);
            if book.models.get(&recruited.model_id).is_some_and(|m| m.donors.iter().any(donor)) {
                let blocks = rows_of(&participant.table, &config).map_err(NodeError::Message)?;
                parts.extend(Parts::of(&config, &blocks).map(|parts| (participant.name.clone(), parts)));
                rows.insert(participant.name.clone(), blocks);
            }
        }
        let at_work = thread::Builder::new().name("pooled".into());
        let at_work = at_work.spawn(move || train(&method, &config, rows));
        let at_work = at_work.map_err(|e| NodeError::Message(format!("no thread can be started: {e}")))?;
        Ok(Self { at_work, parts, measuring: None })
    }

    /// Begins to look for members in the model, where it was released. Of whoever left, or was missing in a sum, nobody can say whether
    /// the model was trained on its rows.
    pub(super) fn measure(&mut self, cast: &Cast, trained: &Collected) -> Result<(), NodeError> {
        let Some(model) = trained.model.clone() else { return Ok(()) };
        let answer = HostedAnswer::new(cast.loaded.query.clone(), cast.loaded.method.manifest().clone());
        let answer = answer.map_err(NodeError::round)?;
        let mut gone: BTreeSet<&str> = trained.withdrawn.iter().map(|w| w.participant.as_str()).collect();
        gone.extend(trained.struck.iter().map(|s| s.participant.as_str()));
        gone.extend(trained.summaries.iter().flat_map(|x| &x.missing).map(String::as_str));
        self.measuring = Some(Measuring::start(answer, model, without(&self.parts, &gone))?);
        Ok(())
    }

    /// Waits for its end and compares.
    pub(super) fn compare(self, federated: Option<&Model>) -> Result<Comparison, NodeError> {
        let membership = self.measuring.map(Measuring::ended).transpose()?.flatten();
        let ended = self.at_work.join();
        let Pooled { facts, sites, model } =
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let numbers =
            |model: &Model| -> Vec<f64> { model.arrays.iter().flat_map(|a| a.values.clone()).collect() };
        let Some(federated) = federated else {
            return Ok(Comparison { facts, sites, largest_difference: None, membership });
        };
        let (federated, pooled) = (numbers(federated), numbers(&model));
        // NaN stands where there is no number, in both.
        let difference = |(f, p): (&f64, &f64)| match (f.is_nan(), p.is_nan()) {
            (true, true) => 0.0,
            (false, false) => (f - p).abs() / p.abs().max(1.0),
            _ => f64::MAX,
        };
        let same_shape = federated.len() == pooled.len();
        let largest = federated.iter().zip(&pooled).map(difference).fold(0.0, f64::max);
        let largest_difference = Some(if same_shape { largest } else { f64::MAX });
        Ok(Comparison { facts, sites, largest_difference, membership })
    }
}

/// Trains the method over all rows, without masks and rounds on a ledger.
fn train(method: &HostedMethod, config: &Config, rows: Rows) -> Result<Pooled, NodeError> {
    let all: Vec<_> = rows.values().cloned().collect();
    let mut training = LocalTraining::new(method, config).map_err(NodeError::round)?;
    let done = loop {
        if let LocalStep::Done(done) = training.step(&all).map_err(NodeError::round)? {
            break done;
        }
    };
    let mut sites = BTreeMap::new();
    for (name, blocks) in rows {
        sites.insert(name, method.report(&done.model, &blocks).map_err(NodeError::round)?);
    }
    let numbers = done.facts.iter().filter(|f| f.is_number());
    let facts = numbers.map(|f| NamedValue { name: f.name.clone(), value: f.number() }).collect();
    Ok(Pooled { facts, sites, model: done.model })
}
