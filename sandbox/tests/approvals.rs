//! The Sesame broker: approvals from the question to the decision.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::{Duration, Instant};

use common::*;
use lime_sandbox::{ApprovalStatus, DateForm, Decision, Options, Rule, Sandbox};
use serde_json::{Value, json};

#[tokio::test]
async fn an_approval_from_beginning_to_end() {
    let sandbox = sandbox().await;
    let body = json!({
        "action": "payments.refund", "summary": "Refund $42", "reason": "They asked", "severity": "high",
        "dedup_key": "refund-1", "context": {"customer": "cus_1", "amount": 42}, "more": 1,
    });
    let answer = trigger_as(&sandbox, sandbox.sesame_api_key(), &body, &[]).await;
    assert_eq!((answer.status, answer.header("content-type")), (202, Some("application/json")));
    let triggered = answer.json();
    assert_eq!(triggered.as_object().unwrap().len(), 3);
    assert_eq!(triggered["status"], "pending");
    let id = triggered["approval_id"].as_str().unwrap();

    let seen = look(&sandbox, id, "").await;
    assert_eq!(seen.status, 200);
    let pending = json!({
        "approval_id": id, "status": "pending", "expires_at": triggered["expires_at"],
        "requester_label": "Sandbox key",
    });
    assert_eq!(seen.json(), pending);

    let shown = sandbox.approval(id).unwrap();
    assert_eq!((shown.action.as_str(), shown.summary.as_str()), ("payments.refund", "Refund $42"));
    assert_eq!((shown.reason.as_deref(), shown.severity.as_deref()), (Some("They asked"), Some("high")));
    assert_eq!(serde_json::to_string(&shown.context).unwrap(), r#"{"customer":"cus_1","amount":42}"#);
    assert_eq!(sandbox.approvals(), [shown]);

    let decided = sandbox.decide(id, Decision::Denied, Some("Not today")).unwrap();
    assert_eq!(decided.status, ApprovalStatus::Denied);
    let seen = look(&sandbox, id, "?wait=true").await.json();
    assert_eq!((&seen["status"], &seen["note"]), (&json!("denied"), &json!("Not today")));
    assert_eq!(seen["decided_at"], decided.decided_at.unwrap());
    assert!(sandbox.decide(id, Decision::Approved, None).is_err());
    assert!(sandbox.expire_approval(id).is_err());
    assert!(sandbox.decide("nothing", Decision::Approved, None).is_err());
}

#[tokio::test]
async fn api_keys() {
    let sandbox = sandbox().await;
    let id = ask(&sandbox, "a").await;
    let path = format!("{APPROVALS}/{id}");
    for (method, path) in [("POST", APPROVALS), ("GET", path.as_str())] {
        let with = async |headers: &[(&str, &str)]| call(sandbox.port(), method, path, headers, b"").await;
        for headers in [
            &[][..],
            &[("authorization", "")],
            &[("authorization", "Bearer")],
            &[("authorization", "Bearer sk_nobody")],
            &[("authorization", "Basic c2s6")],
            &[("x-api-key", sandbox.sesame_api_key())],
            &[("authorization", sandbox.sesame_api_key())],
        ] {
            let refused = with(headers).await;
            assert_eq!(refused.status, 401, "{headers:?}");
            assert!(refused.json()["detail"].is_string());
            assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        }
    }
    let headers = [("authorization", &*format!("bearer  {} ", sandbox.sesame_api_key()))];
    assert_eq!(call(sandbox.port(), "GET", &path, &headers, b"").await.status, 200);

    let other = control(&sandbox, "POST", "/api-keys", json!({"label": "Billing"})).await;
    let other_key = other["api_key"].as_str().unwrap();
    assert!(other_key.starts_with("sk_sandbox_"));
    for foreign in [look_as(&sandbox, other_key, &id, "").await, look(&sandbox, "nothing", "").await] {
        assert_eq!(foreign.status, 404);
        assert!(foreign.json()["detail"].is_string());
    }
    let body = json!({"action": "a", "summary": "s"});
    let theirs = trigger_as(&sandbox, other_key, &body, &[]).await.json();
    let theirs = theirs["approval_id"].as_str().unwrap();
    assert_eq!(look_as(&sandbox, other_key, theirs, "").await.json()["requester_label"], "Billing");
    assert_eq!(sandbox.approval(theirs).unwrap().key_id, other["key_id"]);
    assert_eq!(look(&sandbox, theirs, "").await.status, 404);

    let keys = control(&sandbox, "GET", "/api-keys", Value::Null).await;
    assert_eq!(keys["api_keys"][0]["api_key"], sandbox.sesame_api_key());
    assert_eq!(keys["api_keys"][1], other);
    sandbox.reset();
    assert_eq!(look_as(&sandbox, other_key, theirs, "").await.status, 401);
    assert_eq!(sandbox.api_keys().len(), 1);
    ask(&sandbox, "a").await;
}

#[tokio::test]
async fn bodies_that_cannot_be_used() {
    let sandbox = sandbox().await;
    for body in [
        json!([]),
        json!({"summary": "s"}),
        json!({"action": "a", "summary": ""}),
        json!({"action": "a", "summary": "s", "context": [1]}),
        json!({"action": "a", "summary": "s", "severity": 3}),
    ] {
        let refused = trigger_as(&sandbox, sandbox.sesame_api_key(), &body, &[]).await;
        assert_eq!(refused.status, 422, "{body}");
        assert!(refused.json()["detail"].is_string());
    }
    let long = json!({"action": "a", "summary": "s".repeat(100_000)});
    let refused = trigger_as(&sandbox, sandbox.sesame_api_key(), &long, &[]).await;
    assert_eq!(refused.status, 413);
    assert!(refused.json()["detail"].is_string());
    for (method, path, status) in [("GET", "/v1/nothing", 404), ("PUT", APPROVALS, 405), ("GET", "/v1", 404)]
    {
        let refused = call(sandbox.port(), method, path, &[], b"").await;
        assert_eq!(refused.status, status, "{method} {path}");
        assert!(refused.json()["detail"].is_string());
    }
    let id = ask(&sandbox, "a").await;
    assert_eq!(look(&sandbox, &id, "?wait=perhaps").await.status, 422);
    assert_eq!(look(&sandbox, &id, "?wait=false&more=1").await.status, 200);
    assert_eq!(look(&sandbox, "%ff", "").await.status, 404);
    assert_eq!(sandbox.approvals().len(), 1);
}

#[tokio::test]
async fn the_same_dedup_key_finds_the_same_approval() {
    let sandbox = sandbox().await;
    let body = |key: &str| json!({"action": "a", "summary": "s", "dedup_key": key});
    let first = trigger(&sandbox, body("k")).await;
    assert_eq!(trigger(&sandbox, body("k")).await, first);
    assert_ne!(trigger(&sandbox, body("other")).await, first);
    sandbox.decide(&first, Decision::Approved, None).unwrap();
    let again = trigger_as(&sandbox, sandbox.sesame_api_key(), &body("k"), &[]).await;
    assert_eq!((again.status, &again.json()["status"]), (202, &json!("approved")));
    assert_eq!(again.json()["approval_id"], first.as_str());
    // Another key means another approval; and an empty key is none.
    let other = sandbox.add_api_key(None).unwrap();
    let theirs = trigger_as(&sandbox, &other.api_key, &body("k"), &[]).await.json();
    assert_ne!(theirs["approval_id"], first.as_str());
    assert_ne!(trigger(&sandbox, body("")).await, trigger(&sandbox, body("")).await);
}

#[tokio::test]
async fn idempotency_keys_when_they_are_honoured() {
    let sandbox = sandbox().await;
    let body = json!({"action": "a", "summary": "s"});
    let again = async |key: &str| {
        let answer =
            trigger_as(&sandbox, sandbox.sesame_api_key(), &body, &[("idempotency-key", key)]).await.json();
        (answer["approval_id"].as_str().unwrap().to_owned(), answer["status"].clone())
    };
    assert_ne!(again("k").await, again("k").await);
    sandbox.patch_settings(&json!({"idempotency": true})).unwrap();
    let first = again("k").await;
    sandbox.decide(&first.0, Decision::Approved, None).unwrap();
    // The stored answer, not the state: that is what the first call would have said.
    assert_eq!(again("k").await, first);
    assert_ne!(again("j").await.0, first.0);
}

#[tokio::test]
async fn a_long_poll_is_answered_by_the_decision() {
    let sandbox = sandbox().await;
    let ids = [ask(&sandbox, "a").await, ask(&sandbox, "a").await];
    let (first, second, ()) =
        tokio::join!(look(&sandbox, &ids[0], "?wait=true"), look(&sandbox, &ids[1], "?wait=true"), async {
            assert!(sandbox.wait_for_polls(2, PATIENCE).await);
            assert_eq!(control(&sandbox, "GET", "/polls?min=2&wait_ms=5000", Value::Null).await["open"], 2);
            sandbox.decide(&ids[1], Decision::Denied, None).unwrap();
            assert!(sandbox.wait_for_polls(1, PATIENCE).await);
            let path = format!("/approvals/{}/decision", ids[0]);
            let body = json!({"decision": "approved", "note": "Fine"});
            assert_eq!(control(&sandbox, "POST", &path, body).await["status"], "approved");
        });
    assert_eq!((&first.json()["status"], &first.json()["note"]), (&json!("approved"), &json!("Fine")));
    assert_eq!(second.json()["status"], "denied");
    assert_eq!(sandbox.open_polls(), 0);
}

#[tokio::test]
async fn a_long_poll_is_answered_by_time() {
    let sandbox = Sandbox::start(Options::new().long_poll_seconds(0.03)).await.unwrap();
    let id = ask(&sandbox, "a").await;
    let begin = Instant::now();
    assert_eq!(look(&sandbox, &id, "?wait=true").await.json()["status"], "pending");
    assert!(begin.elapsed() >= Duration::from_millis(30));
    sandbox.update_settings(|settings| settings.long_poll_seconds = 0.0).unwrap();
    assert_eq!(look(&sandbox, &id, "?wait=true").await.json()["status"], "pending");
    // Expiry by the sandbox's clock ends it, too.
    sandbox.update_settings(|settings| settings.long_poll_seconds = 25.0).unwrap();
    let (answer, ()) = tokio::join!(look(&sandbox, &id, "?wait=1"), async {
        assert!(sandbox.wait_for_polls(1, PATIENCE).await);
        sandbox.advance(Duration::from_secs(3601)).unwrap();
    });
    assert_eq!(answer.json()["status"], "expired");
    assert!(answer.json()["decided_at"].is_string());
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_poll_along() {
    let sandbox = sandbox().await;
    let id = ask(&sandbox, "a").await;
    let mut connection = Connection::open(sandbox.port()).await;
    let headers = [("authorization", &*format!("Bearer {}", sandbox.sesame_api_key()))];
    connection.send("GET", &format!("{APPROVALS}/{id}?wait=true"), &headers, b"").await;
    assert!(sandbox.wait_for_polls(1, PATIENCE).await);
    drop(connection);
    assert!(sandbox.wait_for_polls(0, PATIENCE).await);
    assert!(sandbox.wait_for_received("read_approval", 1, PATIENCE).await);
    let log = control(&sandbox, "GET", "/received?route=read_approval", Value::Null).await;
    assert_eq!(log["received"][0]["status"], "gone");
}

#[tokio::test]
async fn a_reset_ends_long_polls_and_forgets() {
    let sandbox = sandbox().await;
    sandbox.add_rule(Rule::approve("b")).unwrap();
    let id = ask(&sandbox, "a").await;
    let (answer, ()) = tokio::join!(look(&sandbox, &id, "?wait=true"), async {
        assert!(sandbox.wait_for_polls(1, PATIENCE).await);
        sandbox.reset();
    });
    assert_eq!(answer.status, 404);
    assert!(sandbox.wait_for_polls(0, PATIENCE).await);
    assert!(sandbox.approvals().is_empty() && sandbox.rules().is_empty());
    // What ended late is not taken for one of the requests after the reset.
    assert!(sandbox.received().is_empty());
    ask(&sandbox, "a").await;
}

#[tokio::test]
async fn rules_and_faults_of_before_a_reset_take_none_away_that_came_after() {
    let sandbox = sandbox().await;
    let (rule, fault) = (Rule::approve("a"), lime_sandbox::Fault::on("jwks").status(500).always());
    let before = (sandbox.add_rule(rule.clone()).unwrap(), sandbox.add_fault(fault.clone()).unwrap());
    sandbox.reset();
    let after = (sandbox.add_rule(rule).unwrap(), sandbox.add_fault(fault).unwrap());
    assert!(sandbox.remove_rule(before.0).is_err() && sandbox.remove_fault(before.1).is_err());
    assert_eq!(sandbox.rules().iter().map(|rule| rule.id).collect::<Vec<_>>(), [after.0]);
    assert_eq!(sandbox.faults().iter().map(|fault| fault.id).collect::<Vec<_>>(), [after.1]);
}

#[tokio::test]
async fn many_long_polls_are_cheap() {
    let sandbox = std::sync::Arc::new(sandbox().await);
    let mut polls = tokio::task::JoinSet::new();
    for _ in 0..500 {
        let sandbox = std::sync::Arc::clone(&sandbox);
        polls.spawn(async move {
            let id = ask(&sandbox, "bulk.one").await;
            look(&sandbox, &id, "?wait=true").await.json()["status"].clone()
        });
    }
    assert!(sandbox.wait_for_polls(500, PATIENCE).await);
    assert_eq!(sandbox.add_rule(Rule::approve("bulk.*")).unwrap(), 0);
    while let Some(status) = within(polls.join_next()).await {
        assert_eq!(status.unwrap(), "approved");
    }
}

#[tokio::test]
async fn expiry_follows_the_clock() {
    let sandbox = Sandbox::start(Options::new().approval_ttl_seconds(100.0)).await.unwrap();
    let early = ask(&sandbox, "a").await;
    sandbox.advance(Duration::from_secs(60)).unwrap();
    let late = ask(&sandbox, "a").await;
    let ended = ask(&sandbox, "a").await;
    assert_eq!(sandbox.expire_approval(&ended).unwrap().status, ApprovalStatus::Expired);
    sandbox.advance(Duration::from_secs(41)).unwrap();
    assert_eq!(look(&sandbox, &early, "").await.json()["status"], "expired");
    assert_eq!(look(&sandbox, &late, "").await.json()["status"], "pending");
    sandbox.decide(&late, Decision::Approved, None).unwrap();
    sandbox.advance(Duration::from_secs(1000)).unwrap();
    assert_eq!(look(&sandbox, &late, "").await.json()["status"], "approved");
    // By itself, too, when real time runs.
    sandbox.update_settings(|settings| settings.approval_ttl_seconds = 0.05).unwrap();
    let short = ask(&sandbox, "a").await;
    assert!(sandbox.wait_for_approval(&short, ApprovalStatus::Expired, PATIENCE).await);
    sandbox.update_settings(|settings| settings.date_form = DateForm::Offset).unwrap();
    assert!(look(&sandbox, &short, "").await.json()["decided_at"].as_str().unwrap().ends_with("+00:00"));
}

#[tokio::test]
async fn rules_decide() {
    let sandbox = sandbox().await;
    let pending = ask(&sandbox, "payments.refund").await;
    let rules = json!([
        {"action": "payments.*", "decision": "approved", "count": 2, "note": "By rule"},
        {"action": "payments.*", "decision": "denied"},
    ]);
    assert_eq!(control(&sandbox, "POST", "/rules", rules).await["ids"], json!([0, 1]));
    // What was pending already is the first to be decided.
    assert_eq!(sandbox.approval(&pending).unwrap().status, ApprovalStatus::Approved);
    let body = json!({"action": "payments.send", "summary": "s"});
    let second = trigger_as(&sandbox, sandbox.sesame_api_key(), &body, &[]).await.json();
    assert_eq!(second["status"], "pending", "a rule is a quick person");
    let second = look(&sandbox, second["approval_id"].as_str().unwrap(), "?wait=true").await.json();
    assert_eq!((&second["status"], &second["note"]), (&json!("approved"), &json!("By rule")));
    let third = ask(&sandbox, "payments.send").await;
    assert_eq!(sandbox.approval(&third).unwrap().status, ApprovalStatus::Denied);
    assert_eq!(sandbox.approval(&third).unwrap().rule, Some(1));
    let other = ask(&sandbox, "db.delete").await;
    assert_eq!(sandbox.approval(&other).unwrap().status, ApprovalStatus::Pending);

    let states = control(&sandbox, "GET", "/rules", Value::Null).await;
    assert_eq!((&states["rules"][0]["applied"], &states["rules"][0]["remaining"]), (&json!(2), &json!(0)));
    assert_eq!(states["rules"][1]["rule"], json!({"action": "payments.*", "decision": "denied", "count": 0}));
    assert_eq!(control(&sandbox, "DELETE", "/rules/1", Value::Null).await["removed"], 1);
    assert_eq!(control(&sandbox, "DELETE", "/rules", Value::Null).await["removed"], 1);
    assert!(sandbox.remove_rule(0).is_err());
}

#[tokio::test]
async fn rules_that_wait() {
    let sandbox = sandbox().await;
    let hour = Duration::from_secs(3600);
    let slow = sandbox.add_rule(Rule::deny("*").delay(hour)).unwrap();
    let ids = [ask(&sandbox, "a").await, ask(&sandbox, "b").await];
    assert_eq!(sandbox.approval(&ids[0]).unwrap().rule, Some(slow));
    // Somebody is quicker; and a rule that is taken away decides nothing more.
    sandbox.decide(&ids[0], Decision::Approved, None).unwrap();
    sandbox.remove_rule(slow).unwrap();
    assert_eq!(sandbox.approval(&ids[1]).unwrap().rule, None);
    sandbox.add_rule(Rule::approve("b").delay(Duration::from_millis(20)).note("At last")).unwrap();
    let answer = look(&sandbox, &ids[1], "?wait=true").await.json();
    assert_eq!((&answer["status"], &answer["note"]), (&json!("approved"), &json!("At last")));
}

#[tokio::test]
async fn the_control_api() {
    let sandbox = sandbox().await;
    let path = |id: &str, call: &str| format!("/approvals/{id}{call}");
    let (listed, first) = tokio::join!(
        control(&sandbox, "GET", "/approvals?status=pending&min=1&wait_ms=20000", Value::Null),
        ask(&sandbox, "a"),
    );
    assert_eq!(listed["approvals"][0]["approval_id"], first.as_str());
    let second = ask(&sandbox, "b").await;
    let waiting = path(&first, "?status=approved&wait_ms=20000");
    let (decision, body) = (path(&first, "/decision"), json!({"decision": "approved", "note": ""}));
    let (waited, decided) = tokio::join!(
        control(&sandbox, "GET", &waiting, Value::Null),
        control(&sandbox, "POST", &decision, body),
    );
    assert_eq!(waited, decided);
    assert_eq!(decided["note"], Value::Null);
    let expired = control(&sandbox, "POST", &path(&second, "/expire"), Value::Null).await;
    assert_eq!(expired["status"], "expired");
    let all = control(&sandbox, "GET", "/approvals", Value::Null).await;
    assert_eq!(all["approvals"], json!([decided, expired]));
    assert!(sandbox.wait_for_approvals(2, PATIENCE).await);

    let refused = async |method: &str, path: &str, body: Value| {
        let (path, body) = (format!("/_sandbox{path}"), body.to_string());
        let answer = call(sandbox.port(), method, &path, &[], body.as_bytes()).await;
        assert!(answer.json()["error"].is_string());
        answer.status
    };
    assert_eq!(refused("POST", &path(&first, "/decision"), json!({"decision": "denied"})).await, 409);
    assert_eq!(refused("POST", &path(&first, "/decision"), json!({"decision": "maybe"})).await, 400);
    assert_eq!(refused("POST", &path(&first, "/decision"), json!({})).await, 400);
    assert_eq!(refused("POST", &path("x", "/decision"), json!({"decision": "denied"})).await, 404);
    assert_eq!(refused("POST", &path(&second, "/expire"), json!({})).await, 409);
    assert_eq!(refused("GET", &path("x", "?status=denied&wait_ms=20000"), json!({})).await, 404);
    assert_eq!(refused("GET", &path(&first, "?status=denied"), json!({})).await, 504);
    assert_eq!(refused("GET", "/polls?min=1&wait_ms=1", json!({})).await, 504);
    assert_eq!(refused("POST", "/rules", json!({"action": "", "decision": "denied"})).await, 400);
    assert_eq!(refused("POST", "/rules", json!({"action": "a", "decision": "denied", "x": 1})).await, 400);
    assert_eq!(refused("DELETE", "/rules/7", json!({})).await, 404);
    assert_eq!(refused("POST", "/webhooks/7/resend", json!({})).await, 404);
}
