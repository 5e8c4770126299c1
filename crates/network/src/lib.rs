//! Untrusted bytes to and from others, and files that survive.
//!
//! A party reaches all others by a [`Network`]: over a hub (`client::HubNet`, to `hub::serve`), over files that somebody carries
//! ([`FileNet`]), or within one process ([`MemNet`], with the faults of real networks). What it carries is sealed or has its hash
//! for a name.
//!
//! Content-addressed public storage on a file system ([`BlobStore`]) is never trusted: what is read is hashed, and bytes that
//! were found to fit may be kept in memory for the next reader ([`BlobStore::read`]). Only ciphertexts and public records are
//! ever put there. Files are written whole or not at all and are on the disk
//! when the call returns ([`write_whole`], [`update_private`]); writers of one directory wait for each other, in
//! whichever process they are. Deliberately absent: any knowledge of what a blob means.

#[cfg(feature = "client")]
pub mod client;
mod courier;
mod files;
#[cfg(feature = "hub")]
pub mod hub;
mod kept;
mod link;
mod memory;
#[cfg(any(feature = "client", feature = "hub"))]
mod wire;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use histone_protocol::B256;
use histone_protocol::blob::Blob;
use histone_protocol::hash::blob_hash;

use self::kept::Kept;

pub use courier::FileNet;
pub use link::{Network, NetworkError, Woken};
pub use memory::{Faults, MemNet, Traffic};

pub use files::{
    create_dir, create_private_dir, file_names, read_durable, remove_durable, update_private, write_whole,
};

/// Largest blob that is read or written: 256 MiB.
pub const MAX_BLOB: u64 = 256 << 20;

/// Bytes of large blobs that an opened store keeps in memory: the updates of a round of half a million numbers from four donors.
const KEPT_BYTES: usize = 256 << 20;

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
    /// The network does not take or give it now.
    #[error("blob {hash}: {why}")]
    Link {
        /// Its name.
        hash: B256,
        /// What the network says.
        why: String,
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

/// A directory of blobs, each in a file named by the BLAKE3 hash of its bytes. Clones share what they keep in memory.
#[derive(Debug, Clone)]
pub struct BlobStore {
    dir: PathBuf,
    kept: Kept,
    link: Option<Link>,
}

/// The way to the blobs of others.
#[derive(Debug, Clone)]
struct Link {
    network: Arc<dyn Network>,
    /// What this process has offered.
    offered: Arc<Mutex<BTreeSet<B256>>>,
    /// Whether what is fetched need not outlive a crash of the system.
    passing: bool,
}

impl BlobStore {
    /// Opens the store in `dir`, which is created when it does not exist.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let dir = dir.into();
        create_dir(&dir)?;
        Ok(Self { dir, kept: Kept::of_bytes(KEPT_BYTES), link: None })
    }

    /// The same store with a way to others: what is put into it is offered to them before the call returns, and what it does not
    /// have is looked for there.
    #[must_use]
    pub fn linked(self, network: Arc<dyn Network>) -> Self {
        Self { link: Some(Link { network, offered: Arc::default(), passing: false }), ..self }
    }

    /// The same for a store that goes with its process: what is fetched is not waited for until it is on the disk, which takes most
    /// of the time where blobs are small and many.
    #[must_use]
    pub fn passing(self) -> Self {
        Self { link: self.link.map(|link| Link { passing: true, ..link }), ..self }
    }

    /// Opens a store for reading; nothing is created, and nothing kept: whoever only looks reads each blob once.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), kept: Kept::of_bytes(0), link: None }
    }

    /// The file of a blob.
    pub fn path(&self, hash: B256) -> PathBuf {
        self.dir.join(format!("{hash:x}"))
    }

    /// Stores bytes and gives their name. Storing the same bytes again is no error, and mends a damaged file.
    pub fn put(&self, bytes: &[u8]) -> Result<B256, StoreError> {
        self.store(blob_hash(bytes), bytes)
    }

    /// Stores a blob, whose name is known, and gives it.
    pub fn put_blob(&self, blob: &Blob) -> Result<B256, StoreError> {
        self.store(blob.hash(), blob)
    }

    fn store(&self, hash: B256, bytes: &[u8]) -> Result<B256, StoreError> {
        if bytes.len() as u64 > MAX_BLOB {
            return Err(StoreError::TooLarge(bytes.len() as u64));
        }
        let path = self.path(hash);
        // Whoever wrote it first may have been killed before it was on the disk: reading makes sure of that.
        if read_durable(&path)?.as_deref() != Some(bytes) {
            write_whole(&path, bytes)?;
        }
        if let Some(link) = &self.link {
            link.offer(hash, bytes)?;
        }
        Ok(hash)
    }

    /// Gives the bytes of a blob, from its file and checked against its name.
    pub fn get(&self, hash: B256) -> Result<Vec<u8>, StoreError> {
        let bytes = self.load(hash)?;
        match blob_hash(&bytes) {
            found if found == hash => Ok(bytes),
            found => Err(StoreError::Altered { path: self.path(hash), found }),
        }
    }

    /// Gives a blob whose bytes were checked against its name: now, or when they were read before and are kept since then. Large
    /// ones are kept, as long as there is room; of these, what happens to the file after the check has no effect.
    pub fn read(&self, hash: B256) -> Result<Blob, StoreError> {
        if let Some(blob) = self.kept.get(hash) {
            return Ok(blob);
        }
        let blob = Blob::new(self.load(hash)?);
        if blob.hash() != hash {
            return Err(StoreError::Altered { path: self.path(hash), found: blob.hash() });
        }
        self.kept.keep(&blob);
        Ok(blob)
    }

    /// Removes a blob from the directory, where it is there. Others keep what they have of it.
    pub fn forget(&self, hash: B256) -> Result<(), StoreError> {
        self.kept.forget(hash);
        remove_durable(&self.path(hash))
    }

    /// The bytes of a file, not looked at.
    fn load(&self, hash: B256) -> Result<Vec<u8>, StoreError> {
        if let Some(link) = &self.link
            && !self.path(hash).exists()
        {
            link.fetch(hash, self)?;
        }
        let path = self.path(hash);
        let io = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => StoreError::Missing { hash, dir: self.dir.clone() },
            _ => StoreError::Io { action: "read", path: path.clone(), source },
        };
        let length = fs::metadata(&path).map_err(io)?.len();
        if length > MAX_BLOB {
            return Err(StoreError::TooLarge(length));
        }
        fs::read(&path).map_err(io)
    }
}

impl Link {
    fn offer(&self, hash: B256, bytes: &[u8]) -> Result<(), StoreError> {
        if !self.offered().contains(&hash) {
            self.network.offer(bytes).map_err(|e| StoreError::Link { hash, why: e.to_string() })?;
            self.offered().insert(hash);
        }
        Ok(())
    }

    /// Brings a blob of others into the store, if somebody has it.
    fn fetch(&self, hash: B256, store: &BlobStore) -> Result<(), StoreError> {
        let found = self.network.fetch(hash).map_err(|e| StoreError::Link { hash, why: e.to_string() })?;
        if let Some(bytes) = found.filter(|bytes| blob_hash(bytes) == hash) {
            let path = store.path(hash);
            match self.passing {
                true => fs::write(&path, &bytes).map_err(io_error("write", &path))?,
                false => write_whole(&path, &bytes)?,
            }
            // Whoever gave it has it.
            self.offered().insert(hash);
        }
        Ok(())
    }

    fn offered(&self) -> MutexGuard<'_, BTreeSet<B256>> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use histone_protocol::Address;

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

    /// What is read is what was checked, whatever is in the file before and after.
    #[test]
    fn large_blobs_are_kept_once_they_are_checked() {
        let dir = tempfile::tempdir().unwrap();
        let open = || BlobStore::open(dir.path().join("blobs")).unwrap();
        let store = open();
        let bytes = vec![7; kept::LEAST];
        let mut other = bytes.clone();
        other[0] ^= 1;
        let hash = store.put(&bytes).unwrap();
        // Altered before the first read: writing is no reading.
        fs::write(store.path(hash), &other).unwrap();
        for _ in 0..2 {
            assert!(matches!(store.read(hash), Err(StoreError::Altered { .. })), "and nothing is kept of it");
            assert!(matches!(store.get(hash), Err(StoreError::Altered { .. })));
        }
        store.put_blob(&Blob::new(bytes.clone())).unwrap();
        let first = store.read(hash).unwrap();
        assert_eq!((first.hash(), &*first), (hash, bytes.as_slice()));
        // Altered, and gone, after it.
        fs::write(store.path(hash), &other).unwrap();
        assert_eq!(store.clone().read(hash).unwrap().as_ptr(), first.as_ptr(), "the bytes that were checked");
        assert!(matches!(store.get(hash), Err(StoreError::Altered { .. })), "this one asks for the file");
        fs::remove_file(store.path(hash)).unwrap();
        assert!(store.read(hash).is_ok());
        // Another process has checked nothing yet.
        assert!(matches!(open().read(hash), Err(StoreError::Missing { .. })));
        fs::write(store.path(hash), &other).unwrap();
        assert!(matches!(open().read(hash), Err(StoreError::Altered { .. })));
        // A store that only looks keeps nothing.
        store.put(&bytes).unwrap();
        let looking = BlobStore::at(dir.path().join("blobs"));
        assert!(looking.read(hash).is_ok());
        fs::remove_file(store.path(hash)).unwrap();
        assert!(matches!(looking.read(hash), Err(StoreError::Missing { .. })));
    }

    /// Small ones are read from their files each time.
    #[test]
    fn small_blobs_are_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = BlobStore::open(dir.path().join("blobs")).unwrap();
        let hash = store.put(b"hello").unwrap();
        assert_eq!(&*store.read(hash).unwrap(), b"hello");
        fs::write(store.path(hash), b"hellp").unwrap();
        assert!(matches!(store.read(hash), Err(StoreError::Altered { .. })));
    }

    /// What a store fetches that goes with its process is read like anything else, and checked.
    #[test]
    fn a_passing_store_fetches_what_it_does_not_have() {
        let net = MemNet::new(1);
        let (a, b) = (net.link(Address::repeat_byte(1)), net.link(Address::repeat_byte(2)));
        a.offer(b"hello").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let store = BlobStore::open(dir.path()).unwrap().linked(b).passing();
        assert_eq!(store.get(blob_hash(b"hello")).unwrap(), b"hello");
        net.forget_blobs();
        assert_eq!(store.get(blob_hash(b"hello")).unwrap(), b"hello");
        assert!(matches!(store.get(blob_hash(b"other")), Err(StoreError::Missing { .. })));
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
