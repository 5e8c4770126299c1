// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Signed} from "./Signed.sol";

/// @title Checks what persons and organizations sign, so that somebody else can send it and pay for the gas.
/// @notice The signer is an account of any kind: a key of its own, or a contract which is asked by ERC-1271, as
/// multi-signature wallets and passkey accounts are. An account with code is always asked; a key which lent itself the
/// code of a contract (EIP-7702) answers with that code. Same domain as the receipts of enclaves.
///
/// A consent ends with its deadline, and each kind of it can be used once for its own reason: a dataset is withdrawn
/// once, and donated once to a model. So no counter has to be kept, and consents do not have to be used in order.
abstract contract Consent is Signed {
    /// @notice The deadline of the consent has passed.
    error ConsentExpired(uint256 deadline);
    /// @notice The signature is not by this account, or it is over something else.
    error NotConsented(address account);

    // `deadline` is in unix seconds; the consent counts until the end of it.
    function _checkConsent(address account, uint256 deadline, bytes32 structHash, bytes calldata signature)
        internal
        view
    {
        if (block.timestamp > deadline) revert ConsentExpired(deadline);
        if (!SignatureChecker.isValidSignatureNowCalldata(account, _hashTypedDataV4(structHash), signature)) {
            revert NotConsented(account);
        }
    }
}
