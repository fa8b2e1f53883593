//! Access tokens and what is around them on an MCP server: where a token is in a request, which one gets in, what the
//! others are answered; which host names there are, and where the keys lie.
//!
//! The input's first byte chooses; the rest is texts, separated by a byte that no UTF-8 text has.

use std::sync::LazyLock;
use std::time::Duration;

use lime_core::site::jwks::KeySet;
use lime_core::token_verifier::bearer;
use lime_core::token_verifier::domain::normalize_mcp_domain;
use lime_core::token_verifier::metadata::Metadata;
use lime_core::token_verifier::token::{self, Reason, TokenCheck};
use lime_core::{Error, ErrorKind};
use serde_json::{Map, Value, json};
use url::Url;

use crate::json::strict_object;
use crate::signer::{ATTACKER, MAIN};

/// Texts that mean something here.
pub const WORDS: &[&str] = &[
    "{\"alg\":\"RS256\",\"kid\":\"k1\"}",
    "\"alg\":\"none\"",
    "\"crit\":[]",
    "\"b64\":false",
    "\"iss\":\"https://lime.pics\"",
    "\"aud\":\"mcp\"",
    "\"aud\":[\"mcp\"]",
    "\"exp\":",
    "\"iat\":",
    "\"nbf\":",
    "1000",
    "1300",
    "880",
    "1120.9",
    "1e3",
    "\"sub\":\"agt_1\"",
    "\"jti\":",
    "\"domain\":\"tools.example.com\"",
    "\"user_id\":",
    "\"request_id\":",
    "\"passport_version\":",
    "null",
    "true",
    "\"\"",
    "Bearer ",
    "bearer\t",
    "Basic ",
    "https://",
    "http://",
    ".local",
    ".internal",
    "metadata",
    "localhost",
    "127.0.0.1",
    "[::1]",
    ":443",
    "@",
    "{\"issuer\":\"https://lime.pics\",\"jwks_uri\":\"",
    "//evil.example",
    "https://lime.pics/api/v1/core/.well-known/jwks.json",
    "\"grant_types_supported\":[]",
    "xn--",
    "\u{212a}",
    "\u{1c}",
];

const BETWEEN: u8 = 0xff;
const NOW: Duration = Duration::from_millis(1_000_500);
const LEEWAY: f64 = 120.0;
const DOMAIN: &str = "tools.example.com";
const ISSUER: &str = "https://lime.pics";

static KEYS: LazyLock<KeySet> =
    LazyLock::new(|| KeySet::from_json(json!({"keys": [MAIN.jwk("k1")]}).to_string().as_bytes()).unwrap());

static KNOWN: LazyLock<String> = LazyLock::new(|| {
    let payload =
        json!({"iss": ISSUER, "aud": "mcp", "iat": 1000, "exp": 1300, "sub": "agt_1", "domain": DOMAIN});
    MAIN.token(br#"{"alg":"RS256","kid":"k1"}"#, payload.to_string().as_bytes())
});

/// Runs the target once.
///
/// # Panics
/// When the library is wrong.
pub fn run(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let mut parts = rest.split(|byte| *byte == BETWEEN);
    let first = parts.next().unwrap_or_default();
    let second = parts.next();
    let text = |bytes| str::from_utf8(bytes).unwrap_or_default();
    match choice % 8 {
        0 => a_domain(text(first)),
        1 => a_header(text(first), second.map(text)),
        2 => metadata(first, second.map_or("https://lime.pics", text)),
        3 => unsigned(text(first)),
        4 => signed(first, second.unwrap_or_default(), true),
        _ => signed(first, second.unwrap_or_default(), false),
    }
}

// ── host names ────────────────────────────────────────────────────────────────────────────────────

fn a_domain(raw: &str) {
    let Ok(domain) = normalize_mcp_domain(raw) else { return };
    assert_eq!(normalize_mcp_domain(&domain).as_deref(), Ok(&*domain), "{raw:?}");
    assert!(is_canonical(&domain), "{domain:?} of {raw:?}");
    // A URL with this very host: nothing of the text is a port, a user or a path. (Some are none, or
    // an old spelling of an address, by their last label: a number.)
    if let Ok(url) = Url::parse(&format!("https://{domain}/"))
        && url.domain().is_some()
    {
        assert_eq!((url.domain(), url.port(), url.path()), (Some(&*domain), None, "/"), "{raw:?}");
    }
    let lower = raw.to_lowercase();
    assert!(lower.contains(&domain), "{domain:?} of {raw:?}");
}

fn is_canonical(domain: &str) -> bool {
    let labels: Vec<&str> = domain.split('.').collect();
    let label = |label: &&str| {
        (1..64).contains(&label.len())
            && label.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let octet = |text: &&str| {
        text.len() <= 3 && text.parse::<u8>().is_ok() && (*text == "0" || !text.starts_with('0'))
    };
    let address = labels.len() == 4 && labels.iter().all(octet);
    let inner = ["localhost", "local", "internal", "intranet", "corp", "home", "lan"];
    let reserved = labels.len() > 1 && inner.contains(labels.last().unwrap())
        || ["localhost", "metadata", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
            .contains(&domain);
    domain.len() <= 253 && labels.iter().all(label) && !address && !reserved
}

// ── requests and answers ──────────────────────────────────────────────────────────────────────────

fn a_header(header: &str, other: Option<&str>) {
    let headers: Vec<&str> = [header].into_iter().chain(other).collect();
    let found = bearer::token(&headers);
    let blank = |c: char| c == ' ' || c == '\t';
    let wanted = match &headers[..] {
        [header] => {
            let header = header.trim_matches(blank);
            match header.find(blank).map(|at| (&header[..at], header[at..].trim_matches(blank))) {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() => {
                    Ok(token)
                }
                _ => Err("missing_token"),
            }
        }
        _ => Err("ambiguous_token"),
    };
    assert_eq!(found.as_ref().map(|token| *token).map_err(|error| error.code().unwrap()), wanted);
    let error = match found {
        Ok(token) => match token::verify(token, &KEYS, &check(), NOW) {
            Ok(_) => return assert_eq!(token, KNOWN.as_str()),
            Err(error) => error,
        },
        Err(error) => error,
    };
    answer(&error, header);
    let message = other.unwrap_or(header);
    answer(&Error::new(ErrorKind::InvalidToken, message).with_code("malformed"), message);
    answer(&Error::new(ErrorKind::Transport, message), message);
}

/// What a refusal says can stand in a header, and says nothing of what only the server is to know.
fn answer(error: &Error, metadata: &str) {
    for metadata in [None, Some(metadata)] {
        let refusal = bearer::Refusal::of(error, metadata);
        assert!(matches!(refusal.http_status, 400 | 401 | 503), "{refusal:?}");
        assert_eq!(refusal.http_status == 503, refusal.www_authenticate.is_none());
        let body: Map<String, Value> = serde_json::from_str(&refusal.body).unwrap();
        assert_eq!(body.keys().collect::<Vec<_>>(), ["error", "error_description"]);
        let Some(challenge) = refusal.www_authenticate else {
            assert!(refusal.retry_after.is_some() && body["error"] == "temporarily_unavailable");
            continue;
        };
        assert!(challenge.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{challenge:?}");
        let mut rest = challenge.strip_prefix("Bearer").expect("the scheme");
        while !rest.is_empty() {
            let parameter = rest.strip_prefix(", ").or_else(|| rest.strip_prefix(' ')).expect("a parameter");
            let (name, quoted) = parameter.split_once("=\"").expect("a quoted value");
            assert!(["error", "error_description", "resource_metadata"].contains(&name), "{challenge:?}");
            let (value, behind) = quoted.split_once('"').expect("the value's end");
            assert!(!value.contains('\\'), "{challenge:?}");
            rest = behind;
        }
    }
}

fn metadata(document: &[u8], base: &str) {
    let read = Metadata::parse(document, base);
    let Ok(read) = read else {
        assert_eq!(read.unwrap_err().kind(), ErrorKind::BadResponse);
        return;
    };
    let object: Map<String, Value> = serde_json::from_slice(document).unwrap();
    assert_eq!(Some(&*read.issuer), object["issuer"].as_str().map(str::trim));
    assert!(!read.issuer.is_empty());
    // Wherever the document says that the keys are, they are fetched from this origin.
    let base = Url::parse(base).unwrap();
    let origin = base.origin().ascii_serialization();
    let url = Url::parse(&format!("{origin}{}", read.jwks_path)).unwrap();
    assert_eq!(url.origin(), base.origin(), "{read:?}");
    assert!(read.jwks_path.starts_with('/') && url.username().is_empty(), "{read:?}");
    assert!(url.query().is_none() && url.fragment().is_none(), "{read:?}");
    assert_eq!(url.path(), read.jwks_path);
}

// ── tokens ────────────────────────────────────────────────────────────────────────────────────────

fn check() -> TokenCheck {
    TokenCheck::new(ISSUER, DOMAIN)
}

fn unsigned(token: &str) {
    let verified = token::verify(token, &KEYS, &check(), NOW);
    assert!(verified.is_err() || token == KNOWN.as_str(), "{verified:?}");
    if !token.is_empty() {
        for changed in [format!("{token}{}", *KNOWN), format!("{}{token}", *KNOWN)] {
            assert!(token::verify(&changed, &KEYS, &check(), NOW).is_err(), "{changed}");
        }
    }
}

fn signed(header: &[u8], payload: &[u8], stranger: bool) {
    let token = if stranger { &ATTACKER } else { &MAIN }.token(header, payload);
    let verified = token::verify(&token, &KEYS, &check(), NOW);
    let got = verified.as_ref().map(|token| token.claims.clone()).map_err(reason);
    let wanted = if token.len() > 8192 { Err(Reason::Malformed) } else { plainly(header, payload, stranger) };
    assert_eq!(got, wanted, "{:?} {:?}", String::from_utf8_lossy(header), String::from_utf8_lossy(payload));
    if let Ok(token) = verified {
        assert!(!token.agent_id().is_empty() && token.domain() == DOMAIN);
    }
}

fn reason(error: &Error) -> Reason {
    assert_eq!(error.kind(), ErrorKind::InvalidToken, "{error:?}");
    let named = |reason: &&Reason| Some(reason.name()) == error.code();
    *Reason::ALL.iter().find(named).unwrap_or_else(|| panic!("no reason: {error:?}"))
}

/// The rules, in the order in which the published package finds fault.
fn plainly(header: &[u8], payload: &[u8], stranger: bool) -> Result<Map<String, Value>, Reason> {
    let header = strict_object(header).ok_or(Reason::Malformed)?;
    let is = |name: &str, wanted: &str| header.get(name).and_then(Value::as_str) == Some(wanted);
    if !is("alg", "RS256") || header.contains_key("crit") || header.get("b64") == Some(&Value::Bool(false)) {
        return Err(Reason::Malformed);
    }
    if header.get("kid").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(Reason::Malformed);
    }
    if !is("kid", "k1") {
        return Err(Reason::UnknownKey);
    }
    if stranger {
        return Err(Reason::BadSignature);
    }
    let claims = strict_object(payload).ok_or(Reason::Malformed)?;
    let now = NOW.as_secs_f64();
    let time = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => Ok(number.as_f64().map(f64::trunc)),
        Some(_) => Err(Reason::InvalidClaim),
    };
    for name in ["iat", "nbf"] {
        if time(name)?.is_some_and(|time| time - LEEWAY > now) {
            return Err(Reason::NotYetValid);
        }
    }
    let exp = time("exp")?.ok_or(Reason::InvalidClaim)?;
    if exp + LEEWAY <= now {
        return Err(Reason::Expired);
    }
    let issuer = claims.get("iss").ok_or(Reason::InvalidClaim)?;
    if issuer.as_str() != Some(ISSUER) {
        return Err(Reason::WrongIssuer);
    }
    match claims.get("aud") {
        Some(Value::String(audience)) if audience == "mcp" => {}
        Some(Value::Array(audiences)) if !audiences.is_empty() => {
            if !audiences.iter().all(Value::is_string) || !audiences.contains(&json!("mcp")) {
                return Err(Reason::WrongAudience);
            }
        }
        // What Python takes for nothing.
        None | Some(Value::Null | Value::Bool(false) | Value::Array(_)) => return Err(Reason::InvalidClaim),
        Some(Value::String(text)) if text.is_empty() => return Err(Reason::InvalidClaim),
        Some(Value::Object(object)) if object.is_empty() => return Err(Reason::InvalidClaim),
        Some(Value::Number(number)) if number.as_f64() == Some(0.0) => return Err(Reason::InvalidClaim),
        Some(_) => return Err(Reason::WrongAudience),
    }
    if ["sub", "jti"].iter().any(|name| claims.get(*name).is_some_and(|value| !value.is_string())) {
        return Err(Reason::InvalidClaim);
    }
    if ["user_id", "passport_version", "request_id"].iter().any(|name| claims.contains_key(*name)) {
        return Err(Reason::ForbiddenClaim);
    }
    let blank = |c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c);
    let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.chars().all(blank));
    text("sub").ok_or(Reason::MissingSubject)?;
    let domain = text("domain").ok_or(Reason::MissingDomain)?;
    if !is_canonical(domain) {
        return Err(Reason::InvalidDomain);
    }
    if domain != DOMAIN {
        return Err(Reason::WrongDomain);
    }
    Ok(claims)
}
