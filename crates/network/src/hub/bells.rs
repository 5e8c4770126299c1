//! Who waits for letters.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use histone_protocol::Address;
use tokio::sync::Notify;

/// How many may wait for one mailbox at the same time.
const EACH: usize = 4;

/// Those who wait, by mailbox.
#[derive(Default)]
pub(super) struct Bells(Mutex<HashMap<Address, (Arc<Notify>, usize)>>);

/// Rings when a letter comes; until it is dropped.
pub(super) struct Bell {
    bells: Arc<Bells>,
    mailbox: Address,
    pub(super) notify: Arc<Notify>,
}

impl Bells {
    /// `None` when enough wait for this mailbox already.
    pub(super) fn hang(self: &Arc<Self>, mailbox: Address) -> Option<Bell> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (notify, count) = all.entry(mailbox).or_default();
        if *count >= EACH {
            return None;
        }
        *count += 1;
        Some(Bell { bells: self.clone(), mailbox, notify: notify.clone() })
    }

    /// A letter has come.
    pub(super) fn ring(&self, mailbox: Address) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((notify, _)) = all.get(&mailbox) {
            notify.notify_waiters();
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let mut all = self.bells.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = all.get_mut(&self.mailbox) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.mailbox);
            }
        }
    }
}
