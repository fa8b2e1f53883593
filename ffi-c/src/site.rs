//! A site's client.

use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;
use std::time::Duration;

use lime_core::{
    Delivery, LimeSite, LoginEvent, LoginRequest, LoginRequestStatus, StreamState, StreamStatus,
    is_library_thread,
};

use crate::error::lime_error;
use crate::operation::{start, wait};
use crate::panic;
use crate::passport::{check, lime_passport};
use crate::site_options::lime_site_options;
use crate::strings::{Out, borrow, c_optional, c_text, get, give, invalid, pointer, take, text};
use crate::timestamp::{LIME_NO_OFFSET, LIME_NO_TIME, offset};
use crate::userdata::{UserData, lime_drop_user_data};

/// The event stream was not started yet.
pub const LIME_STREAM_IDLE: i32 = 0;
/// The event stream waits for the platform's answer.
pub const LIME_STREAM_CONNECTING: i32 = 1;
/// The event stream is connected; events arrive.
pub const LIME_STREAM_OPEN: i32 = 2;
/// The event stream broke or failed; the next attempt comes after a short wait.
pub const LIME_STREAM_BACKING_OFF: i32 = 3;
/// The platform refuses the token; the next attempt comes after a minute or more.
pub const LIME_STREAM_REFUSED: i32 = 4;
/// The client is closed.
pub const LIME_STREAM_CLOSED: i32 = 5;

/// What a state that this header has no constant for is called.
const UNKNOWN_STATE: i32 = -1;

fn state_number(state: StreamState) -> i32 {
    match state {
        StreamState::Idle => LIME_STREAM_IDLE,
        StreamState::Connecting => LIME_STREAM_CONNECTING,
        StreamState::Open => LIME_STREAM_OPEN,
        StreamState::BackingOff => LIME_STREAM_BACKING_OFF,
        StreamState::Refused => LIME_STREAM_REFUSED,
        StreamState::Closed => LIME_STREAM_CLOSED,
        _ => UNKNOWN_STATE,
    }
}

/// The client of a site's backend. Make one per site token and process; any number of threads may use it
/// at once. Free it with lime_site_free().
pub struct lime_site(pub(crate) LimeSite);

/// A login request that was just created. Free it with lime_login_request_free().
pub struct lime_login_request {
    request_id: CString,
    status: CString,
    expires_at_unix_micros: i64,
    expires_at_offset_seconds: i32,
}

impl From<LoginRequest> for lime_login_request {
    fn from(request: LoginRequest) -> Self {
        Self {
            request_id: c_text(&request.request_id),
            status: c_text(&request.status),
            expires_at_unix_micros: request.expires_at.unix_micros,
            expires_at_offset_seconds: offset(request.expires_at),
        }
    }
}

/// Where a login request stands. Free it with lime_login_request_status_free().
pub struct lime_login_request_status {
    request_id: CString,
    status: CString,
    expires_at_unix_micros: i64,
    expires_at_offset_seconds: i32,
}

impl From<LoginRequestStatus> for lime_login_request_status {
    fn from(found: LoginRequestStatus) -> Self {
        Self {
            request_id: c_text(&found.request_id),
            status: c_text(&found.status),
            expires_at_unix_micros: found.expires_at.map_or(LIME_NO_TIME, |time| time.unix_micros),
            expires_at_offset_seconds: found.expires_at.map_or(LIME_NO_OFFSET, offset),
        }
    }
}

/// How a login request ended. Free it with lime_login_event_free().
pub struct lime_login_event {
    request_id: CString,
    passport: Option<CString>,
    /// Its place in the queue, where it came by a handler that owns it.
    _place: Option<Arc<Delivery>>,
}

impl From<LoginEvent> for lime_login_event {
    fn from(event: LoginEvent) -> Self {
        Self {
            request_id: c_text(&event.request_id),
            passport: c_optional(event.passport.as_deref()),
            _place: None,
        }
    }
}

/// Receives the result of lime_site_create_login_request_start(). `status` is LIME_OK and `request` is
/// there, or `error` is; both belong to the callback, which frees them. Runs on the dispatcher thread.
pub type lime_login_request_callback = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        status: i32,
        request: *mut lime_login_request,
        error: *mut lime_error,
    ),
>;

/// Receives the result of lime_site_read_login_request_start(). `status` is LIME_OK and `found` is
/// there, or `error` is; both belong to the callback, which frees them. Runs on the dispatcher thread.
pub type lime_login_request_status_callback = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        status: i32,
        found: *mut lime_login_request_status,
        error: *mut lime_error,
    ),
>;

/// Receives the result of lime_site_wait_for_login_start(). `status` is LIME_OK and `event` is there, or
/// `error` is; both belong to the callback, which frees them. Runs on the dispatcher thread.
pub type lime_login_event_callback = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        status: i32,
        event: *mut lime_login_event,
        error: *mut lime_error,
    ),
>;

/// Receives the result of lime_site_verify_passport_start() and lime_site_verify_binding_passport_start(). `status` is LIME_OK and `passport` is
/// there, or `error` is; both belong to the callback, which frees them. Runs on the dispatcher thread.
pub type lime_passport_callback = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        status: i32,
        passport: *mut lime_passport,
        error: *mut lime_error,
    ),
>;

/// Is told how the login request `request_id` ended: `passport` is the agent's passport, not verified yet,
/// or NULL when nobody signed in in time. The texts are valid during the call. Runs on the dispatcher thread.
pub type lime_login_handler =
    Option<unsafe extern "C" fn(user_data: *mut c_void, request_id: *const c_char, passport: *const c_char)>;

/// Is given how a login request ended. `event` is the handler's own and is freed with
/// lime_login_event_free(), now or later and on any thread. Runs on the dispatcher thread.
pub type lime_login_event_handler =
    Option<unsafe extern "C" fn(user_data: *mut c_void, event: *mut lime_login_event)>;

/// Is told where the event stream stands: `state` is a LIME_STREAM_ constant (a later version may know
/// more of them), `last_error` what ended the last connection, or NULL; it is valid during the call and
/// not the handler's to free. Runs on the dispatcher thread.
pub type lime_state_handler =
    Option<unsafe extern "C" fn(user_data: *mut c_void, state: i32, last_error: *const lime_error)>;

/// Is told which login requests have ended without that anybody will see how: `request_ids` are `count` texts,
/// valid during the call. Runs on the dispatcher thread.
pub type lime_gap_handler =
    Option<unsafe extern "C" fn(user_data: *mut c_void, request_ids: *const *const c_char, count: usize)>;

/// Makes a client for the site that the token belongs to. Starts no thread and sends nothing.
///
/// Parameters: `options`: copied; NULL for the defaults and the environment. `site`: gets the client, to
/// be freed with lime_site_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_AUTHENTICATION when there is no token; LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_new(
    options: *const lime_site_options,
    site: *mut *mut lime_site,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (place, options) = unsafe { (Out::new(site, "site")?, options.as_ref()) };
        let config = options.map(|options| options.config.clone()).unwrap_or_default();
        place.write(give(lime_site(LimeSite::new(config)?)));
        Ok(())
    })
}

/// Creates a login request, to be handed to the agent by its request id. Blocks.
///
/// Parameters: `request`: gets the result, to be freed with lime_login_request_free(). `error`: NULL, or
/// gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_AUTHENTICATION when the platform refuses the token;
/// LIME_ERROR_RATE_LIMIT; another error of the platform or the network; LIME_ERROR_CLOSED;
/// LIME_ERROR_WOULD_DEADLOCK in a callback; LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_create_login_request(
    site: *const lime_site,
    request: *mut *mut lime_login_request,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (site, place) = unsafe { (borrow(site, "site")?, Out::new(request, "request")?) };
        wait(site.0.create_login_request(), place)
    })
}

/// The started form of lime_site_create_login_request(); see "Started calls" in the manual above.
///
/// Parameters: `callback`: gets the result. `user_data`, `drop_user_data`: see the manual. `operation`:
/// NULL, or gets the number for lime_operation_cancel(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK when it was started; else `callback` is not called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_create_login_request_start(
    site: *const lime_site,
    callback: lime_login_request_callback,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    operation: *mut u64,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        unsafe { start(|| Ok(borrow(site, "site")?.0.create_login_request()), callback, user, operation) }
    })
}

/// Reads where a login request of this site stands. Blocks.
///
/// Parameters: `request_id`: the login request. `found`: gets the result, to be freed with
/// lime_login_request_status_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_API when the platform does not know it or it is no request id; other errors as
/// lime_site_create_login_request().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_read_login_request(
    site: *const lime_site,
    request_id: *const c_char,
    found: *mut *mut lime_login_request_status,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (site, request_id, place) =
            unsafe { (borrow(site, "site")?, text(request_id, "request_id")?, Out::new(found, "found")?) };
        wait(site.0.read_login_request(request_id), place)
    })
}

/// The started form of lime_site_read_login_request(); see "Started calls" in the manual above.
///
/// Parameters: `request_id`: copied. `callback`: gets the result. `user_data`, `drop_user_data`: see the
/// manual. `operation`: NULL, or gets the number for lime_operation_cancel(). `error`: NULL, or gets the
/// error.
///
/// Returns: LIME_OK when it was started; else `callback` is not called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_read_login_request_start(
    site: *const lime_site,
    request_id: *const c_char,
    callback: lime_login_request_status_callback,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    operation: *mut u64,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        unsafe {
            let read = || Ok(borrow(site, "site")?.0.read_login_request(text(request_id, "request_id")?));
            start(read, callback, user, operation)
        }
    })
}

/// Waits until a login request ends, and starts the event stream if it is not running. An event that
/// came before the wait began (two minutes at most) counts. Blocks.
///
/// Parameters: `request_id`: the login request. `timeout_ms`: the longest wait, in milliseconds. `event`:
/// gets the result, to be freed with lime_login_event_free(); its passport is NULL when nobody signed in
/// before the request expired. `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_TIMEOUT when nothing happened in time; LIME_ERROR_AUTHENTICATION at once
/// when the platform refuses the token; LIME_ERROR_API at once for a text that is no request id;
/// LIME_ERROR_OUTCOME_UNKNOWN (code LOGIN_EVENT_LOST) when the request has ended and the event that told how is lost,
/// with its passport; LIME_ERROR_CLOSED when the client is closed meanwhile; LIME_ERROR_WOULD_DEADLOCK in a callback; LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_wait_for_login(
    site: *const lime_site,
    request_id: *const c_char,
    timeout_ms: u64,
    event: *mut *mut lime_login_event,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (site, request_id, place) =
            unsafe { (borrow(site, "site")?, text(request_id, "request_id")?, Out::new(event, "event")?) };
        wait(site.0.wait_for_login(request_id, Duration::from_millis(timeout_ms)), place)
    })
}

/// The started form of lime_site_wait_for_login(); see "Started calls" in the manual above.
///
/// Parameters: `request_id`: copied. `timeout_ms`: the longest wait, in milliseconds. `callback`: gets the
/// result. `user_data`, `drop_user_data`: see the manual. `operation`: NULL, or gets the number for
/// lime_operation_cancel(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK when it was started; else `callback` is not called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_wait_for_login_start(
    site: *const lime_site,
    request_id: *const c_char,
    timeout_ms: u64,
    callback: lime_login_event_callback,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    operation: *mut u64,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        let timeout = Duration::from_millis(timeout_ms);
        // SAFETY: pointers are NULL or valid, as the header asks.
        unsafe {
            let wait =
                || Ok(borrow(site, "site")?.0.wait_for_login(text(request_id, "request_id")?, timeout));
            start(wait, callback, user, operation)
        }
    })
}

/// Verifies a passport, fetching the platform's keys if they are not at hand. Blocks only for that.
///
/// Parameters: `jwt`: the passport. `expected_request_id`: the login request that it must be for, or NULL
/// for any (dangerous: another site's or another person's login would do). `require_issuer`: 1 to refuse a
/// passport without `iss`, else 0 (the site's option still counts). `passport`: gets the result, to be
/// freed with lime_passport_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_INVALID_PASSPORT; LIME_ERROR_PASSPORT_EXPIRED; an error of the platform or
/// the network when the keys cannot be had; LIME_ERROR_CLOSED; LIME_ERROR_WOULD_DEADLOCK in a callback
/// (start it there); LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_verify_passport(
    site: *const lime_site,
    jwt: *const c_char,
    expected_request_id: *const c_char,
    require_issuer: i32,
    passport: *mut *mut lime_passport,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (site, jwt, check, place) = unsafe {
            (
                borrow(site, "site")?,
                text(jwt, "jwt")?,
                check(expected_request_id, require_issuer)?,
                Out::new(passport, "passport")?,
            )
        };
        // In a callback it fails always, not only when the keys happen to be away.
        if !is_library_thread()
            && let Some(result) = site.0.verify_passport_cached(jwt, &check)
        {
            place.write(give(lime_passport::from(result?)));
            return Ok(());
        }
        wait(site.0.verify_passport(jwt, check), place)
    })
}

/// Verifies a passport with the keys that are at hand. Never blocks and sends nothing; in callbacks, too.
///
/// Parameters: `jwt`, `expected_request_id`, `require_issuer`: as lime_site_verify_passport(). `passport`: gets the
/// result, to be freed with lime_passport_free(); NULL when the platform's keys are not at hand, which
/// lime_site_verify_passport_start() fetches. `error`: NULL, or gets the error.
///
/// Returns: LIME_OK, also when the keys are not at hand; LIME_ERROR_INVALID_PASSPORT; LIME_ERROR_PASSPORT_EXPIRED;
/// LIME_ERROR_CLOSED; LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_verify_passport_cached(
    site: *const lime_site,
    jwt: *const c_char,
    expected_request_id: *const c_char,
    require_issuer: i32,
    passport: *mut *mut lime_passport,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (site, jwt, check, place) = unsafe {
            (
                borrow(site, "site")?,
                text(jwt, "jwt")?,
                check(expected_request_id, require_issuer)?,
                Out::new(passport, "passport")?,
            )
        };
        let verified = site.0.verify_passport_cached(jwt, &check).transpose()?;
        place.write(verified.map_or(std::ptr::null_mut(), |passport| give(lime_passport::from(passport))));
        Ok(())
    })
}

/// The started form of lime_site_verify_passport(); see "Started calls" in the manual above.
///
/// Parameters: `jwt`: copied. `expected_request_id`: copied; NULL for any. `require_issuer`: 0 or 1. `callback`: gets the result.
/// `user_data`, `drop_user_data`: see the manual. `operation`: NULL, or gets the number for
/// lime_operation_cancel(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK when it was started; else `callback` is not called. A passport that cannot be right
/// whatever the keys are is refused at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_verify_passport_start(
    site: *const lime_site,
    jwt: *const c_char,
    expected_request_id: *const c_char,
    require_issuer: i32,
    callback: lime_passport_callback,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    operation: *mut u64,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        unsafe {
            let verify = || {
                let check = check(expected_request_id, require_issuer)?;
                Ok(borrow(site, "site")?.0.verify_passport(text(jwt, "jwt")?, check))
            };
            start(verify, callback, user, operation)
        }
    })
}

/// Registers a handler for the end of every login request of this site, and starts the event stream.
/// Handlers run one at a time, in the order of registration, and stay registered for the life of the
/// client.
///
/// Parameters: `handler`: see lime_login_handler. `user_data`: given back in each call. `drop_user_data`:
/// NULL, or called once after the last call has returned: when the site was freed (while lime_site_free()
/// runs or soon after, on any thread), or before this function returns an error. `error`: NULL, or gets
/// the error.
///
/// Returns: LIME_OK; LIME_ERROR_CLOSED; LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_on_login(
    site: *const lime_site,
    handler: lime_login_handler,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        // SAFETY: NULL or a live handle, as the header asks.
        let site = unsafe { borrow(site, "site") }?;
        let handler = handler.ok_or_else(|| invalid("handler is NULL"))?;
        site.0.on_login(move |event| {
            let request_id = c_text(&event.request_id);
            let passport = c_optional(event.passport.as_deref());
            // SAFETY: the host's own function; the texts live through the call.
            unsafe { handler(user.pointer(), request_id.as_ptr(), pointer(passport.as_ref())) };
        })
    })
}

/// Like lime_site_on_login(), for a host that handles events on a thread of its own: as long as an event is not
/// freed it has its place in the queue (lime_site_options_set_event_queue_limit()), so a host that does not keep up
/// holds the platform back instead of filling its memory, and nothing is dropped.
///
/// Parameters: `handler`: see lime_login_event_handler. `user_data`, `drop_user_data`: as lime_site_on_login().
/// `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_CLOSED; LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_on_login_event(
    site: *const lime_site,
    handler: lime_login_event_handler,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        // SAFETY: NULL or a live handle, as the header asks.
        let site = unsafe { borrow(site, "site") }?;
        let handler = handler.ok_or_else(|| invalid("handler is NULL"))?;
        site.0.on_delivery(move |delivery| {
            let event = lime_login_event {
                request_id: c_text(&delivery.event.request_id),
                passport: c_optional(delivery.event.passport.as_deref()),
                _place: Some(Arc::clone(delivery)),
            };
            // SAFETY: the host's own function; the event is the host's from here on.
            unsafe { handler(user.pointer(), give(event)) };
        })
    })
}

/// Registers a handler for where the event stream stands: it is first called with the state as it is,
/// then whenever it has changed. Closing the client is not reported. It stays registered for the life of
/// the client.
///
/// Parameters: `handler`: see lime_state_handler. `user_data`, `drop_user_data`: as lime_site_on_login().
/// `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_CLOSED; LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_on_state(
    site: *const lime_site,
    handler: lime_state_handler,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        // SAFETY: NULL or a live handle, as the header asks.
        let site = unsafe { borrow(site, "site") }?;
        let handler = handler.ok_or_else(|| invalid("handler is NULL"))?;
        site.0.on_state(move |status| {
            let last_error = status.last_error.clone().map(lime_error::from);
            let last_error = last_error.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
            // SAFETY: the host's own function; the error lives through the call.
            unsafe { handler(user.pointer(), state_number(status.state), last_error) };
        })
    })
}

/// Registers a handler for login requests whose events are lost: the platform says that they have ended, and
/// neither the stream nor the platform tells how; a passport that there was is lost. Each login request is named
/// once. Should such an event come all the same, it is handed on. The handler does not start the event stream, and
/// stays registered for the life of the client.
///
/// Parameters: `handler`: see lime_gap_handler. `user_data`, `drop_user_data`: as lime_site_on_login().
/// `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_CLOSED; LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_on_gap(
    site: *const lime_site,
    handler: lime_gap_handler,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        // SAFETY: NULL or a live handle, as the header asks.
        let site = unsafe { borrow(site, "site") }?;
        let handler = handler.ok_or_else(|| invalid("handler is NULL"))?;
        site.0.on_gap(move |gap| {
            let texts: Vec<CString> = gap.request_ids.iter().map(|id| c_text(id)).collect();
            let pointers: Vec<*const c_char> = texts.iter().map(|text| text.as_ptr()).collect();
            // SAFETY: the host's own function; the texts live through the call.
            unsafe { handler(user.pointer(), pointers.as_ptr(), pointers.len()) };
        })
    })
}

/// Starts the event stream; does nothing when it is running. In a forked child it has to be started anew.
///
/// Parameters: `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_CLOSED; LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_start_events(site: *const lime_site, error: *mut *mut lime_error) -> i32 {
    panic::call(error, || {
        // SAFETY: NULL or a live handle, as the header asks.
        unsafe { borrow(site, "site") }?.0.start_events()
    })
}

/// # Safety
/// `site` is NULL or a live handle.
unsafe fn stream<R: Copy>(site: *const lime_site, otherwise: R, read: impl FnOnce(StreamStatus) -> R) -> R {
    // SAFETY: as promised by the caller.
    unsafe { get(site, otherwise, |site: &lime_site| read(site.0.stream_status())) }
}

/// Where the event stream stands.
///
/// Returns: a LIME_STREAM_ constant (a later version may know more of them); -1 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_state(site: *const lime_site) -> i32 {
    // SAFETY: NULL or a live handle, as the header asks.
    unsafe { stream(site, UNKNOWN_STATE, |status| state_number(status.state)) }
}

/// What ended the event stream's last connection or attempt.
///
/// Returns: an error of the caller's own, to be freed with lime_error_free(), or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_last_error(site: *const lime_site) -> *mut lime_error {
    // SAFETY: NULL or a live handle, as the header asks.
    unsafe {
        stream(site, std::ptr::null_mut(), |status| {
            status.last_error.map_or(std::ptr::null_mut(), panic::boxed)
        })
    }
}

/// How many connections of the event stream came about so far.
///
/// Returns: a number of connections; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_connections(site: *const lime_site) -> u64 {
    // SAFETY: NULL or a live handle, as the header asks.
    unsafe { stream(site, 0, |status| status.connections) }
}

/// How many events the event stream brought so far.
///
/// Returns: a number of events; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_events(site: *const lime_site) -> u64 {
    // SAFETY: NULL or a live handle, as the header asks.
    unsafe { stream(site, 0, |status| status.events) }
}

/// How many frames of the event stream were not what the protocol allows, and were skipped.
///
/// Returns: a number of frames; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_malformed_frames(site: *const lime_site) -> u64 {
    // SAFETY: NULL or a live handle, as the header asks.
    unsafe { stream(site, 0, |status| status.malformed_frames) }
}

/// Ends the event stream and refuses further calls with LIME_ERROR_CLOSED; calls that are under way go
/// on, and waits for a login end. No handler begins after it, but one may be running. Does not wait; may
/// be called in a callback. Closing twice, and NULL, do nothing. The handle still has to be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_close(site: *const lime_site) {
    // SAFETY: NULL or a live handle, as the header asks.
    unsafe { get(site, (), |site: &lime_site| site.0.close()) };
}

/// Closes the client, waits until none of its handlers is running, and frees it. In a callback it does
/// not wait: the handler that calls it is the last one. Started calls still complete. NULL is allowed.
/// No other thread may use the client during or after this call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_free(site: *mut lime_site) {
    // SAFETY: NULL or a live handle that is freed once (the header's contract).
    unsafe {
        get(site, (), |site: &lime_site| site.0.close_and_wait());
        take(site);
    }
}

/// The login request's id, to be handed to the agent.
///
/// Returns: text that is valid until the object is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_request_request_id(request: *const lime_login_request) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(request, std::ptr::null(), |r| r.request_id.as_ptr()) }
}

/// The login request's status, "PENDING".
///
/// Returns: text that is valid until the object is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_request_status_text(request: *const lime_login_request) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(request, std::ptr::null(), |r| r.status.as_ptr()) }
}

/// When the login request expires.
///
/// Returns: microseconds since 1970-01-01T00:00:00Z; LIME_NO_TIME for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_request_expires_at_unix_micros(
    request: *const lime_login_request,
) -> i64 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(request, LIME_NO_TIME, |r| r.expires_at_unix_micros) }
}

/// The offset that the expiry was written with.
///
/// Returns: seconds east of UTC; LIME_NO_OFFSET when it was written without one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_request_expires_at_offset_seconds(
    request: *const lime_login_request,
) -> i32 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(request, LIME_NO_OFFSET, |r| r.expires_at_offset_seconds) }
}

/// Frees a login request. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_request_free(request: *mut lime_login_request) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(request) };
}

/// The login request's id.
///
/// Returns: text that is valid until the object is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_request_status_request_id(
    found: *const lime_login_request_status,
) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(found, std::ptr::null(), |r| r.request_id.as_ptr()) }
}

/// The status: "PENDING", "APPROVED", "DELIVERED" or "EXPIRED".
///
/// Returns: text that is valid until the object is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_request_status_status_text(
    found: *const lime_login_request_status,
) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(found, std::ptr::null(), |r| r.status.as_ptr()) }
}

/// When the login request expires, where the platform says so.
///
/// Returns: microseconds since 1970-01-01T00:00:00Z; LIME_NO_TIME when it does not say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_request_status_expires_at_unix_micros(
    found: *const lime_login_request_status,
) -> i64 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(found, LIME_NO_TIME, |r| r.expires_at_unix_micros) }
}

/// The offset that the expiry was written with.
///
/// Returns: seconds east of UTC; LIME_NO_OFFSET when there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_request_status_expires_at_offset_seconds(
    found: *const lime_login_request_status,
) -> i32 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(found, LIME_NO_OFFSET, |r| r.expires_at_offset_seconds) }
}

/// Frees a login request's status. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_request_status_free(found: *mut lime_login_request_status) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(found) };
}

/// The login request that ended.
///
/// Returns: text that is valid until the object is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_event_request_id(event: *const lime_login_event) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(event, std::ptr::null(), |e| e.request_id.as_ptr()) }
}

/// The agent's passport, not verified yet: pass it to lime_site_verify_passport().
///
/// Returns: text that is valid until the object is freed; NULL when nobody signed in in time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_event_passport(event: *const lime_login_event) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(event, std::ptr::null(), |e| pointer(e.passport.as_ref())) }
}

/// Frees a login event. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_event_free(event: *mut lime_login_event) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(event) };
}
