//! Exact order statistics of values that nobody pools, by counting.
//!
//! Every finite `f64` has a 64-bit key that keeps the order. A search knows the first bits of the key of a middle value;
//! 15 counts of values at or below a threshold give four more bits. After 36 bits (sign, exponent and 24
//! bits of the fraction) the interval that is left holds at most one decimal of seven significant digits; the shortest
//! decimal in it is taken as the value. Measured values with at most seven digits are therefore found exactly, others to
//! about `6e-8` of their size.
//!
//! Each round counts for itself: the last threshold of a column is the largest number, which gives the present values of
//! the donors *of that round*, and the middle ranks follow from it. When donors come and go between rounds, a search goes
//! on within the interval that it has, towards the end that is nearer to the middle of who is left; it ends between the
//! smallest and the largest value of all who took part. When nobody is left who has a value in the column, the search
//! ends with a plain number from its interval.

use crate::config::{Config, Feature, Missing};
use crate::data::Data;
use crate::refusal::Refusal;
use crate::wire;

use super::design::present;
use super::select::{Part, Selection, class, gather, lacks};

/// Bits of the key that are found.
const BITS: u32 = 36;
/// Bits found in one round.
const STEP: u32 = 4;

/// Rounds of a search.
pub(super) const ROUNDS: u32 = BITS / STEP;

/// Counts of each column that is searched: two searches with 15 borders each, and all present values. A round that has fewer borders
/// is filled up with zeros, since how many there are tells of the data.
const COUNTS: usize = 31;

wire! {
    /// The search for one of the two middle values of one column; they are the same value when their number is odd.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Search {
        column: u32,
        middle: Middle,
        /// The bits found so far.
        prefix: u64,
        bits: u32,
        /// In the last round nobody had a value in the column.
        ended: bool,
    }
}

wire! {
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub enum Middle {
        Lower {},
        Upper {},
    }
}

/// The key: larger for larger numbers.
fn key(v: f64) -> u64 {
    let bits = v.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

fn from_key(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 { key & !(1 << 63) } else { !key })
}

/// What is known of the count of values at or below the end of a bucket.
enum End {
    /// Below all numbers: none.
    None,
    /// Above all numbers: all of them.
    All,
    /// The sites must count.
    Ask(f64),
}

impl Search {
    /// All bits are found, or no more can be.
    pub(super) fn done(&self) -> bool {
        self.ended || self.bits >= BITS
    }

    /// The rank, from 1, of the value that is looked for among `count` values.
    fn rank(&self, count: u64) -> u64 {
        match self.middle {
            Middle::Lower {} => count.div_ceil(2),
            Middle::Upper {} => count / 2 + 1,
        }
    }

    /// The last key of the `i`-th of the 16 buckets.
    fn end(&self, i: u64) -> End {
        let shift = 64 - self.bits - STEP;
        let last = (self.prefix << STEP | i) << shift | ((1 << shift) - 1);
        if last < key(f64::MIN) {
            End::None
        } else if last >= key(f64::MAX) {
            End::All
        } else {
            End::Ask(from_key(last))
        }
    }

    /// The value: the shortest decimal within the interval of the prefix.
    fn value(&self) -> f64 {
        // Not empty: `narrow` never leaves the finite numbers.
        let (least, most) = (key(f64::MIN), key(f64::MAX));
        let rest = u64::MAX.checked_shr(self.bits).unwrap_or(0);
        let first = self.prefix.checked_shl(64 - self.bits).unwrap_or(0);
        let (first, last) = (first.clamp(least, most), (first | rest).clamp(least, most));
        let (low, middle, high) = (from_key(first), from_key(first + (last - first) / 2), from_key(last));
        if low <= 0.0 && high >= 0.0 {
            return 0.0;
        }
        // Formatting and reading of decimals are exact in the standard library, hence the same on every machine.
        let decimal = |digits: usize| {
            format!("{middle:.digits$e}").parse::<f64>().ok().filter(|v| low <= *v && *v <= high)
        };
        (0..17).find_map(decimal).unwrap_or(middle)
    }
}

/// The searches for the two middle values of every column, none where nothing is present.
pub(super) fn start(present: &[u64]) -> Vec<Search> {
    let columns = present.iter().enumerate().filter(|(_, count)| **count > 0);
    let both = |(column, _)| {
        [Middle::Lower {}, Middle::Upper {}].map(|middle| Search {
            column: column as u32,
            middle,
            prefix: 0,
            bits: 0,
            ended: false,
        })
    };
    columns.flat_map(both).collect()
}

/// How many counts a site gives in each round.
pub(super) fn numbers(config: &Config) -> usize {
    let searched = config.features.iter().filter(|x| x.kind.range().is_some());
    match config.missing {
        Missing::Median {} => COUNTS * searched.count(),
        _ => 0,
    }
}

/// The thresholds of every column, ascending, each once; the last of a column that is searched is the largest number.
pub(super) fn thresholds(searches: &[Search], columns: usize) -> Vec<Vec<f64>> {
    let of = |column: usize| {
        let open = || searches.iter().filter(|s| s.column as usize == column && !s.done());
        let ends = open().flat_map(|s| (0..15).map(|i| s.end(i)));
        let mut ask: Vec<f64> =
            ends.filter_map(|e| if let End::Ask(v) = e { Some(v) } else { None }).collect();
        ask.extend(open().map(|_| f64::MAX));
        ask.sort_unstable_by(f64::total_cmp);
        ask.dedup();
        ask
    };
    (0..columns).map(of).collect()
}

/// Takes the counts of a round; every open search gets four bits longer, or ends.
pub(super) fn narrow(searches: &mut [Search], config: &Config, sum: &[f64]) -> Result<(), Refusal> {
    let implausible = |what: &str| Refusal::because(format!("the sums of the ranks cannot be true: {what}"));
    let count = |&v: &f64| {
        if (0.0..=9e15).contains(&v) && v.trunc() == v {
            Ok(v as u64)
        } else {
            Err(implausible("a count is not a whole number"))
        }
    };
    let counts = sum.iter().map(count).collect::<Result<Vec<_>, _>>()?;
    let mut left = counts.as_slice();
    let mut asked = Vec::new();
    for (thresholds, x) in thresholds(searches, config.features.len()).into_iter().zip(&config.features) {
        let taken = if x.kind.range().is_some() { COUNTS } else { 0 };
        let (here, rest) = left.split_at_checked(taken).ok_or_else(|| implausible("the sum is too short"))?;
        left = rest;
        let (here, filling) =
            here.split_at_checked(thresholds.len()).ok_or_else(|| implausible("the sum is too short"))?;
        if filling.iter().any(|&count| count != 0) {
            return Err(implausible("something is counted that nobody asked for"));
        }
        if !here.is_sorted() {
            return Err(implausible("counts fall where thresholds rise"));
        }
        asked.push((thresholds, here));
    }
    for search in searches.iter_mut().filter(|s| !s.done()) {
        let (thresholds, counts) =
            asked.get(search.column as usize).ok_or_else(|| implausible("a column is unknown"))?;
        let all = counts.last().copied().unwrap_or(0);
        if all == 0 {
            search.ended = true;
            continue;
        }
        let rank = search.rank(all);
        let reaches = |i: &u64| {
            let count = match search.end(*i) {
                End::None => 0,
                End::All => all,
                End::Ask(v) => {
                    let at = thresholds.iter().position(|a| *a == v);
                    at.and_then(|at| counts.get(at).copied()).unwrap_or(0)
                }
            };
            count >= rank
        };
        // The first and the last bucket also take what has left the interval on their side.
        let bucket = (0..15).find(reaches).unwrap_or(15);
        search.prefix = search.prefix << STEP | bucket;
        search.bits += STEP;
    }
    Ok(())
}

/// For each column that was searched, its number and median: the mean of the two middle values.
pub(super) fn found(searches: &[Search]) -> Vec<(usize, f64)> {
    let pairs = searches.chunks(2).filter_map(|pair| match pair {
        // Halves of the smallest numbers would be rounded.
        [lower, upper] if lower.value() == upper.value() => Some((lower.column as usize, lower.value())),
        [lower, upper] => Some((lower.column as usize, lower.value() / 2.0 + upper.value() / 2.0)),
        _ => None,
    });
    pairs.collect()
}

/// A site's counts: for each feature and each of its thresholds how many present values of training rows, taken into the
/// plausible range, are at or below it.
pub(super) fn site(config: &Config, thresholds: &[Vec<f64>], data: &dyn Data) -> Result<Vec<f64>, Refusal> {
    let f = config.features.len();
    let fits = |(t, x): (&Vec<f64>, &Feature)| t.len() <= if x.kind.range().is_some() { COUNTS } else { 0 };
    if thresholds.len() != f || !thresholds.iter().zip(&config.features).all(fits) {
        return Err(Refusal::Malformed);
    }
    let selection = Selection::of(config, data)?;
    let mut room = Vec::new();
    // A value counts at the first threshold that is not below it, and so, summed up, at all later ones.
    let mut first: Vec<Vec<f64>> = thresholds.iter().map(|t| vec![0.0; t.len()]).collect();
    data.each(config.columns(), &mut |draw, values| {
        let (features, outcome) = values.split_at(f);
        let Some(class) = class(&config.outcome, outcome) else { return Ok(()) };
        if !selection.has(Part::Training, class, draw) || lacks(config, features) {
            return Ok(());
        }
        let features = selection.shown(features, &mut room);
        let here = features.iter().zip(&config.features).map(|(&v, x)| present(x, v));
        for ((v, x), (limits, counts)) in here.zip(&config.features).zip(thresholds.iter().zip(&mut first)) {
            let (Some(v), Some((low, high))) = (v, x.kind.range()) else { continue };
            let v = v.clamp(low, high);
            if let Some(count) = counts.get_mut(limits.partition_point(|t| *t < v)) {
                *count += 1.0;
            }
        }
        Ok(())
    })?;
    let mut out = Vec::new();
    for (counts, x) in first.into_iter().zip(&config.features) {
        // Between two thresholds there is nobody, or enough.
        let mut shown = vec![0.0; counts.len()];
        let to = gather(&counts, config.least.site);
        counts.iter().zip(to).for_each(|(count, to)| to.into_iter().for_each(|to| shown[to] += count));
        let (mut sum, filling) = (0.0, COUNTS - counts.len());
        out.extend(shown.into_iter().map(|count| {
            sum += count;
            sum
        }));
        if x.kind.range().is_some() {
            out.extend(std::iter::repeat_n(0.0, filling));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{Kind, Outcome};

    /// One number.
    fn config() -> Config {
        let kind = Kind::Number { low: -1.0, high: 1.0 };
        Config {
            features: vec![Feature { name: "x".into(), kind, zero_is_missing: false }],
            outcome: Outcome::YesNo { name: "y".into() },
            missing: Missing::Median {},
            holdout: 0.0,
            least: Default::default(),
            values: vec![],
        }
    }

    /// Searches the median of one column with honest counts; `values(round)` are those of the donors of that round. Gives the
    /// value and the rounds used.
    fn search_in_rounds(described: usize, values: impl Fn(usize) -> Vec<f64>) -> (f64, usize) {
        let mut searches = start(&[described as u64]);
        let mut rounds = 0;
        while !searches.iter().all(Search::done) {
            let asked = thresholds(&searches, 1);
            assert!(asked[0].windows(2).all(|w| w[0] < w[1]) && asked[0].len() <= COUNTS);
            let here = values(rounds);
            let mut counts: Vec<f64> =
                asked[0].iter().map(|t| here.iter().filter(|v| *v <= t).count() as f64).collect();
            counts.resize(COUNTS, 0.0);
            narrow(&mut searches, &config(), &counts).unwrap();
            rounds += 1;
        }
        (found(&searches)[0].1, rounds)
    }

    fn exact(values: &[f64]) -> f64 {
        let mut v = values.to_vec();
        v.sort_unstable_by(f64::total_cmp);
        let n = v.len();
        v[(n - 1) / 2] / 2.0 + v[n / 2] / 2.0
    }

    #[test]
    fn measured_values_are_found_exactly_in_nine_rounds() {
        let cases: [&[f64]; 9] = [
            &[239.0, 240.0],
            &[0.0],
            &[-0.0, 0.0, 0.0],
            &[-1.5, -1.5, 7.25],
            &[0.5, 0.5, 6.2, 0.0],
            &[1e-300, 2e-300],
            &[f64::MAX, f64::MAX],
            &[f64::MIN, f64::MIN, f64::MIN],
            &[-130.0, 130.0],
        ];
        for values in cases {
            let (median, rounds) = search_in_rounds(values.len(), |_| values.to_vec());
            let (expected, size) = (exact(values), exact(values).abs());
            let near = size > 1e300 && (median / expected - 1.0).abs() < 1e-7;
            assert!(median == expected || near, "{values:?}: {median}");
            assert_eq!(rounds, 9);
        }
    }

    #[test]
    fn impossible_counts_are_refused() {
        let mut s = start(&[4]);
        let asked = thresholds(&s, 1)[0].len();
        let filled = |count: &dyn Fn(usize) -> f64| (0..COUNTS).map(count).collect::<Vec<f64>>();
        let falling = filled(&|i| if i == 0 { 2.0 } else { f64::from(u8::from(i < asked)) });
        let behind = filled(&|i| if i < asked { 4.0 } else { 1.0 });
        for wrong in [falling, behind, vec![4.0; asked], vec![]] {
            assert!(narrow(&mut s, &config(), &wrong).is_err(), "{wrong:?}");
        }
        assert!(narrow(&mut s, &config(), &filled(&|i| if i < asked { 4.0 } else { 0.0 })).is_ok());
    }

    #[test]
    fn a_column_that_nobody_has_any_more_ends() {
        assert_eq!(search_in_rounds(3, |_| vec![]), (0.0, 1));
        let (value, rounds) = search_in_rounds(3, |round| if round < 4 { vec![130.0; 3] } else { vec![] });
        assert_eq!(rounds, 5);
        assert!((value / 130.0 - 1.0).abs() < 0.1, "{value}");
    }
}
