//! What every party has: a name, a private directory, and one root secret from which its keys derive.
//!
//! The root is stored before anything is made from it. A party that is killed and started again has the same keys,
//! accounts and codes; nothing that it uses comes from a generator whose position a crash forgets.
//!
//! The root lies in the directory ([`Party::create`]), or somebody else keeps it, such as a keystore with a passphrase
//! ([`Party::of_root`]). Then nothing in the directory can be read without it: keys that derive from it are not written at all, and
//! the rest is encrypted.

use std::fmt;
use std::path::{Path, PathBuf};

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use histone_enclave::storage::{Storage, Store};
use histone_federation::BoxError;
use histone_network::{StoreError, read_durable, update_private};
use histone_protocol::Address;
use histone_protocol::hash::tagged_hash;
use histone_protocol::keys::SigningKey;
use histone_protocol::record::LedgerId;
use histone_protocol::seal::SealKey;
use histone_protocol::secret::Root;
use zeroize::Zeroizing;

mod vault;

use self::vault::{Files, Vault};

const ROOT: &str = "root.secret";
const SIGNING_KEY: &str = "signing.key";
const SEAL_KEY: &str = "seal.key";

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
    /// There is a party already.
    #[error("`{0}` holds the secrets of a party already; open it, or name another directory")]
    Exists(PathBuf),
    /// There is no party.
    #[error("`{0}` holds no party; create it first")]
    Missing(PathBuf),
    /// A file does not hold what was put there.
    #[error("`{0}` is damaged: it does not have the length of what was kept there")]
    Damaged(PathBuf),
    /// A file does not open under the party's keys.
    #[error("`{0}` does not open under the keys of this party: it was altered, moved, or is another party's")]
    Unreadable(PathBuf),
}

impl Entropy {
    /// A generator for one purpose, such as a party's root; purposes never share one.
    pub fn generator(self, purpose: &str) -> Result<ChaCha20Rng, PartyError> {
        let mut seed = Zeroizing::new([0; 32]);
        match self {
            Entropy::System => getrandom::fill(&mut *seed).map_err(PartyError::Entropy)?,
            Entropy::Seed(number) => {
                *seed = tagged_hash("histone/demo-seed/v1", &[&number.to_le_bytes(), purpose.as_bytes()]).0;
            }
        }
        Ok(ChaCha20Rng::from_seed(*seed))
    }
}

/// A party's name, keys and private directory.
#[derive(Clone)]
pub struct Party {
    /// Its name in the study.
    pub name: String,
    /// Signs its transactions and statements.
    pub key: SigningKey,
    /// Opens what is sealed to it.
    pub seal: SealKey,
    root: Root,
    entropy: Entropy,
    files: Files,
}

impl Party {
    /// Makes a party with a fresh root secret and a directory of its own below `private`, readable by its owner only.
    /// Refuses a directory that holds a party.
    pub fn create(name: &str, private: &Path, entropy: Entropy) -> Result<Self, PartyError> {
        let root = Root::generate(&mut entropy.generator(name)?);
        let dir = private.join(name);
        create_private_dir(&dir)?;
        update_private(&dir.join(ROOT), |old| match old {
            Some(_) => Err(PartyError::Exists(dir.clone())),
            None => Ok(Some(root.as_bytes().to_vec())),
        })?;
        Self::with(name, root, entropy, Files { dir, vault: None })
    }

    /// Opens a party that was created before: the same keys, whatever happened in between.
    pub fn open(name: &str, private: &Path, entropy: Entropy) -> Result<Self, PartyError> {
        let dir = private.join(name);
        let path = dir.join(ROOT);
        let bytes = if dir.is_dir() { read_durable(&path)?.map(Zeroizing::new) } else { None };
        let bytes = bytes.ok_or_else(|| PartyError::Missing(dir.clone()))?;
        let root = bytes.as_slice().try_into().map_err(|_| PartyError::Damaged(path))?;
        Self::with(name, Root::from_bytes(root), entropy, Files { dir, vault: None })
    }

    /// The party of a root that is kept elsewhere, with `dir` as its private directory, which is made when it is not there. What the
    /// party writes is encrypted under a key of the root, file by file; keys that derive from the root are not written.
    pub fn of_root(name: &str, root: Root, entropy: Entropy, dir: &Path) -> Result<Self, PartyError> {
        create_private_dir(dir)?;
        let vault = Some(Vault::of(&root));
        Self::with(name, root, entropy, Files { dir: dir.to_owned(), vault })
    }

    fn with(name: &str, root: Root, entropy: Entropy, files: Files) -> Result<Self, PartyError> {
        let key = SigningKey::generate(&mut root.rng("signing key", &[]));
        let seal = SealKey::from_seed(&root.derive("seal key", &[]));
        let party = Self { name: name.to_string(), key, seal, root, entropy, files };
        // For wallets and for whoever sweeps the accounts.
        party.show(SIGNING_KEY, &party.key.to_bytes())?;
        Ok(party)
    }

    /// Keeps a key in a file for others of the machine's programs, where the root lies open as well. The party itself never reads it.
    fn show(&self, name: &str, key: &[u8; 32]) -> Result<(), PartyError> {
        if self.files.vault.is_none() {
            self.keep_first(name, key.to_vec())?;
        }
        Ok(())
    }

    /// Keeps the key under which the party receives in a file of its own, `seal.key`: an auditor gives it to `histone verify`. The
    /// party itself never reads it. Not where the root is kept elsewhere: there, [`seal_secret`](Self::seal_secret) gives it.
    pub fn export_seal_key(&self) -> Result<(), PartyError> {
        self.show(SEAL_KEY, &self.seal_secret())
    }

    /// The secret of the key under which the party receives, as `histone verify` takes it.
    pub fn seal_secret(&self) -> Zeroizing<[u8; 32]> {
        self.root.derive("seal key", &[])
    }

    /// The party's account.
    pub fn account(&self) -> Address {
        self.key.address()
    }

    /// What the party's own secrets derive from, and what it seals with.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The account that is paid for a donation to one model on one ledger, always the same. Its key is kept in a file,
    /// unless the root is kept elsewhere.
    pub fn payee(&self, ledger: LedgerId, model_id: u64) -> Result<SigningKey, PartyError> {
        let place: [&[u8]; 3] =
            [&ledger.chain_id.to_le_bytes(), ledger.contract.as_slice(), &model_id.to_le_bytes()];
        let key = SigningKey::generate(&mut self.root.rng("payee", &place));
        let file = format!("payee-{}-{:x}-{model_id}.key", ledger.chain_id, ledger.contract);
        self.show(&file, &key.to_bytes())?;
        Ok(key)
    }

    /// What the enclave number `number` on this party's machine starts with; numbers come from [`Party::next`].
    pub fn enclave_seed(&self, number: u64) -> Zeroizing<[u8; 32]> {
        self.root.derive("enclave", &[&number.to_le_bytes()])
    }

    /// The next number of a series, from 0; never one that was given before, in this process or an earlier one.
    pub fn next(&self, series: &str) -> Result<u64, PartyError> {
        let name = format!("{series}.count");
        let mut next = 0;
        self.amend(&name, |old| {
            if let Some(old) = old {
                let count = old.try_into().map_err(|_| PartyError::Damaged(self.files.path(&name)))?;
                next = u64::from_le_bytes(count);
            }
            // 2^64 numbers are not given in the life of a machine.
            Ok::<_, PartyError>(Some(next.saturating_add(1).to_le_bytes().to_vec()))
        })?;
        Ok(next)
    }

    /// Has a series go on from `least` on, unless it is there already: after a restore from a backup, when numbers may have been given
    /// that are not known here.
    pub fn skip(&self, series: &str, least: u64) -> Result<(), PartyError> {
        if self.count(series)? < least {
            self.amend(&format!("{series}.count"), |_| {
                Ok::<_, PartyError>(Some(least.to_le_bytes().to_vec()))
            })?;
        }
        Ok(())
    }

    /// How many numbers of a series were given.
    pub fn count(&self, series: &str) -> Result<u64, PartyError> {
        let name = format!("{series}.count");
        let Some(bytes) = self.recall(&name)? else { return Ok(0) };
        Ok(u64::from_le_bytes(bytes.try_into().map_err(|_| PartyError::Damaged(self.files.path(&name)))?))
    }

    /// Secret bytes that derive from nothing, drawn once and kept under a name before they are used: for keys whose
    /// destruction is an erasure, which a root would bring back.
    pub fn draw<const N: usize>(&self, name: &str) -> Result<Zeroizing<[u8; N]>, PartyError> {
        let mut fresh = Zeroizing::new([0; N]);
        self.entropy.generator(&format!("{}/{name}", self.name))?.fill_bytes(&mut *fresh);
        let kept = Zeroizing::new(self.keep_first(name, fresh.to_vec())?);
        let kept = kept.as_slice().try_into().map_err(|_| PartyError::Damaged(self.files.path(name)))?;
        Ok(Zeroizing::new(kept))
    }

    /// The private directory as an enclave on this party's machine sees it.
    pub fn storage(&self) -> Box<dyn Storage> {
        Box::new(Directory(self.files.clone()))
    }

    /// Writes a file of the private directory whole or not at all; it is on the disk when this returns.
    pub fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), PartyError> {
        self.files.keep(name, bytes)
    }

    /// Keeps bytes under a name that has none yet, and gives what is kept there: what was prepared first is what is sent,
    /// however often.
    pub fn keep_first(&self, name: &str, bytes: Vec<u8>) -> Result<Vec<u8>, PartyError> {
        self.files.keep_first(name, bytes)
    }

    /// Changes a file in one step that no other process of this party comes between: `change` gets what is there and
    /// gives what is to be there, or `None` to leave it. It must not write to the directory by itself.
    pub fn amend<E: From<PartyError>>(
        &self,
        name: &str,
        change: impl FnOnce(Option<Vec<u8>>) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<(), E> {
        self.files.amend(name, change)
    }

    /// Reads a file of the private directory, to stay there; `None` when there is none.
    pub fn recall(&self, name: &str) -> Result<Option<Vec<u8>>, PartyError> {
        self.files.recall(name)
    }

    /// A place in the private directory for what an enclave seals.
    pub fn store(&self, name: String) -> EnclaveStore {
        EnclaveStore { files: self.files.clone(), name }
    }
}

/// A file of a party's private directory in which an enclave keeps a sealed state.
pub struct EnclaveStore {
    files: Files,
    name: String,
}

impl Store for EnclaveStore {
    fn recall(&self) -> Result<Option<Vec<u8>>, BoxError> {
        Ok(self.files.recall(&self.name)?)
    }

    fn keep(&mut self, state: &[u8]) -> Result<(), BoxError> {
        Ok(self.files.keep(&self.name, state)?)
    }
}

impl fmt::Debug for EnclaveStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnclaveStore({})", self.files.path(&self.name).display())
    }
}

/// A party's directory as a storage of enclaves.
struct Directory(Files);

impl Storage for Directory {
    fn keep_first(&self, name: &str, bytes: Vec<u8>) -> Result<Vec<u8>, BoxError> {
        Ok(self.0.keep_first(name, bytes)?)
    }

    fn recall(&self, name: &str) -> Result<Option<Vec<u8>>, BoxError> {
        Ok(self.0.recall(name)?)
    }

    fn destroy(&self, name: &str) -> Result<(), BoxError> {
        Ok(histone_network::remove_durable(&self.0.path(name))?)
    }

    fn names(&self, beginning: &str) -> Result<Vec<String>, BoxError> {
        Ok(histone_network::file_names(self.0.dir(), beginning)?)
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

    const LEDGER: LedgerId = LedgerId { chain_id: 1, contract: Address::repeat_byte(1) };

    #[test]
    fn a_seed_repeats_and_parties_differ() {
        let dir = tempfile::tempdir().unwrap();
        let mut runs = 0;
        let mut make = |name: &str, n: u64| {
            runs += 1;
            Party::create(name, &dir.path().join(runs.to_string()), Entropy::Seed(n)).unwrap().account()
        };
        assert_eq!(make("a", 1), make("a", 1));
        assert_ne!(make("a", 1), make("b", 1));
        assert_ne!(make("a", 1), make("a", 2));
    }

    #[test]
    fn a_party_comes_back_with_its_keys() {
        let dir = tempfile::tempdir().unwrap();
        for entropy in [Entropy::System, Entropy::Seed(1)] {
            let name = format!("{entropy:?}");
            assert!(matches!(Party::open(&name, dir.path(), entropy), Err(PartyError::Missing(_))));
            assert!(!dir.path().join(&name).exists(), "asking makes nothing");
            let party = Party::create(&name, dir.path(), entropy).unwrap();
            let sealed = party.seal.public().seal("use", b"", b"secret", party.root()).unwrap();
            let payee = party.payee(LEDGER, 3).unwrap().address();
            let drawn = party.draw::<64>("dataset.key").unwrap();
            assert_eq!((party.next("codes").unwrap(), party.next("codes").unwrap()), (0, 1));
            assert!(matches!(Party::create(&name, dir.path(), entropy), Err(PartyError::Exists(_))));

            let again = Party::open(&name, dir.path(), entropy).unwrap();
            assert_eq!(again.account(), party.account());
            assert_eq!(again.seal.open("use", b"", &sealed).unwrap(), b"secret");
            assert_eq!(again.payee(LEDGER, 3).unwrap().address(), payee);
            assert_ne!(again.payee(LEDGER, 4).unwrap().address(), payee);
            let elsewhere = LedgerId { chain_id: 2, ..LEDGER };
            assert_ne!(
                again.payee(elsewhere, 5).unwrap().address(),
                again.payee(LEDGER, 5).unwrap().address()
            );
            assert_eq!(again.draw::<64>("dataset.key").unwrap(), drawn);
            assert_ne!(again.draw::<64>("other.key").unwrap(), drawn);
            assert_eq!((again.next("codes").unwrap(), again.count("codes").unwrap()), (2, 3));
            assert_eq!((again.next("enclaves").unwrap(), again.count("none").unwrap()), (0, 0));
            assert_ne!(again.enclave_seed(0), again.enclave_seed(1));
            assert_eq!(again.enclave_seed(0), party.enclave_seed(0));
        }
    }

    /// Killed after the root was stored and before anything else: the party is the same one.
    #[test]
    fn a_party_is_killed_while_it_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let party = Party::create("a", dir.path(), Entropy::System).unwrap();
        fs::remove_file(dir.path().join("a").join(SIGNING_KEY)).unwrap();
        let again = Party::open("a", dir.path(), Entropy::System).unwrap();
        assert_eq!(again.account(), party.account());
        assert_eq!(again.recall(SIGNING_KEY).unwrap().unwrap(), *party.key.to_bytes());
        // Before that there is no party, and making it works.
        fs::create_dir(dir.path().join("b")).unwrap();
        assert!(matches!(Party::open("b", dir.path(), Entropy::System), Err(PartyError::Missing(_))));
        fs::write(dir.path().join("b").join("root.partial"), [1; 7]).unwrap();
        Party::create("b", dir.path(), Entropy::System).unwrap();
        // A root that is cut off is no root.
        party.keep(ROOT, &[1; 31]).unwrap();
        assert!(matches!(Party::open("a", dir.path(), Entropy::System), Err(PartyError::Damaged(_))));
        assert!(matches!(Party::create("a", dir.path(), Entropy::System), Err(PartyError::Exists(_))));
    }

    #[test]
    fn what_was_prepared_first_is_what_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let party = Party::create("a", dir.path(), Entropy::System).unwrap();
        assert_eq!(party.keep_first("update", b"one".to_vec()).unwrap(), b"one");
        assert_eq!(party.keep_first("update", b"two".to_vec()).unwrap(), b"one");
        assert_eq!(party.storage().recall("update").unwrap().unwrap(), b"one");
        assert_eq!(party.storage().keep_first("update", b"three".to_vec()).unwrap(), b"one");
        let refused: Result<(), PartyError> = party.amend("update", |old| {
            assert_eq!(old.as_deref(), Some(b"one".as_slice()));
            Err(PartyError::Missing(PathBuf::new()))
        });
        assert!(matches!(refused, Err(PartyError::Missing(_))));
        assert_eq!(party.recall("update").unwrap().unwrap(), b"one");
    }

    /// Every file of the directory, wherever it comes from, against every secret that the party has.
    #[test]
    fn with_the_root_elsewhere_nothing_lies_open() {
        let dir = tempfile::tempdir().unwrap();
        let private = dir.path().join("private");
        let root = Root::from_bytes([0xA7; 32]);
        let of_root = |root: &Root| Party::of_root("a", root.clone(), Entropy::System, &private).unwrap();
        let party = of_root(&root);
        party.export_seal_key().unwrap();
        let payee = party.payee(LEDGER, 3).unwrap();
        let drawn = party.draw::<64>("dataset.key").unwrap();
        assert_eq!((party.next("codes").unwrap(), party.next("codes").unwrap()), (0, 1));
        party.keep("model", b"what was trained, and stays here").unwrap();
        assert_eq!(
            party.keep_first("first", b"what was said first".to_vec()).unwrap(),
            b"what was said first"
        );
        assert_eq!(party.keep_first("first", b"another thing".to_vec()).unwrap(), b"what was said first");
        party.storage().keep_first("of-enclave", b"what an enclave keeps".to_vec()).unwrap();
        party.store("state".to_string()).keep(b"what an enclave changes").unwrap();
        let secrets: [&[u8]; 9] = [
            root.as_bytes(),
            &*party.key.to_bytes(),
            &*payee.to_bytes(),
            &*party.seal_secret(),
            &drawn[..32],
            b"what was trained",
            b"what was said first",
            b"what an enclave keeps",
            b"what an enclave changes",
        ];
        let mut names = Vec::new();
        for entry in fs::read_dir(&private).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            for secret in secrets {
                assert!(!bytes.windows(secret.len()).any(|part| part == secret), "{}", path.display());
            }
            names.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
        names.sort();
        assert_eq!(names, ["codes.count", "dataset.key", "first", "model", "of-enclave", "state"]);

        let again = of_root(&root);
        assert_eq!(again.account(), party.account());
        assert_eq!(again.payee(LEDGER, 3).unwrap().address(), payee.address());
        assert_eq!(again.draw::<64>("dataset.key").unwrap(), drawn);
        assert_eq!((again.next("codes").unwrap(), again.count("codes").unwrap()), (2, 3));
        // One name is one file, whoever asks.
        assert_eq!(again.storage().recall("first").unwrap().unwrap(), b"what was said first");
        assert_eq!(again.recall("of-enclave").unwrap().unwrap(), b"what an enclave keeps");
        assert_eq!(again.recall("state").unwrap().unwrap(), b"what an enclave changes");
        assert_eq!(again.store("state".to_string()).recall().unwrap().unwrap(), b"what an enclave changes");
        assert_eq!(again.storage().names("of").unwrap(), ["of-enclave"]);
        again.storage().destroy("of-enclave").unwrap();
        assert_eq!(again.recall("of-enclave").unwrap(), None);

        // A file in another's place, and another party's root.
        fs::copy(private.join("first"), private.join("model")).unwrap();
        let unreadable = |party: &Party| {
            let changed = party.amend("model", |_| Ok::<_, PartyError>(Some(Vec::new())));
            assert!(matches!(changed, Err(PartyError::Unreadable(path)) if path == private.join("model")));
            assert!(matches!(party.recall("model"), Err(PartyError::Unreadable(_))));
            assert!(matches!(party.keep_first("model", Vec::new()), Err(PartyError::Unreadable(_))));
            assert!(
                party.storage().recall("model").is_err()
                    && party.store("model".to_string()).recall().is_err()
            );
        };
        unreadable(&again);
        let other = of_root(&Root::from_bytes([1; 32]));
        unreadable(&other);
        assert!(matches!(other.next("codes"), Err(PartyError::Unreadable(_))));
        assert!(matches!(other.draw::<64>("dataset.key"), Err(PartyError::Unreadable(_))));
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
