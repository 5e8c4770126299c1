//! Simulated cohorts with linkage, populations, families and traits, for tests, demonstrations and measurements.
//!
//! **Nothing of this is anybody's genome**, and everything says so: people are `SIMULATED1`, `SIMULATED2` ..., variants
//! likewise, tables carry a line about it, traits are `SIMULATED_QT` and `SIMULATED_CC`.
//!
//! A chromosome of a person is a mosaic of the founders of the population, those are mosaics of each other with mutations
//! (`simulate/haplotypes.rs`, after Li and Stephens 2003). So neighbouring variants are linked, most variants are rare, and
//! populations differ. A [`Plan`] and its seed determine every bit, on every machine.
//!
//! ```
//! use histone_genome::simulate::Plan;
//!
//! let cohort = Plan { populations: vec![60, 40], variants: 500, chromosomes: 2, ..Plan::default() }.simulate()?;
//! assert_eq!((cohort.genotypes.samples(), cohort.genotypes.variants()), (100, 500));
//! let bed = cohort.write_bed(vec![])?;
//! let mut read = histone_genome::cohort::Cohort::plink("s.bed", bed.as_slice(), cohort.people()?, cohort.bim()?)?;
//! assert!(read.read()?.is_some_and(|(_, sites)| sites[0].ids == "SIMULATED1"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Deliberately not here: selection, gene conversion, insertions and deletions, sex chromosomes, recombination hot spots,
//! admixed people. Whoever must not be able to tell simulated from real genomes needs another program.

mod haplotypes;
mod phenotype;
pub(crate) mod random;
mod write;

pub use phenotype::Causal;

use haplotypes::Chromosome;
use phenotype::Traits;
use random::Random;

use crate::assembly::{self, Assembly, Position};
use crate::genotypes::{Block, Genotypes};
use crate::plink::Sex;
use crate::variant::{Site, Variant};

/// Calls of the largest cohort: 16 GiB when they are packed.
pub const MOST_CALLS: u64 = 1 << 36;

/// Bases of the chromosomes 1 to 22 of GRCh38 (Genome Reference Consortium).
const LENGTHS: [u32; 22] = [
    248_956_422,
    242_193_529,
    198_295_559,
    190_214_555,
    181_538_259,
    170_805_979,
    159_345_973,
    145_138_636,
    138_394_717,
    133_797_422,
    135_086_622,
    133_275_309,
    114_364_328,
    107_043_718,
    101_991_189,
    90_338_345,
    83_257_441,
    80_373_285,
    58_617_616,
    64_444_167,
    46_709_983,
    50_818_468,
];
/// Variants lie behind this position.
const START: u32 = 1_000_000;

const SEXES: [Sex; 2] = [Sex::Male, Sex::Female];

/// Which variants there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spectrum {
    /// All that sequencing finds, most of them rare and many of them of one population.
    Sequenced,
    /// Mostly common ones, all older than the populations, as on a genotyping array.
    Array,
}

/// What to simulate.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Determines everything that is random.
    pub seed: u64,
    /// Unrelated people of each population.
    pub populations: Vec<usize>,
    /// Couples of the first population of whom two children each are added behind all other people.
    pub families: usize,
    /// Variants of all chromosomes together.
    pub variants: usize,
    /// Chromosomes 1 to this number, with equal numbers of variants as nearly as may be.
    pub chromosomes: u8,
    /// Bases between neighbouring variants on the average, on one stretch of each chromosome.
    pub spacing: u32,
    /// Which variants there are.
    pub spectrum: Spectrum,
    /// Founder haplotypes of each population. Fewer make people more alike.
    pub founders: usize,
    /// Generations between founders and people: people are mosaics of pieces of 100 / generations centimorgans.
    pub generations: u32,
    /// Share of missing calls.
    pub missing: f64,
    /// Variants that have an effect; fewer where there are not so many of frequency 5 % or more.
    pub causal: usize,
    /// Share of the liability's variance, covariates apart, that these explain among all people.
    pub heritability: f64,
    /// Share of cases.
    pub prevalence: f64,
    /// What men have more than women, in standard deviations of the liability.
    pub sex_effect: f64,
    /// What a year of age adds.
    pub age_effect: f64,
    /// What each population has more than the one before it: confounds associations.
    pub population_effect: f64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seed: 1,
            populations: vec![1000],
            families: 0,
            variants: 10_000,
            chromosomes: 22,
            spacing: 1_800,
            spectrum: Spectrum::Sequenced,
            founders: 400,
            generations: 100,
            missing: 0.0,
            causal: 10,
            heritability: 0.5,
            prevalence: 0.4,
            sex_effect: 0.3,
            age_effect: 0.01,
            population_effect: 0.0,
        }
    }
}

/// Why a plan cannot be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// More calls than [`MOST_CALLS`].
    #[error("people times variants is above {MOST_CALLS}; plan fewer of them")]
    TooLarge,
    /// A number that makes no cohort.
    #[error("{0}")]
    Senseless(&'static str),
    /// Variants do not fit on a chromosome.
    #[error("the variants do not fit on chromosome {0}; plan a smaller spacing or more chromosomes")]
    Beyond(u8),
}

/// A cohort that was simulated. Its `Debug` shows sizes only.
#[derive(Clone, PartialEq)]
pub struct SimulatedCohort {
    /// `SIMULATED1` and so on: people population by population, then the children of the families.
    pub samples: Vec<String>,
    /// Sexes; the parents of family f are the people 2 f and 2 f + 1.
    pub sexes: Vec<Sex>,
    /// Index of each person's population.
    pub populations: Vec<usize>,
    /// Whole years.
    pub ages: Vec<u8>,
    /// The variants, of one base each, in the order of the genome.
    pub variants: Vec<Variant>,
    /// The calls.
    pub genotypes: Genotypes,
    /// The variants with effects.
    pub causal: Vec<Causal>,
    /// The quantitative trait.
    pub quantitative: Vec<f64>,
    /// The yes/no trait.
    pub cases: Vec<bool>,
    families: usize,
}

impl Plan {
    /// Carries the plan out. Memory: the packed genotypes, and for one chromosome at a time as much as its own again.
    ///
    /// # Errors
    /// [`PlanError`] before anything large is made.
    pub fn simulate(&self) -> Result<SimulatedCohort, PlanError> {
        self.check()?;
        let people = self.people();
        let mut variants = Vec::new();
        let mut genotypes = Genotypes::new(people);
        for number in 1..=self.chromosomes {
            let share = |chromosomes: u8| {
                (self.variants as u64 * u64::from(chromosomes) / u64::from(self.chromosomes)) as usize
            };
            let count = share(number) - share(number - 1);
            let mut random = Random::stream(self.seed, u64::from(number));
            let positions = self.positions(number, count, &mut random)?;
            variants
                .extend(positions.iter().filter_map(|position| a_variant(number, *position, &mut random)));
            if count > 0 {
                let chromosome = Chromosome::simulate(self, &positions, &mut random);
                chromosome.add_to(&mut genotypes, self.missing, &mut random);
            }
        }
        let mut random = Random::stream(self.seed, 0);
        let parent = |index: usize| index < 2 * self.families;
        let sexes: Vec<Sex> =
            (0..people).map(|index| SEXES[if parent(index) { index % 2 } else { random.below(2) }]).collect();
        let unrelated = self.populations.iter().enumerate();
        let mut populations: Vec<usize> = unrelated.flat_map(|(p, people)| vec![p; *people]).collect();
        populations.resize(people, 0);
        let traits = Traits::simulate(self, &genotypes, &sexes, &populations, &mut random);
        Ok(SimulatedCohort {
            samples: (0..people).map(label).collect(),
            sexes,
            populations,
            ages: traits.ages,
            variants,
            genotypes,
            causal: traits.causal,
            quantitative: traits.quantitative,
            cases: traits.cases,
            families: self.families,
        })
    }

    fn people(&self) -> usize {
        let unrelated = self.populations.iter().fold(0_usize, |sum, people| sum.saturating_add(*people));
        unrelated.saturating_add(self.families.saturating_mul(2))
    }

    fn check(&self) -> Result<(), PlanError> {
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let effects = [self.sex_effect, self.age_effect, self.population_effect];
        for (sensible, reason) in [
            (self.people() > 0, "a cohort needs people; plan a population"),
            (
                self.families <= self.populations.first().map_or(0, |people| people / 2),
                "the first population has not two parents for each family",
            ),
            ((1..=22).contains(&self.chromosomes), "chromosomes are 1 to 22; plan as many"),
            (self.spacing > 0, "the spacing is 0; plan a base between variants at least"),
            ((1..=10_000).contains(&self.founders), "plan 1 to 10,000 founders of each population"),
            (self.generations > 0, "plan a generation between founders and people at least"),
            (self.missing < 1.0, "the share of missing calls is not below 1"),
            (
                [self.missing, self.heritability, self.prevalence].into_iter().all(share),
                "missing, heritability and prevalence are shares from 0 to 1",
            ),
            (effects.into_iter().all(f64::is_finite), "an effect is not a finite number"),
        ] {
            if !sensible {
                return Err(PlanError::Senseless(reason));
            }
        }
        let founders = self.founders.saturating_mul(self.populations.len());
        let rows = self.people().saturating_add(founders).saturating_add(1);
        match (rows as u64).checked_mul(self.variants as u64) {
            Some(calls) if calls <= MOST_CALLS => Ok(()),
            _ => Err(PlanError::TooLarge),
        }
    }

    /// Positions on a chromosome, ascending.
    fn positions(&self, number: u8, count: usize, random: &mut Random) -> Result<Vec<u32>, PlanError> {
        let length = LENGTHS.get(usize::from(number) - 1).copied().unwrap_or_default();
        let mut position = START;
        let mut positions = vec![];
        for _ in 0..count {
            let gap = 1 + random.below(2 * self.spacing as usize - 1);
            position = u32::try_from(gap).ok().and_then(|gap| position.checked_add(gap)).unwrap_or(u32::MAX);
            if position > length {
                return Err(PlanError::Beyond(number));
            }
            positions.push(position);
        }
        Ok(positions)
    }
}

impl SimulatedCohort {
    /// The calls and the sites, up to 64 variants at a time, as a [`Cohort`](crate::cohort::Cohort) reads them.
    pub fn blocks(&self) -> impl Iterator<Item = (&Block, Vec<Site>)> {
        let site = |(index, variant): (usize, &Variant)| Site {
            line: index as u64 + 1,
            chromosome: variant.chromosome().to_string(),
            position: u64::from(variant.position().get()),
            ids: label(index),
            reference: variant.reference().to_string(),
            alternative: variant.alternative().to_string(),
        };
        let mut first = 0;
        self.genotypes.blocks().iter().map(move |block| {
            let variants = self.variants.iter().enumerate().skip(first).take(block.variants());
            first += block.variants();
            (block, variants.map(site).collect())
        })
    }
}

impl std::fmt::Debug for SimulatedCohort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimulatedCohort")
            .field("samples", &self.samples.len())
            .field("variants", &self.variants.len())
            .finish_non_exhaustive()
    }
}

fn label(index: usize) -> String {
    format!("SIMULATED{}", index + 1)
}

/// A change of one base, transitions being twice as frequent as transversions.
fn a_variant(chromosome: u8, position: u32, random: &mut Random) -> Option<Variant> {
    const BASES: [&str; 4] = ["A", "C", "G", "T"];
    let reference = random.below(4);
    // A and G, C and T are two apart.
    let shift = [2, 2, 2, 2, 1, 3][random.below(6)];
    let chromosome = assembly::Chromosome::autosome(chromosome)?;
    let position = Position::try_from(position).ok()?;
    let alternative = BASES[(reference + shift) % 4];
    Variant::new(Assembly::Grch38, chromosome, position, BASES[reference], alternative).ok()
}
