//! Bindings: a person connects one of their agents with their account at a site.
//!
//! PENDING → COMPLETED → EXCHANGED, and to EXPIRED from either of the first two: the person takes too
//! long, or the site does with the code that they were sent back with.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::envelope::Failure;
use crate::error::ControlError;
use crate::ids;
use crate::keys::SigningKey;
use crate::login::json_object;
use crate::passport;
use crate::redirect_uri::RedirectUri;
use crate::state::{Agent, Core, IdempotencyKey, State};

/// Where a binding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum BindingStatus {
    /// Waits for the person at the connect page.
    Pending,
    /// The person has picked an agent and was sent back with a code.
    Completed,
    /// The site has exchanged the code for a passport.
    Exchanged,
    /// The person or the site took too long.
    Expired,
}

impl BindingStatus {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Completed => "COMPLETED",
            Self::Exchanged => "EXCHANGED",
            Self::Expired => "EXPIRED",
        }
    }
}

/// A binding as the control API shows it: everything but the code and the passport.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindingRequest {
    /// Its id.
    pub binding_id: String,
    /// The site that asked for it.
    pub site_id: String,
    /// Where it stands.
    pub status: BindingStatus,
    /// Where the person is sent back to.
    pub redirect_uri: String,
    /// The page at which the person picks an agent.
    pub connect_url: String,
    /// When it was asked for, ISO 8601.
    pub created_at: String,
    /// When it expires: for the person, and once they are done, for the site's exchange.
    pub expires_at: String,
    /// The agent that the person picked.
    pub agent_id: Option<String>,
}

/// What comes of a binding at the connect page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindingCompletion {
    /// Where the browser is sent: the site's `redirect_uri` with the code.
    pub redirect_url: String,
    /// The code alone. It can be exchanged once, by the site that asked.
    pub binding_code: String,
}

/// A binding.
pub(crate) struct Binding {
    id: String,
    site_id: String,
    status: BindingStatus,
    redirect_uri: RedirectUri,
    created_at: Timestamp,
    expires_at: Timestamp,
    agent_id: Option<String>,
    /// What the connect page's own calls must carry.
    page_token: String,
}

impl State {
    /// Makes a binding; with a known key the stored answer comes again.
    pub(crate) fn create_binding(
        &mut self,
        origin: &str,
        token: Option<&str>,
        body: &[u8],
        key: Option<String>,
    ) -> Result<Value, Failure> {
        self.require_bindings()?;
        let site_id = self.authenticate_site(token)?.site_id.clone();
        let redirect_uri = text(&json_object(body)?, "redirect_uri")
            .and_then(|text| RedirectUri::parse(&text))
            .ok_or(Failure::INVALID_REDIRECT_URI)?;
        let key = key
            .filter(|_| self.settings.idempotency)
            .map(|key| IdempotencyKey::CreateBinding { site_id: site_id.clone(), key });
        if let Some(stored) = key.as_ref().and_then(|key| self.idempotent.get(key)) {
            return Ok(stored.clone());
        }
        let now = self.clock.now();
        let binding = Binding {
            id: ids::binding_id(),
            site_id,
            status: BindingStatus::Pending,
            redirect_uri,
            created_at: now,
            expires_at: later(now, self.settings.binding_ttl_seconds),
            agent_id: None,
            page_token: ids::hex(&ids::random::<32>()),
        };
        let answer = json!({
            "binding_id": binding.id,
            "connect_url": connect_url(origin, &binding.id),
            "status": binding.status,
            "expires_at": self.date(binding.expires_at),
        });
        self.open_bindings.insert((binding.expires_at, binding.id.clone()));
        self.binding_order.push(binding.id.clone());
        self.bindings.insert(binding.id.clone(), binding);
        if let Some(key) = key {
            self.idempotent.insert(key, answer.clone());
        }
        Ok(answer)
    }

    /// The person picks an agent: the binding gets a code.
    fn complete_binding(&mut self, id: &str, agent_id: &str) -> Result<BindingCompletion, ControlError> {
        let agent =
            self.agents.get(agent_id).ok_or_else(|| ControlError::not_found("there is no such agent"))?;
        usable(agent).map_err(|failure| ControlError::conflict(failure.message))?;
        let expires_at = later(self.clock.now(), self.settings.binding_code_ttl_seconds);
        let binding = self.bindings.get_mut(id).ok_or_else(no_such_binding)?;
        if binding.status != BindingStatus::Pending {
            let status = binding.status.as_str();
            return Err(ControlError::conflict(format!("the binding is {status}, not PENDING")));
        }
        self.open_bindings.remove(&(binding.expires_at, binding.id.clone()));
        binding.status = BindingStatus::Completed;
        binding.agent_id = Some(agent_id.to_owned());
        binding.expires_at = expires_at;
        self.open_bindings.insert((expires_at, binding.id.clone()));
        let code = ids::binding_code();
        let redirect_url = binding.redirect_uri.with_code(&code);
        self.binding_codes.insert(code.clone(), id.to_owned());
        Ok(BindingCompletion { redirect_url, binding_code: code })
    }

    /// The site exchanges the code for a passport. One answer for a code that is unknown, used, too old or
    /// another site's: whoever guesses learns nothing.
    fn exchange_binding(
        &mut self,
        signing_key: &SigningKey,
        origin: &str,
        token: Option<&str>,
        body: &[u8],
        key: Option<String>,
    ) -> Result<Value, Failure> {
        self.require_bindings()?;
        let site_id = self.authenticate_site(token)?.site_id.clone();
        let code = text(&json_object(body)?, "binding_code").ok_or(Failure::MISSING_BINDING_CODE)?;
        let key = key
            .filter(|_| self.settings.idempotency)
            .map(|key| IdempotencyKey::ExchangeBinding { site_id: site_id.clone(), key });
        if let Some(stored) = key.as_ref().and_then(|key| self.idempotent.get(key)) {
            return Ok(stored.clone());
        }
        let id = self.binding_codes.get(&code).cloned().ok_or(Failure::INVALID_BINDING_CODE)?;
        let now = self.clock.passport_now();
        let binding = self
            .bindings
            .get_mut(&id)
            .filter(|binding| binding.site_id == site_id && binding.status == BindingStatus::Completed)
            .ok_or(Failure::INVALID_BINDING_CODE)?;
        let agent = binding
            .agent_id
            .as_ref()
            .and_then(|agent| self.agents.get(agent))
            .ok_or(Failure::INVALID_BINDING_CODE)?;
        usable(agent)?;
        let passport = passport::mint_binding(signing_key, &self.settings, origin, now, agent, &id, &site_id)
            .ok_or(Failure::INTERNAL)?;
        binding.status = BindingStatus::Exchanged;
        self.open_bindings.remove(&(binding.expires_at, id));
        self.binding_codes.remove(&code);
        let answer = json!({"passport": passport});
        if let Some(key) = key {
            self.idempotent.insert(key, answer.clone());
        }
        Ok(answer)
    }

    /// Expires what is due. Returns whether anything was.
    pub(crate) fn expire_bindings(&mut self) -> bool {
        let now = self.clock.now();
        let mut any = false;
        while let Some((expires_at, id)) = self.open_bindings.first() {
            if *expires_at > now {
                break;
            }
            let id = id.clone();
            self.expire_binding(&id);
            any = true;
        }
        any
    }

    fn expire_binding(&mut self, id: &str) {
        if let Some(binding) = self.bindings.get_mut(id) {
            binding.status = BindingStatus::Expired;
            self.open_bindings.remove(&(binding.expires_at, binding.id.clone()));
            self.binding_codes.retain(|_, binding| binding != id);
        }
    }

    /// Real time until the next one expires; nothing while there is none to come by itself.
    pub(crate) fn until_next_binding_expiry(&self) -> Option<Duration> {
        self.until(self.open_bindings.first()?.0)
    }

    fn require_bindings(&self) -> Result<(), Failure> {
        if self.settings.bindings { Ok(()) } else { Err(Failure::NOT_FOUND) }
    }

    fn show_binding(&self, origin: &str, binding: &Binding) -> BindingRequest {
        BindingRequest {
            binding_id: binding.id.clone(),
            site_id: binding.site_id.clone(),
            status: binding.status,
            redirect_uri: binding.redirect_uri.as_str().to_owned(),
            connect_url: connect_url(origin, &binding.id),
            created_at: self.date(binding.created_at),
            expires_at: self.date(binding.expires_at),
            agent_id: binding.agent_id.clone(),
        }
    }

    /// All bindings, oldest first.
    pub(crate) fn show_bindings(&self, origin: &str) -> Vec<BindingRequest> {
        let all = self.binding_order.iter().filter_map(|id| self.bindings.get(id));
        all.map(|binding| self.show_binding(origin, binding)).collect()
    }

    /// One binding as the control API shows it.
    pub(crate) fn shown_binding(&self, origin: &str, id: &str) -> Result<BindingRequest, ControlError> {
        self.bindings.get(id).map(|binding| self.show_binding(origin, binding)).ok_or_else(no_such_binding)
    }

    /// What the connect page's calls must carry; nothing where there is no such binding.
    pub(crate) fn connect_token(&self, id: &str) -> Option<&str> {
        self.bindings.get(id).filter(|_| self.settings.bindings).map(|binding| binding.page_token.as_str())
    }

    /// Whether a call comes from a binding's connect page, which nobody else can read.
    pub(crate) fn is_connect_token(&self, id: &str, given: &[u8]) -> bool {
        self.connect_token(id).is_some_and(|token| verify_slices_are_equal(given, token.as_bytes()).is_ok())
    }

    /// A binding for the person who is to pick an agent: no secret, and no more than they decide on.
    pub(crate) fn connect_view(&self, id: &str) -> Option<Value> {
        let binding = self.bindings.get(id).filter(|_| self.settings.bindings)?;
        let site = self.sites.get(&binding.site_id);
        let agents: Vec<Value> = self
            .agents
            .values()
            .map(|agent| {
                json!({
                    "agent_id": agent.agent_id,
                    "display_name": agent.profile.display_name,
                    "description": agent.profile.description,
                    "usable": usable(agent).is_ok(),
                })
            })
            .collect();
        Some(json!({
            "status": binding.status,
            "site": site.and_then(|site| site.name.as_deref()),
            "site_id": binding.site_id,
            "returns_to": binding.redirect_uri.origin(),
            "agents": agents,
        }))
    }
}

impl Core {
    /// A site's exchange call, from the token to the answer's data.
    pub(crate) async fn exchange_binding(
        &self,
        token: Option<&str>,
        body: &[u8],
        key: Option<String>,
    ) -> Result<Value, Failure> {
        let signing_key = self.keys.current().await;
        self.change(|state| state.exchange_binding(&signing_key, &self.origin, token, body, key))
    }

    /// Does what the person at the connect page does. Without an agent it is the first one.
    pub(crate) fn complete_binding(
        &self,
        id: &str,
        agent_id: Option<&str>,
    ) -> Result<BindingCompletion, ControlError> {
        let completed = self.change(|state| {
            let agent_id = agent_id.unwrap_or(&state.first_agent).to_owned();
            state.complete_binding(id, &agent_id)
        });
        // The code may be the first to expire.
        self.timer.notify_one();
        completed
    }

    /// Expires a binding ahead of its time.
    pub(crate) fn expire_binding(&self, id: &str) -> Result<BindingRequest, ControlError> {
        self.change(|state| {
            let status = state.shown_binding(&self.origin, id)?.status;
            if !matches!(status, BindingStatus::Pending | BindingStatus::Completed) {
                return Err(ControlError::conflict(format!("the binding is {}", status.as_str())));
            }
            state.expire_binding(id);
            state.shown_binding(&self.origin, id)
        })
    }
}

fn connect_url(origin: &str, id: &str) -> String {
    format!("{origin}/connect/?binding_id={id}")
}

fn no_such_binding() -> ControlError {
    ControlError::not_found("there is no such binding")
}

/// An agent that may not act may not be connected either.
fn usable(agent: &Agent) -> Result<(), Failure> {
    match agent {
        agent if agent.inactive => Err(Failure::AGENT_INACTIVE),
        agent if agent.user_suspended => Err(Failure::AGENT_USER_SUSPENDED),
        _ => Ok(()),
    }
}

fn text(body: &Map<String, Value>, field: &str) -> Option<String> {
    body.get(field).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn later(now: Timestamp, seconds: f64) -> Timestamp {
    let span = SignedDuration::try_from_secs_f64(seconds).unwrap_or(SignedDuration::from_secs(60));
    now.checked_add(span).unwrap_or(now)
}
