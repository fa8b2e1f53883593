//! The control API under `/_sandbox`: what tests and people drive the sandbox with.

mod accounts;
mod approvals;
mod clock;
mod faults;
mod logins;
mod mcp;
mod received;
mod rules;
mod settings;
mod streams;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::envelope::json_response;
use crate::error::ControlError;
use crate::page;
use crate::state::Core;

/// Where the control API lives.
pub(crate) const ROOT: &str = "/_sandbox";
/// The same with what is below it.
pub(crate) const PREFIX: &str = "/_sandbox/";

/// The largest control request; raw events may be large.
pub(crate) const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// The longest that a call waits for something to come true.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

pub(crate) fn router(core: Arc<Core>) -> Router {
    let calls = Router::new()
        .route("/health", get(health))
        .route("/info", get(accounts::info))
        .route("/reset", post(reset))
        .route("/sites", get(accounts::sites).post(accounts::add_site))
        .route("/sites/{id}/suspend", post(accounts::suspend))
        .route("/sites/{id}/resume", post(accounts::resume))
        .route("/agents", get(accounts::agents).post(accounts::add_agent))
        .route("/agents/{id}/grant-mcp", post(mcp::grant))
        .route("/agents/{id}/revoke-mcp", post(mcp::revoke))
        .route("/mcp-tokens", post(mcp::issue))
        .route("/settings", get(settings::read).put(settings::patch).patch(settings::patch))
        .route("/login-requests", get(logins::all))
        .route("/login-requests/{id}", get(logins::one))
        .route("/login-requests/{id}/expire", post(logins::expire))
        .route("/login-requests/{id}/approve", post(logins::approve))
        .route("/keys/rotate", post(logins::rotate))
        .route("/api-keys", get(accounts::api_keys).post(accounts::add_api_key))
        .route("/approvals", get(approvals::list))
        .route("/approvals/{id}", get(approvals::one))
        .route("/approvals/{id}/decision", post(approvals::decide))
        .route("/approvals/{id}/expire", post(approvals::expire))
        .route("/polls", get(approvals::polls))
        .route("/rules", get(rules::list).post(rules::add).delete(rules::clear))
        .route("/rules/{id}", delete(rules::remove))
        .route("/webhooks", get(webhooks::list).delete(webhooks::clear))
        .route("/webhooks/{n}/resend", post(webhooks::resend))
        .route("/received", get(received::list).delete(received::clear))
        .route("/streams", get(streams::list))
        .route("/streams/disconnect", post(streams::disconnect))
        .route("/events", post(streams::push))
        .route("/clock", get(clock::read).post(clock::change))
        .route("/faults", get(faults::list).post(faults::add).delete(faults::clear))
        .route("/faults/{id}", delete(faults::remove))
        .route("/page/events", get(page::events))
        .method_not_allowed_fallback(|| async {
            error(StatusCode::METHOD_NOT_ALLOWED, "the call does not take this method")
        })
        .with_state(core);
    Router::new()
        .nest(ROOT, calls)
        .fallback(|| async { error(StatusCode::NOT_FOUND, "there is no such call") })
}

async fn health() -> Response {
    ok(&json!({"ok": true, "version": env!("CARGO_PKG_VERSION")}))
}

async fn reset(State(core): State<Arc<Core>>) -> Response {
    core.reset();
    ok(&json!({"ok": true}))
}

/// A request that the guard has turned away.
pub(crate) fn refused(reason: &str) -> Response {
    error(StatusCode::FORBIDDEN, reason)
}

/// A body that broke off or is too large.
pub(crate) fn unreadable() -> Response {
    error(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large or broke off")
}

fn error(status: StatusCode, message: &str) -> Response {
    json_response(status, &json!({"error": message}))
}

fn ok(body: &Value) -> Response {
    json_response(StatusCode::OK, body)
}

/// The answer to something that can be shown as JSON.
fn show(body: &impl serde::Serialize) -> Response {
    match serde_json::to_value(body) {
        Ok(body) => ok(&body),
        Err(failure) => error(StatusCode::INTERNAL_SERVER_ERROR, &failure.to_string()),
    }
}

/// A call's JSON body; an empty one counts as `{}`.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ControlError> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| ControlError::invalid(error.to_string()))
}

/// One value, or a list of them. Looking at the shape first gives better messages than an
/// untagged enum does.
fn parse_list<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<T>, ControlError> {
    match parse::<Value>(body)? {
        list @ Value::Array(_) => serde_json::from_value(list),
        one => serde_json::from_value(one).map(|one| vec![one]),
    }
    .map_err(|error| ControlError::invalid(error.to_string()))
}

/// How long a call may wait.
fn patience(wait_ms: Option<u64>) -> Duration {
    Duration::from_millis(wait_ms.unwrap_or(0)).min(LONGEST_WAIT)
}

/// What a call that waited in vain answers.
fn in_vain() -> Response {
    error(StatusCode::GATEWAY_TIMEOUT, "it did not come true in time")
}

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        error(status, &self.to_string())
    }
}
