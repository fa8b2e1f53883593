//! Webhooks: the broker reports a decision by a POST that is signed with a shared secret.
//!
//! The signature covers the raw body, and only that: hand over the bytes as they arrived, not what a
//! framework made of them.
//!
//! # Replays
//!
//! The wire does not sign the timestamp. Whoever has once seen a delivery can send its body again,
//! signature and all, with a fresh timestamp, at any later time; `tolerance` does not stop that. The
//! remedies, best first:
//!
//! 1. Treat a webhook as a hint: read the approval from the broker ([`Sesame::get`](super::Sesame::get))
//!    and act on that, once for each `approval_id`.
//! 2. Record each `approval_id` where the decision takes effect, in the same transaction.
//! 3. Give the verifier a [`ReplayGuard`], which does the same in this process's memory.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::clock::{Clock, SystemClock};
use crate::process::PerProcess;
use crate::timestamp::Timestamp;
use crate::{Error, ErrorKind, Result, json as fields};

/// The header with the lower-case hexadecimal HMAC-SHA256 of the raw body.
pub const SIGNATURE_HEADER: &str = "X-Sesame-Signature";
/// The header with the Unix seconds at which the broker sent it.
pub const TIMESTAMP_HEADER: &str = "X-Sesame-Timestamp";

/// How far the timestamp may lie in the past or in the future, if nothing else is said.
pub const DEFAULT_TOLERANCE: Duration = Duration::from_secs(300);

/// Why a webhook is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// A secret is empty or nothing but white space, or there is none.
    EmptySecret,
    /// One of the two headers is not there, or empty.
    MissingHeader,
    /// A header is there twice, the signature is not 64 hexadecimal digits, or the timestamp is not
    /// ASCII digits.
    MalformedHeader,
    /// The timestamp is older than the tolerance allows.
    TooOld,
    /// The timestamp is further in the future than the tolerance allows.
    TooNew,
    /// No secret gives this signature.
    Mismatch,
    /// The body is signed, but no JSON.
    NotJson,
    /// The body is signed, but no JSON object.
    NotAnObject,
    /// The replay guard has let this body in before.
    Replayed,
    /// The replay guard cannot tell: the body has no `decided_at`, or one that lies further back than
    /// the guard remembers.
    Undatable,
}

impl Refusal {
    /// Every reason, in the order in which they are looked for.
    pub const ALL: &'static [Self] = &[
        Self::EmptySecret,
        Self::MissingHeader,
        Self::MalformedHeader,
        Self::TooOld,
        Self::TooNew,
        Self::Mismatch,
        Self::NotJson,
        Self::NotAnObject,
        Self::Replayed,
        Self::Undatable,
    ];

    /// The reason's name in `snake_case`, which is the error's code.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EmptySecret => "empty_secret",
            Self::MissingHeader => "missing_header",
            Self::MalformedHeader => "malformed_header",
            Self::TooOld => "too_old",
            Self::TooNew => "too_new",
            Self::Mismatch => "mismatch",
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::Replayed => "replayed",
            Self::Undatable => "undatable",
        }
    }

    fn error(self, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Webhook, message).with_code(self.name())
    }
}

/// A webhook that can be trusted.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// The whole payload.
    pub payload: Map<String, Value>,
    /// What the timestamp header said, in Unix seconds. It is not signed.
    pub timestamp: u64,
}

impl Webhook {
    /// A field of the payload that is a text.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.payload.get(field)?.as_str()
    }

    /// The approval that was decided.
    pub fn approval_id(&self) -> Option<&str> {
        self.text("approval_id")
    }

    /// The decision: `approved`, `denied` or `expired`.
    pub fn status(&self) -> Option<&str> {
        self.text("status")
    }

    /// When it was decided.
    pub fn decided_at(&self) -> Option<Timestamp> {
        fields::optional_text(&self.payload, "decided_at").and_then(|text| Timestamp::parse(&text).ok())
    }
}

/// Verifies webhooks. Cheap to clone; safe to use from any thread.
///
/// ```
/// use lime_core::{WebhookVerifier, clock::Clock, clock::SystemClock, sesame::webhook};
///
/// let now = SystemClock::default().unix().as_secs();
/// let body = br#"{"approval_id":"ap_1","action":"db.delete","status":"approved"}"#;
/// let signed = webhook::sign(body, b"whsec_1", now)?;
///
/// let verifier = WebhookVerifier::new(["whsec_2", "whsec_1"]); // both, while one replaces the other
/// let webhook = verifier.verify(signed.headers(), body)?;
/// assert_eq!(webhook.status(), Some("approved"));
/// # Ok::<(), lime_core::Error>(())
/// ```
#[derive(Clone)]
pub struct WebhookVerifier {
    secrets: Vec<Zeroizing<Vec<u8>>>,
    tolerance: Duration,
    clock: Arc<dyn Clock>,
    guard: Option<ReplayGuard>,
}

impl WebhookVerifier {
    /// A verifier for one secret or several; any of them may have signed, as while a secret is being
    /// replaced. It takes the machine's clock and a tolerance of 300 s.
    pub fn new<S: AsRef<[u8]>>(secrets: impl IntoIterator<Item = S>) -> Self {
        Self {
            secrets: secrets.into_iter().map(|secret| Zeroizing::new(secret.as_ref().to_vec())).collect(),
            tolerance: DEFAULT_TOLERANCE,
            clock: Arc::new(SystemClock::default()),
            guard: None,
        }
    }

    /// Adds a secret that may have signed, too.
    #[must_use]
    pub fn secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.secrets.push(Zeroizing::new(secret.as_ref().to_vec()));
        self
    }

    /// Sets how far the timestamp may lie in the past or in the future.
    #[must_use]
    pub fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Takes the time from this clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Lets every body in once only.
    #[must_use]
    pub fn replay_guard(mut self, guard: ReplayGuard) -> Self {
        self.guard = Some(guard);
        self
    }

    /// Verifies one delivery: `headers` as name and value, in any case and any order (also the names
    /// of a CGI or WSGI environment), and the raw `body`.
    ///
    /// # Errors
    /// [`ErrorKind::Webhook`] whatever is wrong; the code is the [name](Refusal::name) of a [`Refusal`].
    /// Of several things that are wrong, the first in the order of [`Refusal`] is reported.
    pub fn verify<N, V>(&self, headers: impl IntoIterator<Item = (N, V)>, body: &[u8]) -> Result<Webhook>
    where
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let (payload, timestamp) =
            self.verify_as(headers, body, |body| match serde_json::from_slice(body) {
                Ok(Value::Object(payload)) => {
                    let decided_at = fields::optional_text(&payload, "decided_at");
                    Ok((payload, decided_at))
                }
                Ok(_) => Err(Refusal::NotAnObject),
                Err(_) => Err(Refusal::NotJson),
            })?;
        Ok(Webhook { payload, timestamp })
    }

    /// Like [`verify`](Self::verify), for a binding that makes objects of its own language of the body at
    /// once: `parse` gives the payload and its field `decided_at`, if that is a text, or why it is none.
    /// It is called only when the body can be trusted. The second thing that comes back is the time of the
    /// timestamp header, in Unix seconds.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_as<N, V, P>(
        &self,
        headers: impl IntoIterator<Item = (N, V)>,
        body: &[u8],
        parse: impl FnOnce(&[u8]) -> Result<(P, Option<String>), Refusal>,
    ) -> Result<(P, u64)>
    where
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        check_secrets(&self.secrets)?;
        let Delivery { signature, timestamp } = Delivery::read(headers)?;
        let now = self.clock.unix();
        self.check_age(timestamp, now)?;
        if !self.is_signed(body, &signature) {
            return Err(Refusal::Mismatch.error("Webhook signature mismatch"));
        }
        let (payload, decided_at) = parse(body).map_err(|refusal| {
            refusal.error(match refusal {
                Refusal::NotAnObject => "Webhook body is not a JSON object",
                _ => "Webhook body is not valid JSON",
            })
        })?;
        if let Some(guard) = &self.guard {
            guard.admit(body, decided_at.and_then(|text| Timestamp::parse(&text).ok()), now)?;
        }
        Ok((payload, timestamp))
    }

    fn check_age(&self, timestamp: u64, now: Duration) -> Result<()> {
        let sent = Duration::from_secs(timestamp);
        let outside = |what: &str| format!("Webhook timestamp outside tolerance window: {what}");
        if now.saturating_sub(sent) > self.tolerance {
            return Err(Refusal::TooOld.error(outside("it is too old")));
        }
        if sent.saturating_sub(now) > self.tolerance {
            return Err(Refusal::TooNew.error(outside("it lies in the future")));
        }
        Ok(())
    }

    /// Every secret is tried, so that the time does not tell which one signed; each comparison takes the
    /// same time wherever the first difference is.
    fn is_signed(&self, body: &[u8], signature: &[u8; 32]) -> bool {
        self.secrets.iter().fold(false, |found, secret| {
            let matches = mac(secret).chain_update(body).verify_slice(signature).is_ok();
            found | matches
        })
    }
}

impl fmt::Debug for WebhookVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookVerifier")
            .field("secrets", &self.secrets.len())
            .field("tolerance", &self.tolerance)
            .finish_non_exhaustive()
    }
}

/// What the two headers say.
struct Delivery {
    signature: [u8; 32],
    timestamp: u64,
}

impl Delivery {
    fn read<N, V>(headers: impl IntoIterator<Item = (N, V)>) -> Result<Self>
    where
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let (mut signature, mut timestamp) = (Found::NOTHING, Found::NOTHING);
        for (name, value) in headers {
            if is_named(name.as_ref(), SIGNATURE_HEADER) {
                signature.add(value);
            } else if is_named(name.as_ref(), TIMESTAMP_HEADER) {
                timestamp.add(value);
            }
        }
        // Both must be there before either is read: a missing header is the more telling fault.
        signature.require(SIGNATURE_HEADER)?;
        timestamp.require(TIMESTAMP_HEADER)?;
        Ok(Self {
            signature: signature.read(SIGNATURE_HEADER, unhex)?,
            timestamp: timestamp.read(TIMESTAMP_HEADER, digits)?,
        })
    }
}

/// What was found of one header.
struct Found<V> {
    first: Option<V>,
    repeated: bool,
}

impl<V: AsRef<[u8]>> Found<V> {
    const NOTHING: Self = Self { first: None, repeated: false };

    fn add(&mut self, value: V) {
        self.repeated = self.first.is_some();
        self.first.get_or_insert(value);
    }

    fn require(&self, header: &str) -> Result<()> {
        let there = self.first.as_ref().is_some_and(|value| self.repeated || !value.as_ref().is_empty());
        there.then_some(()).ok_or_else(|| Refusal::MissingHeader.error(format!("Missing {header} header")))
    }

    fn read<T>(self, header: &str, parse: impl FnOnce(&[u8]) -> Option<T>) -> Result<T> {
        let value = self.first.filter(|_| !self.repeated);
        value
            .and_then(|value| parse(value.as_ref()))
            .ok_or_else(|| Refusal::MalformedHeader.error(format!("Invalid {header} header")))
    }
}

/// Whether a header of this name is one of the two that [`WebhookVerifier::verify`] looks at: a binding
/// need not convert the others.
pub fn concerns(name: &[u8]) -> bool {
    is_named(name, SIGNATURE_HEADER) || is_named(name, TIMESTAMP_HEADER)
}

/// As HTTP has it, or as a CGI or WSGI environment spells it: `HTTP_X_SESAME_SIGNATURE`.
fn is_named(name: &[u8], header: &str) -> bool {
    name.eq_ignore_ascii_case(header.as_bytes())
        || name.strip_prefix(b"HTTP_").is_some_and(|name| {
            name.len() == header.len()
                && name.iter().zip(header.bytes()).all(|(a, b)| match b {
                    b'-' => *a == b'_',
                    _ => *a == b.to_ascii_uppercase(),
                })
        })
}

fn unhex(text: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(0)? << 4 | digit(1)?;
    }
    Some(bytes)
}

/// ASCII digits and nothing else: no sign, no spaces, no separators, no digits of other scripts.
fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn check_secrets<S: AsRef<[u8]>>(secrets: &[S]) -> Result<()> {
    if secrets.is_empty() || secrets.iter().any(|secret| secret.as_ref().trim_ascii().is_empty()) {
        return Err(Refusal::EmptySecret.error("The webhook secret is empty: anybody could sign with it"));
    }
    Ok(())
}

fn mac(secret: &[u8]) -> Hmac<Sha256> {
    // An HMAC takes keys of any length.
    Hmac::new_from_slice(secret).unwrap_or_else(|_| unreachable!("HMAC refused a key"))
}

/// What the broker puts beside a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The value of [`SIGNATURE_HEADER`].
    pub signature: String,
    /// The value of [`TIMESTAMP_HEADER`].
    pub timestamp: String,
}

impl Signed {
    /// The two headers, as name and value.
    pub fn headers(&self) -> [(&'static str, &str); 2] {
        [(SIGNATURE_HEADER, &self.signature), (TIMESTAMP_HEADER, &self.timestamp)]
    }
}

/// Signs a body as the broker does: for the tests of programs that receive webhooks.
///
/// `timestamp` is the time of sending in Unix seconds.
///
/// # Errors
/// [`ErrorKind::Webhook`] with the code `empty_secret` when the secret is empty or white space.
pub fn sign(body: &[u8], secret: &[u8], timestamp: u64) -> Result<Signed> {
    check_secrets(&[secret])?;
    let bytes = mac(secret).chain_update(body).finalize().into_bytes();
    let mut signature = String::with_capacity(64);
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            signature.extend(char::from_digit(u32::from(digit), 16));
        }
    }
    Ok(Signed { signature, timestamp: timestamp.to_string() })
}

/// Lets each webhook body in once. Cheap to clone: all clones remember the same.
///
/// It remembers bodies by their hash and, so that it need not remember them for ever, refuses those
/// whose `decided_at` (which is signed) lies further back than it remembers. Memory is bounded: when
/// there are too many bodies the oldest are forgotten, and everything as old as they are is refused.
///
/// It knows one process only. Where several receive, or one restarts, use the other remedies of the
/// [module](self).
#[derive(Clone)]
pub struct ReplayGuard(Arc<Guard>);

struct Guard {
    horizon: Duration,
    capacity: usize,
    memory: PerProcess<Mutex<Memory>>,
}

#[derive(Default)]
struct Memory {
    /// When what was decided, by the body's hash.
    decided: HashMap<[u8; 32], i64>,
    /// The same, oldest first.
    order: BTreeSet<(i64, [u8; 32])>,
    /// What was decided at this time or before cannot be told apart any more.
    floor: Option<i64>,
}

impl Default for ReplayGuard {
    fn default() -> Self {
        Self::new(Duration::from_secs(24 * 3600), 100_000)
    }
}

impl ReplayGuard {
    /// A guard that remembers decisions of the last `horizon`, and `capacity` of them at most. The
    /// default is a day and 100,000, which is some 15 MB when it is full.
    pub fn new(horizon: Duration, capacity: usize) -> Self {
        let memory = PerProcess::default();
        Self(Arc::new(Guard { horizon, capacity: capacity.max(1), memory }))
    }

    /// Lets a body in again: for a receiver that could not handle it, answers with an error and will be
    /// sent it once more. Returns whether it had been let in.
    pub fn forget(&self, body: &[u8]) -> bool {
        let hash: [u8; 32] = Sha256::digest(body).into();
        self.with(|memory| {
            let decided = memory.decided.remove(&hash);
            decided.is_some_and(|decided| memory.order.remove(&(decided, hash)))
        })
    }

    fn admit(&self, body: &[u8], decided_at: Option<Timestamp>, now: Duration) -> Result<()> {
        let Some(decided) = decided_at.map(|time| time.unix_micros) else {
            return Err(Refusal::Undatable.error("Webhook body has no decided_at to tell a replay by"));
        };
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let oldest = micros(now).saturating_sub(micros(self.0.horizon));
        let hash: [u8; 32] = Sha256::digest(body).into();
        self.with(|memory| {
            memory.forget_until(oldest);
            if memory.decided.contains_key(&hash) {
                return Err(Refusal::Replayed.error("Webhook was delivered before"));
            }
            if decided < oldest || memory.floor.is_some_and(|floor| decided <= floor) {
                return Err(Refusal::Undatable.error("Webhook was decided too long ago to tell a replay"));
            }
            memory.decided.insert(hash, decided);
            memory.order.insert((decided, hash));
            if memory.order.len() > self.0.capacity
                && let Some((decided, hash)) = memory.order.pop_first()
            {
                memory.drop_oldest(decided, &hash);
            }
            Ok(())
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Memory) -> T) -> T {
        let memory = self.0.memory.get();
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut memory)
    }
}

impl Memory {
    /// What is older is refused by its date, and need not be remembered.
    fn forget_until(&mut self, oldest: i64) {
        while let Some((decided, hash)) = self.order.first().copied() {
            if decided >= oldest {
                break;
            }
            self.order.pop_first();
            self.drop_oldest(decided, &hash);
        }
    }

    fn drop_oldest(&mut self, decided: i64, hash: &[u8; 32]) {
        self.decided.remove(hash);
        self.floor = self.floor.max(Some(decided));
    }
}

impl fmt::Debug for ReplayGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayGuard")
            .field("horizon", &self.0.horizon)
            .field("capacity", &self.0.capacity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const NOW: u64 = 1_800_000_000;

    fn verifier(guard: &ReplayGuard, now: u64) -> WebhookVerifier {
        let clock = Arc::new(ManualClock::at(Duration::from_secs(now)));
        WebhookVerifier::new(["secret"]).clock(clock).replay_guard(guard.clone())
    }

    fn body(approval: u32, decided: u64) -> Vec<u8> {
        let decided = jiff::Timestamp::from_second(i64::try_from(decided).unwrap()).unwrap();
        format!(r#"{{"approval_id":"ap_{approval}","status":"approved","decided_at":"{decided}"}}"#)
            .into_bytes()
    }

    fn deliver(guard: &ReplayGuard, body: &[u8], now: u64) -> std::result::Result<(), String> {
        let signed = sign(body, b"secret", now).unwrap();
        let verified = verifier(guard, now).verify(signed.headers(), body);
        verified.map(|_| ()).map_err(|error| error.code().unwrap().to_owned())
    }

    #[test]
    fn a_replay_with_a_fresh_timestamp_is_refused_at_any_later_time() {
        let guard = ReplayGuard::new(Duration::from_secs(3600), 1000);
        let first = body(1, NOW);
        assert_eq!(deliver(&guard, &first, NOW), Ok(()));
        for later in [0, 1, 3599, 3600] {
            assert_eq!(deliver(&guard, &first, NOW + later), Err("replayed".to_owned()), "{later}");
        }
        for later in [3601, 1_000_000] {
            assert_eq!(deliver(&guard, &first, NOW + later), Err("undatable".to_owned()), "{later}");
        }
        // Also when the clock goes back to a time at which it would have been fresh.
        assert_eq!(deliver(&guard, &first, NOW), Err("undatable".to_owned()));
    }

    #[test]
    fn what_could_not_be_handled_is_let_in_again() {
        let guard = ReplayGuard::default();
        let first = body(1, NOW);
        assert!(!guard.forget(&first));
        assert_eq!(deliver(&guard, &first, NOW), Ok(()));
        assert!(guard.clone().forget(&first));
        assert_eq!(deliver(&guard, &first, NOW), Ok(()));
        assert_eq!(deliver(&guard, &first, NOW), Err("replayed".to_owned()));
    }

    #[test]
    fn memory_is_bounded_and_what_is_forgotten_is_refused() {
        let guard = ReplayGuard::new(Duration::from_secs(3600), 2);
        for approval in 1..=3 {
            assert_eq!(deliver(&guard, &body(approval, NOW + u64::from(approval)), NOW), Ok(()));
        }
        assert_eq!(deliver(&guard, &body(1, NOW + 1), NOW), Err("undatable".to_owned()));
        assert_eq!(deliver(&guard, &body(2, NOW + 2), NOW), Err("replayed".to_owned()));
        guard.with(|memory| assert_eq!((memory.decided.len(), memory.order.len()), (2, 2)));
    }

    #[test]
    fn a_refused_body_is_not_remembered_and_one_without_a_date_is_refused() {
        let guard = ReplayGuard::default();
        let first = body(1, NOW);
        let forged = sign(&first, b"other", NOW).unwrap();
        let refused = verifier(&guard, NOW).verify(forged.headers(), &first).unwrap_err();
        assert_eq!(refused.code(), Some("mismatch"));
        assert_eq!(deliver(&guard, &first, NOW), Ok(()));
        assert_eq!(deliver(&guard, b"{}", NOW), Err("undatable".to_owned()));
        assert_eq!(deliver(&guard, br#"{"decided_at":"soon"}"#, NOW), Err("undatable".to_owned()));
    }

    #[test]
    fn debug_shows_no_secret() {
        let verifier = WebhookVerifier::new(["whsec_1"]);
        let shown = format!("{verifier:?}");
        assert!(shown.starts_with("WebhookVerifier { secrets: 1, ") && !shown.contains("whsec_1"), "{shown}");
        let guard = ReplayGuard::new(Duration::from_secs(60), 2);
        assert_eq!(deliver(&guard, &body(7, NOW), NOW), Ok(()));
        let shown = format!("{guard:?}");
        assert!(shown.contains("60s") && !shown.contains("ap_7"), "{shown}");
    }

    #[test]
    fn a_webhook_says_what_was_decided() {
        let read = |body: &[u8]| {
            let signed = sign(body, b"new", NOW).unwrap();
            let clock = Arc::new(ManualClock::at(Duration::from_secs(NOW)));
            // While a secret is being replaced, either may have signed.
            WebhookVerifier::new(["old"]).secret("new").clock(clock).verify(signed.headers(), body).unwrap()
        };
        let webhook = read(&body(7, NOW));
        assert_eq!((webhook.approval_id(), webhook.status()), (Some("ap_7"), Some("approved")));
        assert_eq!(webhook.decided_at().unwrap().unix_micros, i64::try_from(NOW).unwrap() * 1_000_000);
        assert_eq!(webhook.timestamp, NOW);
        let webhook = read(br#"{"approval_id":7,"decided_at":"soon"}"#);
        assert_eq!((webhook.approval_id(), webhook.status(), webhook.decided_at()), (None, None, None));
    }

    #[test]
    fn a_refusal_says_what_the_body_is_not() {
        for (body, code, what) in
            [(&b"[]"[..], "not_an_object", "is not a JSON object"), (b"{", "not_json", "is not valid JSON")]
        {
            let guard = ReplayGuard::default();
            let signed = sign(body, b"secret", NOW).unwrap();
            let error = verifier(&guard, NOW).verify(signed.headers(), body).unwrap_err();
            assert_eq!(error.code(), Some(code));
            assert!(error.message().contains(what), "{error}");
        }
    }

    #[test]
    fn two_headers_concern_a_verifier_in_any_spelling() {
        for name in [SIGNATURE_HEADER, TIMESTAMP_HEADER] {
            let cgi = format!("HTTP_{}", name.to_uppercase().replace('-', "_"));
            for spelled in [name.to_owned(), name.to_uppercase(), name.to_lowercase(), cgi] {
                assert!(concerns(spelled.as_bytes()), "{spelled}");
            }
        }
        for name in ["content-type", "", "x-sesame", "HTTP_X_SESAME", "x_sesame_signature_"] {
            assert!(!concerns(name.as_bytes()), "{name}");
        }
    }
}
