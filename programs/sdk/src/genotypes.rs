//! Genotypes of the people of a site, and sums over them that are exact.
//!
//! A call is the number of copies of a variant's alternative allele: 0, 1, 2, or 3 where nothing was called. Four people share a
//! byte, the first in its lowest bits.
//!
//! Sums are of whole numbers, so that their order is of no matter: whoever adds the sums of sites gets the sums over all people, bit
//! for bit. A method scales what it multiplies genotypes with to whole numbers of at most [`MAX_WEIGHT`].

use crate::refusal::Refusal;
use crate::wire::{Reader, Writer};

/// Largest absolute value of what genotypes are multiplied with.
pub const MAX_WEIGHT: i32 = 1 << 22;

/// Most people of a site: products of two weights, summed up over so many, stay below 2^62.
pub const MAX_PEOPLE: usize = 1 << 17;

/// Bytes of people between two times at which sums of 32 bits are added to those of 64: in a byte are 4 people, and the square of two
/// copies is 4.
const FLUSH: usize = (i32::MAX / (16 * MAX_WEIGHT)) as usize;

/// Some variants of all people of a site.
#[derive(Clone, PartialEq, Eq)]
pub struct Genotypes {
    first: u32,
    variants: usize,
    people: usize,
    calls: Vec<u8>,
}

impl core::fmt::Debug for Genotypes {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // The calls are people's.
        f.debug_struct("Genotypes")
            .field("first", &self.first)
            .field("variants", &self.variants)
            .field("people", &self.people)
            .finish_non_exhaustive()
    }
}

impl Genotypes {
    /// The calls of `people` at the variants of the panel from place `first` on (from 0), `people.div_ceil(4)` bytes for each. None
    /// where the bytes do not fit, or hold anything behind the last person.
    pub fn new(first: u32, people: usize, calls: Vec<u8>) -> Option<Self> {
        let width = people.div_ceil(4);
        let fits = people > 0 && !calls.is_empty() && calls.len().is_multiple_of(width);
        let behind = if people.is_multiple_of(4) { 0 } else { 0xff << (2 * (people % 4)) };
        if !fits || calls.chunks_exact(width).any(|of| of[width - 1] & behind != 0) {
            return None;
        }
        Some(Self { first, variants: calls.len() / width, people, calls })
    }

    /// Place of the first variant in the panel, from 0.
    pub fn first(&self) -> usize {
        self.first as usize
    }

    /// How many variants there are.
    pub fn variants(&self) -> usize {
        self.variants
    }

    /// How many people.
    pub fn people(&self) -> usize {
        self.people
    }

    /// The bytes of one variant, from 0; empty beyond the last.
    pub fn of(&self, variant: usize) -> &[u8] {
        self.calls.chunks_exact(self.people.div_ceil(4)).nth(variant).unwrap_or(&[])
    }

    /// Whether bytes that begin so are genotypes: a block of a table says how many columns it has, and has one or more.
    pub fn begins(head: &[u8; 4]) -> bool {
        *head == [0; 4]
    }

    /// The bytes that the host offers.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.u32(0).u32(self.first).u32(self.people as u32).bytes(&self.calls);
        w.0
    }

    /// Reads a block; its shape fits when this succeeds.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut r = Reader::new(bytes);
        let mark = r.u32()?;
        let (first, people) = (r.u32()?, r.u32()? as usize);
        let calls = r.bytes()?.to_vec();
        r.end()?;
        match Self::new(first, people, calls) {
            Some(block) if mark == 0 => Ok(block),
            _ => Err(Refusal::Malformed),
        }
    }
}

/// What genotypes are multiplied with: some numbers of each person, and who counts at all.
#[derive(Clone)]
pub struct Weights {
    columns: usize,
    /// `people * columns`, person by person.
    values: Vec<i32>,
    /// 3 in the bits of each person who counts.
    mask: Vec<u8>,
    /// Whether the last number is multiplied with the square of a genotype.
    squares: bool,
}

/// A sum of products as two numbers that floats hold exactly, and whose sums over sites do, too: multiples of 2^31, and the rest.
pub fn halves(sum: i64) -> [f64; 2] {
    [(sum >> 31) as f64, (sum & ((1 << 31) - 1)) as f64]
}

/// The sum that both are of, over however many sites, rounded once.
pub fn whole([high, low]: [f64; 2]) -> f64 {
    high * (1_u64 << 31) as f64 + low
}

/// What a block gives for one variant. Whoever does not count adds nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VariantSums {
    /// For each column, the sum of genotype times number.
    pub products: Vec<i64>,
    /// People with one copy, with two, and without a call.
    pub counts: [u32; 3],
}

impl VariantSums {
    /// Sum of squares of the genotypes.
    pub fn squares(&self) -> u64 {
        u64::from(self.counts[0]) + 4 * u64::from(self.counts[1])
    }

    /// Copies of the alternative allele.
    pub fn copies(&self) -> u64 {
        u64::from(self.counts[0]) + 2 * u64::from(self.counts[1])
    }
}

impl Weights {
    /// Numbers of each person, all of one length, each of at most [`MAX_WEIGHT`]; None of a person who does not count. None
    /// where they do not fit, or are more than [`MAX_PEOPLE`].
    pub fn new(columns: usize, people: &[Option<Vec<i32>>]) -> Option<Self> {
        let fits = |row: &Vec<i32>| row.len() == columns && row.iter().all(|v| v.abs() <= MAX_WEIGHT);
        if columns == 0 || people.len() > MAX_PEOPLE || !people.iter().flatten().all(fits) {
            return None;
        }
        let mut values = vec![0; people.len() * columns];
        let mut mask = vec![0; people.len().div_ceil(4)];
        for (i, row) in people.iter().enumerate() {
            if let Some(row) = row {
                values[i * columns..(i + 1) * columns].copy_from_slice(row);
                mask[i / 4] |= 3 << (2 * (i % 4));
            }
        }
        Some(Self { columns, values, mask, squares: false })
    }

    /// The same, but the last number is multiplied with the squares of genotypes.
    pub fn with_squares(self) -> Self {
        Self { squares: true, ..self }
    }

    /// Numbers of a person.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// How many people count.
    pub fn people(&self) -> usize {
        self.mask.iter().map(|byte| byte.count_ones() as usize / 2).sum()
    }

    /// The numbers of a person.
    fn row(&self, person: usize) -> &[i32] {
        self.values.get(person * self.columns..(person + 1) * self.columns).unwrap_or(&[])
    }

    /// For each column its sum over all who count.
    pub fn sums(&self) -> Vec<i64> {
        let mut sums = vec![0; self.columns];
        // Numbers of who does not count are 0.
        for row in self.values.chunks_exact(self.columns) {
            sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += i64::from(*v));
        }
        sums
    }

    /// Sums of products of each pair of columns over all who count: the upper triangle, row by row.
    pub fn products(&self) -> Vec<i64> {
        let mut sums = vec![0; self.columns * (self.columns + 1) / 2];
        self.values.chunks_exact(self.columns).for_each(|row| add_products(row, &mut sums));
        sums
    }

    /// The same over those who count and have no call at a variant.
    pub fn products_of_missing(&self, calls: &[u8]) -> Vec<i64> {
        let mut sums = vec![0; self.columns * (self.columns + 1) / 2];
        self.each_missing(calls, |row| add_products(row, &mut sums));
        sums
    }

    /// For each column, its sum over those who count and have no call at a variant.
    pub fn sums_of_missing(&self, calls: &[u8]) -> Vec<i64> {
        let mut sums = vec![0; self.columns];
        self.each_missing(calls, |row| sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += i64::from(*v)));
        sums
    }

    fn each_missing(&self, calls: &[u8], mut take: impl FnMut(&[i32])) {
        for (at, (byte, mask)) in calls.iter().zip(&self.mask).enumerate() {
            let byte = byte & mask;
            let missing = byte & (byte >> 1) & 0x55;
            (0..4).filter(|person| missing >> (2 * person) & 1 == 1).for_each(|person| {
                take(self.row(4 * at + person));
            });
        }
    }

    /// Sums for each variant of a block; None where it is of other people.
    ///
    /// The calls of four people are one of 256, and what these add to a sum is looked up: a table for four people serves all
    /// variants of the block, so that a sum costs a quarter of an addition for each genotype.
    pub fn sums_of(&self, block: &Genotypes) -> Option<Vec<VariantSums>> {
        let (c, width) = (self.columns, self.mask.len());
        if block.people.checked_mul(c) != Some(self.values.len()) {
            return None;
        }
        let mut sums = vec![0_i64; block.variants * c];
        let mut small = vec![0_i32; block.variants * c];
        let mut table = vec![0_i32; 256 * c];
        for at in 0..width {
            self.fill(at, &mut table);
            for (calls, small) in block.calls.chunks_exact(width).zip(small.chunks_exact_mut(c)) {
                let row = usize::from(calls[at]) * c;
                small.iter_mut().zip(&table[row..row + c]).for_each(|(sum, v)| *sum += v);
            }
            if (at + 1) % FLUSH == 0 || at + 1 == width {
                for (sum, small) in sums.iter_mut().zip(&mut small) {
                    *sum += i64::from(core::mem::take(small));
                }
            }
        }
        let of = |(calls, products): (&[u8], &[i64])| VariantSums {
            products: products.to_vec(),
            counts: self.counts(calls),
        };
        Some(block.calls.chunks_exact(width).zip(sums.chunks_exact(c)).map(of).collect())
    }

    /// What each of the 256 calls of four people adds to each column.
    fn fill(&self, at: usize, table: &mut [i32]) {
        let c = self.columns;
        // The first two people in the lower four bits, the other two in the upper ones.
        let mut halves = [vec![0_i32; 16 * c], vec![0_i32; 16 * c]];
        for (half, sums) in halves.iter_mut().enumerate() {
            let people = [self.row(4 * at + 2 * half), self.row(4 * at + 2 * half + 1)];
            for (calls, sums) in sums.chunks_exact_mut(c).enumerate() {
                for (person, row) in people.iter().enumerate() {
                    let call = calls >> (2 * person) & 3;
                    let copies = [0, 1, 2, 0][call];
                    sums.iter_mut().zip(*row).for_each(|(sum, v)| *sum += copies * v);
                    // On top of twice the number.
                    if let (true, 2, Some(sum), Some(v)) = (self.squares, call, sums.last_mut(), row.last()) {
                        *sum += 2 * v;
                    }
                }
            }
        }
        for (calls, sums) in table.chunks_exact_mut(c).enumerate() {
            let (low, high) = (&halves[0][(calls & 15) * c..], &halves[1][(calls >> 4) * c..]);
            sums.iter_mut().zip(low.iter().zip(high)).for_each(|(sum, (a, b))| *sum = a + b);
        }
    }

    /// People with one copy, two, and no call.
    fn counts(&self, calls: &[u8]) -> [u32; 3] {
        let mut counts = [0; 3];
        let mut add = |word: u64| {
            let (low, high) = (word & 0x5555_5555_5555_5555, word >> 1 & 0x5555_5555_5555_5555);
            counts[0] += (low & !high).count_ones();
            counts[1] += (high & !low).count_ones();
            counts[2] += (high & low).count_ones();
        };
        let (words, rest) = calls.as_chunks::<8>();
        let (masks, masks_of_rest) = self.mask.as_chunks::<8>();
        words.iter().zip(masks).for_each(|(w, m)| add(u64::from_le_bytes(*w) & u64::from_le_bytes(*m)));
        rest.iter().zip(masks_of_rest).for_each(|(w, m)| add(u64::from(w & m)));
        counts
    }
}

fn add_products(row: &[i32], sums: &mut [i64]) {
    let mut sums = sums.iter_mut();
    for (i, &a) in row.iter().enumerate() {
        for (&b, sum) in row[i..].iter().zip(&mut sums) {
            *sum += i64::from(a) * i64::from(b);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Calls that look drawn and are always the same.
    fn block(people: usize, variants: usize) -> Genotypes {
        let call = |variant: usize, person: usize| (variant * 7 + person * person * 3 + person / 5) as u8 & 3;
        let mut calls = vec![0; variants * people.div_ceil(4)];
        for variant in 0..variants {
            for person in 0..people {
                calls[variant * people.div_ceil(4) + person / 4] |=
                    call(variant, person) << (2 * (person % 4));
            }
        }
        Genotypes::new(5, people, calls).unwrap()
    }

    fn weights(people: usize) -> Vec<Option<Vec<i32>>> {
        let number = |i: usize, j: usize| (i * 7919 + j * 104_729) as i32 % (2 * MAX_WEIGHT + 1) - MAX_WEIGHT;
        (0..people).map(|i| (i % 6 != 2).then(|| vec![1, number(i, 1), number(i, 2)])).collect()
    }

    #[test]
    fn sums_are_those_of_one_person_after_the_other() {
        for people in [1, 3, 4, 5, 33, 70, 8_300] {
            let (block, rows) = (block(people, 9), weights(people));
            let weights = Weights::new(3, &rows).unwrap();
            let sums = weights.sums_of(&block).unwrap();
            for (variant, got) in sums.iter().enumerate() {
                let (mut products, mut counts, mut missing) = (vec![0; 3], [0; 3], vec![0; 6]);
                for (person, row) in rows.iter().enumerate() {
                    let (call, Some(row)) = (block.of(variant)[person / 4] >> (2 * (person % 4)) & 3, row)
                    else {
                        continue;
                    };
                    if call > 0 {
                        counts[usize::from(call) - 1] += 1;
                    }
                    match call {
                        3 => add_products(row, &mut missing),
                        copies => products
                            .iter_mut()
                            .zip(row)
                            .for_each(|(sum, v)| *sum += i64::from(copies) * i64::from(*v)),
                    }
                }
                assert_eq!(*got, VariantSums { products, counts }, "{people} people, variant {variant}");
                assert_eq!(weights.products_of_missing(block.of(variant)), missing);
                // The first column is 1: its products are the sums.
                assert_eq!(weights.sums_of_missing(block.of(variant)), missing[..3]);
                assert_eq!(
                    (got.squares(), got.copies()),
                    (u64::from(counts[0] + 4 * counts[1]), got.products[0] as u64)
                );
            }
            assert_eq!(weights.sums(), weights.products()[..3]);
            assert_eq!(weights.people(), rows.iter().flatten().count());
        }
    }

    /// Everybody has two copies and the largest number: nothing runs over between two additions to the longer sums.
    #[test]
    fn the_largest_numbers_do_not_run_over() {
        let people = 9_000;
        let block = Genotypes::new(0, people, vec![0b1010_1010; people / 4]).unwrap();
        for sign in [1, -1] {
            let rows = vec![Some(vec![sign * MAX_WEIGHT; 2]); people];
            let sums = Weights::new(2, &rows).unwrap().with_squares().sums_of(&block).unwrap();
            let expected = [2, 4].map(|by| i64::from(sign) * by * 9_000 * i64::from(MAX_WEIGHT));
            assert_eq!(sums[0].products, expected);
        }
        assert!(MAX_PEOPLE as u64 * (MAX_WEIGHT as u64).pow(2) <= 1 << 62);
    }

    #[test]
    fn the_last_number_is_multiplied_with_squares() {
        // One copy, two, none, no call; two; the last does not count.
        let block = Genotypes::new(0, 6, vec![0b11_00_10_01, 0b01_10]).unwrap();
        let rows: Vec<_> = [3, 5, 7, 11, 13].into_iter().map(|v| Some(vec![v, v])).chain([None]).collect();
        let weights = Weights::new(2, &rows).unwrap().with_squares();
        let sums = weights.sums_of(&block).unwrap();
        assert_eq!(sums[0].products, [3 + 2 * 5 + 2 * 13, 3 + 4 * 5 + 4 * 13]);
        assert_eq!(weights.sums_of_missing(block.of(0)), [11, 11]);
    }

    #[test]
    fn halves_of_sums_add_up() {
        for (a, b) in [(5, -7), (1 << 61, -(1 << 61) + 3), (-1, -1), ((1 << 61) - 1, 12_345), (-(1 << 60), 1)]
        {
            let (x, y) = (halves(a), halves(b));
            assert_eq!(whole([x[0] + y[0], x[1] + y[1]]), (a + b) as f64, "{a} {b}");
            assert!((0.0..(1_u64 << 31) as f64).contains(&x[1]));
        }
    }

    #[test]
    fn shapes_that_do_not_fit() {
        assert!(Genotypes::new(0, 5, vec![0; 3]).is_none() && Genotypes::new(0, 0, vec![]).is_none());
        // Somebody behind the last person.
        assert!(
            Genotypes::new(0, 5, vec![0, 0b100]).is_none() && Genotypes::new(0, 5, vec![0, 0b11]).is_some()
        );
        assert!(Weights::new(1, &[Some(vec![MAX_WEIGHT + 1])]).is_none());
        assert!(Weights::new(2, &[Some(vec![1])]).is_none() && Weights::new(0, &[]).is_none());
        let two = Weights::new(1, &[Some(vec![1]), None]).unwrap();
        assert!(two.sums_of(&block(3, 1)).is_none() && two.sums_of(&block(2, 1)).is_some());
        let bytes = block(6, 4).encode();
        assert_eq!(Genotypes::decode(&bytes).unwrap(), block(6, 4));
        assert!(Genotypes::begins(bytes.first_chunk().unwrap()));
        for cut in 0..bytes.len() {
            assert!(Genotypes::decode(&bytes[..cut]).is_err(), "{cut}");
        }
        let mut marked = bytes;
        marked[0] = 1;
        assert!(Genotypes::decode(&marked).is_err());
    }
}
