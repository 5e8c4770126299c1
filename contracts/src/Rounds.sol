// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Enclaves} from "./Enclaves.sol";
import {IRounds, RoundStatus} from "./IRounds.sol";
import {Market} from "./Market.sol";
import {Members, Roles} from "./Members.sol";
import {Kinds} from "./Programs.sol";
import {Signed} from "./Signed.sol";

/// @title Training rounds: one header opens one sum over one set of survivors.
/// @notice Each donor's enclave anchors the hash of one encrypted update. Closing fixes who is in the sum; the
/// committee posts the hashes of its partial openings; the trainer posts the hashes of the sum and of the new model,
/// which anybody can recompute from the public blobs. Hashes that nobody here reads again are kept in events only.
contract Rounds is Signed, IRounds {
    using SafeCast for uint256;

    /// @notice One round of one model.
    /// @param status Where it stands.
    /// @param deadline Unix seconds; up to then updates are anchored.
    /// @param minSurvivors With fewer updates the round fails.
    /// @param quorum Partial openings needed.
    /// @param partials Partial openings posted.
    /// @param survivors Updates in the sum; 0 before closing.
    /// @param anchoredLow Bit i: donor i anchored an update, for the first 127 donors. It shares a slot with the rest,
    /// which makes anchoring in small rounds cheaper; see `survivors` for all donors.
    /// @param headerHash Hash of the round header.
    /// @param aggregateHash Hash of the opened sum; 0 before.
    /// @param modelHash Hash of the new model; 0 before.
    struct Round {
        RoundStatus status;
        uint40 deadline;
        uint16 minSurvivors;
        uint8 quorum;
        uint8 partials;
        uint16 survivors;
        uint128 anchoredLow;
        bytes32 headerHash;
        bytes32 aggregateHash;
        bytes32 modelHash;
    }

    uint256 private constant LOW = 128;
    uint256 private constant DEADLINE_BITS = 40;
    uint256 private constant PER_WORD = 256 - DEADLINE_BITS;

    bytes32 private constant UPDATE_TYPEHASH =
        keccak256("UpdateReceipt(uint256 modelId,uint32 round,bytes32 headerHash,bytes32 blobHash,uint16 donorIndex)");

    /// @notice The register of members.
    Members public immutable members;
    /// @notice The register of enclaves.
    Enclaves public immutable enclaves;
    /// @notice The market with the models.
    Market public immutable market;

    // Number of the latest round and when it began; number of rounds whose sum is open, and what the most lenient of
    // them asked for: the least updates, the shortest time in seconds.
    struct Progress {
        uint32 last;
        uint40 began;
        uint32 opened;
        uint16 leastSurvivors;
        uint40 shortest;
    }

    mapping(uint256 modelId => Progress) private _progress;
    mapping(uint256 modelId => mapping(uint256 round => Round)) private _rounds;
    // Donors from 128 on, `PER_WORD` in each word: below are the 40 bits of the deadline, so that anchoring needs no other
    // slot to know whether the round is open; above is a bit for each donor, cleared when the donor anchors. Whoever
    // opens the round pays for the words, which is what setting all bits is for; so no donor pays more than another.
    mapping(uint256 key => uint256) private _missingHigh;
    mapping(uint256 modelId => mapping(uint256 round => mapping(address member => bytes32))) private _partials;

    /// @notice A round began.
    event RoundOpened(
        uint256 indexed modelId,
        uint32 indexed round,
        bytes32 headerHash,
        uint64 deadline,
        uint16 minSurvivors,
        uint8 quorum
    );
    /// @notice The hash of one encrypted update is on record.
    event UpdateAnchored(uint256 indexed modelId, uint32 indexed round, uint16 indexed donorIndex, bytes32 blobHash);
    /// @notice The set of survivors is fixed: donor i is bit i % 256 of word i / 256.
    event RoundClosed(uint256 indexed modelId, uint32 indexed round, uint16 survivors, uint256[] bitmap);
    /// @notice Too few donors took part.
    event RoundFailed(uint256 indexed modelId, uint32 indexed round, uint16 survivors, uint16 minSurvivors);
    /// @notice A committee member posted the hash of its partial opening.
    event PartialPosted(uint256 indexed modelId, uint32 indexed round, address indexed member, bytes32 partialHash);
    /// @notice The sum was opened and a new model made.
    event RoundFinal(uint256 indexed modelId, uint32 indexed round, bytes32 aggregateHash, bytes32 modelHash);

    /// @notice Only the trainer of the model may do this now.
    error NotTrainer(uint256 modelId, address account);
    /// @notice The model is not in training.
    error NotTraining(uint256 modelId, Market.State state);
    /// @notice The previous round is not over.
    error PreviousRoundRunning(uint256 modelId, uint32 round, RoundStatus status);
    /// @notice The round is in a state in which this is not possible.
    error WrongRoundStatus(uint256 modelId, uint32 round, RoundStatus status);
    /// @notice The deadline has passed.
    error DeadlinePassed(uint256 modelId, uint32 round, uint64 deadline);
    /// @notice The deadline is not in the future.
    error DeadlineTooEarly(uint64 deadline);
    /// @notice Not every donor anchored an update, and the deadline has not passed.
    error StillOpen(uint256 modelId, uint32 round, uint16 anchored, uint64 deadline);
    /// @notice `minSurvivors` must be at least 1 and at most the number of donors.
    error InvalidMinSurvivors(uint16 minSurvivors, uint16 donors);
    /// @notice No new rounds while the market is paused.
    error MarketPaused();
    /// @notice At least one partial opening is needed.
    error ZeroQuorum();
    /// @notice A hash that must be given is zero.
    error ZeroHash();
    /// @notice The data of this donor is with the enclave that has the running number `expected`.
    error ForeignEnclave(uint16 donorIndex, uint32 expected, address given);
    /// @notice This donor anchored an update already.
    error AlreadyAnchored(uint256 modelId, uint32 round, uint16 donorIndex);
    /// @notice This committee member posted already.
    error AlreadyPosted(uint256 modelId, uint32 round, address member);
    /// @notice `partials` of `quorum` partial openings are posted.
    error QuorumMissing(uint256 modelId, uint32 round, uint8 partials, uint8 quorum);

    constructor(Members members_, Enclaves enclaves_, Market market_) {
        members = members_;
        enclaves = enclaves_;
        market = market_;
    }

    /// @notice Begins the next round of a model in training. Trainer only; the previous round must be over, and the market
    /// not paused.
    /// @param headerHash Hash of the round header: global model, cohort, committee, quantiser, noise.
    /// @param deadline Unix seconds; up to then updates are anchored.
    /// @param minSurvivors With fewer updates the round fails.
    /// @param quorum Partial openings needed to open the sum.
    /// @return round Its number, from 1.
    function open(uint256 modelId, bytes32 headerHash, uint64 deadline, uint16 minSurvivors, uint8 quorum)
        external
        returns (uint32 round)
    {
        uint16 donors = _checkTrainer(modelId);
        if (market.paused()) revert MarketPaused();
        uint32 last = _progress[modelId].last;
        RoundStatus status = _rounds[modelId][last].status;
        if (status == RoundStatus.Open || status == RoundStatus.Closed) {
            revert PreviousRoundRunning(modelId, last, status);
        }
        if (headerHash == 0) revert ZeroHash();
        if (deadline <= block.timestamp) revert DeadlineTooEarly(deadline);
        if (minSurvivors == 0 || minSurvivors > donors) revert InvalidMinSurvivors(minSurvivors, donors);
        if (quorum == 0) revert ZeroQuorum();
        round = last + 1;
        _progress[modelId].last = round;
        _progress[modelId].began = uint40(block.timestamp);
        Round storage r = _rounds[modelId][round];
        r.status = RoundStatus.Open;
        r.deadline = uint256(deadline).toUint40();
        r.minSurvivors = minSurvivors;
        r.quorum = quorum;
        r.headerHash = headerHash;
        if (donors >= LOW) {
            uint256 word = type(uint256).max << DEADLINE_BITS | r.deadline;
            for (uint256 w = 0; w <= (donors - LOW) / PER_WORD; ++w) {
                _missingHigh[_key(modelId, round, w)] = word;
            }
        }
        emit RoundOpened(modelId, round, headerHash, deadline, minSurvivors, quorum);
    }

    /// @notice Puts the hash of a donor's encrypted update on record. Anybody may deliver it, once per donor and round,
    /// until the deadline. Refused for a donor whose dataset was withdrawn (`Market.endUse`).
    /// @param enclave The live training enclave that signed the receipt of this donor's donation.
    /// @param signature EIP-712 `UpdateReceipt` by that enclave.
    function anchor(
        uint256 modelId,
        uint32 round,
        bytes32 blobHash,
        uint16 donorIndex,
        address enclave,
        bytes calldata signature
    ) external {
        if (blobHash == 0) revert ZeroHash();
        (, uint32 number) = enclaves.requireLive(enclave, Kinds.TRAINING);
        uint32 expected = market.donorEnclave(modelId, donorIndex);
        if (expected != number) revert ForeignEnclave(donorIndex, expected, enclave);
        Round storage r = _rounds[modelId][round];
        bool first;
        if (donorIndex < LOW) {
            _checkOpen(modelId, round, r);
            uint128 anchored = r.anchoredLow;
            uint128 bit = uint128(1) << donorIndex;
            first = anchored & bit == 0;
            r.anchoredLow = anchored | bit;
        } else {
            uint256 key = _key(modelId, round, (donorIndex - LOW) / PER_WORD);
            uint256 missing = _missingHigh[key];
            uint256 bit = 1 << DEADLINE_BITS + (donorIndex - LOW) % PER_WORD;
            first = missing & bit != 0;
            // A round is closed when all donors anchored or the deadline passed. Only then, or when this donor
            // anchored before, is the slot with the status asked; a round that was never opened has deadline 0.
            // forge-lint: disable-next-line(unsafe-typecast) the deadline is the lowest 40 bits.
            if (!first || block.timestamp > uint40(missing)) _checkOpen(modelId, round, r);
            _missingHigh[key] = missing & ~bit;
        }
        if (!first) revert AlreadyAnchored(modelId, round, donorIndex);
        bytes32 receipt = keccak256(abi.encode(UPDATE_TYPEHASH, modelId, round, r.headerHash, blobHash, donorIndex));
        _checkSignature(enclave, receipt, signature);
        emit UpdateAnchored(modelId, round, donorIndex, blobHash);
    }

    /// @notice Fixes the set of survivors. The trainer may when all donors anchored; anybody may after the deadline.
    function close(uint256 modelId, uint32 round) external {
        Round storage r = _in(modelId, round, RoundStatus.Open);
        (address trainer, Market.State state, uint16 donors) = market.standing(modelId);
        if (state != Market.State.Training) revert NotTraining(modelId, state);
        (uint256[] memory bitmap, uint16 anchored) = _survivors(modelId, round, donors);
        if (block.timestamp <= r.deadline) {
            if (msg.sender != trainer) revert NotTrainer(modelId, msg.sender);
            if (anchored < donors) revert StillOpen(modelId, round, anchored, r.deadline);
        }
        r.survivors = anchored;
        if (anchored < r.minSurvivors) {
            r.status = RoundStatus.Failed;
            emit RoundFailed(modelId, round, anchored, r.minSurvivors);
        } else {
            r.status = RoundStatus.Closed;
            emit RoundClosed(modelId, round, anchored, bitmap);
        }
    }

    /// @notice Posts the hash of the caller's partial opening of a closed round. COMMITTEE only, once each, and only as
    /// long as the model is in training: after giving a model up for free, its trainer gets no sum any more. A member
    /// should publish the opening itself only after this call, for the same reason.
    function postPartial(uint256 modelId, uint32 round, bytes32 partialHash) external {
        members.requireRole(msg.sender, Roles.COMMITTEE);
        (, Market.State state,) = market.standing(modelId);
        if (state != Market.State.Training) revert NotTraining(modelId, state);
        Round storage r = _in(modelId, round, RoundStatus.Closed);
        if (partialHash == 0) revert ZeroHash();
        mapping(address => bytes32) storage posted = _partials[modelId][round];
        if (posted[msg.sender] != 0) revert AlreadyPosted(modelId, round, msg.sender);
        posted[msg.sender] = partialHash;
        uint8 partials = r.partials + 1;
        r.partials = partials;
        if (partials == r.quorum) {
            Progress memory p = _progress[modelId];
            uint40 time = r.deadline - p.began;
            if (p.opened == 0 || r.minSurvivors < p.leastSurvivors) p.leastSurvivors = r.minSurvivors;
            if (p.opened == 0 || time < p.shortest) p.shortest = time;
            p.opened += 1;
            _progress[modelId] = p;
        }
        emit PartialPosted(modelId, round, msg.sender, partialHash);
    }

    /// @notice Posts the opened sum and the new model. Trainer only; needs the quorum of partial openings.
    function finalize(uint256 modelId, uint32 round, bytes32 aggregateHash, bytes32 modelHash) external {
        _checkTrainer(modelId);
        Round storage r = _in(modelId, round, RoundStatus.Closed);
        if (aggregateHash == 0 || modelHash == 0) revert ZeroHash();
        if (r.partials < r.quorum) revert QuorumMissing(modelId, round, r.partials, r.quorum);
        r.status = RoundStatus.Final;
        r.aggregateHash = aggregateHash;
        r.modelHash = modelHash;
        emit RoundFinal(modelId, round, aggregateHash, modelHash);
    }

    /// @notice Number of the latest round of a model, 0 when there was none.
    function lastRound(uint256 modelId) external view returns (uint32) {
        return _progress[modelId].last;
    }

    /// @inheritdoc IRounds
    function outcome(uint256 modelId) external view returns (uint32 round, RoundStatus status, bytes32 modelHash) {
        round = _progress[modelId].last;
        Round storage r = _rounds[modelId][round];
        return (round, r.status, r.modelHash);
    }

    /// @inheritdoc IRounds
    function progress(uint256 modelId) external view returns (uint32 opened, uint64 deadline, bool missed) {
        Progress memory p = _progress[modelId];
        Round storage r = _rounds[modelId][p.last];
        opened = p.opened;
        deadline = r.deadline;
        missed = opened != 0 && r.status == RoundStatus.Failed && r.minSurvivors <= p.leastSurvivors
            && 2 * (deadline - p.began) >= p.shortest && 2 * uint256(r.survivors) >= r.minSurvivors;
    }

    /// @notice Everything kept about a round; all zero when there is none.
    function roundInfo(uint256 modelId, uint32 round) external view returns (Round memory) {
        return _rounds[modelId][round];
    }

    /// @notice Whether a donor anchored an update in a round.
    function isAnchored(uint256 modelId, uint32 round, uint16 donorIndex) external view returns (bool) {
        (,, uint16 donors) = market.standing(modelId);
        if (donorIndex > donors) return false;
        (uint256[] memory bitmap,) = _survivors(modelId, round, donors);
        return (bitmap[donorIndex / 256] >> (donorIndex % 256)) & 1 == 1;
    }

    /// @notice The donors who anchored so far; after closing, the survivors. Donor i is bit i % 256 of word i / 256.
    function survivors(uint256 modelId, uint32 round) external view returns (uint256[] memory bitmap, uint16 count) {
        (,, uint16 donors) = market.standing(modelId);
        return _survivors(modelId, round, donors);
    }

    /// @notice The hash of a member's partial opening, 0 when it posted none.
    function partialOf(uint256 modelId, uint32 round, address member) external view returns (bytes32) {
        return _partials[modelId][round][member];
    }

    // One hash instead of three. Ids of models have 32 bits, so that nothing is cut off.
    function _key(uint256 modelId, uint32 round, uint256 word) private pure returns (uint256) {
        return modelId << 64 | uint256(round) << 32 | word;
    }

    function _in(uint256 modelId, uint32 round, RoundStatus status) private view returns (Round storage r) {
        r = _rounds[modelId][round];
        if (r.status != status) revert WrongRoundStatus(modelId, round, r.status);
    }

    function _checkOpen(uint256 modelId, uint32 round, Round storage r) private view {
        if (r.status != RoundStatus.Open) revert WrongRoundStatus(modelId, round, r.status);
        if (block.timestamp > r.deadline) revert DeadlinePassed(modelId, round, r.deadline);
    }

    function _checkTrainer(uint256 modelId) private view returns (uint16) {
        (address trainer, Market.State state, uint16 donors) = market.standing(modelId);
        if (trainer != msg.sender) revert NotTrainer(modelId, msg.sender);
        if (state != Market.State.Training) revert NotTraining(modelId, state);
        return donors;
    }

    function _survivors(uint256 modelId, uint32 round, uint16 donors)
        private
        view
        returns (uint256[] memory bitmap, uint16 count)
    {
        Round storage r = _rounds[modelId][round];
        bitmap = new uint256[](uint256(donors) / 256 + 1);
        bitmap[0] = r.anchoredLow;
        count = _bits(bitmap[0]);
        if (donors < LOW || r.status == RoundStatus.None) return (bitmap, count);
        for (uint256 w = 0; w <= (donors - LOW) / PER_WORD; ++w) {
            uint256 word = ~_missingHigh[_key(modelId, round, w)] >> DEADLINE_BITS;
            if (word == 0) continue;
            uint256 start = LOW + w * PER_WORD;
            bitmap[start / 256] |= word << start % 256;
            // What crosses into the next word; there is none behind the last donor.
            uint256 next = word >> 256 - start % 256;
            if (next != 0) bitmap[start / 256 + 1] |= next;
            count += _bits(word);
        }
    }

    // The number of set bits: pairs, fours and eights are added up in place, then all bytes by one multiplication.
    function _bits(uint256 x) private pure returns (uint16) {
        unchecked {
            uint256 ones = type(uint256).max;
            x -= (x >> 1) & (ones / 3);
            x = (x & (ones / 5)) + ((x >> 2) & (ones / 5));
            x = (x + (x >> 4)) & (ones / 17);
            // At most 256, which needs two bytes: the sum of all but the lowest byte is at the top.
            return uint16(((x >> 8) * (ones / 255) >> 248) + (x & 0xff));
        }
    }
}
