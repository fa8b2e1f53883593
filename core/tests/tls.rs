//! What TLS has to keep away: a server that is not the one that was asked for never sees a request.
//!
//! Which roots count is said by the environment, so each connection is made by a process of its own: this program
//! again, as `in_a_process_of_its_own`.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use lime_core::clock::ManualClock;
use lime_core::log::{Level, Logger};
use lime_core::{ErrorKind, LimeSite, SiteConfig};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};

const TOKEN: &str = "st_for_the_platform_alone";
const URL: &str = "LIME_TEST_TLS_URL";
/// Far more than anything here takes.
const LONG: Duration = Duration::from_secs(30);

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/tls").join(name)
}

fn pin(name: &str) -> String {
    let pins = std::fs::read(file("pins.json")).unwrap();
    serde_json::from_slice::<serde_json::Value>(&pins).unwrap()[name].as_str().unwrap().to_owned()
}

/// What a server speaks TLS by.
fn tls_config(certificate: &str, versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(file(&format!("{certificate}.pem"))).unwrap();
    let chain: Vec<_> = chain.map(Result::unwrap).collect();
    let key = if matches!(certificate, "next" | "by_a_stranger") { "next_key.pem" } else { "key.pem" };
    let key = PrivateKeyDer::from_pem_file(file(key)).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

/// Answers requests over TLS, and tells what it has read.
fn server(certificate: &str, versions: &[&'static SupportedProtocolVersion]) -> (u16, Receiver<String>) {
    let config = tls_config(certificate, versions);
    listen(move |mut socket| {
        let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut tls = rustls::Stream::new(&mut connection, &mut socket);
        let read = request(&mut tls);
        if !read.is_empty() {
            let data = serde_json::json!({"ok": true, "data": {
                "login_request_id": "lr_1", "status": "PENDING", "expires_at": "2126-01-01T00:00:00Z",
            }});
            let body = data.to_string();
            let length = body.len();
            let head =
                format!("HTTP/1.1 201 Created\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            tls.write_all(head.as_bytes()).unwrap();
            tls.write_all(body.as_bytes()).unwrap();
            tls.conn.send_close_notify();
            tls.flush().unwrap();
        }
        read
    })
}

/// Accepts connections for as long as the process lives, and sends what `serve` makes of each.
fn listen(serve: impl Fn(TcpStream) -> String + Send + 'static) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, seen) = mpsc::channel();
    thread::spawn(move || {
        for socket in listener.incoming() {
            if sender.send(serve(socket.unwrap())).is_err() {
                return;
            }
        }
    });
    (port, seen)
}

/// A request up to the end of its small body; what there was of it when the connection broke.
fn request(stream: &mut impl Read) -> String {
    let mut read = Vec::new();
    let mut piece = [0; 4096];
    while !read.ends_with(b"{}") {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(count) => read.extend_from_slice(&piece[..count]),
        }
    }
    String::from_utf8_lossy(&read).into_owned()
}

/// What came of one call in a process with these roots: `ok`, or the error's kind and message.
fn outcome(url: &str, roots: &str, pins: &[String]) -> String {
    outcome_of("in_a_process_of_its_own", url, roots, pins)
}

/// What this test of this program says in a process with these roots.
fn outcome_of(test: &str, url: &str, roots: &str, pins: &[String]) -> String {
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(URL, url)
        .env("SSL_CERT_FILE", file(roots))
        .env_remove("SSL_CERT_DIR")
        .env("LIME_TLS_PINS", pins.join(","))
        .output()
        .unwrap();
    let printed = String::from_utf8(done.stdout).unwrap();
    let line = printed.lines().find_map(|line| line.split_once("outcome: "));
    line.unwrap_or_else(|| panic!("{printed}{}", String::from_utf8_lossy(&done.stderr))).1.to_owned()
}

#[test]
fn in_a_process_of_its_own() {
    let Ok(url) = std::env::var(URL) else { return };
    let config = SiteConfig {
        site_token: Some(TOKEN.into()),
        base_url: Some(url),
        max_retries: 0,
        clock: Arc::new(ManualClock::default().skipping_sleeps()),
        ..SiteConfig::default()
    };
    let made = LimeSite::new(config).and_then(|site| site.create_login_request().wait());
    match made {
        Ok(request) => println!("outcome: ok {}", request.request_id),
        Err(error) => println!("outcome: {:?} {error}", error.kind()),
    }
}

#[test]
fn only_the_server_that_was_asked_for_sees_a_request() {
    let (good, next, other) = (pin("good"), pin("next"), pin("other"));
    let pins = |pins: &[&String]| pins.iter().map(|pin| (*pin).clone()).collect::<Vec<_>>();
    let cases = [
        ("good", "roots.pem", pins(&[]), None),
        ("good", "roots.pem", pins(&[&good]), None),
        ("good", "roots.pem", pins(&[&next, &good]), None),
        ("next", "roots.pem", pins(&[&next, &good]), None),
        ("good", "roots.pem", pins(&[&next]), Some("none of tls_pins")),
        ("next", "roots.pem", pins(&[&good]), Some("none of tls_pins")),
        // The root is not among those that the host trusts any more.
        ("good", "other_roots.pem", pins(&[]), Some("UnknownIssuer")),
        ("good", "no_such_file.pem", pins(&[]), Some("")),
        ("expired", "roots.pem", pins(&[]), Some("expired")),
        ("not_yet", "roots.pem", pins(&[]), Some("not valid yet")),
        ("wrong_host", "roots.pem", pins(&[]), Some("not valid for name")),
        ("self_signed", "roots.pem", pins(&[]), Some("")),
        ("client_only", "roots.pem", pins(&[]), Some("")),
        ("by_a_leaf", "roots.pem", pins(&[]), Some("")),
        ("by_a_stranger", "roots.pem", pins(&[]), Some("UnknownIssuer")),
        // A pin is asked for besides, never instead; and it is the server's own, not one of some certificate it sends.
        ("good", "other_roots.pem", pins(&[&good]), Some("UnknownIssuer")),
        ("expired", "roots.pem", pins(&[&good]), Some("expired")),
        ("wrong_host", "roots.pem", pins(&[&good]), Some("not valid for name")),
        ("self_signed", "roots.pem", pins(&[&good]), Some("")),
        ("by_a_stranger", "other_roots.pem", pins(&[&good]), Some("none of tls_pins")),
        ("by_a_stranger", "other_roots.pem", pins(&[&other]), Some("none of tls_pins")),
    ];
    for (certificate, roots, pins, refused) in cases {
        let (port, seen) = server(certificate, rustls::ALL_VERSIONS);
        let got = outcome(&format!("https://127.0.0.1:{port}/api/v1"), roots, &pins);
        let case = format!("{certificate} {roots} {pins:?}: {got}");
        match refused {
            None => {
                assert_eq!(got, "ok lr_1", "{case}");
                assert!(seen.recv().unwrap().contains(TOKEN), "{case}");
            }
            Some(why) => {
                assert!(got.starts_with("Transport ") && got.contains(why), "{case}");
                // Where there are no roots at all there is not even a connection.
                assert!(roots == "no_such_file.pem" || seen.recv().unwrap().is_empty(), "{case}");
            }
        }
    }
}

/// Listens until `lr_end` has come, and says what has.
#[test]
fn listens_in_a_process_of_its_own() {
    let Ok(url) = std::env::var(URL) else { return };
    let site = LimeSite::new(SiteConfig {
        site_token: Some(TOKEN.into()),
        base_url: Some(url),
        sse_backoff_base: Duration::from_millis(1),
        ..SiteConfig::default()
    })
    .unwrap();
    let (sender, events) = mpsc::channel();
    site.on_login(move |event| {
        let _ = sender.send((event.request_id.clone(), event.passport.clone()));
    })
    .unwrap();
    let mut came = Vec::new();
    while came.last().is_none_or(|(id, _)| id != "lr_end") {
        came.push(events.recv_timeout(LONG).unwrap());
    }
    let status = site.stream_status();
    println!("outcome: {came:?} {} connections, {} malformed", status.connections, status.malformed_frames);
}

#[test]
fn an_event_stream_that_tls_does_not_end_ends_with_its_last_whole_event() {
    let event =
        "data: {\"type\":\"approved\",\"login_request_id\":\"lr_1\",\"agent_passport_jwt\":\"a.b.c\"}\n\n";
    let expired = |id| format!("data: {{\"type\":\"expired\",\"login_request_id\":\"{id}\"}}\n");
    let (half, whole) = (event[..event.len() / 2].to_owned(), event.to_owned());
    // Somebody on the way, who can cut a connection and cannot say its goodbye, must not turn a login into something
    // else: the line that lacks nothing but the empty one behind it is no event either.
    let sent = [half, expired("lr_1"), format!("{whole}{}\n", expired("lr_end"))];
    for (chunked, pins) in [(false, vec![]), (true, vec![]), (true, vec![pin("good")])] {
        let config = tls_config("good", rustls::ALL_VERSIONS);
        let left = Mutex::new(sent.clone().into_iter());
        let (port, _seen) = listen(move |mut socket| {
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut tls = rustls::Stream::new(&mut connection, &mut socket);
            let mut read = Vec::new();
            let mut piece = [0; 4096];
            while !read.ends_with(b"\r\n\r\n") {
                let count = tls.read(&mut piece).unwrap();
                assert!(count > 0);
                read.extend_from_slice(&piece[..count]);
            }
            let mut left = left.lock().unwrap();
            let mut body = left.next().unwrap();
            let mut head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n".to_owned();
            if chunked {
                body = format!("{:x}\r\n{body}\r\n", body.len());
                head.push_str("transfer-encoding: chunked\r\n");
            }
            tls.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
            tls.flush().unwrap();
            if left.len() == 0 {
                let _ = tls.read(&mut piece); // the client has all, and goes
            }
            String::new()
        });
        let url = format!("https://127.0.0.1:{port}/api/v1");
        let got = outcome_of("listens_in_a_process_of_its_own", &url, "roots.pem", &pins);
        let wanted = "[(\"lr_1\", Some(\"a.b.c\")), (\"lr_end\", None)] 3 connections, 0 malformed";
        assert_eq!(got, wanted, "chunked: {chunked}, {pins:?}");
    }
}

#[test]
fn the_name_counts_that_was_asked_for() {
    let (port, _seen) = server("good", rustls::ALL_VERSIONS);
    assert_eq!(outcome(&format!("https://localhost:{port}/api/v1"), "roots.pem", &[]), "ok lr_1");
}

#[test]
fn tls_1_2_and_1_3_are_spoken() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for pins in [vec![], vec![pin("good")]] {
            let (port, _seen) = server("good", &[version]);
            assert_eq!(outcome(&format!("https://127.0.0.1:{port}/api/v1"), "roots.pem", &pins), "ok lr_1");
        }
    }
}

/// A record of TLS: its type, and what is in it.
fn record(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head).ok()?;
    let mut content = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    stream.read_exact(&mut content).ok()?;
    Some((head[0], content))
}

/// The versions that a `ClientHello` offers.
fn offered(hello: &[u8]) -> Vec<u16> {
    let number = |at: usize| u16::from_be_bytes([hello[at], hello[at + 1]]);
    let mut at = 4 + 2 + 32; // the message's head, the old version, the random bytes
    at += 1 + usize::from(hello[at]); // the session
    at += 2 + usize::from(number(at)); // the ciphers
    at += 1 + usize::from(hello[at]); // the compressions
    at += 2; // the length of all extensions
    while number(at) != 43 {
        at += 4 + usize::from(number(at + 2));
    }
    let list = &hello[at + 5..at + 4 + usize::from(number(at + 2))];
    list.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()
}

#[test]
fn tls_1_1_is_neither_offered_nor_taken() {
    const HANDSHAKE: u8 = 22;
    const ALERT: u8 = 21;
    for pins in [vec![], vec![pin("good")]] {
        let versions = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&versions);
        let (port, seen) = listen(move |mut socket| {
            let (kind, hello) = record(&mut socket).unwrap();
            assert_eq!(kind, HANDSHAKE);
            *told.lock().unwrap() = offered(&hello);
            // A ServerHello of TLS 1.1 without extensions: random bytes, no session, a cipher, no compression.
            let mut answer = vec![2, 0, 0, 38, 3, 2];
            answer.extend([7; 32]);
            answer.extend([0, 0xc0, 0x13, 0]);
            let length = u8::try_from(answer.len()).unwrap();
            socket.write_all(&[&[HANDSHAKE, 3, 2, 0, length], &answer[..]].concat()).unwrap();
            record(&mut socket).map_or_else(String::new, |(kind, content)| format!("{kind} {content:?}"))
        });
        let got = outcome(&format!("https://127.0.0.1:{port}/api/v1"), "roots.pem", &pins);
        assert!(got.starts_with("Transport "), "{got}");
        assert_eq!(*versions.lock().unwrap(), [0x0304, 0x0303]);
        // Fatal, and that the version is not one.
        assert_eq!(seen.recv().unwrap(), format!("{ALERT} [2, 70]"));
    }
}

#[test]
fn what_is_to_go_over_tls_never_goes_without() {
    let (port, seen) = listen(|mut socket| {
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
        request(&mut socket)
    });
    let got = outcome(&format!("https://127.0.0.1:{port}/api/v1"), "roots.pem", &[]);
    assert!(got.starts_with("Transport "), "{got}");
    assert!(!seen.recv().unwrap().contains("HTTP"));
}

#[test]
fn pins_that_nobody_would_keep_are_refused() {
    let config = |base_url: &str, pins: &[&str]| SiteConfig {
        site_token: Some(TOKEN.into()),
        base_url: Some(base_url.into()),
        tls_pins: pins.iter().map(|&pin| pin.to_owned()).collect(),
        ..SiteConfig::default()
    };
    let good = pin("good");
    assert!(LimeSite::new(config("https://127.0.0.1/api/v1", &[&good])).is_ok());
    for (base_url, pins) in [
        ("http://127.0.0.1/api/v1", &[good.as_str()][..]),
        ("https://127.0.0.1/api/v1", &["sha256/nothing"]),
        ("https://127.0.0.1/api/v1", &[&good, ""]),
    ] {
        let error = LimeSite::new(config(base_url, pins)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{base_url} {pins:?}");
        assert!(error.message().starts_with("tls_pins"), "{error}");
    }
    let client = lime_core::transport::host::HostTransport::new(Nobody);
    let carried =
        SiteConfig { transport: Some(Arc::new(client)), ..config("https://127.0.0.1/api/v1", &[&good]) };
    let error = LimeSite::new(carried).unwrap_err();
    assert_eq!(error.message(), "tls_pins cannot be kept by the host's own HTTP client");
}

struct Nobody;

impl lime_core::transport::host::HostClient for Nobody {
    fn begin(
        &self,
        _transport: &lime_core::transport::host::HostTransport,
        _id: u64,
        _operation: Option<lime_core::OperationId>,
        _request: lime_core::transport::Request,
        _stream: bool,
    ) -> bool {
        false
    }

    fn resume(&self, _id: u64) {}

    fn abort(&self, _id: u64) {}
}

#[test]
fn that_everybody_can_read_along_is_said_once() {
    for (base_url, warned) in [
        ("http://lime.example/api/v1", 1),
        ("http://192.0.2.1/api/v1", 1),
        ("https://lime.example/api/v1", 0),
        ("http://127.0.0.1:1/api/v1", 0),
        ("http://localhost:1/api/v1", 0),
        ("http://[::1]:1/api/v1", 0),
    ] {
        let records = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&records);
        let logger = Logger::new(Level::Warning, move |level, text| {
            written.lock().unwrap().push((level, text.to_owned()));
        });
        let config = SiteConfig {
            site_token: Some(TOKEN.into()),
            base_url: Some(base_url.into()),
            transport: Some(Arc::new(lime_core::transport::host::HostTransport::new(Nobody))),
            logger,
            ..SiteConfig::default()
        };
        let site = LimeSite::new(config).unwrap();
        for _ in 0..3 {
            assert!(site.create_login_request().wait().is_err());
        }
        let records = records.lock().unwrap();
        let found: Vec<_> = records.iter().filter(|(_, text)| text.contains("without TLS")).collect();
        assert_eq!(found.len(), warned, "{base_url}: {records:?}");
        assert!(found.iter().all(|(level, text)| *level == Level::Warning && text.starts_with(base_url)));
    }
}
