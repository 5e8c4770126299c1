//! A chain in a temporary directory, keys that sign, and one small contract.

#![allow(dead_code)] // Two test programs use this file, each of them another part of it.

use std::path::Path;
use std::sync::Arc;

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEnvelope, TxLegacy};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex};
use histone_chain::{Chain, Genesis, ManualClock, Sequencer};
use k256::ecdsa::SigningKey;
use serde_json::{Value, json};

pub const CHAIN_ID: u64 = 4711;
pub const START: u64 = 1_700_000_000;
/// Opening balance of the users 1 to 9, in wei.
pub const FUNDS: u64 = 1_000_000_000_000;

/// Without input: adds one to slot 0, emits the new value under the topic 0x77, returns it.
/// With input: reverts with that input.
const COUNTER: [u8; 51] = hex!(
    "602880600b6000396000f3" // constructor: returns the 40 bytes that follow
    "36601d57" "600054" "600101" "80600055" "600052" "607760206000a1" "60206000f3"
    "5b" "366000600037" "366000fd"
);

#[derive(Clone)]
pub struct User {
    key: SigningKey,
    pub address: Address,
}

/// The user with the key `number` repeated 32 times; 1 to 9 have funds.
pub fn user(number: u8) -> User {
    let key = SigningKey::from_slice(&[number; 32]).unwrap();
    User { address: Address::from_public_key(key.verifying_key()), key }
}

/// Any number of others, without funds.
pub fn user_with(number: u64) -> User {
    let mut secret = [9; 32];
    secret[..8].copy_from_slice(&number.to_be_bytes());
    let key = SigningKey::from_slice(&secret).unwrap();
    User { address: Address::from_public_key(key.verifying_key()), key }
}

impl User {
    pub fn sign<T: SignableTransaction<Signature>>(&self, transaction: T) -> Bytes
    where
        TxEnvelope: From<alloy_consensus::Signed<T>>,
    {
        let signature = self.sign_hash(transaction.signature_hash());
        TxEnvelope::from(transaction.into_signed(signature)).encoded_2718().into()
    }

    pub fn sign_hash(&self, hash: B256) -> Signature {
        self.key.sign_prehash_recoverable(hash.as_slice()).unwrap().into()
    }

    pub fn send(&self, nonce: u64, to: Address, wei: u64) -> Bytes {
        self.sign(TxEip1559 {
            nonce,
            to: TxKind::Call(to),
            value: U256::from(wei),
            gas_limit: 21_000,
            ..self.draft()
        })
    }

    pub fn call(&self, nonce: u64, to: Address, input: impl Into<Bytes>) -> Bytes {
        self.sign(TxEip1559 { nonce, to: TxKind::Call(to), input: input.into(), ..self.draft() })
    }

    pub fn deploy_counter(&self, nonce: u64) -> Bytes {
        self.sign(TxEip1559 { nonce, to: TxKind::Create, input: COUNTER.into(), ..self.draft() })
    }

    pub fn draft(&self) -> TxEip1559 {
        TxEip1559 { chain_id: CHAIN_ID, gas_limit: 200_000, ..TxEip1559::default() }
    }

    pub fn legacy(&self, chain_id: Option<u64>, nonce: u64, gas_price: u128) -> Bytes {
        let to = TxKind::Call(user(9).address);
        self.sign(TxLegacy { chain_id, nonce, gas_price, gas_limit: 21_000, to, ..TxLegacy::default() })
    }

    pub fn with_access_list(&self, nonce: u64) -> Bytes {
        let to = TxKind::Call(user(9).address);
        self.sign(TxEip2930 { chain_id: CHAIN_ID, nonce, gas_limit: 50_000, to, ..TxEip2930::default() })
    }
}

pub fn sequencer() -> Sequencer {
    Sequencer::from_bytes(&[200; 32]).unwrap()
}

pub fn genesis() -> Genesis {
    Genesis {
        chain_id: CHAIN_ID,
        timestamp: START,
        sequencer: sequencer().address(),
        alloc: (1..=9).map(|number| (user(number).address, U256::from(FUNDS))).collect(),
        gas_limit: Genesis::GAS_LIMIT,
    }
}

pub fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(START + 100))
}

pub fn create(dir: &Path) -> Chain {
    Chain::create(dir, genesis(), sequencer(), clock()).unwrap()
}

pub fn open(dir: &Path) -> Chain {
    Chain::open(dir, sequencer(), clock()).unwrap()
}

/// A chain in a fresh directory, which lives as long as the second value.
pub fn fresh() -> (Chain, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (create(dir.path()), dir)
}

/// Calls a method that must succeed.
#[track_caller]
pub fn ask(chain: &Chain, method: &str, params: Value) -> Value {
    chain.request(method, params).unwrap()
}

/// Sends a transaction that must be mined and returns its receipt.
#[track_caller]
pub fn mine(chain: &Chain, raw: &Bytes) -> Value {
    let hash = ask(chain, "eth_sendRawTransaction", json!([raw]));
    let receipt = ask(chain, "eth_getTransactionReceipt", json!([hash]));
    assert_eq!(receipt["transactionHash"], hash);
    receipt
}

pub fn quantity(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().strip_prefix("0x").unwrap(), 16).unwrap()
}

pub fn balance(chain: &Chain, address: Address) -> u64 {
    quantity(&ask(chain, "eth_getBalance", json!([address, "latest"])))
}

pub fn deploy(chain: &Chain, owner: &User, nonce: u64) -> Address {
    let receipt = mine(chain, &owner.deploy_counter(nonce));
    assert_eq!(receipt["status"], "0x1");
    receipt["contractAddress"].as_str().unwrap().parse().unwrap()
}
