//! The site's client. Each call has two forms: one for an event loop, and one that blocks.

use std::sync::Arc;
use std::time::Duration;

use guarded::guarded;
use lime_core::{
    BindingCheck, JwksForm, LimeSite, Operation, PassportCheck, Platform, PostRetry, SiteConfig, StreamState,
    StreamStatus,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::blocking::{self, Records};
use crate::host::HostTransport;
use crate::logging::{self, Home};
use crate::outcome::Outcome;
use crate::queue::{Item, Queue, Shared};
use crate::{convert, error};

#[pyclass(frozen, module = "lime_sdk._native")]
pub(crate) struct Site {
    client: LimeSite,
    home: Home,
    records: Arc<Records>,
    transport: Option<Py<HostTransport>>,
}

#[guarded]
#[pymethods]
impl Site {
    #[new]
    #[pyo3(signature = (*, id, site_token, base_url, timeout, max_retries, sse_backoff_base, event_queue_limit, jwks_cache_ttl, platform, require_issuer, post_retry, jwks_form, tls_pins, transport))]
    #[allow(clippy::too_many_arguments)] // the settings of the constructor, one by one
    fn new(
        py: Python<'_>,
        id: u64,
        site_token: Option<String>,
        base_url: Option<String>,
        timeout: f64,
        max_retries: i64,
        sse_backoff_base: f64,
        event_queue_limit: usize,
        jwks_cache_ttl: Option<f64>,
        platform: &str,
        require_issuer: Option<bool>,
        post_retry: Option<&str>,
        jwks_form: Option<&str>,
        tls_pins: Vec<String>,
        transport: Option<Py<HostTransport>>,
    ) -> PyResult<Self> {
        let (home, records) = (Home::default(), Arc::default());
        let mut platform = self::platform(platform)?;
        platform.require_issuer = require_issuer.unwrap_or(platform.require_issuer);
        platform.post_retry = self::post_retry(post_retry, platform.post_retry)?;
        platform.jwks_form = setting("jwks_form", jwks_form, platform.jwks_form, JwksForm::named)?;
        let config = SiteConfig {
            site_token,
            base_url,
            timeout: convert::seconds("timeout", timeout)?,
            max_retries: u32::try_from(max_retries.max(0)).unwrap_or(u32::MAX),
            sse_backoff_base: convert::seconds("sse_backoff_base", sse_backoff_base)?,
            event_queue_limit,
            jwks_cache_ttl: jwks_cache_ttl.map(|ttl| convert::seconds("jwks_cache_ttl", ttl)).transpose()?,
            platform,
            tls_pins,
            transport: transport.as_ref().map(|transport| transport.get().transport()),
            logger: logging::logger(&home, &records),
            ..SiteConfig::default()
        };
        let queue = Arc::clone(&home);
        let sink = move |batch| {
            if let Some(queue) = &*queue.load() {
                queue.push(Item::Events { site: id, batch });
            }
        };
        let site = LimeSite::with_event_sink(config, sink).map_err(|error| error::raise(py, &error))?;
        Ok(Self { client: site, home, records, transport })
    }

    /// Starts the event stream; its events, and log records, go to this queue.
    fn start_events(&self, py: Python<'_>, queue: &Queue) -> PyResult<()> {
        self.work_for(&queue.0);
        py.detach(|| self.client.start_events()).map_err(|error| error::raise(py, &error))
    }

    /// Sends the event stream's state as it is, and every change of it, to the queue, with this number.
    fn watch_state(&self, py: Python<'_>, queue: &Queue, handler: u64) -> PyResult<()> {
        let queue = Arc::clone(&queue.0);
        let watch = move || {
            self.client.on_state_undispatched(move |status| {
                queue.push(Item::State { handler, status: status.clone() });
            })
        };
        py.detach(watch).map_err(|error| error::raise(py, &error))
    }

    /// Sends the login requests whose events are lost to the queue, with this number.
    fn watch_gaps(&self, py: Python<'_>, queue: &Queue, handler: u64) -> PyResult<()> {
        let queue = Arc::clone(&queue.0);
        let watch = move || {
            self.client.on_gap(move |gap| {
                queue.push(Item::Gap { handler, request_ids: gap.request_ids.clone() });
            })
        };
        py.detach(watch).map_err(|error| error::raise(py, &error))
    }

    fn stream_status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        status(py, &self.client.stream_status())
    }

    fn create_login_request(&self, py: Python<'_>, queue: &Queue, token: u64) -> u64 {
        self.start(py, queue, token, LimeSite::create_login_request, Outcome::LoginRequest)
    }

    fn read_login_request(&self, py: Python<'_>, queue: &Queue, token: u64, request_id: &str) -> u64 {
        self.start(py, queue, token, |site| site.read_login_request(request_id), Outcome::LoginRequestStatus)
    }

    /// The claims, if the key is at hand; `None` if it has to be fetched.
    #[pyo3(signature = (jwt, expected_request_id))]
    fn verify_passport_cached<'py>(
        &self,
        py: Python<'py>,
        jwt: &str,
        expected_request_id: Option<&str>,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        match self.client.verify_passport_cached(jwt, &check(expected_request_id)) {
            None => Ok(None),
            Some(Ok(passport)) => convert::dict(py, &passport.claims).map(Some),
            Some(Err(error)) => Err(error::raise(py, &error)),
        }
    }

    #[pyo3(signature = (queue, token, jwt, expected_request_id))]
    fn verify_passport(
        &self,
        py: Python<'_>,
        queue: &Queue,
        token: u64,
        jwt: &str,
        expected_request_id: Option<&str>,
    ) -> u64 {
        self.start(
            py,
            queue,
            token,
            |site| site.verify_passport(jwt, check(expected_request_id)),
            Outcome::Passport,
        )
    }

    fn create_binding_request(&self, py: Python<'_>, queue: &Queue, token: u64, redirect_uri: &str) -> u64 {
        self.start(
            py,
            queue,
            token,
            |site| site.create_binding_request(redirect_uri),
            Outcome::BindingRequest,
        )
    }

    fn exchange_binding_code(&self, py: Python<'_>, queue: &Queue, token: u64, code: &str) -> u64 {
        self.start(py, queue, token, |site| site.exchange_binding_code(code), Outcome::BindingPassport)
    }

    /// The claims, if the key is at hand; `None` if it has to be fetched.
    #[pyo3(signature = (jwt, expected_binding_id))]
    fn verify_binding_passport_cached<'py>(
        &self,
        py: Python<'py>,
        jwt: &str,
        expected_binding_id: Option<&str>,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        match self.client.verify_binding_passport_cached(jwt, &binding_check(expected_binding_id)) {
            None => Ok(None),
            Some(Ok(passport)) => convert::dict(py, &passport.claims).map(Some),
            Some(Err(error)) => Err(error::raise(py, &error)),
        }
    }

    #[pyo3(signature = (queue, token, jwt, expected_binding_id))]
    fn verify_binding_passport(
        &self,
        py: Python<'_>,
        queue: &Queue,
        token: u64,
        jwt: &str,
        expected_binding_id: Option<&str>,
    ) -> u64 {
        let check = binding_check(expected_binding_id);
        self.start(py, queue, token, |site| site.verify_binding_passport(jwt, check), Outcome::Passport)
    }

    fn create_binding_request_blocking<'py>(
        &self,
        py: Python<'py>,
        redirect_uri: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.block(py, None, |site| site.create_binding_request(redirect_uri), Outcome::BindingRequest)
    }

    fn exchange_binding_code_blocking<'py>(
        &self,
        py: Python<'py>,
        code: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.block(py, None, |site| site.exchange_binding_code(code), Outcome::BindingPassport)
    }

    #[pyo3(signature = (jwt, expected_binding_id))]
    fn verify_binding_passport_blocking<'py>(
        &self,
        py: Python<'py>,
        jwt: &str,
        expected_binding_id: Option<&str>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let check = binding_check(expected_binding_id);
        self.block(py, None, |site| site.verify_binding_passport(jwt, check), Outcome::Passport)
    }

    fn wait_for_login(
        &self,
        py: Python<'_>,
        queue: &Queue,
        token: u64,
        request_id: &str,
        timeout: f64,
    ) -> PyResult<u64> {
        let timeout = patience(timeout)?;
        Ok(self.start(py, queue, token, |site| site.wait_for_login(request_id, timeout), Outcome::LoginEvent))
    }

    fn create_login_request_blocking<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.block(py, None, LimeSite::create_login_request, Outcome::LoginRequest)
    }

    fn read_login_request_blocking<'py>(
        &self,
        py: Python<'py>,
        request_id: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.block(py, None, |site| site.read_login_request(request_id), Outcome::LoginRequestStatus)
    }

    #[pyo3(signature = (jwt, expected_request_id))]
    fn verify_passport_blocking<'py>(
        &self,
        py: Python<'py>,
        jwt: &str,
        expected_request_id: Option<&str>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.block(py, None, |site| site.verify_passport(jwt, check(expected_request_id)), Outcome::Passport)
    }

    #[pyo3(signature = (request_id, timeout, report=None))]
    fn wait_for_login_blocking<'py>(
        &self,
        py: Python<'py>,
        request_id: &str,
        timeout: f64,
        report: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let timeout = patience(timeout)?;
        self.block(py, report, |site| site.wait_for_login(request_id, timeout), Outcome::LoginEvent)
    }

    /// Ends the event stream and refuses further calls. May wait for the library's threads to end,
    /// which need nothing of Python.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.client.close());
    }
}

impl Site {
    fn work_for(&self, queue: &Arc<Shared>) {
        self.home.store(Some(Arc::clone(queue)));
        if let Some(transport) = &self.transport {
            transport.get().work_for(queue);
        }
    }

    fn start<T: Send + 'static>(
        &self,
        py: Python<'_>,
        queue: &Queue,
        token: u64,
        call: impl FnOnce(&LimeSite) -> Operation<T> + Send,
        outcome: fn(lime_core::Result<T>) -> Outcome,
    ) -> u64 {
        // In a forked child the queue that it worked for is the parent's.
        if !self.home.load().as_ref().is_some_and(|home| home.belongs_to_this_process()) {
            self.work_for(&queue.0);
        }
        let queue = Arc::clone(&queue.0);
        let done = move |result| {
            queue.push(Item::Done { token, outcome: outcome(result) });
        };
        py.detach(|| call(&self.client).start_undispatched(done))
    }

    fn block<'py, T: Send + 'static>(
        &self,
        py: Python<'py>,
        report: Option<&Bound<'py, PyAny>>,
        call: impl FnOnce(&LimeSite) -> Operation<T> + Send,
        outcome: fn(lime_core::Result<T>) -> Outcome,
    ) -> PyResult<Bound<'py, PyAny>> {
        blocking::wait(py, &self.records, report, || call(&self.client), outcome)
    }
}

/// A hundred years stand for ever; a timer cannot count to infinity.
fn patience(timeout: f64) -> PyResult<Duration> {
    Ok(convert::seconds("timeout", timeout)?.min(Duration::from_secs(100 * 365 * 86_400)))
}

fn check(expected_request_id: Option<&str>) -> PassportCheck {
    expected_request_id
        .map_or_else(PassportCheck::default, |id| PassportCheck::default().expected_request_id(id))
}

fn binding_check(expected_binding_id: Option<&str>) -> BindingCheck {
    expected_binding_id
        .map_or_else(BindingCheck::default, |id| BindingCheck::default().expected_binding_id(id))
}

pub(crate) fn platform(name: &str) -> PyResult<Platform> {
    setting("platform", Some(name), Platform::AUTO, Platform::named)
}

pub(crate) fn post_retry(name: Option<&str>, preset: PostRetry) -> PyResult<PostRetry> {
    setting("post_retry", name, preset, PostRetry::named)
}

/// A setting by its name; without one it is the preset's.
pub(crate) fn setting<T>(
    what: &str,
    name: Option<&str>,
    preset: T,
    named: impl FnOnce(&str) -> Option<T>,
) -> PyResult<T> {
    let Some(name) = name else { return Ok(preset) };
    named(name).ok_or_else(|| PyValueError::new_err(format!("there is no {what} {name:?}")))
}

/// `(state, last_error, connections, events, malformed_frames)`.
pub(crate) fn status<'py>(py: Python<'py>, status: &StreamStatus) -> PyResult<Bound<'py, PyAny>> {
    let state = match status.state {
        StreamState::Idle => "idle",
        StreamState::Connecting => "connecting",
        StreamState::Open => "open",
        StreamState::BackingOff => "backing_off",
        StreamState::Refused => "refused",
        StreamState::Closed => "closed",
        _ => "unknown",
    };
    let last_error = status.last_error.as_ref().map(|error| error::exception(py, error)).transpose()?;
    Ok((state, last_error, status.connections, status.events, status.malformed_frames)
        .into_pyobject(py)?
        .into_any())
}
