//! How many people have each call at a variant, and how many variants each call of a person.

use crate::cpu::{self, Kernel};
use crate::genotypes::{Block, Call, SampleSet};

/// The lower bit of each call of a word.
const LOW_BITS: u64 = 0x5555_5555_5555_5555;

/// Words that are handled side by side; what a vector of 256 bits holds.
const LANES: usize = 4;
/// Words of a step: three of each lane, because a field of two bits holds the sum of three bits.
const STEP: usize = 3 * LANES;
/// Steps after which counters of eight bits are emptied: each adds 12 at most, and 21 × 12 is below 256.
const STEPS: usize = 21;

/// Calls of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// No copy of the alternative allele.
    pub hom_ref: u64,
    /// One copy.
    pub het: u64,
    /// Two copies.
    pub hom_alt: u64,
    /// Not known.
    pub missing: u64,
}

impl Counts {
    /// Calls that are known.
    #[must_use]
    pub fn known(&self) -> u64 {
        self.hom_ref + self.het + self.hom_alt
    }

    /// Copies of the alternative allele.
    #[must_use]
    pub fn alternatives(&self) -> u64 {
        self.het + 2 * self.hom_alt
    }

    /// Frequency of the alternative allele among known calls; `None` without any.
    #[must_use]
    pub fn frequency(&self) -> Option<f64> {
        (self.known() > 0).then(|| self.alternatives() as f64 / (2 * self.known()) as f64)
    }

    /// Share of missing calls; `None` without any call.
    #[must_use]
    pub fn missingness(&self) -> Option<f64> {
        let all = self.known() + self.missing;
        (all > 0).then(|| self.missing as f64 / all as f64)
    }

    /// Share of heterozygous calls among the known ones; `None` without any.
    #[must_use]
    pub fn heterozygosity(&self) -> Option<f64> {
        (self.known() > 0).then(|| self.het as f64 / self.known() as f64)
    }

    /// Counts one more call.
    pub fn add(&mut self, call: Call) {
        match call {
            Call::HomRef => self.hom_ref += 1,
            Call::Het => self.het += 1,
            Call::HomAlt => self.hom_alt += 1,
            Call::Missing => self.missing += 1,
        }
    }

    fn of_bits(people: u64, [low, high, both]: [u64; 3]) -> Self {
        Self { hom_ref: people + both - low - high, het: low - both, hom_alt: high - both, missing: both }
    }
}

/// Counts the calls of one variant, given as its packed row.
#[must_use]
pub fn of_row(row: &[u64], samples: usize) -> Counts {
    Counts::of_bits(samples as u64, cpu::run(Bits { row, set: None }))
}

/// Counts the calls of one variant among some people.
#[must_use]
pub fn of_row_in(row: &[u64], set: &SampleSet) -> Counts {
    Counts::of_bits(set.count() as u64, cpu::run(Bits { row, set: Some(set.words()) }))
}

/// Counts the calls of each variant of a block.
#[must_use]
pub fn of_block(block: &Block) -> Vec<Counts> {
    cpu::run(OfBlock(block))
}

struct OfBlock<'a>(&'a Block);

impl Kernel for OfBlock<'_> {
    type Output = Vec<Counts>;

    #[inline(always)]
    fn run(self) -> Vec<Counts> {
        let samples = self.0.samples() as u64;
        self.0.rows().map(|row| Counts::of_bits(samples, Bits { row, set: None }.run())).collect()
    }
}

/// Sums of the lower bits, the upper bits and the calls with both over a row, for the people of the set.
///
/// The sums are made side by side in fields that grow from 2 to 64 bits, by additions alone: every vector unit has these,
/// while many have no instruction that counts bits.
struct Bits<'a> {
    row: &'a [u64],
    set: Option<&'a [u64]>,
}

impl Kernel for Bits<'_> {
    type Output = [u64; 3];

    #[inline(always)]
    fn run(self) -> [u64; 3] {
        let mut sums = [0; 3];
        match self.set {
            None => {
                for words in self.row.chunks(STEP * STEPS) {
                    add_bits(words, words, |_| LOW_BITS, &mut sums);
                }
            }
            Some(set) => {
                for (words, set) in self.row.chunks(STEP * STEPS).zip(set.chunks(STEP * STEPS)) {
                    add_bits(words, set, |word| word, &mut sums);
                }
            }
        }
        sums
    }
}

/// Adds what `STEP * STEPS` words at most hold.
#[inline(always)]
fn add_bits(words: &[u64], set: &[u64], mask: impl Fn(u64) -> u64, sums: &mut [u64; 3]) {
    let mut bytes = [[0_u64; LANES]; 3];
    let (steps, rest) = words.as_chunks::<STEP>();
    let (set_steps, set_rest) = set.as_chunks::<STEP>();
    for (words, set) in steps.iter().zip(set_steps) {
        add_step(words, set, &mask, &mut bytes);
    }
    if !rest.is_empty() {
        let (mut words, mut set) = ([0; STEP], [0; STEP]);
        words.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        set.iter_mut().zip(set_rest).for_each(|(to, from)| *to = *from);
        add_step(&words, &set, &mask, &mut bytes);
    }
    for (sum, lanes) in sums.iter_mut().zip(bytes) {
        let mut fields = 0;
        for lane in lanes {
            fields += (lane & 0x00ff_00ff_00ff_00ff) + (lane >> 8 & 0x00ff_00ff_00ff_00ff);
        }
        // Four fields of 16 bits, each at most 4 × 2 × 252: their sum comes into the uppermost one.
        *sum += fields.wrapping_mul(0x0001_0001_0001_0001) >> 48;
    }
}

#[inline(always)]
fn add_step(
    words: &[u64; STEP],
    set: &[u64; STEP],
    mask: &impl Fn(u64) -> u64,
    bytes: &mut [[u64; LANES]; 3],
) {
    for lane in 0..LANES {
        let mut twos = [0_u64; 3];
        for third in 0..3 {
            let word = words[third * LANES + lane];
            let mask = mask(set[third * LANES + lane]);
            let (low, high) = (word & mask, word >> 1 & mask);
            twos[0] += low;
            twos[1] += high;
            twos[2] += low & high;
        }
        for (bytes, two) in bytes.iter_mut().zip(twos) {
            let four = (two & 0x3333_3333_3333_3333) + (two >> 2 & 0x3333_3333_3333_3333);
            bytes[lane] += (four & 0x0f0f_0f0f_0f0f_0f0f) + (four >> 4 & 0x0f0f_0f0f_0f0f_0f0f);
        }
    }
}

/// Counts, for each person, the calls of each kind over the variants of many blocks.
#[derive(Clone, Debug)]
pub struct BySample {
    samples: usize,
    variants: u64,
    /// For each call of a row its lower bits and its upper bits, as they alternate in a word.
    bits: Vec<u32>,
    /// Calls with both bits, in the places of `bits`: even variants in the even ones, odd variants in the odd ones.
    both: Vec<u32>,
}

impl BySample {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(samples: usize) -> Self {
        let places = 64 * crate::genotypes::words_for(samples);
        Self { samples, variants: 0, bits: vec![0; places], both: vec![0; places] }
    }

    /// Adds the variants of a block whose bit is set in `variants` (bit `v` for variant `v`; all for `u64::MAX`). A block
    /// of other people adds nothing.
    pub fn add(&mut self, block: &Block, variants: u64) {
        if block.samples() != self.samples {
            return;
        }
        let rows: Vec<&[u64]> = block
            .rows()
            .enumerate()
            .filter_map(|(variant, row)| (variants >> variant & 1 == 1).then_some(row))
            .collect();
        self.variants += rows.len() as u64;
        cpu::run(AddBlock { rows: &rows, bits: &mut self.bits, both: &mut self.both });
    }

    /// The counts of each person so far.
    #[must_use]
    pub fn counts(&self) -> Vec<Counts> {
        let bits = self.bits.as_chunks::<2>().0.iter();
        let both = self.both.as_chunks::<2>().0.iter();
        let people = bits.zip(both).take(self.samples);
        people
            .map(|([low, high], [even, odd])| {
                let bits = [u64::from(*low), u64::from(*high), u64::from(*even) + u64::from(*odd)];
                Counts::of_bits(self.variants, bits)
            })
            .collect()
    }
}

/// Rows that are added up to one bit plane at a time.
const EIGHT: usize = 8;

struct AddBlock<'a> {
    /// 64 at most.
    rows: &'a [&'a [u64]],
    bits: &'a mut [u32],
    both: &'a mut [u32],
}

impl Kernel for AddBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let places = |counters| <[u32]>::as_chunks_mut::<{ 64 * LANES }>(counters);
        let (bits, bits_rest) = places(self.bits);
        let (both, both_rest) = places(self.both);
        let mut column = 0;
        for (bits, both) in bits.iter_mut().zip(both) {
            let [b, m] = add_columns(self.rows, column);
            empty(&b, bits);
            empty(&m, both);
            column += LANES;
        }
        if !bits_rest.is_empty() {
            let [b, m] = add_columns(self.rows, column);
            let mut counters = [0; 64 * LANES];
            empty(&b, &mut counters);
            bits_rest.iter_mut().zip(counters).for_each(|(to, from)| *to += from);
            let mut counters = [0; 64 * LANES];
            empty(&m, &mut counters);
            both_rest.iter_mut().zip(counters).for_each(|(to, from)| *to += from);
        }
    }
}

type Lanes = [u64; LANES];

/// Seven bit planes of counters up to 64.
type Planes = [Lanes; 7];

/// Counts the bits of each place over all rows, in the words from `column` on; and so the calls with both bits.
#[inline(always)]
fn add_columns(rows: &[&[u64]], column: usize) -> [Planes; 2] {
    let mut planes = [[[0; LANES]; 7]; 2];
    for eight in rows.chunks(EIGHT) {
        let mut words = [[0; LANES]; EIGHT];
        for (words, row) in words.iter_mut().zip(eight) {
            match row.get(column..column + LANES) {
                Some(all) => words.copy_from_slice(all),
                None => words.iter_mut().zip(row.iter().skip(column)).for_each(|(to, from)| *to = *from),
            }
        }
        add_eight(&mut planes[0], words);
        let mut both = [[0; LANES]; EIGHT];
        for pair in 0..EIGHT / 2 {
            for lane in 0..LANES {
                let [even, odd] = [words[2 * pair][lane], words[2 * pair + 1][lane]];
                both[pair][lane] = (even & even >> 1 & LOW_BITS) | (odd & odd << 1 & !LOW_BITS);
            }
        }
        add_eight(&mut planes[1], both);
    }
    planes
}

/// Adds eight words to the counters, place by place (Harley and Seal's tree of full adders).
#[inline(always)]
fn add_eight(planes: &mut Planes, words: [Lanes; EIGHT]) {
    for lane in 0..LANES {
        let w = |index: usize| words[index][lane];
        let (one, two_a) = full_adder(planes[0][lane], w(0), w(1));
        let (one, two_b) = full_adder(one, w(2), w(3));
        let (one, two_c) = full_adder(one, w(4), w(5));
        let (one, two_d) = full_adder(one, w(6), w(7));
        let (two, four_a) = full_adder(planes[1][lane], two_a, two_b);
        let (two, four_b) = full_adder(two, two_c, two_d);
        let (four, mut carry) = full_adder(planes[2][lane], four_a, four_b);
        (planes[0][lane], planes[1][lane], planes[2][lane]) = (one, two, four);
        for plane in &mut planes[3..] {
            let sum = plane[lane] ^ carry;
            carry &= plane[lane];
            plane[lane] = sum;
        }
    }
}

/// The sum bit and the carry of three bits, in each place.
#[inline(always)]
fn full_adder(a: u64, b: u64, c: u64) -> (u64, u64) {
    let half = a ^ b;
    (half ^ c, (a & b) | (half & c))
}

/// Adds the counters in bit planes to counters of 32 bits, one a place.
#[inline(always)]
fn empty(planes: &Planes, counters: &mut [u32; 64 * LANES]) {
    for (lane, counters) in counters.as_chunks_mut::<64>().0.iter_mut().enumerate() {
        // Byte `b` of word `s` becomes the counter of place `8 b + s`.
        let mut bytes = [0_u64; 8];
        for (power, plane) in planes.iter().enumerate() {
            for (shift, byte) in bytes.iter_mut().enumerate() {
                *byte += (plane[lane] >> shift & 0x0101_0101_0101_0101) << power;
            }
        }
        for (place, counter) in counters.iter_mut().enumerate() {
            *counter += (bytes[place % 8] >> (8 * (place / 8)) & 0xff) as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::genotypes::Genotypes;

    fn genotypes(samples: usize, variants: usize, seed: u64) -> Genotypes {
        let mut genotypes = Genotypes::new(samples);
        let mut state = seed;
        for _ in 0..variants {
            let calls: Vec<Call> = (0..samples)
                .map(|_| {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    Call::from_code(state >> 60)
                })
                .collect();
            genotypes.push_calls(&calls).unwrap();
        }
        genotypes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// One by one, by the kernel of this processor and by the portable one: the same counts.
        #[test]
        fn all_ways_to_count_agree(samples in 0_usize..1_200, variants in 1_usize..90, seed: u64) {
            let genotypes = genotypes(samples, variants, seed);
            let set = SampleSet::of(samples, |sample| sample % 3 == 1);
            let mut people = BySample::new(samples);
            let mut expected_people = vec![Counts::default(); samples];
            for block in genotypes.blocks() {
                people.add(block, u64::MAX);
                let of_block = of_block(block);
                for (variant, row) in block.rows().enumerate() {
                    let (mut all, mut some) = (Counts::default(), Counts::default());
                    for (sample, person) in expected_people.iter_mut().enumerate() {
                        let call = block.call(variant, sample).unwrap();
                        all.add(call);
                        person.add(call);
                        if set.contains(sample) {
                            some.add(call);
                        }
                    }
                    prop_assert_eq!(of_row(row, samples), all);
                    prop_assert_eq!(of_block[variant], all);
                    prop_assert_eq!(of_row_in(row, &set), some);
                    let portable = cpu::run_portable(Bits { row, set: Some(set.words()) });
                    prop_assert_eq!(Counts::of_bits(set.count() as u64, portable), some);
                }
            }
            prop_assert_eq!(people.counts(), expected_people);
        }
    }

    /// Counters that would overflow if they were emptied too late.
    #[test]
    fn long_rows_of_one_kind() {
        for samples in [32 * STEP * STEPS, 32 * STEP * STEPS + 1, 100_003] {
            for call in [Call::HomRef, Call::Het, Call::HomAlt, Call::Missing] {
                let mut block = Block::new(samples);
                for _ in 0..2 {
                    block.push_calls(&vec![call; samples]).unwrap();
                }
                let counts = of_block(&block)[1];
                let found = [counts.hom_ref, counts.het, counts.hom_alt, counts.missing];
                let mut expected = [0; 4];
                expected[call as usize] = samples as u64;
                assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn chosen_variants_of_full_blocks() {
        let mut genotypes = Genotypes::new(33);
        for variant in 0..64 {
            let call = if variant % 2 == 0 { Call::Missing } else { Call::Het };
            genotypes.push_calls(&[call; 33]).unwrap();
        }
        let mut people = BySample::new(33);
        for _ in 0..5 {
            people.add(&genotypes.blocks()[0], u64::MAX);
        }
        people.add(&genotypes.blocks()[0], 0b111);
        people.add(&Block::new(5), u64::MAX);
        let expected = Counts { hom_ref: 0, het: 161, hom_alt: 0, missing: 162 };
        assert_eq!(people.counts(), [expected; 33]);
        assert_eq!((expected.missingness(), Counts::default().missingness()), (Some(162.0 / 323.0), None));
    }
}
