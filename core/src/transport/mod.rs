//! How requests travel: our own HTTP client, or the host's.

pub mod host;
pub(crate) mod http;
pub(crate) mod pins;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

/// A request: absolute URL, headers (those with secrets are marked sensitive), whole body.
pub type Request = ::http::Request<Bytes>;
/// An answer with its whole body.
pub type Response = ::http::Response<Bytes>;
/// An answer whose body arrives in pieces, in any cut.
pub type StreamResponse = ::http::Response<BoxStream<'static, Result<Bytes, TransportError>>>;

/// The most that the body of an ordinary answer may have, in bytes, after any decoding.
pub const BODY_LIMIT: usize = 1 << 20;

/// An extension of a [`Request`] that has longer than others, because the platform holds its answer
/// back. It is kept by the library; a host's client with limits of its own must not give up before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimit(pub std::time::Duration);

/// Carries requests. Implementations never follow redirects and never retry: both are decided above.
///
/// Every future is polled on the library's runtime thread; dropping it must abort the request.
pub trait Transport: Send + Sync + std::fmt::Debug + 'static {
    /// Sends a request and collects the answer, at most [`BODY_LIMIT`] bytes of body.
    fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, TransportError>>;

    /// Sends a request and gives the answer as soon as its headers are there.
    fn open(&self, request: Request) -> BoxFuture<'static, Result<StreamResponse, TransportError>>;

    /// Whether it bounds its requests in time itself, as a host's client with settings of its own
    /// does; the `timeout` of the configuration is then not applied on top.
    fn keeps_time(&self) -> bool {
        false
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportError {
    /// How far the request got.
    pub reach: Reach,
    /// Whether time ran out.
    pub timed_out: bool,
    /// For people. Without credentials.
    pub message: String,
}

/// How far a failed request got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It certainly did not leave: no connection came about.
    NotSent,
    /// It may have arrived, and may have taken effect.
    MaybeSent,
    /// It was answered, but the answer is larger than [`BODY_LIMIT`].
    TooLarge,
    /// The host's client failed in a way that has nothing to do with the network (a bug, a closed
    /// client); trying again would not help.
    HostFault,
}

impl TransportError {
    /// A failure after which the request may have taken effect.
    pub fn maybe_sent(message: impl Into<String>) -> Self {
        Self { reach: Reach::MaybeSent, timed_out: false, message: message.into() }
    }

    /// A failure before the request left.
    pub fn not_sent(message: impl Into<String>) -> Self {
        Self { reach: Reach::NotSent, timed_out: false, message: message.into() }
    }

    /// A fault of the host's own, which is not tried again.
    pub fn host_fault(message: impl Into<String>) -> Self {
        Self { reach: Reach::HostFault, timed_out: false, message: message.into() }
    }

    /// No answer in time.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self { reach: Reach::MaybeSent, timed_out: true, message: message.into() }
    }

    pub(crate) fn too_large() -> Self {
        Self {
            reach: Reach::TooLarge,
            timed_out: false,
            message: format!("Response body is larger than {BODY_LIMIT} bytes"),
        }
    }
}
