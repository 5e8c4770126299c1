// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

/// @title Keeps one kind of money and pays it out to those who ask for what they are owed.
/// @notice Every unit that comes in or goes out passes this file.
abstract contract Purse is ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @notice The only money that is accepted.
    IERC20 public immutable token;
    /// @notice Units that this contract owes: everything taken in minus everything paid out. It equals the balance,
    /// unless somebody sent money here without being asked. What rounding leaves over is part of it.
    uint256 public obligations;

    // 0, or 1 + what is owed: an account that was paid in full keeps its slot, and the next credit costs less.
    mapping(address account => uint256) private _claimable;

    /// @notice An account took what it was owed.
    event Paid(address indexed account, uint256 amount);

    /// @notice The token delivered `received` instead of `expected`; tokens that take a fee are not accepted.
    error ShortTransfer(uint256 expected, uint256 received);
    /// @notice There is nothing to pay to this account.
    error NothingOwed(address account);

    constructor(IERC20 token_) {
        token = token_;
    }

    /// @notice Pays the caller what is owed to it (see `owed`).
    /// @return amount Units of the token.
    function claim() external nonReentrant returns (uint256 amount) {
        amount = owed(msg.sender);
        if (amount == 0) revert NothingOwed(msg.sender);
        _claimable[msg.sender] = 1;
        emit Paid(msg.sender, amount);
        _pay(msg.sender, amount);
    }

    /// @notice Units that an account can claim; what donors are owed is counted elsewhere.
    function owed(address account) public view returns (uint256) {
        uint256 kept = _claimable[account];
        return kept == 0 ? 0 : kept - 1;
    }

    // Lets `account` claim `amount` more; the money must be here already.
    function _credit(address account, uint256 amount) internal {
        uint256 kept = _claimable[account];
        _claimable[account] = (kept == 0 ? 1 : kept) + amount;
    }

    // Takes `amount` from the caller and refuses tokens which deliver another amount.
    function _take(uint256 amount) internal {
        if (amount == 0) return;
        obligations += amount;
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = token.balanceOf(address(this)) - before;
        if (received != amount) revert ShortTransfer(amount, received);
    }

    function _pay(address to, uint256 amount) internal {
        if (amount == 0) return;
        obligations -= amount;
        token.safeTransfer(to, amount);
    }
}
