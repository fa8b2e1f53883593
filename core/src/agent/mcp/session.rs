//! A session with one MCP server: begun by the first call, kept for the next ones.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderValue, Method};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::wire::{Address, Answer, Body, Lost, Message, NoMessage, RpcError, Wire};
use crate::agent::mcp_token::Held;
use crate::runtime::WeakRuntime;
use crate::{Error, ErrorKind, Result, log};

/// The protocol that is asked for; the server may answer with an older one.
const VERSION: &str = "2025-11-25";
const VERSIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", VERSION];

/// Times that the answer to one question is asked for again after the stream with it has ended.
const MOST_RESUMPTIONS: u32 = 5;

/// Why a question has no answer.
pub(super) enum Failure {
    /// The server refuses the token.
    Unauthorized,
    /// The server does not know the session (any more): it has done nothing.
    NoSession(Arc<Session>),
    /// Asking again would not help, or might act twice.
    Final(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

/// A server, by its URL.
pub(crate) struct Server {
    pub(super) url: String,
    /// The host name that its tokens are for.
    pub(super) domain: String,
    /// Held over a call where calls are to be made one after the other.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// Held while a session begins: one does at a time, the others wait for it.
    beginning: tokio::sync::Mutex<()>,
    session: Mutex<Option<Arc<Session>>>,
}

impl Server {
    pub(super) fn new(url: String, domain: String) -> Self {
        Self {
            url,
            domain,
            turn: tokio::sync::Mutex::default(),
            beginning: tokio::sync::Mutex::default(),
            session: Mutex::default(),
        }
    }

    pub(super) fn has_session(&self) -> bool {
        self.held().is_some()
    }

    /// The session, begun if there is none.
    pub(super) async fn session(&self, wire: &Wire, token: &Held) -> Result<Arc<Session>, Failure> {
        if let Some(session) = self.held() {
            return Ok(session);
        }
        let _turn = self.beginning.lock().await;
        if let Some(session) = self.held() {
            return Ok(session);
        }
        let session = Arc::new(Session::begin(&self.url, wire, token).await?);
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Lets the next call begin a session, unless another one has done so in the meantime.
    pub(super) fn forget(&self, old: &Arc<Session>) {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if session.as_ref().is_some_and(|held| Arc::ptr_eq(held, old)) {
            *session = None;
        }
    }

    /// Tells the server that the session is over. Whether it listens is its own affair.
    pub(super) async fn end(&self, wire: &Wire, token: &Held) {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(session) = session
            && session.id.is_some()
        {
            let _ = wire.send(Method::DELETE, &session.address(token), None).await;
        }
    }

    fn held(&self) -> Option<Arc<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A session that has begun.
pub(super) struct Session {
    url: String,
    /// A server that keeps none gives none.
    id: Option<HeaderValue>,
    version: HeaderValue,
    capabilities: String,
    next_id: AtomicI64,
}

/// What is sent.
#[derive(Serialize)]
struct Outgoing<'a, P> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i64>,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<P>,
}

fn text<P: Serialize>(id: Option<i64>, method: &str, params: Option<P>) -> Result<String> {
    serde_json::to_string(&Outgoing { jsonrpc: "2.0", id, method, params })
        .map_err(|error| Error::internal(format!("A message cannot be written: {error}")))
}

/// What a server says when a session begins.
#[derive(Deserialize)]
struct Initialized<'a> {
    #[serde(rename = "protocolVersion")]
    version: String,
    #[serde(borrow, default)]
    capabilities: Option<&'a RawValue>,
}

impl Session {
    async fn begin(url: &str, wire: &Wire, token: &Held) -> Result<Self, Failure> {
        let params = json!({
            "protocolVersion": VERSION,
            "capabilities": {},
            "clientInfo": {"name": "lime", "version": crate::VERSION},
        });
        let address = Address { url, token, session: None, version: None };
        let question = Question { wire, address, id: 0, acts: false, session: None };
        let (result, id) = question.answer(text(Some(0), "initialize", Some(&params))?).await?;
        let bad = |message: String| Error::new(ErrorKind::BadResponse, message);
        let said: Initialized<'_> = serde_json::from_str(&result)
            .map_err(|_| bad("The MCP server's answer to initialize is none".to_owned()))?;
        if !VERSIONS.contains(&said.version.as_str()) {
            return Err(
                bad(format!("Unsupported protocol version from the MCP server: {}", said.version)).into()
            );
        }
        // They are handed on as a result, which is an object.
        let capabilities = said.capabilities.map_or("{}", RawValue::get);
        if !capabilities.starts_with('{') {
            return Err(bad("The MCP server's capabilities are no object".to_owned()).into());
        }
        let session = Self {
            url: url.to_owned(),
            id,
            version: HeaderValue::from_str(&said.version)
                .map_err(|_| bad("No protocol version".to_owned()))?,
            capabilities: capabilities.to_owned(),
            next_id: AtomicI64::new(1),
        };
        session.tell(wire, token, text(None, "notifications/initialized", None::<()>)?).await?;
        Ok(session)
    }

    pub(super) fn capabilities(&self) -> &str {
        &self.capabilities
    }

    fn address<'a>(&'a self, token: &'a Held) -> Address<'a> {
        Address { url: &self.url, token, session: self.id.as_ref(), version: Some(&self.version) }
    }

    /// Asks, and gives the result as JSON text.
    pub(super) async fn request(
        self: &Arc<Self>,
        wire: &Wire,
        token: &Held,
        runtime: &WeakRuntime,
        method: &str,
        params: &Map<String, Value>,
        acts: bool,
    ) -> Result<String, Failure> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let message = text(Some(id), method, (!params.is_empty()).then_some(params))?;
        let mut abandoned = Abandoned { runtime, wire, session: self, token, id: Some(id) };
        let question = Question { wire, address: self.address(token), id, acts, session: Some(self) };
        let answer = question.answer(message).await;
        abandoned.id = None;
        answer.map(|(result, _)| result)
    }

    /// Tells the server something that it does not answer.
    pub(super) async fn notify(
        self: &Arc<Self>,
        wire: &Wire,
        token: &Held,
        method: &str,
        params: &Map<String, Value>,
    ) -> Result<(), Failure> {
        let message = text(None, method, (!params.is_empty()).then_some(params))?;
        match self.tell(wire, token, message).await {
            Err(Failure::Final(error)) if error.http_status() == Some(404) && self.id.is_some() => {
                Err(Failure::NoSession(Arc::clone(self)))
            }
            told => told,
        }
    }

    async fn tell(&self, wire: &Wire, token: &Held, message: String) -> Result<(), Failure> {
        match wire.send(Method::POST, &self.address(token), Some(message)).await.map_err(|lost| lost.error)? {
            Answer::Unauthorized => Err(Failure::Unauthorized),
            Answer::Refused(error) => Err(error.into()),
            Answer::Accepted | Answer::Json(..) | Answer::Stream(..) => Ok(()),
        }
    }
}

/// A question that is on its way. When it is given up, the server is told that nobody waits for the answer:
/// to it, a connection that ends means nothing.
struct Abandoned<'a> {
    runtime: &'a WeakRuntime,
    wire: &'a Wire,
    session: &'a Arc<Session>,
    token: &'a Held,
    /// None once it is answered.
    id: Option<i64>,
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let Some(runtime) = self.runtime.upgrade() else { return };
        let params = json!({"requestId": id, "reason": "The caller has given the call up"});
        let Ok(message) = text(None, "notifications/cancelled", Some(&params)) else { return };
        let (wire, session, token) = (self.wire.clone(), Arc::clone(self.session), self.token.clone());
        runtime.spawn(async move {
            let telling = session.tell(&wire, &token, message);
            let _ = tokio::time::timeout(super::GOODBYE, telling).await;
        });
    }
}

/// One question, with what is needed to understand its answer.
struct Question<'a> {
    wire: &'a Wire,
    address: Address<'a>,
    id: i64,
    /// Whether asking twice may act twice.
    acts: bool,
    session: Option<&'a Arc<Session>>,
}

impl Question<'_> {
    /// The result as JSON text, and the session's id where one has begun.
    async fn answer(&self, message: String) -> Result<(String, Option<HeaderValue>), Failure> {
        let answer = self.wire.send(Method::POST, &self.address, Some(message)).await;
        match answer.map_err(|lost| self.lost(lost))? {
            Answer::Unauthorized => Err(Failure::Unauthorized),
            Answer::Refused(error) => match self.session {
                Some(session) if error.http_status() == Some(404) && session.id.is_some() => {
                    Err(Failure::NoSession(Arc::clone(session)))
                }
                // Of a proxy, which does not know what came of it behind it.
                _ => {
                    let open = is_from_a_proxy(&error);
                    Err(self.lost(Lost { error, open }).into())
                }
            },
            Answer::Accepted => {
                Err(self.lost(Lost::broken("The MCP server accepted a question and gave no answer")).into())
            }
            Answer::Json(body, id) => {
                let body = body.whole().await.map_err(|error| self.lost(error.into()))?;
                let result = match Message::each(&body, |message| self.meant(&message)) {
                    Ok(Some(result)) => result,
                    Ok(None) => Err(Lost::broken("The MCP server's answer is to another question")),
                    Err(NoMessage) => Err(Lost::broken("The MCP server's answer is no JSON-RPC message")),
                };
                Ok((result.map_err(|lost| self.lost(lost))?, id))
            }
            Answer::Stream(body, id) => Ok((self.streamed(body).await?, id)),
        }
    }

    /// Reads the stream until the answer comes, and goes on reading where it has ended if the server has said
    /// how.
    async fn streamed(&self, mut body: Body) -> Result<String, Failure> {
        let mut resumptions = 0;
        loop {
            let ended = loop {
                match body.messages().await {
                    Ok(Some(messages)) => {
                        for message in messages {
                            if let Some(result) = self.heard(&message).await {
                                tokio::spawn(body.drain());
                                return Ok(result.map_err(|lost| self.lost(lost))?);
                            }
                        }
                    }
                    Ok(None) => break Lost::broken("The MCP server's stream ended before the answer"),
                    Err(error) => break error.into(),
                }
            };
            let resumed = body.last_event_id();
            if resumed.is_empty() || resumptions == MOST_RESUMPTIONS {
                return Err(self.lost(ended).into());
            }
            resumptions += 1;
            log::info!(
                self.wire.logger,
                "The stream of the MCP server has ended; going on behind its last event"
            );
            self.wire.clock.sleep(body.retry()).await;
            match self.wire.resume(&self.address, resumed).await {
                Ok(Answer::Stream(next, _)) => body = next,
                Ok(Answer::Unauthorized) if !self.acts => return Err(Failure::Unauthorized),
                _ => return Err(self.lost(ended).into()),
            }
        }
    }

    /// The result or error if the message has it; else does what the message asks for.
    async fn heard(&self, text: &str) -> Option<Result<String, Lost>> {
        let mut asked = Vec::new();
        let found = Message::each(text.as_bytes(), |message| {
            if let (Some(method), Some(id)) = (&message.method, message.id) {
                asked.push((method.to_string(), id.get().to_owned()));
            }
            self.meant(&message)
        });
        if found.is_err() {
            log::error!(self.wire.logger, "The MCP server sent what is no JSON-RPC message; it is skipped");
        }
        for (method, id) in asked {
            self.wire.reply(&self.address, &method, &id).await;
        }
        found.ok().flatten()
    }

    /// The result or error, if it is for this question.
    fn meant(&self, message: &Message<'_>) -> Option<Result<String, Lost>> {
        if message.method.is_some() {
            return None;
        }
        let mine = message.id.is_some_and(|id| id.get().parse() == Ok(self.id));
        if let Some(error) = &message.error
            && (mine || message.id.is_none())
        {
            return Some(Err(Lost { error: error.to_error(None), open: false }));
        }
        let result = message.result.filter(|_| mine)?;
        Some(if result.get().starts_with('{') {
            Ok(result.get().to_owned())
        } else {
            Err(Lost::broken("The MCP server's result is no object"))
        })
    }

    /// The error of a question whose answer got lost.
    fn lost(&self, lost: Lost) -> Error {
        if !(lost.open && self.acts) {
            return lost.error;
        }
        let message =
            format!("The tool was called, but what came of it is not known: {}", lost.error.message());
        let error = Error::new(ErrorKind::OutcomeUnknown, message)
            .with_code(lost.error.code().unwrap_or("OUTCOME_UNKNOWN"));
        match lost.error.http_status() {
            Some(status) => error.with_http_status(status),
            None => error,
        }
    }
}

/// Whether an answer says that something broke and nothing of what it was: no JSON-RPC error is in it.
fn is_from_a_proxy(error: &Error) -> bool {
    matches!(error.http_status(), Some(500 | 502 | 504))
        && error.code().is_some_and(|code| code.starts_with("HTTP_"))
}

impl RpcError {
    /// The error that a server reports, in an answer with this HTTP status if that says something.
    pub(super) fn to_error(&self, http_status: Option<u16>) -> Error {
        let mut detail = Map::new();
        detail.insert("code".to_owned(), self.code.into());
        if let Some(data) = &self.data {
            detail.insert("data".to_owned(), data.clone());
        }
        let error = Error::new(ErrorKind::Mcp, self.message.clone())
            .with_code(self.code.to_string())
            .with_detail(Some(detail));
        match http_status {
            Some(status) => error.with_http_status(status),
            None => error,
        }
    }
}
