//! The guard around every export: a panic becomes `LIME_ERROR_INTERNAL`, and the process lives.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lime_core::{Error, Result, fault};

use crate::error::{LIME_OK, lime_error};
use crate::strings::give;

/// Runs the body of a function that can fail: its status is returned, its error is given to `*error`
/// if the caller wants it. Nothing is written to `*error` on success.
pub(crate) fn call(error: *mut *mut lime_error, body: impl FnOnce() -> Result<()>) -> i32 {
    keep_quiet();
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return LIME_OK,
        Ok(Err(failure)) => failure,
        Err(panic) => fault::caught(&*panic),
    };
    let status = failure.kind().number();
    if !error.is_null() {
        let boxed = boxed(failure);
        // SAFETY: the caller passes NULL or a place for a pointer (the header's contract).
        unsafe { error.write(boxed) };
    }
    status
}

/// An error as the caller gets it; NULL only if even that panics.
pub(crate) fn boxed(failure: Error) -> *mut lime_error {
    catch_unwind(AssertUnwindSafe(|| give(lime_error::from(failure)))).unwrap_or(std::ptr::null_mut())
}

/// Runs the body of a function that cannot fail by itself.
pub(crate) fn value<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    keep_quiet();
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

/// The library prints nothing, not even its own faults. In the tests, which are Rust programs, it does.
fn keep_quiet() {
    #[cfg(not(test))]
    fault::keep_quiet();
}
