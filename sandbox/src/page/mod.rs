//! The inbox: one page at `/`, for the people who decide; and the connect page (`connect`).
//!
//! Each page is one file without anything from outside. It is told of changes over an event stream
//! and decides through the control API, which takes writes from a browser only with a token that
//! stands nowhere but in the page.

pub(crate) mod connect;
mod feed;
mod snapshot;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};

pub(crate) use feed::events;

use crate::ids;
use crate::state::Core;

const PAGE: &str = include_str!("page.html");

/// Where the page lives.
pub(crate) const PATH: &str = "/";

/// What is made anew with each process.
#[derive(Debug)]
pub(crate) struct Identity {
    /// What a browser's write calls must carry.
    pub(crate) token: String,
    /// Tells an open page that it talks to another process than before.
    instance: String,
}

impl Identity {
    pub(crate) fn new() -> Self {
        Self { token: ids::hex(&ids::random::<32>()), instance: ids::uuid() }
    }
}

/// The inbox.
pub(crate) fn page(core: &Core) -> Response {
    secured(&PAGE.replace("{{token}}", &core.page.token))
}

/// A page, with a policy that lets nothing run but what stands in it.
fn secured(page: &str) -> Response {
    let nonce = ids::base64url(&ids::random::<18>());
    let body = page.replace("{{nonce}}", &nonce);
    let mut response = Response::new(Body::from(body));
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'"
    );
    let headers = response.headers_mut();
    // Made of ASCII, so it is a header value; without a policy there is no page.
    let Ok(policy) = HeaderValue::from_str(&policy) else {
        let mut failed = Response::new(Body::empty());
        *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        return failed;
    };
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    keep_private(response)
}

/// Keeps an answer out of caches and other origins, and browsers from guessing what it is.
pub(crate) fn keep_private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    );
    response
}
