//! Linkage of two variants from unphased calls: the correlation of their copies.

use crate::cpu::{self, Kernel};

/// Sums over the people who are called at both variants.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Moments {
    pub people: f64,
    pub x: f64,
    pub y: f64,
    pub xx: f64,
    pub yy: f64,
    pub xy: f64,
}

impl Moments {
    /// Of two packed rows, among the people of a set ([`SampleSet::words`](crate::genotypes::SampleSet::words)).
    pub(super) fn of(x: &[u64], y: &[u64], set: &[u64]) -> Self {
        let [people, x1, x2, y1, y2, one, two, four] = cpu::run(Sums { x, y, set }).map(|count| count as f64);
        Self {
            people,
            x: x1 + 2.0 * x2,
            y: y1 + 2.0 * y2,
            xx: x1 + 4.0 * x2,
            yy: y1 + 4.0 * y2,
            xy: one + 2.0 * two + 4.0 * four,
        }
    }

    /// Adds the means of another group with a weight; the weights of all groups together are 1.
    pub(super) fn add_means(&mut self, weight: f64, group: &Self) {
        if group.people > 0.0 {
            let weight = weight / group.people;
            self.people += weight * group.people;
            self.x += weight * group.x;
            self.y += weight * group.y;
            self.xx += weight * group.xx;
            self.yy += weight * group.yy;
            self.xy += weight * group.xy;
        }
    }

    /// The correlation; `None` where one of the two does not vary.
    pub(super) fn r(&self) -> Option<f64> {
        let n = self.people;
        let (vx, vy) = (n * self.xx - self.x * self.x, n * self.yy - self.y * self.y);
        (vx > 1e-12 && vy > 1e-12).then(|| (n * self.xy - self.x * self.y) / (vx * vy).sqrt())
    }
}

struct Sums<'a> {
    x: &'a [u64],
    y: &'a [u64],
    set: &'a [u64],
}

impl Kernel for Sums<'_> {
    /// Called at both; one and two copies at x, at y; pairs of one and one, of one and two, of two and two copies.
    type Output = [u64; 8];

    #[inline(always)]
    fn run(self) -> [u64; 8] {
        let words = self.x.len().min(self.y.len()).min(self.set.len());
        let (xs, ys, set) = (&self.x[..words], &self.y[..words], &self.set[..words]);
        let mut sums = [0_u64; 8];
        for word in 0..words {
            let (x, y) = (xs[word], ys[word]);
            let known = set[word] & !(x & x >> 1) & !(y & y >> 1);
            let (x1, x2, y1, y2) = (x & known, x >> 1 & known, y & known, y >> 1 & known);
            let counts =
                [known, x1, x2, y1, y2, x1 & y1, (x1 & y2) | (x2 & y1), x2 & y2].map(u64::count_ones);
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += u64::from(count);
            }
        }
        sums
    }
}

/// The correlation of pairs of numbers, added up one by one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Correlation(Moments);

impl Correlation {
    pub(super) fn add(&mut self, x: f64, y: f64) {
        let sums = &mut self.0;
        sums.people += 1.0;
        sums.x += x;
        sums.y += y;
        sums.xx += x * x;
        sums.yy += y * y;
        sums.xy += x * y;
    }

    pub(super) fn count(&self) -> f64 {
        self.0.people
    }

    pub(super) fn r(&self) -> Option<f64> {
        self.0.r()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_by_hand() {
        // Nobody stands behind the sixth person.
        let words = |calls: &[u64]| [calls.iter().rev().fold(0, |word, call| word << 2 | call)];
        let (x, y) = (words(&[0, 1, 2, 3, 2, 1]), words(&[1, 1, 2, 0, 3, 2]));
        let set = words(&[1; 6]);
        let moments = Moments::of(&x, &y, &set);
        assert_eq!(moments, Moments { people: 4.0, x: 4.0, y: 6.0, xx: 6.0, yy: 10.0, xy: 7.0 });
        assert_eq!(moments.r(), Some((28.0 - 24.0) / (8.0_f64 * 4.0).sqrt()));
        let few = Moments::of(&x, &y, &words(&[1, 0, 1]));
        assert_eq!((few.people, few.xy), (2.0, 4.0));
        assert_eq!(Moments::of(&x, &words(&[1; 6]), &set).r(), None);
    }
}
