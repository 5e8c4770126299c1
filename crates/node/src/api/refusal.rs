//! Why something is not done, as HTTP says it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::wire::Refused;
use crate::error::NodeError;
use crate::store::{AnswerError, StoreFault};

/// A refusal: what is wrong, and what to do.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    says: Refused,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { status, says: Refused { error: error.into(), todo: todo.into() } }
    }

    pub(super) fn not_found(what: String, todo: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, what, todo)
    }

    pub(super) fn invalid(what: String, todo: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, what, todo)
    }

    /// The work ended without an answer.
    pub(super) fn lost() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the node could not finish this; this is a mistake of the program",
            "look at the node's output, and report it",
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        // A struct of two texts is always JSON.
        let body = serde_json::to_vec(&self.says).unwrap_or_default();
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

impl From<StoreFault> for Refusal {
    fn from(fault: StoreFault) -> Self {
        let (status, todo) = match &fault {
            StoreFault::Full(_) => {
                (StatusCode::INSUFFICIENT_STORAGE, "free space on that disk, then ask again")
            }
            StoreFault::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "ask again when that program is closed"),
            StoreFault::ReadOnly(_) | StoreFault::Disk { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "ask again when the file can be written")
            }
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "run `histone node doctor`"),
        };
        Self::new(status, fault.to_string(), todo)
    }
}

impl From<AnswerError> for Refusal {
    fn from(error: AnswerError) -> Self {
        let (status, says, todo) = match error {
            AnswerError::Store(fault) => return fault.into(),
            AnswerError::Unknown(number) => return no_question(&number.to_string()),
            AnswerError::Twice { .. } => {
                (StatusCode::CONFLICT, error.to_string(), "there is nothing left to decide")
            }
            AnswerError::TooLate { .. } => {
                (StatusCode::GONE, error.to_string(), "there is nothing left to decide")
            }
            AnswerError::Withdrawn { .. } => {
                (StatusCode::GONE, error.to_string(), "there is nothing left to decide")
            }
        };
        Self::new(status, says, todo)
    }
}

impl From<NodeError> for Refusal {
    fn from(error: NodeError) -> Self {
        let says = histone_protocol::with_causes(&error);
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, says, "run `histone node doctor`")
    }
}

pub(super) fn no_question(number: &str) -> Refusal {
    Refusal::not_found(
        format!("there is no question {}", number.escape_debug()),
        "`histone inbox --all` lists them all",
    )
}
