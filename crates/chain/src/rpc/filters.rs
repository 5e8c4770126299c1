//! Filters that clients poll: `eth_newFilter`, `eth_newBlockFilter` and `eth_getFilterChanges`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use alloy_primitives::U64;
use alloy_rpc_types_eth::Filter;

use super::logs::{all_logs, check_terms, log_range, some_logs};
use super::{Ask, Json, MAX_LOGS, Params, RpcError, json};
use crate::Chain;

/// Most filters of all clients. Clients forget theirs; above this, that which nobody used for longest goes.
const MAX_FILTERS: usize = 1000;
/// Most filters of one client, that is of one address; above this, its own oldest goes.
const MAX_FILTERS_OF_ONE: usize = 100;
/// Most addresses and topics of a filter, which is kept.
const MAX_TERMS: usize = 100;

/// The filters of all clients. They live in memory only: after a restart a client asks again.
#[derive(Default)]
pub(crate) struct Filters {
    last: u64,
    /// Counts up with each use.
    uses: u64,
    open: BTreeMap<u64, Polled>,
}

struct Polled {
    /// `None` for a block filter.
    logs: Option<Filter>,
    /// First block that has not been reported.
    next: u64,
    client: Option<IpAddr>,
    used: u64,
}

impl Filters {
    fn add(&mut self, logs: Option<Filter>, next: u64, client: Option<IpAddr>) -> u64 {
        let of_one = self.open.values().filter(|polled| polled.client == client).count();
        if of_one >= MAX_FILTERS_OF_ONE {
            self.forget(|polled| polled.client == client);
        } else if self.open.len() >= MAX_FILTERS {
            self.forget(|_| true);
        }
        self.last = self.last.saturating_add(1);
        self.uses = self.uses.saturating_add(1);
        self.open.insert(self.last, Polled { logs, next, client, used: self.uses });
        self.last
    }

    /// Drops that of `these` which nobody used for longest.
    fn forget(&mut self, these: impl Fn(&Polled) -> bool) {
        let candidates = self.open.iter().filter(|(_, polled)| these(polled));
        if let Some(id) = candidates.min_by_key(|(_, polled)| polled.used).map(|(id, _)| *id) {
            self.open.remove(&id);
        }
    }

    fn used(&mut self, id: U64) -> Result<&mut Polled, RpcError> {
        self.uses = self.uses.saturating_add(1);
        let polled = self.open.get_mut(&id.to()).ok_or_else(|| unknown(id))?;
        polled.used = self.uses;
        Ok(polled)
    }
}

impl Chain {
    pub(super) fn new_filter(&self, logs: Option<Filter>, ask: &Ask<'_>) -> Result<Json, RpcError> {
        if let Some(filter) = &logs {
            check_terms(filter, MAX_TERMS)?;
        }
        let next = self.view()?.head_number()?.saturating_add(1);
        json(U64::from(self.filters().add(logs, next, ask.client)))
    }

    pub(super) fn uninstall_filter(&self, params: &Params<'_>) -> Result<Json, RpcError> {
        let id: U64 = params.required(0, "filter id")?;
        json(self.filters().open.remove(&id.to()).is_some())
    }

    /// Everything since the last poll, or as much of it as one answer holds; the next poll goes on there. A failed poll
    /// reports again next time.
    pub(super) fn filter_changes(&self, params: &Params<'_>, ask: &Ask<'_>) -> Result<Json, RpcError> {
        let id: U64 = params.required(0, "filter id")?;
        let view = self.view()?;
        let head = view.head_number()?;
        // Looking takes long, and others have filters too.
        let (logs, begin) = {
            let mut filters = self.filters();
            let polled = filters.used(id)?;
            (polled.logs.clone(), polled.next)
        };
        let (changes, next) = match &logs {
            None => {
                let most = u64::try_from(MAX_LOGS).unwrap_or(u64::MAX);
                let next = begin.saturating_add(most).min(head.saturating_add(1));
                let mut hashes = Vec::new();
                for number in begin..next {
                    ask.meter.check()?;
                    hashes.extend(view.header(number)?.map(|header| header.hash_slow()));
                }
                (json(hashes)?, next)
            }
            Some(filter) => {
                let (from, to) = match (filter.block_option.as_block_hash(), filter.get_from_block()) {
                    // "Latest" meant the head at the time of the first request: everything new counts.
                    (None, None) => (0, filter.get_to_block().unwrap_or(head)),
                    _ => log_range(&view, filter)?,
                };
                let (from, to) = (from.max(begin), to.min(head));
                let (found, stopped) = some_logs(&view, filter, from, to, ask)?;
                if let Some(stopped) = stopped {
                    // Without any progress, or where there may be more time elsewhere, this poll did not happen.
                    if found.next == from || (stopped.stop.is_some() && ask.may_have_more_elsewhere()) {
                        return Err(stopped);
                    }
                    (json(found.logs)?, found.next)
                } else {
                    (json(found.logs)?, head.saturating_add(1))
                }
            }
        };
        // Somebody else may have polled or uninstalled it in the meantime.
        if let Some(polled) = self.filters().open.get_mut(&id.to()) {
            polled.next = polled.next.max(next);
        }
        Ok(changes)
    }

    pub(super) fn filter_logs(&self, params: &Params<'_>, ask: &Ask<'_>) -> Result<Json, RpcError> {
        let id: U64 = params.required(0, "filter id")?;
        let filter = self.filters().used(id)?.logs.clone();
        let filter = filter.ok_or_else(|| unknown(id))?;
        let view = self.view()?;
        let (from, to) = log_range(&view, &filter)?;
        json(all_logs(&view, &filter, from, to, ask)?)
    }
}

fn unknown(id: U64) -> RpcError {
    RpcError::refused(format!("filter not found: {id:#x}; make it again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_cannot_push_out_the_filters_of_another() {
        let mut filters = Filters::default();
        let address = |number: u8| Some(IpAddr::from([10, 0, 0, number]));
        let mine = filters.add(None, 1, address(0));
        for _ in 0..3 * MAX_FILTERS {
            filters.add(None, 1, address(1));
        }
        assert!(filters.open.contains_key(&mine));
        assert_eq!(filters.open.len(), 1 + MAX_FILTERS_OF_ONE);
        // Many addresses can, but what is used stays longest.
        for client in 0..=255 {
            for _ in 0..10 {
                filters.add(None, 1, address(client));
                assert!(filters.used(U64::from(mine)).is_ok());
            }
        }
        assert_eq!(filters.open.len(), MAX_FILTERS);
    }
}
