//! Core errors on their way to TypeScript, which has the classes (`ts/errors.ts`), chosen by kind there.

use lime_core::{Error, ErrorKind};
use napi_derive::napi;
use serde_json::{Value, json};

/// The `code` of an exception whose message is an error of the core as JSON.
const MARK: &str = "LIME";

/// The result of a native function.
pub(crate) type Result<T> = napi::Result<T, &'static str>;

/// The error as JSON.
pub(crate) fn json(error: &Error) -> Value {
    json!({
        "kind": error.kind().name(),
        "message": error.message(),
        "code": error.code(),
        "httpStatus": error.http_status(),
        "detail": error.detail(),
        "requestId": error.request_id(),
        "approvalId": error.approval_id(),
        "retryAfter": error.retry_after().map(|wait| wait.as_secs_f64() * 1000.0),
    })
}

/// The exception to throw from a native function.
pub(crate) fn thrown(error: Error) -> napi::Error<&'static str> {
    napi::Error::new(MARK, json(&error).to_string())
}

pub(crate) fn invalid(message: impl Into<String>) -> napi::Error<&'static str> {
    thrown(Error::new(ErrorKind::InvalidArgument, message))
}

/// `[[number, name, description], …]` of every kind, as JSON.
#[napi(catch_unwind)]
pub fn error_kinds() -> String {
    let kinds = ErrorKind::ALL.iter().map(|kind| json!([kind.number(), kind.name(), kind.description()]));
    Value::Array(kinds.collect()).to_string()
}
