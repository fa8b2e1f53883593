//! Points in time (`expires_at`, `decided_at`): what is written as the protocol writes it is read as the calendar has it,
//! and what is read can be written so.
//!
//! The input is the text.

use lime_core::Timestamp;

/// Texts that mean something here.
pub const WORDS: &[&str] = &[
    "2026-11-23T10:00:00Z",
    "+02:00",
    "-00:00",
    "+23:59",
    "Z",
    "T",
    "-",
    ":",
    ".",
    ",",
    "60",
    "24",
    "9999-12-31T23:59:59",
    "0001-01-01T00:00:00",
    "[UTC]",
    "[u-ca=hebrew]",
    "02-29",
    "+000000",
    "-000001",
    "\u{2212}",
    "W01",
    "−",
];

/// Runs the target once.
///
/// # Panics
/// When the library is wrong.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let read = Timestamp::parse(text);
    match plainly(text) {
        Plain::Time(unix_micros, offset_seconds) => {
            assert_eq!(read, Ok(Timestamp { unix_micros, offset_seconds }), "{text:?}");
        }
        Plain::None => assert!(read.is_err(), "{read:?} of {text:?}"),
        Plain::OtherForm => {}
    }
    let Ok(read) = read else { return };
    assert!(text.bytes().all(|byte| byte.is_ascii_digit() || b"TtZz:+-., ".contains(&byte)), "{text:?}");
    let written = write(read);
    let again = Timestamp::parse(&written);
    assert_eq!(again.map(|again| again.unix_micros), Ok(read.unix_micros), "{text:?} is {written}");
}

enum Plain {
    Time(i64, Option<i32>),
    /// Written as the protocol has it, and no point in time.
    None,
    /// One of the other forms of ISO 8601, or nothing at all.
    OtherForm,
}

/// `YYYY-MM-DDTHH:MM:SS`, a fraction, `Z` or an offset.
fn plainly(text: &str) -> Plain {
    let bytes = text.as_bytes();
    let shape = b"dddd-dd-ddTdd:dd:dd";
    if bytes.len() < shape.len()
        || !shape.iter().zip(bytes).all(|(want, byte)| match want {
            b'd' => byte.is_ascii_digit(),
            _ => want == byte,
        })
    {
        return Plain::OtherForm;
    }
    let number = |text: &str| text.parse::<i64>().unwrap();
    let at = |from: usize, to: usize| number(&text[from..to]);
    let (year, month, day) = (at(0, 4), at(5, 7), at(8, 10));
    let (hour, minute, second) = (at(11, 13), at(14, 16), at(17, 19));
    let mut rest = &text[19..];
    let mut micros = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if !(1..=9).contains(&digits) {
            return Plain::OtherForm;
        }
        micros = number(&format!("{:0<6}", &fraction[..digits])[..6]);
        rest = &fraction[digits..];
    }
    let offset = match rest.as_bytes() {
        b"" => None,
        b"Z" => Some(0),
        [sign @ (b'+' | b'-'), a, b, b':', c, d]
            if [a, b, c, d].iter().all(|digit| digit.is_ascii_digit()) =>
        {
            let seconds = number(&rest[1..3]) * 3600 + number(&rest[4..6]) * 60;
            if number(&rest[1..3]) > 23 || number(&rest[4..6]) > 59 {
                // How far offsets go is where writers differ.
                return Plain::OtherForm;
            }
            Some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => return Plain::OtherForm,
    };
    if second == 60 {
        // A leap second; not everybody knows them.
        return Plain::OtherForm;
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = usize::try_from(month - 1).ok().and_then(|month| lengths.get(month)).copied().unwrap_or(0);
    if year == 0 || !(1..=length).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return Plain::None;
    }
    let years = (1970..year).map(days_of).sum::<i64>() - (year..1970).map(days_of).sum::<i64>();
    let months = lengths.iter().take(usize::try_from(month - 1).unwrap()).sum::<i64>();
    let seconds = (years + months + day - 1) * 86_400 + hour * 3600 + minute * 60 + second;
    let unix_micros = (seconds - offset.unwrap_or(0)) * 1_000_000 + micros;
    // As UTC it must be a moment that can be written as well.
    if !(-62_135_596_800_000_000..=253_402_300_799_999_999).contains(&unix_micros) {
        return Plain::None;
    }
    Plain::Time(unix_micros, offset.map(|seconds| i32::try_from(seconds).unwrap()))
}

fn days_of(year: i64) -> i64 {
    if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) { 366 } else { 365 }
}

/// In UTC.
fn write(time: Timestamp) -> String {
    let (seconds, micros) = (time.unix_micros.div_euclid(1_000_000), time.unix_micros.rem_euclid(1_000_000));
    let (mut day, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // By counting, from a year that is before all of them.
    let mut year = 1;
    day += 719_162;
    while day >= days_of(year) {
        day -= days_of(year);
        year += 1;
    }
    let mut month = 1;
    for length in [31, days_of(year) - 337, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z", day + 1)
}
