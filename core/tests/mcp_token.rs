//! Tokens for MCP servers, with a platform that says what each test wants: kept per host name, fetched by
//! one call at a time, read as strictly as the published package reads them.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::VecDeque;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use lime_core::clock::ManualClock;
use lime_core::transport::{Request, Response, StreamResponse, Transport, TransportError};
use lime_core::{AgentConfig, Error, ErrorKind, LimeAgent, McpAccessToken};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// A platform that answers with what is laid ready for it, else with a new token each time.
#[derive(Debug)]
struct Platform {
    requests: Mutex<Vec<(String, Value)>>,
    answers: Mutex<VecDeque<(u16, &'static str, String)>>,
    /// An answer takes one.
    permits: Arc<Semaphore>,
    clock: Arc<ManualClock>,
}

impl Transport for Platform {
    fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, TransportError>> {
        assert_eq!(request.headers()["x-agent-token"], "at_test");
        let mut requests = self.requests.lock().unwrap();
        requests.push((
            format!("{} {}", request.method(), request.uri()),
            serde_json::from_slice(request.body()).unwrap(),
        ));
        let number = requests.len();
        let next = self.answers.lock().unwrap().pop_front();
        let (status, cache_control, body) =
            next.unwrap_or_else(|| (200, "no-store", token(&format!("h.{number}.s"), &json!(300))));
        let permits = Arc::clone(&self.permits);
        async move {
            permits.acquire().await.unwrap().forget();
            let answer = http::Response::builder().status(status).header("Cache-Control", cache_control);
            Ok(answer.body(Bytes::from(body)).unwrap())
        }
        .boxed()
    }

    fn open(&self, _: Request) -> BoxFuture<'static, Result<StreamResponse, TransportError>> {
        unreachable!("a token is no stream")
    }
}

fn token(access_token: &str, expires_in: &Value) -> String {
    json!({"access_token": access_token, "token_type": "Bearer", "expires_in": expires_in}).to_string()
}

fn platform() -> (LimeAgent, Arc<Platform>) {
    let clock = Arc::new(ManualClock::at(Duration::from_secs(1_800_000_000)).skipping_sleeps());
    let platform = Arc::new(Platform {
        requests: Mutex::default(),
        answers: Mutex::default(),
        permits: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        clock: Arc::clone(&clock),
    });
    let config = AgentConfig {
        agent_token: Some("at_test".into()),
        base_url: Some("https://lime.example/api/v1".into()),
        transport: Some(Arc::clone(&platform) as _),
        clock,
        ..AgentConfig::default()
    };
    (LimeAgent::new(config).unwrap(), platform)
}

fn get(agent: &LimeAgent, target: &str) -> McpAccessToken {
    agent.get_mcp_access_token(target, false).wait().unwrap()
}

#[test]
fn a_token_is_kept_for_its_host_name_until_shortly_before_its_end() {
    let (agent, platform) = platform();
    let first = get(&agent, "https://Tools.example.com:8443/mcp");
    assert_eq!((first.access_token.as_str(), first.expires_in), ("h.1.s", 300));
    assert_eq!(first.issued_at, Duration::from_secs(1_800_000_000));
    assert_eq!(get(&agent, "tools.example.com"), first, "the same host name");
    assert_eq!(get(&agent, "http://other.example.com").access_token, "h.2.s");
    platform.clock.advance(Duration::from_millis(269_999));
    assert_eq!(get(&agent, "tools.example.com"), first);
    platform.clock.advance(Duration::from_millis(1));
    let renewed = get(&agent, "tools.example.com");
    assert_eq!((renewed.access_token.as_str(), renewed.issued_at.as_secs()), ("h.3.s", 1_800_000_270));
    let requests = platform.requests.lock().unwrap();
    assert_eq!(requests[0].0, "POST https://lime.example/api/v1/modules/oauth/token");
    assert_eq!(requests[0].1, json!({"domain": "tools.example.com"}));
    assert_eq!(requests[1].1, json!({"domain": "other.example.com"}));
    assert_eq!(requests.len(), 3);
}

#[test]
fn a_token_that_lives_no_longer_than_the_skew_serves_once() {
    let (agent, platform) = platform();
    for expires_in in [30, 0, -5] {
        platform.answers.lock().unwrap().push_back((200, "no-store", token("a.b.c", &json!(expires_in))));
        assert_eq!(get(&agent, "tools.example.com").expires_in, expires_in);
    }
    assert_eq!(platform.requests.lock().unwrap().len(), 3);
}

#[test]
fn calls_for_one_host_name_share_a_fetch_and_others_do_not_wait_for_it() {
    let (agent, platform) = platform();
    platform.permits.forget_permits(Semaphore::MAX_PERMITS);
    let (sender, results) = mpsc::channel();
    for _ in 0..200 {
        let sender = sender.clone();
        agent.get_mcp_access_token("tools.example.com", false).start(move |result| {
            sender.send(result.unwrap().access_token).unwrap();
        });
    }
    let other = sender.clone();
    agent.get_mcp_access_token("other.example.com", false).start(move |result| {
        other.send(result.unwrap().access_token).unwrap();
    });
    platform.permits.add_permits(2);
    let mut got: Vec<String> = results.iter().take(201).collect();
    got.sort_unstable();
    got.dedup();
    assert_eq!(got, ["h.1.s", "h.2.s"]);
    assert_eq!(platform.requests.lock().unwrap().len(), 2);
}

#[test]
fn a_forced_refresh_fetches_and_those_that_wait_for_their_turn_share_one() {
    let (agent, platform) = platform();
    get(&agent, "tools.example.com");
    let forced = agent.get_mcp_access_token("tools.example.com", true).wait().unwrap();
    assert_eq!(forced.access_token, "h.2.s");
    assert_eq!(get(&agent, "tools.example.com"), forced, "it is kept");
    get(&agent, "other.example.com");
    platform.permits.forget_permits(Semaphore::MAX_PERMITS);
    let (sender, results) = mpsc::channel();
    for _ in 0..50 {
        let sender = sender.clone();
        agent.get_mcp_access_token("tools.example.com", true).start(move |result| {
            sender.send(result.unwrap().access_token).unwrap();
        });
    }
    // One that needs no fetch, behind all of them: when it has ended, they wait for their turn.
    get(&agent, "other.example.com");
    platform.permits.add_permits(2);
    let mut got: Vec<String> = results.iter().take(50).collect();
    got.sort_unstable();
    got.dedup();
    // The first one's fetch began before the others asked; the next one's serves all of them.
    assert_eq!(got, ["h.4.s", "h.5.s"]);
}

#[test]
fn a_failed_fetch_fails_its_call_and_leaves_what_is_kept() {
    let (agent, platform) = platform();
    let kept = get(&agent, "tools.example.com");
    platform.answers.lock().unwrap().push_back((400, "", r#"{"error":"invalid_request"}"#.into()));
    agent.get_mcp_access_token("tools.example.com", true).wait().unwrap_err();
    assert_eq!(get(&agent, "tools.example.com"), kept);
}

#[test]
fn no_request_for_a_target_that_is_no_public_host_name() {
    let (agent, platform) = platform();
    for target in ["", "http://127.0.0.1:8000/mcp", "localhost", "https://user@tools.example.com"] {
        let error = agent.get_mcp_access_token(target, false).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{target}");
    }
    assert!(platform.requests.lock().unwrap().is_empty());
}

fn refused(status: u16, body: &str) -> Error {
    let (agent, platform) = platform();
    // A POST is tried four times where that can help.
    for _ in 0..4 {
        platform.answers.lock().unwrap().push_back((status, "no-store", body.to_owned()));
    }
    agent.get_mcp_access_token("tools.example.com", false).wait().unwrap_err()
}

#[test]
fn refusals() {
    use ErrorKind::{Api, Authentication, BadResponse, OAuthCapability, RateLimit};
    let table = [
        (
            401,
            r#"{"error":"invalid_client","error_description":"No such agent"}"#,
            Authentication,
            Some("invalid_client"),
            "No such agent",
        ),
        (401, r#"{"error":"other"}"#, Authentication, Some("other"), "other"),
        (400, r#"{"error":"invalid_client"}"#, Authentication, Some("invalid_client"), "invalid_client"),
        (400, r#"{"error":"access_denied"}"#, Api, Some("access_denied"), "access_denied"),
        (403, r#"{"error":"invalid_request"}"#, Api, Some("invalid_request"), "invalid_request"),
        (
            403,
            r#"{"error":"access_denied","error_description":"No grant"}"#,
            OAuthCapability,
            Some("access_denied"),
            "No grant",
        ),
        (403, r#"{"error":"other"}"#, Api, Some("other"), "other"),
        (404, r#"{"error":"access_denied"}"#, Api, Some("access_denied"), "access_denied"),
        (429, r#"{"error":"slow_down"}"#, RateLimit, Some("slow_down"), "slow_down"),
        (
            503,
            r#"{"error":"temporarily_unavailable"}"#,
            Api,
            Some("temporarily_unavailable"),
            "temporarily_unavailable",
        ),
        (403, r#"{"ok":false,"error":{"code":"NOPE","message":"no"}}"#, Api, Some("NOPE"), "no"),
        (
            401,
            r#"{"ok":false,"error":{"code":"INVALID_AGENT_TOKEN","message":"no"}}"#,
            Authentication,
            Some("INVALID_AGENT_TOKEN"),
            "no",
        ),
        (
            400,
            r#"{"ok":true,"data":{}}"#,
            BadResponse,
            None,
            "Unexpected success on token endpoint (HTTP 400)",
        ),
        (403, r#"{"error":null}"#, BadResponse, None, "Error envelope missing error object (HTTP 403)"),
        (403, "<html>", BadResponse, None, "Invalid JSON response (HTTP 403)"),
        (403, "[]", BadResponse, None, "Unexpected response shape (HTTP 403)"),
        (302, "{}", BadResponse, None, "Redirect refused (HTTP 302)"),
        (200, "", BadResponse, None, "Invalid JSON response (HTTP 200)"),
        (200, "[]", BadResponse, None, "Unexpected response shape (HTTP 200)"),
    ];
    for (status, body, kind, code, message) in table {
        let error = refused(status, body);
        assert_eq!((error.kind(), error.code(), error.message()), (kind, code, message), "{status} {body}");
        assert_eq!(error.http_status(), Some(status), "{status} {body}");
    }
}

#[test]
fn answers_that_are_no_token() {
    let good = json!({"access_token": "a.b.c", "token_type": "Bearer", "expires_in": 300});
    let without = |member: &str| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(member);
        body
    };
    let with = |member: &str, value: Value| {
        let mut body = good.clone();
        body[member] = value;
        body
    };
    let table = [
        (without("expires_in"), "access_token, token_type, expires_in only"),
        (without("token_type"), "access_token, token_type, expires_in only"),
        (with("scope", json!("mcp")), "access_token, token_type, expires_in only"),
        (with("token_type", json!("bearer")), "token_type must be Bearer"),
        (with("access_token", json!("opaque")), "access_token must be a JWT"),
        (with("access_token", json!("a.b.c.d")), "access_token must be a JWT"),
        (with("access_token", json!("a.b.c\r\nx: y")), "access_token must be a JWT"),
        (with("access_token", json!(["a", "b"])), "access_token must be a JWT"),
        (with("expires_in", json!("soon")), "expires_in must be a number"),
        (with("expires_in", Value::Null), "expires_in must be a number"),
    ];
    for (body, message) in table {
        let error = refused(200, &body.to_string());
        assert_eq!((error.kind(), error.code()), (ErrorKind::Api, Some("INVALID_TOKEN_RESPONSE")), "{body}");
        assert!(error.message().contains(message), "{body}: {error}");
    }
    for cache_control in ["", "no-cache", "no-store, private", "private"] {
        let (agent, platform) = platform();
        platform.answers.lock().unwrap().push_back((200, cache_control, good.to_string()));
        let error = agent.get_mcp_access_token("tools.example.com", false).wait().unwrap_err();
        assert_eq!(error.message(), "expected Cache-Control: no-store", "{cache_control}");
    }
    let (agent, platform) = platform();
    platform.answers.lock().unwrap().push_back((200, "No-Store", good.to_string()));
    assert_eq!(get(&agent, "tools.example.com").access_token, "a.b.c");
}

#[test]
fn nothing_shows_a_token() {
    let (agent, platform) = platform();
    let shown = format!("{:?} {agent:?}", get(&agent, "tools.example.com"));
    assert!(shown.contains("McpAccessToken") && !shown.contains("h.1.s"), "{shown}");
    platform.answers.lock().unwrap().push_back((200, "private", token("top.secret.token", &json!(1))));
    let error = agent.get_mcp_access_token("tools.example.com", true).wait().unwrap_err();
    assert!(!format!("{error:?}").contains("secret"));
}
