//! Exact tests of Hardy-Weinberg equilibrium.
//!
//! Autosomes: Wigginton, Cutler and Abecasis 2005, "A note on exact tests of Hardy-Weinberg equilibrium", AJHG 76. The
//! p-value is the probability of all numbers of heterozygotes that are no more likely than the observed one, given the
//! allele counts. X: Graffelman and Weir 2016, "Testing for Hardy-Weinberg equilibrium at biallelic genetic markers on the
//! X chromosome", Heredity 116, where the split of the alleles between men and women is part of the outcome.
//!
//! Mid-p counts outcomes that are exactly as likely as the observed one by half, as PLINK does: Graffelman and Moreno 2013.
//! P-values below 10^-300 or so are 0.

use super::counts::Counts;

/// Two probabilities that differ by less than this are taken to be the same: they are products of rounded ratios.
const TIE: f64 = 1.0 / (1_u64 << 40) as f64;

/// A term below this share of a sum cannot change it, nor can those behind it, which fall ever faster.
const NEGLIGIBLE: f64 = 1.0 / (1_u64 << 60) as f64;

/// How outcomes as likely as the observed one count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Whole, the exact test.
    Whole,
    /// By half.
    MidP,
}

/// The p-value of an autosomal variant; 1 where nothing varies.
#[must_use]
pub fn autosomal(counts: &Counts, tail: Tail) -> f64 {
    let hets = Hets::new(counts.known(), counts.alternatives());
    let observed = hets.weight(counts.het as f64);
    hets.sums(observed).p(tail)
}

/// The p-value of a variant of X outside of the pseudo-autosomal regions. A heterozygous call of a man, who has one X, is
/// taken as missing.
#[must_use]
pub fn x_chromosome(women: &Counts, men: &Counts, tail: Tail) -> f64 {
    let alternatives = women.alternatives() + men.hom_alt;
    let split = Split { women: women.known(), men: men.hom_ref + men.hom_alt, alternatives };
    let hets = Hets::new(split.women, women.alternatives());
    let mode = split.mode();
    let observed = split.weight(mode, men.hom_alt) * (hets.weight(women.het as f64) / hets.sums(0.0).total);

    let mut all = Sums::default();
    // From the most likely number of alternative alleles among men down, then up.
    for upward in [false, true] {
        let (mut number, mut weight) = (mode, 1.0);
        if upward {
            weight *= split.ratio_up(number);
            number += 1;
        }
        while weight > 0.0 && weight > all.tail * NEGLIGIBLE {
            let hets = Hets::new(split.women, alternatives - number);
            let total = hets.sums(0.0).total;
            let sums = hets.sums(observed / weight * total);
            all.total += weight;
            all.tail += weight * (sums.tail / total);
            all.ties += weight * (sums.ties / total);
            if upward {
                weight *= split.ratio_up(number);
                number += 1;
            } else {
                weight *= split.ratio_down(number);
                number = number.saturating_sub(1);
            }
        }
    }
    all.p(tail)
}

/// Sums of weights, which are probabilities but for a common factor.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    /// Of all outcomes.
    total: f64,
    /// Of those that are no more likely than the threshold.
    tail: f64,
    /// Of those as likely as the threshold.
    ties: f64,
}

impl Sums {
    fn p(&self, tail: Tail) -> f64 {
        let outcomes = match tail {
            Tail::Whole => self.tail,
            Tail::MidP => self.tail - 0.5 * self.ties,
        };
        if self.total > 0.0 { (outcomes / self.total).min(1.0) } else { 1.0 }
    }
}

/// The distribution of the number of heterozygotes among `people` with `rare` copies of the rarer allele.
#[derive(Clone, Copy, Debug)]
struct Hets {
    people: f64,
    rare: f64,
    mode: f64,
}

impl Hets {
    fn new(people: u64, alternatives: u64) -> Self {
        let rare = alternatives.min(2 * people - alternatives);
        let (people, rare) = (people as f64, rare as f64);
        let mut hets = Self { people, rare, mode: 0.0 };
        // Near the expectation, of the parity of the allele count, then uphill.
        let guess = if people > 0.0 { (rare * (1.0 - rare / (2.0 * people))).floor() } else { 0.0 };
        hets.mode = guess - (guess - rare).abs() % 2.0;
        hets.mode = hets.mode.max(rare % 2.0);
        while hets.up(hets.mode) > 1.0 {
            hets.mode += 2.0;
        }
        while hets.down(hets.mode) > 1.0 {
            hets.mode -= 2.0;
        }
        hets
    }

    /// How much more likely two more heterozygotes are.
    fn up(&self, het: f64) -> f64 {
        let hom_rare = (self.rare - het) * 0.5;
        let hom_common = self.people - het - hom_rare;
        4.0 * hom_rare * hom_common / ((het + 2.0) * (het + 1.0))
    }

    /// How much more likely two fewer heterozygotes are.
    fn down(&self, het: f64) -> f64 {
        let hom_rare = (self.rare - het) * 0.5;
        let hom_common = self.people - het - hom_rare;
        het * (het - 1.0) / (4.0 * (hom_rare + 1.0) * (hom_common + 1.0))
    }

    /// The weight of a number of heterozygotes, where that of the most likely one is 1.
    fn weight(&self, observed: f64) -> f64 {
        let (mut het, mut weight) = (self.mode, 1.0);
        while het < observed && weight > 0.0 {
            weight *= self.up(het);
            het += 2.0;
        }
        while het > observed && weight > 0.0 {
            weight *= self.down(het);
            het -= 2.0;
        }
        weight
    }

    /// Sums over all numbers of heterozygotes, from the most likely one to both sides.
    fn sums(&self, threshold: f64) -> Sums {
        let mut sums = Sums::default();
        let mut add = |weight: f64| {
            sums.total += weight;
            if weight <= threshold * (1.0 + TIE) {
                sums.tail += weight;
                if weight >= threshold * (1.0 - TIE) {
                    sums.ties += weight;
                }
            }
            // Without a tail to sum, only the total matters.
            let smallest = if threshold > 0.0 { sums.tail } else { sums.total };
            weight > 0.0 && weight > smallest * NEGLIGIBLE
        };
        add(1.0);
        let (mut het, mut weight) = (self.mode, 1.0);
        loop {
            weight *= self.up(het);
            het += 2.0;
            if !add(weight) {
                break;
            }
        }
        let (mut het, mut weight) = (self.mode, 1.0);
        loop {
            weight *= self.down(het);
            het -= 2.0;
            if !add(weight) {
                break;
            }
        }
        sums
    }
}

/// How the alternative alleles fall to men, who have one place each, and to women, who have two.
#[derive(Clone, Copy, Debug)]
struct Split {
    women: u64,
    men: u64,
    alternatives: u64,
}

impl Split {
    /// The most likely number of alternative alleles among men (the mode of a hypergeometric distribution).
    fn mode(&self) -> u64 {
        let places = self.men + 2 * self.women;
        let guess = u128::from(self.men + 1) * u128::from(self.alternatives + 1) / u128::from(places + 2);
        let most = self.men.min(self.alternatives);
        let least = self.alternatives.saturating_sub(2 * self.women);
        // The cast loses nothing behind the bounds.
        (guess.min(u128::from(most)) as u64).max(least)
    }

    fn ratio_up(&self, number: u64) -> f64 {
        let up = self.alternatives.saturating_sub(number) as f64 * self.men.saturating_sub(number) as f64;
        up / ((number + 1) as f64 * ((2 * self.women + number + 1) as f64 - self.alternatives as f64))
    }

    fn ratio_down(&self, number: u64) -> f64 {
        let down = number as f64 * ((2 * self.women + number) as f64 - self.alternatives as f64);
        down / ((self.alternatives - number + 1) as f64 * (self.men - number + 1) as f64)
    }

    /// The weight of a number, where that of the most likely one is 1.
    fn weight(&self, mode: u64, observed: u64) -> f64 {
        let mut weight = 1.0;
        for number in mode..observed.max(mode) {
            weight *= self.ratio_up(number);
        }
        for number in (observed.min(mode) + 1..=mode).rev() {
            weight *= self.ratio_down(number);
        }
        weight
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(hom_ref: u64, het: u64, hom_alt: u64) -> Counts {
        Counts { hom_ref, het, hom_alt, missing: 0 }
    }

    /// `ln n!`, by addition.
    fn ln_factorial(n: u64) -> f64 {
        (2..=n).map(|k| (k as f64).ln()).sum()
    }

    /// The definition, outcome by outcome.
    fn by_definition(women: Counts, men: Counts, tail: Tail) -> f64 {
        let alternatives = women.alternatives() + men.hom_alt;
        let (women_count, men_count) = (women.known(), men.hom_ref + men.hom_alt);
        let weight = |male: u64, het: u64| -> Option<f64> {
            let female = alternatives.checked_sub(male)?;
            let hom_alt = female.checked_sub(het)? / 2;
            if (female - het) % 2 == 1 {
                return None;
            }
            let hom_ref = women_count.checked_sub(het + hom_alt)?;
            let below = [male, men_count.checked_sub(male)?, het, hom_alt, hom_ref].map(ln_factorial);
            Some(het as f64 * 2_f64.ln() - below.iter().sum::<f64>())
        };
        let Some(observed) = weight(men.hom_alt, women.het) else { return f64::NAN };
        let (mut total, mut sum) = (0.0, 0.0);
        for male in 0..=men_count {
            for het in 0..=women_count {
                let Some(ln) = weight(male, het) else { continue };
                let p = (ln - observed).exp();
                total += p;
                if p < 1.0 - 1e-9 {
                    sum += p;
                } else if p < 1.0 + 1e-9 {
                    sum += if tail == Tail::MidP { 0.5 * p } else { p };
                }
            }
        }
        sum / total
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(
            a in 0_u64..30, b in 0_u64..30, c in 0_u64..30, m in 0_u64..25, n in 0_u64..25,
        ) {
            let (women, men) = (counts(a, b, c), counts(m, 3, n));
            for tail in [Tail::Whole, Tail::MidP] {
                let expected = by_definition(women, Counts::default(), tail);
                prop_assert!((autosomal(&women, tail) / expected - 1.0).abs() < 1e-10);
                let expected = by_definition(women, men, tail);
                let found = x_chromosome(&women, &men, tail);
                prop_assert!((found / expected - 1.0).abs() < 1e-9, "{} {}", found, expected);
            }
        }
    }

    /// Ends of the range: nothing varies, all heterozygous, none, and numbers that are too many for a float.
    #[test]
    fn known_values() {
        let p = |r, h, a| autosomal(&counts(r, h, a), Tail::Whole);
        assert_eq!([p(0, 0, 0), p(10, 0, 0), p(0, 0, 7), p(0, 1, 0), p(99, 1, 0)], [1.0; 5]);
        assert_eq!(autosomal(&counts(10, 0, 0), Tail::MidP), 0.5);
        // Of the 184,756 ways to pair 10 + 10 alleles in order, 1,024 give ten heterozygotes and 252 give none.
        assert!((p(0, 10, 0) / (1_276.0 / 184_756.0) - 1.0).abs() < 1e-12);
        assert!((p(5, 0, 5) / (252.0 / 184_756.0) - 1.0).abs() < 1e-12);
        assert_eq!(p(1_000_000, 0, 1_000_000), 0.0);
        assert_eq!(x_chromosome(&counts(50_000, 0, 0), &counts(0, 0, 50_000), Tail::Whole), 0.0);
    }
}
