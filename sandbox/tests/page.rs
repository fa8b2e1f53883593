//! The page: who may see it, what it may do, what it is told.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::*;
use lime_sandbox::{Decision, Fault, Rule, Sandbox};
use serde_json::{Value, json};

/// The token in the page.
async fn token(sandbox: &Sandbox) -> String {
    let page = get(sandbox, "/").await.text();
    let (_, rest) = page.split_once("name=\"sandbox-token\" content=\"").unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

/// A page that is open.
struct Page {
    connection: Connection,
    rest: String,
}

impl Page {
    async fn open(sandbox: &Sandbox) -> Self {
        let mut connection = Connection::open(sandbox.port()).await;
        let headers = [("sec-fetch-site", "same-origin"), ("accept", "text/event-stream")];
        connection.send("GET", "/_sandbox/page/events", &headers, b"").await;
        let (status, headers) = within(connection.head()).await.unwrap();
        assert_eq!(status, 200);
        for header in [("content-type", "text/event-stream"), ("cache-control", "no-store")] {
            assert!(headers.contains(&(header.0.to_owned(), header.1.to_owned())), "{headers:?}");
        }
        let mut page = Self { connection, rest: String::new() };
        let (name, hello) = page.event().await;
        assert_eq!(name, "hello");
        assert!(hello["instance"].is_string() && hello["version"].is_string());
        page
    }

    async fn event(&mut self) -> (String, Value) {
        within(async {
            loop {
                if let Some(end) = self.rest.find("\n\n") {
                    let event: String = self.rest.drain(..end + 2).collect();
                    let field = |name: &str| {
                        event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned()
                    };
                    return (field("event: "), serde_json::from_str(&field("data: ")).unwrap());
                }
                let chunk = self.connection.chunk().await.unwrap();
                self.rest.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        })
        .await
    }

    /// The sections of the next message.
    async fn sections(&mut self) -> Value {
        let (name, state) = self.event().await;
        assert_eq!(name, "state");
        assert!(state["now"].as_i64().unwrap() > 1_500_000_000_000);
        state["sections"].clone()
    }

    /// The next state of a section for which this holds.
    async fn until(&mut self, section: &str, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            let found = self.sections().await[section].clone();
            if !found.is_null() && holds(&found) {
                return found;
            }
        }
    }
}

#[tokio::test]
async fn the_page_lets_nothing_in() {
    let sandbox = sandbox().await;
    let page = get(&sandbox, "/").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap().to_owned();
    let nonce = policy.split_once("'nonce-").unwrap().1.split_once('\'').unwrap().0.to_owned();
    assert!(policy.starts_with(&format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )));
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
    assert!(!text.contains("{{"));
    // Nothing from outside, no markup made of text, no secrets.
    for word in [
        "src=\"http",
        "href=\"http",
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
    ] {
        assert!(!text.contains(word), "{word}");
    }
    for secret in
        [sandbox.sesame_api_key(), sandbox.webhook_secret(), sandbox.site_token(), sandbox.agent_token()]
    {
        assert!(!text.contains(secret));
    }
    let again = get(&sandbox, "/?again").await;
    assert!(!again.header("content-security-policy").unwrap().contains(&nonce));
    assert_eq!(call(sandbox.port(), "POST", "/", &[], b"").await.status, 404);
    // Only that one is a request to a platform.
    assert_eq!(sandbox.received().len(), 1);
}

#[tokio::test]
async fn other_web_sites_do_not_see_it() {
    let sandbox = sandbox().await;
    let host = format!("127.0.0.1:{}", sandbox.port());
    let evil = format!("evil.example:{}", sandbox.port());
    for path in ["/", "/_sandbox/page/events"] {
        for headers in [
            &[("host", evil.as_str())][..],
            &[("host", "127.0.0.1")],
            &[("host", &host), ("origin", "http://evil.example")],
            &[("host", &host), ("origin", "null")],
            &[("host", &host), ("sec-fetch-site", "cross-site")],
            &[("host", &host), ("sec-fetch-site", "same-site")],
        ] {
            let refused = call(sandbox.port(), "GET", path, headers, b"").await;
            assert_eq!(refused.status, 403, "{path} {headers:?}");
            assert_eq!(refused.header("cross-origin-resource-policy"), Some("same-origin"));
            assert!(!refused.text().contains(&token(&sandbox).await));
        }
    }
    let typed = [("host", host.as_str()), ("sec-fetch-site", "none")];
    assert_eq!(call(sandbox.port(), "GET", "/", &typed, b"").await.status, 200);
}

#[tokio::test]
async fn a_browser_s_writes_need_the_page_s_token() {
    let sandbox = sandbox().await;
    let own = format!("http://127.0.0.1:{}", sandbox.port());
    let token = token(&sandbox).await;
    let wrong = token.replace(|c: char| c.is_ascii_digit(), "f");
    let path = async || format!("/_sandbox/approvals/{}/decision", ask(&sandbox, "a").await);
    let decide = async |headers: &[(&str, &str)]| {
        call(sandbox.port(), "POST", &path().await, headers, br#"{"decision": "approved"}"#).await.status
    };
    for browser in [("origin", own.as_str()), ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "none")] {
        assert_eq!(decide(&[browser]).await, 403, "{browser:?}");
        for bad in ["", "0", &token[1..], &wrong, &format!("{token}0")] {
            assert_eq!(decide(&[browser, ("x-sandbox-token", bad)]).await, 403, "{bad}");
        }
        assert_eq!(decide(&[browser, ("x-sandbox-token", &token)]).await, 200);
    }
    // Programs need none, and reading never does.
    assert_eq!(decide(&[]).await, 200);
    let browser = [("origin", own.as_str()), ("sec-fetch-site", "same-origin")];
    assert_eq!(call(sandbox.port(), "GET", "/_sandbox/approvals", &browser, b"").await.status, 200);
    for (method, path) in [
        ("POST", "/_sandbox/reset"),
        ("DELETE", "/_sandbox/faults"),
        ("PUT", "/_sandbox/settings"),
        ("PATCH", "/_sandbox/settings"),
        ("OPTIONS", "/_sandbox/reset"),
    ] {
        assert_eq!(call(sandbox.port(), method, path, &browser, b"").await.status, 403, "{method}");
    }
    // Another process, another token.
    assert_ne!(self::token(&common::sandbox().await).await, token);
    // A token does not help what comes from elsewhere.
    let foreign = [("origin", "http://evil.example"), ("x-sandbox-token", token.as_str())];
    assert_eq!(decide(&foreign).await, 403);
}

#[tokio::test]
async fn an_open_page_is_told_what_happens() {
    let sandbox = sandbox().await;
    let first = ask(&sandbox, "a").await;
    let mut page = Page::open(&sandbox).await;
    let all = page.sections().await;
    for name in
        ["info", "clock", "load", "pending", "decided", "faults", "rules", "received", "webhooks", "logins"]
    {
        assert!(!all[name].is_null(), "{name}");
    }
    assert_eq!(all["pending"]["items"], json!([{"approval_id": first, "rule": null}]));
    assert_eq!(all["pending"]["new"][0]["summary"], "Please");
    assert!(!all.to_string().contains(sandbox.sesame_api_key()));

    let body = json!({
        "action": "b", "summary": "<b>s</b>", "severity": "high",
        "context": {"z": 9_007_199_254_740_993_u64, "a": "<img src=x>"},
    });
    let second = trigger(&sandbox, body).await;
    let pending = page.until("pending", |pending| pending["total"] == 2).await;
    // Only what the page does not know, and the numbers as they are.
    assert_eq!(pending["new"].as_array().unwrap().len(), 1);
    assert_eq!(pending["new"][0]["context"], "{\n  \"z\": 9007199254740993,\n  \"a\": \"<img src=x>\"\n}");

    sandbox.decide(&second, Decision::Denied, Some("No")).unwrap();
    let decided = page.until("decided", |decided| decided[0]["approval_id"] == second.as_str()).await;
    assert_eq!((&decided[0]["status"], &decided[0]["note"]), (&json!("denied"), &json!("No")));
    sandbox.add_rule(Rule::approve("c*")).unwrap();
    page.until("rules", |rules| rules[0]["rule"]["action"] == "c*").await;
    let fault = Fault::on("jwks").status(500).body("x".repeat(100_000)).always();
    sandbox.add_fault(fault).unwrap();
    let faults = page.until("faults", |faults| faults[0]["id"] == 0).await;
    assert_eq!((&faults[0]["fault"]["body"], &faults[0]["fault"]["more"]), (&Value::Null, &json!(true)));
    create(&sandbox).await;
    page.until("logins", |logins| logins["items"][0]["site"] == "Sandbox site").await;
    sandbox.reset();
    page.until("pending", |pending| pending["total"] == 0).await;
}

#[tokio::test]
async fn what_has_not_changed_is_not_told_and_lists_are_bounded() {
    let sandbox = sandbox().await;
    for _ in 0..260 {
        get(&sandbox, "/nowhere").await;
    }
    for n in 0..120 {
        trigger(&sandbox, json!({"action": "a", "summary": n.to_string()})).await;
    }
    let mut page = Page::open(&sandbox).await;
    let all = page.sections().await;
    assert_eq!(all["received"]["items"].as_array().unwrap().len(), 200);
    assert_eq!(all["received"]["total"], 380);
    assert_eq!(all["pending"]["items"].as_array().unwrap().len(), 100);
    assert_eq!(all["pending"]["new"].as_array().unwrap().len(), 100);
    assert_eq!(all["pending"]["total"], 120);
    let first = all["pending"]["items"][0]["approval_id"].as_str().unwrap().to_owned();
    sandbox.decide(&first, Decision::Approved, None).unwrap();
    let next = page.sections().await;
    let names: Vec<_> = next.as_object().unwrap().keys().collect();
    assert_eq!(names, ["pending", "decided"]);
    // Another one takes the place of the one that is gone.
    assert_eq!(next["pending"]["new"].as_array().unwrap().len(), 1);
    assert_eq!(next["pending"]["items"].as_array().unwrap().len(), 100);
}
