// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// The cheat codes that the proofs use. What a function takes as an argument stands for every value of its type.
interface Cheats {
    function assume(bool condition) external pure;
    function startPrank(address sender) external;
    function stopPrank() external;
    function warp(uint256 timestamp) external;
}

/// An access manager that lets one account act.
contract OneMayAct {
    address private immutable _who;

    constructor(address who) {
        _who = who;
    }

    function canCall(address caller, address, bytes4) external view returns (bool, uint32) {
        return (caller == _who, 0);
    }
}

/// What every contract of proofs begins with.
abstract contract Prover {
    Cheats internal constant vm = Cheats(address(uint160(uint256(keccak256("hevm cheat code")))));
}
