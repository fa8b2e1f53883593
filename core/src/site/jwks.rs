//! The platform's signing keys.
//!
//! Each client has its own: one API root's keys never verify another's passports. A refresh replaces
//! the whole set, so that a revoked key is gone; while the key server is down, the old set serves on.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use crate::api::{Api, Call, Reply};
use crate::config::JwksForm;
use crate::log;
use crate::process::PerProcess;
use crate::runtime::WeakRuntime;
use crate::{Error, ErrorKind, Result, envelope};

const PATH: &str = "/core/.well-known/jwks.json";
/// Where the keys are when the API root was given as a bare origin.
const VERSIONED_PATH: &str = "/api/v1/core/.well-known/jwks.json";

/// The least time between two fetches that an unknown `kid` can cause.
const COOL_DOWN: Duration = Duration::from_secs(30);
/// The least time between two fetches while they fail.
const FAILURE_COOL_DOWN: Duration = Duration::from_secs(5);
/// Others wait for a fetch, so it has an end even when the host's client keeps the time.
const FETCH_LIMIT: Duration = Duration::from_secs(120);
/// How long past their time keys serve while the key server is down.
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

/// The keys of one client.
pub(crate) struct KeyCache {
    ttl: Duration,
    form: JwksForm,
    held: ArcSwapOption<Held>,
    /// Held over a fetch: one is under way at a time, the others wait for what it brings.
    fetching: PerProcess<Mutex<Fetching>>,
}

#[derive(Debug)]
struct Held {
    keys: Arc<KeySet>,
    fetched_at: Duration,
}

#[derive(Debug, Default)]
struct Fetching {
    last_attempt: Option<Duration>,
    /// The last fetch that an unknown `kid` caused, whatever came of it.
    last_for_unknown: Option<Duration>,
    last_error: Option<Error>,
    path: Option<&'static str>,
}

impl KeyCache {
    pub(crate) fn new(ttl: Duration, form: JwksForm) -> Self {
        Self { ttl, form, held: ArcSwapOption::empty(), fetching: PerProcess::default() }
    }

    /// The keys, if they are fresh and hold `kid`.
    pub(crate) fn fresh(&self, kid: &str, now: Duration) -> Option<Arc<KeySet>> {
        let held = self.held.load();
        let held = held.as_ref()?;
        let fresh = now.saturating_sub(held.fetched_at) < self.ttl;
        (fresh && held.keys.get(kid).is_some()).then(|| Arc::clone(&held.keys))
    }

    /// The keys to look for `kid` in, fetched if need be.
    pub(crate) async fn lookup(&self, api: &Api, runtime: &WeakRuntime, kid: &str) -> Result<Arc<KeySet>> {
        let asked_at = api.clock.monotonic();
        let slot = self.fetching.get();
        let mut fetching = slot.lock().await;
        let now = api.clock.monotonic();
        let within = |since: Option<Duration>, span| since.is_some_and(|at| now.saturating_sub(at) < span);
        // Somebody else may have fetched while this call waited for its turn.
        if let Some(keys) = self.fresh(kid, now) {
            return Ok(keys);
        }
        let held = self.held.load_full();
        let overdue = held.as_ref().is_none_or(|held| now.saturating_sub(held.fetched_at) >= self.ttl);
        let just_tried = fetching.last_attempt.is_some_and(|at| at > asked_at);
        // Made-up kids must not make us hammer the key server, and neither must its being down.
        let cooling = if fetching.last_error.is_some() {
            within(fetching.last_attempt, FAILURE_COOL_DOWN)
        } else {
            !overdue && within(fetching.last_for_unknown, COOL_DOWN)
        };
        if just_tried || cooling {
            return self.what_there_is(kid, held, now, fetching.last_error.clone());
        }
        // The slot is taken before the fetch, so that a failing or empty answer counts as well.
        fetching.last_attempt = Some(now);
        if !overdue {
            fetching.last_for_unknown = Some(now);
        }
        // With old keys at hand there is no reason to insist.
        let retries = u32::from(held.is_none());
        let fetched =
            tokio::time::timeout(FETCH_LIMIT, fetch(api, runtime, retries, self.form, &mut fetching.path))
                .await;
        let fetched = fetched.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::TransportTimeout, "Fetching the signing keys took too long"))
        });
        match fetched {
            Ok(keys) => {
                let keys = Arc::new(keys);
                fetching.last_error = None;
                let fetched_at = api.clock.monotonic();
                self.held.store(Some(Arc::new(Held { keys: Arc::clone(&keys), fetched_at })));
                Ok(keys)
            }
            Err(error) => {
                log::warning!(api.logger, "Fetching the signing keys failed: {error}");
                fetching.last_error = Some(error.clone());
                self.what_there_is(kid, held, api.clock.monotonic(), Some(error))
            }
        }
    }

    /// The old keys, as long as they may serve. That they lack a key says nothing while the new ones
    /// could not be had.
    fn what_there_is(
        &self,
        kid: &str,
        held: Option<Arc<Held>>,
        now: Duration,
        error: Option<Error>,
    ) -> Result<Arc<KeySet>> {
        let serves = |held: &Arc<Held>| now.saturating_sub(held.fetched_at) < self.ttl + STALE_LIMIT;
        match (held.filter(serves), error) {
            (Some(held), error) if error.is_none() || held.keys.get(kid).is_some() => {
                Ok(Arc::clone(&held.keys))
            }
            (_, Some(error)) => Err(error),
            (_, None) => Err(Error::new(ErrorKind::Transport, "Signing keys are not available")),
        }
    }
}

async fn fetch(
    api: &Api,
    runtime: &WeakRuntime,
    retries: u32,
    form: JwksForm,
    known_path: &mut Option<&'static str>,
) -> Result<KeySet> {
    let versioned = api.base_url.as_str().ends_with("/api/v1");
    let candidates: &[&'static str] = match known_path {
        Some(path) => &[*path],
        None if versioned => &[PATH],
        None => &[VERSIONED_PATH, PATH],
    };
    let mut last = None;
    for path in candidates {
        let reply = api.call(runtime, &Call::get(*path).public().retries(retries)).await.result?;
        match key_set(&reply, form) {
            Ok(keys) => {
                *known_path = Some(path);
                return Ok(keys);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| Error::internal("no path for the keys")))
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
