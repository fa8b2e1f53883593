//! A new approval: what may be asked, and when it is not new at all.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::record::{Stored, When};
use super::{ApprovalStatus, Detail, Record};
use crate::ids;
use crate::state::State;

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ask {
    pub(crate) action: String,
    pub(crate) summary: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dedup_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) callback_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) severity: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) context: Option<Map<String, Value>>,
}

impl Ask {
    /// Reads a body. Fields that nobody knows are left alone, and `null` is as good as nothing.
    fn parse(body: &[u8]) -> Result<Self, Detail> {
        let mut body: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|_| Detail::unprocessable("The body is not a JSON object"))?;
        let mut take = |name: &str| body.remove(name).filter(|value| !value.is_null());
        let needed = |name: &str, value: Option<Value>| match value {
            None => Err(Detail::unprocessable(format!("{name} is missing"))),
            Some(Value::String(text)) if !text.is_empty() => Ok(text),
            Some(_) => Err(Detail::unprocessable(format!("{name} must be a string that is not empty"))),
        };
        let optional = |name: &str, value: Option<Value>| match value {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Detail::unprocessable(format!("{name} must be a string"))),
        };
        Ok(Self {
            action: needed("action", take("action"))?,
            summary: needed("summary", take("summary"))?,
            reason: optional("reason", take("reason"))?,
            dedup_key: optional("dedup_key", take("dedup_key"))?,
            callback_url: optional("callback_url", take("callback_url"))?,
            severity: optional("severity", take("severity"))?,
            context: match take("context") {
                None => None,
                Some(Value::Object(context)) => Some(context),
                Some(_) => return Err(Detail::unprocessable("context must be an object")),
            },
        })
    }

    /// The key that finds this approval again. An empty one is none: it would tie together what
    /// has nothing to do with each other.
    pub(super) fn dedup_key(&self) -> Option<&str> {
        self.dedup_key.as_deref().filter(|key| !key.is_empty())
    }
}

impl State {
    /// Makes an approval, or finds the one that the keys name. Returns the answer.
    pub(crate) fn trigger(
        &mut self,
        authorization: Option<&str>,
        body: &[u8],
        idempotency_key: Option<String>,
    ) -> Result<Value, Detail> {
        let key = self.broker.keys.authenticate(authorization)?;
        let (key_id, requester_label) = (key.key_id.clone(), key.label.clone());
        let ask = Ask::parse(body)?;
        let repeat = idempotency_key.filter(|_| self.settings.idempotency).map(|key| (key_id.clone(), key));
        if let Some(answer) = repeat.as_ref().and_then(|repeat| self.broker.answers.get(repeat)) {
            return Ok(answer.clone());
        }
        let known = ask
            .dedup_key()
            .and_then(|dedup_key| self.broker.dedup.get(&(key_id.clone(), dedup_key.to_owned())))
            .and_then(|id| self.broker.approvals.get(id));
        let (answer, new) = if let Some(known) = known {
            (self.trigger_answer(&known.stored), None)
        } else {
            let stored = self.new_approval(key_id, requester_label, ask);
            (self.trigger_answer(&stored), Some(stored))
        };
        let mut records = Vec::new();
        records.extend(new.clone().map(|stored| Record::Approval(Box::new(stored))));
        records.extend(repeat.clone().map(|(key_id, key)| Record::Idempotent {
            key_id,
            key,
            answer: answer.clone(),
        }));
        self.broker.write(&records).map_err(|_| Detail::NOT_WRITTEN)?;
        if let Some(repeat) = repeat {
            self.broker.answers.insert(repeat, answer.clone());
        }
        if let Some(stored) = new {
            let id = stored.approval_id.clone();
            self.broker.insert(stored);
            // The answer says `pending` even if a rule decides at once: a rule is a quick person.
            self.offer_to_rules(&id);
        }
        Ok(answer)
    }

    fn new_approval(&self, key_id: String, requester_label: Option<String>, ask: Ask) -> Stored {
        let now = self.clock.now();
        let ttl = SignedDuration::try_from_secs_f64(self.settings.approval_ttl_seconds)
            .unwrap_or(SignedDuration::from_hours(1));
        Stored {
            approval_id: ids::uuid(),
            key_id,
            requester_label,
            ask,
            status: ApprovalStatus::Pending,
            created_at: When(now),
            expires_at: When(now.checked_add(ttl).unwrap_or(now)),
            decided_at: None,
            note: None,
            rule: None,
        }
    }

    fn trigger_answer(&self, stored: &Stored) -> Value {
        json!({
            "approval_id": stored.approval_id,
            "status": stored.status,
            "expires_at": self.date(stored.expires_at.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_asked() {
        let whole = json!({
            "action": "a", "summary": "s", "reason": null, "dedup_key": "", "severity": "odd",
            "callback_url": "gopher://x", "context": {"b": 1, "a": [2]}, "more": true,
        });
        let ask = Ask::parse(whole.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!((ask.reason.as_deref(), ask.dedup_key()), (None, None));
        assert_eq!(
            ask.context.map(|context| context.keys().cloned().collect()),
            Some(vec!["b".to_owned(), "a".to_owned()])
        );
        for bad in [
            "",
            "[]",
            "{",
            "null",
            "\u{feff}{}",
            r#"{"summary": "s"}"#,
            r#"{"action": "a"}"#,
            r#"{"action": "", "summary": "s"}"#,
            r#"{"action": "a", "summary": null}"#,
            r#"{"action": 1, "summary": "s"}"#,
            r#"{"action": "a", "summary": "s", "context": []}"#,
            r#"{"action": "a", "summary": "s", "context": "{}"}"#,
            r#"{"action": "a", "summary": "s", "reason": 1}"#,
            r#"{"action": "a", "summary": "s", "severity": {}}"#,
            r#"{"action": "a", "summary": "s", "dedup_key": false}"#,
            r#"{"action": "a", "summary": "s", "callback_url": ["x"]}"#,
        ] {
            assert!(Ask::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
