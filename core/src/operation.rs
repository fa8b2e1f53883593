//! A call that takes time: awaited, waited for, or started with a callback.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use crate::runtime::{self, Runtime};
use crate::{Error, ErrorKind, Result};

/// The number of a started operation. Numbers are never reused, so a late cancel is harmless.
pub type OperationId = u64;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A call that takes time. Nothing happens until it is awaited, waited for or started.
///
/// It is a [`Future`] that any executor can poll; dropping it cancels the call.
#[must_use = "nothing happens until the operation is awaited, waited for or started"]
pub struct Operation<T>(State<T>);

enum State<T> {
    /// Refused before it began.
    Failed(Option<Error>),
    Ready(Runtime, BoxFuture<'static, Result<T>>),
    Running(Runtime, OperationId, oneshot::Receiver<Result<T>>),
    Done,
}

impl<T: Send + 'static> Operation<T> {
    pub(crate) fn new(runtime: Runtime, future: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        Self(State::Ready(runtime, Box::pin(future)))
    }

    pub(crate) fn failed(error: Error) -> Self {
        Self(State::Failed(Some(error)))
    }

    pub(crate) fn from_result(result: Result<Self>) -> Self {
        result.unwrap_or_else(Self::failed)
    }

    /// The operation itself, or the reason why it was refused before it began. What comes back can
    /// only fail later, so a binding can tell the two apart.
    ///
    /// # Errors
    /// What the call was refused with.
    pub fn ready(mut self) -> Result<Self> {
        match &mut self.0 {
            State::Failed(error) => Err(error.take().unwrap_or_else(Error::cancelled)),
            _ => Ok(self),
        }
    }

    /// Blocks the calling thread until the result is there.
    ///
    /// # Errors
    /// What the call itself gives, or [`ErrorKind::WouldDeadlock`] on a thread of this library.
    pub fn wait(self) -> Result<T> {
        let (runtime, future) = self.into_parts()?;
        if runtime::is_own_thread() {
            return Err(Error::new(
                ErrorKind::WouldDeadlock,
                "A callback must not wait for an operation; start it instead",
            ));
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        runtime.start(next_id(), future, move |result| {
            let _ = sender.send(result);
        });
        receiver.recv().unwrap_or_else(|_| Err(Error::cancelled()))
    }

    /// Starts the call; `complete` is called exactly once with its result, on the dispatcher thread,
    /// which may be before this function has returned the number. Cancelling completes it too.
    pub fn start(self, complete: impl FnOnce(Result<T>) + Send + 'static) -> OperationId {
        let id = next_id();
        match self.into_parts() {
            Ok((runtime, future)) => {
                let lease = runtime.clone();
                runtime.start(id, future, move |result| {
                    let last = lease.clone();
                    lease.dispatcher().post(move || {
                        complete(result);
                        drop(last);
                    });
                });
            }
            Err(error) => match Runtime::acquire() {
                Ok(runtime) => {
                    let last = runtime.clone();
                    runtime.dispatcher().post(move || {
                        complete(Err(error));
                        drop(last);
                    });
                }
                Err(_) => complete(Err(error)),
            },
        }
        id
    }

    /// Like [`start`](Self::start), but calls `complete` on the runtime thread itself, which saves a
    /// change of threads. For bindings: `complete` must only hand the result on, and never block.
    /// It may be called before this function returns.
    pub fn start_undispatched(self, complete: impl FnOnce(Result<T>) + Send + 'static) -> OperationId {
        let id = next_id();
        match self.into_parts() {
            Ok((runtime, future)) => {
                let lease = runtime.clone();
                runtime.start(id, future, move |result| {
                    complete(result);
                    drop(lease);
                });
            }
            Err(error) => complete(Err(error)),
        }
        id
    }

    fn into_parts(self) -> Result<(Runtime, BoxFuture<'static, Result<T>>)> {
        match std::mem::replace(&mut { self }.0, State::Done) {
            State::Ready(runtime, future) => Ok((runtime, future)),
            State::Failed(error) => Err(error.unwrap_or_else(Error::cancelled)),
            State::Running(runtime, id, receiver) => {
                // Polled once, then waited for: go on with what is under way.
                let guard = CancelOnDrop(runtime.clone(), id);
                let future = Box::pin(async move {
                    let _guard = guard;
                    receiver.await.unwrap_or_else(|_| Err(Error::cancelled()))
                });
                Ok((runtime, future))
            }
            State::Done => Err(Error::cancelled()),
        }
    }
}

struct CancelOnDrop(Runtime, OperationId);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel(self.1);
    }
}

impl<T: Send + 'static> Future for Operation<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        loop {
            match &mut self.0 {
                State::Running(_, _, receiver) => {
                    let result = std::task::ready!(Pin::new(receiver).poll(context));
                    self.0 = State::Done;
                    return Poll::Ready(result.unwrap_or_else(|_| Err(Error::cancelled())));
                }
                State::Failed(error) => {
                    let error = error.take().unwrap_or_else(Error::cancelled);
                    self.0 = State::Done;
                    return Poll::Ready(Err(error));
                }
                State::Done => return Poll::Ready(Err(Error::cancelled())),
                State::Ready(..) => {
                    let State::Ready(runtime, future) = std::mem::replace(&mut self.0, State::Done) else {
                        continue;
                    };
                    let (sender, receiver) = oneshot::channel();
                    let id = next_id();
                    runtime.start(id, future, move |result| {
                        let _ = sender.send(result);
                    });
                    self.0 = State::Running(runtime, id, receiver);
                }
            }
        }
    }
}

impl<T> Drop for Operation<T> {
    fn drop(&mut self) {
        if let State::Running(runtime, id, _) = &self.0 {
            runtime.cancel(*id);
        }
    }
}

impl<T> std::fmt::Debug for Operation<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Operation")
    }
}

fn next_id() -> OperationId {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

/// Whether the calling thread is one of the library's own, as in every callback: waiting for an
/// operation is refused there with [`ErrorKind::WouldDeadlock`].
pub fn is_library_thread() -> bool {
    runtime::is_own_thread()
}

/// Cancels a started operation: it completes with [`ErrorKind::Cancelled`], unless it completed
/// before. Returns whether it was still under way. Never blocks; callable from any thread.
pub fn cancel_operation(id: OperationId) -> bool {
    Runtime::current().is_some_and(|runtime| runtime.cancel(id))
}
