//! What a scan finds.

use histone_program_sdk::config::Config;
use histone_program_sdk::wire;

wire! {
    /// What was found, a number for each variant; NaN where there is none.
    #[derive(Debug, Clone, PartialEq, Default)]
    pub struct Scanned {
        /// People with a call.
        pub people: Vec<f64>,
        /// Frequency of the alternative allele among them.
        pub frequency: Vec<f64>,
        /// Change of the outcome for each copy of it; of its log odds where it is yes or no.
        pub estimate: Vec<f64>,
        /// Standard error.
        pub error: Vec<f64>,
        /// Two-sided: by Student's t, or the normal distribution where the outcome is yes or no.
        pub p: Vec<f64>,
    }
}

impl Scanned {
    /// How many variants.
    pub fn len(&self) -> usize {
        self.people.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    pub(crate) fn push(&mut self, found: [f64; 5]) {
        let lists = [&mut self.people, &mut self.frequency, &mut self.estimate, &mut self.error, &mut self.p];
        lists.into_iter().zip(found).for_each(|(list, number)| list.push(number));
    }
}

/// Fewest sites that give a variant which is told of, where there are as many: what one has alone is no sum.
const LEAST_SITES: usize = 2;

/// The genotypes at one variant over all sites.
pub(crate) struct Genotypes {
    pub called: f64,
    pub copies: f64,
    /// Of the copies.
    pub squares: f64,
    /// All but those with the most common genotype.
    pub rare: f64,
}

impl Genotypes {
    /// From people with and without a call, copies and their squares, and how many of the sites gave them. None where they cannot be, or
    /// tell of too few: sums come from sites that may lie.
    pub fn of(
        config: &Config,
        (called, missing): (f64, f64),
        (copies, squares): (f64, f64),
        (given, sites): (f64, usize),
    ) -> Option<Self> {
        // People with two copies, one, none.
        let two = (squares - copies) / 2.0;
        let one = copies - 2.0 * two;
        let none = called - one - two;
        let can_be = [called, missing, one, two, none].iter().all(|n| *n >= 0.0);
        // That nobody differs is not told either: it would tell it from one who does.
        let rare = called - one.max(two).max(none);
        let enough = given >= sites.min(LEAST_SITES) as f64
            && called != 0.0
            && !config.few(called as u64)
            && rare >= f64::from(config.least.sum);
        (can_be && enough).then_some(Self { called, copies, squares, rare })
    }

    /// Of the alternative allele.
    pub fn frequency(&self) -> f64 {
        self.copies / (2.0 * self.called)
    }

    /// Sum of squares around the mean.
    pub fn around(&self) -> f64 {
        self.squares - self.copies * self.copies / self.called
    }

    /// What is found where the variant says nothing of the outcome.
    pub fn tested_not(&self) -> [f64; 5] {
        [self.called, self.frequency(), f64::NAN, f64::NAN, f64::NAN]
    }
}
