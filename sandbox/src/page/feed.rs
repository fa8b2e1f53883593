//! What an open page is told: the whole state at first, then what has changed, at most ten times
//! a second. Without an open page nobody looks.

use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::snapshot::Snapshot;
use crate::state::Core;

/// The least time between two messages.
const PAUSE: Duration = Duration::from_millis(100);

/// A message now and then, so that a page that is gone is noticed.
const KEEPALIVE: Duration = Duration::from_secs(15);

pub(crate) async fn events(State(core): State<Arc<Core>>) -> Response {
    let feed = Feed {
        changes: core.changes(),
        core,
        sent: BTreeMap::new(),
        known: HashSet::new(),
        not_before: Instant::now(),
        greeted: false,
    };
    let messages = stream::unfold(feed, |mut feed| async move {
        let message = feed.next().await;
        Some((Ok::<_, Infallible>(message), feed))
    });
    let mut response = Response::new(Body::from_stream(messages));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// One open page.
struct Feed {
    core: Arc<Core>,
    changes: watch::Receiver<u64>,
    /// The sections as they were sent last.
    sent: BTreeMap<&'static str, Value>,
    /// The pending approvals that the page has: they do not change while they are pending.
    known: HashSet<String>,
    not_before: Instant,
    greeted: bool,
}

impl Feed {
    async fn next(&mut self) -> Bytes {
        if !self.greeted {
            self.greeted = true;
            let hello = json!({
                "instance": self.core.page.instance,
                "version": env!("CARGO_PKG_VERSION"),
            });
            let state = self.changed().unwrap_or_default();
            return format!("retry: 500\nevent: hello\ndata: {hello}\n\n{state}").into();
        }
        loop {
            match timeout(KEEPALIVE, self.changes.changed()).await {
                Err(_) => return Bytes::from_static(b":\n\n"),
                // The sender lives in the core, so it is there while we are.
                Ok(Err(_)) => std::future::pending().await,
                Ok(Ok(())) => {}
            }
            sleep_until(self.not_before).await;
            if let Some(message) = self.changed() {
                return message.into();
            }
        }
    }

    /// The sections that are not as they were sent.
    fn changed(&mut self) -> Option<String> {
        self.changes.mark_unchanged();
        self.not_before = Instant::now() + PAUSE;
        let Snapshot { now, sections, mut new, pending } = Snapshot::take(&self.core, &self.known);
        let mut message = Map::new();
        for (name, section) in sections {
            if self.sent.get(name) != Some(&section) {
                message.insert(name.to_owned(), section.clone());
                self.sent.insert(name, section);
            }
        }
        if !new.is_empty()
            && let Some(Value::Object(section)) = message.get_mut("pending")
        {
            section.insert("new".into(), Value::Array(std::mem::take(&mut new)));
        }
        self.known = pending;
        if message.is_empty() {
            return None;
        }
        let data = json!({"now": now, "sections": message});
        Some(format!("event: state\ndata: {data}\n\n"))
    }
}
