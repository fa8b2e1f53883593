//! Calls of MCP servers, with a server that says what each test wants: sessions, tokens that are refused,
//! streams in every state. The official server is what `tests/python` has.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use lime_core::clock::ManualClock;
use lime_core::log::{Level, Logger};
use lime_core::transport::{Request, Response, StreamResponse, Transport, TransportError};
use lime_core::{AgentConfig, Error, ErrorKind, LimeAgent, McpCall, McpResult};
use serde_json::{Value, json};

const LONG: Duration = Duration::from_secs(30);
const URL: &str = "https://tools.example.com/mcp";

/// What a server answers.
#[derive(Debug)]
enum Reply {
    Json(Value),
    Status(u16, &'static str),
    Raw(u16, &'static str, &'static str),
    /// The same, to the beginning of a session.
    Begin(u16, &'static str, &'static str),
    /// Pieces of one body.
    Pieces(&'static str, Vec<String>),
    /// Pieces of an event stream; then it ends, or breaks off.
    Events(Vec<String>, bool),
    /// No answer, and it may have arrived.
    Lost,
    /// No answer ever.
    Never,
}

#[derive(Debug, Clone)]
struct Seen {
    http: String,
    rpc: String,
    body: Value,
    token: String,
    session: Option<String>,
    version: Option<String>,
    last_event_id: Option<String>,
}

/// The platform, which issues `h.1.s`, `h.2.s` and so on, and the MCP server.
#[derive(Debug)]
struct Fake {
    seen: Mutex<Vec<Seen>>,
    more: Condvar,
    replies: Mutex<VecDeque<Reply>>,
    tokens: Mutex<u32>,
    sessions: Mutex<u32>,
}

impl Transport for Fake {
    fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, TransportError>> {
        assert!(request.uri().path().ends_with("/modules/oauth/token"));
        let mut tokens = self.tokens.lock().unwrap();
        *tokens += 1;
        let body =
            json!({"access_token": format!("h.{tokens}.s"), "token_type": "Bearer", "expires_in": 300});
        let answer = http::Response::builder().header("Cache-Control", "no-store");
        let answer = answer.body(Bytes::from(body.to_string())).unwrap();
        async move { Ok(answer) }.boxed()
    }

    fn open(&self, request: Request) -> BoxFuture<'static, Result<StreamResponse, TransportError>> {
        let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert!(header("x-agent-token").is_none(), "the agent's own token is for the platform only");
        assert!(header("accept").unwrap().contains("text/event-stream"));
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let rpc = body["method"].as_str().unwrap_or_default().to_owned();
        let id = body["id"].clone();
        self.seen.lock().unwrap().push(Seen {
            http: format!("{} {}", request.method(), request.uri()),
            rpc: rpc.clone(),
            body,
            token: header("authorization").unwrap(),
            session: header("mcp-session-id"),
            version: header("mcp-protocol-version"),
            last_event_id: header("last-event-id"),
        });
        self.more.notify_all();
        let mut session = None;
        // Beginnings and notifications are always fine, unless a test says otherwise for all.
        let reply = match rpc.as_str() {
            "initialize" => {
                let mut sessions = self.sessions.lock().unwrap();
                *sessions += 1;
                session = Some(format!("session-{sessions}"));
                let scripted = matches!(self.replies.lock().unwrap().front(), Some(Reply::Begin(..)));
                let next = scripted.then(|| self.replies.lock().unwrap().pop_front().unwrap());
                next.unwrap_or(Reply::Json(
                    json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {}}),
                ))
            }
            "notifications/initialized" | "notifications/cancelled" => Reply::Status(202, ""),
            "" if id.is_null() && request.method() == "DELETE" => Reply::Status(200, ""),
            "" if request.method() == "POST" => Reply::Status(202, ""),
            _ => self.replies.lock().unwrap().pop_front().unwrap_or(Reply::Json(json!({}))),
        };
        let answer = |status: u16, kind: &str| {
            let mut answer = http::Response::builder().status(status);
            if !kind.is_empty() {
                answer = answer.header("Content-Type", kind);
            }
            if let Some(session) = &session {
                answer = answer.header("Mcp-Session-Id", session);
            }
            if status == 302 {
                answer = answer.header("Location", "https://elsewhere.example/mcp");
            }
            answer
        };
        let number = id.to_string();
        let with_id = move |piece: String| Ok(Bytes::from(piece.replace("ID", &number)));
        let whole = |text: String| stream::iter([Ok(Bytes::from(text))]).boxed();
        let reply = match reply {
            Reply::Json(result) => {
                let text = json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
                Ok(answer(200, "application/json; charset=utf-8").body(whole(text)).unwrap())
            }
            Reply::Status(status, text) => Ok(answer(status, "").body(whole(text.to_owned())).unwrap()),
            Reply::Raw(status, kind, text) | Reply::Begin(status, kind, text) => {
                Ok(answer(status, kind).body(whole(text.to_owned())).unwrap())
            }
            Reply::Pieces(kind, pieces) => {
                let pieces = stream::iter(pieces.into_iter().map(with_id));
                Ok(answer(200, kind).body(pieces.boxed()).unwrap())
            }
            Reply::Events(pieces, breaks) => {
                let pieces = pieces.into_iter().map(with_id);
                let end = breaks.then(|| Err(TransportError::maybe_sent("cut")));
                Ok(answer(200, "text/event-stream").body(stream::iter(pieces.chain(end)).boxed()).unwrap())
            }
            Reply::Lost => Err(TransportError::maybe_sent("Connection reset")),
            Reply::Never => return std::future::pending().boxed(),
        };
        async move { reply }.boxed()
    }
}

fn server_with(replies: impl IntoIterator<Item = Reply>, config: AgentConfig) -> (LimeAgent, Arc<Fake>) {
    let fake = Arc::new(Fake {
        seen: Mutex::default(),
        more: Condvar::new(),
        replies: Mutex::new(replies.into_iter().collect()),
        tokens: Mutex::default(),
        sessions: Mutex::default(),
    });
    let config = AgentConfig {
        agent_token: Some("at_test".into()),
        base_url: Some("https://lime.example/api/v1".into()),
        transport: Some(Arc::clone(&fake) as _),
        clock: Arc::new(ManualClock::at(Duration::from_secs(1_800_000_000)).skipping_sleeps()),
        ..config
    };
    (LimeAgent::new(config).unwrap(), fake)
}

fn server(replies: impl IntoIterator<Item = Reply>) -> (LimeAgent, Arc<Fake>) {
    server_with(replies, AgentConfig::default())
}

impl Fake {
    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn rpcs(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.rpc).collect()
    }

    fn wait_for(&self, what: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        let (seen, late) = self.more.wait_timeout_while(seen, LONG, |seen| !what(seen)).unwrap();
        assert!(!late.timed_out(), "{seen:?}");
        seen.clone()
    }
}

fn call(agent: &LimeAgent, call: McpCall) -> Result<Value, Error> {
    agent.mcp(URL, call).wait().map(|result: McpResult| Value::Object(result.object().unwrap()))
}

fn echo() -> McpCall {
    McpCall::call_tool("echo", json!({"text": "hi"}).as_object().cloned())
}

fn event(message: &Value) -> String {
    format!("event: message\ndata: {message}\n\n")
}

/// The answer to the question under way, as an event.
fn answer(result: &Value) -> String {
    format!("event: message\ndata: {{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{result}}}\n\n")
}

#[test]
fn a_session_begins_with_the_first_call_and_serves_the_next_ones() {
    let (agent, fake) =
        server([Reply::Json(json!({"content": [], "x": 1})), Reply::Json(json!({"content": []}))]);
    assert_eq!(call(&agent, echo()).unwrap(), json!({"content": [], "x": 1}), "as the server wrote it");
    call(&agent, echo()).unwrap();
    let seen = fake.seen();
    assert_eq!(fake.rpcs(), ["initialize", "notifications/initialized", "tools/call", "tools/call"]);
    assert_eq!(seen[0].http, format!("POST {URL}"));
    assert_eq!(seen[0].body["params"]["protocolVersion"], "2025-11-25");
    assert_eq!(seen[0].body["params"]["clientInfo"]["name"], "lime");
    assert_eq!((&seen[0].session, &seen[0].version), (&None, &None));
    for later in &seen[1..] {
        assert_eq!(later.session.as_deref(), Some("session-1"));
        assert_eq!(later.version.as_deref(), Some("2025-06-18"), "what the server chose");
        assert_eq!(later.token, "Bearer h.1.s");
    }
    assert_eq!(seen[2].body["params"], json!({"name": "echo", "arguments": {"text": "hi"}}));
    assert_ne!(seen[2].body["id"], seen[3].body["id"]);
    assert!(seen[1].body.get("id").is_none());
}

#[test]
fn every_call_says_what_the_protocol_has() {
    let (agent, fake) = server([]);
    let object = |value: Value| value.as_object().cloned();
    for each in [
        McpCall::list_tools(),
        McpCall::call_tool("a", None),
        McpCall::list_resources(),
        McpCall::list_resource_templates(),
        McpCall::read_resource("note://a"),
        McpCall::list_prompts(),
        McpCall::get_prompt("p", object(json!({"a": "b"}))),
        McpCall::ping(),
        McpCall::set_logging_level("debug"),
        McpCall::progress("t", 1.0, Some(2.5)),
        McpCall::new("completion/complete", object(json!({"x": 1})).unwrap()),
    ] {
        call(&agent, each).unwrap();
    }
    assert_eq!(call(&agent, McpCall::server_capabilities()).unwrap(), json!({"tools": {}}));
    let said: Vec<_> =
        fake.seen()[2..].iter().map(|seen| (seen.rpc.clone(), seen.body["params"].clone())).collect();
    let wanted = [
        ("tools/list", Value::Null),
        ("tools/call", json!({"name": "a", "arguments": {}})),
        ("resources/list", Value::Null),
        ("resources/templates/list", Value::Null),
        ("resources/read", json!({"uri": "note://a"})),
        ("prompts/list", Value::Null),
        ("prompts/get", json!({"name": "p", "arguments": {"a": "b"}})),
        ("ping", Value::Null),
        ("logging/setLevel", json!({"level": "debug"})),
        ("notifications/progress", json!({"progressToken": "t", "progress": 1, "total": 2.5})),
        ("completion/complete", json!({"x": 1})),
    ];
    assert_eq!(said, wanted.map(|(method, params)| (method.to_owned(), params)));
}

#[test]
fn a_refused_token_is_replaced_once_and_the_session_goes_on() {
    let (agent, fake) = server([Reply::Begin(401, "", ""), Reply::Json(json!({"content": []}))]);
    call(&agent, echo()).unwrap();
    let seen = fake.seen();
    assert_eq!(
        fake.rpcs(),
        ["initialize", "initialize", "notifications/initialized", "tools/call"],
        "refused at once"
    );
    assert_eq!((seen[0].token.as_str(), seen[3].token.as_str()), ("Bearer h.1.s", "Bearer h.2.s"));

    fake.replies.lock().unwrap().extend([Reply::Status(401, ""), Reply::Json(json!({"content": []}))]);
    call(&agent, echo()).unwrap();
    let seen = fake.seen();
    assert_eq!(fake.rpcs()[4..], ["tools/call", "tools/call"]);
    assert_eq!((seen[4].token.as_str(), seen[5].token.as_str()), ("Bearer h.2.s", "Bearer h.3.s"));
    assert_eq!(seen[5].session.as_deref(), Some("session-2"));
}

#[test]
fn a_token_that_is_refused_again_is_an_error_of_its_own() {
    let (agent, fake) = server([Reply::Begin(401, "", "no"), Reply::Begin(401, "", "no")]);
    let error = call(&agent, echo()).unwrap_err();
    assert_eq!(
        (error.kind(), error.code(), error.http_status()),
        (ErrorKind::McpAuthentication, Some("MCP_AUTH_FAILED"), Some(401))
    );
    assert_eq!(fake.rpcs(), ["initialize", "initialize"]);
    assert_eq!(*fake.tokens.lock().unwrap(), 2);
}

#[test]
fn a_session_that_the_server_has_lost_begins_anew_once() {
    let (agent, fake) = server([
        Reply::Json(json!({"content": []})),
        Reply::Raw(
            404,
            "application/json",
            r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Session not found"}}"#,
        ),
        Reply::Json(json!({"content": []})),
    ]);
    call(&agent, echo()).unwrap();
    call(&agent, echo()).unwrap();
    let sessions: Vec<_> = fake
        .seen()
        .into_iter()
        .filter(|seen| seen.rpc == "tools/call")
        .map(|seen| seen.session.unwrap())
        .collect();
    assert_eq!(sessions, ["session-1", "session-1", "session-2"]);
    assert_eq!(*fake.tokens.lock().unwrap(), 1);

    fake.replies.lock().unwrap().extend([Reply::Status(404, ""), Reply::Status(404, "")]);
    let error = call(&agent, echo()).unwrap_err();
    assert_eq!((error.kind(), error.http_status()), (ErrorKind::BadResponse, Some(404)));
}

#[test]
fn an_answer_comes_in_a_stream_in_any_cut() {
    let noise = [
        "id: 7\ndata: \n\n".to_owned(),
        ": a comment\n\n".to_owned(),
        event(
            &json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}),
        ),
        event(&json!({"jsonrpc": "2.0", "id": 999, "result": {"of": "another question"}})),
        "data: {no json\n\n".to_owned(),
        answer(&json!({"content": [{"type": "text", "text": "ü"}]})),
        event(&json!({"never": "read"})),
    ];
    let whole = noise.concat();
    let bytes: Vec<String> = whole.chars().map(String::from).collect();
    let (agent, _) = server([
        Reply::Events(noise.to_vec(), false),
        Reply::Events(vec![whole], false),
        Reply::Events(bytes, false),
    ]);
    for _ in 0..2 {
        assert_eq!(call(&agent, echo()).unwrap()["content"][0]["text"], "ü");
    }
}

#[test]
fn a_message_may_be_larger_than_other_answers() {
    let large = "x".repeat(3 << 20);
    let result = json!({"content": [{"type": "text", "text": large}]});
    let (agent, _) = server([Reply::Json(result.clone()), Reply::Events(vec![answer(&result)], false)]);
    assert_eq!(call(&agent, echo()).unwrap(), result);
    assert_eq!(call(&agent, echo()).unwrap(), result);
}

/// Nor is it without end: 64 MiB.
#[test]
fn a_message_may_not_be_of_any_size() {
    let piece = "x".repeat(16 << 20);
    let whole = Reply::Pieces("application/json", vec![piece.clone(); 5]);
    let mut pieces = vec!["data: ".to_owned()];
    pieces.extend(vec![piece; 5]);
    let (agent, _) = server([whole, Reply::Events(pieces, false)]);
    for _ in 0..2 {
        let error = call(&agent, McpCall::list_tools()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadResponse, "{error}");
        assert!(error.message().contains("larger than"), "{error}");
    }
}

#[test]
fn an_answer_may_come_in_pieces() {
    let pieces = ["{\"jsonrpc\":\"2.0\",", "\"id\":ID,\"result\"", ":{\"tools\":[]}", "}"];
    let (agent, _) = server([Reply::Pieces("application/json", pieces.map(str::to_owned).into())]);
    let result = agent.mcp(URL, McpCall::list_tools()).wait().unwrap();
    assert_eq!(result.into_json(), r#"{"tools":[]}"#);
}

#[test]
fn what_a_server_asks_is_answered_before_it_answers() {
    let asks = [
        event(&json!({"jsonrpc": "2.0", "id": "p1", "method": "ping"})),
        event(&json!({"jsonrpc": "2.0", "id": 5, "method": "sampling/createMessage", "params": {}})),
        answer(&json!({"content": []})),
    ];
    let (agent, fake) = server([Reply::Events(asks.to_vec(), false)]);
    call(&agent, echo()).unwrap();
    let answers: Vec<_> = fake.seen()[3..].iter().map(|seen| seen.body.clone()).collect();
    assert_eq!(answers[0], json!({"jsonrpc": "2.0", "id": "p1", "result": {}}));
    assert_eq!(answers[1]["id"], 5);
    assert_eq!(answers[1]["error"]["code"], -32601);
}

#[test]
fn a_stream_that_ends_is_gone_on_with_behind_its_last_event() {
    let (agent, fake) = server([
        Reply::Events(vec!["id: a\nretry: 5\ndata:\n\n".to_owned()], false),
        Reply::Events(vec!["id: b\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n\n".to_owned()], true),
        Reply::Events(
            vec!["data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[]}}\n\n".to_owned()],
            false,
        ),
    ]);
    call(&agent, echo()).unwrap();
    let resumed: Vec<_> = fake.seen()[3..]
        .iter()
        .map(|seen| (seen.http.clone(), seen.last_event_id.clone().unwrap()))
        .collect();
    assert_eq!(resumed, [(format!("GET {URL}"), "a".to_owned()), (format!("GET {URL}"), "b".to_owned())]);
}

#[test]
fn what_came_of_a_tool_is_not_known_when_its_answer_gets_lost() {
    for lost in [
        Reply::Lost,
        Reply::Events(vec![": nothing\n\n".to_owned()], false),
        Reply::Events(vec![": nothing\n\n".to_owned()], true),
        Reply::Raw(200, "application/json", "<html>"),
        Reply::Raw(200, "text/html", "<html>"),
        Reply::Status(202, ""),
        Reply::Status(500, ""),
        Reply::Status(502, "<html>"),
        Reply::Raw(504, "text/html", "<html>"),
    ] {
        let shown = format!("{lost:?}");
        let (agent, fake) = server([lost]);
        let error = call(&agent, echo()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{shown}: {error:?}");
        assert_eq!(fake.rpcs().iter().filter(|rpc| *rpc == "tools/call").count(), 1, "{shown}");
    }
    // The server itself says what went wrong, or that it has not begun.
    let said = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"Broken"}}"#;
    for refused in [Reply::Raw(500, "application/json", said), Reply::Status(503, ""), Reply::Status(403, "")]
    {
        let (agent, _) = server([refused]);
        assert_eq!(call(&agent, echo()).unwrap_err().kind(), ErrorKind::Mcp);
    }
    // Whatever does nothing has merely failed.
    for (lost, kind) in
        [(Reply::Lost, ErrorKind::Transport), (Reply::Status(202, ""), ErrorKind::BadResponse)]
    {
        let (agent, _) = server([lost]);
        assert_eq!(call(&agent, McpCall::list_tools()).unwrap_err().kind(), kind);
    }
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let config = AgentConfig { mcp_read_timeout: Duration::from_millis(1), ..AgentConfig::default() };
    let (agent, _) = server_with([Reply::Never], config);
    assert_eq!(call(&agent, McpCall::ping()).unwrap_err().kind(), ErrorKind::TransportTimeout);
}

#[test]
fn errors_of_a_server() {
    let error = |body: &'static str| Reply::Raw(200, "application/json", body);
    let table = [
        (
            error(
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Unknown tool","data":{"a":1}}}"#,
            ),
            ErrorKind::Mcp,
            "-32602",
            "Unknown tool",
            None,
        ),
        (
            error(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}"#),
            ErrorKind::Mcp,
            "-32700",
            "Parse error",
            None,
        ),
        (
            error(
                r#"[{"jsonrpc":"2.0","method":"x"},{"jsonrpc":"2.0","id":1,"error":{"code":5,"message":"m"}}]"#,
            ),
            ErrorKind::Mcp,
            "5",
            "m",
            None,
        ),
        (
            Reply::Raw(
                400,
                "application/json",
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"Bad"}}"#,
            ),
            ErrorKind::Mcp,
            "-32600",
            "Bad",
            Some(400),
        ),
        (
            Reply::Status(403, "<html>"),
            ErrorKind::Mcp,
            "HTTP_403",
            "The MCP server answered HTTP 403",
            Some(403),
        ),
        (Reply::Status(500, ""), ErrorKind::Mcp, "HTTP_500", "The MCP server answered HTTP 500", Some(500)),
        (
            Reply::Status(429, ""),
            ErrorKind::RateLimit,
            "HTTP_429",
            "The MCP server answered HTTP 429",
            Some(429),
        ),
    ];
    for (reply, kind, code, message, status) in table {
        let shown = format!("{reply:?}");
        let (agent, fake) = server([reply]);
        let error = call(&agent, McpCall::ping()).unwrap_err();
        assert_eq!(
            (error.kind(), error.code(), error.message(), error.http_status()),
            (kind, Some(code), message, status),
            "{shown}"
        );
        assert_eq!(fake.rpcs().len(), 3, "{shown}");
    }
    let (agent, _) =
        server([error(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"m","data":[1]}}"#)]);
    let detail = call(&agent, McpCall::ping()).unwrap_err().detail().cloned();
    assert_eq!(detail.map(Value::Object), Some(json!({"code": -1, "data": [1]})));
}

#[test]
fn a_redirect_is_not_followed() {
    let (agent, fake) = server([Reply::Begin(302, "", "")]);
    let error = call(&agent, echo()).unwrap_err();
    assert_eq!((error.kind(), error.http_status()), (ErrorKind::BadResponse, Some(302)));
    assert!(error.message().contains("https://elsewhere.example"), "{error}");
    assert_eq!(fake.rpcs(), ["initialize"]);
}

#[test]
fn a_protocol_that_nobody_knows_is_refused() {
    let (agent, _) = server([Reply::Begin(
        200,
        "application/json",
        r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"1999-01-01","capabilities":{}}}"#,
    )]);
    let error = call(&agent, echo()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadResponse);
    assert!(error.message().contains("Unsupported protocol version"), "{error}");
}

#[test]
fn capabilities_are_an_object_like_every_result() {
    for (written, wanted) in [
        (r#""all""#, None),
        ("[1]", None),
        ("7", None),
        ("null", Some(json!({}))),
        (r#"{"a":1}"#, Some(json!({"a": 1}))),
    ] {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":0,"result":{{"protocolVersion":"2025-06-18","capabilities":{written}}}}}"#
        );
        let (agent, _) = server([Reply::Begin(200, "application/json", text.leak())]);
        let found = call(&agent, McpCall::server_capabilities());
        assert_eq!(found.map_err(|error| error.kind()), wanted.ok_or(ErrorKind::BadResponse), "{written}");
    }
}

#[test]
fn lists_are_of_all_pages_or_of_one() {
    let pages = || {
        [
            Reply::Json(json!({"tools": [{"name": "a"}], "nextCursor": "2", "_meta": {"x": 1}})),
            Reply::Json(json!({"tools": [{"name": "b"}], "nextCursor": "3"})),
            Reply::Json(json!({"tools": [{"name": "c"}]})),
        ]
    };
    let (agent, fake) = server(pages());
    let all = call(&agent, McpCall::list_tools()).unwrap();
    assert_eq!(all, json!({"tools": [{"name": "a"}, {"name": "b"}, {"name": "c"}], "_meta": {"x": 1}}));
    let cursors: Vec<_> = fake.seen()[2..].iter().map(|seen| seen.body["params"]["cursor"].clone()).collect();
    assert_eq!(cursors, [Value::Null, json!("2"), json!("3")]);

    let (agent, _) = server(pages());
    let one = call(&agent, McpCall::list_tools().one_page()).unwrap();
    assert_eq!((one["tools"].as_array().unwrap().len(), &one["nextCursor"]), (1, &json!("2")));

    let endless = (0..1001).map(|_| Reply::Json(json!({"tools": [], "nextCursor": "again"})));
    let (agent, fake) = server(endless);
    assert_eq!(call(&agent, McpCall::list_tools()).unwrap_err().kind(), ErrorKind::BadResponse);
    assert_eq!(fake.rpcs().len(), 1002);
}

#[test]
fn a_server_is_told_of_a_call_that_is_given_up() {
    let (agent, fake) = server([Reply::Never]);
    let (sender, ended) = std::sync::mpsc::channel();
    let id = agent.mcp(URL, echo()).start(move |result| sender.send(result).unwrap());
    let asked = fake.wait_for(|seen| seen.iter().any(|seen| seen.rpc == "tools/call"));
    assert!(lime_core::cancel_operation(id));
    assert_eq!(ended.recv_timeout(LONG).unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    let seen = fake.wait_for(|seen| seen.iter().any(|seen| seen.rpc == "notifications/cancelled"));
    let told = seen.last().unwrap();
    assert_eq!(told.body["params"]["requestId"], asked.last().unwrap().body["id"]);
    assert_eq!(told.session.as_deref(), Some("session-1"));
}

#[test]
fn servers_are_told_when_the_client_ends() {
    let (agent, fake) = server([]);
    call(&agent, echo()).unwrap();
    agent.close();
    let seen = fake.wait_for(|seen| seen.iter().any(|seen| seen.http.starts_with("DELETE")));
    let last = seen.last().unwrap();
    assert_eq!(
        (last.http.as_str(), last.session.as_deref()),
        (format!("DELETE {URL}").as_str(), Some("session-1"))
    );
    agent.close();
    assert_eq!(call(&agent, echo()).unwrap_err().kind(), ErrorKind::Closed);
    // Nothing to say without a session.
    let (agent, fake) = server([]);
    agent.get_mcp_access_token(URL, false).wait().unwrap();
    agent.close();
    assert!(fake.seen().is_empty());
}

#[test]
fn one_call_after_the_other_unless_told_otherwise() {
    for (serialized, most) in [(true, 1), (false, 3)] {
        let config = AgentConfig { serialize_mcp_per_url: serialized, ..AgentConfig::default() };
        let (agent, fake) =
            server_with([Reply::Json(json!({})), Reply::Never, Reply::Never, Reply::Never], config);
        call(&agent, McpCall::ping()).unwrap();
        let ids: Vec<_> = (0..3).map(|_| agent.mcp(URL, echo()).start(drop)).collect();
        let count = |seen: &[Seen]| seen.iter().filter(|seen| seen.rpc == "tools/call").count();
        fake.wait_for(|seen| count(seen) >= most);
        // Another server is not held up.
        agent
            .mcp("https://other.example.com", McpCall::new("notifications/x", serde_json::Map::default()))
            .start(drop);
        let seen = fake.wait_for(|seen| seen.iter().any(|seen| seen.rpc == "notifications/x"));
        assert_eq!(count(&seen), most);
        for id in ids {
            lime_core::cancel_operation(id);
        }
    }
}

#[test]
fn no_request_for_a_target_that_is_no_public_host_name() {
    let (agent, fake) = server([]);
    for target in ["http://127.0.0.1:8000/mcp", "localhost:8000", "https://u@tools.example.com/mcp", ""] {
        assert_eq!(
            agent.mcp(target, echo()).wait().unwrap_err().kind(),
            ErrorKind::InvalidArgument,
            "{target}"
        );
    }
    assert!(fake.seen().is_empty());
    assert_eq!(*fake.tokens.lock().unwrap(), 0);
}

#[test]
fn nothing_shows_a_token_or_arguments() {
    let shown = format!("{:?}", McpCall::call_tool("t", json!({"password": "secret"}).as_object().cloned()));
    assert!(shown.contains("tools/call") && !shown.contains("secret"), "{shown}");
    let (agent, _) = server([Reply::Lost]);
    assert!(!format!("{:?}", call(&agent, echo()).unwrap_err()).contains("h.1.s"));
}

/// Over sockets: a server on this machine, found by its public name.
#[test]
fn a_server_at_a_named_address_is_talked_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, heads) = mpsc::channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = BufReader::new(connection.unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let start = head.len();
                if connection.read_line(&mut head).unwrap_or(0) <= 2 {
                    break;
                }
                if let Some(value) = head[start..].to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            connection.read_exact(&mut body).unwrap();
            let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
            let result = match asked["method"].as_str() {
                Some("initialize") => {
                    json!({"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {}})
                }
                _ => json!({"tools": []}),
            };
            let answer = json!({"jsonrpc": "2.0", "id": asked["id"], "result": result}).to_string();
            let status = if asked["id"].is_null() { "202 Accepted" } else { "200 OK" };
            let answer = if asked["id"].is_null() { String::new() } else { answer };
            let kind = "Content-Type: application/json\r\nConnection: close";
            let told =
                format!("HTTP/1.1 {status}\r\n{kind}\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
            connection.get_mut().write_all(told.as_bytes()).unwrap();
            if sender.send(head).is_err() {
                return;
            }
        }
    });
    let sandbox = lime_sandbox::Sandbox::start_blocking(lime_sandbox::Options::new()).unwrap();
    let agent = LimeAgent::new(AgentConfig {
        agent_token: Some(sandbox.agent_token().to_owned()),
        base_url: Some(sandbox.lime_api_base().to_owned()),
        mcp_addresses: vec![("tools.example.com".into(), "127.0.0.1".parse().unwrap())],
        ..AgentConfig::default()
    })
    .unwrap();
    let url = format!("http://tools.example.com:{port}/mcp");
    let result = agent.mcp(&url, McpCall::list_tools()).wait().unwrap();
    assert_eq!(result.json(), r#"{"tools":[]}"#);
    let head = heads.recv_timeout(LONG).unwrap().to_lowercase();
    assert!(head.starts_with("post /mcp http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: tools.example.com:{port}")), "{head}");
    assert!(head.contains("authorization: bearer eyj"), "{head}");
    assert!(!head.contains(&sandbox.agent_token().to_lowercase()), "{head}");
}

/// Without TLS and not on this machine, that is said, once for a server; the token goes there all the same, as with
/// the published package.
#[test]
fn a_server_without_tls_is_warned_of_once() {
    let (sender, records) = mpsc::channel();
    let sender = Mutex::new(sender);
    let logger =
        Logger::new(Level::Warning, move |_, text| sender.lock().unwrap().send(text.to_owned()).unwrap());
    let (agent, _) = server_with([], AgentConfig { logger, ..AgentConfig::default() });
    for _ in 0..2 {
        agent.mcp("http://tools.example.com/mcp", McpCall::list_tools()).wait().unwrap();
    }
    agent.mcp(URL, McpCall::list_tools()).wait().unwrap();
    let told: Vec<String> = records.try_iter().collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("tools.example.com is talked to without TLS"), "{told:?}");
}
