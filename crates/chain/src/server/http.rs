//! One HTTP connection: posted JSON-RPC, CORS for pages that are let in, and the way to a WebSocket.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::idle::Idle;
use super::lanes::SMALL_BODY;
use super::{BODY_PATIENCE, HEAD_PATIENCE, Shared, WRITE_PATIENCE, ended, socket};
use crate::{MAX_REQUEST_BYTES, RpcError, rpc};

type Answer = Response<Full<Bytes>>;

/// What a client over the limit gets. Written without waiting: a connection that is not served must not cost a task.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Tells a client that there are too many.
pub(super) fn turn_away(stream: &TcpStream) {
    let _ = stream.try_write(BUSY);
}

/// Serves one connection to its end. `place` is its place among the open connections.
pub(super) async fn connection(
    shared: Arc<Shared>,
    stream: TcpStream,
    client: IpAddr,
    place: OwnedSemaphorePermit,
) {
    // Answers are small and awaited; errors show at the next write.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(Idle::new(stream, WRITE_PATIENCE));
    let (upgraded, mut upgrades) = tokio::sync::mpsc::channel(1);
    let service = service_fn(|request| {
        let (shared, upgraded) = (shared.clone(), upgraded.clone());
        async move { Ok::<_, Infallible>(respond(&shared, client, request, &upgraded).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(64 * 1024)
        .serve_connection(io, service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let mut ending = shared.ending.clone();
    tokio::select! {
        // A failed connection is the client's affair.
        _ = connection.as_mut() => {}
        () = ended(&mut ending) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.as_mut().await;
        }
    }
    // After the answer 101 the same socket goes on here, in the same place.
    if let Ok(on_upgrade) = upgrades.try_recv() {
        let on_upgrade: hyper::upgrade::OnUpgrade = on_upgrade;
        if let Ok(upgraded) = on_upgrade.await {
            socket::serve(&shared, client, TokioIo::new(upgraded)).await;
        }
    }
    drop(place);
}

async fn respond(
    shared: &Arc<Shared>,
    client: IpAddr,
    mut request: Request<Incoming>,
    upgraded: &tokio::sync::mpsc::Sender<hyper::upgrade::OnUpgrade>,
) -> Answer {
    let headers = request.headers();
    if !text(headers, &header::HOST).is_some_and(|host| shared.allowed.host(host)) {
        return plain(
            StatusCode::FORBIDDEN,
            "this host name is not allowed; call the server by its IP address or as localhost, or allow the name",
        );
    }
    let origin = headers.get(header::ORIGIN).cloned();
    if let Some(origin) = &origin
        && !origin.to_str().is_ok_and(|origin| shared.allowed.origin(origin))
    {
        return plain(StatusCode::FORBIDDEN, "pages of this origin are not allowed to use this server");
    }
    let mut answer = if request.uri().path() != "/" {
        plain(StatusCode::NOT_FOUND, "JSON-RPC is at /")
    } else if *request.method() == Method::POST {
        post(shared, client, request).await
    } else if *request.method() == Method::OPTIONS {
        preflight()
    } else if *request.method() == Method::GET && socket::is_upgrade(request.headers()) {
        match socket::accept(request.headers()) {
            Some(accept) => {
                // One upgrade ends the HTTP connection, so there is always room.
                let _ = upgraded.try_send(hyper::upgrade::on(&mut request));
                switch(accept)
            }
            None => plain(StatusCode::BAD_REQUEST, "not a WebSocket of version 13"),
        }
    } else {
        let mut answer =
            plain(StatusCode::METHOD_NOT_ALLOWED, "POST a JSON-RPC request here, or open a WebSocket");
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
        answer
    };
    if let Some(origin) = origin {
        answer.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    answer.headers_mut().insert(header::VARY, HeaderValue::from_static("origin"));
    answer
}

async fn post(shared: &Arc<Shared>, client: IpAddr, request: Request<Incoming>) -> Answer {
    // A page cannot send this type across origins without asking first.
    let is_json = text(request.headers(), &header::CONTENT_TYPE).is_some_and(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    });
    if !is_json {
        return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send the header `content-type: application/json`");
    }
    let (body, _place) = match timeout(BODY_PATIENCE, collect(shared, request.into_body())).await {
        Ok(Ok(body)) => body,
        Ok(Err(refusal)) => return refusal,
        Err(_) => return plain(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
    };
    match shared.answer(body, client, None).await {
        // Notifications have no answer.
        Some(answer) if answer.is_empty() => {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Some(answer) => json(StatusCode::OK, answer),
        None => plain(StatusCode::INTERNAL_SERVER_ERROR, "the request failed inside the server"),
    }
}

/// The body of a request, and its place among the long ones when it is long.
async fn collect(
    shared: &Shared,
    mut body: Incoming,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Answer> {
    let too_long = || {
        let message = format!("the request has more than {MAX_REQUEST_BYTES} bytes");
        let refusal = rpc::refusal(RpcError::invalid_request(message));
        json(StatusCode::PAYLOAD_TOO_LARGE, refusal.into())
    };
    let told = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let most = if body.size_hint().exact().is_some() { told } else { MAX_REQUEST_BYTES };
    let (mut bytes, mut length) = (Vec::new(), 0_usize);
    let mut place = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| plain(StatusCode::BAD_REQUEST, "the body ended early"))?;
        let Ok(data) = frame.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length > MAX_REQUEST_BYTES {
            return Err(too_long());
        }
        if told > MAX_REQUEST_BYTES {
            // Read, so that the client gets to reading the answer, and not kept.
            continue;
        }
        if length > SMALL_BODY && place.is_none() {
            // For all of it at once: two that wait for each other would wait for ever.
            place = shared.lanes.body(most).await;
        }
        if bytes.capacity() < length {
            let wanted = if place.is_some() { most } else { most.min(SMALL_BODY) };
            bytes.reserve_exact(wanted.max(length) - bytes.len());
        }
        bytes.extend_from_slice(&data);
    }
    Ok((bytes.into(), place))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn plain(status: StatusCode, message: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(format!("{message}\n"))));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

fn json(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn preflight() -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    answer
}

fn switch(accept: HeaderValue) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    answer
}
