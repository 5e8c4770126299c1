//! A network of files that somebody carries: for sites whose machines are offline, and for nodes of a cluster.
//!
//! Each site has a directory:
//!
//! ```text
//! outbox/MAILBOX/ID   letters that are to go, each named by its hash in the directory of its receiver's mailbox
//! inbox/MAILBOX/ID    letters that have come
//! blobs/HASH          blobs, in both directions
//! ```
//!
//! A courier moves what is in `outbox/` of one site to `inbox/` of another and copies what is in `blobs/`, by whatever means it has.
//! It needs no care: a file counts when its bytes have the hash that its name says, so copies that are torn, partial or under
//! another name are as good as none until they are whole. Where one machine sees both directories, [`FileNet::carry`] is the courier.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use histone_protocol::letter::{MAX_LETTER, letter_id};
use histone_protocol::{Address, B256};

use crate::{
    BlobStore, MAX_BLOB, Network, NetworkError, StoreError, Woken, create_dir, file_names, io_error,
    read_durable, remove_durable, write_whole,
};

/// Most letters that one call gives.
const MOST: usize = 256;
/// How often it is looked for letters while somebody waits.
const LOOK: Duration = Duration::from_secs(1);

/// One site's directory.
#[derive(Debug, Clone)]
pub struct FileNet {
    dir: PathBuf,
    mailbox: Address,
    blobs: BlobStore,
}

impl FileNet {
    /// Opens the directory, or makes it.
    pub fn open(dir: impl Into<PathBuf>, mailbox: Address) -> Result<Self, StoreError> {
        let dir = dir.into();
        let blobs = BlobStore::open(dir.join("blobs"))?;
        create_dir(&dir.join("outbox"))?;
        let net = Self { dir, mailbox, blobs };
        create_dir(&net.inbox())?;
        Ok(net)
    }

    /// What a courier does, within one machine: moves letters from the outbox of one directory into the inbox of another, and copies
    /// blobs that are not there. Letters to whom the other does not know go as well: it may carry them on.
    pub fn carry(from: &Path, to: &Path) -> Result<(), StoreError> {
        let outbox = from.join("outbox");
        for mailbox in names(&outbox)? {
            let (source, target) = (outbox.join(&mailbox), to.join("inbox").join(&mailbox));
            for name in names(&source)? {
                let path = source.join(&name);
                // What is still being written has another name.
                let Ok(id) = name.parse::<B256>() else { continue };
                let letter = read_small(&path, MAX_LETTER as u64)?.filter(|letter| letter_id(letter) == id);
                let Some(letter) = letter else { continue };
                create_dir(&target)?;
                write_whole(&target.join(&name), &letter)?;
                remove_durable(&path)?;
            }
        }
        let there = BlobStore::open(to.join("blobs"))?;
        for name in names(&from.join("blobs"))? {
            let Ok(hash) = name.parse() else { continue };
            if there.get(hash).is_err()
                && let Ok(blob) = BlobStore::at(from.join("blobs")).get(hash)
            {
                there.put(&blob)?;
            }
        }
        Ok(())
    }

    fn inbox(&self) -> PathBuf {
        self.dir.join("inbox").join(format!("{:x}", self.mailbox))
    }

    /// The letters that are whole, the oldest first; each with its file.
    fn letters(&self, most: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let inbox = self.inbox();
        let mut files = Vec::new();
        for name in names(&inbox)? {
            let Ok(id) = name.parse::<B256>() else { continue };
            let path = inbox.join(&name);
            // When it came; where that cannot be told, it is as old as can be.
            let came = fs::metadata(&path).and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            files.push((came, name, id));
        }
        files.sort();
        let mut letters = Vec::new();
        for (_, name, id) in files {
            if letters.len() >= most {
                break;
            }
            let whole = |letter: &Vec<u8>| letter_id(letter) == id;
            letters.extend(read_small(&inbox.join(&name), MAX_LETTER as u64)?.filter(whole));
        }
        Ok(letters)
    }
}

/// Names in a directory that may not be there.
fn names(dir: &Path) -> Result<Vec<String>, StoreError> {
    match file_names(dir, "") {
        Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        names => names,
    }
}

/// The bytes of a file that is not too long; none when it is, is no file, or is being moved away.
fn read_small(path: &Path, most: u64) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::metadata(path) {
        Ok(file) if file.is_file() && file.len() <= most => read_durable(path),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read", path)(error)),
    }
}

impl Network for FileNet {
    fn post(&self, mailbox: Address, letter: &[u8]) -> Result<(), NetworkError> {
        if letter.len() > MAX_LETTER {
            let why = format!("a letter of {} bytes is too long; the limit is {MAX_LETTER}", letter.len());
            return Err(NetworkError::Refused { what: self.dir.display().to_string(), why });
        }
        let outbox = self.dir.join("outbox").join(format!("{mailbox:x}"));
        create_dir(&outbox)?;
        let path = outbox.join(format!("{:x}", letter_id(letter)));
        if read_durable(&path)?.as_deref() != Some(letter) {
            write_whole(&path, letter)?;
        }
        Ok(())
    }

    fn collect(&self) -> Result<Vec<Vec<u8>>, NetworkError> {
        Ok(self.letters(MOST)?)
    }

    fn discard(&self, letters: &[B256]) -> Result<(), NetworkError> {
        for id in letters {
            remove_durable(&self.inbox().join(format!("{id:x}")))?;
        }
        Ok(())
    }

    fn offer(&self, blob: &[u8]) -> Result<(), NetworkError> {
        self.blobs.put(blob)?;
        Ok(())
    }

    fn fetch(&self, hash: B256) -> Result<Option<Vec<u8>>, NetworkError> {
        match self.blobs.get(hash) {
            Ok(blob) => Ok(Some(blob)),
            // A copy may be going on.
            Err(StoreError::Missing { .. } | StoreError::Altered { .. }) => Ok(None),
            Err(StoreError::TooLarge(bytes)) if bytes > MAX_BLOB => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn rpc(&self, _: &[u8]) -> Result<Vec<u8>, NetworkError> {
        Err(NetworkError::Refused {
            what: self.dir.display().to_string(),
            why: "files that are carried do not answer questions to the ledger; give the address of a node or a hub as well".into(),
        })
    }

    fn wait(&self, _: u64, patience: Duration) -> Result<Woken, NetworkError> {
        let started = Instant::now();
        loop {
            let letters = !self.letters(1)?.is_empty();
            let left = patience.saturating_sub(started.elapsed());
            if letters || left.is_zero() {
                return Ok(Woken { blocks: false, letters });
            }
            std::thread::sleep(left.min(LOOK));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use histone_protocol::hash::blob_hash;

    use super::*;

    const A: Address = Address::repeat_byte(1);
    const B: Address = Address::repeat_byte(2);

    #[test]
    fn a_courier_carries_letters_and_blobs() {
        let dir = tempfile::tempdir().unwrap();
        let (at_a, at_b) = (dir.path().join("a"), dir.path().join("b"));
        let (a, b) = (FileNet::open(&at_a, A).unwrap(), FileNet::open(&at_b, B).unwrap());
        a.post(B, b"one").unwrap();
        a.post(B, b"one").unwrap();
        a.offer(b"blob").unwrap();
        let hash = blob_hash(b"blob");
        assert!(b.collect().unwrap().is_empty() && b.fetch(hash).unwrap().is_none());
        assert_eq!(b.wait(0, Duration::from_millis(30)).unwrap(), Woken::default());
        FileNet::carry(&at_a, &at_b).unwrap();
        assert!(b.wait(0, Duration::MAX).unwrap().letters);
        assert_eq!(b.collect().unwrap(), [b"one".to_vec()]);
        assert_eq!(b.fetch(hash).unwrap().unwrap(), b"blob");
        // It left the outbox, so that nothing goes twice.
        b.discard(&[letter_id(b"one"), B256::ZERO]).unwrap();
        FileNet::carry(&at_a, &at_b).unwrap();
        assert!(b.collect().unwrap().is_empty());
        // One that is being written stays.
        let partial = at_a.join(format!("outbox/{B:x}/{:x}.partial", letter_id(b"two")));
        fs::write(&partial, b"two").unwrap();
        FileNet::carry(&at_a, &at_b).unwrap();
        assert!(partial.exists());
        let refused = a.rpc(b"{}").unwrap_err().to_string();
        assert!(refused.contains("give the address of a node or a hub"), "{refused}");
        assert!(matches!(a.post(B, &vec![0; MAX_LETTER + 1]), Err(NetworkError::Refused { .. })));
    }

    /// Whatever a copy looks like while it is made, it is none until it is whole.
    #[test]
    fn torn_and_partial_copies_are_none() {
        let dir = tempfile::tempdir().unwrap();
        let b = FileNet::open(dir.path(), B).unwrap();
        let inbox = dir.path().join(format!("inbox/{B:x}"));
        let letter = vec![7_u8; 3_000];
        let name = format!("{:x}", letter_id(&letter));
        let empty = || b.collect().unwrap().is_empty();
        for other in
            [format!(".{name}.Xy12"), format!("{name}.part"), format!("{name}~"), "readme.txt".into()]
        {
            fs::write(inbox.join(other), &letter).unwrap();
            assert!(empty());
        }
        for length in [0, 1, 2_048, 2_999] {
            fs::write(inbox.join(&name), &letter[..length]).unwrap();
            assert!(empty());
        }
        // The length is there before the bytes are.
        fs::write(inbox.join(&name), [&letter[..2_048], &[0; 952]].concat()).unwrap();
        assert!(empty());
        fs::write(inbox.join(&name), vec![7; MAX_LETTER + 1]).unwrap();
        assert!(empty());
        fs::create_dir(inbox.join(format!("{:x}", B256::repeat_byte(5)))).unwrap();
        fs::write(inbox.join(&name), &letter).unwrap();
        assert_eq!(b.collect().unwrap(), [letter]);
        let hash = blob_hash(b"hello");
        let path = dir.path().join(format!("blobs/{hash:x}"));
        fs::write(&path, b"hel\0\0").unwrap();
        assert_eq!(b.fetch(hash).unwrap(), None);
        fs::write(&path, b"hello").unwrap();
        assert!(b.fetch(hash).unwrap().is_some());
    }
}
