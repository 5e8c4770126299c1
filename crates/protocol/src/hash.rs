//! Hashes: BLAKE3 for blobs, SHA-256 under a domain tag for everything that is hashed as a structure.

use alloy_primitives::B256;
use sha2::{Digest, Sha256};

/// Name of a blob in content-addressed storage: BLAKE3 of its bytes.
pub fn blob_hash(bytes: &[u8]) -> B256 {
    B256::from(*blake3::hash(bytes).as_bytes())
}

/// SHA-256 over a domain tag and length-prefixed parts, so that no two lists of parts give the same input.
pub fn tagged_hash(domain: &str, parts: &[&[u8]]) -> B256 {
    let mut hasher = Sha256::new();
    hasher.update((domain.len() as u64).to_le_bytes());
    hasher.update(domain.as_bytes());
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    B256::from_slice(&hasher.finalize())
}

/// Plain SHA-256, for files whose hash others compute with standard tools.
pub fn sha256(bytes: &[u8]) -> B256 {
    B256::from_slice(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(tagged_hash("t", &[b"ab", b"c"]), tagged_hash("t", &[b"a", b"bc"]));
        assert_ne!(tagged_hash("t", &[b"a"]), tagged_hash("u", &[b"a"]));
        assert_ne!(tagged_hash("ta", &[b""]), tagged_hash("t", &[b"a"]));
    }

    #[test]
    fn known_values() {
        assert_eq!(
            format!("{:x}", sha256(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            format!("{:x}", blob_hash(b"")),
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
        );
    }
}
