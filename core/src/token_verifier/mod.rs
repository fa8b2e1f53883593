//! The MCP server's side of LIME: verify the access tokens that agents show.
//!
//! ```no_run
//! use lime_core::{TokenVerifier, TokenVerifierConfig};
//!
//! # fn main() -> Result<(), lime_core::Error> {
//! let config = TokenVerifierConfig { expected_domain: Some("tools.example.com".into()), ..Default::default() };
//! let verifier = TokenVerifier::new(config)?;
//! verifier.warm_up().wait()?;
//! # let bearer = "";
//! let token = verifier.verify(bearer).wait()?;
//! println!("agent {}", token.agent_id());
//! # Ok(())
//! # }
//! ```

pub mod bearer;
pub mod domain;
pub mod metadata;
pub mod token;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use http::HeaderValue;
use http::header::AUTHORIZATION;

use crate::api::Api;
use crate::client::Lease;
use crate::clock::Clock;
use crate::config::{self, PostRetry, TokenVerifierConfig};
use crate::operation::Operation;
use crate::secret::Secret;
use crate::site::jwks::{KeyCache, Limits, Want};
use crate::site::passport::Unverified;
use crate::{Error, Result};
use metadata::{Authority, AuthorityKeys};
use token::{DEFAULT_AUDIENCE, DEFAULT_LEEWAY, TokenCheck, VerifiedToken};

/// How long keys are used, unless a server says otherwise.
const CACHE_TTL: Duration = Duration::from_secs(3600);
/// The least time between two fetches that are not due, unless a server says otherwise.
const MIN_REFRESH: Duration = Duration::from_secs(60);
/// How long past their time keys serve while the platform is down. A server that refuses everybody because
/// the platform has a bad hour helps nobody; one that takes a revoked key for weeks is worse.
const STALE: Duration = Duration::from_secs(86_400);

/// The platform's keys for access tokens: fetched when they are needed, shared by whoever holds a clone.
#[derive(Clone)]
pub struct TokenKeys(Arc<Inner>);

struct Inner {
    api: Arc<Api>,
    lease: Lease,
    cache: Arc<KeyCache<AuthorityKeys>>,
}

impl TokenKeys {
    /// Keys from the platform that the configuration names; `expected_domain`, `audience` and `leeway` do
    /// not matter here. Starts nothing and sends nothing.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) when a setting makes no sense.
    pub fn new(config: &TokenVerifierConfig) -> Result<Self> {
        let environment = &config.environment;
        let user_agent = config::text(config.user_agent.as_deref(), config::USER_AGENT_VARIABLE, environment)
            .map(|text| HeaderValue::from_str(&text))
            .transpose()
            .map_err(|_| Error::invalid_argument("user_agent contains characters that no header has"))?;
        let min_refresh =
            config::up_to_a_day(config.min_refresh, config::MIN_REFRESH_VARIABLE, MIN_REFRESH, environment)?;
        let limits = Limits {
            ttl: config::jwks_cache_ttl(config.jwks_cache_ttl, CACHE_TTL, environment)?,
            cool_down: min_refresh,
            failed_cool_down: min_refresh,
            stale: STALE,
        };
        let base_url = config::origin(config.base_url.as_deref(), environment)?;
        let pins = config::tls_pins(
            &config.tls_pins,
            config::TLS_PINS_VARIABLE,
            &base_url,
            config.transport.as_ref(),
            environment,
        )?;
        let api = Api {
            base_url,
            // Every call is public, and there is nothing that it could carry.
            token: Secret::new(String::new()),
            token_header: AUTHORIZATION,
            timeout: config::checked_timeout(config.timeout)?,
            max_retries: 1,
            post_retry: PostRetry::default(),
            transport: config.transport.clone(),
            pins,
            logger: config.logger.clone(),
            clock: Arc::clone(&config.clock),
            warned: AtomicBool::default(),
        };
        Ok(Self(Arc::new(Inner {
            api: Arc::new(api),
            lease: Lease::default(),
            cache: Arc::new(KeyCache::new(AuthorityKeys { user_agent }, limits)),
        })))
    }

    /// Fetches the metadata and the keys.
    ///
    /// Fails with a transport or API kind when they cannot be had, or could not be had a moment ago; keys that
    /// are held stay.
    pub fn fetch(&self) -> Operation<()> {
        self.0.lease.operation(&self.0, |inner, runtime| async move {
            inner.cache.lookup_for_all(&inner.api, &runtime, Want::Fetch).await.map(drop)
        })
    }

    /// Fetches the metadata and the keys, unless that was done less than the configuration's `min_refresh`
    /// ago and there are keys.
    ///
    /// Fails with a transport or API kind when they cannot be had; keys that are held stay.
    pub fn refresh(&self) -> Operation<()> {
        self.0.lease.operation(&self.0, |inner, runtime| async move {
            inner.cache.lookup_for_all(&inner.api, &runtime, Want::Refresh).await.map(drop)
        })
    }

    /// The keys to look for this key in: those that are held, if they are fresh and have it, else fetched ones.
    /// Without a name those that are held, if they are fresh.
    pub fn find(&self, kid: Option<&str>) -> Operation<Arc<Authority>> {
        let want = kid.map_or(Want::Current, |kid| Want::Key(kid.to_owned()));
        self.0.lease.operation(&self.0, |inner, runtime| async move {
            inner.cache.lookup_for_all(&inner.api, &runtime, want).await
        })
    }

    /// The keys that are held, fresh or not.
    pub fn held(&self) -> Option<Arc<Authority>> {
        self.0.cache.held()
    }

    /// Forgets the keys; the next who needs one fetches them.
    pub fn forget(&self) {
        self.0.cache.forget();
    }

    /// How many fetches have brought keys.
    pub fn fetches(&self) -> u64 {
        self.0.cache.fetches()
    }

    /// The platform's origin.
    pub fn base_url(&self) -> &str {
        self.0.api.base_url.as_str()
    }

    /// Refuses further calls; those under way go on. Closing twice does nothing.
    pub fn close(&self) {
        self.0.lease.close();
    }

    fn clock(&self) -> &dyn Clock {
        &*self.0.api.clock
    }
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKeys").field("base_url", &self.base_url()).finish_non_exhaustive()
    }
}

/// Verifies the access tokens that agents show to one MCP server. Cheap to clone; make one per host name.
///
/// Safe to use from any thread and, after `fork`, in the child too.
#[derive(Clone)]
pub struct TokenVerifier {
    keys: TokenKeys,
    check: Arc<TokenCheck>,
}

impl TokenVerifier {
    /// A verifier with keys of its own. Starts nothing and sends nothing: the first call that needs keys
    /// fetches them, or [`warm_up`](Self::warm_up).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) when there is no `expected_domain`, or
    /// a setting makes no sense.
    #[allow(clippy::needless_pass_by_value)] // as the other clients take theirs
    pub fn new(config: TokenVerifierConfig) -> Result<Self> {
        let keys = TokenKeys::new(&config)?;
        Self::with_keys(&config, keys)
    }

    /// A verifier with keys that others use, too: for a server of several host names.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_keys(config: &TokenVerifierConfig, keys: TokenKeys) -> Result<Self> {
        let environment = &config.environment;
        let pinned =
            config::text(config.expected_domain.as_deref(), config::EXPECTED_DOMAIN_VARIABLE, environment)
                .filter(|text| !domain::strip(text).is_empty())
                .ok_or_else(|| Error::invalid_argument("expected_domain is required"))?;
        let audience = config::text(config.audience.as_deref(), config::AUDIENCE_VARIABLE, environment);
        let leeway =
            config::up_to_a_day(config.leeway, config::LEEWAY_VARIABLE, DEFAULT_LEEWAY, environment)?;
        // The issuer is the metadata's to say.
        let check = TokenCheck::new("", domain::normalize_mcp_domain(&pinned)?)
            .audience(audience.unwrap_or_else(|| DEFAULT_AUDIENCE.to_owned()))
            .leeway(leeway);
        Ok(Self { keys, check: Arc::new(check) })
    }

    /// Verifies a token, fetching the platform's keys if they are not at hand. `token` is the JWT alone,
    /// without `Bearer`.
    ///
    /// Fails with [`ErrorKind::InvalidToken`](crate::ErrorKind::InvalidToken), whose code says why (see
    /// [`token::verify`]), for a token that must not be trusted, and with a transport or API kind when the
    /// keys cannot be had: then nothing is known of the token.
    pub fn verify(&self, token: &str) -> Operation<VerifiedToken> {
        if let Some(result) = self.verify_cached(token) {
            return match result {
                Ok(verified) => self.keys.0.lease.operation(&self.keys.0, |_, _| async move { Ok(verified) }),
                Err(error) => Operation::failed(error),
            };
        }
        let (token, check) = (token.to_owned(), Arc::clone(&self.check));
        self.keys.0.lease.operation(&self.keys.0, |inner, runtime| async move {
            let parsed = token::parse(&token)?;
            let want = Want::Key(parsed.kid().to_owned());
            let authority = inner.cache.lookup_for_all(&inner.api, &runtime, want).await?;
            verify(&parsed, &authority, &check, inner.api.clock.unix())
        })
    }

    /// Verifies a token on the calling thread if its key is at hand and fresh, else `None`. Never waits.
    pub fn verify_cached(&self, token: &str) -> Option<Result<VerifiedToken>> {
        if self.keys.0.lease.is_closed() {
            return Some(Err(Error::closed()));
        }
        let parsed = match token::parse(token) {
            Ok(parsed) => parsed,
            Err(error) => return Some(Err(error)),
        };
        let clock = self.keys.clock();
        let authority = self.keys.0.cache.fresh(parsed.kid(), clock.monotonic())?;
        Some(verify(&parsed, &authority, &self.check, clock.unix()))
    }

    /// Fetches the keys ahead of the first token; see [`TokenKeys::refresh`].
    pub fn warm_up(&self) -> Operation<()> {
        self.keys.refresh()
    }

    /// The keys, to be looked at or shared.
    pub fn keys(&self) -> &TokenKeys {
        &self.keys
    }

    /// The host name that tokens must be for, in canonical form.
    pub fn expected_domain(&self) -> &str {
        &self.check.expected_domain
    }

    /// Whom tokens must be for.
    pub fn audience(&self) -> &str {
        &self.check.audience
    }

    /// Refuses further calls, of all verifiers with these keys; those under way go on.
    pub fn close(&self) {
        self.keys.close();
    }
}

fn verify(
    parsed: &Unverified<'_>,
    authority: &Authority,
    check: &TokenCheck,
    now: Duration,
) -> Result<VerifiedToken> {
    token::verify_parsed(parsed, &authority.keys, &authority.issuer, check, now)
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier")
            .field("base_url", &self.keys.base_url())
            .field("expected_domain", &self.expected_domain())
            .finish_non_exhaustive()
    }
}
