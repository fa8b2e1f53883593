//! A server that sends more than anybody should take: each answer costs an error and a bounded amount of memory.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use lime_core::clock::ManualClock;
use lime_core::{
    AgentConfig, ApprovalRequest, ErrorKind, LimeAgent, LimeSite, PassportCheck, Sesame, SesameConfig,
    SiteConfig, TokenVerifier, TokenVerifierConfig,
};

/// What the library may take of an answer before it gives it up: bodies, lines and events may have 1 MiB, which on the wire
/// are up to 4.
const OWN: usize = 6 << 20;
/// So much is to be had.
const OFFERED: usize = 1 << 30;

type Say = Arc<dyn Fn(&mut Patient) -> std::io::Result<()> + Send + Sync>;

/// A connection whose other end takes what it takes.
struct Patient {
    socket: TcpStream,
    written: usize,
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.socket.write(bytes)?;
        self.written += count;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.socket.flush()
    }
}

/// A server that says this to everybody, and tells how much of it was taken.
fn hostile(say: Say) -> (String, Receiver<(String, usize)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let (sender, told) = mpsc::channel();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let (say, sender) = (Arc::clone(&say), sender.clone());
            thread::spawn(move || {
                let mut socket = socket.unwrap();
                let mut head = Vec::new();
                let mut piece = [0; 4096];
                while !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
                    match socket.read(&mut piece) {
                        Ok(count) if count > 0 => head.extend_from_slice(&piece[..count]),
                        _ => return,
                    }
                }
                let mut connection = Patient { socket, written: 0 };
                let _ = say(&mut connection);
                let _ = sender.send((String::from_utf8_lossy(&head).into_owned(), connection.written));
            });
        }
    });
    (origin, told)
}

/// What may have been written of an answer that is given up. The kernel takes on what its buffers hold, and they grow with
/// what is read: how far is the machine's to say, in bytes, as the last of three numbers.
fn most_taken() -> usize {
    let most = |direction| -> usize {
        let limits = std::fs::read_to_string(format!("/proc/sys/net/ipv4/tcp_{direction}")).unwrap();
        limits.split_whitespace().last().unwrap().parse().unwrap()
    };
    OWN + most("rmem") + most("wmem")
}

fn body(head: &'static str, body: Vec<u8>) -> Say {
    Arc::new(move |to| {
        write!(to, "HTTP/1.1 200 OK\r\n{head}connection: close\r\ncontent-length: {}\r\n\r\n", body.len())?;
        to.write_all(&body)
    })
}

/// A gigabyte of this, announced by its length or in chunks.
fn endless(status: &'static str, content_type: &'static str, chunked: bool, piece: &'static [u8]) -> Say {
    Arc::new(move |to| {
        write!(to, "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\n")?;
        if chunked {
            write!(to, "transfer-encoding: chunked\r\n\r\n")?;
        } else {
            write!(to, "content-length: {OFFERED}\r\n\r\n")?;
        }
        let piece = piece.repeat(65536 / piece.len());
        while to.written < OFFERED {
            if chunked {
                write!(to, "{:x}\r\n", piece.len())?;
            }
            to.write_all(&piece)?;
            if chunked {
                write!(to, "\r\n")?;
            }
        }
        Ok(())
    })
}

/// Everything that reads an answer, against this server; what each made of it.
fn all_kinds(origin: &str) -> Vec<(&'static str, ErrorKind)> {
    let clock = || Arc::new(ManualClock::default().skipping_sleeps());
    let site = LimeSite::new(SiteConfig {
        site_token: Some("st_x".into()),
        base_url: Some(format!("{origin}/api/v1")),
        max_retries: 0,
        clock: clock(),
        ..SiteConfig::default()
    })
    .unwrap();
    let agent = LimeAgent::new(AgentConfig {
        agent_token: Some("at_x".into()),
        base_url: Some(format!("{origin}/api/v1")),
        max_retries: 0,
        clock: clock(),
        ..AgentConfig::default()
    })
    .unwrap();
    let sesame = Sesame::new(SesameConfig {
        api_key: Some("sk_x".into()),
        base_url: Some(origin.to_owned()),
        max_retries: 0,
        clock: clock(),
        ..SesameConfig::default()
    })
    .unwrap();
    let verifier = TokenVerifier::new(TokenVerifierConfig {
        expected_domain: Some("tools.example.com".into()),
        base_url: Some(origin.to_owned()),
        clock: clock(),
        ..TokenVerifierConfig::default()
    })
    .unwrap();
    // Well-formed: the keys are asked for.
    let (head, claims) = ("eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ", "e30");
    let jwt = format!("{head}.{claims}.AAAA");
    let kind = |result: Result<(), lime_core::Error>| result.unwrap_err().kind();
    vec![
        ("create", kind(site.create_login_request().wait().map(drop))),
        ("read", kind(site.read_login_request("lr_1").wait().map(drop))),
        ("keys", kind(site.verify_passport(&jwt, PassportCheck::default()).wait().map(drop))),
        ("challenge", kind(agent.login("lr_1").wait().map(drop))),
        ("profile", kind(agent.get_profile().wait().map(drop))),
        ("token", kind(agent.get_mcp_access_token("tools.example.com", false).wait().map(drop))),
        ("approval", kind(sesame.get("apr_1", false).wait().map(drop))),
        ("metadata", kind(verifier.verify(&jwt).wait().map(drop))),
    ]
}

fn is_told_as(origin: &str, wanted: ErrorKind) {
    for (what, kind) in all_kinds(origin) {
        // A broker's clients know one kind of failure beside those of the network.
        assert!(kind == wanted || kind == ErrorKind::InvalidPassport, "{what}: {kind:?}, not {wanted:?}");
    }
}

#[test]
fn a_gigabyte_is_not_read() {
    for (chunked, piece) in [(false, &b" "[..]), (true, b" "), (false, b"[1,"), (true, b"{\"keys\":[")] {
        let (origin, told) = hostile(endless("200 OK", "application/json", chunked, piece));
        is_told_as(&origin, ErrorKind::BadResponse);
        for (_, written) in told.iter().take(8) {
            assert!(written < most_taken(), "{written} bytes were taken");
        }
    }
}

#[test]
fn a_gigabyte_is_not_read_to_know_why_a_call_was_refused() {
    let (failed, refused) = ("500 Internal Server Error", "401 Unauthorized");
    for (status, chunked, piece) in
        [(failed, false, &b" "[..]), (failed, true, b"{\"error\":"), (refused, true, b"<br>")]
    {
        let (origin, told) = hostile(endless(status, "application/json", chunked, piece));
        is_told_as(&origin, ErrorKind::BadResponse);
        let sesame = Sesame::new(SesameConfig {
            api_key: Some("sk_x".into()),
            base_url: Some(origin),
            clock: Arc::new(ManualClock::default().skipping_sleeps()),
            ..SesameConfig::default()
        })
        .unwrap();
        let error = sesame.trigger(ApprovalRequest::new("db.delete", "x")).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{status}");
        let taken: Vec<_> = told.iter().take(9).collect();
        for (head, written) in &taken {
            assert!(*written < most_taken(), "{written} bytes were taken: {head}");
        }
        assert_eq!(taken.iter().filter(|(head, _)| head.starts_with("POST /v1/approvals")).count(), 1);
    }
}

#[test]
fn a_gigabyte_is_not_read_to_know_why_an_event_stream_was_refused() {
    for (chunked, piece) in [(false, &b" "[..]), (true, b"{\"error\":")] {
        let say = endless("500 Internal Server Error", "application/json", chunked, piece);
        let (origin, told) = hostile(say);
        let site = LimeSite::new(SiteConfig {
            site_token: Some("st_x".into()),
            base_url: Some(format!("{origin}/api/v1")),
            sse_backoff_base: Duration::from_millis(1),
            ..SiteConfig::default()
        })
        .unwrap();
        site.start_events().unwrap();
        // It is tried again, too.
        for _ in 0..3 {
            let (head, written) = told.recv_timeout(Duration::from_secs(60)).unwrap();
            assert!(head.contains("/events") && written < most_taken(), "{written} bytes were taken: {head}");
        }
        let error = site.stream_status().last_error.unwrap();
        assert_eq!((error.kind(), error.http_status()), (ErrorKind::Api, Some(500)));
        assert_eq!(site.stream_status().connections, 0);
        site.close_and_wait();
    }
}

/// What creating a login request is answered with, as gzip has it.
const PACKED: &str = "1f8b08000000000002ffab56cacf56b22a292a4dd5514a492c4954b2aa56cac94fcfcc8b2f4a2d2c4d2d2e89cf4c51b252ca\
    298a3754d2512a2e492c292d06f2035cfd5c3cfddc8142a915059945a9c5f189254061234323335d0343200a3130b002a328\
    a5da5a00be56932765000000";

#[test]
fn nothing_is_unpacked() {
    // A few bytes can be packed gigabytes. What would be a good answer, unpacked, is none.
    let packed = (0..PACKED.len() / 2).map(|at| u8::from_str_radix(&PACKED[2 * at..2 * at + 2], 16).unwrap());
    let (origin, told) = hostile(body("content-encoding: gzip\r\n", packed.collect()));
    is_told_as(&origin, ErrorKind::BadResponse);
    for (head, _) in told.iter().take(8) {
        let head = head.to_lowercase();
        assert!(!head.contains("gzip") && !head.contains("deflate") && !head.contains("zstd"), "{head}");
    }
}

#[test]
fn heads_have_a_limit() {
    let many: Say = Arc::new(|to| {
        write!(to, "HTTP/1.1 200 OK\r\n")?;
        for number in 0..10_000 {
            write!(to, "x-{number}: 1\r\n")?;
        }
        write!(to, "content-length: 2\r\n\r\n{{}}")
    });
    let long: Say = Arc::new(|to| {
        write!(to, "HTTP/1.1 200 OK\r\nx-long: ")?;
        while to.written < OFFERED {
            to.write_all(&[b'x'; 4096])?;
        }
        Ok(())
    });
    let no_end: Say = Arc::new(|to| {
        write!(to, "HTTP/1.1 200 ")?;
        while to.written < OFFERED {
            to.write_all(&[b'O'; 4096])?;
        }
        Ok(())
    });
    for say in [many, long, no_end] {
        let (origin, told) = hostile(say);
        is_told_as(&origin, ErrorKind::Transport);
        assert!(told.iter().take(8).all(|(_, written)| written < most_taken()));
    }
}

#[test]
fn deep_json_is_refused_and_does_not_overflow_the_stack() {
    for (open, close) in [("[", "]"), ("{\"keys\":", "}"), ("{\"data\":[", "]}")] {
        for depth in [200, 100_000] {
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let (origin, _told) = hostile(body("content-type: application/json\r\n", deep.into_bytes()));
            is_told_as(&origin, ErrorKind::BadResponse);
        }
    }
}

#[test]
fn an_event_stream_is_given_up_where_it_does_not_end_a_line() {
    let deep: &'static [u8] = b"data: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[";
    for piece in [&b"data: xxxxxxxx"[..], b"id: xxxxxxxxx", b":", b"event: xxxx", deep] {
        let (origin, told) = hostile(endless("200 OK", "text/event-stream", true, piece));
        let site = LimeSite::new(SiteConfig {
            site_token: Some("st_x".into()),
            base_url: Some(format!("{origin}/api/v1")),
            ..SiteConfig::default()
        })
        .unwrap();
        site.start_events().unwrap();
        let (_, written) = told.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(written < most_taken(), "{written} bytes were taken");
        site.close_and_wait();
    }
}

#[test]
fn ten_thousand_lines_of_one_event_are_given_up() {
    // No line is too long, and the event never ends.
    let (origin, told) = hostile(endless("200 OK", "text/event-stream", true, b"data: x\n"));
    let site = LimeSite::new(SiteConfig {
        site_token: Some("st_x".into()),
        base_url: Some(format!("{origin}/api/v1")),
        ..SiteConfig::default()
    })
    .unwrap();
    site.start_events().unwrap();
    let (_, written) = told.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(written < most_taken(), "{written} bytes were taken");
    site.close_and_wait();
}
