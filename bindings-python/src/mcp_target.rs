//! What a target of an MCP call means.

use guarded::guarded;
use lime_core::agent::mcp_target;
use pyo3::prelude::*;

use crate::error;

/// The host name that tokens for this target are for.
#[guarded]
#[pyfunction]
pub(crate) fn extract_and_normalize_domain(py: Python<'_>, target: &str) -> PyResult<String> {
    mcp_target::extract_and_normalize_domain(target).map_err(|error| error::raise(py, &error))
}

/// The address of the MCP server that a target means.
#[guarded]
#[pyfunction]
pub(crate) fn resolve_mcp_http_url(py: Python<'_>, target: &str) -> PyResult<String> {
    mcp_target::resolve_mcp_http_url(target).map_err(|error| error::raise(py, &error))
}
