//! MCP access tokens: who gets one, for which hosts, and where the keys are told.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::Duration;

use common::*;
use lime_sandbox::{ClockChange, Fault, McpFailureForm, NewAgent, NewMcpToken, Sandbox};
use serde_json::{Value, json};

async fn ask(sandbox: &Sandbox, token: &str, body: &Value) -> Answer {
    let headers = [("x-agent-token", token), ("content-type", "application/json")];
    call(sandbox.port(), "POST", MCP_TOKEN, &headers, body.to_string().as_bytes()).await
}

async fn ask_for(sandbox: &Sandbox, domain: &str) -> Answer {
    ask(sandbox, sandbox.agent_token(), &json!({"domain": domain})).await
}

async fn claims(sandbox: &Sandbox) -> Value {
    let answer = ask_for(sandbox, "tools.example.com").await;
    decode(answer.json()["access_token"].as_str().unwrap()).1
}

#[tokio::test]
async fn the_answer_is_what_rfc_6749_has_and_nothing_else() {
    let sandbox = sandbox().await;
    let answer = ask_for(&sandbox, "HTTPS://Tools.Example.com/mcp").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    assert_eq!(body.as_object().unwrap().len(), 3, "{body}");
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(300)));

    let jwt = body["access_token"].as_str().unwrap();
    assert!(verifies(jwt, &keys(&sandbox).await));
    let (_, claims) = decode(jwt);
    assert_eq!(claims["iss"], sandbox.origin());
    assert_eq!(claims["sub"], sandbox.agent_id());
    assert_eq!(claims["aud"], "mcp");
    assert_eq!(claims["domain"], "tools.example.com");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 300);
    assert!(claims["jti"].is_string());
    // What a resource server must refuse.
    for forbidden in ["user_id", "passport_version", "request_id"] {
        assert!(claims.get(forbidden).is_none(), "{forbidden}");
    }
}

#[tokio::test]
async fn the_metadata_names_the_issuer_and_the_keys() {
    let sandbox = sandbox().await;
    let answer = get(&sandbox, MCP_METADATA).await;
    assert_eq!(answer.status, 200);
    let document = answer.json();
    assert_eq!(document["issuer"], sandbox.origin());
    assert_eq!(document["token_endpoint"], format!("{}{MCP_TOKEN}", sandbox.origin()));
    let path = document["jwks_uri"].as_str().unwrap().strip_prefix(sandbox.origin()).unwrap();
    let jwt = ask_for(&sandbox, "tools.example.com").await.json()["access_token"].clone();
    let keys = get(&sandbox, path).await.json()["keys"].as_array().unwrap().clone();
    assert!(verifies(jwt.as_str().unwrap(), &keys));
}

#[tokio::test]
async fn refusals_come_in_both_forms() {
    let sandbox = sandbox().await;
    let agent = sandbox.add_agent(NewAgent::default());
    assert!(!sandbox.set_mcp_access(&agent.agent_id, false).unwrap().mcp_access);
    let domain = json!({"domain": "tools.example.com"});
    let cases = [
        ("", &domain, 401, "invalid_client", "MISSING_AGENT_TOKEN"),
        ("at_nobody", &domain, 401, "invalid_client", "INVALID_AGENT_TOKEN"),
        (agent.agent_token.as_str(), &domain, 403, "access_denied", "OAUTH_CAPABILITY_MISSING"),
        (sandbox.agent_token(), &json!({}), 400, "invalid_request", "INVALID_DOMAIN"),
        (sandbox.agent_token(), &json!({"domain": 7}), 400, "invalid_request", "INVALID_DOMAIN"),
        (sandbox.agent_token(), &json!([]), 400, "invalid_request", "INVALID_DOMAIN"),
        (sandbox.agent_token(), &json!({"domain": "127.1"}), 400, "invalid_request", "INVALID_DOMAIN"),
        (sandbox.agent_token(), &json!({"domain": "a.example:1"}), 400, "invalid_request", "INVALID_DOMAIN"),
    ];
    for (token, body, status, error, _) in &cases {
        let answer = ask(&sandbox, token, body).await;
        assert_eq!(answer.status, *status, "{body}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let answer = answer.json();
        assert_eq!(answer["error"], *error, "{body}");
        assert!(answer["error_description"].is_string());
    }
    sandbox.update_settings(|settings| settings.mcp_failure_form = McpFailureForm::Envelope).unwrap();
    for (token, body, status, _, code) in &cases {
        let failure = ask(&sandbox, token, body).await.failure();
        assert_eq!(failure, (*status, (*code).to_owned()), "{body}");
    }
    sandbox.set_mcp_access(&agent.agent_id, true).unwrap();
    assert_eq!(ask(&sandbox, &agent.agent_token, &domain).await.status, 200);
}

#[tokio::test]
async fn tokens_follow_the_clock_the_settings_and_the_keys() {
    let sandbox = sandbox().await;
    let before = claims(&sandbox).await["iat"].as_i64().unwrap();
    sandbox.advance(Duration::from_secs(10_000)).unwrap();
    let advanced = claims(&sandbox).await["iat"].as_i64().unwrap();
    assert!((10_000..10_030).contains(&(advanced - before)));
    let skew = ClockChange { skew_seconds: Some(-10_000.0), ..ClockChange::default() };
    sandbox.change_clock(&skew).unwrap();
    let skewed = claims(&sandbox).await["iat"].as_i64().unwrap();
    assert!((0..30).contains(&(skewed - before)));

    sandbox
        .patch_settings(&json!({"mcp_token_ttl_seconds": 7, "issuer_override": "https://elsewhere.example"}))
        .unwrap();
    let answer = ask_for(&sandbox, "tools.example.com").await.json();
    assert_eq!(answer["expires_in"], 7);
    let (_, odd) = decode(answer["access_token"].as_str().unwrap());
    assert_eq!(odd["exp"].as_i64().unwrap() - odd["iat"].as_i64().unwrap(), 7);
    assert_eq!(odd["iss"], "https://elsewhere.example");
    // The document tells who the issuer is, whoever claims to be it.
    assert_eq!(get(&sandbox, MCP_METADATA).await.json()["issuer"], sandbox.origin());

    let old = ask_for(&sandbox, "tools.example.com").await.json()["access_token"].clone();
    sandbox.rotate_keys(false);
    assert!(!verifies(old.as_str().unwrap(), &keys(&sandbox).await));
    let new = ask_for(&sandbox, "tools.example.com").await.json()["access_token"].clone();
    assert!(verifies(new.as_str().unwrap(), &keys(&sandbox).await));
}

#[tokio::test]
async fn the_control_api_issues_any_token_and_faults_apply() {
    let sandbox = sandbox().await;
    let agent = sandbox.add_agent(NewAgent::default());
    let odd = json!({
        "domain": "Tools.example.com", "agent_id": agent.agent_id,
        "claims": {"user_id": "u", "jti": null, "aud": ["mcp", "other"]},
    });
    let token = control(&sandbox, "POST", "/mcp-tokens", odd).await;
    let jwt = token["access_token"].as_str().unwrap();
    assert!(verifies(jwt, &keys(&sandbox).await));
    let (_, claims) = decode(jwt);
    assert_eq!((&claims["domain"], &claims["user_id"]), (&json!("Tools.example.com"), &json!("u")));
    assert_eq!((&claims["sub"], &claims["aud"]), (&json!(agent.agent_id), &json!(["mcp", "other"])));
    assert!(claims.get("jti").is_none());
    let nobody = NewMcpToken { agent_id: Some("nobody".into()), ..NewMcpToken::default() };
    assert!(sandbox.mcp_token(&nobody).is_err());

    let revoke = format!("/agents/{}/revoke-mcp", agent.agent_id);
    assert_eq!(control(&sandbox, "POST", &revoke, Value::Null).await["mcp_access"], false);
    let grant = format!("/agents/{}/grant-mcp", agent.agent_id);
    assert_eq!(control(&sandbox, "POST", &grant, Value::Null).await["mcp_access"], true);

    sandbox.add_fault(Fault::on("mcp_metadata").status(503)).unwrap();
    assert_eq!(get(&sandbox, MCP_METADATA).await.status, 503);
    assert_eq!(get(&sandbox, MCP_METADATA).await.status, 200);
    sandbox.add_fault(Fault::on("mcp_token").drop_before()).unwrap();
    let headers = [("x-agent-token", sandbox.agent_token())];
    assert!(try_call(sandbox.port(), "POST", MCP_TOKEN, &headers, b"{}").await.is_err());
    assert_eq!(sandbox.received_on("mcp_token").len(), 1);
}
