//! A model that is for the participants, as one of them receives it.

use histone_enclave::training::{PARTICIPANT_KEY_INFO, participant_key_aad};
use histone_federation::sealed::ModelKey;
use histone_program_sdk::model::Model;
use histone_program_sdk::wire::Wire;
use histone_protocol::B256;
use zeroize::Zeroizing;

use crate::error::NodeError;
use crate::party::Party;

/// Opens a model with the key that an enclave sealed to this party, compares it with what the market sells, and keeps it in the
/// party's directory.
pub fn receive(
    party: &Party,
    model_id: u64,
    name: B256,
    sealed_key: &[u8],
    blob: &[u8],
) -> Result<Model, NodeError> {
    let refuse =
        |what: &str| NodeError::Message(format!("the model {model_id} that `{}` got: {what}", party.name));
    let aad = participant_key_aad(model_id, name, party.account());
    let key = party.seal.open(PARTICIPANT_KEY_INFO, aad.as_slice(), sealed_key);
    let key = Zeroizing::new(key.map_err(|e| refuse(&e.to_string()))?);
    let key: &[u8; 32] = key.as_slice().try_into().map_err(|_| refuse("its key has another length"))?;
    let key = ModelKey::from_bytes(*key);
    let model = key.open(blob).ok_or_else(|| refuse("it does not open under its key"))?;
    if key.name(&model) != name.0 {
        return Err(refuse("it is not the one that the market sells"));
    }
    party.keep(&format!("model-{model_id}.bin"), &model.to_bytes())?;
    Ok(model)
}
