//! The agent's side of LIME: confirm a login request, read the agent's own profile, get tokens for MCP servers and
//! call those.

mod mcp;
pub mod mcp_target;
mod mcp_token;
pub mod pow;
mod progress;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderName;
use serde_json::{Map, Value, json};

use crate::api::{self, Api, Call, Doubt};
use crate::client::Lease;
use crate::config::{self, AGENT_TOKEN_VARIABLE, AgentConfig, PowChoice};
use crate::operation::Operation;
use crate::runtime::WeakRuntime;
use crate::timestamp::Timestamp;
use crate::{Error, ErrorKind, Result, base_url, json as fields};
use mcp::{Context, Servers};
pub use mcp::{McpCall, McpResult};
pub use mcp_token::McpAccessToken;
use mcp_token::TokenCache;
use pow::PowDigest;
pub use progress::{LoginProgress, LoginSnapshot, LoginStage};

const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-agent-token");

/// How a login was confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalResult {
    /// The login request.
    pub request_id: String,
    /// The site that created it.
    pub site_id: String,
    /// `APPROVED` or `DELIVERED`.
    pub status: String,
    /// When the request expires.
    pub expires_at: Timestamp,
    /// The agent that approved it.
    pub approved_agent_id: Option<String>,
}

impl ApprovalResult {
    /// Reads the platform's `data`.
    ///
    /// # Errors
    /// [`ErrorKind::BadResponse`] when a field is missing.
    pub fn from_data(data: &Map<String, Value>) -> Result<Self> {
        Ok(Self {
            request_id: fields::required_text(data, "request_id")?,
            site_id: fields::required_text(data, "site_id")?,
            status: fields::required_text(data, "status")?,
            expires_at: Timestamp::parse(&fields::required_text(data, "expires_at")?)?,
            approved_agent_id: fields::optional_text(data, "approved_agent_id"),
        })
    }
}

/// The agent as the platform knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentProfile {
    /// The agent.
    pub agent_id: String,
    /// The LIME user who owns it.
    pub owner_id: String,
    /// Its public name.
    pub display_name: Option<String>,
    /// Its picture.
    pub avatar_url: Option<String>,
    /// Its public description.
    pub description: Option<String>,
    /// The owner's verification level; today's platform does not tell.
    pub owner_kyc_level: Option<i64>,
    /// A score; today's platform does not tell.
    pub agent_reputation: Option<i64>,
    /// The platform's `data` as it came, with whatever this version does not know.
    pub data: Map<String, Value>,
}

impl AgentProfile {
    /// Reads the platform's `data`.
    ///
    /// # Errors
    /// [`ErrorKind::BadResponse`] when a field is missing.
    pub fn from_data(data: &Map<String, Value>) -> Result<Self> {
        let text = |field| data.get(field).and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            agent_id: fields::required_text(data, "agent_id")?,
            // Today's platform says user_id.
            owner_id: fields::optional_text(data, "owner_id")
                .or_else(|| fields::optional_text(data, "user_id"))
                .ok_or_else(|| fields::missing("owner_id"))?,
            display_name: text("display_name"),
            avatar_url: text("avatar_url"),
            description: text("description"),
            owner_kyc_level: fields::optional_integer(data, "owner_kyc_level"),
            agent_reputation: fields::optional_integer(data, "agent_reputation"),
            data: data.clone(),
        })
    }
}

/// The client of an agent worker. Cheap to clone; make one per agent token and process.
///
/// Safe to use from any thread and, after `fork`, in the child too.
#[derive(Clone)]
pub struct LimeAgent(Arc<Inner>);

struct Inner {
    api: Api,
    lease: Lease,
    pow_timeout: Duration,
    pow_choice: PowChoice,
    pow_threads: usize,
    tokens: TokenCache,
    servers: Servers,
}

impl LimeAgent {
    /// A client for the agent that the token belongs to. Starts nothing and sends nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Authentication`] when there is no token, [`ErrorKind::InvalidArgument`] when a
    /// setting makes no sense.
    pub fn new(config: AgentConfig) -> Result<Self> {
        let token = config::token(
            config.agent_token,
            AGENT_TOKEN_VARIABLE,
            "Agent token is required. Pass agent_token= or set LIME_AGENT_TOKEN.",
            &config.environment,
        )?;
        let base_url = config::base_url(config.base_url.as_deref(), &config.environment)?;
        let pins = config::tls_pins(
            &config.tls_pins,
            config::TLS_PINS_VARIABLE,
            &base_url,
            config.transport.as_ref(),
            &config.environment,
        )?;
        Ok(Self(Arc::new(Inner {
            api: Api {
                base_url,
                token,
                token_header: TOKEN_HEADER,
                timeout: config::checked_timeout(config.timeout)?,
                max_retries: config.max_retries,
                post_retry: config.platform.post_retry,
                transport: config.transport,
                pins,
                logger: config.logger,
                clock: config.clock,
                warned: AtomicBool::default(),
            },
            lease: Lease::default(),
            pow_timeout: config.pow_timeout,
            pow_choice: config.platform.pow_digest,
            pow_threads: config.pow_threads.max(1),
            tokens: TokenCache::new(config.mcp_token_refresh_skew),
            servers: Servers::new(mcp::Settings {
                read_timeout: config::checked_timeout(config.mcp_read_timeout)?,
                one_at_a_time: config.serialize_mcp_per_url,
                addresses: config::mcp_addresses(config.mcp_addresses, &config.environment)?,
            }),
        })))
    }

    /// Confirms a site's login request: fetches its challenge, solves it, sends the approval.
    ///
    /// Fails with [`ErrorKind::PowTimeout`] when the challenge is not solved in time, and with
    /// [`ErrorKind::OutcomeUnknown`] when an approval was sent and its answer got lost: the site may
    /// have let the agent in.
    pub fn login(&self, request_id: &str) -> Operation<ApprovalResult> {
        self.login_with_progress(request_id, self.progress())
    }

    /// A progress for one login of this agent, to be given to
    /// [`login_with_progress`](Self::login_with_progress). Its clock runs from here on.
    pub fn progress(&self) -> Arc<LoginProgress> {
        Arc::new(LoginProgress::new(self.0.pow_timeout))
    }

    /// Like [`login`](Self::login), and any thread can see in `progress` how far it has come. It costs the
    /// login nothing, however often it is looked at.
    pub fn login_with_progress(
        &self,
        request_id: &str,
        progress: Arc<LoginProgress>,
    ) -> Operation<ApprovalResult> {
        let request_id = request_id.trim().to_owned();
        self.0.lease.operation(&self.0, |agent, runtime| async move {
            let login = agent.login(&runtime, &request_id, &progress).await;
            login.map_err(
                |error| if request_id.is_empty() { error } else { error.with_request_id(request_id) },
            )
        })
    }

    /// Reads the agent's own profile.
    pub fn get_profile(&self) -> Operation<AgentProfile> {
        self.0.lease.operation(&self.0, |agent, runtime| async move {
            let data = agent.api.data(&runtime, &Call::get("/core/agents/me/profile")).await?;
            AgentProfile::from_data(&data)
        })
    }

    /// A token for the MCP servers of a host name, which is taken from `target`: a URL or a host name, see
    /// [`mcp_target`]. The one that is held is given as long as it lives, or, with `force_refresh`, replaced.
    ///
    /// Fails with [`ErrorKind::InvalidArgument`] when the target is no public DNS name,
    /// [`ErrorKind::OAuthCapability`] when the agent lacks the grant, [`ErrorKind::Authentication`] when the
    /// platform refuses the agent's token.
    pub fn get_mcp_access_token(&self, target: &str, force_refresh: bool) -> Operation<McpAccessToken> {
        let domain = match mcp_target::extract_and_normalize_domain(target) {
            Ok(domain) => domain,
            Err(error) => return Operation::failed(error),
        };
        self.0.lease.operation(&self.0, move |agent, runtime| async move {
            let held = if force_refresh {
                agent.tokens.force(&agent.api, &runtime, &domain).await?
            } else {
                agent.tokens.get(&agent.api, &runtime, &domain).await?
            };
            Ok(McpAccessToken::from(&held))
        })
    }

    /// Calls an MCP server. `target` is its URL, or a host name: [`mcp_target::resolve_mcp_http_url`]. The token for it
    /// is fetched when there is none, and once more when the server refuses it; the session with the server is kept for
    /// the next call. No redirect is followed, and nothing is sent a second time that may act twice.
    ///
    /// Fails with [`ErrorKind::InvalidArgument`] when the target is no public DNS name; with what
    /// [`get_mcp_access_token`](Self::get_mcp_access_token) fails with; with [`ErrorKind::McpAuthentication`] when the
    /// server refuses a fresh token, too; with [`ErrorKind::Mcp`] when it reports an error; with
    /// [`ErrorKind::OutcomeUnknown`] when a tool was called and the answer got lost.
    pub fn mcp(&self, target: &str, call: McpCall) -> Operation<McpResult> {
        let meant = mcp_target::resolve_mcp_http_url(target)
            .and_then(|url| Ok((url, mcp_target::extract_and_normalize_domain(target)?)));
        let (url, domain) = match meant {
            Ok(meant) => meant,
            Err(error) => return Operation::failed(error),
        };
        self.0.lease.operation(&self.0, move |agent, runtime| async move {
            let context = Context { api: &agent.api, tokens: &agent.tokens, runtime: &runtime };
            agent.servers.call(&context, url, domain, call).await
        })
    }

    /// Refuses further calls; those under way go on. MCP servers are told that their sessions are over, without
    /// waiting for it. Closing twice does nothing.
    pub fn close(&self) {
        if let Some(runtime) = self.0.lease.held() {
            let left = self.0.servers.leave();
            if !left.is_empty() {
                let (agent, weak) = (Arc::clone(&self.0), runtime.downgrade());
                let lease = runtime.clone();
                runtime.spawn(async move {
                    let context = Context { api: &agent.api, tokens: &agent.tokens, runtime: &weak };
                    agent.servers.say_goodbye(&context, left).await;
                    drop(lease);
                });
            }
        }
        self.0.lease.close();
    }
}

impl fmt::Debug for LimeAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimeAgent").field("base_url", &self.0.api.base_url.as_str()).finish()
    }
}

struct Challenge {
    text: String,
    difficulty: i64,
}

impl Inner {
    async fn login(
        &self,
        runtime: &WeakRuntime,
        request_id: &str,
        progress: &Arc<LoginProgress>,
    ) -> Result<ApprovalResult> {
        let segment = base_url::segment(request_id)?;
        let challenge = self.challenge(runtime, &segment).await?;
        let (digests, learning) = self.digests();
        let mut refused = None;
        for digest in digests {
            let nonce = self.solve(runtime, &challenge, digest, progress).await?;
            progress.enter(LoginStage::Approve);
            match self.approve(runtime, &segment, &nonce).await {
                // The challenge stays valid for another try.
                Err(error) if error.code() == Some("INVALID_POW") => refused = Some(error),
                Ok(approved) => {
                    if learning {
                        remember(self.api.base_url.as_str(), digest);
                    }
                    return Ok(approved);
                }
                Err(error) => return Err(error),
            }
        }
        Err(refused.unwrap_or_else(|| Error::internal("no digest to try")))
    }

    async fn challenge(&self, runtime: &WeakRuntime, segment: &str) -> Result<Challenge> {
        let call = Call::get(format!("/auth/requests/{segment}")).public();
        let data = self.api.data(runtime, &call).await?;
        let difficulty = match data.get("pow_difficulty") {
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(value) => value.as_i64(),
            None => None,
        };
        Ok(Challenge {
            text: fields::required_text(&data, "pow_challenge")?,
            difficulty: difficulty.ok_or_else(|| fields::missing("pow_difficulty"))?,
        })
    }

    async fn solve(
        &self,
        runtime: &WeakRuntime,
        challenge: &Challenge,
        digest: PowDigest,
        progress: &Arc<LoginProgress>,
    ) -> Result<String> {
        let (text, difficulty) = (challenge.text.clone(), challenge.difficulty);
        let options = pow::Options { digest, timeout: self.pow_timeout, threads: self.pow_threads };
        let progress = Arc::clone(progress);
        pow::on_worker(runtime, move |cancel| {
            progress.search(difficulty);
            pow::solve_counted(&text, difficulty, options, cancel, &progress.tried)
        })
        .await
    }

    async fn approve(&self, runtime: &WeakRuntime, segment: &str, nonce: &str) -> Result<ApprovalResult> {
        let path = format!("/modules/agent-login/requests/{segment}/approve");
        let answer =
            self.api.call(runtime, &Call::post(path, json!({ "pow_nonce": nonce }).to_string())).await;
        let doubt = answer.doubt;
        let approved = answer.result.and_then(|reply| reply.data());
        approved
            .and_then(|data| ApprovalResult::from_data(&data).map_err(|error| outcome_unknown(&error)))
            .map_err(|error| if leaves_it_open(doubt, &error) { outcome_unknown(&error) } else { error })
    }

    /// The digests to try, in order, and whether to remember which one worked.
    fn digests(&self) -> (Vec<PowDigest>, bool) {
        match self.pow_choice {
            PowChoice::Only(digest) => (vec![digest], false),
            PowChoice::Auto => match LEARNED.load().get(self.api.base_url.as_str()) {
                Some(PowDigest::Today) => (vec![PowDigest::Today, PowDigest::Seed], true),
                _ => (vec![PowDigest::Seed, PowDigest::Today], true),
            },
        }
    }
}

/// Which digest each API root takes. Without a lock, so that a fork at any moment does no harm.
static LEARNED: std::sync::LazyLock<ArcSwap<HashMap<String, PowDigest>>> =
    std::sync::LazyLock::new(ArcSwap::default);

/// API roots remembered; a process that talks to more of them than this is a test.
const MOST_LEARNED: usize = 1024;

fn remember(api_root: &str, digest: PowDigest) {
    if LEARNED.load().get(api_root) == Some(&digest) {
        return;
    }
    LEARNED.rcu(|learned| {
        let mut learned = HashMap::clone(learned);
        if learned.len() >= MOST_LEARNED {
            learned.clear();
        }
        learned.insert(api_root.to_owned(), digest);
        learned
    });
}

/// Whether it is open what came of an approval. Once an answer got lost, no later error says that
/// nothing happened ("not found" and "conflict" may well mean "approved by you"); only a refused proof
/// of work does, since it is looked at first. After a fault of the platform's own, those two are open.
fn leaves_it_open(doubt: Doubt, error: &Error) -> bool {
    if error.kind() == ErrorKind::OutcomeUnknown || error.code() == Some("INVALID_POW") {
        return false;
    }
    match doubt {
        Doubt::None => false,
        Doubt::Faulty => matches!(error.http_status(), Some(404 | 409)),
        Doubt::Lost => true,
    }
}

fn outcome_unknown(cause: &Error) -> Error {
    api::outcome_unknown("The approval was sent, but whether it took effect is not known", cause)
}
