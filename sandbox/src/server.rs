//! The accept loop, and the way of a request through log, faults and router.

use std::fmt;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::connection::{Link, Tracked};
use crate::envelope::Failure;
use crate::fault::Effect;
use crate::faults::{Matching, Taken};
use crate::received::{Answer, Arrival, EntryId, Unanswered};
use crate::routes::Dialect;
use crate::sesame::Detail;
use crate::state::Core;
use crate::{api, control, guard, inject, page, routes};

/// The largest request body that is read.
const BODY_LIMIT: usize = 64 * 1024;

/// A connection that ends without an answer.
#[derive(Debug)]
pub(crate) struct Dropped;

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection was dropped on purpose")
    }
}

impl std::error::Error for Dropped {}

/// Everything that answers on the port.
pub(crate) struct App {
    core: Arc<Core>,
    platform: TowerToHyperService<Router>,
    control: TowerToHyperService<Router>,
}

impl App {
    pub(crate) fn new(core: Arc<Core>) -> Arc<Self> {
        Arc::new(Self {
            platform: TowerToHyperService::new(api::router(Arc::clone(&core))),
            control: TowerToHyperService::new(control::router(Arc::clone(&core))),
            core,
        })
    }

    /// Serves until it is dropped; the connections end with it.
    pub(crate) async fn run(self: Arc<Self>, listener: TcpListener) {
        let core = Arc::clone(&self.core);
        let expiry = core.run_expiry();
        let webhooks = Arc::clone(&self.core).run_webhooks();
        tokio::pin!(expiry, webhooks);
        let mut connections = JoinSet::new();
        let mut count = 0;
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((tcp, _)) => {
                        count += 1;
                        connections.spawn(Arc::clone(&self).serve(tcp, count));
                    }
                    // Out of file descriptors, most likely: others will close.
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                () = &mut expiry => {}
                () = &mut webhooks => {}
            }
        }
    }

    async fn serve(self: Arc<Self>, tcp: TcpStream, number: u64) {
        // Small frames must leave at once; without the option they merely leave later.
        let _ = tcp.set_nodelay(true);
        let link = Link::new(number);
        let io = TokioIo::new(Tracked::new(tcp, Arc::clone(&link)));
        let service = service_fn(|request| self.answer(&link, request));
        // Errors are peers that went away and connections dropped on purpose.
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
    }

    async fn answer(&self, link: &Arc<Link>, request: http::Request<Incoming>) -> Result<Response, Dropped> {
        let path = request.uri().path();
        if path == control::ROOT || path.starts_with(control::PREFIX) {
            return Ok(page::keep_private(self.answer_control(request).await));
        }
        if path == page::PATH && matches!(*request.method(), Method::GET | Method::HEAD) {
            return Ok(match guard::refusal(request.headers(), self.core.port) {
                Some(reason) => page::keep_private(control::refused(reason)),
                None => page::page(&self.core),
            });
        }
        if page::connect::owns(path) {
            let (parts, body) = request.into_parts();
            let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
                return Ok(page::keep_private(control::unreadable()));
            };
            let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
            let body = body.to_bytes();
            let answer = page::connect::answer(&self.core, &parts.method, path, query, &parts.headers, &body);
            return Ok(page::keep_private(answer));
        }
        let (mut parts, body) = request.into_parts();
        let body = match Limited::new(body, BODY_LIMIT).collect().await {
            Ok(body) => Some(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => None,
            Err(_) => return Err(Dropped),
        };
        let route = routes::name_of(&parts.method, parts.uri.path());
        let arrival = Arrival {
            connection: link.id,
            method: &parts.method,
            uri: &parts.uri,
            route,
            headers: &parts.headers,
            body: body.as_deref().unwrap_or_default(),
        };
        let dialect = Dialect::of(parts.uri.path());
        let (entry, taken) = self.receive(&arrival);
        // Whoever goes away takes this future with him.
        let unfinished = Unfinished { core: &self.core, entry, finished: false };
        let asked = format!("{} {}", parts.method, parts.uri.path());
        parts.extensions.insert(Arc::clone(link));
        parts.extensions.insert(taken.stream.clone());
        let request = body.map(|body| Request::from_parts(parts, Body::from(body)));
        let result = self.respond(link, request, taken, dialect).await;
        let answer = match &result {
            Ok(response) => Answer::Status(response.status().as_u16()),
            Err(NoAnswer::Dropped) => Answer::Other(Unanswered::Dropped),
            Err(NoAnswer::HalfOpen) => Answer::Other(Unanswered::HalfOpen),
        };
        let mut reset = self.core.next_reset();
        unfinished.finish(answer);
        self.log(&asked, answer);
        match result {
            Ok(response) => Ok(response),
            Err(NoAnswer::Dropped) => Err(Dropped),
            Err(NoAnswer::HalfOpen) => {
                // The sender lives in the core, so waiting cannot fail while we are here.
                let _ = reset.changed().await;
                Err(Dropped)
            }
        }
    }

    /// Enters a request into the log and takes its faults from the plan.
    fn receive(&self, arrival: &Arrival<'_>) -> (EntryId, Taken) {
        let text = |name: &str| arrival.headers.get(name).and_then(|value| value.to_str().ok());
        self.core.change(|state| {
            let entry = state.received.enter(self.core.started, arrival);
            let site = text("x-site-token")
                .and_then(|token| state.sites_by_token.get(token.trim()))
                .map(String::as_str);
            let agent = text("x-agent-token")
                .and_then(|token| state.agents_by_token.get(token.trim()))
                .map(String::as_str);
            let key = state.broker.keys.id_in(text("authorization"));
            let matching = Matching { route: arrival.route, site_id: site, agent_id: agent, key_id: key };
            let taken = state.faults.take(&matching);
            state.received.faulted(entry, &taken.ids);
            (entry, taken)
        })
    }

    /// Lets a request through its faults. Without a request its body was too large.
    async fn respond(
        &self,
        link: &Arc<Link>,
        request: Option<Request>,
        taken: Taken,
        dialect: Dialect,
    ) -> Result<Response, NoAnswer> {
        if !taken.delay.is_zero() {
            tokio::time::sleep(taken.delay).await;
        }
        if taken.rotate_keys {
            let keys = self.core.keys.clone();
            // It may have to wait for the spare key, so not on this thread.
            let _ = tokio::task::spawn_blocking(move || keys.rotate(false)).await;
            self.core.announce();
        }
        let dropped = |reset: bool| {
            if reset {
                link.end_with_reset();
            }
            Err(NoAnswer::Dropped)
        };
        match taken.effect {
            // The last two are for streams only.
            None | Some(Effect::Nothing | Effect::Lose | Effect::Repeat) => {
                Ok(self.handle(request, dialect).await)
            }
            Some(Effect::Answer(answer)) => Ok(inject::answer(&answer, dialect)),
            Some(Effect::Garbage(raw)) => Ok(inject::garbage(raw)),
            Some(Effect::HalfOpen) => Err(NoAnswer::HalfOpen),
            Some(Effect::DropBefore { reset }) => dropped(reset),
            Some(Effect::DropAfter { reset }) => {
                drop(self.handle(request, dialect).await);
                dropped(reset)
            }
            Some(Effect::Cut(cut)) => {
                let response = self.handle(request, dialect).await;
                Ok(inject::cut(response, cut, Arc::clone(link)).await)
            }
            Some(Effect::OneByteChunks) => {
                let response = self.handle(request, dialect).await;
                Ok(inject::one_byte_chunks(response, Arc::clone(link)).await)
            }
        }
    }

    async fn handle(&self, request: Option<Request>, dialect: Dialect) -> Response {
        match request {
            None if dialect == Dialect::Sesame => Detail::BODY_TOO_LARGE.into_response(),
            None => Failure::BODY_TOO_LARGE.into_response(),
            Some(request) => {
                let Ok(response) = self.platform.call(request).await;
                response
            }
        }
    }

    async fn answer_control(&self, request: http::Request<Incoming>) -> Response {
        if let Some(reason) = guard::refusal(request.headers(), self.core.port) {
            return control::refused(reason);
        }
        let token = &self.core.page.token;
        if let Some(reason) = guard::write_refusal(request.method(), request.headers(), token) {
            return control::refused(reason);
        }
        let (parts, body) = request.into_parts();
        match Limited::new(body, control::BODY_LIMIT).collect().await {
            Ok(body) => {
                let body: Bytes = body.to_bytes();
                let request = Request::from_parts(parts, Body::from(body));
                let Ok(response) = self.control.call(request).await;
                response
            }
            Err(_) => control::unreadable(),
        }
    }

    fn log(&self, asked: &str, answer: Answer) {
        if !self.core.log_requests {
            return;
        }
        let answer = match answer {
            Answer::Status(status) => status.to_string(),
            Answer::Other(Unanswered::Dropped) => "dropped".into(),
            Answer::Other(_) => "no answer".into(),
        };
        // Whoever closed stderr does not want the line.
        let _ = writeln!(io::stderr(), "{asked} -> {answer}");
    }
}

/// A request that is being worked on. Dropped before it is finished, it has lost its client.
struct Unfinished<'a> {
    core: &'a Core,
    entry: EntryId,
    finished: bool,
}

impl Unfinished<'_> {
    fn finish(mut self, answer: Answer) {
        self.core.change(|state| state.received.answered(self.entry, answer));
        self.finished = true;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.finished {
            let gone = Answer::Other(Unanswered::Gone);
            self.core.change(|state| state.received.answered(self.entry, gone));
        }
    }
}

/// Why a request gets no answer.
enum NoAnswer {
    Dropped,
    HalfOpen,
}
