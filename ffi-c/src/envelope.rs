//! The wrapping of the platform's answers.

use std::ffi::{c_char, c_void};

use lime_core::envelope;

use crate::error::lime_error;
use crate::panic;
use crate::strings::{Out, bytes, c_text, invalid};

/// Takes the `data` out of an answer of the platform: `{"ok": true, "data": {...}}`. The clients do this
/// by themselves; this function is for tests and for programs that bring their own transport.
///
/// Parameters: `http_status`: of the answer. `body`, `length`: its bytes. `data_json`: gets the `data`
/// object as JSON text, to be freed with lime_string_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; the platform's own error as LIME_ERROR_RATE_LIMIT, LIME_ERROR_AUTHENTICATION or
/// LIME_ERROR_API; LIME_ERROR_BAD_RESPONSE when the body is no such answer; LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_envelope_open(
    http_status: i32,
    body: *const c_void,
    length: usize,
    data_json: *mut *mut c_char,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (place, body) = unsafe { (Out::new(data_json, "data_json")?, bytes(body, length, "body")?) };
        let status = u16::try_from(http_status).map_err(|_| invalid("http_status is no HTTP status"))?;
        let data = envelope::open(status, body)?;
        let json = serde_json::Value::Object(data).to_string();
        place.write(c_text(&json).into_raw());
        Ok(())
    })
}
