//! A running sandbox, as Rust code holds it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::clock::{ClockChange, ClockState};
use crate::error::ControlError;
use crate::events::{End, Streams};
use crate::fault::Fault;
use crate::faults::FaultState;
use crate::login::{LoginRequest, LoginStatus};
use crate::mcp_token::{McpToken, NewMcpToken};
use crate::options::Options;
use crate::received::{Answer, Received, Unanswered};
use crate::server::App;
use crate::sesame::{ApiKey, Approval, ApprovalStatus, Decision, Recovered, Rule, RuleState, Webhook};
use crate::settings::Settings;
use crate::state::{Agent, Core, NewAgent, Site};

/// Where a sandbox listens and what it lets in: the first line that the binary prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// The root of the LIME API, for `LIME_API_BASE`.
    pub lime_api_base: String,
    /// The platform's origin, for `LIME_BASE_URL`, which MCP servers verify tokens against.
    pub lime_base_url: String,
    /// The first site's token, for `LIME_SITE_TOKEN`.
    pub site_token: String,
    /// The first agent's token, for `LIME_AGENT_TOKEN`.
    pub agent_token: String,
    /// The root of the Sesame broker, for `SESAME_BROKER_URL`.
    pub sesame_url: String,
    /// The broker's first API key, for `SESAME_API_KEY`.
    pub sesame_api_key: String,
    /// What the broker signs webhooks with, for `SESAME_WEBHOOK_SECRET`.
    pub webhook_secret: String,
    /// The root of the control API.
    pub control_url: String,
    /// The first site.
    pub site_id: String,
    /// The first agent.
    pub agent_id: String,
    /// The port on 127.0.0.1.
    pub port: u16,
    /// The process that runs the sandbox.
    pub pid: u32,
    /// The sandbox's version.
    pub version: String,
}

impl Info {
    pub(crate) fn of(core: &Core) -> Self {
        Self {
            lime_api_base: format!("{}/api/v1", core.origin),
            lime_base_url: core.origin.clone(),
            site_token: core.start.site_token.clone(),
            agent_token: core.start.agent_token.clone(),
            sesame_url: core.origin.clone(),
            sesame_api_key: core.start.first_key.api_key.clone(),
            webhook_secret: core.start.webhook_secret.clone(),
            control_url: format!("{}{}", core.origin, crate::control::ROOT),
            site_id: core.start.site_id.clone(),
            agent_id: core.start.agent_id.clone(),
            port: core.port,
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// What keeps a sandbox going.
enum Running {
    /// A task on somebody else's runtime.
    Task(JoinHandle<()>),
    /// A thread with a runtime of its own.
    Thread { stop: Option<oneshot::Sender<()>>, thread: Option<thread::JoinHandle<()>> },
}

/// A running sandbox. It stops when it is dropped.
///
/// Everything that the control API can do over HTTP is a method here. The methods do not
/// wait for the network: use [`Sandbox::wait_for_status`] and its like for that.
pub struct Sandbox {
    core: Arc<Core>,
    info: Info,
    running: Running,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").field("lime_api_base", &self.info.lime_api_base).finish_non_exhaustive()
    }
}

/// Binds the port and makes the state. The signing key is made in the background.
/// To be called in the context of the runtime that is to serve.
fn prepare(options: Options) -> io::Result<(Arc<Core>, TcpListener)> {
    let (port, log_requests) = (options.port, options.log_requests);
    let recovered = options.state_file.as_deref().map(Recovered::load).transpose()?;
    let start = options
        .resolve(recovered.as_ref())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let listener = listen(port)?;
    let port = listener.local_addr()?.port();
    let core = Core::new(start, recovered, port, log_requests)?;
    Ok((Arc::new(core), listener))
}

/// As the standard library does, but with room for thousands who knock at the same time.
fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // A restart must not wait until the connections of the one before are forgotten.
    socket.set_reuseaddr(cfg!(unix))?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.listen(4096)
}

impl Sandbox {
    /// Starts a sandbox on the current tokio runtime. It is ready when this returns.
    ///
    /// # Errors
    ///
    /// The port cannot be bound, or the options make no sense
    /// ([`io::ErrorKind::InvalidInput`] with an [`OptionsError`](crate::OptionsError) inside).
    #[allow(clippy::unused_async)] // it needs a runtime, and may need to wait one day
    pub async fn start(options: Options) -> io::Result<Self> {
        let (core, listener) = prepare(options)?;
        let task = tokio::spawn(App::new(Arc::clone(&core)).run(listener));
        Ok(Self { info: Info::of(&core), core, running: Running::Task(task) })
    }

    /// Starts a sandbox on a thread of its own: for tests that have no runtime, or may stop theirs.
    ///
    /// # Errors
    ///
    /// As [`Sandbox::start`]; or the thread cannot be made.
    pub fn start_blocking(options: Options) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (core, listener) = {
            let _context = runtime.enter();
            prepare(options)?
        };
        let app = App::new(Arc::clone(&core));
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("sandbox".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = app.run(listener) => {}
                    _ = stopped => {}
                }
            });
        })?;
        let running = Running::Thread { stop: Some(stop), thread: Some(thread) };
        Ok(Self { info: Info::of(&core), core, running })
    }

    /// Where it listens and what it lets in.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// The root of the LIME API.
    pub fn lime_api_base(&self) -> &str {
        &self.info.lime_api_base
    }

    /// The root of the control API.
    pub fn control_url(&self) -> &str {
        &self.info.control_url
    }

    /// The root of the Sesame broker, without a slash at the end.
    pub fn sesame_url(&self) -> &str {
        &self.info.sesame_url
    }

    /// Scheme, host and port: what passports name as their issuer.
    pub fn origin(&self) -> &str {
        &self.core.origin
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.info.port
    }

    /// The first site's token.
    pub fn site_token(&self) -> &str {
        &self.info.site_token
    }

    /// The first agent's token.
    pub fn agent_token(&self) -> &str {
        &self.info.agent_token
    }

    /// The broker's first API key.
    pub fn sesame_api_key(&self) -> &str {
        &self.info.sesame_api_key
    }

    /// What the broker signs webhooks with.
    pub fn webhook_secret(&self) -> &str {
        &self.info.webhook_secret
    }

    /// The first site's id.
    pub fn site_id(&self) -> &str {
        &self.info.site_id
    }

    /// The first agent's id.
    pub fn agent_id(&self) -> &str {
        &self.info.agent_id
    }

    /// Back to the start: settings, clock, keys, faults, log, sites, agents, requests; and the
    /// broker's approvals, rules, webhooks and API keys. The first site's and agent's tokens, the
    /// first API key and the webhook secret stay valid; open streams are dropped, long polls end.
    pub fn reset(&self) {
        self.core.reset();
    }

    /// Makes another site.
    pub fn add_site(&self, name: Option<String>) -> Site {
        self.core.add_site(name)
    }

    /// Suspends a site (its streams end) or lets it in again.
    ///
    /// # Errors
    ///
    /// There is no such site.
    pub fn suspend_site(&self, site_id: &str, suspended: bool) -> Result<Site, ControlError> {
        self.core.suspend_site(site_id, suspended)
    }

    /// Makes another agent.
    pub fn add_agent(&self, profile: NewAgent) -> Agent {
        self.core.add_agent(profile)
    }

    /// Grants an agent the right to MCP access tokens, or takes it away.
    ///
    /// # Errors
    ///
    /// There is no such agent.
    pub fn set_mcp_access(&self, agent_id: &str, granted: bool) -> Result<Agent, ControlError> {
        self.core.set_mcp_access(agent_id, granted)
    }

    /// Issues an MCP access token past the rules of the platform: for any host name, with any claims.
    ///
    /// # Errors
    ///
    /// There is no such agent.
    pub fn mcp_token(&self, new: &NewMcpToken) -> Result<McpToken, ControlError> {
        let key = self.core.keys.current_blocking();
        self.core.force_mcp_token(&key, new)
    }

    /// The settings.
    pub fn settings(&self) -> Settings {
        self.core.read(|state| state.settings.clone())
    }

    /// Changes the settings in one step.
    ///
    /// # Errors
    ///
    /// The new settings make no sense; the old ones stay.
    pub fn update_settings(&self, update: impl FnOnce(&mut Settings)) -> Result<Settings, ControlError> {
        self.core.update_settings(|settings| {
            let mut settings = settings.clone();
            update(&mut settings);
            settings.check().map(|()| settings)
        })
    }

    /// Changes some settings, given as JSON like in the control API.
    ///
    /// # Errors
    ///
    /// A name is unknown or a value makes no sense; the old settings stay.
    pub fn patch_settings(&self, patch: &Value) -> Result<Settings, ControlError> {
        self.core.patch_settings(patch)
    }

    /// All login requests, oldest first.
    pub fn login_requests(&self) -> Vec<LoginRequest> {
        self.core.read(crate::state::State::show_all)
    }

    /// One login request.
    ///
    /// # Errors
    ///
    /// There is no such request.
    pub fn login_request(&self, id: &str) -> Result<LoginRequest, ControlError> {
        self.core.read(|state| state.shown(id))
    }

    /// Approves a pending request without a proof of work, by the first agent unless another
    /// is named. The event goes out to the site's streams.
    ///
    /// # Errors
    ///
    /// There is no such request or agent, or the request is not pending.
    pub fn approve(&self, id: &str, agent_id: Option<&str>) -> Result<LoginRequest, ControlError> {
        let key = self.core.keys.current_blocking();
        self.core.force_approve(&key, id, agent_id)?;
        self.login_request(id)
    }

    /// Expires a pending request ahead of its time.
    ///
    /// # Errors
    ///
    /// There is no such request, or it is not pending.
    pub fn expire(&self, id: &str) -> Result<LoginRequest, ControlError> {
        self.core.force_expire(id)
    }

    /// Signs with another key from now on and returns its `kid`. The old keys stay published
    /// only with `keep_old`.
    pub fn rotate_keys(&self, keep_old: bool) -> String {
        self.core.keys.rotate(keep_old)
    }

    /// All approvals, oldest first.
    pub fn approvals(&self) -> Vec<Approval> {
        self.core.read(|state| state.show_approvals(None))
    }

    /// One approval.
    ///
    /// # Errors
    ///
    /// There is no such approval.
    pub fn approval(&self, id: &str) -> Result<Approval, ControlError> {
        self.core.read(|state| state.shown_approval(id))
    }

    /// Decides a pending approval, and says something with it.
    ///
    /// # Errors
    ///
    /// There is no such approval, it is not pending, or the state file cannot be written.
    pub fn decide(&self, id: &str, decision: Decision, note: Option<&str>) -> Result<Approval, ControlError> {
        self.core.decide(id, decision, note)
    }

    /// Expires a pending approval ahead of its time.
    ///
    /// # Errors
    ///
    /// There is no such approval, or it is not pending.
    pub fn expire_approval(&self, id: &str) -> Result<Approval, ControlError> {
        self.core.expire_approval(id)
    }

    /// Makes another API key for the broker. What it asks for, the others do not see.
    ///
    /// # Errors
    ///
    /// The state file cannot be written.
    pub fn add_api_key(&self, label: Option<String>) -> Result<ApiKey, ControlError> {
        self.core.add_api_key(label)
    }

    /// The broker's API keys, the first one first.
    pub fn api_keys(&self) -> Vec<ApiKey> {
        self.core.read(|state| state.broker.keys.iter().cloned().collect())
    }

    /// Adds a rule that decides approvals, also those that are pending already. Returns its id.
    ///
    /// # Errors
    ///
    /// The rule makes no sense.
    pub fn add_rule(&self, rule: Rule) -> Result<u64, ControlError> {
        let ids = self.core.add_rules(&[rule])?;
        ids.first().copied().ok_or_else(|| ControlError::invalid("no rule was added"))
    }

    /// The rules with their counters.
    pub fn rules(&self) -> Vec<RuleState> {
        self.core.read(|state| state.broker.rules.states())
    }

    /// Takes a rule away. What waits for its decision is free for other rules.
    ///
    /// # Errors
    ///
    /// There is no such rule.
    pub fn remove_rule(&self, id: u64) -> Result<(), ControlError> {
        match self.core.remove_rules(Some(id)) {
            0 => Err(ControlError::not_found("there is no such rule")),
            _ => Ok(()),
        }
    }

    /// Takes all rules away.
    pub fn clear_rules(&self) {
        self.core.remove_rules(None);
    }

    /// The attempts to deliver webhooks, oldest first.
    pub fn webhooks(&self) -> Vec<Webhook> {
        self.core.read(|state| state.broker.webhooks.iter().cloned().collect())
    }

    /// Sends the webhook of an attempt again, with retries of its own.
    ///
    /// # Errors
    ///
    /// There is no such attempt in the log, or the state file cannot be written.
    pub fn resend_webhook(&self, n: u64) -> Result<(), ControlError> {
        self.core.resend_webhook(n)
    }

    /// Empties the log of webhooks; what is on its way stays on it.
    ///
    /// # Errors
    ///
    /// The state file cannot be written.
    pub fn clear_webhooks(&self) -> Result<(), ControlError> {
        self.core.clear_webhooks()
    }

    /// The long polls that are held now.
    pub fn open_polls(&self) -> usize {
        self.core.read(|state| state.broker.polls)
    }

    /// The received requests, oldest first; control calls are not among them.
    pub fn received(&self) -> Vec<Received> {
        self.core.read(|state| state.received.iter().cloned().collect())
    }

    /// Those of one route.
    pub fn received_on(&self, route: &str) -> Vec<Received> {
        let is_on = |entry: &&Received| entry.route.as_deref() == Some(route);
        self.core.read(|state| state.received.iter().filter(is_on).cloned().collect())
    }

    /// Empties the log of received requests.
    pub fn clear_received(&self) {
        self.core.change(|state| state.received.clear());
    }

    /// The open event streams.
    pub fn streams(&self) -> Streams {
        self.core.read(crate::state::State::streams_by_site)
    }

    /// Ends the streams of one site, or of all: as a complete response does, or by dropping
    /// the connection. Returns how many.
    pub fn disconnect_streams(&self, site_id: Option<&str>, abort: bool) -> usize {
        let end = if abort { End::Abort { reset: false } } else { End::Clean };
        self.core.change(|state| state.end_streams(site_id, end))
    }

    /// Sends bytes as they are into the open streams of one site, or of all. Returns how many
    /// streams that are.
    pub fn push_raw(&self, site_id: Option<&str>, bytes: impl Into<Bytes>) -> usize {
        let bytes = bytes.into();
        self.core.change(|state| state.push_raw(site_id, &bytes))
    }

    /// Where the clock stands.
    pub fn clock(&self) -> ClockState {
        self.core.read(|state| state.clock.state())
    }

    /// Changes the clock; what is due then expires at once.
    ///
    /// # Errors
    ///
    /// A number makes no sense.
    pub fn change_clock(&self, change: &ClockChange) -> Result<ClockState, ControlError> {
        self.core.change_clock(change)
    }

    /// Moves the clock ahead; what is due then expires at once.
    ///
    /// # Errors
    ///
    /// The clock cannot be moved that far.
    pub fn advance(&self, by: Duration) -> Result<ClockState, ControlError> {
        self.change_clock(&ClockChange { advance_seconds: Some(by.as_secs_f64()), ..ClockChange::default() })
    }

    /// Plans a fault and returns its id.
    ///
    /// # Errors
    ///
    /// The rule makes no sense.
    pub fn add_fault(&self, fault: Fault) -> Result<u64, ControlError> {
        let ids = self.core.change(|state| state.add_faults(&[fault]))?;
        ids.first().copied().ok_or_else(|| ControlError::invalid("no rule was added"))
    }

    /// The fault plan with its counters.
    pub fn faults(&self) -> Vec<FaultState> {
        self.core.read(|state| state.faults.states())
    }

    /// Takes a fault off the plan.
    ///
    /// # Errors
    ///
    /// There is no such fault.
    pub fn remove_fault(&self, id: u64) -> Result<(), ControlError> {
        self.core.change(|state| state.faults.remove(id))
    }

    /// Empties the fault plan. What a stream has already taken up stays with it.
    pub fn clear_faults(&self) {
        self.core.change(|state| state.faults.clear());
    }

    /// Waits until a login request has this status. False when it does not come to that in time.
    pub async fn wait_for_status(&self, id: &str, status: LoginStatus, limit: Duration) -> bool {
        self.core.wait_for(limit, |state| has_status(state, id, status)).await.is_some()
    }

    /// The same with the caller's thread; not to be called on a runtime's thread.
    pub fn wait_for_status_blocking(&self, id: &str, status: LoginStatus, limit: Duration) -> bool {
        self.core.wait_for_blocking(limit, |state| has_status(state, id, status)).is_some()
    }

    /// Waits until exactly this many streams are open.
    pub async fn wait_for_streams(&self, open: usize, limit: Duration) -> bool {
        self.core.wait_for(limit, |state| has_streams(state, open)).await.is_some()
    }

    /// The same with the caller's thread; not to be called on a runtime's thread.
    pub fn wait_for_streams_blocking(&self, open: usize, limit: Duration) -> bool {
        self.core.wait_for_blocking(limit, |state| has_streams(state, open)).is_some()
    }

    /// Waits until so many requests of a route are no longer being worked on.
    pub async fn wait_for_received(&self, route: &str, count: usize, limit: Duration) -> bool {
        self.core.wait_for(limit, |state| has_received(state, route, count)).await.is_some()
    }

    /// The same with the caller's thread; not to be called on a runtime's thread.
    pub fn wait_for_received_blocking(&self, route: &str, count: usize, limit: Duration) -> bool {
        self.core.wait_for_blocking(limit, |state| has_received(state, route, count)).is_some()
    }

    /// Waits until there are so many approvals, decided or not.
    pub async fn wait_for_approvals(&self, count: usize, limit: Duration) -> bool {
        self.core.wait_for(limit, |state| has_approvals(state, count)).await.is_some()
    }

    /// The same with the caller's thread; not to be called on a runtime's thread.
    pub fn wait_for_approvals_blocking(&self, count: usize, limit: Duration) -> bool {
        self.core.wait_for_blocking(limit, |state| has_approvals(state, count)).is_some()
    }

    /// Waits until an approval has this status.
    pub async fn wait_for_approval(&self, id: &str, status: ApprovalStatus, limit: Duration) -> bool {
        self.core.wait_for(limit, |state| approval_is(state, id, status)).await.is_some()
    }

    /// The same with the caller's thread; not to be called on a runtime's thread.
    pub fn wait_for_approval_blocking(&self, id: &str, status: ApprovalStatus, limit: Duration) -> bool {
        self.core.wait_for_blocking(limit, |state| approval_is(state, id, status)).is_some()
    }

    /// Waits until exactly this many long polls are held.
    pub async fn wait_for_polls(&self, open: usize, limit: Duration) -> bool {
        self.core.wait_for(limit, |state| has_polls(state, open)).await.is_some()
    }

    /// The same with the caller's thread; not to be called on a runtime's thread.
    pub fn wait_for_polls_blocking(&self, open: usize, limit: Duration) -> bool {
        self.core.wait_for_blocking(limit, |state| has_polls(state, open)).is_some()
    }

    /// Waits until the log has so many attempts to deliver a webhook, successful or not.
    pub async fn wait_for_webhooks(&self, attempts: usize, limit: Duration) -> bool {
        self.core.wait_for(limit, |state| has_webhooks(state, attempts)).await.is_some()
    }

    /// The same with the caller's thread; not to be called on a runtime's thread.
    pub fn wait_for_webhooks_blocking(&self, attempts: usize, limit: Duration) -> bool {
        self.core.wait_for_blocking(limit, |state| has_webhooks(state, attempts)).is_some()
    }
}

fn has_approvals(state: &crate::state::State, count: usize) -> Option<()> {
    (state.broker.len() >= count).then_some(())
}

fn approval_is(state: &crate::state::State, id: &str, status: ApprovalStatus) -> Option<()> {
    (state.approval_status(id)? == status).then_some(())
}

fn has_polls(state: &crate::state::State, open: usize) -> Option<()> {
    (state.broker.polls == open).then_some(())
}

fn has_webhooks(state: &crate::state::State, attempts: usize) -> Option<()> {
    (state.broker.webhooks.len() >= attempts).then_some(())
}

fn has_status(state: &crate::state::State, id: &str, status: LoginStatus) -> Option<()> {
    (state.logins.get(id)?.status == status).then_some(())
}

fn has_streams(state: &crate::state::State, open: usize) -> Option<()> {
    (state.streams_by_site().open == open).then_some(())
}

fn has_received(state: &crate::state::State, route: &str, count: usize) -> Option<()> {
    let done = state
        .received
        .iter()
        .filter(|entry| entry.route.as_deref() == Some(route))
        .filter(|entry| entry.status != Answer::Other(Unanswered::Pending))
        .count();
    (done >= count).then_some(())
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        match &mut self.running {
            Running::Task(task) => task.abort(),
            Running::Thread { stop, thread } => {
                if let Some(stop) = stop.take() {
                    // The thread may have ended by itself.
                    let _ = stop.send(());
                }
                if let Some(thread) = thread.take() {
                    let _ = thread.join();
                }
            }
        }
        // The last tasks may end later than this.
        self.core.quiet_change(|state| state.broker.close());
    }
}

impl Core {
    pub(crate) fn update_settings(
        &self,
        update: impl FnOnce(&Settings) -> Result<Settings, ControlError>,
    ) -> Result<Settings, ControlError> {
        self.change(|state| {
            state.settings = update(&state.settings)?;
            // Streams keep the time between keepalives, which may have changed.
            state.wake_streams();
            Ok(state.settings.clone())
        })
    }

    pub(crate) fn patch_settings(&self, patch: &Value) -> Result<Settings, ControlError> {
        self.update_settings(|settings| settings.patched(patch))
    }

    pub(crate) fn change_clock(&self, change: &ClockChange) -> Result<ClockState, ControlError> {
        let state = self.change(|state| {
            state.clock.apply(change)?;
            Ok(state.clock.state())
        })?;
        self.timer.notify_one();
        Ok(state)
    }
}
