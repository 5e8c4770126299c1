//! Sealed letters: what is inside of a seal comes from strangers, who can seal whatever they like.

use histone_protocol::keys::SigningKey;
use histone_protocol::letter::{Letter, LetterError, VerifiedHead};
use histone_protocol::record::{LedgerId, Signed};
use histone_protocol::seal::SealKey;
use histone_protocol::secret::Root;
use histone_protocol::{Address, B256};

/// The use of a mail key, as `protocol::letter` has it: letters of the seeds would not be opened under another.
const INFO: &str = "histone/letter/v1";
const MAILBOX: Address = Address::repeat_byte(9);
const LEDGER: LedgerId = LedgerId { chain_id: 31_337, contract: Address::repeat_byte(9) };
const READER: Address = Address::repeat_byte(2);

fn key() -> SealKey {
    SealKey::from_seed(&[8; 32])
}

/// Seals the bytes and reads them as a letter.
pub fn letter(bytes: &[u8]) -> bool {
    let secret = Root::from_bytes([6; 32]);
    let Ok(sealed) = key().public().seal(INFO, MAILBOX.as_slice(), bytes, &secret) else { return false };
    let Ok((letter, _)) = Letter::open(&sealed, MAILBOX, &key(), (LEDGER, READER)) else { return false };
    assert!((letter.ledger, letter.to) == (LEDGER, READER), "a letter to somebody else is read");
    // The length, the signed letter in its one encoding, and zeros.
    let signed = bytes
        .split_first_chunk::<4>()
        .and_then(|(length, rest)| rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?));
    let one_form = signed.is_some_and(|(signed, zeros)| {
        let encoded = Signed::<Letter>::from_bytes(signed).map(|signed| signed.to_bytes());
        encoded.is_ok_and(|encoded| encoded == signed) && zeros.iter().all(|byte| *byte == 0)
    });
    assert!(one_form, "a letter has two encodings");
    true
}

/// What is inside of two letters. They are fixed, so nothing about them can fail.
pub fn letters() -> Vec<(String, Vec<u8>)> {
    made().unwrap_or_else(|error| panic!("the letters of the seeds: {error}"))
}

fn made() -> Result<Vec<(String, Vec<u8>)>, LetterError> {
    let author = SigningKey::from_bytes(&[7; 32]).map_err(|_| LetterError::Padding)?;
    let mut all = Vec::new();
    for (name, content) in [("short", "hello".to_owned()), ("long", "größer ".repeat(150))] {
        let head = VerifiedHead { number: 3, hash: B256::repeat_byte(3) };
        let letter = Letter { ledger: LEDGER, to: READER, number: 1, head, content };
        let sealed = letter.seal(&author, MAILBOX, key().public(), &Root::from_bytes([5; 32]))?;
        all.push((name.into(), key().open(INFO, MAILBOX.as_slice(), &sealed)?));
    }
    Ok(all)
}
