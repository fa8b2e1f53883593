//! The body of an open event stream.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::{HeaderValue, header};
use http_body::Frame;
use serde_json::json;
use tokio::time::{Sleep, sleep};

use crate::connection::Link;
use crate::events::{End, Next, Then, frame};
use crate::faults::StreamFaults;
use crate::state::Core;

/// Opens a stream for a site and answers with it.
pub(crate) fn open(core: &Arc<Core>, link: Arc<Link>, site_id: &str, faults: StreamFaults) -> Response {
    let waker = Arc::new(AtomicWaker::new());
    let first = if faults.half_open { Bytes::new() } else { keepalive() };
    let (id, period, one_byte) = core.change(|state| {
        let one_byte = faults.one_byte;
        let id = state.open_stream(site_id, faults, Arc::clone(&waker));
        (id, state.settings.keepalive(), one_byte)
    });
    let body = SseBody {
        core: Arc::clone(core),
        link,
        id,
        waker,
        out: first,
        then: Then::Nothing,
        one_byte,
        handed_over: None,
        period,
        timer: Box::pin(sleep(period)),
    };
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn keepalive() -> Bytes {
    frame(&json!({"type": "keepalive"}))
}

/// Sends what the state has for its stream, keepalives in between, and reports what has left.
struct SseBody {
    core: Arc<Core>,
    link: Arc<Link>,
    id: u64,
    /// Woken when the state has something for this stream.
    waker: Arc<AtomicWaker>,
    /// What is still to be sent …
    out: Bytes,
    /// … and what follows when all of it has left.
    then: Then,
    one_byte: bool,
    /// The link's flush count when the last piece was handed over.
    handed_over: Option<u64>,
    period: Duration,
    timer: Pin<Box<Sleep>>,
}

impl SseBody {
    /// Whether the last piece has left the process.
    fn is_out(&mut self, cx: &Context<'_>) -> bool {
        let Some(mark) = self.handed_over else {
            return true;
        };
        self.link.wake_on_flush(cx.waker());
        if self.link.flushes() <= mark {
            return false;
        }
        self.handed_over = None;
        true
    }

    /// All of a frame is out.
    fn finish(&mut self) -> Result<(), io::Error> {
        match std::mem::replace(&mut self.then, Then::Nothing) {
            Then::Nothing => Ok(()),
            Then::Delivered(seq) => {
                self.core.change(|state| state.delivered(self.id, seq));
                Ok(())
            }
            Then::Abort { delivered, reset } => {
                if let Some(seq) = delivered {
                    self.core.change(|state| state.delivered(self.id, seq));
                }
                Err(self.abort(reset))
            }
        }
    }

    fn abort(&self, reset: bool) -> io::Error {
        if reset {
            self.link.end_with_reset();
        }
        io::Error::new(io::ErrorKind::ConnectionAborted, "the stream was cut")
    }

    /// A keepalive, when it is time for one.
    fn poll_keepalive(&mut self, cx: &mut Context<'_>, period: Duration) -> Poll<()> {
        if period != self.period {
            self.period = period;
            self.timer = Box::pin(sleep(period));
        }
        self.timer.as_mut().poll(cx).map(|()| {
            self.timer = Box::pin(sleep(period));
            self.out = keepalive();
        })
    }
}

impl http_body::Body for SseBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        this.waker.register(cx.waker());
        loop {
            if !this.is_out(cx) {
                // A peer that does not read must not keep a stream that was told to end.
                if !matches!(this.then, Then::Abort { .. })
                    && let Some(End::Abort { reset }) = this.core.stream_end(this.id)
                {
                    return Poll::Ready(Some(Err(this.abort(reset))));
                }
                return Poll::Pending;
            }
            if !this.out.is_empty() {
                let size = if this.one_byte { 1 } else { this.out.len() };
                let piece = this.out.split_to(size);
                this.handed_over = Some(this.link.flushes());
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if let Err(cut) = this.finish() {
                return Poll::Ready(Some(Err(cut)));
            }
            match this.core.next_for_stream(this.id) {
                Next::Write { bytes, then, one_byte } => {
                    this.out = bytes;
                    this.then = then;
                    this.one_byte = one_byte;
                }
                Next::Idle { keepalive } => {
                    if this.poll_keepalive(cx, keepalive).is_pending() {
                        return Poll::Pending;
                    }
                }
                Next::Silence => return Poll::Pending,
                Next::End(End::Clean) => return Poll::Ready(None),
                Next::End(End::Abort { reset }) => {
                    return Poll::Ready(Some(Err(this.abort(reset))));
                }
            }
        }
    }
}

impl Drop for SseBody {
    fn drop(&mut self) {
        self.core.change(|state| state.close_stream(self.id));
    }
}
