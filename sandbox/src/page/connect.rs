//! The hosted connect page: a person picks the agent that a site is to know, and is sent back there.
//!
//! It is opened by a link or a redirect of any site, but as a page of its own only, never in a frame. What
//! it does it does by two calls, which take a token that stands nowhere but in the page of that binding.

use axum::response::Response;
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use url::form_urlencoded;

use super::secured;
use crate::binding::BindingCompletion;
use crate::envelope::json_response;
use crate::guard;
use crate::state::Core;

const PAGE: &str = include_str!("connect.html");

const ROOT: &str = "/connect";
const PREFIX: &str = "/connect/";

/// Whether a path is the connect page's, or one of its calls.
pub(crate) fn owns(path: &str) -> bool {
    path == ROOT || path.starts_with(PREFIX)
}

/// The page or the answer to one of its calls.
pub(crate) fn answer(
    core: &Core,
    method: &Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    let binding = form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "binding_id")
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default();
    let reading = matches!(*method, Method::GET | Method::HEAD);
    match path.strip_prefix(PREFIX).unwrap_or_default() {
        "" if reading => match guard::navigation_refusal(headers, core.port) {
            Some(reason) => refused(reason),
            None => page(core, &binding),
        },
        "binding" if *method == Method::GET => guarded(core, &binding, headers, || view(core, &binding)),
        "complete" if *method == Method::POST => {
            guarded(core, &binding, headers, || complete(core, &binding, body))
        }
        "" | "binding" | "complete" => {
            failure(StatusCode::METHOD_NOT_ALLOWED, "the connect page does not take this method")
        }
        _ => failure(StatusCode::NOT_FOUND, "there is no such page"),
    }
}

fn page(core: &Core, binding: &str) -> Response {
    // A token is hexadecimal: nothing that comes from outside gets into the page.
    let token = core.read(|state| state.connect_token(binding).map(str::to_owned));
    let mut response = secured(&PAGE.replace("{{token}}", token.as_deref().unwrap_or_default()));
    if token.is_none() && response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}

/// Only the page of this very binding may call.
fn guarded(core: &Core, binding: &str, headers: &HeaderMap, act: impl FnOnce() -> Response) -> Response {
    if let Some(reason) = guard::refusal(headers, core.port) {
        return refused(reason);
    }
    let given = headers.get(guard::TOKEN).map(http::HeaderValue::as_bytes).unwrap_or_default();
    if core.read(|state| state.connect_token(binding).is_none()) {
        return failure(StatusCode::NOT_FOUND, "there is no such binding");
    }
    if !core.read(|state| state.is_connect_token(binding, given)) {
        return refused("the call needs the X-Sandbox-Token of the binding's connect page");
    }
    act()
}

fn view(core: &Core, binding: &str) -> Response {
    match core.read(|state| state.connect_view(binding)) {
        Some(view) => json_response(StatusCode::OK, &view),
        None => failure(StatusCode::NOT_FOUND, "there is no such binding"),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Complete {
    agent_id: String,
}

fn complete(core: &Core, binding: &str, body: &[u8]) -> Response {
    let Ok(Complete { agent_id }) = serde_json::from_slice(body) else {
        return failure(StatusCode::BAD_REQUEST, "the body must be {\"agent_id\": \"…\"}");
    };
    match core.complete_binding(binding, Some(&agent_id)) {
        // The code is in the address; the page has no use for it alone.
        Ok(BindingCompletion { redirect_url, .. }) => {
            json_response(StatusCode::OK, &json!({"redirect_url": redirect_url}))
        }
        Err(error) => axum::response::IntoResponse::into_response(error),
    }
}

fn refused(reason: &str) -> Response {
    failure(StatusCode::FORBIDDEN, reason)
}

fn failure(status: StatusCode, message: &str) -> Response {
    json_response(status, &json!({"error": message}))
}
