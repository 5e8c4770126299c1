//! Four groups of the 550 people, scanned apart and added up, beside the pooled scan: how near meta-analysis comes.

use std::collections::HashMap;
use std::fmt::Write;

use histone_genome::association::{Design, Linear};
use histone_genome::meta::{Combined, Meta, Method, Strands, Study};
use histone_genome::text::TextLimits;

use crate::{data, panel};

const GROUPS: [&[&str]; 4] = [
    &["ASW", "LWK", "YRI"],
    &["CLM", "MXL", "PUR"],
    &["CHB", "CHS", "JPT"],
    &["CEU", "FIN", "GBR", "IBS", "TSI"],
];

/// A table as `histone genome gwas` writes it, with all digits.
fn table(panel: &panel::Panel, phenotype: &[f64], covariates: &[Vec<f64>]) -> String {
    let scan = Linear::new(Design::new(phenotype, covariates).unwrap());
    let mut text = String::from("#CHROM\tPOS\tID\tREF\tALT\tALT_FREQ\tOBS_CT\tMODEL\tBETA\tSE\tSTAT\tP\n");
    let found = panel.genotypes.blocks().iter().flat_map(|block| scan.scan(block));
    for (site, found) in panel.sites.iter().zip(found) {
        write!(
            text,
            "{}\t{}\t{}\t{}\t{}\t",
            site.chromosome, site.position, site.ids, site.reference, site.alternative
        )
        .unwrap();
        match found {
            Ok(e) => {
                let (frequency, people) = (e.counts.frequency().unwrap(), e.counts.known());
                writeln!(text, "{frequency}\t{people}\tlinear\t{}\t{}\t{}\t{}", e.beta, e.se, e.t(), e.p())
                    .unwrap();
            }
            Err(_) => writeln!(text, "NA\t0\tnone\tNA\tNA\tNA\tNA").unwrap(),
        }
    }
    text
}

fn study(text: &str) -> Study {
    Study::read("t", text.as_bytes(), &TextLimits::default()).unwrap()
}

/// How far estimates are apart, in standard errors of the pooled scan, over variants that are in all groups and have a
/// frequency of 5 % or more: how many, the median, the 99th percentile, the largest. Then how many have p below 5e-8 pooled,
/// and added up.
fn distance(pooled: &Study, found: &[Combined]) -> (usize, [f64; 3], [usize; 2]) {
    let found: HashMap<_, _> = found.iter().map(|v| (&v.variant, v)).collect();
    let mut distances = vec![];
    let mut significant = [0, 0];
    for row in pooled.rows().iter().filter(|row| row.frequency.is_some_and(|f| (0.05..=0.95).contains(&f))) {
        let Some(meta) = found.get(&row.variant).filter(|meta| meta.studies() == 4) else { continue };
        distances.push((meta.effect - row.effect).abs() / row.error);
        significant[0] += usize::from(row.p < 5e-8);
        significant[1] += usize::from(meta.p() < 5e-8);
    }
    distances.sort_by(f64::total_cmp);
    let count = distances.len();
    (count, [count / 2, count * 99 / 100, count - 1].map(|at| distances[at]), significant)
}

#[test]
fn four_groups_of_550_people() {
    let Some(root) = data::root() else { return };
    let panel = panel::of_550(&root);
    let labels = String::from_utf8(data::bytes(&root.join("genotypes/kg_phase1_550.labels.tsv"))).unwrap();
    let group: HashMap<&str, usize> = labels
        .lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            (cells[0], GROUPS.iter().position(|all| all.contains(&cells[2])).unwrap())
        })
        .collect();
    let group: Vec<usize> = panel.samples.iter().map(|name| group[name.as_str()]).collect();
    let (phenotype, sex) = (panel::phenotype(&root, "SIMULATED_QT"), panel::phenotype(&root, "SEX"));
    let mut by_variance = Meta::new(Method::InverseVariance, Strands::Same);
    let mut by_size = Meta::new(Method::SampleSize, Strands::Same);
    for number in 0..4 {
        let own: Vec<f64> =
            phenotype.iter().zip(&group).map(|(y, g)| if *g == number { *y } else { f64::NAN }).collect();
        let study = study(&table(panel, &own, std::slice::from_ref(&sex)));
        by_variance.add(&study, None);
        by_size.add(&study, None);
    }
    let (by_variance, by_size) = (by_variance.finish(), by_size.finish());
    let pooled = study(&table(panel, &phenotype, std::slice::from_ref(&sex)));
    let indicator = |number| group.iter().map(|g| f64::from(u8::from(*g == number))).collect::<Vec<_>>();
    let adjusted = study(&table(panel, &phenotype, &[sex, indicator(0), indicator(1), indicator(2)]));
    let differ = by_variance.iter().filter(|v| v.heterogeneity_p().is_some_and(|p| p < 1e-3)).count();
    assert_eq!((pooled.rows().len(), by_variance.len(), differ), (17_052, 17_052, 10));
    // Four groups know nothing of the difference between them: a pooled scan that is told of it is the nearer one.
    for (pooled, apart, significant) in
        [(&pooled, [0.343_1, 1.632_7, 2.848_7], [8, 11]), (&adjusted, [0.094_2, 0.376_7, 0.941_5], [9, 11])]
    {
        let (count, found, both) = distance(pooled, &by_variance);
        assert_eq!((count, both), (3_538, significant));
        for (found, expected) in found.iter().zip(apart) {
            assert!((found - expected).abs() < 1e-4, "{found} is not {expected}");
        }
    }
    assert_eq!(by_size.iter().filter(|v| v.p() < 5e-8 && v.studies() == 4).count(), 9);
    let top = by_variance.iter().min_by(|a, b| a.p().total_cmp(&b.p())).unwrap();
    assert_eq!((top.label.text(), top.directions.as_str()), (Some("rs5999907"), "++++"));
}
