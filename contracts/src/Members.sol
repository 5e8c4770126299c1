// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {AuthorityUtils} from "@openzeppelin/contracts/access/manager/AuthorityUtils.sol";
import {MemberVotes} from "./MemberVotes.sol";

/// @title Role bits of a member. A member holds any sum of them.
library Roles {
    /// @notice Owns data or speaks for the persons who do.
    uint8 internal constant OWNER = 1;
    /// @notice Proposes and trains models.
    uint8 internal constant TRAINER = 2;
    /// @notice Runs enclaves for others.
    uint8 internal constant RUNNER = 4;
    /// @notice Rebuilds programs and signs audits.
    uint8 internal constant AUDITOR = 8;
    /// @notice Holds shares that open the sum of a round.
    uint8 internal constant COMMITTEE = 16;
    /// @notice Every bit that has a meaning.
    uint8 internal constant ALL = 31;
}

/// @title Who takes part, and as what.
/// @notice Accounts of organizations only. Nothing about a person is kept here: `profile` is the hash of a public
/// document in which an organization describes itself. Each member has one vote, whatever its roles.
contract Members is AccessManaged, MemberVotes {
    /// @notice One member.
    /// @param roles Sum of `Roles` bits; 0 means that the account is no member.
    /// @param keyClaimed Whether it claims to have proved that it holds the secret of `sealKey` (`proveSealKey`).
    /// @param profile Hash of the organization's profile document.
    /// @param sealKey X25519 public key to which messages for this member are sealed.
    struct Member {
        uint8 roles;
        bool keyClaimed;
        bytes32 profile;
        bytes32 sealKey;
    }

    mapping(address account => Member) private _members;

    /// @notice A member was added, or the roles of one were replaced.
    event MemberAdded(address indexed account, uint8 roles, bytes32 profile, bytes32 sealKey);
    /// @notice A member described itself anew or changed its key.
    event MemberUpdated(address indexed account, bytes32 profile, bytes32 sealKey);
    /// @notice A member says that it holds the secret of its key. Whether (r, s) proves it, everybody checks for itself.
    event SealKeyProven(address indexed account, bytes32 sealKey, bytes32 r, bytes32 s);
    /// @notice The roles of a member were replaced.
    event RolesChanged(address indexed account, uint8 roles);
    /// @notice A member left or was removed.
    event MemberRemoved(address indexed account);

    /// @notice The account is already a member; change it with `setRoles`.
    error AlreadyMember(address account);
    /// @notice The account is no member.
    error NotMember(address account);
    /// @notice The roles are 0 or contain a bit without meaning.
    error InvalidRoles(uint8 roles);
    /// @notice The account lacks every role of `needed`; it holds `roles`.
    error MissingRole(address account, uint8 needed, uint8 roles);
    /// @notice The zero address cannot be a member.
    error ZeroAccount();
    /// @notice No secret belongs to the key zero.
    error ZeroKey();

    constructor(address manager) AccessManaged(manager) {}

    /// @notice Adds a member. Restricted by the access manager.
    /// @param account The account with which it acts.
    /// @param roles Sum of `Roles` bits, not 0.
    /// @param profile Hash of its profile document.
    /// @param sealKey X25519 public key for messages to it. It is on no committee before it proves it (`proveSealKey`).
    function add(address account, uint8 roles, bytes32 profile, bytes32 sealKey) external restricted {
        if (account == address(0)) revert ZeroAccount();
        if (_members[account].roles != 0) revert AlreadyMember(account);
        _checkRoles(roles);
        _join(account);
        _members[account] = Member(roles, false, profile, sealKey);
        emit MemberAdded(account, roles, profile, sealKey);
    }

    /// @notice Replaces the roles of a member. Restricted by the access manager.
    function setRoles(address account, uint8 roles) external restricted {
        if (_members[account].roles == 0) revert NotMember(account);
        _checkRoles(roles);
        _members[account].roles = roles;
        emit RolesChanged(account, roles);
    }

    /// @notice Removes a member. Restricted by the access manager. What it registered before stays readable.
    function remove(address account) external restricted {
        if (_members[account].roles == 0) revert NotMember(account);
        delete _members[account];
        _leave(account);
        emit MemberRemoved(account);
    }

    /// @notice The calling member replaces its profile hash and its sealing key. Another key has to be proved again.
    function update(bytes32 profile, bytes32 sealKey) external {
        Member storage m = _members[msg.sender];
        if (m.roles == 0) revert NotMember(msg.sender);
        m.profile = profile;
        if (m.sealKey != sealKey) {
            m.sealKey = sealKey;
            m.keyClaimed = false;
        }
        emit MemberUpdated(msg.sender, profile, sealKey);
    }

    /// @notice The calling member replaces its sealing key and shows that it holds its secret. The proof is a Schnorr
    /// proof over the curve of the key, which no contract can afford to check: what is kept is that there is one to be
    /// checked, and everybody who relies on the key does. A key that was copied from another member comes without one.
    /// @param sealKey X25519 public key for messages to the caller.
    /// @param r Commitment of the proof, which covers the caller.
    /// @param s Response of the proof.
    function proveSealKey(bytes32 sealKey, bytes32 r, bytes32 s) external {
        Member storage m = _members[msg.sender];
        if (m.roles == 0) revert NotMember(msg.sender);
        if (sealKey == 0) revert ZeroKey();
        m.keyClaimed = true;
        m.sealKey = sealKey;
        emit SealKeyProven(msg.sender, sealKey, r, s);
    }

    /// @notice The sum of role bits of `account`, 0 for a stranger.
    function rolesOf(address account) external view returns (uint8) {
        return _members[account].roles;
    }

    /// @notice Everything kept about `account`; all zero for a stranger.
    function member(address account) external view returns (Member memory) {
        return _members[account];
    }

    /// @notice Reverts unless `account` is a member with any role.
    function requireMember(address account) external view {
        if (_members[account].roles == 0) revert NotMember(account);
    }

    /// @notice Reverts unless `account` holds at least one of the role bits in `anyOf`.
    function requireRole(address account, uint8 anyOf) external view {
        uint8 roles = _members[account].roles;
        if (roles & anyOf == 0) revert MissingRole(account, anyOf, roles);
    }

    /// @notice Whether the access manager lets `account` call `selector` of `target` at once. Registers that are not
    /// managed themselves ask here, so that governance can act on them too.
    function mayManage(address account, address target, bytes4 selector) external view returns (bool may) {
        (may,) = AuthorityUtils.canCallWithDelay(authority(), account, target, selector);
    }

    function _isMember(address account) internal view override returns (bool) {
        return _members[account].roles != 0;
    }

    function _checkRoles(uint8 roles) private pure {
        if (roles == 0 || roles > Roles.ALL) revert InvalidRoles(roles);
    }
}
