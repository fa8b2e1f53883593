//! One call of a platform: headers, attempts, waits, and the envelope.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lc_rs::rand;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Map, Value};

use crate::base_url::BaseUrl;
use crate::clock::Clock;
use crate::config::PostRetry;
use crate::log::{self, Logger};
use crate::runtime::WeakRuntime;
use crate::secret::Secret;
use crate::transport::pins::Pins;
use crate::transport::{Reach, Request, Response, StreamResponse, TimeLimit, Transport, TransportError};
use crate::{Error, ErrorKind, Result, envelope, retry};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What the clients of both platforms have in common.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) base_url: BaseUrl,
    pub(crate) token: Secret,
    pub(crate) token_header: HeaderName,
    pub(crate) timeout: Duration,
    pub(crate) max_retries: u32,
    pub(crate) post_retry: PostRetry,
    pub(crate) transport: Option<Arc<dyn Transport>>,
    pub(crate) pins: Option<Pins>,
    pub(crate) logger: Logger,
    pub(crate) clock: Arc<dyn Clock>,
    /// Whether it was said that everybody can read along.
    pub(crate) warned: AtomicBool,
}

/// What to ask. Paths start with a slash and hold no unescaped text from outside.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: Method,
    path: String,
    authenticated: bool,
    /// JSON.
    body: Option<String>,
    retries: Option<u32>,
    repeat: Repeat,
    limit: Option<Duration>,
    /// Whether the seed's platform did not have it.
    new_today: bool,
    /// Whether the path begins at the origin instead of the API root.
    at_origin: bool,
    user_agent: Option<HeaderValue>,
}

/// When a call may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// A POST as the configuration says, anything else whenever that can help.
    Configured,
    /// Whenever that can help: sent twice, it acts once.
    Harmless,
    /// Only when it certainly did not leave: sent twice, it may act twice.
    IfNotSent,
}

impl Call {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            authenticated: true,
            body: None,
            retries: None,
            repeat: Repeat::Configured,
            limit: None,
            new_today: false,
            at_origin: false,
            user_agent: None,
        }
    }

    /// A path that is whole, whatever the API root's own is.
    pub(crate) fn at_origin(mut self) -> Self {
        self.at_origin = true;
        self
    }

    /// Calls itself this instead of what the HTTP client calls itself.
    pub(crate) fn user_agent(mut self, user_agent: Option<HeaderValue>) -> Self {
        self.user_agent = user_agent;
        self
    }

    pub(crate) fn post(path: impl Into<String>, body: String) -> Self {
        Self { method: Method::POST, body: Some(body), ..Self::get(path) }
    }

    /// Says that the seed's platform did not have this call, so that its rules do not apply unless they are
    /// asked for.
    pub(crate) fn new_today(mut self) -> Self {
        self.new_today = true;
        self
    }

    /// Makes at most this many further attempts.
    pub(crate) fn retries(mut self, most: u32) -> Self {
        self.retries = Some(most);
        self
    }

    /// Says when it may be sent again.
    pub(crate) fn repeat(mut self, repeat: Repeat) -> Self {
        self.repeat = repeat;
        self
    }

    /// Bounds one attempt by this instead of the configured time, also where the host's client keeps
    /// time itself.
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    fn may_follow_error(&self, error: &TransportError) -> bool {
        match error.reach {
            Reach::TooLarge | Reach::HostFault => false,
            Reach::NotSent => true,
            Reach::MaybeSent => self.repeat != Repeat::IfNotSent,
        }
    }

    fn may_follow_status(&self, status: u16, post_retry: PostRetry) -> bool {
        match self.repeat {
            Repeat::Configured => {
                let post = self.method == Method::POST;
                retry::is_retryable(status, post.then(|| post_retry.of_call(self.new_today)))
            }
            Repeat::Harmless => retry::is_retryable(status, None),
            Repeat::IfNotSent => false,
        }
    }

    /// Public endpoints must not see the token.
    pub(crate) fn public(mut self) -> Self {
        self.authenticated = false;
        self
    }
}

/// A finished call, and what is known of the attempts before the last.
pub(crate) struct Answer {
    pub(crate) result: Result<Reply>,
    pub(crate) doubt: Doubt,
    /// Whether the host's client failed by itself, so that no further call can help.
    pub(crate) host_fault: bool,
}

/// Whether a POST may have taken effect although its answer does not say so.
///
/// Only the LIME envelope tells a platform's own report from a proxy's, so the middle case is LIME's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Doubt {
    /// Every attempt was answered, or never left.
    None,
    /// The platform reported a fault of its own (500): done or not, it does not know either.
    Faulty,
    /// An attempt left, and no answer of the platform came back.
    Lost,
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) http_status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) retry_after: Option<Duration>,
}

impl Reply {
    /// The `data` of the envelope.
    pub(crate) fn data(&self) -> Result<Map<String, Value>> {
        envelope::open(self.http_status, &self.body).map_err(|error| error.with_retry_after(self.retry_after))
    }
}

impl Api {
    /// Makes the call and opens the envelope.
    pub(crate) async fn data(&self, runtime: &WeakRuntime, call: &Call) -> Result<Map<String, Value>> {
        self.call(runtime, call).await.result?.data()
    }

    /// Makes the call, again where that can help.
    pub(crate) async fn call(&self, runtime: &WeakRuntime, call: &Call) -> Answer {
        let mut answer = Answer { result: Err(Error::cancelled()), doubt: Doubt::None, host_fault: false };
        answer.result = self.attempts(runtime, call, &mut answer).await;
        answer
    }

    async fn attempts(&self, runtime: &WeakRuntime, call: &Call, answer: &mut Answer) -> Result<Reply> {
        let doubt = &mut answer.doubt;
        let transport = self.transport(runtime).await?;
        let url = if call.at_origin {
            self.base_url.join_origin(&call.path)
        } else {
            self.base_url.join(&call.path)
        };
        let mut request = self.request(&url, call)?;
        if let Some(limit) = call.limit {
            request.extensions_mut().insert(TimeLimit(limit));
        }
        let is_post = call.method == Method::POST;
        let most = call.retries.map_or(self.max_retries, |most| most.min(self.max_retries));
        for attempt in 0.. {
            log::debug!(self.logger, "{} {url}", call.method);
            let last = attempt >= most;
            let wait = match self.attempt(&*transport, request.clone(), call.limit).await {
                Err(error) => {
                    if is_post {
                        *doubt = (*doubt).max(error.doubt());
                    }
                    answer.host_fault = error.reach == Reach::HostFault;
                    if last || !call.may_follow_error(&error) {
                        return Err(failed(error));
                    }
                    log::warning!(
                        self.logger,
                        "Retrying {} {} (attempt {}): {}",
                        call.method,
                        call.path,
                        attempt + 1,
                        error.message
                    );
                    retry::delay(attempt, &*self.clock)
                }
                Ok(response) => {
                    let status = response.status().as_u16();
                    let asked = self.retry_after(response.headers());
                    if is_post {
                        *doubt = (*doubt).max(doubt_of(status, response.body()));
                    }
                    // A wait that is longer than an attempt may take is the caller's to decide on.
                    let too_long = asked.is_some_and(|wait| wait > self.timeout);
                    if last || too_long || !call.may_follow_status(status, self.post_retry) {
                        return reply(response, asked);
                    }
                    log::warning!(
                        self.logger,
                        "Retrying {} {} after HTTP {status} (attempt {})",
                        call.method,
                        call.path,
                        attempt + 1
                    );
                    retry::delay(attempt, &*self.clock).max(asked.unwrap_or_default())
                }
            };
            self.clock.sleep(wait).await;
        }
        Err(Error::internal("Attempts ran out of numbers"))
    }

    async fn attempt(
        &self,
        transport: &dyn Transport,
        request: Request,
        limit: Option<Duration>,
    ) -> Result<Response, TransportError> {
        if limit.is_none() && transport.keeps_time() {
            return transport.send(request).await;
        }
        let limit = limit.unwrap_or(self.timeout);
        match tokio::time::timeout(limit, transport.send(request)).await {
            Ok(result) => result,
            Err(_) => Err(TransportError::timeout(format!("No response within {} s", limit.as_secs_f64()))),
        }
    }

    /// Opens a stream: its own `Accept`, no time limit, no retries.
    pub(crate) async fn open(
        &self,
        runtime: &WeakRuntime,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
    ) -> Result<StreamResponse> {
        let transport = self.transport(runtime).await?;
        let url = self.base_url.join(path);
        log::debug!(self.logger, "STREAM GET {url}");
        let mut request = self.request(&url, &Call::get(path))?;
        for (name, value) in headers {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        transport.open(request).await.map_err(failed)
    }

    /// The host's client, or the one that all clients of the process share.
    async fn transport(&self, runtime: &WeakRuntime) -> Result<Arc<dyn Transport>> {
        if self.base_url.is_open_to_all() && !self.warned.swap(true, Ordering::Relaxed) {
            log::warning!(
                self.logger,
                "{} is talked to without TLS: whoever is on the way can read and change everything, tokens too",
                self.base_url.as_str()
            );
        }
        if let Some(transport) = &self.transport {
            return Ok(Arc::clone(transport));
        }
        let kind = self.base_url.http_kind();
        let shared = match &self.pins {
            None => runtime.http(kind).await,
            Some(pins) => runtime.pinned_http(kind, pins).await,
        };
        shared
            .map(|transport| Arc::new(transport) as Arc<dyn Transport>)
            .map_err(|message| Error::new(ErrorKind::Transport, message))
    }

    fn request(&self, url: &str, call: &Call) -> Result<Request> {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = url.parse().map_err(|_| Error::invalid_argument("The URL is not valid"))?;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, JSON);
        if let Some(user_agent) = &call.user_agent {
            headers.insert(USER_AGENT, user_agent.clone());
        }
        if call.authenticated {
            headers.insert(self.token_header.clone(), self.token_value()?);
        }
        if call.method == Method::POST {
            headers.insert(CONTENT_TYPE, JSON);
            headers.insert(IDEMPOTENCY_KEY, idempotency_key()?);
        }
        if let Some(body) = &call.body {
            *request.body_mut() = Bytes::from(body.clone());
        }
        Ok(request)
    }

    fn token_value(&self) -> Result<HeaderValue> {
        let scheme = if self.token_header == AUTHORIZATION { "Bearer " } else { "" };
        self.token.header(scheme).ok_or_else(|| Error::invalid_argument("The token is not valid"))
    }

    pub(crate) fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        retry::retry_after(headers.get(RETRY_AFTER)?.to_str().ok()?, self.clock.unix())
    }
}

fn reply(response: Response, retry_after: Option<Duration>) -> Result<Reply> {
    refuse_redirect(response.status(), response.headers())?;
    let (head, body) = response.into_parts();
    Ok(Reply { http_status: head.status.as_u16(), headers: head.headers, body, retry_after })
}

fn doubt_of(status: u16, body: &[u8]) -> Doubt {
    let told = envelope::open(status, body).is_err_and(|error| error.kind() != ErrorKind::BadResponse);
    match status {
        500 if told => Doubt::Faulty,
        500 | 502 | 504 => Doubt::Lost,
        // It was done, whatever the rest of the answer is.
        200..300 if envelope::open(status, body).is_err() => Doubt::Lost,
        _ => Doubt::None,
    }
}

/// A redirect would carry the token to wherever it points; it is named and refused.
pub(crate) fn refuse_redirect(status: http::StatusCode, headers: &HeaderMap) -> Result<()> {
    if !status.is_redirection() {
        return Ok(());
    }
    let origin = headers
        .get(LOCATION)
        .and_then(|location| url::Url::parse(location.to_str().ok()?).ok())
        .map_or_else(String::new, |location| format!(" to {}", location.origin().ascii_serialization()));
    let status = status.as_u16();
    let message = format!("Redirect refused (HTTP {status}{origin})");
    Err(Error::new(ErrorKind::BadResponse, message).with_http_status(status))
}

/// The same for every attempt of one call, so that a platform that knows it does not act twice.
fn idempotency_key() -> Result<HeaderValue> {
    let mut bytes = [0_u8; 16];
    rand::fill(&mut bytes).map_err(|_| Error::internal("The system gives no random numbers"))?;
    let text = format!("{:032x}", u128::from_be_bytes(bytes));
    HeaderValue::from_str(&text).map_err(|_| Error::internal("hex is a header value"))
}

impl TransportError {
    fn doubt(&self) -> Doubt {
        match self.reach {
            Reach::NotSent | Reach::HostFault => Doubt::None,
            Reach::MaybeSent | Reach::TooLarge => Doubt::Lost,
        }
    }
}

/// The error for a call that was sent, and of which nobody can say whether it took effect.
pub(crate) fn outcome_unknown(what: &str, cause: &Error) -> Error {
    let mut error = Error::new(ErrorKind::OutcomeUnknown, format!("{what}: {}", cause.message()))
        .with_code(cause.code().unwrap_or("OUTCOME_UNKNOWN"))
        .with_detail(cause.detail().cloned())
        .with_retry_after(cause.retry_after());
    if let Some(status) = cause.http_status() {
        error = error.with_http_status(status);
    }
    error
}

pub(crate) fn failed(error: TransportError) -> Error {
    let kind = match error.reach {
        Reach::TooLarge => ErrorKind::BadResponse,
        _ if error.timed_out => ErrorKind::TransportTimeout,
        _ => ErrorKind::Transport,
    };
    Error::new(kind, error.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_a_post_was_done_is_open_after_some_answers() {
        let (refused, done) =
            (br#"{"ok":false,"error":{"code":"X","message":"x"}}"#, br#"{"ok":true,"data":{}}"#);
        for (status, body, doubt) in [
            (500, &refused[..], Doubt::Faulty),
            (500, b"", Doubt::Lost),
            (500, b"<html>", Doubt::Lost),
            (502, refused, Doubt::Lost),
            (504, refused, Doubt::Lost),
            (504, b"", Doubt::Lost),
            (200, done, Doubt::None),
            (201, done, Doubt::None),
            (201, b"{", Doubt::Lost),
            (204, b"", Doubt::Lost),
            (302, b"", Doubt::None),
            (400, refused, Doubt::None),
            (409, b"", Doubt::None),
            (429, b"", Doubt::None),
            (503, b"", Doubt::None),
        ] {
            assert_eq!(doubt_of(status, body), doubt, "{status} {}", String::from_utf8_lossy(body));
        }
    }
}
