//! Everything by which others are judged, brought here before they are.
//!
//! Who shows no evidence is not believed, and whose update is not shown is struck from the sum. That somebody shows nothing can be said
//! only by a node that can ask: while the network does not answer, nobody is judged.

use histone_contracts::book::{Book, Model};
use histone_contracts::{Contract, Datasets, Enclaves, Rounds};
use histone_federation::header::RoundHeader;
use histone_network::StoreError;
use histone_protocol::record::Signed;
use histone_protocol::report::ValidationReport;
use histone_protocol::{Address, B256, U256};

use super::Node;
use crate::error::NodeError;

/// Evidence of one enclave that is looked for, beside what headers name.
const MOST_SHOWN: usize = 4;

/// Brings everything here that the donors of a model are judged by: the evidence of their enclaves and of those that validated their
/// data, reports and notices, headers, updates, and the shares that were opened. Fails when the network cannot be asked now; what
/// nobody has is left to the judges.
pub(super) async fn fetch(model: u64, book: &Book, node: &Node) -> Result<(), NodeError> {
    let Some(model) = book.models.get(&model) else { return Ok(()) };
    let ledger = &node.world.ledger;
    let about = Some(B256::from(U256::from(model.model)));
    let mut named: Vec<B256> = Vec::new();
    for enclave in enclaves(model, node).await? {
        let about = Some(enclave.into_word());
        let first = ledger.logged::<Enclaves::EnclaveRegistered>(Contract::Enclaves, about).await?;
        let later = ledger.logged::<Enclaves::EnclaveRefreshed>(Contract::Enclaves, about).await?;
        let shown =
            first.iter().map(|e| e.event.evidenceHash).chain(later.iter().map(|e| e.event.evidenceHash));
        let shown: Vec<B256> = shown.collect();
        // The newest, and what was newest a moment ago: an enclave that shows thousands keeps nobody busy with them.
        named.extend(shown.iter().rev().take(MOST_SHOWN));
    }
    for round in book.rounds.iter().filter(|r| r.model == model.model) {
        named.push(round.header_hash);
        if let Some(header) = ask(round.header_hash, node)?
            && let Ok(header) = RoundHeader::decode(&header)
        {
            named.extend(header.fields().cohort.iter().map(|donor| B256::from(donor.evidence)));
        }
        named.extend(round.anchors.iter().map(|anchor| anchor.blob));
    }
    let opened = ledger.logged::<Rounds::ShareOpened>(Contract::Rounds, about).await?;
    named.extend(opened.iter().map(|o| o.event.blobHash));
    for blob in named {
        ask(blob, node)?;
    }
    for (report, _) in validated(model, node).await? {
        if let Some(report) = ask(report, node)?
            && let Ok(report) = Signed::<ValidationReport>::from_bytes(&report)
            && let Ok((report, _)) = report.open()
        {
            ask(report.notice, node)?;
        }
    }
    Ok(())
}

/// A blob; `None` when nobody has it.
pub(super) fn ask(blob: B256, node: &Node) -> Result<Option<Vec<u8>>, NodeError> {
    match node.world.blobs.get(blob) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error @ (StoreError::Link { .. } | StoreError::Io { .. })) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

/// The enclaves of a model's donors, and those that validated their data.
async fn enclaves(model: &Model, node: &Node) -> Result<Vec<Address>, NodeError> {
    let mut enclaves: Vec<Address> = model.donors.iter().map(|d| d.enclave).collect();
    enclaves.extend(validated(model, node).await?.into_iter().map(|(_, enclave)| enclave));
    enclaves.sort_unstable();
    enclaves.dedup();
    Ok(enclaves)
}

/// The reports on the datasets of a model's donors, in all versions, and whose they are.
async fn validated(model: &Model, node: &Node) -> Result<Vec<(B256, Address)>, NodeError> {
    let ledger = &node.world.ledger;
    let mut validated = Vec::new();
    for donor in &model.donors {
        let about = Some(donor.dataset);
        let first = ledger.logged::<Datasets::DatasetRegistered>(Contract::Datasets, about).await?;
        let later = ledger.logged::<Datasets::DatasetUpdated>(Contract::Datasets, about).await?;
        validated.extend(first.iter().map(|e| (e.event.reportHash, e.event.enclave)));
        validated.extend(later.iter().map(|e| (e.event.reportHash, e.event.enclave)));
    }
    Ok(validated)
}
