//! What one site gives.

use histone_program_sdk::config::Config;
use histone_program_sdk::data::Data;
use histone_program_sdk::genotypes::Weights;
use histone_program_sdk::math::{dot, logistic, softplus};
use histone_program_sdk::refusal::Refusal;

use super::covariates::{FURTHEST, LOSS_STEPS};
use crate::covariates::{Covariates, whole};
use crate::groups::Groups;
use crate::shape::Shape;
use crate::site::{each_block, people, weights, write, write_halves};

/// The people of a site at some weights of the covariates.
struct Site<'a> {
    /// Intercept, covariates, outcome.
    people: Weights,
    groups: Groups<'a>,
    /// `r`, `4wx`, `4w` of each person.
    scored: Weights,
    /// Numbers of every round.
    head: Vec<f64>,
}

impl<'a> Site<'a> {
    /// None where the site has too few people, cases or controls, of all or of a group.
    fn of(config: &'a Config, shape: &Shape, at: &[f64], data: &dyn Data) -> Result<Option<Self>, Refusal> {
        let (units, k) = (Covariates::of(config)?.units(), shape.covariates());
        if at.len() != k || units.len() != k {
            return Err(Refusal::Malformed);
        }
        let rows = people(config, data)?;
        let groups = Groups::of(config, shape, &rows)?;
        if groups.too_small() {
            return Ok(None);
        }
        let people = weights(shape, &rows)?;
        let mut of_cases = vec![0_i64; k];
        for row in rows.iter().flatten().filter(|row| row[k] == 1) {
            of_cases.iter_mut().zip(row).for_each(|(sum, v)| *sum += i64::from(*v));
        }
        let (mut loss, mut gradient, mut curvature) = (0_i64, vec![0_i64; k], vec![0_i64; k * (k + 1) / 2]);
        let mut score = |row: &Vec<i32>| {
            let (x, case) = (&row[..k], row[k] == 1);
            let real: Vec<f64> = x.iter().zip(&units).map(|(x, unit)| f64::from(*x) / unit).collect();
            let odds = dot(at, &real).clamp(-FURTHEST, FURTHEST);
            let m = logistic(odds);
            let (r, four_w) = (whole(f64::from(u8::from(case)) - m), 4.0 * m * (1.0 - m));
            loss += (softplus(if case { -odds } else { odds }) * LOSS_STEPS).round_ties_even() as i64;
            let mut scored = vec![r];
            scored.extend(real.iter().map(|x| whole(four_w * x)));
            scored.push(scored[1]);
            gradient.iter_mut().zip(x).for_each(|(sum, x)| *sum += i64::from(*x) * i64::from(r));
            let mut sums = curvature.iter_mut();
            for (i, wx) in scored[1..=k].iter().enumerate() {
                for (x, sum) in x[i..].iter().zip(&mut sums) {
                    *sum += i64::from(*wx) * i64::from(*x);
                }
            }
            scored
        };
        let scored: Vec<Option<Vec<i32>>> = rows.iter().map(|row| row.as_ref().map(&mut score)).collect();
        let scored = Weights::new(k + 2, &scored).ok_or(Refusal::Malformed)?.with_squares();
        let mut head = vec![0.0; shape.head()];
        let (sums, rest) = head.split_at_mut(2 * k + 1);
        write(&people.sums(), &mut sums[..=k]);
        write(&of_cases, &mut sums[k + 1..]);
        write(&[loss], rest);
        let (to_gradient, to_curvature) = rest[1..].split_at_mut(2 * k);
        write_halves(&gradient, to_gradient);
        write_halves(&curvature, to_curvature);
        Ok(Some(Self { people, groups, scored, head }))
    }
}

/// The numbers of a round of the covariates.
pub(crate) fn numbers_of_covariates(
    config: &Config,
    shape: &Shape,
    at: &[f64],
    data: &dyn Data,
) -> Result<Vec<f64>, Refusal> {
    Ok(Site::of(config, shape, at, data)?.map_or_else(|| vec![0.0; shape.head()], |site| site.head))
}

/// The numbers of a round about the variants from place `first` on.
pub(crate) fn numbers_of_variants(
    config: &Config,
    shape: &Shape,
    (at, first): (&[f64], usize),
    data: &dyn Data,
) -> Result<Vec<f64>, Refusal> {
    let mut numbers = vec![0.0; shape.numbers()];
    let Some(site) = Site::of(config, shape, at, data)? else { return Ok(numbers) };
    let (head, rest) = numbers.split_at_mut(shape.head());
    head.copy_from_slice(&site.head);
    let k = shape.covariates();
    let (everybody, people) = (site.scored.sums(), site.people.people() as f64);
    each_block(shape, first, data, rest, |block, to| {
        let untold = site.groups.tell_of_few(block)?;
        let scored = site.scored.sums_of(block).ok_or(Refusal::Malformed)?;
        for (i, ((scored, to), untold)) in scored.iter().zip(to).zip(untold).enumerate() {
            let Some(to) = to else { continue };
            let (of_called, missing) = to.split_at_mut(k + 5);
            if untold {
                // As if nobody had a call.
                missing[0] = people;
                write(&everybody[..=k], &mut missing[1..]);
                continue;
            }
            let lacking = f64::from(scored.counts[2]);
            write(&scored.products, of_called);
            of_called[k + 2] = scored.copies() as f64;
            of_called[k + 3] = scored.squares() as f64;
            of_called[k + 4] = f64::from(u8::from(people > lacking));
            missing[0] = lacking;
            if lacking > 0.0 {
                write(&site.scored.sums_of_missing(block.of(i))[..=k], &mut missing[1..]);
            }
        }
        Ok(())
    })?;
    Ok(numbers)
}
