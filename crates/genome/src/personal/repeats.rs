//! Rows that repeat or contradict each other.

use super::genotype::Genotype;
use super::read::{Call, PersonalFile};

/// Two rows that cannot both be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// Line of the earlier row, from 1.
    pub line: u64,
    /// Line of the later row.
    pub other: u64,
}

/// What repeats in a file. Missing calls contradict nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repeats {
    /// Rows that say what an earlier row of the same name says.
    pub repeated: usize,
    /// Rows whose name an earlier row has, with another place or genotype.
    pub same_name: usize,
    /// Rows whose place an earlier row of another name has, with another genotype.
    pub same_place: usize,
    /// The first contradictions by line of the later row, as many as were asked for.
    pub first: Vec<Contradiction>,
    /// For each row whether it takes part in a contradiction; the genotypes of such rows should not be used.
    pub contradicted: Vec<bool>,
}

impl PersonalFile {
    /// Finds rows that repeat others, and names the first `most` contradictions. Each row is compared with the first
    /// called row of its name, and with the first called row of its place.
    #[must_use]
    pub fn repeats(&self, most: usize) -> Repeats {
        let calls: Vec<Call<'_>> = self.calls().collect();
        let mut found = Repeats { contradicted: vec![false; calls.len()], ..Repeats::default() };
        let is_missing = |row: usize| calls.get(row).is_none_or(|call| call.genotype == Genotype::Missing);

        // Stable sorts: among equals, called rows come first and then the order of the file counts.
        let name = |row: usize| calls.get(row).map(|call| call.name);
        let mut by_name: Vec<usize> = (0..calls.len()).collect();
        by_name.sort_by_key(|row| (name(*row), is_missing(*row)));
        for group in by_name.chunk_by(|a, b| name(*a) == name(*b)) {
            for (first, other) in pairs_with_first(group) {
                let (Some(a), Some(b)) = (calls.get(first), calls.get(other)) else { continue };
                if (a.chromosome, a.position) == (b.chromosome, b.position) && agree(a, b) {
                    found.repeated += 1;
                } else {
                    found.same_name += 1;
                    found.contradict((first, a), (other, b));
                }
            }
        }

        let place = |row: usize| calls.get(row).and_then(|call| call.chromosome.zip(call.position));
        let mut by_place: Vec<usize> =
            (0..calls.len()).filter(|row| place(*row).is_some() && !is_missing(*row)).collect();
        by_place.sort_by_key(|row| place(*row));
        for group in by_place.chunk_by(|a, b| place(*a) == place(*b)) {
            for (first, other) in pairs_with_first(group) {
                let (Some(a), Some(b)) = (calls.get(first), calls.get(other)) else { continue };
                if a.name != b.name && !agree(a, b) {
                    found.same_place += 1;
                    found.contradict((first, a), (other, b));
                }
            }
        }
        found.first.sort_by_key(|contradiction| (contradiction.other, contradiction.line));
        found.first.dedup();
        found.first.truncate(most);
        found
    }
}

impl Repeats {
    fn contradict(&mut self, a: (usize, &Call<'_>), b: (usize, &Call<'_>)) {
        let (line, other) = (a.1.line.min(b.1.line), a.1.line.max(b.1.line));
        self.first.push(Contradiction { line, other });
        for row in [a.0, b.0] {
            if let Some(mark) = self.contradicted.get_mut(row) {
                *mark = true;
            }
        }
    }
}

fn pairs_with_first(group: &[usize]) -> impl Iterator<Item = (usize, usize)> {
    let (first, rest) = group.split_first().map_or((0, group), |(first, rest)| (*first, rest));
    rest.iter().map(move |other| (first, *other))
}

fn agree(a: &Call<'_>, b: &Call<'_>) -> bool {
    let missing = Genotype::Missing;
    a.genotype == b.genotype || a.genotype == missing || b.genotype == missing
}
