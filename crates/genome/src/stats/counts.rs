//! How many people have each call at a variant, and how many variants each call of a person.

use crate::cpu::{self, Kernel};
use crate::genotypes::{Block, Call, SampleSet};

/// The lower bit of each call of a word.
const LOW_BITS: u64 = 0x5555_5555_5555_5555;

/// Words after which fields of 16 bits are emptied: three words add 24 at most, and 2,048 × 24 is below 2^16.
const STRETCH: usize = 3 * 2_048;

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
        // A row of more people than were named has no sensible counts, and must not end the program either.
        let hom_ref = (people + both).saturating_sub(low + high);
        Self { hom_ref, het: low - both, hom_alt: high - both, missing: both }
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
        let mut all = Vec::with_capacity(self.0.variants());
        // A loop and not `collect`, whose inner function would not be compiled for this processor.
        for row in self.0.rows() {
            all.push(Counts::of_bits(samples, Bits { row, set: None }.run()));
        }
        all
    }
}

/// Sums of the lower bits, the upper bits and the calls with both over a row, for the people of the set.
///
/// The sums are made in fields that grow from 2 to 16 bits, by additions alone: every vector unit has these, while many
/// have no instruction that counts bits.
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
                for words in self.row.chunks(STRETCH) {
                    add_bits(words, words, |_| LOW_BITS, &mut sums);
                }
            }
            Some(set) => {
                let both = self.row.len().min(set.len());
                let (row, set) = (&self.row[..both], &set[..both]);
                for (words, set) in row.chunks(STRETCH).zip(set.chunks(STRETCH)) {
                    add_bits(words, set, |word| word, &mut sums);
                }
            }
        }
        sums
    }
}

/// Adds what `STRETCH` words at most hold: word by word of three thirds, as a field of two bits holds the sum of three.
#[inline(always)]
fn add_bits(words: &[u64], set: &[u64], mask: impl Fn(u64) -> u64, sums: &mut [u64; 3]) {
    let third = words.len() / 3;
    let (w, m) = (Thirds::of(words, third), Thirds::of(set, third));
    let (mut lows, mut highs, mut boths) = (0, 0, 0);
    for index in 0..third {
        let m = [mask(m.a[index]), mask(m.b[index]), mask(m.c[index])];
        let low = [w.a[index] & m[0], w.b[index] & m[1], w.c[index] & m[2]];
        let high = [w.a[index] >> 1 & m[0], w.b[index] >> 1 & m[1], w.c[index] >> 1 & m[2]];
        lows += widen(low[0] + low[1] + low[2]);
        highs += widen(high[0] + high[1] + high[2]);
        boths += widen((low[0] & high[0]) + (low[1] & high[1]) + (low[2] & high[2]));
    }
    for (word, set) in words.iter().zip(set).skip(3 * third) {
        let mask = mask(*set);
        lows += widen(word & mask);
        highs += widen(word >> 1 & mask);
        boths += widen(word & word >> 1 & mask);
    }
    for (sum, fields) in sums.iter_mut().zip([lows, highs, boths]) {
        *sum += (0..4).map(|field| fields >> (16 * field) & 0xffff).sum::<u64>();
    }
}

/// Three stretches of one length.
struct Thirds<'a> {
    a: &'a [u64],
    b: &'a [u64],
    c: &'a [u64],
}

impl<'a> Thirds<'a> {
    #[inline(always)]
    fn of(words: &'a [u64], third: usize) -> Self {
        Self { a: &words[..third], b: &words[third..2 * third], c: &words[2 * third..3 * third] }
    }
}

/// Fields of two bits, added up to fields of 16 bits.
#[inline(always)]
fn widen(twos: u64) -> u64 {
    let fours = (twos & 0x3333_3333_3333_3333) + (twos >> 2 & 0x3333_3333_3333_3333);
    let bytes = (fours & 0x0f0f_0f0f_0f0f_0f0f) + (fours >> 4 & 0x0f0f_0f0f_0f0f_0f0f);
    (bytes & 0x00ff_00ff_00ff_00ff) + (bytes >> 8 & 0x00ff_00ff_00ff_00ff)
}

/// Counts, for each person, the calls of each kind over the variants of many blocks.
#[derive(Clone, Debug)]
pub struct BySample {
    samples: usize,
    variants: u64,
    /// For each call of a row its lower bits and its upper bits, as they alternate in a word.
    bits: Counters,
    /// Calls with both bits, in the places of `bits`: even variants in the even ones, odd variants in the odd ones.
    both: Counters,
    /// Blocks since the counters of eight bits were emptied.
    blocks: usize,
}

/// Counters of one bit a place: eight bits each, and what was emptied from them.
#[derive(Clone, Debug)]
struct Counters {
    /// `bytes[group][shift][lane]`: byte `b` counts place `8 b + shift` of word `LANES group + lane`.
    bytes: Vec<[Lanes; 8]>,
    /// In the order of the bytes above.
    emptied: Vec<[u32; 64 * LANES]>,
}

/// Blocks of 64 variants that counters of eight bits hold.
const BLOCKS: usize = 3;

impl BySample {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(samples: usize) -> Self {
        let groups = crate::genotypes::words_for(samples).div_ceil(LANES);
        let counters =
            Counters { bytes: vec![[[0; LANES]; 8]; groups], emptied: vec![[0; 64 * LANES]; groups] };
        Self { samples, variants: 0, bits: counters.clone(), both: counters, blocks: 0 }
    }

    /// Adds the variants of a block whose bit is set in `variants` (bit `v` for variant `v`; all for `u64::MAX`). A block
    /// of other people adds nothing.
    pub fn add(&mut self, block: &Block, variants: u64) {
        if block.samples() != self.samples {
            return;
        }
        let mut rows = Vec::with_capacity(block.variants());
        rows.extend(block.rows().enumerate().filter(|(v, _)| variants >> v & 1 == 1).map(|(_, row)| row));
        self.variants += rows.len() as u64;
        cpu::run(AddBlock { rows: &rows, bits: &mut self.bits.bytes, both: &mut self.both.bytes });
        self.blocks += 1;
        if self.blocks == BLOCKS {
            self.bits.empty();
            self.both.empty();
            self.blocks = 0;
        }
    }

    /// Variants that were added.
    #[must_use]
    pub fn variants(&self) -> u64 {
        self.variants
    }

    /// The counts of each person so far.
    #[must_use]
    pub fn counts(&self) -> Vec<Counts> {
        let mut people = Vec::with_capacity(self.samples);
        for sample in 0..self.samples {
            let [low, high] = [0, 1].map(|bit| self.bits.get(2 * sample + bit));
            let [even, odd] = [0, 1].map(|bit| self.both.get(2 * sample + bit));
            people.push(Counts::of_bits(self.variants, [low, high, even + odd]));
        }
        people
    }
}

impl Counters {
    fn get(&self, place: usize) -> u64 {
        let (word, place) = (place / 64, place % 64);
        let (group, lane, shift, byte) = (word / LANES, word % LANES, place % 8, place / 8);
        let fresh = self.bytes[group][shift][lane] >> (8 * byte) & 0xff;
        fresh + u64::from(self.emptied[group][(shift * LANES + lane) * 8 + byte])
    }

    fn empty(&mut self) {
        cpu::run(Empty(self));
    }
}

struct Empty<'a>(&'a mut Counters);

impl Kernel for Empty<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (bytes, counters) in self.0.bytes.iter_mut().zip(&mut self.0.emptied) {
            for (word, counters) in bytes.as_flattened_mut().iter_mut().zip(counters.as_chunks_mut::<8>().0) {
                for (byte, counter) in word.to_le_bytes().into_iter().zip(counters) {
                    *counter += u32::from(byte);
                }
                *word = 0;
            }
        }
    }
}

/// Rows that are added up to one bit plane at a time.
const EIGHT: usize = 8;

struct AddBlock<'a> {
    /// 64 at most.
    rows: &'a [&'a [u64]],
    bits: &'a mut [[Lanes; 8]],
    both: &'a mut [[Lanes; 8]],
}

/// Words that are counted side by side: enough for any vector, and small enough to stay in the nearest cache.
const LANES: usize = 16;

type Lanes = [u64; LANES];

/// Seven bit planes of counters up to 64.
type Planes = [Lanes; 7];

impl Kernel for AddBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let mut column = 0;
        for (bits, both) in self.bits.iter_mut().zip(self.both) {
            let mut planes = [[[0; LANES]; 7]; 2];
            for eight in self.rows.chunks(EIGHT) {
                let mut words = [[0; LANES]; EIGHT];
                for (words, row) in words.iter_mut().zip(eight) {
                    match row.get(column..column + LANES) {
                        Some(all) => words.copy_from_slice(all),
                        None => {
                            words.iter_mut().zip(row.iter().skip(column)).for_each(|(to, from)| *to = *from)
                        }
                    }
                }
                let mut pairs = [[0; LANES]; EIGHT];
                for pair in 0..EIGHT / 2 {
                    for lane in 0..LANES {
                        let [even, odd] = [words[2 * pair][lane], words[2 * pair + 1][lane]];
                        pairs[pair][lane] = (even & even >> 1 & LOW_BITS) | (odd & odd << 1 & !LOW_BITS);
                    }
                }
                add_eight(&mut planes[0], &words);
                add_eight(&mut planes[1], &pairs);
            }
            add_planes(&planes[0], bits);
            add_planes(&planes[1], both);
            column += LANES;
        }
    }
}

/// Adds eight words to the counters, place by place (Harley and Seal's tree of full adders).
#[inline(always)]
fn add_eight(planes: &mut Planes, words: &[Lanes; EIGHT]) {
    for lane in 0..LANES {
        let w = |index: usize| words[index][lane];
        let (one, two_a) = full_adder(planes[0][lane], w(0), w(1));
        let (one, two_b) = full_adder(one, w(2), w(3));
        let (one, two_c) = full_adder(one, w(4), w(5));
        let (one, two_d) = full_adder(one, w(6), w(7));
        let (two, four_a) = full_adder(planes[1][lane], two_a, two_b);
        let (two, four_b) = full_adder(two, two_c, two_d);
        let (four, carry) = full_adder(planes[2][lane], four_a, four_b);
        (planes[0][lane], planes[1][lane], planes[2][lane]) = (one, two, four);
        let (eight, carry) = (planes[3][lane] ^ carry, planes[3][lane] & carry);
        let (sixteen, carry) = (planes[4][lane] ^ carry, planes[4][lane] & carry);
        let (thirty_two, carry) = (planes[5][lane] ^ carry, planes[5][lane] & carry);
        (planes[3][lane], planes[4][lane], planes[5][lane]) = (eight, sixteen, thirty_two);
        planes[6][lane] ^= carry;
    }
}

/// The sum bits and the carries of three bits, in each place.
#[inline(always)]
fn full_adder(a: u64, b: u64, c: u64) -> (u64, u64) {
    let half = a ^ b;
    (half ^ c, (a & b) | (half & c))
}

/// Adds counters in bit planes to counters of eight bits.
#[inline(always)]
fn add_planes(planes: &Planes, bytes: &mut [Lanes; 8]) {
    for (shift, bytes) in bytes.iter_mut().enumerate() {
        for lane in 0..LANES {
            let byte = |power: usize| (planes[power][lane] >> shift & 0x0101_0101_0101_0101) << power;
            bytes[lane] += byte(0) + byte(1) + byte(2) + byte(3) + byte(4) + byte(5) + byte(6);
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
            prop_assert_eq!(people.counts(), expected_people.clone());
            let mut portable = BySample::new(samples);
            for block in genotypes.blocks() {
                let rows: Vec<&[u64]> = block.rows().collect();
                let (bits, both) = (&mut portable.bits, &mut portable.both);
                cpu::run_portable(AddBlock { rows: &rows, bits: &mut bits.bytes, both: &mut both.bytes });
                cpu::run_portable(Empty(bits));
                cpu::run_portable(Empty(both));
            }
            portable.variants = variants as u64;
            prop_assert_eq!(portable.counts(), expected_people);
        }
    }

    /// A set of other people is a mistake of the caller, and no reason to end.
    #[test]
    fn sets_of_other_sizes_do_not_panic() {
        let row = vec![u64::MAX; 10];
        for samples in [0, 1, 100, 320, 1_000] {
            let counts = of_row_in(&row, &SampleSet::all(samples));
            assert_eq!((counts.missing, counts.het), (samples.min(320) as u64, 0));
            assert_eq!(of_row(&row, samples).missing, 320);
        }
    }

    /// Counters that would overflow if they were emptied too late.
    #[test]
    fn long_rows_of_one_kind() {
        for samples in [32 * STRETCH, 32 * STRETCH + 1, 100_003] {
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
