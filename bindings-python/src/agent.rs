//! The agent's client. Each call has two forms: one for an event loop, and one that blocks.

use std::net::IpAddr;
use std::sync::Arc;

use guarded::guarded;
use lime_core::agent::pow::PowDigest;
use lime_core::{AgentConfig, LimeAgent, McpCall, Operation, PowChoice};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::blocking::{self, Records};
use crate::host::HostTransport;
use crate::logging::{self, Home};
use crate::outcome::Outcome;
use crate::progress::Progress;
use crate::queue::{Item, Queue};
use crate::{convert, error, site};

#[pyclass(frozen, module = "lime_sdk._native")]
pub(crate) struct Agent {
    client: LimeAgent,
    home: Home,
    records: Arc<Records>,
    transport: Option<Py<HostTransport>>,
}

#[guarded]
#[pymethods]
impl Agent {
    #[new]
    #[pyo3(signature = (*, agent_token, base_url, timeout, max_retries, pow_timeout, pow_threads, platform, pow_digest, post_retry, mcp_token_refresh_skew, mcp_read_timeout, serialize_mcp_per_url, mcp_addresses, tls_pins, transport))]
    #[allow(clippy::too_many_arguments)] // the settings of the constructor, one by one
    fn new(
        py: Python<'_>,
        agent_token: Option<String>,
        base_url: Option<String>,
        timeout: f64,
        max_retries: i64,
        pow_timeout: f64,
        pow_threads: usize,
        platform: &str,
        pow_digest: Option<&str>,
        post_retry: Option<&str>,
        mcp_token_refresh_skew: f64,
        mcp_read_timeout: f64,
        serialize_mcp_per_url: bool,
        mcp_addresses: Vec<(String, IpAddr)>,
        tls_pins: Vec<String>,
        transport: Option<Py<HostTransport>>,
    ) -> PyResult<Self> {
        let (home, records) = (Home::default(), Arc::default());
        let mut platform = site::platform(platform)?;
        platform.pow_digest = site::setting("pow_digest", pow_digest, platform.pow_digest, PowChoice::named)?;
        platform.post_retry = site::post_retry(post_retry, platform.post_retry)?;
        let config = AgentConfig {
            agent_token,
            base_url,
            timeout: convert::seconds("timeout", timeout)?,
            max_retries: u32::try_from(max_retries.max(0)).unwrap_or(u32::MAX),
            pow_timeout: convert::seconds("pow_timeout", pow_timeout)?,
            pow_threads,
            platform,
            mcp_token_refresh_skew: convert::seconds("mcp_token_refresh_skew", mcp_token_refresh_skew)?,
            mcp_read_timeout: convert::seconds("mcp_read_timeout", mcp_read_timeout)?,
            serialize_mcp_per_url,
            mcp_addresses,
            tls_pins,
            transport: transport.as_ref().map(|transport| transport.get().transport()),
            logger: logging::logger(&home, &records),
            ..AgentConfig::default()
        };
        let agent = LimeAgent::new(config).map_err(|error| error::raise(py, &error))?;
        Ok(Self { client: agent, home, records, transport })
    }

    /// For one login, from here on.
    fn progress(&self) -> Progress {
        Progress(self.client.progress())
    }

    #[pyo3(signature = (queue, token, request_id, progress=None))]
    fn login(
        &self,
        py: Python<'_>,
        queue: &Queue,
        token: u64,
        request_id: &str,
        progress: Option<&Progress>,
    ) -> u64 {
        let progress = progress.map_or_else(|| self.client.progress(), |progress| Arc::clone(&progress.0));
        let login = |agent: &LimeAgent| agent.login_with_progress(request_id, progress);
        self.start(py, queue, token, login, Outcome::Approval)
    }

    fn get_profile(&self, py: Python<'_>, queue: &Queue, token: u64) -> u64 {
        self.start(py, queue, token, LimeAgent::get_profile, Outcome::Profile)
    }

    fn get_mcp_access_token(
        &self,
        py: Python<'_>,
        queue: &Queue,
        token: u64,
        target: &str,
        force_refresh: bool,
    ) -> u64 {
        let get = |agent: &LimeAgent| agent.get_mcp_access_token(target, force_refresh);
        self.start(py, queue, token, get, Outcome::McpAccessToken)
    }

    #[pyo3(signature = (request_id, progress=None, report=None))]
    fn login_blocking<'py>(
        &self,
        py: Python<'py>,
        request_id: &str,
        progress: Option<&Progress>,
        report: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let progress = progress.map_or_else(|| self.client.progress(), |progress| Arc::clone(&progress.0));
        let login = || self.client.login_with_progress(request_id, progress);
        blocking::wait(py, &self.records, report, login, Outcome::Approval)
    }

    fn get_profile_blocking<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        blocking::wait(py, &self.records, None, || self.client.get_profile(), Outcome::Profile)
    }

    fn get_mcp_access_token_blocking<'py>(
        &self,
        py: Python<'py>,
        target: &str,
        force_refresh: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let get = || self.client.get_mcp_access_token(target, force_refresh);
        blocking::wait(py, &self.records, None, get, Outcome::McpAccessToken)
    }

    /// Calls an MCP server; `params` is a JSON object. Gives the result as JSON text.
    #[allow(clippy::too_many_arguments)] // what a call is made of
    fn mcp(
        &self,
        py: Python<'_>,
        queue: &Queue,
        token: u64,
        target: &str,
        method: &str,
        params: &str,
        whole: bool,
    ) -> PyResult<u64> {
        let call = mcp_call(method, params, whole)?;
        Ok(self.start(py, queue, token, |agent| agent.mcp(target, call), Outcome::Mcp))
    }

    fn mcp_blocking<'py>(
        &self,
        py: Python<'py>,
        target: &str,
        method: &str,
        params: &str,
        whole: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let call = mcp_call(method, params, whole)?;
        blocking::wait(py, &self.records, None, || self.client.mcp(target, call), Outcome::Mcp)
    }

    /// Refuses further calls. May wait for the library's threads to end, which need nothing of Python.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.client.close());
    }
}

impl Agent {
    fn start<T: Send + 'static>(
        &self,
        py: Python<'_>,
        queue: &Queue,
        token: u64,
        call: impl FnOnce(&LimeAgent) -> Operation<T> + Send,
        outcome: fn(lime_core::Result<T>) -> Outcome,
    ) -> u64 {
        // An agent is not bound to one loop: it works for the one that asked last.
        self.home.store(Some(Arc::clone(&queue.0)));
        if let Some(transport) = &self.transport {
            transport.get().work_for(&queue.0);
        }
        let queue = Arc::clone(&queue.0);
        let done = move |result| {
            queue.push(Item::Done { token, outcome: outcome(result) });
        };
        py.detach(|| call(&self.client).start_undispatched(done))
    }
}

fn mcp_call(method: &str, params: &str, whole: bool) -> PyResult<McpCall> {
    let params = serde_json::from_str(params)
        .map_err(|error| PyValueError::new_err(format!("The arguments are no JSON object: {error}")))?;
    let call = McpCall::new(method, params);
    Ok(if whole { call } else { call.one_page() })
}

pub(crate) fn digest(name: &str) -> PyResult<PowDigest> {
    match name {
        "seed" => Ok(PowDigest::Seed),
        "today" => Ok(PowDigest::Today),
        other => Err(PyValueError::new_err(format!("the digest must be 'seed' or 'today', not {other:?}"))),
    }
}
