//! The way from the library's threads to a Python event loop, or to a thread that runs handlers: a queue
//! and one end of a socket pair that is watched. Many things that happen at once cost one wake-up.
//!
//! A queue is one process's. A forked child has a copy whose lock may be held for ever and whose socket
//! wakes the parent: nothing is put into it there, and it is not dropped.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use guarded::guarded;
use lime_core::transport::{Request, TimeLimit};
use lime_core::{Delivery, StreamStatus};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::outcome::Outcome;
use crate::{error, fault};

/// Something for the loop to do. The first number of its tuple is its kind, see `lime_sdk._bridge`.
pub(crate) enum Item {
    Done {
        token: u64,
        outcome: Outcome,
    },
    Events {
        site: u64,
        batch: Vec<Delivery>,
    },
    /// `handler` is the number that the watch was asked for with.
    State {
        handler: u64,
        status: StreamStatus,
    },
    HttpBegin {
        transport: u64,
        exchange: u64,
        operation: Option<u64>,
        request: Request,
        stream: bool,
    },
    HttpResume {
        transport: u64,
        exchange: u64,
    },
    HttpAbort {
        transport: u64,
        exchange: u64,
    },
    Log {
        level: i32,
        message: String,
    },
    /// `handler` as in `State`.
    Gap {
        handler: u64,
        request_ids: Vec<String>,
    },
}

#[derive(Default)]
struct Items {
    waiting: Vec<Item>,
    /// A byte is on its way to the loop.
    woken: bool,
    /// The loop is gone; nobody will take anything any more.
    closed: bool,
}

/// The library's side of a queue.
pub(crate) struct Shared {
    process: u32,
    items: Mutex<Items>,
    wake: UnixStream,
    watched: UnixStream,
}

impl Shared {
    /// Adds something and wakes the loop; false when the loop is gone.
    pub(crate) fn push(&self, item: Item) -> bool {
        self.add(item, true)
    }

    /// Adds something that can wait for the next wake-up.
    pub(crate) fn push_quietly(&self, item: Item) {
        self.add(item, false);
    }

    pub(crate) fn belongs_to_this_process(&self) -> bool {
        self.process == std::process::id()
    }

    fn add(&self, item: Item, wake: bool) -> bool {
        if !self.belongs_to_this_process() {
            std::mem::forget(item); // a place in a queue would be given back under the parent's locks
            return false;
        }
        let wake = {
            let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
            if items.closed {
                return false;
            }
            items.waiting.push(item);
            wake && !std::mem::replace(&mut items.woken, true)
        };
        if wake {
            self.wake();
        }
        true
    }

    fn wake(&self) {
        // Full means that the loop has plenty to wake up for; closed, that nobody waits.
        let _ = (&self.wake).write(&[1]);
    }

    fn take(&self) -> Vec<Item> {
        // The byte first: what is added after the list was taken must bring a new one.
        let mut bytes = [0; 16];
        while matches!((&self.watched).read(&mut bytes), Ok(read) if read == bytes.len()) {}
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        items.woken = false;
        std::mem::take(&mut items.waiting)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if !self.0.belongs_to_this_process() {
            std::mem::forget(Arc::clone(&self.0));
            return;
        }
        let mut items = self.0.items.lock().unwrap_or_else(PoisonError::into_inner);
        items.closed = true;
        let waiting = std::mem::take(&mut items.waiting);
        drop(items);
        drop(waiting); // may hand places in other queues back
    }
}

/// Events that have arrived together: an iterator of request ids and passports. An event has its place in
/// the site's queue until the next one is asked for, which is when its handlers are done.
#[pyclass(frozen, module = "lime_sdk._native")]
pub(crate) struct EventBatch {
    process: u32,
    left: Mutex<Left>,
}

struct Left {
    events: std::vec::IntoIter<Delivery>,
    /// The one that was given last.
    handled: Option<Delivery>,
}

#[guarded]
#[pymethods]
impl EventBatch {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> Option<(Bound<'py, PyString>, Option<Bound<'py, PyString>>)> {
        if self.process != std::process::id() {
            return None; // a handler has forked; what is left is the parent's
        }
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.handled = left.events.next();
        let event = &left.handled.as_ref()?.event;
        let passport = event.passport.as_deref().map(|passport| PyString::new(py, passport));
        Some((PyString::new(py, &event.request_id), passport))
    }
}

impl EventBatch {
    fn new(batch: Vec<Delivery>) -> Self {
        let left = Left { events: batch.into_iter(), handled: None };
        Self { process: std::process::id(), left: Mutex::new(left) }
    }
}

impl Drop for EventBatch {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            // Their queue is the parent's.
            let left = self.left.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::forget(left.handled.take());
            std::mem::forget(std::mem::take(&mut left.events));
        }
    }
}

/// The queue of one event loop, or of one thread that runs handlers.
#[pyclass(frozen, module = "lime_sdk._native")]
pub(crate) struct Queue(pub(crate) Arc<Shared>);

#[guarded]
#[pymethods]
impl Queue {
    #[new]
    fn new() -> PyResult<Self> {
        let (wake, watched) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        watched.set_nonblocking(true)?;
        Ok(Self(Arc::new(Shared { process: std::process::id(), items: Mutex::default(), wake, watched })))
    }

    /// The descriptor that is readable when there is something to take.
    fn fileno(&self) -> i32 {
        self.0.watched.as_raw_fd()
    }

    /// Makes the descriptor readable, though there may be nothing to take.
    fn wake(&self) {
        self.0.wake();
    }

    /// Everything that has happened, as tuples that begin with their kind.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for item in self.0.take() {
            let token = if let Item::Done { token, .. } = &item { Some(*token) } else { None };
            match (fault::guard(error::raise, || tuple(py, item)), token) {
                (Ok(tuple), _) => list.append(tuple)?,
                // What cannot be told must not take the others along.
                (Err(error), Some(token)) => list.append((0, token, (py.None(), error.into_value(py))))?,
                (Err(error), None) => error.write_unraisable(py, None),
            }
        }
        Ok(list)
    }
}

fn tuple(py: Python<'_>, item: Item) -> PyResult<Bound<'_, PyTuple>> {
    match item {
        Item::Done { token, outcome } => {
            let outcome = match outcome.value(py)? {
                Ok(value) => (value, py.None()),
                Err(exception) => (py.None().into_bound(py), exception.unbind()),
            };
            (0, token, outcome).into_pyobject(py)
        }
        Item::Events { site, batch } => (1, site, EventBatch::new(batch)).into_pyobject(py),
        Item::State { handler, status } => (2, handler, crate::site::status(py, &status)?).into_pyobject(py),
        Item::HttpBegin { transport, exchange, operation, request, stream } => {
            let (head, body) = request.into_parts();
            let headers = PyList::empty(py);
            for (name, value) in &head.headers {
                headers.append((
                    PyBytes::new(py, name.as_str().as_bytes()),
                    PyBytes::new(py, value.as_bytes()),
                ))?;
            }
            let (method, url) = (head.method.as_str().to_owned(), head.uri.to_string());
            let limit = head.extensions.get::<TimeLimit>().map(|limit| limit.0.as_secs_f64());
            (3, transport, exchange, operation, method, url, headers, PyBytes::new(py, &body), stream, limit)
                .into_pyobject(py)
        }
        Item::HttpResume { transport, exchange } => (4, transport, exchange).into_pyobject(py),
        Item::HttpAbort { transport, exchange } => (5, transport, exchange).into_pyobject(py),
        Item::Log { level, message } => (6, level, message).into_pyobject(py),
        Item::Gap { handler, request_ids } => (7, handler, request_ids).into_pyobject(py),
    }
}

/// A number that was not given before in this process, whichever threads ask.
#[guarded]
#[pyfunction]
pub(crate) fn new_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Cancels a call by its number; it completes as cancelled unless it is complete already.
#[guarded]
#[pyfunction]
pub(crate) fn cancel(operation: u64) -> bool {
    lime_core::cancel_operation(operation)
}
