// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Attacks} from "./Attacking.sol";
import {RoundStatus} from "../src/IRounds.sol";
import {Enclaves} from "../src/Enclaves.sol";
import {Market} from "../src/Market.sol";
import {MarketLog} from "../src/MarketLog.sol";
import {State} from "../src/MarketTypes.sol";
import {Roles} from "../src/Members.sol";
import {Kinds} from "../src/Programs.sol";
import {RoundsLog} from "../src/RoundsLog.sol";
import {Signed} from "../src/Signed.sol";

/// Each test is named after what the attacker wants, and does not get.
contract AttacksTest is Attacks {
    // ---------------------------------------------------------------- a sum for free

    /// There is no quorum to choose that nobody reaches: it follows from the committee, and what was opened counts.
    function test_a_sum_for_free_by_asking_for_a_quorum_that_never_comes() public {
        closed();
        equal("quorum", info().quorum, QUORUM);
        posts(_modelId, _round, QUORUM);
        abort();
        equal("rest of the deposit", market.owed(trainer), 5e6);
        equal("donors", market.owedDonor(_modelId, 1) + market.owedDonor(_modelId, 3), 10e6);
    }

    /// A round that gives the committee a second is void at once; that gives nothing back of what an earlier sum is owed.
    function test_a_sum_for_free_by_a_round_that_nobody_can_open_in_time() public {
        closed();
        posts(_modelId, _round, QUORUM);
        finalize(_modelId, _round);
        uint64 deadline = uint64(this.timeNow() + 1 days);
        vm.startPrank(trainer);
        _round = rounds.open(_modelId, HEADER, deadline, deadline + 1 days - 1);
        vm.stopPrank();
        for (uint16 d = 1; d <= 3; ++d) {
            anchor(_modelId, _round, d);
        }
        close(_modelId, _round);
        vm.warp(deadline + 1 days);
        rounds.voidRound(_modelId, _round);
        abort();
        equal("donors", market.owedDonor(_modelId, 1) + market.owedDonor(_modelId, 2), 10e6);
        equal("rest", market.owed(trainer), 5e6);
    }

    /// Who closes late gives the committee its time from then on.
    function test_a_sum_for_free_by_closing_when_the_time_of_the_committee_is_over() public {
        closed();
        posts(_modelId, _round, QUORUM);
        finalize(_modelId, _round);
        _round = open(_modelId);
        for (uint16 d = 1; d <= 3; ++d) {
            anchor(_modelId, _round, d);
        }
        vm.warp(info().openBy + 1);
        close(_modelId, _round);
        equal("a day from now", info().openBy, this.timeNow() + 1 days);
        refused(
            trainer,
            abi.encodeWithSelector(RoundsLog.StillOpening.selector, _modelId, _round, info().openBy),
            address(rounds),
            abi.encodeCall(rounds.voidRound, (_modelId, _round))
        );
        posts(_modelId, _round, QUORUM);
        if (!info().opened) revert("not opened");
    }

    /// A post is for the set of survivors that its member has looked at.
    function test_an_open_sum_that_nobody_can_open_by_leaving_before_the_posts() public {
        closed();
        withdrawDataset(3);
        market.endUse(_modelId, 3);
        equal("attempt", info().attempt, 1);
        refused(
            seats[0],
            abi.encodeWithSelector(RoundsLog.OtherAttempt.selector, _modelId, _round, 0, 1),
            address(rounds),
            abi.encodeCall(rounds.postPartial, (_modelId, _round, 0, "of three"))
        );
        posts(_modelId, _round, QUORUM);
        if (!info().opened) revert("not opened");
    }

    /// An accusation needs time for an answer, and for the others after it.
    function test_an_honest_donor_struck_by_an_accusation_that_it_cannot_answer() public {
        closed();
        uint256 latest = info().openBy - 16 hours;
        vm.warp(latest + 1);
        refused(
            seats[0],
            abi.encodeWithSelector(RoundsLog.AccusedTooLate.selector, _modelId, _round, latest),
            address(rounds),
            abi.encodeCall(rounds.accuse, (_modelId, _round, 1))
        );
        vm.warp(latest);
        vm.startPrank(seats[0]);
        rounds.accuse(_modelId, _round, 1);
        vm.stopPrank();
    }

    /// Places that keys without evidence have taken are free again for others.
    function test_all_places_of_a_model() public {
        _modelId = propose(terms());
        uint16 max = market.model(_modelId).terms.maxDonors;
        for (uint16 d = 1; d <= max; ++d) {
            donate(_modelId, d, 1);
        }
        address[] memory owners = new address[](max + 1);
        bytes32[] memory ids = new bytes32[](max + 1);
        for (uint16 d = 1; d <= max; ++d) {
            owners[d] = vm.addr(10_000 + uint256(d));
            ids[d] = datasets.idOf(owners[d], rootOf(d));
        }
        bytes memory call = abi.encodeCall(market.refuseDonor, (_modelId, 1, ids[1]));
        refused(
            stranger, abi.encodeWithSelector(MarketLog.NotTrainer.selector, _modelId, stranger), address(market), call
        );
        for (uint16 d = 1; d <= max; ++d) {
            vm.startPrank(trainer);
            vm.expectEmit(address(market));
            emit MarketLog.DonorRefused(_modelId, owners[d], d);
            market.refuseDonor(_modelId, d, ids[d]);
            vm.stopPrank();
        }
        refused(trainer, abi.encodeWithSelector(MarketLog.UseEnded.selector, _modelId, 1), address(market), call);
        // Whoever was refused does not come again with another dataset and another key.
        bytes memory again = abi.encodeWithSelector(MarketLog.OwnerRefused.selector, _modelId, owners[1]);
        bytes memory validated = signValidation(VALIDATION_KEY, owners[1], "more");
        vm.startPrank(owners[1]);
        bytes32 more = datasets.register(
            "more", keccak256("report"), keccak256("policy"), 100, 3, vm.addr(VALIDATION_KEY), validated
        );
        vm.stopPrank();
        address key = trainingEnclave(99);
        bytes memory receipt = signDonation(keyOf[key], _modelId, more, "more", payeeOf(1));
        refused(
            owners[1],
            again,
            address(market),
            abi.encodeCall(market.donate, (_modelId, more, payeeOf(1), DECISION, key, receipt))
        );
        for (uint16 d = 1; d <= max; ++d) {
            donate(_modelId, max + d, 1);
        }
        start(_modelId);
        call = abi.encodeCall(market.refuseDonor, (_modelId, max + 1, ids[1]));
        bytes memory reason = abi.encodeWithSelector(Market.WrongState.selector, _modelId, State.Training);
        refused(trainer, reason, address(market), call);
        _round = open(_modelId);
        for (uint16 d = max + 1; d <= 2 * max; ++d) {
            anchor(_modelId, _round, d);
        }
        finishRound(_modelId, _round);
        abort();
        equal("rest of the deposit", market.owed(trainer), 0);
        equal("donor", market.owedDonor(_modelId, max + 1), 5e6);
        equal("refused", market.owedDonor(_modelId, 1), 0);
    }

    /// Whoever leaves in the block before it is refused is refused all the same, and does not come again.
    function test_a_place_again_and_again() public {
        _modelId = propose(terms());
        donate(_modelId, 1, 1);
        address owner = vm.addr(10_001);
        bytes32 id = datasets.idOf(owner, rootOf(1));
        withdrawDataset(1);
        market.endUse(_modelId, 1);
        equal("its place is free", market.model(_modelId).donors - market.model(_modelId).excluded, 0);
        vm.startPrank(trainer);
        vm.expectEmit(address(market));
        emit MarketLog.DonorRefused(_modelId, owner, 1);
        market.refuseDonor(_modelId, 1, id);
        vm.stopPrank();
        equal("and stays one place", market.model(_modelId).donors - market.model(_modelId).excluded, 0);
        bytes memory again = abi.encodeWithSelector(MarketLog.OwnerRefused.selector, _modelId, owner);
        bytes memory validated = signValidation(VALIDATION_KEY, owner, "more");
        vm.startPrank(owner);
        bytes32 more = datasets.register(
            "more", keccak256("report"), keccak256("policy"), 100, 3, vm.addr(VALIDATION_KEY), validated
        );
        vm.stopPrank();
        address key = trainingEnclave(99);
        bytes memory receipt = signDonation(keyOf[key], _modelId, more, "more", payeeOf(1));
        refused(
            owner,
            again,
            address(market),
            abi.encodeCall(market.donate, (_modelId, more, payeeOf(1), DECISION, key, receipt))
        );
        bytes memory ended = abi.encodeWithSelector(MarketLog.UseEnded.selector, _modelId, 1);
        refused(trainer, ended, address(market), abi.encodeCall(market.refuseDonor, (_modelId, 1, id)));
    }

    /// A query that is open for 136 years.
    function test_a_price_that_never_comes_back() public {
        Market.Terms memory t = terms();
        t.queryTimeout = uint32(market.LONGEST_QUERY()) + 1;
        refused(
            trainer,
            abi.encodeWithSelector(MarketLog.TimeoutTooLong.selector, t.queryTimeout, market.LONGEST_QUERY()),
            address(market),
            abi.encodeCall(market.propose, (WHITE_PAPER, PLAN, t))
        );
    }

    /// Whom the members removed begins nothing new; what was begun can be finished and is paid.
    function test_a_removed_member_goes_on() public {
        closed();
        posts(_modelId, _round, QUORUM);
        finalize(_modelId, _round);
        members.remove(trainer);
        bytes memory reason = abi.encodeWithSignature("MissingRole(address,uint8,uint8)", trainer, Roles.TRAINER, 0);
        uint64 deadline = uint64(this.timeNow() + 1 days);
        refused(
            trainer,
            reason,
            address(rounds),
            abi.encodeCall(rounds.open, (_modelId, HEADER, deadline, deadline + 1 days))
        );
        vm.startPrank(trainer);
        market.finishTraining(_modelId, MODEL_HASH);
        vm.stopPrank();
        refused(trainer, reason, address(market), abi.encodeCall(market.serve, (_modelId, vm.addr(QUERY_KEY))));
        equal("donor", market.owedDonor(_modelId, 1), 5e6);
    }

    /// One auditor, or the author, stops new work with a program; what has begun goes on until the members stop it.
    function test_the_trainings_of_others_stopped_by_revoking_a_program() public {
        closed();
        posts(_modelId, _round, QUORUM);
        finalize(_modelId, _round);
        vm.startPrank(auditor);
        programs.revoke(measurementOf(Kinds.TRAINING));
        vm.stopPrank();
        _round = open(_modelId);
        anchor(_modelId, _round, 1);
        programs.disallow(measurementOf(Kinds.TRAINING));
        (bool ok,) = address(this).call(abi.encodeCall(this.anchors, (2)));
        if (ok) revert("anchored with a program that is not allowed");
        refused(
            auditor,
            abi.encodeWithSelector(Enclaves.NotOperatorOrManager.selector, auditor),
            address(enclaves),
            abi.encodeCall(enclaves.revoke, (trainingEnclave(1)))
        );
    }

    function anchors(uint16 donor) external {
        anchor(_modelId, _round, donor);
    }

    /// With as many donors as are needed, one of the trainer's own lets a later round fail. The others were there, and are
    /// paid for the sum of the first.
    function test_a_sum_for_free_by_a_donor_of_its_own_that_stays_away() public {
        Market.Terms memory t = terms();
        (t.minDonors, t.minSurvivors) = (3, 3);
        _modelId = propose(t);
        for (uint256 d = 1; d <= 3; ++d) {
            donate(_modelId, d, 1);
        }
        start(_modelId);
        for (uint16 last = 3; last >= 2; --last) {
            _round = open(_modelId);
            for (uint16 d = 1; d <= last; ++d) {
                anchor(_modelId, _round, d);
            }
            if (last == 3) finishRound(_modelId, _round);
        }
        vm.warp(this.timeNow() + 1 days + 1);
        rounds.close(_modelId, _round);
        abort();
        equal("those who were there", market.owedDonor(_modelId, 1) + market.owedDonor(_modelId, 2), 10e6);
        equal("its own", market.owedDonor(_modelId, 3), 5e6);
        equal("rest", market.owed(trainer), 5e6);
    }

    /// Taking back the post of a liar does not close what was opened.
    function test_a_sum_for_free_by_naming_members_after_the_quorum() public {
        closed();
        posts(_modelId, _round, QUORUM);
        votesOnMember(0, 5, 1);
        votesOnMember(1, 5, 1);
        equal("posts", info().partials, QUORUM - 1);
        if (!info().opened) revert("closed again");
        refused(
            stranger,
            abi.encodeWithSelector(RoundsLog.SumIsOpen.selector, _modelId, _round),
            address(rounds),
            abi.encodeCall(rounds.voidRound, (_modelId, _round))
        );
        // The seventh posts in its place, also later: the sum is open already. It is not opened twice.
        vm.warp(info().openBy + 1);
        post(_modelId, _round, 6);
        (uint32 opened,) = rounds.progress(_modelId);
        equal("opened", opened, 1);
        abort();
        equal("donor", market.owedDonor(_modelId, 1), 5e6);
    }

    /// One whose round would never end cannot keep the donors waiting for ever.
    function test_donors_who_wait_for_ever() public {
        closed();
        posts(_modelId, _round, QUORUM);
        finalize(_modelId, _round);
        uint64 far = uint64(this.timeNow() + 30 days);
        bytes memory reason = abi.encodeWithSelector(RoundsLog.InvalidOpenBy.selector, far + 1, far);
        refused(trainer, reason, address(rounds), abi.encodeCall(rounds.open, (_modelId, HEADER, far, far + 1)));
    }

    // ---------------------------------------------------------------- weights and places

    function test_weight_from_nothing() public {
        // Nobody states a weight; a validated dataset without rows or quality has none.
        _modelId = propose(terms());
        (address owner, bytes32 id) = addDataset(1, 1_000, 0);
        address enclave = trainingEnclave(1);
        bytes memory receipt = signDonation(keyOf[enclave], _modelId, id, rootOf(1), payeeOf(1));
        refused(
            owner,
            abi.encodeWithSelector(MarketLog.ZeroWeight.selector),
            address(market),
            abi.encodeCall(market.donate, (_modelId, id, payeeOf(1), DECISION, enclave, receipt))
        );
        // A key of one's own that says otherwise is no validation enclave.
        bytes memory own = signValidation(STRANGER_KEY, owner, "big", type(uint32).max, 255, id);
        address validation = vm.addr(VALIDATION_KEY);
        refused(
            owner,
            abi.encodeWithSelector(Signed.BadSignature.selector, validation, vm.addr(STRANGER_KEY)),
            address(datasets),
            abi.encodeCall(datasets.update, (id, "big", keccak256("report"), type(uint32).max, 255, validation, own))
        );
        equal("rows times quality", market.donor(_modelId, donateNew(2, 100, 3)).weight, 300);
        equal(
            "not more than fits", market.donor(_modelId, donateNew(3, type(uint32).max, 255)).weight, type(uint32).max
        );
        equal("sum", market.model(_modelId).totalWeight, 300 + uint256(type(uint32).max));
    }

    function donateNew(uint256 n, uint32 rows, uint8 quality) private returns (uint16) {
        addDataset(n, rows, quality);
        return donateAgain(_modelId, n);
    }

    function test_one_enclave_two_places() public {
        _modelId = propose(terms());
        donate(_modelId, 1, 1);
        (address owner, bytes32 id) = addDataset(2);
        address enclave = trainingEnclave(1);
        bytes memory receipt = signDonation(keyOf[enclave], _modelId, id, rootOf(2), payeeOf(2));
        refused(
            owner,
            abi.encodeWithSelector(MarketLog.EnclaveTaken.selector, _modelId, enclave),
            address(market),
            abi.encodeCall(market.donate, (_modelId, id, payeeOf(2), DECISION, enclave, receipt))
        );
        // In another model it has one, too; and another enclave takes this dataset.
        uint256 other = propose(terms());
        equal("another model", donateAgain(other, 1), 1);
        equal("another enclave", donateAgain(_modelId, 2), 2);
    }

    /// Places are bits by running number, 255 in a word: numbers that are 255 or 256 apart are not taken for each other.
    function test_the_place_of_somebody_else() public {
        for (uint256 i = 0; i < 260; ++i) {
            trainingEnclave(1_000 + i);
        }
        Market.Terms memory t = terms();
        t.maxDonors = 300;
        _modelId = propose(t);
        uint16[5] memory numbers = [uint16(0), 1, 254, 255, 256];
        for (uint256 i = 0; i < numbers.length; ++i) {
            donate(_modelId, 1_000 + numbers[i], 1);
        }
        for (uint256 i = 0; i < numbers.length; ++i) {
            (address owner, bytes32 id) = addDataset(2_000 + i);
            address enclave = trainingEnclave(1_000 + numbers[i]);
            bytes memory receipt = signDonation(keyOf[enclave], _modelId, id, rootOf(2_000 + i), payeeOf(1));
            refused(
                owner,
                abi.encodeWithSelector(MarketLog.EnclaveTaken.selector, _modelId, enclave),
                address(market),
                abi.encodeCall(market.donate, (_modelId, id, payeeOf(1), DECISION, enclave, receipt))
            );
        }
    }

    /// The enclave signs the version that it has. A register that moved on since is not what it signed.
    function test_the_weight_of_another_version() public {
        _modelId = propose(terms());
        (address owner, bytes32 id) = addDataset(1, 10, 1);
        address enclave = trainingEnclave(1);
        bytes memory receipt = signDonation(keyOf[enclave], _modelId, id, rootOf(1), payeeOf(1));
        bytes memory better = signValidation(VALIDATION_KEY, owner, "more", 1_000, 1, id);
        vm.startPrank(owner);
        datasets.update(id, "more", keccak256("report"), 1_000, 1, vm.addr(VALIDATION_KEY), better);
        vm.stopPrank();
        bytes32 hash = donationHash(_modelId, id, "more", payeeOf(1));
        refused(
            owner,
            abi.encodeWithSelector(
                Signed.BadSignature.selector, enclave, recovered(address(market), hash, receipt, 31337)
            ),
            address(market),
            abi.encodeCall(market.donate, (_modelId, id, payeeOf(1), DECISION, enclave, receipt))
        );
    }

    // ---------------------------------------------------------------- datasets

    /// What a validation enclave recognizes as a version of a dataset is not registered as a new one, and the other way.
    function test_the_same_table_twice() public {
        (address owner, bytes32 id) = addDataset(1);
        address enclave = vm.addr(VALIDATION_KEY);
        // The receipt says that it replaces `id`, so `register` takes it for something else that nobody signed.
        bytes memory again = signValidation(VALIDATION_KEY, owner, "salted anew", 100, 3, id);
        vm.startPrank(owner);
        (bool ok,) = address(datasets)
            .call(
                abi.encodeCall(
                    datasets.register, ("salted anew", keccak256("report"), keccak256("policy"), 100, 3, enclave, again)
                )
            );
        bytes memory fresh = signValidation(VALIDATION_KEY, owner, "something new", 100, 3, 0);
        (bool updated,) = address(datasets)
            .call(abi.encodeCall(datasets.update, (id, "something new", keccak256("report"), 100, 3, enclave, fresh)));
        // The first time that content comes, it comes as what it is.
        datasets.update(id, "salted anew", keccak256("report"), 100, 3, enclave, again);
        vm.stopPrank();
        if (ok || updated) revert("accepted as what it is not");
        equal("version", datasets.dataset(id).version, 1);
    }

    function test_an_update_in_the_round_of_a_withdrawn_dataset() public {
        training(3);
        _round = open(_modelId);
        anchor(_modelId, _round, 1);
        anchor(_modelId, _round, 2);
        withdrawDataset(3);
        // Nobody called `endUse`: the register is asked for each update.
        address enclave = enclaveOf(_modelId, 3);
        bytes memory receipt = signUpdate(keyOf[enclave], _modelId, _round, "blob", 3);
        refused(
            runner,
            abi.encodeWithSelector(MarketLog.UseEnded.selector, _modelId, 3),
            address(rounds),
            abi.encodeCall(rounds.anchor, (_modelId, _round, "blob", 3, enclave, receipt))
        );
        // One that was anchored before leaves the open round, and nobody waits for it.
        withdrawDataset(2);
        market.endUse(_modelId, 2);
        market.endUse(_modelId, 3);
        (, uint16 count) = rounds.survivors(_modelId, _round);
        equal("one is left", count, 1);
        close(_modelId, _round);
        is_(RoundStatus.Failed);
    }

    /// In a closed round, too: what was posted for the set with it opens nothing.
    function test_the_sum_with_a_withdrawn_dataset() public {
        closed();
        posts(_modelId, _round, QUORUM - 1);
        uint64 openBy = info().openBy;
        vm.warp(openBy - 10);
        withdrawDataset(3);
        market.endUse(_modelId, 3);
        equal("attempt", info().attempt, 1);
        equal("posts", info().partials, 0);
        equal("nothing posted", uint256(rounds.partialOf(_modelId, _round, seats[0])), 0);
        (uint256[] memory bitmap, uint16 count) = rounds.survivors(_modelId, _round);
        equal("set", bitmap[0], 6);
        equal("count", count, 2);
        // The last one alone does not complete the quorum of the earlier set; all have their time again.
        post(_modelId, _round, 6);
        if (info().opened) revert("opened with posts for another set");
        equal("time", info().openBy, openBy - 10 + 1 days);
        posts(_modelId, _round, QUORUM - 1);
        if (!info().opened) revert("not opened");
        // What is open stays as it is.
        withdrawDataset(2);
        market.endUse(_modelId, 2);
        equal("survivors", info().survivors, 2);
        equal("attempt", info().attempt, 1);
    }

    /// One who cannot win by data cannot stop the round by taking it back again and again either: each does it once.
    function test_a_round_that_never_ends() public {
        closed();
        withdrawDataset(3);
        market.endUse(_modelId, 3);
        refused(
            stranger,
            abi.encodeWithSelector(MarketLog.UseEnded.selector, _modelId, 3),
            address(market),
            abi.encodeCall(market.endUse, (_modelId, 3))
        );
        refused(
            stranger,
            abi.encodeWithSelector(MarketLog.DatasetNotWithdrawn.selector, 2),
            address(market),
            abi.encodeCall(market.endUse, (_modelId, 2))
        );
        posts(_modelId, _round, QUORUM);
        finalize(_modelId, _round);
        is_(RoundStatus.Final);
    }

    // ---------------------------------------------------------------- queries

    function test_another_enclave_served_between_looking_and_buying() public {
        uint256 modelId = served();
        addEnclave(STRANGER_KEY, Kinds.QUERY);
        address seen = vm.addr(QUERY_KEY);
        vm.startPrank(trainer);
        market.serve(modelId, vm.addr(STRANGER_KEY));
        vm.stopPrank();
        uint256 before = token.balanceOf(user);
        refused(
            user,
            abi.encodeWithSelector(MarketLog.OtherEnclave.selector, modelId, seen, vm.addr(STRANGER_KEY)),
            address(market),
            abi.encodeCall(market.buy, (modelId, "code", seen))
        );
        equal("not paid", token.balanceOf(user), before);
        // Nor by naming nobody.
        refused(
            user,
            abi.encodeWithSelector(MarketLog.OtherEnclave.selector, modelId, address(0), vm.addr(STRANGER_KEY)),
            address(market),
            abi.encodeCall(market.buy, (modelId, "code", address(0)))
        );
        buy(modelId, "code");
    }
}
