//! The gate: one approval lets one call through, and only the call that the human was asked about.
//!
//! Calls with the same `dedup_key` get the same approval from the broker. What this process knows of such
//! approvals is kept here for its life, so that none of them is used twice or for something else: an approval is
//! as much work for a human as it is memory here. A forked child knows what its parent knew.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use sha2::{Digest, Sha256};

use super::Inner;
use super::approval::{Approval, ApprovalRequest};
use super::wait::{Seen, WaitOptions, deadline, poll};
use crate::runtime::WeakRuntime;
use crate::{Error, ErrorKind, Result};

/// Asks, polls until the approval is decided, and gives it if it was granted.
pub(super) async fn through_gate(
    sesame: &Inner,
    runtime: &WeakRuntime,
    request: &ApprovalRequest,
    options: WaitOptions,
) -> Result<Approval> {
    let mut asked = None;
    let mut seen = Seen::nothing();
    let shared = request.dedup_key.as_ref().map(|_| sesame.api.base_url.as_str());
    let ask_and_poll = async {
        let triggered = sesame.trigger(runtime, request).await?;
        let known = shared.map(|broker| attach(broker, &triggered.approval_id, content(request)));
        let known = known.transpose().map_err(|refused| refused.error(request, &triggered.approval_id))?;
        if triggered.is_terminal() {
            return Ok((triggered, known));
        }
        let approval_id = &*asked.insert(triggered.approval_id);
        let decided = poll(sesame, runtime, approval_id, options.poll_interval, &mut seen).await;
        decided.map(|approval| (approval, known)).map_err(|error| error.with_approval_id(approval_id))
    };
    tokio::select! {
        biased;
        () = deadline(sesame, options) => {}
        decided = ask_and_poll => {
            let (approval, known) = decided?;
            let approval = approval.granted(&request.action)?;
            if known.is_some_and(|known| known.used.swap(true, Ordering::AcqRel)) {
                return Err(Refused::AlreadyUsed.error(request, &approval.approval_id));
            }
            return Ok(approval);
        }
    }
    let Some(approval_id) = asked else {
        let seconds = options.timeout.as_secs_f64();
        return Err(Error::new(ErrorKind::Timeout, format!("The broker took no question within {seconds}s")));
    };
    Err(seen.too_late(&approval_id, options))
}

/// Why an approval that was granted lets this call not through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// Another call with its `dedup_key` went through.
    AlreadyUsed,
    /// It was asked for something else.
    ArgsChanged,
}

impl Refused {
    fn error(self, request: &ApprovalRequest, approval_id: &str) -> Error {
        let (code, what) = match self {
            Self::AlreadyUsed => ("already_used", "has let another call through already"),
            Self::ArgsChanged => ("args_changed", "was asked for with another summary or context"),
        };
        let message = format!("Approval for '{}' {what} (dedup_key)", request.action);
        Error::new(ErrorKind::ApprovalDenied, message).with_code(code).with_approval_id(approval_id)
    }
}

/// What the human was shown, and decides about.
fn content(request: &ApprovalRequest) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [&request.action, &request.summary, request.context_text().unwrap_or_default()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// An approval that calls of this process share.
struct Shared {
    broker: String,
    approval_id: String,
    content: [u8; 32],
    used: AtomicBool,
    next: Option<Arc<Shared>>,
}

/// Lists that only grow, without a lock: a fork could leave one held.
static SHARED: [ArcSwapOption<Shared>; 1024] = [const { ArcSwapOption::const_empty() }; 1024];

/// The approval as this process knows it, from here on at the latest.
fn attach(broker: &str, approval_id: &str, content: [u8; 32]) -> Result<Arc<Shared>, Refused> {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((broker, approval_id));
    let list = &SHARED[usize::try_from(hash % SHARED.len() as u64).unwrap_or_default()];
    loop {
        let head = list.load_full();
        let mut seen = head.as_ref();
        while let Some(shared) = seen {
            if shared.broker == broker && shared.approval_id == approval_id {
                let same = shared.content == content;
                return if same { Ok(Arc::clone(shared)) } else { Err(Refused::ArgsChanged) };
            }
            seen = shared.next.as_ref();
        }
        let fresh = Arc::new(Shared {
            broker: broker.to_owned(),
            approval_id: approval_id.to_owned(),
            content,
            used: AtomicBool::new(false),
            next: head.clone(),
        });
        let before = list.compare_and_swap(&head, Some(Arc::clone(&fresh)));
        if before.as_ref().map(Arc::as_ptr) == head.as_ref().map(Arc::as_ptr) {
            return Ok(fresh);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_is_known_once_and_used_once() {
        let ids: Vec<String> = (0..3000).map(|number| format!("ap_{number}")).collect();
        std::thread::scope(|scope| {
            let used: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let use_it = |id: &&String| {
                            let shared = attach("http://gate.test", id, [1; 32]);
                            shared.is_ok_and(|shared| !shared.used.swap(true, Ordering::AcqRel))
                        };
                        ids.iter().filter(use_it).count()
                    })
                })
                .collect();
            assert_eq!(used.into_iter().map(|used| used.join().unwrap_or(0)).sum::<usize>(), ids.len());
        });
        assert_eq!(attach("http://gate.test", "ap_7", [2; 32]).err(), Some(Refused::ArgsChanged));
        assert!(attach("http://another.test", "ap_7", [2; 32]).is_ok());
    }
}
