// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {Governed} from "./Governed.sol";
import {Directory} from "../src/Directory.sol";
import {Epochs} from "../src/Epochs.sol";
import {Members, Roles} from "../src/Members.sol";
import {Kinds} from "../src/Programs.sol";

/// Everybody but the timelock, trying everything that only it may do. The auditor may pause at once, and the committee
/// may end a pause after announcing it for a day; neither helps to anything else.
contract RolesHandler is Governed {
    uint64 private constant PAUSER = 1;
    uint64 private constant RESUMER = 2;

    address[] private _actors;
    address[] private _targets;
    AccessManager private _manager;
    Epochs private _pool;
    uint256 public accepted;

    function beforeHandOver(AccessManager manager) internal override {
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = market.pause.selector;
        manager.setTargetFunctionRole(address(market), selectors, PAUSER);
        manager.grantRole(PAUSER, auditor, 0);
        selectors[0] = market.unpause.selector;
        manager.setTargetFunctionRole(address(market), selectors, RESUMER);
        manager.grantRole(RESUMER, committee, 1 days);
        _manager = manager;
        _pool = newPool(address(token), vm.addr(8), 1 days, SILENCE);
    }

    function init() external {
        setUp();
        // The governor is here, too: it decides only what was voted. So is the founder, who handed over.
        _actors = [trainer, runner, auditor, author, committee, user, stranger, address(governor), address(this)];
        _targets = [
            address(_manager),
            address(members),
            address(programs),
            address(market),
            address(directory),
            address(timelock),
            address(governor)
        ];
    }

    /// Everything that no call here may change, as one number.
    function digest() external view returns (bytes32 d) {
        for (uint256 i = 0; i < _actors.length; ++i) {
            address who = _actors[i];
            d = keccak256(abi.encode(d, members.rolesOf(who), members.getVotes(who)));
            for (uint64 role = 0; role < 4; ++role) {
                (bool holds, uint32 delay) = _manager.hasRole(role, who);
                d = keccak256(abi.encode(d, holds, delay));
            }
            d = keccak256(
                abi.encode(
                    d,
                    timelock.hasRole(0, who),
                    timelock.hasRole(timelock.PROPOSER_ROLE(), who),
                    timelock.hasRole(timelock.CANCELLER_ROLE(), who)
                )
            );
        }
        for (uint64 role = 0; role < 4; ++role) {
            d = keccak256(
                abi.encode(
                    d, _manager.getRoleAdmin(role), _manager.getRoleGuardian(role), _manager.getRoleGrantDelay(role)
                )
            );
        }
        for (uint256 i = 0; i < _targets.length; ++i) {
            bool closed = _manager.isTargetClosed(_targets[i]);
            d = keccak256(abi.encode(d, closed, _manager.getTargetAdminDelay(_targets[i])));
        }
        bytes4[6] memory selectors = [
            members.setRoles.selector,
            market.setFee.selector,
            market.pause.selector,
            market.unpause.selector,
            directory.set.selector,
            programs.allow.selector
        ];
        for (uint256 i = 0; i < selectors.length; ++i) {
            for (uint256 j = 0; j < _targets.length; ++j) {
                d = keccak256(abi.encode(d, _manager.getTargetFunctionRole(_targets[j], selectors[i])));
            }
        }
        for (uint8 kind = Kinds.VALIDATION; kind <= Kinds.QUERY; ++kind) {
            d = keccak256(abi.encode(d, programs.program(measurementOf(kind)).allowed));
        }
        d = keccak256(abi.encode(d, market.feeBps(), market.treasury(), market.rounds(), directory.entries()));
        d = keccak256(abi.encode(d, members.authority(), market.authority(), directory.authority()));
        d = keccak256(abi.encode(d, _pool.keeper(), rounds.lastRound(1)));
        d = keccak256(abi.encode(d, timelock.getMinDelay(), governor.votingDelay(), governor.votingPeriod()));
        d = keccak256(abi.encode(d, governor.quorumNumerator(), governor.timelock(), governor.proposalThreshold()));
    }

    function paused() external view returns (bool) {
        return market.paused();
    }

    function passTime(uint32 seconds_) external {
        pass(seconds_ % 3 days);
    }

    /// A call which one of the contracts makes only for governance; `seed` chooses who tries what on whom.
    function attempt(uint256 seed) external {
        (address target, bytes memory call) = wanted(seed);
        attemptAs(_actors[(seed >> 8) % _actors.length], target, call);
    }

    /// The same by way of the access manager, which makes calls for others once they were announced.
    function announce(uint256 seed) external {
        (address target, bytes memory call) = wanted(seed);
        address who = _actors[(seed >> 8) % _actors.length];
        attemptAs(who, address(_manager), abi.encodeCall(_manager.schedule, (target, call, 0)));
    }

    function performAnnounced(uint256 seed) external {
        (address target, bytes memory call) = wanted(seed);
        address who = _actors[(seed >> 8) % _actors.length];
        attemptAs(who, address(_manager), abi.encodeCall(_manager.execute, (target, call)));
    }

    /// And by way of the timelock and of the governor.
    function goAround(uint256 seed) external {
        (address target, bytes memory call) = wanted(seed);
        address who = _actors[(seed >> 8) % _actors.length];
        uint256 how = (seed >> 16) % 3;
        if (how == 0) {
            attemptAs(who, address(timelock), abi.encodeCall(timelock.schedule, (target, 0, call, 0, 0, 2 days)));
        }
        if (how == 1) attemptAs(who, address(timelock), abi.encodeCall(timelock.execute, (target, 0, call, 0, 0)));
        // The governor relays for its timelock; what it is itself asked to do by itself is the same as by others.
        if (how == 2 && who != address(governor)) {
            attemptAs(who, address(governor), abi.encodeCall(governor.relay, (target, 0, call)));
        }
    }

    function attemptAs(address who, address target, bytes memory call) private {
        // The proposer of the timelock is the governor, which schedules what was voted and nothing else.
        if (who == address(governor) && target == address(timelock)) return;
        vm.startPrank(who);
        (bool ok,) = target.call(call);
        vm.stopPrank();
        if (ok) ++accepted;
    }

    function wanted(uint256 seed) private view returns (address target, bytes memory call) {
        address who = _actors[(seed >> 24) % _actors.length];
        address what = _targets[(seed >> 32) % _targets.length];
        uint64 role = uint64((seed >> 40) % 4);
        bytes4[] memory selectors = new bytes4[](2);
        selectors[0] = market.setFee.selector;
        selectors[1] = members.setRoles.selector;
        uint256 which = seed % 30;
        if (which < 12) return (address(_manager), managerCall(which, who, what, role, selectors));
        if (which == 12) return (address(members), abi.encodeCall(members.add, (user, Roles.ALL, 0, 0)));
        if (which == 13) return (address(members), abi.encodeCall(members.setRoles, (trainer, Roles.ALL)));
        if (which == 14) return (address(members), abi.encodeCall(members.remove, (runner)));
        if (which == 15) return (address(market), abi.encodeCall(market.setFee, (1_000, who)));
        if (which == 16) return (address(market), abi.encodeCall(market.setRounds, (rounds)));
        if (which == 17) return (address(market), abi.encodeCall(market.pause, ()));
        if (which == 18) return (address(market), abi.encodeCall(market.unpause, ()));
        if (which == 19) return (address(programs), abi.encodeCall(programs.disallow, (measurementOf(Kinds.QUERY))));
        if (which == 20) {
            Directory.Entry[] memory list = new Directory.Entry[](1);
            list[0] = Directory.Entry("market", what);
            return (address(directory), abi.encodeCall(directory.set, (list)));
        }
        // Every managed contract would follow another manager if its own told it to.
        if (which == 21) return (what, abi.encodeCall(AccessManaged.setAuthority, (address(_manager))));
        if (which == 22) {
            return (address(timelock), abi.encodeCall(timelock.grantRole, (timelock.PROPOSER_ROLE(), who)));
        }
        if (which == 23) return (address(timelock), abi.encodeCall(timelock.updateDelay, (0)));
        if (which == 24) return (address(governor), abi.encodeCall(governor.setVotingPeriod, (1)));
        if (which == 25) return (address(_pool), abi.encodeCall(_pool.setKeeper, (who)));
        // What market and rounds tell each other.
        if (which == 26) return (address(market), abi.encodeCall(market.excludeDonor, (1, 1)));
        if (which == 27) return (address(rounds), abi.encodeCall(rounds.dropDonor, (1, 1)));
        if (which == 28) {
            return (address(rounds), abi.encodeCall(rounds.fixCommittee, (1, seats, keysOf(seats), 1, 2)));
        }
        return (address(governor), abi.encodeCall(governor.updateQuorumNumerator, (0)));
    }

    function managerCall(uint256 which, address who, address what, uint64 role, bytes4[] memory selectors)
        private
        view
        returns (bytes memory)
    {
        if (which == 0) return abi.encodeCall(_manager.grantRole, (role, who, 0));
        if (which == 1) return abi.encodeCall(_manager.revokeRole, (role, who));
        if (which == 2) return abi.encodeCall(_manager.setRoleAdmin, (role, 1));
        if (which == 3) return abi.encodeCall(_manager.setRoleGuardian, (role, 1));
        if (which == 4) return abi.encodeCall(_manager.setGrantDelay, (role, 0));
        if (which == 5) return abi.encodeCall(_manager.setTargetFunctionRole, (what, selectors, role));
        if (which == 6) return abi.encodeCall(_manager.setTargetClosed, (what, true));
        if (which == 7) return abi.encodeCall(_manager.setTargetAdminDelay, (what, 1));
        if (which == 8) return abi.encodeCall(_manager.updateAuthority, (what, who));
        if (which == 9) return abi.encodeCall(_manager.labelRole, (role, "label"));
        if (which == 10) return abi.encodeCall(_manager.cancel, (committee, what, abi.encodeCall(market.unpause, ())));
        return abi.encodeCall(_manager.consumeScheduledOp, (who, abi.encodeCall(market.unpause, ())));
    }
}

/// No sequence of calls by anybody but governance changes who may do what.
contract RolesInvariantTest {
    error Escalated();

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    RolesHandler private _handler;
    bytes32 private _digest;

    function setUp() public {
        _handler = new RolesHandler();
        _handler.init();
        _digest = _handler.digest();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        bytes4[] memory s = new bytes4[](5);
        s[0] = RolesHandler.attempt.selector;
        s[1] = RolesHandler.announce.selector;
        s[2] = RolesHandler.performAnnounced.selector;
        s[3] = RolesHandler.goAround.selector;
        s[4] = RolesHandler.passTime.selector;
        targets[0] = FuzzSelector(address(_handler), s);
    }

    /// forge-config: default.invariant.runs = 24
    function invariant_roles_do_not_escalate() external view {
        if (_handler.digest() != _digest) revert Escalated();
    }
}

/// That the handler above reaches what the two roles are for, so that its refusals mean something.
contract RolesTest is RolesHandler {
    function setUp() public override {
        if (address(market) == address(0)) super.setUp();
    }

    function test_the_handler_pauses_and_resumes() public {
        this.init();
        bytes32 before = this.digest();
        // The auditor, third of the actors, pauses: call 17 of 30.
        uint256 pausing = seedFor(17, 2);
        this.attempt(pausing);
        if (!this.paused() || accepted != 1) revert("not paused");
        // The committee ends it: not at once, and a day after announcing it.
        uint256 resuming = seedFor(18, 4);
        this.attempt(resuming);
        equal("direct", accepted, 1);
        this.announce(resuming);
        equal("announced", accepted, 2);
        this.performAnnounced(resuming);
        equal("too early", accepted, 2);
        pass(1 days);
        this.performAnnounced(resuming);
        if (this.paused() || accepted != 3) revert("not resumed");
        if (this.digest() != before) revert("changed");
    }

    /// A digest that changes when something does.
    function test_the_digest_sees_a_vote() public {
        this.init();
        bytes32 before = this.digest();
        accept(address(market), abi.encodeCall(market.setFee, (1, stranger)));
        if (this.digest() == before) revert("fee unseen");
        before = this.digest();
        accept(address(members), abi.encodeCall(members.setRoles, (trainer, Roles.ALL)));
        if (this.digest() == before) revert("role unseen");
    }

    /// A seed which chooses this call and this actor.
    function seedFor(uint256 call, uint256 actor) private pure returns (uint256 seed) {
        for (seed = actor << 8; seed % 30 != call || (seed >> 8) % 9 != actor; ++seed) {}
    }
}
