//! Transactions, blocks, and what is refused.

use alloy_consensus::{
    SignableTransaction as _, Transaction as _, TxEip1559, TxEip4844, TxEip7702, TxEnvelope,
};
use alloy_eips::eip7702::Authorization;
use alloy_eips::{Decodable2718 as _, Encodable2718 as _};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use histone_chain::{Chain, ChainError, MAX_AHEAD, ManualClock, Transaction, replay, validate};
use serde_json::json;
use std::sync::Arc;

use crate::support::*;

#[test]
fn contract_is_deployed_called_and_heard() {
    let (chain, _dir) = fresh();
    let alice = user(1);
    let counter = deploy(&chain, &alice, 0);
    assert_eq!(counter, alice.address.create(0));
    let code = ask(&chain, "eth_getCode", json!([counter, "latest"]));
    assert!(code.as_str().unwrap().starts_with("0x36601d57"));

    for (nonce, value) in [(1, 1), (2, 2)] {
        let receipt = mine(&chain, &alice.call(nonce, counter, Bytes::new()));
        assert_eq!(receipt["status"], "0x1");
        assert_eq!(quantity(&receipt["logs"][0]["data"]), value);
    }
    let slot = ask(&chain, "eth_getStorageAt", json!([counter, "0x0", "latest"]));
    assert_eq!(slot, json!(B256::with_last_byte(2)));
    // A view sees the state and leaves none of its own.
    for _ in 0..2 {
        let seen = ask(&chain, "eth_call", json!([{ "to": counter }, "latest"]));
        assert_eq!(seen, json!(B256::with_last_byte(3)));
    }

    // A failed call is mined, pays its gas and has no effect.
    let receipt = mine(&chain, &alice.call(3, counter, [1]));
    assert_eq!((&receipt["status"], &receipt["logs"]), (&json!("0x0"), &json!([])));
    assert_eq!(ask(&chain, "eth_getStorageAt", json!([counter, "0x0"])), slot);
}

#[test]
fn transfers_move_money_and_fees_go_to_the_sequencer() {
    let (chain, _dir) = fresh();
    let (alice, bob) = (user(1), user(2));
    mine(&chain, &alice.send(0, bob.address, 1000));
    assert_eq!(balance(&chain, alice.address), FUNDS - 1000);
    assert_eq!(balance(&chain, bob.address), FUNDS + 1000);
    assert_eq!(balance(&chain, sequencer().address()), 0);
    let receipt = mine(&chain, &alice.legacy(Some(CHAIN_ID), 1, 3));
    assert_eq!(receipt["effectiveGasPrice"], "0x3");
    assert_eq!(balance(&chain, sequencer().address()), 3 * 21_000);
    assert_eq!(balance(&chain, alice.address), FUNDS - 1000 - 3 * 21_000);
    assert_eq!(mine(&chain, &alice.with_access_list(2))["type"], "0x1");
}

#[test]
fn account_delegates_its_code() {
    let (chain, _dir) = fresh();
    let (alice, bob) = (user(1), user(2));
    let counter = deploy(&chain, &alice, 0);
    let authorization = Authorization { chain_id: U256::from(CHAIN_ID), address: counter, nonce: 0 };
    let signature = bob.sign_hash(authorization.signature_hash());
    let signed = authorization.into_signed(signature);
    // The estimate knows of the delegation: without it, it would be that of a plain transfer.
    let request = json!([{ "from": alice.address, "to": bob.address, "authorizationList": [signed] }]);
    let gas_limit = quantity(&ask(&chain, "eth_estimateGas", request));
    assert!(gas_limit > 40_000, "{gas_limit}");
    let raw = alice.sign(TxEip7702 {
        chain_id: CHAIN_ID,
        nonce: 1,
        gas_limit,
        to: bob.address,
        authorization_list: vec![signed],
        ..TxEip7702::default()
    });
    let receipt = mine(&chain, &raw);
    assert_eq!((&receipt["status"], &receipt["type"]), (&json!("0x1"), &json!("0x4")));
    let slot = ask(&chain, "eth_getStorageAt", json!([bob.address, "0x0"]));
    assert_eq!(slot, json!(B256::with_last_byte(1)));
}

/// Every refusal leaves head and state as they were.
#[test]
fn what_is_not_acceptable_leaves_no_trace() {
    let (chain, _dir) = fresh();
    let alice = user(1);
    mine(&chain, &alice.send(0, user(2).address, 1));
    let before = (chain.head().unwrap(), chain.state_digest().unwrap());

    let mut garbled = alice.send(1, user(2).address, 1).to_vec();
    garbled.pop();
    let blob =
        alice.sign(TxEip4844 { chain_id: CHAIN_ID, nonce: 1, gas_limit: 21_000, ..TxEip4844::default() });
    let huge = alice.call(1, Address::ZERO, vec![0; 128 * 1024 + 1]);
    let refused: [(&str, Bytes); 12] = [
        ("nonce too low", alice.send(0, user(2).address, 1)),
        ("nonce too high", alice.send(2, user(2).address, 1)),
        ("signed for chain id 1", alice.sign(TxEip1559 { chain_id: 1, nonce: 1, ..alice.draft() })),
        ("names no chain id", alice.legacy(None, 1, 0)),
        ("insufficient funds", alice.send(1, user(2).address, FUNDS)),
        ("insufficient funds", user(50).legacy(Some(CHAIN_ID), 0, 1)),
        ("the encoding is not valid", garbled.into()),
        ("blobs", blob),
        ("the limit is 131072", huge),
        ("no sender can be recovered", high_s(&alice.send(1, user(2).address, 1))),
        ("gas left in the block", alice.sign(TxEip1559 { nonce: 1, gas_limit: 30_000_001, ..alice.draft() })),
        (
            "priority fee",
            alice.sign(TxEip1559 {
                nonce: 1,
                max_priority_fee_per_gas: 2,
                max_fee_per_gas: 1,
                ..alice.draft()
            }),
        ),
    ];
    for (words, raw) in refused {
        let error = chain.request("eth_sendRawTransaction", json!([raw])).unwrap_err();
        assert!(error.code == -32000 && error.message.contains(words), "{words}: {error}");
    }
    assert_eq!((chain.head().unwrap(), chain.state_digest().unwrap()), before);
}

/// The second signature that every ECDSA signature has, which Ethereum forbids.
fn high_s(raw: &[u8]) -> Bytes {
    let TxEnvelope::Eip1559(signed) = TxEnvelope::decode_2718_exact(raw).unwrap() else { panic!() };
    let (transaction, signature, _) = signed.into_parts();
    let order: U256 = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141".parse().unwrap();
    let other = Signature::new(signature.r(), order - signature.s(), !signature.v());
    TxEnvelope::from(transaction.into_signed(other)).encoded_2718().into()
}

#[test]
fn tampered_amount_is_another_sender() {
    let raw = user(1).send(0, user(2).address, 5);
    let honest = Transaction::decode(&raw, CHAIN_ID, 0).unwrap();
    assert_eq!(honest.sender(), user(1).address);
    let TxEnvelope::Eip1559(signed) = honest.envelope().clone() else { panic!() };
    let (mut transaction, signature, _) = signed.into_parts();
    transaction.value = U256::from(6);
    let forged = TxEnvelope::from(transaction.into_signed(signature)).encoded_2718();
    if let Ok(forged) = Transaction::decode(&forged, CHAIN_ID, 0) {
        assert_ne!(forged.sender(), user(1).address);
    }
}

#[test]
fn several_transactions_share_a_block() {
    let (chain, _dir) = fresh();
    let (alice, bob) = (user(1), user(2));
    let counter = alice.address.create(0);
    let executed = chain
        .produce(&[
            alice.deploy_counter(0),
            bob.call(0, counter, []),
            alice.call(1, counter, []),
            bob.send(1, alice.address, 9),
        ])
        .unwrap();
    assert_eq!(executed.block().header.number, 1);
    assert_eq!(executed.block().header.gas_used, executed.receipts().iter().map(|r| r.gas_used).sum::<u64>());
    let receipts = ask(&chain, "eth_getBlockReceipts", json!(["latest"]));
    assert_eq!(receipts[2]["logs"][0]["logIndex"], "0x1");
    assert_eq!(quantity(&receipts[3]["cumulativeGasUsed"]), executed.block().header.gas_used);
    assert_eq!(ask(&chain, "eth_getStorageAt", json!([counter, "0x0"])), json!(B256::with_last_byte(2)));

    // All or nothing.
    let error = chain.produce(&[alice.send(2, bob.address, 1), alice.send(2, bob.address, 1)]).unwrap_err();
    assert!(matches!(error, ChainError::TransactionRefused { index: 1, .. }), "{error}");
    assert_eq!(chain.head().unwrap().header.number, 1);
    // An empty block is a block.
    assert!(chain.produce::<Bytes>(&[]).unwrap().receipts().is_empty());
    assert_eq!(chain.head().unwrap().header.number, 2);
}

#[test]
fn headers_follow_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START + 100));
    let chain = Chain::create(dir.path(), genesis(), sequencer(), clock.clone()).unwrap();
    let alice = user(1);
    let mut parent = chain.head().unwrap();
    // The clock stands still, jumps forward, falls back behind the genesis.
    for (nonce, (now, timestamp)) in [
        (START + 100, START + 100),
        (START + 100, START + 100),
        (START + 500, START + 500),
        (START + 500 - MAX_AHEAD, START + 500),
    ]
    .into_iter()
    .enumerate()
    {
        clock.set(now);
        mine(&chain, &alice.send(nonce as u64, user(2).address, 1));
        let head = chain.head().unwrap();
        assert_eq!(head.header.timestamp, timestamp);
        assert_eq!(head.header.parent_hash, parent.hash);
        assert_eq!(head.header.number, parent.header.number + 1);
        let record = chain.block(head.header.number).unwrap().unwrap();
        assert_eq!(
            record.signature.recover_address_from_prehash(&record.hash).unwrap(),
            sequencer().address()
        );
        parent = head;
    }
    // Further back than that no block is made, and nothing is left of the attempt.
    clock.set(START + 499 - MAX_AHEAD);
    let raw = alice.send(4, user(2).address, 1);
    let refused = chain.request("eth_sendRawTransaction", json!([raw])).unwrap_err();
    assert!(refused.message.contains("the clock of this chain shows"), "{refused}");
    assert!(matches!(
        chain.produce(std::slice::from_ref(&raw)),
        Err(ChainError::AheadOfClock { block: 5, .. })
    ));
    assert_eq!(chain.head().unwrap(), parent);
    clock.set(START + 501);
    mine(&chain, &raw);
}

#[test]
fn a_burst_of_free_transfers_cannot_move_the_clock() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START + 100));
    let chain = Chain::create(dir.path(), genesis(), sequencer(), clock.clone()).unwrap();
    for nonce in 0..200 {
        mine(&chain, &user(1).send(nonce, user(2).address, 1));
    }
    let head = chain.head().unwrap().header;
    assert_eq!((head.number, head.timestamp), (200, START + 100));
    // Nor can whoever makes the blocks, by a block that was executed elsewhere.
    let state = chain.propose(Vec::new()).unwrap();
    let honest = state.block().header.timestamp;
    let mut ahead = state.block().clone();
    ahead.header.timestamp = honest + MAX_AHEAD + 1;
    assert!(matches!(chain.validate(ahead), Err(ChainError::AheadOfClock { block: 201, .. })));
    drop(chain);
    assert_eq!(replay(dir.path()).unwrap().blocks, 201);
}

#[test]
fn a_chain_cannot_begin_in_the_future() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START - MAX_AHEAD - 1));
    let refused = Chain::create(dir.path(), genesis(), sequencer(), clock.clone()).unwrap_err();
    assert!(matches!(refused, ChainError::AheadOfClock { block: 0, .. }), "{refused}");
    clock.advance(1);
    drop(Chain::create(dir.path(), genesis(), sequencer(), clock).unwrap());
}

#[test]
fn equal_inputs_give_equal_chains() {
    let run = || {
        let (chain, _dir) = fresh();
        let counter = deploy(&chain, &user(1), 0);
        mine(&chain, &user(2).call(0, counter, []));
        mine(&chain, &user(3).send(0, user(4).address, 7));
        (chain.head().unwrap(), chain.state_digest().unwrap())
    };
    assert_eq!(run(), run());
}

/// The steps that a consensus engine would drive: one proposes, another validates, both commit.
#[test]
fn another_replica_validates_what_one_proposes() {
    let ((one, _a), (two, _b)) = (fresh(), fresh());
    let raw = user(1).send(0, user(2).address, 5);
    let proposed = one.propose(vec![Transaction::decode(&raw, CHAIN_ID, 0).unwrap()]).unwrap();
    let checked = two.validate(proposed.block().clone()).unwrap();
    one.commit(&proposed).unwrap();
    two.commit(&checked).unwrap();
    assert_eq!(one.head().unwrap(), two.head().unwrap());
    assert_eq!(one.state_digest().unwrap(), two.state_digest().unwrap());
    // The head has moved: the same block does not fit again.
    assert!(matches!(one.commit(&proposed), Err(ChainError::StaleParent { block: 1, head: 1 })));
}

#[test]
fn every_forged_header_field_is_named() {
    let (chain, _dir) = fresh();
    let raw = user(1).send(0, user(2).address, 5);
    let honest = chain.propose(vec![Transaction::decode(&raw, CHAIN_ID, 0).unwrap()]).unwrap();
    type Forge = fn(&mut alloy_consensus::Header);
    let forgeries: [(&str, Forge); 13] = [
        ("number", |h| h.number += 1),
        ("parent hash", |h| h.parent_hash = B256::ZERO),
        ("transactions root", |h| h.transactions_root = B256::ZERO),
        ("timestamp", |h| h.timestamp = START - 1),
        ("gas used", |h| h.gas_used += 1),
        ("receipts root", |h| h.receipts_root = B256::ZERO),
        ("logs bloom", |h| h.logs_bloom.0[0] = 1),
        ("state commitment", |h| h.state_root = B256::ZERO),
        ("beneficiary", |h| h.beneficiary = Address::ZERO),
        ("gas limit", |h| h.gas_limit += 1),
        ("hash", |h| h.base_fee_per_gas = Some(1)),
        ("hash", |h| h.extra_data = Bytes::from_static(b"x")),
        ("hash", |h| h.mix_hash = B256::repeat_byte(1)),
    ];
    for (name, forge) in forgeries {
        let mut block = honest.block().clone();
        forge(&mut block.header);
        match chain.validate(block) {
            Err(ChainError::BlockInvalid { field, .. }) => assert_eq!(field, name),
            other => panic!("{name}: {other:?}"),
        }
    }
    let state = histone_chain::MemoryState::default();
    // On another state the same block is refused too: the sender has nothing there.
    let other = validate(&genesis(), &state, &genesis().header(), honest.block().clone());
    assert!(matches!(other, Err(ChainError::TransactionRefused { .. })));
    assert_eq!(honest.block().transactions[0].envelope().kind(), TxKind::Call(user(2).address));
}
