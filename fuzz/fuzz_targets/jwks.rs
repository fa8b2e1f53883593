//! Key documents: a passport is looked at with the first usable key of its name, and with no other.
//!
//! The input is the document.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lime_core::site::jwks::KeySet;
use lime_core::site::passport;
use lime_core::{ErrorKind, PassportCheck};
use serde_json::{Value, json};

use crate::json::base64url;
use crate::signer::{ATTACKER, MAIN, Signer};

/// Texts that mean something here.
pub const WORDS: &[&str] = &[
    "{\"keys\":[",
    "\"data\":{\"keys\":[",
    "\"kty\":\"RSA\"",
    "\"use\":\"sig\"",
    "\"use\":\"enc\"",
    "\"alg\":\"RS256\"",
    "\"alg\":\"RS384\"",
    "\"kid\":\"k1\"",
    "\"kid\":\"k2\"",
    "\"n\":\"",
    "\"e\":\"AQAB\"",
    "\"e\":\"Aw\"",
    "\"e\":\"AQ\"",
    "AAAA",
    "null",
    "{}",
    "[]",
    "\"kty\":\"oct\"",
    "\"k\":\"\"",
    "=",
    "==",
    "+/",
    "-_",
];

/// Names that signed passports are kept for.
const NAMES: [&str; 2] = ["k1", "k2"];

type Signed = (&'static str, Value, &'static LazyLock<Signer>, String);

/// One passport by each signer for each name.
static PASSPORTS: LazyLock<Vec<Signed>> = LazyLock::new(|| {
    let claims = json!({"aud": "lime-site-login", "iat": 1000, "exp": 1100, "sub": "agt_1"}).to_string();
    let by = |kid: &'static str, signer: &'static LazyLock<Signer>| {
        let header = json!({"alg": "RS256", "kid": kid}).to_string();
        (kid, signer.jwk(kid), signer, signer.token(header.as_bytes(), claims.as_bytes()))
    };
    NAMES.iter().flat_map(|kid| [by(kid, &MAIN), by(kid, &ATTACKER)]).collect()
});

/// Runs the target once.
///
/// # Panics
/// When the library is wrong.
pub fn run(document: &[u8]) {
    let keys = KeySet::from_json(document);
    let Some(entries) = entries(document) else {
        assert_eq!(keys.unwrap_err().kind(), ErrorKind::InvalidPassport);
        return;
    };
    let keys = keys.expect("there is an array of keys");
    let mut usable: HashMap<&str, Option<&Value>> = NAMES.iter().map(|kid| (*kid, None)).collect();
    for entry in &entries {
        let Some(kid) = entry.get("kid").and_then(Value::as_str) else { continue };
        let first = usable.entry(kid).or_default();
        match is_usable(entry) {
            // Numbers that make no key, which is for the crypto library to say: nothing is known of this name.
            None => return,
            Some(true) if first.is_none() => *first = Some(entry),
            Some(_) => {}
        }
    }
    for (kid, key) in &usable {
        let says = refusal(&keys, kid);
        let wanted = if key.is_some() { "JWT signature verification failed" } else { "Unknown JWT kid" };
        let wanted = if kid.is_empty() { "JWT header missing kid" } else { wanted };
        assert!(says.contains(wanted), "{kid:?}: {says}");
    }
    for (kid, jwk, _, token) in PASSPORTS.iter() {
        let key = usable[kid];
        let same = |name: &str| {
            let number = |jwk: &Value| {
                let bytes = base64url(jwk[name].as_str()?)?;
                Some(bytes.into_iter().skip_while(|byte| *byte == 0).collect::<Vec<u8>>())
            };
            key.is_some_and(|key| number(key) == number(jwk))
        };
        let verified = verify(&keys, token);
        assert_eq!(verified.is_ok(), same("n") && same("e"), "{kid}: {verified:?}");
    }
}

fn entries(document: &[u8]) -> Option<Vec<Value>> {
    let Ok(Value::Object(document)) = serde_json::from_slice(document) else { return None };
    let keys = match document.get("keys") {
        Some(keys) => keys,
        None => document.get("data")?.get("keys")?,
    };
    keys.as_array().cloned()
}

/// Whether a key can verify RS256; none where only the crypto library knows.
fn is_usable(entry: &Value) -> Option<bool> {
    let is = |name: &str, wanted: &str| entry[name] == wanted;
    let may_be = |name: &str, wanted: &str| entry.get(name).is_none() || is(name, wanted);
    let number = |name: &str| {
        let bytes = base64url(entry[name].as_str()?)?;
        Some(bytes.into_iter().skip_while(|byte| *byte == 0).collect::<Vec<u8>>())
    };
    let told = is("kty", "RSA") && may_be("use", "sig") && may_be("alg", "RS256") && !is("kid", "");
    let (Some(n), Some(e), true) = (number("n"), number("e"), told) else { return Some(false) };
    let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
    if !(2048..=8192).contains(&bits) || !odd(&e) || e == [1] {
        return Some(false);
    }
    (odd(&n) && e.len() <= 4).then_some(true)
}

/// What is said of a passport that names this key and is signed by nobody.
fn refusal(keys: &KeySet, kid: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(json!({"alg": "RS256", "kid": kid}).to_string());
    // A name that is too long for a passport is nobody's.
    if header.len() > 8000 {
        return "JWT signature verification failed, Unknown JWT kid".to_owned();
    }
    verify(keys, &format!("{header}.e30.AAAA")).unwrap_err()
}

fn verify(keys: &KeySet, token: &str) -> Result<(), String> {
    let now = Duration::from_secs(1050);
    passport::verify(token, keys, "https://lime.pics/api/v1", &PassportCheck::default(), now)
        .map(drop)
        .map_err(|error| error.message().to_owned())
}
