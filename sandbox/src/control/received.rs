//! The log of received requests.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::{in_vain, ok, patience};
use crate::received::{Answer, Received, Unanswered};
use crate::state::Core;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Only requests for this route.
    #[serde(default)]
    route: Option<String>,
    /// Only requests after this number.
    #[serde(default)]
    after: u64,
    /// Wait until there are so many that are no longer being worked on.
    #[serde(default)]
    min: usize,
    #[serde(default)]
    wait_ms: Option<u64>,
}

pub(super) async fn list(State(core): State<Arc<Core>>, Query(query): Query<ListQuery>) -> Response {
    let found = core
        .wait_for(patience(query.wait_ms), |state| {
            let entries: Vec<Received> = state
                .received
                .iter()
                .filter(|entry| entry.n > query.after)
                .filter(|entry| query.route.is_none() || entry.route == query.route)
                .cloned()
                .collect();
            let done =
                entries.iter().filter(|entry| entry.status != Answer::Other(Unanswered::Pending)).count();
            (done >= query.min).then_some(entries)
        })
        .await;
    match found {
        Some(entries) => ok(&json!({"received": entries})),
        None => in_vain(),
    }
}

pub(super) async fn clear(State(core): State<Arc<Core>>) -> Response {
    core.change(|state| state.received.clear());
    ok(&json!({"ok": true}))
}
