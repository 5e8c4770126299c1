// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {Governed} from "./Governed.sol";
import {Directory} from "../src/Directory.sol";
import {Market} from "../src/Market.sol";
import {Rounds} from "../src/Rounds.sol";

/// Where the contracts are, and how the members replace one without taking anything from anybody.
contract DirectoryTest is Governed {
    function wholeCommittee() internal pure override returns (bool) {
        return true;
    }

    /// Members are added by a registrar here, so that these tests need no vote for each owner.
    function beforeHandOver(AccessManager manager) internal override {
        bytes4[] memory add = new bytes4[](1);
        add[0] = members.add.selector;
        manager.setTargetFunctionRole(address(members), add, 1);
        manager.grantRole(1, address(this), 0);
    }

    function one(bytes32 name, address target) private pure returns (Directory.Entry[] memory list) {
        list = new Directory.Entry[](1);
        list[0] = Directory.Entry(name, target);
    }

    function test_only_governance_names_contracts() public {
        address target = address(directory);
        bytes memory call = abi.encodeCall(directory.set, (one("market", address(token))));
        address[3] memory others = [trainer, address(this), address(governor)];
        for (uint256 i = 0; i < others.length; ++i) {
            refused(others[i], abi.encodeWithSignature("AccessManagedUnauthorized(address)", others[i]), target, call);
        }
    }

    function test_names_and_targets_are_checked() public {
        Directory own = Directory(deploy("Directory", abi.encode(deploy("AccessManager", abi.encode(address(this))))));
        address target = address(own);
        address me = address(this);
        refused(
            me,
            abi.encodeWithSelector(Directory.NoName.selector),
            target,
            abi.encodeCall(own.set, (one(0, address(token))))
        );
        refused(
            me,
            abi.encodeWithSelector(Directory.NoContract.selector, bytes32("market"), stranger),
            target,
            abi.encodeCall(own.set, (one("market", stranger)))
        );
        equal("unknown", uint160(own.lookup("market")), 0);
        equal("none", own.entries().length, 0);
        // One call for all; a wrong entry takes the others with it.
        Directory.Entry[] memory list = new Directory.Entry[](2);
        list[0] = Directory.Entry("token", address(token));
        list[1] = Directory.Entry("market", stranger);
        refused(
            me,
            abi.encodeWithSelector(Directory.NoContract.selector, bytes32("market"), stranger),
            target,
            abi.encodeCall(own.set, (list))
        );
        equal("nothing of it", uint160(own.lookup("token")), 0);
        list[1].target = address(market);
        own.set(list);
        own.set(one("token", address(members)));
        list = own.entries();
        equal("two", list.length, 2);
        if (list[0].name != "token" || list[0].target != address(members)) revert("replaced");
        if (list[1].name != "market" || list[1].target != address(market)) revert("kept");
    }

    /// A successor of the market by vote: new work goes there, and what was begun with the old one ends there, under
    /// its rules. Nobody moves any of its money.
    function test_an_upgrade_takes_nothing_from_anybody() public {
        uint256 trainerBefore = token.balanceOf(trainer);
        uint256 userBefore = token.balanceOf(user);
        uint256 serving = served();
        bytes32 answered = buy(serving, "a");
        bytes32 unanswered = buy(serving, "b");
        uint256 training = propose(terms());
        donate(training, 11, 1);
        donate(training, 12, 1);
        start(training);
        Market old = market;
        Rounds oldRounds = rounds;

        Market next = newMarket(old.authority(), address(token));
        Rounds nextRounds = newRounds(next);
        Directory.Entry[] memory list = new Directory.Entry[](2);
        list[0] = Directory.Entry("market", address(next));
        list[1] = Directory.Entry("rounds", address(nextRounds));
        Proposal memory p;
        p.targets = new address[](2);
        p.calls = new bytes[](2);
        (p.targets[0], p.calls[0]) = (address(next), abi.encodeCall(next.setRounds, (nextRounds)));
        (p.targets[1], p.calls[1]) = (address(directory), abi.encodeCall(directory.set, (list)));
        accept(putAll(trainer, p));
        if (directory.lookup("market") != address(next) || directory.lookup("rounds") != address(nextRounds)) {
            revert("not named");
        }
        equal("names", directory.entries().length, 8);

        // The vote took longer than queries live: the one goes back, a new one is answered.
        old.refund(answered);
        old.refund(unanswered);
        settle(serving, buy(serving, "c"));
        uint32 round = open(training);
        anchor(training, round, 1);
        anchor(training, round, 2);
        finishRound(training, round);
        vm.startPrank(trainer);
        old.finishTraining(training, MODEL_HASH);
        old.serve(training, vm.addr(QUERY_KEY));
        vm.stopPrank();
        settle(training, buy(training, "d"));
        for (uint16 d = 1; d <= 2; ++d) {
            old.claimDonor(serving, d);
            old.claimDonor(training, d);
        }
        vm.startPrank(trainer);
        old.claim();
        vm.stopPrank();
        vm.startPrank(runner);
        old.claim();
        vm.stopPrank();
        equal("nothing left", token.balanceOf(address(old)), 0);
        equal("nothing owed", old.obligations(), 0);
        equal("user", token.balanceOf(user), userBefore - 20e6);
        equal("trainer", token.balanceOf(trainer), trainerBefore - 20e6 + 6e6);

        // The members stop new work with the old one when they like.
        accept(address(old), abi.encodeCall(old.pause, ()));
        refused(
            trainer,
            abi.encodeWithSignature("EnforcedPause()"),
            address(old),
            abi.encodeCall(old.propose, (WHITE_PAPER, PLAN, terms()))
        );
        // A receipt for the one is worth nothing in the other.
        market = next;
        rounds = nextRounds;
        fund(trainer, 20e6);
        uint256 modelId = propose(terms());
        equal("ids begin anew", modelId, 1);
        (address owner, bytes32 id) = addDataset(31);
        market = old;
        bytes memory receipt = signDonation(TRAINING_KEY, modelId, id, datasets.dataset(id).root, payeeOf(31));
        market = next;
        vm.startPrank(owner);
        (bool ok,) = address(next)
            .call(abi.encodeCall(next.donate, (modelId, id, payeeOf(31), DECISION, vm.addr(TRAINING_KEY), receipt)));
        next.donate(
            modelId,
            id,
            payeeOf(31),
            DECISION,
            vm.addr(TRAINING_KEY),
            signDonation(TRAINING_KEY, modelId, id, rootOf(31), payeeOf(31))
        );
        vm.stopPrank();
        if (ok) revert("a receipt for the old market was accepted");
        rounds = oldRounds;
    }
}
