//! What sums may do and tell: bounds against liars, bins that nobody is alone in, and groups that are too small.

#![allow(clippy::unwrap_used)]

#[path = "../../sdk/tests/common/tables.rs"]
mod tables;

use histone_program_logistic::{Logistic, Question, State};
use histone_program_sdk::config::{Config, Feature, Least, Outcome};
use histone_program_sdk::math::{dot, logistic};
use histone_program_sdk::method::{Cell, Done, Method, Next, Opened, Progress};
use histone_program_sdk::tabular::{Design, Part};
use histone_program_sdk::wire::Wire;
use tables::{Table, blocks, cell, fact, missing, number, of_patients, patients, train, tumours, value};

const MAX_STEP: f64 = 10.0;
const MAX_WEIGHT: f64 = 50.0;

fn config(features: Vec<Feature>, outcome: &str, holdout: f64, least: Least) -> Config {
    Config {
        features,
        outcome: Outcome::YesNo { name: outcome.into() },
        missing: missing("median"),
        holdout,
        least,
        values: vec![1.0, 12.0, 1e-6, 64.0, 0.0, MAX_STEP, MAX_WEIGHT],
    }
}

fn of_tumours(tables: &[Table]) -> Vec<Feature> {
    tables[0].names.iter().filter(|n| *n != "malignant").map(|n| number(n, tables)).collect()
}

/// Who sees sums: enclaves, or everybody.
const SEALED: Least = Least { site: 0, sum: 5 };
const PUBLIC: Least = Least { site: 5, sum: 5 };

/// A round: its stage, what each site gave, and what was opened.
struct Round {
    stage: String,
    sites: Vec<Vec<f64>>,
    sums: Vec<f64>,
}

/// A training in which somebody changes what is opened.
fn rounds(
    config: &Config,
    tables: &[Table],
    lie: impl Fn(&str, &mut [f64]),
    mut see: impl FnMut(&State),
) -> Result<(Vec<Round>, Done), String> {
    let sites: Vec<_> = tables.iter().map(|t| blocks(t, config)).collect();
    let mut state = Logistic::begin(config.clone()).unwrap();
    let (agenda, mut progress) = (Logistic::agenda(config).unwrap(), Progress::default());
    let mut rounds = Vec::new();
    loop {
        see(&state);
        let ask = match Logistic::next(&state).unwrap() {
            Next::Ask { ask } => ask,
            Next::Done { done } => return Ok((rounds, done)),
        };
        let question = || Question::from_bytes(&ask.question).unwrap();
        let sites: Vec<Vec<f64>> = sites.iter().map(|s| Logistic::site(question(), s).unwrap()).collect();
        // What is asked is the agenda's, and no answer is refused.
        progress.go(&agenda, &ask).unwrap();
        sites.iter().for_each(|numbers| ask.admit(numbers, 1).unwrap());
        let mut sums = vec![0.0; ask.len()];
        sites.iter().for_each(|site| sums.iter_mut().zip(site).for_each(|(sum, v)| *sum += v));
        lie(&ask.stage, &mut sums);
        let opened = Opened { donors: (1..=sites.len() as u16).collect(), sums: sums.clone() };
        rounds.push(Round { stage: ask.stage, sites, sums });
        state = Logistic::advance(state, opened).map_err(|e| e.to_string())?;
    }
}

/// Sites that send what they like do not move a weight further than the plan says.
#[test]
fn to_drive_weights_to_1e12() {
    let tables = tumours();
    let features: Vec<_> = ["mean_radius", "mean_texture"].map(|n| number(n, &tables)).into();
    let honest = config(features, "malignant", 0.25, SEALED);
    for separated in [0.0, 1.0] {
        let mut some = honest.clone();
        some.values[4] = separated;
        // In the gradient of one weight, once and always; and with a curvature that is nearly none.
        let gradient = |stage: &str, sums: &mut [f64]| {
            if stage == "newton" {
                sums[1] += 1e12;
            }
        };
        let flat = |stage: &str, sums: &mut [f64]| {
            if stage == "newton" {
                sums[2] = -1e12;
                sums[3..9].iter_mut().for_each(|v| *v *= 1e-9);
            }
        };
        for lie in [&gradient as &dyn Fn(&str, &mut [f64]), &flat] {
            let (mut moved, mut last) = (0.0_f64, vec![0.0; 3]);
            let ended = rounds(&some, &tables, lie, |state| {
                if let State::Fitting { fit } = state {
                    let step = fit.weights.iter().zip(&last).map(|(w, l): (&f64, &f64)| (w - l).abs());
                    moved = step.fold(moved, f64::max);
                    assert!(fit.weights.iter().all(|w| w.abs() <= MAX_WEIGHT), "{:?}", fit.weights);
                    last.clone_from(&fit.weights);
                }
            });
            assert!(moved > 1.0 && moved <= MAX_STEP, "{moved}");
            match ended {
                Ok((_, done)) => {
                    let weights = done.model.array("weights");
                    assert!(weights.iter().all(|w| w.abs() <= MAX_WEIGHT), "{weights:?}");
                    assert!(separated == 1.0 && !fact(&done, "at the bound").rows.is_empty());
                }
                Err(error) => assert!(
                    separated == 0.0 && error.contains("tell yes from no without an error")
                        || error.contains("the sums contradict each other"),
                    "{error}"
                ),
            }
        }
    }
    // Whom nobody lies to is not held.
    let (done, _) = train::<Logistic>(&honest, &tables).unwrap();
    assert!(done.facts.iter().all(|f| f.name != "at the bound"));
}

/// Squares that make a deviation nearly nothing would have honest sites pass the bounds of their numbers, and be told by that.
#[test]
fn to_have_honest_sites_refuse_by_a_lie_about_scales() {
    let tables = tumours();
    let features: Vec<_> = ["mean_radius", "mean_texture"].map(|n| number(n, &tables)).into();
    let some = config(features, "malignant", 0.25, SEALED);
    let lie = |stage: &str, sums: &mut [f64]| {
        if stage == "describe" {
            // Of the first column: sum and squares.
            let place = sums.len() - 4;
            sums[place + 1] = sums[place] * sums[place] / sums[0] * (1.0 + 1e-15) + 1e-13;
        }
    };
    let mut deviation = 0.0;
    let ended = rounds(&some, &tables, lie, |state| {
        if let State::Fitting { fit } = state {
            deviation = fit.design.sd[0];
        }
    });
    assert!((1e-10..1e-5).contains(&deviation), "{deviation}");
    assert!(
        ended.is_ok() || ended.is_err_and(|e| e.contains("tell yes from no") || e.contains("says nothing"))
    );
}

/// Log odds of all judging rows with their outcomes, as only the sites have them.
fn scores(done: &Done, tables: &[Table]) -> Vec<(f64, bool)> {
    let design = Design::of(&done.model).unwrap();
    let mut scores = Vec::new();
    for table in tables {
        let data = blocks(table, &done.model.config);
        let mut row = |batch: &histone_program_sdk::tabular::Batch| {
            for (z, y) in batch.z.chunks(batch.width).zip(&batch.outcomes) {
                scores.push((dot(done.model.array("weights"), z), *y == 1.0));
            }
        };
        design.batches(&data, Part::Judging, &mut row).unwrap();
    }
    scores
}

fn exact_auc(scores: &[(f64, bool)]) -> f64 {
    let of = |class| scores.iter().filter(move |s| s.1 == class).map(|s| s.0);
    let pairs = of(true).flat_map(|yes| of(false).map(move |no| (yes, no)));
    let won = pairs.map(|(yes, no)| if yes > no { 1.0 } else { f64::from(u8::from(yes == no)) / 2.0 });
    won.sum::<f64>() / (of(true).count() * of(false).count()) as f64
}

#[test]
fn nobody_stands_alone_in_a_bin() {
    let tables = tumours();
    for (least, holdout) in [(SEALED, 0.25), (SEALED, 0.0), (PUBLIC, 0.25), (PUBLIC, 0.0)] {
        let some = config(of_tumours(&tables), "malignant", holdout, least);
        let (rounds, done) = rounds(&some, &tables, |_, _| (), |_| ()).unwrap();
        let judge = rounds.last().unwrap();
        assert_eq!(judge.stage, "judge");
        let bins = (judge.sums.len() - 1) / 3;
        let rows = |numbers: &[f64]| (0..bins).map(|i| numbers[i] + numbers[bins + i]).collect::<Vec<f64>>();
        let here = rows(&judge.sums);
        let used = here.iter().filter(|n| **n > 0.0).count();
        assert!(here.iter().all(|&n| n == 0.0 || n >= 5.0) && used > 10, "{here:?}");
        // And of a site, where everybody sees sums.
        let spread = &rounds[rounds.len() - 2];
        assert_eq!(spread.stage, "spread");
        let parts = judge.sites.iter().map(|site| rows(site)).chain(spread.sites.iter().cloned());
        for site in parts.filter(|_| least == PUBLIC) {
            assert!(site.iter().all(|&n| n == 0.0 || n >= 5.0), "{site:?}");
        }
        let scores = scores(&done, &tables);
        assert_eq!(here.iter().sum::<f64>(), scores.len() as f64, "nobody is lost");
        assert_eq!(value(&done, "judging rows"), scores.len() as f64);
        // Rows in one bin are ties, which is half a pair for each: no more is lost where bins are exact. Where sites put their few rows
        // into the bin beside, it is more: up to 0.05 for 141 rows of four sites, and 0.01 for 560.
        let (no, yes) = judge.sums[..2 * bins].split_at(bins);
        let ties: f64 = no.iter().zip(yes).map(|(no, yes)| no * yes).sum();
        let pairs = no.iter().sum::<f64>() * yes.iter().sum::<f64>();
        let resolution = ties / pairs / 2.0;
        let off = (value(&done, "auc") - exact_auc(&scores)).abs();
        let most = match least {
            SEALED => resolution + 1e-12,
            _ if holdout > 0.0 => 0.05,
            _ => 0.01,
        };
        assert!(resolution < 0.02 && off <= most, "{off} {resolution}");
        let squares = scores.iter().map(|&(eta, yes)| (logistic(eta) - f64::from(u8::from(yes))).powi(2));
        let brier = squares.sum::<f64>() / scores.len() as f64;
        assert!((value(&done, "brier") - brier).abs() < 1e-12);
        let (slope, intercept) = (value(&done, "calibration slope"), value(&done, "calibration intercept"));
        assert!((0.3..3.0).contains(&slope) && intercept.abs() < 1.5, "{slope} {intercept}");
        if holdout == 0.0 {
            // All rows in one place, each by itself.
            let pooled: Vec<_> = tables.iter().flat_map(|t| blocks(t, &some)).collect();
            let exact = Logistic::report(&done.model, &pooled).unwrap()[4];
            assert!(
                (slope / exact - 1.0).abs() < if least == SEALED { 0.05 } else { 0.3 },
                "{slope} {exact}"
            );
        }
    }
}

/// A model that tells little has bins as well, and one whose donors left in between keeps the minimum.
#[test]
fn bins_follow_the_predictions() {
    let tables = patients();
    let weak =
        Config { missing: missing("mean"), ..config(vec![number("age", &tables)], "event", 0.3, SEALED) };
    let mut weak = weak;
    weak.values[0] = 1e3;
    let (made, done) = rounds(&weak, &tables, |_, _| (), |_| ()).unwrap();
    let bins = (made.last().unwrap().sums.len() - 1) / 3;
    let used = |sums: &[f64]| (0..bins).filter(|&i| sums[i] + sums[bins + i] > 0.0).count();
    assert!(used(&made.last().unwrap().sums) > 10);
    assert!(value(&done, "auc") > 0.5);
    // All but a few rows leave after the bins are made: what is left is taken together.
    let few = |stage: &str, sums: &mut [f64]| {
        if stage == "judge" {
            let bins = (sums.len() - 1) / 3;
            sums[..2 * bins].iter_mut().for_each(|n| *n = n.min(1.0));
        }
    };
    let (_, done) = rounds(&weak, &tables, few, |_| ()).unwrap();
    assert!((0.0..=1.0).contains(&value(&done, "auc")));
    // A class of a few judging rows says nothing; the mean over all rows does.
    let rare = |stage: &str, sums: &mut [f64]| {
        if stage == "judge" {
            let bins = (sums.len() - 1) / 3;
            sums[bins..2 * bins].fill(0.0);
            sums[bins] = 4.0;
        }
    };
    let (_, done) = rounds(&weak, &tables, rare, |_| ()).unwrap();
    assert!(value(&done, "auc").is_nan() && value(&done, "calibration slope").is_nan());
    assert!(value(&done, "brier") > 0.0);
}

/// The patients, of whom the sites have 3, 5 and 2 values of the marker, as three hospitals of the heart study have in a column. One
/// has three smokers, and two events.
fn sparse() -> Vec<Table> {
    let mut tables = patients();
    for (table, values) in tables.iter_mut().zip([3, 5, 2]) {
        let marker = table.column("marker");
        let present: Vec<usize> =
            (0..table.rows.len()).filter(|&r| !table.rows[r][marker].is_empty()).collect();
        present.into_iter().skip(values).for_each(|r| table.rows[r][marker].clear());
    }
    let (smoker, event) = (tables[1].column("smoker"), tables[1].column("event"));
    let mut seen = [0, 0];
    tables[1].rows.iter_mut().for_each(|row| {
        seen[0] += usize::from(row[smoker] == "current");
        if row[smoker] == "current" && seen[0] > 3 {
            row[smoker] = "never".into();
        }
        seen[1] += usize::from(row[event] == "1");
        if row[event] == "1" && seen[1] > 2 {
            row[event] = "0".into();
        }
    });
    tables
}

#[test]
fn groups_that_are_too_small_do_not_leave_and_the_study_still_trains() {
    let tables = sparse();
    let features = || of_patients(&tables);
    let with = |least| rounds(&config(features(), "event", 0.0, least), &tables, |_, _| (), |_| ()).unwrap();
    let ((sealed, exact), (public, coarse)) = (with(SEALED), with(PUBLIC));
    // Counts of the description: rows, judging, without outcome, positives, left out, hidden, present of each feature.
    let marker = 6 + 4;
    let of = |rounds: &[Round], at: usize| rounds[0].sites.iter().map(|site| site[at]).collect::<Vec<f64>>();
    assert_eq!(of(&sealed, marker), [3.0, 5.0, 2.0]);
    assert_eq!(of(&public, marker), [0.0, 5.0, 0.0]);
    assert_eq!(of(&sealed, 4), [0.0, 0.0, 0.0]);
    // Two events of the second site are left out, one of them a smoker; the two other smokers there are filled like the markers of the others.
    assert_eq!(of(&public, 3)[1], 0.0);
    assert_eq!(of(&public, 4), [0.0, 2.0, 0.0]);
    assert_eq!(of(&public, 5), [3.0, 2.0, 2.0]);
    assert_eq!(of(&sealed, 0)[1] - of(&public, 0)[1], 2.0);
    // In no round is a block of a site that rests on one to four rows.
    for round in &public {
        let counts = match round.stage.as_str() {
            // All counts but those of what was left out.
            "describe" => (0..4).chain(6..6 + 10 + 5).collect::<Vec<usize>>(),
            "ranks" => (0..round.sums.len()).collect(),
            _ => vec![],
        };
        for site in &round.sites {
            let shown = counts.iter().map(|&i| site[i]);
            assert!(
                shown.clone().all(|n| n == 0.0 || n >= 5.0),
                "{}: {:?}",
                round.stage,
                shown.collect::<Vec<_>>()
            );
        }
    }
    // It is said, and the rest is as it was.
    let suppressed = &fact(&coarse, "suppressed").rows[0];
    assert_eq!([cell(&suppressed[0]), cell(&suppressed[1])], [2.0, 7.0]);
    assert!(exact.facts.iter().all(|f| f.name != "suppressed"));
    // Age says the same, within its standard error.
    let age = |done: &Done| {
        let row = &fact(done, "coefficients").rows[1];
        (cell(&row[1]), cell(&row[2]))
    };
    let ((one, error), (other, _)) = (age(&exact), age(&coarse));
    assert!((one - other).abs() < error && one > error, "{one} {other} {error}");
}

/// With ten values of all sites the marker is used; with four it is not, and nothing is said of it.
#[test]
fn a_column_of_a_few_values_is_not_used() {
    let mut tables = sparse();
    let trained = |tables: &[Table]| {
        let some = config(of_patients(tables), "event", 0.0, SEALED);
        train::<Logistic>(&some, tables).unwrap().0
    };
    let weight = |done: &Done| done.model.array("weights")[6];
    let said = |done: &Done| fact(done, "columns").rows[4][1..].iter().map(cell).collect::<Vec<f64>>();
    let used = trained(&tables);
    assert!(weight(&used) != 0.0);
    assert_eq!(said(&used)[0], 10.0);
    let marker = tables[0].column("marker");
    tables[1].rows.iter_mut().for_each(|row| row[marker].clear());
    tables[2].rows.iter_mut().for_each(|row| row[marker].clear());
    let unused = trained(&tables);
    assert_eq!(weight(&unused), 0.0);
    assert!(said(&unused).iter().all(|n| n.is_nan()), "{:?}", said(&unused));
    let none = |values: &[f64], low: f64, high: f64| values[4] == low / 2.0 + high / 2.0;
    let (low, high) = unused.model.config.features[4].kind.range().unwrap();
    assert!(none(unused.model.array("fill"), low, high), "what fills it is not theirs");
    let constant = &fact(&unused, "constant").rows;
    assert!(constant.iter().any(|row| matches!(&row[0], Cell::Text { text } if text == "marker")));
}

#[test]
fn a_level_or_a_class_of_a_few_rows_is_not_used() {
    let mut tables = patients();
    let (smoker, event) = (tables[0].column("smoker"), tables[0].column("event"));
    let trained = |tables: &[Table], least| {
        let some = config(of_patients(tables), "event", 0.0, least);
        train::<Logistic>(&some, tables)
    };
    // Four smokers in all.
    let mut seen = 0;
    tables.iter_mut().flat_map(|t| &mut t.rows).filter(|row| row[smoker] == "current").for_each(|row| {
        seen += 1;
        if seen > 4 {
            row[smoker] = "former".into();
        }
    });
    let (done, _) = trained(&tables, SEALED).unwrap();
    let weights = done.model.array("weights");
    assert!(weights[5] == 0.0 && done.model.array("mean")[4] == 0.0 && weights[4] != 0.0, "{weights:?}");
    assert!(trained(&tables, Least::default()).unwrap().0.model.array("weights")[5] != 0.0);
    // The level that others are compared with: it is one with the most frequent one then.
    tables.iter_mut().flat_map(|t| &mut t.rows).for_each(|row| {
        row[smoker] = match row[smoker].as_str() {
            "current" => "never",
            "never" => "current",
            other => other,
        }
        .into();
    });
    let (done, _) = trained(&tables, SEALED).unwrap();
    let weights = done.model.array("weights");
    assert_eq!(weights[4..6].iter().filter(|w| **w == 0.0).count(), 1, "{weights:?}");
    // Four events in all.
    let mut seen = 0;
    tables.iter_mut().flat_map(|t| &mut t.rows).filter(|row| row[event] == "1").for_each(|row| {
        seen += 1;
        if seen > 4 {
            row[event] = "0".into();
        }
    });
    let error = trained(&tables, SEALED).unwrap_err();
    assert!(error.contains("fewer than the plan's minimum of 5 rows with a yes"), "{error}");
    assert!(!error.contains('4'), "{error}");
}

/// A round is answered whatever the rows are: a refusal tells of them.
#[test]
fn nobody_refuses_a_round_for_what_is_in_a_row() {
    let tables = patients();
    let mut some = config(of_patients(&tables), "event", 0.3, SEALED);
    some.missing = missing("refuse");
    let whole: usize =
        tables.iter().flat_map(|t| &t.rows).filter(|row| !row.contains(&String::new())).count();
    let (done, _) = train::<Logistic>(&some, &tables).unwrap();
    assert_eq!(value(&done, "rows") + value(&done, "judging rows"), whole as f64);
    // A site without any row, and one whose outcomes and levels cannot be.
    let mut odd = tables.clone();
    odd[0].rows.clear();
    let event = odd[1].column("event");
    odd[1].rows.iter_mut().for_each(|row| row[event] = "7".into());
    let (done, _) = train::<Logistic>(&some, &odd).unwrap();
    assert!(value(&done, "rows") > 100.0);
}
