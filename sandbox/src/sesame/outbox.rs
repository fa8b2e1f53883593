//! Webhooks that have not arrived yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// A webhook on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) id: u64,
    pub(crate) approval_id: String,
    pub(crate) url: String,
    /// The bytes to sign and send: the same at every attempt.
    pub(crate) body: String,
    /// Attempts so far.
    pub(crate) attempts: u32,
    /// Neither arrived nor refused: it is sent again after a restart, given up or not.
    pub(crate) open: bool,
}

impl Delivery {
    pub(super) fn new(id: u64, approval_id: String, url: String, body: String) -> Self {
        Self { id, approval_id, url, body, attempts: 0, open: true }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    deliveries: BTreeMap<u64, Delivery>,
    next_id: u64,
    /// Those that nobody has begun to send.
    new: Vec<u64>,
    /// Wakes the one who sends.
    pub(super) filled: Arc<Notify>,
}

impl Outbox {
    /// The number of the delivery that is pushed next.
    pub(super) fn next_id(&self) -> u64 {
        self.next_id
    }

    pub(super) fn push(&mut self, delivery: Delivery) {
        self.next_id = self.next_id.max(delivery.id + 1);
        self.new.push(delivery.id);
        self.deliveries.insert(delivery.id, delivery);
        self.filled.notify_one();
    }

    pub(super) fn take_up(&mut self, deliveries: impl IntoIterator<Item = Delivery>) {
        for delivery in deliveries {
            self.push(delivery);
        }
    }

    pub(super) fn take_new(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.new)
    }

    pub(super) fn get(&self, id: u64) -> Option<&Delivery> {
        self.deliveries.get(&id)
    }

    /// Puts a delivery back after an attempt, or lets it go.
    pub(super) fn update(&mut self, delivery: Delivery) {
        if !delivery.open {
            self.deliveries.remove(&delivery.id);
        } else if let Some(known) = self.deliveries.get_mut(&delivery.id) {
            *known = delivery;
        }
    }

    pub(super) fn open(&self) -> impl Iterator<Item = &Delivery> {
        self.deliveries.values()
    }

    /// The same without a delivery; numbers go on.
    pub(super) fn emptied(&self) -> Self {
        Self {
            deliveries: BTreeMap::new(),
            next_id: self.next_id,
            new: Vec::new(),
            filled: Arc::clone(&self.filled),
        }
    }
}
