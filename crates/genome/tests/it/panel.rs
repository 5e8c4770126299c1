//! The panel of 550 people, by a reader that knows this one file: to be replaced by `genome::vcf`.

use std::path::Path;
use std::sync::OnceLock;

use histone_genome::genotypes::{Call, Genotypes};

use crate::data;

pub struct Panel {
    pub samples: Vec<String>,
    pub ids: Vec<String>,
    pub alleles: Vec<[String; 2]>,
    pub genotypes: Genotypes,
}

/// The main panel, read once: that takes most of the time of its tests.
pub fn of_550(root: &Path) -> &'static Panel {
    static PANEL: OnceLock<Panel> = OnceLock::new();
    PANEL.get_or_init(|| read(root, "kg_phase1_chr22_550.vcf.gz"))
}

/// Diploid calls `0|1` and nothing else behind the ninth column.
pub fn read(root: &Path, file: &str) -> Panel {
    let text = data::unzipped(&root.join("genotypes").join(file));
    let mut panel = Panel { samples: vec![], ids: vec![], alleles: vec![], genotypes: Genotypes::new(0) };
    for line in text.lines().filter(|line| !line.starts_with("##")) {
        let mut fields = line.split('\t');
        let id = fields.nth(2).unwrap();
        let alleles = [0, 1].map(|_| fields.next().unwrap().to_owned());
        let calls = fields.skip(4);
        if line.starts_with('#') {
            panel.samples = calls.map(str::to_owned).collect();
            panel.genotypes = Genotypes::new(panel.samples.len());
            continue;
        }
        panel.ids.push(id.to_owned());
        panel.alleles.push(alleles);
        let calls: Vec<Call> = calls
            .map(|call| match call.as_bytes() {
                [b'.', ..] => Call::Missing,
                [a, _, b, ..] => Call::from_code(u64::from(a - b'0' + (b - b'0'))),
                other => panic!("a call of {} bytes", other.len()),
            })
            .collect();
        panel.genotypes.push_calls(&calls).unwrap();
    }
    panel
}

/// A column of the phenotype file, in the order of the panel.
pub fn phenotype(root: &Path, name: &str) -> Vec<f64> {
    let text = String::from_utf8(data::bytes(&root.join("genotypes/kg_phase1_550.pheno.tsv"))).unwrap();
    let mut lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let column = lines.next().unwrap().iter().position(|n| n.trim_start_matches('#') == name).unwrap();
    lines.map(|cells| cells[column].parse().unwrap()).collect()
}
