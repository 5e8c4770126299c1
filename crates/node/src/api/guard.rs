//! Who may ask: programs of this machine that have read a token, under a name of this machine.
//!
//! A page of the web, which a browser of this machine shows, can send requests here as well: by another name for this address (its
//! `Host` is foreign), or from its own origin (its `Origin` is). Both are refused before the token is looked at; no answer carries
//! headers by which a browser would let such a page read it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::{Choice, ConstantTimeEq};

use super::Shared;
use super::door::Tokens;
use super::refusal::Refusal;

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// To look, but for letters, the log, and what people ask models and get to know from them.
    Reader,
    /// Everything.
    Operator,
}

/// The names under which requests are taken, and the tokens.
pub(super) struct Guard {
    names: Vec<String>,
    tokens: Tokens,
}

impl Guard {
    pub(super) fn new(address: SocketAddr, tokens: Tokens) -> Self {
        let port = address.port();
        let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned()];
        let mut names: Vec<String> = hosts.iter().map(|host| format!("{host}:{port}")).collect();
        names.push(address.to_string());
        // Clients leave out the usual port.
        if port == 80 {
            names.extend(hosts);
        }
        Self { names, tokens }
    }

    fn knows(&self, name: &[u8]) -> bool {
        self.names.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name))
    }

    /// Lets a request pass that was sent to this address by its own name, and not from a page of another origin.
    fn own_name(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let todo = format!("send requests to http://{}", self.names[1]);
        let forbidden = |what: &str| Refusal::new(StatusCode::FORBIDDEN, what, todo.clone());
        let host = single(headers, header::HOST).filter(|host| self.knows(host.as_bytes()));
        let other = uri.authority().is_some_and(|name| !self.knows(name.as_str().as_bytes()));
        if host.is_none() || other {
            return Err(forbidden("this node's API is asked by a name that is not its own"));
        }
        let own = |origin: &HeaderValue| {
            let name = origin.as_bytes().strip_prefix(b"http://");
            name.is_some_and(|name| self.knows(name))
        };
        if !headers.get_all(header::ORIGIN).iter().all(own) {
            return Err(forbidden("pages of other origins may not ask this node's API"));
        }
        Ok(())
    }

    /// What the request's token allows.
    fn access(&self, headers: &HeaderMap) -> Result<Access, Refusal> {
        let refused = || {
            Refusal::new(
                StatusCode::UNAUTHORIZED,
                "this node's API takes only requests with one of its tokens",
                "send `Authorization: Bearer TOKEN` with what stands in `api.token` in the node's home; it is new after each start",
            )
        };
        let value = single(headers, header::AUTHORIZATION).ok_or_else(refused)?.as_bytes();
        let (scheme, token) = value.split_at_checked(7).ok_or_else(refused)?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return Err(refused());
        }
        // Both are compared in any case, and the time does not tell how much of them fits.
        let same = |own: &str| -> Choice { own.as_bytes().ct_eq(token) };
        let (operator, reader) = (same(&self.tokens.operator), same(&self.tokens.reader));
        if operator.into() {
            Ok(Access::Operator)
        } else if reader.into() {
            Ok(Access::Reader)
        } else {
            Err(refused())
        }
    }
}

/// A header that is there once.
fn single(headers: &HeaderMap, name: header::HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// In front of all routes, and of what is none.
pub(super) async fn guard(State(api): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let guard = &api.guard;
    let passed = guard.own_name(request.uri(), request.headers());
    let mut response = match passed.and_then(|()| guard.access(request.headers())) {
        Ok(access) => {
            request.extensions_mut().insert(access);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// In front of one route.
pub(super) async fn allow(needed: Access, request: Request, next: Next) -> Response {
    match request.extensions().get::<Access>() {
        Some(access) if *access >= needed => next.run(request).await,
        _ => Refusal::new(
            StatusCode::FORBIDDEN,
            "the token is one for looking, and does not allow this",
            "use the operator's token, which stands in `api.token` in the node's home",
        )
        .into_response(),
    }
}
