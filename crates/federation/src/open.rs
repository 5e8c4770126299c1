//! Anybody opens the sum: public blobs and partial sums in, numbers out. No secret is needed here.

use histone_protocol::blob::Blob;
use sha2::Digest;

use crate::codec;
use crate::committee::PartialSum;
use crate::field::{ENCODED_LEN, Fp};
use crate::fixed;
use crate::header::RoundHeader;
use crate::sealed::SumKey;
use crate::share::{self, ShareError};
use crate::update::{Survivors, UpdateError};

/// Numbers from which a [`SumKey`] derives, of 127 bits each; a round may have fewer.
const KEY_NUMBERS: usize = 8;

/// Why a sum does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The survivor set was checked against another header.
    #[error("the survivor set belongs to another round header")]
    OtherRound,
    /// A blob is missing or wrong.
    #[error("a survivor's blob is refused")]
    Blob(#[source] UpdateError),
    /// A partial sum is of another round or another survivor set.
    #[error(
        "the partial sum of committee member {member} is for another round or another survivor set; ask it again"
    )]
    OtherSum {
        /// The member.
        member: u8,
    },
    /// Too few partial sums, or contradicting ones.
    #[error("the partial sums do not open the mask")]
    Partials(#[source] ShareError),
    /// The sum lies outside of what the cohort could have sent.
    #[error(
        "number {index} of the sum is outside of the range of this round; a donor or a member did not follow the protocol"
    )]
    OutOfRange {
        /// Position in the vector.
        index: usize,
    },
}

/// The opened sum of a round.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    header: [u8; 32],
    survivors: [u8; 32],
    integers: Vec<i128>,
    values: Vec<f64>,
    redundancy: u8,
}

impl Aggregate {
    /// The sums as real numbers: the integers divided by `2^fractional_bits`.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The exact sums.
    pub fn integers(&self) -> &[i128] {
        &self.integers
    }

    /// How many partial sums were given beyond the threshold, all of which agreed. With 0 a single lying member could
    /// have shifted the sum unseen; whoever decides on money or a model asks for at least 1.
    pub fn redundancy(&self) -> u8 {
        self.redundancy
    }

    /// SHA-256 over header hash, survivors hash, count and integers (16 bytes little-endian each) with the domain
    /// `histone/aggregate/v1`. It does not depend on which members answered.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = codec::hasher("histone/aggregate/v1");
        hash.update(self.header);
        hash.update(self.survivors);
        hash.update((self.integers.len() as u32).to_le_bytes());
        // In stretches: a large sum is not copied for its hash.
        let mut bytes = [[0; ENCODED_LEN]; 256];
        for integers in self.integers.chunks(bytes.len()) {
            let bytes = &mut bytes[..integers.len()];
            bytes.iter_mut().zip(integers).for_each(|(b, i)| *b = i.to_le_bytes());
            hash.update(bytes.as_flattened());
        }
        hash.finalize().into()
    }
}

/// Opens with the partial sums that agree: members whose answers contradict the others are left out and named. What is
/// left must still be one more than opens, so that what is left was checked, too.
pub fn open_and_name(
    header: &RoundHeader,
    survivors: &Survivors,
    blobs: &[Blob],
    partials: &[PartialSum],
) -> Result<(Aggregate, Vec<u8>), OpenError> {
    let (Opened { aggregate, .. }, wrong) = agreeing(header, survivors, blobs, partials)?;
    Ok((aggregate, wrong))
}

/// The same, with what only those have who open the sum.
pub fn open_sealed(
    header: &RoundHeader,
    survivors: &Survivors,
    blobs: &[Blob],
    partials: &[PartialSum],
) -> Result<(Aggregate, SumKey, Vec<u8>), OpenError> {
    let (Opened { aggregate, beyond }, wrong) = agreeing(header, survivors, blobs, partials)?;
    Ok((aggregate, SumKey::of(header, survivors, &beyond), wrong))
}

fn agreeing(
    header: &RoundHeader,
    survivors: &Survivors,
    blobs: &[Blob],
    partials: &[PartialSum],
) -> Result<(Opened, Vec<u8>), OpenError> {
    match opened(header, survivors, blobs, partials) {
        Err(OpenError::Partials(ShareError::Wrong { members })) => {
            let honest: Vec<PartialSum> =
                partials.iter().filter(|p| !members.contains(&p.member)).cloned().collect();
            if honest.len() <= usize::from(header.threshold()) {
                return Err(OpenError::Partials(ShareError::Wrong { members }));
            }
            Ok((opened(header, survivors, blobs, &honest)?, members))
        }
        result => Ok((result?, Vec::new())),
    }
}

/// Names the members whose partial sums contradict the others, as [`open_and_name`] does, without opening the sum: for this
/// the partial sums alone are needed.
pub fn name(
    header: &RoundHeader,
    survivors: &Survivors,
    partials: &[PartialSum],
) -> Result<Vec<u8>, OpenError> {
    check_origin(header, survivors, partials)?;
    let check = |partials: &[&PartialSum]| {
        let shares: Vec<_> = partials.iter().map(|p| (p.member, p.numbers())).collect();
        share::check(&shares, header.threshold()).map_err(OpenError::Partials)
    };
    let all: Vec<_> = partials.iter().collect();
    match check(&all) {
        Err(OpenError::Partials(ShareError::Wrong { members })) => {
            let honest: Vec<_> = all.into_iter().filter(|p| !members.contains(&p.member)).collect();
            if honest.len() <= usize::from(header.threshold()) {
                return Err(OpenError::Partials(ShareError::Wrong { members }));
            }
            check(&honest)?;
            Ok(members)
        }
        result => result.map(|()| Vec::new()),
    }
}

/// The survivor set and the partial sums are of this round, and these of this set.
fn check_origin(
    header: &RoundHeader,
    survivors: &Survivors,
    partials: &[PartialSum],
) -> Result<(), OpenError> {
    if !survivors.belongs_to(header) {
        return Err(OpenError::OtherRound);
    }
    let stray = |p: &&PartialSum| {
        p.header != header.hash() || p.survivors != survivors.hash() || p.member > header.members()
    };
    match partials.iter().find(stray) {
        Some(p) => Err(OpenError::OtherSum { member: p.member }),
        None => Ok(()),
    }
}

/// Sums the masked updates, takes off the sum of the masks, and decodes.
///
/// `blobs` are in the order of the survivors. Every partial sum given is checked against the others; wrong ones are
/// named in [`ShareError::Wrong`] when enough were given, to be left out of the next try.
pub fn open(
    header: &RoundHeader,
    survivors: &Survivors,
    blobs: &[Blob],
    partials: &[PartialSum],
) -> Result<Aggregate, OpenError> {
    Ok(opened(header, survivors, blobs, partials)?.aggregate)
}

/// A sum, and what nobody has who did not open it, not even whoever knows the sum.
struct Opened {
    aggregate: Aggregate,
    beyond: Vec<Fp>,
}

fn opened(
    header: &RoundHeader,
    survivors: &Survivors,
    blobs: &[Blob],
    partials: &[PartialSum],
) -> Result<Opened, OpenError> {
    check_origin(header, survivors, partials)?;
    let mut sum = vec![Fp::ZERO; header.dimension()];
    for update in survivors.read_blobs(header, blobs).map_err(OpenError::Blob)? {
        update.add_ciphertext(&mut sum);
    }
    let shares: Vec<_> = partials.iter().map(|p| (p.member, p.numbers())).collect();
    let threshold = header.threshold();
    let mask = share::combine(&shares, threshold).map_err(OpenError::Partials)?;
    if mask.len() != sum.len() {
        let member = partials.first().map_or(0, |p| p.member);
        return Err(OpenError::OtherSum { member });
    }
    let bits = header.fields().fractional_bits;
    let integers: Vec<i128> = sum.iter().zip(&mask).map(|(&s, &m)| (s - m).to_signed()).collect();
    if let Some(index) = integers.iter().position(|&i| !fixed::sum_in_range(i, bits)) {
        return Err(OpenError::OutOfRange { index });
    }
    let aggregate = Aggregate {
        header: header.hash(),
        survivors: survivors.hash(),
        values: integers.iter().map(|&i| fixed::to_real(i, bits)).collect(),
        integers,
        // Distinct members, at most 255 of them.
        redundancy: (partials.len() - usize::from(threshold)) as u8,
    };
    Ok(Opened { aggregate, beyond: share::beyond(&shares, threshold, KEY_NUMBERS) })
}
