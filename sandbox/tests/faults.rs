//! The fault plan on ordinary requests.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::{Duration, Instant};

use common::*;
use lime_sandbox::{Answer, Fault, Unanswered};
use serde_json::json;

#[tokio::test]
async fn statuses_with_default_own_and_text_bodies() {
    let sandbox = sandbox().await;
    sandbox.add_fault(Fault::on("jwks").status(503)).unwrap();
    sandbox.add_fault(Fault::on("jwks").status(429).header("retry-after", "2")).unwrap();
    sandbox.add_fault(Fault::on("jwks").status(500).body(json!({"odd": 1}))).unwrap();
    let text = Fault::on("jwks").status(502).body("<html>").header("content-type", "text/html");
    sandbox.add_fault(text).unwrap();
    sandbox.add_fault(Fault::on("jwks").status(204)).unwrap();

    assert_eq!(get(&sandbox, JWKS).await.failure(), (503, "SERVICE_UNAVAILABLE".into()));
    let limited = get(&sandbox, JWKS).await;
    assert_eq!(limited.failure(), (429, "RATE_LIMIT_EXCEEDED".into()));
    assert_eq!(limited.header("retry-after"), Some("2"));
    let own = get(&sandbox, JWKS).await;
    assert_eq!((own.status, own.json()), (500, json!({"odd": 1})));
    let text = get(&sandbox, JWKS).await;
    assert_eq!((text.status, text.text().as_str()), (502, "<html>"));
    assert_eq!(text.header("content-type"), Some("text/html"));
    let empty = get(&sandbox, JWKS).await;
    assert_eq!((empty.status, empty.body.len()), (204, 0));
    assert_eq!(get(&sandbox, JWKS).await.status, 200);

    let log = sandbox.received_on("jwks");
    let statuses: Vec<_> = log.iter().map(|entry| entry.status).collect();
    assert_eq!(statuses, [503, 429, 500, 502, 204, 200].map(Answer::Status));
    assert_eq!(log[1].faults, [1]);
}

#[tokio::test]
async fn skip_count_and_for_ever() {
    let sandbox = sandbox().await;
    sandbox.add_fault(Fault::on("*").status(500).skip(1).times(2)).unwrap();
    let id = sandbox.add_fault(Fault::on("jwks").status(502).always()).unwrap();
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(get(&sandbox, JWKS).await.status);
    }
    assert_eq!(statuses, [502, 500, 500, 502, 502]);
    assert_eq!(sandbox.faults()[1].remaining, None);
    assert_eq!(sandbox.faults()[1].applied, 3);
    sandbox.remove_fault(id).unwrap();
    assert!(sandbox.remove_fault(id).is_err());
    assert_eq!(get(&sandbox, JWKS).await.status, 200);
}

#[tokio::test]
async fn faults_for_one_site_or_agent() {
    let sandbox = sandbox().await;
    let other = sandbox.add_site(None);
    sandbox.add_fault(Fault::on("create_request").status(500).for_site(&other.site_id)).unwrap();
    sandbox.add_fault(Fault::on("*").status(501).for_agent(sandbox.agent_id())).unwrap();
    create(&sandbox).await;
    let headers = [("x-site-token", other.site_token.as_str())];
    assert_eq!(call(sandbox.port(), "POST", REQUESTS, &headers, b"").await.status, 500);
    let headers = [("x-agent-token", sandbox.agent_token())];
    assert_eq!(call(sandbox.port(), "GET", PROFILE, &headers, b"").await.status, 501);
    assert_eq!(call(sandbox.port(), "GET", PROFILE, &headers, b"").await.status, 200);
}

#[tokio::test]
async fn dropped_before_nothing_has_happened() {
    let sandbox = sandbox().await;
    for reset in [false, true] {
        let fault = Fault::on("create_request").drop_before();
        sandbox.add_fault(if reset { fault.with_reset() } else { fault }).unwrap();
        let headers = [("x-site-token", sandbox.site_token())];
        let end = try_call(sandbox.port(), "POST", REQUESTS, &headers, b"{}").await.unwrap_err();
        assert_eq!(end, if reset { End::Reset } else { End::Closed });
    }
    assert!(sandbox.login_requests().is_empty());
    let dropped = Answer::Other(Unanswered::Dropped);
    assert!(sandbox.received().iter().all(|entry| entry.status == dropped));
}

#[tokio::test]
async fn dropped_after_everything_has_happened() {
    let sandbox = sandbox().await;
    let id = create(&sandbox).await;
    let open = challenge(&sandbox, &id).await.data();
    let nonce = solve_seed(open["pow_challenge"].as_str().unwrap(), 4);
    sandbox.add_fault(Fault::on("approve").drop_after()).unwrap();
    assert_eq!(approve(&sandbox, &id, &nonce).await.unwrap_err(), End::Closed);
    // The caller cannot tell, but the platform knows.
    assert_eq!(read(&sandbox, &id).await.data()["status"], "APPROVED");
    assert_eq!(approve(&sandbox, &id, &nonce).await.unwrap().status, 409);
    let log = sandbox.received_on("approve");
    assert_eq!(log[0].status, Answer::Other(Unanswered::Dropped));
    assert_eq!(log[0].body, json!({"pow_nonce": nonce}).to_string());
}

#[tokio::test]
async fn half_open_requests_are_never_answered() {
    let sandbox = sandbox().await;
    sandbox.add_fault(Fault::on("create_request").half_open()).unwrap();
    let mut connection = Connection::open(sandbox.port()).await;
    let headers = [("x-site-token", sandbox.site_token())];
    connection.send("POST", REQUESTS, &headers, b"{}").await;
    assert!(sandbox.wait_for_received("create_request", 1, PATIENCE).await);
    assert_eq!(sandbox.received()[0].status, Answer::Other(Unanswered::HalfOpen));
    assert!(sandbox.login_requests().is_empty());
    // A reset gives it up; only then the connection ends.
    sandbox.reset();
    assert_eq!(within(connection.answer()).await.unwrap_err(), End::Closed);
}

#[tokio::test]
async fn answers_are_cut() {
    let sandbox = sandbox().await;
    let whole = get(&sandbox, JWKS).await.body;
    for (fault, sent, end) in [
        (Fault::on("jwks").cut(), whole.len() / 2, End::Closed),
        (Fault::on("jwks").cut_after_bytes(10), 10, End::Closed),
        (Fault::on("jwks").cut_after_bytes(0), 0, End::Closed),
        (Fault::on("jwks").cut_after_bytes(usize::MAX), whole.len(), End::Closed),
        (Fault::on("jwks").cut_after_bytes(10).with_reset(), 10, End::Reset),
    ] {
        sandbox.add_fault(fault).unwrap();
        let answer = get(&sandbox, JWKS).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body, whole[..sent]);
        assert_eq!(answer.end, end);
        let promised: usize = answer.header("content-length").unwrap().parse().unwrap();
        assert!(promised >= whole.len() && promised > sent);
    }
}

#[tokio::test]
async fn garbage_instead_of_json() {
    let sandbox = sandbox().await;
    sandbox.add_fault(Fault::on("create_request").garbage()).unwrap();
    sandbox.add_fault(Fault::on("create_request").garbage_raw("42")).unwrap();
    let headers = [("x-site-token", sandbox.site_token())];
    let answer = call(sandbox.port(), "POST", REQUESTS, &headers, b"{}").await;
    assert_eq!(answer.status, 200);
    assert!(serde_json::from_slice::<serde_json::Value>(&answer.body).is_err());
    let answer = call(sandbox.port(), "POST", REQUESTS, &headers, b"{}").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "42"));
    assert!(sandbox.login_requests().is_empty());
}

#[tokio::test]
async fn answers_in_one_byte_chunks() {
    let sandbox = sandbox().await;
    let whole = get(&sandbox, JWKS).await.body;
    sandbox.add_fault(Fault::on("jwks").one_byte_chunks()).unwrap();
    let answer = get(&sandbox, JWKS).await;
    assert_eq!(answer.body, whole);
    assert_eq!(answer.end, End::Complete);
    assert_eq!(answer.chunks, vec![1; whole.len()]);
}

#[tokio::test]
async fn redirects() {
    let sandbox = sandbox().await;
    sandbox.add_fault(Fault::on("profile").redirect("http://127.0.0.1:1/elsewhere")).unwrap();
    let headers = [("x-agent-token", sandbox.agent_token())];
    let answer = call(sandbox.port(), "GET", PROFILE, &headers, b"").await;
    assert_eq!(answer.status, 302);
    assert_eq!(answer.header("location"), Some("http://127.0.0.1:1/elsewhere"));
    control(&sandbox, "POST", "/faults", json!({"route": "profile", "location": "/x", "status": 307})).await;
    assert_eq!(call(sandbox.port(), "GET", PROFILE, &headers, b"").await.status, 307);
}

#[tokio::test]
async fn delays_go_with_everything() {
    let sandbox = sandbox().await;
    let pause = Duration::from_millis(40);
    sandbox.add_fault(Fault::on("*").delay(pause)).unwrap();
    sandbox.add_fault(Fault::on("jwks").status(503).delay(pause)).unwrap();
    let begin = Instant::now();
    assert_eq!(get(&sandbox, JWKS).await.status, 503);
    assert!(begin.elapsed() >= 2 * pause);
}

#[tokio::test]
async fn event_streams_know_ordinary_faults_too() {
    let sandbox = sandbox().await;
    sandbox.add_fault(Fault::on("events").status(401)).unwrap();
    sandbox.add_fault(Fault::on("events").drop_before()).unwrap();
    sandbox.add_fault(Fault::on("events").drop_after()).unwrap();
    let headers = [("x-site-token", sandbox.site_token())];
    let open = async || try_call(sandbox.port(), "GET", EVENTS, &headers, b"").await;
    assert_eq!(open().await.unwrap().status, 401);
    assert_eq!(open().await.unwrap_err(), End::Closed);
    assert_eq!(open().await.unwrap_err(), End::Closed);
    assert!(sandbox.wait_for_streams(0, PATIENCE).await);
    let mut stream = Events::open(&sandbox).await;
    assert!(stream.frame().await.is_ok());
}

#[tokio::test]
async fn keys_rotate_in_between_and_the_request_goes_on() {
    let sandbox = sandbox().await;
    let plan =
        [Fault::on("create_request").rotate_keys().skip(1), Fault::on("create_request").status(503).skip(1)];
    for fault in plan {
        sandbox.add_fault(fault).unwrap();
    }
    let kid = async || get(&sandbox, JWKS).await.json()["keys"][0]["kid"].clone();
    let first = kid().await;
    create(&sandbox).await;
    assert_eq!(kid().await, first);
    let refused =
        call(sandbox.port(), "POST", REQUESTS, &[("x-site-token", sandbox.site_token())], b"{}").await;
    assert_eq!(refused.status, 503, "rules behind it are still seen");
    assert_ne!(kid().await, first);
}

#[tokio::test]
async fn the_broker_fails_in_its_own_form() {
    let sandbox = sandbox().await;
    let body = json!({"action": "a", "summary": "s"});
    let trigger = async || trigger_as(&sandbox, sandbox.sesame_api_key(), &body, &[]).await;
    for status in [401, 404, 429, 500, 503] {
        sandbox.add_fault(Fault::on("trigger_approval").status(status).header("retry-after", "1")).unwrap();
        let answer = trigger().await;
        assert_eq!((answer.status, answer.header("retry-after")), (status, Some("1")));
        assert!(answer.json()["detail"].is_string() && answer.json()["ok"].is_null());
    }
    sandbox.add_fault(Fault::on("*").status(502).body("<html>")).unwrap();
    assert_eq!(trigger().await.text(), "<html>");
    assert!(sandbox.approvals().is_empty());
    let other = sandbox.add_api_key(None).unwrap();
    sandbox.add_fault(Fault::on("trigger_approval").status(500).for_key(&other.key_id)).unwrap();
    let id = ask(&sandbox, "a").await;
    assert_eq!(trigger_as(&sandbox, &other.api_key, &body, &[]).await.status, 500);
    let log = sandbox.received_on("trigger_approval");
    assert_eq!(log[0].headers["authorization"], format!("Bearer {}", sandbox.sesame_api_key()));

    let whole = look(&sandbox, &id, "").await.body;
    sandbox.add_fault(Fault::on("read_approval").cut_after_bytes(5)).unwrap();
    let cut = look(&sandbox, &id, "").await;
    assert_eq!((cut.end, cut.body.as_slice()), (End::Closed, &whole[..5]));
    sandbox.add_fault(Fault::on("read_approval").one_byte_chunks()).unwrap();
    assert_eq!(look(&sandbox, &id, "").await.chunks, vec![1; whole.len()]);
    sandbox.add_fault(Fault::on("read_approval").garbage()).unwrap();
    assert!(serde_json::from_slice::<serde_json::Value>(&look(&sandbox, &id, "").await.body).is_err());
    sandbox.add_fault(Fault::on("read_approval").redirect("/elsewhere")).unwrap();
    assert_eq!(look(&sandbox, &id, "").await.header("location"), Some("/elsewhere"));
}

#[tokio::test]
async fn the_broker_is_dropped_and_hangs() {
    let sandbox = sandbox().await;
    let key = format!("Bearer {}", sandbox.sesame_api_key());
    let headers = [("authorization", key.as_str())];
    let body = json!({"action": "a", "summary": "s", "dedup_key": "k"}).to_string();
    let trigger = async || {
        try_call(sandbox.port(), "POST", APPROVALS, &headers, body.as_bytes()).await.map(|a| a.json())
    };
    sandbox.add_fault(Fault::on("trigger_approval").drop_before().with_reset()).unwrap();
    sandbox.add_fault(Fault::on("trigger_approval").drop_after()).unwrap();
    assert_eq!(trigger().await.unwrap_err(), End::Reset);
    assert!(sandbox.approvals().is_empty());
    assert_eq!(trigger().await.unwrap_err(), End::Closed);
    let id = trigger().await.unwrap()["approval_id"].as_str().unwrap().to_owned();
    assert_eq!(sandbox.approvals().len(), 1, "the key finds what was made before the answer was lost");

    sandbox.add_fault(Fault::on("read_approval").half_open()).unwrap();
    let mut connection = Connection::open(sandbox.port()).await;
    let path = format!("{APPROVALS}/{id}?wait=true");
    connection.send("GET", &path, &headers, b"").await;
    assert!(sandbox.wait_for_received("read_approval", 1, PATIENCE).await);
    sandbox.decide(&id, lime_sandbox::Decision::Approved, None).unwrap();
    assert_eq!(sandbox.open_polls(), 0, "it is not a poll that is held, but one that nobody looks at");
    assert_eq!(look(&sandbox, &id, "?wait=true").await.json()["status"], "approved");
}
