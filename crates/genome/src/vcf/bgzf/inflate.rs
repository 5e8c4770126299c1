//! Deflate (RFC 1951) from one slice into another whose length is known: what a BGZF block is.
//!
//! The text of genotypes is long copies at short distances, often of four bytes (`0|0` and a tab). General decoders make
//! them byte by byte; here a distance of one, two, four or eight bytes is a word that is put down again and again, and a
//! long one goes in pieces of 32 bytes. With nothing to keep between calls, that makes it 1.6 to 2 times as fast on such
//! text as `miniz_oxide`, the fastest of the other decoders without C, which is the oracle of the tests.

/// What is wrong with the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotDeflate;

/// Bits of the first look-up for literals and lengths, and for distances.
const LITERAL_BITS: u32 = 11;
const DISTANCE_BITS: u32 = 8;
/// Entries of the tables with all their second levels: the most that complete codes of at most 15 bits need
/// (2,342 and 402, as computed by zlib's `enough`), rounded up. Codes that need more are not complete and are refused.
const LITERAL_ENTRIES: usize = 2400;
const DISTANCE_ENTRIES: usize = 448;
const LENGTH_CODES_BITS: u32 = 7;

/// Entries: length of the code in the low five bits, kind in the next three, extra bits (or bits of the second level) in the
/// second byte, and a value in the upper half: the literal, the base of a length or distance, the place of the second level.
const CODE: u32 = 0x1f;
const KIND: u32 = 0xe0;
const LITERAL: u32 = 0;
const COPY: u32 = 1 << 5;
const END: u32 = 2 << 5;
const SECOND: u32 = 3 << 5;
const INVALID: u32 = 4 << 5;

/// The longest copy, and the room that a copy may use behind its end.
const COPY_ROOM: usize = 258 + 32;

pub(super) struct Inflate {
    literals: Box<[u32; LITERAL_ENTRIES]>,
    distances: Box<[u32; DISTANCE_ENTRIES]>,
}

impl Inflate {
    pub(super) fn new() -> Self {
        Self { literals: Box::new([0; LITERAL_ENTRIES]), distances: Box::new([0; DISTANCE_ENTRIES]) }
    }

    /// Fills `output`. The data must end with the output and use all of the input.
    pub(super) fn run(&mut self, input: &[u8], output: &mut [u8]) -> Result<(), NotDeflate> {
        let mut bits = Bits { input, at: 0, buffer: 0, count: 0 };
        let mut at = 0;
        loop {
            let is_last = bits.take(1)? == 1;
            match bits.take(2)? {
                0 => at = bits.copy_stored(output, at)?,
                1 => {
                    self.build_fixed()?;
                    at = self.run_block(&mut bits, output, at)?;
                }
                2 => {
                    self.build_dynamic(&mut bits)?;
                    at = self.run_block(&mut bits, output, at)?;
                }
                _ => return Err(NotDeflate),
            }
            if is_last {
                break;
            }
        }
        bits.give_back();
        if at == output.len() && bits.at == input.len() { Ok(()) } else { Err(NotDeflate) }
    }

    fn run_block(&self, bits: &mut Bits<'_>, output: &mut [u8], mut at: usize) -> Result<usize, NotDeflate> {
        // Far from both ends: 56 bits at least after each refill, and room to write beyond the end of a copy.
        while bits.refill_fast() && at + COPY_ROOM < output.len() {
            let mut entry = self.literal(bits.buffer)?;
            // Two literals of 15 bits, and the literal or length after them needs a refill.
            for _ in 0..2 {
                if entry & KIND != LITERAL {
                    break;
                }
                bits.skip(entry & CODE);
                if let Some(byte) = output.get_mut(at) {
                    *byte = value(entry) as u8;
                }
                at += 1;
                entry = self.literal(bits.buffer)?;
            }
            if entry & KIND == LITERAL {
                continue;
            }
            // At most 48 bits from here on; 26 at least are left after two literals, so look again.
            bits.refill_fast();
            match entry & KIND {
                END => {
                    bits.skip(entry & CODE);
                    return Ok(at);
                }
                COPY => {}
                _ => return Err(NotDeflate),
            }
            if bits.count < 48 {
                // The input is nearly over, and the refill could not help.
                break;
            }
            bits.skip(entry & CODE);
            let length = value(entry) + bits.pull(extra(entry)) as usize;
            let entry = self.distance(bits.buffer)?;
            bits.skip(entry & CODE);
            let distance = value(entry) + bits.pull(extra(entry)) as usize;
            copy_fast(output, at, distance, length)?;
            at += length;
        }
        // Near an end: one symbol at a time, everything looked at.
        loop {
            bits.refill_slow();
            let entry = self.literal(bits.buffer)?;
            bits.consume(entry & CODE)?;
            match entry & KIND {
                LITERAL => {
                    *output.get_mut(at).ok_or(NotDeflate)? = value(entry) as u8;
                    at += 1;
                }
                END => return Ok(at),
                _ => {
                    let length = value(entry) + bits.take(extra(entry))? as usize;
                    bits.refill_slow();
                    let entry = self.distance(bits.buffer)?;
                    bits.consume(entry & CODE)?;
                    let distance = value(entry) + bits.take(extra(entry))? as usize;
                    let source = at.checked_sub(distance).ok_or(NotDeflate)?;
                    if length > output.len() - at {
                        return Err(NotDeflate);
                    }
                    for offset in 0..length {
                        let byte = output.get(source + offset).copied().ok_or(NotDeflate)?;
                        *output.get_mut(at + offset).ok_or(NotDeflate)? = byte;
                    }
                    at += length;
                }
            }
        }
    }

    /// The entry for a literal or length.
    #[inline(always)]
    fn literal(&self, buffer: u64) -> Result<u32, NotDeflate> {
        look_up(&self.literals[..], buffer, LITERAL_BITS)
    }

    #[inline(always)]
    fn distance(&self, buffer: u64) -> Result<u32, NotDeflate> {
        look_up(&self.distances[..], buffer, DISTANCE_BITS)
    }

    fn build_fixed(&mut self) -> Result<(), NotDeflate> {
        let mut lengths = [8; 288];
        lengths[144..256].fill(9);
        lengths[256..280].fill(7);
        build(&lengths, LITERAL_BITS, &mut self.literals[..], literal_entry)?;
        build(&[5; 32], DISTANCE_BITS, &mut self.distances[..], distance_entry)
    }

    fn build_dynamic(&mut self, bits: &mut Bits<'_>) -> Result<(), NotDeflate> {
        const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let literals = bits.take(5)? as usize + 257;
        let distances = bits.take(5)? as usize + 1;
        let codes = bits.take(4)? as usize + 4;
        let mut code_lengths = [0; 19];
        for &place in ORDER.iter().take(codes) {
            code_lengths[place] = bits.take(3)? as u8;
        }
        let mut table = [INVALID; 1 << LENGTH_CODES_BITS];
        build(&code_lengths, LENGTH_CODES_BITS, &mut table, |symbol| (symbol as u32) << 16)?;
        let mut lengths = [0_u8; 288 + 32 + 138];
        let wanted = literals + distances;
        let mut filled = 0;
        while filled < wanted {
            bits.refill_slow();
            let entry = look_up(&table, bits.buffer, LENGTH_CODES_BITS)?;
            bits.consume(entry & CODE)?;
            let (length, repeat) = match entry >> 16 {
                length @ 0..16 => (length as u8, 1),
                16 => {
                    let before = filled.checked_sub(1).and_then(|before| lengths.get(before));
                    (*before.ok_or(NotDeflate)?, 3 + bits.take(2)? as usize)
                }
                17 => (0, 3 + bits.take(3)? as usize),
                _ => (0, 11 + bits.take(7)? as usize),
            };
            lengths.get_mut(filled..filled + repeat).ok_or(NotDeflate)?.fill(length);
            filled += repeat;
        }
        if filled > wanted || literals > 286 || distances > 30 {
            return Err(NotDeflate);
        }
        let (literal_lengths, rest) = lengths.split_at(literals);
        // Without a code for its end, a block has none.
        if literal_lengths.get(256) == Some(&0) {
            return Err(NotDeflate);
        }
        build(literal_lengths, LITERAL_BITS, &mut self.literals[..], literal_entry)?;
        let distance_lengths = rest.get(..distances).ok_or(NotDeflate)?;
        build(distance_lengths, DISTANCE_BITS, &mut self.distances[..], distance_entry)
    }
}

fn value(entry: u32) -> usize {
    (entry >> 16) as usize
}

fn extra(entry: u32) -> u32 {
    (entry >> 8) & 0xff
}

/// The entry of the code that the buffer begins with.
#[inline(always)]
fn look_up(table: &[u32], buffer: u64, bits: u32) -> Result<u32, NotDeflate> {
    let index = (buffer & ((1 << bits) - 1)) as usize;
    let entry = table.get(index).copied().ok_or(NotDeflate)?;
    if entry & KIND < SECOND {
        return Ok(entry);
    }
    if entry & KIND == INVALID {
        return Err(NotDeflate);
    }
    let second = ((buffer >> bits) & ((1 << extra(entry)) - 1)) as usize;
    table.get(value(entry) + second).copied().filter(|entry| entry & KIND < SECOND).ok_or(NotDeflate)
}

/// Entry of a literal, a length or the end, without the length of its code (RFC 1951, section 3.2.5).
fn literal_entry(symbol: usize) -> u32 {
    const BASES: [u32; 29] = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163,
        195, 227, 258,
    ];
    match symbol {
        0..256 => LITERAL | (symbol as u32) << 16,
        256 => END,
        _ => match BASES.get(symbol - 257) {
            Some(base) => {
                let extra = if symbol < 261 || symbol == 285 { 0 } else { (symbol as u32 - 261) / 4 };
                COPY | extra << 8 | base << 16
            }
            None => INVALID,
        },
    }
}

/// Entry of a distance, likewise.
fn distance_entry(symbol: usize) -> u32 {
    let symbol = symbol as u32;
    match symbol {
        0..4 => COPY | (symbol + 1) << 16,
        4..30 => {
            let extra = symbol / 2 - 1;
            COPY | extra << 8 | (((2 + symbol % 2) << extra) + 1) << 16
        }
        _ => INVALID,
    }
}

/// Fills a table of two levels from the lengths of canonical codes (RFC 1951, section 3.2.2). The codes must be complete,
/// or be one code of one bit, or none.
fn build(
    lengths: &[u8],
    bits: u32,
    table: &mut [u32],
    entry_of: impl Fn(usize) -> u32,
) -> Result<(), NotDeflate> {
    const LONGEST: usize = 15;
    let mut counts = [0_u32; LONGEST + 1];
    for &length in lengths {
        *counts.get_mut(usize::from(length)).ok_or(NotDeflate)? += 1;
    }
    let used = lengths.len() as u32 - counts[0];
    counts[0] = 0;
    let mut next_code = [0_u32; LONGEST + 2];
    let mut room = 1_u32;
    for length in 1..=LONGEST {
        room = (room << 1).checked_sub(counts[length]).ok_or(NotDeflate)?;
        next_code[length + 1] = (next_code[length] + counts[length]) << 1;
    }
    let is_complete = room == 0;
    let is_one_or_none = used == 0 || (used == 1 && counts[1] == 1);
    if !is_complete && !is_one_or_none {
        return Err(NotDeflate);
    }
    let first_level = 1_usize << bits;
    if !is_complete {
        table.get_mut(..first_level).ok_or(NotDeflate)?.fill(INVALID);
    }
    let mut reversed = [0_u16; 320];
    // Bits of the second level behind each prefix: those of the longest code that has it.
    let mut second_bits = [0_u8; 1 << LITERAL_BITS];
    for (symbol, &length) in lengths.iter().enumerate() {
        let length = usize::from(length);
        if length == 0 {
            continue;
        }
        let code = next_code[length];
        next_code[length] += 1;
        let code = (code as u16).reverse_bits() >> (16 - length);
        *reversed.get_mut(symbol).ok_or(NotDeflate)? = code;
        if length as u32 > bits {
            let prefix = usize::from(code) & (first_level - 1);
            second_bits[prefix] = second_bits[prefix].max((length as u32 - bits) as u8);
        }
    }
    let mut end = first_level;
    for (symbol, (&length, &code)) in lengths.iter().zip(&reversed).enumerate() {
        let (length, code) = (u32::from(length), usize::from(code));
        if length == 0 {
            continue;
        }
        let entry = entry_of(symbol) | length;
        if length <= bits {
            let places = table.get_mut(..first_level).ok_or(NotDeflate)?;
            for place in places.iter_mut().skip(code).step_by(1 << length) {
                *place = entry;
            }
            continue;
        }
        let prefix = code & (first_level - 1);
        let size = second_bits[prefix];
        // The first code with a prefix makes room for all of them, and marks it by the top bit of the size.
        if size & 0x80 == 0 {
            let pointer = SECOND | u32::from(size) << 8 | (end as u32) << 16;
            *table.get_mut(prefix).ok_or(NotDeflate)? = pointer;
            table.get_mut(end..end + (1 << size)).ok_or(NotDeflate)?.fill(INVALID);
            end += 1 << size;
            second_bits[prefix] |= 0x80;
        }
        let (start, size) = match table.get(prefix) {
            Some(pointer) => (value(*pointer), 1 << extra(*pointer)),
            None => return Err(NotDeflate),
        };
        let places = table.get_mut(start..start + size).ok_or(NotDeflate)?;
        for place in places.iter_mut().skip(code >> bits).step_by(1 << (length - bits)) {
            *place = entry;
        }
    }
    Ok(())
}

/// Copies inside the output; there must be [`COPY_ROOM`] bytes from `at` on.
#[inline(always)]
fn copy_fast(output: &mut [u8], at: usize, distance: usize, length: usize) -> Result<(), NotDeflate> {
    let source = at.checked_sub(distance).ok_or(NotDeflate)?;
    let mut done = 0;
    match distance {
        32.. => {
            while done < length {
                let piece = *piece::<32>(output, source + done)?;
                *piece_mut::<32>(output, at + done)? = piece;
                done += 32;
            }
        }
        // The text repeats itself after one, two, four or eight bytes: it is one word, again and again.
        1 | 2 | 4 | 8 => {
            let word = match distance {
                1 => u64::from(piece::<1>(output, source)?[0]) * 0x0101_0101_0101_0101,
                2 => u64::from(u16::from_le_bytes(*piece(output, source)?)) * 0x0001_0001_0001_0001,
                4 => u64::from(u32::from_le_bytes(*piece(output, source)?)) * 0x0000_0001_0000_0001,
                _ => u64::from_le_bytes(*piece(output, source)?),
            };
            while done < length {
                let (words, _) = piece_mut::<32>(output, at + done)?.as_chunks_mut::<8>();
                words.fill(word.to_le_bytes());
                done += 32;
            }
        }
        8.. => {
            while done < length {
                let piece = *piece::<8>(output, source + done)?;
                *piece_mut::<8>(output, at + done)? = piece;
                done += 8;
            }
        }
        0 => return Err(NotDeflate),
        // Three, five, six and seven bytes are rare in any text.
        _ => {
            while done < length {
                let [byte] = *piece::<1>(output, source + done)?;
                *piece_mut::<1>(output, at + done)? = [byte];
                done += 1;
            }
        }
    }
    Ok(())
}

#[inline(always)]
fn piece<const N: usize>(output: &[u8], at: usize) -> Result<&[u8; N], NotDeflate> {
    output.get(at..).and_then(|rest| rest.first_chunk()).ok_or(NotDeflate)
}

#[inline(always)]
fn piece_mut<const N: usize>(output: &mut [u8], at: usize) -> Result<&mut [u8; N], NotDeflate> {
    output.get_mut(at..).and_then(|rest| rest.first_chunk_mut()).ok_or(NotDeflate)
}

/// The input, bit by bit, least first.
struct Bits<'a> {
    input: &'a [u8],
    /// The byte that comes into the buffer next.
    at: usize,
    buffer: u64,
    /// Bits of the buffer that count. Above them may be bits that the next refill puts there once more.
    count: u32,
}

impl Bits<'_> {
    /// Makes it 56 bits at least; false when fewer than eight bytes are left, and nothing is done.
    #[inline(always)]
    fn refill_fast(&mut self) -> bool {
        let Some(word) = self.input.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) else {
            return false;
        };
        self.buffer |= u64::from_le_bytes(*word) << self.count;
        self.at += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
        true
    }

    /// The same to the last byte.
    fn refill_slow(&mut self) {
        while self.count < 56
            && let Some(&byte) = self.input.get(self.at)
        {
            self.buffer |= u64::from(byte) << self.count;
            self.at += 1;
            self.count += 8;
        }
    }

    /// Drops bits that are there.
    #[inline(always)]
    fn skip(&mut self, bits: u32) {
        self.buffer >>= bits;
        self.count -= bits;
    }

    /// Takes bits that are there.
    #[inline(always)]
    fn pull(&mut self, bits: u32) -> u64 {
        let value = self.buffer & ((1 << bits) - 1);
        self.skip(bits);
        value
    }

    /// Drops bits, if they are there.
    fn consume(&mut self, bits: u32) -> Result<(), NotDeflate> {
        if bits > self.count {
            return Err(NotDeflate);
        }
        self.skip(bits);
        Ok(())
    }

    /// Takes bits, if they are there.
    fn take(&mut self, bits: u32) -> Result<u64, NotDeflate> {
        self.refill_slow();
        if bits > self.count {
            return Err(NotDeflate);
        }
        Ok(self.pull(bits))
    }

    /// Gives whole bytes back to the input, and drops the rest of the byte.
    fn give_back(&mut self) {
        self.at -= (self.count / 8) as usize;
        (self.buffer, self.count) = (0, 0);
    }

    /// A stored block (RFC 1951, section 3.2.4).
    fn copy_stored(&mut self, output: &mut [u8], at: usize) -> Result<usize, NotDeflate> {
        self.give_back();
        let header = self.input.get(self.at..).and_then(|rest| rest.first_chunk::<4>());
        let &[low, high, not_low, not_high] = header.ok_or(NotDeflate)?;
        if (low, high) != (!not_low, !not_high) {
            return Err(NotDeflate);
        }
        let length = usize::from(u16::from_le_bytes([low, high]));
        let start = self.at + 4;
        let from = self.input.get(start..start + length).ok_or(NotDeflate)?;
        output.get_mut(at..at + length).ok_or(NotDeflate)?.copy_from_slice(from);
        self.at = start + length;
        Ok(at + length)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use miniz_oxide::deflate::compress_to_vec;
    use miniz_oxide::inflate::decompress_slice_iter_to_slice;
    use proptest::prelude::*;

    use super::{Inflate, NotDeflate};

    fn run(input: &[u8], length: usize) -> Result<Vec<u8>, NotDeflate> {
        // What an earlier run left behind must not matter.
        let mut inflate = Inflate::new();
        inflate.literals.fill(7);
        inflate.distances.fill(7);
        let mut output = vec![b'?'; length];
        inflate.run(input, &mut output).map(|()| output)
    }

    #[test]
    fn blocks_of_each_kind() {
        assert_eq!(run(&[3, 0], 0), Ok(vec![]));
        assert_eq!(run(&[1, 2, 0, 0xfd, 0xff, b'h', b'i'], 2), Ok(b"hi".to_vec()));
        // Fixed codes: `hello` and a line feed.
        assert_eq!(run(&[0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0xe7, 2, 0], 6), Ok(b"hello\n".to_vec()));
        for (input, length) in [
            (&[3, 0][..], 1),
            (&[3, 0, 0], 0),
            (&[7, 0], 0),
            (&[], 0),
            (&[1, 2, 0, 0xfd, 0xfe, b'h', b'i'], 2),
            (&[1, 2, 0, 0xfd, 0xff, b'h'], 2),
            (&[0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0xe7, 2, 0], 5),
            (&[0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0xe7], 6),
        ] {
            assert_eq!(run(input, length), Err(NotDeflate), "{input:?}");
        }
    }

    /// Byte values of halving frequency have codes of every length up to the longest, so that both levels are used; values
    /// of equal frequency have hardly any copies.
    #[test]
    fn codes_of_every_length() {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let skewed: Vec<u8> = (0..65_280).map(|_| b'A' + next().trailing_zeros() as u8).collect();
        let flat: Vec<u8> = (0..65_280).map(|_| next() as u8).collect();
        let mixed: Vec<u8> =
            (0..65_280).map(|at| if at % 3 == 0 { skewed[at] } else { flat[at / 7] }).collect();
        for text in [skewed, flat, mixed] {
            for level in [1, 6, 9] {
                assert!(run(&compress_to_vec(&text, level), text.len()) == Ok(text.clone()));
            }
        }
    }

    /// Text with runs of each distance and literals between.
    fn texts() -> impl Strategy<Value = Vec<u8>> {
        let part = (prop::collection::vec(any::<u8>(), 1..40), 1_usize..200, 0_u8..4);
        prop::collection::vec(part, 0..40).prop_map(|parts| {
            let mut text = vec![];
            for (bytes, count, kind) in parts {
                match kind {
                    0 => text.extend(bytes.iter().cycle().take(count * 3)),
                    1 => text.extend(b"0|0\t".iter().cycle().take(4 * count)),
                    2 => text.extend(bytes.iter().map(|byte| b"0|1\t"[usize::from(byte % 4)])),
                    _ => text.extend(&bytes),
                }
            }
            text
        })
    }

    proptest! {
        #[test]
        fn gives_back_what_was_compressed(text in texts(), level in 0_u8..10) {
            let data = compress_to_vec(&text, level);
            prop_assert_eq!(run(&data, text.len()), Ok(text.clone()));
            prop_assert_eq!(run(&data, text.len() + 1), Err(NotDeflate));
            if !text.is_empty() {
                prop_assert_eq!(run(&data, text.len() - 1), Err(NotDeflate));
                prop_assert_eq!(run(&data[..data.len() - 1], text.len()), Err(NotDeflate));
            }
        }

        /// Damaged data give an error, or what the other decoder gives.
        #[test]
        fn agrees_with_another_decoder(text in texts(), level in 0_u8..10, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
            let mut data = compress_to_vec(&text, level);
            for (at, byte) in changes {
                let at = at.index(data.len());
                data[at] = byte;
            }
            if let Ok(found) = run(&data, text.len()) {
                let mut expected = vec![0; text.len()];
                let count = decompress_slice_iter_to_slice(&mut expected, std::iter::once(data.as_slice()), false, true);
                prop_assert_eq!(count, Ok(text.len()));
                prop_assert_eq!(found, expected);
            }
        }

        #[test]
        fn any_bytes_never_panic(data in prop::collection::vec(any::<u8>(), 0..300), length in 0_usize..1000) {
            let _ = run(&data, length);
        }
    }
}
