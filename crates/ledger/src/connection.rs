//! How a chain is reached: a small tower service turns alloy's requests into calls of the embedded chain.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use alloy::network::Ethereum;
use alloy::primitives::B256;
use alloy::providers::{DynProvider, Provider, RootProvider};
use alloy::rpc::client::RpcClient;
use alloy::rpc::json_rpc::{RequestPacket, ResponsePacket};
use alloy::rpc::types::TransactionReceipt;
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use histone_chain::Chain;

use crate::{LedgerError, explain};

/// How often a receipt is asked for before giving up, and the pause between two times.
const RECEIPT_TRIES: u32 = 600;
const RECEIPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

/// A way to a chain.
#[derive(Clone)]
pub struct Connection {
    provider: Arc<DynProvider<Ethereum>>,
    what: &'static str,
}

impl Connection {
    /// The embedded chain, in this process.
    pub fn embedded(chain: Chain) -> Self {
        let provider = RootProvider::<Ethereum>::new(RpcClient::new(InProcess(chain), true));
        Self { provider: Arc::new(provider.erased()), what: "embedded chain" }
    }

    pub(crate) fn provider(&self) -> &DynProvider<Ethereum> {
        &self.provider
    }

    pub(crate) async fn chain_id(&self) -> Result<u64, LedgerError> {
        self.provider.get_chain_id().await.map_err(|e| explain::transport("chain id", e))
    }

    /// Maximal and priority fee per gas in wei: zero where the chain's base fee is zero, else twice the base fee
    /// plus a tip of 1 gwei.
    pub(crate) async fn fees(&self) -> Result<(u128, u128), LedgerError> {
        let price = self.provider.get_gas_price().await.map_err(|e| explain::transport("gas price", e))?;
        const TIP: u128 = 1_000_000_000;
        Ok(if price == 0 { (0, 0) } else { (price * 2 + TIP, TIP) })
    }

    pub(crate) async fn receipt(&self, name: &str, hash: B256) -> Result<TransactionReceipt, LedgerError> {
        for _ in 0..RECEIPT_TRIES {
            let receipt = self.provider.get_transaction_receipt(hash).await;
            if let Some(receipt) = receipt.map_err(|e| explain::transport(name, e))? {
                return Ok(receipt);
            }
            tokio::time::sleep(RECEIPT_PAUSE).await;
        }
        Err(LedgerError::Decode {
            name: name.into(),
            detail: format!("no receipt of {hash} after {} s", (RECEIPT_PAUSE * RECEIPT_TRIES).as_secs()),
        })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({})", self.what)
    }
}

#[derive(Clone)]
struct InProcess(Chain);

impl tower::Service<RequestPacket> for InProcess {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        let chain = self.0.clone();
        Box::pin(async move {
            let request = serde_json::to_vec(&request).map_err(TransportErrorKind::custom)?;
            let response = chain.handle(&request);
            serde_json::from_slice(&response)
                .map_err(|e| TransportError::deser_err(e, String::from_utf8_lossy(&response)))
        })
    }
}
