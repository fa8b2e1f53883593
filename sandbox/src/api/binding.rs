//! What a site's backend calls to connect an agent with an account.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::site::SITE_TOKEN;
use super::{header, idempotency_key};
use crate::envelope::{self, Failure};
use crate::state::Core;

pub(super) async fn create(
    State(core): State<Arc<Core>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let (token, key) = (header(&headers, SITE_TOKEN), idempotency_key(&headers));
    let data = core.change(|state| state.create_binding(&core.origin, token.as_deref(), &body, key))?;
    // It may be the first to expire.
    core.timer.notify_one();
    Ok(envelope::success(StatusCode::CREATED, &data))
}

pub(super) async fn exchange(
    State(core): State<Arc<Core>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let (token, key) = (header(&headers, SITE_TOKEN), idempotency_key(&headers));
    let data = core.exchange_binding(token.as_deref(), &body, key).await?;
    Ok(envelope::success(StatusCode::OK, &data))
}
