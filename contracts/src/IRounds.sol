// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title Where a round stands.
/// @notice Open -> Closed -> Final. Failed when too few donors are left, open or closed; Void when the committee did not
/// open it in time.
enum RoundStatus {
    None,
    Open,
    Closed,
    Final,
    Failed,
    Void
}

/// @title What the market needs to know about training rounds, and tells them.
interface IRounds {
    /// @notice Fixes the committee of a model for its whole training. The market only, when training starts.
    /// @param seats Its members in ascending order; each has the role COMMITTEE and claims to have proved its key.
    /// @param colluders How many of them may collude; threshold and quorum follow (`Committees`).
    /// @param minSurvivors With fewer updates no round of the model is opened.
    function fixCommittee(
        uint256 modelId,
        address[] calldata seats,
        bytes32[] calldata sealKeys,
        uint8 colluders,
        uint16 minSurvivors
    ) external;

    /// @notice Takes a donor whose dataset was withdrawn out of the latest round, unless its sum is open. The market only,
    /// once for each donor.
    function dropDonor(uint256 modelId, uint16 donorIndex) external;

    /// @notice The outcome of the latest round of a model.
    /// @return round Its number, 0 when there was none.
    /// @return status Where it stands.
    /// @return modelHash Hash of the model that it produced; 0 unless `Final`.
    function outcome(uint256 modelId) external view returns (uint32 round, RoundStatus status, bytes32 modelHash);

    /// @notice How far the training of a model came.
    /// @return opened Number of rounds of which a quorum of partial openings was posted, so that the sum is open.
    /// @return openedAt Unix seconds: when the last of them was opened; 0 when there was none.
    function progress(uint256 modelId) external view returns (uint32 opened, uint64 openedAt);
}
