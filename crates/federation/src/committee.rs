//! A committee member: opens its share of one sum a round, and never of a second one.
//!
//! A member that answered for two survivor sets of one round would give away the difference, which may be the update of
//! a single donor. Two sums of one computation, over other donors or over another version of a dataset, differ by one
//! donor or one person just so, whatever model, market or round they are for. A member therefore writes down what it is
//! about to open *before* it opens it ([`openings`]): the round with its survivors, and for each dataset the computation
//! with the versions and donors that it was summed over.
//!
//! A member speaks in two steps. [`Member::sum_shares`] makes its partial sum, whose *hash* goes on the ledger; the sum
//! itself leaves only through [`Prepared::open`], once the ledger holds the hashes of a whole quorum. Until then nothing
//! was opened, so that a set from which a liar was struck can be summed instead.

use histone_program_sdk::wire::{Reader, WireError, Writer};
use histone_protocol::blob::Blob;
use histone_protocol::secret::Root;

use crate::field::{ENCODED_LEN, Fp, view_vector};
use crate::header::RoundHeader;
use crate::sealed::{Reader as SumReader, SealedError, SealedPartial};
use crate::update::{Sealer, Survivors, Unsealer, UpdateError};
use crate::{BoxError, codec};

const VERSION: u8 = 1;

/// One thing that a member is about to open: what it is, and over what.
pub type Opening = ([u8; 32], [u8; 32]);

/// What a member has opened so far; must survive restarts and be shared by everything that holds the member's key.
pub trait OpenedRounds {
    /// Records these openings unless one of them is recorded with another content, all or none, in one atomic and durable
    /// step. Says whether all of them are recorded now.
    fn record(&mut self, openings: &[Opening]) -> Result<bool, BoxError>;

    /// Whether [`Self::record`] would refuse these openings: asked before anything is promised.
    fn forbids(&self, openings: &[Opening]) -> Result<bool, BoxError>;
}

/// A memory that ends with the process. A member that restarts with it can be asked a second time: for tests and for
/// rounds whose keys end with the process too.
#[derive(Debug, Default, Clone)]
pub struct ForgetfulRounds(std::collections::BTreeMap<[u8; 32], [u8; 32]>);

impl OpenedRounds for ForgetfulRounds {
    fn record(&mut self, openings: &[Opening]) -> Result<bool, BoxError> {
        if self.forbids(openings)? {
            return Ok(false);
        }
        self.0.extend(openings.iter().copied());
        Ok(true)
    }

    fn forbids(&self, openings: &[Opening]) -> Result<bool, BoxError> {
        Ok(openings.iter().any(|(id, content)| self.0.get(id).is_some_and(|earlier| earlier != content)))
    }
}

/// What opening this set means: its round, and [`summed`] of its computation. Of a sealed one members know a name only; the first
/// question of a plan has the same name in every training, so that no two of them are over sets that differ a little.
pub fn openings(header: &RoundHeader, survivors: &Survivors) -> Vec<Opening> {
    let mut openings = summed(header.computation_id(), header, survivors);
    openings.push((header.round_id(), survivors.hash()));
    openings
}

/// The computation for the lineage of each dataset in the sum. A lineage is new to the computation, or all datasets, in the same
/// versions, are those of the earlier sum (which is then the same sum).
pub fn summed(computation: [u8; 32], header: &RoundHeader, survivors: &Survivors) -> Vec<Opening> {
    let donors: Vec<_> = survivors.list().iter().filter_map(|s| header.donor(s.donor)).collect();
    let mut data: Vec<_> = donors.iter().map(|d| (d.lineage, d.root)).collect();
    data.sort_unstable();
    let bytes: Vec<u8> = data.iter().flat_map(|(lineage, root)| [*lineage, *root].concat()).collect();
    let content = codec::hash("histone/opened-data/v1", &[&bytes]);
    let of_lineage = |lineage: &[u8; 32]| codec::hash("histone/opened/v1", &[&computation, lineage]);
    data.iter().map(|(lineage, _)| (of_lineage(lineage), content)).collect()
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
        "this round was already opened for another survivor set or header, or this computation for some of these datasets with other ones or in other versions; a second sum would reveal what one donor or one person adds"
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
    /// A partial sum cannot be sealed, or the bytes are no sealed one.
    #[error(transparent)]
    Sealed(#[from] SealedError),
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

    /// Sums this member's shares of the survivors' masks, for itself: nothing is opened yet.
    ///
    /// `blobs` are in the order of the survivors and must be the anchored ones. The same question again gets the same
    /// answer.
    pub fn sum_shares(
        &self,
        header: &RoundHeader,
        survivors: &Survivors,
        blobs: &[Blob],
        unsealer: &dyn Unsealer,
    ) -> Result<Prepared, CommitteeError> {
        if self.index == 0 || self.index > header.members() {
            return Err(CommitteeError::NoSeat);
        }
        if !survivors.belongs_to(header) {
            return Err(CommitteeError::OtherRound);
        }
        let updates = survivors.read_blobs(header, blobs).map_err(CommitteeError::Blob)?;
        let mut vector = zeroize::Zeroizing::new(vec![Fp::ZERO; header.dimension()]);
        for update in &updates {
            update.add_share(&mut vector, header, self.index, unsealer).map_err(|source| {
                CommitteeError::Share { donor: update.donor(), member: self.index, source }
            })?;
        }
        // The survivors' hash covers the header's.
        let partial = PartialSum::new(header, survivors.hash(), self.index, &vector);
        Ok(Prepared { openings: openings(header, survivors), partial })
    }
}

/// A partial sum as it is published: for everybody, or for its readers.
pub trait Published: Sized {
    /// Reads one of this round.
    fn read(blob: Blob, header: &RoundHeader) -> Result<Self, CommitteeError>;
    /// Whether it says that it is over these survivors.
    fn is_over(&self, survivors: &Survivors) -> bool;
    /// The member that says it is from.
    fn member(&self) -> u8;
    /// Its bytes.
    fn blob(&self) -> &Blob;
}

impl Published for PartialSum {
    fn read(blob: Blob, header: &RoundHeader) -> Result<Self, CommitteeError> {
        PartialSum::decode(blob, header)
    }

    fn is_over(&self, survivors: &Survivors) -> bool {
        self.is_over(survivors)
    }

    fn member(&self) -> u8 {
        self.member
    }

    fn blob(&self) -> &Blob {
        &self.blob
    }
}

impl Published for SealedPartial {
    fn read(blob: Blob, header: &RoundHeader) -> Result<Self, CommitteeError> {
        Ok(SealedPartial::decode(blob, header)?)
    }

    fn is_over(&self, survivors: &Survivors) -> bool {
        self.is_over(survivors)
    }

    fn member(&self) -> u8 {
        self.member()
    }

    fn blob(&self) -> &Blob {
        self.blob()
    }
}

/// A partial sum that its member holds back, for everybody or for its readers.
#[derive(Clone)]
pub struct Prepared<P = PartialSum> {
    openings: Vec<Opening>,
    partial: P,
}

impl<P: Published> std::fmt::Debug for Prepared<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prepared(member {}, not opened)", self.partial.member())
    }
}

impl Prepared {
    /// Seals it to those whom this member has appraised.
    pub fn seal(
        self,
        header: &RoundHeader,
        readers: &[SumReader],
        sealer: &dyn Sealer,
        secret: &Root,
    ) -> Prepared<SealedPartial> {
        let partial = SealedPartial::seal(header, &self.partial, readers, sealer, secret);
        Prepared { openings: self.openings, partial }
    }
}

impl<P: Published> Prepared<P> {
    /// A partial sum that was kept, for the survivors that it was made for.
    pub fn from_kept(
        bytes: impl Into<Blob>,
        header: &RoundHeader,
        survivors: &Survivors,
    ) -> Result<Self, CommitteeError> {
        let partial = P::read(bytes.into(), header)?;
        if !partial.is_over(survivors) {
            return Err(CommitteeError::OtherRound);
        }
        Ok(Prepared { openings: openings(header, survivors), partial })
    }

    /// The bytes that will be published, for the member's own directory and for their hash.
    pub fn blob(&self) -> &Blob {
        self.partial.blob()
    }

    /// The same, copied.
    pub fn encode(&self) -> Vec<u8> {
        self.blob().to_vec()
    }

    /// What opening it means for whoever remembers.
    pub fn openings(&self) -> &[Opening] {
        &self.openings
    }

    /// Whether this member may open it, by what it has opened before. Ask before its hash is promised on the ledger: a sum
    /// that is locked and then refused is paid for and seen by nobody.
    pub fn check(&self, memory: &dyn OpenedRounds) -> Result<(), CommitteeError> {
        match memory.forbids(&self.openings).map_err(CommitteeError::Memory)? {
            false => Ok(()),
            true => Err(CommitteeError::AlreadyOpened),
        }
    }

    /// Records what is about to be opened, then gives it: a crash in between costs an answer and not a secret. Call it
    /// once a quorum of hashes is on the ledger. Another set of the round, and the same computation over other donors or
    /// versions, are refused.
    pub fn open(self, memory: &mut dyn OpenedRounds) -> Result<P, CommitteeError> {
        if memory.record(&self.openings).map_err(CommitteeError::Memory)? {
            Ok(self.partial)
        } else {
            Err(CommitteeError::AlreadyOpened)
        }
    }
}

/// A member's share of the sum of the masks; public once it is sent. Which survivors it is over it says itself.
///
/// It stays the bytes in which it travels; copies share them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialSum {
    pub(crate) header: [u8; 32],
    pub(crate) survivors: [u8; 32],
    pub(crate) member: u8,
    /// The whole encoding, of which the end is the numbers.
    blob: Blob,
}

/// Bytes of a partial sum before its numbers: version, header hash, survivors hash, member, count.
const HEAD: usize = 1 + 32 + 32 + 1 + 4;

impl PartialSum {
    /// Whether it says that it is over these survivors.
    pub fn is_over(&self, survivors: &Survivors) -> bool {
        self.survivors == survivors.hash()
    }

    /// The member that says it is from; the transport's signature proves it.
    pub fn member(&self) -> u8 {
        self.member
    }

    fn new(header: &RoundHeader, survivors: [u8; 32], member: u8, vector: &[Fp]) -> PartialSum {
        let mut w = Writer(Vec::with_capacity(HEAD + vector.len() * ENCODED_LEN));
        w.u8(VERSION);
        w.0.extend_from_slice(&header.hash());
        w.0.extend_from_slice(&survivors);
        w.u8(member).u32(vector.len() as u32);
        for x in vector {
            w.0.extend_from_slice(&x.to_bytes());
        }
        PartialSum { header: header.hash(), survivors, member, blob: Blob::new(w.0) }
    }

    /// The canonical bytes: version, header hash, survivors hash, member, count, numbers.
    pub fn blob(&self) -> &Blob {
        &self.blob
    }

    /// The same, copied.
    pub fn encode(&self) -> Vec<u8> {
        self.blob.to_vec()
    }

    /// The numbers as they lie in the bytes.
    pub(crate) fn numbers(&self) -> &[[u8; ENCODED_LEN]] {
        self.blob.get(HEAD..).unwrap_or_default().as_chunks().0
    }

    /// Reads a partial sum of this round. Bytes that are a [`Blob`] already are neither hashed again nor copied.
    pub fn decode(bytes: impl Into<Blob>, header: &RoundHeader) -> Result<PartialSum, CommitteeError> {
        let blob = bytes.into();
        let read = || {
            let mut r = Reader::new(&blob);
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
            view_vector(r.take(count * ENCODED_LEN)?).ok_or(WireError::Invalid("field element"))?;
            r.end()?;
            Ok((survivors, member))
        };
        let (survivors, member) = read().map_err(CommitteeError::Encoding)?;
        Ok(PartialSum { header: header.hash(), survivors, member, blob })
    }
}
