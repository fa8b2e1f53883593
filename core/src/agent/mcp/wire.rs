//! JSON-RPC messages over streamable HTTP: a message goes out as a POST, what comes back is one message or a
//! stream of events with messages in them.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::agent::mcp_token::Held;
use crate::api::{failed, refuse_redirect};
use crate::clock::Clock;
use crate::log::{self, Logger};
use crate::site::sse;
use crate::transport::{Reach, Request, Transport, TransportError};
use crate::{Error, ErrorKind, Result, retry};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const EITHER: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The most that one message may have, in bytes: pictures and files come in them.
const MESSAGE_LIMIT: usize = 64 << 20;
/// The most of the body of a refusal that is looked at.
const REFUSAL_LIMIT: usize = 64 << 10;
/// How long a server may take to end a stream behind the answer.
const DRAIN: Duration = Duration::from_secs(5);
/// The wait before a stream is resumed, where the server does not say.
const RESUME_AFTER: Duration = Duration::from_secs(1);
/// The longest that a server may ask to wait.
const LONGEST_RESUME: Duration = Duration::from_secs(60);

/// The way to the servers.
#[derive(Clone)]
pub(super) struct Wire {
    pub(super) transport: Arc<dyn Transport>,
    /// Bounds the time to an answer's head, and between two pieces of its body.
    pub(super) read_timeout: Duration,
    pub(super) logger: Logger,
    pub(super) clock: Arc<dyn Clock>,
}

/// Whom a message goes to, and in which session.
pub(super) struct Address<'a> {
    pub(super) url: &'a str,
    pub(super) token: &'a Held,
    pub(super) session: Option<&'a HeaderValue>,
    pub(super) version: Option<&'a HeaderValue>,
}

/// No answer.
pub(super) struct Lost {
    pub(super) error: Error,
    /// Whether what was asked for may have been done.
    pub(super) open: bool,
}

impl Lost {
    pub(super) fn broken(message: &str) -> Self {
        Self { error: Error::new(ErrorKind::BadResponse, message), open: true }
    }
}

impl From<TransportError> for Lost {
    fn from(error: TransportError) -> Self {
        let open = matches!(error.reach, Reach::MaybeSent | Reach::TooLarge);
        Self { error: failed(error), open }
    }
}

/// What came back.
pub(super) enum Answer {
    /// Nothing that would have to be read.
    Accepted,
    Json(Body, Option<HeaderValue>),
    Stream(Body, Option<HeaderValue>),
    /// HTTP 401.
    Unauthorized,
    /// Any other status that is no success.
    Refused(Error),
}

impl Wire {
    /// Sends a message, or without one what the method says.
    pub(super) async fn send(
        &self,
        method: Method,
        address: &Address<'_>,
        message: Option<String>,
    ) -> Result<Answer, Lost> {
        let mut request = self.request(method, address)?;
        if let Some(message) = message {
            request.headers_mut().insert(CONTENT_TYPE, JSON);
            *request.body_mut() = Bytes::from(message);
        }
        self.sent(request).await
    }

    /// Goes on with a stream behind an event.
    pub(super) async fn resume(&self, address: &Address<'_>, last_event_id: &str) -> Result<Answer, Lost> {
        let mut request = self.request(Method::GET, address)?;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, EVENTS);
        if let Ok(id) = HeaderValue::from_str(last_event_id) {
            headers.insert(LAST_EVENT_ID, id);
        }
        self.sent(request).await
    }

    /// Answers what a server asks this client for. It can do nothing but say that it is there.
    pub(super) async fn reply(&self, address: &Address<'_>, method: &str, id: &str) {
        let message = if method == "ping" {
            format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)
        } else {
            format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"Method not found"}}}}"#)
        };
        if let Err(lost) = self.send(Method::POST, address, Some(message)).await {
            log::warning!(self.logger, "A question of the MCP server could not be answered: {}", lost.error);
        }
    }

    fn request(&self, method: Method, address: &Address<'_>) -> Result<Request, Lost> {
        let invalid = |what: &str| Lost { error: Error::invalid_argument(what), open: false };
        let mut request = Request::new(Bytes::new());
        log::debug!(self.logger, "MCP {method} {}", address.url);
        *request.method_mut() = method;
        *request.uri_mut() =
            address.url.parse().map_err(|_| invalid("target must be an http(s) URL or hostname"))?;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, EITHER);
        let mut token = HeaderValue::from_str(&format!("Bearer {}", address.token.expose()))
            .map_err(|_| invalid("The token is no header value"))?;
        token.set_sensitive(true);
        headers.insert(AUTHORIZATION, token);
        if let Some(session) = address.session {
            headers.insert(SESSION_ID, session.clone());
        }
        if let Some(version) = address.version {
            headers.insert(PROTOCOL_VERSION, version.clone());
        }
        Ok(request)
    }

    async fn sent(&self, request: Request) -> Result<Answer, Lost> {
        let opened = timed(self.read_timeout, self.transport.open(request)).await?;
        let (head, stream) = opened.into_parts();
        let (status, headers) = (head.status, head.headers);
        let mut body =
            Body { stream, limit: self.read_timeout, parser: sse::Parser::with_limit(MESSAGE_LIMIT) };
        if status == http::StatusCode::UNAUTHORIZED {
            return Ok(Answer::Unauthorized);
        }
        refuse_redirect(status, &headers).map_err(|error| Lost { error, open: false })?;
        if !status.is_success() {
            return Ok(Answer::Refused(self.refusal(status.as_u16(), &headers, &mut body).await));
        }
        if matches!(status.as_u16(), 202 | 204) {
            return Ok(Answer::Accepted);
        }
        let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let is =
            |wanted: &[u8]| kind.get(..wanted.len()).is_some_and(|start| start.eq_ignore_ascii_case(wanted));
        let session = headers.get(SESSION_ID).cloned();
        if is(b"application/json") {
            Ok(Answer::Json(body, session))
        } else if is(b"text/event-stream") {
            Ok(Answer::Stream(body, session))
        } else if kind.is_empty() {
            Ok(Answer::Accepted)
        } else {
            let message =
                format!("Unexpected content type of the MCP server: {}", String::from_utf8_lossy(kind));
            Err(Lost::broken(&message))
        }
    }

    /// The error of an answer that is no success. Servers say more in its body, if it is a message.
    async fn refusal(&self, status: u16, headers: &HeaderMap, body: &mut Body) -> Error {
        let text = body.at_most(REFUSAL_LIMIT).await;
        let said = serde_json::from_slice::<Message<'_>>(&text).ok().and_then(|message| message.error);
        let error = match said {
            Some(error) => error.to_error(Some(status)),
            None => Error::new(ErrorKind::Mcp, format!("The MCP server answered HTTP {status}"))
                .with_code(format!("HTTP_{status}"))
                .with_http_status(status),
        };
        if status != 429 {
            return error;
        }
        let wait = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let wait = wait.and_then(|value| retry::retry_after(value, self.clock.unix()));
        Error::new(ErrorKind::RateLimit, error.message().to_owned())
            .with_code(error.code().unwrap_or("HTTP_429"))
            .with_http_status(status)
            .with_retry_after(wait)
    }
}

async fn timed<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, TransportError>>,
) -> Result<T, TransportError> {
    let Ok(done) = tokio::time::timeout(limit, work).await else {
        let message = format!("Nothing from the MCP server within {} s", limit.as_secs_f64());
        return Err(TransportError::timeout(message));
    };
    done
}

/// The body of an answer.
pub(super) struct Body {
    stream: BoxStream<'static, Result<Bytes, TransportError>>,
    limit: Duration,
    parser: sse::Parser,
}

impl Body {
    async fn next(&mut self) -> Result<Option<Bytes>, TransportError> {
        timed(self.limit, async { self.stream.next().await.transpose() }).await
    }

    /// All of it.
    pub(super) async fn whole(mut self) -> Result<Bytes, TransportError> {
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.next().await? else { return Ok(first) };
        let mut collected = BytesMut::from(&first[..]);
        let mut next = Some(second);
        while let Some(chunk) = next {
            if collected.len() + chunk.len() > MESSAGE_LIMIT {
                return Err(too_large());
            }
            collected.extend_from_slice(&chunk);
            next = self.next().await?;
        }
        Ok(collected.freeze())
    }

    /// The beginning of it, as far as it can be had.
    async fn at_most(&mut self, most: usize) -> Vec<u8> {
        let mut collected = Vec::new();
        while let Ok(Some(chunk)) = self.next().await {
            if collected.len() + chunk.len() > most {
                break;
            }
            collected.extend_from_slice(&chunk);
        }
        collected
    }

    /// The messages of the next piece of an event stream; none at its end.
    pub(super) async fn messages(&mut self) -> Result<Option<Vec<String>>, TransportError> {
        let Some(chunk) = self.next().await? else { return Ok(None) };
        let mut messages = Vec::new();
        let fed = self.parser.feed(&chunk, |event| {
            // An empty event only tells where the stream can be gone on with.
            if event.event == "message" && !event.data.is_empty() {
                messages.push(event.data.to_owned());
            }
        });
        match fed {
            Ok(()) => Ok(Some(messages)),
            Err(sse::TooLong) => Err(too_large()),
        }
    }

    /// Reads what there is behind the answer, which is little or nothing: a connection whose answer was read to
    /// its end serves the next question, another one is closed.
    pub(super) async fn drain(mut self) {
        let _ = tokio::time::timeout(DRAIN, self.at_most(REFUSAL_LIMIT)).await;
    }

    pub(super) fn last_event_id(&self) -> &str {
        self.parser.last_event_id()
    }

    /// How long to wait before the stream is gone on with.
    pub(super) fn retry(&self) -> Duration {
        self.parser.retry_millis().map_or(RESUME_AFTER, Duration::from_millis).min(LONGEST_RESUME)
    }
}

fn too_large() -> TransportError {
    TransportError {
        reach: Reach::TooLarge,
        timed_out: false,
        message: format!("A message of the MCP server is larger than {MESSAGE_LIMIT} bytes"),
    }
}

/// A JSON-RPC message, as far as a client looks into it.
#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) result: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) error: Option<RpcError>,
}

/// The error in a message.
#[derive(Deserialize)]
pub(super) struct RpcError {
    pub(super) code: i64,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    pub(super) data: Option<Value>,
}

/// Bytes that are no JSON-RPC message.
pub(super) struct NoMessage;

impl Message<'_> {
    /// The first thing that `look` finds in a message, or in several in an array.
    pub(super) fn each<T>(
        bytes: &[u8],
        mut look: impl FnMut(Message<'_>) -> Option<T>,
    ) -> Result<Option<T>, NoMessage> {
        if bytes.trim_ascii_start().first() == Some(&b'[') {
            let messages: Vec<Message<'_>> = serde_json::from_slice(bytes).map_err(|_| NoMessage)?;
            return Ok(messages.into_iter().find_map(look));
        }
        serde_json::from_slice(bytes).map(&mut look).map_err(|_| NoMessage)
    }
}
