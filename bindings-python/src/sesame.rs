//! The client of the Sesame broker. Each call has two forms: one for an event loop, and one that blocks.

use std::sync::Arc;

use guarded::guarded;
use lime_core::{Approval, ApprovalRequest, Operation, SesameConfig, WaitOptions};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::blocking::{self, Records};
use crate::host::HostTransport;
use crate::logging::{self, Home};
use crate::outcome::Outcome;
use crate::queue::{Item, Queue};
use crate::{convert, error};

#[pyclass(frozen, module = "lime_sdk._native")]
pub(crate) struct Sesame {
    client: lime_core::Sesame,
    home: Home,
    records: Arc<Records>,
    transport: Option<Py<HostTransport>>,
}

/// action, summary, reason, `dedup_key`, `callback_url`, severity, context as JSON text
type Request =
    (String, String, Option<String>, Option<String>, Option<String>, Option<String>, Option<String>);

#[guarded(sesame)]
#[pymethods]
impl Sesame {
    #[new]
    #[pyo3(signature = (*, api_key, base_url, timeout, max_retries, poll_timeout, tls_pins, transport))]
    #[allow(clippy::too_many_arguments)] // the settings of the constructor, one by one
    fn new(
        py: Python<'_>,
        api_key: Option<String>,
        base_url: Option<String>,
        timeout: f64,
        max_retries: i64,
        poll_timeout: f64,
        tls_pins: Vec<String>,
        transport: Option<Py<HostTransport>>,
    ) -> PyResult<Self> {
        let (home, records) = (Home::default(), Arc::default());
        let config = SesameConfig {
            api_key,
            base_url,
            timeout: convert::seconds("timeout", timeout)?,
            max_retries: u32::try_from(max_retries.max(0)).unwrap_or(u32::MAX),
            poll_timeout: convert::seconds("poll_timeout", poll_timeout)?,
            tls_pins,
            transport: transport.as_ref().map(|transport| transport.get().transport()),
            logger: logging::logger(&home, &records),
            ..SesameConfig::default()
        };
        let client = lime_core::Sesame::new(config).map_err(|error| error::raise_sesame(py, &error))?;
        Ok(Self { client, home, records, transport })
    }

    fn trigger(&self, py: Python<'_>, queue: &Queue, token: u64, request: Request) -> PyResult<u64> {
        let request = self::request(py, request)?;
        Ok(self.start(py, queue, token, |sesame| sesame.trigger(request)))
    }

    fn get(&self, py: Python<'_>, queue: &Queue, token: u64, approval_id: &str, wait: bool) -> u64 {
        self.start(py, queue, token, |sesame| sesame.get(approval_id, wait))
    }

    fn wait(
        &self,
        py: Python<'_>,
        queue: &Queue,
        token: u64,
        approval_id: &str,
        timeout: f64,
        poll_interval: f64,
    ) -> PyResult<u64> {
        let options = self::options(timeout, poll_interval)?;
        Ok(self.start(py, queue, token, |sesame| sesame.wait(approval_id, options)))
    }

    fn trigger_blocking<'py>(&self, py: Python<'py>, request: Request) -> PyResult<Bound<'py, PyAny>> {
        let request = self::request(py, request)?;
        self.block(py, None, |sesame| sesame.trigger(request))
    }

    fn get_blocking<'py>(
        &self,
        py: Python<'py>,
        approval_id: &str,
        wait: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.block(py, None, |sesame| sesame.get(approval_id, wait))
    }

    #[pyo3(signature = (approval_id, timeout, poll_interval, report=None))]
    fn wait_blocking<'py>(
        &self,
        py: Python<'py>,
        approval_id: &str,
        timeout: f64,
        poll_interval: f64,
        report: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = self::options(timeout, poll_interval)?;
        self.block(py, report, |sesame| sesame.wait(approval_id, options))
    }

    /// Refuses further calls. May wait for the library's threads to end, which need nothing of Python.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.client.close());
    }
}

impl Sesame {
    fn start(
        &self,
        py: Python<'_>,
        queue: &Queue,
        token: u64,
        call: impl FnOnce(&lime_core::Sesame) -> Operation<Approval> + Send,
    ) -> u64 {
        // Not bound to one loop: it works for the one that asked last.
        self.home.store(Some(Arc::clone(&queue.0)));
        if let Some(transport) = &self.transport {
            transport.get().work_for(&queue.0);
        }
        let queue = Arc::clone(&queue.0);
        let done = move |result| {
            queue.push(Item::Done { token, outcome: Outcome::SesameApproval(result) });
        };
        py.detach(|| call(&self.client).start_undispatched(done))
    }

    fn block<'py>(
        &self,
        py: Python<'py>,
        report: Option<&Bound<'py, PyAny>>,
        call: impl FnOnce(&lime_core::Sesame) -> Operation<Approval> + Send,
    ) -> PyResult<Bound<'py, PyAny>> {
        blocking::wait(py, &self.records, report, || call(&self.client), Outcome::SesameApproval)
    }
}

fn request(py: Python<'_>, request: Request) -> PyResult<ApprovalRequest> {
    let (action, summary, reason, dedup_key, callback_url, severity, context) = request;
    let mut request = ApprovalRequest::new(action, summary);
    (request.reason, request.dedup_key) = (reason, dedup_key);
    (request.callback_url, request.severity) = (callback_url, severity);
    match context {
        Some(context) => request.context_json(&context).map_err(|error| error::raise_sesame(py, &error)),
        None => Ok(request),
    }
}

fn options(timeout: f64, poll_interval: f64) -> PyResult<WaitOptions> {
    Ok(WaitOptions {
        // Time that is up is up, as it was for the published package.
        timeout: convert::seconds("timeout", timeout.max(0.0))?,
        poll_interval: convert::seconds("poll_interval", poll_interval.max(0.0))?,
    })
}

pub(crate) fn approval(py: Python<'_>, approval: Approval) -> PyResult<Bound<'_, PyTuple>> {
    (
        approval.approval_id,
        approval.status,
        approval.expires_at.map(convert::timestamp),
        approval.decided_at.map(convert::timestamp),
        approval.requester_label,
        approval.note,
    )
        .into_pyobject(py)
}
