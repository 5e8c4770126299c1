//! What the local API is asked, and its answers.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router, middleware};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;
use utoipa::IntoParams;

use super::guard::{self, Access};
use super::refusal::{Refusal, no_question};
use super::wire::{
    Decision, Inbox, Letter, Letters, Log, Made, NewWish, Note, Proposals, Question, Refused, Said, Status,
    Wish, Wishes,
};
use super::{Shared, document, events, metrics};
use crate::daemon::voting::{MOTION, Motion, VOTE, Voting};
use crate::daemon::{Asking, HAND_OVER, HandOver, Proposal, UPDATE, Update, WITHDRAW, Withdraw};
use crate::proposals::seen;
use crate::service;
use crate::store::{self, AnswerError};

/// Largest answer to a question, in bytes.
pub const MAX_DECISION: usize = 16 << 10;
/// Largest wish, in bytes.
pub const MAX_WISH: usize = 1 << 20;
/// Characters of a reason.
const MAX_REASON: usize = 2_000;
/// How long a request may take to come.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes beyond a limit that are read and forgotten, so that their sender gets to read why.
const FORGOTTEN: usize = 16 << 20;
/// Most lines of the log, and wishes, in one answer, and how many when nobody says.
const MOST: usize = 1_000;
const USUAL: usize = 200;

pub(super) type Api = State<Arc<Shared>>;

/// A route of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Its path; a part in braces stands for a number.
    pub path: &'static str,
    /// The least that a token must allow.
    pub access: Access,
}

/// The routes with what answers them: the only place where there are any.
fn table() -> Vec<(Route, MethodRouter<Arc<Shared>>)> {
    let look = |path, router| (Route { method: "GET", path, access: Access::Reader }, router);
    let see = |path, router| (Route { method: "GET", path, access: Access::Operator }, router);
    let act = |path, router| (Route { method: "POST", path, access: Access::Operator }, router);
    vec![
        look("/v1/status", get(status)),
        look("/v1/inbox", get(inbox)),
        act("/v1/inbox/{number}", post(decide)),
        look("/v1/wishes", get(wishes)),
        look("/v1/wishes/{number}", get(wish)),
        act("/v1/wishes", post(make_wish)),
        look("/v1/proposals", get(proposals)),
        see("/v1/log", get(log)),
        look("/v1/events", get(events::events)),
        see("/v1/letters", get(letters)),
        look("/v1/metrics", get(metrics::metrics)),
        look("/v1/openapi.json", get(openapi)),
    ]
}

/// All routes of the API.
pub fn routes() -> Vec<Route> {
    table().into_iter().map(|(route, _)| route).collect()
}

pub(super) fn router(api: Arc<Shared>) -> Router {
    let empty = Router::new();
    let filled = table().into_iter().fold(empty, |all, (route, answers)| {
        let needed = route.access;
        let allowed = middleware::from_fn(move |request, next| guard::allow(needed, request, next));
        all.route(route.path, answers.layer(allowed))
    });
    filled
        .fallback(async || {
            Refusal::not_found(
                "there is nothing at this path of a node's API".into(),
                "see `/v1/openapi.json` for what there is",
            )
        })
        .method_not_allowed_fallback(async || {
            Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this path of a node's API is not asked by this method",
                "see `/v1/openapi.json` for what there is",
            )
        })
        .layer(middleware::from_fn_with_state(api.clone(), guard::guard))
        .with_state(api)
}

/// How the node stands.
#[utoipa::path(get, tag = "node", path = "/v1/status", responses((status = 200, body = Status, description = "How it stands.")))]
pub(super) async fn status(State(api): Api) -> Result<Json<Status>, Refusal> {
    let (home, now) = (api.home.clone(), api.now());
    let answer = api.with_store(move |store| {
        Ok::<_, Refusal>(Status {
            now,
            running: super::door::is_held(&home).unwrap_or(false),
            questions: open_questions(store, now)?,
            wishes: store.wishes(true)?.len() as u64,
            letters: store.undelivered()?.len() as u64,
            proposals: seen(store)?.iter().filter(|p| !p.state.is_final()).count() as u64,
            said: service::status(store)?.map(Said::from),
        })
    });
    Ok(Json(answer.await?))
}

/// Questions that can be answered.
pub(super) fn open_questions(store: &store::Store, now: u64) -> Result<u64, store::StoreFault> {
    let open = store.questions(true)?;
    Ok(open.iter().filter(|asked| asked.question.due.is_none_or(|due| now <= due)).count() as u64)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Also what was answered or taken back.
    #[serde(default)]
    all: bool,
}

/// What a person is asked: what waits for an answer, or everything.
#[utoipa::path(get, tag = "node", path = "/v1/inbox", params(Which), responses((status = 200, body = Inbox, description = "Questions."), (status = 400, body = Refused, description = "It is not what is wanted here.")))]
pub(super) async fn inbox(
    State(api): Api,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Inbox>, Refusal> {
    let Which { all } = asked(which)?;
    let now = api.now();
    let found = api.with_store(move |store| store.questions(!all)).await?;
    Ok(Json(Inbox { questions: found.into_iter().map(|asked| Question::of(asked, now)).collect() }))
}

/// Answers a question, once and in time.
#[utoipa::path(
    post, tag = "node",
    path = "/v1/inbox/{number}",
    params(("number" = u64, Path, description = "The question.")),
    request_body = Decision,
    responses(
        (status = 200, body = Question, description = "The question as it stands now."),
        (status = 400, body = Refused, description = "It is not what is wanted here."),
        (status = 404, body = Refused, description = "There is no such question."),
        (status = 409, body = Refused, description = "It was answered before."),
        (status = 410, body = Refused, description = "It is too late, or it is no longer a question."),
        (status = 413, body = Refused, description = "It is too large.")
    )
)]
pub(super) async fn decide(
    State(api): Api,
    Path(number): Path<String>,
    body: Body,
) -> Result<Json<Question>, Refusal> {
    let Decision { yes, because } =
        read(body, MAX_DECISION, "an answer", r#"{"yes": false, "because": "the board has not met"}"#)
            .await?;
    let because = because.trim().to_owned();
    if !yes && because.is_empty() {
        return Err(Refusal::invalid(
            "a question is declined with a reason, and there is none".into(),
            "say why in `because`",
        ));
    }
    let length = because.chars().count();
    if length > MAX_REASON {
        return Err(Refusal::invalid(
            format!("the reason has {length} characters, and at most {MAX_REASON} are taken"),
            "say it shorter",
        ));
    }
    let number: u64 = number.parse().map_err(|_| no_question(&number))?;
    let now = api.now();
    let answer = store::Answer { yes, because, by: "the operator".into() };
    let answered = api.with_store(move |store| {
        store.answer(number, &answer, now)?;
        let all = store.questions(false)?;
        Ok::<_, AnswerError>(all.into_iter().find(|asked| asked.number == number))
    });
    let answered = answered.await;
    // In any case: it may have been answered before something failed.
    api.wrote();
    Ok(Json(Question::of(answered?.ok_or_else(Refusal::lost)?, now)))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Only those that are neither done nor failed.
    #[serde(default)]
    open: bool,
    /// Only of this kind.
    kind: Option<String>,
    /// No more than so many, the newest; 200 unless it is said, 1,000 at most.
    most: Option<usize>,
}

/// What the operator has asked the node to do.
#[utoipa::path(get, tag = "node", path = "/v1/wishes", params(Wanted), responses((status = 200, body = Wishes, description = "Wishes."), (status = 400, body = Refused, description = "It is not what is wanted here.")))]
pub(super) async fn wishes(
    State(api): Api,
    Extension(access): Extension<Access>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Wishes>, Refusal> {
    let Wanted { open, kind, most } = asked(wanted)?;
    let found = api.with_store(move |store| store.wishes(open)).await?;
    let fits = |wish: &store::Wish| kind.as_ref().is_none_or(|kind| wish.kind == *kind);
    let mut wishes: Vec<Wish> = found.into_iter().filter(fits).map(|wish| Wish::of(wish, access)).collect();
    let most = most.unwrap_or(USUAL).min(MOST);
    wishes.drain(..wishes.len().saturating_sub(most));
    Ok(Json(Wishes { wishes }))
}

/// One wish, with what became of it.
#[utoipa::path(
    get, tag = "node",
    path = "/v1/wishes/{number}",
    params(("number" = u64, Path, description = "The wish.")),
    responses((status = 200, body = Wish, description = "The wish."), (status = 404, body = Refused, description = "There is no such wish."))
)]
pub(super) async fn wish(
    State(api): Api,
    Extension(access): Extension<Access>,
    Path(number): Path<String>,
) -> Result<Json<Wish>, Refusal> {
    let unknown = format!("there is no wish {}", number.escape_debug());
    let found = match number.parse() {
        Ok(number) => api.with_store(move |store| store.get_wish(number)).await?,
        Err(_) => None,
    };
    let unknown = || Refusal::not_found(unknown, "ask for `/v1/wishes`, which lists them");
    Ok(Json(Wish::of(found.ok_or_else(unknown)?, access)))
}

/// Has the node do something. The same again is another wish.
///
/// | Kind | `what` |
/// |---|---|
/// | `query` | `{"model": 1, "row": [0.5, 2], "most": 1000000}`: buy one answer for at most so many millionths of a token |
/// | `claim` | `null` or `{}`: claim what the market owes |
/// | `propose` | a proposal of a model: `paper`, `plan`, `min_donors`, `max_donors`, `query_timeout`, `runner` |
/// | `publish` | `{"method": "logistic"}`: register a method's programs |
/// | `train` | `{"model": 1}`: begin the training |
/// | `abort` | `{"model": 1}`: give a model up |
/// | `add-data` | an object: take a table in |
/// | `update` | `{"dataset": "0x...", "version": {"name": "0x...", "root": "0x..."}}`: register a version that `data update` has encrypted |
/// | `hand-over` | `{"pauser": "0x...", "anyway": false}`, both may be left out: the founder hands over to the members |
/// | `withdraw` | `{"dataset": "0x..."}`: take a dataset back for good |
/// | `motion` | `{"actions": [{"allow-measurement": "0x..."}], "description": "why"}`: propose something to the members |
/// | `vote` | `{"proposal": "5567", "vote": "for", "reason": "why"}`: vote on it; the reason is public and may be left out |
#[utoipa::path(
    post, tag = "node",
    path = "/v1/wishes",
    request_body = NewWish,
    responses((status = 201, body = Made, description = "It was kept."), (status = 400, body = Refused, description = "It is not what is wanted here."), (status = 413, body = Refused, description = "It is too large."))
)]
pub(super) async fn make_wish(State(api): Api, body: Body) -> Result<(StatusCode, Json<Made>), Refusal> {
    let NewWish { kind, what } =
        read(body, MAX_WISH, "a wish", r#"{"kind": "abort", "what": {"model": 1}}"#).await?;
    check(&kind, &what)?;
    let now = api.now();
    let number = api.with_store(move |store| store.wish(&kind, &what, now)).await?;
    api.wrote();
    Ok((StatusCode::CREATED, Json(Made { number })))
}

/// The kinds of wishes, and what each wants.
const KINDS: [(&str, &str); 12] = [
    ("add-data", "an object"),
    ("propose", "a proposal with `paper`, `plan`, `min_donors`, `max_donors`, `query_timeout`, `runner`"),
    ("publish", r#"{"method": "logistic"}"#),
    ("abort", r#"{"model": 1}"#),
    ("train", r#"{"model": 1}"#),
    ("query", r#"{"model": 1, "row": [0.5, 2], "most": 1000000}"#),
    ("claim", "null or {}"),
    (UPDATE, r#"{"dataset": "0x...", "version": {"name": "0x...", "root": "0x..."}}"#),
    (HAND_OVER, r#"{} or {"pauser": "0x...", "anyway": false}"#),
    (WITHDRAW, r#"{"dataset": "0x..."}"#),
    (MOTION, r#"{"actions": [{"allow-measurement": "0x..."}], "description": "why"}"#),
    (VOTE, r#"{"proposal": "5567", "vote": "for", "reason": "why"}"#),
];

/// What a daemon would never take up is not kept.
fn check(kind: &str, what: &Value) -> Result<(), Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct OfModel {
        #[serde(rename = "model")]
        _model: u64,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct OfMethod {
        #[serde(rename = "method")]
        _method: String,
        /// Whether module and source go to auditors only.
        #[serde(rename = "closed", default)]
        _closed: bool,
    }
    fn is<T: DeserializeOwned>(what: &Value) -> Result<(), String> {
        T::deserialize(what).map(drop).map_err(|error| error.to_string())
    }
    let Some((_, wanted)) = KINDS.iter().find(|(known, _)| *known == kind) else {
        let known: Vec<_> = KINDS.iter().map(|(kind, _)| format!("`{kind}`")).collect();
        let says = format!("a node knows no wish `{}`", kind.escape_debug());
        return Err(Refusal::invalid(says, format!("use one of {}", known.join(", "))));
    };
    let empty = what.is_null() || what.as_object().is_some_and(serde_json::Map::is_empty);
    let checked = match kind {
        "query" => is::<Asking>(what),
        "propose" => is::<Proposal>(what),
        "publish" => is::<OfMethod>(what),
        "abort" | "train" => is::<OfModel>(what),
        UPDATE => is::<Update>(what),
        WITHDRAW => is::<Withdraw>(what),
        HAND_OVER => is::<HandOver>(what),
        MOTION => is::<Motion>(what),
        VOTE => is::<Voting>(what),
        "claim" if !empty => Err("it wants nothing further".into()),
        "add-data" if !what.is_object() => Err("it is not an object".into()),
        _ => Ok(()),
    };
    checked.map_err(|why| {
        Refusal::invalid(
            format!("`what` is not what the wish `{kind}` wants: {why}"),
            format!("send {wanted}"),
        )
    })
}

/// What the members have decided and decide, as the daemon has last seen it, oldest first.
#[utoipa::path(get, tag = "node", path = "/v1/proposals", responses((status = 200, body = Proposals, description = "Proposals.")))]
pub(super) async fn proposals(State(api): Api) -> Result<Json<Proposals>, Refusal> {
    Ok(Json(Proposals { proposals: api.with_store(seen).await? }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Lines {
    /// Only lines with a higher number, the oldest of them; the newest lines unless it is said.
    after: Option<u64>,
    /// No more than so many; 200 unless it is said, 1,000 at most.
    most: Option<usize>,
}

/// The log for people.
#[utoipa::path(get, tag = "node", path = "/v1/log", params(Lines), responses((status = 200, body = Log, description = "Lines."), (status = 400, body = Refused, description = "It is not what is wanted here.")))]
pub(super) async fn log(
    State(api): Api,
    lines: Result<Query<Lines>, QueryRejection>,
) -> Result<Json<Log>, Refusal> {
    let Lines { after, most } = asked(lines)?;
    let most = most.unwrap_or(USUAL).min(MOST);
    let (notes, last) = api
        .with_store(move |store| {
            let last = store.last_note()?;
            let after = after.unwrap_or(last.saturating_sub(most as u64));
            Ok::<_, store::StoreFault>((store.notes(after, most)?, last))
        })
        .await?;
    Ok(Json(Log { notes: notes.into_iter().map(Note::from).collect(), last }))
}

/// Letters for which no receipt has come.
#[utoipa::path(get, tag = "node", path = "/v1/letters", responses((status = 200, body = Letters, description = "Letters.")))]
pub(super) async fn letters(State(api): Api) -> Result<Json<Letters>, Refusal> {
    let found = api.with_store(store::Store::undelivered).await?;
    Ok(Json(Letters { letters: found.into_iter().map(Letter::from).collect() }))
}

/// This document.
#[utoipa::path(get, tag = "node", path = "/v1/openapi.json", responses((status = 200, description = "OpenAPI.", content_type = "application/json")))]
pub(super) async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], document::document())
}

fn asked<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Refusal> {
    let wrong = |rejection: QueryRejection| {
        Refusal::invalid(
            format!("the part of the path behind `?` is not taken: {}", rejection.body_text()),
            "see `/v1/openapi.json` for what there is",
        )
    };
    query.map(|Query(query)| query).map_err(wrong)
}

/// Reads what was sent.
async fn read<T: DeserializeOwned>(body: Body, most: usize, what: &str, sample: &str) -> Result<T, Refusal> {
    let bytes = timeout(PATIENCE, collect(body, most, what)).await.map_err(|_| {
        Refusal::new(StatusCode::REQUEST_TIMEOUT, "the request did not come in time", "send it again")
    })??;
    serde_json::from_slice(&bytes).map_err(|error| {
        Refusal::invalid(
            format!("what was sent is not {what}: {error}"),
            format!("send JSON such as {sample}"),
        )
    })
}

async fn collect(mut body: Body, most: usize, what: &str) -> Result<Vec<u8>, Refusal> {
    let too_large = || {
        let says = format!("{what} has at most {most} bytes, and this is more");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, says, "send less")
    };
    if body.size_hint().lower() > (most + FORGOTTEN) as u64 {
        return Err(too_large());
    }
    let (mut bytes, mut length) = (Vec::new(), 0);
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let ended = |_| Refusal::invalid("the connection ended within the request".into(), "send it again");
        let Ok(data) = frame.map_err(ended)?.into_data() else { continue };
        length += data.len();
        if length > most + FORGOTTEN {
            break;
        }
        if length <= most {
            bytes.extend_from_slice(&data);
        }
    }
    if length > most { Err(too_large()) } else { Ok(bytes) }
}
