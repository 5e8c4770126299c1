//! Gas money: on a network where gas is not free, every account needs coins before it acts.
//!
//! A funder, named by the user, sends them. What each party needs is estimated from the study, generously: what is not
//! used stays with the parties' accounts, whose keys are beside the run folder.

use histone_ledger::Connection;
use histone_protocol::keys::SigningKey;
use histone_protocol::{Address, U256};

use super::Observer;
use crate::error::NodeError;
use crate::study::Study;

/// Gas of the calls, rounded up well: measured figures are in `docs/performance.md`.
mod gas_of {
    /// All contracts, with their wiring.
    pub(super) const DEPLOYMENT: u64 = 40_000_000;
    /// Any call of a register: members, programs, enclaves, datasets, models.
    pub(super) const ENTRY: u64 = 350_000;
    /// A call of a round: open, anchor, close, post, finalize.
    pub(super) const ROUND: u64 = 180_000;
    /// Any payment: approve, buy, settle, refund, claim.
    pub(super) const PAYMENT: u64 = 150_000;
}

/// The price of gas may rise while a run goes on.
const MARGIN: u128 = 2;
/// Gas of a plain transfer.
const TRANSFER: u64 = 21_000;

/// Sends coins from the funder.
pub(super) struct Purse {
    connection: Connection,
    funder: SigningKey,
    /// Wei for a unit of gas, margin included.
    price: u128,
}

impl Purse {
    /// `None` where gas is free.
    pub(super) async fn open(
        connection: &Connection,
        funder: Option<SigningKey>,
    ) -> Result<Option<Self>, NodeError> {
        let price = connection.gas_costs().await?;
        if price == 0 {
            return Ok(None);
        }
        let funder = funder.ok_or_else(|| {
            NodeError::Message(format!(
                "gas costs coins at {}; name the key of an account that has some with --funder-key FILE",
                connection.what()
            ))
        })?;
        Ok(Some(Self { connection: connection.clone(), funder, price: price.saturating_mul(MARGIN) }))
    }

    /// Gives each account coins for so much gas, less what it has. Nothing is sent unless the funder has enough for all.
    pub(super) async fn fill(
        &self,
        needs: &[(Address, u64)],
        observer: &mut dyn Observer,
    ) -> Result<(), NodeError> {
        let price = U256::from(self.price);
        let mut missing = Vec::new();
        let mut sum = U256::ZERO;
        for &(account, gas) in needs {
            let lacks = (price * U256::from(gas)).saturating_sub(self.connection.coins(account).await?);
            if !lacks.is_zero() {
                sum += lacks;
                missing.push((account, lacks));
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let fees = price * U256::from(TRANSFER) * U256::from(missing.len());
        let has = self.connection.coins(self.funder.address()).await?;
        if has < sum + fees {
            return Err(NodeError::Message(format!(
                "the funder {} has {} coins, the run may need {}; send it more, or name a richer one with --funder-key",
                self.funder.address(),
                coins(has),
                coins(sum + fees)
            )));
        }
        for (account, lacks) in &missing {
            self.connection.send_coins(&self.funder, *account, *lacks).await?;
        }
        let accounts = missing.len();
        observer.note(&format!("the funder sent {} coins for gas to {accounts} account(s)", coins(sum)));
        Ok(())
    }
}

/// Upper bounds of the gas that the parties of a study need.
pub(super) struct Needs {
    participants: u64,
    models: u64,
    committee: u64,
    queries: u64,
    rounds: u64,
}

impl Needs {
    /// Of a study whose training takes at most so many rounds.
    pub(super) fn of(study: &Study, rounds: u32) -> Self {
        Self {
            participants: study.participants.len() as u64,
            models: 1 + study.other_models.len() as u64,
            committee: study.committee.members.len() as u64,
            // One is refunded, one more is left for the attempts that are refused.
            queries: study.end_user.queries.len() as u64 + 2,
            rounds: u64::from(rounds),
        }
    }

    pub(super) fn operator(&self) -> u64 {
        let members = self.participants + self.models + self.committee + 2;
        // Members, three programs, mints, the end of the founder's power, and a few blocks to pass the time with.
        gas_of::DEPLOYMENT + gas_of::ENTRY * (members + self.models + 20)
    }

    pub(super) fn owner(&self) -> u64 {
        gas_of::ENTRY * 4 + gas_of::ROUND * self.rounds
    }

    pub(super) fn trainer(&self) -> u64 {
        // Closing a round reads a word for every 256 donors, and so does opening it.
        let words = 30_000 * (self.participants / 256 + 1);
        gas_of::ENTRY * (8 + 4 * self.models) + (3 * gas_of::ROUND + words) * self.rounds
    }

    pub(super) fn runner(&self) -> u64 {
        gas_of::ENTRY * 4 + gas_of::PAYMENT * self.queries
    }

    pub(super) fn auditor(&self) -> u64 {
        gas_of::ENTRY * 4
    }

    pub(super) fn committee(&self) -> u64 {
        gas_of::ROUND * (self.rounds + 1)
    }

    pub(super) fn user(&self) -> u64 {
        2 * gas_of::PAYMENT * self.queries
    }

    pub(super) fn payee() -> u64 {
        gas_of::PAYMENT
    }
}

/// Wei as a decimal number of coins, rounded up to a millionth.
fn coins(wei: U256) -> String {
    let micro = wei.div_ceil(U256::from(1_000_000_000_000u64));
    let million = U256::from(1_000_000);
    format!("{}.{:06}", micro / million, (micro % million).saturating_to::<u64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wei_are_written_as_coins() {
        for (wei, shown) in [
            (0u64, "0.000000"),
            (1, "0.000001"),
            (1_500_000_000_000_000_000, "1.500000"),
            (2_000_000_000_001, "0.000003"),
        ] {
            assert_eq!(coins(U256::from(wei)), shown);
        }
    }
}
