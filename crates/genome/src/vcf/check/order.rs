//! What holds between records: order, contiguity, repeated variants.

use std::collections::BTreeSet;

/// State between records.
#[derive(Debug, Default)]
pub(super) struct Order {
    chromosome: Vec<u8>,
    position: u64,
    finished: BTreeSet<Vec<u8>>,
    /// Trimmed variants that start at the current position or behind it.
    variants: BTreeSet<(u64, Vec<u8>, Vec<u8>)>,
}

/// How the chromosome of a record stands to those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    Same,
    New,
    /// It has records further up, with others between.
    Again,
}

impl Order {
    /// Names that are remembered, and the longest; a file with more contigs is not checked for contiguity beyond them.
    const NAMES: usize = 100_000;
    const NAME: usize = 200;
    /// Variants that are remembered, and the longest allele. Records that overlap more than that are not compared.
    const VARIANTS: usize = 1000;
    const ALLELE: usize = 500;

    /// `<1>` and `1` are the same chromosome.
    pub(super) fn chromosome(&mut self, name: &[u8]) -> Block {
        let name = name.strip_prefix(b"<").and_then(|name| name.strip_suffix(b">")).unwrap_or(name);
        if name == self.chromosome {
            return Block::Same;
        }
        let is_known = self.finished.contains(name);
        let before = std::mem::replace(&mut self.chromosome, name.to_vec());
        if !before.is_empty() && before.len() <= Self::NAME && self.finished.len() < Self::NAMES {
            self.finished.insert(before);
        }
        self.position = 0;
        self.variants.clear();
        if is_known { Block::Again } else { Block::New }
    }

    /// True when the position is not smaller than the one before on this chromosome.
    pub(super) fn position(&mut self, position: u64) -> bool {
        let is_sorted = position >= self.position;
        self.position = position;
        if !is_sorted {
            self.variants.clear();
        }
        while self.variants.first().is_some_and(|variant| variant.0 < position) {
            self.variants.pop_first();
        }
        is_sorted
    }

    /// True when none of the alternative alleles, trimmed, stands in an earlier record. Only alleles made of bases count.
    pub(super) fn are_new(&mut self, position: u64, reference: &[u8], alternatives: &[&[u8]]) -> bool {
        let mut added = vec![];
        let mut is_new = true;
        for alternative in alternatives {
            let are_bases = alternative.iter().all(|byte| b"ACGTNacgtn".contains(byte));
            if !are_bases || alternative.len().max(reference.len()) > Self::ALLELE {
                continue;
            }
            let (skipped, reference, alternative) = trim(reference, alternative);
            let variant = (
                position.saturating_add(skipped as u64),
                reference.to_ascii_uppercase(),
                alternative.to_ascii_uppercase(),
            );
            is_new &= !self.variants.contains(&variant);
            added.push(variant);
        }
        if self.variants.len() + added.len() <= Self::VARIANTS {
            self.variants.extend(added);
        }
        is_new
    }
}

/// Cuts common bases, first from the end, then from the start, and leaves one base of each allele. Returns how many were
/// cut from the start.
fn trim<'a>(mut reference: &'a [u8], mut alternative: &'a [u8]) -> (usize, &'a [u8], &'a [u8]) {
    while let ([rest_r @ .., last_r], [rest_a @ .., last_a]) = (reference, alternative)
        && !rest_r.is_empty()
        && !rest_a.is_empty()
        && last_r.eq_ignore_ascii_case(last_a)
    {
        (reference, alternative) = (rest_r, rest_a);
    }
    let mut skipped = 0;
    while let ([first_r, rest_r @ ..], [first_a, rest_a @ ..]) = (reference, alternative)
        && !rest_r.is_empty()
        && !rest_a.is_empty()
        && first_r.eq_ignore_ascii_case(first_a)
    {
        (reference, alternative) = (rest_r, rest_a);
        skipped += 1;
    }
    (skipped, reference, alternative)
}

#[cfg(test)]
mod tests {
    use super::{Block, Order, trim};

    #[test]
    fn trims() {
        let check = |reference: &str, alternative: &str, expected| {
            let (skipped, reference, alternative) = trim(reference.as_bytes(), alternative.as_bytes());
            assert_eq!((skipped, std::str::from_utf8(reference), std::str::from_utf8(alternative)), expected);
        };
        check("TAT", "TGT", (1, Ok("A"), Ok("G")));
        check("AT", "AAT", (0, Ok("A"), Ok("AA")));
        check("GTC", "G", (0, Ok("GTC"), Ok("G")));
        check("ac", "AT", (1, Ok("c"), Ok("T")));
        check("A", "A", (0, Ok("A"), Ok("A")));
        check("", "A", (0, Ok(""), Ok("A")));
    }

    #[test]
    fn remembers() {
        let mut order = Order::default();
        assert_eq!(order.chromosome(b"1"), Block::New);
        assert_eq!(order.chromosome(b"<1>"), Block::Same);
        assert!(order.position(100) && order.are_new(100, b"TAT", &[b"TGT"]));
        assert!(order.position(101) && !order.are_new(101, b"a", &[b"t", b"g"]));
        assert!(
            order.position(102)
                && order.are_new(102, b"T", &[b"<DEL>"])
                && order.are_new(102, b"T", &[b"<DEL>"])
        );
        assert!(!order.position(50));
        assert_eq!(order.chromosome(b"2"), Block::New);
        assert!(order.position(1));
        assert_eq!(order.chromosome(b"1"), Block::Again);
    }
}
