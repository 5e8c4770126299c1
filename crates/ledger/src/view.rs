//! What the contracts say themselves, and what the chain knows about accounts: for people and programs, beside the
//! [book](Ledger::book).

use alloy::primitives::{Address, U256};
use alloy::providers::Provider;
use alloy::rpc::client::BatchRequest;
use alloy::rpc::types::{Filter, TransactionInput, TransactionRequest};
use alloy::sol_types::{SolCall, SolEvent};
use histone_contracts::book::{Amount, Holdings};
use histone_contracts::{Contract, Deployment, Directory, LedgerError, Market, TestToken};

use crate::{Connection, Ledger, explain};

/// Directories on a chain: every contract that ever named contracts as ours does. Anybody can put one there, so that more
/// than one is no error, and one is no proof that it is the right one.
pub async fn directories(connection: &Connection) -> Result<Vec<Address>, LedgerError> {
    let nowhere = Ledger::at(connection.clone(), Deployment::empty(0));
    let filter = Filter::new().event_signature(Directory::Named::SIGNATURE_HASH);
    let mut found = Vec::new();
    for log in nowhere.all_logs("directories", filter).await? {
        if !found.contains(&log.address()) {
            found.push(log.address());
        }
    }
    Ok(found)
}

/// The money.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Money {
    /// Address of the token.
    pub token: Address,
    /// Its sign, such as `TEST`; empty when it has none.
    pub symbol: String,
    /// Digits behind the point; 0 when the token does not say.
    pub decimals: u8,
}

impl Money {
    /// An amount in whole tokens: `12.5`.
    pub fn whole(&self, amount: Amount) -> String {
        let digits = amount.to_string();
        let decimals = usize::from(self.decimals);
        let digits = format!("{digits:0>width$}", width = decimals + 1);
        let (whole, part) = digits.split_at(digits.len() - decimals);
        match part.trim_end_matches('0') {
            "" => whole.to_owned(),
            part => format!("{whole}.{part}"),
        }
    }
}

/// What a chain knows about an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountFacts {
    /// Transactions sent.
    pub nonce: u64,
    /// Whether there is code.
    pub contract: bool,
    /// Units of the token.
    pub balance: Amount,
    /// What it can claim, not counting donations.
    pub claimable: Amount,
}

impl Ledger {
    /// Sign and digits of the token. Both are optional for a token: one that refuses to answer has none.
    pub async fn money(&self) -> Result<Money, LedgerError> {
        fn optional<T: Default>(answer: Result<T, LedgerError>) -> Result<T, LedgerError> {
            match answer {
                Err(LedgerError::Refused { .. } | LedgerError::Decode { .. }) => Ok(T::default()),
                other => other,
            }
        }
        Ok(Money {
            token: self.deployment.token,
            symbol: optional(self.read(Contract::Token, TestToken::symbolCall {}).await)?,
            // No real token has more digits than fit into a word; a lie must not make the table wide.
            decimals: optional(self.read(Contract::Token, TestToken::decimalsCall {}).await)?.min(77),
        })
    }

    /// What the contracts say about the market's money.
    pub async fn holdings(&self) -> Result<Holdings, LedgerError> {
        let market = self.deployment.market;
        Ok(Holdings {
            obligations: Amount(self.read(Contract::Market, Market::obligationsCall {}).await?),
            balance: Amount(self.read(Contract::Token, TestToken::balanceOfCall { account: market }).await?),
        })
    }

    /// What the chain knows about accounts, in their order.
    pub async fn accounts(&self, accounts: &[Address]) -> Result<Vec<AccountFacts>, LedgerError> {
        let balances = accounts.iter().map(|&account| TestToken::balanceOfCall { account }).collect();
        let balances = self.read_many(Contract::Token, balances).await?;
        let owed = accounts.iter().map(|&account| Market::owedCall { account }).collect();
        let owed = self.read_many(Contract::Market, owed).await?;
        let latest = |account: &Address| (*account, "latest");
        let nonces: Vec<U256> =
            self.ask_many("eth_getTransactionCount", accounts.iter().map(latest).collect()).await?;
        let codes: Vec<alloy::primitives::Bytes> =
            self.ask_many("eth_getCode", accounts.iter().map(latest).collect()).await?;
        let facts = nonces.iter().zip(codes).zip(balances.into_iter().zip(owed));
        Ok(facts
            .map(|((nonce, code), (balance, owed))| AccountFacts {
                nonce: nonce.saturating_to(),
                contract: !code.is_empty(),
                balance: Amount(balance),
                claimable: Amount(owed),
            })
            .collect())
    }

    /// Asks a view of a contract several times; the answers in the order of the calls.
    pub async fn read_many<C: SolCall>(
        &self,
        contract: Contract,
        calls: Vec<C>,
    ) -> Result<Vec<C::Return>, LedgerError> {
        let to = self.deployment.address(contract);
        let request = |call: C| {
            let input = TransactionInput::new(call.abi_encode().into());
            // As `read` does: where blocks come with transactions only, a node then answers with the time of now, and not
            // with that of its last block.
            (TransactionRequest::default().to(to).input(input), "pending")
        };
        let answers: Vec<alloy::primitives::Bytes> =
            self.ask_many("eth_call", calls.into_iter().map(request).collect()).await?;
        let decode = |bytes: &alloy::primitives::Bytes| {
            C::abi_decode_returns(bytes)
                .map_err(|e| LedgerError::Decode { name: crate::name::<C>(contract), detail: e.to_string() })
        };
        answers.iter().map(decode).collect()
    }

    /// One method with many parameters, in batches that common nodes accept.
    async fn ask_many<P: alloy::rpc::json_rpc::RpcSend, R: alloy::rpc::json_rpc::RpcRecv>(
        &self,
        method: &'static str,
        parameters: Vec<P>,
    ) -> Result<Vec<R>, LedgerError> {
        const BATCH: usize = 100;
        let failed = |e| explain::transport(method, e);
        let mut answers = Vec::with_capacity(parameters.len());
        for some in parameters.chunks(BATCH) {
            let mut batch = BatchRequest::new(self.connection.provider().client());
            let waiting: Result<Vec<_>, _> =
                some.iter().map(|parameters| batch.add_call(method, parameters)).collect();
            let waiting = waiting.map_err(failed)?;
            batch.send().await.map_err(failed)?;
            for answer in waiting {
                answers.push(answer.await.map_err(failed)?);
            }
        }
        Ok(answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_tokens() {
        let money = |decimals| Money { token: Address::ZERO, symbol: String::new(), decimals };
        for (units, decimals, shown) in [
            (0u64, 6, "0"),
            (1, 6, "0.000001"),
            (2_500_000, 6, "2.5"),
            (7, 0, "7"),
            (10, 1, "1"),
            (123, 18, "0.000000000000000123"),
        ] {
            assert_eq!(money(decimals).whole(Amount(U256::from(units))), shown);
        }
    }
}
