//! The log of webhooks.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::{in_vain, ok, patience};
use crate::error::ControlError;
use crate::sesame::Webhook;
use crate::state::Core;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Only attempts for this approval.
    #[serde(default)]
    approval_id: Option<String>,
    /// Only attempts after this number.
    #[serde(default)]
    after: u64,
    /// Wait until there are so many.
    #[serde(default)]
    min: usize,
    #[serde(default)]
    wait_ms: Option<u64>,
}

pub(super) async fn list(State(core): State<Arc<Core>>, Query(query): Query<ListQuery>) -> Response {
    let wanted = |webhook: &&Webhook| {
        webhook.n > query.after
            && query.approval_id.as_ref().is_none_or(|approval_id| webhook.approval_id == *approval_id)
    };
    let found = core
        .wait_for(patience(query.wait_ms), |state| {
            let webhooks: Vec<_> = state.broker.webhooks.iter().filter(wanted).cloned().collect();
            (webhooks.len() >= query.min).then_some(webhooks)
        })
        .await;
    match found {
        Some(webhooks) => ok(&json!({"webhooks": webhooks})),
        None => in_vain(),
    }
}

pub(super) async fn clear(State(core): State<Arc<Core>>) -> Result<Response, ControlError> {
    core.clear_webhooks()?;
    Ok(ok(&json!({"ok": true})))
}

pub(super) async fn resend(
    State(core): State<Arc<Core>>,
    Path(n): Path<String>,
) -> Result<Response, ControlError> {
    let n = n.parse().map_err(|_| ControlError::not_found("there is no such webhook"))?;
    core.resend_webhook(n)?;
    Ok(ok(&json!({"resent": n})))
}
