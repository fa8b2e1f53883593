//! What must hold after a run, whatever went wrong in it.

use std::collections::{BTreeMap, HashMap};

use lime_sandbox::{Approval, ApprovalStatus, LoginRequest, LoginStatus};

use crate::plan::{LoginEnd, Plan};
use crate::seen::{GateSeen, LoginSeen, Seen};

/// What the platform and the network know of one program's part in a run.
#[derive(Debug)]
pub struct Facts {
    pub logins: Vec<LoginRequest>,
    pub approvals: Vec<Approval>,
    /// Events that wait for a stream.
    pub undelivered: usize,
    /// Requests whose events have reached the program, and how often.
    pub arrived: HashMap<String, usize>,
}

/// What was found, and what happened how often.
#[derive(Debug, Default)]
pub struct Verdict {
    pub findings: Vec<String>,
    pub counts: BTreeMap<String, u64>,
}

/// How calls may fail when network and platform do. Anything else is a fault of ours.
pub const FAILURES: [&str; 6] =
    ["transport", "transport_timeout", "bad_response", "rate_limit", "api", "outcome_unknown"];

impl Verdict {
    /// Looks at one program's part in a run that is over.
    pub fn of(plan: &Plan, seen: &Seen, facts: &Facts) -> Self {
        let mut verdict = Self::default();
        verdict.complain(!seen.complaints.is_empty(), || format!("it told {:?}", seen.complaints));
        verdict.complain(facts.undelivered > 0, || format!("{} events wait for a stream", facts.undelivered));
        for (job, login) in plan.logins.iter().enumerate() {
            let told = seen.logins.get(&job).cloned().unwrap_or_default();
            verdict.login(job, login.end, &told, plan, seen, facts);
        }
        let known: Vec<&str> =
            seen.logins.values().filter_map(|login| login.created.as_ref()?.as_deref().ok()).collect();
        for (id, how) in &seen.events {
            let made_up = !known.contains(&id.as_str()) && !id.starts_with(MARK);
            verdict.complain(made_up, || format!("an event ({how}) of a request that is not ours: {id}"));
        }
        // A repeated call that the platform knows again makes no second request.
        let most = plan.logins.len();
        verdict.complain(plan.idempotency && facts.logins.len() > most, || {
            format!("{} requests on the platform for {most} calls", facts.logins.len())
        });
        for (job, gate) in plan.gates.iter().enumerate() {
            let told = seen.gates.get(&job).cloned().unwrap_or_default();
            let action = action(job);
            let asked: Vec<_> = facts.approvals.iter().filter(|asked| asked.action == action).collect();
            verdict.gate(job, gate.dedup, &told, &asked);
        }
        verdict
    }

    fn complain(&mut self, wrong: bool, what: impl FnOnce() -> String) {
        if wrong {
            self.findings.push(what());
        }
    }

    fn count(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
    }

    fn failure(&mut self, what: &str, job: usize, kind: &str) {
        self.complain(!FAILURES.contains(&kind), || format!("{what} {job} failed with {kind}"));
    }

    fn login(
        &mut self,
        job: usize,
        end: LoginEnd,
        told: &LoginSeen,
        plan: &Plan,
        seen: &Seen,
        facts: &Facts,
    ) {
        let id = match &told.created {
            None => return self.complain(true, || format!("login {job} was never created")),
            Some(Err(kind)) => {
                self.count(format!("creating a request: {kind}"));
                return self.failure("creating request", job, kind);
            }
            Some(Ok(id)) => id,
        };
        self.count("requests created");
        let Some(request) = facts.logins.iter().find(|request| request.login_request_id == *id) else {
            return self.complain(true, || format!("request {id} is not on the platform"));
        };
        let approved = matches!(request.status, LoginStatus::Approved | LoginStatus::Delivered);
        if end == LoginEnd::Agent {
            let kind = told.signed_in.as_deref().unwrap_or("nothing");
            self.count(format!("login: {kind}"));
            match kind {
                "ok" => self.complain(!approved, || format!("login {job} is ok and {id} is not approved")),
                "outcome_unknown" => {}
                kind => {
                    self.failure("login", job, kind);
                    self.complain(approved, || format!("login {job} failed ({kind}) and {id} is approved"));
                }
            }
        }
        self.delivery(id, request.status, approved, seen, facts);

        let sessions: Vec<&str> =
            seen.sessions.iter().filter(|(of, _)| of == id).map(|(_, kind)| kind.as_str()).collect();
        let good = sessions.iter().filter(|kind| **kind == "ok").count();
        self.complain(good > 1, || format!("{good} sessions came of {id}"));
        self.complain(good > 0 && !approved, || format!("a session came of {id}, which is not approved"));
        for kind in sessions {
            self.count(format!("passport: {kind}"));
            // With its key gone, a passport is worth nothing; without faults of the keys it must be good.
            if kind != "ok" && !(kind == "invalid_passport" && plan.loses_keys()) {
                self.failure("verifying the passport of", job, kind);
            }
        }
    }

    /// One call of the handler for each event, and the one that fits; or a gap, if it is lost.
    fn delivery(&mut self, id: &str, status: LoginStatus, approved: bool, seen: &Seen, facts: &Facts) {
        let calls = seen.calls(id);
        let gaps = seen.gaps.iter().filter(|gap| *gap == id).count();
        let ended = approved || status == LoginStatus::Expired;
        let arrived = facts.arrived.get(id).copied().unwrap_or(0);
        self.complain(calls > 1, || format!("{calls} calls of the handler for {id}"));
        self.complain(gaps > 1, || format!("{gaps} gaps for {id}"));
        self.complain(gaps > 0 && !ended, || format!("a gap for {id}, which has not ended"));
        self.complain(calls > 0 && !ended, || format!("a call of the handler for {id}, which has not ended"));
        let wanted = if approved { "approved" } else { "expired" };
        for (_, how) in seen.events.iter().filter(|(event, _)| event == id) {
            self.complain(how != wanted, || format!("the handler was told {how} of {id}, which is {wanted}"));
        }
        if !ended {
            return;
        }
        self.count("events sent");
        self.complain(arrived > 0 && calls == 0, || {
            format!("the event of {id} has arrived, and the handler was not called")
        });
        // The platform says of an expired one how it ended; of another one only that it has.
        self.complain(calls == 0 && gaps == 0, || format!("nobody was told that {id} is {wanted}"));
        self.complain(calls == 0 && !approved, || format!("{id} is expired, and was told as a gap"));
        self.count(match (calls, gaps) {
            (0, _) => "events lost on the way, and told as gaps",
            (_, 0) => "events handled",
            (_, _) => "events handled, and told as gaps before",
        });
    }

    fn gate(&mut self, job: usize, dedup: bool, told: &GateSeen, asked: &[&Approval]) {
        let kind = told.result.as_deref().unwrap_or("nothing");
        self.count(format!("gate: {kind}"));
        self.complain(told.ran > 1, || format!("the function of gate {job} ran {} times", told.ran));
        self.complain((kind == "ok") != (told.ran > 0), || {
            format!("gate {job} ended with {kind}, and its function ran {} times", told.ran)
        });
        self.complain(asked.len() > 1, || {
            format!("a human was asked {} times for gate {job} (dedup_key: {dedup})", asked.len())
        });
        let granted = asked.iter().any(|asked| asked.status == ApprovalStatus::Approved);
        self.complain(told.ran > 0 && !granted, || format!("the function of gate {job} ran without a grant"));
        match kind {
            // With its time up, the caller knows that it did not run.
            "ok" | "timeout" => {}
            "approval_denied" => {
                self.complain(granted, || format!("gate {job} was granted, and told as denied"));
            }
            kind => self.failure("gate", job, kind),
        }
        if granted && told.ran == 0 {
            self.count("gates granted after the caller had been told of an error");
        }
    }
}

/// Requests that only mark a place in a stream.
pub const MARK: &str = "mark-";

/// What is asked for at this gate.
pub fn action(job: usize) -> String {
    format!("chaos.gate{job}")
}
