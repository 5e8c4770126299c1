// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";
import {Consent} from "./Consent.sol";
import {Datasets} from "./Datasets.sol";
import {Enclaves} from "./Enclaves.sol";
import {RoundStatus} from "./IRounds.sol";
import {MarketRules} from "./MarketRules.sol";
import {DonorInfo, Model, Places, Query, QueryState, State} from "./MarketTypes.sol";
import {Members, Roles} from "./Members.sol";
import {Kinds} from "./Programs.sol";
import {Purse} from "./Purse.sol";
import {DonationConsent, HostedTraining, Receipts} from "./Receipts.sol";
import {Donor, Sales, Shares} from "./Shares.sol";

/// @title Models from proposal to paid queries. This contract holds all the money.
/// @notice Money is pulled by those it is owed to. Price and split of a model never change, so all that has to be kept
/// about the revenue of its donors is how many queries were settled, and of a donor how many were paid: no step costs
/// more when there are more donors.
///
/// A pause stops new work (proposals, donations, rounds, the start of a training in one enclave, sales) and nothing else:
/// what was begun can be finished, settled, refunded, given up and claimed, so a pause never locks money.
///
/// A dataset that is withdrawn after it was donated takes part in no later round: its updates are refused, and `endUse`
/// takes it out of a round that is not opened yet. Its donor keeps the place and the share: the enclave took the data
/// when it signed the donation, and a model cannot unlearn it. A trainer who does not want to pay for donors who left
/// gives the model up before a round was opened. A donor whom the committee names as the author of something that cannot
/// be used (`Rounds.blameDonor`) gets nothing.
///
/// Nobody states the weight of a donation: it is rows times quality of the dataset as the register knows them.
///
/// Trainers have no way to use their models for free: evaluating one after training is a query, bought, recorded and
/// shared out like any other.
contract Market is MarketRules, Consent, Purse {
    using SafeCast for uint256;
    using Places for BitMaps.BitMap;
    using Shares for Sales;

    /// @notice What a trainer offers. It never changes after the proposal. The fee of the model, set by vote and in force
    /// when it was proposed, is taken off the price first; the three parts share out the rest.
    /// @param instantPayment Units of the token for each donor when training is finished.
    /// @param queryPrice Units of the token for one query.
    /// @param donorsBps Part of the rest of the price for all donors together, in 1/10,000.
    /// @param trainerBps Part of it for the trainer, in 1/10,000.
    /// @param runnerBps Part of it for the operator of the query enclave, in 1/10,000.
    /// @param minDonors Training does not start with fewer.
    /// @param maxDonors No more are accepted; the deposit covers the instant payment of this many.
    /// @param queryTimeout Seconds after which an unanswered query is refunded.
    /// @param minSurvivors With fewer updates no round is opened; at least 2.
    /// @param colluders How many members of the committee may collude without anybody losing. Threshold and quorum follow
    /// from it (`Committees`). 0 where there is no committee: all data is brought to one enclave (`host`).
    struct Terms {
        uint96 instantPayment;
        uint96 queryPrice;
        uint16 donorsBps;
        uint16 trainerBps;
        uint16 runnerBps;
        uint16 minDonors;
        uint16 maxDonors;
        uint32 queryTimeout;
        uint16 minSurvivors;
        uint8 colluders;
    }

    /// @notice All about a model, for readers.
    /// @param trainer Who proposed it.
    /// @param state Where it stands.
    /// @param donors Number of donors so far; they are numbered from 1.
    /// @param totalWeight Sum of the weights of the donors.
    /// @param servings Number of times that an enclave was named; the last one serves.
    /// @param settled Number of queries settled so far.
    /// @param queryEnclave The enclave that serves, zero before.
    /// @param whitePaperHash Hash of the proposal document.
    /// @param planHash Hash of the whole plan.
    /// @param modelHash Hash of the trained model, 0 before.
    /// @param terms What the trainer offers.
    /// @param feeBps The fee, in 1/10,000 of the price of a query.
    /// @param excluded How many of the donors the committee named; they are paid nothing.
    struct ModelInfo {
        address trainer;
        State state;
        uint16 donors;
        uint48 totalWeight;
        uint16 servings;
        uint32 settled;
        address queryEnclave;
        bytes32 whitePaperHash;
        bytes32 planHash;
        bytes32 modelHash;
        Terms terms;
        uint16 feeBps;
        uint16 excluded;
    }

    /// @notice Seconds after the last opened sum after which anybody may end the training of a model, so that its donors are
    /// paid: twice the longest time that a trainer sets for a round. One who opens round after round without a sum does not
    /// put it off.
    uint256 public constant ABANDONED_AFTER = 60 days;
    /// @notice A query is answered or refunded within so many seconds.
    uint256 public constant LONGEST_QUERY = 30 days;

    mapping(uint256 modelId => Model) private _models;
    mapping(uint256 modelId => mapping(uint256 index => Donor)) private _donors;
    // Datasets and training enclaves that have a place in a model, by running number.
    mapping(uint256 modelId => BitMaps.BitMap) private _donated;
    mapping(uint256 modelId => BitMaps.BitMap) private _taken;
    mapping(uint256 modelId => mapping(uint256 serving => address enclave)) private _servings;
    // Owners of whom the trainer refused a donor.
    mapping(uint256 modelId => mapping(address owner => bool)) private _refused;
    mapping(bytes32 queryId => Query) private _queries;

    /// @notice A model was proposed and its deposit taken.
    event ModelProposed(
        uint256 indexed modelId,
        address indexed trainer,
        bytes32 whitePaperHash,
        bytes32 planHash,
        Terms terms,
        uint256 deposit
    );

    /// @notice The model is in a state in which this is not possible.
    error WrongState(uint256 modelId, State state);
    /// @notice The latest round has not produced this model.
    error NotFinal(uint256 modelId, uint32 round, RoundStatus status, bytes32 roundModelHash);
    /// @notice The query was settled or refunded already.
    error QueryDone(bytes32 queryId, QueryState state);

    constructor(address manager, IERC20 token_, Members members_, Datasets datasets_, Enclaves enclaves_)
        MarketRules(manager, members_, datasets_, enclaves_)
        Purse(token_)
    {}

    /// @notice Proposes a model and pays the deposit, `instantPayment * maxDonors`. TRAINER only. The model takes the
    /// fee that is in force now (`feeBps`) and keeps it.
    /// @param whitePaperHash Hash of the document which says what it predicts and which data it needs.
    /// @param planHash Hash of the whole plan: rounds, survivors, committee, method, programs.
    /// @param t What is offered; it never changes afterwards.
    /// @return modelId Running number from 1.
    function propose(bytes32 whitePaperHash, bytes32 planHash, Terms calldata t)
        external
        nonReentrant
        whenNotPaused
        returns (uint256 modelId)
    {
        members.requireRole(msg.sender, Roles.TRAINER);
        if (address(rounds) == address(0)) revert RoundsNotSet();
        if (whitePaperHash == 0 || planHash == 0) revert ZeroHash();
        uint256 sum = uint256(t.donorsBps) + t.trainerBps + t.runnerBps;
        if (sum != Shares.BPS) revert SharesDoNotAddUp(sum);
        if (t.minDonors == 0 || t.maxDonors < t.minDonors) revert InvalidDonorLimits(t.minDonors, t.maxDonors);
        if (t.minSurvivors < 2 || t.minSurvivors > t.minDonors) {
            revert InvalidMinSurvivors(t.minSurvivors, t.minDonors);
        }
        if (t.queryTimeout == 0) revert ZeroTimeout();
        if (t.queryTimeout > LONGEST_QUERY) revert TimeoutTooLong(t.queryTimeout, LONGEST_QUERY);

        modelId = ++modelCount;
        Model storage m = _models[modelId];
        m.trainer = msg.sender;
        m.state = State.Recruiting;
        uint16 fee = feeBps;
        m.sales = Sales(t.queryPrice, t.donorsBps, t.trainerBps, fee, 0, t.queryTimeout, 0, false, false);
        m.instantPayment = t.instantPayment;
        m.minDonors = t.minDonors;
        m.maxDonors = t.maxDonors;
        m.minSurvivors = t.minSurvivors;
        m.colluders = t.colluders;
        m.whitePaperHash = whitePaperHash;
        m.planHash = planHash;
        // The proposer pays for the slots which the next donors will most likely share.
        _donated[modelId].prepare(datasets.count());
        if (t.colluders == 0) m.particular = true;
        else _taken[modelId].prepare(enclaves.count());
        uint256 deposit = uint256(t.instantPayment) * t.maxDonors;
        emit ModelProposed(modelId, msg.sender, whitePaperHash, planHash, t, deposit);
        if (fee != 0) emit ModelFee(modelId, fee);
        _take(deposit);
    }

    /// @notice Names the one enclave that all data of a model is brought to, once. Its trainer only, still a TRAINER, while the
    /// model recruits and where its terms have no colluders. Owners appraise it before they donate to it; an enclave that dies
    /// ends the model, and its trainer proposes another one.
    /// @param enclave A live training enclave; its operator is a RUNNER or an OWNER.
    function host(uint256 modelId, address enclave) external {
        Model storage m = _inState(modelId, State.Recruiting);
        _onlyTrainer(modelId, m);
        members.requireRole(msg.sender, Roles.TRAINER);
        if (m.colluders != 0) revert NotHosted(modelId);
        if (m.host != 0) revert HostNamed(modelId);
        (address runner, uint32 number) = enclaves.requireLive(enclave, Kinds.TRAINING);
        members.requireRole(runner, Roles.RUNNER | Roles.OWNER);
        m.host = number;
        emit TrainingHosted(modelId, enclave, runner);
    }

    /// @notice Records a donation. The owner of the dataset calls, once per dataset and model, and an enclave holds one
    /// place in a model, unless it is the one that all data is brought to (`host`). Its weight is rows times quality as the
    /// register knows them now.
    /// @param modelId A model that recruits.
    /// @param datasetId A dataset of the caller that is not withdrawn.
    /// @param payee Account to be paid; better one made for this model than the caller's.
    /// @param decision Hash of the owner's recorded decision that allows it.
    /// @param enclave The live training enclave which has the data.
    /// @param signature EIP-712 `DonationReceipt` by that enclave, over the root that the register knows now.
    /// @return donorIndex Number of the donor, from 1.
    function donate(
        uint256 modelId,
        bytes32 datasetId,
        address payee,
        bytes32 decision,
        address enclave,
        bytes calldata signature
    ) external returns (uint16 donorIndex) {
        address owner;
        (owner, donorIndex,) = _donate(modelId, datasetId, payee, decision, enclave, signature);
        if (owner != msg.sender) revert NotDatasetOwner(datasetId, msg.sender);
    }

    /// @notice Records a donation for the owner of the dataset, who signed it. Anybody may send it, once per dataset and
    /// model.
    /// @param consent What the owner signed.
    /// @param ownerSignature EIP-712 `DonationConsent` by the owner, which may be a contract wallet.
    /// @param enclaveSignature EIP-712 `DonationReceipt` by the enclave, as for `donate`.
    /// @return donorIndex Number of the donor, from 1.
    function donateFor(DonationConsent calldata consent, bytes calldata ownerSignature, bytes calldata enclaveSignature)
        external
        returns (uint16 donorIndex)
    {
        address owner;
        bytes32 root;
        (owner, donorIndex, root) = _donate(
            consent.modelId, consent.datasetId, consent.payee, consent.decision, consent.enclave, enclaveSignature
        );
        if (root != consent.root) revert OtherVersion(consent.datasetId, consent.root, root);
        _checkConsent(owner, consent.deadline, Receipts.consent(consent), ownerSignature);
    }

    /// @notice Takes a withdrawn dataset out of the training of a model that it was donated to: out of every later round,
    /// and out of the latest one unless its sum is open. Anybody may call, once the dataset is withdrawn. As long as no sum
    /// is open nothing was made from it, and its donor is paid nothing; afterwards the donor is paid like the others. Where all
    /// data is brought to one enclave, that enclave says after training whether it was used (`finishHosted`).
    function endUse(uint256 modelId, uint16 donorIndex) external {
        Model storage m = _known(modelId);
        if (m.state != State.Recruiting && m.state != State.Training) revert WrongState(modelId, m.state);
        Donor storage d = _donor(modelId, donorIndex);
        if (d.enclave == 0) revert UseEnded(modelId, donorIndex);
        // Nobody was paid yet, so `paid` holds the number of the dataset.
        uint32 number = d.paid - Shares.UNPAID;
        if (!datasets.isWithdrawn(number)) revert DatasetNotWithdrawn(number);
        // No enclave has this number.
        d.enclave = 0;
        emit DonorUseEnded(modelId, donorIndex);
        rounds.dropDonor(modelId, donorIndex);
        if (m.colluders == 0 && m.state == State.Training) return;
        (uint32 opened,) = rounds.progress(modelId);
        if (opened == 0) _exclude(modelId, donorIndex, m, d);
    }

    /// @notice Refuses a donor while the model recruits, and with it all donations of its owner: its place is free again, and
    /// it is paid nothing. Trainer only. Nobody else has appraised anybody yet, and keys without evidence could otherwise take
    /// all places before others come; a trainer could as well give the model up and propose it anew. The owner of a donor that
    /// has left already is refused all the same: leaving in time does not let it come again.
    /// @param datasetId What it donated, which names its owner.
    function refuseDonor(uint256 modelId, uint16 donorIndex, bytes32 datasetId) external {
        Model storage m = _inState(modelId, State.Recruiting);
        _onlyTrainer(modelId, m);
        Donor storage d = _donor(modelId, donorIndex);
        Datasets.Dataset memory data = datasets.dataset(datasetId);
        if (d.paid != Shares.UNPAID | data.number) revert OtherDataset(modelId, donorIndex, datasetId);
        bool left = d.enclave == 0;
        if (left && _refused[modelId][data.owner]) revert UseEnded(modelId, donorIndex);
        m.particular = true;
        _refused[modelId][data.owner] = true;
        emit DonorRefused(modelId, data.owner, donorIndex);
        if (left) return;
        d.enclave = 0;
        _exclude(modelId, donorIndex, m, d);
        rounds.dropDonor(modelId, donorIndex);
    }

    /// @notice Ends the use of the data of a donor whom the committee named, takes its weight off the sum and pays it
    /// nothing; its instant payment is a part of the deposit that is not used. The contract with the training rounds only,
    /// before the end of training, so that nobody was paid yet.
    /// @return used Whether the donor took part until now.
    function excludeDonor(uint256 modelId, uint16 donorIndex) external returns (bool used) {
        if (msg.sender != address(rounds)) revert NotRounds(msg.sender);
        Model storage m = _inState(modelId, State.Training);
        Donor storage d = _donor(modelId, donorIndex);
        used = d.enclave != 0;
        // Only a donor who was excluded before has no weight.
        if (d.weight == 0) return false;
        d.enclave = 0;
        _exclude(modelId, donorIndex, m, d);
    }

    /// @notice Ends recruiting. Its trainer only, still a TRAINER; needs `minDonors`. The committee is fixed here for the whole training, so
    /// that a member who changes its key or its role later touches later trainings only. Where all data is brought to one
    /// enclave there is none, and training begins now: the market is not paused.
    /// @param seats Its members, each with the role COMMITTEE and a key that it claims to have proved, in ascending order
    /// of their addresses. It should be all of them whose proof is good: that is what everybody else checks.
    /// @param sealKeys The key of each, as the caller checked it: one that was changed since stops nothing but this call.
    function startTraining(uint256 modelId, address[] calldata seats, bytes32[] calldata sealKeys) external {
        Model storage m = _inState(modelId, State.Recruiting);
        _onlyTrainer(modelId, m);
        members.requireRole(msg.sender, Roles.TRAINER);
        uint16 left = m.donors - m.excluded;
        if (left < m.minDonors) revert TooFewDonors(modelId, left, m.minDonors);
        m.state = State.Training;
        emit TrainingStarted(modelId, m.donors, m.totalWeight);
        if (m.colluders != 0) {
            rounds.fixCommittee(modelId, seats, sealKeys, m.colluders, m.minSurvivors);
        } else {
            // This is what begins the work: no round is opened, which a pause would stop.
            _requireNotPaused();
            if (seats.length + sealKeys.length != 0) revert NoCommittee(modelId);
        }
    }

    /// @notice Ends training. Trainer only; the latest round must be final with this model, and not every donor named: the
    /// donors' part of its queries would be nobody's. From then on each donor can claim the instant payment, and the
    /// trainer the rest of the deposit.
    function finishTraining(uint256 modelId, bytes32 modelHash) external {
        Model storage m = _inState(modelId, State.Training);
        _onlyTrainer(modelId, m);
        (uint32 round, RoundStatus status, bytes32 roundModelHash) = rounds.outcome(modelId);
        if (status != RoundStatus.Final || roundModelHash != modelHash) {
            revert NotFinal(modelId, round, status, roundModelHash);
        }
        if (m.excluded == m.donors) revert TooFewDonors(modelId, 0, m.minSurvivors);
        _finish(modelId, m, modelHash);
    }

    /// @notice Ends the training of a model whose data was all brought to one enclave. Trainer only. Donors whose data was not
    /// used are paid nothing, each other one can claim the instant payment, whether it was withdrawn since or not. The enclave
    /// hands the model to nobody before this.
    /// @param t What the enclave says. Who was not used has withdrawn; fewer than `minSurvivors` make no model.
    /// @param signature EIP-712 `HostedTraining` by the enclave, which is neither revoked nor expired and whose program the
    /// members allow.
    function finishHosted(HostedTraining calldata t, bytes calldata signature) external {
        Model storage m = _inState(t.modelId, State.Training);
        _onlyTrainer(t.modelId, m);
        if (m.colluders != 0) revert NotHosted(t.modelId);
        if (t.modelHash == 0 || t.statementHash == 0) revert ZeroHash();
        address enclave = enclaves.signerOf(m.host);
        enclaves.requireRunning(enclave, Kinds.TRAINING);
        _checkSignature(enclave, Receipts.hosted(t), signature);
        uint16 before = 0;
        for (uint256 i = 0; i < t.unused.length; ++i) {
            uint16 donorIndex = t.unused[i];
            Donor storage d = _donor(t.modelId, donorIndex);
            if (donorIndex <= before || d.enclave != 0 || d.weight == 0) revert StillInUse(t.modelId, donorIndex);
            before = donorIndex;
            _exclude(t.modelId, donorIndex, m, d);
        }
        uint16 used = m.donors - m.excluded;
        if (used < m.minSurvivors) revert TooFewDonors(t.modelId, used, m.minSurvivors);
        emit HostedModel(t.modelId, enclave, t.statementHash);
        _finish(t.modelId, m, t.modelHash);
    }

    /// @notice Gives a model up. As long as the sum of no round was open, the whole deposit goes back to the trainer, and
    /// nothing is owed. Afterwards the trainer has, or could have, a model made from the data: each donor who was not
    /// excluded can claim the instant payment as after training, and the trainer gets the rest of the deposit. Why the
    /// training does not go on plays no part: the ledger does not see who brought a failed or void round about, and whoever
    /// could get payments back for opened sums by bringing one about would have a model for nothing. A donor who stays
    /// away gains no more by it than one who withdraws after a sum.
    /// What a quorum of the committee opens behind the ledger's back is not seen here either; that it does not do so is
    /// assumed everywhere.
    ///
    /// The trainer may at any time before the end of training; anybody may `ABANDONED_AFTER` the last opened sum or the last
    /// pause, in which its trainer could open no round.
    function abortTraining(uint256 modelId) external {
        Model storage m = _known(modelId);
        if (m.state != State.Recruiting && m.state != State.Training) revert WrongState(modelId, m.state);
        (uint32 opened, uint64 openedAt) = rounds.progress(modelId);
        if (msg.sender != m.trainer) {
            uint256 since = openedAt > resumedAt ? openedAt : resumedAt;
            if (opened == 0 || paused() || block.timestamp <= since + ABANDONED_AFTER) {
                revert NotTrainer(modelId, msg.sender);
            }
        }
        m.state = State.Aborted;
        uint256 rest = uint256(m.instantPayment) * m.maxDonors;
        if (opened != 0) {
            m.sales.owedAfterAbort = true;
            rest = _unused(m);
        }
        _credit(m.trainer, rest);
        emit TrainingAborted(modelId, msg.sender, rest);
    }

    /// @notice Names the enclave that answers from now on. Its trainer only, still a TRAINER. Queries sold before stay with the enclave
    /// which they were sold for.
    /// @param queryEnclave A live query enclave; its operator is the runner and gets the runner's part.
    function serve(uint256 modelId, address queryEnclave) external {
        Model storage m = _known(modelId);
        _onlyTrainer(modelId, m);
        members.requireRole(msg.sender, Roles.TRAINER);
        if (m.state != State.Trained && m.state != State.Serving) revert WrongState(modelId, m.state);
        (address runner,) = enclaves.requireLive(queryEnclave, Kinds.QUERY);
        members.requireRole(runner, Roles.RUNNER | Roles.OWNER);
        m.state = State.Serving;
        m.sales.open = true;
        uint16 serving = m.sales.servings + 1;
        m.sales.servings = serving;
        _servings[modelId][serving] = queryEnclave;
        // Opens the account of the runner here, so that the first settlement costs no more than the others.
        _credit(runner, 0);
        emit ModelServed(modelId, queryEnclave, runner, serving);
    }

    /// @notice Sells no more queries. Trainer only. Queries sold before can still be settled or refunded.
    function retire(uint256 modelId) external {
        Model storage m = _known(modelId);
        _onlyTrainer(modelId, m);
        if (m.state != State.Trained && m.state != State.Serving) revert WrongState(modelId, m.state);
        m.state = State.Retired;
        m.sales.open = false;
        emit ModelRetired(modelId);
    }

    /// @notice Pays for one query; the price stays here until the query is settled or refunded. Whether the enclave is
    /// still live is asked when it answers: asking here too would cost every query more than a refund now and then.
    /// @param codeHash Hash of an access code that only the caller knows. The id of the query also covers the caller,
    /// so whoever copies a pending `codeHash` gets a query of their own and blocks nobody.
    /// @param enclave The enclave that the caller has appraised. Only it can answer; if another one serves by now,
    /// nothing is bought.
    /// @return queryId `queryIdOf(caller, codeHash)`; it can be used once.
    function buy(uint256 modelId, bytes32 codeHash, address enclave)
        external
        nonReentrant
        whenNotPaused
        returns (bytes32 queryId)
    {
        Model storage m = _models[modelId];
        if (!m.sales.open) revert WrongState(modelId, _known(modelId).state);
        if (codeHash == 0) revert ZeroHash();
        queryId = queryIdOf(msg.sender, codeHash);
        if (_queries[queryId].state != QueryState.None) revert CodeUsed(queryId);
        uint40 deadline = (block.timestamp + m.sales.timeout).toUint40();
        uint16 serving = m.sales.servings;
        address serves = _servings[modelId][serving];
        if (enclave != serves) revert OtherEnclave(modelId, enclave, serves);
        _queries[queryId] = Query(msg.sender, deadline, modelId.toUint32(), serving, QueryState.Funded);
        uint256 price = m.sales.price;
        emit QueryBought(queryId, modelId, msg.sender, codeHash, price, deadline, enclave);
        _take(price);
    }

    /// @notice Shares out the price of an answered query. Anybody may deliver the receipt, until the deadline; with it comes
    /// the answer itself, sealed to the user, so that nobody is paid for one that the user does not get.
    /// @param jobId The job in which the enclave answered.
    /// @param outputHash Hash of the sealed answer as a blob.
    /// @param answer The sealed answer.
    /// @param signature EIP-712 `QueryReceipt` by the enclave for which the query was sold; it must still be live.
    function settle(bytes32 queryId, bytes32 jobId, bytes32 outputHash, bytes calldata answer, bytes calldata signature)
        external
    {
        Query memory q = _funded(queryId);
        if (block.timestamp > q.deadline) revert TooLate(queryId, q.deadline);
        address enclave = _servings[q.modelId][q.serving];
        (address runner,) = enclaves.requireLive(enclave, Kinds.QUERY);
        _checkSignature(enclave, Receipts.query(queryId, q.modelId, jobId, outputHash, answer), signature);
        _queries[queryId].state = QueryState.Settled;

        Model storage m = _models[q.modelId];
        (uint256 donorsShare, uint256 trainerShare, uint256 runnerShare,) = m.sales.split();
        uint32 settled = m.sales.settled + 1;
        // The price can still be refunded.
        if (settled >= Shares.UNPAID) revert CounterFull();
        m.sales.settled = settled;
        _credit(m.trainer, trainerShare);
        _credit(runner, runnerShare);
        emit QuerySettled(queryId, q.modelId, jobId, outputHash, donorsShare, trainerShare, runnerShare, answer);
    }

    /// @notice Returns the full price of a query that was not answered in time to the user. Anybody may ask for it.
    function refund(bytes32 queryId) external nonReentrant {
        Query memory q = _funded(queryId);
        if (block.timestamp <= q.deadline) revert TooEarly(queryId, q.deadline);
        _queries[queryId].state = QueryState.Refunded;
        uint256 price = _models[q.modelId].sales.price;
        emit QueryRefunded(queryId, q.modelId, q.user, price);
        _pay(q.user, price);
    }

    /// @notice Pays a donor what is owed. Anybody may call, the money goes to the payee: a fresh account needs no
    /// funds for fees.
    function claimDonor(uint256 modelId, uint16 donorIndex) external nonReentrant returns (uint256 amount) {
        amount = _payDonor(modelId, donorIndex);
        if (amount == 0) revert NothingOwed(_donors[modelId][donorIndex].payee);
    }

    /// @notice Pays several donors of a model what they are owed, in one transaction and for less gas each. Anybody may
    /// call. Donors who are owed nothing are passed over, so that nobody stops the others by claiming first. One whose
    /// account the token refuses has to be left out.
    /// @return sum Units paid to all of them.
    function claimDonors(uint256 modelId, uint16[] calldata donorIndices) external nonReentrant returns (uint256 sum) {
        for (uint256 i = 0; i < donorIndices.length; ++i) {
            sum += _payDonor(modelId, donorIndices[i]);
        }
    }

    /// @notice Pays the fees of a model to the treasury of now. Anybody may call.
    function collectFees(uint256 modelId) external nonReentrant returns (uint256 amount) {
        Model storage m = _known(modelId);
        amount = m.sales.fees(m.feesCollected);
        address to = treasury;
        if (amount == 0) revert NothingOwed(to);
        m.feesCollected = m.sales.settled;
        emit FeesCollected(modelId, to, amount);
        _pay(to, amount);
    }

    /// @notice Units of fees of a model which can be collected now.
    function feesOf(uint256 modelId) external view returns (uint256) {
        Model storage m = _known(modelId);
        return m.sales.fees(m.feesCollected);
    }

    /// @notice Units owed to a donor now.
    function owedDonor(uint256 modelId, uint16 donorIndex) external view returns (uint256) {
        return _owedDonor(_models[modelId], _donor(modelId, donorIndex));
    }

    /// @notice All about a model.
    function model(uint256 modelId) external view returns (ModelInfo memory) {
        Model storage m = _known(modelId);
        // forge-lint: disable-next-line(unsafe-typecast) the three parts add up to 10,000, which fits.
        uint16 runnerBps = uint16(Shares.BPS - m.sales.donorsBps - m.sales.trainerBps);
        return ModelInfo({
            trainer: m.trainer,
            state: m.state,
            donors: m.donors,
            totalWeight: m.totalWeight,
            servings: m.sales.servings,
            settled: m.sales.settled,
            queryEnclave: _servings[modelId][m.sales.servings],
            whitePaperHash: m.whitePaperHash,
            planHash: m.planHash,
            modelHash: m.modelHash,
            terms: Terms({
                instantPayment: m.instantPayment,
                queryPrice: m.sales.price,
                donorsBps: m.sales.donorsBps,
                trainerBps: m.sales.trainerBps,
                runnerBps: runnerBps,
                minDonors: m.minDonors,
                maxDonors: m.maxDonors,
                queryTimeout: m.sales.timeout,
                minSurvivors: m.minSurvivors,
                colluders: m.colluders
            }),
            feeBps: m.sales.feeBps,
            excluded: m.excluded
        });
    }

    /// @notice What the rounds contract needs: one slot of a model.
    function standing(uint256 modelId) external view returns (address trainer, State state, uint16 donors) {
        Model storage m = _known(modelId);
        return (m.trainer, m.state, m.donors);
    }

    /// @notice All about a donor.
    function donor(uint256 modelId, uint16 donorIndex) external view returns (DonorInfo memory) {
        Donor storage d = _donor(modelId, donorIndex);
        uint32 paid = d.paid;
        bool instantPaid = paid < Shares.UNPAID;
        return DonorInfo(d.payee, d.weight, enclaves.signerOf(d.enclave), instantPaid, instantPaid ? paid : 0);
    }

    /// @notice Reverts unless the data of a donor may be used in a round now: its use has not ended, also not by
    /// withdrawing the dataset a moment ago.
    /// @return enclave The running number of the training enclave which took the data.
    function requireInUse(uint256 modelId, uint16 donorIndex) external view returns (uint32 enclave) {
        Donor storage d = _donor(modelId, donorIndex);
        enclave = d.enclave;
        uint32 paid = d.paid;
        // Who was paid is in no round any more, and `paid` is no number of a dataset then.
        if (enclave == 0 || paid < Shares.UNPAID || datasets.isWithdrawn(paid - Shares.UNPAID)) {
            revert UseEnded(modelId, donorIndex);
        }
    }

    /// @notice All about a query; all zero when it is unknown.
    function query(bytes32 queryId) external view returns (Query memory) {
        return _queries[queryId];
    }

    /// @notice The enclave that answers queries bought with this serving number.
    function servingEnclave(uint256 modelId, uint16 serving) external view returns (address) {
        return _servings[modelId][serving];
    }

    /// @notice The id of the query which `user` buys with `codeHash`: keccak256(abi.encode(user, codeHash)).
    function queryIdOf(address user, bytes32 codeHash) public pure returns (bytes32) {
        return keccak256(abi.encode(user, codeHash));
    }

    // Everything about a donation, except whether the owner wants it.
    function _donate(
        uint256 modelId,
        bytes32 datasetId,
        address payee,
        bytes32 decision,
        address enclave,
        bytes calldata signature
    ) private whenNotPaused returns (address owner, uint16 donorIndex, bytes32 root) {
        Model storage m = _inState(modelId, State.Recruiting);
        if (payee == address(0)) revert ZeroAddress();
        if (payee == address(this)) revert OwnAddress();
        if (decision == 0) revert ZeroHash();
        donorIndex = m.donors;
        // Most donations come before that, and need not know how many of the places are free again.
        uint16 places = m.maxDonors;
        if (donorIndex >= places && donorIndex - m.excluded >= places) revert DonorsFull(modelId, places);
        uint32 number;
        uint32 weight;
        (owner, number, weight, root) = datasets.requireUsable(datasetId);
        bool hosted = m.particular && _particulars(modelId, m, owner);
        if (weight == 0) revert ZeroWeight();
        if (number >= Shares.UNPAID) revert CounterFull();
        if (!_donated[modelId].take(number)) revert AlreadyDonated(modelId, datasetId);
        (, uint32 enclaveNumber) = enclaves.requireLive(enclave, Kinds.TRAINING);
        // In this order the usual donation is the cheaper one.
        if (!hosted) {
            if (!_taken[modelId].take(enclaveNumber)) revert EnclaveTaken(modelId, enclave);
        } else if (enclaveNumber != m.host) {
            revert OtherHost(modelId, enclave);
        }
        _checkSignature(enclave, Receipts.donation(modelId, datasetId, root, payee, decision), signature);

        m.donors = ++donorIndex;
        m.totalWeight += weight;
        _donors[modelId][donorIndex] = Donor(payee, weight, enclaveNumber, Shares.UNPAID | number);
        emit Donated(modelId, datasetId, payee, donorIndex, weight, enclave, root, decision);
    }

    // What most donations need not look at: whether the owner was refused, and whether all data is brought to one enclave.
    function _particulars(uint256 modelId, Model storage m, address owner) private view returns (bool hosted) {
        if (_refused[modelId][owner]) revert OwnerRefused(modelId, owner);
        return m.colluders == 0;
    }

    // What the donors do not take of the deposit goes back to the trainer.
    function _finish(uint256 modelId, Model storage m, bytes32 modelHash) private {
        m.state = State.Trained;
        m.modelHash = modelHash;
        uint256 rest = _unused(m);
        _credit(m.trainer, rest);
        emit TrainingFinished(modelId, modelHash, rest);
    }

    // Is paid nothing: its weight is off the sum, its instant payment a part of the deposit that is not used.
    function _exclude(uint256 modelId, uint16 donorIndex, Model storage m, Donor storage d) private {
        uint32 weight = d.weight;
        d.weight = 0;
        m.totalWeight -= weight;
        m.excluded += 1;
        emit DonorExcluded(modelId, donorIndex, weight);
    }

    function _known(uint256 modelId) private view returns (Model storage m) {
        m = _models[modelId];
        if (m.state == State.None) revert UnknownModel(modelId);
    }

    function _inState(uint256 modelId, State state) private view returns (Model storage m) {
        m = _known(modelId);
        if (m.state != state) revert WrongState(modelId, m.state);
    }

    function _onlyTrainer(uint256 modelId, Model storage m) private view {
        if (m.trainer != msg.sender) revert NotTrainer(modelId, msg.sender);
    }

    function _donor(uint256 modelId, uint16 donorIndex) private view returns (Donor storage d) {
        d = _donors[modelId][donorIndex];
        if (d.payee == address(0)) revert UnknownDonor(modelId, donorIndex);
    }

    function _funded(bytes32 queryId) private view returns (Query memory q) {
        q = _queries[queryId];
        if (q.state == QueryState.None) revert UnknownQuery(queryId);
        if (q.state != QueryState.Funded) revert QueryDone(queryId, q.state);
    }

    function _owedDonor(Model storage m, Donor storage d) private view returns (uint256) {
        State state = m.state;
        bool trained = state == State.Trained || state == State.Serving || state == State.Retired;
        if (!trained && !m.sales.owedAfterAbort) return 0;
        // A donor who was excluded.
        if (d.weight == 0) return 0;
        uint256 earned = m.sales.earned(d, m.totalWeight);
        return d.paid >= Shares.UNPAID ? m.instantPayment + earned : earned;
    }

    function _payDonor(uint256 modelId, uint16 donorIndex) private returns (uint256 amount) {
        Donor storage d = _donor(modelId, donorIndex);
        Model storage m = _models[modelId];
        amount = _owedDonor(m, d);
        if (amount == 0) return 0;
        d.paid = m.sales.settled;
        address payee = d.payee;
        emit DonorPaid(modelId, donorIndex, payee, amount);
        _pay(payee, amount);
    }

    // What is left of the deposit when each donor is paid, but for those who were excluded.
    function _unused(Model storage m) private view returns (uint256) {
        return uint256(m.instantPayment) * (uint256(m.maxDonors) + m.excluded - m.donors);
    }
}
