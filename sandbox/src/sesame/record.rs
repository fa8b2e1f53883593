//! What a state file holds: one line for each change, a line being a list of these.

use std::fmt;

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::approval::ApprovalStatus;
use super::outbox::Delivery;
use super::trigger::Ask;
use super::{ApiKey, Webhook};

/// One thing as it is now; what was known of it before is outdated.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Record {
    WebhookSecret(String),
    /// The first key comes first.
    ApiKey(ApiKey),
    Approval(Box<Stored>),
    Delivery(Delivery),
    Webhook(Webhook),
    WebhooksCleared,
    Idempotent {
        key_id: String,
        key: String,
        answer: Value,
    },
}

/// An approval, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) approval_id: String,
    /// The API key that asked.
    pub(crate) key_id: String,
    /// The key's label at that time.
    pub(crate) requester_label: Option<String>,
    #[serde(flatten)]
    pub(crate) ask: Ask,
    pub(crate) status: ApprovalStatus,
    pub(crate) created_at: When,
    pub(crate) expires_at: When,
    pub(crate) decided_at: Option<When>,
    pub(crate) note: Option<String>,
    /// The rule that has decided, or is about to.
    pub(crate) rule: Option<u64>,
}

/// A date that goes into a file whole.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct When(pub(crate) Timestamp);

impl fmt::Debug for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for When {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
    }
}
