// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "./Base.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Epochs} from "../src/Epochs.sol";
import {Tree} from "./Epochs.t.sol";
import {Market} from "../src/Market.sol";

/// Every call is a transaction of its own (`isolate`), so the numbers are what a network charges.
contract GasTest is Base {
    event Gas(string step, uint256 gas);

    function gas(string memory step) private returns (uint256 used) {
        used = vm.lastCallGas().gasTotalUsed;
        emit Gas(step, used);
    }

    function run(uint16 donors) private returns (uint256 buying, uint256 settling) {
        Market.Terms memory t = terms();
        t.maxDonors = donors;
        uint256 modelId = propose(t);
        for (uint256 n = 1; n < donors; ++n) {
            donate(modelId, n, 1);
        }
        (address owner, bytes32 id) = addDataset(donors);
        bytes memory receipt = signDonation(TRAINING_KEY, modelId, id, payeeOf(donors), 1);
        vm.startPrank(owner);
        market.donate(modelId, id, payeeOf(donors), 1, vm.addr(TRAINING_KEY), receipt);
        atMost("donate", gas("donate"), 90_000);
        vm.stopPrank();
        start(modelId);
        uint32 round = open(modelId, donors);
        for (uint16 i = 1; i <= donors; ++i) {
            bytes32 blob = keccak256(abi.encode("blob", i));
            receipt = signUpdate(TRAINING_KEY, modelId, round, blob, i);
            rounds.anchor(modelId, round, blob, i, vm.addr(TRAINING_KEY), receipt);
            bool shown = i == 1 || i == 127 || i == 128 || i == 130;
            uint256 used = shown ? gas("anchor") : vm.lastCallGas().gasTotalUsed;
            // From donor 128 on the bit is in a slot of its own.
            atMost("anchor", used, i < 128 ? 60_000 : 61_000);
        }
        finishRound(modelId, round);
        vm.startPrank(trainer);
        market.finishTraining(modelId, MODEL_HASH);
        market.serve(modelId, vm.addr(QUERY_KEY));
        vm.stopPrank();

        // The first one may cost no more than the second.
        for (uint256 i = 0; i < 2; ++i) {
            vm.startPrank(user);
            bytes32 queryId = market.buy(modelId, keccak256(abi.encode(i)));
            buying = gas("buy");
            vm.stopPrank();
            receipt = signQuery(QUERY_KEY, queryId, modelId);
            market.settle(queryId, "job", "output", receipt);
            settling = gas("settle");
            atMost("buy + settle", buying + settling, 160_000);
        }
        market.claimDonor(modelId, 1);
        gas("claimDonor, fresh account");
        vm.startPrank(user);
        bytes32 third = market.buy(modelId, "third");
        vm.stopPrank();
        settle(modelId, third);
        market.claimDonor(modelId, 1);
        atMost("claimDonor", gas("claimDonor"), 60_000);
        vm.startPrank(runner);
        market.claim();
        gas("claim");
        vm.stopPrank();
    }

    function test_gas_is_within_budget_and_independent_of_donors() public {
        (uint256 buying, uint256 settling) = run(2);
        setUp();
        (uint256 buyingMany, uint256 settlingMany) = run(130);
        // Hashes in calldata have more or fewer zero bytes; nothing else may differ.
        atMost("buy", buyingMany, buying + 200);
        atMost("settle", settlingMany, settling + 500);
    }

    /// A proof of depth 20, as in a pool of 1,048,576 accounts: the tree above one leaf, with any siblings.
    function deep(address account, uint256 due) private pure returns (bytes32 root, bytes32[] memory proof) {
        proof = new bytes32[](20);
        root = Tree.leaf(account, due);
        for (uint256 i = 0; i < 20; ++i) {
            proof[i] = keccak256(abi.encode("sibling", due, i));
            root = Tree.pair(root, proof[i]);
        }
    }

    function test_gas_of_a_pool_of_a_million() public {
        address keeper = vm.addr(8);
        Epochs pool = new Epochs(IERC20(address(token)), members, keeper, 1 days);
        token.mint(address(pool), 100e6);
        address known = payeeOf(1);
        token.mint(known, 1);
        uint256 time = 1_000_000;
        for (uint256 epoch = 1; epoch <= 3; ++epoch) {
            address account = epoch == 3 ? payeeOf(2) : known;
            uint256 due = 10e6 * epoch;
            (bytes32 root, bytes32[] memory proof) = deep(account, due);
            vm.startPrank(keeper);
            pool.propose(root, keccak256("list"), due);
            atMost("publish a root", gas("publish a root"), 50_000);
            vm.stopPrank();
            time += 1 days;
            vm.warp(time);
            pool.claim(account, due, proof);
            if (epoch == 1) atMost("claim, first", gas("claim with proof, first of an account"), 100_000);
            if (epoch == 2) atMost("claim, later", gas("claim with proof, later"), 100_000);
            // The token opens a balance for an account without one; that is 17,100 of its own.
            if (epoch == 3) gas("claim with proof, account without balance");
        }
    }
}
