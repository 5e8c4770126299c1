//! Filters for events.

use alloy_primitives::B256;
use serde_json::{Value, json};

use super::world::{World, mark, topic};
use super::{Case, fits, log};
use crate::support::*;

pub(super) const CASES: &[Case] = &[
    ("eth_getLogs/no-topics", |world| {
        let found = logs(world, json!({ "fromBlock": "0x1", "toBlock": world.head().1 }));
        assert_eq!(found.len(), EMITTING.len());
        for (found, kind) in found.iter().zip(EMITTING) {
            assert_eq!(*found, world.sent(kind).receipt["logs"][0]);
        }
    }),
    ("eth_getLogs/contract-addr", |world| {
        let range = |address: Value| json!({ "fromBlock": "0x1", "toBlock": "latest", "address": address });
        assert_eq!(logs(world, range(json!([world.emitter]))).len(), EMITTING.len());
        assert_eq!(logs(world, range(json!(world.emitter))).len(), EMITTING.len());
        assert_eq!(logs(world, range(json!([world.echo]))).len(), 0);
    }),
    ("eth_getLogs/topic-exact-match", |world| {
        finds(world, json!([[topic()], [mark("legacy input")]]), &["legacy input"]);
        finds(world, json!([topic(), mark("access list")]), &["access list"]);
        finds(world, json!([mark("access list"), topic()]), &[]);
    }),
    ("eth_getLogs/topic-wildcard", |world| {
        finds(world, json!([[], [mark("dynamic fee")]]), &["dynamic fee"]);
        finds(world, json!([[], [mark("dynamic fee"), mark("set code")]]), &["dynamic fee", "set code"]);
    }),
    ("eth_getLogs/topic-null-wildcard", |world| {
        finds(world, json!([null, [mark("dynamic fee")]]), &["dynamic fee"]);
        finds(world, json!([topic(), null]), &EMITTING);
        // A third topic that no event has.
        finds(world, json!([null, null, topic()]), &[]);
    }),
    ("eth_getLogs/filter-with-blockHash", |world| {
        let found = logs(world, json!({ "blockHash": world.head().0 }));
        assert_eq!(found.len(), 2);
        assert_eq!((&found[0]["logIndex"], &found[1]["logIndex"]), (&json!("0x0"), &json!("0x1")));
    }),
    ("eth_getLogs/filter-with-blockHash-and-topics", |world| {
        let topics = json!([[topic()], [mark("second of two")]]);
        let found = logs(world, json!({ "blockHash": world.head().0, "topics": topics }));
        assert_eq!(json!(found), world.sent("second of two").receipt["logs"]);
    }),
    ("eth_getLogs/filter-error-future-block-range", |world| {
        let head = quantity(&world.head().1);
        invalid(world, json!({ "fromBlock": hex(head - 2), "toBlock": hex(head + 1) }));
    }),
    ("eth_getLogs/filter-error-fully-future-block-range", |world| {
        let head = quantity(&world.head().1);
        invalid(world, json!({ "fromBlock": hex(head + 1), "toBlock": hex(head + 3) }));
    }),
    ("eth_getLogs/filter-error-future-block-to-latest", |world| {
        let head = quantity(&world.head().1);
        invalid(world, json!({ "fromBlock": hex(head + 1), "toBlock": "latest" }));
    }),
    ("eth_getLogs/filter-error-reversed-block-range", |world| {
        invalid(world, json!({ "address": null, "fromBlock": "0x5", "toBlock": "0x2", "topics": null }));
    }),
    ("eth_getLogs/filter-error-invalid-blockHash-and-range", |world| {
        invalid(world, json!({ "blockHash": world.head().0, "fromBlock": "0x3", "toBlock": "0x4" }));
        // Not in the official suite: a block that is not there is no empty block.
        assert_eq!(world.refused("eth_getLogs", json!([{ "blockHash": B256::ZERO }])), -32000);
    }),
];

/// The transactions that left an event, in their order.
const EMITTING: [&str; 6] =
    ["legacy input", "access list", "dynamic fee", "set code", "first of two", "second of two"];

fn logs(world: &World, filter: Value) -> Vec<Value> {
    let found = world.ask("eth_getLogs", json!([filter]));
    let found = found.as_array().unwrap().clone();
    for one in &found {
        fits(&log(), one).unwrap();
        assert_eq!(one["removed"], false);
    }
    found
}

/// These topics, with and without the rest of the filter, find the events of these transactions.
fn finds(world: &World, topics: Value, kinds: &[&str]) {
    for address in [Value::Null, json!(world.emitter)] {
        let filter = json!({ "fromBlock": "0x2", "toBlock": "latest", "address": address, "topics": topics });
        let found: Vec<Value> =
            logs(world, filter).iter().map(|log| log["transactionHash"].clone()).collect();
        let expected: Vec<&Value> =
            kinds.iter().map(|kind| &world.sent(kind).receipt["transactionHash"]).collect();
        assert_eq!(json!(found), json!(expected), "{topics}");
    }
}

fn invalid(world: &World, filter: Value) {
    assert_eq!(world.refused("eth_getLogs", json!([filter])), -32602, "{filter}");
}

fn hex(number: u64) -> String {
    format!("{number:#x}")
}
