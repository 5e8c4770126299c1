//! Looking for events in a range of blocks.

use alloy_eips::BlockNumberOrTag;
use alloy_primitives::U64;
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};
use serde_json::json as literal;

use super::eth::resolve_tag;
use super::{Ask, Json, MAX_ANSWER_BYTES, MAX_LOGS, Params, RpcError, json, shapes};
use crate::Chain;
use crate::store::View;

/// Most blocks that are looked at for one answer.
const MAX_LOG_RANGE: u64 = 100_000;
/// Most addresses and topics of one filter.
const MAX_TERMS: usize = 1000;
/// Most bytes of the events in one answer, as they stand in it. Those of any one block are fewer.
const MAX_LOG_BYTES: usize = MAX_ANSWER_BYTES - 2 * 1024 * 1024;

/// The events that were found.
pub(super) struct Found {
    pub(super) logs: Vec<Log>,
    /// Where the next look begins: after the end, or where an answer became full.
    pub(super) next: u64,
}

impl Chain {
    pub(super) fn get_logs(&self, params: &Params<'_>, ask: &Ask<'_>) -> Result<Json, RpcError> {
        let filter: Filter = params.required(0, "filter")?;
        check_terms(&filter, MAX_TERMS)?;
        let view = self.view()?;
        let (from, to) = log_range(&view, &filter)?;
        let head = view.head_number()?;
        if to > head {
            return Err(RpcError::invalid_params(format!(
                "the range of blocks ends with {to}, but the latest is {head}"
            )));
        }
        if from > to {
            return Err(RpcError::invalid_params(format!(
                "the range of blocks begins with {from}, after its end {to}"
            )));
        }
        json(all_logs(&view, &filter, from, to, ask)?)
    }
}

/// How many addresses and topics `filter` names.
pub(super) fn terms(filter: &Filter) -> usize {
    filter.topics.iter().fold(filter.address.len(), |sum, topic| sum.saturating_add(topic.len()))
}

/// Refuses a filter that names more than `most` addresses and topics.
pub(super) fn check_terms(filter: &Filter, most: usize) -> Result<(), RpcError> {
    if terms(filter) <= most {
        return Ok(());
    }
    Err(RpcError::limit(format!("the filter names more than {most} addresses and topics; ask in parts")))
}

/// First and last block that `filter` means, both included.
pub(super) fn log_range(view: &View, filter: &Filter) -> Result<(u64, u64), RpcError> {
    match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => {
            let number = view.number_of(hash)?.ok_or_else(|| RpcError::refused("block not found"))?;
            Ok((number, number))
        }
        FilterBlockOption::Range { from_block, to_block } => {
            let from = resolve_tag(view, from_block.unwrap_or(BlockNumberOrTag::Latest))?;
            let to = resolve_tag(view, to_block.unwrap_or(BlockNumberOrTag::Latest))?;
            Ok((from, to))
        }
    }
}

/// The events in blocks `from` to `to`; blocks that do not exist yet have none. When they are more than one answer holds, or
/// take longer than one may, the error tells a range that fits, as other providers do.
pub(super) fn all_logs(
    view: &View,
    filter: &Filter,
    from: u64,
    to: u64,
    ask: &Ask<'_>,
) -> Result<Vec<Log>, RpcError> {
    let last = to.min(view.head_number()?);
    if last.saturating_sub(from) >= MAX_LOG_RANGE {
        let what = format!("query looks at more than {MAX_LOG_RANGE} blocks");
        return Err(fitting(&what, from, from.saturating_add(MAX_LOG_RANGE - 1)));
    }
    let (found, stopped) = some_logs(view, filter, from, last, ask)?;
    let Some(stopped) = stopped else { return Ok(found.logs) };
    let stop = stopped.stop;
    // A range that ends before the block in which it became too much; that block alone never is.
    let error = match found.next.checked_sub(1).filter(|&end| end >= from) {
        Some(end) => fitting(&stopped.message, from, end),
        None => stopped,
    };
    Err(RpcError { stop, ..error })
}

/// What Infura, and clients that look for it, have agreed on.
fn fitting(what: &str, from: u64, to: u64) -> RpcError {
    let message = format!("{what}. Try with this block range [{from:#x}, {to:#x}].");
    let data = literal!({ "from": U64::from(from), "to": U64::from(to), "limit": MAX_LOGS });
    RpcError { data: Some(data), ..RpcError::limit(message) }
}

/// The events of blocks `from` to `last`, which exists, as far as they fit into one answer; and why they are not all, if they
/// are not.
pub(super) fn some_logs(
    view: &View,
    filter: &Filter,
    from: u64,
    last: u64,
    ask: &Ask<'_>,
) -> Result<(Found, Option<RpcError>), RpcError> {
    let mut found = Found { logs: Vec::new(), next: from };
    let mut bytes = 0_usize;
    while found.next <= last {
        if let Err(stopped) = ask.meter.check() {
            return Ok((found, Some(stopped.into())));
        }
        // The bloom filter in the header tells most blocks apart without decoding them.
        let Some(header) = view.header(found.next)? else { break };
        if !filter.matches_bloom(header.logs_bloom) {
            found.next += 1;
            continue;
        }
        let record = match ask.block(view, found.next) {
            Ok(Some(record)) => record,
            Ok(None) => break,
            Err(error) if error.stop.is_some() => return Ok((found, Some(error))),
            Err(error) => return Err(error),
        };
        let logs = shapes::logs(&record, filter);
        let more: usize = logs.iter().map(length).sum();
        let is_first = found.logs.is_empty();
        if !is_first && found.logs.len().saturating_add(logs.len()) > MAX_LOGS {
            let message = format!("query returned more than {MAX_LOGS} results");
            return Ok((found, Some(RpcError::limit(message))));
        }
        if !is_first && bytes.saturating_add(more) > MAX_LOG_BYTES {
            let message = format!("query returned more than {MAX_LOG_BYTES} bytes");
            return Ok((found, Some(RpcError::limit(message))));
        }
        bytes = bytes.saturating_add(more);
        found.logs.extend(logs);
        found.next += 1;
    }
    Ok((found, None))
}

/// About how long an event is in JSON.
fn length(log: &Log) -> usize {
    const WITHOUT_TOPICS_AND_DATA: usize = 430;
    const TOPIC: usize = 69;
    WITHOUT_TOPICS_AND_DATA + TOPIC * log.topics().len() + 2 * log.inner.data.data.len()
}
