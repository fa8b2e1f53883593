//! The settings.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use serde_json::Value;

use super::{parse, show};
use crate::error::ControlError;
use crate::state::Core;

pub(super) async fn read(State(core): State<Arc<Core>>) -> Response {
    show(&core.read(|state| state.settings.clone()))
}

pub(super) async fn patch(State(core): State<Arc<Core>>, body: Bytes) -> Result<Response, ControlError> {
    let patch: Value = parse(&body)?;
    Ok(show(&core.patch_settings(&patch)?))
}
