// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Purse} from "../src/Purse.sol";
import {TestToken} from "../src/TestToken.sol";

/// The purse with its internal steps in the open.
contract OpenPurse is Purse {
    constructor(IERC20 token) Purse(token) {}

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

/// The steps through which every unit comes in and goes out, alone.
contract PurseTest {
    address private constant OTHER = address(0xBEEF);

    TestToken private _token;
    OpenPurse private _purse;

    function setUp() public {
        _token = new TestToken(address(this));
        _purse = new OpenPurse(IERC20(address(_token)));
        _token.approve(address(_purse), type(uint256).max);
    }

    function _balanced() private view {
        assert(_token.balanceOf(address(_purse)) == _purse.obligations());
    }

    /// Who claims gets what was credited, once; nobody else's money moves.
    function testFuzz_claim_pays_what_is_owed(uint96 income, uint96 first, uint96 second, uint96 others) public {
        if (uint256(first) + second + others > income) return;
        _token.mint(address(this), income);
        _purse.take(income);
        _purse.credit(address(this), first);
        _purse.credit(OTHER, others);
        _purse.credit(address(this), second);
        uint256 owed = uint256(first) + second;
        assert(_purse.owed(address(this)) == owed);
        if (owed == 0) return;
        assert(_purse.claim() == owed);
        assert(_token.balanceOf(address(this)) == owed);
        assert(_purse.owed(address(this)) == 0);
        assert(_purse.owed(OTHER) == others);
        assert(_purse.obligations() == income - owed);
        _balanced();
    }

    /// What comes in and goes out is what is owed.
    function testFuzz_take_and_pay_keep_the_balance(uint96 income, uint96 out) public {
        _token.mint(address(this), income);
        _purse.take(income);
        _balanced();
        if (out > income) return;
        _purse.pay(OTHER, out);
        _balanced();
        assert(_token.balanceOf(OTHER) == out);
    }
}
