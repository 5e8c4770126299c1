//! What an enclave that has the data of all keeps with its operator, encrypted: datasets, and what came of them.

use histone_federation::sealed::ModelKey;
use histone_federation::training::Finished;
use histone_program_sdk::method::Fact;
use histone_program_sdk::model::Model;
use histone_program_sdk::wire;
use histone_program_sdk::wire::{Wire, WireError};
use histone_protocol::dataset::SealedKey;
use histone_protocol::report::UsedData;
use histone_protocol::{Address, B256};
use zeroize::Zeroizing;

use super::Ended;
use crate::instance::SealedDataset;

wire! {
    /// The layout of a dataset as it is kept.
    #[derive(Debug, Clone, PartialEq)]
    struct KeptDataset {
        version: u8,
        id: Vec<u8>,
        owner: Vec<u8>,
        root: Vec<u8>,
        key: Vec<u8>,
        ciphertext: Vec<u8>,
    }
}

wire! {
    /// The layout of what came of a training.
    #[derive(Debug, Clone, PartialEq)]
    struct KeptOutcome {
        version: u8,
        /// None when there is no model.
        finished: Vec<KeptModel>,
        used: Vec<KeptUse>,
        unused: Vec<u32>,
        given: Vec<Vec<u8>>,
        evaluations: Vec<Vec<u8>>,
    }
}

wire! {
    /// The layout of a model as it is kept.
    #[derive(Debug, Clone, PartialEq)]
    struct KeptModel {
        model: Vec<u8>,
        facts: Vec<Fact>,
        rounds: u32,
        /// Empty where the model is public.
        key: Vec<u8>,
    }
}

wire! {
    /// The layout of a donor whose data was used.
    #[derive(Debug, Clone, PartialEq)]
    struct KeptUse {
        donor: u32,
        dataset: Vec<u8>,
        root: Vec<u8>,
    }
}

/// The bytes to keep.
pub(super) fn encode(dataset: &SealedDataset) -> Zeroizing<Vec<u8>> {
    let kept = KeptDataset {
        version: 1,
        id: dataset.id.to_vec(),
        owner: dataset.owner.to_vec(),
        root: dataset.root.to_vec(),
        key: dataset.key.as_bytes().to_vec(),
        ciphertext: dataset.ciphertext.clone(),
    };
    Zeroizing::new(kept.to_bytes())
}

/// Reads what [`encode`] made.
pub(super) fn decode(bytes: &[u8]) -> Result<SealedDataset, WireError> {
    let kept = KeptDataset::from_bytes(bytes)?;
    if kept.version != 1 {
        return Err(WireError::Invalid("version"));
    }
    Ok(SealedDataset {
        id: hash(&kept.id)?,
        owner: Address::try_from(kept.owner.as_slice()).map_err(|_| WireError::Invalid("account"))?,
        root: hash(&kept.root)?,
        replaces: B256::ZERO,
        key: SealedKey::from_bytes(kept.key),
        ciphertext: kept.ciphertext,
    })
}

fn hash(bytes: &[u8]) -> Result<B256, WireError> {
    B256::try_from(bytes).map_err(|_| WireError::Invalid("hash"))
}

impl Ended {
    /// The bytes to keep.
    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let model = |f: &Finished| KeptModel {
            model: f.model.to_bytes(),
            facts: f.facts.clone(),
            rounds: f.rounds,
            key: f.key.as_ref().map(|key| key.as_bytes().to_vec()).unwrap_or_default(),
        };
        let used = |u: &UsedData| KeptUse {
            donor: u.donor.into(),
            dataset: u.dataset.to_vec(),
            root: u.root.to_vec(),
        };
        let kept = KeptOutcome {
            version: 1,
            finished: self.finished.iter().map(model).collect(),
            used: self.used.iter().map(used).collect(),
            unused: self.unused.iter().map(|&donor| donor.into()).collect(),
            given: self.given.iter().map(|id| id.to_vec()).collect(),
            evaluations: self.evaluations.clone(),
        };
        Zeroizing::new(kept.to_bytes())
    }

    /// Reads what [`Ended::encode`] made.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let kept = KeptOutcome::from_bytes(bytes)?;
        if kept.version != 1 {
            return Err(WireError::Invalid("version"));
        }
        let donor = |donor: u32| u16::try_from(donor).map_err(|_| WireError::Invalid("number of a donor"));
        let model = |kept: KeptModel| {
            let key = match kept.key.as_slice() {
                [] => None,
                key => Some(key.try_into().map_err(|_| WireError::Invalid("key of a model"))?),
            };
            Ok::<_, WireError>(Finished {
                model: Model::from_bytes(&kept.model)?,
                facts: kept.facts,
                rounds: kept.rounds,
                key: key.map(ModelKey::from_bytes),
            })
        };
        let used = |kept: KeptUse| {
            let (dataset, root) = (hash(&kept.dataset)?, hash(&kept.root)?);
            Ok::<_, WireError>(UsedData { donor: donor(kept.donor)?, dataset, root })
        };
        Ok(Self {
            finished: kept.finished.into_iter().next().map(model).transpose()?,
            used: kept.used.into_iter().map(used).collect::<Result<_, _>>()?,
            unused: kept.unused.into_iter().map(donor).collect::<Result<_, _>>()?,
            given: kept.given.iter().map(|id| hash(id)).collect::<Result<_, _>>()?,
            evaluations: kept.evaluations,
        })
    }
}
