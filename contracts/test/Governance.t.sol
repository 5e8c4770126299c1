// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {IGovernor} from "@openzeppelin/contracts/governance/IGovernor.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {Base} from "./Base.sol";
import {HistoneGovernor} from "../src/HistoneGovernor.sol";
import {Members, Roles} from "../src/Members.sol";
import {Kinds, Programs} from "../src/Programs.sol";

/// The timelock is the only administrator; the five members of `Base` decide.
contract GovernanceTest is Base {
    uint8 private constant AGAINST = 0;
    uint8 private constant FOR = 1;
    uint64 private constant PAUSER = 1;

    HistoneGovernor private _governor;
    TimelockController private _timelock;
    uint256 private _now;

    function setUp() public override {
        super.setUp();
        _now = 1_000_000;
        address[] memory open = new address[](1);
        _timelock = new TimelockController(2 days, new address[](0), open, address(this));
        _governor = new HistoneGovernor(members, _timelock, 1 days, 7 days, 50);
        _timelock.grantRole(_timelock.PROPOSER_ROLE(), address(_governor));
        _timelock.grantRole(_timelock.CANCELLER_ROLE(), address(_governor));
        _timelock.renounceRole(_timelock.DEFAULT_ADMIN_ROLE(), address(this));
        AccessManager manager = AccessManager(market.authority());
        manager.grantRole(0, address(_timelock), 0);
        manager.renounceRole(0, address(this));
        _pass(1);
    }

    function _pass(uint256 time) private {
        _now += time;
        vm.warp(_now);
    }

    struct Proposal {
        address[] targets;
        uint256[] values;
        bytes[] calls;
        string reason;
        uint256 id;
    }

    function _propose(address by, address target, bytes memory call) private returns (Proposal memory p) {
        p.targets = new address[](1);
        p.targets[0] = target;
        p.values = new uint256[](1);
        p.calls = new bytes[](1);
        p.calls[0] = call;
        p.reason = "because";
        vm.startPrank(by);
        p.id = _governor.propose(p.targets, p.values, p.calls, p.reason);
        vm.stopPrank();
        _pass(1 days + 1);
    }

    function _vote(Proposal memory p, address by, uint8 support) private {
        vm.startPrank(by);
        _governor.castVote(p.id, support);
        vm.stopPrank();
    }

    function _queue(Proposal memory p) private {
        _pass(7 days);
        _governor.queue(p.targets, p.values, p.calls, keccak256(bytes(p.reason)));
    }

    function _execute(Proposal memory p) private {
        _governor.execute(p.targets, p.values, p.calls, keccak256(bytes(p.reason)));
    }

    function _accept(Proposal memory p) private {
        _vote(p, trainer, FOR);
        _vote(p, runner, FOR);
        _vote(p, auditor, FOR);
        _queue(p);
        _pass(2 days);
        _execute(p);
    }

    function test_members_revoke_a_program() public {
        bytes32 measurement = measurementOf(Kinds.TRAINING);
        bytes memory revoke = abi.encodeCall(programs.revoke, (measurement));
        Proposal memory p = _propose(runner, address(programs), revoke);
        _vote(p, trainer, FOR);
        _vote(p, runner, FOR);
        _vote(p, auditor, FOR);
        _vote(p, author, AGAINST);
        _queue(p);
        equal("queued", uint256(_governor.state(p.id)), uint256(IGovernor.ProposalState.Queued));
        // Not before its time.
        (bool ok,) = address(_governor).call(
            abi.encodeCall(_governor.execute, (p.targets, p.values, p.calls, keccak256(bytes(p.reason))))
        );
        if (ok) revert("executed early");
        programs.requireUsable(measurement, Kinds.TRAINING);
        _pass(2 days);
        _execute(p);
        refused(
            user,
            abi.encodeWithSelector(Programs.Revoked.selector, measurement),
            address(enclaves),
            abi.encodeCall(enclaves.requireLive, (vm.addr(TRAINING_KEY), Kinds.TRAINING))
        );
    }

    function test_members_change_a_role() public {
        Proposal memory p =
            _propose(trainer, address(members), abi.encodeCall(members.setRoles, (runner, Roles.RUNNER | Roles.AUDITOR)));
        _accept(p);
        equal("roles", members.rolesOf(runner), Roles.RUNNER | Roles.AUDITOR);
    }

    function test_members_name_a_pauser_and_end_a_pause() public {
        AccessManager manager = AccessManager(market.authority());
        bytes4[] memory pause = new bytes4[](1);
        pause[0] = market.pause.selector;
        _accept(
            _propose(trainer, address(manager), abi.encodeCall(manager.setTargetFunctionRole, (address(market), pause, PAUSER)))
        );
        _accept(_propose(trainer, address(manager), abi.encodeCall(manager.grantRole, (PAUSER, auditor, 0))));
        vm.startPrank(auditor);
        market.pause();
        (bool ok,) = address(market).call(abi.encodeCall(market.unpause, ()));
        vm.stopPrank();
        if (ok || !market.paused()) revert("pauser");
        _accept(_propose(trainer, address(market), abi.encodeCall(market.unpause, ())));
        if (market.paused()) revert("still paused");
    }

    function test_members_revoke_an_enclave() public {
        address enclave = vm.addr(QUERY_KEY);
        _accept(_propose(trainer, address(enclaves), abi.encodeCall(enclaves.revoke, (enclave))));
        if (!enclaves.enclave(enclave).revoked) revert("not revoked");
    }

    function test_one_vote_per_member_and_it_goes_with_membership() public {
        equal("trainer", members.getVotes(trainer), 1);
        equal("stranger", members.getVotes(stranger), 0);
        equal("all", members.getPastTotalSupply(_now - 1), 5);
        Proposal memory p = _propose(trainer, address(members), abi.encodeCall(members.remove, (runner)));
        _accept(p);
        equal("removed", members.getVotes(runner), 0);
        _pass(1);
        equal("left", members.getPastTotalSupply(_now - 1), 4);
        // Who is no member does not vote, and proposes nothing.
        p = _propose(auditor, address(members), abi.encodeCall(members.add, (stranger, Roles.OWNER, "profile", "key")));
        _vote(p, runner, FOR);
        (, uint256 inFavor,) = _governor.proposalVotes(p.id);
        equal("weight", inFavor, 0);
        vm.startPrank(runner);
        (bool ok,) = address(_governor).call(
            abi.encodeCall(_governor.propose, (p.targets, p.values, p.calls, "another"))
        );
        vm.stopPrank();
        if (ok) revert("proposed without a vote");
        _vote(p, trainer, FOR);
        _vote(p, auditor, FOR);
        _queue(p);
        _pass(2 days);
        _execute(p);
        equal("joined", members.getVotes(stranger), 1);
    }

    function test_a_vote_is_lent_and_comes_back() public {
        vm.startPrank(runner);
        members.delegate(trainer);
        vm.stopPrank();
        equal("two", members.getVotes(trainer), 2);
        // Membership ends: the lent vote ends. It begins again: the vote is the member's own.
        _accept(_propose(trainer, address(members), abi.encodeCall(members.remove, (runner))));
        equal("one", members.getVotes(trainer), 1);
        vm.startPrank(runner);
        members.delegate(stranger);
        vm.stopPrank();
        equal("nothing to lend", members.getVotes(stranger), 0);
        _accept(_propose(trainer, address(members), abi.encodeCall(members.add, (runner, Roles.RUNNER, "p", "k"))));
        equal("own", members.getVotes(runner), 1);
        equal("not lent", members.getVotes(stranger), 0);
    }

    function test_too_few_votes_or_a_majority_against_decide_nothing() public {
        bytes memory call = abi.encodeCall(members.remove, (auditor));
        Proposal memory p = _propose(trainer, address(members), call);
        _vote(p, trainer, FOR);
        _pass(7 days);
        equal("no quorum", uint256(_governor.state(p.id)), uint256(IGovernor.ProposalState.Defeated));
        p = _propose(trainer, address(members), abi.encodeCall(members.setRoles, (auditor, Roles.OWNER)));
        _vote(p, trainer, FOR);
        _vote(p, runner, FOR);
        _vote(p, auditor, AGAINST);
        _vote(p, author, AGAINST);
        _vote(p, committee, AGAINST);
        _pass(7 days);
        equal("against", uint256(_governor.state(p.id)), uint256(IGovernor.ProposalState.Defeated));
        (bool ok,) = address(_governor).call(
            abi.encodeCall(_governor.queue, (p.targets, p.values, p.calls, keccak256(bytes(p.reason))))
        );
        if (ok) revert("queued a defeated proposal");
    }

    /// Nobody acts past the vote: not the deployer, not a member, not the governor's own caller.
    function test_nobody_acts_past_the_vote() public {
        bytes memory call = abi.encodeCall(members.setRoles, (stranger, Roles.ALL));
        refused(
            address(this),
            abi.encodeWithSignature("AccessManagedUnauthorized(address)", address(this)),
            address(members),
            call
        );
        vm.startPrank(trainer);
        (bool scheduled,) = address(_timelock).call(
            abi.encodeCall(_timelock.schedule, (address(members), 0, call, 0, 0, 2 days))
        );
        (bool relayed,) = address(_governor).call(abi.encodeCall(_governor.relay, (address(members), 0, call)));
        (bool revoked,) = address(programs).call(abi.encodeCall(programs.revoke, (measurementOf(Kinds.QUERY))));
        vm.stopPrank();
        if (scheduled || relayed || revoked) revert("acted past the vote");
    }

    /// Joining, leaving and lending in any order: the votes are those of the members, no more and no less.
    function testFuzz_votes_are_those_of_the_members(uint256 seed) public {
        Members register = new Members(address(new AccessManager(address(this))));
        for (uint256 step = 0; step < 24; ++step) {
            seed = uint256(keccak256(abi.encode(seed)));
            address who = vm.addr(900 + seed % 5);
            uint256 what = (seed >> 8) % 3;
            if (what == 0 && register.rolesOf(who) == 0) register.add(who, Roles.OWNER, 0, 0);
            if (what == 1 && register.rolesOf(who) != 0) register.remove(who);
            if (what == 2) {
                vm.startPrank(who);
                register.delegate(vm.addr(900 + (seed >> 16) % 5));
                vm.stopPrank();
            }
            _pass(1);
        }
        uint256 count;
        uint256 votes;
        for (uint256 i = 0; i < 5; ++i) {
            address who = vm.addr(900 + i);
            if (register.rolesOf(who) != 0) ++count;
            votes += register.getVotes(who);
        }
        equal("votes", votes, count);
        equal("all", register.getPastTotalSupply(_now - 1), count);
    }
}
