//! Sesame: a human approves a sensitive operation before it runs.

pub mod answer;
pub mod approval;
mod gate;
mod wait;
pub mod webhook;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use http::header::AUTHORIZATION;

use crate::api::{Answer, Api, Call, Doubt, Repeat};
use crate::base_url::NoSegment;
use crate::client::Lease;
use crate::config::{self, API_KEY_VARIABLE, PostRetry, SesameConfig};
use crate::operation::Operation;
use crate::runtime::WeakRuntime;
use crate::{Error, ErrorKind, Result, base_url};
use approval::{Approval, ApprovalRequest};
pub use wait::WaitOptions;

const APPROVALS: &str = "/v1/approvals";

/// The client of the Sesame broker. Cheap to clone; make one per key and process.
///
/// Safe to use from any thread and, after `fork`, in the child too.
///
/// ```no_run
/// use lime_core::{ApprovalRequest, Sesame, SesameConfig, WaitOptions};
///
/// # fn main() -> Result<(), lime_core::Error> {
/// let sesame = Sesame::new(SesameConfig::default())?; // reads SESAME_API_KEY
/// let request = ApprovalRequest::new("db.delete", "Delete 1,204 rows from prod.orders");
/// sesame.require_approval(request, WaitOptions::default()).wait()?;
/// // Approved: nothing else gets past the `?`.
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Sesame(Arc<Inner>);

struct Inner {
    api: Api,
    lease: Lease,
    poll_timeout: Duration,
}

impl Sesame {
    /// A client for the owner of the key. Starts nothing and sends nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Authentication`] when there is no key, [`ErrorKind::InvalidArgument`] when a
    /// setting makes no sense.
    pub fn new(config: SesameConfig) -> Result<Self> {
        let key = config::token(
            config.api_key,
            API_KEY_VARIABLE,
            "No Sesame API key provided. Pass api_key=... or set the SESAME_API_KEY environment variable.",
            &config.environment,
        )?;
        let base_url = config::broker_url(config.base_url.as_deref(), &config.environment)?;
        let pins = config::tls_pins(
            &config.tls_pins,
            config::BROKER_TLS_PINS_VARIABLE,
            &base_url,
            config.transport.as_ref(),
            &config.environment,
        )?;
        Ok(Self(Arc::new(Inner {
            api: Api {
                base_url,
                token: key,
                token_header: AUTHORIZATION,
                timeout: config::checked_timeout(config.timeout)?,
                max_retries: config.max_retries,
                // Every POST says for itself when it may be sent again.
                post_retry: PostRetry::Today,
                transport: config.transport,
                pins,
                logger: config.logger,
                clock: config.clock,
                warned: AtomicBool::default(),
            },
            lease: Lease::default(),
            poll_timeout: config::checked_timeout(config.poll_timeout)?,
        })))
    }

    /// Asks for an approval; it is pending then, unless its `dedup_key` names one that is decided.
    ///
    /// With a `dedup_key` a failed attempt is repeated. Without one it is repeated only when it
    /// certainly did not leave, since a human would be asked twice; [`ErrorKind::OutcomeUnknown`] says
    /// that the human may have been asked although no answer came back.
    pub fn trigger(&self, request: ApprovalRequest) -> Operation<Approval> {
        self.0
            .lease
            .operation(&self.0, |sesame, runtime| async move { sesame.trigger(&runtime, &request).await })
    }

    /// Reads where an approval stands. With `wait` the broker holds its answer until there is a
    /// decision, for 25 to 30 s at most; that is asked once, for `poll_timeout` at most.
    ///
    /// Fails with [`ErrorKind::NotFound`] when the broker does not know the approval.
    pub fn get(&self, approval_id: &str, wait: bool) -> Operation<Approval> {
        let approval_id = approval_id.trim().to_owned();
        self.0.lease.operation(&self.0, move |sesame, runtime| async move {
            sesame
                .read(&runtime, &approval_id, wait)
                .await
                .map_err(|error| error.with_approval_id(approval_id))
        })
    }

    /// Waits until an approval is decided (which includes that it expired).
    ///
    /// Refused and reset connections, polls that hang, 408, 429 and 5xx are ridden out. Fails with
    /// [`ErrorKind::Timeout`] when there is no decision in time, and at once when the broker refuses the
    /// key or does not know the approval.
    pub fn wait(&self, approval_id: &str, options: WaitOptions) -> Operation<Approval> {
        let approval_id = approval_id.trim().to_owned();
        self.0.lease.operation(&self.0, move |sesame, runtime| async move {
            wait::until_decided(&sesame, &runtime, &approval_id, options)
                .await
                .map_err(|error| error.with_approval_id(approval_id))
        })
    }

    /// The whole gate: asks, waits, and gives the approval only if a human granted it. The time of
    /// `options` bounds both together.
    ///
    /// An approval lets one call through. Calls with the same `dedup_key` share one: the first that comes to
    /// its end uses it up for this process and what it forks; another one, and one with another action,
    /// summary or context, is denied. (The next process does not know that: make what runs behind a gate
    /// idempotent, or give each operation a key of its own.)
    ///
    /// Fails with [`ErrorKind::ApprovalDenied`] when it was denied or expired, or lets this call not through
    /// (the error's code says which: `denied`, `expired`, `already_used`, `args_changed`), with [`ErrorKind::Timeout`] when nobody decided in time, and with whatever
    /// [`trigger`](Self::trigger) and [`wait`](Self::wait) fail with. Whatever the error: do not go on.
    pub fn require_approval(&self, request: ApprovalRequest, options: WaitOptions) -> Operation<Approval> {
        self.0.lease.operation(&self.0, move |sesame, runtime| async move {
            gate::through_gate(&sesame, &runtime, &request, options).await
        })
    }

    /// Refuses further calls; those under way go on. Closing twice does nothing.
    pub fn close(&self) {
        self.0.lease.close();
    }
}

impl fmt::Debug for Sesame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sesame").field("base_url", &self.0.api.base_url.as_str()).finish()
    }
}

impl Inner {
    async fn trigger(&self, runtime: &WeakRuntime, request: &ApprovalRequest) -> Result<Approval> {
        let repeat = if request.dedup_key.is_some() { Repeat::Harmless } else { Repeat::IfNotSent };
        let answer = self.api.call(runtime, &Call::post(APPROVALS, request.body()).repeat(repeat)).await;
        let unknown = repeat == Repeat::IfNotSent && leaves_it_open(&answer);
        let triggered = answer.result.and_then(|reply| answer::approval(&reply, None));
        triggered.map_err(|error| if unknown { outcome_unknown(&error) } else { error })
    }

    async fn read(&self, runtime: &WeakRuntime, approval_id: &str, wait: bool) -> Result<Approval> {
        let mut call = Call::get(path(approval_id, wait)?);
        if wait {
            call = call.limit(self.poll_timeout).retries(0);
        }
        let reply = self.api.call(runtime, &call).await.result?;
        answer::approval(&reply, Some(approval_id))
    }
}

/// The path of an approval. No id leaves its place in the URL; one that would is nobody's.
fn path(approval_id: &str, wait: bool) -> Result<String> {
    let segment = base_url::segment_of(approval_id).map_err(|fault| {
        let message = match fault {
            NoSegment::Empty => "approval_id must be a non-empty string",
            NoSegment::Characters => "approval_id contains characters that no approval id has",
        };
        Error::new(ErrorKind::NotFound, message).with_code("INVALID_APPROVAL_ID")
    })?;
    Ok(format!("{APPROVALS}/{segment}{}", if wait { "?wait=true" } else { "" }))
}

/// Whether a trigger that cannot be repeated may have taken effect although it failed.
fn leaves_it_open(answer: &Answer) -> bool {
    match &answer.result {
        Ok(reply) => {
            matches!(reply.http_status, 500 | 502 | 504)
                || matches!(reply.http_status, 200..300) && answer::approval(reply, None).is_err()
        }
        Err(_) => answer.doubt == Doubt::Lost,
    }
}

fn outcome_unknown(cause: &Error) -> Error {
    let message = format!("{} (the approval may have been asked for all the same)", cause.message());
    let mut error = Error::new(ErrorKind::OutcomeUnknown, message).with_retry_after(cause.retry_after());
    if let Some(status) = cause.http_status() {
        error = error.with_http_status(status);
    }
    error
}
