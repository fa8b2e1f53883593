//! MCP access tokens: the RS256 JWTs that an agent shows to an MCP server, bound to that server's host name.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::envelope::{Failure, json_response};
use crate::error::ControlError;
use crate::ids;
use crate::keys::SigningKey;
use crate::mcp_domain;
use crate::settings::McpFailureForm;
use crate::state::{Agent, Core, State};

/// The audience of an MCP access token.
const AUDIENCE: &str = "mcp";

/// An issued token, as RFC 6749 has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct McpToken {
    /// The JWT.
    pub access_token: String,
    /// `Bearer`
    pub token_type: String,
    /// Seconds of life.
    pub expires_in: i64,
}

/// What to put into a token that the control API issues, past all rules of the platform.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewMcpToken {
    /// The host name, as it is.
    pub domain: String,
    /// Whose token it is; the first agent's when absent.
    #[serde(default)]
    pub agent_id: Option<String>,
    /// Claims to set over the usual ones; `null` leaves one out.
    #[serde(default)]
    pub claims: Map<String, Value>,
}

/// Why the token endpoint gives no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// For the envelope.
    failure: Failure,
    /// The error of RFC 6749; without one it is the envelope in any case.
    oauth: Option<&'static str>,
}

impl Refusal {
    const fn new(status: StatusCode, oauth: &'static str, code: &'static str, message: &'static str) -> Self {
        Self { failure: Failure { status, code, message }, oauth: Some(oauth) }
    }

    const NOT_GRANTED: Self = Self::new(
        StatusCode::FORBIDDEN,
        "access_denied",
        "OAUTH_CAPABILITY_MISSING",
        "The agent has no oauth:mcp grant",
    );
    const NOT_SIGNED: Self = Self { failure: Failure::INTERNAL, oauth: None };

    /// RFC 6749 has a word for a token that is not known, and none for one that is known and not let in.
    fn unauthenticated(failure: Failure) -> Self {
        let unknown = failure.status == StatusCode::UNAUTHORIZED;
        Self { failure, oauth: unknown.then_some("invalid_client") }
    }

    const fn invalid(message: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", "INVALID_DOMAIN", message)
    }

    fn response(self, form: McpFailureForm) -> Response {
        let Failure { status, message, .. } = self.failure;
        let mut response = match (form, self.oauth) {
            (McpFailureForm::Oauth, Some(error)) => {
                json_response(status, &json!({"error": error, "error_description": message}))
            }
            _ => self.failure.into_response(),
        };
        no_store(&mut response);
        response
    }
}

/// A token's answer, which no cache may keep.
fn response(token: &McpToken) -> Response {
    let mut response = json_response(StatusCode::OK, &json!(token));
    no_store(&mut response);
    response
}

fn no_store(response: &mut Response) {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

impl State {
    /// Issues a token for a host name as it is. `None` when the library refuses to sign.
    fn issue(
        &self,
        key: &SigningKey,
        origin: &str,
        agent: &Agent,
        domain: &str,
        more: &Map<String, Value>,
    ) -> Option<McpToken> {
        let iat = self.clock.passport_now().as_second();
        let expires_in = self.settings.mcp_token_ttl_seconds;
        let mut claims = Map::new();
        claims.insert("iss".into(), self.settings.issuer_override.as_deref().unwrap_or(origin).into());
        claims.insert("sub".into(), agent.agent_id.as_str().into());
        claims.insert("aud".into(), AUDIENCE.into());
        claims.insert("iat".into(), iat.into());
        claims.insert("exp".into(), iat.saturating_add(expires_in).into());
        claims.insert("jti".into(), ids::uuid().into());
        claims.insert("domain".into(), domain.into());
        for (name, value) in more {
            if value.is_null() {
                claims.shift_remove(name);
            } else {
                claims.insert(name.clone(), value.clone());
            }
        }
        let access_token = key.jwt(&Value::Object(claims))?;
        Some(McpToken { access_token, token_type: "Bearer".into(), expires_in })
    }

    /// The token endpoint, from the agent's token to the answer.
    fn grant(
        &self,
        key: &SigningKey,
        origin: &str,
        token: Option<&str>,
        body: &[u8],
    ) -> Result<McpToken, Refusal> {
        let agent = self.authenticate_agent(token).map_err(Refusal::unauthenticated)?;
        if !agent.mcp_access {
            return Err(Refusal::NOT_GRANTED);
        }
        let body: Map<String, Value> =
            serde_json::from_slice(body).map_err(|_| Refusal::invalid("the body must be a JSON object"))?;
        let Some(Value::String(raw)) = body.get("domain") else {
            return Err(Refusal::invalid("domain is required"));
        };
        let domain = mcp_domain::normalize(raw).map_err(Refusal::invalid)?;
        self.issue(key, origin, agent, &domain, &Map::new()).ok_or(Refusal::NOT_SIGNED)
    }
}

impl Core {
    /// The document that tells resource servers whose tokens these are and where the keys lie.
    pub(crate) fn mcp_metadata(&self) -> Value {
        json!({
            "issuer": self.origin,
            "token_endpoint": format!("{}{}", self.origin, crate::routes::MCP_TOKEN.path),
            "jwks_uri": format!("{}{}", self.origin, crate::routes::JWKS.path),
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["none"],
            "response_types_supported": [],
        })
    }

    /// An agent's token call.
    pub(crate) async fn grant_mcp_token(&self, token: Option<&str>, body: &[u8]) -> Response {
        let key = self.keys.current().await;
        let (granted, form) = self
            .read(|state| (state.grant(&key, &self.origin, token, body), state.settings.mcp_failure_form));
        match granted {
            Ok(token) => response(&token),
            Err(refusal) => refusal.response(form),
        }
    }

    /// Issues a token past the rules of the platform.
    pub(crate) fn force_mcp_token(
        &self,
        key: &Arc<SigningKey>,
        new: &NewMcpToken,
    ) -> Result<McpToken, ControlError> {
        self.read(|state| {
            let agent_id = new.agent_id.as_deref().unwrap_or(&state.first_agent);
            let agent = state
                .agents
                .get(agent_id)
                .ok_or_else(|| ControlError::not_found("there is no such agent"))?;
            state
                .issue(key, &self.origin, agent, &new.domain, &new.claims)
                .ok_or_else(|| ControlError::Failed("the token could not be signed".into()))
        })
    }

    /// Grants an agent the right to MCP access tokens, or takes it away.
    pub(crate) fn set_mcp_access(&self, agent_id: &str, granted: bool) -> Result<Agent, ControlError> {
        self.change(|state| {
            let agent = state
                .agents
                .get_mut(agent_id)
                .ok_or_else(|| ControlError::not_found("there is no such agent"))?;
            agent.mcp_access = granted;
            Ok(agent.clone())
        })
    }
}
