//! Weights when a share of the variants has an effect, by Gibbs sampling.

use histone_program_sdk::math::{axpy, exp, ln};

use super::{Marginal, Panel, TrainingError, by_block, check_share};

/// One point of the grid.
#[derive(Clone, Debug, PartialEq)]
pub struct GridRule {
    /// Share of the trait's variance that all variants explain.
    pub heritability: f64,
    /// Share of the variants that have an effect.
    pub share: f64,
    /// Leave out, in each round, variants that are less likely to have an effect than before the scan.
    pub sparse: bool,
    /// Rounds before the first that counts.
    pub before: usize,
    /// Rounds that count.
    pub rounds: usize,
    /// Of the random numbers: the same seed gives the same bits.
    pub seed: u64,
}

impl Default for GridRule {
    /// The rounds of LDpred2.
    fn default() -> Self {
        Self { heritability: 0.3, share: 0.01, sparse: false, before: 50, rounds: 100, seed: 1 }
    }
}

/// Weights by LDpred2's sampler, averages of the posterior means of all rounds that count.
///
/// # Errors
/// [`TrainingError`]; [`TrainingError::Diverged`] when the weights explain ten times the variance that there is.
pub fn grid(panel: &Panel, effects: &[Option<Marginal>], rule: &GridRule) -> Result<Vec<f64>, TrainingError> {
    check_share("the heritability", rule.heritability)?;
    check_share("the share of variants with an effect", rule.share)?;
    if rule.rounds == 0 {
        return Err(TrainingError::Rule { what: "the number of rounds", range: "at least 1" });
    }
    let variants = effects.iter().flatten().count() as f64;
    let variance = rule.heritability / (variants * rule.share);
    let odds = (1.0 - rule.share) / rule.share;
    let mut random = Random { state: rule.seed, spare: None };
    by_block(panel, effects, |part| {
        let size = part.correlations.size();
        let (mut current, mut sums) = (vec![0.0; size], vec![0.0; size]);
        // The correlations times the current weights.
        let mut explained = vec![0.0; size];
        for round in 0..rule.before + rule.rounds {
            for ((place, marginal), people) in part.places.iter().zip(&part.marginals).zip(&part.people) {
                let rest = marginal - (explained[*place] - current[*place]);
                let ratio = variance * people;
                let shrink = ratio / (1.0 + ratio);
                let (mean, square) = (shrink * rest, shrink / people);
                let likely = 1.0 / (1.0 + odds * (1.0 + ratio).sqrt() * exp(-0.5 * mean * mean / square));
                let left_out = rule.sparse && likely < rule.share;
                let next = match !left_out && random.uniform() < likely {
                    true => mean + square.sqrt() * random.normal(),
                    false => 0.0,
                };
                if round >= rule.before && !left_out {
                    sums[*place] += mean * likely;
                }
                let change = next - current[*place];
                if change != 0.0 {
                    axpy(change, part.correlations.row(*place), &mut explained);
                    current[*place] = next;
                }
            }
            let square: f64 = current.iter().map(|weight| weight * weight).sum();
            if square.is_nan() || square >= 10.0 {
                return Err(TrainingError::Diverged);
            }
        }
        Ok(part.places.iter().map(|place| sums[*place] / rule.rounds as f64).collect())
    })
}

/// SplitMix (Steele, Lea and Flood 2014), and normal numbers by Marsaglia's polar method.
struct Random {
    state: u64,
    spare: Option<f64>,
}

impl Random {
    /// Of [0, 1).
    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let (x, y) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                let factor = (-2.0 * ln(square) / square).sqrt();
                self.spare = Some(y * factor);
                return x * factor;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_numbers_have_their_moments() {
        let mut random = Random { state: 5, spare: None };
        let numbers: Vec<f64> = (0..100_000).map(|_| random.normal()).collect();
        let moment = |power| numbers.iter().map(|x: &f64| x.powi(power)).sum::<f64>() / 1e5;
        for (power, expected) in [(1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0)] {
            assert!((moment(power) - expected).abs() < 0.06, "{power}: {}", moment(power));
        }
    }
}
