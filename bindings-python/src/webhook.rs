//! Webhooks: verified and signed on the calling thread.

use std::sync::Arc;

use lime_core::WebhookVerifier;
use lime_core::clock::ManualClock;
use lime_core::sesame::webhook;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::{convert, error};

/// Remembers which bodies were let in.
#[pyclass(frozen, module = "lime_sdk._native")]
pub(crate) struct ReplayGuard(lime_core::ReplayGuard);

#[pymethods]
impl ReplayGuard {
    #[new]
    fn new(horizon: f64, capacity: usize) -> PyResult<Self> {
        Ok(Self(lime_core::ReplayGuard::new(convert::seconds("horizon", horizon)?, capacity)))
    }

    /// Lets a body in again; whether it had been let in.
    fn forget(&self, body: &[u8]) -> bool {
        self.0.forget(body)
    }
}

/// The payload of a webhook that can be trusted.
#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // pyo3 hands lists over by value
pub(crate) fn verify_webhook<'py>(
    py: Python<'py>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: &[u8],
    secrets: Vec<Vec<u8>>,
    tolerance: f64,
    now: f64,
    replay_guard: Option<&ReplayGuard>,
) -> PyResult<Bound<'py, PyDict>> {
    let mut verifier = WebhookVerifier::new(&secrets)
        .tolerance(convert::seconds("tolerance", tolerance)?)
        .clock(Arc::new(ManualClock::at(convert::seconds("now", now)?)));
    if let Some(guard) = replay_guard {
        verifier = verifier.replay_guard(guard.0.clone());
    }
    let verified = verifier.verify(headers, body).map_err(|error| error::raise_sesame(py, &error))?;
    convert::dict(py, &verified.payload)
}

/// `(signature, timestamp)`: the values of the two headers.
#[pyfunction]
pub(crate) fn sign_webhook(
    py: Python<'_>,
    body: &[u8],
    secret: &[u8],
    timestamp: u64,
) -> PyResult<(String, String)> {
    let signed = webhook::sign(body, secret, timestamp).map_err(|error| error::raise_sesame(py, &error))?;
    Ok((signed.signature, signed.timestamp))
}
