//! Event streams: any cut of the same bytes gives the same events, and they are those that a plain reading of
//! the standard gives. What an event says is read as its JSON has it.
//!
//! The input is the stream; how it is cut, and how large an event may be, follows from it.

use std::collections::BTreeMap;

use fastrand::Rng;
use lime_core::site::frame::Frame;
use lime_core::site::sse::{EVENT_LIMIT, Parser, TooLong};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::{json, mixed};

/// Texts that mean something here.
pub const WORDS: &[&str] = &[
    "data:",
    "data: ",
    "event:",
    "id:",
    "retry:",
    ":",
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    "\u{feff}",
    "\0",
    "\u{2028}",
    "{\"type\":\"approved\"",
    "\"login_request_id\":",
    "\"agent_passport_jwt\":",
    "\"type\":\"expired\"",
    "\"type\":\"keepalive\"}",
    "{\"type\":\"error\"",
    "\"code\":",
    "\"message\":",
    "message",
    "null",
];

/// What a stream comes to.
#[derive(Debug, PartialEq, Eq, Default)]
struct Outcome {
    /// Name, data, id.
    events: Vec<(String, String, String)>,
    /// What is to be gone on with; nothing of a stream that was given up.
    rest: Option<(String, Option<u64>)>,
}

/// Runs the target once.
///
/// # Panics
/// When the library is wrong.
pub fn run(stream: &[u8]) {
    let mut chance = Rng::with_seed(mixed(stream));
    let limit = match chance.u8(..4) {
        0 => chance.usize(1..24),
        1 => chance.usize(1..100),
        _ => EVENT_LIMIT,
    };
    let wanted = plainly(stream, limit);
    let whole = [stream];
    let cuts: Vec<Vec<&[u8]>> = vec![
        whole.to_vec(),
        stream.chunks(1).collect(),
        stream.chunks(2).collect(),
        at_random(stream, &mut chance),
        at_random(stream, &mut chance),
    ];
    for chunks in &cuts {
        assert_eq!(by_the_parser(chunks, limit), wanted, "cut as {:?}", sizes(chunks));
    }
    for (_, data, _) in &wanted.events {
        assert_is(&Frame::parse(data), data);
    }
}

fn sizes(chunks: &[&[u8]]) -> Vec<usize> {
    chunks.iter().map(|chunk| chunk.len()).collect()
}

fn at_random<'a>(mut stream: &'a [u8], chance: &mut Rng) -> Vec<&'a [u8]> {
    let most = *chance.choice(&[3, 9, 40]).unwrap();
    let mut chunks = Vec::new();
    while !stream.is_empty() {
        let (chunk, rest) = stream.split_at(chance.usize(..most).min(stream.len()));
        chunks.push(chunk);
        stream = rest;
    }
    chunks
}

fn by_the_parser(chunks: &[&[u8]], limit: usize) -> Outcome {
    let mut parser = Parser::with_limit(limit);
    let mut events = Vec::new();
    for chunk in chunks {
        let each = |event: lime_core::site::sse::Event<'_>| {
            events.push((event.event.to_owned(), event.data.to_owned(), event.id.to_owned()));
        };
        if let Err(TooLong) = parser.feed(chunk, each) {
            return Outcome { events, rest: None };
        }
    }
    let rest = Some((parser.last_event_id().to_owned(), parser.retry_millis()));
    Outcome { events, rest }
}

/// The standard, section 9.2.6, on a stream that is all there.
fn plainly(stream: &[u8], limit: usize) -> Outcome {
    let mut found = Outcome::default();
    let (mut data, mut name, mut next_id, mut id) =
        (String::new(), String::new(), String::new(), String::new());
    let mut retry = None;
    let mut rest = stream;
    let mut first = true;
    loop {
        let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
            if rest.len() <= limit {
                found.rest = Some((id, retry));
            }
            return found;
        };
        if end > limit {
            return found;
        }
        let mut line = &rest[..end];
        rest = &rest[end + if rest[end..].starts_with(b"\r\n") { 2 } else { 1 }..];
        if std::mem::take(&mut first) {
            line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        }
        let line = String::from_utf8_lossy(line).into_owned();
        if line.is_empty() {
            id.clone_from(&next_id);
            if !data.is_empty() {
                data.pop();
                let name = if name.is_empty() { "message" } else { &name };
                found.events.push((name.to_owned(), data.clone(), id.clone()));
            }
            data.clear();
            name.clear();
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" if data.len() + value.len() > limit => return found,
            "data" => data = format!("{data}{value}\n"),
            "event" => value.clone_into(&mut name),
            "id" if !value.contains('\0') => value.clone_into(&mut next_id),
            "retry" if !value.is_empty() && value.chars().all(|digit| digit.is_ascii_digit()) => {
                retry = Some(value.parse().unwrap_or(u64::MAX));
            }
            _ => {}
        }
    }
}

fn assert_is(frame: &Frame, data: &str) {
    let Some(object) = members(data) else {
        return assert!(matches!(frame, Frame::Malformed(_)), "{frame:?} of {data:?}");
    };
    // Which of two counts is nobody's to say; that it does not break anything is.
    if !json::has_a_name_twice(data.as_bytes()) {
        assert_eq!(*frame, plain_frame(&object), "of {data:?}");
    }
}

/// The members that an event may have. What else it has must be JSON by its grammar and nothing more: it may have half
/// of a surrogate pair, or a number that no machine can hold.
fn members(data: &str) -> Option<Map<String, Value>> {
    let all: BTreeMap<String, &RawValue> = serde_json::from_str(data).ok()?;
    let mut known = Map::new();
    for name in ["type", "login_request_id", "agent_passport_jwt", "code", "message"] {
        if let Some(value) = all.get(name) {
            // In an object, as deep as it was.
            let alone: Map<String, Value> = serde_json::from_str(&format!("{{\"{name}\":{value}}}")).ok()?;
            known.extend(alone);
        }
    }
    Some(known)
}

fn plain_frame(object: &Map<String, Value>) -> Frame {
    let text = |name: &str| match object.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let request_id = text("login_request_id").unwrap_or_default().trim().to_owned();
    match text("type").as_deref() {
        Some("keepalive") => Frame::Keepalive,
        Some("error") => Frame::Error {
            code: text("code").unwrap_or_else(|| "SSE_ERROR".to_owned()),
            message: text("message").unwrap_or_else(|| "SSE error frame".to_owned()),
        },
        Some("expired") if !request_id.is_empty() => Frame::Expired { request_id },
        Some("approved") if !request_id.is_empty() => match object.get("agent_passport_jwt") {
            Some(Value::String(passport)) if !passport.trim().is_empty() => {
                Frame::Approved { request_id, passport: passport.clone() }
            }
            _ => Frame::Malformed("approved event without agent_passport_jwt"),
        },
        _ => Frame::Ignored,
    }
}
