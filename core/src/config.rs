//! What a client is made from: argument, then environment, then default, resolved once.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::agent::mcp_target;
use crate::agent::pow::PowDigest;
use crate::base_url::BaseUrl;
use crate::clock::{Clock, SystemClock};
use crate::environment::Environment;
use crate::log::Logger;
use crate::secret::Secret;
use crate::transport::Transport;
use crate::transport::pins::Pins;
use crate::{Error, ErrorKind, Result};

/// The API root when neither argument nor environment gives one.
pub const DEFAULT_API_BASE: &str = "https://lime.pics/api/v1";

/// Environment variable of the API root.
pub const API_BASE_VARIABLE: &str = "LIME_API_BASE";
/// Environment variable of a site's token.
pub const SITE_TOKEN_VARIABLE: &str = "LIME_SITE_TOKEN";
/// Environment variable of an agent's token.
pub const AGENT_TOKEN_VARIABLE: &str = "LIME_AGENT_TOKEN";
/// The broker when neither argument nor environment names one.
pub const DEFAULT_BROKER_URL: &str = "https://getsesame.dev";
/// Environment variable of the broker's address.
pub const BROKER_URL_VARIABLE: &str = "SESAME_BROKER_URL";
/// Environment variable of a Sesame key.
pub const API_KEY_VARIABLE: &str = "SESAME_API_KEY";
/// The platform's origin when neither argument nor environment gives one.
pub const DEFAULT_ORIGIN: &str = "https://lime.pics";
/// Environment variable of the platform's origin.
pub const ORIGIN_VARIABLE: &str = "LIME_BASE_URL";
/// Environment variable of the host name that an MCP server is reached by.
pub const EXPECTED_DOMAIN_VARIABLE: &str = "LIME_EXPECTED_DOMAIN";
/// Environment variable of whom access tokens must be for.
pub const AUDIENCE_VARIABLE: &str = "LIME_OAUTH_AUDIENCE";
/// Environment variable of how far clocks may be apart, in seconds.
pub const LEEWAY_VARIABLE: &str = "LIME_JWT_VERIFY_LEEWAY_SECONDS";
/// Environment variable of the least time between two fetches that are not due, in seconds.
pub const MIN_REFRESH_VARIABLE: &str = "LIME_JWKS_MIN_REFRESH_SECONDS";
/// Environment variable of what a verifier calls itself when it fetches keys.
pub const USER_AGENT_VARIABLE: &str = "LIME_VERIFY_USER_AGENT";
/// Environment variable of how long signing keys are kept, in seconds.
pub const JWKS_CACHE_TTL_VARIABLE: &str = "LIME_JWKS_CACHE_TTL_SECONDS";

/// Environment variable of the public keys that LIME's server may have.
pub const TLS_PINS_VARIABLE: &str = "LIME_TLS_PINS";
/// Environment variable of the public keys that the broker's server may have.
pub const BROKER_TLS_PINS_VARIABLE: &str = "SESAME_TLS_PINS";

/// Environment variable of MCP servers' addresses.
pub const MCP_ADDRESSES_VARIABLE: &str = "LIME_MCP_ADDRESSES";

/// Which failed POSTs are sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PostRetry {
    /// The calls that the seed packages have as those do, the later ones (bindings) as today's do.
    #[default]
    Auto,
    /// As the seed packages do: on 408, 429, 500, 502, 503 and 504. Retries carry the same
    /// `Idempotency-Key`, and an approve whose outcome got lost is told apart.
    Seed,
    /// As today's packages do: on 408, 429 and 503 only.
    Today,
}

/// Which proof-of-work digest an agent computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PowChoice {
    /// The seed's digest first; when the platform answers `INVALID_POW`, today's on the same
    /// challenge. What worked is remembered per API root for the life of the process.
    #[default]
    Auto,
    /// This digest only.
    Only(PowDigest),
}

/// Which key documents a site takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JwksForm {
    /// Either.
    #[default]
    Auto,
    /// `{"ok": true, "data": {"keys": […]}}`, as the seed's platform serves it.
    Envelope,
    /// `{"keys": […]}` (RFC 7517), as today's does.
    Bare,
}

/// What differs between the platform of the seed packages and today's. The presets are [`AUTO`](Self::AUTO),
/// the default, [`SEED`](Self::SEED) and [`TODAY`](Self::TODAY); each setting can be changed by itself.
///
/// | | `AUTO` | `SEED` | `TODAY` |
/// |---|---|---|---|
/// | `pow_digest` | seed's, then today's; remembered | seed's | today's |
/// | `require_issuer` | no | no | yes |
/// | `post_retry` | by call | seed's | today's |
/// | `jwks_form` | either | envelope | bare |
///
/// ```
/// use lime_core::{Platform, SiteConfig};
/// let config = SiteConfig { platform: Platform::TODAY, ..SiteConfig::default() };
/// assert!(config.platform.require_issuer);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Platform {
    /// Which digest an agent's proof of work uses.
    pub pow_digest: PowChoice,
    /// Refuse passports without an `iss` claim (one that is there is checked always).
    pub require_issuer: bool,
    /// Which failed POSTs are sent again.
    pub post_retry: PostRetry,
    /// Which key documents a site takes.
    pub jwks_form: JwksForm,
}

impl Platform {
    /// Works with both.
    pub const AUTO: Self = Self {
        pow_digest: PowChoice::Auto,
        require_issuer: false,
        post_retry: PostRetry::Auto,
        jwks_form: JwksForm::Auto,
    };
    /// As `lime-sites-sdk` 1.0.1 and `lime-agents-sdk` 0.2.0 know it.
    pub const SEED: Self = Self {
        pow_digest: PowChoice::Only(PowDigest::Seed),
        require_issuer: false,
        post_retry: PostRetry::Seed,
        jwks_form: JwksForm::Envelope,
    };
    /// As `lime-sites-sdk` 2.0.6 and `lime-agents-sdk` 3.0.2 know it.
    pub const TODAY: Self = Self {
        pow_digest: PowChoice::Only(PowDigest::Today),
        require_issuer: true,
        post_retry: PostRetry::Today,
        jwks_form: JwksForm::Bare,
    };

    /// The preset of this name: `auto`, `seed` or `today`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::AUTO),
            "seed" => Some(Self::SEED),
            "today" => Some(Self::TODAY),
            _ => None,
        }
    }
}

impl Default for Platform {
    fn default() -> Self {
        Self::AUTO
    }
}

/// Each setting by its name, for languages in which settings are texts.
macro_rules! named {
    ($name:ident { $($text:literal = $value:pat => $made:expr,)+ }) => {
        impl $name {
            /// The setting of this name.
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($text => Some($made),)+
                    _ => None,
                }
            }

            /// The setting's name.
            pub const fn name(self) -> &'static str {
                match self {
                    $($value => $text,)+
                }
            }
        }
    };
}

named! { PowChoice {
    "auto" = Self::Auto => Self::Auto,
    "seed" = Self::Only(PowDigest::Seed) => Self::Only(PowDigest::Seed),
    "today" = Self::Only(PowDigest::Today) => Self::Only(PowDigest::Today),
} }
named! { PostRetry {
    "auto" = Self::Auto => Self::Auto,
    "seed" = Self::Seed => Self::Seed,
    "today" = Self::Today => Self::Today,
} }
named! { JwksForm {
    "auto" = Self::Auto => Self::Auto,
    "envelope" = Self::Envelope => Self::Envelope,
    "bare" = Self::Bare => Self::Bare,
} }

/// How to make a [`LimeSite`](crate::LimeSite).
///
/// ```
/// use lime_core::SiteConfig;
/// let config = SiteConfig { site_token: Some("st_example".into()), ..SiteConfig::default() };
/// ```
#[derive(Clone)]
pub struct SiteConfig {
    /// The site's secret, `st_…`; else `LIME_SITE_TOKEN`. Trimmed; empty counts as missing.
    pub site_token: Option<String>,
    /// The API root with `/api/v1`; else `LIME_API_BASE`, else [`DEFAULT_API_BASE`].
    pub base_url: Option<String>,
    /// Bounds one attempt of a request, from connecting to the last byte. Default 30 s.
    pub timeout: Duration,
    /// Further attempts after a failed one. Default 3.
    pub max_retries: u32,
    /// First wait before the event stream reconnects; doubles to 8 s. Default 0.5 s.
    pub sse_backoff_base: Duration,
    /// Events handed over and not yet handled before the stream stops being read; nothing is
    /// dropped, TCP holds the platform back. Default 1024.
    pub event_queue_limit: usize,
    /// How long signing keys are used before they are fetched again; else
    /// `LIME_JWKS_CACHE_TTL_SECONDS` (0 to 86,400), else 300 s.
    pub jwks_cache_ttl: Option<Duration>,
    /// What differs between the platform's times. Default: [`Platform::AUTO`], which works with all of them.
    pub platform: Platform,
    /// Public keys that the platform's server may have, beside what is checked of every certificate: SHA-256 of the
    /// certificate's `SubjectPublicKeyInfo` in base64, `sha256/` in front or not; else `LIME_TLS_PINS`, with commas
    /// between. Name the next key before it comes. Default: any key.
    pub tls_pins: Vec<String>,
    /// The host's own HTTP client; every byte goes through it. Default: ours.
    pub transport: Option<Arc<dyn Transport>>,
    /// Where log records go. Default: nowhere.
    pub logger: Logger,
    /// Where time and jitter come from. Default: the machine's clock.
    pub clock: Arc<dyn Clock>,
    /// Where the variables named here are looked up. Default: in the process's environment.
    pub environment: Environment,
}

impl Default for SiteConfig {
    fn default() -> Self {
        Self {
            site_token: None,
            base_url: None,
            timeout: Duration::from_secs(30),
            max_retries: 3,
            sse_backoff_base: Duration::from_millis(500),
            event_queue_limit: 1024,
            jwks_cache_ttl: None,
            platform: Platform::default(),
            tls_pins: Vec::new(),
            transport: None,
            logger: Logger::default(),
            clock: Arc::new(SystemClock::default()),
            environment: Environment::default(),
        }
    }
}

/// How to make a [`LimeAgent`](crate::LimeAgent).
#[derive(Clone)]
pub struct AgentConfig {
    /// The agent's secret, `at_…`; else `LIME_AGENT_TOKEN`. Trimmed; empty counts as missing.
    pub agent_token: Option<String>,
    /// The API root with `/api/v1`; else `LIME_API_BASE`, else [`DEFAULT_API_BASE`].
    pub base_url: Option<String>,
    /// Bounds one attempt of a request, from connecting to the last byte. Default 30 s.
    pub timeout: Duration,
    /// Further attempts after a failed one. Default 3.
    pub max_retries: u32,
    /// Wall-clock budget of one proof of work. Default 10 s.
    pub pow_timeout: Duration,
    /// Threads of one proof of work. Default 1.
    pub pow_threads: usize,
    /// What differs between the platform's times. Default: [`Platform::AUTO`], which works with all of them.
    pub platform: Platform,
    /// How long before its end a token for MCP servers counts as expired. Default 30 s.
    pub mcp_token_refresh_skew: Duration,
    /// Bounds the time to an MCP server's answer, and between two pieces of it. Default 300 s.
    pub mcp_read_timeout: Duration,
    /// Call each MCP server for one thing after the other. Default true.
    pub serialize_mcp_per_url: bool,
    /// Addresses of MCP servers by their host names, in place of the name system; else `LIME_MCP_ADDRESSES`
    /// (`tools.example.com=127.0.0.1,other.example.com=::1`). The names stay those that tokens are for and that
    /// certificates are checked against. For tests, and for networks with names of their own.
    pub mcp_addresses: Vec<(String, IpAddr)>,
    /// Public keys that the platform's server may have, beside what is checked of every certificate: SHA-256 of the
    /// certificate's `SubjectPublicKeyInfo` in base64, `sha256/` in front or not; else `LIME_TLS_PINS`, with commas
    /// between. Name the next key before it comes. MCP servers are not the platform's. Default: any key.
    pub tls_pins: Vec<String>,
    /// The host's own HTTP client; every byte goes through it. Default: ours.
    pub transport: Option<Arc<dyn Transport>>,
    /// Where log records go. Default: nowhere.
    pub logger: Logger,
    /// Where time and jitter come from. Default: the machine's clock.
    pub clock: Arc<dyn Clock>,
    /// Where the variables named here are looked up. Default: in the process's environment.
    pub environment: Environment,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            agent_token: None,
            base_url: None,
            timeout: Duration::from_secs(30),
            max_retries: 3,
            pow_timeout: Duration::from_secs(10),
            pow_threads: 1,
            platform: Platform::default(),
            mcp_token_refresh_skew: Duration::from_secs(30),
            mcp_read_timeout: Duration::from_secs(300),
            serialize_mcp_per_url: true,
            mcp_addresses: Vec::new(),
            tls_pins: Vec::new(),
            transport: None,
            logger: Logger::default(),
            clock: Arc::new(SystemClock::default()),
            environment: Environment::default(),
        }
    }
}

/// How to make a [`Sesame`](crate::Sesame).
#[derive(Clone)]
pub struct SesameConfig {
    /// The key, `sk_…`; else `SESAME_API_KEY`. Trimmed; empty counts as missing.
    pub api_key: Option<String>,
    /// The broker; else `SESAME_BROKER_URL`, else [`DEFAULT_BROKER_URL`].
    pub base_url: Option<String>,
    /// Bounds one attempt of a request, from connecting to the last byte; not a poll that the broker
    /// holds. Default 30 s.
    pub timeout: Duration,
    /// Further attempts of a call after a failed one, where that is safe; a wait does not count them.
    /// Default 3.
    pub max_retries: u32,
    /// How long one poll may take before it counts as hung and the broker is asked again. The broker
    /// holds one for 25 to 30 s, so less than that gives up polls that are alive. Default 40 s.
    pub poll_timeout: Duration,
    /// Public keys that the broker's server may have, beside what is checked of every certificate: SHA-256 of the
    /// certificate's `SubjectPublicKeyInfo` in base64, `sha256/` in front or not; else `SESAME_TLS_PINS`, with commas
    /// between. Name the next key before it comes. Default: any key.
    pub tls_pins: Vec<String>,
    /// The host's own HTTP client; every byte goes through it. Default: ours.
    pub transport: Option<Arc<dyn Transport>>,
    /// Where log records go. Default: nowhere.
    pub logger: Logger,
    /// Where time and jitter come from. Default: the machine's clock.
    pub clock: Arc<dyn Clock>,
    /// Where the variables named here are looked up. Default: in the process's environment.
    pub environment: Environment,
}

impl Default for SesameConfig {
    fn default() -> Self {
        Self {
            api_key: None,
            base_url: None,
            timeout: Duration::from_secs(30),
            max_retries: 3,
            poll_timeout: Duration::from_secs(40),
            tls_pins: Vec::new(),
            transport: None,
            logger: Logger::default(),
            clock: Arc::new(SystemClock::default()),
            environment: Environment::default(),
        }
    }
}

/// How to make a [`TokenVerifier`](crate::TokenVerifier).
#[derive(Clone)]
pub struct TokenVerifierConfig {
    /// The host name that this MCP server is reached by; else `LIME_EXPECTED_DOMAIN`. A URL will do, a port
    /// will not. Tokens for any other host are refused, so there is no default.
    pub expected_domain: Option<String>,
    /// The platform's origin, without `/api/v1`; else `LIME_BASE_URL`, else [`DEFAULT_ORIGIN`].
    pub base_url: Option<String>,
    /// Whom tokens must be for; else `LIME_OAUTH_AUDIENCE`, else `mcp`.
    pub audience: Option<String>,
    /// How far clocks may be apart when a token's times are looked at; else
    /// `LIME_JWT_VERIFY_LEEWAY_SECONDS`, else 120 s. A day at most.
    pub leeway: Option<Duration>,
    /// How long signing keys are used before they are fetched again; else
    /// `LIME_JWKS_CACHE_TTL_SECONDS` (0 to 86,400), else an hour.
    pub jwks_cache_ttl: Option<Duration>,
    /// The least time between two fetches that a token with an unknown key, or a warm-up, can cause; else
    /// `LIME_JWKS_MIN_REFRESH_SECONDS`, else 60 s.
    pub min_refresh: Option<Duration>,
    /// What the library calls itself when it fetches keys; else `LIME_VERIFY_USER_AGENT`, else
    /// what the HTTP client calls itself.
    pub user_agent: Option<String>,
    /// Bounds one attempt of a request, from connecting to the last byte. Default 30 s.
    pub timeout: Duration,
    /// Public keys that the platform's server may have, beside what is checked of every certificate: SHA-256 of the
    /// certificate's `SubjectPublicKeyInfo` in base64, `sha256/` in front or not; else `LIME_TLS_PINS`, with commas
    /// between. Name the next key before it comes. Default: any key.
    pub tls_pins: Vec<String>,
    /// The host's own HTTP client; every byte goes through it. Default: ours.
    pub transport: Option<Arc<dyn Transport>>,
    /// Where log records go. Default: nowhere.
    pub logger: Logger,
    /// Where the time comes from. Default: the machine's clock.
    pub clock: Arc<dyn Clock>,
    /// Where the variables named here are looked up. Default: in the process's environment.
    pub environment: Environment,
}

impl Default for TokenVerifierConfig {
    fn default() -> Self {
        Self {
            expected_domain: None,
            base_url: None,
            audience: None,
            leeway: None,
            jwks_cache_ttl: None,
            min_refresh: None,
            user_agent: None,
            timeout: Duration::from_secs(30),
            tls_pins: Vec::new(),
            transport: None,
            logger: Logger::default(),
            clock: Arc::new(SystemClock::default()),
            environment: Environment::default(),
        }
    }
}

/// A configuration holds a secret, so `Debug` shows where it points and nothing else.
macro_rules! debug_without_secrets {
    ($($config:ident)+) => {$(
        impl fmt::Debug for $config {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($config)).field("base_url", &self.base_url).finish_non_exhaustive()
            }
        }
    )+};
}

debug_without_secrets! { SiteConfig AgentConfig SesameConfig TokenVerifierConfig }

/// Resolves a token, and wipes what it was given in; `missing` is the whole message when there is none.
pub(crate) fn token(
    argument: Option<String>,
    variable: &str,
    missing: &str,
    environment: &Environment,
) -> Result<Secret> {
    let given = argument.filter(|text| !text.is_empty()).or_else(|| environment.get(variable));
    let given = Secret::new(given.unwrap_or_default());
    let token = given.expose().trim();
    if token.is_empty() {
        return Err(Error::new(ErrorKind::Authentication, missing));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::invalid_argument("The token contains characters that no token has"));
    }
    Ok(Secret::new(token))
}

/// Resolves the root of the LIME API.
pub(crate) fn base_url(argument: Option<&str>, environment: &Environment) -> Result<BaseUrl> {
    root(argument, API_BASE_VARIABLE, DEFAULT_API_BASE, environment)
}

/// Resolves the address of the broker.
pub(crate) fn broker_url(argument: Option<&str>, environment: &Environment) -> Result<BaseUrl> {
    root(argument, BROKER_URL_VARIABLE, DEFAULT_BROKER_URL, environment)
}

fn root(argument: Option<&str>, variable: &str, default: &str, environment: &Environment) -> Result<BaseUrl> {
    BaseUrl::parse(&text(argument, variable, environment).unwrap_or_else(|| default.to_owned()))
}

/// Resolves the public keys that a server may have. Where they could not be looked at, they are refused: a pin that is
/// not kept is worse than none.
pub(crate) fn tls_pins(
    argument: &[String],
    variable: &str,
    base_url: &BaseUrl,
    transport: Option<&Arc<dyn Transport>>,
    environment: &Environment,
) -> Result<Option<Pins>> {
    let named =
        if argument.is_empty() { environment.get(variable).unwrap_or_default() } else { String::new() };
    let named = named.split(',').filter(|text| !text.trim().is_empty());
    let pins = Pins::parse(argument.iter().map(String::as_str).chain(named))?;
    if pins.is_some() && transport.is_some() {
        return Err(Error::invalid_argument("tls_pins cannot be kept by the host's own HTTP client"));
    }
    if pins.is_some() && !base_url.is_encrypted() {
        return Err(Error::invalid_argument("tls_pins need a base_url that starts with https://"));
    }
    Ok(pins)
}

/// Resolves how long signing keys are kept.
pub(crate) fn jwks_cache_ttl(
    argument: Option<Duration>,
    default: Duration,
    environment: &Environment,
) -> Result<Duration> {
    up_to_a_day(argument, JWKS_CACHE_TTL_VARIABLE, default, environment)
}

/// Resolves a time that is a day at most.
pub(crate) fn up_to_a_day(
    argument: Option<Duration>,
    variable: &str,
    default: Duration,
    environment: &Environment,
) -> Result<Duration> {
    const LONGEST: f64 = 86_400.0;
    if let Some(time) = argument {
        return Ok(time.min(Duration::from_secs_f64(LONGEST)));
    }
    let Some(text) = environment.get(variable) else { return Ok(default) };
    // Fails closed: a typo must not mean "keep revoked keys for long".
    match text.trim().parse::<f64>() {
        Ok(seconds) if seconds.is_finite() => Ok(Duration::from_secs_f64(seconds.clamp(0.0, LONGEST))),
        _ => Err(Error::invalid_argument(format!("{variable} must be a number of seconds"))),
    }
}

/// Resolves the addresses of MCP servers.
pub(crate) fn mcp_addresses(
    argument: Vec<(String, IpAddr)>,
    environment: &Environment,
) -> Result<Vec<(String, IpAddr)>> {
    let given = match (argument.is_empty(), environment.get(MCP_ADDRESSES_VARIABLE)) {
        (true, Some(text)) => parse_mcp_addresses(&text).map_err(|error| {
            Error::invalid_argument(format!("{MCP_ADDRESSES_VARIABLE}: {}", error.message()))
        })?,
        _ => argument,
    };
    given
        .into_iter()
        .map(|(name, address)| Ok((mcp_target::extract_and_normalize_domain(&name)?, address)))
        .collect()
}

/// Reads `tools.example.com=127.0.0.1,other.example.com=::1`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] when it is written in another way.
pub fn parse_mcp_addresses(text: &str) -> Result<Vec<(String, IpAddr)>> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let read = |entry: &str| {
        let (name, address) = entry.split_once('=')?;
        Some((name.trim().to_owned(), address.trim().parse().ok()?))
    };
    entries
        .map(|entry| {
            read(entry).ok_or_else(|| {
                Error::invalid_argument(format!(
                    "{entry:?} is no address of an MCP server: it is written name=address"
                ))
            })
        })
        .collect()
}

/// A text from the argument, else from the environment; empty counts as absent.
pub(crate) fn text(argument: Option<&str>, variable: &str, environment: &Environment) -> Option<String> {
    argument.filter(|text| !text.is_empty()).map(str::to_owned).or_else(|| environment.get(variable))
}

/// Resolves the platform's origin.
pub(crate) fn origin(argument: Option<&str>, environment: &Environment) -> Result<BaseUrl> {
    let given = text(argument, ORIGIN_VARIABLE, environment).unwrap_or_else(|| DEFAULT_ORIGIN.to_owned());
    // The API root is what the other clients are given, and it is easily taken for this.
    let given = given.trim().trim_end_matches('/');
    BaseUrl::parse(given.strip_suffix("/api/v1").unwrap_or(given))
}

/// Refuses a timeout of zero, which nothing could meet.
pub(crate) fn checked_timeout(timeout: Duration) -> Result<Duration> {
    if timeout.is_zero() {
        return Err(Error::invalid_argument("timeout must be greater than zero"));
    }
    Ok(timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_found_by_their_names() {
        for name in ["auto", "seed", "today"] {
            assert_eq!(PowChoice::named(name).map(PowChoice::name), Some(name));
            assert_eq!(PostRetry::named(name).map(PostRetry::name), Some(name));
        }
        for name in ["auto", "envelope", "bare"] {
            assert_eq!(JwksForm::named(name).map(JwksForm::name), Some(name));
        }
        for name in ["", "both", "Auto", "today "] {
            assert_eq!(PowChoice::named(name), None);
            assert_eq!(PostRetry::named(name), None);
            assert_eq!(JwksForm::named(name), None);
            assert_eq!(Platform::named(name), None);
        }
        assert_eq!(Platform::named("auto"), Some(Platform::default()));
        assert_eq!(Platform::named("seed"), Some(Platform::SEED));
        assert_eq!(Platform::named("today"), Some(Platform::TODAY));
    }

    #[test]
    fn a_token_is_one_word() {
        let resolve =
            |text: &str| token(Some(text.to_owned()), "LIME_TOKEN", "missing", &Environment::from_iter([]));
        assert_eq!(resolve(" st_1\n").unwrap().expose(), "st_1");
        for empty in ["", " \t"] {
            assert_eq!(resolve(empty).unwrap_err().kind(), ErrorKind::Authentication);
        }
        for bad in ["st_1 st_2", "st_1\nx-other: 1", "st_ü", "st_\u{7f}"] {
            let error = resolve(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(!error.message().contains("st_"), "{error}");
        }
    }

    #[test]
    fn addresses_of_mcp_servers_are_written_as_name_and_address() {
        let read = |text| parse_mcp_addresses(text).map_err(|error| error.kind());
        let address = |name: &str, address: &str| (name.to_owned(), address.parse().unwrap());
        assert_eq!(
            read(" tools.example.com = 127.0.0.1 ,, other.example.com=::1,"),
            Ok(vec![address("tools.example.com", "127.0.0.1"), address("other.example.com", "::1")])
        );
        assert_eq!(read(""), Ok(Vec::new()));
        for bad in ["tools.example.com", "tools.example.com=", "tools.example.com=localhost", "a=1.2.3.4:80"]
        {
            assert_eq!(read(bad), Err(ErrorKind::InvalidArgument), "{bad}");
        }
        assert!(
            mcp_addresses(vec![address("localhost", "127.0.0.1")], &Environment::default()).is_err(),
            "no name that a token is for"
        );
        let named = Environment::from_iter([(MCP_ADDRESSES_VARIABLE.to_owned(), "rubbish".to_owned())]);
        let error = mcp_addresses(Vec::new(), &named).unwrap_err();
        assert!(error.message().starts_with("LIME_MCP_ADDRESSES: \"rubbish\" is no address"), "{error}");
    }

    #[test]
    fn times_have_ends() {
        let day = Duration::from_secs(86_400);
        let none = Environment::from_iter([]);
        let resolve = |time| up_to_a_day(Some(time), "LIME_TIME", Duration::ZERO, &none).unwrap();
        assert_eq!(resolve(Duration::from_secs(1)), Duration::from_secs(1));
        assert_eq!(resolve(day * 2), day);
        assert_eq!(resolve(Duration::MAX), day);
        assert_eq!(up_to_a_day(None, "LIME_TIME", day * 2, &none).unwrap(), day * 2);
        let named = |text: &str| {
            let environment = Environment::from_iter([("LIME_TIME".to_owned(), text.to_owned())]);
            up_to_a_day(None, "LIME_TIME", day * 2, &environment).map_err(|error| error.message().to_owned())
        };
        assert_eq!(named(" 1.5 "), Ok(Duration::from_millis(1500)));
        assert_eq!((named("-1"), named("1e9"), named("")), (Ok(Duration::ZERO), Ok(day), Ok(day * 2)));
        for wrong in [" ", "an hour", "NaN", "inf"] {
            assert_eq!(named(wrong), Err("LIME_TIME must be a number of seconds".to_owned()), "{wrong:?}");
        }
        assert_eq!(checked_timeout(Duration::ZERO).unwrap_err().kind(), ErrorKind::InvalidArgument);
        assert!(checked_timeout(Duration::from_nanos(1)).is_ok());
    }

    #[test]
    fn debug_shows_no_secret() {
        let secret = || Some("secret-token".to_owned());
        let shown = format!(
            "{:?} {:?} {:?}",
            SiteConfig { site_token: secret(), ..SiteConfig::default() },
            AgentConfig { agent_token: secret(), ..AgentConfig::default() },
            SesameConfig { api_key: secret(), ..SesameConfig::default() },
        );
        assert!(shown.contains("SesameConfig") && !shown.contains("secret-token"), "{shown}");
    }
}
