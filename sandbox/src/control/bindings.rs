//! Bindings: what a person does at the connect page, without one.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::{in_vain, ok, parse, patience, show};
use crate::binding::BindingStatus;
use crate::error::ControlError;
use crate::state::Core;

pub(super) async fn all(State(core): State<Arc<Core>>) -> Response {
    let bindings = core.read(|state| state.show_bindings(&core.origin));
    ok(&json!({"bindings": bindings}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneQuery {
    #[serde(default)]
    status: Option<BindingStatus>,
    #[serde(default)]
    wait_ms: Option<u64>,
}

/// One binding; with `status` and `wait_ms` as soon as it has that status.
pub(super) async fn one(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
    Query(query): Query<OneQuery>,
) -> Response {
    let found = core
        .wait_for(patience(query.wait_ms), |state| match state.shown_binding(&core.origin, &id) {
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Complete {
    #[serde(default)]
    agent_id: Option<String>,
}

pub(super) async fn complete(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, ControlError> {
    let Complete { agent_id } = parse(&body)?;
    Ok(show(&core.complete_binding(&id, agent_id.as_deref())?))
}

pub(super) async fn expire(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
) -> Result<Response, ControlError> {
    Ok(show(&core.expire_binding(&id)?))
}
