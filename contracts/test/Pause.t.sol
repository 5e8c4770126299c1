// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {Base} from "./Base.sol";
import {Market} from "../src/Market.sol";
import {MarketLog} from "../src/MarketLog.sol";
import {Members, Roles} from "../src/Members.sol";
import {Kinds} from "../src/Programs.sol";
import {RoundsLog} from "../src/RoundsLog.sol";

contract PauseTest is Base {
    uint64 private constant PAUSER = 1;
    uint64 private constant REGISTRAR = 2;

    bytes private _paused = abi.encodeWithSignature("EnforcedPause()");

    function _manager() private view returns (AccessManager) {
        return AccessManager(market.authority());
    }

    function _selector(bytes4 selector) private pure returns (bytes4[] memory selectors) {
        selectors = new bytes4[](1);
        selectors[0] = selector;
    }

    function test_a_pause_stops_new_work() public {
        uint256 recruiting = propose(terms());
        donate(recruiting, 11, 1);
        donate(recruiting, 12, 1);
        (address owner, bytes32 id) = addDataset(13);
        bytes memory receipt = signDonation(TRAINING_KEY, recruiting, id, datasets.dataset(id).root, payeeOf(13));
        uint256 serving = served();
        market.pause();
        address target = address(market);
        refused(trainer, _paused, target, abi.encodeCall(market.propose, (WHITE_PAPER, PLAN, terms())));
        refused(
            owner,
            _paused,
            target,
            abi.encodeCall(market.donate, (recruiting, id, payeeOf(13), DECISION, vm.addr(TRAINING_KEY), receipt))
        );
        refused(user, _paused, target, abi.encodeCall(market.buy, (serving, "code", vm.addr(QUERY_KEY))));
        start(recruiting);
        bytes memory open =
            abi.encodeCall(rounds.open, (recruiting, HEADER, uint64(block.timestamp + 1), uint64(block.timestamp + 2)));
        refused(trainer, abi.encodeWithSelector(RoundsLog.MarketPaused.selector), address(rounds), open);
        market.unpause();
        open =
            abi.encodeCall(rounds.open, (recruiting, HEADER, uint64(block.timestamp + 1), uint64(block.timestamp + 2)));
        vm.startPrank(trainer);
        (bool ok,) = address(rounds).call(open);
        vm.stopPrank();
        if (!ok) revert("still paused");
        buy(serving, "code");
    }

    /// What was begun before the pause ends as it would have without it, and everybody gets the money.
    function test_a_pause_locks_no_money() public {
        uint256 before = token.balanceOf(trainer);
        uint256 userBefore = token.balanceOf(user);
        uint256 serving = served();
        bytes32 answered = buy(serving, "a");
        bytes32 unanswered = buy(serving, "b");
        uint256 recruiting = propose(terms());
        uint256 training = propose(terms());
        donate(training, 11, 1);
        donate(training, 12, 1);
        start(training);
        uint32 round = open(training);
        market.pause();

        // A round under way is finished, and its donors are paid.
        anchor(training, round, 1);
        anchor(training, round, 2);
        finishRound(training, round);
        vm.startPrank(trainer);
        market.finishTraining(training, MODEL_HASH);
        market.serve(training, vm.addr(QUERY_KEY));
        market.abortTraining(recruiting);
        vm.stopPrank();
        settle(serving, answered);
        vm.warp(block.timestamp + 2 hours);
        market.refund(unanswered);
        for (uint16 d = 1; d <= 2; ++d) {
            market.claimDonor(serving, d);
            market.claimDonor(training, d);
        }
        vm.startPrank(trainer);
        market.claim();
        vm.stopPrank();
        vm.startPrank(runner);
        market.claim();
        vm.stopPrank();
        equal("nothing left", market.obligations(), 0);
        equal("nothing left in the account", token.balanceOf(address(market)), 0);
        equal("user", token.balanceOf(user), userBefore - 10e6);
        // Instant payments of four donors out, three tenths of a query in.
        equal("trainer", token.balanceOf(trainer), before - 20e6 + 3e6);
    }

    /// Donors and trainer agree in this: a pause that lasts does not keep a failed round's deposit.
    function test_a_pause_that_lasts_locks_no_deposit() public {
        uint256 modelId = propose(terms());
        donate(modelId, 1, 1);
        donate(modelId, 2, 1);
        start(modelId);
        uint32 round = open(modelId);
        market.pause();
        vm.warp(block.timestamp + 1 days + 1);
        rounds.close(modelId, round);
        vm.startPrank(trainer);
        market.abortTraining(modelId);
        vm.stopPrank();
        equal("deposit", market.owed(trainer), 20e6);
    }

    /// The sixty days after which anybody ends a training do not run in a pause, and begin anew after it.
    function test_a_trainer_pays_for_half_a_model_because_of_a_pause() public {
        uint256 modelId = propose(terms());
        donate(modelId, 1, 1);
        donate(modelId, 2, 1);
        start(modelId);
        uint32 round = open(modelId);
        anchor(modelId, round, 1);
        anchor(modelId, round, 2);
        finishRound(modelId, round);
        market.pause();
        bytes memory call = abi.encodeCall(market.abortTraining, (modelId));
        bytes memory reason = abi.encodeWithSelector(MarketLog.NotTrainer.selector, modelId, stranger);
        vm.warp(this.timeNow() + 61 days);
        refused(stranger, reason, address(market), call);
        market.unpause();
        vm.warp(this.timeNow() + 60 days);
        refused(stranger, reason, address(market), call);
        vm.warp(this.timeNow() + 1);
        vm.startPrank(stranger);
        market.abortTraining(modelId);
        vm.stopPrank();
        equal("donor", market.owedDonor(modelId, 1), 5e6);
    }

    function test_the_pauser_pauses_and_the_administrator_ends_it() public {
        AccessManager manager = _manager();
        manager.setTargetFunctionRole(address(market), _selector(market.pause.selector), PAUSER);
        manager.grantRole(PAUSER, stranger, 0);
        address target = address(market);
        bytes memory unauthorized = abi.encodeWithSignature("AccessManagedUnauthorized(address)", user);
        refused(user, unauthorized, target, abi.encodeCall(market.pause, ()));
        vm.startPrank(stranger);
        market.pause();
        vm.stopPrank();
        unauthorized = abi.encodeWithSignature("AccessManagedUnauthorized(address)", stranger);
        refused(stranger, unauthorized, target, abi.encodeCall(market.unpause, ()));
        market.unpause();
        if (market.paused()) revert("still paused");
    }

    /// A role with a delay: whoever holds it announces a change, and everybody sees it coming.
    function test_roles_with_delays_wait() public {
        AccessManager manager = _manager();
        bytes4 setRoles = members.setRoles.selector;
        manager.setTargetFunctionRole(address(members), _selector(setRoles), REGISTRAR);
        manager.grantRole(REGISTRAR, stranger, 1 days);
        bytes memory call = abi.encodeCall(members.setRoles, (runner, Roles.AUDITOR));
        vm.startPrank(stranger);
        (bool early,) = address(members).call(call);
        (bytes32 operation,) = manager.schedule(address(members), call, uint48(block.timestamp + 1 days));
        (bool notYet,) = address(manager).call(abi.encodeCall(manager.execute, (address(members), call)));
        vm.stopPrank();
        if (early || notYet) revert("no delay");
        equal("before", members.rolesOf(runner), Roles.RUNNER);
        vm.warp(block.timestamp + 1 days);
        vm.startPrank(stranger);
        manager.execute(address(members), call);
        vm.stopPrank();
        equal("after", members.rolesOf(runner), Roles.AUDITOR);
        equal("done", manager.getSchedule(operation), 0);
        // What is announced can be called off by the administrator.
        call = abi.encodeCall(members.setRoles, (runner, Roles.ALL));
        vm.startPrank(stranger);
        manager.schedule(address(members), call, 0);
        vm.stopPrank();
        manager.cancel(stranger, address(members), call);
        vm.warp(1_000_000 + 3 days);
        vm.startPrank(stranger);
        (bool ok,) = address(manager).call(abi.encodeCall(manager.execute, (address(members), call)));
        vm.stopPrank();
        if (ok) revert("executed although called off");
    }

    /// Trainers evaluate with queries that are recorded and paid like any other.
    function test_the_trainer_pays_for_evaluation() public {
        uint256 modelId = served();
        uint256 donorBefore = market.owedDonor(modelId, 2);
        uint256 owedBefore = market.owed(trainer);
        uint256 before = token.balanceOf(trainer);
        vm.startPrank(trainer);
        bytes32 queryId = market.buy(modelId, "evaluation", vm.addr(QUERY_KEY));
        vm.stopPrank();
        settle(modelId, queryId);
        equal("paid", token.balanceOf(trainer), before - 10e6);
        equal("trainer's part", market.owed(trainer), owedBefore + 3e6);
        equal("donor's part", market.owedDonor(modelId, 2), donorBefore + 4.5e6);
        equal("recorded", market.model(modelId).settled, 1);
    }
}
