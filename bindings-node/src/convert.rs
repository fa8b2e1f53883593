//! What calls give, as JSON.

use std::time::Duration;

use lime_core::{
    AgentProfile, Approval, ApprovalResult, BindingRequest, LoginEvent, LoginRequest, LoginRequestStatus,
    McpAccessToken, McpResult, Passport, StreamState, StreamStatus, Timestamp,
};
use serde_json::{Value, json};

use crate::error::{self, Result};

/// Microseconds since the epoch; TypeScript makes `Date`s, which count milliseconds.
fn timestamp(timestamp: Timestamp) -> Value {
    timestamp.unix_micros.into()
}

pub(crate) fn login_request(request: LoginRequest) -> Value {
    json!([request.request_id, request.status, timestamp(request.expires_at)])
}

pub(crate) fn login_request_status(status: LoginRequestStatus) -> Value {
    json!([status.request_id, status.status, status.expires_at.map(timestamp)])
}

pub(crate) fn login_event(event: LoginEvent) -> Value {
    json!([event.request_id, event.passport])
}

pub(crate) fn passport(passport: Passport) -> Value {
    Value::Object(passport.claims)
}

pub(crate) fn binding_request(request: BindingRequest) -> Value {
    json!([request.binding_id, request.connect_url, request.status, timestamp(request.expires_at)])
}

pub(crate) fn approval_result(result: ApprovalResult) -> Value {
    let ApprovalResult { request_id, site_id, status, expires_at, approved_agent_id } = result;
    json!([request_id, site_id, status, timestamp(expires_at), approved_agent_id])
}

pub(crate) fn profile(profile: AgentProfile) -> Value {
    json!({
        "agentId": profile.agent_id,
        "ownerId": profile.owner_id,
        "displayName": profile.display_name,
        "avatarUrl": profile.avatar_url,
        "description": profile.description,
        "ownerKycLevel": profile.owner_kyc_level,
        "agentReputation": profile.agent_reputation,
        "data": profile.data,
    })
}

pub(crate) fn mcp_access_token(token: McpAccessToken) -> Value {
    // As long as numbers of milliseconds are exact.
    let issued_at = u64::try_from(token.issued_at.as_millis()).unwrap_or(u64::MAX);
    json!([token.access_token, token.expires_in, issued_at])
}

/// As text: what the server wrote is not read twice on the library's thread.
pub(crate) fn mcp_result(result: McpResult) -> Value {
    Value::String(result.into_json())
}

pub(crate) fn approval(approval: Approval) -> Value {
    json!({
        "approvalId": approval.approval_id,
        "status": approval.status,
        "approved": approval.is_approved(),
        "terminal": approval.is_terminal(),
        "expiresAt": approval.expires_at.map(timestamp),
        "decidedAt": approval.decided_at.map(timestamp),
        "requesterLabel": approval.requester_label,
        "note": approval.note,
    })
}

pub(crate) fn stream_status(status: &StreamStatus) -> Value {
    let state = match status.state {
        StreamState::Idle => "idle",
        StreamState::Connecting => "connecting",
        StreamState::Open => "open",
        StreamState::BackingOff => "backing_off",
        StreamState::Refused => "refused",
        StreamState::Closed => "closed",
        _ => "unknown",
    };
    json!({
        "state": state,
        "lastError": status.last_error.as_ref().map(error::json),
        "connections": status.connections,
        "events": status.events,
        "malformedFrames": status.malformed_frames,
    })
}

/// JavaScript's milliseconds. Infinity is "for ever"; what is no time at all is refused.
pub(crate) fn millis(name: &str, value: f64) -> Result<Duration> {
    if value == f64::INFINITY {
        return Ok(Duration::MAX);
    }
    Duration::try_from_secs_f64(value / 1000.0)
        .map_err(|_| error::invalid(format!("{name} must be a number of milliseconds, not {value}")))
}

/// A count that a program gave: what is below zero counts as zero.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` stops at the ends
pub(crate) fn count(value: f64) -> u32 {
    value as u32
}

/// JavaScript's strings of bytes: each character is one. Others belong to no header.
pub(crate) fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect()
}
