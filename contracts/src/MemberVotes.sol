// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Votes} from "@openzeppelin/contracts/governance/utils/Votes.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ERC6372Utils} from "@openzeppelin/contracts/utils/ERC6372Utils.sol";
import {Time} from "@openzeppelin/contracts/utils/types/Time.sol";

/// @title One vote per member.
/// @notice A vote comes with membership and goes with it, in the same transaction; it cannot be moved to another
/// account, only lent (`delegate`). Who was a member when a proposal was put to the vote votes on it. Time is counted
/// in seconds, because how often blocks come differs between networks.
abstract contract MemberVotes is Votes {
    constructor() EIP712("Histone Members", "1") {}

    /// @inheritdoc Votes
    function clock() public view override returns (uint48) {
        return Time.timestamp();
    }

    /// @inheritdoc Votes
    // solhint-disable-next-line func-name-mixedcase
    function CLOCK_MODE() public view override returns (string memory) {
        return ERC6372Utils.timestampClockMode(clock);
    }

    // Gives the vote of a new member to the member itself, whomever it lent an earlier one to. To be called before the
    // account is a member, so that nothing moves but the new vote.
    function _join(address account) internal {
        _delegate(account, account);
        _transferVotingUnits(address(0), account, 1);
    }

    // Takes the vote of an account that is no member any more.
    function _leave(address account) internal {
        _transferVotingUnits(account, address(0), 1);
    }

    function _isMember(address account) internal view virtual returns (bool);

    function _getVotingUnits(address account) internal view override returns (uint256) {
        return _isMember(account) ? 1 : 0;
    }
}
