//! Blocks, transactions and receipts as Ethereum clients expect them in JSON.

use alloy_consensus::transaction::{Recovered, TransactionInfo};
use alloy_consensus::{Transaction as _, TxEnvelope};
use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::{Sealable as _, TxKind, U256};
use alloy_rpc_types_eth::{Block, BlockTransactions, Filter, Header, Log, Transaction, TransactionReceipt};
use serde::Serialize;

use super::{Json, RpcError, json};
use crate::BlockRecord;
use crate::execution::consensus_receipt;
use crate::record::Mined;

/// A block as `eth_getBlockByNumber` shows it, with one member more: `sequencerSignature`, 65 bytes over the hash.
pub(super) fn block(record: &BlockRecord, full: bool) -> Result<Json, RpcError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Signed<T> {
        #[serde(flatten)]
        block: T,
        sequencer_signature: String,
    }

    let transactions = if full {
        BlockTransactions::Full(
            (0..record.transactions.len()).filter_map(|i| transaction(record, i)).collect(),
        )
    } else {
        BlockTransactions::Hashes(record.transactions.iter().map(|tx| *tx.inner().tx_hash()).collect())
    };
    let raw: usize = record.raw_transactions.iter().map(|raw| raw.len()).sum();
    let size = U256::from(record.header.size().saturating_add(raw));
    let header = Header::from_consensus(
        record.header.clone().seal_unchecked(record.hash),
        Some(U256::ZERO),
        Some(size),
    );
    let withdrawals = Some(Withdrawals::default());
    json(Signed {
        block: Block { header, uncles: Vec::new(), transactions, withdrawals },
        sequencer_signature: alloy_primitives::hex::encode_prefixed(record.signature.as_bytes()),
    })
}

/// A header as `eth_subscribe("newHeads")` shows it.
#[cfg(feature = "server")]
pub(super) fn head(header: alloy_consensus::Header) -> Result<Json, RpcError> {
    json(Header::from_consensus(header.seal_slow(), Some(U256::ZERO), None))
}

/// A transaction that waits for a block.
pub(super) fn queued(transaction: &crate::Transaction) -> Transaction<TxEnvelope> {
    let recovered = Recovered::new_unchecked(transaction.envelope().clone(), transaction.sender());
    let hash = Some(transaction.hash());
    Transaction::from_transaction(recovered, TransactionInfo { hash, ..TransactionInfo::default() })
}

pub(super) fn transaction(record: &BlockRecord, index: usize) -> Option<Transaction<TxEnvelope>> {
    Some(in_block(record.transactions.get(index)?.clone(), index, &record.header, record.hash))
}

pub(super) fn mined(mined: Mined) -> Transaction<TxEnvelope> {
    in_block(mined.transaction, mined.index, &mined.header, mined.hash)
}

fn in_block(
    transaction: Recovered<TxEnvelope>,
    index: usize,
    header: &alloy_consensus::Header,
    hash: alloy_primitives::B256,
) -> Transaction<TxEnvelope> {
    let info = TransactionInfo {
        hash: Some(*transaction.inner().tx_hash()),
        index: Some(index as u64),
        block_hash: Some(hash),
        block_number: Some(header.number),
        base_fee: header.base_fee_per_gas,
        block_timestamp: Some(header.timestamp),
    };
    Transaction::from_transaction(transaction, info)
}

pub(super) fn receipts(record: &BlockRecord) -> Vec<TransactionReceipt> {
    let (mut gas_before, mut logs_before) = (0_u64, 0_u64);
    let mut shown = Vec::with_capacity(record.receipts.len());
    for (index, (transaction, receipt)) in record.transactions.iter().zip(&record.receipts).enumerate() {
        let mined = Mined {
            header: record.header.clone(),
            hash: record.hash,
            index,
            transaction: transaction.clone(),
            receipt: receipt.clone(),
            gas_before,
            logs_before,
        };
        gas_before = gas_before.saturating_add(receipt.gas_used);
        logs_before = logs_before.saturating_add(receipt.logs.len() as u64);
        shown.push(self::receipt(mined));
    }
    shown
}

pub(super) fn receipt(mined: Mined) -> TransactionReceipt {
    let Mined { header, hash, index, transaction, receipt, gas_before, logs_before } = mined;
    let transaction_hash = *transaction.inner().tx_hash();
    let created = matches!(transaction.kind(), TxKind::Create) && receipt.success;
    let gas_used = receipt.gas_used;
    // Positions of events count through the whole block.
    let mut log_index = logs_before;
    let inner = consensus_receipt(transaction.tx_type(), receipt, gas_before).map_logs(|log| {
        let position = log_index;
        log_index = log_index.saturating_add(1);
        Log {
            inner: log,
            block_hash: Some(hash),
            block_number: Some(header.number),
            block_timestamp: Some(header.timestamp),
            transaction_hash: Some(transaction_hash),
            transaction_index: Some(index as u64),
            log_index: Some(position),
            removed: false,
        }
    });
    TransactionReceipt {
        inner,
        transaction_hash,
        transaction_index: Some(index as u64),
        block_hash: Some(hash),
        block_number: Some(header.number),
        gas_used,
        effective_gas_price: transaction.effective_gas_price(header.base_fee_per_gas),
        blob_gas_used: None,
        blob_gas_price: None,
        from: transaction.signer(),
        to: transaction.to(),
        contract_address: created.then(|| transaction.signer().create(transaction.nonce())),
    }
}

/// The events of one block that `filter` asks for, in order.
pub(super) fn logs(record: &BlockRecord, filter: &Filter) -> Vec<Log> {
    let mut found = Vec::new();
    let mut log_index = 0_u64;
    for (index, (transaction, receipt)) in record.transactions.iter().zip(&record.receipts).enumerate() {
        for log in &receipt.logs {
            if filter.matches(log) {
                found.push(Log {
                    inner: log.clone(),
                    block_hash: Some(record.hash),
                    block_number: Some(record.header.number),
                    block_timestamp: Some(record.header.timestamp),
                    transaction_hash: Some(*transaction.inner().tx_hash()),
                    transaction_index: Some(index as u64),
                    log_index: Some(log_index),
                    removed: false,
                });
            }
            // Positions of events count through the whole block.
            log_index = log_index.saturating_add(1);
        }
    }
    found
}
