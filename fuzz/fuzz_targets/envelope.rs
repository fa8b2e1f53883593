//! Envelopes: whatever the platform answers, it is data or an error of the kind that the protocol's table says.
//!
//! The input is the body; its first two bytes choose the HTTP status.

use lime_core::{ErrorKind, envelope};
use serde_json::{Map, Value};

/// Texts that mean something here.
pub const WORDS: &[&str] = &[
    "{\"ok\":true,\"data\":{}}",
    "\"ok\":",
    "true",
    "false",
    "null",
    "\"data\":",
    "{\"ok\":false,\"error\":{",
    "\"error\":{",
    "\"code\":",
    "\"message\":",
    "\"detail\":{",
    "\"RATE_LIMIT_EXCEEDED\"",
    "\"AGENT_INACTIVE\"",
    "\"AGENT_USER_SUSPENDED\"",
    "\"AUTH_UNAVAILABLE\"",
    "\"SITE_TOKEN_AUTH_UNAVAILABLE\"",
    "\"SITE_TOKEN_MISSING\"",
    "\"SITE_TOKEN_INVALID\"",
    "\"SITE_SUSPENDED\"",
    "\"MISSING_AGENT_TOKEN\"",
    "\"INVALID_AGENT_TOKEN\"",
    "1e999",
    "[]",
    "{}",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "[[[[[[[[",
];

const STATUSES: [u16; 12] = [200, 201, 202, 400, 401, 403, 404, 409, 429, 500, 503, 599];

/// What came out of it.
#[derive(Debug, PartialEq)]
enum Outcome {
    Data(Map<String, Value>),
    Error { kind: ErrorKind, code: Option<String>, message: String, detail: Option<Map<String, Value>> },
}

/// Runs the target once.
///
/// # Panics
/// When the library is wrong.
pub fn run(data: &[u8]) {
    let Some(([high, low], body)) = data.split_first_chunk() else { return };
    let status = match high {
        0 => 100 + u16::from(*low),
        _ => STATUSES[usize::from(*low) % STATUSES.len()],
    };
    let opened = match envelope::open(status, body) {
        Ok(data) => Outcome::Data(data),
        Err(error) => {
            assert_eq!(error.http_status(), Some(status));
            Outcome::Error {
                kind: error.kind(),
                code: error.code().map(str::to_owned),
                message: error.message().to_owned(),
                detail: error.detail().cloned(),
            }
        }
    };
    match (plainly(status, body), opened) {
        (Some(wanted), opened) => assert_eq!(opened, wanted, "HTTP {status}"),
        (None, Outcome::Error { kind: ErrorKind::BadResponse, code: None, detail: None, message }) => {
            assert!(!message.is_empty());
        }
        (None, other) => panic!("no envelope, and yet {other:?}"),
    }
}

/// None stands for what is no envelope.
fn plainly(status: u16, body: &[u8]) -> Option<Outcome> {
    let Ok(Value::Object(envelope)) = serde_json::from_slice(body) else { return None };
    if envelope.get("ok").and_then(Value::as_bool) == Some(true) {
        return envelope.get("data")?.as_object().cloned().map(Outcome::Data);
    }
    let error = envelope.get("error")?.as_object()?;
    let text = |name: &str, otherwise: &str| match error.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => otherwise.to_owned(),
    };
    let code = text("code", "UNKNOWN_ERROR");
    let refused = [
        "SITE_TOKEN_MISSING",
        "SITE_TOKEN_INVALID",
        "SITE_SUSPENDED",
        "MISSING_AGENT_TOKEN",
        "INVALID_AGENT_TOKEN",
    ];
    let kind = if status == 429 || code == "RATE_LIMIT_EXCEEDED" {
        ErrorKind::RateLimit
    } else if code == "AGENT_INACTIVE" {
        ErrorKind::AgentInactive
    } else if code == "AGENT_USER_SUSPENDED" {
        ErrorKind::AgentUserSuspended
    } else if code == "AUTH_UNAVAILABLE" {
        ErrorKind::AuthUnavailable
    } else if code == "SITE_TOKEN_AUTH_UNAVAILABLE" {
        ErrorKind::SiteAuthUnavailable
    } else if status == 401 || refused.contains(&&*code) {
        ErrorKind::Authentication
    } else {
        ErrorKind::Api
    };
    let detail = error.get("detail").and_then(Value::as_object).cloned();
    Some(Outcome::Error { kind, code: Some(code), message: text("message", "Unknown error"), detail })
}
