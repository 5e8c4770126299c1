// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {RoundStatus} from "./IRounds.sol";
import {State} from "./MarketTypes.sol";

/// @title Why a donor or a member of a committee is named.
library Reasons {
    /// @notice Nothing is at the hash that it put on record: a donor's update, a member's partial opening.
    uint8 internal constant BLOB_MISSING = 1;
    /// @notice What is there cannot be decoded.
    uint8 internal constant BLOB_UNDECODABLE = 2;
    /// @notice A donor's share for a member cannot be read, and the donor's enclave did not show that it can.
    uint8 internal constant SHARE_UNREADABLE = 3;
    /// @notice A member accused a donor of a share which can be read.
    uint8 internal constant FALSE_ACCUSATION = 4;
    /// @notice A member's partial opening contradicts those of the others. A donor can bring that about with a share of its
    /// own making, so it costs the member nothing as long as shares cannot be verified.
    uint8 internal constant WRONG_PARTIAL = 5;
    /// @notice Nothing came in time. Whoever is silent loses nothing but its name.
    uint8 internal constant SILENT = 6;
    /// @notice A donor's data are, for the most part, those of another donor.
    uint8 internal constant DUPLICATE = 7;
    /// @notice The evidence of a donor's enclave, or of the one which validated its data, is not believed.
    uint8 internal constant NOT_BELIEVED = 8;

    /// @notice What a donor can be named for: the reasons as bits.
    uint256 internal constant OF_DONORS = 1 << BLOB_MISSING | 1 << BLOB_UNDECODABLE | 1 << SHARE_UNREADABLE | 1
        << SILENT | 1 << DUPLICATE | 1 << NOT_BELIEVED;
    /// @notice What a member can be named for.
    uint256 internal constant OF_MEMBERS =
        1 << BLOB_MISSING | 1 << BLOB_UNDECODABLE | 1 << FALSE_ACCUSATION | 1 << WRONG_PARTIAL | 1 << SILENT;

    /// @notice Whether a name is all that it costs a member.
    function isOnlySaid(uint8 reason) internal pure returns (bool) {
        return reason == SILENT || reason == WRONG_PARTIAL;
    }

    /// @notice Whether a reason is about a donor itself and not about what it did in a round.
    function isAbout(uint8 reason) internal pure returns (bool) {
        return reason == DUPLICATE || reason == NOT_BELIEVED;
    }
}

/// @title What the rounds report: their events and errors.
abstract contract RoundsLog {
    /// @notice The committee of a training is fixed: whom a round asks, with which keys, and how many of them open it.
    event CommitteeFixed(
        uint256 indexed modelId, address[] seats, bytes32[] sealKeys, uint8 colluders, uint8 threshold, uint8 quorum
    );
    /// @notice A round began.
    event RoundOpened(
        uint256 indexed modelId,
        uint32 indexed round,
        bytes32 headerHash,
        uint64 deadline,
        uint16 minSurvivors,
        uint8 quorum,
        uint64 openBy
    );
    /// @notice The hash of one encrypted update is on record.
    event UpdateAnchored(uint256 indexed modelId, uint32 indexed round, uint16 indexed donorIndex, bytes32 blobHash);
    /// @notice The set of survivors is fixed: donor i is bit i % 256 of word i / 256. The committee opens it by `openBy`.
    event RoundClosed(uint256 indexed modelId, uint32 indexed round, uint16 survivors, uint256[] bitmap, uint64 openBy);
    /// @notice A donor who had anchored an update is not in the sum any more. In a closed round `attempt` is greater than
    /// before and `survivors` are left; partial openings posted earlier count for nothing, and new ones are taken until
    /// `openBy`.
    event DonorDropped(
        uint256 indexed modelId,
        uint32 indexed round,
        uint16 indexed donorIndex,
        uint16 survivors,
        uint16 attempt,
        uint64 openBy
    );
    /// @notice Too few donors are left.
    event RoundFailed(uint256 indexed modelId, uint32 indexed round, uint16 survivors, uint16 minSurvivors);
    /// @notice The committee did not open the round in time: `partials` of the quorum were posted.
    event RoundVoided(uint256 indexed modelId, uint32 indexed round, uint8 partials);
    /// @notice A committee member posted the hash of its partial opening for the survivors of this attempt.
    event PartialPosted(
        uint256 indexed modelId, uint32 indexed round, address indexed member, bytes32 partialHash, uint16 attempt
    );
    /// @notice The sum was opened and a new model made.
    event RoundFinal(uint256 indexed modelId, uint32 indexed round, bytes32 aggregateHash, bytes32 modelHash);
    /// @notice A member says that it cannot read its share of a donor's update.
    event ShareAccused(uint256 indexed modelId, uint32 indexed round, uint16 donorIndex, address member);
    /// @notice The donor's enclave opened that one share, in the blob with this hash; everybody can check who is wrong.
    event ShareOpened(
        uint256 indexed modelId, uint32 indexed round, uint16 donorIndex, address member, bytes32 blobHash
    );
    /// @notice A member votes that somebody is to be named: a donor, and `member` is zero; or a member, and `donorIndex`
    /// is 0.
    event Blamed(
        uint256 indexed modelId,
        uint32 indexed round,
        address indexed by,
        uint16 donorIndex,
        address member,
        uint8 reason
    );
    /// @notice More members than may collude named this donor.
    event DonorNamed(uint256 indexed modelId, uint32 indexed round, uint16 indexed donorIndex, uint8 reason);
    /// @notice More members than may collude named this member.
    event MemberNamed(uint256 indexed modelId, uint32 indexed round, address indexed member, uint8 reason);

    /// @notice Only the market may do this.
    error NotMarket(address account);
    /// @notice The training of this model has no committee: all data is brought to one enclave.
    error NoCommittee(uint256 modelId);
    /// @notice The seats are not in ascending order, or one comes twice.
    error SeatsNotAscending(address seat);
    /// @notice The account lacks the role COMMITTEE, or never claimed to have proved its key.
    error NoSeatFor(address account);
    /// @notice Only who has a seat in the committee of this model may do this.
    error NotSeated(uint256 modelId, address account);
    /// @notice This member was named, and takes part in no round of this model any more.
    error MemberIsNamed(uint256 modelId, address member);
    /// @notice Only the trainer of the model may do this now.
    error NotTrainer(uint256 modelId, address account);
    /// @notice The model is not in training.
    error NotTraining(uint256 modelId, State state);
    /// @notice The previous round is not over.
    error PreviousRoundRunning(uint256 modelId, uint32 round, RoundStatus status);
    /// @notice The round is in a state in which this is not possible.
    error WrongRoundStatus(uint256 modelId, uint32 round, RoundStatus status);
    /// @notice The deadline has passed.
    error DeadlinePassed(uint256 modelId, uint32 round, uint64 deadline);
    /// @notice The deadline is not in the future.
    error DeadlineTooEarly(uint64 deadline);
    /// @notice The committee needs time after the deadline, and at most until `latest`.
    error InvalidOpenBy(uint64 openBy, uint64 latest);
    /// @notice Not every donor anchored an update, and the deadline has not passed.
    error StillOpen(uint256 modelId, uint32 round, uint16 anchored, uint64 deadline);
    /// @notice The committee can open the round until `openBy`.
    error StillOpening(uint256 modelId, uint32 round, uint64 openBy);
    /// @notice The committee could open the round until `openBy`.
    error OpeningOver(uint256 modelId, uint32 round, uint64 openBy);
    /// @notice The quorum is posted and the sum open.
    error SumIsOpen(uint256 modelId, uint32 round);
    /// @notice No new rounds while the market is paused.
    error MarketPaused();
    /// @notice A hash that must be given is zero.
    error ZeroHash();
    /// @notice The data of this donor is with the enclave that has the running number `expected`.
    error ForeignEnclave(uint16 donorIndex, uint32 expected, address given);
    /// @notice This donor anchored an update already.
    error AlreadyAnchored(uint256 modelId, uint32 round, uint16 donorIndex);
    /// @notice This donor is not in the sum.
    error NotInSum(uint256 modelId, uint32 round, uint16 donorIndex);
    /// @notice The model has no donor with this number.
    error UnknownDonor(uint256 modelId, uint16 donorIndex);
    /// @notice A donor has left the sum: what the caller looked at was `given`, the set of now is `current`.
    error OtherAttempt(uint256 modelId, uint32 round, uint16 given, uint16 current);
    /// @notice Up to `latest` a donor could be accused, so that it has time to answer.
    error AccusedTooLate(uint256 modelId, uint32 round, uint64 latest);
    /// @notice This committee member posted already.
    error AlreadyPosted(uint256 modelId, uint32 round, address member);
    /// @notice `partials` of `quorum` partial openings are posted.
    error QuorumMissing(uint256 modelId, uint32 round, uint8 partials, uint8 quorum);
    /// @notice Only the latest round.
    error NotLatestRound(uint256 modelId, uint32 round, uint32 latest);
    /// @notice This member accused this donor already.
    error AlreadyAccused(uint256 modelId, uint32 round, uint16 donorIndex, address member);
    /// @notice This member did not accuse this donor, or was answered.
    error NotAccused(uint256 modelId, uint32 round, uint16 donorIndex, address member);
    /// @notice This member named them for this reason already.
    error AlreadyBlamed(uint256 modelId, uint32 round, address by);
    /// @notice Nobody judges itself.
    error OwnSeat(address member);
    /// @notice Each seat needs one key.
    error KeysDoNotFit(uint256 seats, uint256 sealKeys);
    /// @notice The member has another key by now.
    error KeyChanged(address account, bytes32 sealKey);
    /// @notice Nobody of this kind is named for this reason (`Reasons`).
    error InvalidReason(uint8 reason);
}
