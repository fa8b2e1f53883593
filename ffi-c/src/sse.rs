//! Server-sent events out of bytes.

use std::ffi::{CString, c_char, c_void};

use lime_core::site::sse::Parser;
use lime_core::{Error, ErrorKind};

use crate::error::lime_error;
use crate::panic;
use crate::strings::{bytes, c_text, get, give, invalid, take};

/// Receives an event: `event` is its name ("message" when the stream does not say), `data` has
/// `data_length` bytes and a NUL after them, `id` is the last event id of the stream so far. All are valid
/// during the call.
pub type lime_sse_callback = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        event: *const c_char,
        data: *const c_char,
        data_length: usize,
        id: *const c_char,
    ),
>;

/// A parser of server-sent events as the WHATWG standard has them. No input or output of its own: any
/// cut of the same bytes into chunks gives the same events. To be used by one thread at a time.
#[derive(Default)]
pub struct lime_sse_parser {
    parser: Parser,
    last_event_id: CString,
}

/// A parser at the start of a stream.
///
/// Returns: the parser, to be freed with lime_sse_parser_free(); never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn lime_sse_parser_new() -> *mut lime_sse_parser {
    panic::value(std::ptr::null_mut(), || give(lime_sse_parser::default()))
}

/// Takes in a chunk of the stream and hands over the events that it completes.
///
/// Parameters: `chunk`, `length`: the bytes. `callback`: called on this thread, before this function
/// returns, once for each event; it may use the parser. `user_data`: given back in each call. `error`:
/// NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_BAD_RESPONSE when a line or an event is larger than 1 MiB (events before
/// it were handed over, the stream cannot be read on); LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_sse_parser_feed(
    parser: *mut lime_sse_parser,
    chunk: *const c_void,
    length: usize,
    callback: lime_sse_callback,
    user_data: *mut c_void,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        let callback = callback.ok_or_else(|| invalid("callback is NULL"))?;
        // SAFETY: NULL or `length` bytes, as the header asks.
        let chunk = unsafe { bytes(chunk, length, "chunk") }?;
        let mut events = Vec::new();
        let fed = {
            // SAFETY: NULL or a live parser that no other thread uses, as the header asks. The borrow ends
            // before the callback, which may use the parser.
            let parser = unsafe { parser.as_mut() }.ok_or_else(|| invalid("parser is NULL"))?;
            let fed = parser.parser.feed(chunk, |event| {
                let mut data = event.data.as_bytes().to_vec();
                data.push(0);
                events.push((c_text(event.event), data, c_text(event.id)));
            });
            if parser.last_event_id.to_bytes() != parser.parser.last_event_id().as_bytes() {
                parser.last_event_id = c_text(parser.parser.last_event_id());
            }
            fed
        };
        for (event, data, id) in &events {
            let length = data.len() - 1;
            // SAFETY: the host's own function; the texts live through the call.
            unsafe { callback(user_data, event.as_ptr(), data.as_ptr().cast(), length, id.as_ptr()) };
        }
        fed.map_err(|_| Error::new(ErrorKind::BadResponse, "An event is larger than an event may be"))
    })
}

/// The id to continue the stream from (`Last-Event-ID`).
///
/// Returns: text that is valid until the parser is fed or freed; "" when there is none; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_sse_parser_last_event_id(parser: *const lime_sse_parser) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(parser, std::ptr::null(), |p| p.last_event_id.as_ptr()) }
}

/// The last `retry:` of the stream.
///
/// Returns: milliseconds, INT64_MAX at most; -1 when there was none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_sse_parser_retry_ms(parser: *const lime_sse_parser) -> i64 {
    let millis = |p: &lime_sse_parser| {
        p.parser.retry_millis().map_or(-1, |wait| i64::try_from(wait).unwrap_or(i64::MAX))
    };
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(parser, -1, millis) }
}

/// Frees a parser. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_sse_parser_free(parser: *mut lime_sse_parser) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(parser) };
}
