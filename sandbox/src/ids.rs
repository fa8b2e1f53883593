//! Random identifiers: tokens, challenges and UUIDs.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// `N` bytes from the operating system's generator.
///
/// A machine without randomness cannot emulate anything: the generator is asked again
/// instead of handing out predictable tokens.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0_u8; N];
    while SystemRandom::new().fill(&mut bytes).is_err() {
        std::thread::yield_now();
    }
    bytes
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out
}

/// A random (version 4) UUID.
pub(crate) fn uuid() -> String {
    let mut bytes = random::<16>();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hex(&bytes);
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

/// A site token that nobody takes for a real one.
pub(crate) fn site_token() -> String {
    format!("st_sandbox_{}", hex(&random::<16>()))
}

/// An agent token that nobody takes for a real one.
pub(crate) fn agent_token() -> String {
    format!("at_sandbox_{}", hex(&random::<16>()))
}

/// An API key of the broker that nobody takes for a real one.
pub(crate) fn api_key() -> String {
    format!("sk_sandbox_{}", hex(&random::<16>()))
}

/// A secret that webhooks are signed with.
pub(crate) fn webhook_secret() -> String {
    format!("whsec_sandbox_{}", hex(&random::<16>()))
}

/// The id of a binding.
pub(crate) fn binding_id() -> String {
    format!("br_{}", hex(&random::<16>()))
}

/// A code that a binding is exchanged by. It is guessed by nobody.
pub(crate) fn binding_code() -> String {
    format!("bc_{}", base64url(&random::<32>()))
}

/// Base64url without padding, as JOSE wants it.
pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_version_and_variant() {
        let id = uuid();
        assert_eq!(id.len(), 36);
        assert_eq!(id.as_bytes()[14], b'4');
        assert!(matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
        assert_ne!(id, uuid());
    }
}
