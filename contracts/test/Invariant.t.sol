// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "./Base.sol";
import {Market} from "../src/Market.sol";

/// Random users of two models: they buy, settle, let time pass, ask for refunds, claim, and open and abort others.
contract Handler is Base {
    uint256[2] public modelIds;
    bytes32[] public queries;
    uint256[] public modelOf;
    uint256 public refusals;
    uint256 public deposits;
    uint256 private _now;

    function init() external {
        setUp();
        _now = 1_000_000;
        modelIds[0] = served();
        Market.Terms memory t = terms();
        t.queryPrice = 1_000_003;
        t.donorsBps = 3_333;
        t.trainerBps = 3_334;
        t.runnerBps = 3_333;
        modelIds[1] = propose(t);
        donate(modelIds[1], 3, 7);
        donate(modelIds[1], 4, 11);
        donate(modelIds[1], 5, type(uint32).max);
        trainAndServe(modelIds[1], 3);
    }

    function obligations() external view returns (uint256) {
        return market.obligations();
    }

    function balance() external view returns (uint256) {
        return token.balanceOf(address(market));
    }

    /// What everybody could ask for now, now or after the deadline.
    function due() external view returns (uint256 sum) {
        sum = deposits + market.owed(trainer) + market.owed(runner);
        for (uint256 i = 0; i < 2; ++i) {
            Market.ModelInfo memory m = market.model(modelIds[i]);
            for (uint16 d = 1; d <= m.donors; ++d) {
                sum += market.owedDonor(modelIds[i], d);
            }
        }
        for (uint256 i = 0; i < queries.length; ++i) {
            if (market.query(queries[i]).state == Market.QueryState.Funded) {
                sum += market.model(modelOf[i]).terms.queryPrice;
            }
        }
    }

    function buyOne(uint256 which) external {
        uint256 modelId = modelIds[which % 2];
        modelOf.push(modelId);
        queries.push(buy(modelId, bytes32(queries.length)));
    }

    function settleOne(uint256 which) external {
        if (queries.length == 0) return;
        which %= queries.length;
        bytes32 queryId = queries[which];
        bytes memory receipt = signQuery(QUERY_KEY, queryId, modelOf[which]);
        try market.settle(queryId, "job", "output", receipt) {}
        catch {
            ++refusals;
        }
    }

    function refundOne(uint256 which) external {
        if (queries.length == 0) return;
        try market.refund(queries[which % queries.length]) {}
        catch {
            ++refusals;
        }
    }

    function passTime(uint16 time) external {
        _now += time % 3_000;
        vm.warp(_now);
    }

    function claimOne(uint256 which, uint16 index) external {
        try market.claimDonor(modelIds[which % 2], index % 4) {}
        catch {
            ++refusals;
        }
    }

    function claimAccount(uint256 which) external {
        vm.startPrank(which % 2 == 0 ? trainer : runner);
        try market.claim() {}
        catch {
            ++refusals;
        }
        vm.stopPrank();
    }

    function proposeAndAbort(bool abort) external {
        Market.Terms memory t = terms();
        t.instantPayment = 3;
        uint256 modelId = propose(t);
        if (!abort) {
            deposits += uint256(t.instantPayment) * t.maxDonors;
            return;
        }
        vm.startPrank(trainer);
        market.abortTraining(modelId);
        vm.stopPrank();
    }
}

contract InvariantTest {
    error Broken(string what, uint256 a, uint256 b);

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Handler private _handler;

    function setUp() public {
        _handler = new Handler();
        _handler.init();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        bytes4[] memory s = new bytes4[](7);
        s[0] = Handler.buyOne.selector;
        s[1] = Handler.settleOne.selector;
        s[2] = Handler.refundOne.selector;
        s[3] = Handler.passTime.selector;
        s[4] = Handler.claimOne.selector;
        s[5] = Handler.claimAccount.selector;
        s[6] = Handler.proposeAndAbort.selector;
        targets[0] = FuzzSelector(address(_handler), s);
    }

    /// The contract holds what it owes, to the unit.
    function invariant_balance_is_obligations() external view {
        uint256 held = _handler.balance();
        uint256 owes = _handler.obligations();
        if (held != owes) revert Broken("balance", held, owes);
    }

    /// Everybody can be paid, and rounding keeps less than one unit per donor.
    function invariant_everybody_can_be_paid() external view {
        uint256 due = _handler.due();
        uint256 owes = _handler.obligations();
        if (due > owes || owes - due > 5) revert Broken("due", due, owes);
    }
}
