//! Everything the sandbox knows, behind one lock.
//!
//! The lock is held for short computations only, never across an `await`, so a plain mutex is
//! both the simplest and the fastest choice, and every operation is one atomic step.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use crate::events::{Event, Stream};
use crate::faults::FaultPlan;
use crate::keys::KeyStore;
use crate::login::Login;
use crate::options::Start;
use crate::page;
use crate::received::ReceivedLog;
use crate::sesame::{Broker, Recovered};
use crate::settings::Settings;

/// A site and its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// The site's UUID.
    pub site_id: String,
    /// What its backend authenticates with.
    pub site_token: String,
    /// A name for people.
    pub name: Option<String>,
    /// Whether its token answers `SITE_SUSPENDED`.
    pub suspended: bool,
}

/// An agent, its secret and its profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// The agent's UUID.
    pub agent_id: String,
    /// What its worker authenticates with.
    pub agent_token: String,
    /// The UUID of the person who owns it.
    pub owner_id: String,
    /// Whether it may have MCP access tokens.
    pub mcp_access: bool,
    /// The rest of its profile.
    #[serde(flatten)]
    pub profile: NewAgent,
}

/// The profile of an agent to be made: what is absent is absent in the profile, too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewAgent {
    /// The name that sites show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// A picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
    /// A few words about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How well the owner is known (seed form only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_kyc_level: Option<i64>,
    /// How well the agent has behaved (seed form only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_reputation: Option<i64>,
}

/// What a repeated `Idempotency-Key` refers to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum IdempotencyKey {
    Create { site_id: String, key: String },
    Approve { agent_id: String, request_id: String, key: String },
}

/// The state proper.
pub(crate) struct State {
    pub(crate) clock: Clock,
    pub(crate) settings: Settings,
    pub(crate) sites: BTreeMap<String, Site>,
    pub(crate) sites_by_token: HashMap<String, String>,
    pub(crate) agents: BTreeMap<String, Agent>,
    pub(crate) agents_by_token: HashMap<String, String>,
    /// The first agent: who approves when the control API names nobody.
    pub(crate) first_agent: String,
    pub(crate) logins: HashMap<String, Login>,
    /// Login requests in the order of their creation.
    pub(crate) login_order: Vec<String>,
    /// The pending ones by expiry, so that looking for expired ones is cheap.
    pub(crate) pending: BTreeSet<(Timestamp, String)>,
    /// Stored success data for repeated keys.
    pub(crate) idempotent: HashMap<IdempotencyKey, Value>,
    /// Events that no stream has taken yet, oldest first.
    pub(crate) undelivered: BTreeMap<u64, Arc<Event>>,
    pub(crate) next_event: u64,
    /// Open event streams.
    pub(crate) streams: BTreeMap<u64, Stream>,
    pub(crate) next_stream: u64,
    /// Connects per site, closed streams included.
    pub(crate) connects: BTreeMap<String, u64>,
    pub(crate) faults: FaultPlan,
    pub(crate) received: ReceivedLog,
    /// The other platform.
    pub(crate) broker: Broker,
}

impl State {
    fn new(start: &Start) -> Self {
        let mut state = Self {
            clock: Clock::default(),
            settings: start.settings.clone(),
            sites: BTreeMap::new(),
            sites_by_token: HashMap::new(),
            agents: BTreeMap::new(),
            agents_by_token: HashMap::new(),
            first_agent: start.agent_id.clone(),
            logins: HashMap::new(),
            login_order: Vec::new(),
            pending: BTreeSet::new(),
            idempotent: HashMap::new(),
            undelivered: BTreeMap::new(),
            next_event: 0,
            streams: BTreeMap::new(),
            next_stream: 0,
            connects: BTreeMap::new(),
            faults: FaultPlan::default(),
            received: ReceivedLog::default(),
            broker: Broker::new(start),
        };
        state.insert_site(Site {
            site_id: start.site_id.clone(),
            site_token: start.site_token.clone(),
            name: Some("Sandbox site".into()),
            suspended: false,
        });
        state.insert_agent(Agent {
            agent_id: start.agent_id.clone(),
            agent_token: start.agent_token.clone(),
            owner_id: start.owner_id.clone(),
            mcp_access: true,
            profile: NewAgent {
                display_name: Some("Sandbox agent".into()),
                avatar_url: None,
                description: Some("An agent that lives in a sandbox".into()),
                owner_kyc_level: Some(1),
                agent_reputation: Some(100),
            },
        });
        state
    }

    pub(crate) fn insert_site(&mut self, site: Site) {
        self.sites_by_token.insert(site.site_token.clone(), site.site_id.clone());
        self.sites.insert(site.site_id.clone(), site);
    }

    pub(crate) fn insert_agent(&mut self, agent: Agent) {
        self.agents_by_token.insert(agent.agent_token.clone(), agent.agent_id.clone());
        self.agents.insert(agent.agent_id.clone(), agent);
    }

    pub(crate) fn site_by_token(&self, token: &str) -> Option<&Site> {
        self.sites.get(self.sites_by_token.get(token)?)
    }

    pub(crate) fn agent_by_token(&self, token: &str) -> Option<&Agent> {
        self.agents.get(self.agents_by_token.get(token)?)
    }

    /// Lets what is due happen, on both platforms. Returns whether anything did.
    fn settle_due(&mut self) -> bool {
        // Both, whether the first had anything or not.
        self.expire_due() | self.settle_approvals()
    }

    /// Real time until a date; nothing while the clock stands still.
    pub(crate) fn until(&self, date: Timestamp) -> Option<Duration> {
        if self.clock.is_frozen() {
            return None;
        }
        let left = date.duration_since(self.clock.now());
        // A timer that fires a hair early would spin; a millisecond more does no harm.
        Some(Duration::try_from(left).unwrap_or_default() + Duration::from_millis(1))
    }

    /// Real time until the next thing that happens by itself.
    fn until_next_due(&self) -> Option<Duration> {
        [self.until_next_expiry(), self.until_next_settlement()].into_iter().flatten().min()
    }
}

/// The heart of a sandbox: the state, the keys, and ways to wait for a change.
pub(crate) struct Core {
    state: Mutex<State>,
    pub(crate) keys: KeyStore,
    pub(crate) start: Start,
    pub(crate) page: page::Identity,
    /// `http://127.0.0.1:PORT`
    pub(crate) origin: String,
    pub(crate) port: u16,
    pub(crate) log_requests: bool,
    pub(crate) started: Instant,
    /// Bumped on every change, for those who wait without a thread …
    version: watch::Sender<u64>,
    /// … and for those who wait with one (on the state's own mutex).
    changed: Condvar,
    /// Wakes the expiry timer when something earlier may be due.
    pub(crate) timer: Notify,
    /// Counts resets; what waits for ever (half-open requests) gives up when it changes. Apart
    /// from `version`, so that thousands of them do not look up at every change.
    epoch: watch::Sender<u64>,
}

impl Core {
    pub(crate) fn new(
        start: Start,
        recovered: Option<Recovered>,
        port: u16,
        log_requests: bool,
    ) -> std::io::Result<Self> {
        let mut state = State::new(&start);
        if let Some(recovered) = recovered {
            state.broker.recover(recovered)?;
        }
        Ok(Self {
            state: Mutex::new(state),
            keys: KeyStore::start()?,
            start,
            page: page::Identity::new(),
            origin: format!("http://127.0.0.1:{port}"),
            port,
            log_requests,
            started: Instant::now(),
            version: watch::Sender::new(0),
            changed: Condvar::new(),
            timer: Notify::new(),
            epoch: watch::Sender::new(0),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the state as it is now: what is due has expired.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        let mut state = self.lock();
        let settled = state.settle_due();
        let result = look(&state);
        drop(state);
        if settled {
            self.announce();
        }
        result
    }

    /// Changes the state and tells everybody who waits.
    pub(crate) fn change<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        state.settle_due();
        let result = act(&mut state);
        // The change may itself have made something due (the clock).
        state.settle_due();
        drop(state);
        self.announce();
        result
    }

    /// Changes the state without telling anybody: for what is asked often and rarely answered.
    pub(crate) fn quiet_change<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.lock())
    }

    pub(crate) fn announce(&self) {
        self.version.send_modify(|version| *version = version.wrapping_add(1));
        self.changed.notify_all();
    }

    /// Back to the start state. Open streams are dropped, half-open requests given up.
    pub(crate) fn reset(&self) {
        self.keys.reset();
        self.change(|state| {
            state.end_streams(None, crate::events::End::Abort { reset: false });
            let streams = std::mem::take(&mut state.streams);
            let next_stream = state.next_stream;
            let next_event = state.next_event;
            let faults = state.faults.emptied();
            state.broker.reset(&self.start);
            let State { broker, received, .. } = std::mem::replace(state, State::new(&self.start));
            state.broker = broker;
            state.received = received.reset();
            // Streams take themselves off the list when their connections are gone; numbers
            // are not reused, so that a late one cannot take off somebody else.
            state.streams = streams;
            state.next_stream = next_stream;
            state.next_event = next_event;
            state.faults = faults;
        });
        self.epoch.send_modify(|epoch| *epoch += 1);
        self.timer.notify_one();
    }

    /// Tells of every change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Tells of the next reset, counted from this call.
    pub(crate) fn next_reset(&self) -> watch::Receiver<u64> {
        self.epoch.subscribe()
    }

    /// Waits until `condition` gives something, for at most `limit` of real time.
    pub(crate) async fn wait_for<T>(
        &self,
        limit: Duration,
        mut condition: impl FnMut(&State) -> Option<T>,
    ) -> Option<T> {
        let mut version = self.version.subscribe();
        let wait = async {
            loop {
                if let Some(found) = self.read(&mut condition) {
                    return Some(found);
                }
                version.changed().await.ok()?;
            }
        };
        tokio::time::timeout(limit, wait).await.ok().flatten()
    }

    /// The same with the caller's thread.
    pub(crate) fn wait_for_blocking<T>(
        &self,
        limit: Duration,
        mut condition: impl FnMut(&State) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + limit;
        let mut state = self.lock();
        loop {
            state.settle_due();
            if let Some(found) = condition(&state) {
                return Some(found);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Lets what is due happen when its time comes, for as long as it is polled.
    pub(crate) async fn run_expiry(&self) {
        loop {
            match self.read(State::until_next_due) {
                Some(delay) => {
                    tokio::select! {
                        () = tokio::time::sleep(delay) => {}
                        () = self.timer.notified() => {}
                    }
                }
                None => self.timer.notified().await,
            }
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.keys.close();
    }
}
