//! The signing keys against the sandbox: fetched once, replaced whole, old ones serve while the key
//! server is down.

#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

mod common;

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::*;
use lime_core::clock::ManualClock;
use lime_core::{ErrorKind, JwksForm, LimeSite, LoginEvent, PassportCheck, Platform, SiteConfig};
use lime_sandbox::{Fault, Sandbox};

fn ticking(sandbox: &Sandbox) -> (LimeSite, Receiver<LoginEvent>, Arc<ManualClock>) {
    ticking_with(sandbox, site_config(sandbox))
}

fn ticking_with(sandbox: &Sandbox, config: SiteConfig) -> (LimeSite, Receiver<LoginEvent>, Arc<ManualClock>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let clock = Arc::new(ManualClock::at(now).skipping_sleeps());
    let site = LimeSite::new(SiteConfig { clock: Arc::clone(&clock) as _, ..config }).unwrap();
    let events = events(&site);
    assert!(sandbox.wait_for_streams_blocking(1, LONG));
    (site, events, clock)
}

fn fresh(sandbox: &Sandbox, site: &LimeSite, events: &Receiver<LoginEvent>) -> String {
    approved(sandbox, site);
    passport(events)
}

fn verify(site: &LimeSite, jwt: &str) -> Result<(), ErrorKind> {
    site.verify_passport(jwt, PassportCheck::default()).wait().map(drop).map_err(|error| error.kind())
}

#[test]
fn five_hundred_first_verifications_make_one_fetch() {
    let sandbox = sandbox();
    let (site, events) = listening(&sandbox);
    approved(&sandbox, &site);
    let jwt = passport(&events);
    let (sender, results) = mpsc::channel();
    for _ in 0..500 {
        let sender = sender.clone();
        site.verify_passport(&jwt, PassportCheck::default())
            .start(move |result| sender.send(result).unwrap());
    }
    assert!(results.iter().take(500).all(|result| result.is_ok()));
    assert_eq!(sandbox.received_on("jwks").len(), 1);
    assert!(
        site.verify_passport_cached(&jwt, &PassportCheck::default()).unwrap().is_ok(),
        "now on the calling thread"
    );
    let headers = &sandbox.received_on("jwks")[0].headers;
    assert!(!headers.contains_key("x-site-token"), "a public endpoint");
}

#[test]
fn rotation_is_found_at_once_and_the_old_key_ends_with_its_time() {
    let sandbox = sandbox();
    let (site, events, clock) = ticking(&sandbox);
    let old = fresh(&sandbox, &site, &events);
    assert_eq!(verify(&site, &old), Ok(()));
    sandbox.rotate_keys(true);
    let new = fresh(&sandbox, &site, &events);
    assert_eq!(verify(&site, &new), Ok(()));
    assert_eq!(verify(&site, &old), Ok(()), "the old key is still published");
    // Revoked: gone with the next refresh, which replaces the whole set.
    sandbox.rotate_keys(false);
    clock.advance(Duration::from_secs(31));
    let newest = fresh(&sandbox, &site, &events);
    assert_eq!(verify(&site, &newest), Ok(()));
    assert_eq!(verify(&site, &new), Err(ErrorKind::InvalidPassport));
}

#[test]
fn a_second_rotation_within_the_cool_down_is_found_after_it() {
    let sandbox = sandbox();
    let (site, events, clock) = ticking(&sandbox);
    assert_eq!(verify(&site, &fresh(&sandbox, &site, &events)), Ok(()));
    for expected in [Ok(()), Err(ErrorKind::InvalidPassport)] {
        sandbox.rotate_keys(false);
        assert_eq!(verify(&site, &fresh(&sandbox, &site, &events)), expected);
    }
    let waiting = fresh(&sandbox, &site, &events);
    clock.advance(Duration::from_secs(30));
    assert_eq!(verify(&site, &waiting), Ok(()));
}

#[test]
fn old_keys_serve_while_the_key_server_is_down_and_made_up_kids_change_nothing() {
    let sandbox = sandbox();
    sandbox.update_settings(|settings| settings.passport_ttl_seconds = 120).unwrap();
    let (site, events, clock) = ticking(&sandbox);
    assert_eq!(verify(&site, &fresh(&sandbox, &site, &events)), Ok(()));
    let down = sandbox.add_fault(Fault::on("jwks").status(503).always()).unwrap();
    for _ in 0..10 {
        clock.advance(Duration::from_secs(300));
        sandbox.advance(Duration::from_secs(300)).unwrap();
        assert_eq!(verify(&site, &fresh(&sandbox, &site, &events)), Ok(()), "overdue keys serve on");
    }
    // Beyond an hour it fails closed, and says what is wrong.
    for _ in 0..4 {
        clock.advance(Duration::from_secs(300));
        sandbox.advance(Duration::from_secs(300)).unwrap();
    }
    let jwt = fresh(&sandbox, &site, &events);
    sandbox.clear_received();
    // Keys that may not serve any more are none, and are asked for as often as if there were none.
    for round in 1..=3 {
        assert_eq!(verify(&site, &jwt), Err(ErrorKind::Api));
        assert_eq!(sandbox.received_on("jwks").len(), 2 * round, "each time with one retry");
        clock.advance(Duration::from_secs(5));
    }
    sandbox.remove_fault(down).unwrap();
    assert_eq!(verify(&site, &jwt), Ok(()));
}

#[test]
fn old_keys_serve_while_the_key_server_does_not_answer() {
    let sandbox = sandbox();
    sandbox.update_settings(|settings| settings.passport_ttl_seconds = 120).unwrap();
    // Nobody would wait for as long as that.
    let timeout = Duration::from_secs(3600);
    let (site, events, clock) = ticking_with(&sandbox, SiteConfig { timeout, ..site_config(&sandbox) });
    assert_eq!(verify(&site, &fresh(&sandbox, &site, &events)), Ok(()));
    sandbox.add_fault(Fault::on("jwks").half_open().always()).unwrap();
    clock.advance(Duration::from_secs(301));
    sandbox.advance(Duration::from_secs(301)).unwrap();
    let jwt = fresh(&sandbox, &site, &events);
    for _ in 0..100 {
        let (sender, verified) = mpsc::channel();
        site.verify_passport(&jwt, PassportCheck::default())
            .start(move |result| sender.send(result).unwrap());
        verified.recv_timeout(LONG).expect("old keys are at hand").unwrap();
    }
    assert_eq!(sandbox.received_on("jwks").len(), 2, "the one that is under way");
}

#[test]
fn a_key_server_that_was_slow_is_asked_again() {
    let sandbox = sandbox();
    let (site, events, clock) = ticking(&sandbox);
    assert_eq!(verify(&site, &fresh(&sandbox, &site, &events)), Ok(()));
    // Longer than anybody waits who has old keys.
    sandbox.add_fault(Fault::on("jwks").delay(Duration::from_millis(1500))).unwrap();
    for fetches in [2, 3] {
        clock.advance(Duration::from_secs(301));
        sandbox.advance(Duration::from_secs(301)).unwrap();
        let jwt = fresh(&sandbox, &site, &events);
        assert_eq!(verify(&site, &jwt), Ok(()));
        let begun = Instant::now();
        while site.verify_passport_cached(&jwt, &PassportCheck::default()).is_none() {
            assert!(begun.elapsed() < LONG, "the new ones do not come");
            std::thread::yield_now();
        }
        assert_eq!(sandbox.received_on("jwks").len(), fetches);
    }
}

#[test]
fn a_site_without_any_keys_asks_every_five_seconds() {
    let sandbox = sandbox();
    let (site, events, clock) = ticking(&sandbox);
    let jwt = fresh(&sandbox, &site, &events);
    sandbox.add_fault(Fault::on("jwks").status(503).always()).unwrap();
    for round in 1..=4 {
        for _ in 0..3 {
            assert_eq!(verify(&site, &jwt), Err(ErrorKind::Api));
        }
        assert_eq!(sandbox.received_on("jwks").len(), 2 * round, "each time with one retry");
        clock.advance(Duration::from_secs(5));
    }
}

#[test]
fn made_up_kids_cost_two_fetches_in_half_a_minute_also_while_the_key_server_is_down() {
    let sandbox = sandbox();
    let (site, events, clock) = ticking(&sandbox);
    let jwt = fresh(&sandbox, &site, &events);
    assert_eq!(verify(&site, &jwt), Ok(()));
    sandbox.add_fault(Fault::on("jwks").status(503).always()).unwrap();
    for round in 1..=2 {
        for n in 0..30 {
            clock.advance(Duration::from_secs(1));
            assert_eq!(verify(&site, &made_up(&jwt, n)), Err(ErrorKind::Api), "no verdict on the passport");
        }
        assert_eq!(sandbox.received_on("jwks").len(), 1 + 2 * round);
        assert_eq!(verify(&site, &jwt), Ok(()), "the good keys are still there");
    }
}

#[test]
fn a_revoked_key_ends_with_the_time_of_the_keys() {
    let sandbox = sandbox();
    let (site, events, clock) = ticking(&sandbox);
    assert_eq!(verify(&site, &fresh(&sandbox, &site, &events)), Ok(()));
    clock.advance(Duration::from_secs(299));
    sandbox.advance(Duration::from_secs(299)).unwrap();
    let jwt = fresh(&sandbox, &site, &events);
    sandbox.rotate_keys(false);
    assert_eq!(verify(&site, &jwt), Ok(()));
    clock.advance(Duration::from_secs(1));
    assert_eq!(verify(&site, &jwt), Err(ErrorKind::InvalidPassport));
}

#[test]
fn a_key_server_that_is_down_is_not_hammered() {
    let sandbox = sandbox();
    let (site, events, clock) = ticking(&sandbox);
    for fault in [
        Fault::on("jwks").status(500).always(),
        Fault::on("jwks").status(200).body(serde_json::json!({"keys": []})).always(),
    ] {
        let jwt = fresh(&sandbox, &site, &events);
        sandbox.clear_received();
        let id = sandbox.add_fault(fault).unwrap();
        // The clock skips the waits between attempts, so the cool-down has to be told from them.
        for _ in 0..50 {
            assert!(verify(&site, &jwt).is_err());
        }
        assert!(sandbox.received_on("jwks").len() <= 2, "{}", sandbox.received_on("jwks").len());
        sandbox.remove_fault(id).unwrap();
        clock.advance(Duration::from_secs(301));
        sandbox.advance(Duration::from_secs(301)).unwrap();
    }
}

#[test]
fn an_api_root_without_its_version_finds_the_keys() {
    let sandbox = sandbox();
    let (site, events) = listening(&sandbox);
    approved(&sandbox, &site);
    let jwt = passport(&events);
    let bare =
        LimeSite::new(SiteConfig { base_url: Some(sandbox.origin().to_owned()), ..site_config(&sandbox) })
            .unwrap();
    assert_eq!(verify(&bare, &jwt), Ok(()));
}

#[test]
fn an_issuer_that_is_not_the_api_root_is_refused_and_a_missing_one_on_request() {
    let sandbox = sandbox();
    let (site, events) = listening(&sandbox);
    sandbox
        .update_settings(|settings| settings.issuer_override = Some("https://evil.example".into()))
        .unwrap();
    approved(&sandbox, &site);
    assert_eq!(verify(&site, &passport(&events)), Err(ErrorKind::InvalidPassport));
    sandbox.update_settings(|settings| (settings.issuer_override, settings.issuer) = (None, false)).unwrap();
    approved(&sandbox, &site);
    let jwt = passport(&events);
    assert_eq!(verify(&site, &jwt), Ok(()));
    let strict = LimeSite::new(SiteConfig {
        platform: Platform { require_issuer: true, ..Platform::AUTO },
        ..site_config(&sandbox)
    })
    .unwrap();
    assert_eq!(verify(&strict, &jwt), Err(ErrorKind::InvalidPassport));
}

#[test]
fn a_site_takes_the_documents_and_passports_of_the_platform_that_it_is_for() {
    let sandbox = sandbox();
    let (site, events) = listening(&sandbox);
    approved(&sandbox, &site);
    let jwt = passport(&events);
    let form = |jwks_form| Platform { jwks_form, ..Platform::AUTO };
    for (document, platform, taken) in [
        ("envelope", Platform::AUTO, true),
        ("envelope", Platform::SEED, true),
        ("envelope", form(JwksForm::Bare), false),
        ("envelope", Platform::TODAY, false),
        ("bare", Platform::AUTO, true),
        ("bare", Platform::TODAY, true),
        ("bare", form(JwksForm::Envelope), false),
        ("bare", Platform::SEED, false),
        ("both", Platform::SEED, true),
        ("both", Platform::TODAY, true),
    ] {
        sandbox.patch_settings(&serde_json::json!({"jwks_form": document})).unwrap();
        let site = LimeSite::new(SiteConfig { platform, ..site_config(&sandbox) }).unwrap();
        assert_eq!(verify(&site, &jwt).is_ok(), taken, "{document} {platform:?}");
    }
    // What the platform reports is told in whatever form it has its keys.
    sandbox.add_fault(Fault::on("jwks").status(404)).unwrap();
    let site = LimeSite::new(SiteConfig { platform: Platform::TODAY, ..site_config(&sandbox) }).unwrap();
    assert_eq!(verify(&site, &jwt), Err(ErrorKind::Api));
    // An issuer is asked for by today's preset only.
    sandbox.patch_settings(&serde_json::json!({"issuer": false, "jwks_form": "both"})).unwrap();
    approved(&sandbox, &site_of(&sandbox, Platform::AUTO));
    let jwt = passport(&events);
    for (platform, taken) in [(Platform::AUTO, true), (Platform::SEED, true), (Platform::TODAY, false)] {
        assert_eq!(verify(&site_of(&sandbox, platform), &jwt).is_ok(), taken, "{platform:?}");
    }
}

fn site_of(sandbox: &Sandbox, platform: Platform) -> LimeSite {
    LimeSite::new(SiteConfig { platform, ..site_config(sandbox) }).unwrap()
}

#[test]
fn a_caller_that_gives_up_does_not_cost_the_others_their_fetch() {
    let sandbox = sandbox();
    let (site, events, _clock) = ticking(&sandbox);
    assert_eq!(verify(&site, &fresh(&sandbox, &site, &events)), Ok(()));
    sandbox.rotate_keys(false);
    let jwt = fresh(&sandbox, &site, &events);
    sandbox.add_fault(Fault::on("jwks").delay(Duration::from_millis(300))).unwrap();
    let (sender, results) = mpsc::channel();
    let first = site
        .verify_passport(&jwt, PassportCheck::default())
        .start(move |result| sender.send(result).unwrap());
    // It is on its way; an answered request would be too late.
    while sandbox.received_on("jwks").len() < 2 {
        std::thread::yield_now();
    }
    assert!(lime_core::cancel_operation(first));
    assert_eq!(results.recv_timeout(LONG).unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(verify(&site, &jwt), Ok(()));
    assert_eq!(sandbox.received_on("jwks").len(), 2);
}

#[test]
fn a_fetch_that_fails_after_a_rotation_is_no_verdict_on_the_passport() {
    let sandbox = sandbox();
    let (site, events, clock) = ticking(&sandbox);
    assert_eq!(verify(&site, &fresh(&sandbox, &site, &events)), Ok(()));
    sandbox.rotate_keys(false);
    let jwt = fresh(&sandbox, &site, &events);
    sandbox.add_fault(Fault::on("jwks").status(503)).unwrap();
    assert_eq!(verify(&site, &jwt), Err(ErrorKind::Api));
    clock.advance(Duration::from_secs(5));
    assert_eq!(verify(&site, &jwt), Ok(()));
}

#[test]
fn an_api_root_that_answers_anything_finds_the_keys_too() {
    let sandbox = sandbox();
    let (site, events) = listening(&sandbox);
    approved(&sandbox, &site);
    let jwt = passport(&events);
    // The first place that is asked is no key document, and no 404 either.
    sandbox.add_fault(Fault::on("jwks").status(200).body("<html>")).unwrap();
    let elsewhere = SiteConfig { base_url: Some(format!("{}/", sandbox.origin())), ..site_config(&sandbox) };
    let error = verify(&LimeSite::new(elsewhere).unwrap(), &jwt);
    assert_ne!(error, Ok(()), "the sandbox has no keys at its root");
    assert_eq!(sandbox.received().iter().filter(|entry| entry.path.ends_with("jwks.json")).count(), 2);
}

/// Gateways redirect what they do not know, and some send pages of any size.
#[test]
fn an_api_root_that_redirects_or_sends_too_much_is_asked_at_the_other_place() {
    let sandbox = sandbox();
    let (site, events) = listening(&sandbox);
    approved(&sandbox, &site);
    let jwt = passport(&events);
    let large = "x".repeat(3 << 20);
    for fault in [Fault::on("jwks").redirect("/login"), Fault::on("jwks").status(200).body(large)] {
        sandbox.clear_received();
        sandbox.add_fault(fault).unwrap();
        let elsewhere =
            SiteConfig { base_url: Some(format!("{}/", sandbox.origin())), ..site_config(&sandbox) };
        let error = verify(&LimeSite::new(elsewhere).unwrap(), &jwt);
        assert_ne!(error, Ok(()), "the sandbox has no keys at its root");
        let paths: Vec<String> = sandbox.received().into_iter().map(|entry| entry.path).collect();
        let keys = |path: &&String| path.ends_with("jwks.json");
        assert_eq!(paths.iter().filter(keys).count(), 2, "{paths:?}");
    }
}

#[test]
fn what_is_cached_is_answered_at_once_and_only_while_the_site_is_open() {
    let sandbox = sandbox();
    let (site, events) = listening(&sandbox);
    let jwt = fresh(&sandbox, &site, &events);
    let check = PassportCheck::default();
    assert!(site.verify_passport_cached(&jwt, &check).is_none(), "there are no keys yet");
    let error = site.verify_passport_cached("no passport", &check).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidPassport, "no key is needed to see that");
    let verified = site.verify_passport(&jwt, check.clone()).wait().unwrap();
    assert_eq!(site.verify_passport_cached(&jwt, &check).unwrap().unwrap(), verified);
    site.close();
    for text in [&*jwt, "no passport"] {
        let error = site.verify_passport_cached(text, &check).unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
    }
    assert_eq!(site.wait_for_login("lr_1", LONG).wait().unwrap_err().kind(), ErrorKind::Closed);
}
