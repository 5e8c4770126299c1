//! Money: what everybody should have by the rules of the market is what everybody has.
//!
//! Deposits, prices, shares and refunds are computed here from the terms of the models and from who did what; only
//! payments between other accounts are taken as the token reports them. The sums are compared with the balances.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::U256;
use histone_contracts::{Contract, Enclaves, LedgerError, Market, TestToken};
use histone_protocol::Address;

use super::findings::{Findings, told};
use super::history::Seen;
use super::run::Run;
use super::{Check, Outcome};

/// Balances of the parties' accounts and of the market at the end, in millionths of a token.
pub(super) type Balances = BTreeMap<Address, U256>;

/// Everything is recomputed from the events; what the contracts say is asked beside it, where a node has kept it.
pub(super) async fn check(run: &Run) -> (Check, Balances) {
    let mut findings = Findings::new("money");
    let balances = balances(run);
    let mut book = Book::default();
    let mut summary = Summary::default();
    book.transfers(run, &balances, &mut findings);
    let market = book.market(run, &mut summary, &mut findings);
    let due = by_rules(run, &book, &market, &balances, &mut findings);
    let told = match asked(run, &market, &balances).await {
        Ok(told) => told,
        Err(error) => return (untold(run, findings, &error), balances),
    };
    by_contracts(run, &market, &told, &balances, due, &mut findings);
    let holds = format!(
        "{} tokens over {} accounts and the market: donors were paid {}, trainers and runners {} (with deposits that went back), refunds {}; the market keeps {}, of it {} left by rounding",
        tokens(told.supply),
        balances.len().saturating_sub(1),
        tokens(summary.donors),
        tokens(summary.others),
        tokens(summary.refunds),
        tokens(told.obligations),
        tokens(market.dust),
    );
    (findings.check(holds), balances)
}

/// The state cannot be read. On a network that is the node's doing, which may have forgotten it, and proves nothing.
fn untold(run: &Run, mut findings: Findings, error: &LedgerError) -> Check {
    // What was found without the state stays found.
    if run.record.network.is_none() || !findings.clean() {
        findings.fail(told(error));
        return findings.check(String::new());
    }
    let detail = format!(
        "the events fit together; this node does not tell what the contracts said at the end of the run ({}): ask one that keeps the state of the past",
        told(error)
    );
    Check { name: "money", outcome: Outcome::NotCheckable, detail }
}

/// What came in and what went out of each account, by the rules.
#[derive(Default)]
struct Book {
    got: BTreeMap<Address, U256>,
    gave: BTreeMap<Address, U256>,
}

/// What was paid out, for the reader.
#[derive(Default)]
struct Summary {
    donors: U256,
    others: U256,
    refunds: U256,
}

/// What the market should hold and owe.
#[derive(Default)]
struct Holdings {
    /// Owed to trainers and runners.
    accounts: BTreeMap<Address, U256>,
    /// Owed to donors, by model and number.
    donors: BTreeMap<(U256, u16), U256>,
    /// Fees that nobody collected yet, by model.
    fees: BTreeMap<U256, U256>,
    /// Deposits of models that are not trained yet, prices of open queries.
    held: U256,
    /// What rounding left.
    dust: U256,
}

/// What the contracts say.
struct Told {
    accounts: BTreeMap<Address, U256>,
    donors: BTreeMap<(U256, u16), U256>,
    fees: BTreeMap<U256, U256>,
    balances: Balances,
    obligations: U256,
    supply: U256,
}

/// What the accounts of the parties and the market have after all transfers.
fn balances(run: &Run) -> Balances {
    let parties = run.record.parties.iter();
    let accounts = parties.flat_map(|party| std::iter::once(&party.account).chain(&party.payees));
    let accounts = accounts.chain([&run.deployment().market]);
    let mut balances: Balances = accounts.map(|account| (*account, U256::ZERO)).collect();
    for s in run.events::<TestToken::Transfer>(Contract::Token) {
        let TestToken::Transfer { from, to, value } = s.event;
        // The contract moves no more than there is.
        if let Some(balance) = balances.get_mut(&from) {
            *balance = balance.saturating_sub(value);
        }
        if let Some(balance) = balances.get_mut(&to) {
            *balance = balance.saturating_add(value);
        }
    }
    balances
}

async fn asked(run: &Run, market: &Holdings, known: &Balances) -> Result<Told, LedgerError> {
    let ledger = &run.ledger;
    let mut accounts = BTreeMap::new();
    for &account in market.accounts.keys() {
        accounts.insert(account, ledger.read(Contract::Market, Market::owedCall { account }).await?);
    }
    let mut donors = BTreeMap::new();
    for &(model, index) in market.donors.keys() {
        let call = Market::owedDonorCall { modelId: model, donorIndex: index };
        donors.insert((model, index), ledger.read(Contract::Market, call).await?);
    }
    let mut fees = BTreeMap::new();
    for &model in market.fees.keys() {
        let call = Market::feesOfCall { modelId: model };
        fees.insert(model, ledger.read(Contract::Market, call).await?);
    }
    let mut balances = Balances::new();
    for &account in known.keys() {
        let balance = ledger.read(Contract::Token, TestToken::balanceOfCall { account }).await?;
        balances.insert(account, balance);
    }
    Ok(Told {
        accounts,
        donors,
        fees,
        balances,
        obligations: ledger.read(Contract::Market, Market::obligationsCall {}).await?,
        supply: ledger.read(Contract::Token, TestToken::totalSupplyCall {}).await?,
    })
}

impl Book {
    fn got(&mut self, account: Address, amount: U256) {
        *self.got.entry(account).or_default() += amount;
    }

    fn gave(&mut self, account: Address, amount: U256) {
        *self.gave.entry(account).or_default() += amount;
    }

    /// Prints, and payments that the market has no part in.
    fn transfers(&mut self, run: &Run, balances: &Balances, findings: &mut Findings) {
        let market = run.deployment().market;
        let mut strangers = BTreeSet::new();
        for s in run.events::<TestToken::Transfer>(Contract::Token) {
            let TestToken::Transfer { from, to, value } = s.event;
            for account in [from, to] {
                let known = account.is_zero() || balances.contains_key(&account);
                if !known && strangers.insert(account) {
                    findings.fail(format!(
                        "block {} moves tokens of {account}, which is nobody's in run.json",
                        s.block
                    ));
                }
            }
            if from != market && to != market {
                if !to.is_zero() {
                    self.got(to, value);
                }
                if !from.is_zero() {
                    self.gave(from, value);
                }
            }
        }
    }

    /// What the market took and paid, and what it should hold now.
    fn market(&mut self, run: &Run, summary: &mut Summary, findings: &mut Findings) -> Holdings {
        let mut holdings = Holdings::default();
        let finished = run.events::<Market::TrainingFinished>(Contract::Market);
        let aborted = run.events::<Market::TrainingAborted>(Contract::Market);
        let bought = run.events::<Market::QueryBought>(Contract::Market);
        let settled = run.events::<Market::QuerySettled>(Contract::Market);
        let refunded = run.events::<Market::QueryRefunded>(Contract::Market);
        let donated = run.events::<Market::Donated>(Contract::Market);
        // Who was excluded is paid nothing, and its weight is nobody's.
        let excluded: BTreeSet<(U256, u16)> = run
            .events::<Market::DonorExcluded>(Contract::Market)
            .into_iter()
            .map(|s| (s.event.modelId, s.event.donorIndex))
            .collect();
        let operators: BTreeMap<Address, Address> = run
            .events::<Enclaves::EnclaveRegistered>(Contract::Enclaves)
            .into_iter()
            .map(|s| (s.event.signer, s.event.operator))
            .collect();

        let fees: BTreeMap<U256, u16> = run
            .events::<Market::ModelFee>(Contract::Market)
            .into_iter()
            .map(|s| (s.event.modelId, s.event.bps))
            .collect();

        let mut paid: BTreeMap<(U256, u16), U256> = BTreeMap::new();
        for s in run.events::<Market::DonorPaid>(Contract::Market) {
            let e = &s.event;
            *paid.entry((e.modelId, e.donorIndex)).or_default() += e.amount;
            self.got(e.payee, e.amount);
            summary.donors += e.amount;
        }

        for s in run.events::<Market::ModelProposed>(Contract::Market) {
            let (e, terms) = (&s.event, &s.event.terms);
            let (id, trainer) = (e.modelId, e.trainer);
            let instant = U256::from(terms.instantPayment);
            let deposit = instant * U256::from(terms.maxDonors);
            self.gave(trainer, deposit);
            let donors: Vec<&Seen<Market::Donated>> = donated
                .iter()
                .filter(|s| s.event.modelId == id && !excluded.contains(&(id, s.event.donorIndex)))
                .collect();
            let split = Split::of(terms, fees.get(&id).copied().unwrap_or_default());
            let mut count = 0;
            for s in settled.iter().filter(|s| s.event.modelId == id) {
                count += 1;
                let e = &s.event;
                let said = (e.donorsShare, e.trainerShare, e.runnerShare);
                findings.expect(said == (split.donors, split.trainer, split.runner), || {
                    format!("query {} was shared out otherwise than its model's terms say", e.queryId)
                });
            }
            let for_donors = instant * U256::from(donors.len());
            let rest = deposit.saturating_sub(for_donors);
            let given_up = aborted.iter().find(|s| s.event.modelId == id).map(|s| s.event.depositReturned);
            let trained = finished.iter().find(|s| s.event.modelId == id).map(|s| s.event.depositReturned);
            // Who gives a model up when the sum of a round was open pays its donors all the same.
            let paying = trained.is_some() || given_up.is_some_and(|returned| returned != deposit);
            if paying {
                *holdings.accounts.entry(trainer).or_default() += rest;
                let earned = split.donors * U256::from(count);
                let mut given = U256::ZERO;
                let weights = donors.iter().fold(U256::ZERO, |sum, s| sum + U256::from(s.event.weight));
                for s in &donors {
                    // The market takes no donation without a weight, so that the sum is not zero.
                    let part = (earned * U256::from(s.event.weight)).checked_div(weights).unwrap_or_default();
                    given += part;
                    let (due, key) = (instant + part, (id, s.event.donorIndex));
                    let paid = paid.remove(&key).unwrap_or_default();
                    findings.expect(paid <= due, || {
                        let (paid, due) = (tokens(paid), tokens(due));
                        format!(
                            "donor {} of model {id} was paid {paid}, the rules give {due}",
                            s.event.donorIndex
                        )
                    });
                    holdings.donors.insert(key, due.saturating_sub(paid));
                }
                holdings.dust += earned.saturating_sub(given);
            } else if given_up.is_some() {
                *holdings.accounts.entry(trainer).or_default() += deposit;
            } else {
                holdings.held += deposit;
            }
            let due = if paying { rest } else { deposit };
            findings.expect(trained.or(given_up).is_none_or(|returned| returned == due), || {
                let returned = trained.or(given_up).unwrap_or_default();
                format!(
                    "the deposit of model {id} was returned with {}, the rules give {}",
                    tokens(returned),
                    tokens(due)
                )
            });
            if !split.fee.is_zero() {
                holdings.fees.insert(id, split.fee * U256::from(count));
            }
            for s in bought.iter().filter(|s| s.event.modelId == id) {
                self.gave(s.event.user, split.price);
                let query = s.event.queryId;
                if settled.iter().any(|s| s.event.queryId == query) {
                    *holdings.accounts.entry(trainer).or_default() += split.trainer;
                    let runner = operators.get(&s.event.enclave).copied().unwrap_or_default();
                    *holdings.accounts.entry(runner).or_default() += split.runner;
                } else if refunded.iter().any(|s| s.event.queryId == query) {
                    self.got(s.event.user, split.price);
                    summary.refunds += split.price;
                } else {
                    holdings.held += split.price;
                }
            }
        }
        for s in run.events::<Market::FeesCollected>(Contract::Market) {
            let Market::FeesCollected { modelId, treasury, amount } = s.event;
            self.got(treasury, amount);
            summary.others += amount;
            let due = holdings.fees.entry(modelId).or_default();
            let covered = amount <= *due;
            *due = due.saturating_sub(amount);
            findings.expect(covered, || {
                let amount = tokens(amount);
                format!(
                    "block {} pays {amount} as fees of model {modelId}, more than the rules give",
                    s.block
                )
            });
        }
        for (model, index) in paid.keys() {
            findings.fail(format!("donor {index} of model {model} was paid although nothing was owed"));
        }
        for s in run.events::<Market::Paid>(Contract::Market) {
            let (account, amount) = (s.event.account, s.event.amount);
            self.got(account, amount);
            summary.others += amount;
            let due = holdings.accounts.entry(account).or_default();
            let (before, covered) = (*due, amount <= *due);
            *due = due.saturating_sub(amount);
            findings.expect(covered, || {
                let (amount, before) = (tokens(amount), tokens(before));
                format!("block {} pays `{}` {amount}, the rules leave {before}", s.block, run.name(account))
            });
        }
        holdings
    }
}

/// How the price of one query is divided, rounded as the market does.
struct Split {
    price: U256,
    fee: U256,
    donors: U256,
    trainer: U256,
    runner: U256,
}

impl Split {
    fn of(terms: &Market::Terms, fee_bps: u16) -> Self {
        let price = U256::from(terms.queryPrice);
        let part = |of: U256, bps: u16| of * U256::from(bps) / U256::from(10_000);
        let fee = part(price, fee_bps);
        let rest = price.saturating_sub(fee);
        let (trainer, runner) = (part(rest, terms.trainerBps), part(rest, terms.runnerBps));
        // What rounding leaves of a price belongs to the donors.
        Self { price, fee, donors: rest.saturating_sub(trainer + runner), trainer, runner }
    }
}

/// Whether each account has what it got and did not give. Gives what the market should owe.
fn by_rules(run: &Run, book: &Book, market: &Holdings, balances: &Balances, findings: &mut Findings) -> U256 {
    let in_market = run.deployment().market;
    for (&account, &balance) in balances.iter().filter(|(account, _)| **account != in_market) {
        let got = book.got.get(&account).copied().unwrap_or_default();
        let gave = book.gave.get(&account).copied().unwrap_or_default();
        findings.expect(got == gave + balance, || {
            format!(
                "`{}` ({account}) has {}, but got {} and gave {} by the rules",
                run.name(account),
                tokens(balance),
                tokens(got),
                tokens(gave)
            )
        });
    }
    let sum = |amounts: &mut dyn Iterator<Item = &U256>| amounts.fold(U256::ZERO, |sum, a| sum + *a);
    let due = sum(&mut market.accounts.values())
        + sum(&mut market.donors.values())
        + sum(&mut market.fees.values())
        + market.held
        + market.dust;
    let balance = balances.get(&in_market).copied().unwrap_or_default();
    findings.expect(balance == due, || {
        format!("the market has {} and owes {} by the rules", tokens(balance), tokens(due))
    });
    due
}

/// Whether the contracts say the same.
fn by_contracts(
    run: &Run,
    market: &Holdings,
    told: &Told,
    balances: &Balances,
    due: U256,
    findings: &mut Findings,
) {
    for (&account, &balance) in balances {
        let says = told.balances.get(&account).copied().unwrap_or_default();
        findings.expect(says == balance, || {
            format!(
                "the token says that `{}` ({account}) has {}, its transfers leave {}",
                run.name(account),
                tokens(says),
                tokens(balance)
            )
        });
    }
    for (account, due) in &market.accounts {
        let owed = told.accounts.get(account).copied().unwrap_or_default();
        findings.expect(*due == owed, || {
            format!(
                "the market owes `{}` {}, the rules give {}",
                run.name(*account),
                tokens(owed),
                tokens(*due)
            )
        });
    }
    for ((model, index), due) in &market.donors {
        let owed = told.donors.get(&(*model, *index)).copied().unwrap_or_default();
        findings.expect(*due == owed, || {
            format!(
                "the market owes donor {index} of model {model} {}, the rules give {}",
                tokens(owed),
                tokens(*due)
            )
        });
    }
    for (model, due) in &market.fees {
        let left = told.fees.get(model).copied().unwrap_or_default();
        findings.expect(*due == left, || {
            format!(
                "the market has {} of fees of model {model}, the rules give {}",
                tokens(left),
                tokens(*due)
            )
        });
    }
    findings.expect(told.obligations == due, || {
        format!("the market owes {}, the rules give {}", tokens(told.obligations), tokens(due))
    });
    let total = balances.values().fold(U256::ZERO, |sum, a| sum + *a);
    findings.expect(total == told.supply, || {
        format!("the accounts and the market have {}, {} were printed", tokens(total), tokens(told.supply))
    });
}

/// Millionths as a decimal number of tokens.
fn tokens(micro: U256) -> String {
    let million = U256::from(1_000_000);
    let (whole, rest) = (micro / million, micro % million);
    let fraction = format!("{:06}", rest.saturating_to::<u64>());
    match fraction.trim_end_matches('0') {
        "" => whole.to_string(),
        fraction => format!("{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_in_tokens() {
        for (micro, shown) in [(0u64, "0"), (1, "0.000001"), (2_500_000, "2.5"), (50_000_000, "50")] {
            assert_eq!(tokens(U256::from(micro)), shown);
        }
    }

    #[test]
    fn a_price_is_shared_out_to_the_unit() {
        let terms = |price: u64| Market::Terms {
            instantPayment: Default::default(),
            queryPrice: price.try_into().unwrap_or_default(),
            donorsBps: 7_000,
            trainerBps: 2_000,
            runnerBps: 1_000,
            minDonors: 1,
            maxDonors: 1,
            queryTimeout: 1,
            minSurvivors: 2,
            colluders: 1,
        };
        // Price, fee in 1/10,000; then fee, donors, trainer, runner: as the market's own tests have them.
        for (price, bps, parts) in [
            (1_000, 0, [0, 700, 200, 100]),
            (1_000, 500, [50, 665, 190, 95]),
            (7, 1_000, [0, 6, 1, 0]),
            (2_333_331, 0, [0, 1_633_332, 466_666, 233_333]),
        ] {
            let split = Split::of(&terms(price), bps);
            assert_eq!(
                [split.fee, split.donors, split.trainer, split.runner],
                parts.map(|p: u64| U256::from(p))
            );
            assert_eq!(split.fee + split.donors + split.trainer + split.runner, split.price);
        }
    }
}
