//! Webhooks: verified and signed on the calling thread.

use std::sync::Arc;

use lime_core::WebhookVerifier;
use lime_core::clock::ManualClock;
use lime_core::sesame::webhook;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use serde_json::Value;

use crate::convert;
use crate::error::{self, Result};

/// Remembers which bodies were let in.
#[napi]
pub struct ReplayGuard {
    guard: lime_core::ReplayGuard,
}

#[napi]
impl ReplayGuard {
    #[napi(constructor, catch_unwind)]
    pub fn new(horizon: f64, capacity: f64) -> Result<Self> {
        let horizon = convert::millis("horizon", horizon)?;
        Ok(Self { guard: lime_core::ReplayGuard::new(horizon, convert::count(capacity).max(1) as usize) })
    }

    /// Lets a body in again; whether it had been let in.
    #[napi(catch_unwind)]
    pub fn forget(&self, body: Uint8Array) -> bool {
        self.guard.forget(&body)
    }
}

/// The payload, as JSON, of a webhook that can be trusted. `headers` has names and values in turn.
#[napi(catch_unwind)]
pub fn verify_webhook(
    headers: Vec<Uint8Array>,
    body: Uint8Array,
    secrets: Vec<Uint8Array>,
    tolerance: f64,
    now: f64,
    replay_guard: Option<&ReplayGuard>,
) -> Result<String> {
    let mut verifier = WebhookVerifier::new(&secrets)
        .tolerance(convert::millis("tolerance", tolerance)?)
        .clock(Arc::new(ManualClock::at(convert::millis("now", now)?)));
    if let Some(guard) = replay_guard {
        verifier = verifier.replay_guard(guard.guard.clone());
    }
    let pairs = headers.chunks_exact(2).map(|pair| (&pair[0], &pair[1]));
    let trusted = verifier.verify(pairs, &body).map_err(error::thrown)?;
    Ok(Value::Object(trusted.payload).to_string())
}

/// Whether a header of this name is looked at.
#[napi(catch_unwind)]
pub fn webhook_concerns(name: String) -> bool {
    webhook::concerns(name.as_bytes())
}

/// `[signature, timestamp]`: the values of the two headers. `timestamp` is in Unix seconds, in digits: it
/// may be larger than JavaScript's integers.
#[napi(catch_unwind)]
pub fn sign_webhook(body: Uint8Array, secret: Uint8Array, timestamp: String) -> Result<Vec<String>> {
    let timestamp = timestamp.parse().map_err(|_| error::invalid("timestamp must be a time from 1970 on"))?;
    let signed = webhook::sign(&body, &secret, timestamp).map_err(error::thrown)?;
    Ok(vec![signed.signature, signed.timestamp])
}
