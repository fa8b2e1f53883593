//! The site's client.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use lime_core::{
    BindingCheck, Environment, Gap, JwksForm, LimeSite, PassportCheck, Platform, PostRetry, SiteConfig,
};
use napi_derive::napi;
use serde_json::Value;

use crate::convert;
use crate::error::{self, Result};
use crate::host::HostTransport;
use crate::queue::{Kind, Queue, Shared};

/// The settings of a site.
#[napi(object)]
pub struct SiteSettings {
    pub site_token: Option<String>,
    pub base_url: Option<String>,
    pub timeout: Option<f64>,
    pub max_retries: Option<f64>,
    pub sse_backoff_base: Option<f64>,
    pub event_queue_limit: Option<f64>,
    pub jwks_cache_ttl: Option<f64>,
    pub platform: Option<String>,
    pub require_issuer: Option<bool>,
    pub post_retry: Option<String>,
    pub jwks_form: Option<String>,
    pub tls_pins: Option<Vec<String>>,
    /// The thread's own `process.env`, as far as it is about us.
    pub environment: HashMap<String, String>,
    pub log_level: Option<i32>,
}

#[napi]
pub struct Site {
    client: Arc<LimeSite>,
    queue: Arc<Shared>,
    number: i64,
}

#[napi]
impl Site {
    #[napi(constructor, catch_unwind)]
    pub fn new(
        queue: &Queue,
        number: i64,
        settings: SiteSettings,
        transport: Option<&HostTransport>,
    ) -> Result<Self> {
        let default = SiteConfig::default();
        let mut platform = self::platform(settings.platform.as_deref())?;
        platform.require_issuer = settings.require_issuer.unwrap_or(platform.require_issuer);
        platform.post_retry = post_retry(settings.post_retry.as_deref(), platform.post_retry)?;
        platform.jwks_form =
            setting("jwksForm", settings.jwks_form.as_deref(), platform.jwks_form, JwksForm::named)?;
        let config = SiteConfig {
            site_token: settings.site_token,
            base_url: settings.base_url,
            timeout: given("timeout", settings.timeout, default.timeout)?,
            max_retries: settings.max_retries.map_or(default.max_retries, convert::count),
            sse_backoff_base: given("sseBackoffBase", settings.sse_backoff_base, default.sse_backoff_base)?,
            event_queue_limit: settings
                .event_queue_limit
                .map_or(default.event_queue_limit, |limit| convert::count(limit) as usize),
            jwks_cache_ttl: settings
                .jwks_cache_ttl
                .map(|ttl| convert::millis("jwksCacheTtl", ttl))
                .transpose()?,
            platform,
            tls_pins: settings.tls_pins.unwrap_or_default(),
            transport: transport.map(HostTransport::transport),
            logger: queue.shared.logger(number, settings.log_level),
            clock: default.clock,
            environment: Environment::from_iter(settings.environment),
        };
        let queue = Arc::clone(&queue.shared);
        let events = Arc::clone(&queue);
        let sink = move |batch: Vec<_>| batch.into_iter().for_each(|event| events.push_event(number, event));
        let client = Arc::new(LimeSite::with_event_sink(config, sink).map_err(error::thrown)?);
        let weak = Arc::downgrade(&client);
        queue.adopt(number, weak as Weak<dyn crate::queue::Close>);
        Ok(Self { client, queue, number })
    }

    /// Starts the event stream; does nothing when it is running.
    #[napi(catch_unwind)]
    pub fn start_events(&self) -> Result<()> {
        self.client.start_events().map_err(error::thrown)
    }

    /// Sends the event stream's state as it is, and every change of it, to the queue.
    #[napi(catch_unwind)]
    pub fn watch_state(&self) -> Result<()> {
        let (queue, number) = (Arc::clone(&self.queue), self.number);
        let watch = move |status: &_| {
            queue.push(Kind::State, &[number.into(), convert::stream_status(status)]);
        };
        self.client.on_state_undispatched(watch).map_err(error::thrown)
    }

    /// Sends the login requests whose events are lost to the queue.
    #[napi(catch_unwind)]
    pub fn watch_gaps(&self) -> Result<()> {
        let (queue, number) = (Arc::clone(&self.queue), self.number);
        let watch = move |gap: &Gap| {
            queue.push(Kind::Gap, &[number.into(), gap.request_ids.clone().into()]);
        };
        self.client.on_gap(watch).map_err(error::thrown)
    }

    /// Where the event stream stands, as JSON.
    #[napi(catch_unwind)]
    pub fn stream_status(&self) -> String {
        convert::stream_status(&self.client.stream_status()).to_string()
    }

    #[napi(catch_unwind)]
    pub fn create_login_request(&self, call: i64) -> i64 {
        self.queue.start(call, self.client.create_login_request(), convert::login_request)
    }

    #[napi(catch_unwind)]
    pub fn read_login_request(&self, call: i64, request_id: String) -> i64 {
        self.queue.start(call, self.client.read_login_request(&request_id), convert::login_request_status)
    }

    #[napi(catch_unwind)]
    pub fn wait_for_login(&self, call: i64, request_id: String, timeout: f64) -> Result<i64> {
        let timeout = convert::millis("timeout", timeout)?.min(LONGEST);
        Ok(self.queue.start(call, self.client.wait_for_login(&request_id, timeout), convert::login_event))
    }

    /// The claims as JSON, if the key is at hand; nothing if it has to be fetched.
    #[napi(catch_unwind)]
    pub fn verify_passport_cached(&self, jwt: String, expected: Option<String>) -> Result<Option<String>> {
        match self.client.verify_passport_cached(&jwt, &check(expected)) {
            None => Ok(None),
            Some(Ok(passport)) => Ok(Some(Value::Object(passport.claims).to_string())),
            Some(Err(error)) => Err(error::thrown(error)),
        }
    }

    #[napi(catch_unwind)]
    pub fn verify_passport(&self, call: i64, jwt: String, expected: Option<String>) -> i64 {
        self.queue.start(call, self.client.verify_passport(&jwt, check(expected)), convert::passport)
    }

    #[napi(catch_unwind)]
    pub fn create_binding_request(&self, call: i64, redirect_uri: String) -> i64 {
        self.queue.start(call, self.client.create_binding_request(&redirect_uri), convert::binding_request)
    }

    #[napi(catch_unwind)]
    pub fn exchange_binding_code(&self, call: i64, code: String) -> i64 {
        self.queue.start(call, self.client.exchange_binding_code(&code), Value::String)
    }

    /// The claims as JSON, if the key is at hand; nothing if it has to be fetched.
    #[napi(catch_unwind)]
    pub fn verify_binding_passport_cached(
        &self,
        jwt: String,
        expected: Option<String>,
    ) -> Result<Option<String>> {
        match self.client.verify_binding_passport_cached(&jwt, &binding_check(expected)) {
            None => Ok(None),
            Some(Ok(passport)) => Ok(Some(Value::Object(passport.claims).to_string())),
            Some(Err(error)) => Err(error::thrown(error)),
        }
    }

    #[napi(catch_unwind)]
    pub fn verify_binding_passport(&self, call: i64, jwt: String, expected: Option<String>) -> i64 {
        let check = binding_check(expected);
        self.queue.start(call, self.client.verify_binding_passport(&jwt, check), convert::passport)
    }

    /// Ends the event stream and refuses further calls. May wait for the library's threads to end,
    /// which need nothing of JavaScript.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.client.close();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.queue.forget(self.number);
    }
}

/// A hundred years stand for ever; a timer cannot count to infinity.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

fn check(expected_request_id: Option<String>) -> PassportCheck {
    expected_request_id
        .map_or_else(PassportCheck::default, |id| PassportCheck::default().expected_request_id(id))
}

fn binding_check(expected_binding_id: Option<String>) -> BindingCheck {
    expected_binding_id
        .map_or_else(BindingCheck::default, |id| BindingCheck::default().expected_binding_id(id))
}

pub(crate) fn given(name: &str, value: Option<f64>, default: Duration) -> Result<Duration> {
    value.map_or(Ok(default), |value| convert::millis(name, value))
}

pub(crate) fn platform(name: Option<&str>) -> Result<Platform> {
    setting("platform", name, Platform::AUTO, Platform::named)
}

pub(crate) fn post_retry(name: Option<&str>, preset: PostRetry) -> Result<PostRetry> {
    setting("postRetry", name, preset, PostRetry::named)
}

/// A setting by its name; without one it is the preset's.
pub(crate) fn setting<T>(
    what: &str,
    name: Option<&str>,
    preset: T,
    named: impl FnOnce(&str) -> Option<T>,
) -> Result<T> {
    let Some(name) = name else { return Ok(preset) };
    named(name).ok_or_else(|| error::invalid(format!("there is no {what} {name:?}")))
}
