//! Event streams: who gets what, and what happens to events when a stream breaks.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::Duration;

use common::*;
use lime_sandbox::{Fault, LoginStatus};
use serde_json::json;

#[tokio::test]
async fn every_stream_of_the_site_and_no_other_gets_every_event() {
    let sandbox = sandbox().await;
    let other = sandbox.add_site(None);
    let mut streams = [Events::open(&sandbox).await, Events::open(&sandbox).await];
    let mut foreign = Events::open_for(&sandbox, &other.site_token).await;
    let ids = [create(&sandbox).await, create(&sandbox).await];
    for id in &ids {
        sandbox.approve(id, None).unwrap();
    }
    let theirs = create_for(&sandbox, &other.site_token).await;
    sandbox.expire(&theirs).unwrap();
    for stream in &mut streams {
        for id in &ids {
            assert_eq!(stream.event().await.unwrap()["login_request_id"], id.as_str());
        }
    }
    let event = foreign.event().await.unwrap();
    assert_eq!(event, json!({"type": "expired", "login_request_id": theirs}));
}

#[tokio::test]
async fn a_backlog_goes_to_the_first_stream_only() {
    let sandbox = sandbox().await;
    let ids = [create(&sandbox).await, create(&sandbox).await, create(&sandbox).await];
    sandbox.approve(&ids[0], None).unwrap();
    sandbox.expire(&ids[1]).unwrap();
    sandbox.approve(&ids[2], None).unwrap();
    assert_eq!(sandbox.streams().sites[0].undelivered, 3);
    let mut first = Events::open(&sandbox).await;
    for (id, kind) in ids.iter().zip(["approved", "expired", "approved"]) {
        let event = first.event().await.unwrap();
        assert_eq!((&event["type"], &event["login_request_id"]), (&json!(kind), &json!(id)));
    }
    assert!(sandbox.wait_for_status(&ids[2], LoginStatus::Delivered, PATIENCE).await);
    let mut second = Events::open(&sandbox).await;
    let last = create(&sandbox).await;
    sandbox.approve(&last, None).unwrap();
    assert_eq!(second.event().await.unwrap()["login_request_id"], last.as_str());
}

#[tokio::test]
async fn an_event_that_was_cut_comes_again() {
    for (fault, sent) in [
        (Fault::on("events").cut(), None),
        (Fault::on("events").cut_after_bytes(7), Some(7)),
        (Fault::on("events").cut_after_bytes(0), Some(0)),
        (Fault::on("events").cut_after_bytes(9).with_reset(), Some(9)),
    ] {
        let sandbox = sandbox().await;
        sandbox.add_fault(fault).unwrap();
        let mut stream = Events::open(&sandbox).await;
        let id = create(&sandbox).await;
        // The stream breaks before the event is out, and the answer says so.
        assert_eq!(login(&sandbox, &id).await["status"], "APPROVED");
        assert!(matches!(stream.event().await, Err(End::Closed | End::Reset)));
        match sent {
            Some(sent) => assert_eq!(stream.rest.len(), sent),
            None => assert!(stream.rest.len() > 100 && !stream.rest.contains(&b'\n')),
        }
        assert_eq!(sandbox.login_request(&id).unwrap().status, LoginStatus::Approved);
        let mut stream = Events::open(&sandbox).await;
        assert_eq!(stream.event().await.unwrap()["login_request_id"], id.as_str());
        assert!(sandbox.wait_for_status(&id, LoginStatus::Delivered, PATIENCE).await);
    }
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let sandbox = sandbox().await;
    sandbox.add_fault(Fault::on("events").cut_after_bytes(0).with_reset()).unwrap();
    let mut stream = Events::open(&sandbox).await;
    stream.frame().await.unwrap();
    let id = create(&sandbox).await;
    sandbox.approve(&id, None).unwrap();
    assert_eq!(stream.event().await, Err(End::Reset));
}

#[tokio::test]
async fn cut_after_some_events_and_on_an_open_stream() {
    let sandbox = sandbox().await;
    let mut stream = Events::open(&sandbox).await;
    // An open stream takes the rule up at once; the next one does not meet it.
    sandbox.add_fault(Fault::on("events").cut_after_events(1)).unwrap();
    assert_eq!(sandbox.faults()[0].remaining, Some(0));
    let ids = [create(&sandbox).await, create(&sandbox).await];
    for id in &ids {
        sandbox.approve(id, None).unwrap();
    }
    assert_eq!(stream.event().await.unwrap()["login_request_id"], ids[0].as_str());
    assert_eq!(stream.event().await, Err(End::Closed));
    let mut stream = Events::open(&sandbox).await;
    assert_eq!(stream.event().await.unwrap()["login_request_id"], ids[1].as_str());
}

#[tokio::test]
async fn garbage_comes_before_the_next_good_event() {
    let sandbox = sandbox().await;
    sandbox.add_fault(Fault::on("events").garbage()).unwrap();
    let mut stream = Events::open(&sandbox).await;
    sandbox.add_fault(Fault::on("events").garbage_raw("event: odd\ndata: [1\n\n")).unwrap();
    stream.frame().await.unwrap();
    let id = create(&sandbox).await;
    assert_eq!(login(&sandbox, &id).await["status"], "DELIVERED");
    assert_eq!(stream.frame().await.unwrap(), "data: {not json");
    assert_eq!(stream.event().await.unwrap()["login_request_id"], id.as_str());
    // The second rule met a stream that had its garbage already: the next stream takes it.
    let mut stream = Events::open(&sandbox).await;
    stream.frame().await.unwrap();
    let id = create(&sandbox).await;
    sandbox.expire(&id).unwrap();
    assert_eq!(stream.frame().await.unwrap(), "event: odd\ndata: [1");
    assert_eq!(stream.event().await.unwrap()["type"], "expired");
}

#[tokio::test]
async fn a_half_open_stream_is_silent_and_takes_nothing() {
    let sandbox = sandbox().await;
    sandbox.add_fault(Fault::on("events").half_open()).unwrap();
    let mut silent = Events::open(&sandbox).await;
    assert_eq!(silent.status, 200);
    let id = create(&sandbox).await;
    assert_eq!(login(&sandbox, &id).await["status"], "APPROVED");
    let mut stream = Events::open(&sandbox).await;
    assert_eq!(stream.event().await.unwrap()["login_request_id"], id.as_str());
    assert_eq!(sandbox.streams().open, 2);
    // Only now the silent one ends; nothing was ever sent on it.
    assert_eq!(sandbox.disconnect_streams(None, true), 2);
    assert_eq!(silent.frame().await, Err(End::Closed));
    assert!(silent.rest.is_empty() && silent.chunks.is_empty());
}

#[tokio::test]
async fn one_byte_at_a_time() {
    let sandbox = sandbox().await;
    sandbox.add_fault(Fault::on("events").one_byte_chunks()).unwrap();
    sandbox.add_fault(Fault::on("events").cut_after_events(1).cut_after_bytes(3)).unwrap();
    let mut stream = Events::open(&sandbox).await;
    let id = create(&sandbox).await;
    assert_eq!(login(&sandbox, &id).await["status"], "DELIVERED");
    let event = stream.event().await.unwrap();
    assert!(verifies(event["agent_passport_jwt"].as_str().unwrap(), &keys(&sandbox).await));
    assert!(stream.chunks.len() > 500 && stream.chunks.iter().all(|size| *size == 1));
    let id = create(&sandbox).await;
    sandbox.approve(&id, None).unwrap();
    assert_eq!(stream.event().await, Err(End::Closed));
    assert_eq!(stream.rest, b"dat");
}

#[tokio::test]
async fn raw_bytes_go_out_as_they_are() {
    let sandbox = sandbox().await;
    let other = sandbox.add_site(None);
    assert_eq!(sandbox.push_raw(None, "lost"), 0);
    let mut stream = Events::open(&sandbox).await;
    stream.frame().await.unwrap();
    assert_eq!(sandbox.push_raw(Some(&other.site_id), "data: theirs\n\n"), 0);
    assert_eq!(sandbox.push_raw(None, &b"\xef\xbb\xbf: hi\r\ndata: \xff\n\n"[..]), 1);
    assert_eq!(stream.frame().await.unwrap(), "\u{feff}: hi\r\ndata: \u{fffd}");
    let pushed = control(&sandbox, "POST", "/events", json!({"raw_base64": "ZGF0YTogMQoK"})).await;
    assert_eq!(pushed["streams"], 1);
    assert_eq!(stream.frame().await.unwrap(), "data: 1");
    control(&sandbox, "POST", "/events", json!({"event": {"type": "error", "code": "X"}})).await;
    assert_eq!(stream.event().await.unwrap(), json!({"type": "error", "code": "X"}));
}

#[tokio::test]
async fn streams_end_when_told() {
    let sandbox = sandbox().await;
    let mut clean = Events::open(&sandbox).await;
    assert_eq!(sandbox.disconnect_streams(Some(sandbox.site_id()), false), 1);
    assert_eq!(clean.event().await, Err(End::Complete));
    let mut broken = Events::open(&sandbox).await;
    assert_eq!(sandbox.disconnect_streams(None, true), 1);
    assert_eq!(broken.event().await, Err(End::Closed));
    let mut suspended = Events::open(&sandbox).await;
    sandbox.suspend_site(sandbox.site_id(), true).unwrap();
    assert_eq!(suspended.event().await, Err(End::Complete));
    assert!(sandbox.wait_for_streams(0, PATIENCE).await);
    assert_eq!(sandbox.streams().total_connects, 3);
}

#[tokio::test]
async fn a_client_that_goes_away_is_noticed() {
    let sandbox = sandbox().await;
    let stream = Events::open(&sandbox).await;
    assert!(sandbox.wait_for_streams(1, PATIENCE).await);
    drop(stream);
    assert!(sandbox.wait_for_streams(0, PATIENCE).await);
    let id = create(&sandbox).await;
    assert_eq!(login(&sandbox, &id).await["status"], "APPROVED");
}

#[tokio::test]
async fn keepalives_follow_the_setting_at_once() {
    let sandbox = sandbox().await;
    let mut stream = Events::open(&sandbox).await;
    stream.frame().await.unwrap();
    // At the default of 15 s the test would fail by its patience.
    sandbox.update_settings(|settings| settings.keepalive_seconds = 0.02).unwrap();
    for _ in 0..3 {
        assert_eq!(stream.frame().await.unwrap(), r#"data: {"type":"keepalive"}"#);
    }
}

#[tokio::test]
async fn a_stream_that_nobody_reads_can_be_dropped() {
    let sandbox = sandbox().await;
    let _stream = Events::open(&sandbox).await;
    // More than the socket's buffers hold, so that the stream is stuck in the middle of a write.
    sandbox.push_raw(None, vec![b'x'; 32 * 1024 * 1024]);
    let id = create(&sandbox).await;
    assert_eq!(login(&sandbox, &id).await["status"], "APPROVED");
    sandbox.disconnect_streams(None, true);
    let mut second = Events::open(&sandbox).await;
    assert_eq!(second.event().await.unwrap()["login_request_id"], id.as_str());
    assert!(sandbox.wait_for_streams(1, Duration::from_secs(5)).await);
}

#[tokio::test]
async fn an_event_can_be_lost_for_good() {
    let sandbox = sandbox().await;
    let mut stream = Events::open(&sandbox).await;
    sandbox.add_fault(Fault::on("events").lose()).unwrap();
    let id = create(&sandbox).await;
    assert_eq!(login(&sandbox, &id).await["status"], "DELIVERED");
    let expired = create(&sandbox).await;
    sandbox.expire(&expired).unwrap();
    // The next one comes, here and on another stream; the lost one does not.
    assert_eq!(stream.event().await.unwrap()["login_request_id"], expired.as_str());
    assert_eq!(sandbox.streams().sites[0].undelivered, 0);
    let mut other = Events::open(&sandbox).await;
    let last = create(&sandbox).await;
    sandbox.expire(&last).unwrap();
    assert_eq!(other.event().await.unwrap()["login_request_id"], last.as_str());
}

#[tokio::test]
async fn an_event_can_be_sent_twice() {
    let sandbox = sandbox().await;
    sandbox.add_fault(Fault::on("events").repeat()).unwrap();
    let mut stream = Events::open(&sandbox).await;
    let ids = [create(&sandbox).await, create(&sandbox).await];
    for id in &ids {
        sandbox.approve(id, None).unwrap();
    }
    let mut came = Vec::new();
    for _ in 0..3 {
        came.push(stream.event().await.unwrap()["login_request_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(came, [&ids[0], &ids[0], &ids[1]].map(String::as_str));
}
