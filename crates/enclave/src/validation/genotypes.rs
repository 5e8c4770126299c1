//! Quality control of the genotypes of a dataset.
//!
//! The committee is told what was found; whoever uploads them is told by one word that a review is due, whatever the reason: who may
//! upload again and again, and hears which measure failed, learns how to pass.

use histone_genome::genotypes::{BLOCK_VARIANTS, Block};
use histone_genome::panel::{Panel, UNLIKE};
use histone_genome::plink::Sex;
use histone_genome::quality::{self, Check, Finding, Policy};
use histone_genome::table::{Kind, Table};
use histone_program_sdk::genotypes::MAX_PEOPLE;
use histone_protocol::B256;
use histone_protocol::hash::blob_hash;
use histone_protocol::notice::{GenotypeFinding, GenotypeQuality, QualityVerdict};

use super::Public;
use crate::instance::EnclaveError;

/// What the uploader is told.
pub(super) const REVIEW_DUE: &str = "a review is due";

/// What quality control finds in the genotypes of a table, where it has any. None as well where they are too few for any measure.
pub(super) fn check(table: &Table, public: Public<'_>) -> Result<Option<GenotypeQuality>, EnclaveError> {
    let of = table.columns().iter().find_map(|column| match column.kind {
        Kind::Genotypes { panel, variants } => Some((B256::from(panel), variants)),
        _ => None,
    });
    let Some((name, variants)) = of else { return Ok(None) };
    if table.rows() > MAX_PEOPLE {
        return Err(EnclaveError::Request("it has more people than sums of genotypes take; divide it"));
    }
    let missing = EnclaveError::Request(
        "the panel of its genotypes is not in public storage, without which they cannot be checked",
    );
    let text = public(name).filter(|text| blob_hash(text) == name).ok_or(missing)?;
    let no_panel = |_| EnclaveError::Request("what its genotypes name as their panel is none");
    let panel = Panel::published("the panel", &text).map_err(no_panel)?;
    if panel.variants().len() != variants as usize {
        return Err(EnclaveError::Request("its genotypes are not of as many variants as their panel has"));
    }
    let report = report(table, &panel)?;
    let mut findings: Vec<GenotypeFinding> = report.findings().iter().map(finding).collect();
    findings.extend(against_panel(table, &panel));
    if findings.is_empty() {
        return Ok(None);
    }
    let worst = |found: &[GenotypeFinding]| found.iter().map(|f| f.verdict).max_by_key(|v| *v as u8);
    Ok(Some(GenotypeQuality { verdict: worst(&findings).unwrap_or(QualityVerdict::Review), findings }))
}

fn finding(of: &Finding) -> GenotypeFinding {
    let (measure, value) = (of.measure.name().into(), format!("{:.4}", of.value));
    GenotypeFinding { measure, value, verdict: verdict(of.verdict) }
}

/// Variants of which the panel must say a frequency, both alleles common, for these to be compared.
const LEAST_COMMON: usize = 100;

/// The share of the variants that the panel calls common which nobody has in both alleles here, or of which the frequency is more than
/// [`UNLIKE`] away. None where the panel has too few. Peoples of two continents have such a difference at one of ten variants or so; a
/// half and more has whoever leaves variants out of other measures by having no call, or one genotype for all.
fn against_panel(table: &Table, panel: &Panel) -> Option<GenotypeFinding> {
    let (mut compared, mut unlike) = (0_usize, 0_usize);
    for (place, of) in panel.variants().iter().enumerate() {
        let Some(said) = of.frequency.filter(|said| (0.1..=0.9).contains(said)) else { continue };
        let calls = table.calls_by_variant(place, place + 1);
        let (mut called, mut copies) = (0_u32, 0_u32);
        for person in 0..table.rows() {
            let call = calls.get(person / 4).map_or(3, |byte| byte >> (2 * (person % 4)) & 3);
            if call < 3 {
                called += 1;
                copies += u32::from(call);
            }
        }
        let here = f64::from(copies) / f64::from(2 * called.max(1));
        compared += 1;
        unlike += usize::from(copies == 0 || copies == 2 * called || (here - said).abs() > UNLIKE);
    }
    if compared < LEAST_COMMON {
        return None;
    }
    let share = unlike as f64 / compared as f64;
    let verdict = match share {
        share if share > 0.5 => QualityVerdict::Refuse,
        share if share > 0.2 => QualityVerdict::Review,
        _ => QualityVerdict::Pass,
    };
    Some(GenotypeFinding { measure: "panel-frequencies".into(), value: format!("{share:.4}"), verdict })
}

fn report(table: &Table, panel: &Panel) -> Result<quality::Report, EnclaveError> {
    let people = table.rows();
    let cannot = |_| EnclaveError::Request("its genotypes are of other people than its rows");
    let mut check = Check::new(people, &sexes(table), vec![], None);
    let mut block = Block::new(people);
    for (first, of_block) in (0..).step_by(BLOCK_VARIANTS).zip(panel.variants().chunks(BLOCK_VARIANTS)) {
        block.clear();
        let calls = table.calls_by_variant(first, first + of_block.len());
        for calls in calls.chunks_exact(people.div_ceil(4)) {
            block.push_row(&words(calls)).map_err(cannot)?;
        }
        let variants: Vec<_> = of_block.iter().map(|of| Some(of.variant().clone())).collect();
        check.add(&block, &variants).map_err(cannot)?;
    }
    Ok(check.finish(&Policy::of_chosen_variants()))
}

/// The calls of a variant, 32 in a word.
fn words(calls: &[u8]) -> Vec<u64> {
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    calls.chunks(8).map(word).collect()
}

/// The sexes of people, where a category tells them by the words that PLINK has for them.
fn sexes(table: &Table) -> Vec<Sex> {
    let sex = |level: &str| match level.to_lowercase().as_str() {
        "male" | "m" => Some(Sex::Male),
        "female" | "f" => Some(Sex::Female),
        _ => None,
    };
    let levels = table.columns().iter().enumerate().find_map(|(at, column)| match &column.kind {
        Kind::Category(levels) if column.name.eq_ignore_ascii_case("sex") => {
            Some((at, levels.iter().map(|level| sex(level)).collect::<Vec<_>>()))
        }
        _ => None,
    });
    let of = |row: usize| {
        let (at, levels) = levels.as_ref()?;
        let level = *table.row(row)?.get(*at)?;
        if level.is_nan() { None } else { levels.get(level as usize).copied().flatten() }
    };
    (0..table.rows()).map(|row| of(row).unwrap_or(Sex::Unknown)).collect()
}

fn verdict(of: quality::Verdict) -> QualityVerdict {
    match of {
        quality::Verdict::Pass => QualityVerdict::Pass,
        quality::Verdict::Review => QualityVerdict::Review,
        quality::Verdict::Refuse => QualityVerdict::Refuse,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashMap;

    use super::{B256, EnclaveError, GenotypeQuality, Panel, QualityVerdict, Table, blob_hash};
    use histone_genome::assembly::Assembly;
    use histone_genome::simulate::Plan;
    use histone_genome::table::Column;
    use histone_program_sdk::genotypes::MAX_PEOPLE;

    type Blobs = HashMap<B256, Vec<u8>>;

    fn check(table: &Table, blobs: &Blobs) -> Result<Option<GenotypeQuality>, EnclaveError> {
        super::check(table, &|hash| blobs.get(&hash).cloned())
    }

    /// SIMULATED people, and their panel; `change` is what somebody made of each call: person, variant, call.
    fn submission(change: impl Fn(usize, usize, u64) -> u64) -> (Table, Blobs) {
        let plan = Plan { populations: vec![80], variants: 2_000, chromosomes: 2, ..Plan::default() };
        let cohort = plan.simulate().unwrap();
        let frequencies = cohort.genotypes.rows().map(|row| {
            let copies: u64 = (0..80).map(|person| row[person / 32] >> (2 * (person % 32)) & 3).sum();
            copies as f64 / 160.0
        });
        let named = cohort.variants.iter().zip(frequencies);
        let named = named.map(|(variant, frequency)| (variant.clone(), Some(frequency), ".".into()));
        let text = Panel::of(Assembly::Grch38, named).unwrap().text();
        let (people, variants) = (80, cohort.variants.len());
        let mut words = vec![0_u64; people * variants.div_ceil(32)];
        for (variant, row) in cohort.genotypes.rows().enumerate() {
            for person in 0..people {
                let call = row[person / 32] >> (2 * (person % 32)) & 3;
                words[person * variants.div_ceil(32) + variant / 32] |=
                    change(person, variant, call) << (2 * (variant % 32));
            }
        }
        let name = blob_hash(text.as_bytes());
        let table = Table::new(vec![Column::number("trait")], vec![0.0; people]).unwrap();
        let table = table.with_genotypes(0, "genotypes", (name.0, variants as u32), words).unwrap();
        (table, HashMap::from([(name, text.into_bytes())]))
    }

    fn found(change: impl Fn(usize, usize, u64) -> u64) -> GenotypeQuality {
        let (table, blobs) = submission(change);
        check(&table, &blobs).unwrap().unwrap()
    }

    #[test]
    fn people_pass_and_fabricated_ones_do_not() {
        let people = found(|_, _, call| call);
        assert_eq!(people.verdict, QualityVerdict::Pass, "{people:?}");
        // Drawn without regard for how common an allele is: each of three calls as often.
        let drawn =
            found(|person, variant, _| (person * 7_919 + variant * 104_729 + person * variant) as u64 % 3);
        assert_eq!(drawn.verdict, QualityVerdict::Refuse, "{drawn:?}");
        // All heterozygous, as a mixture of two people nearly is.
        let mixed = found(|_, _, call| if call == 2 { 1 } else { call.max(1) });
        assert_eq!(mixed.verdict, QualityVerdict::Refuse, "{mixed:?}");
    }

    /// Whoever draws a few variants and has one genotype for all others leaves most measures nothing to look at.
    #[test]
    fn one_genotype_for_all_is_no_way_past_the_measures() {
        let lazy = |person: usize, variant: usize, _| {
            if variant.is_multiple_of(21) { (person * 7 + variant) as u64 % 3 } else { 0 }
        };
        let found = found(lazy);
        let of_panel = found.findings.iter().find(|f| f.measure == "panel-frequencies").unwrap();
        assert_eq!((found.verdict, of_panel.verdict), (QualityVerdict::Refuse, QualityVerdict::Refuse));
    }

    #[test]
    fn without_its_panel_nothing_is_checked() {
        let (table, mut blobs) = submission(|_, _, call| call);
        let refused = |blobs: &Blobs| check(&table, blobs).unwrap_err().to_string();
        let (name, text) = blobs.iter().next().map(|(n, t)| (*n, t.clone())).unwrap();
        blobs.insert(name, [&text[..], b"1\t5\tA\tC\t.\t.\n"].concat());
        assert!(refused(&blobs).contains("is not in public storage"));
        blobs.clear();
        assert!(refused(&blobs).contains("is not in public storage"));
    }

    #[test]
    fn more_people_than_a_scan_takes_are_refused_at_once() {
        let people = MAX_PEOPLE + 1;
        let table = Table::new(vec![Column::number("trait")], vec![0.0; people]).unwrap();
        let table = table.with_genotypes(0, "genotypes", ([1; 32], 1), vec![0; people]).unwrap();
        let error = check(&table, &HashMap::new()).unwrap_err().to_string();
        assert!(error.contains("more people than sums of genotypes take"), "{error}");
    }

    #[test]
    fn a_table_without_genotypes_has_nothing_to_check() {
        let table = Table::new(vec![Column::number("trait")], vec![0.0; 30]).unwrap();
        assert_eq!(check(&table, &HashMap::new()).unwrap(), None);
    }
}
