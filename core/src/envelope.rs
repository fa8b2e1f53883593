//! The wrapping of every LIME answer: `{"ok": true, "data": {…}}` or `{"ok": false, "error": {…}}`.

use serde_json::{Map, Value};

use crate::{Error, ErrorKind, Result, json};

/// Codes that mean a missing or refused token, whatever the HTTP status.
const AUTHENTICATION_CODES: [&str; 5] = [
    "SITE_TOKEN_MISSING",
    "SITE_TOKEN_INVALID",
    "SITE_SUSPENDED",
    "MISSING_AGENT_TOKEN",
    "INVALID_AGENT_TOKEN",
];

/// Takes the `data` out of a success envelope.
///
/// # Errors
/// The platform's own error as [`ErrorKind::RateLimit`], the kind that its code has for itself
/// ([`ErrorKind::AgentInactive`] and the like), [`ErrorKind::Authentication`] or [`ErrorKind::Api`], in this
/// order of precedence; anything that is not an envelope is [`ErrorKind::BadResponse`] with the HTTP status in
/// its message.
///
/// ```
/// use lime_core::{ErrorKind, envelope};
///
/// let error = envelope::open(429, br#"{"ok":false,"error":{"code":"SLOW","message":"wait"}}"#).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::RateLimit);
/// ```
pub fn open(http_status: u16, body: &[u8]) -> Result<Map<String, Value>> {
    let mut payload = object(http_status, body)?;
    if payload.get("ok") == Some(&Value::Bool(true)) {
        return match payload.remove("data") {
            Some(Value::Object(data)) => Ok(data),
            _ => Err(bad(http_status, "Success envelope missing data object".to_owned())),
        };
    }
    let Some(Value::Object(mut error)) = payload.remove("error") else {
        return Err(bad(http_status, format!("Error envelope missing error object (HTTP {http_status})")));
    };
    let code = error.get("code").and_then(json::text).unwrap_or_else(|| "UNKNOWN_ERROR".to_owned());
    let message = error.get("message").and_then(json::text).unwrap_or_else(|| "Unknown error".to_owned());
    let detail = match error.remove("detail") {
        Some(Value::Object(detail)) => Some(detail),
        _ => None,
    };
    let kind = kind(http_status, &code);
    Err(Error::new(kind, message).with_code(code).with_http_status(http_status).with_detail(detail))
}

fn kind(http_status: u16, code: &str) -> ErrorKind {
    if http_status == 429 {
        return ErrorKind::RateLimit;
    }
    match code {
        "RATE_LIMIT_EXCEEDED" => ErrorKind::RateLimit,
        "AGENT_INACTIVE" => ErrorKind::AgentInactive,
        "AGENT_USER_SUSPENDED" => ErrorKind::AgentUserSuspended,
        "AUTH_UNAVAILABLE" => ErrorKind::AuthUnavailable,
        "SITE_TOKEN_AUTH_UNAVAILABLE" => ErrorKind::SiteAuthUnavailable,
        _ if http_status == 401 || AUTHENTICATION_CODES.contains(&code) => ErrorKind::Authentication,
        _ => ErrorKind::Api,
    }
}

/// Reads a body that must be a JSON object, without looking at what is in it.
pub(crate) fn object(http_status: u16, body: &[u8]) -> Result<Map<String, Value>> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(bad(http_status, format!("Unexpected response shape (HTTP {http_status})"))),
        Err(_) => Err(bad(http_status, format!("Invalid JSON response (HTTP {http_status})"))),
    }
}

fn bad(http_status: u16, message: String) -> Error {
    Error::new(ErrorKind::BadResponse, message).with_http_status(http_status)
}
