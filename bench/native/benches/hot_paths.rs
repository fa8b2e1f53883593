//! The hot paths one by one, without processes and languages: `cargo bench -p lime-bench`.

use std::hint::black_box;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use lime_core::agent::pow::{self, Options, PowDigest};
use lime_core::site::{frame::Frame, sse::Parser};
use lime_core::{Timestamp, WebhookVerifier, envelope, sesame::webhook};

fn main() {
    divan::main();
}

fn event() -> String {
    let begin = r#"data: {"type":"approved","login_request_id":"lr_0123456789abcdef","agent_passport_jwt":""#;
    format!("{begin}{}\"}}\n\n", "p".repeat(700 - 4 - begin.len()))
}

/// A challenge whose smallest nonce is known, so that every run tries as many.
#[divan::bench(args = [32, 64])]
fn proof_of_work(bencher: Bencher<'_, '_>, challenge: usize) {
    let challenge = "c".repeat(challenge);
    let options = Options { digest: PowDigest::Today, timeout: Duration::from_secs(60), threads: 1 };
    let solve = || pow::solve(&challenge, 16, options, &AtomicBool::new(false));
    let tried = solve().ok().and_then(|nonce| nonce.parse::<u64>().ok()).map_or(1, |nonce| nonce + 1);
    bencher.counter(ItemsCount::new(tried)).bench_local(solve);
}

#[divan::bench]
fn event_stream(bencher: Bencher<'_, '_>) {
    let stream = event().repeat(94);
    bencher.counter(ItemsCount::new(94_u32)).bench_local(|| {
        let mut bytes = 0;
        let _ = Parser::new().feed(stream.as_bytes(), |event| bytes += event.data.len());
        bytes
    });
}

#[divan::bench]
fn frame(bencher: Bencher<'_, '_>) {
    let event = event();
    let data = event.trim_start_matches("data: ").trim_end();
    bencher.bench_local(|| Frame::parse(black_box(data)));
}

#[divan::bench(args = [300, 1 << 20])]
fn webhook(bencher: Bencher<'_, '_>, length: usize) {
    let mut body =
        br#"{"approval_id":"ap_1","action":"payments.refund","status":"approved","note":""#.to_vec();
    body.resize(length - 2, b'x');
    body.extend_from_slice(b"\"}");
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let Ok(signed) = webhook::sign(&body, b"secret", now) else { return };
    let verifier = WebhookVerifier::new(["secret"]).tolerance(Duration::from_secs(3600));
    bencher
        .counter(BytesCount::new(length))
        .bench_local(|| verifier.verify(signed.headers(), black_box(&body)).is_ok());
}

#[divan::bench]
fn envelope_of_a_login_request() -> bool {
    let body = br#"{"ok":true,"data":{"login_request_id":"lr_0123456789abcdef","status":"PENDING","expires_at":"2099-01-01T00:00:00Z"}}"#;
    envelope::open(black_box(201), black_box(body)).is_ok()
}

#[divan::bench]
fn timestamp() -> bool {
    Timestamp::parse(black_box("2099-01-01T00:00:00.123456+02:00")).is_ok()
}
