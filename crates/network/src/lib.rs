//! Untrusted bytes to and from others, and files that survive.
//!
//! Content-addressed public storage on a file system ([`BlobStore`]) is never trusted: what is read is hashed again, and
//! only ciphertexts and public records are ever put there. Files are written whole or not at all and are on the disk
//! when the call returns ([`write_whole`], [`update_private`]); writers of one directory wait for each other, in
//! whichever process they are. Deliberately absent: any knowledge of what a blob means.

mod files;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use histone_protocol::B256;
use histone_protocol::hash::blob_hash;

pub use files::{create_dir, create_private_dir, read_durable, update_private, write_whole};

/// Largest blob that is read or written: 256 MiB.
pub const MAX_BLOB: u64 = 256 << 20;

/// Why a blob cannot be stored or given.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refuses.
    #[error("cannot {action} `{path}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// There is no such blob.
    #[error("blob {hash} is not in `{dir}`")]
    Missing {
        /// Its name.
        hash: B256,
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// The bytes do not have the hash that names them.
    #[error("`{path}` was altered: its bytes hash to {found}")]
    Altered {
        /// The file.
        path: PathBuf,
        /// Hash of its bytes.
        found: B256,
    },
    /// Larger than [`MAX_BLOB`].
    #[error("a blob of {0} bytes is too large; the limit is {MAX_BLOB}")]
    TooLarge(u64),
}

/// What a refusal of the file system becomes: which action on which path.
pub fn io_error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { action, path: path.clone(), source }
}

/// A directory of blobs, each in a file named by the BLAKE3 hash of its bytes.
#[derive(Debug, Clone)]
pub struct BlobStore {
    dir: PathBuf,
}

impl BlobStore {
    /// Opens the store in `dir`, which is created when it does not exist.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let dir = dir.into();
        create_dir(&dir)?;
        Ok(Self { dir })
    }

    /// Opens a store for reading; nothing is created.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The file of a blob.
    pub fn path(&self, hash: B256) -> PathBuf {
        self.dir.join(format!("{hash:x}"))
    }

    /// Stores bytes and gives their name. Storing the same bytes again is no error, and mends a damaged file.
    pub fn put(&self, bytes: &[u8]) -> Result<B256, StoreError> {
        if bytes.len() as u64 > MAX_BLOB {
            return Err(StoreError::TooLarge(bytes.len() as u64));
        }
        let hash = blob_hash(bytes);
        let path = self.path(hash);
        // Whoever wrote it first may have been killed before it was on the disk: reading makes sure of that.
        if read_durable(&path)?.as_deref() != Some(bytes) {
            write_whole(&path, bytes)?;
        }
        Ok(hash)
    }

    /// Gives the bytes of a blob, checked against its name.
    pub fn get(&self, hash: B256) -> Result<Vec<u8>, StoreError> {
        let path = self.path(hash);
        let io = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => StoreError::Missing { hash, dir: self.dir.clone() },
            _ => StoreError::Io { action: "read", path: path.clone(), source },
        };
        let length = fs::metadata(&path).map_err(io)?.len();
        if length > MAX_BLOB {
            return Err(StoreError::TooLarge(length));
        }
        let bytes = fs::read(&path).map_err(io)?;
        let found = blob_hash(&bytes);
        if found != hash {
            return Err(StoreError::Altered { path, found });
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn stores_and_checks() {
        let dir = tempfile::tempdir().unwrap();
        let store = BlobStore::open(dir.path().join("blobs")).unwrap();
        let hash = store.put(b"hello").unwrap();
        assert_eq!(store.put(b"hello").unwrap(), hash);
        assert_eq!(store.get(hash).unwrap(), b"hello");
        assert_eq!(fs::read_dir(dir.path().join("blobs")).unwrap().count(), 1, "no partial file is left");
        assert!(matches!(store.get(B256::ZERO), Err(StoreError::Missing { .. })));
        fs::write(store.path(hash), b"hellp").unwrap();
        assert!(matches!(store.get(hash), Err(StoreError::Altered { .. })));
        store.put(b"hello").unwrap();
        assert_eq!(store.get(hash).unwrap(), b"hello");
    }

    #[test]
    fn names_the_file_it_cannot_write() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, b"").unwrap();
        let error = BlobStore::open(file.join("blobs")).unwrap_err();
        assert!(error.to_string().contains("cannot create"), "{error}");
    }
}
