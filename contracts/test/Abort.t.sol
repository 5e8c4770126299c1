// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "./Base.sol";
import {Market} from "../src/Market.sol";
import {MarketLog} from "../src/MarketLog.sol";
import {State} from "../src/MarketTypes.sol";
import {RoundsLog} from "../src/RoundsLog.sol";

/// Trainers who want a model for nothing, and models that were left behind.
contract AbortTest is Base {
    function training() private returns (uint256 modelId) {
        modelId = propose(terms());
        donate(modelId, 1, 1);
        donate(modelId, 2, 3);
        start(modelId);
    }

    function closed(uint256 modelId) private returns (uint32 round) {
        round = open(modelId);
        anchor(modelId, round, 1);
        anchor(modelId, round, 2);
        vm.startPrank(trainer);
        rounds.close(modelId, round);
        vm.stopPrank();
    }

    function abort(address who, uint256 modelId) private {
        vm.startPrank(who);
        market.abortTraining(modelId);
        vm.stopPrank();
    }

    function _paidInFull(uint256 modelId, uint256 before) private {
        equal("state", uint256(market.model(modelId).state), uint256(State.Aborted));
        equal("donor 1", market.owedDonor(modelId, 1), 5e6);
        equal("donor 2", market.owedDonor(modelId, 2), 5e6);
        market.claimDonor(modelId, 1);
        market.claimDonor(modelId, 2);
        equal("donor 1, once", market.owedDonor(modelId, 1), 0);
        vm.startPrank(trainer);
        market.claim();
        vm.stopPrank();
        equal("trainer", token.balanceOf(trainer), before - 10e6);
        equal("nothing left", market.obligations(), 0);
        equal("nothing left in the account", token.balanceOf(address(market)), 0);
    }

    function test_after_a_final_round_donors_are_paid() public {
        uint256 before = token.balanceOf(trainer);
        uint256 modelId = training();
        finishRoundOf(modelId);
        abort(trainer, modelId);
        _paidInFull(modelId, before);
    }

    function finishRoundOf(uint256 modelId) private {
        uint32 round = open(modelId);
        anchor(modelId, round, 1);
        anchor(modelId, round, 2);
        finishRound(modelId, round);
    }

    /// The sum is open as soon as the committee posted: not calling `finalize` saves nothing.
    function test_an_opened_round_counts_without_finalize() public {
        uint256 before = token.balanceOf(trainer);
        uint256 modelId = training();
        uint32 round = closed(modelId);
        posts(modelId, round, QUORUM);
        abort(trainer, modelId);
        _paidInFull(modelId, before);
    }

    /// A failed round after a good one does not undo it.
    function test_a_round_made_to_fail_saves_nothing() public {
        uint256 before = token.balanceOf(trainer);
        uint256 modelId = training();
        finishRoundOf(modelId);
        uint32 round = open(modelId);
        vm.warp(block.timestamp + 1 days + 1);
        rounds.close(modelId, round);
        // Nor can donors or strangers end a model that the trainer may still finish.
        refused(
            stranger,
            abi.encodeWithSelector(MarketLog.NotTrainer.selector, modelId, stranger),
            address(market),
            abi.encodeCall(market.abortTraining, (modelId))
        );
        abort(trainer, modelId);
        _paidInFull(modelId, before);
    }

    function _failing(uint256 modelId, uint256 time) private {
        uint64 deadline = uint64(block.timestamp + time);
        vm.startPrank(trainer);
        uint32 round = rounds.open(modelId, HEADER, deadline, deadline + 1 days);
        vm.stopPrank();
        anchor(modelId, round, 1);
        vm.warp(1_000_000 + 2 days);
        rounds.close(modelId, round);
        abort(trainer, modelId);
    }

    /// Whoever stays away from a later round is paid for the sum that it is in, as one who withdraws is.
    function test_donors_of_an_opened_sum_are_paid_whoever_missed_a_later_round() public {
        uint256 before = token.balanceOf(trainer);
        uint256 modelId = training();
        finishRoundOf(modelId);
        _failing(modelId, 12 hours);
        _paidInFull(modelId, before);
    }

    function test_a_withdrawal_after_a_missed_round() public {
        for (uint16 d = 1; d <= 2; ++d) {
            setUp();
            uint256 before = token.balanceOf(trainer);
            uint256 modelId = training();
            finishRoundOf(modelId);
            uint32 round = open(modelId);
            anchor(modelId, round, 1);
            vm.warp(block.timestamp + 1 days + 1);
            rounds.close(modelId, round);
            withdrawDataset(d);
            market.endUse(modelId, d);
            abort(trainer, modelId);
            _paidInFull(modelId, before);
        }
    }

    /// Giving up for free and having the sum opened afterwards does not work either.
    function test_no_sum_is_opened_after_giving_up() public {
        uint256 modelId = training();
        uint32 round = closed(modelId);
        abort(trainer, modelId);
        equal("deposit", market.owed(trainer), 20e6);
        bytes memory over = abi.encodeWithSelector(RoundsLog.NotTraining.selector, modelId, State.Aborted);
        refused(committee, over, address(rounds), abi.encodeCall(rounds.postPartial, (modelId, round, 0, "partial")));
        uint256 other = training2();
        round = open(other);
        anchor(other, round, 1);
        anchor(other, round, 2);
        abort(trainer, other);
        over = abi.encodeWithSelector(RoundsLog.NotTraining.selector, other, State.Aborted);
        refused(trainer, over, address(rounds), abi.encodeCall(rounds.close, (other, round)));
    }

    function training2() private returns (uint256 modelId) {
        modelId = propose(terms());
        donate(modelId, 3, 1);
        donate(modelId, 4, 1);
        start(modelId);
    }

    /// One post less than the quorum opens nothing.
    function test_a_part_of_the_quorum_opens_nothing() public {
        uint256 modelId = training();
        uint32 round = closed(modelId);
        posts(modelId, round, QUORUM - 1);
        abort(trainer, modelId);
        equal("deposit", market.owed(trainer), 20e6);
        equal("donor", market.owedDonor(modelId, 1), 0);
    }

    /// A trainer who takes the model and never comes back does not keep the donors waiting for ever.
    function test_anybody_ends_an_abandoned_training() public {
        uint256 before = token.balanceOf(trainer);
        uint256 modelId = training();
        finishRoundOf(modelId);
        (uint32 opened, uint64 openedAt) = rounds.progress(modelId);
        equal("opened", opened, 1);
        equal("when", openedAt, this.timeNow());
        // Nor does one who opens round after round which nobody can answer.
        for (uint256 i = 0; i < 2; ++i) {
            uint64 deadline = uint64(this.timeNow() + rounds.LONGEST() - 1);
            vm.startPrank(trainer);
            uint32 round = rounds.open(modelId, "none", deadline, deadline + 1);
            vm.stopPrank();
            vm.warp(openedAt + (i + 1) * rounds.LONGEST());
            rounds.close(modelId, round);
        }
        equal("two of the longest rounds", this.timeNow(), openedAt + market.ABANDONED_AFTER());
        refused(
            stranger,
            abi.encodeWithSelector(MarketLog.NotTrainer.selector, modelId, stranger),
            address(market),
            abi.encodeCall(market.abortTraining, (modelId))
        );
        vm.warp(openedAt + market.ABANDONED_AFTER() + 1);
        abort(stranger, modelId);
        _paidInFull(modelId, before);
    }

    /// Nothing is owed to anybody before a sum is open: nobody but the trainer has anything to end.
    function test_nobody_else_ends_a_training_without_a_sum() public {
        uint256 modelId = training();
        uint32 round = open(modelId);
        vm.warp(block.timestamp + 1_000 days);
        rounds.close(modelId, round);
        refused(
            stranger,
            abi.encodeWithSelector(MarketLog.NotTrainer.selector, modelId, stranger),
            address(market),
            abi.encodeCall(market.abortTraining, (modelId))
        );
        abort(trainer, modelId);
        equal("deposit", market.owed(trainer), 20e6);
    }

    /// Payments are by terms, weights play no part, and any deposit is shared out to the unit.
    function testFuzz_an_aborted_deposit_is_shared_out(uint96 instant, uint8 max, bool opened) public {
        Market.Terms memory t = terms();
        t.instantPayment = instant;
        t.maxDonors = 2 + uint16(max % 8);
        fund(trainer, uint256(instant) * t.maxDonors);
        uint256 modelId = propose(t);
        donate(modelId, 1, type(uint32).max);
        donate(modelId, 2, 1);
        start(modelId);
        uint32 round = closed(modelId);
        if (opened) posts(modelId, round, QUORUM);
        abort(trainer, modelId);
        equal("donors", market.owedDonor(modelId, 1) + market.owedDonor(modelId, 2), opened ? 2 * uint256(instant) : 0);
        uint256 due = market.owed(trainer) + market.owedDonor(modelId, 1) + market.owedDonor(modelId, 2);
        equal("due", due, market.obligations());
        equal("balance", token.balanceOf(address(market)), market.obligations());
    }
}
