//! Log records to the host's callback.

use std::ffi::{c_char, c_void};

use lime_core::Result;
use lime_core::log::{Level, Logger};

use crate::strings::{c_text, invalid};
use crate::userdata::UserData;

/// Log level: each request, method and URL.
pub const LIME_LOG_DEBUG: i32 = 10;
/// Log level: changes of state.
pub const LIME_LOG_INFO: i32 = 20;
/// Log level: retries and reconnects.
pub const LIME_LOG_WARNING: i32 = 30;
/// Log level: what someone has to look at.
pub const LIME_LOG_ERROR: i32 = 40;

const LEVELS: [(i32, Level); 4] = [
    (LIME_LOG_DEBUG, Level::Debug),
    (LIME_LOG_INFO, Level::Info),
    (LIME_LOG_WARNING, Level::Warning),
    (LIME_LOG_ERROR, Level::Error),
];
const _: () = {
    let mut at = 0;
    while at < LEVELS.len() {
        assert!(LEVELS[at].0 == LEVELS[at].1 as i32, "the numbers are core's");
        at += 1;
    }
};

/// Receives log records: `level` is a LIME_LOG_ constant, `message` is valid during the call. It runs
/// on the library's threads, also on several at once, must not block, and must not call this library.
pub type lime_log_callback =
    Option<unsafe extern "C" fn(user_data: *mut c_void, level: i32, message: *const c_char)>;

/// A logger for the host's callback.
pub(crate) fn logger(level: i32, callback: lime_log_callback, user: UserData) -> Result<Logger> {
    let callback = callback.ok_or_else(|| invalid("callback is NULL"))?;
    let level = LEVELS
        .iter()
        .find(|(number, _)| *number == level)
        .ok_or_else(|| invalid("level is no LIME_LOG_ constant"))?
        .1;
    Ok(Logger::new(level, move |level, message| {
        let message = c_text(message);
        // SAFETY: the host's own function; the message lives through the call.
        unsafe { callback(user.pointer(), level as i32, message.as_ptr()) };
    }))
}
