// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Purse} from "../src/Purse.sol";
import {Prover} from "./Prover.sol";

/// Somebody who is told of money that arrives.
interface Told {
    function received() external;
}

/// Money that may keep a part of what it moves, and may call who gets it.
contract OddToken is ERC20("Money", "M") {
    uint256 private _fee;
    address private _told;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function setFee(uint256 fee) external {
        _fee = fee;
    }

    function tell(address account) external {
        _told = account;
    }

    function _update(address from, address to, uint256 value) internal override {
        uint256 fee = from == address(0) ? 0 : _fee;
        super._update(from, to, value - fee);
        if (fee != 0) super._update(from, address(0xFEE), fee);
        if (to == _told) Told(to).received();
    }
}

/// The purse with its internal steps in the open.
contract OpenPurse is Purse {
    constructor(IERC20 money) Purse(money) {}

    function credit(address account, uint256 amount) external {
        _credit(account, amount);
    }

    function take(uint256 amount) external {
        _take(amount);
    }

    function pay(address to, uint256 amount) external {
        _pay(to, amount);
    }
}

/// The steps through which every unit comes in and goes out, for all amounts and accounts.
contract PurseProofs is Told, Prover {
    OddToken private _token;
    OpenPurse private _purse;
    bool private _asked;

    function setUp() public {
        _token = new OddToken();
        _purse = new OpenPurse(IERC20(address(_token)));
        _token.approve(address(_purse), type(uint256).max);
    }

    /// What is owed is what was taken minus what was paid, and it is there.
    function check_obligations_are_taken_minus_paid(uint256 first, uint256 second, uint256 out, address to) public {
        vm.assume(to != address(0) && to != address(_purse));
        vm.assume(second <= type(uint256).max - first && out <= first + second);
        _token.mint(address(this), first + second);
        _purse.take(first);
        _purse.take(second);
        _purse.pay(to, out);
        assert(_purse.obligations() == first + second - out);
        assert(_token.balanceOf(address(_purse)) == first + second - out);
    }

    /// A claim pays the credits of the caller, all of them, once, and nothing of anybody else's.
    function check_claim_pays_the_credits_once(uint256 first, uint256 second, uint256 others, address other) public {
        vm.assume(other != address(this) && other != address(_purse) && other != address(0));
        vm.assume(first < 2 ** 128 && second < 2 ** 128 && others < 2 ** 128);
        uint256 income = first + second + others;
        _token.mint(address(this), income);
        _purse.take(income);
        _purse.credit(address(this), first);
        _purse.credit(other, others);
        _purse.credit(address(this), second);
        uint256 due = first + second;
        assert(_purse.owed(address(this)) == due);
        try _purse.claim() returns (uint256 amount) {
            assert(due != 0 && amount == due);
            assert(_token.balanceOf(address(this)) == due);
        } catch {
            assert(due == 0);
        }
        assert(_purse.owed(address(this)) == 0);
        assert(_purse.owed(other) == others);
        assert(_purse.obligations() == others);
        assert(_token.balanceOf(address(_purse)) == others);
        try _purse.claim() {
            assert(false);
        } catch {}
    }

    /// Who asks again while being paid gets no more than the credit, and nothing of anybody else's.
    function check_a_claim_within_a_claim_pays_nothing(uint128 credit, uint128 others) public {
        vm.assume(credit != 0);
        _token.mint(address(this), uint256(credit) + others);
        _purse.take(uint256(credit) + others);
        _purse.credit(address(this), credit);
        _purse.credit(address(0xBEEF), others);
        _token.tell(address(this));
        _purse.claim();
        assert(_token.balanceOf(address(this)) == credit);
        assert(_purse.obligations() == others);
    }

    /// The token calls; the first time, this asks again.
    function received() external {
        if (_asked) return;
        _asked = true;
        try _purse.claim() {} catch {}
    }

    /// Nobody is paid who was not credited, whoever it is.
    function check_no_credit_no_claim(address account, address credited, uint256 amount) public {
        vm.assume(account != credited);
        vm.assume(amount < type(uint256).max);
        _token.mint(address(this), amount);
        _purse.take(amount);
        _purse.credit(credited, amount);
        vm.startPrank(account);
        try _purse.claim() {
            assert(false);
        } catch {}
        vm.stopPrank();
    }

    /// A token that keeps a part for itself is refused: the purse never owes what did not arrive.
    function check_short_transfers_are_refused(uint256 amount, uint256 fee) public {
        vm.assume(fee <= amount);
        _token.mint(address(this), amount);
        _token.setFee(fee);
        try _purse.take(amount) {
            assert(amount == 0 || fee == 0);
        } catch {
            assert(fee != 0);
        }
        assert(_token.balanceOf(address(_purse)) == _purse.obligations());
    }
}
