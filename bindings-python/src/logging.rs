//! Log records travel in the queue of the loop that the client works for, so that a logging handler of
//! the host never runs on a thread of ours, let alone under a lock of ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use arc_swap::ArcSwapOption;
use lime_core::log::{Level, Logger};
use pyo3::prelude::*;

use crate::queue::{Item, Shared};

/// The level of Python's logger "lime", as of the last call; records below it are not even made.
static LEVEL: AtomicI32 = AtomicI32::new(Level::Warning as i32);

#[pyfunction]
pub(crate) fn set_log_level(level: i32) {
    LEVEL.store(level, Ordering::Relaxed);
}

/// The queue of the loop that a client worked for last.
pub(crate) type Home = Arc<ArcSwapOption<Shared>>;

pub(crate) fn logger(home: &Home) -> Logger {
    let home = Arc::clone(home);
    Logger::filtered(
        |level| level as i32 >= LEVEL.load(Ordering::Relaxed),
        move |level, message| {
            if let Some(queue) = &*home.load() {
                let item = Item::Log { level: level as i32, message: message.to_owned() };
                // A request's URL comes along with its answer; a retry or a refusal is news now.
                if level >= Level::Warning {
                    queue.push(item);
                } else {
                    queue.push_quietly(item);
                }
            }
        },
    )
}
