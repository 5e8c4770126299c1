//! What a hub is asked, and its answers.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use histone_protocol::letter::{MAX_LETTER, letter_id};
use histone_protocol::{Address, B256};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::connection::{Client, ended};
use super::mail::Posted;
use super::refusal::Refusal;
use super::sessions::GOOD_FOR;
use super::{Shared, Standing, body};
use crate::wire::{
    Answered, COLLECTED, Challenge, DISCARDED, Have, Health, Knock, LONGEST_WAIT, Opened, PIECE, PROTOCOL,
    Woke, frame,
};

/// Largest JSON-RPC request, as the chain has it.
const REQUEST: usize = 4 << 20;
/// Largest piece, and blob, of a guest.
const GUEST_BLOB: usize = 64 << 10;
/// How long a request waits for its turn at the ledger.
const TURN: Duration = Duration::from_secs(20);
/// How long a standing is believed, in seconds.
const BELIEVED: u64 = 60;

type Hub = State<Arc<Shared>>;

/// All routes. Each but the first three asks for a session.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/health", get(health))
        .route("/v1/session/challenge", post(challenge))
        .route("/v1/session", post(session))
        .route("/v1/mail", get(collect))
        .route("/v1/mail/discard", post(discard))
        .route("/v1/mail/{mailbox}", post(leave))
        .route("/v1/wait", get(wait))
        .route("/v1/blobs/{hash}", get(blob))
        .route("/v1/blobs/{hash}/upload", get(uploaded).put(upload))
        .route("/v1/rpc", post(rpc))
        .fallback(async || {
            Refusal::new(
                StatusCode::NOT_FOUND,
                "there is nothing at this path of a hub; is the program too new for it?",
            )
        })
        .method_not_allowed_fallback(async || {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path of a hub is not asked by this method")
        })
        .with_state(shared)
}

/// Whoever has a session.
struct Caller {
    mailbox: Address,
    standing: Standing,
}

impl FromRequestParts<Arc<Shared>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Shared>) -> Result<Self, Refusal> {
        let unknown = || {
            Refusal::new(
                StatusCode::UNAUTHORIZED,
                "the hub does not know this session: an hour is over, or it was started again; sign a new challenge",
            )
        };
        let value = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(unknown)?;
        let now = hub.now();
        let holder = hub.sessions().holder(token, now).ok_or_else(unknown)?;
        let (mailbox, mut standing) = (holder.mailbox, holder.standing);
        if now.abs_diff(holder.asked) >= BELIEVED {
            standing = hub.standing(mailbox).await?;
            hub.sessions().update(token, standing, now);
        }
        let calls = match standing {
            Standing::Guest => &hub.rates.guest_calls,
            Standing::Member => &hub.rates.member_calls,
        };
        Shared::rate(calls, mailbox, 1.0, now)
            .map_err(|seconds| Refusal::too_often("this mailbox asks too often", seconds))?;
        Ok(Self { mailbox, standing })
    }
}

async fn health(State(hub): Hub, Extension(client): Extension<Client>) -> Result<Json<Health>, Refusal> {
    Shared::rate(&hub.rates.looks, client, 1.0, hub.now())
        .map_err(|seconds| Refusal::too_often("too many questions from this address", seconds))?;
    Ok(Json(Health {
        hub: "histone".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        protocol: PROTOCOL,
        identity: hub.mail.identity(),
        time: hub.now(),
        letters: hub.mail.count(),
        head: hub.options.heads.as_ref().map(|heads| *heads.borrow()),
    }))
}

async fn challenge(
    State(hub): Hub,
    Extension(client): Extension<Client>,
    body: Body,
) -> Result<Json<Challenge>, Refusal> {
    // Half each: a session takes two requests.
    may_open(&hub, client, 0.5)?;
    let Knock { mailbox } = json(&hub, body, 1 << 10).await?;
    let challenge = hub.sessions().challenge(mailbox, (hub.options.entropy)().into(), hub.now());
    Ok(Json(Challenge { identity: hub.mail.identity(), challenge }))
}

async fn session(
    State(hub): Hub,
    Extension(client): Extension<Client>,
    body: Body,
) -> Result<Json<Opened>, Refusal> {
    may_open(&hub, client, 0.5)?;
    let answer: Answered = json(&hub, body, 2 << 10).await?;
    let token: B256 = (hub.options.entropy)().into();
    // The signature first: strangers do not make the hub ask the ledger.
    hub.sessions().open(&answer, Standing::Guest, token, hub.now())?;
    let token = format!("{token:x}");
    let standing = hub.standing(answer.mailbox).await?;
    hub.sessions().update(&token, standing, hub.now());
    Ok(Json(Opened { token, seconds: GOOD_FOR }))
}

fn may_open(hub: &Shared, client: Client, cost: f64) -> Result<(), Refusal> {
    Shared::rate(&hub.rates.sessions, client, cost, hub.now())
        .map_err(|seconds| Refusal::too_often("too many sessions are opened from this address", seconds))
}

async fn leave(
    State(hub): Hub,
    caller: Caller,
    Extension(client): Extension<Client>,
    Path(mailbox): Path<String>,
    body: Body,
) -> Result<Json<serde_json::Value>, Refusal> {
    let mailbox: Address = parsed(&mailbox, "mailbox", "20 bytes in hexadecimal digits")?;
    let limits = &hub.options.limits;
    let guest = caller.standing == Standing::Guest;
    let (most, what) = match guest {
        true => (limits.guest_letter.min(MAX_LETTER), "a letter of a guest"),
        false => (MAX_LETTER, "a letter"),
    };
    if guest {
        let now = hub.now();
        Shared::rate(&hub.rates.guest_letters, caller.mailbox, 1.0, now)
            .and_then(|()| Shared::rate(&hub.rates.address_letters, client, 1.0, now))
            .map_err(|seconds| Refusal::too_often("guests may leave a few letters in an hour", seconds))?;
    }
    let (letter, permit) = body::read(&hub.room, body, most, what).await?;
    let id = letter_id(&letter);
    let from = (caller.mailbox, caller.standing);
    let (shared, now) = (hub.clone(), hub.now());
    let posted = hub
        .with_mail(move |mail| {
            let room = shared.disk_left();
            let posted = mail.post(mailbox, from, &letter, now, (&shared.options.limits, room));
            drop(permit);
            posted
        })
        .await?;
    if posted == Posted::New {
        hub.bells.ring(mailbox);
    }
    Ok(Json(serde_json::json!({ "id": id, "new": posted == Posted::New })))
}

async fn collect(State(hub): Hub, caller: Caller) -> Result<Response, Refusal> {
    let permit = hub.room.take(COLLECTED).await?;
    let letters = hub.with_mail(move |mail| mail.collect(caller.mailbox)).await?;
    let body = body::counted(frame(&letters), permit);
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response())
}

async fn discard(State(hub): Hub, caller: Caller, body: Body) -> Result<Json<serde_json::Value>, Refusal> {
    // Each in quotation marks, with 0x and a comma, and some room for spaces.
    let ids: Vec<B256> = json(&hub, body, DISCARDED * 72).await?;
    hub.with_mail(move |mail| mail.discard(caller.mailbox, &ids)).await?;
    Ok(Json(serde_json::json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Until {
    head: u64,
    seconds: u64,
}

async fn wait(
    State(hub): Hub,
    caller: Caller,
    until: Result<Query<Until>, QueryRejection>,
) -> Result<Json<Woke>, Refusal> {
    let Until { head, seconds } = query(until)?;
    let Some(bell) = hub.bells.hang(caller.mailbox) else {
        return Err(Refusal::too_often(
            "others wait for this mailbox already; is the program running twice?",
            30,
        ));
    };
    let mut heads = hub.options.heads.clone();
    let mut ending = hub.ending.subscribe();
    let over = tokio::time::sleep(Duration::from_secs(seconds.min(LONGEST_WAIT)));
    let mut over = std::pin::pin!(over);
    loop {
        // Hung before the look: a letter that comes in between rings.
        let mut rung = std::pin::pin!(bell.notify.notified());
        rung.as_mut().enable();
        let letters = hub.with_mail(move |mail| mail.waits(caller.mailbox)).await?;
        loop {
            let blocks = heads.as_mut().is_some_and(|heads| *heads.borrow_and_update() > head);
            if blocks || letters {
                return Ok(Json(Woke { blocks, letters }));
            }
            tokio::select! {
                () = &mut over => return Ok(Json(Woke { blocks, letters })),
                () = ended(&mut ending) => return Ok(Json(Woke { blocks, letters })),
                () = rung.as_mut() => break,
                () = newer(&mut heads) => {}
            }
        }
    }
}

/// Ready when there may be a new block.
async fn newer(heads: &mut Option<tokio::sync::watch::Receiver<u64>>) {
    match heads {
        // Whoever told of blocks has gone: there will be none.
        Some(heads) => {
            if heads.changed().await.is_err() {
                std::future::pending().await
            }
        }
        None => std::future::pending().await,
    }
}

async fn blob(
    State(hub): Hub,
    _: Caller,
    Path(hash): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let hash = name(&hash)?;
    let shared = hub.clone();
    let found = hub.blocking(move || shared.blobs.read(hash)).await?;
    let found = found.map_err(|error| Refusal::of_store(&error, &*hub.options.log))?;
    let Some((file, length)) = found else {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "nobody has brought this blob here"));
    };
    let asked = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let kind = [(header::CONTENT_TYPE, "application/octet-stream"), (header::ACCEPT_RANGES, "bytes")];
    // Other units and several ranges at once are answered with all of it, as HTTP has it.
    let Some((from, to)) = asked.and_then(range) else {
        return Ok((kind, body::of_file(file, 0, length)).into_response());
    };
    if from >= length {
        let refusal = Refusal::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            format!("the blob has {length} bytes, and {from} is not one of them"),
        );
        return Ok(([(header::CONTENT_RANGE, format!("bytes */{length}"))], refusal).into_response());
    }
    let to = to.map_or(length, |to| to.saturating_add(1).min(length));
    let place = [(header::CONTENT_RANGE, format!("bytes {from}-{}/{length}", to - 1))];
    Ok((StatusCode::PARTIAL_CONTENT, kind, place, body::of_file(file, from, to - from)).into_response())
}

/// `bytes=FROM-` or `bytes=FROM-TO`.
fn range(text: &str) -> Option<(u64, Option<u64>)> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    let from = from.trim().parse().ok()?;
    let to = match to.trim() {
        "" => None,
        to => Some(to.parse().ok()?),
    };
    to.is_none_or(|to| to >= from).then_some((from, to))
}

async fn uploaded(State(hub): Hub, caller: Caller, Path(hash): Path<String>) -> Result<Json<Have>, Refusal> {
    let hash = name(&hash)?;
    let shared = hub.clone();
    let have = hub.blocking(move || shared.blobs.have(caller.mailbox, hash)).await?;
    have.map(Json).map_err(|error| Refusal::of_blob(&error, &*hub.options.log))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Piece {
    /// Bytes of the whole blob.
    total: u64,
    /// Where this piece begins.
    at: u64,
}

async fn upload(
    State(hub): Hub,
    caller: Caller,
    Path(hash): Path<String>,
    piece: Result<Query<Piece>, QueryRejection>,
    body: Body,
) -> Result<Json<Have>, Refusal> {
    let hash = name(&hash)?;
    let Piece { total, at } = query(piece)?;
    let limits = &hub.options.limits;
    let (most, what, bytes, uploads) = match caller.standing {
        Standing::Guest => (GUEST_BLOB, "a blob of a guest", &hub.rates.guest_bytes, 1),
        Standing::Member => (PIECE, "a piece of a blob", &hub.rates.member_bytes, limits.uploads),
    };
    if caller.standing == Standing::Guest && total > GUEST_BLOB as u64 {
        return Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("a blob of a guest has at most {GUEST_BLOB} bytes, and this has {total}"),
        ));
    }
    let (piece, permit) = body::read(&hub.room, body, most, what).await?;
    let now = hub.now();
    Shared::rate(bytes, caller.mailbox, piece.len() as f64, now).map_err(|seconds| {
        Refusal::too_often("this mailbox has brought as much as it may in a day", seconds)
    })?;
    let shared = hub.clone();
    let have = hub
        .blocking(move || {
            let room = shared.disk_left();
            let have = shared.blobs.put((caller.mailbox, hash), (total, at), &piece, now, (room, uploads));
            drop(permit);
            have
        })
        .await?;
    have.map(Json).map_err(|error| Refusal::of_blob(&error, &*hub.options.log))
}

async fn rpc(State(hub): Hub, caller: Caller, body: Body) -> Result<Response, Refusal> {
    let Some(handler) = hub.options.rpc.clone() else {
        return Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "this hub has no ledger; give the address of a node of it",
        ));
    };
    let (request, permit) = body::read(&hub.room, body, REQUEST, "a JSON-RPC request").await?;
    let turns = match caller.standing {
        Standing::Guest => &hub.guest_turns,
        Standing::Member => &hub.turns,
    };
    let Ok(Ok(turn)) = timeout(TURN, turns.clone().acquire_owned()).await else {
        return Err(Refusal::later(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many ask the ledger at the same time; ask again in 5 s",
            5,
        ));
    };
    // A task of its own: it keeps its turn to its end, also when the client goes away.
    let work = tokio::spawn(async move {
        let answer = handler(request).await;
        drop((turn, permit));
        answer
    });
    let answer = work.await.map_err(|_| Refusal::internal())?.map_err(|why| {
        (hub.options.log)(&why);
        Refusal::later(StatusCode::BAD_GATEWAY, format!("the hub's way to the ledger fails: {why}"), 10)
    })?;
    Ok(([(header::CONTENT_TYPE, "application/json")], Bytes::from(answer)).into_response())
}

async fn json<T: DeserializeOwned>(hub: &Shared, body: Body, most: usize) -> Result<T, Refusal> {
    let (bytes, _permit) = body::read(&hub.room, body, most, "this request").await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Refusal::new(StatusCode::BAD_REQUEST, format!("the request is not what this path takes: {error}"))
    })
}

fn query<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Refusal> {
    query.map(|Query(query)| query).map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.body_text()))
}

fn name(text: &str) -> Result<B256, Refusal> {
    parsed(text, "blob", "32 bytes in hexadecimal digits")
}

fn parsed<T: FromStr<Err: Display>>(text: &str, what: &str, form: &str) -> Result<T, Refusal> {
    text.parse().map_err(|_| {
        Refusal::new(StatusCode::BAD_REQUEST, format!("the path does not name a {what}, which is {form}"))
    })
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("bytes=0-", Some((0, None))),
            ("bytes=5-9", Some((5, Some(9)))),
            ("bytes=9-5", None),
            ("bytes=-5", None),
            ("bytes=0-1,3-4", None),
            ("lines=0-1", None),
            ("bytes=99999999999999999999-", None),
        ] {
            assert_eq!(range(text), expected, "{text}");
        }
    }
}
