//! To whom a member seals its partial sum.

use histone_contracts::{Contract, Members, roles};
use histone_enclave::cohort::Moment;
use histone_federation::committee::Prepared;
use histone_federation::header::RoundHeader;
use histone_federation::sealed::{Reader, SealedPartial};
use histone_federation::update::Hpke;
use histone_protocol::plan::PlanDocument;
use histone_protocol::{Address, B256, U256};

use super::CommitteeMember;
use crate::error::NodeError;
use crate::plan;
use crate::world::World;

impl CommitteeMember {
    /// Seals a partial sum to the enclaves of its header that this member believes now, and to the auditors of the plan.
    pub(super) async fn seal(
        &mut self,
        header: &RoundHeader,
        prepared: Prepared,
        world: &World,
    ) -> Result<Prepared<SealedPartial>, NodeError> {
        let model_id: u64 = U256::from_be_bytes(header.fields().model_id).saturating_to();
        let now = Moment::now(&world.ledger).await?;
        let watch = self.watch(model_id, world).await?;
        let believed = watch.cohort(now, &world.evidence(), &world.ledger).await?.believed;
        let in_round = |keys: Address| header.fields().cohort.iter().any(|d| d.enclave == keys.into_array());
        let mut readers: Vec<Reader> = believed
            .iter()
            .map(|place| place.enclave.keys)
            .filter(|keys| in_round(keys.receipt))
            .map(|keys| Reader { address: keys.receipt.into_array(), seal_key: keys.seal.0.0 })
            .collect();
        let plan = plan::of_model(model_id, world).await?;
        for (account, key) in auditors(&plan, world).await? {
            // Whoever lacks a key reads nothing; nobody else waits for it.
            readers.extend(key.map(|key| Reader { address: account.into_array(), seal_key: key.0 }));
        }
        Ok(prepared.seal(header, &readers, &Hpke, self.party.root()))
    }
}

/// The auditors of a plan with their keys; none for one that the ledger does not know as an auditor and nothing else, or whose
/// key it does not have.
pub(crate) async fn auditors(
    plan: &PlanDocument,
    world: &World,
) -> Result<Vec<(Address, Option<B256>)>, NodeError> {
    let mut auditors = Vec::new();
    for &account in &plan.disclosure.auditors {
        let member = world.ledger.read(Contract::Members, Members::memberCall { account }).await?;
        let reads = roles::audits_apart(member.roles) && !member.sealKey.is_zero();
        let key = reads.then_some(member.sealKey);
        auditors.push((account, key));
    }
    Ok(auditors)
}
