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
    /// @return deadline Unix seconds: the deadline of the latest round, 0 when there was none.
    /// @return silent How many donors missed the latest round: it failed after an earlier one was opened, although it gave
    /// them at least half the time of the shortest opened one, half of the needed updates arrived, and theirs did not, nor
    /// was their dataset withdrawn.
    /// @return voided Whether the committee missed the latest round: it is void, and after an earlier one was opened, it
    /// gave the committee at least the time of the shortest opened one.
    function progress(uint256 modelId)
        external
        view
        returns (uint32 opened, uint64 deadline, uint16 silent, bool voided);

    /// @notice Whether a donor's update is in the latest round of a model.
    function isInLatest(uint256 modelId, uint16 donorIndex) external view returns (bool);
}
