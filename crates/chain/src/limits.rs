//! How much of a chain without fees one account may use, and all of them together.
//!
//! Where gas costs nothing, whoever wants to can fill the disk and keep the processor busy. So an account has an allowance
//! of gas that refills with time, and so have all accounts together. An account may spend more than it has left, once: what
//! a transaction uses is known afterwards. It waits then until it is out of debt.
//!
//! Accounts cost nothing either, so only the allowance of all together holds against somebody who makes new ones. A part of
//! it is therefore kept for members, whom the embedder names, and who are first in every block.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use alloy_primitives::Address;

use crate::{Chain, ChainError};

/// Most accounts with an allowance that is not full.
const MAX_ACCOUNTS: usize = 65_536;

/// Gas that may be used at once, and gas that comes back each second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Most gas at once, after a pause.
    pub burst: u64,
    /// Gas that comes back each second of the chain's clock.
    pub per_second: u64,
}

/// Whether an account is a member.
pub type IsMember = dyn Fn(Address) -> bool + Send + Sync;

/// How much free gas is for whom.
#[derive(Clone)]
pub struct FreeGas {
    /// For each account that is not a member.
    pub account: Allowance,
    /// For each member.
    pub member: Allowance,
    /// For all accounts together.
    pub all: Allowance,
    /// How much of a full `all.burst` only members may use, in percent. Without members nothing is kept.
    pub kept_for_members: u8,
    /// Who is a member; `None` when nobody is.
    pub members: Option<Arc<IsMember>>,
}

impl Default for FreeGas {
    /// More than an honest program uses: about 40,000 calls of 50,000 gas at once and 40 each second for an account, five
    /// times as much for all together, a half of it kept for members.
    fn default() -> FreeGas {
        let account = Allowance { burst: 2_000_000_000, per_second: 2_000_000 };
        let all = Allowance { burst: 10_000_000_000, per_second: 10_000_000 };
        FreeGas { account, member: all, all, kept_for_members: 50, members: None }
    }
}

impl fmt::Debug for FreeGas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FreeGas")
            .field("account", &self.account)
            .field("member", &self.member)
            .field("all", &self.all)
            .field("kept_for_members", &self.kept_for_members)
            .field("members", &self.members.is_some())
            .finish()
    }
}

/// What is left of an allowance; below zero for one in debt.
#[derive(Clone, Copy)]
struct Left {
    gas: i128,
    at: u64,
}

impl Left {
    fn full(allowance: Allowance, now: u64) -> Left {
        Left { gas: allowance.burst.into(), at: now }
    }

    /// With what came back since. A clock that goes back gives nothing.
    fn refill(&mut self, allowance: Allowance, now: u64) {
        let back = i128::from(now.saturating_sub(self.at)) * i128::from(allowance.per_second);
        self.gas = self.gas.saturating_add(back).min(allowance.burst.into());
        self.at = now.max(self.at);
    }

    /// Seconds until more than `least` is there.
    fn wait(&self, allowance: Allowance, least: i128) -> Option<u64> {
        if self.gas > least {
            return None;
        }
        let missing = least.saturating_sub(self.gas).saturating_add(1);
        let seconds = missing.div_euclid(i128::from(allowance.per_second.max(1)));
        Some(u64::try_from(seconds).unwrap_or(u64::MAX).saturating_add(1))
    }
}

/// What is left of all allowances.
pub(crate) struct Allowances {
    rules: FreeGas,
    all: Left,
    /// Those who have less than everything.
    accounts: HashMap<Address, Left>,
}

impl Allowances {
    fn new(rules: FreeGas, now: u64) -> Allowances {
        Allowances { all: Left::full(rules.all, now), accounts: HashMap::new(), rules }
    }

    fn allowance(&self, member: bool) -> Allowance {
        if member { self.rules.member } else { self.rules.account }
    }

    fn admit(&mut self, account: Address, member: bool, now: u64) -> Result<(), ChainError> {
        let too_much = |what: String, seconds| Err(ChainError::TooMuch { what, seconds });
        let allowance = self.allowance(member);
        if let Some(left) = self.accounts.get_mut(&account) {
            left.refill(allowance, now);
            if let Some(seconds) = left.wait(allowance, 0) {
                return too_much(format!("the account {account} has used up its free gas"), seconds);
            }
        } else if self.accounts.len() >= MAX_ACCOUNTS && !member {
            return too_much("too many accounts use their free gas at the same time".into(), 1);
        }
        self.all.refill(self.rules.all, now);
        let kept = if member || self.rules.members.is_none() {
            0
        } else {
            i128::from(self.rules.all.burst) * i128::from(self.rules.kept_for_members.min(100)) / 100
        };
        match self.all.wait(self.rules.all, kept) {
            Some(seconds) => too_much("all accounts together have used up their free gas".into(), seconds),
            None => Ok(()),
        }
    }

    fn charge(&mut self, account: Address, member: bool, gas: u64, now: u64) {
        self.all.gas = self.all.gas.saturating_sub(gas.into());
        let allowance = self.allowance(member);
        let left = self.accounts.entry(account).or_insert_with(|| Left::full(allowance, now));
        left.refill(allowance, now);
        left.gas = left.gas.saturating_sub(gas.into());
        if self.accounts.len() >= MAX_ACCOUNTS {
            // Who has everything again is as good as forgotten.
            let account = self.rules.account;
            self.accounts.retain(|_, left| {
                let mut now_left = *left;
                now_left.refill(account, now);
                now_left.gas < account.burst.into()
            });
        }
    }
}

impl Chain {
    /// From now on `eth_sendRawTransaction` takes no more gas than `rules` allow; `None` ends that. [`Chain::produce`] is
    /// for the embedder, who limits itself.
    pub fn limit_free_gas(&self, rules: Option<FreeGas>) {
        let now = self.clock_now();
        *self.free_gas() = rules.map(|rules| Allowances::new(rules, now));
    }

    /// Whether `sender` is a member, when it may send a transaction now.
    pub(crate) fn admit(&self, sender: Address) -> Result<bool, ChainError> {
        // Asked without the lock: the answer may come from this very chain.
        let members = self.free_gas().as_ref().and_then(|allowances| allowances.rules.members.clone());
        let member = members.is_some_and(|members| members(sender));
        let now = self.clock_now();
        if let Some(allowances) = self.free_gas().as_mut() {
            allowances.admit(sender, member, now)?;
        }
        Ok(member)
    }

    /// Takes `gas` off the allowances.
    pub(crate) fn charge(&self, sender: Address, member: bool, gas: u64) {
        let now = self.clock_now();
        if let Some(allowances) = self.free_gas().as_mut() {
            allowances.charge(sender, member, gas, now);
        }
    }
}
