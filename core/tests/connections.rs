//! Connections that are kept, and that the server closes: at the worst moment a call may be in doubt, and never is one
//! sent twice that may act twice.

#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

mod common;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use common::LONG;
use lime_core::clock::ManualClock;
use lime_core::{
    AgentConfig, ApprovalRequest, Error, ErrorKind, LimeAgent, LimeSite, Sesame, SesameConfig, SiteConfig,
};

/// When the server closes a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Close {
    /// As soon as the first answer is written.
    AfterTheAnswer,
    /// When the test says so.
    WhenTold,
    /// When the next request arrives, of which it reads nothing: the client is told by a reset.
    UnderTheNextRequest,
}

/// Answers everything as both platforms would, and closes connections.
struct Server {
    origin: String,
    /// What was read, whole.
    received: Arc<Mutex<Vec<String>>>,
    /// Requests that were there and that nobody read.
    unread: Arc<Mutex<usize>>,
    tell: Sender<()>,
    /// Each connection that was closed.
    closed: Receiver<()>,
}

impl Server {
    fn start(close: Close) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (received, unread) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<usize>>::default());
        let (tell, told) = mpsc::channel();
        let (sender, closed) = mpsc::channel();
        let (reads, misses, told) = (Arc::clone(&received), Arc::clone(&unread), Arc::new(Mutex::new(told)));
        thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                let (reads, misses) = (Arc::clone(&reads), Arc::clone(&misses));
                let (told, sender) = (Arc::clone(&told), sender.clone());
                thread::spawn(move || {
                    let Some(request) = request(&mut socket) else { return };
                    reads.lock().unwrap().push(request);
                    let answered = answer(&mut socket);
                    match close {
                        Close::AfterTheAnswer => {}
                        Close::WhenTold => drop(told.lock().unwrap().recv()),
                        Close::UnderTheNextRequest => {
                            if answered.is_ok() && matches!(socket.peek(&mut [0]), Ok(1)) {
                                *misses.lock().unwrap() += 1;
                            }
                        }
                    }
                    drop(socket);
                    let _ = sender.send(());
                });
            }
        });
        Self { origin, received, unread, tell, closed }
    }

    fn agent(&self) -> LimeAgent {
        LimeAgent::new(AgentConfig {
            agent_token: Some("at_x".into()),
            base_url: Some(format!("{}/api/v1", self.origin)),
            clock: Arc::new(ManualClock::default().skipping_sleeps()),
            ..AgentConfig::default()
        })
        .unwrap()
    }

    fn site(&self) -> LimeSite {
        LimeSite::new(SiteConfig {
            site_token: Some("st_x".into()),
            base_url: Some(format!("{}/api/v1", self.origin)),
            clock: Arc::new(ManualClock::default().skipping_sleeps()),
            ..SiteConfig::default()
        })
        .unwrap()
    }

    fn sesame(&self) -> Sesame {
        Sesame::new(SesameConfig {
            api_key: Some("sk_x".into()),
            base_url: Some(self.origin.clone()),
            clock: Arc::new(ManualClock::default().skipping_sleeps()),
            ..SesameConfig::default()
        })
        .unwrap()
    }

    fn received(&self) -> usize {
        self.received.lock().unwrap().len()
    }

    /// How often each of these triggers was read.
    fn triggers(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for request in &*self.received.lock().unwrap() {
            if let Some((_, body)) = request.split_once("\"summary\":\"") {
                *counts.entry(body.split('"').next().unwrap().to_owned()).or_default() += 1;
            }
        }
        counts
    }
}

/// One request with its body; nothing when the connection ends before.
fn request(socket: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&read).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .split_once("content-length: ")
                .map_or(0, |(_, rest)| rest.lines().next().unwrap().parse().unwrap());
            if body.len() >= length {
                return Some(String::from_utf8(read).unwrap());
            }
        }
        match socket.read(&mut piece) {
            Ok(count) if count > 0 => read.extend_from_slice(&piece[..count]),
            _ => return None,
        }
    }
}

/// What every call that is made here takes for a good answer.
fn answer(socket: &mut TcpStream) -> std::io::Result<()> {
    let body = serde_json::json!({
        "ok": true,
        "data": {
            "login_request_id": "lr_1", "status": "PENDING", "expires_at": "2126-01-01T00:00:00Z",
            "agent_id": "ag_1", "owner_id": "us_1",
        },
        "approval_id": "ap_1", "status": "pending",
    })
    .to_string();
    let head = format!("HTTP/1.1 200 OK\r\nconnection: keep-alive\r\ncontent-length: {}\r\n\r\n", body.len());
    socket.write_all(format!("{head}{body}").as_bytes())
}

fn trigger(sesame: &Sesame, summary: &str) -> Result<(), Error> {
    sesame.trigger(ApprovalRequest::new("payments.refund", summary)).wait().map(drop)
}

#[test]
fn a_connection_that_was_closed_meanwhile_costs_no_call() {
    const ROUNDS: usize = 50;
    let server = Server::start(Close::WhenTold);
    let (agent, site, sesame) = (server.agent(), server.site(), server.sesame());
    let close = || {
        server.tell.send(()).unwrap();
        server.closed.recv_timeout(LONG).unwrap();
    };
    for round in 0..ROUNDS {
        agent.get_profile().wait().unwrap();
        close();
        trigger(&sesame, &round.to_string()).unwrap();
        close();
        site.create_login_request().wait().unwrap();
        close();
    }
    assert_eq!(server.received(), 3 * ROUNDS, "each call once");
}

#[test]
fn a_runtime_that_was_busy_when_the_connection_was_closed_sees_it_before_the_next_call() {
    let (server, other) = (Server::start(Close::WhenTold), Server::start(Close::WhenTold));
    let (agent, sesame) = (other.agent(), server.sesame());
    for round in 0..20 {
        trigger(&sesame, &format!("before {round}")).unwrap();
        let (sender, receiver) = mpsc::channel();
        let (summary, sesame) = (format!("after {round}"), sesame.clone());
        let (ready, is_ready) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        // This is called on the runtime's thread, and keeps it from seeing anything while it lasts.
        agent.get_profile().start(move |profile| {
            profile.unwrap();
            ready.send(()).unwrap();
            gone.recv_timeout(LONG).unwrap();
            let request = ApprovalRequest::new("payments.refund", summary);
            sesame.trigger(request).start(move |result| sender.send(result).unwrap());
        });
        is_ready.recv_timeout(LONG).unwrap();
        server.tell.send(()).unwrap();
        server.closed.recv_timeout(LONG).unwrap();
        go.send(()).unwrap();
        receiver.recv_timeout(LONG).unwrap().unwrap();
        server.tell.send(()).unwrap();
        other.tell.send(()).unwrap();
        server.closed.recv_timeout(LONG).unwrap();
        other.closed.recv_timeout(LONG).unwrap();
    }
    assert!(server.triggers().values().all(|count| *count == 1), "{:?}", server.triggers());
    assert_eq!(server.received(), 40);
}

#[test]
fn a_call_whose_request_met_the_close_is_made_again_only_where_that_does_no_harm() {
    const ROUNDS: usize = 20;
    let server = Server::start(Close::UnderTheNextRequest);
    let (agent, site, sesame) = (server.agent(), server.site(), server.sesame());
    for round in 0..ROUNDS {
        // On a new connection, which it leaves to the trigger. That one nobody can say to have been done or not.
        agent.get_profile().wait().unwrap();
        let error = trigger(&sesame, &round.to_string()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
        // These are made again, each on a connection that it leaves to the next.
        site.create_login_request().wait().unwrap();
        site.create_login_request().wait().unwrap();
        agent.get_profile().wait().unwrap();
        let keyed = ApprovalRequest::new("payments.refund", "keyed").dedup_key("refund-1");
        sesame.trigger(keyed).wait().unwrap();
        // Uses up the connection that is kept.
        trigger(&sesame, "last").unwrap_err();
    }
    let triggers = server.triggers();
    assert_eq!(triggers.keys().collect::<Vec<_>>(), ["keyed"], "no trigger was sent again: {triggers:?}");
    assert_eq!((server.received(), *server.unread.lock().unwrap()), (5 * ROUNDS, 5 * ROUNDS));
}

#[test]
fn no_trigger_is_sent_twice_whenever_its_server_closes() {
    let server = Server::start(Close::AfterTheAnswer);
    let (agent, site, sesame) = (server.agent(), server.site(), server.sesame());
    let mut done = 0;
    for round in 0..200 {
        agent.get_profile().wait().unwrap();
        match trigger(&sesame, &round.to_string()) {
            Ok(()) => done += 1,
            // Its request and the close passed each other on the way.
            Err(error) => assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}"),
        }
        site.create_login_request().wait().unwrap();
    }
    let triggers = server.triggers();
    assert!(triggers.values().all(|count| *count == 1), "{triggers:?}");
    assert_eq!(triggers.len(), done, "what was in doubt was not done by this server");
}
