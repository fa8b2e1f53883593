//! The broker's HTTP API.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::{Detail, polls};
use crate::api::{header, idempotency_key};
use crate::envelope::json_response;
use crate::state::Core;

const AUTHORIZATION: &str = "authorization";

pub(crate) async fn trigger_approval(
    State(core): State<Arc<Core>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Detail> {
    let authorization = header(&headers, AUTHORIZATION);
    let answer =
        core.change(|state| state.trigger(authorization.as_deref(), &body, idempotency_key(&headers)))?;
    // It may be the first to expire, or a rule may be about to decide it.
    core.timer.notify_one();
    Ok(json_response(StatusCode::ACCEPTED, &answer))
}

#[derive(Deserialize)]
pub(crate) struct ReadQuery {
    #[serde(default)]
    wait: Option<String>,
}

pub(crate) async fn read_approval(
    State(core): State<Arc<Core>>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<ReadQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Detail> {
    let authorization = header(&headers, AUTHORIZATION);
    // The key is looked at before anything else, so that a missing one is told even for an id
    // that is none.
    core.read(|state| state.broker.keys.authenticate(authorization.as_deref()).map(|_| ()))?;
    let Path(id) = path.map_err(|_| Detail::APPROVAL_NOT_FOUND)?;
    let wait = query.ok().and_then(|Query(query)| query.wait.as_deref().map_or(Some(false), flag));
    let wait = wait.ok_or_else(|| Detail::unprocessable("wait must be true or false"))?;
    let answer = polls::read(&core, authorization.as_deref(), &id, wait).await?;
    Ok(json_response(StatusCode::OK, &answer))
}

/// The spellings of a flag in a query.
fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}
