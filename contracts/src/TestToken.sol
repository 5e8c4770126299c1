// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title Money for demonstrations and tests.
/// @notice It has no value: its owner prints it. Real networks name an existing ERC-20 instead.
contract TestToken is ERC20, ERC20Permit, Ownable {
    constructor(address owner) ERC20("Histone TEST credit", "TEST") ERC20Permit("Histone TEST credit") Ownable(owner) {}

    /// @notice Prints `amount` units (1 TEST = 1,000,000 units) for `to`. Owner only.
    function mint(address to, uint256 amount) external onlyOwner {
        _mint(to, amount);
    }

    /// @notice Six decimals, like the stable coins which people pay with.
    function decimals() public pure override returns (uint8) {
        return 6;
    }
}
