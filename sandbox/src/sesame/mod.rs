//! The Sesame broker: approvals that people, rules or time decide, and webhooks that tell of it.

mod api;
mod api_keys;
mod approval;
mod detail;
mod journal;
mod outbox;
mod polls;
mod record;
mod rules;
mod sender;
mod trigger;
mod webhooks;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Notify, watch};

pub(crate) use api::{read_approval, trigger_approval};
pub use api_keys::ApiKey;
pub use approval::{Approval, ApprovalStatus, Decision};
pub(crate) use detail::Detail;
pub(crate) use journal::Recovered;
pub use rules::{Rule, RuleState};
pub use webhooks::{Undelivered, Webhook, WebhookStatus};

use crate::options::Start;
use api_keys::ApiKeys;
use journal::Journal;
use outbox::Outbox;
use record::{Record, Stored};
use rules::Rules;
use webhooks::WebhookLog;

/// How many decided approvals are found in the order of their decisions.
const DECIDED: usize = 100;

/// An approval with those who wait for its decision.
pub(crate) struct Entry {
    pub(crate) stored: Stored,
    /// Tells the long polls of this approval, and nobody else, that it has been decided.
    decided: watch::Sender<()>,
}

/// What the broker knows.
pub(crate) struct Broker {
    pub(crate) keys: ApiKeys,
    approvals: HashMap<String, Entry>,
    /// Approvals in the order of their creation.
    order: Vec<String>,
    /// The last ones that were decided, oldest first: for those who look at them.
    decided: VecDeque<String>,
    /// The pending ones by expiry.
    pending: BTreeSet<(Timestamp, String)>,
    /// The approval of a key's `dedup_key`.
    dedup: HashMap<(String, String), String>,
    /// The stored answer to a key's `Idempotency-Key`.
    answers: HashMap<(String, String), Value>,
    pub(crate) rules: Rules,
    /// Decisions of rules that wait before they decide, by real time.
    scheduled: BTreeSet<(Instant, String)>,
    pub(crate) webhooks: WebhookLog,
    outbox: Outbox,
    webhook_secret: String,
    /// Long polls that are held now.
    pub(crate) polls: usize,
    journal: Option<Journal>,
}

impl Broker {
    pub(crate) fn new(start: &Start) -> Self {
        Self {
            keys: ApiKeys::new(start.first_key.clone()),
            approvals: HashMap::new(),
            order: Vec::new(),
            decided: VecDeque::new(),
            pending: BTreeSet::new(),
            dedup: HashMap::new(),
            answers: HashMap::new(),
            rules: Rules::default(),
            scheduled: BTreeSet::new(),
            webhooks: WebhookLog::default(),
            outbox: Outbox::default(),
            webhook_secret: start.webhook_secret.clone(),
            polls: 0,
            journal: None,
        }
    }

    /// Takes up what a state file holds, and writes it anew without what is outdated.
    pub(crate) fn recover(&mut self, recovered: Recovered) -> io::Result<()> {
        let Recovered { file, keys, approvals, answers, deliveries, webhooks, .. } = recovered;
        // The first one came with the start options, or went into them.
        for key in keys.into_iter().skip(1) {
            self.keys.insert(key);
        }
        for stored in approvals {
            self.insert(stored);
        }
        let decided = |entry: &Entry| Some((entry.stored.decided_at?.0, entry.stored.approval_id.clone()));
        let mut by_time: Vec<_> = self.approvals_in_order().filter_map(decided).collect();
        by_time.sort();
        for (_, id) in by_time {
            self.remember_decided(id);
        }
        for webhook in webhooks {
            self.webhooks.enter(webhook);
        }
        self.answers = answers;
        self.outbox.take_up(deliveries.into_values());
        self.journal = Some(file.begin(&self.records())?);
        Ok(())
    }

    /// Everything that a state file holds.
    fn records(&self) -> Vec<Record> {
        let approval = |entry: &Entry| Record::Approval(Box::new(entry.stored.clone()));
        let mut records = vec![Record::WebhookSecret(self.webhook_secret.clone())];
        records.extend(self.keys.iter().cloned().map(Record::ApiKey));
        records.extend(self.approvals_in_order().map(approval));
        records.extend(self.answers.iter().map(|((key_id, key), answer)| Record::Idempotent {
            key_id: key_id.clone(),
            key: key.clone(),
            answer: answer.clone(),
        }));
        records.extend(self.outbox.open().cloned().map(Record::Delivery));
        records.extend(self.webhooks.iter().cloned().map(Record::Webhook));
        records
    }

    /// Back to the first key. Long polls end, webhooks under way are forgotten.
    pub(crate) fn reset(&mut self, start: &Start) {
        let mut fresh = Self::new(start);
        // Numbers are not reused, so that what ends late cannot be taken for something new; and
        // the polls count themselves off when they notice.
        fresh.outbox = self.outbox.emptied();
        fresh.rules = self.rules.emptied();
        fresh.polls = self.polls;
        fresh.journal = self.journal.take();
        let records = fresh.records();
        if let Some(journal) = &mut fresh.journal {
            // What cannot be emptied cannot be written either: the next change will say so.
            let _ = journal.start_over(&records);
        }
        *self = fresh;
    }

    /// Writes a change to the state file, if there is one, before anybody can see it.
    fn write(&mut self, records: &[Record]) -> io::Result<()> {
        match &mut self.journal {
            None => Ok(()),
            Some(journal) => journal.append(records),
        }
    }

    /// Lets go of the state file, so that another sandbox can go on with it at once.
    pub(crate) fn close(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.close();
        }
    }

    fn insert(&mut self, stored: Stored) {
        let id = stored.approval_id.clone();
        if stored.status == ApprovalStatus::Pending {
            self.pending.insert((stored.expires_at.0, id.clone()));
        }
        if let Some(dedup_key) = stored.ask.dedup_key() {
            self.dedup.insert((stored.key_id.clone(), dedup_key.to_owned()), id.clone());
        }
        self.order.push(id.clone());
        self.approvals.insert(id, Entry { stored, decided: watch::Sender::new(()) });
    }

    fn remember_decided(&mut self, id: String) {
        if self.decided.len() == DECIDED {
            self.decided.pop_front();
        }
        self.decided.push_back(id);
    }

    fn approvals_in_order(&self) -> impl Iterator<Item = &Entry> {
        self.order.iter().filter_map(|id| self.approvals.get(id))
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Wakes the one who sends webhooks.
    pub(crate) fn outbox_filled(&self) -> Arc<Notify> {
        Arc::clone(&self.outbox.filled)
    }
}
