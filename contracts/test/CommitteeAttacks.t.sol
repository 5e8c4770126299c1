// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Attacks} from "./Attacking.sol";
import {Committees} from "../src/Committees.sol";
import {RoundStatus} from "../src/IRounds.sol";
import {Market} from "../src/Market.sol";
import {MarketLog} from "../src/MarketLog.sol";
import {State} from "../src/MarketTypes.sol";
import {Members, Roles} from "../src/Members.sol";
import {RoundsLog} from "../src/RoundsLog.sol";
import {Signed} from "../src/Signed.sol";

/// The same by, and against, the committee.
contract CommitteeAttacksTest is Attacks {
    // ---------------------------------------------------------------- the committee

    function test_a_training_stopped_by_changing_a_key() public {
        training(2);
        address member = seats[3];
        vm.startPrank(member);
        members.update("profile", "another key");
        vm.stopPrank();
        if (members.member(member).keyClaimed) revert("claimed a key that it did not prove");
        members.remove(seats[4]);
        members.setRoles(seats[5], Roles.OWNER);
        anchored(2);
        finishRound(_modelId, _round);
        is_(RoundStatus.Final);
        // Later trainings are without it until it proves the new key.
        uint256 other = propose(terms());
        donate(other, 11, 1);
        donate(other, 12, 1);
        bytes memory call = abi.encodeCall(market.startTraining, (other, seats, keysOf(seats)));
        refused(trainer, abi.encodeWithSelector(RoundsLog.NoSeatFor.selector, member), address(market), call);
    }

    function test_a_key_copied_from_another_member() public {
        address copier = vm.addr(400);
        bytes32 key = members.member(seats[0]).sealKey;
        members.add(copier, Roles.COMMITTEE, 0, key);
        if (members.member(copier).keyClaimed) revert("claimed");
        refusedSeat(copier);
        // Proving one and putting another in its place afterwards.
        vm.startPrank(copier);
        members.proveSealKey("own", "r", "s");
        members.update("profile", key);
        vm.stopPrank();
        refusedSeat(copier);
        // A new profile with the same key keeps the proof.
        vm.startPrank(copier);
        members.proveSealKey("own", "r", "s");
        members.update("another profile", "own");
        vm.stopPrank();
        if (!members.member(copier).keyClaimed) revert("forgotten");
        refused(copier, abi.encodeWithSelector(Members.ZeroKey.selector), address(members), provingNothing());
        refused(
            stranger, abi.encodeWithSelector(Members.NotMember.selector, stranger), address(members), provingNothing()
        );
    }

    function provingNothing() private view returns (bytes memory) {
        return abi.encodeCall(members.proveSealKey, (0, "r", "s"));
    }

    function refusedSeat(address seat) private {
        uint256 modelId = propose(terms());
        donate(modelId, 900 + 2 * modelId, 1);
        donate(modelId, 901 + 2 * modelId, 1);
        bytes memory call = abi.encodeCall(market.startTraining, (modelId, with(seat), keysOf(with(seat))));
        refused(trainer, abi.encodeWithSelector(RoundsLog.NoSeatFor.selector, seat), address(market), call);
    }

    /// The committee and one more, in ascending order.
    function with(address seat) private view returns (address[] memory list) {
        list = new address[](SEATS + 1);
        uint256 next;
        for (uint256 i = 0; i <= SEATS; ++i) {
            bool here = i == next && (next == SEATS || seat < seats[next]);
            list[i] = here ? seat : seats[next++];
        }
    }

    function test_a_committee_that_one_liar_can_open() public {
        _modelId = propose(terms());
        donate(_modelId, 1, 1);
        donate(_modelId, 2, 1);
        // Three are too few for one who colludes; so is the same one twice, in whatever order.
        refusedCommittee(some(3), abi.encodeWithSelector(Committees.InvalidCommittee.selector, uint256(3), uint8(1)));
        address[] memory list = some(7);
        list[6] = list[5];
        refusedCommittee(list, abi.encodeWithSelector(RoundsLog.SeatsNotAscending.selector, list[5]));
        (list[5], list[6]) = (seats[6], seats[5]);
        refusedCommittee(list, abi.encodeWithSelector(RoundsLog.SeatsNotAscending.selector, seats[5]));
        // Nor somebody of another role, or nobody.
        list = some(7);
        list[0] = address(0);
        refusedCommittee(list, abi.encodeWithSelector(RoundsLog.SeatsNotAscending.selector, address(0)));
        list = new address[](33);
        refusedCommittee(list, abi.encodeWithSelector(Committees.InvalidCommittee.selector, uint256(33), uint8(1)));
        members.setRoles(seats[2], Roles.TRAINER);
        refusedCommittee(some(7), abi.encodeWithSelector(RoundsLog.NoSeatFor.selector, seats[2]));
        members.setRoles(seats[2], Roles.COMMITTEE);
        // Each with the key that the trainer checked, or not at all: a change in between stops this call and no training.
        bytes32[] memory keys = keysOf(some(7));
        bytes32 key = keys[3];
        keys[3] = "another";
        bytes memory call = abi.encodeCall(market.startTraining, (_modelId, some(7), keys));
        refused(trainer, abi.encodeWithSelector(RoundsLog.KeyChanged.selector, seats[3], key), address(market), call);
        call = abi.encodeCall(market.startTraining, (_modelId, some(7), keysOf(some(6))));
        refused(trainer, abi.encodeWithSelector(RoundsLog.KeysDoNotFit.selector, 7, 6), address(market), call);
        start(_modelId);
        (address[] memory fixed_, uint8 colluders, uint8 threshold, uint8 quorum) = rounds.committeeOf(_modelId);
        equal("seats", fixed_.length, 7);
        equal("colluders", colluders, 1);
        equal("threshold", threshold, 5);
        equal("quorum", quorum, 6);
        for (uint8 i = 0; i < 7; ++i) {
            if (fixed_[i] != seats[i]) revert("seat");
            equal("seat", rounds.seatOf(_modelId, seats[i]), i + 1);
        }
        equal("no seat", rounds.seatOf(_modelId, stranger), 0);
    }

    function some(uint256 many) private view returns (address[] memory list) {
        list = new address[](many);
        for (uint256 i = 0; i < many; ++i) {
            list[i] = seats[i];
        }
    }

    function refusedCommittee(address[] memory list, bytes memory reason) private {
        bytes memory call = abi.encodeCall(market.startTraining, (_modelId, list, keysOf(list)));
        refused(trainer, reason, address(market), call);
    }

    function test_a_committee_fixed_by_somebody_else() public {
        training(2);
        bytes memory call = abi.encodeCall(rounds.fixCommittee, (_modelId, some(4), keysOf(some(4)), 1, 2));
        refused(trainer, abi.encodeWithSelector(RoundsLog.NotMarket.selector, trainer), address(rounds), call);
        call = abi.encodeCall(rounds.dropDonor, (_modelId, 1));
        refused(trainer, abi.encodeWithSelector(RoundsLog.NotMarket.selector, trainer), address(rounds), call);
        call = abi.encodeCall(market.excludeDonor, (_modelId, 1));
        refused(trainer, abi.encodeWithSelector(MarketLog.NotRounds.selector, trainer), address(market), call);
    }

    function test_an_honest_donor_named_by_those_who_may_collude() public {
        closed();
        votes(6, 1, 1);
        refused(
            seats[6],
            abi.encodeWithSelector(RoundsLog.AlreadyBlamed.selector, _modelId, _round, seats[6]),
            address(rounds),
            abi.encodeCall(rounds.blameDonor, (_modelId, _round, 1, 1))
        );
        // For every reason there is: votes for different ones do not add up, and nobody honest joins.
        votes(6, 1, 2);
        votes(6, 1, 3);
        votes(5, 1, 6);
        is_(RoundStatus.Closed);
        equal("survivors", info().survivors, 3);
        equal("excluded", market.model(_modelId).excluded, 0);
        address[3] memory others = [trainer, stranger, auditor];
        for (uint256 i = 0; i < others.length; ++i) {
            refused(
                others[i],
                abi.encodeWithSelector(RoundsLog.NotSeated.selector, _modelId, others[i]),
                address(rounds),
                abi.encodeCall(rounds.blameDonor, (_modelId, _round, 1, 1))
            );
        }
        posts(_modelId, _round, QUORUM);
        finalize(_modelId, _round);
        vm.startPrank(trainer);
        market.finishTraining(_modelId, MODEL_HASH);
        vm.stopPrank();
        equal("paid", market.owedDonor(_modelId, 1), 5e6);
    }

    function test_a_liar_excluded_by_fewer_than_one_more_than_collude() public {
        Market.Terms memory t = terms();
        t.colluders = 3;
        _modelId = propose(t);
        for (uint256 n = 1; n <= 3; ++n) {
            donate(_modelId, n, 1);
        }
        start(_modelId);
        anchored(3);
        close(_modelId, _round);
        for (uint256 i = 0; i < 3; ++i) {
            votes(i, 2, 2);
            equal("not yet", market.model(_modelId).excluded, 0);
        }
        votes(3, 2, 2);
        equal("now", market.model(_modelId).excluded, 1);
        equal("weights", market.model(_modelId).totalWeight, 2);
        equal("weight", market.donor(_modelId, 2).weight, 0);
        equal("survivors", info().survivors, 2);
        // More votes change nothing more.
        votes(4, 2, 2);
        votes(0, 2, 1);
        equal("once", market.model(_modelId).excluded, 1);
        equal("attempt", info().attempt, 1);
    }

    /// The liar takes its data back when it is accused: that saves neither its place nor its pay.
    function test_pay_for_a_liar_who_withdraws() public {
        closed();
        withdrawDataset(3);
        market.endUse(_modelId, 3);
        votes(0, 3, 2);
        votes(1, 3, 2);
        equal("attempt", info().attempt, 1);
        posts(_modelId, _round, QUORUM);
        finalize(_modelId, _round);
        vm.startPrank(trainer);
        market.finishTraining(_modelId, MODEL_HASH);
        vm.stopPrank();
        equal("liar", market.owedDonor(_modelId, 3), 0);
        equal("rest", market.owed(trainer), 10e6);
    }

    /// What is wrong about a donor itself is found at any time, and leaves nobody paid for it: the same data as another
    /// donor's under another salt, or evidence that nobody believes.
    function test_pay_for_the_same_data_under_another_salt() public {
        // Before there was a round.
        training(4);
        blame(_modelId, 0, 4, 7);
        equal("excluded", market.model(_modelId).excluded, 1);
        // While it is open, and the update leaves it.
        anchored(3);
        blame(_modelId, _round, 3, 8);
        (, uint16 count) = rounds.survivors(_modelId, _round);
        equal("left", count, 2);
        close(_modelId, _round);
        posts(_modelId, _round, QUORUM);
        finalize(_modelId, _round);
        // And afterwards: the sum stays what it is, and only the pay is off. One voice is none here either.
        votes(6, 2, 7);
        equal("still two", market.model(_modelId).excluded, 2);
        votes(5, 2, 7);
        equal("survivors", info().survivors, 2);
        vm.startPrank(trainer);
        market.finishTraining(_modelId, MODEL_HASH);
        vm.stopPrank();
        equal("the honest one", market.owedDonor(_modelId, 1), 5e6);
        for (uint16 d = 2; d <= 4; ++d) {
            equal("liar", market.owedDonor(_modelId, d), 0);
        }
        equal("rest", market.owed(trainer), 15e6);
        // Once training is over, what is owed is owed.
        bytes memory over = abi.encodeWithSelector(Market.WrongState.selector, _modelId, State.Trained);
        votes(0, 1, 8);
        bytes memory call = abi.encodeCall(rounds.blameDonor, (_modelId, _round, 1, 8));
        refused(seats[1], over, address(rounds), call);
        equal("still owed", market.owedDonor(_modelId, 1), 5e6);
    }

    /// When every donor was named there is nobody to pay for the queries of the model, so there is none.
    function test_money_that_is_due_to_nobody() public {
        closed();
        posts(_modelId, _round, QUORUM);
        finalize(_modelId, _round);
        for (uint16 d = 1; d <= 3; ++d) {
            blame(_modelId, _round, d, 8);
        }
        bytes memory none = abi.encodeWithSelector(MarketLog.TooFewDonors.selector, _modelId, 0, 2);
        refused(trainer, none, address(market), abi.encodeCall(market.finishTraining, (_modelId, MODEL_HASH)));
        abort();
        equal("deposit", market.owed(trainer), 20e6);
        equal("all of it", market.obligations(), 20e6);
    }

    /// The owner's decision stands in the receipt and on the ledger: none, or another one, is not what was signed.
    function test_a_donation_without_the_decision_that_allows_it() public {
        _modelId = propose(terms());
        (address owner, bytes32 id) = addDataset(1);
        address enclave = trainingEnclave(1);
        bytes memory receipt = signDonation(keyOf[enclave], _modelId, id, rootOf(1), payeeOf(1));
        refused(
            owner,
            abi.encodeWithSelector(MarketLog.ZeroHash.selector),
            address(market),
            abi.encodeCall(market.donate, (_modelId, id, payeeOf(1), 0, enclave, receipt))
        );
        vm.startPrank(owner);
        (bool ok,) =
            address(market).call(abi.encodeCall(market.donate, (_modelId, id, payeeOf(1), "later", enclave, receipt)));
        vm.stopPrank();
        if (ok) revert("another decision");
        equal("the right one", donateAgain(_modelId, 1), 1);
    }

    /// The named one sends nothing more, in this round or a later one.
    function test_a_named_donor_comes_back() public {
        training(3);
        anchored(3);
        close(_modelId, _round);
        blame(_modelId, _round, 3, 3);
        posts(_modelId, _round, QUORUM);
        finalize(_modelId, _round);
        address enclave = trainingEnclave(3);
        _round = open(_modelId);
        bytes memory receipt = signUpdate(keyOf[enclave], _modelId, _round, "blob", 3);
        refused(
            runner,
            abi.encodeWithSelector(MarketLog.UseEnded.selector, _modelId, 3),
            address(rounds),
            abi.encodeCall(rounds.anchor, (_modelId, _round, "blob", 3, enclave, receipt))
        );
        anchor(_modelId, _round, 1);
        anchor(_modelId, _round, 2);
        // Nobody waits for it.
        close(_modelId, _round);
        is_(RoundStatus.Closed);
    }

    function test_a_liar_of_the_committee_votes_and_posts_on() public {
        closed();
        address liar = seats[6];
        // It does not judge itself, and others do not alone.
        refused(
            liar,
            abi.encodeWithSelector(RoundsLog.OwnSeat.selector, liar),
            address(rounds),
            abi.encodeCall(rounds.blameMember, (_modelId, _round, liar, 4))
        );
        posts(_modelId, _round, 2);
        post(_modelId, _round, 6);
        votesOnMember(0, 6, 4);
        equal("still there", info().partials, 3);
        votesOnMember(1, 6, 4);
        equal("taken back", info().partials, 2);
        equal("no post", uint256(rounds.partialOf(_modelId, _round, liar)), 0);
        bytes memory named = abi.encodeWithSelector(RoundsLog.MemberIsNamed.selector, _modelId, liar);
        bytes[4] memory calls = [
            abi.encodeCall(rounds.postPartial, (_modelId, _round, 0, "again")),
            abi.encodeCall(rounds.accuse, (_modelId, _round, 1)),
            abi.encodeCall(rounds.blameDonor, (_modelId, _round, 1, 1)),
            abi.encodeCall(rounds.blameMember, (_modelId, _round, seats[0], 4))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            refused(liar, named, address(rounds), calls[i]);
        }
        for (uint256 i = 2; i < QUORUM; ++i) {
            if (info().opened) revert("too early");
            post(_modelId, _round, i);
        }
        if (!info().opened) revert("six honest members do not open it");
        // Its silence in the next round is nobody's loss; who is only silent may come back.
        finalize(_modelId, _round);
        votesOnMember(0, 5, 6);
        votesOnMember(1, 5, 6);
        if (rounds.isNamed(_modelId, seats[5])) revert("named for silence");
        // Nor does a wrong opening cost it anything: a donor can have made it wrong.
        votesOnMember(0, 5, 5);
        votesOnMember(1, 5, 5);
        if (rounds.isNamed(_modelId, seats[5])) revert("named for what a donor may have done");
    }

    function test_reasons_that_are_none() public {
        closed();
        uint8[5] memory ofNoDonor = [uint8(0), 4, 5, 9, 255];
        for (uint256 i = 0; i < 5; ++i) {
            refused(
                seats[0],
                abi.encodeWithSelector(RoundsLog.InvalidReason.selector, ofNoDonor[i]),
                address(rounds),
                abi.encodeCall(rounds.blameDonor, (_modelId, _round, 1, ofNoDonor[i]))
            );
        }
        uint8[4] memory ofNoMember = [uint8(0), 3, 7, 8];
        for (uint256 i = 0; i < 4; ++i) {
            refused(
                seats[0],
                abi.encodeWithSelector(RoundsLog.InvalidReason.selector, ofNoMember[i]),
                address(rounds),
                abi.encodeCall(rounds.blameMember, (_modelId, _round, seats[1], ofNoMember[i]))
            );
        }
        bytes memory unknown = abi.encodeWithSelector(RoundsLog.UnknownDonor.selector, _modelId, 4);
        refused(seats[0], unknown, address(rounds), abi.encodeCall(rounds.blameDonor, (_modelId, _round, 4, 1)));
        unknown = abi.encodeWithSelector(RoundsLog.UnknownDonor.selector, _modelId, 0);
        refused(seats[0], unknown, address(rounds), abi.encodeCall(rounds.blameDonor, (_modelId, _round, 0, 1)));
        unknown = abi.encodeWithSelector(RoundsLog.NotSeated.selector, _modelId, stranger);
        refused(seats[0], unknown, address(rounds), abi.encodeCall(rounds.blameMember, (_modelId, _round, stranger, 4)));
    }

    /// Old rounds are over, open ones have not begun to be judged, and a model that was given up owes what it owes.
    function test_a_donor_robbed_afterwards() public {
        closed();
        posts(_modelId, _round, QUORUM);
        finalize(_modelId, _round);
        uint32 old = _round;
        anchored(3);
        refused(
            seats[0],
            abi.encodeWithSelector(RoundsLog.NotLatestRound.selector, _modelId, old, _round),
            address(rounds),
            abi.encodeCall(rounds.blameDonor, (_modelId, old, 1, 1))
        );
        refused(
            seats[0],
            abi.encodeWithSelector(RoundsLog.WrongRoundStatus.selector, _modelId, _round, RoundStatus.Open),
            address(rounds),
            abi.encodeCall(rounds.blameDonor, (_modelId, _round, 1, 1))
        );
        close(_modelId, _round);
        votes(0, 1, 1);
        abort();
        equal("owed", market.owedDonor(_modelId, 1), 5e6);
        refused(
            seats[1],
            abi.encodeWithSelector(Market.WrongState.selector, _modelId, State.Aborted),
            address(rounds),
            abi.encodeCall(rounds.blameDonor, (_modelId, _round, 1, 1))
        );
        equal("still owed", market.owedDonor(_modelId, 1), 5e6);
    }

    // ---------------------------------------------------------------- accusations

    function test_shares_opened_without_an_accusation() public {
        closed();
        address enclave = enclaveOf(_modelId, 2);
        bytes memory opening = signOpening(keyOf[enclave], _modelId, _round, 2, seats[0], "opening");
        bytes memory answer =
            abi.encodeCall(rounds.answerAccusation, (_modelId, _round, 2, seats[0], "opening", enclave, opening));
        bytes memory none = abi.encodeWithSelector(RoundsLog.NotAccused.selector, _modelId, _round, 2, seats[0]);
        refused(stranger, none, address(rounds), answer);
        bytes memory accuse = abi.encodeCall(rounds.accuse, (_modelId, _round, 2));
        refused(
            stranger, abi.encodeWithSelector(RoundsLog.NotSeated.selector, _modelId, stranger), address(rounds), accuse
        );
        vm.startPrank(seats[0]);
        rounds.accuse(_modelId, _round, 2);
        vm.stopPrank();
        refused(
            seats[0],
            abi.encodeWithSelector(RoundsLog.AlreadyAccused.selector, _modelId, _round, 2, seats[0]),
            address(rounds),
            accuse
        );
        // Another donor's enclave does not answer, nor does this one for another member.
        address foreign = enclaveOf(_modelId, 1);
        bytes memory wrong = signOpening(keyOf[foreign], _modelId, _round, 2, seats[0], "opening");
        refused(
            stranger,
            abi.encodeWithSelector(RoundsLog.ForeignEnclave.selector, 2, enclaves.enclave(enclave).number, foreign),
            address(rounds),
            abi.encodeCall(rounds.answerAccusation, (_modelId, _round, 2, seats[0], "opening", foreign, wrong))
        );
        refused(
            stranger,
            abi.encodeWithSelector(Signed.BadSignature.selector, enclave, foreign),
            address(rounds),
            abi.encodeCall(rounds.answerAccusation, (_modelId, _round, 2, seats[0], "opening", enclave, wrong))
        );
        // It answers, even when it may send nothing more by now: nobody is named for an answer that was refused.
        withdrawDataset(2);
        vm.startPrank(runner);
        enclaves.revoke(enclave);
        vm.stopPrank();
        vm.startPrank(stranger);
        (bool ok,) = address(rounds).call(answer);
        vm.stopPrank();
        if (!ok) revert("not answered");
        refused(stranger, none, address(rounds), answer);
        refused(
            seats[0],
            abi.encodeWithSelector(RoundsLog.AlreadyAccused.selector, _modelId, _round, 2, seats[0]),
            address(rounds),
            accuse
        );
    }

    /// Not before the set is fixed, not when the sum is open, not about somebody who is not in it.
    function test_accusations_out_of_time() public {
        training(3);
        anchored(2);
        bytes memory accuse = abi.encodeCall(rounds.accuse, (_modelId, _round, 3));
        refused(
            seats[0],
            abi.encodeWithSelector(RoundsLog.WrongRoundStatus.selector, _modelId, _round, RoundStatus.Open),
            address(rounds),
            accuse
        );
        vm.warp(info().deadline + 1);
        rounds.close(_modelId, _round);
        refused(
            seats[0], abi.encodeWithSelector(RoundsLog.NotInSum.selector, _modelId, _round, 3), address(rounds), accuse
        );
        posts(_modelId, _round, QUORUM);
        accuse = abi.encodeCall(rounds.accuse, (_modelId, _round, 1));
        bytes memory open_ = abi.encodeWithSelector(RoundsLog.SumIsOpen.selector, _modelId, _round);
        refused(seats[0], open_, address(rounds), accuse);
        address enclave = enclaveOf(_modelId, 1);
        bytes memory opening = signOpening(keyOf[enclave], _modelId, _round, 1, seats[0], "opening");
        refused(
            stranger,
            open_,
            address(rounds),
            abi.encodeCall(rounds.answerAccusation, (_modelId, _round, 1, seats[0], "opening", enclave, opening))
        );
    }

    // ---------------------------------------------------------------- many donors

    /// The same beyond the first word of donors, which is kept elsewhere.
    function test_the_sum_with_a_named_donor_of_many() public {
        Market.Terms memory t = terms();
        t.maxDonors = 100;
        _modelId = propose(t);
        for (uint256 n = 1; n <= 100; ++n) {
            donate(_modelId, n, 1);
        }
        start(_modelId);
        anchored(100);
        close(_modelId, _round);
        blame(_modelId, _round, 87, 1);
        blame(_modelId, _round, 88, 1);
        blame(_modelId, _round, 100, 2);
        (uint256[] memory bitmap, uint16 count) = rounds.survivors(_modelId, _round);
        equal("count", count, 97);
        equal("recorded", info().survivors, 97);
        equal("attempt", info().attempt, 3);
        equal("87, 88, 100", bitmap[0] >> 87, ((1 << 13) - 1) ^ 3);
        if (rounds.isAnchored(_modelId, _round, 88) || !rounds.isAnchored(_modelId, _round, 89)) revert("isAnchored");
        withdrawDataset(99);
        market.endUse(_modelId, 99);
        equal("attempt", info().attempt, 4);
        if (rounds.isAnchored(_modelId, _round, 99)) revert("withdrawn");
    }
}
