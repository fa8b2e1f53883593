//! The log of received requests: what tests assert on.

use std::collections::VecDeque;
use std::time::Instant;

use http::HeaderMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many requests are remembered.
const CAPACITY: usize = 10_000;

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// With this status (the body may have been cut by a fault).
    Status(u16),
    /// Not, or not yet.
    Other(Unanswered),
}

/// Why a request has no status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unanswered {
    /// It is being worked on.
    Pending,
    /// The connection was dropped instead of an answer.
    Dropped,
    /// It will never be answered, though the connection stays open.
    HalfOpen,
    /// The client went away before there was an answer.
    Gone,
}

/// One received request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// Its number, from 1; the numbers go on after the log was emptied.
    pub n: u64,
    /// When it arrived: real time, ISO 8601.
    pub time: String,
    /// Real milliseconds since the sandbox was started (for measuring back-offs).
    pub elapsed_ms: f64,
    /// The number of the TCP connection that it came on.
    pub connection: u64,
    /// The method.
    pub method: String,
    /// The path, as it was sent.
    pub path: String,
    /// The query without its `?`, or nothing.
    pub query: Option<String>,
    /// The route's name as in the fault plan, or nothing for an unknown one.
    pub route: Option<String>,
    /// Headers with lower-case names; repeated ones are joined with `, `.
    pub headers: std::collections::BTreeMap<String, String>,
    /// The body as text.
    pub body: String,
    /// The answer's status, or `pending`, `dropped`, `half_open`, `gone`.
    pub status: Answer,
    /// The ids of the faults that were applied.
    pub faults: Vec<u64>,
}

/// The ring of received requests.
#[derive(Debug, Default)]
pub(crate) struct ReceivedLog {
    entries: VecDeque<Received>,
    count: u64,
    /// Counts resets: the numbers begin anew with each, and what ends late must not be taken for
    /// something new.
    generation: u64,
}

/// An entry of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryId {
    n: u64,
    generation: u64,
}

/// What is known of a request when it arrives.
pub(crate) struct Arrival<'a> {
    pub(crate) connection: u64,
    pub(crate) method: &'a http::Method,
    pub(crate) uri: &'a http::Uri,
    pub(crate) route: Option<&'static str>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

impl ReceivedLog {
    /// Enters a request.
    pub(crate) fn enter(&mut self, started: Instant, arrival: &Arrival<'_>) -> EntryId {
        self.count += 1;
        if self.entries.len() == CAPACITY {
            self.entries.pop_front();
        }
        let mut headers = std::collections::BTreeMap::<String, String>::new();
        for (name, value) in arrival.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            headers
                .entry(name.as_str().to_owned())
                .and_modify(|joined| {
                    joined.push_str(", ");
                    joined.push_str(&value);
                })
                .or_insert_with(|| value.to_string());
        }
        self.entries.push_back(Received {
            n: self.count,
            time: format!("{:.6}", Timestamp::now()),
            elapsed_ms: started.elapsed().as_secs_f64() * 1000.0,
            connection: arrival.connection,
            method: arrival.method.to_string(),
            path: arrival.uri.path().to_owned(),
            query: arrival.uri.query().map(str::to_owned),
            route: arrival.route.map(str::to_owned),
            headers,
            body: String::from_utf8_lossy(arrival.body).into_owned(),
            status: Answer::Other(Unanswered::Pending),
            faults: Vec::new(),
        });
        EntryId { n: self.count, generation: self.generation }
    }

    /// The log after a reset.
    pub(crate) fn reset(&self) -> Self {
        Self { generation: self.generation + 1, ..Self::default() }
    }

    fn entry(&mut self, id: EntryId) -> Option<&mut Received> {
        let first = self.entries.front().filter(|_| id.generation == self.generation)?.n;
        let index = usize::try_from(id.n.checked_sub(first)?).ok()?;
        self.entries.get_mut(index)
    }

    pub(crate) fn answered(&mut self, id: EntryId, answer: Answer) {
        if let Some(entry) = self.entry(id) {
            entry.status = answer;
        }
    }

    pub(crate) fn faulted(&mut self, id: EntryId, faults: &[u64]) {
        if let Some(entry) = self.entry(id) {
            entry.faults.extend_from_slice(faults);
        }
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Received> {
        self.entries.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}
