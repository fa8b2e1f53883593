//! The host's own HTTP client: every byte goes through it, and giving up tells it so.

#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use common::LONG;
use lime_core::clock::ManualClock;
use lime_core::transport::host::{ExchangeId, HostClient, HostTransport};
use lime_core::transport::{Request, TransportError};
use lime_core::{ErrorKind, LimeSite, SiteConfig};

#[derive(Debug)]
enum Asked {
    Begin(ExchangeId, Box<Request>),
    Resume(ExchangeId),
    Abort(ExchangeId),
}

struct Client(Mutex<Sender<Asked>>);

impl HostClient for Client {
    fn begin(
        &self,
        _: &HostTransport,
        id: ExchangeId,
        _operation: Option<u64>,
        request: Request,
        _stream: bool,
    ) -> bool {
        self.0.lock().unwrap().send(Asked::Begin(id, Box::new(request))).is_ok()
    }
    fn resume(&self, id: ExchangeId) {
        let _ = self.0.lock().unwrap().send(Asked::Resume(id));
    }
    fn abort(&self, id: ExchangeId) {
        let _ = self.0.lock().unwrap().send(Asked::Abort(id));
    }
    fn keeps_time(&self) -> bool {
        true
    }
}

fn hosted() -> (LimeSite, HostTransport, Receiver<Asked>) {
    hosted_with(SiteConfig::default())
}

fn hosted_with(config: SiteConfig) -> (LimeSite, HostTransport, Receiver<Asked>) {
    let (sender, asked) = mpsc::channel();
    let transport = HostTransport::new(Client(Mutex::new(sender)));
    let config = SiteConfig {
        site_token: Some("st_x".into()),
        max_retries: 0,
        transport: Some(Arc::new(transport.clone())),
        ..config
    };
    (LimeSite::new(config).unwrap(), transport, asked)
}

fn begun(asked: &Receiver<Asked>) -> (ExchangeId, Request) {
    match asked.recv_timeout(LONG).unwrap() {
        Asked::Begin(id, request) => (id, *request),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_goes_through_the_host() {
    let (site, transport, asked) = hosted();
    let (sender, results) = mpsc::channel();
    site.create_login_request().start(move |result| sender.send(result).unwrap());
    let (id, request) = begun(&asked);
    assert_eq!(request.uri(), "https://lime.pics/api/v1/modules/agent-login/requests");
    assert!(request.headers()["x-site-token"].is_sensitive());
    transport.head(id, 201, [(&b"content-type"[..], &b"application/json"[..]), (b"bad name", b"x")]);
    for byte in br#"{"ok":true,"data":{"login_request_id":"lr_1","status":"PENDING","expires_at":"2026-01-01T00:00:00Z"}}"# {
        assert!(transport.chunk(id, vec![*byte].into()));
    }
    transport.end(id);
    assert_eq!(results.recv_timeout(LONG).unwrap().unwrap().request_id, "lr_1");
    transport.end(id); // late and unknown numbers are ignored
    transport.fail(id + 1000, TransportError::maybe_sent("nobody asked"));
}

#[test]
fn failures_and_missing_answers() {
    let (site, transport, asked) = hosted();
    for (failure, kind) in [
        (TransportError::not_sent("no route"), ErrorKind::Transport),
        (TransportError::timeout("slow"), ErrorKind::TransportTimeout),
    ] {
        let (sender, results) = mpsc::channel();
        site.create_login_request().start(move |result| sender.send(result).unwrap());
        transport.fail(begun(&asked).0, failure);
        assert_eq!(results.recv_timeout(LONG).unwrap().unwrap_err().kind(), kind);
    }
    assert_eq!(format!("{transport:?}"), "HostTransport");
}

/// What a host hands over is looked at like what comes over a socket.
#[test]
fn answers_that_make_no_sense() {
    let (site, transport, asked) = hosted();
    let ends = |answer: fn(&HostTransport, ExchangeId)| {
        let (sender, results) = mpsc::channel();
        site.create_login_request().start(move |result| sender.send(result).unwrap());
        answer(&transport, begun(&asked).0);
        results.recv_timeout(LONG).unwrap().unwrap_err()
    };
    // Below 100 there is no status; whether the platform has acted is not known.
    let error = ends(|host, id| host.head(id, 99, []));
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert!(error.message().contains("99"), "{error}");
    let broken_off = ends(|host, id| {
        host.head(id, 200, []);
        host.chunk(id, Bytes::from_static(b"{"));
        host.fail(id, TransportError::maybe_sent("cut"));
    });
    assert_eq!(broken_off.kind(), ErrorKind::Transport);
    let too_large = ends(|host, id| {
        host.head(id, 200, []);
        for _ in 0..3 {
            host.chunk(id, Bytes::from(vec![b'x'; 1 << 20]));
        }
        host.end(id);
    });
    assert_eq!(too_large.kind(), ErrorKind::BadResponse);
}

#[derive(Debug)]
struct Faulty;

impl HostClient for Faulty {
    fn begin(&self, _: &HostTransport, _: ExchangeId, _: Option<u64>, _: Request, _: bool) -> bool {
        let token = "st_x";
        panic!("the token is {token}")
    }
    fn resume(&self, _: ExchangeId) {}
    fn abort(&self, _: ExchangeId) {}
}

#[test]
fn a_host_that_panics_fails_its_call_and_nothing_else() {
    let config = SiteConfig {
        site_token: Some("st_x".into()),
        transport: Some(Arc::new(HostTransport::new(Faulty))),
        ..SiteConfig::default()
    };
    let site = LimeSite::new(config).unwrap();
    for _ in 0..2 {
        let error = site.create_login_request().wait().unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Internal, Some("INTERNAL")));
        assert!(!error.message().contains("st_x"), "{error}");
    }
}

#[test]
fn giving_up_aborts_the_hosts_request() {
    let (site, _transport, asked) = hosted();
    let id = site.create_login_request().start(|_| ());
    let (exchange, _) = begun(&asked);
    assert!(lime_core::cancel_operation(id));
    assert!(matches!(asked.recv_timeout(LONG).unwrap(), Asked::Abort(aborted) if aborted == exchange));
}

#[test]
fn a_stream_is_held_back_when_nobody_reads_and_closed_with_the_site() {
    let (site, transport, asked) = hosted();
    let (go, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    site.on_login(move |_| {
        let _ = gate.lock().unwrap().recv();
    })
    .unwrap();
    let (id, request) = begun(&asked);
    assert_eq!(request.headers()["accept"], "text/event-stream");
    transport.head(id, 200, [(&b"content-type"[..], &b"text/event-stream"[..])]);
    let frame = |n| {
        format!(
            "data: {{\"type\":\"expired\",\"login_request_id\":\"lr_{n}\",\"pad\":\"{}\"}}\n\n",
            "x".repeat(2000)
        )
    };
    let mut n = 0;
    while transport.chunk(id, frame(n).into()) {
        n += 1;
        assert!(n < 10_000, "the host was never asked to pause");
    }
    drop(go);
    assert!(matches!(asked.recv_timeout(LONG).unwrap(), Asked::Resume(resumed) if resumed == id));
    site.close();
    assert!(matches!(asked.recv_timeout(LONG).unwrap(), Asked::Abort(aborted) if aborted == id));
}

#[test]
fn thousands_of_waits_read_their_requests_a_few_at_a_time() {
    let (site, transport, asked) = hosted();
    let (sender, results) = mpsc::channel();
    let wait = |number: usize| {
        let sender = sender.clone();
        site.wait_for_login(&format!("lr_{number}"), LONG).start(move |result| drop(sender.send(result)));
    };
    wait(0);
    let (stream, _) = begun(&asked);
    (1..1000).for_each(wait);
    transport.head(stream, 200, [(&b"content-type"[..], &b"text/event-stream"[..])]);
    let mut reading = std::collections::VecDeque::new();
    for read in 0..1000 {
        // One that has ended makes room for one more, and for no other.
        while reading.len() < 16.min(1000 - read) {
            reading.push_back(begun(&asked));
        }
        assert!(asked.try_recv().is_err(), "more than 16 at a time");
        let (id, request) = reading.pop_front().unwrap();
        assert_eq!(request.method(), "GET");
        transport.head(id, 200, [(&b"content-type"[..], &b"application/json"[..])]);
        transport.chunk(id, br#"{"ok":true,"data":{"status":"EXPIRED"}}"#.to_vec().into());
        transport.end(id);
        assert!(results.recv_timeout(LONG).unwrap().unwrap().passport.is_none());
    }
}

/// The host keeps the time of the program's calls. These are the library's own, and others wait behind them.
#[test]
fn a_look_at_a_request_ends_when_the_host_never_answers() {
    let timeout = Duration::from_millis(50);
    let (site, transport, asked) = hosted_with(SiteConfig { timeout, ..SiteConfig::default() });
    site.wait_for_login("lr_1", LONG).start(|_| ());
    let (stream, _) = begun(&asked);
    transport.head(stream, 200, [(&b"content-type"[..], &b"text/event-stream"[..])]);
    let (look, request) = begun(&asked);
    assert!(request.uri().path().ends_with("/lr_1"));
    assert!(matches!(asked.recv_timeout(LONG).unwrap(), Asked::Abort(aborted) if aborted == look));
}

/// Panics when it is to look at a request for the first time.
struct FaultyOnce(Client, AtomicBool);

impl HostClient for FaultyOnce {
    fn begin(
        &self,
        transport: &HostTransport,
        id: ExchangeId,
        operation: Option<u64>,
        request: Request,
        stream: bool,
    ) -> bool {
        assert!(stream || self.1.swap(true, Ordering::SeqCst), "a fault of the host");
        self.0.begin(transport, id, operation, request, stream)
    }
    fn resume(&self, id: ExchangeId) {
        self.0.resume(id);
    }
    fn abort(&self, _: ExchangeId) {}
}

#[test]
fn a_host_that_panics_in_a_look_is_asked_again() {
    let (sender, asked) = mpsc::channel();
    let transport = HostTransport::new(FaultyOnce(Client(Mutex::new(sender)), AtomicBool::new(false)));
    let clock = Arc::new(ManualClock::default());
    let config = SiteConfig {
        site_token: Some("st_x".into()),
        transport: Some(Arc::new(transport.clone())),
        clock: Arc::<ManualClock>::clone(&clock),
        ..SiteConfig::default()
    };
    let site = LimeSite::new(config).unwrap();
    let (sender, results) = mpsc::channel();
    site.wait_for_login("lr_1", LONG).start(move |result| sender.send(result).unwrap());
    let (stream, _) = begun(&asked);
    transport.head(stream, 200, [(&b"content-type"[..], &b"text/event-stream"[..])]);
    // Once the time for it has come, which is long before that of the wait.
    let first = || clock.wait_for_alarm(LONG).filter(|first| *first < LONG / 2);
    clock.advance(std::iter::repeat_with(first).flatten().next().unwrap());
    let (look, _) = begun(&asked);
    transport.head(look, 200, [(&b"content-type"[..], &b"application/json"[..])]);
    transport.chunk(look, br#"{"ok":true,"data":{"status":"EXPIRED"}}"#.to_vec().into());
    transport.end(look);
    assert!(results.recv_timeout(LONG).unwrap().unwrap().passport.is_none());
}
