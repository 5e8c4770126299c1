// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title What the owner of a dataset signs to have it donated by somebody else: the EIP-712 type of this name.
/// @param modelId A model that recruits.
/// @param datasetId A dataset of the signer.
/// @param root The version of it that is meant.
/// @param payee Account to be paid.
/// @param decision Hash of the owner's recorded decision that allows it.
/// @param enclave The training enclave which has the data.
/// @param deadline Unix seconds; the consent counts until then.
struct DonationConsent {
    uint256 modelId;
    bytes32 datasetId;
    bytes32 root;
    address payee;
    bytes32 decision;
    address enclave;
    uint256 deadline;
}

/// @title What the one enclave that has the data of all donors signs when it has made the model: the EIP-712 type of this
/// name.
/// @param modelId A model in training.
/// @param modelHash Hash of the trained model.
/// @param statementHash Hash of what the enclave says about it: whose data it used, and that it has destroyed all of it.
/// @param unused Donors whose data it did not use, because their use had ended, ascending.
struct HostedTraining {
    uint256 modelId;
    bytes32 modelHash;
    bytes32 statementHash;
    uint16[] unused;
}

/// @title The EIP-712 struct hashes of what is signed for the market.
library Receipts {
    bytes32 private constant DONATION =
        keccak256("DonationReceipt(uint256 modelId,bytes32 datasetId,bytes32 root,address payee,bytes32 decision)");
    bytes32 private constant CONSENT = keccak256(
        "DonationConsent(uint256 modelId,bytes32 datasetId,bytes32 root,address payee,bytes32 decision,address enclave,uint256 deadline)"
    );
    bytes32 private constant HOSTED =
        keccak256("HostedTraining(uint256 modelId,bytes32 modelHash,bytes32 statementHash,uint16[] unused)");
    bytes32 private constant QUERY =
        keccak256("QueryReceipt(bytes32 queryId,uint256 modelId,bytes32 jobId,bytes32 outputHash,bytes answer)");

    /// @notice A training enclave has this version of the data.
    function donation(uint256 modelId, bytes32 datasetId, bytes32 root, address payee, bytes32 decision)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(DONATION, modelId, datasetId, root, payee, decision));
    }

    /// @notice The owner wants this donation.
    function consent(DonationConsent calldata c) internal pure returns (bytes32) {
        return keccak256(abi.encode(CONSENT, c));
    }

    /// @notice The one enclave that has the data of all donors has made the model.
    function hosted(HostedTraining calldata t) internal pure returns (bytes32) {
        // Packed, each element of an array is padded to a word, as EIP-712 asks.
        bytes32 unused = keccak256(abi.encodePacked(t.unused));
        return keccak256(abi.encode(HOSTED, t.modelId, t.modelHash, t.statementHash, unused));
    }

    /// @notice A query enclave answered.
    function query(bytes32 queryId, uint256 modelId, bytes32 jobId, bytes32 outputHash, bytes calldata answer)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(QUERY, queryId, modelId, jobId, outputHash, keccak256(answer)));
    }
}
