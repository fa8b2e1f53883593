//! The state file: what is left of the broker after it was killed.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use common::*;
use lime_sandbox::{ApprovalStatus, Decision, Info, Options, Sandbox};
use serde_json::{Value, json};

/// A file that goes with its test.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("state-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.0).unwrap()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn start(file: &Temporary) -> Sandbox {
    Sandbox::start(Options::new().state_file(&file.0)).await.unwrap()
}

#[tokio::test]
async fn everything_comes_back() {
    let file = Temporary::new();
    let sandbox = start(&file).await;
    let info = sandbox.info().clone();
    sandbox.patch_settings(&json!({"idempotency": true})).unwrap();
    let other = sandbox.add_api_key(Some("Other".into())).unwrap();
    let body = json!({
        "action": "a", "summary": "s", "reason": "r", "dedup_key": "k", "severity": "low",
        "context": {"z": 1, "a": "\u{1f34b}\n"}, "callback_url": "http://example.com/",
    });
    let first = trigger_as(&sandbox, &other.api_key, &body, &[("idempotency-key", "i")]).await.json();
    let id = first["approval_id"].as_str().unwrap();
    let pending = ask(&sandbox, "b").await;
    sandbox.decide(id, Decision::Denied, Some("No")).unwrap();
    assert!(sandbox.wait_for_webhooks(1, PATIENCE).await);
    let (approvals, webhooks) = (sandbox.approvals(), sandbox.webhooks());
    drop(sandbox);

    for _ in 0..2 {
        let sandbox = start(&file).await;
        sandbox.patch_settings(&json!({"idempotency": true})).unwrap();
        assert_eq!(sandbox.approvals(), approvals);
        // What was refused is not tried again.
        assert_eq!(sandbox.webhooks(), webhooks);
        assert_eq!(sandbox.sesame_api_key(), info.sesame_api_key);
        assert_eq!(sandbox.webhook_secret(), info.webhook_secret);
        assert_eq!(sandbox.api_keys()[1], other);
        assert_eq!(look(&sandbox, &pending, "").await.json()["status"], "pending");
        assert_eq!(look_as(&sandbox, &other.api_key, id, "").await.json()["note"], "No");
        let again = trigger_as(&sandbox, &other.api_key, &body, &[]).await.json();
        assert_eq!((&again["approval_id"], &again["status"]), (&first["approval_id"], &json!("denied")));
        let again = trigger_as(&sandbox, &other.api_key, &body, &[("idempotency-key", "i")]).await.json();
        assert_eq!(again, first);
        assert_eq!(sandbox.approvals().len(), 2);
    }
    let lines = file.text().lines().count();
    drop(start(&file).await);
    assert_eq!(file.text().lines().count(), lines);
}

#[tokio::test]
async fn options_come_before_the_file() {
    let file = Temporary::new();
    let sandbox = start(&file).await;
    let id = ask(&sandbox, "a").await;
    drop(sandbox);
    let options = Options::new().state_file(&file.0).sesame_api_key("sk_new").webhook_secret("whsec_new");
    let sandbox = Sandbox::start(options).await.unwrap();
    assert_eq!((sandbox.sesame_api_key(), sandbox.webhook_secret()), ("sk_new", "whsec_new"));
    // It is still the same one who asks, with another key.
    assert_eq!(look(&sandbox, &id, "").await.status, 200);
    drop(sandbox);
    assert_eq!(start(&file).await.sesame_api_key(), "sk_new");
}

#[tokio::test]
async fn what_has_not_arrived_is_sent_after_the_start() {
    let file = Temporary::new();
    let sandbox = start(&file).await;
    sandbox.patch_settings(&json!({"webhook_retry_seconds": []})).unwrap();
    let mut receiver = Receiver::start(&["503 Service Unavailable", "200 OK"]).await;
    let body = json!({"action": "a", "summary": "s", "callback_url": receiver.url});
    let id = trigger(&sandbox, body).await;
    sandbox.decide(&id, Decision::Approved, None).unwrap();
    let first = receiver.hook().await;
    assert!(sandbox.wait_for_webhooks(1, PATIENCE).await);
    drop(sandbox);
    let sandbox = start(&file).await;
    assert_eq!(receiver.hook().await.body, first.body);
    assert!(sandbox.wait_for_webhooks(2, PATIENCE).await);
    assert_eq!((sandbox.webhooks()[1].n, sandbox.webhooks()[1].attempt), (2, 2));
    assert!(sandbox.webhooks()[1].delivered);
    drop(sandbox);
    let sandbox = start(&file).await;
    let id = ask(&sandbox, "a").await;
    sandbox.expire_approval(&id).unwrap();
    assert_eq!(sandbox.webhooks().len(), 2);
    assert!(receiver.is_empty());
}

#[tokio::test]
async fn what_expired_in_between_has_expired() {
    let file = Temporary::new();
    let sandbox =
        Sandbox::start(Options::new().state_file(&file.0).approval_ttl_seconds(0.01)).await.unwrap();
    // Frozen, it does not expire here.
    control(&sandbox, "POST", "/clock", json!({"freeze": true})).await;
    let id = ask(&sandbox, "a").await;
    drop(sandbox);
    let sandbox = start(&file).await;
    assert!(sandbox.wait_for_approval(&id, ApprovalStatus::Expired, PATIENCE).await);
}

#[tokio::test]
async fn a_torn_last_line_is_ignored_and_a_strange_file_left_alone() {
    let file = Temporary::new();
    let sandbox = start(&file).await;
    let id = ask(&sandbox, "a").await;
    drop(sandbox);
    let whole = file.text();
    for cut in [1, 20, whole.lines().last().unwrap().len()] {
        let torn = format!("{whole}{}", &whole.lines().last().unwrap()[..cut]);
        std::fs::write(&file.0, torn).unwrap();
        let sandbox = start(&file).await;
        assert_eq!(sandbox.approvals().len(), 1);
        assert_eq!(look(&sandbox, &id, "").await.status, 200);
        drop(sandbox);
        assert_eq!(file.text(), whole);
    }
    for strange in ["{}\n", "dear diary\n", "x", &whole.replacen("approval", "app", 1), &whole[5..]] {
        std::fs::write(&file.0, strange).unwrap();
        let error = Sandbox::start(Options::new().state_file(&file.0)).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
        assert_eq!(file.text(), strange);
    }
    std::fs::write(&file.0, "").unwrap();
    assert!(start(&file).await.approvals().is_empty());
}

#[tokio::test]
async fn one_sandbox_at_a_time_and_a_reset_empties_it() {
    let file = Temporary::new();
    let sandbox = start(&file).await;
    assert!(Sandbox::start(Options::new().state_file(&file.0)).await.is_err());
    let empty = file.text();
    sandbox.add_api_key(None).unwrap();
    ask(&sandbox, "a").await;
    assert_ne!(file.text(), empty);
    sandbox.reset();
    assert_eq!(file.text(), empty);
    let id = ask(&sandbox, "a").await;
    let key = sandbox.sesame_api_key().to_owned();
    drop(sandbox);
    let sandbox = start(&file).await;
    assert_eq!(look_as(&sandbox, &key, &id, "").await.status, 200);
    assert_eq!(sandbox.approvals().len(), 1);
    let missing = Options::new().state_file(file.0.join("x"));
    assert!(Sandbox::start(missing).await.is_err());
}

/// A sandbox in a process of its own.
struct Process {
    child: Child,
    info: Info,
}

impl Process {
    fn start(file: &Temporary, port: u16) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lime-sandbox"))
            .args(["--json", "--exit-with-parent", "--port", &port.to_string(), "--state"])
            .arg(&file.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, info: serde_json::from_str(&line).unwrap() }
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let key = format!("Bearer {}", self.info.sesame_api_key);
        let headers = [("authorization", key.as_str())];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        call(self.info.port, method, path, &headers, body.as_bytes()).await.json()
    }

    /// SIGKILL: it has no time for anything.
    fn kill(mut self) -> u16 {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.info.port
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_killed_sandbox_goes_on_at_the_same_port() {
    let file = Temporary::new();
    let mut port = 0;
    let mut ids = Vec::new();
    for round in 0..3 {
        let process = Process::start(&file, port);
        for id in &ids {
            let path = format!("{APPROVALS}/{id}?wait=true");
            assert_eq!(process.call("GET", &path, Value::Null).await["status"], "approved");
        }
        let body = json!({"action": "a", "summary": "s", "dedup_key": round.to_string()});
        let id = process.call("POST", APPROVALS, body).await["approval_id"].as_str().unwrap().to_owned();
        let path = format!("/_sandbox/approvals/{id}/decision");
        let decided = process.call("POST", &path, json!({"decision": "approved"})).await;
        // Killed right after the answer: what was answered has happened.
        assert_eq!(decided["status"], "approved");
        ids.push(id);
        port = process.kill();
    }
    let log = std::fs::OpenOptions::new().append(true).open(&file.0);
    log.unwrap().write_all(b"[{\"approval\":").unwrap();
    let process = Process::start(&file, port);
    let all = process.call("GET", "/_sandbox/approvals", Value::Null).await;
    assert_eq!(all["approvals"].as_array().unwrap().len(), 3);
}
