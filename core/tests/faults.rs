//! Section 6 of the protocol: the faults of the published packages, and that this library has none of
//! them. Each test has the number of its fault. (2 and 6 are pure functions: `retry.rs`, `base_url.rs`;
//! 8 needs an event loop: `tests/python`; 9 to 11 are Sesame's.)

#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

mod common;

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use common::*;
use lime_core::clock::ManualClock;
use lime_core::log::{Level, Logger};
use lime_core::{ErrorKind, LimeSite, PassportCheck, SiteConfig, StreamState};
use lime_sandbox::{Fault, LoginStatus};

#[test]
fn fault_1_a_malformed_frame_does_not_cost_the_stream() {
    let sandbox = sandbox();
    let (sender, records) = mpsc::channel();
    let logger = Logger::new(Level::Error, move |_, text| sender.send(text.to_owned()).unwrap());
    let site = LimeSite::new(SiteConfig { logger, ..site_config(&sandbox) }).unwrap();
    let events = events(&site);
    assert!(sandbox.wait_for_streams_blocking(1, LONG));
    // One write: the good event comes right behind the bad ones, in the same chunk.
    let bad = "data: {not json\n\ndata: []\n\ndata: {\"type\":\"approved\",\"login_request_id\":\"r\"}\n\n";
    let good = "data: {\"type\":\"expired\",\"login_request_id\":\"lr_1\"}\n\n";
    sandbox.push_raw(None, format!("{bad}{good}"));
    assert_eq!(events.recv_timeout(LONG).unwrap().request_id, "lr_1");
    let status = site.stream_status();
    assert_eq!((status.connections, status.malformed_frames), (1, 3));
    assert!(status.last_error.is_some());
    assert_eq!(records.iter().take(3).count(), 3, "one error record each");
}

#[test]
fn fault_3_a_refused_token_is_reported_and_not_hammered() {
    let sandbox = sandbox();
    let clock = Arc::new(ManualClock::default());
    let site = LimeSite::new(SiteConfig {
        site_token: Some("st_wrong".into()),
        clock: Arc::clone(&clock) as _,
        ..site_config(&sandbox)
    })
    .unwrap();
    let (sender, states) = mpsc::channel();
    site.on_state(move |status| sender.send(status.clone()).unwrap()).unwrap();
    site.start_events().unwrap();
    let refused = states.iter().find(|status| status.state == StreamState::Refused).unwrap();
    let error = refused.last_error.unwrap();
    assert_eq!(
        (error.kind(), error.code(), error.http_status()),
        (ErrorKind::Authentication, Some("SITE_TOKEN_INVALID"), Some(401))
    );
    for round in 1..=6 {
        let waits = clock.wait_for_sleeps(round);
        clock.advance(waits[round - 1]);
    }
    let waits: Vec<u64> = clock.wait_for_sleeps(6).iter().map(Duration::as_secs).collect();
    assert_eq!(waits[..6], [60, 120, 240, 480, 600, 600], "a minute at the least, at a jitter of 0");
    // A wait ends at once with the same error instead of running into its timeout.
    let error = site.wait_for_login("lr_1", LONG).wait().unwrap_err();
    assert_eq!(error.code(), Some("SITE_TOKEN_INVALID"));
}

#[test]
fn fault_4_a_slow_handler_does_not_stop_the_reader() {
    let sandbox = sandbox();
    let site = site(&sandbox);
    let (go, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let (sender, handled) = mpsc::channel();
    site.on_login(move |event| {
        let _ = gate.lock().unwrap().recv();
        sender.send(event.request_id.clone()).unwrap();
    })
    .unwrap();
    assert!(sandbox.wait_for_streams_blocking(1, LONG));
    push_expired(&sandbox, 0..500);
    // All of them are taken in while the first handler has not even begun.
    wait_for_events(&site, 500);
    assert!(handled.try_recv().is_err());
    drop(go);
    let handled: Vec<String> = handled.iter().take(500).collect();
    assert_eq!(handled, (0..500).map(|n| format!("lr_{n}")).collect::<Vec<_>>(), "in order, none lost");
}

#[test]
fn fault_4_a_full_queue_holds_the_sender_and_drops_nothing() {
    let sandbox = sandbox();
    let site = LimeSite::new(SiteConfig { event_queue_limit: 4, ..site_config(&sandbox) }).unwrap();
    let (go, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let (sender, handled) = mpsc::channel();
    site.on_login(move |event| {
        let _ = gate.lock().unwrap().recv();
        sender.send(event.request_id.clone()).unwrap();
    })
    .unwrap();
    assert!(sandbox.wait_for_streams_blocking(1, LONG));
    push_expired(&sandbox, 0..100);
    wait_for_events(&site, 4);
    go.send(()).unwrap();
    assert_eq!(handled.recv_timeout(LONG).unwrap(), "lr_0");
    // One place became free, and one more was taken in; not a fifth before that.
    wait_for_events(&site, 5);
    assert_eq!(site.stream_status().events, 5);
    drop(go);
    assert_eq!(handled.iter().take(99).last().unwrap(), "lr_99");
}

fn push_expired(sandbox: &lime_sandbox::Sandbox, range: std::ops::Range<u32>) {
    let frame = |n| format!("data: {{\"type\":\"expired\",\"login_request_id\":\"lr_{n}\"}}\n\n");
    let frames = range.map(frame).collect::<Vec<_>>().concat();
    sandbox.push_raw(None, frames);
}

/// Spins on a counter; bounded by the harness only, since there is nothing to be notified of.
fn wait_for_events(site: &LimeSite, count: u64) {
    while site.stream_status().events < count {
        std::thread::yield_now();
    }
}

#[test]
fn fault_5_one_api_roots_keys_do_not_verify_anothers_passports() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/vectors/passports.json")).unwrap();
    let good =
        vectors["cases"].as_array().unwrap().iter().find(|case| case["id"] == "minimal-bare-jwks").unwrap();
    let clock = Arc::new(ManualClock::at(Duration::from_secs_f64(good["now"].as_f64().unwrap())));
    // The same kid at both API roots, with different keys.
    let sandboxes = [sandbox(), sandbox()];
    let sites: Vec<LimeSite> = ["bare", "other-key-same-kid"]
        .iter()
        .zip(&sandboxes)
        .map(|(document, sandbox)| {
            let fault = Fault::on("jwks").status(200).body(vectors["jwks"][document].clone()).always();
            sandbox.add_fault(fault).unwrap();
            LimeSite::new(SiteConfig { clock: Arc::clone(&clock) as _, ..site_config(sandbox) }).unwrap()
        })
        .collect();
    let verify = |site: &LimeSite| {
        site.verify_passport(good["jwt"].as_str().unwrap(), PassportCheck::default()).wait()
    };
    for _ in 0..2 {
        assert!(verify(&sites[0]).is_ok());
        let error = verify(&sites[1]).unwrap_err();
        assert!(error.message().contains("signature"), "{error}");
    }
}

#[test]
fn fault_5_a_flood_of_made_up_kids_costs_two_fetches() {
    let sandbox = sandbox();
    let (site, events) = listening(&sandbox);
    approved(&sandbox, &site);
    let jwt = passport(&events);
    site.verify_passport(&jwt, PassportCheck::default()).wait().unwrap();
    for n in 0..1000 {
        let error = site.verify_passport(&made_up(&jwt, n), PassportCheck::default()).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidPassport);
        assert!(error.message().contains("Unknown JWT kid"));
    }
    assert_eq!(sandbox.received_on("jwks").len(), 2);
    assert!(
        site.verify_passport(&jwt, PassportCheck::default()).wait().is_ok(),
        "the good keys are still there"
    );
}

#[test]
fn fault_7_retry_after_is_honoured_within_the_timeout() {
    let sandbox = sandbox();
    let clock = Arc::new(ManualClock::default().skipping_sleeps());
    let site = LimeSite::new(SiteConfig { clock: Arc::clone(&clock) as _, ..site_config(&sandbox) }).unwrap();
    sandbox.add_fault(Fault::on("create_request").status(503).header("Retry-After", "2")).unwrap();
    site.create_login_request().wait().unwrap();
    assert_eq!(clock.slept(), [Duration::from_secs(2)]);
    // Longer than an attempt may take: the caller decides.
    sandbox.add_fault(Fault::on("create_request").status(429).header("Retry-After", "31")).unwrap();
    let error = site.create_login_request().wait().unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::RateLimit, Some(Duration::from_secs(31))));
    assert_eq!(clock.slept().len(), 1);
}

#[test]
fn fault_12_a_lost_approve_answer_is_told_apart() {
    let sandbox = sandbox();
    let site = site(&sandbox);
    for (retries, fault) in [
        (3, Fault::on("approve").drop_after()),
        (0, Fault::on("approve").drop_after()),
        (3, Fault::on("approve").drop_after().with_reset()),
    ] {
        let request = site.create_login_request().wait().unwrap();
        sandbox.add_fault(fault).unwrap();
        let config = lime_core::AgentConfig { max_retries: retries, ..agent_config(&sandbox) };
        let error = lime_core::LimeAgent::new(config).unwrap().login(&request.request_id).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
        assert_eq!(error.request_id(), Some(request.request_id.as_str()));
        assert_ne!(sandbox.login_request(&request.request_id).unwrap().status, LoginStatus::Pending);
    }
}

#[test]
fn fault_12_a_request_that_never_left_is_an_ordinary_failure() {
    let sandbox = sandbox();
    let site = site(&sandbox);
    let request = site.create_login_request().wait().unwrap();
    // Dropped before anything happened: the retry goes through.
    sandbox.add_fault(Fault::on("approve").drop_before()).unwrap();
    assert!(agent(&sandbox).login(&request.request_id).wait().is_ok());
    // Approved by somebody else: a plain conflict or not-found, since nothing of ours got lost.
    let error = agent(&sandbox).login(&request.request_id).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Api);
    // Nobody listens: nothing can have been sent.
    let nobody = lime_core::AgentConfig { base_url: Some(closed_port()), ..agent_config(&sandbox) };
    let error = lime_core::LimeAgent::new(nobody).unwrap().login("lr_1").wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
}

fn closed_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/api/v1", listener.local_addr().unwrap())
}

#[test]
fn fault_12_once_an_answer_got_lost_no_later_error_says_failed() {
    let sandbox = sandbox();
    let site = site(&sandbox);
    for later in [401, 429, 500, 502, 503, 504] {
        let request = site.create_login_request().wait().unwrap();
        sandbox.clear_faults();
        sandbox.add_fault(Fault::on("approve").drop_after()).unwrap();
        sandbox.add_fault(Fault::on("approve").status(later).always()).unwrap();
        let error = agent(&sandbox).login(&request.request_id).wait().unwrap_err();
        assert_eq!((error.kind(), error.http_status()), (ErrorKind::OutcomeUnknown, Some(later)));
    }
    // Done, with an answer that cannot be read.
    for body in ["{", "{\"ok\":true,\"data\":{}}"] {
        let request = site.create_login_request().wait().unwrap();
        sandbox.clear_faults();
        sandbox.add_fault(Fault::on("approve").status(200).body(body)).unwrap();
        let error = agent(&sandbox).login(&request.request_id).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{body}");
    }
    // The platform's own word that it failed, every time, is believed.
    let request = site.create_login_request().wait().unwrap();
    sandbox.clear_faults();
    sandbox.add_fault(Fault::on("approve").status(500).always()).unwrap();
    let error = agent(&sandbox).login(&request.request_id).wait().unwrap_err();
    assert_eq!((error.kind(), error.http_status()), (ErrorKind::Api, Some(500)));
}
