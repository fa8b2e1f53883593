//! Webhooks of the Sesame broker: verified, and signed for tests.

use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;
use std::time::Duration;

use lime_core::clock::ManualClock;
use lime_core::sesame::webhook::sign;
use lime_core::{ReplayGuard, Webhook, WebhookVerifier};
use serde_json::Value;

use crate::error::lime_error;
use crate::panic;
use crate::strings::{Out, borrow, bytes, c_text, copy, get, give, invalid, set, take, text, texts};

/// The room that a signature needs, with the NUL at its end.
pub const LIME_WEBHOOK_SIGNATURE_SIZE: usize = 65;

/// Verifies webhooks. Fill it with lime_webhook_verifier_add_secret() and the set functions before it is
/// shared; from then on any number of threads may verify with it at once. Make one for each endpoint and
/// keep it: with a replay guard it has a memory. Free it with lime_webhook_verifier_free().
pub struct lime_webhook_verifier {
    verifier: WebhookVerifier,
    guard: Option<ReplayGuard>,
}

/// A webhook that can be trusted. Free it with lime_webhook_free().
pub struct lime_webhook {
    json: CString,
    texts: Vec<(String, CString)>,
    timestamp: u64,
}

impl lime_webhook {
    fn text(&self, field: &str) -> *const c_char {
        let found = self.texts.iter().find(|(known, _)| known == field);
        found.map_or(std::ptr::null(), |(_, value)| value.as_ptr())
    }
}

impl From<Webhook> for lime_webhook {
    fn from(webhook: Webhook) -> Self {
        let text = |(name, value): (&String, &Value)| Some((name.clone(), c_text(value.as_str()?)));
        Self {
            texts: webhook.payload.iter().filter_map(text).collect(),
            timestamp: webhook.timestamp,
            json: c_text(&Value::Object(webhook.payload).to_string()),
        }
    }
}

/// A verifier without a secret, which refuses everything until it has one; with the machine's clock, a
/// tolerance of 300,000 ms and no replay guard.
///
/// Returns: the verifier, to be freed with lime_webhook_verifier_free(); never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn lime_webhook_verifier_new() -> *mut lime_webhook_verifier {
    panic::value(std::ptr::null_mut(), || {
        let verifier = WebhookVerifier::new(std::iter::empty::<&[u8]>());
        give(lime_webhook_verifier { verifier, guard: None })
    })
}

/// Adds a secret: any of them may have signed, as while one replaces the other. An empty one, or one of
/// white space only, makes the verifier refuse everything with "empty_secret": anybody could sign with it.
///
/// Parameters: `secret`, `length`: bytes; copied, and wiped when the verifier is freed.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (verifier NULL, secret NULL with a length).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_webhook_verifier_add_secret(
    verifier: *mut lime_webhook_verifier,
    secret: *const c_void,
    length: usize,
) -> i32 {
    // SAFETY: NULL or a live object that no other thread uses, and NULL or `length` bytes, as the header asks.
    unsafe {
        set(verifier, |verifier| {
            let secret = bytes(secret, length, "secret")?;
            verifier.verifier = verifier.verifier.clone().secret(secret);
            Ok(())
        })
    }
}

/// Sets how far the timestamp may lie in the past or in the future. Default: 300,000 ms.
///
/// Parameters: `tolerance_ms`: milliseconds; with 0 the timestamp must be this very second.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (verifier NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_webhook_verifier_set_tolerance_ms(
    verifier: *mut lime_webhook_verifier,
    tolerance_ms: u64,
) -> i32 {
    // SAFETY: NULL or a live object that no other thread uses, as the header asks.
    unsafe {
        set(verifier, |verifier| {
            let tolerance = Duration::from_millis(tolerance_ms);
            verifier.verifier = verifier.verifier.clone().tolerance(tolerance);
            Ok(())
        })
    }
}

/// Lets every body in once only, in this process; see "Webhooks" in the manual above for what is better.
/// It remembers the hashes of bodies by their `decided_at`, which is signed, and refuses what was decided
/// too long ago to tell. Memory is bounded: when there are too many bodies the oldest are forgotten, and
/// everything as old as they are is refused. A forked child begins with an empty memory.
///
/// Parameters: `horizon_ms`: for how long a decision is remembered, for example 86,400,000 (a day).
/// `capacity`: for how many decisions there is room, for example 100,000 (some 15 MB when it is full); 0
/// counts as 1. A guard that was set before is replaced, with its memory.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (verifier NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_webhook_verifier_set_replay_guard(
    verifier: *mut lime_webhook_verifier,
    horizon_ms: u64,
    capacity: usize,
) -> i32 {
    // SAFETY: NULL or a live object that no other thread uses, as the header asks.
    unsafe {
        set(verifier, |verifier| {
            let guard = ReplayGuard::new(Duration::from_millis(horizon_ms), capacity);
            verifier.verifier = verifier.verifier.clone().replay_guard(guard.clone());
            verifier.guard = Some(guard);
            Ok(())
        })
    }
}

/// Sets the time that counts as now from here on, instead of the machine's clock. For tests.
///
/// Parameters: `now_unix_seconds`: the time, with a fraction.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (verifier NULL; negative, infinite or no number).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_webhook_verifier_set_now_unix_seconds(
    verifier: *mut lime_webhook_verifier,
    now_unix_seconds: f64,
) -> i32 {
    // SAFETY: NULL or a live object that no other thread uses, as the header asks.
    unsafe {
        set(verifier, |verifier| {
            let now = Duration::try_from_secs_f64(now_unix_seconds);
            let now = now.map_err(|_| invalid("now_unix_seconds is no time"))?;
            verifier.verifier = verifier.verifier.clone().clock(Arc::new(ManualClock::at(now)));
            Ok(())
        })
    }
}

/// Lets a body in again that the replay guard has let in: for a receiver that could not handle it,
/// answers with an error and will be sent it once more. Any thread, several at once.
///
/// Parameters: `body`, `length`: the raw body.
///
/// Returns: 1 if the guard had let it in, else 0 (also for NULL, and without a guard).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_webhook_verifier_forget(
    verifier: *const lime_webhook_verifier,
    body: *const c_void,
    length: usize,
) -> i32 {
    // SAFETY: NULL or a live handle, and NULL or `length` bytes, as the header asks.
    unsafe {
        get(verifier, 0, |verifier: &lime_webhook_verifier| {
            let (Some(guard), Ok(body)) = (&verifier.guard, bytes(body, length, "body")) else { return 0 };
            i32::from(guard.forget(body))
        })
    }
}

/// Frees a verifier. NULL is allowed. No other thread may use it during or after this call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_webhook_verifier_free(verifier: *mut lime_webhook_verifier) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(verifier) };
}

/// Verifies one delivery: that a secret signed it, and that it is fresh. Does not block; any thread,
/// several at once, in callbacks too. Read "Webhooks" in the manual above about replays.
///
/// Parameters: `header_names`, `header_values`, `header_count`: the request's headers as two arrays of
/// that many NUL-terminated texts each, in any order; all of them or just LIME_WEBHOOK_SIGNATURE_HEADER and
/// LIME_WEBHOOK_TIMESTAMP_HEADER. Names may be in any case, or those of a CGI environment
/// ("HTTP_X_SESAME_SIGNATURE"). A value that is NULL is a header that is not there, which is what getenv()
/// and the like give. Values need not be UTF-8: what is no signature or no timestamp is refused. `body`,
/// `length`: the raw bytes as they arrived, not what was parsed and written anew. `webhook`: gets the
/// result, to be freed with lime_webhook_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_INVALID_ARGUMENT (NULL); LIME_ERROR_WEBHOOK whatever else is wrong. Then the
/// error's code is one of these, the first that applies; for each there is a LIME_REFUSAL_ constant:
///
/// - "empty_secret": the verifier has no secret, or one that is empty or white space
/// - "missing_header": one of the two headers is not there, or empty
/// - "malformed_header": a header is there twice, the signature is not 64 hexadecimal digits, or the
///   timestamp is not ASCII digits
/// - "too_old", "too_new": the timestamp is further from now than the tolerance allows
/// - "mismatch": no secret gives this signature
/// - "not_json", "not_an_object": the body is signed, but no JSON, or no JSON object
/// - "replayed": the replay guard has let this body in before
/// - "undatable": the replay guard cannot tell: the body has no `decided_at`, or one that lies further back
///   than the guard remembers
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_webhook_verify(
    verifier: *const lime_webhook_verifier,
    header_names: *const *const c_char,
    header_values: *const *const c_char,
    header_count: usize,
    body: *const c_void,
    length: usize,
    webhook: *mut *mut lime_webhook,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (place, verifier, names, values, body) = unsafe {
            (
                Out::new(webhook, "webhook")?,
                borrow(verifier, "verifier")?,
                texts(header_names, header_count, "header_names")?,
                texts(header_values, header_count, "header_values")?,
                bytes(body, length, "body")?,
            )
        };
        if names.contains(&None) {
            return Err(invalid("header_names contains NULL"));
        }
        let headers = names.into_iter().zip(values).filter_map(|(name, value)| name.zip(value));
        place.write(give(verifier.verifier.verify(headers, body)?.into()));
        Ok(())
    })
}

/// The whole payload as a JSON object.
///
/// Returns: text that is valid until the webhook is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_webhook_payload_json(webhook: *const lime_webhook) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(webhook, std::ptr::null(), |w| w.json.as_ptr()) }
}

/// One field of the payload that is a text, such as "decided_at", "requester_label" or "dedup_key".
///
/// Parameters: `field`: the field's name.
///
/// Returns: text that is valid until the webhook is freed; NULL when there is no such field or it is no
/// text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_webhook_text(
    webhook: *const lime_webhook,
    field: *const c_char,
) -> *const c_char {
    panic::value(std::ptr::null(), || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (Ok(webhook), Ok(field)) = (unsafe { (borrow(webhook, "webhook"), text(field, "field")) }) else {
            return std::ptr::null();
        };
        webhook.text(field)
    })
}

/// The approval that was decided.
///
/// Returns: text that is valid until the webhook is freed; NULL when the payload does not tell.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_webhook_approval_id(webhook: *const lime_webhook) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(webhook, std::ptr::null(), |w| w.text("approval_id")) }
}

/// What was asked for, such as "payments.refund".
///
/// Returns: text that is valid until the webhook is freed; NULL when the payload does not tell.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_webhook_action(webhook: *const lime_webhook) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(webhook, std::ptr::null(), |w| w.text("action")) }
}

/// The decision: "approved", "denied" or "expired". Nothing but "approved" means "go on".
///
/// Returns: text that is valid until the webhook is freed; NULL when the payload does not tell.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_webhook_status_text(webhook: *const lime_webhook) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(webhook, std::ptr::null(), |w| w.text("status")) }
}

/// What the timestamp header said. It is not signed.
///
/// Returns: Unix seconds; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_webhook_timestamp(webhook: *const lime_webhook) -> u64 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(webhook, 0, |w| w.timestamp) }
}

/// Frees a webhook. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_webhook_free(webhook: *mut lime_webhook) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(webhook) };
}

/// Signs a body as the broker does: for the tests of programs that receive webhooks.
///
/// Parameters: `body`, `length`: the raw body. `secret`, `secret_length`: bytes. `timestamp`: the time of
/// sending in Unix seconds, to be sent as LIME_WEBHOOK_TIMESTAMP_HEADER in decimal digits (the broker does
/// not sign it as yet). `signature`: gets the value of LIME_WEBHOOK_SIGNATURE_HEADER as text with a NUL.
/// `capacity`: the size of `signature`, at least LIME_WEBHOOK_SIGNATURE_SIZE. `error`: NULL, or gets the
/// error.
///
/// Returns: LIME_OK; LIME_ERROR_WEBHOOK with the code "empty_secret" when the secret is empty or white
/// space; LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_webhook_sign(
    body: *const c_void,
    length: usize,
    secret: *const c_void,
    secret_length: usize,
    timestamp: u64,
    signature: *mut c_char,
    capacity: usize,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: NULL or as many bytes, as the header asks.
        let (body, secret) =
            unsafe { (bytes(body, length, "body")?, bytes(secret, secret_length, "secret")?) };
        if signature.is_null() || capacity < LIME_WEBHOOK_SIGNATURE_SIZE {
            return Err(invalid("signature is NULL or smaller than LIME_WEBHOOK_SIGNATURE_SIZE"));
        }
        let signed = sign(body, secret, timestamp)?;
        // SAFETY: `signature` has room for `capacity` bytes, as the header asks.
        unsafe { copy(&signed.signature, signature, capacity, "signature") }
    })
}

#[cfg(test)]
mod tests {
    use lime_core::sesame::webhook::Refusal;

    #[test]
    fn the_header_tells_every_reason() {
        let header = include_str!("../../include/lime.h");
        let from = header.find("for each there is a LIME_REFUSAL_ constant").expect("the list is there");
        let list = &header[from..][..header[from..].find("*/").expect("a comment ends")];
        for refusal in Refusal::ALL {
            let name = refusal.name();
            assert!(list.contains(&format!("\"{name}\"")), "{name}");
            let constant = format!("#define LIME_REFUSAL_{} \"{name}\"\n", name.to_uppercase());
            assert!(header.contains(&constant), "{constant}");
        }
    }
}
