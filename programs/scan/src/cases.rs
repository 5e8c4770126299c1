//! A yes/no outcome: logistic regression by covariates alone, then a score test for each variant (Rao 1948; as a scan, e.g.
//! Mbatchou et al. 2021, Nature Genetics 53).
//!
//! With `m` the probabilities by the covariates, `w = m (1 - m)`, `r` what is left of the outcome and `g` the copies, a missing call
//! counted as the mean of the others: `U = g'r`, `V = g'Wg - g'WX (X'WX)^-1 X'Wg`, and `U^2 / V` is compared with a chi-square of
//! one degree of freedom. The estimate `U / V` is one step of Newton's method from no effect, its error `1 / sqrt(V)`.
//!
//! Every person's `r`, `4w` and `4wx` are rounded to steps of 2^-22 before they are summed up.
//!
//! | numbers of every round | |
//! |---|---|
//! | `k + 1` | sums of intercept, covariates and outcome |
//! | `k` | the first `k` of them over the cases |
//! | 1 | loss, in steps of 2^-20 |
//! | `2k` | `X'r`, in halves |
//! | `k (k + 1)` | upper triangle of `4 X'WX`, in halves |
//!
//! | numbers of a variant | |
//! |---|---|
//! | `k + 2` | `g'r`, `4 g'WX`, `4 g'Wg` over those with a call |
//! | 3 | copies, their squares, whether the site gives the variant |
//! | `k + 2` | those without a call: how many, sums of `r` and of `4wx` |

mod covariates;
mod site;
mod test;

pub use covariates::Null;
pub(crate) use site::{numbers_of_covariates, numbers_of_variants};
pub(crate) use test::add;
