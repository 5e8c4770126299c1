//! One root secret, and everything that derives from it by purpose.
//!
//! A secret that is drawn from a generator is gone, or comes twice, when a crash forgets the generator's position, a
//! machine is cloned, or a backup is restored. What is derived from a stored root, a purpose and *what it is for* is the
//! same after each of them. Not derived are secrets whose destruction is the point, such as the keys of a dataset.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use hmac::{Hmac, KeyInit, Mac};
use rand_core::CryptoRng;
use sha2::Sha256;
use zeroize::Zeroizing;

/// 32 uniform secret bytes from which others derive. It is wiped when dropped and has no `Debug`.
#[derive(Clone)]
pub struct Root(Zeroizing<[u8; 32]>);

impl Root {
    /// Draws a root.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *bytes);
        Self(bytes)
    }

    /// Takes 32 secret bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, to be stored.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The secret for one purpose and what it is for: HMAC-SHA-256 under the root over purpose and parts, each behind its
    /// length. Who knows it knows nothing of the root or of any other.
    pub fn derive(&self, purpose: &str, parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        // Unwrap safety: HMAC takes a key of any length.
        #[allow(clippy::unwrap_used)]
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.0).unwrap();
        for part in [b"histone/derive/v1", purpose.as_bytes()].iter().chain(parts) {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        Zeroizing::new(mac.finalize().into_bytes().into())
    }

    /// A root for one purpose, from which further secrets derive.
    pub fn child(&self, purpose: &str, parts: &[&[u8]]) -> Root {
        Self(self.derive(purpose, parts))
    }

    /// A generator for one purpose and what it is for, always from its beginning.
    pub fn rng(&self, purpose: &str, parts: &[&[u8]]) -> ChaCha20Rng {
        ChaCha20Rng::from_seed(*self.derive(purpose, parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purpose_and_parts_separate() {
        let root = Root::from_bytes([1; 32]);
        let mut seen = std::collections::BTreeSet::new();
        let parts: [&[&[u8]]; 6] = [&[], &[b""], &[b"a"], &[b"a", b"b"], &[b"ab"], &[b"", b"ab"]];
        for root in [root.clone(), Root::from_bytes([2; 32]), root.child("a", &[])] {
            for purpose in ["a", "b", "ab"] {
                for parts in parts {
                    assert!(seen.insert(*root.derive(purpose, parts)), "{purpose} {parts:?}");
                    assert_eq!(*root.derive(purpose, parts), *root.derive(purpose, parts));
                }
            }
        }
    }

    #[test]
    fn a_generator_starts_at_its_beginning() {
        use chacha20::rand_core::Rng;
        let root = Root::from_bytes([1; 32]);
        let first = root.rng("a", &[b"x"]).next_u64();
        assert_eq!(root.rng("a", &[b"x"]).next_u64(), first);
        assert_ne!(root.rng("a", &[b"y"]).next_u64(), first);
    }

    /// Computed with Python's `hmac`: what is stored under a derived key must open after an update of the program.
    #[test]
    fn known_value() {
        let derived = Root::from_bytes([7; 32]).derive("purpose", &[b"x"]);
        assert_eq!(
            alloy_primitives::hex::encode(*derived),
            "e2a4b37c358f706e3c4c42ae323a52071339bc4b36ee83c6a98108497e4c7e7c"
        );
    }
}
