//! The platform's answers: every JSON body is an envelope, success or failure.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

/// `{"ok": true, "data": …}`
pub(crate) fn success(status: StatusCode, data: &Value) -> Response {
    json_response(status, &json!({"ok": true, "data": data}))
}

/// Any JSON document.
pub(crate) fn json_response(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A failure: `{"ok": false, "error": {"code": …, "message": …}}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: &'static str,
}

impl Failure {
    const fn new(status: StatusCode, code: &'static str, message: &'static str) -> Self {
        Self { status, code, message }
    }

    pub(crate) const SITE_TOKEN_MISSING: Self =
        Self::new(StatusCode::UNAUTHORIZED, "SITE_TOKEN_MISSING", "The X-Site-Token header is missing");
    pub(crate) const SITE_TOKEN_INVALID: Self =
        Self::new(StatusCode::UNAUTHORIZED, "SITE_TOKEN_INVALID", "The site token is not known");
    pub(crate) const SITE_SUSPENDED: Self =
        Self::new(StatusCode::FORBIDDEN, "SITE_SUSPENDED", "The site is suspended");
    pub(crate) const MISSING_AGENT_TOKEN: Self =
        Self::new(StatusCode::UNAUTHORIZED, "MISSING_AGENT_TOKEN", "The X-Agent-Token header is missing");
    pub(crate) const INVALID_AGENT_TOKEN: Self =
        Self::new(StatusCode::UNAUTHORIZED, "INVALID_AGENT_TOKEN", "The agent token is not known");
    pub(crate) const SITE_TOKEN_AUTH_UNAVAILABLE: Self = Self::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "SITE_TOKEN_AUTH_UNAVAILABLE",
        "Site tokens cannot be looked at right now",
    );
    pub(crate) const AUTH_UNAVAILABLE: Self = Self::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "AUTH_UNAVAILABLE",
        "Agent tokens cannot be looked at right now",
    );
    pub(crate) const AGENT_INACTIVE: Self =
        Self::new(StatusCode::FORBIDDEN, "AGENT_INACTIVE", "The agent was switched off by its owner");
    pub(crate) const AGENT_USER_SUSPENDED: Self = Self::new(
        StatusCode::FORBIDDEN,
        "AGENT_USER_SUSPENDED",
        "The account of the agent's owner is suspended",
    );
    pub(crate) const REQUEST_NOT_FOUND: Self = Self::new(
        StatusCode::NOT_FOUND,
        "SITE_LOGIN_REQUEST_NOT_FOUND",
        "There is no such login request, or it is no longer open",
    );
    pub(crate) const MISSING_POW_NONCE: Self =
        Self::new(StatusCode::BAD_REQUEST, "MISSING_POW_NONCE", "The body has no pow_nonce");
    pub(crate) const INVALID_POW: Self =
        Self::new(StatusCode::BAD_REQUEST, "INVALID_POW", "The proof of work does not fit the challenge");
    pub(crate) const CONFLICT: Self =
        Self::new(StatusCode::CONFLICT, "SITE_LOGIN_CONFLICT", "The login request has already been approved");
    pub(crate) const INVALID_REDIRECT_URI: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "VALIDATION_ERROR",
        "redirect_uri must be an absolute https URL (in the sandbox also http on this machine) without a \
         fragment, a user name and a binding_code",
    );
    pub(crate) const MISSING_BINDING_CODE: Self =
        Self::new(StatusCode::BAD_REQUEST, "VALIDATION_ERROR", "The body has no binding_code");
    pub(crate) const INVALID_BINDING_CODE: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "INVALID_BINDING_CODE",
        "The binding code is unknown, used, expired or another site's",
    );
    pub(crate) const INVALID_JSON: Self =
        Self::new(StatusCode::BAD_REQUEST, "INVALID_JSON", "The body is not a JSON object");
    pub(crate) const NOT_FOUND: Self =
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", "There is no such endpoint");
    pub(crate) const METHOD_NOT_ALLOWED: Self = Self::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "METHOD_NOT_ALLOWED",
        "The endpoint does not take this method",
    );
    pub(crate) const BODY_TOO_LARGE: Self =
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", "The body is larger than the limit");
    pub(crate) const INTERNAL: Self =
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", "The sandbox could not do its work");

    /// The envelope alone.
    pub(crate) fn body(code: &str, message: &str) -> Value {
        json!({"ok": false, "error": {"code": code, "message": message}})
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        json_response(self.status, &Self::body(self.code, self.message))
    }
}
