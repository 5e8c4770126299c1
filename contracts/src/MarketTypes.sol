// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";
import {Sales} from "./Shares.sol";

/// @title Where a model stands.
enum State {
    None,
    Recruiting,
    Training,
    Trained,
    Serving,
    Retired,
    Aborted
}

/// @title What the market keeps about a model.
/// @notice Most calls touch one or two slots of it; the order of fields is for that.
struct Model {
    // first slot: all that donating needs
    address trainer;
    State state;
    uint16 donors;
    uint16 maxDonors;
    uint48 totalWeight;
    // Whether a donation has more to look at: somebody was refused, or all data goes to one enclave.
    bool particular;
    // second slot
    Sales sales;
    // third slot
    uint96 instantPayment;
    uint16 minDonors;
    // The fees of so many settled queries were paid out.
    uint32 feesCollected;
    uint16 minSurvivors;
    uint8 colluders;
    // Donors who are paid nothing: named by the committee, refused, or withdrawn before a sum was open.
    uint16 excluded;
    // Running number of the one enclave that all data is brought to; 0 where each owner has its own, or before it is named.
    uint32 host;
    bytes32 whitePaperHash;
    bytes32 planHash;
    bytes32 modelHash;
}

/// @title Where a query stands.
enum QueryState {
    None,
    Funded,
    Settled,
    Refunded
}

/// @title One query, in one storage slot. Its price is in the terms of the model.
/// @param user Who paid.
/// @param deadline Unix seconds; up to then it can be settled, after it refunded.
/// @param modelId The model.
/// @param serving Which enclave answers: the one that served when the query was bought.
/// @param state Where it stands.
struct Query {
    address user;
    uint40 deadline;
    uint32 modelId;
    uint16 serving;
    QueryState state;
}

/// @title One donor of one model, for readers.
/// @param payee Account that is paid, made for this model; `Donated` links it to the dataset in public.
/// @param weight Share in the donors' part, relative to `totalWeight`; 0 for a donor who was excluded and is paid nothing.
/// @param enclave The training enclave which took the data; zero when its use ended before training did.
/// @param instantPaid Whether the instant payment was paid out.
/// @param queriesPaid Of how many settled queries the share was paid out.
struct DonorInfo {
    address payee;
    uint32 weight;
    address enclave;
    bool instantPaid;
    uint32 queriesPaid;
}

/// @title Who has a place in a model already: datasets or enclaves, by running number.
library Places {
    using BitMaps for BitMaps.BitMap;

    /// @notice Takes the place of this number, unless it is taken.
    /// @return free Whether it was not.
    function take(BitMaps.BitMap storage places, uint32 number) internal returns (bool free) {
        uint256 bit = _bucket(number) + 1 + number % 255;
        free = !places.get(bit);
        if (free) places.set(bit);
    }

    /// @notice Pays for the slot of this number, so that whoever takes a place in it does not.
    function prepare(BitMaps.BitMap storage places, uint32 number) internal {
        places.set(_bucket(number));
    }

    // A slot holds 255 numbers; bit 0, whose index this is, belongs to none of them.
    function _bucket(uint32 number) private pure returns (uint256) {
        return uint256(number) / 255 * 256;
    }
}
