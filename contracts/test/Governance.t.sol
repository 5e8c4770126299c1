// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {IGovernor} from "@openzeppelin/contracts/governance/IGovernor.sol";
import {Governed} from "./Governed.sol";
import {PairWallet} from "./Consent.t.sol";
import {Members, Roles} from "../src/Members.sol";
import {Kinds, Programs} from "../src/Programs.sol";

contract GovernanceTest is Governed {
    uint64 private constant PAUSER = 1;

    function test_members_revoke_a_program() public {
        bytes32 measurement = measurementOf(Kinds.TRAINING);
        bytes memory revoke = abi.encodeCall(programs.revoke, (measurement));
        Proposal memory p = put(runner, address(programs), revoke);
        vote(p, trainer, FOR);
        vote(p, runner, FOR);
        vote(p, auditor, FOR);
        vote(p, author, AGAINST);
        queue(p);
        equal("queued", uint256(governor.state(p.id)), uint256(IGovernor.ProposalState.Queued));
        // Not before its time.
        (bool ok,) = address(governor)
            .call(abi.encodeCall(governor.execute, (p.targets, p.values, p.calls, keccak256(bytes(p.reason)))));
        if (ok) revert("executed early");
        programs.requireUsable(measurement, Kinds.TRAINING);
        pass(2 days);
        execute(p);
        refused(
            user,
            abi.encodeWithSelector(Programs.Revoked.selector, measurement),
            address(enclaves),
            abi.encodeCall(enclaves.requireLive, (vm.addr(TRAINING_KEY), Kinds.TRAINING))
        );
    }

    /// Half of five members are three.
    function test_a_quorum_is_rounded_up() public {
        Proposal memory p = put(trainer, address(members), abi.encodeCall(members.setRoles, (runner, Roles.AUDITOR)));
        equal("quorum", governor.quorum(governor.proposalSnapshot(p.id)), 3);
        vote(p, trainer, FOR);
        vote(p, runner, FOR);
        pass(7 days);
        equal("defeated", uint256(governor.state(p.id)), uint256(IGovernor.ProposalState.Defeated));
    }

    function test_members_change_a_role() public {
        Proposal memory p =
            put(trainer, address(members), abi.encodeCall(members.setRoles, (runner, Roles.RUNNER | Roles.AUDITOR)));
        accept(p);
        equal("roles", members.rolesOf(runner), Roles.RUNNER | Roles.AUDITOR);
    }

    function test_members_name_a_pauser_and_end_a_pause() public {
        AccessManager manager = AccessManager(market.authority());
        bytes4[] memory pause = new bytes4[](1);
        pause[0] = market.pause.selector;
        accept(address(manager), abi.encodeCall(manager.setTargetFunctionRole, (address(market), pause, PAUSER)));
        accept(address(manager), abi.encodeCall(manager.grantRole, (PAUSER, auditor, 0)));
        vm.startPrank(auditor);
        market.pause();
        (bool ok,) = address(market).call(abi.encodeCall(market.unpause, ()));
        vm.stopPrank();
        if (ok || !market.paused()) revert("pauser");
        accept(address(market), abi.encodeCall(market.unpause, ()));
        if (market.paused()) revert("still paused");
    }

    function test_members_allow_and_disallow_a_program() public {
        bytes32 measurement = measurementOf(Kinds.QUERY);
        accept(address(programs), abi.encodeCall(programs.disallow, (measurement)));
        refused(
            user,
            abi.encodeWithSelector(Programs.NotAllowed.selector, measurement),
            address(enclaves),
            abi.encodeCall(enclaves.requireLive, (vm.addr(QUERY_KEY), Kinds.QUERY))
        );
        accept(address(programs), abi.encodeCall(programs.allow, (measurement)));
        enclaves.requireLive(vm.addr(QUERY_KEY), Kinds.QUERY);
    }

    /// The fee by vote, to the timelock itself, whose money the members then spend by vote.
    function test_members_set_the_fee_and_spend_it() public {
        accept(address(market), abi.encodeCall(market.setFee, (500, address(timelock))));
        equal("fee", market.feeBps(), 500);
        token.mint(address(timelock), 7);
        accept(address(token), abi.encodeCall(token.transfer, (stranger, 7)));
        equal("spent", token.balanceOf(stranger), 7);
    }

    /// A member whose account is a contract votes by a signature which its two keys make, and once.
    function test_a_contract_wallet_votes_by_signature() public {
        address wallet = address(new PairWallet(vm.addr(301), vm.addr(302)));
        accept(address(members), abi.encodeCall(members.add, (wallet, Roles.OWNER, "profile", "key")));
        Proposal memory p = put(trainer, address(members), abi.encodeCall(members.remove, (auditor)));
        bytes memory right = abi.encode(ballot(301, p.id, wallet), ballot(302, p.id, wallet));
        bytes memory half = abi.encode(ballot(301, p.id, wallet), ballot(303, p.id, wallet));
        bytes memory reason = abi.encodeWithSelector(IGovernor.GovernorInvalidSignature.selector, wallet);
        refused(stranger, reason, address(governor), abi.encodeCall(governor.castVoteBySig, (p.id, FOR, wallet, half)));
        refused(
            stranger, reason, address(governor), abi.encodeCall(governor.castVoteBySig, (p.id, AGAINST, wallet, right))
        );
        vm.startPrank(stranger);
        governor.castVoteBySig(p.id, FOR, wallet, right);
        vm.stopPrank();
        (, uint256 inFavor,) = governor.proposalVotes(p.id);
        equal("votes", inFavor, 1);
        // The number in it is used up, so it is a signature over something else now.
        refused(stranger, reason, address(governor), abi.encodeCall(governor.castVoteBySig, (p.id, FOR, wallet, right)));
    }

    function ballot(uint256 key, uint256 id, address voter) private view returns (bytes memory) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Histone"),
                keccak256("1"),
                block.chainid,
                address(governor)
            )
        );
        bytes32 hash = keccak256(
            abi.encode(
                keccak256("Ballot(uint256 proposalId,uint8 support,address voter,uint256 nonce)"),
                id,
                FOR,
                voter,
                uint256(0)
            )
        );
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, keccak256(abi.encodePacked(hex"1901", domain, hash)));
        return abi.encodePacked(r, s, v);
    }

    function test_members_revoke_an_enclave() public {
        address enclave = vm.addr(QUERY_KEY);
        accept(address(enclaves), abi.encodeCall(enclaves.revoke, (enclave)));
        if (!enclaves.enclave(enclave).revoked) revert("not revoked");
    }

    function test_one_vote_per_member_and_it_goes_with_membership() public {
        equal("trainer", members.getVotes(trainer), 1);
        equal("stranger", members.getVotes(stranger), 0);
        equal("all", members.getPastTotalSupply(time - 1), 5);
        Proposal memory p = put(trainer, address(members), abi.encodeCall(members.remove, (runner)));
        accept(p);
        equal("removed", members.getVotes(runner), 0);
        pass(1);
        equal("left", members.getPastTotalSupply(time - 1), 4);
        // Who is no member does not vote, and proposes nothing.
        p = put(auditor, address(members), abi.encodeCall(members.add, (stranger, Roles.OWNER, "profile", "key")));
        vote(p, runner, FOR);
        (, uint256 inFavor,) = governor.proposalVotes(p.id);
        equal("weight", inFavor, 0);
        vm.startPrank(runner);
        (bool ok,) = address(governor).call(abi.encodeCall(governor.propose, (p.targets, p.values, p.calls, "another")));
        vm.stopPrank();
        if (ok) revert("proposed without a vote");
        vote(p, trainer, FOR);
        vote(p, auditor, FOR);
        queue(p);
        pass(2 days);
        execute(p);
        equal("joined", members.getVotes(stranger), 1);
    }

    function test_a_vote_is_lent_and_comes_back() public {
        vm.startPrank(runner);
        members.delegate(trainer);
        vm.stopPrank();
        equal("two", members.getVotes(trainer), 2);
        // Membership ends: the lent vote ends. It begins again: the vote is the member's own.
        accept(address(members), abi.encodeCall(members.remove, (runner)));
        equal("one", members.getVotes(trainer), 1);
        vm.startPrank(runner);
        members.delegate(stranger);
        vm.stopPrank();
        equal("nothing to lend", members.getVotes(stranger), 0);
        accept(address(members), abi.encodeCall(members.add, (runner, Roles.RUNNER, "p", "k")));
        equal("own", members.getVotes(runner), 1);
        equal("not lent", members.getVotes(stranger), 0);
    }

    function test_too_few_votes_or_a_majority_against_decide_nothing() public {
        bytes memory call = abi.encodeCall(members.remove, (auditor));
        Proposal memory p = put(trainer, address(members), call);
        vote(p, trainer, FOR);
        pass(7 days);
        equal("no quorum", uint256(governor.state(p.id)), uint256(IGovernor.ProposalState.Defeated));
        p = put(trainer, address(members), abi.encodeCall(members.setRoles, (auditor, Roles.OWNER)));
        vote(p, trainer, FOR);
        vote(p, runner, FOR);
        vote(p, auditor, AGAINST);
        vote(p, author, AGAINST);
        vote(p, committee, AGAINST);
        pass(7 days);
        equal("against", uint256(governor.state(p.id)), uint256(IGovernor.ProposalState.Defeated));
        (bool ok,) = address(governor)
            .call(abi.encodeCall(governor.queue, (p.targets, p.values, p.calls, keccak256(bytes(p.reason)))));
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
        (bool scheduled,) =
            address(timelock).call(abi.encodeCall(timelock.schedule, (address(members), 0, call, 0, 0, 2 days)));
        (bool relayed,) = address(governor).call(abi.encodeCall(governor.relay, (address(members), 0, call)));
        (bool revoked,) = address(programs).call(abi.encodeCall(programs.revoke, (measurementOf(Kinds.QUERY))));
        vm.stopPrank();
        if (scheduled || relayed || revoked) revert("acted past the vote");
    }

    /// Joining, leaving and lending in any order: the votes are those of the members, no more and no less.
    function testFuzz_votes_are_those_of_the_members(uint256 seed) public {
        Members register = Members(deploy("Members", abi.encode(deploy("AccessManager", abi.encode(address(this))))));
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
            pass(1);
        }
        uint256 count;
        uint256 votes;
        for (uint256 i = 0; i < 5; ++i) {
            address who = vm.addr(900 + i);
            if (register.rolesOf(who) != 0) ++count;
            votes += register.getVotes(who);
        }
        equal("votes", votes, count);
        equal("all", register.getPastTotalSupply(time - 1), count);
    }
}
