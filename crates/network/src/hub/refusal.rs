//! What a hub refuses, in one sentence with the right status.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::blobs::BlobError;
use super::mail::MailError;
use super::sessions::Unopened;
use crate::StoreError;
use crate::wire::Refused;

/// An answer that is a refusal.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    says: String,
    /// Seconds until asking again makes sense.
    after: Option<u64>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, says: impl Into<String>) -> Self {
        Self { status, says: says.into(), after: None }
    }

    /// Somebody asks too often, or something is full for a while.
    pub(super) fn later(status: StatusCode, says: impl Into<String>, seconds: u64) -> Self {
        Self { status, says: says.into(), after: Some(seconds) }
    }

    pub(super) fn too_often(what: &str, seconds: u64) -> Self {
        Self::later(StatusCode::TOO_MANY_REQUESTS, format!("{what}; ask again in {seconds} s"), seconds)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        // A struct of one text is always JSON.
        let body = serde_json::to_vec(&Refused { error: self.says }).unwrap_or_default();
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        if let Some(seconds) = self.after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A cause is for the operator's log; others learn that there is one.
fn failed(log: &dyn Fn(&str), error: &dyn std::error::Error) -> String {
    let said = error.to_string();
    let mut whole = said.clone();
    let mut cause = error.source();
    while let Some(inner) = cause {
        whole = format!("{whole}: {inner}");
        cause = inner.source();
    }
    log(&whole);
    said
}

impl Refusal {
    pub(super) fn of_mail(error: &MailError, log: &dyn Fn(&str)) -> Self {
        match error {
            MailError::Full(says) => Self::later(StatusCode::TOO_MANY_REQUESTS, says, 600),
            MailError::NoRoom => Self::later(StatusCode::INSUFFICIENT_STORAGE, error.to_string(), 600),
            MailError::DiskFull(_) => {
                failed(log, error);
                let says = "the hub's disk is full; its operator has to make room";
                Self::later(StatusCode::INSUFFICIENT_STORAGE, says, 600)
            }
            MailError::Store { .. } | MailError::Newer { .. } => {
                // Paths of the hub's machine are nobody else's concern.
                failed(log, error);
                Self::internal()
            }
        }
    }

    pub(super) fn of_blob(error: &BlobError, log: &dyn Fn(&str)) -> Self {
        let status = match error {
            BlobError::Store(error) => return Self::of_store(error, log),
            BlobError::Elsewhere(_) | BlobError::Busy | BlobError::OtherTotal { .. } => StatusCode::CONFLICT,
            BlobError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            BlobError::Beyond(_) => StatusCode::BAD_REQUEST,
            BlobError::Hash(_) => StatusCode::UNPROCESSABLE_ENTITY,
            BlobError::TooMany(_) => {
                return Self::later(StatusCode::TOO_MANY_REQUESTS, error.to_string(), 60);
            }
            BlobError::Full => {
                return Self::later(StatusCode::INSUFFICIENT_STORAGE, error.to_string(), 600);
            }
        };
        Self::new(status, error.to_string())
    }

    pub(super) fn of_store(error: &StoreError, log: &dyn Fn(&str)) -> Self {
        failed(log, error);
        match error {
            StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => Self::later(
                StatusCode::INSUFFICIENT_STORAGE,
                "the hub's disk is full; its operator has to make room",
                600,
            ),
            _ => Self::internal(),
        }
    }

    pub(super) fn internal() -> Self {
        Self::later(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the hub's store fails; its operator finds why in the hub's output",
            60,
        )
    }
}

impl From<Unopened> for Refusal {
    fn from(error: Unopened) -> Self {
        let status = match error {
            Unopened::Signature => StatusCode::FORBIDDEN,
            Unopened::Challenge | Unopened::Twice => StatusCode::UNAUTHORIZED,
        };
        Self::new(status, error.to_string())
    }
}
