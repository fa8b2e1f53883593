//! The guard around every export: a panic becomes `LIME_ERROR_INTERNAL`, and the process lives.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use lime_core::{Error, ErrorKind, Result};

use crate::error::{LIME_OK, lime_error};
use crate::strings::give;

/// Runs the body of a function that can fail: its status is returned, its error is given to `*error`
/// if the caller wants it. Nothing is written to `*error` on success.
pub(crate) fn call(error: *mut *mut lime_error, body: impl FnOnce() -> Result<()>) -> i32 {
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return LIME_OK,
        Ok(Err(failure)) => failure,
        Err(panic) => internal(&*panic),
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
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

/// What a caught panic is called.
pub(crate) fn internal(panic: &(dyn Any + Send)) -> Error {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let message = format!("A fault of the library was caught: {}", text.unwrap_or("panic"));
    Error::new(ErrorKind::Internal, message).with_code("INTERNAL")
}
