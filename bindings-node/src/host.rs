//! The host's own HTTP client (`fetch`): requests go into the environment's queue, `ts/fetch.ts` carries
//! them and reports back here.

use std::sync::Arc;

use bytes::Bytes;
use lime_core::OperationId;
use lime_core::transport::host::{ExchangeId, HostClient, HostTransport as CoreTransport};
use lime_core::transport::{Request, Transport, TransportError};
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use serde_json::{Value, json};

use crate::convert::latin1;
use crate::queue::{Kind, Queue, Shared};

#[napi]
pub struct HostTransport {
    transport: CoreTransport,
}

struct Client {
    number: i64,
    queue: Arc<Shared>,
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
        let (head, body) = request.into_parts();
        // As `fetch` has them: each character of a header is a byte of it.
        let headers = head.headers.iter().map(|(name, value)| {
            let value: String = value.as_bytes().iter().copied().map(char::from).collect();
            json!([name.as_str(), value])
        });
        let members = [
            self.number.into(),
            exchange.into(),
            json!(operation),
            head.method.as_str().into(),
            head.uri.to_string().into(),
            Value::Array(headers.collect()),
            String::from_utf8_lossy(&body).into(), // JSON, which this library has made
            stream.into(),
        ];
        self.queue.push(Kind::HttpBegin, &members)
    }

    fn resume(&self, exchange: ExchangeId) {
        self.queue.push(Kind::HttpResume, &[self.number.into(), exchange.into()]);
    }

    fn abort(&self, exchange: ExchangeId) {
        self.queue.push(Kind::HttpAbort, &[self.number.into(), exchange.into()]);
    }
}

impl HostTransport {
    #[cfg(debug_assertions)]
    pub(crate) fn over(client: impl HostClient + 'static) -> Self {
        Self { transport: CoreTransport::new(client) }
    }

    pub(crate) fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(self.transport.clone())
    }
}

#[napi]
impl HostTransport {
    #[napi(constructor, catch_unwind)]
    pub fn new(queue: &Queue, number: i64) -> Self {
        let client = Client { number, queue: Arc::clone(&queue.shared) };
        Self { transport: CoreTransport::new(client) }
    }

    /// Status and headers have arrived; `headers` has names and values in turn.
    #[napi(catch_unwind)]
    pub fn head(&self, exchange: i64, status: u32, headers: Vec<String>) {
        let headers: Vec<_> = headers.iter().filter_map(|text| latin1(text)).collect();
        let pairs = headers.chunks_exact(2).map(|pair| (pair[0].as_slice(), pair[1].as_slice()));
        self.transport.head(number(exchange), u16::try_from(status).unwrap_or(0), pairs);
    }

    /// A piece of the body; false asks to pause until told to go on.
    #[napi(catch_unwind)]
    pub fn chunk(&self, exchange: i64, chunk: Uint8Array) -> bool {
        self.transport.chunk(number(exchange), Bytes::copy_from_slice(&chunk))
    }

    /// The body is complete.
    #[napi(catch_unwind)]
    pub fn end(&self, exchange: i64) {
        self.transport.end(number(exchange));
    }

    /// There is no answer, or its body broke off. `reach` says how far the request got: `not_sent`,
    /// `maybe_sent`, or `host_fault` for a failure that trying again would not mend.
    #[napi(catch_unwind)]
    pub fn fail(&self, exchange: i64, message: String, reach: String, timed_out: bool) {
        let mut error = match reach.as_str() {
            "not_sent" => TransportError::not_sent(message),
            "host_fault" => TransportError::host_fault(message),
            _ => TransportError::maybe_sent(message),
        };
        error.timed_out = timed_out;
        self.transport.fail(number(exchange), error);
    }
}

/// No exchange has the number 0.
fn number(exchange: i64) -> ExchangeId {
    u64::try_from(exchange).unwrap_or(0)
}
