// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "./Base.sol";
import {RoundStatus} from "../src/IRounds.sol";
import {Market} from "../src/Market.sol";
import {MarketLog} from "../src/MarketLog.sol";
import {RoundsLog} from "../src/RoundsLog.sol";

/// Who is paid what when a party is silent or lies: the table of contracts/README.md, cell by cell. Three donors of four
/// places, five for each: twenty are deposited, a query costs ten. Two updates are enough. Each test is a column, each
/// call of `row` a row of it.
contract TableTest is Base {
    enum Row {
        Recruiting,
        Training,
        // The first round, and nothing opened before.
        Open,
        Closed,
        // The quorum is posted; the trainer has posted the outcome.
        Opened,
        Final,
        // The second round, after the first one.
        OpenAgain,
        ClosedAgain,
        Serving
    }

    uint256 private _donors;
    uint256 private _modelId;
    uint32 private _round;
    uint256 private _before;
    // Which donors anchor in the round that the row is about.
    uint16 private _anchoring;

    /// A model that stands there, with three new donors.
    function row(Row r) private {
        _modelId = propose(terms());
        _before = token.balanceOf(trainer);
        _round = 0;
        for (uint256 i = 0; i < 3; ++i) {
            donate(_modelId, ++_donors, 1);
        }
        if (r == Row.Recruiting) return;
        start(_modelId);
        if (r == Row.Training) return;
        uint16 anchoring = _anchoring;
        if (r >= Row.OpenAgain) {
            _anchoring = 3;
            anchored();
            finishRound(_modelId, _round);
            _anchoring = anchoring;
        }
        if (r == Row.Serving) {
            finish();
            return;
        }
        anchored();
        if (r == Row.Open || r == Row.OpenAgain) return;
        close(_modelId, _round);
        if (r == Row.Closed || r == Row.ClosedAgain) return;
        posts(_modelId, _round, QUORUM);
        if (r == Row.Opened) return;
        finalize(_modelId, _round);
    }

    function setUp() public override {
        super.setUp();
        _anchoring = 3;
    }

    function anchored() private {
        _round = open(_modelId);
        for (uint16 d = 1; d <= _anchoring; ++d) {
            anchor(_modelId, _round, d);
        }
    }

    function finish() private {
        vm.startPrank(trainer);
        market.finishTraining(_modelId, MODEL_HASH);
        market.serve(_modelId, vm.addr(QUERY_KEY));
        vm.stopPrank();
    }

    function completed() private {
        close(_modelId, _round);
        goesOn();
    }

    /// From the closed round on everybody does what there is to do.
    function goesOn() private {
        posts(_modelId, _round, QUORUM);
        finalize(_modelId, _round);
        finish();
    }

    function later(uint256 time) private {
        vm.warp(this.timeNow() + time);
    }

    function afterDeadline() private {
        later(1 days + 1);
        rounds.close(_modelId, _round);
    }

    function nobodyElseEnds() private {
        refused(
            stranger,
            abi.encodeWithSelector(MarketLog.NotTrainer.selector, _modelId, stranger),
            address(market),
            abi.encodeCall(market.abortTraining, (_modelId))
        );
    }

    function ended(address by) private {
        vm.startPrank(by);
        market.abortTraining(_modelId);
        vm.stopPrank();
    }

    /// What each gets in the end, in units of a million; nothing is left of this model.
    function paid(uint256 first, uint256 second, uint256 third, uint256 rest) private {
        uint256[3] memory donors = [first, second, third];
        for (uint16 d = 1; d <= 3; ++d) {
            equal("donor", market.owedDonor(_modelId, d), donors[d - 1] * 1e6);
            if (donors[d - 1] != 0) market.claimDonor(_modelId, d);
        }
        vm.startPrank(trainer);
        if (rest != 0) market.claim();
        vm.stopPrank();
        equal("rest of the deposit", token.balanceOf(trainer) - _before, rest * 1e6);
        equal("nothing is stuck", market.obligations(), 0);
        equal("nothing is left", token.balanceOf(address(market)), 0);
    }

    function is_(RoundStatus expected) private view {
        equal("round", uint256(rounds.roundInfo(_modelId, _round).status), uint256(expected));
    }

    // ---------------------------------------------------------------- everybody does what there is to do

    function test_nobody_is_silent() public {
        for (uint8 r = uint8(Row.Open); r <= uint8(Row.ClosedAgain); ++r) {
            row(Row(r));
            if (Row(r) == Row.Open || Row(r) == Row.OpenAgain) close(_modelId, _round);
            if (Row(r) == Row.Opened) finalize(_modelId, _round);
            if (Row(r) == Row.Opened || Row(r) == Row.Final) finish();
            else goesOn();
            paid(5, 5, 5, 5);
        }
    }

    // ---------------------------------------------------------------- the trainer

    function test_the_trainer_is_silent() public {
        // Nobody is owed anything, and the deposit waits.
        for (uint8 r = uint8(Row.Recruiting); r <= uint8(Row.Training); ++r) {
            row(Row(r));
            later(400 days);
            nobodyElseEnds();
            ended(trainer);
            paid(0, 0, 0, 20);
            setUp();
        }
        Row[2] memory first = [Row.Open, Row.Closed];
        for (uint256 i = 0; i < first.length; ++i) {
            setUp();
            row(first[i]);
            later(400 days);
            nobodyElseEnds();
            ended(trainer);
            paid(0, 0, 0, 20);
        }
        // Sixty days after the last sum anybody sees to it that the donors are paid.
        Row[4] memory rows = [Row.Opened, Row.Final, Row.OpenAgain, Row.ClosedAgain];
        for (uint256 i = 0; i < rows.length; ++i) {
            setUp();
            row(rows[i]);
            later(60 days);
            nobodyElseEnds();
            later(1);
            ended(stranger);
            paid(5, 5, 5, 5);
        }
        // Nothing is needed of it any more.
        setUp();
        row(Row.Serving);
        settle(_modelId, buy(_modelId, "a"));
        vm.startPrank(runner);
        market.claim();
        vm.stopPrank();
        paid(7, 7, 7, 8);
    }

    /// Wrong hashes of the sum or the model: everybody recomputes them, the ledger cannot. It is a model as any other,
    /// and the donors are paid.
    function test_the_trainer_lies() public {
        row(Row.Opened);
        vm.startPrank(trainer);
        rounds.finalize(_modelId, _round, "no sum", "no model");
        market.finishTraining(_modelId, "no model");
        vm.stopPrank();
        paid(5, 5, 5, 5);
    }

    // ---------------------------------------------------------------- donors

    function test_a_donor_is_silent() public {
        Row[2] memory rows = [Row.Open, Row.OpenAgain];
        for (uint256 i = 0; i < 2; ++i) {
            setUp();
            // One: the others are enough. It was there to be asked, and is paid.
            _anchoring = 2;
            row(rows[i]);
            afterDeadline();
            goesOn();
            paid(5, 5, 5, 5);
            // Two: the round fails.
            setUp();
            _anchoring = 1;
            row(rows[i]);
            afterDeadline();
            is_(RoundStatus.Failed);
            nobodyElseEnds();
            ended(trainer);
            // What was opened before is paid, also to who stayed away.
            if (i == 0) paid(0, 0, 0, 20);
            else paid(5, 5, 5, 5);
            // Or the next one does not.
            setUp();
            _anchoring = 1;
            row(rows[i]);
            afterDeadline();
            _anchoring = 3;
            anchored();
            completed();
            paid(5, 5, 5, 5);
        }
        // Nothing is needed of donors in the other rows.
    }

    function test_a_donor_lies() public {
        Row[2] memory rows = [Row.Closed, Row.ClosedAgain];
        for (uint256 i = 0; i < 2; ++i) {
            // One: it is named, the others go on.
            setUp();
            row(rows[i]);
            blame(_modelId, _round, 3, 2);
            is_(RoundStatus.Closed);
            goesOn();
            paid(5, 5, 0, 10);
            // The trainer may as well give up then: the liar gets nothing either way.
            setUp();
            row(rows[i]);
            blame(_modelId, _round, 3, 1);
            ended(trainer);
            if (i == 0) paid(0, 0, 0, 20);
            else paid(5, 5, 0, 10);
            // Two: too few are left.
            setUp();
            row(rows[i]);
            blame(_modelId, _round, 3, 1);
            blame(_modelId, _round, 1, 3);
            is_(RoundStatus.Failed);
            nobodyElseEnds();
            ended(trainer);
            if (i == 0) paid(0, 0, 0, 20);
            else paid(0, 5, 0, 15);
        }
        // What came out later is a name, and the past stays.
        Row[2] memory past = [Row.Opened, Row.Final];
        for (uint256 i = 0; i < 2; ++i) {
            setUp();
            row(past[i]);
            blame(_modelId, _round, 3, 1);
            if (i == 0) finalize(_modelId, _round);
            finish();
            paid(5, 5, 5, 5);
        }
    }

    /// Not a lie, but the same question: whoever takes the data back keeps the share in what was made with it. Before a sum is
    /// open nothing was.
    function test_a_donor_withdraws() public {
        Row[8] memory rows =
            [Row.Recruiting, Row.Training, Row.Open, Row.Closed, Row.Opened, Row.Final, Row.OpenAgain, Row.ClosedAgain];
        for (uint256 i = 0; i < rows.length; ++i) {
            setUp();
            _donors = 0;
            row(rows[i]);
            withdrawDataset(3);
            market.endUse(_modelId, 3);
            if (rows[i] == Row.Recruiting) start(_modelId);
            if (i < 2) {
                _anchoring = 2;
                anchored();
                _anchoring = 3;
            }
            if (i < 3 || rows[i] == Row.OpenAgain) close(_modelId, _round);
            if (rows[i] == Row.Opened) finalize(_modelId, _round);
            if (rows[i] == Row.Opened || rows[i] == Row.Final) finish();
            else goesOn();
            equal("survivors", rounds.roundInfo(_modelId, _round).survivors, i == 4 || i == 5 ? 3 : 2);
            if (i < 4) paid(5, 5, 0, 10);
            else paid(5, 5, 5, 5);
        }
    }

    // ---------------------------------------------------------------- the committee

    function test_a_member_is_silent() public {
        Row[2] memory rows = [Row.Closed, Row.ClosedAgain];
        for (uint256 i = 0; i < 2; ++i) {
            setUp();
            row(rows[i]);
            goesOn();
            paid(5, 5, 5, 5);
        }
    }

    function test_a_member_lies() public {
        Row[2] memory rows = [Row.Closed, Row.ClosedAgain];
        for (uint256 i = 0; i < 2; ++i) {
            // It accuses a donor falsely, or posts what it does not publish; the others open.
            setUp();
            row(rows[i]);
            post(_modelId, _round, 6);
            blameSeat(6, 4);
            equal("taken back", rounds.roundInfo(_modelId, _round).partials, 0);
            goesOn();
            paid(5, 5, 5, 5);
            // It names an honest donor: one voice is none.
            setUp();
            row(rows[i]);
            vm.startPrank(seats[6]);
            rounds.blameDonor(_modelId, _round, 1, 1);
            vm.stopPrank();
            goesOn();
            paid(5, 5, 5, 5);
        }
        // Its opening is wrong, which is seen when there are seven: the sum is open all the same, and it is only said.
        Row[2] memory past = [Row.Opened, Row.Final];
        for (uint256 i = 0; i < 2; ++i) {
            setUp();
            row(past[i]);
            if (i == 0) post(_modelId, _round, 6);
            for (uint256 s = 0; s < 2; ++s) {
                vm.startPrank(seats[s]);
                rounds.blameMember(_modelId, _round, seats[5], 5);
                vm.stopPrank();
            }
            if (rounds.isNamed(_modelId, seats[5])) revert("a donor may have done it");
            if (i == 0) finalize(_modelId, _round);
            finish();
            paid(5, 5, 5, 5);
        }
    }

    function blameSeat(uint256 seat, uint8 reason) private {
        address member = seats[seat];
        for (uint256 i = 0; i < 2; ++i) {
            vm.startPrank(seats[i]);
            rounds.blameMember(_modelId, _round, member, reason);
            vm.stopPrank();
        }
        if (!rounds.isNamed(_modelId, member)) revert("not named");
    }

    /// Two of seven, of whom one may collude: nobody can open the round.
    function test_the_committee_is_silent() public {
        Row[2] memory rows = [Row.Closed, Row.ClosedAgain];
        for (uint256 i = 0; i < 2; ++i) {
            setUp();
            row(rows[i]);
            posts(_modelId, _round, QUORUM - 1);
            later(2 days);
            refused(
                stranger,
                abi.encodeWithSelector(
                    RoundsLog.StillOpening.selector, _modelId, _round, rounds.roundInfo(_modelId, _round).openBy
                ),
                address(rounds),
                abi.encodeCall(rounds.voidRound, (_modelId, _round))
            );
            nobodyElseEnds();
            later(1);
            refused(
                seats[6],
                abi.encodeWithSelector(
                    RoundsLog.OpeningOver.selector, _modelId, _round, rounds.roundInfo(_modelId, _round).openBy
                ),
                address(rounds),
                abi.encodeCall(rounds.postPartial, (_modelId, _round, 0, "late"))
            );
            vm.startPrank(stranger);
            rounds.voidRound(_modelId, _round);
            vm.stopPrank();
            is_(RoundStatus.Void);
            nobodyElseEnds();
            ended(trainer);
            // The ledger cannot tell a committee that is silent from a round that it was right to refuse: what was opened
            // before is paid.
            if (i == 0) paid(0, 0, 0, 20);
            else paid(5, 5, 5, 5);
            // Or the next round is opened.
            setUp();
            row(rows[i]);
            later(2 days + 1);
            rounds.voidRound(_modelId, _round);
            anchored();
            completed();
            paid(5, 5, 5, 5);
        }
    }

    // ---------------------------------------------------------------- the enclave that answers

    function test_the_runner_is_silent() public {
        row(Row.Serving);
        uint256 before = token.balanceOf(user);
        bytes32 queryId = buy(_modelId, "a");
        later(1 hours + 1);
        market.refund(queryId);
        equal("user", token.balanceOf(user), before);
        paid(5, 5, 5, 5);
    }

    function test_the_runner_lies() public {
        row(Row.Serving);
        uint256 before = token.balanceOf(user);
        bytes32 queryId = buy(_modelId, "a");
        bytes memory receipt = signQuery(STRANGER_KEY, queryId, _modelId);
        vm.startPrank(runner);
        (bool ok,) = address(market).call(abi.encodeCall(market.settle, (queryId, "job", "output", ANSWER, receipt)));
        vm.stopPrank();
        if (ok) revert("paid without an answer");
        // Nor does it keep the answer to itself: the receipt is over it.
        receipt = signQuery(QUERY_KEY, queryId, _modelId);
        vm.startPrank(runner);
        (ok,) = address(market).call(abi.encodeCall(market.settle, (queryId, "job", "output", "", receipt)));
        vm.stopPrank();
        if (ok) revert("paid for an answer that it keeps");
        later(1 hours + 1);
        market.refund(queryId);
        equal("user", token.balanceOf(user), before);
        paid(5, 5, 5, 5);
    }
}
