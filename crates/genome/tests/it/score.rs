//! A score of the PGS Catalog against PLINK 2.

use std::collections::HashMap;
use std::path::Path;

use histone_genome::score::{Effect, Missing, Scores, Weights};

use crate::data::{self, Reference};
use crate::panel;

/// Weights by label: effect allele and weight.
fn weights(root: &Path) -> HashMap<String, (String, f64)> {
    let text = String::from_utf8(data::bytes(&root.join("pgs/PGS001229_chr22_GRCh37.txt"))).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    rows.map(|line| line.split('\t').collect::<Vec<_>>())
        .map(|cells| (cells[0].to_owned(), (cells[3].to_owned(), cells[5].parse().unwrap())))
        .collect()
}

#[test]
fn height_of_2504_people() {
    let Some(root) = data::root() else { return };
    let panel = panel::read(&root, "cineca_synthetic_subset.vcf.gz");
    let by_label = weights(&root);
    let of_variants: Vec<Option<Weights>> = panel
        .ids
        .iter()
        .zip(&panel.alleles)
        .map(|(id, [reference, alternative])| {
            let (allele, weight) = by_label.get(id)?;
            let effect = match allele {
                allele if allele == reference => Effect::Reference,
                allele if allele == alternative => Effect::Alternative,
                _ => return None,
            };
            Some(Weights { effect, weights: vec![*weight] })
        })
        .collect();
    for (missing, table) in [(Missing::Mean, "score"), (Missing::Nothing, "score_no_mean_imputation")] {
        let mut scores = Scores::new(panel.samples.len(), 1, missing);
        for (block, weights) in panel.genotypes.blocks().iter().zip(of_variants.chunks(64)) {
            scores.add(block, weights);
        }
        assert_eq!(scores.variants(), 829);
        let reference = Reference::read(&root, &format!("cineca_synthetic_subset.PGS001229_chr22.{table}"));
        let column = |name| reference.column(name);
        for ((name, found), cells) in panel.samples.iter().zip(scores.people()).zip(&reference.rows) {
            assert_eq!(*name, cells[column("IID")]);
            assert_eq!((2 * found.called).to_string(), cells[column("ALLELE_CT")]);
            assert_eq!(found.effect_alleles.to_string(), cells[column("NAMED_ALLELE_DOSAGE_SUM")]);
            let sum: f64 = cells[column("SCORE1_SUM")].parse().unwrap();
            assert!((found.sums[0] - sum).abs() <= 1e-5 * sum.abs(), "{} {sum}", found.sums[0]);
        }
        assert_eq!(reference.rows.len(), 2_504);
    }
}
