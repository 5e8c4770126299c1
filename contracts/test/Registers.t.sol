// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {Base} from "./Base.sol";
import {Datasets} from "../src/Datasets.sol";
import {Enclaves} from "../src/Enclaves.sol";
import {Members, Roles} from "../src/Members.sol";
import {Kinds, Programs} from "../src/Programs.sol";
import {Signed} from "../src/Signed.sol";

contract RegistersTest is Base {
    function test_only_the_manager_changes_members() public {
        bytes memory reason = abi.encodeWithSignature("AccessManagedUnauthorized(address)", trainer);
        address target = address(members);
        refused(trainer, reason, target, abi.encodeCall(members.add, (stranger, Roles.AUDITOR, 0, 0)));
        refused(trainer, reason, target, abi.encodeCall(members.setRoles, (trainer, Roles.ALL)));
        refused(trainer, reason, target, abi.encodeCall(members.remove, (auditor)));

        address me = address(this);
        bytes memory again = abi.encodeCall(members.add, (trainer, Roles.OWNER, 0, 0));
        refused(me, abi.encodeWithSelector(Members.AlreadyMember.selector, trainer), target, again);
        bytes memory none = abi.encodeCall(members.add, (stranger, 0, 0, 0));
        refused(me, abi.encodeWithSelector(Members.InvalidRoles.selector, 0), target, none);
        bytes memory unknown = abi.encodeCall(members.add, (stranger, 32, 0, 0));
        refused(me, abi.encodeWithSelector(Members.InvalidRoles.selector, 32), target, unknown);

        members.remove(trainer);
        equal("roles", members.rolesOf(trainer), 0);
        bytes memory update = abi.encodeCall(members.update, ("profile", "key"));
        refused(trainer, abi.encodeWithSelector(Members.NotMember.selector, trainer), target, update);
        vm.startPrank(runner);
        members.update("profile", "key");
        vm.stopPrank();
        equal("key", uint256(members.member(runner).sealKey), uint256(bytes32("key")));
        equal("roles", members.rolesOf(runner), Roles.RUNNER);
    }

    function test_programs_need_an_audit_by_somebody_else() public {
        address target = address(programs);
        bytes memory register = abi.encodeCall(programs.register, ("m", "source", "wasm", Kinds.QUERY));
        refused(stranger, abi.encodeWithSelector(Members.NotMember.selector, stranger), target, register);
        bytes memory invalid = abi.encodeCall(programs.register, ("m", "source", "wasm", 4));
        refused(author, abi.encodeWithSelector(Programs.InvalidKind.selector, 4), target, invalid);
        members.setRoles(author, Roles.TRAINER | Roles.AUDITOR);
        vm.startPrank(author);
        programs.register("m", "source", "wasm", Kinds.QUERY);
        vm.stopPrank();
        refused(author, abi.encodeWithSelector(Programs.AlreadyRegistered.selector, bytes32("m")), target, register);

        bytes memory asQuery = abi.encodeCall(programs.requireUsable, ("m", Kinds.QUERY));
        bytes memory audit = abi.encodeCall(programs.audit, ("m", "report"));
        refused(user, abi.encodeWithSelector(Programs.NotAudited.selector, bytes32("m")), target, asQuery);
        refused(author, abi.encodeWithSelector(Programs.OwnProgram.selector, bytes32("m"), author), target, audit);
        refused(
            runner,
            abi.encodeWithSelector(Members.MissingRole.selector, runner, Roles.AUDITOR, Roles.RUNNER),
            target,
            audit
        );
        vm.startPrank(auditor);
        programs.audit("m", "report");
        vm.stopPrank();
        refused(auditor, abi.encodeWithSelector(Programs.AlreadyAudited.selector, bytes32("m"), auditor), target, audit);
        refused(user, abi.encodeWithSelector(Programs.NotAllowed.selector, bytes32("m")), target, asQuery);
        programs.allow("m");
        programs.requireUsable("m", Kinds.QUERY);
        refused(
            user,
            abi.encodeWithSelector(Programs.WrongKind.selector, bytes32("m"), Kinds.QUERY, Kinds.TRAINING),
            target,
            abi.encodeCall(programs.requireUsable, ("m", Kinds.TRAINING))
        );
        refused(
            user,
            abi.encodeWithSelector(Programs.NotRegistered.selector, bytes32("x")),
            target,
            abi.encodeCall(programs.requireUsable, ("x", Kinds.TRAINING))
        );
        bytes memory revoke = abi.encodeCall(programs.revoke, ("m"));
        refused(trainer, abi.encodeWithSelector(Programs.NotAuthorOrAuditor.selector, trainer), target, revoke);
        vm.startPrank(author);
        programs.revoke("m");
        vm.stopPrank();
        bytes memory revoked = abi.encodeWithSelector(Programs.Revoked.selector, bytes32("m"));
        refused(user, revoked, target, asQuery);
        refused(auditor, revoked, target, revoke);
        // No vote brings it back.
        programs.disallow("m");
        refused(address(this), revoked, target, abi.encodeCall(programs.allow, ("m")));
    }

    /// Auditors say what a program is, governance whether it may run: in any order, and the second can change.
    function test_governance_allows_and_disallows_programs() public {
        address target = address(programs);
        bytes memory allow = abi.encodeCall(programs.allow, ("m"));
        bytes memory disallow = abi.encodeCall(programs.disallow, ("m"));
        bytes memory asQuery = abi.encodeCall(programs.requireUsable, ("m", Kinds.QUERY));
        address me = address(this);
        refused(me, abi.encodeWithSelector(Programs.NotRegistered.selector, bytes32("m")), target, allow);
        vm.startPrank(author);
        programs.register("m", "source", "wasm", Kinds.QUERY);
        vm.stopPrank();
        address[3] memory others = [author, auditor, stranger];
        for (uint256 i = 0; i < others.length; ++i) {
            bytes memory reason = abi.encodeWithSelector(Programs.NotManager.selector, others[i]);
            refused(others[i], reason, target, allow);
            refused(others[i], reason, target, disallow);
        }
        bytes memory notAllowed = abi.encodeWithSelector(Programs.NotAllowed.selector, bytes32("m"));
        refused(me, notAllowed, target, disallow);
        programs.allow("m");
        refused(me, abi.encodeWithSelector(Programs.AlreadyAllowed.selector, bytes32("m")), target, allow);
        // Allowed before it is audited: that alone makes it usable for nobody.
        refused(user, abi.encodeWithSelector(Programs.NotAudited.selector, bytes32("m")), target, asQuery);
        vm.startPrank(auditor);
        programs.audit("m", "report");
        vm.stopPrank();
        programs.requireUsable("m", Kinds.QUERY);
        programs.disallow("m");
        if (programs.program("m").allowed) revert("allowed");
        refused(user, notAllowed, target, asQuery);
        programs.allow("m");
        programs.requireUsable("m", Kinds.QUERY);
        equal("audits", programs.program("m").audits, 1);
    }

    /// Somebody with a delay announces first, here too: `mayManage` counts only what may happen at once.
    function test_allowing_with_a_delay_is_announced() public {
        bytes32 measurement = measurementOf(Kinds.QUERY);
        programs.disallow(measurement);
        AccessManager manager = AccessManager(members.authority());
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = programs.allow.selector;
        manager.setTargetFunctionRole(address(programs), selectors, 1);
        manager.grantRole(1, stranger, 1 days);
        bytes memory allow = abi.encodeCall(programs.allow, (measurement));
        refused(stranger, abi.encodeWithSelector(Programs.NotManager.selector, stranger), address(programs), allow);
        vm.startPrank(stranger);
        manager.schedule(address(programs), allow, 0);
        (bool early,) = address(manager).call(abi.encodeCall(manager.execute, (address(programs), allow)));
        vm.warp(1_000_000 + 1 days);
        manager.execute(address(programs), allow);
        (bool disallowed,) = address(manager)
            .call(
                abi.encodeCall(manager.execute, (address(programs), abi.encodeCall(programs.disallow, (measurement))))
            );
        vm.stopPrank();
        if (early || disallowed) revert("not announced");
        programs.requireUsable(measurement, Kinds.QUERY);
    }

    function newEnclave() private view returns (Enclaves.Enclave memory) {
        return Enclaves.Enclave(
            vm.addr(STRANGER_KEY), "seal", measurementOf(Kinds.QUERY), 0, "evidence", uint64(block.timestamp + 100)
        );
    }

    function test_nobody_registers_a_key_of_another() public {
        Enclaves.Enclave memory e = newEnclave();
        address target = address(enclaves);
        bytes memory signature = signEnclave(STRANGER_KEY, runner, e);
        bytes memory call = abi.encodeCall(enclaves.register, (e, signature));
        refused(
            user,
            abi.encodeWithSelector(Members.MissingRole.selector, user, Roles.RUNNER | Roles.OWNER, uint8(0)),
            target,
            call
        );
        // A copied registration names another operator.
        members.add(user, Roles.OWNER, 0, 0);
        vm.startPrank(user);
        (bool ok,) = target.call(call);
        vm.stopPrank();
        if (ok) revert("copied registration accepted");
        bytes memory foreign = signEnclave(QUERY_KEY, runner, e);
        refused(
            runner,
            abi.encodeWithSelector(Signed.BadSignature.selector, e.signer, vm.addr(QUERY_KEY)),
            target,
            abi.encodeCall(enclaves.register, (e, foreign))
        );
        vm.startPrank(runner);
        enclaves.register(e, signature);
        vm.stopPrank();
        refused(runner, abi.encodeWithSelector(Enclaves.EnclaveAlreadyRegistered.selector, e.signer), target, call);
        equal("number", enclaves.enclave(e.signer).number, 4);
        if (enclaves.signerOf(4) != e.signer) revert("signerOf");
    }

    function test_enclaves_expire_and_refresh() public {
        Enclaves.Enclave memory e = newEnclave();
        address target = address(enclaves);
        vm.startPrank(runner);
        enclaves.register(e, signEnclave(STRANGER_KEY, runner, e));
        vm.stopPrank();
        bytes memory live = abi.encodeCall(enclaves.requireLive, (e.signer, Kinds.QUERY));
        vm.warp(e.expiresAt - 1);
        enclaves.requireLive(e.signer, Kinds.QUERY);
        vm.warp(e.expiresAt);
        refused(user, abi.encodeWithSelector(Enclaves.EnclaveExpired.selector, e.signer, e.expiresAt), target, live);
        // An old signature does not refresh.
        bytes memory old = signEnclave(STRANGER_KEY, runner, e);
        refused(
            runner,
            abi.encodeWithSelector(Enclaves.ExpiryTooEarly.selector, e.expiresAt, e.expiresAt + 1),
            target,
            abi.encodeCall(enclaves.refresh, (e.signer, e.evidenceHash, e.expiresAt, old))
        );
        e.evidenceHash = "new evidence";
        e.expiresAt += 100;
        bytes memory signature = signEnclave(STRANGER_KEY, runner, e);
        bytes memory call = abi.encodeCall(enclaves.refresh, (e.signer, e.evidenceHash, e.expiresAt, signature));
        refused(user, abi.encodeWithSelector(Enclaves.NotOperator.selector, user, runner), target, call);
        vm.startPrank(runner);
        enclaves.refresh(e.signer, e.evidenceHash, e.expiresAt, signature);
        vm.stopPrank();
        enclaves.requireLive(e.signer, Kinds.QUERY);

        bytes memory revoke = abi.encodeCall(enclaves.revoke, (e.signer));
        refused(user, abi.encodeWithSelector(Enclaves.NotOperatorOrManager.selector, user), target, revoke);
        refused(auditor, abi.encodeWithSelector(Enclaves.NotOperatorOrManager.selector, auditor), target, revoke);
        vm.startPrank(runner);
        enclaves.revoke(e.signer);
        vm.stopPrank();
        bytes memory revoked = abi.encodeWithSelector(Enclaves.EnclaveIsRevoked.selector, e.signer);
        refused(user, revoked, target, live);
        refused(runner, revoked, target, call);
    }

    function test_a_revoked_program_stops_its_enclaves() public {
        vm.startPrank(auditor);
        programs.revoke(measurementOf(Kinds.QUERY));
        vm.stopPrank();
        refused(
            user,
            abi.encodeWithSelector(Programs.Revoked.selector, measurementOf(Kinds.QUERY)),
            address(enclaves),
            abi.encodeCall(enclaves.requireLive, (vm.addr(QUERY_KEY), Kinds.QUERY))
        );
    }

    function test_datasets_need_a_validation_receipt() public {
        address target = address(datasets);
        address owner = user;
        members.add(owner, Roles.OWNER, 0, 0);
        bytes32 root = "root";
        address enclave = vm.addr(VALIDATION_KEY);
        bytes memory receipt = signValidation(VALIDATION_KEY, owner, root);
        bytes memory call = abi.encodeCall(
            datasets.register, (root, keccak256("report"), keccak256("policy"), 100, 3, enclave, receipt)
        );
        refused(
            trainer,
            abi.encodeWithSelector(Members.MissingRole.selector, trainer, Roles.OWNER, Roles.TRAINER),
            target,
            call
        );
        bytes memory foreign = signValidation(STRANGER_KEY, owner, root);
        refused(
            owner,
            abi.encodeWithSelector(Signed.BadSignature.selector, enclave, vm.addr(STRANGER_KEY)),
            target,
            abi.encodeCall(
                datasets.register, (root, keccak256("report"), keccak256("policy"), 100, 3, enclave, foreign)
            )
        );
        bytes memory wrongKind = signValidation(QUERY_KEY, owner, root);
        refused(
            owner,
            abi.encodeWithSelector(
                Programs.WrongKind.selector, measurementOf(Kinds.QUERY), Kinds.QUERY, Kinds.VALIDATION
            ),
            target,
            abi.encodeCall(
                datasets.register,
                (root, keccak256("report"), keccak256("policy"), 100, 3, vm.addr(QUERY_KEY), wrongKind)
            )
        );
        vm.startPrank(owner);
        bytes32 id = datasets.register(root, keccak256("report"), keccak256("policy"), 100, 3, enclave, receipt);
        vm.stopPrank();
        if (id != datasets.idOf(owner, root)) revert("id");
        refused(owner, abi.encodeWithSelector(Datasets.DatasetAlreadyRegistered.selector, id), target, call);

        bytes memory policy = abi.encodeCall(datasets.setPolicy, (id, "policy"));
        bytes memory withdraw = abi.encodeCall(datasets.withdraw, (id));
        bytes memory notOwner = abi.encodeWithSelector(Datasets.NotDatasetOwner.selector, id, stranger);
        refused(stranger, notOwner, target, policy);
        refused(stranger, notOwner, target, withdraw);
        vm.startPrank(owner);
        datasets.setPolicy(id, "policy");
        datasets.withdraw(id);
        vm.stopPrank();
        bytes memory withdrawn = abi.encodeWithSelector(Datasets.DatasetIsWithdrawn.selector, id);
        refused(owner, withdrawn, target, policy);
        refused(owner, withdrawn, target, withdraw);
        refused(owner, withdrawn, target, abi.encodeCall(datasets.requireUsable, (id)));
        // A withdrawn dataset does not come back under the old receipt.
        refused(owner, abi.encodeWithSelector(Datasets.DatasetAlreadyRegistered.selector, id), target, call);
    }
}
