//! Deflate (RFC 1951) of the text of one BGZF block, made for lines of genotypes.
//!
//! The text of genotypes is cells of four bytes, long stretches of which are the same, and lines that resemble each other
//! where people share haplotypes. So a copy is looked for at three places only: where the next sixteen bytes were last seen
//! (a similar line), where the next four were, and at the distance of the copy before. On the text of the 550 people of
//! `docs/genome.md` that is ten times as fast as `miniz_oxide` at its level 6, and the result is 12 % larger.

use super::huffman::{codes, lengths};

/// The most text: places in it have sixteen bits.
pub(super) const MOST: usize = 1 << 16;
const LITERALS: usize = 286;
const DISTANCES: usize = 30;
const END: usize = 256;
const SHORTEST: usize = 4;
const LONGEST: usize = 258;
const WINDOW: usize = 1 << 15;
const HASH_BITS: u32 = 13;
const PLACES: usize = 1 << HASH_BITS;
/// Below this length, a copy that begins one byte later may be better.
const GOOD: usize = 16;
/// Places inside of a copy up to this length are remembered; in longer ones nothing new is to be found.
const REMEMBERED: usize = 40;

/// Base and extra bits of the codes of lengths from 257 on, and of distances (section 3.2.5).
const LENGTH_BASE: [u16; 29] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
    227, 258,
];
const LENGTH_EXTRA: [u8; 29] =
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_BASE: [u16; 30] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073,
    4097, 6145, 8193, 12289, 16385, 24577,
];
const DISTANCE_EXTRA: [u8; 30] =
    [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];

/// Code of each length less three.
const LENGTH_CODE: [u8; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 29 {
        let mut at = LENGTH_BASE[code] as usize - 3;
        while at < 256 {
            table[at] = code as u8;
            at += 1;
        }
        code += 1;
    }
    table
};

/// Code of each distance less one: up to 255 itself, above 256 and its upper bits.
const DISTANCE_CODE: [u8; 512] = {
    let mut table = [0; 512];
    let mut code = 0;
    while code < 30 {
        let distance = DISTANCE_BASE[code] as usize - 1;
        let mut at = if distance < 256 { distance } else { 256 + (distance >> 7) };
        while at < 512 {
            table[at] = code as u8;
            at += 1;
        }
        code += 1;
    }
    table
};

/// What a text is made of.
#[derive(Clone, Copy)]
enum Token {
    Literal(u8),
    /// Length less three, distance less one.
    Copy(u8, u16),
}

/// Compresses texts, one after the other; what one was is not remembered for the next.
pub(super) struct Deflate {
    /// Where four bytes, and sixteen, were last seen.
    near: Box<[u16; PLACES]>,
    far: Box<[u16; PLACES]>,
    tokens: Vec<Token>,
    literals: [u32; LITERALS],
    distances: [u32; DISTANCES],
}

impl Deflate {
    pub(super) fn new() -> Self {
        Self {
            near: Box::new([0; PLACES]),
            far: Box::new([0; PLACES]),
            tokens: vec![],
            literals: [0; LITERALS],
            distances: [0; DISTANCES],
        }
    }

    /// Appends one block of dynamic codes. Of a text longer than [`MOST`], the rest is left out.
    pub(super) fn run(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let text = text.get(..MOST).unwrap_or(text);
        self.near.fill(0);
        self.far.fill(0);
        self.tokens.clear();
        self.literals.fill(0);
        self.distances.fill(0);
        let (mut at, mut last) = (0, SHORTEST);
        while let Some(&byte) = text.get(at) {
            let mut found = self.find(text, at, last);
            if let Some((length, _)) = found
                && length < GOOD
                && let Some(later) = self.find(text, at + 1, last)
                && later.0 > length + 1
            {
                self.literal(byte);
                at += 1;
                found = Some(later);
            }
            let Some((length, distance)) = found else {
                self.literal(byte);
                at += 1;
                continue;
            };
            self.copy(length, distance);
            if length < REMEMBERED {
                for inside in at + 1..at + length {
                    let _ = self.remember(text, inside);
                }
            }
            last = distance;
            at += length;
        }
        self.literals[END] = 1;
        self.write(out);
    }

    fn literal(&mut self, byte: u8) {
        self.literals[usize::from(byte)] += 1;
        self.tokens.push(Token::Literal(byte));
    }

    fn copy(&mut self, length: usize, distance: usize) {
        let (length, distance) = ((length - 3) as u8, (distance - 1) as u16);
        for (counts, code) in [
            (&mut self.literals[..], 257 + usize::from(length_code(length))),
            (&mut self.distances[..], usize::from(distance_code(distance))),
        ] {
            if let Some(count) = counts.get_mut(code) {
                *count += 1;
            }
        }
        self.tokens.push(Token::Copy(length, distance));
    }

    /// Where the bytes at a place were last seen, of which this is the newest place; `None` near the end.
    fn remember(&mut self, text: &[u8], at: usize) -> Option<[usize; 2]> {
        const PRIMES: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93];
        let bytes = text.get(at..)?.first_chunk::<16>()?;
        let next = u128::from_le_bytes(*bytes);
        let (low, high) = (next as u64, (next >> 64) as u64);
        let short = (next as u32).wrapping_mul(PRIMES[0] as u32) >> (32 - HASH_BITS);
        let long = (low.wrapping_mul(PRIMES[0]) ^ high).wrapping_mul(PRIMES[1]) >> (64 - HASH_BITS);
        let near = self.near.get_mut(short as usize)?;
        let far = self.far.get_mut(long as usize)?;
        let places = [usize::from(*far), usize::from(*near)];
        (*near, *far) = (at as u16, at as u16);
        Some(places)
    }

    /// Length and distance of a copy.
    fn find(&mut self, text: &[u8], at: usize, last: usize) -> Option<(usize, usize)> {
        let [far, near] = self.remember(text, at)?;
        let mut best = (SHORTEST - 1, 0);
        for from in [at.saturating_sub(last), far, near] {
            // A place that was never set is 0, and is compared like any other.
            if from >= at || at - from > WINDOW {
                continue;
            }
            let length = same(text, from, at);
            if length > best.0 {
                best = (length, at - from);
                if length == LONGEST {
                    break;
                }
            }
        }
        (best.1 > 0).then_some(best)
    }

    fn write(&self, out: &mut Vec<u8>) {
        let literal_lengths = lengths(&self.literals, 15);
        let mut distance_lengths = lengths(&self.distances, 15);
        if self.distances.iter().all(|count| *count == 0) {
            // One code of one bit, which is not used (section 3.2.7).
            distance_lengths[0] = 1;
        }
        let (literal_codes, distance_codes) = (codes(&literal_lengths), codes(&distance_lengths));
        let mut bits = Bits { out, buffer: 0, count: 0 };
        // The last block, with dynamic codes.
        bits.put(0b101, 3);
        write_lengths(&mut bits, &literal_lengths, &distance_lengths);
        let symbol = |bits: &mut Bits<'_>, codes: &[u16], lengths: &[u8], at: usize| {
            if let (Some(code), Some(length)) = (codes.get(at), lengths.get(at)) {
                bits.put(*code, *length);
            }
        };
        for token in &self.tokens {
            match *token {
                Token::Literal(byte) => {
                    symbol(&mut bits, &literal_codes, &literal_lengths, usize::from(byte));
                }
                Token::Copy(length, distance) => {
                    let code = usize::from(length_code(length));
                    symbol(&mut bits, &literal_codes, &literal_lengths, 257 + code);
                    if let (Some(base), Some(extra)) = (LENGTH_BASE.get(code), LENGTH_EXTRA.get(code)) {
                        bits.put(u16::from(length) + 3 - base, *extra);
                    }
                    let code = usize::from(distance_code(distance));
                    symbol(&mut bits, &distance_codes, &distance_lengths, code);
                    if let (Some(base), Some(extra)) = (DISTANCE_BASE.get(code), DISTANCE_EXTRA.get(code)) {
                        bits.put(distance + 1 - base, *extra);
                    }
                }
            }
        }
        symbol(&mut bits, &literal_codes, &literal_lengths, END);
        bits.end();
    }
}

fn length_code(length: u8) -> u8 {
    LENGTH_CODE[usize::from(length)]
}

fn distance_code(distance: u16) -> u8 {
    let distance = usize::from(distance);
    let place = if distance < 256 { distance } else { 256 + (distance >> 7) };
    DISTANCE_CODE[place & 511]
}

/// How many bytes from two places on are the same, up to the longest copy.
fn same(text: &[u8], from: usize, at: usize) -> usize {
    let most = LONGEST.min(text.len() - at);
    let (Some(left), Some(right)) = (text.get(from..from + most), text.get(at..at + most)) else { return 0 };
    let (left, left_rest) = left.as_chunks::<8>();
    let (right, right_rest) = right.as_chunks::<8>();
    for (index, (left, right)) in left.iter().zip(right).enumerate() {
        let difference = u64::from_le_bytes(*left) ^ u64::from_le_bytes(*right);
        if difference != 0 {
            return 8 * index + (difference.trailing_zeros() / 8) as usize;
        }
    }
    8 * left.len() + left_rest.iter().zip(right_rest).take_while(|(left, right)| left == right).count()
}

/// The lengths of both codes, run by run, in a code of their own (section 3.2.7).
fn write_lengths(bits: &mut Bits<'_>, literals: &[u8; LITERALS], distances: &[u8; DISTANCES]) {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let used = |lengths: &[u8]| lengths.iter().rposition(|length| *length > 0).map_or(0, |last| last + 1);
    let (literal_count, distance_count) = (used(literals).max(END + 1), used(distances).max(1));
    let all = literals.iter().take(literal_count).chain(distances.iter().take(distance_count));
    let all: Vec<u8> = all.copied().collect();
    // Symbol, extra bits and how many of them.
    let mut runs: Vec<(u8, u16, u8)> = vec![];
    for run in all.chunk_by(|left, right| left == right) {
        let (value, mut left) = (run.first().copied().unwrap_or_default(), run.len());
        if value > 0 {
            runs.push((value, 0, 0));
            left -= 1;
        }
        while left >= 3 {
            let (symbol, least, most, extra) = match (value, left) {
                (0, 11..) => (18, 11, 138, 7),
                (0, _) => (17, 3, 10, 3),
                _ => (16, 3, 6, 2),
            };
            let count = left.min(most);
            runs.push((symbol, (count - least) as u16, extra));
            left -= count;
        }
        runs.extend((0..left).map(|_| (value, 0, 0)));
    }
    let mut counts = [0_u32; 19];
    for (symbol, ..) in &runs {
        if let Some(count) = counts.get_mut(usize::from(*symbol)) {
            *count += 1;
        }
    }
    let lengths = lengths(&counts, 7);
    let codes = codes(&lengths);
    let length = |symbol: usize| lengths.get(symbol).copied().unwrap_or_default();
    let count = ORDER.iter().rposition(|symbol| length(*symbol) > 0).map_or(0, |last| last + 1).max(4);
    bits.put((literal_count - END - 1) as u16, 5);
    bits.put((distance_count - 1) as u16, 5);
    bits.put((count - 4) as u16, 4);
    for symbol in ORDER.iter().take(count) {
        bits.put(u16::from(length(*symbol)), 3);
    }
    for (symbol, value, extra) in runs {
        let symbol = usize::from(symbol);
        bits.put(codes.get(symbol).copied().unwrap_or_default(), length(symbol));
        bits.put(value, extra);
    }
}

/// Bits, lowest first.
struct Bits<'a> {
    out: &'a mut Vec<u8>,
    buffer: u64,
    count: u8,
}

impl Bits<'_> {
    fn put(&mut self, value: u16, count: u8) {
        self.buffer |= u64::from(value) << self.count;
        self.count += count;
        if self.count >= 32 {
            self.out.extend_from_slice(&(self.buffer as u32).to_le_bytes());
            self.buffer >>= 32;
            self.count -= 32;
        }
    }

    fn end(self) {
        let bytes = self.buffer.to_le_bytes();
        self.out.extend_from_slice(bytes.get(..usize::from(self.count.div_ceil(8))).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::super::inflate::Inflate;
    use super::{Deflate, MOST};

    /// Both decoders read what was written, and it has the size.
    fn size(text: &[u8]) -> usize {
        let (mut out, mut deflate) = (vec![], Deflate::new());
        deflate.run(b"what was before is not remembered", &mut out);
        out.clear();
        deflate.run(text, &mut out);
        assert!(miniz_oxide::inflate::decompress_to_vec(&out).unwrap() == text);
        let mut again = vec![1; text.len()];
        Inflate::new().run(&out, &mut again).unwrap();
        assert!(again == text);
        out.len()
    }

    /// Bytes without a pattern (SplitMix64).
    fn drawn(count: u64) -> Vec<u8> {
        let byte = |n: u64| {
            let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            ((n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 56) as u8
        };
        (1..=count).map(|n| byte(n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect()
    }

    #[test]
    fn sizes() {
        assert!(size(b"") < 16);
        assert!(size(b"a") < 20);
        assert!(size(&b"0|0\t".repeat(MOST / 4)) < 200);
        // A line much like the one before costs little; drawn bytes cannot shrink and hardly grow.
        let line = drawn(5_000);
        let (once, twice) = (size(&line), size(&[line.clone(), line].concat()));
        assert!((5_000..5_400).contains(&once) && twice < once + 100, "{once} {twice}");
    }

    #[test]
    fn every_length_and_distance() {
        let drawn = drawn(40_000);
        for distance in (1..64).chain([255, 256, 257, 512, 4_096, 16_385, 32_767, 32_768, 32_769]) {
            for length in [4, 5, 17, 39, 40, 41, 257, 258, 259] {
                let start = &drawn[..distance];
                let copied: Vec<u8> = start.iter().cycle().take(length).copied().collect();
                size(&[start, &copied, b"end"].concat());
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            cells in prop::collection::vec((0_usize..6, 1_usize..200), 0..200),
            drawn in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let cells = cells.iter().map(|(cell, count)| ["0|0\t", "0|1\t", "1/1:12,3\t", "./.\n", "a", "\t"][*cell].repeat(*count));
            let text = [cells.collect::<String>().into_bytes(), drawn].concat();
            size(&text[..text.len().min(MOST)]);
        }
    }
}
