//! Where a home keeps the root of its party: under a passphrase, or open for sites that start unattended.
//!
//! The key of the passphrase is made by Argon2id (RFC 9106) with a cost that the file states, so that later files can cost more; the
//! root is sealed under it with ChaCha20-Poly1305. The file has a check sum over what is in it: a passphrase that is wrong is told
//! apart from a file that is damaged.

use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20::rand_core::Rng;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use histone_network::{StoreError, read_durable, update_private};
use histone_protocol::hash::tagged_hash;
use histone_protocol::secret::Root;
use histone_protocol::{Address, B256};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::party::{Entropy, PartyError};

/// Fewest characters of a passphrase.
pub const LEAST_PASSPHRASE: usize = 12;
/// The version of keystores that this program writes and reads.
const VERSION: u32 = 1;
const NONCE: usize = 12;
const KEY: usize = 32;

/// A passphrase. It is wiped when dropped and has no `Debug`.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes a passphrase as it was typed, without the end of its line.
    pub fn new(typed: String) -> Self {
        let typed = Zeroizing::new(typed);
        Self(Zeroizing::new(typed.trim_end_matches(['\r', '\n']).to_string()))
    }

    /// Reads a passphrase from a file, such as one that the system's service manager hands to the node.
    pub fn read(path: &Path) -> Result<Self, KeystoreError> {
        let bytes = read_durable(path)?.map(Zeroizing::new);
        let bytes = bytes.ok_or_else(|| KeystoreError::NoPassphraseFile(path.to_owned()))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| KeystoreError::NoText(path.to_owned()))?;
        Ok(Self::new(text.to_string()))
    }
}

/// What it costs to try one passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes of the memory.
    pub lanes: u32,
}

impl Default for Cost {
    /// 64 MiB and three passes: the second choice that RFC 9106 recommends, with one lane, as one thread computes it.
    fn default() -> Self {
        Self { memory_kib: 64 << 10, passes: 3, lanes: 1 }
    }
}

impl Cost {
    /// Who altered the file must not make the node take all of the machine: more than 4 GiB is not tried.
    fn is_sane(self) -> bool {
        self.memory_kib <= 4 << 20 && self.passes <= 64 && self.lanes <= 64
    }
}

/// How the root is to be kept.
pub enum Protection {
    /// Under a passphrase, which the node needs each time it starts.
    Passphrase {
        /// The passphrase.
        passphrase: Passphrase,
        /// What it costs to try one.
        cost: Cost,
    },
    /// Open in the file: who can read the file has the keys.
    Open,
}

/// Why a keystore does not give its root.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeystoreError {
    /// A file cannot be read or written.
    #[error(transparent)]
    Files(#[from] StoreError),
    /// No random numbers.
    #[error(transparent)]
    Entropy(#[from] PartyError),
    /// There is one already.
    #[error("`{0}` holds the keys of a node already; they are not written over")]
    Exists(PathBuf),
    /// There is none.
    #[error("`{0}` is not there: without it the node has no keys. Restore it from a backup")]
    Missing(PathBuf),
    /// No passphrase was given.
    #[error("`{0}` is protected by a passphrase: give it")]
    NeedsPassphrase(PathBuf),
    /// Another passphrase.
    #[error("the passphrase is not the one of `{0}`; try again (upper and lower case, keyboard layout)")]
    WrongPassphrase(PathBuf),
    /// Too easily found.
    #[error("a passphrase has at least {LEAST_PASSPHRASE} characters; four words that nobody would guess do")]
    TooShort,
    /// The file is not what was written.
    #[error(
        "`{path}` is damaged ({what}). Put the file back from a backup of the home: keys cannot be made again"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// A later program wrote it.
    #[error(
        "`{path}` has version {found}, made by a newer program; this one knows version {VERSION}. Install the newer program"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// The cost cannot be paid.
    #[error("`{path}` wants {cost:?} for its passphrase, which Argon2id cannot do or no machine should")]
    Cost {
        /// The file.
        path: PathBuf,
        /// What it says.
        cost: Cost,
    },
    /// A file with a passphrase is not there.
    #[error("`{0}`, which is to hold the passphrase, is not there")]
    NoPassphraseFile(PathBuf),
    /// A file with a passphrase is no text.
    #[error("`{0}`, which is to hold the passphrase, is no text in UTF-8")]
    NoText(PathBuf),
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    /// The party's account: what the root must lead to.
    account: Address,
    kept: Kept,
    /// Over all of the above.
    check: B256,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "protection", rename_all = "kebab-case", deny_unknown_fields)]
enum Kept {
    /// `argon2id` and `chacha20-poly1305`.
    Passphrase {
        cost: Cost,
        salt: B256,
        nonce: Hex<NONCE>,
        root: Hex<48>,
    },
    None {
        root: Hex<32>,
    },
}

/// What a file says without its passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// The party's account.
    pub account: Address,
    /// Whether a passphrase is needed.
    pub protected: bool,
}

/// Keeps a root in a file: one that is not there yet, or in the place of the old one.
pub(super) fn write(
    path: &Path,
    account: Address,
    root: &Root,
    protection: &Protection,
    entropy: Entropy,
    replace: bool,
) -> Result<(), KeystoreError> {
    let kept = match protection {
        Protection::Open => Kept::None { root: Hex(*root.as_bytes()) },
        Protection::Passphrase { passphrase, cost } => {
            if passphrase.0.chars().count() < LEAST_PASSPHRASE {
                return Err(KeystoreError::TooShort);
            }
            let (mut salt, mut nonce) = ([0; 32], [0; NONCE]);
            let mut generator = entropy.generator(&format!("keystore/{account}"))?;
            generator.fill_bytes(&mut salt);
            generator.fill_bytes(&mut nonce);
            let cipher = cipher(path, passphrase, *cost, &salt)?;
            let aad = bound(account, *cost);
            let payload = Payload { msg: root.as_bytes(), aad: &aad };
            // Unwrap safety: encryption fails only beyond 256 GiB, and a tag has 16 bytes.
            #[allow(clippy::expect_used)]
            let sealed = cipher.encrypt(&Nonce::from(nonce), payload).expect("32 bytes can be encrypted");
            #[allow(clippy::expect_used)]
            let root = Hex(sealed.try_into().expect("32 bytes and a tag"));
            Kept::Passphrase { cost: *cost, salt: salt.into(), nonce: Hex(nonce), root }
        }
    };
    let mut file = File { version: VERSION, account, kept, check: B256::ZERO };
    file.check = check(&file);
    // Unwrap safety: there is nothing in it that JSON does not have.
    #[allow(clippy::expect_used)]
    let mut text = Zeroizing::new(serde_json::to_vec_pretty(&file).expect("a keystore is JSON"));
    text.push(b'\n');
    update_private(path, |old| match old {
        Some(_) if !replace => Err(KeystoreError::Exists(path.to_owned())),
        _ => Ok(Some(&*text)),
    })
}

/// What a keystore says without its passphrase; the file is checked.
pub(super) fn show(path: &Path) -> Result<Shown, KeystoreError> {
    let file = read(path)?;
    Ok(Shown { account: file.account, protected: matches!(file.kept, Kept::Passphrase { .. }) })
}

/// Gives the root, and the account to which it must lead.
pub(super) fn unlock(path: &Path, passphrase: Option<&Passphrase>) -> Result<(Root, Address), KeystoreError> {
    let file = read(path)?;
    let root = match file.kept {
        Kept::None { root } => root.0,
        Kept::Passphrase { cost, salt, nonce, root } => {
            let passphrase = passphrase.ok_or_else(|| KeystoreError::NeedsPassphrase(path.to_owned()))?;
            let cipher = cipher(path, passphrase, cost, &salt.0)?;
            let aad = bound(file.account, cost);
            // The check sum fits, so nobody has damaged the file by accident: the passphrase is another one.
            let wrong = || KeystoreError::WrongPassphrase(path.to_owned());
            let plain = cipher.decrypt(&Nonce::from(nonce.0), Payload { msg: &root.0, aad: &aad });
            let plain = Zeroizing::new(plain.map_err(|_| wrong())?);
            plain.as_slice().try_into().map_err(|_| wrong())?
        }
    };
    Ok((Root::from_bytes(root), file.account))
}

fn cipher(
    path: &Path,
    passphrase: &Passphrase,
    cost: Cost,
    salt: &[u8; 32],
) -> Result<ChaCha20Poly1305, KeystoreError> {
    let refused = || KeystoreError::Cost { path: path.to_owned(), cost };
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(KEY)).map_err(|_| refused())?;
    if !cost.is_sane() {
        return Err(refused());
    }
    let mut key = Zeroizing::new([0; KEY]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.0.as_bytes(), salt, &mut *key)
        .map_err(|_| refused())?;
    Ok(ChaCha20Poly1305::new((&*key).into()))
}

/// What the sealed root is bound to.
fn bound(account: Address, cost: Cost) -> Vec<u8> {
    let Cost { memory_kib, passes, lanes } = cost;
    let cost = [memory_kib, passes, lanes].map(u32::to_le_bytes).concat();
    [b"histone/keystore/v1".as_slice(), account.as_slice(), &cost].concat()
}

fn check(file: &File) -> B256 {
    let File { version, account, kept, check: _ } = file;
    let kept = Zeroizing::new(serde_json::to_vec(kept).unwrap_or_default());
    let parts: [&[u8]; 3] = [&version.to_le_bytes(), account.as_slice(), &kept];
    tagged_hash("histone/keystore-check/v1", &parts)
}

fn read(path: &Path) -> Result<File, KeystoreError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u64,
    }
    let damaged = |what: String| KeystoreError::Damaged { path: path.to_owned(), what };
    let bytes = match path.parent().is_some_and(Path::is_dir) {
        true => read_durable(path)?.map(Zeroizing::new),
        false => None,
    };
    let bytes = bytes.ok_or_else(|| KeystoreError::Missing(path.to_owned()))?;
    // The parser's complaint may quote what it read: only where it is goes on.
    let place = |error: serde_json::Error| {
        damaged(format!("it is no keystore from line {}, column {} on", error.line(), error.column()))
    };
    let Versioned { version } = serde_json::from_slice(&bytes).map_err(place)?;
    if version > u64::from(VERSION) {
        return Err(KeystoreError::Newer { path: path.to_owned(), found: version });
    }
    let file: File = serde_json::from_slice(&bytes).map_err(place)?;
    match check(&file) == file.check {
        true => Ok(file),
        false => Err(damaged("its check sum does not fit".to_string())),
    }
}

/// Bytes as hexadecimal digits. No `Debug`: some are secret.
struct Hex<const N: usize>([u8; N]);

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits: Zeroizing<String> = Zeroizing::new(self.0.iter().map(|b| format!("{b:02x}")).collect());
        serializer.serialize_str(&digits)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = Zeroizing::new(String::deserialize(deserializer)?);
        let refused = || serde::de::Error::custom(format!("not {} hexadecimal digits", 2 * N));
        if digits.len() != 2 * N || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(refused());
        }
        let mut bytes = [0; N];
        for (byte, place) in bytes.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&digits[place..place + 2], 16).map_err(|_| refused())?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    const ACCOUNT: Address = Address::repeat_byte(3);
    /// Tests try many.
    const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.to_string())
    }

    fn keep(path: &Path, protection: &Protection) -> Result<(), KeystoreError> {
        write(path, ACCOUNT, &Root::from_bytes([7; 32]), protection, Entropy::System, false)
    }

    fn under(text: &str, cost: Cost) -> Protection {
        Protection::Passphrase { passphrase: passphrase(text), cost }
    }

    #[test]
    fn a_root_comes_back_with_its_passphrase_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keystore.json");
        assert!(matches!(unlock(&path, None), Err(KeystoreError::Missing(_))));
        assert!(matches!(keep(&path, &under("too short", CHEAP)), Err(KeystoreError::TooShort)));
        keep(&path, &under("correct horse battery\n", Cost::default())).unwrap();
        assert!(matches!(keep(&path, &Protection::Open), Err(KeystoreError::Exists(_))));
        assert_eq!(show(&path).unwrap(), Shown { account: ACCOUNT, protected: true });
        let (root, account) = unlock(&path, Some(&passphrase("correct horse battery"))).unwrap();
        assert_eq!((root.as_bytes(), account), (&[7; 32], ACCOUNT));
        assert!(matches!(unlock(&path, None), Err(KeystoreError::NeedsPassphrase(_))));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("\"memory_kib\": 65536,") && !text.contains(&"07".repeat(8)), "{text}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn an_open_root_comes_back_without() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keystore.json");
        keep(&path, &Protection::Open).unwrap();
        assert_eq!(show(&path).unwrap(), Shown { account: ACCOUNT, protected: false });
        for given in [None, Some(&passphrase("not asked for"))] {
            assert_eq!(unlock(&path, given).unwrap().0.as_bytes(), &[7; 32]);
        }
    }

    /// Every byte of the file, changed, and the file cut off: never a root, never a panic, and never "a wrong passphrase".
    #[test]
    fn damage_is_told_apart_from_a_wrong_passphrase() {
        let dir = tempfile::tempdir().unwrap();
        for protection in [under("correct horse battery", CHEAP), Protection::Open] {
            let path = dir.path().join("keystore.json");
            write(&path, ACCOUNT, &Root::from_bytes([7; 32]), &protection, Entropy::System, true).unwrap();
            let good = fs::read(&path).unwrap();
            let right = passphrase("correct horse battery");
            let refused = |bytes: &[u8]| {
                fs::write(&path, bytes).unwrap();
                match unlock(&path, Some(&right)) {
                    // Spaces and the case of hexadecimal digits say nothing.
                    Ok((root, _)) => assert_eq!(root.as_bytes(), &[7; 32]),
                    Err(KeystoreError::Damaged { .. } | KeystoreError::Newer { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            };
            for place in 0..good.len() {
                let mut bytes = good.clone();
                bytes[place] ^= [1, 0x20, 0x80][place % 3];
                refused(&bytes);
            }
            // The last two bytes are a brace and the end of the line.
            for length in (0..good.len() - 1).step_by(7) {
                fs::write(&path, &good[..length]).unwrap();
                assert!(matches!(unlock(&path, Some(&right)), Err(KeystoreError::Damaged { .. })));
            }
        }
    }

    #[test]
    fn what_no_machine_should_do_is_refused_before_it_is_tried() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keystore.json");
        for cost in [
            Cost { memory_kib: u32::MAX, passes: 1, lanes: 1 },
            Cost { passes: u32::MAX, ..CHEAP },
            Cost { memory_kib: 0, ..CHEAP },
            Cost { lanes: 0, ..CHEAP },
        ] {
            assert!(matches!(
                keep(&path, &under("correct horse battery", cost)),
                Err(KeystoreError::Cost { .. })
            ));
        }
        fs::write(&path, br#"{"version": 2, "cipher": "another"}"#).unwrap();
        assert!(matches!(unlock(&path, None), Err(KeystoreError::Newer { found: 2, .. })));
    }

    #[test]
    fn a_passphrase_from_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("passphrase");
        assert!(matches!(Passphrase::read(&path), Err(KeystoreError::NoPassphraseFile(_))));
        fs::write(&path, "correct horse battery\r\n").unwrap();
        assert_eq!(*Passphrase::read(&path).unwrap().0, "correct horse battery");
        fs::write(&path, [0xFF, 0xFE]).unwrap();
        assert!(matches!(Passphrase::read(&path), Err(KeystoreError::NoText(_))));
    }

    /// Written by Python's `cryptography` from the description above: it must open after an update of the program.
    #[test]
    fn known_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keystore.json");
        fs::write(&path, include_str!("keystore/v1.json")).unwrap();
        let (root, _) = unlock(&path, Some(&passphrase("correct horse battery"))).unwrap();
        assert_eq!(root.as_bytes(), &[7; 32]);
    }
}
