//! The few fixed-width fields that the byte layout of the program crate does not have, and hashing with a domain.

use histone_program_sdk::wire::{Reader, WireError, Writer};
use sha2::{Digest, Sha256};

pub(crate) fn put_u16(w: &mut Writer, v: u16) {
    w.0.extend_from_slice(&v.to_le_bytes());
}

pub(crate) fn put_u64(w: &mut Writer, v: u64) {
    w.0.extend_from_slice(&v.to_le_bytes());
}

pub(crate) fn array<const N: usize>(r: &mut Reader<'_>) -> Result<[u8; N], WireError> {
    r.take(N)?.try_into().map_err(|_| WireError::Truncated)
}

pub(crate) fn u16(r: &mut Reader<'_>) -> Result<u16, WireError> {
    Ok(u16::from_le_bytes(array(r)?))
}

pub(crate) fn u64(r: &mut Reader<'_>) -> Result<u64, WireError> {
    Ok(u64::from_le_bytes(array(r)?))
}

/// The beginning of [`hash`], for parts that are not at hand in one piece.
pub(crate) fn hasher(domain: &str) -> Sha256 {
    let mut h = Sha256::new_with_prefix(domain.as_bytes());
    h.update([0]);
    h
}

/// SHA-256 over a domain tag and parts. Tags hold no NUL, hence no tag is the beginning of another one; the parts are of
/// fixed length or carry their own counts.
pub(crate) fn hash(domain: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut h = hasher(domain);
    for part in parts {
        h.update(part);
    }
    h.finalize().into()
}
