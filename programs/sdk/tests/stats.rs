//! `stats` against values with 50 digits (`reference/stats.csv`, made by the script beside it), and at its edges.

use histone_program_sdk::stats::*;

const TABLE: &str = include_str!("reference/stats.csv");

/// Largest relative error of any row; measured, on a longer table of the same script, is half of it.
const BOUND: f64 = 1e-14;

/// The function of a row with its arguments, and the value that belongs there.
fn row(line: &str) -> (f64, f64) {
    let (name, numbers) = line.split_once(',').expect("a row has numbers");
    let numbers: Vec<f64> = numbers.split(',').map(|n| n.parse().expect("a number")).collect();
    let got = match (name, numbers.as_slice()) {
        ("normal_cdf", [z, _]) => normal_cdf(*z),
        ("normal_quantile", [p, _]) => normal_quantile(*p),
        ("two_sided_normal", [z, _]) => two_sided_normal(*z),
        ("student_t_cdf", [t, df, _]) => student_t_cdf(*t, *df),
        ("two_sided_t", [t, df, _]) => two_sided_t(*t, *df),
        ("student_t_quantile", [p, df, _]) => student_t_quantile(*p, *df),
        ("f_upper_tail", [f, d1, d2, _]) => f_upper_tail(*f, *d1, *d2),
        ("chi2_upper_tail", [x, k, _]) => chi2_upper_tail(*x, *k),
        ("ln_gamma", [x, _]) => ln_gamma(*x),
        ("beta_lower", [a, b, x, _]) => beta_lower(*a, *b, *x),
        ("gamma_lower", [a, x, _]) => gamma_lower(*a, *x),
        _ => panic!("no such row: {line}"),
    };
    (got, numbers[numbers.len() - 1])
}

fn close(got: f64, want: f64, bound: f64) -> bool {
    (got - want).abs() <= bound * want.abs()
}

#[test]
fn every_row_of_the_table() {
    let mut smallest: f64 = 1.0;
    for line in TABLE.lines() {
        let (got, want) = row(line);
        assert!(close(got, want, BOUND), "{line}: {got:e}");
        smallest = smallest.min(want.abs());
    }
    assert!(TABLE.lines().count() > 600 && smallest < 1e-300, "the table has far tails");
}

/// Every bit of the table's results, so that a machine or compiler that rounds otherwise is found out.
#[test]
fn the_bits_are_the_same_everywhere() {
    let hash = TABLE.lines().fold(0xcbf2_9ce4_8422_2325, |hash: u64, line| {
        (hash ^ row(line).0.to_bits()).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(17)
    });
    assert_eq!(hash, 0x5396_481b_64ce_24a8, "{hash:#x}");
}

#[test]
fn normal_edges() {
    assert_eq!(normal_cdf(0.0), 0.5);
    assert_eq!(normal_cdf(f64::NEG_INFINITY), 0.0);
    assert_eq!(normal_cdf(f64::INFINITY), 1.0);
    assert_eq!(normal_cdf(-1e300), 0.0);
    assert_eq!(two_sided_normal(0.0), 1.0);
    assert_eq!(two_sided_normal(-3.0), two_sided_normal(3.0));
    assert_eq!(two_sided_normal(f64::NEG_INFINITY), 0.0);
    assert_eq!(two_sided_normal(1e300), 0.0);
    assert!(two_sided_normal(38.0) > 0.0, "the smallest numbers are used");
    assert_eq!(normal_quantile(0.0), f64::NEG_INFINITY);
    assert_eq!(normal_quantile(0.5), 0.0);
    assert_eq!(normal_quantile(1.0), f64::INFINITY);
    assert!(close(normal_quantile(f64::from_bits(1)), -38.467_405_617_144_35, 1e-14));
    for nan in [normal_cdf(f64::NAN), two_sided_normal(f64::NAN), normal_quantile(f64::NAN)] {
        assert!(nan.is_nan());
    }
    assert!(normal_quantile(-1e-300).is_nan() && normal_quantile(1.000_000_1).is_nan());
}

#[test]
fn student_edges() {
    for df in [1.0, 1.5, 7.0, 1e9, 1e40, f64::INFINITY] {
        assert_eq!(two_sided_t(0.0, df), 1.0);
        assert_eq!(two_sided_t(-0.0, df), 1.0);
        assert_eq!(two_sided_t(-2.0, df), two_sided_t(2.0, df));
        assert_eq!(two_sided_t(f64::INFINITY, df), 0.0);
        assert_eq!(two_sided_t(f64::NEG_INFINITY, df), 0.0);
        assert_eq!(student_t_cdf(0.0, df), 0.5);
        assert_eq!(student_t_cdf(f64::NEG_INFINITY, df), 0.0);
        assert_eq!(student_t_cdf(f64::INFINITY, df), 1.0);
        assert_eq!(student_t_quantile(0.0, df), f64::NEG_INFINITY);
        assert_eq!(student_t_quantile(0.5, df), 0.0);
        assert_eq!(student_t_quantile(1.0, df), f64::INFINITY);
        assert!(two_sided_t(f64::NAN, df).is_nan());
        assert!(student_t_cdf(f64::NAN, df).is_nan());
        for p in [-0.1, 1.1, f64::NAN] {
            assert!(student_t_quantile(p, df).is_nan());
        }
    }
    for df in [0.0, -1.0, 0.99, f64::NEG_INFINITY, f64::NAN] {
        assert!(two_sided_t(1.0, df).is_nan());
        assert!(student_t_cdf(1.0, df).is_nan());
        assert!(student_t_quantile(0.3, df).is_nan());
    }
    assert!(close(two_sided_t(f64::MAX, 1.0), 3.541_315_033_259_78e-309, 1e-12), "2 / (pi t)");
    assert_eq!(two_sided_t(f64::MAX, 2.0), 0.0);
    assert_eq!(student_t_quantile(f64::from_bits(1), 1.0), f64::NEG_INFINITY, "beyond the largest number");
    assert!(student_t_quantile(f64::from_bits(1), 1e6) < -38.0);
}

#[test]
fn fisher_and_chi_square_edges() {
    for d in [1.0, 2.0, 30.0, 1e6, 1e35, f64::INFINITY] {
        for other in [1.0, 100.0, 1e9, f64::INFINITY] {
            assert_eq!(f_upper_tail(0.0, d, other), 1.0);
            assert_eq!(f_upper_tail(-1.0, d, other), 1.0);
            assert_eq!(f_upper_tail(f64::NEG_INFINITY, d, other), 1.0);
            assert_eq!(f_upper_tail(f64::INFINITY, d, other), 0.0);
            assert!(f_upper_tail(f64::NAN, d, other).is_nan());
        }
        for bad in [0.0, 0.5, -2.0, f64::NAN] {
            assert!(f_upper_tail(1.0, d, bad).is_nan());
            assert!(f_upper_tail(1.0, bad, d).is_nan());
        }
    }
    for k in [1.0, 2.0, 30.0, 1e6, 1e30] {
        assert_eq!(chi2_upper_tail(0.0, k), 1.0);
        assert_eq!(chi2_upper_tail(-1.0, k), 1.0);
        assert_eq!(chi2_upper_tail(f64::INFINITY, k), 0.0);
        assert!(chi2_upper_tail(f64::NAN, k).is_nan());
    }
    for k in [0.0, 0.5, -1.0, f64::INFINITY, f64::NAN] {
        assert!(chi2_upper_tail(1.0, k).is_nan());
    }
    assert!(close(f_upper_tail(f64::MAX, 1.0, 1.0), 4.748_127_178_536_54e-155, 1e-14), "2 / (pi sqrt(f))");
    for tiny in [f64::from_bits(1), 1e-320, 1e-300, 1e-160, 1e-50] {
        for d in [1.0, 3.0, 1e6, f64::INFINITY] {
            assert_eq!(f_upper_tail(tiny, d, 7.0), 1.0);
            assert_eq!(f_upper_tail(tiny, 7.0, d), 1.0);
            assert_eq!(chi2_upper_tail(tiny, d.min(1e30)), 1.0);
            assert_eq!(two_sided_t(tiny, d), 1.0);
        }
    }
}

#[test]
fn helper_edges() {
    assert_eq!(ln_gamma(1.0), 0.0);
    assert_eq!(ln_gamma(2.0), 0.0);
    assert_eq!(ln_gamma(0.0), f64::INFINITY);
    assert_eq!(ln_gamma(f64::INFINITY), f64::INFINITY);
    assert!(ln_gamma(f64::from_bits(1)) > 744.0);
    assert!(ln_gamma(-0.5).is_nan() && ln_gamma(f64::NAN).is_nan());
    assert_eq!(beta_lower(2.0, 3.0, 0.0), 0.0);
    assert_eq!(beta_lower(2.0, 3.0, 1.0), 1.0);
    for (a, b, x) in
        [(0.4, 1.0, 0.5), (1.0, f64::NAN, 0.5), (1.0, 1.0, 1.1), (1.0, 1.0, -0.1), (1.0, 1.0, f64::NAN)]
    {
        assert!(beta_lower(a, b, x).is_nan());
    }
    assert!(close(beta_lower(1.0, 1.0, 1e-305), 1e-305, 1e-14));
    assert!(close(beta_lower(0.5, 1.0, 1e-320), 1e-160, 1e-4), "subnormal numbers have few digits");
    assert!(close(gamma_lower(1.0, 1e-305), 1e-305, 1e-14));
    assert_eq!(gamma_lower(2.0, 0.0), 0.0);
    assert_eq!(gamma_upper(2.0, 0.0), 1.0);
    assert_eq!(gamma_lower(2.0, f64::INFINITY), 1.0);
    assert_eq!(gamma_upper(2.0, f64::INFINITY), 0.0);
    assert!(
        gamma_upper(0.4, 1.0).is_nan()
            && gamma_lower(1.0, -1.0).is_nan()
            && gamma_lower(1.0, f64::NAN).is_nan()
    );
}

#[test]
fn one_distribution_is_a_case_of_another() {
    for i in 1..300 {
        let x = f64::from(i) * 0.1;
        let normal = two_sided_normal(x);
        assert!(close(chi2_upper_tail(x * x, 1.0), normal, 1e-12), "at {x}: x^2 is rounded");
        assert!(close(two_sided_t(x, f64::INFINITY), normal, BOUND), "at {x}");
        assert!(close(f_upper_tail(x, 7.0, f64::INFINITY), chi2_upper_tail(7.0 * x, 7.0), 1e-12), "at {x}");
        assert!(close(chi2_upper_tail(2.0 * x, 2.0), histone_program_sdk::math::exp(-x), BOUND), "at {x}");
        for df in [1.0, 3.0, 250.0] {
            assert!(close(f_upper_tail(x * x, 1.0, df), two_sided_t(x, df), 1e-12), "at {x}, {df}");
            let sides = f_upper_tail(x, 12.0, df) + f_upper_tail(1.0 / x, df, 12.0);
            assert!((sides - 1.0).abs() < BOUND, "at {x}, {df}");
        }
        let sides = gamma_lower(x, 3.0) + gamma_upper(x, 3.0);
        assert!(x < 0.5 || (sides - 1.0).abs() < BOUND);
    }
}

/// The change of method is nowhere a step: where parameters become wide, at the mean, and where the series ends.
#[test]
fn tails_fall_without_steps() {
    for (d1, d2) in [(1.0, 1e9), (99.9, 300.0), (100.0, 100.0), (5.0, 5.0), (1e5, 1e7)] {
        for f in [0.5, 1.0, 1.5] {
            let at = |i: i32| f_upper_tail(f * (1.0 + f64::from(i) * 1e-6), d1, d2);
            for i in -20..20 {
                assert!(at(i + 1) < at(i) + 1e-15, "{d1}, {d2} at {f}");
            }
        }
    }
    for k in [99.999_999, 100.0, 100.000_001] {
        let step = chi2_upper_tail(120.0, k + 1e-6) - chi2_upper_tail(120.0, k);
        assert!((0.5e-8..2e-8).contains(&step), "{step:e}");
    }
    for z in [1.25, 1.959_964, 2.0] {
        assert!(normal_cdf(z * (1.0 + 1e-14)) > normal_cdf(z * (1.0 - 1e-14)));
    }
}

#[test]
fn quantiles_undo() {
    for i in 1..=200 {
        let p = f64::from(i) / 401.0;
        assert!(close(normal_cdf(normal_quantile(p)), p, BOUND));
        assert_eq!(normal_quantile(1.0 - p), -normal_quantile(1.0 - (1.0 - p)));
        for df in [1.0, 2.5, 40.0, 1e9] {
            let t = student_t_quantile(p, df);
            assert!(close(student_t_cdf(t, df), p, BOUND), "{p}, {df}: {t}");
        }
    }
}
