//! Webhooks that nobody wrote by hand: whatever arrives, it is accepted if and only if it must be, and
//! refused for the reason that comes first.
//!
//! What must be is said here once more, in other words: the HMAC is aws-lc's, times are integers, the
//! headers are lower-cased and searched. Only JSON and dates are read by what the library uses itself.

use std::sync::Arc;
use std::time::Duration;

use arbitrary::Arbitrary;
use aws_lc_rs::hmac;
use lime_core::clock::ManualClock;
use lime_core::sesame::webhook::{self, Refusal};
use lime_core::{Error, ErrorKind, ReplayGuard, Timestamp, WebhookVerifier};
use serde_json::{Map, Value as Json};

use crate::made;

#[derive(Arbitrary, Debug)]
struct Delivery {
    /// None stands for the one that signs.
    secrets: Option<Vec<Secret>>,
    headers: Headers,
    body: Body,
    /// A time near which things happen, so that ages are near the tolerance.
    now_seconds: u32,
    now_micros: u32,
    tolerance: Tolerance,
    guard: Option<(u16, u8)>,
}

#[derive(Arbitrary, Debug)]
enum Secret {
    Good,
    Other(u8),
    Bytes(Vec<u8>),
}

impl Secret {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Good => b"whsec_good".to_vec(),
            Self::Other(number) => format!("whsec_{number}").into_bytes(),
            Self::Bytes(bytes) => bytes.clone(),
        }
    }
}

#[derive(Arbitrary, Debug)]
enum Headers {
    /// One of each, and nothing wrong with them but what these say.
    Both {
        signature: (Spelling, u8, Form),
        timestamp: (Spelling, i16, Form),
    },
    Any(Vec<(Name, Value)>),
}

#[derive(Arbitrary, Debug)]
enum Name {
    Signature(Spelling),
    Timestamp(Spelling),
    Bytes(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
enum Spelling {
    Usual,
    Lower,
    Upper,
    Wsgi,
    /// The case of each letter.
    Mixed(u32),
    /// One byte is another.
    Almost(u8, u8),
    AlmostWsgi(u8, u8),
}

impl Name {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Signature(spelling) => spelling.of(webhook::SIGNATURE_HEADER),
            Self::Timestamp(spelling) => spelling.of(webhook::TIMESTAMP_HEADER),
            Self::Bytes(bytes) => bytes.clone(),
        }
    }
}

impl Spelling {
    fn of(&self, name: &str) -> Vec<u8> {
        let wsgi = || format!("HTTP_{}", name.to_uppercase().replace('-', "_")).into_bytes();
        let almost = |mut name: Vec<u8>, at: u8, byte: u8| {
            let at = usize::from(at) % name.len();
            name[at] = byte;
            name
        };
        match self {
            Self::Usual => name.into(),
            Self::Lower => name.to_lowercase().into(),
            Self::Upper => name.to_uppercase().into(),
            Self::Wsgi => wsgi(),
            Self::Mixed(bits) => {
                let letter = |(at, byte): (usize, u8)| match byte {
                    b'a'..=b'z' | b'A'..=b'Z' if bits >> at & 1 == 1 => byte ^ 0x20,
                    _ => byte,
                };
                name.bytes().enumerate().map(letter).collect()
            }
            Self::Almost(at, byte) => almost(name.into(), *at, *byte),
            Self::AlmostWsgi(at, byte) => almost(wsgi(), *at, *byte),
        }
    }
}

#[derive(Arbitrary, Debug)]
enum Value {
    /// The signature by one of the secrets, or by one that is none of them.
    Signature {
        by: u8,
        form: Form,
    },
    /// A time this far from now.
    Time {
        after_seconds: i16,
        form: Form,
    },
    Bytes(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
enum Form {
    Usual,
    Upper,
    /// One byte is another.
    Almost(u8, u8),
    Before(u8),
    After(u8),
    Cut(u8),
    /// With something before it that lax readers take.
    Lax(u8),
}

impl Form {
    fn of(&self, text: String) -> Vec<u8> {
        let mut bytes = text.into_bytes();
        match self {
            Self::Usual => {}
            Self::Upper => bytes.make_ascii_uppercase(),
            Self::Almost(at, byte) => {
                let at = usize::from(*at) % bytes.len().max(1);
                bytes[at] = *byte;
            }
            Self::Before(byte) => bytes.insert(0, *byte),
            Self::After(byte) => bytes.push(*byte),
            Self::Cut(length) => bytes.truncate(usize::from(*length)),
            Self::Lax(number) => {
                let before = ["+", " ", "\n", "-", "0x", "0", "_", "\u{a0}", "\u{660}", "sha256="];
                bytes.splice(0..0, before[usize::from(*number) % before.len()].bytes());
            }
        }
        bytes
    }
}

#[derive(Arbitrary, Debug)]
enum Body {
    Decided { approval: u8, before_seconds: i16, more: String },
    Object(Vec<(String, String)>),
    Text(String),
    Bytes(Vec<u8>),
}

impl Body {
    fn bytes(&self, now: u64) -> Vec<u8> {
        match self {
            Self::Decided { approval, before_seconds, more } => {
                // A day of 2025 or so, the second of it out of the clock.
                let second = i64::try_from(now).unwrap_or(0).saturating_sub(i64::from(*before_seconds));
                let (day, rest) = (second.div_euclid(86_400), second.rem_euclid(86_400));
                let date = date(day);
                let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
                let decided = format!("{date}T{hour:02}:{minute:02}:{second:02}Z");
                let more = Json::from(more.as_str());
                format!(r#"{{"approval_id":"ap_{approval}","decided_at":"{decided}","more":{more}}}"#).into()
            }
            Self::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.clone(), Json::from(value.as_str())));
                Json::Object(fields.collect()).to_string().into()
            }
            Self::Text(text) => text.as_bytes().to_vec(),
            Self::Bytes(bytes) => bytes.clone(),
        }
    }
}

/// The date of a day since 1970, by counting.
fn date(mut day: i64) -> String {
    let mut year = 1970;
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while day < 0 {
        year -= 1;
        day += 365 + i64::from(leap(year));
    }
    while day >= 365 + i64::from(leap(year)) {
        day -= 365 + i64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", day + 1)
}

#[derive(Arbitrary, Debug)]
enum Tolerance {
    Usual,
    Seconds(i16),
    Millis(u64),
}

fn hmac_hex(secret: &[u8], body: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), body);
    let digits =
        |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]));
    tag.as_ref().iter().flat_map(digits).collect()
}

/// The delivery as bytes and numbers.
struct Made {
    secrets: Vec<Vec<u8>>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
    now: Duration,
    tolerance: Duration,
    horizon: Option<Duration>,
}

impl Made {
    /// What must come out of it, when the guard has seen nothing yet.
    fn verdict(&self) -> Result<(Map<String, Json>, u64), Refusal> {
        let blank = |secret: &Vec<u8>| secret.iter().all(|byte| matches!(byte, 9 | 10 | 12 | 13 | 32));
        if self.secrets.is_empty() || self.secrets.iter().any(blank) {
            return Err(Refusal::EmptySecret);
        }
        let found = |name: &str| -> Vec<&[u8]> {
            let wsgi = format!("HTTP_{}", name.replace('-', "_").to_uppercase());
            let is_it = |given: &[u8]| {
                given.to_ascii_lowercase() == name.to_lowercase().as_bytes() || given == wsgi.as_bytes()
            };
            self.headers.iter().filter(|(name, _)| is_it(name)).map(|(_, value)| value.as_slice()).collect()
        };
        let (signatures, timestamps) = (found("X-Sesame-Signature"), found("X-Sesame-Timestamp"));
        let missing = |values: &[&[u8]]| matches!(values, [] | [b""]);
        if missing(&signatures) || missing(&timestamps) {
            return Err(Refusal::MissingHeader);
        }
        let ([signature], [timestamp]) = (&*signatures, &*timestamps) else {
            return Err(Refusal::MalformedHeader);
        };
        if signature.len() != 64 || !signature.iter().all(u8::is_ascii_hexdigit) {
            return Err(Refusal::MalformedHeader);
        }
        let sent = timestamp.iter().try_fold(0_u64, |sum, byte| match byte {
            b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
            _ => None,
        });
        let sent = sent.ok_or(Refusal::MalformedHeader)?;
        let nanos = |time: Duration| i128::try_from(time.as_nanos()).expect("a u64 of seconds fits");
        let age = nanos(self.now) - i128::from(sent) * 1_000_000_000;
        if age > nanos(self.tolerance) {
            return Err(Refusal::TooOld);
        }
        if -age > nanos(self.tolerance) {
            return Err(Refusal::TooNew);
        }
        let given = signature.to_ascii_lowercase();
        if !self.secrets.iter().any(|secret| hmac_hex(secret, &self.body).as_bytes() == given) {
            return Err(Refusal::Mismatch);
        }
        let payload = match serde_json::from_slice(&self.body) {
            Ok(Json::Object(payload)) => payload,
            Ok(_) => return Err(Refusal::NotAnObject),
            Err(_) => return Err(Refusal::NotJson),
        };
        if let Some(horizon) = self.horizon {
            let decided = payload.get("decided_at").and_then(Json::as_str).map(Timestamp::parse);
            let oldest = (nanos(self.now) / 1000) - nanos(horizon) / 1000;
            match decided {
                Some(Ok(decided)) if i128::from(decided.unix_micros) >= oldest => {}
                _ => return Err(Refusal::Undatable),
            }
        }
        Ok((payload, sent))
    }
}

impl Delivery {
    fn made(&self) -> Made {
        let now_seconds = u64::from(self.now_seconds);
        let secrets = self.secrets.as_deref().unwrap_or(&[Secret::Good]);
        let secrets: Vec<_> = secrets.iter().map(Secret::bytes).collect();
        let body = self.body.bytes(now_seconds);
        let signature = |by: u8, form: &Form| {
            let secret = secrets.get(usize::from(by)).cloned().unwrap_or_else(|| b"nobody's".to_vec());
            form.of(hmac_hex(&secret, &body))
        };
        let time = |after_seconds: i16, form: &Form| {
            form.of(now_seconds.saturating_add_signed(i64::from(after_seconds)).to_string())
        };
        let value = |value: &Value| match value {
            Value::Signature { by, form } => signature(*by, form),
            Value::Time { after_seconds, form } => time(*after_seconds, form),
            Value::Bytes(bytes) => bytes.clone(),
        };
        let headers = match &self.headers {
            Headers::Any(headers) => {
                headers.iter().map(|(name, given)| (name.bytes(), value(given))).collect()
            }
            Headers::Both { signature: (spelling, by, form), timestamp: (other, after, other_form) } => vec![
                (spelling.of(webhook::SIGNATURE_HEADER), signature(*by, form)),
                (other.of(webhook::TIMESTAMP_HEADER), time(*after, other_form)),
            ],
        };
        Made {
            headers,
            secrets,
            body,
            now: Duration::from_secs(now_seconds)
                + Duration::from_micros(u64::from(self.now_micros % 1_000_000)),
            tolerance: match self.tolerance {
                Tolerance::Usual => webhook::DEFAULT_TOLERANCE,
                Tolerance::Seconds(seconds) => Duration::from_secs(u64::from(seconds.unsigned_abs())),
                Tolerance::Millis(millis) => Duration::from_millis(millis),
            },
            horizon: self.guard.map(|(seconds, _)| Duration::from_secs(u64::from(seconds))),
        }
    }
}

fn reason(error: &Error) -> Refusal {
    assert_eq!(error.kind(), ErrorKind::Webhook, "{error:?}");
    let named = |refusal: &&Refusal| Some(refusal.name()) == error.code();
    *Refusal::ALL.iter().find(named).unwrap_or_else(|| panic!("no reason: {error:?}"))
}

/// Runs the target once.
///
/// # Panics
/// When the library is wrong.
pub fn run(data: &[u8]) {
    let Some(delivery) = made::<Delivery>(data) else { return };
    let made = delivery.made();
    let mut verifier = WebhookVerifier::new(&made.secrets)
        .tolerance(made.tolerance)
        .clock(Arc::new(ManualClock::at(made.now)));
    let guard = delivery
        .guard
        .zip(made.horizon)
        .map(|((_, capacity), horizon)| ReplayGuard::new(horizon, usize::from(capacity)));
    if let Some(guard) = &guard {
        verifier = verifier.replay_guard(guard.clone());
    }
    let verify = || {
        let headers = made.headers.iter().map(|(name, value)| (name, value));
        verifier.verify(headers, &made.body)
    };
    let outcome = verify();
    let got = outcome.as_ref().map(|webhook| (webhook.payload.clone(), webhook.timestamp)).map_err(reason);
    assert_eq!(got, made.verdict());

    // The same once more: a guard lets it in once, and again when it was told to forget it.
    let Ok(first) = &outcome else {
        assert!(guard.is_none_or(|guard| !guard.forget(&made.body)));
        return;
    };
    match &guard {
        None => assert_eq!(verify().as_ref(), Ok(first)),
        Some(guard) => {
            assert_eq!(verify().map_err(|error| reason(&error)), Err(Refusal::Replayed));
            assert!(guard.forget(&made.body) && !guard.forget(&made.body));
            assert_eq!(verify().as_ref(), Ok(first));
        }
    }
}
