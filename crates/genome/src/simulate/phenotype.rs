//! Traits that follow from genotypes: causal variants, ages, a quantitative and a yes/no trait.

use super::random::Random;
use super::{Plan, SEXES};
use crate::genotypes::{Call, Genotypes, WORD_CALLS};
use crate::plink::Sex;
use crate::stats::counts;

/// Causal variants are taken from those of at least this minor-allele frequency.
const COMMON: f64 = 0.05;
/// Youngest and oldest.
const AGES: [u8; 2] = [40, 75];

/// A variant with an effect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Causal {
    /// Index of the variant.
    pub variant: usize,
    /// Effect of a copy of the alternative allele on both traits, in standard deviations of the liability.
    pub effect: f64,
}

pub(super) struct Traits {
    pub causal: Vec<Causal>,
    pub ages: Vec<u8>,
    pub quantitative: Vec<f64>,
    pub cases: Vec<bool>,
}

impl Traits {
    pub(super) fn simulate(
        plan: &Plan,
        genotypes: &Genotypes,
        sexes: &[Sex],
        populations: &[usize],
        random: &mut Random,
    ) -> Self {
        let people = genotypes.samples();
        let span = usize::from(AGES[1] - AGES[0]) + 1;
        let ages: Vec<u8> = (0..people).map(|_| AGES[0] + random.below(span) as u8).collect();
        let frequency = |variant| counts::of_row(genotypes.row(variant)?, people).frequency();
        let mut common: Vec<(usize, f64)> = (0..genotypes.variants())
            .filter_map(|variant| Some((variant, frequency(variant)?)))
            .filter(|(_, frequency)| (COMMON..=1.0 - COMMON).contains(frequency))
            .collect();
        let mut chosen: Vec<(usize, f64)> = vec![];
        while chosen.len() < plan.causal && !common.is_empty() {
            chosen.push(common.swap_remove(random.below(common.len())));
        }
        chosen.sort_by_key(|(variant, _)| *variant);
        let mut causal: Vec<Causal> = chosen
            .iter()
            .map(|(variant, p)| Causal {
                variant: *variant,
                effect: random.normal() / (2.0 * p * (1.0 - p)).sqrt(),
            })
            .collect();
        let mut genetic = vec![0.0; people];
        for (Causal { variant, effect }, (_, frequency)) in causal.iter().zip(&chosen) {
            let row = genotypes.row(*variant).unwrap_or_default();
            for (person, value) in genetic.iter_mut().enumerate() {
                let word = row.get(person / WORD_CALLS).copied().unwrap_or_default();
                if let Some(copies) = Call::from_code(word >> (2 * (person % WORD_CALLS))).copies() {
                    *value += effect * (f64::from(copies) - 2.0 * frequency);
                }
            }
        }
        let mean = genetic.iter().sum::<f64>() / people as f64;
        let variance = genetic.iter().map(|g| (g - mean) * (g - mean)).sum::<f64>() / people as f64;
        let scale = if variance > 0.0 { (plan.heritability / variance).sqrt() } else { 0.0 };
        causal.iter_mut().for_each(|causal| causal.effect *= scale);
        let middle = f64::from(AGES[0] + AGES[1]) / 2.0;
        let fixed: Vec<f64> = (0..people)
            .map(|person| {
                let male = if sexes[person] == SEXES[0] { plan.sex_effect } else { 0.0 };
                let shift = plan.population_effect * populations[person] as f64;
                scale * (genetic[person] - mean)
                    + male
                    + plan.age_effect * (f64::from(ages[person]) - middle)
                    + shift
            })
            .collect();
        let noise = (1.0 - plan.heritability).sqrt();
        let quantitative: Vec<f64> = fixed.iter().map(|fixed| fixed + noise * random.normal()).collect();
        let liability: Vec<f64> = fixed.iter().map(|fixed| fixed + noise * random.normal()).collect();
        let mut order: Vec<usize> = (0..people).collect();
        order.sort_by(|a, b| liability[*b].total_cmp(&liability[*a]));
        let mut cases = vec![false; people];
        order.iter().take((plan.prevalence * people as f64).round() as usize).for_each(|p| cases[*p] = true);
        Self { causal, ages, quantitative, cases }
    }
}
