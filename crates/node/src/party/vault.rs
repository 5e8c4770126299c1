//! The files of a private directory: open ones, or each encrypted under a key that derives from the party's root.
//!
//! Key and nonce derive from the file's name and what it says, as everything that must not come twice does: the same bytes under one
//! name are the same file, other bytes have another nonce. Who has the files without the root sees their names, their sizes and
//! whether one was changed. Not noticed is an older version of the same file in its place.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use histone_network::{StoreError, read_durable, update_private};
use histone_protocol::secret::Root;
use zeroize::Zeroizing;

use super::PartyError;

/// Begins every encrypted file.
const HEADER: [u8; 8] = *b"HsVault1";
const NONCE: usize = 12;

/// What files are encrypted with.
#[derive(Clone)]
pub(super) struct Vault(Root);

impl Vault {
    pub(super) fn of(root: &Root) -> Self {
        Self(root.child("vault", &[]))
    }

    fn cipher(&self, name: &str) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new((&*self.0.derive("key", &[name.as_bytes()])).into())
    }

    fn seal(&self, name: &str, plain: &[u8]) -> Vec<u8> {
        let derived = self.0.derive("nonce", &[name.as_bytes(), plain]);
        let mut nonce = [0; NONCE];
        nonce.copy_from_slice(&derived[..NONCE]);
        // Unwrap safety: encryption fails only beyond 256 GiB.
        #[allow(clippy::expect_used)]
        let sealed = self
            .cipher(name)
            .encrypt(&Nonce::from(nonce), Payload { msg: plain, aad: &HEADER })
            .expect("no file of a party is that long");
        [HEADER.as_slice(), &nonce, &sealed].concat()
    }

    fn open(&self, name: &str, bytes: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = bytes.strip_prefix(&HEADER)?.split_first_chunk::<NONCE>()?;
        self.cipher(name).decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad: &HEADER }).ok()
    }
}

/// A private directory and how what lies in it is read and written.
#[derive(Clone)]
pub(super) struct Files {
    pub(super) dir: PathBuf,
    pub(super) vault: Option<Vault>,
}

impl Files {
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn recall(&self, name: &str) -> Result<Option<Vec<u8>>, PartyError> {
        let bytes = read_durable(&self.path(name))?;
        bytes.map(|bytes| self.opened(name, bytes)).transpose()
    }

    pub(super) fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), PartyError> {
        let sealed = self.sealed(name, bytes);
        Ok(update_private(&self.path(name), |_| Ok::<_, StoreError>(Some(&sealed)))?)
    }

    pub(super) fn keep_first(&self, name: &str, bytes: Vec<u8>) -> Result<Vec<u8>, PartyError> {
        let mut kept = None;
        update_private(&self.path(name), |old| {
            kept = old;
            Ok::<_, StoreError>(kept.is_none().then(|| self.sealed(name, &bytes)))
        })?;
        kept.map_or(Ok(bytes), |kept| self.opened(name, kept))
    }

    pub(super) fn amend<E: From<PartyError>>(
        &self,
        name: &str,
        change: impl FnOnce(Option<Vec<u8>>) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<(), E> {
        let mut outcome = Ok(());
        let stored = update_private(&self.path(name), |old| {
            let old = old.map(|bytes| self.opened(name, bytes)).transpose();
            let new = old.map_err(E::from).and_then(change).unwrap_or_else(|error| {
                outcome = Err(error);
                None
            });
            Ok::<_, StoreError>(new.map(|plain| match &self.vault {
                None => plain,
                Some(vault) => vault.seal(name, &Zeroizing::new(plain)),
            }))
        });
        stored.map_err(PartyError::from)?;
        outcome
    }

    fn sealed<'a>(&self, name: &str, plain: &'a [u8]) -> Cow<'a, [u8]> {
        self.vault.as_ref().map_or(Cow::Borrowed(plain), |vault| Cow::Owned(vault.seal(name, plain)))
    }

    fn opened(&self, name: &str, bytes: Vec<u8>) -> Result<Vec<u8>, PartyError> {
        match &self.vault {
            None => Ok(bytes),
            Some(vault) => vault.open(name, &bytes).ok_or_else(|| PartyError::Unreadable(self.path(name))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn vault(root: u8) -> Vault {
        Vault::of(&Root::from_bytes([root; 32]))
    }

    #[test]
    fn opens_what_it_has_sealed_and_nothing_else() {
        let vault_1 = vault(1);
        for plain in [&b""[..], b"x", &[7; 100_000]] {
            let sealed = vault_1.seal("a", plain);
            assert_eq!(vault_1.open("a", &sealed).unwrap(), plain);
            assert_eq!(vault_1.seal("a", plain), sealed, "nothing is drawn");
            assert_eq!(vault_1.open("b", &sealed), None, "another file's place");
            assert_eq!(vault(2).open("a", &sealed), None);
            for place in [0, 7, 8, 19, 20, sealed.len() - 1] {
                let mut altered = sealed.clone();
                altered[place] ^= 1;
                assert_eq!(vault_1.open("a", &altered), None, "{place}");
            }
            for length in [0, 7, 8, 19, 20, sealed.len() - 1] {
                assert_eq!(vault_1.open("a", &sealed[..length]), None, "{length}");
            }
        }
        assert_ne!(vault_1.seal("a", b"1")[8..20], vault_1.seal("a", b"2")[8..20]);
        assert_ne!(vault_1.seal("a", b"1")[8..20], vault_1.seal("b", b"1")[8..20]);
    }

    /// Computed with Python from RFC 8439: what was encrypted must open after an update of the program.
    #[test]
    fn known_bytes() {
        let sealed = vault(7).seal("name", b"text");
        let hash = histone_protocol::hash::sha256(&sealed);
        assert_eq!(hash.to_string(), "0xd7c6b65a3b96294479e6b7e583bc94f4b1d37cdb0bfb2aac0d6cbfcdc7c5bc18");
    }
}
