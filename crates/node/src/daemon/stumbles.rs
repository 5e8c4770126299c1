//! Duties that fail, and when each is tried again.

use std::collections::{BTreeMap, BTreeSet};

use super::{FIRST_PAUSE, LONGEST_PAUSE, Stumble};
use crate::error::NodeError;

/// The duties that fail at the moment.
#[derive(Debug, Default)]
pub(super) struct Stumbles {
    by_name: BTreeMap<String, Stumble>,
    /// The role that owes each.
    roles: BTreeMap<String, &'static str>,
}

impl Stumbles {
    pub(super) fn by_name(&self) -> &BTreeMap<String, Stumble> {
        &self.by_name
    }

    /// Whether a duty is left alone for now.
    pub(super) fn waits(&self, name: &str, now: u64) -> bool {
        self.by_name.get(name).is_some_and(|stumble| stumble.again > now)
    }

    /// A duty of a role has failed. Gives when it is tried again.
    pub(super) fn failed(&mut self, role: &'static str, name: &str, error: &NodeError, now: u64) -> u64 {
        let why = histone_protocol::with_causes(error);
        let before = self.by_name.get(name);
        let (times, since) = before.map_or((0, now), |before| (before.times, before.since));
        let again = now + FIRST_PAUSE.saturating_mul(1 << times.min(16)).min(LONGEST_PAUSE);
        self.by_name.insert(name.into(), Stumble { why, times: times.saturating_add(1), again, since });
        self.roles.insert(name.into(), role);
        again
    }

    /// A duty is done. Gives how it had failed before.
    pub(super) fn done(&mut self, name: &str) -> Option<Stumble> {
        self.roles.remove(name);
        self.by_name.remove(name)
    }

    /// Of a role's duties that fail, those that are not owed any more are forgotten: they were done after all, or by somebody else.
    pub(super) fn keep_owed(&mut self, role: &'static str, owed: &BTreeSet<String>) {
        let is_owed = |name: &String, of: &&str| *of != role || owed.contains(name);
        self.roles.retain(|name, of| is_owed(name, of));
        self.by_name.retain(|name, _| self.roles.contains_key(name));
    }
}
