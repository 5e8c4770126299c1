// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Members, Roles} from "./Members.sol";
import {Programs} from "./Programs.sol";
import {Signed} from "./Signed.sol";

/// @title Running enclaves: one entry is one instance with its own keys.
/// @notice The chain does not appraise evidence. It records which evidence an operator claims for which key, and
/// everyone who releases data appraises that evidence first. Platform 0 is SIMULATED and protects nothing.
contract Enclaves is Signed {
    using SafeCast for uint256;

    /// @notice What an operator registers.
    /// @param signer Account of the secp256k1 key with which the enclave signs receipts.
    /// @param sealKey X25519 public key to which data for it is sealed.
    /// @param measurement The program that it runs.
    /// @param platform Kind of hardware; 0 is SIMULATED.
    /// @param evidenceHash Hash of the attestation evidence.
    /// @param expiresAt Unix seconds; from then on it is not live.
    struct Enclave {
        address signer;
        bytes32 sealKey;
        bytes32 measurement;
        uint8 platform;
        bytes32 evidenceHash;
        uint64 expiresAt;
    }

    /// @notice What is kept about an enclave.
    /// @param operator The member who runs it.
    /// @param expiresAt Unix seconds; from then on it is not live.
    /// @param number Running number from 1, by which other contracts name it in little space.
    /// @param platform Kind of hardware; 0 is SIMULATED.
    /// @param revoked Whether it may no longer be used.
    /// @param measurement The program that it runs.
    /// @param sealKey X25519 public key to which data for it is sealed.
    /// @param evidenceHash Hash of the latest attestation evidence.
    struct Instance {
        address operator;
        uint40 expiresAt;
        uint32 number;
        uint8 platform;
        bool revoked;
        bytes32 measurement;
        bytes32 sealKey;
        bytes32 evidenceHash;
    }

    bytes32 private constant REGISTRATION_TYPEHASH = keccak256(
        "EnclaveRegistration(address operator,bytes32 sealKey,bytes32 measurement,uint8 platform,bytes32 evidenceHash,uint64 expiresAt)"
    );

    /// @notice The register of members.
    Members public immutable members;
    /// @notice The register of programs.
    Programs public immutable programs;
    /// @notice How many enclaves were ever registered.
    uint32 public count;

    mapping(address signer => Instance) private _enclaves;
    mapping(uint256 number => address signer) private _signers;

    /// @notice An enclave was registered. `platform` 0 is SIMULATED.
    event EnclaveRegistered(
        address indexed signer,
        address indexed operator,
        bytes32 indexed measurement,
        uint32 number,
        bytes32 sealKey,
        uint8 platform,
        bytes32 evidenceHash,
        uint64 expiresAt
    );
    /// @notice An enclave showed new evidence.
    event EnclaveRefreshed(address indexed signer, bytes32 evidenceHash, uint64 expiresAt);
    /// @notice An enclave may no longer be used.
    event EnclaveRevoked(address indexed signer, address indexed by);

    /// @notice This key is registered already.
    error EnclaveAlreadyRegistered(address signer);
    /// @notice No enclave has this key.
    error EnclaveNotRegistered(address signer);
    /// @notice The enclave was revoked.
    error EnclaveIsRevoked(address signer);
    /// @notice The evidence of the enclave expired at `expiresAt`.
    error EnclaveExpired(address signer, uint64 expiresAt);
    /// @notice The expiry is in the past, or not later than the one it replaces.
    error ExpiryTooEarly(uint64 expiresAt, uint64 earliest);
    /// @notice Only the operator may do this.
    error NotOperator(address account, address operator);
    /// @notice Only the operator or whom the access manager names may do this.
    error NotOperatorOrManager(address account);
    /// @notice A key or hash that must be given is zero.
    error ZeroValue();

    constructor(Members members_, Programs programs_) {
        members = members_;
        programs = programs_;
    }

    /// @notice Registers an enclave. The caller, a RUNNER or OWNER, becomes its operator.
    /// @param e Its keys, program, evidence and expiry.
    /// @param signature EIP-712 `EnclaveRegistration` by `e.signer`, which names the caller: nobody can register a key
    /// that is not theirs, nor copy a pending registration.
    function register(Enclave calldata e, bytes calldata signature) external {
        members.requireRole(msg.sender, Roles.RUNNER | Roles.OWNER);
        if (e.signer == address(0) || e.sealKey == 0 || e.measurement == 0 || e.evidenceHash == 0) revert ZeroValue();
        if (_enclaves[e.signer].operator != address(0)) revert EnclaveAlreadyRegistered(e.signer);
        // A program that nobody audited, or that was revoked, gets no enclave at all.
        programs.requireUsable(e.measurement, programs.program(e.measurement).kind);
        if (e.expiresAt <= block.timestamp) revert ExpiryTooEarly(e.expiresAt, uint64(block.timestamp) + 1);
        uint32 number = ++count;
        Instance memory i = Instance({
            operator: msg.sender,
            expiresAt: uint256(e.expiresAt).toUint40(),
            number: number,
            platform: e.platform,
            revoked: false,
            measurement: e.measurement,
            sealKey: e.sealKey,
            evidenceHash: e.evidenceHash
        });
        _checkRegistration(e.signer, i, signature);
        _enclaves[e.signer] = i;
        _signers[number] = e.signer;
        emit EnclaveRegistered(
            e.signer, msg.sender, e.measurement, number, e.sealKey, e.platform, e.evidenceHash, e.expiresAt
        );
    }

    /// @notice Replaces evidence and expiry. Operator only; the enclave signs the new values, and the expiry only
    /// grows, so that an old signature cannot be used again.
    /// @param signature EIP-712 `EnclaveRegistration` by `signer` with the new values.
    function refresh(address signer, bytes32 evidenceHash, uint64 expiresAt, bytes calldata signature) external {
        Instance memory i = _known(signer);
        if (i.operator != msg.sender) revert NotOperator(msg.sender, i.operator);
        if (i.revoked) revert EnclaveIsRevoked(signer);
        if (evidenceHash == 0) revert ZeroValue();
        programs.requireAllowed(i.measurement, programs.program(i.measurement).kind);
        if (expiresAt <= i.expiresAt) revert ExpiryTooEarly(expiresAt, i.expiresAt + 1);
        if (expiresAt <= block.timestamp) revert ExpiryTooEarly(expiresAt, uint64(block.timestamp) + 1);
        i.evidenceHash = evidenceHash;
        i.expiresAt = uint256(expiresAt).toUint40();
        _checkRegistration(signer, i, signature);
        _enclaves[signer] = i;
        emit EnclaveRefreshed(signer, evidenceHash, expiresAt);
    }

    /// @notice Forbids an enclave for good. Its operator, or whom the access manager names: governance. An auditor alone
    /// does not: it would stop the trainings of others.
    function revoke(address signer) external {
        Instance storage i = _known(signer);
        if (i.operator != msg.sender && !members.mayManage(msg.sender, address(this), msg.sig)) {
            revert NotOperatorOrManager(msg.sender);
        }
        if (i.revoked) revert EnclaveIsRevoked(signer);
        i.revoked = true;
        emit EnclaveRevoked(signer, msg.sender);
    }

    /// @notice Reverts, saying why, unless the enclave is registered, neither revoked nor expired, and its program is
    /// usable as `kind`.
    /// @return operator The member who runs it.
    /// @return number Its running number.
    function requireLive(address signer, uint8 kind) external view returns (address operator, uint32 number) {
        Instance storage i = _known(signer);
        operator = i.operator;
        number = i.number;
        if (i.revoked) revert EnclaveIsRevoked(signer);
        if (i.expiresAt <= block.timestamp) revert EnclaveExpired(signer, i.expiresAt);
        programs.requireUsable(i.measurement, kind);
    }

    /// @notice The same for work that has begun: it goes on although one person revoked the program, and ends when the
    /// members no longer allow it (`Programs.requireAllowed`).
    /// @return number Its running number.
    function requireRunning(address signer, uint8 kind) external view returns (uint32 number) {
        Instance storage i = _known(signer);
        number = i.number;
        if (i.revoked) revert EnclaveIsRevoked(signer);
        if (i.expiresAt <= block.timestamp) revert EnclaveExpired(signer, i.expiresAt);
        programs.requireAllowed(i.measurement, kind);
    }

    /// @notice Everything kept about an enclave; all zero when it is unknown.
    function enclave(address signer) external view returns (Instance memory) {
        return _enclaves[signer];
    }

    /// @notice The key of the enclave with this running number, zero when there is none.
    function signerOf(uint32 number) external view returns (address) {
        return _signers[number];
    }

    function _known(address signer) private view returns (Instance storage i) {
        i = _enclaves[signer];
        if (i.operator == address(0)) revert EnclaveNotRegistered(signer);
    }

    function _checkRegistration(address signer, Instance memory i, bytes calldata signature) private view {
        bytes32 registration = keccak256(
            abi.encode(
                REGISTRATION_TYPEHASH, i.operator, i.sealKey, i.measurement, i.platform, i.evidenceHash, i.expiresAt
            )
        );
        _checkSignature(signer, registration, signature);
    }
}
