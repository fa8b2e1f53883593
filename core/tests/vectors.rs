//! The shared vectors of `tests/vectors`, run against this crate. Each case that ran is written down
//! for the parity check, which compares the languages.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lime_core::agent::mcp_target;
use lime_core::agent::pow::{self, PowDigest};
use lime_core::clock::ManualClock;
use lime_core::sesame::webhook;
use lime_core::site::frame::Frame;
use lime_core::site::jwks::KeySet;
use lime_core::site::{passport, sse};
use lime_core::token_verifier::{domain, token};
use lime_core::{
    BindingCheck, Error, PassportCheck, ReplayGuard, Timestamp, TokenCheck, WebhookVerifier, envelope,
};
use serde_json::{Map, Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn load(file: &str) -> Value {
    let path = root().join("tests/vectors").join(file);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Runs every case of a file, reports all that fail, and leaves the list of ids behind.
fn each_case(file: &str, mut run: impl FnMut(&Value, &Value)) {
    let document = load(file);
    let mut ids = String::new();
    let mut failed = Vec::new();
    for case in document["cases"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&document, case)));
        if outcome.is_err() {
            failed.push(id.to_owned());
        }
        writeln!(ids, "{file}:{id}").unwrap();
    }
    let folder = root().join("build/parity");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("rust.{file}.txt")), ids).unwrap();
    assert!(failed.is_empty(), "{file}: {failed:#?}");
}

fn bytes(case: &Value, field: &str) -> Vec<u8> {
    match &case[field] {
        Value::String(text) => text.as_bytes().to_vec(),
        _ => STANDARD.decode(case[format!("{field}_base64")].as_str().unwrap()).unwrap(),
    }
}

/// `60` equals `60.0`: numbers compare by value.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || a.as_f64() == b.as_f64() && (a.is_f64() || b.is_f64())
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

fn assert_same(got: &Map<String, Value>, wanted: &Value) {
    assert!(same(&Value::Object(got.clone()), wanted), "got {got:?}, wanted {wanted}");
}

fn assert_error(error: &Error, wanted: &Value) {
    assert_eq!(error.kind().name(), wanted["error"].as_str().unwrap(), "{error:?}");
    if let Some(code) = wanted["code"].as_str() {
        assert_eq!(error.code(), Some(code), "{error:?}");
    }
    if let Some(text) = wanted["message_contains"].as_str() {
        assert!(error.message().contains(text), "{error:?} does not contain {text:?}");
    }
}

#[test]
fn proof_of_work() {
    each_case("pow.json", |_, case| {
        let digest = match case["digest"].as_str().unwrap() {
            "seed" => PowDigest::Seed,
            _ => PowDigest::Today,
        };
        let timeout = Duration::from_millis(case["timeout_ms"].as_u64().unwrap_or(60_000));
        for threads in [1, 3] {
            let options = pow::Options { digest, timeout, threads };
            let challenge = case["challenge"].as_str().unwrap();
            let found =
                pow::solve(challenge, case["difficulty"].as_i64().unwrap(), options, &AtomicBool::new(false));
            match found {
                Ok(nonce) => assert_eq!(nonce, case["nonce"].as_str().unwrap()),
                Err(error) => assert_error(&error, case),
            }
        }
    });
}

#[test]
fn passports() {
    each_case("passports.json", |document, case| {
        let jwks = document["jwks"][case["jwks"].as_str().unwrap()].as_object().unwrap();
        let mut check =
            PassportCheck::default().require_issuer(case["require_issuer"].as_bool().unwrap_or(false));
        if let Some(request_id) = case["expected_request_id"].as_str() {
            check = check.expected_request_id(request_id);
        }
        let now = Duration::from_secs_f64(case["now"].as_f64().unwrap());
        let api_root = case["api_root"].as_str().unwrap();
        let verified = KeySet::parse(jwks)
            .and_then(|keys| passport::verify(case["jwt"].as_str().unwrap(), &keys, api_root, &check, now));
        match verified {
            Ok(passport) => assert_same(&passport.claims, &case["expect"]["claims"]),
            Err(error) => assert_error(&error, &case["expect"]),
        }
    });
}

#[test]
fn binding_passports() {
    each_case("bindings.json", |document, case| {
        let jwks = document["jwks"][case["jwks"].as_str().unwrap()].as_object().unwrap();
        let mut check =
            BindingCheck::default().require_issuer(case["require_issuer"].as_bool().unwrap_or(false));
        if let Some(binding_id) = case["expected_binding_id"].as_str() {
            check = check.expected_binding_id(binding_id);
        }
        let now = Duration::from_secs_f64(case["now"].as_f64().unwrap());
        let (jwt, api_root) = (case["jwt"].as_str().unwrap(), case["api_root"].as_str().unwrap());
        let verified =
            KeySet::parse(jwks).and_then(|keys| passport::verify_binding(jwt, &keys, api_root, &check, now));
        match verified {
            Ok(passport) => assert_same(&passport.claims, &case["expect"]["claims"]),
            Err(error) => assert_error(&error, &case["expect"]),
        }
    });
}

#[test]
fn access_tokens() {
    each_case("access_tokens.json", |document, case| {
        let text = |field: &str| case[field].as_str().unwrap();
        let keys = KeySet::parse(document["jwks"][text("jwks")].as_object().unwrap()).unwrap();
        let mut check = TokenCheck::new(text("issuer"), text("expected_domain"));
        if let Some(audience) = case["audience"].as_str() {
            check = check.audience(audience);
        }
        if let Some(leeway) = case["leeway"].as_u64() {
            check = check.leeway(Duration::from_secs(leeway));
        }
        let now = Duration::from_secs_f64(case["now"].as_f64().unwrap());
        match token::verify(text("jwt"), &keys, &check, now) {
            Ok(verified) => assert_same(&verified.claims, &case["expect"]["claims"]),
            Err(error) => assert_error(&error, &case["expect"]),
        }
    });
}

#[test]
fn mcp_domains() {
    each_case("mcp_domains.json", |_, case| {
        match domain::normalize_mcp_domain(case["domain"].as_str().unwrap()) {
            Ok(canonical) => assert_eq!(Some(canonical.as_str()), case["expect"]["canonical"].as_str()),
            Err(error) => assert_error(&error, &case["expect"]),
        }
    });
}

#[test]
fn event_streams() {
    each_case("sse.json", |_, case| {
        let input = bytes(case, "input");
        for size in [input.len().max(1), 1, 2] {
            let mut parser = sse::Parser::new();
            let (mut events, mut frames) = (Vec::new(), Vec::new());
            for chunk in input.chunks(size) {
                parser
                    .feed(chunk, |event| {
                        events.push(json!({"event": event.event, "data": event.data, "id": event.id}));
                        frames.push(frame(&Frame::parse(event.data)));
                    })
                    .unwrap();
            }
            assert_eq!(Value::Array(events), case["events"], "chunks of {size}");
            assert_eq!(json!(parser.retry_millis()), case["retry_ms"]);
            assert_eq!(parser.last_event_id(), case["last_event_id"].as_str().unwrap());
            if case.get("frames").is_some() {
                assert_eq!(Value::Array(frames), case["frames"]);
            }
        }
    });
}

fn frame(frame: &Frame) -> Value {
    match frame {
        Frame::Keepalive => json!({"kind": "keepalive"}),
        Frame::Approved { request_id, passport } => {
            json!({"kind": "approved", "request_id": request_id, "passport": passport})
        }
        Frame::Expired { request_id } => json!({"kind": "expired", "request_id": request_id}),
        Frame::Error { code, message } => json!({"kind": "error", "code": code, "message": message}),
        Frame::Ignored => json!({"kind": "ignored"}),
        Frame::Malformed(_) => json!({"kind": "malformed"}),
    }
}

#[test]
fn envelopes() {
    each_case("envelopes.json", |_, case| {
        let status = u16::try_from(case["http_status"].as_u64().unwrap()).unwrap();
        match envelope::open(status, &bytes(case, "body")) {
            Ok(data) => assert_same(&data, &case["expect"]["data"]),
            Err(error) => {
                let wanted = &case["expect"]["error"];
                assert_eq!(error.kind().name(), wanted["kind"].as_str().unwrap(), "{error:?}");
                assert_eq!(error.code(), wanted["code"].as_str());
                assert_eq!(error.message(), wanted["message"].as_str().unwrap());
                assert_eq!(error.http_status().map(u64::from), wanted["http_status"].as_u64());
                match error.detail() {
                    Some(detail) => assert_same(detail, &wanted["detail"]),
                    None => assert!(wanted["detail"].is_null()),
                }
            }
        }
    });
}

#[test]
fn timestamps() {
    each_case("timestamps.json", |_, case| match Timestamp::parse(case["text"].as_str().unwrap()) {
        Ok(timestamp) => {
            assert_eq!(Some(timestamp.unix_micros), case["unix_micros"].as_i64());
            assert_eq!(timestamp.offset_seconds.map(i64::from), case["offset_seconds"].as_i64());
        }
        Err(error) => assert_error(&error, case),
    });
}

#[test]
fn webhooks() {
    each_case("webhooks.json", |_, case| {
        if let Some(input) = case.get("sign") {
            let timestamp = input["timestamp"].as_u64().unwrap();
            match webhook::sign(&bytes(input, "body"), &bytes(input, "secret"), timestamp) {
                Ok(signed) => {
                    assert_eq!(signed.signature, case["expect"]["signature"].as_str().unwrap());
                    assert_eq!(signed.timestamp, case["expect"]["timestamp"].as_str().unwrap());
                }
                Err(error) => assert_error(&error, &case["expect"]),
            }
            return;
        }
        let list = |holder: &Value, name| holder[name].as_array().unwrap().clone();
        let secrets: Vec<_> = list(case, "secrets").iter().map(|secret| bytes(secret, "secret")).collect();
        let guard = case.get("guard").map(|guard| {
            let horizon = Duration::from_millis(guard["horizon_ms"].as_u64().unwrap());
            ReplayGuard::new(horizon, guard["capacity"].as_u64().unwrap().try_into().unwrap())
        });
        for delivery in list(case, "deliveries") {
            let now = Duration::from_secs_f64(delivery["now"].as_f64().unwrap());
            let mut verifier = WebhookVerifier::new(&secrets).clock(Arc::new(ManualClock::at(now)));
            if let Some(tolerance) = case["tolerance_ms"].as_u64() {
                verifier = verifier.tolerance(Duration::from_millis(tolerance));
            }
            if let Some(guard) = &guard {
                verifier = verifier.replay_guard(guard.clone());
            }
            let headers: Vec<_> = list(&delivery, "headers")
                .iter()
                .map(|header| (header["name"].as_str().unwrap().to_owned(), bytes(header, "value")))
                .collect();
            let body = bytes(&delivery, "body");
            match verifier.verify(headers, &body) {
                Ok(webhook) => {
                    assert_same(&webhook.payload, &delivery["expect"]["payload"]);
                    assert_eq!(Some(webhook.timestamp), delivery["expect"]["timestamp"].as_u64());
                }
                Err(error) => assert_error(&error, &delivery["expect"]),
            }
            if let Some(forget) = delivery["forget"].as_bool() {
                assert_eq!(guard.as_ref().map(|guard| guard.forget(&body)), Some(forget));
            }
        }
    });
}

#[test]
fn mcp_targets() {
    each_case("mcp_targets.json", |_, case| {
        let (target, expect) = (case["target"].as_str().unwrap(), &case["expect"]);
        let read = [mcp_target::extract_and_normalize_domain, mcp_target::resolve_mcp_http_url];
        for (read, member) in read.iter().zip(["domain", "url"]) {
            match read(target) {
                Ok(text) => assert_eq!(Some(text.as_str()), expect[member].as_str()),
                Err(error) => assert_error(&error, expect),
            }
        }
    });
}
