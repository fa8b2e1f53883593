//! The platform's own behaviour: logins from beginning to end, and every error code.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::*;
use lime_sandbox::{DateForm, JwksForm, NewAgent, Options, Platform, PowDigest, ProfileForm, Sandbox};
use serde_json::json;

#[tokio::test]
async fn a_login_from_beginning_to_end() {
    let sandbox = Sandbox::start(Options::new()).await.unwrap();
    let mut events = Events::open(&sandbox).await;
    assert_eq!(events.status, 200);
    assert_eq!(events.header("content-type"), Some("text/event-stream"));
    assert_eq!(events.header("cache-control"), Some("no-cache"));
    assert_eq!(events.frame().await.unwrap(), r#"data: {"type":"keepalive"}"#);

    let headers = [("x-site-token", sandbox.site_token())];
    let created = call(sandbox.port(), "POST", REQUESTS, &headers, b"{}").await;
    assert_eq!(created.status, 201);
    assert_eq!(created.header("content-type"), Some("application/json"));
    let created = created.data();
    let id = created["login_request_id"].as_str().unwrap();
    assert_eq!(created["status"], "PENDING");
    assert!(created["expires_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(read(&sandbox, id).await.data()["status"], "PENDING");

    let open = challenge(&sandbox, id).await.data();
    assert_eq!(open["request_id"], id);
    assert_eq!(open["status"], "PENDING");
    assert_eq!(open["pow_difficulty"], 15);
    assert_eq!(open["expires_at"], created["expires_at"]);

    let approval = login(&sandbox, id).await;
    assert_eq!(
        approval,
        json!({
            "request_id": id, "site_id": sandbox.site_id(), "status": "DELIVERED",
            "expires_at": created["expires_at"], "approved_agent_id": sandbox.agent_id(),
        })
    );
    let event = events.event().await.unwrap();
    assert_eq!((&event["type"], &event["login_request_id"]), (&json!("approved"), &json!(id)));

    let passport = event["agent_passport_jwt"].as_str().unwrap();
    assert!(verifies(passport, &keys(&sandbox).await));
    let (_, claims) = decode(passport);
    assert_eq!(claims["sub"], sandbox.agent_id());
    assert_eq!(claims["aud"], "lime-site-login");
    assert_eq!(claims["iss"], sandbox.origin());
    assert_eq!(claims["request_id"], id);
    assert_eq!(claims["site_id"], sandbox.site_id());
    assert_eq!(claims["nbf"], claims["iat"]);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 120);
    assert!(claims["jti"].is_string());

    let seen = read(&sandbox, id).await.data();
    assert_eq!(seen["status"], "DELIVERED");
    assert_eq!(seen["approved_agent_id"], sandbox.agent_id());
}

#[tokio::test]
async fn site_tokens() {
    let sandbox = sandbox().await;
    let other = sandbox.add_site(Some("Other".into()));
    let id = create(&sandbox).await;
    for (method, path) in
        [("POST", REQUESTS.to_owned()), ("GET", format!("{REQUESTS}/{id}")), ("GET", EVENTS.to_owned())]
    {
        let with = async |token: Option<&str>| {
            let headers: Vec<_> = token.iter().map(|token| ("x-site-token", *token)).collect();
            call(sandbox.port(), method, &path, &headers, b"").await.failure()
        };
        assert_eq!(with(None).await, (401, "SITE_TOKEN_MISSING".into()));
        assert_eq!(with(Some("  ")).await, (401, "SITE_TOKEN_MISSING".into()));
        assert_eq!(with(Some("st_nobody")).await, (401, "SITE_TOKEN_INVALID".into()));
        assert_eq!(with(Some("\u{fc}")).await, (401, "SITE_TOKEN_INVALID".into()));
        sandbox.suspend_site(sandbox.site_id(), true).unwrap();
        assert_eq!(with(Some(sandbox.site_token())).await, (403, "SITE_SUSPENDED".into()));
        sandbox.suspend_site(sandbox.site_id(), false).unwrap();
    }
    // A request belongs to its site.
    let headers = [("x-site-token", other.site_token.as_str())];
    let foreign = call(sandbox.port(), "GET", &format!("{REQUESTS}/{id}"), &headers, b"").await;
    assert_eq!(foreign.failure(), (404, "SITE_LOGIN_REQUEST_NOT_FOUND".into()));
    assert!(sandbox.suspend_site("nobody", true).is_err());
}

#[tokio::test]
async fn agent_tokens() {
    let sandbox = sandbox().await;
    let id = create(&sandbox).await;
    for (method, path) in [
        ("POST", format!("{REQUESTS}/{id}/approve")),
        ("POST", format!("{REQUESTS}/nothing/approve")),
        ("POST", format!("{REQUESTS}/%FF/approve")),
        ("GET", PROFILE.to_owned()),
    ] {
        let missing = call(sandbox.port(), method, &path, &[], b"{}").await;
        assert_eq!(missing.failure(), (401, "MISSING_AGENT_TOKEN".into()));
        let headers = [("x-agent-token", "at_nobody")];
        let invalid = call(sandbox.port(), method, &path, &headers, b"{}").await;
        assert_eq!(invalid.failure(), (401, "INVALID_AGENT_TOKEN".into()));
    }
}

#[tokio::test]
async fn proofs_of_work() {
    let sandbox = Sandbox::start(Options::new().difficulty(10)).await.unwrap();
    let path = |id: &str| format!("{REQUESTS}/{id}/approve");
    let headers = [("x-agent-token", sandbox.agent_token())];
    let id = create(&sandbox).await;
    let post = async |body: &'static str| {
        call(sandbox.port(), "POST", &path(&id), &headers, body.as_bytes()).await.failure()
    };
    for body in ["", "{}", r#"{"pow_nonce":null}"#, r#"{"pow_nonce":""}"#] {
        assert_eq!(post(body).await, (400, "MISSING_POW_NONCE".into()), "{body}");
    }
    for body in [r#"{"pow_nonce":"no"}"#, r#"{"pow_nonce":7}"#, r#"{"pow_nonce":["0"]}"#] {
        assert_eq!(post(body).await, (400, "INVALID_POW".into()), "{body}");
    }
    for body in ["[]", "{", "nonsense"] {
        assert_eq!(post(body).await, (400, "INVALID_JSON".into()), "{body}");
    }
    assert_eq!(sandbox.login_request(&id).unwrap().failed_proofs, 3);
    // The challenge is as good as before.
    assert_eq!(login(&sandbox, &id).await["status"], "APPROVED");

    for (digest, seed, today) in
        [(PowDigest::Seed, true, false), (PowDigest::Today, false, true), (PowDigest::Either, true, true)]
    {
        sandbox.update_settings(|settings| settings.pow_digest = digest).unwrap();
        for (solve, right) in [(solve_seed as fn(&str, u32) -> String, seed), (solve_today, today)] {
            // A nonce fits the other digest by chance once in a thousand: look for one that does not.
            let (id, nonce) = loop {
                let id = create(&sandbox).await;
                let text = challenge(&sandbox, &id).await.data();
                let text = text["pow_challenge"].as_str().unwrap();
                let nonces = (solve_seed(text, 10), solve_today(text, 10));
                if nonces.0 != nonces.1 {
                    break (id, solve(text, 10));
                }
            };
            let answer = approve(&sandbox, &id, &nonce).await.unwrap();
            assert_eq!(answer.status, if right { 200 } else { 400 }, "{digest:?}");
        }
    }

    sandbox.update_settings(|settings| settings.pow_difficulty = 257).unwrap();
    let id = create(&sandbox).await;
    assert_eq!(challenge(&sandbox, &id).await.data()["pow_difficulty"], 257);
    assert_eq!(approve(&sandbox, &id, "0").await.unwrap().failure().1, "INVALID_POW");
    sandbox.update_settings(|settings| settings.pow_difficulty = 0).unwrap();
    let id = create(&sandbox).await;
    assert_eq!(approve(&sandbox, &id, "0").await.unwrap().status, 200);
}

#[tokio::test]
async fn approved_but_not_delivered_is_a_conflict_and_delivered_is_gone() {
    let sandbox = sandbox().await;
    let rival = sandbox.add_agent(NewAgent::default());
    let id = create(&sandbox).await;
    assert_eq!(login(&sandbox, &id).await["status"], "APPROVED");
    assert_eq!(read(&sandbox, &id).await.data()["status"], "APPROVED");
    let again = approve_as(&sandbox, &rival.agent_token, &id, "0", &[]).await.unwrap();
    assert_eq!(again.failure(), (409, "SITE_LOGIN_CONFLICT".into()));
    let gone = (404, "SITE_LOGIN_REQUEST_NOT_FOUND".to_owned());
    assert_eq!(challenge(&sandbox, &id).await.failure(), gone);

    let mut events = Events::open(&sandbox).await;
    assert_eq!(events.event().await.unwrap()["login_request_id"], id.as_str());
    assert!(sandbox.wait_for_status(&id, lime_sandbox::LoginStatus::Delivered, PATIENCE).await);
    let again = approve_as(&sandbox, &rival.agent_token, &id, "0", &[]).await.unwrap();
    assert_eq!(again.failure(), gone);
    assert_eq!(approve(&sandbox, "nothing", "0").await.unwrap().failure(), gone);
    assert_eq!(challenge(&sandbox, "..%2Fcore").await.failure(), gone);
    assert_eq!(challenge(&sandbox, "%FF").await.failure(), gone);
    assert_eq!(read(&sandbox, "nothing").await.failure(), gone);
}

#[tokio::test]
async fn unknown_paths_methods_and_large_bodies() {
    let sandbox = sandbox().await;
    for path in ["/nothing", "/api/v1", "/api/v1/auth/requests/", "/api/v1/auth/requests/a/b", "/_sandboxes"]
    {
        assert_eq!(get(&sandbox, path).await.failure(), (404, "NOT_FOUND".into()), "{path}");
    }
    let answer = call(sandbox.port(), "DELETE", REQUESTS, &[], b"").await;
    assert_eq!(answer.failure(), (405, "METHOD_NOT_ALLOWED".into()));
    assert_eq!(answer.header("allow"), Some("POST"));

    let headers = [("x-site-token", sandbox.site_token())];
    let large = vec![b' '; 65 * 1024];
    let answer = call(sandbox.port(), "POST", REQUESTS, &headers, &large).await;
    assert_eq!(answer.failure(), (413, "PAYLOAD_TOO_LARGE".into()));
    let answer = call(sandbox.port(), "POST", REQUESTS, &headers, b"{not json").await;
    assert_eq!(answer.failure(), (400, "INVALID_JSON".into()));
    assert!(sandbox.login_requests().is_empty());
}

#[tokio::test]
async fn profiles_in_every_form() {
    let sandbox = sandbox().await;
    let agent = sandbox.add_agent(NewAgent {
        display_name: Some("Ada".into()),
        owner_kyc_level: Some(2),
        agent_reputation: Some(7),
        ..NewAgent::default()
    });
    let headers = [("x-agent-token", agent.agent_token.as_str())];
    for (form, expected) in [
        (
            ProfileForm::Seed,
            json!({
                "agent_id": agent.agent_id, "owner_id": agent.owner_id, "display_name": "Ada",
                "owner_kyc_level": 2, "agent_reputation": 7,
            }),
        ),
        (
            ProfileForm::Today,
            json!({
                "agent_id": agent.agent_id, "user_id": agent.owner_id, "display_name": "Ada",
            }),
        ),
        (
            ProfileForm::Both,
            json!({
                "agent_id": agent.agent_id, "owner_id": agent.owner_id, "user_id": agent.owner_id,
                "display_name": "Ada", "owner_kyc_level": 2, "agent_reputation": 7,
            }),
        ),
    ] {
        sandbox.update_settings(|settings| settings.profile_form = form).unwrap();
        let profile = call(sandbox.port(), "GET", PROFILE, &headers, b"").await.data();
        assert_eq!(profile, expected);
    }
}

#[tokio::test]
async fn key_documents_in_every_form() {
    let sandbox = sandbox().await;
    for (form, envelope, bare) in
        [(JwksForm::Envelope, true, false), (JwksForm::Bare, false, true), (JwksForm::Both, true, true)]
    {
        sandbox.update_settings(|settings| settings.jwks_form = form).unwrap();
        let answer = get(&sandbox, JWKS).await;
        assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
        let document = answer.json();
        assert_eq!(document["data"]["keys"].is_array() && document["ok"] == true, envelope);
        assert_eq!(document["keys"].is_array(), bare);
    }
}

#[tokio::test]
async fn presets_issuers_and_dates() {
    let sandbox = Sandbox::start(Options::new().platform(Platform::Seed).difficulty(0)).await.unwrap();
    let mut events = Events::open(&sandbox).await;
    let mut claims = async || {
        let id = create(&sandbox).await;
        sandbox.approve(&id, None).unwrap();
        let event = events.event().await.unwrap();
        decode(event["agent_passport_jwt"].as_str().unwrap()).1
    };
    let seed = claims().await;
    assert!(seed["iss"].is_null() && seed["user_id"].is_null() && seed["owner_id"].is_string());
    sandbox.patch_settings(&json!({"platform": "today"})).unwrap();
    let today = claims().await;
    assert!(today["iss"].is_string() && today["user_id"].is_string() && today["owner_id"].is_null());
    sandbox.patch_settings(&json!({"issuer_override": "https://lime.example"})).unwrap();
    assert_eq!(claims().await["iss"], "https://lime.example");
    sandbox.patch_settings(&json!({"passport_ttl_seconds": 121})).unwrap();
    let long = claims().await;
    assert_eq!(long["exp"].as_i64().unwrap() - long["iat"].as_i64().unwrap(), 121);

    sandbox.update_settings(|settings| settings.date_form = DateForm::Offset).unwrap();
    let id = create(&sandbox).await;
    let date = read(&sandbox, &id).await.data()["expires_at"].as_str().unwrap().to_owned();
    assert!(date.ends_with("+00:00"), "{date}");
}

#[tokio::test]
async fn idempotency_keys_count_only_when_asked_for() {
    let sandbox = sandbox().await;
    let headers = [("x-site-token", sandbox.site_token()), ("idempotency-key", "k1")];
    let create = async || {
        let answer = call(sandbox.port(), "POST", REQUESTS, &headers, b"{}").await;
        assert_eq!(answer.status, 201);
        answer.data()
    };
    assert_ne!(create().await, create().await);
    sandbox.update_settings(|settings| settings.idempotency = true).unwrap();
    let first = create().await;
    assert_eq!(create().await, first);
    let other = sandbox.add_site(None);
    let foreign = [("x-site-token", other.site_token.as_str()), ("idempotency-key", "k1")];
    let foreign = call(sandbox.port(), "POST", REQUESTS, &foreign, b"{}").await.data();
    assert_ne!(foreign, first);

    let id = first["login_request_id"].as_str().unwrap();
    let open = challenge(&sandbox, id).await.data();
    let nonce = solve_seed(open["pow_challenge"].as_str().unwrap(), 4);
    let key = [("idempotency-key", "k2")];
    let approval = approve_as(&sandbox, sandbox.agent_token(), id, &nonce, &key).await.unwrap().data();
    let again = approve_as(&sandbox, sandbox.agent_token(), id, &nonce, &key).await.unwrap().data();
    assert_eq!(again, approval);
    // Neither another key nor another agent gets the stored answer.
    let other = [("idempotency-key", "k3")];
    let refused = approve_as(&sandbox, sandbox.agent_token(), id, &nonce, &other).await.unwrap();
    assert_eq!(refused.status, 409);
    let rival = sandbox.add_agent(NewAgent::default());
    let refused = approve_as(&sandbox, &rival.agent_token, id, &nonce, &key).await.unwrap();
    assert_eq!(refused.status, 409);
}

#[test]
fn runs_without_a_runtime() {
    let sandbox = Sandbox::start_blocking(Options::new()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (id, events) = runtime.block_on(async { (create(&sandbox).await, Events::open(&sandbox).await) });
    assert!(sandbox.wait_for_streams_blocking(1, PATIENCE));
    sandbox.approve(&id, None).unwrap();
    assert!(sandbox.wait_for_status_blocking(&id, lime_sandbox::LoginStatus::Delivered, PATIENCE));
    assert!(sandbox.wait_for_received_blocking("create_request", 1, PATIENCE));
    let mut events = events;
    assert_eq!(runtime.block_on(events.event()).unwrap()["type"], "approved");
    let port = sandbox.port();
    drop(sandbox);
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn senseless_options_are_refused() {
    for options in [
        Options::new().site_token("st_live_0123"),
        Options::new().agent_token("at_live_0123"),
        Options::new().keepalive_seconds(f64::NAN),
    ] {
        let error = Sandbox::start_blocking(options).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
}
