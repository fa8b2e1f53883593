//! Passports: what an agent shows to a site, and what says which agent a person has connected. RS256 JSON Web
//! Tokens with a life of two minutes, and of one.
//!
//! The claims are checked here on the plain JSON rather than by a JWT library's validator: the rules
//! (an exact audience, no leeway for `exp`, a longest life, an issuer by origin) are the protocol's own,
//! and a library's defaults differ from them in both directions.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use aws_lc_rs::signature::ParsedPublicKey;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use url::Url;

use super::jwks::KeySet;
use crate::{Error, ErrorKind, Result, json};

const SKEW_SECONDS: f64 = 30.0;
const LONGEST_TOKEN: usize = 8192;

/// A verified passport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passport {
    /// Its claims; `sub` is called `agent_id`.
    pub claims: Map<String, Value>,
}

impl Passport {
    /// The LIME user who owns the agent: today's platform says `user_id`, the seed's `owner_id`.
    pub fn owner_id(&self) -> Option<&str> {
        let text = |name| self.claims.get(name).and_then(Value::as_str);
        text("owner_id").or_else(|| text("user_id"))
    }
}

/// What a passport must meet beyond the protocol's own rules.
///
/// ```
/// use lime_core::PassportCheck;
/// let check = PassportCheck::default().expected_request_id("lr_1");
/// ```
#[derive(Debug, Clone, Default)]
pub struct PassportCheck {
    expected_request_id: Option<String>,
    require_issuer: bool,
}

impl PassportCheck {
    /// The passport must be for this login request.
    #[must_use]
    pub fn expected_request_id(mut self, request_id: impl Into<String>) -> Self {
        self.expected_request_id = Some(request_id.into());
        self
    }

    /// The passport must name its issuer. One that is named is checked in any case.
    #[must_use]
    pub fn require_issuer(mut self, required: bool) -> Self {
        self.require_issuer = required;
        self
    }
}

/// What a binding passport must meet beyond the protocol's own rules.
///
/// ```
/// use lime_core::BindingCheck;
/// let check = BindingCheck::default().expected_binding_id("br_1");
/// ```
#[derive(Debug, Clone, Default)]
pub struct BindingCheck {
    expected_binding_id: Option<String>,
    require_issuer: bool,
}

impl BindingCheck {
    /// The passport must be for this binding: the one that was kept beside the session of the person who came
    /// back. Without it, or a comparison of one's own, somebody could be sent back with a stranger's code.
    #[must_use]
    pub fn expected_binding_id(mut self, binding_id: impl Into<String>) -> Self {
        self.expected_binding_id = Some(binding_id.into());
        self
    }

    /// The passport must name its issuer. One that is named is checked in any case.
    #[must_use]
    pub fn require_issuer(mut self, required: bool) -> Self {
        self.require_issuer = required;
        self
    }
}

/// Of which kind a passport is, and what it must meet. What is right for one kind is wrong for the other.
#[derive(Debug, Clone)]
pub(crate) enum Check {
    Login(PassportCheck),
    Binding(BindingCheck),
}

impl From<PassportCheck> for Check {
    fn from(check: PassportCheck) -> Self {
        Self::Login(check)
    }
}

impl From<BindingCheck> for Check {
    fn from(check: BindingCheck) -> Self {
        Self::Binding(check)
    }
}

impl Check {
    fn audience(&self) -> &'static str {
        match self {
            Self::Login(_) => "lime-site-login",
            Self::Binding(_) => "lime-binding",
        }
    }

    fn longest_life_seconds(&self) -> f64 {
        match self {
            Self::Login(_) => 120.0,
            Self::Binding(_) => 60.0,
        }
    }

    fn requires_issuer(&self) -> bool {
        match self {
            Self::Login(check) => check.require_issuer,
            Self::Binding(check) => check.require_issuer,
        }
    }

    /// The claims that only one kind has.
    fn check_own_claims(&self, claims: &Map<String, Value>) -> Result<()> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        match self {
            Self::Login(PassportCheck { expected_request_id: Some(expected), .. })
                if text("request_id") != Some(expected) =>
            {
                Err(invalid("JWT request_id claim does not match expected request"))
            }
            Self::Login(_) => Ok(()),
            Self::Binding(check) => {
                let binding_id = text("binding_id").filter(|id| !id.trim().is_empty());
                let binding_id = binding_id.ok_or_else(|| invalid("JWT missing binding_id claim"))?;
                match &check.expected_binding_id {
                    Some(expected) if expected != binding_id => {
                        Err(invalid("JWT binding_id claim does not match expected binding"))
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}

/// A token taken apart, with the key's name read and nothing believed yet.
///
/// Also for MCP access tokens, whose claims follow other rules.
pub(crate) struct Unverified<'a> {
    signed: &'a str,
    payload: &'a str,
    signature: Vec<u8>,
    header: Arc<Header>,
}

/// A header that is one of ours, as it stands in the token and what is used of it.
struct Header {
    encoded: String,
    kid: String,
}

/// The last one. A platform signs with the same key for weeks, so that a token has the header of the one before.
static LAST_HEADER: ArcSwapOption<Header> = ArcSwapOption::const_empty();

impl Header {
    fn parse(encoded: &str) -> Result<Arc<Self>> {
        if let Some(last) = &*LAST_HEADER.load()
            && last.encoded == encoded
        {
            return Ok(Arc::clone(last));
        }
        let header =
            URL_SAFE_NO_PAD.decode(encoded).map_err(|_| invalid("JWT is not three base64url segments"))?;
        let header = json::strict_object(&header).ok_or_else(|| invalid("JWT header is invalid"))?;
        // The algorithm is ours to choose; a header that names another one is not for us. Keys that
        // the header offers (jwk, jku, x5u) are not looked at.
        if header.get("alg").and_then(Value::as_str) != Some("RS256") {
            return Err(invalid("JWT signature algorithm is not RS256"));
        }
        if header.contains_key("crit") {
            return Err(invalid("JWT header has critical extensions"));
        }
        // RFC 7797: the payload would not be base64url. Readers that do not know it read something else.
        if header.get("b64") == Some(&Value::Bool(false)) {
            return Err(invalid("JWT payload is detached"));
        }
        let kid = header.get("kid").and_then(Value::as_str).filter(|kid| !kid.is_empty());
        let kid = kid.ok_or_else(|| invalid("JWT header missing kid"))?.to_owned();
        let header = Arc::new(Self { encoded: encoded.to_owned(), kid });
        LAST_HEADER.store(Some(Arc::clone(&header)));
        Ok(header)
    }
}

impl<'a> Unverified<'a> {
    pub(crate) fn parse(jwt: &'a str) -> Result<Self> {
        if jwt.len() > LONGEST_TOKEN {
            return Err(invalid("JWT is too long"));
        }
        let malformed = || invalid("JWT is not three base64url segments");
        let (signed, signature) = jwt.rsplit_once('.').ok_or_else(malformed)?;
        let (header, payload) = signed.split_once('.').ok_or_else(malformed)?;
        if payload.contains('.') {
            return Err(malformed());
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed())?;
        Ok(Self { signed, payload, signature, header: Header::parse(header)? })
    }

    /// Which key it claims to be signed with.
    pub(crate) fn kid(&self) -> &str {
        &self.header.kid
    }

    /// Checks the signature, then the claims. `now` is Unix time; `api_root` gives the issuer, which
    /// `require_issuer` or the check asks for.
    pub(crate) fn verify(
        &self,
        keys: &KeySet,
        api_root: &str,
        check: &Check,
        require_issuer: bool,
        now: Duration,
    ) -> Result<Passport> {
        let key = keys
            .get(self.kid())
            .ok_or_else(|| invalid(format!("Unknown JWT kid: {}", printable(self.kid()))))?;
        self.verify_signature(key)?;
        let claims = self.claims()?;
        check_claims(&claims, api_root, check, require_issuer, now.as_secs_f64())?;
        Ok(Passport { claims: renamed(claims) })
    }

    /// The claims, which say nothing before the signature was verified.
    pub(crate) fn claims(&self) -> Result<Map<String, Value>> {
        let payload =
            URL_SAFE_NO_PAD.decode(self.payload).map_err(|_| invalid("JWT payload is not base64url"))?;
        json::strict_object(&payload)
            .ok_or_else(|| invalid("JWT payload must be an object without duplicate keys"))
    }

    pub(crate) fn verify_signature(&self, key: &ParsedPublicKey) -> Result<()> {
        key.verify_sig(self.signed.as_bytes(), &self.signature)
            .map_err(|_| invalid("JWT signature verification failed"))
    }
}

/// Verifies a passport with keys that are at hand, without any client: `api_root` is the API root that
/// the passport must come from, `now` the Unix time.
///
/// # Errors
/// [`ErrorKind::InvalidPassport`], or [`ErrorKind::PassportExpired`] when only time is against it.
pub fn verify(
    jwt: &str,
    keys: &KeySet,
    api_root: &str,
    check: &PassportCheck,
    now: Duration,
) -> Result<Passport> {
    Unverified::parse(jwt)?.verify(keys, api_root, &check.clone().into(), false, now)
}

/// Like [`verify`], for a binding passport.
///
/// # Errors
/// As [`verify`].
pub fn verify_binding(
    jwt: &str,
    keys: &KeySet,
    api_root: &str,
    check: &BindingCheck,
    now: Duration,
) -> Result<Passport> {
    Unverified::parse(jwt)?.verify(keys, api_root, &check.clone().into(), false, now)
}

fn check_claims(
    claims: &Map<String, Value>,
    api_root: &str,
    check: &Check,
    require_issuer: bool,
    now: f64,
) -> Result<()> {
    let wanted = check.audience();
    match claims.get("aud") {
        Some(Value::String(audience)) if audience == wanted => {}
        other => {
            let got = other.map_or_else(|| "none".to_owned(), |value| printable(&value.to_string()));
            return Err(invalid(format!("Invalid audience: expected '{wanted}', got {got}")));
        }
    }
    check_issuer(claims.get("iss"), api_root, require_issuer || check.requires_issuer())?;
    let number = |name: &str| claims.get(name).and_then(Value::as_f64);
    let (Some(exp), Some(iat)) = (number("exp"), number("iat")) else {
        return Err(invalid("JWT missing exp or iat"));
    };
    // A second that has begun is over, as PyJWT has it.
    if exp.trunc() <= now {
        return Err(Error::new(ErrorKind::PassportExpired, "JWT has expired"));
    }
    let longest = check.longest_life_seconds();
    if exp - iat > longest {
        return Err(invalid(format!("JWT TTL exceeds platform maximum ({longest}s)")));
    }
    if iat > now + SKEW_SECONDS {
        return Err(invalid("JWT is not yet valid (iat in the future)"));
    }
    if claims.contains_key("nbf") {
        let nbf = number("nbf").ok_or_else(|| invalid("JWT nbf claim must be a number"))?;
        if nbf > now + SKEW_SECONDS {
            return Err(invalid("JWT is not yet valid (nbf in the future)"));
        }
    }
    // What RFC 7519 has as texts; another type is not the platform's.
    if let Some(name) =
        ["sub", "jti"].into_iter().find(|name| claims.get(*name).is_some_and(|value| !value.is_string()))
    {
        return Err(invalid(format!("JWT {name} claim must be a string")));
    }
    check.check_own_claims(claims)
}

/// The issuer is the origin of the API root: compared as URLs, since a prefix comparison would take
/// `https://lime.pics.evil.example` for `https://lime.pics`.
fn check_issuer(issuer: Option<&Value>, api_root: &str, required: bool) -> Result<()> {
    let Some(issuer) = issuer else {
        return if required { Err(invalid("JWT missing iss claim (issuer)")) } else { Ok(()) };
    };
    if issuer.as_str().is_some_and(|issuer| begins(api_root, issuer)) {
        return Ok(());
    }
    let matches = issuer.as_str().and_then(|text| Url::parse(text.trim()).ok()).is_some_and(|issuer| {
        let bare = issuer.username().is_empty()
            && issuer.password().is_none()
            && issuer.path().trim_end_matches('/').is_empty()
            && issuer.query().is_none()
            && issuer.fragment().is_none();
        bare && Url::parse(api_root)
            .is_ok_and(|root| root.origin().is_tuple() && root.origin() == issuer.origin())
    });
    if matches { Ok(()) } else { Err(invalid(format!("Invalid issuer: {}", printable(&issuer.to_string())))) }
}

/// Whether the issuer is what the API root begins with, up to its path: almost every one is, and parsing two URLs
/// takes as long as all else but the signature.
fn begins(api_root: &str, issuer: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':');
    let authority = issuer.strip_prefix("https://").or_else(|| issuer.strip_prefix("http://"));
    let rest = api_root.strip_prefix(issuer);
    authority.is_some_and(|authority| !authority.is_empty() && authority.bytes().all(plain))
        && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The published packages call the subject by what it is.
fn renamed(mut claims: Map<String, Value>) -> Map<String, Value> {
    if let Some(sub) = claims.shift_remove("sub") {
        claims.entry("agent_id").or_insert(sub);
    }
    claims
}

/// A peer's text in a message: short, and without control characters that could forge a log line.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidPassport, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_goes_by_the_seeds_name_or_by_todays() {
        let owner = |claims: Value| {
            let Value::Object(claims) = claims else { unreachable!() };
            Passport { claims }.owner_id().map(str::to_owned)
        };
        assert_eq!(owner(serde_json::json!({"owner_id": "u_1"})).as_deref(), Some("u_1"));
        assert_eq!(owner(serde_json::json!({"user_id": "u_2"})).as_deref(), Some("u_2"));
        assert_eq!(owner(serde_json::json!({"owner_id": "u_1", "user_id": "u_2"})).as_deref(), Some("u_1"));
        assert_eq!(owner(serde_json::json!({"owner_id": 1, "user_id": null, "sub": "a_1"})), None);
    }
}
