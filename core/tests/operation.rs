//! Operations: awaited, waited for or started, and completed exactly once, whatever becomes of their owner.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll};
use std::thread;

use common::*;
use futures_util::task::noop_waker;
use lime_core::transport::Request;
use lime_core::transport::host::{ExchangeId, HostClient, HostTransport};
use lime_core::{ErrorKind, LimeSite, LoginRequest, Operation, OperationId, SiteConfig, is_library_thread};

type Completed = mpsc::Receiver<(Result<String, ErrorKind>, bool, thread::ThreadId)>;

/// A callback that tells what it was given and where it was called.
fn telling() -> (impl FnOnce(lime_core::Result<LoginRequest>) + Send + 'static, Completed) {
    let (sender, told) = mpsc::channel();
    let complete = move |result: lime_core::Result<LoginRequest>| {
        let result = result.map(|request| request.request_id).map_err(|error| error.kind());
        sender.send((result, is_library_thread(), thread::current().id())).unwrap();
    };
    (complete, told)
}

/// What it was, and that the callback is gone: it cannot be called again.
fn once(told: &Completed) -> (Result<String, ErrorKind>, bool, thread::ThreadId) {
    let first = told.recv_timeout(LONG).unwrap();
    assert!(told.recv_timeout(LONG).is_err_and(|error| error == mpsc::RecvTimeoutError::Disconnected));
    first
}

fn refused() -> Operation<LoginRequest> {
    let sandbox = sandbox();
    let site = site(&sandbox);
    site.close();
    site.create_login_request()
}

fn poll_once<T: Send + 'static>(operation: &mut Operation<T>) -> Poll<lime_core::Result<T>> {
    Pin::new(operation).poll(&mut Context::from_waker(&noop_waker()))
}

#[test]
fn a_started_one_completes_on_the_dispatcher_thread() {
    let sandbox = sandbox();
    let site = site(&sandbox);
    let (complete, told) = telling();
    let first = site.create_login_request().start(complete);
    let (result, on_library_thread, dispatcher) = once(&told);
    assert!(result.is_ok() && on_library_thread);
    let (complete, told) = telling();
    let second = site.create_login_request().start(complete);
    assert_eq!(once(&told).2, dispatcher, "always the same");
    assert!(second > first, "numbers are not used again");
    assert!(!lime_core::cancel_operation(first), "it has ended");

    let (complete, told) = telling();
    site.create_login_request().start_undispatched(complete);
    let (result, on_library_thread, runtime) = once(&told);
    assert!(result.is_ok() && on_library_thread && runtime != dispatcher, "the runtime's own");
}

#[test]
fn what_is_refused_before_it_begins_completes_too() {
    let (complete, told) = telling();
    refused().start(complete);
    let (result, on_library_thread, _) = once(&told);
    assert_eq!((result, on_library_thread), (Err(ErrorKind::Closed), true));

    let (complete, told) = telling();
    refused().start_undispatched(complete);
    let (result, on_library_thread, thread) = once(&told);
    assert_eq!((result, on_library_thread), (Err(ErrorKind::Closed), false));
    assert_eq!(thread, thread::current().id(), "before the call returned");

    assert_eq!(refused().wait().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(refused().ready().unwrap_err().kind(), ErrorKind::Closed);
    let mut polled = refused();
    for kind in [ErrorKind::Closed, ErrorKind::Cancelled] {
        let Poll::Ready(Err(error)) = poll_once(&mut polled) else { panic!("it is known at once") };
        assert_eq!(error.kind(), kind);
    }
}

#[test]
fn one_that_was_not_refused_is_ready_and_shows_nothing() {
    let sandbox = sandbox();
    let site = site(&sandbox);
    let operation = site.create_login_request().ready().unwrap();
    assert_eq!(format!("{operation:?}"), "Operation");
    assert!(sandbox.received_on("create_request").is_empty(), "nothing happens before");
    assert!(operation.wait().is_ok());
}

#[test]
fn waiting_in_a_callback_is_refused_and_starting_is_not() {
    let sandbox = sandbox();
    let site = site(&sandbox);
    let (sender, told) = mpsc::channel();
    let again = site.clone();
    site.create_login_request().start(move |_| {
        sender.send(again.create_login_request().wait().map(|request| request.request_id)).unwrap();
        again.create_login_request().start(move |result| {
            sender.send(result.map(|request| request.request_id)).unwrap();
        });
    });
    assert_eq!(told.recv_timeout(LONG).unwrap().unwrap_err().kind(), ErrorKind::WouldDeadlock);
    assert!(told.recv_timeout(LONG).unwrap().is_ok());
    assert_eq!(sandbox.received_on("create_request").len(), 2, "what was refused has sent nothing");
}

#[test]
fn a_callback_that_panics_ends_alone() {
    let sandbox = sandbox();
    let site = site(&sandbox);
    site.create_login_request().start(|_| panic!("on purpose"));
    let (complete, told) = telling();
    site.create_login_request().start(complete);
    assert!(once(&told).0.is_ok());
}

#[tokio::test]
async fn one_that_was_awaited_to_its_end_has_no_second_one() {
    let sandbox = lime_sandbox::Sandbox::start(lime_sandbox::Options::new()).await.unwrap();
    let site = site(&sandbox);
    let mut operation = pin!(site.create_login_request());
    assert!(operation.as_mut().await.is_ok());
    assert_eq!(operation.await.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(sandbox.received_on("create_request").len(), 1);
}

/// A host that answers when the test does.
struct Host(Mutex<mpsc::Sender<Asked>>);

#[derive(Debug, PartialEq)]
enum Asked {
    Begin(ExchangeId),
    Abort(ExchangeId),
}

impl HostClient for Host {
    fn begin(&self, _: &HostTransport, id: ExchangeId, _: Option<OperationId>, _: Request, _: bool) -> bool {
        self.0.lock().unwrap().send(Asked::Begin(id)).is_ok()
    }
    fn resume(&self, _: ExchangeId) {}
    fn abort(&self, id: ExchangeId) {
        let _ = self.0.lock().unwrap().send(Asked::Abort(id));
    }
}

fn hosted() -> (LimeSite, HostTransport, mpsc::Receiver<Asked>) {
    let (sender, asked) = mpsc::channel();
    let transport = HostTransport::new(Host(Mutex::new(sender)));
    let config = SiteConfig {
        site_token: Some("st_x".into()),
        transport: Some(Arc::new(transport.clone())),
        ..SiteConfig::default()
    };
    (LimeSite::new(config).unwrap(), transport, asked)
}

/// One that is under way at the host.
fn begun(site: &LimeSite, asked: &mpsc::Receiver<Asked>) -> (Operation<LoginRequest>, ExchangeId) {
    let mut operation = site.create_login_request();
    assert!(poll_once(&mut operation).is_pending());
    match asked.recv_timeout(LONG).unwrap() {
        Asked::Begin(exchange) => (operation, exchange),
        other @ Asked::Abort(_) => panic!("{other:?}"),
    }
}

fn answer(transport: &HostTransport, exchange: ExchangeId) {
    let body = r#"{"ok":true,"data":{"login_request_id":"lr_1","status":"PENDING","expires_at":"2026-01-01T00:00:00Z"}}"#;
    transport.head(exchange, 201, []);
    transport.chunk(exchange, body.as_bytes().into());
    transport.end(exchange);
}

/// What is under way is gone on with, and not begun again.
#[test]
fn polled_first_then_waited_for_or_started() {
    let (site, transport, asked) = hosted();
    let (operation, exchange) = begun(&site, &asked);
    let operation = operation.ready().unwrap();
    answer(&transport, exchange);
    assert_eq!(operation.wait().unwrap().request_id, "lr_1");

    let (operation, exchange) = begun(&site, &asked);
    let (complete, told) = telling();
    operation.start(complete);
    answer(&transport, exchange);
    assert_eq!(once(&told).0, Ok("lr_1".to_owned()));
    assert!(asked.try_recv().is_err());
}

#[test]
fn whoever_drops_one_gives_it_up() {
    let (site, _, asked) = hosted();
    drop(site.create_login_request());
    let (operation, exchange) = begun(&site, &asked);
    drop(operation);
    assert_eq!(asked.recv_timeout(LONG).unwrap(), Asked::Abort(exchange));

    // Polled, then started under a number of its own: with that it is given up.
    let (operation, exchange) = begun(&site, &asked);
    let (complete, ended) = telling();
    let id = operation.start(complete);
    assert!(lime_core::cancel_operation(id));
    assert_eq!(once(&ended).0, Err(ErrorKind::Cancelled));
    assert_eq!(asked.recv_timeout(LONG).unwrap(), Asked::Abort(exchange));
    assert!(!lime_core::cancel_operation(id));
}
