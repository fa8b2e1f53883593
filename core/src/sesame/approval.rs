//! An approval: what is asked for, and where it stands.

use std::collections::HashMap;

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::timestamp::Timestamp;
use crate::{Error, ErrorKind, Result, json as fields};

/// What a human is asked to approve.
///
/// ```
/// use lime_core::ApprovalRequest;
///
/// let request = ApprovalRequest::new("payments.refund", "Refund $42.00 to customer")
///     .dedup_key("refund-882")
///     .severity("high");
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ApprovalRequest {
    /// What kind of operation it is, such as `payments.refund`.
    pub action: String,
    /// One line for the human.
    pub summary: String,
    /// Why it is asked for.
    pub reason: Option<String>,
    /// Names the operation: the same key gives the same approval, however often it is asked for.
    pub dedup_key: Option<String>,
    /// Where the broker reports the decision, see [`webhook`](super::webhook).
    pub callback_url: Option<String>,
    /// How much is at stake, in words that the broker's people agreed on.
    pub severity: Option<String>,
    /// A JSON object as text, so that nothing in it changes on its way: numbers of any size stay exact.
    context: Option<String>,
}

impl ApprovalRequest {
    /// A request with nothing but what has to be there.
    pub fn new(action: impl Into<String>, summary: impl Into<String>) -> Self {
        Self { action: action.into(), summary: summary.into(), ..Self::default() }
    }

    /// Sets why it is asked for.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Sets the key that names the operation.
    #[must_use]
    pub fn dedup_key(mut self, dedup_key: impl Into<String>) -> Self {
        self.dedup_key = Some(dedup_key.into());
        self
    }

    /// Sets where the broker reports the decision.
    #[must_use]
    pub fn callback_url(mut self, callback_url: impl Into<String>) -> Self {
        self.callback_url = Some(callback_url.into());
        self
    }

    /// Sets how much is at stake.
    #[must_use]
    pub fn severity(mut self, severity: impl Into<String>) -> Self {
        self.severity = Some(severity.into());
        self
    }

    /// Sets what else the human sees. It is shown: no secrets.
    #[must_use]
    pub fn context(mut self, context: Map<String, Value>) -> Self {
        self.context = Some(Value::Object(context).to_string());
        self
    }

    /// Sets what else the human sees, as the text of a JSON object, which is sent as it is.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when it is no JSON object.
    pub fn context_json(mut self, context: &str) -> Result<Self> {
        self.set_context_json(Some(context))?;
        Ok(self)
    }

    /// The same in place; `None` shows nothing. What was set before stays when it fails.
    ///
    /// # Errors
    /// As [`context_json`](Self::context_json).
    #[allow(clippy::zero_sized_map_values)] // an object is a map; its values are only to be well-formed
    pub fn set_context_json(&mut self, context: Option<&str>) -> Result<()> {
        if let Some(context) = context {
            serde_json::from_str::<HashMap<String, IgnoredAny>>(context)
                .map_err(|_| Error::invalid_argument("context must be a JSON object"))?;
        }
        self.context = context.map(str::to_owned);
        Ok(())
    }

    /// The context as it is sent.
    pub(crate) fn context_text(&self) -> Option<&str> {
        self.context.as_deref()
    }

    /// The body of the POST: what is absent is left out.
    pub(crate) fn body(&self) -> String {
        let mut body = Map::new();
        body.insert("action".into(), self.action.as_str().into());
        body.insert("summary".into(), self.summary.as_str().into());
        for (name, value) in [
            ("reason", &self.reason),
            ("dedup_key", &self.dedup_key),
            ("callback_url", &self.callback_url),
            ("severity", &self.severity),
        ] {
            if let Some(value) = value {
                body.insert(name.into(), value.as_str().into());
            }
        }
        let mut text = Value::Object(body).to_string();
        if let Some(context) = &self.context {
            text.pop(); // the closing brace; there are always members before it
            text.push_str(",\"context\":");
            text.push_str(context);
            text.push('}');
        }
        text
    }
}

/// Where an approval stands, as of the broker's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Approval {
    /// The approval. Another process can wait for it by this.
    pub approval_id: String,
    /// `pending`, `approved`, `denied` or `expired`; a later broker may know more.
    pub status: String,
    /// When it expires undecided, where the broker tells.
    pub expires_at: Option<Timestamp>,
    /// When it was decided, where the broker tells.
    pub decided_at: Option<Timestamp>,
    /// Who asked, by the name that the broker has for the key; where it tells.
    pub requester_label: Option<String>,
    /// What the human wrote beside the decision, where the broker tells.
    pub note: Option<String>,
}

impl Approval {
    /// Reads the broker's object.
    ///
    /// # Errors
    /// [`ErrorKind::BadResponse`] when a field is missing.
    pub fn from_data(data: &Map<String, Value>) -> Result<Self> {
        let time = |field| fields::optional_text(data, field).and_then(|text| Timestamp::parse(&text).ok());
        Ok(Self {
            approval_id: fields::required_text(data, "approval_id")?,
            status: fields::required_text(data, "status")?,
            expires_at: time("expires_at"),
            decided_at: time("decided_at"),
            requester_label: fields::optional_text(data, "requester_label"),
            note: fields::optional_text(data, "note"),
        })
    }

    /// Whether a human granted it. Nothing else means "go on".
    pub fn is_approved(&self) -> bool {
        self.status == "approved"
    }

    /// Whether no further decision can change it.
    pub fn is_terminal(&self) -> bool {
        matches!(self.status.as_str(), "approved" | "denied" | "expired")
    }

    /// Itself, if it was granted.
    pub(crate) fn granted(self, action: &str) -> Result<Self> {
        if self.is_approved() {
            return Ok(self);
        }
        let note = self.note.as_ref().map_or_else(String::new, |note| format!(": {note}"));
        let message = format!("Approval for '{action}' was {}{note}", self.status);
        Err(Error::new(ErrorKind::ApprovalDenied, message)
            .with_code(self.status)
            .with_approval_id(self.approval_id))
    }
}
