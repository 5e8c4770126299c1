// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Enclaves} from "./Enclaves.sol";
import {IRounds, RoundStatus} from "./IRounds.sol";
import {Market} from "./Market.sol";
import {State} from "./MarketTypes.sol";
import {Members, Roles} from "./Members.sol";
import {Kinds} from "./Programs.sol";
import {Reasons} from "./RoundsLog.sol";
import {Seats} from "./Seats.sol";
import {Signed} from "./Signed.sol";

/// @title Training rounds: one header opens one sum over one set of survivors.
/// @notice Each donor's enclave anchors the hash of one encrypted update. Closing fixes who is in the sum; the
/// committee posts the hashes of its partial openings and publishes them when a quorum is posted; the trainer posts the
/// hashes of the sum and of the new model, which anybody can recompute from the public blobs. Hashes that nobody here
/// reads again are kept in events only.
///
/// The committee is fixed when training starts. As long as no quorum is posted nothing is published, and a donor may still
/// leave the sum: because its dataset was withdrawn, or because more members than may collude name it as the author of
/// something that cannot be used. That begins another attempt, in which hashes posted for the earlier set of survivors
/// count for nothing and the committee has its full time again; so one attempt has one set of survivors. From the quorum
/// on, names are only names, and the past stays.
contract Rounds is Signed, Seats {
    using SafeCast for uint256;

    /// @notice One round of one model, for readers.
    /// @param status Where it stands.
    /// @param opened Whether the quorum was posted, so that the sum is open, whatever happened to the posts later.
    /// @param deadline Unix seconds; up to then updates are anchored.
    /// @param openBy Unix seconds; up to then the committee opens it.
    /// @param minSurvivors With fewer updates the round fails.
    /// @param quorum Partial openings needed.
    /// @param partials Partial openings posted for the survivors of now.
    /// @param survivors Updates in the sum; 0 before closing.
    /// @param attempt How often a donor left the sum after closing; posts of earlier attempts count for nothing.
    /// @param headerHash Hash of the round header.
    /// @param aggregateHash Hash of the opened sum; 0 before.
    /// @param modelHash Hash of the new model; 0 before.
    struct RoundInfo {
        RoundStatus status;
        bool opened;
        uint64 deadline;
        uint64 openBy;
        uint16 minSurvivors;
        uint8 quorum;
        uint8 partials;
        uint16 survivors;
        uint16 attempt;
        bytes32 headerHash;
        bytes32 aggregateHash;
        bytes32 modelHash;
    }

    // The first slot is all that closing, posting and anchoring in small rounds need; bit i of `anchoredLow`: donor i
    // anchored an update, for the donors below `LOW`. See `survivors` for all of them. `window` are the seconds from the
    // deadline to the `openBy` that the trainer set.
    struct Round {
        RoundStatus status;
        bool opened;
        uint40 deadline;
        uint40 openBy;
        uint32 window;
        uint8 partials;
        uint16 survivors;
        uint16 attempt;
        uint88 anchoredLow;
        bytes32 headerHash;
        bytes32 aggregateHash;
        bytes32 modelHash;
    }

    // Number of the latest round; number of rounds whose sum is open, and when the last of them was opened; how many donors
    // take part no more.
    struct Progress {
        uint32 last;
        uint32 opened;
        uint40 openedAt;
        uint16 gone;
    }

    uint256 private constant LOW = 88;
    uint256 private constant DEADLINE_BITS = 40;
    uint256 private constant PER_WORD = 256 - DEADLINE_BITS;

    /// @notice Seconds from the beginning of a round to the `openBy` that its trainer sets, at most. Closing late adds the
    /// committee's time, and so does each donor who leaves a closed round.
    uint256 public constant LONGEST = 30 days;

    bytes32 private constant UPDATE_TYPEHASH =
        keccak256("UpdateReceipt(uint256 modelId,uint32 round,bytes32 headerHash,bytes32 blobHash,uint16 donorIndex)");
    bytes32 private constant OPENING_TYPEHASH = keccak256(
        "ShareOpening(uint256 modelId,uint32 round,bytes32 headerHash,uint16 donorIndex,address member,bytes32 blobHash)"
    );

    /// @notice The register of enclaves.
    Enclaves public immutable enclaves;
    /// @notice The market with the models.
    Market public immutable market;

    mapping(uint256 modelId => Progress) private _progress;
    mapping(uint256 modelId => mapping(uint256 round => Round)) private _rounds;
    // Donors from `LOW` on, `PER_WORD` in each word: below are the 40 bits of the deadline, so that anchoring needs no
    // other slot to know whether the round is open; above is a bit for each donor, cleared when the donor anchors. Whoever
    // opens the round pays for the words, which is what setting all bits is for; so no donor pays more than another.
    mapping(uint256 key => uint256) private _missingHigh;
    // By model, round and attempt.
    mapping(uint256 key => mapping(address member => bytes32)) private _partials;

    constructor(Members members_, Enclaves enclaves_, Market market_) Seats(members_) {
        enclaves = enclaves_;
        market = market_;
    }

    /// @inheritdoc IRounds
    function fixCommittee(
        uint256 modelId,
        address[] calldata seats,
        bytes32[] calldata sealKeys,
        uint8 colluders,
        uint16 minSurvivors
    ) external {
        if (msg.sender != address(market)) revert NotMarket(msg.sender);
        _fix(modelId, seats, sealKeys, colluders, minSurvivors);
    }

    /// @notice Begins the next round of a model in training. Its trainer only, still a TRAINER; the previous round must be over, and the market
    /// not paused. A round that failed or became void is repeated under the next number.
    /// @param headerHash Hash of the round header: global model, cohort, committee, quantiser, noise.
    /// @param deadline Unix seconds; up to then updates are anchored.
    /// @param openBy Unix seconds, later than the deadline; up to then the committee opens the sum. A donor who leaves the
    /// closed round gives the committee as much time again.
    /// @return round Its number, from 1.
    function open(uint256 modelId, bytes32 headerHash, uint64 deadline, uint64 openBy) external returns (uint32 round) {
        uint16 donors = _checkTrainer(modelId);
        members.requireRole(msg.sender, Roles.TRAINER);
        if (market.paused()) revert MarketPaused();
        uint32 last = _progress[modelId].last;
        RoundStatus status = _rounds[modelId][last].status;
        if (status == RoundStatus.Open || status == RoundStatus.Closed) {
            revert PreviousRoundRunning(modelId, last, status);
        }
        Committee storage c = _committees[modelId];
        if (c.quorum == 0) revert NoCommittee(modelId);
        if (headerHash == 0) revert ZeroHash();
        if (deadline <= block.timestamp) revert DeadlineTooEarly(deadline);
        uint256 latest = block.timestamp + LONGEST;
        if (openBy <= deadline || openBy > latest) revert InvalidOpenBy(openBy, uint256(latest).toUint64());
        round = last + 1;
        _progress[modelId].last = round;
        Round storage r = _rounds[modelId][round];
        r.status = RoundStatus.Open;
        r.deadline = uint256(deadline).toUint40();
        r.openBy = uint256(openBy).toUint40();
        r.window = uint256(openBy - deadline).toUint32();
        r.headerHash = headerHash;
        if (donors >= LOW) {
            uint256 word = type(uint256).max << DEADLINE_BITS | r.deadline;
            for (uint256 w = 0; w <= (donors - LOW) / PER_WORD; ++w) {
                _missingHigh[_key(modelId, round, w)] = word;
            }
        }
        emit RoundOpened(modelId, round, headerHash, deadline, c.minSurvivors, c.quorum, openBy);
    }

    /// @notice Puts the hash of a donor's encrypted update on record. Anybody may deliver it, once per donor and round,
    /// until the deadline. Refused for a donor whose dataset was withdrawn, or whom
    /// the committee named.
    /// @param enclave The training enclave that signed the receipt of this donor's donation, neither revoked nor expired.
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
        uint32 number = enclaves.requireRunning(enclave, Kinds.TRAINING);
        uint32 expected = market.requireInUse(modelId, donorIndex);
        if (expected != number) revert ForeignEnclave(donorIndex, expected, enclave);
        Round storage r = _rounds[modelId][round];
        bool first;
        if (donorIndex < LOW) {
            _checkOpen(modelId, round, r);
            uint88 anchored = r.anchoredLow;
            uint88 bit = uint88(1) << donorIndex;
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

    /// @notice Fixes the set of survivors. The trainer may when all donors who still take part anchored; anybody may
    /// after the deadline. However late that is, the committee has the time that was promised to it from then on.
    function close(uint256 modelId, uint32 round) external {
        Round storage r = _at(modelId, round, RoundStatus.Open);
        (address trainer, State state, uint16 donors) = market.standing(modelId);
        if (state != State.Training) revert NotTraining(modelId, state);
        (uint256[] memory bitmap, uint16 anchored) = _survivors(modelId, round, donors);
        if (block.timestamp <= r.deadline) {
            if (msg.sender != trainer) revert NotTrainer(modelId, msg.sender);
            if (anchored < donors - _progress[modelId].gone) revert StillOpen(modelId, round, anchored, r.deadline);
        }
        r.survivors = anchored;
        if (!_enough(modelId, round, r)) return;
        r.status = RoundStatus.Closed;
        _promise(r);
        emit RoundClosed(modelId, round, anchored, bitmap, r.openBy);
    }

    /// @notice Posts the hash of the caller's partial opening of a closed round, for its survivors of now. Who has a seat and
    /// was not named, once in each attempt, and only as long as the model is in training: after giving a model up for
    /// free, its trainer gets no sum any more. For the same reason, and because a donor may still leave, a member
    /// publishes the opening itself only when the quorum is posted: posting promises not to open another set.
    ///
    /// The quorum is asked until `openBy`. Once it was posted the others may post at any time.
    /// @param attempt For which set of survivors: a donor that left in the moment before makes the post one for another
    /// set than the caller has looked at, and it is refused.
    function postPartial(uint256 modelId, uint32 round, uint16 attempt, bytes32 partialHash) external {
        _takesPart(modelId);
        _checkTraining(modelId);
        Round storage r = _at(modelId, round, RoundStatus.Closed);
        if (!r.opened && block.timestamp > r.openBy) revert OpeningOver(modelId, round, r.openBy);
        if (partialHash == 0) revert ZeroHash();
        if (attempt != r.attempt) revert OtherAttempt(modelId, round, attempt, r.attempt);
        mapping(address => bytes32) storage posted = _partials[_key(modelId, round, attempt)];
        if (posted[msg.sender] != 0) revert AlreadyPosted(modelId, round, msg.sender);
        posted[msg.sender] = partialHash;
        uint8 partials = r.partials + 1;
        r.partials = partials;
        if (!r.opened && partials >= _committees[modelId].quorum) {
            r.opened = true;
            _progress[modelId].opened += 1;
            _progress[modelId].openedAt = uint40(block.timestamp);
        }
        emit PartialPosted(modelId, round, msg.sender, partialHash, attempt);
    }

    /// @notice Says in public that the caller cannot read its share of a donor's update. Who has a seat, once for each
    /// donor in the sum of a closed round that is not open yet. The donor's enclave can answer, for a third of the
    /// committee's time from then on; the last third is for the others, to judge and to open the sum. So it is refused when
    /// less than two thirds are left: nobody is accused so late that no answer can be seen.
    function accuse(uint256 modelId, uint32 round, uint16 donorIndex) external {
        _takesPart(modelId);
        Round storage r = _checkUnopened(modelId, round);
        uint256 latest = r.openBy - 2 * uint256(r.window) / 3;
        if (block.timestamp > latest) revert AccusedTooLate(modelId, round, uint256(latest).toUint64());
        if (!isAnchored(modelId, round, donorIndex)) revert NotInSum(modelId, round, donorIndex);
        _accuse(modelId, round, donorIndex);
    }

    /// @notice Answers an accusation: names a blob with which everybody can open that one share again. Anybody may deliver
    /// it, once, as long as the sum is not open; also when the enclave has expired or the dataset was withdrawn by now, so
    /// that nobody is named for an answer that was refused.
    /// @param member Who accused the donor.
    /// @param blobHash Hash of the blob.
    /// @param enclave The training enclave that signed the receipt of this donor's donation.
    /// @param signature EIP-712 `ShareOpening` by that enclave.
    function answerAccusation(
        uint256 modelId,
        uint32 round,
        uint16 donorIndex,
        address member,
        bytes32 blobHash,
        address enclave,
        bytes calldata signature
    ) external {
        if (blobHash == 0) revert ZeroHash();
        bytes32 headerHash = _checkUnopened(modelId, round).headerHash;
        address took = market.donor(modelId, donorIndex).enclave;
        if (took != enclave) revert ForeignEnclave(donorIndex, enclaves.enclave(took).number, enclave);
        _answer(modelId, round, donorIndex, member);
        bytes32 opening =
            keccak256(abi.encode(OPENING_TYPEHASH, modelId, round, headerHash, donorIndex, member, blobHash));
        _checkSignature(enclave, opening, signature);
        emit ShareOpened(modelId, round, donorIndex, member, blobHash);
    }

    /// @notice Votes that a donor is the author of something that cannot be used. Who has a seat, once for each reason, in
    /// the latest round after it was closed. When one more than may collude say the same, the donor is named. As long as
    /// the sum is not open it then leaves the sum, is in no later round and is paid nothing. A donor who is silent, or
    /// named later, loses nothing but its name. What is wrong about a donor itself and not about a round (its evidence, its
    /// data) can be said at any time of the training, with the number of the latest round, and always excludes.
    /// @param reason See `Reasons`.
    function blameDonor(uint256 modelId, uint32 round, uint16 donorIndex, uint8 reason) external {
        bool itself = Reasons.isAbout(reason);
        Round storage r = itself ? _checkLatest(modelId, round) : _checkJudged(modelId, round);
        (,, uint16 donors) = market.standing(modelId);
        if (donorIndex == 0 || donorIndex > donors) revert UnknownDonor(modelId, donorIndex);
        bool named = _voteOnDonor(modelId, round, donorIndex, reason);
        if (!named || reason == Reasons.SILENT || (r.opened && !itself)) return;
        bool used = market.excludeDonor(modelId, donorIndex);
        if (used) _drop(modelId, donorIndex);
    }

    /// @notice Votes that a member of the committee did wrong. Who has a seat, but not about itself, once for each reason,
    /// in the latest round after it was closed. When one more than may collude say the same, the member is named. Unless
    /// the reason is one that costs nothing (`Reasons.isOnlySaid`), it takes part in no round of this model any more: its
    /// post in a round that is not final is taken back. What was opened stays open.
    /// @param reason See `Reasons`.
    function blameMember(uint256 modelId, uint32 round, address member, uint8 reason) external {
        Round storage r = _checkJudged(modelId, round);
        bool named = _voteOnMember(modelId, round, member, reason);
        if (!named || Reasons.isOnlySaid(reason) || r.status != RoundStatus.Closed) return;
        mapping(address => bytes32) storage posted = _partials[_key(modelId, round, r.attempt)];
        if (posted[member] == 0) return;
        posted[member] = 0;
        r.partials -= 1;
    }

    /// @inheritdoc IRounds
    function dropDonor(uint256 modelId, uint16 donorIndex) external {
        if (msg.sender != address(market)) revert NotMarket(msg.sender);
        _drop(modelId, donorIndex);
    }

    /// @notice Ends a round that the committee did not open in time. Anybody may call.
    function voidRound(uint256 modelId, uint32 round) external {
        Round storage r = _at(modelId, round, RoundStatus.Closed);
        if (r.opened) revert SumIsOpen(modelId, round);
        if (block.timestamp <= r.openBy) revert StillOpening(modelId, round, r.openBy);
        r.status = RoundStatus.Void;
        emit RoundVoided(modelId, round, r.partials);
    }

    /// @notice Posts the opened sum and the new model. Trainer only; needs the quorum of partial openings.
    function finalize(uint256 modelId, uint32 round, bytes32 aggregateHash, bytes32 modelHash) external {
        _checkTrainer(modelId);
        Round storage r = _at(modelId, round, RoundStatus.Closed);
        if (aggregateHash == 0 || modelHash == 0) revert ZeroHash();
        if (!r.opened) revert QuorumMissing(modelId, round, r.partials, _committees[modelId].quorum);
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
    function progress(uint256 modelId) external view returns (uint32 opened, uint64 openedAt) {
        Progress storage p = _progress[modelId];
        return (p.opened, p.openedAt);
    }

    /// @notice Everything about a round; all zero when there is none.
    function roundInfo(uint256 modelId, uint32 round) external view returns (RoundInfo memory info) {
        Round storage r = _rounds[modelId][round];
        if (r.status == RoundStatus.None) return info;
        Committee storage c = _committees[modelId];
        return RoundInfo({
            status: r.status,
            opened: r.opened,
            deadline: r.deadline,
            openBy: r.openBy,
            minSurvivors: c.minSurvivors,
            quorum: c.quorum,
            partials: r.partials,
            survivors: r.survivors,
            attempt: r.attempt,
            headerHash: r.headerHash,
            aggregateHash: r.aggregateHash,
            modelHash: r.modelHash
        });
    }

    /// @notice Whether a donor anchored an update in a round and is still in the sum.
    function isAnchored(uint256 modelId, uint32 round, uint16 donorIndex) public view returns (bool) {
        if (donorIndex < LOW) return _rounds[modelId][round].anchoredLow >> donorIndex & 1 == 1;
        uint256 missing = _missingHigh[_key(modelId, round, (donorIndex - LOW) / PER_WORD)];
        // A word that was never written has no deadline.
        return missing != 0 && missing >> (DEADLINE_BITS + (donorIndex - LOW) % PER_WORD) & 1 == 0;
    }

    /// @notice The donors who anchored so far; after closing, the survivors. Donor i is bit i % 256 of word i / 256.
    function survivors(uint256 modelId, uint32 round) external view returns (uint256[] memory bitmap, uint16 count) {
        (,, uint16 donors) = market.standing(modelId);
        return _survivors(modelId, round, donors);
    }

    /// @notice The hash of a member's partial opening for the survivors of now, 0 when it posted none.
    function partialOf(uint256 modelId, uint32 round, address member) external view returns (bytes32) {
        return _partials[_key(modelId, round, _rounds[modelId][round].attempt)][member];
    }

    // A donor takes part no more, which happens to each once at most. If its update is in the sum of the latest round and
    // that is not open, it leaves it.
    function _drop(uint256 modelId, uint16 donorIndex) private {
        _progress[modelId].gone += 1;
        uint32 round = _progress[modelId].last;
        Round storage r = _rounds[modelId][round];
        bool closed = r.status == RoundStatus.Closed;
        if (r.opened || !(closed || r.status == RoundStatus.Open)) return;
        if (!isAnchored(modelId, round, donorIndex)) return;
        if (donorIndex < LOW) {
            r.anchoredLow &= ~(uint88(1) << donorIndex);
        } else {
            _missingHigh[_key(modelId, round, (donorIndex - LOW) / PER_WORD)] |= 1
                << DEADLINE_BITS + (donorIndex - LOW) % PER_WORD;
        }
        if (closed) {
            r.survivors -= 1;
            r.attempt += 1;
            r.partials = 0;
            _promise(r);
        }
        emit DonorDropped(modelId, round, donorIndex, r.survivors, r.attempt, r.openBy);
        if (closed) _enough(modelId, round, r);
    }

    // Whoever opens a sum has the whole time for the set of survivors that there is now.
    function _promise(Round storage r) private {
        uint40 openBy = (block.timestamp + r.window).toUint40();
        if (openBy > r.openBy) r.openBy = openBy;
    }

    // Whether enough donors are left; otherwise the round failed.
    function _enough(uint256 modelId, uint32 round, Round storage r) private returns (bool) {
        uint16 min = _committees[modelId].minSurvivors;
        if (r.survivors >= min) return true;
        r.status = RoundStatus.Failed;
        emit RoundFailed(modelId, round, r.survivors, min);
        return false;
    }

    function _at(uint256 modelId, uint32 round, RoundStatus status) private view returns (Round storage r) {
        r = _rounds[modelId][round];
        if (r.status != status) revert WrongRoundStatus(modelId, round, r.status);
    }

    // The set of survivors is fixed and nothing was published.
    function _checkUnopened(uint256 modelId, uint32 round) private view returns (Round storage r) {
        _checkTraining(modelId);
        r = _at(modelId, round, RoundStatus.Closed);
        if (r.opened) revert SumIsOpen(modelId, round);
    }

    function _checkLatest(uint256 modelId, uint32 round) private view returns (Round storage) {
        uint32 last = _progress[modelId].last;
        if (round != last) revert NotLatestRound(modelId, round, last);
        return _rounds[modelId][round];
    }

    // Somebody can be named for what happened in the latest round.
    function _checkJudged(uint256 modelId, uint32 round) private view returns (Round storage r) {
        r = _checkLatest(modelId, round);
        if (r.status != RoundStatus.Closed && r.status != RoundStatus.Final) {
            revert WrongRoundStatus(modelId, round, r.status);
        }
    }

    function _checkOpen(uint256 modelId, uint32 round, Round storage r) private view {
        if (r.status != RoundStatus.Open) revert WrongRoundStatus(modelId, round, r.status);
        if (block.timestamp > r.deadline) revert DeadlinePassed(modelId, round, r.deadline);
    }

    function _checkTraining(uint256 modelId) private view {
        (, State state,) = market.standing(modelId);
        if (state != State.Training) revert NotTraining(modelId, state);
    }

    function _checkTrainer(uint256 modelId) private view returns (uint16) {
        (address trainer, State state, uint16 donors) = market.standing(modelId);
        if (trainer != msg.sender) revert NotTrainer(modelId, msg.sender);
        if (state != State.Training) revert NotTraining(modelId, state);
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
}
