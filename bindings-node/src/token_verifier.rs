//! Access tokens for MCP servers: the verifier, and the pure functions.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use lime_core::site::jwks::KeySet;
use lime_core::token_verifier::{bearer, domain, token};
use lime_core::{
    Environment, Error, ErrorKind, TokenCheck, TokenVerifier as CoreVerifier, TokenVerifierConfig,
    VerifiedToken,
};
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use serde_json::{Value, json};

use crate::convert;
use crate::error::{self, Result};
use crate::host::HostTransport;
use crate::queue::{Queue, Shared};
use crate::site::given;

/// The settings of a verifier.
#[napi(object)]
pub struct TokenVerifierSettings {
    pub expected_domain: Option<String>,
    pub base_url: Option<String>,
    pub audience: Option<String>,
    pub leeway: Option<f64>,
    pub jwks_cache_ttl: Option<f64>,
    pub min_refresh: Option<f64>,
    pub user_agent: Option<String>,
    pub timeout: Option<f64>,
    pub tls_pins: Option<Vec<String>>,
    /// The thread's own `process.env`, as far as it is about us.
    pub environment: HashMap<String, String>,
    pub log_level: Option<i32>,
}

#[napi]
pub struct TokenVerifier {
    verifier: Arc<CoreVerifier>,
    queue: Arc<Shared>,
    number: i64,
}

#[napi]
impl TokenVerifier {
    #[napi(constructor, catch_unwind)]
    pub fn new(
        queue: &Queue,
        number: i64,
        settings: TokenVerifierSettings,
        transport: Option<&HostTransport>,
    ) -> Result<Self> {
        let default = TokenVerifierConfig::default();
        let time =
            |name: &str, value: Option<f64>| value.map(|value| convert::millis(name, value)).transpose();
        let config = TokenVerifierConfig {
            expected_domain: settings.expected_domain,
            base_url: settings.base_url,
            audience: settings.audience,
            leeway: time("leeway", settings.leeway)?,
            jwks_cache_ttl: time("jwksCacheTtl", settings.jwks_cache_ttl)?,
            min_refresh: time("minRefresh", settings.min_refresh)?,
            user_agent: settings.user_agent,
            timeout: given("timeout", settings.timeout, default.timeout)?,
            tls_pins: settings.tls_pins.unwrap_or_default(),
            transport: transport.map(HostTransport::transport),
            logger: queue.shared.logger(number, settings.log_level),
            clock: default.clock,
            environment: Environment::from_iter(settings.environment),
        };
        let queue = Arc::clone(&queue.shared);
        let verifier = Arc::new(CoreVerifier::new(config).map_err(error::thrown)?);
        let weak = Arc::downgrade(&verifier);
        queue.adopt(number, weak as Weak<dyn crate::queue::Close>);
        Ok(Self { verifier, queue, number })
    }

    #[napi(getter, catch_unwind)]
    pub fn expected_domain(&self) -> String {
        self.verifier.expected_domain().to_owned()
    }

    /// The claims as JSON, if the key is at hand; nothing if it has to be fetched.
    #[napi(catch_unwind)]
    pub fn verify_cached(&self, jwt: String) -> Result<Option<String>> {
        match self.verifier.verify_cached(&jwt) {
            None => Ok(None),
            Some(Ok(verified)) => Ok(Some(Value::Object(verified.claims).to_string())),
            Some(Err(error)) => Err(error::thrown(error)),
        }
    }

    #[napi(catch_unwind)]
    pub fn verify(&self, call: i64, jwt: String) -> i64 {
        self.queue.start(call, self.verifier.verify(&jwt), claims)
    }

    #[napi(catch_unwind)]
    pub fn warm_up(&self, call: i64) -> i64 {
        self.queue.start(call, self.verifier.warm_up(), |()| Value::Null)
    }

    #[napi(catch_unwind)]
    pub fn forget_keys(&self) {
        self.verifier.keys().forget();
    }

    #[napi(getter, catch_unwind)]
    pub fn fetches(&self) -> f64 {
        #[allow(clippy::cast_precision_loss)] // nobody fetches that often
        let fetches = self.verifier.keys().fetches() as f64;
        fetches
    }

    /// Refuses further calls. May wait for the library's threads to end, which need nothing of JavaScript.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.verifier.close();
    }
}

impl Drop for TokenVerifier {
    fn drop(&mut self) {
        self.queue.forget(self.number);
    }
}

fn claims(token: VerifiedToken) -> Value {
    Value::Object(token.claims)
}

/// The claims of a token, as JSON, verified with a key document that is at hand.
#[napi(catch_unwind)]
#[allow(clippy::too_many_arguments)] // the settings of a verifier, one by one
pub fn verify_access_token(
    jwt: String,
    jwks: Uint8Array,
    issuer: String,
    expected_domain: String,
    audience: String,
    leeway: f64,
    now: f64,
) -> Result<String> {
    let check = TokenCheck::new(issuer, expected_domain)
        .audience(audience)
        .leeway(convert::millis("leeway", leeway)?);
    let now = convert::millis("now", now)?;
    let verified = KeySet::from_json(&jwks)
        .and_then(|keys| token::verify(&jwt, &keys, &check, now))
        .map_err(error::thrown)?;
    Ok(claims(verified).to_string())
}

/// The canonical form of a host name.
#[napi(catch_unwind)]
pub fn normalize_mcp_domain(raw: String) -> Result<String> {
    domain::normalize_mcp_domain(&raw).map_err(error::thrown)
}

/// The token in a request's `Authorization` headers.
#[napi(catch_unwind)]
pub fn bearer_token(authorization: Vec<String>) -> Result<String> {
    let values: Vec<&str> = authorization.iter().map(String::as_str).collect();
    bearer::token(&values).map(str::to_owned).map_err(error::thrown)
}

/// `[httpStatus, wwwAuthenticate or null, retryAfter or null, body]` for the error of this kind and code, as JSON.
#[napi(catch_unwind)]
pub fn token_refusal(
    kind: String,
    code: String,
    message: String,
    retry_after: Option<f64>,
    resource_metadata: Option<String>,
) -> String {
    let kind = ErrorKind::ALL.iter().find(|known| known.name() == kind).copied();
    let wait = retry_after.and_then(|millis| Duration::try_from_secs_f64(millis / 1000.0).ok());
    let failure =
        Error::new(kind.unwrap_or(ErrorKind::Internal), message).with_code(code).with_retry_after(wait);
    let refusal = bearer::Refusal::of(&failure, resource_metadata.as_deref());
    json!([refusal.http_status, refusal.www_authenticate, refusal.retry_after, refusal.body]).to_string()
}
