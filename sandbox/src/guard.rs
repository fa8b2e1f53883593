//! Keeps other web sites away from the control API and the page.
//!
//! A page in a browser can send requests to 127.0.0.1. It cannot hide where it comes from: the
//! browser adds `Origin` and `Sec-Fetch-Site`, and after DNS rebinding `Host` gives it away.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::{HeaderMap, HeaderValue, Method, header};

/// What a call of a page carries.
pub(crate) const TOKEN: &str = "x-sandbox-token";

const FOREIGN_HOST: &str = "the Host header must be 127.0.0.1, localhost or [::1] with the sandbox's port";

/// Why a request may not use the control API, or see the page, if it may not.
pub(crate) fn refusal(headers: &HeaderMap, port: u16) -> Option<&'static str> {
    if !has_own_host(headers, port) {
        return Some(FOREIGN_HOST);
    }
    // A request has one origin; several headers are somebody trying something.
    for origin in headers.get_all(header::ORIGIN) {
        let authority = text(origin).and_then(|origin| origin.strip_prefix("http://"));
        if !authority.is_some_and(|authority| is_own_authority(authority, port)) {
            return Some("the sandbox takes no requests from other origins here");
        }
    }
    let site = headers.get("sec-fetch-site");
    if site.is_some_and(|site| site != "same-origin" && site != "none") {
        return Some("the sandbox takes no requests from other sites here; open the address directly");
    }
    None
}

/// Why the connect page may not be opened, if it may not. Any site may send its people there, but a page in a frame
/// could be covered, and a script has nothing to look for in it.
pub(crate) fn navigation_refusal(headers: &HeaderMap, port: u16) -> Option<&'static str> {
    if !has_own_host(headers, port) {
        return Some(FOREIGN_HOST);
    }
    let is = |name: &str, wanted: &str| headers.get_all(name).iter().all(|value| value == wanted);
    if !is("sec-fetch-mode", "navigate") || !is("sec-fetch-dest", "document") {
        return Some("the connect page opens as a page of its own only");
    }
    None
}

fn has_own_host(headers: &HeaderMap, port: u16) -> bool {
    headers.get(header::HOST).and_then(text).is_some_and(|host| is_own_authority(host, port))
}

/// Why a call of the control API may not change anything, if it may not.
///
/// A program may. What comes from a browser must show that it comes from the sandbox's own page,
/// which nobody else can read, and not only from its origin.
pub(crate) fn write_refusal(method: &Method, headers: &HeaderMap, token: &str) -> Option<&'static str> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    if !headers.contains_key(header::ORIGIN) && !headers.contains_key("sec-fetch-site") {
        return None;
    }
    let given = headers.get(TOKEN).map(HeaderValue::as_bytes).unwrap_or_default();
    match verify_slices_are_equal(given, token.as_bytes()) {
        Ok(()) => None,
        Err(_) => Some("a browser's call needs the X-Sandbox-Token of the sandbox's page"),
    }
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}

fn is_own_authority(authority: &str, port: u16) -> bool {
    let Some((host, given)) = authority.rsplit_once(':') else {
        return false;
    };
    given == port.to_string()
        && (host == "127.0.0.1" || host == "[::1]" || host.eq_ignore_ascii_case("localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        refusal(&headers, 8080).is_none()
    }

    #[test]
    fn pages_open_as_pages_only() {
        let check = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            headers.append("host", HeaderValue::from_static("127.0.0.1:8080"));
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            navigation_refusal(&headers, 8080).is_none()
        };
        assert!(check(&[]));
        assert!(check(&[
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document")
        ]));
        for bad in [
            &[("host", "evil.example:8080")][..],
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "object")],
            &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
            &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "script")],
        ] {
            assert!(!check(bad), "{bad:?}");
        }
    }

    #[test]
    fn own_origin_only() {
        assert!(check(&[("host", "127.0.0.1:8080")]));
        assert!(check(&[("host", "LOCALHOST:8080"), ("origin", "http://localhost:8080")]));
        assert!(check(&[("host", "[::1]:8080"), ("sec-fetch-site", "none")]));
        for bad in [
            &[][..],
            &[("host", "127.0.0.1")],
            &[("host", "127.0.0.1:8081")],
            &[("host", "evil.example:8080")],
            &[("host", "127.0.0.1.evil.example:8080")],
            &[("host", "127.0.0.1:8080"), ("origin", "null")],
            &[("host", "127.0.0.1:8080"), ("origin", "https://127.0.0.1:8080")],
            &[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:9")],
            &[("host", "127.0.0.1:8080"), ("origin", "http://a@127.0.0.1:8080")],
            &[
                ("host", "127.0.0.1:8080"),
                ("origin", "http://127.0.0.1:8080"),
                ("origin", "http://evil.example"),
            ],
            &[("host", "127.0.0.1:8080"), ("sec-fetch-site", "same-site")],
            &[("host", "127.0.0.1:8080"), ("sec-fetch-site", "cross-site")],
        ] {
            assert!(!check(bad), "{bad:?}");
        }
    }
}
