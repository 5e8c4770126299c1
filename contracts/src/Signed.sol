// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

/// @title Checks what enclaves sign.
/// @notice Every receipt is EIP-712 typed data in the domain "Histone", version "1", of this chain and of the contract
/// that checks it: a receipt for one place is worth nothing in another.
abstract contract Signed is EIP712("Histone", "1") {
    /// @notice The signature is by `recovered` and not by `expected`, or it is over something else.
    error BadSignature(address expected, address recovered);

    // The key is made inside the enclave and is a plain secp256k1 key, whatever wallet its operator has. Asking a
    // contract (ERC-1271) instead would let somebody outside decide what an enclave signed, and cost every receipt the
    // look whether there is one. What persons and organizations sign is checked in `Consent`.
    function _checkSignature(address expected, bytes32 structHash, bytes calldata signature) internal view {
        address recovered = ECDSA.recoverCalldata(_hashTypedDataV4(structHash), signature);
        if (recovered != expected) revert BadSignature(expected, recovered);
    }
}
