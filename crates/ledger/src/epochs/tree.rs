//! The Merkle tree of OpenZeppelin's `StandardMerkleTree`.

use alloy::primitives::{Address, B256, Keccak256, U256, keccak256};

/// A complete binary tree in an array: the root is node 0, the children of node i are 2i + 1 and 2i + 2. The sorted leaves
/// stand at its end, from back to front.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    nodes: Vec<B256>,
    /// The node of each entry.
    places: Vec<u32>,
}

impl Tree {
    /// `entries` is not empty and has fewer than 2^32 of them.
    pub(super) fn new(entries: &[(Address, U256)]) -> Self {
        let mut leaves: Vec<(B256, u32)> = (0..).zip(entries).map(|(i, entry)| (leaf(entry), i)).collect();
        leaves.sort_unstable();
        let inner = leaves.len().saturating_sub(1);
        let mut nodes = vec![B256::ZERO; inner];
        nodes.extend(leaves.iter().rev().map(|(hash, _)| *hash));
        let last = nodes.len().saturating_sub(1);
        let mut places = vec![0; leaves.len()];
        for (rank, (_, entry)) in leaves.iter().enumerate() {
            if let Some(place) = places.get_mut(*entry as usize) {
                *place = u32::try_from(last - rank).unwrap_or(u32::MAX);
            }
        }
        drop(leaves);
        for i in (0..inner).rev() {
            if let (Some(a), Some(b)) = (nodes.get(2 * i + 1), nodes.get(2 * i + 2)) {
                let hash = pair(a, b);
                if let Some(node) = nodes.get_mut(i) {
                    *node = hash;
                }
            }
        }
        Self { nodes, places }
    }

    pub(super) fn root(&self) -> B256 {
        self.nodes.first().copied().unwrap_or_default()
    }

    /// The siblings on the way from an entry to the root.
    pub(super) fn proof(&self, entry: usize) -> Option<Vec<B256>> {
        let mut node = *self.places.get(entry)? as usize;
        let mut proof = Vec::new();
        while node > 0 {
            // Left children are odd.
            let sibling = if node % 2 == 1 { node + 1 } else { node - 1 };
            proof.push(*self.nodes.get(sibling)?);
            node = (node - 1) / 2;
        }
        Some(proof)
    }
}

/// Hashed twice, so that no inner node can be taken for a leaf.
fn leaf((account, due): &(Address, U256)) -> B256 {
    let mut word = [0; 64];
    if let Some(place) = word.get_mut(12..32) {
        place.copy_from_slice(account.as_slice());
    }
    if let Some(place) = word.get_mut(32..) {
        place.copy_from_slice(&due.to_be_bytes::<32>());
    }
    keccak256(keccak256(word))
}

fn pair(a: &B256, b: &B256) -> B256 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    let mut hasher = Keccak256::new();
    hasher.update(low);
    hasher.update(high);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use alloy::primitives::{address, b256};

    use super::*;

    /// What a contract does with a proof.
    fn root_of(entry: &(Address, U256), proof: &[B256]) -> B256 {
        proof.iter().fold(leaf(entry), |hash, sibling| pair(&hash, sibling))
    }

    #[test]
    fn the_example_of_openzeppelin() {
        // The values and the root of the quick start of `@openzeppelin/merkle-tree`.
        let e18 = |text: &str| U256::from_str_radix(text, 10).unwrap();
        let entries = [
            (address!("0x1111111111111111111111111111111111111111"), e18("5000000000000000000")),
            (address!("0x2222222222222222222222222222222222222222"), e18("2500000000000000000")),
        ];
        let tree = Tree::new(&entries);
        assert_eq!(tree.root(), b256!("0xd4dee0beab2d53f2cc83e567171bd2820e49898130a22622b10ead383e90bd77"));
        assert_eq!(
            tree.proof(0).unwrap(),
            [b256!("0xb92c48e9d7abe27fd8dfd6b5dfdbfb1c9a463f80c712b66f3a5180a090cccafc")]
        );
    }

    #[test]
    fn every_entry_of_every_small_list_is_proved_and_nothing_else() {
        for n in 1..=33u64 {
            let entries: Vec<_> = (0..n)
                .map(|i| (Address::left_padding_from(&(i + 1).to_be_bytes()), U256::from(i * 7)))
                .collect();
            let tree = Tree::new(&entries);
            for (i, entry) in entries.iter().enumerate() {
                let proof = tree.proof(i).unwrap();
                assert_eq!(root_of(entry, &proof), tree.root(), "{i} of {n}");
                let more = (entry.0, entry.1 + U256::from(1));
                assert_ne!(root_of(&more, &proof), tree.root());
            }
            assert_eq!(tree.proof(entries.len()), None);
        }
    }
}
