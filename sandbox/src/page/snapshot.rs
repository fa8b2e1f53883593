//! The state as the page shows it: bounded, without secrets.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::fault::Fault;
use crate::faults::FaultState;
use crate::sandbox::Info;
use crate::sesame::{Approval, ApprovalStatus, Webhook};
use crate::state::{Core, State};

/// How much of each list is shown.
const PENDING: usize = 100;
const DECIDED: usize = 50;
const LOGINS: usize = 100;
const RECEIVED: usize = 200;
const WEBHOOKS: usize = 100;
const PLANNED: usize = 100;

/// How much of a text is shown where it is not what somebody decides on.
const CLIP: usize = 400;

/// The state in sections, each of which is sent when it has changed.
pub(super) struct Snapshot {
    /// The sandbox's time in milliseconds since 1970.
    pub(super) now: i64,
    pub(super) sections: Vec<(&'static str, Value)>,
    /// The pending approvals that the page does not know.
    pub(super) new: Vec<Value>,
    /// Those that it knows now.
    pub(super) pending: HashSet<String>,
}

impl Snapshot {
    pub(super) fn take(core: &Core, known: &HashSet<String>) -> Self {
        let info = info(&Info::of(core));
        core.read(|state| {
            let asked = state.show_pending(PENDING);
            let new =
                asked.iter().filter(|asked| !known.contains(&asked.approval_id)).map(question).collect();
            let order: Vec<Value> = asked
                .iter()
                .map(|asked| json!({"approval_id": asked.approval_id, "rule": asked.rule}))
                .collect();
            let pending =
                json!({"items": order, "total": state.count_approvals(Some(ApprovalStatus::Pending))});
            let decided: Vec<Value> = state.show_decided(DECIDED).iter().map(decision).collect();
            Self {
                now: state.clock.now().as_millisecond(),
                sections: vec![
                    ("info", info),
                    ("clock", clock(state)),
                    ("load", json!({"polls": state.broker.polls, "streams": state.streams_by_site().open})),
                    ("pending", pending),
                    ("decided", decided.into()),
                    ("faults", state.faults.states().iter().take(PLANNED).map(fault).collect()),
                    ("rules", json!(state.broker.rules.states().iter().take(PLANNED).collect::<Vec<_>>())),
                    ("received", received(state)),
                    ("webhooks", webhooks(state)),
                    ("logins", logins(state)),
                ],
                new,
                pending: asked.into_iter().map(|asked| asked.approval_id).collect(),
            }
        })
    }
}

fn info(info: &Info) -> Value {
    json!({
        "sesame_url": info.sesame_url,
        "sesame_api_key": masked(&info.sesame_api_key),
        "lime_api_base": info.lime_api_base,
        "control_url": info.control_url,
    })
}

/// The beginning of a secret: enough to tell one from another, too little to use it.
fn masked(secret: &str) -> String {
    let shown = (secret.len() / 3).min(14);
    format!("{}…", secret.get(..shown).unwrap_or_default())
}

fn clip(text: &str) -> String {
    match text.char_indices().nth(CLIP) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}

fn clock(state: &State) -> Value {
    let clock = state.clock.state();
    json!({"offset_seconds": clock.offset_seconds, "frozen": clock.frozen})
}

/// An approval for somebody who decides: all of it. The context goes as text, because a browser
/// would round large numbers.
fn question(approval: &Approval) -> Value {
    let context = approval.context.as_ref().and_then(|context| serde_json::to_string_pretty(context).ok());
    json!({
        "approval_id": approval.approval_id,
        "action": approval.action,
        "summary": approval.summary,
        "reason": approval.reason,
        "severity": approval.severity,
        "context": context,
        "requester_label": approval.requester_label,
        "created_at": approval.created_at,
        "expires_at": approval.expires_at,
    })
}

fn decision(approval: &Approval) -> Value {
    json!({
        "approval_id": approval.approval_id,
        "status": approval.status,
        "action": clip(&approval.action),
        "summary": clip(&approval.summary),
        "requester_label": approval.requester_label.as_deref().map(clip),
        "decided_at": approval.decided_at,
        "note": approval.note.as_deref().map(clip),
        "rule": approval.rule,
    })
}

/// A rule of the fault plan without what may be large; that something is missing is told.
fn fault(state: &FaultState) -> Value {
    let mut shown = state.clone();
    let Fault { body, raw, headers, location, .. } = &mut shown.fault;
    let more = body.take().is_some() | raw.take().is_some() | location.take().is_some() | !headers.is_empty();
    headers.clear();
    let mut shown = json!(shown);
    if more {
        shown["fault"]["more"] = true.into();
    }
    shown
}

fn received(state: &State) -> Value {
    let items: Vec<Value> = state
        .received
        .iter()
        .rev()
        .take(RECEIVED)
        .map(|entry| {
            json!({
                "n": entry.n,
                "time": entry.time,
                "method": entry.method,
                "path": clip(&entry.path),
                "query": entry.query.as_deref().map(clip),
                "route": entry.route,
                "status": entry.status,
                "faults": entry.faults.len(),
            })
        })
        .collect();
    json!({"items": items, "total": state.received.len()})
}

fn webhooks(state: &State) -> Value {
    let show = |webhook: &Webhook| {
        json!({
            "n": webhook.n,
            "time": webhook.time,
            "url": clip(&webhook.url),
            "attempt": webhook.attempt,
            "status": webhook.status,
            "error": webhook.error,
            "next_retry_seconds": webhook.next_retry_seconds,
            "delivered": webhook.delivered,
        })
    };
    let items: Vec<Value> = state.broker.webhooks.iter().rev().take(WEBHOOKS).map(show).collect();
    json!({"items": items, "total": state.broker.webhooks.len()})
}

fn logins(state: &State) -> Value {
    let items: Vec<Value> = state
        .login_order
        .iter()
        .rev()
        .take(LOGINS)
        .filter_map(|id| state.logins.get(id))
        .map(|login| {
            let site = state.sites.get(&login.site_id).and_then(|site| site.name.as_deref());
            let agent = login.approved_by.as_ref().and_then(|id| state.agents.get(id));
            json!({
                "login_request_id": login.id,
                "status": login.status,
                "created_at": state.date(login.created_at),
                "site": site.map(clip),
                "agent": agent.map(|agent| clip(agent.profile.display_name.as_deref().unwrap_or(&agent.agent_id))),
            })
        })
        .collect();
    json!({"items": items, "total": state.login_order.len()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_texts_clipped() {
        assert_eq!(masked("sk_sandbox_0123456789abcdef0123456789abcdef"), "sk_sandbox_012…");
        assert_eq!(masked("sk_mine"), "sk…");
        assert_eq!(masked("x"), "…");
        assert_eq!(clip("short"), "short");
        assert_eq!(clip(&"ü".repeat(CLIP + 1)).chars().count(), CLIP + 1);
        assert!(clip(&"ü".repeat(CLIP + 1)).ends_with("ü…"));
    }
}
