// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Members} from "../src/Members.sol";
import {OneMayAct, Prover} from "./Prover.sol";

/// Who is a member, and as what, is for governance alone to say.
contract MembersProofs is Prover {
    address private constant MEMBER = address(0x1001);

    Members private _members;

    function setUp() public {
        _members = new Members(address(new OneMayAct(address(this))));
        _members.add(MEMBER, 1, "profile", "key");
    }

    /// No call of a stranger or a member changes who is a member, and as what.
    function check_only_governance_changes_members(
        address caller,
        uint8 what,
        address account,
        uint8 roles,
        bytes32 hash
    ) public {
        vm.assume(caller != address(this));
        uint8 before = _members.rolesOf(account);
        bytes memory call = abi.encodeCall(Members.update, (hash, hash));
        if (what == 1) call = abi.encodeCall(Members.add, (account, roles, hash, hash));
        if (what == 2) call = abi.encodeCall(Members.setRoles, (account, roles));
        if (what == 3) call = abi.encodeCall(Members.remove, (account));
        if (what == 4) call = abi.encodeCall(Members.proveSealKey, (hash, hash, hash));
        vm.startPrank(caller);
        (bool ok,) = address(_members).call(call);
        vm.stopPrank();
        assert(_members.rolesOf(account) == before);
        // Only profile and key are a member's own.
        if (ok) assert(caller == MEMBER && (what == 0 || what > 3));
    }
}
