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

/// The error that a panic becomes which was caught on this thread. It says what stands in the source; what a panic has
/// put together at run time may hold a token (an index into a text shows the text), and is left out.
pub fn caught(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied().unwrap_or("panic");
    error(text, take_place())
}

/// The error for a panic that somebody else has caught on this thread, whose text is lost or not to be told. Nothing,
/// if there was none since the last one that this module made an error of, or if it is not told to [`keep_quiet`].
pub fn caught_elsewhere() -> Option<Error> {
    take_place().map(|place| error("panic", Some(place)))
}

fn take_place() -> Option<String> {
    PLACE.try_with(RefCell::take).ok().flatten()
}

fn error(text: &str, place: Option<String>) -> Error {
    let mut message = format!("A fault of the library was caught: {text}");
    if let Some(place) = place {
        message = format!("{message} ({place})");
    }
    Error::new(ErrorKind::Internal, message).with_code("INTERNAL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_together_at_run_time_is_not_shown() {
        let shown = |panic: Box<dyn Any + Send>| caught(&*panic).message().to_owned();
        assert!(shown(Box::new("on purpose")).starts_with("A fault of the library was caught: on purpose"));
        let token = String::from("st_secret");
        let index = panic::catch_unwind(|| token[20..].len()).unwrap_err();
        let message = shown(index);
        assert!(message.starts_with("A fault of the library was caught: panic"), "{message}");
        assert!(!message.contains("st_secret"));
    }
}
