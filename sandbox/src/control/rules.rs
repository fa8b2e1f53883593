//! Rules that decide approvals.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;

use super::{ok, parse_list};
use crate::error::ControlError;
use crate::sesame::Rule;
use crate::state::Core;

pub(super) async fn list(State(core): State<Arc<Core>>) -> Response {
    let rules = core.read(|state| state.broker.rules.states());
    ok(&json!({"rules": rules}))
}

/// Takes one rule, or a list of them.
pub(super) async fn add(State(core): State<Arc<Core>>, body: Bytes) -> Result<Response, ControlError> {
    let rules: Vec<Rule> = parse_list(&body)?;
    let ids = core.add_rules(&rules)?;
    Ok(ok(&json!({"ids": ids})))
}

pub(super) async fn clear(State(core): State<Arc<Core>>) -> Response {
    ok(&json!({"removed": core.remove_rules(None)}))
}

pub(super) async fn remove(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
) -> Result<Response, ControlError> {
    match id.parse().map(|id| core.remove_rules(Some(id))) {
        Ok(removed @ 1..) => Ok(ok(&json!({"removed": removed}))),
        _ => Err(ControlError::not_found("there is no such rule")),
    }
}
