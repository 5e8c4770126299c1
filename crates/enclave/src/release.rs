//! What is released of a sealed training: one document, once.

use histone_federation::BoxError;
use histone_federation::training::{Finished, Names};
use histone_program_sdk::method::Fact;
use histone_program_sdk::wire;
use histone_program_sdk::wire::Wire;
use histone_protocol::B256;
use histone_protocol::hash::blob_hash;

use crate::manifest::Manifest;
use crate::method::Step;

wire! {
    /// The layout of [`Released`].
    #[derive(Debug, Clone, PartialEq)]
    struct Layout {
        version: u8,
        model: Vec<u8>,
        facts: Vec<Fact>,
    }
}

/// What everybody gets of a sealed training. More than half of the enclaves in the last sum have signed the hash of its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Released {
    /// Blob of the model: as it is, or under its key.
    pub model: B256,
    /// What is said of the training.
    pub facts: Vec<Fact>,
}

impl Released {
    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        Layout { version: 1, model: self.model.to_vec(), facts: self.facts.clone() }.to_bytes()
    }

    /// The name of the document: the hash of its blob.
    pub fn hash(&self) -> B256 {
        blob_hash(&self.to_bytes())
    }

    /// Reads a document.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BoxError> {
        let read = Layout::from_bytes(bytes)?;
        let model: [u8; 32] = read.model.as_slice().try_into().map_err(|_| "its model has no hash")?;
        let released = Self { model: model.into(), facts: read.facts };
        match read.version == 1 && released.to_bytes() == bytes {
            true => Ok(released),
            false => Err("it is no release of a training".into()),
        }
    }
}

/// What is released of a finished training: the facts that its manifest declares, with the blob of the model: as it is, or under its key. Every enclave that followed the
/// training gives the same bytes, so that nothing is lost with one of them.
pub fn released(finished: &Finished, manifest: &Manifest) -> (Released, Vec<u8>) {
    // The configuration of a model is that of its plan, whatever its method says.
    let config = &finished.model.config;
    let facts = manifest.declared(&finished.facts, finished.key.is_none(), config);
    let model = match &finished.key {
        None => finished.model.to_bytes(),
        Some(key) => key.seal(&finished.model),
    };
    (Released { model: blob_hash(&model), facts }, model)
}

/// How the ledger names what a sealed round led to.
pub fn names(step: &Step, manifest: &Manifest) -> Names {
    match step {
        Step::Finished(finished) => {
            Names { state: finished.hash(), next: released(finished, manifest).0.hash().0 }
        }
        step => step.names(),
    }
}
