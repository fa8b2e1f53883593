//! Calls of MCP servers, over streamable HTTP: the token is attached, a session is kept for each server.
//!
//! Results are handed on as the server wrote them. Every language has its own types for them, and what a
//! newer server says beyond those is not lost on the way.

mod session;
mod wire;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

use crate::agent::mcp_token::{Held, TokenCache};
use crate::api::Api;
use crate::log;
use crate::process::PerProcess;
use crate::runtime::WeakRuntime;
use crate::transport::Transport;
use crate::transport::http::{HttpTransport, Kind};
use crate::{Error, ErrorKind, Result};
use session::Failure;
pub(crate) use session::Server;
use wire::Wire;

/// Pages of one list that are asked for; a server that always has another one is not asked for ever.
const MOST_PAGES: usize = 1000;

/// How long the end of a client may wait for its servers to be told.
const GOODBYE: Duration = Duration::from_secs(2);

/// What to ask an MCP server for, or to tell it.
///
/// ```
/// use lime_core::McpCall;
///
/// let list = McpCall::list_tools();
/// let arguments = serde_json::json!({"text": "hello"}).as_object().cloned();
/// let call = McpCall::call_tool("echo", arguments);
/// ```
#[derive(Clone, PartialEq)]
pub struct McpCall {
    method: String,
    params: Map<String, Value>,
    shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Answered with a result.
    Request,
    /// Answered with a page of what is in this member.
    Pages(&'static str),
    /// Not answered.
    Notification,
    /// Asked and answered when the session began.
    Capabilities,
}

impl McpCall {
    /// A call by its method in the protocol: of a list, all of its pages; of `initialize`, what the server said
    /// of its capabilities when the session began; a notification (`notifications/…`) gives `{}`.
    pub fn new(method: impl Into<String>, params: Map<String, Value>) -> Self {
        let method = method.into();
        let shape = match method.as_str() {
            "tools/list" => Shape::Pages("tools"),
            "resources/list" => Shape::Pages("resources"),
            "resources/templates/list" => Shape::Pages("resourceTemplates"),
            "prompts/list" => Shape::Pages("prompts"),
            "initialize" => Shape::Capabilities,
            other if other.starts_with("notifications/") => Shape::Notification,
            _ => Shape::Request,
        };
        Self { method, params, shape }
    }

    /// Of a list, the one page that `cursor` in the parameters names, or the first; else as [`new`](Self::new).
    #[must_use]
    pub fn one_page(mut self) -> Self {
        if let Shape::Pages(_) = self.shape {
            self.shape = Shape::Request;
        }
        self
    }

    fn plain(method: &str) -> Self {
        Self::new(method, Map::new())
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.params.insert(name.to_owned(), value.into());
        self
    }

    /// The tools of the server: `{"tools": […]}`.
    pub fn list_tools() -> Self {
        Self::plain("tools/list")
    }

    /// Calls a tool: `{"content": […], "structuredContent"?, "isError"?}`. That the tool failed is a result, too.
    pub fn call_tool(name: impl Into<String>, arguments: Option<Map<String, Value>>) -> Self {
        Self::plain("tools/call").with("name", name.into()).with("arguments", arguments.unwrap_or_default())
    }

    /// The resources of the server: `{"resources": […]}`.
    pub fn list_resources() -> Self {
        Self::plain("resources/list")
    }

    /// The templates of resources: `{"resourceTemplates": […]}`.
    pub fn list_resource_templates() -> Self {
        Self::plain("resources/templates/list")
    }

    /// Reads a resource: `{"contents": […]}`.
    pub fn read_resource(uri: impl Into<String>) -> Self {
        Self::plain("resources/read").with("uri", uri.into())
    }

    /// The prompts of the server: `{"prompts": […]}`.
    pub fn list_prompts() -> Self {
        Self::plain("prompts/list")
    }

    /// Fills in a prompt: `{"description"?, "messages": […]}`.
    pub fn get_prompt(name: impl Into<String>, arguments: Option<Map<String, Value>>) -> Self {
        Self::plain("prompts/get").with("name", name.into()).with("arguments", arguments.unwrap_or_default())
    }

    /// Whether the server is there: `{}`.
    pub fn ping() -> Self {
        Self::plain("ping")
    }

    /// From which level on the server is to send log records: `{}`.
    pub fn set_logging_level(level: impl Into<String>) -> Self {
        Self::plain("logging/setLevel").with("level", level.into())
    }

    /// What the server can do, as it said when the session began: `{"tools"?: {…}, …}`.
    pub fn server_capabilities() -> Self {
        Self::plain("initialize")
    }

    /// Tells the server how far something has come that it asked for: `{}`.
    pub fn progress(token: impl Into<Value>, progress: f64, total: Option<f64>) -> Self {
        let call = Self::plain("notifications/progress")
            .with("progressToken", token)
            .with("progress", number(progress));
        match total {
            Some(total) => call.with("total", number(total)),
            None => call,
        }
    }

    /// Whether asking twice may act twice.
    fn acts(&self) -> bool {
        self.method == "tools/call"
    }
}

/// Whole numbers as such: not every server takes `1.0` for one.
fn number(value: f64) -> Value {
    #[allow(clippy::cast_possible_truncation)] // whole and small
    if value.fract() == 0.0 && value.abs() < 9e15 { json!(value as i64) } else { json!(value) }
}

/// Arguments may be anything, also secrets.
impl fmt::Debug for McpCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpCall").field("method", &self.method).finish_non_exhaustive()
    }
}

/// What an MCP server answered: a JSON object, as it wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpResult(String);

impl McpResult {
    /// The object as JSON text.
    pub fn json(&self) -> &str {
        &self.0
    }

    /// The object as JSON text.
    pub fn into_json(self) -> String {
        self.0
    }

    /// The object.
    ///
    /// # Errors
    /// [`ErrorKind::BadResponse`] when it nests too deeply to be read.
    pub fn object(&self) -> Result<Map<String, Value>> {
        serde_json::from_str(&self.0)
            .map_err(|_| Error::new(ErrorKind::BadResponse, "The MCP server's result cannot be read"))
    }
}

/// How MCP servers are talked to.
pub(crate) struct Settings {
    pub(crate) read_timeout: Duration,
    pub(crate) one_at_a_time: bool,
    pub(crate) addresses: Vec<(String, IpAddr)>,
}

/// The MCP servers of one agent. A forked child begins sessions of its own.
pub(crate) struct Servers {
    settings: Settings,
    by_url: PerProcess<Mutex<HashMap<String, Arc<Server>>>>,
    /// Where addresses are given in place of names: clients of its own, without TLS and with it, since those of
    /// the process are shared.
    own_clients: PerProcess<[OnceCell<HttpTransport>; 2]>,
}

/// A call on its way.
pub(crate) struct Context<'a> {
    pub(crate) api: &'a Api,
    pub(crate) tokens: &'a TokenCache,
    pub(crate) runtime: &'a WeakRuntime,
}

impl Servers {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, by_url: PerProcess::default(), own_clients: PerProcess::default() }
    }

    /// Makes the call; `url` and `domain` are what its target means.
    pub(crate) async fn call(
        &self,
        context: &Context<'_>,
        url: String,
        domain: String,
        call: McpCall,
    ) -> Result<McpResult> {
        let server = self.server(context, url, domain);
        let _turn = if self.settings.one_at_a_time { Some(server.turn.lock().await) } else { None };
        let Shape::Pages(member) = call.shape else { return self.answered(context, &server, &call).await };
        self.all_pages(context, &server, call, member).await
    }

    async fn all_pages(
        &self,
        context: &Context<'_>,
        server: &Server,
        mut call: McpCall,
        member: &str,
    ) -> Result<McpResult> {
        #[derive(Deserialize)]
        struct Page {
            #[serde(default, rename = "nextCursor")]
            next: Option<String>,
        }
        let next =
            |result: &McpResult| serde_json::from_str::<Page>(result.json()).ok().and_then(|page| page.next);
        let first = self.answered(context, server, &call).await?;
        let Some(mut cursor) = next(&first) else { return Ok(first) };
        let mut whole = first.object()?;
        for _ in 1..MOST_PAGES {
            call.params.insert("cursor".to_owned(), cursor.into());
            let page = self.answered(context, server, &call).await?;
            let more = page.object()?.remove(member);
            if let (Some(Value::Array(items)), Some(Value::Array(more))) = (whole.get_mut(member), more) {
                items.extend(more);
            }
            let Some(found) = next(&page) else {
                whole.remove("nextCursor");
                return Ok(McpResult(Value::Object(whole).to_string()));
            };
            cursor = found;
        }
        Err(Error::new(
            ErrorKind::BadResponse,
            format!("The MCP server's list has no end after {MOST_PAGES} pages"),
        ))
    }

    /// One question and its answer. A token that the server refuses is replaced once, and a session that it
    /// does not know (any more) begun anew once.
    async fn answered(&self, context: &Context<'_>, server: &Server, call: &McpCall) -> Result<McpResult> {
        let Context { api, tokens, runtime } = context;
        let (mut replaced, mut renewed) = (false, false);
        let mut token = tokens.get(api, runtime, &server.domain).await?;
        loop {
            match self.attempt(context, server, &token, call).await {
                Ok(result) => return Ok(result),
                Err(Failure::Unauthorized) if !replaced => {
                    log::info!(
                        api.logger,
                        "The MCP server {} refuses the token; getting another one",
                        server.domain
                    );
                    replaced = true;
                    token = tokens.replace(api, runtime, &server.domain, &token).await?;
                }
                Err(Failure::Unauthorized) => {
                    return Err(Error::new(
                        ErrorKind::McpAuthentication,
                        "MCP access token rejected by resource server",
                    )
                    .with_code("MCP_AUTH_FAILED")
                    .with_http_status(401));
                }
                Err(Failure::NoSession(session)) if !renewed => {
                    renewed = true;
                    server.forget(&session);
                }
                Err(Failure::NoSession(_)) => {
                    let message = "The MCP server does not know the session that it has just begun";
                    return Err(Error::new(ErrorKind::BadResponse, message).with_http_status(404));
                }
                Err(Failure::Final(error)) => return Err(error),
            }
        }
    }

    async fn attempt(
        &self,
        context: &Context<'_>,
        server: &Server,
        token: &Held,
        call: &McpCall,
    ) -> Result<McpResult, Failure> {
        let wire = self.wire(context, server).await?;
        let session = server.session(&wire, token).await?;
        match call.shape {
            Shape::Capabilities => Ok(McpResult(session.capabilities().to_owned())),
            Shape::Notification => {
                session.notify(&wire, token, &call.method, &call.params).await?;
                Ok(McpResult("{}".to_owned()))
            }
            Shape::Request | Shape::Pages(_) => session
                .request(&wire, token, context.runtime, &call.method, &call.params, call.acts())
                .await
                .map(McpResult),
        }
    }

    fn server(&self, context: &Context<'_>, url: String, domain: String) -> Arc<Server> {
        let servers = self.by_url.get();
        let mut servers = servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = servers.get(&url) {
            return Arc::clone(server);
        }
        let local =
            self.settings.addresses.iter().any(|(name, address)| *name == domain && address.is_loopback());
        if !is_encrypted(&url) && !local {
            log::warning!(
                context.api.logger,
                "The MCP server {domain} is talked to without TLS: its token can be read on the way"
            );
        }
        let server = Arc::new(Server::new(url.clone(), domain));
        servers.insert(url, Arc::clone(&server));
        server
    }

    async fn wire(&self, context: &Context<'_>, server: &Server) -> Result<Wire> {
        let transport: Arc<dyn Transport> = if let Some(transport) = &context.api.transport {
            Arc::clone(transport)
        } else {
            // As the published package: no proxy of the environment sees these tokens.
            let kind = Kind { proxies: false, tls: is_encrypted(&server.url) };
            let client = if self.settings.addresses.is_empty() {
                context.runtime.http(kind).await
            } else {
                let make = || future::ready(HttpTransport::with_addresses(kind, &self.settings.addresses));
                self.own_clients.get()[usize::from(kind.tls)].get_or_try_init(make).await.cloned()
            };
            Arc::new(client.map_err(|message| Error::new(ErrorKind::Transport, message))?)
        };
        Ok(Wire {
            transport,
            read_timeout: self.settings.read_timeout,
            logger: context.api.logger.clone(),
            clock: Arc::clone(&context.api.clock),
        })
    }

    /// The servers with a session, which are forgotten.
    pub(crate) fn leave(&self) -> Vec<Arc<Server>> {
        let servers = self.by_url.get();
        let mut servers = servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.drain().map(|(_, server)| server).filter(|server| server.has_session()).collect()
    }

    /// Tells these servers that their sessions are over, and gives up on those that take long to hear it.
    pub(crate) async fn say_goodbye(&self, context: &Context<'_>, left: Vec<Arc<Server>>) {
        let each = left.iter().map(|server| async move {
            if let Some(token) = context.tokens.held(&server.domain)
                && let Ok(wire) = self.wire(context, server).await
            {
                server.end(&wire, &token).await;
            }
        });
        let _ = tokio::time::timeout(GOODBYE, future::join_all(each)).await;
    }
}

fn is_encrypted(url: &str) -> bool {
    url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
}
