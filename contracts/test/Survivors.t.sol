// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "./Base.sol";
import {RoundStatus} from "../src/IRounds.sol";
import {Market} from "../src/Market.sol";
import {Rounds} from "../src/Rounds.sol";

/// A trainer, enclaves, owners, the committee and strangers who try everything at any time on the rounds of one model.
contract RoundsHandler is Base {
    uint16 public constant DONORS = 6;
    uint256 public modelId;
    uint32 public last;
    uint256 public moved;
    uint256 public forged;
    uint256 public closed;
    uint256 public miscounted;
    uint256 public excluded;
    uint256 private _now;

    // What was seen first of each attempt of a round, and of its end; 0 for not yet.
    mapping(uint32 round => mapping(uint16 attempt => bytes32)) private _set;
    mapping(uint32 round => bytes32) private _outcome;
    mapping(uint32 round => uint256) private _openedWith;
    // Seats that voted on somebody: by round, reason and who.
    mapping(bytes32 what => mapping(uint256 seat => bool)) private _voted;
    mapping(bytes32 what => uint256) private _votes;

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

    function openRound(bytes32 header, uint32 window) external {
        uint64 deadline = uint64(_now + 1 days);
        vm.startPrank(trainer);
        try rounds.open(modelId, header, deadline, deadline + window % 3 days) returns (uint32 round) {
            last = round;
        } catch {}
        vm.stopPrank();
        look();
    }

    function anchorUpdate(uint16 index, uint32 round, bytes32 blob) external {
        (index, round) = (index % (DONORS + 2), _some(round));
        address enclave = trainingEnclave(index);
        bytes32 header = rounds.roundInfo(modelId, round).headerHash;
        bytes memory receipt = _update(keyOf[enclave], round, header, blob, index);
        try rounds.anchor(modelId, round, blob, index, enclave, receipt) {} catch {}
        look();
    }

    function _update(uint256 key, uint32 round, bytes32 header, bytes32 blob, uint16 index)
        private
        view
        returns (bytes memory)
    {
        bytes32 typehash = keccak256(
            "UpdateReceipt(uint256 modelId,uint32 round,bytes32 headerHash,bytes32 blobHash,uint16 donorIndex)"
        );
        return sign(key, address(rounds), keccak256(abi.encode(typehash, modelId, round, header, blob, index)));
    }

    /// A receipt for another donor or another round, or by another key.
    function anchorForged(uint16 index, uint32 round, uint256 how) external {
        (index, round) = (index % (DONORS + 2), _some(round));
        address enclave = trainingEnclave(index);
        bytes32 header = rounds.roundInfo(modelId, round).headerHash;
        bytes memory receipt = how % 3 == 0
            ? _update(QUERY_KEY, round, header, "blob", index)
            : how % 3 == 1
                ? _update(keyOf[enclave], round + 1, header, "blob", index)
                : _update(keyOf[enclave], round, header, "blob", index + 1);
        try rounds.anchor(modelId, round, "blob", index, enclave, receipt) {
            ++forged;
        } catch {}
        look();
    }

    function closeRound(uint32 round, uint256 who) external {
        vm.startPrank(who % 2 == 0 ? trainer : stranger);
        try rounds.close(modelId, _some(round)) {} catch {}
        vm.stopPrank();
        look();
    }

    function openSum(uint32 round, uint256 who, bytes32 partialHash) external {
        vm.startPrank(who % 8 == 7 ? stranger : seats[who % 8]);
        round = _some(round);
        uint16 attempt = rounds.roundInfo(modelId, round).attempt;
        try rounds.postPartial(modelId, round, attempt, partialHash) {} catch {}
        vm.stopPrank();
        look();
    }

    function openWhole(uint256 from) external {
        if (last == 0) return;
        for (uint256 i = 0; i < QUORUM; ++i) {
            vm.startPrank(seats[(from % SEATS + i) % SEATS]);
            uint16 attempt = rounds.roundInfo(modelId, last).attempt;
            try rounds.postPartial(modelId, last, attempt, "partial") {} catch {}
            vm.stopPrank();
            look();
        }
    }

    function finalizeRound(uint32 round, bytes32 aggregate, bytes32 model) external {
        vm.startPrank(trainer);
        try rounds.finalize(modelId, _some(round), aggregate, model) {} catch {}
        vm.stopPrank();
        look();
    }

    function voidRound(uint32 round) external {
        try rounds.voidRound(modelId, _some(round)) {} catch {}
        look();
    }

    /// Most votes are in the latest round, by seats 0 to 2, so that some of them count.
    function blameOne(uint32 round, uint256 who, uint16 index, uint8 reason) external {
        round = round % 4 == 0 ? _some(round) : last;
        uint256 seat = who % 3;
        index %= DONORS + 2;
        reason = reason % 10;
        uint256 before = market.model(modelId).excluded;
        vm.startPrank(who % 16 == 15 ? stranger : seats[seat]);
        try rounds.blameDonor(modelId, round, index, reason) {
            _count(keccak256(abi.encode(round, index, reason)), seat);
        } catch {}
        vm.stopPrank();
        // One vote alone, or votes for different reasons, exclude nobody.
        if (market.model(modelId).excluded != before && _votes[keccak256(abi.encode(round, index, reason))] < 2) {
            ++miscounted;
        }
        excluded = market.model(modelId).excluded;
        look();
    }

    function blameSeat(uint256 who, uint256 whom, uint8 reason) external {
        address member = seats[whom % SEATS];
        bool before = rounds.isNamed(modelId, member);
        bytes32 what = keccak256(abi.encode(last, member, reason % 8));
        vm.startPrank(seats[who % 3]);
        try rounds.blameMember(modelId, last, member, reason % 8) {
            _count(what, who % 3);
        } catch {}
        vm.stopPrank();
        if (rounds.isNamed(modelId, member) != before && (_votes[what] < 2 || reason % 8 == 6)) ++miscounted;
        look();
    }

    function _count(bytes32 what, uint256 seat) private {
        if (_voted[what][seat]) ++miscounted;
        _voted[what][seat] = true;
        ++_votes[what];
    }

    function leaving(uint16 index, bool withdraw) external {
        index = index % DONORS + 1;
        bytes32 id = datasets.idOf(vm.addr(10_000 + index), rootOf(index));
        if (withdraw && !datasets.dataset(id).withdrawn) withdrawDataset(index);
        try market.endUse(modelId, index) {} catch {}
        look();
    }

    function passTime(uint32 time) external {
        _now += time % 30 hours;
        vm.warp(_now);
        look();
    }

    function _some(uint32 round) private view returns (uint32) {
        return round % (last + 2);
    }

    /// Looks at every round, and counts what changed that must not.
    function look() public {
        for (uint32 round = 1; round <= last; ++round) {
            Rounds.RoundInfo memory r = rounds.roundInfo(modelId, round);
            if (r.status == RoundStatus.Open) continue;
            (uint256[] memory bitmap, uint16 count) = rounds.survivors(modelId, round);
            bytes32 set = keccak256(abi.encode(bitmap, count));
            if (_set[round][r.attempt] == 0) {
                _set[round][r.attempt] = set;
                ++closed;
            } else if (_set[round][r.attempt] != set) {
                ++moved;
            }
            _lookAtPosts(round, r, count);
            if (r.status != RoundStatus.Final) continue;
            bytes32 outcome = keccak256(abi.encode(r.aggregateHash, r.modelHash));
            if (_outcome[round] == 0) _outcome[round] = outcome;
            else if (_outcome[round] != outcome) ++moved;
        }
    }

    function _lookAtPosts(uint32 round, Rounds.RoundInfo memory r, uint16 count) private {
        uint256 posted;
        for (uint256 i = 0; i < SEATS; ++i) {
            if (rounds.partialOf(modelId, round, seats[i]) != 0) ++posted;
        }
        // Posts are counted right, and a quorum opens the sum. What is open has enough survivors.
        if (posted != r.partials || count != r.survivors) ++miscounted;
        if (!r.opened && posted >= QUORUM) ++miscounted;
        if (r.status != RoundStatus.Failed && count < r.minSurvivors) ++miscounted;
        if (r.status == RoundStatus.Final && !r.opened) ++miscounted;
        if (r.status == RoundStatus.Void && r.opened) ++miscounted;
        // Once open it is open, and its set is the one that was opened.
        if (r.opened && _openedWith[round] == 0) _openedWith[round] = uint256(r.attempt) + 1;
        if (_openedWith[round] != 0 && (!r.opened || r.attempt + 1 != _openedWith[round])) ++moved;
    }
}

contract SurvivorsInvariantTest {
    error Moved(uint256 rounds);
    error Forged(uint256 updates);
    error Miscounted(uint256 times);

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
        bytes4[] memory s = new bytes4[](12);
        s[0] = RoundsHandler.openRound.selector;
        s[1] = RoundsHandler.anchorUpdate.selector;
        s[2] = RoundsHandler.anchorForged.selector;
        s[3] = RoundsHandler.closeRound.selector;
        s[4] = RoundsHandler.openSum.selector;
        s[5] = RoundsHandler.finalizeRound.selector;
        s[6] = RoundsHandler.passTime.selector;
        s[7] = RoundsHandler.blameOne.selector;
        s[8] = RoundsHandler.blameSeat.selector;
        s[9] = RoundsHandler.leaving.selector;
        s[10] = RoundsHandler.voidRound.selector;
        s[11] = RoundsHandler.openWhole.selector;
        targets[0] = FuzzSelector(address(_handler), s);
    }

    /// An attempt of a round has one set of survivors, an opened round keeps it, a final one has one outcome, for ever.
    function invariant_one_survivor_set_an_attempt() external view {
        if (_handler.moved() != 0) revert Moved(_handler.moved());
        if (_handler.forged() != 0) revert Forged(_handler.forged());
    }

    /// Posts, survivors and votes are counted right, whatever is taken back.
    function invariant_posts_and_votes_are_counted_right() external view {
        if (_handler.miscounted() != 0) revert Miscounted(_handler.miscounted());
    }
}

/// That the handler above gets rounds to close, so that the invariants say something.
contract SurvivorsTest is RoundsHandler {
    function setUp() public override {
        if (address(market) == address(0)) super.setUp();
    }

    function test_the_handler_ends_rounds() public {
        this.init();
        this.openRound(HEADER, 1 days);
        this.anchorUpdate(1, 1, "one");
        this.anchorForged(2, 1, 0);
        this.anchorUpdate(3, 1, "three");
        this.anchorUpdate(5, 1, "five");
        this.passTime(29 hours);
        this.closeRound(1, 1);
        this.anchorUpdate(4, 1, "late");
        this.openSum(1, 1, "partial");
        this.blameOne(1, 0, 5, 1);
        this.blameOne(1, 1, 5, 1);
        equal("excluded", this.excluded(), 1);
        this.blameSeat(0, 6, 5);
        this.blameSeat(1, 6, 5);
        this.openWhole(0);
        this.finalizeRound(1, "aggregate", "model");
        this.finalizeRound(1, "another", "model");
        this.leaving(1, true);
        (uint256[] memory bitmap, uint16 count) = rounds.survivors(modelId, 1);
        equal("bitmap", bitmap[0], 2 + 8);
        equal("count", count, 2);
        equal("status", uint256(rounds.roundInfo(modelId, 1).status), uint256(RoundStatus.Final));
        equal("closed, with two sets", this.closed(), 2);
        equal("moved", this.moved() + this.forged() + this.miscounted(), 0);
    }
}
