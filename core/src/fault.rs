//! Faults of this library: panics, which are caught and become errors that say what and where.

use std::any::Any;
use std::cell::RefCell;
use std::panic;
use std::sync::Once;

use crate::{Error, ErrorKind};

thread_local! {
    /// Where the last panic of this thread was.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From here on panics print nothing; [`caught`] says where they were. For a binding that has Rust's standard
/// library to itself, such as a shared library: what prints on a host's stderr is the host's to decide.
pub fn keep_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|info| {
            let place = info.location().map(ToString::to_string);
            // A thread that is ending has no place any more, and nobody to tell.
            let _ = PLACE.try_with(|slot| slot.replace(place));
        }));
    });
}

/// The error that a panic becomes which was caught on this thread.
pub fn caught(panic: &(dyn Any + Send)) -> Error {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let mut message = format!("A fault of the library was caught: {}", text.unwrap_or("panic"));
    if let Some(place) = PLACE.try_with(RefCell::take).ok().flatten() {
        message = format!("{message} ({place})");
    }
    Error::new(ErrorKind::Internal, message).with_code("INTERNAL")
}
