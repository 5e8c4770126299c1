// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {Datasets} from "./Datasets.sol";
import {Enclaves} from "./Enclaves.sol";
import {IRounds} from "./IRounds.sol";
import {MarketLog} from "./MarketLog.sol";
import {Members} from "./Members.sol";

/// @title The registers behind the market, and what governance decides about it, all of it.
/// @notice Whether there is new work, and the fee of models that are proposed from now on. Models that exist keep the
/// fee which they began with, so no vote takes anything from a price that somebody relied on.
abstract contract MarketRules is AccessManaged, Pausable, MarketLog {
    /// @notice No vote makes the fee higher than this, in 1/10,000 of the price of a query.
    uint16 public constant MAX_FEE_BPS = 1_000;

    /// @notice The register of members.
    Members public immutable members;
    /// @notice The register of datasets.
    Datasets public immutable datasets;
    /// @notice The register of enclaves.
    Enclaves public immutable enclaves;
    /// @notice Who gets the fees of all models; zero before the first fee, and never zero again.
    address public treasury;
    /// @notice The training rounds; set once.
    IRounds public rounds;
    /// @notice The fee of models that are proposed now, in 1/10,000 of the price of a query.
    uint16 public feeBps;
    /// @notice How many models were ever proposed; ids run from 1.
    uint32 public modelCount;
    /// @notice Unix seconds: when the last pause ended; 0 when there was none.
    uint40 public resumedAt;

    constructor(address manager, Members members_, Datasets datasets_, Enclaves enclaves_) AccessManaged(manager) {
        members = members_;
        datasets = datasets_;
        enclaves = enclaves_;
    }

    /// @notice Names the contract with the training rounds, which needs the address of this one first. Once only.
    /// Restricted by the access manager.
    function setRounds(IRounds rounds_) external restricted {
        if (address(rounds_) == address(0)) revert ZeroAddress();
        if (address(rounds) != address(0)) revert RoundsAlreadySet(address(rounds));
        rounds = rounds_;
        emit RoundsSet(address(rounds_));
    }

    /// @notice Sets the fee of models that are proposed from now on, and who gets the fees of all models. Restricted by
    /// the access manager.
    /// @param bps In 1/10,000 of the price of a query, at most `MAX_FEE_BPS`.
    /// @param treasury_ Zero only as long as there never was a treasury: otherwise fees could be due to nobody.
    function setFee(uint16 bps, address treasury_) external restricted {
        if (bps > MAX_FEE_BPS) revert FeeTooHigh(bps, MAX_FEE_BPS);
        if (treasury_ == address(0) && (bps != 0 || treasury != address(0))) revert ZeroAddress();
        if (treasury_ == address(this)) revert OwnAddress();
        feeBps = bps;
        treasury = treasury_;
        emit FeeSet(bps, treasury_);
    }

    /// @notice Stops new work: proposals, donations, rounds (also of trainings that have begun), the start of a training in
    /// one enclave, and sales. Restricted by the access manager, which should name somebody who can act at once.
    function pause() external restricted {
        _pause();
    }

    /// @notice Ends a pause. Restricted by the access manager.
    function unpause() external restricted {
        _unpause();
        resumedAt = uint40(block.timestamp);
    }
}
