//! Open event streams.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{in_vain, ok, parse, patience, show};
use crate::error::ControlError;
use crate::events::{End, frame};
use crate::state::Core;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Count only this site's streams for the conditions below.
    #[serde(default)]
    site_id: Option<String>,
    #[serde(default)]
    min_open: Option<usize>,
    #[serde(default)]
    max_open: Option<usize>,
    #[serde(default)]
    min_connects: Option<u64>,
    #[serde(default)]
    wait_ms: Option<u64>,
}

pub(super) async fn list(State(core): State<Arc<Core>>, Query(query): Query<ListQuery>) -> Response {
    let found = core
        .wait_for(patience(query.wait_ms), |state| {
            let streams = state.streams_by_site();
            let (open, connects) = match &query.site_id {
                None => (streams.open, streams.total_connects),
                Some(id) => streams
                    .sites
                    .iter()
                    .find(|site| site.site_id == *id)
                    .map_or((0, 0), |site| (site.open, site.connects)),
            };
            let fits = query.min_open.is_none_or(|min| open >= min)
                && query.max_open.is_none_or(|max| open <= max)
                && query.min_connects.is_none_or(|min| connects >= min);
            fits.then_some(streams)
        })
        .await;
    match found {
        Some(streams) => show(&streams),
        None => in_vain(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Disconnect {
    #[serde(default)]
    site_id: Option<String>,
    /// Drop the connection instead of ending the response.
    #[serde(default)]
    abort: bool,
    /// Drop it with a TCP reset.
    #[serde(default)]
    reset: bool,
}

pub(super) async fn disconnect(State(core): State<Arc<Core>>, body: Bytes) -> Result<Response, ControlError> {
    let Disconnect { site_id, abort, reset } = parse(&body)?;
    let end = if abort || reset { End::Abort { reset } } else { End::Clean };
    let streams = core.change(|state| state.end_streams(site_id.as_deref(), end));
    Ok(ok(&json!({"disconnected": streams})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Push {
    #[serde(default)]
    site_id: Option<String>,
    /// Bytes as text.
    #[serde(default)]
    raw: Option<String>,
    /// Bytes that are no text.
    #[serde(default)]
    raw_base64: Option<String>,
    /// A JSON value, sent as one well-formed frame.
    #[serde(default)]
    event: Option<Value>,
}

pub(super) async fn push(State(core): State<Arc<Core>>, body: Bytes) -> Result<Response, ControlError> {
    let push: Push = parse(&body)?;
    let bytes = match (push.raw, push.raw_base64, push.event) {
        (Some(raw), None, None) => Bytes::from(raw),
        (None, Some(raw), None) => STANDARD
            .decode(raw)
            .map_err(|error| ControlError::invalid(format!("raw_base64: {error}")))?
            .into(),
        (None, None, Some(event)) => frame(&event),
        _ => {
            return Err(ControlError::invalid("give one of raw, raw_base64 and event"));
        }
    };
    let streams = core.change(|state| state.push_raw(push.site_id.as_deref(), &bytes));
    Ok(ok(&json!({"streams": streams})))
}
