//! The host's own HTTP client as a [`Transport`]: httpx in Python, `fetch` in Node, a table of
//! functions in C.
//!
//! The host implements [`HostClient`]: three calls that only *begin* something and return at once.
//! It then reports what happened by the request's number, from any thread, through the methods of
//! [`HostTransport`]. A number that is not known any more (the caller has given up) is ignored.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{mpsc, oneshot};

use crate::OperationId;
use crate::process::PerProcess;
use crate::runtime;

use super::{BODY_LIMIT, Request, Response, StreamResponse, Transport, TransportError};

/// How much of a streamed body may wait to be read before the host should pause.
const WINDOW: usize = 256 * 1024;

/// The number of a request that the host carries.
pub type ExchangeId = u64;

/// What the host does. Every call returns at once. [`begin`](Self::begin) may already report, the others
/// must not call back into the library.
pub trait HostClient: Send + Sync + 'static {
    /// Begins to send `request`. With `stream` its body is wanted piece by piece as it arrives, and
    /// there is no time limit between the pieces.
    ///
    /// `transport` is where to report, now or later. `operation` is the call that it is sent for, if it
    /// is one and not the library's own doing.
    ///
    /// Returns false when there is nobody to carry it; the call then fails at once.
    fn begin(
        &self,
        transport: &HostTransport,
        id: ExchangeId,
        operation: Option<OperationId>,
        request: Request,
        stream: bool,
    ) -> bool;

    /// Room is there again after [`HostTransport::chunk`] returned false.
    fn resume(&self, id: ExchangeId);

    /// The answer is not wanted any more: close the connection.
    fn abort(&self, id: ExchangeId);

    /// The host has reported the end of this request: nothing more will be asked about it.
    fn ended(&self, _id: ExchangeId) {}

    /// Whether the host's client has time limits of its own; see [`Transport::keeps_time`].
    fn keeps_time(&self) -> bool {
        false
    }
}

/// A [`Transport`] over a [`HostClient`].
#[derive(Clone)]
pub struct HostTransport(Arc<Shared>);

struct Shared {
    client: Box<dyn HostClient>,
    exchanges: PerProcess<Mutex<HashMap<ExchangeId, Exchange>>>,
}

struct Exchange {
    head: Option<oneshot::Sender<Result<::http::response::Parts, TransportError>>>,
    body: mpsc::UnboundedSender<Result<Bytes, TransportError>>,
    /// Bytes handed in and not yet read.
    waiting: usize,
    paused: bool,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl HostTransport {
    /// A transport that carries every request through `client`.
    pub fn new(client: impl HostClient) -> Self {
        Self(Arc::new(Shared { client: Box::new(client), exchanges: PerProcess::default() }))
    }

    /// The answer's status and headers are there. Header names and values that HTTP does not allow
    /// are left out.
    pub fn head<'a>(
        &self,
        id: ExchangeId,
        status: u16,
        headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) {
        let Ok(status) = ::http::StatusCode::from_u16(status) else {
            return self.fail(id, TransportError::maybe_sent(format!("Not an HTTP status: {status}")));
        };
        let (mut head, ()) = ::http::Response::new(()).into_parts();
        head.status = status;
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) =
                (::http::HeaderName::from_bytes(name), ::http::HeaderValue::from_bytes(value))
            {
                head.headers.append(name, value);
            }
        }
        let sender =
            self.0.with(|exchanges| exchanges.get_mut(&id).and_then(|exchange| exchange.head.take()));
        if let Some(sender) = sender {
            let _ = sender.send(Ok(head));
        }
    }

    /// A piece of the body. False asks the host to pause until [`HostClient::resume`].
    pub fn chunk(&self, id: ExchangeId, chunk: Bytes) -> bool {
        self.0.with(|exchanges| {
            let Some(exchange) = exchanges.get_mut(&id) else { return true };
            exchange.waiting += chunk.len();
            let _ = exchange.body.send(Ok(chunk));
            // It stays so until the host is told otherwise, also when it writes on.
            exchange.paused |= exchange.waiting >= WINDOW;
            !exchange.paused
        })
    }

    /// The body is complete.
    pub fn end(&self, id: ExchangeId) {
        self.0.with(|exchanges| exchanges.remove(&id));
        self.0.client.ended(id);
    }

    /// There is no answer, or its body broke off.
    pub fn fail(&self, id: ExchangeId, error: TransportError) {
        let exchange = self.0.with(|exchanges| exchanges.remove(&id));
        self.0.client.ended(id);
        if let Some(exchange) = exchange {
            match exchange.head {
                Some(sender) => drop(sender.send(Err(error))),
                None => drop(exchange.body.send(Err(error))),
            }
        }
    }

    fn exchange(
        &self,
        request: Request,
        stream: bool,
    ) -> BoxFuture<'static, Result<StreamResponse, TransportError>> {
        let shared = Arc::clone(&self.0);
        async move {
            let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
            let (head_sender, head) = oneshot::channel();
            let (body_sender, body) = mpsc::unbounded_channel();
            let exchange = Exchange { head: Some(head_sender), body: body_sender, waiting: 0, paused: false };
            shared.with(|exchanges| exchanges.insert(id, exchange));
            // From here on, giving up (a drop of this future or of the stream) tells the host.
            let guard = Guard { shared: Arc::clone(&shared), id };
            let transport = HostTransport(Arc::clone(&shared));
            if !shared.client.begin(&transport, id, runtime::current_operation(), request, stream) {
                return Err(TransportError::host_fault("The host's client is gone"));
            }
            let head = head
                .await
                .unwrap_or_else(|_| Err(TransportError::maybe_sent("The host's client gave no answer")))?;
            let stream = futures_util::stream::unfold((body, guard), |(mut body, guard)| async move {
                let item = body.recv().await?;
                if let Ok(chunk) = &item {
                    guard.consumed(chunk.len());
                }
                Some((item, (body, guard)))
            });
            Ok(StreamResponse::from_parts(head, stream.boxed()))
        }
        .boxed()
    }
}

impl Shared {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<ExchangeId, Exchange>) -> T) -> T {
        let exchanges = self.exchanges.get();
        let mut exchanges = exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut exchanges)
    }
}

struct Guard {
    shared: Arc<Shared>,
    id: ExchangeId,
}

impl Guard {
    fn consumed(&self, bytes: usize) {
        let resume = self.shared.with(|exchanges| {
            let Some(exchange) = exchanges.get_mut(&self.id) else { return false };
            exchange.waiting -= bytes;
            let resume = exchange.paused && exchange.waiting < WINDOW / 2;
            exchange.paused &= !resume;
            resume
        });
        if resume {
            self.shared.client.resume(self.id);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.shared.with(|exchanges| exchanges.remove(&self.id)).is_some() {
            self.shared.client.abort(self.id);
        }
    }
}

impl Transport for HostTransport {
    fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, TransportError>> {
        let opened = self.exchange(request, false);
        async move {
            let (head, mut body) = opened.await?.into_parts();
            let mut collected = BytesMut::new();
            while let Some(chunk) = body.next().await {
                let chunk = chunk?;
                if collected.len() + chunk.len() > BODY_LIMIT {
                    return Err(TransportError::too_large());
                }
                collected.extend_from_slice(&chunk);
            }
            Ok(Response::from_parts(head, collected.freeze()))
        }
        .boxed()
    }

    fn open(&self, request: Request) -> BoxFuture<'static, Result<StreamResponse, TransportError>> {
        self.exchange(request, true)
    }

    fn keeps_time(&self) -> bool {
        self.0.client.keeps_time()
    }
}

impl fmt::Debug for HostTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostTransport")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    struct Client(mpsc::Sender<ExchangeId>, mpsc::Sender<ExchangeId>);

    impl HostClient for Client {
        fn begin(
            &self,
            _: &HostTransport,
            id: ExchangeId,
            _: Option<OperationId>,
            _: Request,
            _: bool,
        ) -> bool {
            self.0.send(id).is_ok()
        }
        fn resume(&self, id: ExchangeId) {
            let _ = self.1.send(id);
        }
        fn abort(&self, _: ExchangeId) {}
    }

    /// To write while it is to pause costs memory, and nothing else.
    #[tokio::test]
    async fn a_host_that_writes_while_it_is_to_pause_hears_when_there_is_room() {
        let ((sender, begun), (resume, resumed)) = (mpsc::channel(), mpsc::channel());
        let transport = HostTransport::new(Client(sender, resume));
        let opened = tokio::spawn(transport.open(Request::default()));
        tokio::task::yield_now().await;
        let id = begun.recv().unwrap();
        transport.head(id, 200, []);
        let mut body = opened.await.unwrap().unwrap().into_body();
        let write = |size| transport.chunk(id, vec![b'x'; size].into());
        while write(WINDOW / 4) {}
        // Above half, so that it is not asked for more yet.
        assert!(body.next().await.is_some());
        assert!(!write(1), "it was to pause and was not told that there is room");
        while resumed.try_recv().is_err() {
            let piece = body.next().now_or_never();
            assert!(piece.is_some(), "all was read, and the host waits to be told");
        }
        assert!(write(1));
    }
}
