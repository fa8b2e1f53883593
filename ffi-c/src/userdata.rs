//! What the host wants to get back in its callbacks.

use std::ffi::c_void;

use crate::panic;

/// Frees the user data of a callback. It is called exactly once, after the last call of the callback
/// has returned, also when the registration failed; on any thread. It must not call back into the
/// object that is being freed.
pub type lime_drop_user_data = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// A host's pointer with its end; dropped exactly once, by Rust's own rules.
pub(crate) struct UserData {
    pointer: *mut c_void,
    drop: lime_drop_user_data,
}

// SAFETY: it is never read here; the host is told that its callbacks run on the library's threads.
unsafe impl Send for UserData {}
// SAFETY: as above; only the log callback may run on several threads at once, and its manual says so.
unsafe impl Sync for UserData {}

impl UserData {
    /// Takes charge of the pointer; done first in every function that gets one, so that `drop` runs
    /// however the function ends.
    pub(crate) fn new(pointer: *mut c_void, drop: lime_drop_user_data) -> Self {
        Self { pointer, drop }
    }

    pub(crate) fn pointer(&self) -> *mut c_void {
        self.pointer
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(drop) = self.drop {
            panic::value((), || {
                // SAFETY: the host's own function with the host's own pointer, once.
                unsafe { drop(self.pointer) };
            });
        }
    }
}
