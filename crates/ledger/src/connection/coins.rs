//! Signing and sending transactions, and the coins that pay for their gas.

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{Address, Bytes, TxKind, U256};
use alloy::providers::Provider;
use alloy::rpc::types::{TransactionInput, TransactionReceipt, TransactionRequest};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use histone_contracts::LedgerError;
use histone_protocol::keys::SigningKey;

use super::Connection;
use crate::explain;

/// What a transaction does.
pub(crate) struct Action {
    pub(crate) to: TxKind,
    pub(crate) input: Bytes,
    /// Wei that go with it.
    pub(crate) value: U256,
}

impl Connection {
    /// Coins of an account, in wei.
    pub async fn coins(&self, account: Address) -> Result<U256, LedgerError> {
        self.provider.get_balance(account).await.map_err(|e| explain::transport("balance", e))
    }

    /// Most wei that a unit of gas costs a transaction that is sent now; zero where gas is free.
    pub async fn gas_costs(&self) -> Result<u128, LedgerError> {
        Ok(self.fees().await?.0)
    }

    /// Sends coins and waits for the receipt.
    pub async fn send_coins(&self, from: &SigningKey, to: Address, wei: U256) -> Result<(), LedgerError> {
        let chain_id = self.chain_id().await?;
        let action = Action { to: TxKind::Call(to), input: Bytes::new(), value: wei };
        self.submit(from, chain_id, "coins", action).await.map(|_| ())
    }

    /// Estimates, signs and sends one transaction, and waits for its receipt.
    pub(crate) async fn submit(
        &self,
        from: &SigningKey,
        chain_id: u64,
        name: &str,
        action: Action,
    ) -> Result<TransactionReceipt, LedgerError> {
        let transport = |e| explain::transport(name, e);
        let request = TransactionRequest {
            from: Some(from.address()),
            to: Some(action.to),
            value: Some(action.value),
            input: TransactionInput::new(action.input.clone()),
            ..Default::default()
        };
        // The estimate is also what tells a refusal apart before anything is sent.
        let gas = self.provider.estimate_gas(request).await.map_err(transport)?;
        let fees = self.fees().await?;
        let tx = TxEip1559 {
            chain_id,
            nonce: self.nonce(from.address()).await?,
            // Coins alone count no votes, and whoever sends back all that is left has none to spare.
            gas_limit: if action.input.is_empty() { a_quarter_more(gas) } else { with_margin(gas) },
            max_fee_per_gas: fees.0,
            max_priority_fee_per_gas: fees.1,
            to: action.to,
            value: action.value,
            access_list: Default::default(),
            input: action.input,
        };
        let undecodable =
            |e: &dyn std::fmt::Display| LedgerError::Decode { name: name.into(), detail: e.to_string() };
        let signer = PrivateKeySigner::from_slice(&*from.to_bytes()).map_err(|e| undecodable(&e))?;
        let signature = signer.sign_hash_sync(&tx.signature_hash()).map_err(|e| undecodable(&e))?;
        let raw = TxEnvelope::from(tx.into_signed(signature)).encoded_2718();
        let pending = self.provider.send_raw_transaction(&raw).await.map_err(transport)?;
        let receipt = self.receipt(name, *pending.tx_hash()).await?;
        if !receipt.status() {
            return Err(LedgerError::Refused {
                name: name.into(),
                explanation: "the transaction was mined but reverted; its estimate had succeeded".into(),
            });
        }
        Ok(receipt)
    }

    /// How many transactions an account has sent.
    pub(crate) async fn nonce(&self, account: Address) -> Result<u64, LedgerError> {
        let count = self.provider.get_transaction_count(account).await;
        count.map_err(|e| explain::transport("transaction count", e))
    }
}

/// What a transaction may take beyond its estimate because a second has passed since: an act that changes two counts of
/// votes writes over what was counted in the same second, and takes two new places (some 25,000 each) in the next.
const NEXT_SECOND: u64 = 100_000;

/// The limit for a transaction of which a node says that it takes so much gas. State may move between estimate and
/// execution; a quarter more is customary and unused gas is not paid.
fn with_margin(gas: u64) -> u64 {
    a_quarter_more(gas).saturating_add(NEXT_SECOND)
}

fn a_quarter_more(gas: u64) -> u64 {
    gas.saturating_add(gas / 4)
}

/// Maximal and priority fee per gas in wei, where a node says that gas costs so much.
pub(super) fn fees_at(price: u128) -> (u128, u128) {
    const TIP: u128 = 1_000_000_000;
    if price == 0 { (0, 0) } else { (price.saturating_mul(2).saturating_add(TIP), TIP) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_of_a_node_overflows() {
        assert_eq!((a_quarter_more(21_000), a_quarter_more(u64::MAX)), (26_250, u64::MAX));
        assert_eq!((with_margin(21_000), with_margin(u64::MAX)), (126_250, u64::MAX));
        assert_eq!((fees_at(0), fees_at(7).0), ((0, 0), 1_000_000_014));
        assert_eq!(fees_at(u128::MAX), (u128::MAX, 1_000_000_000));
    }
}
