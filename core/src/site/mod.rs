//! The site's side of LIME: create login requests, receive passports, verify them.

pub mod binding;
pub mod catch_up;
pub mod events;
pub mod frame;
pub mod jwks;
mod outstanding;
pub mod passport;
mod seen;
pub mod sse;
mod watchdog;

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderName;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::api::{Api, Call};
use crate::client::Lease;
use crate::config::{self, SITE_TOKEN_VARIABLE, SiteConfig};
use crate::operation::Operation;
use crate::process::PerProcess;
use crate::runtime::{self, Runtime, WeakRuntime};
use crate::timestamp::Timestamp;
use crate::{Error, ErrorKind, Result, base_url, json as fields, log};
use catch_up::Gap;
use events::{Delivery, Events, StreamState, StreamStatus};
use jwks::{KeyCache, Limits, PassportKeys, Want};
use passport::{Check, Passport, PassportCheck, Unverified};

const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-site-token");
const REQUESTS: &str = "/modules/agent-login/requests";

/// A login request that was just created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRequest {
    /// To be handed to the agent.
    pub request_id: String,
    /// `PENDING`.
    pub status: String,
    /// When it expires.
    pub expires_at: Timestamp,
}

impl LoginRequest {
    /// Reads the platform's `data`.
    ///
    /// # Errors
    /// [`ErrorKind::BadResponse`] when a field is missing.
    pub fn from_data(data: &Map<String, Value>) -> Result<Self> {
        Ok(Self {
            request_id: fields::required_text(data, "login_request_id")?,
            status: fields::required_text(data, "status")?,
            expires_at: Timestamp::parse(&fields::required_text(data, "expires_at")?)?,
        })
    }
}

/// Where a login request stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRequestStatus {
    /// The login request.
    pub request_id: String,
    /// `PENDING`, `APPROVED`, `DELIVERED` or `EXPIRED`.
    pub status: String,
    /// When it expires, where the platform says so.
    pub expires_at: Option<Timestamp>,
}

impl LoginRequestStatus {
    fn from_data(request_id: &str, data: &Map<String, Value>) -> Result<Self> {
        Ok(Self {
            request_id: request_id.to_owned(),
            status: fields::required_text(data, "status")?,
            expires_at: fields::optional_text(data, "expires_at")
                .and_then(|text| Timestamp::parse(&text).ok()),
        })
    }
}

/// How a login request ended. `Debug` does not show the passport.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginEvent {
    /// The login request.
    pub request_id: String,
    /// The agent's passport, not verified yet; `None`: nobody signed in in time.
    pub passport: Option<String>,
}

impl fmt::Debug for LoginEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passport = self.passport.as_ref().map(|_| "…");
        f.debug_struct("LoginEvent")
            .field("request_id", &self.request_id)
            .field("passport", &passport)
            .finish()
    }
}

type Handler = Arc<dyn Fn(&Arc<Delivery>) + Send + Sync>;
type StateHandler = Arc<dyn Fn(&StreamStatus) + Send + Sync>;
type DirectStateHandler = Arc<dyn Fn() + Send + Sync>;
type GapHandler = Arc<dyn Fn(&Gap) + Send + Sync>;

/// The client of a site's backend. Cheap to clone; make one per site token and process.
///
/// Safe to use from any thread and, after `fork`, in the child too: it then has connections of its
/// own, and no event stream until [`on_login`](Self::on_login) or
/// [`start_events`](Self::start_events) asks for one there.
#[derive(Clone)]
pub struct LimeSite(Arc<Inner>);

struct Inner {
    api: Arc<Api>,
    lease: Lease,
    keys: Arc<KeyCache<PassportKeys>>,
    require_issuer: bool,
    backoff_base: Duration,
    events: Arc<Events>,
    handlers: Arc<ArcSwap<Vec<Handler>>>,
    state_handlers: Arc<ArcSwap<Vec<StateHandler>>>,
    /// Those that are told at once, and look for themselves.
    direct_state_handlers: ArcSwap<Vec<DirectStateHandler>>,
    gap_handlers: ArcSwap<Vec<GapHandler>>,
    /// The tasks of the stream, while it runs.
    stream: PerProcess<Mutex<Option<Stream>>>,
    /// Held while a handler runs, so that closing can wait for it.
    running: PerProcess<Mutex<()>>,
}

/// One task reads the stream, the other asks for what it did not bring.
struct Stream {
    reader: AbortHandle,
    asker: AbortHandle,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.reader.abort();
        self.asker.abort();
    }
}

impl LimeSite {
    /// A client for the site that the token belongs to. Starts nothing and sends nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Authentication`] when there is no token, [`ErrorKind::InvalidArgument`] when a
    /// setting makes no sense.
    pub fn new(config: SiteConfig) -> Result<Self> {
        Self::build(config, None)
    }

    /// Like [`new`](Self::new), but events go to `sink` alone, on the runtime thread, instead of to the
    /// handlers on the dispatcher thread: those that have arrived together at once, in order. For bindings
    /// whose language has a thread of its own for them: `sink` must only hand them on, and never block.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_event_sink(
        config: SiteConfig,
        sink: impl Fn(Vec<Delivery>) + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::build(config, Some(Box::new(sink)))
    }

    fn build(config: SiteConfig, sink: Option<events::Sink>) -> Result<Self> {
        let token = config::token(
            config.site_token,
            SITE_TOKEN_VARIABLE,
            "Site token is required. Pass site_token= or set LIME_SITE_TOKEN.",
            &config.environment,
        )?;
        let base_url = config::base_url(config.base_url.as_deref(), &config.environment)?;
        let pins = config::tls_pins(
            &config.tls_pins,
            config::TLS_PINS_VARIABLE,
            &base_url,
            config.transport.as_ref(),
            &config.environment,
        )?;
        let api = Arc::new(Api {
            base_url,
            token,
            token_header: TOKEN_HEADER,
            timeout: config::checked_timeout(config.timeout)?,
            max_retries: config.max_retries,
            post_retry: config.platform.post_retry,
            transport: config.transport,
            pins,
            logger: config.logger,
            clock: config.clock,
            warned: AtomicBool::default(),
        });
        let ttl =
            config::jwks_cache_ttl(config.jwks_cache_ttl, Duration::from_secs(300), &config.environment)?;
        let handlers = Arc::new(ArcSwap::from_pointee(Vec::new()));
        let site = Arc::new_cyclic(|inner: &Weak<Inner>| {
            let sink = sink.unwrap_or_else(|| {
                let inner = inner.clone();
                Box::new(move |batch| dispatch(&inner, batch))
            });
            let this = inner.clone();
            let changed = Box::new(move || {
                if let Some(inner) = this.upgrade() {
                    inner.state_changed(&this);
                }
            });
            let (clock, logger) = (Arc::clone(&api.clock), api.logger.clone());
            let events = Events::new(config.event_queue_limit, sink, changed, clock, logger);
            Inner {
                api,
                lease: Lease::default(),
                keys: Arc::new(KeyCache::new(
                    PassportKeys::new(config.platform.jwks_form),
                    Limits::of_passports(ttl),
                )),
                require_issuer: config.platform.require_issuer,
                backoff_base: config.sse_backoff_base,
                events: Arc::new(events),
                handlers,
                state_handlers: Arc::default(),
                direct_state_handlers: ArcSwap::default(),
                gap_handlers: ArcSwap::default(),
                stream: PerProcess::default(),
                running: PerProcess::default(),
            }
        });
        Ok(Self(site))
    }

    /// Creates a login request, to be handed to the agent by its `request_id`.
    pub fn create_login_request(&self) -> Operation<LoginRequest> {
        self.0.lease.operation(&self.0, |site, runtime| async move {
            let data = site.api.data(&runtime, &Call::post(REQUESTS, "{}".to_owned())).await?;
            let request = LoginRequest::from_data(&data)?;
            site.events.created(&request);
            Ok(request)
        })
    }

    /// Reads where a login request of this site stands.
    pub fn read_login_request(&self, request_id: &str) -> Operation<LoginRequestStatus> {
        let request_id = request_id.trim().to_owned();
        self.0.lease.operation(&self.0, |site, runtime| async move { site.read(&runtime, &request_id).await })
    }

    /// Verifies a passport, fetching the platform's keys if they are not at hand.
    ///
    /// Fails with [`ErrorKind::InvalidPassport`] or [`ErrorKind::PassportExpired`] for a passport that
    /// must not be trusted, and with a transport or API kind when the keys cannot be had.
    pub fn verify_passport(&self, jwt: &str, check: PassportCheck) -> Operation<Passport> {
        self.verify(jwt, check.into())
    }

    /// Verifies a passport on the calling thread if its key is at hand and fresh, else `None`.
    pub fn verify_passport_cached(&self, jwt: &str, check: &PassportCheck) -> Option<Result<Passport>> {
        self.verify_cached(jwt, &check.clone().into())
    }

    fn verify(&self, jwt: &str, check: Check) -> Operation<Passport> {
        if let Some(result) = self.verify_cached(jwt, &check) {
            return match result {
                Ok(passport) => self.0.lease.operation(&self.0, |_, _| async move { Ok(passport) }),
                Err(error) => Operation::failed(error),
            };
        }
        let jwt = jwt.to_owned();
        self.0.lease.operation(&self.0, |site, runtime| async move {
            let token = Unverified::parse(&jwt)?;
            let want = Want::Key(token.kid().to_owned());
            let keys = site.keys.lookup_for_all(&site.api, &runtime, want).await?;
            site.check(&token, &keys, &check)
        })
    }

    fn verify_cached(&self, jwt: &str, check: &Check) -> Option<Result<Passport>> {
        if self.0.lease.is_closed() {
            return Some(Err(Error::closed()));
        }
        let token = match Unverified::parse(jwt) {
            Ok(token) => token,
            Err(error) => return Some(Err(error)),
        };
        let keys = self.0.keys.fresh(token.kid(), self.0.api.clock.monotonic())?;
        Some(self.0.check(&token, &keys, check))
    }

    /// Waits until this login request ends, for at most `timeout`; starts the event stream if it is
    /// not running. An event that came before the wait began (two minutes at most) counts.
    ///
    /// Fails with [`ErrorKind::Timeout`] when nothing happened in time, at once with
    /// [`ErrorKind::Authentication`] when the platform refuses the token, and with
    /// [`ErrorKind::OutcomeUnknown`] (code `LOGIN_EVENT_LOST`) when the request has ended and its event is lost.
    pub fn wait_for_login(&self, request_id: &str, timeout: Duration) -> Operation<LoginEvent> {
        let request_id = request_id.trim().to_owned();
        if let Err(error) = base_url::segment(&request_id).and_then(|_| self.start_events()) {
            return Operation::failed(error);
        }
        self.0.lease.operation(&self.0, move |site, _| async move {
            let waited = tokio::time::timeout(timeout, site.wait(&request_id)).await;
            waited.unwrap_or_else(|_| {
                let message = format!("No agent signed in within {} s", timeout.as_secs_f64());
                Err(Error::new(ErrorKind::Timeout, message).with_request_id(request_id))
            })
        })
    }

    /// Registers a handler for the end of every login request of this site, and starts the event
    /// stream. Handlers run on the dispatcher thread, one at a time, in the order of registration; one
    /// that panics is logged and the next one still runs. None begins after the site was closed.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]; the handler is dropped then.
    pub fn on_login(&self, handler: impl Fn(&LoginEvent) + Send + Sync + 'static) -> Result<()> {
        self.on_delivery(move |delivery| handler(&delivery.event))
    }

    /// Like [`on_login`](Self::on_login), for a handler that finishes its work later or elsewhere: as
    /// long as it keeps a clone of the delivery, the event has its place in the queue, so a host that
    /// does not keep up holds the platform back instead of filling its memory.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]; the handler is dropped then.
    pub fn on_delivery(&self, handler: impl Fn(&Arc<Delivery>) + Send + Sync + 'static) -> Result<()> {
        self.0.lease.runtime()?;
        let handler: Handler = Arc::new(handler);
        add(&self.0.handlers, &handler);
        self.start_events().inspect_err(|_| {
            // Closed by another thread meanwhile: the handler is given back.
            self.0.handlers.rcu(|handlers| {
                handlers.iter().filter(|other| !Arc::ptr_eq(other, &handler)).cloned().collect::<Vec<_>>()
            });
        })
    }

    /// Registers a handler for where the event stream stands: it runs on the dispatcher thread, first
    /// with the state as it is, then whenever it has changed. Closing is not reported: whoever closes
    /// knows, and no handler begins after it.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    pub fn on_state(&self, handler: impl Fn(&StreamStatus) + Send + Sync + 'static) -> Result<()> {
        let runtime = self.0.lease.runtime()?;
        let told = Mutex::new(None);
        let handler: StateHandler = Arc::new(move |status: &StreamStatus| {
            let before = told.lock().unwrap_or_else(PoisonError::into_inner).replace(status.state);
            if before != Some(status.state) {
                handler(status);
            }
        });
        add(&self.0.state_handlers, &handler);
        announce(&runtime, &Arc::downgrade(&self.0));
        Ok(())
    }

    /// Like [`on_state`](Self::on_state), but on whichever thread changes the state, and before the events of a
    /// connection that has come about. For bindings that hand events on by themselves: `handler` must only hand the
    /// status on, and never block.
    ///
    /// # Errors
    /// As [`on_state`](Self::on_state).
    pub fn on_state_undispatched(
        &self,
        handler: impl Fn(&StreamStatus) + Send + Sync + 'static,
    ) -> Result<()> {
        self.0.lease.runtime()?;
        let (events, told) =
            (Arc::clone(&self.0.events), PerProcess::<Mutex<Option<StreamState>>>::default());
        let handler: DirectStateHandler = Arc::new(move || {
            let told = told.get();
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            // Looked at under the lock: no older state comes after a newer one.
            let status = events.status();
            if status.state != StreamState::Closed && told.replace(status.state) != Some(status.state) {
                handler(&status);
            }
        });
        add(&self.0.direct_state_handlers, &handler);
        handler();
        Ok(())
    }

    /// Registers a handler for login requests whose events are lost: the platform says that they have ended, and
    /// neither the stream nor the platform's answer tells how. It runs on the dispatcher thread and does not start
    /// the stream. Should such an event come all the same, it is handed on.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    pub fn on_gap(&self, handler: impl Fn(&Gap) + Send + Sync + 'static) -> Result<()> {
        self.0.lease.runtime()?;
        let handler: GapHandler = Arc::new(handler);
        add(&self.0.gap_handlers, &handler);
        Ok(())
    }

    /// Starts the event stream; does nothing when it is running.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    pub fn start_events(&self) -> Result<()> {
        let runtime = self.0.lease.runtime()?;
        let slot = self.0.stream.get();
        let mut stream = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if stream.as_ref().is_some_and(|stream| !stream.reader.is_finished()) {
            return Ok(());
        }
        let (api, events) = (Arc::clone(&self.0.api), Arc::clone(&self.0.events));
        // At once, since a forked child would otherwise go on seeing the state of its parent's stream.
        events.set_state(StreamState::Connecting, None);
        let site = Arc::downgrade(&self.0);
        let report = move |gap| tell_of_gap(&site, gap);
        let asking = catch_up::run(Arc::clone(&api), runtime.downgrade(), Arc::clone(&events), report);
        let reading = events::run(api, runtime.downgrade(), events, self.0.backoff_base);
        let started = Stream { reader: runtime.spawn(reading), asker: runtime.spawn(asking) };
        if self.0.lease.is_closed() {
            return Err(Error::closed()); // by another thread since the first line
        }
        *stream = Some(started);
        Ok(())
    }

    /// Where the event stream stands.
    pub fn stream_status(&self) -> StreamStatus {
        self.0.events.status()
    }

    /// Follows where the event stream stands.
    pub fn watch_stream(&self) -> watch::Receiver<StreamStatus> {
        self.0.events.subscribe()
    }

    /// Ends the event stream and refuses further calls; those under way go on. Does not wait and can
    /// be called from a handler. Closing twice does nothing.
    pub fn close(&self) {
        self.0.close();
    }

    /// Closes, then waits until no handler of this site is running. From a handler it only closes.
    pub fn close_and_wait(&self) {
        self.0.close();
        if !runtime::is_own_thread() {
            drop(self.0.running.get().lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl fmt::Debug for LimeSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimeSite")
            .field("base_url", &self.0.api.base_url.as_str())
            .field("events", &self.0.events)
            .finish()
    }
}

impl Inner {
    /// Calls a handler; one that panics is logged.
    fn tried(&self, name: &str, call: impl FnOnce()) {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).is_err() {
            log::error!(self.api.logger, "{name} handler failed");
        }
    }

    /// The state of the stream has changed, in this very moment and on this thread.
    fn state_changed(&self, this: &Weak<Self>) {
        for handler in self.direct_state_handlers.load().iter() {
            self.tried("on_state", || handler());
        }
        if !self.state_handlers.load().is_empty()
            && let Some(runtime) = Runtime::current()
        {
            announce(&runtime, this);
        }
    }

    /// Runs the handlers of one event.
    fn handle(&self, running: &Mutex<()>, delivery: &Arc<Delivery>) {
        for handler in self.handlers.load().iter() {
            self.guarded(running, || {
                let called = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| handler(delivery)));
                if called.is_err() {
                    log::error!(
                        self.api.logger,
                        "on_login handler failed for request_id={}",
                        delivery.event.request_id
                    );
                }
            });
        }
    }

    async fn read(&self, runtime: &WeakRuntime, request_id: &str) -> Result<LoginRequestStatus> {
        let path = format!("{REQUESTS}/{}", base_url::segment(request_id)?);
        let data = self
            .api
            .data(runtime, &Call::get(path))
            .await
            .map_err(|error| error.with_request_id(request_id))?;
        LoginRequestStatus::from_data(request_id, &data)
    }

    fn check(&self, token: &Unverified<'_>, keys: &jwks::KeySet, check: &Check) -> Result<Passport> {
        token.verify(keys, self.api.base_url.as_str(), check, self.require_issuer, self.api.clock.unix())
    }

    async fn wait(&self, request_id: &str) -> Result<LoginEvent> {
        let event = self.events.watch(request_id);
        let _unwatch = Unwatch(&self.events, request_id);
        tokio::select! {
            biased;
            event = event => event.map_err(|_| Error::closed())?,
            error = self.end_of_stream() => Err(error),
        }
    }

    /// Why the stream brings nothing any more.
    async fn end_of_stream(&self) -> Error {
        let mut status = self.events.subscribe();
        loop {
            {
                let status = status.borrow_and_update();
                match status.state {
                    // Closed between the call and its first step, when there was nothing to end yet.
                    StreamState::Closed => return Error::closed(),
                    StreamState::Refused => return status.last_error.clone().unwrap_or_else(Error::closed),
                    _ => {}
                }
            }
            if status.changed().await.is_err() {
                return Error::closed();
            }
        }
    }

    /// Calls a handler, unless the site was closed in the meantime: whoever closed, and waited for the
    /// handler that was running, expects no further call.
    fn guarded(&self, running: &Mutex<()>, call: impl FnOnce()) {
        let _running = running.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.lease.is_closed() {
            call();
        }
    }

    fn close(&self) {
        self.lease.mark_closed();
        drop(self.stream.get().lock().unwrap_or_else(PoisonError::into_inner).take());
        self.events.close();
        self.lease.close();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// Gives a wait up, however it ends.
struct Unwatch<'a>(&'a Events, &'a str);

impl Drop for Unwatch<'_> {
    fn drop(&mut self) {
        self.0.unwatch(self.1);
    }
}

/// Adds a handler behind those that are there.
fn add<T: Clone>(handlers: &ArcSwap<Vec<T>>, handler: &T) {
    handlers.rcu(|handlers| {
        let mut handlers = Vec::clone(handlers);
        handlers.push(handler.clone());
        handlers
    });
}

/// Queues the handlers of events on the dispatcher thread. The events that have arrived together wake it once.
fn dispatch(site: &Weak<Inner>, batch: Vec<Delivery>) {
    let Some(inner) = site.upgrade() else { return };
    let Ok(runtime) = inner.lease.runtime() else { return };
    let (site, running) = (Weak::clone(site), inner.running.get());
    runtime.dispatcher().post(move || {
        for delivery in batch {
            // A handler may have let go of the last hold on the site.
            let Some(inner) = site.upgrade() else { return };
            inner.handle(&running, &Arc::new(delivery));
        }
    });
}

/// Tells the gap handlers which events are lost.
fn tell_of_gap(site: &Weak<Inner>, gap: Gap) {
    let Some(inner) = site.upgrade() else { return };
    if inner.gap_handlers.load().is_empty() {
        return;
    }
    let (Ok(runtime), site) = (inner.lease.runtime(), Weak::clone(site)) else { return };
    runtime.dispatcher().post(move || {
        let Some(inner) = site.upgrade() else { return };
        for handler in inner.gap_handlers.load().iter() {
            inner.guarded(&inner.running.get(), || inner.tried("on_gap", || handler(&gap)));
        }
    });
}

/// Tells the state handlers where the stream stands. They look at it when their turn has come, so none
/// of them sees an older state after a newer one.
fn announce(runtime: &Runtime, site: &Weak<Inner>) {
    let site = Weak::clone(site);
    runtime.dispatcher().post(move || {
        let Some(inner) = site.upgrade() else { return };
        for handler in inner.state_handlers.load().iter() {
            let status = inner.events.status();
            inner.guarded(&inner.running.get(), || inner.tried("on_state", || handler(&status)));
        }
    });
}
