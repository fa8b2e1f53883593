//! The LIME platform's HTTP API, and the table of both platforms' endpoints.

mod agent;
mod mcp;
mod site;

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::IntoResponse as _;
use axum::routing::{MethodFilter, MethodRouter, on};
use http::{HeaderMap, Uri};

use crate::envelope::Failure;
use crate::routes::{self, Dialect, Route};
use crate::sesame::{self, Detail};
use crate::state::Core;

/// The `{id}` of a path; what is not even text is the id of nothing.
type Id = Result<Path<String>, PathRejection>;

pub(crate) fn router(core: Arc<Core>) -> Router {
    let mut router = Router::new();
    let table: [(&Route, MethodRouter<Arc<Core>>); 11] = [
        (&routes::CREATE_REQUEST, on(MethodFilter::POST, site::create_request)),
        (&routes::READ_REQUEST, on(MethodFilter::GET, site::read_request)),
        (&routes::EVENTS, on(MethodFilter::GET, site::events)),
        (&routes::JWKS, on(MethodFilter::GET, site::jwks)),
        (&routes::CHALLENGE, on(MethodFilter::GET, agent::challenge)),
        (&routes::APPROVE, on(MethodFilter::POST, agent::approve)),
        (&routes::PROFILE, on(MethodFilter::GET, agent::profile)),
        (&routes::MCP_METADATA, on(MethodFilter::GET, mcp::metadata)),
        (&routes::MCP_TOKEN, on(MethodFilter::POST, mcp::token)),
        (&routes::TRIGGER_APPROVAL, on(MethodFilter::POST, sesame::trigger_approval)),
        (&routes::READ_APPROVAL, on(MethodFilter::GET, sesame::read_approval)),
    ];
    for (route, handler) in table {
        router = router.route(route.path, handler);
    }
    router
        .method_not_allowed_fallback(|uri: Uri| async move {
            match Dialect::of(uri.path()) {
                Dialect::Lime => Failure::METHOD_NOT_ALLOWED.into_response(),
                Dialect::Sesame => Detail::METHOD_NOT_ALLOWED.into_response(),
            }
        })
        .fallback(|uri: Uri| async move {
            match Dialect::of(uri.path()) {
                Dialect::Lime => Failure::NOT_FOUND.into_response(),
                Dialect::Sesame => Detail::NOT_FOUND.into_response(),
            }
        })
        .with_state(core)
}

fn id_in(path: Id) -> Result<String, Failure> {
    path.map(|Path(id)| id).map_err(|_| Failure::REQUEST_NOT_FOUND)
}

/// A header's text. Bytes that are no text become a text that is nobody's token.
pub(crate) fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

pub(crate) fn idempotency_key(headers: &HeaderMap) -> Option<String> {
    header(headers, "idempotency-key").filter(|key| !key.is_empty())
}
