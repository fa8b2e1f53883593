//! The event stream against the sandbox.

#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::*;
use futures_util::future::BoxFuture;
use lime_core::clock::{Clock, ManualClock};
use lime_core::log::{Level, Logger};
use lime_core::{ErrorKind, LimeSite, LoginEvent, SiteConfig, StreamState};
use lime_sandbox::{Fault, Sandbox};

#[test]
fn events_come_after_a_cut_in_the_middle_of_a_frame() {
    let sandbox = sandbox();
    for reset in [false, true] {
        let (site, events) = listening(&sandbox);
        let fault = Fault::on("events").cut();
        sandbox.add_fault(if reset { fault.with_reset() } else { fault }).unwrap();
        let id = approved(&sandbox, &site);
        assert_eq!(events.recv_timeout(LONG).unwrap().request_id, id);
        assert!(events.try_recv().is_err(), "once");
        assert_eq!(site.stream_status().connections, 2);
        site.close_and_wait();
        assert!(sandbox.wait_for_streams_blocking(0, LONG));
    }
}

#[test]
fn an_expired_request_has_no_passport() {
    let sandbox = sandbox();
    let (site, events) = listening(&sandbox);
    let request = site.create_login_request().wait().unwrap();
    sandbox.advance(Duration::from_secs(3600)).unwrap();
    let event = events.recv_timeout(LONG).unwrap();
    assert_eq!((event.request_id, event.passport), (request.request_id, None));
}

/// A site that has begun to open its stream, and a clock that shows how long it waits before it tries again.
fn waiting(sandbox: &Sandbox) -> (LimeSite, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let config = SiteConfig {
        clock: Arc::clone(&clock) as _,
        sse_backoff_base: Duration::from_millis(500),
        ..site_config(sandbox)
    };
    let site = LimeSite::new(config).unwrap();
    site.start_events().unwrap();
    (site, clock)
}

#[test]
fn what_is_no_event_stream_is_not_hammered() {
    let html = || Fault::on("events").status(200).header("Content-Type", "text/html").body("<p>").always();
    for (fault, state, kind, first_waits) in [
        (html(), StreamState::BackingOff, ErrorKind::BadResponse, vec![250, 500, 1000, 2000, 4000, 4000]),
        (
            Fault::on("events").redirect("http://127.0.0.1:1/").always(),
            StreamState::BackingOff,
            ErrorKind::BadResponse,
            vec![250, 500],
        ),
        (Fault::on("events").status(500).always(), StreamState::BackingOff, ErrorKind::Api, vec![250, 500]),
        (
            Fault::on("events").drop_before().always(),
            StreamState::BackingOff,
            ErrorKind::Transport,
            vec![250, 500],
        ),
        (
            Fault::on("events").status(503).header("Retry-After", "7").always(),
            StreamState::BackingOff,
            ErrorKind::Api,
            vec![7000, 7000],
        ),
        (
            Fault::on("events").status(429).header("Retry-After", "86400").always(),
            StreamState::BackingOff,
            ErrorKind::RateLimit,
            vec![300_000],
        ),
        (
            Fault::on("events").status(204).always(),
            StreamState::Refused,
            ErrorKind::Api,
            vec![60_000, 120_000],
        ),
        (
            Fault::on("events").status(403).always(),
            StreamState::Refused,
            ErrorKind::Authentication,
            vec![60_000, 120_000],
        ),
    ] {
        let sandbox = sandbox();
        let what = format!("{fault:?}");
        sandbox.add_fault(fault).unwrap();
        let (site, clock) = waiting(&sandbox);
        for round in 1..=first_waits.len() {
            let waits = clock.wait_for_sleeps(round);
            let status = site.stream_status();
            assert_eq!(status.state, state, "{what}");
            assert_eq!(status.last_error.map(|error| error.kind()), Some(kind), "{what}");
            if round < first_waits.len() {
                clock.advance(waits[round - 1]);
            }
        }
        let waits: Vec<u128> = clock.slept().iter().map(Duration::as_millis).collect();
        assert_eq!(waits, first_waits, "{what}: half of each wait, at a jitter of 0");
        assert_eq!(sandbox.received_on("events").len(), first_waits.len(), "{what}");
    }
}

#[test]
fn the_last_event_id_is_handed_back() {
    let sandbox = sandbox();
    let (_site, events) = listening(&sandbox);
    sandbox
        .push_raw(None, "id: 41\nretry: 1\ndata: {\"type\":\"expired\",\"login_request_id\":\"lr_1\"}\n\n");
    events.recv_timeout(LONG).unwrap();
    sandbox.disconnect_streams(None, false);
    assert!(sandbox.wait_for_received_blocking("events", 2, LONG));
    assert_eq!(sandbox.received_on("events")[1].headers["last-event-id"], "41");
    // A connection without an id of its own changes nothing.
    assert!(sandbox.wait_for_streams_blocking(1, LONG));
    sandbox.push_raw(None, "data: {\"type\":\"expired\",\"login_request_id\":\"lr_2\"}\n\n");
    events.recv_timeout(LONG).unwrap();
    sandbox.disconnect_streams(None, false);
    assert!(sandbox.wait_for_received_blocking("events", 3, LONG));
    assert_eq!(sandbox.received_on("events")[2].headers["last-event-id"], "41");
}

#[test]
fn a_wait_that_begins_late_finds_its_event_behind_two_thousand_others() {
    let sandbox = sandbox();
    let (site, events) = listening(&sandbox);
    let others =
        (0..2000).map(|n| format!("data: {{\"type\":\"expired\",\"login_request_id\":\"other_{n}\"}}\n\n"));
    let first =
        "data: {\"type\":\"approved\",\"login_request_id\":\"lr_1\",\"agent_passport_jwt\":\"a.b.c\"}\n\n";
    sandbox.push_raw(None, std::iter::once(first.to_owned()).chain(others).collect::<String>());
    for _ in 0..2001 {
        events.recv_timeout(LONG).unwrap();
    }
    let event = site.wait_for_login("lr_1", LONG).wait().unwrap();
    assert_eq!(event.passport.as_deref(), Some("a.b.c"));
}

#[test]
fn a_last_event_id_that_is_not_taken_does_not_keep_the_stream_down() {
    let sandbox = sandbox();
    let (site, events) = listening(&sandbox);
    let ends = |id: &str, connections| {
        let event = format!(
            "id: {id}\nretry: 1\ndata: {{\"type\":\"expired\",\"login_request_id\":\"{connections}\"}}\n\n"
        );
        sandbox.push_raw(None, event);
        events.recv_timeout(LONG).unwrap();
        sandbox.disconnect_streams(None, false);
        assert!(sandbox.wait_for_received_blocking("events", connections, LONG));
    };
    let sent =
        |connection: usize| sandbox.received_on("events")[connection].headers.contains_key("last-event-id");
    for (connection, status) in [(1, 400), (3, 431)] {
        sandbox.add_fault(Fault::on("events").status(status)).unwrap();
        ends("41", connection + 2);
        assert!(sent(connection) && !sent(connection + 1), "HTTP {status}");
        wait_for_state(&site, StreamState::Open);
    }
    // Servers have limits for headers, and some close the connection without a word.
    ends(&"4".repeat(100_000), 6);
    assert!(!sent(5));
}

#[test]
fn a_line_without_end_costs_the_connection_and_no_memory() {
    let sandbox = sandbox();
    let (site, events) = listening(&sandbox);
    sandbox.push_raw(None, vec![b'x'; (1 << 20) + 1]);
    assert!(sandbox.wait_for_received_blocking("events", 2, LONG));
    wait_for_state(&site, StreamState::Open);
    let id = approved(&sandbox, &site);
    assert_eq!(events.recv_timeout(LONG).unwrap().request_id, id);
}

/// A site whose stream is open, and whose time stands still.
fn silent(sandbox: &Sandbox) -> (LimeSite, Receiver<LoginEvent>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default().skipping_sleeps());
    let site = LimeSite::new(SiteConfig { clock: Arc::clone(&clock) as _, ..site_config(sandbox) }).unwrap();
    let events = events(&site);
    assert!(sandbox.wait_for_streams_blocking(1, LONG));
    wait_for_state(&site, StreamState::Open);
    (site, events, clock)
}

/// Sends this, and an event behind it, and waits until that is there.
fn heard(sandbox: &Sandbox, events: &Receiver<LoginEvent>, bytes: &str, number: usize) {
    let event = format!("data: {{\"type\":\"expired\",\"login_request_id\":\"lr_{number}\"}}\n\n");
    sandbox.push_raw(None, format!("{bytes}{event}"));
    assert_eq!(events.recv_timeout(LONG).unwrap().request_id, format!("lr_{number}"));
}

#[test]
fn a_stream_that_falls_silent_is_opened_anew() {
    let sandbox = sandbox();
    let (site, events, clock) = silent(&sandbox);
    heard(&sandbox, &events, "", 1);
    clock.advance(Duration::from_secs(310));
    assert!(sandbox.wait_for_received_blocking("events", 2, LONG));
    assert_eq!(site.stream_status().last_error.unwrap().message(), "The event stream fell silent");
}

#[test]
fn a_stream_whose_keepalives_stop_is_opened_anew_after_three_of_them() {
    for keepalive in [":\n\n", "data: {\"type\":\"keepalive\"}\n\n"] {
        let sandbox = common::sandbox();
        let (site, events, clock) = silent(&sandbox);
        for number in 0..4 {
            heard(&sandbox, &events, keepalive, number);
            clock.advance(Duration::from_secs(20));
        }
        // Any byte shows that it lives.
        clock.advance(Duration::from_secs(39));
        heard(&sandbox, &events, "", 4);
        clock.advance(Duration::from_secs(59));
        heard(&sandbox, &events, "", 5);
        assert_eq!(site.stream_status().connections, 1);
        clock.advance(Duration::from_secs(60));
        assert!(sandbox.wait_for_received_blocking("events", 2, LONG));
        assert_eq!(site.stream_status().last_error.unwrap().message(), "The event stream fell silent");
    }
}

/// Counts how often somebody looks at it: whoever reads a stream does with each piece.
#[derive(Debug)]
struct Watched(ManualClock, AtomicUsize);

impl Clock for Watched {
    fn unix(&self) -> Duration {
        self.0.unix()
    }

    fn monotonic(&self) -> Duration {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.monotonic()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(duration)
    }

    fn alarm(&self, moment: Duration) -> BoxFuture<'static, ()> {
        self.0.alarm(moment)
    }

    fn watchdog(&self, moment: Duration) -> BoxFuture<'static, ()> {
        self.0.watchdog(moment)
    }

    fn jitter(&self) -> f64 {
        0.0
    }
}

#[test]
fn a_stream_of_nothing_but_comments_lives() {
    let sandbox = sandbox();
    let clock = Arc::new(Watched(ManualClock::default().skipping_sleeps(), AtomicUsize::new(0)));
    let site = LimeSite::new(SiteConfig { clock: Arc::clone(&clock) as _, ..site_config(&sandbox) }).unwrap();
    let events = events(&site);
    assert!(sandbox.wait_for_streams_blocking(1, LONG));
    heard(&sandbox, &events, "", 0);
    for _ in 0..20 {
        let looks = clock.1.load(Ordering::SeqCst);
        sandbox.push_raw(None, ": still here\n\n");
        while clock.1.load(Ordering::SeqCst) == looks {
            std::thread::yield_now(); // nothing tells of it
        }
        clock.0.advance(Duration::from_secs(25));
    }
    heard(&sandbox, &events, "", 1);
    assert_eq!(site.stream_status().connections, 1);
}

#[test]
fn waiting_for_one_request() {
    let sandbox = sandbox();
    let site = site(&sandbox);
    // Before the wait.
    site.start_events().unwrap();
    assert!(sandbox.wait_for_streams_blocking(1, LONG));
    let id = approved(&sandbox, &site);
    assert!(site.wait_for_login(&id, LONG).wait().unwrap().passport.is_some());
    // During the wait, two of them, each for its own.
    let first = site.create_login_request().wait().unwrap().request_id;
    let second = site.create_login_request().wait().unwrap().request_id;
    let (sender, ended) = std::sync::mpsc::channel();
    for id in [&first, &second] {
        let sender = sender.clone();
        site.wait_for_login(id, LONG).start(move |result| sender.send(result.unwrap()).unwrap());
    }
    sandbox.approve(&second, None).unwrap();
    assert_eq!(ended.recv_timeout(LONG).unwrap().request_id, second);
    sandbox.expire(&first).unwrap();
    let event = ended.recv_timeout(LONG).unwrap();
    assert_eq!((event.request_id, event.passport), (first, None));
    // In vain.
    let third = site.create_login_request().wait().unwrap().request_id;
    let error = site.wait_for_login(&third, Duration::from_millis(1)).wait().unwrap_err();
    assert_eq!((error.kind(), error.request_id()), (ErrorKind::Timeout, Some(third.as_str())));
    // Closed meanwhile.
    let (sender, ended) = std::sync::mpsc::channel();
    site.wait_for_login(&third, LONG).start(move |result| sender.send(result).unwrap());
    site.close();
    assert_eq!(ended.recv_timeout(LONG).unwrap().unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn an_expiry_that_was_missed_is_asked_for() {
    let sandbox = sandbox();
    let site = site(&sandbox);
    let request = site.create_login_request().wait().unwrap();
    // The event goes to another stream of the same site, and is not sent again.
    let (other, events) = listening(&sandbox);
    sandbox.expire(&request.request_id).unwrap();
    events.recv_timeout(LONG).unwrap();
    other.close();
    let event = site.wait_for_login(&request.request_id, LONG).wait().unwrap();
    assert_eq!(event.passport, None);
}

#[test]
fn a_handler_that_panics_does_not_stop_the_others() {
    let sandbox = sandbox();
    let site = site(&sandbox);
    site.on_login(|_| panic!("a handler of the host's fails")).unwrap();
    let events = events(&site);
    assert!(sandbox.wait_for_streams_blocking(1, LONG));
    for _ in 0..2 {
        let id = approved(&sandbox, &site);
        assert_eq!(events.recv_timeout(LONG).unwrap().request_id, id);
    }
}

#[test]
fn closing_inside_a_handler() {
    let sandbox = sandbox();
    let site = site(&sandbox);
    let (sender, closed) = std::sync::mpsc::channel();
    let inner = site.clone();
    site.on_login(move |_| {
        let blocked = inner.create_login_request().wait().unwrap_err().kind();
        inner.close_and_wait();
        sender.send((blocked, inner.create_login_request().wait().unwrap_err().kind())).unwrap();
    })
    .unwrap();
    assert!(sandbox.wait_for_streams_blocking(1, LONG));
    approved(&sandbox, &site);
    assert_eq!(closed.recv_timeout(LONG).unwrap(), (ErrorKind::WouldDeadlock, ErrorKind::Closed));
    assert_eq!(site.stream_status().state, StreamState::Closed);
    assert!(sandbox.wait_for_streams_blocking(0, LONG));
}

#[test]
fn closing_twice_inside_a_handler() {
    let sandbox = sandbox();
    let site = site(&sandbox);
    let (sender, closed) = std::sync::mpsc::channel();
    let inner = site.clone();
    site.on_login(move |_| {
        inner.close();
        inner.close_and_wait();
        sender.send(()).unwrap();
    })
    .unwrap();
    assert!(sandbox.wait_for_streams_blocking(1, LONG));
    approved(&sandbox, &site);
    closed.recv_timeout(LONG).unwrap();
}

#[test]
fn a_full_queue_does_not_hold_up_those_who_wait_for_one_event() {
    let sandbox = sandbox();
    let site = LimeSite::new(SiteConfig { event_queue_limit: 1, ..site_config(&sandbox) }).unwrap();
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    site.on_login(move |_| {
        let _ = gate.lock().unwrap().recv();
    })
    .unwrap();
    assert!(sandbox.wait_for_streams_blocking(1, LONG));
    approved(&sandbox, &site); // the handler is busy with this one, and the queue is full
    let id = site.create_login_request().wait().unwrap().request_id;
    sandbox.approve(&id, None).unwrap();
    assert!(site.wait_for_login(&id, LONG).wait().unwrap().passport.is_some());
    drop(go);
}

#[test]
fn waits_that_make_no_sense_do_not_end_the_stream() {
    let sandbox = sandbox();
    for base in [Duration::ZERO, Duration::MAX] {
        let clock = Arc::new(ManualClock::default());
        let config =
            SiteConfig { clock: Arc::clone(&clock) as _, sse_backoff_base: base, ..site_config(&sandbox) };
        let site = LimeSite::new(config).unwrap();
        let fault = sandbox.add_fault(Fault::on("events").status(500).always()).unwrap();
        site.start_events().unwrap();
        let waits = clock.wait_for_sleeps(1);
        assert!(waits[0] > Duration::ZERO && waits[0] <= Duration::from_secs(3600), "{waits:?}");
        clock.advance(waits[0]);
        clock.wait_for_sleeps(2);
        sandbox.remove_fault(fault).unwrap();
    }
}

/// What a binding takes its events by.
#[test]
fn a_sink_has_the_events_and_handlers_have_none() {
    let sandbox = sandbox();
    let (sender, deliveries) = mpsc::channel();
    let sender = Mutex::new(sender);
    let site = LimeSite::with_event_sink(site_config(&sandbox), move |arrived| {
        let on_runtime = std::thread::current().name() == Some("lime-runtime");
        sender.lock().unwrap().send((on_runtime, arrived)).unwrap();
    })
    .unwrap();
    site.on_login(|_| unreachable!("they go to the sink alone")).unwrap();
    assert!(sandbox.wait_for_streams_blocking(1, LONG));
    let ids = [approved(&sandbox, &site), approved(&sandbox, &site)];
    let mut arrived = Vec::new();
    while arrived.len() < ids.len() {
        let (on_runtime, deliveries) = deliveries.recv_timeout(LONG).unwrap();
        assert!(on_runtime);
        let shown = format!("{deliveries:?}");
        assert!(shown.contains("LoginEvent") && !shown.contains("eyJ"), "the passport is not shown: {shown}");
        arrived.extend(deliveries.iter().map(|delivery| delivery.event.request_id.clone()));
    }
    assert_eq!(arrived, ids);
}

#[test]
fn a_state_is_told_once_where_it_changes_and_closing_is_not() {
    let sandbox = sandbox();
    let site = site(&sandbox);
    let (sender, states) = mpsc::channel();
    let sender = Mutex::new(sender);
    site.on_state_undispatched(move |status| sender.lock().unwrap().send(status.state).unwrap()).unwrap();
    assert_eq!(states.try_recv(), Ok(StreamState::Idle), "before the call returned");
    let events = events(&site);
    approved(&sandbox, &site);
    events.recv_timeout(LONG).unwrap();
    assert_eq!([states.try_recv(), states.try_recv()], [Ok(StreamState::Connecting), Ok(StreamState::Open)]);
    site.close_and_wait();
    assert!(states.try_recv().is_err());
    assert_eq!(site.on_state_undispatched(|_| ()).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(site.on_state(|_| ()).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(site.on_login(|_| ()).unwrap_err().kind(), ErrorKind::Closed);
}

/// The platform's own faults are told, and what they say is made fit for a log.
#[test]
fn an_error_of_the_platform_is_logged_and_the_stream_goes_on() {
    let sandbox = sandbox();
    let (sender, records) = mpsc::channel();
    let sender = Mutex::new(sender);
    let logger =
        Logger::new(Level::Error, move |_, text| sender.lock().unwrap().send(text.to_owned()).unwrap());
    let site = LimeSite::new(SiteConfig { logger, ..site_config(&sandbox) }).unwrap();
    let events = events(&site);
    assert!(sandbox.wait_for_streams_blocking(1, LONG));
    sandbox.push_raw(None, "data: {\"type\":\"error\",\"code\":\"X\\u001b[31m\",\"message\":\"a\\nb\"}\n\n");
    let id = approved(&sandbox, &site);
    assert_eq!(events.recv_timeout(LONG).unwrap().request_id, id);
    let record = records.recv_timeout(LONG).unwrap();
    assert!(record.contains("SSE error frame") && record.contains('X'), "{record}");
    assert!(!record.contains('\u{1b}') && !record.contains('\n'), "{record:?}");
    assert_eq!(site.stream_status().connections, 1);
}

/// `timeout` is for calls. A stream lives for as long as it does.
#[test]
fn the_time_that_a_call_may_take_does_not_end_a_stream() {
    let sandbox = sandbox();
    let config = SiteConfig { timeout: Duration::from_millis(50), max_retries: 0, ..site_config(&sandbox) };
    let site = LimeSite::new(config).unwrap();
    let events = events(&site);
    assert!(sandbox.wait_for_streams_blocking(1, LONG));
    wait_for_state(&site, StreamState::Open);
    sandbox.add_fault(Fault::on("read_request").half_open().always()).unwrap();
    for id in ["lr_1", "lr_2"] {
        // When this has run out of time, the stream has been open for longer than that.
        let error = site.read_login_request(id).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TransportTimeout);
        sandbox.push_raw(None, format!("data: {{\"type\":\"expired\",\"login_request_id\":\"{id}\"}}\n\n"));
        assert_eq!(events.recv_timeout(LONG).unwrap().request_id, id);
    }
    assert_eq!(site.stream_status().connections, 1);
}

#[test]
fn streams_that_open_and_end_at_once_are_not_hammered() {
    let event = "data: {\"type\":\"expired\",\"login_request_id\":\"lr_1\"}\n\n";
    for body in ["", ":\n\n", "retry: 1\n\n", event] {
        let sandbox = sandbox();
        let fault = Fault::on("events").status(200).header("Content-Type", "text/event-stream").body(body);
        sandbox.add_fault(fault.always()).unwrap();
        let (site, clock) = waiting(&sandbox);
        let wanted = [250, 500, 1000, 2000, 4000, 4000];
        for round in 1..=wanted.len() {
            let waits = clock.wait_for_sleeps(round);
            let status = site.stream_status();
            assert_eq!(status.state, StreamState::BackingOff, "{body:?}");
            assert_eq!(status.last_error.map(|error| error.kind()), Some(ErrorKind::Transport), "{body:?}");
            assert_eq!(status.connections, round as u64, "{body:?}: it was open, if only for a moment");
            if round < wanted.len() {
                clock.advance(waits[round - 1]);
            }
        }
        let waits: Vec<u128> = clock.slept().iter().map(Duration::as_millis).collect();
        assert_eq!(waits, wanted, "{body:?}: half of each wait, at a jitter of 0");
        assert_eq!(sandbox.received_on("events").len(), wanted.len(), "{body:?}");
    }
}
