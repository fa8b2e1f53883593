//! The pure functions, for programs that do their own I/O and for the shared vectors.

use lime_core::site::frame::Frame;
use lime_core::site::jwks::KeySet;
use lime_core::site::{passport, sse};
use lime_core::{BindingCheck, Error, ErrorKind, PassportCheck, Timestamp, envelope};
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use serde_json::{Value, json};

use crate::convert;
use crate::error::{self, Result};

/// The `data` of an envelope, as JSON.
#[napi(catch_unwind)]
pub fn open_envelope(http_status: u32, body: Uint8Array) -> Result<String> {
    let status = u16::try_from(http_status).map_err(|_| error::invalid("There is no such HTTP status"))?;
    let data = envelope::open(status, &body).map_err(error::thrown)?;
    Ok(Value::Object(data).to_string())
}

/// `[unix_micros, offset_seconds or null]` of an ISO 8601 text, as JSON.
#[napi(catch_unwind)]
pub fn parse_timestamp(text: String) -> Result<String> {
    let parsed = Timestamp::parse(&text).map_err(error::thrown)?;
    Ok(json!([parsed.unix_micros, parsed.offset_seconds]).to_string())
}

/// The claims of a passport, as JSON, verified with a key document that is at hand.
#[napi(catch_unwind)]
pub fn verify_passport(
    jwt: String,
    jwks: Uint8Array,
    api_root: String,
    expected_request_id: Option<String>,
    require_issuer: bool,
    now: f64,
) -> Result<String> {
    let mut check = PassportCheck::default().require_issuer(require_issuer);
    if let Some(request_id) = expected_request_id {
        check = check.expected_request_id(request_id);
    }
    let now = convert::millis("now", now)?;
    let verified = KeySet::from_json(&jwks)
        .and_then(|keys| passport::verify(&jwt, &keys, &api_root, &check, now))
        .map_err(error::thrown)?;
    Ok(Value::Object(verified.claims).to_string())
}

/// The claims of a binding passport, as JSON, verified with a key document that is at hand.
#[napi(catch_unwind)]
pub fn verify_binding_passport(
    jwt: String,
    jwks: Uint8Array,
    api_root: String,
    expected_binding_id: Option<String>,
    require_issuer: bool,
    now: f64,
) -> Result<String> {
    let mut check = BindingCheck::default().require_issuer(require_issuer);
    if let Some(binding_id) = expected_binding_id {
        check = check.expected_binding_id(binding_id);
    }
    let now = convert::millis("now", now)?;
    let verified = KeySet::from_json(&jwks)
        .and_then(|keys| passport::verify_binding(&jwt, &keys, &api_root, &check, now))
        .map_err(error::thrown)?;
    Ok(Value::Object(verified.claims).to_string())
}

/// What the data of one event says: its kind and its texts, as JSON.
#[napi(catch_unwind)]
pub fn parse_frame(data: String) -> String {
    match Frame::parse(&data) {
        Frame::Keepalive => json!(["keepalive"]),
        Frame::Approved { request_id, passport } => json!(["approved", request_id, passport]),
        Frame::Expired { request_id } => json!(["expired", request_id]),
        Frame::Error { code, message } => json!(["error", code, message]),
        Frame::Ignored => json!(["ignored"]),
        Frame::Malformed(reason) => json!(["malformed", reason]),
    }
    .to_string()
}

/// Bytes to server-sent events.
#[napi]
pub struct EventParser {
    parser: sse::Parser,
}

#[napi]
impl EventParser {
    #[napi(constructor, catch_unwind)]
    pub fn new(last_event_id: String) -> Self {
        Self { parser: sse::Parser::resumed(last_event_id) }
    }

    /// The events that this chunk completes: `[[event, data, id], …]` as JSON.
    #[napi(catch_unwind)]
    pub fn feed(&mut self, chunk: Uint8Array) -> Result<String> {
        let mut events = Vec::new();
        let fed = self.parser.feed(&chunk, |event| events.push(json!([event.event, event.data, event.id])));
        if let Err(sse::TooLong) = fed {
            let message = "An event is larger than an event may be";
            return Err(error::thrown(Error::new(ErrorKind::BadResponse, message)));
        }
        Ok(Value::Array(events).to_string())
    }

    #[napi(getter, catch_unwind)]
    pub fn last_event_id(&self) -> String {
        self.parser.last_event_id().to_owned()
    }

    #[napi(getter, catch_unwind)]
    pub fn retry_millis(&self) -> Option<f64> {
        #[allow(clippy::cast_precision_loss)] // a wait of 285,000 years is exact
        self.parser.retry_millis().map(|millis| millis as f64)
    }
}
