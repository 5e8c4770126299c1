// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Datasets} from "../src/Datasets.sol";
import {Enclaves} from "../src/Enclaves.sol";
import {IRounds} from "../src/IRounds.sol";
import {Market} from "../src/Market.sol";
import {MarketRules} from "../src/MarketRules.sol";
import {Members} from "../src/Members.sol";
import {OneMayAct, Prover} from "./Prover.sol";

/// What governance alone may do to the market, nobody else can.
contract RulesProofs is Prover {
    Market private _market;

    function setUp() public {
        address none = address(0);
        address manager = address(new OneMayAct(address(this)));
        _market = new Market(manager, IERC20(none), Members(none), Datasets(none), Enclaves(none));
    }

    /// No call of anybody else pauses the market, names its rounds, or sets the fee.
    function check_only_governance_steers_the_market(address caller, uint8 what, address account, uint16 bps) public {
        vm.assume(caller != address(this));
        bytes memory call = abi.encodeCall(MarketRules.setRounds, (IRounds(account)));
        if (what == 1) call = abi.encodeCall(MarketRules.setFee, (bps, account));
        if (what == 2) call = abi.encodeCall(MarketRules.pause, ());
        if (what == 3) {
            _market.pause();
            call = abi.encodeCall(MarketRules.unpause, ());
        }
        vm.startPrank(caller);
        (bool ok,) = address(_market).call(call);
        vm.stopPrank();
        assert(!ok);
    }
}
