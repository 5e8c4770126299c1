//! What every party has: a name, keys, random numbers and a private directory.

use std::fmt;
use std::path::{Path, PathBuf};

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use histone_enclave::sealed::Store;
use histone_federation::BoxError;
use histone_network::{StoreError, read_durable, update_private};
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
    Store(#[from] StoreError),
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

    /// Writes a file of the private directory whole or not at all; it is on the disk when this returns.
    pub fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), PartyError> {
        self.amend(name, |_| Ok(Some(bytes.to_vec())))
    }

    /// Keeps bytes under a name that has none yet, and gives what is kept there: what was prepared first is what is sent,
    /// however often.
    pub fn keep_first(&self, name: &str, bytes: Vec<u8>) -> Result<Vec<u8>, PartyError> {
        let mut kept = bytes.clone();
        self.amend(name, |old| match old {
            Some(earlier) => {
                kept = earlier;
                Ok::<_, PartyError>(None)
            }
            None => Ok(Some(bytes)),
        })?;
        Ok(kept)
    }

    /// Changes a file in one step that no other process of this party comes between: `change` gets what is there and
    /// gives what is to be there, or `None` to leave it. It must not write to the directory by itself.
    pub fn amend<E: From<PartyError>>(
        &self,
        name: &str,
        change: impl FnOnce(Option<Vec<u8>>) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<(), E> {
        let mut outcome = Ok(());
        let stored = update_private(&self.dir.join(name), |old| {
            Ok::<_, StoreError>(change(old).unwrap_or_else(|error| {
                outcome = Err(error);
                None
            }))
        });
        stored.map_err(PartyError::from)?;
        outcome
    }

    /// Reads a file of the private directory, to stay there; `None` when there is none.
    pub fn recall(&self, name: &str) -> Result<Option<Vec<u8>>, PartyError> {
        Ok(read_durable(&self.dir.join(name))?)
    }

    /// A place in the private directory for what an enclave seals.
    pub fn store(&self, name: String) -> EnclaveStore {
        EnclaveStore(self.dir.join(name))
    }
}

/// A file of a party's private directory in which an enclave keeps a sealed state.
#[derive(Debug)]
pub struct EnclaveStore(PathBuf);

impl Store for EnclaveStore {
    fn recall(&self) -> Result<Option<Vec<u8>>, BoxError> {
        Ok(read_durable(&self.0)?)
    }

    fn keep(&mut self, state: &[u8]) -> Result<(), BoxError> {
        Ok(update_private(&self.0, |_| Ok::<_, StoreError>(Some(state.to_vec())))?)
    }
}

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Party({}, {})", self.name, self.account())
    }
}

/// Makes a directory that only its owner may enter.
pub fn create_private_dir(dir: &Path) -> Result<(), PartyError> {
    Ok(histone_network::create_private_dir(dir)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

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
