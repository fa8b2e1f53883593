//! The virtual clock.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;

use super::{parse, show};
use crate::clock::ClockChange;
use crate::error::ControlError;
use crate::state::Core;

pub(super) async fn read(State(core): State<Arc<Core>>) -> Response {
    show(&core.read(|state| state.clock.state()))
}

pub(super) async fn change(State(core): State<Arc<Core>>, body: Bytes) -> Result<Response, ControlError> {
    let change: ClockChange = parse(&body)?;
    Ok(show(&core.change_clock(&change)?))
}
