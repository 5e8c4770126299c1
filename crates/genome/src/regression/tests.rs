#![allow(clippy::unwrap_used)]
use super::*;

fn site(chromosome: &str) -> Site {
    let [ids, reference, alternative] = [".", "A", "C"].map(str::to_owned);
    Site { line: 1, chromosome: chromosome.into(), position: 1, ids, reference, alternative }
}

/// Two chromosomes; the trait is made by the first one and noise.
fn simulated(people: usize) -> (Block, Vec<Site>, Vec<f64>) {
    let mut state = 3_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1 << 24) as f64
    };
    let mut block = Block::new(people);
    let mut phenotype: Vec<f64> = (0..people).map(|_| 100.0 + 4.0 * random()).collect();
    for v in 0..40 {
        let calls: Vec<Call> = (0..people)
            .map(|_| Call::from_code(u64::from(random() < 0.4) + u64::from(random() < 0.4)))
            .collect();
        if v < 20 {
            let effect = if v % 2 == 0 { 1.0 } else { -1.0 };
            phenotype
                .iter_mut()
                .zip(&calls)
                .for_each(|(y, call)| *y += effect * f64::from(call.copies().unwrap()));
        }
        block.push_calls(&calls).unwrap();
    }
    let sites = (0..40).map(|v| site(if v < 20 { "1" } else { "2" })).collect();
    (block, sites, phenotype)
}

fn rule() -> Rule {
    Rule { block: 10, ..Rule::for_variants(40) }
}

#[test]
fn a_chromosome_is_predicted_from_the_others() {
    let (block, sites, mut phenotype) = simulated(300);
    phenotype[7] = f64::NAN;
    let mut regression = Regression::new(&phenotype, &[], rule()).unwrap();
    regression.add(&block, &sites, |_| true).unwrap();
    let mut folds = 0;
    let found = regression.finish(|done, of| folds += usize::from(done <= of)).unwrap();
    assert_eq!((found.chromosomes(), folds), (&["1".to_owned(), "2".to_owned()][..], 5));
    assert_eq!((found.leaving_out("1").len(), found.leaving_out("2")[7]), (300, 0.0));
    assert!(found.subtract_from(&phenotype, "2")[7].is_nan());
    let variance = |values: Vec<f64>| {
        let values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter().map(|value| (value - mean).powi(2)).sum::<f64>()
    };
    let before = variance(phenotype.clone());
    let [first, second, other] =
        ["1", "2", "X"].map(|name| variance(found.subtract_from(&phenotype, name)) / before);
    // The first chromosome explains nearly all, the second nothing; one without predictors is predicted from both.
    assert!(first > 0.95 && second < 0.35 && other < 0.35, "{first} {second} {other}");
    assert!((found.errors[found.best] - other).abs() < 0.01);
    assert!(found.errors.iter().all(|error| *error >= found.errors[found.best]));
}

#[test]
fn what_makes_no_prediction_is_said() {
    let (block, sites, phenotype) = simulated(30);
    let error = |rule: Rule| Regression::new(&phenotype, &[], rule).err();
    for wrong in [
        Rule { shares: vec![], ..rule() },
        Rule { shares_of_predictors: vec![1.0], ..rule() },
        Rule { shares: vec![f64::NAN], ..rule() },
        Rule { block: 0, ..rule() },
        Rule { variants: 0, ..rule() },
        Rule { folds: 1, ..rule() },
        Rule { folds: 31, ..rule() },
    ] {
        assert!(matches!(error(wrong.clone()), Some(RegressionError::Rule { .. })), "{wrong:?}");
    }
    assert!(matches!(Regression::new(&[1.0; 30], &[], rule()), Err(RegressionError::Design(_))));
    let begin = |rule| Regression::new(&phenotype, &[], rule).unwrap();
    assert_eq!(begin(rule()).finish(|_, _| {}), Err(RegressionError::NoVariants));
    let added = begin(Rule { most: 9, ..rule() }).add(&block, &sites, |_| true);
    assert_eq!(added, Err(RegressionError::TooMany(9)));
    let added = begin(rule()).add(&block, &sites[1..], |_| true);
    assert!(matches!(added, Err(RegressionError::Block { sites: 39, .. })));
    assert!(matches!(begin(rule()).add(&Block::new(3), &[], |_| true), Err(RegressionError::Block { .. })));
}
