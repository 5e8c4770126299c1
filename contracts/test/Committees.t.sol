// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "./Base.sol";
import {Committees} from "../src/Committees.sol";

contract CommitteesTest is Base {
    // By members, and in each line by colluders from 1 on: the threshold. Where a line ends there is none. Written down
    // from `2 * threshold > members + colluders` and `threshold + 1 <= members`; `Committee::derive` of the protocol is
    // held against the same numbers.
    bytes[13] private _thresholds = [
        bytes(""),
        "",
        "",
        "",
        hex"03",
        hex"0404",
        hex"040505",
        hex"05050606",
        hex"0506060707",
        hex"060607070808",
        hex"06070708080909",
        hex"0707080809090a0a",
        hex"07080809090a0a0b0b"
    ];

    function derive(uint256 many, uint8 colluders) external pure returns (uint8, uint8) {
        return Committees.derive(many, colluders);
    }

    function test_threshold_and_quorum_are_those_of_the_protocol() public {
        for (uint256 m = 0; m < 13; ++m) {
            for (uint256 f = 0; f < 256; ++f) {
                uint256 expected = f == 0 || f > _thresholds[m].length ? 0 : uint8(_thresholds[m][f - 1]);
                bytes memory call = abi.encodeCall(this.derive, (m, uint8(f)));
                if (expected == 0) {
                    refused(
                        stranger,
                        abi.encodeWithSelector(Committees.InvalidCommittee.selector, m, uint8(f)),
                        address(this),
                        call
                    );
                    continue;
                }
                (uint8 threshold, uint8 quorum) = this.derive(m, uint8(f));
                equal("threshold", threshold, expected);
                equal("quorum", quorum, expected + 1);
            }
        }
    }

    /// Two sets that open share somebody who does not collude, and one wrong opening more than opens is noticed.
    function testFuzz_no_two_sums_of_one_round_are_opened(uint8 many, uint8 colluders) public view {
        try this.derive(many, colluders) returns (uint8 threshold, uint8 quorum) {
            if (2 * uint256(threshold) <= uint256(many) + colluders) {
                revert("two sets without an honest member in both");
            }
            if (2 * (uint256(threshold) - 1) > uint256(many) + colluders) revert("more than needed");
            if (quorum != threshold + 1 || quorum > many || many > 32) revert("quorum");
        } catch {
            bool impossible = colluders == 0 || many > 32 || (uint256(many) + colluders) / 2 + 2 > many;
            if (!impossible) revert("refused");
        }
    }
}
