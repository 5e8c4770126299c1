//! One WebSocket: requests one after another, and notifications between them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::{Shared, ended};
use crate::MAX_REQUEST_BYTES;
use crate::rpc::Subscriptions;

/// How often a silent client is asked whether it is there.
const PING: Duration = Duration::from_secs(30);
/// A client that has been silent for longer is gone.
const SILENCE: Duration = Duration::from_secs(95);

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Whether a request asks for a WebSocket.
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// The answer to the client's key, or `None` when the request is not a WebSocket of version 13.
pub(super) fn accept(headers: &HeaderMap) -> Option<HeaderValue> {
    let connection = headers.get(header::CONNECTION)?.to_str().ok()?;
    let upgrade = connection.split(',').any(|item| item.trim().eq_ignore_ascii_case("upgrade"));
    let version = headers.get(header::SEC_WEBSOCKET_VERSION)?;
    if !upgrade || version != "13" {
        return None;
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok()
}

/// Serves a WebSocket to its end.
pub(super) async fn serve(shared: &Arc<Shared>, io: TokioIo<Upgraded>) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_REQUEST_BYTES))
        .max_frame_size(Some(MAX_REQUEST_BYTES))
        .read_buffer_size(8 * 1024);
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let reason = talk(shared, &mut socket).await;
    // Politeness towards a client that may be gone.
    let _ = socket.close(reason).await;
}

/// Returns when the connection is to be closed, with what the client is told.
async fn talk(shared: &Arc<Shared>, socket: &mut Socket) -> Option<CloseFrame> {
    let subscriptions = Arc::new(Mutex::new(Subscriptions::default()));
    let mut heads = shared.heads.clone();
    let mut ending = shared.ending.clone();
    let mut pings = interval(PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    let close = |code, reason: &'static str| Some(CloseFrame { code, reason: reason.into() });
    loop {
        tokio::select! {
            () = ended(&mut ending) => return close(CloseCode::Away, "the server ends"),
            _ = pings.tick() => {
                if heard.elapsed() > SILENCE {
                    return close(CloseCode::Away, "no answer to pings");
                }
                socket.send(Message::Ping(Bytes::new())).await.ok()?;
            }
            message = socket.next() => {
                heard = Instant::now();
                // An error here is one of the protocol, a message over the limit, or the end of the connection.
                let request: Bytes = match message?.ok()? {
                    Message::Text(text) => text.into(),
                    Message::Binary(bytes) => bytes,
                    Message::Close(_) => return None,
                    Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
                };
                let (chain, subscriptions) = (shared.chain.clone(), subscriptions.clone());
                let answer = shared
                    .work(move || {
                        let mut subscriptions = subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
                        let mut dispatch =
                            |method: &str, params| subscriptions.dispatch(&chain, method, params);
                        chain.handle_with(&request, &mut dispatch)
                    })
                    .await;
                let Some(answer) = answer else { return close(CloseCode::Error, "the request failed") };
                if !answer.is_empty() {
                    // Answers are JSON, so they are text.
                    let text = String::from_utf8(answer).ok()?;
                    socket.send(Message::text(text)).await.ok()?;
                }
            }
            changed = heads.changed() => changed.ok()?,
        }
        // After a request too: a block made while it ran was seen by no one.
        loop {
            let (chain, subscriptions) = (shared.chain.clone(), subscriptions.clone());
            let due = shared
                .work(move || subscriptions.lock().unwrap_or_else(PoisonError::into_inner).next_block(&chain))
                .await;
            match due {
                Some(Ok(Some(messages))) => {
                    for message in messages {
                        socket.feed(Message::text(message)).await.ok()?;
                    }
                    socket.flush().await.ok()?;
                }
                Some(Ok(None)) => break,
                Some(Err(_)) | None => return close(CloseCode::Error, "the chain cannot be read"),
            }
        }
    }
}
