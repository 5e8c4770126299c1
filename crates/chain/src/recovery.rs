//! Who signed: the address behind a secp256k1 signature, and the same for contracts that ask.
//!
//! Recovery is most of the work of a block, so it is done once for each signature. The `recover` of k256 verifies the
//! signature again with the key that it has just computed from it, which doubles the work and cannot fail: the key is
//! the solution of the very equation that verification checks. Here it is solved once.

use std::sync::Once;

use alloy_primitives::{Address, B256, Signature, keccak256};
use k256::elliptic_curve::PrimeField as _;
use k256::elliptic_curve::ops::{Invert as _, MulByGenerator as _, Reduce};
use k256::elliptic_curve::point::DecompressPoint as _;
use k256::elliptic_curve::sec1::ToEncodedPoint as _;
use k256::elliptic_curve::subtle::Choice;
use k256::{AffinePoint, ProjectivePoint, Scalar, U256};
use revm::precompile::{Crypto, DefaultCrypto, PrecompileHalt, install_crypto};

use crate::work::may_raise;

/// The address whose key signed `hash`, or `None` when the parts are no signature at all. Both forms of `s` are taken:
/// who wants the low one only looks at it first.
pub(crate) fn recover(hash: B256, signature: &Signature) -> Option<Address> {
    let public = public_key(hash.0, signature.r().to_be_bytes(), signature.s().to_be_bytes(), signature.v())?;
    Some(Address::from_raw_public_key(&public))
}

/// Solves `s * R = z * G + r * Q` for the public key `Q`, where `R` is the point with the abscissa `r` and the parity
/// `is_odd` of its ordinate. Returns both coordinates, 64 bytes.
///
/// All of the input is public, so the time may depend on it.
fn public_key(hash: [u8; 32], r: [u8; 32], s: [u8; 32], is_odd: bool) -> Option<[u8; 64]> {
    let point = AffinePoint::decompress(&r.into(), Choice::from(u8::from(is_odd)));
    let point = ProjectivePoint::from(Option::<AffinePoint>::from(point)?);
    // Not below the order of the curve is no scalar, and zero has no inverse.
    let r = Option::<Scalar>::from(Scalar::from_repr(r.into()))?;
    let s = Option::<Scalar>::from(Scalar::from_repr(s.into()))?;
    if bool::from(s.is_zero()) {
        return None;
    }
    let r_inverse = Option::<Scalar>::from(r.invert_vartime())?;
    let z = <Scalar as Reduce<U256>>::reduce_bytes(&hash.into());
    let key = ProjectivePoint::mul_by_generator(&-(r_inverse * z)) + point * (r_inverse * s);
    // The point at infinity is encoded in one byte and gives `None` here.
    key.to_affine().to_encoded_point(false).as_bytes().get(1..)?.try_into().ok()
}

/// The engine's cryptography with the recovery above behind the `ecrecover` precompile, and a limit for powers where there is
/// one; the rest is its own.
#[derive(Debug)]
struct FastRecovery;

impl Crypto for FastRecovery {
    fn modexp(&self, base: &[u8], exponent: &[u8], modulus: &[u8]) -> Result<Vec<u8>, PrecompileHalt> {
        if !may_raise(base.len(), exponent.len(), modulus.len()) {
            return Err(PrecompileHalt::OutOfGas);
        }
        DefaultCrypto.modexp(base, exponent, modulus)
    }

    fn secp256k1_ecrecover(
        &self,
        signature: &[u8; 64],
        parity: u8,
        message: &[u8; 32],
    ) -> Result<[u8; 32], PrecompileHalt> {
        let (r, s) = signature.split_at(32);
        let parts = <[u8; 32]>::try_from(r).ok().zip(<[u8; 32]>::try_from(s).ok());
        // The precompile lets 27 and 28 through, so the parity is 0 or 1.
        let key = parts.and_then(|(r, s)| public_key(*message, r, s, parity == 1));
        let mut word = keccak256(key.ok_or(PrecompileHalt::Secp256k1RecoverFailed)?);
        word[..12].fill(0);
        Ok(word.0)
    }
}

/// Gives the engine the recovery above, once in a process. When the program has installed another one, that one stays:
/// the results are the same.
pub(crate) fn install() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        let _ = install_crypto(FastRecovery);
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use alloy_primitives::{U256, uint};
    use k256::ecdsa::SigningKey;
    use proptest::prelude::*;

    use super::*;

    /// Order of the curve.
    const ORDER: U256 = uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);

    #[track_caller]
    fn agree(hash: B256, signature: &Signature) {
        let theirs = signature.recover_address_from_prehash(&hash).ok();
        assert_eq!(recover(hash, signature), theirs, "{hash} {signature:?}");
        let parts = [signature.r().to_be_bytes::<32>(), signature.s().to_be_bytes::<32>()].concat();
        let parts: [u8; 64] = parts.try_into().unwrap();
        let parity = u8::from(signature.v());
        let ours = FastRecovery.secp256k1_ecrecover(&parts, parity, &hash.0).ok();
        assert_eq!(ours, DefaultCrypto.secp256k1_ecrecover(&parts, parity, &hash.0).ok());
        assert_eq!(ours.map(|word| Address::from_word(word.into())), theirs);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn same_as_the_library(key in any::<[u8; 32]>(), hash in any::<[u8; 32]>(), flip in any::<u8>()) {
            let Ok(key) = SigningKey::from_slice(&key) else { return Ok(()) };
            let hash = B256::from(hash);
            let signature: Signature = key.sign_prehash_recoverable(hash.as_slice()).unwrap().into();
            prop_assert_eq!(recover(hash, &signature), Some(Address::from_public_key(key.verifying_key())));
            agree(hash, &signature);
            // The other form of the same signature.
            let high = Signature::new(signature.r(), ORDER - signature.s(), !signature.v());
            prop_assert_eq!(recover(hash, &high), recover(hash, &signature));
            agree(hash, &high);
            // Somebody else's, or nobody's.
            let bit = U256::from(1) << usize::from(flip);
            agree(hash, &Signature::new(signature.r() ^ bit, signature.s(), signature.v()));
            agree(hash, &Signature::new(signature.r(), signature.s() ^ bit, signature.v()));
            agree(hash, &Signature::new(signature.r(), signature.s(), !signature.v()));
        }
    }

    #[test]
    fn parts_out_of_range_are_refused() {
        let one = U256::from(1);
        for (r, s) in [
            (U256::ZERO, one),
            (one, U256::ZERO),
            (ORDER, one),
            (one, ORDER),
            (U256::MAX, one),
            (one, U256::MAX),
            (U256::ZERO, U256::ZERO),
        ] {
            for parity in [false, true] {
                let signature = Signature::new(r, s, parity);
                assert_eq!(recover(B256::repeat_byte(5), &signature), None);
                agree(B256::repeat_byte(5), &signature);
            }
        }
        // z * G = s * R makes the key the point at infinity: r = x(G), s = z.
        let generator = uint!(0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798_U256);
        let signature = Signature::new(generator, U256::from(7), false);
        let hash = B256::from(U256::from(7));
        assert_eq!(recover(hash, &signature), None);
        agree(hash, &signature);
    }
}
