//! Sesame against the broker of the sandbox: triggers, waits, the gate; section 6 of the protocol, 9.

#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

mod common;

use std::collections::HashMap;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use common::*;
use lime_core::clock::ManualClock;
use lime_core::{Approval, ApprovalRequest, ErrorKind, Sesame, SesameConfig, WaitOptions, cancel_operation};
use lime_sandbox::{Decision, Fault, Options, Rule, Sandbox};

fn broker() -> Sandbox {
    Sandbox::start_blocking(Options::new().long_poll_seconds(20.0)).unwrap()
}

fn config(sandbox: &Sandbox) -> SesameConfig {
    SesameConfig {
        api_key: Some(sandbox.sesame_api_key().to_owned()),
        base_url: Some(sandbox.sesame_url().to_owned()),
        clock: Arc::new(ManualClock::default().skipping_sleeps()),
        ..SesameConfig::default()
    }
}

fn client(sandbox: &Sandbox) -> Sesame {
    Sesame::new(config(sandbox)).unwrap()
}

/// A client whose clock stands still: its waits end when the test says so.
fn client_of(sandbox: &Sandbox, clock: &Arc<ManualClock>) -> Sesame {
    Sesame::new(SesameConfig { clock: Arc::clone(clock) as _, ..config(sandbox) }).unwrap()
}

fn still() -> Arc<ManualClock> {
    Arc::new(ManualClock::default())
}

fn refund() -> ApprovalRequest {
    ApprovalRequest::new("payments.refund", "Refund $42.00")
}

/// Waits on a clock that skips sleeps: without a deadline, which such a clock would skip, too.
const EVER: WaitOptions = WaitOptions { timeout: Duration::MAX, poll_interval: Duration::ZERO };

fn started(sesame: &Sesame, id: &str, options: WaitOptions) -> mpsc::Receiver<lime_core::Result<Approval>> {
    let (sender, receiver) = mpsc::channel();
    sesame.wait(id, options).start(move |result| drop(sender.send(result)));
    receiver
}

#[test]
fn a_request_carries_what_was_given_and_nothing_else() {
    let sandbox = broker();
    let sesame = client(&sandbox);
    let pending = sesame.trigger(refund()).wait().unwrap();
    assert_eq!((pending.status.as_str(), pending.is_terminal()), ("pending", false));
    let context = serde_json::json!({"table": "orders", "rows": 1204}).as_object().unwrap().clone();
    let full = refund()
        .reason("GDPR")
        .dedup_key("refund-882")
        .callback_url("http://127.0.0.1:9/hook")
        .severity("high")
        .context(context.clone());
    sesame.trigger(full).wait().unwrap();
    let posts = sandbox.received_on("trigger_approval");
    assert_eq!(posts[0].headers["authorization"], format!("Bearer {}", sandbox.sesame_api_key()));
    let body = |at: usize| serde_json::from_str::<serde_json::Value>(&posts[at].body).unwrap();
    assert_eq!(body(0), serde_json::json!({"action": "payments.refund", "summary": "Refund $42.00"}));
    assert_eq!(
        body(1),
        serde_json::json!({
            "action": "payments.refund", "summary": "Refund $42.00", "reason": "GDPR",
            "dedup_key": "refund-882", "callback_url": "http://127.0.0.1:9/hook", "severity": "high",
            "context": context,
        })
    );
}

#[test]
fn a_wait_ends_with_the_decision() {
    let sandbox = broker();
    let sesame = client(&sandbox);
    for (decision, status) in [(Decision::Approved, "approved"), (Decision::Denied, "denied")] {
        let id = sesame.trigger(refund()).wait().unwrap().approval_id;
        let waiting = started(&sesame, &id, EVER);
        assert!(sandbox.wait_for_polls_blocking(1, LONG));
        sandbox.decide(&id, decision, Some("because")).unwrap();
        let decided = waiting.recv_timeout(LONG).unwrap().unwrap();
        assert_eq!((decided.status.as_str(), decided.is_approved()), (status, status == "approved"));
        assert_eq!(decided.note.as_deref(), Some("because"));
        assert!(decided.decided_at.is_some() && decided.expires_at.is_some());
        assert_eq!(sesame.get(&id, false).wait().unwrap(), decided);
    }
    let id = sesame.trigger(refund()).wait().unwrap().approval_id;
    let waiting = started(&sesame, &id, EVER);
    assert!(sandbox.wait_for_polls_blocking(1, LONG));
    sandbox.advance(Duration::from_secs(365 * 24 * 3600)).unwrap();
    assert_eq!(waiting.recv_timeout(LONG).unwrap().unwrap().status, "expired");
}

#[test]
fn the_gate_lets_through_what_was_approved_and_nothing_else() {
    let sandbox = broker();
    let sesame = client(&sandbox);
    sandbox.add_rule(Rule::approve("payments.*")).unwrap();
    sandbox.add_rule(Rule::deny("db.*").note("too many rows")).unwrap();
    assert!(sesame.require_approval(refund(), EVER).wait().unwrap().is_approved());
    let denied = sesame.require_approval(ApprovalRequest::new("db.delete", "x"), EVER).wait().unwrap_err();
    assert_eq!((denied.kind(), denied.code()), (ErrorKind::ApprovalDenied, Some("denied")));
    assert_eq!(denied.message(), "Approval for 'db.delete' was denied: too many rows");
    assert!(denied.approval_id().is_some());

    let (sender, receiver) = mpsc::channel();
    let gate = sesame.require_approval(ApprovalRequest::new("other", "x"), EVER);
    gate.start(move |result| drop(sender.send(result)));
    assert!(sandbox.wait_for_polls_blocking(1, LONG));
    let id = sandbox.approvals().pop().unwrap().approval_id;
    sandbox.expire_approval(&id).unwrap();
    let expired = receiver.recv_timeout(LONG).unwrap().unwrap_err();
    assert_eq!((expired.kind(), expired.code()), (ErrorKind::ApprovalDenied, Some("expired")));
}

#[test]
fn an_approval_lets_one_call_through_and_only_what_was_asked() {
    let sandbox = broker();
    let sesame = client(&sandbox);
    sandbox.add_rule(Rule::approve("payments.*")).unwrap();
    let gate = |request: ApprovalRequest| sesame.require_approval(request.dedup_key("refund-1"), EVER).wait();
    let first = gate(refund().reason("said so")).unwrap();
    let code = |result: lime_core::Result<_>| {
        let error: lime_core::Error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ApprovalDenied);
        assert_eq!(error.approval_id(), Some(&*first.approval_id));
        error.code().map(str::to_owned)
    };
    assert_eq!(code(gate(refund())).as_deref(), Some("already_used"));
    let more = ApprovalRequest::new("payments.refund", "Refund $1,000,000.00");
    assert_eq!(code(gate(more)).as_deref(), Some("args_changed"));
    let context = serde_json::json!({"amount": 1}).as_object().unwrap().clone();
    assert_eq!(code(gate(refund().context(context))).as_deref(), Some("args_changed"));
    // Another client of the process knows it, too.
    let other = client(&sandbox).require_approval(refund().dedup_key("refund-1"), EVER).wait();
    assert_eq!(code(other).as_deref(), Some("already_used"));
    // Without a key each call is a question of its own.
    assert!(sesame.require_approval(refund(), EVER).wait().is_ok());
    assert!(sesame.require_approval(refund(), EVER).wait().is_ok());
}

#[test]
fn of_calls_that_share_an_approval_one_goes_on() {
    let sandbox = broker();
    let sesame = client(&sandbox);
    let (sender, receiver) = mpsc::channel();
    for _ in 0..8 {
        let sender = sender.clone();
        let gate = sesame.require_approval(refund().dedup_key("refund-8"), EVER);
        gate.start(move |result| drop(sender.send(result)));
    }
    assert!(sandbox.wait_for_polls_blocking(8, LONG));
    let [approval] = &sandbox.approvals()[..] else { panic!("one approval") };
    sandbox.decide(&approval.approval_id, Decision::Approved, None).unwrap();
    let results: Vec<_> = (0..8).map(|_| receiver.recv_timeout(LONG).unwrap()).collect();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let used = |error: &lime_core::Error| error.code() == Some("already_used");
    assert_eq!(results.iter().filter_map(|result| result.as_ref().err()).filter(|e| used(e)).count(), 7);
}

#[test]
fn fault_9_transport_failures_and_bad_statuses_are_ridden_out() {
    let sandbox = broker();
    let short = SesameConfig { poll_timeout: Duration::from_millis(50), ..config(&sandbox) };
    for (fault, sesame) in [
        (Fault::on("read_approval").drop_before(), client(&sandbox)),
        (Fault::on("read_approval").drop_before().with_reset(), client(&sandbox)),
        (Fault::on("read_approval").drop_after(), client(&sandbox)),
        (Fault::on("read_approval").cut(), client(&sandbox)),
        (Fault::on("read_approval").garbage(), client(&sandbox)),
        (Fault::on("read_approval").status(408), client(&sandbox)),
        (Fault::on("read_approval").status(429), client(&sandbox)),
        (Fault::on("read_approval").status(500), client(&sandbox)),
        (Fault::on("read_approval").status(502), client(&sandbox)),
        (Fault::on("read_approval").status(503), client(&sandbox)),
        (Fault::on("read_approval").status(504), client(&sandbox)),
        (Fault::on("read_approval").half_open(), Sesame::new(short).unwrap()),
    ] {
        let id = sesame.trigger(refund()).wait().unwrap().approval_id;
        sandbox.decide(&id, Decision::Approved, None).unwrap();
        sandbox.clear_received();
        sandbox.add_fault(fault.clone().times(5)).unwrap();
        let decided = sesame.wait(&id, EVER).wait();
        assert!(decided.as_ref().is_ok_and(Approval::is_approved), "{fault:?}: {decided:?}");
        assert!(sandbox.received_on("read_approval").len() > 5, "{fault:?}");
        sandbox.clear_faults();
    }
}

#[test]
fn fault_9_a_broker_that_is_away_is_waited_for_until_the_deadline() {
    let clock = still();
    let sesame = Sesame::new(SesameConfig {
        api_key: Some("sk_x".into()),
        base_url: Some("http://127.0.0.1:1".into()),
        clock: Arc::clone(&clock) as _,
        ..SesameConfig::default()
    })
    .unwrap();
    let options = WaitOptions { timeout: Duration::from_secs(5), poll_interval: Duration::ZERO };
    let waiting = started(&sesame, "ap_1", options);
    // The first sleep is the deadline's; the waits between polls grow.
    for (at, step) in [125, 250, 500, 1000, 2000].into_iter().enumerate() {
        assert_eq!(clock.wait_for_sleeps(at + 2)[at + 1], Duration::from_millis(step));
        clock.advance(Duration::from_millis(step));
    }
    // Its deadline is the one that was asked for, and nothing but its passing ends the wait.
    assert_eq!(clock.wait_for_sleeps(7)[0], Duration::from_secs(5));
    clock.advance(Duration::from_millis(5000 - 3875));
    let error = waiting.recv_timeout(LONG).unwrap().unwrap_err();
    assert_eq!((error.kind(), error.approval_id()), (ErrorKind::Timeout, Some("ap_1")));
    assert!(
        error.message().starts_with("Approval ap_1 not decided within 5s (status=pending; last poll: Conn")
    );
}

#[test]
fn fault_9_the_deadline_cuts_the_poll_under_way() {
    let sandbox = broker();
    let clock = still();
    let sesame = client_of(&sandbox, &clock);
    let id = sesame.trigger(refund()).wait().unwrap().approval_id;
    let waiting = started(&sesame, &id, WaitOptions::default());
    assert!(sandbox.wait_for_polls_blocking(1, LONG));
    assert_eq!(clock.slept()[0], Duration::from_secs(300));
    clock.advance(Duration::from_secs(300));
    let error = waiting.recv_timeout(LONG).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.message(), format!("Approval {id} not decided within 300s (status=pending)"));
    assert!(sandbox.wait_for_polls_blocking(0, LONG), "the poll's connection is closed");

    sandbox.clear_received();
    let none = WaitOptions { timeout: Duration::ZERO, ..WaitOptions::default() };
    assert_eq!(client(&sandbox).wait(&id, none).wait().unwrap_err().kind(), ErrorKind::Timeout);
    assert!(sandbox.received_on("read_approval").is_empty(), "no time, no question");
}

#[test]
fn polls_keep_their_distance_and_a_wish_to_wait_is_heard() {
    let sandbox = Sandbox::start_blocking(Options::new().long_poll_seconds(0.0)).unwrap();
    let clock = still();
    let sesame = client_of(&sandbox, &clock);
    let id = sesame.trigger(refund()).wait().unwrap().approval_id;
    let waiting = started(&sesame, &id, WaitOptions::default());
    for poll in 1..=3 {
        let slept = clock.wait_for_sleeps(1 + poll);
        assert_eq!(slept[poll], Duration::from_secs(2), "polls that are not held are two seconds apart");
        assert_eq!(sandbox.received_on("read_approval").len(), poll);
        if poll == 3 {
            sandbox.add_fault(Fault::on("read_approval").status(503).header("retry-after", "7")).unwrap();
        }
        clock.advance(Duration::from_secs(2));
    }
    assert_eq!(clock.wait_for_sleeps(5)[4], Duration::from_secs(7));
    sandbox.decide(&id, Decision::Approved, None).unwrap();
    clock.advance(Duration::from_secs(7));
    assert!(waiting.recv_timeout(LONG).unwrap().unwrap().is_approved());
}

#[test]
fn a_refused_key_and_an_unknown_approval_end_a_wait_at_once() {
    let sandbox = broker();
    let sesame = client(&sandbox);
    for (error, kind, message) in [
        (sesame.wait("ap_nobody", EVER).wait().unwrap_err(), ErrorKind::NotFound, None),
        (sesame.get("ap_nobody", false).wait().unwrap_err(), ErrorKind::NotFound, None),
        (
            sesame.wait("../approvals", EVER).wait().unwrap_err(),
            ErrorKind::NotFound,
            Some("approval_id contains characters that no approval id has"),
        ),
        (
            sesame.get(" ", true).wait().unwrap_err(),
            ErrorKind::NotFound,
            Some("approval_id must be a non-empty string"),
        ),
    ] {
        assert_eq!(error.kind(), kind);
        assert!(message.is_none_or(|message| message == error.message()), "{error}");
    }
    assert_eq!(sandbox.received_on("read_approval").len(), 2, "asked once each, or not at all");

    let id = sesame.trigger(refund()).wait().unwrap().approval_id;
    let wrong = SesameConfig { api_key: Some("sk_wrong".into()), ..config(&sandbox) };
    let error = Sesame::new(wrong).unwrap().wait(&id, EVER).wait().unwrap_err();
    assert_eq!((error.kind(), error.http_status()), (ErrorKind::Authentication, Some(401)));
    assert_eq!(error.approval_id(), Some(id.as_str()));
    sandbox.add_fault(Fault::on("read_approval").status(403)).unwrap();
    assert_eq!(sesame.wait(&id, EVER).wait().unwrap_err().kind(), ErrorKind::Api);
    sandbox.add_fault(Fault::on("read_approval").redirect("http://127.0.0.1:1/")).unwrap();
    assert_eq!(sesame.wait(&id, EVER).wait().unwrap_err().kind(), ErrorKind::BadResponse);
}

#[test]
fn a_trigger_is_repeated_only_when_it_is_safe() {
    let sandbox = broker();
    let sesame = client(&sandbox);
    let keyed = || refund().dedup_key("refund-882");
    let faults = || {
        [503, 429, 408, 500, 502, 504]
            .map(|status| Fault::on("trigger_approval").status(status))
            .into_iter()
            .chain([Fault::on("trigger_approval").drop_before(), Fault::on("trigger_approval").drop_after()])
    };
    for fault in faults() {
        sandbox.clear_received();
        sandbox.add_fault(fault.clone()).unwrap();
        sesame.trigger(keyed()).wait().unwrap();
        let posts = sandbox.received_on("trigger_approval");
        assert_eq!(posts.len(), 2, "{fault:?}");
        assert_eq!(posts[0].headers["idempotency-key"], posts[1].headers["idempotency-key"]);
    }
    assert_eq!(sandbox.approvals().len(), 1, "one key, one approval");
    for fault in faults() {
        sandbox.clear_received();
        sandbox.add_fault(fault.clone()).unwrap();
        let error = sesame.trigger(refund()).wait().unwrap_err();
        assert_eq!(sandbox.received_on("trigger_approval").len(), 1, "{fault:?}");
        let wanted = match error.http_status() {
            Some(408 | 503) => ErrorKind::Api,
            Some(429) => ErrorKind::RateLimit,
            _ => ErrorKind::OutcomeUnknown,
        };
        assert_eq!(error.kind(), wanted, "{fault:?}: {error}");
    }
    assert_eq!(sandbox.approvals().len(), 2, "and the one whose answer was dropped");
    sandbox.add_fault(Fault::on("trigger_approval").garbage()).unwrap();
    assert_eq!(sesame.trigger(refund()).wait().unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(sesame.trigger(ApprovalRequest::default()).wait().unwrap_err().http_status(), Some(422));
}

#[test]
fn a_trigger_that_did_not_leave_is_repeated() {
    let clock = Arc::new(ManualClock::default().skipping_sleeps());
    let sesame = Sesame::new(SesameConfig {
        api_key: Some("sk_x".into()),
        base_url: Some("http://127.0.0.1:1".into()),
        clock: Arc::clone(&clock) as _,
        ..SesameConfig::default()
    })
    .unwrap();
    assert_eq!(sesame.trigger(refund()).wait().unwrap_err().kind(), ErrorKind::Transport);
    assert_eq!(clock.slept().len(), 3);
    let gate = sesame.require_approval(refund(), EVER);
    assert_eq!(gate.wait().unwrap_err().kind(), ErrorKind::Transport, "nobody was asked: do not go on");
}

#[test]
fn an_answer_about_another_approval_decides_nothing() {
    let sandbox = broker();
    let sesame = client(&sandbox);
    let id = sesame.trigger(refund()).wait().unwrap().approval_id;
    let other = serde_json::json!({"approval_id": "ap_other", "status": "approved"});
    sandbox.add_fault(Fault::on("read_approval").status(200).body(other).times(3)).unwrap();
    sandbox.decide(&id, Decision::Denied, None).unwrap();
    assert_eq!(sesame.get(&id, false).wait().unwrap_err().kind(), ErrorKind::BadResponse);
    assert_eq!(sesame.wait(&id, EVER).wait().unwrap().status, "denied");
    assert_eq!(sandbox.received_on("read_approval").len(), 4);
}

#[test]
fn no_wish_to_wait_makes_a_wait_miss_its_decision() {
    let sandbox = broker();
    let clock = still();
    let sesame = client_of(&sandbox, &clock);
    let id = sesame.trigger(refund()).wait().unwrap().approval_id;
    sandbox.add_fault(Fault::on("read_approval").status(503).header("retry-after", "4000000000")).unwrap();
    let waiting = started(&sesame, &id, WaitOptions::default());
    assert_eq!(clock.wait_for_sleeps(2)[1], Duration::from_secs(30));
    sandbox.decide(&id, Decision::Approved, None).unwrap();
    clock.advance(Duration::from_secs(30));
    assert!(waiting.recv_timeout(LONG).unwrap().unwrap().is_approved());
}

#[test]
fn the_time_of_a_gate_is_that_of_its_question_too() {
    let sandbox = broker();
    let clock = still();
    sandbox.add_fault(Fault::on("trigger_approval").half_open()).unwrap();
    let (sender, receiver) = mpsc::channel();
    let gate = client_of(&sandbox, &clock).require_approval(refund(), WaitOptions::default());
    gate.start(move |result| drop(sender.send(result)));
    assert_eq!(clock.wait_for_sleeps(1)[0], Duration::from_secs(300));
    clock.advance(Duration::from_secs(300));
    let error = receiver.recv_timeout(LONG).unwrap().unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Timeout, "The broker took no question within 300s")
    );
}

#[test]
fn a_read_that_is_held_is_asked_once() {
    let sandbox = broker();
    let config = SesameConfig { poll_timeout: Duration::from_millis(50), ..config(&sandbox) };
    let sesame = Sesame::new(config).unwrap();
    let id = sesame.trigger(refund()).wait().unwrap().approval_id;
    assert_eq!(sesame.get(&id, true).wait().unwrap_err().kind(), ErrorKind::TransportTimeout);
    assert_eq!(sandbox.received_on("read_approval").len(), 1);
}

#[test]
fn a_context_is_sent_as_it_is_written() {
    let sandbox = broker();
    let sesame = client(&sandbox);
    let text = r#"{ "wei": 1234567890123456789012345, "x": 1e300 }"#;
    sesame.trigger(refund().context_json(text).unwrap()).wait().unwrap();
    assert!(sandbox.received_on("trigger_approval")[0].body.ends_with(&format!(r#","context":{text}}}"#)));
    for bad in ["", "[]", "1", "{", r#"{"a":}"#, "{} {}"] {
        assert_eq!(refund().context_json(bad).unwrap_err().kind(), ErrorKind::InvalidArgument, "{bad}");
    }
}

#[test]
fn cancelling_ends_the_poll() {
    let sandbox = broker();
    let sesame = client(&sandbox);
    let id = sesame.trigger(refund()).wait().unwrap().approval_id;
    let (sender, receiver) = mpsc::channel();
    let operation = sesame.wait(&id, EVER).start(move |result| drop(sender.send(result)));
    assert!(sandbox.wait_for_polls_blocking(1, LONG));
    assert!(cancel_operation(operation));
    assert_eq!(receiver.recv_timeout(LONG).unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(sandbox.wait_for_polls_blocking(0, LONG));
    sesame.close();
    assert_eq!(sesame.trigger(refund()).wait().unwrap_err().kind(), ErrorKind::Closed);
}

/// Each gets its own decision, whatever the order, and none costs a thread.
#[test]
fn three_hundred_waits_at_once() {
    let sandbox = broker();
    let sesame = client(&sandbox);
    let (sender, receiver) = mpsc::channel();
    let mut wanted = HashMap::new();
    for number in 0..300_u32 {
        let request = ApprovalRequest::new("parallel", number.to_string());
        let id = sesame.trigger(request).wait().unwrap().approval_id;
        let sender = sender.clone();
        sesame.wait(&id, EVER).start(move |result| sender.send(result.unwrap()).unwrap());
        wanted.insert(id, if number % 3 == 0 { Decision::Denied } else { Decision::Approved });
    }
    assert!(sandbox.wait_for_polls_blocking(300, LONG));
    let threads = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok())
        .filter(|name| name.starts_with("lime-"))
        .count();
    assert!(threads <= 4, "{threads} threads of the library for 300 waits");
    for (id, decision) in &wanted {
        sandbox.decide(id, *decision, None).unwrap();
    }
    for _ in 0..300 {
        let decided = receiver.recv_timeout(LONG).unwrap();
        let approved = wanted.remove(&decided.approval_id).unwrap() == Decision::Approved;
        assert_eq!(decided.is_approved(), approved);
    }
    assert!(wanted.is_empty());
}

#[test]
fn a_key_must_be_given_and_is_not_shown() {
    let none = SesameConfig { api_key: Some("  ".into()), ..SesameConfig::default() };
    let error = Sesame::new(none).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(error.message().starts_with("No Sesame API key provided"));
    let sesame = Sesame::new(SesameConfig { api_key: Some("sk_hidden".into()), ..SesameConfig::default() });
    assert!(!format!("{:?}", sesame.unwrap()).contains("sk_hidden"));
}
