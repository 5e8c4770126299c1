//! The money, added up from events.
//!
//! Everything that the market took in must be where it went: with those who were paid, those who are owed, open queries,
//! deposits of unfinished trainings, or in what rounding leaves.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use serde::Serialize;

use super::Book;
use super::rows::{Amount, Model, ModelState, QueryState};

/// What the contracts say themselves about the market's money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holdings {
    /// What the market says that it owes, all in all.
    pub obligations: Amount,
    /// What the token says that the market has.
    pub balance: Amount,
}

/// The money of one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelMoney {
    /// The model.
    pub model: u64,
    /// Paid in by the trainer at the proposal.
    pub deposit: Amount,
    /// What of it went back to the trainer's claims.
    pub deposit_returned: Amount,
    /// What of it waits for the end of training.
    pub deposit_held: Amount,
    /// Paid in for queries.
    pub queries_bought: Amount,
    /// Given back for unanswered ones.
    pub queries_refunded: Amount,
    /// Waits for an answer or a refund.
    pub queries_held: Amount,
    /// Price of the answered ones.
    pub queries_settled: Amount,
    /// What of it is the trainer's.
    pub trainer_earned: Amount,
    /// What of it is the runners'.
    pub runners_earned: Amount,
    /// What of it is fees.
    pub fees: Amount,
    /// What of the fees was collected.
    pub fees_collected: Amount,
    /// What is due to the donors by now: instant payments and their part of the queries.
    pub donors_earned: Amount,
    /// What of it was paid.
    pub donors_paid: Amount,
    /// What of it can be claimed.
    pub donors_owed: Amount,
    /// What rounding leaves of the donors' part; it stays in the market.
    pub rounding: Amount,
}

/// The money of one account, over all models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountMoney {
    /// The account.
    pub account: Address,
    /// As what it earned: `trainer`, `runner`, `donor`.
    pub earns_as: Vec<&'static str>,
    /// Due by now for work and data, paid or not.
    pub earned: Amount,
    /// Of its own deposits, due back by now, paid or not.
    pub returned: Amount,
    /// Paid out.
    pub paid: Amount,
    /// Can be claimed.
    pub owed: Amount,
}

/// All money of the market.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Revenue {
    /// By model.
    pub models: Vec<ModelMoney>,
    /// By account.
    pub accounts: Vec<AccountMoney>,
    /// Everything that was paid in.
    pub paid_in: Amount,
    /// Everything that was paid out.
    pub paid_out: Amount,
    /// Everything that the market still owes by the events: to accounts, for open queries and trainings, fees, and what
    /// rounding leaves.
    pub owed: Amount,
    /// What the market says that it owes.
    pub obligations: Amount,
    /// What the token says that the market has.
    pub balance: Amount,
    /// Whether all sums fit together: see [`Revenue::holds`].
    pub holds: bool,
}

impl Revenue {
    /// Whether what was paid in is exactly what was paid out and what is owed, whether the market says the same, and
    /// whether it has that much.
    pub fn holds(&self) -> bool {
        self.paid_in == [self.paid_out, self.owed].into_iter().sum()
            && self.owed == self.obligations
            && self.balance >= self.obligations
    }
}

impl Model {
    /// Whether the instant payments are due.
    fn due(&self) -> bool {
        match self.state {
            ModelState::Recruiting | ModelState::Training => false,
            ModelState::Trained | ModelState::Serving | ModelState::Retired => true,
            // Given up: with the whole deposit back at the trainer, nobody is owed anything.
            ModelState::Aborted => self.deposit_returned.is_some_and(|returned| returned < self.deposit),
        }
    }

    /// The instant payments of all who are to get one.
    fn instant_payments(&self) -> Amount {
        let paid = self.donors.iter().filter(|d| !d.excluded).count();
        Amount(self.terms.instant_payment.0.saturating_mul(U256::from(paid)))
    }

    /// Works out what is due to each donor, as the market does.
    pub(super) fn earn(&mut self) {
        let (due, weights, shared) = (self.due(), U256::from(self.total_weight), self.shared.donors.0);
        for donor in &mut self.donors {
            donor.earned = Amount::default();
            if due && !donor.excluded {
                donor.earned.add(self.terms.instant_payment.0);
                // The donors' parts of all queries together have fewer than 130 bits, a weight has 32.
                let part = shared.saturating_mul(U256::from(donor.weight)).checked_div(weights);
                donor.earned.add(part.unwrap_or_default());
            }
            donor.owed = donor.earned.minus(donor.paid);
        }
    }

    /// What became of the money of this model.
    pub fn money(&self) -> ModelMoney {
        let sum = |of: fn(&super::Donor) -> Amount| self.donors.iter().map(of).sum::<Amount>();
        let shared = &self.shared;
        let runners_earned: Amount = shared.runners.values().copied().sum();
        let shares = [shared.donors, shared.trainer, runners_earned].into_iter().sum();
        let donors_earned = sum(|d| d.earned);
        let instant = if self.due() { self.instant_payments() } else { Amount::default() };
        ModelMoney {
            model: self.model,
            deposit: self.deposit,
            deposit_returned: self.deposit_returned.unwrap_or_default(),
            deposit_held: if self.deposit_returned.is_some() { Amount::default() } else { self.deposit },
            queries_bought: shared.bought,
            queries_refunded: shared.refunded,
            queries_held: shared.bought.minus(shared.refunded).minus(shared.settled),
            queries_settled: shared.settled,
            trainer_earned: shared.trainer,
            runners_earned,
            fees: shared.settled.minus(shares),
            fees_collected: shared.fees_collected,
            donors_earned,
            donors_paid: sum(|d| d.paid),
            donors_owed: sum(|d| d.owed),
            rounding: [instant, shared.donors].into_iter().sum::<Amount>().minus(donors_earned),
        }
    }
}

impl Book {
    /// Adds up all money of the market and compares it with what the contracts say. Needs the events of the market and
    /// of the rounds.
    pub fn revenue(&self, holdings: Holdings) -> Revenue {
        let models: Vec<_> = self.models.iter().map(Model::money).collect();
        let mut accounts: BTreeMap<Address, AccountMoney> = BTreeMap::new();
        let mut earn = |account: Address, role: &'static str, earned: Amount, returned: Amount| {
            let row = accounts.entry(account).or_insert_with(|| AccountMoney {
                account,
                earns_as: Vec::new(),
                earned: Amount::default(),
                returned: Amount::default(),
                paid: Amount::default(),
                owed: Amount::default(),
            });
            if !row.earns_as.contains(&role) {
                row.earns_as.push(role);
            }
            row.earned.add(earned.0);
            row.returned.add(returned.0);
        };
        for model in self.models.iter() {
            let none = Amount::default();
            earn(model.trainer, "trainer", model.shared.trainer, model.deposit_returned.unwrap_or_default());
            for (&runner, &earned) in &model.shared.runners {
                earn(runner, "runner", earned, none);
            }
            for donor in &model.donors {
                earn(donor.payee, "donor", donor.earned, none);
            }
        }
        let donors = self.models.iter().flat_map(|m| &m.donors).map(|d| (d.payee, d.paid));
        for (account, paid) in self.paid.iter().map(|(&a, &p)| (a, p)).chain(donors) {
            if let Some(row) = accounts.get_mut(&account) {
                row.paid.add(paid.0);
            }
        }
        for row in accounts.values_mut() {
            row.owed = [row.earned, row.returned].into_iter().sum::<Amount>().minus(row.paid);
        }

        let sum = |of: &[fn(&ModelMoney) -> Amount]| -> Amount {
            models.iter().flat_map(|m| of.iter().map(|of| of(m))).sum()
        };
        let to_accounts: Amount = accounts.values().map(|a| a.owed).sum();
        let fees_owed: Amount = models.iter().map(|m| m.fees.minus(m.fees_collected)).sum();
        let held = sum(&[|m| m.deposit_held, |m| m.queries_held, |m| m.rounding]);
        let claimed: Amount = self.paid.values().copied().sum();
        let spent = sum(&[|m| m.queries_refunded, |m| m.donors_paid, |m| m.fees_collected]);
        let mut revenue = Revenue {
            paid_in: sum(&[|m| m.deposit, |m| m.queries_bought]),
            paid_out: [claimed, spent].into_iter().sum(),
            owed: [to_accounts, fees_owed, held].into_iter().sum(),
            obligations: holdings.obligations,
            balance: holdings.balance,
            accounts: accounts.into_values().collect(),
            models,
            holds: false,
        };
        revenue.holds = revenue.holds();
        revenue
    }

    /// Queries that wait for an answer or a refund.
    pub fn open_queries(&self) -> usize {
        let open = |state| matches!(state, QueryState::Funded | QueryState::Overdue);
        self.queries.iter().filter(|q| open(q.state)).count()
    }
}
