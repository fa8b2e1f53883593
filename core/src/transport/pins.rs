//! Public keys that the platform's server may have, beside what is checked of every certificate.
//!
//! Only the server's own key counts. One above it in the chain would have to be found in the chain that was verified:
//! what a server sends may hold certificates that have nothing to do with it.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, OtherError, SignatureScheme};

use crate::{Error, Result};

/// SHA-256 of a public key, as its certificate has it.
type Fingerprint = [u8; 32];

/// Some public keys; a set, so that clients with the same ones share their connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Pins(Arc<[Fingerprint]>);

impl Pins {
    /// Reads fingerprints; `None` when there are none.
    pub(crate) fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Option<Self>> {
        let mut pins = texts.into_iter().map(fingerprint).collect::<Result<Vec<_>>>()?;
        pins.sort_unstable();
        pins.dedup();
        Ok((!pins.is_empty()).then(|| Self(pins.into())))
    }

    fn has(&self, certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        let found = digest(&SHA256, key.as_ref());
        if self.0.iter().any(|pin| pin == found.as_ref()) {
            return Ok(());
        }
        let stranger = Stranger(STANDARD.encode(found));
        Err(rustls::Error::Other(OtherError(Arc::new(stranger))))
    }
}

/// As browsers wrote it (`sha256/…`), as curl does (`sha256//…`), or the base64 by itself.
fn fingerprint(text: &str) -> Result<Fingerprint> {
    const LENGTH: usize = 44;
    let text = text.trim();
    let encoded = text.strip_prefix("sha256/").unwrap_or(text);
    let encoded = if encoded.len() > LENGTH { encoded.strip_prefix('/').unwrap_or(encoded) } else { encoded };
    STANDARD.decode(encoded).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        Error::invalid_argument("tls_pins must be SHA-256 fingerprints of public keys, in base64")
    })
}

/// A server that is not the one.
#[derive(Debug)]
struct Stranger(String);

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "The server's public key, sha256/{}, is none of tls_pins", self.0)
    }
}

impl std::error::Error for Stranger {}

/// Checks what is checked without pins, and then the key.
#[derive(Debug)]
pub(crate) struct PinnedVerifier {
    pub(crate) usual: Arc<dyn ServerCertVerifier>,
    pub(crate) pins: Pins,
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified =
            self.usual.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        self.pins.has(end_entity).map(|()| verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn fingerprints_are_read_in_the_forms_that_are_about() {
        let begins_with_a_slash = STANDARD.encode([0xff_u8; 32]);
        let plain = STANDARD.encode([7_u8; 32]);
        for encoded in [&begins_with_a_slash, &plain] {
            let forms = [encoded.clone(), format!("sha256/{encoded}"), format!(" sha256//{encoded}\n")];
            let pins = Pins::parse(forms.iter().map(String::as_str)).unwrap().unwrap();
            assert_eq!(pins.0.len(), 1, "{encoded}");
        }
        let one_way = Pins::parse([plain.as_str(), &begins_with_a_slash]).unwrap();
        assert_eq!(one_way, Pins::parse([begins_with_a_slash.as_str(), &plain, &plain]).unwrap());
        assert_eq!(Pins::parse([]).unwrap(), None);
    }

    #[test]
    fn what_is_no_fingerprint_is_refused() {
        let hex = "07".repeat(32);
        let short = STANDARD.encode([7_u8; 31]);
        let long = STANDARD.encode([7_u8; 33]);
        for text in ["", "sha256/", "sha1/aaaa", &hex, &short, &long, "sha256///", "%%%"] {
            assert_eq!(Pins::parse([text]).unwrap_err().kind(), ErrorKind::InvalidArgument, "{text:?}");
        }
    }
}
