//! The way from the library's threads to a Python event loop: a queue and one end of a socket pair
//! that the loop watches. Many things that happen at once cost one wake-up.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use lime_core::transport::{Request, TimeLimit};
use lime_core::{
    AgentProfile, Approval, ApprovalResult, Delivery, Error, LoginEvent, LoginRequest, LoginRequestStatus,
    Passport, StreamStatus,
};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use crate::{convert, error};

/// The result of a call.
pub(crate) enum Outcome {
    LoginRequest(Result<LoginRequest, Error>),
    LoginRequestStatus(Result<LoginRequestStatus, Error>),
    Passport(Result<Passport, Error>),
    LoginEvent(Result<LoginEvent, Error>),
    Approval(Result<ApprovalResult, Error>),
    Profile(Result<AgentProfile, Error>),
    SesameApproval(Result<Approval, Error>),
}

/// Something for the loop to do. The first number of its tuple is its kind, see `lime_sdk._bridge`.
pub(crate) enum Item {
    Done { token: u64, outcome: Outcome },
    Event { site: u64, delivery: Delivery },
    State { site: u64, status: StreamStatus },
    HttpBegin { transport: u64, exchange: u64, operation: Option<u64>, request: Request, stream: bool },
    HttpResume { transport: u64, exchange: u64 },
    HttpAbort { transport: u64, exchange: u64 },
    Log { level: i32, message: String },
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

    fn add(&self, item: Item, wake: bool) -> bool {
        let wake = {
            let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
            if items.closed {
                return false;
            }
            items.waiting.push(item);
            wake && !std::mem::replace(&mut items.woken, true)
        };
        if wake {
            // Full means that the loop has plenty to wake up for; closed, that nobody waits.
            let _ = (&self.wake).write(&[1]);
        }
        true
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
        let mut items = self.0.items.lock().unwrap_or_else(PoisonError::into_inner);
        items.closed = true;
        let waiting = std::mem::take(&mut items.waiting);
        drop(items);
        drop(waiting); // may hand places in other queues back
    }
}

/// A place in a site's event queue, given back when the handlers are done.
#[pyclass(frozen, module = "lime_sdk._native")]
pub(crate) struct Permit {
    _delivery: Delivery,
}

/// The queue of one event loop.
#[pyclass(frozen, module = "lime_sdk._native")]
pub(crate) struct Queue(pub(crate) Arc<Shared>);

#[pymethods]
impl Queue {
    #[new]
    fn new() -> PyResult<Self> {
        let (wake, watched) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        watched.set_nonblocking(true)?;
        Ok(Self(Arc::new(Shared { items: Mutex::default(), wake, watched })))
    }

    /// The descriptor that is readable when there is something to take.
    fn fileno(&self) -> i32 {
        self.0.watched.as_raw_fd()
    }

    /// Everything that has happened, as tuples that begin with their kind.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for item in self.0.take() {
            let token = if let Item::Done { token, .. } = &item { Some(*token) } else { None };
            match (tuple(py, item), token) {
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
            let outcome = match outcome {
                Outcome::LoginRequest(result) => error::outcome(py, result, |py, request| {
                    tupled(py, (request.request_id, request.status, convert::timestamp(request.expires_at)))
                }),
                Outcome::LoginRequestStatus(result) => error::outcome(py, result, |py, status| {
                    tupled(py, (status.request_id, status.status, status.expires_at.map(convert::timestamp)))
                }),
                Outcome::Passport(result) => error::outcome(py, result, |py, passport| {
                    Ok(convert::dict(py, &passport.claims)?.into_any())
                }),
                Outcome::LoginEvent(result) => {
                    error::outcome(py, result, |py, event| tupled(py, (event.request_id, event.passport)))
                }
                Outcome::Approval(result) => error::outcome(py, result, |py, approval| {
                    let expires_at = convert::timestamp(approval.expires_at);
                    tupled(
                        py,
                        (
                            approval.request_id,
                            approval.site_id,
                            approval.status,
                            expires_at,
                            approval.approved_agent_id,
                        ),
                    )
                }),
                Outcome::Profile(result) => {
                    error::outcome(py, result, |py, profile| Ok(convert::dict(py, &profile.data)?.into_any()))
                }
                Outcome::SesameApproval(Ok(approval)) => {
                    (crate::sesame::approval(py, approval)?, py.None()).into_pyobject(py)
                }
                Outcome::SesameApproval(Err(error)) => {
                    (py.None(), error::sesame_exception(py, &error)?).into_pyobject(py)
                }
            }?;
            (0, token, outcome).into_pyobject(py)
        }
        Item::Event { site, delivery } => {
            let (request_id, passport) = (delivery.event.request_id.clone(), delivery.event.passport.clone());
            (1, site, request_id, passport, Permit { _delivery: delivery }).into_pyobject(py)
        }
        Item::State { site, status } => (2, site, crate::site::status(py, &status)?).into_pyobject(py),
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
    }
}

fn tupled<'py, T>(py: Python<'py>, value: T) -> PyResult<Bound<'py, PyAny>>
where
    T: IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>>,
    PyErr: From<T::Error>,
{
    Ok(value.into_pyobject(py)?.into_any())
}

/// Cancels a call by its number; it completes as cancelled unless it is complete already.
#[pyfunction]
pub(crate) fn cancel(operation: u64) -> bool {
    lime_core::cancel_operation(operation)
}
