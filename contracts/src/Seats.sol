// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Committees} from "./Committees.sol";
import {IRounds} from "./IRounds.sol";
import {Members, Roles} from "./Members.sol";
import {Reasons, RoundsLog} from "./RoundsLog.sol";

/// @title The committees of all trainings, and their votes about who is named.
/// @notice A seat is an account at the start of a training. What happens to its key, its roles or its membership
/// afterwards changes nothing here.
abstract contract Seats is IRounds, RoundsLog {
    // In one slot but for the list of seats.
    struct Committee {
        uint8 colluders;
        uint8 threshold;
        uint8 quorum;
        uint16 minSurvivors;
        address[] seats;
    }

    struct Seat {
        uint8 number;
        bool named;
    }

    enum Accusation {
        None,
        Made,
        Answered
    }

    /// @notice The register of members.
    Members public immutable members;

    mapping(uint256 modelId => Committee) internal _committees;
    mapping(uint256 modelId => mapping(address member => Seat)) private _seats;
    // By model, round, reason and who is named: bit n is the member with seat n + 1.
    mapping(uint256 key => uint32 voters) private _votes;
    // By model, round and donor.
    mapping(uint256 key => mapping(address member => Accusation)) private _accusations;

    constructor(Members members_) {
        members = members_;
    }

    /// @notice The committee of a model; empty before its training started.
    /// @return seats Its members in ascending order.
    /// @return colluders How many of them may collude.
    /// @return threshold Partial openings that open a sum.
    /// @return quorum Partial openings that are asked.
    function committeeOf(uint256 modelId)
        external
        view
        returns (address[] memory seats, uint8 colluders, uint8 threshold, uint8 quorum)
    {
        Committee storage c = _committees[modelId];
        return (c.seats, c.colluders, c.threshold, c.quorum);
    }

    /// @notice The seat of an account in the committee of a model, from 1; 0 when it has none.
    function seatOf(uint256 modelId, address account) external view returns (uint8) {
        return _seats[modelId][account].number;
    }

    /// @notice Whether a member of the committee of a model was named for a reason that costs its part: it posts no more.
    function isNamed(uint256 modelId, address member) external view returns (bool) {
        return _seats[modelId][member].named;
    }

    function _fix(
        uint256 modelId,
        address[] calldata seats,
        bytes32[] calldata sealKeys,
        uint8 colluders,
        uint16 minSurvivors
    ) internal {
        if (sealKeys.length != seats.length) revert KeysDoNotFit(seats.length, sealKeys.length);
        (uint8 threshold, uint8 quorum) = Committees.derive(seats.length, colluders);
        Committee storage c = _committees[modelId];
        c.colluders = colluders;
        c.threshold = threshold;
        c.quorum = quorum;
        c.minSurvivors = minSurvivors;
        c.seats = seats;
        address previous = address(0);
        for (uint256 i = 0; i < seats.length; ++i) {
            address seat = seats[i];
            if (seat <= previous) revert SeatsNotAscending(seat);
            previous = seat;
            Members.Member memory m = members.member(seat);
            if (m.roles & Roles.COMMITTEE == 0 || !m.keyClaimed) revert NoSeatFor(seat);
            if (m.sealKey != sealKeys[i]) revert KeyChanged(seat, m.sealKey);
            // forge-lint: disable-next-line(unsafe-typecast) at most `Committees.MAX_MEMBERS`.
            _seats[modelId][seat].number = uint8(i + 1);
        }
        emit CommitteeFixed(modelId, seats, sealKeys, colluders, threshold, quorum);
    }

    // The caller takes part: it has a seat and was not named. Only models with a committee get past here, and their ids
    // have 32 bits.
    function _takesPart(uint256 modelId) internal view returns (uint8) {
        Seat memory s = _seats[modelId][msg.sender];
        if (s.number == 0) revert NotSeated(modelId, msg.sender);
        if (s.named) revert MemberIsNamed(modelId, msg.sender);
        return s.number;
    }

    function _accuse(uint256 modelId, uint32 round, uint16 donorIndex) internal {
        mapping(address => Accusation) storage made = _accusations[_key(modelId, round, donorIndex)];
        if (made[msg.sender] != Accusation.None) revert AlreadyAccused(modelId, round, donorIndex, msg.sender);
        made[msg.sender] = Accusation.Made;
        emit ShareAccused(modelId, round, donorIndex, msg.sender);
    }

    function _answer(uint256 modelId, uint32 round, uint16 donorIndex, address member) internal {
        mapping(address => Accusation) storage made = _accusations[_key(modelId, round, donorIndex)];
        if (made[member] != Accusation.Made) revert NotAccused(modelId, round, donorIndex, member);
        made[member] = Accusation.Answered;
    }

    // The caller's vote on a donor. Whether it is the one that makes the donor named.
    function _voteOnDonor(uint256 modelId, uint32 round, uint16 donorIndex, uint8 reason)
        internal
        returns (bool named)
    {
        uint8 voter = _takesPart(modelId);
        if (!_in(Reasons.OF_DONORS, reason)) revert InvalidReason(reason);
        emit Blamed(modelId, round, msg.sender, donorIndex, address(0), reason);
        named = _vote(modelId, round, reason, donorIndex, voter);
        if (named) emit DonorNamed(modelId, round, donorIndex, reason);
    }

    // The same for a member. Whoever is named for what costs something takes part no more.
    function _voteOnMember(uint256 modelId, uint32 round, address member, uint8 reason) internal returns (bool named) {
        uint8 voter = _takesPart(modelId);
        if (!_in(Reasons.OF_MEMBERS, reason)) revert InvalidReason(reason);
        if (member == msg.sender) revert OwnSeat(member);
        Seat storage s = _seats[modelId][member];
        if (s.number == 0) revert NotSeated(modelId, member);
        emit Blamed(modelId, round, msg.sender, 0, member, reason);
        // Above the numbers of all donors.
        named = _vote(modelId, round, reason, 1 << 16 | s.number, voter);
        if (!named) return false;
        if (!Reasons.isOnlySaid(reason)) s.named = true;
        emit MemberNamed(modelId, round, member, reason);
    }

    // One hash instead of three. Ids of models have 32 bits, so that nothing is cut off.
    function _key(uint256 modelId, uint32 round, uint256 word) internal pure returns (uint256) {
        return modelId << 64 | uint256(round) << 32 | word;
    }

    // The number of set bits: pairs, fours and eights are added up in place, then all bytes by one multiplication.
    function _bits(uint256 x) internal pure returns (uint16) {
        unchecked {
            uint256 ones = type(uint256).max;
            x -= (x >> 1) & (ones / 3);
            x = (x & (ones / 5)) + ((x >> 2) & (ones / 5));
            x = (x + (x >> 4)) & (ones / 17);
            // At most 256, which needs two bytes: the sum of all but the lowest byte is at the top.
            return uint16(((x >> 8) * (ones / 255) >> 248) + (x & 0xff));
        }
    }

    // Votes for one reason are counted, so that at least one honest member stands behind it.
    function _vote(uint256 modelId, uint32 round, uint8 reason, uint256 whom, uint8 voter) private returns (bool) {
        uint256 key = uint256(reason) << 96 | _key(modelId, round, whom);
        uint32 voters = _votes[key];
        uint32 bit = uint32(1) << (voter - 1);
        if (voters & bit != 0) revert AlreadyBlamed(modelId, round, msg.sender);
        voters |= bit;
        _votes[key] = voters;
        return _bits(voters) == uint16(_committees[modelId].colluders) + 1;
    }

    function _in(uint256 reasons, uint8 reason) private pure returns (bool) {
        return reasons >> reason & 1 == 1;
    }
}
