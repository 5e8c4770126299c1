//! Receipts: EIP-712 typed data that an enclave signs and a contract checks.
//!
//! The domain is `("Histone", "1", chain id, contract)`, so a receipt for one chain or contract is void on another;
//! model, round, dataset and code are in the structs, so it is void for another of those too.

use alloy_primitives::{Address, B256};
use alloy_sol_types::{Eip712Domain, SolStruct, sol};

use crate::keys::{SignatureBytes, SigningKey};

sol! {
    /// An enclave agrees to be registered by `operator`.
    #[derive(Debug, PartialEq, Eq)]
    struct EnclaveRegistration {
        address operator;
        bytes32 sealKey;
        bytes32 measurement;
        uint8 platform;
        bytes32 evidenceHash;
        uint64 expiresAt;
    }

    /// A validation enclave has looked at a dataset of `owner`, which is new (0) or another version of `replaces`.
    #[derive(Debug, PartialEq, Eq)]
    struct ValidationReceipt {
        address owner;
        bytes32 root;
        bytes32 reportHash;
        uint32 rows;
        uint8 quality;
        bytes32 replaces;
    }

    /// A training enclave holds version `root` of a dataset for a model; `payee` is paid, `decision` allows it.
    #[derive(Debug, PartialEq, Eq)]
    struct DonationReceipt {
        uint256 modelId;
        bytes32 datasetId;
        bytes32 root;
        address payee;
        bytes32 decision;
    }

    /// A training enclave has made one encrypted update for one round.
    #[derive(Debug, PartialEq, Eq)]
    struct UpdateReceipt {
        uint256 modelId;
        uint32 round;
        bytes32 headerHash;
        bytes32 blobHash;
        uint16 donorIndex;
    }

    /// A training enclave has opened the sum of a sealed round: what it led to, by names that are keyed by the sum.
    #[derive(Debug, PartialEq, Eq)]
    struct StateReceipt {
        uint256 modelId;
        uint32 round;
        bytes32 headerHash;
        bytes32 survivorsHash;
        bytes32 state;
        bytes32 next;
        bytes wrongSeats;
        uint16 donorIndex;
    }

    /// The enclave of an accused donor has opened the one share that a member calls unreadable.
    #[derive(Debug, PartialEq, Eq)]
    struct ShareOpening {
        uint256 modelId;
        uint32 round;
        bytes32 headerHash;
        uint16 donorIndex;
        address member;
        bytes32 blobHash;
    }

    /// The one enclave that had the data of all donors has made the model; the donors in `unused` had left before.
    #[derive(Debug, PartialEq, Eq)]
    struct HostedTraining {
        uint256 modelId;
        bytes32 modelHash;
        bytes32 statementHash;
        uint16[] unused;
    }

    /// A query enclave has answered one paid query. The sealed answer is a part of what it signs, so that nobody is paid for
    /// one that is kept back.
    #[derive(Debug, PartialEq, Eq)]
    struct QueryReceipt {
        bytes32 queryId;
        uint256 modelId;
        bytes32 jobId;
        bytes32 outputHash;
        bytes answer;
    }
}

/// The signing domain of one contract on one chain.
pub fn domain(chain_id: u64, contract: Address) -> Eip712Domain {
    Eip712Domain::new(
        Some("Histone".into()),
        Some("1".into()),
        Some(alloy_primitives::U256::from(chain_id)),
        Some(contract),
        None,
    )
}

/// Signs a receipt for the contract of `domain`.
pub fn sign<T: SolStruct>(receipt: &T, domain: &Eip712Domain, key: &SigningKey) -> SignatureBytes {
    key.sign(digest(receipt, domain))
}

/// What is signed, for a reader who checks the signer himself.
pub fn digest<T: SolStruct>(receipt: &T, domain: &Eip712Domain) -> B256 {
    receipt.eip712_signing_hash(domain)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_receipt_is_void_elsewhere() {
        let key = SigningKey::from_bytes(&[5; 32]).unwrap();
        let receipt = UpdateReceipt {
            modelId: alloy_primitives::U256::from(1),
            round: 2,
            headerHash: B256::repeat_byte(3),
            blobHash: B256::repeat_byte(4),
            donorIndex: 5,
        };
        let here = domain(31_337, Address::repeat_byte(6));
        let signature = sign(&receipt, &here, &key);
        assert_eq!(signature.recover(digest(&receipt, &here)).unwrap(), key.address());
        for elsewhere in [domain(31_338, Address::repeat_byte(6)), domain(31_337, Address::repeat_byte(7))] {
            assert_ne!(signature.recover(digest(&receipt, &elsewhere)).unwrap(), key.address());
        }
        let mut other = receipt.clone();
        other.round = 3;
        assert_ne!(signature.recover(digest(&other, &here)).unwrap(), key.address());
    }
}
