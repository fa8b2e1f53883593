//! What the event stream did not bring is asked for: a task beside the reader looks at every login request that is
//! due (`outstanding`), hands on what it finds, and reports what nobody will ever see.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use serde_json::{Map, Value};

use super::events::Events;
use super::outstanding::{Answer, Look};
use super::{LoginEvent, REQUESTS};
use crate::api::{Api, Call};
use crate::runtime::WeakRuntime;
use crate::{Error, ErrorKind, Result, Timestamp, base_url, fault, json as fields, log};

/// Thousands of requests must not be thousands of connections at once when the stream comes up again.
const AT_A_TIME: usize = 16;
/// Those that are found lost together are reported together, as many as this.
const MOST_REPORTED: usize = 1000;
/// So many ids stand in one log record.
const MOST_LOGGED: usize = 50;
const AFTER_A_FAULT: Duration = Duration::from_secs(8);

/// Login requests of which the platform says that they have ended, and of which no event came nor will: whether an
/// agent signed in is not known, and a passport that there was is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The login requests, each named once in the life of a client.
    pub request_ids: Vec<String>,
}

/// What a look has found.
enum Found {
    End(LoginEvent),
    Answer(Answer),
}

/// Asks until its task is aborted.
pub(super) async fn run(
    api: Arc<Api>,
    runtime: WeakRuntime,
    events: Arc<Events>,
    report: impl Fn(Gap) + Send + Sync,
) {
    loop {
        let asking = ask(&api, &runtime, &events, &report);
        let Err(panic) = AssertUnwindSafe(asking).catch_unwind().await else { return };
        let error = fault::caught(&*panic);
        log::error!(api.logger, "Asking for login requests failed: {error}");
        api.clock.sleep(AFTER_A_FAULT).await;
    }
}

async fn ask(api: &Api, runtime: &WeakRuntime, events: &Events, report: &(impl Fn(Gap) + Sync)) {
    let mut looks = FuturesUnordered::new();
    let mut decisive = 0_usize;
    let mut lost = Vec::new();
    loop {
        let (due, next) = events.take_due(AT_A_TIME - looks.len());
        for look in due {
            decisive += usize::from(look.decisive);
            looks.push(take(api, runtime, events, look));
        }
        if !lost.is_empty() && (decisive == 0 || lost.len() >= MOST_REPORTED) {
            tell(api, std::mem::take(&mut lost), report);
        }
        let full = looks.len() == AT_A_TIME;
        let alarm = async {
            match next {
                Some(next) if !full => api.clock.alarm(next).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            Some((look, found)) = looks.next() => {
                decisive -= usize::from(look.decisive);
                match found {
                    Found::End(event) => events.caught_up(event).await,
                    Found::Answer(answer) => {
                        if events.answered(&look, answer) {
                            lost.push(look.request_id.to_string());
                        }
                    }
                }
            }
            () = events.rescheduled() => {}
            () = alarm => {}
        }
    }
}

/// Looks at one request. Not again at once when it fails: others are due, too, and it has its turn later.
async fn take(api: &Api, runtime: &WeakRuntime, events: &Events, look: Look) -> (Look, Found) {
    // A host that does not answer, or panics, must cost no more than this look.
    let reading = tokio::time::timeout(api.timeout, read(api, runtime, &look.request_id));
    let read = match AssertUnwindSafe(reading).catch_unwind().await {
        Ok(Ok(read)) => read,
        Ok(Err(_)) => Err(Error::new(ErrorKind::TransportTimeout, "There was no answer in time")),
        Err(panic) => Err(fault::caught(&*panic)),
    };
    let found = match read {
        Ok(data) => found(events, &look.request_id, &data),
        Err(error) if error.kind() == ErrorKind::Api && error.http_status() == Some(404) => {
            Found::Answer(Answer::Unknown)
        }
        Err(error) => {
            log::warning!(api.logger, "Asking for login request {} failed: {error}", look.request_id);
            Found::Answer(Answer::None { retry_after: error.retry_after() })
        }
    };
    (look, found)
}

async fn read(api: &Api, runtime: &WeakRuntime, request_id: &str) -> Result<Map<String, Value>> {
    let path = format!("{REQUESTS}/{}", base_url::segment(request_id)?);
    api.data(runtime, &Call::get(path).retries(0)).await
}

fn found(events: &Events, request_id: &str, data: &Map<String, Value>) -> Found {
    let end = |passport| Found::End(LoginEvent { request_id: request_id.to_owned(), passport });
    let status = fields::optional_text(data, "status").unwrap_or_default();
    match (&*status, fields::optional_text(data, "agent_passport_jwt")) {
        ("EXPIRED", _) => end(None),
        ("APPROVED" | "DELIVERED", Some(passport)) => end(Some(passport)),
        ("APPROVED", None) => Found::Answer(Answer::Approved),
        ("DELIVERED", None) => Found::Answer(Answer::Ended),
        // A status that this version does not know is none of the ends that it knows.
        _ => {
            let expires = fields::optional_text(data, "expires_at");
            let expires = expires.and_then(|text| Timestamp::parse(&text).ok());
            Found::Answer(Answer::Pending { expires: expires.and_then(|at| events.moment(at)) })
        }
    }
}

fn tell(api: &Api, request_ids: Vec<String>, report: &impl Fn(Gap)) {
    let named = request_ids.iter().take(MOST_LOGGED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = match request_ids.len().saturating_sub(MOST_LOGGED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    log::error!(api.logger, "Login requests have ended and their events are lost: {named}{more}");
    report(Gap { request_ids });
}

/// Why a wait ends whose event nobody will see.
pub(super) fn lost(request_id: &str) -> Error {
    let message = "The login request has ended, and the event that told how is lost: if an agent signed in, its \
                   passport is lost with it. Create a new login request";
    Error::new(ErrorKind::OutcomeUnknown, message).with_code("LOGIN_EVENT_LOST").with_request_id(request_id)
}
