//! The scan over the 550 people of the 1000 Genomes Project: over four sites as over one, bit for bit, and as PLINK has it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use histone_enclave::method::{HostedMethod, LocalStep, LocalTraining};
use histone_enclave::reading::rows_of;
use histone_genome::assembly::Assembly;
use histone_genome::cohort::Cohort;
use histone_genome::panel::{HEADING, Panel};
use histone_genome::table::{Column, Kind as Kinds, Table};
use histone_genome::vcf::{self, bgzf};
use histone_program_sdk::config::{Config, Feature, Kind, Least, Missing, Outcome};
use histone_program_sdk::method::{Ask, Done, Next};

use histone_enclave::program::Limits;

use crate::support::{artifact, load};

mod cases;

const PEOPLE: usize = 60;

fn config(panel: [u8; 32], variants: u32, least: Least) -> Config {
    let feature = |name: &str, kind| Feature { name: name.into(), kind, zero_is_missing: false };
    let levels = vec!["female".into(), "male".into()];
    let panel: String = panel.iter().map(|byte| format!("{byte:02x}")).collect();
    Config {
        features: vec![
            feature("sex", Kind::Category { levels }),
            feature("genotypes", Kind::Genotypes { panel, variants }),
        ],
        outcome: Outcome::Number { name: "trait".into(), low: -6.0, high: 6.0 },
        missing: Missing::Drop {},
        holdout: 0.0,
        least,
        values: vec![],
    }
}

/// Sex and trait of people, with their calls.
fn table(people: &[(bool, f64)], panel: [u8; 32], variants: u32, words: Vec<u64>) -> Table {
    let sex = Kinds::Category(vec!["female".into(), "male".into()]);
    let columns = vec![Column { name: "sex".into(), kind: sex }, Column::number("trait")];
    let values = people.iter().flat_map(|&(male, value)| [f64::from(u8::from(male)), value]).collect();
    Table::new(columns, values).unwrap().with_genotypes(1, "genotypes", (panel, variants), words).unwrap()
}

fn trained(method: &HostedMethod, config: &Config, tables: &[Table]) -> Done {
    method.manifest().takes(config).unwrap();
    let sites: Vec<Vec<Arc<[u8]>>> = tables.iter().map(|table| rows_of(table, config).unwrap()).collect();
    let mut training = LocalTraining::new(method, config).unwrap();
    loop {
        if let LocalStep::Done(done) = training.step(&sites).unwrap() {
            return *done;
        }
    }
}

/// People that look drawn: 70 variants, of which the fourth moves the trait and the last is called in nobody.
fn made(site: usize, people: usize) -> Table {
    let call = |person: usize, variant: usize| match (variant, (person * 31 + variant * 17 + site * 7) % 100)
    {
        (69, _) => 3,
        (_, 0..2) if variant.is_multiple_of(2) => 3,
        (68, _) => 0,
        (_, 0..30) => 1,
        (_, 30..37) => 2,
        _ => 0,
    };
    let row = |person: usize| -> Vec<u64> {
        let word =
            |from: usize| (from..(from + 32).min(70)).rev().fold(0, |word, v| word << 2 | call(person, v));
        [0, 32, 64].map(word).into()
    };
    let value = |person: usize| {
        let noise = ((person * 7919 + site * 104_729) % 1000) as f64 / 500.0 - 1.0;
        noise + 0.8 * [0, 1, 2, 0][call(person, 3) as usize] as f64
    };
    let rows: Vec<(bool, f64)> = (0..people).map(|person| (person % 3 == 0, value(person))).collect();
    table(&rows, [9; 32], 70, (0..people).flat_map(row).collect())
}

fn same_bits(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

#[test]
fn sites_together_are_people_together() {
    let method = HostedMethod::new(load(&artifact("scan"), Limits::METHOD)).unwrap();
    let config = config([9; 32], 70, Least::default());
    let sites = [made(0, PEOPLE), made(1, 37), made(2, 41)];
    let federated = trained(&method, &config, &sites);
    let rows =
        sites.iter().flat_map(|t| (0..t.rows()).map(|i| (t.row(i).unwrap()[0] == 1.0, t.row(i).unwrap()[2])));
    let words = sites.iter().flat_map(|t| (0..t.rows()).flat_map(|i| t.calls(i).to_vec())).collect();
    let pooled = trained(&method, &config, &[table(&rows.collect::<Vec<_>>(), [9; 32], 70, words)]);
    for array in ["people", "frequency", "estimate", "standard error", "p"] {
        let (of_sites, of_all) = (federated.model.array(array), pooled.model.array(array));
        assert!(of_sites.len() == 70 && same_bits(of_sites, of_all), "{array}");
    }
    // Least squares by hand, of the trait on intercept, sex and the fourth variant.
    let (mut xx, mut xy) = ([[0.0; 3]; 3], [0.0; 3]);
    for table in &sites {
        for person in 0..table.rows() {
            let call = table.calls(person)[0] >> 6 & 3;
            if call == 3 {
                continue;
            }
            let row = table.row(person).unwrap();
            let x = [1.0, row[0], call as f64];
            (0..3).for_each(|i| {
                xy[i] += x[i] * row[2];
                (0..3).for_each(|j| xx[i][j] += x[i] * x[j]);
            });
        }
    }
    for i in 0..3 {
        for j in i + 1..3 {
            let f = xx[j][i] / xx[i][i];
            (0..3).for_each(|k| xx[j][k] -= f * xx[i][k]);
            xy[j] -= f * xy[i];
        }
    }
    let expected = xy[2] / xx[2][2];
    let estimate = federated.model.array("estimate")[3];
    // Covariates and outcome are in steps of 2^-22 of half of their ranges.
    assert!((estimate / expected - 1.0).abs() < 1e-5 && estimate > 0.6, "{estimate} {expected}");
    // Nobody has the one, nobody is called at the other.
    assert!(federated.model.array("p")[68].is_nan() && federated.model.array("people")[69].is_nan());
}

/// Where everybody sees sums, a site says nothing of a variant that tells of too few of its people; the sums are those without it.
#[test]
fn groups_that_are_too_small_are_left_out() {
    let method = HostedMethod::new(load(&artifact("scan"), Limits::METHOD)).unwrap();
    let config = config([9; 32], 70, Least { site: 5, sum: 5 });
    let sites = [made(0, 160), made(1, 90)];
    let blocks: Vec<Vec<Arc<[u8]>>> = sites.iter().map(|table| rows_of(table, &config).unwrap()).collect();
    let ask = first_question(&method, &config);
    let (mut left_out, mut told) = (0, 0);
    for (table, blocks) in sites.iter().zip(&blocks) {
        let numbers = method.site(&ask, blocks).unwrap();
        // Intercept, sex, outcome: 6 products of all, in halves; of each variant 3 products, the square, whether it is given, and 6 products of
        // who has no call.
        let (all, rest) = numbers.split_at(12);
        for (variant, of) in rest.chunks_exact(17).enumerate() {
            // People by sex and call, and copies by sex.
            let (mut people, mut copies) = ([[0_u64; 4]; 2], [0_u64; 2]);
            for i in 0..table.rows() {
                let (sex, call) = (
                    table.row(i).unwrap()[0] as usize,
                    table.calls(i)[variant / 32] >> (2 * (variant % 32)) & 3,
                );
                people[sex][call as usize] += 1;
                copies[sex] += if call < 3 { call } else { 0 };
            }
            let by_call = [0, 1, 2, 3].map(|call| people[0][call] + people[1][call]);
            let called: u64 = by_call[..3].iter().sum();
            let rare = called - by_call[..3].iter().max().unwrap();
            let few = |n: u64| (1..5).contains(&n);
            let called_of = |sex: usize| people[sex][..3].iter().sum::<u64>();
            // Copies of either allele are of half as many people at the least.
            let few_copies = |sex: usize| {
                [copies[sex], 2 * called_of(sex) - copies[sex]].into_iter().any(|n| (1..10).contains(&n))
            };
            let cells = (0..2).any(|sex| few(people[sex][3]) || few(called_of(sex)) || few_copies(sex));
            if rare < 5 || few(by_call[3]) || cells {
                left_out += 1;
                assert!(of[..5].iter().all(|v| *v == 0.0) && of[5..] == *all, "{variant}");
            } else {
                told += 1;
                let (sum, squares) = (by_call[1] + 2 * by_call[2], by_call[1] + 4 * by_call[2]);
                assert_eq!(
                    [of[0], of[3], of[4], of[5]],
                    [sum, squares, 1, by_call[3]].map(|n| n as f64),
                    "{variant}"
                );
            }
        }
    }
    assert!(left_out > 10 && told > 10, "{left_out} {told}");
}

fn first_question(method: &HostedMethod, config: &Config) -> Ask {
    let state = method.begin(config).unwrap();
    let Next::Ask { ask } = method.next(config, &state, 2).unwrap() else { panic!() };
    ask
}

/// Somebody whom a range or a column sets apart from all others would be told of by every sum with that column.
#[test]
fn nobody_is_set_apart_by_a_covariate() {
    let method = HostedMethod::new(load(&artifact("scan"), Limits::METHOD)).unwrap();
    let with = |least, age: &dyn Fn(usize) -> f64, range: (f64, f64)| {
        let plain = made(0, 100);
        let columns = vec![Column::number("age"), Column::number("trait")];
        let values = (0..100).flat_map(|i| [age(i), plain.row(i).unwrap()[2]]).collect();
        let words = (0..100).flat_map(|i| plain.calls(i).to_vec()).collect();
        let table = Table::new(columns, values)
            .unwrap()
            .with_genotypes(1, "genotypes", ([9; 32], 70), words)
            .unwrap();
        let mut config = config([9; 32], 70, Least { site: least, sum: 5 });
        let kind = Kind::Number { low: range.0, high: range.1 };
        config.features[0] = Feature { name: "age".into(), kind, zero_is_missing: false };
        method.site(&first_question(&method, &config), &rows_of(&table, &config).unwrap()).unwrap()
    };
    let says_nothing = |numbers: Vec<f64>| numbers.iter().all(|v| *v == 0.0);
    let spread = |i: usize| 20.0 + i as f64 / 2.0;
    assert!(!says_nothing(with(5, &spread, (0.0, 100.0))));
    // The oldest alone is rounded to another number than all others.
    assert!(says_nothing(with(
        5,
        &|i| if i == 7 { 93.0 } else { spread(i).min(60.0) },
        (-838_860_800.0, 838_860_760.0)
    )));
    assert!(says_nothing(with(5, &|i| f64::from(u8::from(i == 7)), (0.0, 1.0))));
    // Where sums are sealed it is the sum over sites that counts.
    assert!(!says_nothing(with(0, &|i| f64::from(u8::from(i == 7)), (0.0, 1.0))));
}

/// In the model, which everybody may get: not what few people have other than the most, and not what one site has alone.
#[test]
fn a_model_tells_of_no_few() {
    let method = HostedMethod::new(load(&artifact("scan"), Limits::METHOD)).unwrap();
    let calls = |site: usize, person: usize| -> [u64; 6] {
        [
            // One carrier in all; nobody; all but three are heterozygous; only the first site has calls; two sites; five carriers.
            u64::from((site, person) == (0, 3)),
            0,
            if site == 1 && person < 3 { 0 } else { 1 },
            if site == 0 { (person % 3) as u64 } else { 3 },
            if site < 2 { (person % 3) as u64 } else { 3 },
            u64::from(site == 2 && person < 5),
        ]
    };
    let at = |site: usize| {
        let people: Vec<(bool, f64)> =
            (0..40).map(|i| (i % 2 == 0, ((i * 37 + site * 11) % 50) as f64 / 10.0 - 2.0)).collect();
        let words =
            (0..40).map(|i| calls(site, i).iter().rev().fold(0, |word, call| word << 2 | call)).collect();
        table(&people, [4; 32], 6, words)
    };
    let config = config([4; 32], 6, Least { site: 0, sum: 5 });
    let done = trained(&method, &config, &[at(0), at(1), at(2)]);
    let told: Vec<bool> = done.model.array("people").iter().map(|n| !n.is_nan()).collect();
    assert_eq!(told, [false, false, false, false, true, true]);
    for array in &done.model.arrays {
        assert!(array.values.iter().zip(&told).all(|(v, told)| *told || v.is_nan()), "{}", array.name);
    }
}

#[test]
fn what_is_no_scan_is_refused() {
    let method = HostedMethod::new(load(&artifact("scan"), Limits::METHOD)).unwrap();
    let good = config([9; 32], 70, Least::default());
    let refused = |config: Config, why: &str| {
        let told = method.agenda(&config).unwrap_err().to_string();
        assert!(told.contains(why), "{told}");
    };
    refused(
        Config { features: good.features[..1].to_vec(), ..good.clone() },
        "takes one column of genotypes",
    );
    refused(Config { missing: Missing::Mean {}, ..good.clone() }, "a scan fills nothing in");
    refused(config([9; 32], 0, Least::default()), "the panel has no variant");
    let until = Outcome::EventTime { time: "days".into(), event: "trait".into(), longest: 9.0 };
    refused(Config { outcome: until, ..good.clone() }, "a scan is of a number or of a yes/no outcome");
    // Of another panel.
    assert!(
        rows_of(&made(0, PEOPLE), &config([8; 32], 70, Least::default()))
            .unwrap_err()
            .contains("another panel")
    );
    // A question beyond what the rows have gives no answer.
    let ask = first_question(&method, &config([9; 32], 90, Least::default()));
    assert!(method.site(&ask, &rows_of(&made(0, PEOPLE), &good).unwrap()).is_err());
}

/// The folder of genotypes. `None`, with the reason printed, only when nobody said where the data are and they are not there.
fn folder() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let root = match std::env::var_os("HISTONE_DATA") {
        Some(root) => PathBuf::from(root),
        None if beside.exists() => beside,
        None => {
            eprintln!("SKIPPED: HISTONE_DATA is not set and ../shared/data is not there");
            return None;
        }
    };
    Some(root.join("genotypes"))
}

fn text(file: &Path) -> String {
    let open = File::open(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut text = String::new();
    bgzf::Reader::new(open, bgzf::Limits::default()).read_to_string(&mut text).unwrap();
    text
}

/// Groups of populations, as sites.
const SITES: [&[&str]; 4] = [
    &["ASW", "LWK", "YRI"],
    &["CLM", "MXL", "PUR"],
    &["CHB", "CHS", "JPT"],
    &["CEU", "FIN", "GBR", "IBS", "TSI"],
];

/// The 550 people with their genotypes, and what PLINK found.
pub(crate) struct Genomes {
    pub samples: Vec<String>,
    traits: BTreeMap<String, Vec<String>>,
    labels: BTreeMap<String, Vec<String>>,
    words: Vec<u64>,
    /// Variants of the panel, and those of them that are left out because their strand is not known.
    pub variants: usize,
    pub ambiguous: usize,
}

impl Genomes {
    fn open(folder: &Path) -> Cohort<impl std::io::BufRead + use<>> {
        let file = File::open(folder.join("kg_phase1_chr22_550.vcf.gz")).unwrap();
        let text = BufReader::new(bgzf::Reader::new(file, bgzf::Limits::default()));
        Cohort::vcf("kg", text, &vcf::Limits::default()).unwrap()
    }

    /// The rows of a table of PLINK's: without the two symbolic alleles, and a deletion of more letters than a variant may have.
    pub fn reference(folder: &Path, name: &str) -> Vec<Vec<String>> {
        let table = text(&folder.join("reference").join(name));
        let row = |line: &str| line.split('\t').map(String::from).collect::<Vec<_>>();
        let rows: Vec<Vec<String>> = table.lines().skip(1).map(row).collect();
        assert_eq!(rows.len(), 19_773);
        rows.into_iter().filter(|row| !row[4].starts_with('<') && row[3].len() < 1 << 16).collect()
    }

    pub fn read(rows: &[Vec<String>]) -> Self {
        let folder = folder().unwrap();
        let mut panel = format!("{HEADING}\n");
        for row in rows {
            panel.push_str(&format!(
                "{}\t{}\t{}\t{}\t{}\t{}\n",
                row[0], row[1], row[3], row[4], row[6], row[2]
            ));
        }
        let panel = Panel::read("panel", panel.as_bytes(), Assembly::Grch37).unwrap();
        let mut cohort = Self::open(&folder);
        let (words, report) = panel.align(&mut cohort).unwrap();
        let variants = panel.variants().len();
        assert_eq!((variants, report.found + report.ambiguous, report.turned), (19_770, 19_770, 0));
        let tsv = |file: &str| -> BTreeMap<String, Vec<String>> {
            let row = |line: &str| line.split('\t').map(String::from).collect::<Vec<_>>();
            text(&folder.join(file)).lines().skip(1).map(|line| (row(line)[0].clone(), row(line))).collect()
        };
        let (traits, labels) = (tsv("kg_phase1_550.pheno.tsv"), tsv("kg_phase1_550.labels.tsv"));
        let (samples, ambiguous) = (cohort.samples().to_vec(), report.ambiguous);
        Self { samples, traits, labels, words, variants, ambiguous }
    }

    /// Whether somebody is male, and a column of the traits.
    pub fn person(&self, name: &str, column: usize) -> (bool, f64) {
        let of = &self.traits[name];
        (of[1] == "1", of[column].parse().unwrap())
    }

    /// The table of some populations, or of all, with a column of the traits.
    pub fn site(&self, populations: Option<&[&str]>, column: usize) -> Table {
        let width = self.variants.div_ceil(32);
        let (mut people, mut calls) = (vec![], vec![]);
        for (i, name) in self.samples.iter().enumerate() {
            if populations.is_none_or(|p| p.contains(&self.labels[name][2].as_str())) {
                people.push(self.person(name, column));
                calls.extend_from_slice(&self.words[i * width..(i + 1) * width]);
            }
        }
        table(&people, [1; 32], self.variants as u32, calls)
    }

    /// The four groups.
    pub fn sites(&self, column: usize) -> Vec<Table> {
        let sites: Vec<Table> =
            SITES.iter().map(|populations| self.site(Some(populations), column)).collect();
        assert_eq!(sites.iter().map(Table::rows).sum::<usize>(), 550);
        sites
    }
}

#[test]
fn four_groups_of_the_1000_genomes() {
    let Some(folder) = folder() else { return };
    let rows = Genomes::reference(&folder, "kg_phase1_550.gwas_linear.SIMULATED_QT.tsv.gz");
    let genomes = Genomes::read(&rows);
    let method = HostedMethod::new(load(&artifact("scan"), Limits::METHOD)).unwrap();
    let config = config([1; 32], genomes.variants as u32, Least::default());
    let federated = trained(&method, &config, &genomes.sites(2));
    let pooled = trained(&method, &config, &[genomes.site(None, 2)]);
    for (federated, pooled) in federated.model.arrays.iter().zip(&pooled.model.arrays) {
        assert!(same_bits(&federated.values, &pooled.values), "{}", federated.name);
    }
    let array = |name: &str| federated.model.array(name);
    let (mut tested, mut hits) = (0, 0);
    for (i, row) in rows.iter().enumerate() {
        let numbers = [&row[8], &row[9], &row[11]].map(|text| text.parse::<f64>().unwrap_or(f64::NAN));
        let found = [array("estimate")[i], array("standard error")[i], array("p")[i]];
        if array("people")[i].is_nan() {
            // Left out: either strand.
            continue;
        }
        assert_eq!(found[2].is_nan(), numbers[2].is_nan(), "{row:?}");
        if found[2].is_nan() {
            continue;
        }
        tested += 1;
        hits += usize::from(found[2] < 5e-8);
        for ((found, said), most) in found.iter().zip(numbers).zip([1e-5, 1e-5, 1e-3]) {
            // What is near 0 is compared with its standard error.
            let off = (found - said).abs() / said.abs().max(if most < 1e-3 { numbers[1] } else { 0.0 });
            assert!(off < most, "{row:?}: {found} {said}");
        }
    }
    println!("{tested} variants tested, {hits} below 5e-8, {} left out", genomes.ambiguous);
    assert!(tested > 16_900 && hits == 8, "{tested} {hits}");
}
