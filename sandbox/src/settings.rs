//! What can be switched while the sandbox runs: which release's wire forms it speaks, and its numbers.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::ControlError;

/// A year of seconds: the ceiling of every duration that can be set.
const YEAR_SECONDS: f64 = 366.0 * 86_400.0;

/// A preset of all wire forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// As the platform was for `lime-sites-sdk` 1.0.1 and `lime-agents-sdk` 0.2.0.
    Seed,
    /// As it is for `lime-sites-sdk` 2.0.6 and `lime-agents-sdk` 3.0.2.
    Today,
    /// Forms that both generations of clients understand.
    #[default]
    Both,
}

/// The document that the key endpoint serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JwksForm {
    /// `{"ok":true,"data":{"keys":[…]}}`
    Envelope,
    /// `{"keys":[…]}`, as RFC 7517 has it.
    Bare,
    /// The envelope with `keys` beside `data`.
    Both,
}

/// The digest that a proof of work is checked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PowDigest {
    /// `SHA-256(challenge ‖ nonce)`
    Seed,
    /// `SHA-256("lime:pow:v1\0" ‖ challenge ‖ "\0" ‖ nonce)`
    Today,
    /// Whichever of the two fits.
    Either,
}

/// How profiles and passports name the owner of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProfileForm {
    /// `owner_id`, `owner_kyc_level`, `agent_reputation`
    Seed,
    /// `user_id`
    Today,
    /// All of them.
    Both,
}

/// How the endpoint for MCP access tokens tells of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum McpFailureForm {
    /// `{"error":"…","error_description":"…"}`, as RFC 6749 has it.
    Oauth,
    /// The platform's envelope.
    Envelope,
}

/// How dates are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DateForm {
    /// `2026-01-31T12:00:00.000000Z`
    Z,
    /// `2026-01-31T12:00:00.000000+00:00`
    Offset,
}

/// Everything that can be switched at run time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The form of the key document.
    pub jwks_form: JwksForm,
    /// The digest that proofs of work are checked with.
    pub pow_digest: PowDigest,
    /// The form of agents' profiles.
    pub profile_form: ProfileForm,
    /// The form of dates.
    pub date_form: DateForm,
    /// Whether passports carry `iss`.
    pub issuer: bool,
    /// Another `iss` than the sandbox's own origin.
    pub issuer_override: Option<String>,
    /// Leading zero bits that a proof of work needs. Above 256 nothing is a proof:
    /// for tests of clients that must refuse to try.
    pub pow_difficulty: i64,
    /// Life of a login request.
    pub request_ttl_seconds: f64,
    /// `exp − iat` of a passport. Above 120 clients must refuse it.
    pub passport_ttl_seconds: i64,
    /// Life of an MCP access token: its `expires_in`, and `exp − iat` inside.
    pub mcp_token_ttl_seconds: i64,
    /// How the endpoint for MCP access tokens tells of a failure.
    pub mcp_failure_form: McpFailureForm,
    /// Real time between two keepalives of an event stream.
    pub keepalive_seconds: f64,
    /// Life of an approval.
    pub approval_ttl_seconds: f64,
    /// Real time that a long poll is held at most; 0 answers at once.
    pub long_poll_seconds: f64,
    /// Real time between the attempts to deliver a webhook; when they are used up it is given up.
    pub webhook_retry_seconds: Vec<f64>,
    /// Real time that a webhook's receiver has to answer.
    pub webhook_timeout_seconds: f64,
    /// Whether `Idempotency-Key` is honoured. Off by default, because the platform may ignore it.
    pub idempotency: bool,
}

impl Settings {
    /// The default numbers with one platform's forms.
    pub fn of(platform: Platform) -> Self {
        let mut settings = Self {
            jwks_form: JwksForm::Both,
            pow_digest: PowDigest::Either,
            profile_form: ProfileForm::Both,
            date_form: DateForm::Z,
            issuer: true,
            issuer_override: None,
            pow_difficulty: 15,
            request_ttl_seconds: 300.0,
            passport_ttl_seconds: 120,
            mcp_token_ttl_seconds: 300,
            mcp_failure_form: McpFailureForm::Oauth,
            keepalive_seconds: 15.0,
            approval_ttl_seconds: 3600.0,
            long_poll_seconds: 25.0,
            webhook_retry_seconds: vec![0.5, 2.0, 8.0],
            webhook_timeout_seconds: 5.0,
            idempotency: false,
        };
        settings.set_platform(platform);
        settings
    }

    /// Switches every wire form at once; numbers stay.
    pub fn set_platform(&mut self, platform: Platform) {
        (self.jwks_form, self.pow_digest, self.profile_form, self.issuer) = match platform {
            Platform::Seed => (JwksForm::Envelope, PowDigest::Seed, ProfileForm::Seed, false),
            Platform::Today => (JwksForm::Bare, PowDigest::Today, ProfileForm::Today, true),
            Platform::Both => (JwksForm::Both, PowDigest::Either, ProfileForm::Both, true),
        };
    }

    /// These settings with some of them replaced; `platform` is a preset that comes first.
    ///
    /// # Errors
    ///
    /// [`ControlError::Invalid`] for an unknown name or a value that makes no sense.
    pub fn patched(&self, patch: &Value) -> Result<Self, ControlError> {
        let Value::Object(patch) = patch else {
            return Err(ControlError::invalid("settings must be a JSON object"));
        };
        let mut base = self.clone();
        if let Some(platform) = patch.get("platform") {
            let platform = serde_json::from_value(platform.clone())
                .map_err(|error| ControlError::invalid(format!("platform: {error}")))?;
            base.set_platform(platform);
        }
        let mut merged =
            serde_json::to_value(&base).map_err(|error| ControlError::invalid(error.to_string()))?;
        if let Value::Object(fields) = &mut merged {
            for (name, value) in patch.iter().filter(|(name, _)| *name != "platform") {
                fields.insert(name.clone(), value.clone());
            }
        }
        let settings: Self =
            serde_json::from_value(merged).map_err(|error| ControlError::invalid(error.to_string()))?;
        settings.check()?;
        Ok(settings)
    }

    /// Whether the numbers can be used.
    pub(crate) fn check(&self) -> Result<(), ControlError> {
        let year = 0.0..=YEAR_SECONDS;
        if !year.contains(&self.request_ttl_seconds) {
            return Err(ControlError::invalid("request_ttl_seconds must be between 0 and a year"));
        }
        if !year.contains(&self.approval_ttl_seconds) {
            return Err(ControlError::invalid("approval_ttl_seconds must be between 0 and a year"));
        }
        if !year.contains(&self.long_poll_seconds) {
            return Err(ControlError::invalid("long_poll_seconds must be between 0 and a year"));
        }
        if self.webhook_retry_seconds.len() > 100
            || !self.webhook_retry_seconds.iter().all(|wait| year.contains(wait))
        {
            return Err(ControlError::invalid(
                "webhook_retry_seconds must be at most 100 numbers between 0 and a year",
            ));
        }
        for (name, value) in [
            ("keepalive_seconds", self.keepalive_seconds),
            ("webhook_timeout_seconds", self.webhook_timeout_seconds),
        ] {
            if !(0.01..=YEAR_SECONDS).contains(&value) {
                return Err(ControlError::invalid(format!("{name} must be between 0.01 and a year")));
            }
        }
        for (name, value) in [
            ("passport_ttl_seconds", self.passport_ttl_seconds),
            ("mcp_token_ttl_seconds", self.mcp_token_ttl_seconds),
        ] {
            if value.abs() > 366 * 86_400 {
                return Err(ControlError::invalid(format!("{name} must be within a year")));
            }
        }
        Ok(())
    }

    pub(crate) fn keepalive(&self) -> Duration {
        Duration::try_from_secs_f64(self.keepalive_seconds).unwrap_or(Duration::from_secs(15))
    }

    pub(crate) fn long_poll(&self) -> Duration {
        Duration::try_from_secs_f64(self.long_poll_seconds).unwrap_or(Duration::from_secs(25))
    }

    pub(crate) fn webhook_patience(&self) -> Duration {
        Duration::try_from_secs_f64(self.webhook_timeout_seconds).unwrap_or(Duration::from_secs(5))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::of(Platform::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn presets_come_before_single_settings() {
        let settings = Settings::default()
            .patched(&json!({"pow_digest": "today", "platform": "seed", "pow_difficulty": 300}))
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(settings.jwks_form, JwksForm::Envelope);
        assert_eq!(settings.pow_digest, PowDigest::Today);
        assert_eq!(settings.pow_difficulty, 300);
        assert!(!settings.issuer);
    }

    #[test]
    fn unknown_names_and_senseless_values_are_refused() {
        for patch in [
            json!({"pow_dificulty": 1}),
            json!({"jwks_form": "xml"}),
            json!({"keepalive_seconds": 0}),
            json!({"request_ttl_seconds": -1}),
            json!({"approval_ttl_seconds": 1e12}),
            json!({"long_poll_seconds": -0.1}),
            json!({"webhook_retry_seconds": [1, -1]}),
            json!({"webhook_retry_seconds": 1}),
            json!({"webhook_timeout_seconds": 0}),
            json!({"mcp_token_ttl_seconds": 40_000_000}),
            json!({"mcp_failure_form": "xml"}),
            json!({"platform": "tomorrow"}),
            json!([]),
        ] {
            assert!(Settings::default().patched(&patch).is_err(), "{patch}");
        }
    }
}
