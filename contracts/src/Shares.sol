// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title What a model sells, in one slot: all that buying a query needs, and settling it but for the trainer.
/// @param price Units of the token for one query.
/// @param donorsBps Part of the rest of the price for all donors together, in 1/10,000.
/// @param trainerBps Part of it for the trainer; what is left is for the runner.
/// @param feeBps The fee, which is taken off the price first, in 1/10,000.
/// @param settled Number of queries settled so far.
/// @param timeout Seconds after which an unanswered query is refunded.
/// @param servings Number of times that an enclave was named; the last one serves.
/// @param open Whether queries are sold.
/// @param owedAfterAbort Whether the instant payments are owed although the model was given up.
struct Sales {
    uint96 price;
    uint16 donorsBps;
    uint16 trainerBps;
    uint16 feeBps;
    uint32 settled;
    uint32 timeout;
    uint16 servings;
    bool open;
    bool owedAfterAbort;
}

/// @title One donor of one model, in one slot, so that donating costs one.
/// @param payee Account that is paid.
/// @param weight Share in the donors' part, relative to the sum of all.
/// @param enclave The running number of the training enclave, 0 when the use of the data ended.
/// @param paid The bit `Shares.UNPAID` and the running number of the dataset before the first payment, which includes the
/// instant payment; afterwards the number of queries whose share was paid. Nobody asks for the dataset once training is
/// over.
struct Donor {
    address payee;
    uint32 weight;
    uint32 enclave;
    uint32 paid;
}

/// @title How the price of a query is shared out.
/// @notice Price and split of a model never change. So the number of settled queries says what everybody earned with it,
/// and nothing has to be kept for each donor but how many of them were paid.
library Shares {
    /// @notice The whole, in the unit of all parts.
    uint256 internal constant BPS = 10_000;
    /// @notice Set in `Donor.paid` as long as nothing was paid. No counter of queries or datasets comes so far.
    uint32 internal constant UNPAID = 1 << 31;

    /// @notice The parts of the price of one query; together they are the price, to the unit.
    function split(Sales storage s)
        internal
        view
        returns (uint256 donorsShare, uint256 trainerShare, uint256 runnerShare, uint256 fee)
    {
        uint256 price = s.price;
        fee = price * s.feeBps / BPS;
        uint256 rest = price - fee;
        trainerShare = rest * s.trainerBps / BPS;
        runnerShare = rest * (BPS - s.donorsBps - s.trainerBps) / BPS;
        // Whatever rounding leaves belongs to the donors.
        donorsShare = rest - trainerShare - runnerShare;
    }

    /// @notice The fees of all settled queries after the first `collected`. Counted when they are asked for, so that no
    /// query pays for keeping a sum of them.
    function fees(Sales storage s, uint32 collected) internal view returns (uint256) {
        (,,, uint256 fee) = split(s);
        return fee * (s.settled - collected);
    }

    /// @notice What a donor earned with settled queries and was not paid yet.
    function earned(Sales storage s, Donor storage d, uint256 totalWeight) internal view returns (uint256) {
        (uint256 donorsShare,,,) = split(s);
        uint256 paid = d.paid;
        uint256 weight = d.weight;
        // Both sums are rounded down from the very beginning, so that rounding never adds up.
        uint256 all = donorsShare * s.settled * weight / totalWeight;
        return paid >= UNPAID ? all : all - donorsShare * paid * weight / totalWeight;
    }
}
