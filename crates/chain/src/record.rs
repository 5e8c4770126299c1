//! How a block is written down: one version byte, then RLP.

use alloy_consensus::Header;
use alloy_consensus::TxEnvelope;
use alloy_consensus::transaction::Recovered;
use alloy_eips::Decodable2718;
use alloy_primitives::{Address, B256, Bytes, Log, Signature};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};

use crate::work::Stop;
use crate::{ChainError, Transaction, TransactionReceipt};

/// Version of the encoding below.
const VERSION: u8 = 2;

/// A block as it lies in the store, with what its execution gave and the signature of the sequencer.
#[derive(Clone, Debug)]
pub struct BlockRecord {
    /// The header.
    pub header: Header,
    /// The hash of the header.
    pub hash: B256,
    /// The transactions with the senders that were recovered when the block was made.
    pub transactions: Vec<Recovered<TxEnvelope>>,
    /// The EIP-2718 encodings of the transactions, as signed.
    pub raw_transactions: Vec<Bytes>,
    /// One receipt for each transaction.
    pub receipts: Vec<TransactionReceipt>,
    /// The sequencer's signature over `hash`.
    pub signature: Signature,
    /// What the clock of whoever keeps this file showed when the block was kept, unix seconds. Not part of the hash: the
    /// sequencer's file has the sequencer's clock, a copy has that of the copier.
    pub kept_at: u64,
}

/// A header and its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// Keccak-256 of the encoded header.
    pub hash: B256,
    /// The Ethereum header.
    pub header: Header,
}

impl From<Header> for BlockHeader {
    fn from(header: Header) -> BlockHeader {
        BlockHeader { hash: header.hash_slow(), header }
    }
}

/// How much a chain holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainSize {
    /// Blocks, block 0 included.
    pub blocks: u64,
    /// Transactions in them.
    pub transactions: u64,
    /// Accounts that exist at the head.
    pub accounts: u64,
    /// Storage slots that are not zero at the head.
    pub slots: u64,
}

#[derive(RlpEncodable, RlpDecodable)]
struct Encoded {
    header: Header,
    transactions: Vec<StoredTransaction>,
    signature: Bytes,
    kept_at: u64,
}

#[derive(RlpEncodable, RlpDecodable)]
struct StoredTransaction {
    raw: Bytes,
    sender: Address,
    success: bool,
    gas_used: u64,
    logs: Vec<Log>,
}

impl BlockRecord {
    pub(crate) fn encode(
        header: &Header,
        transactions: &[Transaction],
        receipts: &[TransactionReceipt],
        signature: &Signature,
        kept_at: u64,
    ) -> Vec<u8> {
        let transactions =
            transactions.iter().zip(receipts).map(|(transaction, receipt)| StoredTransaction {
                raw: transaction.raw().clone(),
                sender: transaction.sender(),
                success: receipt.success,
                gas_used: receipt.gas_used,
                logs: receipt.logs.clone(),
            });
        let encoded = Encoded {
            header: header.clone(),
            transactions: transactions.collect(),
            signature: Bytes::copy_from_slice(&signature.as_bytes()),
            kept_at,
        };
        let mut bytes = Vec::with_capacity(1 + encoded.length());
        bytes.push(VERSION);
        encoded.encode(&mut bytes);
        bytes
    }

    pub(crate) fn decode(number: u64, bytes: &[u8]) -> Result<BlockRecord, ChainError> {
        let damaged = |error: &dyn ToString| damaged(number, error);
        let encoded = Encoded::read(number, bytes)?;
        let mut record = BlockRecord {
            hash: encoded.header.hash_slow(),
            header: encoded.header,
            transactions: Vec::with_capacity(encoded.transactions.len()),
            raw_transactions: Vec::with_capacity(encoded.transactions.len()),
            receipts: Vec::with_capacity(encoded.transactions.len()),
            signature: Signature::from_raw(&encoded.signature).map_err(|error| damaged(&error))?,
            kept_at: encoded.kept_at,
        };
        for stored in encoded.transactions {
            let envelope = TxEnvelope::decode_2718_exact(&stored.raw).map_err(|error| damaged(&error))?;
            record.transactions.push(Recovered::new_unchecked(envelope, stored.sender));
            record.raw_transactions.push(stored.raw);
            record.receipts.push(TransactionReceipt {
                success: stored.success,
                gas_used: stored.gas_used,
                logs: stored.logs,
            });
        }
        Ok(record)
    }
}

/// One transaction in its block, with what its receipt needs to know about those before it.
pub(crate) struct Mined {
    pub(crate) header: Header,
    /// The hash of the header.
    pub(crate) hash: B256,
    /// Position in the block, from 0.
    pub(crate) index: usize,
    pub(crate) transaction: Recovered<TxEnvelope>,
    pub(crate) receipt: TransactionReceipt,
    /// Gas used by the transactions before it in the block.
    pub(crate) gas_before: u64,
    /// Number of their events.
    pub(crate) logs_before: u64,
}

impl Mined {
    /// The transaction at `index`, or `None` when the block has fewer. The others are passed over without being taken apart:
    /// somebody else's may be long. One that is itself longer than `longest` stops this.
    pub(crate) fn decode(
        number: u64,
        bytes: &[u8],
        index: usize,
        longest: usize,
    ) -> Result<Option<Mined>, ChainError> {
        let damaged = |error: alloy_rlp::Error| damaged(number, &error);
        let mut block = content(number, bytes)?;
        let mut block = alloy_rlp::Header::decode_bytes(&mut block, true).map_err(damaged)?;
        let header = Header::decode(&mut block).map_err(damaged)?;
        let mut transactions = alloy_rlp::Header::decode_bytes(&mut block, true).map_err(damaged)?;
        let (mut gas_before, mut logs_before) = (0_u64, 0_u64);
        for _ in 0..index {
            if transactions.is_empty() {
                return Ok(None);
            }
            let (gas, logs) = item(&mut transactions).and_then(gas_and_logs).map_err(damaged)?;
            gas_before = gas_before.saturating_add(gas);
            logs_before = logs_before.saturating_add(logs);
        }
        if transactions.is_empty() {
            return Ok(None);
        }
        let stored = item(&mut transactions).map_err(damaged)?;
        if stored.len() > longest {
            return Err(ChainError::Stopped(Stop::Time));
        }
        let stored: StoredTransaction = alloy_rlp::decode_exact(stored).map_err(damaged)?;
        let envelope = TxEnvelope::decode_2718_exact(&stored.raw)
            .map_err(|error| ChainError::corrupt(format!("block {number}"), error))?;
        Ok(Some(Mined {
            hash: header.hash_slow(),
            header,
            index,
            transaction: Recovered::new_unchecked(envelope, stored.sender),
            receipt: TransactionReceipt {
                success: stored.success,
                gas_used: stored.gas_used,
                logs: stored.logs,
            },
            gas_before,
            logs_before,
        }))
    }
}

/// Cuts the next item off an RLP list.
fn item<'a>(list: &mut &'a [u8]) -> alloy_rlp::Result<&'a [u8]> {
    let mut rest = *list;
    let payload = alloy_rlp::Header::decode(&mut rest)?.payload_length;
    let length = (list.len() - rest.len()).saturating_add(payload);
    let (item, rest) = list.split_at_checked(length).ok_or(alloy_rlp::Error::InputTooShort)?;
    *list = rest;
    Ok(item)
}

/// The gas that a stored transaction used, and how many events it has.
fn gas_and_logs(mut stored: &[u8]) -> alloy_rlp::Result<(u64, u64)> {
    let mut fields = alloy_rlp::Header::decode_bytes(&mut stored, true)?;
    for _raw_sender_success in 0..3 {
        item(&mut fields)?;
    }
    let gas = u64::decode(&mut fields)?;
    let mut logs = alloy_rlp::Header::decode_bytes(&mut fields, true)?;
    let mut count = 0;
    while !logs.is_empty() {
        item(&mut logs)?;
        count += 1;
    }
    Ok((gas, count))
}

impl Encoded {
    fn read(number: u64, bytes: &[u8]) -> Result<Encoded, ChainError> {
        alloy_rlp::decode_exact(content(number, bytes)?).map_err(|error| damaged(number, &error))
    }
}

fn damaged(number: u64, error: &dyn ToString) -> ChainError {
    ChainError::corrupt(format!("block {number}"), error.to_string())
}

/// The header of an encoded block, without decoding what follows.
pub(crate) fn decode_header(number: u64, bytes: &[u8]) -> Result<Header, ChainError> {
    let mut content = content(number, bytes)?;
    let decode = |content: &mut &[u8]| -> alloy_rlp::Result<Header> {
        let mut list = alloy_rlp::Header::decode_bytes(content, true)?;
        Header::decode(&mut list)
    };
    decode(&mut content).map_err(|error| ChainError::corrupt(format!("block {number}"), error))
}

fn content(number: u64, bytes: &[u8]) -> Result<&[u8], ChainError> {
    match bytes.split_first() {
        Some((&VERSION, content)) => Ok(content),
        Some((&found, _)) => Err(ChainError::Version { found: found.into(), supported: VERSION.into() }),
        None => Err(ChainError::corrupt(format!("block {number}"), "it is empty")),
    }
}
