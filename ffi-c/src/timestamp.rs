//! Points in time.

use std::ffi::c_char;

use lime_core::{Result, Timestamp};

use crate::error::lime_error;
use crate::panic;
use crate::strings::{Out, text};

/// What a function gives for a point in time that is not there.
pub const LIME_NO_TIME: i64 = -9_223_372_036_854_775_807 - 1;
/// What a function gives for the offset of a point in time that was written without one.
pub const LIME_NO_OFFSET: i32 = -2_147_483_647 - 1;

/// The offset as C gets it.
pub(crate) fn offset(timestamp: Timestamp) -> i32 {
    timestamp.offset_seconds.unwrap_or(LIME_NO_OFFSET)
}

/// Reads a point in time as the platform writes it: ISO 8601, with `Z`, an offset or neither (which
/// counts as UTC).
///
/// Parameters: `text`: for example "2026-11-23T10:00:00.5+02:00". `unix_micros`: gets the microseconds
/// since 1970-01-01T00:00:00Z; finer parts are cut off. `offset_seconds`: NULL, or gets the seconds east
/// of UTC, LIME_NO_OFFSET when the text has no offset. `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_BAD_RESPONSE when the text is no point in time;
/// LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_timestamp_parse(
    text: *const c_char,
    unix_micros: *mut i64,
    offset_seconds: *mut i32,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (place, read) = unsafe { (Out::new(unix_micros, "unix_micros")?, parse(text)?) };
        place.write(read.unix_micros);
        if !offset_seconds.is_null() {
            // SAFETY: not NULL, and valid as the header asks.
            unsafe { offset_seconds.write(offset(read)) };
        }
        Ok(())
    })
}

unsafe fn parse(pointer: *const c_char) -> Result<Timestamp> {
    // SAFETY: as promised by the caller.
    Timestamp::parse(unsafe { text(pointer, "text") }?)
}
