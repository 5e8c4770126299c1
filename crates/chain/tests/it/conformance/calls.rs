//! `eth_call` and `eth_estimateGas`.

use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use serde_json::{Value, json};

use super::Case;
use super::world::{ECHOED, World, authorize, mark};
use crate::support::*;

pub(super) const CASES: &[Case] = &[
    ("eth_call/call-contract", |world| {
        let answer =
            world.ask("eth_call", json!([{ "to": world.address_teller, "input": "0xff01" }, "latest"]));
        assert_eq!(answer, json!(world.address_teller.into_word()));
    }),
    ("eth_call/call-omitted-block", |world| {
        let answer = world.ask("eth_call", json!([{ "to": world.address_teller }]));
        assert_eq!(answer, json!(world.address_teller.into_word()));
    }),
    ("eth_call/call-simple-contract", |world| {
        let call = json!({ "from": world.emitter, "to": world.emitter });
        assert_eq!(world.ask("eth_call", json!([call, "latest"])), "0x");
    }),
    ("eth_call/call-simple-transfer", |world| {
        let call = json!({ "from": nobody(), "to": elsewhere(), "gas": "0x186a0" });
        assert_eq!(world.ask("eth_call", json!([call, "latest"])), "0x");
    }),
    ("eth_call/call-unfunded-sender", |world| {
        assert_eq!(world.ask("eth_call", json!([{ "from": nobody(), "to": elsewhere() }, "latest"])), "0x");
    }),
    ("eth_call/call-callenv", |world| {
        let seen = echo(world, json!({}), json!("latest"));
        let number = quantity(&world.head().1);
        assert_eq!(seen, [number, CHAIN_ID, 0, 0, 0, 0].map(U256::from));
    }),
    ("eth_call/call-callenv-options-eip1559", |world| {
        let call = json!({
            "from": world.alice.address, "gas": "0xea60", "maxFeePerGas": "0x64", "maxPriorityFeePerGas": "0xb",
            "value": "0x17", "input": "0x333435",
        });
        let seen = echo(world, call, json!("latest"));
        let caller = U256::from_be_bytes(world.alice.address.into_word().0);
        assert_eq!(seen[3..], [U256::from(11), caller, U256::from(23)], "the tip is the price");
        // Without a tip there is nothing to pay.
        let no_tip = json!({ "from": world.alice.address, "maxFeePerGas": "0xc" });
        assert_eq!(echo(world, no_tip, json!("latest"))[3], U256::ZERO);
    }),
    ("eth_call/call-block-hash-object", |world| {
        let seen = echo(world, json!({}), json!({ "blockHash": world.head().0 }));
        assert_eq!(seen[0], U256::from(quantity(&world.head().1)));
    }),
    ("eth_call/call-eip7702-delegation", |world| {
        // The code of another account, run as this one.
        let answer =
            world.ask("eth_call", json!([{ "to": world.delegating.address, "gas": "0x186a0" }, "latest"]));
        assert_eq!(answer, json!(world.delegating.address.into_word()));
    }),
    ("eth_call/call-revert-abi-panic", |world| {
        let data = panic_data(1);
        reverts(world, "eth_call", &data, "execution reverted: assert(false)");
        // A code that Solidity does not have.
        reverts(world, "eth_call", &panic_data(0xff), "execution reverted");
    }),
    ("eth_call/call-revert-abi-error", |world| {
        reverts(world, "eth_call", &error_data(), "execution reverted: user error");
    }),
    ("eth_call/call-blob-fee-without-hashes", |world| {
        assert_eq!(transfer(world, "eth_call", json!({ "maxFeePerBlobGas": "0x1" })), "0x");
        // With hashes it would be a blob transaction.
        let call = json!({ "to": elsewhere(), "blobVersionedHashes": [B256::with_last_byte(1)] });
        assert_eq!(world.refused("eth_call", json!([call, "latest"])), -32602);
    }),
    // The type is what the other fields make it.
    ("eth_call/call-type-unknown", |world| {
        assert_eq!(transfer(world, "eth_call", json!({ "type": "0x7f" })), "0x");
    }),
    ("eth_call/call-type-access-list-before-berlin", |world| {
        assert_eq!(transfer(world, "eth_call", json!({ "type": "0x1" })), "0x");
    }),
    ("eth_call/call-type-blob-before-cancun", |world| {
        assert_eq!(transfer(world, "eth_call", json!({ "type": "0x3" })), "0x");
    }),
    ("eth_call/call-type-set-code-before-prague", |world| {
        assert_eq!(transfer(world, "eth_call", json!({ "type": "0x4" })), "0x");
    }),
    ("eth_call/call-gas-price-before-london", |world| {
        assert_eq!(transfer(world, "eth_call", json!({ "gas": "0x5208", "gasPrice": "0x3b9aca00" })), "0x");
        let seen = echo(world, json!({ "gasPrice": "0x3b9aca00" }), json!("latest"));
        assert_eq!(seen[3], U256::from(1_000_000_000));
    }),
    ("eth_call/call-type-legacy-with-fee-fields", |world| {
        let call =
            json!({ "type": "0x0", "maxFeePerGas": "0x77359400", "maxPriorityFeePerGas": "0x3b9aca00" });
        assert_eq!(echo(world, call, json!("latest"))[3], U256::from(1_000_000_000));
    }),
    ("eth_call/call-type-legacy-with-access-list", |world| {
        // Reads a balance and returns the gas that is left.
        let input = [&[0x73][..], elsewhere().as_slice(), &hex!("31505a5f5260205ff3")].concat();
        let left = |members: Value| {
            let mut call =
                json!({ "from": nobody(), "gas": "0x30d40", "input": hex::encode_prefixed(&input) });
            call.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            world.ask("eth_call", json!([call, "latest"]))
        };
        let list = json!([{ "address": elsewhere(), "storageKeys": [] }]);
        let listed = left(json!({ "accessList": list }));
        assert_eq!(left(json!({ "type": "0x0", "accessList": list })), listed);
        assert_ne!(left(json!({})), listed, "the list is paid for and used");
    }),
    ("eth_estimateGas/estimate-simple-transfer", |world| {
        let estimate = world.ask("eth_estimateGas", json!([{ "from": nobody(), "to": elsewhere() }]));
        assert_eq!(estimate, "0x5208");
    }),
    ("eth_estimateGas/estimate-blockhash", |world| {
        let call = json!({ "from": nobody(), "to": elsewhere() });
        assert_eq!(world.ask("eth_estimateGas", json!([call, world.head().0])), "0x5208");
    }),
    ("eth_estimateGas/estimate-unfunded-sender", |world| {
        assert_eq!(transfer(world, "eth_estimateGas", json!({})), "0x5208");
    }),
    ("eth_estimateGas/estimate-type-blob-before-cancun", |world| {
        assert_eq!(transfer(world, "eth_estimateGas", json!({ "type": "0x3" })), "0x5208");
    }),
    ("eth_estimateGas/estimate-simple-contract", |world| {
        // A contract that calls itself.
        let call = json!({ "from": world.address_teller, "to": world.address_teller });
        let gas = quantity(&world.ask("eth_estimateGas", json!([call])));
        assert!((21_001..22_000).contains(&gas), "{gas}");
    }),
    ("eth_estimateGas/estimate-successful-call", |world| {
        let call = json!({ "from": nobody(), "to": world.emitter, "input": mark("estimated") });
        let gas = quantity(&world.ask("eth_estimateGas", json!([call])));
        // Enough when it comes to a block, and not much more.
        let used = gas_when_mined(world.emitter, mark("estimated").into(), gas);
        assert!(used <= gas && gas <= used * 105 / 100, "{used} {gas}");
    }),
    ("eth_estimateGas/estimate-failed-call", |world| {
        reverts(world, "eth_estimateGas", &hex!("ff030405"), "execution reverted");
    }),
    ("eth_estimateGas/estimate-call-abi-error", |world| {
        reverts(world, "eth_estimateGas", &error_data(), "execution reverted: user error");
    }),
    ("eth_estimateGas/estimate-with-eip7702", |world| {
        let base = quantity(&transfer(world, "eth_estimateGas", json!({})));
        let members = json!({ "type": "0x4", "authorizationList": [authorize(&user(6), world.echo, 0)] });
        let more = quantity(&transfer(world, "eth_estimateGas", members));
        assert!(more >= base + 12_500, "{more}");
        // One whose signature is of nobody is paid for as well, though it does nothing.
        let members = json!({ "type": "0x4", "authorizationList": [nonsense()] });
        assert_eq!(quantity(&transfer(world, "eth_estimateGas", members)), base + 25_000);
    }),
    ("eth_estimateGas/estimate-eip7623-calldata-floor", |world| {
        // 32 bytes of zero are 32 tokens of 10 gas each; without the floor they were 128 gas.
        let gas = quantity(&transfer(world, "eth_estimateGas", json!({ "input": B256::ZERO })));
        assert!((21_320..21_600).contains(&gas), "{gas}");
        assert_eq!(gas_when_mined(elsewhere(), B256::ZERO.into(), gas), 21_320);
    }),
    ("eth_estimateGas/estimate-eip7623-floor-with-authorization", |world| {
        let members = json!({ "type": "0x4", "input": B256::ZERO, "authorizationList": [nonsense()] });
        let gas = quantity(&transfer(world, "eth_estimateGas", members));
        assert!((21_000 + 25_000 + 128..47_000).contains(&gas), "{gas}");
    }),
];

fn nobody() -> Address {
    Address::repeat_byte(0xaa)
}

/// An account without code.
fn elsewhere() -> Address {
    Address::repeat_byte(0xbb)
}

/// A transfer of nothing by an account without funds, with more `members`.
fn transfer(world: &World, method: &str, members: Value) -> Value {
    let mut call = json!({ "from": nobody(), "to": elsewhere() });
    call.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    world.ask(method, json!([call, "latest"]))
}

fn echo(world: &World, mut call: Value, block: Value) -> [U256; ECHOED.len()] {
    call["to"] = json!(world.echo);
    let answer: Bytes = serde_json::from_value(world.ask("eth_call", json!([call, block]))).unwrap();
    let words: Vec<U256> = answer.chunks(32).map(U256::from_be_slice).collect();
    words.try_into().unwrap()
}

/// The counter reverts with its input: code 3, the data untouched, and the reason in words when there is one.
fn reverts(world: &World, method: &str, data: &[u8], message: &str) {
    let data = hex::encode_prefixed(data);
    let call = json!({ "from": nobody(), "to": world.counter, "gas": "0x186a0", "input": data });
    let error = world.chain.request(method, json!([call, "latest"])).unwrap_err();
    assert_eq!((error.code, error.data, error.message.as_str()), (3, Some(json!(data)), message));
}

fn panic_data(code: u8) -> Vec<u8> {
    [&hex!("4e487b71")[..], B256::with_last_byte(code).as_slice()].concat()
}

/// `Error("user error")` as Solidity encodes it.
fn error_data() -> Vec<u8> {
    let word = B256::with_last_byte;
    let text = B256::right_padding_from(b"user error");
    [&hex!("08c379a0")[..], word(32).as_slice(), word(10).as_slice(), text.as_slice()].concat()
}

/// An authorization that no key made.
fn nonsense() -> Value {
    json!({
        "chainId": format!("{CHAIN_ID:#x}"), "address": elsewhere(), "nonce": "0x0", "yParity": "0x0",
        "r": format!("0x{}", "1".repeat(64)), "s": format!("0x{}", "2".repeat(64)),
    })
}

/// What a call needs on a chain of its own, with the emitter where it was.
fn gas_when_mined(to: Address, input: Bytes, gas_limit: u64) -> u64 {
    let world = World::new();
    let alice = &world.alice;
    let to = TxKind::Call(to);
    let receipt =
        mine(&world.chain, &alice.sign(TxEip1559 { nonce: 12, to, input, gas_limit, ..alice.draft() }));
    assert_eq!(receipt["status"], "0x1");
    quantity(&receipt["gasUsed"])
}
