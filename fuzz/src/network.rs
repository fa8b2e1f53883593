//! A network of which nothing leaves the process: a transport that is a function.

use std::fmt;
use std::sync::{LazyLock, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use lime_core::transport::{Request, Response, StreamResponse, Transport, TransportError};
use lime_core::{LimeSite, SiteConfig};

/// An answer's head, and its body in pieces, the last of which may be a failure.
pub(crate) type Answer = Result<http::Response<Vec<Result<Bytes, TransportError>>>, TransportError>;

/// Answers what it is asked by a function, and writes down what that was.
pub(crate) struct Network {
    answer: Box<dyn Fn(&Request) -> Answer + Send + Sync>,
    seen: Mutex<Vec<Request>>,
}

impl Network {
    pub(crate) fn new(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self { answer: Box::new(answer), seen: Mutex::default() }
    }

    /// What it was asked.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    fn ask(&self, request: Request) -> Answer {
        let answer = (self.answer)(&request);
        self.seen.lock().unwrap().push(request);
        answer
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network")
    }
}

impl Transport for Network {
    fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, TransportError>> {
        let answer = self.ask(request).and_then(|answer| {
            let (head, pieces) = answer.into_parts();
            let pieces = pieces.into_iter().collect::<Result<Vec<_>, _>>()?;
            Ok(Response::from_parts(head, Bytes::from(pieces.concat())))
        });
        async move { answer }.boxed()
    }

    fn open(&self, request: Request) -> BoxFuture<'static, Result<StreamResponse, TransportError>> {
        let answer = self.ask(request).map(|answer| answer.map(|pieces| stream::iter(pieces).boxed()));
        async move { answer }.boxed()
    }
}

/// The library's threads end with the last client. With this one they stay, which saves starting them for each input.
pub(crate) fn keep_threads() {
    static KEPT: LazyLock<LimeSite> = LazyLock::new(|| {
        let silent = Network::new(|_| Err(TransportError::not_sent("nobody is there")));
        let site = LimeSite::new(SiteConfig {
            site_token: Some("st_kept".into()),
            base_url: Some("http://127.0.0.1".into()),
            transport: Some(std::sync::Arc::new(silent)),
            max_retries: 0,
            ..SiteConfig::default()
        });
        let site = site.unwrap();
        // The first call starts them.
        assert!(site.create_login_request().wait().is_err());
        site
    });
    LazyLock::force(&KEPT);
}
