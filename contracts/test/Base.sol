// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {Datasets} from "../src/Datasets.sol";
import {Enclaves} from "../src/Enclaves.sol";
import {Epochs} from "../src/Epochs.sol";
import {Market} from "../src/Market.sol";
import {Members, Roles} from "../src/Members.sol";
import {Kinds, Programs} from "../src/Programs.sol";
import {Rounds} from "../src/Rounds.sol";
import {TestToken} from "../src/TestToken.sol";

/// The few cheat codes that are used here.
interface Vm {
    function expectEmit(address emitter) external;

    struct Gas {
        uint64 gasLimit;
        uint64 gasTotalUsed;
        uint64 gasMemoryUsed;
        int64 gasRefunded;
        uint64 gasRemaining;
    }

    function addr(uint256 key) external pure returns (address);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function startPrank(address sender) external;
    function stopPrank() external;
    function warp(uint256 timestamp) external;
    function chainId(uint256 id) external;
    function expectRevert(bytes calldata data) external;
    function lastCallGas() external view returns (Gas memory);
    function signP256(uint256 key, bytes32 digest) external pure returns (bytes32 r, bytes32 s);
    function publicKeyP256(uint256 key) external pure returns (uint256 x, uint256 y);
    function deployCode(string calldata artifact, bytes calldata arguments) external returns (address);
    function snapshotValue(string calldata group, string calldata name, uint256 value) external;
}

/// Deploys everything and plays all parties; each helper is one step of a collaboration.
abstract contract Base {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint256 internal constant VALIDATION_KEY = 101;
    uint256 internal constant TRAINING_KEY = 102;
    uint256 internal constant QUERY_KEY = 103;
    uint256 internal constant STRANGER_KEY = 104;
    /// As long as a sealed probability: a key, a number and a tag.
    bytes internal constant ANSWER =
        hex"0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738";
    bytes32 internal constant WHITE_PAPER = keccak256("white paper");
    bytes32 internal constant PLAN = keccak256("plan");
    bytes32 internal constant DECISION = keccak256("decision");
    bytes32 internal constant MODEL_HASH = keccak256("model");
    bytes32 internal constant HEADER = keccak256("header");

    address internal trainer = vm.addr(1);
    address internal runner = vm.addr(2);
    address internal auditor = vm.addr(3);
    address internal author = vm.addr(4);
    address internal user = vm.addr(6);
    address internal stranger = vm.addr(7);

    TestToken internal token;
    Members internal members;
    Programs internal programs;
    Enclaves internal enclaves;
    Datasets internal datasets;
    Market internal market;
    Rounds internal rounds;
    // The committee, in ascending order; the first one for who needs any.
    address[] internal seats;
    address internal committee;
    // Seconds of silence of the keeper of a pool.
    uint32 internal constant SILENCE = 3 days;
    uint8 internal constant SEATS = 7;
    uint8 internal constant QUORUM = 6;
    // Keys of training enclaves, which are registered when they are needed.
    mapping(address enclave => uint256 key) internal keyOf;

    function setUp() public virtual {
        vm.warp(1_000_000);
        address manager = address(AccessManager(deploy("AccessManager", abi.encode(address(this)))));
        token = TestToken(deploy("TestToken", abi.encode(address(this))));
        members = Members(deploy("Members", abi.encode(manager)));
        programs = Programs(deploy("Programs", abi.encode(members)));
        enclaves = Enclaves(deploy("Enclaves", abi.encode(members, programs)));
        datasets = Datasets(deploy("Datasets", abi.encode(members, enclaves)));
        market = newMarket(manager, address(token));
        rounds = newRounds(market);
        market.setRounds(rounds);

        members.add(trainer, Roles.TRAINER, bytes32(uint256(1)), 0);
        members.add(runner, Roles.RUNNER, bytes32(uint256(2)), 0);
        members.add(auditor, Roles.AUDITOR, bytes32(uint256(3)), 0);
        members.add(author, Roles.TRAINER, bytes32(uint256(4)), 0);
        delete seats;
        for (uint256 i = 0; i < SEATS; ++i) {
            addSeat(300 + i);
        }
        committee = seats[0];
        fund(trainer, 1e12);
        fund(user, 1e12);
        for (uint8 kind = Kinds.VALIDATION; kind <= Kinds.QUERY; ++kind) {
            addProgram(kind);
            addEnclave(100 + kind, kind);
        }
        keyOf[vm.addr(TRAINING_KEY)] = TRAINING_KEY;
    }

    /// From what was compiled for itself: with `new` each contract of tests would contain all of these, compiled again. It
    /// has to be imported, so that it is compiled when a part of the tests is run.
    function deploy(string memory name, bytes memory arguments) internal returns (address) {
        return vm.deployCode(string.concat(name, ".sol:", name), arguments);
    }

    function newMarket(address manager, address money) internal returns (Market) {
        return Market(deploy("Market", abi.encode(manager, money, members, datasets, enclaves)));
    }

    function newRounds(Market of_) internal returns (Rounds) {
        return Rounds(deploy("Rounds", abi.encode(members, enclaves, of_)));
    }

    function newPool(address money, address keeper, uint32 window, uint32 silence) internal returns (Epochs) {
        return Epochs(deploy("Epochs", abi.encode(money, members, keeper, window, silence)));
    }

    /// A member with a proved key and a seat in the committees of later trainings.
    function addSeat(uint256 key) internal {
        address seat = vm.addr(key);
        members.add(seat, Roles.COMMITTEE, bytes32(key), 0);
        vm.startPrank(seat);
        members.proveSealKey(keccak256(abi.encode("seal", key)), "r", "s");
        vm.stopPrank();
        seats.push(seat);
        for (uint256 i = seats.length - 1; i > 0 && seats[i - 1] > seats[i]; --i) {
            (seats[i - 1], seats[i]) = (seats[i], seats[i - 1]);
        }
    }

    // ---------------------------------------------------------------- steps

    function fund(address account, uint256 amount) internal {
        token.mint(account, amount);
        vm.startPrank(account);
        token.approve(address(market), type(uint256).max);
        vm.stopPrank();
    }

    function measurementOf(uint8 kind) internal pure returns (bytes32) {
        return keccak256(abi.encode("measurement", kind));
    }

    function addProgram(uint8 kind) internal {
        vm.startPrank(author);
        programs.register(measurementOf(kind), keccak256("source"), keccak256("wasm"), kind);
        vm.stopPrank();
        vm.startPrank(auditor);
        programs.audit(measurementOf(kind), keccak256("report"));
        vm.stopPrank();
        programs.allow(measurementOf(kind));
    }

    function addEnclave(uint256 key, uint8 kind) internal {
        Enclaves.Enclave memory e = Enclaves.Enclave(
            vm.addr(key),
            keccak256("seal"),
            measurementOf(kind),
            0,
            keccak256("evidence"),
            uint64(block.timestamp + 30 days)
        );
        bytes memory signature = signEnclave(key, runner, e);
        vm.startPrank(runner);
        enclaves.register(e, signature);
        vm.stopPrank();
    }

    /// A member with one dataset of its own.
    function addDataset(uint256 n) internal returns (address owner, bytes32 id) {
        return addDataset(n, 100, 3);
    }

    function addDataset(uint256 n, uint32 rows, uint8 quality) internal returns (address owner, bytes32 id) {
        owner = vm.addr(10_000 + n);
        members.add(owner, Roles.OWNER, bytes32(n), 0);
        bytes32 root = rootOf(n);
        bytes memory signature = signValidation(VALIDATION_KEY, owner, root, rows, quality, 0);
        vm.startPrank(owner);
        id = datasets.register(
            root, keccak256("report"), keccak256("policy"), rows, quality, vm.addr(VALIDATION_KEY), signature
        );
        vm.stopPrank();
    }

    function rootOf(uint256 n) internal pure returns (bytes32) {
        return keccak256(abi.encode("root", n));
    }

    /// The training enclave of this number, registered when it is first asked for.
    function trainingEnclave(uint256 n) internal returns (address enclave) {
        uint256 key = 20_000 + n;
        enclave = vm.addr(key);
        if (enclaves.enclave(enclave).operator == address(0)) {
            keyOf[enclave] = key;
            addEnclave(key, Kinds.TRAINING);
        }
    }

    function payeeOf(uint256 n) internal pure returns (address) {
        return vm.addr(50_000 + n);
    }

    function terms() internal pure returns (Market.Terms memory) {
        return Market.Terms({
            instantPayment: 5e6,
            queryPrice: 10e6,
            donorsBps: 6_000,
            trainerBps: 3_000,
            runnerBps: 1_000,
            minDonors: 2,
            maxDonors: 4,
            queryTimeout: 1 hours,
            minSurvivors: 2,
            colluders: 1
        });
    }

    function propose(Market.Terms memory t) internal returns (uint256 modelId) {
        vm.startPrank(trainer);
        modelId = market.propose(WHITE_PAPER, PLAN, t);
        vm.stopPrank();
    }

    function donate(uint256 modelId, uint256 n, uint32 weight) internal returns (uint16 index) {
        (address owner, bytes32 id) = addDataset(n, weight, 1);
        address enclave = trainingEnclave(n);
        bytes memory signature = signDonation(keyOf[enclave], modelId, id, rootOf(n), payeeOf(n));
        vm.startPrank(owner);
        index = market.donate(modelId, id, payeeOf(n), DECISION, enclave, signature);
        vm.stopPrank();
    }

    /// A dataset that is registered already; of the owner with this number.
    function donateAgain(uint256 modelId, uint256 n) internal returns (uint16 index) {
        address owner = vm.addr(10_000 + n);
        bytes32 id = datasets.idOf(owner, rootOf(n));
        address enclave = trainingEnclave(n);
        bytes memory signature = signDonation(keyOf[enclave], modelId, id, datasets.dataset(id).root, payeeOf(n));
        vm.startPrank(owner);
        index = market.donate(modelId, id, payeeOf(n), DECISION, enclave, signature);
        vm.stopPrank();
    }

    function withdrawDataset(uint256 n) internal {
        address owner = vm.addr(10_000 + n);
        bytes32 id = datasets.idOf(owner, rootOf(n));
        vm.startPrank(owner);
        datasets.withdraw(id);
        vm.stopPrank();
    }

    function start(uint256 modelId) internal {
        vm.startPrank(trainer);
        market.startTraining(modelId, seats, keysOf(seats));
        vm.stopPrank();
    }

    function keysOf(address[] memory list) internal view returns (bytes32[] memory keys) {
        keys = new bytes32[](list.length);
        for (uint256 i = 0; i < list.length; ++i) {
            keys[i] = members.member(list[i]).sealKey;
        }
    }

    /// Asked through a call, because the optimizer takes `block.timestamp` for a constant.
    function timeNow() external view returns (uint256) {
        return block.timestamp;
    }

    /// A day for the donors and a day for the committee.
    function open(uint256 modelId) internal returns (uint32 round) {
        uint64 deadline = uint64(this.timeNow() + 1 days);
        vm.startPrank(trainer);
        round = rounds.open(modelId, HEADER, deadline, deadline + 1 days);
        vm.stopPrank();
    }

    /// The training enclave which took the data of a donor.
    function enclaveOf(uint256 modelId, uint16 index) internal view returns (address) {
        return market.donor(modelId, index).enclave;
    }

    function anchor(uint256 modelId, uint32 round, uint16 index) internal {
        bytes32 blob = keccak256(abi.encode("blob", index));
        address enclave = enclaveOf(modelId, index);
        bytes memory signature = signUpdate(keyOf[enclave], modelId, round, blob, index);
        rounds.anchor(modelId, round, blob, index, enclave, signature);
    }

    function close(uint256 modelId, uint32 round) internal {
        vm.startPrank(trainer);
        rounds.close(modelId, round);
        vm.stopPrank();
    }

    function post(uint256 modelId, uint32 round, uint256 seat) internal {
        uint16 attempt = rounds.roundInfo(modelId, round).attempt;
        vm.startPrank(seats[seat]);
        rounds.postPartial(modelId, round, attempt, keccak256(abi.encode("partial", seat)));
        vm.stopPrank();
    }

    /// The first so many seats post.
    function posts(uint256 modelId, uint32 round, uint256 many) internal {
        for (uint256 i = 0; i < many; ++i) {
            post(modelId, round, i);
        }
    }

    /// One more than may collude name a donor.
    function blame(uint256 modelId, uint32 round, uint16 index, uint8 reason) internal {
        for (uint256 i = 0; i < 2; ++i) {
            vm.startPrank(seats[i]);
            rounds.blameDonor(modelId, round, index, reason);
            vm.stopPrank();
        }
    }

    function finalize(uint256 modelId, uint32 round) internal {
        vm.startPrank(trainer);
        rounds.finalize(modelId, round, keccak256("aggregate"), MODEL_HASH);
        vm.stopPrank();
    }

    function finishRound(uint256 modelId, uint32 round) internal {
        close(modelId, round);
        posts(modelId, round, QUORUM);
        vm.startPrank(trainer);
        rounds.finalize(modelId, round, keccak256("aggregate"), MODEL_HASH);
        vm.stopPrank();
    }

    /// Two donors with weights 1 and 3, one round, and the query enclave in service.
    function served() internal returns (uint256 modelId) {
        modelId = propose(terms());
        donate(modelId, 1, 1);
        donate(modelId, 2, 3);
        trainAndServe(modelId, 2);
    }

    function trainAndServe(uint256 modelId, uint16 donors) internal {
        start(modelId);
        uint32 round = open(modelId);
        for (uint16 i = 1; i <= donors; ++i) {
            anchor(modelId, round, i);
        }
        finishRound(modelId, round);
        vm.startPrank(trainer);
        market.finishTraining(modelId, MODEL_HASH);
        market.serve(modelId, vm.addr(QUERY_KEY));
        vm.stopPrank();
    }

    function buy(uint256 modelId, bytes32 code) internal returns (bytes32 queryId) {
        vm.startPrank(user);
        queryId = market.buy(modelId, keccak256(abi.encode(code)), market.model(modelId).queryEnclave);
        vm.stopPrank();
    }

    function settle(uint256 modelId, bytes32 queryId) internal {
        market.settle(queryId, "job", "output", ANSWER, signQuery(QUERY_KEY, queryId, modelId));
    }

    // ---------------------------------------------------------------- signatures, made as a client makes them

    function signEnclave(uint256 key, address operator, Enclaves.Enclave memory e)
        internal
        view
        returns (bytes memory)
    {
        bytes32 typehash = keccak256(
            "EnclaveRegistration(address operator,bytes32 sealKey,bytes32 measurement,uint8 platform,bytes32 evidenceHash,uint64 expiresAt)"
        );
        bytes32 hash = keccak256(
            abi.encode(typehash, operator, e.sealKey, e.measurement, e.platform, e.evidenceHash, e.expiresAt)
        );
        return sign(key, address(enclaves), hash);
    }

    function signValidation(uint256 key, address owner, bytes32 root) internal view returns (bytes memory) {
        return signValidation(key, owner, root, 100, 3, 0);
    }

    function signValidation(uint256 key, address owner, bytes32 root, uint32 rows, uint8 quality, bytes32 replaces)
        internal
        view
        returns (bytes memory)
    {
        bytes32 typehash = keccak256(
            "ValidationReceipt(address owner,bytes32 root,bytes32 reportHash,uint32 rows,uint8 quality,bytes32 replaces)"
        );
        return sign(
            key,
            address(datasets),
            keccak256(abi.encode(typehash, owner, root, keccak256("report"), rows, quality, replaces))
        );
    }

    function signDonation(uint256 key, uint256 modelId, bytes32 id, bytes32 root, address payee)
        internal
        view
        returns (bytes memory)
    {
        return sign(key, address(market), donationHash(modelId, id, root, payee));
    }

    function donationHash(uint256 modelId, bytes32 id, bytes32 root, address payee) internal pure returns (bytes32) {
        bytes32 typehash =
            keccak256("DonationReceipt(uint256 modelId,bytes32 datasetId,bytes32 root,address payee,bytes32 decision)");
        return keccak256(abi.encode(typehash, modelId, id, root, payee, DECISION));
    }

    function signOpening(uint256 key, uint256 modelId, uint32 round, uint16 index, address member, bytes32 blob)
        internal
        view
        returns (bytes memory)
    {
        bytes32 typehash = keccak256(
            "ShareOpening(uint256 modelId,uint32 round,bytes32 headerHash,uint16 donorIndex,address member,bytes32 blobHash)"
        );
        return sign(key, address(rounds), keccak256(abi.encode(typehash, modelId, round, HEADER, index, member, blob)));
    }

    function signQuery(uint256 key, bytes32 queryId, uint256 modelId) internal view returns (bytes memory) {
        bytes32 typehash =
            keccak256("QueryReceipt(bytes32 queryId,uint256 modelId,bytes32 jobId,bytes32 outputHash,bytes answer)");
        return sign(
            key,
            address(market),
            keccak256(abi.encode(typehash, queryId, modelId, bytes32("job"), bytes32("output"), keccak256(ANSWER)))
        );
    }

    function signUpdate(uint256 key, uint256 modelId, uint32 round, bytes32 blob, uint16 index)
        internal
        view
        returns (bytes memory)
    {
        bytes32 typehash = keccak256(
            "UpdateReceipt(uint256 modelId,uint32 round,bytes32 headerHash,bytes32 blobHash,uint16 donorIndex)"
        );
        return sign(key, address(rounds), keccak256(abi.encode(typehash, modelId, round, HEADER, blob, index)));
    }

    function sign(uint256 key, address verifier, bytes32 structHash) internal view returns (bytes memory) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Histone"),
                keccak256("1"),
                block.chainid,
                verifier
            )
        );
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, keccak256(abi.encodePacked(hex"1901", domain, structHash)));
        return abi.encodePacked(r, s, v);
    }

    /// The signer which a contract recovers for a signature over something else: what `BadSignature` will name.
    function recovered(address verifier, bytes32 structHash, bytes memory signature, uint256 chain)
        internal
        pure
        returns (address)
    {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Histone"),
                keccak256("1"),
                chain,
                verifier
            )
        );
        (bytes32 r, bytes32 s) = abi.decode(signature, (bytes32, bytes32));
        return ecrecover(keccak256(abi.encodePacked(hex"1901", domain, structHash)), uint8(signature[64]), r, s);
    }

    // ---------------------------------------------------------------- checks

    error NotEqual(string what, uint256 got, uint256 expected);

    function equal(string memory what, uint256 got, uint256 expected) internal pure {
        if (got != expected) revert NotEqual(what, got, expected);
    }

    error TooMuch(string what, uint256 got, uint256 limit);

    function atMost(string memory what, uint256 got, uint256 limit) internal pure {
        if (got > limit) revert TooMuch(what, got, limit);
    }

    /// What a step is refused with, and then that it is refused.
    function refused(address sender, bytes memory reason, address target, bytes memory call) internal {
        vm.startPrank(sender);
        (bool ok, bytes memory answer) = target.call(call);
        vm.stopPrank();
        if (ok) revert NotRefused(reason);
        if (keccak256(answer) != keccak256(reason)) revert RefusedOtherwise(answer, reason);
    }

    error NotRefused(bytes expected);
    error RefusedOtherwise(bytes got, bytes expected);
}
