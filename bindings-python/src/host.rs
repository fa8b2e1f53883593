//! The host's own HTTP client (httpx): requests go into the loop's queue, `lime_sdk._http` carries them
//! and reports back here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use guarded::guarded;
use lime_core::OperationId;
use lime_core::process::PerProcess;
use lime_core::transport::host::{ExchangeId, HostClient, HostTransport as CoreTransport};
use lime_core::transport::{Request, Transport, TransportError};
use pyo3::prelude::*;

use crate::logging::Home;
use crate::queue::{Item, Shared};

#[pyclass(frozen, module = "lime_sdk._native")]
pub(crate) struct HostTransport {
    transport: CoreTransport,
    home: Home,
}

struct Client {
    id: u64,
    home: Home,
    /// The loop that carries a request is the one that is told to pause or to give it up.
    carried_by: PerProcess<Mutex<HashMap<ExchangeId, Arc<Shared>>>>,
}

impl Client {
    fn carriers<T>(&self, work: impl FnOnce(&mut HashMap<ExchangeId, Arc<Shared>>) -> T) -> T {
        let carried_by = self.carried_by.get();
        let mut carried_by = carried_by.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut carried_by)
    }
}

impl HostClient for Client {
    fn begin(
        &self,
        _transport: &CoreTransport,
        exchange: ExchangeId,
        operation: Option<OperationId>,
        request: Request,
        stream: bool,
    ) -> bool {
        let Some(queue) = self.home.load_full() else { return false };
        self.carriers(|carriers| carriers.insert(exchange, Arc::clone(&queue)));
        let taken = queue.push(Item::HttpBegin { transport: self.id, exchange, operation, request, stream });
        if !taken {
            self.ended(exchange);
        }
        taken
    }

    fn resume(&self, exchange: ExchangeId) {
        let queue = self.carriers(|carriers| carriers.get(&exchange).cloned());
        if let Some(queue) = queue {
            queue.push(Item::HttpResume { transport: self.id, exchange });
        }
    }

    fn abort(&self, exchange: ExchangeId) {
        let queue = self.carriers(|carriers| carriers.remove(&exchange));
        if let Some(queue) = queue {
            queue.push(Item::HttpAbort { transport: self.id, exchange });
        }
    }

    fn ended(&self, exchange: ExchangeId) {
        self.carriers(|carriers| carriers.remove(&exchange));
    }

    fn keeps_time(&self) -> bool {
        true
    }
}

impl HostTransport {
    pub(crate) fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(self.transport.clone())
    }

    #[cfg(debug_assertions)]
    pub(crate) fn over(client: impl HostClient + 'static) -> Self {
        Self { transport: CoreTransport::new(client), home: Home::default() }
    }

    /// Carries requests on this queue's loop from now on.
    pub(crate) fn work_for(&self, queue: &Arc<Shared>) {
        self.home.store(Some(Arc::clone(queue)));
    }
}

#[guarded]
#[pymethods]
impl HostTransport {
    #[new]
    fn new(id: u64) -> Self {
        let home = Home::default();
        let client = Client { id, home: Arc::clone(&home), carried_by: PerProcess::default() };
        Self { transport: CoreTransport::new(client), home }
    }

    /// Status and headers have arrived.
    #[allow(clippy::needless_pass_by_value)] // pyo3 hands lists over by value
    fn head(&self, exchange: ExchangeId, status: u16, headers: Vec<(Vec<u8>, Vec<u8>)>) {
        let headers = headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
        self.transport.head(exchange, status, headers);
    }

    /// A piece of the body; false asks to pause until told to go on.
    fn chunk(&self, exchange: ExchangeId, chunk: &[u8]) -> bool {
        self.transport.chunk(exchange, Bytes::copy_from_slice(chunk))
    }

    /// The body is complete.
    fn end(&self, exchange: ExchangeId) {
        self.transport.end(exchange);
    }

    /// There is no answer, or its body broke off. `reach` says how far the request got: `not_sent`,
    /// `maybe_sent`, or `host_fault` for a failure that trying again would not mend.
    fn fail(&self, exchange: ExchangeId, message: String, reach: &str, timed_out: bool) {
        let mut error = match reach {
            "not_sent" => TransportError::not_sent(message),
            "host_fault" => TransportError::host_fault(message),
            _ => TransportError::maybe_sent(message),
        };
        error.timed_out = timed_out;
        self.transport.fail(exchange, error);
    }
}
