//! What agents and MCP servers call for access tokens.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::agent::AGENT_TOKEN;
use super::header;
use crate::envelope::json_response;
use crate::state::Core;

pub(super) async fn metadata(State(core): State<Arc<Core>>) -> Response {
    json_response(StatusCode::OK, &core.mcp_metadata())
}

pub(super) async fn token(State(core): State<Arc<Core>>, headers: HeaderMap, body: Bytes) -> Response {
    core.grant_mcp_token(header(&headers, AGENT_TOKEN).as_deref(), &body).await
}
