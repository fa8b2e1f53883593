//! SIGPIPE: whoever writes to a connection that the other end has reset gets it, and it ends the process.
//!
//! Rust's programs, Python and Node ignore it; a program in C may not have thought of it. What a peer does must not
//! decide that a host ends, and the host's signal handlers are not this library's to change: it is blocked on the
//! one thread that has the sockets, where the write then fails like any other.

#[cfg(unix)]
mod unix {
    use std::sync::atomic::{AtomicBool, Ordering};

    use nix::sys::signal::{SigSet, SigmaskHow, Signal};

    /// Whether the host has it blocked itself.
    static BLOCKED_BY_HOST: AtomicBool = AtomicBool::new(false);

    fn broken_pipe() -> SigSet {
        let mut set = SigSet::empty();
        set.add(Signal::SIGPIPE);
        set
    }

    /// Blocks it on this thread and those that it starts.
    pub(crate) fn block_broken_pipes() {
        if let Ok(before) = broken_pipe().thread_swap_mask(SigmaskHow::SIG_BLOCK) {
            BLOCKED_BY_HOST.store(before.contains(Signal::SIGPIPE), Ordering::Relaxed);
        }
    }

    /// For the thread of callbacks, which are the host's: it must be there as the host has it.
    pub(crate) fn restore_broken_pipes() {
        if !BLOCKED_BY_HOST.load(Ordering::Relaxed) {
            // It fails for no set that there is.
            let _ = broken_pipe().thread_unblock();
        }
    }
}

#[cfg(unix)]
pub(crate) use unix::{block_broken_pipes, restore_broken_pipes};

#[cfg(not(unix))]
pub(crate) fn block_broken_pipes() {}

#[cfg(not(unix))]
pub(crate) fn restore_broken_pipes() {}
