//! The fault plan.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;

use super::{ok, parse_list};
use crate::error::ControlError;
use crate::fault::Fault;
use crate::state::Core;

pub(super) async fn list(State(core): State<Arc<Core>>) -> Response {
    let faults = core.read(|state| state.faults.states());
    ok(&json!({"faults": faults}))
}

/// Takes one rule, or a list of them.
pub(super) async fn add(State(core): State<Arc<Core>>, body: Bytes) -> Result<Response, ControlError> {
    let faults: Vec<Fault> = parse_list(&body)?;
    let ids = core.change(|state| state.add_faults(&faults))?;
    Ok(ok(&json!({"ids": ids})))
}

pub(super) async fn clear(State(core): State<Arc<Core>>) -> Response {
    let removed = core.change(|state| state.faults.clear());
    ok(&json!({"removed": removed}))
}

pub(super) async fn remove(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
) -> Result<Response, ControlError> {
    let id = id.parse().map_err(|_| ControlError::not_found("there is no such fault"))?;
    core.change(|state| state.faults.remove(id))?;
    Ok(ok(&json!({"removed": 1})))
}
