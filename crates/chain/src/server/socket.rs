//! One WebSocket: requests one after another, and notifications between them.

use std::future::ready;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
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
use tokio_tungstenite::tungstenite::{Bytes, Message, Utf8Bytes};

use super::lanes::Own;
use super::{Shared, ended};
use crate::rpc::Due;

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

/// Most bytes of a message: the creation of any contract fits. Longer requests are posted: there they wait for a place before
/// they are read.
const MAX_MESSAGE: usize = 160 * 1024;

/// Serves a WebSocket to its end.
pub(super) async fn serve(shared: &Arc<Shared>, client: IpAddr, io: TokioIo<Upgraded>) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
        .read_buffer_size(8 * 1024);
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let reason = talk(shared, client, &mut socket).await;
    // Politeness towards a client that may be gone.
    let _ = socket.close(reason).await;
}

/// Returns when the connection is to be closed, with what the client is told.
async fn talk(shared: &Arc<Shared>, client: IpAddr, socket: &mut Socket) -> Option<CloseFrame> {
    let own = Own::default();
    let mut heads = shared.heads.clone();
    let mut ending = shared.ending.clone();
    let mut pings = interval(PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    // Read while the request before it was worked on.
    let mut early: Option<Message> = None;
    // Whether there may be notifications.
    let mut behind = false;
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
            message = next(socket, &mut early) => {
                heard = Instant::now();
                let request: Bytes = match message? {
                    Message::Text(text) => text.into(),
                    Message::Binary(bytes) => bytes,
                    Message::Close(_) => return None,
                    Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
                };
                let mut work = pin!(shared.answer(request, client, Some(own.clone())));
                let answer = loop {
                    tokio::select! {
                        answer = &mut work => break answer,
                        // One message ahead, so that a client that goes away is noticed: the work ends with this future.
                        message = socket.next(), if early.is_none() => match message {
                            Some(Ok(message)) if !message.is_close() => early = Some(message),
                            _ => return None,
                        },
                    }
                };
                let Some(answer) = answer else { return close(CloseCode::Error, "the request failed") };
                if !answer.is_empty() {
                    // Answers are JSON, so they are text.
                    socket.send(Message::Text(Utf8Bytes::try_from(answer).ok()?)).await.ok()?;
                }
                // A block made while it ran was seen by no one.
                behind = true;
            }
            changed = heads.changed() => {
                changed.ok()?;
                behind = true;
            }
            // Requests and notifications take turns.
            () = ready(()), if behind => match shared.due(&own).await {
                Ok(Due::Messages(messages)) => {
                    for message in messages {
                        let text = Utf8Bytes::try_from(Bytes::from(message)).ok()?;
                        socket.feed(Message::Text(text)).await.ok()?;
                    }
                    socket.flush().await.ok()?;
                }
                Ok(Due::Nothing | Due::Longer) => behind = false,
                Err(_) => return close(CloseCode::Error, "the chain cannot be read"),
            },
        }
    }
}

/// The next message; `None` at an error of the protocol, at a message over the limit and at the end.
async fn next(socket: &mut Socket, early: &mut Option<Message>) -> Option<Message> {
    match early.take() {
        Some(message) => Some(message),
        None => socket.next().await?.ok(),
    }
}
