//! The methods.

use std::sync::Arc;

use alloy_consensus::Transaction as _;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, TxKind, U64, U256};
use alloy_rpc_types_eth::{FeeHistory, TransactionRequest};
use revm::context::result::ExecutionResult;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Ask, Json, Params, RpcError, json, shapes};
use crate::execution::{Call, simulate};
use crate::store::View;
use crate::{BlockRecord, Chain, ChainError, MAX_INPUT_BYTES, RawBlock, RawGenesis, StateReader as _};

/// Most blocks of one `eth_feeHistory`.
const MAX_FEE_HISTORY: u64 = 1024;
/// Most percentiles of one `eth_feeHistory`.
const MAX_PERCENTILES: usize = 100;
/// Gas of a plain transfer.
const TRANSFER_GAS: u64 = 21_000;

impl Chain {
    pub(crate) fn dispatch(
        &self,
        method: &str,
        params: Option<&RawValue>,
        ask: &Ask<'_>,
    ) -> Result<Json, RpcError> {
        let params = |most| Params::new(params, most);
        match method {
            "web3_clientVersion" => {
                params(0)?;
                json(concat!("histone-chain/", env!("CARGO_PKG_VERSION")))
            }
            "net_version" => params(0).and_then(|_| json(self.genesis().chain_id.to_string())),
            "net_peerCount" => params(0).and_then(|_| json("0x0")),
            "web3_sha3" => {
                let data: Bytes = params(1)?.required(0, "data")?;
                json(alloy_primitives::keccak256(data))
            }
            "net_listening" => params(0).and_then(|_| json(false)),
            "eth_chainId" => params(0).and_then(|_| json(U64::from(self.genesis().chain_id))),
            "eth_syncing" => params(0).and_then(|_| json(false)),
            "eth_accounts" => params(0).and_then(|_| json([(); 0])),
            // Nothing needs to be paid: the base fee is zero and no block is full of better offers.
            "eth_gasPrice" | "eth_maxPriorityFeePerGas" | "eth_blobBaseFee" => {
                params(0).and_then(|_| json("0x0"))
            }
            "eth_blockNumber" => params(0).and_then(|_| json(U64::from(self.view()?.head_number()?))),
            "eth_getBlockByNumber" => self.block_by_number(&params(2)?, ask),
            "eth_getBlockByHash" => self.block_by_hash(&params(2)?, ask),
            "eth_getBlockReceipts" => self.block_receipts(&params(1)?, ask),
            "eth_getBlockTransactionCountByNumber" => self.count_by_number(&params(1)?, ask),
            "eth_getBlockTransactionCountByHash" => self.count_by_hash(&params(1)?, ask),
            "eth_getUncleCountByBlockNumber" => self.uncles_by_number(&params(1)?, ask),
            "eth_getUncleCountByBlockHash" => self.uncles_by_hash(&params(1)?, ask),
            "eth_getTransactionByBlockNumberAndIndex" => self.transaction_by_number(&params(2)?, ask),
            "eth_getTransactionByBlockHashAndIndex" => self.transaction_by_block_hash(&params(2)?, ask),
            "eth_getTransactionByHash" => self.transaction_by_hash(&params(1)?, ask),
            "eth_getTransactionReceipt" => self.transaction_receipt(&params(1)?, ask),
            "eth_sendRawTransaction" => self.send_raw_transaction(&params(1)?, ask),
            "eth_getTransactionCount" => self.transaction_count(&params(2)?),
            "eth_getBalance" => self.balance(&params(2)?),
            "eth_getCode" => self.code(&params(2)?),
            "eth_getStorageAt" => self.storage_at(&params(3)?),
            // State and block overrides are not supported and refused by the parameter count.
            "eth_call" => self.call(&params(2)?, ask),
            "eth_estimateGas" => self.estimate_gas(&params(2)?, ask),
            "eth_feeHistory" => self.fee_history(&params(3)?, ask),
            "eth_getLogs" => self.get_logs(&params(1)?, ask),
            "eth_newFilter" => self.new_filter(Some(params(1)?.required(0, "filter")?), ask),
            "eth_newBlockFilter" => params(0).and_then(|_| self.new_filter(None, ask)),
            "eth_getFilterChanges" => self.filter_changes(&params(1)?, ask),
            "eth_getFilterLogs" => self.filter_logs(&params(1)?, ask),
            "eth_uninstallFilter" => self.uninstall_filter(&params(1)?),
            "sequencer_getGenesis" => params(0).and_then(|_| self.raw_genesis()),
            "sequencer_getBlock" => json(self.record_at(&params(1)?, ask)?.as_ref().map(RawBlock::from)),
            "eth_subscribe" | "eth_unsubscribe" => Err(RpcError::new(
                -32601,
                format!("the method `{method}` needs a WebSocket; here, poll with eth_newFilter"),
            )),
            _ => Err(RpcError::new(-32601, format!("the method `{}` does not exist", shown(method)))),
        }
    }

    fn raw_genesis(&self) -> Result<Json, RpcError> {
        let zero = self.block(0)?.ok_or_else(|| RpcError::internal("block 0 is missing"))?;
        json(RawGenesis {
            genesis: self.genesis().encode().into(),
            signature: RawBlock::from(&zero).signature,
        })
    }

    fn block_by_number(&self, params: &Params<'_>, ask: &Ask<'_>) -> Result<Json, RpcError> {
        let view = self.view()?;
        let number = resolve_tag(&view, params.required(0, "block")?)?;
        let full = params.optional(1, "full transactions")?.unwrap_or(false);
        ask.block(&view, number)?.map_or_else(|| json(()), |record| shapes::block(&record, full))
    }

    fn block_by_hash(&self, params: &Params<'_>, ask: &Ask<'_>) -> Result<Json, RpcError> {
        let view = self.view()?;
        let hash: B256 = params.required(0, "block hash")?;
        let full = params.optional(1, "full transactions")?.unwrap_or(false);
        let Some(number) = view.number_of(hash)? else { return json(()) };
        ask.block(&view, number)?.map_or_else(|| json(()), |record| shapes::block(&record, full))
    }

    fn block_receipts(&self, params: &Params<'_>, ask: &Ask<'_>) -> Result<Json, RpcError> {
        let view = self.view()?;
        let Some(number) = resolve(&view, params.required(0, "block")?)? else { return json(()) };
        ask.block(&view, number)?.map_or_else(|| json(()), |record| json(shapes::receipts(&record)))
    }

    fn record_at(&self, params: &Params<'_>, ask: &Ask<'_>) -> Result<Option<BlockRecord>, RpcError> {
        let view = self.view()?;
        let number = resolve_tag(&view, params.required(0, "block")?)?;
        ask.block(&view, number)
    }

    fn record_of(&self, params: &Params<'_>, ask: &Ask<'_>) -> Result<Option<BlockRecord>, RpcError> {
        let view = self.view()?;
        let Some(number) = view.number_of(params.required(0, "block hash")?)? else { return Ok(None) };
        ask.block(&view, number)
    }

    fn count_by_hash(&self, params: &Params<'_>, ask: &Ask<'_>) -> Result<Json, RpcError> {
        json(self.record_of(params, ask)?.map(|record| U64::from(record.transactions.len())))
    }

    /// There are no uncles, but only a block that exists has none.
    fn uncles_by_number(&self, params: &Params<'_>, ask: &Ask<'_>) -> Result<Json, RpcError> {
        json(self.record_at(params, ask)?.map(|_| U64::ZERO))
    }

    fn uncles_by_hash(&self, params: &Params<'_>, ask: &Ask<'_>) -> Result<Json, RpcError> {
        json(self.record_of(params, ask)?.map(|_| U64::ZERO))
    }

    fn transaction_by_number(&self, params: &Params<'_>, ask: &Ask<'_>) -> Result<Json, RpcError> {
        let index: U64 = params.required(1, "index")?;
        json(self.record_at(params, ask)?.and_then(|record| shapes::transaction(&record, index.to())))
    }

    fn transaction_by_block_hash(&self, params: &Params<'_>, ask: &Ask<'_>) -> Result<Json, RpcError> {
        let index: U64 = params.required(1, "index")?;
        json(self.record_of(params, ask)?.and_then(|record| shapes::transaction(&record, index.to())))
    }

    fn count_by_number(&self, params: &Params<'_>, ask: &Ask<'_>) -> Result<Json, RpcError> {
        json(self.record_at(params, ask)?.map(|record| U64::from(record.transactions.len())))
    }

    fn transaction_by_hash(&self, params: &Params<'_>, ask: &Ask<'_>) -> Result<Json, RpcError> {
        let view = self.view()?;
        let hash: B256 = params.required(0, "transaction hash")?;
        if let Some((number, index)) = view.find_transaction(hash)? {
            return json(view.mined(number, index, ask.largest_block)?.map(shapes::mined));
        }
        json(self.queue().as_ref().and_then(|queue| queue.find(hash)).map(shapes::queued))
    }

    fn transaction_receipt(&self, params: &Params<'_>, ask: &Ask<'_>) -> Result<Json, RpcError> {
        let view = self.view()?;
        let hash: B256 = params.required(0, "transaction hash")?;
        let Some((number, index)) = view.find_transaction(hash)? else { return json(()) };
        json(view.mined(number, index, ask.largest_block)?.map(shapes::receipt))
    }

    /// Makes a block at once, unless the chain queues; the receipt is there when this returns.
    fn send_raw_transaction(&self, params: &Params<'_>, ask: &Ask<'_>) -> Result<Json, RpcError> {
        let raw: Bytes = params.required(0, "signed transaction")?;
        json(self.submit(&raw, ask.transaction.clone())?)
    }

    fn transaction_count(&self, params: &Params<'_>) -> Result<Json, RpcError> {
        let view = self.state_view(params, 1)?;
        let address: Address = params.required(0, "address")?;
        if params.optional::<BlockId>(1, "block")? == Some(BlockId::pending())
            && let Some(nonce) = self.queue().as_ref().and_then(|queue| queue.nonce(address))
        {
            return json(U64::from(nonce));
        }
        json(U64::from(view.account(address)?.map_or(0, |account| account.nonce)))
    }

    fn balance(&self, params: &Params<'_>) -> Result<Json, RpcError> {
        let view = self.state_view(params, 1)?;
        let account = view.account(params.required(0, "address")?)?;
        json(account.map_or(U256::ZERO, |account| account.balance))
    }

    fn code(&self, params: &Params<'_>) -> Result<Json, RpcError> {
        let view = self.state_view(params, 1)?;
        let account = view.account(params.required(0, "address")?)?.unwrap_or_default();
        json(view.code(account.code_hash)?.unwrap_or_default())
    }

    fn storage_at(&self, params: &Params<'_>) -> Result<Json, RpcError> {
        let view = self.state_view(params, 2)?;
        let address: Address = params.required(0, "address")?;
        let slot: U256 = params.required(1, "slot")?;
        // Zeros in front do not change the number, but more than 32 bytes are no key.
        if params.required::<String>(1, "slot")?.len() > 2 + 64 {
            return Err(RpcError::invalid_params("parameter 2 (slot) has more than 32 bytes"));
        }
        json(view.slot(address, slot.into())?)
    }

    /// A snapshot for a method whose parameter `index` may name a block, which must be the head.
    fn state_view(&self, params: &Params<'_>, index: usize) -> Result<Arc<View>, RpcError> {
        let view = self.view()?;
        let Some(block) = params.optional::<BlockId>(index, "block")? else { return Ok(view) };
        let head = view.head_number()?;
        match resolve(&view, block)? {
            Some(number) if number == head => Ok(view),
            Some(number) if number < head => Err(RpcError::refused(format!(
                "the state after block {number} is not kept, only that after the latest, {head}; ask for \"latest\""
            ))),
            _ => Err(RpcError::refused(format!("block not found; the latest is {head}"))),
        }
    }

    fn call(&self, params: &Params<'_>, ask: &Ask<'_>) -> Result<Json, RpcError> {
        let request: TransactionRequest = params.required(0, "call")?;
        let view = self.state_view(params, 1)?;
        let head = &view.head()?.header;
        // The base fee is zero: what is paid for gas is the tip, up to the maximum.
        let tip = request.max_priority_fee_per_gas.unwrap_or_default();
        let gas_price =
            request.gas_price.unwrap_or_else(|| request.max_fee_per_gas.map_or(tip, |most| most.min(tip)));
        let call = Call { gas_price, ..self.read_call(request)? };
        // An idle chain makes no blocks: a view that looks at expiry must not be shown the time of an old one.
        let timestamp = self.clock_now().max(head.timestamp);
        match simulate(self.genesis(), &*view, head.number, timestamp, call, ask.meter)? {
            ExecutionResult::Success { output, .. } => json(output.into_data()),
            failed => Err(failure(failed)),
        }
    }

    fn read_call(&self, request: TransactionRequest) -> Result<Call, RpcError> {
        let input = request
            .input
            .try_into_unique_input()
            .map_err(|_| RpcError::invalid_params("`input` and `data` differ; give one of them"))?
            .unwrap_or_default();
        if input.len() > MAX_INPUT_BYTES {
            return Err(RpcError::invalid_params(format!(
                "the input has {} bytes, the limit is {MAX_INPUT_BYTES}",
                input.len()
            )));
        }
        if request.chain_id.is_some_and(|id| id != self.genesis().chain_id) {
            return Err(RpcError::invalid_params("the call names another chain id"));
        }
        if request.blob_versioned_hashes.is_some() || request.sidecar.is_some() {
            return Err(RpcError::invalid_params("blobs are not supported"));
        }
        let limit = self.genesis().gas_limit;
        Ok(Call {
            from: request.from.unwrap_or_default(),
            to: request.to.unwrap_or(TxKind::Create),
            value: request.value.unwrap_or_default(),
            input,
            gas_limit: request.gas.unwrap_or(limit).min(limit),
            gas_price: 0,
            access_list: request.access_list.unwrap_or_default(),
            authorizations: request.authorization_list.unwrap_or_default(),
            needs_funds: false,
        })
    }

    /// The smallest gas limit with which the call succeeds, to about one percent, in the next block.
    fn estimate_gas(&self, params: &Params<'_>, ask: &Ask<'_>) -> Result<Json, RpcError> {
        let request: TransactionRequest = params.required(0, "call")?;
        let view = self.state_view(params, 1)?;
        let head = &view.head()?.header;
        let (number, timestamp) = (head.number.saturating_add(1), self.next_timestamp(head));
        // The value must be there, the fee need not: nothing has to be paid for gas.
        let call = Call { needs_funds: true, ..self.read_call(request)? };
        let run = |gas_limit| {
            let call = Call { gas_limit, ..call.clone() };
            simulate(self.genesis(), &*view, number, timestamp, call, ask.meter)
        };
        let first = run(call.gas_limit)?;
        if !first.is_success() {
            return Err(failure(first));
        }
        // The gas used is not enough in general: calls keep back one part in 64, and refunds come at the end.
        let mut enough = call.gas_limit;
        let mut too_little = first.tx_gas_used().saturating_sub(1).max(TRANSFER_GAS - 1);
        let guess = first.gas().total_gas_spent().saturating_mul(64) / 63 + 2_300;
        for gas_limit in [first.tx_gas_used(), guess] {
            if (too_little..enough).contains(&gas_limit) {
                if succeeds(run(gas_limit))? { enough = gas_limit } else { too_little = gas_limit }
            }
        }
        while enough.saturating_sub(too_little) > enough / 100 + 1 {
            let middle = too_little + (enough - too_little) / 2;
            if succeeds(run(middle))? { enough = middle } else { too_little = middle }
        }
        json(U64::from(enough))
    }

    fn fee_history(&self, params: &Params<'_>, ask: &Ask<'_>) -> Result<Json, RpcError> {
        let count: U64 = params.required(0, "block count")?;
        let view = self.view()?;
        let newest = resolve_tag(&view, params.required(1, "newest block")?)?;
        let percentiles: Vec<f64> = params.optional(2, "percentiles")?.unwrap_or_default();
        if percentiles.len() > MAX_PERCENTILES || !percentiles.iter().all(|p| (0.0..=100.0).contains(p)) {
            return Err(RpcError::invalid_params("at most 100 percentiles, each from 0 to 100"));
        }
        if newest > view.head_number()? {
            return Err(RpcError::refused("the newest block does not exist yet"));
        }
        let count = count.to::<u64>().min(MAX_FEE_HISTORY).min(newest.saturating_add(1));
        let oldest_block = newest.saturating_add(1).saturating_sub(count);
        let mut history = FeeHistory { oldest_block, ..FeeHistory::default() };
        let mut rewards = Vec::new();
        for number in oldest_block..oldest_block.saturating_add(count) {
            ask.meter.check()?;
            let Some(record) = ask.block(&view, number)? else { break };
            history.base_fee_per_gas.push(0);
            history.base_fee_per_blob_gas.push(0);
            history.blob_gas_used_ratio.push(0.0);
            history.gas_used_ratio.push(record.header.gas_used as f64 / record.header.gas_limit as f64);
            rewards.push(tips(&record, &percentiles));
        }
        history.base_fee_per_gas.push(0);
        history.base_fee_per_blob_gas.push(0);
        history.reward = (!percentiles.is_empty()).then_some(rewards);
        json(history)
    }
}

/// Whether a call succeeded. Too little gas is a refusal, too, but being stopped says nothing.
fn succeeds(result: Result<ExecutionResult, ChainError>) -> Result<bool, ChainError> {
    match result {
        Err(stopped @ ChainError::Stopped(_)) => Err(stopped),
        result => Ok(result.is_ok_and(|result| result.is_success())),
    }
}

/// The tip paid at each percentile of the gas used in the block; zeros for an empty one.
fn tips(record: &BlockRecord, percentiles: &[f64]) -> Vec<u128> {
    let mut paid: Vec<(u128, u64)> = record
        .transactions
        .iter()
        .zip(&record.receipts)
        .map(|(transaction, receipt)| {
            (transaction.effective_tip_per_gas(0).unwrap_or_default(), receipt.gas_used)
        })
        .collect();
    paid.sort_unstable();
    let at = |percentile: &f64| {
        let threshold = record.header.gas_used as f64 * percentile / 100.0;
        let mut gas = 0_u64;
        for (tip, used) in &paid {
            gas = gas.saturating_add(*used);
            if gas as f64 >= threshold {
                return *tip;
            }
        }
        0
    };
    percentiles.iter().map(at).collect()
}

/// There is no queue and no reorganization, so all the moving tags mean the head.
pub(super) fn resolve_tag(view: &View, tag: BlockNumberOrTag) -> Result<u64, RpcError> {
    match tag {
        BlockNumberOrTag::Number(number) => Ok(number),
        BlockNumberOrTag::Earliest => Ok(0),
        _ => Ok(view.head_number()?),
    }
}

fn resolve(view: &View, block: BlockId) -> Result<Option<u64>, RpcError> {
    match block {
        BlockId::Number(tag) => resolve_tag(view, tag).map(Some),
        BlockId::Hash(hash) => Ok(view.number_of(hash.block_hash)?),
    }
}

fn failure(result: ExecutionResult) -> RpcError {
    match result {
        ExecutionResult::Revert { output, .. } => {
            let reason = revert_text(&output).or_else(|| panic_text(&output));
            let reason = reason.map_or(String::new(), |reason| format!(": {reason}"));
            let data = Some(Value::String(output.to_string()));
            RpcError { data, ..RpcError::new(3, format!("execution reverted{reason}")) }
        }
        ExecutionResult::Halt { reason, .. } => RpcError::refused(format!("execution halted: {reason:?}")),
        ExecutionResult::Success { .. } => RpcError::internal("a success was taken for a failure"),
    }
}

/// The text of a Solidity `Error(string)`, when the revert data are one.
fn revert_text(data: &[u8]) -> Option<String> {
    let body = data.strip_prefix(&[0x08, 0xc3, 0x79, 0xa0])?;
    let length = usize::try_from(U256::try_from_be_slice(body.get(32..64)?)?).ok()?;
    let text = body.get(64..)?.get(..length)?;
    Some(String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).collect())
}

/// What a Solidity `Panic(uint256)` means, when the revert data are one.
fn panic_text(data: &[u8]) -> Option<String> {
    let code = U256::try_from_be_slice(data.strip_prefix(&[0x4e, 0x48, 0x7b, 0x71])?.get(..32)?)?;
    let meaning = match u8::try_from(code).ok()? {
        0x01 => "assert(false)",
        0x11 => "arithmetic overflow or underflow",
        0x12 => "division by zero",
        0x21 => "no such enum value",
        0x22 => "damaged storage byte array",
        0x31 => "pop of an empty array",
        0x32 => "array index out of bounds",
        0x41 => "out of memory",
        0x51 => "call of an uninitialized function",
        _ => return None,
    };
    Some(meaning.into())
}

/// Enough of a method name to recognize it; a client can send megabytes.
fn shown(method: &str) -> String {
    method.chars().filter(|c| !c.is_control()).take(64).collect()
}
