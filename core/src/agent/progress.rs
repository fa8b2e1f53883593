//! How far a login has come, for whoever shows it to people.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a login is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u8)]
pub enum LoginStage {
    /// The platform is asked for the challenge.
    Challenge = 0,
    /// The proof of work is searched for.
    Pow = 1,
    /// The approval is sent.
    Approve = 2,
}

/// How far a login has come at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginSnapshot {
    /// What it is busy with.
    pub stage: LoginStage,
    /// Nonces that the search has taken up so far; it begins at 0 again when a second digest is tried.
    pub hashes: u64,
    /// Leading zero bits that are asked for: about `2^difficulty` hashes find a nonce. `None` as long as
    /// the challenge is not there.
    pub difficulty: Option<i64>,
    /// Since the progress was made.
    pub elapsed: Duration,
    /// What the search has left of its budget; the whole budget before it has begun.
    pub left: Duration,
}

/// Written by a login while it runs, read by any thread: [`LimeAgent::login_with_progress`].
///
/// [`LimeAgent::login_with_progress`]: super::LimeAgent::login_with_progress
#[derive(Debug)]
pub struct LoginProgress {
    began: Instant,
    stage: AtomicU8,
    difficulty: AtomicI64,
    pub(super) tried: AtomicU64,
    /// When the search began, in microseconds after `began`.
    search_began: AtomicU64,
    /// The search's budget in microseconds.
    budget: u64,
}

/// Not known yet.
const NO_DIFFICULTY: i64 = i64::MIN;
const NOT_YET: u64 = u64::MAX;

impl LoginProgress {
    /// For a login whose proof of work may take this long.
    pub(super) fn new(budget: Duration) -> Self {
        Self {
            began: Instant::now(),
            stage: AtomicU8::new(LoginStage::Challenge as u8),
            difficulty: AtomicI64::new(NO_DIFFICULTY),
            tried: AtomicU64::new(0),
            search_began: AtomicU64::new(NOT_YET),
            budget: micros(budget),
        }
    }

    /// How far it is now. The numbers are read one after the other, while the login goes on.
    pub fn snapshot(&self) -> LoginSnapshot {
        let elapsed = self.began.elapsed();
        let budget = Duration::from_micros(self.budget);
        let left = match self.search_began.load(Ordering::Relaxed) {
            NOT_YET => budget,
            began => budget.saturating_sub(elapsed.saturating_sub(Duration::from_micros(began))),
        };
        let difficulty = self.difficulty.load(Ordering::Relaxed);
        LoginSnapshot {
            stage: match self.stage.load(Ordering::Relaxed) {
                0 => LoginStage::Challenge,
                1 => LoginStage::Pow,
                _ => LoginStage::Approve,
            },
            hashes: self.tried.load(Ordering::Relaxed),
            difficulty: (difficulty != NO_DIFFICULTY).then_some(difficulty),
            elapsed,
            left,
        }
    }

    pub(super) fn enter(&self, stage: LoginStage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    pub(super) fn search(&self, difficulty: i64) {
        self.difficulty.store(difficulty, Ordering::Relaxed);
        self.tried.store(0, Ordering::Relaxed);
        self.search_began.store(micros(self.began.elapsed()), Ordering::Relaxed);
        self.enter(LoginStage::Pow);
    }
}

/// Half a million years stand for ever.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).map_or(NOT_YET - 1, |micros| micros.min(NOT_YET - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_counted_from_when_the_search_begins() {
        let progress = LoginProgress::new(Duration::from_secs(3600));
        let first = progress.snapshot();
        assert_eq!((first.stage, first.hashes, first.difficulty), (LoginStage::Challenge, 0, None));
        assert_eq!(first.left, Duration::from_secs(3600));
        progress.search(0);
        progress.tried.store(4096, Ordering::Relaxed);
        let then = progress.snapshot();
        assert_eq!((then.stage, then.hashes, then.difficulty), (LoginStage::Pow, 4096, Some(0)));
        assert!(then.left <= Duration::from_secs(3600));
        progress.enter(LoginStage::Approve);
        assert_eq!(progress.snapshot().stage, LoginStage::Approve);
    }

    #[test]
    fn a_budget_without_end_has_no_end() {
        let progress = LoginProgress::new(Duration::MAX);
        progress.search(256);
        assert!(progress.snapshot().left > Duration::from_secs(1 << 40));
    }
}
