// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";
import {Consent} from "./Consent.sol";
import {Enclaves} from "./Enclaves.sol";
import {Members, Roles} from "./Members.sol";
import {Kinds} from "./Programs.sol";

/// @title Validated data that somebody may be allowed to use.
/// @notice Kept here: a salted commitment and hashes of off-chain documents. Destroying salt and key erases the data;
/// what stays here then says nothing.
///
/// Withdrawing stops every later use: enclaves, which read this register, take it no more, no model accepts it, and
/// the updates of the models that it was donated to are refused and taken out (`Market.endUse`). It does not reach back:
/// a model trained before keeps what it learnt, and the donor keeps the share in that model. Erasing says more: salt, key
/// and data are gone, so that the commitment here can never again be connected with anything.
///
/// The id of a dataset is its lineage: it stays the same however often the content is corrected or grows, and each root
/// is one version of it. The validation enclave says in its receipt which lineage the content continues, none or this
/// one, so that nobody registers what it recognizes a second time as something new.
contract Datasets is Consent {
    using BitMaps for BitMaps.BitMap;

    /// @notice One dataset.
    /// @param owner The member who registered it.
    /// @param number Running number from 1.
    /// @param rows Number of records.
    /// @param quality Quality level that the validation program measured.
    /// @param withdrawn Whether the owner took it back.
    /// @param version How often the content was replaced: the root is this version of the lineage.
    /// @param root Commitment to the content.
    /// @param reportHash Hash of the validation report.
    /// @param policyHash Hash of the consent policy in force.
    struct Dataset {
        address owner;
        uint32 number;
        uint32 rows;
        uint8 quality;
        bool withdrawn;
        uint16 version;
        bytes32 root;
        bytes32 reportHash;
        bytes32 policyHash;
    }

    bytes32 private constant VALIDATION_TYPEHASH = keccak256(
        "ValidationReceipt(address owner,bytes32 root,bytes32 reportHash,uint32 rows,uint8 quality,bytes32 replaces)"
    );

    bytes32 private constant WITHDRAWAL_TYPEHASH = keccak256("WithdrawalConsent(bytes32 datasetId,uint256 deadline)");

    /// @notice The register of members.
    Members public immutable members;
    /// @notice The register of enclaves.
    Enclaves public immutable enclaves;
    /// @notice How many datasets were ever registered.
    uint32 public count;

    mapping(bytes32 id => Dataset) private _datasets;
    // By `idOf(owner, root)`: the dataset that was updated to this root.
    mapping(bytes32 id => bytes32) private _updatedTo;
    mapping(bytes32 id => uint40) private _erasedAt;
    // Bit n is the dataset with running number n.
    BitMaps.BitMap private _withdrawn;

    /// @notice A dataset was registered.
    event DatasetRegistered(
        bytes32 indexed id,
        address indexed owner,
        address indexed enclave,
        uint32 number,
        bytes32 root,
        bytes32 reportHash,
        bytes32 policyHash,
        uint32 rows,
        uint8 quality
    );
    /// @notice The consent policy of a dataset was replaced.
    event PolicyChanged(bytes32 indexed id, bytes32 policyHash);
    /// @notice A dataset was validated anew: corrected, or with more records. Its id and running number stay.
    event DatasetUpdated(
        bytes32 indexed id,
        address indexed enclave,
        bytes32 root,
        bytes32 reportHash,
        uint32 rows,
        uint8 quality,
        uint16 version
    );
    /// @notice A dataset was taken back.
    event DatasetWithdrawn(bytes32 indexed id);
    /// @notice The owner declares that salt, key and data are destroyed.
    event DatasetErased(bytes32 indexed id);

    /// @notice This owner registered this commitment already.
    error DatasetAlreadyRegistered(bytes32 id);
    /// @notice No dataset has this id.
    error DatasetNotRegistered(bytes32 id);
    /// @notice The dataset was taken back.
    error DatasetIsWithdrawn(bytes32 id);
    /// @notice The dataset is marked as erased already.
    error DatasetIsErased(bytes32 id);
    /// @notice Only whom the access manager lets do it at once may do this.
    error NotManager(address account);
    /// @notice Only the owner may do this.
    error NotDatasetOwner(bytes32 id, address account);
    /// @notice A hash that must be given is zero.
    error ZeroHash();
    /// @notice A dataset without rows.
    error NoRows();

    constructor(Members members_, Enclaves enclaves_) {
        members = members_;
        enclaves = enclaves_;
    }

    /// @notice Registers a dataset of the calling OWNER.
    /// @param root Commitment to the content.
    /// @param reportHash Hash of the validation report.
    /// @param policyHash Hash of the consent policy.
    /// @param rows Number of records.
    /// @param quality Quality level.
    /// @param enclave A live validation enclave.
    /// @param signature EIP-712 `ValidationReceipt` by that enclave, which names the caller and replaces nothing.
    /// @return id `idOf(owner, root)`.
    function register(
        bytes32 root,
        bytes32 reportHash,
        bytes32 policyHash,
        uint32 rows,
        uint8 quality,
        address enclave,
        bytes calldata signature
    ) external returns (bytes32 id) {
        members.requireRole(msg.sender, Roles.OWNER);
        if (policyHash == 0) revert ZeroHash();
        id = idOf(msg.sender, root);
        _checkReceipt(id, root, reportHash, rows, quality, 0, enclave, signature);
        uint32 number = ++count;
        _datasets[id] = Dataset(msg.sender, number, rows, quality, false, 0, root, reportHash, policyHash);
        emit DatasetRegistered(id, msg.sender, enclave, number, root, reportHash, policyHash, rows, quality);
    }

    /// @notice Replaces the content of a dataset by a newly validated one. Owner only. Id, running number and policy stay,
    /// so that nobody donates the same records twice to a model by updating them in between; donations made before are
    /// of the content that was registered then.
    /// @param id The dataset.
    /// @param root Commitment to the new content; each is accepted once per owner, so no old report comes back.
    /// @param reportHash Hash of the new validation report.
    /// @param rows Number of records.
    /// @param quality Quality level.
    /// @param enclave A live validation enclave.
    /// @param signature EIP-712 `ValidationReceipt` by that enclave, which names the caller and replaces `id`.
    function update(
        bytes32 id,
        bytes32 root,
        bytes32 reportHash,
        uint32 rows,
        uint8 quality,
        address enclave,
        bytes calldata signature
    ) external {
        members.requireRole(msg.sender, Roles.OWNER);
        Dataset storage d = _owned(id);
        if (d.withdrawn) revert DatasetIsWithdrawn(id);
        bytes32 updated = idOf(msg.sender, root);
        _checkReceipt(updated, root, reportHash, rows, quality, id, enclave, signature);
        _updatedTo[updated] = id;
        uint16 version = d.version + 1;
        d.rows = rows;
        d.quality = quality;
        d.version = version;
        d.root = root;
        d.reportHash = reportHash;
        emit DatasetUpdated(id, enclave, root, reportHash, rows, quality, version);
    }

    /// @notice Replaces the consent policy. Owner only. It does not reach back: donations made before stay.
    function setPolicy(bytes32 id, bytes32 policyHash) external {
        Dataset storage d = _owned(id);
        if (d.withdrawn) revert DatasetIsWithdrawn(id);
        if (policyHash == 0) revert ZeroHash();
        d.policyHash = policyHash;
        emit PolicyChanged(id, policyHash);
    }

    /// @notice Takes a dataset back for good. Owner only, at any time, member or not. See the top for what it means.
    function withdraw(bytes32 id) external {
        Dataset storage d = _owned(id);
        if (d.withdrawn) revert DatasetIsWithdrawn(id);
        _withdraw(id, d);
    }

    /// @notice Takes a dataset back for good for its owner, who signed it. Anybody may send it.
    /// @param deadline Unix seconds; the consent counts until then.
    /// @param signature EIP-712 `WithdrawalConsent` by the owner, which may be a contract wallet.
    function withdrawFor(bytes32 id, uint256 deadline, bytes calldata signature) external {
        Dataset storage d = _datasets[id];
        address owner = d.owner;
        if (owner == address(0)) revert DatasetNotRegistered(id);
        if (d.withdrawn) revert DatasetIsWithdrawn(id);
        _checkConsent(owner, deadline, keccak256(abi.encode(WITHDRAWAL_TYPEHASH, id, deadline)), signature);
        _withdraw(id, d);
    }

    /// @notice Takes a dataset back for good which its owner does not: one that no believed enclave has validated, or of which
    /// the validation enclaves keep the sketch to themselves, holds up the validation of all others. Whom the access
    /// manager names: governance.
    function strike(bytes32 id) external {
        if (!members.mayManage(msg.sender, address(this), msg.sig)) revert NotManager(msg.sender);
        Dataset storage d = _datasets[id];
        if (d.owner == address(0)) revert DatasetNotRegistered(id);
        if (d.withdrawn) revert DatasetIsWithdrawn(id);
        _withdraw(id, d);
    }

    /// @notice Declares that salt, key and data of a dataset are destroyed, and withdraws it. Owner only, once. The chain
    /// cannot see whether it is true; it keeps when it was said.
    function markErased(bytes32 id) external {
        Dataset storage d = _owned(id);
        if (_erasedAt[id] != 0) revert DatasetIsErased(id);
        if (!d.withdrawn) _withdraw(id, d);
        _erasedAt[id] = uint40(block.timestamp);
        emit DatasetErased(id);
    }

    /// @notice Reverts unless the dataset is registered and not withdrawn.
    /// @return owner Its owner.
    /// @return number Its running number.
    /// @return weight What it counts for where it is donated: its rows times its quality, at most 2^32 - 1.
    /// @return root Commitment to the content of now.
    function requireUsable(bytes32 id)
        external
        view
        returns (address owner, uint32 number, uint32 weight, bytes32 root)
    {
        Dataset storage d = _datasets[id];
        owner = d.owner;
        number = d.number;
        uint256 product = uint256(d.rows) * d.quality;
        // forge-lint: disable-next-line(unsafe-typecast) what does not fit is replaced by what does.
        weight = product > type(uint32).max ? type(uint32).max : uint32(product);
        if (owner == address(0)) revert DatasetNotRegistered(id);
        if (d.withdrawn) revert DatasetIsWithdrawn(id);
        root = d.root;
    }

    /// @notice Whether the dataset with this running number was withdrawn.
    function isWithdrawn(uint32 number) external view returns (bool) {
        return _withdrawn.get(number);
    }

    /// @notice When the owner declared a dataset erased, unix seconds; 0 when it was not.
    function erasedAt(bytes32 id) external view returns (uint64) {
        return _erasedAt[id];
    }

    /// @notice Everything kept about a dataset; all zero when it is unknown.
    function dataset(bytes32 id) external view returns (Dataset memory) {
        return _datasets[id];
    }

    /// @notice The id of the dataset with commitment `root` of `owner`: keccak256(abi.encode(owner, root)).
    function idOf(address owner, bytes32 root) public pure returns (bytes32) {
        return keccak256(abi.encode(owner, root));
    }

    function _withdraw(bytes32 id, Dataset storage d) private {
        d.withdrawn = true;
        _withdrawn.set(d.number);
        emit DatasetWithdrawn(id);
    }

    // `id` is that of the caller and `root`.
    function _checkReceipt(
        bytes32 id,
        bytes32 root,
        bytes32 reportHash,
        uint32 rows,
        uint8 quality,
        bytes32 replaces,
        address enclave,
        bytes calldata signature
    ) private view {
        if (root == 0 || reportHash == 0) revert ZeroHash();
        if (rows == 0) revert NoRows();
        if (_datasets[id].owner != address(0) || _updatedTo[id] != 0) revert DatasetAlreadyRegistered(id);
        enclaves.requireLive(enclave, Kinds.VALIDATION);
        bytes32 receipt =
            keccak256(abi.encode(VALIDATION_TYPEHASH, msg.sender, root, reportHash, rows, quality, replaces));
        _checkSignature(enclave, receipt, signature);
    }

    function _owned(bytes32 id) private view returns (Dataset storage d) {
        d = _datasets[id];
        if (d.owner == address(0)) revert DatasetNotRegistered(id);
        if (d.owner != msg.sender) revert NotDatasetOwner(id, msg.sender);
    }
}
