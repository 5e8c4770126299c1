//! What everybody may know of a method, also of one that nobody but its author and its enclave can read.
//!
//! The manifest of a method of closed source is published beside its measurement. That it is the one in the module only the enclave
//! sees that runs it, and it looks: a believed enclave of a plan that names another manifest does not start.

use histone_protocol::B256;
use histone_protocol::hash::blob_hash;

use crate::manifest::{Manifest, ManifestError};
use crate::method::HostedMethod;
use crate::program::Program;

/// How the blob of a published manifest begins.
const BEGINNING: &[u8] = b"histone-manifest/1\n";

/// Measurement and manifest of a method.
#[derive(Debug, Clone)]
pub struct Described {
    measurement: B256,
    hash: B256,
    manifest: Manifest,
}

impl Described {
    /// What is published of a method of this measurement ([`published`]).
    pub fn read(measurement: B256, blob: &[u8]) -> Result<Self, ManifestError> {
        // What does not begin so is no manifest, as an empty one is none.
        let bytes = blob.strip_prefix(BEGINNING).unwrap_or_default();
        Ok(Self { measurement, hash: blob_hash(blob), manifest: Manifest::read(bytes)? })
    }

    /// Which method it is.
    pub fn measurement(&self) -> B256 {
        self.measurement
    }

    /// The hash of what is published of it, which the plan names.
    pub fn hash(&self) -> B256 {
        self.hash
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

impl From<&HostedMethod> for Described {
    fn from(method: &HostedMethod) -> Self {
        let program = method.program().program();
        let (measurement, hash) = (B256::from(program.measurement()), manifest_hash(program));
        Self { measurement, hash, manifest: method.manifest().clone() }
    }
}

/// The blob of a method's manifest, for those who cannot read the module.
pub fn published(program: &Program) -> Vec<u8> {
    [BEGINNING, program.manifest_bytes()].concat()
}

/// The hash of [`published`], which the plan of a closed method names.
pub fn manifest_hash(program: &Program) -> B256 {
    blob_hash(&published(program))
}
