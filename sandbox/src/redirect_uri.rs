//! Where a person is sent back to from the connect page. Checked when a binding is asked for, so that the
//! page never navigates anywhere else.

use url::{Host, Url};

/// Longer ones are cut off by proxies and browsers.
const LONGEST: usize = 2048;

/// A redirect URI that was checked.
#[derive(Debug, Clone)]
pub(crate) struct RedirectUri(Url);

impl RedirectUri {
    /// An absolute `https` URL; or `http` on this machine, where tests have their servers. Without a fragment,
    /// a user name, and a `binding_code` of its own.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // The parser would leave these out without a word.
        if text.len() > LONGEST || text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return None;
        }
        // And it would make `https:example.com` and `https:///example.com` what they are not.
        let (scheme, _) = text.split_once("://").filter(|(_, rest)| !rest.starts_with('/'))?;
        let url = Url::parse(text).ok()?;
        let local = match url.host()? {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        let fits = scheme.eq_ignore_ascii_case(url.scheme())
            && (url.scheme() == "https" || url.scheme() == "http" && local)
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            && !url.query_pairs().any(|(name, _)| name == "binding_code");
        fits.then_some(Self(url))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// For the person to look at.
    pub(crate) fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Where the browser goes: what the site has in its query stays there.
    pub(crate) fn with_code(&self, code: &str) -> String {
        let mut url = self.0.clone();
        url.query_pairs_mut().append_pair("binding_code", code);
        url.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_browser_may_be_sent_to() {
        for good in [
            "https://shop.example/callback",
            "HTTPS://shop.example",
            "https://shop.example:8443/a?next=%2Fhome&x",
            "http://127.0.0.1:3000/callback",
            "http://localhost/callback",
            "http://[::1]:3000/",
        ] {
            assert!(RedirectUri::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "/callback",
            "shop.example/callback",
            "https:shop.example",
            "https:///shop.example",
            "https://",
            "http://shop.example/callback",
            "http://127.0.0.1.evil.example/",
            "http://localhost.evil.example/",
            "javascript://shop.example/%0aalert(1)",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "shop://callback",
            "https://user@shop.example/",
            "https://user:pass@shop.example/",
            "https://shop.example/#fragment",
            "https://shop.example/#",
            "https://shop.example/?binding_code=mine",
            "https://shop.example/?binding%5Fcode=mine",
            " https://shop.example/",
            "https://shop.example/\n",
            "https://shop.example\\@evil.example/",
            "java\tscript://x",
        ] {
            assert!(RedirectUri::parse(bad).is_none(), "{bad}");
        }
        assert!(RedirectUri::parse(&format!("https://shop.example/{}", "a".repeat(2048))).is_none());
    }

    #[test]
    fn the_code_goes_behind_what_is_there() {
        let with = |text: &str| RedirectUri::parse(text).map(|uri| uri.with_code("bc-1_x"));
        assert_eq!(with("https://a.example").as_deref(), Some("https://a.example/?binding_code=bc-1_x"));
        assert_eq!(
            with("https://a.example/b?c=d%20e").as_deref(),
            Some("https://a.example/b?c=d%20e&binding_code=bc-1_x")
        );
    }
}
