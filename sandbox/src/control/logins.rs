//! Login requests and the signing keys.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::{error, in_vain, ok, parse, patience, show};
use crate::error::ControlError;
use crate::login::LoginStatus;
use crate::state::Core;

pub(super) async fn all(State(core): State<Arc<Core>>) -> Response {
    let requests = core.read(crate::state::State::show_all);
    ok(&json!({"login_requests": requests}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneQuery {
    #[serde(default)]
    status: Option<LoginStatus>,
    #[serde(default)]
    wait_ms: Option<u64>,
}

/// One request; with `status` and `wait_ms` as soon as it has that status.
pub(super) async fn one(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
    Query(query): Query<OneQuery>,
) -> Response {
    let found = core
        .wait_for(patience(query.wait_ms), |state| match state.shown(&id) {
            Ok(shown) if query.status.is_some_and(|status| status != shown.status) => None,
            result => Some(result),
        })
        .await;
    match found {
        Some(Ok(shown)) => show(&shown),
        Some(Err(error)) => error.into_response(),
        None => in_vain(),
    }
}

pub(super) async fn expire(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
) -> Result<Response, ControlError> {
    Ok(show(&core.force_expire(&id)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Approve {
    #[serde(default)]
    agent_id: Option<String>,
}

pub(super) async fn approve(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, ControlError> {
    let Approve { agent_id } = parse(&body)?;
    let key = core.keys.current().await;
    let event = core.force_approve(&key, &id, agent_id.as_deref())?;
    core.settle(event).await;
    core.read(|state| state.shown(&id)).map(|shown| show(&shown))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotate {
    #[serde(default)]
    keep_old: bool,
}

pub(super) async fn rotate(State(core): State<Arc<Core>>, body: Bytes) -> Result<Response, ControlError> {
    let Rotate { keep_old } = parse(&body)?;
    let keys = core.keys.clone();
    // It may have to wait for the spare key, so not on this thread.
    let kid = tokio::task::spawn_blocking(move || keys.rotate(keep_old)).await;
    core.announce();
    Ok(match kid {
        Ok(kid) => ok(&json!({"kid": kid, "kept_old": keep_old})),
        Err(failure) => error(StatusCode::INTERNAL_SERVER_ERROR, &failure.to_string()),
    })
}
