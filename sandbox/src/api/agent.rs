//! What an agent's worker calls.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{Id, header, id_in, idempotency_key};
use crate::envelope::{self, Failure};
use crate::state::Core;

pub(super) const AGENT_TOKEN: &str = "x-agent-token";

pub(super) async fn challenge(State(core): State<Arc<Core>>, path: Id) -> Result<Response, Failure> {
    let id = id_in(path)?;
    let data = core.read(|state| state.challenge(&id))?;
    Ok(envelope::success(StatusCode::OK, &data))
}

pub(super) async fn approve(
    State(core): State<Arc<Core>>,
    path: Id,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let token = header(&headers, AGENT_TOKEN);
    // The token is looked at before anything else, so that a missing one is told even for an
    // id that is none.
    core.read(|state| state.authenticate_agent(token.as_deref()).map(|_| ()))?;
    let id = id_in(path)?;
    let data = core.approve_login(token.as_deref(), &id, &body, idempotency_key(&headers)).await?;
    Ok(envelope::success(StatusCode::OK, &data))
}

pub(super) async fn profile(State(core): State<Arc<Core>>, headers: HeaderMap) -> Result<Response, Failure> {
    let token = header(&headers, AGENT_TOKEN);
    let data = core.read(|state| {
        let agent = state.authenticate_agent(token.as_deref())?;
        Ok(state.profile(agent))
    })?;
    Ok(envelope::success(StatusCode::OK, &data))
}
