//! Sites, agents, and API keys of the broker.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::{ok, parse, show};
use crate::error::ControlError;
use crate::sandbox::Info;
use crate::sesame::ApiKey;
use crate::state::{Agent, Core, NewAgent, Site};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSite {
    #[serde(default)]
    name: Option<String>,
}

pub(super) async fn info(State(core): State<Arc<Core>>) -> Response {
    show(&Info::of(&core))
}

pub(super) async fn sites(State(core): State<Arc<Core>>) -> Response {
    let sites: Vec<Site> = core.read(|state| state.sites.values().cloned().collect());
    ok(&json!({"sites": sites}))
}

pub(super) async fn add_site(State(core): State<Arc<Core>>, body: Bytes) -> Result<Response, ControlError> {
    let NewSite { name } = parse(&body)?;
    Ok(show(&core.add_site(name)))
}

pub(super) async fn suspend(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
) -> Result<Response, ControlError> {
    Ok(show(&core.suspend_site(&id, true)?))
}

pub(super) async fn resume(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
) -> Result<Response, ControlError> {
    Ok(show(&core.suspend_site(&id, false)?))
}

pub(super) async fn agents(State(core): State<Arc<Core>>) -> Response {
    let agents: Vec<Agent> = core.read(|state| state.agents.values().cloned().collect());
    ok(&json!({"agents": agents}))
}

pub(super) async fn add_agent(State(core): State<Arc<Core>>, body: Bytes) -> Result<Response, ControlError> {
    let profile: NewAgent = parse(&body)?;
    Ok(show(&core.add_agent(profile)))
}

pub(super) async fn deactivate(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
) -> Result<Response, ControlError> {
    Ok(show(&core.change_agent(&id, |agent| agent.inactive = true)?))
}

pub(super) async fn activate(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
) -> Result<Response, ControlError> {
    Ok(show(&core.change_agent(&id, |agent| agent.inactive = false)?))
}

pub(super) async fn suspend_user(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
) -> Result<Response, ControlError> {
    Ok(show(&core.change_agent(&id, |agent| agent.user_suspended = true)?))
}

pub(super) async fn resume_user(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
) -> Result<Response, ControlError> {
    Ok(show(&core.change_agent(&id, |agent| agent.user_suspended = false)?))
}

pub(super) async fn api_keys(State(core): State<Arc<Core>>) -> Response {
    let keys: Vec<ApiKey> = core.read(|state| state.broker.keys.iter().cloned().collect());
    ok(&json!({"api_keys": keys}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewApiKey {
    #[serde(default)]
    label: Option<String>,
}

pub(super) async fn add_api_key(
    State(core): State<Arc<Core>>,
    body: Bytes,
) -> Result<Response, ControlError> {
    let NewApiKey { label } = parse(&body)?;
    Ok(show(&core.add_api_key(label)?))
}
