//! Filters that clients poll: `eth_newFilter`, `eth_newBlockFilter` and `eth_getFilterChanges`.

use std::collections::BTreeMap;

use alloy_primitives::U64;
use alloy_rpc_types_eth::Filter;
use serde_json::Value;

use super::eth::{collect_logs, log_range};
use super::shapes::json;
use super::{Params, RpcError};
use crate::Chain;

/// Clients forget their filters; above this the oldest goes.
const MAX_FILTERS: usize = 1000;

/// The filters of all clients. They live in memory only: after a restart a client asks again.
#[derive(Default)]
pub(crate) struct Filters {
    last: u64,
    open: BTreeMap<u64, Polled>,
}

struct Polled {
    /// `None` for a block filter.
    logs: Option<Filter>,
    /// First block that has not been reported.
    next: u64,
}

impl Chain {
    pub(super) fn new_filter(&self, logs: Option<Filter>) -> Result<Value, RpcError> {
        let next = self.view()?.head_number()?.saturating_add(1);
        let mut filters = self.filters();
        filters.last = filters.last.saturating_add(1);
        let id = filters.last;
        filters.open.insert(id, Polled { logs, next });
        if filters.open.len() > MAX_FILTERS {
            filters.open.pop_first();
        }
        json(U64::from(id))
    }

    pub(super) fn uninstall_filter(&self, params: &Params) -> Result<Value, RpcError> {
        let id: U64 = params.required(0, "filter id")?;
        Ok(Value::Bool(self.filters().open.remove(&id.to()).is_some()))
    }

    /// Everything since the last poll. A failed poll reports again next time.
    pub(super) fn filter_changes(&self, params: &Params) -> Result<Value, RpcError> {
        let id: U64 = params.required(0, "filter id")?;
        let view = self.view()?;
        let head = view.head_number()?;
        let mut filters = self.filters();
        let polled = filters.open.get_mut(&id.to()).ok_or_else(|| unknown(id))?;
        let changes = match &polled.logs {
            None => {
                let mut hashes = Vec::new();
                for number in polled.next..=head {
                    hashes.extend(view.header(number)?.map(|header| header.hash_slow()));
                }
                json(hashes)?
            }
            Some(filter) => {
                let (from, to) = match (filter.block_option.as_block_hash(), filter.get_from_block()) {
                    // "Latest" meant the head at the time of the first request: everything new counts.
                    (None, None) => (0, filter.get_to_block().unwrap_or(head)),
                    _ => log_range(&view, filter)?,
                };
                json(collect_logs(&view, filter, from.max(polled.next), to.min(head))?)?
            }
        };
        polled.next = head.saturating_add(1);
        Ok(changes)
    }

    pub(super) fn filter_logs(&self, params: &Params) -> Result<Value, RpcError> {
        let id: U64 = params.required(0, "filter id")?;
        let filter = self.filters().open.get(&id.to()).and_then(|polled| polled.logs.clone());
        let filter = filter.ok_or_else(|| unknown(id))?;
        let view = self.view()?;
        let (from, to) = log_range(&view, &filter)?;
        json(collect_logs(&view, &filter, from, to)?)
    }
}

fn unknown(id: U64) -> RpcError {
    RpcError::refused(format!("filter not found: {id:#x}; make it again"))
}
