// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Members, Roles} from "./Members.sol";

/// @title What a program is allowed to be used for.
library Kinds {
    /// @notice Checks data of an owner and signs a validation receipt.
    uint8 internal constant VALIDATION = 1;
    /// @notice Trains on donated data.
    uint8 internal constant TRAINING = 2;
    /// @notice Answers paid queries with a trained model.
    uint8 internal constant QUERY = 3;
}

/// @title Programs that may run in enclaves, and who audited them.
/// @notice A program is usable once somebody other than its author rebuilt it from source, got the same measurement
/// and signed a report, and governance allows the measurement, as long as nobody revoked it. The two say different
/// things: an auditor that the program is what it says, the members that they want it to run. They come in any order.
/// Revocation is final: a repaired program has a new measurement. Disallowing is not: the members may change their mind.
///
/// Governance is whom the access manager lets act on this contract at once. A role with an execution delay announces
/// the call with `AccessManager.schedule` and has the manager make it with `AccessManager.execute` after the delay; its
/// direct calls are refused.
contract Programs {
    /// @notice One program.
    /// @param author The member who registered it.
    /// @param kind See `Kinds`.
    /// @param revoked Whether it may no longer be used.
    /// @param allowed Whether governance allows its measurement.
    /// @param audits Number of audits by different auditors.
    /// @param sourceHash Hash of the published source.
    /// @param wasmHash Hash of the compiled program.
    struct Program {
        address author;
        uint8 kind;
        bool revoked;
        bool allowed;
        uint16 audits;
        bytes32 sourceHash;
        bytes32 wasmHash;
    }

    /// @notice The register of members.
    Members public immutable members;

    mapping(bytes32 measurement => Program) private _programs;
    mapping(bytes32 measurement => mapping(address auditor => bytes32 reportHash)) private _reports;

    /// @notice A program was published.
    event ProgramRegistered(
        bytes32 indexed measurement, address indexed author, uint8 indexed kind, bytes32 sourceHash, bytes32 wasmHash
    );
    /// @notice An auditor vouches for a program.
    event ProgramAudited(bytes32 indexed measurement, address indexed auditor, bytes32 reportHash);
    /// @notice A program may no longer be used.
    event ProgramRevoked(bytes32 indexed measurement, address indexed by);
    /// @notice Governance allows a program to be used.
    event ProgramAllowed(bytes32 indexed measurement, address indexed by);
    /// @notice Governance no longer allows a program to be used.
    event ProgramDisallowed(bytes32 indexed measurement, address indexed by);

    /// @notice This measurement is registered already.
    error AlreadyRegistered(bytes32 measurement);
    /// @notice No program has this measurement.
    error NotRegistered(bytes32 measurement);
    /// @notice The program is of another kind than the one needed.
    error WrongKind(bytes32 measurement, uint8 kind, uint8 needed);
    /// @notice Nobody audited the program yet.
    error NotAudited(bytes32 measurement);
    /// @notice The program was revoked.
    error Revoked(bytes32 measurement);
    /// @notice Governance does not allow the program.
    error NotAllowed(bytes32 measurement);
    /// @notice Governance allows the program already.
    error AlreadyAllowed(bytes32 measurement);
    /// @notice Only whom the access manager lets do it at once may do this.
    error NotManager(address account);
    /// @notice Not one of `Kinds`.
    error InvalidKind(uint8 kind);
    /// @notice Authors do not audit their own programs.
    error OwnProgram(bytes32 measurement, address author);
    /// @notice This auditor's report is recorded already.
    error AlreadyAudited(bytes32 measurement, address auditor);
    /// @notice Only the author, an auditor or whom the access manager names may do this.
    error NotAuthorOrAuditor(address account);
    /// @notice A hash that must be given is zero.
    error ZeroHash();

    constructor(Members members_) {
        members = members_;
    }

    /// @notice Publishes a program. Any member; the caller is recorded as its author.
    /// @param measurement What attestation evidence will report for it.
    /// @param sourceHash Hash of the published source.
    /// @param wasmHash Hash of the compiled program.
    /// @param kind See `Kinds`.
    function register(bytes32 measurement, bytes32 sourceHash, bytes32 wasmHash, uint8 kind) external {
        members.requireMember(msg.sender);
        if (kind < Kinds.VALIDATION || kind > Kinds.QUERY) revert InvalidKind(kind);
        if (measurement == 0 || sourceHash == 0 || wasmHash == 0) revert ZeroHash();
        if (_programs[measurement].author != address(0)) revert AlreadyRegistered(measurement);
        _programs[measurement] = Program(msg.sender, kind, false, false, 0, sourceHash, wasmHash);
        emit ProgramRegistered(measurement, msg.sender, kind, sourceHash, wasmHash);
    }

    /// @notice Vouches that the program was rebuilt from its source with this measurement. Auditors, not the author.
    /// @param reportHash Hash of the signed audit report.
    function audit(bytes32 measurement, bytes32 reportHash) external {
        members.requireRole(msg.sender, Roles.AUDITOR);
        Program storage p = _known(measurement);
        if (p.author == msg.sender) revert OwnProgram(measurement, msg.sender);
        if (p.revoked) revert Revoked(measurement);
        if (reportHash == 0) revert ZeroHash();
        if (_reports[measurement][msg.sender] != 0) revert AlreadyAudited(measurement, msg.sender);
        _reports[measurement][msg.sender] = reportHash;
        p.audits += 1;
        emit ProgramAudited(measurement, msg.sender, reportHash);
    }

    /// @notice Forbids new work with a program for good: no enclave is registered with it, nothing donated to one, no query
    /// settled by one. Its author, any auditor, or whom the access manager names: governance. Trainings which
    /// have begun go on, so that nobody stops those of others alone; `disallow` stops them too.
    function revoke(bytes32 measurement) external {
        Program storage p = _known(measurement);
        if (
            p.author != msg.sender && members.rolesOf(msg.sender) & Roles.AUDITOR == 0
                && !members.mayManage(msg.sender, address(this), msg.sig)
        ) {
            revert NotAuthorOrAuditor(msg.sender);
        }
        if (p.revoked) revert Revoked(measurement);
        p.revoked = true;
        emit ProgramRevoked(measurement, msg.sender);
    }

    /// @notice Allows a registered program to be used. Whom the access manager names: governance.
    function allow(bytes32 measurement) external {
        Program storage p = _managed(measurement);
        if (p.revoked) revert Revoked(measurement);
        if (p.allowed) revert AlreadyAllowed(measurement);
        p.allowed = true;
        emit ProgramAllowed(measurement, msg.sender);
    }

    /// @notice Takes `allow` back, until it is called again, and stops all work with the program, also what has begun. Whom
    /// the access manager names: governance.
    function disallow(bytes32 measurement) external {
        Program storage p = _managed(measurement);
        if (!p.allowed) revert NotAllowed(measurement);
        p.allowed = false;
        emit ProgramDisallowed(measurement, msg.sender);
    }

    /// @notice Reverts, saying why, unless the program is registered, of this kind, not revoked, audited and allowed.
    function requireUsable(bytes32 measurement, uint8 kind) external view {
        Program storage p = _known(measurement);
        if (p.kind != kind) revert WrongKind(measurement, p.kind, kind);
        if (p.revoked) revert Revoked(measurement);
        if (p.audits == 0) revert NotAudited(measurement);
        if (!p.allowed) revert NotAllowed(measurement);
    }

    /// @notice Reverts, saying why, unless the program is registered, of this kind and allowed: what has begun may go on.
    function requireAllowed(bytes32 measurement, uint8 kind) external view {
        Program storage p = _known(measurement);
        if (p.kind != kind) revert WrongKind(measurement, p.kind, kind);
        if (!p.allowed) revert NotAllowed(measurement);
    }

    /// @notice Everything kept about a program; all zero when it is unknown.
    function program(bytes32 measurement) external view returns (Program memory) {
        return _programs[measurement];
    }

    /// @notice The report hash of one auditor for a program, 0 when there is none.
    function reportOf(bytes32 measurement, address auditor) external view returns (bytes32) {
        return _reports[measurement][auditor];
    }

    function _managed(bytes32 measurement) private view returns (Program storage) {
        if (!members.mayManage(msg.sender, address(this), msg.sig)) revert NotManager(msg.sender);
        return _known(measurement);
    }

    function _known(bytes32 measurement) private view returns (Program storage p) {
        p = _programs[measurement];
        if (p.author == address(0)) revert NotRegistered(measurement);
    }
}
