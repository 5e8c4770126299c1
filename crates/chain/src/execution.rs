//! The block function: from a parent and transactions to a block, its receipts and its change of state.
//!
//! It is pure. Nothing here reads a clock, a file or a key, so a sequencer, an auditor and a consensus engine can all
//! call it: the one who makes a block calls [`propose`], everyone else calls [`validate`] on the block received, and
//! both hand the [`Executed`] block to [`Chain::commit`](crate::Chain::commit).

use std::collections::BTreeSet;
use std::time::Duration;

use alloy_consensus::constants::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH};
use alloy_consensus::proofs::{calculate_receipt_root, calculate_transaction_root};
use alloy_consensus::{Header, Receipt, ReceiptEnvelope, Transaction as _, TxEnvelope, TxType, Typed2718};
use alloy_eips::eip2930::AccessList;
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::{Address, B256, Bloom, Bytes, Log, TxKind, U256};
use revm::context::either::Either;
use revm::context::result::{EVMError, ExecutionResult, InvalidTransaction};
use revm::context::{BlockEnv, CfgEnv, Context, TxEnv};
use revm::database::CacheDB;
use revm::primitives::hardfork::SpecId;
use revm::{Database as _, DatabaseCommit, MainContext};

use crate::recovery;
use crate::state::ForEngine;
use crate::work::{Allowed, Meter, SLOWNESS, processor_time, transact};
use crate::{AccountState, ChainError, Genesis, StateDiff, StateReader, Transaction};

/// Most events of one block. Any block's then fit into one answer of `eth_getLogs`, whatever somebody else put into it.
pub const MAX_BLOCK_EVENTS: usize = 10_000;
/// Most bytes of data in the events of one block: 1 MiB.
pub const MAX_BLOCK_EVENT_BYTES: usize = 1024 * 1024;
/// Processor time after which a block that is made for those who wait takes in no more.
pub(crate) const BLOCK_TIME: Duration = Duration::from_millis(100).saturating_mul(SLOWNESS);

/// A block: its header and its transactions in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The Ethereum header. `state_root` holds the [state commitment](StateDiff::commitment).
    pub header: Header,
    /// The transactions, in the order in which they ran.
    pub transactions: Vec<Transaction>,
}

/// What one transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionReceipt {
    /// False when it was reverted or ran out of gas; the fee is paid either way.
    pub success: bool,
    /// Gas used by this transaction alone, refunds taken off.
    pub gas_used: u64,
    /// Events, in order.
    pub logs: Vec<Log>,
}

/// A block that has been executed here, with its effects. Only [`propose`] and [`validate`] make one, so holding it
/// means that header, transactions, receipts and state change belong together.
#[derive(Clone, Debug)]
pub struct Executed {
    block: Block,
    hash: B256,
    receipts: Vec<TransactionReceipt>,
    diff: StateDiff,
}

impl Executed {
    /// The block.
    #[must_use]
    pub fn block(&self) -> &Block {
        &self.block
    }

    /// The hash of the header.
    #[must_use]
    pub fn hash(&self) -> B256 {
        self.hash
    }

    /// One receipt for each transaction.
    #[must_use]
    pub fn receipts(&self) -> &[TransactionReceipt] {
        &self.receipts
    }

    /// The change of state.
    #[must_use]
    pub fn diff(&self) -> &StateDiff {
        &self.diff
    }
}

/// Makes the block that follows `parent` and holds `transactions`, on the state after `parent`.
///
/// `timestamp` is unix seconds and must not be earlier than that of the parent.
///
/// # Errors
/// [`ChainError::TransactionRefused`] with the position of the first transaction that the state refuses (nonce,
/// funds, gas); no block is made then. [`ChainError::BlockInvalid`] when the timestamp is earlier than that of the parent.
pub fn propose(
    genesis: &Genesis,
    state: &impl StateReader,
    parent: &Header,
    transactions: Vec<Transaction>,
    timestamp: u64,
) -> Result<Executed, ChainError> {
    propose_metered(genesis, state, parent, transactions, timestamp, &Meter::unlimited())
}

/// The same, unless `meter` stops it: with [`ChainError::Stopped`] then.
pub(crate) fn propose_metered(
    genesis: &Genesis,
    state: &impl StateReader,
    parent: &Header,
    transactions: Vec<Transaction>,
    timestamp: u64,
    meter: &Meter,
) -> Result<Executed, ChainError> {
    let mut run = Run::new(genesis, state, parent, timestamp)?;
    for (index, transaction) in transactions.iter().enumerate() {
        if let Fit::Not(reason) = run.add(index, transaction, meter)? {
            return Err(ChainError::TransactionRefused { index, reason });
        }
    }
    let (receipts, diff) = run.finish()?;
    Ok(seal(genesis, parent, timestamp, transactions, receipts, diff))
}

/// What became of a transaction that was offered for a block.
#[derive(Debug)]
pub(crate) enum Offered {
    /// It is in the block.
    Taken {
        /// What it used.
        gas: u64,
    },
    /// The block has no room left; it fits into a later one.
    Later,
    /// The state refuses it, with position 0. The block holds no trace of it.
    Refused(ChainError),
}

/// Makes the block that follows `parent` from those of `offered` that can be executed, in this order; the others are
/// left out. Tells what became of each. Without any there is no block.
///
/// # Errors
/// Those of the store, which are nobody's fault: no block is made then.
pub(crate) fn gather(
    genesis: &Genesis,
    state: &impl StateReader,
    parent: &Header,
    offered: &[(Transaction, Allowed)],
    timestamp: u64,
) -> Result<(Option<Executed>, Vec<Offered>), ChainError> {
    let mut run = Run::new(genesis, state, parent, timestamp)?;
    let mut taken = Vec::with_capacity(offered.len());
    let mut outcomes = Vec::with_capacity(offered.len());
    let begin = processor_time();
    for (transaction, allowed) in offered {
        // Those who wait for what is in the block do not wait for the rest as well.
        if outcomes.iter().any(|outcome| !matches!(outcome, Offered::Later))
            && processor_time().saturating_sub(begin) > BLOCK_TIME
        {
            outcomes.push(Offered::Later);
            continue;
        }
        outcomes.push(match run.add(0, transaction, &Meter::new(allowed.clone())) {
            Ok(Fit::Taken { gas }) => {
                taken.push(transaction.clone());
                Offered::Taken { gas }
            }
            Ok(Fit::Not(_)) => Offered::Later,
            Err(
                error @ (ChainError::TransactionRefused { .. }
                | ChainError::Engine { .. }
                | ChainError::Stopped(_)),
            ) => Offered::Refused(error),
            Err(error) => return Err(error),
        });
    }
    if taken.is_empty() {
        return Ok((None, outcomes));
    }
    let (receipts, diff) = run.finish()?;
    Ok((Some(seal(genesis, parent, timestamp, taken, receipts, diff)), outcomes))
}

/// Puts a header on what was executed.
fn seal(
    genesis: &Genesis,
    parent: &Header,
    timestamp: u64,
    transactions: Vec<Transaction>,
    receipts: Vec<TransactionReceipt>,
    diff: StateDiff,
) -> Executed {
    let gas_used = receipts.iter().map(|receipt| receipt.gas_used).sum();
    let envelopes = consensus_receipts(transactions.iter().map(Transaction::envelope), &receipts);
    let encoded: Vec<&TxEnvelope> = transactions.iter().map(Transaction::envelope).collect();
    let header = Header {
        parent_hash: parent.hash_slow(),
        beneficiary: genesis.sequencer,
        state_root: diff.commitment(parent.state_root),
        transactions_root: calculate_transaction_root(&encoded),
        receipts_root: calculate_receipt_root(&envelopes),
        logs_bloom: envelopes.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | *receipt.logs_bloom()),
        number: parent.number.saturating_add(1),
        gas_limit: genesis.gas_limit,
        gas_used,
        timestamp,
        ..empty_header()
    };
    let hash = header.hash_slow();
    Executed { block: Block { header, transactions }, hash, receipts, diff }
}

/// Executes a block made elsewhere on the state after `parent`, and accepts it only when every field of its header is
/// what re-execution gives. Whether its timestamp is too far ahead, and who signed it, is for the caller to judge.
///
/// # Errors
/// [`ChainError::BlockInvalid`] naming the first field that differs, or the error of the first transaction that cannot
/// be executed.
pub fn validate(
    genesis: &Genesis,
    state: &impl StateReader,
    parent: &Header,
    block: Block,
) -> Result<Executed, ChainError> {
    // Fields that need no execution come first: a forged transaction is then named as such.
    let encoded: Vec<&TxEnvelope> = block.transactions.iter().map(Transaction::envelope).collect();
    let number = parent.number.saturating_add(1);
    check(number, "number", block.header.number, number)?;
    check(number, "parent hash", block.header.parent_hash, parent.hash_slow())?;
    check(number, "transactions root", block.header.transactions_root, calculate_transaction_root(&encoded))?;

    let executed = propose(genesis, state, parent, block.transactions, block.header.timestamp)?;
    let (found, computed) = (&block.header, &executed.block.header);
    check(number, "gas used", found.gas_used, computed.gas_used)?;
    check(number, "receipts root", found.receipts_root, computed.receipts_root)?;
    check(number, "logs bloom", found.logs_bloom, computed.logs_bloom)?;
    check(number, "state commitment", found.state_root, computed.state_root)?;
    check(number, "beneficiary", found.beneficiary, computed.beneficiary)?;
    check(number, "gas limit", found.gas_limit, computed.gas_limit)?;
    // All that is left are constants of this chain; the hash covers them together.
    check(number, "hash", found.hash_slow(), executed.hash)?;
    Ok(executed)
}

fn check<T: PartialEq + ToString>(
    block: u64,
    field: &'static str,
    found: T,
    computed: T,
) -> Result<(), ChainError> {
    if found == computed {
        return Ok(());
    }
    Err(ChainError::BlockInvalid { block, field, found: found.to_string(), computed: computed.to_string() })
}

/// A header of this chain with every field that never changes: no base fee, no withdrawals, no blobs, no requests.
pub(crate) fn empty_header() -> Header {
    Header {
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        transactions_root: EMPTY_ROOT_HASH,
        receipts_root: EMPTY_ROOT_HASH,
        base_fee_per_gas: Some(0),
        withdrawals_root: Some(EMPTY_ROOT_HASH),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(EMPTY_REQUESTS_HASH),
        ..Header::default()
    }
}

/// Receipts as Ethereum hashes them and JSON-RPC shows them, with running gas totals and blooms.
pub(crate) fn consensus_receipts<'a>(
    transactions: impl Iterator<Item = &'a TxEnvelope>,
    receipts: &[TransactionReceipt],
) -> Vec<ReceiptEnvelope> {
    let mut gas_before = 0_u64;
    transactions
        .zip(receipts)
        .map(|(transaction, receipt)| {
            let shown = consensus_receipt(transaction.tx_type(), receipt.clone(), gas_before);
            gas_before = gas_before.saturating_add(receipt.gas_used);
            shown
        })
        .collect()
}

/// One of them, when those before it used `gas_before`.
pub(crate) fn consensus_receipt(
    kind: TxType,
    receipt: TransactionReceipt,
    gas_before: u64,
) -> ReceiptEnvelope {
    let cumulative_gas_used = gas_before.saturating_add(receipt.gas_used);
    let inner = Receipt { status: receipt.success.into(), cumulative_gas_used, logs: receipt.logs };
    ReceiptEnvelope::from_typed(kind, inner.with_bloom())
}

/// The rules of the engine: Prague, with the chain id of the genesis.
fn rules(genesis: &Genesis) -> CfgEnv {
    CfgEnv::new_with_spec(SpecId::PRAGUE).with_chain_id(genesis.chain_id)
}

fn block_env(genesis: &Genesis, number: u64, timestamp: u64) -> BlockEnv {
    BlockEnv {
        number: U256::from(number),
        beneficiary: genesis.sequencer,
        timestamp: U256::from(timestamp),
        gas_limit: genesis.gas_limit,
        basefee: 0,
        // There is no randomness beacon: PREVRANDAO is zero, so that no contract takes the sequencer's choice for one.
        prevrandao: Some(B256::ZERO),
        ..BlockEnv::default()
    }
}

/// Whether a transaction fitted into a block.
enum Fit {
    Taken {
        gas: u64,
    },
    /// There are others in the block, and this is what they left too little of.
    Not(String),
}

/// Transactions that run one after another, and what they change together.
struct Run<'a, S> {
    genesis: &'a Genesis,
    state: &'a S,
    block: BlockEnv,
    overlay: CacheDB<ForEngine<'a, S>>,
    receipts: Vec<TransactionReceipt>,
    touched: BTreeSet<Address>,
    written: BTreeSet<(Address, U256)>,
    gas_left: u64,
    /// Events so far, and the bytes of their data.
    events: (usize, usize),
}

impl<'a, S: StateReader> Run<'a, S> {
    /// A run in the block that follows `parent`.
    fn new(
        genesis: &'a Genesis,
        state: &'a S,
        parent: &Header,
        timestamp: u64,
    ) -> Result<Run<'a, S>, ChainError> {
        recovery::install();
        let number = parent.number.saturating_add(1);
        if timestamp < parent.timestamp {
            return Err(ChainError::BlockInvalid {
                block: number,
                field: "timestamp",
                found: timestamp.to_string(),
                computed: format!("at least {}, that of its parent", parent.timestamp),
            });
        }
        Ok(Run {
            genesis,
            state,
            block: block_env(genesis, number, timestamp),
            overlay: CacheDB::new(ForEngine(state)),
            receipts: Vec::new(),
            touched: BTreeSet::new(),
            written: BTreeSet::new(),
            gas_left: genesis.gas_limit,
            events: (0, 0),
        })
    }

    /// Runs one more. When it does not fit, and on an error, nothing of it is left, and others can follow.
    fn add(&mut self, index: usize, transaction: &Transaction, meter: &Meter) -> Result<Fit, ChainError> {
        let no_room = |reason: String, receipts: &[TransactionReceipt]| {
            // Alone in its block it has all the room there is.
            if receipts.is_empty() {
                Err(ChainError::TransactionRefused { index, reason })
            } else {
                Ok(Fit::Not(reason))
            }
        };
        let (gas_limit, gas_left) = (transaction.envelope().gas_limit(), self.gas_left);
        if gas_limit > gas_left {
            let reason = format!("its gas limit {gas_limit} exceeds the {gas_left} gas left in the block");
            return no_room(reason, &self.receipts);
        }
        let context = Context::mainnet()
            .with_db(&mut self.overlay)
            .with_cfg(rules(self.genesis))
            .with_block(self.block.clone());
        let outcome = transact(context, meter, tx_env(transaction)).map_err(|error| refusal(index, error))?;
        let success = outcome.result.is_success();
        // A failed transaction has no events.
        let logs = if success { outcome.result.logs() } else { &[] };
        let data: usize = logs.iter().map(|log| log.data.data.len()).sum();
        let (events, bytes) = (self.events.0 + logs.len(), self.events.1 + data);
        if events > MAX_BLOCK_EVENTS || bytes > MAX_BLOCK_EVENT_BYTES {
            let reason = format!(
                "its {} events with {data} bytes of data are more than the block has room for: {MAX_BLOCK_EVENTS} \
                 events and {MAX_BLOCK_EVENT_BYTES} bytes; send it in parts",
                logs.len()
            );
            return no_room(reason, &self.receipts);
        }
        self.events = (events, bytes);
        for (address, account) in &outcome.state {
            if account.is_touched() {
                self.touched.insert(*address);
                self.written.extend(account.changed_storage_slots().map(|(key, _)| (*address, *key)));
            }
        }
        self.overlay.commit(outcome.state);
        let gas_used = outcome.result.tx_gas_used();
        self.gas_left = self.gas_left.saturating_sub(gas_used);
        let logs = if success { outcome.result.into_logs() } else { Vec::new() };
        self.receipts.push(TransactionReceipt { success, gas_used, logs });
        Ok(Fit::Taken { gas: gas_used })
    }

    fn finish(mut self) -> Result<(Vec<TransactionReceipt>, StateDiff), ChainError> {
        let diff = difference(self.state, &mut self.overlay, self.touched, self.written)?;
        Ok((self.receipts, diff))
    }
}

/// Compares what was touched with the state before the block and keeps what really differs.
fn difference<S: StateReader>(
    state: &S,
    overlay: &mut CacheDB<ForEngine<'_, S>>,
    touched: BTreeSet<Address>,
    written: BTreeSet<(Address, U256)>,
) -> Result<StateDiff, ChainError> {
    let mut diff = StateDiff::default();
    for address in touched {
        let before = state.account(address)?;
        let after = overlay
            .basic(address)?
            .map(|info| AccountState { nonce: info.nonce, balance: info.balance, code_hash: info.code_hash })
            .filter(|account| !account.is_empty());
        if before == after {
            continue;
        }
        let code_before = before.unwrap_or_default().code_hash;
        let code_after = after.clone().unwrap_or_default().code_hash;
        if code_after != code_before && code_after != AccountState::default().code_hash {
            diff.code.insert(code_after, overlay.code_by_hash(code_after)?.original_bytes());
        }
        diff.accounts.insert(address, after);
    }
    for (address, key) in written {
        let slot = B256::from(key);
        let after = B256::from(overlay.storage(address, key)?);
        if state.slot(address, slot)? != after {
            diff.slots.insert((address, slot), after);
        }
    }
    Ok(diff)
}

fn tx_env(transaction: &Transaction) -> TxEnv {
    let envelope = transaction.envelope();
    TxEnv {
        tx_type: envelope.ty(),
        caller: transaction.sender(),
        gas_limit: envelope.gas_limit(),
        gas_price: envelope.max_fee_per_gas(),
        kind: envelope.kind(),
        value: envelope.value(),
        data: envelope.input().clone(),
        nonce: envelope.nonce(),
        chain_id: envelope.chain_id(),
        access_list: envelope.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: envelope.max_priority_fee_per_gas(),
        authorization_list: envelope
            .authorization_list()
            .unwrap_or_default()
            .iter()
            .cloned()
            .map(Either::Left)
            .collect(),
        ..TxEnv::default()
    }
}

/// Words that Ethereum clients already look for come first, our explanation after them.
fn refusal(index: usize, error: EVMError<ChainError>) -> ChainError {
    let reason = match error {
        EVMError::Database(error) => return error,
        EVMError::Transaction(InvalidTransaction::NonceTooLow { tx, state }) => {
            format!("nonce too low: next nonce {state}, transaction nonce {tx}")
        }
        EVMError::Transaction(InvalidTransaction::NonceTooHigh { tx, state }) => {
            format!("nonce too high: next nonce {state}, transaction nonce {tx}; send those before it first")
        }
        EVMError::Transaction(InvalidTransaction::LackOfFundForMaxFee { fee, balance }) => {
            format!(
                "insufficient funds for gas * price + value: it needs {fee} wei, the sender has {balance}"
            )
        }
        EVMError::Transaction(error) => error.to_string(),
        other => return ChainError::Engine { index, reason: other.to_string() },
    };
    ChainError::TransactionRefused { index, reason }
}

/// A message to run without a signature, for `eth_call` and `eth_estimateGas`.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) from: Address,
    pub(crate) to: TxKind,
    pub(crate) value: U256,
    pub(crate) input: Bytes,
    pub(crate) gas_limit: u64,
    pub(crate) gas_price: u128,
    pub(crate) access_list: AccessList,
    /// EIP-7702 delegations that take effect before the call.
    pub(crate) authorizations: Vec<SignedAuthorization>,
    /// Whether the sender must own `value` and the fee.
    pub(crate) needs_funds: bool,
}

/// Runs `call` in a block `number` at `timestamp` and throws its changes away, unless `meter` stops it.
pub(crate) fn simulate(
    genesis: &Genesis,
    state: &impl StateReader,
    number: u64,
    timestamp: u64,
    call: Call,
    meter: &Meter,
) -> Result<ExecutionResult, ChainError> {
    recovery::install();
    let mut cfg = rules(genesis);
    cfg.disable_nonce_check = true;
    // A contract may be asked for its view of the world: EIP-3607 is about signatures.
    cfg.disable_eip3607 = true;
    cfg.disable_balance_check = !call.needs_funds;
    let nonce = state.account(call.from)?.map_or(0, |account| account.nonce);
    let context = Context::mainnet()
        .with_db(CacheDB::new(ForEngine(state)))
        .with_cfg(cfg)
        .with_block(block_env(genesis, number, timestamp));
    // The plainest type that can carry what is asked for.
    let tx_type = match (call.authorizations.is_empty(), call.access_list.is_empty()) {
        (false, _) => TxType::Eip7702,
        (true, false) => TxType::Eip2930,
        (true, true) => TxType::Legacy,
    };
    let transaction = TxEnv {
        tx_type: tx_type.into(),
        gas_priority_fee: (tx_type == TxType::Eip7702).then_some(0),
        access_list: call.access_list,
        authorization_list: call.authorizations.into_iter().map(Either::Left).collect(),
        caller: call.from,
        gas_limit: call.gas_limit,
        gas_price: call.gas_price,
        kind: call.to,
        value: call.value,
        data: call.input,
        nonce,
        chain_id: Some(genesis.chain_id),
        ..TxEnv::default()
    };
    Ok(transact(context, meter, transaction).map_err(|error| refusal(0, error))?.result)
}
