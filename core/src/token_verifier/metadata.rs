//! Where the keys for access tokens are: the platform's metadata (RFC 8414) names them, and whose they are.

use std::fmt;

use http::HeaderValue;
use serde_json::{Map, Value};
use url::Url;

use crate::api::{Api, Call, Reply};
use crate::runtime::WeakRuntime;
use crate::site::jwks::{KeySet, Source};
use crate::{Error, ErrorKind, Result};

/// Where the metadata is, below the platform's origin.
pub const METADATA_PATH: &str = "/api/v1/modules/oauth/.well-known/oauth-authorization-server";
/// Where the keys are when the metadata does not say so.
pub const JWKS_PATH: &str = "/api/v1/core/.well-known/jwks.json";

/// Keys, and whose tokens they verify.
#[derive(Debug)]
pub struct Authority {
    /// What a token's `iss` must be, letter by letter.
    pub issuer: String,
    pub(crate) keys: KeySet,
    /// The key document as it came.
    pub document: Vec<u8>,
}

impl AsRef<KeySet> for Authority {
    fn as_ref(&self) -> &KeySet {
        &self.keys
    }
}

impl Authority {
    /// The keys.
    pub fn keys(&self) -> &KeySet {
        &self.keys
    }
}

/// What the metadata says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// What a token's `iss` must be.
    pub issuer: String,
    /// The path of the key document at the platform's own origin.
    pub jwks_path: String,
}

impl Metadata {
    /// Reads the metadata that an origin has answered with.
    ///
    /// # Errors
    /// [`ErrorKind::BadResponse`] when it is no JSON object, has no issuer, or names keys at another origin:
    /// whoever can write the metadata must not be able to have the keys fetched from elsewhere.
    pub fn parse(document: &[u8], base_url: &str) -> Result<Self> {
        let bad = |why: &str| Error::new(ErrorKind::BadResponse, why);
        let document: Map<String, Value> =
            serde_json::from_slice(document).map_err(|_| bad("metadata response must be JSON object"))?;
        let text = |name: &str| document.get(name).and_then(Value::as_str).map(str::trim).unwrap_or_default();
        let (issuer, jwks_uri) = (text("issuer"), text("jwks_uri"));
        if issuer.is_empty() {
            return Err(bad("metadata missing issuer"));
        }
        if jwks_uri.is_empty() {
            return Err(bad("metadata missing jwks_uri"));
        }
        if document.get("grant_types_supported").is_some_and(|types| !types.is_array() && !types.is_null()) {
            return Err(bad("metadata grant_types_supported must be a list"));
        }
        Ok(Self { issuer: issuer.to_owned(), jwks_path: jwks_path(jwks_uri, base_url)? })
    }
}

/// The path of the keys below the origin of `base_url`: that of a URL with this very origin, or that of a
/// path below `base_url`.
fn jwks_path(jwks_uri: &str, base_url: &str) -> Result<String> {
    let bad = |why: &str| Error::new(ErrorKind::BadResponse, why);
    let base = Url::parse(base_url).map_err(|_| bad("base_url is not a URL"))?;
    let url = match Url::parse(jwks_uri) {
        Ok(url) => url,
        // Before a slash there is a host in it (`//host/path`), which is no path.
        Err(url::ParseError::RelativeUrlWithoutBase) if !jwks_uri.starts_with("//") => {
            let slash = if jwks_uri.starts_with('/') { "" } else { "/" };
            Url::parse(&format!("{base_url}{slash}{jwks_uri}")).map_err(|_| bad("jwks_uri is not a URL"))?
        }
        Err(_) => return Err(bad("jwks_uri must be an absolute http(s) URL")),
    };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("jwks_uri must be an absolute http(s) URL"));
    }
    let anonymous = url.username().is_empty() && url.password().is_none();
    if !anonymous || url.origin() != base.origin() {
        return Err(bad("cross-origin jwks_uri fetch not supported"));
    }
    Ok(if url.path() == "/" { JWKS_PATH.to_owned() } else { url.path().to_owned() })
}

/// The platform's keys, found by its metadata.
pub(crate) struct AuthorityKeys {
    pub(crate) user_agent: Option<HeaderValue>,
}

impl fmt::Debug for AuthorityKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthorityKeys")
    }
}

impl Source for AuthorityKeys {
    type Set = Authority;

    async fn fetch(&self, api: &Api, runtime: &WeakRuntime, retries: u32) -> Result<Authority> {
        let get = async |call: Call, what: &str| {
            let call = call.public().retries(retries).user_agent(self.user_agent.clone());
            let reply = api.call(runtime, &call).await.result?;
            expect_ok(&reply, what).map(|()| reply)
        };
        let reply = get(Call::get(METADATA_PATH), "oauth metadata").await?;
        let metadata = Metadata::parse(&reply.body, api.base_url.as_str())?;
        let reply = get(Call::get(metadata.jwks_path).at_origin(), "jwks").await?;
        authority(metadata.issuer, &reply.body)
    }
}

/// The authority of this issuer and key document.
pub(crate) fn authority(issuer: String, document: &[u8]) -> Result<Authority> {
    let bad = |why: &str| Error::new(ErrorKind::BadResponse, why);
    let parsed: Map<String, Value> =
        serde_json::from_slice(document).map_err(|_| bad("jwks response must be JSON object"))?;
    let named = parsed.get("keys").or_else(|| parsed.get("data")?.as_object()?.get("keys"));
    if named.and_then(Value::as_array).is_none_or(Vec::is_empty) {
        return Err(bad("jwks missing keys"));
    }
    let keys = KeySet::parse(&parsed).map_err(|error| bad(error.message()))?;
    Ok(Authority { issuer, keys, document: document.to_vec() })
}

fn expect_ok(reply: &Reply, what: &str) -> Result<()> {
    if reply.http_status == 200 {
        return Ok(());
    }
    let status = reply.http_status;
    let kind = if status == 429 { ErrorKind::RateLimit } else { ErrorKind::Api };
    Err(Error::new(kind, format!("{what} HTTP {status}"))
        .with_code("KEYS_UNAVAILABLE")
        .with_http_status(status)
        .with_retry_after(reply.retry_after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(jwks_uri: &str) -> Result<String, String> {
        jwks_path(jwks_uri, "https://lime.pics").map_err(|error| error.message().to_owned())
    }

    #[test]
    fn keys_lie_at_the_same_origin() {
        for (uri, found) in [
            ("https://lime.pics/a/jwks.json", "/a/jwks.json"),
            ("HTTPS://LIME.PICS/a", "/a"),
            ("https://lime.pics:443/a?b=c#d", "/a"),
            ("https://lime.pics", JWKS_PATH),
            ("/a/b", "/a/b"),
            ("a/b", "/a/b"),
            ("@evil.example/a", "/@evil.example/a"),
        ] {
            assert_eq!(path(uri).as_deref(), Ok(found), "{uri}");
        }
        assert_eq!(jwks_path("/b", "https://lime.pics/a").as_deref(), Ok("/a/b"));
        for (uri, part) in [
            ("https://lime.pics.evil.example/a", "cross-origin"),
            ("https://lime.pics@evil.example/a", "cross-origin"),
            ("https://user@lime.pics/a", "cross-origin"),
            ("http://lime.pics/a", "cross-origin"),
            ("https://lime.pics:444/a", "cross-origin"),
            ("//evil.example/a", "absolute"),
            ("file:///etc/passwd", "absolute"),
            ("data:,a", "absolute"),
        ] {
            assert!(path(uri).is_err_and(|message| message.contains(part)), "{uri}");
        }
    }

    #[test]
    fn metadata_without_what_is_needed_is_refused() {
        let read = |text: &str| Metadata::parse(text.as_bytes(), "https://lime.pics");
        let whole =
            read(r#"{"issuer":" https://lime.pics ","jwks_uri":"/keys","grant_types_supported":null}"#);
        assert_eq!(
            whole.unwrap(),
            Metadata { issuer: "https://lime.pics".into(), jwks_path: "/keys".into() }
        );
        for (text, part) in [
            ("[]", "JSON object"),
            ("<html>", "JSON object"),
            (r#"{"jwks_uri":"/keys"}"#, "issuer"),
            (r#"{"issuer":" ","jwks_uri":"/keys"}"#, "issuer"),
            (r#"{"issuer":"i"}"#, "jwks_uri"),
            (r#"{"issuer":"i","jwks_uri":"/keys","grant_types_supported":"a"}"#, "list"),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadResponse);
            assert!(error.message().contains(part), "{text}: {error}");
        }
    }
}
