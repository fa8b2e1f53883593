//! When to try again, and after how long.

use std::time::Duration;

use crate::clock::Clock;
use crate::config::PostRetry;

/// Whether an answer with this status is worth another attempt: of a POST by a rule, of anything else without one.
pub(crate) fn is_retryable(status: u16, of_post: Option<PostRetry>) -> bool {
    match status {
        408 | 429 | 503 => true,
        500 | 502 | 504 => of_post != Some(PostRetry::Today),
        _ => false,
    }
}

impl PostRetry {
    /// The rule for one call.
    pub(crate) fn of_call(self, new_today: bool) -> Self {
        match self {
            Self::Auto if new_today => Self::Today,
            Self::Auto => Self::Seed,
            chosen => chosen,
        }
    }
}

/// The wait before attempt number `attempt + 2`: a quarter second, doubling, and up to 0.1 s of jitter.
pub(crate) fn delay(attempt: u32, clock: &dyn Clock) -> Duration {
    let doubled = Duration::from_millis(250).saturating_mul(1 << attempt.min(16));
    doubled + Duration::from_secs_f64(clock.jitter() * 0.1)
}

/// Reads `Retry-After`: whole seconds, or an HTTP date seen from `now` (Unix time).
pub(crate) fn retry_after(value: &str, now: Duration) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit mean "not in this life", not "now".
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let then = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    let then = Duration::try_from(then.as_duration()).unwrap_or_default();
    Some(then.saturating_sub(now))
}

/// Waits between the connections of an event stream: doubling from `base` to `cap`, with jitter, and
/// back to `base` only after a connection that stayed healthy for a minute. A server that comes up and
/// falls over again is not hammered, and a thousand clients do not return in the same moment.
#[derive(Debug)]
pub(crate) struct Backoff {
    base: Duration,
    cap: Duration,
    next: Duration,
}

/// The longest first wait that can be asked for.
const LONGEST_BASE: Duration = Duration::from_secs(3600);

/// How long a connection must have lived for the waits to start over.
pub(crate) const HEALTHY: Duration = Duration::from_secs(60);

impl Backoff {
    pub(crate) fn new(base: Duration, cap: Duration) -> Self {
        // Zero would be a busy loop, and nobody means for ever.
        let base = base.clamp(Duration::from_millis(1), LONGEST_BASE);
        let cap = cap.max(base);
        Self { base, cap, next: base }
    }

    /// The wait after a connection that lived for `lived`: from half of it to all of it.
    pub(crate) fn wait_after(&mut self, lived: Duration, clock: &dyn Clock) -> Duration {
        if lived >= HEALTHY {
            self.next = self.base;
        }
        let wait = self.next;
        self.next = self.next.saturating_mul(2).min(self.cap);
        wait.mul_f64(0.5 + clock.jitter() / 2.0)
    }

    /// The server's own wish (`retry:`), which may only slow us down.
    pub(crate) fn set_base(&mut self, base: Duration) {
        self.base = base.clamp(self.base, self.cap);
        self.next = self.next.max(self.base);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn fault_2_backoff_has_jitter_and_resets_only_after_a_healthy_minute() {
        let clock = ManualClock::at(seconds(0));
        clock.set_jitter(0.9);
        let mut backoff = Backoff::new(Duration::from_millis(500), seconds(8));
        let waits: Vec<u128> = (0..6).map(|_| backoff.wait_after(seconds(1), &clock).as_millis()).collect();
        assert_eq!(waits, [475, 950, 1900, 3800, 7600, 7600]);
        assert_eq!(backoff.wait_after(seconds(59), &clock).as_millis(), 7600);
        assert_eq!(backoff.wait_after(seconds(60), &clock).as_millis(), 475);
        clock.set_jitter(0.0);
        assert_eq!(backoff.wait_after(seconds(3600), &clock), Duration::from_millis(250));
    }

    #[test]
    fn a_server_can_ask_for_longer_waits_and_not_for_shorter_ones() {
        let clock = ManualClock::at(seconds(0));
        clock.set_jitter(1.0);
        let mut backoff = Backoff::new(seconds(2), seconds(16));
        let mut wait = |base: u64, lived: u64| {
            backoff.set_base(seconds(base));
            backoff.wait_after(seconds(lived), &clock).as_secs()
        };
        assert_eq!([wait(1, 0), wait(1, 0)], [2, 4], "not below its own");
        assert_eq!([wait(3, 0), wait(3, 60)], [8, 3], "the waits had come further; then they start there");
        assert_eq!([wait(10, 0), wait(3, 60)], [10, 10], "it may only slow us down");
        assert_eq!([wait(1000, 0), wait(1000, 60)], [16, 16], "to the longest that there is");
    }

    #[test]
    fn attempts_double_their_distance_and_jitter_adds_to_it() {
        let clock = ManualClock::at(seconds(0));
        let waits = |jitter: f64| {
            clock.set_jitter(jitter);
            [0, 1, 2, 16, 17, u32::MAX].map(|attempt| delay(attempt, &clock).as_millis())
        };
        assert_eq!(waits(0.0), [250, 500, 1000, 16_384_000, 16_384_000, 16_384_000]);
        assert_eq!(waits(0.5), [300, 550, 1050, 16_384_050, 16_384_050, 16_384_050]);
    }

    #[test]
    fn a_thousand_clients_spread_out() {
        let clock = crate::clock::SystemClock::default();
        let mut windows = [0_u32; 10];
        for _ in 0..1000 {
            let mut backoff = Backoff::new(seconds(8), seconds(8));
            let millis = backoff.wait_after(seconds(0), &clock).as_millis();
            windows[usize::try_from((millis - 4000) / 400).unwrap().min(9)] += 1;
        }
        // Even spread is 100 a window of 0.4 s; twice that would be ten standard deviations away.
        assert!(windows.iter().all(|count| *count < 200), "{windows:?}");
    }

    #[test]
    fn retry_after_forms() {
        let now = seconds(1_000_000_000); // Sun, 09 Sep 2001 01:46:40 GMT
        assert_eq!(retry_after("2", now), Some(seconds(2)));
        assert_eq!(retry_after(" 0 ", now), Some(seconds(0)));
        assert_eq!(retry_after("Sun, 09 Sep 2001 01:47:00 GMT", now), Some(seconds(20)));
        assert_eq!(retry_after("Sun, 09 Sep 2001 01:40:00 GMT", now), Some(seconds(0)));
        assert!(retry_after("99999999999999999999", now).unwrap() > seconds(1_000_000));
        for bad in ["", "-1", "1.5", "soon", "٣"] {
            assert_eq!(retry_after(bad, now), None, "{bad}");
        }
    }

    #[test]
    fn statuses() {
        for status in [408, 429, 500, 502, 503, 504] {
            assert!(is_retryable(status, None));
            assert!(is_retryable(status, Some(PostRetry::Seed)));
        }
        for status in [500, 502, 504] {
            assert!(!is_retryable(status, Some(PostRetry::Today)));
        }
        for status in [408, 429, 503] {
            assert!(is_retryable(status, Some(PostRetry::Today)));
        }
        for status in [200, 302, 400, 401, 403, 404, 409, 501] {
            assert!(!is_retryable(status, None));
            assert!(!is_retryable(status, Some(PostRetry::Seed)));
        }
    }

    #[test]
    fn rules_of_calls() {
        for chosen in [PostRetry::Seed, PostRetry::Today] {
            assert_eq!((chosen.of_call(false), chosen.of_call(true)), (chosen, chosen));
        }
        assert_eq!(PostRetry::Auto.of_call(false), PostRetry::Seed);
        assert_eq!(PostRetry::Auto.of_call(true), PostRetry::Today);
    }
}
