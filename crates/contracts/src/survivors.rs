//! The set of a round's survivors as the ledger has it: donor `i` is bit `i % 256` of word `i / 256`.

use alloy_primitives::U256;

/// Whether a donor is in the set.
pub fn has(bitmap: &[U256], donor: u16) -> bool {
    bitmap.get(usize::from(donor / 256)).is_some_and(|word| word.bit(usize::from(donor % 256)))
}

/// The donors of the set, ascending.
pub fn listed(bitmap: &[U256]) -> Vec<u16> {
    (0..=u16::MAX).take(bitmap.len() * 256).filter(|&donor| has(bitmap, donor)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bitmap_is_read_word_by_word() {
        let word = |bits: &[usize]| bits.iter().fold(U256::ZERO, |word, &bit| word | (U256::from(1) << bit));
        let set = [word(&[1, 2, 255]), word(&[0, 3])];
        assert_eq!(listed(&set), [1, 2, 255, 256, 259]);
        assert!(has(&set, 259) && !has(&set, 258) && !has(&set, u16::MAX));
        assert!(listed(&[]).is_empty());
        assert!(listed(&vec![U256::ZERO; 300]).is_empty());
    }
}
