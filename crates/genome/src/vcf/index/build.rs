//! An index out of the records of a file.

use std::collections::BTreeSet;
use std::io::Read;

use super::super::bgzf::{self, Place};
use super::super::{Limits, Reader, Record};
use super::{Bins, Chromosome, Chunk, Index, IndexError, Kind, OrderProblem};

/// Windows of 16 KiB of bases over all chromosomes: eighty times the human genome.
const WINDOWS: usize = 1 << 24;

impl Index {
    /// Makes the index of a VCF file in BGZF.
    ///
    /// # Errors
    /// [`IndexError`] when the file cannot be read, is not in BGZF, or its records are not sorted.
    pub fn of<R: Read>(
        file: &str,
        source: bgzf::Reader<R>,
        kind: Kind,
        limits: &Limits,
    ) -> Result<Self, IndexError> {
        let mut reader = Reader::new(file, source, limits)?;
        if reader.source().kind() != Some(bgzf::Kind::Bgzf) {
            return Err(IndexError::NotBgzf { file: file.to_owned() });
        }
        let index = Self { kind, bins: Bins::of(kind), names: vec![], chromosomes: vec![] };
        let mut builder = Builder { index, seen: BTreeSet::new(), windows: 0, last: 0 };
        loop {
            let start = reader.source().place();
            if reader.read()?.is_none() {
                break;
            }
            let end = reader.source().place();
            let record = reader.again()?;
            builder.add(&record, Chunk { start, end }).map_err(|problem| IndexError::Order {
                file: file.to_owned(),
                line: record.line(),
                problem,
            })?;
        }
        Ok(builder.finish())
    }
}

struct Builder {
    index: Index,
    seen: BTreeSet<String>,
    windows: usize,
    last: u64,
}

impl Builder {
    fn add(&mut self, record: &Record<'_>, place: Chunk) -> Result<(), OrderProblem> {
        let Index { kind, bins, names, chromosomes } = &mut self.index;
        if names.last().is_none_or(|name| name != record.chromosome()) {
            if !self.seen.insert(record.chromosome().to_owned()) {
                return Err(OrderProblem::Chromosome);
            }
            names.push(record.chromosome().to_owned());
            chromosomes.push(Chromosome::default());
            self.last = 0;
        }
        // The telomere, 0, is where the first base is.
        let from = record.position().saturating_sub(1);
        let to = record.last_position().saturating_sub(1).max(from);
        if from < self.last {
            return Err(OrderProblem::Position);
        }
        self.last = from;
        if to > bins.last() {
            return Err(if *kind == Kind::Tbi { OrderProblem::TooFar } else { OrderProblem::TooMuch });
        }
        let (Some(chromosome), Ok(number)) = (chromosomes.last_mut(), u32::try_from(bins.around(from, to)))
        else {
            return Ok(());
        };
        let chunks = &mut chromosome.bins.entry(number).or_default().chunks;
        match chunks.last_mut() {
            // Between the two is no block to be spared.
            Some(last) if last.end == place.start || last.end.block() == place.start.block() => {
                last.end = place.end;
            }
            _ => chunks.push(place),
        }
        let windows = &mut chromosome.windows;
        let (first, last) = ((from >> 14) as usize, (to >> 14) as usize);
        self.windows += (last + 1).saturating_sub(windows.len());
        if self.windows > WINDOWS {
            return Err(OrderProblem::TooMuch);
        }
        // Positions rise: a window that was passed has got its first record, or will never have one, and says of what is
        // before it.
        if windows.len() < first {
            windows.resize(first, windows.last().copied().unwrap_or(place.start));
        }
        if windows.len() <= last {
            windows.resize(last + 1, place.start);
        }
        let all = chromosome.all.get_or_insert((place, 0));
        all.0.end = place.end;
        all.1 += 1;
        Ok(())
    }

    fn finish(mut self) -> Index {
        if self.index.kind == Kind::Csi {
            let Index { bins, chromosomes, .. } = &mut self.index;
            for chromosome in chromosomes {
                let windows = std::mem::take(&mut chromosome.windows);
                for (number, bin) in &mut chromosome.bins {
                    let number = u64::from(*number);
                    let mut levels = (0..=bins.depth).rev();
                    let level = levels.find(|level| Bins::first(*level) <= number).unwrap_or_default();
                    let from = (number - Bins::first(level)) << bins.shift_of(level);
                    let window = usize::try_from(from >> 14).ok().and_then(|at| windows.get(at));
                    bin.first = window.copied().unwrap_or(Place::START);
                }
            }
        }
        self.index
    }
}
