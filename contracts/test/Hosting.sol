// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "./Base.sol";
import {Market} from "../src/Market.sol";
import {HostedTraining} from "../src/Receipts.sol";

/// The steps of a training whose data is all brought to one enclave.
abstract contract Hosting is Base {
    bytes32 internal constant STATEMENT = keccak256("statement");
    // The enclave that all data is brought to, by its number.
    uint256 internal constant HOST = 900;

    uint16[] internal nobody;

    function hostedTerms() internal pure returns (Market.Terms memory t) {
        t = terms();
        t.colluders = 0;
    }

    function proposeHosted(Market.Terms memory t) internal returns (uint256 modelId) {
        address enclave = trainingEnclave(HOST);
        modelId = propose(t);
        vm.startPrank(trainer);
        market.host(modelId, enclave);
        vm.stopPrank();
    }

    /// A new dataset of a new owner, brought to the host.
    function donateToHost(uint256 modelId, uint256 n, uint32 weight) internal returns (uint16 index) {
        (address owner, bytes32 id) = addDataset(n, weight, 1);
        return bring(modelId, owner, id, n);
    }

    function bring(uint256 modelId, address owner, bytes32 id, uint256 n) internal returns (uint16 index) {
        address enclave = trainingEnclave(HOST);
        bytes memory receipt = signDonation(keyOf[enclave], modelId, id, datasets.dataset(id).root, payeeOf(n));
        vm.startPrank(owner);
        index = market.donate(modelId, id, payeeOf(n), DECISION, enclave, receipt);
        vm.stopPrank();
    }

    function startHosted(uint256 modelId) internal {
        vm.startPrank(trainer);
        market.startTraining(modelId, new address[](0), new bytes32[](0));
        vm.stopPrank();
    }

    /// Withdraws the dataset with this number and takes its donor out.
    function takesBack(uint256 modelId, uint256 n, uint16 index) internal {
        withdrawDataset(n);
        market.endUse(modelId, index);
    }

    function said(uint256 modelId, uint16[] memory unused) internal pure returns (HostedTraining memory) {
        return HostedTraining(modelId, MODEL_HASH, STATEMENT, unused);
    }

    function one(uint16 index) internal pure returns (uint16[] memory list) {
        list = new uint16[](1);
        list[0] = index;
    }

    function two(uint16 first, uint16 second) internal pure returns (uint16[] memory list) {
        list = new uint16[](2);
        (list[0], list[1]) = (first, second);
    }

    /// As a client encodes it: each element of the list is a word.
    function hostedHash(HostedTraining memory t) internal pure returns (bytes32) {
        bytes32 typehash =
            keccak256("HostedTraining(uint256 modelId,bytes32 modelHash,bytes32 statementHash,uint16[] unused)");
        bytes memory words;
        for (uint256 i = 0; i < t.unused.length; ++i) {
            words = bytes.concat(words, bytes32(uint256(t.unused[i])));
        }
        return keccak256(abi.encode(typehash, t.modelId, t.modelHash, t.statementHash, keccak256(words)));
    }

    function signHosted(uint256 key, HostedTraining memory t) internal view returns (bytes memory) {
        return sign(key, address(market), hostedHash(t));
    }

    function hostKey() internal returns (uint256) {
        return keyOf[trainingEnclave(HOST)];
    }

    function finishHosted(uint256 modelId, uint16[] memory unused) internal {
        HostedTraining memory t = said(modelId, unused);
        bytes memory signature = signHosted(hostKey(), t);
        vm.startPrank(trainer);
        market.finishHosted(t, signature);
        vm.stopPrank();
    }
}
