//! Expected numbers of copies of an ALT allele, from DS or GP.
//!
//! DS is no key of the specification: imputation programs (minimac, BEAGLE) write it, one number for each ALT allele. GP
//! holds probabilities in the order of the genotypes from version 4.3 on; in 4.1 and 4.2 the text says phred-scaled, and the
//! same programs write probabilities. What is not probabilities is refused here, so the two are not mixed up.

use super::calls::{Cells, Haploid, Problem};
use super::error::Rule;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Dosage,
    Probabilities,
}

pub(super) fn read(cells: &Cells<'_>, format: &str, dosages: &mut Vec<f32>) -> Result<(), Problem> {
    dosages.clear();
    let find = |wanted| format.split(':').position(|key| key == wanted);
    let (source, key) = match (find("DS"), find("GP")) {
        (Some(key), _) => (Source::Dosage, key),
        (None, Some(key)) if cells.alternatives == 1 => (Source::Probabilities, key),
        _ => return Err(Problem { sample: None, at: 0, rule: Rule::FormatDosageMissing }),
    };
    let mut at = 0;
    for (sample, cell) in cells.text.split(|&byte| byte == b'\t').enumerate() {
        if sample >= cells.samples {
            return Err(Problem { sample: None, at, rule: Rule::ColumnCount });
        }
        let value = cell.split(|&byte| byte == b':').nth(key).unwrap_or(b".");
        let dosage = match source {
            _ if value == b"." => Some(f32::NAN),
            Source::Dosage => from_dosages(value, cells.alternative, cells.alternatives),
            Source::Probabilities => from_probabilities(value, cells.haploid),
        };
        let Some(dosage) = dosage else {
            return Err(Problem { sample: Some(sample), at, rule: Rule::DosageMalformed });
        };
        dosages.push(dosage);
        at += cell.len() + 1;
    }
    if dosages.len() != cells.samples {
        return Err(Problem { sample: None, at: cells.text.len(), rule: Rule::ColumnCount });
    }
    Ok(())
}

/// A finite number.
fn number(text: &[u8]) -> Option<f32> {
    std::str::from_utf8(text).ok()?.parse::<f32>().ok().filter(|number| number.is_finite())
}

fn from_dosages(value: &[u8], alternative: usize, alternatives: usize) -> Option<f32> {
    let mut items = value.split(|&byte| byte == b',');
    let item = items.clone().nth(alternative - 1)?;
    if items.by_ref().count() != alternatives {
        return None;
    }
    if item == b"." {
        return Some(f32::NAN);
    }
    number(item).filter(|dosage| (0.0..=2.0).contains(dosage))
}

fn from_probabilities(value: &[u8], haploid: Haploid) -> Option<f32> {
    let mut sum = 0.0;
    let mut expected = 0.0;
    let mut count = 0_u8;
    for item in value.split(|&byte| byte == b',') {
        if count == 3 {
            return None;
        }
        // Missing values are all missing or none.
        let probability =
            if item == b"." { f32::NAN } else { number(item).filter(|p| (0.0..=1.0).contains(p))? };
        sum += probability;
        expected += f32::from(count) * probability;
        count += 1;
    }
    let is_distribution = sum.is_nan() || (sum - 1.0).abs() < 0.05;
    let copies = if count == 2 && haploid == Haploid::Homozygous { 2.0 } else { 1.0 };
    (count >= 2 && is_distribution).then_some((copies * expected).clamp(0.0, 2.0))
}

#[cfg(test)]
mod tests {
    use super::super::calls::{Cells, Haploid};
    use super::read;

    fn check(format: &str, text: &str, alternatives: usize, expected: &str) {
        let samples = 2;
        let cells = Cells {
            text: text.as_bytes(),
            samples,
            key: 0,
            is_only: false,
            alternative: alternatives,
            alternatives,
            haploid: Haploid::OneCopy,
        };
        let mut dosages = vec![];
        let found = match read(&cells, format, &mut dosages) {
            Ok(()) => format!("{dosages:?}"),
            Err(problem) => format!("{:?} {} {}", problem.sample, problem.at, problem.rule.id()),
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn dosages_and_probabilities() {
        check("GT:DS", "0|0:0.05\t0|1:1.5", 1, "[0.05, 1.5]");
        check("GT:DS", "0|0:.\t0|1", 1, "[NaN, NaN]");
        check("DS", "0.5,1\t.,0", 2, "[1.0, 0.0]");
        check("GT:GP", "0|0:0.5,0.25,0.25\t1:0.25,0.75", 1, "[0.75, 0.75]");
        check("GP", ".,.,.\t0,0,1", 1, "[NaN, 2.0]");
        check("GT:GL", "0|0:1\t0:1", 1, "None 0 format-dosage-missing");
        check("GP", "1,0,0\t1,0,0", 2, "None 0 format-dosage-missing");
        check("DS", "0.5\t2.5", 1, "Some(1) 4 dosage-malformed");
        check("DS", "nan\t2", 1, "Some(0) 0 dosage-malformed");
        check("DS", "1,1\t2", 1, "Some(0) 0 dosage-malformed");
        check("GP", "0,12,40\t0,0,1", 1, "Some(0) 0 dosage-malformed");
        check("GP", "0,0,0\t0,0,1", 1, "Some(0) 0 dosage-malformed");
        check("DS", "1", 1, "None 1 column-count");
        check("DS", "1\t1\t1", 1, "None 4 column-count");
    }
}
