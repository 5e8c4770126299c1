// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "./Base.sol";
import {RoundStatus} from "../src/IRounds.sol";
import {Market} from "../src/Market.sol";
import {MarketLog} from "../src/MarketLog.sol";
import {State} from "../src/MarketTypes.sol";
import {Kinds} from "../src/Programs.sol";
import {RoundsLog} from "../src/RoundsLog.sol";
import {Signed} from "../src/Signed.sol";

contract RoundsTest is Base {
    function training(uint16 donors) internal returns (uint256 modelId) {
        Market.Terms memory t = terms();
        t.maxDonors = donors;
        modelId = propose(t);
        for (uint256 n = 1; n <= donors; ++n) {
            donate(modelId, n, 1);
        }
        start(modelId);
    }

    function status(uint256 modelId, uint32 round) private view returns (uint256) {
        return uint256(rounds.roundInfo(modelId, round).status);
    }

    function test_survivors_are_those_who_anchored() public {
        uint256 modelId = training(3);
        uint32 round = open(modelId);
        anchor(modelId, round, 1);
        anchor(modelId, round, 3);
        uint64 deadline = uint64(rounds.roundInfo(modelId, round).deadline);
        refused(
            trainer,
            abi.encodeWithSelector(RoundsLog.StillOpen.selector, modelId, round, uint16(2), deadline),
            address(rounds),
            abi.encodeCall(rounds.close, (modelId, round))
        );
        refused(
            stranger,
            abi.encodeWithSelector(RoundsLog.NotTrainer.selector, modelId, stranger),
            address(rounds),
            abi.encodeCall(rounds.close, (modelId, round))
        );
        vm.warp(deadline + 1);
        address enclave = enclaveOf(modelId, 2);
        bytes memory late = signUpdate(keyOf[enclave], modelId, round, "blob", 2);
        refused(
            stranger,
            abi.encodeWithSelector(RoundsLog.DeadlinePassed.selector, modelId, round, deadline),
            address(rounds),
            abi.encodeCall(rounds.anchor, (modelId, round, "blob", 2, enclave, late))
        );
        vm.startPrank(stranger);
        rounds.close(modelId, round);
        vm.stopPrank();
        (uint256[] memory bitmap, uint16 count) = rounds.survivors(modelId, round);
        equal("words", bitmap.length, 1);
        equal("bitmap", bitmap[0], 2 + 8);
        equal("count", count, 2);
        equal("recorded", rounds.roundInfo(modelId, round).survivors, 2);
        equal("status", status(modelId, round), uint256(RoundStatus.Closed));
    }

    function test_many_donors_are_in_the_bitmap() public {
        uint256 modelId = training(360);
        uint32 round = open(modelId);
        (uint256[] memory none, uint16 nobody) = rounds.survivors(modelId, round);
        equal("nobody", nobody + none[0] + none[1], 0);
        (none, nobody) = rounds.survivors(modelId, round + 1);
        equal("no such round", nobody + none[0] + none[1], 0);
        // Around the ends of words: 256 bits in what is reported, 88 and then 216 in what is kept.
        uint16[9] memory some = [uint16(1), 87, 88, 255, 256, 260, 303, 304, 360];
        for (uint256 i = 0; i < some.length; ++i) {
            anchor(modelId, round, some[i]);
        }
        (uint256[] memory bitmap, uint16 count) = rounds.survivors(modelId, round);
        equal("words", bitmap.length, 2);
        equal("first", bitmap[0], 2 | (1 << 87) | (1 << 88) | (1 << 255));
        equal("second", bitmap[1], 1 | (1 << 4) | (1 << 47) | (1 << 48) | (1 << 104));
        equal("count", count, 9);
        for (uint16 i = 0; i < 600; ++i) {
            bool expected =
                i == 1 || i == 87 || i == 88 || i == 255 || i == 256 || i == 260 || i == 303 || i == 304 || i == 360;
            if (rounds.isAnchored(modelId, round, i) != expected) revert("isAnchored");
        }
        address enclave = enclaveOf(modelId, 256);
        bytes memory receipt = signUpdate(keyOf[enclave], modelId, round, "again", 256);
        refused(
            stranger,
            abi.encodeWithSelector(RoundsLog.AlreadyAnchored.selector, modelId, round, uint16(256)),
            address(rounds),
            abi.encodeCall(rounds.anchor, (modelId, round, "again", 256, enclave, receipt))
        );
    }

    /// Donors behind the first 87 are kept elsewhere; all of them in, some out, and the round over.
    function test_rounds_of_many_donors_are_counted_and_end() public {
        uint256 modelId = training(360);
        uint32 round = open(modelId);
        uint16 expected;
        for (uint16 i = 1; i <= 360; ++i) {
            if (uint256(keccak256(abi.encode(i))) % 3 == 0) continue;
            anchor(modelId, round, i);
            ++expected;
        }
        (uint256[] memory bitmap, uint16 count) = rounds.survivors(modelId, round);
        equal("count", count, expected);
        for (uint16 i = 1; i <= 360; ++i) {
            bool anchored = uint256(keccak256(abi.encode(i))) % 3 != 0;
            if (((bitmap[i / 256] >> (i % 256)) & 1 == 1) != anchored) revert("bitmap");
        }
        uint16 missing = 200;
        while (uint256(keccak256(abi.encode(missing))) % 3 != 0) {
            ++missing;
        }
        address enclave = enclaveOf(modelId, missing);
        bytes memory receipt = signUpdate(keyOf[enclave], modelId, round, "blob", missing);
        bytes memory call = abi.encodeCall(rounds.anchor, (modelId, round, "blob", missing, enclave, receipt));
        uint64 deadline = rounds.roundInfo(modelId, round).deadline;
        vm.warp(deadline + 1);
        refused(
            stranger,
            abi.encodeWithSelector(RoundsLog.DeadlinePassed.selector, modelId, round, deadline),
            address(rounds),
            call
        );
        rounds.close(modelId, round);
        equal("recorded", rounds.roundInfo(modelId, round).survivors, expected);
        refused(
            stranger,
            abi.encodeWithSelector(RoundsLog.WrongRoundStatus.selector, modelId, round, RoundStatus.Closed),
            address(rounds),
            call
        );
        receipt = signUpdate(keyOf[enclave], modelId, round + 1, "blob", missing);
        refused(
            stranger,
            abi.encodeWithSelector(RoundsLog.WrongRoundStatus.selector, modelId, round + 1, RoundStatus.None),
            address(rounds),
            abi.encodeCall(rounds.anchor, (modelId, round + 1, "blob", missing, enclave, receipt))
        );
    }

    /// As soon as nobody is missing, the trainer need not wait; and nobody anchors twice.
    function test_a_round_of_many_donors_is_closed_early_when_all_are_in() public {
        uint256 modelId = training(130);
        uint32 round = open(modelId);
        for (uint16 i = 1; i <= 130; ++i) {
            anchor(modelId, round, i);
        }
        address enclave = enclaveOf(modelId, 130);
        bytes memory receipt = signUpdate(keyOf[enclave], modelId, round, "again", 130);
        bytes memory call = abi.encodeCall(rounds.anchor, (modelId, round, "again", 130, enclave, receipt));
        refused(
            stranger,
            abi.encodeWithSelector(RoundsLog.AlreadyAnchored.selector, modelId, round, uint16(130)),
            address(rounds),
            call
        );
        vm.startPrank(trainer);
        rounds.close(modelId, round);
        vm.stopPrank();
        equal("all", rounds.roundInfo(modelId, round).survivors, 130);
        refused(
            stranger,
            abi.encodeWithSelector(RoundsLog.WrongRoundStatus.selector, modelId, round, RoundStatus.Closed),
            address(rounds),
            call
        );
    }

    function test_updates_are_checked() public {
        uint256 modelId = training(2);
        uint32 round = open(modelId);
        address enclave = enclaveOf(modelId, 1);
        anchor(modelId, round, 1);
        bytes memory receipt = signUpdate(keyOf[enclave], modelId, round, "again", 1);
        refused(
            stranger,
            abi.encodeWithSelector(RoundsLog.AlreadyAnchored.selector, modelId, round, uint16(1)),
            address(rounds),
            abi.encodeCall(rounds.anchor, (modelId, round, "again", 1, enclave, receipt))
        );
        // Another live training enclave does not speak for this donor.
        enclave = enclaveOf(modelId, 2);
        addEnclave(STRANGER_KEY, Kinds.TRAINING);
        receipt = signUpdate(STRANGER_KEY, modelId, round, "blob", 2);
        refused(
            stranger,
            abi.encodeWithSelector(
                RoundsLog.ForeignEnclave.selector, uint16(2), enclaves.enclave(enclave).number, vm.addr(STRANGER_KEY)
            ),
            address(rounds),
            abi.encodeCall(rounds.anchor, (modelId, round, "blob", 2, vm.addr(STRANGER_KEY), receipt))
        );
        // Nor does its signature under the right name.
        refused(
            stranger,
            abi.encodeWithSelector(Signed.BadSignature.selector, enclave, vm.addr(STRANGER_KEY)),
            address(rounds),
            abi.encodeCall(rounds.anchor, (modelId, round, "blob", 2, enclave, receipt))
        );
        receipt = signUpdate(keyOf[enclave], modelId, round, "blob", 3);
        refused(
            stranger,
            abi.encodeWithSelector(MarketLog.UnknownDonor.selector, modelId, uint16(3)),
            address(rounds),
            abi.encodeCall(rounds.anchor, (modelId, round, "blob", 3, enclave, receipt))
        );
    }

    function test_receipts_do_not_travel_between_rounds() public {
        uint256 modelId = training(2);
        uint32 first = open(modelId);
        address enclave = enclaveOf(modelId, 1);
        bytes memory receipt = signUpdate(keyOf[enclave], modelId, first, "blob", 1);
        vm.warp(2_000_000);
        rounds.close(modelId, first);
        equal("failed", status(modelId, first), uint256(RoundStatus.Failed));
        uint32 second = open(modelId);
        bytes32 typehash = keccak256(
            "UpdateReceipt(uint256 modelId,uint32 round,bytes32 headerHash,bytes32 blobHash,uint16 donorIndex)"
        );
        bytes32 hash = keccak256(abi.encode(typehash, modelId, second, HEADER, bytes32("blob"), uint16(1)));
        refused(
            stranger,
            abi.encodeWithSelector(
                Signed.BadSignature.selector, enclave, recovered(address(rounds), hash, receipt, block.chainid)
            ),
            address(rounds),
            abi.encodeCall(rounds.anchor, (modelId, second, "blob", 1, enclave, receipt))
        );
        refused(
            stranger,
            abi.encodeWithSelector(RoundsLog.WrongRoundStatus.selector, modelId, first, RoundStatus.Failed),
            address(rounds),
            abi.encodeCall(rounds.anchor, (modelId, first, "blob", 1, enclave, receipt))
        );
    }

    function test_one_round_at_a_time_by_the_trainer() public {
        uint256 modelId = training(2);
        uint64 deadline = uint64(block.timestamp + 1);
        bytes memory call = abi.encodeCall(rounds.open, (modelId, HEADER, deadline, deadline + 1));
        refused(
            stranger, abi.encodeWithSelector(RoundsLog.NotTrainer.selector, modelId, stranger), address(rounds), call
        );
        uint32 round = open(modelId);
        bytes memory running =
            abi.encodeWithSelector(RoundsLog.PreviousRoundRunning.selector, modelId, round, RoundStatus.Open);
        refused(trainer, running, address(rounds), call);
        anchor(modelId, round, 1);
        anchor(modelId, round, 2);
        finishRound(modelId, round);
        equal("second", open(modelId), 2);
        equal("last", rounds.lastRound(modelId), 2);
    }

    function test_bad_rounds_are_refused() public {
        uint256 modelId = training(2);
        uint64 now_ = uint64(block.timestamp);
        uint64 latest = now_ + 30 days;
        _bad(modelId, 0, now_ + 1, now_ + 2, abi.encodeWithSelector(RoundsLog.ZeroHash.selector));
        _bad(modelId, HEADER, now_, now_ + 2, abi.encodeWithSelector(RoundsLog.DeadlineTooEarly.selector, now_));
        // The committee needs time, and nobody has for ever.
        _bad(
            modelId,
            HEADER,
            now_ + 1,
            now_ + 1,
            abi.encodeWithSelector(RoundsLog.InvalidOpenBy.selector, now_ + 1, latest)
        );
        _bad(
            modelId,
            HEADER,
            now_ + 1,
            latest + 1,
            abi.encodeWithSelector(RoundsLog.InvalidOpenBy.selector, latest + 1, latest)
        );
        uint256 recruiting = propose(terms());
        bytes memory reason = abi.encodeWithSelector(RoundsLog.NotTraining.selector, recruiting, State.Recruiting);
        _bad(recruiting, HEADER, now_ + 1, now_ + 2, reason);
    }

    function _bad(uint256 modelId, bytes32 header, uint64 deadline, uint64 openBy, bytes memory reason) private {
        bytes memory call = abi.encodeCall(rounds.open, (modelId, header, deadline, openBy));
        refused(trainer, reason, address(rounds), call);
    }

    function test_the_committee_opens_closed_rounds_only() public {
        uint256 modelId = training(2);
        uint32 round = open(modelId);
        bytes memory post_ = abi.encodeCall(rounds.postPartial, (modelId, round, 0, "partial"));
        refused(
            committee,
            abi.encodeWithSelector(RoundsLog.WrongRoundStatus.selector, modelId, round, RoundStatus.Open),
            address(rounds),
            post_
        );
        anchor(modelId, round, 1);
        anchor(modelId, round, 2);
        close(modelId, round);
        refused(runner, abi.encodeWithSelector(RoundsLog.NotSeated.selector, modelId, runner), address(rounds), post_);
        posts(modelId, round, QUORUM - 1);
        refused(
            committee,
            abi.encodeWithSelector(RoundsLog.AlreadyPosted.selector, modelId, round, committee),
            address(rounds),
            post_
        );
        refused(
            seats[6],
            abi.encodeWithSelector(RoundsLog.ZeroHash.selector),
            address(rounds),
            abi.encodeCall(rounds.postPartial, (modelId, round, 0, 0))
        );
        refused(
            trainer,
            abi.encodeWithSelector(RoundsLog.QuorumMissing.selector, modelId, round, QUORUM - 1, QUORUM),
            address(rounds),
            abi.encodeCall(rounds.finalize, (modelId, round, "aggregate", MODEL_HASH))
        );
        post(modelId, round, 6);
        finalize(modelId, round);
        equal(
            "partial",
            uint256(rounds.partialOf(modelId, round, committee)),
            uint256(keccak256(abi.encode("partial", uint256(0))))
        );
        equal("status", status(modelId, round), uint256(RoundStatus.Final));
    }
}
