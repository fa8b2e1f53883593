//! What an event of a site's stream says.

use std::ffi::{CString, c_char, c_void};

use lime_core::site::frame::Frame;

use crate::error::lime_error;
use crate::panic;
use crate::strings::{Out, c_text, get, give, pointer, take, utf8};

/// The connection is alive.
pub const LIME_FRAME_KEEPALIVE: i32 = 1;
/// An agent signed in: request id and passport are there.
pub const LIME_FRAME_APPROVED: i32 = 2;
/// Nobody signed in in time: the request id is there.
pub const LIME_FRAME_EXPIRED: i32 = 3;
/// The platform reports a fault: code and message are there.
pub const LIME_FRAME_ERROR: i32 = 4;
/// Something that this version does not know, or that is not about a login request.
pub const LIME_FRAME_IGNORED: i32 = 5;
/// Not what the protocol allows: the message says why.
pub const LIME_FRAME_MALFORMED: i32 = 6;

/// The meaning of one event of a site's stream.
#[derive(Default)]
pub struct lime_login_frame {
    kind: i32,
    request_id: Option<CString>,
    passport: Option<CString>,
    code: Option<CString>,
    message: Option<CString>,
}

impl From<Frame> for lime_login_frame {
    fn from(frame: Frame) -> Self {
        let text = |text: &str| Some(c_text(text));
        match frame {
            Frame::Keepalive => Self { kind: LIME_FRAME_KEEPALIVE, ..Self::default() },
            Frame::Approved { request_id, passport } => Self {
                kind: LIME_FRAME_APPROVED,
                request_id: text(&request_id),
                passport: text(&passport),
                ..Self::default()
            },
            Frame::Expired { request_id } => {
                Self { kind: LIME_FRAME_EXPIRED, request_id: text(&request_id), ..Self::default() }
            }
            Frame::Error { code, message } => {
                Self { kind: LIME_FRAME_ERROR, code: text(&code), message: text(&message), ..Self::default() }
            }
            Frame::Ignored => Self { kind: LIME_FRAME_IGNORED, ..Self::default() },
            Frame::Malformed(reason) => {
                Self { kind: LIME_FRAME_MALFORMED, message: text(reason), ..Self::default() }
            }
        }
    }
}

/// Reads the data of one event of a site's stream. A site's client does this by itself.
///
/// Parameters: `data`, `length`: UTF-8 bytes. `frame`: gets the result, to be freed with
/// lime_login_frame_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK, also for LIME_FRAME_MALFORMED; LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_frame_parse(
    data: *const c_void,
    length: usize,
    frame: *mut *mut lime_login_frame,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (place, data) = unsafe { (Out::new(frame, "frame")?, utf8(data, length, "data")?) };
        place.write(give(Frame::parse(data).into()));
        Ok(())
    })
}

/// What the event says.
///
/// Returns: a LIME_FRAME_ constant (a later version may know more of them); 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_frame_kind(frame: *const lime_login_frame) -> i32 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(frame, 0, |f| f.kind) }
}

/// The login request of an approved or expired event.
///
/// Returns: text that is valid until the frame is freed, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_frame_request_id(frame: *const lime_login_frame) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(frame, std::ptr::null(), |f| pointer(f.request_id.as_ref())) }
}

/// The passport of an approved event, not verified.
///
/// Returns: text that is valid until the frame is freed, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_frame_passport(frame: *const lime_login_frame) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(frame, std::ptr::null(), |f| pointer(f.passport.as_ref())) }
}

/// The platform's code in an error event.
///
/// Returns: text that is valid until the frame is freed, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_frame_code(frame: *const lime_login_frame) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(frame, std::ptr::null(), |f| pointer(f.code.as_ref())) }
}

/// The message of an error event, or why an event is malformed.
///
/// Returns: text that is valid until the frame is freed, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_frame_message(frame: *const lime_login_frame) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(frame, std::ptr::null(), |f| pointer(f.message.as_ref())) }
}

/// Frees a frame. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_frame_free(frame: *mut lime_login_frame) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(frame) };
}
