// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Donor, Sales, Shares} from "../src/Shares.sol";
import {Prover} from "./Prover.sol";

/// The arithmetic of a model's revenue, for all prices, fees, splits and numbers of queries.
contract SharesProofs is Prover {
    using Shares for Sales;

    Sales private _sales;
    Donor private _first;

    function _sell(uint96 price, uint16 donorsBps, uint16 trainerBps, uint16 feeBps) private {
        vm.assume(donorsBps <= 10_000 && trainerBps <= 10_000 - donorsBps && feeBps <= 1_000);
        _sales.price = price;
        _sales.donorsBps = donorsBps;
        _sales.trainerBps = trainerBps;
        _sales.feeBps = feeBps;
    }

    /// Nothing of a price is lost, and no part of it is more than there is.
    function check_the_parts_are_the_price(uint96 price, uint16 donorsBps, uint16 trainerBps, uint16 feeBps) public {
        _sell(price, donorsBps, trainerBps, feeBps);
        (uint256 d, uint256 t, uint256 r, uint256 fee) = _sales.split();
        assert(fee <= price && t <= price - fee && r <= price - fee - t);
        assert(d == price - fee - t - r);
    }

    /// Collecting fees after three queries and after ten gives what collecting them in the end gives; twice gives nothing.
    function check_fees_telescope(uint96 price, uint16 feeBps) public {
        _sell(price, 6_000, 3_000, feeBps);
        _sales.settled = 3;
        uint256 first = _sales.fees(0);
        assert(_sales.fees(3) == 0);
        _sales.settled = 10;
        assert(first + _sales.fees(3) == _sales.fees(0));
    }

    /// A donor who was paid earns no less with more queries, and nothing with no more.
    function check_earnings_telescope(uint96 price, uint32 early, uint32 late) public {
        _sell(price, 6_000, 3_000, 0);
        vm.assume(early <= late && late < Shares.UNPAID);
        _first.weight = 3;
        _first.paid = Shares.UNPAID;
        _sales.settled = early;
        uint256 first = _sales.earned(_first, 10);
        _first.paid = early;
        assert(_sales.earned(_first, 10) == 0);
        _sales.settled = late;
        uint256 second = _sales.earned(_first, 10);
        _first.paid = Shares.UNPAID;
        assert(first + second == _sales.earned(_first, 10));
    }
}
