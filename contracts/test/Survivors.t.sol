// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "./Base.sol";
import {RoundStatus} from "../src/IRounds.sol";
import {Market} from "../src/Market.sol";

/// A trainer, enclaves, the committee and strangers who try everything at any time on the rounds of one model.
contract RoundsHandler is Base {
    uint16 public constant DONORS = 6;
    uint256 public modelId;
    uint32 public last;
    uint256 public moved;
    uint256 public forged;
    uint256 public closed;
    uint256 private _now;

    // What was seen first of each round; 0 for not yet.
    mapping(uint32 round => bytes32) private _set;
    mapping(uint32 round => bytes32) private _outcome;

    function init() external {
        setUp();
        _now = 1_000_000;
        Market.Terms memory t = terms();
        t.maxDonors = DONORS;
        modelId = propose(t);
        for (uint256 n = 1; n <= DONORS; ++n) {
            donate(modelId, n, 1);
        }
        start(modelId);
    }

    function openRound(uint16 minSurvivors, bytes32 header) external {
        vm.startPrank(trainer);
        try rounds.open(modelId, header, uint64(_now + 1 days), minSurvivors % 4, 1) returns (uint32 round) {
            last = round;
        } catch {}
        vm.stopPrank();
        look();
    }

    function anchorUpdate(uint16 index, uint32 round, bytes32 blob) external {
        (index, round) = (index % (DONORS + 2), round % (last + 2));
        bytes memory receipt = signUpdate(TRAINING_KEY, modelId, round, blob, index);
        try rounds.anchor(modelId, round, blob, index, vm.addr(TRAINING_KEY), receipt) {} catch {}
        look();
    }

    /// A receipt for another donor or another round, or by another key.
    function anchorForged(uint16 index, uint32 round, uint256 how) external {
        (index, round) = (index % (DONORS + 2), round % (last + 2));
        bytes memory receipt = how % 3 == 0
            ? signUpdate(QUERY_KEY, modelId, round, "blob", index)
            : how % 3 == 1
                ? signUpdate(TRAINING_KEY, modelId, round + 1, "blob", index)
                : signUpdate(TRAINING_KEY, modelId, round, "blob", index + 1);
        try rounds.anchor(modelId, round, "blob", index, vm.addr(TRAINING_KEY), receipt) {
            ++forged;
        } catch {}
        look();
    }

    function closeRound(uint32 round, uint256 who) external {
        vm.startPrank(who % 2 == 0 ? trainer : stranger);
        try rounds.close(modelId, round % (last + 2)) {} catch {}
        vm.stopPrank();
        look();
    }

    function openSum(uint32 round, uint256 who, bytes32 partialHash) external {
        vm.startPrank(who % 3 == 0 ? stranger : committee);
        try rounds.postPartial(modelId, round % (last + 2), partialHash) {} catch {}
        vm.stopPrank();
        look();
    }

    function finalizeRound(uint32 round, bytes32 aggregate, bytes32 model) external {
        vm.startPrank(trainer);
        try rounds.finalize(modelId, round % (last + 2), aggregate, model) {} catch {}
        vm.stopPrank();
        look();
    }

    function passTime(uint32 time) external {
        _now += time % 30 hours;
        vm.warp(_now);
        look();
    }

    /// Looks at every round, and counts what changed that must not.
    function look() public {
        for (uint32 round = 1; round <= last; ++round) {
            RoundStatus status = rounds.roundInfo(modelId, round).status;
            if (status == RoundStatus.Open) continue;
            (uint256[] memory bitmap, uint16 count) = rounds.survivors(modelId, round);
            bytes32 set = keccak256(abi.encode(bitmap, count));
            if (_set[round] == 0) {
                _set[round] = set;
                ++closed;
            } else if (_set[round] != set) {
                ++moved;
            }
            if (status != RoundStatus.Final) continue;
            bytes32 outcome = keccak256(
                abi.encode(rounds.roundInfo(modelId, round).aggregateHash, rounds.roundInfo(modelId, round).modelHash)
            );
            if (_outcome[round] == 0) _outcome[round] = outcome;
            else if (_outcome[round] != outcome) ++moved;
        }
    }
}

contract SurvivorsInvariantTest {
    error Moved(uint256 rounds);
    error Forged(uint256 updates);

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    RoundsHandler private _handler;

    function setUp() public {
        _handler = new RoundsHandler();
        _handler.init();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        bytes4[] memory s = new bytes4[](7);
        s[0] = RoundsHandler.openRound.selector;
        s[1] = RoundsHandler.anchorUpdate.selector;
        s[2] = RoundsHandler.anchorForged.selector;
        s[3] = RoundsHandler.closeRound.selector;
        s[4] = RoundsHandler.openSum.selector;
        s[5] = RoundsHandler.finalizeRound.selector;
        s[6] = RoundsHandler.passTime.selector;
        targets[0] = FuzzSelector(address(_handler), s);
    }

    /// A round that is not open any more has one set of survivors, and a final one has one outcome, for ever.
    function invariant_one_survivor_set_a_round() external view {
        if (_handler.moved() != 0) revert Moved(_handler.moved());
        if (_handler.forged() != 0) revert Forged(_handler.forged());
    }
}

/// That the handler above gets rounds to close, so that the invariant says something.
contract SurvivorsTest is RoundsHandler {
    function setUp() public override {
        if (address(market) == address(0)) super.setUp();
    }

    function test_the_handler_ends_rounds() public {
        this.init();
        this.openRound(1, HEADER);
        this.anchorUpdate(1, 1, "one");
        this.anchorForged(2, 1, 0);
        this.anchorUpdate(3, 1, "three");
        this.passTime(29 hours);
        this.closeRound(1, 1);
        this.anchorUpdate(4, 1, "late");
        this.openSum(1, 1, "partial");
        this.finalizeRound(1, "aggregate", "model");
        this.finalizeRound(1, "another", "model");
        (uint256[] memory bitmap, uint16 count) = rounds.survivors(modelId, 1);
        equal("bitmap", bitmap[0], 2 + 8);
        equal("count", count, 2);
        equal("status", uint256(rounds.roundInfo(modelId, 1).status), uint256(RoundStatus.Final));
        equal("closed", this.closed(), 1);
        equal("moved", this.moved() + this.forged(), 0);
    }
}
