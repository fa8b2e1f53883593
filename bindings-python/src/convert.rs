//! JSON values and times as Python objects.

use std::time::Duration;

use lime_core::Timestamp;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use serde_json::{Map, Value};

pub(crate) fn value(py: Python<'_>, value: &Value) -> PyResult<Py<PyAny>> {
    Ok(match value {
        Value::Null => py.None(),
        Value::Bool(flag) => flag.into_pyobject(py)?.to_owned().into_any().unbind(),
        Value::Number(number) => {
            if let Some(integer) = number.as_i64() {
                integer.into_pyobject(py)?.into_any().unbind()
            } else if let Some(integer) = number.as_u64() {
                integer.into_pyobject(py)?.into_any().unbind()
            } else {
                number.as_f64().into_pyobject(py)?.unbind()
            }
        }
        Value::String(text) => text.into_pyobject(py)?.into_any().unbind(),
        Value::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(self::value(py, item)?)?;
            }
            list.into_any().unbind()
        }
        Value::Object(map) => dict(py, map)?.into_any().unbind(),
    })
}

pub(crate) fn dict<'py>(py: Python<'py>, map: &Map<String, Value>) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (key, item) in map {
        dict.set_item(name(py, key), value(py, item)?)?;
    }
    Ok(dict)
}

/// A member's name. Those of a token's claims, which come with each, are there already.
fn name<'py>(py: Python<'py>, key: &str) -> Bound<'py, PyString> {
    macro_rules! known {
        ($($name:literal)*) => {
            match key {
                $($name => intern!(py, $name).clone(),)*
                _ => PyString::new(py, key),
            }
        };
    }
    known! {
        "iss" "sub" "aud" "exp" "nbf" "iat" "jti" "scope" "domain" "agent_id" "owner_id" "user_id" "request_id"
        "binding_id" "passport_version"
    }
}

/// Microseconds since the epoch and the offset in seconds (`None`: not written).
pub(crate) fn timestamp(timestamp: Timestamp) -> (i64, Option<i32>) {
    (timestamp.unix_micros, timestamp.offset_seconds)
}

/// Python's seconds. Infinity is "for ever"; what is no time at all is refused.
pub(crate) fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    if value == f64::INFINITY {
        return Ok(Duration::MAX);
    }
    Duration::try_from_secs_f64(value)
        .map_err(|_| PyValueError::new_err(format!("{name} must be a number of seconds, not {value}")))
}
