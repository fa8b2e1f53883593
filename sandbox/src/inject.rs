//! Faults of ordinary answers: bodies that break off or dribble.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body::Frame;
use http_body_util::BodyExt;
use serde_json::Value;

use crate::connection::Link;
use crate::envelope::{self, Failure};
use crate::fault::{Answer, Cut};
use crate::routes::Dialect;
use crate::sesame::Detail;

/// The answer that a fault gives instead of a platform, in that platform's form.
pub(crate) fn answer(answer: &Answer, dialect: Dialect) -> Response {
    let status = answer.status;
    let mut response = match &answer.body {
        Some(Value::String(text)) => {
            let mut response = Response::new(Body::from(text.clone()));
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            response
        }
        Some(body) => envelope::json_response(status, body),
        None if has_no_body(status) || status.is_redirection() => Response::new(Body::empty()),
        None => {
            let (code, message) = default_error(status);
            let body = match dialect {
                Dialect::Lime => Failure::body(code, message),
                Dialect::Sesame => Detail::body(message),
            };
            envelope::json_response(status, &body)
        }
    };
    *response.status_mut() = status;
    // The rule's headers replace the ones above, but stay apart among themselves.
    for name in answer.headers.keys() {
        response.headers_mut().remove(name);
    }
    for (name, value) in &answer.headers {
        response.headers_mut().append(name, value.clone());
    }
    response
}

fn has_no_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

fn default_error(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::TOO_MANY_REQUESTS => ("RATE_LIMIT_EXCEEDED", "Too many requests"),
        StatusCode::SERVICE_UNAVAILABLE => ("SERVICE_UNAVAILABLE", "The service is not available"),
        _ => ("SANDBOX_FAULT", "A fault that was asked for"),
    }
}

/// 200 with something that is not JSON.
pub(crate) fn garbage(raw: Option<Bytes>) -> Response {
    let raw = raw.unwrap_or(Bytes::from_static(b"<html>{not json"));
    let mut response = Response::new(Body::from(raw));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Promises the whole body, sends a part of it and breaks off.
pub(crate) async fn cut(response: Response, cut: Cut, link: Arc<Link>) -> Response {
    let (mut parts, body) = response.into_parts();
    // The sandbox's own bodies are in memory: collecting one cannot fail.
    let whole = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let at = cut.after_bytes.unwrap_or(whole.len() / 2).min(whole.len());
    // With all bytes sent there would be nothing to miss; one more is promised then.
    let promised = whole.len().max(at + 1);
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(promised));
    let body = Dribble {
        out: whole.slice(..at),
        one_byte: false,
        abort: Some(cut.reset),
        link,
        started: false,
        handed_over: None,
    };
    Response::from_parts(parts, Body::new(body))
}

/// Sends the body in chunks of one byte, each in a packet of its own.
pub(crate) async fn one_byte_chunks(response: Response, link: Arc<Link>) -> Response {
    let (mut parts, body) = response.into_parts();
    let whole = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    parts.headers.remove(header::CONTENT_LENGTH);
    let body = Dribble { out: whole, one_byte: true, abort: None, link, started: false, handed_over: None };
    Response::from_parts(parts, Body::new(body))
}

/// A body that waits until each piece has left, and may break off at the end.
struct Dribble {
    out: Bytes,
    one_byte: bool,
    /// Break off instead of ending, with a TCP reset or without.
    abort: Option<bool>,
    link: Arc<Link>,
    /// Whether hyper has asked for anything yet. By then the head is in its buffer.
    started: bool,
    /// The link's flush count when the head, or the last piece, was handed over.
    handed_over: Option<u64>,
}

impl http_body::Body for Dribble {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        if !this.started {
            this.started = true;
            this.handed_over = Some(this.link.flushes());
        }
        if let Some(mark) = this.handed_over {
            this.link.wake_on_flush(cx.waker());
            if this.link.flushes() <= mark {
                return Poll::Pending;
            }
            this.handed_over = None;
        }
        if !this.out.is_empty() {
            let size = if this.one_byte { 1 } else { this.out.len() };
            this.handed_over = Some(this.link.flushes());
            return Poll::Ready(Some(Ok(Frame::data(this.out.split_to(size)))));
        }
        match this.abort {
            None => Poll::Ready(None),
            Some(reset) => {
                if reset {
                    this.link.end_with_reset();
                }
                Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the answer was cut"))))
            }
        }
    }
}
