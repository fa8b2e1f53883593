//! The binary: what it prints, and how it ends.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A child that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(arguments: &[&str]) -> Running {
    let child = Command::new(env!("CARGO_BIN_EXE_lime-sandbox"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Running(child)
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lime-sandbox")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn first_line(child: &mut Running) -> String {
    let mut line = String::new();
    BufReader::new(child.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    line
}

fn signal(child: &Running, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.0.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn the_first_line_is_json_and_the_server_is_ready() {
    let mut child = start(&[
        "--json",
        "--site-token",
        "st_mine",
        "--sesame-api-key",
        "sk_mine",
        "--webhook-secret",
        "whsec_mine",
        "--platform",
        "today",
        "--difficulty",
        "3",
        "--long-poll",
        "1.5",
        "--approval-ttl",
        "60",
    ]);
    let info: Value = serde_json::from_str(&first_line(&mut child)).unwrap();
    let port = u16::try_from(info["port"].as_u64().unwrap()).unwrap();
    assert_eq!(info["lime_api_base"], format!("http://127.0.0.1:{port}/api/v1"));
    assert_eq!(info["lime_base_url"], format!("http://127.0.0.1:{port}"));
    assert_eq!(info["control_url"], format!("http://127.0.0.1:{port}/_sandbox"));
    assert_eq!(info["site_token"], "st_mine");
    assert_eq!(info["sesame_url"], format!("http://127.0.0.1:{port}"));
    assert_eq!(info["sesame_api_key"], "sk_mine");
    assert_eq!(info["webhook_secret"], "whsec_mine");
    assert!(info["agent_token"].as_str().unwrap().starts_with("at_sandbox_"));
    assert!(info["site_id"].is_string() && info["agent_id"].is_string());
    assert_eq!(info["pid"], child.0.id());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let settings = runtime.block_on(common::call(port, "GET", "/_sandbox/settings", &[], b"")).json();
    assert_eq!(settings["pow_digest"], "today");
    assert_eq!(settings["pow_difficulty"], 3);
    assert_eq!(
        (&settings["long_poll_seconds"], &settings["approval_ttl_seconds"]),
        (&1.5.into(), &60.0.into())
    );
    // The key endpoint answers as soon as there is a key.
    let keys = runtime.block_on(common::call(port, "GET", common::JWKS, &[], b""));
    assert!(keys.json()["keys"][0]["kid"].is_string());
}

#[test]
fn signals_end_it_cleanly() {
    for name in ["TERM", "INT"] {
        let mut child = start(&["--json"]);
        first_line(&mut child);
        signal(&child, name);
        assert_eq!(child.0.wait().unwrap().code(), Some(0), "{name}");
    }
}

#[test]
fn it_ends_with_its_parent_when_told_to() {
    let mut child = start(&["--json", "--exit-with-parent"]);
    first_line(&mut child);
    assert!(child.0.try_wait().unwrap().is_none());
    drop(child.0.stdin.take());
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
}

#[test]
fn it_outlives_its_input_otherwise() {
    let mut child = start(&["--json"]);
    drop(child.0.stdin.take());
    let info: Value = serde_json::from_str(&first_line(&mut child)).unwrap();
    let port = u16::try_from(info["port"].as_u64().unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let health = runtime.block_on(common::call(port, "GET", "/_sandbox/health", &[], b""));
    assert_eq!(health.status, 200);
}

#[test]
fn for_people_it_prints_lines_to_paste_and_a_log_without_tokens() {
    let mut child = start(&["--exit-with-parent"]);
    let mut out = BufReader::new(child.0.stdout.take().unwrap());
    let mut values = std::collections::HashMap::new();
    while values.len() < 7 {
        let mut line = String::new();
        assert_ne!(out.read_line(&mut line).unwrap(), 0);
        if let Some((name, value)) =
            line.trim_end().strip_prefix("export ").and_then(|rest| rest.split_once('='))
        {
            values.insert(name.to_owned(), value.to_owned());
        }
    }
    let port: u16 =
        values["LIME_API_BASE"].trim_end_matches("/api/v1").rsplit_once(':').unwrap().1.parse().unwrap();
    let token = values["LIME_SITE_TOKEN"].as_str();
    assert!(values["LIME_AGENT_TOKEN"].starts_with("at_sandbox_"));
    assert_eq!(values["SESAME_BROKER_URL"], format!("http://127.0.0.1:{port}"));
    assert!(values["SESAME_API_KEY"].starts_with("sk_sandbox_"));
    assert!(values["SESAME_WEBHOOK_SECRET"].starts_with("whsec_sandbox_"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let headers = [("x-site-token", token)];
    let created = runtime.block_on(common::call(port, "POST", common::REQUESTS, &headers, b"{}"));
    assert_eq!(created.status, 201);
    drop(child.0.stdin.take());
    assert!(child.0.wait().unwrap().success());
    let mut log = String::new();
    child.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(log.contains(&format!("POST {} -> 201", common::REQUESTS)), "{log}");
    assert!(!log.contains(token), "{log}");
}

#[test]
fn real_looking_tokens_and_taken_ports_are_refused() {
    for flag in ["--site-token", "--agent-token", "--sesame-api-key", "--webhook-secret"] {
        for token in ["st_live_abcdef", "at_live_abcdef", "sk_live_abcdef"] {
            let output = run(&["--json", flag, token]);
            assert_eq!(output.status.code(), Some(2));
            assert!(output.stdout.is_empty());
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(message.contains("real") && !message.contains("abcdef"), "{message}");
        }
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = run(&["--json", "--port", &port]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!output.stderr.is_empty());
}

/// The addresses that a process listens on, as the kernel writes them.
#[cfg(target_os = "linux")]
fn listening(process: u32) -> Vec<String> {
    let sockets: Vec<String> = std::fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter_map(|to| Some(to.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let mut found = Vec::new();
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let table = std::fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap_or_default();
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // The state of a TCP socket that listens, or of any UDP one.
            if matches!(fields[3], "0A" | "07") && sockets.iter().any(|socket| socket == fields[9]) {
                found.push(fields[1].to_owned());
            }
        }
    }
    found
}

#[test]
#[cfg(target_os = "linux")]
fn it_listens_on_this_machine_alone() {
    let mut child = start(&["--json"]);
    let info: serde_json::Value = serde_json::from_str(&first_line(&mut child)).unwrap();
    let port: u16 = info["control_url"].as_str().unwrap().split([':', '/']).nth(4).unwrap().parse().unwrap();
    assert_eq!(listening(child.0.id()), [format!("0100007F:{port:04X}")]);
    // And cannot be told otherwise.
    for arguments in [&["--host", "0.0.0.0"][..], &["--address", "0.0.0.0"], &["--bind", "::"], &["0.0.0.0"]]
    {
        let output = run(&[&["--json"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
}
