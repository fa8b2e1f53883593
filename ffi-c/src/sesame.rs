//! A client of the Sesame broker.

use std::ffi::{c_char, c_void};
use std::time::Duration;

use lime_core::{Sesame, WaitOptions};

use crate::approval::lime_approval;
use crate::approval_request::lime_approval_request;
use crate::error::lime_error;
use crate::operation::{start, wait};
use crate::panic;
use crate::sesame_options::lime_sesame_options;
use crate::strings::{Out, borrow, flag, get, give, take, text};
use crate::userdata::{UserData, lime_drop_user_data};

/// A timeout that never passes.
pub const LIME_WAIT_FOREVER: u64 = u64::MAX;

/// The client of the Sesame broker. Make one per API key and process; any number of threads may use it at
/// once. Free it with lime_sesame_free().
pub struct lime_sesame(Sesame);

/// Receives the result of every _start function of a lime_sesame. `status` is LIME_OK and `approval` is
/// there, or `error` is; both belong to the callback, which frees them. Runs on the dispatcher thread.
pub type lime_approval_callback = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        status: i32,
        approval: *mut lime_approval,
        error: *mut lime_error,
    ),
>;

fn options(timeout_ms: u64, poll_interval_ms: u64) -> WaitOptions {
    WaitOptions {
        timeout: match timeout_ms {
            LIME_WAIT_FOREVER => Duration::MAX,
            _ => Duration::from_millis(timeout_ms),
        },
        poll_interval: Duration::from_millis(poll_interval_ms),
    }
}

/// Makes a client for the owner of the API key. Starts no thread and sends nothing.
///
/// Parameters: `options`: copied; NULL for the defaults and the environment. `sesame`: gets the client, to
/// be freed with lime_sesame_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_AUTHENTICATION when there is no key; LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_sesame_new(
    options: *const lime_sesame_options,
    sesame: *mut *mut lime_sesame,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (place, options) = unsafe { (Out::new(sesame, "sesame")?, options.as_ref()) };
        let config = options.map(|options| options.config.clone()).unwrap_or_default();
        place.write(give(lime_sesame(Sesame::new(config)?)));
        Ok(())
    })
}

/// Asks for an approval and does not wait for the decision: it is pending then, unless the request's
/// dedup_key names one that is decided. Blocks until the broker answers.
///
/// Parameters: `request`: what is asked for. `approval`: gets the result, to be freed with
/// lime_approval_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_OUTCOME_UNKNOWN when a request without a dedup_key was sent and its answer
/// got lost (a human may have been asked); LIME_ERROR_API when the broker does not take the request;
/// LIME_ERROR_AUTHENTICATION; LIME_ERROR_RATE_LIMIT; another error of the broker or the network;
/// LIME_ERROR_CLOSED; LIME_ERROR_WOULD_DEADLOCK in a callback; LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_sesame_trigger(
    sesame: *const lime_sesame,
    request: *const lime_approval_request,
    approval: *mut *mut lime_approval,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (sesame, request, place) = unsafe {
            (borrow(sesame, "sesame")?, borrow(request, "request")?, Out::new(approval, "approval")?)
        };
        wait(sesame.0.trigger(request.0.clone()), place)
    })
}

/// The started form of lime_sesame_trigger(); see "Started calls" in the manual above. Cancelling does not
/// take back what was asked.
///
/// Parameters: `request`: copied. `callback`: gets the result. `user_data`, `drop_user_data`: see the
/// manual. `operation`: NULL, or gets the number for lime_operation_cancel(). `error`: NULL, or gets the
/// error.
///
/// Returns: LIME_OK when it was started; else `callback` is not called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_sesame_trigger_start(
    sesame: *const lime_sesame,
    request: *const lime_approval_request,
    callback: lime_approval_callback,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    operation: *mut u64,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        unsafe {
            let trigger = || Ok(borrow(sesame, "sesame")?.0.trigger(borrow(request, "request")?.0.clone()));
            start(trigger, callback, user, operation)
        }
    })
}

/// Reads where an approval stands. Blocks until the broker answers.
///
/// Parameters: `approval_id`: the approval. `wait_for_decision`: 1 to let the broker hold its answer until
/// there is a decision, for 25 to 30 s at most (it is asked once then), else 0. `approval`: gets the result, to be freed with
/// lime_approval_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_NOT_FOUND when the broker does not know the approval or it is no approval
/// id; LIME_ERROR_AUTHENTICATION; LIME_ERROR_RATE_LIMIT; another error of the broker or the network;
/// LIME_ERROR_CLOSED; LIME_ERROR_WOULD_DEADLOCK in a callback; LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_sesame_get(
    sesame: *const lime_sesame,
    approval_id: *const c_char,
    wait_for_decision: i32,
    approval: *mut *mut lime_approval,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (sesame, approval_id, place) = unsafe {
            (borrow(sesame, "sesame")?, text(approval_id, "approval_id")?, Out::new(approval, "approval")?)
        };
        wait(sesame.0.get(approval_id, flag(wait_for_decision, "wait_for_decision")?), place)
    })
}

/// The started form of lime_sesame_get(); see "Started calls" in the manual above.
///
/// Parameters: `approval_id`: copied. `wait_for_decision`: 0 or 1. `callback`: gets the result. `user_data`,
/// `drop_user_data`: see the manual. `operation`: NULL, or gets the number for lime_operation_cancel().
/// `error`: NULL, or gets the error.
///
/// Returns: LIME_OK when it was started; else `callback` is not called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_sesame_get_start(
    sesame: *const lime_sesame,
    approval_id: *const c_char,
    wait_for_decision: i32,
    callback: lime_approval_callback,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    operation: *mut u64,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        unsafe {
            let read = || {
                let wait_for_decision = flag(wait_for_decision, "wait_for_decision")?;
                Ok(borrow(sesame, "sesame")?.0.get(text(approval_id, "approval_id")?, wait_for_decision))
            };
            start(read, callback, user, operation)
        }
    })
}

/// Waits until an approval is decided, which includes that it expired. Rides out a broker that is away,
/// restarts or answers with errors. Blocks.
///
/// Parameters: `approval_id`: the approval. `timeout_ms`: the longest wait, in milliseconds;
/// LIME_WAIT_FOREVER for no limit. `poll_interval_ms`: the least time from the beginning of one poll to the
/// beginning of the next, 2000 if in doubt; the broker holds a poll until there is a decision, so this
/// only counts when it does not. `approval`: gets the result, to be freed with lime_approval_free(); look
/// at lime_approval_is_approved(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_TIMEOUT when there is no decision in time; LIME_ERROR_NOT_FOUND at once when
/// the broker does not know the approval or it is no approval id; LIME_ERROR_AUTHENTICATION at once when
/// the broker refuses the key; another error of the broker that time does not mend; LIME_ERROR_CLOSED;
/// LIME_ERROR_WOULD_DEADLOCK in a callback; LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_sesame_wait(
    sesame: *const lime_sesame,
    approval_id: *const c_char,
    timeout_ms: u64,
    poll_interval_ms: u64,
    approval: *mut *mut lime_approval,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (sesame, approval_id, place) = unsafe {
            (borrow(sesame, "sesame")?, text(approval_id, "approval_id")?, Out::new(approval, "approval")?)
        };
        wait(sesame.0.wait(approval_id, options(timeout_ms, poll_interval_ms)), place)
    })
}

/// The started form of lime_sesame_wait(); see "Started calls" in the manual above. Any number of waits may
/// be under way at once, each takes a connection and no thread. Cancelling ends the wait at once; the
/// approval stays as it is.
///
/// Parameters: `approval_id`: copied. `timeout_ms`, `poll_interval_ms`: as in lime_sesame_wait(). `callback`:
/// gets the result. `user_data`, `drop_user_data`: see the manual. `operation`: NULL, or gets the number for
/// lime_operation_cancel(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK when it was started; else `callback` is not called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_sesame_wait_start(
    sesame: *const lime_sesame,
    approval_id: *const c_char,
    timeout_ms: u64,
    poll_interval_ms: u64,
    callback: lime_approval_callback,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    operation: *mut u64,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        let options = options(timeout_ms, poll_interval_ms);
        // SAFETY: pointers are NULL or valid, as the header asks.
        unsafe {
            let wait = || Ok(borrow(sesame, "sesame")?.0.wait(text(approval_id, "approval_id")?, options));
            start(wait, callback, user, operation)
        }
    })
}

/// The whole gate: asks, waits, and succeeds only if a human granted it. Blocks. Run the operation when it
/// returns LIME_OK and in no other case, whatever the error is.
///
/// Parameters: `request`: what is asked for. `timeout_ms`, `poll_interval_ms`: as in lime_sesame_wait(); the
/// time is for asking and waiting together. `approval`: gets the approval that was granted, to be freed with
/// lime_approval_free(). `error`: NULL, or gets the error; lime_error_approval_id() tells which approval it
/// is about, once there is one.
///
/// Returns: LIME_OK when it was granted; LIME_ERROR_APPROVAL_DENIED when it was denied or expired, or lets this
/// call not through (which of them is the error's code: "denied", "expired", "already_used", "args_changed"); LIME_ERROR_TIMEOUT when nobody decided in time (if
/// the error has an approval's id, that is still pending, and lime_sesame_wait() can go on); else what lime_sesame_trigger() and lime_sesame_wait()
/// return.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_sesame_require_approval(
    sesame: *const lime_sesame,
    request: *const lime_approval_request,
    timeout_ms: u64,
    poll_interval_ms: u64,
    approval: *mut *mut lime_approval,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (sesame, request, place) = unsafe {
            (borrow(sesame, "sesame")?, borrow(request, "request")?, Out::new(approval, "approval")?)
        };
        wait(sesame.0.require_approval(request.0.clone(), options(timeout_ms, poll_interval_ms)), place)
    })
}

/// The started form of lime_sesame_require_approval(); see "Started calls" in the manual above. Cancelling
/// ends the wait at once and does not take back what was asked.
///
/// Parameters: `request`: copied. `timeout_ms`, `poll_interval_ms`: as in lime_sesame_wait(). `callback`:
/// gets the result; only LIME_OK means "go on". `user_data`, `drop_user_data`: see the manual. `operation`:
/// NULL, or gets the number for lime_operation_cancel(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK when it was started (and nothing is approved yet); else `callback` is not called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_sesame_require_approval_start(
    sesame: *const lime_sesame,
    request: *const lime_approval_request,
    timeout_ms: u64,
    poll_interval_ms: u64,
    callback: lime_approval_callback,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    operation: *mut u64,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        let options = options(timeout_ms, poll_interval_ms);
        // SAFETY: pointers are NULL or valid, as the header asks.
        unsafe {
            let gate = || {
                let request = borrow(request, "request")?.0.clone();
                Ok(borrow(sesame, "sesame")?.0.require_approval(request, options))
            };
            start(gate, callback, user, operation)
        }
    })
}

/// Refuses further calls with LIME_ERROR_CLOSED; calls that are under way go on, waits too. Does not wait;
/// may be called in a callback. Closing twice, and NULL, do nothing. The handle still has to be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_sesame_close(sesame: *const lime_sesame) {
    // SAFETY: NULL or a live handle, as the header asks.
    unsafe { get(sesame, (), |sesame: &lime_sesame| sesame.0.close()) };
}

/// Closes and frees the client. Started calls still complete, waits too: cancel those that nobody needs.
/// May be called in a callback. NULL is allowed. No other thread may use the client during or after this
/// call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_sesame_free(sesame: *mut lime_sesame) {
    // SAFETY: NULL or a live handle that is freed once (the header's contract).
    unsafe {
        get(sesame, (), |sesame: &lime_sesame| sesame.0.close());
        take(sesame);
    }
}
