//! What a hub and its clients say to each other, in both directions.

use histone_protocol::hash::tagged_hash;
use histone_protocol::keys::SignatureBytes;
use histone_protocol::{Address, B256};
use serde::{Deserialize, Serialize};

/// A header of every answer of a hub. What comes without it comes from something in between.
pub(crate) const MARK: &str = "histone-hub";
/// Its value: the version of what is said here.
#[cfg(feature = "hub")]
pub(crate) const PROTOCOL: u32 = 1;
/// Largest piece of a blob that goes in one request: 1 MiB.
pub(crate) const PIECE: usize = 1 << 20;
/// Longest time that a hub lets somebody wait, in seconds: proxies cut connections on which nothing happens for a minute.
pub(crate) const LONGEST_WAIT: u64 = 55;
/// Most bytes of letters in one answer, frames included, unless the first one alone is more.
#[cfg(feature = "hub")]
pub(crate) const COLLECTED: usize = 8 << 20;
/// Most letters that are discarded in one request.
pub(crate) const DISCARDED: usize = 4096;

/// What a hub says about itself to everybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `histone`.
    pub hub: String,
    /// Of the program.
    pub version: String,
    /// Of what is said between hub and client.
    pub protocol: u32,
    /// Drawn when the hub was made; signatures for its sessions are void elsewhere.
    pub identity: B256,
    /// Its clock, in seconds since 1970.
    pub time: u64,
    /// How many letters wait in all mailboxes.
    pub letters: u64,
    /// Number of the ledger's newest block, if it knows.
    pub head: Option<u64>,
}

/// Asks for a challenge.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Knock {
    pub(crate) mailbox: Address,
}

/// What is to be signed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Challenge {
    pub(crate) identity: B256,
    /// Opaque to clients.
    pub(crate) challenge: String,
}

/// A challenge that was signed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answered {
    pub(crate) mailbox: Address,
    pub(crate) challenge: String,
    pub(crate) signature: SignatureBytes,
}

/// A session was opened.
#[derive(Serialize, Deserialize)]
pub(crate) struct Opened {
    pub(crate) token: String,
    /// For so long.
    pub(crate) seconds: u64,
}

/// How much of a blob is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Have {
    /// All of it, and its hash fits.
    pub(crate) complete: bool,
    /// Bytes that need not be sent again.
    pub(crate) have: u64,
}

/// What woke somebody who waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Woke {
    pub(crate) blocks: bool,
    pub(crate) letters: bool,
}

/// A refusal, in one sentence.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Refused {
    pub(crate) error: String,
}

/// What the key of a mailbox signs to open a session: for this purpose, at this hub, once.
pub(crate) fn session_digest(identity: B256, mailbox: Address, challenge: &str) -> B256 {
    tagged_hash("histone/hub-session/v1", &[identity.as_slice(), mailbox.as_slice(), challenge.as_bytes()])
}

/// Letters one after another, each after its length in four bytes, the lowest first.
#[cfg(any(feature = "hub", test))]
pub(crate) fn frame(letters: &[Vec<u8>]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(letters.iter().map(|letter| letter.len() + 4).sum());
    for letter in letters {
        // Letters are shorter than the limit, which fits.
        framed.extend_from_slice(&(letter.len() as u32).to_le_bytes());
        framed.extend_from_slice(letter);
    }
    framed
}

/// The letters of a [`frame`]; `None` when it is cut or is none.
#[cfg(feature = "client")]
pub(crate) fn unframe(mut framed: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut letters = Vec::new();
    while !framed.is_empty() {
        let (length, rest) = framed.split_first_chunk::<4>()?;
        let (letter, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        letters.push(letter.to_vec());
        framed = rest;
    }
    Some(letters)
}

#[cfg(all(test, feature = "client"))]
mod tests {
    use super::*;

    #[test]
    fn letters_are_framed() {
        let letters = vec![b"one".to_vec(), Vec::new(), vec![7; 300]];
        let framed = frame(&letters);
        assert_eq!(unframe(&framed), Some(letters));
        assert_eq!(unframe(&[]), Some(Vec::new()));
        for cut in [1, 3, 4, 6, 8, 20, framed.len() - 1] {
            assert!(unframe(&framed[..cut]).is_none_or(|all| all.len() < 3), "{cut}");
        }
        assert_eq!(unframe(&[255; 9]), None);
    }
}
