//! The keys of the vectors, and signatures by them: test keys, public, never to be trusted.

use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::json::base64url;

static KEYS: LazyLock<Value> = LazyLock::new(|| {
    let document: Value = serde_json::from_str(include_str!("../../tests/vectors/keys.json")).unwrap();
    document["keys"].clone()
});

/// One of them.
pub(crate) struct Signer {
    name: &'static str,
    key: RsaKeyPair,
}

/// The platform's, in what follows.
pub(crate) static MAIN: LazyLock<Signer> = LazyLock::new(|| Signer::new("main"));
/// Somebody else's.
pub(crate) static ATTACKER: LazyLock<Signer> = LazyLock::new(|| Signer::new("attacker"));

impl Signer {
    fn new(name: &'static str) -> Self {
        // RSAPrivateKey of PKCS #1: version 0 and eight numbers.
        let field = |field: &str| base64url(KEYS[name][field].as_str().unwrap()).unwrap();
        let numbers = ["n", "e", "d", "p", "q", "dp", "dq", "qi"].map(|name| der(2, &unsigned(&field(name))));
        let key = der(0x30, &[der(2, &[0]), numbers.concat()].concat());
        Self { name, key: RsaKeyPair::from_der(&key).unwrap() }
    }

    /// The public half as a member of a key document.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let key = &KEYS[self.name];
        json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": key["n"], "e": key["e"]})
    }

    /// The compact form of header and payload.
    pub(crate) fn token(&self, header: &[u8], payload: &[u8]) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let mut signature = vec![0; self.key.public_modulus_len()];
        let random = SystemRandom::new();
        self.key.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Without zeros before it, and with one where it would be negative.
fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let bytes = &bytes[zeros..];
    if bytes.first().is_none_or(|first| *first >= 0x80) { [&[0], bytes].concat() } else { bytes.to_vec() }
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    let [high, low] = length.to_be_bytes();
    let head = match length {
        0..0x80 => vec![tag, low],
        0x80..0x100 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [head, content.to_vec()].concat()
}
