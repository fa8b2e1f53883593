//! Events and the streams that carry them.
//!
//! An event stays in the site's backlog until one whole frame of it has been written to a
//! socket; a stream that connects gets the backlog first. So a stream that is cut in the middle
//! of a frame, or that nobody reads, loses nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::ControlError;
use crate::fault::{Cut, Fault};
use crate::faults::StreamFaults;
use crate::login::LoginStatus;
use crate::passport;
use crate::state::{Core, State};

/// What an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    Approved,
    Expired,
}

/// One event of one login request.
#[derive(Debug)]
pub(crate) struct Event {
    seq: u64,
    site_id: String,
    kind: EventKind,
    request_id: String,
}

/// What a stream has to send next.
enum Item {
    Event(Arc<Event>),
    Raw(Bytes),
}

/// How a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The body ends as a complete response does.
    Clean,
    /// The connection is dropped, with a TCP reset if asked for.
    Abort { reset: bool },
}

/// An open stream.
pub(crate) struct Stream {
    site_id: String,
    queue: VecDeque<Item>,
    /// The event that is being written.
    in_flight: Option<u64>,
    faults: StreamFaults,
    end: Option<End>,
    /// Wakes the connection that carries the stream.
    waker: Arc<AtomicWaker>,
}

impl Stream {
    /// A stream that will not take another event.
    fn is_dead(&self) -> bool {
        self.faults.half_open || self.end.is_some()
    }
}

/// The next thing for a stream's connection to do.
pub(crate) enum Next {
    /// Nothing to send but keepalives, this far apart.
    Idle {
        keepalive: Duration,
    },
    /// Nothing may be sent, not even keepalives.
    Silence,
    /// Bytes to send, byte by byte if asked for.
    Write {
        bytes: Bytes,
        then: Then,
        one_byte: bool,
    },
    End(End),
}

/// What follows once the bytes have been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Nothing,
    Delivered(u64),
    Abort { delivered: Option<u64>, reset: bool },
}

/// Open streams of one site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteStreams {
    /// The site.
    pub site_id: String,
    /// Streams open now.
    pub open: usize,
    /// Streams ever opened since the start or the last reset.
    pub connects: u64,
    /// Events that wait for a stream.
    pub undelivered: usize,
}

/// Open streams of all sites.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    /// Streams open now.
    pub open: usize,
    /// Streams ever opened since the start or the last reset.
    pub total_connects: u64,
    /// The same per site.
    pub sites: Vec<SiteStreams>,
}

impl State {
    /// Queues an event for every open stream of the site and remembers it until one has taken it.
    pub(crate) fn publish(&mut self, site_id: &str, kind: EventKind, request_id: &str) -> u64 {
        let seq = self.next_event;
        self.next_event += 1;
        let event =
            Arc::new(Event { seq, site_id: site_id.to_owned(), kind, request_id: request_id.to_owned() });
        for stream in self.streams.values_mut() {
            if stream.site_id == site_id {
                stream.queue.push_back(Item::Event(Arc::clone(&event)));
                stream.waker.wake();
            }
        }
        self.undelivered.insert(seq, event);
        seq
    }

    /// Whether an open stream may still deliver an undelivered event.
    pub(crate) fn is_on_its_way(&self, seq: u64) -> bool {
        self.streams.values().filter(|stream| !stream.is_dead()).any(|stream| {
            stream.in_flight == Some(seq)
                || stream.queue.iter().any(|item| matches!(item, Item::Event(event) if event.seq == seq))
        })
    }

    /// Opens a stream; the backlog comes first.
    pub(crate) fn open_stream(
        &mut self,
        site_id: &str,
        faults: StreamFaults,
        waker: Arc<AtomicWaker>,
    ) -> u64 {
        let id = self.next_stream;
        self.next_stream += 1;
        *self.connects.entry(site_id.to_owned()).or_default() += 1;
        let queue = self
            .undelivered
            .values()
            .filter(|event| event.site_id == site_id)
            .map(|event| Item::Event(Arc::clone(event)))
            .collect();
        let stream = Stream { site_id: site_id.to_owned(), queue, in_flight: None, faults, end: None, waker };
        self.streams.insert(id, stream);
        id
    }

    /// Ends the streams of one site, or of all. Returns how many.
    pub(crate) fn end_streams(&mut self, site_id: Option<&str>, end: End) -> usize {
        let mut ended = 0;
        for stream in self.streams.values_mut() {
            if stream.end.is_none() && site_id.is_none_or(|site_id| stream.site_id == site_id) {
                stream.end = Some(end);
                stream.waker.wake();
                ended += 1;
            }
        }
        ended
    }

    /// Queues raw bytes for the open streams of one site, or of all. Returns how many.
    pub(crate) fn push_raw(&mut self, site_id: Option<&str>, bytes: &Bytes) -> usize {
        let mut streams = 0;
        for stream in self.streams.values_mut() {
            if !stream.is_dead() && site_id.is_none_or(|site_id| stream.site_id == site_id) {
                stream.queue.push_back(Item::Raw(bytes.clone()));
                stream.waker.wake();
                streams += 1;
            }
        }
        streams
    }

    /// Offers the rules from `first` on to the streams that are already open, oldest first.
    fn fault_open_streams(&mut self, first: u64) {
        for stream in self.streams.values_mut() {
            if !stream.is_dead()
                && self.faults.take_for_open_stream(&stream.site_id, first, &mut stream.faults)
            {
                stream.waker.wake();
            }
        }
    }

    /// Adds faults. An open stream counts as a matching request of a new rule for `events`.
    pub(crate) fn add_faults(&mut self, faults: &[Fault]) -> Result<Vec<u64>, ControlError> {
        let ids = self.faults.add(faults)?;
        if let Some(first) = ids.first() {
            self.fault_open_streams(*first);
        }
        Ok(ids)
    }

    pub(crate) fn wake_streams(&self) {
        for stream in self.streams.values() {
            stream.waker.wake();
        }
    }

    /// The connection of a stream is gone.
    pub(crate) fn close_stream(&mut self, id: u64) {
        self.streams.remove(&id);
    }

    /// The whole frame of an event has been written to a socket.
    pub(crate) fn delivered(&mut self, id: u64, seq: u64) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.in_flight = None;
        }
        let Some(event) = self.undelivered.remove(&seq) else {
            return;
        };
        if event.kind == EventKind::Approved
            && let Some(login) = self.logins.get_mut(&event.request_id)
        {
            login.status = LoginStatus::Delivered;
        }
    }

    /// Open streams per site.
    pub(crate) fn streams_by_site(&self) -> Streams {
        let open = |site_id: &str| {
            self.streams.values().filter(|stream| stream.end.is_none() && stream.site_id == site_id).count()
        };
        let sites: Vec<_> = self
            .sites
            .keys()
            .map(|site_id| SiteStreams {
                site_id: site_id.clone(),
                open: open(site_id),
                connects: self.connects.get(site_id).copied().unwrap_or(0),
                undelivered: self.undelivered.values().filter(|event| event.site_id == *site_id).count(),
            })
            .collect();
        Streams {
            open: sites.iter().map(|site| site.open).sum(),
            total_connects: sites.iter().map(|site| site.connects).sum(),
            sites,
        }
    }
}

impl Core {
    /// The next thing for a stream's connection to do. Called by the connection only.
    pub(crate) fn next_for_stream(&self, id: u64) -> Next {
        let next = self.quiet_change(|state| {
            let Some(stream) = state.streams.get_mut(&id) else {
                return Next::End(End::Abort { reset: false });
            };
            if let Some(end) = stream.end {
                return Next::End(end);
            }
            if stream.faults.half_open {
                return Next::Silence;
            }
            let one_byte = stream.faults.one_byte;
            if matches!(stream.queue.front(), Some(Item::Event(_)))
                && let Some(bytes) = stream.faults.garbage.take()
            {
                return Next::Write { bytes, then: Then::Nothing, one_byte };
            }
            match stream.queue.pop_front() {
                None => Next::Idle { keepalive: state.settings.keepalive() },
                Some(Item::Raw(bytes)) => Next::Write { bytes, then: Then::Nothing, one_byte },
                Some(Item::Event(event)) if std::mem::take(&mut stream.faults.lose) => {
                    stream.in_flight = Some(event.seq);
                    Next::Write { bytes: Bytes::new(), then: Then::Delivered(event.seq), one_byte }
                }
                Some(Item::Event(event)) => {
                    if std::mem::take(&mut stream.faults.repeat) {
                        stream.queue.push_front(Item::Event(Arc::clone(&event)));
                    }
                    let cut = stream.faults.before_event();
                    let seq = event.seq;
                    let frame = self.frame(state, &event);
                    let (bytes, then) = cut_frame(frame, seq, cut);
                    if let Some(stream) = state.streams.get_mut(&id) {
                        match then {
                            Then::Delivered(_) | Then::Abort { delivered: Some(_), .. } => {
                                stream.in_flight = Some(seq);
                            }
                            // Doomed: nobody needs to wait for this stream any more.
                            Then::Abort { reset, .. } => stream.end = Some(End::Abort { reset }),
                            Then::Nothing => {}
                        }
                    }
                    Next::Write { bytes, then, one_byte }
                }
            }
        });
        if matches!(next, Next::Write { .. }) {
            self.announce();
        }
        next
    }

    /// Whether and how a stream was told to end.
    pub(crate) fn stream_end(&self, id: u64) -> Option<End> {
        self.quiet_change(|state| state.streams.get(&id)?.end)
    }

    /// The bytes of an event. A passport that ran out while it waited is minted anew.
    fn frame(&self, state: &mut State, event: &Event) -> Bytes {
        let payload = match event.kind {
            EventKind::Expired => json!({"type": "expired", "login_request_id": event.request_id}),
            EventKind::Approved => json!({
                "type": "approved",
                "login_request_id": event.request_id,
                "agent_passport_jwt": self.fresh_passport(state, event),
            }),
        };
        frame(&payload)
    }

    fn fresh_passport(&self, state: &mut State, event: &Event) -> String {
        let now = state.clock.passport_now();
        let Some(login) = state.logins.get_mut(&event.request_id) else {
            return String::new();
        };
        let Some(passport) = &mut login.passport else {
            return String::new();
        };
        // A life of nothing or less is a test's wish for a passport that is born expired.
        let overdue = passport.exp <= now.as_second() && state.settings.passport_ttl_seconds > 0;
        if overdue
            && let Some(agent) = login.approved_by.as_ref().and_then(|id| state.agents.get(id))
            && let Some(fresh) = passport::mint(
                // There is a key, since there is a passport: this does not wait.
                &self.keys.current_blocking(),
                &state.settings,
                &self.origin,
                now,
                agent,
                &event.request_id,
                &event.site_id,
            )
        {
            *passport = fresh;
        }
        passport.jwt.clone()
    }
}

/// One SSE frame.
pub(crate) fn frame(payload: &Value) -> Bytes {
    format!("data: {payload}\n\n").into()
}

/// What is left of a frame after a cut, and what follows.
fn cut_frame(frame: Bytes, seq: u64, cut: Option<Cut>) -> (Bytes, Then) {
    let Some(cut) = cut else {
        return (frame, Then::Delivered(seq));
    };
    let at = cut.after_bytes.unwrap_or(frame.len() / 2).min(frame.len());
    let delivered = (at == frame.len()).then_some(seq);
    (frame.slice(..at), Then::Abort { delivered, reset: cut.reset })
}
