//! What a validation enclave tells the committee and nobody else: whether other owners registered the same rows before, and what the
//! quality control of genotypes found.
//!
//! Every validation leaves one blob, whether there is anything to tell or not: a byte for the version, then for each
//! committee member, ascending, its account (20 bytes) and a sealed [`ValidationNotice`] padded to [`NOTICE_BYTES`]. So
//! size and presence of the blob say nothing, and whoever is not on the committee learns nothing: a validation answers no
//! question about other people's tables. The blob's hash is in the signed validation report.
//!
//! [`later_donors`] is what a member does with the notices of a cohort: of two donors with the same rows the one that came
//! later is left out.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256};
use rand_core::Rng;
use serde::{Deserialize, Serialize};

use crate::hash::tagged_hash;
use crate::record::{LedgerId, Record, RecordError, Signed};
use crate::seal::{OVERHEAD, SealError, SealKey, SealPublicKey};
use crate::secret::Root;

/// HPKE `info` of a notice to a committee member.
pub const NOTICE_INFO: &str = "histone/validation-notice/v1";
/// Length of a notice before it is sealed, whatever it says.
pub const NOTICE_BYTES: usize = 4_096;
/// How many earlier datasets a notice names. A table that matches more sets [`ValidationNotice::more`].
pub const MOST_EARLIER: usize = 8;

const VERSION: u8 = 1;
const ADDRESS: usize = 20;
const SLOT: usize = ADDRESS + NOTICE_BYTES + OVERHEAD;

/// Which datasets of other owners held the rows of this one before, and whether its genotypes look real.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationNotice {
    /// The ledger on which the datasets are; the notice is void on others.
    pub ledger: LedgerId,
    /// Owner of the validated dataset.
    pub owner: Address,
    /// Commitment over its rows.
    pub root: B256,
    /// Datasets of other owners that held these rows earlier, in the order in which they were validated.
    pub earlier: Vec<Earlier>,
    /// Whether there are more than the named ones.
    pub more: bool,
    /// What the quality control of its genotypes found; none where it has none, or so few variants that nothing could be measured.
    pub genotypes: Option<GenotypeQuality>,
}

/// What the quality control of genotypes found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenotypeQuality {
    /// The worst verdict of all findings.
    pub verdict: QualityVerdict,
    /// What was measured.
    pub findings: Vec<GenotypeFinding>,
}

/// One measure of genotypes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenotypeFinding {
    /// Its name, as `histone genome qc` has it.
    pub measure: String,
    /// The number that was found, in decimal digits.
    pub value: String,
    /// What follows.
    pub verdict: QualityVerdict,
}

/// What follows from a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QualityVerdict {
    /// Nothing unusual.
    Pass,
    /// A person should look.
    Review,
    /// Not to be used.
    Refuse,
}

/// A dataset of another owner with the same rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Earlier {
    /// The ledger's key of the dataset.
    pub lineage: B256,
    /// How many percent of the rows of one are in the other, rounded down to 90, 95 or 99.
    pub percent: u8,
}

impl Record for ValidationNotice {
    const KIND: &'static str = "validation-notice";

    fn ledger(&self) -> Option<LedgerId> {
        Some(self.ledger)
    }
}

/// Why a notice cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    /// The blob is not laid out as a list of sealed notices.
    #[error("the bytes are no sealed notices to a committee")]
    Layout,
    /// Nobody sealed one to this member.
    #[error("there is no notice to {0}; was it on the committee when the dataset was validated?")]
    NotAddressed(Address),
    /// The statement is longer than its place.
    #[error("the notice does not fit in {NOTICE_BYTES} bytes")]
    TooLong,
    /// The seal does not open or cannot be made.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// What is under the seal is no signed notice.
    #[error("what is sealed is no notice")]
    Record(#[from] RecordError),
}

/// Seals one signed notice to each member.
pub fn seal_notices(
    notice: &ValidationNotice,
    signed: &Signed<ValidationNotice>,
    members: &BTreeMap<Address, SealPublicKey>,
    secret: &Root,
) -> Result<Vec<u8>, NoticeError> {
    let statement = signed.to_bytes();
    let mut plain = vec![0; NOTICE_BYTES];
    // One line of JSON ends with its line break; what follows is padding.
    plain.get_mut(..statement.len()).ok_or(NoticeError::TooLong)?.copy_from_slice(&statement);
    let mut blob = vec![VERSION];
    for (member, key) in members {
        blob.extend_from_slice(member.as_slice());
        let aad = aad(notice.ledger, notice.owner, notice.root, *member);
        match key.seal(NOTICE_INFO, aad.as_slice(), &plain, secret) {
            Ok(sealed) => blob.extend_from_slice(&sealed),
            // A member with an unusable key harms itself: it must not be able to stop validations.
            Err(_) => {
                let mut filler = [0; NOTICE_BYTES + OVERHEAD];
                secret.rng("notice filler", &[aad.as_slice(), &plain]).fill_bytes(&mut filler);
                blob.extend_from_slice(&filler);
            }
        }
    }
    Ok(blob)
}

/// Opens the notice to `member` about the dataset of `owner` with commitment `root`. Gives the account that signed it:
/// the caller compares it with the enclave that signed the report.
pub fn open_notice(
    blob: &[u8],
    about: (LedgerId, Address, B256),
    member: Address,
    key: &SealKey,
) -> Result<(ValidationNotice, Address), NoticeError> {
    let (ledger, owner, root) = about;
    let sealed = slots(blob)?.get(&member).copied().ok_or(NoticeError::NotAddressed(member))?;
    let plain = key.open(NOTICE_INFO, aad(ledger, owner, root, member).as_slice(), sealed)?;
    let end = plain.iter().position(|b| *b == b'\n').ok_or(NoticeError::Layout)?;
    let (notice, signer) = Signed::<ValidationNotice>::from_bytes(&plain[..=end])?.open()?;
    match (notice.ledger, notice.owner, notice.root) == about {
        true => Ok((notice, signer)),
        false => Err(NoticeError::Layout),
    }
}

/// To whom a blob of notices is addressed.
pub fn addressed(blob: &[u8]) -> Result<BTreeSet<Address>, NoticeError> {
    Ok(slots(blob)?.into_keys().collect())
}

fn slots(blob: &[u8]) -> Result<BTreeMap<Address, &[u8]>, NoticeError> {
    let (&VERSION, slots) = blob.split_first().ok_or(NoticeError::Layout)? else {
        return Err(NoticeError::Layout);
    };
    let (chunks, rest) = slots.as_chunks::<SLOT>();
    let found: BTreeMap<Address, &[u8]> =
        chunks.iter().map(|c| (Address::from_slice(&c[..ADDRESS]), &c[ADDRESS..])).collect();
    // Ascending and each once: one list of notices has one encoding.
    let ascending = chunks.is_sorted_by(|a, b| a[..ADDRESS] < b[..ADDRESS]);
    if rest.is_empty() && ascending { Ok(found) } else { Err(NoticeError::Layout) }
}

fn aad(ledger: LedgerId, owner: Address, root: B256, member: Address) -> B256 {
    let chain = ledger.chain_id.to_le_bytes();
    let parts: [&[u8]; 5] =
        [&chain, ledger.contract.as_slice(), owner.as_slice(), root.as_slice(), member.as_slice()];
    tagged_hash(NOTICE_INFO, &parts)
}

/// A donor of a cohort, as a committee member knows it.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// Its number in the model.
    pub donor: u16,
    /// The ledger's key of its dataset.
    pub lineage: B256,
    /// The notice about the version that it donated.
    pub notice: &'a ValidationNotice,
}

/// The donors to leave out of a cohort because another one, which stays, held their rows earlier; and those whose rows
/// more datasets held than a notice can name. Of a chain of copies the first stays, and a copy of what is left out stays
/// as well.
pub fn later_donors(cohort: &[Standing<'_>]) -> BTreeSet<u16> {
    let named = |s: &Standing<'_>| -> BTreeSet<u16> {
        let earlier: BTreeSet<B256> = s.notice.earlier.iter().map(|e| e.lineage).collect();
        cohort
            .iter()
            .filter(|o| o.donor != s.donor && earlier.contains(&o.lineage))
            .map(|o| o.donor)
            .collect()
    };
    let mut out: BTreeSet<u16> = cohort.iter().filter(|s| s.notice.more).map(|s| s.donor).collect();
    let mut open: BTreeMap<u16, BTreeSet<u16>> =
        cohort.iter().filter(|s| !s.notice.more).map(|s| (s.donor, named(s))).collect();
    let mut stays = BTreeSet::new();
    while !open.is_empty() {
        let before = open.len();
        open.retain(|&donor, earlier| {
            earlier.retain(|e| !out.contains(e));
            if !earlier.is_disjoint(&stays) {
                out.insert(donor);
                return false;
            }
            if earlier.is_empty() {
                stays.insert(donor);
                return false;
            }
            true
        });
        // "Earlier" has no circle unless enclaves disagree about the order; then the first to donate stays.
        if open.len() == before
            && let Some((donor, _)) = open.pop_first()
        {
            stays.insert(donor);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chacha20::ChaCha20Rng;
    use chacha20::rand_core::SeedableRng;

    use super::*;
    use crate::keys::SigningKey;

    const LEDGER: LedgerId = LedgerId { chain_id: 7, contract: Address::repeat_byte(9) };

    fn notice(earlier: &[u8], more: bool) -> ValidationNotice {
        ValidationNotice {
            ledger: LEDGER,
            owner: Address::repeat_byte(1),
            root: B256::repeat_byte(2),
            earlier: earlier
                .iter()
                .map(|e| Earlier { lineage: B256::repeat_byte(*e), percent: 95 })
                .collect(),
            more,
            genotypes: None,
        }
    }

    fn about(n: &ValidationNotice) -> (LedgerId, Address, B256) {
        (n.ledger, n.owner, n.root)
    }

    #[test]
    fn the_size_says_nothing_and_only_the_addressed_member_reads() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let enclave = SigningKey::generate(&mut rng);
        let secret = Root::from_bytes([3; 32]);
        let keys: Vec<SealKey> = (0..3).map(|_| SealKey::generate(&mut rng)).collect();
        let members: BTreeMap<Address, SealPublicKey> =
            (1..=3).map(|i| (Address::repeat_byte(i), keys[usize::from(i) - 1].public())).collect();
        let mut sizes = BTreeSet::new();
        let full: Vec<u8> = (0..MOST_EARLIER as u8).collect();
        let finding = |i: usize| GenotypeFinding {
            measure: format!("heterozygosity-dispersion-{i:02}"),
            value: "-1234.5678".into(),
            verdict: QualityVerdict::Refuse,
        };
        let findings = (0..16).map(finding).collect();
        let quality = Some(GenotypeQuality { verdict: QualityVerdict::Refuse, findings });
        let longest = ValidationNotice { genotypes: quality, ..notice(&full, true) };
        for notice in [notice(&[], false), notice(&[5], false), notice(&full, true), longest] {
            let signed = Signed::sign(&notice, &enclave).unwrap();
            let blob = seal_notices(&notice, &signed, &members, &secret).unwrap();
            sizes.insert(blob.len());
            assert_eq!(addressed(&blob).unwrap(), members.keys().copied().collect());
            for (i, key) in keys.iter().enumerate() {
                let member = Address::repeat_byte(i as u8 + 1);
                let opened = open_notice(&blob, about(&notice), member, key).unwrap();
                assert_eq!(opened, (notice.clone(), enclave.address()));
                let (ledger, owner, root) = about(&notice);
                for elsewhere in [
                    (LedgerId { chain_id: 8, ..ledger }, owner, root),
                    (ledger, Address::repeat_byte(9), root),
                    (ledger, owner, B256::repeat_byte(9)),
                ] {
                    assert!(open_notice(&blob, elsewhere, member, key).is_err());
                }
            }
            assert!(open_notice(&blob, about(&notice), Address::repeat_byte(1), &keys[1]).is_err());
            let unusable = BTreeMap::from_iter(members.keys().map(|m| (*m, SealPublicKey(B256::ZERO))));
            assert_eq!(seal_notices(&notice, &signed, &unusable, &secret).unwrap().len(), blob.len());
            assert!(matches!(
                open_notice(&blob, about(&notice), Address::repeat_byte(4), &keys[0]),
                Err(NoticeError::NotAddressed(_))
            ));
            assert!(matches!(addressed(&blob[..blob.len() - 1]), Err(NoticeError::Layout)));
            let twice = [&blob[..], &blob[1..]].concat();
            assert!(matches!(addressed(&twice), Err(NoticeError::Layout)));
        }
        assert_eq!(sizes.len(), 1, "{sizes:?}");
        assert!(addressed(&[]).is_err() && addressed(&[2]).is_err());
    }

    /// `cohort`: the earlier lineages that each donor's notice names; donor and lineage are the place in the list, from 1.
    fn check(cohort: &[&[u8]], expected: &[u16]) {
        let notices: Vec<_> = cohort.iter().map(|e| notice(e, false)).collect();
        let standings: Vec<_> = notices
            .iter()
            .zip(1..)
            .map(|(notice, i)| Standing { donor: u16::from(i), lineage: B256::repeat_byte(i), notice })
            .collect();
        let left_out: Vec<u16> = later_donors(&standings).into_iter().collect();
        assert_eq!(left_out, expected, "{cohort:?}");
    }

    #[test]
    fn the_later_of_two_is_left_out() {
        check(&[], &[]);
        check(&[&[], &[], &[]], &[]);
        check(&[&[], &[1], &[]], &[2]);
        // The number in the model says nothing about who held the rows first.
        check(&[&[2], &[], &[]], &[1]);
        // What is not in the cohort does not count.
        check(&[&[9], &[9], &[]], &[]);
        check(&[&[], &[1], &[1, 2]], &[2, 3]);
        // The third copied the second, which is out.
        check(&[&[], &[1], &[2]], &[2]);
        check(&[&[2], &[3], &[]], &[2]);
        // A circle leaves one of its two.
        check(&[&[2], &[1]], &[2]);
        check(&[&[1]], &[]);
    }

    #[test]
    fn who_matches_more_than_can_be_named_is_left_out() {
        let (first, second) = (notice(&[], false), notice(&[], true));
        let standing = |donor, notice| Standing { donor, lineage: B256::repeat_byte(donor as u8), notice };
        assert_eq!(later_donors(&[standing(1, &first), standing(2, &second)]), BTreeSet::from([2]));
    }
}
