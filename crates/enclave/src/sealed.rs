//! What an enclave keeps outside of itself: sealed, with an operator who can lose it or bring back an older one, and can
//! neither read nor change it.
//!
//! Sealing needs no random numbers, because an enclave that starts again draws the same ones: the key of each sealed state
//! follows from the enclave's storage key and the state itself, so two states never meet under one key.

use histone_federation::BoxError;
use histone_protocol::dataset::{DataKey, DatasetError};

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use zeroize::Zeroizing;

/// A place for one sealed state, on the operator's side.
pub trait Store: Send {
    /// What was kept last; none when nothing was.
    fn recall(&self) -> Result<Option<Vec<u8>>, BoxError>;

    /// Keeps a state whole or not at all; durable when it returns.
    fn keep(&mut self, state: &[u8]) -> Result<(), BoxError>;
}

/// 32 bytes that follow from a secret for one purpose.
pub(crate) fn derive(secret: &[u8; 32], purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_keyed(secret);
    for part in [purpose.as_bytes()].iter().chain(parts) {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    *hasher.finalize().as_bytes()
}

/// Random numbers for one purpose, which repeat only with the secret, the purpose and all parts.
pub(crate) fn derived_rng(secret: &[u8; 32], purpose: &str, parts: &[&[u8]]) -> ChaCha20Rng {
    ChaCha20Rng::from_seed(derive(secret, purpose, parts))
}

/// Seals a state of the kind `label`.
pub(crate) fn seal(storage_key: &[u8; 32], label: &str, state: &[u8]) -> Vec<u8> {
    let digest = derive(storage_key, "sealed-state-digest", &[label.as_bytes(), state]);
    let (key, mut rng) = state_key(storage_key, label, &digest);
    [digest.as_slice(), &key.encrypt(state, &mut rng)].concat()
}

/// Opens what [`seal`] made.
pub(crate) fn open(
    storage_key: &[u8; 32],
    label: &str,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, DatasetError> {
    let (digest, ciphertext) = sealed.split_first_chunk::<32>().ok_or(DatasetError::DoesNotOpen)?;
    state_key(storage_key, label, digest).0.decrypt(ciphertext)
}

fn state_key(storage_key: &[u8; 32], label: &str, digest: &[u8; 32]) -> (DataKey, ChaCha20Rng) {
    let of = |purpose| derive(storage_key, purpose, &[label.as_bytes(), digest]);
    (DataKey::from_bytes(of("sealed-state-key")), ChaCha20Rng::from_seed(of("sealed-state-nonce")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_state_opens_only_unchanged_under_its_key_and_label() {
        let key = [7; 32];
        let sealed = seal(&key, "a", b"state");
        assert_eq!(open(&key, "a", &sealed).unwrap().as_slice(), b"state");
        assert_eq!(seal(&key, "a", b"state"), sealed);
        assert!(open(&[8; 32], "a", &sealed).is_err() && open(&key, "b", &sealed).is_err());
        for i in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[i] ^= 1;
            assert!(open(&key, "a", &altered).is_err(), "byte {i}");
        }
        assert!(open(&key, "a", &sealed[..31]).is_err());
    }

    /// Two states of one length: were they under one key stream, their difference would show in the difference of the
    /// ciphertexts.
    #[test]
    fn an_operator_who_compares_two_states_learns_nothing() {
        let (one, two) = (seal(&[7; 32], "a", &[0; 64]), seal(&[7; 32], "a", &[1; 64]));
        let equal = one.iter().zip(&two).filter(|(a, b)| *a ^ *b == 1).count();
        assert!(equal < 16, "{equal}");
    }
}
