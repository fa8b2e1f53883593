//! What a target of an MCP call means.

use lime_core::agent::mcp_target;
use napi_derive::napi;

use crate::error::{self, Result};

/// The host name that tokens for this target are for.
#[napi(catch_unwind)]
pub fn extract_and_normalize_domain(target: String) -> Result<String> {
    mcp_target::extract_and_normalize_domain(&target).map_err(error::thrown)
}

/// The address of the MCP server that a target means.
#[napi(catch_unwind)]
pub fn resolve_mcp_http_url(target: String) -> Result<String> {
    mcp_target::resolve_mcp_http_url(&target).map_err(error::thrown)
}
