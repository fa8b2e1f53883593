//! Long polls: each waits for its own approval, so that a decision wakes nobody else.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use super::{ApprovalStatus, Detail};
use crate::state::{Core, State};

/// A long poll that is being held; counted for as long as it lives.
struct Held(Arc<Core>);

impl Held {
    fn new(core: &Arc<Core>) -> Self {
        core.change(|state| state.broker.polls += 1);
        Self(Arc::clone(core))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.change(|state| state.broker.polls -= 1);
    }
}

impl State {
    /// The answer for now; while it is pending with what tells of the decision.
    fn look(
        &self,
        authorization: Option<&str>,
        id: &str,
    ) -> Result<(Value, Option<watch::Receiver<()>>), Detail> {
        let entry = self.own_approval(authorization, id)?;
        let pending = entry.stored.status == ApprovalStatus::Pending;
        Ok((self.approval_answer(&entry.stored), pending.then(|| entry.decided.subscribe())))
    }
}

/// Answers with the state of an approval; with `wait` as soon as it is decided, or when the time
/// for that is over. A client that goes away takes the future with it.
pub(super) async fn read(
    core: &Arc<Core>,
    authorization: Option<&str>,
    id: &str,
    wait: bool,
) -> Result<Value, Detail> {
    let (answer, decided) = core.read(|state| state.look(authorization, id))?;
    let Some(mut decided) = decided.filter(|_| wait) else {
        return Ok(answer);
    };
    let limit = core.read(|state| state.settings.long_poll());
    if limit.is_zero() {
        return Ok(answer);
    }
    let held = Held::new(core);
    // An error is a reset: the approval is gone.
    let _ = tokio::time::timeout(limit, decided.changed()).await;
    drop(held);
    core.read(|state| state.look(authorization, id)).map(|(answer, _)| answer)
}
