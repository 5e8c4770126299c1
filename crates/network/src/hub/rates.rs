//! How often somebody may do something.

use std::collections::HashMap;
use std::hash::Hash;

/// Allowances by who asks. Each fills up steadily until it is full, and a request takes from it.
pub(super) struct Rates<K> {
    full: f64,
    per_second: f64,
    /// What is left, and when that was so. Whoever is not in it has a full one.
    left: HashMap<K, (f64, u64)>,
    /// Most entries; whoever comes when there are as many shares one allowance with all others who do.
    most: usize,
    rest: (f64, u64),
    swept: u64,
}

impl<K: Eq + Hash> Rates<K> {
    /// `full` at once, and `per_second` on average.
    pub(super) fn new(full: f64, per_second: f64) -> Self {
        Self { full, per_second, left: HashMap::new(), most: 50_000, rest: (full, 0), swept: 0 }
    }

    /// Takes so much, or gives after how many seconds it can be had.
    pub(super) fn take(&mut self, key: K, cost: f64, now: u64) -> Result<(), u64> {
        if self.left.len() >= self.most && self.swept != now {
            self.swept = now;
            let (full, per_second) = (self.full, self.per_second);
            self.left.retain(|_, entry| filled(*entry, full, per_second, now) < full);
        }
        let room = self.left.len() < self.most;
        let entry = match self.left.get_mut(&key) {
            Some(entry) => entry,
            None if room => self.left.entry(key).or_insert((self.full, now)),
            None => &mut self.rest,
        };
        let there = filled(*entry, self.full, self.per_second, now);
        if there >= cost {
            *entry = (there - cost, now);
            return Ok(());
        }
        *entry = (there, now);
        let seconds = ((cost.min(self.full) - there) / self.per_second).ceil();
        // Saturates.
        Err((seconds as u64).max(1))
    }
}

/// A clock that goes back gives nothing.
fn filled((left, since): (f64, u64), full: f64, per_second: f64, now: u64) -> f64 {
    (left + now.saturating_sub(since) as f64 * per_second).min(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_up_steadily() {
        let mut rates = Rates::new(2.0, 0.1);
        assert_eq!([1, 1, 1].map(|key| rates.take(key, 1.0, 100)), [Ok(()), Ok(()), Err(10)]);
        assert_eq!(rates.take(2, 1.0, 100), Ok(()), "another's is its own");
        assert_eq!(rates.take(1, 1.0, 105), Err(5));
        assert_eq!(rates.take(1, 1.0, 110), Ok(()));
        assert_eq!(rates.take(1, 3.0, 200), Ok(()).and(Err(1)), "never more than a full one");
        assert_eq!(rates.take(1, 2.0, 0), Ok(()), "the clock went back");
        assert_eq!(rates.take(1, 1.0, 0), Err(10));
    }

    #[test]
    fn many_who_ask_take_no_more_memory() {
        let mut rates = Rates::new(1.0, 0.1);
        rates.most = 10;
        let granted = (0..1_000).filter(|key| rates.take(*key, 1.0, 5).is_ok()).count();
        assert_eq!((granted, rates.left.len()), (11, 10));
        assert!(rates.take(2_000, 1.0, 15).is_ok(), "those that are full again are forgotten");
        assert!(rates.left.len() < 10);
    }
}
