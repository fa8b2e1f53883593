//! A small HTTP/1.1 client that sees what is on the wire, broken answers included.

#![allow(dead_code)] // every test crate uses its own part

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lime_sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Long enough for a loaded machine; nothing waits that long when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const REQUESTS: &str = "/api/v1/modules/agent-login/requests";
pub(crate) const EVENTS: &str = "/api/v1/modules/agent-login/events";
pub(crate) const JWKS: &str = "/api/v1/core/.well-known/jwks.json";
pub(crate) const PROFILE: &str = "/api/v1/core/agents/me/profile";
pub(crate) const MCP_METADATA: &str = "/api/v1/modules/oauth/.well-known/oauth-authorization-server";
pub(crate) const MCP_TOKEN: &str = "/api/v1/modules/oauth/token";
pub(crate) const APPROVALS: &str = "/v1/approvals";

/// A sandbox with an easy proof of work.
pub(crate) async fn sandbox() -> Sandbox {
    Sandbox::start(Options::new().difficulty(4)).await.unwrap()
}

/// Fails a test that would hang.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

/// How the body of an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// As announced.
    Complete,
    /// The connection was closed too early.
    Closed,
    /// The connection was reset.
    Reset,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
    /// The sizes of the chunks, when the body came in chunks.
    pub(crate) chunks: Vec<usize>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    /// The data of a success envelope.
    pub(crate) fn data(&self) -> Value {
        let body = self.json();
        assert_eq!(body["ok"], true, "{body}");
        body["data"].clone()
    }

    /// Status and code of a failure envelope.
    pub(crate) fn failure(&self) -> (u16, String) {
        let body = self.json();
        assert_eq!(body["ok"], false, "{body}");
        assert!(body["error"]["message"].is_string());
        (self.status, body["error"]["code"].as_str().unwrap().to_owned())
    }
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// One connection.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    port: u16,
}

impl Connection {
    pub(crate) async fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        Self { stream: BufReader::new(stream), port }
    }

    pub(crate) async fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            write!(head, "host: 127.0.0.1:{}\r\n", self.port).unwrap();
        }
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        write!(head, "content-length: {}\r\n\r\n", body.len()).unwrap();
        self.stream.write_all(head.as_bytes()).await.unwrap();
        self.stream.write_all(body).await.unwrap();
    }

    /// A line without its ending; nothing at the end of the connection.
    async fn line(&mut self) -> Result<String, End> {
        let mut line = String::new();
        match self.stream.read_line(&mut line).await {
            Ok(0) => Err(End::Closed),
            Ok(_) if line.ends_with("\r\n") => {
                line.truncate(line.len() - 2);
                Ok(line)
            }
            Ok(_) => Err(End::Closed),
            Err(_) => Err(End::Reset),
        }
    }

    /// Status and headers.
    pub(crate) async fn head(&mut self) -> Result<(u16, Vec<(String, String)>), End> {
        let line = self.line().await?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok((status, headers));
            }
            let (name, value) = line.split_once(": ").unwrap();
            headers.push((name.to_owned(), value.to_owned()));
        }
    }

    /// The next chunk; empty at the end of the body.
    pub(crate) async fn chunk(&mut self) -> Result<Vec<u8>, End> {
        let size = usize::from_str_radix(&self.line().await?, 16).unwrap();
        let mut chunk = vec![0; size + 2];
        match self.stream.read_exact(&mut chunk).await {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(End::Closed);
            }
            Err(_) => return Err(End::Reset),
        }
        chunk.truncate(size);
        Ok(chunk)
    }

    /// A whole answer, or how the connection ended instead.
    pub(crate) async fn answer(&mut self) -> Result<Answer, End> {
        let (status, headers) = self.head().await?;
        let mut answer = Answer { status, headers, body: Vec::new(), end: End::Complete, chunks: Vec::new() };
        if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                match self.chunk().await {
                    Ok(chunk) if chunk.is_empty() => return Ok(answer),
                    Ok(chunk) => {
                        answer.chunks.push(chunk.len());
                        answer.body.extend(chunk);
                    }
                    Err(end) => {
                        answer.end = end;
                        return Ok(answer);
                    }
                }
            }
        }
        let length: usize = answer.header("content-length").unwrap_or("0").parse().unwrap();
        while answer.body.len() < length {
            let mut piece = vec![0; length - answer.body.len()];
            match self.stream.read(&mut piece).await {
                Ok(0) => {
                    answer.end = End::Closed;
                    break;
                }
                Ok(size) => answer.body.extend(&piece[..size]),
                Err(_) => {
                    answer.end = End::Reset;
                    break;
                }
            }
        }
        Ok(answer)
    }
}

/// One request on a connection of its own, or how the connection ended instead.
pub(crate) async fn try_call(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer, End> {
    within(async {
        let mut connection = Connection::open(port).await;
        connection.send(method, path, headers, body).await;
        connection.answer().await
    })
    .await
}

pub(crate) async fn call(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    try_call(port, method, path, headers, body).await.expect("an answer")
}

pub(crate) async fn get(sandbox: &Sandbox, path: &str) -> Answer {
    call(sandbox.port(), "GET", path, &[], b"").await
}

/// A control call that must succeed.
pub(crate) async fn control(sandbox: &Sandbox, method: &str, path: &str, body: Value) -> Value {
    let answer = call(
        sandbox.port(),
        method,
        &format!("/_sandbox{path}"),
        &[("content-type", "application/json")],
        if body.is_null() { Vec::new() } else { body.to_string().into_bytes() }.as_slice(),
    )
    .await;
    assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
    answer.json()
}

/// Makes a login request for the first site.
pub(crate) async fn create(sandbox: &Sandbox) -> String {
    create_for(sandbox, sandbox.site_token()).await
}

pub(crate) async fn create_for(sandbox: &Sandbox, token: &str) -> String {
    let answer = call(sandbox.port(), "POST", REQUESTS, &[("x-site-token", token)], b"{}").await;
    assert_eq!(answer.status, 201);
    answer.data()["login_request_id"].as_str().unwrap().to_owned()
}

/// Reads a login request as the first site.
pub(crate) async fn read(sandbox: &Sandbox, id: &str) -> Answer {
    let headers = [("x-site-token", sandbox.site_token())];
    call(sandbox.port(), "GET", &format!("{REQUESTS}/{id}"), &headers, b"").await
}

pub(crate) async fn challenge(sandbox: &Sandbox, id: &str) -> Answer {
    get(sandbox, &format!("/api/v1/auth/requests/{id}")).await
}

/// The first agent's approve call.
pub(crate) async fn approve(sandbox: &Sandbox, id: &str, nonce: &str) -> Result<Answer, End> {
    approve_as(sandbox, sandbox.agent_token(), id, nonce, &[]).await
}

pub(crate) async fn approve_as(
    sandbox: &Sandbox,
    token: &str,
    id: &str,
    nonce: &str,
    more: &[(&str, &str)],
) -> Result<Answer, End> {
    let mut headers = vec![("x-agent-token", token)];
    headers.extend_from_slice(more);
    let body = json!({"pow_nonce": nonce}).to_string();
    let path = format!("{REQUESTS}/{id}/approve");
    try_call(sandbox.port(), "POST", &path, &headers, body.as_bytes()).await
}

/// The smallest nonce under the seed digest.
pub(crate) fn solve_seed(challenge: &str, difficulty: u32) -> String {
    solve(difficulty, |nonce| format!("{challenge}{nonce}").into_bytes())
}

/// The smallest nonce under today's digest.
pub(crate) fn solve_today(challenge: &str, difficulty: u32) -> String {
    solve(difficulty, |nonce| format!("lime:pow:v1\0{challenge}\0{nonce}").into_bytes())
}

fn solve(difficulty: u32, input: impl Fn(&str) -> Vec<u8>) -> String {
    (0..u64::MAX)
        .map(|nonce| nonce.to_string())
        .find(|nonce| {
            let digest = Sha256::digest(input(nonce));
            u64::from_be_bytes(digest[..8].try_into().unwrap()).leading_zeros() >= difficulty
        })
        .unwrap()
}

/// Gets, solves and sends: the agent's whole part.
pub(crate) async fn login(sandbox: &Sandbox, id: &str) -> Value {
    let data = challenge(sandbox, id).await.data();
    let difficulty = u32::try_from(data["pow_difficulty"].as_i64().unwrap()).unwrap();
    let nonce = solve_seed(data["pow_challenge"].as_str().unwrap(), difficulty);
    approve(sandbox, id, &nonce).await.unwrap().data()
}

fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

/// Asks for an approval with some API key.
pub(crate) async fn trigger_as(sandbox: &Sandbox, key: &str, body: &Value, more: &[(&str, &str)]) -> Answer {
    let key = bearer(key);
    let mut headers = vec![("authorization", key.as_str()), ("content-type", "application/json")];
    headers.extend_from_slice(more);
    call(sandbox.port(), "POST", APPROVALS, &headers, body.to_string().as_bytes()).await
}

/// Asks for an approval with the first API key and returns its id.
pub(crate) async fn trigger(sandbox: &Sandbox, body: Value) -> String {
    let answer = trigger_as(sandbox, sandbox.sesame_api_key(), &body, &[]).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()["approval_id"].as_str().unwrap().to_owned()
}

/// An approval of this action, with the first API key.
pub(crate) async fn ask(sandbox: &Sandbox, action: &str) -> String {
    trigger(sandbox, json!({"action": action, "summary": "Please"})).await
}

/// What the first API key sees of an approval.
pub(crate) async fn look(sandbox: &Sandbox, id: &str, query: &str) -> Answer {
    look_as(sandbox, sandbox.sesame_api_key(), id, query).await
}

pub(crate) async fn look_as(sandbox: &Sandbox, key: &str, id: &str, query: &str) -> Answer {
    let headers = [("authorization", &*bearer(key))];
    call(sandbox.port(), "GET", &format!("{APPROVALS}/{id}{query}"), &headers, b"").await
}

/// A webhook as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    pub(crate) head: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Hook {
    pub(crate) fn header(&self, name: &str) -> &str {
        header(&self.headers, name).unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Whether the signature is that of the body under this secret.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
        let signature: Vec<u8> = (0..self.header("x-sesame-signature").len() / 2)
            .map(|at| u8::from_str_radix(&self.header("x-sesame-signature")[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        aws_lc_rs::hmac::verify(&key, &self.body, &signature).is_ok()
    }
}

/// Somebody who takes webhooks and answers them from a list; with the last answer when it is at its end.
pub(crate) struct Receiver {
    pub(crate) url: String,
    hooks: tokio::sync::mpsc::UnboundedReceiver<Hook>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    /// Answers are whole heads (`200 OK`, `302 Found\r\nlocation: /x`); an empty one closes the
    /// connection without an answer, `silence` keeps it open.
    pub(crate) async fn start(answers: &[&str]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?a=1", listener.local_addr().unwrap());
        let mut answers: std::collections::VecDeque<String> =
            answers.iter().map(|answer| (*answer).to_owned()).collect();
        let (sender, hooks) = tokio::sync::mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut silent = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                let mut connection = Connection { stream: BufReader::new(stream), port: 0 };
                let head = connection.line().await.unwrap();
                let mut headers = Vec::new();
                loop {
                    let line = connection.line().await.unwrap();
                    let Some((name, value)) = line.split_once(": ") else { break };
                    headers.push((name.to_owned(), value.to_owned()));
                }
                let length: usize = header(&headers, "content-length").unwrap().parse().unwrap();
                let mut body = vec![0; length];
                connection.stream.read_exact(&mut body).await.unwrap();
                let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
                match answer.as_deref() {
                    None | Some("") => {}
                    Some("silence") => silent.push(connection),
                    Some(answer) => {
                        let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
                        connection.stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                }
                if sender.send(Hook { head, headers, body }).is_err() {
                    break;
                }
            }
        });
        Self { url, hooks, task }
    }

    pub(crate) async fn hook(&mut self) -> Hook {
        within(self.hooks.recv()).await.unwrap()
    }

    /// Whether everything that came in has been looked at.
    pub(crate) fn is_empty(&self) -> bool {
        self.hooks.is_empty()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An open event stream.
pub(crate) struct Events {
    connection: Connection,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// What has arrived and is not a whole frame yet.
    pub(crate) rest: Vec<u8>,
    /// The sizes of the chunks so far.
    pub(crate) chunks: Vec<usize>,
}

impl Events {
    /// Opens the first site's stream.
    pub(crate) async fn open(sandbox: &Sandbox) -> Self {
        Self::open_for(sandbox, sandbox.site_token()).await
    }

    pub(crate) async fn open_for(sandbox: &Sandbox, token: &str) -> Self {
        within(async {
            let mut connection = Connection::open(sandbox.port()).await;
            let headers = [("x-site-token", token), ("accept", "text/event-stream")];
            connection.send("GET", EVENTS, &headers, b"").await;
            let (status, headers) = connection.head().await.unwrap();
            Self { connection, status, headers, rest: Vec::new(), chunks: Vec::new() }
        })
        .await
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The next frame as text, without its blank line; or how the stream ended.
    pub(crate) async fn frame(&mut self) -> Result<String, End> {
        within(async {
            loop {
                if let Some(at) = self.rest.windows(2).position(|pair| pair == b"\n\n") {
                    let frame = String::from_utf8_lossy(&self.rest[..at]).into_owned();
                    self.rest.drain(..at + 2);
                    return Ok(frame);
                }
                let chunk = self.connection.chunk().await?;
                if chunk.is_empty() {
                    return Err(End::Complete);
                }
                self.chunks.push(chunk.len());
                self.rest.extend(chunk);
            }
        })
        .await
    }

    /// The next event that is not a keepalive.
    pub(crate) async fn event(&mut self) -> Result<Value, End> {
        loop {
            let frame = self.frame().await?;
            let payload = frame.strip_prefix("data: ").expect("a data frame");
            let event: Value = serde_json::from_str(payload).expect("JSON");
            if event["type"] != "keepalive" {
                return Ok(event);
            }
        }
    }
}

/// Header and claims of a JWT, unverified.
pub(crate) fn decode(jwt: &str) -> (Value, Value) {
    let part = |at: usize| {
        let bytes = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(at).unwrap()).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    (part(0), part(1))
}

/// Whether one of the keys has signed the JWT.
pub(crate) fn verifies(jwt: &str, keys: &[Value]) -> bool {
    let (header, _) = decode(jwt);
    assert_eq!(header["alg"], "RS256");
    let (message, signature) = jwt.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    keys.iter().filter(|key| key["kid"] == header["kid"]).any(|key| {
        assert_eq!((&key["kty"], &key["use"], &key["alg"]), (&json!("RSA"), &json!("sig"), &json!("RS256")));
        let number = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
        aws_lc_rs::signature::RsaPublicKeyComponents { n: number("n"), e: number("e") }
            .verify(&aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &signature)
            .is_ok()
    })
}

/// The published keys (envelope or bare).
pub(crate) async fn keys(sandbox: &Sandbox) -> Vec<Value> {
    let document = get(sandbox, JWKS).await.json();
    let keys = if document["keys"].is_array() { &document["keys"] } else { &document["data"]["keys"] };
    keys.as_array().unwrap().clone()
}
