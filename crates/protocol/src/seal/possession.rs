//! Proof that whoever registers a seal key holds its secret half.
//!
//! Without it a member could register a copy of another member's key, or a key made from it, and shares meant for one
//! seat would be readable at another. The proof is a Schnorr proof over Edwards25519 for the Edwards form of the key
//! with sign bit 0, bound to account and ledger; it is checked by everybody, off the chain.

use alloy_primitives::{Address, B256};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use hpke::Serializable;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512};
use subtle::{Choice, ConditionallySelectable};
use zeroize::Zeroizing;

use super::{SealKey, SealPublicKey};
use crate::record::LedgerId;

const CHALLENGE: &str = "histone/seal-key-possession/v1";
const NONCE: &str = "histone/seal-key-possession-nonce/v1";

/// A Schnorr proof of possession: the commitment `r` (compressed Edwards point) and the answer `s` (scalar, little
/// endian).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealProof {
    /// The commitment.
    pub r: B256,
    /// The answer.
    pub s: B256,
}

impl SealKey {
    /// Proves for `account` on `ledger` that this key is held. The same call gives the same proof.
    pub fn prove(&self, account: Address, ledger: LedgerId) -> SealProof {
        let secret = Zeroizing::new(<[u8; 32]>::from(self.private.to_bytes()));
        // X25519 multiplies by this number; the base point has prime order, so it may be reduced.
        let scalar = Zeroizing::new(Scalar::from_bytes_mod_order(*secret));
        let point = EdwardsPoint::mul_base(&scalar).compress();
        // The Montgomery form forgets the sign; of the two keys that it stands for, the one with sign 0 is proved.
        let negative = Choice::from(point.as_bytes()[31] >> 7);
        let scalar = Zeroizing::new(Scalar::conditional_select(&scalar, &-*scalar, negative));
        let mut key = point;
        key.0[31] &= 0x7f;
        // Derived and not drawn: a nonce that meets two challenges gives the key away.
        let nonce = Zeroizing::new(hash(NONCE, &[&*secret, key.as_bytes()], account, ledger));
        let r = EdwardsPoint::mul_base(&nonce).compress();
        let challenge = hash(CHALLENGE, &[key.as_bytes(), r.as_bytes()], account, ledger);
        let s = *nonce + challenge * *scalar;
        SealProof { r: B256::from(r.0), s: B256::from(s.to_bytes()) }
    }
}

impl SealPublicKey {
    /// Whether `proof` shows that `account` holds this key, for this ledger. A key with two encodings, or one outside
    /// of the group of prime order, is never proved.
    pub fn verify(&self, proof: &SealProof, account: Address, ledger: LedgerId) -> bool {
        let Some(point) = MontgomeryPoint(self.0.0).to_edwards(0) else { return false };
        let canonical = point.to_montgomery().0 == self.0.0;
        if !canonical || point.is_identity() || !point.is_torsion_free() {
            return false;
        }
        let Some(s) = Option::<Scalar>::from(Scalar::from_canonical_bytes(proof.s.0)) else { return false };
        let key = point.compress();
        let challenge = hash(CHALLENGE, &[key.as_bytes(), &proof.r.0], account, ledger);
        let r = EdwardsPoint::vartime_double_scalar_mul_basepoint(&challenge, &-point, &s);
        r.compress() == CompressedEdwardsY(proof.r.0)
    }
}

fn hash(domain: &str, parts: &[&[u8; 32]], account: Address, ledger: LedgerId) -> Scalar {
    let mut hasher = Sha512::new();
    hasher.update(domain.as_bytes());
    hasher.update([0]);
    for part in parts {
        hasher.update(part);
    }
    hasher.update(account);
    hasher.update(ledger.chain_id.to_le_bytes());
    hasher.update(ledger.contract);
    Scalar::from_bytes_mod_order_wide(&hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LEDGER: LedgerId = LedgerId { chain_id: 31_337, contract: Address::repeat_byte(7) };
    const ACCOUNT: Address = Address::repeat_byte(1);

    #[test]
    fn holders_prove_and_repeat_themselves() {
        // Both signs of the Edwards form occur among these.
        for seed in 0..32 {
            let key = SealKey::from_seed(&[seed; 32]);
            let proof = key.prove(ACCOUNT, LEDGER);
            assert!(key.public().verify(&proof, ACCOUNT, LEDGER), "seed {seed}");
            assert_eq!(key.prove(ACCOUNT, LEDGER), proof);
        }
    }

    #[test]
    fn a_member_claims_the_key_of_another() {
        let key = SealKey::from_seed(&[1; 32]);
        let proof = key.prove(ACCOUNT, LEDGER);
        let other_account = Address::repeat_byte(2);
        assert!(!key.public().verify(&proof, other_account, LEDGER), "the proof was copied");
        let elsewhere = LedgerId { chain_id: 1, ..LEDGER };
        assert!(!key.public().verify(&proof, ACCOUNT, elsewhere), "the proof is of another chain");
        let elsewhere = LedgerId { contract: Address::ZERO, ..LEDGER };
        assert!(!key.public().verify(&proof, ACCOUNT, elsewhere), "the proof is of another deployment");
        let mine = SealKey::from_seed(&[2; 32]).prove(other_account, LEDGER);
        assert!(!key.public().verify(&mine, other_account, LEDGER), "the proof is of another key");
        for i in 0..64 {
            let mut altered = proof;
            if i < 32 {
                altered.r.0[i] ^= 1
            } else {
                altered.s.0[i - 32] ^= 1
            }
            assert!(!key.public().verify(&altered, ACCOUNT, LEDGER), "byte {i}");
        }
    }

    #[test]
    fn a_member_registers_a_key_with_a_second_form() {
        let key = SealKey::from_seed(&[1; 32]);
        let proof = key.prove(ACCOUNT, LEDGER);
        // X25519 ignores the top bit, HPKE hashes it: what is sealed to this form does not open.
        let mut second = key.public();
        second.0.0[31] |= 0x80;
        assert!(!second.verify(&proof, ACCOUNT, LEDGER));
        // s + l is the same number in another encoding.
        let order = alloy_primitives::U256::from_be_slice(&alloy_primitives::hex!(
            "1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed"
        ));
        let s = alloy_primitives::U256::from_le_bytes(proof.s.0) + order;
        let malleated = SealProof { s: B256::from(s.to_le_bytes::<32>()), ..proof };
        assert!(!key.public().verify(&malleated, ACCOUNT, LEDGER));
    }

    #[test]
    fn keys_of_small_order_are_not_proved() {
        // u = 0 and u = 1 have order 2 and 4; with them R = s B passes whenever the challenge kills the point.
        for u in [0u8, 1] {
            let mut bytes = [0; 32];
            bytes[0] = u;
            let key = SealPublicKey(B256::from(bytes));
            for n in 0..64u64 {
                let s = Scalar::from(n);
                let r = EdwardsPoint::mul_base(&s).compress();
                let proof = SealProof { r: B256::from(r.0), s: B256::from(s.to_bytes()) };
                assert!(!key.verify(&proof, ACCOUNT, LEDGER));
            }
        }
    }

    #[test]
    fn a_member_adds_a_point_of_small_order() {
        use curve25519_dalek::constants::EIGHT_TORSION;
        // The member knows its secret but registers key + T; one challenge in eight kills T.
        let base = Scalar::from(12_345u64);
        let point = EdwardsPoint::mul_base(&base) + EIGHT_TORSION[1];
        let key = SealPublicKey(B256::from(point.to_montgomery().0));
        let edwards = MontgomeryPoint(key.0.0).to_edwards(0).unwrap();
        assert!(!edwards.is_torsion_free());
        let scalar = if edwards == point { base } else { -base };
        for n in 1..64u64 {
            let nonce = Scalar::from(n);
            let r = EdwardsPoint::mul_base(&nonce).compress();
            let c = hash(CHALLENGE, &[edwards.compress().as_bytes(), r.as_bytes()], ACCOUNT, LEDGER);
            let s = nonce + c * scalar;
            let proof = SealProof { r: B256::from(r.0), s: B256::from(s.to_bytes()) };
            assert!(!key.verify(&proof, ACCOUNT, LEDGER));
        }
    }
}
