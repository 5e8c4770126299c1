//! Cells of some samples.

use std::io::Write;

use super::super::Record;
use super::super::alleles::{self, AlleleCounts};
use super::super::calls::Problem;
use super::super::error::{Rule, VcfError};

/// The samples that are kept, and their cells of the record that was looked at last.
pub(super) struct Chosen {
    /// Columns from 0, in their new order.
    columns: Vec<usize>,
    tabs: Vec<usize>,
    cells: Vec<u8>,
}

impl Chosen {
    pub(super) fn new(columns: Vec<usize>) -> Self {
        Self { columns, tabs: vec![], cells: vec![] }
    }

    pub(super) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Their text, and how many there are.
    pub(super) fn cells(&self) -> (&[u8], usize) {
        (&self.cells, self.columns.len())
    }

    /// Takes the cells out of a record.
    pub(super) fn take(&mut self, record: &Record<'_>) -> Result<(), VcfError> {
        let text = record.cells;
        self.cells.clear();
        if record.samples() > 0 && has_cells_of_three(text, record.samples()) {
            for (place, column) in self.columns.iter().enumerate() {
                if place > 0 {
                    self.cells.push(b'\t');
                }
                self.cells.extend_from_slice(text.get(4 * column..4 * column + 3).unwrap_or_default());
            }
            return Ok(());
        }
        self.tabs.clear();
        self.tabs.extend(memchr::memchr_iter(b'\t', text).take(record.samples()));
        if self.tabs.len() + 1 != record.samples() {
            let at = self.tabs.get(record.samples().saturating_sub(1)).copied().unwrap_or(text.len());
            return Err(record.refuse(Problem { sample: None, at, rule: Rule::ColumnCount }));
        }
        for (place, column) in self.columns.iter().enumerate() {
            let before = column.checked_sub(1).and_then(|before| self.tabs.get(before));
            let from = before.map_or(0, |tab| tab + 1);
            let to = self.tabs.get(*column).copied().unwrap_or(text.len());
            if place > 0 {
                self.cells.push(b'\t');
            }
            self.cells.extend_from_slice(text.get(from..to).unwrap_or_default());
        }
        Ok(())
    }

    /// Writes the line of the record with these cells; with counts, INFO gets them.
    pub(super) fn write(&self, record: &Record<'_>, counts: Option<&AlleleCounts>, line: &mut Vec<u8>) {
        line.clear();
        let [before @ .., info] = record.fixed();
        for column in before {
            line.extend_from_slice(column.as_bytes());
            line.push(b'\t');
        }
        match counts {
            Some(counts) => write_info(info, counts, line),
            None => line.extend_from_slice(info.as_bytes()),
        }
        if !self.columns.is_empty() {
            for part in [b"\t", record.format().as_bytes(), b"\t", &self.cells] {
                line.extend_from_slice(part);
            }
        }
    }
}

/// Whether each cell is three bytes, as nearly all are whose FORMAT is GT: then their places are known.
fn has_cells_of_three(text: &[u8], samples: usize) -> bool {
    let (cells, last) = text.as_chunks::<4>();
    let is_regular =
        |cell: &[u8; 4]| (cell[0] != b'\t') & (cell[1] != b'\t') & (cell[2] != b'\t') & (cell[3] == b'\t');
    cells.len() + 1 == samples
        && last.len() == 3
        && !last.contains(&b'\t')
        && cells.iter().fold(true, |all, cell| all & is_regular(cell))
}

/// AC and AN take the place of what was there, or follow.
fn write_info(info: &str, counts: &AlleleCounts, line: &mut Vec<u8>) {
    let start = line.len();
    let mut missing = [true; 2];
    let put = |key: &str, line: &mut Vec<u8>| {
        let alternatives = counts.0.get(1..).unwrap_or_default();
        // A record without an ALT allele has no AC.
        if key == "AC" && alternatives.is_empty() {
            return;
        }
        line.extend_from_slice(if line.len() > start { b";" } else { b"" });
        line.extend_from_slice(key.as_bytes());
        let mut sign = b'=';
        let all = [counts.all()];
        for count in if key == "AC" { alternatives } else { &all } {
            line.push(sign);
            sign = b',';
            let _ = write!(line, "{count}");
        }
    };
    for entry in info.split(';').filter(|_| info != ".") {
        match entry.split_once('=').map_or(entry, |(key, _)| key) {
            "AC" if missing[0] => {
                missing[0] = false;
                put("AC", line);
            }
            "AN" if missing[1] => {
                missing[1] = false;
                put("AN", line);
            }
            _ => {
                line.extend_from_slice(if line.len() > start { b";" } else { b"" });
                line.extend_from_slice(entry.as_bytes());
            }
        }
    }
    for (is_missing, key) in missing.into_iter().zip(["AC", "AN"]) {
        if is_missing {
            put(key, line);
        }
    }
    if line.len() == start {
        line.push(b'.');
    }
}

impl Record<'_> {
    /// Counts alleles over these cells, or over all.
    pub(super) fn count_alleles(
        &self,
        cells: Option<(&[u8], usize)>,
        counts: &mut AlleleCounts,
    ) -> Result<(), VcfError> {
        let key = self.format().split(':').position(|key| key == "GT").unwrap_or_default();
        let is_only = !self.format().contains(':');
        let (text, samples) = cells.unwrap_or((self.cells, self.samples()));
        alleles::count(text, samples, (key, is_only), self.count_alternatives()?, counts)
            .map_err(|problem| self.refuse(problem))
    }
}
