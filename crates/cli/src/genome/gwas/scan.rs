//! What is tested at each variant.

use anyhow::{Context as _, Result, bail};
use histone_genome::association::{
    Design, Estimate, Linear, LinearTraits, Logistic, LogisticEstimate, NotFitted, NotTested, ScoreEstimate,
    ScoreTest,
};
use histone_genome::genotypes::Block;
use histone_genome::regression::{Predictions, Regression, Rule};
use histone_genome::stats::counts::Counts;
use histone_genome::variant::Site;

use super::super::file;
use super::super::pca::is_autosomal;
use super::GwasArgs;
use crate::progress::tell;

/// A model for each trait.
pub enum Scan {
    /// Numbers, all in one pass.
    Linear(Box<LinearTraits>),
    /// Cases and controls, a fit for each variant.
    Logistic(Vec<Logistic>),
    /// Cases and controls, one fit and a sum for each variant.
    Score(Vec<ScoreTest>),
    /// Of what the other chromosomes leave of one trait: a scan for each chromosome.
    WholeGenome(Box<WholeGenome>),
}

/// What a scan of each chromosome needs.
pub struct WholeGenome {
    values: Vec<f64>,
    covariates: Vec<Vec<f64>>,
    predictions: Predictions,
    scan: Option<(String, Linear)>,
}

impl WholeGenome {
    /// The scan of a chromosome.
    fn scan(&mut self, chromosome: &str) -> Result<&Linear> {
        if self.scan.as_ref().is_none_or(|(of, _)| of != chromosome) {
            let rest = self.predictions.subtract_from(&self.values, chromosome);
            let scan = Linear::new(Design::new(&rest, &self.covariates)?);
            self.scan = Some((chromosome.to_owned(), scan));
        }
        self.scan.as_ref().map(|(_, scan)| scan).context("a chromosome has no scan")
    }
}

/// What is said of one variant and one trait.
pub struct Row {
    /// Of the alternative allele, among the people of the model.
    pub frequency: Option<f64>,
    /// Who are called here, of the people of the model.
    pub people: u64,
    /// Estimate, its standard error, the statistic and p.
    pub estimate: Option<[f64; 4]>,
    /// The model, or why there is none.
    pub how: &'static str,
}

impl Row {
    fn none(how: &'static str) -> Self {
        Self { frequency: None, people: 0, estimate: None, how }
    }

    fn linear(found: &Result<Estimate, NotTested>) -> Self {
        match found {
            Ok(found) => Self {
                frequency: found.counts.frequency(),
                people: found.counts.known(),
                estimate: Some([found.beta, found.se, found.t(), found.p()]),
                how: "linear",
            },
            Err(NotTested::Constant) => Self::none("constant"),
            Err(NotTested::Collinear) => Self::none("collinear"),
            Err(NotTested::TooFew) => Self::none("too-few"),
            Err(NotTested::Perfect) => Self::none("perfect"),
        }
    }

    fn not_fitted(why: NotFitted) -> Self {
        Self::none(match why {
            NotFitted::Constant => "constant",
            NotFitted::Separated => "separated",
            NotFitted::NotConverged => "not-converged",
            NotFitted::Collinear => "collinear",
            NotFitted::TooFew => "too-few",
        })
    }

    fn logistic(found: Result<LogisticEstimate, NotFitted>) -> Self {
        match found {
            Ok(found) => {
                let known = found.cases.known() + found.controls.known();
                let copies = found.cases.alternatives() + found.controls.alternatives();
                Self {
                    frequency: (known > 0).then(|| copies as f64 / (2 * known) as f64),
                    people: known,
                    estimate: Some([found.beta, found.se, found.z(), found.p()]),
                    how: if found.firth { "firth" } else { "logistic" },
                }
            }
            Err(why) => Self::not_fitted(why),
        }
    }

    fn score(found: Result<ScoreEstimate, NotFitted>) -> Self {
        match found {
            Ok(found) => {
                let counts: Counts = found.counts;
                // One step of Newton's method from no effect, as the scan over hospitals tells it.
                let estimate =
                    [found.score / found.variance, found.variance.sqrt().recip(), found.z(), found.p()];
                Self {
                    frequency: counts.frequency(),
                    people: counts.known(),
                    estimate: Some(estimate),
                    how: "score",
                }
            }
            Err(why) => Self::not_fitted(why),
        }
    }
}

impl Scan {
    /// For each variant of a block, what is said of each trait.
    pub fn of(&mut self, block: &Block, sites: &[Site]) -> Result<Vec<Vec<Row>>> {
        Ok(match self {
            Self::Linear(scan) => {
                scan.scan(block).iter().map(|traits| traits.iter().map(Row::linear).collect()).collect()
            }
            Self::Logistic(scans) => by_variant(scans.iter().map(|scan| scan.scan(block)), Row::logistic),
            Self::Score(scans) => by_variant(scans.iter().map(|scan| scan.scan(block)), Row::score),
            Self::WholeGenome(of_all) => {
                let mut rows = Vec::with_capacity(sites.len());
                while let Some(site) = sites.get(rows.len()) {
                    // Blocks do not end where chromosomes do.
                    let together = sites[rows.len()..].iter().take_while(|s| s.chromosome == site.chromosome);
                    let (first, count) = (rows.len(), together.count());
                    let found = of_all.scan(&site.chromosome)?.scan(block);
                    rows.extend(found.iter().skip(first).take(count).map(|found| vec![Row::linear(found)]));
                }
                rows
            }
        })
    }
}

/// What each trait's scan says of the variants, variant by variant.
fn by_variant<T>(scans: impl Iterator<Item = Vec<T>>, row: fn(T) -> Row) -> Vec<Vec<Row>> {
    let mut rows: Vec<Vec<Row>> = Vec::new();
    for found in scans {
        rows.resize_with(found.len(), Vec::new);
        rows.iter_mut().zip(found).for_each(|(rows, found)| rows.push(row(found)));
    }
    rows
}

/// Variants of a block of the regression: larger ones take longer.
const REGRESSION_BLOCK: usize = 500;

/// The first step: what the genome says of the trait.
pub fn whole_genome(args: &GwasArgs, values: &[f64], covariates: &[Vec<f64>]) -> Result<Scan> {
    let mut cohort = file::cohort(&args.file)?;
    let mut variants = 0;
    while let Some((_, sites)) = cohort.read()? {
        variants += sites.iter().filter(|site| is_autosomal(&site.chromosome)).count();
    }
    let rule = Rule { block: REGRESSION_BLOCK, ..Rule::for_variants(variants) };
    let mut regression = Regression::new(values, covariates, rule)?;
    let mut cohort = file::cohort(&args.file)?;
    while let Some((block, sites)) = cohort.read()? {
        regression.add(block, sites, |i| sites.get(i).is_some_and(|site| is_autosomal(&site.chromosome)))?;
    }
    let predictions = regression.finish(|done, of| tell(&format!("prediction: part {done} of {of}")))?;
    if predictions.chromosomes().len() < 2 {
        bail!(
            "the variants are of one chromosome, of which nothing else can be predicted; leave `--whole-genome` out"
        );
    }
    let (values, covariates) = (values.to_vec(), covariates.to_vec());
    Ok(Scan::WholeGenome(Box::new(WholeGenome { values, covariates, predictions, scan: None })))
}
