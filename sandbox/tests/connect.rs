//! Bindings over HTTP, and the connect page: who may open it, who may call it, what it gives away.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::*;
use lime_sandbox::{NewAgent, Platform, Sandbox};
use serde_json::{Value, json};

const REQUESTS: &str = "/api/v1/modules/bindings/requests";
const EXCHANGE: &str = "/api/v1/modules/bindings/exchange";
const CALLBACK: &str = "https://shop.example/bind";

async fn post(sandbox: &Sandbox, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let mut all = vec![("x-site-token", sandbox.site_token())];
    all.extend_from_slice(headers);
    call(sandbox.port(), "POST", path, &all, body.to_string().as_bytes()).await
}

async fn ask(sandbox: &Sandbox) -> Value {
    let answer = post(sandbox, REQUESTS, &[], &json!({"redirect_uri": CALLBACK})).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.data()
}

async fn exchange(sandbox: &Sandbox, code: &str) -> Answer {
    post(sandbox, EXCHANGE, &[], &json!({"binding_code": code})).await
}

/// A binding's page, as a browser opens it from another site.
async fn page_of(sandbox: &Sandbox, id: &str) -> Answer {
    let headers =
        [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    call(sandbox.port(), "GET", &format!("/connect/?binding_id={id}"), &headers, b"").await
}

/// The token in a binding's page.
async fn token_of(sandbox: &Sandbox, id: &str) -> String {
    let page = page_of(sandbox, id).await.text();
    let (_, rest) = page.split_once("name=\"connect-token\" content=\"").unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

/// A call that the page makes.
async fn page_call(sandbox: &Sandbox, method: &str, path: &str, token: &str, body: &Value) -> Answer {
    let origin = format!("http://127.0.0.1:{}", sandbox.port());
    let headers =
        [("origin", origin.as_str()), ("sec-fetch-site", "same-origin"), ("x-sandbox-token", token)];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    call(sandbox.port(), method, &format!("/connect/{path}"), &headers, body.as_bytes()).await
}

#[tokio::test]
async fn a_person_connects_an_agent_at_the_page() {
    let sandbox = sandbox().await;
    let ada = sandbox.add_agent(NewAgent { display_name: Some("Ada".into()), ..NewAgent::default() });
    let switched_off = sandbox.add_agent(NewAgent::default());
    sandbox.deactivate_agent(&switched_off.agent_id, true).unwrap();
    let asked = ask(&sandbox).await;
    let id = asked["binding_id"].as_str().unwrap();
    assert_eq!(asked["status"], "PENDING");
    assert_eq!(asked["connect_url"], format!("{}/connect/?binding_id={id}", sandbox.origin()));
    let token = token_of(&sandbox, id).await;

    let view =
        page_call(&sandbox, "GET", &format!("binding?binding_id={id}"), &token, &Value::Null).await.json();
    assert_eq!((&view["status"], &view["site"]), (&json!("PENDING"), &json!("Sandbox site")));
    assert_eq!(view["returns_to"], "https://shop.example");
    let agents = view["agents"].as_array().unwrap();
    assert_eq!(agents.len(), 3);
    let usable = |id: &str| agents.iter().find(|agent| agent["agent_id"] == id).unwrap()["usable"].clone();
    assert_eq!((usable(&ada.agent_id), usable(&switched_off.agent_id)), (json!(true), json!(false)));
    for secret in [sandbox.site_token(), sandbox.agent_token(), &ada.agent_token, &ada.owner_id] {
        assert!(!view.to_string().contains(secret));
    }

    let complete = format!("complete?binding_id={id}");
    let refused =
        page_call(&sandbox, "POST", &complete, &token, &json!({"agent_id": switched_off.agent_id})).await;
    assert_eq!(refused.status, 409);
    let done = page_call(&sandbox, "POST", &complete, &token, &json!({"agent_id": ada.agent_id})).await;
    let url = done.json()["redirect_url"].as_str().unwrap().to_owned();
    let code = url.strip_prefix("https://shop.example/bind?binding_code=").unwrap();
    assert_eq!(sandbox.binding(id).unwrap().agent_id.as_deref(), Some(ada.agent_id.as_str()));
    // Another tab is too late.
    let again = page_call(&sandbox, "POST", &complete, &token, &json!({"agent_id": ada.agent_id})).await;
    assert_eq!(again.status, 409);
    let passport = exchange(&sandbox, code).await.data()["passport"].as_str().unwrap().to_owned();
    assert_eq!(passport.split('.').count(), 3);
    assert_eq!(exchange(&sandbox, code).await.failure(), (400, "INVALID_BINDING_CODE".into()));
    // What people do is nobody's API call.
    let routes: Vec<_> = sandbox.received().into_iter().filter_map(|entry| entry.route).collect();
    assert_eq!(routes, ["create_binding", "exchange_binding", "exchange_binding"]);
}

#[tokio::test]
async fn the_page_lets_nothing_in() {
    let sandbox = sandbox().await;
    let id = ask(&sandbox).await["binding_id"].as_str().unwrap().to_owned();
    let page = page_of(&sandbox, &id).await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap().to_owned();
    let nonce = policy.split_once("'nonce-").unwrap().1.split_once('\'').unwrap().0.to_owned();
    for rule in [
        "default-src 'none'",
        &format!("script-src 'nonce-{nonce}';"),
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.contains(rule), "{policy}");
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("x-frame-options", "DENY"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(page.header(name), Some(value), "{name}");
    }
    let text = page.text();
    assert_eq!(text.matches(&format!("nonce=\"{nonce}\"")).count(), 2);
    for word in ["{{", "src=\"http", "href=\"http", "innerHTML", "outerHTML", "insertAdjacentHTML", "eval("] {
        assert!(!text.contains(word), "{word}");
    }
    assert!(!text.contains(&id), "nothing of the address is in the page");
    // Only as a page of its own, and only at this machine's name.
    let port = sandbox.port();
    let path = format!("/connect/?binding_id={id}");
    for headers in [
        &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")][..],
        &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
        &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "script")],
        &[("host", "evil.example")],
    ] {
        let answer = call(port, "GET", &path, headers, b"").await;
        assert_eq!(answer.status, 403, "{headers:?}");
        assert!(!answer.text().contains("connect-token"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn only_the_page_of_a_binding_may_call_for_it() {
    let sandbox = sandbox().await;
    let (one, two) = (ask(&sandbox).await, ask(&sandbox).await);
    let (one, two) = (one["binding_id"].as_str().unwrap(), two["binding_id"].as_str().unwrap());
    let token = token_of(&sandbox, one).await;
    assert_ne!(token, token_of(&sandbox, two).await);
    let agent = json!({"agent_id": sandbox.agent_id()});
    for (id, token) in [(two, token.as_str()), (one, ""), (one, "x")] {
        for (method, call) in [("GET", "binding"), ("POST", "complete")] {
            let answer = page_call(&sandbox, method, &format!("{call}?binding_id={id}"), token, &agent).await;
            assert_eq!(answer.status, 403, "{call} {id} {token}");
        }
    }
    let path = format!("/connect/complete?binding_id={one}");
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("host", "evil.example"),
    ] {
        let headers = [(name, value), ("x-sandbox-token", token.as_str())];
        let answer = call(sandbox.port(), "POST", &path, &headers, agent.to_string().as_bytes()).await;
        assert_eq!(answer.status, 403, "{name}: {value}");
    }
    // Nor does the token open anything else.
    let origin = format!("http://127.0.0.1:{}", sandbox.port());
    let headers = [("origin", origin.as_str()), ("x-sandbox-token", token.as_str())];
    assert_eq!(call(sandbox.port(), "POST", "/_sandbox/reset", &headers, b"").await.status, 403);
    assert_eq!(sandbox.binding(one).unwrap().status.as_str(), "PENDING");
}

#[tokio::test]
async fn pages_and_calls_that_are_not_there() {
    let sandbox = sandbox().await;
    for id in ["", "br_nobody", "%3Cscript%3E", "%ff"] {
        let page = page_of(&sandbox, id).await;
        assert_eq!(page.status, 404);
        assert!(page.text().contains("connect-token\" content=\"\"") && !page.text().contains("<script>\n<"));
        let answer = page_call(&sandbox, "GET", &format!("binding?binding_id={id}"), "", &Value::Null).await;
        assert_eq!(answer.status, 404);
    }
    let id = ask(&sandbox).await["binding_id"].as_str().unwrap().to_owned();
    let token = token_of(&sandbox, &id).await;
    for (method, path, status) in [
        ("POST", format!("?binding_id={id}"), 405),
        ("POST", format!("binding?binding_id={id}"), 405),
        ("GET", format!("complete?binding_id={id}"), 405),
        ("GET", format!("other?binding_id={id}"), 404),
    ] {
        assert_eq!(page_call(&sandbox, method, &path, &token, &Value::Null).await.status, status, "{path}");
    }
    for body in ["", "[]", "{}", r#"{"agent_id":7}"#, r#"{"agent_id":"x","more":1}"#] {
        let headers = [("x-sandbox-token", token.as_str())];
        let path = format!("/connect/complete?binding_id={id}");
        assert_eq!(
            call(sandbox.port(), "POST", &path, &headers, body.as_bytes()).await.status,
            400,
            "{body}"
        );
    }
    let nobody = json!({"agent_id": "nobody"});
    let answer = page_call(&sandbox, "POST", &format!("complete?binding_id={id}"), &token, &nobody).await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn what_a_site_may_ask_for() {
    let sandbox = sandbox().await;
    for body in
        [json!({}), json!({"redirect_uri": null}), json!({"redirect_uri": 7}), json!({"redirect_uri": ""})]
    {
        assert_eq!(post(&sandbox, REQUESTS, &[], &body).await.failure(), (400, "VALIDATION_ERROR".into()));
    }
    assert_eq!(post(&sandbox, REQUESTS, &[], &json!([])).await.failure(), (400, "INVALID_JSON".into()));
    for body in [json!({}), json!({"binding_code": 7}), json!({"binding_code": ""})] {
        assert_eq!(post(&sandbox, EXCHANGE, &[], &body).await.failure(), (400, "VALIDATION_ERROR".into()));
    }
    let nobody = call(sandbox.port(), "POST", REQUESTS, &[("x-site-token", "st_x")], b"{}").await;
    assert_eq!(nobody.failure(), (401, "SITE_TOKEN_INVALID".into()));
    assert_eq!(get(&sandbox, REQUESTS).await.failure(), (405, "METHOD_NOT_ALLOWED".into()));
    // The seed's platform has none of it.
    let seed = Sandbox::start(lime_sandbox::Options::new().platform(Platform::Seed)).await.unwrap();
    let body = json!({"redirect_uri": CALLBACK});
    assert_eq!(post(&seed, REQUESTS, &[], &body).await.failure(), (404, "NOT_FOUND".into()));
    assert_eq!(exchange(&seed, "bc_1").await.failure(), (404, "NOT_FOUND".into()));
}

#[tokio::test]
async fn a_repeated_call_is_known_by_its_key_where_that_is_honoured() {
    let sandbox = sandbox().await;
    sandbox.update_settings(|settings| settings.idempotency = true).unwrap();
    let key = [("idempotency-key", "k1")];
    let body = json!({"redirect_uri": CALLBACK});
    let first = post(&sandbox, REQUESTS, &key, &body).await.data();
    assert_eq!(post(&sandbox, REQUESTS, &key, &body).await.data(), first);
    let id = first["binding_id"].as_str().unwrap();
    let code = json!({"binding_code": sandbox.complete_binding(id, None).unwrap().binding_code});
    let passport = post(&sandbox, EXCHANGE, &key, &code).await.data();
    assert_eq!(post(&sandbox, EXCHANGE, &key, &code).await.data(), passport);
    let other = post(&sandbox, EXCHANGE, &[("idempotency-key", "k2")], &code).await;
    assert_eq!(other.failure(), (400, "INVALID_BINDING_CODE".into()));
}

#[tokio::test]
async fn the_control_api_is_the_person_too() {
    let sandbox = sandbox().await;
    let id = ask(&sandbox).await["binding_id"].as_str().unwrap().to_owned();
    let shown = control(&sandbox, "GET", &format!("/bindings/{id}"), Value::Null).await;
    assert_eq!((&shown["status"], &shown["redirect_uri"]), (&json!("PENDING"), &json!(CALLBACK)));
    let back = control(&sandbox, "POST", &format!("/bindings/{id}/complete"), json!({})).await;
    assert!(back["redirect_url"].as_str().unwrap().ends_with(back["binding_code"].as_str().unwrap()));
    let waited =
        control(&sandbox, "GET", &format!("/bindings/{id}?status=COMPLETED&wait_ms=5000"), Value::Null).await;
    assert_eq!(waited["agent_id"], sandbox.agent_id());
    // Once the person is done, what expires is the code.
    let expired = control(&sandbox, "POST", &format!("/bindings/{id}/expire"), Value::Null).await;
    assert_eq!(expired["status"], "EXPIRED");
    let code = back["binding_code"].as_str().unwrap();
    assert_eq!(exchange(&sandbox, code).await.failure(), (400, "INVALID_BINDING_CODE".into()));
    let all = control(&sandbox, "GET", "/bindings", Value::Null).await;
    assert_eq!(all["bindings"], json!([expired]));
    assert!(!all.to_string().contains(code));
    // In real time, too, nobody has to look for it to happen.
    control(&sandbox, "PUT", "/settings", json!({"binding_ttl_seconds": 0.05})).await;
    let id = ask(&sandbox).await["binding_id"].as_str().unwrap().to_owned();
    control(&sandbox, "GET", &format!("/bindings/{id}?status=EXPIRED&wait_ms=20000"), Value::Null).await;
    for (name, value) in [("binding_ttl_seconds", -1.0), ("binding_code_ttl_seconds", 1e9)] {
        assert!(sandbox.patch_settings(&json!({name: value})).is_err());
    }
    sandbox.reset();
    assert!(sandbox.bindings().is_empty());
}
