//! What a sandbox is started with.

use std::fmt;

use crate::ids;
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

    /// Sets the settings to start with.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Checks the options and fills in what is random.
    pub(crate) fn resolve(self) -> Result<Start, OptionsError> {
        self.settings.check().map_err(|error| OptionsError(error.to_string()))?;
        let site_token = match &self.site_token {
            Some(token) => checked("site", "st_live_", token)?,
            None => ids::site_token(),
        };
        let agent_token = match &self.agent_token {
            Some(token) => checked("agent", "at_live_", token)?,
            None => ids::agent_token(),
        };
        Ok(Start {
            settings: self.settings,
            site_id: ids::uuid(),
            site_token,
            agent_id: ids::uuid(),
            owner_id: ids::uuid(),
            agent_token,
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
fn checked(kind: &str, live: &str, token: &str) -> Result<String, OptionsError> {
    let token = token.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(OptionsError(format!(
            "the {kind} token must be visible ASCII characters without spaces"
        )));
    }
    if token.starts_with("st_live_") || token.starts_with("at_live_") {
        return Err(OptionsError(format!(
            "the {kind} token starts with {live} or its like and so looks like a real secret; \
             the sandbox takes only made-up tokens (leave it out and one is made)"
        )));
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_looking_and_unusable_tokens_are_refused() {
        for token in ["st_live_1", "at_live_1", " at_live_2", "", "  ", "a b", "ü"] {
            let refused = Options::new().site_token(token).resolve();
            let message = refused.map_or_else(|error| error.to_string(), |_| String::new());
            assert!(message.contains("site token"), "{message}");
            assert!(!message.contains("live_1"), "{message}");
            assert!(Options::new().agent_token(token).resolve().is_err());
        }
        let start = Options::new().site_token(" st_test ").resolve();
        assert_eq!(start.map(|start| start.site_token).as_deref(), Ok("st_test"));
    }
}
