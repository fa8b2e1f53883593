//! The platform's signing keys: real RSA, made in the background, rotatable.
//!
//! Making an RSA-2048 key takes long enough (tens to hundreds of milliseconds) to be felt, so
//! one thread does nothing else: it makes the first key while the server already listens, then
//! keeps one spare, so that a rotation is quick. Whoever needs a key before there is one waits.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::ids;

/// One RSA key with its public half as a JWK.
pub(crate) struct SigningKey {
    pub(crate) kid: String,
    pair: RsaKeyPair,
    jwk: Value,
}

impl SigningKey {
    fn generate() -> Option<Self> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).ok()?;
        let (modulus, exponent) = rsa_public_parts(pair.public_key().as_ref())?;
        let kid = format!("sandbox-{}", ids::hex(&ids::random::<6>()));
        let jwk = json!({
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": kid,
            "n": ids::base64url(modulus),
            "e": ids::base64url(exponent),
        });
        Some(Self { kid, pair, jwk })
    }

    /// An RS256 signature, or nothing when the library refuses to sign.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
        Some(signature)
    }

    /// A JWT with these claims, or nothing when the library refuses to sign.
    pub(crate) fn jwt(&self, claims: &Value) -> Option<String> {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.kid});
        let mut jwt = format!(
            "{}.{}",
            ids::base64url(header.to_string().as_bytes()),
            ids::base64url(claims.to_string().as_bytes()),
        );
        let signature = self.sign(jwt.as_bytes())?;
        jwt.push('.');
        jwt.push_str(&ids::base64url(&signature));
        Some(jwt)
    }
}

struct State {
    /// What a reset returns to.
    initial: Option<Arc<SigningKey>>,
    current: Option<Arc<SigningKey>>,
    /// Rotated out, but still published.
    retired: Vec<Arc<SigningKey>>,
    spare: VecDeque<Arc<SigningKey>>,
    closed: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// For those who wait without a thread.
    ready: watch::Sender<bool>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All keys of one sandbox. Clones share them.
#[derive(Clone)]
pub(crate) struct KeyStore {
    shared: Arc<Shared>,
}

impl KeyStore {
    /// Starts the thread that makes the keys.
    pub(crate) fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                initial: None,
                current: None,
                retired: Vec::new(),
                spare: VecDeque::new(),
                closed: false,
            }),
            changed: Condvar::new(),
            ready: watch::Sender::new(false),
        });
        let maker = Arc::clone(&shared);
        thread::Builder::new().name("sandbox-keys".into()).spawn(move || make_keys(&maker))?;
        Ok(Self { shared })
    }

    /// The signing key, once there is one.
    pub(crate) async fn current(&self) -> Arc<SigningKey> {
        let mut ready = self.shared.ready.subscribe();
        loop {
            if let Some(key) = self.shared.lock().current.clone() {
                return key;
            }
            // The sender lives in `shared`, so waiting cannot fail while we are here.
            let _ = ready.changed().await;
        }
    }

    /// The same for a caller without a runtime.
    pub(crate) fn current_blocking(&self) -> Arc<SigningKey> {
        let mut state = self.shared.lock();
        loop {
            if let Some(key) = state.current.clone() {
                return key;
            }
            state = self.wait(state);
        }
    }

    /// The published keys: the current one first.
    pub(crate) async fn published(&self) -> Vec<Value> {
        let current = self.current().await;
        let state = self.shared.lock();
        let first = state.current.as_ref().unwrap_or(&current);
        std::iter::once(first).chain(state.retired.iter().rev()).map(|key| key.jwk.clone()).collect()
    }

    /// Signs with another key from now on and returns its `kid`. The old keys stay published only with `keep_old`.
    /// Blocks while there is no spare key, which is soon.
    pub(crate) fn rotate(&self, keep_old: bool) -> String {
        let mut state = self.shared.lock();
        loop {
            if state.current.is_some()
                && let Some(key) = state.spare.pop_front()
            {
                let kid = key.kid.clone();
                let old = state.current.replace(key);
                if keep_old {
                    state.retired.extend(old);
                } else {
                    state.retired.clear();
                }
                self.shared.changed.notify_all();
                return kid;
            }
            state = self.wait(state);
        }
    }

    /// Back to the first key.
    pub(crate) fn reset(&self) {
        let mut state = self.shared.lock();
        let initial = state.initial.clone();
        state.current = initial;
        state.retired.clear();
    }

    /// Ends the thread; it finishes the key it is at.
    pub(crate) fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_keys(shared: &Shared) {
    loop {
        {
            let mut state = shared.lock();
            while !state.closed && !state.spare.is_empty() {
                state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.closed {
                return;
            }
        }
        let Some(key) = SigningKey::generate() else {
            // Only a machine out of memory or randomness gets here; waiting may help.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        let key = Arc::new(key);
        let mut state = shared.lock();
        if state.current.is_none() {
            state.initial = Some(Arc::clone(&key));
            state.current = Some(key);
        } else {
            state.spare.push_back(key);
        }
        drop(state);
        shared.changed.notify_all();
        shared.ready.send_replace(true);
    }
}

/// Modulus and exponent of a DER `RSAPublicKey`: a sequence of two integers.
fn rsa_public_parts(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (body, rest) = der_value(der, 0x30)?;
    let (modulus, exponent) = der_value(body, 0x02)?;
    let (exponent, end) = der_value(exponent, 0x02)?;
    (rest.is_empty() && end.is_empty()).then(|| (unsigned(modulus), unsigned(exponent)))
}

/// The content of the value at the start of `der`, and what follows it.
fn der_value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.split_first()?;
    let (&length, mut rest) = rest.split_first()?;
    if first != tag {
        return None;
    }
    let mut size = usize::from(length);
    if length & 0x80 != 0 {
        let (digits, tail) = rest.split_at_checked(usize::from(length & 0x7f))?;
        size = digits
            .iter()
            .try_fold(0_usize, |size, digit| size.checked_mul(256)?.checked_add(usize::from(*digit)))?;
        rest = tail;
    }
    rest.split_at_checked(size)
}

/// DER integers are signed: a leading zero keeps a large one positive, and a JWK has no use for it.
fn unsigned(integer: &[u8]) -> &[u8] {
    let zeros = integer.iter().take_while(|byte| **byte == 0).count();
    &integer[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_rotate_and_return() {
        let keys = KeyStore::start().unwrap_or_else(|error| panic!("{error}"));
        let first = keys.current_blocking();
        let second = keys.rotate(true);
        assert_ne!(first.kid, second);
        assert_eq!(keys.current_blocking().kid, second);
        assert_eq!(keys.shared.lock().retired.len(), 1);
        let third = keys.rotate(false);
        assert_ne!(second, third);
        assert!(keys.shared.lock().retired.is_empty());
        keys.reset();
        assert_eq!(keys.current_blocking().kid, first.kid);
        keys.close();
    }

    #[test]
    fn broken_der_is_no_key() {
        for der in [&b""[..], b"\x30", b"\x30\x05\x02\x01", b"\x30\xff\x01", b"\x02\x01\x01"] {
            assert!(rsa_public_parts(der).is_none());
        }
    }
}
