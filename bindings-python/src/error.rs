//! Core errors as Python exceptions. The classes are Python's (`lime_sdk._errors`), chosen by kind there.

use lime_core::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;

use crate::convert;

/// `(number, name, description)` of every kind.
pub(crate) fn kinds() -> Vec<(i32, &'static str, &'static str)> {
    ErrorKind::ALL.iter().map(|kind| (kind.number(), kind.name(), kind.description())).collect()
}

/// The exception object for an error.
pub(crate) fn exception<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    static FACTORY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let factory = FACTORY.get_or_try_init(py, || {
        PyResult::Ok(py.import("lime_sdk._errors")?.getattr("from_native")?.unbind())
    })?;
    let detail = error.detail().map(|detail| convert::dict(py, detail)).transpose()?;
    factory.bind(py).call1((
        error.kind().name(),
        error.message(),
        error.code(),
        error.http_status(),
        detail,
        error.request_id(),
        error.retry_after().map(|wait| wait.as_secs_f64()),
    ))
}

/// The error to raise from a native function.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    match exception(py, error) {
        Ok(exception) => PyErr::from_value(exception),
        Err(other) => other,
    }
}

/// `(value, None)` or `(None, exception)`: how a finished call reaches the event loop.
pub(crate) fn outcome<'py, T>(
    py: Python<'py>,
    result: Result<T, Error>,
    convert: impl FnOnce(Python<'py>, T) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyTuple>> {
    match result {
        Ok(value) => (convert(py, value)?, py.None()).into_pyobject(py),
        Err(error) => (py.None(), exception(py, &error)?).into_pyobject(py),
    }
}
