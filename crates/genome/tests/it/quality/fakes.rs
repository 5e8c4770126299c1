//! Batches of real people, and the fakes that are made of them. All deterministic by seed.

use std::collections::HashMap;
use std::path::Path;

use histone_genome::assembly::Assembly;
use histone_genome::genotypes::{Call, Genotypes};
use histone_genome::plink::Sex;
use histone_genome::quality::{Check, Panel, Policy, Report};
use histone_genome::simulate::Plan;
use histone_genome::variant::Variant;

use crate::data;

/// SplitMix64: the tests' own.
pub struct Random(pub u64);

impl Random {
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.word() % end as u64) as usize
    }

    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            values.swap(last, self.below(last + 1));
        }
    }
}

/// The groups of populations, as in the notes on the phenotypes of these people.
pub const GROUPS: [(&str, &[&str]); 4] = [
    ("AFR", &["ASW", "LWK", "YRI"]),
    ("AMR", &["CLM", "MXL", "PUR"]),
    ("EAS", &["CHB", "CHS", "JPT"]),
    ("EUR", &["CEU", "FIN", "GBR", "IBS", "TSI"]),
];

/// The 550 people with their haplotypes: `haplotypes[variant][2 person + h]`.
pub struct Real {
    pub variants: Vec<Option<Variant>>,
    pub haplotypes: Vec<Vec<u8>>,
    pub groups: Vec<usize>,
    /// Every second person of each population.
    pub half: Vec<usize>,
}

impl Real {
    /// All variants, or those that are common among the 550.
    pub fn read(root: &Path, common_only: bool) -> Self {
        let labels = data::bytes(&root.join("genotypes/kg_phase1_550.labels.tsv"));
        let populations: HashMap<String, String> = String::from_utf8(labels)
            .unwrap()
            .lines()
            .skip(1)
            .map(|line| {
                let cells: Vec<&str> = line.split('\t').collect();
                (cells[0].to_owned(), cells[2].to_owned())
            })
            .collect();
        let text = String::from_utf8(data::text(&root.join("genotypes/kg_phase1_chr22_550.vcf.gz"))).unwrap();
        let mut real = Self { variants: vec![], haplotypes: vec![], groups: vec![], half: vec![] };
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for line in text.lines().filter(|line| !line.starts_with("##")) {
            let cells: Vec<&str> = line.split('\t').collect();
            if line.starts_with('#') {
                for sample in &cells[9..] {
                    let population = populations[*sample].as_str();
                    let group = GROUPS.iter().position(|(_, all)| all.contains(&population)).unwrap();
                    real.groups.push(group);
                    let count = seen.entry(GROUPS[group].1.iter().find(|p| **p == population).unwrap());
                    let count = count.or_default();
                    real.half.push(*count % 2);
                    *count += 1;
                }
                continue;
            }
            let alleles = cells[9..].iter().flat_map(|cell| [cell.as_bytes()[0], cell.as_bytes()[2]]);
            let alleles: Vec<u8> = alleles.map(|c| c - b'0').collect();
            let copies: usize = alleles.iter().map(|allele| usize::from(*allele)).sum();
            if common_only && !(55..=1_045).contains(&copies) {
                continue;
            }
            let (chromosome, position) = (cells[0].parse().unwrap(), cells[1].parse().unwrap());
            real.variants.push(Variant::new(Assembly::Grch37, chromosome, position, cells[3], cells[4]).ok());
            real.haplotypes.push(alleles);
        }
        real
    }

    pub fn people(&self, half: usize) -> Vec<usize> {
        (0..self.half.len()).filter(|person| self.half[*person] == half).collect()
    }

    fn call(&self, variant: usize, person: usize) -> u8 {
        self.haplotypes[variant][2 * person] + self.haplotypes[variant][2 * person + 1]
    }

    /// The panel of some people, by group.
    pub fn panel(&self, people: &[usize]) -> Panel {
        let calls = self.calls(people);
        let mut genotypes = Genotypes::new(people.len());
        let named = self.variants.iter().zip(&calls).filter_map(|(v, row)| Some((v.clone()?, row)));
        let mut variants = vec![];
        for (variant, row) in named {
            genotypes
                .push_calls(&row.iter().map(|c| Call::from_code(u64::from(*c))).collect::<Vec<_>>())
                .unwrap();
            variants.push(variant);
        }
        let groups: Vec<usize> = people.iter().map(|person| self.groups[*person]).collect();
        let names = GROUPS.iter().map(|(name, _)| (*name).to_owned()).collect();
        Panel::new(genotypes, variants, names, &groups).unwrap()
    }

    /// The calls of some people, variant by variant.
    pub fn calls(&self, people: &[usize]) -> Vec<Vec<u8>> {
        let row = |variant| people.iter().map(|person| self.call(variant, *person)).collect();
        (0..self.haplotypes.len()).map(row).collect()
    }

    /// So many people of one or several groups of one half, none twice.
    pub fn batch(&self, half: usize, size: usize, random: &mut Random) -> Vec<usize> {
        loop {
            let groups = 1 + random.below(15);
            let mut people = self.people(half);
            people.retain(|person| groups >> self.groups[*person] & 1 == 1);
            if people.len() >= size {
                random.shuffle(&mut people);
                people.truncate(size);
                return people;
            }
        }
    }

    pub fn check(&self, panel: Option<&Panel>, calls: &[Vec<u8>], policy: &Policy) -> Report {
        let samples = calls[0].len();
        let mut genotypes = Genotypes::new(samples);
        for row in calls {
            let row: Vec<Call> = row.iter().map(|c| Call::from_code(u64::from(*c))).collect();
            genotypes.push_calls(&row).unwrap();
        }
        let mut check = Check::new(samples, &[] as &[Sex], vec![], panel);
        for (block, variants) in genotypes.blocks().iter().zip(self.variants.chunks(64)) {
            check.add(block, variants).unwrap();
        }
        check.finish(policy)
    }
}

/// The ways to make a batch up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Real,
    Uniform,
    Independent,
    Jittered,
    Shuffled,
    PanelCopies,
    OthersCopies,
    Contaminated,
    Mosaic20,
    Mosaic100,
    Simulated,
}

impl Kind {
    pub const ALL: [Self; 11] = [
        Self::Real,
        Self::Uniform,
        Self::Independent,
        Self::Jittered,
        Self::Shuffled,
        Self::PanelCopies,
        Self::OthersCopies,
        Self::Contaminated,
        Self::Mosaic20,
        Self::Mosaic100,
        Self::Simulated,
    ];

    /// A batch of `size` people of `half`, or one made of them, or of the people of the panel, which is the other half.
    pub fn make(self, real: &Real, half: usize, size: usize, random: &mut Random) -> Vec<Vec<u8>> {
        let people = real.batch(half, size, random);
        let mut calls = real.calls(&people);
        // Those of the same group whom a forger knows, for each person of the batch.
        let groups: Vec<usize> = people.iter().map(|person| real.groups[*person]).collect();
        let known: Vec<Vec<usize>> = (0..GROUPS.len())
            .map(|group| {
                let mut known = real.people(1 - half);
                known.retain(|person| real.groups[*person] == group);
                known
            })
            .collect();
        match self {
            Self::Real => {}
            Self::Uniform => each(&mut calls, |_| random.below(3) as u8),
            Self::Independent | Self::Jittered => {
                for (variant, row) in calls.iter_mut().enumerate() {
                    let jitter = match self {
                        Self::Jittered => 0.1 * 3.0_f64.sqrt() * (random.unit() - 0.5),
                        _ => 0.0,
                    };
                    let frequencies: Vec<f64> = known
                        .iter()
                        .map(|known| {
                            let copies = known.iter().map(|person| f64::from(real.call(variant, *person)));
                            copies.sum::<f64>() / (2 * known.len()) as f64 + jitter
                        })
                        .collect();
                    for (call, group) in row.iter_mut().zip(&groups) {
                        let mut allele = || u8::from(random.unit() < frequencies[*group]);
                        *call = allele() + allele();
                    }
                }
            }
            Self::Shuffled => calls.iter_mut().for_each(|row| random.shuffle(row)),
            Self::PanelCopies => {
                let copied: Vec<usize> =
                    groups.iter().map(|g| known[*g][random.below(known[*g].len())]).collect();
                calls = real.calls(&copied);
                noise(&mut calls, random);
            }
            Self::OthersCopies => {
                let copied: Vec<usize> = (0..size).map(|index| people[index / 4]).collect();
                calls = real.calls(&copied);
                noise(&mut calls, random);
            }
            Self::Contaminated => {
                for row in &mut calls {
                    let clean = row.clone();
                    for (person, call) in row.iter_mut().enumerate() {
                        if clean[(person + 1) % size] != *call && random.unit() < 0.5 {
                            *call = 1;
                        }
                    }
                }
            }
            Self::Mosaic20 | Self::Mosaic100 => {
                let block = if self == Self::Mosaic20 { 20 } else { 100 };
                for rows in calls.chunks_mut(block).zip(real.haplotypes.chunks(block)) {
                    let mut haplotype =
                        |group: usize| 2 * known[group][random.below(known[group].len())] + random.below(2);
                    let sources: Vec<[usize; 2]> =
                        groups.iter().map(|group| [haplotype(*group), haplotype(*group)]).collect();
                    for (row, alleles) in rows.0.iter_mut().zip(rows.1) {
                        for (call, [a, b]) in row.iter_mut().zip(&sources) {
                            *call = alleles[*a] + alleles[*b];
                        }
                    }
                }
            }
            Self::Simulated => {
                let variants = calls.len();
                let plan = Plan {
                    seed: random.word(),
                    populations: vec![size],
                    variants,
                    chromosomes: 1,
                    ..Plan::default()
                };
                let cohort = plan.simulate().unwrap();
                for (row, block) in calls.chunks_mut(64).zip(cohort.genotypes.blocks()) {
                    for (v, row) in row.iter_mut().enumerate() {
                        for (person, call) in row.iter_mut().enumerate() {
                            *call = block.call(v, person).unwrap() as u8;
                        }
                    }
                }
            }
        }
        calls
    }
}

fn each(calls: &mut [Vec<u8>], mut change: impl FnMut(u8) -> u8) {
    calls.iter_mut().flatten().for_each(|call| *call = change(*call));
}

fn noise(calls: &mut [Vec<u8>], random: &mut Random) {
    each(calls, |call| if random.below(100) == 0 { random.below(3) as u8 } else { call });
}
