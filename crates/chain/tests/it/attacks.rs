//! What hostile programs and requests are made of.

use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
use serde_json::{Value, json};

use crate::support::*;

/// `JUMPDEST PUSH0 JUMP`: for ever.
pub const ENDLESS: [u8; 3] = hex!("5b5f56");

/// Calls the precompile for powers again and again, with numbers of 256 bytes.
pub const ENDLESS_POWERS: [u8; 49] = hex!(
    "6101005f52" "6101006020" "52" "6101006040" "52" // three lengths
    "5f196060" "52" "5f19610160" "52" "5f19610260" "52" // ones in front of base, exponent and modulus
    "5b" "5f5f" "610360" "5f" "6005" "5a" "fa" "50" "602256"
);

/// Calls the precompile for commitments again and again, with the commitment to nothing.
pub const ENDLESS_COMMITMENTS: [u8; 44] = hex!(
    "60c0606053" "60c0609053" // commitment and proof: infinity
    "60205f6030606060025afa50" // SHA-256 of the commitment
    "60015f53" // its version
    "5b" "5f5f" "60c0" "5f" "600a" "5a" "fa" "50" "601a56" "00000000"
);

/// Takes 96 KiB of memory and calls itself, as deep as the gas lasts.
const DEEP: [u8; 24] = hex!("600f8060095f395ff3" "5f6201800052" "5f5f5f5f5f305af1" "00");

/// Emits as many events as the first word of the input says, each with as many bytes as the second says.
const NOISY: [u8; 26] =
    hex!("60118060095f395ff3" "5f35" "5b" "602035" "5f" "a0" "6001" "9003" "80" "6002" "57" "00");

/// A creation with this code.
pub fn creation(user: &User, nonce: u64, code: impl Into<Bytes>, gas_limit: u64) -> Bytes {
    let input = code.into();
    user.sign(TxEip1559 { nonce, to: TxKind::Create, input, gas_limit, ..user.draft() })
}

pub fn deep(user: &User, nonce: u64) -> (Bytes, Address) {
    (creation(user, nonce, DEEP, 200_000), user.address.create(nonce))
}

pub fn noisy(user: &User, nonce: u64) -> (Bytes, Address) {
    (creation(user, nonce, NOISY, 200_000), user.address.create(nonce))
}

/// A call of a noisy contract.
pub fn noise(user: &User, nonce: u64, noisy: Address, events: u64, bytes: u64) -> Bytes {
    let input = [U256::from(events).to_be_bytes::<32>(), U256::from(bytes).to_be_bytes::<32>()].concat();
    let gas_limit = 29_000_000;
    user.sign(TxEip1559 { nonce, to: TxKind::Call(noisy), input: input.into(), gas_limit, ..user.draft() })
}

pub fn request(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

pub fn endless_call() -> Value {
    request("eth_call", json!([{ "data": Bytes::from(ENDLESS) }, "latest"]))
}
