//! Status numbers and error objects.

use std::ffi::{CString, c_char};
use std::sync::LazyLock;

use lime_core::{Error, ErrorKind};

use crate::strings::{c_optional, c_text, get, pointer, take};

/// The status of a call that did what it was asked to do. (In the header it stands in the block that
/// is made from core's table of error kinds.)
pub(crate) const LIME_OK: i32 = 0;

/// Why a call failed: a status number, a message for people and, where they are known, the platform's
/// code, the HTTP status and more. It never contains a token, a passport, a challenge or a nonce.
/// Free it with lime_error_free(); it stays valid after the client is gone.
pub struct lime_error {
    pub(crate) error: Error,
    message: CString,
    code: Option<CString>,
    detail: Option<CString>,
    request_id: Option<CString>,
    approval_id: Option<CString>,
}

impl From<Error> for lime_error {
    fn from(error: Error) -> Self {
        Self {
            message: c_text(error.message()),
            code: c_optional(error.code()),
            detail: error
                .detail()
                .and_then(|detail| serde_json::to_string(detail).ok())
                .as_deref()
                .map(c_text),
            request_id: c_optional(error.request_id()),
            approval_id: c_optional(error.approval_id()),
            error,
        }
    }
}

/// For each status number its name and description.
static STATUSES: LazyLock<Vec<(i32, CString, CString)>> = LazyLock::new(|| {
    let ok = (LIME_OK, c_text("ok"), c_text("The call did what it was asked to do."));
    let kinds =
        ErrorKind::ALL.iter().map(|kind| (kind.number(), c_text(kind.name()), c_text(kind.description())));
    std::iter::once(ok).chain(kinds).collect()
});

fn status(number: i32) -> Option<&'static (i32, CString, CString)> {
    STATUSES.iter().find(|(known, ..)| *known == number)
}

/// The name of a status: "ok", or a LIME_ERROR_ constant's in lower case and without that prefix
/// ("invalid_argument").
///
/// Parameters: `status_number`: what a function returned, or any other number.
///
/// Returns: static text; "unknown" for a number that this library does not know.
#[unsafe(no_mangle)]
pub extern "C" fn lime_status_name(status_number: i32) -> *const c_char {
    crate::panic::value(c"unknown".as_ptr(), || {
        status(status_number).map_or(c"unknown".as_ptr(), |(_, name, _)| name.as_ptr())
    })
}

/// What a status means, in a sentence.
///
/// Parameters: `status_number`: what a function returned, or any other number.
///
/// Returns: static text; "unknown" for a number that this library does not know.
#[unsafe(no_mangle)]
pub extern "C" fn lime_status_description(status_number: i32) -> *const c_char {
    crate::panic::value(c"unknown".as_ptr(), || {
        status(status_number).map_or(c"unknown".as_ptr(), |(_, _, text)| text.as_ptr())
    })
}

/// The more general status that this one is a case of: LIME_ERROR_AUTHENTICATION for
/// LIME_ERROR_AGENT_INACTIVE and LIME_ERROR_AGENT_USER_SUSPENDED; LIME_ERROR_API for
/// LIME_ERROR_AUTH_UNAVAILABLE, LIME_ERROR_SITE_AUTH_UNAVAILABLE, and any number that this library does not know;
/// and so on. A program that has no case for a status looks at this one.
///
/// Parameters: `status_number`: what a function returned, or any other number.
///
/// Returns: the other status; `status_number` itself where there is none.
#[unsafe(no_mangle)]
pub extern "C" fn lime_status_parent(status_number: i32) -> i32 {
    crate::panic::value(status_number, || {
        let known = ErrorKind::ALL.iter().find(|kind| kind.number() == status_number);
        match known {
            Some(kind) => kind.parent().map_or(status_number, ErrorKind::number),
            None if status_number == LIME_OK => LIME_OK,
            None => ErrorKind::Api.number(),
        }
    })
}

/// The status number of an error, LIME_ERROR_...; the same that the failed call returned.
///
/// Returns: the number; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_error_status(error: *const lime_error) -> i32 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(error, 0, |e| e.error.kind().number()) }
}

/// The message of an error, for people; programs look at the status and the code.
///
/// Returns: text that is valid until the error is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_error_message(error: *const lime_error) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(error, std::ptr::null(), |e| e.message.as_ptr()) }
}

/// The platform's own code, such as "SITE_TOKEN_INVALID"; of LIME_ERROR_APPROVAL_DENIED the approval's
/// status, "denied" or "expired", or why it does not count, "already_used" or "args_changed"; of LIME_ERROR_WEBHOOK the reason, a LIME_REFUSAL_ constant.
///
/// Returns: text that is valid until the error is freed; NULL when there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_error_code(error: *const lime_error) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(error, std::ptr::null(), |e| pointer(e.code.as_ref())) }
}

/// The HTTP status of the answer that the error was read from.
///
/// Returns: the HTTP status; 0 when there was no answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_error_http_status(error: *const lime_error) -> i32 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(error, 0, |e| e.error.http_status().map_or(0, i32::from)) }
}

/// The platform's `detail` object, as JSON text.
///
/// Returns: text that is valid until the error is freed; NULL when there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_error_detail_json(error: *const lime_error) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(error, std::ptr::null(), |e| pointer(e.detail.as_ref())) }
}

/// The login request that the failed call was about.
///
/// Returns: text that is valid until the error is freed; NULL when it was about none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_error_request_id(error: *const lime_error) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(error, std::ptr::null(), |e| pointer(e.request_id.as_ref())) }
}

/// The approval that the failed call was about.
///
/// Returns: text that is valid until the error is freed; NULL when it was about none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_error_approval_id(error: *const lime_error) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(error, std::ptr::null(), |e| pointer(e.approval_id.as_ref())) }
}

/// How long the platform asked to wait before the next try (`Retry-After`).
///
/// Returns: milliseconds; -1 when it did not ask.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_error_retry_after_ms(error: *const lime_error) -> i64 {
    let millis = |e: &lime_error| {
        e.error.retry_after().map_or(-1, |wait| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
    };
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(error, -1, millis) }
}

/// Frees an error. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_error_free(error: *mut lime_error) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(error) };
}
