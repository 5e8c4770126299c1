//! Who is wrong when a member says that a share does not open: the donor or the member.
//!
//! The accused donor's enclave opens that one share: it shows the share and the randomness of its seal
//! ([`open_share`]). Everybody seals again and compares with the anchored blob ([`check_opening`]). Only the accusing
//! member's share becomes public by that, which this member could always read; the randomness of other seats derives
//! apart. An enclave must open a share only to the accusation of its own seat: a public share counts as one colluder's.
//!
//! A share that opens but lies beside the others' polynomial is good here; to tell takes verifiable shares.

use histone_program_sdk::wire::{Reader, WireError, Writer};
use histone_protocol::secret::Root;

use crate::codec;
use crate::field::ENCODED_LEN;
use crate::header::RoundHeader;
use crate::update::{Masked, SEAL_INFO, Sealer, Update, UpdateError, read_share};

const VERSION: u8 = 1;

/// One member's share of one donor's mask with the randomness of its seal: reads that sealed share and no other.
#[derive(Clone, PartialEq, Eq)]
pub struct ShareOpening {
    header: [u8; 32],
    donor: u16,
    member: u8,
    randomness: [u8; 32],
    share: Vec<u8>,
}

impl std::fmt::Debug for ShareOpening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ShareOpening(donor {}, member {})", self.donor, self.member)
    }
}

/// What an opening shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The anchored blob holds this share, sealed to the member: the member that called it unreadable is wrong.
    ShareIsGood,
    /// It does not: the donor is wrong.
    ShareIsBad,
}

impl ShareOpening {
    /// The accused donor.
    pub fn donor(&self) -> u16 {
        self.donor
    }

    /// The accusing member.
    pub fn member(&self) -> u8 {
        self.member
    }

    /// The canonical bytes: version, header hash, donor, member, randomness, length, share.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.u8(VERSION);
        w.0.extend_from_slice(&self.header);
        codec::put_u16(&mut w, self.donor);
        w.u8(self.member);
        w.0.extend_from_slice(&self.randomness);
        w.bytes(&self.share);
        w.0
    }

    /// Reads an opening for this round.
    pub fn decode(bytes: &[u8], header: &RoundHeader) -> Result<ShareOpening, WireError> {
        let mut r = Reader::new(bytes);
        match r.u8()? {
            VERSION => {}
            v => return Err(WireError::Version(v)),
        }
        let hash: [u8; 32] = codec::array(&mut r)?;
        if hash != header.hash() {
            return Err(WireError::Invalid("round header hash"));
        }
        let (donor, member, randomness) = (codec::u16(&mut r)?, r.u8()?, codec::array(&mut r)?);
        let share = r.bytes()?;
        if share.len() != header.dimension() * ENCODED_LEN {
            return Err(WireError::Invalid("length of a share"));
        }
        let share = share.to_vec();
        r.end()?;
        Ok(ShareOpening { header: hash, donor, member, randomness, share })
    }
}

/// Opens the share of `member`, for the same arguments that the blob was sealed with.
pub fn open_share(
    header: &RoundHeader,
    donor: u16,
    values: &[f64],
    secret: &Root,
    member: u8,
) -> Result<ShareOpening, UpdateError> {
    let (share, randomness) = Masked::new(header, donor, values, secret)?.share(member)?;
    Ok(ShareOpening { header: header.hash(), donor, member, randomness: *randomness, share: share.to_vec() })
}

/// Compares an opening with the blob that its donor anchored: whether the accused share is in it, sealed to the seat.
pub fn check_opening(
    header: &RoundHeader,
    blob: &[u8],
    opening: &ShareOpening,
    sealer: &dyn Sealer,
) -> Verdict {
    let good = || {
        let update = Update::decode(blob, header).ok()?;
        if opening.header != header.hash() || opening.donor != update.donor() {
            return None;
        }
        let (sealed, aad) = update.sealed(header, opening.member)?;
        let seat = header.fields().committee.get(usize::from(opening.member).checked_sub(1)?)?;
        read_share(header, &opening.share).ok()?;
        let again = sealer.seal(&seat.seal_key, SEAL_INFO, &aad, &opening.share, &opening.randomness).ok()?;
        (again == sealed).then_some(())
    };
    match good() {
        Some(()) => Verdict::ShareIsGood,
        None => Verdict::ShareIsBad,
    }
}
