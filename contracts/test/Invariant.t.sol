// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Hosting} from "./Hosting.sol";
import {RoundStatus} from "../src/IRounds.sol";
import {Market} from "../src/Market.sol";
import {QueryState, State} from "../src/MarketTypes.sol";
import {HostedTraining} from "../src/Receipts.sol";

/// Random users of three models: they buy, settle, let time pass, ask for refunds, claim, open and abort others, bring data to
/// one enclave and take it back, and somebody pauses now and then. The third model was made in one enclave.
contract Handler is Hosting {
    uint256 public constant MODELS = 3;

    uint256[3] public modelIds;
    bytes32[] public queries;
    uint256[] public modelOf;
    uint256 public refusals;
    mapping(uint256 modelId => uint256) public receipts;
    uint256 public soldWhilePaused;
    uint256[] public recruiting;
    uint256[] public aborted;
    // Brought to one enclave, of four donors each, wherever they stand: one can be taken off twice, were that possible.
    uint256[] public hosted;
    address[2] public treasuries = [vm.addr(20), vm.addr(21)];
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
        market.setFee(333, treasuries[0]);
        modelIds[1] = propose(t);
        donate(modelIds[1], 3, 7);
        donate(modelIds[1], 4, 11);
        donate(modelIds[1], 5, type(uint32).max);
        trainAndServe(modelIds[1], 3);
        // Made in one enclave, of the data of two of three, with the same fee.
        t.colluders = 0;
        modelIds[2] = proposeHosted(t);
        for (uint16 d = 1; d <= 3; ++d) {
            donateToHost(modelIds[2], 5 + d, d);
        }
        startHosted(modelIds[2]);
        takesBack(modelIds[2], 7, 2);
        finishHosted(modelIds[2], one(2));
        vm.startPrank(trainer);
        market.serve(modelIds[2], vm.addr(QUERY_KEY));
        vm.stopPrank();
    }

    function obligations() external view returns (uint256) {
        return market.obligations();
    }

    function balance() external view returns (uint256) {
        return token.balanceOf(address(market));
    }

    /// What everybody could ask for now, now or after the deadline.
    function due() external view returns (uint256 sum) {
        sum = market.owed(trainer) + market.owed(runner);
        for (uint256 i = 0; i < recruiting.length; ++i) {
            Market.Terms memory t = market.model(recruiting[i]).terms;
            sum += uint256(t.instantPayment) * t.maxDonors;
        }
        for (uint256 i = 0; i < aborted.length; ++i) {
            for (uint16 d = 1; d <= 3; ++d) {
                sum += market.owedDonor(aborted[i], d);
            }
        }
        for (uint256 i = 0; i < hosted.length; ++i) {
            Market.ModelInfo memory m = market.model(hosted[i]);
            if (m.state == State.Recruiting || m.state == State.Training) {
                sum += uint256(m.terms.instantPayment) * m.terms.maxDonors;
            }
            for (uint16 d = 1; d <= 4; ++d) {
                sum += market.owedDonor(hosted[i], d);
            }
        }
        for (uint256 i = 0; i < MODELS; ++i) {
            Market.ModelInfo memory m = market.model(modelIds[i]);
            sum += market.feesOf(modelIds[i]);
            for (uint16 d = 1; d <= m.donors; ++d) {
                sum += market.owedDonor(modelIds[i], d);
            }
        }
        for (uint256 i = 0; i < queries.length; ++i) {
            if (market.query(queries[i]).state == QueryState.Funded) {
                sum += market.model(modelOf[i]).terms.queryPrice;
            }
        }
    }

    /// Settled queries of a model, and how many receipts there were for it.
    function settled(uint256 which) external view returns (uint256, uint256) {
        return (market.model(modelIds[which]).settled, receipts[modelIds[which]]);
    }

    function buyOne(uint256 which) external {
        uint256 modelId = modelIds[which % MODELS];
        vm.startPrank(user);
        try market.buy(modelId, keccak256(abi.encode(queries.length)), vm.addr(QUERY_KEY)) returns (bytes32 queryId) {
            modelOf.push(modelId);
            queries.push(queryId);
            if (market.paused()) ++soldWhilePaused;
        } catch {
            ++refusals;
        }
        vm.stopPrank();
    }

    function settleOne(uint256 which) external {
        if (queries.length == 0) return;
        which %= queries.length;
        bytes32 queryId = queries[which];
        bytes memory receipt = signQuery(QUERY_KEY, queryId, modelOf[which]);
        try market.settle(queryId, "job", "output", ANSWER, receipt) {
            ++receipts[modelOf[which]];
        } catch {
            ++refusals;
        }
    }

    /// By a key that does not serve, for another query, or for another model.
    function settleForged(uint256 which, uint256 how) external {
        if (queries.length == 0) return;
        which %= queries.length;
        bytes memory receipt = how % 3 == 0
            ? signQuery(TRAINING_KEY, queries[which], modelOf[which])
            : how % 3 == 1
                ? signQuery(QUERY_KEY, keccak256(abi.encode(queries[which])), modelOf[which])
                : signQuery(QUERY_KEY, queries[which], modelOf[which] + 1);
        try market.settle(queries[which], "job", "output", ANSWER, receipt) {}
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
        uint256 modelId = modelIds[which % MODELS];
        if (which % 4 == 2 && aborted.length > 0) modelId = aborted[which % aborted.length];
        if (which % 4 == 3 && hosted.length > 0) modelId = hosted[which % hosted.length];
        try market.claimDonor(modelId, index % 4) {}
        catch {
            ++refusals;
        }
    }

    /// Several donors at once, some of them twice, and some of them owed nothing.
    function claimMany(uint256 which) external {
        uint16[] memory indices = new uint16[](3);
        for (uint256 i = 0; i < 3; ++i) {
            indices[i] = uint16(1 + (which >> (8 * i)) % 2);
        }
        uint256 modelId = modelIds[which % MODELS];
        uint256 before = token.balanceOf(address(market));
        uint256 sum = market.claimDonors(modelId, indices);
        equal("paid", before - token.balanceOf(address(market)), sum);
    }

    function collectOne(uint256 which) external {
        try market.collectFees(modelIds[which % MODELS]) {}
        catch {
            ++refusals;
        }
    }

    /// A vote on the fee changes nothing for the models that are there.
    function changeFee(uint16 bps, uint256 who) external {
        market.setFee(bps % 1_001, treasuries[who % 2]);
    }

    function feeOf(uint256 i) external view returns (uint16) {
        return market.model(modelIds[i]).feeBps;
    }

    function togglePause() external {
        if (market.paused()) market.unpause();
        else market.pause();
    }

    /// A trainer who gives up after a round, before or after its sum is open; one donor was named or left, or not.
    function trainAndAbort(bool opened, uint8 how, uint96 instant) external {
        if (market.paused() || aborted.length == 6) return;
        Market.Terms memory t = terms();
        t.instantPayment = instant % 1_000;
        uint256 modelId = propose(t);
        aborted.push(modelId);
        for (uint256 n = 1; n <= 2; ++n) {
            donateAgain(modelId, n);
        }
        uint256 fresh = 100 + aborted.length;
        donate(modelId, fresh, 1);
        start(modelId);
        uint32 round = open(modelId);
        for (uint16 d = 1; d <= 3; ++d) {
            anchor(modelId, round, d);
        }
        close(modelId, round);
        if (how % 4 == 1) blame(modelId, round, 3, 1);
        if (how % 4 == 2) {
            withdrawDataset(fresh);
            market.endUse(modelId, 3);
        }
        if (how % 4 == 3) {
            blame(modelId, round, 3, 1);
            blame(modelId, round, 2, 2);
        }
        if (opened && rounds.roundInfo(modelId, round).status == RoundStatus.Closed) posts(modelId, round, QUORUM);
        vm.startPrank(trainer);
        market.abortTraining(modelId);
        vm.stopPrank();
    }

    function proposeHostedOne(uint96 instant) external {
        if (market.paused() || hosted.length == 6) return;
        Market.Terms memory t = hostedTerms();
        t.instantPayment = instant % 1_000;
        uint256 modelId = proposeHosted(t);
        hosted.push(modelId);
        for (uint16 d = 1; d <= 4; ++d) {
            donateToHost(modelId, _number(modelId, d), d);
        }
    }

    /// A donor leaves, or is refused while the model recruits, in whatever state it is.
    function leaveHosted(uint256 which, uint16 index, bool refuses) external {
        if (hosted.length == 0) return;
        uint256 modelId = hosted[which % hosted.length];
        index = 1 + index % 4;
        uint256 n = _number(modelId, index);
        bytes32 id = datasets.idOf(vm.addr(10_000 + n), rootOf(n));
        if (refuses) {
            vm.startPrank(trainer);
            try market.refuseDonor(modelId, index, id) {}
            catch {
                ++refusals;
            }
            vm.stopPrank();
            return;
        }
        if (!datasets.dataset(id).withdrawn) withdrawDataset(n);
        try market.endUse(modelId, index) {}
        catch {
            ++refusals;
        }
    }

    function startHostedOne(uint256 which) external {
        if (hosted.length == 0) return;
        vm.startPrank(trainer);
        try market.startTraining(hosted[which % hosted.length], new address[](0), new bytes32[](0)) {}
        catch {
            ++refusals;
        }
        vm.stopPrank();
    }

    /// The enclave names any of the donors, and the market takes only what can be. Starts a training that has not, so that
    /// many come to their end.
    function finishHostedOne(uint256 which, uint8 unused, bool names) external {
        if (hosted.length == 0) return;
        uint256 modelId = hosted[which % hosted.length];
        uint16[] memory list = names ? one(1 + uint16(unused % 4)) : nobody;
        HostedTraining memory t = said(modelId, list);
        bytes memory signature = signHosted(hostKey(), t);
        vm.startPrank(trainer);
        try market.startTraining(modelId, new address[](0), new bytes32[](0)) {}
        catch {
            ++refusals;
        }
        try market.finishHosted(t, signature) {}
        catch {
            ++refusals;
        }
        vm.stopPrank();
    }

    function abortHosted(uint256 which) external {
        // Seldom, so that most of them come to an end.
        if (hosted.length == 0 || which % 3 != 0) return;
        vm.startPrank(trainer);
        try market.abortTraining(hosted[which / 3 % hosted.length]) {}
        catch {
            ++refusals;
        }
        vm.stopPrank();
    }

    // Of the dataset of this donor of a model made in one enclave.
    function _number(uint256 modelId, uint16 index) private pure returns (uint256) {
        return 1_000 + 4 * modelId + index;
    }

    /// Paused for good, everybody takes what is theirs: all of it must be there, and nothing may be left but dust.
    function windUp() external {
        if (!market.paused()) market.pause();
        _now += 2 hours;
        vm.warp(_now);
        for (uint256 i = 0; i < queries.length; ++i) {
            if (market.query(queries[i]).state == QueryState.Funded) market.refund(queries[i]);
        }
        for (uint256 i = 0; i < MODELS; ++i) {
            _claimAll(modelIds[i]);
            if (market.feesOf(modelIds[i]) != 0) market.collectFees(modelIds[i]);
        }
        for (uint256 i = 0; i < aborted.length; ++i) {
            _claimAll(aborted[i]);
        }
        for (uint256 i = 0; i < hosted.length; ++i) {
            _claimAll(hosted[i]);
        }
        vm.startPrank(trainer);
        for (uint256 i = 0; i < recruiting.length; ++i) {
            market.abortTraining(recruiting[i]);
        }
        for (uint256 i = 0; i < hosted.length; ++i) {
            State state = market.model(hosted[i]).state;
            if (state == State.Recruiting || state == State.Training) market.abortTraining(hosted[i]);
        }
        if (market.owed(trainer) != 0) market.claim();
        vm.stopPrank();
        vm.startPrank(runner);
        if (market.owed(runner) != 0) market.claim();
        vm.stopPrank();
    }

    function _claimAll(uint256 modelId) private {
        uint16 donors = market.model(modelId).donors;
        for (uint16 d = 1; d <= donors; ++d) {
            if (market.owedDonor(modelId, d) != 0) market.claimDonor(modelId, d);
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
        if (market.paused()) return;
        Market.Terms memory t = terms();
        t.instantPayment = 3;
        uint256 modelId = propose(t);
        if (!abort) {
            recruiting.push(modelId);
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
        bytes4[] memory s = new bytes4[](18);
        s[0] = Handler.buyOne.selector;
        s[1] = Handler.settleOne.selector;
        s[2] = Handler.refundOne.selector;
        s[3] = Handler.passTime.selector;
        s[4] = Handler.claimOne.selector;
        s[5] = Handler.claimAccount.selector;
        s[6] = Handler.proposeAndAbort.selector;
        s[7] = Handler.togglePause.selector;
        s[8] = Handler.trainAndAbort.selector;
        s[9] = Handler.claimMany.selector;
        s[10] = Handler.collectOne.selector;
        s[11] = Handler.changeFee.selector;
        s[12] = Handler.settleForged.selector;
        s[13] = Handler.proposeHostedOne.selector;
        s[14] = Handler.leaveHosted.selector;
        s[15] = Handler.startHostedOne.selector;
        s[16] = Handler.finishHostedOne.selector;
        s[17] = Handler.abortHosted.selector;
        targets[0] = FuzzSelector(address(_handler), s);
    }

    /// The contract holds what it owes, to the unit.
    function invariant_balance_is_obligations() external view {
        uint256 held = _handler.balance();
        uint256 owes = _handler.obligations();
        if (held != owes) revert Broken("balance", held, owes);
    }

    /// Everybody's earnings are counted in settled queries, and each of them had the receipt of the enclave that served.
    function invariant_no_payout_without_receipt() external view {
        for (uint256 i = 0; i < 3; ++i) {
            (uint256 settled, uint256 receipts) = _handler.settled(i);
            if (settled != receipts) revert Broken("settled", settled, receipts);
        }
    }

    function invariant_terms_never_change() external view {
        if (_handler.feeOf(0) != 0 || _handler.feeOf(1) != 333 || _handler.feeOf(2) != 333) {
            revert Broken("fee", _handler.feeOf(0), _handler.feeOf(1));
        }
    }

    function invariant_a_pause_sells_nothing() external view {
        if (_handler.soldWhilePaused() != 0) revert Broken("sold while paused", _handler.soldWhilePaused(), 0);
    }

    /// After each run, with the market paused for good: nothing is stuck.
    function afterInvariant() external {
        _handler.windUp();
        uint256 owes = _handler.obligations();
        if (owes > 7 || _handler.balance() != owes) revert Broken("left", _handler.balance(), owes);
    }

    /// Everybody can be paid, and rounding keeps less than one unit per donor.
    function invariant_everybody_can_be_paid() external view {
        uint256 due = _handler.due();
        uint256 owes = _handler.obligations();
        if (due > owes || owes - due > 7) revert Broken("due", due, owes);
    }
}
