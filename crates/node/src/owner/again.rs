//! An owner that comes back after its process ended, with its training enclave.
//!
//! Nearly all of it is there already: keys derive from the root, the tables lie encrypted in the directory, and the ledger has the
//! donation, the policy and the plan. What is kept beside that is the key as it was released to the enclave, and what the enclave has said.

use histone_contracts::{Contract, Datasets, Market};
use histone_enclave::engine::LoadedProgram;
use histone_enclave::instance::SealedDataset;
use histone_enclave::training::{self, KeptUpdate, TrainingEnclave};
use histone_federation::header::RoundHeader;
use histone_genome::table::Table;
use histone_protocol::agreement::StateStatement;
use histone_protocol::commitment::dataset_root;
use histone_protocol::consent::ConsentPolicy;
use histone_protocol::dataset::{KeyBundle, SealedKey};
use histone_protocol::hash::blob_hash;
use histone_protocol::keys::SignatureBytes;
use histone_protocol::record::Signed;
use histone_protocol::{Address, B256, U256};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

use super::{Encrypted, Owner, Participation, Place, Schema, dataset_file};
use crate::committee::shown_blob;
use crate::error::NodeError;
use crate::party::Party;
use crate::plan;
use crate::world::World;

/// What is kept of a dataset that was added: where its version lies, and under which terms.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Added {
    name: B256,
    root: B256,
    policy: ConsentPolicy,
}

const ADDED: &str = "added-";

impl Owner {
    /// Keeps which dataset this is, so that [`Owner::reopen`] finds it.
    pub fn keep(&self) -> Result<(), NodeError> {
        let added = Added { name: self.table.name, root: self.table.root, policy: self.policy.clone() };
        let bytes = serde_json::to_vec(&added).map_err(|e| NodeError::Message(e.to_string()))?;
        Ok(self.party.keep(&added_file(self.dataset), &bytes)?)
    }

    /// The datasets that were added in a party's directory.
    pub fn added(party: &Party) -> Result<Vec<B256>, NodeError> {
        let names = party.storage().names(ADDED).map_err(|e| NodeError::Message(e.to_string()))?;
        Ok(names
            .iter()
            .filter_map(|name| name.strip_prefix(ADDED)?.strip_suffix(".json")?.parse().ok())
            .collect())
    }

    /// Opens a dataset that was added before, as it lies in the party's directory; what it takes part in is not looked at.
    pub fn reopen(party: Party, dataset: B256) -> Result<Self, NodeError> {
        let file = added_file(dataset);
        let damaged = || NodeError::Message(format!("`{file}` of `{}` is not there or damaged", party.name));
        let kept = party.recall(&file)?.ok_or_else(damaged)?;
        let Added { name, root, policy } = serde_json::from_slice(&kept).map_err(|_| damaged())?;
        let table = read(&party, name, root)?;
        Ok(Self { party, policy, table, dataset, participation: None, considered: BTreeMap::new() })
    }

    /// Starts an owner again that has donated to a model from an enclave of its own, by its directory, the ledger and public storage. The
    /// enclave stands before the first round; which sums it has to open again are its duties.
    pub async fn resume(
        party: Party,
        model_id: u64,
        program: LoadedProgram,
        world: &World,
    ) -> Result<Self, NodeError> {
        let ledger = &world.ledger;
        let about = Some(B256::from(U256::from(model_id)));
        let mut own = None;
        for donated in ledger.logged::<Market::Donated>(Contract::Market, about).await? {
            if let Some(kept) = party.recall(&released_key(donated.event.enclave))? {
                own = Some((donated.event, kept));
            }
        }
        let (donation, kept) = own.ok_or_else(|| {
            NodeError::Message(format!(
                "`{}` has kept no donation to model {model_id} from an enclave of its own",
                party.name
            ))
        })?;
        let (name, key) = kept.split_first_chunk().ok_or_else(|| {
            NodeError::Message(format!("the kept `{}` is damaged", released_key(donation.enclave)))
        })?;
        let table = read(&party, B256::from(*name), donation.root)?;
        let (owner, dataset) = (party.account(), donation.datasetId);
        let plan = plan::of_model(model_id, world).await?;
        let init_data = training::init_data(ledger.deployment(), model_id, plan.hash());
        let instance = party.resume_enclave(program, donation.enclave, init_data)?;
        let sealed = SealedDataset {
            id: dataset,
            owner,
            root: donation.root,
            replaces: B256::ZERO,
            ciphertext: table.ciphertext.clone(),
            key: SealedKey::from_bytes(key.to_vec()),
        };
        let decision = shown_blob(donation.decision, world, || "the decision behind the donation".into())?;
        let cohort = world.cohort_policy(model_id).await?;
        let mut enclave =
            TrainingEnclave::resume(instance, &plan, model_id, &sealed, &decision, cohort, ledger).await?;
        for (round, header, kept) in updates(&party, model_id)? {
            let Some((signature, blob)) = kept.split_at_checked(65) else { continue };
            let Ok(signature) = SignatureBytes::from_slice(signature) else { continue };
            // Those of a model of the same number on another ledger are none of its own.
            let update = KeptUpdate { round, header, blob: blob_hash(blob), signature };
            enclave.remember(update, donation.donorIndex, ledger);
        }
        let policy = ledger.read(Contract::Datasets, Datasets::datasetCall { id: dataset }).await?.policyHash;
        let policy = shown_blob(policy, world, || "the consent policy of the dataset".into())?;
        let (policy, _) = Signed::<ConsentPolicy>::from_bytes(&policy)?.open()?;
        let payee = party.payee(ledger.deployment().id(), model_id)?;
        // What was updated since then is the current version, and the enclave has the one that was donated.
        let current = match party.recall(&added_file(dataset))? {
            Some(_) => Self::reopen(party.clone(), dataset)?.table,
            None => table,
        };
        let (donor, place) = (donation.donorIndex, Place::Own(Box::new(enclave)));
        let participation = Some(Participation { model_id, donor, payee, place });
        Ok(Self {
            party,
            policy,
            table: current,
            dataset,
            participation,
            considered: BTreeMap::from([(model_id, plan)]),
        })
    }

    /// Keeps the key that was released to an enclave, with the version of the table that it opens: both are of use to that enclave alone.
    pub(super) fn keep_released(&self, enclave: Address, sealed: &SealedDataset) -> Result<(), NodeError> {
        let kept = [self.table.name.as_slice(), sealed.key.as_bytes()].concat();
        Ok(self.party.keep(&released_key(enclave), &kept)?)
    }

    /// What the enclave has said of a round for the first time: that is said again, although more partial sums may be there by now.
    pub(super) fn said_first(
        &self,
        header: &RoundHeader,
        statement: StateStatement,
    ) -> Result<StateStatement, NodeError> {
        let name = format!("said-{:x}.json", B256::from(header.hash()));
        let damaged =
            |e| NodeError::Message(format!("the kept statement `{name}` is damaged: {e}; remove it"));
        let bytes = serde_json::to_vec(&statement).map_err(damaged)?;
        serde_json::from_slice(&self.party.keep_first(&name, bytes)?).map_err(damaged)
    }
}

fn added_file(dataset: B256) -> String {
    format!("{ADDED}{dataset:x}.json")
}

/// The file of a released key.
fn released_key(enclave: Address) -> String {
    format!("released-key-{enclave:x}")
}

/// A version of the table as it lies in the directory.
pub(super) fn read(party: &Party, name: B256, root: B256) -> Result<Encrypted, NodeError> {
    let file = dataset_file(name);
    let gone = |what: &str| {
        NodeError::Message(format!("`{file}{what}`, which the enclave had, is not there or damaged"))
    };
    let key = Zeroizing::new(party.recall(&format!("{file}.key"))?.ok_or_else(|| gone(".key"))?);
    let keys = KeyBundle::from_bytes(key.as_slice().try_into().map_err(|_| gone(".key"))?);
    let ciphertext = party.recall(&format!("{file}.sealed"))?.ok_or_else(|| gone(".sealed"))?;
    let plain = keys.data.decrypt(&ciphertext).map_err(|_| gone(".sealed"))?;
    let table = Table::decode(&plain).map_err(|_| gone(".sealed"))?;
    if dataset_root(&keys.salt, table.leaves()) != root {
        return Err(gone(".sealed"));
    }
    Ok(Encrypted { schema: Schema::of(&table), keys, ciphertext, root, name, file })
}

/// Rounds that were answered in a model of this number, each with the hash of its header and what was kept.
fn updates(party: &Party, model_id: u64) -> Result<Vec<(u32, B256, Vec<u8>)>, NodeError> {
    let beginning = format!("update-{model_id}-");
    let names = party.storage().names(&beginning).map_err(|e| NodeError::Message(e.to_string()))?;
    let mut updates = Vec::new();
    for name in names {
        let parts = name.strip_prefix(&beginning).and_then(|rest| rest.strip_suffix(".bin")?.split_once('-'));
        let Some((round, header)) = parts else { continue };
        let (Ok(round), Ok(header)) = (round.parse(), header.parse()) else { continue };
        if let Some(kept) = party.recall(&name)? {
            updates.push((round, header, kept));
        }
    }
    Ok(updates)
}
