//! MCP access tokens: what an agent shows to an MCP server. RS256 JSON Web Tokens for one host name.
//!
//! The rules are those of the published lime-mcp-server-sdk, which leaves most of them to `PyJWT`; where a
//! lenient reading there could let something through that the platform has not written, ours is strict, and
//! `bindings-python/COMPATIBILITY.md` says so.

use std::time::Duration;

use serde_json::{Map, Value};

use super::domain;
use crate::site::jwks::KeySet;
use crate::site::passport::{Unverified, printable};
use crate::{Error, ErrorKind, Result};

/// What site passports carry and an access token must not: with one of these it is another kind of token.
pub const FORBIDDEN_CLAIMS: [&str; 3] = ["passport_version", "request_id", "user_id"];

/// Whom access tokens are for, unless a server says otherwise.
pub const DEFAULT_AUDIENCE: &str = "mcp";
/// How far clocks may be apart, unless a server says otherwise.
pub const DEFAULT_LEEWAY: Duration = Duration::from_secs(120);

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal;)+) => {
        /// Why a token is refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The reason's name in `snake_case`, which is the error's code.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// A sentence for the documentation of every language.
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

reasons! {
    /// The request shows no token.
    MissingToken = "missing_token";
    /// The request shows several tokens.
    AmbiguousToken = "ambiguous_token";
    /// It is no RS256 JWT with a key's name, or its JSON is not to be trusted (a name twice, no object).
    Malformed = "malformed";
    /// The platform has no usable key of this name.
    UnknownKey = "unknown_key";
    /// The signature is not the platform's.
    BadSignature = "bad_signature";
    /// A claim that must be there is not, or is of another type.
    InvalidClaim = "invalid_claim";
    /// Its time has not come (`iat`, `nbf`).
    NotYetValid = "not_yet_valid";
    /// Its time has passed (`exp`).
    Expired = "expired";
    /// Another platform has issued it (`iss`).
    WrongIssuer = "wrong_issuer";
    /// It is for something else (`aud`).
    WrongAudience = "wrong_audience";
    /// It carries what passports carry, so it is another kind of token.
    ForbiddenClaim = "forbidden_claim";
    /// It does not say whose it is (`sub`).
    MissingSubject = "missing_subject";
    /// It does not say which host it is for (`domain`).
    MissingDomain = "missing_domain";
    /// Its host name is not in canonical form.
    InvalidDomain = "invalid_domain";
    /// It is for another host.
    WrongDomain = "wrong_domain";
}

impl Reason {
    pub(crate) fn error(self, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::InvalidToken, message).with_code(self.name())
    }
}

/// A verified access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedToken {
    /// Its claims.
    pub claims: Map<String, Value>,
}

impl VerifiedToken {
    /// The agent that shows it (`sub`).
    pub fn agent_id(&self) -> &str {
        self.text("sub")
    }

    /// The host name that it is for.
    pub fn domain(&self) -> &str {
        self.text("domain")
    }

    fn text(&self, claim: &str) -> &str {
        // Verified to be there; an empty text is nobody's.
        self.claims.get(claim).and_then(Value::as_str).unwrap_or_default()
    }
}

/// What a token must meet.
///
/// ```
/// use lime_core::TokenCheck;
/// let check = TokenCheck::new("https://lime.pics", "tools.example.com");
/// ```
#[derive(Debug, Clone)]
pub struct TokenCheck {
    pub(crate) issuer: String,
    pub(crate) expected_domain: String,
    /// Whether that is in canonical form, as it has to be.
    expects_canonical: bool,
    pub(crate) audience: String,
    pub(crate) leeway: Duration,
}

impl TokenCheck {
    /// The token must be this issuer's, letter by letter, and for this host name in canonical form
    /// ([`normalize_mcp_domain`](super::domain::normalize_mcp_domain)).
    pub fn new(issuer: impl Into<String>, expected_domain: impl Into<String>) -> Self {
        let expected_domain = expected_domain.into();
        Self {
            issuer: issuer.into(),
            expects_canonical: domain::is_canonical(&expected_domain),
            expected_domain,
            audience: DEFAULT_AUDIENCE.to_owned(),
            leeway: DEFAULT_LEEWAY,
        }
    }

    /// The token must be for this audience, `mcp` unless set.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = audience.into();
        self
    }

    /// How far clocks may be apart, 120 s unless set.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }
}

/// Verifies an access token with keys that are at hand, without any client. `now` is Unix time.
///
/// # Errors
/// [`ErrorKind::InvalidToken`]; its code is a [`Reason`].
pub fn verify(jwt: &str, keys: &KeySet, check: &TokenCheck, now: Duration) -> Result<VerifiedToken> {
    verify_parsed(&parse(jwt)?, keys, &check.issuer, check, now)
}

/// Takes a token apart; nothing in it is believed yet.
pub(crate) fn parse(jwt: &str) -> Result<Unverified<'_>> {
    Unverified::parse(jwt).map_err(malformed)
}

/// Checks the signature, then the claims, in the order in which the published package finds fault.
pub(crate) fn verify_parsed(
    token: &Unverified<'_>,
    keys: &KeySet,
    issuer: &str,
    check: &TokenCheck,
    now: Duration,
) -> Result<VerifiedToken> {
    let Some(key) = keys.get(token.kid()) else {
        return Err(Reason::UnknownKey.error(format!("no jwks key for kid='{}'", printable(token.kid()))));
    };
    token.verify_signature(key).map_err(|error| Reason::BadSignature.error(error.message()))?;
    let claims = token.claims().map_err(malformed)?;
    check_times(&claims, check.leeway.as_secs_f64(), now.as_secs_f64())?;
    check_parties(&claims, issuer, &check.audience)?;
    check_binding(&claims, check)?;
    Ok(VerifiedToken { claims })
}

fn check_times(claims: &Map<String, Value>, leeway: f64, now: f64) -> Result<()> {
    for name in ["iat", "nbf"] {
        if let Some(time) = time(claims, name)?
            && time > now + leeway
        {
            return Err(Reason::NotYetValid.error(format!("The token is not yet valid ({name})")));
        }
    }
    match time(claims, "exp")? {
        // A token that never ends is none that the platform issues.
        None => Err(Reason::InvalidClaim.error("Token is missing the \"exp\" claim")),
        Some(exp) if exp <= now - leeway => Err(Reason::Expired.error("Token expired")),
        Some(_) => Ok(()),
    }
}

/// A claim in whole seconds, a fraction cut off, where there is one.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            Some(time) => Ok(Some(time.trunc())),
            None => Err(Reason::InvalidClaim.error(format!("The {name} claim must be a number"))),
        },
    }
}

fn check_parties(claims: &Map<String, Value>, issuer: &str, audience: &str) -> Result<()> {
    let missing = |name: &str| Reason::InvalidClaim.error(format!("Token is missing the \"{name}\" claim"));
    match claims.get("iss") {
        None => return Err(missing("iss")),
        Some(Value::String(named)) if named == issuer => {}
        Some(_) => return Err(Reason::WrongIssuer.error("Invalid issuer")),
    }
    let fits = match claims.get("aud") {
        None => return Err(missing("aud")),
        Some(value) if says_nothing(value) => return Err(missing("aud")),
        Some(Value::String(named)) => named == audience,
        Some(Value::Array(named)) => {
            named.iter().all(Value::is_string) && named.iter().any(|named| named.as_str() == Some(audience))
        }
        Some(_) => false,
    };
    if fits { Ok(()) } else { Err(Reason::WrongAudience.error("Invalid audience")) }
}

/// What is as good as a claim that is not there.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

fn check_binding(claims: &Map<String, Value>, check: &TokenCheck) -> Result<()> {
    for name in ["sub", "jti"] {
        if claims.get(name).is_some_and(|value| !value.is_string()) {
            return Err(Reason::InvalidClaim.error(format!("The {name} claim must be a string")));
        }
    }
    if let Some(name) = FORBIDDEN_CLAIMS.into_iter().find(|name| claims.contains_key(*name)) {
        return Err(Reason::ForbiddenClaim.error(format!("forbidden claim: {name}")));
    }
    let text =
        |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !domain::strip(text).is_empty());
    if text("sub").is_none() {
        return Err(Reason::MissingSubject.error("missing sub claim"));
    }
    match text("domain") {
        None => Err(Reason::MissingDomain.error("Missing domain claim")),
        Some(named) if check.expects_canonical && named == check.expected_domain => Ok(()),
        // The platform writes canonical names only; another spelling is somebody else's.
        Some(named) if !domain::is_canonical(named) => {
            Err(Reason::InvalidDomain.error("Invalid domain claim"))
        }
        Some(_) => Err(Reason::WrongDomain.error("Domain mismatch")),
    }
}

/// What cannot be read as a token; the words are those of passports.
#[allow(clippy::needless_pass_by_value)] // as map_err hands it over
fn malformed(error: Error) -> Error {
    Reason::Malformed.error(error.message())
}
