//! When a stream that is silent counts as dead: a connection whose other end is gone without a word is open for ever.

use std::time::Duration;

/// The platform sends something at least this often on a living stream.
const LONGEST_PATIENCE: Duration = Duration::from_secs(310);
const SHORTEST_PATIENCE: Duration = Duration::from_secs(10);
/// Keepalives closer together than that are one: some servers greet with several.
const SHORTEST_PERIOD: Duration = Duration::from_secs(1);
/// So many periods have to be seen before they count.
const PERIODS: u32 = 3;

/// Watches one connection. Any byte shows that it lives. A platform that sends keepalives (comments, or frames of that
/// type) is given the time of three of them, from when they are seen to come in turn.
#[derive(Debug)]
pub(super) struct Watchdog {
    heard_at: Duration,
    kept_alive_at: Option<Duration>,
    longest: Duration,
    periods: u32,
}

impl Watchdog {
    pub(super) fn new(now: Duration) -> Self {
        Self { heard_at: now, kept_alive_at: None, longest: Duration::ZERO, periods: 0 }
    }

    /// Something has arrived.
    pub(super) fn heard(&mut self, now: Duration) {
        self.heard_at = now;
    }

    /// A keepalive has arrived.
    pub(super) fn kept_alive(&mut self, now: Duration) {
        if let Some(before) = self.kept_alive_at {
            let period = now.saturating_sub(before);
            if period < SHORTEST_PERIOD {
                return;
            }
            self.longest = self.longest.max(period);
            self.periods = self.periods.saturating_add(1);
        }
        self.kept_alive_at = Some(now);
    }

    /// Nobody has listened for a while, so what was or was not heard until now says nothing.
    pub(super) fn listens_again(&mut self, now: Duration) {
        self.heard_at = now;
        self.kept_alive_at = None;
    }

    /// When the connection counts as dead unless something arrives before.
    pub(super) fn deadline(&self) -> Duration {
        let patience = if self.periods < PERIODS {
            LONGEST_PATIENCE
        } else {
            (3 * self.longest.min(LONGEST_PATIENCE)).clamp(SHORTEST_PATIENCE, LONGEST_PATIENCE)
        };
        self.heard_at + patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// With keepalives at these moments.
    fn after(keepalives: &[u64]) -> Watchdog {
        let mut watchdog = Watchdog::new(at(0));
        for keepalive in keepalives {
            watchdog.heard(at(*keepalive));
            watchdog.kept_alive(at(*keepalive));
        }
        watchdog
    }

    #[test]
    fn without_keepalives_it_is_as_long_as_the_protocol_gives() {
        assert_eq!(Watchdog::new(at(7)).deadline(), at(317));
        assert_eq!(after(&[15, 30, 45]).deadline(), at(45 + 310), "two periods are chance");
        let mut watchdog = Watchdog::new(at(0));
        for second in 1..=100 {
            watchdog.heard(at(second)); // events, however regular
        }
        assert_eq!(watchdog.deadline(), at(410));
    }

    #[test]
    fn it_is_three_of_the_longest_period_that_was_seen() {
        assert_eq!(after(&[0, 15, 30, 45]).deadline(), at(45 + 45));
        assert_eq!(after(&[0, 15, 30, 50]).deadline(), at(50 + 60));
        assert_eq!(after(&[0, 2, 4, 6]).deadline(), at(6 + 10), "not shorter than that");
        assert_eq!(after(&[0, 200, 400, 600]).deadline(), at(600 + 310), "nor longer");
        let mut watchdog = after(&[0, 15, 30, 45]);
        watchdog.heard(at(59));
        assert_eq!(watchdog.deadline(), at(59 + 45), "any byte will do");
    }

    #[test]
    fn a_greeting_of_several_is_one() {
        assert_eq!(after(&[0, 0, 0, 0, 0]).deadline(), at(310));
        let mut watchdog = Watchdog::new(at(0));
        for tenth in 0..40 {
            watchdog.kept_alive(Duration::from_millis(100 * tenth));
        }
        assert_eq!((watchdog.periods, watchdog.longest), (3, at(1)), "a second each, and not the tenths");
    }

    #[test]
    fn what_nobody_listened_to_was_not_silent() {
        let mut watchdog = after(&[0, 15, 30]);
        watchdog.listens_again(at(400));
        assert_eq!(watchdog.deadline(), at(710));
        watchdog.kept_alive(at(400));
        assert_eq!(watchdog.deadline(), at(710), "that is no period of 370 s");
        watchdog.kept_alive(at(415));
        assert_eq!(watchdog.deadline(), at(445));
    }
}
