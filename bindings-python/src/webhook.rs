//! Webhooks: verified and signed on the calling thread.

use std::borrow::Cow;
use std::sync::Arc;

use guarded::guarded;
use jiter::{PythonParse, StringCacheMode};
use lime_core::WebhookVerifier;
use lime_core::clock::ManualClock;
use lime_core::sesame::webhook::{self, Refusal};
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyList, PyString, PyTuple};

use crate::{convert, error};

/// Remembers which bodies were let in.
#[pyclass(frozen, module = "lime_sdk._native")]
pub(crate) struct ReplayGuard(lime_core::ReplayGuard);

#[guarded(sesame)]
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

/// Seconds: what a [`std::time::Duration`] can count in, and beyond any clock.
const LONGEST: f64 = 1e15;

/// The payload of a webhook that can be trusted. `headers`: an iterable of pairs, or something with
/// `items()`; what is no text in it belongs to no header.
#[guarded(sesame)]
#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // pyo3 hands lists over by value
pub(crate) fn verify_webhook<'py>(
    py: Python<'py>,
    headers: &Bound<'py, PyAny>,
    body: &[u8],
    secrets: &Bound<'py, PyAny>,
    tolerance: f64,
    now: f64,
    replay_guard: Option<&ReplayGuard>,
) -> PyResult<Bound<'py, PyDict>> {
    if !(tolerance >= 0.0 && now.is_finite()) {
        let message = "tolerance must be a number of seconds, and now a Unix time";
        return Err(PyValueError::new_err(message));
    }
    // Time without an end is what is left of it; a clock before 1970 makes everything "in the future".
    let mut verifier = WebhookVerifier::new(secrets_of(secrets)?)
        .tolerance(convert::seconds("tolerance", tolerance.min(LONGEST))?)
        .clock(Arc::new(ManualClock::at(convert::seconds("now", now.clamp(0.0, LONGEST))?)));
    if let Some(guard) = replay_guard {
        verifier = verifier.replay_guard(guard.0.clone());
    }
    let trusted = verifier.verify_as(pairs(headers)?, body, |body| parse(py, body));
    trusted.map(|(payload, _)| payload).map_err(|error| error::raise_sesame(py, &error))
}

/// The body as Python's objects at once: a third of the time that a detour by Rust's takes, and integers of any
/// size stay what they are. Names of members, which repeat, are made once; looking for values that were there
/// before costs more than making them anew.
fn parse<'py>(py: Python<'py>, body: &[u8]) -> Result<(Bound<'py, PyDict>, Option<String>), Refusal> {
    let strict = PythonParse { cache_mode: StringCacheMode::Keys, ..PythonParse::default() };
    let payload = strict.python_parse(py, body).map_err(|_| Refusal::NotJson)?;
    let payload = payload.cast_into::<PyDict>().map_err(|_| Refusal::NotAnObject)?;
    let decided_at = payload.get_item(intern!(py, "decided_at")).ok().flatten();
    let decided_at = decided_at.and_then(|text| text.extract::<String>().ok());
    Ok((payload, decided_at))
}

/// A text, as almost always, or a list of bytes.
fn secrets_of(secrets: &Bound<'_, PyAny>) -> PyResult<Vec<Vec<u8>>> {
    let Ok(text) = secrets.cast_exact::<PyString>() else { return secrets.extract() };
    // A lone surrogate is no text that anybody has signed with: as bytes it is refused like any other.
    if let Ok(text) = text.to_str() {
        return Ok(vec![text.as_bytes().to_vec()]);
    }
    let encoded = text.call_method1(intern!(text.py(), "encode"), ("utf-8", "surrogatepass"))?;
    Ok(vec![encoded.extract()?])
}

/// The headers that matter, in whatever shape they came.
fn pairs(headers: &Bound<'_, PyAny>) -> PyResult<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut pairs = Vec::new();
    if let Ok(dict) = headers.cast_exact::<PyDict>() {
        let plain = |item: &Bound<'_, PyAny>| item.is_exact_instance_of::<PyString>();
        if dict.iter().all(|(name, value)| plain(&name) && plain(&value)) {
            for (name, value) in dict.iter() {
                add(&mut pairs, &name, &value)?;
            }
            return Ok(pairs);
        }
        // A copy: what is in it may change it while it is read.
        for item in dict.items() {
            let (name, value) = item.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
            add(&mut pairs, &name, &value)?;
        }
        return Ok(pairs);
    }
    let items = match headers.getattr_opt(intern!(headers.py(), "items"))? {
        Some(items) => items.call0()?,
        None => headers.clone(),
    };
    if !items.hasattr(intern!(headers.py(), "__iter__"))? {
        return Ok(pairs);
    }
    for item in items.try_iter()? {
        if let Ok((name, value)) = item?.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>() {
            add(&mut pairs, &name, &value)?;
        }
    }
    Ok(pairs)
}

fn add(
    pairs: &mut Vec<(Vec<u8>, Vec<u8>)>,
    name: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let Some(name) = text(name).filter(|name| webhook::concerns(name)) else { return Ok(()) };
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        for one in value.try_iter()? {
            if let Some(value) = text(&one?) {
                pairs.push((name.to_vec(), value.to_vec()));
            }
        }
    } else if let Some(value) = text(value) {
        pairs.push((name.to_vec(), value.to_vec()));
    }
    Ok(())
}

/// The bytes of a text, if it is one. A lone surrogate is not UTF-8, and in no header that matters.
fn text<'a>(value: &'a Bound<'_, PyAny>) -> Option<Cow<'a, [u8]>> {
    if let Ok(text) = value.cast::<PyString>() {
        return Some(match text.to_cow() {
            Ok(Cow::Borrowed(text)) => Cow::Borrowed(text.as_bytes()),
            Ok(Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
            Err(_) => Cow::Owned(text.to_string_lossy().into_owned().into_bytes()),
        });
    }
    if value.is_exact_instance_of::<PyInt>() {
        // A timestamp that a program has set as a number.
        return value.str().ok().map(|text| Cow::Owned(text.to_string_lossy().into_owned().into_bytes()));
    }
    value.cast::<PyBytes>().ok().map(|bytes| Cow::Borrowed(bytes.as_bytes()))
}

/// `(signature, timestamp)`: the values of the two headers.
#[guarded(sesame)]
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
