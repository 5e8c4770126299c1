//! Figures for Prometheus. No label: nothing of people or data is in them.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::refusal::Refusal;
use super::routes::{Api, open_questions};
use crate::service;

/// Figures in the text format of Prometheus.
#[utoipa::path(get, tag = "node", path = "/v1/metrics", responses((status = 200, description = "Figures.", content_type = "text/plain", body = String)))]
pub(super) async fn metrics(State(api): Api) -> Result<impl IntoResponse, Refusal> {
    let (home, now) = (api.home.clone(), api.now());
    let text = api.with_store(move |store| {
        let mut text = String::new();
        let mut gauge = |name: &str, help: &str, value: u64| {
            // Writing into a text does not fail.
            let _ = writeln!(
                text,
                "# HELP histone_{name} {help}\n# TYPE histone_{name} gauge\nhistone_{name} {value}"
            );
        };
        gauge("up", "Whether a daemon holds the home.", super::door::is_held(&home).unwrap_or(false).into());
        gauge("letters_waiting", "Letters that nobody has signed for.", store.undelivered()?.len() as u64);
        gauge("questions_open", "Questions that wait for an answer.", open_questions(store, now)?);
        gauge("wishes_open", "Wishes that are neither done nor failed.", store.wishes(true)?.len() as u64);
        if let Some(status) = service::status(store)? {
            gauge("member", "Whether the ledger has the party as a member.", status.member.into());
            gauge("duties_failing", "Duties that fail and are tried again.", status.stumbles.len() as u64);
            if let Some(head) = &status.head {
                gauge("head_block", "The newest block that was executed.", head.number);
            }
            let age = now.saturating_sub(status.at);
            gauge("status_age_seconds", "Seconds since the daemon's status has changed.", age);
            let unreachable = status.unreachable.as_ref();
            gauge(
                "network_unreachable",
                "Whether the network cannot be reached.",
                unreachable.is_some().into(),
            );
            if let Some((_, since)) = unreachable {
                let help = "Since when the network cannot be reached, Unix seconds.";
                gauge("network_unreachable_since_seconds", help, *since);
            }
        }
        Ok::<_, Refusal>(text)
    });
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text.await?))
}
