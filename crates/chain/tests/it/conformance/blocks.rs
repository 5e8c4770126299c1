//! Blocks, their receipts and what the node says of itself.

use alloy_consensus::TxEnvelope;
use alloy_consensus::proofs::{calculate_receipt_root, calculate_transaction_root};
use alloy_primitives::B256;
use alloy_rpc_types_eth::{Block, TransactionReceipt};
use serde_json::{Value, json};

use super::world::World;
use super::{Case, block, fits};
use crate::support::*;

pub(super) const CASES: &[Case] = &[
    ("eth_blockNumber/simple-test", |world| {
        assert_eq!(world.ask("eth_blockNumber", json!([])), world.head().1);
        assert_eq!(quantity(&world.head().1), world.chain.head().unwrap().header.number);
    }),
    ("eth_chainId/get-chain-id", |world| {
        assert_eq!(quantity(&world.ask("eth_chainId", json!([]))), CHAIN_ID);
    }),
    ("net_version/get-network-id", |world| {
        assert_eq!(world.ask("net_version", json!([])), CHAIN_ID.to_string());
    }),
    ("net_listening/get-listening", |world| {
        assert!(world.ask("net_listening", json!([])).is_boolean());
    }),
    ("net_peerCount/get-peer-count", |world| {
        assert_eq!(quantity(&world.ask("net_peerCount", json!([]))), 0);
    }),
    ("eth_syncing/check-syncing", |world| assert_eq!(world.ask("eth_syncing", json!([])), false)),
    ("eth_gasPrice/get-current-gas-price", |world| {
        assert_eq!(quantity(&world.ask("eth_gasPrice", json!([]))), 0);
    }),
    ("eth_maxPriorityFeePerGas/get-current-tip", |world| {
        assert_eq!(quantity(&world.ask("eth_maxPriorityFeePerGas", json!([]))), 0);
    }),
    ("eth_blobBaseFee/get-current-blobfee", |world| {
        assert_eq!(quantity(&world.ask("eth_blobBaseFee", json!([]))), 0);
    }),
    ("eth_feeHistory/fee-history", |world| {
        let number = &world.sent("dynamic fee").receipt["blockNumber"];
        let history = world.ask("eth_feeHistory", json!(["0x1", number, [95, 99]]));
        // The tip of the only transaction in the block.
        assert_eq!(history["reward"], json!([["0x2", "0x2"]]));
        assert_eq!(history["oldestBlock"], *number);
        assert_eq!(history["baseFeePerGas"], json!(["0x0", "0x0"]));
        let used = history["gasUsedRatio"][0].as_f64().unwrap();
        assert!(used > 0.0 && used < 1.0, "{used}");
    }),
    ("eth_getBlockByNumber/get-genesis", |world| {
        let zero = world.ask("eth_getBlockByNumber", json!(["0x0", true]));
        assert_eq!((&zero["number"], &zero["parentHash"]), (&json!("0x0"), &json!(B256::ZERO)));
        assert_eq!(zero["hash"], json!(genesis().header().hash_slow()));
        whole(zero);
    }),
    ("eth_getBlockByNumber/get-latest", |world| is_newest(world, "latest")),
    ("eth_getBlockByNumber/get-safe", |world| is_newest(world, "safe")),
    ("eth_getBlockByNumber/get-finalized", |world| is_newest(world, "finalized")),
    ("eth_getBlockByNumber/get-block-n", |world| {
        for number in 0..=quantity(&world.head().1) {
            let block = world.ask("eth_getBlockByNumber", json!([format!("{number:#x}"), true]));
            assert_eq!(quantity(&block["number"]), number);
            whole(block);
        }
    }),
    ("eth_getBlockByNumber/get-block-n-hex", |world| {
        let block = world.ask("eth_getBlockByNumber", json!(["0x2", true]));
        assert_eq!(block["number"], "0x2");
    }),
    ("eth_getBlockByNumber/get-block-notfound", |world| {
        assert_eq!(world.ask("eth_getBlockByNumber", json!(["0x3e8", true])), Value::Null);
    }),
    // The fields that the forks brought; here all forks up to Prague are as old as the chain.
    ("eth_getBlockByNumber/get-block-london-fork", |world| has(world, "baseFeePerGas", "quantity")),
    ("eth_getBlockByNumber/get-block-merge-fork", |world| has(world, "difficulty", "= 0x0")),
    ("eth_getBlockByNumber/get-block-shanghai-fork", |world| has(world, "withdrawalsRoot", "hash")),
    ("eth_getBlockByNumber/get-block-cancun-fork", |world| has(world, "blobGasUsed", "quantity")),
    ("eth_getBlockByNumber/get-block-prague-fork", |world| has(world, "requestsHash", "hash")),
    ("eth_getBlockByHash/get-block-by-hash", |world| {
        let by_number = world.ask("eth_getBlockByNumber", json!(["0x1", true]));
        let by_hash = world.ask("eth_getBlockByHash", json!([by_number["hash"], true]));
        assert_eq!(by_hash, by_number);
    }),
    ("eth_getBlockByHash/get-block-by-empty-hash", |world| {
        assert_eq!(world.ask("eth_getBlockByHash", json!([B256::ZERO, true])), Value::Null);
    }),
    ("eth_getBlockByHash/get-block-by-notfound-hash", |world| {
        assert_eq!(world.ask("eth_getBlockByHash", json!([unknown(), true])), Value::Null);
    }),
    ("eth_getBlockTransactionCountByNumber/get-genesis", |world| {
        assert_eq!(world.ask("eth_getBlockTransactionCountByNumber", json!(["0x0"])), "0x0");
    }),
    ("eth_getBlockTransactionCountByNumber/get-block-n", |world| {
        assert_eq!(world.ask("eth_getBlockTransactionCountByNumber", json!([world.head().1])), "0x2");
    }),
    ("eth_getBlockTransactionCountByHash/get-genesis", |world| {
        let hash = genesis().header().hash_slow();
        assert_eq!(world.ask("eth_getBlockTransactionCountByHash", json!([hash])), "0x0");
    }),
    ("eth_getBlockTransactionCountByHash/get-block-n", |world| {
        assert_eq!(world.ask("eth_getBlockTransactionCountByHash", json!([world.head().0])), "0x2");
    }),
    ("eth_getBlockReceipts/get-block-receipts-0", |world| {
        assert_eq!(world.ask("eth_getBlockReceipts", json!(["0x0"])), json!([]));
    }),
    ("eth_getBlockReceipts/get-block-receipts-earliest", |world| {
        assert_eq!(world.ask("eth_getBlockReceipts", json!(["earliest"])), json!([]));
    }),
    ("eth_getBlockReceipts/get-block-receipts-n", |world| {
        for number in 0..=quantity(&world.head().1) {
            let number = json!(format!("{number:#x}"));
            let receipts = world.ask("eth_getBlockReceipts", json!([number]));
            let block = world.ask("eth_getBlockByNumber", json!([number, false]));
            let listed: Vec<&Value> =
                receipts.as_array().unwrap().iter().map(|receipt| &receipt["transactionHash"]).collect();
            assert_eq!(json!(listed), block["transactions"]);
            for receipt in receipts.as_array().unwrap() {
                let hash = json!([receipt["transactionHash"]]);
                assert_eq!(world.ask("eth_getTransactionReceipt", hash), *receipt);
            }
            assert_eq!(receipts_root(receipts), block["receiptsRoot"]);
        }
    }),
    ("eth_getBlockReceipts/get-block-receipts-by-hash", |world| {
        let (hash, number) = world.head();
        let by_hash = world.ask("eth_getBlockReceipts", json!([hash]));
        assert_eq!(by_hash.as_array().unwrap().len(), 2);
        assert_eq!(by_hash, world.ask("eth_getBlockReceipts", json!([number])));
    }),
    ("eth_getBlockReceipts/get-block-receipts-latest", |world| {
        let receipts = world.ask("eth_getBlockReceipts", json!(["latest"]));
        // Gas adds up and events count on through the block.
        let gas = |index: usize, name: &str| quantity(&receipts[index][name]);
        assert_eq!(gas(0, "cumulativeGasUsed"), gas(0, "gasUsed"));
        assert_eq!(gas(1, "cumulativeGasUsed"), gas(0, "gasUsed") + gas(1, "gasUsed"));
        assert_eq!(receipts[1]["transactionIndex"], "0x1");
        assert_eq!(receipts[1]["logs"][0]["logIndex"], "0x1");
    }),
    ("eth_getBlockReceipts/get-block-receipts-empty", |world| {
        assert_eq!(world.ask("eth_getBlockReceipts", json!([B256::ZERO])), Value::Null);
    }),
    ("eth_getBlockReceipts/get-block-receipts-not-found", |world| {
        assert_eq!(world.ask("eth_getBlockReceipts", json!([unknown()])), Value::Null);
    }),
    ("eth_getBlockReceipts/get-block-receipts-future", |world| {
        let next = quantity(&world.head().1) + 1;
        assert_eq!(world.ask("eth_getBlockReceipts", json!([format!("{next:#x}")])), Value::Null);
    }),
];

/// A hash of nothing on the chain.
pub(super) fn unknown() -> B256 {
    B256::left_padding_from(&[0xde, 0xad, 0xbe, 0xef])
}

fn is_newest(world: &World, tag: &str) {
    let block = world.ask("eth_getBlockByNumber", json!([tag, true]));
    assert_eq!((block["hash"].clone(), block["number"].clone()), world.head());
    whole(block);
}

fn has(world: &World, field: &str, shape: &str) {
    for number in ["0x0", "0x1", "latest"] {
        let block = world.ask("eth_getBlockByNumber", json!([number, false]));
        fits(&json!({ field: shape }), &block).unwrap();
    }
}

/// The block has the specified shape, and what it says of itself follows from what it holds.
fn whole(value: Value) {
    fits(&block(json!("any list")), &value).unwrap();
    let block: Block = serde_json::from_value(value).unwrap();
    assert_eq!(block.header.inner.hash_slow(), block.header.hash);
    let transactions: Vec<TxEnvelope> =
        block.transactions.txns().map(|transaction| transaction.inner.inner().clone()).collect();
    assert_eq!(calculate_transaction_root(&transactions), block.header.transactions_root);
}

fn receipts_root(receipts: Value) -> Value {
    let receipts: Vec<TransactionReceipt> = serde_json::from_value(receipts).unwrap();
    let envelopes: Vec<_> = receipts
        .into_iter()
        .map(|receipt| receipt.inner.map_logs(|log: alloy_rpc_types_eth::Log| log.inner))
        .collect();
    json!(calculate_receipt_root(&envelopes))
}
