//! Sketches pass from one validation enclave to another, and nowhere else.
//!
//! Both appraise each other: who gives, so that nobody else reads the key; who takes, so that nobody feeds it sketches
//! under a key of his own. A message is the giver's signature (65 bytes) and the index, sealed to the taker, both bound to
//! ledger, program and the two enclaves.

use histone_attestation::{AppraisalPolicy, Attested, Expected, appraise};
use histone_contracts::LedgerView;
use histone_protocol::hash::tagged_hash;
use histone_protocol::keys::SignatureBytes;
use histone_protocol::program::ProgramKind;
use histone_protocol::{Address, B256};
use zeroize::Zeroizing;

use super::{ValidationEnclave, init_data};
use crate::cohort::enclave;
use crate::instance::EnclaveError;
use crate::sketch::index::Index;

const INFO: &str = "histone/sketch-hand-over/v1";
const SIGNATURE: usize = 65;

/// Another validation enclave, as the ledger and public storage know it.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    /// The account of its receipts.
    pub signer: Address,
    /// Its evidence.
    pub evidence: &'a [u8],
}

impl ValidationEnclave {
    /// Gives the sketches and their key to another validation enclave, of the same program on the same platform, alive on
    /// this ledger.
    pub async fn hand_over(
        &self,
        to: Peer<'_>,
        policy: &AppraisalPolicy,
        ledger: &impl LedgerView,
    ) -> Result<Vec<u8>, EnclaveError> {
        let to = self.appraise(to, policy, ledger).await?;
        let index = Zeroizing::new(self.sketches().index.encode());
        let aad = self.bound(self.instance.keys().receipt, to.keys().receipt, to.evidence_hash(), ledger);
        let sealed = to.keys().seal.seal(INFO, aad.as_slice(), &index, self.instance.secret())?;
        let signature = self.instance.receipt_key().sign(signed(aad, &sealed));
        Ok([signature.as_slice(), &sealed].concat())
    }

    /// Takes the sketches that another validation enclave handed over to this one. Gives how many were new. An enclave that
    /// has sketches under another key takes none.
    pub async fn take_over(
        &self,
        message: &[u8],
        from: Peer<'_>,
        policy: &AppraisalPolicy,
        ledger: &impl LedgerView,
    ) -> Result<usize, EnclaveError> {
        let from = self.appraise(from, policy, ledger).await?;
        let giver = from.keys().receipt;
        let malformed = || EnclaveError::Request("it is no hand-over of sketches by that enclave");
        let (signature, sealed) = message.split_at_checked(SIGNATURE).ok_or_else(malformed)?;
        let index = Zeroizing::new(self.instance.under_each(|own| {
            let aad = self.bound(giver, self.instance.keys().receipt, own, ledger);
            let signer = SignatureBytes::from_slice(signature).and_then(|s| s.recover(signed(aad, sealed)));
            if signer != Ok(giver) {
                return Err(malformed());
            }
            Ok(self.instance.seal_key().open(INFO, aad.as_slice(), sealed)?)
        })?);
        let index = Index::decode(&index).map_err(|_| malformed())?;
        self.change(|own| {
            own.merge(index).ok_or(EnclaveError::Request(
                "this enclave has sketches under another key; only one without any takes those of another",
            ))
        })
    }

    async fn appraise(
        &self,
        peer: Peer<'_>,
        policy: &AppraisalPolicy,
        ledger: &impl LedgerView,
    ) -> Result<Attested, EnclaveError> {
        let Peer { signer, evidence } = peer;
        let facts = enclave(signer, ProgramKind::Validation, ledger).await?;
        if !facts.live {
            return Err(EnclaveError::Request("the other is no live validation enclave of this ledger"));
        }
        let expected = Expected {
            operator: facts.operator,
            keys: facts.keys,
            evidence_hash: facts.evidence_hash,
            measurement: self.instance.measurement(),
            init_data: init_data(),
            platform: self.instance.platform().code(),
        };
        appraise(evidence, &expected, policy, ledger.time().await?).map_err(EnclaveError::Peer)
    }

    fn bound(&self, giver: Address, taker: Address, taker_evidence: B256, ledger: &impl LedgerView) -> B256 {
        let id = ledger.deployment().id();
        let (chain, measurement) = (id.chain_id.to_le_bytes(), self.instance.measurement());
        let parts: [&[u8]; 6] = [
            &chain,
            id.contract.as_slice(),
            measurement.as_slice(),
            giver.as_slice(),
            taker.as_slice(),
            taker_evidence.as_slice(),
        ];
        tagged_hash(INFO, &parts)
    }
}

fn signed(aad: B256, sealed: &[u8]) -> B256 {
    tagged_hash("histone/sketch-hand-over-signed/v1", &[aad.as_slice(), sealed])
}
