//! Every login request that a site has created is seen to end, once, or the host is told that it is not.

#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

mod common;

use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::*;
use lime_core::clock::{Clock, ManualClock};
use lime_core::log::{Level, Logger};
use lime_core::{ErrorKind, Gap, LimeSite, LoginEvent, SiteConfig, StreamState};
use lime_sandbox::{Fault, LoginStatus, Sandbox};
use serde_json::json;

const SETTLED: Duration = Duration::from_secs(5);

/// A site that reconnects at once, asks when its clock says so, and has handlers for everything.
struct Scene {
    sandbox: Sandbox,
    clock: Arc<ManualClock>,
    site: LimeSite,
    events: Receiver<LoginEvent>,
    gaps: Receiver<Gap>,
    errors: Receiver<String>,
}

impl Scene {
    fn new() -> Self {
        Self::with(|config| config)
    }

    fn with(change: impl FnOnce(SiteConfig) -> SiteConfig) -> Self {
        let sandbox = sandbox();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let clock = Arc::new(ManualClock::at(now).skipping_sleeps());
        let (sender, errors) = mpsc::channel();
        let sender = Mutex::new(sender);
        let logger = Logger::new(Level::Error, move |_, text| {
            let _ = sender.lock().unwrap().send(text.to_owned());
        });
        let config = SiteConfig { clock: Arc::clone(&clock) as _, logger, ..site_config(&sandbox) };
        let site = LimeSite::new(change(config)).unwrap();
        let (sender, gaps) = mpsc::channel();
        site.on_gap(move |gap| {
            let _ = sender.send(gap.clone());
        })
        .unwrap();
        let events = events(&site);
        wait_for_state(&site, StreamState::Open);
        Self { sandbox, clock, site, events, gaps, errors }
    }

    fn create(&self) -> String {
        self.site.create_login_request().wait().unwrap().request_id
    }

    /// The event that comes next goes into a connection that is dead.
    fn lose(&self) {
        self.sandbox.add_fault(Fault::on("events").lose()).unwrap();
    }

    /// An agent signs in, and nobody is told.
    fn approve_and_lose(&self) -> String {
        let id = self.create();
        self.lose();
        self.sandbox.approve(&id, None).unwrap();
        assert!(self.sandbox.wait_for_status_blocking(&id, LoginStatus::Delivered, LONG));
        id
    }

    /// A request expires, and nobody is told.
    fn expire_and_lose(&self) -> String {
        let id = self.create();
        self.lose();
        self.sandbox.expire(&id).unwrap();
        while self.sandbox.streams().sites[0].undelivered > 0 {
            std::thread::yield_now(); // until the stream has had it
        }
        id
    }

    fn reconnect(&self) {
        self.sandbox.disconnect_streams(None, true);
    }

    fn looks(&self) -> usize {
        self.sandbox.received_on("read_request").len()
    }

    /// Until this many looks were taken and the next one is waited for; gives when it is due.
    fn after_looks(&self, count: usize) -> Duration {
        assert!(self.sandbox.wait_for_received_blocking("read_request", count, LONG));
        let due = self.clock.wait_for_alarm(LONG).unwrap();
        assert_eq!(self.looks(), count);
        due
    }

    fn event(&self) -> (String, Option<String>) {
        let event = self.events.recv_timeout(LONG).unwrap();
        (event.request_id, event.passport)
    }

    /// A while in which the platform sends something now and then, as it does: a stream without is given up.
    fn pass(&self, mut duration: Duration) {
        while duration > Duration::ZERO {
            let step = duration.min(Duration::from_secs(299));
            self.clock.advance(step);
            duration -= step;
            let id = format!("lr_at_{}", self.clock.unix().as_secs());
            let frame = format!("data: {{\"type\":\"expired\",\"login_request_id\":\"{id}\"}}\n\n");
            self.sandbox.push_raw(None, frame);
            assert_eq!(self.event(), (id, None));
        }
    }

    /// An event that comes behind everything that there is to come.
    fn nothing_but_this_comes(&self) {
        let frame = "data: {\"type\":\"expired\",\"login_request_id\":\"lr_last\"}\n\n";
        self.sandbox.push_raw(None, frame);
        assert_eq!(self.event(), ("lr_last".to_owned(), None));
        assert!(self.gaps.try_recv().is_err());
    }
}

#[test]
fn what_the_stream_brings_is_not_asked_for() {
    let scene = Scene::new();
    let ids: Vec<String> = (0..3).map(|_| approved(&scene.sandbox, &scene.site)).collect();
    for id in &ids {
        assert_eq!(&scene.event().0, id);
    }
    scene.pass(Duration::from_secs(1000));
    scene.nothing_but_this_comes();
    assert_eq!(scene.looks(), 0);
}

#[test]
fn an_expiry_that_was_lost_is_found_when_the_stream_opens_again() {
    let scene = Scene::new();
    let id = scene.expire_and_lose();
    scene.reconnect();
    assert_eq!(scene.event(), (id, None));
    scene.nothing_but_this_comes();
    assert_eq!(scene.looks(), 1);
}

#[test]
fn an_expiry_that_was_lost_is_found_when_its_time_is_over() {
    let scene = Scene::new();
    let id = scene.expire_and_lose();
    scene.pass(Duration::from_secs(299));
    assert_eq!(scene.looks(), 0);
    scene.clock.advance(Duration::from_secs(17));
    assert_eq!(scene.event(), (id, None));
    assert_eq!(scene.site.stream_status().connections, 1);
}

#[test]
fn an_expiry_is_found_while_the_stream_cannot_be_opened() {
    // A clock of its own: reconnecting waits for it, too.
    let sandbox = sandbox();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let clock = Arc::new(ManualClock::at(now));
    let site = LimeSite::new(SiteConfig { clock: Arc::clone(&clock) as _, ..site_config(&sandbox) }).unwrap();
    let events = events(&site);
    wait_for_state(&site, StreamState::Open);
    let id = site.create_login_request().wait().unwrap().request_id;
    sandbox.add_fault(Fault::on("events").status(503).always()).unwrap();
    sandbox.disconnect_streams(None, true);
    wait_for_state(&site, StreamState::BackingOff);
    sandbox.expire(&id).unwrap();
    clock.advance(Duration::from_secs(316));
    let event = events.recv_timeout(LONG).unwrap();
    assert_eq!((event.request_id, event.passport), (id, None));
    assert_eq!(site.stream_status().connections, 1);
}

#[test]
fn an_expiry_behind_a_frame_that_nobody_could_read_is_found_soon() {
    let scene = Scene::new();
    let id = scene.expire_and_lose();
    scene.sandbox.push_raw(None, "data: {\"type\":\"expi\n\n");
    while scene.site.stream_status().malformed_frames == 0 {
        std::thread::yield_now(); // nothing tells of it
    }
    while scene.clock.wait_for_alarm(LONG).unwrap() > Duration::from_secs(15) {
        std::thread::yield_now(); // the one before, of the expiry
    }
    scene.clock.advance(Duration::from_secs(15));
    assert_eq!(scene.event(), (id, None));
}

#[test]
fn a_login_that_was_lost_is_reported() {
    let scene = Scene::new();
    let id = scene.approve_and_lose();
    scene.reconnect();
    assert_eq!(scene.after_looks(1), SETTLED);
    scene.clock.advance(SETTLED);
    assert_eq!(scene.gaps.recv_timeout(LONG).unwrap(), Gap { request_ids: vec![id.clone()] });
    let record = scene.errors.iter().find(|record| record.contains(&id)).unwrap();
    assert!(record.contains("lost"), "{record}");
    // Once: it is not outstanding any more.
    scene.reconnect();
    assert!(scene.sandbox.wait_for_received_blocking("events", 3, LONG));
    wait_for_state(&scene.site, StreamState::Open);
    scene.pass(Duration::from_secs(1000));
    scene.nothing_but_this_comes();
    assert_eq!(scene.looks(), 2);
}

#[test]
fn those_that_were_lost_together_are_reported_together() {
    let scene = Scene::new();
    let ids: Vec<String> = (0..40).map(|_| scene.approve_and_lose()).collect();
    scene.reconnect();
    assert!(scene.sandbox.wait_for_received_blocking("read_request", 40, LONG));
    let mut gap = None;
    while gap.is_none() {
        // Answers of the first round may still be on their way; each has its own grace.
        scene.clock.advance(SETTLED);
        gap = scene.gaps.recv_timeout(Duration::from_millis(10)).ok();
    }
    let mut lost = gap.unwrap().request_ids;
    while lost.len() < ids.len() {
        scene.clock.advance(SETTLED);
        lost.extend(scene.gaps.try_iter().flat_map(|gap| gap.request_ids));
    }
    assert_eq!(lost.len(), ids.len(), "each once");
    assert!(ids.iter().all(|id| lost.contains(id)));
}

#[test]
fn a_wait_for_a_login_that_was_lost_says_so() {
    let scene = Scene::new();
    let id = scene.approve_and_lose();
    let (sender, ended) = mpsc::channel();
    scene.site.wait_for_login(&id, LONG).start(move |result| sender.send(result).unwrap());
    assert_eq!(scene.after_looks(1), SETTLED);
    assert!(ended.try_recv().is_err());
    scene.clock.advance(SETTLED);
    let error = ended.recv_timeout(LONG).unwrap().unwrap_err();
    assert_eq!(
        (error.kind(), error.code(), error.request_id()),
        (ErrorKind::OutcomeUnknown, Some("LOGIN_EVENT_LOST"), Some(id.as_str()))
    );
    assert_eq!(scene.gaps.recv_timeout(LONG).unwrap().request_ids, [id]);
}

#[test]
fn a_request_that_the_platform_does_not_know_any_more_is_lost() {
    let scene = Scene::new();
    let id = scene.create();
    scene.sandbox.reset();
    // The reset ends the streams, too.
    assert_eq!(scene.after_looks(1), SETTLED);
    scene.clock.advance(SETTLED);
    assert_eq!(scene.gaps.recv_timeout(LONG).unwrap().request_ids, [id]);
}

#[test]
fn an_event_that_comes_late_is_handed_on_all_the_same() {
    let scene = Scene::new();
    let id = scene.approve_and_lose();
    scene.reconnect();
    scene.after_looks(1);
    scene.clock.advance(SETTLED);
    scene.gaps.recv_timeout(LONG).unwrap();
    let event = json!({"type": "approved", "login_request_id": id, "agent_passport_jwt": "late"});
    scene.sandbox.push_raw(None, format!("data: {event}\n\n"));
    assert_eq!(scene.event(), (id, Some("late".to_owned())));
}

#[test]
fn a_passport_that_the_platform_tells_is_handed_on() {
    let scene = Scene::new();
    let id = scene.approve_and_lose();
    let data = json!({"status": "DELIVERED", "agent_passport_jwt": "a.b.c"});
    let fault = Fault::on("read_request").status(200).body(json!({"ok": true, "data": data}));
    scene.sandbox.add_fault(fault).unwrap();
    scene.reconnect();
    assert_eq!(scene.event(), (id.clone(), Some("a.b.c".to_owned())));
    // Its event comes all the same: it was handed on already.
    let event = json!({"type": "approved", "login_request_id": id, "agent_passport_jwt": "d.e.f"});
    scene.sandbox.push_raw(None, format!("data: {event}\n\n"));
    scene.nothing_but_this_comes();
}

#[test]
fn what_is_sent_twice_is_handed_on_once() {
    let scene = Scene::new();
    for _ in 0..3 {
        scene.sandbox.add_fault(Fault::on("events").repeat()).unwrap();
        let id = approved(&scene.sandbox, &scene.site);
        assert_eq!(scene.event().0, id);
    }
    // Also on another connection.
    let event = |id: &str| format!("data: {{\"type\":\"expired\",\"login_request_id\":\"{id}\"}}\n\n");
    scene.sandbox.push_raw(None, event("lr_1"));
    assert_eq!(scene.event().0, "lr_1");
    scene.reconnect();
    assert!(scene.sandbox.wait_for_received_blocking("events", 2, LONG));
    assert!(scene.sandbox.wait_for_streams_blocking(1, LONG));
    scene.sandbox.push_raw(None, event("lr_1"));
    scene.nothing_but_this_comes();
    assert_eq!(scene.site.stream_status().events, 5);
}

#[test]
fn a_login_that_is_approved_and_never_told_is_lost_when_its_passport_is_dead() {
    let scene = Scene::new();
    // The stream takes nothing any more, so the event stays with the platform.
    scene.sandbox.add_fault(Fault::on("events").half_open()).unwrap();
    let id = scene.create();
    scene.sandbox.approve(&id, None).unwrap();
    let (sender, ended) = mpsc::channel();
    scene.site.wait_for_login(&id, LONG).start(move |result| sender.send(result).unwrap());
    let mut waits = Vec::new();
    for look in 1..=7 {
        let wait = scene.after_looks(look);
        waits.push(wait.as_secs());
        assert!(ended.try_recv().is_err());
        scene.clock.advance(wait);
    }
    assert_eq!(waits, [2, 4, 8, 16, 30, 30, 30]);
    let error = ended.recv_timeout(LONG).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(scene.gaps.recv_timeout(LONG).unwrap().request_ids, [id]);
}

#[test]
fn a_handler_that_does_not_keep_up_makes_nothing_lost() {
    let sandbox = sandbox();
    let clock = Arc::new(ManualClock::default().skipping_sleeps());
    let site = LimeSite::new(SiteConfig {
        clock: Arc::clone(&clock) as _,
        event_queue_limit: 1,
        ..site_config(&sandbox)
    })
    .unwrap();
    let (go, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    site.on_login(move |_| {
        let _ = gate.lock().unwrap().recv();
    })
    .unwrap();
    let (sender, gaps) = mpsc::channel();
    site.on_gap(move |gap| sender.send(gap.clone()).unwrap()).unwrap();
    assert!(sandbox.wait_for_streams_blocking(1, LONG));
    approved(&sandbox, &site); // the handler is busy with this one
    let second = approved(&sandbox, &site); // and the reader waits for a place for this one
    site.wait_for_login(&second, LONG).wait().unwrap();
    // So this one stays in the socket, and the platform says that it went out.
    let third = approved(&sandbox, &site);
    let (sender, ended) = mpsc::channel();
    site.wait_for_login(&third, LONG).start(move |result| sender.send(result).unwrap());
    for look in 1..10 {
        assert!(sandbox.wait_for_received_blocking("read_request", look, LONG));
        clock.advance(clock.wait_for_alarm(LONG).unwrap());
    }
    assert!(ended.try_recv().is_err() && gaps.try_recv().is_err());
    drop(go);
    assert!(ended.recv_timeout(LONG).unwrap().unwrap().passport.is_some());
    assert!(gaps.try_recv().is_err());
}

#[test]
fn a_platform_that_does_not_answer_is_asked_again() {
    let scene = Scene::new();
    let id = scene.expire_and_lose();
    scene.sandbox.add_fault(Fault::on("read_request").status(503)).unwrap();
    scene.sandbox.add_fault(Fault::on("read_request").drop_before()).unwrap();
    scene.sandbox.add_fault(Fault::on("read_request").garbage()).unwrap();
    scene.sandbox.add_fault(Fault::on("read_request").status(404).body("no envelope")).unwrap();
    scene.reconnect();
    for look in 1..=4 {
        let wait = scene.after_looks(look);
        assert!(wait > Duration::ZERO);
        scene.clock.advance(wait);
    }
    assert_eq!(scene.event(), (id, None));
    assert!(scene.gaps.try_recv().is_err());
}

#[test]
fn a_wait_for_what_was_handed_on_long_ago_ends_and_is_no_gap() {
    let scene = Scene::new();
    let id = approved(&scene.sandbox, &scene.site);
    assert_eq!(scene.event().0, id);
    scene.clock.advance(Duration::from_secs(121));
    let (sender, ended) = mpsc::channel();
    scene.site.wait_for_login(&id, LONG).start(move |result| sender.send(result).unwrap());
    assert_eq!(scene.after_looks(1), SETTLED);
    scene.clock.advance(SETTLED);
    assert_eq!(ended.recv_timeout(LONG).unwrap().unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    scene.nothing_but_this_comes();
}

#[test]
fn a_state_handler_that_fails_is_told_of() {
    let scene = Scene::new();
    scene.site.on_state(|_| panic!("a handler of the host's fails")).unwrap();
    while !scene.errors.recv_timeout(LONG).unwrap().contains("on_state handler failed") {}
}

#[test]
fn gap_handlers_that_fail_or_close_the_site() {
    let scene = Scene::new();
    let (sender, closed) = mpsc::channel();
    scene.site.on_gap(|_| panic!("a handler of the host's fails")).unwrap();
    let inner = scene.site.clone();
    scene
        .site
        .on_gap(move |_| {
            inner.close_and_wait();
            sender.send(()).unwrap();
        })
        .unwrap();
    scene.site.on_gap(|_| unreachable!("no handler begins after the site was closed")).unwrap();
    scene.approve_and_lose();
    scene.reconnect();
    scene.after_looks(1);
    scene.clock.advance(SETTLED);
    scene.gaps.recv_timeout(LONG).unwrap();
    closed.recv_timeout(LONG).unwrap();
    assert_eq!(scene.site.on_gap(|_| {}).unwrap_err().kind(), ErrorKind::Closed);
    let failed = scene.errors.iter().filter(|record| record.contains("on_gap handler failed"));
    assert_eq!(failed.take(1).count(), 1);
}

#[test]
fn closing_while_looks_are_under_way_ends_them() {
    let scene = Scene::new();
    scene.sandbox.add_fault(Fault::on("read_request").half_open().always()).unwrap();
    let id = scene.create();
    let (sender, ended) = mpsc::channel();
    scene.site.wait_for_login(&id, LONG).start(move |result| sender.send(result).unwrap());
    assert!(scene.sandbox.wait_for_received_blocking("read_request", 1, LONG));
    scene.site.close();
    assert_eq!(ended.recv_timeout(LONG).unwrap().unwrap_err().kind(), ErrorKind::Closed);
    assert!(scene.sandbox.wait_for_streams_blocking(0, LONG));
}
