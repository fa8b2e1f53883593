//! What a sandbox is started with.

use std::fmt;
use std::path::PathBuf;

use crate::ids;
use crate::sesame::{ApiKey, Recovered};
use crate::settings::{Platform, Settings};

/// Start options. The default is a free port, random tokens and forms for both generations of clients.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// The settings to start with and to return to on a reset.
    pub settings: Settings,
    /// The first site's token; random when absent.
    pub site_token: Option<String>,
    /// The first agent's token; random when absent.
    pub agent_token: Option<String>,
    /// The broker's first API key; the one in the state file, or a random one, when absent.
    pub sesame_api_key: Option<String>,
    /// What the broker signs webhooks with; likewise.
    pub webhook_secret: Option<String>,
    /// Where the broker keeps its approvals over restarts; nowhere when absent.
    pub state_file: Option<PathBuf>,
    /// Writes one line per request (never a token) to stderr.
    pub log_requests: bool,
}

impl Options {
    /// The default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Switches all wire forms.
    #[must_use]
    pub fn platform(mut self, platform: Platform) -> Self {
        self.settings.set_platform(platform);
        self
    }

    /// Sets the proof of work's difficulty.
    #[must_use]
    pub fn difficulty(mut self, bits: i64) -> Self {
        self.settings.pow_difficulty = bits;
        self
    }

    /// Sets the life of login requests.
    #[must_use]
    pub fn request_ttl_seconds(mut self, seconds: f64) -> Self {
        self.settings.request_ttl_seconds = seconds;
        self
    }

    /// Sets the time between two keepalives.
    #[must_use]
    pub fn keepalive_seconds(mut self, seconds: f64) -> Self {
        self.settings.keepalive_seconds = seconds;
        self
    }

    /// Sets the first site's token.
    #[must_use]
    pub fn site_token(mut self, token: impl Into<String>) -> Self {
        self.site_token = Some(token.into());
        self
    }

    /// Sets the first agent's token.
    #[must_use]
    pub fn agent_token(mut self, token: impl Into<String>) -> Self {
        self.agent_token = Some(token.into());
        self
    }

    /// Sets the life of approvals.
    #[must_use]
    pub fn approval_ttl_seconds(mut self, seconds: f64) -> Self {
        self.settings.approval_ttl_seconds = seconds;
        self
    }

    /// Sets how long a long poll is held at most.
    #[must_use]
    pub fn long_poll_seconds(mut self, seconds: f64) -> Self {
        self.settings.long_poll_seconds = seconds;
        self
    }

    /// Sets the broker's first API key.
    #[must_use]
    pub fn sesame_api_key(mut self, key: impl Into<String>) -> Self {
        self.sesame_api_key = Some(key.into());
        self
    }

    /// Sets what the broker signs webhooks with.
    #[must_use]
    pub fn webhook_secret(mut self, secret: impl Into<String>) -> Self {
        self.webhook_secret = Some(secret.into());
        self
    }

    /// Keeps the broker's approvals in this file.
    #[must_use]
    pub fn state_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.state_file = Some(path.into());
        self
    }

    /// Sets the settings to start with.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Checks the options and fills in what a state file has, and what is random.
    pub(crate) fn resolve(self, recovered: Option<&Recovered>) -> Result<Start, OptionsError> {
        self.settings.check().map_err(|error| OptionsError(error.to_string()))?;
        let checked =
            |kind: &str, token: Option<&String>| token.map(|token| checked(kind, token)).transpose();
        let site_token = checked("site token", self.site_token.as_ref())?.unwrap_or_else(ids::site_token);
        let agent_token = checked("agent token", self.agent_token.as_ref())?.unwrap_or_else(ids::agent_token);
        let known_key = recovered.and_then(|recovered| recovered.keys.first().cloned());
        let mut first_key = known_key.unwrap_or_else(|| ApiKey {
            key_id: ids::uuid(),
            api_key: ids::api_key(),
            label: Some("Sandbox key".into()),
        });
        if let Some(api_key) = checked("Sesame API key", self.sesame_api_key.as_ref())? {
            first_key.api_key = api_key;
        }
        let webhook_secret = checked("webhook secret", self.webhook_secret.as_ref())?
            .or_else(|| recovered?.webhook_secret.clone())
            .unwrap_or_else(ids::webhook_secret);
        Ok(Start {
            settings: self.settings,
            site_id: ids::uuid(),
            site_token,
            agent_id: ids::uuid(),
            owner_id: ids::uuid(),
            agent_token,
            first_key,
            webhook_secret,
        })
    }
}

/// What a reset returns to.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub(crate) settings: Settings,
    pub(crate) site_id: String,
    pub(crate) site_token: String,
    pub(crate) agent_id: String,
    pub(crate) owner_id: String,
    pub(crate) agent_token: String,
    /// The broker's first API key.
    pub(crate) first_key: ApiKey,
    pub(crate) webhook_secret: String,
}

/// Why a sandbox cannot be started with these options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionsError(String);

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OptionsError {}

/// A token must be usable in a header, and must not be a real one: an emulation that is given
/// real secrets is being used by mistake. The message does not repeat the token.
fn checked(kind: &str, token: &str) -> Result<String, OptionsError> {
    let token = token.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(OptionsError(format!("the {kind} must be visible ASCII characters without spaces")));
    }
    if let Some(live) = LIVE.iter().find(|live| token.starts_with(**live)) {
        return Err(OptionsError(format!(
            "the {kind} starts with {live} and so looks like a real secret; \
             the sandbox takes only made-up ones (leave it out and one is made)"
        )));
    }
    Ok(token.to_owned())
}

/// How real secrets begin.
const LIVE: [&str; 4] = ["st_live_", "at_live_", "sk_live_", "whsec_live_"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_looking_and_unusable_tokens_are_refused() {
        for token in ["st_live_1", "at_live_1", " at_live_2", "sk_live_1", "", "  ", "a b", "ü"] {
            let refused = Options::new().site_token(token).resolve(None);
            let message = refused.map_or_else(|error| error.to_string(), |_| String::new());
            assert!(message.contains("site token"), "{message}");
            assert!(!message.contains("live_1"), "{message}");
            assert!(Options::new().agent_token(token).resolve(None).is_err());
            assert!(Options::new().sesame_api_key(token).resolve(None).is_err());
            assert!(Options::new().webhook_secret(token).resolve(None).is_err());
        }
        let start = Options::new().site_token(" st_test ").resolve(None);
        assert_eq!(start.map(|start| start.site_token).as_deref(), Ok("st_test"));
    }
}
