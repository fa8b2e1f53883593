//! What a seed comes to: what is done, and what goes wrong meanwhile.

use std::time::Duration;

use fastrand::Rng;
use lime_sandbox::{Fault as ServerFault, Platform};

use crate::proxy::{Break, Fault as NetworkFault, Way};

/// Everything that a seed decides. The three languages go through the same plan.
#[derive(Debug)]
pub struct Plan {
    pub platform: Platform,
    pub difficulty: i64,
    pub tls: bool,
    /// Whether the platform knows a repeated call by its `Idempotency-Key`.
    pub idempotency: bool,
    pub logins: Vec<Login>,
    pub gates: Vec<Gate>,
    /// For the routes of a site, an agent or a broker's key: each language meets them for itself.
    pub server: Vec<ServerFault>,
    /// By connection.
    pub network: Vec<NetworkFault>,
    pub moments: Vec<(Duration, Moment)>,
}

/// A login request, and who ends it.
#[derive(Debug)]
pub struct Login {
    pub start: Duration,
    pub end: LoginEnd,
}

/// Who ends a login request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginEnd {
    /// The agent of the same program.
    Agent,
    /// Another agent, somewhere else, so long after it was created.
    Elsewhere(Duration),
    /// Nobody: it expires so long after it was created.
    Nobody(Duration),
}

/// A gated function.
#[derive(Debug)]
pub struct Gate {
    pub start: Duration,
    pub decision: Decision,
    /// From the question to the decision.
    pub delay: Duration,
    /// Whether the question has a `dedup_key`.
    pub dedup: bool,
}

/// What the human does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Approves,
    Denies,
    /// It expires.
    IsAway,
}

/// What happens to the whole platform at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Its signing keys are replaced.
    RotateKeys { keep_old: bool },
    /// It ends all event streams.
    EndStreams { abort: bool },
    /// Nobody reaches it for so long.
    Away(Duration),
}

/// Routes of requests with a token, which a fault can be limited to one language by.
const SITE: [&str; 2] = ["create_request", "events"];
const READ: &str = "read_request";
const AGENT: [&str; 1] = ["approve"];
const BROKER: [&str; 2] = ["trigger_approval", "read_approval"];
const PUBLIC: [&str; 2] = ["challenge", "jwks"];

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        let mut plan = Self {
            platform: rng.choice([Platform::Both, Platform::Seed, Platform::Today]).unwrap_or_default(),
            difficulty: rng.i64(0..=8),
            tls: rng.u8(0..4) == 0,
            idempotency: rng.bool(),
            ..Self::calm(rng.usize(2..=5), rng.usize(1..=4))
        };
        for login in &mut plan.logins {
            login.start = millis(rng, 0..400);
            login.end = match rng.u8(0..10) {
                0..6 => LoginEnd::Agent,
                6..8 => LoginEnd::Elsewhere(millis(rng, 0..300)),
                _ => LoginEnd::Nobody(millis(rng, 0..300)),
            };
        }
        for gate in &mut plan.gates {
            gate.start = millis(rng, 0..400);
            gate.decision = match rng.u8(0..10) {
                0..6 => Decision::Approves,
                6..8 => Decision::Denies,
                _ => Decision::IsAway,
            };
            gate.delay = millis(rng, 0..300);
            gate.dedup = rng.bool();
        }
        plan.server = (0..rng.usize(0..=5)).map(|_| server_fault(rng)).collect();
        plan.network = (0..rng.usize(0..=10)).map(|_| network_fault(rng)).collect();
        plan.moments = (0..rng.usize(0..=2)).map(|_| (millis(rng, 50..700), moment(rng))).collect();
        // Last, so that the seeds from before mean what they meant.
        plan.server.extend((0..rng.usize(0..=2)).map(|_| delivery_fault(rng)));
        plan
    }

    /// A plan without faults.
    pub fn calm(logins: usize, gates: usize) -> Self {
        let login = || Login { start: Duration::ZERO, end: LoginEnd::Agent };
        let gate = || Gate {
            start: Duration::ZERO,
            decision: Decision::Approves,
            delay: Duration::ZERO,
            dedup: true,
        };
        Self {
            platform: Platform::Both,
            difficulty: 4,
            tls: false,
            idempotency: false,
            logins: (0..logins).map(|_| login()).collect(),
            gates: (0..gates).map(|_| gate()).collect(),
            server: Vec::new(),
            network: Vec::new(),
            moments: Vec::new(),
        }
    }

    /// Whether a passport may have been signed with a key that is gone.
    pub fn loses_keys(&self) -> bool {
        self.moments.iter().any(|(_, moment)| *moment == Moment::RotateKeys { keep_old: false })
    }
}

/// What a fault of the platform is limited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    Site,
    Agent,
    Key,
    Everybodys,
}

/// Whose requests this route takes.
pub fn whose(route: &str) -> Whose {
    match route {
        route if SITE.contains(&route) || route == READ => Whose::Site,
        route if AGENT.contains(&route) => Whose::Agent,
        route if BROKER.contains(&route) => Whose::Key,
        _ => Whose::Everybodys,
    }
}

fn millis(rng: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}

/// Something that the platform does to a request.
pub fn server_fault(rng: &mut Rng) -> ServerFault {
    let routes = [&SITE[..], &SITE, &AGENT, &AGENT, &BROKER, &BROKER, &PUBLIC].concat();
    let route = routes[rng.usize(..routes.len())];
    fault_on(rng, route)
}

/// Something about the end of a request: its event is lost or comes twice, or asking for it meets a fault.
fn delivery_fault(rng: &mut Rng) -> ServerFault {
    let events = |rng: &mut Rng| ServerFault::on("events").times(rng.u64(1..=2)).skip(rng.u64(0..=1));
    match rng.u8(0..3) {
        0 => events(rng).lose(),
        1 => events(rng).repeat(),
        _ => fault_on(rng, READ),
    }
}

fn fault_on(rng: &mut Rng, route: &str) -> ServerFault {
    let fault = ServerFault::on(route).times(rng.u64(1..=2)).skip(rng.u64(0..=2));
    let fault = if rng.bool() && route != "events" { fault.delay(millis(rng, 0..150)) } else { fault };
    match rng.u8(0..12) {
        0..3 => status(rng, fault),
        3 => reset(rng, fault.drop_before()),
        // The interesting ones: it has happened, and nobody is told.
        4..7 => reset(rng, fault.drop_after()),
        7 => fault.half_open(),
        8 => {
            let fault = if rng.bool() { fault.cut_after_bytes(rng.usize(0..200)) } else { fault.cut() };
            reset(rng, fault)
        }
        9 => fault.garbage(),
        10 => fault.one_byte_chunks(),
        _ => fault.delay(millis(rng, 1..300)),
    }
}

fn status(rng: &mut Rng, fault: ServerFault) -> ServerFault {
    // Not 401 and 403: they are no fault of the network, and a stream stays away for a minute or more then.
    let status = rng.choice([408, 429, 500, 502, 503, 503, 504, 302]).unwrap_or(503);
    match status {
        302 => fault.redirect("http://127.0.0.1:9/elsewhere"),
        429 | 503 if rng.bool() => fault.status(status).header("retry-after", rng.u8(0..=1).to_string()),
        status => fault.status(status),
    }
}

fn reset(rng: &mut Rng, fault: ServerFault) -> ServerFault {
    if rng.bool() { fault.with_reset() } else { fault }
}

/// Something that the network does to a connection.
pub fn network_fault(rng: &mut Rng) -> NetworkFault {
    let way = if rng.u8(0..4) == 0 { Way::Up } else { Way::Down };
    // Answers have 100 to 2,000 bytes; a stream has more, and lives longer.
    let at = if rng.bool() { rng.u64(0..600) } else { rng.u64(0..4000) };
    let how = if rng.bool() { Break::Close } else { Break::Reset };
    match rng.u8(0..14) {
        0..3 => NetworkFault::None,
        3 => NetworkFault::Refused,
        4..8 => NetworkFault::Cut { way, at, how },
        8..10 => NetworkFault::CutAfter { life: millis(rng, 1..800), how },
        10 => NetworkFault::Stall { way, at, pause: millis(rng, 50..1200) },
        11 => NetworkFault::HalfOpen { way, at, how },
        12 => NetworkFault::Drip { piece: rng.usize(1..60), pause: millis(rng, 1..8) },
        _ => NetworkFault::Bandwidth { per_second: rng.u32(2_000..40_000) },
    }
}

fn moment(rng: &mut Rng) -> Moment {
    match rng.u8(0..5) {
        0 => Moment::RotateKeys { keep_old: rng.bool() },
        1 | 2 => Moment::EndStreams { abort: rng.bool() },
        _ => Moment::Away(millis(rng, 50..500)),
    }
}
