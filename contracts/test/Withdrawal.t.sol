// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "./Base.sol";
import {Datasets} from "../src/Datasets.sol";
import {Enclaves} from "../src/Enclaves.sol";
import {Market} from "../src/Market.sol";
import {MarketLog} from "../src/MarketLog.sol";
import {DonorInfo, State} from "../src/MarketTypes.sol";
import {Members} from "../src/Members.sol";
import {Kinds, Programs} from "../src/Programs.sol";
import {RoundsLog} from "../src/RoundsLog.sol";

/// What owners take back or change, and what auditors revoke, stops at every later step.
contract WithdrawalTest is Base {
    function withdraw(address owner, bytes32 id) private {
        vm.startPrank(owner);
        datasets.withdraw(id);
        vm.stopPrank();
    }

    function _update(address owner, bytes32 id, bytes32 root, bytes memory receipt) private {
        vm.startPrank(owner);
        datasets.update(id, root, keccak256("report"), 100, 3, vm.addr(VALIDATION_KEY), receipt);
        vm.stopPrank();
    }

    function test_withdrawn_data_is_in_no_later_round() public {
        uint256 modelId = propose(terms());
        donate(modelId, 1, 1);
        donate(modelId, 2, 3);
        donate(modelId, 3, 4);
        address owner = vm.addr(10_001);
        bytes32 id = datasets.idOf(owner, keccak256(abi.encode("root", uint256(1))));
        start(modelId);
        uint32 round = open(modelId);
        anchor(modelId, round, 1);
        anchor(modelId, round, 2);
        anchor(modelId, round, 3);
        finishRound(modelId, round);
        withdraw(owner, id);
        // Anybody sees to it, for this donor only, and once.
        bytes memory end = abi.encodeCall(market.endUse, (modelId, 1));
        vm.startPrank(stranger);
        market.endUse(modelId, 1);
        vm.stopPrank();
        refused(stranger, abi.encodeWithSelector(MarketLog.UseEnded.selector, modelId, 1), address(market), end);
        uint32 number = datasets.dataset(id).number;
        refused(
            trainer,
            abi.encodeWithSelector(MarketLog.DatasetNotWithdrawn.selector, number + 1),
            address(market),
            abi.encodeCall(market.endUse, (modelId, 2))
        );
        round = open(modelId);
        address enclave = trainingEnclave(1);
        bytes memory receipt = signUpdate(keyOf[enclave], modelId, round, "blob", 1);
        refused(
            owner,
            abi.encodeWithSelector(MarketLog.UseEnded.selector, modelId, 1),
            address(rounds),
            abi.encodeCall(rounds.anchor, (modelId, round, "blob", 1, enclave, receipt))
        );
        anchor(modelId, round, 2);
        anchor(modelId, round, 3);
        // Nobody waits for the one who left.
        finishRound(modelId, round);
        vm.startPrank(trainer);
        market.finishTraining(modelId, MODEL_HASH);
        market.serve(modelId, vm.addr(QUERY_KEY));
        vm.stopPrank();
        // Past use: the share stays.
        settle(modelId, buy(modelId, "a"));
        equal("donor 1", market.owedDonor(modelId, 1), 5e6 + 0.75e6);
        market.claimDonor(modelId, 1);
        equal("weight", market.donor(modelId, 1).weight, 1);
        equal("paid", market.donor(modelId, 1).queriesPaid, 1);
        refused(
            stranger, abi.encodeWithSelector(Market.WrongState.selector, modelId, State.Serving), address(market), end
        );
    }

    function test_the_donor_record_reads_the_same_before_and_after_payment() public {
        uint256 modelId = served();
        DonorInfo memory d = market.donor(modelId, 2);
        if (d.instantPaid || d.queriesPaid != 0 || d.enclave != trainingEnclave(2)) revert("before");
        settle(modelId, buy(modelId, "a"));
        settle(modelId, buy(modelId, "b"));
        market.claimDonor(modelId, 2);
        d = market.donor(modelId, 2);
        if (!d.instantPaid || d.queriesPaid != 2 || d.enclave != trainingEnclave(2)) revert("after");
    }

    function test_an_update_keeps_id_and_number() public {
        (address owner, bytes32 id) = addDataset(1);
        uint32 number = datasets.dataset(id).number;
        bytes memory receipt = signValidation(VALIDATION_KEY, owner, "better", 100, 3, id);
        equal("no version yet", datasets.dataset(id).version, 0);
        _update(owner, id, "better", receipt);
        Datasets.Dataset memory d = datasets.dataset(id);
        equal("version", d.version, 1);
        equal("root", uint256(d.root), uint256(bytes32("better")));
        equal("number", d.number, number);
        equal("policy", uint256(d.policyHash), uint256(keccak256("policy")));

        address target = address(datasets);
        address enclave = vm.addr(VALIDATION_KEY);
        // Neither the new content under a new id nor the old content under the old id: it would count twice.
        bytes memory known =
            abi.encodeWithSelector(Datasets.DatasetAlreadyRegistered.selector, datasets.idOf(owner, "better"));
        refused(
            owner,
            known,
            target,
            abi.encodeCall(
                datasets.register, ("better", keccak256("report"), keccak256("policy"), 100, 3, enclave, receipt)
            )
        );
        refused(
            owner,
            known,
            target,
            abi.encodeCall(datasets.update, (id, "better", keccak256("report"), 100, 3, enclave, receipt))
        );
        bytes32 first = keccak256(abi.encode("root", uint256(1)));
        bytes memory old = signValidation(VALIDATION_KEY, owner, first);
        refused(
            owner,
            abi.encodeWithSelector(Datasets.DatasetAlreadyRegistered.selector, id),
            target,
            abi.encodeCall(datasets.update, (id, first, keccak256("report"), 100, 3, enclave, old))
        );
    }

    function test_an_update_does_not_donate_twice() public {
        uint256 modelId = propose(terms());
        donate(modelId, 1, 1);
        address owner = vm.addr(10_001);
        bytes32 id = datasets.idOf(owner, keccak256(abi.encode("root", uint256(1))));
        _update(owner, id, "more", signValidation(VALIDATION_KEY, owner, "more", 100, 3, id));
        bytes memory receipt = signDonation(TRAINING_KEY, modelId, id, datasets.dataset(id).root, payeeOf(9));
        refused(
            owner,
            abi.encodeWithSelector(MarketLog.AlreadyDonated.selector, modelId, id),
            address(market),
            abi.encodeCall(market.donate, (modelId, id, payeeOf(9), DECISION, vm.addr(TRAINING_KEY), receipt))
        );
    }

    function test_updates_are_checked() public {
        (address owner, bytes32 id) = addDataset(1);
        (address other, bytes32 otherId) = addDataset(2);
        address target = address(datasets);
        address enclave = vm.addr(VALIDATION_KEY);
        bytes memory receipt = signValidation(VALIDATION_KEY, owner, "better", 100, 3, id);
        bytes memory call =
            abi.encodeCall(datasets.update, (id, "better", keccak256("report"), 100, 3, enclave, receipt));
        refused(other, abi.encodeWithSelector(Datasets.NotDatasetOwner.selector, id, other), target, call);
        refused(stranger, abi.encodeWithSelector(Members.MissingRole.selector, stranger, 1, 0), target, call);
        // A receipt of another owner is over something else.
        vm.startPrank(other);
        (bool ok,) = target.call(
            abi.encodeCall(datasets.update, (otherId, "better", keccak256("report"), 100, 3, enclave, receipt))
        );
        (bool more,) = target.call(
            abi.encodeCall(datasets.update, (otherId, "better", keccak256("report"), 101, 3, enclave, receipt))
        );
        vm.stopPrank();
        if (ok || more) revert("foreign receipt accepted");
        withdraw(owner, id);
        refused(owner, abi.encodeWithSelector(Datasets.DatasetIsWithdrawn.selector, id), target, call);
    }

    function test_erasing_withdraws_and_is_kept() public {
        (address owner, bytes32 id) = addDataset(1);
        address target = address(datasets);
        bytes memory call = abi.encodeCall(datasets.markErased, (id));
        refused(stranger, abi.encodeWithSelector(Datasets.NotDatasetOwner.selector, id, stranger), target, call);
        refused(
            stranger,
            abi.encodeWithSelector(Datasets.DatasetNotRegistered.selector, bytes32("x")),
            target,
            abi.encodeCall(datasets.markErased, ("x"))
        );
        // Also by somebody who is no member any more: taking back is a right, not a privilege.
        members.remove(owner);
        vm.startPrank(owner);
        datasets.markErased(id);
        vm.stopPrank();
        equal("erased", datasets.erasedAt(id), block.timestamp);
        if (!datasets.dataset(id).withdrawn) revert("not withdrawn");
        refused(owner, abi.encodeWithSelector(Datasets.DatasetIsErased.selector, id), target, call);
        (owner, id) = addDataset(2);
        withdraw(owner, id);
        equal("only withdrawn", datasets.erasedAt(id), 0);
        vm.startPrank(owner);
        datasets.markErased(id);
        vm.stopPrank();
        equal("erased", datasets.erasedAt(id), block.timestamp);
    }

    /// Takes a program out of use, and says with which words it is refused from then on.
    function _revoke(uint8 kind) private returns (bytes memory reason) {
        vm.startPrank(auditor);
        programs.revoke(measurementOf(kind));
        vm.stopPrank();
        return abi.encodeWithSelector(Programs.Revoked.selector, measurementOf(kind));
    }

    function _disallow(uint8 kind) private returns (bytes memory reason) {
        programs.disallow(measurementOf(kind));
        return abi.encodeWithSelector(Programs.NotAllowed.selector, measurementOf(kind));
    }

    function test_a_revoked_program_is_refused_wherever_it_matters() public {
        // What has begun goes on.
        refusedEverywhere(_revoke, false);
    }

    function test_a_disallowed_program_is_refused_wherever_it_matters() public {
        refusedEverywhere(_disallow, true);
        // The members change their mind: the same enclaves go on.
        for (uint8 kind = Kinds.VALIDATION; kind <= Kinds.QUERY; ++kind) {
            programs.allow(measurementOf(kind));
        }
        uint256 modelId = propose(terms());
        donate(modelId, 21, 1);
        donate(modelId, 22, 1);
        trainAndServe(modelId, 2);
        settle(modelId, buy(modelId, "b"));
    }

    /// One place after the other where an enclave counts, each with its program taken out of use: for new work, or also for
    /// what has begun.
    function refusedEverywhere(function(uint8) internal returns (bytes memory) forbid, bool begun) private {
        // Sold before, answered after.
        uint256 serving = served();
        bytes32 queryId = buy(serving, "a");
        uint256 training = propose(terms());
        donate(training, 11, 1);
        donate(training, 12, 1);
        (address owner, bytes32 id) = addDataset(13);
        uint256 recruiting = propose(terms());
        start(training);
        uint32 round = open(training);

        bytes memory reason = forbid(Kinds.QUERY);
        bytes memory receipt = signQuery(QUERY_KEY, queryId, serving);
        refused(
            runner, reason, address(market), abi.encodeCall(market.settle, (queryId, "job", "output", ANSWER, receipt))
        );
        refused(trainer, reason, address(market), abi.encodeCall(market.serve, (serving, vm.addr(QUERY_KEY))));

        reason = forbid(Kinds.TRAINING);
        address enclave = vm.addr(TRAINING_KEY);
        receipt = signDonation(TRAINING_KEY, recruiting, id, datasets.dataset(id).root, payeeOf(13));
        refused(
            owner,
            reason,
            address(market),
            abi.encodeCall(market.donate, (recruiting, id, payeeOf(13), DECISION, enclave, receipt))
        );
        address first = enclaveOf(training, 1);
        receipt = signUpdate(keyOf[first], training, round, "blob", 1);
        if (begun) {
            refused(
                runner,
                reason,
                address(rounds),
                abi.encodeCall(rounds.anchor, (training, round, "blob", 1, first, receipt))
            );
        } else {
            rounds.anchor(training, round, "blob", 1, first, receipt);
        }
        Enclaves.Enclave memory e = Enclaves.Enclave(
            enclave, keccak256("seal"), measurementOf(Kinds.TRAINING), 0, "new", uint64(block.timestamp + 60 days)
        );
        receipt = signEnclave(TRAINING_KEY, runner, e);
        if (begun) {
            refused(
                runner,
                reason,
                address(enclaves),
                abi.encodeCall(enclaves.refresh, (enclave, e.evidenceHash, e.expiresAt, receipt))
            );
        } else {
            vm.startPrank(runner);
            enclaves.refresh(enclave, e.evidenceHash, e.expiresAt, receipt);
            vm.stopPrank();
        }
        e.signer = vm.addr(STRANGER_KEY);
        receipt = signEnclave(STRANGER_KEY, runner, e);
        refused(runner, reason, address(enclaves), abi.encodeCall(enclaves.register, (e, receipt)));

        reason = forbid(Kinds.VALIDATION);
        enclave = vm.addr(VALIDATION_KEY);
        receipt = signValidation(VALIDATION_KEY, owner, "root");
        refused(
            owner,
            reason,
            address(datasets),
            abi.encodeCall(
                datasets.register, ("root", keccak256("report"), keccak256("policy"), 100, 3, enclave, receipt)
            )
        );
        refused(
            owner,
            reason,
            address(datasets),
            abi.encodeCall(datasets.update, (id, "root", keccak256("report"), 100, 3, enclave, receipt))
        );
        // The user whose query stays unanswered gets the money back.
        uint256 before = token.balanceOf(user);
        vm.warp(block.timestamp + 2 hours);
        market.refund(queryId);
        equal("refund", token.balanceOf(user), before + 10e6);
    }

    /// Only a vote strikes the dataset of another.
    function test_a_dataset_is_struck_by_the_members() public {
        (address owner, bytes32 id) = addDataset(1, 1_000, 3);
        bytes memory call = abi.encodeCall(datasets.strike, (id));
        address target = address(datasets);
        refused(stranger, abi.encodeWithSelector(Datasets.NotManager.selector, stranger), target, call);
        refused(owner, abi.encodeWithSelector(Datasets.NotManager.selector, owner), target, call);
        datasets.strike(id);
        if (!datasets.dataset(id).withdrawn) revert("still there");
        vm.startPrank(owner);
        (bool ok,) = target.call(abi.encodeCall(datasets.withdraw, (id)));
        vm.stopPrank();
        if (ok) revert("twice");
    }
}
