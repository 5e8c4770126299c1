//! Turns a failed call into the contract's own error name and arguments.

use alloy::sol_types::SolInterface;
use alloy::transports::TransportError;
use histone_contracts::{
    AccessManager, Datasets, Directory, Enclaves, Epochs, HistoneGovernor, LedgerError, Market, Members,
    Programs, Rounds, TestToken, TimelockController,
};

/// An error of a call named `name`.
pub(crate) fn transport(name: &str, error: TransportError) -> LedgerError {
    let name = name.to_string();
    let Some(response) = error.as_error_resp() else {
        return LedgerError::Transport { name, source: Box::new(error) };
    };
    // -32603: the chain itself failed, no contract refused anything.
    if response.code == -32603 {
        return LedgerError::Failed { name, detail: response.message.to_string() };
    }
    let explanation = match response.as_revert_data() {
        Some(data) => revert(&data),
        None => response.message.to_string(),
    };
    LedgerError::Refused { name, explanation }
}

/// Whether a node refuses because the answer would be too long: -32005 by EIP-1474, and what common nodes say instead.
pub(crate) fn is_limit(error: &TransportError) -> bool {
    let Some(response) = error.as_error_resp() else { return false };
    let said = response.message.to_lowercase();
    response.code == -32005
        || ["limit", "range", "more than", "too many", "too large"].iter().any(|word| said.contains(word))
}

fn revert(data: &[u8]) -> String {
    fn as_error<E: SolInterface + std::fmt::Debug>(data: &[u8]) -> Option<String> {
        // `Debug` of the generated enum is `Variant(Struct { fields })`; the struct alone says all.
        let text = format!("{:?}", E::abi_decode(data).ok()?);
        let inner = text.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'))?;
        Some(inner.to_string())
    }
    as_error::<Market::MarketErrors>(data)
        .or_else(|| as_error::<Rounds::RoundsErrors>(data))
        .or_else(|| as_error::<Datasets::DatasetsErrors>(data))
        .or_else(|| as_error::<Enclaves::EnclavesErrors>(data))
        .or_else(|| as_error::<Programs::ProgramsErrors>(data))
        .or_else(|| as_error::<Members::MembersErrors>(data))
        .or_else(|| as_error::<TestToken::TestTokenErrors>(data))
        .or_else(|| as_error::<AccessManager::AccessManagerErrors>(data))
        .or_else(|| as_error::<HistoneGovernor::HistoneGovernorErrors>(data))
        .or_else(|| as_error::<TimelockController::TimelockControllerErrors>(data))
        .or_else(|| as_error::<Directory::DirectoryErrors>(data))
        .or_else(|| as_error::<Epochs::EpochsErrors>(data))
        .or_else(|| alloy::sol_types::decode_revert_reason(data))
        .unwrap_or_else(|| {
            format!("an unknown error with selector 0x{}", alloy::hex::encode(data.get(..4).unwrap_or(data)))
        })
}
