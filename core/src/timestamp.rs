//! Points in time as the platform writes them: ISO 8601 with `Z` or an offset.

use jiff::fmt::temporal::DateTimeParser;

use crate::{Error, ErrorKind, Result};

/// A moment, and the offset that it was written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp {
    /// Microseconds since the Unix epoch; finer parts are cut off.
    pub unix_micros: i64,
    /// Seconds east of UTC, or `None` when the text has no offset (it is read as UTC then).
    pub offset_seconds: Option<i32>,
}

/// From the year 1 to the end of 9999, as UTC.
const FIRST_MICROS: i128 = -62_135_596_800_000_000;
const LAST_MICROS: i128 = 253_402_300_799_999_999;

impl Timestamp {
    /// Reads `2026-11-23T10:00:00Z`, `2026-11-23T12:00:00.250+02:00` and the like.
    ///
    /// # Errors
    /// [`ErrorKind::BadResponse`] when the text is no point in time.
    pub fn parse(text: &str) -> Result<Self> {
        static PARSER: DateTimeParser = DateTimeParser::new();
        let bad = || Error::new(ErrorKind::BadResponse, "Not an ISO 8601 point in time");
        let pieces = PARSER.parse_pieces(text).map_err(|_| bad())?;
        // `2026-11-23` alone, `…[Europe/Berlin]`, `…[u-ca=hebrew]` and the like are not of the protocol.
        let time = pieces.time().ok_or_else(bad)?;
        if text.contains('[') {
            return Err(bad());
        }
        let offset = pieces.to_numeric_offset();
        let civil = pieces.date().to_datetime(time);
        let offset_seconds = offset.map(jiff::tz::Offset::seconds);
        // The range that every language of ours can show.
        if civil.year() < 1 || offset_seconds.is_some_and(|seconds| seconds.abs() >= 24 * 3600) {
            return Err(bad());
        }
        let local = civil.duration_since(jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0));
        let micros = local.as_nanos().div_euclid(1000) - i128::from(offset_seconds.unwrap_or(0)) * 1_000_000;
        if !(FIRST_MICROS..=LAST_MICROS).contains(&micros) {
            return Err(bad());
        }
        Ok(Self { unix_micros: micros.try_into().map_err(|_| bad())?, offset_seconds })
    }

    /// Seconds since the Unix epoch, with the fraction.
    #[allow(clippy::cast_precision_loss)] // microseconds of this century fit a double
    pub fn unix_seconds(self) -> f64 {
        self.unix_micros as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_the_fraction() {
        assert!((Timestamp::parse("1970-01-01T00:00:01.25Z").unwrap().unix_seconds() - 1.25).abs() < 1e-9);
        assert!((Timestamp::parse("1969-12-31T23:59:59.5Z").unwrap().unix_seconds() + 0.5).abs() < 1e-9);
    }

    #[test]
    fn what_not_every_language_can_show_is_refused() {
        assert!(Timestamp::parse("0001-01-01T00:00:00Z").is_ok());
        assert!(Timestamp::parse("9999-12-31T23:59:59.999999Z").is_ok());
        assert_eq!(Timestamp::parse("2026-01-01T00:00:00-23:59").unwrap().offset_seconds, Some(-86_340));
        for bad in [
            "0000-12-31T23:59:59Z",
            "-000001-01-01T00:00:00Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00-25:00",
        ] {
            assert_eq!(Timestamp::parse(bad).unwrap_err().kind(), ErrorKind::BadResponse, "{bad}");
        }
    }
}
