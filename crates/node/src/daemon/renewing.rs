//! How a party keeps its enclaves believed: evidence ends, and a training or the sale of a model may take longer.
//!
//! At half of its age an enclave that is needed shows newer evidence, for the same keys, and is registered until that ends. An enclave
//! that has ended while this node was away comes back in the same way; what others have decided about it meanwhile stays.

use std::fmt;

use histone_contracts::book::{Book, Enclave, EnclaveState, Kind, ModelState};
use histone_protocol::Address;

use super::{Done, Node, Part};
use crate::error::NodeError;

#[derive(Default)]
pub(super) struct RenewingPart {
    renewed: Vec<Address>,
}

#[derive(Debug, Clone)]
pub(super) struct Duty {
    enclave: Address,
    kind: Kind,
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "show newer evidence of the {} enclave {}", self.kind, self.enclave)
    }
}

/// What an enclave is needed for.
enum Need {
    /// Nothing any more.
    None,
    /// What everybody may ask of it.
    All,
    /// A model.
    Model(u64),
}

/// What an enclave of this party is needed for: the newest that validates, those of donations and of all data as long as the model is not
/// made, and the one that answers for it.
fn need(enclave: &Enclave, book: &Book) -> Need {
    let own = |other: &&Enclave| (other.operator, other.kind) == (enclave.operator, enclave.kind);
    let used = |model: &&histone_contracts::book::Model| match (enclave.kind, model.state) {
        (Kind::Query, ModelState::Serving) => {
            model.servings.last().is_some_and(|serving| serving.enclave == enclave.signer)
        }
        (Kind::Training, ModelState::Recruiting | ModelState::Training) => {
            let donates =
                model.donors.iter().any(|d| d.enclave == enclave.signer && !d.use_ended && !d.excluded);
            donates || model.host.as_ref().is_some_and(|host| host.enclave == enclave.signer)
        }
        _ => false,
    };
    match enclave.kind {
        Kind::Validation if book.enclaves.iter().rfind(own).is_some_and(|e| e.signer == enclave.signer) => {
            Need::All
        }
        _ => book.models.iter().find(used).map_or(Need::None, |model| Need::Model(model.model)),
    }
}

/// Evidence is not renewed more often, however short its age is: each time costs a transaction and a document that stays.
const LEAST: u64 = 300;

/// Seconds after which evidence is renewed: half of what the paper, or the network, lets it be old.
fn half_age(need: &Need, book: &Book, node: &Node) -> u64 {
    let network = node.world.appraisal.max_age();
    let paper = match need {
        Need::Model(model) => {
            book.models.get(model).and_then(|m| node.world.read_paper(m.white_paper_hash).ok())
        }
        _ => None,
    };
    (paper.map_or(network, |(paper, _)| network.min(paper.appraisal.max_age_seconds)) / 2).max(LEAST)
}

impl RenewingPart {
    /// The enclaves that have newer evidence since this was asked last: what runs of them takes it when it is started again.
    pub(super) fn renewed(&mut self) -> Vec<Address> {
        std::mem::take(&mut self.renewed)
    }
}

impl Part for RenewingPart {
    type Duty = Duty;
    const LOOK: &'static str = "see whose evidence ends";

    async fn duties(&mut self, book: &Book, node: &Node, now: u64) -> Result<Vec<Duty>, NodeError> {
        let own = node.party.account();
        let mut duties = Vec::new();
        for enclave in book.enclaves.iter().filter(|e| e.operator == own) {
            // What has begun goes on although its author or an auditor has revoked the program; what the members disallow does not.
            let allowed = book.programs.get(&enclave.measurement).is_some_and(|program| program.allowed);
            if enclave.state == EnclaveState::Revoked || !allowed {
                continue;
            }
            let need = need(enclave, book);
            if matches!(need, Need::None) {
                continue;
            }
            // An account may run an enclave without this node.
            let Some((identity, made)) = node.party.evidence_of(enclave.signer)? else { continue };
            let shown = histone_protocol::hash::blob_hash(identity.evidence()) == enclave.evidence_hash;
            let due = made + half_age(&need, book, node);
            if due <= now.max(book.head.time) || !shown {
                duties.push(Duty { enclave: enclave.signer, kind: enclave.kind });
            } else {
                node.soon.at(due);
            }
        }
        Ok(duties)
    }

    async fn perform(&mut self, Duty { enclave, .. }: Duty, node: &Node, _: u64) -> Result<Done, NodeError> {
        let Some(device) = node.device()? else { return Ok(Done::NotYet) };
        let now = node.world.ledger.time().await?;
        let book = node.world.ledger.current_book().await?;
        let (Some(row), Some((kept, made))) = (book.enclaves.get(&enclave), node.party.evidence_of(enclave)?)
        else {
            return Ok(Done::NotYet);
        };
        let kept_is_newer = histone_protocol::hash::blob_hash(kept.evidence()) != row.evidence_hash;
        let identity = match kept_is_newer && now < made + half_age(&need(row, &book), &book, node) {
            // Made before this process was started, and not registered.
            true => kept,
            false => node.party.renew_evidence(enclave, &device, now)?,
        };
        node.world.renew_enclave(&identity, &node.party.key).await?;
        self.renewed.push(enclave);
        // Nobody waits for it: a run in which nothing else happens stands still.
        Ok(Done::Here)
    }
}
