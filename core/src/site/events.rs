//! A site's event stream: one task reads it, reconnects for ever, and hands each event on.
//!
//! reader → bounded queue → sink. The reader is never held up by a handler; when the queue is full it
//! stops reading and TCP holds the platform back. Nothing is dropped, and what the platform sends twice is
//! handed on once. What it does not send is asked for: `catch_up`.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use http::header::{ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, StatusCode};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::frame::Frame;
use super::outstanding::{self, Answer, Look, Outstanding};
use super::seen::{End as Told, Seen};
use super::watchdog::Watchdog;
use super::{LoginEvent, LoginRequest, catch_up, sse};
use crate::api::{self, Api};
use crate::clock::Clock;
use crate::log::{self, Logger};
use crate::process::PerProcess;
use crate::retry::Backoff;
use crate::runtime::WeakRuntime;
use crate::{Error, ErrorKind, Timestamp, base_url, envelope, fault};

const PATH: &str = "/modules/agent-login/events";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// From asking for the stream to its headers.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
const LONGEST_BACKOFF: Duration = Duration::from_secs(8);
/// A refused token does not mend itself: look again after one minute at the least, later after ten.
const REFUSED_BACKOFF: (Duration, Duration) = (Duration::from_secs(120), Duration::from_secs(1200));
/// The longest that a server may ask us to stay away by `Retry-After`.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);
/// No longer `Last-Event-ID` is sent: servers have limits for headers.
const LONGEST_EVENT_ID: usize = 1024;
/// Events are kept this long for a wait that begins after they came: as long as a passport lives.
const RECENT: Duration = Duration::from_secs(120);
/// At 17 logins a second they are kept for less: more would be memory that a peer decides about, and that no cache of a
/// processor holds.
const MOST_RECENT: usize = 2048;

/// Where the connection of an event stream stands. The numbers are those of the C ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[repr(i32)]
pub enum StreamState {
    /// Not started yet.
    Idle = 0,
    /// Waiting for the platform's answer.
    Connecting = 1,
    /// Connected; events arrive.
    Open = 2,
    /// The connection broke or failed; the next attempt comes after a short wait.
    BackingOff = 3,
    /// The platform refuses the token (401, 403); the next attempt comes after a minute or more.
    Refused = 4,
    /// The client is closed.
    Closed = 5,
}

/// What is known about an event stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamStatus {
    /// Where the connection stands.
    pub state: StreamState,
    /// What ended the last connection or attempt.
    pub last_error: Option<Error>,
    /// Connections that came about so far.
    pub connections: u64,
    /// Events handed on so far.
    pub events: u64,
    /// Frames that were not what the protocol allows, and were skipped.
    pub malformed_frames: u64,
}

impl StreamStatus {
    const IDLE: Self =
        Self { state: StreamState::Idle, last_error: None, connections: 0, events: 0, malformed_frames: 0 };
}

/// An event on its way to the handlers. Its place in the queue is free again when it is dropped, so
/// it is kept until the handlers are done with it.
pub struct Delivery {
    /// What happened.
    pub event: Arc<LoginEvent>,
    _place: OwnedSemaphorePermit,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.event.fmt(f)
    }
}

/// Takes what has arrived together, in order.
pub(crate) type Sink = Box<dyn Fn(Vec<Delivery>) + Send + Sync>;

/// The parts of a site that its stream task and its callers share.
pub(crate) struct Events {
    status: PerProcess<watch::Sender<StreamStatus>>,
    sink: Sink,
    /// Called after each change of the state but closing, before anything else happens because of it.
    changed: Box<dyn Fn() + Send + Sync>,
    queue: PerProcess<Arc<Semaphore>>,
    waiting: PerProcess<Mutex<Waiting>>,
    /// Told when somebody may be due to be asked for earlier than it seemed.
    rescheduled: PerProcess<Notify>,
    clock: Arc<dyn Clock>,
    logger: Logger,
}

#[derive(Default)]
struct Waiting {
    /// Events that came lately, for waits that begin late.
    recent: VecDeque<(Duration, Arc<LoginEvent>)>,
    waiters: HashMap<String, Vec<Waiter>>,
    seen: Seen,
    outstanding: Outstanding,
}

type Waiter = oneshot::Sender<crate::Result<LoginEvent>>;

impl Events {
    pub(crate) fn new(
        queue_limit: usize,
        sink: Sink,
        changed: Box<dyn Fn() + Send + Sync>,
        clock: Arc<dyn Clock>,
        logger: Logger,
    ) -> Self {
        Self {
            status: PerProcess::new(|| watch::Sender::new(StreamStatus::IDLE)),
            sink,
            changed,
            queue: PerProcess::new(move || {
                Arc::new(Semaphore::new(queue_limit.clamp(1, Semaphore::MAX_PERMITS)))
            }),
            waiting: PerProcess::default(),
            rescheduled: PerProcess::default(),
            clock,
            logger,
        }
    }

    /// Where the stream of this process stands.
    pub(crate) fn status(&self) -> StreamStatus {
        self.status.get().borrow().clone()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<StreamStatus> {
        self.status.get().subscribe()
    }

    /// A login request was created: its end is to be seen, whatever happens to the stream.
    pub(crate) fn created(&self, request: &LoginRequest) {
        if base_url::segment(&request.request_id).is_err() {
            return; // nobody could ask for it
        }
        let now = self.clock.monotonic();
        let expires = self.moment(request.expires_at);
        self.change_outstanding(|waiting| {
            // Its end may have come before the answer that it was created.
            !waiting.seen.has_end_of(&request.request_id)
                && waiting.outstanding.created(&request.request_id, expires, now)
        });
    }

    /// The event of this login request: the one that came lately, or the next one.
    pub(crate) fn watch(&self, request_id: &str) -> oneshot::Receiver<crate::Result<LoginEvent>> {
        let now = self.clock.monotonic();
        let (sender, receiver) = oneshot::channel();
        self.change_outstanding(|waiting| {
            waiting.forget_old(now);
            // Most who come late are not very late.
            let mut newest_first = waiting.recent.iter().rev();
            if let Some((_, event)) = newest_first.find(|(_, event)| event.request_id == request_id) {
                let _ = sender.send(Ok(LoginEvent::clone(event)));
                return false;
            }
            waiting.waiters.entry(request_id.to_owned()).or_default().push(sender);
            waiting.outstanding.waited(request_id, now)
        });
        receiver
    }

    /// Gives up the waits that nobody is waiting for any more.
    pub(crate) fn unwatch(&self, request_id: &str) {
        self.with_waiting(|waiting| {
            if let Some(senders) = waiting.waiters.get_mut(request_id) {
                let before = senders.len();
                senders.retain(|sender| !sender.is_closed());
                for _ in senders.len()..before {
                    waiting.outstanding.unwaited(request_id);
                }
                if senders.is_empty() {
                    waiting.waiters.remove(request_id);
                }
            }
        });
    }

    /// The requests that are to be asked for now, at most this many, and when the next one is.
    pub(super) fn take_due(&self, most: usize) -> (Vec<Look>, Option<Duration>) {
        let now = self.clock.monotonic();
        self.with_waiting(|waiting| {
            let looks = waiting.outstanding.take_due(now, most);
            (looks, waiting.outstanding.next_due())
        })
    }

    /// What asking for a request has brought; true when its event is lost, and the host has to know.
    pub(super) fn answered(&self, look: &Look, answer: Answer) -> bool {
        let (now, jitter) = (self.clock.monotonic(), self.clock.jitter());
        let request_id = &*look.request_id;
        let (waiters, lost) = self.with_waiting(|waiting| {
            if !waiting.outstanding.answered(look, answer, now, jitter) {
                return (None, false);
            }
            // Somebody may wait for what was handed on long ago: then nothing is lost but this wait.
            let lost = !waiting.seen.has_end_of(request_id) && waiting.seen.insert(request_id, Told::Lost);
            (waiting.waiters.remove(request_id), lost)
        });
        for waiter in waiters.into_iter().flatten() {
            let _ = waiter.send(Err(catch_up::lost(request_id)));
        }
        lost
    }

    /// When somebody may be due earlier than it seemed.
    pub(super) async fn rescheduled(&self) {
        self.rescheduled.get().notified().await;
    }

    /// A moment of the platform's as one of our clock's.
    pub(super) fn moment(&self, at: Timestamp) -> Option<Duration> {
        let at = Duration::from_micros(u64::try_from(at.unix_micros).ok()?);
        Some(self.clock.monotonic() + at.saturating_sub(self.clock.unix()))
    }

    pub(crate) fn close(&self) {
        self.set_state(StreamState::Closed, None);
        self.with_waiting(|waiting| *waiting = Waiting::default());
    }

    /// Notes what has arrived, by whatever way, and gives back what is new. Those who wait for one of these very
    /// events are told; they do not queue: a handler may be one of them.
    fn take_in(&self, mut arrived: Vec<Arc<LoginEvent>>) -> Vec<Arc<LoginEvent>> {
        if arrived.is_empty() {
            return arrived;
        }
        let now = self.clock.monotonic();
        let mut awaited = Vec::new();
        self.with_waiting(|waiting| {
            waiting.forget_old(now);
            arrived.retain(|event| {
                waiting.outstanding.ended(&event.request_id);
                if let Some(waiters) = waiting.waiters.remove(&event.request_id) {
                    awaited.push((Arc::clone(event), waiters));
                }
                let told = if event.passport.is_some() { Told::SignedIn } else { Told::Expired };
                let new = waiting.seen.insert(&event.request_id, told);
                if new {
                    waiting.recent.push_back((now, Arc::clone(event)));
                    if waiting.recent.len() > MOST_RECENT {
                        waiting.recent.pop_front();
                    }
                }
                new
            });
        });
        for (event, waiters) in awaited {
            for waiter in waiters {
                let _ = waiter.send(Ok(LoginEvent::clone(&event)));
            }
        }
        arrived
    }

    /// Hands on an event that the platform was asked for.
    pub(super) async fn caught_up(&self, event: LoginEvent) {
        let new = self.take_in(vec![Arc::new(event)]);
        self.deliver(new).await;
    }

    fn with_waiting<T>(&self, work: impl FnOnce(&mut Waiting) -> T) -> T {
        let waiting = self.waiting.get();
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut waiting)
    }

    /// Changes who is outstanding; `change` says whether somebody was forgotten, for the first time.
    fn change_outstanding(&self, change: impl FnOnce(&mut Waiting) -> bool) {
        if self.with_waiting(change) {
            log::warning!(
                self.logger,
                "More than {} login requests have not ended; the oldest ones are not asked for any more",
                outstanding::MOST
            );
        }
        self.rescheduled.get().notify_one();
    }

    pub(crate) fn set_state(&self, state: StreamState, error: Option<Error>) {
        let changed = self.status.get().send_if_modified(|status| {
            if status.state == StreamState::Closed {
                return false; // for good
            }
            status.state = state;
            status.last_error = error.or(status.last_error.take());
            status.connections += u64::from(state == StreamState::Open);
            true
        });
        let now = self.clock.monotonic();
        self.change_outstanding(|waiting| {
            let outstanding = &mut waiting.outstanding;
            match state {
                StreamState::Open => outstanding.opened(now),
                StreamState::Connecting => outstanding.connecting(),
                StreamState::BackingOff => outstanding.went_down(false),
                StreamState::Refused => outstanding.went_down(true),
                StreamState::Idle | StreamState::Closed => {}
            }
            false
        });
        if changed && state != StreamState::Closed {
            (self.changed)();
        }
    }

    /// Hands on what has arrived together: as much at a time as there are places in the queue. Whether it had to wait
    /// for one.
    async fn deliver(&self, arrived: Vec<Arc<LoginEvent>>) -> bool {
        let mut waited = false;
        let queue = Arc::clone(&self.queue.get());
        let mut batch = Vec::with_capacity(arrived.len());
        for event in arrived {
            let mut place = Arc::clone(&queue).try_acquire_owned().ok();
            if place.is_none() {
                waited = true;
                // Handlers have to be done with some before there is a place: they must have them all first.
                self.hand_on(std::mem::take(&mut batch));
                self.with_waiting(|waiting| waiting.outstanding.held_back());
                place = Arc::clone(&queue).acquire_owned().await.ok();
                let now = self.clock.monotonic();
                self.with_waiting(|waiting| waiting.outstanding.reads_on(now));
            }
            let Some(place) = place else { return waited };
            batch.push(Delivery { event, _place: place });
        }
        self.hand_on(batch);
        waited
    }

    fn hand_on(&self, batch: Vec<Delivery>) {
        if batch.is_empty() {
            return;
        }
        self.status.get().send_if_modified(|status| {
            status.events += batch.len() as u64;
            false // counted, not announced
        });
        (self.sink)(batch);
    }

    fn count_malformed(&self, error: Error) {
        self.status.get().send_modify(|status| {
            status.malformed_frames += 1;
            status.last_error = Some(error);
        });
        let now = self.clock.monotonic();
        self.change_outstanding(|waiting| {
            waiting.outstanding.unreadable(now);
            false
        });
    }
}

impl Waiting {
    fn forget_old(&mut self, now: Duration) {
        while let Some((at, _)) = self.recent.front()
            && (now.saturating_sub(*at) > RECENT || self.recent.len() > MOST_RECENT)
        {
            self.recent.pop_front();
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status.get().borrow().fmt(f)
    }
}

/// Why a connection is over.
enum End {
    /// It broke, failed or could not be read on.
    Broken(Error),
    /// The platform does not want us, or not now.
    Refused(Error),
    Asked(Error, Duration),
}

/// Keeps the stream connected until its task is aborted.
pub(crate) async fn run(api: Arc<Api>, runtime: WeakRuntime, events: Arc<Events>, backoff_base: Duration) {
    loop {
        let reading = read(Arc::clone(&api), runtime.clone(), Arc::clone(&events), backoff_base);
        let Err(panic) = AssertUnwindSafe(reading).catch_unwind().await else { return };
        // A fault of ours must not end the stream without a word.
        let error = fault::caught(&*panic);
        log::error!(api.logger, "The event stream failed: {error}");
        events.set_state(StreamState::BackingOff, Some(error));
        api.clock.sleep(LONGEST_BACKOFF).await;
    }
}

async fn read(api: Arc<Api>, runtime: WeakRuntime, events: Arc<Events>, backoff_base: Duration) {
    let clock = Arc::clone(&api.clock);
    let mut backoff = Backoff::new(backoff_base, LONGEST_BACKOFF);
    let mut refused = Backoff::new(REFUSED_BACKOFF.0, REFUSED_BACKOFF.1);
    let mut last_event_id = String::new();
    loop {
        events.set_state(StreamState::Connecting, None);
        let mut opened = None;
        let end = connection(&api, &runtime, &events, &mut last_event_id, &mut backoff, &mut opened).await;
        let now = clock.monotonic();
        let lived = opened.map_or(Duration::ZERO, |opened| now.saturating_sub(opened));
        if opened.is_some() {
            refused = Backoff::new(REFUSED_BACKOFF.0, REFUSED_BACKOFF.1);
        }
        let wait = match end {
            End::Refused(error) => {
                let wait = refused.wait_after(Duration::ZERO, &*clock);
                log::error!(
                    api.logger,
                    "The event stream is refused: {error}; next attempt in {:.0} s",
                    wait.as_secs_f64()
                );
                events.set_state(StreamState::Refused, Some(error));
                wait
            }
            End::Asked(error, asked) => {
                let wait = backoff.wait_after(lived, &*clock).max(asked.min(LONGEST_RETRY_AFTER));
                log::warning!(
                    api.logger,
                    "The event stream broke: {error}; reconnecting in {:.2} s",
                    wait.as_secs_f64()
                );
                events.set_state(StreamState::BackingOff, Some(error));
                wait
            }
            End::Broken(error) => {
                let wait = backoff.wait_after(lived, &*clock);
                log::warning!(
                    api.logger,
                    "The event stream broke: {error}; reconnecting in {:.2} s",
                    wait.as_secs_f64()
                );
                events.set_state(StreamState::BackingOff, Some(error));
                wait
            }
        };
        clock.sleep(wait).await;
    }
}

/// One connection, from asking for it to its end.
async fn connection(
    api: &Api,
    runtime: &WeakRuntime,
    events: &Events,
    last_event_id: &mut String,
    backoff: &mut Backoff,
    opened: &mut Option<Duration>,
) -> End {
    let mut headers = vec![
        (ACCEPT, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        // A compressing proxy would hold events back until it has a block full.
        (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
    ];
    // What the platform would send again is asked for as well.
    if !last_event_id.is_empty()
        && last_event_id.len() <= LONGEST_EVENT_ID
        && let Ok(id) = HeaderValue::from_str(last_event_id)
    {
        headers.push((LAST_EVENT_ID, id));
    }
    let response = match tokio::time::timeout(OPEN_TIMEOUT, api.open(runtime, PATH, &headers)).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return End::Broken(error),
        Err(_) => {
            return End::Broken(Error::new(
                ErrorKind::TransportTimeout,
                "The event stream was not opened in time",
            ));
        }
    };
    if let Some(end) = refusal(api, &response) {
        if matches!(end, End::Broken(_)) && response.status().is_client_error() {
            last_event_id.clear(); // it may be what is wrong with the request
        }
        return with_platform_error(end, response).await;
    }
    *opened = Some(api.clock.monotonic());
    events.set_state(StreamState::Open, None);
    log::info!(api.logger, "The event stream is open");

    let mut body = response.into_body();
    let mut parser = sse::Parser::resumed(std::mem::take(last_event_id));
    let clock = &api.clock;
    let mut watchdog = Watchdog::new(clock.monotonic());
    // Set once for many chunks: it looks at what was heard when it is due.
    let mut due = watchdog.deadline();
    let mut alarm = clock.watchdog(due);
    let end = loop {
        let chunk = tokio::select! {
            biased;
            chunk = body.next() => chunk,
            () = &mut alarm => {
                due = watchdog.deadline();
                if due <= clock.monotonic() {
                    break End::Broken(Error::new(ErrorKind::TransportTimeout, "The event stream fell silent"));
                }
                alarm = clock.watchdog(due);
                continue;
            }
        };
        let chunk = match chunk {
            Some(Ok(chunk)) => chunk,
            Some(Err(error)) => break End::Broken(api::failed(error)),
            None => {
                break End::Broken(Error::new(ErrorKind::Transport, "The platform ended the event stream"));
            }
        };
        let comments = parser.comments();
        let mut keepalive = false;
        let mut arrived = Vec::new();
        let fed = parser.feed(&chunk, |event| {
            let frame = Frame::parse(event.data);
            keepalive |= matches!(frame, Frame::Keepalive);
            arrived.extend(login_event(api, events, frame).map(Arc::new));
        });
        let now = clock.monotonic();
        watchdog.heard(now);
        if keepalive || parser.comments() > comments {
            watchdog.kept_alive(now);
            if watchdog.deadline() < due {
                due = watchdog.deadline();
                alarm = clock.watchdog(due);
            }
        }
        if !arrived.is_empty() {
            let held_up = events.deliver(events.take_in(arrived)).await;
            if held_up {
                watchdog.listens_again(clock.monotonic());
            }
        }
        if fed.is_err() {
            break End::Broken(Error::new(ErrorKind::BadResponse, "An event is larger than an event may be"));
        }
    };
    parser.last_event_id().clone_into(last_event_id);
    if let Some(millis) = parser.retry_millis() {
        backoff.set_base(Duration::from_millis(millis));
    }
    end
}

/// The event that a frame is, if it is one; faults are logged and counted.
fn login_event(api: &Api, events: &Events, frame: Frame) -> Option<LoginEvent> {
    match frame {
        Frame::Approved { request_id, passport } => Some(LoginEvent { request_id, passport: Some(passport) }),
        Frame::Expired { request_id } => Some(LoginEvent { request_id, passport: None }),
        Frame::Error { code, message } => {
            log::error!(api.logger, "SSE error frame: [{}] {}", printable(&code), printable(&message));
            None
        }
        Frame::Malformed(reason) => {
            log::error!(api.logger, "Malformed SSE frame skipped: {reason}");
            events.count_malformed(Error::new(ErrorKind::BadResponse, reason).with_http_status(200));
            None
        }
        Frame::Keepalive | Frame::Ignored => None,
    }
}

/// Whether this answer is no event stream, and what to do about it.
fn refusal(api: &Api, response: &crate::transport::StreamResponse) -> Option<End> {
    let status = response.status();
    if let Err(error) = api::refuse_redirect(status, response.headers()) {
        return Some(End::Broken(error));
    }
    let code = status.as_u16();
    let error =
        |kind, message: String| Error::new(kind, message).with_code("SSE_HTTP_ERROR").with_http_status(code);
    if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
        return Some(End::Refused(error(
            ErrorKind::Authentication,
            format!("SSE stream refused (HTTP {code})"),
        )));
    }
    if status != StatusCode::OK {
        let kind = if code == 429 { ErrorKind::RateLimit } else { ErrorKind::Api };
        let error = error(kind, format!("SSE stream failed (HTTP {code})"));
        return Some(match api.retry_after(response.headers()) {
            Some(wait) => End::Asked(error.with_retry_after(Some(wait)), wait),
            // 204 is the standard's way to say: do not come back.
            None if status == StatusCode::NO_CONTENT => End::Refused(error),
            None => End::Broken(error),
        });
    }
    let content_type =
        response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim();
    if !essence.eq_ignore_ascii_case("text/event-stream") {
        return Some(End::Broken(error(
            ErrorKind::BadResponse,
            format!("Not an event stream: {}", printable(content_type)),
        )));
    }
    None
}

/// The platform's own words are better than ours, if it has any.
async fn with_platform_error(end: End, response: crate::transport::StreamResponse) -> End {
    const MOST: usize = 16 * 1024;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    let mut stream = response.into_body();
    let read = async {
        while let Some(Ok(chunk)) = stream.next().await {
            body.extend_from_slice(&chunk);
            if body.len() > MOST {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(5), read).await;
    let told = envelope::open(status, &body).err().filter(|error| error.kind() != ErrorKind::BadResponse);
    match (end, told) {
        (End::Refused(refused), Some(told)) => {
            // Its words, but our kind: what is refused on the stream is the token.
            let error = Error::new(refused.kind(), told.message())
                .with_http_status(status)
                .with_detail(told.detail().cloned());
            End::Refused(error.with_code(told.code().unwrap_or("SSE_HTTP_ERROR")))
        }
        (End::Asked(_, wait), Some(told)) => End::Asked(told.with_retry_after(Some(wait)), wait),
        (End::Broken(_), Some(told)) => End::Broken(told),
        (end, None) => end,
    }
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
