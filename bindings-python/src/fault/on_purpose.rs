//! Panics on purpose, to prove what becomes of them. Development builds alone have them.

use guarded::guarded;
use lime_core::OperationId;
use lime_core::transport::Request;
use lime_core::transport::host::{ExchangeId, HostClient, HostTransport as CoreTransport};
use pyo3::prelude::*;

use crate::host::HostTransport;
use crate::outcome::Outcome;
use crate::queue::{Item, Queue};

/// Without their names in `__all__`: the module's stub does not know them.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.setattr("_panic", wrap_pyfunction!(panic, module)?)?;
    module.setattr("_panic_in_sesame", wrap_pyfunction!(panic_in_sesame, module)?)?;
    module.setattr("_panicking_transport", wrap_pyfunction!(panicking_transport, module)?)?;
    module.setattr("_end_badly", wrap_pyfunction!(end_badly, module)?)
}

/// Panics on the calling thread, with a text that was put together at run time.
#[guarded]
#[pyfunction]
fn panic(text: &str) {
    panic!("{text}");
}

/// The same in a function of Sesame.
#[guarded(sesame)]
#[pyfunction]
fn panic_in_sesame(text: &str) {
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
#[guarded]
#[pyfunction]
fn panicking_transport() -> HostTransport {
    HostTransport::over(Panicking)
}

/// Ends the call with this number with a result that cannot be made.
#[guarded]
#[pyfunction]
fn end_badly(queue: &Queue, token: u64) -> u64 {
    queue.0.push(Item::Done { token, outcome: Outcome::Panicking });
    0
}
