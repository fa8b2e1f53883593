//! Log records travel in the queue of the loop that the client works for, or wait for the thread that
//! waits for the client, so that a logging handler of the host never runs on a thread of ours, let alone
//! under a lock of ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use arc_swap::ArcSwapOption;
use guarded::guarded;
use lime_core::log::{Level, Logger};
use pyo3::prelude::*;

use crate::blocking::Records;
use crate::queue::{Item, Shared};

/// The level of Python's logger "lime", as of the last call; records below it are not even made.
static LEVEL: AtomicI32 = AtomicI32::new(Level::Warning as i32);

#[guarded]
#[pyfunction]
pub(crate) fn set_log_level(level: i32) {
    LEVEL.store(level, Ordering::Relaxed);
}

/// The queue of the loop that a client worked for last.
pub(crate) type Home = Arc<ArcSwapOption<Shared>>;

/// The logger of a client that works for event loops and for threads that wait.
pub(crate) fn logger(home: &Home, records: &Arc<Records>) -> Logger {
    let (home, records) = (Arc::clone(home), Arc::clone(records));
    filtered(move |level, message| {
        if let Err(message) = records.push(level as i32, message) {
            to_loop(&home, level, message);
        }
    })
}

fn filtered(take: impl Fn(Level, String) + Send + Sync + 'static) -> Logger {
    let wants = |level| level as i32 >= LEVEL.load(Ordering::Relaxed);
    Logger::filtered(wants, move |level, message| take(level, message.to_owned()))
}

fn to_loop(home: &Home, level: Level, message: String) {
    if let Some(queue) = &*home.load() {
        let item = Item::Log { level: level as i32, message };
        // A request's URL comes along with its answer; a retry or a refusal is news now.
        if level >= Level::Warning {
            queue.push(item);
        } else {
            queue.push_quietly(item);
        }
    }
}
