// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "./Base.sol";
import {Epochs} from "../src/Epochs.sol";
import {Roles} from "../src/Members.sol";
import {Tree} from "./Epochs.t.sol";
import {Market} from "../src/Market.sol";

/// Every call is a transaction of its own (`isolate`), so the numbers are what a network charges. They are written to
/// `snapshots/`; with FORGE_SNAPSHOT_CHECK=true the run fails when one of them changed.
contract GasTest is Base {
    uint16 private constant MANY = 10_000;

    address private _owner = vm.addr(9);
    bytes32[] private _ids;

    function gas(string memory step) private returns (uint256 used) {
        used = vm.lastCallGas().gasTotalUsed;
        vm.snapshotValue("gas", step, used);
    }

    function bounded(string memory step, uint256 limit) private returns (uint256 used) {
        used = gas(step);
        atMost(step, used, limit);
    }

    // ---------------------------------------------------------------- before the test with many donors

    /// Ten thousand datasets are registered and donated to three models, except the last donation to each, which is
    /// measured. Nothing is faked. All of it takes more gas than a test may use, so forge runs it in these pieces.
    function beforeTestSetup(bytes4 test) external view returns (bytes[] memory calls) {
        if (test != this.test_gas_is_the_same_for_10_and_10000_donors.selector) return calls;
        calls = new bytes[](44);
        calls[0] = abi.encodeCall(this.proposeThree, ());
        for (uint256 i = 0; i < 20; ++i) {
            calls[1 + i] = abi.encodeCall(this.register, (500 * i, 500 * (i + 1)));
            calls[21 + i] = abi.encodeCall(this.donateMany, (3, 500 * i, i == 19 ? MANY - 1 : 500 * (i + 1)));
        }
        calls[41] = abi.encodeCall(this.donateMany, (1, 0, 9));
        calls[42] = abi.encodeCall(this.donateMany, (2, 0, 500));
        calls[43] = abi.encodeCall(this.donateMany, (2, 500, 999));
    }

    /// With a fee, as the dearest case.
    function proposeThree() external {
        members.add(_owner, Roles.OWNER, "profile", "key");
        market.setFee(250, vm.addr(10));
        Market.Terms memory t = terms();
        uint16[3] memory donors = [10, 1_000, MANY];
        for (uint256 i = 0; i < 3; ++i) {
            t.maxDonors = donors[i];
            propose(t);
        }
    }

    function register(uint256 from, uint256 to) external {
        for (uint256 i = from; i < to; ++i) {
            bytes32 root = keccak256(abi.encode("root", i));
            bytes memory receipt = signValidation(VALIDATION_KEY, _owner, root);
            // The enclave with the same number as the dataset, but for those that are there already.
            trainingEnclave(i);
            vm.startPrank(_owner);
            _ids.push(
                datasets.register(
                    root, keccak256("report"), keccak256("policy"), 100, 3, vm.addr(VALIDATION_KEY), receipt
                )
            );
            vm.stopPrank();
        }
    }

    function donateMany(uint256 modelId, uint256 from, uint256 to) external {
        for (uint256 i = from; i < to; ++i) {
            donateOne(modelId, i);
        }
    }

    function donateOne(uint256 modelId, uint256 i) private {
        address payee = address(uint160(uint256(keccak256(abi.encode("payee", i)))));
        address enclave = trainingEnclave(i);
        bytes memory receipt = signDonation(keyOf[enclave], modelId, _ids[i], keccak256(abi.encode("root", i)), payee);
        vm.startPrank(_owner);
        market.donate(modelId, _ids[i], payee, DECISION, enclave, receipt);
        vm.stopPrank();
    }

    // ---------------------------------------------------------------- tests

    /// From the last donation into service, in one day. The time is counted here, because the optimizer takes
    /// `block.timestamp` for a constant.
    function serving(uint256 modelId, uint16 donors) private {
        uint64 deadline = uint64(1_000_000 + modelId * 1 days);
        donateOne(modelId, donors - 1);
        bounded(named("donate", donors), 98_000);
        start(modelId);
        vm.startPrank(trainer);
        uint32 round = rounds.open(modelId, HEADER, deadline, deadline + 1 days);
        vm.stopPrank();
        gas(named("open a round", donors));
        for (uint16 i = 1; i <= donors; ++i) {
            // Of many donors the first and the last of each word, and the last of all.
            if (i != 1 && i != donors && donors > 200 && i != 128 && !edge(i)) continue;
            bytes32 blob = keccak256(abi.encode("blob", i));
            address enclave = trainingEnclave(i - 1);
            bytes memory receipt = signUpdate(keyOf[enclave], modelId, round, blob, i);
            rounds.anchor(modelId, round, blob, i, enclave, receipt);
            atMost("anchor", vm.lastCallGas().gasTotalUsed, 64_000);
            if (i == 1) gas("anchor, donor 1");
            if (i == 128) gas("anchor, donor 128");
            if (i == MANY) gas("anchor, donor 10000");
        }
        vm.warp(deadline + 1);
        rounds.close(modelId, round);
        gas(named("close a round", donors));
        posts(modelId, round, QUORUM);
        vm.startPrank(trainer);
        rounds.finalize(modelId, round, keccak256("aggregate"), MODEL_HASH);
        market.finishTraining(modelId, MODEL_HASH);
        market.serve(modelId, vm.addr(QUERY_KEY));
        vm.stopPrank();
    }

    function edge(uint16 i) private pure returns (bool) {
        return i >= 87 && (i - 87) % 216 < 2;
    }

    function named(string memory step, uint256 donors) private pure returns (string memory) {
        return string.concat(step, donors == 10 ? ", 10 donors" : donors == MANY ? ", 10000 donors" : ", 1000 donors");
    }

    /// Two queries: the first one may cost no more than the second.
    function query(uint256 modelId, uint16 donors) private returns (uint256 buying, uint256 settling) {
        for (uint256 i = 0; i < 2; ++i) {
            vm.startPrank(user);
            bytes32 queryId = market.buy(modelId, keccak256(abi.encode(i, modelId)), vm.addr(QUERY_KEY));
            buying = gas(named("buy", donors));
            vm.stopPrank();
            bytes memory receipt = signQuery(QUERY_KEY, queryId, modelId);
            market.settle(queryId, "job", "output", ANSWER, receipt);
            settling = gas(named("settle", donors));
            atMost("buy + settle", buying + settling, 160_000);
        }
        vm.snapshotValue("gas", named("buy + settle", donors), buying + settling);
    }

    function test_gas_is_the_same_for_10_and_10000_donors() public {
        serving(1, 10);
        serving(2, 1_000);
        serving(3, MANY);
        (uint256 buyingFew, uint256 settlingFew) = query(1, 10);
        (uint256 buyingMore, uint256 settlingMore) = query(2, 1_000);
        (uint256 buying, uint256 settling) = query(3, MANY);
        // Hashes in calldata have more or fewer zero bytes, and so have numbers; nothing else may differ.
        atMost("buy", buyingMore, buyingFew + 200);
        atMost("buy", buying, buyingFew + 200);
        atMost("settle", settlingMore, settlingFew + 500);
        atMost("settle", settling, settlingFew + 500);
        claims(3);
    }

    function claims(uint256 modelId) private {
        // An account which never held the token, in a transaction of its own: the token opens its balance.
        market.claimDonor(modelId, MANY);
        bounded("claim, account without a balance", 77_000);
        // Ten such accounts in one transaction.
        uint16[] memory ten = new uint16[](10);
        for (uint16 i = 0; i < 10; ++i) {
            ten[i] = 2_000 + i;
        }
        market.claimDonors(modelId, ten);
        uint256 each = vm.lastCallGas().gasTotalUsed / 10;
        vm.snapshotValue("gas", "claim, account without a balance, each of ten at once", each);
        atMost("claim of ten, each", each, 60_000);
        vm.startPrank(user);
        bytes32 third = market.buy(modelId, "third", vm.addr(QUERY_KEY));
        vm.stopPrank();
        settle(modelId, third);
        market.claimDonor(modelId, MANY);
        bounded("claim, later", 60_000);
        // The first payment, to an account which holds a balance.
        address payee = market.donor(modelId, 1).payee;
        token.mint(payee, 1);
        market.claimDonor(modelId, 1);
        bounded("claim, first", 60_000);
        token.mint(runner, 1);
        vm.startPrank(runner);
        market.claim();
        bounded("claim of a runner", 60_000);
        vm.stopPrank();
        market.collectFees(modelId);
        gas("collect fees");
    }

    /// What the token alone takes for opening a balance, and what any transaction costs: the rest is the market's. It
    /// shows why an account without a balance cannot be paid for 60,000 in a transaction of its own.
    function test_gas_of_a_bare_transfer() public {
        vm.startPrank(user);
        token.transfer(address(uint160(uint256(keccak256("fresh")))), 1e6);
        uint256 fresh = gas("bare transfer, account without a balance");
        token.transfer(address(uint160(uint256(keccak256("fresh")))), 1e6);
        uint256 known = gas("bare transfer");
        vm.stopPrank();
        equal("opening a balance", fresh - known, 17_100);
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
        Epochs pool = newPool(address(token), keeper, 1 days, SILENCE);
        token.mint(address(pool), 100e6);
        address known = payeeOf(1);
        token.mint(known, 1);
        uint256 time = 1_000_000;
        for (uint256 epoch = 1; epoch <= 3; ++epoch) {
            address account = epoch == 3 ? payeeOf(2) : known;
            uint256 due = 10e6 * epoch;
            (bytes32 root, bytes32[] memory proof) = deep(account, due);
            vm.startPrank(keeper);
            pool.propose(root, keccak256("list"), 2 * due);
            bounded("publish a root", 51_000);
            vm.stopPrank();
            time += 1 days;
            vm.warp(time);
            pool.claim(account, due, proof);
            if (epoch == 1) bounded("claim with proof, first of an account", 100_000);
            if (epoch == 2) bounded("claim with proof, later", 100_000);
            // The token opens a balance for an account without one; that is 17,100 of its own.
            if (epoch == 3) bounded("claim with proof, account without a balance", 102_000);
        }
    }
}
