//! Thresholds, and where each number comes from.

use std::collections::BTreeMap;

use super::{Measure, Verdict};

/// Between `review_below` and `review_above` all is well; beyond the outer two numbers a submission is refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// Refused below.
    pub refuse_below: f64,
    /// Reviewed below.
    pub review_below: f64,
    /// Reviewed above.
    pub review_above: f64,
    /// Refused above.
    pub refuse_above: f64,
}

impl Band {
    /// Anything goes.
    pub const ANY: Self = Self {
        refuse_below: f64::NEG_INFINITY,
        review_below: f64::NEG_INFINITY,
        review_above: f64::INFINITY,
        refuse_above: f64::INFINITY,
    };

    /// A share or rate that should be low.
    #[must_use]
    pub const fn at_most(review: f64, refuse: f64) -> Self {
        Self { review_above: review, refuse_above: refuse, ..Self::ANY }
    }

    /// A number that should be high.
    #[must_use]
    pub const fn at_least(review: f64, refuse: f64) -> Self {
        Self { review_below: review, refuse_below: refuse, ..Self::ANY }
    }

    /// What follows from a value; one that is no number is refused.
    #[must_use]
    pub fn verdict(&self, value: f64) -> Verdict {
        if value.is_nan() || value < self.refuse_below || value > self.refuse_above {
            Verdict::Refuse
        } else if value < self.review_below || value > self.review_above {
            Verdict::Review
        } else {
            Verdict::Pass
        }
    }
}

/// A band for each measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    bands: BTreeMap<Measure, Band>,
}

impl Policy {
    /// What is expected of a measure; anything where the policy says nothing.
    #[must_use]
    pub fn band(&self, measure: Measure) -> Band {
        self.bands.get(&measure).copied().unwrap_or(Band::ANY)
    }

    /// The default for variants and people that somebody has chosen: which letters variants are and how they are linked says nothing of
    /// the people then, and is looked at by a person at most. So is Hardy-Weinberg: its chi-squares grow with the number of people where
    /// these are of several populations, and variants can be chosen in which populations differ.
    #[must_use]
    pub fn of_chosen_variants() -> Self {
        // How heterozygous calls scatter says the same as linkage, and less surely.
        let policy = Self::default().with(Measure::HeterozygosityDispersion, Band::ANY);
        [Measure::TiTv, Measure::AdjacentLinkage, Measure::HardyWeinberg].into_iter().fold(
            policy,
            |policy, measure| {
                let Band { review_below, review_above, .. } = policy.band(measure);
                policy.with(measure, Band { review_below, review_above, ..Band::ANY })
            },
        )
    }

    /// The same policy with another band.
    #[must_use]
    pub fn with(mut self, measure: Measure, band: Band) -> Self {
        self.bands.insert(measure, band);
        self
    }
}

impl Default for Policy {
    /// Numbers for people of one or several populations, sequenced or on an array.
    ///
    /// - 5 % missing per variant and person: UK Biobank's exclusion of samples (Bycroft et al. 2018, Nature 562) and the usual
    ///   `--geno`/`--mind`; a share of 5 % of variants, 2 % of people beyond it is ours.
    /// - Ti/Tv: 2.0 to 2.1 in genomes, about 3 in exomes (DePristo et al. 2011, Nature Genetics 43); 0.5 for random letters.
    /// - F_IS below -0.3 is gnomAD's filter of sites with excess heterozygosity; for the mean of a whole submission -0.1, since
    ///   calls of two people together have -0.23 (measured). Above 0 it grows with the mix of populations.
    /// - Kinship: Manichaikul et al. 2010, table 1: 2^-1.5 (0.354) for copies, 2^-2.5 (0.177) for the first degree.
    /// - Mendel errors: 0.1 % in HapMap's 59 trios (measured); 1 % and 5 % are `plink --me 0.05` and a fifth of it.
    /// - F_IS above 0, chi-squares, dispersion, linkage: fixed on batches of one half of the 550 people of 1000 Genomes
    ///   phase 1 with the other half as the panel (`docs/genome-quality.md`), then rounded away from what real batches have.
    fn default() -> Self {
        let bands = [
            (Measure::VariantsMissing, Band::at_most(0.05, 0.5)),
            (Measure::PeopleMissing, Band::at_most(0.02, 0.5)),
            (
                Measure::TiTv,
                Band { refuse_below: 0.9, review_below: 1.7, review_above: 3.6, refuse_above: 5.0 },
            ),
            (
                Measure::Inbreeding,
                Band { refuse_below: -0.1, review_below: -0.05, review_above: 0.15, refuse_above: 0.25 },
            ),
            (Measure::HardyWeinberg, Band::at_most(8.0, 20.0)),
            (Measure::HeterozygoteExcess, Band::at_most(0.01, 0.2)),
            (Measure::HeterozygosityDispersion, Band::at_least(3.0, 2.0)),
            (Measure::PeopleOutlying, Band::at_most(0.05, 0.5)),
            (Measure::SexMismatch, Band::at_most(0.02, 0.2)),
            (Measure::MendelErrors, Band::at_most(0.01, 0.05)),
            (Measure::Relatives, Band::at_most(0.05, 2.0)),
            (Measure::Duplicates, Band::at_most(0.0, 0.1)),
            (Measure::PanelDuplicates, Band::at_most(0.0, 0.1)),
            (Measure::AdjacentLinkage, Band::at_least(0.05, 0.02)),
            (Measure::FrequencyAgreement, Band::at_most(2.5, 4.0)),
            (Measure::LinkageAgreement, Band::at_least(0.88, 0.75)),
        ];
        Self { bands: bands.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands() {
        let band = Band { refuse_below: 1.0, review_below: 2.0, review_above: 3.0, refuse_above: 4.0 };
        for (value, verdict) in [
            (0.9, Verdict::Refuse),
            (1.0, Verdict::Review),
            (2.0, Verdict::Pass),
            (3.0, Verdict::Pass),
            (3.1, Verdict::Review),
            (4.1, Verdict::Refuse),
            (f64::NAN, Verdict::Refuse),
        ] {
            assert_eq!(band.verdict(value), verdict, "{value}");
        }
    }

    #[test]
    fn chosen_variants_are_refused_for_their_people_alone() {
        let policy = Policy::of_chosen_variants();
        assert_eq!(policy.band(Measure::AdjacentLinkage).verdict(0.0), Verdict::Review);
        assert_eq!(policy.band(Measure::TiTv).verdict(9.0), Verdict::Review);
        assert_eq!(policy.band(Measure::HardyWeinberg).verdict(21.0), Verdict::Review);
        assert_eq!(policy.band(Measure::Inbreeding).verdict(0.3), Verdict::Refuse);
    }

    #[test]
    fn every_measure_has_a_band() {
        let policy = Policy::default();
        assert!(Measure::ALL.iter().all(|measure| policy.band(*measure) != Band::ANY));
    }
}
