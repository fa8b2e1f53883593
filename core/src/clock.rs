//! Time and chance, injected: every expiry and back-off can be tested without sleeping.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::{BoxFuture, FutureExt};

/// Where a client takes the time and its jitter from.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// Time since the Unix epoch.
    fn unix(&self) -> Duration;

    /// Time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;

    /// Ends after `duration` of this clock. Called on the library's runtime thread.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// A number from 0 (included) to 1 (excluded) that spreads waits apart.
    fn jitter(&self) -> f64;
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn unix(&self) -> Duration {
        // A clock before 1970 is a broken clock; as time zero it makes passports "issued in the future".
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(duration).boxed()
    }

    fn jitter(&self) -> f64 {
        fastrand::f64()
    }
}

/// A clock for tests: it stands still until it is advanced, and a sleep advances it at once.
///
/// ```
/// use lime_core::clock::{Clock, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::at(Duration::from_secs(1_700_000_000));
/// clock.advance(Duration::from_secs(121));
/// assert_eq!(clock.unix().as_secs(), 1_700_000_121);
/// ```
#[derive(Debug)]
pub struct ManualClock {
    state: Mutex<ManualState>,
}

#[derive(Debug)]
struct ManualState {
    unix: Duration,
    monotonic: Duration,
    jitter: f64,
    slept: Vec<Duration>,
}

impl ManualClock {
    /// A clock that stands at this Unix time, with a jitter of 0.
    pub fn at(unix: Duration) -> Self {
        Self {
            state: Mutex::new(ManualState {
                unix,
                monotonic: Duration::ZERO,
                jitter: 0.0,
                slept: Vec::new(),
            }),
        }
    }

    /// Moves both times forward.
    pub fn advance(&self, duration: Duration) {
        let mut state = self.lock();
        state.unix += duration;
        state.monotonic += duration;
    }

    /// Sets what [`Clock::jitter`] gives, from 0 (included) to 1 (excluded).
    pub fn set_jitter(&self, jitter: f64) {
        self.lock().jitter = jitter;
    }

    /// Every wait so far, in order.
    pub fn slept(&self) -> Vec<Duration> {
        self.lock().slept.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ManualState> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn unix(&self) -> Duration {
        self.lock().unix
    }

    fn monotonic(&self) -> Duration {
        self.lock().monotonic
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.advance(duration);
        self.lock().slept.push(duration);
        // Gives the other tasks of the runtime a turn, as a real sleep would.
        tokio::task::yield_now().boxed()
    }

    fn jitter(&self) -> f64 {
        self.lock().jitter
    }
}
