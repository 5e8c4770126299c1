//! How well membership shows in a released model: a measure that needs all rows, and which of them were held out.
//!
//! The test is the simplest one there is, a threshold on the loss: who was trained on is told better than who was held out. Whoever
//! trains models like it beside it (shadows) finds more; `docs/attacks.md` has that test.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use histone_enclave::method::{HostedAnswer, MethodError};
use histone_program_sdk::config::{Config, Missing, Outcome};
use histone_program_sdk::data::Block;
use histone_program_sdk::model::Model;

use super::outcome::Membership;
use crate::error::NodeError;

/// Rows of each kind that are looked at: the figures do not need more, and each takes a call of a module.
const MOST: usize = 2_000;

/// What an answer to a yes/no question calls the probability of a yes.
const PROBABILITY: &str = "probability";

/// A row of a yes/no outcome.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    features: Vec<f64>,
    yes: bool,
}

/// The first rows of each kind of a site.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Parts {
    /// What a model of it is trained on.
    trained: Vec<Row>,
    /// What judges it.
    held_out: Vec<Row>,
}

impl Parts {
    /// Those of the rows of a site, chosen as methods over tables do it (`tabular::select`). None of another outcome than yes/no.
    pub(super) fn of(config: &Config, blocks: &[Arc<[u8]>]) -> Option<Self> {
        if !matches!(config.outcome, Outcome::YesNo { .. }) || config.holdout <= 0.0 {
            return None;
        }
        let mut draws: [Vec<f64>; 2] = Default::default();
        each(config, blocks, &mut |class, draw, _| draws[class].push(draw))?;
        let limits = draws.map(|mut draws| {
            let n = draws.len();
            let held_out = ((n as f64 * config.holdout + 0.5) as usize).min(n.saturating_sub(1));
            draws.sort_unstable_by(f64::total_cmp);
            draws.get(held_out).copied().filter(|_| held_out > 0).unwrap_or(f64::NEG_INFINITY)
        });
        let mut parts = Self::default();
        let mut trained = [0u32; 2];
        each(config, blocks, &mut |class, draw, features| {
            if lacks(config, features) {
                return;
            }
            let here = if draw < limits[class] {
                &mut parts.held_out
            } else {
                trained[class] += 1;
                &mut parts.trained
            };
            here.push(Row { features: features.to_vec(), yes: class == 1 });
        })?;
        // A class of too few rows is left out of the training of its site.
        let few = trained.map(|n| n < config.least.site);
        parts.trained.retain(|row| !few[usize::from(row.yes)]);
        parts.trained.truncate(MOST);
        parts.held_out.truncate(MOST);
        Some(parts)
    }
}

/// Calls `row(class, draw, features)` for each row with an outcome. None when blocks are of other columns.
fn each(config: &Config, blocks: &[Arc<[u8]>], row: &mut dyn FnMut(usize, f64, &[f64])) -> Option<()> {
    for block in blocks {
        let block = Block::decode(block).ok().filter(|block| block.columns == config.columns())?;
        for (draw, values) in block.rows() {
            let (features, outcome) = values.split_at_checked(config.features.len())?;
            match outcome {
                [0.0] => row(0, draw, features),
                [1.0] => row(1, draw, features),
                _ => {}
            }
        }
    }
    Some(())
}

/// Whether a row is left out for a value that is missing.
fn lacks(config: &Config, features: &[f64]) -> bool {
    let refused = matches!(config.missing, Missing::Refuse {} | Missing::Drop {});
    let missing =
        |(&v, x): (&f64, &histone_program_sdk::config::Feature)| v.is_nan() || x.zero_is_missing && v == 0.0;
    refused && features.iter().zip(&config.features).any(missing)
}

/// The measure at work, beside what needs the ledger.
pub(super) struct Measuring(JoinHandle<Result<Option<Membership>, MethodError>>);

impl Measuring {
    /// Begins with the rows of the sites that are in the whole model.
    pub(super) fn start(answer: HostedAnswer, model: Model, sites: Vec<Parts>) -> Result<Self, NodeError> {
        let at_work = thread::Builder::new().name("membership".into());
        let at_work = at_work.spawn(move || measure(&answer, &model, &sites));
        at_work.map(Self).map_err(|e| NodeError::Message(format!("no thread can be started: {e}")))
    }

    /// Waits for its end.
    pub(super) fn ended(self) -> Result<Option<Membership>, NodeError> {
        let ended = self.0.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        ended.map_err(NodeError::round)
    }
}

/// The figures of the first rows of these sites; none where rows of one kind are missing, or the method answers no probability.
fn measure(answer: &HostedAnswer, model: &Model, sites: &[Parts]) -> Result<Option<Membership>, MethodError> {
    let Some(place) = answer.manifest().answer.fields.iter().position(|f| f.name == PROBABILITY) else {
        return Ok(None);
    };
    let losses = |of: fn(&Parts) -> &Vec<Row>| -> Result<Vec<f64>, MethodError> {
        let mut losses = Vec::new();
        for row in sites.iter().flat_map(of).take(MOST) {
            let said = answer.answer(model, &row.features)?.get(place).copied().flatten();
            losses.extend(said.map(|yes| -(if row.yes { yes } else { 1.0 - yes }).ln()));
        }
        Ok(losses)
    };
    Ok(membership(losses(|s| &s.trained)?, losses(|s| &s.held_out)?))
}

/// The area under the curve of "the loss is small" as a test of membership, and the share of members that it finds where it takes one
/// in a hundred of the others for members. Answers have few digits: of rows with the same loss it takes as many as it may.
fn membership(trained: Vec<f64>, mut held_out: Vec<f64>) -> Option<Membership> {
    held_out.sort_unstable_by(f64::total_cmp);
    let (rows, others) = (trained.len(), held_out.len());
    if rows == 0 || others == 0 {
        return None;
    }
    // Others with a smaller loss, and with the same or a smaller one.
    let around = |loss: f64| {
        (held_out.partition_point(|&o| o < loss) as f64, held_out.partition_point(|&o| o <= loss) as f64)
    };
    let above = |&loss: &f64| {
        let (below, not_above) = around(loss);
        others as f64 - (below + not_above) / 2.0
    };
    let auc = trained.iter().map(above).sum::<f64>() / (rows as f64 * others as f64);
    let allowed = others as f64 / 100.0;
    let threshold = held_out.get(allowed as usize).copied()?;
    let (below, not_above) = around(threshold);
    let of_the_same = (allowed - below) / (not_above - below);
    let found = trained.iter().filter(|&&loss| loss < threshold).count() as f64
        + trained.iter().filter(|&&loss| loss == threshold).count() as f64 * of_the_same;
    Some(Membership { auc, tpr_at_1_percent: found / rows as f64, rows, held_out: others })
}

/// Of these sites by their names, those that are there whole.
pub(super) fn without(sites: &[(String, Parts)], gone: &BTreeSet<&str>) -> Vec<Parts> {
    sites.iter().filter(|(name, _)| !gone.contains(name.as_str())).map(|(_, parts)| parts.clone()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use histone_enclave::method::{LocalStep, LocalTraining, blocks};
    use histone_program_sdk::config::{Feature, Kind, Least};
    use histone_program_sdk::method::{Cell, Done};

    use super::*;
    use crate::programs::Loaded;

    #[test]
    fn the_figures_of_a_made_example() {
        // 200 others with losses 1 to 200, of which two may be taken for members.
        let others: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        let measured = membership(vec![0.5, 2.5, 4.0, 300.0], others.clone()).unwrap();
        // Above them are 200, 198, 196 and a half, and none.
        assert_eq!(measured.auc, (200.0 + 198.0 + 196.5) / 800.0);
        assert_eq!((measured.tpr_at_1_percent, measured.rows, measured.held_out), (0.5, 4, 200));
        // Of 50 others none may be.
        let measured = membership(vec![0.5, 1.5, 2.0, 300.0], others[150..].to_vec()).unwrap();
        assert_eq!(measured.tpr_at_1_percent, 0.25);
        // Of ten others with the same loss one in five, and so of the members with it.
        let same = [vec![0.0; 10], others[10..].to_vec()].concat();
        let measured = membership([vec![0.0; 5], vec![300.0; 5]].concat(), same).unwrap();
        assert!((measured.tpr_at_1_percent - 0.1).abs() < 1e-12, "{measured:?}");
        // What says nothing, and what says all; an answer that was sure and wrong has no finite loss.
        let same = membership(vec![1.0; 7], vec![1.0; 5]).unwrap();
        assert_eq!((same.auc, same.tpr_at_1_percent), (0.5, 0.01));
        let all = membership(vec![0.0; 7], vec![f64::INFINITY; 5]).unwrap();
        assert_eq!((all.auc, all.tpr_at_1_percent), (1.0, 1.0));
        assert_eq!((membership(vec![], vec![1.0]), membership(vec![1.0], vec![])), (None, None));
    }

    /// Seeded numbers of [0, 1).
    fn uniform(state: &mut u64) -> f64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Noise: so many features and rows, and an outcome that does not depend on them, yes in one of so many.
    fn noise(features: usize, rows: usize, one_in: usize, seed: u64) -> Vec<Arc<[u8]>> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let (mut draws, mut values) = (Vec::new(), Vec::new());
        for i in 0..rows {
            draws.push(uniform(&mut state));
            // Here and there a zero.
            values.extend((0..features).map(|_| (uniform(&mut state) * 100.0 - 2.0).max(0.0)));
            values.push(f64::from(u8::from(i.is_multiple_of(one_in))));
        }
        blocks(features + 1, &draws, &values)
    }

    fn config(features: usize, set: &[(&str, f64)], loaded: &Loaded) -> Config {
        let kind = Kind::Number { low: 0.0, high: 100.0 };
        let feature = |i| Feature { name: format!("x{i}"), kind: kind.clone(), zero_is_missing: false };
        let settings = loaded.method.manifest().config.iter();
        let values = settings.map(|s| {
            set.iter().find(|(n, _)| *n == s.name).map_or_else(|| s.number(s.default).unwrap(), |set| set.1)
        });
        Config {
            features: (0..features).map(feature).collect(),
            outcome: Outcome::YesNo { name: "y".into() },
            missing: Missing::Mean {},
            holdout: 0.5,
            least: Least::default(),
            values: values.collect(),
        }
    }

    fn trained(config: &Config, sites: &[Vec<Arc<[u8]>>], loaded: &Loaded) -> Done {
        let mut training = LocalTraining::new(&loaded.method, config).unwrap();
        loop {
            if let LocalStep::Done(done) = training.step(sites).unwrap() {
                return *done;
            }
        }
    }

    fn measured(config: &Config, sites: &[Vec<Arc<[u8]>>], loaded: &Loaded) -> Membership {
        let model = trained(config, sites, loaded).model;
        let answer = HostedAnswer::new(loaded.query.clone(), loaded.method.manifest().clone()).unwrap();
        let parts: Vec<_> = sites.iter().map(|blocks| Parts::of(config, blocks).unwrap()).collect();
        measure(&answer, &model, &parts).unwrap().unwrap()
    }

    #[test]
    fn an_overfitted_model_tells_its_members() {
        let loaded = Loaded::bundled("logistic").unwrap();
        let sites = [noise(50, 60, 2, 1), noise(50, 60, 2, 2)];
        // Nothing to learn, and almost a weight for every row: what it knows, it knows by heart.
        let by_heart = config(50, &[("ridge", 1e-6), ("separated", 1.0)], &loaded);
        let heart = measured(&by_heart, &sites, &loaded);
        assert!(heart.auc > 0.7, "{heart:?}");
        assert_eq!((heart.rows, heart.held_out), (60, 60));
        // A penalty that lets it learn nothing lets it tell nothing.
        let nothing = measured(&config(50, &[("ridge", 1e9)], &loaded), &sites, &loaded);
        assert!((nothing.auc - 0.5).abs() < 0.05, "{nothing:?}");
    }

    /// The rows of each kind are those of the method, counted by its own facts.
    #[test]
    fn rows_are_held_out_as_the_method_does_it() {
        let loaded = Loaded::bundled("logistic").unwrap();
        // Of 400 rows of the second site ten are a yes, of which few are trained on.
        let sites = [noise(3, 300, 3, 3), noise(3, 400, 40, 4)];
        for (missing, zero_is_missing) in
            [(Missing::Mean {}, false), (Missing::Mean {}, true), (Missing::Drop {}, true)]
        {
            for site in [0, 9] {
                let mut config = Config { missing, holdout: 0.3, ..config(3, &[("ridge", 1.0)], &loaded) };
                config.features.iter_mut().for_each(|x| x.zero_is_missing = zero_is_missing);
                config.least.site = site;
                let facts = trained(&config, &sites, &loaded).facts;
                let fact = |name: &str| match &facts.iter().find(|f| f.name == name).unwrap().rows[0][0] {
                    Cell::Number { value } => *value as usize,
                    other => panic!("{other:?}"),
                };
                let parts: Vec<_> = sites.iter().map(|b| Parts::of(&config, b).unwrap()).collect();
                let count =
                    |of: fn(&Parts) -> &Vec<Row>| parts.iter().map(|parts| of(parts).len()).sum::<usize>();
                let counted = (count(|p| &p.trained), count(|p| &p.held_out));
                assert_eq!(counted, (fact("rows"), fact("judging rows")), "{missing:?} {site}");
            }
        }
        let all = Config { holdout: 0.0, ..config(3, &[], &loaded) };
        assert_eq!(Parts::of(&all, &sites[0]), None);
        let number = Outcome::Number { name: "y".into(), low: 0.0, high: 1.0 };
        assert_eq!(Parts::of(&Config { outcome: number, ..config(3, &[], &loaded) }, &sites[0]), None);
    }

    #[test]
    fn only_sites_that_are_in_every_sum_count() {
        let site = |yes| Parts { trained: vec![Row { features: vec![], yes }], held_out: vec![] };
        let sites = [("a".to_owned(), site(true)), ("b".to_owned(), site(false))];
        assert_eq!(without(&sites, &BTreeSet::from(["b"])), [site(true)]);
        assert_eq!(without(&sites, &BTreeSet::new()).len(), 2);
    }
}
