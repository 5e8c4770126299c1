//! Sealed letters: what concerns two parties and nobody else.
//!
//! A letter is signed by its author's account inside the seal, padded to one of a few sizes, and sealed to its receiver's mail key
//! (HPKE). Whoever carries it sees a mailbox and a size. Mailbox and mail key are apart from the chain account and derive from the
//! party's root; a [`Profile`], which the account signs, says which belong to it.
//!
//! Signed are the ledger, the receiver, the author's count of letters to it and the newest block that the author has verified: a
//! letter is void on another ledger and for another reader, one that was read before is known again, and two histories of one chain
//! meet in whoever hears from both sides.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::hash::tagged_hash;
use crate::keys::SigningKey;
use crate::record::{LedgerId, Record, RecordError, Signed};
use crate::seal::{OVERHEAD, SealError, SealKey, SealPublicKey};
use crate::secret::Root;

/// Largest letter that is carried, sealed: 4 MiB. What is larger goes as a blob that the letter names.
pub const MAX_LETTER: usize = 4 << 20;

/// The use of a mail key, part of every seal.
const INFO: &str = "histone/letter/v1";
/// The smallest size to which letters are padded; each next one is four times as large.
const SMALLEST: usize = 1 << 10;

/// How a party describes itself. A member's is a blob that the ledger names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The ledger on which it takes part.
    pub ledger: LedgerId,
    /// Its name, as it gives it to itself.
    pub name: String,
    /// What it wants to be: the sum of the ledger's role bits; 0 for an end user.
    pub roles: u8,
    /// Where letters to it are left: the account of the key with which it fetches them.
    pub mailbox: Address,
    /// What letters to it are sealed to.
    pub mail_key: SealPublicKey,
    /// The key under which its member account receives, as the ledger has it.
    pub seal_key: SealPublicKey,
    /// The SIMULATED device on which its enclaves run, which the network's vendor is to certify.
    pub device: Option<Address>,
}

impl Record for Profile {
    const KIND: &'static str = "profile";

    fn ledger(&self) -> Option<LedgerId> {
        Some(self.ledger)
    }
}

/// The newest block that somebody has executed itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifiedHead {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
}

/// What is inside of a sealed letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Letter {
    /// The ledger that it is about; it is void on others.
    pub ledger: LedgerId,
    /// The account to which it is addressed.
    pub to: Address,
    /// Counts the author's letters to this receiver, from 1. Receipts have 0: they can be read twice.
    pub number: u64,
    /// The newest block that the author has verified.
    pub head: VerifiedHead,
    /// What it says, as the parties' nodes write it.
    pub content: String,
}

impl Record for Letter {
    const KIND: &'static str = "letter";

    fn ledger(&self) -> Option<LedgerId> {
        Some(self.ledger)
    }
}

/// Why a letter cannot be sent or read.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    /// It does not fit.
    #[error("a letter of {0} bytes is too long; the limit is {MAX_LETTER}, send what is larger as a blob")]
    TooLong(usize),
    /// It is no letter to this key.
    #[error("it is not sealed to this mail key, or was altered")]
    Seal(#[from] SealError),
    /// What is inside is padded otherwise than letters are.
    #[error("what is inside of the seal is no padded letter")]
    Padding,
    /// What is inside is not signed as a letter.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// It is for somebody else, and was sealed to this key by somebody who passes it on.
    #[error("the letter is addressed to {to} on the ledger {ledger:?}, not to this party")]
    Misdirected {
        /// To whom.
        to: Address,
        /// On which ledger.
        ledger: LedgerId,
    },
}

/// Names a sealed letter.
pub fn letter_id(sealed: &[u8]) -> B256 {
    B256::from(tagged_hash("histone/letter-id/v1", &[sealed]).0)
}

impl Letter {
    /// Signs, pads and seals. The same letter again is the same bytes.
    pub fn seal(
        &self,
        author: &SigningKey,
        mailbox: Address,
        mail_key: SealPublicKey,
        secret: &Root,
    ) -> Result<Vec<u8>, LetterError> {
        let plain = pad(&Signed::sign(self, author)?.to_bytes())?;
        Ok(mail_key.seal(INFO, mailbox.as_slice(), &plain, secret)?)
    }

    /// Opens a letter that lay in `mailbox` and gives it with its author's account. What its author may say is for the caller, and
    /// whether it was read before.
    pub fn open(
        sealed: &[u8],
        mailbox: Address,
        key: &SealKey,
        receiver: (LedgerId, Address),
    ) -> Result<(Letter, Address), LetterError> {
        if sealed.len() > MAX_LETTER {
            return Err(LetterError::TooLong(sealed.len()));
        }
        let plain = key.open(INFO, mailbox.as_slice(), sealed)?;
        let (letter, author) = Signed::<Letter>::from_bytes(unpad(&plain)?)?.open()?;
        if (letter.ledger, letter.to) != receiver {
            return Err(LetterError::Misdirected { to: letter.to, ledger: letter.ledger });
        }
        Ok((letter, author))
    }
}

/// The length, the bytes, and zeros up to the next size.
fn pad(bytes: &[u8]) -> Result<Vec<u8>, LetterError> {
    let needed = bytes.len() + 4;
    let mut size = SMALLEST;
    while size < needed {
        size *= 4;
    }
    // The largest size is what the limit leaves.
    let size = size.min(MAX_LETTER - OVERHEAD);
    if size < needed {
        return Err(LetterError::TooLong(bytes.len()));
    }
    // Shorter than the limit, which fits.
    let mut padded = (bytes.len() as u32).to_le_bytes().to_vec();
    padded.extend_from_slice(bytes);
    padded.resize(size, 0);
    Ok(padded)
}

fn unpad(padded: &[u8]) -> Result<&[u8], LetterError> {
    let (length, rest) = padded.split_first_chunk::<4>().ok_or(LetterError::Padding)?;
    let (bytes, zeros) =
        rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(LetterError::Padding)?;
    let right = pad(bytes).is_ok_and(|right| right.len() == padded.len());
    match right && zeros.iter().all(|b| *b == 0) {
        true => Ok(bytes),
        false => Err(LetterError::Padding),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LEDGER: LedgerId = LedgerId { chain_id: 1, contract: Address::repeat_byte(1) };
    const MAILBOX: Address = Address::repeat_byte(9);

    fn letter(content: &str) -> Letter {
        let head = VerifiedHead { number: 3, hash: B256::repeat_byte(3) };
        Letter { ledger: LEDGER, to: Address::repeat_byte(2), number: 1, head, content: content.into() }
    }

    fn keys() -> (SigningKey, SealKey, Root) {
        let author = SigningKey::from_bytes(&[7; 32]).unwrap();
        (author, SealKey::from_seed(&[8; 32]), Root::from_bytes([6; 32]))
    }

    #[test]
    fn a_letter_comes_to_its_reader_and_to_nobody_else() {
        let (author, key, secret) = keys();
        let seal = |letter: &Letter| letter.seal(&author, MAILBOX, key.public(), &secret).unwrap();
        let sent = letter("hello");
        let sealed = seal(&sent);
        assert_eq!(sealed, seal(&sent), "the same again");
        let to = (LEDGER, sent.to);
        let (read, from) = Letter::open(&sealed, MAILBOX, &key, to).unwrap();
        assert_eq!((read, from), (sent, author.address()));
        for (mailbox, key, to) in [
            (Address::ZERO, key.clone(), to),
            (MAILBOX, SealKey::from_seed(&[1; 32]), to),
            (MAILBOX, key.clone(), (LEDGER, Address::ZERO)),
            (MAILBOX, key.clone(), (LedgerId { chain_id: 2, ..LEDGER }, to.1)),
        ] {
            assert!(Letter::open(&sealed, mailbox, &key, to).is_err());
        }
        for at in [0, 40, sealed.len() - 1] {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(Letter::open(&altered, MAILBOX, &key, to).is_err());
        }
    }

    /// Few sizes, so that a size tells little.
    #[test]
    fn sizes_are_few() {
        let (author, key, secret) = keys();
        let size =
            |n: usize| letter(&"x".repeat(n)).seal(&author, MAILBOX, key.public(), &secret).unwrap().len();
        assert_eq!(size(0), SMALLEST + OVERHEAD);
        assert_eq!(size(0), size(300));
        assert_eq!(size(1_000), 4 * SMALLEST + OVERHEAD);
        assert_eq!(size(2_000_000), MAX_LETTER);
        let long = letter(&"x".repeat(MAX_LETTER)).seal(&author, MAILBOX, key.public(), &secret);
        assert!(matches!(long, Err(LetterError::TooLong(_))));
    }

    #[test]
    fn padding_has_one_form() {
        let padded = pad(b"abc").unwrap();
        assert_eq!(unpad(&padded).unwrap(), b"abc");
        let mut other = padded.clone();
        *other.last_mut().unwrap() = 1;
        assert!(unpad(&other).is_err());
        assert!(unpad(&padded[..100]).is_err());
        assert!(unpad(&[255; 8]).is_err());
        assert!(unpad(&[]).is_err());
    }
}
