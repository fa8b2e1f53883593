//! Access tokens for MCP servers: the verifier, the platform's keys for it, and the pure functions.

use std::sync::Arc;
use std::time::Duration;

use guarded::guarded;
use lime_core::site::jwks::KeySet;
use lime_core::token_verifier::metadata::Authority;
use lime_core::token_verifier::{bearer, domain, token};
use lime_core::{
    Error, ErrorKind, Operation, TokenCheck, TokenKeys as CoreKeys, TokenVerifier as CoreVerifier,
    TokenVerifierConfig,
};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::blocking::{self, Records};
use crate::host::HostTransport;
use crate::logging::{self, Home};
use crate::outcome::Outcome;
use crate::queue::{Item, Queue};
use crate::{convert, error};

/// The platform's keys. Each call has two forms: one for an event loop, and one that blocks.
#[pyclass(frozen, module = "lime_sdk._native")]
pub(crate) struct TokenKeys {
    keys: CoreKeys,
    home: Home,
    records: Arc<Records>,
    transport: Option<Py<HostTransport>>,
}

#[guarded]
#[pymethods]
impl TokenKeys {
    #[new]
    #[pyo3(signature = (*, base_url, cache_ttl, min_refresh, user_agent, timeout, tls_pins, transport))]
    #[allow(clippy::too_many_arguments)] // the settings of the constructor, one by one
    fn new(
        py: Python<'_>,
        base_url: Option<String>,
        cache_ttl: Option<f64>,
        min_refresh: Option<f64>,
        user_agent: Option<String>,
        timeout: f64,
        tls_pins: Vec<String>,
        transport: Option<Py<HostTransport>>,
    ) -> PyResult<Self> {
        let (home, records) = (Home::default(), Arc::default());
        let seconds = |name: &str, value: Option<f64>| {
            // A negative time has passed already, as for whoever adds it up.
            value.map(|value| convert::seconds(name, value.max(0.0))).transpose()
        };
        let config = TokenVerifierConfig {
            base_url,
            jwks_cache_ttl: seconds("cache_ttl", cache_ttl)?,
            min_refresh: seconds("min_refresh_seconds", min_refresh)?,
            user_agent,
            timeout: convert::seconds("http_timeout", timeout)?,
            tls_pins,
            transport: transport.as_ref().map(|transport| transport.get().transport()),
            logger: logging::logger(&home, &records),
            ..TokenVerifierConfig::default()
        };
        let keys = CoreKeys::new(&config).map_err(|error| error::raise(py, &error))?;
        Ok(Self { keys, home, records, transport })
    }

    /// Fetches the keys, or, unless `always`, only if that was not done a moment ago.
    fn refresh(&self, py: Python<'_>, queue: &Queue, token: u64, always: bool) -> u64 {
        let refresh = |keys: &CoreKeys| if always { keys.fetch() } else { keys.refresh() };
        self.start(py, queue, token, refresh, Outcome::Nothing)
    }

    fn refresh_blocking<'py>(&self, py: Python<'py>, always: bool) -> PyResult<Bound<'py, PyAny>> {
        let refresh = || if always { self.keys.fetch() } else { self.keys.refresh() };
        blocking::wait(py, &self.records, None, refresh, Outcome::Nothing)
    }

    /// `(issuer, document)` of the keys to look for this one in.
    #[pyo3(signature = (queue, token, kid))]
    fn find(&self, py: Python<'_>, queue: &Queue, token: u64, kid: Option<&str>) -> u64 {
        self.start(py, queue, token, |keys| keys.find(kid), Outcome::TokenKeys)
    }

    #[pyo3(signature = (kid))]
    fn find_blocking<'py>(&self, py: Python<'py>, kid: Option<&str>) -> PyResult<Bound<'py, PyAny>> {
        blocking::wait(py, &self.records, None, || self.keys.find(kid), Outcome::TokenKeys)
    }

    fn forget(&self) {
        self.keys.forget();
    }

    fn fetches(&self) -> u64 {
        self.keys.fetches()
    }

    /// Refuses further calls. May wait for the library's threads to end, which need nothing of Python.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.keys.close());
    }
}

impl TokenKeys {
    fn start<T: Send + 'static>(
        &self,
        py: Python<'_>,
        queue: &Queue,
        token: u64,
        call: impl FnOnce(&CoreKeys) -> Operation<T> + Send,
        outcome: fn(lime_core::Result<T>) -> Outcome,
    ) -> u64 {
        self.home.store(Some(Arc::clone(&queue.0)));
        if let Some(transport) = &self.transport {
            transport.get().work_for(&queue.0);
        }
        let queue = Arc::clone(&queue.0);
        let done = move |result| {
            queue.push(Item::Done { token, outcome: outcome(result) });
        };
        py.detach(|| call(&self.keys).start_undispatched(done))
    }
}

/// Issuer and key document, as `TokenKeys.find` gives them.
pub(crate) fn document<'py>(py: Python<'py>, keys: &Authority) -> PyResult<Bound<'py, PyAny>> {
    Ok((keys.issuer.as_str(), PyBytes::new(py, &keys.document)).into_pyobject(py)?.into_any())
}

/// Verifies tokens for one host name with keys that others may use, too.
#[pyclass(frozen, module = "lime_sdk._native")]
pub(crate) struct TokenVerifier {
    verifier: CoreVerifier,
    keys: Py<TokenKeys>,
}

#[guarded]
#[pymethods]
impl TokenVerifier {
    #[new]
    #[pyo3(signature = (keys, *, expected_domain, audience, leeway))]
    fn new(
        py: Python<'_>,
        keys: Py<TokenKeys>,
        expected_domain: String,
        audience: String,
        leeway: f64,
    ) -> PyResult<Self> {
        let config = TokenVerifierConfig {
            expected_domain: Some(expected_domain),
            audience: Some(audience),
            leeway: Some(convert::seconds("leeway_seconds", leeway)?),
            ..TokenVerifierConfig::default()
        };
        let verifier = CoreVerifier::with_keys(&config, keys.get().keys.clone())
            .map_err(|error| error::raise(py, &error))?;
        Ok(Self { verifier, keys })
    }

    #[getter]
    fn expected_domain(&self) -> &str {
        self.verifier.expected_domain()
    }

    /// The claims, if the key is at hand; `None` if it has to be fetched.
    fn verify_cached<'py>(&self, py: Python<'py>, jwt: &str) -> PyResult<Option<Bound<'py, PyDict>>> {
        match self.verifier.verify_cached(jwt) {
            None => Ok(None),
            Some(Ok(verified)) => convert::dict(py, &verified.claims).map(Some),
            Some(Err(error)) => Err(error::raise(py, &error)),
        }
    }

    fn verify(&self, py: Python<'_>, queue: &Queue, token: u64, jwt: &str) -> u64 {
        self.keys.get().start(py, queue, token, |_| self.verifier.verify(jwt), Outcome::VerifiedToken)
    }

    fn verify_blocking<'py>(&self, py: Python<'py>, jwt: &str) -> PyResult<Bound<'py, PyAny>> {
        let records = &self.keys.get().records;
        blocking::wait(py, records, None, || self.verifier.verify(jwt), Outcome::VerifiedToken)
    }
}

/// The claims of a token, verified with a key document that is at hand.
#[guarded]
#[pyfunction]
#[allow(clippy::too_many_arguments)] // the settings of a verifier, one by one
pub(crate) fn verify_access_token<'py>(
    py: Python<'py>,
    jwt: &str,
    jwks: &[u8],
    issuer: &str,
    expected_domain: &str,
    audience: &str,
    leeway: f64,
    now: f64,
) -> PyResult<Bound<'py, PyDict>> {
    let check = TokenCheck::new(issuer, expected_domain)
        .audience(audience)
        .leeway(convert::seconds("leeway_seconds", leeway)?);
    let now = convert::seconds("now", now)?;
    let verified = KeySet::from_json(jwks)
        .and_then(|keys| token::verify(jwt, &keys, &check, now))
        .map_err(|error| error::raise(py, &error))?;
    convert::dict(py, &verified.claims)
}

/// The canonical form of a host name.
#[guarded]
#[pyfunction]
pub(crate) fn normalize_mcp_domain(py: Python<'_>, raw: &str) -> PyResult<String> {
    domain::normalize_mcp_domain(raw).map_err(|error| error::raise(py, &error))
}

/// The token in a request's `Authorization` headers.
#[guarded]
#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // pyo3 hands lists over by value
pub(crate) fn bearer_token(py: Python<'_>, authorization: Vec<String>) -> PyResult<String> {
    let values: Vec<&str> = authorization.iter().map(String::as_str).collect();
    bearer::token(&values).map(str::to_owned).map_err(|error| error::raise(py, &error))
}

/// `(http_status, www_authenticate, retry_after, body)` for the error of this kind and code.
#[guarded]
#[pyfunction]
#[pyo3(signature = (kind, code, message, retry_after, resource_metadata))]
pub(crate) fn token_refusal(
    kind: &str,
    code: Option<&str>,
    message: &str,
    retry_after: Option<f64>,
    resource_metadata: Option<&str>,
) -> (u16, Option<String>, Option<u64>, String) {
    let kind = ErrorKind::ALL.iter().find(|known| known.name() == kind).copied();
    let wait = retry_after.and_then(|wait| Duration::try_from_secs_f64(wait).ok());
    let mut error = Error::new(kind.unwrap_or(ErrorKind::Internal), message).with_retry_after(wait);
    if let Some(code) = code {
        error = error.with_code(code);
    }
    let refusal = bearer::Refusal::of(&error, resource_metadata);
    (refusal.http_status, refusal.www_authenticate, refusal.retry_after, refusal.body)
}
