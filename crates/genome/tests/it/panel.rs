//! The panel of 550 people and its phenotypes.

use std::path::Path;
use std::sync::OnceLock;

use histone_genome::cohort::Cohort;
use histone_genome::genotypes::Genotypes;
use histone_genome::variant::Site;
use histone_genome::vcf;

use crate::data;

pub struct Panel {
    pub samples: Vec<String>,
    pub ids: Vec<String>,
    pub alleles: Vec<[String; 2]>,
    pub sites: Vec<Site>,
    pub genotypes: Genotypes,
}

/// The main panel, read once: that takes most of the time of its tests.
pub fn of_550(root: &Path) -> &'static Panel {
    static PANEL: OnceLock<Panel> = OnceLock::new();
    PANEL.get_or_init(|| read(root, "kg_phase1_chr22_550.vcf.gz"))
}

/// A panel of which every record has one alternative allele.
pub fn read(root: &Path, file: &str) -> Panel {
    let text = data::text(&root.join("genotypes").join(file));
    let mut cohort = Cohort::vcf(file, text.as_slice(), &vcf::Limits::default()).unwrap();
    let samples = cohort.samples().to_vec();
    let mut panel = Panel {
        ids: vec![],
        alleles: vec![],
        sites: vec![],
        genotypes: Genotypes::new(samples.len()),
        samples,
    };
    while let Some((block, sites)) = cohort.read().unwrap() {
        panel.ids.extend(sites.iter().map(|site| site.ids.clone()));
        panel.alleles.extend(sites.iter().map(|site| [site.reference.clone(), site.alternative.clone()]));
        panel.sites.extend_from_slice(sites);
        for row in block.rows() {
            panel.genotypes.push_row(row).unwrap();
        }
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
