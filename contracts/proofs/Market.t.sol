// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Datasets} from "../src/Datasets.sol";
import {Enclaves} from "../src/Enclaves.sol";
import {IRounds, RoundStatus} from "../src/IRounds.sol";
import {Market} from "../src/Market.sol";
import {Members} from "../src/Members.sol";
import {HostedTraining} from "../src/Receipts.sol";
import {TestToken} from "../src/TestToken.sol";
import {Prover} from "./Prover.sol";

/// Stands for the access manager, the registers and the rounds: everybody is a member, everything is usable, every
/// program audited. They refuse nothing, so that the market alone has to keep the money safe.
contract SayYes {
    address public constant RUNNER = address(0x2002);
    uint32 public constant count = 0;

    uint32 private _opened;

    function setProgress(uint32 opened) external {
        _opened = opened;
    }

    /// The committee names a donor.
    function exclude(Market market, uint256 modelId, uint16 donorIndex) external returns (bool) {
        return market.excludeDonor(modelId, donorIndex);
    }

    function fixCommittee(uint256, address[] calldata, bytes32[] calldata, uint8, uint16) external pure {}

    function canCall(address, address, bytes4) external pure returns (bool, uint32) {
        return (true, 0);
    }

    function requireRole(address, uint8) external pure {}

    /// The id of a dataset names its owner; the running number is 1 for the first and 2 for the second donor. The first
    /// one has weight 1, the second one 5.
    function requireUsable(bytes32 id) external pure returns (address, uint32, uint32, bytes32) {
        uint32 number = uint8(uint256(id));
        return (address(uint160(uint256(id) >> 8)), number, number == 1 ? 1 : 5, "root");
    }

    function requireLive(address signer, uint8) external pure returns (address, uint32) {
        return (RUNNER, uint32(uint160(signer)));
    }

    address private _host;

    function setHost(address enclave) external {
        _host = enclave;
    }

    function signerOf(uint32) external view returns (address) {
        return _host;
    }

    function requireRunning(address signer, uint8) external pure returns (uint32) {
        return uint32(uint160(signer));
    }

    /// The third dataset was taken back.
    function isWithdrawn(uint32 number) external pure returns (bool) {
        return number == 3;
    }

    function dropDonor(uint256, uint16) external pure {}

    function outcome(uint256) external pure returns (uint32, RoundStatus, bytes32) {
        return (1, RoundStatus.Final, bytes32("model"));
    }

    function progress(uint256) external view returns (uint32, uint64) {
        return (_opened, 0);
    }
}

/// The market as it is deployed, and a token that moves what it is told to.
abstract contract MarketProver is Prover {
    address internal constant TRAINER = address(0x1001);
    address internal constant RUNNER = address(0x2002);
    address internal constant USER = address(0x3003);
    address internal constant TREASURY = address(0x7007);
    address internal constant ENCLAVE = address(0x4004);

    SayYes internal registers;
    TestToken internal token;
    Market internal market;

    function setUp() public virtual {
        vm.warp(1_000_000);
        registers = new SayYes();
        address yes = address(registers);
        token = new TestToken(address(this));
        market = new Market(yes, IERC20(address(token)), Members(yes), Datasets(yes), Enclaves(yes));
        market.setRounds(IRounds(yes));
        _fund(TRAINER);
        _fund(USER);
    }

    function _fund(address account) private {
        token.mint(account, 2 ** 200);
        vm.startPrank(account);
        token.approve(address(market), type(uint256).max);
        vm.stopPrank();
    }

    // The prover knows nothing about ecrecover but that it is a function, so both cases are looked at: the signature
    // is refused, which ends the path, or it is the enclave's.
    function _signature() internal pure returns (bytes memory signature) {
        signature = new bytes(65);
        signature[31] = 0x01;
        signature[63] = 0x01;
        signature[64] = 0x1b;
    }

    function _terms(uint96 price, uint16 trainerBps, uint16 runnerBps, uint96 instant)
        internal
        pure
        returns (Market.Terms memory)
    {
        vm.assume(uint256(trainerBps) + runnerBps <= 10_000);
        return Market.Terms({
            instantPayment: instant,
            queryPrice: price,
            donorsBps: 10_000 - trainerBps - runnerBps,
            trainerBps: trainerBps,
            runnerBps: runnerBps,
            minDonors: 2,
            maxDonors: 3,
            queryTimeout: 1 hours,
            minSurvivors: 2,
            colluders: 1
        });
    }

    function _propose(Market.Terms memory t) internal returns (uint256 modelId) {
        vm.startPrank(TRAINER);
        modelId = market.propose("white paper", "plan", t);
        vm.stopPrank();
    }

    function _payee(uint8 n) internal pure returns (address) {
        return address(uint160(0x5000) + n);
    }

    function _donate(uint256 modelId, uint8 n) internal {
        _bring(modelId, n, address(uint160(ENCLAVE) + n));
    }

    function _bring(uint256 modelId, uint8 n, address enclave) private {
        address owner = address(uint160(0x6000) + n);
        vm.startPrank(owner);
        bytes32 id = bytes32(uint256(uint160(owner)) << 8 | n);
        market.donate(modelId, id, _payee(n), "decision", enclave, _signature());
        vm.stopPrank();
    }

    function _start(uint256 modelId, bool named) internal {
        _donate(modelId, 1);
        _donate(modelId, 2);
        vm.startPrank(TRAINER);
        market.startTraining(modelId, new address[](0), new bytes32[](0));
        vm.stopPrank();
        if (named) assert(registers.exclude(market, modelId, 2));
    }

    /// Three donors bring their data to one enclave; the third one leaves before the start, or after it, or not.
    function _hosted(uint96 instant, bool early, bool leaves) internal returns (uint256 modelId) {
        Market.Terms memory t = _terms(0, 3_000, 1_000, instant);
        t.colluders = 0;
        modelId = _propose(t);
        registers.setHost(ENCLAVE);
        vm.startPrank(TRAINER);
        market.host(modelId, ENCLAVE);
        vm.stopPrank();
        for (uint8 n = 1; n <= 3; ++n) {
            _bring(modelId, n, ENCLAVE);
        }
        if (early) market.endUse(modelId, 3);
        vm.startPrank(TRAINER);
        market.startTraining(modelId, new address[](0), new bytes32[](0));
        vm.stopPrank();
        if (!early && leaves) market.endUse(modelId, 3);
    }

    function _finishHosted(uint256 modelId, uint16[] memory unused) internal {
        vm.startPrank(TRAINER);
        market.finishHosted(HostedTraining(modelId, "model", "statement", unused), _signature());
        vm.stopPrank();
    }

    function _serve(uint256 modelId) internal {
        vm.startPrank(TRAINER);
        market.finishTraining(modelId, "model");
        market.serve(modelId, ENCLAVE);
        vm.stopPrank();
    }

    /// Two donors, of whom the second one was named: the first one has all of the weight.
    function _sold(Market.Terms memory t) internal returns (uint256 modelId) {
        modelId = _propose(t);
        _start(modelId, true);
        _serve(modelId);
    }

    function _buy(uint256 modelId, bytes32 code) internal returns (bytes32 queryId) {
        vm.startPrank(USER);
        queryId = market.buy(modelId, code, ENCLAVE);
        vm.stopPrank();
    }

    function _settle(bytes32 queryId) internal {
        market.settle(queryId, "job", "output", "answer", _signature());
    }
}

/// Where the money of a model goes.
contract MarketProofs is MarketProver {
    /// An answer credits trainer, runner, donors and treasury with the price, to the unit; each can be paid.
    function check_settlement_credits_the_price(uint96 price, uint16 feeBps) public {
        vm.assume(feeBps <= 1_000);
        market.setFee(feeBps, TREASURY);
        uint256 modelId = _sold(_terms(price, 3_000, 1_000, 0));
        _settle(_buy(modelId, "code"));
        uint256 parts = market.owed(TRAINER) + market.owed(RUNNER) + market.owedDonor(modelId, 1);
        assert(market.owedDonor(modelId, 2) == 0);
        assert(parts + market.feesOf(modelId) == price);
        assert(market.obligations() == price);
    }

    /// Without an answer the price goes back, all of it, once, and not before the deadline.
    function check_refund_is_the_price(uint96 price, uint40 time) public {
        uint256 modelId = _sold(_terms(price, 3_000, 1_000, 0));
        uint256 before = token.balanceOf(USER);
        bytes32 queryId = _buy(modelId, "code");
        uint256 deadline = block.timestamp + 1 hours;
        vm.assume(time >= block.timestamp);
        vm.warp(time);
        try market.refund(queryId) {
            assert(time > deadline);
            assert(token.balanceOf(USER) == before);
            assert(market.obligations() == 0);
        } catch {
            assert(time <= deadline);
            assert(token.balanceOf(USER) == before - price);
        }
    }

    /// A donor is paid the donors' part and the instant payment, once.
    function check_a_donor_is_paid_once(uint96 price, uint96 instant) public {
        vm.assume(price >= 10 && instant != 0);
        uint256 modelId = _sold(_terms(price, 3_000, 1_000, instant));
        _settle(_buy(modelId, "code"));
        uint256 due = market.owedDonor(modelId, 1);
        assert(market.claimDonor(modelId, 1) == due);
        assert(token.balanceOf(_payee(1)) == due);
        assert(market.owedDonor(modelId, 1) == 0);
        assert(market.obligations() == market.owed(TRAINER) + market.owed(RUNNER));
        try market.claimDonor(modelId, 1) {
            assert(false);
        } catch {}
    }

    /// The deposit is the instant payments of the donors who came and were not named, and the rest, which is the
    /// trainer's: all of it when nothing was opened.
    function check_deposit_is_payments_and_rest(uint96 instant, bool abort, uint32 opened, bool named) public {
        uint256 modelId = _propose(_terms(0, 3_000, 1_000, instant));
        _start(modelId, named);
        uint256 deposit = market.obligations();
        assert(deposit == 3 * uint256(instant));
        if (abort) {
            registers.setProgress(opened);
            vm.startPrank(TRAINER);
            market.abortTraining(modelId);
            vm.stopPrank();
        } else {
            _serve(modelId);
        }
        bool owed = !abort || opened != 0;
        assert(market.owedDonor(modelId, 1) == (owed ? instant : 0));
        assert(market.owedDonor(modelId, 2) == (owed && !named ? instant : 0));
        uint256 due = market.owedDonor(modelId, 1) + market.owedDonor(modelId, 2);
        assert(market.owed(TRAINER) + due == deposit);
    }

    /// So it is where all data was brought to one enclave, whoever left, when it did, and whether it was used.
    function check_deposit_of_one_enclave(uint96 instant, bool early, bool leaves, bool used, bool abort) public {
        uint256 modelId = _hosted(instant, early, leaves);
        uint256 deposit = market.obligations();
        assert(deposit == 3 * uint256(instant));
        bool unused = !early && leaves && !used;
        if (abort) {
            vm.startPrank(TRAINER);
            market.abortTraining(modelId);
            vm.stopPrank();
        } else {
            uint16[] memory list = new uint16[](unused ? 1 : 0);
            if (unused) list[0] = 3;
            _finishHosted(modelId, list);
        }
        assert(market.owedDonor(modelId, 1) == (abort ? 0 : instant));
        assert(market.owedDonor(modelId, 2) == (abort ? 0 : instant));
        assert(market.owedDonor(modelId, 3) == (abort || early || unused ? 0 : instant));
        uint256 due = market.owedDonor(modelId, 1) + market.owedDonor(modelId, 2) + market.owedDonor(modelId, 3);
        assert(market.owed(TRAINER) + due == deposit);
    }

    /// An enclave takes nothing from a donor who has not left, whatever it signs.
    function check_one_enclave_excludes_nobody_who_stays(uint16 donorIndex) public {
        uint256 modelId = _hosted(1, false, true);
        vm.assume(donorIndex != 3);
        uint16[] memory list = new uint16[](1);
        list[0] = donorIndex;
        vm.startPrank(TRAINER);
        try market.finishHosted(HostedTraining(modelId, "model", "statement", list), _signature()) {
            assert(false);
        } catch {}
        vm.stopPrank();
    }

    /// Nobody but the contract with the rounds takes a place or a payment from a donor.
    function check_only_the_rounds_exclude(address caller, uint16 donorIndex) public {
        vm.assume(caller != address(registers));
        uint256 modelId = _propose(_terms(0, 3_000, 1_000, 1));
        _start(modelId, false);
        vm.startPrank(caller);
        (bool ok,) = address(market).call(abi.encodeCall(Market.excludeDonor, (modelId, donorIndex)));
        vm.stopPrank();
        assert(!ok);
    }
}
