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
import {Members, Roles} from "./Members.sol";
import {Kinds} from "./Programs.sol";
import {Purse} from "./Purse.sol";
import {DonationConsent, Receipts} from "./Receipts.sol";
import {Donor, Sales, Shares} from "./Shares.sol";

/// @title Models from proposal to paid queries. This contract holds all the money.
/// @notice Money is pulled by those it is owed to. Price and split of a model never change, so all that has to be kept
/// about the revenue of its donors is how many queries were settled, and of a donor how many were paid: no step costs
/// more when there are more donors.
///
/// A pause stops new work (proposals, donations, rounds, sales) and nothing else: what was begun can be finished,
/// settled, refunded, given up and claimed, so a pause never locks money.
///
/// A dataset that is withdrawn after it was donated takes part in no later round: its enclave asks the register, and
/// `endUse` makes the ledger refuse its updates. Its donor keeps the place and the share: the enclave took the data when
/// it signed the donation, and a model cannot unlearn it. A trainer who does not want to pay for donors who left gives
/// the model up before a round was opened.
///
/// Trainers have no way to use their models for free: evaluating one after training is a query, bought, recorded and
/// shared out like any other.
contract Market is MarketRules, Consent, Purse {
    using SafeCast for uint256;
    using BitMaps for BitMaps.BitMap;
    using Shares for Sales;

    /// @notice Where a model stands.
    enum State {
        None,
        Recruiting,
        Training,
        Trained,
        Serving,
        Retired,
        Aborted
    }

    /// @notice Where a query stands.
    enum QueryState {
        None,
        Funded,
        Settled,
        Refunded
    }

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
    struct Terms {
        uint96 instantPayment;
        uint96 queryPrice;
        uint16 donorsBps;
        uint16 trainerBps;
        uint16 runnerBps;
        uint16 minDonors;
        uint16 maxDonors;
        uint32 queryTimeout;
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
    /// @param modelHash Hash of the trained model, 0 before.
    /// @param terms What the trainer offers.
    /// @param feeBps The fee, in 1/10,000 of the price of a query.
    struct ModelInfo {
        address trainer;
        State state;
        uint16 donors;
        uint48 totalWeight;
        uint16 servings;
        uint32 settled;
        address queryEnclave;
        bytes32 whitePaperHash;
        bytes32 modelHash;
        Terms terms;
        uint16 feeBps;
    }

    /// @notice One donor of one model, for readers.
    /// @param payee Account that is paid; a pseudonym for this model.
    /// @param weight Share in the donors' part, relative to `totalWeight`.
    /// @param enclave The training enclave which took the data; zero when its use ended before training did.
    /// @param instantPaid Whether the instant payment was paid out.
    /// @param queriesPaid Of how many settled queries the share was paid out.
    struct DonorInfo {
        address payee;
        uint32 weight;
        address enclave;
        bool instantPaid;
        uint32 queriesPaid;
    }

    /// @notice One query, in one storage slot. Its price is in the terms of the model.
    /// @param user Who paid.
    /// @param deadline Unix seconds; up to then it can be settled, after it refunded.
    /// @param modelId The model.
    /// @param serving Which enclave answers: the one that served when the query was bought.
    /// @param state Where it stands.
    struct Query {
        address user;
        uint40 deadline;
        uint32 modelId;
        uint16 serving;
        QueryState state;
    }

    // Most calls touch one or two slots of it; the order of fields is for that.
    struct Model {
        // first slot: all that donating needs
        address trainer;
        State state;
        uint16 donors;
        uint16 maxDonors;
        uint48 totalWeight;
        // second slot
        Sales sales;
        // third slot
        uint96 instantPayment;
        uint16 minDonors;
        // The fees of so many settled queries were paid out.
        uint32 feesCollected;
        bytes32 whitePaperHash;
        bytes32 modelHash;
    }

    /// @notice Seconds after the deadline of the latest round after which anybody may end the training of a model which
    /// its trainer left behind with donors to be paid.
    uint256 public constant ABANDONED_AFTER = 30 days;

    mapping(uint256 modelId => Model) private _models;
    mapping(uint256 modelId => mapping(uint256 index => Donor)) private _donors;
    mapping(uint256 modelId => BitMaps.BitMap) private _donated;
    mapping(uint256 modelId => mapping(uint256 serving => address enclave)) private _servings;
    mapping(bytes32 queryId => Query) private _queries;

    /// @notice A model was proposed and its deposit taken.
    event ModelProposed(
        uint256 indexed modelId, address indexed trainer, bytes32 whitePaperHash, Terms terms, uint256 deposit
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
    /// @param t What is offered; it never changes afterwards.
    /// @return modelId Running number from 1.
    function propose(bytes32 whitePaperHash, Terms calldata t)
        external
        nonReentrant
        whenNotPaused
        returns (uint256 modelId)
    {
        members.requireRole(msg.sender, Roles.TRAINER);
        if (address(rounds) == address(0)) revert RoundsNotSet();
        if (whitePaperHash == 0) revert ZeroHash();
        uint256 sum = uint256(t.donorsBps) + t.trainerBps + t.runnerBps;
        if (sum != Shares.BPS) revert SharesDoNotAddUp(sum);
        if (t.minDonors == 0 || t.maxDonors < t.minDonors) revert InvalidDonorLimits(t.minDonors, t.maxDonors);
        if (t.queryTimeout == 0) revert ZeroTimeout();

        modelId = ++modelCount;
        Model storage m = _models[modelId];
        m.trainer = msg.sender;
        m.state = State.Recruiting;
        uint16 fee = feeBps;
        m.sales = Sales(t.queryPrice, t.donorsBps, t.trainerBps, fee, 0, t.queryTimeout, 0, false, false);
        m.instantPayment = t.instantPayment;
        m.minDonors = t.minDonors;
        m.maxDonors = t.maxDonors;
        m.whitePaperHash = whitePaperHash;
        // The proposer pays for the slot which the next donors will most likely share.
        _donated[modelId].set(_bucket(datasets.count()));
        uint256 deposit = uint256(t.instantPayment) * t.maxDonors;
        emit ModelProposed(modelId, msg.sender, whitePaperHash, t, deposit);
        if (fee != 0) emit ModelFee(modelId, fee);
        _take(deposit);
    }

    /// @notice Records a donation. The owner of the dataset calls, once per dataset and model.
    /// @param modelId A model that recruits.
    /// @param datasetId A dataset of the caller that is not withdrawn.
    /// @param payee Account to be paid; better a fresh one for this model than the caller's.
    /// @param weight Share in the donors' part, as measured by the enclave.
    /// @param enclave The live training enclave which has the data.
    /// @param signature EIP-712 `DonationReceipt` by that enclave.
    /// @return donorIndex Number of the donor, from 1.
    function donate(
        uint256 modelId,
        bytes32 datasetId,
        address payee,
        uint32 weight,
        address enclave,
        bytes calldata signature
    ) external returns (uint16 donorIndex) {
        address owner;
        (owner, donorIndex) = _donate(modelId, datasetId, payee, weight, enclave, signature);
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
        (owner, donorIndex) = _donate(
            consent.modelId, consent.datasetId, consent.payee, consent.weight, consent.enclave, enclaveSignature
        );
        _checkConsent(owner, consent.deadline, Receipts.consent(consent), ownerSignature);
    }

    /// @notice Makes a withdrawn dataset take part in no further round of a model that it was donated to. Anybody may call,
    /// once the dataset is withdrawn. (Asking the register for each update instead would cost every donor.)
    function endUse(uint256 modelId, uint16 donorIndex) external {
        Model storage m = _known(modelId);
        if (m.state != State.Recruiting && m.state != State.Training) revert WrongState(modelId, m.state);
        Donor storage d = _donor(modelId, donorIndex);
        // Nobody was paid yet, so `paid` holds the number of the dataset.
        datasets.requireWithdrawn(d.paid - Shares.UNPAID);
        if (d.enclave == 0) revert UseEnded(modelId, donorIndex);
        // No enclave has this number.
        d.enclave = 0;
        emit DonorUseEnded(modelId, donorIndex);
    }

    /// @notice Ends recruiting. Trainer only; needs `minDonors`.
    function startTraining(uint256 modelId) external {
        Model storage m = _inState(modelId, State.Recruiting);
        _onlyTrainer(modelId, m);
        if (m.donors < m.minDonors) revert TooFewDonors(modelId, m.donors, m.minDonors);
        m.state = State.Training;
        emit TrainingStarted(modelId, m.donors, m.totalWeight);
    }

    /// @notice Ends training. Trainer only; the latest round must be final with this model. From then on each donor
    /// can claim the instant payment, and the trainer the rest of the deposit.
    function finishTraining(uint256 modelId, bytes32 modelHash) external {
        Model storage m = _inState(modelId, State.Training);
        _onlyTrainer(modelId, m);
        (uint32 round, RoundStatus status, bytes32 roundModelHash) = rounds.outcome(modelId);
        if (status != RoundStatus.Final || roundModelHash != modelHash) {
            revert NotFinal(modelId, round, status, roundModelHash);
        }
        m.state = State.Trained;
        m.modelHash = modelHash;
        uint256 rest = uint256(m.instantPayment) * (m.maxDonors - m.donors);
        _credit(m.trainer, rest);
        emit TrainingFinished(modelId, modelHash, rest);
    }

    /// @notice Gives a model up. As long as the sum of no round was open, the whole deposit goes back to the trainer.
    /// Afterwards the trainer has, or could have, a model made from the data: each donor can claim the instant payment
    /// as after training, and the trainer gets the rest of the deposit; unless the donors missed the latest round (see
    /// `IRounds.progress`), which makes the whole deposit the trainer's again. A trainer cannot make a round fail by
    /// asking for more than before; one who keeps the model from some donors can, which the ledger does not see. Nor does
    /// it see what the committee opened behind its back; that a quorum of it does not do so is assumed everywhere.
    ///
    /// The trainer may at any time before the end of training. Anybody may while nothing was opened and the latest
    /// round has failed; and when something was opened, `ABANDONED_AFTER` the deadline of the latest round.
    function abortTraining(uint256 modelId) external {
        Model storage m = _known(modelId);
        if (m.state != State.Recruiting && m.state != State.Training) revert WrongState(modelId, m.state);
        (uint32 opened, uint64 deadline, bool missed) = rounds.progress(modelId);
        if (msg.sender != m.trainer) {
            (, RoundStatus status,) = rounds.outcome(modelId);
            bool may = opened == 0 ? status == RoundStatus.Failed : block.timestamp > deadline + ABANDONED_AFTER;
            if (!may) revert NotTrainer(modelId, msg.sender);
        }
        m.state = State.Aborted;
        uint256 rest = uint256(m.instantPayment) * m.maxDonors;
        if (opened != 0 && !missed) {
            m.sales.owedAfterAbort = true;
            rest = uint256(m.instantPayment) * (m.maxDonors - m.donors);
        }
        _credit(m.trainer, rest);
        emit TrainingAborted(modelId, msg.sender, rest);
    }

    /// @notice Names the enclave that answers from now on. Trainer only. Queries sold before stay with the enclave
    /// which they were sold for.
    /// @param queryEnclave A live query enclave; its operator is the runner and gets the runner's part.
    function serve(uint256 modelId, address queryEnclave) external {
        Model storage m = _known(modelId);
        _onlyTrainer(modelId, m);
        if (m.state != State.Trained && m.state != State.Serving) revert WrongState(modelId, m.state);
        (address runner,) = enclaves.requireLive(queryEnclave, Kinds.QUERY);
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
    /// @return queryId `queryIdOf(caller, codeHash)`; it can be used once.
    function buy(uint256 modelId, bytes32 codeHash) external nonReentrant whenNotPaused returns (bytes32 queryId) {
        Model storage m = _models[modelId];
        if (!m.sales.open) revert WrongState(modelId, _known(modelId).state);
        if (codeHash == 0) revert ZeroHash();
        queryId = queryIdOf(msg.sender, codeHash);
        if (_queries[queryId].state != QueryState.None) revert CodeUsed(queryId);
        uint40 deadline = (block.timestamp + m.sales.timeout).toUint40();
        uint16 serving = m.sales.servings;
        _queries[queryId] = Query(msg.sender, deadline, modelId.toUint32(), serving, QueryState.Funded);
        uint256 price = m.sales.price;
        emit QueryBought(queryId, modelId, msg.sender, codeHash, price, deadline, _servings[modelId][serving]);
        _take(price);
    }

    /// @notice Shares out the price of an answered query. Anybody may deliver the receipt, until the deadline.
    /// @param jobId The job in which the enclave answered.
    /// @param outputHash Hash of the sealed answer.
    /// @param signature EIP-712 `QueryReceipt` by the enclave for which the query was sold; it must still be live.
    function settle(bytes32 queryId, bytes32 jobId, bytes32 outputHash, bytes calldata signature) external {
        Query memory q = _funded(queryId);
        if (block.timestamp > q.deadline) revert TooLate(queryId, q.deadline);
        address enclave = _servings[q.modelId][q.serving];
        (address runner,) = enclaves.requireLive(enclave, Kinds.QUERY);
        _checkSignature(enclave, Receipts.query(queryId, q.modelId, jobId, outputHash), signature);
        _queries[queryId].state = QueryState.Settled;

        Model storage m = _models[q.modelId];
        (uint256 donorsShare, uint256 trainerShare, uint256 runnerShare,) = m.sales.split();
        uint32 settled = m.sales.settled + 1;
        // The price can still be refunded.
        if (settled >= Shares.UNPAID) revert CounterFull();
        m.sales.settled = settled;
        _credit(m.trainer, trainerShare);
        _credit(runner, runnerShare);
        emit QuerySettled(queryId, q.modelId, jobId, outputHash, donorsShare, trainerShare, runnerShare);
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
            modelHash: m.modelHash,
            terms: Terms({
                instantPayment: m.instantPayment,
                queryPrice: m.sales.price,
                donorsBps: m.sales.donorsBps,
                trainerBps: m.sales.trainerBps,
                runnerBps: runnerBps,
                minDonors: m.minDonors,
                maxDonors: m.maxDonors,
                queryTimeout: m.sales.timeout
            }),
            feeBps: m.sales.feeBps
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

    /// @notice The running number of the training enclave which took the data of a donor, 0 when the use of it ended.
    function donorEnclave(uint256 modelId, uint16 donorIndex) external view returns (uint32) {
        return _donor(modelId, donorIndex).enclave;
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
        uint32 weight,
        address enclave,
        bytes calldata signature
    ) private whenNotPaused returns (address owner, uint16 donorIndex) {
        Model storage m = _inState(modelId, State.Recruiting);
        if (payee == address(0)) revert ZeroAddress();
        if (payee == address(this)) revert OwnAddress();
        if (weight == 0) revert ZeroWeight();
        donorIndex = m.donors;
        if (donorIndex == m.maxDonors) revert DonorsFull(modelId, donorIndex);
        uint32 number;
        (owner, number) = datasets.requireUsable(datasetId);
        if (number >= Shares.UNPAID) revert CounterFull();
        BitMaps.BitMap storage donated = _donated[modelId];
        uint256 bit = _bucket(number) + 1 + number % 255;
        if (donated.get(bit)) revert AlreadyDonated(modelId, datasetId);
        donated.set(bit);
        (, uint32 enclaveNumber) = enclaves.requireLive(enclave, Kinds.TRAINING);
        _checkSignature(enclave, Receipts.donation(modelId, datasetId, payee, weight), signature);

        m.donors = ++donorIndex;
        m.totalWeight += weight;
        _donors[modelId][donorIndex] = Donor(payee, weight, enclaveNumber, Shares.UNPAID | number);
        emit Donated(modelId, datasetId, payee, donorIndex, weight, enclave);
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

    // A slot of `_donated` holds 255 datasets; bit 0, whose index this is, belongs to none of them.
    function _bucket(uint32 datasetNumber) private pure returns (uint256) {
        return uint256(datasetNumber) / 255 * 256;
    }
}
