//! A client's hold on the runtime: taken on first use, taken anew in a forked child, given up on close.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;

use crate::operation::Operation;
use crate::runtime::{Runtime, WeakRuntime};
use crate::{Error, Result};

#[derive(Default)]
pub(crate) struct Lease {
    runtime: ArcSwapOption<Runtime>,
    closed: AtomicBool,
}

impl Lease {
    /// This process's runtime.
    pub(crate) fn runtime(&self) -> Result<Runtime> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::closed());
        }
        if let Some(runtime) = self.runtime.load_full()
            && runtime.belongs_to_this_process()
        {
            return Ok(Runtime::clone(&runtime));
        }
        let runtime = Runtime::acquire()?;
        leave_to_its_process(self.runtime.swap(Some(Arc::new(runtime.clone()))));
        if self.closed.load(Ordering::SeqCst) {
            self.close();
            return Err(Error::closed());
        }
        Ok(runtime)
    }

    /// This process's runtime, if there is a hold on it.
    pub(crate) fn held(&self) -> Option<Runtime> {
        let runtime = self.runtime.load_full()?;
        runtime.belongs_to_this_process().then(|| Runtime::clone(&runtime))
    }

    /// A call of `client`, whose lease this is: it keeps the client, and through it the runtime, until it
    /// has ended.
    pub(crate) fn operation<C, T, F>(
        &self,
        client: &Arc<C>,
        work: impl FnOnce(Arc<C>, WeakRuntime) -> F,
    ) -> Operation<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        Operation::from_result(self.runtime().map(|runtime| {
            let future = work(Arc::clone(client), runtime.downgrade());
            Operation::new(runtime, future)
        }))
    }

    /// Refuses new work, and keeps the runtime for what has to be ended on it.
    pub(crate) fn mark_closed(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Gives the runtime up, for good. The last lease of the process ends its threads.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        leave_to_its_process(self.runtime.swap(None));
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.close();
    }
}

/// A runtime that was inherited by `fork` is neither used nor dropped: dropping would say goodbye on
/// connections that the parent still uses.
fn leave_to_its_process(runtime: Option<Arc<Runtime>>) {
    if let Some(runtime) = runtime
        && !runtime.belongs_to_this_process()
    {
        std::mem::forget(runtime);
    }
}
