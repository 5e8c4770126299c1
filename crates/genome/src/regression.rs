//! Whole-genome regression: what the rest of the genome says of a quantitative trait, so that a scan is not misled by ancestry and
//! relatedness.
//!
//! Mbatchou et al. 2021, "Computationally efficient whole-genome regression for quantitative and binary traits", Nature Genetics
//! 53, step 1 with cross-validation. Level 0 makes, of each block of variants of one chromosome, a few ridge predictions with
//! different penalties, for each fold of people by a fit to the others. Level 1 is a ridge regression on these predictions; its
//! penalty is the one that predicts best out of fold. The prediction for a chromosome leaves the blocks of that chromosome out
//! (LOCO). Step 2 is a scan of the trait less that prediction:
//!
//! ```
//! use histone_genome::association::{Design, Linear};
//! use histone_genome::regression::{Regression, Rule};
//! # use histone_genome::genotypes::{Block, Call};
//! # use histone_genome::variant::Site;
//! # let (covariates, mut block, mut sites) = (vec![], Block::new(40), vec![]);
//! # for v in 0..30_u64 {
//! #     block.push_calls(&(0..40).map(|s| Call::from_code((s * v + s * s) % 3)).collect::<Vec<_>>())?;
//! #     let text = || "A".to_owned();
//! #     let chromosome = if v < 15 { "1".to_owned() } else { "2".to_owned() };
//! #     sites.push(Site { line: 1, chromosome, position: 1, ids: text(), reference: text(), alternative: text() });
//! # }
//! # let phenotype: Vec<f64> = (0..40).map(|s| f64::from(s * s % 7)).collect();
//! // The first pass.
//! let mut regression = Regression::new(&phenotype, &covariates, Rule::for_variants(30))?;
//! regression.add(&block, &sites, |_| true)?;
//! let predictions = regression.finish(|_, _| {})?;
//! // The second, one chromosome after the other.
//! let rest = predictions.subtract_from(&phenotype, "1");
//! let scan = Linear::new(Design::new(&rest, &covariates)?);
//! assert_eq!(scan.scan(&block).len(), 30);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Deliberately not here: the logistic level 1 of yes/no traits.

mod folds;

use folds::Folds;
use histone_program_sdk::math::{axpy, dot};

use crate::association::{AssociationError, Design};
use crate::genotypes::{Block, Call, WORD_CALLS};
use crate::stats::counts;
use crate::variant::Site;

/// How predictions are made.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// All variants that will be chosen, of all chromosomes: with a share `h` of the variance explained by all of them, each has
    /// the penalty `variants (1 - h) / h`.
    pub variants: usize,
    /// Variants of a block; people times variants times 16 bytes are in memory.
    pub block: usize,
    /// Parts of the people of which each is predicted from the others.
    pub folds: usize,
    /// Shares of the variance for the penalties of level 0.
    pub shares: Vec<f64>,
    /// The same for level 1.
    pub shares_of_predictors: Vec<f64>,
    /// Most predictors of level 1, each 8 bytes a person; there are as many as blocks times shares.
    pub most: usize,
}

impl Rule {
    /// The defaults of REGENIE: 1,000 variants a block, 5 folds, shares of 0.01, 0.25, 0.5, 0.75 and 0.99.
    #[must_use]
    pub fn for_variants(variants: usize) -> Self {
        let shares = vec![0.01, 0.25, 0.5, 0.75, 0.99];
        Self { variants, block: 1_000, folds: 5, shares_of_predictors: shares.clone(), shares, most: 10_000 }
    }
}

/// Why there is no prediction.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RegressionError {
    /// Phenotype and covariates.
    #[error(transparent)]
    Design(#[from] AssociationError),
    /// A rule that is none.
    #[error("{what} is out of range: {range}")]
    Rule {
        /// Which number.
        what: &'static str,
        /// What it may be.
        range: &'static str,
    },
    /// A block of other people, or other than one site for each variant.
    #[error(
        "a block of {variants} variants of {people} people, with {sites} sites, does not fit {samples} people"
    )]
    Block {
        /// Variants of the block.
        variants: usize,
        /// Its people.
        people: usize,
        /// Sites that came with it.
        sites: usize,
        /// People with whom the regression was begun.
        samples: usize,
    },
    /// More predictors than the rule allows.
    #[error("more than {0} predictors; take larger blocks, or allow more")]
    TooMany(usize),
    /// No chosen variant varies.
    #[error("no chosen variant varies among the people with phenotype and covariates")]
    NoVariants,
    /// A penalty too small for the numbers.
    #[error("a ridge regression has no solution; take smaller shares of the variance")]
    Singular,
}

/// Step 1, as variants come.
#[derive(Debug)]
pub struct Regression {
    design: Design,
    rule: Rule,
    folds: Folds,
    /// The residual phenotype with variance 1.
    phenotype: Vec<f64>,
    deviation: f64,
    chromosomes: Vec<String>,
    /// The place of the one whose variants are coming.
    chromosome: usize,
    /// Standardized variants of the block that is being filled, all of this chromosome.
    pending: Vec<Vec<f64>>,
    predictors: Vec<Predictor>,
}

#[derive(Debug)]
struct Predictor {
    chromosome: usize,
    values: Vec<f64>,
}

/// Out-of-fold predictions of a trait.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    chromosomes: Vec<String>,
    leaving_out: Vec<Vec<f64>>,
    whole: Vec<f64>,
    /// For each share of [`Rule::shares_of_predictors`] the mean square of what it leaves, out of fold, relative to the variance.
    pub errors: Vec<f64>,
    /// The place of the share with the smallest error, which made the predictions.
    pub best: usize,
}

impl Regression {
    /// Phenotype and covariates as in a scan; `NaN` is missing.
    ///
    /// # Errors
    /// [`RegressionError::Design`] and [`RegressionError::Rule`].
    pub fn new(phenotype: &[f64], covariates: &[Vec<f64>], rule: Rule) -> Result<Self, RegressionError> {
        let refuse = |what, range| Err(RegressionError::Rule { what, range });
        let inside = |share: &f64| *share > 0.0 && *share < 1.0;
        if [&rule.shares, &rule.shares_of_predictors]
            .iter()
            .any(|list| list.is_empty() || !list.iter().all(inside))
        {
            return refuse("a share of the variance", "at least one share, each between 0 and 1");
        }
        if rule.block == 0 || rule.variants == 0 {
            return refuse("the number of variants", "at least 1");
        }
        let design = Design::new(phenotype, covariates)?;
        if rule.folds < 2 || rule.folds > design.people().count() {
            return refuse("the number of folds", "at least 2, and no more than people");
        }
        let residual = design.residual();
        let left = (design.people().count() - design.basis().len()) as f64;
        let deviation = (dot(residual, residual) / left).sqrt();
        let phenotype = residual.iter().map(|value| value / deviation).collect();
        let folds = Folds::new(design.people(), rule.folds);
        Ok(Self {
            design,
            rule,
            folds,
            phenotype,
            deviation,
            chromosomes: vec![],
            chromosome: 0,
            pending: vec![],
            predictors: vec![],
        })
    }

    /// Adds the variants of a block for which `choose` is true, by their place in the block; those of a chromosome one after the
    /// other.
    ///
    /// # Errors
    /// [`RegressionError`].
    pub fn add(
        &mut self,
        block: &Block,
        sites: &[Site],
        choose: impl Fn(usize) -> bool,
    ) -> Result<(), RegressionError> {
        let (variants, people, samples) = (block.variants(), block.samples(), self.phenotype.len());
        if people != samples || sites.len() != variants {
            return Err(RegressionError::Block { variants, people, sites: sites.len(), samples });
        }
        for (_, (row, site)) in block.rows().zip(sites).enumerate().filter(|(variant, _)| choose(*variant)) {
            let Some(column) = self.standardized(row) else { continue };
            if self.chromosomes.get(self.chromosome) != Some(&site.chromosome) {
                self.end_block()?;
                let known = self.chromosomes.iter().position(|name| *name == site.chromosome);
                self.chromosome = known.unwrap_or(self.chromosomes.len());
                if known.is_none() {
                    self.chromosomes.push(site.chromosome.clone());
                }
            }
            self.pending.push(column);
            if self.pending.len() == self.rule.block {
                self.end_block()?;
            }
        }
        Ok(())
    }

    /// Level 1. `progress` is told how many of so many folds are done.
    ///
    /// # Errors
    /// [`RegressionError::NoVariants`] and [`RegressionError::Singular`].
    pub fn finish(mut self, mut progress: impl FnMut(usize, usize)) -> Result<Predictions, RegressionError> {
        self.end_block()?;
        if self.predictors.is_empty() {
            return Err(RegressionError::NoVariants);
        }
        let columns: Vec<&[f64]> = self.predictors.iter().map(|predictor| &*predictor.values).collect();
        let penalties = penalties(&self.rule.shares_of_predictors, columns.len());
        // By fold and penalty.
        let mut coefficients: Vec<Vec<Vec<f64>>> = vec![];
        let mut errors = vec![0.0; penalties.len()];
        self.folds.fit(&columns, &self.phenotype, &penalties, |fold, rows, found| {
            for (error, found) in errors.iter_mut().zip(&found) {
                for (person, row) in self.folds.people(fold).iter().zip(rows.chunks_exact(columns.len())) {
                    *error += (self.phenotype[*person] - dot(row, found)).powi(2);
                }
            }
            coefficients.push(found);
            progress(fold + 1, self.rule.folds);
        })?;
        let square = dot(&self.phenotype, &self.phenotype);
        errors.iter_mut().for_each(|error| *error /= square);
        let best = errors.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(place, _)| place);
        let predict = |left_out: Option<usize>| {
            let mut prediction = vec![0.0; self.phenotype.len()];
            for (fold, found) in coefficients.iter().enumerate() {
                for (predictor, weight) in self.predictors.iter().zip(&found[best]) {
                    if Some(predictor.chromosome) != left_out {
                        for person in self.folds.people(fold) {
                            prediction[*person] += predictor.values[*person] * weight * self.deviation;
                        }
                    }
                }
            }
            prediction
        };
        let leaving_out = (0..self.chromosomes.len()).map(|chromosome| predict(Some(chromosome))).collect();
        Ok(Predictions { leaving_out, whole: predict(None), errors, best, chromosomes: self.chromosomes })
    }

    /// The copies of the people of the design, without their part in the covariates and with variance 1; missing calls count as the
    /// mean. `None` where nothing varies.
    fn standardized(&self, row: &[u64]) -> Option<Vec<f64>> {
        let counts = counts::of_row_in(row, self.design.people());
        let mean = 2.0 * counts.frequency()?;
        let mut column = vec![0.0; self.phenotype.len()];
        for person in self.folds.order() {
            let call = Call::from_code(row[person / WORD_CALLS] >> (2 * (person % WORD_CALLS)));
            column[person] = call.copies().map_or(0.0, |copies| f64::from(copies) - mean);
        }
        let before = dot(&column, &column);
        for other in self.design.basis() {
            let part = dot(&column, other);
            axpy(-part, other, &mut column);
        }
        let square = dot(&column, &column);
        if square <= 1e-8 * before || before == 0.0 {
            return None;
        }
        let left = (self.design.people().count() - self.design.basis().len()) as f64;
        let deviation = (square / left).sqrt();
        column.iter_mut().for_each(|value| *value /= deviation);
        Some(column)
    }

    /// Level 0 for the variants that wait.
    fn end_block(&mut self) -> Result<(), RegressionError> {
        let columns: Vec<Vec<f64>> = std::mem::take(&mut self.pending);
        if columns.is_empty() {
            return Ok(());
        }
        if self.predictors.len() + self.rule.shares.len() > self.rule.most {
            return Err(RegressionError::TooMany(self.rule.most));
        }
        let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
        let penalties = penalties(&self.rule.shares, self.rule.variants);
        let mut predictions = vec![vec![0.0; self.phenotype.len()]; penalties.len()];
        self.folds.fit(&columns, &self.phenotype, &penalties, |fold, rows, found| {
            for (prediction, found) in predictions.iter_mut().zip(&found) {
                for (person, row) in self.folds.people(fold).iter().zip(rows.chunks_exact(columns.len())) {
                    prediction[*person] = dot(row, found);
                }
            }
        })?;
        let chromosome = self.chromosome;
        for mut values in predictions {
            self.scale(&mut values);
            self.predictors.push(Predictor { chromosome, values });
        }
        Ok(())
    }

    /// Gives a prediction mean 0 and variance 1; one that does not vary becomes 0.
    fn scale(&self, values: &mut [f64]) {
        let people = self.design.people().count() as f64;
        let mean = self.folds.order().map(|person| values[person]).sum::<f64>() / people;
        self.folds.order().for_each(|person| values[person] -= mean);
        let deviation = (dot(values, values) / (people - 1.0)).sqrt();
        let factor = if deviation > 0.0 { 1.0 / deviation } else { 0.0 };
        values.iter_mut().for_each(|value| *value *= factor);
    }
}

impl Predictions {
    /// The chromosomes that have predictors.
    #[must_use]
    pub fn chromosomes(&self) -> &[String] {
        &self.chromosomes
    }

    /// For each person what all other chromosomes predict, in units of the trait around 0; all chromosomes for one without
    /// predictors. 0 for people without phenotype or covariates.
    #[must_use]
    pub fn leaving_out(&self, chromosome: &str) -> &[f64] {
        let place = self.chromosomes.iter().position(|name| name == chromosome);
        place.and_then(|place| self.leaving_out.get(place)).unwrap_or(&self.whole)
    }

    /// The trait less what all other chromosomes predict: the phenotype for a scan of this one.
    #[must_use]
    pub fn subtract_from(&self, phenotype: &[f64], chromosome: &str) -> Vec<f64> {
        phenotype
            .iter()
            .zip(self.leaving_out(chromosome))
            .map(|(value, prediction)| value - prediction)
            .collect()
    }
}

fn penalties(shares: &[f64], count: usize) -> Vec<f64> {
    shares.iter().map(|share| count as f64 * (1.0 - share) / share).collect()
}

#[cfg(test)]
mod tests;
