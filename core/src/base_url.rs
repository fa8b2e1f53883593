//! The API root: checked once, then only ever extended by safe path segments.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::{Host, Url};

use crate::transport::http::Kind;
use crate::{Error, ErrorKind, Result};

/// What stays as it is in a path segment: RFC 3986 "unreserved".
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Longer ids are no ids of the platform, and would only make the URL too long for a proxy.
const LONGEST_ID: usize = 256;

/// Where the API lives, `https://lime.pics/api/v1`, without a trailing slash.
#[derive(Debug, Clone)]
pub(crate) struct BaseUrl {
    text: String,
    loopback: bool,
}

impl BaseUrl {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let refuse = |why: &str| Error::invalid_argument(format!("base_url {why}"));
        let text = text.trim().trim_end_matches('/');
        // The URL parser would take some of them out, and another URL than what is written would be left.
        if text.contains(char::is_control) {
            return Err(refuse("must not contain control characters"));
        }
        let url = Url::parse(text).map_err(|error| refuse(&format!("is not a URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse("must start with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("must not contain a user name or password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("must not contain a query or fragment"));
        }
        let loopback = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => return Err(refuse("has no host")),
        };
        // As the URL parser spells it: the path that is checked here is the path that is sent.
        let text = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { text, loopback })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The HTTP client that it needs. Nothing stands between us and our own machine.
    pub(crate) fn http_kind(&self) -> Kind {
        Kind { proxies: !self.loopback, tls: !self.loopback || self.is_encrypted() }
    }

    /// Whether what is sent can be read on the way: neither TLS protects it, nor does it stay on this machine.
    pub(crate) fn is_open_to_all(&self) -> bool {
        !self.loopback && !self.is_encrypted()
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.text.starts_with("https:")
    }

    /// The URL of `path`, which starts with a slash.
    pub(crate) fn join(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }

    /// The URL of `path`, which starts with a slash, below the origin.
    pub(crate) fn join_origin(&self, path: &str) -> String {
        let host = self.text.find("://").map_or(0, |at| at + 3);
        let end = self.text[host..].find('/').map_or(self.text.len(), |at| host + at);
        format!("{}{path}", &self.text[..end])
    }
}

/// A login request's id from outside as one path segment that cannot leave its place.
pub(crate) fn segment(id: &str) -> Result<String> {
    segment_of(id).map_err(|fault| {
        let message = match fault {
            NoSegment::Empty => "request_id must be a non-empty string",
            NoSegment::Characters => "request_id contains characters that no request id has",
        };
        Error::new(ErrorKind::Api, message).with_code("INVALID_REQUEST_ID").with_http_status(400)
    })
}

/// Why a text cannot be an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSegment {
    Empty,
    Characters,
}

/// An id from outside as one path segment that cannot leave its place.
pub(crate) fn segment_of(id: &str) -> Result<String, NoSegment> {
    let id = id.trim();
    if id.is_empty() {
        return Err(NoSegment::Empty);
    }
    let escapes = |c: char| matches!(c, '/' | '\\' | '?' | '#' | '%') || c.is_control();
    // A dot segment is resolved by URL parsers even when it is percent-encoded.
    if id.len() > LONGEST_ID || id == "." || id == ".." || id.contains(escapes) {
        return Err(NoSegment::Characters);
    }
    Ok(utf8_percent_encode(id, SEGMENT).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accepts_and_normalises() {
        let url = BaseUrl::parse(" https://Lime.Pics/api/v1// ").unwrap();
        assert_eq!(url.as_str(), "https://lime.pics/api/v1");
        assert!(url.http_kind().proxies && url.http_kind().tls);
        assert_eq!(url.join_origin("/x"), "https://lime.pics/x");
        assert_eq!(BaseUrl::parse("http://[::1]:80").unwrap().join_origin("/x"), "http://[::1]/x");
        for local in ["http://127.0.0.1:80/api/v1", "http://[::1]:8080", "http://localhost"] {
            let kind = BaseUrl::parse(local).unwrap().http_kind();
            assert!(!kind.proxies && !kind.tls, "{local}");
        }
    }

    #[test]
    fn refuses() {
        for text in [
            "",
            "lime.pics",
            "ftp://lime.pics",
            "https://",
            "https://u:p@lime.pics",
            "https://h/?a=b",
            "https://h/#f",
            // URL parsers take these out, silently.
            "https://h/a\tb",
            "https://ev\nil.example",
            "https://h/v1\u{2}/",
            "\u{1}https://h",
        ] {
            assert_eq!(BaseUrl::parse(text).unwrap_err().kind(), ErrorKind::InvalidArgument, "{text}");
        }
    }

    proptest! {
        /// Section 6 of the protocol, fault 6: an id never changes where a request goes.
        #[test]
        fn fault_6_request_id_never_changes_the_path(id in "\\PC{0,40}|[./?#%\\\\a2eE]{1,12}") {
            let base = BaseUrl::parse("https://lime.pics/api/v1").unwrap();
            if let Ok(segment) = segment(&id) {
                let url = Url::parse(&base.join(&format!("/auth/requests/{segment}/approve"))).unwrap();
                let path: Vec<_> = url.path_segments().unwrap().collect();
                prop_assert_eq!(path.len(), 6);
                prop_assert_eq!(&path[..4], &["api", "v1", "auth", "requests"]);
                prop_assert_eq!(path[5], "approve");
                prop_assert!(url.query().is_none() && url.fragment().is_none());
                let decoded = percent_encoding::percent_decode_str(path[4]).decode_utf8().unwrap();
                prop_assert_eq!(decoded.as_ref(), id.trim());
            }
        }
    }
}
