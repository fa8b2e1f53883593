//! One rule of the fault plan: how it is written down, and what it comes to.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::ControlError;
use crate::routes;

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultAction {
    /// Only waits `delay_ms`; the request is then handled as usual, other faults included.
    Delay,
    /// Replaces the signing keys, old ones gone; the request is then handled as usual, other faults included.
    RotateKeys,
    /// Answers `status` (with `body` and `headers`) instead of handling the request.
    Status,
    /// Answers a redirect to `location`.
    Redirect,
    /// Drops the connection; nothing has happened.
    DropBefore,
    /// Handles the request, then drops the connection without an answer.
    DropAfter,
    /// Takes the request and never answers. An event stream falls silent and stays open.
    HalfOpen,
    /// Sends a part of the answer, then drops the connection. An event stream is cut in the middle of a frame.
    Cut,
    /// Answers 200 with something that is not JSON. An event stream gets a malformed frame before its next event.
    Garbage,
    /// Sends the answer (or the stream) byte by byte.
    OneByteChunks,
    /// Event streams only: the next event counts as delivered, and not a byte of it is sent.
    Lose,
    /// Event streams only: the next event is sent twice.
    Repeat,
}

impl FaultAction {
    /// Whether the request is handled as usual afterwards.
    pub(crate) fn lets_pass(self) -> bool {
        matches!(self, Self::Delay | Self::RotateKeys)
    }

    /// Whether an event stream goes through this fault while it is open, and not instead of opening.
    pub(crate) fn is_for_streams(self) -> bool {
        matches!(self, Self::HalfOpen | Self::Cut | Self::Garbage | Self::OneByteChunks)
            || self.is_of_events()
    }

    /// Whether it means nothing on other requests.
    fn is_of_events(self) -> bool {
        matches!(self, Self::Lose | Self::Repeat)
    }
}

/// One rule of the fault plan. Build it with [`Fault::on`] and the methods, or as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The route's name, or `*` for every one (unknown paths too).
    pub route: String,
    /// What it does; guessed from the other fields when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<FaultAction>,
    /// How many matching requests pass before it starts.
    #[serde(default)]
    pub skip: u64,
    /// How many times it applies; 0 is for ever.
    #[serde(default = "once")]
    pub count: u64,
    /// Real milliseconds to wait first; goes with every action.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delay_ms: u64,
    /// Only for requests with this site's token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_id: Option<String>,
    /// Only for requests with this agent's token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Only for requests with this API key of the broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// The status of `status` and (302 when absent) `redirect`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The body of `status`: a string goes out as it is, anything else as JSON. A failure in the platform's form when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// More headers for `status` and `redirect`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Where `redirect` points to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// `cut` of an event stream: how many events go through whole before the one that is cut.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub after_events: u64,
    /// `cut`: how many bytes of the body (of the event's frame) are sent; half of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_bytes: Option<usize>,
    /// `drop_before`, `drop_after`, `cut`: close with a TCP reset.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
    /// `garbage`: what is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
}

fn once() -> u64 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde wants a reference
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Fault {
    /// A rule for a route, which does nothing yet and applies once.
    pub fn on(route: impl Into<String>) -> Self {
        Self {
            route: route.into(),
            action: None,
            skip: 0,
            count: 1,
            delay_ms: 0,
            site_id: None,
            agent_id: None,
            key_id: None,
            status: None,
            body: None,
            headers: BTreeMap::new(),
            location: None,
            after_events: 0,
            after_bytes: None,
            reset: false,
            raw: None,
        }
    }

    /// Sets the action.
    #[must_use]
    pub fn action(mut self, action: FaultAction) -> Self {
        self.action = Some(action);
        self
    }

    /// Answers this status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self.action(FaultAction::Status)
    }

    /// Sets the body of the answer.
    #[must_use]
    pub fn body(mut self, body: impl Into<Value>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// Answers a redirect.
    #[must_use]
    pub fn redirect(mut self, location: impl Into<String>) -> Self {
        self.location = Some(location.into());
        self.action(FaultAction::Redirect)
    }

    /// Drops the connection before anything has happened.
    #[must_use]
    pub fn drop_before(self) -> Self {
        self.action(FaultAction::DropBefore)
    }

    /// Drops the connection when everything has happened.
    #[must_use]
    pub fn drop_after(self) -> Self {
        self.action(FaultAction::DropAfter)
    }

    /// Never answers.
    #[must_use]
    pub fn half_open(self) -> Self {
        self.action(FaultAction::HalfOpen)
    }

    /// Cuts the answer in the middle.
    #[must_use]
    pub fn cut(self) -> Self {
        self.action(FaultAction::Cut)
    }

    /// Cuts the stream at the event after this many.
    #[must_use]
    pub fn cut_after_events(mut self, events: u64) -> Self {
        self.after_events = events;
        self.cut()
    }

    /// Cuts after this many bytes.
    #[must_use]
    pub fn cut_after_bytes(mut self, bytes: usize) -> Self {
        self.after_bytes = Some(bytes);
        self.cut()
    }

    /// Sends garbage.
    #[must_use]
    pub fn garbage(self) -> Self {
        self.action(FaultAction::Garbage)
    }

    /// Sends this garbage.
    #[must_use]
    pub fn garbage_raw(mut self, raw: impl Into<String>) -> Self {
        self.raw = Some(raw.into());
        self.garbage()
    }

    /// Sends byte by byte.
    #[must_use]
    pub fn one_byte_chunks(self) -> Self {
        self.action(FaultAction::OneByteChunks)
    }

    /// Loses the next event of a stream.
    #[must_use]
    pub fn lose(self) -> Self {
        self.action(FaultAction::Lose)
    }

    /// Sends the next event of a stream twice.
    #[must_use]
    pub fn repeat(self) -> Self {
        self.action(FaultAction::Repeat)
    }

    /// Replaces the signing keys first.
    #[must_use]
    pub fn rotate_keys(self) -> Self {
        self.action(FaultAction::RotateKeys)
    }

    /// Waits first.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// Applies this many times; 0 is for ever.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.count = count;
        self
    }

    /// Applies to every matching request.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(0)
    }

    /// Lets this many matching requests pass first.
    #[must_use]
    pub fn skip(mut self, skip: u64) -> Self {
        self.skip = skip;
        self
    }

    /// Closes with a TCP reset.
    #[must_use]
    pub fn with_reset(mut self) -> Self {
        self.reset = true;
        self
    }

    /// Applies only to requests with this site's token.
    #[must_use]
    pub fn for_site(mut self, site_id: impl Into<String>) -> Self {
        self.site_id = Some(site_id.into());
        self
    }

    /// Applies only to requests with this agent's token.
    #[must_use]
    pub fn for_agent(mut self, agent_id: impl Into<String>) -> Self {
        self.agent_id = Some(agent_id.into());
        self
    }

    /// Applies only to requests with this API key of the broker (named by its id).
    #[must_use]
    pub fn for_key(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    fn resolved_action(&self) -> Result<FaultAction, ControlError> {
        if let Some(action) = self.action {
            return Ok(action);
        }
        if self.location.is_some() {
            Ok(FaultAction::Redirect)
        } else if self.status.is_some() {
            Ok(FaultAction::Status)
        } else if self.delay_ms > 0 {
            Ok(FaultAction::Delay)
        } else {
            Err(ControlError::invalid("the fault has no action"))
        }
    }

    /// Checks the rule and makes it ready for use.
    pub(crate) fn compile(&self) -> Result<(FaultAction, Effect), ControlError> {
        if !routes::is_known(&self.route) {
            return Err(ControlError::invalid(format!("there is no route {:?}", self.route)));
        }
        let action = self.resolved_action()?;
        if action.is_of_events() && self.route != routes::EVENTS.name {
            return Err(ControlError::invalid("`lose` and `repeat` are for the route `events`"));
        }
        let effect = match action {
            FaultAction::Delay | FaultAction::RotateKeys => Effect::Nothing,
            FaultAction::Status => {
                let status = self.status.ok_or_else(|| ControlError::invalid("`status` is missing"))?;
                Effect::Answer(self.answer(status)?)
            }
            FaultAction::Redirect => {
                let location =
                    self.location.as_deref().ok_or_else(|| ControlError::invalid("`location` is missing"))?;
                let mut answer = self.answer(self.status.unwrap_or(302))?;
                let location = HeaderValue::from_str(location)
                    .map_err(|_| ControlError::invalid("`location` is no header value"))?;
                answer.headers.insert(http::header::LOCATION, location);
                Effect::Answer(answer)
            }
            FaultAction::DropBefore => Effect::DropBefore { reset: self.reset },
            FaultAction::DropAfter => Effect::DropAfter { reset: self.reset },
            FaultAction::HalfOpen => Effect::HalfOpen,
            FaultAction::Cut => Effect::Cut(Cut {
                after_events: self.after_events,
                after_bytes: self.after_bytes,
                reset: self.reset,
            }),
            FaultAction::Garbage => Effect::Garbage(self.raw.clone().map(Bytes::from)),
            FaultAction::OneByteChunks => Effect::OneByteChunks,
            FaultAction::Lose => Effect::Lose,
            FaultAction::Repeat => Effect::Repeat,
        };
        Ok((action, effect))
    }

    fn answer(&self, status: u16) -> Result<Answer, ControlError> {
        // hyper sends informational statuses itself; as a final answer they are no HTTP.
        let status = StatusCode::from_u16(status)
            .ok()
            .filter(|status| (200..600).contains(&status.as_u16()))
            .ok_or_else(|| ControlError::invalid("`status` must be between 200 and 599"))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name.as_str())
                .map_err(|_| ControlError::invalid(format!("{name:?} is no header name")))?;
            let value = HeaderValue::from_str(value)
                .map_err(|_| ControlError::invalid(format!("the value of {name} is no header value")))?;
            headers.append(name, value);
        }
        Ok(Answer { status, headers, body: self.body.clone() })
    }
}

/// An answer that a fault gives instead of the platform.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Value>,
}

/// Where to cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) after_events: u64,
    pub(crate) after_bytes: Option<usize>,
    pub(crate) reset: bool,
}

/// A rule, ready for use.
#[derive(Debug, Clone)]
pub(crate) enum Effect {
    Nothing,
    Answer(Answer),
    DropBefore { reset: bool },
    DropAfter { reset: bool },
    HalfOpen,
    Cut(Cut),
    Garbage(Option<Bytes>),
    OneByteChunks,
    Lose,
    Repeat,
}
