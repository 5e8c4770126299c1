//! The generator of simulations: SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators",
//! OOPSLA, figure 17). Never for secrets.

use histone_program_sdk::math::ln;

/// A stream of numbers that a seed determines, the same on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// One of the streams of a seed.
    pub(crate) fn stream(seed: u64, stream: u64) -> Self {
        Self(Self(Self(seed).word() ^ stream).word())
    }

    pub(crate) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Above 0 and below 1.
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.word() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// Below `end`, which is above 0; the share of numbers that come too often is below `end` / 2^64.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.word()) * end as u128) >> 64) as usize
    }

    /// Exponential, of mean 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        -ln(self.unit())
    }

    /// Normal, of mean 0 and variance 1, by the polar method (Marsaglia and Bray 1964).
    pub(crate) fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (2.0 * self.unit() - 1.0, 2.0 * self.unit() - 1.0);
            let square = x * x + y * y;
            if square < 1.0 {
                return x * (-2.0 * ln(square) / square).sqrt();
            }
        }
    }

    /// Each of many trials hits with a small probability: how many are passed over before the next one that does.
    pub(crate) fn skip(&mut self, probability: f64) -> usize {
        if probability <= 0.0 {
            return usize::MAX;
        }
        // Saturates.
        (self.exponential() / -ln(1.0 - probability.min(0.999_999))) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    /// The first numbers for the seed 1234567 that the generator's many other implementations give.
    #[test]
    fn is_splitmix64() {
        let mut random = Random(1_234_567);
        let words = [random.word(), random.word(), random.word()];
        assert_eq!(words, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn moments() {
        let mut random = Random::stream(1, 2);
        let n = 100_000;
        let mean = |values: &mut dyn FnMut() -> f64| (0..n).map(|_| values()).sum::<f64>() / f64::from(n);
        assert!((mean(&mut || random.unit()) - 0.5).abs() < 0.005);
        assert!((mean(&mut || random.exponential()) - 1.0).abs() < 0.02);
        assert!(mean(&mut || random.normal()).abs() < 0.02);
        assert!((mean(&mut || random.normal().powi(2)) - 1.0).abs() < 0.03);
        assert!((mean(&mut || random.below(7) as f64) - 3.0).abs() < 0.03);
        assert!((mean(&mut || random.skip(0.01) as f64) - 99.0).abs() < 2.0);
    }
}
