// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Enclaves} from "./Enclaves.sol";
import {Members, Roles} from "./Members.sol";
import {Kinds} from "./Programs.sol";
import {Signed} from "./Signed.sol";

/// @title Validated data that somebody may be allowed to use.
/// @notice Kept here: a salted commitment and hashes of off-chain documents. Destroying salt and key erases the data;
/// what stays here then says nothing.
contract Datasets is Signed {
    /// @notice One dataset.
    /// @param owner The member who registered it.
    /// @param number Running number from 1.
    /// @param rows Number of records.
    /// @param quality Quality level that the validation program measured.
    /// @param withdrawn Whether the owner took it back.
    /// @param root Commitment to the content.
    /// @param reportHash Hash of the validation report.
    /// @param policyHash Hash of the consent policy in force.
    struct Dataset {
        address owner;
        uint32 number;
        uint32 rows;
        uint8 quality;
        bool withdrawn;
        bytes32 root;
        bytes32 reportHash;
        bytes32 policyHash;
    }

    bytes32 private constant VALIDATION_TYPEHASH =
        keccak256("ValidationReceipt(address owner,bytes32 root,bytes32 reportHash,uint32 rows,uint8 quality)");

    /// @notice The register of members.
    Members public immutable members;
    /// @notice The register of enclaves.
    Enclaves public immutable enclaves;
    /// @notice How many datasets were ever registered.
    uint32 public count;

    mapping(bytes32 id => Dataset) private _datasets;

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
    /// @notice A dataset was taken back.
    event DatasetWithdrawn(bytes32 indexed id);

    /// @notice This owner registered this commitment already.
    error DatasetAlreadyRegistered(bytes32 id);
    /// @notice No dataset has this id.
    error DatasetNotRegistered(bytes32 id);
    /// @notice The dataset was taken back.
    error DatasetIsWithdrawn(bytes32 id);
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
    /// @param signature EIP-712 `ValidationReceipt` by that enclave, which names the caller.
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
        if (root == 0 || reportHash == 0 || policyHash == 0) revert ZeroHash();
        if (rows == 0) revert NoRows();
        id = idOf(msg.sender, root);
        if (_datasets[id].owner != address(0)) revert DatasetAlreadyRegistered(id);
        enclaves.requireLive(enclave, Kinds.VALIDATION);
        bytes32 receipt = keccak256(abi.encode(VALIDATION_TYPEHASH, msg.sender, root, reportHash, rows, quality));
        _checkSignature(enclave, receipt, signature);
        uint32 number = ++count;
        _datasets[id] = Dataset(msg.sender, number, rows, quality, false, root, reportHash, policyHash);
        emit DatasetRegistered(id, msg.sender, enclave, number, root, reportHash, policyHash, rows, quality);
    }

    /// @notice Replaces the consent policy. Owner only. It does not reach back: donations made before stay.
    function setPolicy(bytes32 id, bytes32 policyHash) external {
        Dataset storage d = _owned(id);
        if (d.withdrawn) revert DatasetIsWithdrawn(id);
        if (policyHash == 0) revert ZeroHash();
        d.policyHash = policyHash;
        emit PolicyChanged(id, policyHash);
    }

    /// @notice Takes a dataset back for good. Owner only, at any time.
    function withdraw(bytes32 id) external {
        Dataset storage d = _owned(id);
        if (d.withdrawn) revert DatasetIsWithdrawn(id);
        d.withdrawn = true;
        emit DatasetWithdrawn(id);
    }

    /// @notice Reverts unless the dataset is registered and not withdrawn.
    /// @return owner Its owner.
    /// @return number Its running number.
    function requireUsable(bytes32 id) external view returns (address owner, uint32 number) {
        Dataset storage d = _datasets[id];
        owner = d.owner;
        number = d.number;
        if (owner == address(0)) revert DatasetNotRegistered(id);
        if (d.withdrawn) revert DatasetIsWithdrawn(id);
    }

    /// @notice Everything kept about a dataset; all zero when it is unknown.
    function dataset(bytes32 id) external view returns (Dataset memory) {
        return _datasets[id];
    }

    /// @notice The id of the dataset with commitment `root` of `owner`: keccak256(abi.encode(owner, root)).
    function idOf(address owner, bytes32 root) public pure returns (bytes32) {
        return keccak256(abi.encode(owner, root));
    }

    function _owned(bytes32 id) private view returns (Dataset storage d) {
        d = _datasets[id];
        if (d.owner == address(0)) revert DatasetNotRegistered(id);
        if (d.owner != msg.sender) revert NotDatasetOwner(id, msg.sender);
    }
}
