//! A clock that the host drives, for its tests.

use std::sync::Arc;
use std::time::Duration;

use lime_core::clock::{Clock, ManualClock, SystemClock};
use lime_core::{Error, ErrorKind, is_library_thread};

use crate::panic;
use crate::strings::{borrow, get, give, invalid, take};

/// A clock for tests: it stands still until the host moves it, so that every back-off and expiry can be tested
/// without waiting. Options that it was set in and the clients made with them keep it. Any number of threads may
/// use it at once. It does not bound requests that are under way (`timeout_ms`), nor a proof of work: those take
/// real time. Free it with lime_clock_free().
pub struct lime_clock(Arc<ManualClock>);

impl lime_clock {
    pub(crate) fn shared(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.0) as _
    }
}

/// The machine's clock.
pub(crate) fn system() -> Arc<dyn Clock> {
    Arc::new(SystemClock::default())
}

/// A clock that stands at a time.
///
/// Parameters: `unix_ms`: milliseconds since 1970-01-01T00:00:00Z. `skips_sleeps`: 1 to let every wait move the clock
/// by itself and end at once; 0 to let it last until lime_clock_advance_ms() has moved the clock far enough. What no
/// call waits for comes with lime_clock_advance_ms() in both: a site asks for login requests that seem to be lost.
///
/// Returns: the clock, to be freed with lime_clock_free(); NULL when unix_ms is less than 0 or skips_sleeps neither
/// 0 nor 1.
#[unsafe(no_mangle)]
pub extern "C" fn lime_clock_new(unix_ms: i64, skips_sleeps: i32) -> *mut lime_clock {
    panic::value(std::ptr::null_mut(), || {
        let Ok(unix) = u64::try_from(unix_ms) else { return std::ptr::null_mut() };
        let clock = ManualClock::at(Duration::from_millis(unix));
        match skips_sleeps {
            0 => give(lime_clock(Arc::new(clock))),
            1 => give(lime_clock(Arc::new(clock.skipping_sleeps()))),
            _ => std::ptr::null_mut(),
        }
    })
}

/// Moves the clock forward and ends the waits whose time has come.
///
/// Parameters: `ms`: by how many milliseconds.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (clock NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_clock_advance_ms(clock: *const lime_clock, ms: u64) -> i32 {
    panic::call(std::ptr::null_mut(), || {
        // SAFETY: NULL or a live handle, as the header asks.
        unsafe { borrow(clock, "clock") }?.0.advance(Duration::from_millis(ms));
        Ok(())
    })
}

/// Sets what the library gets for a random number, which spreads its back-offs. Default: 0.
///
/// Parameters: `jitter`: from 0 (included) to 1 (excluded).
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (clock NULL, another number).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_clock_set_jitter(clock: *const lime_clock, jitter: f64) -> i32 {
    panic::call(std::ptr::null_mut(), || {
        if !(0.0..1.0).contains(&jitter) {
            return Err(invalid("jitter is not from 0 to 1"));
        }
        // SAFETY: NULL or a live handle, as the header asks.
        unsafe { borrow(clock, "clock") }?.0.set_jitter(jitter);
        Ok(())
    })
}

/// How many waits have begun so far.
///
/// Returns: the number; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_clock_sleeps(clock: *const lime_clock) -> usize {
    // SAFETY: NULL or a live handle, as the header asks.
    unsafe { get(clock, 0, |clock: &lime_clock| clock.0.slept().len()) }
}

/// How long a wait is, or was.
///
/// Parameters: `index`: from 0 to lime_clock_sleeps() - 1, in the order in which they began.
///
/// Returns: milliseconds; -1 for NULL and beyond the last one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_clock_slept_ms(clock: *const lime_clock, index: usize) -> i64 {
    let slept = |clock: &lime_clock| {
        let slept = clock.0.slept().get(index).copied();
        slept.map_or(-1, |slept| i64::try_from(slept.as_millis()).unwrap_or(i64::MAX))
    };
    // SAFETY: NULL or a live handle, as the header asks.
    unsafe { get(clock, -1, slept) }
}

/// Blocks until so many waits have begun since the clock was made.
///
/// Parameters: `count`: how many waits. `timeout_ms`: how long to block at most, in milliseconds of real time.
///
/// Returns: LIME_OK; LIME_ERROR_TIMEOUT; LIME_ERROR_WOULD_DEADLOCK in a callback; LIME_ERROR_INVALID_ARGUMENT (clock
/// NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_clock_wait_for_sleeps(
    clock: *const lime_clock,
    count: usize,
    timeout_ms: u64,
) -> i32 {
    panic::call(std::ptr::null_mut(), || {
        // SAFETY: NULL or a live handle, as the header asks.
        let clock = unsafe { borrow(clock, "clock") }?;
        if is_library_thread() {
            return Err(Error::new(ErrorKind::WouldDeadlock, "A callback must not wait for a clock"));
        }
        if clock.0.wait_for_sleeps_within(count, Duration::from_millis(timeout_ms)) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Timeout, format!("{count} waits have not begun in time")))
    })
}

/// Frees the caller's hold on a clock; what it was set in keeps it. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_clock_free(clock: *mut lime_clock) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(clock) };
}
