//! What MCP servers answer: a call ends, with a result that the server wrote or an error; nothing that may act is sent
//! twice but where the server has said that it did nothing; the token goes to the server, the agent's own to the
//! platform.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arbitrary::Arbitrary;
use bytes::Bytes;
use http::Method;
use lime_core::clock::ManualClock;
use lime_core::transport::{Request, TransportError};
use lime_core::{AgentConfig, ErrorKind, LimeAgent, McpCall, McpResult};
use serde_json::{Value, json};

use crate::made;
use crate::network::{Answer, Network, keep_threads};

/// Texts that mean something here.
pub const WORDS: &[&str] = &[
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}",
    "\"id\":",
    "\"result\":{\"tools\":[",
    "\"nextCursor\":\"",
    "\"error\":{\"code\":-32000",
    "\"message\":",
    "\"method\":\"ping\"",
    "\"method\":\"sampling/createMessage\"",
    "data: ",
    "id: 7\n",
    "retry: 1\n",
    "event: message\n",
    "\n\n",
    "[",
    "]",
    "\"protocolVersion\":\"2025-06-18\"",
    "\"capabilities\":",
    "null",
];

const PLATFORM: &str = "https://lime.pics/api/v1";
const SERVER: &str = "https://tools.example.com/mcp";

#[derive(Arbitrary, Debug)]
struct Story {
    calls: Vec<Ask>,
    tokens: Vec<Script>,
    answers: Vec<Script>,
    beginnings: Vec<Script>,
    close: bool,
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Ask {
    Tool,
    List,
    Capabilities,
    Notify,
    Read,
}

#[derive(Arbitrary, Debug, Clone)]
enum Script {
    /// As a good server does.
    Good,
    /// A result of this JSON for the question.
    Result(String),
    /// As a good server does, with capabilities that are this JSON.
    Capabilities(String),
    Status(Status, String),
    /// Bytes of this type.
    Raw {
        stream: bool,
        pieces: Vec<Vec<u8>>,
    },
    /// Events with messages; in them `ID` is the question's.
    Events {
        messages: Vec<String>,
        resumable: bool,
        breaks: bool,
    },
    Error(String),
    Lost,
    NotSent,
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Status {
    Accepted,
    Redirect,
    Unauthorized,
    NotFound,
    Busy,
    Broken,
    Any(u16),
}

impl Status {
    fn number(self) -> u16 {
        match self {
            Self::Accepted => 202,
            Self::Redirect => 307,
            Self::Unauthorized => 401,
            Self::NotFound => 404,
            Self::Busy => 429,
            Self::Broken => 502,
            Self::Any(status) => 200 + status % 400,
        }
    }
}

/// A tool call as it was sent, and what came back.
#[derive(Debug)]
struct Sent {
    answered: Script,
    in_a_session: bool,
}

#[derive(Default)]
struct State {
    tokens: VecDeque<Script>,
    answers: VecDeque<Script>,
    beginnings: VecDeque<Script>,
    issued: u32,
    tools: Vec<Sent>,
    /// Everything that the server has said.
    said: Vec<u8>,
}

/// Runs the target once.
///
/// # Panics
/// When the library is wrong.
pub fn run(data: &[u8]) {
    let Some(story) = made::<Story>(data) else { return };
    keep_threads();
    let state = Arc::new(Mutex::new(State {
        tokens: story.tokens.iter().cloned().collect(),
        answers: story.answers.iter().cloned().collect(),
        beginnings: story.beginnings.iter().cloned().collect(),
        ..State::default()
    }));
    let inner = Arc::clone(&state);
    let network = Arc::new(Network::new(move |request| answer(&mut inner.lock().unwrap(), request)));
    let agent = LimeAgent::new(AgentConfig {
        agent_token: Some("at_secret".into()),
        base_url: Some(PLATFORM.into()),
        transport: Some(network.clone()),
        max_retries: 1,
        mcp_read_timeout: Duration::from_secs(3600),
        clock: Arc::new(ManualClock::default().skipping_sleeps()),
        ..AgentConfig::default()
    });
    let agent = agent.unwrap();
    for ask in story.calls.iter().take(6) {
        let before = state.lock().unwrap().tools.len();
        let (call, acts) = match ask {
            Ask::Tool => (McpCall::call_tool("t", None), true),
            Ask::List => (McpCall::list_tools(), false),
            Ask::Capabilities => (McpCall::server_capabilities(), false),
            Ask::Notify => (McpCall::progress(1, 1.0, None), false),
            Ask::Read => (McpCall::read_resource("file:///x"), false),
        };
        let result = agent.mcp(SERVER, call).wait();
        let state = state.lock().unwrap();
        check_result(*ask, &result, &state.said);
        let sent = &state.tools[before..];
        assert!(acts || sent.is_empty());
        check_sendings(sent, &result);
    }
    if story.close {
        agent.close();
        assert_eq!(agent.mcp(SERVER, McpCall::ping()).wait().unwrap_err().kind(), ErrorKind::Closed);
    }
    for request in network.seen() {
        let has = |name: &str| request.headers().contains_key(name);
        if request.uri() == SERVER {
            assert!(has("authorization") && !has("x-agent-token"), "{request:?}");
        } else {
            assert_eq!(request.uri(), format!("{PLATFORM}/modules/oauth/token").as_str());
            assert!(has("x-agent-token") && !has("authorization"), "{request:?}");
        }
    }
}

fn check_result(ask: Ask, result: &lime_core::Result<McpResult>, said: &[u8]) {
    let result = match result {
        Ok(result) => result.json(),
        Err(error) => {
            assert_ne!(error.kind(), ErrorKind::Internal, "{error:?}");
            if error.kind() == ErrorKind::OutcomeUnknown {
                assert!(matches!(ask, Ask::Tool), "{error:?}");
            }
            return assert!(!format!("{error:?} {error}").contains("at_secret"));
        }
    };
    assert!(result.starts_with('{') && result.ends_with('}'), "{ask:?} gave {result}");
    // As the server wrote it; pages of a list are put together, and a notification has no answer.
    let verbatim = matches!(ask, Ask::Tool | Ask::Read);
    let there = said.windows(result.len()).any(|window| window == result.as_bytes());
    assert!(!verbatim || there, "the server has not said {result}");
}

/// A tool is called again only when the server has refused the token (once), or does not know the session (once).
fn check_sendings(sent: &[Sent], result: &lime_core::Result<McpResult>) {
    let Some((last, before)) = sent.split_last() else { return };
    let (mut refused, mut unknown) = (0, 0);
    for sent in before {
        match sent.answered {
            Script::Status(status, _) if status.number() == 401 => refused += 1,
            Script::Status(status, _) if status.number() == 404 && sent.in_a_session => unknown += 1,
            _ => panic!("a tool was called again after {sent:?}"),
        }
    }
    assert!(refused <= 1 && unknown <= 1, "{sent:?}");
    // What certainly was not done, or was, is not called unknown; and the other way round.
    let error = result.as_ref().err().map(lime_core::Error::kind);
    match last.answered {
        Script::NotSent => assert_ne!(error, Some(ErrorKind::OutcomeUnknown), "{last:?}"),
        Script::Lost => assert_eq!(error, Some(ErrorKind::OutcomeUnknown), "{last:?}"),
        _ => {}
    }
}

fn answer(state: &mut State, request: &Request) -> Answer {
    if request.uri() != SERVER {
        return a_token(state);
    }
    let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    let (method, id) = (body["method"].as_str().unwrap_or_default(), body["id"].clone());
    let in_a_session = request.headers().contains_key("mcp-session-id");
    let script = match method {
        "initialize" => state.beginnings.pop_front().unwrap_or(Script::Good),
        "notifications/cancelled" => Script::Status(Status::Accepted, String::new()),
        "" if request.method() == Method::DELETE => Script::Status(Status::Accepted, String::new()),
        // The story's end: nobody is there any more, so that every call has one.
        _ => state.answers.pop_front().unwrap_or(Script::NotSent),
    };
    if method == "tools/call" {
        state.tools.push(Sent { answered: script.clone(), in_a_session });
    }
    let good = match method {
        "initialize" => json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}).to_string(),
        "tools/list" => r#"{"tools":[1]}"#.to_owned(),
        _ => r#"{"content":[]}"#.to_owned(),
    };
    let message = |result: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    let (status, kind, pieces) = match script {
        Script::Good if id.is_null() => (202, "", Vec::new()),
        Script::Good => (200, "application/json", vec![Ok(message(&good).into_bytes())]),
        Script::Result(result) => (200, "application/json", vec![Ok(message(&result).into_bytes())]),
        Script::Capabilities(text) => {
            let result = format!(r#"{{"protocolVersion":"2025-06-18","capabilities":{text}}}"#);
            (200, "application/json", vec![Ok(message(&result).into_bytes())])
        }
        Script::Status(status, text) => (status.number(), "application/json", vec![Ok(text.into_bytes())]),
        Script::Raw { stream, pieces } => {
            let kind = if stream { "text/event-stream" } else { "Application/JSON; charset=utf-8" };
            (200, kind, pieces.into_iter().map(Ok).collect())
        }
        Script::Events { messages, resumable, breaks } => {
            let event = |(number, text): (usize, &String)| {
                let id_line = if resumable { format!("id: {number}\n") } else { String::new() };
                Ok(format!("{id_line}data: {}\n\n", text.replace("ID", &id.to_string())).into_bytes())
            };
            let broken = breaks.then(|| Err(TransportError::maybe_sent("cut")));
            (200, "text/event-stream", messages.iter().enumerate().map(event).chain(broken).collect())
        }
        Script::Error(text) => {
            let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32000, "message": text}});
            (200, "application/json", vec![Ok(error.to_string().into_bytes())])
        }
        Script::Lost => return Err(TransportError::maybe_sent("Connection reset")),
        Script::NotSent => return Err(TransportError::not_sent("Connection refused")),
    };
    state.said.extend(pieces.iter().flatten().flatten());
    let mut head = http::Response::builder().status(status);
    if !kind.is_empty() {
        head = head.header("Content-Type", kind);
    }
    if method == "initialize" && state.issued % 2 == 1 {
        head = head.header("Mcp-Session-Id", format!("s{}", state.issued));
    }
    let pieces = pieces.into_iter().map(|piece| piece.map(Bytes::from)).collect();
    Ok(head.body(pieces).unwrap())
}

fn a_token(state: &mut State) -> Answer {
    state.issued += 1;
    let good =
        json!({"access_token": format!("h.{}.s", state.issued), "token_type": "Bearer", "expires_in": 300});
    let (status, body) = match state.tokens.pop_front().unwrap_or(Script::Good) {
        Script::Result(text) | Script::Capabilities(text) | Script::Error(text) => (200, text.into_bytes()),
        Script::Status(status, text) => (status.number(), text.into_bytes()),
        Script::Raw { pieces, .. } => (200, pieces.concat()),
        Script::Lost => return Err(TransportError::maybe_sent("Connection reset")),
        Script::NotSent => return Err(TransportError::not_sent("Connection refused")),
        Script::Good | Script::Events { .. } => (200, good.to_string().into_bytes()),
    };
    let head = http::Response::builder().status(status).header("Cache-Control", "no-store");
    Ok(head.body(vec![Ok(Bytes::from(body))]).unwrap())
}
