//! Partial sums that only some may read, and what those who opened a sum share.
//!
//! A member encrypts its partial sum once, under a key that derives from its secret and the numbers, and wraps that key to
//! every [`Reader`] that it has appraised itself. There is no key of the cohort: whoever a member leaves out of the next round
//! reads nothing more, and nobody has to be trusted to choose the readers of others. The key is committed to, so that all
//! readers of one blob read the same numbers.
//!
//! [`SumKey`] is what whoever opened a sum has, and nobody else, without a message between them. It does not derive from the mask:
//! ciphertexts are public, so whoever guesses the sum, all zeros for instance, has the mask. It derives from the other values of the
//! polynomials that share the mask, which stay uniform for whoever knows mask and sum.

use histone_program_sdk::model::Model;
use histone_program_sdk::wire::{Reader as Bytes, Wire, WireError, Writer};
use histone_protocol::blob::Blob;
use histone_protocol::dataset::DataKey;
use histone_protocol::secret::Root;
use zeroize::Zeroizing;

use crate::codec;
use crate::committee::PartialSum;
use crate::field::{Fp, encode_vector};
use crate::header::RoundHeader;
use crate::update::{Sealer, Survivors, Unsealer};

const VERSION: u8 = 1;

/// Context string of a wrapped key.
pub const KEY_INFO: &[u8] = b"histone/partial-key/v1";

/// The most that wrapping may add to a key, in bytes.
const MAX_WRAP: usize = 32 + 1024;

/// Who may read a sealed partial sum: an enclave of the round's header, or an auditor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reader {
    /// The address by which it signs.
    pub address: [u8; 20],
    /// Its X25519 key.
    pub seal_key: [u8; 32],
}

/// Why a partial sum cannot be sealed, or a sealed one cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SealedError {
    /// The bytes are no sealed partial sum of this round.
    #[error("the sealed partial sum cannot be read or is of another round; ask the member again")]
    Encoding(#[source] WireError),
    /// The member left this reader out.
    #[error("committee member {member} has left this reader out")]
    LeftOut {
        /// The member.
        member: u8,
    },
    /// What the member wrapped for this reader is not the key that it committed to, or opens nothing.
    #[error("committee member {member} has wrapped something else than its key for this reader")]
    WrongKey {
        /// The member.
        member: u8,
    },
    /// The key opens the blob, and what is in it is no partial sum of this member for these survivors.
    #[error("what committee member {member} has sealed is not its partial sum of this round")]
    Content {
        /// The member.
        member: u8,
    },
}

/// A partial sum under a key of its own, and that key for each reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedPartial {
    header: [u8; 32],
    survivors: [u8; 32],
    member: u8,
    commitment: [u8; 32],
    /// By reader, ascending.
    wraps: Vec<([u8; 20], Vec<u8>)>,
    body: Vec<u8>,
    blob: Blob,
}

impl SealedPartial {
    /// Seals a partial sum to these readers. The same call gives the same bytes. A reader with a key to which nothing can be
    /// sealed is named and reads nothing: it would otherwise stop everybody by its choice of a key.
    pub fn seal(
        header: &RoundHeader,
        partial: &PartialSum,
        readers: &[Reader],
        sealer: &dyn Sealer,
        secret: &Root,
    ) -> SealedPartial {
        let plain = partial.blob();
        let key = secret.child("histone/sealed-partial/v1", &[&header.hash(), plain]);
        let (survivors, member) = (partial.survivors, partial.member);
        let commitment = commitment(&header.hash(), member, &key);
        let mut readers = readers.to_vec();
        readers.sort_unstable();
        readers.dedup_by_key(|r| r.address);
        let mut wraps = Vec::with_capacity(readers.len());
        for Reader { address, seal_key } in readers {
            let aad = associated_data(&header.hash(), &survivors, member, &address, &commitment);
            // The key belongs to this message alone, and so does what derives from it and the reader.
            let randomness = key.derive("wrap", &[&address, &seal_key]);
            let wrapped = sealer.seal(&seal_key, KEY_INFO, &aad, key.as_bytes(), &randomness);
            wraps.push((address, wrapped.unwrap_or_default()));
        }
        let body = body_key(&key).encrypt(plain);
        let sealed = SealedPartial {
            header: header.hash(),
            survivors,
            member,
            commitment,
            wraps,
            body,
            blob: Blob::new(Vec::new()),
        };
        SealedPartial { blob: Blob::new(sealed.encode()), ..sealed }
    }

    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.u8(VERSION);
        w.0.extend_from_slice(&self.header);
        w.0.extend_from_slice(&self.survivors);
        w.u8(self.member);
        w.0.extend_from_slice(&self.commitment);
        w.u32(self.wraps.len() as u32);
        for (address, wrapped) in &self.wraps {
            w.0.extend_from_slice(address);
            w.bytes(wrapped);
        }
        w.bytes(&self.body);
        w.0
    }

    /// Reads a sealed partial sum of this round. What is in it shows only to its readers.
    pub fn decode(bytes: impl Into<Blob>, header: &RoundHeader) -> Result<SealedPartial, SealedError> {
        let blob = bytes.into();
        let read = || {
            let mut r = Bytes::new(&blob);
            match r.u8()? {
                VERSION => {}
                v => return Err(WireError::Version(v)),
            }
            let hash: [u8; 32] = codec::array(&mut r)?;
            if hash != header.hash() {
                return Err(WireError::Invalid("round header hash"));
            }
            let (survivors, member) = (codec::array(&mut r)?, r.u8()?);
            if member == 0 || member > header.members() {
                return Err(WireError::Invalid("member number"));
            }
            let commitment = codec::array(&mut r)?;
            let mut wraps: Vec<([u8; 20], Vec<u8>)> = Vec::new();
            for _ in 0..r.u32()? {
                let (address, wrapped) = (codec::array(&mut r)?, r.bytes()?);
                if wrapped.len() > MAX_WRAP || wraps.last().is_some_and(|(last, _)| *last >= address) {
                    return Err(WireError::Invalid("readers"));
                }
                wraps.push((address, wrapped.to_vec()));
            }
            let body = r.bytes()?.to_vec();
            r.end()?;
            Ok((survivors, member, commitment, wraps, body))
        };
        let (survivors, member, commitment, wraps, body) = read().map_err(SealedError::Encoding)?;
        Ok(SealedPartial { header: header.hash(), survivors, member, commitment, wraps, body, blob })
    }

    /// Opens it as one of its readers.
    pub fn open(
        &self,
        header: &RoundHeader,
        address: &[u8; 20],
        unsealer: &dyn Unsealer,
    ) -> Result<PartialSum, SealedError> {
        let member = self.member;
        let wrong = || SealedError::WrongKey { member };
        let at = self.wraps.binary_search_by_key(address, |(reader, _)| *reader);
        let at = at.map_err(|_| SealedError::LeftOut { member })?;
        let (_, wrapped) = self.wraps.get(at).ok_or(SealedError::LeftOut { member })?;
        let aad = associated_data(&self.header, &self.survivors, member, address, &self.commitment);
        let key = unsealer.unseal(KEY_INFO, &aad, wrapped).map_err(|_| wrong())?;
        let key: &[u8; 32] = key.as_slice().try_into().map_err(|_| wrong())?;
        let key = Root::from_bytes(*key);
        if commitment(&self.header, member, &key) != self.commitment {
            return Err(wrong());
        }
        let content = || SealedError::Content { member };
        let plain: Zeroizing<Vec<u8>> = body_key(&key).decrypt(&self.body).map_err(|_| content())?;
        let partial = PartialSum::decode(plain.to_vec(), header).map_err(|_| content())?;
        match partial.member == member && partial.survivors == self.survivors {
            true => Ok(partial),
            false => Err(content()),
        }
    }

    /// Whether it says that it is over these survivors.
    pub fn is_over(&self, survivors: &Survivors) -> bool {
        self.survivors == survivors.hash()
    }

    /// The member that says it is from; the ledger's record of its hash proves it.
    pub fn member(&self) -> u8 {
        self.member
    }

    /// Who may read it, ascending.
    pub fn readers(&self) -> impl Iterator<Item = [u8; 20]> + '_ {
        self.wraps.iter().map(|(address, _)| *address)
    }

    /// The canonical bytes.
    pub fn blob(&self) -> &Blob {
        &self.blob
    }
}

fn body_key(key: &Root) -> DataKey {
    DataKey::from_bytes(*key.derive("body", &[]))
}

fn commitment(header: &[u8; 32], member: u8, key: &Root) -> [u8; 32] {
    codec::hash("histone/partial-key-commitment/v1", &[header, &[member], key.as_bytes()])
}

fn associated_data(
    header: &[u8; 32],
    survivors: &[u8; 32],
    member: u8,
    reader: &[u8; 20],
    commitment: &[u8; 32],
) -> [u8; 32] {
    codec::hash("histone/partial-key-aad/v1", &[header, survivors, &[member], reader, commitment])
}

/// What whoever opened a sum has, and nobody else: values of the sharing polynomials at a point that is no member's. Names that are
/// keyed with it cannot be compared with a guess of what they name, nor with a guess of the sum.
#[derive(Clone)]
pub struct SumKey(Root);

impl std::fmt::Debug for SumKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SumKey(secret not shown)")
    }
}

impl SumKey {
    /// The key before the first sum. Everybody has it: the first question follows from the plan, which is public, so that there
    /// is nothing to hide.
    pub fn first() -> SumKey {
        SumKey(Root::from_bytes(codec::hash("histone/sum-key/first/v1", &[])))
    }

    pub(crate) fn of(header: &RoundHeader, survivors: &Survivors, beyond: &[Fp]) -> SumKey {
        let beyond = Zeroizing::new(encode_vector(beyond));
        SumKey(Root::from_bytes(codec::hash(
            "histone/sum-key/v2",
            &[&header.hash(), &survivors.hash(), &beyond],
        )))
    }

    /// The key of a sum that one enclave has made inside: of its own secret and of everything that led to the sum, so that two sums
    /// never share a key.
    pub fn inside(secret: &Root, led_to: &[&[u8]]) -> SumKey {
        SumKey(secret.child("histone/sum-key/inside/v1", led_to))
    }

    /// A name for `parts`, which shows nothing of them to whoever lacks the key.
    pub fn name(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        *self.0.derive(purpose, parts)
    }

    /// The key of a model that the last sum led to.
    pub fn model_key(&self) -> ModelKey {
        ModelKey(self.0.child("histone/model-key/v1", &[]))
    }
}

/// The least size of a model under its key, in bytes before encryption.
pub const LEAST_SEALED: usize = 1 << 14;

/// The key of a model that is not for everybody. Every enclave that opened the last sum derives it, so that it survives the loss
/// of all of them but one.
#[derive(Clone)]
pub struct ModelKey(Root);

impl std::fmt::Debug for ModelKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ModelKey(secret not shown)")
    }
}

impl ModelKey {
    /// Takes a key that was handed over.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Root::from_bytes(bytes))
    }

    /// The bytes, to be handed over sealed.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// What the ledger sells: a name of the model that cannot be compared with a guess of it.
    pub fn name(&self, model: &Model) -> [u8; 32] {
        *self.0.derive("histone/sealed-model/v1", &[&model.to_bytes()])
    }

    /// The model under the key. Every enclave gives the same bytes.
    ///
    /// Its size is a power of two, at least [`LEAST_SEALED`], whatever the model is: a method could otherwise tell everybody as much as
    /// the size holds.
    pub fn seal(&self, model: &Model) -> Vec<u8> {
        let bytes = model.to_bytes();
        let mut padded = Zeroizing::new((bytes.len() as u32).to_le_bytes().to_vec());
        padded.extend_from_slice(&bytes);
        let size = padded.len().next_power_of_two().max(LEAST_SEALED);
        padded.resize(size, 0);
        self.blob_key().encrypt(&padded)
    }

    /// Reads what [`Self::seal`] made; none when it was altered or is under another key.
    pub fn open(&self, sealed: &[u8]) -> Option<Model> {
        let padded = self.blob_key().decrypt(sealed).ok()?;
        let (length, padded) = padded.split_first_chunk::<4>()?;
        let (bytes, rest) = padded.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        rest.iter().all(|b| *b == 0).then(|| Model::from_bytes(bytes).ok()).flatten()
    }

    fn blob_key(&self) -> DataKey {
        DataKey::from_bytes(*self.0.derive("blob", &[]))
    }
}
