// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Base} from "./Base.sol";
import {Epochs} from "../src/Epochs.sol";
import {Members, Roles} from "../src/Members.sol";

/// Merkle trees as anybody builds them from the published list.
library Tree {
    function leaf(address account, uint256 due) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(account, due))));
    }

    function pair(bytes32 a, bytes32 b) internal pure returns (bytes32) {
        return a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
    }

    /// Root and, for the leaf at `index`, its proof; an odd node goes up as it is.
    function build(bytes32[] memory leaves, uint256 index)
        internal
        pure
        returns (bytes32 root, bytes32[] memory proof)
    {
        bytes32[] memory level = new bytes32[](leaves.length);
        for (uint256 i = 0; i < leaves.length; ++i) {
            level[i] = leaves[i];
        }
        bytes32[] memory path = new bytes32[](32);
        uint256 depth;
        uint256 n = level.length;
        while (n > 1) {
            if (index ^ 1 < n) path[depth++] = level[index ^ 1];
            for (uint256 i = 0; i < n; i += 2) {
                level[i / 2] = i + 1 < n ? pair(level[i], level[i + 1]) : level[i];
            }
            n = (n + 1) / 2;
            index /= 2;
        }
        proof = new bytes32[](depth);
        for (uint256 i = 0; i < depth; ++i) {
            proof[i] = path[i];
        }
        root = level[0];
    }
}

contract EpochsTest is Base {
    uint32 private constant WINDOW = 1 days;
    bytes32 private constant LIST = keccak256("list");

    Epochs private _pool;
    address private _keeper = vm.addr(8);
    uint256 private _now;

    function setUp() public override {
        super.setUp();
        _now = 1_000_000;
        _pool = newPool(address(token), _keeper, WINDOW, SILENCE);
    }

    function _pass(uint256 time) private {
        _now += time;
        vm.warp(_now);
    }

    function _propose(bytes32 root, uint256 total) private {
        vm.startPrank(_keeper);
        _pool.propose(root, LIST, total);
        vm.stopPrank();
    }

    /// `n` accounts; account i is due `unit * (i + 1)`.
    function _leaves(uint256 n, uint256 unit) private pure returns (bytes32[] memory leaves, uint256 total) {
        leaves = new bytes32[](n);
        for (uint256 i = 0; i < n; ++i) {
            uint256 due = unit * (i + 1);
            total += due;
            leaves[i] = Tree.leaf(payeeOf(i), due);
        }
    }

    function _inUse(uint256 n, uint256 unit) private returns (bytes32[] memory leaves) {
        uint256 total;
        (leaves, total) = _leaves(n, unit);
        (bytes32 root,) = Tree.build(leaves, 0);
        _propose(root, total);
        _pass(WINDOW);
    }

    function _claim(bytes32[] memory leaves, uint256 i, uint256 due) private returns (uint256) {
        (, bytes32[] memory proof) = Tree.build(leaves, i);
        return _pool.claim(payeeOf(i), due, proof);
    }

    function _refusedClaim(bytes memory reason, address account, uint256 due, bytes32[] memory proof) private {
        refused(stranger, reason, address(_pool), abi.encodeCall(_pool.claim, (account, due, proof)));
    }

    /// From a model to the persons behind one donor.
    function test_a_pool_is_a_donor_of_the_market() public {
        uint256 modelId = propose(terms());
        (address owner, bytes32 id) = addDataset(1);
        bytes memory receipt = signDonation(TRAINING_KEY, modelId, id, datasets.dataset(id).root, address(_pool));
        vm.startPrank(owner);
        market.donate(modelId, id, address(_pool), DECISION, vm.addr(TRAINING_KEY), receipt);
        vm.stopPrank();
        donate(modelId, 2, 300);
        trainAndServe(modelId, 2);
        settle(modelId, buy(modelId, "a"));
        settle(modelId, buy(modelId, "b"));
        equal("arrives", market.claimDonor(modelId, 1), 11e6);
        (uint256 paidOut, uint256 received) = _pool.totals();
        equal("paid out", paidOut, 0);
        equal("received", received, 11e6);
        bytes32[] memory leaves = _inUse(4, 1e6);
        for (uint256 i = 0; i < 4; ++i) {
            _claim(leaves, i, 1e6 * (i + 1));
            equal("account", token.balanceOf(payeeOf(i)), 1e6 * (i + 1));
        }
        (paidOut, received) = _pool.totals();
        equal("paid out", paidOut, 10e6);
        equal("received", received, 11e6);
    }

    function test_sums_only_grow_and_a_missed_epoch_is_made_up_for() public {
        token.mint(address(_pool), 100e6);
        bytes32[] memory leaves = _inUse(4, 1e6);
        _claim(leaves, 0, 1e6);
        (, bytes32[] memory proof) = Tree.build(leaves, 0);
        _refusedClaim(abi.encodeWithSelector(Epochs.NothingOwed.selector, payeeOf(0)), payeeOf(0), 1e6, proof);
        leaves = _inUse(4, 3e6);
        // An old proof is no proof any more, nor does it pay again.
        _refusedClaim(abi.encodeWithSelector(Epochs.BadProof.selector, 2, payeeOf(0), 1e6), payeeOf(0), 1e6, proof);
        equal("the rest", _claim(leaves, 0, 3e6), 2e6);
        equal("both at once", _claim(leaves, 1, 6e6), 6e6);
        equal("paid", _pool.paid(payeeOf(1)), 6e6);
    }

    function test_forged_claims_are_refused() public {
        token.mint(address(_pool), 100e6);
        bytes32[] memory none = new bytes32[](0);
        // Before the first epoch nothing is a proof.
        _refusedClaim(abi.encodeWithSelector(Epochs.BadProof.selector, 0, stranger, 1), stranger, 1, none);
        bytes32[] memory leaves = _inUse(5, 1e6);
        (bytes32 root, bytes32[] memory proof) = Tree.build(leaves, 2);
        // Somebody else's proof, another amount, no proof, a proof that is too long.
        _refusedClaim(abi.encodeWithSelector(Epochs.BadProof.selector, 1, stranger, 3e6), stranger, 3e6, proof);
        _refusedClaim(abi.encodeWithSelector(Epochs.BadProof.selector, 1, payeeOf(2), 4e6), payeeOf(2), 4e6, proof);
        _refusedClaim(abi.encodeWithSelector(Epochs.BadProof.selector, 1, payeeOf(2), 3e6), payeeOf(2), 3e6, none);
        bytes32[] memory longer = new bytes32[](proof.length + 1);
        for (uint256 i = 0; i < proof.length; ++i) {
            longer[i] = proof[i];
        }
        longer[proof.length] = root;
        _refusedClaim(abi.encodeWithSelector(Epochs.BadProof.selector, 1, payeeOf(2), 3e6), payeeOf(2), 3e6, longer);
        equal("nothing paid", _pool.paid(payeeOf(2)), 0);
    }

    function test_a_root_waits_and_can_be_vetoed() public {
        token.mint(address(_pool), 100e6);
        bytes32[] memory good = _inUse(4, 1e6);
        (bytes32[] memory bad,) = _leaves(4, 9e6);
        (bytes32 root,) = Tree.build(bad, 0);
        _propose(root, 90e6);
        _pass(WINDOW - 1);
        // The root before stays in use until the last second.
        (, bytes32[] memory proof) = Tree.build(bad, 3);
        _refusedClaim(abi.encodeWithSelector(Epochs.BadProof.selector, 1, payeeOf(3), 36e6), payeeOf(3), 36e6, proof);
        _claim(good, 3, 4e6);
        refused(
            _keeper,
            abi.encodeWithSelector(Epochs.EpochPending.selector, 2, uint64(_now + 1)),
            address(_pool),
            abi.encodeCall(_pool.propose, (root, LIST, 90e6))
        );
        bytes memory veto = abi.encodeCall(_pool.veto, (2, "report"));
        refused(
            runner,
            abi.encodeWithSelector(Members.MissingRole.selector, runner, Roles.AUDITOR, Roles.RUNNER),
            address(_pool),
            veto
        );
        refused(
            auditor,
            abi.encodeWithSelector(Epochs.NotPending.selector, 1),
            address(_pool),
            abi.encodeCall(_pool.veto, (1, "report"))
        );
        vm.startPrank(auditor);
        _pool.veto(2, "report");
        vm.stopPrank();
        _pass(WINDOW);
        _refusedClaim(abi.encodeWithSelector(Epochs.BadProof.selector, 1, payeeOf(3), 36e6), payeeOf(3), 36e6, proof);
        _claim(good, 1, 2e6);
        // A better one takes its number.
        good = _inUse(4, 2e6);
        (uint24 epoch,, uint256 total) = _pool.inUse();
        equal("total", total, 20e6);
        equal("epoch", epoch, 2);
        equal("made up for", _claim(good, 3, 8e6), 4e6);
        // In use is in use.
        refused(auditor, abi.encodeWithSelector(Epochs.NotPending.selector, 2), address(_pool), veto);
    }

    function test_proposals_are_checked() public {
        token.mint(address(_pool), 10);
        address target = address(_pool);
        bytes memory call = abi.encodeCall(_pool.propose, ("root", LIST, 10));
        refused(stranger, abi.encodeWithSelector(Members.MissingRole.selector, stranger, 8, 0), target, call);
        bytes memory tooMuch = abi.encodeCall(_pool.propose, ("root", LIST, 11));
        refused(_keeper, abi.encodeWithSelector(Epochs.MoreThanReceived.selector, 11, 10), target, tooMuch);
        bytes memory zero = abi.encodeCall(_pool.propose, (0, LIST, 10));
        refused(_keeper, abi.encodeWithSelector(Epochs.ZeroValue.selector), target, zero);
        zero = abi.encodeCall(_pool.propose, ("root", 0, 10));
        refused(_keeper, abi.encodeWithSelector(Epochs.ZeroValue.selector), target, zero);
        bytes32[] memory leaves = _inUse(2, 3);
        _claim(leaves, 1, 6);
        bytes memory less = abi.encodeCall(_pool.propose, ("root", LIST, 8));
        // Nine in the list before, of which six are paid.
        refused(_keeper, abi.encodeWithSelector(Epochs.LessThanBefore.selector, 8, 9), target, less);
    }

    function test_a_pool_without_time_to_check_is_refused() public {
        try new Epochs(IERC20(address(token)), members, _keeper, 1 hours - 1, SILENCE) {
            revert("no window");
        } catch (bytes memory reason) {
            equal(
                "reason",
                uint256(keccak256(reason)),
                uint256(keccak256(abi.encodeWithSelector(Epochs.WindowTooShort.selector, uint32(1 hours - 1))))
            );
        }
    }

    /// Lists made by the rule that the contract states: whoever claims when, everybody has what the last list says,
    /// never more than arrived leaves, and dust stays for the next epoch.
    function testFuzz_everybody_gets_what_the_list_says(uint256 seed, uint64[3] memory income) public {
        uint256[5] memory weights;
        uint256 sum;
        for (uint256 i = 0; i < 5; ++i) {
            weights[i] = 1 + uint256(keccak256(abi.encode(seed, i))) % 1_000;
            sum += weights[i];
        }
        uint256 received;
        for (uint256 e = 0; e < 3; ++e) {
            token.mint(address(_pool), income[e]);
            received += income[e];
            bytes32[] memory leaves = new bytes32[](5);
            for (uint256 i = 0; i < 5; ++i) {
                leaves[i] = Tree.leaf(payeeOf(i), received * weights[i] / sum);
            }
            (bytes32 root,) = Tree.build(leaves, 0);
            _propose(root, received);
            _pass(WINDOW);
            for (uint256 i = 0; i < 5; ++i) {
                uint256 due = received * weights[i] / sum;
                bool last = e == 2;
                // Some come in some epochs only.
                if (!last && uint256(keccak256(abi.encode(seed, e, i))) % 2 == 0) continue;
                if (due > _pool.paid(payeeOf(i))) _claim(leaves, i, due);
                equal("has", token.balanceOf(payeeOf(i)), due);
            }
        }
        (uint256 paidOut, uint256 arrived) = _pool.totals();
        equal("arrived", arrived, received);
        atMost("dust", received - paidOut, 5);
        equal("balance", token.balanceOf(address(_pool)), received - paidOut);
    }

    /// A list that shares out more than there is pays what is there and then nothing; other pools are not touched.
    function test_a_wrong_list_reaches_no_other_pool() public {
        Epochs other = newPool(address(token), _keeper, WINDOW, SILENCE);
        token.mint(address(other), 100e6);
        token.mint(address(_pool), 5e6);
        (bytes32[] memory leaves,) = _leaves(4, 2e6);
        (bytes32 root,) = Tree.build(leaves, 0);
        _propose(root, 5e6);
        _pass(WINDOW);
        _claim(leaves, 1, 4e6);
        (, bytes32[] memory proof) = Tree.build(leaves, 3);
        bytes memory more = abi.encodeWithSelector(Epochs.MoreThanTotal.selector, 12e6, 5e6);
        _refusedClaim(more, payeeOf(3), 8e6, proof);
        equal("other pool", token.balanceOf(address(other)), 100e6);
        // Not even when money is there that the list did not share out; with a list that does, it is paid.
        token.mint(address(_pool), 15e6);
        _refusedClaim(more, payeeOf(3), 8e6, proof);
        _propose(root, 20e6);
        _pass(WINDOW);
        _claim(leaves, 3, 8e6);
    }

    // ---------------------------------------------------------------- keeper and auditors

    function _proposeAs(address who, bytes32 root, uint256 total) private {
        vm.startPrank(who);
        _pool.propose(root, LIST, total);
        vm.stopPrank();
    }

    function _vetoAs(address who, uint24 epoch) private {
        vm.startPrank(who);
        _pool.veto(epoch, "report");
        vm.stopPrank();
    }

    function _refusedProposal(address who, bytes memory reason) private {
        refused(who, reason, address(_pool), abi.encodeCall(_pool.propose, ("root", LIST, 10)));
    }

    function _silent(uint256 from) private pure returns (bytes memory) {
        return abi.encodeWithSelector(Epochs.KeeperNotSilent.selector, uint64(from));
    }

    /// What an auditor got when the time of the chain ran ahead: a root of its own, in use before anybody looked. Now the
    /// keeper has to have been silent first, and is asked once more.
    function test_an_auditor_who_empties_the_pool_inside_a_window() public {
        token.mint(address(_pool), 100e6);
        bytes32[] memory bad = new bytes32[](1);
        bad[0] = Tree.leaf(auditor, 100e6);
        uint256 spoke = _now;
        _refusedProposal(auditor, _silent(spoke + SILENCE));
        _inUse(4, 1e6);
        // The keeper spoke with its proposal, a window ago.
        spoke = _now - WINDOW;
        _pass(SILENCE - WINDOW - 1);
        _refusedProposal(auditor, _silent(spoke + SILENCE));
        _pass(1);
        _proposeAs(auditor, bad[0], 100e6);
        // A keeper who is there says no, and has the word again for as long.
        _pass(WINDOW - 1);
        _vetoAs(_keeper, 2);
        _refusedProposal(auditor, _silent(_now + SILENCE));
        _refusedClaim(
            abi.encodeWithSelector(Epochs.BadProof.selector, 1, auditor, 100e6), auditor, 100e6, new bytes32[](0)
        );
        _propose(bad[0] ^ bytes32(uint256(1)), 100e6);
        equal("nothing taken", token.balanceOf(auditor), 0);
    }

    /// Another auditor is enough, too, when the keeper is gone for good.
    function test_an_auditor_who_empties_a_pool_that_was_left_behind() public {
        token.mint(address(_pool), 100e6);
        _pass(SILENCE);
        _proposeAs(auditor, "all for me", 100e6);
        address other = vm.addr(30);
        members.add(other, Roles.AUDITOR, 0, 0);
        _vetoAs(other, 1);
        _proposeAs(other, "the right one", 100e6);
        _pass(WINDOW);
        (uint24 epoch, bytes32 root,) = _pool.inUse();
        equal("epoch", epoch, 1);
        equal("root", uint256(root), uint256(bytes32("the right one")));
    }

    /// The keeper's own list is in nobody's use before every auditor had its window.
    function test_a_keeper_who_empties_the_pool() public {
        token.mint(address(_pool), 100e6);
        for (uint256 i = 0; i < 3; ++i) {
            _propose("all for me", 100e6);
            _pass(WINDOW - 1);
            _vetoAs(auditor, 1);
        }
        (uint24 epoch,,) = _pool.inUse();
        equal("none in use", epoch, 0);
    }

    /// It speaks whenever the auditors could, and says no or nonsense: the members name another one.
    function test_a_keeper_who_locks_the_pool_for_ever() public {
        token.mint(address(_pool), 100e6);
        for (uint256 i = 0; i < 3; ++i) {
            _pass(SILENCE);
            if (i == 1) {
                _propose("nonsense", 100e6);
                _vetoAs(auditor, 1);
            } else {
                _proposeAs(auditor, "the right one", 100e6);
                _vetoAs(_keeper, 1);
            }
            _refusedProposal(auditor, _silent(_now + SILENCE));
        }
        address[4] memory others = [_keeper, auditor, trainer, stranger];
        for (uint256 i = 0; i < others.length; ++i) {
            refused(
                others[i],
                abi.encodeWithSelector(Epochs.NotManager.selector, others[i]),
                address(_pool),
                abi.encodeCall(_pool.setKeeper, (others[i]))
            );
        }
        refused(
            address(this),
            abi.encodeWithSelector(Epochs.ZeroValue.selector),
            address(_pool),
            abi.encodeCall(_pool.setKeeper, (address(0)))
        );
        _pool.setKeeper(runner);
        bytes memory gone = abi.encodeWithSelector(Members.MissingRole.selector, _keeper, Roles.AUDITOR, uint8(0));
        _refusedProposal(_keeper, gone);
        _proposeAs(runner, "the right one", 100e6);
        refused(_keeper, gone, address(_pool), abi.encodeCall(_pool.veto, (1, "report")));
        // Its silence begins anew: auditors wait for it as for the first one.
        _pass(WINDOW);
        _refusedProposal(auditor, _silent(_now - WINDOW + SILENCE));
        (uint24 epoch,,) = _pool.inUse();
        equal("in use", epoch, 1);
    }

    /// One who says no to everything is removed, and what it did not veto before comes into use.
    function test_an_auditor_who_locks_the_pool_for_ever() public {
        token.mint(address(_pool), 100e6);
        _propose("the right one", 100e6);
        _vetoAs(auditor, 1);
        members.setRoles(auditor, Roles.OWNER);
        _propose("the right one", 100e6);
        refused(
            auditor,
            abi.encodeWithSelector(Members.MissingRole.selector, auditor, Roles.AUDITOR, Roles.OWNER),
            address(_pool),
            abi.encodeCall(_pool.veto, (1, "report"))
        );
        _pass(WINDOW);
        (uint24 epoch,,) = _pool.inUse();
        equal("in use", epoch, 1);
    }

    /// Leaves that add up to more than the list says pay no more than it says, although more is there.
    function test_more_than_the_total_of_the_list() public {
        token.mint(address(_pool), 100e6);
        (bytes32[] memory leaves,) = _leaves(4, 10e6);
        (bytes32 root,) = Tree.build(leaves, 0);
        _propose(root, 30e6);
        _pass(WINDOW);
        _claim(leaves, 1, 20e6);
        (, bytes32[] memory proof) = Tree.build(leaves, 3);
        _refusedClaim(abi.encodeWithSelector(Epochs.MoreThanTotal.selector, 60e6, 30e6), payeeOf(3), 40e6, proof);
        _claim(leaves, 0, 10e6);
        (,, uint256 total) = _pool.inUse();
        equal("total", total, 30e6);
        // A later list never takes back what an earlier one shared out.
        refused(
            _keeper,
            abi.encodeWithSelector(Epochs.LessThanBefore.selector, 30e6 - 1, 30e6),
            address(_pool),
            abi.encodeCall(_pool.propose, ("root", LIST, 30e6 - 1))
        );
        // Not even one that was vetoed in between.
        _propose("too much", 90e6);
        _vetoAs(auditor, 2);
        (,, total) = _pool.inUse();
        equal("total", total, 30e6);
        _propose("as before", 30e6);
    }

    function test_a_keeper_with_no_time_to_speak() public {
        try new Epochs(IERC20(address(token)), members, _keeper, WINDOW, WINDOW - 1) {
            revert("no silence");
        } catch (bytes memory reason) {
            equal(
                "reason",
                uint256(keccak256(reason)),
                uint256(keccak256(abi.encodeWithSelector(Epochs.SilenceTooShort.selector, WINDOW - 1, WINDOW)))
            );
        }
    }
}
