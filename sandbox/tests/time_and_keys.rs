//! The clock, expiry, and the signing keys.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::Duration;

use common::*;
use lime_sandbox::{ClockChange, LoginStatus, Options, Sandbox};
use serde_json::json;

#[tokio::test]
async fn an_advance_expires_at_once() {
    let sandbox = sandbox().await;
    let mut stream = Events::open(&sandbox).await;
    let early = create(&sandbox).await;
    sandbox.advance(Duration::from_secs(200)).unwrap();
    let late = create(&sandbox).await;
    sandbox.advance(Duration::from_secs(101)).unwrap();
    let event = stream.event().await.unwrap();
    assert_eq!(event, json!({"type": "expired", "login_request_id": early}));
    let gone = (404, "SITE_LOGIN_REQUEST_NOT_FOUND".to_owned());
    assert_eq!(challenge(&sandbox, &early).await.failure(), gone);
    assert_eq!(approve(&sandbox, &early, "0").await.unwrap().failure(), gone);
    assert_eq!(read(&sandbox, &early).await.data()["status"], "EXPIRED");
    assert_eq!(read(&sandbox, &late).await.data()["status"], "PENDING");
    assert!(sandbox.expire(&early).is_err());
    assert!(sandbox.approve(&early, None).is_err());
    // What is approved does not expire any more.
    login(&sandbox, &late).await;
    sandbox.advance(Duration::from_secs(1000)).unwrap();
    assert_eq!(read(&sandbox, &late).await.data()["status"], "DELIVERED");
}

#[tokio::test]
async fn real_time_expires_by_itself() {
    let sandbox = Sandbox::start(Options::new().request_ttl_seconds(0.05)).await.unwrap();
    let mut stream = Events::open(&sandbox).await;
    let id = create(&sandbox).await;
    // Nobody asks for anything: the event comes from the timer.
    assert_eq!(stream.event().await.unwrap(), json!({"type": "expired", "login_request_id": id}));
}

#[tokio::test]
async fn a_frozen_clock_expires_nothing_until_it_runs_again() {
    let sandbox = Sandbox::start(Options::new().request_ttl_seconds(0.05)).await.unwrap();
    let freeze = |freeze| ClockChange { freeze: Some(freeze), ..ClockChange::default() };
    assert!(sandbox.change_clock(&freeze(true)).unwrap().frozen);
    let now = sandbox.clock().now;
    let id = create(&sandbox).await;
    assert!(!sandbox.wait_for_status(&id, LoginStatus::Expired, Duration::from_millis(80)).await);
    assert_eq!(sandbox.clock().now, now);
    sandbox.change_clock(&freeze(false)).unwrap();
    assert!(sandbox.wait_for_status(&id, LoginStatus::Expired, PATIENCE).await);
}

#[tokio::test]
async fn passports_follow_the_clock_and_its_skew() {
    let sandbox = sandbox().await;
    let mut stream = Events::open(&sandbox).await;
    let mut iat = async || {
        let id = create(&sandbox).await;
        sandbox.approve(&id, None).unwrap();
        let event = stream.event().await.unwrap();
        decode(event["agent_passport_jwt"].as_str().unwrap()).1["iat"].as_i64().unwrap()
    };
    let real = iat().await;
    sandbox.advance(Duration::from_secs(10_000)).unwrap();
    let advanced = iat().await;
    assert!((10_000..10_030).contains(&(advanced - real)));
    let skew = ClockChange { skew_seconds: Some(-10_000.0), ..ClockChange::default() };
    sandbox.change_clock(&skew).unwrap();
    let skewed = iat().await;
    assert!((0..30).contains(&(skewed - real)));
}

#[tokio::test]
async fn a_passport_that_ran_out_in_the_backlog_is_minted_anew() {
    let sandbox = sandbox().await;
    let id = create(&sandbox).await;
    sandbox.approve(&id, None).unwrap();
    sandbox.advance(Duration::from_secs(500)).unwrap();
    let mut stream = Events::open(&sandbox).await;
    let event = stream.event().await.unwrap();
    let (_, claims) = decode(event["agent_passport_jwt"].as_str().unwrap());
    assert!(claims["exp"].as_i64().unwrap() > sandbox.clock().unix);
    assert_eq!(claims["request_id"], id.as_str());
}

#[tokio::test]
async fn keys_rotate() {
    let sandbox = sandbox().await;
    let mut stream = Events::open(&sandbox).await;
    let mut passport = async || {
        let id = create(&sandbox).await;
        sandbox.approve(&id, None).unwrap();
        stream.event().await.unwrap()["agent_passport_jwt"].as_str().unwrap().to_owned()
    };
    let first = passport().await;
    let kid = sandbox.rotate_keys(true);
    let second = passport().await;
    assert_eq!(decode(&second).0["kid"], kid.as_str());
    let published = keys(&sandbox).await;
    assert_eq!(published.len(), 2);
    assert!(verifies(&first, &published) && verifies(&second, &published));

    let rotated = control(&sandbox, "POST", "/keys/rotate", json!(null)).await;
    let third = passport().await;
    assert_eq!(decode(&third).0["kid"], rotated["kid"]);
    let published = keys(&sandbox).await;
    assert_eq!(published.len(), 1);
    assert!(!verifies(&first, &published) && !verifies(&second, &published));
    assert!(verifies(&third, &published));

    sandbox.reset();
    assert_eq!(keys(&sandbox).await[0]["kid"], decode(&first).0["kid"]);
}

#[tokio::test]
async fn two_sandboxes_share_nothing() {
    let (one, two) = (sandbox().await, sandbox().await);
    assert_ne!(one.port(), two.port());
    assert_ne!(one.site_token(), two.site_token());
    assert_ne!(keys(&one).await[0]["kid"], keys(&two).await[0]["kid"]);
    let headers = [("x-site-token", one.site_token())];
    let foreign = call(two.port(), "POST", REQUESTS, &headers, b"").await;
    assert_eq!(foreign.failure().1, "SITE_TOKEN_INVALID");
}
