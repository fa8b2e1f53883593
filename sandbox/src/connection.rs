//! A TCP connection that tells when what was written has really left.
//!
//! hyper buffers a response body; a body that wants to know whether its last piece is out (an
//! event counts as delivered only then, and a cut must not swallow what came before it) counts
//! the completed flushes: hyper flushes the socket only when its own buffer is empty.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What the bodies sent over a connection know of it.
#[derive(Debug)]
pub(crate) struct Link {
    /// The connection's number.
    pub(crate) id: u64,
    flushes: AtomicU64,
    waker: AtomicWaker,
    reset: AtomicBool,
}

impl Link {
    pub(crate) fn new(id: u64) -> Arc<Self> {
        Arc::new(Self {
            id,
            flushes: AtomicU64::new(0),
            waker: AtomicWaker::new(),
            reset: AtomicBool::new(false),
        })
    }

    /// How often everything written so far has left. A piece handed over at count `n` is out
    /// when the count is above `n`.
    pub(crate) fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Acquire)
    }

    /// Wakes `waker` at the next completed flush. Ask for [`Link::flushes`] after this call.
    pub(crate) fn wake_on_flush(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Lets the connection end with a TCP reset when it is dropped.
    pub(crate) fn end_with_reset(&self) {
        self.reset.store(true, Ordering::Release);
    }
}

/// The connection itself, as hyper reads and writes it.
pub(crate) struct Tracked {
    tcp: TcpStream,
    link: Arc<Link>,
}

impl Tracked {
    pub(crate) fn new(tcp: TcpStream, link: Arc<Link>) -> Self {
        Self { tcp, link }
    }
}

impl AsyncRead for Tracked {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tracked {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.tcp).poll_flush(cx))?;
        self.link.flushes.fetch_add(1, Ordering::AcqRel);
        self.link.waker.wake();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        if self.link.reset.load(Ordering::Acquire) {
            // If the option cannot be set, the connection ends the ordinary way: still an end.
            let _ = self.tcp.set_zero_linger();
        }
    }
}
