//! Panics on purpose, to prove what becomes of them. Development builds alone have them.

use std::time::Duration;

use lime_core::OperationId;
use lime_core::agent::pow::{self, Options, PowDigest};
use lime_core::transport::Request;
use lime_core::transport::host::{ExchangeId, HostClient, HostTransport as CoreTransport};
use napi_derive::napi;

use crate::host::HostTransport;
use crate::queue::Queue;

/// Panics on the calling thread, with a text that was put together at run time.
#[napi(catch_unwind)]
pub fn test_panic(text: String) {
    panic!("{text}");
}

struct Panicking;

impl HostClient for Panicking {
    fn begin(&self, _: &CoreTransport, _: ExchangeId, _: Option<OperationId>, _: Request, _: bool) -> bool {
        panic!("on purpose")
    }

    fn resume(&self, _: ExchangeId) {}

    fn abort(&self, _: ExchangeId) {}
}

/// A transport whose every request panics on the runtime thread, in the midst of the call.
#[napi(catch_unwind)]
pub fn test_panicking_transport() -> HostTransport {
    HostTransport::over(Panicking)
}

/// Starts a call that succeeds with a result that cannot be made.
#[napi(catch_unwind)]
pub fn test_end_badly(queue: &Queue, call: i64) -> i64 {
    let options = Options { digest: PowDigest::Seed, timeout: Duration::from_secs(1), threads: 1 };
    queue.shared.start(call, pow::search("", 0, options), |_| panic!("on purpose"))
}
