//! Blobs in files, and pieces of those that are still coming.
//!
//! A blob comes in order, piece by piece, into a file of its own for each sender, so that nobody can spoil another's. When all is
//! there its hash is compared with its name; only then can it be asked for. Calls block.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use histone_protocol::{Address, B256};

use crate::wire::Have;
use crate::{MAX_BLOB, StoreError, create_private_dir, files, io_error};

/// Names of blobs that were compared with their bytes since the start, at most.
const CHECKED: usize = 65_536;

/// Why a blob is not taken or given.
#[derive(Debug, thiserror::Error)]
pub(super) enum BlobError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0} bytes of it are here, so the next piece begins there")]
    Elsewhere(u64),
    #[error("another piece of it is being written; wait for its answer")]
    Busy,
    #[error("a blob of {0} bytes is too large; the limit is {MAX_BLOB}")]
    TooLarge(u64),
    #[error("it was announced with {before} bytes and now with {now}")]
    OtherTotal { before: u64, now: u64 },
    #[error("the piece goes beyond the {0} bytes that were announced")]
    Beyond(u64),
    #[error("the bytes hash to {0}, which is another name; they were dropped, send the blob again")]
    Hash(B256),
    #[error("{0} blobs of this sender are coming already; finish one of them, or wait a day")]
    TooMany(usize),
    #[error("the hub's disk space for letters and blobs is used up; its operator has to make room")]
    Full,
}

pub(super) struct Blobs {
    dir: PathBuf,
    uploads: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Bytes of the blobs that are there.
    stored: u64,
    coming: HashMap<(Address, B256), Coming>,
    checked: HashSet<B256>,
}

#[derive(Clone, Copy)]
struct Coming {
    total: u64,
    have: u64,
    /// When the newest piece came.
    touched: u64,
    busy: bool,
}

impl Blobs {
    /// Opens the directory of blobs and that of uploads. `now` is when uploads that are there count as touched.
    pub(super) fn open(dir: &Path, uploads: &Path, now: u64) -> Result<Self, StoreError> {
        create_private_dir(dir)?;
        create_private_dir(uploads)?;
        let mut state = State::default();
        for (_, length) in listed(dir)? {
            state.stored = state.stored.saturating_add(length);
        }
        for (name, have) in listed(uploads)? {
            match upload_of(&name) {
                Some((sender, hash, total)) if have <= total => {
                    state.coming.insert((sender, hash), Coming { total, have, touched: now, busy: false });
                }
                _ => {
                    let path = uploads.join(&name);
                    fs::remove_file(&path).map_err(io_error("remove", &path))?;
                }
            }
        }
        Ok(Self { dir: dir.into(), uploads: uploads.into(), state: Mutex::new(state) })
    }

    /// Bytes that are there, or announced.
    pub(super) fn total(&self) -> u64 {
        let state = self.lock();
        let coming = state.coming.values().map(|coming| coming.total);
        coming.fold(state.stored, u64::saturating_add)
    }

    /// How much of a blob need not be sent.
    pub(super) fn have(&self, sender: Address, hash: B256) -> Result<Have, BlobError> {
        if let Some(length) = self.complete(hash)? {
            return Ok(Have { complete: true, have: length });
        }
        let have = self.lock().coming.get(&(sender, hash)).map_or(0, |coming| coming.have);
        Ok(Have { complete: false, have })
    }

    /// Takes a piece. `room` is how much more the disk may hold, and `most` how many of a sender's blobs may be coming.
    pub(super) fn put(
        &self,
        (sender, hash): (Address, B256),
        (total, at): (u64, u64),
        piece: &[u8],
        now: u64,
        (room, most): (u64, usize),
    ) -> Result<Have, BlobError> {
        if total > MAX_BLOB {
            return Err(BlobError::TooLarge(total));
        }
        if let Some(length) = self.complete(hash)? {
            return Ok(Have { complete: true, have: length });
        }
        let key = (sender, hash);
        let before = self.begin(key, (total, at), piece, (room, most), now)?;
        let written = self.append(key, before, piece);
        let mut state = self.lock();
        let have = match written {
            Ok(()) => before.have + piece.len() as u64,
            Err(source) => {
                // What is in the file beyond what was there before is cut off with the next piece.
                state.coming.insert(key, before);
                return Err(io_error("write", &self.upload(key, total))(source).into());
            }
        };
        if have < total {
            state.coming.insert(key, Coming { have, touched: now, ..before });
            return Ok(Have { complete: false, have });
        }
        // It stays busy until it is in its place.
        drop(state);
        let done = self.finish(key, total);
        let mut state = self.lock();
        state.coming.remove(&key);
        // Somebody else may have brought it at the same moment: it is counted once.
        if done? && !state.checked.contains(&hash) {
            state.stored = state.stored.saturating_add(total);
        }
        state.remember(hash);
        Ok(Have { complete: true, have: total })
    }

    /// Looks whether a piece may be written and keeps others from it meanwhile.
    fn begin(
        &self,
        key: (Address, B256),
        (total, at): (u64, u64),
        piece: &[u8],
        (room, most): (u64, usize),
        now: u64,
    ) -> Result<Coming, BlobError> {
        let mut state = self.lock();
        let new = Coming { total, have: 0, touched: now, busy: false };
        let before = match state.coming.get(&key) {
            Some(coming) if coming.busy => return Err(BlobError::Busy),
            Some(coming) if coming.total != total => {
                return Err(BlobError::OtherTotal { before: coming.total, now: total });
            }
            Some(coming) => *coming,
            None if state.coming.keys().filter(|(sender, _)| *sender == key.0).count() >= most => {
                return Err(BlobError::TooMany(most));
            }
            None if total > room => return Err(BlobError::Full),
            None => new,
        };
        if at != before.have {
            return Err(BlobError::Elsewhere(before.have));
        }
        if piece.len() as u64 > total - at {
            return Err(BlobError::Beyond(total));
        }
        state.coming.insert(key, Coming { busy: true, ..before });
        Ok(before)
    }

    fn append(&self, key: (Address, B256), before: Coming, piece: &[u8]) -> io::Result<()> {
        let path = self.upload(key, before.total);
        let mut file = files::owner_only().create(true).truncate(false).write(true).open(path)?;
        // A piece that was half written before the hub was killed, or the disk full.
        file.set_len(before.have)?;
        file.seek(SeekFrom::Start(before.have))?;
        file.write_all(piece)
    }

    /// Compares and puts it in its place; gives whether it is new there.
    fn finish(&self, key: (Address, B256), total: u64) -> Result<bool, BlobError> {
        let (path, place) = (self.upload(key, total), self.path(key.1));
        let found = hash_file(&path).map_err(io_error("read", &path))?;
        if found != key.1 {
            fs::remove_file(&path).map_err(io_error("remove", &path))?;
            return Err(BlobError::Hash(found));
        }
        let new = !place.exists();
        files::move_durable(&path, &place)?;
        Ok(new)
    }

    /// A file and its length, if the blob is there.
    pub(super) fn read(&self, hash: B256) -> Result<Option<(File, u64)>, StoreError> {
        let path = self.path(hash);
        let open = || -> io::Result<(File, u64)> {
            let file = File::open(&path)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        match open() {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("read", &path)(error)),
        }
    }

    /// The length of a blob that is there and fits its name. One that was damaged on the disk is removed: somebody brings it again.
    fn complete(&self, hash: B256) -> Result<Option<u64>, BlobError> {
        let path = self.path(hash);
        let length = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("read", &path)(error).into()),
        };
        if self.lock().checked.contains(&hash) {
            return Ok(Some(length));
        }
        let fits = hash_file(&path).map_err(io_error("read", &path))? == hash;
        let mut state = self.lock();
        if fits {
            state.remember(hash);
            return Ok(Some(length));
        }
        fs::remove_file(&path).map_err(io_error("remove", &path))?;
        state.stored = state.stored.saturating_sub(length);
        Ok(None)
    }

    /// Drops what has not come further since this time.
    pub(super) fn prune(&self, before: u64) {
        let mut state = self.lock();
        let old = |coming: &Coming| coming.touched < before && !coming.busy;
        for (key, coming) in state.coming.iter().filter(|(_, coming)| old(coming)) {
            // One that cannot be removed now is removed at the next start.
            let _ = fs::remove_file(self.upload(*key, coming.total));
        }
        state.coming.retain(|_, coming| !old(coming));
    }

    fn path(&self, hash: B256) -> PathBuf {
        self.dir.join(format!("{hash:x}"))
    }

    fn upload(&self, (sender, hash): (Address, B256), total: u64) -> PathBuf {
        self.uploads.join(format!("{sender:x}-{hash:x}-{total}"))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remember(&mut self, hash: B256) {
        if self.checked.len() >= CHECKED {
            self.checked.clear();
        }
        self.checked.insert(hash);
    }
}

fn upload_of(name: &str) -> Option<(Address, B256, u64)> {
    let mut parts = name.splitn(3, '-');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Names and lengths of the files in a directory.
fn listed(dir: &Path) -> Result<Vec<(String, u64)>, StoreError> {
    let mut all = Vec::new();
    for name in files::file_names(dir, "")? {
        let path = dir.join(&name);
        all.push((name, fs::metadata(&path).map_err(io_error("read", &path))?.len()));
    }
    Ok(all)
}

/// [`histone_protocol::hash::blob_hash`] of a file, which need not fit into memory.
fn hash_file(path: &Path) -> io::Result<B256> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(B256::from(*hasher.finalize().as_bytes())),
            n => hasher.update(&buffer[..n]),
        };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use histone_protocol::hash::blob_hash;

    use super::*;

    const A: Address = Address::repeat_byte(1);
    const B: Address = Address::repeat_byte(2);
    const MUCH: (u64, usize) = (u64::MAX, 4);

    fn blobs(dir: &tempfile::TempDir) -> Blobs {
        Blobs::open(&dir.path().join("blobs"), &dir.path().join("uploads"), 0).unwrap()
    }

    #[test]
    fn pieces_make_a_blob() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = blobs(&dir);
        let hash = blob_hash(b"hello");
        let not_yet = |have| Have { complete: false, have };
        assert_eq!(blobs.have(A, hash).unwrap(), not_yet(0));
        assert_eq!(blobs.put((A, hash), (5, 0), b"he", 1, MUCH).unwrap(), not_yet(2));
        assert!(matches!(blobs.put((A, hash), (5, 0), b"he", 1, MUCH), Err(BlobError::Elsewhere(2))));
        assert!(matches!(blobs.put((A, hash), (5, 2), b"llo!", 1, MUCH), Err(BlobError::Beyond(5))));
        assert!(matches!(blobs.put((A, hash), (6, 2), b"l", 1, MUCH), Err(BlobError::OtherTotal { .. })));
        // Another's pieces are its own.
        assert_eq!(blobs.have(B, hash).unwrap(), not_yet(0));
        assert_eq!(blobs.put((B, hash), (5, 0), b"xx", 1, MUCH).unwrap(), not_yet(2));
        assert!(blobs.read(hash).unwrap().is_none());
        assert_eq!(blobs.total(), 10);
        drop(blobs);
        // The hub was killed while it wrote.
        let path = dir.path().join("uploads").join(format!("{A:x}-{hash:x}-5"));
        assert_eq!(fs::read(&path).unwrap(), b"he");
        let blobs = self::blobs(&dir);
        assert_eq!(blobs.have(A, hash).unwrap(), not_yet(2));
        let done = Have { complete: true, have: 5 };
        assert_eq!(blobs.put((A, hash), (5, 2), b"llo", 1, MUCH).unwrap(), done);
        assert_eq!(blobs.have(B, hash).unwrap(), done);
        assert_eq!(blobs.put((B, hash), (5, 2), b"x", 1, MUCH).unwrap(), done, "no more is needed");
        assert_eq!(blobs.read(hash).unwrap().unwrap().1, 5);
        blobs.prune(10);
        assert_eq!(blobs.total(), 5);
        assert_eq!(fs::read_dir(dir.path().join("uploads")).unwrap().count(), 0);
        let empty = blob_hash(b"");
        assert_eq!(blobs.put((A, empty), (0, 0), b"", 1, MUCH).unwrap(), Have { complete: true, have: 0 });
    }

    #[test]
    fn what_does_not_fit_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = blobs(&dir);
        let hash = blob_hash(b"hello");
        let error = blobs.put((A, hash), (5, 0), b"hellp", 1, MUCH).unwrap_err();
        assert!(error.to_string().contains(&format!("{}", blob_hash(b"hellp"))), "{error}");
        assert_eq!(blobs.have(A, hash).unwrap().have, 0);
        blobs.put((A, hash), (5, 0), b"hello", 1, MUCH).unwrap();
        // Damaged on the disk: the running hub has checked it, the next one has not.
        fs::write(dir.path().join("blobs").join(format!("{hash:x}")), b"hellp").unwrap();
        assert!(blobs.have(A, hash).unwrap().complete);
        let blobs = self::blobs(&dir);
        assert!(!blobs.have(A, hash).unwrap().complete);
        blobs.put((A, hash), (5, 0), b"hello", 1, MUCH).unwrap();
        assert_eq!(blobs.total(), 5);
    }

    #[test]
    fn limits() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = blobs(&dir);
        let name = B256::repeat_byte;
        assert!(matches!(
            blobs.put((A, name(1)), (MAX_BLOB + 1, 0), b"x", 1, MUCH),
            Err(BlobError::TooLarge(_))
        ));
        assert!(matches!(blobs.put((A, name(1)), (9, 0), b"x", 1, (8, 1)), Err(BlobError::Full)));
        blobs.put((A, name(1)), (9, 0), b"x", 1, (9, 1)).unwrap();
        assert!(matches!(blobs.put((A, name(2)), (9, 0), b"x", 1, (9, 1)), Err(BlobError::TooMany(1))));
        blobs.put((A, name(1)), (9, 1), b"x", 1, (0, 1)).unwrap();
        fs::write(dir.path().join("uploads/odd"), b"x").unwrap();
        let blobs = self::blobs(&dir);
        assert!(!dir.path().join("uploads/odd").exists());
        assert_eq!(blobs.have(A, name(1)).unwrap().have, 2);
    }
}
