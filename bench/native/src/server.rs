//! A platform without rules: answers that were made beforehand, as fast as one thread can write them, so that
//! what is measured is the client. The sandbox, which keeps the rules, serves where they matter.
//!
//! Prints its address. Any token is welcome. Besides the platform's own paths:
//!
//! - `POST /bench/burst?n=N` with `X-Site-Token` writes N events to that token's stream, as fast as it takes them.
//! - `POST /bench/pace?n=N&rate=R` writes N events, R a second; the request id of each is the monotonic clock's
//!   nanoseconds at which it was written.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

const CREATED: &str = r#"{"ok":true,"data":{"login_request_id":"lr_0123456789abcdef","status":"PENDING","expires_at":"2099-01-01T00:00:00Z"}}"#;
const PENDING: &str = r#"{"approval_id":"ap_0123456789abcdef","status":"pending"}"#;
/// Of one event with what surrounds it: about that of a passport signed with 2,048 bits.
const EVENT_BYTES: usize = 700;
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Bytes for a stream, ready to be written.
type Streams = Rc<RefCell<HashMap<String, mpsc::Sender<Vec<u8>>>>>;

fn main() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("http://{}", listener.local_addr()?);
        let streams = Streams::default();
        loop {
            let (connection, _) = listener.accept().await?;
            connection.set_nodelay(true)?;
            let streams = Rc::clone(&streams);
            tokio::task::spawn_local(async move {
                // A client that goes away is nothing to tell of.
                let _ = serve(connection, streams).await;
            });
        }
    })
}

struct Request {
    method: String,
    path: String,
    query: HashMap<String, String>,
    site_token: String,
    /// Bytes of its head and of its body.
    length: usize,
}

/// The request at the start of the bytes, once all of it is there.
fn parse(bytes: &[u8]) -> Option<Request> {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).unwrap_or_default();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let method = first.next().unwrap_or_default().to_owned();
    let target = first.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let header = |name: &str| {
        head.split("\r\n")
            .filter_map(|line| line.split_once(':'))
            .find_map(|(found, value)| found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned()))
    };
    let body: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    (bytes.len() >= end + body).then(|| Request {
        method,
        path: path.to_owned(),
        query: query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        site_token: header("x-site-token").unwrap_or_default(),
        length: end + body,
    })
}

fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn serve(mut connection: TcpStream, streams: Streams) -> io::Result<()> {
    let created = answer("201 Created", CREATED);
    let mut bytes = Vec::with_capacity(4096);
    loop {
        let Some(request) = parse(&bytes) else {
            if connection.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
            continue;
        };
        bytes.drain(..request.length);
        let number =
            |name: &str| request.query.get(name).and_then(|value| value.parse::<u32>().ok()).unwrap_or(1);
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", path) if path.ends_with("/modules/agent-login/requests") => {
                connection.write_all(created.as_bytes()).await?;
            }
            ("GET", path) if path.ends_with("/modules/agent-login/events") => {
                return stream(connection, &streams, request.site_token).await;
            }
            ("POST", "/v1/approvals") => {
                connection.write_all(answer("202 Accepted", PENDING).as_bytes()).await?;
            }
            ("GET", path) if path.starts_with("/v1/approvals/") => {
                if request.query.contains_key("wait") {
                    // Nobody decides: the answer is held until the client goes.
                    while connection.read_buf(&mut bytes).await? != 0 {}
                    return Ok(());
                }
                connection.write_all(answer("200 OK", PENDING).as_bytes()).await?;
            }
            ("POST", "/bench/burst" | "/bench/pace") => {
                let sender =
                    streams.borrow().get(&request.site_token).filter(|there| !there.is_closed()).cloned();
                let Some(sender) = sender else {
                    connection.write_all(answer("404 Not Found", "{}").as_bytes()).await?;
                    continue;
                };
                connection.write_all(answer("200 OK", "{}").as_bytes()).await?;
                if request.path == "/bench/burst" {
                    burst(&sender, number("n")).await;
                } else {
                    pace(&sender, number("n"), number("rate")).await;
                }
            }
            _ => connection.write_all(answer("404 Not Found", "{}").as_bytes()).await?,
        }
    }
}

/// Serves an event stream until the client goes.
async fn stream(mut connection: TcpStream, streams: &Streams, token: String) -> io::Result<()> {
    let (sender, mut events) = mpsc::channel(4);
    streams.borrow_mut().insert(token, sender);
    connection
        .write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
        )
        .await?;
    let mut keepalive = tokio::time::interval(KEEPALIVE);
    loop {
        let mut nothing = [0];
        let data = tokio::select! {
            biased;
            data = events.recv() => match data {
                Some(data) => data,
                None => return Ok(()), // a newer stream of the same token
            },
            _ = keepalive.tick() => b"data: {\"type\":\"keepalive\"}\n\n".to_vec(),
            _ = connection.read(&mut nothing) => return Ok(()),
        };
        let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
        chunk.extend_from_slice(&data);
        chunk.extend_from_slice(b"\r\n");
        connection.write_all(&chunk).await?;
    }
}

fn event(request_id: &str) -> Vec<u8> {
    let begin =
        format!(r#"data: {{"type":"approved","login_request_id":"{request_id}","agent_passport_jwt":""#);
    let mut event = begin.into_bytes();
    event.resize(EVENT_BYTES - 4, b'p');
    event.extend_from_slice(b"\"}\n\n");
    event
}

async fn burst(sender: &mpsc::Sender<Vec<u8>>, count: u32) {
    // No two alike in the life of the server: a client may hand on once what it is sent twice.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut written = 0;
    while written < count {
        let many = (count - written).min(64);
        let mut chunk = Vec::with_capacity(many as usize * EVENT_BYTES);
        for _ in 0..many {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            chunk.extend_from_slice(&event(&format!("lr_{number:016}")));
        }
        written += many;
        if sender.send(chunk).await.is_err() {
            return;
        }
    }
}

async fn pace(sender: &mpsc::Sender<Vec<u8>>, count: u32, rate: u32) {
    let begin = Instant::now();
    for number in 0..count {
        // tokio's clock has milliseconds: at high rates some are written together, as they would arrive.
        tokio::time::sleep_until(begin + Duration::from_secs_f64(f64::from(number) / f64::from(rate))).await;
        let now = clock_gettime(ClockId::Monotonic);
        let nanoseconds = now.tv_sec * 1_000_000_000 + now.tv_nsec;
        if sender.send(event(&format!("lr_{nanoseconds}"))).await.is_err() {
            return;
        }
    }
}
