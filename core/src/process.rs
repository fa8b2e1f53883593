//! What belongs to one process. After `fork` the child has a copy of everything, also of locks that
//! another thread of the parent held in that moment and that nobody in the child will ever release, and
//! of sockets whose other ends are the parent's. Such things are made anew in the child, and the copy is
//! neither used nor dropped. Bindings keep what they lock in it, too.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// A value of which each process has its own.
pub struct PerProcess<T> {
    slot: ArcSwap<(u32, T)>,
    make: Box<dyn Fn() -> T + Send + Sync>,
}

impl<T: Send + Sync + 'static> PerProcess<T> {
    /// Makes this process's value now, and another process's when it first asks for it.
    pub fn new(make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self { slot: ArcSwap::from_pointee((std::process::id(), make())), make: Box::new(make) }
    }

    /// This process's value.
    pub fn get(&self) -> Own<T> {
        let found = self.slot.load_full();
        if found.0 == std::process::id() {
            return Own(found);
        }
        let fresh = Arc::new((std::process::id(), (self.make)()));
        self.slot.compare_and_swap(&found, fresh);
        std::mem::forget(found);
        Own(self.slot.load_full())
    }
}

impl<T: Default + Send + Sync + 'static> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new(T::default)
    }
}

/// A hold on a process's value.
pub struct Own<T>(Arc<(u32, T)>);

impl<T> std::ops::Deref for Own<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.1
    }
}
