//! What a donor says in a round, once: its numbers under a one-time mask, and shares of the mask for the committee.
//!
//! `ciphertext = numbers + mask` with a mask uniform in the field for this blob only: without the mask it is independent
//! of the numbers. Share `j` of the mask is sealed to committee member `j`, with the header hash, the donor and the
//! member as associated data; a share cannot be moved to another round, donor or member.
//!
//! Mask, shares and seals derive from the enclave's root secret, the header, the donor **and a digest of the numbers**:
//! the same numbers give the same blob after any crash, and other numbers under the same header, which a clone or a
//! rolled-back enclave may hold, never meet the same mask. Two vectors under one mask would publish their difference.

use histone_program_sdk::wire::{Reader, WireError, Writer};
use histone_protocol::blob::Blob;
use histone_protocol::seal::{SealKey, SealPublicKey};
use histone_protocol::secret::Root;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::field::{ENCODED_LEN, Element, Fp, add_vector, encode_vector, view_vector};
use crate::fixed::{self, FixedError};
use crate::header::RoundHeader;
use crate::share::{self, ShareError};
use crate::{BoxError, codec};

const VERSION: u8 = 1;

/// Context string of every sealed share.
pub const SEAL_INFO: &[u8] = b"histone/update-share/v1";

/// The most that sealing may add to a share, in bytes.
const MAX_SEAL_OVERHEAD: usize = 1024;

/// Public-key encryption to an X25519 key with associated data, such as HPKE.
pub trait Sealer {
    /// Encrypts `plaintext` so that only the holder of the key to `public_key` reads it, given the same `info` and `aad`.
    /// Everything random comes from `randomness`, which serves for this message alone: the same call gives the same bytes.
    fn seal(
        &self,
        public_key: &[u8; 32],
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
        randomness: &[u8; 32],
    ) -> Result<Vec<u8>, BoxError>;
}

/// HPKE as everything else in the product seals ([`SealPublicKey::seal_with`]).
#[derive(Debug, Clone, Copy)]
pub struct Hpke;

impl Sealer for Hpke {
    fn seal(
        &self,
        public_key: &[u8; 32],
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
        randomness: &[u8; 32],
    ) -> Result<Vec<u8>, BoxError> {
        let key = SealPublicKey((*public_key).into());
        Ok(key.seal_with(std::str::from_utf8(info)?, aad, plaintext, randomness)?)
    }
}

/// The other side of a [`Sealer`]; holds the secret key.
pub trait Unsealer {
    /// Decrypts; an error when `sealed` was not made for this key, this `info` and this `aad`.
    fn unseal(&self, info: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, BoxError>;
}

impl Unsealer for SealKey {
    fn unseal(&self, info: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, BoxError> {
        Ok(Zeroizing::new(self.open(std::str::from_utf8(info)?, aad, sealed)?))
    }
}

/// Why an update cannot be made or is not one.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The donor is not in the cohort.
    #[error("donor {donor} is not in the cohort of this round")]
    Donor {
        /// The donor.
        donor: u16,
    },
    /// The vector has the wrong length.
    #[error("the update has {got} numbers where this round asks for {expected}")]
    Dimension {
        /// Numbers given.
        got: usize,
        /// Numbers of the round.
        expected: usize,
    },
    /// There is no such seat.
    #[error("there is no committee member {member} in this round")]
    Member {
        /// The member.
        member: u8,
    },
    /// A number does not fit.
    #[error("the update does not fit the fixed-point range")]
    Number(#[source] FixedError),
    /// The mask could not be shared.
    #[error("the mask could not be shared")]
    Share(#[source] ShareError),
    /// Sealing failed.
    #[error("the share of committee member {member} could not be sealed to its key")]
    Seal {
        /// The member.
        member: u8,
        /// What the sealer said.
        #[source]
        source: BoxError,
    },
    /// The bytes are not the encoding of an update.
    #[error("the blob cannot be read; fetch it again")]
    Encoding(#[source] WireError),
    /// The blob was made for another round, model or chain.
    #[error("the blob of donor {donor} was made for another round header")]
    OtherRound {
        /// The donor that the blob names.
        donor: u16,
    },
    /// Not as many blobs as survivors.
    #[error("{got} blobs were given for {expected} survivors; give one blob a survivor, in their order")]
    Count {
        /// Blobs given.
        got: usize,
        /// Survivors.
        expected: usize,
    },
    /// The blob is not the one that was anchored.
    #[error("the blob given for donor {donor} is not the one whose hash was anchored; fetch it again")]
    Anchor {
        /// The survivor.
        donor: u16,
    },
    /// The blob names another donor than the one that anchored it.
    #[error("the blob that donor {donor} anchored names donor {named}")]
    OtherDonor {
        /// The survivor.
        donor: u16,
        /// The donor in the blob.
        named: u16,
    },
}

/// BLAKE3 of a blob: what is anchored on the ledger, and the blob's address in public storage.
pub fn blob_hash(blob: &[u8]) -> [u8; 32] {
    histone_protocol::hash::blob_hash(blob).0
}

/// Masks and shares `values` for this round; gives the blob to publish. The same call gives the same bytes.
///
/// `values` has [`RoundHeader::dimension`] numbers, each below [`fixed::limit`] of the cohort in absolute value. `secret`
/// is the root of the donor's enclave; whoever knows it reads every update that was made with it.
pub fn seal_update(
    header: &RoundHeader,
    donor: u16,
    values: &[f64],
    sealer: &dyn Sealer,
    secret: &Root,
) -> Result<Vec<u8>, UpdateError> {
    let masked = Masked::new(header, donor, values, secret)?;
    // Large blobs are not moved while they grow.
    let vectors = 1 + usize::from(header.members());
    let mut w = Writer(Vec::with_capacity(vectors * (masked.ciphertext.len() + MAX_SEAL_OVERHEAD)));
    w.u8(VERSION);
    w.0.extend_from_slice(&header.hash());
    codec::put_u16(&mut w, donor);
    w.u32(values.len() as u32);
    w.0.extend_from_slice(&masked.ciphertext);
    w.u8(header.members());
    for (member, seat) in (1u8..).zip(&header.fields().committee) {
        let (share, randomness) = masked.share(member)?;
        let aad = associated_data(header, donor, member, &masked.ciphertext);
        let sealed = sealer
            .seal(&seat.seal_key, SEAL_INFO, &aad, &share, &randomness)
            .map_err(|source| UpdateError::Seal { member, source })?;
        w.bytes(&sealed);
    }
    Ok(w.0)
}

/// A donor's masked numbers and the shares of their mask, as they derive from its secret.
pub(crate) struct Masked {
    ciphertext: Vec<u8>,
    shares: Vec<Zeroizing<Vec<Fp>>>,
    key: Root,
}

impl Masked {
    pub(crate) fn new(
        header: &RoundHeader,
        donor: u16,
        values: &[f64],
        secret: &Root,
    ) -> Result<Masked, UpdateError> {
        let f = header.fields();
        if !header.has_donor(donor) {
            return Err(UpdateError::Donor { donor });
        }
        if values.len() != header.dimension() {
            return Err(UpdateError::Dimension { got: values.len(), expected: header.dimension() });
        }
        let numbers =
            fixed::encode(values, f.fractional_bits, f.cohort.len()).map_err(UpdateError::Number)?;
        let numbers = Zeroizing::new(numbers);
        let encoded = Zeroizing::new(encode_vector(&numbers));
        let key = secret.child("histone/update/v1", &[&header.hash(), &donor.to_le_bytes(), &encoded]);
        let mut rng = key.rng("mask", &[]);
        let mask: Zeroizing<Vec<Fp>> = Zeroizing::new(numbers.iter().map(|_| Fp::random(&mut rng)).collect());
        let ciphertext: Vec<Fp> = numbers.iter().zip(mask.iter()).map(|(&x, &m)| x + m).collect();
        let shares = share::split(&mask, header.threshold(), header.members(), &mut key.rng("shares", &[]))
            .map_err(UpdateError::Share)?;
        Ok(Masked { ciphertext: encode_vector(&ciphertext), shares, key })
    }

    /// The share of one member, encoded, and the randomness of its seal, which tells nothing of another member's.
    pub(crate) fn share(&self, member: u8) -> Result<SealInput, UpdateError> {
        let share = self.shares.get(usize::from(member).wrapping_sub(1));
        let share = share.ok_or(UpdateError::Member { member })?;
        Ok((Zeroizing::new(encode_vector(share)), self.key.derive("seal", &[&[member]])))
    }
}

/// An encoded share and the randomness of its seal.
type SealInput = (Zeroizing<Vec<u8>>, Zeroizing<[u8; 32]>);

/// Binds a sealed share to round, donor, member and ciphertext.
fn associated_data(header: &RoundHeader, donor: u16, member: u8, ciphertext: &[u8]) -> [u8; 32] {
    codec::hash("histone/update-aad/v1", &[&header.hash(), &donor.to_le_bytes(), &[member], ciphertext])
}

/// A blob that was read and belongs to the round it was read for: what is where in its bytes, which are not copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update<'a> {
    donor: u16,
    ciphertext: &'a [[u8; ENCODED_LEN]],
    sealed: Vec<&'a [u8]>,
}

impl<'a> Update<'a> {
    /// Reads a blob; refuses one of another round, and any length but the round's.
    pub fn decode(blob: &'a [u8], header: &RoundHeader) -> Result<Update<'a>, UpdateError> {
        let encoding = UpdateError::Encoding;
        let mut r = Reader::new(blob);
        match r.u8().map_err(encoding)? {
            VERSION => {}
            v => return Err(UpdateError::Encoding(WireError::Version(v))),
        }
        let hash: [u8; 32] = codec::array(&mut r).map_err(encoding)?;
        let donor = codec::u16(&mut r).map_err(encoding)?;
        if hash != header.hash() {
            return Err(UpdateError::OtherRound { donor });
        }
        if !header.has_donor(donor) {
            return Err(UpdateError::Donor { donor });
        }
        let (got, expected) = (r.u32().map_err(encoding)? as usize, header.dimension());
        if got != expected {
            return Err(UpdateError::Dimension { got, expected });
        }
        let vector = r.take(expected * ENCODED_LEN).map_err(encoding)?;
        let ciphertext =
            view_vector(vector).ok_or(UpdateError::Encoding(WireError::Invalid("field element")))?;
        if r.u8().map_err(encoding)? != header.members() {
            return Err(UpdateError::Encoding(WireError::Invalid("number of shares")));
        }
        let mut sealed = Vec::new();
        for _ in 0..header.members() {
            let share = r.bytes().map_err(encoding)?;
            if share.len() > expected * ENCODED_LEN + MAX_SEAL_OVERHEAD {
                return Err(UpdateError::Encoding(WireError::Invalid("length of a sealed share")));
            }
            sealed.push(share);
        }
        r.end().map_err(encoding)?;
        Ok(Update { donor, ciphertext, sealed })
    }

    /// The donor that the blob names; only its anchored, signed hash proves it.
    pub fn donor(&self) -> u16 {
        self.donor
    }

    /// The masked numbers.
    pub fn ciphertext(&self) -> impl ExactSizeIterator<Item = Fp> + 'a {
        self.ciphertext.iter().map(|x| x.element())
    }

    /// Adds the masked numbers to a sum.
    pub(crate) fn add_ciphertext(&self, sum: &mut [Fp]) {
        add_vector(sum, self.ciphertext);
    }

    /// Decrypts the share of one member and adds it to a sum.
    pub(crate) fn add_share(
        &self,
        sum: &mut [Fp],
        header: &RoundHeader,
        member: u8,
        unsealer: &dyn Unsealer,
    ) -> Result<(), BoxError> {
        let (sealed, aad) = self.sealed(header, member).ok_or("there is no such member")?;
        let plain = unsealer.unseal(SEAL_INFO, &aad, sealed)?;
        add_vector(sum, read_share(header, &plain)?);
        Ok(())
    }

    /// The sealed share of one member, and what it is bound to.
    pub(crate) fn sealed(&self, header: &RoundHeader, member: u8) -> Option<(&'a [u8], [u8; 32])> {
        let sealed = self.sealed.get(usize::from(member).wrapping_sub(1))?;
        Some((sealed, associated_data(header, self.donor, member, self.ciphertext.as_flattened())))
    }
}

/// Reads a decrypted share.
pub(crate) fn read_share<'a>(
    header: &RoundHeader,
    plain: &'a [u8],
) -> Result<&'a [[u8; ENCODED_LEN]], BoxError> {
    let share = view_vector(plain).ok_or("the share holds a number outside of the field")?;
    if share.len() != header.dimension() {
        return Err("the share has the wrong length".into());
    }
    Ok(share)
}

/// A donor whose update counts, with the hash that it anchored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Survivor {
    /// The donor.
    pub donor: u16,
    /// [`blob_hash`] of its blob.
    pub blob: [u8; 32],
}

/// Why a set of survivors is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SurvivorsError {
    /// Too few.
    #[error("{got} survivors are too few; this round opens for at least {minimum}")]
    TooFew {
        /// Survivors given.
        got: usize,
        /// Survivors needed.
        minimum: u16,
    },
    /// Not ascending, or one twice.
    #[error(
        "the survivors must be ascending and each named once, but donor {donor} is not above the one before it"
    )]
    Order {
        /// The donor out of place.
        donor: u16,
    },
    /// Outside of the cohort.
    #[error("survivor {donor} is not in the cohort of this round")]
    Forged {
        /// The donor.
        donor: u16,
    },
}

/// The one set of updates that a round sums, checked against its header.
///
/// The blob hashes belong to the set: the same donors with another blob are another set, which no member opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivors {
    list: Vec<Survivor>,
    header: [u8; 32],
    hash: [u8; 32],
}

impl Survivors {
    /// Checks the set: ascending, within the cohort, at least as many as the header demands (which is two or more).
    pub fn new(header: &RoundHeader, list: Vec<Survivor>) -> Result<Survivors, SurvivorsError> {
        let minimum = header.fields().min_survivors.max(2);
        if list.len() < usize::from(minimum) {
            return Err(SurvivorsError::TooFew { got: list.len(), minimum });
        }
        let mut bytes = (list.len() as u32).to_le_bytes().to_vec();
        let mut previous = None;
        for s in &list {
            if previous.is_some_and(|p| p >= s.donor) {
                return Err(SurvivorsError::Order { donor: s.donor });
            }
            if !header.has_donor(s.donor) {
                return Err(SurvivorsError::Forged { donor: s.donor });
            }
            previous = Some(s.donor);
            bytes.extend_from_slice(&s.donor.to_le_bytes());
            bytes.extend_from_slice(&s.blob);
        }
        let hash = codec::hash("histone/survivors/v1", &[&header.hash(), &bytes]);
        Ok(Survivors { list, header: header.hash(), hash })
    }

    /// The survivors, ascending.
    pub fn list(&self) -> &[Survivor] {
        &self.list
    }

    /// Their indices, ascending.
    pub fn donors(&self) -> Vec<u16> {
        self.list.iter().map(|s| s.donor).collect()
    }

    /// SHA-256 over header hash, donors and blob hashes with the domain `histone/survivors/v1`.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Whether the set was checked against this header.
    pub(crate) fn belongs_to(&self, header: &RoundHeader) -> bool {
        self.header.ct_eq(&header.hash()).into()
    }

    /// Reads the blobs, given in the order of the survivors, and checks each against its anchor.
    pub(crate) fn read_blobs<'a>(
        &self,
        header: &RoundHeader,
        blobs: &'a [Blob],
    ) -> Result<Vec<Update<'a>>, UpdateError> {
        if blobs.len() != self.list.len() {
            return Err(UpdateError::Count { got: blobs.len(), expected: self.list.len() });
        }
        let read = |(survivor, blob): (&Survivor, &'a Blob)| {
            let donor = survivor.donor;
            if blob.hash().0 != survivor.blob {
                return Err(UpdateError::Anchor { donor });
            }
            let update = Update::decode(blob, header)?;
            if update.donor != donor {
                return Err(UpdateError::OtherDonor { donor, named: update.donor });
            }
            Ok(update)
        };
        self.list.iter().zip(blobs).map(read).collect()
    }
}
