//! Public bytes that carry their name.
//!
//! A [`Blob`] cannot be made without hashing its bytes, and they never change afterwards: whoever holds one compares its
//! name and need not hash again, however large it is. Copies share the bytes.

use core::fmt;
use core::ops::Deref;
use std::sync::Arc;

use alloy_primitives::B256;

use crate::hash::blob_hash;

/// Bytes together with their [`blob_hash`].
#[derive(Clone)]
pub struct Blob {
    /// Not `Arc<[u8]>`, into which the bytes would have to be copied.
    bytes: Arc<Vec<u8>>,
    hash: B256,
}

impl Blob {
    /// Hashes the bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { hash: blob_hash(&bytes), bytes: Arc::new(bytes) }
    }

    /// The name of the bytes.
    pub fn hash(&self) -> B256 {
        self.hash
    }
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl From<&Vec<u8>> for Blob {
    fn from(bytes: &Vec<u8>) -> Self {
        Self::new(bytes.clone())
    }
}

impl From<&[u8]> for Blob {
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes.to_vec())
    }
}

impl From<&Blob> for Blob {
    fn from(blob: &Blob) -> Self {
        blob.clone()
    }
}

impl PartialEq for Blob {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for Blob {}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({}, {} bytes)", self.hash, self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_the_name_of_its_bytes() {
        let blob = Blob::new(b"hello".to_vec());
        assert_eq!((blob.hash(), &*blob), (blob_hash(b"hello"), b"hello".as_slice()));
        assert_eq!(blob, Blob::from(b"hello".as_slice()));
        assert_ne!(blob, Blob::from(b"hellp".as_slice()));
        // A copy is no other bytes.
        assert_eq!(blob.clone().as_ptr(), blob.as_ptr());
    }
}
