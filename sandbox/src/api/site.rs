//! What a site's backend calls.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use super::{Id, header as header_text, id_in, idempotency_key};
use crate::connection::Link;
use crate::envelope::{self, Failure};
use crate::faults::StreamFaults;
use crate::login::json_object;
use crate::settings::JwksForm;
use crate::sse;
use crate::state::Core;

pub(super) const SITE_TOKEN: &str = "x-site-token";

pub(super) async fn create_request(
    State(core): State<Arc<Core>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let token = header_text(&headers, SITE_TOKEN);
    let data = core.change(|state| {
        let site_id = state.authenticate_site(token.as_deref())?.site_id.clone();
        json_object(&body)?;
        Ok(state.create_login(&site_id, idempotency_key(&headers)))
    })?;
    // It may be the first to expire.
    core.timer.notify_one();
    Ok(envelope::success(StatusCode::CREATED, &data))
}

pub(super) async fn read_request(
    State(core): State<Arc<Core>>,
    path: Id,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let token = header_text(&headers, SITE_TOKEN);
    let data = core.read(|state| {
        let site = state.authenticate_site(token.as_deref())?;
        state.read_login(&site.site_id, &id_in(path)?)
    })?;
    Ok(envelope::success(StatusCode::OK, &data))
}

pub(super) async fn events(
    State(core): State<Arc<Core>>,
    Extension(link): Extension<Arc<Link>>,
    Extension(faults): Extension<StreamFaults>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let token = header_text(&headers, SITE_TOKEN);
    let site_id =
        core.read(|state| state.authenticate_site(token.as_deref()).map(|site| site.site_id.clone()))?;
    Ok(sse::open(&core, link, &site_id, faults))
}

pub(super) async fn jwks(State(core): State<Arc<Core>>) -> Response {
    let keys = core.keys.published().await;
    let document = match core.read(|state| state.settings.jwks_form) {
        JwksForm::Envelope => json!({"ok": true, "data": {"keys": keys}}),
        JwksForm::Bare => json!({"keys": keys}),
        JwksForm::Both => json!({"ok": true, "data": {"keys": keys}, "keys": keys}),
    };
    let mut response = envelope::json_response(StatusCode::OK, &document);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}
