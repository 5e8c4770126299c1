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
    /// None where the site has too few people, cases or controls, of all or of a level.
    fn of(config: &'a Config, shape: &Shape, at: &[f64], data: &dyn Data) -> Result<Option<Self>, Refusal> {
        let (units, k) = (Covariates::of(config)?.units(), shape.covariates());
        if at.len() != k || units.len() != k {
            return Err(Refusal::Malformed);
        }
        let rows = people(config, data)?;
        let people = weights(shape, &rows)?;
        let groups = Groups::of(config, &people)?;
        let mut of_cases = vec![0_i64; k];
        for row in rows.iter().flatten().filter(|row| row[k] == 1) {
            of_cases.iter_mut().zip(row).for_each(|(sum, v)| *sum += i64::from(*v));
        }
        // The outcome is a category as well, of which all that are of the second level are cases.
        let cases = of_cases[0];
        let by_case = |column: usize| of_cases.get(column).copied().unwrap_or(cases);
        if groups.too_small(&people) || groups.too_small_by_case(by_case) {
            return Ok(None);
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
        write(&groups.all[..=k], &mut sums[..=k]);
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
    let (k, all) = (shape.covariates(), &site.groups.all);
    let everybody = site.scored.sums();
    each_block(shape, first, data, rest, |block, to| {
        let plain = site.people.sums_of(block).ok_or(Refusal::Malformed)?;
        let scored = site.scored.sums_of(block).ok_or(Refusal::Malformed)?;
        for (i, ((plain, scored), to)) in plain.iter().zip(&scored).zip(to).enumerate() {
            let Some(to) = to else { continue };
            let calls = block.of(i);
            let (of_called, missing) = to.split_at_mut(k + 5);
            let none = plain.counts[2] == 0;
            let lacking = if none { vec![0; k + 1] } else { site.people.sums_of_missing(calls) };
            if site.groups.tells_of_few(&lacking, plain) {
                // As if nobody had a call.
                missing[0] = all[0] as f64;
                write(&everybody[..=k], &mut missing[1..]);
                continue;
            }
            write(&scored.products, of_called);
            of_called[k + 2] = plain.copies() as f64;
            of_called[k + 3] = plain.squares() as f64;
            of_called[k + 4] = f64::from(u8::from(all[0] > lacking[0]));
            missing[0] = lacking[0] as f64;
            if !none {
                write(&site.scored.sums_of_missing(calls)[..=k], &mut missing[1..]);
            }
        }
        Ok(())
    })?;
    Ok(numbers)
}
