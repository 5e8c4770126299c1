// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {Base} from "./Base.sol";
import {Datasets} from "../src/Datasets.sol";
import {Enclaves} from "../src/Enclaves.sol";
import {IRounds, RoundStatus} from "../src/IRounds.sol";
import {Market} from "../src/Market.sol";
import {MarketLog} from "../src/MarketLog.sol";
import {QueryState, State} from "../src/MarketTypes.sol";
import {Kinds, Programs} from "../src/Programs.sol";
import {Purse} from "../src/Purse.sol";
import {Signed} from "../src/Signed.sol";

contract MarketTest is Base {
    function balanced() private view {
        equal("balance", token.balanceOf(address(market)), market.obligations());
    }

    function test_a_whole_run_pays_everyone() public {
        uint256 trainerBefore = token.balanceOf(trainer);
        uint256 modelId = served();
        // Two of four places stayed free.
        equal("rest of the deposit", market.owed(trainer), 10e6);
        equal("instant payment", market.owedDonor(modelId, 1), 5e6);

        settle(modelId, buy(modelId, "a"));
        equal("donor 1", market.owedDonor(modelId, 1), 5e6 + 1.5e6);
        equal("donor 2", market.owedDonor(modelId, 2), 5e6 + 4.5e6);
        equal("runner", market.owed(runner), 1e6);
        balanced();

        market.claimDonor(modelId, 1);
        settle(modelId, buy(modelId, "b"));
        market.claimDonor(modelId, 1);
        market.claimDonor(modelId, 2);
        vm.startPrank(trainer);
        market.claim();
        vm.stopPrank();
        vm.startPrank(runner);
        market.claim();
        vm.stopPrank();
        equal("donor 1 paid", token.balanceOf(payeeOf(1)), 5e6 + 3e6);
        equal("donor 2 paid", token.balanceOf(payeeOf(2)), 5e6 + 9e6);
        equal("runner paid", token.balanceOf(runner), 2e6);
        equal("trainer paid", token.balanceOf(trainer), trainerBefore - 10e6 + 6e6);
        equal("nothing left", market.obligations(), 0);
        balanced();
        refused(
            stranger,
            abi.encodeWithSelector(Purse.NothingOwed.selector, payeeOf(1)),
            address(market),
            abi.encodeCall(market.claimDonor, (modelId, 1))
        );
        refused(
            stranger,
            abi.encodeWithSelector(Purse.NothingOwed.selector, stranger),
            address(market),
            abi.encodeCall(market.claim, ())
        );
    }

    function test_a_code_works_once() public {
        uint256 modelId = served();
        bytes32 codeHash = keccak256(abi.encode(bytes32("a")));
        bytes32 queryId = buy(modelId, "a");
        bytes memory used = abi.encodeWithSelector(MarketLog.CodeUsed.selector, queryId);
        refused(user, used, address(market), abi.encodeCall(market.buy, (modelId, codeHash, vm.addr(QUERY_KEY))));

        bytes memory receipt = signQuery(QUERY_KEY, queryId, modelId);
        bytes memory again = abi.encodeCall(market.settle, (queryId, "job", "output", ANSWER, receipt));
        market.settle(queryId, "job", "output", ANSWER, receipt);
        bytes memory done = abi.encodeWithSelector(Market.QueryDone.selector, queryId, QueryState.Settled);
        refused(stranger, done, address(market), again);
        refused(user, used, address(market), abi.encodeCall(market.buy, (modelId, codeHash, vm.addr(QUERY_KEY))));
        vm.warp(block.timestamp + 2 hours);
        refused(user, done, address(market), abi.encodeCall(market.refund, (queryId)));
    }

    function test_copying_a_pending_code_blocks_nobody() public {
        uint256 modelId = served();
        fund(stranger, 10e6);
        bytes32 codeHash = keccak256(abi.encode(bytes32("a")));
        vm.startPrank(stranger);
        bytes32 stolen = market.buy(modelId, codeHash, vm.addr(QUERY_KEY));
        vm.stopPrank();
        bytes32 queryId = buy(modelId, "a");
        if (stolen == queryId) revert("same query");
        settle(modelId, queryId);
    }

    function test_unpaid_queries_are_refused() public {
        uint256 modelId = served();
        bytes32 queryId = market.queryIdOf(stranger, "never bought");
        bytes memory receipt = signQuery(QUERY_KEY, queryId, modelId);
        bytes memory unknown = abi.encodeWithSelector(MarketLog.UnknownQuery.selector, queryId);
        refused(
            stranger,
            unknown,
            address(market),
            abi.encodeCall(market.settle, (queryId, "job", "output", ANSWER, receipt))
        );
        refused(stranger, unknown, address(market), abi.encodeCall(market.refund, (queryId)));
        // Somebody without money buys nothing.
        vm.startPrank(stranger);
        (bool ok,) = address(market).call(abi.encodeCall(market.buy, (modelId, "x", vm.addr(QUERY_KEY))));
        vm.stopPrank();
        if (ok) revert("bought without money");
    }

    function test_only_the_serving_enclave_settles() public {
        uint256 modelId = served();
        bytes32 queryId = buy(modelId, "a");
        bytes memory foreign = signQuery(TRAINING_KEY, queryId, modelId);
        refused(
            runner,
            abi.encodeWithSelector(Signed.BadSignature.selector, vm.addr(QUERY_KEY), vm.addr(TRAINING_KEY)),
            address(market),
            abi.encodeCall(market.settle, (queryId, "job", "output", ANSWER, foreign))
        );
        // A receipt for another output is by nobody that we know.
        bytes memory receipt = signQuery(QUERY_KEY, queryId, modelId);
        bytes32 typehash =
            keccak256("QueryReceipt(bytes32 queryId,uint256 modelId,bytes32 jobId,bytes32 outputHash,bytes answer)");
        bytes32 other =
            keccak256(abi.encode(typehash, queryId, modelId, bytes32("job"), bytes32("other"), keccak256(ANSWER)));
        refused(
            runner,
            abi.encodeWithSelector(
                Signed.BadSignature.selector,
                vm.addr(QUERY_KEY),
                recovered(address(market), other, receipt, block.chainid)
            ),
            address(market),
            abi.encodeCall(market.settle, (queryId, "job", "other", ANSWER, receipt))
        );
        // A revoked enclave earns nothing.
        vm.startPrank(runner);
        enclaves.revoke(vm.addr(QUERY_KEY));
        vm.stopPrank();
        refused(
            runner,
            abi.encodeWithSelector(Enclaves.EnclaveIsRevoked.selector, vm.addr(QUERY_KEY)),
            address(market),
            abi.encodeCall(market.settle, (queryId, "job", "output", ANSWER, receipt))
        );
    }

    function test_receipts_do_not_travel() public {
        uint256 first = propose(terms());
        uint256 second = propose(terms());
        (address owner, bytes32 id) = addDataset(1);
        bytes memory receipt = signDonation(TRAINING_KEY, first, id, datasets.dataset(id).root, payeeOf(1));
        address enclave = vm.addr(TRAINING_KEY);

        // To another model.
        bytes32 elsewhere = donationHash(second, id, rootOf(1), payeeOf(1));
        refused(
            owner,
            abi.encodeWithSelector(
                Signed.BadSignature.selector, enclave, recovered(address(market), elsewhere, receipt, block.chainid)
            ),
            address(market),
            abi.encodeCall(market.donate, (second, id, payeeOf(1), DECISION, enclave, receipt))
        );
        // To another chain.
        uint256 here = this.chain();
        vm.chainId(here + 1);
        bytes32 same = donationHash(first, id, rootOf(1), payeeOf(1));
        refused(
            owner,
            abi.encodeWithSelector(
                Signed.BadSignature.selector, enclave, recovered(address(market), same, receipt, here + 1)
            ),
            address(market),
            abi.encodeCall(market.donate, (first, id, payeeOf(1), DECISION, enclave, receipt))
        );
        vm.chainId(here);
        // And the right place once.
        bytes memory call = abi.encodeCall(market.donate, (first, id, payeeOf(1), DECISION, enclave, receipt));
        refused(
            stranger, abi.encodeWithSelector(MarketLog.NotDatasetOwner.selector, id, stranger), address(market), call
        );
        vm.startPrank(owner);
        market.donate(first, id, payeeOf(1), DECISION, enclave, receipt);
        vm.stopPrank();
        refused(owner, abi.encodeWithSelector(MarketLog.AlreadyDonated.selector, first, id), address(market), call);
    }

    /// Asked through a call, because the optimizer takes `block.chainid` for a constant and reads it again.
    function chain() external view returns (uint256) {
        return block.chainid;
    }

    function test_donations_are_checked() public {
        uint256 modelId = propose(terms());
        (address owner, bytes32 id) = addDataset(1);
        address enclave = vm.addr(TRAINING_KEY);
        // Validation enclaves take no donations.
        address wrong = vm.addr(VALIDATION_KEY);
        bytes memory receipt = signDonation(VALIDATION_KEY, modelId, id, datasets.dataset(id).root, payeeOf(1));
        refused(
            owner,
            abi.encodeWithSelector(
                Programs.WrongKind.selector, measurementOf(Kinds.VALIDATION), Kinds.VALIDATION, Kinds.TRAINING
            ),
            address(market),
            abi.encodeCall(market.donate, (modelId, id, payeeOf(1), DECISION, wrong, receipt))
        );
        vm.startPrank(owner);
        datasets.withdraw(id);
        vm.stopPrank();
        receipt = signDonation(TRAINING_KEY, modelId, id, datasets.dataset(id).root, payeeOf(1));
        refused(
            owner,
            abi.encodeWithSelector(Datasets.DatasetIsWithdrawn.selector, id),
            address(market),
            abi.encodeCall(market.donate, (modelId, id, payeeOf(1), DECISION, enclave, receipt))
        );
        for (uint256 n = 2; n <= 5; ++n) {
            donate(modelId, n, 1);
        }
        (owner, id) = addDataset(6);
        receipt = signDonation(TRAINING_KEY, modelId, id, datasets.dataset(id).root, payeeOf(6));
        refused(
            owner,
            abi.encodeWithSelector(MarketLog.DonorsFull.selector, modelId, uint16(4)),
            address(market),
            abi.encodeCall(market.donate, (modelId, id, payeeOf(6), DECISION, enclave, receipt))
        );
    }

    function test_refund_after_the_deadline_only() public {
        uint256 modelId = served();
        uint256 before = token.balanceOf(user);
        bytes32 queryId = buy(modelId, "a");
        uint64 deadline = uint64(block.timestamp + 1 hours);
        vm.warp(deadline);
        refused(
            user,
            abi.encodeWithSelector(MarketLog.TooEarly.selector, queryId, deadline),
            address(market),
            abi.encodeCall(market.refund, (queryId))
        );
        vm.warp(deadline + 1);
        bytes memory receipt = signQuery(QUERY_KEY, queryId, modelId);
        refused(
            runner,
            abi.encodeWithSelector(MarketLog.TooLate.selector, queryId, deadline),
            address(market),
            abi.encodeCall(market.settle, (queryId, "job", "output", ANSWER, receipt))
        );
        // Anybody may push it; the user gets it.
        vm.startPrank(stranger);
        market.refund(queryId);
        vm.stopPrank();
        equal("user", token.balanceOf(user), before);
        balanced();
        bytes memory done = abi.encodeWithSelector(Market.QueryDone.selector, queryId, QueryState.Refunded);
        refused(user, done, address(market), abi.encodeCall(market.refund, (queryId)));
    }

    function test_a_query_settles_at_its_deadline_and_after_retirement() public {
        uint256 modelId = served();
        bytes32 queryId = buy(modelId, "a");
        vm.startPrank(trainer);
        market.retire(modelId);
        vm.stopPrank();
        refused(
            user,
            abi.encodeWithSelector(Market.WrongState.selector, modelId, State.Retired),
            address(market),
            abi.encodeCall(market.buy, (modelId, "b", vm.addr(QUERY_KEY)))
        );
        vm.warp(block.timestamp + 1 hours);
        settle(modelId, queryId);
        equal("runner", market.owed(runner), 1e6);
    }

    function test_a_new_enclave_does_not_take_queries_already_sold() public {
        uint256 modelId = served();
        bytes32 queryId = buy(modelId, "a");
        addEnclave(STRANGER_KEY, Kinds.QUERY);
        vm.startPrank(trainer);
        market.serve(modelId, vm.addr(STRANGER_KEY));
        vm.stopPrank();
        settle(modelId, queryId);
        bytes32 next = buy(modelId, "b");
        bytes memory receipt = signQuery(QUERY_KEY, next, modelId);
        refused(
            runner,
            abi.encodeWithSelector(Signed.BadSignature.selector, vm.addr(STRANGER_KEY), vm.addr(QUERY_KEY)),
            address(market),
            abi.encodeCall(market.settle, (next, "job", "output", ANSWER, receipt))
        );
    }

    function test_abort_returns_the_deposit() public {
        uint256 before = token.balanceOf(trainer);
        uint256 modelId = propose(terms());
        equal("deposit", token.balanceOf(trainer), before - 20e6);
        donate(modelId, 1, 1);
        refused(
            stranger,
            abi.encodeWithSelector(MarketLog.NotTrainer.selector, modelId, stranger),
            address(market),
            abi.encodeCall(market.abortTraining, (modelId))
        );
        vm.startPrank(trainer);
        market.abortTraining(modelId);
        market.claim();
        vm.stopPrank();
        equal("trainer", token.balanceOf(trainer), before);
        equal("donor", market.owedDonor(modelId, 1), 0);
        balanced();
        refused(
            trainer,
            abi.encodeWithSelector(Market.WrongState.selector, modelId, State.Aborted),
            address(market),
            abi.encodeCall(market.abortTraining, (modelId))
        );
    }

    function test_a_failed_round_costs_its_trainer_nothing() public {
        uint256 modelId = propose(terms());
        donate(modelId, 1, 1);
        donate(modelId, 2, 1);
        start(modelId);
        uint32 round = open(modelId);
        anchor(modelId, round, 1);
        vm.warp(block.timestamp + 1 days + 1);
        rounds.close(modelId, round);
        vm.startPrank(trainer);
        market.abortTraining(modelId);
        vm.stopPrank();
        equal("deposit", market.owed(trainer), 20e6);
    }

    function test_training_finishes_with_the_model_of_the_last_round_only() public {
        uint256 modelId = propose(terms());
        donate(modelId, 1, 1);
        refused(
            trainer,
            abi.encodeWithSelector(MarketLog.TooFewDonors.selector, modelId, uint16(1), uint16(2)),
            address(market),
            abi.encodeCall(market.startTraining, (modelId, seats, keysOf(seats)))
        );
        donate(modelId, 2, 1);
        start(modelId);
        refused(
            trainer,
            abi.encodeWithSelector(Market.NotFinal.selector, modelId, 0, RoundStatus.None, bytes32(0)),
            address(market),
            abi.encodeCall(market.finishTraining, (modelId, MODEL_HASH))
        );
        uint32 round = open(modelId);
        anchor(modelId, round, 1);
        anchor(modelId, round, 2);
        finishRound(modelId, round);
        refused(
            trainer,
            abi.encodeWithSelector(Market.NotFinal.selector, modelId, 1, RoundStatus.Final, MODEL_HASH),
            address(market),
            abi.encodeCall(market.finishTraining, (modelId, "another"))
        );
    }

    function test_bad_terms_are_refused() public {
        Market.Terms memory t = terms();
        t.runnerBps = 1_001;
        _badTerms(t, abi.encodeWithSelector(MarketLog.SharesDoNotAddUp.selector, 10_001));
        t = terms();
        t.minDonors = 0;
        _badTerms(t, abi.encodeWithSelector(MarketLog.InvalidDonorLimits.selector, 0, 4));
        t.minDonors = 5;
        _badTerms(t, abi.encodeWithSelector(MarketLog.InvalidDonorLimits.selector, 5, 4));
        t = terms();
        // The sum over one donor is its data.
        t.minSurvivors = 1;
        _badTerms(t, abi.encodeWithSelector(MarketLog.InvalidMinSurvivors.selector, 1, 2));
        t.minSurvivors = 3;
        _badTerms(t, abi.encodeWithSelector(MarketLog.InvalidMinSurvivors.selector, 3, 2));
        t = terms();
        t.queryTimeout = 0;
        _badTerms(t, abi.encodeWithSelector(MarketLog.ZeroTimeout.selector));
    }

    function test_a_plan_is_named() public {
        bytes memory zero = abi.encodeWithSelector(MarketLog.ZeroHash.selector);
        refused(trainer, zero, address(market), abi.encodeCall(market.propose, (WHITE_PAPER, 0, terms())));
        refused(trainer, zero, address(market), abi.encodeCall(market.propose, (0, PLAN, terms())));
        equal("plan", uint256(market.model(propose(terms())).planHash), uint256(PLAN));
    }

    function _badTerms(Market.Terms memory t, bytes memory reason) private {
        refused(trainer, reason, address(market), abi.encodeCall(market.propose, (WHITE_PAPER, PLAN, t)));
    }

    function test_tokens_with_a_fee_are_refused() public {
        FeeToken fee = new FeeToken();
        _useToken(fee);
        fee.transfer(trainer, 1e12);
        vm.startPrank(trainer);
        fee.approve(address(market), type(uint256).max);
        vm.stopPrank();
        refused(
            trainer,
            abi.encodeWithSelector(Purse.ShortTransfer.selector, 20e6, 20e6 - 1),
            address(market),
            abi.encodeCall(market.propose, (WHITE_PAPER, PLAN, terms()))
        );
    }

    function test_a_token_cannot_call_back_in() public {
        HookToken hook = new HookToken();
        _useToken(hook);
        hook.transfer(trainer, 1e12);
        hook.arm(market);
        vm.startPrank(trainer);
        hook.approve(address(market), type(uint256).max);
        vm.stopPrank();
        refused(
            trainer,
            abi.encodeWithSignature("ReentrancyGuardReentrantCall()"),
            address(market),
            abi.encodeCall(market.propose, (WHITE_PAPER, PLAN, terms()))
        );
    }

    function _useToken(ERC20 other) private {
        address manager = market.authority();
        market = newMarket(manager, address(other));
        market.setRounds(rounds);
    }

    function test_only_the_manager_sets_rounds_and_once() public {
        refused(
            stranger,
            abi.encodeWithSignature("AccessManagedUnauthorized(address)", stranger),
            address(market),
            abi.encodeCall(market.setRounds, (IRounds(stranger)))
        );
        refused(
            address(this),
            abi.encodeWithSelector(MarketLog.RoundsAlreadySet.selector, address(rounds)),
            address(market),
            abi.encodeCall(market.setRounds, (IRounds(stranger)))
        );
    }

    /// Any price, any split, any weights: never more is owed than was taken, and rounding leaves little.
    function testFuzz_shares_never_exceed_the_price(
        uint96 price,
        uint16 donorsBps,
        uint16 trainerBps,
        uint32 w1,
        uint32 w2
    ) public {
        Market.Terms memory t = terms();
        t.queryPrice = price;
        t.donorsBps = donorsBps % 10_001;
        t.trainerBps = trainerBps % (10_001 - t.donorsBps);
        t.runnerBps = 10_000 - t.donorsBps - t.trainerBps;
        fund(user, price);
        uint256 modelId = propose(t);
        donate(modelId, 1, w1 == 0 ? 1 : w1);
        donate(modelId, 2, w2 == 0 ? 1 : w2);
        trainAndServe(modelId, 2);
        settle(modelId, buy(modelId, "a"));
        uint256 due =
            market.owed(trainer) + market.owed(runner) + market.owedDonor(modelId, 1) + market.owedDonor(modelId, 2);
        atMost("due", due, market.obligations());
        atMost("dust", market.obligations() - due, 2);
        balanced();
    }
}

/// Keeps one unit of every transfer.
contract FeeToken is ERC20 {
    constructor() ERC20("fee", "FEE") {
        _mint(msg.sender, 1e18);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (from != address(0)) super._update(to, address(0xdead), 1);
    }
}

/// Calls the market back during a transfer to it.
contract HookToken is ERC20 {
    Market private _market;

    constructor() ERC20("hook", "HOOK") {
        _mint(msg.sender, 1e18);
    }

    function arm(Market market) external {
        _market = market;
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (address(_market) != address(0) && to == address(_market)) _market.claim();
    }
}
