//! Login requests: PENDING → APPROVED → DELIVERED, or PENDING → EXPIRED.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::envelope::Failure;
use crate::error::ControlError;
use crate::events::EventKind;
use crate::ids;
use crate::keys::SigningKey;
use crate::passport::{self, Passport};
use crate::pow;
use crate::settings::DateForm;
use crate::state::{Agent, Core, IdempotencyKey, State};

/// How long an approve answer waits for the event to reach an open stream. It takes
/// microseconds unless the site has stopped reading.
const DELIVERY_PATIENCE: Duration = Duration::from_millis(500);

/// Where a login request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LoginStatus {
    /// Waits for an agent.
    Pending,
    /// An agent has approved; the site has not been told yet.
    Approved,
    /// The `approved` event went out to the site.
    Delivered,
    /// Nobody approved in time.
    Expired,
}

impl LoginStatus {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Approved => "APPROVED",
            Self::Delivered => "DELIVERED",
            Self::Expired => "EXPIRED",
        }
    }
}

/// A login request as the control API shows it: everything but the passport.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginRequest {
    /// Its id.
    pub login_request_id: String,
    /// The site that made it.
    pub site_id: String,
    /// Where it stands.
    pub status: LoginStatus,
    /// When it was made, ISO 8601 by the sandbox's clock.
    pub created_at: String,
    /// When it expires, ISO 8601.
    pub expires_at: String,
    /// What the agent has to solve.
    pub pow_challenge: String,
    /// How many leading zero bits that takes.
    pub pow_difficulty: i64,
    /// Who approved it.
    pub approved_agent_id: Option<String>,
    /// Approve calls that came with a wrong proof of work.
    pub failed_proofs: u64,
}

/// A login request.
pub(crate) struct Login {
    pub(crate) id: String,
    pub(crate) site_id: String,
    pub(crate) status: LoginStatus,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) challenge: String,
    pub(crate) difficulty: i64,
    pub(crate) approved_by: Option<String>,
    pub(crate) passport: Option<Passport>,
    pub(crate) failed_proofs: u64,
}

impl State {
    /// A date in the form that the settings ask for. Six digits of fraction, because Python
    /// before 3.11 reads only three or six.
    pub(crate) fn date(&self, time: Timestamp) -> String {
        match self.settings.date_form {
            DateForm::Z => format!("{time:.6}"),
            DateForm::Offset => format!("{time:.6}").replace('Z', "+00:00"),
        }
    }

    pub(crate) fn show(&self, login: &Login) -> LoginRequest {
        LoginRequest {
            login_request_id: login.id.clone(),
            site_id: login.site_id.clone(),
            status: login.status,
            created_at: self.date(login.created_at),
            expires_at: self.date(login.expires_at),
            pow_challenge: login.challenge.clone(),
            pow_difficulty: login.difficulty,
            approved_agent_id: login.approved_by.clone(),
            failed_proofs: login.failed_proofs,
        }
    }

    /// All requests, oldest first.
    pub(crate) fn show_all(&self) -> Vec<LoginRequest> {
        self.login_order.iter().filter_map(|id| self.logins.get(id)).map(|login| self.show(login)).collect()
    }

    /// Makes a request; with a known key the stored answer comes again.
    pub(crate) fn create_login(&mut self, site_id: &str, key: Option<String>) -> Value {
        let key = key
            .filter(|_| self.settings.idempotency)
            .map(|key| IdempotencyKey::Create { site_id: site_id.to_owned(), key });
        if let Some(stored) = key.as_ref().and_then(|key| self.idempotent.get(key)) {
            return stored.clone();
        }
        let now = self.clock.now();
        let ttl = SignedDuration::try_from_secs_f64(self.settings.request_ttl_seconds)
            .unwrap_or(SignedDuration::from_secs(300));
        let login = Login {
            id: ids::uuid(),
            site_id: site_id.to_owned(),
            status: LoginStatus::Pending,
            created_at: now,
            expires_at: now.checked_add(ttl).unwrap_or(now),
            challenge: ids::hex(&ids::random::<32>()),
            difficulty: self.settings.pow_difficulty,
            approved_by: None,
            passport: None,
            failed_proofs: 0,
        };
        let answer = json!({
            "login_request_id": login.id,
            "status": login.status,
            "expires_at": self.date(login.expires_at),
        });
        self.pending.insert((login.expires_at, login.id.clone()));
        self.login_order.push(login.id.clone());
        self.logins.insert(login.id.clone(), login);
        if let Some(key) = key {
            self.idempotent.insert(key, answer.clone());
        }
        answer
    }

    /// What the site sees of its own request.
    pub(crate) fn read_login(&self, site_id: &str, id: &str) -> Result<Value, Failure> {
        let login =
            self.logins.get(id).filter(|login| login.site_id == site_id).ok_or(Failure::REQUEST_NOT_FOUND)?;
        let mut data = json!({
            "login_request_id": login.id,
            "site_id": login.site_id,
            "status": login.status,
            "created_at": self.date(login.created_at),
            "expires_at": self.date(login.expires_at),
        });
        if let Some(agent) = &login.approved_by {
            data["approved_agent_id"] = agent.as_str().into();
        }
        Ok(data)
    }

    /// What everybody sees of an open request.
    pub(crate) fn challenge(&self, id: &str) -> Result<Value, Failure> {
        let login = self
            .logins
            .get(id)
            .filter(|login| login.status == LoginStatus::Pending)
            .ok_or(Failure::REQUEST_NOT_FOUND)?;
        Ok(json!({
            "request_id": login.id,
            "status": login.status,
            "pow_challenge": login.challenge,
            "pow_difficulty": login.difficulty,
            "expires_at": self.date(login.expires_at),
        }))
    }

    fn approval(&self, login: &Login) -> Value {
        json!({
            "request_id": login.id,
            "site_id": login.site_id,
            "status": login.status,
            "expires_at": self.date(login.expires_at),
            "approved_agent_id": login.approved_by,
        })
    }

    /// Marks a pending request approved by `agent`, mints its passport and queues the event.
    fn approve(&mut self, key: &SigningKey, origin: &str, agent: &Agent, id: &str) -> Result<u64, Failure> {
        let login = self.logins.get_mut(id).ok_or(Failure::REQUEST_NOT_FOUND)?;
        let now = self.clock.passport_now();
        let passport = passport::mint(key, &self.settings, origin, now, agent, id, &login.site_id)
            .ok_or(Failure::INTERNAL)?;
        login.status = LoginStatus::Approved;
        login.approved_by = Some(agent.agent_id.clone());
        login.passport = Some(passport);
        let site_id = login.site_id.clone();
        self.pending.remove(&(login.expires_at, login.id.clone()));
        Ok(self.publish(&site_id, EventKind::Approved, id))
    }

    /// Expires a pending request and queues the event.
    fn expire(&mut self, id: &str) {
        let Some(login) = self.logins.get_mut(id) else {
            return;
        };
        login.status = LoginStatus::Expired;
        let site_id = login.site_id.clone();
        self.pending.remove(&(login.expires_at, login.id.clone()));
        self.publish(&site_id, EventKind::Expired, id);
    }

    /// Expires what is due. Returns whether anything was.
    pub(crate) fn expire_due(&mut self) -> bool {
        if self.pending.is_empty() {
            return false;
        }
        let now = self.clock.now();
        let mut any = false;
        while let Some((expires_at, id)) = self.pending.first() {
            if *expires_at > now {
                break;
            }
            let id = id.clone();
            self.expire(&id);
            any = true;
        }
        any
    }

    /// Real time until the next expiry; nothing while there is none to come by itself.
    pub(crate) fn until_next_expiry(&self) -> Option<Duration> {
        self.until(self.pending.first()?.0)
    }
}

impl Core {
    /// An agent's approve call, from the token to the answer's data.
    pub(crate) async fn approve_login(
        &self,
        token: Option<&str>,
        id: &str,
        body: &[u8],
        key: Option<String>,
    ) -> Result<Value, Failure> {
        let signing_key = self.keys.current().await;
        let step = self.change(|state| {
            let agent = state.authenticate_agent(token)?.clone();
            let key = key.filter(|_| state.settings.idempotency).map(|key| IdempotencyKey::Approve {
                agent_id: agent.agent_id.clone(),
                request_id: id.to_owned(),
                key,
            });
            if let Some(stored) = key.as_ref().and_then(|key| state.idempotent.get(key)) {
                return Ok(Step::Stored(stored.clone()));
            }
            let digest = state.settings.pow_digest;
            let login = state.logins.get_mut(id).ok_or(Failure::REQUEST_NOT_FOUND)?;
            match login.status {
                LoginStatus::Pending => {}
                LoginStatus::Approved => return Err(Failure::CONFLICT),
                LoginStatus::Delivered | LoginStatus::Expired => {
                    return Err(Failure::REQUEST_NOT_FOUND);
                }
            }
            let nonce = pow_nonce(body)?;
            if !nonce
                .as_deref()
                .is_some_and(|nonce| pow::is_solved(digest, &login.challenge, nonce, login.difficulty))
            {
                login.failed_proofs += 1;
                return Err(Failure::INVALID_POW);
            }
            let event = state.approve(&signing_key, &self.origin, &agent, id)?;
            if let (Some(key), Some(login)) = (&key, state.logins.get(id)) {
                // Stored at once, with the state it has by now, so that a retry that overtakes
                // this answer is a replay and not a conflict.
                let answer = state.approval(login);
                state.idempotent.insert(key.clone(), answer);
            }
            Ok(Step::Approved { event, key })
        })?;
        let (event, key) = match step {
            Step::Stored(answer) => return Ok(answer),
            Step::Approved { event, key } => (event, key),
        };
        self.settle(event).await;
        self.change(|state| {
            let login = state.logins.get(id).ok_or(Failure::REQUEST_NOT_FOUND)?;
            let answer = state.approval(login);
            if let Some(key) = key {
                state.idempotent.insert(key, answer.clone());
            }
            Ok(answer)
        })
    }

    /// Waits until an event has reached a stream, or is on its way to none.
    pub(crate) async fn settle(&self, event: u64) {
        self.wait_for(DELIVERY_PATIENCE, |state| {
            let settled = !state.undelivered.contains_key(&event) || !state.is_on_its_way(event);
            settled.then_some(())
        })
        .await;
    }

    /// Approves without a proof of work. The passport is minted; the event is queued.
    pub(crate) fn force_approve(
        &self,
        signing_key: &SigningKey,
        id: &str,
        agent_id: Option<&str>,
    ) -> Result<u64, ControlError> {
        self.change(|state| {
            let agent_id = agent_id.unwrap_or(&state.first_agent);
            let agent = state
                .agents
                .get(agent_id)
                .ok_or_else(|| ControlError::not_found("there is no such agent"))?
                .clone();
            state.require_pending(id)?;
            state
                .approve(signing_key, &self.origin, &agent, id)
                .map_err(|failure| ControlError::conflict(failure.message))
        })
    }

    /// Expires a pending request ahead of its time.
    pub(crate) fn force_expire(&self, id: &str) -> Result<LoginRequest, ControlError> {
        self.change(|state| {
            state.require_pending(id)?;
            state.expire(id);
            state.shown(id)
        })
    }
}

impl State {
    fn require_pending(&self, id: &str) -> Result<(), ControlError> {
        match self.shown(id)?.status {
            LoginStatus::Pending => Ok(()),
            status => {
                Err(ControlError::conflict(format!("the login request is {}, not PENDING", status.as_str())))
            }
        }
    }

    /// One request as the control API shows it.
    pub(crate) fn shown(&self, id: &str) -> Result<LoginRequest, ControlError> {
        self.logins
            .get(id)
            .map(|login| self.show(login))
            .ok_or_else(|| ControlError::not_found("there is no such login request"))
    }
}

enum Step {
    Stored(Value),
    Approved { event: u64, key: Option<IdempotencyKey> },
}

/// The nonce in an approve body: missing is one failure, not a string (`None`) another.
fn pow_nonce(body: &[u8]) -> Result<Option<String>, Failure> {
    let body = json_object(body)?;
    match body.get("pow_nonce") {
        None | Some(Value::Null) => Err(Failure::MISSING_POW_NONCE),
        Some(Value::String(nonce)) if nonce.is_empty() => Err(Failure::MISSING_POW_NONCE),
        Some(Value::String(nonce)) => Ok(Some(nonce.clone())),
        Some(_) => Ok(None),
    }
}

/// A body that must be a JSON object; an empty one counts as `{}`.
pub(crate) fn json_object(body: &[u8]) -> Result<Map<String, Value>, Failure> {
    if body.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_slice(body).map_err(|_| Failure::INVALID_JSON)
}
