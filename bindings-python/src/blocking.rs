//! Waiting for a call on a thread of the host, without an event loop: the interpreter is free meanwhile,
//! Ctrl-C is heard, and log records are written by the thread that waits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lime_core::process::{Own, PerProcess};
use lime_core::{Error, ErrorKind, Operation, cancel_operation};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::outcome::Outcome;

/// How often a waiting thread looks up: for signals, and for log records.
const TICK: Duration = Duration::from_millis(100);

/// Log records for the threads that wait on one client.
#[derive(Default)]
pub(crate) struct Records(PerProcess<Board>);

#[derive(Default)]
struct Board {
    waiting: Mutex<Vec<(i32, String)>>,
    threads: AtomicUsize,
}

impl Records {
    /// Takes a record if a thread waits that will write it; else gives it back.
    pub(crate) fn push(&self, level: i32, message: String) -> Result<(), String> {
        let board = self.0.get();
        if board.threads.load(Ordering::SeqCst) == 0 {
            return Err(message);
        }
        board.waiting.lock().unwrap_or_else(PoisonError::into_inner).push((level, message));
        Ok(())
    }

    fn write(&self, py: Python<'_>) -> PyResult<()> {
        static WRITE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let records =
            std::mem::take(&mut *self.0.get().waiting.lock().unwrap_or_else(PoisonError::into_inner));
        if records.is_empty() {
            return Ok(());
        }
        let write = WRITE.get_or_try_init(py, || {
            PyResult::Ok(py.import("lime_sdk._bridge")?.getattr("write_records")?.unbind())
        })?;
        write.bind(py).call1((records,)).map(|_| ())
    }
}

/// Counts a thread that waits, in the process in which it began to: a log handler may fork.
struct Waiting(Own<Board>);

impl Waiting {
    fn on(records: &Records) -> Self {
        let board = records.0.get();
        board.threads.fetch_add(1, Ordering::SeqCst);
        Self(board)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.threads.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Starts a call and waits for its result. A signal handler that raises (Ctrl-C) cancels the call and
/// its exception is returned; so does a log handler that raises, and `report`, which is called at every
/// look up.
pub(crate) fn wait<'py, T: Send + 'static>(
    py: Python<'py>,
    records: &Records,
    report: Option<&Bound<'py, PyAny>>,
    call: impl FnOnce() -> Operation<T> + Send,
    outcome: fn(Result<T, Error>) -> Outcome,
) -> PyResult<Bound<'py, PyAny>> {
    let _waiting = Waiting::on(records);
    let (sender, results) = mpsc::sync_channel(1);
    let operation = py.detach(|| {
        call().start_undispatched(move |result| {
            // Nobody listens any more after an exception.
            let _ = sender.send(result);
        })
    });
    let results = Mutex::new(results); // as `detach` wants it: a receiver is not Sync
    loop {
        let received =
            py.detach(|| results.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(TICK));
        let waiting = matches!(received, Err(RecvTimeoutError::Timeout));
        let told = || match report {
            Some(report) if waiting => report.call0().map(|_| ()),
            _ => Ok(()),
        };
        // Before the result is looked at: an exception that a handler has raised must come out.
        if let Err(exception) = records.write(py).and_then(|()| py.check_signals()).and_then(|()| told()) {
            cancel_operation(operation);
            return Err(exception);
        }
        let result = match received {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => Err(Error::new(ErrorKind::Internal, "The call was lost")),
        };
        return outcome(result).value(py)?.map_err(PyErr::from_value);
    }
}
