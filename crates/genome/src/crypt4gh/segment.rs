//! One segment: nonce, ciphertext, tag.

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::header::DataMethod;

/// Bytes of text in every segment but the last.
pub const SEGMENT: usize = 65_536;
pub(super) const NONCE: usize = 12;
pub(super) const TAG: usize = 16;
/// Nonce and tag.
pub(super) const OVERHEAD: usize = NONCE + TAG;
/// Bytes of a full segment in the file.
pub(super) const SEALED: usize = SEGMENT + OVERHEAD;

/// The key of a body, with the number of its first segment where segments are numbered.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct DataKey {
    pub(super) key: Zeroizing<[u8; 32]>,
    pub(super) sequence: u64,
}

impl DataKey {
    pub(super) fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *key);
        Self { key, sequence: 0 }
    }
}

/// Encrypts `text` where it stands; nonce and tag are for the caller to write around it.
pub(super) fn seal(key: &[u8; 32], nonce: &[u8; NONCE], aad: &[u8], text: &mut [u8]) -> [u8; TAG] {
    let sealed = ChaCha20Poly1305::new(key.into()).encrypt_inout_detached(
        &Nonce::from(*nonce),
        aad,
        InOutBuf::from(text),
    );
    // Unwrap safety: encryption fails only beyond 256 GiB, and texts here are segments and packets of a header.
    #[allow(clippy::expect_used)]
    let tag = sealed.expect("a segment is smaller than 256 GiB");
    tag.into()
}

/// Decrypts nonce, ciphertext and tag where they stand. `None` and unchanged bytes when the tag is not right.
pub(super) fn open<'a>(key: &[u8; 32], aad: &[u8], sealed: &'a mut [u8]) -> Option<&'a mut [u8]> {
    let (nonce, rest) = sealed.split_first_chunk_mut::<NONCE>()?;
    let (text, tag) = rest.split_last_chunk_mut::<TAG>()?;
    ChaCha20Poly1305::new(key.into())
        .decrypt_inout_detached(&Nonce::from(*nonce), aad, InOutBuf::from(&mut *text), &Tag::from(*tag))
        .ok()?;
    Some(text)
}

/// What is authenticated beside a segment: its number in a sequenced file, else nothing.
pub(super) struct Aad([u8; 8], usize);

impl Aad {
    pub(super) fn new(method: DataMethod, key: &DataKey, segment: u64) -> Self {
        match method {
            DataMethod::Unordered => Self([0; 8], 0),
            // The specification lets the number wrap around.
            DataMethod::Sequenced => Self(key.sequence.wrapping_add(segment).to_le_bytes(), 8),
        }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.0.get(..self.1).unwrap_or_default()
    }
}

/// The data keys of a file, and which of them opened the last segment.
pub(super) struct Opener {
    method: DataMethod,
    keys: Vec<DataKey>,
    last: usize,
}

impl Opener {
    pub(super) fn new(method: DataMethod, keys: Vec<DataKey>) -> Self {
        Self { method, keys, last: 0 }
    }

    pub(super) fn method(&self) -> DataMethod {
        self.method
    }

    /// Decrypts a segment where it stands and says how many bytes of text follow its nonce. The key of the segment before
    /// is tried first: an observer of time learns where keys change, which is where a file was spliced.
    pub(super) fn open(&mut self, segment: u64, sealed: &mut [u8]) -> Option<usize> {
        for step in 0..self.keys.len() {
            let index = self.last.wrapping_add(step) % self.keys.len();
            let Some(key) = self.keys.get(index) else { continue };
            let aad = Aad::new(self.method, key, segment);
            if let Some(text) = open(&key.key, aad.as_slice(), sealed) {
                self.last = index;
                return Some(text.len());
            }
        }
        None
    }
}
