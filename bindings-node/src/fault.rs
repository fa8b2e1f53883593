//! Faults of the library: a panic becomes an error, and the process lives.

#[cfg(debug_assertions)]
mod on_purpose;

use std::panic::{AssertUnwindSafe, catch_unwind};

use lime_core::{Error, fault};
use napi_derive::{module_init, napi};

use crate::error;

/// What a program's stderr gets is the program's to decide, and a panic's text may be a secret.
#[module_init]
fn keep_quiet() {
    fault::keep_quiet();
}

/// Makes the value of a call's result.
pub(crate) fn made<T, V>(result: Result<T, Error>, value: impl FnOnce(T) -> V) -> Result<V, Error> {
    catch_unwind(AssertUnwindSafe(|| result.map(value))).unwrap_or_else(|panic| Err(fault::caught(&*panic)))
}

/// The error of a panic that napi has caught on this thread just now, as JSON; nothing, if it has not.
#[napi(catch_unwind)]
pub fn caught_fault() -> Option<String> {
    fault::caught_elsewhere().map(|error| error::json(&error).to_string())
}
