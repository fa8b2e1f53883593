//! MCP access tokens, and who may have them.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;

use super::{parse, show};
use crate::error::ControlError;
use crate::mcp_token::NewMcpToken;
use crate::state::Core;

pub(super) async fn grant(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
) -> Result<Response, ControlError> {
    Ok(show(&core.set_mcp_access(&id, true)?))
}

pub(super) async fn revoke(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
) -> Result<Response, ControlError> {
    Ok(show(&core.set_mcp_access(&id, false)?))
}

pub(super) async fn issue(State(core): State<Arc<Core>>, body: Bytes) -> Result<Response, ControlError> {
    let new: NewMcpToken = parse(&body)?;
    let key = core.keys.current().await;
    Ok(show(&core.force_mcp_token(&key, &new)?))
}
