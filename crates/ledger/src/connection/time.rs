//! The clock of development nodes, which can be moved.

use alloy::providers::Provider;
use histone_contracts::LedgerError;

use super::Connection;
use crate::explain;

impl Connection {
    /// Whether the node's clock is SIMULATED and can be moved, as that of anvil and hardhat. Changes nothing.
    pub async fn clock_can_be_moved(&self) -> bool {
        self.provider.raw_request::<_, serde_json::Value>("evm_increaseTime".into(), [0u64]).await.is_ok()
    }

    /// Moves the SIMULATED clock of a development node on by so many seconds, and makes a block then.
    pub async fn move_clock(&self, seconds: u64) -> Result<(), LedgerError> {
        let moved: Result<serde_json::Value, _> =
            self.provider.raw_request("evm_increaseTime".into(), [seconds]).await;
        moved.map_err(|e| explain::transport("evm_increaseTime", e))?;
        let mined: Result<serde_json::Value, _> = self.provider.raw_request("evm_mine".into(), ()).await;
        mined.map_err(|e| explain::transport("evm_mine", e))?;
        Ok(())
    }
}
