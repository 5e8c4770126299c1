//! What a committee member reads in the notices of the validation enclaves: which donors have the rows of another one, or genotypes
//! that no people have.

use std::collections::BTreeMap;

use histone_attestation::cohort::Place;
use histone_contracts::{Contract, Datasets, reasons};
use histone_protocol::notice::{
    GenotypeQuality, NoticeError, QualityVerdict, Standing, ValidationNotice, later_donors, open_notice,
};
use histone_protocol::record::Signed;
use histone_protocol::report::ValidationReport;
use histone_protocol::{Address, B256};

use crate::error::NodeError;
use crate::party::Party;
use crate::world::World;

/// The notices that a member has read, by dataset and version.
#[derive(Debug, Default)]
pub struct Notices(BTreeMap<(B256, B256), Notice>);

/// What there is to read about one version of a dataset.
#[derive(Debug, Clone)]
enum Notice {
    /// The enclave's word.
    Told(ValidationNotice),
    /// It is not for this member, which came later: the others have read it.
    NotForUs,
    /// Report or notice is not in public storage, or is not what the ledger and the report name.
    Missing,
}

impl Notices {
    /// Donors of a cohort to be named, each with the reason: those whose rows another donor had first, those whose genotypes were
    /// refused, and those about whom there is no notice in public storage.
    pub async fn to_blame(
        &mut self,
        member: &Party,
        places: &[Place],
        world: &World,
    ) -> Result<Vec<(u16, u8)>, NodeError> {
        for place in places {
            let version = (place.dataset.lineage, place.dataset.root);
            // What was missing may have come.
            if matches!(self.0.get(&version), None | Some(Notice::Missing)) {
                let notice = read(member, place, world).await?;
                self.0.insert(version, notice);
            }
        }
        let (mut standings, mut blamed) = (Vec::new(), Vec::new());
        for place in places {
            match self.0.get(&(place.dataset.lineage, place.dataset.root)) {
                Some(Notice::Told(notice)) => {
                    if notice.genotypes.as_ref().is_some_and(|found| found.verdict == QualityVerdict::Refuse)
                    {
                        blamed.push((place.donor, reasons::NOT_BELIEVED));
                        continue;
                    }
                    standings.push(Standing { donor: place.donor, lineage: place.dataset.lineage, notice });
                }
                Some(Notice::Missing) => blamed.push((place.donor, reasons::NOT_BELIEVED)),
                _ => {}
            }
        }
        blamed.extend(later_donors(&standings).into_iter().map(|donor| (donor, reasons::DUPLICATE)));
        Ok(blamed)
    }
}

impl Notices {
    /// Datasets that this member has read of whose genotypes a person should look at, or that were refused for them.
    pub fn doubts(&self) -> impl Iterator<Item = (B256, &GenotypeQuality)> {
        self.0.iter().filter_map(|((lineage, _), notice)| match notice {
            Notice::Told(notice) => {
                let found =
                    notice.genotypes.as_ref().filter(|found| found.verdict != QualityVerdict::Pass)?;
                Some((*lineage, found))
            }
            _ => None,
        })
    }
}

async fn read(member: &Party, place: &Place, world: &World) -> Result<Notice, NodeError> {
    let Some((owner, report, enclave)) = validation(place, world).await? else { return Ok(Notice::Missing) };
    let Ok(report) = world.blobs.get(report) else { return Ok(Notice::Missing) };
    let report = Signed::<ValidationReport>::from_bytes(&report).and_then(|r| r.open());
    let Ok((report, signer)) = report else { return Ok(Notice::Missing) };
    let ledger = world.ledger.deployment().id();
    if signer != enclave || (report.ledger, report.owner, report.root) != (ledger, owner, place.dataset.root)
    {
        return Ok(Notice::Missing);
    }
    let Ok(blob) = world.blobs.get(report.notice) else { return Ok(Notice::Missing) };
    let opened = open_notice(&blob, (ledger, owner, report.root), member.account(), &member.seal);
    Ok(match opened {
        Ok((notice, signer)) if signer == enclave => Notice::Told(notice),
        // The enclave that was appraised names the blob, so a seal that does not open is to another key of this member.
        Err(NoticeError::NotAddressed(_) | NoticeError::Seal(_)) => Notice::NotForUs,
        _ => Notice::Missing,
    })
}

/// Owner, report and enclave of the validation of a version, as the ledger has them.
async fn validation(place: &Place, world: &World) -> Result<Option<(Address, B256, Address)>, NodeError> {
    let (id, root) = (place.dataset.lineage, place.dataset.root);
    let first = world.ledger.logged::<Datasets::DatasetRegistered>(Contract::Datasets, Some(id)).await?;
    let later = world.ledger.logged::<Datasets::DatasetUpdated>(Contract::Datasets, Some(id)).await?;
    let Some(owner) = first.first().map(|e| e.event.owner) else { return Ok(None) };
    let first = first.iter().map(|e| (e.event.root, e.event.reportHash, e.event.enclave));
    let later = later.iter().map(|e| (e.event.root, e.event.reportHash, e.event.enclave));
    Ok(first.chain(later).find(|(of, ..)| *of == root).map(|(_, report, enclave)| (owner, report, enclave)))
}
