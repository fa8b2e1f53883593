//! Many sites for a long time, with a fault now and then: what their programs use must stay what it is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use fastrand::Rng;
use lime_sandbox::{Fault, LoginStatus, NewAgent, Rule, Sandbox, Settings};
use tokio::time::{Instant, timeout_at};

use crate::plan::{Plan, Whose, network_fault, server_fault, whose};
use crate::proxy::Proxy;
use crate::run::Commands;
use crate::usage::{Trend, Usage};
use crate::verdict::FAILURES;
use crate::worker::Worker;

/// Every so many logins there is a gate.
const GATES: u64 = 4;
/// How many beginnings come with a fault: each makes three to four requests, so about one in a hundred of those
/// meets one.
const FAULTS: f64 = 0.035;
const SAMPLE: Duration = Duration::from_secs(5);
/// In each of these the network is calm for its last tenth, so that what is half-open comes to an end.
const WEATHER: Duration = Duration::from_secs(20);
/// Bounds one attempt of a request.
const ATTEMPT: Duration = Duration::from_secs(2);
/// How long a passport lives, in whole seconds that have begun.
const PASSPORT_LIFE: Duration = Duration::from_secs(119);
/// Ends the jobs of gates that a human denies.
const DENIED: char = 'd';
const HANGS: Duration = Duration::from_secs(60);
/// What nothing may keep of each thing that was begun, once the first quarter is over, in bytes: less than the id
/// of a request, an event or an error takes.
const KEPT_BYTES: f64 = 100.0;

/// What to do, and how much of it.
pub struct Options {
    pub minutes: f64,
    pub sites: usize,
    /// A program begins something this often.
    pub pace: Duration,
    /// Where the samples are written to.
    pub samples: PathBuf,
}

struct Program {
    worker: Worker,
    proxy: Proxy,
    site_ids: Vec<String>,
    agent_id: String,
    key_id: String,
    begun: u64,
    /// Things that have not ended, and what is known of them.
    pending: HashMap<String, Pending>,
    /// When requests were created whose passports have not been looked at.
    created: HashMap<String, Instant>,
    /// Calls of the handler by request; what has ended well is left out.
    calls: HashMap<String, u32>,
    gaps: HashSet<String>,
    samples: Vec<Sample>,
    rest: Option<Usage>,
    closed: bool,
    gone: bool,
}

struct Pending {
    since: Instant,
    gate_ran: bool,
}

/// Something that a program has.
type Quantity = fn(&Usage) -> f64;

struct Sample {
    at: Duration,
    usage: Usage,
    begun: u64,
}

struct Soak {
    sandbox: Sandbox,
    programs: Vec<Program>,
    rng: Rng,
    began: Instant,
    counts: BTreeMap<String, u64>,
    findings: Vec<String>,
}

/// Goes on for so long; whether all is well.
pub fn run(commands: &Commands, options: &Options) -> io::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut soak = Soak::start(commands, options.sites).await?;
        soak.go_on(options).await?;
        soak.end().await;
        soak.write(&options.samples)?;
        Ok(soak.report())
    })
}

impl Soak {
    async fn start(commands: &Commands, sites: usize) -> io::Result<Self> {
        let sandbox = Sandbox::start(lime_sandbox::Options::new().difficulty(4)).await?;
        let mut settings = Settings::of(Plan::calm(0, 0).platform);
        settings.pow_difficulty = 4;
        settings.issuer = false;
        settings.long_poll_seconds = 1.5;
        sandbox.update_settings(|old| *old = settings).map_err(io::Error::other)?;
        let decided = Rule::approve("soak.granted").delay(Duration::from_millis(500));
        sandbox.add_rule(decided).map_err(io::Error::other)?;
        sandbox.add_rule(Rule::deny("soak.denied")).map_err(io::Error::other)?;
        let mut programs = Vec::new();
        for (number, (language, command)) in commands.iter().enumerate() {
            let share = (0..sites).skip(number).step_by(commands.len()).count();
            programs.push(Program::start(language, command, share, &sandbox)?);
        }
        let (rng, began) = (Rng::with_seed(9), Instant::now());
        let mut soak = Self { sandbox, programs, rng, began, counts: BTreeMap::new(), findings: Vec::new() };
        // Once without faults: what a program has after that is what it must come back to.
        (0..soak.programs.len()).for_each(|number| soak.order_login(number));
        soak.until_ended(Instant::now() + HANGS).await;
        soak.close().await;
        for program in &mut soak.programs {
            program.rest = program.worker.usage();
            program.open(&soak.sandbox);
        }
        Ok(soak)
    }

    async fn go_on(&mut self, options: &Options) -> io::Result<()> {
        let end = self.began + Duration::from_secs_f64(options.minutes * 60.0);
        let (mut work, mut sample, mut said) = (Instant::now(), Instant::now(), self.began);
        while Instant::now() < end && self.findings.is_empty() {
            self.listen(work.min(sample).min(end)).await;
            let now = Instant::now();
            if now >= work {
                work = now + options.pace;
                (0..self.programs.len()).for_each(|number| self.begin(number));
                self.set_weather();
                self.look_for_hangs();
            }
            if now >= sample {
                sample = now + SAMPLE;
                self.sample();
            }
            if now >= said + Duration::from_secs(60) {
                said = now;
                self.write(&options.samples)?;
            }
        }
        Ok(())
    }

    /// Takes in what the programs tell until then.
    async fn listen(&mut self, until: Instant) {
        loop {
            let told = {
                let [first, second, third] = &mut *self.programs else { return };
                let told = async {
                    tokio::select! {
                        told = first.worker.told(), if !first.gone => (0, told),
                        told = second.worker.told(), if !second.gone => (1, told),
                        told = third.worker.told(), if !third.gone => (2, told),
                        else => std::future::pending().await,
                    }
                };
                timeout_at(until, told).await
            };
            match told {
                Ok((number, Some(line))) => self.take(number, &line),
                Ok((number, None)) => {
                    self.programs[number].gone = true;
                    self.findings.push(format!("{} has ended", self.programs[number].worker.language));
                }
                Err(_) => return,
            }
        }
    }

    fn take(&mut self, number: usize, line: &[String]) {
        let program = &mut self.programs[number];
        let language = program.worker.language;
        let fields: Vec<&str> = line.iter().map(String::as_str).collect();
        match fields[..] {
            ["opened"] => {}
            ["created", _, id] => {
                program.created.insert(id.to_owned(), Instant::now());
            }
            ["closed"] => program.closed = true,
            ["create", job, kind] => {
                program.pending.remove(job);
                self.ended(language, "creating a request", kind);
            }
            ["login", job, kind] => {
                program.pending.remove(job);
                self.ended(language, "login", kind);
            }
            ["session", id, kind] => {
                let age = program.created.remove(id).map(|at| at.elapsed());
                if came_too_late(kind, age) {
                    self.count("passport: expired when it came");
                } else {
                    self.ended(language, "passport", kind);
                }
            }
            ["event", _, id, _] => {
                let calls = program.calls.entry(id.to_owned()).or_default();
                *calls += 1;
                if *calls > 1 {
                    self.findings.push(format!("{language}: {calls} calls of the handler for {id}"));
                }
                self.count("events handled");
            }
            ["gap", _, id] => {
                program.gaps.insert(id.to_owned());
                self.count("events lost on the way, and told as gaps");
            }
            ["ran", job] => {
                if let Some(pending) = program.pending.get_mut(job) {
                    pending.gate_ran = true;
                }
            }
            ["gate", job, kind] => {
                let ran = program.pending.remove(job).is_some_and(|pending| pending.gate_ran);
                let denied = job.ends_with(DENIED);
                if ran != (kind == "ok") || ran && denied {
                    let finding =
                        format!("{language}: gate {job} ended with {kind}, its function ran: {ran}");
                    self.findings.push(finding);
                }
                if denied && kind == "approval_denied" {
                    self.count("gate: approval_denied");
                } else {
                    self.ended(language, "gate", kind);
                }
            }
            _ => self.findings.push(format!("{language} told {line:?}")),
        }
    }

    fn count(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
    }

    fn ended(&mut self, language: &str, what: &str, kind: &str) {
        self.count(format!("{what}: {kind}"));
        if kind != "ok" && !FAILURES.contains(&kind) {
            self.findings.push(format!("{language}: {what} ended with {kind}"));
        }
    }

    /// Begins a login or a gate, and at times a fault.
    fn begin(&mut self, number: usize) {
        if self.rng.f64() < FAULTS {
            self.fault(number);
        }
        let program = &mut self.programs[number];
        program.begun += 1;
        if program.begun.is_multiple_of(GATES) {
            let denied = self.rng.u8(0..4) == 0;
            let (job, action) = if denied {
                (format!("{}{DENIED}", program.begun), "soak.denied")
            } else {
                (program.begun.to_string(), "soak.granted")
            };
            program.worker.order(&["gate", &job, action, "", "30000"]);
            program.pending.insert(job, Pending { since: Instant::now(), gate_ran: false });
        } else {
            self.order_login(number);
        }
    }

    fn order_login(&mut self, number: usize) {
        let program = &mut self.programs[number];
        let (job, site) = (program.begun.to_string(), self.rng.usize(..program.site_ids.len()));
        program.worker.order(&["login", &job, &site.to_string(), "1"]);
        program.pending.insert(job, Pending { since: Instant::now(), gate_ran: false });
    }

    async fn until_ended(&mut self, deadline: Instant) {
        while Instant::now() < deadline && self.programs.iter().any(|program| !program.pending.is_empty()) {
            self.listen(Instant::now() + Duration::from_millis(50)).await;
        }
    }

    fn fault(&mut self, number: usize) {
        let program = &self.programs[number];
        let site = &program.site_ids[self.rng.usize(..program.site_ids.len())];
        if self.rng.bool() {
            let fault = Fault { count: 1, skip: 0, ..server_fault(&mut self.rng) };
            // What meets a stream meets one that is open.
            let fault = match whose(&fault.route) {
                Whose::Site if fault.route == "events" => fault.for_site(site),
                Whose::Site | Whose::Everybodys => fault,
                Whose::Agent => fault.for_agent(&program.agent_id),
                Whose::Key => fault.for_key(&program.key_id),
            };
            *self.counts.entry("faults of the platform".to_owned()).or_default() += 1;
            if let Err(error) = self.sandbox.add_fault(fault) {
                self.findings.push(format!("the platform: {error}"));
            }
        } else {
            *self.counts.entry("faults of the network".to_owned()).or_default() += 1;
            program.proxy.also(network_fault(&mut self.rng));
            // The next connection is that of a stream, or one of a call that comes first.
            self.sandbox.disconnect_streams(Some(site), self.rng.bool());
        }
    }

    fn set_weather(&mut self) {
        let part = self.began.elapsed().as_secs_f64() / WEATHER.as_secs_f64();
        for program in &self.programs {
            program.proxy.set_calm(part.fract() > 0.9);
        }
        if part.fract() > 0.9 {
            self.sandbox.clear_faults();
        }
    }

    fn look_for_hangs(&mut self) {
        for program in &self.programs {
            for (job, pending) in &program.pending {
                if pending.since.elapsed() > HANGS {
                    let language = program.worker.language;
                    self.findings.push(format!("{language}: {job} has not ended after {HANGS:?}"));
                }
            }
        }
    }

    fn sample(&mut self) {
        let at = self.began.elapsed();
        for program in &mut self.programs {
            if let Some(usage) = program.worker.usage() {
                program.samples.push(Sample { at, usage, begun: program.begun });
            }
        }
    }

    /// Lets everything come to its end, and closes.
    async fn end(&mut self) {
        self.sandbox.clear_faults();
        for program in &self.programs {
            program.proxy.set_calm(true);
        }
        self.sandbox.disconnect_streams(None, true);
        let deadline = Instant::now() + HANGS;
        self.until_ended(deadline).await;
        while Instant::now() < deadline && !self.is_recovered() {
            self.listen(Instant::now() + Duration::from_millis(50)).await;
        }
        if !self.is_recovered() {
            self.findings.push(format!("{} ends of requests were not told", self.untold()));
        }
        self.close().await;
        self.look_at_rest().await;
    }

    fn is_recovered(&self) -> bool {
        let waiting: usize = self.sandbox.streams().sites.iter().map(|site| site.undelivered).sum();
        let handled =
            |program: &Program| program.proxy.arrived().keys().all(|id| program.calls.contains_key(id));
        waiting == 0 && self.programs.iter().all(handled) && self.untold() == 0
    }

    /// Requests that have ended without that a program was told.
    fn untold(&self) -> usize {
        let logins = self.sandbox.login_requests();
        let ended = logins.iter().filter(|login| login.status != LoginStatus::Pending);
        let told = |id: &str| {
            self.programs.iter().any(|program| program.calls.contains_key(id) || program.gaps.contains(id))
        };
        ended.filter(|login| !told(&login.login_request_id)).count()
    }

    async fn close(&mut self) {
        for program in &mut self.programs {
            program.closed = false;
            program.worker.order(&["close"]);
        }
        let deadline = Instant::now() + HANGS;
        while Instant::now() < deadline && !self.programs.iter().all(|program| program.closed) {
            self.listen(Instant::now() + Duration::from_millis(10)).await;
        }
        for program in &self.programs {
            if !program.closed {
                self.findings.push(format!("{} does not close", program.worker.language));
            }
        }
    }

    async fn look_at_rest(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        for program in &self.programs {
            let Some(before) = program.rest else { continue };
            loop {
                let now = program.worker.usage();
                if now
                    .is_some_and(|now| now.threads <= before.threads && now.descriptors <= before.descriptors)
                {
                    break;
                }
                if Instant::now() > deadline {
                    let language = program.worker.language;
                    self.findings.push(format!("{language}: has {now:?} when all is closed, had {before:?}"));
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = "seconds\tlanguage\tthreads\tdescriptors\tresident_kib\tbegun\n".to_owned();
        for program in &self.programs {
            for Sample { at, usage, begun } in &program.samples {
                let (at, language) = (at.as_secs_f64(), program.worker.language);
                let Usage { threads, descriptors, resident_kib } = usage;
                let _ =
                    writeln!(text, "{at:.1}\t{language}\t{threads}\t{descriptors}\t{resident_kib}\t{begun}");
            }
        }
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        fs::write(path, text)
    }

    /// Prints what came of it; whether all is well.
    fn report(mut self) -> bool {
        for program in &self.programs {
            self.findings.extend(program.growth());
        }
        for (what, count) in &self.counts {
            println!("   {count:7}  {what}");
        }
        for finding in &self.findings {
            println!("   FAILED: {finding}");
        }
        let begun: u64 = self.programs.iter().map(|program| program.begun).sum();
        let minutes = self.began.elapsed().as_secs_f64() / 60.0;
        println!("soak: {begun} logins and gates in {minutes:.1} minutes, {} findings", self.findings.len());
        self.findings.is_empty()
    }
}

impl Program {
    fn start(
        language: &'static str,
        command: &[String],
        sites: usize,
        sandbox: &Sandbox,
    ) -> io::Result<Self> {
        let mut program = Self {
            worker: Worker::start(language, command)?,
            proxy: Proxy::start(sandbox.port())?,
            site_ids: Vec::new(),
            agent_id: String::new(),
            key_id: String::new(),
            begun: 0,
            pending: HashMap::new(),
            created: HashMap::new(),
            calls: HashMap::new(),
            gaps: HashSet::new(),
            samples: Vec::new(),
            rest: None,
            closed: false,
            gone: false,
        };
        program.site_ids = (0..sites).map(|_| String::new()).collect();
        program.open(sandbox);
        Ok(program)
    }

    /// Opens all clients, with accounts of their own.
    fn open(&mut self, sandbox: &Sandbox) {
        let sites: Vec<_> = self.site_ids.iter().map(|_| sandbox.add_site(None)).collect();
        let agent = sandbox.add_agent(NewAgent::default());
        let Ok(key) = sandbox.add_api_key(None) else { return };
        let origin = format!("http://127.0.0.1:{}", self.proxy.port());
        let (api, attempt) = (format!("{origin}/api/v1"), ATTEMPT.as_millis().to_string());
        let mut order = vec!["open", &api, &origin, &agent.agent_token, &key.api_key, &attempt, "auto"];
        order.extend(sites.iter().map(|site| site.site_token.as_str()));
        self.worker.order(&order);
        self.site_ids = sites.into_iter().map(|site| site.site_id).collect();
        (self.agent_id, self.key_id) = (agent.agent_id, key.key_id);
    }

    /// What has grown with the work, after the first quarter.
    #[allow(clippy::cast_precision_loss)] // some megabytes, some thousands
    fn growth(&self) -> Vec<String> {
        let language = self.worker.language;
        let samples = &self.samples[self.samples.len() / 4..];
        let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
            return vec![format!("{language}: there are no samples")];
        };
        // So much work from one sample to the next.
        let work = (last.begun - first.begun) as f64 / (samples.len() - 1).max(1) as f64;
        let trend =
            |of: Quantity| Trend::of(&samples.iter().map(|sample| of(&sample.usage)).collect::<Vec<_>>());
        let mut findings = Vec::new();
        let rows: [(&str, Quantity, f64); 3] = [
            ("bytes", |usage| usage.resident_kib as f64 * 1024.0, KEPT_BYTES * work),
            ("threads", |usage| usage.threads as f64, work / 1000.0),
            ("descriptors", |usage| usage.descriptors as f64, work / 1000.0),
        ];
        for (what, of, bound) in rows {
            let Some(trend) = trend(of) else { continue };
            let (each, sure) = (trend.slope / work, trend.error / work);
            println!("   {language}: {each:+.4} ± {sure:.4} {what} for each login or gate");
            if trend.exceeds(bound) {
                findings.push(format!("{language}: {each:.3} {what} more for each login or gate"));
            }
        }
        findings
    }
}

/// Whether a passport has expired because it came later than it lives. A stream that has fallen silent is given up in
/// 10 s to 310 s: what had waited for it may come late. `age` is the request's.
fn came_too_late(kind: &str, age: Option<Duration>) -> bool {
    kind == "passport_expired" && age.is_some_and(|age| age >= PASSPORT_LIFE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passport_may_have_expired_where_it_came_later_than_it_lives() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert!(came_too_late("passport_expired", seconds(119)));
        assert!(!came_too_late("passport_expired", seconds(118)));
        assert!(!came_too_late("passport_expired", None), "a request that nobody has created");
        assert!(!came_too_late("invalid_passport", seconds(119)));
    }
}
