// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title What follows from the size of a committee and the number of its members who may collude.
/// @notice With M members of whom f collude, any two sets of `threshold` members share one who does not (2 * threshold >
/// M + f): so the committee never opens two sums of one round. One more is asked, so that a wrong partial opening is
/// noticed. The same as `Committee::derive` of the protocol.
library Committees {
    /// @notice No committee has more members: a bit for each fits beside what is kept about a vote.
    uint256 internal constant MAX_MEMBERS = 32;

    /// @notice No round can be opened by so few members, or there are too many; or nobody is said to collude.
    error InvalidCommittee(uint256 members, uint8 colluders);

    /// @notice Reverts unless one more than the threshold are members.
    /// @return threshold Partial openings that open a sum.
    /// @return quorum Partial openings that are asked.
    function derive(uint256 members, uint8 colluders) internal pure returns (uint8 threshold, uint8 quorum) {
        uint256 opens = (members + colluders) / 2 + 1;
        if (colluders == 0 || members > MAX_MEMBERS || opens + 1 > members) {
            revert InvalidCommittee(members, colluders);
        }
        // forge-lint: disable-next-line(unsafe-typecast) less than the number of members.
        return (uint8(opens), uint8(opens + 1));
    }
}
