//! Connections: how many there may be, TLS, and the time that a client may take.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;
use tower::Service as _;

use super::Shared;
use super::body::{self, Left, Lent};
use super::idle::Idle;
use crate::wire::{MARK, PROTOCOL};

/// How long a client may take for the head of its next request, idle time included.
const HEAD_PATIENCE: Duration = Duration::from_secs(90);
/// How long TLS may take to begin.
const TLS_PATIENCE: Duration = Duration::from_secs(15);
/// What a client over the limit gets where there is no TLS.
const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nhistone-hub: 1\r\nretry-after: 10\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// The address that a request comes from: its limits are counted by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Client(IpAddr);

impl Client {
    /// Networks give a customer 2^64 addresses of the newer kind: those count as one.
    pub(super) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            address => address,
        })
    }

    /// What a proxy says that the hub's operator trusts: it puts the address that it has seen behind what came.
    fn forwarded(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
        value.rsplit(',').next()?.trim().parse().ok().map(Self::of)
    }
}

/// Open connections by address.
#[derive(Default)]
pub(super) struct Counts(Mutex<HashMap<Client, usize>>);

/// A place among the connections of an address.
pub(super) struct Place {
    counts: Arc<Counts>,
    client: Client,
}

impl Counts {
    pub(super) fn enter(self: &Arc<Self>, client: Client, most: usize) -> Option<Place> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(client).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place { counts: self.clone(), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
    }
}

/// Tells a client that there are too many; without waiting, a connection that is not served must not cost a task.
pub(super) fn turn_away(stream: &TcpStream) {
    let _ = stream.try_write(BUSY);
}

/// Serves one connection to its end.
pub(super) async fn connection(
    shared: Arc<Shared>,
    router: Router,
    stream: TcpStream,
    client: Client,
    places: (OwnedSemaphorePermit, Option<Place>),
) {
    // Answers are small and awaited; errors show at the next write.
    let _ = stream.set_nodelay(true);
    let stream = Idle::new(stream);
    match &shared.certificates {
        None => speak(&shared, router, stream, client).await,
        Some(certificates) => {
            let acceptor = certificates.acceptor(shared.now(), &*shared.options.log);
            // One that does not begin is the client's affair: it says why to its user.
            if let Ok(Ok(stream)) = timeout(TLS_PATIENCE, acceptor.accept(stream)).await {
                speak(&shared, router, stream, client).await;
            }
        }
    }
    drop(places);
}

async fn speak(
    shared: &Arc<Shared>,
    router: Router,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: Client,
) {
    let trusted = shared.options.behind_proxy;
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        let client = if trusted { Client::forwarded(request.headers()) } else { None }.unwrap_or(client);
        request.extensions_mut().insert(client);
        let mut router = router.clone();
        async move { Ok::<_, Infallible>(marked(answer(&mut router, request).await)) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let mut ending = shared.ending.subscribe();
    tokio::select! {
        // A failed connection is the client's affair.
        _ = connection.as_mut() => {}
        () = ended(&mut ending) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

async fn answer(router: &mut Router, request: Request<Incoming>) -> Response {
    let left = Left::default();
    let request = request.map(|body| Lent::new(body, &left));
    let response = match router.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    body::forget(&left).await;
    response
}

/// Says that a hub has answered, and that nobody in between may keep the answer.
fn marked(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(MARK, HeaderValue::from(PROTOCOL));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Ready when the hub ends.
pub(super) async fn ended(ending: &mut watch::Receiver<bool>) {
    // The sender is gone only when the hub is: the same answer.
    let _ = ending.wait_for(|ending| *ending).await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_are_counted_as_networks_give_them() {
        let client = |text: &str| Client::of(text.parse().unwrap());
        assert_eq!(client("2001:db8:1:2::1"), client("2001:db8:1:2:ffff::9"));
        assert_ne!(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
        assert_eq!(client("::ffff:10.0.0.1"), client("10.0.0.1"));
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_static("6.6.6.6"));
        headers.append("x-forwarded-for", HeaderValue::from_static("7.7.7.7, 10.0.0.1"));
        assert_eq!(Client::forwarded(&headers), Some(client("10.0.0.1")), "the one that the proxy has added");
        headers.append("x-forwarded-for", HeaderValue::from_static("x"));
        assert_eq!(Client::forwarded(&headers), None);
    }

    #[test]
    fn few_connections_of_one_address() {
        let counts = Arc::new(Counts::default());
        let client = |last| Client::of(IpAddr::from([10, 0, 0, last]));
        let places: Vec<_> = (0..3).map(|_| counts.enter(client(1), 2)).collect();
        assert_eq!(places.iter().flatten().count(), 2);
        assert!(counts.enter(client(2), 2).is_some());
        drop(places);
        assert!(counts.enter(client(1), 2).is_some());
        assert!(counts.0.lock().unwrap().is_empty());
    }
}
