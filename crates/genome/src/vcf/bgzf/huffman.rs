//! Prefix codes of least length (Huffman 1952), as deflate numbers them (RFC 1951, section 3.2.2).

/// Lengths of the codes of symbols that come so often, of at most `most` bits; 0 of one that does not come.
pub(super) fn lengths<const SYMBOLS: usize>(counts: &[u32; SYMBOLS], most: u8) -> [u8; SYMBOLS] {
    let mut counts = *counts;
    loop {
        let found = shortest(&counts);
        if found.iter().all(|length| *length <= most) {
            return found;
        }
        // Rare symbols get nearer to common ones: in the end all come equally often, and no code is long.
        counts.iter_mut().filter(|count| **count > 0).for_each(|count| *count = (*count >> 1) | 1);
    }
}

fn shortest<const SYMBOLS: usize>(counts: &[u32; SYMBOLS]) -> [u8; SYMBOLS] {
    let mut lengths = [0; SYMBOLS];
    let mut leaves: Vec<(u32, usize)> = counts.iter().copied().zip(0..).filter(|leaf| leaf.0 > 0).collect();
    leaves.sort_unstable();
    if let [(_, only)] = leaves[..]
        && let Some(length) = lengths.get_mut(only)
    {
        *length = 1;
    }
    // The lightest two of leaves and nodes become a node; nodes are made in the order of their weight.
    let count = leaves.len();
    let mut weights: Vec<u32> = leaves.iter().map(|leaf| leaf.0).collect();
    let mut parents = vec![0; (2 * count).saturating_sub(1)];
    let (mut leaf, mut node) = (0, count);
    for new in count..parents.len() {
        let mut weight = 0_u32;
        for _ in 0..2 {
            let of = |at: usize, end: usize| if at < end { weights.get(at).copied() } else { None };
            let next = match (of(leaf, count), of(node, new)) {
                (Some(light), Some(other)) if light > other => &mut node,
                (Some(_), _) => &mut leaf,
                (None, _) => &mut node,
            };
            weight = weight.saturating_add(weights.get(*next).copied().unwrap_or_default());
            if let Some(parent) = parents.get_mut(*next) {
                *parent = new;
            }
            *next += 1;
        }
        weights.push(weight);
    }
    let mut depths = vec![0_u8; parents.len()];
    for at in (0..parents.len().saturating_sub(1)).rev() {
        let above = parents.get(at).and_then(|parent| depths.get(*parent)).copied().unwrap_or_default();
        if let Some(depth) = depths.get_mut(at) {
            *depth = above.saturating_add(1);
            let symbol = leaves.get(at).and_then(|leaf| lengths.get_mut(leaf.1));
            symbol.into_iter().for_each(|length| *length = above.saturating_add(1));
        }
    }
    lengths
}

/// The codes, first bit lowest.
pub(super) fn codes<const SYMBOLS: usize>(lengths: &[u8; SYMBOLS]) -> [u16; SYMBOLS] {
    let mut next = [0_u16; 17];
    for length in 1..16_u8 {
        let shorter = lengths.iter().filter(|other| **other == length).count() as u16;
        let Some([code, after]) = next.get_mut(usize::from(length)..).and_then(|rest| rest.first_chunk_mut())
        else {
            continue;
        };
        *after = (*code + shorter) << 1;
    }
    lengths.map(|length| {
        let Some(next) = next.get_mut(usize::from(length)).filter(|_| length > 0) else { return 0 };
        *next += 1;
        (*next - 1).reverse_bits() >> (16 - length)
    })
}

#[cfg(test)]
mod tests {
    use super::{codes, lengths};

    #[test]
    fn lengths_of_codes() {
        assert_eq!(lengths(&[0; 4], 15), [0; 4]);
        assert_eq!(lengths(&[0, 7, 0], 15), [0, 1, 0]);
        assert_eq!(lengths(&[1, 1], 15), [1, 1]);
        // By hand: 1 + 2 = 3, 3 + 3 = 6, 6 + 9.
        assert_eq!(lengths(&[1, 2, 3, 9], 15), [3, 3, 2, 1]);
        // Fibonacci's numbers give the longest codes.
        let mut counts = [1_u32; 24];
        (2..24).for_each(|at| counts[at] = counts[at - 1] + counts[at - 2]);
        assert_eq!(lengths(&counts, 24).iter().max(), Some(&23));
        let limited = lengths(&counts, 15);
        assert!(limited.iter().all(|length| (1..=15).contains(length)));
        assert_eq!(limited.iter().map(|length| 1 << (15 - length)).sum::<u32>(), 1 << 15);
    }

    #[test]
    fn the_example_of_the_standard() {
        // Section 3.2.2: A to H.
        let codes = codes(&[3, 3, 3, 3, 3, 2, 4, 4]);
        let shown = [0b010, 0b110, 0b001, 0b101, 0b011, 0b00, 0b0111, 0b1111];
        assert_eq!(codes, shown);
    }
}
