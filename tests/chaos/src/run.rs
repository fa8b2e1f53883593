//! One run: three programs go through a plan, each behind a proxy of its own, before one platform.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::io;
use std::path::Path;
use std::time::Duration;

use lime_sandbox::{
    ApprovalStatus, Fault, LoginStatus, NewAgent, Options, Platform, Rule, Sandbox, Settings,
};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::plan::{Decision, LoginEnd, Moment, Plan, Whose, whose};
use crate::proxy::Proxy;
use crate::seen::Seen;
use crate::tls::Front;
use crate::verdict::{Facts, MARK, Verdict, action};
use crate::worker::Worker;

/// What is far more than anything takes: whoever is not done by then hangs.
const HANGS: Duration = Duration::from_secs(30);
/// A request whose event is lost is asked for twice, 5 s apart, and later where the platform does not answer.
const RECOVERS: Duration = Duration::from_secs(60);
/// Bounds one attempt of a request; the platform itself may take half a second to say that it is done.
const ATTEMPT: Duration = Duration::from_millis(900);
/// From the question to the answer, at the longest.
const GATE: Duration = Duration::from_secs(15);

/// The programs: a language, and how its program is started.
pub type Commands = Vec<(&'static str, Vec<String>)>;

/// A platform, and a program of each language behind a proxy.
pub struct Lane {
    sandbox: Sandbox,
    front: Front,
    commands: Commands,
    ends: Vec<End>,
}

struct End {
    worker: Worker,
    proxies: Proxies,
    tls: bool,
}

/// The same client comes by the same address in every run: there is a proxy for each.
struct Proxies {
    plain: Proxy,
    tls: Proxy,
}

impl End {
    fn proxy(&self) -> &Proxy {
        if self.tls { &self.proxies.tls } else { &self.proxies.plain }
    }
}

/// What came of a seed.
#[derive(Debug, Default)]
pub struct Outcome {
    pub findings: Vec<String>,
    pub counts: BTreeMap<String, u64>,
    /// What happened, in order.
    pub story: Vec<String>,
    /// Resident memory of each program after the run, in KiB.
    pub memory: Vec<(&'static str, u64)>,
}

impl Lane {
    /// Starts everything, on the current runtime, and lets it run once without faults: what a program has after
    /// that is what it must come back to.
    pub async fn start(commands: Commands, certificate: &Path) -> io::Result<Self> {
        let sandbox = Sandbox::start(Options::new().difficulty(4)).await?;
        let front = Front::start(certificate, sandbox.port()).await?;
        let mut lane = Self { sandbox, front, commands, ends: Vec::new() };
        lane.revive().await?;
        Ok(lane)
    }

    /// Starts all programs anew.
    async fn revive(&mut self) -> io::Result<()> {
        self.ends.clear();
        for (language, command) in &self.commands {
            let worker = Worker::start(language, command)?;
            let proxies =
                Proxies { plain: Proxy::start(self.sandbox.port())?, tls: Proxy::start(self.front.port())? };
            self.ends.push(End { worker, proxies, tls: false });
        }
        for tls in [true, false] {
            let outcome = self.run(&Plan { tls, ..Plan::calm(3, 3) }).await;
            if !outcome.findings.is_empty() {
                let story = outcome.story.join("\n");
                return Err(io::Error::other(format!("without faults: {:?}\n{story}", outcome.findings)));
            }
        }
        for end in &mut self.ends {
            end.worker.at_rest = end.worker.usage();
        }
        Ok(())
    }

    /// Goes through the plan of a seed. After a finding the programs are started anew.
    pub async fn seed(&mut self, seed: u64) -> io::Result<Outcome> {
        let outcome = self.run(&Plan::of(seed)).await;
        if !outcome.findings.is_empty() {
            self.revive().await?;
        }
        Ok(outcome)
    }

    async fn run(&mut self, plan: &Plan) -> Outcome {
        let mut run = Run::prepare(&self.sandbox, &mut self.ends, plan);
        run.go_through().await;
        run.outcome
    }
}

/// What is due at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Login(usize),
    Gate(usize),
    Moment(usize),
    Back,
    /// For one program's request.
    Elsewhere(usize, usize),
    Expiry(usize, usize),
}

/// The ids of a program's accounts.
struct Account {
    site: String,
    agent: String,
    other_agent: String,
    key: String,
}

struct Run<'a> {
    sandbox: &'a Sandbox,
    ends: &'a mut [End],
    plan: &'a Plan,
    accounts: Vec<Account>,
    seen: Vec<Seen>,
    due: BinaryHeap<Reverse<(Instant, Due)>>,
    /// Approvals that are to expire, and when they were first seen.
    waiting: HashMap<String, Instant>,
    marks: u64,
    began: Instant,
    outcome: Outcome,
}

impl<'a> Run<'a> {
    fn prepare(sandbox: &'a Sandbox, ends: &'a mut [End], plan: &'a Plan) -> Self {
        sandbox.reset();
        let mut settings = Settings::of(plan.platform);
        settings.pow_difficulty = plan.difficulty;
        settings.idempotency = plan.idempotency;
        // Each program reaches the platform by an address of its own, so no issuer would fit.
        settings.issuer = false;
        settings.keepalive_seconds = 0.2;
        settings.long_poll_seconds = 0.4;
        sandbox.update_settings(|old| *old = settings).unwrap();
        for (job, gate) in plan.gates.iter().enumerate() {
            let rule = match gate.decision {
                Decision::Approves => Rule::approve(action(job)),
                Decision::Denies => Rule::deny(action(job)),
                Decision::IsAway => continue,
            };
            sandbox.add_rule(rule.delay(gate.delay)).unwrap();
        }
        let mut accounts = Vec::new();
        for end in &mut *ends {
            end.tls = plan.tls;
            end.proxy().begin(plan.network.clone());
            let site = sandbox.add_site(None);
            let agent = sandbox.add_agent(NewAgent::default());
            let key = sandbox.add_api_key(None).unwrap();
            let origin =
                format!("http{}://127.0.0.1:{}", if plan.tls { "s" } else { "" }, end.proxy().port());
            let platform = match plan.platform {
                Platform::Seed => "seed",
                Platform::Today => "today",
                Platform::Both => "auto",
            };
            end.worker.order(&[
                "open",
                &format!("{origin}/api/v1"),
                &origin,
                &agent.agent_token,
                &key.api_key,
                &ATTEMPT.as_millis().to_string(),
                platform,
                &site.site_token,
            ]);
            accounts.push(Account {
                site: site.site_id,
                agent: agent.agent_id,
                other_agent: sandbox.add_agent(NewAgent::default()).agent_id,
                key: key.key_id,
            });
        }
        for fault in &plan.server {
            for account in &accounts {
                let fault = match whose(&fault.route) {
                    Whose::Site => fault.clone().for_site(&account.site),
                    Whose::Agent => fault.clone().for_agent(&account.agent),
                    Whose::Key => fault.clone().for_key(&account.key),
                    Whose::Everybodys => Fault { count: fault.count * 3, ..fault.clone() },
                };
                sandbox.add_fault(fault.clone()).unwrap();
                if whose(&fault.route) == Whose::Everybodys {
                    break;
                }
            }
        }
        let began = Instant::now();
        let mut due = BinaryHeap::new();
        due.extend(
            plan.logins.iter().enumerate().map(|(job, it)| Reverse((began + it.start, Due::Login(job)))),
        );
        due.extend(
            plan.gates.iter().enumerate().map(|(job, it)| Reverse((began + it.start, Due::Gate(job)))),
        );
        due.extend(
            plan.moments.iter().enumerate().map(|(n, (at, _))| Reverse((began + *at, Due::Moment(n)))),
        );
        Self {
            sandbox,
            seen: ends.iter().map(|_| Seen::default()).collect(),
            ends,
            plan,
            accounts,
            due,
            waiting: HashMap::new(),
            marks: 0,
            began,
            outcome: Outcome::default(),
        }
    }

    async fn go_through(&mut self) {
        if !self.until("its calls have not ended", HANGS, Self::has_ended).await {
            return;
        }
        self.tell("calm");
        self.sandbox.clear_faults();
        for end in &*self.ends {
            end.proxy().set_calm(true);
        }
        // A stream that has fallen silent is noticed in 10 s to 310 s. Here the platform ends them all, as if it were
        // restarted.
        self.sandbox.disconnect_streams(None, true);
        if !self.until("it has not recovered", RECOVERS, Self::has_recovered).await {
            return;
        }
        let facts: Vec<Facts> = (0..self.ends.len()).map(|number| self.facts(number)).collect();
        for end in &mut *self.ends {
            end.worker.order(&["close"]);
        }
        if !self.until("it does not close", HANGS, |run, number| run.seen[number].closed).await {
            return;
        }
        if !self.until("it keeps something", Duration::from_secs(10), Self::is_at_rest).await {
            for end in &*self.ends {
                let (now, before) = (end.worker.usage(), end.worker.at_rest);
                self.outcome.findings.push(format!("{}: has {now:?}, had {before:?}", end.worker.language));
            }
            return;
        }
        for (number, facts) in facts.iter().enumerate() {
            let language = self.ends[number].worker.language;
            let verdict = Verdict::of(self.plan, &self.seen[number], facts);
            let findings = verdict.findings.into_iter().map(|finding| format!("{language}: {finding}"));
            self.outcome.findings.extend(findings);
            self.add(verdict.counts);
            let met = self.ends[number].proxy().met();
            self.add(met.into_iter().map(|(name, count)| (format!("connections: {name}"), count)).collect());
            if let Some(usage) = self.ends[number].worker.usage() {
                self.outcome.memory.push((language, usage.resident_kib));
            }
        }
        let met = self.sandbox.received().iter().filter(|request| !request.faults.is_empty()).count();
        self.add([("requests with a fault of the platform".to_owned(), met as u64)].into());
    }

    fn add(&mut self, counts: BTreeMap<String, u64>) {
        for (what, count) in counts {
            *self.outcome.counts.entry(what).or_default() += count;
        }
    }

    fn tell(&mut self, what: &str) {
        let millis = self.began.elapsed().as_millis();
        self.outcome.story.push(format!("{millis:6} ms  {what}"));
    }

    /// Goes on until this is so for every program, or until `limit` has passed, which is a finding.
    async fn until(&mut self, finding: &str, limit: Duration, is_so: fn(&mut Self, usize) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let missing: Vec<usize> = (0..self.ends.len()).filter(|number| !is_so(self, *number)).collect();
            if missing.is_empty() {
                return true;
            }
            let gone = self.seen.iter().position(|seen| seen.gone);
            if gone.is_some() || Instant::now() >= deadline {
                for number in gone.map_or(missing, |number| vec![number]) {
                    let finding = if self.seen[number].gone { "it has ended" } else { finding };
                    let language = self.ends[number].worker.language;
                    let facts = self.facts(number);
                    let finding = format!("{language}: {finding}: {:?}; {facts:?}", self.seen[number]);
                    self.outcome.findings.push(finding);
                    for line in self.ends[number].proxy().story() {
                        self.tell(&format!("{language}: connection: {line}"));
                    }
                }
                return false;
            }
            self.step(deadline).await;
        }
    }

    /// What happens next: something is told, something is due, or a moment has passed.
    async fn step(&mut self, deadline: Instant) {
        let soon = Instant::now() + Duration::from_millis(20);
        let next = self.due.peek().map_or(soon, |Reverse((at, _))| (*at).min(soon)).min(deadline);
        let told = {
            let [first, second, third] = &mut *self.ends else { unreachable!("there are three languages") };
            let told = async {
                tokio::select! {
                    told = first.worker.told() => (0, told),
                    told = second.worker.told() => (1, told),
                    told = third.worker.told() => (2, told),
                }
            };
            timeout_at(next, told).await
        };
        match told {
            Ok((number, Some(line))) => {
                self.tell(&format!("{}: {}", self.ends[number].worker.language, line.join(" ")));
                if let Some(job) = self.seen[number].take(&line) {
                    let now = Instant::now();
                    match self.plan.logins.get(job).map(|login| login.end) {
                        Some(LoginEnd::Elsewhere(after)) => {
                            self.due.push(Reverse((now + after, Due::Elsewhere(number, job))));
                        }
                        Some(LoginEnd::Nobody(after)) => {
                            self.due.push(Reverse((now + after, Due::Expiry(number, job))));
                        }
                        Some(LoginEnd::Agent) | None => {}
                    }
                }
            }
            Ok((number, None)) => {
                self.seen[number].gone = true;
                sleep_until(next).await;
            }
            Err(_) => {}
        }
        while let Some(Reverse((at, _))) = self.due.peek()
            && *at <= Instant::now()
            && let Some(Reverse((_, due))) = self.due.pop()
        {
            self.act(&due);
        }
        self.expire_approvals();
    }

    fn act(&mut self, due: &Due) {
        self.tell(&format!("{due:?}"));
        match *due {
            Due::Login(job) => {
                let agent = if self.plan.logins[job].end == LoginEnd::Agent { "1" } else { "0" };
                for end in &mut *self.ends {
                    end.worker.order(&["login", &job.to_string(), "0", agent]);
                }
            }
            Due::Gate(job) => {
                let dedup = if self.plan.gates[job].dedup { action(job) } else { String::new() };
                let limit = GATE.as_millis().to_string();
                for end in &mut *self.ends {
                    end.worker.order(&["gate", &job.to_string(), &action(job), &dedup, &limit]);
                }
            }
            Due::Moment(number) => match self.plan.moments[number].1 {
                Moment::RotateKeys { keep_old } => {
                    self.sandbox.rotate_keys(keep_old);
                }
                Moment::EndStreams { abort } => {
                    self.sandbox.disconnect_streams(None, abort);
                }
                Moment::Away(pause) => {
                    self.ends.iter().for_each(|end| end.proxy().set_away(true));
                    self.due.push(Reverse((Instant::now() + pause, Due::Back)));
                }
            },
            Due::Back => self.ends.iter().for_each(|end| end.proxy().set_away(false)),
            Due::Elsewhere(number, job) | Due::Expiry(number, job) => {
                let Some(login) = self.seen[number].logins.get_mut(&job) else { return };
                let Some(Ok(id)) = &login.created else { return };
                let done = if matches!(due, Due::Expiry(..)) {
                    self.sandbox.expire(id).err()
                } else {
                    self.sandbox.approve(id, Some(&self.accounts[number].other_agent)).err()
                };
                login.ended = true;
                if let Some(error) = done {
                    self.outcome.findings.push(format!("the platform: {id}: {error}"));
                }
            }
        }
    }

    /// Lets the approvals expire that nobody decides.
    fn expire_approvals(&mut self) {
        for approval in self.sandbox.approvals() {
            let of_nobody = self
                .plan
                .gates
                .iter()
                .enumerate()
                .find(|(job, gate)| gate.decision == Decision::IsAway && approval.action == action(*job));
            let Some((_, gate)) = of_nobody else { continue };
            if approval.status == ApprovalStatus::Pending {
                let since = *self.waiting.entry(approval.approval_id.clone()).or_insert_with(Instant::now);
                if since.elapsed() >= gate.delay {
                    self.sandbox.expire_approval(&approval.approval_id).unwrap();
                }
            }
        }
    }

    /// Whether every call that was ordered has come back.
    fn has_ended(&mut self, number: usize) -> bool {
        let seen = &self.seen[number];
        self.due.is_empty()
            && self.plan.logins.iter().enumerate().all(|(job, login)| {
                seen.logins.get(&job).is_some_and(|told| match (&told.created, login.end) {
                    (None, _) => false,
                    (Some(Err(_)), _) => true,
                    (Some(Ok(_)), LoginEnd::Agent) => told.signed_in.is_some(),
                    (Some(Ok(_)), LoginEnd::Elsewhere(_) | LoginEnd::Nobody(_)) => told.ended,
                })
            })
            && (0..self.plan.gates.len())
                .all(|job| seen.gates.get(&job).is_some_and(|told| told.result.is_some()))
    }

    /// Whether everything that reached the program has been handled, and every end was told. A mark is sent behind
    /// the events: once its handler is called, they are all behind us.
    fn has_recovered(&mut self, number: usize) -> bool {
        let facts = self.facts(number);
        let seen = &self.seen[number];
        let marked = seen.events.iter().any(|(id, _)| id.starts_with(MARK));
        let told = |id: &str| seen.calls(id) > 0 || seen.gaps.iter().any(|gap| gap == id);
        let ended = facts.logins.iter().filter(|request| request.status != LoginStatus::Pending);
        let handled = facts.arrived.keys().all(|id| seen.calls(id) > 0)
            && ended.map(|request| &request.login_request_id).all(|id| told(id));
        if facts.undelivered == 0 && !marked {
            let id = format!("{MARK}{}", self.marks);
            self.marks += 1;
            let frame = format!("data: {{\"type\":\"expired\",\"login_request_id\":\"{id}\"}}\n\n");
            self.sandbox.push_raw(Some(&self.accounts[number].site), frame);
        }
        facts.undelivered == 0 && marked && handled
    }

    /// Whether it has what it had before: no thread, no descriptor more.
    fn is_at_rest(&mut self, number: usize) -> bool {
        let worker = &self.ends[number].worker;
        let Some(before) = worker.at_rest else { return true };
        worker
            .usage()
            .is_some_and(|now| now.threads <= before.threads && now.descriptors <= before.descriptors)
    }

    fn facts(&self, number: usize) -> Facts {
        let account = &self.accounts[number];
        let mut logins = self.sandbox.login_requests();
        logins.retain(|request| request.site_id == account.site);
        let mut approvals = self.sandbox.approvals();
        approvals.retain(|approval| approval.key_id == account.key);
        let streams = self.sandbox.streams().sites;
        let site = streams.iter().find(|site| site.site_id == account.site);
        Facts {
            logins,
            approvals,
            undelivered: site.map_or(0, |site| site.undelivered),
            arrived: self.ends[number].proxy().arrived(),
        }
    }
}
