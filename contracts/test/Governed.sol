// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {Base} from "./Base.sol";
import {Directory} from "../src/Directory.sol";
import {HistoneGovernor} from "../src/HistoneGovernor.sol";

/// The founder deployed everything, named it in the directory and handed over: the timelock is the only administrator,
/// and the five members of `Base` decide, or eleven with the whole committee.
abstract contract Governed is Base {
    uint8 internal constant AGAINST = 0;
    uint8 internal constant FOR = 1;

    HistoneGovernor internal governor;
    TimelockController internal timelock;
    Directory internal directory;
    /// Counted here, because the optimizer takes `block.timestamp` for a constant.
    uint256 internal time;

    function setUp() public virtual override {
        super.setUp();
        for (uint256 i = 1; i < SEATS && !wholeCommittee(); ++i) {
            members.remove(seats[i]);
        }
        time = 1_000_000;
        AccessManager manager = AccessManager(market.authority());
        directory = Directory(deploy("Directory", abi.encode(manager)));
        Directory.Entry[] memory list = new Directory.Entry[](8);
        list[0] = Directory.Entry("manager", address(manager));
        list[1] = Directory.Entry("token", address(token));
        list[2] = Directory.Entry("members", address(members));
        list[3] = Directory.Entry("programs", address(programs));
        list[4] = Directory.Entry("enclaves", address(enclaves));
        list[5] = Directory.Entry("datasets", address(datasets));
        list[6] = Directory.Entry("market", address(market));
        list[7] = Directory.Entry("rounds", address(rounds));
        directory.set(list);
        address[] memory anybody = new address[](1);
        bytes memory arguments = abi.encode(2 days, new address[](0), anybody, address(this));
        timelock = TimelockController(payable(deploy("TimelockController", arguments)));
        arguments = abi.encode(members, timelock, 1 days, 7 days, 50);
        governor = HistoneGovernor(payable(deploy("HistoneGovernor", arguments)));
        timelock.grantRole(timelock.PROPOSER_ROLE(), address(governor));
        timelock.grantRole(timelock.CANCELLER_ROLE(), address(governor));
        timelock.renounceRole(timelock.DEFAULT_ADMIN_ROLE(), address(this));
        beforeHandOver(manager);
        manager.grantRole(0, address(timelock), 0);
        manager.renounceRole(0, address(this));
        pass(1);
    }

    /// What the founder sets up besides, while still the administrator.
    function beforeHandOver(AccessManager manager) internal virtual {}

    /// Whether all of the committee are members, as for a training; one of it is enough to vote.
    function wholeCommittee() internal pure virtual returns (bool) {
        return false;
    }

    function pass(uint256 seconds_) internal {
        time += seconds_;
        vm.warp(time);
    }

    struct Proposal {
        address[] targets;
        uint256[] values;
        bytes[] calls;
        string reason;
        uint256 id;
    }

    /// Put to the vote, which has just begun.
    function put(address by, address target, bytes memory call) internal returns (Proposal memory p) {
        p.targets = new address[](1);
        p.targets[0] = target;
        p.calls = new bytes[](1);
        p.calls[0] = call;
        return putAll(by, p);
    }

    function putAll(address by, Proposal memory p) internal returns (Proposal memory) {
        p.values = new uint256[](p.targets.length);
        p.reason = "because";
        vm.startPrank(by);
        p.id = governor.propose(p.targets, p.values, p.calls, p.reason);
        vm.stopPrank();
        pass(1 days + 1);
        return p;
    }

    function vote(Proposal memory p, address by, uint8 support) internal {
        vm.startPrank(by);
        governor.castVote(p.id, support);
        vm.stopPrank();
    }

    function queue(Proposal memory p) internal {
        pass(7 days);
        governor.queue(p.targets, p.values, p.calls, keccak256(bytes(p.reason)));
    }

    function execute(Proposal memory p) internal {
        governor.execute(p.targets, p.values, p.calls, keccak256(bytes(p.reason)));
    }

    /// From the vote into force: ten days from the proposal.
    function accept(Proposal memory p) internal {
        vote(p, trainer, FOR);
        vote(p, runner, FOR);
        vote(p, auditor, FOR);
        vote(p, author, FOR);
        for (uint256 i = 0; i < (wholeCommittee() ? SEATS : 1); ++i) {
            vote(p, seats[i], FOR);
        }
        queue(p);
        pass(2 days);
        execute(p);
    }

    function accept(address target, bytes memory call) internal {
        accept(put(trainer, target, call));
    }
}
