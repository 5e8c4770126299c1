//! Changes to valid bytes, as damage and malice make them.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::Rng;

/// Texts that parsers of numbers, JSON and tables stumble over.
const TEXTS: [&[u8]; 14] = [
    b"18446744073709551616",
    b"-0",
    b"1e999",
    b"1e-400",
    b"0.30000000000000004",
    b"null",
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"\"\"",
    b"\r\n",
    b"[[[[[[[[",
    b"{}",
    b"NaN",
];

/// Numbers at the edges of lengths and bounds.
const NUMBERS: [u64; 9] = [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 52, u64::MAX];

fn below(rng: &mut ChaCha20Rng, most: usize) -> usize {
    (rng.next_u64() % (most.max(1) as u64)) as usize
}

/// The bytes with one to four changes: flipped bits, other bytes, a cut, an addition, a part twice or elsewhere, two words
/// exchanged (lengths are such), a number or a text from the edges.
pub fn mutate(seed: &[u8], rng: &mut ChaCha20Rng) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=below(rng, 4) {
        change(&mut bytes, rng);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, rng: &mut ChaCha20Rng) {
    let len = bytes.len();
    if len == 0 {
        return bytes.push(rng.next_u32() as u8);
    }
    let (at, other) = (below(rng, len), below(rng, len));
    match below(rng, 10) {
        0 => bytes[at] ^= 1 << below(rng, 8),
        1 => bytes[at] = rng.next_u32() as u8,
        2 => bytes.truncate(at),
        3 => bytes.extend((0..=below(rng, 16)).map(|_| rng.next_u32() as u8)),
        // A part is gone, or there twice.
        4 => drop(bytes.drain(at..at + below(rng, len - at))),
        5 => {
            let part = bytes[at..at + below(rng, (len - at).min(64))].to_vec();
            bytes.splice(other..other, part).for_each(drop);
        }
        // Words change places.
        6 => {
            let width = [1, 2, 4, 8][below(rng, 4)];
            if at.abs_diff(other) >= width && at.max(other) + width <= len {
                (0..width).for_each(|i| bytes.swap(at + i, other + i));
            }
        }
        7 | 8 => {
            let number = NUMBERS[below(rng, NUMBERS.len())].to_le_bytes();
            let width = [1, 2, 4, 8][below(rng, 4)].min(len - at);
            bytes[at..at + width].copy_from_slice(&number[..width]);
        }
        _ => {
            let text = TEXTS[below(rng, TEXTS.len())];
            let over = below(rng, (len - at).min(8));
            bytes.splice(at..at + over, text.iter().copied()).for_each(drop);
        }
    }
}
