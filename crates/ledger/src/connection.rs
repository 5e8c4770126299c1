//! How a chain is reached: small tower services turn alloy's requests into calls of the embedded chain, or into HTTP.

mod blocks;
mod coins;
mod following;
mod time;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use alloy::network::Ethereum;
use alloy::primitives::B256;
use alloy::providers::{DynProvider, Provider, RootProvider};
use alloy::rpc::client::RpcClient;
use alloy::rpc::json_rpc::{RequestPacket, ResponsePacket};
use alloy::rpc::types::TransactionReceipt;
use alloy::transports::{IntoBoxTransport, TransportError, TransportErrorKind, TransportFut};
use histone_chain::{Chain, Clock};
use histone_contracts::LedgerError;
use histone_contracts::book::Head;

pub use self::blocks::{ToldBlock, ToldTransaction};
pub(crate) use self::coins::Action;
pub use self::following::{FollowError, Follower, Upstream, genesis_of};
use crate::explain;
use crate::http::Http;

/// How long a receipt is waited for, and the longest pause between two questions for it.
const RECEIPT_PATIENCE: Duration = Duration::from_secs(120);
const RECEIPT_PAUSE: Duration = Duration::from_millis(500);

/// A way to a chain.
#[derive(Clone)]
pub struct Connection {
    provider: Arc<DynProvider<Ethereum>>,
    what: Arc<str>,
    /// In this process: one node, which is never behind itself.
    embedded: bool,
    /// The newest block of an embedded chain, which never takes one back.
    newest: Arc<Mutex<Option<Head>>>,
    /// What time it is, where blocks alone do not tell.
    clock: Option<Arc<dyn Clock>>,
}

impl Connection {
    /// The embedded chain, in this process.
    pub fn embedded(chain: Chain) -> Self {
        Self::over(InProcess(chain), true, "embedded chain")
    }

    /// A node of any Ethereum network, by an address such as `http://127.0.0.1:8545`. Nothing is sent yet.
    pub fn http(url: &str) -> Result<Self, LedgerError> {
        let http = Http::new(url).map_err(LedgerError::Address)?;
        let what = http.shown().to_owned();
        Ok(Self::over(http, false, &what))
    }

    /// A service that takes requests somewhere: in this process or not, shown to people as `what`.
    pub(crate) fn over(service: impl IntoBoxTransport, local: bool, what: &str) -> Self {
        let provider = RootProvider::<Ethereum>::new(RpcClient::new(service, local));
        Self {
            provider: Arc::new(provider.erased()),
            what: what.into(),
            embedded: local,
            newest: Arc::default(),
            clock: None,
        }
    }

    pub(crate) fn clock(&self) -> Option<&dyn Clock> {
        self.clock.as_deref()
    }

    /// What is reached, for people: `embedded chain`, or scheme, host and port of a node. The rest of an address may hold
    /// a secret and is left out.
    pub fn what(&self) -> &str {
        &self.what
    }

    pub(crate) fn is_embedded(&self) -> bool {
        self.embedded
    }

    pub(crate) fn provider(&self) -> &DynProvider<Ethereum> {
        &self.provider
    }

    /// The chain's id, part of every signature.
    pub async fn chain_id(&self) -> Result<u64, LedgerError> {
        self.provider.get_chain_id().await.map_err(|e| explain::transport("chain id", e))
    }

    /// Maximal and priority fee per gas in wei: zero where the chain's base fee is zero, else twice the base fee
    /// plus a tip of 1 gwei.
    pub(crate) async fn fees(&self) -> Result<(u128, u128), LedgerError> {
        let price = self.provider.get_gas_price().await.map_err(|e| explain::transport("gas price", e))?;
        Ok(coins::fees_at(price))
    }

    pub(crate) async fn receipt(&self, name: &str, hash: B256) -> Result<TransactionReceipt, LedgerError> {
        let mut waited = Duration::ZERO;
        let mut pause = Duration::from_millis(1);
        loop {
            let receipt = self.provider.get_transaction_receipt(hash).await;
            if let Some(receipt) = receipt.map_err(|e| explain::transport(name, e))? {
                return Ok(receipt);
            }
            if waited >= RECEIPT_PATIENCE {
                return Err(LedgerError::NotMined { name: name.into(), hash, seconds: waited.as_secs() });
            }
            tokio::time::sleep(pause).await;
            waited += pause;
            pause = (pause * 2).min(RECEIPT_PAUSE);
        }
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
