//! The pure functions, for programs that do their own I/O and for the shared vectors.

use std::sync::Mutex;

use guarded::guarded;
use lime_core::site::frame::Frame;
use lime_core::site::jwks::KeySet;
use lime_core::site::{passport, sse};
use lime_core::{BindingCheck, Error, ErrorKind, PassportCheck, Timestamp, envelope};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::{convert, error};

/// The `data` of an envelope.
#[guarded]
#[pyfunction]
pub(crate) fn open_envelope<'py>(
    py: Python<'py>,
    http_status: u16,
    body: &[u8],
) -> PyResult<Bound<'py, PyDict>> {
    let data = envelope::open(http_status, body).map_err(|error| error::raise(py, &error))?;
    convert::dict(py, &data)
}

/// `(unix_micros, offset_seconds)` of an ISO 8601 text.
#[guarded]
#[pyfunction]
pub(crate) fn parse_timestamp(py: Python<'_>, text: &str) -> PyResult<(i64, Option<i32>)> {
    Timestamp::parse(text).map(convert::timestamp).map_err(|error| error::raise(py, &error))
}

/// The claims of a passport, verified with a key document that is at hand.
#[guarded]
#[pyfunction]
pub(crate) fn verify_passport<'py>(
    py: Python<'py>,
    jwt: &str,
    jwks: &[u8],
    api_root: &str,
    expected_request_id: Option<&str>,
    require_issuer: bool,
    now: f64,
) -> PyResult<Bound<'py, PyDict>> {
    let mut check = PassportCheck::default().require_issuer(require_issuer);
    if let Some(request_id) = expected_request_id {
        check = check.expected_request_id(request_id);
    }
    let now = convert::seconds("now", now)?;
    let verified = KeySet::from_json(jwks)
        .and_then(|keys| passport::verify(jwt, &keys, api_root, &check, now))
        .map_err(|error| error::raise(py, &error))?;
    convert::dict(py, &verified.claims)
}

/// The claims of a binding passport, verified with a key document that is at hand.
#[guarded]
#[pyfunction]
pub(crate) fn verify_binding_passport<'py>(
    py: Python<'py>,
    jwt: &str,
    jwks: &[u8],
    api_root: &str,
    expected_binding_id: Option<&str>,
    require_issuer: bool,
    now: f64,
) -> PyResult<Bound<'py, PyDict>> {
    let mut check = BindingCheck::default().require_issuer(require_issuer);
    if let Some(binding_id) = expected_binding_id {
        check = check.expected_binding_id(binding_id);
    }
    let now = convert::seconds("now", now)?;
    let verified = KeySet::from_json(jwks)
        .and_then(|keys| passport::verify_binding(jwt, &keys, api_root, &check, now))
        .map_err(|error| error::raise(py, &error))?;
    convert::dict(py, &verified.claims)
}

/// What the data of one event says: a tuple of its kind and its texts.
#[guarded]
#[pyfunction]
pub(crate) fn parse_frame<'py>(py: Python<'py>, data: &str) -> PyResult<Bound<'py, PyTuple>> {
    match Frame::parse(data) {
        Frame::Keepalive => ("keepalive",).into_pyobject(py),
        Frame::Approved { request_id, passport } => ("approved", request_id, passport).into_pyobject(py),
        Frame::Expired { request_id } => ("expired", request_id).into_pyobject(py),
        Frame::Error { code, message } => ("error", code, message).into_pyobject(py),
        Frame::Ignored => ("ignored",).into_pyobject(py),
        Frame::Malformed(reason) => ("malformed", reason).into_pyobject(py),
    }
}

/// Bytes to server-sent events.
#[pyclass(frozen, module = "lime_sdk._native")]
pub(crate) struct EventParser(Mutex<sse::Parser>);

#[guarded]
#[pymethods]
impl EventParser {
    #[new]
    #[pyo3(signature = (last_event_id = String::new()))]
    fn new(last_event_id: String) -> Self {
        Self(Mutex::new(sse::Parser::resumed(last_event_id)))
    }

    /// The events that this chunk completes, as `(event, data, id)`.
    fn feed(&self, py: Python<'_>, chunk: &[u8]) -> PyResult<Vec<(String, String, String)>> {
        let mut events = Vec::new();
        let fed = self.lock().feed(chunk, |event| {
            events.push((event.event.to_owned(), event.data.to_owned(), event.id.to_owned()));
        });
        if let Err(sse::TooLong) = fed {
            let error = Error::new(ErrorKind::BadResponse, "An event is larger than an event may be");
            return Err(error::raise(py, &error));
        }
        Ok(events)
    }

    #[getter]
    fn last_event_id(&self) -> String {
        self.lock().last_event_id().to_owned()
    }

    #[getter]
    fn retry_millis(&self) -> Option<u64> {
        self.lock().retry_millis()
    }
}

impl EventParser {
    fn lock(&self) -> std::sync::MutexGuard<'_, sse::Parser> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
