//! A dataset on the ledger: one Merkle root over salted rows.
//!
//! `salt_i = HMAC-SHA-256(salt key, i)`, `leaf_i = H("histone/row/v1", i, salt_i, row bytes)`, inner nodes
//! `H("histone/node/v1", left, right)`, an odd node moves up as it is, and the root binds the number of rows:
//! `H("histone/dataset/v1", rows, top)`. `H` is [`crate::hash::tagged_hash`]. Without the salt key a root says nothing
//! about any row; destroying that key is the erasure of what the ledger holds.

use std::fmt;

use alloy_primitives::B256;
use hmac::{Hmac, KeyInit, Mac};
use rand_core::CryptoRng;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::hash::tagged_hash;

/// The owner's secret from which the salt of every row derives.
#[derive(Clone)]
pub struct SaltKey(Zeroizing<[u8; 32]>);

impl SaltKey {
    /// Draws a key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *bytes);
        Self(bytes)
    }

    /// Takes 32 secret bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The 32 secret bytes, to be sealed to an enclave.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn salt(&self, index: u64) -> [u8; 32] {
        // Unwrap safety: HMAC takes a key of any length.
        #[allow(clippy::unwrap_used)]
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.0).unwrap();
        mac.update(&index.to_le_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for SaltKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SaltKey(secret not shown)")
    }
}

/// The root over `rows` (canonical bytes of each row, in table order). No rows give a root too.
pub fn dataset_root<R: AsRef<[u8]>>(salt_key: &SaltKey, rows: impl IntoIterator<Item = R>) -> B256 {
    let mut level: Vec<B256> = rows
        .into_iter()
        .enumerate()
        .map(|(i, row)| {
            let i = i as u64;
            tagged_hash("histone/row/v1", &[&i.to_le_bytes(), &salt_key.salt(i), row.as_ref()])
        })
        .collect();
    let rows = level.len() as u64;
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => tagged_hash("histone/node/v1", &[left.as_slice(), right.as_slice()]),
                odd => odd[0],
            })
            .collect();
    }
    let top = level.first().copied().unwrap_or_default();
    tagged_hash("histone/dataset/v1", &[&rows.to_le_bytes(), top.as_slice()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_depends_on_everything() {
        let key = SaltKey::from_bytes([1; 32]);
        let root = dataset_root(&key, ["a", "b", "c"]);
        assert_eq!(root, dataset_root(&key, ["a", "b", "c"]));
        for other in
            [vec!["a", "b"], vec!["a", "b", "c", "c"], vec!["b", "a", "c"], vec!["a", "b", "d"], vec![]]
        {
            assert_ne!(root, dataset_root(&key, other.clone()), "{other:?}");
        }
        assert_ne!(root, dataset_root(&SaltKey::from_bytes([2; 32]), ["a", "b", "c"]));
    }
}
