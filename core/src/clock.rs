//! Time and chance, injected: every expiry and back-off can be tested without sleeping.

use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::oneshot;

/// Where a client takes the time and its jitter from.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// Time since the Unix epoch.
    fn unix(&self) -> Duration;

    /// Time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;

    /// Ends after `duration` of this clock. Called on the library's runtime thread.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Ends when [`monotonic`](Self::monotonic) has come to `moment`: for what is to be looked at some day, and
    /// what no call waits for. Called on the library's runtime thread.
    fn alarm(&self, moment: Duration) -> BoxFuture<'static, ()> {
        self.sleep(moment.saturating_sub(self.monotonic()))
    }

    /// Like [`alarm`](Self::alarm), for what is hoped never to happen. Called on the library's runtime thread.
    fn watchdog(&self, moment: Duration) -> BoxFuture<'static, ()> {
        self.alarm(moment)
    }

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

/// A clock for tests: it stands still until it is advanced.
///
/// ```
/// use lime_core::clock::{Clock, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::at(Duration::from_secs(1_700_000_000));
/// clock.advance(Duration::from_secs(121));
/// assert_eq!(clock.unix().as_secs(), 1_700_000_121);
/// ```
#[derive(Debug, Default)]
pub struct ManualClock {
    state: Mutex<ManualState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct ManualState {
    unix: Duration,
    monotonic: Duration,
    jitter: f64,
    skips_sleeps: bool,
    slept: Vec<Duration>,
    sleepers: Sleepers,
    /// Nobody is told that there are any.
    watchdogs: Sleepers,
}

/// Each with the moment that it waits for.
type Sleepers = Vec<(Duration, oneshot::Sender<()>)>;

impl ManualState {
    /// Ends the sleeps whose time has come, by dropping their senders, and forgets those that nobody waits for.
    fn wake(&mut self) {
        let now = self.monotonic;
        for waiting in [&mut self.sleepers, &mut self.watchdogs] {
            waiting.retain(|(until, sender)| *until > now && !sender.is_closed());
        }
    }

    /// Ends when `moment` has come; until then it is one of these.
    fn until(
        &mut self,
        moment: Duration,
        sleepers: impl FnOnce(&mut Self) -> &mut Sleepers,
    ) -> BoxFuture<'static, ()> {
        if moment <= self.monotonic {
            return tokio::task::yield_now().boxed();
        }
        self.wake();
        let (sender, ended) = oneshot::channel();
        sleepers(self).push((moment, sender));
        ended.map(|_| ()).boxed()
    }
}

impl ManualClock {
    /// A clock that stands at this Unix time, with a jitter of 0.
    pub fn at(unix: Duration) -> Self {
        let clock = Self::default();
        clock.lock().unix = unix;
        clock
    }

    /// Lets every sleep advance the clock itself and end at once; an [alarm](Clock::alarm) still waits for its
    /// moment.
    #[must_use]
    pub fn skipping_sleeps(self) -> Self {
        self.lock().skips_sleeps = true;
        self
    }

    /// Moves both times forward and ends the sleeps whose time has come.
    pub fn advance(&self, duration: Duration) {
        let mut state = self.lock();
        state.unix = state.unix.saturating_add(duration);
        state.monotonic = state.monotonic.saturating_add(duration);
        state.wake();
    }

    /// Sets what [`Clock::jitter`] gives, from 0 (included) to 1 (excluded).
    pub fn set_jitter(&self, jitter: f64) {
        self.lock().jitter = jitter;
    }

    /// Every wait so far, in order of their beginnings.
    pub fn slept(&self) -> Vec<Duration> {
        self.lock().slept.clone()
    }

    /// Blocks until `count` waits have begun, and gives them.
    pub fn wait_for_sleeps(&self, count: usize) -> Vec<Duration> {
        let state = self.changed.wait_while(self.lock(), |state| state.slept.len() < count);
        state.unwrap_or_else(PoisonError::into_inner).slept.clone()
    }

    /// Blocks until somebody waits for an [alarm](Clock::alarm), or sleeps, and gives the time until the first of
    /// these ends; nothing when there was none for `timeout` of real time.
    pub fn wait_for_alarm(&self, timeout: Duration) -> Option<Duration> {
        let none = |state: &mut ManualState| {
            state.wake();
            state.sleepers.is_empty()
        };
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, none);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        let first = state.sleepers.iter().map(|(until, _)| *until).min()?;
        Some(first.saturating_sub(state.monotonic))
    }

    /// Like [`wait_for_sleeps`](Self::wait_for_sleeps), for at most `timeout` of real time; false when
    /// that has passed.
    pub fn wait_for_sleeps_within(&self, count: usize, timeout: Duration) -> bool {
        let short = |state: &mut ManualState| state.slept.len() < count;
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, short);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn lock(&self) -> MutexGuard<'_, ManualState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut state = self.lock();
        state.slept.push(duration);
        self.changed.notify_all();
        if state.skips_sleeps {
            state.unix = state.unix.saturating_add(duration);
            state.monotonic = state.monotonic.saturating_add(duration);
            state.wake();
            // Gives the other tasks of the runtime a turn, as a real sleep would.
            return tokio::task::yield_now().boxed();
        }
        let until = state.monotonic.saturating_add(duration);
        state.until(until, |state| &mut state.sleepers)
    }

    fn alarm(&self, moment: Duration) -> BoxFuture<'static, ()> {
        let ended = self.lock().until(moment, |state| &mut state.sleepers);
        self.changed.notify_all();
        ended
    }

    fn watchdog(&self, moment: Duration) -> BoxFuture<'static, ()> {
        self.lock().until(moment, |state| &mut state.watchdogs)
    }

    fn jitter(&self) -> f64 {
        self.lock().jitter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_for_sleeps_sees_them_or_gives_up() {
        let clock = ManualClock::default();
        assert!(!clock.wait_for_sleeps_within(1, Duration::ZERO));
        drop(clock.sleep(Duration::from_secs(7)));
        assert!(clock.wait_for_sleeps_within(1, Duration::ZERO));
        assert_eq!(clock.wait_for_sleeps(1), [Duration::from_secs(7)]);
        assert!(!clock.wait_for_sleeps_within(2, Duration::ZERO));
    }

    #[tokio::test]
    async fn an_alarm_for_a_moment_that_has_been_rings() {
        let clock = ManualClock::default();
        clock.advance(Duration::from_secs(60));
        clock.alarm(clock.monotonic()).await;
        let later = clock.alarm(clock.monotonic() + Duration::from_secs(1));
        clock.advance(Duration::from_secs(1));
        later.await;
    }

    #[tokio::test]
    async fn a_sleep_of_no_time_ends() {
        assert_eq!(ManualClock::default().sleep(Duration::ZERO).now_or_never(), None, "others have a turn");
        ManualClock::default().sleep(Duration::ZERO).await;
    }
}
