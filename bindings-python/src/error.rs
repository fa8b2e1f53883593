//! Core errors as Python exceptions. The classes are Python's (`lime_sdk._errors`), chosen by kind there.

use lime_core::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::convert;

/// `(number, name, description)` of every kind.
pub(crate) fn kinds() -> Vec<(i32, &'static str, &'static str)> {
    ErrorKind::ALL.iter().map(|kind| (kind.number(), kind.name(), kind.description())).collect()
}

/// The exception object for an error of LIME.
pub(crate) fn exception<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    static FACTORY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    made_by(py, &FACTORY, "lime_sdk._errors", error)
}

/// The exception object for an error of Sesame, whose classes are others.
pub(crate) fn sesame_exception<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    static FACTORY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    made_by(py, &FACTORY, "sesame_sdk.exceptions", error)
}

fn made_by<'py>(
    py: Python<'py>,
    factory: &PyOnceLock<Py<PyAny>>,
    module: &str,
    error: &Error,
) -> PyResult<Bound<'py, PyAny>> {
    let factory =
        factory.get_or_try_init(py, || PyResult::Ok(py.import(module)?.getattr("from_native")?.unbind()))?;
    let detail = error.detail().map(|detail| convert::dict(py, detail)).transpose()?;
    factory.bind(py).call1((
        error.kind().name(),
        error.message(),
        error.code(),
        error.http_status(),
        detail,
        error.request_id().or(error.approval_id()),
        error.retry_after().map(|wait| wait.as_secs_f64()),
    ))
}

/// The error to raise from a native function of LIME.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    exception(py, error).map_or_else(|other| other, PyErr::from_value)
}

/// The error to raise from a native function of Sesame.
pub(crate) fn raise_sesame(py: Python<'_>, error: &Error) -> PyErr {
    sesame_exception(py, error).map_or_else(|other| other, PyErr::from_value)
}
