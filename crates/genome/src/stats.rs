//! Statistics of genotypes: what quality control asks of variants and of people.
//!
//! | asked | module | oracle |
//! |---|---|---|
//! | calls of each kind, frequency, missingness | [`counts`] | `plink2 --freq counts --missing --geno-counts` |
//! | Hardy-Weinberg equilibrium | [`hardy_weinberg`] | `plink2 --hardy` |
//! | kinship of pairs | [`kinship`] | `plink2 --make-king-table` |
//! | Mendel errors of trios | [`mendel`] | `plink --mendel` |
//! | sex by the X chromosome | [`sex`] | `plink --check-sex` |
//! | transitions to transversions | [`titv`] | definition |
//!
//! Everything counts in whole numbers and divides at the end, in a fixed order: two machines give the same bits.
//! Deliberately not here: thresholds. What is bad is for the study to say.

pub mod counts;
pub mod hardy_weinberg;
pub mod kinship;
pub mod mendel;
pub mod sex;
pub mod titv;
