//! Bindings against the sandbox: asked for, completed by a person, exchanged once, verified.

#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

mod common;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::*;
use lime_core::clock::ManualClock;
use lime_core::{
    BindingCheck, BindingRequest, Error, ErrorKind, LimeSite, PassportCheck, PostRetry, SiteConfig,
};
use lime_sandbox::{BindingStatus, Fault, Platform, Sandbox};

const CALLBACK: &str = "https://shop.example/bind?step=2";

fn patient(sandbox: &Sandbox) -> SiteConfig {
    SiteConfig { clock: Arc::new(ManualClock::default().skipping_sleeps()), ..site_config(sandbox) }
}

/// A binding and the code that its person came back with.
fn completed(sandbox: &Sandbox, site: &LimeSite) -> (BindingRequest, String) {
    let request = site.create_binding_request(CALLBACK).wait().unwrap();
    let code = sandbox.complete_binding(&request.binding_id, None).unwrap().binding_code;
    (request, code)
}

fn told(error: &Error) -> (ErrorKind, Option<&str>, Option<u16>) {
    (error.kind(), error.code(), error.http_status())
}

#[test]
fn an_agent_is_connected_with_an_account() {
    for platform in [Platform::Today, Platform::Both] {
        let sandbox = sandbox_of(platform);
        let site = site(&sandbox);
        let request = site.create_binding_request(CALLBACK).wait().unwrap();
        assert_eq!(request.status, "PENDING");
        assert_eq!(
            request.connect_url,
            format!("{}/connect/?binding_id={}", sandbox.origin(), request.binding_id)
        );
        assert!(request.expires_at.unix_micros > 0);
        let sent = &sandbox.received_on("create_binding")[0];
        assert_eq!(sent.body, format!(r#"{{"redirect_uri":"{CALLBACK}"}}"#));
        assert_eq!(sent.headers["x-site-token"], sandbox.site_token());

        let back = sandbox.complete_binding(&request.binding_id, None).unwrap();
        assert_eq!(back.redirect_url, format!("{CALLBACK}&binding_code={}", back.binding_code));
        let passport = site.exchange_binding_code(&back.binding_code).wait().unwrap();
        let check = BindingCheck::default().expected_binding_id(&request.binding_id).require_issuer(true);
        let verified = site.verify_binding_passport(&passport, check.clone()).wait().unwrap();
        assert_eq!(verified.claims["binding_id"], request.binding_id);
        assert_eq!(verified.claims["agent_id"], sandbox.agent_id());
        assert!(verified.owner_id().is_some());
        assert_eq!(sandbox.binding(&request.binding_id).unwrap().status, BindingStatus::Exchanged);
        // Now the key is at hand, and nobody has to be asked.
        assert_eq!(site.verify_binding_passport_cached(&passport, &check).unwrap().unwrap(), verified);
        let other = BindingCheck::default().expected_binding_id("br_other");
        let error = site.verify_binding_passport_cached(&passport, &other).unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidPassport);
        assert!(error.message().contains("binding_id"));
    }
}

#[test]
fn the_two_kinds_of_passports_are_not_taken_for_each_other() {
    let sandbox = sandbox();
    let (site, events) = listening(&sandbox);
    approved(&sandbox, &site);
    let login = passport(&events);
    let (_, code) = completed(&sandbox, &site);
    let binding = site.exchange_binding_code(&code).wait().unwrap();
    for error in [
        site.verify_binding_passport(&login, BindingCheck::default()).wait().unwrap_err(),
        site.verify_passport(&binding, PassportCheck::default()).wait().unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidPassport);
        assert!(error.message().contains("audience"), "{error}");
    }
}

#[test]
fn a_code_is_exchanged_once_and_by_its_site_only() {
    let sandbox = sandbox();
    let site = site(&sandbox);
    let (_, code) = completed(&sandbox, &site);
    let other = sandbox.add_site(None);
    let foreign =
        LimeSite::new(SiteConfig { site_token: Some(other.site_token), ..site_config(&sandbox) }).unwrap();
    let refused = (ErrorKind::Api, Some("INVALID_BINDING_CODE"), Some(400));
    assert_eq!(told(&foreign.exchange_binding_code(&code).wait().unwrap_err()), refused);
    assert_eq!(told(&site.exchange_binding_code("bc_made_up").wait().unwrap_err()), refused);
    assert!(site.exchange_binding_code(&code).wait().is_ok(), "the other site has not used it up");
    assert_eq!(told(&site.exchange_binding_code(&code).wait().unwrap_err()), refused);
    let error = site.exchange_binding_code("").wait().unwrap_err();
    assert_eq!(told(&error), (ErrorKind::Api, Some("VALIDATION_ERROR"), Some(400)));
    assert!(!format!("{:?}", site.exchange_binding_code(&code).wait().unwrap_err()).contains(&code));
}

#[test]
fn time_runs_out_for_the_person_and_for_the_site() {
    let sandbox = sandbox();
    let site = site(&sandbox);
    let request = site.create_binding_request(CALLBACK).wait().unwrap();
    sandbox.advance(Duration::from_secs(601)).unwrap();
    assert_eq!(sandbox.binding(&request.binding_id).unwrap().status, BindingStatus::Expired);
    assert!(sandbox.complete_binding(&request.binding_id, None).is_err());

    let (request, code) = completed(&sandbox, &site);
    sandbox.advance(Duration::from_secs(61)).unwrap();
    let error = site.exchange_binding_code(&code).wait().unwrap_err();
    assert_eq!(told(&error), (ErrorKind::Api, Some("INVALID_BINDING_CODE"), Some(400)));
    assert_eq!(sandbox.binding(&request.binding_id).unwrap().status, BindingStatus::Expired);
}

#[test]
fn an_old_passport_says_nothing() {
    let sandbox = sandbox();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let clock = Arc::new(ManualClock::at(now).skipping_sleeps());
    let site = LimeSite::new(SiteConfig { clock: Arc::clone(&clock) as _, ..site_config(&sandbox) }).unwrap();
    let (_, code) = completed(&sandbox, &site);
    let passport = site.exchange_binding_code(&code).wait().unwrap();
    assert!(site.verify_binding_passport(&passport, BindingCheck::default()).wait().is_ok());
    clock.advance(Duration::from_secs(61));
    let error = site.verify_binding_passport(&passport, BindingCheck::default()).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PassportExpired);
    // One that lives too long is refused while it lives.
    sandbox.update_settings(|settings| settings.binding_passport_ttl_seconds = 61).unwrap();
    let site = common::site(&sandbox);
    let (_, code) = completed(&sandbox, &site);
    let passport = site.exchange_binding_code(&code).wait().unwrap();
    let error = site.verify_binding_passport(&passport, BindingCheck::default()).wait().unwrap_err();
    assert!(error.message().contains("TTL"), "{error}");
}

#[test]
fn redirect_uris_that_the_platform_does_not_take() {
    let sandbox = sandbox();
    let site = site(&sandbox);
    for bad in ["", "not-a-url", "http://shop.example/", "javascript:alert(1)", "https://shop.example/#x"] {
        let error = site.create_binding_request(bad).wait().unwrap_err();
        assert_eq!(told(&error), (ErrorKind::Api, Some("VALIDATION_ERROR"), Some(400)), "{bad}");
    }
    let stranger =
        LimeSite::new(SiteConfig { site_token: Some("st_wrong".into()), ..site_config(&sandbox) }).unwrap();
    let error = stranger.create_binding_request(CALLBACK).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
}

#[test]
fn the_seeds_platform_has_no_bindings() {
    let sandbox = sandbox_of(Platform::Seed);
    let site = site(&sandbox);
    let error = site.create_binding_request(CALLBACK).wait().unwrap_err();
    assert_eq!(told(&error), (ErrorKind::Api, Some("NOT_FOUND"), Some(404)));
}

/// What the platform does when the answer gets lost, and what the site is told.
#[test]
fn a_lost_answer_is_not_taken_for_a_failure() {
    let sandbox = sandbox();
    let site = LimeSite::new(patient(&sandbox)).unwrap();
    let (request, code) = completed(&sandbox, &site);
    sandbox.add_fault(Fault::on("exchange_binding").drop_after()).unwrap();
    let error = site.exchange_binding_code(&code).wait().unwrap_err();
    assert_eq!(told(&error), (ErrorKind::OutcomeUnknown, Some("INVALID_BINDING_CODE"), Some(400)));
    assert_eq!(sandbox.binding(&request.binding_id).unwrap().status, BindingStatus::Exchanged);
    assert_eq!(sandbox.received_on("exchange_binding").len(), 2);

    // A platform that knows the key of a repeated call answers as it did before.
    sandbox.update_settings(|settings| settings.idempotency = true).unwrap();
    let (_, code) = completed(&sandbox, &site);
    sandbox.add_fault(Fault::on("exchange_binding").drop_after()).unwrap();
    let passport = site.exchange_binding_code(&code).wait().unwrap();
    let verified = common::site(&sandbox).verify_binding_passport(&passport, BindingCheck::default()).wait();
    assert!(verified.is_ok());

    // Success without a passport: the code is gone all the same.
    let body = serde_json::json!({"ok": true, "data": {}});
    sandbox.add_fault(Fault::on("exchange_binding").status(200).body(body)).unwrap();
    let error = site.exchange_binding_code("bc_1").wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);

    // What never left has changed nothing.
    sandbox.add_fault(Fault::on("exchange_binding").status(429).always()).unwrap();
    let error = site.exchange_binding_code("bc_1").wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimit);
}

/// Calls that the seed packages do not have are repeated as today's packages do it, unless the seed's rule is asked for.
#[test]
fn retries_of_the_new_calls() {
    let sandbox = sandbox();
    for (post_retry, status, attempts) in [
        (PostRetry::Auto, 500, 1),
        (PostRetry::Auto, 503, 4),
        (PostRetry::Today, 502, 1),
        (PostRetry::Seed, 502, 4),
    ] {
        let site = LimeSite::new(SiteConfig {
            platform: lime_core::Platform { post_retry, ..lime_core::Platform::AUTO },
            ..patient(&sandbox)
        })
        .unwrap();
        for route in ["create_binding", "exchange_binding"] {
            sandbox.clear_received();
            let id = sandbox.add_fault(Fault::on(route).status(status).always()).unwrap();
            let failed = match route {
                "create_binding" => site.create_binding_request(CALLBACK).wait().err(),
                _ => site.exchange_binding_code("bc_1").wait().err(),
            };
            sandbox.remove_fault(id).unwrap();
            assert_eq!(failed.unwrap().http_status(), Some(status));
            assert_eq!(sandbox.received_on(route).len(), attempts, "{post_retry:?} {status} {route}");
        }
    }
}

#[test]
fn codes_of_today_have_kinds_of_their_own() {
    let sandbox = sandbox();
    let (site, agent) = (LimeSite::new(patient(&sandbox)).unwrap(), agent(&sandbox));
    let profile = || told_kind(&agent.get_profile().wait().unwrap_err());
    sandbox.suspend_user(sandbox.agent_id(), true).unwrap();
    assert_eq!(profile(), (ErrorKind::AgentUserSuspended, Some(403)));
    sandbox.deactivate_agent(sandbox.agent_id(), true).unwrap();
    assert_eq!(profile(), (ErrorKind::AgentInactive, Some(403)));
    // Nor can such an agent be connected, not even by a code that is out already.
    let request = site.create_binding_request(CALLBACK).wait().unwrap();
    assert!(sandbox.complete_binding(&request.binding_id, None).is_err());
    sandbox.update_settings(|settings| settings.auth_unavailable = true).unwrap();
    assert_eq!(profile(), (ErrorKind::AuthUnavailable, Some(503)));
    let error = site.create_login_request().wait().unwrap_err();
    assert_eq!(told_kind(&error), (ErrorKind::SiteAuthUnavailable, Some(503)));
    assert_eq!(sandbox.received_on("create_request").len(), 4, "which is worth another try");
}

fn told_kind(error: &Error) -> (ErrorKind, Option<u16>) {
    (error.kind(), error.http_status())
}

#[test]
fn a_closed_site_verifies_and_exchanges_nothing() {
    let sandbox = sandbox();
    let site = site(&sandbox);
    site.close();
    assert_eq!(site.create_binding_request(CALLBACK).wait().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(site.exchange_binding_code("bc_1").wait().unwrap_err().kind(), ErrorKind::Closed);
    let error = site.verify_binding_passport("a.b.c", BindingCheck::default()).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}
