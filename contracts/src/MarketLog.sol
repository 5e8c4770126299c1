// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title What the market reports: its events and errors, except those which need its types.
abstract contract MarketLog {
    /// @notice The contract with the training rounds was set.
    event RoundsSet(address rounds);
    /// @notice The fee of models that are proposed from now on, and who gets the fees of all models.
    event FeeSet(uint16 bps, address treasury);
    /// @notice Of the price of each query of this model, just proposed, `bps` / 10,000 are the fee. Without a fee there
    /// is no such event.
    event ModelFee(uint256 indexed modelId, uint16 bps);
    /// @notice The fees of a model were paid to the treasury.
    event FeesCollected(uint256 indexed modelId, address indexed treasury, uint256 amount);
    /// @notice A dataset was donated to a model: the version of it which `root` commits to. This event joins the
    /// dataset and the account that is paid in public; an account made for one model keeps models apart, not those two.
    /// `decision` is the hash of the owner's record of why it allows this, which is older than this event.
    event Donated(
        uint256 indexed modelId,
        bytes32 indexed datasetId,
        address indexed payee,
        uint16 donorIndex,
        uint32 weight,
        address enclave,
        bytes32 root,
        bytes32 decision
    );
    /// @notice Recruiting is over.
    event TrainingStarted(uint256 indexed modelId, uint16 donors, uint48 totalWeight);
    /// @notice The enclave that all data of this model is brought to, and who runs it.
    event TrainingHosted(uint256 indexed modelId, address indexed enclave, address indexed runner);
    /// @notice The enclave that has the data of all donors has made the model; `statementHash` is the hash of what it says
    /// about it: whose data it used, and that it has destroyed all of it. `TrainingFinished` follows.
    event HostedModel(uint256 indexed modelId, address indexed enclave, bytes32 statementHash);
    /// @notice Donors can claim their instant payments; the unused deposit went back to the trainer.
    event TrainingFinished(uint256 indexed modelId, bytes32 modelHash, uint256 depositReturned);
    /// @notice The model was given up. The whole deposit went back to the trainer, or what the instant payments of the
    /// donors leave of it (`Market.abortTraining`).
    event TrainingAborted(uint256 indexed modelId, address indexed by, uint256 depositReturned);
    /// @notice An enclave answers queries from now on.
    event ModelServed(uint256 indexed modelId, address indexed enclave, address indexed runner, uint16 serving);
    /// @notice The dataset of a donor was withdrawn and is in no further round.
    event DonorUseEnded(uint256 indexed modelId, uint16 indexed donorIndex);
    /// @notice This donor takes part in nothing any more and is paid nothing: the committee named it, the trainer refused it
    /// while the model recruited, or its dataset was withdrawn before a sum was open; `weight` was taken off the sum of the
    /// weights.
    event DonorExcluded(uint256 indexed modelId, uint16 indexed donorIndex, uint32 weight);
    /// @notice The trainer refused a donor and with it everything of its owner, while the model recruited. One that had left
    /// already leaves no other trace.
    event DonorRefused(uint256 indexed modelId, address indexed owner, uint16 donorIndex);
    /// @notice No new queries are sold.
    event ModelRetired(uint256 indexed modelId);
    /// @notice A query was paid for.
    event QueryBought(
        bytes32 indexed queryId,
        uint256 indexed modelId,
        address indexed user,
        bytes32 codeHash,
        uint256 price,
        uint64 deadline,
        address enclave
    );
    /// @notice A query was answered and its price shared out. What the three shares leave of it is the fee.
    event QuerySettled(
        bytes32 indexed queryId,
        uint256 indexed modelId,
        bytes32 indexed jobId,
        bytes32 outputHash,
        uint256 donorsShare,
        uint256 trainerShare,
        uint256 runnerShare,
        bytes answer
    );
    /// @notice A query was not answered in time and its price returned.
    event QueryRefunded(bytes32 indexed queryId, uint256 indexed modelId, address indexed user, uint256 price);
    /// @notice A donor was paid.
    event DonorPaid(uint256 indexed modelId, uint16 indexed donorIndex, address indexed payee, uint256 amount);

    /// @notice An address that must be given is zero.
    error ZeroAddress();
    /// @notice Money for this contract itself would be nobody's.
    error OwnAddress();
    /// @notice No fee is higher than `max`, in 1/10,000.
    error FeeTooHigh(uint16 bps, uint16 max);
    /// @notice A hash that must be given is zero.
    error ZeroHash();
    /// @notice The rounds contract is set already.
    error RoundsAlreadySet(address rounds);
    /// @notice The rounds contract is not set yet.
    error RoundsNotSet();
    /// @notice The shares add up to `sum` and not to 10,000.
    error SharesDoNotAddUp(uint256 sum);
    /// @notice `minDonors` must be at least 1 and at most `maxDonors`.
    error InvalidDonorLimits(uint16 minDonors, uint16 maxDonors);
    /// @notice `minSurvivors` must be at least 2 and at most `minDonors`: the sum over one donor is its data.
    error InvalidMinSurvivors(uint16 minSurvivors, uint16 minDonors);
    /// @notice In this model each owner has an enclave of its own, and a committee opens the sums.
    error NotHosted(uint256 modelId);
    /// @notice All data of this model is brought to one enclave: there are no sums, and nobody to open them.
    error NoCommittee(uint256 modelId);
    /// @notice The enclave that all data is brought to was named before; there is one for a model.
    error HostNamed(uint256 modelId);
    /// @notice All data of this model is brought to another enclave, or that was not named yet.
    error OtherHost(uint256 modelId, address enclave);
    /// @notice The donors that were not used are not ascending, or this one's use has not ended, or it was excluded before.
    error StillInUse(uint256 modelId, uint16 donorIndex);
    /// @notice A query needs time to be answered.
    error ZeroTimeout();
    /// @notice A user would wait for its price for longer than a query may take.
    error TimeoutTooLong(uint32 queryTimeout, uint256 longest);
    /// @notice No model has this id.
    error UnknownModel(uint256 modelId);
    /// @notice Only the trainer of the model may do this.
    error NotTrainer(uint256 modelId, address account);
    /// @notice Only the owner of the dataset may donate it.
    error NotDatasetOwner(bytes32 datasetId, address account);
    /// @notice The owner has consented to the version `consented`; the register knows `current` now.
    error OtherVersion(bytes32 datasetId, bytes32 consented, bytes32 current);
    /// @notice The trainer refused a donor of this owner.
    error OwnerRefused(uint256 modelId, address owner);
    /// @notice This donor donated another dataset.
    error OtherDataset(uint256 modelId, uint16 donorIndex, bytes32 datasetId);
    /// @notice The dataset was donated to this model already.
    error AlreadyDonated(uint256 modelId, bytes32 datasetId);
    /// @notice The model has all the donors that it wanted.
    error DonorsFull(uint256 modelId, uint16 maxDonors);
    /// @notice The dataset has rows times quality 0, so nothing would be due for it.
    error ZeroWeight();
    /// @notice This enclave has a place in this model already; each holds one.
    error EnclaveTaken(uint256 modelId, address enclave);
    /// @notice The model has `donors` and needs `minDonors`.
    error TooFewDonors(uint256 modelId, uint16 donors, uint16 minDonors);
    /// @notice This user bought a query with this code before.
    error CodeUsed(bytes32 queryId);
    /// @notice No query has this id.
    error UnknownQuery(bytes32 queryId);
    /// @notice The deadline has passed; the query can only be refunded.
    error TooLate(bytes32 queryId, uint64 deadline);
    /// @notice The deadline has not passed; the query can still be settled.
    error TooEarly(bytes32 queryId, uint64 deadline);
    /// @notice The model has no donor with this number.
    error UnknownDonor(uint256 modelId, uint16 donorIndex);
    /// @notice The model is served by `serving` now and not by the enclave that the buyer trusts.
    error OtherEnclave(uint256 modelId, address enclave, address serving);
    /// @notice Only the contract with the training rounds may do this.
    error NotRounds(address account);
    /// @notice The dataset with this running number was not taken back.
    error DatasetNotWithdrawn(uint32 number);
    /// @notice The use of this donor's dataset ended: it was withdrawn, or the donor was named.
    error UseEnded(uint256 modelId, uint16 donorIndex);
    /// @notice A running number does not fit into 31 bits.
    error CounterFull();
}
