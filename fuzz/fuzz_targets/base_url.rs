//! API roots and ids: whatever they are, a request goes to a path below the root, an id stays in its own segment, and
//! what is refused is not sent. Host names for tokens and the URLs of MCP servers mean the same host.
//!
//! The input's first byte chooses a call; the rest is the root and the id, separated by a byte that no UTF-8 text has.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lime_core::agent::mcp_target::{extract_and_normalize_domain, resolve_mcp_http_url};
use lime_core::clock::ManualClock;
use lime_core::transport::Request;
use lime_core::{
    AgentConfig, ErrorKind, LimeAgent, LimeSite, Sesame, SesameConfig, SiteConfig, TokenVerifier,
    TokenVerifierConfig, WaitOptions,
};
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::network::{Answer, Network, keep_threads};

/// Texts that mean something here.
pub const WORDS: &[&str] = &[
    "https://lime.pics/api/v1",
    "http://",
    "https://",
    "127.0.0.1",
    "[::1]",
    "localhost",
    ":8080",
    ":443",
    "/api/v1",
    "..",
    ".",
    "%2e",
    "%2e%2e",
    "%2f",
    "%5c",
    "/",
    "\\",
    "?",
    "#",
    "@",
    ":",
    ";",
    "%",
    "%00",
    "\t",
    "\n",
    "\r",
    "\0",
    "\u{2024}",
    "\u{ff0f}",
    "\u{3002}",
    "xn--",
    "lr_1",
    "user:pass@",
    "?wait=true",
    "\u{ad}",
    "\u{200d}",
    "..;",
    "nip.io",
    "tools.example.com",
    "/mcp",
    "0x7f000001",
];

const BETWEEN: u8 = 0xff;

/// Runs the target once.
///
/// # Panics
/// When the library is wrong.
pub fn run(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let at = rest.iter().position(|byte| *byte == BETWEEN).unwrap_or(rest.len());
    let texts = (str::from_utf8(&rest[..at]), str::from_utf8(rest.get(at + 1..).unwrap_or_default()));
    let (Ok(root), Ok(id)) = texts else { return };
    keep_threads();
    a_target(id);
    match choice % 8 {
        0 => site(root, id, "/modules/agent-login/requests/{id}"),
        1 => agent(root, id),
        2 => broker(root, id, false),
        3 => broker(root, id, true),
        4 => verifier(root),
        5 => without_an_id(root),
        6 => site("https://lime.pics/api/v1", id, "/modules/agent-login/requests/{id}"),
        _ => broker("https://getsesame.dev", id, false),
    }
}

/// Nobody answers, so that every call ends with its first request.
fn silence() -> Arc<Network> {
    Arc::new(Network::new(|_| Ok(http::Response::builder().status(418).body(Vec::new()).unwrap())))
}

fn site(root: &str, id: &str, path: &str) {
    let network = silence();
    let config = SiteConfig {
        site_token: Some("st_secret".into()),
        base_url: Some(root.into()),
        transport: Some(network.clone()),
        max_retries: 0,
        ..SiteConfig::default()
    };
    if let Some(site) = made(LimeSite::new(config), root) {
        assert!(site.read_login_request(id).wait().is_err());
        assert_sent(&network.seen(), root, id, &[path]);
    }
}

/// The whole of a login: the id goes into two paths.
fn agent(root: &str, id: &str) {
    let challenge = r#"{"ok":true,"data":{"request_id":"lr","status":"PENDING","pow_challenge":"c","pow_difficulty":0,
        "expires_at":"2026-11-23T10:00:00Z"}}"#;
    let answer = move |request: &Request| -> Answer {
        let status = if request.method() == http::Method::GET { 200 } else { 418 };
        Ok(http::Response::builder().status(status).body(vec![Ok(Bytes::from(challenge))]).unwrap())
    };
    let network = Arc::new(Network::new(answer));
    let config = AgentConfig {
        agent_token: Some("at_secret".into()),
        base_url: Some(root.into()),
        transport: Some(network.clone()),
        max_retries: 0,
        ..AgentConfig::default()
    };
    if let Some(agent) = made(LimeAgent::new(config), root) {
        assert!(agent.login(id).wait().is_err());
        let paths = ["/auth/requests/{id}", "/modules/agent-login/requests/{id}/approve"];
        assert_sent(&network.seen(), root, id, &paths);
    }
}

fn broker(root: &str, id: &str, wait: bool) {
    let network = silence();
    let config = SesameConfig {
        api_key: Some("sk_secret".into()),
        base_url: Some(root.into()),
        transport: Some(network.clone()),
        max_retries: 0,
        clock: Arc::new(ManualClock::default().skipping_sleeps()),
        ..SesameConfig::default()
    };
    if let Some(sesame) = made(Sesame::new(config), root) {
        let failed = if wait {
            let options = WaitOptions { timeout: Duration::from_secs(9), ..WaitOptions::default() };
            sesame.wait(id, options).wait()
        } else {
            sesame.get(id, false).wait()
        };
        assert!(failed.is_err());
        let path = if wait { "/v1/approvals/{id}?wait=true" } else { "/v1/approvals/{id}" };
        assert_sent(&network.seen(), root, id, &[path]);
    }
}

/// Without the version of the API: it is an origin, but for what stands before that.
fn verifier(root: &str) {
    let network = silence();
    let config = TokenVerifierConfig {
        expected_domain: Some("tools.example.com".into()),
        base_url: Some(root.into()),
        transport: Some(network.clone()),
        ..TokenVerifierConfig::default()
    };
    let root = root.trim().trim_end_matches('/');
    let root = root.strip_suffix("/api/v1").unwrap_or(root).trim();
    if let Some(verifier) = made(TokenVerifier::new(config), root) {
        assert!(verifier.warm_up().wait().is_err());
        let path = "/api/v1/modules/oauth/.well-known/oauth-authorization-server";
        assert_sent(&network.seen(), root, "x", &[path]);
    }
}

fn without_an_id(root: &str) {
    let network = silence();
    let config = SiteConfig {
        site_token: Some("st_secret".into()),
        base_url: Some(root.into()),
        transport: Some(network.clone()),
        max_retries: 0,
        ..SiteConfig::default()
    };
    if let Some(site) = made(LimeSite::new(config), root) {
        assert!(site.create_login_request().wait().is_err());
        assert!(site.exchange_binding_code("code").wait().is_err());
        let paths = ["/modules/agent-login/requests", "/modules/bindings/exchange"];
        assert_sent(&network.seen(), root, "x", &paths);
    }
}

/// Without what is cut off: white space around it, slashes at its end, and what URL parsers cut off before those.
fn bare(root: &str) -> &str {
    root.trim().trim_end_matches('/').trim_end_matches(' ')
}

/// A client, unless the root is refused, which it must be if it is none.
fn made<T>(client: lime_core::Result<T>, root: &str) -> Option<T> {
    let url = Url::parse(bare(root));
    let plain = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    match client {
        // The environment's, or the default.
        Ok(_) if root.is_empty() => None,
        Ok(client) => {
            assert!(!root.trim().contains(char::is_control), "a client with the root {root:?}");
            assert!(url.is_ok_and(|url| plain(&url)), "a client with the root {root:?}");
            Some(client)
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error:?} of {root:?}");
            None
        }
    }
}

/// What was sent went to these paths below the root, one after the other.
fn assert_sent(seen: &[Request], root: &str, id: &str, paths: &[&str]) {
    let base = Url::parse(bare(root)).unwrap();
    let above = |url: &Url| -> Vec<String> { url.path_segments().unwrap().map(str::to_owned).collect() };
    let mut prefix = above(&base);
    while prefix.last().is_some_and(String::is_empty) {
        prefix.pop();
    }
    assert!(seen.len() <= paths.len(), "{seen:?}");
    for (request, path) in seen.iter().zip(paths) {
        let told = request.uri().to_string();
        let url = Url::parse(&told).unwrap();
        assert_eq!(url.as_str(), told, "an HTTP client would ask for another URL");
        assert_eq!(url.origin(), base.origin(), "{told} below {root:?}");
        assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
        let (path, query) = path.split_once('?').map_or((*path, None), |(path, query)| (path, Some(query)));
        assert_eq!(url.query(), query, "{told}");
        let sent = above(&url);
        let wanted: Vec<&str> =
            prefix.iter().map(String::as_str).chain(path.trim_start_matches('/').split('/')).collect();
        assert_eq!(sent.len(), wanted.len(), "{told} below {root:?} for {id:?}");
        for (sent, wanted) in sent.iter().zip(wanted) {
            if wanted == "{id}" {
                let decoded = percent_decode_str(sent).decode_utf8().unwrap();
                assert_eq!(decoded, id.trim(), "{told}");
                assert!(!matches!(&*decoded, "" | "." | ".."), "{told}");
                assert!(!decoded.contains(['/', '\\']), "{told}");
            } else {
                assert_eq!(sent, wanted, "{told} below {root:?} for {id:?}");
            }
        }
    }
}

/// An MCP server that gets a token is the one that the token is for.
fn a_target(target: &str) {
    let (Ok(domain), Ok(url)) = (extract_and_normalize_domain(target), resolve_mcp_http_url(target)) else {
        return assert_eq!(
            extract_and_normalize_domain(target).is_err(),
            resolve_mcp_http_url(target).is_err(),
            "{target:?}"
        );
    };
    if let Ok(url) = Url::parse(&url) {
        assert_eq!(url.host(), Some(Host::Domain(&*domain)), "{target:?}");
        assert!(url.username().is_empty() && url.password().is_none(), "{target:?}");
        assert!(matches!(url.scheme(), "http" | "https"), "{target:?}");
    }
    if let Ok(uri) = url.parse::<http::Uri>() {
        assert!(uri.host().is_some_and(|host| host.eq_ignore_ascii_case(&domain)), "{target:?}");
    }
    assert_eq!(extract_and_normalize_domain(&domain).as_deref(), Ok(&*domain), "{target:?}");
}
