//! What goes over the wire: headers, retries, limits, redirects, timeouts.

#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use lime_core::clock::ManualClock;
use lime_core::{ErrorKind, LimeAgent, LimeSite, Platform, PostRetry, SiteConfig};
use lime_sandbox::{Fault, Sandbox};

fn patient(sandbox: &Sandbox) -> SiteConfig {
    SiteConfig { clock: Arc::new(ManualClock::default().skipping_sleeps()), ..site_config(sandbox) }
}

#[test]
fn requests_carry_what_the_protocol_says_and_public_ones_no_token() {
    let sandbox = sandbox();
    let (site, _events) = listening(&sandbox);
    let request = site.create_login_request().wait().unwrap();
    agent(&sandbox).login(&request.request_id).wait().unwrap();
    let one = |route: &str| sandbox.received_on(route).pop().unwrap().headers;
    let create = one("create_request");
    assert_eq!(create["x-site-token"], sandbox.site_token());
    assert_eq!(create["content-type"], "application/json");
    assert!(create["user-agent"].starts_with("lime-sdk/"));
    let challenge = one("challenge");
    assert!(!challenge.contains_key("x-agent-token") && !challenge.contains_key("x-site-token"));
    let approve = one("approve");
    assert_eq!(approve["x-agent-token"], sandbox.agent_token());
    let stream = one("events");
    assert_eq!(stream["accept"], "text/event-stream");
    assert_eq!(stream["accept-encoding"], "identity");
    assert_eq!(stream["cache-control"], "no-cache");
}

#[test]
fn retries_by_status_and_method() {
    let sandbox = sandbox();
    for (status, policy, attempts) in [
        (503, PostRetry::Seed, 4),
        (500, PostRetry::Seed, 4),
        (500, PostRetry::Auto, 4),
        (500, PostRetry::Today, 1),
        (408, PostRetry::Today, 4),
        (429, PostRetry::Today, 4),
        (400, PostRetry::Seed, 1),
        (404, PostRetry::Seed, 1),
        (409, PostRetry::Seed, 1),
    ] {
        sandbox.clear_received();
        let id = sandbox.add_fault(Fault::on("create_request").status(status).always()).unwrap();
        let site = LimeSite::new(SiteConfig {
            platform: Platform { post_retry: policy, ..Platform::AUTO },
            ..patient(&sandbox)
        })
        .unwrap();
        let error = site.create_login_request().wait().unwrap_err();
        sandbox.remove_fault(id).unwrap();
        assert_eq!(error.http_status(), Some(status));
        let posts = sandbox.received_on("create_request");
        assert_eq!(posts.len(), attempts, "{status} {policy:?}");
        let keys: std::collections::HashSet<_> =
            posts.iter().map(|post| &post.headers["idempotency-key"]).collect();
        assert_eq!(keys.len(), 1, "one key for all attempts of one call");
    }
}

#[test]
fn waits_grow_as_in_the_seed() {
    let sandbox = sandbox();
    let clock = Arc::new(ManualClock::default().skipping_sleeps());
    sandbox.add_fault(Fault::on("create_request").status(500).always()).unwrap();
    let site = LimeSite::new(SiteConfig { clock: Arc::clone(&clock) as _, ..site_config(&sandbox) }).unwrap();
    let _ = site.create_login_request().wait();
    assert_eq!(clock.slept().iter().map(Duration::as_millis).collect::<Vec<_>>(), [250, 500, 1000]);
}

#[test]
fn a_wait_that_is_asked_for_may_be_as_long_as_an_attempt() {
    let sandbox = sandbox();
    for (asked, waits) in [("7", vec![7000]), ("8", vec![])] {
        let clock = Arc::new(ManualClock::default().skipping_sleeps());
        let timeout = Duration::from_secs(7);
        let config = SiteConfig { clock: Arc::clone(&clock) as _, timeout, ..site_config(&sandbox) };
        let site = LimeSite::new(config).unwrap();
        let fault = Fault::on("create_request").status(429).header("Retry-After", asked);
        sandbox.add_fault(fault).unwrap();
        let created = site.create_login_request().wait();
        assert_eq!(clock.slept().iter().map(Duration::as_millis).collect::<Vec<_>>(), waits, "{asked}");
        match created {
            Ok(_) => assert_eq!(asked, "7"),
            Err(error) => {
                assert_eq!(
                    (error.kind(), error.retry_after()),
                    (ErrorKind::RateLimit, Some(Duration::from_secs(8)))
                );
            }
        }
    }
}

#[test]
fn a_redirect_is_refused_and_its_target_sees_nothing() {
    let (sandbox, elsewhere) = (sandbox(), sandbox());
    let target = format!("{}/modules/agent-login/requests", elsewhere.lime_api_base());
    sandbox.add_fault(Fault::on("create_request").redirect(target)).unwrap();
    let error = site(&sandbox).create_login_request().wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadResponse);
    assert!(error.message().starts_with("Redirect refused (HTTP 302 to http://127.0.0.1:"), "{error}");
    assert!(elsewhere.received().is_empty());
}

#[test]
fn an_answer_without_end_is_cut_off() {
    let sandbox = sandbox();
    sandbox.add_fault(Fault::on("create_request").status(200).body("x".repeat(3 << 20))).unwrap();
    let error = site(&sandbox).create_login_request().wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadResponse);
    assert!(error.message().contains("larger than"));
    assert_eq!(sandbox.received_on("create_request").len(), 1, "and not asked for again");
}

#[test]
fn answers_that_are_not_the_protocol() {
    let sandbox = sandbox();
    sandbox.add_fault(Fault::on("create_request").garbage()).unwrap();
    let error = site(&sandbox).create_login_request().wait().unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::BadResponse, "Invalid JSON response (HTTP 200)"));
    sandbox
        .add_fault(Fault::on("create_request").status(200).body(serde_json::json!({"ok": true, "data": {}})))
        .unwrap();
    let error = site(&sandbox).create_login_request().wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadResponse);
}

#[test]
fn timeout_bounds_one_attempt() {
    let sandbox = sandbox();
    sandbox.add_fault(Fault::on("create_request").half_open().times(2)).unwrap();
    let site = LimeSite::new(SiteConfig { timeout: Duration::from_millis(50), ..patient(&sandbox) }).unwrap();
    site.create_login_request().wait().unwrap();
    assert_eq!(sandbox.received_on("create_request").len(), 3);
    sandbox.add_fault(Fault::on("create_request").half_open().always()).unwrap();
    let config = SiteConfig { timeout: Duration::from_millis(50), max_retries: 1, ..patient(&sandbox) };
    let error = LimeSite::new(config).unwrap().create_login_request().wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TransportTimeout);
}

#[test]
fn broken_connections_are_tried_again() {
    let sandbox = sandbox();
    for fault in [
        Fault::on("read_request").drop_before(),
        Fault::on("read_request").drop_before().with_reset(),
        Fault::on("read_request").cut(),
        Fault::on("read_request").one_byte_chunks(),
    ] {
        let site = LimeSite::new(patient(&sandbox)).unwrap();
        let request = site.create_login_request().wait().unwrap();
        sandbox.add_fault(fault).unwrap();
        assert_eq!(site.read_login_request(&request.request_id).wait().unwrap().status, "PENDING");
    }
}

#[test]
fn a_refused_connection_is_a_transport_error_that_says_why() {
    let config = SiteConfig {
        site_token: Some("st_x".into()),
        base_url: Some("http://127.0.0.1:1/api/v1".into()),
        clock: Arc::new(ManualClock::default().skipping_sleeps()),
        ..SiteConfig::default()
    };
    let error = LimeSite::new(config).unwrap().create_login_request().wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert!(error.message().contains("refused"), "{error}");
}

#[test]
fn ids_that_are_no_ids_are_refused_before_anything_is_sent() {
    let sandbox = sandbox();
    let agent = LimeAgent::new(agent_config(&sandbox)).unwrap();
    for id in ["", "  ", "..", ".", "../../core/agents/me", "a/b", "a?b", "a#b", "%2e%2e", "a\nb"] {
        let error = agent.login(id).wait().unwrap_err();
        assert_eq!(
            (error.kind(), error.code(), error.http_status()),
            (ErrorKind::Api, Some("INVALID_REQUEST_ID"), Some(400)),
            "{id:?}"
        );
    }
    assert!(sandbox.received().is_empty());
}

#[test]
fn nothing_secret_is_logged_or_shown() {
    let sandbox = sandbox();
    let (sender, records) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let logger = lime_core::log::Logger::new(lime_core::log::Level::Debug, move |_, text| {
        sender.lock().unwrap().send(text.to_owned()).unwrap();
    });
    sandbox.add_fault(Fault::on("approve").status(503)).unwrap();
    let site = LimeSite::new(SiteConfig { logger: logger.clone(), ..patient(&sandbox) }).unwrap();
    let agent = LimeAgent::new(lime_core::AgentConfig { logger, ..agent_config(&sandbox) }).unwrap();
    let events = events(&site);
    let request = site.create_login_request().wait().unwrap();
    agent.login(&request.request_id).wait().unwrap();
    let event = events.recv_timeout(LONG).unwrap();
    let shown = format!("{site:?} {agent:?} {event:?} {:?}", site_config(&sandbox).logger);
    let mut text: String = records.try_iter().collect::<Vec<_>>().join("\n");
    assert!(text.contains("POST http") && text.contains("Retrying POST"), "{text}");
    text.push_str(&shown);
    let challenge: serde_json::Value =
        serde_json::from_str(&sandbox.received_on("approve").pop().unwrap().body).unwrap();
    for secret in [sandbox.site_token(), sandbox.agent_token(), &event.passport.unwrap()] {
        assert!(!text.contains(secret));
    }
    assert!(!text.contains(&format!("\"{}\"", challenge["pow_nonce"].as_str().unwrap())));
}

#[test]
fn connections_are_used_again() {
    let sandbox = sandbox();
    let (site, agent) = (site(&sandbox), agent(&sandbox));
    for _ in 0..10 {
        site.create_login_request().wait().unwrap();
        agent.get_profile().wait().unwrap();
    }
    let connections: std::collections::HashSet<u64> =
        sandbox.received().iter().map(|entry| entry.connection).collect();
    assert_eq!(connections.len(), 1, "one for all clients of the process");
}
