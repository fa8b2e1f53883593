//! The one runtime of the process: a current-thread executor on a thread of its own.
//!
//! It is started by the first call that needs it and ends with the last lease on it. A current-thread
//! executor answers a request several times faster than a pool does, and a client library has no
//! business taking every core of its host.
//!
//! After `fork` the child has the parent's memory but none of its threads: everything here carries the
//! id of the process that made it, and is left alone (not dropped: its sockets are the parent's) by any other.

use std::cell::Cell;
use std::collections::HashMap;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::thread::{self, JoinHandle, ThreadId};

use arc_swap::ArcSwapOption;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{OnceCell, Semaphore, oneshot};
use tokio::task::AbortHandle;

use crate::dispatcher::Dispatcher;
use crate::transport::http::{self, HttpTransport};
use crate::transport::pins::Pins;
use crate::{Error, Result, fault, signals};

/// A lease: the runtime lives while there is one.
#[derive(Clone)]
pub(crate) struct Runtime(Arc<Inner>);

pub(crate) struct Inner {
    process: u32,
    handle: tokio::runtime::Handle,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    thread_id: ThreadId,
    dispatcher: Dispatcher,
    operations: Mutex<HashMap<u64, AbortHandle>>,
    /// Building an HTTP client reads the system's root certificates: once is enough for all clients.
    http: [OnceCell<HttpTransport>; 4],
    /// The same for servers whose keys are pinned.
    pinned: tokio::sync::Mutex<HashMap<(bool, Pins), HttpTransport>>,
    /// Proofs of work at a time; more than there are cores would only make all of them late.
    pow_permits: Arc<Semaphore>,
}

/// The slot of one process. It is replaced, never reused, after a fork: another thread of the parent
/// may have held its lock in that moment, and would hold it for ever in the child.
struct Slot {
    process: u32,
    current: Mutex<Weak<Inner>>,
}

static SLOT: ArcSwapOption<Slot> = ArcSwapOption::const_empty();

fn slot() -> Arc<Slot> {
    let process = std::process::id();
    loop {
        let found = SLOT.load_full();
        if let Some(slot) = &found
            && slot.process == process
        {
            return Arc::clone(slot);
        }
        let fresh = Arc::new(Slot { process, current: Mutex::new(Weak::new()) });
        let before = SLOT.compare_and_swap(&found, Some(Arc::clone(&fresh)));
        let swapped = match (&*before, &found) {
            (Some(before), Some(found)) => Arc::ptr_eq(before, found),
            (None, None) => true,
            _ => false,
        };
        if swapped {
            return fresh;
        }
    }
}

impl Runtime {
    /// A lease on this process's runtime, which is started if there is none.
    pub(crate) fn acquire() -> Result<Self> {
        let slot = slot();
        let mut current = slot.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(inner) = current.upgrade() {
            return Ok(Self(inner));
        }
        let inner =
            start().map_err(|error| Error::internal(format!("The runtime could not be started: {error}")))?;
        *current = Arc::downgrade(&inner);
        Ok(Self(inner))
    }

    /// This process's runtime, if it is running.
    pub(crate) fn current() -> Option<Self> {
        let slot = slot();
        let current = slot.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.upgrade().map(Self)
    }

    pub(crate) fn belongs_to_this_process(&self) -> bool {
        self.0.process == std::process::id()
    }

    /// Runs `future` to its end, then hands its result to `complete`, exactly once, on the runtime
    /// thread. Cancelling, a panic and the end of the runtime complete it too.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        id: u64,
        future: impl Future<Output = Result<T>> + Send + 'static,
        complete: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        let mut completion = Completion {
            complete: Some(complete),
            id,
            runtime: Arc::downgrade(&self.0),
            result: PhantomData,
        };
        // In a box, as `spawn`: tokio's code for a task, several kilobytes, is there once and not for every operation.
        let work = Box::pin(async move {
            let result = OPERATION.scope(id, AssertUnwindSafe(future).catch_unwind()).await;
            completion.finish(result.unwrap_or_else(|panic| Err(fault::caught(&*panic))));
        }) as BoxFuture<'static, ()>;
        // Under the lock, so that an operation that ends at once does not leave its number behind.
        let mut operations = self.0.operations.lock().unwrap_or_else(PoisonError::into_inner);
        let task = self.0.handle.spawn(work);
        if !task.is_finished() {
            operations.insert(id, task.abort_handle());
        }
    }

    /// Runs `future` in the background, for as long as the runtime lives.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.0.handle.spawn(Box::pin(future) as BoxFuture<'static, ()>).abort_handle()
    }

    /// Ends an operation; false when it has ended already or never was.
    pub(crate) fn cancel(&self, id: u64) -> bool {
        let task = self.0.operations.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        task.is_some_and(|task| {
            let pending = !task.is_finished();
            task.abort();
            pending
        })
    }

    pub(crate) fn dispatcher(&self) -> &Dispatcher {
        &self.0.dispatcher
    }

    pub(crate) fn pow_permits(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0.pow_permits)
    }

    pub(crate) fn downgrade(&self) -> WeakRuntime {
        WeakRuntime(Arc::downgrade(&self.0))
    }
}

thread_local! {
    /// The process in which this thread is the library's; a child forked on it is not on it any more.
    static OWNED_IN: Cell<u32> = const { Cell::new(0) };
}

/// Marks the calling thread as one of the library's.
pub(crate) fn claim_thread() {
    OWNED_IN.set(std::process::id());
}

/// Whether the calling thread is a runtime's or a dispatcher's: waiting there for what they do would
/// never end. True also after the last client was closed on it.
pub(crate) fn is_own_thread() -> bool {
    OWNED_IN.get() == std::process::id()
}

tokio::task_local! {
    /// The number of the operation that a task works for.
    static OPERATION: u64;
}

/// The number of the operation that the running task works for, if it is one.
pub(crate) fn current_operation() -> Option<u64> {
    OPERATION.try_with(|id| *id).ok()
}

/// What the runtime's own tasks hold: it must not keep the runtime alive.
#[derive(Clone)]
pub(crate) struct WeakRuntime(Weak<Inner>);

impl WeakRuntime {
    pub(crate) fn upgrade(&self) -> Option<Runtime> {
        self.0.upgrade().map(Runtime)
    }

    /// The HTTP client that all clients of this kind share.
    pub(crate) async fn http(&self, kind: http::Kind) -> Result<HttpTransport, String> {
        let inner = self.0.upgrade().ok_or_else(|| "The runtime has ended".to_owned())?;
        let cell = &inner.http[usize::from(kind.proxies) + 2 * usize::from(kind.tls)];
        cell.get_or_try_init(|| async { HttpTransport::new(kind) }).await.cloned()
    }

    /// The HTTP client that all clients with these pins share.
    pub(crate) async fn pinned_http(&self, kind: http::Kind, pins: &Pins) -> Result<HttpTransport, String> {
        let inner = self.0.upgrade().ok_or_else(|| "The runtime has ended".to_owned())?;
        let mut pinned = inner.pinned.lock().await;
        let key = (kind.proxies, pins.clone());
        if let Some(client) = pinned.get(&key) {
            return Ok(client.clone());
        }
        let client = HttpTransport::pinned(kind, pins.clone())?;
        pinned.insert(key, client.clone());
        Ok(client)
    }
}

fn start() -> std::io::Result<Arc<Inner>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .thread_name("lime-worker")
        // Name look-ups and proofs of work; gone a second after the last of them.
        .thread_keep_alive(std::time::Duration::from_secs(1))
        .build()?;
    let handle = runtime.handle().clone();
    let (stop, stopped) = oneshot::channel();
    let (ready, is_ready) = mpsc::channel::<()>();
    let thread = thread::Builder::new().name("lime-runtime".into()).spawn(move || {
        claim_thread();
        signals::block_broken_pipes();
        // The first random number of a thread must not be made while the process is ending: aws-lc locks the
        // state that it makes then and aborts when it reads from it. From here on such a thread waits instead.
        let _ = aws_lc_rs::rand::fill(&mut [0]);
        drop(ready);
        runtime.block_on(async {
            let _ = stopped.await;
        });
        // Drops every task, which completes every pending operation; a name look-up cannot be
        // interrupted and is left behind to end by itself.
        runtime.shutdown_timeout(std::time::Duration::from_millis(100));
    })?;
    // Nothing is sent: the other end is dropped when the thread may be left alone with the end of the process.
    let _ = is_ready.recv();
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(Arc::new(Inner {
        process: std::process::id(),
        handle,
        stop: Mutex::new(Some(stop)),
        thread_id: thread.thread().id(),
        thread: Mutex::new(Some(thread)),
        dispatcher: Dispatcher::default(),
        operations: Mutex::default(),
        http: Default::default(),
        pinned: tokio::sync::Mutex::default(),
        pow_permits: Arc::new(Semaphore::new(cores)),
    }))
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            return; // a copy of the parent's: its threads are not ours to end
        }
        if let Some(stop) = self.stop.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = stop.send(());
        }
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let own = thread::current().id();
        if let Some(thread) = thread
            && self.thread_id != own
            && self.dispatcher.thread_id() != Some(own)
        {
            let _ = thread.join();
        }
        self.dispatcher.stop();
    }
}

/// Completes an operation exactly once: with its result, or as cancelled when its task is dropped.
struct Completion<T, F: FnOnce(Result<T>)> {
    complete: Option<F>,
    id: u64,
    runtime: Weak<Inner>,
    result: PhantomData<fn(T)>,
}

impl<T, F: FnOnce(Result<T>)> Completion<T, F> {
    fn finish(&mut self, result: Result<T>) {
        let Some(complete) = self.complete.take() else { return };
        if let Some(runtime) = self.runtime.upgrade() {
            runtime.operations.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        }
        // No lease of ours is held from here on: whoever is told may close the last client at once,
        // and then wait for this very thread.
        let _ = std::panic::catch_unwind(AssertUnwindSafe(|| complete(result)));
    }
}

impl<T, F: FnOnce(Result<T>)> Drop for Completion<T, F> {
    fn drop(&mut self) {
        self.finish(Err(Error::cancelled()));
    }
}
