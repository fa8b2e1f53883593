//! The host's own HTTP client (httpx): requests go into the loop's queue, `lime_sdk._http` carries them
//! and reports back here.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
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
    home: Arc<ArcSwapOption<Shared>>,
}

impl Client {
    fn push(&self, item: Item) {
        if let Some(queue) = &*self.home.load() {
            queue.push(item);
        }
    }
}

impl HostClient for Client {
    fn begin(&self, exchange: ExchangeId, request: Request, stream: bool) {
        self.push(Item::HttpBegin { transport: self.id, exchange, request, stream });
    }

    fn resume(&self, exchange: ExchangeId) {
        self.push(Item::HttpResume { transport: self.id, exchange });
    }

    fn abort(&self, exchange: ExchangeId) {
        self.push(Item::HttpAbort { transport: self.id, exchange });
    }

    fn keeps_time(&self) -> bool {
        true
    }
}

impl HostTransport {
    pub(crate) fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(self.transport.clone())
    }

    /// Carries requests on this queue's loop from now on.
    pub(crate) fn work_for(&self, queue: &Arc<Shared>) {
        self.home.store(Some(Arc::clone(queue)));
    }
}

#[pymethods]
impl HostTransport {
    #[new]
    fn new(id: u64) -> Self {
        let home = Home::default();
        let client = Client { id, home: Arc::clone(&home) };
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

    /// There is no answer, or its body broke off.
    fn fail(&self, exchange: ExchangeId, message: String, sent: bool, timed_out: bool) {
        let mut error =
            if sent { TransportError::maybe_sent(message) } else { TransportError::not_sent(message) };
        error.timed_out = timed_out;
        self.transport.fail(exchange, error);
    }
}
