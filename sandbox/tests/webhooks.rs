//! Webhooks: what is sent, where to, and how often.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::Duration;

use common::*;
use lime_sandbox::{Decision, Rule, Sandbox, Undelivered, WebhookStatus};
use serde_json::{Value, json};

async fn ask_with(sandbox: &Sandbox, url: &str) -> String {
    trigger(sandbox, json!({"action": "a.b", "summary": "s", "callback_url": url})).await
}

/// A sandbox that tries again at once.
async fn impatient(retries: &Value) -> Sandbox {
    let sandbox = sandbox().await;
    sandbox.patch_settings(&json!({"webhook_retry_seconds": retries})).unwrap();
    sandbox
}

#[tokio::test]
async fn a_decision_is_told_and_signed() {
    let sandbox = sandbox().await;
    let mut receiver = Receiver::start(&["204 No Content"]).await;
    let body = json!({"action": "a.b", "summary": "s", "callback_url": receiver.url, "dedup_key": "k\u{fc}"});
    let id = trigger(&sandbox, body.clone()).await;
    let decided = sandbox.decide(&id, Decision::Approved, Some("Not told")).unwrap();
    let hook = receiver.hook().await;
    assert_eq!(hook.head, "POST /hook?a=1 HTTP/1.1");
    assert_eq!(hook.header("content-type"), "application/json");
    assert!(receiver.url.contains(hook.header("host")));
    assert_eq!(
        hook.json(),
        json!({
            "approval_id": id, "action": "a.b", "status": "approved", "decided_at": decided.decided_at,
            "requester_label": "Sandbox key", "dedup_key": "k\u{fc}",
        })
    );
    assert!(hook.is_signed_with(sandbox.webhook_secret()));
    let signature = hook.header("x-sesame-signature");
    assert!(signature.len() == 64 && signature == signature.to_lowercase());
    let timestamp: i64 = hook.header("x-sesame-timestamp").parse().unwrap();
    assert!((timestamp - sandbox.clock().unix).abs() < 30);

    assert!(sandbox.wait_for_webhooks(1, PATIENCE).await);
    let log = sandbox.webhooks();
    assert_eq!((log[0].n, log[0].attempt, log[0].delivered), (1, 1, true));
    assert_eq!((log[0].status, log[0].timestamp), (WebhookStatus::Http(204), timestamp));
    assert_eq!((log[0].signature.as_str(), log[0].body.as_bytes()), (signature, hook.body.as_slice()));
    // The same key again: the same approval, and nothing more to tell.
    assert_eq!(trigger(&sandbox, body).await, id);
    // Without labels and keys there is nothing to name.
    let other = sandbox.add_api_key(None).unwrap();
    let body = json!({"action": "a.c", "summary": "s", "callback_url": receiver.url});
    sandbox.add_rule(Rule::deny("a.c")).unwrap();
    trigger_as(&sandbox, &other.api_key, &body, &[]).await;
    let told = receiver.hook().await.json();
    assert_eq!(
        told.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["approval_id", "action", "status", "decided_at"]
    );
    assert_eq!(told["status"], "denied");
}

#[tokio::test]
async fn expiry_is_told_with_the_sandbox_s_time() {
    let sandbox = sandbox().await;
    let mut receiver = Receiver::start(&["200 OK"]).await;
    ask_with(&sandbox, &receiver.url).await;
    let later = sandbox.advance(Duration::from_secs(7200)).unwrap();
    let hook = receiver.hook().await;
    assert_eq!(hook.json()["status"], "expired");
    let timestamp: i64 = hook.header("x-sesame-timestamp").parse().unwrap();
    assert!((0..30).contains(&(timestamp - later.unix)));
}

#[tokio::test]
async fn what_does_not_arrive_is_sent_again() {
    let sandbox = impatient(&json!([0, 0, 0, 0])).await;
    let mut receiver =
        Receiver::start(&["500 Internal Server Error", "302 Found\r\nlocation: /x", "", "200 OK"]).await;
    let id = ask_with(&sandbox, &receiver.url).await;
    sandbox.decide(&id, Decision::Denied, None).unwrap();
    let first = receiver.hook().await;
    for _ in 0..3 {
        let again = receiver.hook().await;
        assert_eq!(again.head, "POST /hook?a=1 HTTP/1.1");
        assert_eq!(again.body, first.body);
        assert_eq!(again.header("x-sesame-signature"), first.header("x-sesame-signature"));
    }
    let path = format!("/webhooks?approval_id={id}&min=4&wait_ms=20000");
    let log = control(&sandbox, "GET", &path, Value::Null).await;
    let statuses: Vec<_> = log["webhooks"].as_array().unwrap().iter().map(|line| &line["status"]).collect();
    assert_eq!(statuses, [&json!(500), &json!(302), &json!("failed"), &json!(200)]);
    assert_eq!(log["webhooks"][0]["next_retry_seconds"], 0.0);
    assert_eq!((&log["webhooks"][3]["attempt"], &log["webhooks"][3]["delivered"]), (&json!(4), &json!(true)));
    for (at, line) in log["webhooks"].as_array().unwrap().iter().enumerate() {
        assert_eq!(line["error"].is_string(), at < 3, "{line}");
    }
    assert!(receiver.is_empty());
}

#[tokio::test]
async fn it_is_given_up_in_the_end() {
    let sandbox = impatient(&json!([0])).await;
    sandbox.patch_settings(&json!({"webhook_timeout_seconds": 0.05})).unwrap();
    let receiver = Receiver::start(&["silence"]).await;
    let id = ask_with(&sandbox, &receiver.url).await;
    sandbox.decide(&id, Decision::Denied, None).unwrap();
    assert!(sandbox.wait_for_webhooks(2, PATIENCE).await);
    let log = sandbox.webhooks();
    assert!(log.iter().all(|line| line.status == WebhookStatus::Without(Undelivered::Failed)));
    assert!(log[0].error.as_deref().unwrap().contains("0.05 s"));
    assert_eq!((log[0].next_retry_seconds, log[1].next_retry_seconds), (Some(0.0), None));
    // Nobody listens there any more.
    drop(receiver);
}

#[tokio::test]
async fn other_machines_get_nothing() {
    let sandbox = impatient(&json!([0])).await;
    for url in ["https://127.0.0.1/hook", "http://192.0.2.1/hook", "http://example.com/", "nonsense"] {
        let id = ask_with(&sandbox, url).await;
        sandbox.decide(&id, Decision::Approved, None).unwrap();
        let path = format!("/webhooks?approval_id={id}&min=1&wait_ms=20000");
        let log = control(&sandbox, "GET", &path, Value::Null).await;
        let line = &log["webhooks"][0];
        assert_eq!((&line["status"], &line["delivered"]), (&json!("refused"), &json!(false)));
        assert!(line["error"].is_string() && line["next_retry_seconds"].is_null());
    }
    assert_eq!(sandbox.webhooks().len(), 4);
}

#[tokio::test]
async fn it_can_be_sent_again() {
    let sandbox = sandbox().await;
    let mut receiver = Receiver::start(&["200 OK"]).await;
    let id = ask_with(&sandbox, &receiver.url).await;
    sandbox.decide(&id, Decision::Approved, None).unwrap();
    let first = receiver.hook().await;
    assert!(sandbox.wait_for_webhooks(1, PATIENCE).await);
    assert_eq!(control(&sandbox, "POST", "/webhooks/1/resend", Value::Null).await["resent"], 1);
    assert_eq!(receiver.hook().await.body, first.body);
    control(&sandbox, "GET", "/webhooks?after=1&min=1&wait_ms=20000", Value::Null).await;
    control(&sandbox, "DELETE", "/webhooks", Value::Null).await;
    assert!(sandbox.webhooks().is_empty());
    assert!(sandbox.resend_webhook(1).is_err());
    let id = ask_with(&sandbox, &receiver.url).await;
    sandbox.decide(&id, Decision::Approved, None).unwrap();
    assert!(sandbox.wait_for_webhooks(1, PATIENCE).await);
    assert_eq!(sandbox.webhooks()[0].n, 3);
}

#[tokio::test]
async fn a_reset_forgets_what_is_on_its_way() {
    let sandbox = impatient(&json!([86400])).await;
    let mut receiver = Receiver::start(&["500 Internal Server Error", "200 OK"]).await;
    let id = ask_with(&sandbox, &receiver.url).await;
    sandbox.decide(&id, Decision::Approved, None).unwrap();
    receiver.hook().await;
    assert!(sandbox.wait_for_webhooks(1, PATIENCE).await);
    sandbox.reset();
    assert!(sandbox.webhooks().is_empty());
    let id = ask_with(&sandbox, &receiver.url).await;
    sandbox.decide(&id, Decision::Denied, None).unwrap();
    assert_eq!(receiver.hook().await.json()["approval_id"], id.as_str());
}
