// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "./Base.sol";
import {RoundStatus} from "../src/IRounds.sol";
import {Rounds} from "../src/Rounds.sol";

/// What the attacks of both files need.
abstract contract Attacks is Base {
    uint256 internal _modelId;
    uint32 internal _round;

    /// Three donors with an update each in a closed round.
    function closed() internal {
        training(3);
        anchored(3);
        close(_modelId, _round);
    }

    function training(uint256 donors) internal {
        _modelId = propose(terms());
        for (uint256 n = 1; n <= donors; ++n) {
            donate(_modelId, n, 1);
        }
        start(_modelId);
    }

    function anchored(uint16 donors) internal {
        _round = open(_modelId);
        for (uint16 d = 1; d <= donors; ++d) {
            anchor(_modelId, _round, d);
        }
    }

    function info() internal view returns (Rounds.RoundInfo memory) {
        return rounds.roundInfo(_modelId, _round);
    }

    function is_(RoundStatus expected) internal view {
        equal("status", uint256(info().status), uint256(expected));
    }

    function votes(uint256 seat, uint16 donor, uint8 reason) internal {
        vm.startPrank(seats[seat]);
        rounds.blameDonor(_modelId, _round, donor, reason);
        vm.stopPrank();
    }

    function votesOnMember(uint256 seat, uint256 whom, uint8 reason) internal {
        address member = seats[whom];
        vm.startPrank(seats[seat]);
        rounds.blameMember(_modelId, _round, member, reason);
        vm.stopPrank();
    }

    function abort() internal {
        vm.startPrank(trainer);
        market.abortTraining(_modelId);
        vm.stopPrank();
    }
}
