//! The two forms of every call that takes time: blocking, and started with a callback.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use lime_core::{Operation, Result, cancel_operation, fault, is_library_thread};

use crate::error::{LIME_OK, lime_error};
use crate::panic;
use crate::strings::{Out, give, invalid};
use crate::userdata::UserData;

/// The callback of a started call whose result is a `H`.
pub(crate) type Callback<H> = unsafe extern "C" fn(*mut c_void, i32, *mut H, *mut lime_error);

/// Blocks until the result is there.
pub(crate) fn wait<T, H>(operation: Operation<T>, result: Out<*mut H>) -> Result<()>
where
    T: Send + 'static,
    H: From<T>,
{
    result.write(give(H::from(operation.wait()?)));
    Ok(())
}

/// Starts a call. What is refused at once is returned, and `callback` is not called then; `user` is
/// dropped after the callback has returned, or here.
///
/// # Safety
/// `number` is NULL or may be written to during the call.
pub(crate) unsafe fn start<T, H>(
    operation: impl FnOnce() -> Result<Operation<T>>,
    callback: Option<Callback<H>>,
    user: UserData,
    number: *mut u64,
) -> Result<()>
where
    T: Send + 'static,
    H: From<T> + 'static,
{
    let callback = callback.ok_or_else(|| invalid("callback is NULL"))?;
    // SAFETY: as promised by the caller.
    unsafe { start_with(operation, number, move |result| complete(result, callback, &user)) }
}

/// Starts a call whose end is told to a function; else like [`start`].
///
/// # Safety
/// As [`start`].
pub(crate) unsafe fn start_with<T: Send + 'static>(
    operation: impl FnOnce() -> Result<Operation<T>>,
    number: *mut u64,
    complete: impl FnOnce(Result<T>) + Send + 'static,
) -> Result<()> {
    let operation = operation()?.ready()?;
    // The callback may need the number: it waits until the number is written.
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock().unwrap_or_else(PoisonError::into_inner);
    let way = Arc::clone(&gate);
    let id = operation.start(move |result| {
        drop(way.lock().unwrap_or_else(PoisonError::into_inner));
        complete(result);
    });
    if !number.is_null() {
        // SAFETY: as promised by the caller.
        unsafe { number.write(id) };
    }
    drop(closed);
    Ok(())
}

pub(crate) fn complete<T, H: From<T>>(result: Result<T>, callback: Callback<H>, user: &UserData) {
    let result = match catch_unwind(AssertUnwindSafe(|| result.map(|value| give(H::from(value))))) {
        Ok(result) => result,
        Err(caught) => Err(fault::caught(&*caught)),
    };
    let (status, handle, error) = match result {
        Ok(handle) => (LIME_OK, handle, std::ptr::null_mut()),
        Err(error) => (error.kind().number(), std::ptr::null_mut(), panic::boxed(error)),
    };
    // SAFETY: the host's own function; handle and error are the host's from here on.
    unsafe { callback(user.pointer(), status, handle, error) };
}

/// Cancels a started call. Its callback still comes, with LIME_ERROR_CANCELLED, unless the call ended
/// before. What was already sent may still take effect on the platform.
///
/// Parameters: `operation`: the number that the _start function gave; numbers are never used again, so
/// a late or a wrong one does no harm.
///
/// Returns: 1 if the call was still under way, else 0. Never blocks; may be called on any thread, in
/// callbacks too.
#[unsafe(no_mangle)]
pub extern "C" fn lime_operation_cancel(operation: u64) -> i32 {
    panic::value(0, || i32::from(cancel_operation(operation)))
}

/// Whether the calling thread is one of the library's own, as in every callback: blocking calls fail there with
/// LIME_ERROR_WOULD_DEADLOCK, and a host that waits there for the result of a started call by itself would wait for
/// ever.
///
/// Returns: 1 or 0.
#[unsafe(no_mangle)]
pub extern "C" fn lime_is_library_thread() -> i32 {
    panic::value(0, || i32::from(is_library_thread()))
}
