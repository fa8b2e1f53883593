//! Passports, of both kinds: one that the platform did not write as the protocol has it never gets in.
//!
//! The input is either a token as it stands, which must be refused unless it is one of those that are known, or a
//! header and a payload, which are signed here and then have to meet the rules; those are written down here once more.
//! Its first four bytes choose.

use std::sync::LazyLock;
use std::time::Duration;

use lime_core::site::jwks::KeySet;
use lime_core::site::passport::{self, Passport};
use lime_core::{BindingCheck, Error, ErrorKind, PassportCheck};
use serde_json::{Map, Value, json};
use url::Url;

use crate::json::strict_object;
use crate::signer::{ATTACKER, MAIN};

/// Texts that mean something here.
pub const WORDS: &[&str] = &[
    "{\"alg\":\"RS256\",\"kid\":\"k1\"}",
    "\"alg\":",
    "\"RS256\"",
    "\"none\"",
    "\"HS256\"",
    "\"kid\":",
    "\"k1\"",
    "\"crit\":[]",
    "\"b64\":false",
    "\"jwk\":{}",
    "\"aud\":",
    "\"lime-site-login\"",
    "\"lime-binding\"",
    "\"exp\":",
    "\"iat\":",
    "\"nbf\":",
    "1000",
    "1060",
    "1030.5",
    "1120",
    "1e3",
    "-0",
    "\"iss\":",
    "\"https://lime.pics\"",
    "\"https://lime.pics/\"",
    "https://lime.pics@",
    ".evil.example",
    ":443",
    "\"request_id\":\"lr_1\"",
    "\"binding_id\":\"br_1\"",
    "\"sub\":",
    "\"agent_id\":",
    "null",
    "true",
    "[\"lime-site-login\"]",
    "\\u0000",
    "\\ud800",
    "1e999",
    "\u{ff}",
    "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIn0",
    ".",
    "=",
];

const ROOT: &str = "https://lime.pics/api/v1";
/// What separates header and payload: no byte of any UTF-8 text.
const BETWEEN: u8 = 0xff;

static KEYS: LazyLock<KeySet> =
    LazyLock::new(|| KeySet::from_json(json!({"keys": [MAIN.jwk("k1")]}).to_string().as_bytes()).unwrap());

/// Two passports as the platform writes them.
static KNOWN: LazyLock<[String; 2]> = LazyLock::new(|| {
    let header = br#"{"alg":"RS256","kid":"k1"}"#;
    let times = r#""iat":1000,"exp":1060"#;
    let login = format!(r#"{{"aud":"lime-site-login",{times},"sub":"agt_1","request_id":"lr_1"}}"#);
    let binding = format!(r#"{{"aud":"lime-binding",{times},"sub":"agt_1","binding_id":"br_1"}}"#);
    [login, binding].map(|payload| MAIN.token(header, payload.as_bytes()))
});

/// What is asked of a passport.
struct Asked {
    binding: bool,
    expected: bool,
    require_issuer: bool,
    now: Duration,
}

impl Asked {
    fn verify(&self, token: &str) -> Result<Passport, Error> {
        if self.binding {
            let mut check = BindingCheck::default().require_issuer(self.require_issuer);
            if self.expected {
                check = check.expected_binding_id("br_1");
            }
            return passport::verify_binding(token, &KEYS, ROOT, &check, self.now);
        }
        let mut check = PassportCheck::default().require_issuer(self.require_issuer);
        if self.expected {
            check = check.expected_request_id("lr_1");
        }
        passport::verify(token, &KEYS, ROOT, &check, self.now)
    }
}

/// Runs the target once.
///
/// # Panics
/// When the library is wrong.
pub fn run(data: &[u8]) {
    let Some(([choice, settings, late, fraction], rest)) = data.split_first_chunk() else { return };
    let asked = Asked {
        binding: settings & 1 == 1,
        expected: settings & 2 == 2,
        require_issuer: settings & 4 == 4,
        now: Duration::from_secs(960 + u64::from(*late))
            + Duration::from_millis(u64::from(*fraction % 4) * 250),
    };
    if *choice & 1 == 0 {
        return unsigned(&asked, rest);
    }
    let at = rest.iter().position(|byte| *byte == BETWEEN).unwrap_or(rest.len());
    let (header, payload) = (&rest[..at], rest.get(at + 1..).unwrap_or_default());
    let stranger = *choice & 0b1110 == 0b1110;
    let token = if stranger { &ATTACKER } else { &MAIN }.token(header, payload);
    let verified = asked.verify(&token);
    let wanted =
        if stranger || token.len() > 8192 { Err(Why::Invalid) } else { plainly(&asked, header, payload) };
    let got = verified.as_ref().map(|passport| passport.claims.clone()).map_err(why);
    assert_eq!(got, wanted, "{verified:?} of {:?}", String::from_utf8_lossy(rest));
}

/// A token that nobody has signed, unless it is a known one from its first to its last letter.
fn unsigned(asked: &Asked, token: &[u8]) {
    let Ok(token) = str::from_utf8(token) else { return };
    let verified = asked.verify(token);
    let known = KNOWN.iter().any(|known| known == token);
    assert!(verified.is_err() || known, "{verified:?}");
    for known in KNOWN.iter() {
        // What stands before or behind it makes it another one.
        let around = [format!("{token}{known}"), format!("{known}{token}")];
        for changed in around.iter().filter(|_| !token.is_empty()) {
            assert!(asked.verify(changed).is_err(), "{changed}");
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Why {
    Invalid,
    Expired,
}

fn why(error: &Error) -> Why {
    match error.kind() {
        ErrorKind::InvalidPassport => Why::Invalid,
        ErrorKind::PassportExpired => Why::Expired,
        _ => panic!("another kind: {error:?}"),
    }
}

fn plainly(asked: &Asked, header: &[u8], payload: &[u8]) -> Result<Map<String, Value>, Why> {
    let ensure = |holds: bool| if holds { Ok(()) } else { Err(Why::Invalid) };
    let header = strict_object(header).ok_or(Why::Invalid)?;
    ensure(header.get("alg") == Some(&json!("RS256")) && header.get("kid") == Some(&json!("k1")))?;
    ensure(header.get("crit").is_none() && header.get("b64") != Some(&json!(false)))?;
    let mut claims = strict_object(payload).ok_or(Why::Invalid)?;
    let (audience, longest) = if asked.binding { ("lime-binding", 60.0) } else { ("lime-site-login", 120.0) };
    ensure(claims.get("aud") == Some(&json!(audience)))?;
    match claims.get("iss") {
        None => ensure(!asked.require_issuer)?,
        Some(Value::String(issuer)) => ensure(is_the_origin(issuer))?,
        Some(_) => ensure(false)?,
    }
    let now = asked.now.as_secs_f64();
    let number = |name: &str| claims.get(name).filter(|value| value.is_number()).and_then(Value::as_f64);
    let exp = number("exp").ok_or(Why::Invalid)?;
    let iat = number("iat").ok_or(Why::Invalid)?;
    if now >= exp.trunc() {
        return Err(Why::Expired);
    }
    ensure(exp - iat <= longest && iat - 30.0 <= now)?;
    if claims.contains_key("nbf") {
        ensure(number("nbf").is_some_and(|nbf| nbf - 30.0 <= now))?;
    }
    ensure(["sub", "jti"].iter().all(|name| claims.get(*name).is_none_or(Value::is_string)))?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if asked.binding {
        let id = text("binding_id").unwrap_or_default();
        ensure(!id.trim().is_empty() && (!asked.expected || id == "br_1"))?;
    } else {
        ensure(!asked.expected || text("request_id") == Some("lr_1"))?;
    }
    // `sub` is called `agent_id`, unless that is there.
    if let Some(sub) = claims.remove("sub")
        && !claims.contains_key("agent_id")
    {
        claims.insert("agent_id".to_owned(), sub);
    }
    Ok(claims)
}

/// `https://lime.pics`, in any spelling that is the same URL.
fn is_the_origin(issuer: &str) -> bool {
    Url::parse(issuer.trim()).is_ok_and(|url| {
        let path = url.path().chars().all(|c| c == '/');
        url.as_str().starts_with("https://lime.pics/")
            && path
            && url.query().is_none()
            && url.fragment().is_none()
    })
}
