//! The log of webhooks: every attempt to tell somebody of a decision.

use std::collections::VecDeque;

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};

use super::Record;
use super::outbox::Delivery;
use crate::error::ControlError;
use crate::ids;
use crate::state::{Core, State};

/// How many attempts are remembered.
const CAPACITY: usize = 10_000;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WebhookStatus {
    /// With this HTTP status.
    Http(u16),
    /// Without one.
    Without(Undelivered),
}

/// Why an attempt has no HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Undelivered {
    /// No connection, or no answer in time.
    Failed,
    /// The sandbox does not send to such a URL.
    Refused,
}

/// One attempt to deliver a webhook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Webhook {
    /// Its number, from 1; the numbers go on after the log was emptied.
    pub n: u64,
    /// The approval whose decision it tells.
    pub approval_id: String,
    /// Where it went.
    pub url: String,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// When it was sent: real time, ISO 8601.
    pub time: String,
    /// The answer's status, or `failed`, `refused`.
    pub status: WebhookStatus,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Real seconds until the next attempt; nothing when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_retry_seconds: Option<f64>,
    /// Whether it arrived.
    pub delivered: bool,
    /// `X-Sesame-Timestamp`: Unix seconds by the sandbox's clock.
    pub timestamp: i64,
    /// `X-Sesame-Signature`.
    pub signature: String,
    /// The body, as it was signed.
    pub body: String,
}

/// The ring of attempts.
#[derive(Debug, Default)]
pub(crate) struct WebhookLog {
    entries: VecDeque<Webhook>,
    count: u64,
}

impl WebhookLog {
    /// Takes up an attempt; its number counts on from the others.
    pub(super) fn enter(&mut self, webhook: Webhook) {
        if self.entries.len() == CAPACITY {
            self.entries.pop_front();
        }
        self.count = self.count.max(webhook.n);
        self.entries.push_back(webhook);
    }

    pub(super) fn next_n(&self) -> u64 {
        self.count + 1
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Webhook> {
        self.entries.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl State {
    /// What goes into `X-Sesame-Signature`: HMAC-SHA256 of the body alone, in hexadecimal.
    pub(super) fn sign_webhook(&self, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.broker.webhook_secret.as_bytes());
        ids::hex(hmac::sign(&key, body.as_bytes()).as_ref())
    }
}

impl Core {
    /// Empties the log; what is on its way stays on it.
    pub(crate) fn clear_webhooks(&self) -> Result<(), ControlError> {
        self.change(|state| {
            state.broker.write(&[Record::WebhooksCleared]).map_err(ControlError::not_written)?;
            state.broker.webhooks.entries.clear();
            Ok(())
        })
    }

    /// Sends the webhook of an attempt again, with retries of its own.
    pub(crate) fn resend_webhook(&self, n: u64) -> Result<(), ControlError> {
        self.change(|state| {
            let broker = &mut state.broker;
            let webhook = broker
                .webhooks
                .iter()
                .find(|webhook| webhook.n == n)
                .ok_or_else(|| ControlError::not_found("there is no such webhook"))?;
            let delivery = Delivery::new(
                broker.outbox.next_id(),
                webhook.approval_id.clone(),
                webhook.url.clone(),
                webhook.body.clone(),
            );
            broker.write(&[Record::Delivery(delivery.clone())]).map_err(ControlError::not_written)?;
            broker.outbox.push(delivery);
            Ok(())
        })
    }
}
