//! The control API over HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::*;
use lime_sandbox::Sandbox;
use serde_json::{Value, json};

#[tokio::test]
async fn other_web_sites_are_kept_out() {
    let sandbox = sandbox().await;
    let port = sandbox.port();
    let own = [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")];
    let add_site =
        async |headers: &[(&str, &str)]| call(port, "POST", "/_sandbox/sites", headers, b"").await.status;
    for host in &own {
        assert_eq!(add_site(&[("host", host)]).await, 200);
    }
    let sites = sandbox.streams().sites.len();
    let host = own[0].as_str();
    for headers in [
        &[("host", host), ("origin", "https://evil.example")][..],
        &[("host", host), ("origin", "null")],
        &[("host", host), ("origin", "http://127.0.0.1:1")],
        &[("host", host), ("sec-fetch-site", "cross-site")],
        &[("host", "evil.example")],
        &[("host", "127.0.0.1")],
    ] {
        assert_eq!(add_site(headers).await, 403, "{headers:?}");
    }
    assert_eq!(sandbox.streams().sites.len(), sites);
}

#[tokio::test]
async fn sites_and_agents() {
    let sandbox = sandbox().await;
    assert_eq!(control(&sandbox, "GET", "/health", Value::Null).await["ok"], true);
    let info = control(&sandbox, "GET", "/info", Value::Null).await;
    assert_eq!(info, serde_json::to_value(sandbox.info()).unwrap());

    let site = control(&sandbox, "POST", "/sites", json!({"name": "Shop"})).await;
    let site_id = site["site_id"].as_str().unwrap();
    assert!(site["site_token"].as_str().unwrap().starts_with("st_sandbox_"));
    let agent = control(&sandbox, "POST", "/agents", json!({"display_name": "Bot"})).await;
    assert!(agent["agent_token"].as_str().unwrap().starts_with("at_sandbox_"));
    assert!(agent["owner_id"].is_string());
    let sites = control(&sandbox, "GET", "/sites", Value::Null).await;
    assert_eq!(sites["sites"].as_array().unwrap().len(), 2);
    let agents = control(&sandbox, "GET", "/agents", Value::Null).await;
    assert_eq!(agents["agents"].as_array().unwrap().len(), 2);
    let suspended = control(&sandbox, "POST", &format!("/sites/{site_id}/suspend"), Value::Null).await;
    assert_eq!(suspended["suspended"], true);
    let resumed = control(&sandbox, "POST", &format!("/sites/{site_id}/resume"), Value::Null).await;
    assert_eq!(resumed["suspended"], false);
}

/// What an agent's profile call answers: status and code.
async fn profile_of(sandbox: &Sandbox, token: &str) -> (u16, Value) {
    let answer =
        call(sandbox.port(), "GET", "/api/v1/core/agents/me/profile", &[("x-agent-token", token)], b"").await;
    (answer.status, answer.json()["error"]["code"].clone())
}

#[tokio::test]
async fn agents_that_are_not_let_in() {
    let sandbox = sandbox().await;
    let agent = sandbox.add_agent(lime_sandbox::NewAgent::default());
    let (other, token) = (sandbox.agent_token().to_owned(), agent.agent_token.as_str());
    let switch = async |call: &str| {
        control(&sandbox, "POST", &format!("/agents/{}/{call}", agent.agent_id), Value::Null).await
    };
    assert_eq!(profile_of(&sandbox, token).await, (200, Value::Null));
    assert_eq!(switch("suspend-user").await["user_suspended"], true);
    assert_eq!(profile_of(&sandbox, token).await, (403, json!("AGENT_USER_SUSPENDED")));
    // The agent itself is looked at first.
    assert_eq!(switch("deactivate").await["inactive"], true);
    assert_eq!(profile_of(&sandbox, token).await, (403, json!("AGENT_INACTIVE")));
    assert_eq!(profile_of(&sandbox, &other).await, (200, Value::Null));
    switch("activate").await;
    switch("resume-user").await;
    assert_eq!(profile_of(&sandbox, token).await, (200, Value::Null));
    let nobody = call(sandbox.port(), "POST", "/_sandbox/agents/nobody/deactivate", &[], b"").await;
    assert_eq!(nobody.status, 404);
}

#[tokio::test]
async fn tokens_that_cannot_be_looked_at() {
    let sandbox = sandbox().await;
    control(&sandbox, "PUT", "/settings", json!({"auth_unavailable": true})).await;
    let token = sandbox.agent_token();
    assert_eq!(profile_of(&sandbox, token).await, (503, json!("AUTH_UNAVAILABLE")));
    assert_eq!(profile_of(&sandbox, "").await, (401, json!("MISSING_AGENT_TOKEN")));
    let path = "/api/v1/modules/agent-login/requests";
    let answer = call(sandbox.port(), "POST", path, &[("x-site-token", sandbox.site_token())], b"{}").await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (503, &json!("SITE_TOKEN_AUTH_UNAVAILABLE"))
    );
}

#[tokio::test]
async fn settings_requests_clock_and_faults() {
    let sandbox = sandbox().await;
    let agent = sandbox.add_agent(lime_sandbox::NewAgent::default());
    let settings = control(&sandbox, "PUT", "/settings", json!({"pow_difficulty": 300})).await;
    assert_eq!(settings["pow_difficulty"], 300);
    assert_eq!(settings["jwks_form"], "both");
    assert_eq!(control(&sandbox, "GET", "/settings", Value::Null).await, settings);
    control(&sandbox, "PATCH", "/settings", json!({"pow_difficulty": 1})).await;

    let ids = [create(&sandbox).await, create(&sandbox).await];
    let path = |id: &str, call: &str| format!("/login-requests/{id}{call}");
    let body = json!({"agent_id": agent.agent_id});
    let approved = control(&sandbox, "POST", &path(&ids[0], "/approve"), body).await;
    assert_eq!(approved["status"], "APPROVED");
    assert_eq!(approved["approved_agent_id"], agent.agent_id);
    let expired = control(&sandbox, "POST", &path(&ids[1], "/expire"), Value::Null).await;
    assert_eq!(expired["status"], "EXPIRED");
    let all = control(&sandbox, "GET", "/login-requests", Value::Null).await;
    assert_eq!(all["login_requests"], json!([approved, expired]));

    let clock = control(&sandbox, "POST", "/clock", json!({"advance_seconds": 60, "freeze": true})).await;
    assert_eq!((&clock["offset_seconds"], &clock["frozen"]), (&json!(60.0), &json!(true)));
    assert_eq!(control(&sandbox, "GET", "/clock", Value::Null).await, clock);

    let rules = json!([{"route": "jwks", "status": 503}, {"route": "events", "action": "cut"}]);
    assert_eq!(control(&sandbox, "POST", "/faults", rules).await["ids"], json!([0, 1]));
    let faults = control(&sandbox, "GET", "/faults", Value::Null).await;
    assert_eq!(faults["faults"][0]["remaining"], 1);
    assert_eq!(faults["faults"][0]["fault"]["action"], "status");
    control(&sandbox, "DELETE", "/faults/1", Value::Null).await;
    assert_eq!(control(&sandbox, "DELETE", "/faults", Value::Null).await["removed"], 1);
    assert_eq!(control(&sandbox, "POST", "/streams/disconnect", Value::Null).await["disconnected"], 0);
}

#[tokio::test]
async fn senseless_calls_are_refused() {
    let sandbox = sandbox().await;
    let id = create(&sandbox).await;
    sandbox.expire(&id).unwrap();
    let approve = format!("/login-requests/{id}/approve");
    let refused = async |method: &str, path: &str, body: Value| {
        let body = body.to_string();
        let path = format!("/_sandbox{path}");
        let answer = call(sandbox.port(), method, &path, &[], body.as_bytes()).await;
        assert!(answer.json()["error"].is_string());
        answer.status
    };
    assert_eq!(refused("GET", "/nothing", json!({})).await, 404);
    assert_eq!(refused("DELETE", "/reset", json!({})).await, 405);
    assert_eq!(refused("POST", "/sites/nobody/suspend", json!({})).await, 404);
    assert_eq!(refused("POST", "/login-requests/nothing/expire", json!({})).await, 404);
    assert_eq!(refused("GET", "/login-requests/nothing", json!({})).await, 404);
    assert_eq!(refused("POST", &approve, json!({})).await, 409);
    assert_eq!(refused("PUT", "/settings", json!({"nothing": 1})).await, 400);
    assert_eq!(refused("POST", "/clock", json!({"advance_seconds": 1e99})).await, 400);
    assert_eq!(refused("POST", "/faults", json!({"route": "jwks", "action": "explode"})).await, 400);
    assert_eq!(refused("POST", "/faults", json!({"route": "nowhere", "status": 500})).await, 400);
    assert_eq!(refused("DELETE", "/faults/77", json!({})).await, 404);
    assert_eq!(refused("POST", "/events", json!({"raw": "a", "event": {}})).await, 400);
    assert_eq!(refused("POST", "/events", json!({"raw_base64": "!"})).await, 400);
}

#[tokio::test]
async fn the_log_has_everything_but_control_calls() {
    let sandbox = sandbox().await;
    let path = format!("{JWKS}?a=1&b");
    let headers = [("X-Twice", "1"), ("x-twice", "2"), ("User-Agent", "test/1")];
    call(sandbox.port(), "GET", &path, &headers, b"").await;
    get(&sandbox, "/nowhere").await;
    create(&sandbox).await;
    let log = control(&sandbox, "GET", "/received?min=3&wait_ms=5000", Value::Null).await;
    let log = log["received"].as_array().unwrap();
    assert_eq!(log.len(), 3);
    assert_eq!(log[0]["n"], 1);
    assert_eq!(
        (&log[0]["method"], &log[0]["path"], &log[0]["query"]),
        (&json!("GET"), &json!(JWKS), &json!("a=1&b"))
    );
    assert_eq!((&log[0]["route"], &log[0]["status"]), (&json!("jwks"), &json!(200)));
    assert_eq!(log[0]["headers"]["x-twice"], "1, 2");
    assert_eq!(log[0]["headers"]["user-agent"], "test/1");
    assert_eq!((&log[1]["route"], &log[1]["status"]), (&Value::Null, &json!(404)));
    assert_eq!((&log[2]["body"], &log[2]["status"]), (&json!("{}"), &json!(201)));
    assert_ne!(log[0]["connection"], log[1]["connection"]);

    let some = control(&sandbox, "GET", "/received?route=create_request", Value::Null).await;
    assert_eq!(some["received"].as_array().unwrap().len(), 1);
    control(&sandbox, "DELETE", "/received", Value::Null).await;
    assert!(sandbox.received().is_empty());
    get(&sandbox, JWKS).await;
    assert_eq!(sandbox.received()[0].n, 4);
    assert!(!format!("{sandbox:?}").contains(sandbox.site_token()));
}

#[tokio::test]
async fn calls_wait_for_what_is_to_come() {
    let sandbox = sandbox().await;
    let id = create(&sandbox).await;
    let delivered = format!("/login-requests/{id}?status=DELIVERED&wait_ms=20000");
    let (request, streams, mut stream) = tokio::join!(
        control(&sandbox, "GET", &delivered, Value::Null),
        control(&sandbox, "GET", "/streams?min_open=1&wait_ms=20000", Value::Null),
        async {
            sandbox.approve(&id, None).unwrap();
            Events::open(&sandbox).await
        },
    );
    assert_eq!(request["status"], "DELIVERED");
    assert_eq!((&streams["open"], &streams["total_connects"]), (&json!(1), &json!(1)));
    assert_eq!(stream.event().await.unwrap()["type"], "approved");
    let in_vain = get(&sandbox, "/_sandbox/streams?min_open=2&wait_ms=1").await;
    assert_eq!(in_vain.status, 504);
}

#[tokio::test]
async fn a_reset_returns_to_the_start() {
    let sandbox = sandbox().await;
    let start = sandbox.settings();
    let other = sandbox.add_site(None);
    let mut stream = Events::open(&sandbox).await;
    create(&sandbox).await;
    sandbox.patch_settings(&json!({"pow_difficulty": 99})).unwrap();
    sandbox.advance(std::time::Duration::from_secs(5)).unwrap();
    sandbox.add_fault(lime_sandbox::Fault::on("jwks").status(500).always()).unwrap();
    control(&sandbox, "POST", "/reset", Value::Null).await;
    assert!(stream.event().await.is_err());
    assert!(sandbox.wait_for_streams(0, PATIENCE).await);
    assert_eq!(sandbox.settings(), start);
    assert!(sandbox.clock().offset_seconds.abs() < f64::EPSILON);
    assert!(sandbox.login_requests().is_empty() && sandbox.faults().is_empty());
    assert!(sandbox.received().is_empty());
    assert_eq!(sandbox.streams().total_connects, 0);
    let headers = [("x-site-token", other.site_token.as_str())];
    let gone = call(sandbox.port(), "POST", REQUESTS, &headers, b"").await;
    assert_eq!(gone.failure().1, "SITE_TOKEN_INVALID");
    create(&sandbox).await;
}
