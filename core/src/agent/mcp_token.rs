//! Tokens for MCP servers: one for each host name, fetched when one is needed, by one call at a time.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::CACHE_CONTROL;
use serde_json::{Value, json};

use crate::api::{Api, Call, Reply};
use crate::process::PerProcess;
use crate::runtime::WeakRuntime;
use crate::secret::Secret;
use crate::{Error, ErrorKind, Result, envelope, json as fields};

const PATH: &str = "/modules/oauth/token";

/// Host names whose tokens are kept; an agent that talks to more servers than this is a crawler.
const MOST_KEPT: usize = 1024;

/// A token for the MCP servers of one host name. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct McpAccessToken {
    /// The JWT, to be sent as `Authorization: Bearer …` to that host and nowhere else.
    pub access_token: String,
    /// How long it is valid, in seconds from [`issued_at`](Self::issued_at).
    pub expires_in: i64,
    /// When it was fetched, since the Unix epoch.
    pub issued_at: Duration,
}

impl McpAccessToken {
    /// What kind of token it is; there is one kind.
    pub const TOKEN_TYPE: &'static str = "Bearer";
}

impl fmt::Debug for McpAccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpAccessToken")
            .field("expires_in", &self.expires_in)
            .field("issued_at", &self.issued_at)
            .finish_non_exhaustive()
    }
}

/// The tokens of one agent. A forked child fetches its own.
pub(crate) struct TokenCache {
    /// How long before its end a token counts as expired.
    skew: Duration,
    entries: PerProcess<Mutex<HashMap<String, Arc<Entry>>>>,
}

/// What is known for one host name.
#[derive(Default)]
struct Entry {
    held: Mutex<Option<Held>>,
    /// How many fetches have begun.
    fetches: AtomicU64,
    /// Held over a fetch: one is under way at a time, the others wait for what it brings.
    fetching: tokio::sync::Mutex<()>,
}

/// A token as it is kept.
#[derive(Clone)]
pub(crate) struct Held {
    token: Secret,
    expires_in: i64,
    issued_at: Duration,
    /// On the clock that never goes back.
    fetched_at: Duration,
    /// How many fetches for this host name had begun with its own.
    number: u64,
}

impl Held {
    pub(crate) fn expose(&self) -> &str {
        self.token.expose()
    }

    fn is_fresh(&self, skew: Duration, api: &Api) -> bool {
        // The steady clock stands still while a machine sleeps, the other may be set: whichever says more counts.
        let steady = api.clock.monotonic().saturating_sub(self.fetched_at);
        let age = steady.max(api.clock.unix().saturating_sub(self.issued_at));
        let lives = Duration::from_secs(u64::try_from(self.expires_in).unwrap_or(0));
        age < lives.saturating_sub(skew)
    }
}

impl From<&Held> for McpAccessToken {
    fn from(held: &Held) -> Self {
        Self {
            access_token: held.expose().to_owned(),
            expires_in: held.expires_in,
            issued_at: held.issued_at,
        }
    }
}

impl TokenCache {
    pub(crate) fn new(skew: Duration) -> Self {
        Self { skew, entries: PerProcess::default() }
    }

    /// The token for a host name: the one that is held while it lives, else a new one.
    pub(crate) async fn get(&self, api: &Api, runtime: &WeakRuntime, domain: &str) -> Result<Held> {
        let entry = self.entry(domain);
        let fresh = |held: &Held| held.is_fresh(self.skew, api);
        if let Some(held) = entry.held().filter(&fresh) {
            return Ok(held);
        }
        let _turn = entry.fetching.lock().await;
        if let Some(held) = entry.held().filter(&fresh) {
            return Ok(held);
        }
        entry.fetch(api, runtime, domain).await
    }

    /// A token that is fetched from now on, whatever is held. Of several calls that wait for their turn, the
    /// first one fetches for all.
    pub(crate) async fn force(&self, api: &Api, runtime: &WeakRuntime, domain: &str) -> Result<Held> {
        let entry = self.entry(domain);
        let before = entry.fetches.load(Ordering::Relaxed);
        let _turn = entry.fetching.lock().await;
        match entry.held() {
            Some(held) if before < held.number => Ok(held),
            _ => entry.fetch(api, runtime, domain).await,
        }
    }

    /// Another token than this one, which a server has refused. Several calls that were refused with the same
    /// token share the next one.
    pub(crate) async fn replace(
        &self,
        api: &Api,
        runtime: &WeakRuntime,
        domain: &str,
        refused: &Held,
    ) -> Result<Held> {
        let entry = self.entry(domain);
        let _turn = entry.fetching.lock().await;
        match entry.held() {
            Some(held) if held.expose() != refused.expose() => Ok(held),
            _ => entry.fetch(api, runtime, domain).await,
        }
    }

    /// The token that is held, expired or not.
    pub(crate) fn held(&self, domain: &str) -> Option<Held> {
        let entries = self.entries.get();
        let entry = entries.lock().unwrap_or_else(PoisonError::into_inner).get(domain).map(Arc::clone);
        entry?.held()
    }

    fn entry(&self, domain: &str) -> Arc<Entry> {
        let entries = self.entries.get();
        let mut entries = entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(domain) {
            return Arc::clone(entry);
        }
        if entries.len() >= MOST_KEPT {
            // Those that a call holds are fetched or used at the moment.
            entries.retain(|_, entry| Arc::strong_count(entry) > 1);
        }
        Arc::clone(entries.entry(domain.to_owned()).or_default())
    }
}

impl Entry {
    fn held(&self) -> Option<Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fetches a token; the caller has its turn. A failed fetch leaves what is held as it is.
    async fn fetch(&self, api: &Api, runtime: &WeakRuntime, domain: &str) -> Result<Held> {
        let number = self.fetches.fetch_add(1, Ordering::Relaxed) + 1;
        let call = Call::post(PATH, json!({ "domain": domain }).to_string());
        let reply = api.call(runtime, &call).await.result?;
        let (token, expires_in) = read(&reply)?;
        let held = Held {
            token,
            expires_in,
            issued_at: api.clock.unix(),
            fetched_at: api.clock.monotonic(),
            number,
        };
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(held.clone());
        Ok(held)
    }
}

/// The token and its life in seconds. This endpoint answers as RFC 6749 has it, and for some errors as the
/// rest of the platform does.
fn read(reply: &Reply) -> Result<(Secret, i64)> {
    if reply.http_status != 200 {
        return Err(refused(reply).with_retry_after(reply.retry_after));
    }
    let body = envelope::object(200, &reply.body)?;
    let bad = |message: &str| {
        Err(Error::new(ErrorKind::Api, message).with_code("INVALID_TOKEN_RESPONSE").with_http_status(200))
    };
    let members = ["access_token", "token_type", "expires_in"];
    if body.len() != members.len() || !members.iter().all(|member| body.contains_key(*member)) {
        return bad("Token response must contain access_token, token_type, expires_in only");
    }
    if body["token_type"] != McpAccessToken::TOKEN_TYPE {
        return bad("token_type must be Bearer");
    }
    let mut cached = reply.headers.get_all(CACHE_CONTROL).iter();
    let no_store = cached.next().is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"no-store"));
    if !no_store || cached.next().is_some() {
        return bad("expected Cache-Control: no-store");
    }
    let token = body["access_token"].as_str().unwrap_or_default();
    // It becomes a header, so it may hold nothing that a header may not.
    if token.matches('.').count() != 2 || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return bad("access_token must be a JWT");
    }
    match fields::optional_integer(&body, "expires_in") {
        Some(expires_in) => Ok((Secret::new(token), expires_in)),
        None => bad("expires_in must be a number of seconds"),
    }
}

fn refused(reply: &Reply) -> Error {
    let status = reply.http_status;
    let body = match envelope::object(status, &reply.body) {
        Ok(body) => body,
        Err(error) => return error,
    };
    let Some(Value::String(code)) = body.get("error") else {
        return match reply.data() {
            Ok(_) => Error::new(
                ErrorKind::BadResponse,
                format!("Unexpected success on token endpoint (HTTP {status})"),
            )
            .with_http_status(status),
            Err(error) => error,
        };
    };
    let kind = match (status, code.as_str()) {
        (401, _) | (_, "invalid_client") => ErrorKind::Authentication,
        (400, _) | (_, "invalid_request") => ErrorKind::Api,
        (429, _) => ErrorKind::RateLimit,
        (403, "access_denied") => ErrorKind::OAuthCapability,
        _ => ErrorKind::Api,
    };
    let description = body.get("error_description").and_then(fields::text);
    Error::new(kind, description.unwrap_or_else(|| code.clone())).with_code(code).with_http_status(status)
}
