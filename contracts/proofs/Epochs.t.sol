// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Epochs} from "../src/Epochs.sol";
import {Members} from "../src/Members.sol";
import {TestToken} from "../src/TestToken.sol";
import {Prover} from "./Prover.sol";

/// The payments of a large pool, for all sums: two accounts, two lists. The register of members is not asked, because
/// this contract is the keeper.
contract EpochsProofs is Prover {
    address private constant FIRST = address(0x1001);
    address private constant SECOND = address(0x1002);

    TestToken private _token;
    Epochs private _epochs;

    function setUp() public {
        vm.warp(1_000_000);
        _token = new TestToken(address(this));
        _epochs = new Epochs(IERC20(address(_token)), Members(address(this)), address(this), 1 hours, 1 hours);
    }

    /// A claim pays the difference to what was paid before, and never twice.
    function check_a_claim_pays_the_difference(uint96 due, uint96 more) public {
        uint256 all = 2 ** 100;
        _token.mint(address(_epochs), all);
        _publish(due, 0, all);
        _claims(FIRST, due, _leaf(SECOND, 0), due);
        uint256 sum = uint256(due) + more;
        _publish(sum, 0, all);
        _claims(FIRST, sum, _leaf(SECOND, 0), more);
        _claims(FIRST, sum, _leaf(SECOND, 0), 0);
        assert(_token.balanceOf(FIRST) == sum);
        assert(_epochs.paid(FIRST) == sum);
        (uint256 paidOut,) = _epochs.totals();
        assert(paidOut == sum);
    }

    /// Totals and what was paid out are counted in full, however much it is: a sum that does not fit is refused.
    function check_totals_are_never_cut_off(uint256 due) public {
        vm.assume(due != 0 && due < 2 ** 200);
        _token.mint(address(_epochs), 2 ** 200);
        try _epochs.propose(_root(_leaf(FIRST, due), _leaf(SECOND, 0)), "list", due) {
            assert(due < 2 ** 128 - 1);
            vm.warp(block.timestamp + 1 hours);
            (,, uint256 total) = _epochs.inUse();
            assert(total == due);
            _claims(FIRST, due, _leaf(SECOND, 0), due);
            (uint256 paidOut,) = _epochs.totals();
            assert(paidOut == due);
        } catch {
            assert(due >= 2 ** 128 - 1);
        }
    }

    /// A list which shares out more than arrived is refused, and so is one that shares out less than the one before.
    function check_no_list_promises_too_much(uint96 arrived, uint96 before, uint96 total) public {
        _token.mint(address(_epochs), arrived);
        vm.assume(before <= arrived);
        _publish(before, 0, before);
        try _epochs.propose("root", "list", total) {
            assert(total <= arrived && total >= before);
        } catch {
            assert(total > arrived || total < before);
        }
    }

    /// Whatever the leaves say, claims take no more in all than the total of the list.
    function check_claims_take_no_more_than_the_total(uint96 first, uint96 second, uint96 total) public {
        _token.mint(address(_epochs), 2 ** 100);
        _publish(first, second, total);
        bool one;
        bool two;
        try _epochs.claim(FIRST, first, _proof(_leaf(SECOND, second))) {
            one = true;
        } catch {
            assert(first == 0 || first > total);
        }
        try _epochs.claim(SECOND, second, _proof(_leaf(FIRST, first))) {
            two = true;
        } catch {
            assert(second == 0 || uint256(second) + (one ? first : 0) > total);
        }
        (uint256 paidOut,) = _epochs.totals();
        assert(paidOut == (one ? uint256(first) : 0) + (two ? second : 0));
        assert(paidOut <= total);
    }

    /// Only what is in the list is paid, to those who are in it, once the window is over.
    function check_only_the_list_is_paid(uint96 due, uint96 asked, uint40 time) public {
        _token.mint(address(_epochs), 2 ** 100);
        _epochs.propose(_root(_leaf(FIRST, due), _leaf(SECOND, 7)), "list", 2 ** 100);
        // Before the first list is usable the root is 1; no hash that is 1 is known.
        vm.assume(_root(_leaf(FIRST, asked), _leaf(SECOND, 7)) != bytes32(uint256(1)));
        vm.assume(time >= block.timestamp);
        uint256 usable = block.timestamp + 1 hours;
        vm.warp(time);
        try _epochs.claim(FIRST, asked, _proof(_leaf(SECOND, 7))) returns (uint256 amount) {
            assert(time >= usable && asked == due && amount == due);
        } catch {
            assert(time < usable || asked != due || due == 0);
        }
    }

    function _claims(address account, uint256 due, bytes32 sibling, uint256 expected) private {
        try _epochs.claim(account, due, _proof(sibling)) returns (uint256 amount) {
            assert(expected != 0 && amount == expected);
        } catch {
            assert(expected == 0);
        }
    }

    function _publish(uint256 first, uint256 second, uint256 total) private {
        _epochs.propose(_root(_leaf(FIRST, first), _leaf(SECOND, second)), "list", total);
        vm.warp(block.timestamp + 1 hours);
    }

    function _leaf(address account, uint256 due) private pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(account, due))));
    }

    function _root(bytes32 a, bytes32 b) private pure returns (bytes32) {
        return a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
    }

    function _proof(bytes32 sibling) private pure returns (bytes32[] memory proof) {
        proof = new bytes32[](1);
        proof[0] = sibling;
    }
}
