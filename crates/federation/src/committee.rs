//! A committee member: opens its share of one sum a round, and never of a second one.
//!
//! A member that answered for two survivor sets of one round would give away the difference, which may be the update of
//! a single donor. It therefore writes down what it is about to open *before* it opens it: under the id of the round, so
//! that a second header for the same round is refused as well, and under the id of the computation, so that the same
//! sums are not opened for other donors in a later round.

use histone_program_sdk::wire::{Reader, WireError, Writer};

use crate::field::{ENCODED_LEN, Fp, decode_vector, encode_vector};
use crate::header::RoundHeader;
use crate::update::{Survivors, Unsealer, UpdateError};
use crate::{BoxError, codec};

const VERSION: u8 = 1;

/// What a member has opened so far; must survive restarts and be shared by everything that holds the member's key.
pub trait OpenedRounds {
    /// Records `opening` under `id` unless something is recorded there, in one atomic and durable step, and gives back
    /// what is recorded afterwards. Both are hashes; an opening has two ids, of its round and of its computation.
    fn record(&mut self, id: [u8; 32], opening: [u8; 32]) -> Result<[u8; 32], BoxError>;
}

/// A memory that ends with the process. A member that restarts with it can be asked a second time: for tests and for
/// rounds whose keys end with the process too.
#[derive(Debug, Default, Clone)]
pub struct ForgetfulRounds(std::collections::BTreeMap<[u8; 32], [u8; 32]>);

impl OpenedRounds for ForgetfulRounds {
    fn record(&mut self, id: [u8; 32], opening: [u8; 32]) -> Result<[u8; 32], BoxError> {
        Ok(*self.0.entry(id).or_insert(opening))
    }
}

/// Why a member does not answer, or why an answer cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CommitteeError {
    /// The member has no seat.
    #[error("the address or number has no seat in the committee of this round")]
    NoSeat,
    /// The survivor set was checked against another header.
    #[error("the survivor set belongs to another round header")]
    OtherRound,
    /// The round or its computation was opened for something else.
    #[error(
        "this round was already opened for another survivor set or header, or this computation for other donors; a second sum would reveal single updates"
    )]
    AlreadyOpened,
    /// The durable memory failed; nothing was opened.
    #[error("the member could not record what it is about to open, so that it opens nothing")]
    Memory(#[source] BoxError),
    /// A blob is missing or wrong.
    #[error("a survivor's blob is refused")]
    Blob(#[source] UpdateError),
    /// A share does not open.
    #[error(
        "the share of donor {donor} for committee member {member} does not open; the donor's blob is void"
    )]
    Share {
        /// The donor.
        donor: u16,
        /// The member.
        member: u8,
        /// What was wrong.
        #[source]
        source: BoxError,
    },
    /// The bytes are not a partial sum of this round.
    #[error("the partial sum cannot be read or is of another round; ask the member again")]
    Encoding(#[source] WireError),
}

/// A seat in the committee of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    index: u8,
}

impl Member {
    /// The seat of this address.
    pub fn by_address(header: &RoundHeader, address: &[u8; 20]) -> Result<Member, CommitteeError> {
        let seat = (1u8..).zip(&header.fields().committee).find(|(_, m)| m.address == *address);
        Ok(Member { index: seat.ok_or(CommitteeError::NoSeat)?.0 })
    }

    /// The member's number, from 1.
    pub fn index(&self) -> u8 {
        self.index
    }

    /// Sums this member's shares of the survivors' masks.
    ///
    /// `blobs` are in the order of the survivors and must be the anchored ones. The same question again gets the same
    /// answer; another survivor set, another header of the same round, and the same computation over other donors are
    /// refused.
    pub fn open_sum(
        &self,
        header: &RoundHeader,
        survivors: &Survivors,
        blobs: &[&[u8]],
        unsealer: &dyn Unsealer,
        memory: &mut dyn OpenedRounds,
    ) -> Result<PartialSum, CommitteeError> {
        if self.index == 0 || self.index > header.members() {
            return Err(CommitteeError::NoSeat);
        }
        if !survivors.belongs_to(header) {
            return Err(CommitteeError::OtherRound);
        }
        let updates = survivors.read_blobs(header, blobs).map_err(CommitteeError::Blob)?;
        let mut vector = zeroize::Zeroizing::new(vec![Fp::ZERO; header.dimension()]);
        for update in &updates {
            let share = update.share(header, self.index, unsealer).map_err(|source| {
                CommitteeError::Share { donor: update.donor(), member: self.index, source }
            })?;
            for (sum, &s) in vector.iter_mut().zip(share.iter()) {
                *sum += s;
            }
        }
        // Last, so that a set with a broken blob does not use up the round; before the release, so that a crash in
        // between costs an answer and not a secret. The survivors' hash covers the header's.
        let opening = survivors.hash();
        let ids = [(header.computation_id(), survivors.donors_hash()), (header.round_id(), opening)];
        for (id, opening) in ids {
            if memory.record(id, opening).map_err(CommitteeError::Memory)? != opening {
                return Err(CommitteeError::AlreadyOpened);
            }
        }
        Ok(PartialSum {
            header: header.hash(),
            survivors: opening,
            member: self.index,
            vector: vector.to_vec(),
        })
    }
}

/// A member's share of the sum of the masks; public once it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialSum {
    pub(crate) header: [u8; 32],
    pub(crate) survivors: [u8; 32],
    pub(crate) member: u8,
    pub(crate) vector: Vec<Fp>,
}

impl PartialSum {
    /// The member that says it is from; the transport's signature proves it.
    pub fn member(&self) -> u8 {
        self.member
    }

    /// The canonical bytes: version, header hash, survivors hash, member, count, numbers.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.u8(VERSION);
        w.0.extend_from_slice(&self.header);
        w.0.extend_from_slice(&self.survivors);
        w.u8(self.member).u32(self.vector.len() as u32);
        w.0.extend_from_slice(&encode_vector(&self.vector));
        w.0
    }

    /// Reads a partial sum of this round.
    pub fn decode(bytes: &[u8], header: &RoundHeader) -> Result<PartialSum, CommitteeError> {
        let read = || {
            let mut r = Reader(bytes);
            match r.u8()? {
                VERSION => {}
                v => return Err(WireError::Version(v)),
            }
            let (hash, survivors) = (codec::array(&mut r)?, codec::array(&mut r)?);
            let (member, count) = (r.u8()?, r.u32()? as usize);
            if hash != header.hash() {
                return Err(WireError::Invalid("round header hash"));
            }
            if member == 0 || member > header.members() || count != header.dimension() {
                return Err(WireError::Invalid("member number or length"));
            }
            let vector =
                decode_vector(r.take(count * ENCODED_LEN)?).ok_or(WireError::Invalid("field element"))?;
            r.end()?;
            Ok(PartialSum { header: hash, survivors, member, vector })
        };
        read().map_err(CommitteeError::Encoding)
    }
}
