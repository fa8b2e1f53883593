//! The client of the Sesame broker.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use lime_core::{ApprovalRequest, Environment, SesameConfig, WaitOptions};
use napi_derive::napi;

use crate::convert;
use crate::error::{self, Result};
use crate::host::HostTransport;
use crate::queue::{Queue, Shared};
use crate::site::given;

/// The settings of a broker's client.
#[napi(object)]
pub struct SesameSettings {
    pub api_key: Option<String>,
    pub base_url: Option<String>,
    pub timeout: Option<f64>,
    pub max_retries: Option<f64>,
    pub poll_timeout: Option<f64>,
    pub tls_pins: Option<Vec<String>>,
    /// The thread's own `process.env`, as far as it is about us.
    pub environment: HashMap<String, String>,
    pub log_level: Option<i32>,
}

/// What a human is asked to approve.
#[napi(object)]
pub struct Request {
    pub action: String,
    pub summary: String,
    pub reason: Option<String>,
    pub dedup_key: Option<String>,
    pub callback_url: Option<String>,
    pub severity: Option<String>,
    /// A JSON object as text.
    pub context: Option<String>,
}

#[napi(js_name = "Sesame")]
pub struct SesameClient {
    client: Arc<lime_core::Sesame>,
    queue: Arc<Shared>,
    number: i64,
}

#[napi]
impl SesameClient {
    #[napi(constructor, catch_unwind)]
    pub fn new(
        queue: &Queue,
        number: i64,
        settings: SesameSettings,
        transport: Option<&HostTransport>,
    ) -> Result<Self> {
        let default = SesameConfig::default();
        let config = SesameConfig {
            api_key: settings.api_key,
            base_url: settings.base_url,
            timeout: given("timeout", settings.timeout, default.timeout)?,
            max_retries: settings.max_retries.map_or(default.max_retries, convert::count),
            poll_timeout: given("pollTimeout", settings.poll_timeout, default.poll_timeout)?,
            tls_pins: settings.tls_pins.unwrap_or_default(),
            transport: transport.map(HostTransport::transport),
            logger: queue.shared.logger(number, settings.log_level),
            clock: default.clock,
            environment: Environment::from_iter(settings.environment),
        };
        let queue = Arc::clone(&queue.shared);
        let client = Arc::new(lime_core::Sesame::new(config).map_err(error::thrown)?);
        let weak = Arc::downgrade(&client);
        queue.adopt(number, weak as Weak<dyn crate::queue::Close>);
        Ok(Self { client, queue, number })
    }

    #[napi(catch_unwind)]
    pub fn trigger(&self, call: i64, request: Request) -> Result<i64> {
        Ok(self.queue.start(call, self.client.trigger(asked(request)?), convert::approval))
    }

    #[napi(catch_unwind)]
    pub fn get(&self, call: i64, approval_id: String, wait: bool) -> i64 {
        self.queue.start(call, self.client.get(&approval_id, wait), convert::approval)
    }

    #[napi(catch_unwind)]
    pub fn wait(&self, call: i64, approval_id: String, timeout: f64, poll_interval: f64) -> Result<i64> {
        // Time that is up is up.
        let options = WaitOptions {
            timeout: convert::millis("timeout", timeout.max(0.0))?,
            poll_interval: convert::millis("pollInterval", poll_interval.max(0.0))?,
        };
        Ok(self.queue.start(call, self.client.wait(&approval_id, options), convert::approval))
    }

    /// Refuses further calls. May wait for the library's threads to end, which need nothing of JavaScript.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.client.close();
    }
}

impl Drop for SesameClient {
    fn drop(&mut self) {
        self.queue.forget(self.number);
    }
}

fn asked(request: Request) -> Result<ApprovalRequest> {
    let mut asked = ApprovalRequest::new(request.action, request.summary);
    (asked.reason, asked.dedup_key) = (request.reason, request.dedup_key);
    (asked.callback_url, asked.severity) = (request.callback_url, request.severity);
    asked.set_context_json(request.context.as_deref()).map_err(error::thrown)?;
    Ok(asked)
}
