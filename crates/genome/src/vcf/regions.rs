//! Stretches of chromosomes that are asked for: `22:100-200`, or a BED file.

use std::collections::BTreeMap;
use std::io::Read;

use crate::text::{Lines, TextError, TextLimits};

/// Why something is no region.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegionError {
    /// Text that is none of the forms.
    #[error(
        "`{0}` is no region; write `22`, `22:100`, `22:100-200` or `22:100-`, positions from 1 and both ends in it"
    )]
    Region(String),
    /// A file that is no text.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A line that is no stretch.
    #[error(
        "{file}, line {line}: a line of a BED file has a chromosome, a start from 0 and an end beyond it, separated by tabs"
    )]
    Bed {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: u64,
    },
    /// A file without one.
    #[error("{file}: holds no region")]
    Empty {
        /// Name of the file.
        file: String,
    },
}

/// Stretches of chromosomes, positions from 1 and both ends in them. Names are compared as they are written: `chr1` is not `1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Regions {
    /// In order and apart.
    stretches: BTreeMap<String, Vec<(u64, u64)>>,
}

impl Regions {
    /// Adds a region like `22:100-200`. Thousands may be set apart by commas; what follows the last colon is positions.
    ///
    /// # Errors
    /// [`RegionError::Region`].
    pub fn add(&mut self, text: &str) -> Result<(), RegionError> {
        let number = |text: &str| text.replace(',', "").parse::<u64>().ok().filter(|at| *at > 0);
        let (chromosome, stretch) = match text.rsplit_once(':') {
            None => (text, Some((1, u64::MAX))),
            Some((chromosome, places)) => match places.split_once('-') {
                None => (chromosome, number(places).map(|at| (at, at))),
                Some((from, "")) => (chromosome, number(from).map(|from| (from, u64::MAX))),
                Some((from, to)) => (chromosome, number(from).zip(number(to))),
            },
        };
        match stretch {
            Some((from, to)) if from <= to && !chromosome.is_empty() => self.insert(chromosome, from, to),
            _ => return Err(RegionError::Region(text.to_owned())),
        }
        self.join();
        Ok(())
    }

    /// Adds the stretches of a BED file: chromosome, start from 0, end (not in it), and what else there may be. Lines that
    /// begin with `#`, `track` or `browser` are passed over, and so are empty ones.
    ///
    /// # Errors
    /// [`RegionError`] with the line.
    pub fn add_bed(&mut self, file: &str, source: impl Read, limits: &TextLimits) -> Result<(), RegionError> {
        let mut lines = Lines::new(file, source, limits);
        let (mut line, mut found) = (0_u64, 0);
        while let Some(text) = lines.next()? {
            line += 1;
            if text.is_empty() || ["#", "track", "browser"].iter().any(|word| text.starts_with(word)) {
                continue;
            }
            let mut columns = text.split('\t');
            let mut next = || columns.next().unwrap_or_default();
            let (chromosome, from, to) = (next(), next().parse::<u64>(), next().parse::<u64>());
            match (from, to) {
                (Ok(from), Ok(to)) if from < to && !chromosome.is_empty() => {
                    self.insert(chromosome, from + 1, to);
                }
                _ => return Err(RegionError::Bed { file: file.to_owned(), line }),
            }
            found += 1;
            lines.check_rows(found)?;
        }
        if found == 0 {
            return Err(RegionError::Empty { file: file.to_owned() });
        }
        self.join();
        Ok(())
    }

    fn insert(&mut self, chromosome: &str, from: u64, to: u64) {
        match self.stretches.get_mut(chromosome) {
            Some(stretches) => stretches.push((from, to)),
            None => drop(self.stretches.insert(chromosome.to_owned(), vec![(from, to)])),
        }
    }

    fn join(&mut self) {
        for stretches in self.stretches.values_mut() {
            stretches.sort_unstable();
            stretches.dedup_by(|next, stretch| {
                let touches = next.0 <= stretch.1.saturating_add(1);
                if touches {
                    stretch.1 = stretch.1.max(next.1);
                }
                touches
            });
        }
    }

    /// Whether a stretch from `from` to `to` overlaps one of these.
    pub fn overlap(&self, chromosome: &str, from: u64, to: u64) -> bool {
        let Some(stretches) = self.stretches.get(chromosome) else { return false };
        let next = stretches.partition_point(|stretch| stretch.1 < from);
        stretches.get(next).is_some_and(|stretch| stretch.0 <= to.max(from))
    }

    /// Whether there is a stretch of a chromosome.
    pub fn has(&self, chromosome: &str) -> bool {
        self.stretches.contains_key(chromosome)
    }

    /// Names of chromosomes, and of each the stretches in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[(u64, u64)])> {
        self.stretches.iter().map(|(name, stretches)| (name.as_str(), stretches.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn shown(regions: &Regions) -> String {
        let all = regions.iter().flat_map(|(name, all)| all.iter().map(move |(from, to)| (name, from, to)));
        all.map(|(name, from, to)| format!("{name}:{from}-{to}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn regions_are_read_and_joined() {
        let mut regions = Regions::default();
        for text in ["22:1,000-2,000", "22:50", "22:1500-2500", "22:2501-2502", "X:5-", "HLA*A:1:7-9"] {
            regions.add(text).unwrap();
        }
        assert_eq!(shown(&regions), format!("22:50-50 22:1000-2502 HLA*A:1:7-9 X:5-{}", u64::MAX));
        for (from, to, is_in) in [(1, 49, false), (1, 50, true), (51, 999, false), (2_502, 9_999, true)] {
            assert_eq!(regions.overlap("22", from, to), is_in, "{from}-{to}");
        }
        assert!(!regions.overlap("chr22", 1_000, 1_000) && regions.overlap("X", 1 << 40, 1 << 40));
        for text in ["", "22:", "22:0-5", "22:9-5", ":1-2", "22:a-b", "22:-5", "22:1-2-3", "22:+1-2"] {
            let refused = regions.clone().add(text);
            assert_eq!(refused.is_err(), text != "22:+1-2", "{text}");
        }
    }

    #[test]
    fn a_bed_counts_from_zero() {
        let mut regions = Regions::default();
        let bed = "track name=x\n# note\n1\t0\t10\tname\n1\t10\t20\n\n2\t5\t6\n";
        regions.add_bed("r.bed", bed.as_bytes(), &TextLimits::default()).unwrap();
        assert_eq!(shown(&regions), "1:1-20 2:6-6");
        for (bed, message) in [
            ("1\t5\t5\n", "r.bed, line 1: a line of a BED file has"),
            ("1\t0\t5\n1 6 7\n", "r.bed, line 2: a line of a BED file has"),
            ("#\n", "r.bed: holds no region"),
        ] {
            let refused = Regions::default().add_bed("r.bed", bed.as_bytes(), &TextLimits::default());
            let refused = refused.unwrap_err().to_string();
            assert!(refused.starts_with(message), "{refused}");
        }
    }
}
