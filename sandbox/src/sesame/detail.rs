//! The broker's failures: `{"detail": …}` instead of the LIME envelope.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::envelope::json_response;

/// A failure of the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Detail {
    status: StatusCode,
    detail: Cow<'static, str>,
}

impl Detail {
    const fn new(status: StatusCode, detail: &'static str) -> Self {
        Self { status, detail: Cow::Borrowed(detail) }
    }

    pub(crate) const API_KEY_MISSING: Self = Self::new(StatusCode::UNAUTHORIZED, "The API key is missing");
    pub(crate) const API_KEY_INVALID: Self = Self::new(StatusCode::UNAUTHORIZED, "The API key is not known");
    pub(crate) const APPROVAL_NOT_FOUND: Self = Self::new(StatusCode::NOT_FOUND, "There is no such approval");
    pub(crate) const NOT_FOUND: Self = Self::new(StatusCode::NOT_FOUND, "There is no such endpoint");
    pub(crate) const METHOD_NOT_ALLOWED: Self =
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "The endpoint does not take this method");
    pub(crate) const BODY_TOO_LARGE: Self =
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is larger than the limit");
    pub(crate) const NOT_WRITTEN: Self =
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "The state file could not be written");

    /// What was sent cannot be used.
    pub(crate) fn unprocessable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, detail: detail.into() }
    }

    /// The body alone.
    pub(crate) fn body(detail: &str) -> Value {
        json!({"detail": detail})
    }
}

impl IntoResponse for Detail {
    fn into_response(self) -> Response {
        let mut response = json_response(self.status, &Self::body(&self.detail));
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
