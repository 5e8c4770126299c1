//! X25519 keys and the key that a reader and a writer share.

use std::fmt;

use blake2::{Blake2b512, Digest};
use curve25519_dalek::montgomery::MontgomeryPoint;
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The public half of an X25519 key: who holds the secret half reads what is sealed to this one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(pub(super) [u8; 32]);

impl PublicKey {
    /// Takes the 32 bytes of a key.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// The secret half of an X25519 key. It is wiped when dropped and does not print.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl SecretKey {
    /// Draws a key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *bytes);
        Self(bytes)
    }

    /// Takes 32 secret bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret bytes, to be stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The public half (RFC 7748, section 6.1).
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(MontgomeryPoint::mul_base_clamped(*self.0).0)
    }

    /// The key of a packet, for the reader of it; `None` when the exchange gives zero, which says nothing of the reader.
    pub(super) fn shared_as_reader(&self, writer: &PublicKey) -> Option<Zeroizing<[u8; 32]>> {
        self.shared(writer, &self.public(), writer)
    }

    /// The key of a packet, for the writer of it.
    pub(super) fn shared_as_writer(&self, reader: &PublicKey) -> Option<Zeroizing<[u8; 32]>> {
        self.shared(reader, reader, &self.public())
    }

    /// First half of BLAKE2b-512 over exchange, reader's and writer's public key.
    fn shared(
        &self,
        other: &PublicKey,
        reader: &PublicKey,
        writer: &PublicKey,
    ) -> Option<Zeroizing<[u8; 32]>> {
        let exchange = Zeroizing::new(MontgomeryPoint(other.0).mul_clamped(*self.0).0);
        if exchange.ct_eq(&[0; 32]).into() {
            return None;
        }
        let hash = Blake2b512::new().chain_update(*exchange).chain_update(reader.0).chain_update(writer.0);
        let hash: Zeroizing<[u8; 64]> = Zeroizing::new(hash.finalize().into());
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(hash.get(..32)?);
        Some(key)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(secret not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_share_one_key() {
        let (reader, writer) = (SecretKey::from_bytes([1; 32]), SecretKey::from_bytes([2; 32]));
        let key = reader.shared_as_reader(&writer.public());
        assert!(key.is_some());
        assert_eq!(key, writer.shared_as_writer(&reader.public()));
        // The roles are part of the key.
        assert_ne!(key, reader.shared_as_writer(&writer.public()));
    }

    #[test]
    fn a_point_of_small_order_shares_nothing() {
        let mut one = [0; 32];
        one[0] = 1;
        for point in [[0; 32], one] {
            assert!(SecretKey::from_bytes([1; 32]).shared_as_writer(&PublicKey(point)).is_none());
        }
    }

    #[test]
    fn a_secret_key_does_not_print() {
        assert_eq!(format!("{:?}", SecretKey::from_bytes([65; 32])), "SecretKey(secret not shown)");
    }
}
