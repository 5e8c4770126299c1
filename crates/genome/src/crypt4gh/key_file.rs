//! Key files: base64 between two lines.
//!
//! The content of a secret key's file is modelled on OpenSSH's: `c4gh-v1`, then texts behind their length (two bytes, most
//! significant first): the derivation of a key from a passphrase, its parameters (rounds in four bytes, then salt; absent
//! for `none`), the cipher, the key itself (behind a nonce, with a tag, where a cipher is named), and perhaps a comment.

use base64ct::{Base64, Encoding};
use bcrypt_pbkdf::bcrypt_pbkdf;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::error::KeyFileError;
use super::keys::{PublicKey, SecretKey};
use super::segment::{self, NONCE, OVERHEAD};

/// More than a key with a comment of the longest kind needs.
const MAX_BYTES: usize = 200_000;
const MAGIC: &[u8] = b"c4gh-v1";
const OPENSSH: &[u8] = b"openssh-key-v1";
const PUBLIC: &str = "CRYPT4GH PUBLIC KEY";
const PRIVATE: &str = "CRYPT4GH PRIVATE KEY";
const CIPHER: &[u8] = b"chacha20_poly1305";
/// A hundred are usual and take about a second; a file that asks for more is not obeyed.
const MAX_BCRYPT_ROUNDS: u32 = 10_000;
/// Other tools run scrypt with these whatever the file says (log2 n, r, p): 16 MiB of memory.
const SCRYPT: (u8, u32, u32) = (14, 8, 1);
const SALT: usize = 16;

/// The file of a secret key, read and not yet opened. What it holds in clear is wiped when dropped.
pub struct KeyFile {
    derivation: Derivation,
    /// The key, or nonce, encrypted key and tag.
    key: Zeroizing<Vec<u8>>,
}

enum Derivation {
    None,
    Scrypt { salt: Vec<u8> },
    Bcrypt { rounds: u32, salt: Vec<u8> },
}

impl KeyFile {
    /// Reads the file of a secret key. No passphrase is needed yet.
    ///
    /// # Errors
    /// Every [`KeyFileError`] but those of [`open`](Self::open).
    pub fn parse(text: &[u8]) -> Result<Self, KeyFileError> {
        let bytes = unwrap(text, |label| label == "PRIVATE KEY" || label.ends_with(" PRIVATE KEY"))?;
        if bytes.starts_with(OPENSSH) {
            return Err(KeyFileError::OpenSsh);
        }
        let mut at = MAGIC.len();
        if !bytes.starts_with(MAGIC) {
            return Err(KeyFileError::Magic);
        }
        let name = take(&bytes, &mut at)?;
        let derivation = if name == b"none" {
            Derivation::None
        } else {
            if name != b"scrypt" && name != b"bcrypt" {
                return Err(KeyFileError::Derivation);
            }
            let start = at;
            let (rounds, salt) =
                take(&bytes, &mut at)?.split_first_chunk::<4>().ok_or(KeyFileError::Content {
                    at: start,
                    reason: "the parameters of the derivation end before their rounds do",
                })?;
            let (rounds, salt) = (u32::from_be_bytes(*rounds), salt.to_vec());
            if salt.is_empty() {
                return Err(KeyFileError::Content { at: start, reason: "the derivation has no salt" });
            }
            if name == b"scrypt" {
                Derivation::Scrypt { salt }
            } else if (1..=MAX_BCRYPT_ROUNDS).contains(&rounds) {
                Derivation::Bcrypt { rounds, salt }
            } else {
                return Err(KeyFileError::Rounds { found: rounds, limit: MAX_BCRYPT_ROUNDS });
            }
        };
        let cipher = take(&bytes, &mut at)?;
        let expected = match (&derivation, cipher) {
            (Derivation::None, b"none") => 32,
            (Derivation::Scrypt { .. } | Derivation::Bcrypt { .. }, CIPHER) => 32 + OVERHEAD,
            _ => return Err(KeyFileError::Cipher),
        };
        let start = at;
        let key = take(&bytes, &mut at)?;
        if key.len() != expected {
            return Err(KeyFileError::Content {
                at: start,
                reason: "the key has another length than its cipher gives",
            });
        }
        let key = Zeroizing::new(key.to_vec());
        // A comment may follow and says nothing to us, but it must be all that follows.
        if at < bytes.len() {
            take(&bytes, &mut at)?;
        }
        if at < bytes.len() {
            return Err(KeyFileError::Content { at, reason: "something follows the comment" });
        }
        Ok(Self { derivation, key })
    }

    /// Whether [`open`](Self::open) needs a passphrase.
    #[must_use]
    pub fn needs_passphrase(&self) -> bool {
        !matches!(self.derivation, Derivation::None)
    }

    /// Opens the key. A passphrase is not looked at where none is needed.
    ///
    /// # Errors
    /// [`KeyFileError::PassphraseNeeded`], [`Passphrase`](KeyFileError::Passphrase).
    pub fn open(&self, passphrase: Option<&[u8]>) -> Result<SecretKey, KeyFileError> {
        let mut key = self.key.clone();
        let secret = match &self.derivation {
            Derivation::None => key.as_slice(),
            derivation => {
                let passphrase = passphrase.ok_or(KeyFileError::PassphraseNeeded)?;
                let outer = derive(derivation, passphrase).ok_or(KeyFileError::Passphrase)?;
                segment::open(&outer, &[], &mut key).ok_or(KeyFileError::Passphrase)?
            }
        };
        let secret = secret.first_chunk::<32>().ok_or(KeyFileError::Passphrase)?;
        Ok(SecretKey::from_bytes(*secret))
    }
}

impl SecretKey {
    /// The text of a key file; with a passphrase the key is encrypted under what `scrypt` makes of it. A passphrase of no
    /// bytes counts as none, as it does for other tools.
    #[must_use]
    pub fn to_key_file(&self, passphrase: Option<&[u8]>, rng: &mut impl CryptoRng) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(256));
        bytes.extend(MAGIC);
        let encrypted = passphrase.filter(|passphrase| !passphrase.is_empty()).and_then(|passphrase| {
            let mut salt = vec![0; SALT];
            rng.fill_bytes(&mut salt);
            let parameters = [&[0; 4], salt.as_slice()].concat();
            let outer = derive(&Derivation::Scrypt { salt }, passphrase)?;
            let mut nonce = [0; NONCE];
            rng.fill_bytes(&mut nonce);
            let mut key = Zeroizing::new(*self.as_bytes());
            let tag = segment::seal(&outer, &nonce, &[], &mut *key);
            Some((parameters, [nonce.as_slice(), key.as_slice(), &tag].concat()))
        });
        match encrypted {
            Some((parameters, key)) => {
                [b"scrypt", parameters.as_slice(), CIPHER, &key]
                    .iter()
                    .for_each(|part| put(&mut bytes, part));
            }
            None => {
                [b"none", b"none".as_slice(), self.as_bytes()].iter().for_each(|part| put(&mut bytes, part))
            }
        }
        let base64 = Zeroizing::new(Base64::encode_string(&bytes));
        Zeroizing::new(wrap(PRIVATE, &base64))
    }
}

impl PublicKey {
    /// Reads a file `-----BEGIN CRYPT4GH PUBLIC KEY-----`.
    ///
    /// # Errors
    /// [`KeyFileError::Armor`], [`Base64`](KeyFileError::Base64), [`PublicLength`](KeyFileError::PublicLength),
    /// [`OpenSsh`](KeyFileError::OpenSsh), [`TooLarge`](KeyFileError::TooLarge).
    pub fn from_key_file(text: &[u8]) -> Result<Self, KeyFileError> {
        if text.starts_with(b"ssh-") {
            return Err(KeyFileError::OpenSsh);
        }
        let bytes = unwrap(text, |label| label == PUBLIC)?;
        let key: [u8; 32] =
            bytes.as_slice().try_into().map_err(|_| KeyFileError::PublicLength { found: bytes.len() })?;
        Ok(Self(key))
    }

    /// The text of a key file.
    #[must_use]
    pub fn to_key_file(&self) -> String {
        wrap(PUBLIC, &Base64::encode_string(&self.0))
    }
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyFile(needs passphrase: {}, secret not shown)", self.needs_passphrase())
    }
}

/// `None` where the functions refuse their parameters, which were checked before: an empty passphrase is left.
fn derive(derivation: &Derivation, passphrase: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    match derivation {
        Derivation::None => return None,
        Derivation::Scrypt { salt } => {
            let (log_n, r, p) = SCRYPT;
            scrypt::scrypt(passphrase, salt, &scrypt::Params::new(log_n, r, p).ok()?, &mut *key).ok()?;
        }
        Derivation::Bcrypt { rounds, salt } => bcrypt_pbkdf(passphrase, salt, *rounds, &mut *key).ok()?,
    }
    Some(key)
}

fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    // All parts here are shorter than a hundred bytes.
    bytes.extend(u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend(part);
}

fn take<'a>(bytes: &'a [u8], at: &mut usize) -> Result<&'a [u8], KeyFileError> {
    let short = KeyFileError::Content { at: *at, reason: "the content ends too soon; copy the file again" };
    let rest = bytes.get(*at..).unwrap_or_default();
    let (length, rest) = rest.split_first_chunk::<2>().ok_or(short)?;
    let part = rest.get(..usize::from(u16::from_be_bytes(*length))).ok_or(short)?;
    *at += 2 + part.len();
    Ok(part)
}

fn wrap(label: &str, base64: &str) -> String {
    let mut text = String::with_capacity(base64.len() + 2 * label.len() + 40);
    for part in ["-----BEGIN ", label, "-----\n", base64, "\n-----END ", label, "-----\n"] {
        text.push_str(part);
    }
    text
}

/// The bytes between the lines. Blank lines and blanks around lines are passed over.
fn unwrap(text: &[u8], is_label: impl Fn(&str) -> bool) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    if text.len() > MAX_BYTES {
        return Err(KeyFileError::TooLarge { limit: MAX_BYTES });
    }
    let armor = |line, reason| KeyFileError::Armor { line, reason };
    let text = std::str::from_utf8(text).map_err(|_| armor(1, "the file is not text; give a key file"))?;
    let mut lines = text.lines().map(str::trim).zip(1..).filter(|(line, _)| !line.is_empty());
    let label = |line: &'_ str, word| {
        line.strip_prefix("-----")?.strip_suffix("-----")?.strip_prefix(word).map(str::to_owned)
    };
    let (first, number) = lines.next().ok_or(armor(1, "the file is empty"))?;
    let begin = label(first, "BEGIN ").ok_or(armor(
        number,
        "a key file begins with a line such as `-----BEGIN CRYPT4GH PUBLIC KEY-----`",
    ))?;
    if !is_label(&begin) {
        return Err(armor(number, "this is another kind of key than the one asked for"));
    }
    // All the room is taken now: text that grows leaves copies behind.
    let mut base64 = Zeroizing::new(String::with_capacity(text.len()));
    let mut last = number;
    for (line, number) in &mut lines {
        last = number;
        if let Some(end) = label(line, "END ") {
            if end != begin {
                return Err(armor(number, "the last line names another kind of key than the first"));
            }
            if let Some((_, number)) = lines.next() {
                return Err(armor(number, "something follows the last line of the key"));
            }
            return Base64::decode_vec(&base64).map(Zeroizing::new).map_err(|_| KeyFileError::Base64);
        }
        base64.push_str(line);
    }
    Err(armor(last, "the file ends without a line `-----END ...-----`"))
}
