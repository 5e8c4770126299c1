//! A chain with every situation that the official cases ask about, in one block each.

use std::collections::BTreeMap;

use alloy_consensus::{TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use histone_chain::Chain;
use serde_json::{Value, json};

use crate::support::*;

/// Emits one event: topics 0x77 and the first word of the input, data the number of calls so far (slot 0).
const EMITTER: [u8; 24] = hex!("600054" "600101" "80600055" "600052" "600035" "6077" "6020" "6000" "a2" "00");

/// Words that [`World::echo`] returns, in this order.
pub(super) const ECHOED: [(&str, u8); 6] = [
    ("block number", 0x43),
    ("chain id", 0x46),
    ("base fee", 0x48),
    ("gas price", 0x3a),
    ("caller", 0x33),
    ("value", 0x34),
];

/// The first topic of the emitter.
pub(super) fn topic() -> B256 {
    B256::with_last_byte(0x77)
}

/// The second topic of the event of transaction `kind`.
pub(super) fn mark(kind: &str) -> B256 {
    alloy_primitives::keccak256(kind)
}

/// A transaction that is in a block.
pub(super) struct Sent {
    pub(super) raw: Bytes,
    pub(super) receipt: Value,
}

/// One chain, read only: a case that sends transactions makes its own.
pub(super) struct World {
    pub(super) chain: Chain,
    _dir: tempfile::TempDir,
    /// Sender of almost everything.
    pub(super) alice: User,
    /// Delegates its code to `address_teller`, has sent nothing.
    pub(super) delegating: User,
    pub(super) emitter: Address,
    /// Returns [`ECHOED`].
    pub(super) echo: Address,
    /// Returns its own address.
    pub(super) address_teller: Address,
    /// See [`User::deploy_counter`]: reverts with its input.
    pub(super) counter: Address,
    sent: BTreeMap<&'static str, Sent>,
}

impl World {
    pub(super) fn new() -> World {
        let (chain, dir) = fresh();
        let (alice, delegating) = (user(1), user(5));
        let address = |nonce| alice.address.create(nonce);
        let (emitter, echo, address_teller, counter) = (address(0), address(1), address(2), address(3));
        let access_list = AccessList(vec![AccessListItem {
            address: emitter,
            storage_keys: vec![B256::ZERO, B256::with_last_byte(1)],
        }]);
        let authorization = authorize(&delegating, address_teller, 0);
        let to = TxKind::Call(emitter);
        let legacy = |nonce, to, input: Bytes| {
            let chain_id = Some(CHAIN_ID);
            alice.sign(TxLegacy {
                chain_id,
                nonce,
                gas_price: 3,
                gas_limit: 200_000,
                to,
                value: U256::ZERO,
                input,
            })
        };
        let plain = |nonce, to, input: Bytes| alice.sign(TxEip1559 { nonce, to, input, ..alice.draft() });
        let transactions = [
            ("legacy create", legacy(0, TxKind::Create, constructor(&EMITTER))),
            ("echo", plain(1, TxKind::Create, constructor(&echo_code()))),
            ("address teller", plain(2, TxKind::Create, constructor(&hex!("305f5260205ff3")))),
            ("counter", alice.deploy_counter(3)),
            ("legacy", alice.legacy(Some(CHAIN_ID), 4, 3)),
            ("legacy input", legacy(5, to, mark("legacy input").into())),
            (
                "access list",
                alice.sign(TxEip2930 {
                    chain_id: CHAIN_ID,
                    nonce: 6,
                    gas_price: 4,
                    gas_limit: 200_000,
                    to,
                    access_list: access_list.clone(),
                    input: mark("access list").into(),
                    ..TxEip2930::default()
                }),
            ),
            (
                "dynamic fee",
                alice.sign(TxEip1559 {
                    nonce: 7,
                    to,
                    access_list,
                    max_fee_per_gas: 9,
                    max_priority_fee_per_gas: 2,
                    input: mark("dynamic fee").into(),
                    ..alice.draft()
                }),
            ),
            (
                "set code",
                alice.sign(TxEip7702 {
                    chain_id: CHAIN_ID,
                    nonce: 8,
                    gas_limit: 200_000,
                    to: emitter,
                    max_fee_per_gas: 5,
                    max_priority_fee_per_gas: 5,
                    authorization_list: vec![authorization],
                    input: mark("set code").into(),
                    ..TxEip7702::default()
                }),
            ),
            ("reverted", plain(9, TxKind::Call(counter), Bytes::from_static(&[0xbb]))),
            // INVALID as a constructor: all gas is gone and nothing is made.
            ("halted create", plain(10, TxKind::Create, Bytes::from_static(&[0xfe]))),
        ];
        let mut sent = BTreeMap::new();
        for (kind, raw) in transactions {
            let receipt = mine(&chain, &raw);
            sent.insert(kind, Sent { raw, receipt });
        }
        // One block of two, the newest.
        let pair = [
            ("first of two", alice.call(11, emitter, mark("first of two"))),
            ("second of two", user(2).call(0, emitter, mark("second of two"))),
        ];
        chain.produce(&[&pair[0].1, &pair[1].1]).unwrap();
        let head = ask(&chain, "eth_getBlockReceipts", json!(["latest"]));
        for ((kind, raw), receipt) in pair.into_iter().zip(head.as_array().unwrap()) {
            sent.insert(kind, Sent { raw, receipt: receipt.clone() });
        }
        World { chain, _dir: dir, alice, delegating, emitter, echo, address_teller, counter, sent }
    }

    #[track_caller]
    pub(super) fn ask(&self, method: &str, params: Value) -> Value {
        self.chain
            .request(method, params.clone())
            .unwrap_or_else(|error| panic!("{method} {params}: {error}"))
    }

    /// The code of the error that a request must give.
    #[track_caller]
    pub(super) fn refused(&self, method: &str, params: Value) -> i64 {
        match self.chain.request(method, params.clone()) {
            Ok(value) => panic!("{method} {params} must be refused, not {value}"),
            Err(error) => error.code,
        }
    }

    pub(super) fn sent(&self, kind: &str) -> &Sent {
        self.sent.get(kind).unwrap_or_else(|| panic!("no transaction {kind}"))
    }

    pub(super) fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.sent.keys().copied()
    }

    /// Hash and number of the newest block.
    pub(super) fn head(&self) -> (Value, Value) {
        let block = self.ask("eth_getBlockByNumber", json!(["latest", false]));
        (block["hash"].clone(), block["number"].clone())
    }
}

/// A constructor that leaves `code` behind.
pub(super) fn constructor(code: &[u8]) -> Bytes {
    let length = u8::try_from(code.len()).unwrap();
    [&[0x60, length, 0x80, 0x60, 0x0b, 0x60, 0x00, 0x39, 0x60, 0x00, 0xf3][..], code].concat().into()
}

fn echo_code() -> Vec<u8> {
    let mut code = Vec::new();
    for (offset, (_, operation)) in (0_u8..).step_by(32).zip(ECHOED) {
        // The word, PUSH1 its place, MSTORE.
        code.extend([operation, 0x60, offset, 0x52]);
    }
    // PUSH1 length, PUSH0, RETURN.
    code.extend([0x60, 32 * 6, 0x5f, 0xf3]);
    code
}

/// `user` lets its account run the code at `address`.
pub(super) fn authorize(user: &User, address: Address, nonce: u64) -> SignedAuthorization {
    let authorization = Authorization { chain_id: U256::from(CHAIN_ID), address, nonce };
    let signature = user.sign_hash(authorization.signature_hash());
    authorization.into_signed(signature)
}
