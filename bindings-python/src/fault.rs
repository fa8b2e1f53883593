//! Faults of the library: a panic becomes an exception of the library's own, and the process lives.

#[cfg(debug_assertions)]
pub(crate) mod on_purpose;

use std::panic::{AssertUnwindSafe, catch_unwind};

use lime_core::{Error, fault};
use pyo3::prelude::*;

/// Runs the body of a function that Python calls; `#[guarded]` puts it there.
pub(crate) fn guard<T>(
    raise: fn(Python<'_>, &Error) -> PyErr,
    body: impl FnOnce() -> PyResult<T>,
) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|panic| Err(Python::attach(|py| raise(py, &fault::caught(&*panic)))))
}
