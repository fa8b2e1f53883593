//! The agent's client.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use lime_core::{AgentConfig, Environment, LimeAgent, McpCall, PowChoice};
use napi_derive::napi;

use crate::convert;
use crate::error::{self, Result};
use crate::host::HostTransport;
use crate::progress::Progress;
use crate::queue::{Queue, Shared};
use crate::site::{self, given};

/// The settings of an agent.
#[napi(object)]
pub struct AgentSettings {
    pub agent_token: Option<String>,
    pub base_url: Option<String>,
    pub timeout: Option<f64>,
    pub max_retries: Option<f64>,
    pub pow_timeout: Option<f64>,
    pub platform: Option<String>,
    pub pow_digest: Option<String>,
    pub pow_threads: Option<f64>,
    pub post_retry: Option<String>,
    pub mcp_token_refresh_skew: Option<f64>,
    pub mcp_read_timeout: Option<f64>,
    pub serialize_mcp_per_url: Option<bool>,
    pub mcp_addresses: Option<HashMap<String, String>>,
    pub tls_pins: Option<Vec<String>>,
    /// The thread's own `process.env`, as far as it is about us.
    pub environment: HashMap<String, String>,
    pub log_level: Option<i32>,
}

#[napi]
pub struct Agent {
    client: Arc<LimeAgent>,
    queue: Arc<Shared>,
    number: i64,
}

#[napi]
impl Agent {
    #[napi(constructor, catch_unwind)]
    pub fn new(
        queue: &Queue,
        number: i64,
        settings: AgentSettings,
        transport: Option<&HostTransport>,
    ) -> Result<Self> {
        let default = AgentConfig::default();
        let mut platform = site::platform(settings.platform.as_deref())?;
        platform.pow_digest = site::setting(
            "powDigest",
            settings.pow_digest.as_deref(),
            platform.pow_digest,
            PowChoice::named,
        )?;
        platform.post_retry = site::post_retry(settings.post_retry.as_deref(), platform.post_retry)?;
        let config = AgentConfig {
            agent_token: settings.agent_token,
            base_url: settings.base_url,
            timeout: given("timeout", settings.timeout, default.timeout)?,
            max_retries: settings.max_retries.map_or(default.max_retries, convert::count),
            pow_timeout: given("powTimeout", settings.pow_timeout, default.pow_timeout)?,
            pow_threads: settings
                .pow_threads
                .map_or(default.pow_threads, |threads| convert::count(threads) as usize),
            platform,
            mcp_token_refresh_skew: given(
                "mcpTokenRefreshSkew",
                settings.mcp_token_refresh_skew,
                default.mcp_token_refresh_skew,
            )?,
            mcp_read_timeout: given("mcpReadTimeout", settings.mcp_read_timeout, default.mcp_read_timeout)?,
            serialize_mcp_per_url: settings.serialize_mcp_per_url.unwrap_or(default.serialize_mcp_per_url),
            mcp_addresses: settings
                .mcp_addresses
                .unwrap_or_default()
                .into_iter()
                .map(|(name, address)| match address.parse() {
                    Ok(parsed) => Ok((name, parsed)),
                    Err(_) => Err(error::invalid(format!("mcpAddresses: {address} is no IP address"))),
                })
                .collect::<Result<_>>()?,
            tls_pins: settings.tls_pins.unwrap_or_default(),
            transport: transport.map(HostTransport::transport),
            logger: queue.shared.logger(number, settings.log_level),
            clock: default.clock,
            environment: Environment::from_iter(settings.environment),
        };
        let queue = Arc::clone(&queue.shared);
        let client = Arc::new(LimeAgent::new(config).map_err(error::thrown)?);
        let weak = Arc::downgrade(&client);
        queue.adopt(number, weak as Weak<dyn crate::queue::Close>);
        Ok(Self { client, queue, number })
    }

    /// For one login, from here on.
    #[napi(catch_unwind)]
    pub fn progress(&self) -> Progress {
        Progress { progress: self.client.progress() }
    }

    #[napi(catch_unwind)]
    pub fn login(&self, call: i64, request_id: String, progress: Option<&Progress>) -> i64 {
        let login = match progress {
            Some(progress) => self.client.login_with_progress(&request_id, Arc::clone(&progress.progress)),
            None => self.client.login(&request_id),
        };
        self.queue.start(call, login, convert::approval_result)
    }

    #[napi(catch_unwind)]
    pub fn get_profile(&self, call: i64) -> i64 {
        self.queue.start(call, self.client.get_profile(), convert::profile)
    }

    #[napi(catch_unwind)]
    pub fn get_mcp_access_token(&self, call: i64, target: String, force_refresh: bool) -> i64 {
        let get = self.client.get_mcp_access_token(&target, force_refresh);
        self.queue.start(call, get, convert::mcp_access_token)
    }

    /// Calls an MCP server; `params` is a JSON object. Gives the result as JSON text.
    #[napi(catch_unwind)]
    pub fn mcp(&self, call: i64, target: String, method: String, params: String, whole: bool) -> Result<i64> {
        let params = serde_json::from_str(&params)
            .map_err(|_| error::invalid("The arguments are no object that JSON can hold"))?;
        let asked = McpCall::new(method, params);
        let asked = if whole { asked } else { asked.one_page() };
        Ok(self.queue.start(call, self.client.mcp(&target, asked), convert::mcp_result))
    }

    /// Refuses further calls. May wait for the library's threads to end, which need nothing of JavaScript.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.client.close();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.queue.forget(self.number);
    }
}
