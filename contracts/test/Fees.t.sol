// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "./Base.sol";
import {Market} from "../src/Market.sol";
import {MarketLog} from "../src/MarketLog.sol";
import {Purse} from "../src/Purse.sol";

/// What the members take of each query, by vote.
contract FeesTest is Base {
    address private _treasury = vm.addr(20);
    address private _next = vm.addr(21);

    function collected(uint256 modelId, address to, uint256 amount) private {
        uint256 before = token.balanceOf(to);
        equal("collectable", market.feesOf(modelId), amount);
        equal("collected", market.collectFees(modelId), amount);
        equal("received", token.balanceOf(to) - before, amount);
        equal("nothing left", market.feesOf(modelId), 0);
        equal("balance", token.balanceOf(address(market)), market.obligations());
    }

    function test_a_fee_comes_off_before_the_split() public {
        market.setFee(1_000, _treasury);
        uint256 modelId = served();
        equal("recorded", market.model(modelId).feeBps, 1_000);
        uint256 runnerBefore = market.owed(runner);
        uint256 trainerBefore = market.owed(trainer);
        settle(modelId, buy(modelId, "a"));
        // 10 paid; 1 is the fee; the rest is shared out 6 : 3 : 1.
        equal("runner", market.owed(runner) - runnerBefore, 0.9e6);
        equal("trainer", market.owed(trainer) - trainerBefore, 2.7e6);
        equal("donors", market.owedDonor(modelId, 1) + market.owedDonor(modelId, 2), 10e6 + 5.4e6);
        collected(modelId, _treasury, 1e6);
        refused(
            stranger,
            abi.encodeWithSelector(Purse.NothingOwed.selector, _treasury),
            address(market),
            abi.encodeCall(market.collectFees, (modelId))
        );
        settle(modelId, buy(modelId, "b"));
        settle(modelId, buy(modelId, "c"));
        collected(modelId, _treasury, 2e6);
    }

    /// Terms never change: neither up nor down, and a model from before the first fee never pays one.
    function test_a_model_keeps_the_fee_it_began_with() public {
        uint256 free = served();
        market.setFee(500, _treasury);
        uint256 dear = propose(terms());
        market.setFee(100, _treasury);
        uint256 cheap = propose(terms());
        donate(dear, 11, 1);
        donate(dear, 12, 1);
        donate(cheap, 13, 1);
        donate(cheap, 14, 1);
        market.setFee(0, _treasury);
        trainAndServe(dear, 2);
        trainAndServe(cheap, 2);
        settle(free, buy(free, "a"));
        settle(dear, buy(dear, "b"));
        settle(cheap, buy(cheap, "c"));
        equal("free", market.feesOf(free), 0);
        collected(dear, _treasury, 0.5e6);
        collected(cheap, _treasury, 0.1e6);
        equal("now", market.feeBps(), 0);
        equal("new", market.model(propose(terms())).feeBps, 0);
    }

    /// Whoever is the treasury when fees are collected gets them, so that a lost account loses none; and there always
    /// is one as soon as anything can be due to it.
    function test_fees_are_never_due_to_nobody() public {
        address target = address(market);
        bytes memory zero = abi.encodeWithSelector(MarketLog.ZeroAddress.selector);
        market.setFee(0, address(0));
        refused(address(this), zero, target, abi.encodeCall(market.setFee, (1, address(0))));
        market.setFee(500, _treasury);
        uint256 modelId = served();
        settle(modelId, buy(modelId, "a"));
        refused(address(this), zero, target, abi.encodeCall(market.setFee, (0, address(0))));
        refused(
            address(this),
            abi.encodeWithSelector(MarketLog.OwnAddress.selector),
            target,
            abi.encodeCall(market.setFee, (0, target))
        );
        market.setFee(0, _next);
        collected(modelId, _next, 0.5e6);
        equal("earlier treasury", token.balanceOf(_treasury), 0);
    }

    function test_only_governance_sets_the_fee_and_not_above_the_limit() public {
        address target = address(market);
        address[4] memory others = [trainer, runner, auditor, stranger];
        for (uint256 i = 0; i < others.length; ++i) {
            refused(
                others[i],
                abi.encodeWithSignature("AccessManagedUnauthorized(address)", others[i]),
                target,
                abi.encodeCall(market.setFee, (1, others[i]))
            );
        }
        refused(
            address(this),
            abi.encodeWithSelector(MarketLog.FeeTooHigh.selector, 1_001, 1_000),
            target,
            abi.encodeCall(market.setFee, (1_001, _treasury))
        );
        market.setFee(1_000, _treasury);
    }

    /// A refunded query costs nothing, the fee included; a pause keeps no fee back.
    function test_refunds_are_in_full_and_pauses_lock_no_fee() public {
        market.setFee(1_000, _treasury);
        uint256 modelId = served();
        uint256 before = token.balanceOf(user);
        bytes32 answered = buy(modelId, "a");
        bytes32 unanswered = buy(modelId, "b");
        settle(modelId, answered);
        market.pause();
        vm.warp(block.timestamp + 2 hours);
        market.refund(unanswered);
        equal("user", token.balanceOf(user), before - 10e6);
        collected(modelId, _treasury, 1e6);
    }

    /// Any price, fee and split: the parts are the price, to the unit, and what rounding leaves stays with the donors.
    function testFuzz_parts_are_the_price(uint96 price, uint16 bps, uint16 donorsBps, uint16 trainerBps, uint8 queries)
        public
    {
        Market.Terms memory t = terms();
        t.queryPrice = price;
        t.donorsBps = donorsBps % 10_001;
        t.trainerBps = trainerBps % (10_001 - t.donorsBps);
        t.runnerBps = 10_000 - t.donorsBps - t.trainerBps;
        t.instantPayment = 0;
        market.setFee(bps % 1_001, _treasury);
        uint256 n = 1 + queries % 4;
        fund(user, uint256(price) * n);
        uint256 modelId = propose(t);
        donate(modelId, 1, 5);
        donate(modelId, 2, 5);
        trainAndServe(modelId, 2);
        for (uint256 i = 0; i < n; ++i) {
            settle(modelId, buy(modelId, bytes32(i + 1)));
        }
        uint256 fees = market.feesOf(modelId);
        uint256 donors = market.owedDonor(modelId, 1) + market.owedDonor(modelId, 2);
        equal("fees", fees, uint256(price) * (bps % 1_001) / 10_000 * n);
        // Two donors with half of it each: one unit at most is nobody's.
        uint256 parts = fees + donors + market.owed(trainer) + market.owed(runner);
        atMost("all", parts, uint256(price) * n);
        atMost("dust", uint256(price) * n - parts, 1);
        uint256 rest = uint256(price) * n - fees;
        atMost("donors get at least their part", rest * t.donorsBps / 10_000, donors + 1);
        if (fees != 0) market.collectFees(modelId);
        uint16[] memory both = new uint16[](2);
        (both[0], both[1]) = (1, 2);
        equal("paid", market.claimDonors(modelId, both), donors);
        atMost("left", market.obligations() - market.owed(trainer) - market.owed(runner), 1);
        equal("balance", token.balanceOf(address(market)), market.obligations());
    }
}
