//! Blobs that a process has read and found to fit their names, kept in memory as long as there is room.
//!
//! The parties of a round read the same large updates several times. Bytes that were checked once need no second look while
//! they are held: what becomes of the file meanwhile does not matter to them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use histone_protocol::B256;
use histone_protocol::blob::Blob;

/// Smaller blobs are not kept: reading and hashing them costs nothing that anybody would notice.
pub(crate) const LEAST: usize = 1 << 20;

/// Blobs by last use, bounded by their bytes. Copies are one and the same memory.
#[derive(Clone)]
pub(crate) struct Kept {
    most: usize,
    /// The one that was used last is at the end. A handful of large ones: they are looked through one by one.
    blobs: Arc<Mutex<VecDeque<Blob>>>,
}

impl Kept {
    /// An empty memory of at most so many bytes.
    pub(crate) fn of_bytes(most: usize) -> Self {
        Self { most, blobs: Arc::default() }
    }

    /// A blob that is kept.
    pub(crate) fn get(&self, hash: B256) -> Option<Blob> {
        let mut blobs = self.lock();
        let place = blobs.iter().position(|blob| blob.hash() == hash)?;
        let blob = blobs.remove(place)?;
        blobs.push_back(blob.clone());
        Some(blob)
    }

    /// Keeps a blob and lets go of those that were not used for longest, until there is room.
    pub(crate) fn keep(&self, blob: &Blob) {
        if blob.len() < LEAST || blob.len() > self.most {
            return;
        }
        let mut blobs = self.lock();
        blobs.retain(|kept| kept.hash() != blob.hash());
        let mut bytes = blob.len() + blobs.iter().map(|kept| kept.len()).sum::<usize>();
        while bytes > self.most {
            let Some(gone) = blobs.pop_front() else { break };
            bytes -= gone.len();
        }
        blobs.push_back(blob.clone());
    }

    /// Keeps a blob no longer.
    pub(crate) fn forget(&self, hash: B256) {
        self.lock().retain(|blob| blob.hash() != hash);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Blob>> {
        // Whoever panicked with the lock has left whole blobs behind.
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept({} blobs, at most {} bytes)", self.lock().len(), self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(content: u8, bytes: usize) -> Blob {
        Blob::new(vec![content; bytes])
    }

    #[test]
    fn keeps_what_was_used_last_within_its_bytes() {
        let kept = Kept::of_bytes(3 * LEAST);
        let blobs: Vec<Blob> = (0..4).map(|i| blob(i, LEAST)).collect();
        let there = |i: usize| kept.get(blobs[i].hash()).is_some();
        blobs[..3].iter().for_each(|b| kept.keep(b));
        assert!(there(0), "and it is the one that was used last now");
        kept.keep(&blobs[3]);
        assert_eq!([0, 1, 2, 3].map(there), [true, false, true, true]);
        // The same again takes no room.
        kept.keep(&blobs[3]);
        assert_eq!([0, 2, 3].map(there), [true; 3]);
        // One that needs the room of three.
        kept.keep(&blob(9, 3 * LEAST));
        assert_eq!([0, 1, 2, 3].map(there), [false; 4]);
        assert_eq!(kept.lock().len(), 1);
    }

    #[test]
    fn neither_small_ones_nor_too_large_ones() {
        let kept = Kept::of_bytes(2 * LEAST);
        let good = blob(1, LEAST);
        kept.keep(&good);
        for other in [blob(2, LEAST - 1), blob(3, 2 * LEAST + 1)] {
            kept.keep(&other);
            assert!(kept.get(other.hash()).is_none());
        }
        assert_eq!(kept.get(good.hash()), Some(good));
        let nothing = Kept::of_bytes(0);
        nothing.keep(&blob(1, LEAST));
        assert!(nothing.lock().is_empty());
    }
}
