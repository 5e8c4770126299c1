// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";

/// @title Where the contracts of one deployment are.
/// @notice One address finds all others. No contract can be changed in place: an upgrade deploys a successor, and the
/// members name it here. What was begun with the earlier contract ends there, under the rules it began with, and money
/// in it is claimed there; only clients that look here begin their next work with the successor.
contract Directory is AccessManaged {
    /// @notice A name and what it stands for.
    /// @param name ASCII, filled up with zero bytes: "market".
    /// @param target The contract.
    struct Entry {
        bytes32 name;
        address target;
    }

    /// @notice What each name stands for; zero for a name that was never set.
    mapping(bytes32 name => address) public lookup;
    bytes32[] private _names;

    /// @notice A name stands for another contract from now on. `previous` is zero the first time.
    event Named(bytes32 indexed name, address indexed target, address previous);

    /// @notice There is no code at this address.
    error NoContract(bytes32 name, address target);
    /// @notice The name is empty.
    error NoName();

    constructor(address manager) AccessManaged(manager) {}

    /// @notice Names contracts, or their successors. Restricted by the access manager.
    function set(Entry[] calldata list) external restricted {
        for (uint256 i = 0; i < list.length; i++) {
            Entry calldata e = list[i];
            if (e.name == 0) revert NoName();
            if (e.target.code.length == 0) revert NoContract(e.name, e.target);
            address previous = lookup[e.name];
            if (previous == address(0)) _names.push(e.name);
            lookup[e.name] = e.target;
            emit Named(e.name, e.target, previous);
        }
    }

    /// @notice All names in the order in which they were first set, with what they stand for now.
    function entries() external view returns (Entry[] memory list) {
        list = new Entry[](_names.length);
        for (uint256 i = 0; i < list.length; i++) {
            list[i] = Entry(_names[i], lookup[_names[i]]);
        }
    }
}
