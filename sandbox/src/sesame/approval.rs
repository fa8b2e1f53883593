//! Approvals: pending → approved, denied or expired.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::outbox::Delivery;
use super::record::{Stored, When};
use super::{Detail, Entry, Record};
use crate::error::ControlError;
use crate::state::{Core, State};

/// Where an approval stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApprovalStatus {
    /// Waits for a decision.
    Pending,
    /// Somebody said yes.
    Approved,
    /// Somebody said no.
    Denied,
    /// Nobody decided in time.
    Expired,
}

impl ApprovalStatus {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
        }
    }
}

/// What somebody says to an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Yes.
    Approved,
    /// No.
    Denied,
}

impl From<Decision> for ApprovalStatus {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Approved => Self::Approved,
            Decision::Denied => Self::Denied,
        }
    }
}

/// An approval as the control API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// Its id.
    pub approval_id: String,
    /// Where it stands.
    pub status: ApprovalStatus,
    /// What is to be done, in dotted words.
    pub action: String,
    /// The same for people.
    pub summary: String,
    /// Why.
    pub reason: Option<String>,
    /// How bad it would be to get it wrong: any text.
    pub severity: Option<String>,
    /// Whatever else the one who decides should see.
    pub context: Option<Map<String, Value>>,
    /// With the same key from the same API key, this approval is found instead of a new one made.
    pub dedup_key: Option<String>,
    /// Where a webhook is sent when it is decided.
    pub callback_url: Option<String>,
    /// The API key that asked (its id, not the secret).
    pub key_id: String,
    /// That key's label.
    pub requester_label: Option<String>,
    /// When it was asked, ISO 8601 by the sandbox's clock.
    pub created_at: String,
    /// When it expires, ISO 8601.
    pub expires_at: String,
    /// When it was decided, or expired.
    pub decided_at: Option<String>,
    /// What was said with the decision.
    pub note: Option<String>,
    /// The id of the rule that decided, or waits before it does.
    pub rule: Option<u64>,
}

impl State {
    pub(super) fn show_approval(&self, stored: &Stored) -> Approval {
        let ask = stored.ask.clone();
        Approval {
            approval_id: stored.approval_id.clone(),
            status: stored.status,
            action: ask.action,
            summary: ask.summary,
            reason: ask.reason,
            severity: ask.severity,
            context: ask.context,
            dedup_key: ask.dedup_key,
            callback_url: ask.callback_url,
            key_id: stored.key_id.clone(),
            requester_label: stored.requester_label.clone(),
            created_at: self.date(stored.created_at.0),
            expires_at: self.date(stored.expires_at.0),
            decided_at: stored.decided_at.map(|at| self.date(at.0)),
            note: stored.note.clone(),
            rule: stored.rule,
        }
    }

    /// All approvals, or those that stand there, oldest first.
    pub(crate) fn show_approvals(&self, status: Option<ApprovalStatus>) -> Vec<Approval> {
        self.broker
            .approvals_in_order()
            .filter(|entry| status.is_none_or(|status| entry.stored.status == status))
            .map(|entry| self.show_approval(&entry.stored))
            .collect()
    }

    /// The pending approvals that expire first, oldest first.
    pub(crate) fn show_pending(&self, limit: usize) -> Vec<Approval> {
        let mut pending: Vec<_> = self
            .broker
            .pending
            .iter()
            .take(limit)
            .filter_map(|(_, id)| self.broker.approvals.get(id))
            .map(|entry| &entry.stored)
            .collect();
        pending.sort_by_key(|stored| stored.created_at.0);
        pending.into_iter().map(|stored| self.show_approval(stored)).collect()
    }

    /// The last decided ones, newest first.
    pub(crate) fn show_decided(&self, limit: usize) -> Vec<Approval> {
        let last = self.broker.decided.iter().rev().take(limit);
        last.filter_map(|id| self.broker.approvals.get(id))
            .map(|entry| self.show_approval(&entry.stored))
            .collect()
    }

    pub(crate) fn count_approvals(&self, status: Option<ApprovalStatus>) -> usize {
        match status {
            None => self.broker.len(),
            Some(ApprovalStatus::Pending) => self.broker.pending.len(),
            Some(status) => {
                self.broker.approvals.values().filter(|entry| entry.stored.status == status).count()
            }
        }
    }

    /// One approval as the control API shows it.
    pub(crate) fn shown_approval(&self, id: &str) -> Result<Approval, ControlError> {
        self.entry(id).map(|entry| self.show_approval(&entry.stored))
    }

    /// Where an approval stands.
    pub(crate) fn approval_status(&self, id: &str) -> Option<ApprovalStatus> {
        self.broker.approvals.get(id).map(|entry| entry.stored.status)
    }

    fn entry(&self, id: &str) -> Result<&Entry, ControlError> {
        self.broker.approvals.get(id).ok_or_else(|| ControlError::not_found("there is no such approval"))
    }

    /// What the one who asked sees.
    pub(super) fn approval_answer(&self, stored: &Stored) -> Value {
        let mut answer = json!({
            "approval_id": stored.approval_id,
            "status": stored.status,
            "expires_at": self.date(stored.expires_at.0),
        });
        if let Some(at) = stored.decided_at {
            answer["decided_at"] = self.date(at.0).into();
        }
        for (name, value) in [("note", &stored.note), ("requester_label", &stored.requester_label)] {
            if let Some(value) = value {
                answer[name] = value.as_str().into();
            }
        }
        answer
    }

    /// An approval of the key's own.
    pub(super) fn own_approval(&self, authorization: Option<&str>, id: &str) -> Result<&Entry, Detail> {
        let key = self.broker.keys.authenticate(authorization)?;
        self.broker
            .approvals
            .get(id)
            .filter(|entry| entry.stored.key_id == key.key_id)
            .ok_or(Detail::APPROVAL_NOT_FOUND)
    }

    /// Ends a pending approval: written down first, then told to those who wait and to the webhook.
    pub(super) fn settle(
        &mut self,
        id: &str,
        status: ApprovalStatus,
        note: Option<String>,
        rule: Option<u64>,
    ) -> Result<(), ControlError> {
        let now = self.clock.now();
        let mut stored = self.entry(id)?.stored.clone();
        if stored.status != ApprovalStatus::Pending {
            let status = stored.status.as_str();
            return Err(ControlError::conflict(format!("the approval is {status}, not pending")));
        }
        stored.status = status;
        stored.decided_at = Some(When(now));
        stored.note = note.filter(|note| !note.is_empty());
        stored.rule = rule;
        let delivery = stored.ask.callback_url.clone().map(|url| {
            let body = self.webhook_body(&stored);
            Delivery::new(self.broker.outbox.next_id(), id.to_owned(), url, body)
        });
        let mut records = vec![Record::Approval(Box::new(stored.clone()))];
        records.extend(delivery.clone().map(Record::Delivery));
        let written = self.broker.write(&records);
        if status != ApprovalStatus::Expired {
            written.map_err(ControlError::not_written)?;
        }
        // Time passes whether it can be written down or not: what could not be expires again
        // after a restart.
        self.broker.pending.remove(&(stored.expires_at.0, stored.approval_id.clone()));
        if let Some(delivery) = delivery {
            self.broker.outbox.push(delivery);
        }
        self.broker.remember_decided(id.to_owned());
        if let Some(entry) = self.broker.approvals.get_mut(id) {
            entry.stored = stored;
            entry.decided.send_replace(());
        }
        Ok(())
    }

    fn webhook_body(&self, stored: &Stored) -> String {
        let mut body = json!({
            "approval_id": stored.approval_id,
            "action": stored.ask.action,
            "status": stored.status,
            "decided_at": stored.decided_at.map(|at| self.date(at.0)),
        });
        for (name, value) in
            [("requester_label", &stored.requester_label), ("dedup_key", &stored.ask.dedup_key)]
        {
            if let Some(value) = value {
                body[name] = value.as_str().into();
            }
        }
        body.to_string()
    }

    /// Lets what is due happen: approvals expire, and rules that have waited decide. Returns
    /// whether anything did.
    pub(crate) fn settle_approvals(&mut self) -> bool {
        let mut any = false;
        if !self.broker.pending.is_empty() {
            let now = self.clock.now();
            while self.broker.pending.first().is_some_and(|(expires_at, _)| *expires_at <= now) {
                if let Some((_, id)) = self.broker.pending.pop_first() {
                    // It is pending, or it would not have stood there.
                    let _ = self.settle(&id, ApprovalStatus::Expired, None, None);
                    any = true;
                }
            }
        }
        if !self.broker.scheduled.is_empty() {
            let now = Instant::now();
            while self.broker.scheduled.first().is_some_and(|(at, _)| *at <= now) {
                if let Some((_, id)) = self.broker.scheduled.pop_first() {
                    self.decide_by_rule(&id);
                    any = true;
                }
            }
        }
        any
    }
}

impl State {
    /// Real time until the next thing that happens by itself.
    pub(crate) fn until_next_settlement(&self) -> Option<Duration> {
        let expiry = self.broker.pending.first().and_then(|(at, _)| self.until(*at));
        let rule = self
            .broker
            .scheduled
            .first()
            .map(|(at, _)| at.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
        [expiry, rule].into_iter().flatten().min()
    }
}

impl Core {
    /// Decides a pending approval.
    pub(crate) fn decide(
        &self,
        id: &str,
        decision: Decision,
        note: Option<&str>,
    ) -> Result<Approval, ControlError> {
        self.change(|state| {
            state.settle(id, decision.into(), note.map(str::to_owned), None)?;
            state.shown_approval(id)
        })
    }

    /// Expires a pending approval ahead of its time.
    pub(crate) fn expire_approval(&self, id: &str) -> Result<Approval, ControlError> {
        self.change(|state| {
            state.settle(id, ApprovalStatus::Expired, None, None)?;
            state.shown_approval(id)
        })
    }
}
