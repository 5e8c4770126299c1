// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Hosting} from "./Hosting.sol";
import {Committees} from "../src/Committees.sol";
import {RoundStatus} from "../src/IRounds.sol";
import {Datasets} from "../src/Datasets.sol";
import {Enclaves} from "../src/Enclaves.sol";
import {Market} from "../src/Market.sol";
import {MarketLog} from "../src/MarketLog.sol";
import {State} from "../src/MarketTypes.sol";
import {Members, Roles} from "../src/Members.sol";
import {Kinds, Programs} from "../src/Programs.sol";
import {DonationConsent, HostedTraining} from "../src/Receipts.sol";
import {RoundsLog} from "../src/RoundsLog.sol";
import {Signed} from "../src/Signed.sol";

/// Trainings whose data is all brought to one enclave.
contract HostedTest is Hosting {
    uint256 private _modelId;
    uint256 private _before;

    /// Three donors of four places with weights 1, 3 and 4, while the model recruits.
    function recruited() private {
        _modelId = proposeHosted(hostedTerms());
        _before = token.balanceOf(trainer);
        donateToHost(_modelId, 1, 1);
        donateToHost(_modelId, 2, 3);
        donateToHost(_modelId, 3, 4);
    }

    function training() private {
        recruited();
        startHosted(_modelId);
    }

    function abort() private {
        vm.startPrank(trainer);
        market.abortTraining(_modelId);
        vm.stopPrank();
    }

    /// What each gets in the end, in units of a million; nothing is left of this model.
    function paid(uint256 first, uint256 second, uint256 third, uint256 rest) private {
        uint256[3] memory donors = [first, second, third];
        for (uint16 d = 1; d <= 3; ++d) {
            equal("donor", market.owedDonor(_modelId, d), donors[d - 1] * 1e6);
            if (donors[d - 1] != 0) market.claimDonor(_modelId, d);
            equal("payee", token.balanceOf(payeeOf(d)), donors[d - 1] * 1e6);
        }
        vm.startPrank(trainer);
        if (rest != 0) market.claim();
        vm.stopPrank();
        equal("rest of the deposit", token.balanceOf(trainer) - _before, rest * 1e6);
        equal("nothing is stuck", market.obligations(), 0);
        equal("nothing is left", token.balanceOf(address(market)), 0);
    }

    function in_(State expected) private view {
        equal("state", uint256(market.model(_modelId).state), uint256(expected));
    }

    function wrongState(State state) private view returns (bytes memory) {
        return abi.encodeWithSelector(Market.WrongState.selector, _modelId, state);
    }

    /// The trainer brings what the enclave has signed, and it is refused.
    function finishRefused(uint16[] memory unused, bytes memory reason) private {
        HostedTraining memory t = said(_modelId, unused);
        bytes memory signature = signHosted(hostKey(), t);
        refused(trainer, reason, address(market), abi.encodeCall(market.finishHosted, (t, signature)));
    }

    function stillInUse(uint16 index) private view returns (bytes memory) {
        return abi.encodeWithSelector(MarketLog.StillInUse.selector, _modelId, index);
    }

    // ---------------------------------------------------------------- the whole path

    function test_a_whole_run_pays_everyone() public {
        address enclave = trainingEnclave(HOST);
        _modelId = propose(hostedTerms());
        _before = token.balanceOf(trainer);
        vm.expectEmit(address(market));
        emit MarketLog.TrainingHosted(_modelId, enclave, runner);
        vm.startPrank(trainer);
        market.host(_modelId, enclave);
        vm.stopPrank();
        // Two owners, one of them with two datasets; all with the same enclave.
        donateToHost(_modelId, 1, 1);
        donateToHost(_modelId, 2, 3);
        address owner = vm.addr(10_001);
        bytes memory receipt = signValidation(VALIDATION_KEY, owner, rootOf(3), 4, 1, 0);
        vm.startPrank(owner);
        bytes32 id = datasets.register(
            rootOf(3), keccak256("report"), keccak256("policy"), 4, 1, vm.addr(VALIDATION_KEY), receipt
        );
        vm.stopPrank();
        equal("number", bring(_modelId, owner, id, 3), 3);
        startHosted(_modelId);
        in_(State.Training);
        (address[] memory seats_,,, uint8 quorum) = rounds.committeeOf(_modelId);
        equal("committee", seats_.length + quorum, 0);

        HostedTraining memory t = said(_modelId, nobody);
        bytes memory signature = signHosted(hostKey(), t);
        vm.expectEmit(address(market));
        emit MarketLog.HostedModel(_modelId, enclave, STATEMENT);
        vm.expectEmit(address(market));
        emit MarketLog.TrainingFinished(_modelId, MODEL_HASH, 5e6);
        vm.startPrank(trainer);
        market.finishHosted(t, signature);
        in_(State.Trained);
        equal("model", uint256(market.model(_modelId).modelHash), uint256(MODEL_HASH));
        market.serve(_modelId, vm.addr(QUERY_KEY));
        vm.stopPrank();
        settle(_modelId, buy(_modelId, "a"));
        // Six of the price are the donors', by weight.
        equal("donor 1", market.owedDonor(_modelId, 1), 5e6 + 0.75e6);
        equal("donor 2", market.owedDonor(_modelId, 2), 5e6 + 2.25e6);
        equal("donor 3", market.owedDonor(_modelId, 3), 5e6 + 3e6);
        for (uint16 d = 1; d <= 3; ++d) {
            market.claimDonor(_modelId, d);
            equal("paid", market.owedDonor(_modelId, d), 0);
        }
        equal("payee", token.balanceOf(payeeOf(3)), 8e6);
        vm.startPrank(runner);
        market.claim();
        vm.stopPrank();
        vm.startPrank(trainer);
        market.claim();
        vm.stopPrank();
        equal("runner", token.balanceOf(runner), 1e6);
        equal("trainer", token.balanceOf(trainer) - _before, 5e6 + 3e6);
        equal("nothing left", market.obligations(), 0);
        equal("nothing left in the account", token.balanceOf(address(market)), 0);
    }

    function test_an_owner_signs_and_somebody_else_brings_it() public {
        _modelId = proposeHosted(hostedTerms());
        (, bytes32 id) = addDataset(1);
        address enclave = trainingEnclave(HOST);
        DonationConsent memory c =
            DonationConsent(_modelId, id, rootOf(1), payeeOf(1), DECISION, enclave, block.timestamp + 1);
        bytes32 typehash = keccak256(
            "DonationConsent(uint256 modelId,bytes32 datasetId,bytes32 root,address payee,bytes32 decision,address enclave,uint256 deadline)"
        );
        bytes memory consent = sign(10_001, address(market), keccak256(abi.encode(typehash, c)));
        bytes memory receipt = signDonation(hostKey(), _modelId, id, rootOf(1), payeeOf(1));
        vm.startPrank(stranger);
        equal("number", market.donateFor(c, consent, receipt), 1);
        vm.stopPrank();
    }

    /// One enclave is the host of several models, and has a place of its own in others.
    function test_an_enclave_hosts_several_models() public {
        training();
        uint256 second = proposeHosted(hostedTerms());
        for (uint256 n = 1; n <= 2; ++n) {
            address owner = vm.addr(10_000 + n);
            bring(second, owner, datasets.idOf(owner, rootOf(n)), n);
        }
        uint256 ordinary = propose(terms());
        (address third, bytes32 id) = addDataset(4);
        bring(ordinary, third, id, 4);
        startHosted(second);
        finishHosted(second, nobody);
        finishHosted(_modelId, nobody);
        equal("rest of both deposits", market.owed(trainer), 15e6);
    }

    // ---------------------------------------------------------------- naming the host

    function test_a_host_is_named_by_the_trainer_once() public {
        _modelId = propose(hostedTerms());
        address enclave = trainingEnclave(HOST);
        bytes memory call = abi.encodeCall(market.host, (_modelId, enclave));
        refused(
            stranger, abi.encodeWithSelector(MarketLog.NotTrainer.selector, _modelId, stranger), address(market), call
        );
        refused(runner, abi.encodeWithSelector(MarketLog.NotTrainer.selector, _modelId, runner), address(market), call);
        vm.startPrank(trainer);
        market.host(_modelId, enclave);
        vm.stopPrank();
        bytes memory named = abi.encodeWithSelector(MarketLog.HostNamed.selector, _modelId);
        refused(trainer, named, address(market), call);
        refused(trainer, named, address(market), abi.encodeCall(market.host, (_modelId, trainingEnclave(HOST + 1))));
    }

    function test_only_who_still_trains_names_a_host() public {
        _modelId = propose(hostedTerms());
        bytes memory call = abi.encodeCall(market.host, (_modelId, trainingEnclave(HOST)));
        members.setRoles(trainer, Roles.OWNER);
        refused(
            trainer,
            abi.encodeWithSelector(Members.MissingRole.selector, trainer, Roles.TRAINER, Roles.OWNER),
            address(market),
            call
        );
    }

    function test_a_host_is_named_while_the_model_recruits() public {
        address enclave = trainingEnclave(HOST);
        refused(
            trainer,
            abi.encodeWithSelector(MarketLog.UnknownModel.selector, 1),
            address(market),
            abi.encodeCall(market.host, (1, enclave))
        );
        _modelId = propose(hostedTerms());
        bytes memory call = abi.encodeCall(market.host, (_modelId, enclave));
        abort();
        refused(trainer, wrongState(State.Aborted), address(market), call);
        training();
        call = abi.encodeCall(market.host, (_modelId, enclave));
        refused(trainer, wrongState(State.Training), address(market), call);
        finishHosted(_modelId, nobody);
        refused(trainer, wrongState(State.Trained), address(market), call);
    }

    function test_a_model_with_a_committee_has_no_host() public {
        uint256 modelId = propose(terms());
        refused(
            trainer,
            abi.encodeWithSelector(MarketLog.NotHosted.selector, modelId),
            address(market),
            abi.encodeCall(market.host, (modelId, trainingEnclave(HOST)))
        );
    }

    function test_a_host_is_a_live_training_enclave() public {
        _modelId = propose(hostedTerms());
        address enclave = trainingEnclave(HOST);
        refused(
            trainer,
            abi.encodeWithSelector(Enclaves.EnclaveNotRegistered.selector, stranger),
            address(market),
            abi.encodeCall(market.host, (_modelId, stranger))
        );
        refused(
            trainer,
            abi.encodeWithSelector(
                Programs.WrongKind.selector, measurementOf(Kinds.QUERY), Kinds.QUERY, Kinds.TRAINING
            ),
            address(market),
            abi.encodeCall(market.host, (_modelId, vm.addr(QUERY_KEY)))
        );
        bytes memory call = abi.encodeCall(market.host, (_modelId, enclave));
        members.setRoles(runner, Roles.AUDITOR);
        refused(
            trainer,
            abi.encodeWithSelector(Members.MissingRole.selector, runner, Roles.RUNNER | Roles.OWNER, Roles.AUDITOR),
            address(market),
            call
        );
        members.setRoles(runner, Roles.OWNER);
        uint64 expiresAt = enclaves.enclave(enclave).expiresAt;
        vm.warp(expiresAt);
        refused(
            trainer, abi.encodeWithSelector(Enclaves.EnclaveExpired.selector, enclave, expiresAt), address(market), call
        );
        vm.warp(expiresAt - 1);
        vm.startPrank(auditor);
        programs.revoke(measurementOf(Kinds.TRAINING));
        vm.stopPrank();
        refused(
            trainer,
            abi.encodeWithSelector(Programs.Revoked.selector, measurementOf(Kinds.TRAINING)),
            address(market),
            call
        );
        vm.startPrank(runner);
        enclaves.revoke(enclave);
        vm.stopPrank();
        refused(trainer, abi.encodeWithSelector(Enclaves.EnclaveIsRevoked.selector, enclave), address(market), call);
    }

    // ---------------------------------------------------------------- donations

    function test_data_is_brought_to_the_host_only() public {
        _modelId = propose(hostedTerms());
        (address owner, bytes32 id) = addDataset(1);
        address[2] memory wheres = [trainingEnclave(HOST), trainingEnclave(1)];
        for (uint256 i = 0; i < 2; ++i) {
            // Before it is named, and afterwards with another one.
            address enclave = wheres[i];
            bytes memory receipt = signDonation(keyOf[enclave], _modelId, id, rootOf(1), payeeOf(1));
            refused(
                owner,
                abi.encodeWithSelector(MarketLog.OtherHost.selector, _modelId, enclave),
                address(market),
                abi.encodeCall(market.donate, (_modelId, id, payeeOf(1), DECISION, enclave, receipt))
            );
            if (i == 1) break;
            vm.startPrank(trainer);
            market.host(_modelId, enclave);
            vm.stopPrank();
        }
        equal("number", bring(_modelId, owner, id, 1), 1);
        // The same data once.
        bytes memory again = signDonation(hostKey(), _modelId, id, rootOf(1), payeeOf(2));
        refused(
            owner,
            abi.encodeWithSelector(MarketLog.AlreadyDonated.selector, _modelId, id),
            address(market),
            abi.encodeCall(market.donate, (_modelId, id, payeeOf(2), DECISION, wheres[0], again))
        );
        // By nobody but the host, although it is named.
        (owner, id) = addDataset(2);
        bytes memory forged = signDonation(keyOf[wheres[1]], _modelId, id, rootOf(2), payeeOf(2));
        refused(
            owner,
            abi.encodeWithSelector(Signed.BadSignature.selector, wheres[0], wheres[1]),
            address(market),
            abi.encodeCall(market.donate, (_modelId, id, payeeOf(2), DECISION, wheres[0], forged))
        );
    }

    /// A refusal makes other models look at more, and takes no place for granted there.
    function test_an_enclave_has_one_place_where_somebody_was_refused() public {
        uint256 modelId = propose(terms());
        donate(modelId, 1, 1);
        bytes32 id = datasets.idOf(vm.addr(10_001), rootOf(1));
        vm.startPrank(trainer);
        market.refuseDonor(modelId, 1, id);
        vm.stopPrank();
        donate(modelId, 2, 1);
        (address owner, bytes32 other) = addDataset(3);
        address enclave = trainingEnclave(2);
        bytes memory receipt = signDonation(keyOf[enclave], modelId, other, rootOf(3), payeeOf(3));
        refused(
            owner,
            abi.encodeWithSelector(MarketLog.EnclaveTaken.selector, modelId, enclave),
            address(market),
            abi.encodeCall(market.donate, (modelId, other, payeeOf(3), DECISION, enclave, receipt))
        );
    }

    // ---------------------------------------------------------------- there is no committee

    function test_a_hosted_training_has_no_committee() public {
        recruited();
        bytes memory none = abi.encodeWithSelector(MarketLog.NoCommittee.selector, _modelId);
        address target = address(market);
        bytes32[] memory keys = keysOf(seats);
        refused(trainer, none, target, abi.encodeCall(market.startTraining, (_modelId, seats, keys)));
        refused(trainer, none, target, abi.encodeCall(market.startTraining, (_modelId, seats, new bytes32[](0))));
        refused(trainer, none, target, abi.encodeCall(market.startTraining, (_modelId, new address[](0), keys)));
        startHosted(_modelId);
        uint64 deadline = uint64(block.timestamp + 1 days);
        refused(
            trainer,
            abi.encodeWithSelector(RoundsLog.NoCommittee.selector, _modelId),
            address(rounds),
            abi.encodeCall(rounds.open, (_modelId, HEADER, deadline, deadline + 1 days))
        );
        refused(
            trainer,
            abi.encodeWithSelector(Market.NotFinal.selector, _modelId, 0, RoundStatus.None, bytes32(0)),
            target,
            abi.encodeCall(market.finishTraining, (_modelId, MODEL_HASH))
        );
        refused(
            trainer,
            abi.encodeWithSelector(Market.NotFinal.selector, _modelId, 0, RoundStatus.None, bytes32(0)),
            target,
            abi.encodeCall(market.finishTraining, (_modelId, 0))
        );
        // Nobody has a seat from which to name a donor, also for a reason that is not about a round.
        for (uint8 reason = 7; reason <= 8; ++reason) {
            refused(
                seats[0],
                abi.encodeWithSelector(RoundsLog.NotSeated.selector, _modelId, seats[0]),
                address(rounds),
                abi.encodeCall(rounds.blameDonor, (_modelId, 0, 1, reason))
            );
        }
    }

    /// An empty committee does not stand for none where there has to be one.
    function test_a_training_with_a_committee_needs_its_seats() public {
        uint256 modelId = propose(terms());
        donate(modelId, 1, 1);
        donate(modelId, 2, 1);
        refused(
            trainer,
            abi.encodeWithSelector(Committees.InvalidCommittee.selector, 0, 1),
            address(market),
            abi.encodeCall(market.startTraining, (modelId, new address[](0), new bytes32[](0)))
        );
    }

    function test_a_start_needs_donors() public {
        _modelId = proposeHosted(hostedTerms());
        donateToHost(_modelId, 1, 1);
        bytes memory call = abi.encodeCall(market.startTraining, (_modelId, new address[](0), new bytes32[](0)));
        refused(trainer, abi.encodeWithSelector(MarketLog.TooFewDonors.selector, _modelId, 1, 2), address(market), call);
        donateToHost(_modelId, 2, 1);
        takesBack(_modelId, 2, 2);
        refused(trainer, abi.encodeWithSelector(MarketLog.TooFewDonors.selector, _modelId, 1, 2), address(market), call);
    }

    // ---------------------------------------------------------------- what the enclave signs

    function test_only_the_trainer_finishes() public {
        training();
        HostedTraining memory t = said(_modelId, nobody);
        bytes memory call = abi.encodeCall(market.finishHosted, (t, signHosted(hostKey(), t)));
        address[3] memory others = [stranger, runner, author];
        for (uint256 i = 0; i < 3; ++i) {
            refused(
                others[i],
                abi.encodeWithSelector(MarketLog.NotTrainer.selector, _modelId, others[i]),
                address(market),
                call
            );
        }
    }

    function test_a_training_finishes_when_it_has_started_and_once() public {
        recruited();
        finishRefused(nobody, wrongState(State.Recruiting));
        startHosted(_modelId);
        finishHosted(_modelId, nobody);
        finishRefused(nobody, wrongState(State.Trained));
        vm.startPrank(trainer);
        market.serve(_modelId, vm.addr(QUERY_KEY));
        vm.stopPrank();
        finishRefused(nobody, wrongState(State.Serving));
        vm.startPrank(trainer);
        market.retire(_modelId);
        vm.stopPrank();
        finishRefused(nobody, wrongState(State.Retired));
        HostedTraining memory t = said(77, nobody);
        refused(
            trainer,
            abi.encodeWithSelector(MarketLog.UnknownModel.selector, 77),
            address(market),
            abi.encodeCall(market.finishHosted, (t, signHosted(hostKey(), t)))
        );
    }

    /// A model with a committee is what its members opened, whatever an enclave of it says.
    function test_a_model_with_a_committee_is_finished_by_rounds_only() public {
        _modelId = propose(terms());
        donate(_modelId, 1, 1);
        donate(_modelId, 2, 1);
        start(_modelId);
        HostedTraining memory t = said(_modelId, nobody);
        refused(
            trainer,
            abi.encodeWithSelector(MarketLog.NotHosted.selector, _modelId),
            address(market),
            abi.encodeCall(market.finishHosted, (t, signHosted(keyOf[trainingEnclave(1)], t)))
        );
    }

    function test_a_model_and_a_statement_are_named() public {
        training();
        bytes memory zero = abi.encodeWithSelector(MarketLog.ZeroHash.selector);
        HostedTraining memory t = HostedTraining(_modelId, 0, STATEMENT, nobody);
        refused(trainer, zero, address(market), abi.encodeCall(market.finishHosted, (t, signHosted(hostKey(), t))));
        t = HostedTraining(_modelId, MODEL_HASH, 0, nobody);
        refused(trainer, zero, address(market), abi.encodeCall(market.finishHosted, (t, signHosted(hostKey(), t))));
    }

    function test_nobody_signs_but_the_host() public {
        training();
        address enclave = trainingEnclave(HOST);
        uint256[3] memory keys = [keyOf[trainingEnclave(1)], QUERY_KEY, uint256(2)];
        HostedTraining memory t = said(_modelId, nobody);
        for (uint256 i = 0; i < 3; ++i) {
            refused(
                trainer,
                abi.encodeWithSelector(Signed.BadSignature.selector, enclave, vm.addr(keys[i])),
                address(market),
                abi.encodeCall(market.finishHosted, (t, signHosted(keys[i], t)))
            );
        }
        refused(
            trainer,
            abi.encodeWithSignature("ECDSAInvalidSignatureLength(uint256)", 0),
            address(market),
            abi.encodeCall(market.finishHosted, (t, ""))
        );
    }

    /// What was signed is over all of it: another one, with the same signature.
    function otherwise(HostedTraining memory t, bytes memory signature) private {
        address by = recovered(address(market), hostedHash(t), signature, block.chainid);
        address enclave = trainingEnclave(HOST);
        if (by == enclave) revert("by the host");
        refused(
            trainer,
            abi.encodeWithSelector(Signed.BadSignature.selector, enclave, by),
            address(market),
            abi.encodeCall(market.finishHosted, (t, signature))
        );
    }

    function test_a_signature_is_for_one_model_and_all_that_is_said_about_it() public {
        training();
        uint256 first = _modelId;
        bytes memory signature = signHosted(hostKey(), said(first, nobody));
        otherwise(HostedTraining(first, "another model", STATEMENT, nobody), signature);
        otherwise(HostedTraining(first, MODEL_HASH, "another statement", nobody), signature);
        // The trainer would save the payment of one, or of all.
        takesBack(first, 3, 3);
        otherwise(said(first, one(3)), signature);
        // And the other way round: who was not used would be paid.
        otherwise(said(first, nobody), signHosted(hostKey(), said(first, one(3))));
        // To another training with the same host.
        _modelId = proposeHosted(hostedTerms());
        donateToHost(_modelId, 4, 1);
        donateToHost(_modelId, 5, 1);
        startHosted(_modelId);
        otherwise(said(_modelId, nobody), signature);
    }

    function test_a_signature_is_for_one_chain_and_contract() public {
        training();
        HostedTraining memory t = said(_modelId, nobody);
        uint256 here = this.chain();
        bytes memory signature = signHosted(hostKey(), t);
        vm.chainId(here + 1);
        address enclave = trainingEnclave(HOST);
        refused(
            trainer,
            abi.encodeWithSelector(
                Signed.BadSignature.selector, enclave, recovered(address(market), hostedHash(t), signature, here + 1)
            ),
            address(market),
            abi.encodeCall(market.finishHosted, (t, signature))
        );
        vm.chainId(here);
        signature = sign(hostKey(), address(rounds), hostedHash(t));
        otherwise(t, signature);
        // Nor is another thing that the enclave signed here.
        bytes32 id = datasets.idOf(vm.addr(10_001), rootOf(1));
        otherwise(t, signDonation(hostKey(), _modelId, id, rootOf(1), payeeOf(1)));
        finishHosted(_modelId, nobody);
    }

    /// Asked through a call, because the optimizer takes `block.chainid` for a constant and reads it again.
    function chain() external view returns (uint256) {
        return block.chainid;
    }

    function test_a_host_that_is_revoked_or_expired_finishes_nothing() public {
        training();
        address enclave = trainingEnclave(HOST);
        // Of a revoked program the work goes on, of a disallowed one it waits.
        bytes32 measurement = measurementOf(Kinds.TRAINING);
        programs.disallow(measurement);
        finishRefused(nobody, abi.encodeWithSelector(Programs.NotAllowed.selector, measurement));
        programs.allow(measurement);
        vm.startPrank(auditor);
        programs.revoke(measurement);
        vm.stopPrank();
        uint64 expiresAt = enclaves.enclave(enclave).expiresAt;
        vm.warp(expiresAt);
        finishRefused(nobody, abi.encodeWithSelector(Enclaves.EnclaveExpired.selector, enclave, expiresAt));
        vm.warp(expiresAt - 1);
        uint256 modelId = _modelId;
        // New evidence, and it goes on.
        Enclaves.Enclave memory e =
            Enclaves.Enclave(enclave, keccak256("seal"), measurement, 0, "new", expiresAt + 30 days);
        bytes memory shown = signEnclave(hostKey(), runner, e);
        vm.startPrank(runner);
        enclaves.refresh(enclave, e.evidenceHash, e.expiresAt, shown);
        vm.stopPrank();
        vm.warp(expiresAt + 1);
        finishHosted(modelId, nobody);
        paid(5, 5, 5, 5);
    }

    function test_a_runner_who_revokes_its_enclave_costs_nobody_money() public {
        training();
        address enclave = trainingEnclave(HOST);
        vm.startPrank(runner);
        enclaves.revoke(enclave);
        vm.stopPrank();
        finishRefused(nobody, abi.encodeWithSelector(Enclaves.EnclaveIsRevoked.selector, enclave));
        abort();
        paid(0, 0, 0, 20);
    }

    function test_only_who_has_left_was_not_used() public {
        training();
        finishRefused(one(2), stillInUse(2));
        // Withdrawn, but nobody has ended its use yet.
        withdrawDataset(2);
        finishRefused(one(2), stillInUse(2));
        market.endUse(_modelId, 2);
        finishRefused(two(2, 2), stillInUse(2));
        finishRefused(two(2, 1), stillInUse(1));
        finishRefused(two(2, 3), stillInUse(3));
        finishRefused(one(0), abi.encodeWithSelector(MarketLog.UnknownDonor.selector, _modelId, 0));
        finishRefused(one(4), abi.encodeWithSelector(MarketLog.UnknownDonor.selector, _modelId, 4));
        finishHosted(_modelId, one(2));
        paid(5, 0, 5, 10);
    }

    function test_those_who_were_not_used_are_ascending() public {
        recruited();
        donateToHost(_modelId, 4, 5);
        startHosted(_modelId);
        takesBack(_modelId, 2, 2);
        takesBack(_modelId, 4, 4);
        finishRefused(two(4, 2), stillInUse(2));
        finishRefused(two(4, 4), stillInUse(4));
        uint256 total = market.model(_modelId).totalWeight;
        finishHosted(_modelId, two(2, 4));
        equal("weight", total - market.model(_modelId).totalWeight, 3 + 5);
        equal("excluded", market.model(_modelId).excluded, 2);
        paid(5, 0, 5, 10);
    }

    function test_nobody_is_excluded_twice() public {
        recruited();
        donateToHost(_modelId, 4, 5);
        takesBack(_modelId, 4, 4);
        startHosted(_modelId);
        finishRefused(one(4), stillInUse(4));
        finishHosted(_modelId, nobody);
        equal("excluded", market.model(_modelId).excluded, 1);
        equal("donor 4", market.owedDonor(_modelId, 4), 0);
        paid(5, 5, 5, 5);
    }

    function test_a_model_of_too_few_is_none() public {
        training();
        takesBack(_modelId, 1, 1);
        takesBack(_modelId, 3, 3);
        finishRefused(two(1, 3), abi.encodeWithSelector(MarketLog.TooFewDonors.selector, _modelId, 1, 2));
        // Two of them were used after all.
        finishHosted(_modelId, one(3));
        paid(5, 5, 0, 10);
    }

    // ---------------------------------------------------------------- the money, in every order

    function test_who_leaves_while_it_recruits_is_paid_nothing() public {
        recruited();
        takesBack(_modelId, 3, 3);
        startHosted(_modelId);
        equal("weight", market.model(_modelId).totalWeight, 4);
        finishHosted(_modelId, nobody);
        paid(5, 5, 0, 10);
    }

    /// Nobody has ended its use before the start: the enclave says whether it was used.
    function test_who_leaves_unseen_while_it_recruits_is_paid_if_it_was_used() public {
        for (uint256 i = 0; i < 2; ++i) {
            setUp();
            recruited();
            withdrawDataset(3);
            startHosted(_modelId);
            market.endUse(_modelId, 3);
            finishHosted(_modelId, i == 0 ? nobody : one(3));
            if (i == 0) paid(5, 5, 5, 5);
            else paid(5, 5, 0, 10);
        }
    }

    function test_who_leaves_after_the_start_is_paid_if_it_was_used() public {
        for (uint256 i = 0; i < 2; ++i) {
            setUp();
            training();
            takesBack(_modelId, 3, 3);
            // As long as it is not known, it is counted and nothing is owed.
            equal("weight", market.model(_modelId).totalWeight, 8);
            equal("excluded", market.model(_modelId).excluded, 0);
            equal("owed", market.owedDonor(_modelId, 3), 0);
            finishHosted(_modelId, i == 0 ? nobody : one(3));
            equal("weight", market.model(_modelId).totalWeight, i == 0 ? 8 : 4);
            if (i == 0) paid(5, 5, 5, 5);
            else paid(5, 5, 0, 10);
        }
    }

    /// Its share of the queries is that of the others.
    function test_the_share_of_who_was_not_used_is_that_of_the_others() public {
        training();
        takesBack(_modelId, 3, 3);
        finishHosted(_modelId, one(3));
        vm.startPrank(trainer);
        market.serve(_modelId, vm.addr(QUERY_KEY));
        vm.stopPrank();
        settle(_modelId, buy(_modelId, "a"));
        equal("donor 1", market.owedDonor(_modelId, 1), 5e6 + 1.5e6);
        equal("donor 2", market.owedDonor(_modelId, 2), 5e6 + 4.5e6);
        equal("donor 3", market.owedDonor(_modelId, 3), 0);
        uint256 due =
            market.owedDonor(_modelId, 1) + market.owedDonor(_modelId, 2) + market.owed(trainer) + market.owed(runner);
        equal("all of it", due, market.obligations());
        equal("is there", market.obligations(), token.balanceOf(address(market)));
    }

    /// Nobody has to end the use of who was used, and it changes nothing.
    function test_who_leaves_when_all_is_over_keeps_its_share() public {
        training();
        withdrawDataset(3);
        finishHosted(_modelId, nobody);
        refused(stranger, wrongState(State.Trained), address(market), abi.encodeCall(market.endUse, (_modelId, 3)));
        paid(5, 5, 5, 5);
    }

    function test_a_refused_donor_is_paid_nothing_and_its_place_is_free() public {
        recruited();
        bytes32 id = datasets.idOf(vm.addr(10_003), rootOf(3));
        vm.startPrank(trainer);
        market.refuseDonor(_modelId, 3, id);
        vm.stopPrank();
        // It does not come again; two others do.
        address enclave = trainingEnclave(HOST);
        bytes memory receipt = signDonation(hostKey(), _modelId, id, rootOf(3), payeeOf(3));
        refused(
            vm.addr(10_003),
            abi.encodeWithSelector(MarketLog.OwnerRefused.selector, _modelId, vm.addr(10_003)),
            address(market),
            abi.encodeCall(market.donate, (_modelId, id, payeeOf(3), DECISION, enclave, receipt))
        );
        donateToHost(_modelId, 4, 1);
        donateToHost(_modelId, 5, 1);
        startHosted(_modelId);
        finishRefused(one(3), stillInUse(3));
        finishHosted(_modelId, nobody);
        equal("rest", market.owed(trainer), 0);
        market.claimDonor(_modelId, 4);
        market.claimDonor(_modelId, 5);
        paid(5, 5, 0, 0);
    }

    function test_who_gives_up_before_the_start_has_the_deposit_back() public {
        recruited();
        takesBack(_modelId, 2, 2);
        abort();
        paid(0, 0, 0, 20);
    }

    /// The enclave hands the model to nobody before the training is finished: nothing was made of the data.
    function test_who_gives_up_after_the_start_has_the_deposit_back_and_no_model() public {
        training();
        takesBack(_modelId, 2, 2);
        abort();
        finishRefused(one(2), wrongState(State.Aborted));
        finishRefused(nobody, wrongState(State.Aborted));
        refused(
            trainer,
            wrongState(State.Aborted),
            address(market),
            abi.encodeCall(market.serve, (_modelId, vm.addr(QUERY_KEY)))
        );
        paid(0, 0, 0, 20);
    }

    function test_a_finished_training_is_not_given_up() public {
        training();
        finishHosted(_modelId, nobody);
        refused(trainer, wrongState(State.Trained), address(market), abi.encodeCall(market.abortTraining, (_modelId)));
        paid(5, 5, 5, 5);
    }

    /// No sum is ever open, so nobody is owed anything before the end, and nobody else can bring it about.
    function test_a_silent_trainer_ends_it_alone() public {
        training();
        vm.warp(this.timeNow() + 400 days);
        refused(
            stranger,
            abi.encodeWithSelector(MarketLog.NotTrainer.selector, _modelId, stranger),
            address(market),
            abi.encodeCall(market.abortTraining, (_modelId))
        );
        abort();
        paid(0, 0, 0, 20);
    }

    function test_a_pause_starts_nothing_and_locks_nothing() public {
        recruited();
        market.pause();
        bytes memory paused = abi.encodeWithSignature("EnforcedPause()");
        // A round cannot be opened in a pause, and this stands for the rounds.
        refused(
            trainer,
            paused,
            address(market),
            abi.encodeCall(market.startTraining, (_modelId, new address[](0), new bytes32[](0)))
        );
        (address owner, bytes32 id) = addDataset(4);
        address enclave = trainingEnclave(HOST);
        bytes memory receipt = signDonation(hostKey(), _modelId, id, rootOf(4), payeeOf(4));
        refused(
            owner,
            paused,
            address(market),
            abi.encodeCall(market.donate, (_modelId, id, payeeOf(4), DECISION, enclave, receipt))
        );
        market.unpause();
        startHosted(_modelId);
        market.pause();
        takesBack(_modelId, 3, 3);
        finishHosted(_modelId, one(3));
        paid(5, 5, 0, 10);
        // Given up in a pause, it is all back.
        market.unpause();
        setUp();
        training();
        market.pause();
        abort();
        paid(0, 0, 0, 20);
    }

    /// Any payment and weights, anybody who has left, and any of them not used: what is owed is what is held.
    function testFuzz_what_is_owed_is_what_is_held(uint96 instant, uint32[4] memory weights, uint8 left, uint8 unused)
        public
    {
        Market.Terms memory t = hostedTerms();
        t.instantPayment = instant;
        fund(trainer, 4 * uint256(instant));
        _modelId = proposeHosted(t);
        for (uint16 d = 1; d <= 4; ++d) {
            donateToHost(_modelId, d, weights[d - 1] == 0 ? 1 : weights[d - 1]);
        }
        startHosted(_modelId);
        uint16[] memory list = new uint16[](4);
        uint256 many = 0;
        for (uint16 d = 1; d <= 4; ++d) {
            if (left >> d & 1 == 0) continue;
            takesBack(_modelId, d, d);
            if (unused >> d & 1 == 1 && many < 2) list[many++] = d;
        }
        uint16[] memory out = new uint16[](many);
        for (uint256 i = 0; i < many; ++i) {
            out[i] = list[i];
        }
        finishHosted(_modelId, out);
        vm.startPrank(trainer);
        market.serve(_modelId, vm.addr(QUERY_KEY));
        vm.stopPrank();
        settle(_modelId, buy(_modelId, "a"));
        uint256 due = market.owed(trainer) + market.owed(runner);
        for (uint16 d = 1; d <= 4; ++d) {
            due += market.owedDonor(_modelId, d);
        }
        atMost("due", due, market.obligations());
        atMost("dust", market.obligations() - due, 4);
        equal("held", token.balanceOf(address(market)), market.obligations());
    }
}
