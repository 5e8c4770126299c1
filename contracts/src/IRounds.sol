// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title Where a round stands.
/// @notice Open -> Closed -> Final, or Open -> Failed when too few donors took part.
enum RoundStatus {
    None,
    Open,
    Closed,
    Final,
    Failed
}

/// @title What the market needs to know about training rounds.
interface IRounds {
    /// @notice The outcome of the latest round of a model.
    /// @return round Its number, 0 when there was none.
    /// @return status Where it stands.
    /// @return modelHash Hash of the model that it produced; 0 unless `Final`.
    function outcome(uint256 modelId) external view returns (uint32 round, RoundStatus status, bytes32 modelHash);

    /// @notice How far the training of a model came.
    /// @return opened Number of rounds of which a quorum of partial openings is posted, so that the sum is open.
    /// @return deadline Unix seconds: the deadline of the latest round, 0 when there was none.
    /// @return missed Whether the donors missed the latest round: it failed, although it asked for no more updates than
    /// each opened round, gave at least half the time of the shortest one, and half of the needed updates arrived.
    function progress(uint256 modelId) external view returns (uint32 opened, uint64 deadline, bool missed);
}
