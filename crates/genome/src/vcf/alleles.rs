//! How often each allele stands in the calls of a record.

use super::calls::{BLOCK, BYTES, Problem, biallelic};
use super::error::Rule;

/// Copies of each allele, the reference first. A call counts with each allele that is known of it, whatever its ploidy, as
/// INFO's AC and AN do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AlleleCounts(pub(super) Vec<u64>);

impl AlleleCounts {
    /// Known alleles, AN.
    pub(super) fn all(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Those that are not the reference.
    pub(super) fn alternatives(&self) -> u64 {
        self.0.iter().skip(1).sum()
    }
}

/// Counts over the text of the cells. `key` is the place of GT in FORMAT, from 0, and `is_only` says that nothing stands
/// beside it.
pub(super) fn count(
    text: &[u8],
    samples: usize,
    (key, is_only): (usize, bool),
    alternatives: usize,
    counts: &mut AlleleCounts,
) -> Result<(), Problem> {
    let AlleleCounts(counts) = counts;
    counts.clear();
    counts.resize(alternatives + 1, 0);
    let (mut at, mut sample) = (0, 0);
    while sample < samples {
        if is_only
            && alternatives == 1
            && sample + BLOCK < samples
            && let Some(codes) =
                text.get(at..).and_then(|rest| rest.first_chunk::<BYTES>()).and_then(biallelic)
            && let [reference, alternative] = &mut counts[..]
        {
            // Codes are 0, 1 and 2.
            let ones = codes & 0x5555_5555_5555_5555;
            let copies = u64::from(ones.count_ones() + 2 * (codes ^ ones).count_ones());
            *alternative += copies;
            *reference += 2 * BLOCK as u64 - copies;
            sample += BLOCK;
            at += BYTES;
            continue;
        }
        let Some(rest) = text.get(at..) else {
            return Err(Problem { sample: None, at: text.len(), rule: Rule::ColumnCount });
        };
        let cell = rest.get(..memchr::memchr(b'\t', rest).unwrap_or(rest.len())).unwrap_or_default();
        let problem = |rule| Problem { sample: Some(sample), at, rule };
        let call = cell.split(|byte| *byte == b':').nth(key).ok_or(problem(Rule::SampleGtMissing))?;
        // From 4.4 on, a sign before the first allele.
        let call = match call {
            [b'/' | b'|', rest @ ..] if !rest.is_empty() => rest,
            _ => call,
        };
        for allele in call.split(|byte| matches!(byte, b'/' | b'|')) {
            match allele {
                b"." => continue,
                [] => return Err(problem(Rule::GtMalformed)),
                _ if allele.len() > 9 || !allele.iter().all(u8::is_ascii_digit) => {
                    return Err(problem(Rule::GtMalformed));
                }
                _ => {}
            }
            let number = allele.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
            *counts.get_mut(number).ok_or(problem(Rule::GtAllele))? += 1;
        }
        sample += 1;
        at += cell.len() + 1;
    }
    // One beyond the end: the place of the tab that is not there.
    if samples == 0 || at == text.len() + 1 {
        return Ok(());
    }
    Err(Problem { sample: None, at, rule: Rule::ColumnCount })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{AlleleCounts, count};

    fn counts(text: &str, key: (usize, bool), alternatives: usize) -> Result<Vec<u64>, String> {
        let mut found = AlleleCounts::default();
        match count(text.as_bytes(), text.split('\t').count(), key, alternatives, &mut found) {
            Ok(()) => Ok(found.0),
            Err(problem) => Err(format!("{:?} {} {}", problem.sample, problem.at, problem.rule.id())),
        }
    }

    #[test]
    fn every_form_of_a_call() {
        assert_eq!(counts("0|0\t0/1\t./1\t.\t1\t|1\t0/1/1\t.|.", (0, true), 1), Ok(vec![4, 6]));
        assert_eq!(counts("5:0/2\t6:12|12", (1, false), 12).map(|c| (c[0], c[2], c[12])), Ok((1, 1, 2)));
        assert_eq!(counts("0/1\t0/2", (0, true), 1), Err("Some(1) 4 gt-allele".into()));
        assert_eq!(counts("0/x", (0, true), 1), Err("Some(0) 0 gt-malformed".into()));
        assert_eq!(counts("0/", (0, true), 1), Err("Some(0) 0 gt-malformed".into()));
        assert_eq!(counts("", (0, true), 1), Err("Some(0) 0 gt-malformed".into()));
        assert_eq!(counts("5", (1, false), 1), Err("Some(0) 0 sample-gt-missing".into()));
    }

    proptest! {
        #[test]
        fn blocks_count_as_cells_do(cells in prop::collection::vec(0_usize..6, 1..200)) {
            let cell = |kind: &usize| [("0|0", [2, 0]), ("0/1", [1, 1]), ("1|1", [0, 2]), ("1|0", [1, 1]), ("./1", [0, 1]), ("0", [1, 0])][*kind];
            let few: Vec<_> = cells.iter().map(|kind| if cells.len() % 2 == 0 { kind % 4 } else { *kind }).collect();
            let text = few.iter().map(|kind| cell(kind).0).collect::<Vec<_>>().join("\t");
            let sums = few.iter().fold([0, 0], |sum, kind| [sum[0] + cell(kind).1[0], sum[1] + cell(kind).1[1]]);
            prop_assert_eq!(counts(&text, (0, true), 1), Ok(sums.to_vec()));
        }
    }
}
