// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "./Base.sol";
import {Tree} from "./Epochs.t.sol";
import {Epochs} from "../src/Epochs.sol";
import {Market} from "../src/Market.sol";
import {Rounds} from "../src/Rounds.sol";

/// A token which does what some tokens do: it answers nothing or "no", refuses accounts, keeps a part of what it moves,
/// and calls others while it moves money.
contract OddToken {
    enum Answer {
        Yes,
        Nothing,
        No
    }

    Answer public answer;
    uint256 public fee;
    mapping(address account => uint256) public balanceOf;
    mapping(address owner => mapping(address spender => uint256)) public allowance;
    mapping(address account => bool) public blocked;
    address public target;
    bytes[] public calls;
    bytes[] public answers;
    bool private _inside;

    error Blocked(address account);

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function setAnswer(Answer a) external {
        answer = a;
    }

    function setFee(uint256 f) external {
        fee = f;
    }

    function block_(address account, bool yes) external {
        blocked[account] = yes;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    /// From now on each transfer tries all of these; `answers` are the errors, empty for what was not refused.
    function arm(address target_, bytes[] calldata calls_) external {
        target = target_;
        delete answers;
        delete calls;
        for (uint256 i = 0; i < calls_.length; ++i) {
            calls.push(calls_[i]);
        }
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
    }

    // Answers for the function that called it.
    function _move(address from, address to, uint256 amount) private {
        if (blocked[from]) revert Blocked(from);
        if (blocked[to]) revert Blocked(to);
        if (answer != Answer.No) {
            balanceOf[from] -= amount;
            balanceOf[to] += amount - fee;
        }
        if (!_inside) {
            _inside = true;
            for (uint256 i = 0; i < calls.length; ++i) {
                (bool ok, bytes memory error_) = target.call(calls[i]);
                answers.push(ok ? bytes("") : error_);
            }
            _inside = false;
        }
        Answer a = answer;
        assembly {
            mstore(0, iszero(eq(a, 2)))
            return(0, mul(32, iszero(eq(a, 1))))
        }
    }
}

/// The money is any ERC-20, so it may be an odd one.
contract TokensTest is Base {
    bytes private constant REENTRANT = abi.encodeWithSignature("ReentrancyGuardReentrantCall()");

    OddToken private _odd;
    Epochs private _pool;
    address private _keeper = vm.addr(8);
    address private _treasury = vm.addr(20);

    function setUp() public override {
        super.setUp();
        _odd = new OddToken();
        market = newMarket(market.authority(), address(_odd));
        rounds = newRounds(market);
        market.setRounds(rounds);
        market.setFee(1_000, _treasury);
        _pool = newPool(address(_odd), _keeper, 1 days, SILENCE);
        address[2] memory payers = [trainer, user];
        for (uint256 i = 0; i < 2; ++i) {
            _odd.mint(payers[i], 1e12);
            vm.startPrank(payers[i]);
            _odd.approve(address(market), type(uint256).max);
            vm.stopPrank();
        }
    }

    function failed() private view returns (bytes memory) {
        return abi.encodeWithSignature("SafeERC20FailedOperation(address)", address(_odd));
    }

    function blocked(address account) private pure returns (bytes memory) {
        return abi.encodeWithSelector(OddToken.Blocked.selector, account);
    }

    function claimAll(uint256 modelId) private {
        market.claimDonor(modelId, 1);
        market.claimDonor(modelId, 2);
        market.collectFees(modelId);
        vm.startPrank(trainer);
        market.claim();
        vm.stopPrank();
        vm.startPrank(runner);
        market.claim();
        vm.stopPrank();
        equal("owes nothing", market.obligations(), 0);
        equal("has nothing", _odd.balanceOf(address(market)), 0);
    }

    /// Two accounts; the second one is due twice as much. In use at once.
    function list(uint256 unit) private returns (bytes32[] memory leaves) {
        leaves = new bytes32[](2);
        leaves[0] = Tree.leaf(payeeOf(1), unit);
        leaves[1] = Tree.leaf(payeeOf(2), 2 * unit);
        (bytes32 root,) = Tree.build(leaves, 0);
        vm.startPrank(_keeper);
        _pool.propose(root, "list", 3 * unit);
        vm.stopPrank();
        vm.warp(this.timeNow() + 1 days);
    }

    function claimCall(bytes32[] memory leaves, uint256 i, uint256 due) private view returns (bytes memory) {
        (, bytes32[] memory proof) = Tree.build(leaves, i);
        return abi.encodeCall(_pool.claim, (payeeOf(i + 1), due, proof));
    }

    function paid(bytes32[] memory leaves, uint256 i, uint256 due) private {
        (bool ok,) = address(_pool).call(claimCall(leaves, i, due));
        if (!ok) revert("claim");
    }

    function test_a_token_that_answers_nothing_is_money() public {
        _odd.setAnswer(OddToken.Answer.Nothing);
        uint256 modelId = served();
        bytes32 queryId = buy(modelId, "a");
        settle(modelId, buy(modelId, "b"));
        vm.warp(this.timeNow() + 2 hours);
        market.refund(queryId);
        equal("user", _odd.balanceOf(user), 1e12 - 10e6);
        claimAll(modelId);
        _odd.mint(address(_pool), 3e6);
        bytes32[] memory leaves = list(1e6);
        paid(leaves, 0, 1e6);
        paid(leaves, 1, 2e6);
        equal("pool", _odd.balanceOf(address(_pool)), 0);
    }

    /// A "no" is an error wherever money moves, and nothing is taken for paid.
    function test_a_token_that_answers_no_changes_nothing() public {
        uint256 modelId = served();
        settle(modelId, buy(modelId, "a"));
        bytes32 unanswered = buy(modelId, "b");
        _odd.mint(address(_pool), 3e6);
        bytes32[] memory leaves = list(1e6);
        uint256 owed = market.owedDonor(modelId, 1);
        uint256 obligations = market.obligations();
        uint256 rest = market.owed(trainer);
        _odd.setAnswer(OddToken.Answer.No);
        address target = address(market);
        refused(trainer, failed(), target, abi.encodeCall(market.propose, (WHITE_PAPER, PLAN, terms())));
        refused(trainer, failed(), target, abi.encodeCall(market.claim, ()));
        refused(stranger, failed(), target, abi.encodeCall(market.claimDonor, (modelId, 1)));
        refused(stranger, failed(), target, abi.encodeCall(market.refund, (unanswered)));
        refused(stranger, failed(), target, abi.encodeCall(market.collectFees, (modelId)));
        refused(stranger, failed(), address(_pool), claimCall(leaves, 0, 1e6));
        equal("donor", market.owedDonor(modelId, 1), owed);
        equal("trainer", market.owed(trainer), rest);
        equal("obligations", market.obligations(), obligations);
        equal("pool", _pool.paid(payeeOf(1)), 0);
        _odd.setAnswer(OddToken.Answer.Yes);
        market.refund(unanswered);
        claimAll(modelId);
        paid(leaves, 0, 1e6);
    }

    /// A token that begins to keep a part: nothing more comes in, and what is here goes out; the token's part is the
    /// loss of whoever receives, of nobody else.
    function test_a_token_that_begins_to_take_a_fee_hurts_nobody_else() public {
        uint256 modelId = served();
        settle(modelId, buy(modelId, "a"));
        _odd.mint(address(_pool), 3e6);
        bytes32[] memory leaves = list(1e6);
        _odd.setFee(1);
        refused(
            user,
            abi.encodeWithSignature("ShortTransfer(uint256,uint256)", 10e6, 10e6 - 1),
            address(market),
            abi.encodeCall(market.buy, (modelId, "b", vm.addr(QUERY_KEY)))
        );
        claimAll(modelId);
        equal("donor 1", _odd.balanceOf(payeeOf(1)), 5e6 + 1.35e6 - 1);
        paid(leaves, 0, 1e6);
        paid(leaves, 1, 2e6);
        equal("pool", _odd.balanceOf(address(_pool)), 0);
        equal("counted as paid", _pool.paid(payeeOf(2)), 2e6);
    }

    /// One account which the token refuses: the others are paid, and its money waits.
    function test_a_blocked_account_stops_nobody_and_loses_nothing() public {
        uint256 modelId = served();
        settle(modelId, buy(modelId, "a"));
        bytes32 unanswered = buy(modelId, "b");
        _odd.mint(address(_pool), 3e6);
        bytes32[] memory leaves = list(1e6);
        _odd.block_(payeeOf(1), true);
        _odd.block_(runner, true);
        _odd.block_(user, true);
        _odd.block_(_treasury, true);
        address target = address(market);
        uint16[] memory both = new uint16[](2);
        both[0] = 1;
        both[1] = 2;
        refused(stranger, blocked(payeeOf(1)), target, abi.encodeCall(market.claimDonor, (modelId, 1)));
        refused(stranger, blocked(payeeOf(1)), target, abi.encodeCall(market.claimDonors, (modelId, both)));
        refused(runner, blocked(runner), target, abi.encodeCall(market.claim, ()));
        refused(stranger, blocked(user), target, abi.encodeCall(market.refund, (unanswered)));
        refused(stranger, blocked(_treasury), target, abi.encodeCall(market.collectFees, (modelId)));
        refused(stranger, blocked(payeeOf(1)), address(_pool), claimCall(leaves, 0, 1e6));
        market.claimDonor(modelId, 2);
        equal("donor 2", _odd.balanceOf(payeeOf(2)), 5e6 + 4.05e6);
        vm.startPrank(trainer);
        market.claim();
        vm.stopPrank();
        paid(leaves, 1, 2e6);
        equal("waits", market.owedDonor(modelId, 1), 5e6 + 1.35e6);
        equal("runner waits", market.owed(runner), 0.9e6);
        // The members name another treasury; the others are let in again.
        market.setFee(0, stranger);
        market.collectFees(modelId);
        equal("treasury", _odd.balanceOf(stranger), 1e6);
        _odd.block_(payeeOf(1), false);
        _odd.block_(runner, false);
        _odd.block_(user, false);
        market.refund(unanswered);
        equal("both", market.claimDonors(modelId, both), 5e6 + 1.35e6);
        vm.startPrank(runner);
        market.claim();
        vm.stopPrank();
        paid(leaves, 0, 1e6);
        equal("market", _odd.balanceOf(target) + market.obligations(), 0);
        equal("pool", _odd.balanceOf(address(_pool)), 0);
    }

    /// A token which calls back while money comes in, and while it goes out: into every function that moves money, and
    /// into settling, which moves none and so may happen then as well as at any other time.
    function test_a_token_that_calls_back_gets_nothing() public {
        uint256 modelId = served();
        settle(modelId, buy(modelId, "a"));
        bytes32 queryId = buy(modelId, "b");
        bytes32 late = buy(modelId, "c");
        uint256 held = _odd.balanceOf(address(market));
        bytes[] memory calls = new bytes[](8);
        calls[0] = abi.encodeCall(market.claim, ());
        calls[1] = abi.encodeCall(market.claimDonor, (modelId, 1));
        calls[2] = abi.encodeCall(market.claimDonor, (modelId, 2));
        calls[3] = abi.encodeCall(market.claimDonors, (modelId, new uint16[](1)));
        calls[4] = abi.encodeCall(market.collectFees, (modelId));
        calls[5] = abi.encodeCall(market.refund, (late));
        calls[6] = abi.encodeCall(market.buy, (modelId, "own", vm.addr(QUERY_KEY)));
        calls[7] = abi.encodeCall(market.propose, (WHITE_PAPER, PLAN, terms()));
        // Out.
        _odd.arm(address(market), calls);
        market.claimDonor(modelId, 1);
        _reentered(8);
        equal("once", _odd.balanceOf(payeeOf(1)), 5e6 + 1.35e6);
        equal("held", _odd.balanceOf(address(market)), held - 5e6 - 1.35e6);
        equal("owed", market.obligations(), held - 5e6 - 1.35e6);
        // In.
        _odd.arm(address(market), calls);
        buy(modelId, "d");
        _reentered(8);
        // Settling another query during a sale: counted once, like at any other time.
        bytes[] memory settling = new bytes[](1);
        settling[0] =
            abi.encodeCall(market.settle, (queryId, "job", "output", ANSWER, signQuery(QUERY_KEY, queryId, modelId)));
        _odd.arm(address(market), settling);
        bytes32 last = buy(modelId, "e");
        equal("settled", market.model(modelId).settled, 2);
        equal("balance", _odd.balanceOf(address(market)), market.obligations());
        _odd.arm(address(market), new bytes[](0));
        vm.warp(this.timeNow() + 2 hours);
        market.refund(late);
        market.refund(last);
        market.refund(market.queryIdOf(user, keccak256(abi.encode(bytes32("d")))));
        claimAll(modelId);
    }

    function _reentered(uint256 n) private view {
        for (uint256 i = 0; i < n; ++i) {
            if (keccak256(_odd.answers(i)) != keccak256(REENTRANT)) {
                revert RefusedOtherwise(_odd.answers(i), REENTRANT);
            }
        }
    }

    function test_a_token_that_calls_a_pool_back_gets_nothing() public {
        _odd.mint(address(_pool), 6e6);
        bytes32[] memory leaves = list(1e6);
        bytes[] memory calls = new bytes[](4);
        calls[0] = claimCall(leaves, 0, 1e6);
        calls[1] = claimCall(leaves, 1, 2e6);
        calls[2] = abi.encodeCall(_pool.propose, ("root", "list", 6e6));
        calls[3] = abi.encodeCall(_pool.veto, (1, "report"));
        _odd.arm(address(_pool), calls);
        paid(leaves, 0, 1e6);
        _reentered(4);
        equal("once", _odd.balanceOf(payeeOf(1)), 1e6);
        equal("pool", _odd.balanceOf(address(_pool)), 5e6);
    }

    /// A token without decimals: a query for one unit. Nobody is paid a part of it, and no unit is lost.
    function test_a_token_without_decimals_is_shared_out_to_the_unit() public {
        Market.Terms memory t = terms();
        t.instantPayment = 1;
        t.queryPrice = 1;
        t.maxDonors = 2;
        uint256 modelId = propose(t);
        donate(modelId, 1, 1);
        donate(modelId, 2, 3);
        trainAndServe(modelId, 2);
        // What is less than a unit belongs to the donors, here all of it.
        for (uint256 i = 1; i <= 3; ++i) {
            settle(modelId, buy(modelId, bytes32(i)));
        }
        equal("runner", market.owed(runner), 0);
        equal("fees", market.feesOf(modelId), 0);
        equal("a quarter of three", market.claimDonor(modelId, 1), 1);
        equal("three quarters of three", market.claimDonor(modelId, 2), 1 + 2);
        settle(modelId, buy(modelId, bytes32(uint256(4))));
        equal("a quarter of four", market.claimDonor(modelId, 1), 1);
        equal("three quarters of four", market.claimDonor(modelId, 2), 1);
        equal("nothing left", market.obligations(), 0);
        _odd.mint(address(_pool), 3);
        bytes32[] memory leaves = list(1);
        paid(leaves, 0, 1);
        paid(leaves, 1, 2);
        equal("pool", _odd.balanceOf(address(_pool)), 0);
    }
}
