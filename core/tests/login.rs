//! The main job against the sandbox, on every form of the platform, and through faults.

#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

mod common;

use common::*;
use lime_core::agent::pow;
use lime_core::{ErrorKind, LimeAgent, LimeSite, PassportCheck, PowChoice, PowDigest};
use lime_sandbox::{Fault, Platform, Sandbox};

fn sign_in(site: &LimeSite, agent: &LimeAgent, events: &std::sync::mpsc::Receiver<lime_core::LoginEvent>) {
    let request = site.create_login_request().wait().unwrap();
    assert_eq!(request.status, "PENDING");
    assert!(request.expires_at.offset_seconds.is_some());
    let approval = agent.login(&request.request_id).wait().unwrap();
    assert_eq!(approval.request_id, request.request_id);
    assert!(["APPROVED", "DELIVERED"].contains(&approval.status.as_str()));
    let event = events.recv_timeout(LONG).unwrap();
    assert_eq!(event.request_id, request.request_id);
    let check = PassportCheck::default().expected_request_id(&request.request_id);
    let passport = site.verify_passport(&event.passport.unwrap(), check).wait().unwrap();
    let profile = agent.get_profile().wait().unwrap();
    assert_eq!(passport.claims["agent_id"], profile.agent_id.as_str());
    assert_eq!(Some(profile.agent_id), approval.approved_agent_id);
}

#[test]
fn works_on_every_form_of_the_platform() {
    for platform in [Platform::Seed, Platform::Today, Platform::Both] {
        let sandbox = sandbox_of(platform);
        let (site, events) = listening(&sandbox);
        let agent = agent(&sandbox);
        sign_in(&site, &agent, &events);
        sign_in(&site, &agent, &events);
    }
}

#[test]
fn works_through_a_fault_plan() {
    let sandbox = sandbox();
    let (site, events) = listening(&sandbox);
    let agent = agent(&sandbox);
    sign_in(&site, &agent, &events);
    sandbox.add_fault(Fault::on("approve").status(503)).unwrap();
    sandbox.add_fault(Fault::on("events").cut()).unwrap();
    sandbox.rotate_keys(false);
    sign_in(&site, &agent, &events);
    assert!(sandbox.streams().total_connects >= 2);
}

#[test]
fn works_byte_by_byte() {
    let sandbox = sandbox();
    sandbox.add_fault(Fault::on("*").one_byte_chunks().always()).unwrap();
    let (site, events) = listening(&sandbox);
    sign_in(&site, &agent(&sandbox), &events);
}

#[test]
fn auto_finds_the_digest_and_remembers_it_per_api_root() {
    let sandbox = sandbox_of(Platform::Today);
    let site = site(&sandbox);
    let login = |agent: &LimeAgent| {
        let request = site.create_login_request().wait().unwrap();
        agent.login(&request.request_id).wait().unwrap();
    };
    login(&agent(&sandbox));
    assert_eq!(sandbox.received_on("approve").len(), 2, "the seed's digest, then today's");
    login(&agent(&sandbox));
    assert_eq!(sandbox.received_on("approve").len(), 3, "today's at once, in another client too");
    sandbox.patch_settings(&serde_json::json!({"pow_digest": "seed"})).unwrap();
    login(&agent(&sandbox));
    assert_eq!(sandbox.received_on("approve").len(), 5, "what was remembered is not for ever");
}

#[test]
fn a_chosen_digest_is_the_only_one_tried() {
    let sandbox = sandbox_of(Platform::Seed);
    let request = site(&sandbox).create_login_request().wait().unwrap();
    let config = lime_core::AgentConfig {
        platform: lime_core::Platform {
            pow_digest: PowChoice::Only(PowDigest::Today),
            ..lime_core::Platform::AUTO
        },
        ..agent_config(&sandbox)
    };
    let error = LimeAgent::new(config).unwrap().login(&request.request_id).wait().unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Api, Some("INVALID_POW")));
    assert_eq!(error.request_id(), Some(request.request_id.as_str()));
    assert_eq!(sandbox.received_on("approve").len(), 1);
}

#[test]
fn an_impossible_difficulty_is_refused_before_any_work() {
    let sandbox = sandbox();
    let request = site(&sandbox).create_login_request().wait().unwrap();
    sandbox.update_settings(|settings| settings.pow_difficulty = 257).unwrap();
    let request_after = site(&sandbox).create_login_request().wait().unwrap();
    for id in [request.request_id, request_after.request_id] {
        if let Err(error) = agent(&sandbox).login(&id).wait() {
            assert_eq!(error.kind(), ErrorKind::PowDifficulty);
            return;
        }
    }
    panic!("no request had the new difficulty");
}

#[test]
fn a_budget_that_is_too_small_is_a_pow_timeout() {
    let sandbox = hard_sandbox();
    let request = site(&sandbox).create_login_request().wait().unwrap();
    let config = lime_core::AgentConfig {
        pow_timeout: std::time::Duration::from_millis(20),
        ..agent_config(&sandbox)
    };
    let error = LimeAgent::new(config).unwrap().login(&request.request_id).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PowTimeout);
}

#[test]
fn cancelling_stops_the_proof_of_work() {
    let sandbox = hard_sandbox();
    let request = site(&sandbox).create_login_request().wait().unwrap();
    let config = lime_core::AgentConfig { pow_timeout: LONG * 100, ..agent_config(&sandbox) };
    let agent = LimeAgent::new(config).unwrap();
    let (sender, result) = std::sync::mpsc::channel();
    let id = agent.login(&request.request_id).start(move |result| sender.send(result).unwrap());
    assert!(sandbox.wait_for_received_blocking("challenge", 1, LONG));
    assert!(lime_core::cancel_operation(id));
    let error = result.recv_timeout(LONG).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(result.recv().is_err(), "completed exactly once");
    assert!(!lime_core::cancel_operation(id), "a late cancel is harmless");
    // The search has stopped as well: with a single permit left over, a second login could not start.
    let easy = sandbox_with_easy_request(&sandbox);
    for _ in 0..4 {
        agent
            .login(&easy)
            .wait()
            .map(drop)
            .or_else(|error| if error.http_status() == Some(404) { Ok(()) } else { Err(error) })
            .unwrap();
    }
}

/// The proof of work by itself, for hosts that speak to the platform on their own.
#[test]
fn a_search_ends_with_the_smallest_nonce_or_when_nobody_wants_it() {
    let options = pow::Options { digest: PowDigest::Seed, timeout: LONG * 100, threads: 2 };
    let alone = pow::Options { threads: 1, ..options };
    let found = pow::search("challenge", 12, options).wait().unwrap();
    assert_eq!(pow::search("challenge", 12, alone).wait().unwrap(), found);
    assert!(found.parse::<u64>().is_ok());
    let short = pow::Options { timeout: std::time::Duration::from_millis(1), ..options };
    assert_eq!(pow::search("challenge", 200, short).wait().unwrap_err().kind(), ErrorKind::PowTimeout);
    // As many as there are places for: they give them up when they are cancelled.
    for _ in 0..8 {
        let (sender, ended) = std::sync::mpsc::channel();
        let id = pow::search("challenge", 200, options).start(move |result| sender.send(result).unwrap());
        assert!(lime_core::cancel_operation(id));
        assert_eq!(ended.recv_timeout(LONG).unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    }
    assert_eq!(pow::search("challenge", 12, options).wait().unwrap(), found);
}

fn hard_sandbox() -> Sandbox {
    let sandbox = sandbox();
    sandbox.update_settings(|settings| settings.pow_difficulty = 200).unwrap();
    sandbox
}

fn sandbox_with_easy_request(sandbox: &Sandbox) -> String {
    sandbox.update_settings(|settings| settings.pow_difficulty = 4).unwrap();
    site(sandbox).create_login_request().wait().unwrap().request_id
}

/// As published platforms have written it; what cannot be read is an answer that makes no sense.
#[test]
fn the_difficulty_may_be_written_as_a_text() {
    let sandbox = sandbox();
    let challenge = |difficulty: serde_json::Value| {
        let request = site(&sandbox).create_login_request().wait().unwrap();
        let mut data = serde_json::json!({
            "status": "PENDING", "pow_challenge": "0123456789abcdef0123456789abcdef", "nonce": "n", "pow_difficulty": difficulty,
        });
        if difficulty.is_null() {
            data.as_object_mut().unwrap().remove("pow_difficulty");
        }
        let body = serde_json::json!({"ok": true, "data": data});
        sandbox.add_fault(Fault::on("challenge").status(200).body(body)).unwrap();
        agent(&sandbox).login(&request.request_id).wait().unwrap_err()
    };
    assert_eq!(challenge(" 200 ".into()).kind(), ErrorKind::PowTimeout, "it was tried");
    for bad in [serde_json::Value::Null, "many".into(), true.into()] {
        assert_eq!(challenge(bad).kind(), ErrorKind::BadResponse);
    }
}
