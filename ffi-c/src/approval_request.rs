//! What a human is asked to approve.

use std::ffi::{c_char, c_void};

use lime_core::ApprovalRequest;

use crate::error::lime_error;
use crate::panic;
use crate::strings::{Out, give, optional_text, set, take, text, utf8};

/// What a human is asked to approve; it can be asked for any number of times. To be filled by one thread
/// at a time. Free it with lime_approval_request_free().
pub struct lime_approval_request(pub(crate) ApprovalRequest);

/// A request with nothing but what has to be there.
///
/// Parameters: `action`: what kind of operation it is, such as "payments.refund"; the broker's rules go by
/// it. `summary`: one line for the human. Both are copied. `request`: gets the request, to be freed with
/// lime_approval_request_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_INVALID_ARGUMENT (NULL, text not UTF-8).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_request_new(
    action: *const c_char,
    summary: *const c_char,
    request: *mut *mut lime_approval_request,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (place, action, summary) =
            unsafe { (Out::new(request, "request")?, text(action, "action")?, text(summary, "summary")?) };
        place.write(give(lime_approval_request(ApprovalRequest::new(action, summary))));
        Ok(())
    })
}

/// Changes an optional text of a request.
///
/// # Safety
/// `request` is NULL or a live object that no other thread uses; `value` is NULL or ends with a NUL.
unsafe fn set_text(
    request: *mut lime_approval_request,
    value: *const c_char,
    name: &str,
    field: impl FnOnce(&mut ApprovalRequest) -> &mut Option<String>,
) -> i32 {
    // SAFETY: as promised by the caller.
    unsafe {
        set(request, |request| {
            *field(&mut request.0) = optional_text(value, name)?.map(str::to_owned);
            Ok(())
        })
    }
}

/// Sets why it is asked for.
///
/// Parameters: `reason`: copied; NULL says nothing.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (request NULL, text not UTF-8).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_request_set_reason(
    request: *mut lime_approval_request,
    reason: *const c_char,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks; texts are NULL or NUL-terminated.
    unsafe { set_text(request, reason, "reason", |request| &mut request.reason) }
}

/// Sets the key that names the operation: the same key gives the same approval, however often it is asked
/// for. With one, a failed attempt to ask is repeated; without one it is repeated only if it certainly did
/// not leave, because a human would be asked twice.
///
/// Parameters: `dedup_key`: such as "refund-882"; copied; NULL for none.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (request NULL, text not UTF-8).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_request_set_dedup_key(
    request: *mut lime_approval_request,
    dedup_key: *const c_char,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks; texts are NULL or NUL-terminated.
    unsafe { set_text(request, dedup_key, "dedup_key", |request| &mut request.dedup_key) }
}

/// Sets where the broker reports the decision, see lime_webhook_verify().
///
/// Parameters: `callback_url`: copied; NULL for nowhere.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (request NULL, text not UTF-8).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_request_set_callback_url(
    request: *mut lime_approval_request,
    callback_url: *const c_char,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks; texts are NULL or NUL-terminated.
    unsafe { set_text(request, callback_url, "callback_url", |request| &mut request.callback_url) }
}

/// Sets how much is at stake, in words that the broker's people agreed on, such as "high".
///
/// Parameters: `severity`: copied; NULL says nothing.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (request NULL, text not UTF-8).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_request_set_severity(
    request: *mut lime_approval_request,
    severity: *const c_char,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks; texts are NULL or NUL-terminated.
    unsafe { set_text(request, severity, "severity", |request| &mut request.severity) }
}

/// Sets what else the human sees. It is shown: no secrets.
///
/// Parameters: `context_json`, `length`: a JSON object as UTF-8 bytes; copied, and sent as it is. NULL with
/// length 0 for none.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (request NULL, no JSON object); what was set before
/// stays then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_request_set_context_json(
    request: *mut lime_approval_request,
    context_json: *const c_void,
    length: usize,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks; NULL or `length` bytes.
    unsafe {
        set(request, |request| {
            let json = utf8(context_json, length, "context_json")?;
            request.0.set_context_json((!context_json.is_null()).then_some(json))
        })
    }
}

/// Frees a request. NULL is allowed. Calls that were given it go on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_request_free(request: *mut lime_approval_request) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(request) };
}
