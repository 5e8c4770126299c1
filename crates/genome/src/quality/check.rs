//! The pass over a submission, and the numbers at its end.

use std::ops::RangeInclusive;

use super::linkage::{Correlation, Moments};
use super::{Finding, Measure, Panel, Policy, Report};
use crate::genotypes::{Block, GenotypeError, SampleSet, WORD_CALLS};
use crate::plink::{Sex, Trio};
use crate::stats::counts::{self, BySample, Counts};
use crate::stats::kinship::Planes;
use crate::stats::mendel::{self, Inheritance};
use crate::stats::sex::{self, XCheck};
use crate::stats::titv::TiTv;
use crate::variant::Variant;

const COMMON: RangeInclusive<f64> = 0.05..=0.95;
/// Calls of a variant or of a person of which more than this are missing are too few.
const MISSING: f64 = 0.05;
/// Neighbours within so many bases are expected to be linked.
const NEAR: u32 = 20_000;
/// Heterozygous calls scatter by linkage where so many of the common variants have such a neighbour.
const DENSE: f64 = 0.5;
/// Variants that are compared between people, and the bases between two of them at least.
const KIN_VARIANTS: usize = 50_000;
const KIN_SPACING: u32 = 1_000;
/// Calls that are compared between people at the most, of all pairs and variants: minutes. Of more people fewer variants are looked at,
/// and of more than 44,000 or so none.
const KIN_CALLS: u64 = 1_000_000_000_000;
/// Least numbers from which a mean says something.
const LEAST_VARIANTS: f64 = 100.0;
const LEAST_X: u64 = 100;
/// Of fewer linked variants the F of real people scatters by a tenth and more.
const LEAST_OUTLYING: f64 = 2_000.0;
const LEAST_KIN: usize = 500;
/// Stretches of a million bases in which these lie: on fewer, strangers may have all in common.
const LEAST_STRETCHES: usize = 20;
const STRETCH: u32 = 1_000_000;
/// Chi-square of one degree of freedom at p = 10^-6.
const EXCESS: f64 = 23.9;
/// Of a person's F, from the median of all.
const OUTLYING: f64 = 0.25;
/// `plink --check-sex`: men from 0.8, women to 0.2.
const MALE_F: f64 = 0.8;
const FEMALE_F: f64 = 0.2;
/// Manichaikul et al. 2010, table 1. A copy has nearly all calls in common as well: on one chromosome, siblings and even cousins
/// have long stretches in common.
const COPY: f64 = 0.354;
const COPY_IDENTICAL: f64 = 0.95;
const FIRST_DEGREE: f64 = 0.177;

/// Counts what a submission is judged by, in one pass. Memory: a few numbers for each common variant, and the calls of
/// 50,000 variants at most, of submission and panel. At the end every person is compared with every other one and with those of
/// the panel: time grows with the square of the people, up to 20,000,000 pairs at 50,000 variants; of more people fewer variants are
/// compared, and of more than 44,000 or so none.
pub struct Check<'a> {
    samples: usize,
    panel: Option<&'a Panel>,
    sexes: Vec<Sex>,
    everyone: SampleSet,
    by_sex: [SampleSet; 2],
    trios: Vec<Trio>,
    variants: u64,
    variants_missing: u64,
    titv: TiTv,
    /// Over common variants: how many, observed and expected heterozygous calls, chi-squares, excesses.
    common: f64,
    het: f64,
    expected: f64,
    chi2: f64,
    excess: u64,
    people: BySample,
    people_common: BySample,
    /// Variance of a person's heterozygous calls if variants were independent.
    variance: f64,
    /// What each person's missing calls take from the expected and from the observed mean of heterozygous calls.
    missing_expected: Vec<f64>,
    missing_het: Vec<f64>,
    x: XCheck,
    mendel_errors: u64,
    /// The last common variant that was seen, with its row in the panel.
    last: Option<(Variant, Option<usize>, Vec<u64>)>,
    near: f64,
    near_r2: f64,
    /// Rows of the panel with the frequency that was found and the people who were called.
    frequencies: Vec<(usize, f64, u64)>,
    pairs: Vec<([usize; 2], f64)>,
    kin: Planes,
    kin_rows: Block,
    kin_variants: usize,
    kin_most: usize,
    kin_stretches: usize,
    kin_last: Option<Variant>,
}

impl<'a> Check<'a> {
    /// For so many people of these sexes, as far as they are stated, of whom some are children of others.
    #[must_use]
    pub fn new(samples: usize, sexes: &[Sex], trios: Vec<Trio>, panel: Option<&'a Panel>) -> Self {
        let of_sex = |sex: Sex| SampleSet::of(samples, |sample| sexes.get(sample) == Some(&sex));
        let compared = samples + panel.map_or(0, Panel::samples);
        let kin_calls = KIN_CALLS / samples.max(1) as u64 / compared.max(1) as u64;
        let kin_most = usize::try_from(kin_calls).unwrap_or(KIN_VARIANTS).min(KIN_VARIANTS);
        let kin_most = if kin_most < LEAST_KIN { 0 } else { kin_most };
        Self {
            samples,
            panel,
            sexes: sexes.to_vec(),
            everyone: SampleSet::all(samples),
            by_sex: [of_sex(Sex::Female), of_sex(Sex::Male)],
            trios,
            variants: 0,
            variants_missing: 0,
            titv: TiTv::default(),
            common: 0.0,
            het: 0.0,
            expected: 0.0,
            chi2: 0.0,
            excess: 0,
            people: BySample::new(samples),
            people_common: BySample::new(samples),
            variance: 0.0,
            missing_expected: vec![0.0; samples],
            missing_het: vec![0.0; samples],
            x: XCheck::new(samples),
            mendel_errors: 0,
            last: None,
            near: 0.0,
            near_r2: 0.0,
            frequencies: vec![],
            pairs: vec![],
            kin: Planes::new(compared),
            kin_rows: Block::new(compared),
            kin_variants: 0,
            kin_most,
            kin_stretches: 0,
            kin_last: None,
        }
    }

    /// Adds a block, with a variant for each row; `None` for one that has no place among the chromosomes: it is passed over.
    ///
    /// # Errors
    /// [`GenotypeError::Samples`] for a block of other people.
    pub fn add(&mut self, block: &Block, variants: &[Option<Variant>]) -> Result<(), GenotypeError> {
        if block.samples() != self.samples {
            return Err(GenotypeError::Samples { found: block.samples(), samples: self.samples });
        }
        let (mut autosomal, mut common) = (0_u64, 0_u64);
        let mut of_x = vec![None; block.variants()];
        let counts = counts::of_block(block);
        for (v, ((counts, variant), row)) in counts.iter().zip(variants).zip(block.rows()).enumerate() {
            let Some(variant) = variant else { continue };
            if variant.chromosome() == crate::assembly::Chromosome::X && !variant.is_pseudo_autosomal() {
                let [women, men] = self.by_sex.each_ref().map(|set| counts::of_row_in(row, set));
                of_x[v] = sex::frequency(&women, &men);
            }
            if !variant.chromosome().is_autosome() {
                continue;
            }
            autosomal |= 1 << v;
            self.variants += 1;
            self.variants_missing += u64::from(counts.missingness().is_some_and(|m| m > MISSING));
            let Some(frequency) = counts.frequency() else { continue };
            if 0.0 < frequency && frequency < 1.0 {
                let one = TiTv::of([variant]);
                self.titv.transitions += one.transitions;
                self.titv.transversions += one.transversions;
            }
            if COMMON.contains(&frequency) {
                common |= 1 << v;
                self.add_common(counts, frequency, row);
            }
            self.add_linkage(variant, counts, frequency, row)?;
        }
        self.people.add(block, autosomal);
        self.people_common.add(block, common);
        self.x.add(block, &of_x);
        if !self.trios.is_empty() {
            let errors = mendel::errors(block, autosomal, Inheritance::Autosomal, &self.trios, |_| false);
            self.mendel_errors += errors.len() as u64;
        }
        Ok(())
    }

    fn add_common(&mut self, counts: &Counts, frequency: f64, row: &[u64]) {
        let known = counts.known() as f64;
        // Without bias in small samples: Nei 1978, Genetics 89(3).
        let expected = 2.0 * frequency * (1.0 - frequency) * 2.0 * known / (2.0 * known - 1.0);
        let het = counts.het as f64 / known;
        let f = 1.0 - het / expected;
        self.common += 1.0;
        self.het += het;
        self.expected += expected;
        self.chi2 += known * f * f;
        self.excess += u64::from(f < 0.0 && known * f * f > EXCESS);
        self.variance += het * (1.0 - het);
        if counts.missing > 0 {
            for (index, word) in row.iter().enumerate() {
                let mut missing = word & word >> 1 & 0x5555_5555_5555_5555;
                while missing != 0 {
                    let sample = index * WORD_CALLS + missing.trailing_zeros() as usize / 2;
                    missing &= missing - 1;
                    if let Some(sum) = self.missing_expected.get_mut(sample) {
                        *sum += expected;
                    }
                    if let Some(sum) = self.missing_het.get_mut(sample) {
                        *sum += het;
                    }
                }
            }
        }
    }

    /// What needs the neighbours or the panel. With a panel, its frequencies say what is common.
    fn add_linkage(
        &mut self,
        variant: &Variant,
        counts: &Counts,
        frequency: f64,
        row: &[u64],
    ) -> Result<(), GenotypeError> {
        let in_panel = match self.panel {
            None => None,
            Some(panel) => {
                let Some(row) = panel.row_of(variant) else { return Ok(()) };
                Some((panel, row))
            }
        };
        let common = match in_panel {
            None => frequency,
            Some((panel, row)) => panel.frequencies(row).sum::<f64>() / panel.sizes().count().max(1) as f64,
        };
        if !COMMON.contains(&common) {
            return Ok(());
        }
        let panel_row = in_panel.map(|(_, row)| row);
        if let Some(panel_row) = panel_row {
            self.frequencies.push((panel_row, frequency, counts.known()));
        }
        if let Some((last, last_row, last_calls)) = &self.last
            && last.chromosome() == variant.chromosome()
            && variant.position().get().abs_diff(last.position().get()) <= NEAR
            && let moments = Moments::of(last_calls, row, self.everyone.words())
            && let Some(r) = moments.r()
        {
            self.near += 1.0;
            // Independent variants have 1 / (n - 1).
            self.near_r2 += r * r - 1.0 / (moments.people - 1.0).max(1.0);
            if let (Some(a), Some(b)) = (last_row, panel_row) {
                self.pairs.push(([*a, b], r));
            }
        }
        self.last = Some((variant.clone(), panel_row, row.to_vec()));
        let far = self.kin_last.as_ref().is_none_or(|last| {
            last.chromosome() != variant.chromosome()
                || variant.position().get().abs_diff(last.position().get()) >= KIN_SPACING
        });
        if far && self.kin_variants < self.kin_most {
            match in_panel {
                None => self.kin_rows.push_row(row)?,
                Some((panel, panel_row)) => {
                    self.kin_rows.push_row(&panel.append(panel_row, row, self.samples))?;
                }
            }
            if self.kin_rows.is_full() {
                self.kin.add(&self.kin_rows, u64::MAX);
                self.kin_rows.clear();
            }
            self.kin_variants += 1;
            let stretch = |variant: &Variant| (variant.chromosome(), variant.position().get() / STRETCH);
            let new = self.kin_last.as_ref().is_none_or(|last| stretch(last) != stretch(variant));
            self.kin_stretches += usize::from(new);
            self.kin_last = Some(variant.clone());
        }
        Ok(())
    }

    /// The report.
    #[must_use]
    pub fn finish(mut self, policy: &Policy) -> Report {
        let mut found: Vec<(Measure, f64)> = vec![];
        if self.variants as f64 >= LEAST_VARIANTS {
            found.push((Measure::VariantsMissing, self.variants_missing as f64 / self.variants as f64));
            let people = self.people.counts();
            let too_few = people.iter().filter(|c| c.missingness().is_some_and(|m| m > MISSING)).count();
            found.push((Measure::PeopleMissing, self.share(too_few)));
        }
        if (self.titv.transitions + self.titv.transversions) as f64 >= 2.0 * LEAST_VARIANTS {
            found.push((Measure::TiTv, self.titv.ratio().unwrap_or(f64::INFINITY)));
        }
        if self.common >= LEAST_VARIANTS {
            found.push((Measure::Inbreeding, 1.0 - self.het / self.expected));
            found.push((Measure::HardyWeinberg, self.chi2 / self.common));
            found.push((Measure::HeterozygoteExcess, self.excess as f64 / self.common));
            found.extend(self.heterozygosity());
        }
        found.extend(self.sex_mismatch());
        let child_calls = self.variants as f64 * self.trios.len() as f64;
        if child_calls > 0.0 {
            found.push((Measure::MendelErrors, self.mendel_errors as f64 / child_calls));
        }
        found.extend(self.kinship());
        if self.near >= LEAST_VARIANTS {
            found.push((Measure::AdjacentLinkage, self.near_r2 / self.near));
        }
        let mut mix = vec![];
        if let Some(panel) = self.panel.filter(|_| self.frequencies.len() as f64 >= LEAST_VARIANTS) {
            let observed: Vec<(usize, f64)> =
                self.frequencies.iter().map(|(row, found, _)| (*row, *found)).collect();
            let weights = panel.best_mix(&observed);
            found.push((Measure::FrequencyAgreement, self.frequency_agreement(panel, &weights)));
            let mut agreement = Correlation::default();
            for (rows, r) in &self.pairs {
                if let Some(expected) = panel.r(*rows, &weights) {
                    agreement.add(*r, expected);
                }
            }
            if agreement.count() >= LEAST_VARIANTS {
                found.push((Measure::LinkageAgreement, agreement.r().unwrap_or(0.0)));
            }
            mix = panel.names().iter().cloned().zip(weights).collect();
        }
        let findings = found
            .into_iter()
            .map(|(measure, value)| {
                let expected = policy.band(measure);
                Finding { measure, value, expected, verdict: expected.verdict(value) }
            })
            .collect();
        Report { findings, mix }
    }

    fn share(&self, people: usize) -> f64 {
        people as f64 / self.samples.max(1) as f64
    }

    /// How people's heterozygous calls scatter.
    fn heterozygosity(&self) -> Vec<(Measure, f64)> {
        let people = self.people_common.counts();
        let mut squares = 0.0;
        let mut f: Vec<f64> = vec![];
        for (counts, (no_het, no_expected)) in
            people.iter().zip(self.missing_het.iter().zip(&self.missing_expected))
        {
            let off = counts.het as f64 - (self.het - no_het);
            squares += off * off;
            let expected = self.expected - no_expected;
            if expected > 0.0 {
                f.push(1.0 - counts.het as f64 / expected);
            }
        }
        f.sort_by(f64::total_cmp);
        let median = f.get(f.len() / 2).copied().unwrap_or(0.0);
        let outlying = f.iter().filter(|f| (*f - median).abs() > OUTLYING).count();
        let freedom = (self.samples as f64 - 1.0).max(1.0);
        let mut found = vec![];
        if self.near >= self.common * DENSE {
            found.push((Measure::HeterozygosityDispersion, squares / freedom / self.variance));
        }
        if self.common >= LEAST_OUTLYING {
            found.push((Measure::PeopleOutlying, self.share(outlying)));
        }
        found
    }

    fn sex_mismatch(&self) -> Option<(Measure, f64)> {
        let (mut stated, mut wrong) = (0.0, 0.0);
        let coefficients = self.x.coefficients();
        if self.x.variants() < LEAST_X {
            return None;
        }
        for (sex, f) in self.sexes.iter().zip(coefficients) {
            let Some(f) = f else { continue };
            match sex {
                Sex::Male => wrong += f64::from(u8::from(f < FEMALE_F)),
                Sex::Female => wrong += f64::from(u8::from(f > MALE_F)),
                Sex::Unknown => continue,
            }
            stated += 1.0;
        }
        (stated > 0.0).then(|| (Measure::SexMismatch, wrong / stated))
    }

    fn kinship(&mut self) -> Vec<(Measure, f64)> {
        if self.kin_variants < LEAST_KIN || self.kin_stretches < LEAST_STRETCHES {
            return vec![];
        }
        self.kin.add(&self.kin_rows, u64::MAX >> (64 - self.kin_rows.variants().max(1)));
        let compared = self.kin.samples();
        let mut copied = vec![false; compared];
        let mut related = vec![false; compared];
        let mut in_panel = 0;
        for first in 0..self.samples {
            let mut known = false;
            for second in first + 1..compared {
                let Some(pair) = self.kin.pair(first, second) else { continue };
                let kinship = pair.kinship().unwrap_or(0.0);
                let identical = (pair.het_het + pair.same_hom) as f64 / pair.variants() as f64;
                let copy = kinship > COPY && identical > COPY_IDENTICAL;
                if second >= self.samples {
                    known |= copy;
                } else if copy {
                    copied[first] = true;
                    copied[second] = true;
                } else if kinship > FIRST_DEGREE && !self.is_stated(first, second) {
                    related[first] = true;
                    related[second] = true;
                }
            }
            in_panel += usize::from(known);
        }
        let count = |people: &[bool]| people.iter().filter(|is| **is).count();
        let mut found = vec![
            (Measure::Relatives, self.share(count(&related))),
            (Measure::Duplicates, self.share(count(&copied))),
        ];
        if self.panel.is_some() {
            found.push((Measure::PanelDuplicates, self.share(in_panel)));
        }
        found
    }

    /// Parent and child, or children of the same parents.
    fn is_stated(&self, a: usize, b: usize) -> bool {
        let parents = |child| self.trios.iter().find(|trio| trio.child == child);
        let of = |trio: &Trio, person| trio.father == person || trio.mother == person;
        let siblings = match (parents(a), parents(b)) {
            (Some(x), Some(y)) => x.father == y.father && x.mother == y.mother,
            _ => false,
        };
        siblings || parents(a).is_some_and(|trio| of(trio, b)) || parents(b).is_some_and(|trio| of(trio, a))
    }

    fn frequency_agreement(&self, panel: &Panel, weights: &[f64]) -> f64 {
        let sizes: f64 =
            panel.sizes().zip(weights).map(|(people, w)| w * w / (2.0 * people.max(1) as f64)).sum();
        let sum: f64 = self
            .frequencies
            .iter()
            .map(|(row, found, known)| {
                let p: f64 = panel.frequencies(*row).zip(weights).map(|(p, w)| p * w).sum();
                // The mix may have none of an allele that the panel as a whole has.
                let variance = (p * (1.0 - p)).max(0.005) * (0.5 / *known as f64 + sizes);
                (found - p) * (found - p) / variance
            })
            .sum();
        sum / self.frequencies.len() as f64
    }
}

impl std::fmt::Debug for Check<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Check").field("variants", &self.variants).finish_non_exhaustive()
    }
}
