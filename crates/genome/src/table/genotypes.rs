//! Genotypes of the people of a table: one column, whose values stand beside the others.

use super::{Column, Kind, Table, TableError, check_name};

/// Most variants of a panel.
pub const MAX_VARIANTS: usize = 1 << 24;

/// The calls of every row, two bits for each variant; 32 variants in a word, the first in its lowest bits, and nothing behind the last.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Calls {
    /// Words of a row.
    pub width: usize,
    pub words: Vec<u64>,
}

impl Calls {
    pub fn row(&self, index: usize) -> &[u64] {
        self.words.get(index * self.width..(index + 1) * self.width).unwrap_or(&[])
    }

    /// The rows of these indices, which are rows of the table.
    pub fn subset(&self, indices: &[usize]) -> Self {
        let words = indices.iter().flat_map(|index| self.row(*index)).copied().collect();
        Self { width: self.width, words }
    }
}

/// Words that the calls of one row take.
pub(super) fn width(variants: u32) -> usize {
    (variants as usize).div_ceil(32)
}

/// Calls of a row that are missing; `NaN` where all are: that is nobody whose genotypes are known.
pub(super) fn missing(row: &[u64], variants: u32) -> f64 {
    let missing: u32 = row.iter().map(|word| (word & (word >> 1) & 0x5555_5555_5555_5555).count_ones()).sum();
    if missing == variants { f64::NAN } else { f64::from(missing) }
}

/// Whether nothing stands behind the last call of any row.
pub(super) fn fits(words: &[u64], variants: u32) -> bool {
    let used = variants % 32;
    let mut lasts = words.chunks_exact(width(variants).max(1)).filter_map(|row| row.last());
    used == 0 || lasts.all(|last| last >> (2 * used) == 0)
}

impl Table {
    /// The same table with a column of genotypes at the place `at` (the number of columns, for the end). `words` are the calls of each
    /// row, two bits for each variant of the panel: 0, 1 or 2 copies of the alternative allele, 3 where nothing was called; 32 variants
    /// in a word, the first in its lowest bits, and 0 behind the last. The value of a row is how many calls are missing, and `NaN` where
    /// all are.
    ///
    /// # Errors
    /// [`TableError::Values`] where it does not fit, or there is such a column.
    pub fn with_genotypes(
        mut self,
        at: usize,
        name: &str,
        (panel, variants): ([u8; 32], u32),
        words: Vec<u64>,
    ) -> Result<Self, TableError> {
        let refuse = |reason: String| Err(TableError::Values { reason });
        if self.calls.is_some() {
            return refuse("it has a column of genotypes".into());
        }
        if at > self.columns.len() || self.columns.iter().any(|column| column.name == name) {
            return refuse(format!("there is no place for a column `{name}`, or another of this name"));
        }
        if let Err(reason) = check_name(name) {
            return refuse(format!("the column of genotypes: {reason}"));
        }
        let width = width(variants);
        if !(1..=MAX_VARIANTS).contains(&(variants as usize)) {
            return refuse(format!("a panel has 1 to {MAX_VARIANTS} variants"));
        }
        if self.rows().checked_mul(width) != Some(words.len()) || !fits(&words, variants) {
            return refuse(format!(
                "the genotypes are not those of {} people at {variants} variants",
                self.rows()
            ));
        }
        let rows = self.values.chunks_exact(self.columns.len()).zip(words.chunks_exact(width));
        let values = rows.flat_map(|(values, calls)| {
            let (before, after) = values.split_at(at);
            before.iter().copied().chain([missing(calls, variants)]).chain(after.iter().copied())
        });
        self.values = values.collect();
        self.columns.insert(at, Column { name: name.into(), kind: Kind::Genotypes { panel, variants } });
        self.calls = Some(Calls { width, words });
        Ok(self)
    }

    /// Place of the column of genotypes, and how many variants it has.
    #[must_use]
    pub fn genotypes(&self) -> Option<(usize, u32)> {
        self.columns.iter().enumerate().find_map(|(at, column)| match column.kind {
            Kind::Genotypes { variants, .. } => Some((at, variants)),
            _ => None,
        })
    }

    /// The calls of a row, as [`Table::with_genotypes`] takes them; empty where there are none.
    #[must_use]
    pub fn calls(&self, row: usize) -> &[u64] {
        self.calls.as_ref().map_or(&[], |calls| calls.row(row))
    }

    /// The calls of all rows at the variants `first..last` of the panel: variant by variant, `rows.div_ceil(4)` bytes for each, the
    /// first person in the lowest bits. Empty where there are none.
    #[must_use]
    pub fn calls_by_variant(&self, first: usize, last: usize) -> Vec<u8> {
        let bytes = self.rows().div_ceil(4);
        let Some(calls) = &self.calls else { return Vec::new() };
        let last = last.min(self.genotypes().map_or(0, |(_, variants)| variants as usize));
        let mut out = vec![0; last.saturating_sub(first) * bytes];
        for person in 0..self.rows() {
            let (row, shift) = (calls.row(person), 2 * (person % 4));
            for (variant, to) in (first..last).zip(out.chunks_exact_mut(bytes)) {
                let call = (row[variant / 32] >> (2 * (variant % 32)) & 3) as u8;
                to[person / 4] |= call << shift;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn words(calls: &[u8]) -> Vec<u64> {
        let word = |calls: &[u8]| calls.iter().rev().fold(0, |word, call| word << 2 | u64::from(*call));
        calls.chunks(32).map(word).collect()
    }

    /// Three people at 40 variants: the first has no call, the third none at the last ten.
    fn table() -> Table {
        let calls: Vec<Vec<u8>> = vec![
            vec![3; 40],
            (0..40).map(|i| i % 3).collect(),
            (0..40).map(|i| if i < 30 { 2 - i % 3 } else { 3 }).collect(),
        ];
        let words = calls.iter().flat_map(|row| words(row)).collect();
        let plain =
            Table::new(vec![Column::number("age"), Column::number("bmi")], (0..6).map(f64::from).collect());
        plain.unwrap().with_genotypes(1, "genotypes", ([7; 32], 40), words).unwrap()
    }

    #[test]
    fn calls_stand_beside_the_values() {
        let table = table();
        assert_eq!(table.genotypes(), Some((1, 40)));
        assert_eq!(table.row(1).unwrap(), [2.0, 0.0, 3.0]);
        assert!(table.row(0).unwrap()[1].is_nan() && table.row(2).unwrap()[1] == 10.0);
        assert_eq!(table.calls_by_variant(0, 3), [0b10_00_11, 0b01_01_11, 0b00_10_11]);
        assert_eq!(table.calls_by_variant(39, 99), [0b11_00_11]);
        let (all, some) = (Table::decode(&table.encode()).unwrap(), table.subset(&[2, 0]).unwrap());
        assert_eq!(all, table);
        assert_eq!((some.calls(0), some.calls(1)), (table.calls(2), table.calls(0)));
        assert_ne!(some, table.subset(&[2, 1]).unwrap());
        // A row is committed to with its calls.
        let mut bytes = table.row_bytes(1).unwrap();
        assert_eq!(bytes.len(), 3 * 8 + 2 * 8);
        assert_eq!(
            bytes.split_off(24),
            table.calls(1).iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>()
        );
        assert_eq!(table.leaves().count(), 4);
    }

    #[test]
    fn bytes_that_are_no_genotypes() {
        let bytes = table().encode();
        let header = bytes.len() - 3 * 40;
        for at in [header + 24 + 15, header + 40 + 8, header - 1, header - 4] {
            // A bit behind the last call; another number of missing ones; another number of variants.
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x80;
            assert!(Table::decode(&bytes).is_err(), "{at}");
        }
        assert!((0..bytes.len()).all(|cut| Table::decode(&bytes[..cut]).is_err()));
        let plain = || Table::new(vec![Column::number("age")], vec![1.0, 2.0]).unwrap();
        assert!(plain().with_genotypes(0, "age", ([0; 32], 1), vec![0, 0]).is_err());
        assert!(plain().with_genotypes(2, "g", ([0; 32], 1), vec![0, 0]).is_err());
        assert!(plain().with_genotypes(0, "g", ([0; 32], 1), vec![0, 4]).is_err());
        assert!(plain().with_genotypes(0, "g", ([0; 32], 0), vec![]).is_err());
        assert!(plain().with_genotypes(0, "g", ([0; 32], 1), vec![0]).is_err());
        assert!(table().with_genotypes(0, "g", ([0; 32], 1), vec![0; 3]).is_err());
        let kind = Kind::Genotypes { panel: [0; 32], variants: 1 };
        assert!(Table::new(vec![Column { name: "g".into(), kind }], vec![]).is_err());
    }
}
