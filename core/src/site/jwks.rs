//! The platform's signing keys.
//!
//! Each client has its own: one API root's keys never verify another's passports. A refresh replaces
//! the whole set, so that a revoked key is gone; while the key server is down, the old set serves on.
//!
//! The cache also holds the keys for MCP access tokens ([`crate::token_verifier`]), which lie elsewhere.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use tokio::sync::{Mutex, oneshot};

use crate::api::{Api, Call, Reply};
use crate::config::JwksForm;
use crate::log;
use crate::process::PerProcess;
use crate::runtime::WeakRuntime;
use crate::{Error, ErrorKind, Result, envelope};

const PATH: &str = "/core/.well-known/jwks.json";
/// Where the keys are when the API root was given as a bare origin.
const VERSIONED_PATH: &str = "/api/v1/core/.well-known/jwks.json";

/// The least time between two fetches that an unknown `kid` of a passport can cause.
const COOL_DOWN: Duration = Duration::from_secs(30);
/// The least time between two fetches while they fail.
const FAILURE_COOL_DOWN: Duration = Duration::from_secs(5);
/// Others wait for a fetch, so it has an end even when the host's client keeps the time.
const FETCH_LIMIT: Duration = Duration::from_secs(120);
/// How long a call that old keys would serve waits for new ones.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long past their time the keys for passports serve while the key server is down.
const STALE_LIMIT: Duration = Duration::from_secs(3600);

/// A set of RS256 keys by their `kid`.
pub struct KeySet {
    keys: HashMap<String, ParsedPublicKey>,
}

impl KeySet {
    /// Reads a key document: RFC 7517 (`{"keys": […]}`), or the same inside an envelope. Keys that
    /// cannot verify RS256 (another type or use, shorter than 2048 bits) are as if absent.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidPassport`] when there is no array of keys.
    pub fn parse(document: &Map<String, Value>) -> Result<Self> {
        let bare = document.get("keys");
        let enveloped = || document.get("data")?.as_object()?.get("keys");
        let Some(Value::Array(entries)) = bare.or_else(enveloped) else {
            return Err(Error::new(ErrorKind::InvalidPassport, "JWKS response missing keys array"));
        };
        let mut keys = HashMap::new();
        for entry in entries {
            if let Some((kid, key)) = usable(entry) {
                // The first of two usable keys with one kid counts.
                keys.entry(kid).or_insert(key);
            }
        }
        Ok(Self { keys })
    }

    /// Like [`parse`](Self::parse), from the document's bytes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidPassport`] when it is no JSON object or has no array of keys.
    pub fn from_json(document: &[u8]) -> Result<Self> {
        let document: Map<String, Value> = serde_json::from_slice(document).map_err(|_| {
            Error::new(ErrorKind::InvalidPassport, "JWKS response missing keys array: not a JSON object")
        })?;
        Self::parse(&document)
    }

    pub(crate) fn get(&self, kid: &str) -> Option<&ParsedPublicKey> {
        self.keys.get(kid)
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.keys.keys()).finish()
    }
}

fn usable(entry: &Value) -> Option<(String, ParsedPublicKey)> {
    let text = |field: &str| entry.get(field).and_then(Value::as_str);
    let absent_or =
        |field: &str, wanted: &str| entry.get(field).is_none_or(|value| value.as_str() == Some(wanted));
    let kid = text("kid").filter(|kid| !kid.is_empty())?;
    if text("kty") != Some("RSA") || !absent_or("use", "sig") || !absent_or("alg", "RS256") {
        return None;
    }
    let number = |field: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(text(field)?).ok()?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Some(bytes[zeros..].to_vec())
    };
    let (n, e) = (number("n")?, number("e")?);
    // The crypto library checks again; it is told here so that the rule stands in one place.
    let bits = n.len() * 8 - n.first()?.leading_zeros() as usize;
    let odd = e.last().is_some_and(|byte| byte % 2 == 1);
    if !(2048..=8192).contains(&bits) || !odd || e == [1] {
        return None;
    }
    let key = PublicKeyComponents { n, e }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).ok()?;
    Some((kid.to_owned(), key))
}

/// Where keys come from.
pub(crate) trait Source: Send + Sync + 'static {
    /// Keys with what belongs to them.
    type Set: AsRef<KeySet> + Send + Sync + 'static;

    /// Fetches all of them. One call at a time.
    fn fetch(
        &self,
        api: &Api,
        runtime: &WeakRuntime,
        retries: u32,
    ) -> impl Future<Output = Result<Self::Set>> + Send;
}

/// How long keys serve, and how often they may be fetched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long keys count as fresh.
    pub(crate) ttl: Duration,
    /// The least time between two fetches that something else than time causes.
    pub(crate) cool_down: Duration,
    /// The same while fetches fail and the keys that are held are fresh.
    pub(crate) failed_cool_down: Duration,
    /// How long past their time keys serve while the key server is down.
    pub(crate) stale: Duration,
}

/// Why the cache is asked.
#[derive(Debug, Clone)]
pub(crate) enum Want {
    /// For the key of this name.
    Key(String),
    /// For whatever keys there are.
    Current,
    /// For keys that were just fetched, unless that was tried less than a cool-down ago.
    Refresh,
    /// For keys that were just fetched.
    Fetch,
}

impl Want {
    /// Whether keys that are held will do.
    fn is_met_by(&self, keys: &KeySet) -> bool {
        match self {
            Self::Key(kid) => keys.get(kid).is_some(),
            Self::Current => true,
            Self::Refresh | Self::Fetch => false,
        }
    }
}

/// The keys of one client.
pub(crate) struct KeyCache<S: Source> {
    source: S,
    limits: Limits,
    held: ArcSwapOption<Held<S::Set>>,
    slot: PerProcess<Slot>,
    fetches: AtomicU64,
}

#[derive(Debug, Default)]
struct Slot {
    /// Held over a fetch: one is under way at a time, the others wait for what it brings.
    fetching: Mutex<Fetching>,
    /// The number of the fetch that is under way, or 0.
    under_way: AtomicU64,
    /// The number of a fetch that took longer than anybody should wait whom old keys would serve.
    slow: AtomicU64,
}

impl Slot {
    fn is_slow(&self) -> bool {
        let under_way = self.under_way.load(Ordering::SeqCst);
        under_way != 0 && under_way == self.slow.load(Ordering::SeqCst)
    }

    fn found_slow(&self) {
        self.slow.store(self.under_way.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

/// A fetch is under way for as long as this lives, however it ends.
struct UnderWay<'a>(&'a Slot);

impl<'a> UnderWay<'a> {
    fn new(slot: &'a Slot, number: u64) -> Self {
        slot.under_way.store(number, Ordering::SeqCst);
        Self(slot)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.store(0, Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct Held<T> {
    keys: Arc<T>,
    fetched_at: Duration,
}

#[derive(Debug, Default)]
struct Fetching {
    /// How many fetches were begun.
    begun: u64,
    /// The last fetch: when it began, or when it failed.
    attempted_at: Option<Duration>,
    /// When the last two fetches began that did not succeed, the last one last.
    failed_at: [Option<Duration>; 2],
    /// The last fetch that not time caused but an unknown `kid` or a caller, whatever came of it.
    unasked_at: Option<Duration>,
    last_error: Option<Error>,
}

impl<S: Source> KeyCache<S> {
    pub(crate) fn new(source: S, limits: Limits) -> Self {
        Self {
            source,
            limits,
            held: ArcSwapOption::empty(),
            slot: PerProcess::default(),
            fetches: AtomicU64::new(0),
        }
    }

    /// The keys, if they are fresh and hold `kid`.
    pub(crate) fn fresh(&self, kid: &str, now: Duration) -> Option<Arc<S::Set>> {
        self.fresh_with(now, |keys| keys.get(kid).is_some())
    }

    fn fresh_with(&self, now: Duration, fits: impl FnOnce(&KeySet) -> bool) -> Option<Arc<S::Set>> {
        let held = self.held.load();
        let held = held.as_ref()?;
        let fresh = now.saturating_sub(held.fetched_at) < self.limits.ttl;
        (fresh && fits((*held.keys).as_ref())).then(|| Arc::clone(&held.keys))
    }

    /// The keys that are held, fresh or not.
    pub(crate) fn held(&self) -> Option<Arc<S::Set>> {
        self.held.load().as_ref().map(|held| Arc::clone(&held.keys))
    }

    /// Forgets the keys; the next who needs one fetches them.
    pub(crate) fn forget(&self) {
        self.held.store(None);
    }

    /// How many fetches have brought keys.
    pub(crate) fn fetches(&self) -> u64 {
        self.fetches.load(Ordering::Relaxed)
    }

    /// [`lookup`](Self::lookup) as a task of its own: others wait for what it fetches too, so it goes on
    /// when the caller that happened to begin it is cancelled. It holds nothing of the host's. Who has old keys that may
    /// serve does not wait for a key server that does not answer.
    pub(crate) async fn lookup_for_all(
        self: &Arc<Self>,
        api: &Arc<Api>,
        runtime: &WeakRuntime,
        want: Want,
    ) -> Result<Arc<S::Set>> {
        let (cache, api, weak) = (Arc::clone(self), Arc::clone(api), runtime.clone());
        let now = api.clock.monotonic();
        let old = self.held.load_full().filter(|held| self.serves(held, now));
        let old = old.filter(|held| want.is_met_by((*held.keys).as_ref())).map(|held| Arc::clone(&held.keys));
        let slot = self.slot.get();
        if let Some(old) = &old
            && slot.is_slow()
        {
            return Ok(Arc::clone(old));
        }
        let (sender, mut found) = oneshot::channel();
        runtime.upgrade().ok_or_else(Error::closed)?.spawn(async move {
            let _ = sender.send(cache.lookup(&api, &weak, want).await);
        });
        if let Some(old) = old {
            let Ok(found) = tokio::time::timeout(PATIENCE, &mut found).await else {
                slot.found_slow();
                return Ok(old);
            };
            return found.unwrap_or_else(|_| Err(Error::closed()));
        }
        found.await.unwrap_or_else(|_| Err(Error::closed()))
    }

    /// The keys to look for one in, fetched if need be.
    async fn lookup(&self, api: &Api, runtime: &WeakRuntime, want: Want) -> Result<Arc<S::Set>> {
        let asked_at = api.clock.monotonic();
        let slot = self.slot.get();
        let mut fetching = slot.fetching.lock().await;
        let now = api.clock.monotonic();
        let within = |since: Option<Duration>, span| since.is_some_and(|at| now.saturating_sub(at) < span);
        // Somebody else may have fetched while this call waited for its turn.
        let fresh = self.fresh_with(now, |keys| want.is_met_by(keys));
        if let Some(keys) = fresh {
            return Ok(keys);
        }
        let held = self.held.load_full();
        let overdue = held.as_ref().is_none_or(|held| now.saturating_sub(held.fetched_at) >= self.limits.ttl);
        let serve = held.as_ref().is_some_and(|held| self.serves(held, now));
        let just_tried = fetching.attempted_at.is_some_and(|at| at > asked_at);
        // Made-up kids must not make us hammer the key server, and neither must its being down.
        let cooling = if fetching.last_error.is_some() {
            let urgent = overdue || matches!(want, Want::Fetch);
            let span = if urgent { FAILURE_COOL_DOWN } else { self.limits.failed_cool_down };
            // Without any keys nobody can be let in, and they are asked for as often as that. Else twice is enough,
            // and those that are due do not wait as long as a host may want made-up kids to wait.
            let twice = serve && !matches!(want, Want::Fetch);
            let cool_down = self.limits.cool_down;
            let cool_down = if overdue { cool_down.min(COOL_DOWN) } else { cool_down };
            within(fetching.attempted_at, span) || (twice && within(fetching.failed_at[0], cool_down))
        } else {
            !overdue && !matches!(want, Want::Fetch) && within(fetching.unasked_at, self.limits.cool_down)
        };
        if just_tried || cooling {
            return self.what_there_is(&want, held, now, fetching.last_error.clone());
        }
        // The slot is taken before the fetch, so that a failing or empty answer counts as well.
        fetching.attempted_at = Some(now);
        fetching.failed_at = [fetching.failed_at[1], Some(now)];
        fetching.begun += 1;
        if !overdue || matches!(want, Want::Refresh) {
            fetching.unasked_at = Some(now);
        }
        // With old keys at hand there is no reason to insist.
        let retries = u32::from(!serve);
        let under_way = UnderWay::new(&slot, fetching.begun);
        let fetched = tokio::time::timeout(FETCH_LIMIT, self.source.fetch(api, runtime, retries)).await;
        drop(under_way);
        let fetched = fetched.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::TransportTimeout, "Fetching the signing keys took too long"))
        });
        match fetched {
            Ok(keys) => {
                let keys = Arc::new(keys);
                (fetching.last_error, fetching.failed_at) = (None, [None; 2]);
                self.fetches.fetch_add(1, Ordering::Relaxed);
                let fetched_at = api.clock.monotonic();
                self.held.store(Some(Arc::new(Held { keys: Arc::clone(&keys), fetched_at })));
                Ok(keys)
            }
            Err(error) => {
                log::warning!(api.logger, "Fetching the signing keys failed: {error}");
                fetching.last_error = Some(error.clone());
                let now = api.clock.monotonic();
                // Those who have waited for it do not try again one after the other.
                fetching.attempted_at = Some(now);
                self.what_there_is(&want, held, now, Some(error))
            }
        }
    }

    /// Whether keys may serve while new ones cannot be had.
    fn serves(&self, held: &Held<S::Set>, now: Duration) -> bool {
        now.saturating_sub(held.fetched_at) < self.limits.ttl.saturating_add(self.limits.stale)
    }

    /// The old keys, as long as they may serve. That they lack a key says nothing while the new ones
    /// could not be had, and who wants new ones is told.
    fn what_there_is(
        &self,
        want: &Want,
        held: Option<Arc<Held<S::Set>>>,
        now: Duration,
        error: Option<Error>,
    ) -> Result<Arc<S::Set>> {
        match (held.filter(|held| self.serves(held, now)), error) {
            (Some(held), error) if error.is_none() || want.is_met_by((*held.keys).as_ref()) => {
                Ok(Arc::clone(&held.keys))
            }
            (_, Some(error)) => Err(error),
            (_, None) => Err(Error::new(ErrorKind::Transport, "Signing keys are not available")),
        }
    }
}

impl Limits {
    /// Those of the keys for passports.
    pub(crate) fn of_passports(ttl: Duration) -> Self {
        Self { ttl, cool_down: COOL_DOWN, failed_cool_down: FAILURE_COOL_DOWN, stale: STALE_LIMIT }
    }
}

/// The keys of an API root, for passports.
#[derive(Debug)]
pub(crate) struct PassportKeys {
    form: JwksForm,
    /// Where they were found.
    path: ArcSwapOption<&'static str>,
}

impl PassportKeys {
    /// Keys of a document in this form.
    pub(crate) fn new(form: JwksForm) -> Self {
        Self { form, path: ArcSwapOption::empty() }
    }
}

impl Source for PassportKeys {
    type Set = KeySet;

    async fn fetch(&self, api: &Api, runtime: &WeakRuntime, retries: u32) -> Result<KeySet> {
        let versioned = api.base_url.as_str().ends_with("/api/v1");
        let known = self.path.load_full();
        let candidates: &[&'static str] = match &known {
            Some(path) => &[**path],
            None if versioned => &[PATH],
            None => &[VERSIONED_PATH, PATH],
        };
        let mut last = None;
        for path in candidates {
            let answered = api.call(runtime, &Call::get(*path).public().retries(retries)).await.result;
            let keys = match answered {
                Ok(reply) => key_set(&reply, self.form),
                // There was an answer, and it is no document: a redirect, or too large.
                Err(error) if error.kind() == ErrorKind::BadResponse => Err(error),
                Err(error) => return Err(error),
            };
            match keys {
                Ok(keys) => {
                    self.path.store(Some(Arc::new(path)));
                    return Ok(keys);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::internal("no path for the keys")))
    }
}

impl AsRef<Self> for KeySet {
    fn as_ref(&self) -> &Self {
        self
    }
}

fn key_set(reply: &Reply, form: JwksForm) -> Result<KeySet> {
    let document = envelope::object(reply.http_status, &reply.body)?;
    let bare = document.contains_key("keys") && reply.http_status == 200;
    let missing = |form| {
        let message = format!("JWKS response missing keys array: it is not {form}");
        Err(Error::new(ErrorKind::InvalidPassport, message))
    };
    match form {
        JwksForm::Auto | JwksForm::Bare if bare => KeySet::parse(&document),
        // Another status has the platform's error in an envelope, whatever form its keys have.
        JwksForm::Bare if reply.http_status == 200 => missing("a bare key document"),
        JwksForm::Envelope if bare && !document.contains_key("data") => missing("in an envelope"),
        _ => KeySet::parse(&reply.data()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_of_bytes_is_an_object_with_keys() {
        let empty = KeySet::from_json(br#"{"keys": []}"#).unwrap();
        assert_eq!(format!("{empty:?}"), "{}");
        for bad in ["", "[]", r#""keys""#, "{", "{}", r#"{"keys": {}}"#, r#"{"data": {"keys": 1}}"#] {
            let error = KeySet::from_json(bad.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidPassport, "{bad}");
            assert!(error.message().starts_with("JWKS response missing keys array"), "{bad}");
        }
    }
}
