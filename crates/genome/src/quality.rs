//! Quality control of submitted genotypes, and what fabricated or faulty ones give away.
//!
//! 1. A [`Check`] passes once over the blocks of a submission, beside a [`Panel`] of people that are known to be real, where
//!    there is one.
//! 2. [`Check::finish`] compares what it counted with a [`Policy`] and gives a [`Report`]: a [`Finding`] for each
//!    [`Measure`], and one [`Verdict`].
//! 3. The committee reads the report. **The uploader is given what [`Report::told`] says and nothing else**: whoever may
//!    upload again and again, and hears which measure failed, learns how to pass, and what the panel holds. When it is told
//!    matters as well: when a batch of uploads closes, and not when a check ends.
//!
//! ```
//! use histone_genome::quality::{Check, Measure, Policy, Told, Verdict};
//! use histone_genome::simulate::Plan;
//!
//! let cohort = Plan { populations: vec![80], variants: 4_000, chromosomes: 4, ..Plan::default() }.simulate()?;
//! let mut check = Check::new(80, &cohort.sexes, vec![], None);
//! let mut first = 0;
//! for block in cohort.genotypes.blocks() {
//!     let variants: Vec<_> = cohort.variants[first..].iter().cloned().map(Some).take(block.variants()).collect();
//!     check.add(block, &variants)?;
//!     first += block.variants();
//! }
//! let report = check.finish(&Policy::default());
//! assert_eq!(report.verdict(), Verdict::Pass);
//! assert_eq!(report.told(), Told::Accepted);
//! assert!(report.finding(Measure::AdjacentLinkage).is_some_and(|finding| finding.value > 0.1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What is found and what is not, with numbers: `docs/genome-quality.md`. In one sentence: independent draws, shuffled
//! columns, copies and contamination are found; mosaics of real haplotypes are not.
//!
//! Deliberately not here: tests of digits (genotypes have none), and everything that tells an honest laboratory from a forger
//! who has real haplotypes: chain of custody, stake, and genotyping a sample again.

mod check;
mod linkage;
mod panel;
mod policy;
mod report;

pub use check::Check;
pub use panel::Panel;
pub use policy::{Band, Policy};
pub use report::{Finding, Report, Told, Verdict};

/// What is measured of a submission. Counted are autosomal variants; common ones have both alleles at 5 % or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Measure {
    /// Share of variants of which more than 5 % of the calls are missing.
    VariantsMissing,
    /// Share of people of whom more than 5 % of the calls are missing.
    PeopleMissing,
    /// Transitions to transversions among variants that vary.
    TiTv,
    /// F_IS: 1 - observed / expected heterozygous calls, over all common variants. Below 0 in contaminated samples.
    Inbreeding,
    /// Mean chi-square of Hardy-Weinberg equilibrium over common variants, each of one degree of freedom.
    HardyWeinberg,
    /// Share of common variants with too many heterozygous calls at p < 10^-6.
    HeterozygoteExcess,
    /// Variance of people's heterozygous calls over what independent variants would give; where half of the common variants
    /// have another one within 20,000 bases.
    HeterozygosityDispersion,
    /// Share of people whose F lies more than 0.25 from the median.
    PeopleOutlying,
    /// Share of people of stated sex whose X chromosome says the other one.
    SexMismatch,
    /// Errors of trios over the calls of their children.
    MendelErrors,
    /// Share of people with a relative of the first degree in the submission that is not stated as parent or child.
    Relatives,
    /// Share of people who have a copy in the submission.
    Duplicates,
    /// Share of people who have a copy in the panel.
    PanelDuplicates,
    /// Mean r² of neighbouring common variants within 20,000 bases, less what chance gives.
    AdjacentLinkage,
    /// Mean chi-square of allele frequencies against the best mix of the panel's populations.
    FrequencyAgreement,
    /// Correlation of r between neighbouring common variants within 20,000 bases, in the submission and in that mix of the panel.
    LinkageAgreement,
}

impl Measure {
    /// All of them, cheap ones first.
    pub const ALL: [Self; 16] = [
        Self::VariantsMissing,
        Self::PeopleMissing,
        Self::TiTv,
        Self::Inbreeding,
        Self::HardyWeinberg,
        Self::HeterozygoteExcess,
        Self::HeterozygosityDispersion,
        Self::PeopleOutlying,
        Self::SexMismatch,
        Self::MendelErrors,
        Self::Relatives,
        Self::Duplicates,
        Self::PanelDuplicates,
        Self::AdjacentLinkage,
        Self::FrequencyAgreement,
        Self::LinkageAgreement,
    ];

    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::VariantsMissing => "variants-missing",
            Self::PeopleMissing => "people-missing",
            Self::TiTv => "ti-tv",
            Self::Inbreeding => "inbreeding",
            Self::HardyWeinberg => "hardy-weinberg",
            Self::HeterozygoteExcess => "heterozygote-excess",
            Self::HeterozygosityDispersion => "heterozygosity-dispersion",
            Self::PeopleOutlying => "people-outlying",
            Self::SexMismatch => "sex-mismatch",
            Self::MendelErrors => "mendel-errors",
            Self::Relatives => "relatives",
            Self::Duplicates => "duplicates",
            Self::PanelDuplicates => "panel-duplicates",
            Self::AdjacentLinkage => "adjacent-linkage",
            Self::FrequencyAgreement => "frequency-agreement",
            Self::LinkageAgreement => "linkage-agreement",
        }
    }
}
