//! Waiting for a decision: one long poll after the other, until there is one or time is up.

use std::time::Duration;

use super::approval::Approval;
use super::{Inner, answer, path};
use crate::api::Call;
use crate::log::Level;
use crate::retry::Backoff;
use crate::runtime::WeakRuntime;
use crate::{Error, ErrorKind, Result};

/// How to wait for a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitOptions {
    /// For how long at most; [`Duration::MAX`] is for ever. Default 300 s.
    pub timeout: Duration,
    /// The least time from the beginning of one poll to the beginning of the next. The broker holds a
    /// poll until there is a decision, so this only counts when it does not. Default 2 s.
    pub poll_interval: Duration,
}

impl Default for WaitOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(300), poll_interval: Duration::from_secs(2) }
    }
}

/// The first and the longest wait between polls that fail.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(4));

/// The longest that a broker's `Retry-After` is obeyed: a wait must not miss a decision for one answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What is known while there is no decision.
pub(super) struct Seen {
    status: String,
    failure: Option<String>,
}

impl Seen {
    pub(super) fn nothing() -> Self {
        Self { status: "pending".to_owned(), failure: None }
    }

    pub(super) fn too_late(self, approval_id: &str, options: WaitOptions) -> Error {
        let failure = self.failure.map_or_else(String::new, |failure| format!("; last poll: {failure}"));
        let (seconds, status) = (options.timeout.as_secs_f64(), self.status);
        let message =
            format!("Approval {approval_id} not decided within {seconds}s (status={status}{failure})");
        Error::new(ErrorKind::Timeout, message).with_approval_id(approval_id)
    }
}

/// The end of the time that `options` give. It holds for everything that is raced against it: when it
/// comes, the request under way is given up with its connection.
pub(super) async fn deadline(sesame: &Inner, options: WaitOptions) {
    match options.timeout {
        Duration::MAX => std::future::pending().await,
        timeout => sesame.api.clock.sleep(timeout).await,
    }
}

/// Polls until the approval is decided.
pub(super) async fn until_decided(
    sesame: &Inner,
    runtime: &WeakRuntime,
    approval_id: &str,
    options: WaitOptions,
) -> Result<Approval> {
    let mut seen = Seen::nothing();
    tokio::select! {
        biased;
        // First, so that a wait that has no time left asks nobody.
        () = deadline(sesame, options) => {}
        decided = poll(sesame, runtime, approval_id, options.poll_interval, &mut seen) => return decided,
    }
    Err(seen.too_late(approval_id, options))
}

pub(super) async fn poll(
    sesame: &Inner,
    runtime: &WeakRuntime,
    approval_id: &str,
    interval: Duration,
    seen: &mut Seen,
) -> Result<Approval> {
    let (api, clock) = (&sesame.api, &*sesame.api.clock);
    let call = Call::get(path(approval_id, true)?).retries(0).limit(sesame.poll_timeout);
    let mut backoff = None;
    loop {
        let began = clock.monotonic();
        let answer = api.call(runtime, &call).await;
        let pause = match answer.result.and_then(|reply| answer::approval(&reply, Some(approval_id))) {
            Ok(approval) if approval.is_terminal() => return Ok(approval),
            Ok(approval) => {
                *seen = Seen { status: approval.status, failure: None };
                backoff = None;
                Duration::ZERO
            }
            Err(error) if passes(&error) && !answer.host_fault => {
                let wait = backoff
                    .get_or_insert_with(|| Backoff::new(BACKOFF.0, BACKOFF.1))
                    .wait_after(Duration::ZERO, clock)
                    .max(error.retry_after().unwrap_or_default().min(LONGEST_PAUSE));
                // A thousand waits must not fill a log for as long as the broker is away.
                let level = if seen.failure.is_none() { Level::Warning } else { Level::Debug };
                let (seconds, message) = (wait.as_secs_f64(), error.message());
                api.logger.log(
                    level,
                    format_args!(
                        "Polling approval {approval_id} failed, next try in {seconds:.1} s: {message}"
                    ),
                );
                seen.failure = Some(error.message().to_owned());
                wait
            }
            Err(error) => return Err(error),
        };
        let spent = clock.monotonic().saturating_sub(began);
        clock.sleep(pause.max(interval.saturating_sub(spent))).await;
    }
}

/// Whether a poll's failure may be over with the next one: the broker restarts, a proxy stumbles, the
/// network is gone for a while. A refused key, an unknown approval and a fault of our own are not.
fn passes(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Transport | ErrorKind::TransportTimeout | ErrorKind::RateLimit => true,
        // A page of a proxy in place of the broker; a redirect stays one.
        ErrorKind::BadResponse => error.http_status().is_none_or(|status| !(300..400).contains(&status)),
        ErrorKind::Api => matches!(error.http_status(), Some(408 | 500..=599)),
        _ => false,
    }
}
