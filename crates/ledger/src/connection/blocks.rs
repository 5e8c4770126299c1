//! Blocks as a node tells them, with everything that happened in them.

use std::sync::PoisonError;

use alloy::consensus::{Header, Transaction as _};
use alloy::eips::BlockNumberOrTag;
use alloy::network::TransactionResponse as _;
use alloy::primitives::{Address, B256, Bytes, Log};
use alloy::providers::Provider;
use alloy::rlp::Decodable;
use alloy::rpc::types::{Block, TransactionReceipt};
use histone_chain::{RawBlock, SignedHeader};
use histone_contracts::LedgerError;
use histone_contracts::book::Head;

use super::Connection;
use crate::explain;

/// JSON-RPC: the node has no such method.
const NO_METHOD: i64 = -32_601;

/// A block as a node tells it. Nothing of it was executed or hashed again.
#[derive(Debug, Clone)]
pub struct ToldBlock {
    /// Its hash.
    pub hash: B256,
    /// Hash of the block before.
    pub parent: B256,
    /// Its timestamp, Unix seconds.
    pub time: u64,
    /// Its transactions, in order.
    pub transactions: Vec<ToldTransaction>,
}

/// A transaction and what came of it.
#[derive(Debug, Clone)]
pub struct ToldTransaction {
    /// Who signed it.
    pub from: Address,
    /// What it called; none when it made a contract.
    pub to: Option<Address>,
    /// The contract that it made, if it was to make one and did.
    pub created: Option<Address>,
    /// What it carried: a call, or the code and arguments of a new contract.
    pub input: Bytes,
    /// Whether it was not reverted.
    pub success: bool,
    /// Gas used.
    pub gas: u64,
    /// What contracts said meanwhile.
    pub logs: Vec<Log>,
}

impl Connection {
    /// The newest block.
    pub async fn head(&self) -> Result<Head, LedgerError> {
        let name = "latest block";
        if !self.embedded {
            return self.head_of(name, BlockNumberOrTag::Latest).await;
        }
        // A number is told at a fraction of what a block costs.
        let number = self.provider.get_block_number().await.map_err(|e| explain::transport(name, e))?;
        if let Some(head) = self.seen(None).filter(|head| head.block == number) {
            return Ok(head);
        }
        let head = self.head_of(name, number.into()).await?;
        self.seen(Some(head));
        Ok(head)
    }

    /// The newest block that was read of an embedded chain; a newer one takes its place.
    fn seen(&self, newer: Option<Head>) -> Option<Head> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newer.is_some_and(|newer| newest.is_none_or(|seen| seen.block < newer.block)) {
            *newest = newer;
        }
        *newest
    }

    /// A block that must be there, by its number.
    pub async fn head_at(&self, number: u64) -> Result<Head, LedgerError> {
        self.head_of(&format!("block {number}"), number.into()).await
    }

    /// When a block was made, in Unix seconds.
    pub(crate) async fn time_of(&self, number: u64) -> Result<u64, LedgerError> {
        Ok(self.head_at(number).await?.time)
    }

    /// A block that must be there as its sequencer has signed it, and its header. Asked of a histone chain; others have no sequencer.
    pub async fn signed_header(&self, number: u64) -> Result<(SignedHeader, Header), LedgerError> {
        let name = format!("signed block {number}");
        let block: Option<RawBlock> = self
            .provider
            .raw_request("sequencer_getBlock".into(), (format!("{number:#x}"),))
            .await
            .map_err(|e| explain::transport(&name, e))?;
        let block = block.ok_or_else(|| undecodable(&name, "there is none"))?;
        let header = Header::decode(&mut block.header.as_ref());
        Ok((block.signed_header(), header.map_err(|e| undecodable(&name, &e.to_string()))?))
    }

    async fn head_of(&self, name: &str, which: BlockNumberOrTag) -> Result<Head, LedgerError> {
        let block = self.provider.get_block_by_number(which).await;
        let block = block.map_err(|e| explain::transport(name, e))?;
        let header = block.ok_or_else(|| undecodable(name, "there is none"))?.header;
        Ok(Head { block: header.number, hash: header.hash, time: header.timestamp })
    }

    /// A block with its transactions and receipts; nothing when the chain is not that long.
    pub async fn block(&self, number: u64) -> Result<Option<ToldBlock>, LedgerError> {
        let name = format!("block {number}");
        let block = self.provider.get_block_by_number(number.into()).full().await;
        let Some(block) = block.map_err(|e| explain::transport(&name, e))? else { return Ok(None) };
        let receipts = self.receipts(&name, &block).await?;
        if receipts.len() != block.transactions.len() {
            let (found, needed) = (receipts.len(), block.transactions.len());
            return Err(undecodable(&name, &format!("{found} receipts for {needed} transactions")));
        }
        let mut transactions = Vec::new();
        for (transaction, receipt) in block.transactions.txns().zip(receipts) {
            if receipt.transaction_hash != transaction.tx_hash() {
                return Err(undecodable(&name, "its receipts are not those of its transactions"));
            }
            transactions.push(ToldTransaction {
                from: transaction.from(),
                to: transaction.to(),
                created: receipt.contract_address.filter(|_| receipt.status()),
                input: transaction.input().clone(),
                success: receipt.status(),
                gas: receipt.gas_used,
                logs: receipt.inner.logs().iter().map(|log| log.inner.clone()).collect(),
            });
        }
        let header = block.header;
        Ok(Some(ToldBlock {
            hash: header.hash,
            parent: header.parent_hash,
            time: header.timestamp,
            transactions,
        }))
    }

    async fn receipts(&self, name: &str, block: &Block) -> Result<Vec<TransactionReceipt>, LedgerError> {
        if block.transactions.is_empty() {
            return Ok(Vec::new());
        }
        match self.provider.get_block_receipts(block.header.hash.into()).await {
            Ok(receipts) => {
                return receipts.ok_or_else(|| undecodable(name, "the node has no receipts of it"));
            }
            // Older nodes give receipts one by one only.
            Err(error) if error.as_error_resp().is_some_and(|e| e.code == NO_METHOD) => {}
            Err(error) => return Err(explain::transport(name, error)),
        }
        let mut receipts = Vec::new();
        for hash in block.transactions.hashes() {
            let receipt = self.provider.get_transaction_receipt(hash).await;
            let receipt = receipt.map_err(|e| explain::transport(name, e))?;
            receipts
                .push(receipt.ok_or_else(|| undecodable(name, &format!("there is no receipt of {hash}")))?);
        }
        Ok(receipts)
    }
}

fn undecodable(name: &str, detail: &str) -> LedgerError {
    LedgerError::Decode { name: name.into(), detail: detail.into() }
}
