//! JSON-RPC over HTTP/1.1 to any Ethereum node, on connections that are kept open.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use alloy::rpc::json_rpc::{RequestPacket, ResponsePacket};
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::http::uri::Authority;
use hyper::{Method, Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// How long a node may take for one answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most bytes of one answer.
const MAX_ANSWER: usize = 80 * 1024 * 1024;

/// A node by its address. Clones share the open connections.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: Arc<Uri>,
}

impl Http {
    /// `Err` with what is wrong with the address, of which it shows the host at most: the rest may hold a secret.
    pub(crate) fn new(url: &str) -> Result<Self, String> {
        let uri: Uri =
            url.parse().map_err(|e| format!("what is given for the node is not an address: {e}"))?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("the address of a node takes no user name and password; leave them to a proxy on this machine".into());
        }
        match uri.scheme_str() {
            Some("http") if uri.authority().is_some_and(names_a_port_or_none) => {}
            Some("https") => {
                return Err(format!(
                    "https://{} needs TLS, which this program leaves to a proxy on this machine; give the proxy's http address",
                    uri.host().unwrap_or_default()
                ));
            }
            _ => return Err("the address of the node is not of the form http://HOST:PORT".into()),
        }
        let mut connector = HttpConnector::new();
        // A request is one small packet and its answer is waited for.
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(PATIENCE));
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, uri: Arc::new(uri) })
    }

    /// Scheme, host and port.
    pub(crate) fn shown(&self) -> String {
        let host = self.uri.host().unwrap_or_default();
        match self.uri.port_u16() {
            Some(port) => format!("http://{host}:{port}"),
            None => format!("http://{host}"),
        }
    }

    async fn post(self, packet: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let body = serde_json::to_vec(&packet).map_err(TransportErrorKind::custom)?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(&*self.uri)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body))
            .map_err(TransportErrorKind::custom)?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| self.unreachable(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            let body = body.map_err(|e| TransportErrorKind::custom_str(&e.to_string()))?.to_bytes();
            if !status.is_success() {
                let said = String::from_utf8_lossy(&body).trim().chars().take(200).collect();
                return Err(TransportErrorKind::http_error(status.as_u16(), said));
            }
            serde_json::from_slice(&body).map_err(|_| {
                TransportErrorKind::custom_str(&format!(
                    "what {} answers is no JSON-RPC; is this the address of an Ethereum node?",
                    self.shown()
                ))
            })
        };
        tokio::time::timeout(PATIENCE, exchange).await.map_err(|_| {
            TransportErrorKind::custom_str(&format!(
                "no answer from {} in {} s",
                self.shown(),
                PATIENCE.as_secs()
            ))
        })?
    }

    /// The innermost cause says what happened; the outer ones only that it happened while connecting.
    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> TransportError {
        let mut cause = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        TransportErrorKind::custom_str(&format!("cannot reach {}: {cause}", self.shown()))
    }
}

/// Without a user's name an authority is a host, or a host and a port; the parser takes any word for a port.
fn names_a_port_or_none(authority: &Authority) -> bool {
    authority.as_str() == authority.host() || authority.port_u16().is_some()
}

impl tower::Service<RequestPacket> for Http {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        Box::pin(self.clone().post(packet))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn addresses() {
        for good in ["http://127.0.0.1:8545", "http://node.example", "http://[::1]:8545/rpc"] {
            Http::new(good).unwrap();
        }
        for (bad, why) in [
            ("https://node.example", "needs TLS"),
            ("ws://127.0.0.1:8545", "http://HOST:PORT"),
            ("127.0.0.1:8545", "http://HOST:PORT"),
            ("node.example", "http://HOST:PORT"),
            ("http://node.example:rpc", "http://HOST:PORT"),
            ("http://me:secret@node.example", "takes no user name"),
            ("http://a b", "not an address"),
            ("", "not an address"),
        ] {
            let said = Http::new(bad).err().unwrap();
            assert!(said.contains(why), "{bad}: {said}");
        }
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        for bad in [
            "https://node.example/v3/token?key=token",
            "https://me:token@node.example",
            "wss://node.example/v3/token",
            "httpx://node.example/token",
            "node.example:8545/token",
            "token",
            "/v3/token",
            "http://node.example/v3/token key",
            "http://node.example:port/token",
        ] {
            let said = Http::new(bad).err().unwrap();
            assert!(!said.contains("token"), "{bad}: {said}");
        }
        let http = Http::new("http://node.example:8545/v3/token?key=token").unwrap();
        assert_eq!(http.shown(), "http://node.example:8545");
    }
}
