//! `eth_sendRawTransaction`. Each case has a chain of its own. The official error codes 1 to 1002 are a draft; here a
//! refusal by the chain is -32000, as in clients of today, and the words that programs look for come first.

use alloy_consensus::{TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex, keccak256};
use histone_chain::{Chain, Genesis};
use serde_json::{Value, json};

use super::Case;
use super::world::authorize;
use crate::support::*;

pub(super) const CASES: &[Case] = &[
    ("eth_sendRawTransaction/send-legacy-transaction", |_| {
        let to = TxKind::Call(Address::repeat_byte(0xaa));
        let (value, input) = (U256::from(10), Bytes::from_static(&hex!("5544")));
        let chain_id = Some(CHAIN_ID);
        let raw =
            user(1).sign(TxLegacy { chain_id, nonce: 0, gas_price: 1, gas_limit: 25_000, to, value, input });
        accepted(&raw, "0x0");
    }),
    ("eth_sendRawTransaction/send-access-list-transaction", |_| {
        let raw = user(1).sign(TxEip2930 {
            chain_id: CHAIN_ID,
            gas_price: 500,
            gas_limit: 90_000,
            to: TxKind::Call(user(2).address),
            access_list: access_list(),
            input: Bytes::from_static(&hex!("010203")),
            ..TxEip2930::default()
        });
        accepted(&raw, "0x1");
    }),
    ("eth_sendRawTransaction/send-dynamic-fee-transaction", |_| {
        let alice = user(1);
        // Creates a contract of one byte, STOP, and gives it money.
        let raw = alice.sign(TxEip1559 {
            to: TxKind::Create,
            value: U256::from(42),
            max_fee_per_gas: 600,
            max_priority_fee_per_gas: 500,
            input: Bytes::from_static(&hex!("60015ff3")),
            ..alice.draft()
        });
        let (chain, _dir) = accepted(&raw, "0x2");
        assert_eq!(balance(&chain, alice.address.create(0)), 42);
    }),
    ("eth_sendRawTransaction/send-dynamic-fee-access-list-transaction", |_| {
        let alice = user(1);
        let raw = alice.sign(TxEip1559 {
            to: TxKind::Call(user(2).address),
            access_list: access_list(),
            max_fee_per_gas: 600,
            max_priority_fee_per_gas: 500,
            ..alice.draft()
        });
        accepted(&raw, "0x2");
    }),
    ("eth_sendRawTransaction/send-setcode-tx", |_| {
        let (target, bob) = (user(3).address, user(2));
        let (chain, _dir) = accepted(&set_code(authorize(&bob, target, 0)), "0x4");
        let designator = [&hex!("ef0100")[..], target.as_slice()].concat();
        let code = ask(&chain, "eth_getCode", json!([bob.address]));
        assert_eq!(code, json!(hex::encode_prefixed(designator)));
    }),
    ("eth_sendRawTransaction/send-authorization-list-tx", |_| {
        // An authorization that does not hold, here for its nonce, makes no invalid transaction.
        let bob = user(2);
        let (chain, _dir) = accepted(&set_code(authorize(&bob, user(3).address, 7)), "0x4");
        assert_eq!(ask(&chain, "eth_getCode", json!([bob.address])), "0x");
    }),
    ("eth_sendRawTransaction/send-already-known", |_| {
        let (chain, _dir) = fresh();
        chain.queue_transactions();
        let raw = user(1).send(0, user(2).address, 1);
        assert_eq!(send(&chain, &raw).unwrap(), json!(keccak256(&raw)));
        refused(&chain, &raw, "already known");
        // In a block its nonce is gone.
        chain.seal().unwrap();
        refused(&chain, &raw, "nonce too low");
    }),
    ("eth_sendRawTransaction/send-replacement-underpriced", |_| {
        // The order of the queue is final, so nothing replaces a transaction, whatever it pays.
        let (chain, _dir) = fresh();
        chain.queue_transactions();
        let alice = user(1);
        let (first, second) = (alice.send(0, user(2).address, 10), alice.send(0, user(2).address, 20));
        send(&chain, &first).unwrap();
        refused(&chain, &second, "nonce too low");
        chain.seal().unwrap();
        assert_eq!(balance(&chain, user(2).address), FUNDS + 10);
    }),
    ("eth_sendRawTransaction/send-nonce-too-low", |_| {
        let (chain, _dir) = fresh();
        mine(&chain, &user(1).send(0, user(2).address, 1));
        refused(&chain, &user(1).send(0, user(3).address, 1), "nonce too low: next nonce 1");
    }),
    ("eth_sendRawTransaction/send-insufficient-funds", |_| {
        let (chain, _dir) = fresh();
        let raw = user(1).send(0, user(2).address, FUNDS + 1);
        refused(&chain, &raw, "insufficient funds for gas * price + value");
    }),
    ("eth_sendRawTransaction/send-intrinsic-gas-too-low", |_| {
        let (chain, _dir) = fresh();
        let alice = user(1);
        let raw = alice.sign(TxEip1559 { gas_limit: 1, to: TxKind::Call(user(2).address), ..alice.draft() });
        refused(&chain, &raw, "gas");
    }),
    ("eth_sendRawTransaction/send-tip-above-fee-cap", |_| {
        let (chain, _dir) = fresh();
        let alice = user(1);
        let raw = alice.sign(TxEip1559 {
            to: TxKind::Call(user(2).address),
            max_priority_fee_per_gas: 1000,
            max_fee_per_gas: 1,
            ..alice.draft()
        });
        refused(&chain, &raw, "priority fee");
    }),
    ("eth_sendRawTransaction/send-tx-gas-exceeds-block-limit", |_| {
        let (chain, _dir) = fresh();
        let alice = user(1);
        let gas_limit = Genesis::GAS_LIMIT + 1;
        let raw = alice.sign(TxEip1559 { gas_limit, to: TxKind::Call(user(2).address), ..alice.draft() });
        refused(&chain, &raw, "in the block");
    }),
];

fn send(chain: &Chain, raw: &Bytes) -> Result<Value, histone_chain::RpcError> {
    chain.request("eth_sendRawTransaction", json!([raw]))
}

/// The answer is the hash, and the transaction is in a block.
fn accepted(raw: &Bytes, of_type: &str) -> (Chain, tempfile::TempDir) {
    let (chain, dir) = fresh();
    assert_eq!(send(&chain, raw).unwrap(), json!(keccak256(raw)));
    let receipt = ask(&chain, "eth_getTransactionReceipt", json!([keccak256(raw)]));
    assert_eq!((&receipt["status"], &receipt["type"]), (&json!("0x1"), &json!(of_type)));
    (chain, dir)
}

fn refused(chain: &Chain, raw: &Bytes, words: &str) {
    let before = chain.head().unwrap();
    let error = send(chain, raw).unwrap_err();
    assert!(error.code == -32000 && error.message.contains(words), "{error}");
    assert_eq!(chain.head().unwrap(), before);
}

fn access_list() -> AccessList {
    let storage_keys = vec![B256::ZERO, B256::with_last_byte(1)];
    AccessList(vec![AccessListItem { address: user(2).address, storage_keys }])
}

fn set_code(authorization: alloy_eips::eip7702::SignedAuthorization) -> Bytes {
    user(1).sign(TxEip7702 {
        chain_id: CHAIN_ID,
        gas_limit: 80_000,
        to: user(4).address,
        max_fee_per_gas: 500,
        max_priority_fee_per_gas: 500,
        authorization_list: vec![authorization],
        ..TxEip7702::default()
    })
}
