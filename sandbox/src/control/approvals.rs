//! Approvals, and the long polls that wait for them.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::{in_vain, ok, parse, patience, show};
use crate::error::ControlError;
use crate::sesame::{ApprovalStatus, Decision};
use crate::state::Core;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Only those that stand there.
    #[serde(default)]
    status: Option<ApprovalStatus>,
    /// Wait until there are so many.
    #[serde(default)]
    min: usize,
    #[serde(default)]
    wait_ms: Option<u64>,
}

pub(super) async fn list(State(core): State<Arc<Core>>, Query(query): Query<ListQuery>) -> Response {
    let found = core
        .wait_for(patience(query.wait_ms), |state| {
            (state.count_approvals(query.status) >= query.min).then(|| state.show_approvals(query.status))
        })
        .await;
    match found {
        Some(approvals) => ok(&json!({"approvals": approvals})),
        None => in_vain(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneQuery {
    #[serde(default)]
    status: Option<ApprovalStatus>,
    #[serde(default)]
    wait_ms: Option<u64>,
}

/// One approval; with `status` and `wait_ms` as soon as it has that status.
pub(super) async fn one(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
    Query(query): Query<OneQuery>,
) -> Response {
    let found = core
        .wait_for(patience(query.wait_ms), |state| match state.approval_status(&id) {
            Some(found) if query.status.is_some_and(|status| status != found) => None,
            _ => Some(state.shown_approval(&id)),
        })
        .await;
    match found {
        Some(Ok(shown)) => show(&shown),
        Some(Err(error)) => error.into_response(),
        None => in_vain(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decide {
    decision: Decision,
    #[serde(default)]
    note: Option<String>,
}

pub(super) async fn decide(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, ControlError> {
    let Decide { decision, note } = parse(&body)?;
    Ok(show(&core.decide(&id, decision, note.as_deref())?))
}

pub(super) async fn expire(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
) -> Result<Response, ControlError> {
    Ok(show(&core.expire_approval(&id)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PollsQuery {
    #[serde(default)]
    min: Option<usize>,
    #[serde(default)]
    max: Option<usize>,
    #[serde(default)]
    wait_ms: Option<u64>,
}

/// How many long polls are held; with conditions as soon as they hold.
pub(super) async fn polls(State(core): State<Arc<Core>>, Query(query): Query<PollsQuery>) -> Response {
    let found = core
        .wait_for(patience(query.wait_ms), |state| {
            let open = state.broker.polls;
            let fits = query.min.is_none_or(|min| open >= min) && query.max.is_none_or(|max| open <= max);
            fits.then_some(open)
        })
        .await;
    match found {
        Some(open) => ok(&json!({"open": open})),
        None => in_vain(),
    }
}
