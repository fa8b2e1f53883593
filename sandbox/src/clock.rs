//! The sandbox's clock: real time, moved and frozen on request.
//!
//! Everything that has a date – expiry of requests, claims of passports – reads this clock.
//! What belongs to the connection (keepalives, delays of faults) runs on real time.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::ControlError;

/// Ten years: far more than a test needs, and far from the edges of the date type.
const LIMIT_SECONDS: f64 = 10.0 * 365.25 * 86_400.0;

/// The clock's position, as the control API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClockState {
    /// The sandbox's time, ISO 8601.
    pub now: String,
    /// The same as whole Unix seconds.
    pub unix: i64,
    /// How far the clock was moved ahead of real time by `advance`.
    pub offset_seconds: f64,
    /// Whether the clock stands still.
    pub frozen: bool,
    /// Added to the time claims of passports only: a platform whose clock is wrong.
    pub skew_seconds: f64,
}

/// A change of the clock: what is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockChange {
    /// Moves the clock; negative moves it back.
    #[serde(default)]
    pub advance_seconds: Option<f64>,
    /// Stops the clock, or lets it run on from where it stood.
    #[serde(default)]
    pub freeze: Option<bool>,
    /// Sets the skew of the passports' time claims.
    #[serde(default)]
    pub skew_seconds: Option<f64>,
}

/// Real time plus an offset, or a standstill.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clock {
    offset: SignedDuration,
    frozen_at: Option<Timestamp>,
    skew: SignedDuration,
}

impl Clock {
    fn real(&self) -> Timestamp {
        self.frozen_at.unwrap_or_else(Timestamp::now)
    }

    /// The sandbox's time.
    pub(crate) fn now(&self) -> Timestamp {
        let real = self.real();
        real.checked_add(self.offset).unwrap_or(real)
    }

    /// The time that a passport minted now carries.
    pub(crate) fn passport_now(&self) -> Timestamp {
        let now = self.now();
        now.checked_add(self.skew).unwrap_or(now)
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen_at.is_some()
    }

    /// Applies a change, or none of it when a number makes no sense.
    pub(crate) fn apply(&mut self, change: &ClockChange) -> Result<(), ControlError> {
        let advance = change.advance_seconds.map(seconds).transpose()?;
        let skew = change.skew_seconds.map(seconds).transpose()?;
        if let Some(advance) = advance {
            let offset = self
                .offset
                .checked_add(advance)
                .filter(|offset| offset.as_secs_f64().abs() <= LIMIT_SECONDS)
                .ok_or_else(|| ControlError::invalid("the clock cannot be moved that far"))?;
            self.offset = offset;
        }
        if let Some(skew) = skew {
            self.skew = skew;
        }
        match (change.freeze, self.frozen_at) {
            (Some(true), None) => self.frozen_at = Some(Timestamp::now()),
            (Some(false), Some(at)) => {
                // The clock runs on from where it stood instead of jumping to catch up.
                let stood = Timestamp::now().duration_since(at);
                self.offset = self.offset.saturating_sub(stood);
                self.frozen_at = None;
            }
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn state(&self) -> ClockState {
        let now = self.now();
        ClockState {
            now: format!("{now:.6}"),
            unix: now.as_second(),
            offset_seconds: self.offset.as_secs_f64(),
            frozen: self.is_frozen(),
            skew_seconds: self.skew.as_secs_f64(),
        }
    }
}

fn seconds(value: f64) -> Result<SignedDuration, ControlError> {
    if !value.is_finite() || value.abs() > LIMIT_SECONDS {
        return Err(ControlError::invalid("seconds must be within ten years"));
    }
    SignedDuration::try_from_secs_f64(value).map_err(|_| ControlError::invalid("seconds must be a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advances_and_stands_still() {
        let mut clock = Clock::default();
        clock
            .apply(&ClockChange { freeze: Some(true), ..ClockChange::default() })
            .unwrap_or_else(|error| panic!("{error}"));
        let before = clock.now();
        assert_eq!(clock.now(), before);
        clock
            .apply(&ClockChange { advance_seconds: Some(120.5), ..ClockChange::default() })
            .unwrap_or_else(|error| panic!("{error}"));
        assert!((clock.now().duration_since(before).as_secs_f64() - 120.5).abs() < 1e-6);
        clock
            .apply(&ClockChange { freeze: Some(false), ..ClockChange::default() })
            .unwrap_or_else(|error| panic!("{error}"));
        let after = clock.now().duration_since(before).as_secs_f64();
        assert!((120.5..130.0).contains(&after), "{after}");
    }

    #[test]
    fn refuses_what_cannot_be_a_time() {
        let mut clock = Clock::default();
        for value in [f64::NAN, f64::INFINITY, 1e300, -1e300] {
            let change = ClockChange { advance_seconds: Some(value), ..ClockChange::default() };
            assert!(clock.apply(&change).is_err());
        }
        assert!(clock.state().offset_seconds.abs() < f64::EPSILON);
    }
}
