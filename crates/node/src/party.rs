//! What every party has: a name, keys, random numbers and a private directory.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use histone_network::{io_error, write_whole};
use histone_protocol::Address;
use histone_protocol::hash::tagged_hash;
use histone_protocol::keys::SigningKey;
use histone_protocol::seal::SealKey;
use zeroize::Zeroizing;

/// Where random numbers come from.
#[derive(Debug, Clone, Copy)]
pub enum Entropy {
    /// The operating system.
    System,
    /// A seed: every key and mask of the run follows from it. For repeatable demonstrations only; whoever knows the
    /// seed knows every secret.
    Seed(u64),
}

/// Why a party's private directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PartyError {
    /// The operating system has no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Entropy(getrandom::Error),
    /// A file or directory cannot be made, written or read.
    #[error(transparent)]
    Store(#[from] histone_network::StoreError),
}

impl Entropy {
    /// A generator for one party; parties never share one.
    pub fn generator(self, party: &str) -> Result<ChaCha20Rng, PartyError> {
        let mut seed = Zeroizing::new([0; 32]);
        match self {
            Entropy::System => getrandom::fill(&mut *seed).map_err(PartyError::Entropy)?,
            Entropy::Seed(number) => {
                *seed = tagged_hash("histone/demo-seed/v1", &[&number.to_le_bytes(), party.as_bytes()]).0;
            }
        }
        Ok(ChaCha20Rng::from_seed(*seed))
    }
}

/// A party's name, keys, generator and private directory.
pub struct Party {
    /// Its name in the study.
    pub name: String,
    /// Signs its transactions and statements.
    pub key: SigningKey,
    /// Opens what is sealed to it.
    pub seal: SealKey,
    /// Its random numbers.
    pub rng: ChaCha20Rng,
    dir: PathBuf,
}

impl Party {
    /// Makes a party with fresh keys and a directory of its own below `private`, readable by its owner only.
    pub fn create(name: &str, private: &Path, entropy: Entropy) -> Result<Self, PartyError> {
        let mut rng = entropy.generator(name)?;
        let key = SigningKey::generate(&mut rng);
        let seal = SealKey::generate(&mut rng);
        let dir = private.join(name);
        create_private_dir(&dir)?;
        let party = Self { name: name.to_string(), key, seal, rng, dir };
        party.keep("signing.key", &*party.key.to_bytes())?;
        Ok(party)
    }

    /// The party's account.
    pub fn account(&self) -> Address {
        self.key.address()
    }

    /// 32 fresh secret bytes, for instance to start an enclave with.
    pub fn draw_seed(&mut self) -> Zeroizing<[u8; 32]> {
        let mut seed = Zeroizing::new([0; 32]);
        self.rng.fill_bytes(&mut *seed);
        seed
    }

    /// Writes a file of the private directory whole or not at all.
    pub fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), PartyError> {
        let path = self.dir.join(name);
        write_whole(&path, bytes)?;
        restrict(&path, 0o600)
    }

    /// Reads a file of the private directory; `None` when there is none.
    pub fn recall(&self, name: &str) -> Result<Option<Vec<u8>>, PartyError> {
        let path = self.dir.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("read", &path)(error).into()),
        }
    }
}

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Party({}, {})", self.name, self.account())
    }
}

/// Makes a directory that only its owner may enter.
pub fn create_private_dir(dir: &Path) -> Result<(), PartyError> {
    fs::create_dir_all(dir).map_err(io_error("create", dir))?;
    restrict(dir, 0o700)
}

#[cfg(unix)]
fn restrict(path: &Path, mode: u32) -> Result<(), PartyError> {
    use std::os::unix::fs::PermissionsExt;
    let permissions = fs::Permissions::from_mode(mode);
    Ok(fs::set_permissions(path, permissions).map_err(io_error("restrict", path))?)
}

#[cfg(not(unix))]
fn restrict(_: &Path, _: u32) -> Result<(), PartyError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_seed_repeats_and_parties_differ() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str, n: u64| {
            Party::create(name, &dir.path().join(n.to_string()), Entropy::Seed(n)).unwrap().account()
        };
        assert_eq!(make("a", 1), make("a", 1));
        assert_ne!(make("a", 1), make("b", 1));
        assert_ne!(make("a", 1), make("a", 2));
    }

    #[cfg(unix)]
    #[test]
    fn private_means_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let party = Party::create("a", dir.path(), Entropy::System).unwrap();
        party.keep("x", b"1").unwrap();
        let mode = |p: &str| fs::metadata(dir.path().join(p)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("a"), mode("a/x")), (0o700, 0o600));
        assert_eq!(party.recall("x").unwrap().as_deref(), Some(b"1".as_slice()));
        assert_eq!(party.recall("y").unwrap(), None);
    }
}
